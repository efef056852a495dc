//! FortiGate through the binary: a mechanism whose ends only the store knows, and one that marks.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use serde_json::{Value as Json, json};

use crate::support::{Fake, Ran, bundle, indicator, run, run_with_input, write};

/// Both clocks stand a day ahead, so that the later runs may be a little ahead of the device.
const NOW: &str = "+86400s";
const LATER: &str = "+86640s";

fn configure(directory: &Path, fake: &Json, store: &str, mechanism: &str) {
    let firewall = &fake["firewalls"][0];
    write(directory, "key.txt", firewall["api_key"].as_str().unwrap());
    let text = format!(
        r#"
{store}
[collections.c2]
stix = "c2.json"
[targets.edge]
connector = "fortinet"
mechanism = "{mechanism}"
firewalls = [{{ base_ip = {}, vdom = "root", api_key = {{ file = "key.txt" }} }}]
[deployments.acme]
include = ["c2"]
targets = ["edge"]
"#,
        firewall["base_ip"]
    );
    write(directory, "cordon.toml", &text);
}

fn objects(ends: bool) -> String {
    let soon = (Utc::now() + TimeDelta::seconds(86_400 + 100)).to_rfc3339();
    let more = if ends {
        json!({ "valid_until": soon })
    } else {
        json!({})
    };
    bundle(&[
        indicator("[ipv4-addr:value = '8.8.5.1']", &more),
        indicator("[ipv4-addr:value = '8.8.5.2']", &json!({})),
        indicator("[ipv6-addr:value = '2606:4700::77']", &json!({})),
        indicator("[domain-name:value = 'bad.example.net']", &json!({})),
    ])
}

fn sync(directory: &Path, clock: &str) -> (Ran, Json) {
    let ran = run(directory, &["sync", "--output", "json", "--clock", clock]);
    let report = ran.json()["reports"][0].clone();
    (ran, report)
}

/// Syncs, again, after an end, after a withdrawal, and takes all of it down.
fn whole_life(store: &str, mechanism: &str) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http", "--clock", NOW]);
    configure(directory, &fake.configuration, store, mechanism);
    write(directory, "c2.json", &objects(true));
    let (ran, first) = sync(directory, NOW);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        (&first["added"], &first["mechanism"]),
        (&json!(4), &json!(mechanism)),
        "{first}"
    );
    let (ran, second) = sync(directory, NOW);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(second["unchanged"], 4, "{second}");
    assert_eq!(second["requests"]["write"], 0, "{second}");

    let (ran, later) = sync(directory, LATER);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(later["removed"]["expired"], 1, "{later}");
    assert_eq!(later["changes"][0]["value"], "8.8.5.1", "{later}");
    assert!(
        later["warnings"][0].as_str().unwrap().contains("apart"),
        "{later}"
    );
    let none = bundle(&[indicator("[ipv4-addr:value = '8.8.5.2']", &json!({}))]);
    write(directory, "c2.json", &none);
    let (ran, withdrawn) = sync(directory, LATER);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(withdrawn["removed"]["withdrawn"], 2, "{withdrawn}");
    let (_, quiet) = sync(directory, LATER);
    assert_eq!(quiet["requests"]["write"], 0, "{quiet}");
    let retired = run(
        directory,
        &["retire", "acme", "--output", "json", "--clock", LATER],
    );
    assert_eq!(retired.code, Some(0), "{retired:?}");
    assert_eq!(
        retired.json()["reports"][0]["removed"]["withdrawn"],
        1,
        "{retired:?}"
    );
}

#[test]
fn a_push_feed_with_a_store_lives_and_ends() {
    whole_life("[store]\nurl = \"sqlite:cordon.db\"", "push-feed");
}

#[test]
fn address_groups_carry_their_marks_without_a_store() {
    whole_life("", "address-group");
}

#[test]
fn firewalls_behind_one_address_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http", "--set", "devices=2"]);
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!("address-group");
    let input = json!({ "arguments": { "values": ["8.8.5.1"] }, "configuration": configuration });
    let ran = run_with_input(directory, &["run", "fortinet", "block"], &input.to_string());
    let report = ran.json();
    let ports = configuration["firewalls"].as_array().unwrap().iter();
    let mut names: Vec<String> = ports
        .map(|firewall| {
            let host = firewall["base_ip"].as_str().unwrap();
            format!("127.0.0.1/root ({})", host.strip_prefix("http://").unwrap())
        })
        .collect();
    names.sort();
    for (rows, field) in [("devices", "name"), ("changes", "device")] {
        let rows = report[rows].as_array().unwrap().iter();
        let mut told: Vec<&str> = rows.map(|row| row[field].as_str().unwrap()).collect();
        told.sort_unstable();
        assert_eq!(told, names, "{report}");
    }
}

#[test]
fn what_a_changed_mechanism_leaves_behind_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http", "--clock", NOW]);
    let store = "[store]\nurl = \"sqlite:cordon.db\"";
    configure(directory, &fake.configuration, store, "address-group");
    write(directory, "c2.json", &objects(false));
    let (ran, report) = sync(directory, NOW);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["orphans"], json!([]), "{ran:?}");
    let added = &report["added"];
    configure(directory, &fake.configuration, store, "push-feed");
    let (ran, _) = sync(directory, NOW);
    let left = ran.json()["orphans"].clone();
    assert_eq!(
        (left.as_array().unwrap().len(), &left[0]["entries"]),
        (1, added),
        "{ran:?}"
    );
    assert_eq!(
        (&left[0]["owner"], &left[0]["reachable"]),
        (&json!("acme"), &json!(false))
    );
    let plan = run(directory, &["plan", "--clock", NOW]);
    assert!(
        plan.stdout
            .contains("which no target of the configuration is any more"),
        "{plan:?}"
    );
    // What is out of reach is not taken down, and that is said.
    let retired = run(directory, &["retire", "acme", "--clock", NOW]);
    assert_eq!(retired.code, Some(4), "{retired:?}");
    assert!(
        retired.stdout.contains("nobody takes them down"),
        "{retired:?}"
    );
    // With the mechanism back they go.
    configure(directory, &fake.configuration, store, "address-group");
    let retired = run(directory, &["retire", "edge", "--clock", NOW]);
    assert_eq!(retired.code, Some(0), "{retired:?}");
    let plan = run(directory, &["plan", "--output", "json", "--clock", NOW]);
    assert_eq!(plan.json()["orphans"], json!([]), "{plan:?}");
}

#[test]
fn check_says_in_one_table_what_is_there_and_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http"]);
    configure(directory, &fake.configuration, "", "push-feed");
    let without = run(directory, &["check", "--output", "json"]).json();
    assert_eq!(
        without["status"], "warning",
        "a push feed without a store: {without}"
    );
    let store = "[store]\nurl = \"sqlite:cordon.db\"";
    configure(directory, &fake.configuration, store, "push-feed");
    let ran = run(directory, &["check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let table: Vec<&str> = ran.stdout.lines().collect();
    assert!(table[0].starts_with("target"), "{ran:?}");
    for word in ["edge", "push-feed", "version", "clock", "policy", "hint: "] {
        assert!(ran.stdout.contains(word), "no {word:?} in {ran:?}");
    }
    let json = run(directory, &["check", "edge", "--output", "json"]).json();
    assert_eq!(json["status"], "ok", "{json}");
    assert_eq!(json["targets"][0]["target"], "edge");

    let unknown = run(directory, &["check", "egde"]);
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(
        unknown.stderr.contains("hint: known are edge"),
        "{unknown:?}"
    );

    write(directory, "key.txt", "not-the-key");
    let refused = run(directory, &["check", "--output", "json"]);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert_eq!(refused.json()["status"], "missing", "{refused:?}");
}

#[test]
fn a_store_of_the_real_clock_stays_as_it_is_under_a_moved_one() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http"]);
    let store = "[store]\nurl = \"sqlite:cordon.db\"";
    configure(directory, &fake.configuration, store, "push-feed");
    write(directory, "c2.json", &objects(true));
    assert_eq!(run(directory, &["sync"]).code, Some(0));
    // A plan looks ahead through a copy of the store; a run gets an empty one, in which nothing there is
    // proven ours.
    let plan = run(directory, &["plan", "--output", "json", "--clock", "+2d"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert_eq!(
        plan.json()["reports"][0]["removed"]["expired"],
        1,
        "{plan:?}"
    );
    let moved = run(directory, &["sync", "--output", "json", "--clock", "+2d"]);
    assert!(
        moved.stderr.contains("uses an empty scratch store"),
        "{moved:?}"
    );
    let report = &moved.json()["reports"][0];
    assert_eq!(report["requests"]["write"], 0, "{report}");
    let history = run(directory, &["history", "--output", "json"]).json();
    assert_eq!(history["runs"].as_array().unwrap().len(), 1, "{history}");
    let again = run(directory, &["sync", "--output", "json"]).json();
    assert_eq!(again["reports"][0]["unchanged"], 4, "{again}");
}

#[test]
fn an_end_that_nobody_would_know_is_refused_without_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http"]);
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!("push-feed");
    let block = json!({ "values": ["8.8.5.1"], "valid_for": 1 });
    let input = json!({ "arguments": block, "configuration": configuration }).to_string();
    let refused = run_with_input(directory, &["run", "fortinet", "block"], &input);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.stdout.contains("store"), "{refused:?}");
    let stored = run_with_input(
        directory,
        &["run", "fortinet", "block", "--store", "sqlite:ledger.db"],
        &input,
    );
    assert_eq!(stored.code, Some(0), "{stored:?}");
    assert_eq!(stored.json()["added"], 1, "{stored:?}");
}
