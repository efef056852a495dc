//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use sdk::Clock;
use sdk::fake::{FakeOptions, Transport};

const PACKAGE: &str = "pan-os-python==1.13.1";

/// With TLS: this client speaks nothing else, and does not verify it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pan_os_python_drives_the_fake() {
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
    // The client waits for jobs by the real clock.
    let mut options = FakeOptions::plain(Clock::system());
    options.transport = Transport::Tls;
    let fake = paloalto::fake::start(options.set("others", 620))
        .await
        .unwrap();
    let python = install().await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panos");
    let key = fake.configuration["api_key"].as_str().unwrap();
    let mut command = Command::new(&python);
    command
        .arg(scripts.join("drive.py"))
        .args([&fake.server.url, key]);
    run(command).await;

    let mut options = FakeOptions::plain(Clock::system());
    options.transport = Transport::Tls;
    let options = options
        .set("panorama", vec!["012801000001", "012801000002"])
        .set("device_group", "Edge EU");
    let fake = paloalto::fake::start(options).await.unwrap();
    let key = fake.configuration["api_key"].as_str().unwrap();
    let mut command = Command::new(&python);
    command
        .arg(scripts.join("drive_panorama.py"))
        .args([&fake.server.url, key, "Edge EU"]);
    run(command).await;
}

/// A Python with the client, in the build directory.
async fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pan-os-python");
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
