//! The one test binary: the contract suite on every mechanism and every position of the fake's switches, what
//! whole runs cost, and other people's Python clients.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking, and tell the person who runs them"
)]

mod clients;
mod whole;

use sdk::connector::Connector;
use sdk::fake::Switches;
use sdk::target::Capabilities;
use sdk::testing::{SuiteOptions, run_combination, run_suite};

#[tokio::test]
async fn push_feed() {
    let options = SuiteOptions::default()
        .setting("switches_of", "push-feed")
        .setting("lists", false);
    run_suite(fortinet::connector(), "push-feed", &options)
        .await
        .assert_passed();
}

#[tokio::test]
async fn address_group() {
    let options = SuiteOptions::default().setting("switches_of", "address-group");
    run_suite(fortinet::connector(), "address-group", &options)
        .await
        .assert_passed();
}

/// The oldest firmware: groups that cannot be empty, no push feeds.
#[tokio::test]
async fn address_group_on_6_4() {
    // What a firewall says to the emptying of a group only matters where one is emptied.
    for (code, scenarios) in [("-20", ""), ("-56", "withdrawal")] {
        let switches = Switches::default().with("empty-group-code", code);
        let options = SuiteOptions::default()
            .setting("profile", "6.4.14")
            .only(scenarios);
        run_combination(fortinet::connector(), "address-group", switches, &options)
            .await
            .assert_passed();
    }
}

/// Firmware that tells limits otherwise, and pages that do not hold a feed.
#[tokio::test]
async fn push_feed_on_other_firmware() {
    for profile in ["7.2.5", "7.6.5"] {
        let options = SuiteOptions::default()
            .setting("profile", profile)
            .setting("lists", false)
            .setting("entry_page", 10);
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

/// Bans that the device made itself end and come by themselves: they have tests of their own.
#[tokio::test]
async fn ban() {
    let options = SuiteOptions::default()
        .setting("switches_of", "ban")
        .setting("device_bans", false);
    run_suite(fortinet::connector(), "ban", &options)
        .await
        .assert_passed();
}

/// Without pushed feeds beside the lists: counting them costs a call for each.
#[tokio::test]
async fn feed() {
    let options = SuiteOptions::default()
        .setting("switches_of", "feed")
        .setting("feeds", false);
    run_suite(fortinet::connector(), "feed", &options)
        .await
        .assert_passed();
}

/// Address groups as they are through a FortiManager: stored in its ADOM, enforced by an install.
fn managed() -> Connector {
    let connector = fortinet::connector();
    let direct = connector
        .mechanisms
        .iter()
        .find(|mechanism| mechanism.mechanism == "address-group")
        .unwrap();
    let capabilities: &'static Capabilities = Box::leak(Box::new(Capabilities {
        write_batch: 500,
        remove_batch: 500,
        staged: true,
        ..(*direct).clone()
    }));
    Connector {
        mechanisms: Box::leak(Box::new([capabilities])),
        ..connector
    }
}

#[tokio::test]
async fn address_group_through_a_manager() {
    let options = SuiteOptions::default()
        .setting("switches_of", "manager")
        .setting("manager", "password");
    run_suite(managed(), "address-group", &options)
        .await
        .assert_passed();
}

/// A token has no session that could end, and this ADOM needs no lock.
#[tokio::test]
async fn address_group_through_a_manager_with_a_token_and_without_locks() {
    let options = SuiteOptions::default()
        .setting("manager", "token")
        .setting("workspace_mode", "disabled");
    run_combination(managed(), "address-group", Switches::default(), &options)
        .await
        .assert_passed();
}

/// Bans go through the manager's proxy.
#[tokio::test]
async fn ban_through_a_manager() {
    let options = SuiteOptions::default()
        .setting("device_bans", false)
        .setting("manager", "password");
    run_combination(fortinet::connector(), "ban", Switches::default(), &options)
        .await
        .assert_passed();
}
