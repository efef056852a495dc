//! The blocklist: several entries behind one hash.

use sdk::indicator::Value;
use sdk::target::{Batch, Held, Outcome, Removal, Scope, Target, Write};
use sdk::{ErrorKind, ownership};
use serde_json::{Value as Json, json};

use crate::raw::{
    ACCOUNT, RESTRICTIONS, SITE, hash, lab, lab_with, names, sha1, sha256, with, write,
};

async fn add(target: &dyn Target, value: &Value) -> Vec<Outcome> {
    target.apply(Batch::Add(&[write(value)])).await
}

async fn one(target: &dyn Target) -> Held {
    let mut held = target.list(Scope::All).await.unwrap();
    assert_eq!(held.len(), 1, "{held:?}");
    held.remove(0)
}

fn systems(rows: &[Json]) -> Vec<&str> {
    let mut systems: Vec<&str> = rows
        .iter()
        .map(|row| row["osType"].as_str().unwrap())
        .collect();
    systems.sort_unstable();
    systems
}

fn change(held: &Held, note: &str) -> Write {
    Write {
        id: Some(held.id.clone()),
        note: note.to_owned(),
        held_note: held.note.clone(),
        ..write(&held.value)
    }
}

fn removal(held: &Held) -> Removal {
    Removal {
        id: held.id.clone(),
        value: held.value.clone(),
    }
}

/// Item 30: both kinds, on every system, until they are removed by id.
#[tokio::test]
async fn hashes_come_and_go_on_every_system() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    for value in [sha1("aa"), sha256("bb")] {
        assert_eq!(names(&add(&*target, &value).await), ["done"]);
        assert_eq!(systems(&lab.blocked().await), ["linux", "macos", "windows"]);
        let held = one(&*target).await;
        assert!(held.conforms && held.blocks && held.value == value);
        let longer = change(&held, &write(&value).note.replace("Monday", "Tuesday"));
        assert_eq!(
            names(&target.apply(Batch::Update(&[longer])).await),
            ["done"]
        );
        let rows = lab.blocked().await;
        assert!(
            rows.iter()
                .all(|row| row["description"].as_str().unwrap().ends_with("Tuesday"))
        );
        let held = one(&*target).await;
        assert_eq!(
            names(&target.apply(Batch::Remove(&[removal(&held)])).await),
            ["done"]
        );
        assert!(lab.blocked().await.is_empty());
    }
}

/// Item 27: somebody else's entry on one system keeps ours from no other.
#[tokio::test]
async fn a_hash_that_others_block_on_one_system_is_completed() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    // By the other user.
    assert!(lab.fake.state.add_foreign("blocklist", &sha1("aa")));
    let rows = lab.blocked().await;
    let ids: Vec<&Json> = rows[1..].iter().map(|row| &row["id"]).collect();
    let body = json!({ "data": { "ids": ids, "type": "black_hash" } });
    assert_eq!(lab.call("DELETE", RESTRICTIONS, body).await.affected(), 2);
    assert!(
        target.list(Scope::All).await.unwrap().is_empty(),
        "a part does not stand in our way"
    );

    assert_eq!(names(&add(&*target, &sha1("aa")).await), ["done"]);
    let held = target.list(Scope::All).await.unwrap();
    let (ours, foreign): (Vec<&Held>, Vec<&Held>) = held
        .iter()
        .partition(|held| held.note.as_deref().unwrap_or_default().contains("cordon"));
    assert!(
        ours.len() == 1 && ours[0].conforms,
        "together they cover all"
    );
    assert!(foreign.len() == 1 && !foreign[0].conforms);
    // The other one goes: ours is no longer whole, and is completed.
    let body = json!({ "data": { "ids": [rows[0]["id"]], "type": "black_hash" } });
    assert_eq!(lab.call("DELETE", RESTRICTIONS, body).await.affected(), 1);
    let held = one(&*target).await;
    assert!(!held.conforms);
    let again = change(&held, &write(&held.value).note);
    assert_eq!(
        names(&target.apply(Batch::Update(&[again])).await),
        ["done"]
    );
    assert!(one(&*target).await.conforms);
    assert_eq!(lab.blocked().await.len(), 3);
}

/// Item 27: all there already is told apart from a failure.
#[tokio::test]
async fn duplicates_are_no_failures() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    assert!(lab.fake.state.add_foreign("blocklist", &sha1("aa")));
    assert_eq!(names(&add(&*target, &sha1("aa")).await), ["exists"]);
    let held = one(&*target).await;
    assert!(held.blocks && held.writable && held.note.as_deref() == Some("blocked by hand"));
    // A site that inherits it from the account, on a console that counts that.
    let lab = lab_with(&[], |options| options.set("inherited_exists", true)).await;
    assert!(lab.fake.state.add_foreign("blocklist", &sha1("aa")));
    let site = lab
        .targets("blocklist", json!({ "site_ids": [SITE] }))
        .remove(0);
    assert!(site.list(Scope::All).await.unwrap().is_empty());
    assert_eq!(names(&add(&*site, &sha1("aa")).await), ["exists"]);
}

/// Items 29 and 30: a cloud entry, one of an incident and other scopes are none of ours.
#[tokio::test]
async fn entries_of_others_are_seen_and_other_scopes_are_not() {
    let lab = lab_with(&[], |options| {
        options
            .set("foreign", true)
            .set("systems", json!(["windows"]))
    })
    .await;
    let target = lab.target("blocklist");
    let held = target.list(Scope::All).await.unwrap();
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(
        held.iter()
            .all(|held| held.blocks && !held.writable && !held.conforms)
    );
    let some = target
        .list(Scope::Values(&[held[0].value.clone()]))
        .await
        .unwrap();
    assert_eq!(some, held[..1]);
}

/// An entry can carry both hashes of a file: it blocks both, and nothing of ours may lose one of them.
#[tokio::test]
async fn an_entry_with_two_hashes_is_seen_as_both_and_not_adopted() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    for system in ["windows", "macos", "linux"] {
        let both = with(
            hash("aa", system),
            &[("sha256Value", json!("bb".repeat(32)))],
        );
        lab.block(both).await.data();
    }
    let held = target.list(Scope::All).await.unwrap();
    let values: Vec<Value> = held.iter().map(|held| held.value.clone()).collect();
    assert_eq!(values, [sha1("aa"), sha256("bb")]);
    assert!(held.iter().all(|held| held.blocks && !held.writable));
    for value in values {
        assert_eq!(names(&add(&*target, &value).await), ["exists"]);
    }
}

#[tokio::test]
async fn systems_that_are_added_or_taken_out_of_the_list_follow() {
    let lab = lab(&[]).await;
    add(&*lab.target("blocklist"), &sha1("aa")).await;
    for (wanted, found) in [
        (json!(["linux"]), vec!["linux"]),
        (
            json!(["linux", "windows_legacy"]),
            vec!["linux", "windows_legacy"],
        ),
    ] {
        let target = lab
            .targets("blocklist", json!({ "os_types": wanted }))
            .remove(0);
        let held = one(&*target).await;
        assert!(!held.conforms);
        let again = change(&held, &write(&held.value).note);
        assert_eq!(
            names(&target.apply(Batch::Update(&[again])).await),
            ["done"]
        );
        assert!(one(&*target).await.conforms);
        assert_eq!(systems(&lab.blocked().await), found);
    }
}

/// A write that was cut off between the entries of a hash: of two ends the later stands, and the entry is
/// put right.
#[tokio::test]
async fn entries_that_differ_are_one_and_need_mending() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    let value = sha1("aa");
    let note = |hours: i64| {
        let owner = ownership::Owner::new("acme").unwrap();
        let end = lab.clock.now() + chrono::TimeDelta::hours(hours);
        let marks = vec![ownership::Mark::new(owner, Some(end))];
        let note = ownership::Note {
            marks,
            rest: "words".to_owned(),
            ..Default::default()
        };
        note.write("main", &value, 255).unwrap()
    };
    for (system, hours) in [("windows", 5), ("macos", 9), ("linux", 5)] {
        let row = with(hash("aa", system), &[("description", json!(note(hours)))]);
        lab.block(row).await.data();
    }
    let held = one(&*target).await;
    assert_eq!(held.note.as_deref(), Some(note(9).as_str()));
    assert!(!held.conforms);
    assert_eq!(
        names(
            &target
                .apply(Batch::Update(&[change(&held, &note(5))]))
                .await
        ),
        ["done"]
    );
    let held = one(&*target).await;
    assert!(held.conforms && held.note.as_deref() == Some(note(5).as_str()));
}

/// Item 33: our words, the systems, the vendor's words.
#[tokio::test]
async fn a_hash_that_is_not_allowed_is_named_with_the_vendors_words() {
    let lab = lab_with(&[], |options| {
        options.set("not_allowed", json!(["aa".repeat(20)]))
    })
    .await;
    let outcomes = add(&*lab.target("blocklist"), &sha1("aa")).await;
    let Outcome::Rejected(text) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(
        text,
        "on windows, macos, linux: Bad Request: Not allowed: this hash cannot be blocked. [4000040]"
    );
}

/// Item 26: a console of before 2025 says so for each SHA-256.
#[tokio::test]
async fn an_old_console_takes_sha1_only() {
    let lab = lab_with(&[], |options| options.set("old_console", true)).await;
    let target = lab.target("blocklist");
    assert_eq!(names(&add(&*target, &sha1("aa")).await), ["done"]);
    let outcomes = add(&*target, &sha256("bb")).await;
    assert!(
        matches!(&outcomes[0], Outcome::Rejected(text) if text.contains("sha256Value")),
        "{outcomes:?}"
    );
}

/// A description that is cut would make an entry that nobody can prove ours: it is taken back.
#[tokio::test]
async fn a_mark_that_is_cut_is_noticed() {
    let lab = lab_with(&[], |options| options.set("description_limit", 20)).await;
    let target = lab.target("blocklist");
    let outcomes = add(&*target, &sha1("aa")).await;
    assert!(matches!(&outcomes[0], Outcome::Rejected(text) if text.contains("description")));
    assert!(lab.blocked().await.is_empty());
    // Somebody else's keeps its words.
    assert!(lab.fake.state.add_foreign("blocklist", &sha1("bb")));
    let held = one(&*target).await;
    let marked = write(&held.value)
        .note
        .replace("seen on Monday", "blocked by hand");
    let adopted = Write {
        note_and_end_only: true,
        ..change(&held, &marked)
    };
    assert_eq!(
        names(&target.apply(Batch::Update(&[adopted])).await),
        ["rejected"]
    );
    assert_eq!(one(&*target).await.note.as_deref(), Some("blocked by hand"));
}

/// A second owner's mark for which there is no room does not cost the first its entry.
#[tokio::test]
async fn an_entry_whose_new_mark_is_cut_is_left_as_it_was() {
    let value = sha1("aa");
    let first = write(&value).note;
    let room = first.chars().count() + 5;
    let lab = lab_with(&[], move |options| options.set("description_limit", room)).await;
    let target = lab.target("blocklist");
    assert_eq!(names(&add(&*target, &value).await), ["done"]);
    let held = one(&*target).await;
    let both = format!("{} {first}", first.replace(";acme;", ";abc;"));
    let outcomes = target.apply(Batch::Update(&[change(&held, &both)])).await;
    assert_eq!(names(&outcomes), ["rejected"]);
    assert_eq!(one(&*target).await, held);
}

/// Item 32: fewer removed than asked for is settled by looking.
#[tokio::test]
async fn a_removal_of_what_is_partly_gone_is_done() {
    let lab = lab(&[]).await;
    let target = lab.target("blocklist");
    add(&*target, &sha1("aa")).await;
    let held = one(&*target).await;
    let rows = lab.blocked().await;
    let body = json!({ "data": { "ids": [rows[0]["id"]], "type": "black_hash" } });
    lab.call("DELETE", RESTRICTIONS, body).await;
    assert_eq!(
        names(&target.apply(Batch::Remove(&[removal(&held)])).await),
        ["done"]
    );
    // A console that says it removed them and did not.
    add(&*target, &sha1("aa")).await;
    let held = one(&*target).await;
    let answer = r#"{"data":{"affected":1}}"#;
    lab.fake
        .server
        .fault(sdk::fake::Fault::answer(200, answer).on("DELETE", ""));
    let outcomes = target.apply(Batch::Remove(&[removal(&held)])).await;
    let Outcome::Failed(error) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("1 of 3"), "{error}");
}

/// Item 37.
#[tokio::test]
async fn errors_in_a_success_are_a_refusal() {
    let lab = lab(&[]).await;
    let body = r#"{"data":null,"errors":[{"code":4000040,"title":"Nearly","detail":null}]}"#;
    lab.fake
        .server
        .fault(sdk::fake::Fault::answer(200, body).on("POST", "").times(3));
    let outcomes = add(&*lab.target("blocklist"), &sha1("aa")).await;
    assert!(matches!(&outcomes[0], Outcome::Rejected(text) if text.contains("Nearly [4000040]")));
}

#[tokio::test]
async fn the_scope_is_the_configured_one() {
    for (level, key) in [
        ("site", "siteIds"),
        ("group", "groupIds"),
        ("tenant", "tenant"),
    ] {
        let lab = lab_with(&[], |options| options.set("level", level)).await;
        let target = lab.target("blocklist");
        assert_eq!(names(&add(&*target, &sha1("aa")).await), ["done"]);
        assert_eq!(lab.fake.state.enforced("blocklist").len(), 1, "{level}");
        let log = lab.fake.server.log.all();
        let post = log.iter().find(|call| call.method == "POST").unwrap();
        let body: Json = serde_json::from_slice(&post.body).unwrap();
        let filter: Vec<&String> = body["filter"].as_object().unwrap().keys().collect();
        assert_eq!(filter, [key]);
        let held = one(&*target).await;
        assert_eq!(
            names(&target.apply(Batch::Remove(&[removal(&held)])).await),
            ["done"]
        );
    }
    let lab = lab(&[]).await;
    add(&*lab.target("blocklist"), &sha1("aa")).await;
    let site = lab.targets(
        "blocklist",
        json!({ "account_ids": [ACCOUNT], "site_ids": [SITE] }),
    );
    assert!(site[0].list(Scope::All).await.unwrap().is_empty());
}
