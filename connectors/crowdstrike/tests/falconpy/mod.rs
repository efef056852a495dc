//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sdk::Clock;
use sdk::fake::{FakeOptions, Fault, FaultAction};

const PACKAGE: &str = "crowdstrike-falconpy==1.6.6";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn falconpy_drives_the_fake() {
    #[expect(
        clippy::disallowed_methods,
        reason = "whether to fetch the vendor's client is the runner's choice"
    )]
    let wanted = std::env::var("CORDON_OFFICIAL_CLIENTS").is_ok_and(|value| value == "1");
    if !wanted {
        println!(
            "skipped: CORDON_OFFICIAL_CLIENTS=1 is not set, and {PACKAGE} would have to be installed"
        );
        return;
    }
    let clock = Clock::manual(crate::raw::start_time());
    let fake = crowdstrike::fake::start(FakeOptions::plain(clock))
        .await
        .unwrap();
    // A search that says so ends the token: the fake's clock moves past its life first.
    let hour = FaultAction::Slow(Duration::from_secs(3600));
    fake.server
        .faults
        .push(Fault::new(hour).on("GET", "end-the-token"));
    let python = install().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/falconpy/drive.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&fake.server.url);
    for name in ["client_id", "client_secret"] {
        command.arg(fake.configuration[name].as_str().unwrap());
    }
    run(command).await;
    assert_eq!(fake.server.faults.waiting(), 0, "the token was ended");
}

/// A Python with the client, in the build directory.
async fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("falconpy");
    let python = folder.join("bin/python");
    if !python.exists() {
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]).arg(&folder);
        run(command).await;
    }
    let mut command = Command::new(&python);
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ]);
    run(command).await;
    python
}

async fn run(mut command: Command) {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    println!("{}", text(&output.stdout));
}
