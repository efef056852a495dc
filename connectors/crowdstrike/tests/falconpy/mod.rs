//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::Path;
use std::time::Duration;

use sdk::Clock;
use sdk::fake::{FakeOptions, Fault, FaultAction};
use sdk::testing::official::{self, Python};

const PACKAGE: &str = "crowdstrike-falconpy==1.6.6";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn falconpy_drives_the_fake() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &[PACKAGE]) else {
        return;
    };
    let clock = Clock::manual(crate::raw::start_time());
    let fake = crowdstrike::fake::start(FakeOptions::plain(clock))
        .await
        .unwrap();
    // A search that says so ends the token: the fake's clock moves past its life first.
    let hour = FaultAction::Slow(Duration::from_secs(3600));
    fake.server
        .faults
        .push(Fault::new(hour).on("GET", "end-the-token"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/falconpy/drive.py");
    let mut command = python.script(&script);
    command.arg(&fake.server.url);
    for name in ["client_id", "client_secret"] {
        command.arg(fake.configuration[name].as_str().unwrap());
    }
    official::run(&mut command);
    assert_eq!(fake.server.faults.waiting(), 0, "the token was ended");
}
