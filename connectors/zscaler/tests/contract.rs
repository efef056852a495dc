//! The one test binary: the contract suite, the fake's conformance, the client against the fake, staging under
//! kills, what a whole run costs, and the vendor's own Python client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, and tell the person who runs them"
)]

mod client;
mod conformance;
mod raw;
mod sdk_python;
mod staging;
mod whole;

use sdk::fake::Switches;
use sdk::ownership::{Owner, container_mark};
use sdk::testing::{SuiteOptions, run_combination, run_suite};

/// Every scenario with every switch at its default, at every position alone, at all the harshest, and at
/// seeded random combinations; a legacy login, whose sessions end in an activation.
#[tokio::test]
async fn url_category_keeps_the_contract() {
    run_suite(
        zscaler::connector(),
        "url-category",
        &SuiteOptions::default(),
    )
    .await
    .assert_passed();
}

/// The same beside entries that an administrator made by hand in a category of ours. Without addresses: IP
/// ranges have no verb, and one that is taken out by hand between our reading and writing comes back.
#[tokio::test]
async fn url_category_keeps_the_contract_beside_entries_made_by_hand() {
    let owner = Owner::new("shared").unwrap();
    let mark = container_mark("main", &owner, "cordon-01");
    for position in ["no-op", "409"] {
        let switches = Switches::default().with("duplicate-add", position);
        let options = SuiteOptions::default()
            .setting("category", mark.clone())
            .setting("ipv4", false);
        run_combination(zscaler::connector(), "url-category", switches, &options)
            .await
            .assert_passed();
    }
}

/// The same for the denylist.
#[tokio::test]
async fn denylist_keeps_the_contract() {
    run_suite(zscaler::connector(), "denylist", &SuiteOptions::default())
        .await
        .assert_passed();
}

/// Both mechanisms behind the two OneAPI logins.
#[tokio::test]
async fn oneapi_keeps_the_contract() {
    for login in ["oneapi", "oneapi-key"] {
        for mechanism in ["url-category", "denylist"] {
            let options = SuiteOptions::default().setting("login", login);
            run_combination(
                zscaler::connector(),
                mechanism,
                Switches::default(),
                &options,
            )
            .await
            .assert_passed();
        }
    }
}
