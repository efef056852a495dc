//! The client against the fake: what no uniform suite can know about Falcon.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::ErrorKind;
use sdk::connector::Environment;
use sdk::fake::{Call, Fault, FaultAction, Switches};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Facts, Held, Level, Outcome, Removal, Scope, Target, Write};
use serde_json::{Value as Json, json};

use crate::raw::{ENTITIES, Lab, hash, lab, lab_with, options, start_time, with};

fn target(lab: &Lab, more: Json) -> Arc<dyn Target> {
    let mut configuration = lab.fake.configuration.clone();
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    let targets =
        (crowdstrike::connector().targets)(configuration, &Environment::new(lab.clock.clone()))
            .unwrap();
    assert_eq!(targets.len(), 1);
    targets.into_iter().next().unwrap()
}

fn sha256(number: usize) -> Value {
    Value::parse(Kind::Sha256, &format!("{number:064x}")).unwrap()
}

fn write(value: Value) -> Write {
    let expires = Some(start_time() + TimeDelta::days(3));
    Write {
        value,
        id: None,
        expires,
        note: "note".to_owned(),
        held_expires: None,
        held_note: None,
        note_and_end_only: false,
    }
}

fn writes(count: usize) -> Vec<Write> {
    (0..count).map(|number| write(sha256(number))).collect()
}

fn change(held: &Held, note: &str, expires: Option<DateTime<Utc>>) -> Write {
    let (id, held_expires) = (Some(held.id.clone()), held.expires);
    Write {
        value: held.value.clone(),
        id,
        expires,
        note: note.to_owned(),
        held_expires,
        held_note: held.note.clone(),
        note_and_end_only: false,
    }
}

fn removals(held: &[Held]) -> Vec<Removal> {
    held.iter()
        .map(|held| Removal {
            id: held.id.clone(),
            value: held.value.clone(),
        })
        .collect()
}

async fn add(target: &dyn Target, writes: &[Write]) {
    for chunk in writes.chunks(target.capabilities().write_batch) {
        let outcomes = target.apply(Batch::Add(chunk)).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Done)),
            "{outcomes:?}"
        );
    }
}

fn names(outcomes: &[Outcome]) -> Vec<&'static str> {
    let name = |outcome: &Outcome| match outcome {
        Outcome::Done => "done",
        Outcome::Rejected(_) => "rejected",
        Outcome::NotApplied(_) => "not applied",
        Outcome::Exists => "exists",
        Outcome::Failed(_) => "failed",
        Outcome::Unknown(_) => "unknown",
    };
    outcomes.iter().map(name).collect()
}

fn combinations() -> Vec<(String, Switches)> {
    let switches = crowdstrike_switches();
    let seed = 20_250_601;
    println!("seed {seed}");
    Switches::combinations(&switches, 20, seed)
}

fn crowdstrike_switches() -> Vec<sdk::fake::Switch> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { lab(&[]).await.fake.state.switches() })
}

/// Adds, reads back, updates and removes at every combination of switches, and leaves others alone.
#[test]
fn every_switch_position_lets_entries_come_and_go() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, switches) in combinations() {
        runtime.block_on(come_and_go(&name, switches));
    }
}

async fn come_and_go(name: &str, switches: Switches) {
    let lab = lab_with(&[], |options| {
        let mut options = options.set("foreign", true);
        options.switches = switches.clone();
        options
    })
    .await;
    let target = target(&lab, json!({}));
    let facts = target.open().await.unwrap();
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings.iter().all(|finding| finding.level == Level::Ok),
        "{name}: {findings:?}"
    );
    let before = target.list(Scope::All).await.unwrap();
    let enforced = lab.fake.state.enforced("ioc");

    add(&*target, &writes(250)).await;
    let mut listed = target.list(Scope::All).await.unwrap();
    listed.retain(|held| held.note.as_deref() == Some("note"));
    assert_eq!(listed.len(), 250, "{name}");
    assert!(
        listed
            .iter()
            .all(|held| held.conforms && held.blocks && held.writable && !held.allows),
        "{name}"
    );
    assert!(
        listed
            .iter()
            .all(|held| held.expires == Some(start_time() + TimeDelta::days(3))),
        "{name}"
    );
    let wanted: Vec<Value> = (0..250).map(sha256).collect();
    assert_eq!(
        target.list(Scope::Values(&wanted)).await.unwrap().len(),
        250,
        "{name}"
    );

    let end = Some(start_time() + TimeDelta::days(9));
    let changes: Vec<Write> = listed[..100]
        .iter()
        .map(|held| change(held, "later", end))
        .collect();
    let outcomes = target.apply(Batch::Update(&changes)).await;
    assert!(
        names(&outcomes).iter().all(|outcome| *outcome == "done"),
        "{name}: {outcomes:?}"
    );
    let later = target.list(Scope::All).await.unwrap();
    let changed = |held: &&Held| {
        held.note.as_deref() == Some("later") && held.expires == end && held.conforms
    };
    assert_eq!(later.iter().filter(changed).count(), 100, "{name}");

    for chunk in removals(&listed).chunks(target.capabilities().remove_batch) {
        let outcomes = target.apply(Batch::Remove(chunk)).await;
        assert!(
            names(&outcomes).iter().all(|outcome| *outcome == "done"),
            "{name}: {outcomes:?}"
        );
    }
    assert_eq!(
        target.list(Scope::All).await.unwrap().len(),
        before.len(),
        "{name}"
    );
    assert_eq!(lab.fake.state.enforced("ioc"), enforced, "{name}");
}

#[tokio::test]
async fn ten_thousand_hashes_cost_the_calls_that_they_must() {
    let lab = lab(&[]).await;
    let target = target(&lab, json!({}));
    lab.fake.server.log.clear();
    target.list(Scope::All).await.unwrap();
    add(&*target, &writes(10_000)).await;
    assert_eq!(target.list(Scope::All).await.unwrap().len(), 10_000);
    let log = &lab.fake.server.log;
    let count = |method: &str, path: &str| {
        log.count(|call| call.method == method && call.path.contains(path))
    };
    assert_eq!(count("POST", "/oauth2/token"), 1);
    assert_eq!(count("POST", "/iocs/"), 50);
    assert_eq!(
        count("GET", ""),
        1 + 6,
        "an empty listing, then five pages and the empty one"
    );
    assert_eq!(log.all().len(), 58);
    assert_eq!(target.calls().write, 50);
}

#[tokio::test]
async fn bad_rows_and_duplicates_sink_only_themselves() {
    let lab = lab_with(&[], |options| options.set("foreign", true)).await;
    let target = target(&lab, json!({}));
    let taken = Value::parse(Kind::Sha256, &"a1".repeat(32)).unwrap();
    let mut past = write(sha256(2));
    past.expires = Some(start_time() - TimeDelta::days(1));
    let outcomes = target
        .apply(Batch::Add(&[
            write(sha256(1)),
            write(taken),
            past,
            write(sha256(3)),
        ]))
        .await;
    assert_eq!(
        names(&outcomes),
        ["not applied", "exists", "rejected", "not applied"]
    );
    let Outcome::Rejected(text) = &outcomes[2] else {
        unreachable!()
    };
    assert_eq!(text, "Expiration must be in the future");
}

#[tokio::test]
async fn a_full_list_is_told_as_full() {
    let lab = lab_with(&[], |options| options.set("capacity", 2)).await;
    let outcomes = target(&lab, json!({})).apply(Batch::Add(&writes(3))).await;
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Failed(error) if error.kind() == ErrorKind::Full));
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_unknown_and_not_sent_again() {
    for action in [
        FaultAction::ResetAfter,
        FaultAction::AnswerAfter {
            status: 500,
            body: "{}".to_owned(),
        },
    ] {
        let lab = lab(&[]).await;
        let target = target(&lab, json!({}));
        lab.fake
            .server
            .faults
            .push(Fault::new(action).on("POST", "/iocs/"));
        let outcomes = target.apply(Batch::Add(&writes(2))).await;
        assert_eq!(names(&outcomes), ["unknown", "unknown"]);
        assert_eq!(
            lab.fake
                .server
                .log
                .count(|call| call.method == "POST" && call.path == ENTITIES),
            1
        );
        assert_eq!(target.list(Scope::All).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn tokens_are_renewed_in_time_and_after_a_401() {
    let lab = lab(&[]).await;
    let target = target(&lab, json!({}));
    lab.fake.server.log.clear();
    let logins = || {
        lab.fake
            .server
            .log
            .count(|call| call.path == "/oauth2/token")
    };
    target.open().await.unwrap();
    lab.advance(1799 - 121);
    target.open().await.unwrap();
    assert_eq!(logins(), 1);
    lab.advance(2);
    target.open().await.unwrap();
    assert_eq!(logins(), 2, "before the end");
    lab.fake.state.expire_sessions();
    target.list(Scope::All).await.unwrap();
    assert_eq!(logins(), 3, "after a 401");
    let refused = lab.fake.server.log.count(|call: &Call| call.status == 401);
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn another_region_is_named_and_never_followed() {
    for switches in [
        [("region-redirect", "with-body")],
        [("region-redirect", "bare")],
    ] {
        let lab = lab_with(&switches, |options| {
            options
                .set("home_region", "eu-1")
                .set("redirect_host", "evil.example")
        })
        .await;
        let error = target(&lab, json!({})).open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert_eq!(error.hint_text(), Some("set base_url to \"eu-1\""));
    }
}

#[tokio::test]
async fn refused_logins_are_told_apart() {
    let lab = lab(&[]).await;
    let secret = target(&lab, json!({ "client_secret": "not this one" }))
        .open()
        .await
        .unwrap_err();
    assert_eq!((secret.kind(), secret.exit_code()), (ErrorKind::Auth, 3));
    assert_eq!(
        secret.hint_text(),
        Some("check client_id, client_secret and member_cid")
    );
    assert!(!format!("{secret:?}").contains("not this one"));
    let unknown = target(&lab, json!({ "client_id": "nobody" }))
        .open()
        .await
        .unwrap_err();
    assert_eq!(
        unknown.hint_text(),
        Some("check client_id and client_secret")
    );
    let lab = lab_with(&[], |options| options.set("address_blocked", true)).await;
    let blocked = target(&lab, json!({})).open().await.unwrap_err();
    assert!(blocked.hint_text().unwrap().contains("IP allow list"));
}

#[tokio::test]
async fn missing_scopes_are_named() {
    let lab = lab_with(&[], |options| options.set("scopes", json!(["write"]))).await;
    let writer = target(&lab, json!({}));
    let facts = writer.open().await.unwrap();
    let findings = writer.examine(&facts).await.unwrap();
    let missing: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == Level::Missing)
        .collect();
    assert_eq!(
        (missing.len(), missing[0].subject.as_ref()),
        (1, "scope read")
    );
    assert_eq!(
        writer.list(Scope::All).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    let lab = lab_with(&[], |options| options.set("scopes", json!(["read"]))).await;
    let outcomes = target(&lab, json!({})).apply(Batch::Add(&writes(1))).await;
    let Outcome::Failed(error) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(
        error.hint_text(),
        Some("the API client needs the scope IOC Management: Write")
    );
}

#[tokio::test]
async fn children_of_a_parent_are_reached_by_member_cid() {
    let child = "d".repeat(32);
    let lab = lab_with(&[], |options| options.set("children", json!([child]))).await;
    let (own, other) = (
        target(&lab, json!({})),
        target(&lab, json!({ "member_cid": child })),
    );
    add(&*own, &writes(1)).await;
    assert!(other.list(Scope::All).await.unwrap().is_empty());
    assert_ne!(own.key(), other.key());
}

#[tokio::test]
async fn foreign_entries_are_seen_as_they_are() {
    let lab = lab_with(&[], |options| options.set("foreign", true)).await;
    let held = target(&lab, json!({})).list(Scope::All).await.unwrap();
    assert_eq!(
        held.len(),
        4,
        "all but the type that stands for nothing of ours"
    );
    assert_eq!(
        held.iter()
            .filter(|held| held.allows && !held.blocks)
            .count(),
        1
    );
    assert_eq!(held.iter().filter(|held| !held.writable).count(), 1);
    assert!(held.iter().all(|held| !held.conforms));
}

#[tokio::test]
async fn ended_entries_are_disarmed_revived_and_removed() {
    let lab = lab(&[]).await;
    let target = target(&lab, json!({}));
    add(&*target, &writes(2)).await;
    lab.clock.advance(TimeDelta::days(4));
    let held = target.list(Scope::All).await.unwrap();
    assert!(held.len() == 2 && held.iter().all(|held| !held.blocks && !held.conforms));
    let same = change(&held[0], "note", held[0].expires);
    assert_eq!(
        names(&target.apply(Batch::Update(&[same])).await),
        ["done"],
        "a past end is not sent again"
    );
    let later = change(&held[0], "note", Some(lab.clock.now() + TimeDelta::days(1)));
    let cleared = change(&held[1], "note", None);
    assert_eq!(
        names(&target.apply(Batch::Update(&[later, cleared])).await),
        ["done", "done"]
    );
    let held = target.list(Scope::All).await.unwrap();
    assert!(
        held.iter()
            .any(|held| held.blocks && held.conforms && held.expires.is_some())
    );
    assert!(held.iter().any(|held| held.expires.is_none()));
}

#[tokio::test]
async fn what_vanished_is_done_or_not_found() {
    for position in ["absent", "404", "404-rest-done"] {
        let lab = lab(&[("unknown-id", position)]).await;
        let target = target(&lab, json!({}));
        add(&*target, &writes(3)).await;
        let held = target
            .list(Scope::Values(&[sha256(0), sha256(1), sha256(2)]))
            .await
            .unwrap();
        let gone = held
            .iter()
            .position(|held| held.value == sha256(1))
            .unwrap();
        assert!(lab.fake.state.remove("ioc", &sha256(1)));
        let changes: Vec<Write> = held
            .iter()
            .map(|held| change(held, "new", held.expires))
            .collect();
        let outcomes = target.apply(Batch::Update(&changes)).await;
        for (index, outcome) in names(&outcomes).into_iter().enumerate() {
            let expected = match (index == gone, position) {
                (true, _) => "failed",
                (false, "404") => "not applied",
                _ => "done",
            };
            assert_eq!(outcome, expected, "{position}");
        }
        let outcomes = target.apply(Batch::Remove(&removals(&held))).await;
        for (index, outcome) in names(&outcomes).into_iter().enumerate() {
            let expected = if index != gone && position == "404" {
                "not applied"
            } else {
                "done"
            };
            assert_eq!(outcome, expected, "{position}");
        }
    }
}

#[tokio::test]
async fn an_unconfigured_action_is_refused_per_row() {
    let lab = lab_with(&[], |options| options.set("without_action", "prevent")).await;
    let domain = Value::parse(Kind::Domain, "bad.example.net").unwrap();
    let outcomes = target(&lab, json!({}))
        .apply(Batch::Add(&[write(sha256(1)), write(domain)]))
        .await;
    assert_eq!(names(&outcomes), ["rejected", "not applied"]);
}

#[tokio::test]
async fn accepts_what_falcon_holds() {
    let lab = lab(&[]).await;
    let target = target(&lab, json!({}));
    let accepted = |kind, text: &str| {
        target
            .accept(&Value::parse(kind, text).unwrap(), &Facts::default())
            .is_ok()
    };
    assert!(accepted(Kind::Ipv4, "9.9.9.9") && accepted(Kind::Ipv6, "2606:4700::1"));
    assert!(accepted(Kind::Domain, "bad.example.net") && accepted(Kind::Md5, &"a".repeat(32)));
    assert!(!accepted(Kind::Ipv4, "9.9.9.0/24") && !accepted(Kind::Ipv6, "2606:4700::/32"));
    assert!(
        !accepted(Kind::Sha1, &"a".repeat(40)) && !accepted(Kind::Url, "https://bad.example.net/")
    );
    let long = format!("{}.example.net", vec!["a".repeat(55); 4].join("."));
    assert!(!accepted(Kind::Domain, &long));
}

#[tokio::test]
async fn a_secret_that_a_proxy_repeats_is_struck_out() {
    let lab = lab(&[]).await;
    let secret = lab.fake.configuration["client_secret"].as_str().unwrap();
    let token = ("POST", "oauth2/token");
    sdk::testing::secrets::repeated_by_a_proxy(&lab.fake, &*target(&lab, json!({})), token, secret)
        .await;
}

#[tokio::test]
async fn configuration_errors_name_the_field() {
    let lab = lab(&[]).await;
    let cases = [
        ("client_secret", json!(""), "client_secret"),
        ("client_idd", json!("x"), "client_idd"),
        ("batch", json!(2001), "batch"),
        ("source", json!(""), "source"),
        ("platforms", json!(["ios"]), "ios"),
        ("mechanism", json!("edl"), "edl"),
        ("mechanism", json!({ "url": "ioc" }), "url"),
        ("base_url", json!("http://falcon.example.net"), "http"),
        ("base_url", json!("eu-9"), "us-gov-1"),
    ];
    for (field, value, part) in cases {
        let mut configuration = lab.fake.configuration.clone();
        configuration[field] = value;
        let result =
            (crowdstrike::connector().targets)(configuration, &Environment::new(lab.clock.clone()));
        let error = result.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config, "{field}: {error}");
        assert!(format!("{error:?}").contains(part), "{field}: {error:?}");
    }
    let cloud = with(
        lab.fake.configuration.clone(),
        &[("base_url", json!("eu-1"))],
    );
    let targets =
        (crowdstrike::connector().targets)(cloud, &Environment::new(lab.clock.clone())).unwrap();
    assert!(
        targets[0]
            .key()
            .account
            .starts_with("api.eu-1.crowdstrike.com/")
    );
}

#[tokio::test]
async fn works_over_tls_with_the_given_authority() {
    let clock = sdk::Clock::manual(start_time());
    let mut tls = options(&clock, &[]);
    tls.transport = sdk::fake::Transport::Tls;
    let fake = crowdstrike::fake::start(tls).await.unwrap();
    let environment = Environment::new(sdk::Clock::system());
    let targets =
        (crowdstrike::connector().targets)(fake.configuration.clone(), &environment).unwrap();
    let facts = targets[0].open().await.unwrap();
    // The client's clock runs, the vendor's stands.
    let apart = facts.vendor_time.unwrap() - start_time();
    assert!(apart >= TimeDelta::zero() && apart < TimeDelta::minutes(1));
    let strangers = crate::raw::without(fake.configuration.clone(), "ca_pem");
    let targets = (crowdstrike::connector().targets)(strangers, &environment).unwrap();
    assert!(targets[0].open().await.is_err());
}

#[tokio::test]
async fn a_larger_batch_than_the_vendor_takes_is_split_not_lost() {
    let lab = lab(&[("batch-cap", "200-html-413")]).await;
    let target = target(&lab, json!({ "batch": 2000 }));
    assert_eq!(target.capabilities().write_batch, 2000);
    let outcomes = target.apply(Batch::Add(&writes(300))).await;
    assert!(
        names(&outcomes)
            .iter()
            .all(|outcome| *outcome == "not applied")
    );
    assert_eq!(lab.create(json!([hash(1)])).await.status, 201);
}
