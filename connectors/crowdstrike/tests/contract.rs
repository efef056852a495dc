//! The one test binary: the contract suite, the fake's conformance, the client against the fake, the
//! shapes of requests, what a whole run costs, and the vendor's own Python client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, and tell the person who runs them"
)]

mod client;
mod conformance;
mod falconpy;
mod raw;
mod requests;
mod whole;

use sdk::testing::{SuiteOptions, run_suite};

/// Every scenario with every switch at its default, at every position alone, at all the harshest, and at
/// seeded random combinations.
#[tokio::test]
async fn ioc_keeps_the_contract() {
    run_suite(crowdstrike::connector(), "ioc", &SuiteOptions::default())
        .await
        .assert_passed();
}

/// The same list, written so that nothing is stopped.
#[tokio::test]
async fn ioc_detect_keeps_the_contract() {
    run_suite(
        crowdstrike::connector(),
        "ioc-detect",
        &SuiteOptions::default(),
    )
    .await
    .assert_passed();
}
