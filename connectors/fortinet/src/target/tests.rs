//! The client against the fake, and the shape of its requests.

use chrono::DateTime;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions, Fault, FaultAction, Transport};
use sdk::indicator::{Kind, Value};
use sdk::ownership::{Owner, container_mark};
use sdk::sync::{Context, Member, TargetGroup};
use sdk::target::{Batch, Level, Outcome, Removal, Scope, Target, Write};
use sdk::{Clock, ErrorKind};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

pub(super) fn clock() -> Clock {
    Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).unwrap())
}

pub(super) fn options() -> FakeOptions {
    FakeOptions::plain(clock())
}

pub(super) async fn start(options: FakeOptions) -> Fake {
    crate::fake::start(options).await.unwrap()
}

pub(super) fn targets(configuration: &Json, mechanism: &str) -> Vec<Arc<dyn Target>> {
    let mut configuration = configuration.clone();
    configuration["mechanism"] = json!(mechanism);
    super::targets(configuration, &Environment::new(clock())).unwrap()
}

pub(super) fn target(configuration: &Json, mechanism: &str) -> Arc<dyn Target> {
    targets(configuration, mechanism).remove(0)
}

fn value(text: &str) -> Value {
    Value::detect(text).unwrap()
}

fn write(text: &str) -> Write {
    Write {
        value: value(text),
        id: None,
        expires: None,
        note: format!("cordon:1;main;acme;-;000000 {text}"),
        note_and_end_only: false,
        held_expires: None,
        held_note: None,
    }
}

async fn removals(target: &dyn Target) -> Vec<Removal> {
    target
        .list(Scope::All)
        .await
        .unwrap()
        .into_iter()
        .map(|held| Removal {
            id: held.id,
            value: held.value,
        })
        .collect()
}

fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Done))
}

#[tokio::test]
async fn item_01_a_private_ca_is_needed_and_plain_http_refused() {
    let mut options = options();
    options.transport = Transport::Tls;
    let fake = start(options).await;
    target(&fake.configuration, "push-feed")
        .open()
        .await
        .unwrap();
    let mut without = fake.configuration.clone();
    without.as_object_mut().unwrap().remove("ca_pem");
    let error = target(&without, "push-feed").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let plain = json!({ "firewalls": [{ "base_ip": "http://198.51.100.1", "api_key": "k" }] });
    let Err(error) = super::targets(plain, &Environment::new(clock())) else {
        panic!("plain http was taken");
    };
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

/// What `check` says of each device's certificate: level and fingerprint.
async fn certificates(configuration: &Json) -> Vec<(String, String)> {
    let group = TargetGroup {
        name: "edge".to_owned(),
        members: targets(configuration, "push-feed")
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect(),
    };
    let context = Context::new(Environment::new(clock()));
    let checked = sdk::action::check(&group, &context).await;
    checked
        .devices
        .into_iter()
        .map(|device| {
            let mut told = device.findings.into_iter();
            let seen = told.find(|found| found.subject == "certificate").unwrap();
            (seen.level, seen.message)
        })
        .collect()
}

#[tokio::test]
async fn item_01_check_tells_each_firewalls_certificate_as_it_can_be_pinned() {
    let mut options = options().set("devices", 2);
    options.transport = Transport::Tls;
    let fake = start(options).await;
    let mut stranger = fake.configuration.clone();
    stranger.as_object_mut().unwrap().remove("ca_pem");
    let seen = certificates(&stranger).await;
    let [(first, one), (second, other)] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!((first.as_str(), second.as_str()), ("missing", "missing"));
    assert_ne!(one, other, "each its own");
    // The pin is one firewall's.
    stranger["firewalls"].as_array_mut().unwrap().truncate(1);
    stranger["tls_fingerprint"] = json!(one);
    assert_eq!(
        certificates(&stranger).await,
        [("ok".to_owned(), one.clone())]
    );
    let trusted = certificates(&fake.configuration).await;
    assert_eq!(
        trusted,
        [
            ("ok".to_owned(), one.clone()),
            ("ok".to_owned(), other.clone())
        ]
    );
}

#[tokio::test]
async fn item_02_03_a_refused_key_is_sent_once_for_all_vdoms_and_mechanisms() {
    for body in ["html", "json"] {
        let mut options = options().set("vdoms", json!(["root", "dmz"]));
        options.switches = options.switches.with("unauthorised-body", body);
        let fake = start(options).await;
        let mut configuration = fake.configuration.clone();
        for firewall in configuration["firewalls"].as_array_mut().unwrap() {
            firewall["api_key"] = json!("a-key-that-is-wrong");
        }
        for mechanism in ["push-feed", "address-group"] {
            for target in targets(&configuration, mechanism) {
                let error = target.open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Auth);
                assert!(error.hint_text().unwrap().contains("lock"), "{error:?}");
            }
        }
        assert_eq!(fake.server.log.count(|_| true), 1);
        // The right key is another matter.
        target(&fake.configuration, "push-feed")
            .open()
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn item_04_a_lockout_is_told_as_one() {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(429).set_body_string("<html>blocked</html>"))
        .mount(&server)
        .await;
    let configuration = json!({ "firewalls": [{ "base_ip": server.uri(), "api_key": "k4" }] });
    let error = target(&configuration, "push-feed")
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.hint_text().unwrap().contains("429"), "{error:?}");
}

#[tokio::test]
async fn item_07_a_missing_right_is_denied() {
    let fake = start(options().set("rights", json!({ "sysgrp": "none" }))).await;
    let error = target(&fake.configuration, "push-feed")
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    // Address groups work without it, and say that the table's size is unknown.
    let target = target(&fake.configuration, "address-group");
    let facts = target.open().await.unwrap();
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.subject == "table sizes")
    );
}

#[tokio::test]
async fn item_08_firewalls_and_vdoms_are_targets_of_their_own() {
    let fake = start(
        options()
            .set("devices", 2)
            .set("vdoms", json!(["root", "dmz"])),
    )
    .await;
    let targets = targets(&fake.configuration, "push-feed");
    let mut keys: Vec<String> = targets
        .iter()
        .map(|target| target.key().to_string())
        .collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(all_done(
        &targets[1].apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    assert_eq!(targets[0].list(Scope::All).await.unwrap().len(), 0);
    assert_eq!(targets[1].list(Scope::All).await.unwrap().len(), 1);
    let mut unknown = fake.configuration.clone();
    unknown["firewalls"][0]["vdom"] = json!("nowhere");
    let error = target(&unknown, "push-feed").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn item_26_what_others_refer_to_is_reported_in_words() {
    let fake = start(options()).await;
    let target = target(&fake.configuration, "address-group");
    target.open().await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let removal = removals(&*target).await;
    let name = removal[0].id.split('\n').next().unwrap();
    let config: crate::config::Config = serde_json::from_value(fake.configuration.clone()).unwrap();
    let endpoint = config.endpoints().unwrap().remove(0);
    let admin = super::connect(&config, &endpoint, &Environment::new(clock())).unwrap();
    let join = crate::api::join_group("root", super::Family::Ipv4, "Servers", name);
    assert!(admin.send(join).await.unwrap().status.is_success());
    let outcomes = target.apply(Batch::Remove(&removal)).await;
    assert!(
        matches!(&outcomes[0], Outcome::Rejected(words) if words.contains("refers")),
        "{outcomes:?}"
    );
    assert!(fake.state.enforced("address-group").is_empty());
    let leave = crate::api::leave_group("root", super::Family::Ipv4, "Servers", name).unwrap();
    assert!(admin.send(leave).await.unwrap().status.is_success());
    // What was left over is found and taken away by the next run.
    let left = removals(&*target).await;
    assert!(all_done(&target.apply(Batch::Remove(&left)).await));
    assert!(target.list(Scope::All).await.unwrap().is_empty());
}

#[tokio::test]
async fn item_28_29_whole_tables_are_never_deleted_or_replaced() {
    let fake = start(options()).await;
    let target = target(&fake.configuration, "address-group");
    target.open().await.unwrap();
    let writes = ["9.8.7.6", "9.8.6.0/24", "2600::1", "evil.example.com"].map(write);
    assert!(all_done(&target.apply(Batch::Add(&writes)).await));
    let removals = removals(&*target).await;
    assert_eq!(removals.len(), 4);
    assert!(all_done(&target.apply(Batch::Remove(&removals)).await));
    for call in fake.server.log.all() {
        let segments = call.path.trim_matches('/').split('/').count();
        assert!(
            call.method != "DELETE" || segments >= 6,
            "{} {}",
            call.method,
            call.path
        );
        assert!(
            call.method != "PUT" || !call.path.contains("addrgrp"),
            "{}",
            call.path
        );
    }
    assert_eq!(fake.server.log.count(|call| call.method == "DELETE"), 8);
}

#[tokio::test]
async fn item_24_groups_are_filled_one_after_the_other() {
    let fake = start(options()).await;
    let mut configuration = fake.configuration.clone();
    configuration["group_size"] = json!(2);
    let target = target(&configuration, "address-group");
    target.open().await.unwrap();
    let writes = ["9.8.7.1", "9.8.7.2", "9.8.7.3"].map(write);
    assert!(all_done(&target.apply(Batch::Add(&writes)).await));
    let held = target.list(Scope::All).await.unwrap();
    let mut groups: Vec<&str> = held
        .iter()
        .filter_map(|held| held.id.split('\n').nth(1))
        .collect();
    groups.sort_unstable();
    assert_eq!(groups, ["cordon-v4-001", "cordon-v4-001", "cordon-v4-002"]);
}

#[tokio::test]
async fn item_39_old_firmware_is_refused_with_a_hint() {
    let fake = start(options().set("profile", "6.4.14")).await;
    let error = target(&fake.configuration, "push-feed")
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().unwrap().contains("address-group"));
}

#[tokio::test]
async fn item_40_a_missing_feed_is_told_with_the_commands_that_make_it() {
    let fake = start(options().set("feeds", false)).await;
    let error = target(&fake.configuration, "push-feed")
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("set update-method push"),
        "{error:?}"
    );
    // A feed that is pulled is not ours to push into; the others go on.
    let fake = start(options()).await;
    let mut configuration = fake.configuration.clone();
    configuration["feeds"] = json!({ "ip": "corp-watchlist" });
    let target = target(&configuration, "push-feed");
    let facts = target.open().await.unwrap();
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.level == Level::Missing)
    );
    assert!(target.accept(&value("9.8.7.6"), &facts).is_err());
    assert!(target.accept(&value("evil.example.com"), &facts).is_ok());
}

#[tokio::test]
async fn item_41_invalid_entries_are_rejected_and_the_request_has_its_shape() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/api/v2/monitor/system/external-resource/dynamic"))
        .and(query_param("vdom", "dmz"))
        .and(header("authorization", "Bearer k41"))
        .and(body_json(json!({ "commands": [
            { "name": "cordon-ip", "command": "add", "entries": ["9.8.7.6", "9.8.6.0/24"] },
        ] })))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "status": "success",
            "results": [{ "name": "cordon-ip", "command": "add", "status": "success", "invalidEntries": ["9.8.6.0/24"] }],
        })))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/api/v2/monitor/system/external-resource/entry-list"))
        .and(query_param("mkey", "cordon-ip"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "status": "success", "results": { "entries": [], "valid_count": 1, "invalid_count": 0, "overflow": false },
        })))
        .mount(&server)
        .await;
    let configuration =
        json!({ "firewalls": [{ "base_ip": server.uri(), "vdom": "dmz", "api_key": "k41" }] });
    let target = target(&configuration, "push-feed");
    let outcomes = target
        .apply(Batch::Add(&["9.8.7.6", "9.8.6.0/24"].map(write)))
        .await;
    assert!(
        matches!(outcomes[..], [Outcome::Done, Outcome::Rejected(_)]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn item_45_entries_beyond_the_quota_fail_and_do_not_stay() {
    for position in ["accepted", "all"] {
        // The administrator's own feed takes 3 of the 5.
        let mut options = options().set("feed_limit", json!({ "address": 5 }));
        options.switches = options.switches.with("overflow-entries", position);
        let fake = start(options).await;
        let target = target(&fake.configuration, "push-feed");
        let facts = target.open().await.unwrap();
        let pool = facts
            .capacity
            .iter()
            .find(|pool| pool.kinds.contains(&Kind::Ipv4))
            .unwrap();
        assert_eq!(pool.limit, 2);
        let outcomes = target
            .apply(Batch::Add(&["9.8.7.1", "9.8.7.2", "9.8.7.3"].map(write)))
            .await;
        assert!(
            matches!(&outcomes[..], [Outcome::Done, Outcome::Done, Outcome::Failed(error)] if error.kind() == ErrorKind::Full)
        );
        assert_eq!(target.list(Scope::All).await.unwrap().len(), 2);
        assert_eq!(target.open().await.unwrap().capacity.len(), 4);
    }
}

/// What is not taken out again blocks as soon as there is room: it has to stay on record.
#[tokio::test]
async fn item_45_entries_beyond_the_quota_that_stay_are_not_forgotten() {
    let fake = start(options().set("feed_limit", json!({ "address": 5 }))).await;
    let target = target(&fake.configuration, "push-feed");
    let push = || Fault::status(500).on("POST", "external-resource/dynamic");
    fake.server.faults.push(push().after(1));
    let outcomes = target
        .apply(Batch::Add(&["9.8.7.1", "9.8.7.2", "9.8.7.3"].map(write)))
        .await;
    assert!(
        matches!(&outcomes[..], [Outcome::Done, Outcome::Done, Outcome::Unknown(error)] if error.kind() == ErrorKind::Full),
        "{outcomes:?}"
    );
}

/// A ban that the firewall counts from later than it was asked is in place until it is cleared.
#[tokio::test]
async fn a_late_ban_that_cannot_be_cleared_is_not_forgotten() {
    let clock = clock();
    let fake = start(FakeOptions::plain(clock.clone())).await;
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!("ban");
    let target = super::targets(configuration, &Environment::new(clock.clone()))
        .unwrap()
        .remove(0);
    target.open().await.unwrap();
    let late = FaultAction::Slow(std::time::Duration::from_secs(45));
    let add = Fault::new(late).on("POST", "banned/add_users");
    fake.server.faults.push(add);
    fake.server
        .faults
        .push(Fault::status(403).on("POST", "banned/clear_users"));
    let write = Write {
        expires: Some(clock.now() + chrono::TimeDelta::hours(1)),
        ..write("9.8.7.6")
    };
    let outcomes = target.apply(Batch::Add(&[write])).await;
    let held = target.list(Scope::All).await.unwrap();
    assert!(held.iter().any(|held| held.value == value("9.8.7.6")));
    assert!(
        matches!(&outcomes[..], [Outcome::Unknown(_)]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn item_46_a_batch_too_large_is_left_to_be_split() {
    let fake = start(options().set("body_limit", 100)).await;
    let target = target(&fake.configuration, "push-feed");
    let outcomes = target
        .apply(Batch::Add(
            &["9.8.7.1", "9.8.7.2", "9.8.7.3", "9.8.7.4"].map(write),
        ))
        .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::NotApplied(_))),
        "{outcomes:?}"
    );
    assert!(all_done(
        &target.apply(Batch::Add(&["9.8.7.1"].map(write))).await
    ));
}

#[tokio::test]
async fn item_47_lines_of_others_are_kept_and_removed_as_they_stand() {
    let fake = start(options()).await;
    let target = target(&fake.configuration, "push-feed");
    assert!(fake.state.add_foreign("push-feed", &value("9.8.7.6")));
    let held = target.list(Scope::All).await.unwrap();
    assert_eq!(
        (held.len(), held[0].container.is_none(), &*held[0].id),
        (1, true, "9.8.7.6")
    );
}

#[tokio::test]
async fn a_marked_feed_names_its_owner() {
    let acme = Owner::new("acme").unwrap();
    let comments: serde_json::Map<String, Json> =
        ["cordon-ip", "cordon-domain", "cordon-url", "cordon-hash"]
            .into_iter()
            .map(|name| (name.to_owned(), json!(container_mark("main", &acme, name))))
            .collect();
    let fake = start(options().set("feed_comments", comments)).await;
    let target = target(&fake.configuration, "push-feed");
    let facts = target.open().await.unwrap();
    assert_eq!(facts.container.as_ref(), Some(&acme));
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    assert_eq!(
        target.list(Scope::All).await.unwrap()[0].container.as_ref(),
        Some(&acme)
    );
}

#[tokio::test]
async fn item_56_an_object_whose_answer_was_lost_is_compared_and_joined() {
    let fake = start(options()).await;
    let target = target(&fake.configuration, "address-group");
    target.open().await.unwrap();
    fake.server.faults.push(
        Fault::new(FaultAction::ResetAfter)
            .on("POST", "/firewall/address")
            .times(1),
    );
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    assert_eq!(fake.state.enforced("address-group").len(), 1);
    // The same again is an object of ours already there; another note makes it somebody's.
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let mut other = write("9.8.7.6");
    other.note = "cordon:1;main;manual;-;000000".to_owned();
    assert!(matches!(
        target.apply(Batch::Add(&[other])).await[..],
        [Outcome::Exists]
    ));
}

#[tokio::test]
async fn item_25_a_full_table_is_told() {
    let fake = start(options().set("address_limit", 4)).await;
    let target = target(&fake.configuration, "address-group");
    let facts = target.open().await.unwrap();
    assert_eq!(facts.capacity[0].limit, 1);
    let outcomes = target
        .apply(Batch::Add(&["9.8.7.1", "9.8.7.2"].map(write)))
        .await;
    assert!(
        matches!(&outcomes[1], Outcome::Failed(error) if error.kind() == ErrorKind::Full),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn item_31_the_last_member_leaves_a_placeholder_on_old_firmware() {
    let fake = start(options().set("profile", "6.4.14")).await;
    assert!(fake.state.add_foreign("address-group", &value("9.8.7.6")));
    let target = target(&fake.configuration, "address-group");
    target.open().await.unwrap();
    let removals = removals(&*target).await;
    assert!(all_done(&target.apply(Batch::Remove(&removals)).await));
    assert!(target.list(Scope::All).await.unwrap().is_empty());
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.5")])).await
    ));
    assert_eq!(fake.state.enforced("address-group").len(), 1);
}

#[tokio::test]
async fn item_55_a_slow_table_is_waited_for_and_a_lost_one_is_not_an_empty_one() {
    let shared = clock();
    let fake = start(FakeOptions::plain(shared.clone())).await;
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!("address-group");
    let target = super::targets(configuration, &Environment::new(shared))
        .unwrap()
        .remove(0);
    target.open().await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let slow = |seconds| {
        Fault::new(FaultAction::Slow(std::time::Duration::from_secs(seconds)))
            .on("GET", "/firewall/addr")
            .times(usize::MAX)
    };
    fake.server.faults.push(slow(8));
    assert_eq!(target.list(Scope::All).await.unwrap().len(), 1);
    fake.server.faults.clear();
    fake.server.faults.push(slow(600));
    let error = target.list(Scope::All).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn item_49_pushed_content_may_be_lost_with_the_power_and_is_pushed_again() {
    for (position, left) in [("kept", 1), ("lost", 0)] {
        let mut options = options();
        options.switches = options.switches.with("volatile-push", position);
        let fake = start(options).await;
        let target = target(&fake.configuration, "push-feed");
        target.open().await.unwrap();
        let writes = [write("9.8.7.6")];
        assert!(all_done(&target.apply(Batch::Add(&writes)).await));
        fake.state.reboot();
        // The listing shows what is there, so that the loop adds what is not.
        let held = target.list(Scope::All).await.unwrap();
        assert_eq!((held.len(), position), (left, position));
        if held.is_empty() {
            assert!(all_done(&target.apply(Batch::Add(&writes)).await));
        }
        assert_eq!(fake.state.enforced("push-feed").len(), 1);
    }
}
