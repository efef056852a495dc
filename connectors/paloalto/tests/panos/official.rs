//! The vendor's own Python client against the fake: what the two agree on is no invention of ours.

use std::path::Path;

use sdk::Clock;
use sdk::fake::{FakeOptions, Transport};
use sdk::testing::official::{self, Python};

const PACKAGE: &str = "pan-os-python==1.13.1";

/// With TLS: this client speaks nothing else, and does not verify it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pan_os_python_drives_the_fake() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &[PACKAGE]) else {
        return;
    };
    // The client waits for jobs by the real clock.
    let mut options = FakeOptions::plain(Clock::system());
    options.transport = Transport::Tls;
    let fake = paloalto::fake::start(options.set("others", 620))
        .await
        .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panos/drive.py");
    let mut command = python.script(&script);
    command
        .arg(&fake.server.url)
        .arg(fake.configuration["api_key"].as_str().unwrap());
    official::run(&mut command);
}
