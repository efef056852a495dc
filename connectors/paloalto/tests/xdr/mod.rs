//! Cortex XDR: the fake's conformance, the client against the fake, what a whole run costs, and the contract suite.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, and tell the person who runs them"
)]

mod client;
mod conformance;
mod ledger;
mod raw;
mod whole;

use sdk::testing::{SuiteOptions, run_suite};

/// Every scenario with every switch at its default, at every position alone, at all the harshest, and at seeded
/// random combinations.
async fn keeps_the_contract(mechanism: &str) {
    let options = SuiteOptions::default().setting("mechanism", mechanism);
    run_suite(paloalto::connector(), mechanism, &options)
        .await
        .assert_passed();
}

#[tokio::test]
async fn xdr_blocklist_keeps_the_contract() {
    keeps_the_contract("xdr-blocklist").await;
}

#[tokio::test]
async fn xdr_ioc_keeps_the_contract() {
    keeps_the_contract("xdr-ioc").await;
}
