//! What every connector must do, on every mechanism and every position of the fake's switches; and what only this
//! vendor has, product by product.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod panos;
mod xdr;

use sdk::fake::Switches;
use sdk::testing::{SuiteOptions, run_combination, run_suite};

async fn suite(mechanism: &str) {
    let options = SuiteOptions::default().setting("mechanism", mechanism);
    run_suite(paloalto::connector(), mechanism, &options)
        .await
        .assert_passed();
}

#[tokio::test]
async fn tags() {
    suite("tags").await;
}

#[tokio::test]
async fn objects() {
    suite("objects").await;
}

#[tokio::test]
async fn edl() {
    suite("edl").await;
}

/// The only capacity that a device tells is its model's: on the model of the suite above the scenario would take 200,000
/// entries.
#[tokio::test]
async fn tags_on_a_small_model() {
    for overflow in ["failed-to-register", "silent"] {
        let switches = Switches::default().with("overflow", overflow);
        let options = SuiteOptions::default()
            .only("capacity")
            .setting("model", "VM-50")
            .setting("others", 0);
        run_combination(paloalto::connector(), "tags", switches, &options)
            .await
            .assert_passed();
    }
}

/// A key that is made of name and password, and ends in the middle; behind Panorama. What a stable one does beside the
/// end of a session, a key that is given does in the suite above.
#[tokio::test]
async fn tags_with_a_password_behind_panorama() {
    for (keygen, scenarios) in [("stable", "session_expires"), ("rotating", "")] {
        let switches = Switches::default().with("keygen", keygen);
        let options = SuiteOptions::default()
            .only(scenarios)
            .setting("login", "password")
            .setting("panorama", vec!["012801000001"]);
        run_combination(paloalto::connector(), "tags", switches, &options)
            .await
            .assert_passed();
    }
}

/// In a device group of a Panorama, pushed to two firewalls.
#[tokio::test]
async fn objects_in_a_device_group() {
    let harshest = ["busy", "progress", "draft"];
    let harshest = harshest
        .into_iter()
        .zip(["twice", "time", "pending"])
        .fold(Switches::default(), |switches, (name, position)| {
            switches.with(name, position)
        });
    for switches in [Switches::default(), harshest] {
        let options = SuiteOptions::default()
            .setting("mechanism", "objects")
            .setting("panorama", vec!["012801000001", "012801000002"])
            .setting("device_group", "Edge EU");
        run_combination(paloalto::connector(), "objects", switches, &options)
            .await
            .assert_passed();
    }
}

/// A device that fetches its lists at their interval by itself.
#[tokio::test]
async fn edl_on_a_device_that_polls() {
    for scenario in ["creation", "expiry", "withdrawal", "wanted_states"] {
        let options = SuiteOptions::default()
            .only(scenario)
            .setting("polls", true);
        run_combination(paloalto::connector(), "edl", Switches::default(), &options)
            .await
            .assert_passed();
    }
}
