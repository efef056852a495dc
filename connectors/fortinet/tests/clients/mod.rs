//! Other people's Python clients against the fakes: what the two agree on is no invention of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::DateTime;
use sdk::Clock;
use sdk::fake::{Fake, FakeOptions};

const PACKAGES: [&str; 2] = ["fortigate-api==2.0.8", "pyfmg==0.8.6.3"];

async fn fake(manager: bool) -> Fake {
    let clock = Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let options = FakeOptions::plain(clock);
    let options = if manager {
        options.set("manager", "password")
    } else {
        options
    };
    fortinet::fake::start(options).await.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether to fetch other people's clients is the runner's choice"
)]
fn wanted() -> bool {
    let wanted = std::env::var("CORDON_OFFICIAL_CLIENTS").is_ok_and(|value| value == "1");
    if !wanted {
        println!(
            "skipped: CORDON_OFFICIAL_CLIENTS=1 is not set, and {} would have to be installed",
            PACKAGES.join(" and ")
        );
    }
    wanted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fortigate_api_drives_the_firewall() {
    if !wanted() {
        return;
    }
    let fake = fake(false).await;
    let key = fake.configuration["firewalls"][0]["api_key"]
        .as_str()
        .unwrap();
    let port = fake.server.url.rsplit(':').next().unwrap();
    drive("fortigate", &[port, key]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyfmg_drives_the_manager() {
    if !wanted() {
        return;
    }
    let fake = fake(true).await;
    let block = &fake.configuration["fortimanager"];
    let text = |field: &str| block[field].as_str().unwrap();
    let host = fake.server.url.trim_start_matches("http://");
    let firewall = block["devices"][0]["name"].as_str().unwrap();
    drive(
        "fortimanager",
        &[
            host,
            text("username"),
            text("password"),
            text("adom"),
            text("package"),
            firewall,
        ],
    )
    .await;
}

async fn drive(name: &str, arguments: &[&str]) {
    let python = install(name).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/clients/{name}.py"));
    let mut command = Command::new(python);
    command.arg(script).args(arguments);
    run(command).await;
}

/// A Python with the clients, in the build directory; each test has its own.
async fn install(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-clients"));
    let python = folder.join("bin/python");
    if !python.exists() {
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]).arg(&folder);
        run(command).await;
    }
    let mut command = Command::new(&python);
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(PACKAGES);
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
