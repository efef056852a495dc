//! Other people's Python clients against the fakes: what the two agree on is no invention of ours.

use std::path::Path;

use chrono::DateTime;
use sdk::Clock;
use sdk::fake::{Fake, FakeOptions};
use sdk::testing::official::{self, Python};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fortigate_api_drives_the_firewall() {
    let Some(python) = clients() else {
        return;
    };
    let fake = fake(false).await;
    let key = fake.configuration["firewalls"][0]["api_key"]
        .as_str()
        .unwrap();
    let port = fake.server.url.rsplit(':').next().unwrap();
    drive(&python, "fortigate", &[port, key]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyfmg_drives_the_manager() {
    let Some(python) = clients() else {
        return;
    };
    let fake = fake(true).await;
    let block = &fake.configuration["fortimanager"];
    let text = |field: &str| block[field].as_str().unwrap();
    let host = fake.server.url.trim_start_matches("http://");
    let firewall = block["devices"][0]["name"].as_str().unwrap();
    drive(
        &python,
        "fortimanager",
        &[
            host,
            text("username"),
            text("password"),
            text("adom"),
            text("package"),
            firewall,
        ],
    );
}

fn clients() -> Option<Python> {
    Python::with(env!("CARGO_TARGET_TMPDIR"), &PACKAGES)
}

fn drive(python: &Python, name: &str, arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/clients/{name}.py"));
    official::run(python.script(&script).args(arguments));
}
