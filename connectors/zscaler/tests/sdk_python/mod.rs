//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::Path;

use sdk::Clock;
use sdk::fake::FakeOptions;
use sdk::testing::official::{self, Python};

const PACKAGE: &str = "zscaler-sdk-python==1.11.3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zscaler_sdk_python_drives_the_fake() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &[PACKAGE]) else {
        return;
    };
    for login in ["legacy", "oneapi", "oneapi-key"] {
        let options = FakeOptions::plain(Clock::system()).set("login", login);
        let fake = zscaler::fake::start(options).await.unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk_python/drive.py");
        let mut command = python.script(&script);
        command.arg(login).arg(&fake.server.url);
        command.arg(fake.configuration.to_string());
        official::run(&mut command);
    }
}
