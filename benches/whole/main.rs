//! Whole runs against the fake vendors, and the start of the process.
//! `cargo bench --bench whole [-- falcon|fortinet|calls [NAME]|limits CONNECTOR MECHANISM ENTRIES|start]`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a measurement reads the clock and prints, and stops where it cannot measure"
)]

mod calls;
mod fake;
mod limits;
mod scene;
mod start;

use sdk::connector::Connector;
use sdk::indicator::{Kind, Value};
use serde_json::json;

use self::fake::{FakeProcess, counted};
use self::scene::{Run, Scene, values};

type Failure = Box<dyn std::error::Error>;

const RUNS: usize = 5;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["fake", connector, settings] => fake::serve(connector, settings),
        [] => {
            falcon()?;
            fortinet()?;
            calls::per_thousand(None)?;
            start::start()
        }
        ["falcon"] => falcon(),
        ["fortinet"] => fortinet(),
        ["calls"] => calls::per_thousand(None),
        ["calls", name] => calls::per_thousand(Some(name)),
        ["limits", connector, mechanism, entries] => {
            limits::whole(connector, mechanism, entries.parse()?)
        }
        ["start"] => start::start(),
        other => Err(format!("nothing is measured by the name of {other:?}").into()),
    }
}

fn falcon() -> Result<(), Failure> {
    const HASHES: usize = 10_000;
    const BATCH: usize = 200;
    const PAGE: usize = 2_000;
    let measured = measure(
        &crowdstrike::connector(),
        "ioc",
        &values(Kind::Sha256, HASHES)?,
    )?;
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
        let addresses = values(Kind::Ipv4, ADDRESSES)?;
        let measured = measure(&fortinet::connector(), mechanism, &addresses)?;
        measured.print(&format!("fortigate {mechanism}, {ADDRESSES} new addresses"));
    }
    Ok(())
}

/// The median of several first runs, each against a new fake, and the run after it.
struct Measured {
    first: Run,
    second: Run,
}

impl Measured {
    fn print(&self, what: &str) {
        println!("{what} (median of {RUNS} by CPU)");
        for (name, run) in [("first run", &self.first), ("second run", &self.second)] {
            println!(
                "  {name}: client CPU {:.2} s, wall {:.2} s, {} calls, {} entries written",
                run.cpu.as_secs_f64(),
                run.wall.as_secs_f64(),
                run.calls.len(),
                run.written()
            );
            for (call, count) in counted(&run.calls) {
                println!("    {count:>5} {call}");
            }
        }
    }
}

fn measure(connector: &Connector, mechanism: &str, values: &[Value]) -> Result<Measured, Failure> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let mut fake = FakeProcess::start(connector.name, &json!({}), &[])?;
        let scene = Scene::new(connector, mechanism, fake.configuration.clone())?;
        let first = scene.sync(values, &mut fake)?;
        assert_eq!(first.report.added, values.len(), "{:?}", first.report);
        let second = scene.sync(values, &mut fake)?;
        assert_eq!(second.written(), 0, "the second run wrote");
        runs.push(Measured { first, second });
    }
    runs.sort_by_key(|run| run.first.cpu);
    Ok(runs.swap_remove(RUNS / 2))
}
