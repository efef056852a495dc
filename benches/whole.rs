//! Whole runs against the fake vendors, and the start of the process.
//! `cargo bench --bench whole [-- falcon|fortinet|start]`
//!
//! The fake runs in a process of its own, so that the CPU time is the client's alone, and it counts the
//! calls: what the vendor saw, not what the client says it did.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measurement reads the clock and prints, and stops where it cannot measure"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use sdk::Clock;
use sdk::collection::Reading;
use sdk::connector::{Connector, Environment};
use sdk::fake::FakeOptions;
use sdk::indicator::{Indicator, Origin, Value};
use sdk::ownership::Owner;
use sdk::report::{Report, Status, Verified};
use sdk::store::MemoryStore;
use sdk::sync::{Context, Deployment, Member, Readings, TargetGroup, sync_readings};
use serde_json::{Value as Json, json};

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 5;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fake", connector] => fake(connector),
        [] => {
            falcon()?;
            fortinet()?;
            start()
        }
        ["falcon"] => falcon(),
        ["fortinet"] => fortinet(),
        ["start"] => start(),
        other => Err(format!("nothing is measured by the name of {other:?}").into()),
    }
}

fn falcon() -> Result<(), Failure> {
    const HASHES: usize = 10_000;
    const BATCH: usize = 200;
    const PAGE: usize = 2_000;
    let measured = measure(&crowdstrike::connector(), "ioc", &hashes(HASHES))?;
    measured.print(&format!("falcon, {HASHES} new hashes"));
    // The page after the last one is empty.
    let listing = |entries: usize| entries.div_ceil(PAGE) + 1;
    let writes = HASHES.div_ceil(BATCH);
    let expected = 1 + listing(0) + writes + listing(HASHES);
    println!(
        "  expected {expected} calls: 1 token, {} to list, {writes} writes, {} to read back",
        listing(0),
        listing(HASHES)
    );
    Ok(())
}

fn fortinet() -> Result<(), Failure> {
    const ADDRESSES: usize = 2_000;
    for mechanism in ["push-feed", "address-group"] {
        let measured = measure(&fortinet::connector(), mechanism, &addresses(ADDRESSES)?)?;
        measured.print(&format!("fortigate {mechanism}, {ADDRESSES} new addresses"));
    }
    Ok(())
}

/// The median of several first runs, each against a new fake, and the run after it.
struct Measured {
    first: Run,
    second: Run,
}

#[derive(Clone, Debug)]
struct Run {
    cpu: Duration,
    wall: Duration,
    /// How many calls the fake saw, by method and path.
    calls: BTreeMap<String, usize>,
    written: usize,
}

impl Measured {
    fn print(&self, what: &str) {
        println!("{what} (median of {RUNS} by CPU)");
        for (name, run) in [("first run", &self.first), ("second run", &self.second)] {
            println!(
                "  {name}: client CPU {:.2} s, wall {:.2} s, {} calls, {} entries written",
                run.cpu.as_secs_f64(),
                run.wall.as_secs_f64(),
                run.calls.values().sum::<usize>(),
                run.written
            );
            for (call, count) in &run.calls {
                println!("    {count:>5} {call}");
            }
        }
    }
}

fn measure(connector: &Connector, mechanism: &str, values: &[Value]) -> Result<Measured, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let mut fake = FakeProcess::start(connector.name)?;
        let scene = Scene::new(connector, mechanism, fake.configuration.clone())?;
        let mut pass = |expected: usize| -> Result<Run, Failure> {
            let readings = Readings {
                include: vec![reading(values).into()],
                ..Readings::default()
            };
            let (cpu, start) = (cpu()?, Instant::now());
            let report = runtime.block_on(scene.sync(readings));
            let (cpu, wall) = (self::cpu()? - cpu, start.elapsed());
            assert_eq!(report.status, Status::Ok, "{report:#?}");
            assert_eq!(report.verified, Verified::Yes, "{:?}", report.warnings);
            assert_eq!(report.added, expected, "{:?}", report.warnings);
            Ok(Run {
                cpu,
                wall,
                calls: fake.calls()?,
                written: report.added + report.updated + report.removed.total(),
            })
        };
        let first = pass(values.len())?;
        let second = pass(0)?;
        assert_eq!(second.written, 0, "the second run wrote");
        runs.push(Measured { first, second });
    }
    runs.sort_by_key(|run| run.first.cpu);
    Ok(runs.swap_remove(RUNS / 2))
}

struct Scene {
    deployment: Deployment,
    target: TargetGroup,
    context: Context,
}

impl Scene {
    fn new(
        connector: &Connector,
        mechanism: &str,
        mut configuration: Json,
    ) -> Result<Self, Failure> {
        configuration["mechanism"] = json!(mechanism);
        let environment = Environment::new(Clock::system());
        let members = (connector.targets)(configuration, &environment)?
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect();
        Ok(Self {
            deployment: Deployment::new(Owner::new("acme")?),
            target: TargetGroup {
                name: connector.name.to_owned(),
                members,
            },
            context: Context {
                store: Some(Arc::new(MemoryStore::new())),
                ..Context::new(environment)
            },
        })
    }

    async fn sync(&self, readings: Readings) -> Report {
        sync_readings(&self.deployment, readings, &self.target, &self.context).await
    }
}

fn reading(values: &[Value]) -> Reading {
    let line = |(value, line): (&Value, u32)| Indicator::bare(value.clone(), Origin::Line(line));
    Reading {
        name: "bench".to_owned(),
        indicators: values.iter().zip(1..).map(line).collect(),
        ..Reading::default()
    }
}

fn hashes(count: usize) -> Vec<Value> {
    let hash = |index: usize| Value::Sha256(*blake3::hash(&index.to_be_bytes()).as_bytes());
    (0..count).map(hash).collect()
}

/// Addresses that nothing protects, 31 apart.
fn addresses(count: usize) -> Result<Vec<Value>, Failure> {
    let mut values = Vec::with_capacity(count);
    for index in 0..u32::try_from(count)? {
        let address = std::net::Ipv4Addr::from_bits(0x2D00_0000 + 31 * index);
        values.push(Value::Ipv4(Ipv4Net::new(address, 32)?));
    }
    Ok(values)
}

/// CPU time of this process so far, with all its threads, in the kernel's hundredths of a second.
fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 10))
}

/// A fake vendor in a process of its own. Ends when its stdin closes.
struct FakeProcess {
    child: Child,
    commands: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    configuration: Json,
}

impl FakeProcess {
    fn start(connector: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["fake", connector])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
        let line = answers.next().ok_or("the fake did not start")??;
        Ok(Self {
            child,
            commands,
            answers,
            configuration: serde_json::from_str(&line)?,
        })
    }

    /// The calls since the last question.
    fn calls(&mut self) -> Result<BTreeMap<String, usize>, Failure> {
        let commands = self.commands.as_mut().ok_or("no stdin")?;
        commands.write_all(b"calls\n")?;
        let line = self.answers.next().ok_or("the fake is gone")??;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for FakeProcess {
    fn drop(&mut self) {
        drop(self.commands.take());
        self.child.wait().expect("the fake ends with its stdin");
    }
}

/// The other side: the fake itself.
fn fake(connector: &str) -> Result<(), Failure> {
    let connector = [crowdstrike::connector(), fortinet::connector()]
        .into_iter()
        .find(|known| known.name == connector)
        .ok_or("no such connector")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let options = FakeOptions::plain(Clock::system());
    let fake = runtime.block_on((connector.fake)(options))?;
    println!("{}", fake.configuration);
    for line in std::io::stdin().lines() {
        line?;
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for call in fake.server.log.all() {
            *calls
                .entry(format!("{} {} {}", call.method, call.path, call.status))
                .or_default() += 1;
        }
        fake.server.log.clear();
        println!("{}", json!(calls));
    }
    Ok(())
}

/// `cordon connectors` from start to end: what every call from a playbook pays.
fn start() -> Result<(), Failure> {
    const STARTS: usize = 21;
    const TIME: &str = "/usr/bin/time";
    let cordon = env!("CARGO_BIN_EXE_cordon");
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let start = Instant::now();
        let output = Command::new(cordon).arg("connectors").output()?;
        times.push(start.elapsed());
        assert!(output.status.success() && !output.stdout.is_empty());
    }
    times.sort();
    println!(
        "cordon connectors: {:.1} ms from start to end (median of {STARTS})",
        times[STARTS / 2].as_secs_f64() * 1e3
    );
    // GNU time reads the peak from wait4; it is not everywhere.
    if std::path::Path::new(TIME).exists() {
        let output = Command::new(TIME)
            .args(["-f", "%M", cordon, "connectors"])
            .output()?;
        let told = String::from_utf8(output.stderr)?;
        let peak: f64 = told.trim().parse()?;
        println!("cordon connectors: {:.1} MiB peak", peak / 1024.0);
    } else {
        println!("cordon connectors: peak not measured, there is no {TIME}");
    }
    Ok(())
}
