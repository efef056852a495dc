//! From a bundle of 1,000,000 indicators to the compiled set, beside serde_json alone. Each measurement
//! runs in a process of its own, so that peak memory is its own; the median of five is shown.
//!
//! `cargo bench -p sdk --features testing --bench bundle [-- COUNT]`

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::borrow::Cow;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use sdk::collection::{Include, Policy, Protection, ProtectionSettings, Reading, Rules, compile};
use sdk::stix::{ReadLimits, generate, parse_timestamp, read};
use serde::Deserialize;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    if let [mode, path] = arguments.as_slice() {
        return child(mode, Path::new(path));
    }
    let count: usize = arguments
        .first()
        .map_or(Ok(1_000_000), |count| count.parse())?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("bundle-{count}.json"));
    generate::bundle(File::create(&path)?, count, 1)?;
    let megabytes = std::fs::metadata(&path)?.len() / 1_000_000;
    println!("{count} indicators, {megabytes} MB");
    for mode in ["read", "compile", "serde_json"] {
        let mut runs = Vec::new();
        for _ in 0..5 {
            let output = Command::new(std::env::current_exe()?)
                .arg(mode)
                .arg(&path)
                .output()?;
            let text = String::from_utf8(output.stdout)?;
            let mut numbers = text.split_whitespace().map(str::parse::<f64>);
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(seconds), Some(cpu), Some(mebibytes)) => {
                    runs.push((seconds?, cpu?, mebibytes?));
                }
                _ => return Err(String::from_utf8_lossy(&output.stderr).into()),
            }
        }
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let seconds = runs[runs.len() / 2].0;
        // On a busy machine the CPU time is what an idle one would take.
        runs.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (_, cpu, mebibytes) = runs[runs.len() / 2];
        println!("{mode:12} {seconds:.3} s, CPU {cpu:.3} s, {mebibytes:.0} MiB peak");
    }
    std::fs::remove_file(path)?;
    Ok(())
}

fn child(mode: &str, path: &Path) -> Result<(), Failure> {
    let start = Instant::now();
    match mode {
        "serde_json" => {
            let input = BufReader::with_capacity(1 << 20, File::open(path)?);
            let bundle: Bundle = serde_json::from_reader(input)?;
            report(
                start,
                bundle
                    .objects
                    .iter()
                    .filter(|object| object.pattern.is_some())
                    .count(),
            )
        }
        "read" => {
            let reading = ours(path)?;
            report(start, reading.indicators.len())
        }
        _ => {
            let reading = ours(path)?;
            let include = Include {
                reading: &reading,
                first_seen: &[],
            };
            let now = parse_timestamp("2026-06-01T00:00:00Z")?;
            let protection = Protection::new(&ProtectionSettings::default());
            let rules = Rules::new(&[], &[], protection, now);
            let compiled = compile(&[include], &rules, &Policy::default(), now);
            report(start, compiled.wanted.len())
        }
    }
}

fn ours(path: &Path) -> Result<Reading, Failure> {
    Ok(read("bench", File::open(path)?, &ReadLimits::default())?)
}

fn report(start: Instant, found: usize) -> Result<(), Failure> {
    let seconds = start.elapsed().as_secs_f64();
    assert!(found > 0, "nothing was read");
    let schedule = std::fs::read_to_string("/proc/self/schedstat")?;
    let cpu: f64 = schedule
        .split_whitespace()
        .next()
        .ok_or("no CPU time")?
        .parse()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_whitespace().next())
        .ok_or("no VmHWM")?;
    println!("{seconds} {} {}", cpu / 1e9, peak.parse::<f64>()? / 1024.0);
    Ok(())
}

#[derive(Deserialize)]
struct Bundle {
    objects: Vec<Object>,
}

/// The fields that our reader looks at, owned, as `from_reader` gives them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Object {
    #[serde(rename = "type")]
    kind: Option<Cow<'static, str>>,
    id: Option<Cow<'static, str>>,
    created: Option<Cow<'static, str>>,
    modified: Option<Cow<'static, str>>,
    revoked: Option<bool>,
    pattern: Option<Cow<'static, str>>,
    pattern_type: Option<Cow<'static, str>>,
    valid_from: Option<Cow<'static, str>>,
    valid_until: Option<Cow<'static, str>>,
    confidence: Option<i64>,
}
