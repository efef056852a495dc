//! The one test binary: the contract suite, the fake's conformance, the client against the fake, the
//! shapes of requests, and what whole runs cost.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, and tell the person who runs them"
)]

mod actions;
mod client;
mod conformance;
mod raw;
mod requests;
mod whole;

use sdk::fake::Switches;
use sdk::testing::{SuiteOptions, run_combination, run_suite};

/// Every scenario with every switch that concerns the mechanism at its default, at every position alone, at
/// all the harshest, and at seeded random combinations.
#[tokio::test]
async fn blocklist_keeps_the_contract() {
    let options = SuiteOptions::default().setting("switches_of", "blocklist");
    run_suite(sentinelone::connector(), "blocklist", &options)
        .await
        .assert_passed();
}

#[tokio::test]
async fn ioc_keeps_the_contract() {
    let options = SuiteOptions::default().setting("switches_of", "ioc");
    run_suite(sentinelone::connector(), "ioc", &options)
        .await
        .assert_passed();
}

/// The same in a site, which the console lists and deletes through its account.
#[tokio::test]
async fn a_site_keeps_the_contract() {
    for mechanism in ["blocklist", "ioc"] {
        let options = SuiteOptions::default().setting("level", "site");
        run_combination(
            sentinelone::connector(),
            mechanism,
            Switches::default(),
            &options,
        )
        .await
        .assert_passed();
    }
}
