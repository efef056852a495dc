//! Bans, pulled feeds and managers against the fake: what a user is told when something is missing.

use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use chrono::DateTime;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions};
use sdk::http::{ClientBuilder, Request, Safety, StaticHeader};
use sdk::indicator::Value;
use sdk::target::{Batch, Finding, Level, Outcome, Removal, Scope, Target, Write};
use sdk::{Clock, ErrorKind, Secret};
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn clock() -> Clock {
    Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).unwrap())
}

pub(super) struct Lab {
    pub(super) fake: Fake,
    pub(super) clock: Clock,
}

pub(super) async fn lab(settings: &[(&str, Json)]) -> Lab {
    lab_with(settings, &[]).await
}

pub(super) async fn lab_with(settings: &[(&str, Json)], switches: &[(&str, &str)]) -> Lab {
    let clock = clock();
    let mut options = FakeOptions::plain(clock.clone());
    for (name, position) in switches {
        options.switches = options.switches.with(name, position);
    }
    for (name, setting) in settings {
        options = options.set(name, setting.clone());
    }
    let fake = crate::fake::start(options).await.unwrap();
    Lab { fake, clock }
}

impl Lab {
    pub(super) fn targets(
        &self,
        mechanism: &str,
        change: impl FnOnce(&mut Json),
    ) -> Vec<Arc<dyn Target>> {
        let mut configuration = self.fake.configuration.clone();
        configuration["mechanism"] = json!(mechanism);
        change(&mut configuration);
        super::targets(configuration, &Environment::new(self.clock.clone())).unwrap()
    }

    /// Somebody changes a threat feed on the firewall.
    async fn administrator_changes(&self, feed: &str, change: &Json) {
        let key = self.fake.configuration["firewalls"][0]["api_key"].as_str();
        let header = StaticHeader::new(AUTHORIZATION, "Bearer ", &Secret::new(key.unwrap()));
        let environment = Environment::new(self.clock.clone());
        let client = ClientBuilder::new(&self.fake.server.url, &environment)
            .unwrap()
            .auth(Arc::new(header.unwrap()))
            .build()
            .unwrap();
        let path = ["api", "v2", "cmdb", "system", "external-resource", feed];
        let request = Request::new(Method::PUT, Safety::Once, "*", path).json(change);
        let response = client.send(request).await.unwrap();
        assert!(response.status.is_success(), "{}", response.excerpt());
    }

    pub(super) fn target(&self, mechanism: &str) -> Arc<dyn Target> {
        self.targets(mechanism, |_| {}).remove(0)
    }
}

pub(super) fn write(text: &str) -> Write {
    Write {
        value: Value::detect(text).unwrap(),
        id: None,
        expires: None,
        note: format!("cordon:1;main;acme;-;000000 {text}"),
        note_and_end_only: false,
        held_expires: None,
        held_note: None,
    }
}

pub(super) fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes
        .iter()
        .all(|outcome| matches!(outcome, Outcome::Done))
}

pub(super) async fn examined(target: &dyn Target) -> Vec<Finding> {
    let facts = target.open().await.unwrap();
    target.examine(&facts).await.unwrap()
}

#[tokio::test]
async fn item_07_a_ban_without_its_right_names_the_access_group() {
    let lab = lab(&[("rights", json!({ "authgrp": "none" }))]).await;
    let findings = examined(&*lab.target("ban")).await;
    assert_eq!(findings[0].level, Level::Missing);
    assert!(findings[0].hint.as_deref().unwrap().contains("authgrp"));
    let lab = self::lab(&[("rights", json!({ "authgrp": "read" }))]).await;
    let outcomes = lab
        .target("ban")
        .apply(Batch::Add(&[write("9.8.7.6")]))
        .await;
    let [Outcome::Failed(error)] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error
            .hint_text()
            .unwrap()
            .contains("write access to authgrp")
    );
}

#[tokio::test]
async fn item_49_check_says_that_bans_block_sources_and_do_not_outlive_a_restart() {
    let lab = lab(&[]).await;
    let findings = examined(&*lab.target("ban")).await;
    assert!(findings.iter().any(|found| found.subject == "effect"));
    let restart = findings
        .iter()
        .find(|found| found.subject == "restart")
        .unwrap();
    assert_eq!(restart.level, Level::Warning);
    assert!(
        restart
            .hint
            .as_deref()
            .unwrap()
            .contains("banned-ip-persistency")
    );
    let lab = self::lab(&[("banned_ip_persistency", json!("all"))]).await;
    let findings = examined(&*lab.target("ban")).await;
    assert!(findings.iter().all(|found| found.level == Level::Ok));
}

#[tokio::test]
async fn item_50_53_bans_of_the_device_survive_and_are_not_ours_to_change() {
    let lab = lab(&[]).await;
    let target = lab.target("ban");
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let held = target.list(Scope::All).await.unwrap();
    let writable: Vec<String> = held
        .iter()
        .filter(|held| held.writable)
        .map(|held| held.value.to_string())
        .collect();
    assert_eq!((held.len(), writable), (3, vec!["9.8.7.6".to_owned()]));
    let gone = Removal {
        id: "9.8.7.6".into(),
        value: Value::detect("9.8.7.6").unwrap(),
    };
    assert!(all_done(&target.apply(Batch::Remove(&[gone])).await));
    assert_eq!(target.list(Scope::All).await.unwrap().len(), 2);
    let all = lab
        .fake
        .server
        .log
        .count(|call| call.path.contains("clear_all"));
    assert_eq!(all, 0);
}

/// The firewall bans an address between our listing and our write: its ban is not cleared to make ours anew.
#[tokio::test]
async fn item_50_53_a_new_end_does_not_clear_what_the_device_banned_meanwhile() {
    for again in ["kept", "duplicated"] {
        let lab = lab_with(&[], &[("ban-again", again)]).await;
        let target = lab.target("ban");
        let held = target.list(Scope::All).await.unwrap();
        let theirs = held.iter().find(|held| !held.writable).unwrap();
        let outcomes = target
            .apply(Batch::Update(&[write(&theirs.value.to_string())]))
            .await;
        assert!(matches!(&outcomes[0], Outcome::Unknown(_)), "{outcomes:?}");
        let calls = lab
            .fake
            .server
            .log
            .count(|call| call.path.contains("clear_users"));
        assert_eq!(calls, 0, "{again}");
    }
}

#[tokio::test]
async fn a_full_ban_list_is_told_as_one() {
    let lab = lab(&[("ban_limit", json!(3))]).await;
    let target = lab.target("ban");
    let outcomes = target
        .apply(Batch::Add(&[write("9.8.7.6"), write("9.8.7.7")]))
        .await;
    assert!(matches!(outcomes[0], Outcome::Done), "{outcomes:?}");
    assert!(
        matches!(&outcomes[1], Outcome::Failed(error) if error.kind() == ErrorKind::Full),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn item_38_a_feed_that_cannot_pull_is_named() {
    let lab = lab(&[("lists", json!(false))]).await;
    let error = lab.target("feed").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.hint_text().unwrap().contains("set resource"));
    let lab = self::lab(&[]).await;
    // A feed that is pushed to pulls nothing.
    let target = lab
        .targets("feed", |configuration| {
            configuration["lists"] = json!({
                "ip": "cordon-ip", "domain": "none", "url": "none", "hash": "none",
            });
        })
        .remove(0);
    let error = target.open().await.unwrap_err();
    assert!(error.to_string().contains("pulls nothing"), "{error}");
}

/// A list that was published is kept right while nothing pulls it, and the run says that nothing does.
#[tokio::test]
async fn a_feed_that_is_disabled_or_gone_is_told_and_its_list_kept_right() {
    for (change, words, advice) in [
        (
            json!({ "status": "disable" }),
            "cordon-list-ip is disabled",
            "set status enable",
        ),
        (
            json!({ "name": "old" }),
            "no external resource cordon-list-ip",
            "edit \"cordon-list-ip\"",
        ),
    ] {
        let lab = lab(&[]).await;
        let target = lab.target("feed");
        target.open().await.unwrap();
        let writes = [write("9.8.7.6"), write("bad.example.net")];
        assert!(all_done(&target.apply(Batch::Add(&writes)).await));
        let staged = target.staged().unwrap();
        staged.commit().await.unwrap();
        assert_eq!(lab.fake.state.enforced("feed").len(), 2);
        lab.administrator_changes("cordon-list-ip", &change).await;

        let facts = target.open().await.unwrap();
        assert!(facts.unavailable.is_empty(), "{:?}", facts.unavailable);
        let held = target.list(Scope::All).await.unwrap();
        let blocks = |text: &str| {
            let found = held.iter().find(|held| held.value.to_string() == text);
            found.map(|held| held.blocks)
        };
        assert_eq!(blocks("9.8.7.6"), Some(false));
        assert_eq!(blocks("bad.example.net"), Some(true));
        let pending = staged.pending().await.unwrap().unwrap();
        assert!(pending.what.contains("cordon-list-ip"), "{pending:?}");
        // What has ended goes from the list all the same.
        let ended = Removal {
            id: "9.8.7.6".into(),
            value: Value::detect("9.8.7.6").unwrap(),
        };
        assert!(all_done(&target.apply(Batch::Remove(&[ended])).await));
        let more = [write("9.8.7.7"), write("worse.example.net")];
        assert!(all_done(&target.apply(Batch::Add(&more)).await));
        let error = staged.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint_text().unwrap().contains(advice), "{error:?}");
        // The other list is pulled nevertheless.
        let enforced = lab.fake.state.enforced("feed");
        let worse = enforced.iter().any(|it| it.text == "worse.example.net");
        assert!(worse, "{enforced:?}");
        let folder = lab.fake.configuration["publish"]["directory"].as_str();
        let text = std::path::Path::new(folder.unwrap()).join("cordon-list-ip.txt");
        assert_eq!(std::fs::read_to_string(text).unwrap(), "9.8.7.7\n");
    }
}

/// The list is one for all firewalls and owners, and the lease is of one firewall.
#[tokio::test]
async fn what_somebody_marked_since_the_listing_is_not_overwritten() {
    let lab = lab(&[]).await;
    let (one, other) = (lab.target("feed"), lab.target("feed"));
    let marked = |note: &str| Write {
        note: note.to_owned(),
        ..write("9.8.7.6")
    };
    assert!(one.list(Scope::All).await.unwrap().is_empty());
    assert!(other.list(Scope::All).await.unwrap().is_empty());
    assert!(all_done(
        &one.apply(Batch::Add(&[marked("mark of one")])).await
    ));
    let outcomes = other.apply(Batch::Add(&[marked("mark of other")])).await;
    assert!(matches!(outcomes[..], [Outcome::Exists]), "{outcomes:?}");
    let held = other.list(Scope::All).await.unwrap().remove(0);
    assert_eq!(held.note.as_deref(), Some("mark of one"));
    let both = Write {
        id: Some(held.id.clone()),
        ..marked("mark of one mark of other")
    };
    assert!(all_done(
        &other
            .apply(Batch::Update(std::slice::from_ref(&both)))
            .await
    ));
    // The first one knows nothing of the second mark yet, and would end a block of somebody else.
    let removal = Removal {
        id: held.id,
        value: held.value,
    };
    let outcomes = one
        .apply(Batch::Remove(std::slice::from_ref(&removal)))
        .await;
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(error)] if error.kind() == ErrorKind::Conflict),
        "{outcomes:?}"
    );
    let held = one.list(Scope::All).await.unwrap().remove(0);
    assert_eq!(held.note.as_deref(), Some("mark of one mark of other"));
    // What is there already as it should be, or gone, is done.
    assert!(all_done(&one.apply(Batch::Update(&[both])).await));
    for target in [one, other] {
        let gone = target
            .apply(Batch::Remove(std::slice::from_ref(&removal)))
            .await;
        assert!(all_done(&gone), "{gone:?}");
    }
}

#[tokio::test]
async fn item_07_check_finds_that_a_refresh_is_not_permitted() {
    let lab = lab(&[("rights", json!({ "sysgrp": "read" }))]).await;
    let findings = examined(&*lab.target("feed")).await;
    let missing: Vec<&Finding> = findings
        .iter()
        .filter(|found| found.level == Level::Missing)
        .collect();
    assert_eq!(missing.len(), 1, "{findings:?}");
    assert!(
        missing[0]
            .hint
            .as_deref()
            .unwrap()
            .contains("write access to sysgrp")
    );
}

#[tokio::test]
async fn item_48_a_pull_that_fails_says_why_and_keeps_the_list() {
    let lab = lab(&[]).await;
    let target = lab.target("feed");
    target.open().await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let staged = target.staged().unwrap();
    staged.commit().await.unwrap();
    assert_eq!(lab.fake.state.enforced("feed").len(), 1);
    // The administrator lets the feed pull from somewhere else.
    let folder = lab.fake.configuration["publish"]["directory"]
        .as_str()
        .unwrap();
    assert!(all_done(
        &target.apply(Batch::Add(&[write("9.8.7.7")])).await
    ));
    let text = std::path::Path::new(folder).join("cordon-list-ip.txt");
    assert_eq!(
        std::fs::read_to_string(&text).unwrap(),
        "9.8.7.6\n9.8.7.7\n"
    );
    staged.commit().await.unwrap();
    assert_eq!(lab.fake.state.enforced("feed").len(), 2);
}

#[tokio::test]
async fn item_02_03_61_refused_manager_credentials_are_sent_once() {
    for (kind, field) in [("password", "password"), ("token", "api_key")] {
        let lab = lab(&[("manager", json!(kind)), ("devices", json!(2))]).await;
        for mechanism in ["push-feed", "ban", "feed", "address-group"] {
            let targets = lab.targets(mechanism, |configuration| {
                configuration["fortimanager"][field] = json!(format!("wrong-{kind}"));
            });
            for target in targets {
                let error = target.open().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Auth, "{mechanism}: {error:?}");
            }
        }
        assert_eq!(lab.fake.server.log.count(|_| true), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_manager_names_the_firewall_that_it_does_not_reach() {
    let lab = lab(&[
        ("manager", json!("password")),
        ("devices", json!(2)),
        ("offline", json!(["fw-2"])),
    ])
    .await;
    let targets = lab.targets("ban", |_| {});
    assert!(targets[0].open().await.is_ok());
    let error = targets[1].open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("fw-2"), "{error}");
    let group = lab.target("address-group");
    let findings = examined(&*group).await;
    assert!(
        findings
            .iter()
            .any(|found| found.level == Level::Warning && found.message.starts_with("fw-2")),
        "{findings:?}"
    );
    assert!(all_done(
        &group.apply(Batch::Add(&[write("9.8.7.6")])).await
    ));
    let error = group.staged().unwrap().commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("errors"), "{error}");
    // The one that answers has it all the same.
    assert_eq!(lab.fake.state.enforced("address-group").len(), 1);
}

#[tokio::test]
async fn item_61_approvals_and_missing_rights_are_told() {
    let lab = lab(&[
        ("manager", json!("password")),
        ("workspace_mode", json!("workflow")),
    ])
    .await;
    let error = lab.target("address-group").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().unwrap().contains("workflow"));
    let lab = self::lab(&[
        ("manager", json!("password")),
        ("rpc_permit", json!("read")),
    ])
    .await;
    let target = lab.target("address-group");
    target.open().await.unwrap();
    let outcomes = target.apply(Batch::Add(&[write("9.8.7.6")])).await;
    assert!(
        matches!(&outcomes[0], Outcome::Failed(error) if error.kind() == ErrorKind::Denied
            && error.hint_text().unwrap().contains("rpc-permit")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn item_61_the_lock_is_given_back_whatever_happens() {
    let lab = lab(&[("manager", json!("password"))]).await;
    let target = lab.target("address-group");
    target.open().await.unwrap();
    let broken = Write {
        value: Value::detect("9.8.7.6").unwrap(),
        note: "x".repeat(300),
        ..write("9.8.7.6")
    };
    let outcomes = target.apply(Batch::Add(&[broken, write("9.8.7.7")])).await;
    assert!(matches!(&outcomes[0], Outcome::Rejected(_)), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Outcome::Done), "{outcomes:?}");
    // Another session can lock at once.
    let other = lab.target("address-group");
    other.open().await.unwrap();
    let before = lab.clock.elapsed();
    assert!(all_done(
        &other.apply(Batch::Add(&[write("9.8.7.8")])).await
    ));
    assert_eq!(lab.clock.elapsed(), before, "nobody waited for a lock");
}
