//! The client against the fake: what no uniform suite can know about PAN-OS.

use chrono::TimeDelta;
use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::Value;
use sdk::target::{Batch, Held, Level, Outcome, Scope, Write};
use serde_json::json;

use super::{add, all_done, entry, ipv4, lab, lab_with, removal, start_time, write};

fn update(held: &Held, days: i64) -> Write {
    Write {
        id: Some(held.id.clone()),
        held_expires: held.expires,
        held_note: held.note.clone(),
        ..write(held.value.clone(), days)
    }
}

#[tokio::test]
async fn no_finite_end_becomes_for_ever_or_more_than_thirty_days() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("tags").await;
    let ends = [1, 999, 60_000, 2_592_000_000];
    let writes: Vec<Write> = ends
        .iter()
        .enumerate()
        .map(|(number, milliseconds)| Write {
            expires: Some(start_time() + TimeDelta::milliseconds(*milliseconds)),
            ..write(ipv4(&format!("45.83.0.{number}")), 0)
        })
        .collect();
    add(&*target, &writes).await;
    lab.pass(1);
    assert!(!lab.blocks("45.83.0.0").await && !lab.blocks("45.83.0.1").await);
    assert!(lab.blocks("45.83.0.2").await);
    lab.pass(59);
    assert!(!lab.blocks("45.83.0.2").await);
    lab.pass(2_591_939);
    assert!(lab.blocks("45.83.0.3").await);
    lab.pass(1);
    assert!(!lab.blocks("45.83.0.3").await);
}

#[tokio::test]
async fn an_end_does_not_follow_the_devices_clock() {
    use sdk::fake::FakeOptions;
    for ahead in [-60, -45, 45, 60] {
        let clock = sdk::Clock::manual(start_time());
        let device = clock.ahead(TimeDelta::seconds(ahead));
        let fake = paloalto::fake::start(FakeOptions::plain(device))
            .await
            .unwrap();
        let lab = super::Lab { fake, clock };
        let (target, facts, _) = lab.ready("tags").await;
        let apart = facts.vendor_time.unwrap() - start_time();
        assert_eq!(apart, TimeDelta::seconds(ahead));
        let ends = [70, 600, 2_592_000].map(TimeDelta::seconds);
        let writes: Vec<Write> = ends
            .iter()
            .enumerate()
            .map(|(number, end)| Write {
                expires: Some(start_time() + *end),
                ..write(ipv4(&format!("45.83.0.{number}")), 0)
            })
            .collect();
        add(&*target, &writes).await;
        let mut before = 0;
        for (number, end) in ends.iter().enumerate() {
            let address = format!("45.83.0.{number}");
            lab.pass(end.num_seconds() - 1 - before);
            assert!(lab.blocks(&address).await, "{ahead}: {end}");
            let held = target.list(Scope::All).await.unwrap();
            let held = held
                .iter()
                .find(|held| held.value == ipv4(&address))
                .unwrap();
            assert_eq!(held.expires, Some(start_time() + *end));
            lab.pass(1);
            assert!(!lab.blocks(&address).await, "{ahead}: {end}");
            before = end.num_seconds();
        }
    }
}

#[tokio::test]
async fn a_moved_end_needs_nothing_of_what_registering_again_does() {
    for position in ["error-and-refresh", "error-and-keep", "ok-and-refresh"] {
        for (first, second) in [(10, 20), (20, 10)] {
            let lab = lab(&[("reregister", position)]).await;
            let (target, ..) = lab.ready("tags").await;
            add(&*target, &[write(ipv4("45.83.0.1"), first)]).await;
            let held = target.list(Scope::All).await.unwrap().remove(0);
            assert_eq!(held.expires, Some(start_time() + TimeDelta::days(first)));
            assert!(all_done(
                &target.apply(Batch::Update(&[update(&held, second)])).await
            ));
            let held = target.list(Scope::All).await.unwrap();
            assert_eq!(held.len(), 1);
            assert!(held[0].conforms && held[0].blocks);
            assert_eq!(
                held[0].expires,
                Some(start_time() + TimeDelta::days(second))
            );
            lab.pass(second * 86_400 - 1);
            assert!(lab.blocks("45.83.0.1").await, "{position}");
            lab.pass(1);
            assert!(!lab.blocks("45.83.0.1").await, "{position}");
        }
    }
}

#[tokio::test]
async fn an_update_leaves_no_moment_without_a_block() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("tags").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    let held = target.list(Scope::All).await.unwrap().remove(0);
    // Whatever call is the last one that arrives, the address is blocked after it.
    for after in 0..3 {
        lab.fake.server.fault(
            Fault::new(FaultAction::ResetBefore)
                .on("POST", "/api")
                .after(after)
                .times(usize::MAX),
        );
        target.apply(Batch::Update(&[update(&held, 4)])).await;
        lab.fake.server.faults.clear();
        assert!(lab.blocks("45.83.0.1").await, "cut off after {after}");
        target.list(Scope::All).await.unwrap();
    }
}

#[tokio::test]
async fn others_tags_on_the_same_address_survive_everything() {
    let lab = lab(&[]).await;
    lab.message(&format!(
        "<register>{}</register>",
        entry("45.83.0.1", &["corp-quarantine", "it-asset"])
    ))
    .await;
    let (target, _, held) = lab.ready("tags").await;
    assert!(
        held.is_empty(),
        "tags of others are no entries of this mechanism"
    );
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    let held = target.list(Scope::All).await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Update(&[update(&held[0], 5)])).await
    ));
    let held = target.list(Scope::All).await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Remove(&[removal(&held[0])])).await
    ));
    let table = lab.table().await;
    assert!(
        table.has("<member>corp-quarantine</member>") && table.has("<member>it-asset</member>")
    );
    assert!(table.has("10.77.0.1") && !table.has("cordon"));
}

#[tokio::test]
async fn no_message_can_take_what_it_does_not_name() {
    let lab = lab(&[]).await;
    let (target, ..) = lab.ready("tags").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    let held = target.list(Scope::All).await.unwrap();
    target.apply(Batch::Update(&[update(&held[0], 5)])).await;
    let held = target.list(Scope::All).await.unwrap();
    target.apply(Batch::Remove(&[removal(&held[0])])).await;
    // What is gone already needs no message at all.
    target.list(Scope::All).await.unwrap();
    assert!(all_done(
        &target.apply(Batch::Remove(&[removal(&held[0])])).await
    ));
    for call in lab.fake.server.log.all() {
        let body = String::from_utf8_lossy(&call.body).into_owned();
        let text: String = url::form_urlencoded::parse(body.as_bytes())
            .map(|(_, value)| value.into_owned())
            .collect();
        assert!(
            !text.contains("<unregister></unregister>") && !text.contains("<unregister/>"),
            "{text}"
        );
        assert!(!text.contains("\"/>"), "an entry without tags: {text}");
        for entry in text
            .split("<unregister>")
            .skip(1)
            .flat_map(|rest| rest.split("<entry").skip(1))
        {
            assert_eq!(entry.matches("<member>").count(), 1, "{entry}");
        }
        assert_eq!(call.query, "", "nothing stands in a URL");
    }
}

#[tokio::test]
async fn pages_that_shift_while_they_are_read_are_read_again() {
    let lab = lab_with(&[], |options| options.set("others", 1200)).await;
    lab.message(&format!(
        "<register>{}</register>",
        entry("45.83.0.1", &["cordon-a"])
    ))
    .await;
    let target = lab.target("tags");
    target.open().await.unwrap();
    // Between the first page and the second an entry of the first is gone, and everything moves up.
    let gone = ipv4("10.0.0.1");
    lab.message(&format!(
        "<register>{}</register>",
        entry("10.0.0.1", &["cordon-b"])
    ))
    .await;
    lab.message(&format!(
        "<unregister>{}</unregister>",
        entry("45.83.0.1", &["cordon-a"])
    ))
    .await;
    lab.message(&format!(
        "<register>{}</register>",
        entry("10.200.0.1", &["cordon-a"])
    ))
    .await;
    let state = lab.fake.state.clone();
    let moved = gone.clone();
    lab.fake.server.fault(
        Fault::new(FaultAction::Slow(std::time::Duration::ZERO))
            .on("POST", "/api")
            .after(1)
            .times(1)
            .also(move || {
                state.remove("tags", &moved);
            }),
    );
    let held = target.list(Scope::All).await.unwrap();
    let values: Vec<&Value> = held.iter().map(|held| &held.value).collect();
    assert_eq!(values, [&ipv4("10.200.0.1")]);
}

#[tokio::test]
async fn versions_and_panorama_are_told_apart() {
    let old = lab_with(&[], |options| options.set("sw_version", "8.1.20")).await;
    let error = old.target("tags").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.hint_text().is_some());
    let nine = lab_with(&[], |options| options.set("sw_version", "9.1.14")).await;
    let (target, facts, _) = nine.ready("tags").await;
    assert!(target.accept(&ipv4("45.83.0.0/24"), &facts).is_err());
    assert!(target.accept(&ipv4("45.83.0.1"), &facts).is_ok());
    assert_eq!(
        nine.target("objects").open().await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let panorama = lab_with(&[], |options| options.set("panorama", vec!["012801000001"])).await;
    let direct = panorama.targets(json!({ "target": null })).remove(0);
    let error = direct.open().await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("`target`"), "{error}");
    let (target, ..) = panorama.ready("tags").await;
    add(&*target, &[write(ipv4("45.83.0.1"), 3)]).await;
    assert!(panorama.blocks("45.83.0.1").await);
    let away = panorama.targets(json!({ "target": "099" })).remove(0);
    let error = away.open().await.unwrap_err();
    assert!(
        error.to_string().contains("not connected") && error.to_string().contains("099"),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_table_is_told_as_such() {
    let known = lab_with(&[], |options| {
        options.set("model", "VM-50").set("others", 999)
    })
    .await;
    let (target, ..) = known.ready("tags").await;
    let writes = [write(ipv4("45.83.0.1"), 3), write(ipv4("45.83.0.2"), 3)];
    let outcomes = target.apply(Batch::Add(&writes)).await;
    assert!(
        matches!(&outcomes[..], [Outcome::Done, Outcome::Failed(error)] if error.kind() == ErrorKind::Full),
        "{outcomes:?}"
    );
    // A model whose limit nobody documents, and a device that says nothing.
    let silent = lab_with(&[("overflow", "silent")], |options| {
        options.set("model", "PA-440").set("others", 1200)
    })
    .await;
    let (target, facts, _) = silent.ready("tags").await;
    assert!(facts.capacity.is_empty());
    let outcomes = target.apply(Batch::Add(&writes)).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Unknown(_))),
        "{outcomes:?}"
    );
    let told = lab_with(&[], |options| {
        options.set("model", "PA-440").set("others", 1200)
    })
    .await;
    let (target, ..) = told.ready("tags").await;
    let outcomes = target.apply(Batch::Add(&writes)).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected(text) if text.contains("Failed to register"))), "{outcomes:?}");
}

#[tokio::test]
async fn a_password_that_a_proxy_repeats_is_struck_out() {
    let lab = lab_with(&[], |options| options.set("login", "password")).await;
    let password = lab.fake.configuration["password"].as_str().unwrap();
    let target = lab.target("tags");
    sdk::testing::secrets::repeated_by_a_proxy(&lab.fake, &*target, ("POST", "/api"), password)
        .await;
}

#[tokio::test]
async fn keys_are_made_once_and_never_tried_again_when_refused() {
    let lab = lab_with(&[("keygen", "rotating")], |options| {
        options.set("login", "password").set("key_lifetime", 60)
    })
    .await;
    let targets = lab.targets(json!({ "mechanism": { "ipv4": "tags", "ipv6": "objects" } }));
    for _ in 0..3 {
        for target in &targets {
            target.open().await.unwrap();
        }
    }
    assert_eq!(lab.told().await["keygens"], 1, "one key for all targets");
    lab.pass(3601);
    for target in &targets {
        target.open().await.unwrap();
    }
    assert_eq!(lab.told().await["keygens"], 2);
    let wrong = lab.targets(json!({ "password": "guess" })).remove(0);
    for _ in 0..3 {
        assert_eq!(wrong.open().await.unwrap_err().kind(), ErrorKind::Auth);
    }
    assert_eq!(
        lab.told().await["keygens"],
        3,
        "a wrong password is sent once"
    );
    let error = lab
        .targets(json!({ "api_key": "nonsense" }))
        .remove(0)
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn missing_rights_and_passive_devices_are_named() {
    for position in ["code-16", "http-403"] {
        let lab = lab_with(&[("missing-right", position)], |options| {
            options.set("rights", vec!["op"])
        })
        .await;
        let (target, ..) = lab.ready("tags").await;
        let outcomes = target
            .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
            .await;
        assert!(
            matches!(&outcomes[..], [Outcome::Failed(error)] if error.kind() == ErrorKind::Denied && error.hint_text().is_some()),
            "{outcomes:?}"
        );
    }
    let passive = lab_with(&[], |options| options.set("pair", "passive")).await;
    let (target, facts, _) = passive.ready("tags").await;
    let outcomes = target
        .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
        .await;
    assert!(
        matches!(&outcomes[..], [Outcome::Failed(error)] if error.hint_text().unwrap().contains("active")),
        "{outcomes:?}"
    );
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("passive")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn check_tells_which_group_and_rule_use_our_tags() {
    let good = lab(&[]).await;
    let (target, facts, _) = good.ready("tags").await;
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings.iter().all(|finding| finding.level == Level::Ok),
        "{findings:?}"
    );
    assert!(findings.iter().any(|finding| {
        finding
            .message
            .contains("block-cordon denies by cordon-dynamic")
    }));
    let bare = lab_with(&[], |options| options.set("rules", false)).await;
    let (target, facts, _) = bare.ready("tags").await;
    let findings = target.examine(&facts).await.unwrap();
    let missing = findings
        .iter()
        .find(|finding| finding.level == Level::Missing)
        .unwrap();
    assert!(
        missing
            .hint
            .as_ref()
            .unwrap()
            .contains("'cordon-a' or 'cordon-b'")
    );
    let blind = lab_with(&[], |options| options.set("rights", vec!["op", "user-id"])).await;
    let (target, facts, _) = blind.ready("tags").await;
    let findings = target.examine(&facts).await.unwrap();
    assert!(
        findings
            .iter()
            .any(|finding| finding.message.contains("rules cannot be read")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn two_runs_of_one_owner_at_once_leave_an_entry_that_is_provably_theirs() {
    for position in ["apply-rest", "reject-all"] {
        let lab = lab(&[("duplicate", position)]).await;
        let (one, ..) = lab.ready("tags").await;
        let (other, ..) = lab.ready("tags").await;
        add(&*one, &[write(ipv4("45.83.0.1"), 3)]).await;
        let outcomes = other
            .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
            .await;
        assert!(matches!(outcomes[..], [Outcome::Exists]), "{outcomes:?}");
        let held = other.list(Scope::All).await.unwrap();
        assert!(
            held.len() == 1 && held[0].note.is_some(),
            "{position}: {held:?}"
        );
    }
}

#[tokio::test]
async fn an_address_without_room_for_our_tags_is_not_left_blocked_without_a_mark() {
    let lab = lab(&[]).await;
    let theirs: Vec<String> = (0..31).map(|number| format!("t{number}")).collect();
    let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
    lab.message(&format!(
        "<register>{}</register>",
        entry("45.83.0.1", &theirs)
    ))
    .await;
    let (target, ..) = lab.ready("tags").await;
    let outcomes = target
        .apply(Batch::Add(&[write(ipv4("45.83.0.1"), 3)]))
        .await;
    assert!(
        matches!(outcomes[..], [Outcome::Rejected(_)]),
        "{outcomes:?}"
    );
    let held = target.list(Scope::All).await.unwrap();
    assert!(held.is_empty(), "{held:?}");
    assert!(!lab.blocks("45.83.0.1").await);
    assert_eq!(lab.table().await.count("<member>t"), 31);
}
