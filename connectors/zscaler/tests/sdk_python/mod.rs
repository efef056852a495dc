//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use sdk::Clock;
use sdk::fake::FakeOptions;

const PACKAGE: &str = "zscaler-sdk-python==1.11.3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zscaler_sdk_python_drives_the_fake() {
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
    let python = install().await;
    for login in ["legacy", "oneapi", "oneapi-key"] {
        let options = FakeOptions::plain(Clock::system()).set("login", login);
        let fake = zscaler::fake::start(options).await.unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk_python/drive.py");
        let mut command = Command::new(&python);
        command.arg(script).arg(login).arg(&fake.server.url);
        command.arg(fake.configuration.to_string());
        run(command).await;
    }
}

/// A Python with the client, in the build directory.
async fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("zscaler-sdk-python");
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
