//! The uniform actions, as a playbook calls them.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use serde_json::{Value as Json, json};

use crate::support::{Fake, Ran, act, bundle, cordon, finish, indicator, run_with_input, write};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

struct Falcon {
    directory: tempfile::TempDir,
    fake: Fake,
}

impl Falcon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
        Self { directory, fake }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn run(&self, command: &str, arguments: &Json) -> Ran {
        act(
            self.path(),
            "crowdstrike",
            command,
            arguments,
            &self.fake.configuration,
        )
    }

    /// The report or view of an action that has to work.
    fn done(&self, command: &str, arguments: &Json) -> Json {
        let ran = self.run(command, arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    }

    /// Value, owner and whether there is an end, of everything of ours.
    fn there(&self) -> Vec<(String, String, bool)> {
        let listed = self.done("list_blocked", &json!({}));
        let entries = listed["entries"].as_array().unwrap();
        assert_eq!(listed["count"], entries.len());
        let text = |entry: &Json, key: &str| entry[key].as_str().unwrap().to_owned();
        entries
            .iter()
            .map(|it| {
                (
                    text(it, "value"),
                    text(it, "owner"),
                    it.get("until").is_some(),
                )
            })
            .collect()
    }
}

#[test]
fn a_block_is_listed_with_owner_end_and_reason_and_goes_again() {
    let falcon = Falcon::start();
    let report = falcon.done(
        "block",
        &json!({ "values": [SHA256, "8.8.8[.]8", "10.1.2.3"], "valid_for": 3, "reason": "case 7" }),
    );
    assert_eq!(report["added"], 1, "{report}");
    assert_eq!(report["skipped"]["detect-only"], 1, "{report}");
    assert_eq!(report["skipped"]["protected"], 1, "{report}");
    let listed = falcon.done("list_blocked", &json!({}));
    let entry = &listed["entries"][0];
    assert_eq!(
        (&entry["value"], &entry["owner"]),
        (&json!(SHA256), &json!("manual"))
    );
    assert_eq!(entry["reason"], "case 7");
    let until: chrono::DateTime<Utc> = entry["until"].as_str().unwrap().parse().unwrap();
    let days = until - Utc::now();
    assert!(
        days > TimeDelta::days(2) && days < TimeDelta::days(4),
        "{days}"
    );
    assert_eq!(
        falcon.done("list_blocked", &json!({ "deployment": "acme" }))["count"],
        0
    );

    let tried = falcon.done("unblock", &json!({ "values": [SHA256], "dry_run": true }));
    assert_eq!(tried["removed"]["withdrawn"], 1, "{tried}");
    assert_eq!(falcon.there().len(), 1, "a dry run sends nothing");
    let gone = falcon.done("unblock", &json!({ "values": [SHA256] }));
    assert_eq!(gone["removed"]["withdrawn"], 1, "{gone}");
    assert_eq!(falcon.there(), []);
    let again = falcon.done("unblock", &json!({ "values": [SHA256] }));
    assert_eq!(again["requests"]["write"], 0, "{again}");
}

#[test]
fn times_that_cannot_be_are_named() {
    let falcon = Falcon::start();
    for (arguments, said) in [
        (
            json!({ "valid_for": 100_000_000 }),
            "valid_for: must be at most 36500",
        ),
        (
            json!({ "valid_until": "2027-01-01" }),
            "valid_until \"2027-01-01\" is no time; write it as",
        ),
    ] {
        let mut arguments = arguments;
        arguments["values"] = json!([SHA256]);
        let ran = falcon.run("block", &arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    assert_eq!(falcon.there(), []);
}

#[test]
fn a_value_that_cannot_be_read_is_no_success() {
    let falcon = Falcon::start();
    for command in ["block", "unblock"] {
        let ran = falcon.run(command, &json!({ "values": [SHA256, "no such thing"] }));
        assert_eq!(ran.code, Some(4), "{ran:?}");
        let report = ran.json();
        let done = [&report["added"], &report["removed"]["withdrawn"]];
        assert!(done.contains(&&json!(1)), "{report}");
        assert_eq!(
            (&report["status"], &report["failed"]),
            (&json!("partial"), &json!(1))
        );
        assert_eq!(report["skipped"]["unsupported"], 0, "{report}");
        let told = &report["details"][0];
        assert_eq!(
            (&told["outcome"], &told["reason"]),
            (&json!("failed"), &json!("unreadable"))
        );
        assert_eq!(told["message"], "values item 2: not an indicator");
    }
    assert_eq!(falcon.there(), []);
}

#[test]
fn what_only_detects_is_listed_so() {
    let falcon = Falcon::start();
    let arguments = json!({ "values": [SHA256, "8.8.8.8"], "accept_detection": true });
    falcon.done("block", &arguments);
    let listed = falcon.done("list_blocked", &json!({}));
    let effects: Vec<(&Json, &Json)> = listed["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["kind"], &entry["effect"]))
        .collect();
    assert_eq!(
        effects,
        [
            (&json!("ipv4"), &json!("detect")),
            (&json!("sha256"), &json!("prevent"))
        ]
    );
}

#[test]
fn without_a_record_nobody_says_that_nothing_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["fortinet", "--http"]);
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!("ban");
    let store = ["--store", "sqlite:cordon.db"];
    let list = |arguments: &Json, command: &str, store: &[&str]| {
        let input = json!({ "arguments": arguments, "configuration": configuration });
        let words = [&["run", "fortinet", command][..], store].concat();
        run_with_input(directory, &words, &input.to_string())
    };
    let blocked = list(&json!({ "values": ["8.8.8.8"] }), "block", &store);
    assert_eq!(blocked.code, Some(0), "{blocked:?}");
    assert_eq!(list(&json!({}), "list_blocked", &store).json()["count"], 1);
    let ran = list(&json!({}), "list_blocked", &[]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("ban needs a store"), "{ran:?}");
}

#[test]
fn what_could_not_be_told_is_not_done() {
    let falcon = Falcon::start();
    let input =
        json!({ "arguments": { "values": [SHA256] }, "configuration": falcon.fake.configuration });
    let command = [
        "run",
        "crowdstrike",
        "block",
        "--output",
        "nowhere/result.json",
    ];
    let ran = run_with_input(falcon.path(), &command, &input.to_string());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("nowhere/result.json"), "{ran:?}");
    assert_eq!(falcon.there(), []);
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_is_lost_on_a_full_disk_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = cordon(directory.path());
    let ran = finish(command.arg("connectors").stdout(full.unwrap()));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot be printed"), "{ran:?}");
}

#[test]
fn unblock_names_who_would_put_it_back() {
    let falcon = Falcon::start();
    let values = json!({ "values": [SHA256], "deployment": "acme" });
    falcon.done("block", &values);
    falcon.done("block", &json!({ "values": [SHA256] }));
    let report = falcon.done("unblock", &json!({ "values": [SHA256] }));
    let told = report["details"].as_array().unwrap();
    assert!(
        told.iter().any(|it| it["outcome"] == "still_wanted"
            && it["message"].as_str().unwrap().contains("acme")),
        "{report}"
    );
    assert_eq!(
        falcon.there(),
        [(SHA256.to_owned(), "acme".to_owned(), false)]
    );
    falcon.done("unblock", &values);
    assert_eq!(falcon.there(), []);
}

#[test]
fn remove_expired_takes_what_ended_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // The fake's day is tomorrow: what ends within minutes of its clock has ended for a clock that is a
    // little ahead of it.
    let fake = Fake::start(directory, &["crowdstrike", "--http", "--clock", "+24h"]);
    let moved = |clock: &str, command: &str, arguments: &Json| {
        let input = json!({ "arguments": arguments, "configuration": fake.configuration });
        let ran = crate::support::run_with_input(
            directory,
            &["run", "crowdstrike", command, "--clock", clock],
            &input.to_string(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    };
    let soon = Utc::now() + TimeDelta::hours(24) + TimeDelta::seconds(100);
    let other = "9".repeat(64);
    for (value, arguments) in [
        (SHA256, json!({ "valid_until": soon.to_rfc3339() })),
        (&other, json!({ "valid_for": 5, "deployment": "acme" })),
    ] {
        let mut arguments = arguments;
        arguments["values"] = json!([value]);
        assert_eq!(moved("+24h", "block", &arguments)["added"], 1);
    }
    let early = moved("+24h", "remove_expired", &json!({}));
    assert_eq!(early["removed"]["expired"], 0, "{early}");
    let report = moved("+86640s", "remove_expired", &json!({}));
    assert_eq!(report["removed"]["expired"], 1, "{report}");
    assert_eq!(report["changes"][0]["value"], SHA256, "{report}");
    let left = moved("+86640s", "list_blocked", &json!({}));
    assert_eq!(left["count"], 1, "{left}");
    assert_eq!(left["entries"][0]["value"], other);
}

#[test]
fn check_says_what_is_there_and_what_is_missing() {
    let falcon = Falcon::start();
    let good = falcon.done("check", &json!({}));
    assert_eq!(good["status"], "ok", "{good}");
    let read_only = Fake::start(
        falcon.path(),
        &["crowdstrike", "--http", "--set", r#"scopes=["write"]"#],
    );
    let missing = act(
        falcon.path(),
        "crowdstrike",
        "check",
        &json!({}),
        &read_only.configuration,
    )
    .json();
    assert_eq!(missing["status"], "missing", "{missing}");
    let mut wrong = falcon.fake.configuration.clone();
    wrong["client_secret"] = json!("ThisIsNotTheSecretOfThatClient0000000000");
    let refused = act(falcon.path(), "crowdstrike", "check", &json!({}), &wrong);
    assert_eq!(refused.json()["status"], "missing", "{refused:?}");
    assert!(
        !format!("{refused:?}").contains("ThisIsNotTheSecret"),
        "{refused:?}"
    );
}

#[test]
fn a_network_that_somebody_slipped_with_is_not_blocked() {
    let falcon = Falcon::start();
    let ran = falcon.run(
        "block",
        &json!({ "values": ["8.8.8.8/8"], "accept_detection": true }),
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("8.8.8.8 for the address alone"),
        "{ran:?}"
    );
}

#[test]
fn a_push_adds_removes_and_knows_what_is_stale() {
    let falcon = Falcon::start();
    let id = "indicator--6a1b1b1e-1111-4111-8111-111111111111";
    let pattern = format!("[file:hashes.'SHA-256' = '{SHA256}']");
    let day = |days: i64| (Utc::now() - TimeDelta::days(10 - days)).to_rfc3339();
    let version = |days: i64, revoked: bool| {
        indicator(
            &pattern,
            &json!({ "id": id, "modified": day(days), "revoked": revoked }),
        )
    };
    let later = indicator(
        "[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']",
        &json!({ "valid_from": (Utc::now() + TimeDelta::days(2)).to_rfc3339() }),
    );
    let store = ["--store", "sqlite:ledger.db"];
    let push = |objects: &[Json]| {
        let input = json!({
            "arguments": { "stix_objects": objects },
            "configuration": falcon.fake.configuration,
        });
        let mut arguments = vec!["run", "crowdstrike", "push_indicators"];
        arguments.extend(store);
        let ran = crate::support::run_with_input(falcon.path(), &arguments, &input.to_string());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    };
    let first = push(&[version(2, false), later]);
    assert_eq!(first["added"], 1, "{first}");
    assert_eq!(first["skipped"]["waiting"], 1, "{first}");
    assert!(
        first["hint"].as_str().unwrap().contains("sync_collection"),
        "{first}"
    );
    // Absence means nothing.
    let nothing = push(&[]);
    assert_eq!(nothing["requests"]["write"], 0, "{nothing}");
    assert_eq!(falcon.there().len(), 1);
    let older = push(&[version(1, true)]);
    assert_eq!(older["skipped"]["stale"], 1, "{older}");
    assert_eq!(falcon.there().len(), 1, "an older version changes nothing");
    let revoked = push(&[version(3, true)]);
    assert_eq!(revoked["removed"]["revoked"], 1, "{revoked}");
    assert_eq!(falcon.there(), []);
}

#[test]
fn sync_collection_makes_equal_what_its_owner_has() {
    let falcon = Falcon::start();
    falcon.done("block", &json!({ "values": [SHA256] }));
    let hash = |letter: char| letter.to_string().repeat(64);
    let object = |letter: char| {
        indicator(
            &format!("[file:hashes.'SHA-256' = '{}']", hash(letter)),
            &json!({}),
        )
    };
    let refused = falcon.run(
        "sync_collection",
        &json!({ "stix_objects": [object('a')], "deployment": "c2" }),
    );
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("complete: true"), "{refused:?}");
    write(
        falcon.path(),
        "objects.json",
        &bundle(&[object('a'), object('b')]),
    );
    let sync = |more: Json| {
        let mut arguments = json!({ "complete": true, "deployment": "c2" });
        for (key, value) in more.as_object().unwrap() {
            arguments[key] = value.clone();
        }
        falcon.done("sync_collection", &arguments)
    };
    let first = sync(json!({ "stix_objects_path": "objects.json" }));
    assert_eq!(first["added"], 2, "{first}");
    let second = sync(json!({ "stix_objects": [object('b'), object('c')] }));
    assert_eq!(
        (&second["added"], &second["removed"]["withdrawn"]),
        (&json!(1), &json!(1)),
        "{second}"
    );
    let owners: Vec<String> = falcon.there().into_iter().map(|it| it.1).collect();
    assert_eq!(owners.iter().filter(|it| *it == "manual").count(), 1);
    assert_eq!(owners.iter().filter(|it| *it == "c2").count(), 2);
    let excluded = sync(json!({
        "stix_objects": [object('b'), object('c')],
        "exclude": [hash('c')],
    }));
    assert_eq!(excluded["removed"]["excluded"], 1, "{excluded}");
}
