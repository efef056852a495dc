//! What every connector must do, on both mechanisms and every position of the fake's switches.

use sdk::fake::Switches;
use sdk::testing::{SuiteOptions, run_combination, run_suite};

#[tokio::test]
async fn push_feed() {
    run_suite(fortinet::connector(), "push-feed", &SuiteOptions::default())
        .await
        .assert_passed();
}

#[tokio::test]
async fn address_group() {
    run_suite(
        fortinet::connector(),
        "address-group",
        &SuiteOptions::default(),
    )
    .await
    .assert_passed();
}

/// The oldest firmware: groups that cannot be empty, no push feeds.
#[tokio::test]
async fn address_group_on_6_4() {
    for code in ["-56", "-20"] {
        let switches = Switches::default().with("empty-group-code", code);
        let options = SuiteOptions::default().setting("profile", "6.4.14");
        run_combination(fortinet::connector(), "address-group", switches, &options)
            .await
            .assert_passed();
    }
}

/// Firmware that tells limits otherwise, and pages of few entries.
#[tokio::test]
async fn push_feed_on_other_firmware() {
    for profile in ["7.2.5", "7.6.5"] {
        let options = SuiteOptions::default()
            .setting("profile", profile)
            .setting("entry_page", 3);
        run_combination(
            fortinet::connector(),
            "push-feed",
            Switches::default(),
            &options,
        )
        .await
        .assert_passed();
    }
}
