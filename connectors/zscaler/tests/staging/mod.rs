//! Staging under the worst of conditions: whatever publishes half a run, nothing excluded is blocked and
//! nothing wanted that was there is missing; and the three ways to activate.

use std::net::Ipv4Addr;

use sdk::fake::{Fault, FaultAction};
use sdk::indicator::{Indicator, Kind, Value};
use sdk::report::{Status, Verified};
use sdk::testing::builders::indicator;
use serde_json::{Value as Json, json};

use crate::raw::{Lab, domains, lab};

const FIRST: [&str; 6] = ["e0.org", "e1.org", "k0.org", "k1.org", "w0.org", "w1.org"];

/// A network and what is left of it without the excluded address.
const WHOLE: &str = "45.83.0.0/24";
const EXCLUDED: &str = "45.83.0.7";

fn addresses(texts: &[&str]) -> Vec<Indicator> {
    let parse = |text: &&str| Value::parse(Kind::Ipv4, text).unwrap();
    let built = |value| indicator(&value).build();
    texts.iter().map(parse).map(built).collect()
}

/// Whether entries block an address of the network.
fn covers(entries: &[String], last: u8) -> bool {
    let address = Ipv4Addr::new(45, 83, 0, last);
    let covering = |entry: &String| match Value::parse(Kind::Ipv4, entry) {
        Ok(Value::Ipv4(network)) => network.contains(&address),
        _ => false,
    };
    entries.iter().any(covering)
}

/// Keeps `k`, excludes `e` and one address of the network, withdraws `w`, adds `n`.
async fn second_run(lab: &Lab, more: Json) -> sdk::report::Report {
    let mut wanted = domains(&[
        "e0.org", "e1.org", "k0.org", "k1.org", "n0.org", "n1.org", "n2.org",
    ]);
    let mut excluded = domains(&["e0.org", "e1.org"]);
    if more["ipv4"] == true {
        wanted.extend(addresses(&[WHOLE]));
        excluded.extend(addresses(&[EXCLUDED]));
    }
    lab.run(more, true, wanted, excluded).await
}

async fn killed_at(mechanism: &str, login: &str, after: usize, applied: bool) -> bool {
    let lab = lab(&[("token-end", "activates")], &[("login", json!(login))]).await;
    let networks = mechanism == "url-category";
    let more =
        || json!({ "mechanism": mechanism, "batch": 2, "category_size": 4, "ipv4": networks });
    let mut first = domains(&FIRST);
    if networks {
        first.extend(addresses(&[WHOLE]));
    }
    let report = lab.run(more(), true, first, Vec::new()).await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    lab.advance(3_600);
    let action = if applied {
        FaultAction::ResetAfter
    } else {
        FaultAction::ResetBefore
    };
    lab.fake.server.fault(Fault::new(action).after(after));
    lab.fake.server.fault(
        Fault::new(FaultAction::ResetBefore)
            .after(after)
            .times(usize::MAX),
    );
    second_run(&lab, more()).await;
    let through = lab.fake.server.faults.waiting() == 2;
    lab.fake.server.faults.clear();
    // The run is dead, and the vendor publishes what it left.
    lab.fake.state.expire_sessions();
    let enforced = lab.enforced(mechanism);
    let place = format!("{mechanism}, {login}, killed at call {after}: {enforced:?}");
    // A run that was killed before it could write anything leaves the excluded as they were.
    let wrote = ["n0.org", "n1.org", "n2.org"]
        .iter()
        .any(|name| enforced.contains(&(*name).to_owned()));
    let removed =
        !enforced.contains(&"w0.org".to_owned()) || !enforced.contains(&"w1.org".to_owned());
    if wrote || removed {
        assert!(
            !enforced.iter().any(|name| name.starts_with('e')),
            "{place}"
        );
        assert!(!covers(&enforced, 7), "{place}");
    }
    for address in (0..=255).filter(|address| networks && *address != 7) {
        assert!(covers(&enforced, address), "{address} is missing: {place}");
    }
    if removed {
        assert!(
            ["n0.org", "n1.org", "n2.org"]
                .iter()
                .all(|name| enforced.contains(&(*name).to_owned())),
            "{place}"
        );
    }
    for kept in ["k0.org", "k1.org"] {
        assert!(enforced.contains(&kept.to_owned()), "{place}");
    }
    let report = second_run(&lab, more()).await;
    assert_eq!(report.status, Status::Ok, "{place}: {report:?}");
    let (networks, names): (Vec<String>, Vec<String>) = lab
        .enforced(mechanism)
        .into_iter()
        .partition(|entry| entry.starts_with("45."));
    assert_eq!(
        names,
        ["k0.org", "k1.org", "n0.org", "n1.org", "n2.org"],
        "{place}"
    );
    assert!(!covers(&networks, 7), "{place}");
    through
}

#[tokio::test]
async fn whatever_is_published_half_way_is_safe() {
    for (mechanism, login) in [
        ("url-category", "legacy"),
        ("url-category", "oneapi"),
        ("denylist", "legacy"),
        ("denylist", "oneapi"),
    ] {
        for applied in [false, true] {
            let mut after = 0;
            while !killed_at(mechanism, login, after, applied).await {
                after += 1;
                assert!(after < 40, "the run never got through");
            }
            assert!(after > 8, "{mechanism}: only {after} calls were tried");
        }
    }
}

/// Between two writes the session ends: what was staged goes live, in an order that is safe.
#[tokio::test]
async fn item_4_a_session_that_ends_between_two_writes() {
    for mechanism in ["url-category", "denylist"] {
        for write in 0..5 {
            let lab = lab(&[], &[]).await;
            let more = || json!({ "mechanism": mechanism, "batch": 2 });
            lab.sync(more(), &FIRST).await;
            let state = std::sync::Arc::clone(&lab.fake.state);
            let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let view = std::sync::Arc::clone(&seen);
            let name = mechanism;
            let pass = Fault::new(FaultAction::Slow(std::time::Duration::ZERO)).after(write);
            let path = "action=";
            let method = if mechanism == "denylist" {
                "POST"
            } else {
                "PUT"
            };
            lab.fake.server.fault(pass.on(method, path).also(move || {
                state.expire_sessions();
                let entries = state.enforced(name);
                *view.lock().unwrap() = entries
                    .iter()
                    .map(|entry| entry.value.to_string())
                    .collect();
            }));
            let report = second_run(&lab, more()).await;
            assert_eq!(report.status, Status::Ok, "{report:?}");
            let seen: Vec<String> = seen.lock().unwrap().clone();
            if write > 0 && !seen.is_empty() {
                assert!(
                    !seen.iter().any(|name| name.starts_with('e')),
                    "{mechanism} {write}: {seen:?}"
                );
                assert!(seen.contains(&"k0.org".to_owned()) && seen.contains(&"k1.org".to_owned()));
            }
            assert_eq!(
                lab.enforced(mechanism),
                ["k0.org", "k1.org", "n0.org", "n1.org", "n2.org"]
            );
        }
    }
}

fn activations(lab: &Lab) -> usize {
    lab.fake
        .server
        .log
        .count(|call| call.path.ends_with("/status/activate"))
}

#[tokio::test]
async fn always_tells_of_others_changes_and_publishes_them() {
    let lab = lab(&[], &[]).await;
    lab.stage_foreign("theirs.org").await;
    let report = lab
        .sync(
            json!({ "mechanism": "denylist", "activate": "always" }),
            &["ours.org"],
        )
        .await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Yes),
        "{report:?}"
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("not ours") && warning.contains("PENDING")),
        "{report:?}"
    );
    assert_eq!(lab.enforced("denylist"), ["ours.org", "theirs.org"]);
}

#[tokio::test]
async fn own_waits_for_others_and_says_so() {
    let lab = lab(&[], &[("login", json!("oneapi"))]).await;
    let more = || json!({ "mechanism": "denylist", "activate": "own" });
    lab.stage_foreign("theirs.org").await;
    let report = lab.sync(more(), &["ours.org"]).await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Pending),
        "{report:?}"
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("nothing is activated")),
        "{report:?}"
    );
    assert_eq!((lab.enforced("denylist").len(), activations(&lab)), (0, 0));
    lab.send("POST", "/fake/activate", &[], "").await;
    let report = lab.sync(more(), &["ours.org", "more.org"]).await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Yes),
        "{report:?}"
    );
    assert_eq!(
        lab.enforced("denylist"),
        ["more.org", "ours.org", "theirs.org"]
    );
    assert_eq!(activations(&lab), 1);
}

#[tokio::test]
async fn own_activates_what_a_dead_run_of_ours_owes() {
    let lab = lab(&[], &[("login", json!("oneapi"))]).await;
    let more = || json!({ "mechanism": "denylist", "activate": "own" });
    lab.fake.server.fault(
        Fault::new(FaultAction::ResetBefore)
            .on("POST", "status/activate")
            .times(usize::MAX),
    );
    let report = lab.sync(more(), &["ours.org"]).await;
    assert_eq!(report.verified, Verified::Pending, "{report:?}");
    assert!(
        report.devices[0]
            .error
            .as_deref()
            .unwrap_or_default()
            .contains("+ours.org"),
        "it is named: {report:?}"
    );
    lab.fake.server.faults.clear();
    let report = lab.sync(more(), &["ours.org"]).await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Yes),
        "{report:?}"
    );
    assert_eq!(lab.enforced("denylist"), ["ours.org"]);
}

/// What is staged is the tenant's: an activation that one mechanism owes is owed by the other too, also where an earlier
/// version noted it by the mechanism's own key.
#[tokio::test]
async fn an_activation_that_one_mechanism_owes_the_other_makes_good() {
    for old_note in [false, true] {
        let lab = lab(&[], &[("login", json!("oneapi"))]).await;
        let more = |mechanism: &str| json!({ "mechanism": mechanism, "activate": "own" });
        lab.fake.server.fault(
            Fault::new(FaultAction::ResetBefore)
                .on("POST", "status/activate")
                .times(usize::MAX),
        );
        let report = lab.sync(more("url-category"), &["ours.org"]).await;
        assert_eq!(report.verified, Verified::Pending, "{report:?}");
        lab.fake.server.faults.clear();
        if old_note {
            for note in lab.store.list("owed/").await.unwrap().into_keys() {
                lab.store.set(&note, None).await.unwrap();
            }
            let key = lab.target(more("url-category")).key().to_string();
            let note = format!("owed/{key}");
            lab.store.set(&note, Some("a run")).await.unwrap();
        }
        let report = lab.sync(more("denylist"), &["more.org"]).await;
        assert_eq!(
            (report.status, report.verified),
            (Status::Ok, Verified::Yes),
            "{old_note}: {report:?}"
        );
        assert_eq!(lab.enforced("url-category"), ["ours.org"]);
        assert_eq!(lab.enforced("denylist"), ["more.org"]);
        assert!(lab.store.list("owed/").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn two_mechanisms_of_a_tenant_are_not_at_work_at_once() {
    let lab = lab(&[], &[]).await;
    let more = |mechanism: &str| json!({ "mechanism": mechanism });
    let target = lab.target(more("url-category"));
    let shared = target.staged().unwrap().shared().unwrap();
    let now = lab.clock.now();
    let until = now + chrono::TimeDelta::minutes(3);
    assert!(lab.store.lease(&shared, "other", now, until).await.unwrap());
    for mechanism in ["url-category", "denylist"] {
        let report = lab.sync(more(mechanism), &["ours.org"]).await;
        assert_eq!(report.status, Status::Failed);
        let error = report.error.unwrap_or_default();
        assert!(error.contains("another run"), "{error}");
    }
    lab.store.unlease(&shared, "other").await.unwrap();
    let both = json!({ "mechanism": { "domain": "url-category", "url": "denylist" } });
    let report = lab.sync(both, &["ours.org"]).await;
    assert_eq!(report.status, Status::Ok, "one after the other: {report:?}");
}

#[tokio::test]
async fn never_means_not_by_us_and_the_report_says_what_a_session_does() {
    for (login, told) in [("legacy", true), ("oneapi", false)] {
        let lab = lab(&[], &[("login", json!(login))]).await;
        let more = || json!({ "mechanism": "denylist", "activate": "never" });
        let report = lab.sync(more(), &["ours.org"]).await;
        assert_eq!(
            (report.status, report.verified),
            (Status::Ok, Verified::Pending),
            "{report:?}"
        );
        let said = report
            .warnings
            .iter()
            .any(|warning| warning.contains("end of a legacy session"));
        assert_eq!(said, told, "{report:?}");
        assert_eq!((lab.enforced("denylist").len(), activations(&lab)), (0, 0));
        let logged_out = lab.fake.server.log.count(|call| call.method == "DELETE");
        assert_eq!(logged_out, 0, "ending the session would activate it");
        lab.advance(400);
        assert_eq!(
            lab.enforced("denylist").len(),
            usize::from(told),
            "the session ran out"
        );
    }
}

#[tokio::test]
async fn item_33_a_queued_activation_ends_the_run_in_bounded_time() {
    let lab = lab(&[], &[("queued", json!(true)), ("login", json!("oneapi"))]).await;
    lab.stage_foreign("theirs.org").await;
    let before = lab.clock.now();
    let more = || json!({ "mechanism": "denylist" });
    let report = lab.sync(more(), &["ours.org"]).await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Partial, Verified::Pending),
        "{report:?}"
    );
    let told = format!("{:?}", report.devices[0]);
    assert!(
        told.contains("+ours.org") && told.contains("queued"),
        "{told}"
    );
    assert!((lab.clock.now() - before).num_seconds() < 300);
    lab.send("POST", "/fake/activate", &[], "").await;
    let report = lab.sync(more(), &["ours.org"]).await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Yes),
        "{report:?}"
    );
}

#[tokio::test]
async fn item_6_a_session_of_a_dead_run_is_waited_for() {
    let lab = crate::raw::session(&[("second-session", "409")], &[]).await;
    let report = lab
        .sync(json!({ "mechanism": "denylist" }), &["ours.org"])
        .await;
    assert_eq!(
        (report.status, report.verified),
        (Status::Ok, Verified::Yes),
        "{report:?}"
    );
    assert_eq!(lab.enforced("denylist"), ["ours.org"]);
    assert!(activations(&lab) <= 2);
}

#[tokio::test]
async fn the_session_is_ended_after_the_activation_alone() {
    let lab = lab(&[], &[]).await;
    let more = || json!({ "mechanism": "denylist" });
    lab.sync(more(), &["ours.org"]).await;
    let calls = lab.fake.server.log.all();
    let place = |find: &dyn Fn(&sdk::fake::Call) -> bool| calls.iter().position(find).unwrap();
    let logout = place(&|call| call.method == "DELETE");
    assert!(logout > place(&|call| call.path.ends_with("/status/activate")));
    assert_eq!(logout, calls.len() - 1, "after the look back");
    lab.fake.server.log.clear();
    lab.sync(more(), &["ours.org"]).await;
    assert_eq!(
        lab.fake.server.log.count(|call| call.method == "DELETE"),
        0,
        "nothing was activated"
    );
}
