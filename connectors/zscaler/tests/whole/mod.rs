//! Whole runs: what they cost in calls.

use std::collections::BTreeMap;

use sdk::indicator::{Indicator, Kind};
use sdk::report::{Status, Verified};
use sdk::testing::builders::{indicator, value};
use serde_json::json;

use crate::raw::{Lab, lab};

fn names(count: usize) -> Vec<Indicator> {
    (0..count)
        .map(|number| indicator(&value(Kind::Domain, number)).build())
        .collect()
}

/// Calls by method and path, counted since the last look.
fn counted(lab: &Lab) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in lab.fake.server.log.all() {
        let path = call
            .path
            .trim_start_matches("/api/v1/")
            .trim_start_matches("/zia/api/v1/");
        let path = if path.starts_with("urlCategories/CUSTOM") {
            "urlCategories/id"
        } else {
            path
        };
        *counts.entry(format!("{} {path}", call.method)).or_insert(0) += 1;
    }
    lab.fake.server.log.clear();
    println!("{} calls: {counts:?}", counts.values().sum::<usize>());
    counts
}

/// A login, the list, the quota, what is pending, one write, one activation and its end, a look back, a
/// logout. Nothing to do: the first four.
#[tokio::test]
async fn a_thousand_names_cost_no_call_too_many() {
    for (mechanism, login) in [
        ("url-category", "legacy"),
        ("denylist", "legacy"),
        ("url-category", "oneapi"),
        ("denylist", "oneapi"),
    ] {
        let lab = lab(&[], &[("login", json!(login))]).await;
        let more = || json!({ "mechanism": mechanism });
        println!("{mechanism}, {login}");
        let session = usize::from(login == "legacy");
        for (wanted, added, removed, calls) in
            [(1_000, 1_000, 0, 6), (1_000, 0, 0, 3), (0, 0, 1_000, 6)]
        {
            lab.advance(60);
            let report = lab.run(more(), true, names(wanted), Vec::new()).await;
            assert_eq!(
                (report.status, report.verified),
                (Status::Ok, Verified::Yes),
                "{report:?}"
            );
            assert_eq!((report.added, report.removed.withdrawn), (added, removed));
            let mut counts = counted(&lab);
            // Asked for before the first write, and until the activation is through.
            let asked = counts.remove("GET status");
            assert!(matches!(asked, Some(1..=5)), "{asked:?}");
            let closing = if added + removed > 0 { session } else { 0 };
            assert_eq!(
                counts.values().sum::<usize>(),
                calls + closing,
                "{counts:?}"
            );
            assert!(counts.values().all(|count| *count <= 2), "{counts:?}");
        }
    }
}

/// Five writes of 5,000, within the documented windows: what takes the time is the activation.
#[tokio::test]
async fn twenty_five_thousand_names_take_five_writes() {
    let lab = lab(&[], &[("login", json!("oneapi"))]).await;
    let began = lab.clock.now();
    let report = lab.run(json!({}), true, names(25_000), Vec::new()).await;
    assert_eq!(
        (report.status, report.added),
        (Status::Ok, 25_000),
        "{:?}",
        report.error
    );
    assert_eq!(report.requests.write, 6, "and one activation");
    assert_eq!(report.requests.retried, 0, "no window was hit");
    let seconds = (lab.clock.now() - began).num_seconds();
    println!(
        "25,000 names: {} calls, {seconds} s by the clock",
        report.requests.read + report.requests.write
    );
    assert!(seconds <= 15, "{seconds} s");
}
