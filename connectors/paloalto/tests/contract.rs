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

/// The only capacity that a device tells is its model's.
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

/// A key that is made of name and password, and ends in the middle; behind Panorama.
#[tokio::test]
async fn tags_with_a_password_behind_panorama() {
    for keygen in ["stable", "rotating"] {
        let switches = Switches::default().with("keygen", keygen);
        for scenario in [
            "session_expires",
            "creation",
            "idempotence",
            "no_secret_told",
        ] {
            let options = SuiteOptions::default()
                .only(scenario)
                .setting("login", "password")
                .setting("panorama", vec!["012801000001"]);
            run_combination(paloalto::connector(), "tags", switches.clone(), &options)
                .await
                .assert_passed();
        }
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
