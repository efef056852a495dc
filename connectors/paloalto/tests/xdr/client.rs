//! The client against the fake: what no uniform suite can know about Cortex XDR.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::connector::Environment;
use sdk::fake::{Fault, FaultAction, Transport};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Held, Level, Outcome, Removal, Scope, Target, Write};
use sdk::testing::builders::{self, value};
use sdk::{Clock, Error, ErrorKind};
use serde_json::{Value as Json, json};

use super::raw::{BLOCK, Lab, hash, ioc, lab, lab_with, with};

fn make(lab: &Lab, mechanism: &str, more: Json, clock: &Clock) -> Result<Arc<dyn Target>, Error> {
    let mut configuration = lab.fake.configuration.clone();
    configuration["mechanism"] = json!(mechanism);
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    let environment = Environment::new(clock.clone());
    let mut targets = (paloalto::connector().targets)(configuration, &environment)?;
    assert_eq!(targets.len(), 1);
    Ok(targets.remove(0))
}

fn target(lab: &Lab, mechanism: &str) -> Arc<dyn Target> {
    make(lab, mechanism, json!({}), &lab.clock).unwrap()
}

fn write(value: Value, expires: Option<DateTime<Utc>>) -> Write {
    Write {
        value,
        id: None,
        expires,
        note: "note".to_owned(),
        note_and_end_only: false,
        held_expires: None,
        held_note: None,
    }
}

fn hashes(numbers: std::ops::Range<usize>) -> Vec<Write> {
    numbers
        .map(|number| write(Value::parse(Kind::Sha256, &hash(number)).unwrap(), None))
        .collect()
}

fn removals(writes: &[Write]) -> Vec<Removal> {
    writes
        .iter()
        .map(|write| Removal {
            id: write.value.to_string().into(),
            value: write.value.clone(),
        })
        .collect()
}

fn change(held: &Held, note: &str) -> Write {
    Write {
        value: held.value.clone(),
        id: Some(held.id.clone()),
        expires: held.expires,
        note: note.to_owned(),
        note_and_end_only: false,
        held_expires: held.expires,
        held_note: held.note.clone(),
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

fn calls(lab: &Lab, part: &str) -> usize {
    lab.fake.server.log.count(|call| call.path.contains(part))
}

async fn held(target: &dyn Target) -> Vec<Held> {
    target.list(Scope::All).await.unwrap()
}

/// 66, 68: until the tenant is seen to name rows, one call adds one hash; then a hundred.
#[tokio::test]
async fn hashes_go_one_by_one_until_the_tenant_names_them() {
    let heeded = lab(&[]).await;
    let xdr = target(&heeded, "xdr-blocklist");
    let writes = hashes(0..100);
    let outcomes = names(&xdr.apply(Batch::Add(&writes)).await);
    assert_eq!(outcomes[0], "done");
    assert!(
        outcomes[1..]
            .iter()
            .all(|outcome| *outcome == "not applied")
    );
    assert_eq!(heeded.stopped(), [hash(0)]);
    let outcomes = names(&xdr.apply(Batch::Add(&writes[..50])).await);
    assert_eq!(outcomes[0], "exists", "it was there before this call");
    assert!(outcomes[1..].iter().all(|outcome| *outcome == "done"));
    assert_eq!(heeded.stopped().len(), 50);

    for body in ["reply-true", "bare-true", "reply-1"] {
        let silent = lab(&[
            ("xdr_detailed_response", "ignored"),
            ("xdr_success_body", body),
        ])
        .await;
        let xdr = target(&silent, "xdr-blocklist");
        for number in 0..3 {
            let outcomes = names(&xdr.apply(Batch::Add(&writes[number..])).await);
            assert_eq!(outcomes[0], "done", "{body}");
            assert_eq!(silent.stopped().len(), number + 1);
        }
        let outcomes = names(&xdr.apply(Batch::Add(&writes[..1])).await);
        assert_eq!(outcomes, ["exists"]);
    }
}

/// 67: what is allowed is told, not counted as blocked.
#[tokio::test]
async fn an_allowed_hash_is_not_taken_for_blocked() {
    let lab = lab_with(&[], |options| {
        options.set("xdr_allow_list", json!([hash(1)]))
    })
    .await;
    let xdr = target(&lab, "xdr-blocklist");
    let outcomes = xdr.apply(Batch::Add(&hashes(0..1))).await;
    assert_eq!(names(&outcomes), ["done"]);
    let outcomes = xdr.apply(Batch::Add(&hashes(1..3))).await;
    assert_eq!(names(&outcomes), ["exists", "done"]);
}

/// What we were about to add when a run died counts as ours: the ledger says so.
#[tokio::test]
async fn an_unsettled_hash_is_settled_by_sending_it_again() {
    let lab = lab(&[]).await;
    lab.hashes(BLOCK, &[hash(0), hash(1)]).await;
    let xdr = target(&lab, "xdr-blocklist");
    for range in [0..2, 1..3] {
        let writes: Vec<Write> = hashes(range)
            .into_iter()
            .map(|write| Write {
                id: Some(write.value.to_string().into()),
                ..write
            })
            .collect();
        let outcomes = xdr.apply(Batch::Update(&writes)).await;
        assert_eq!(names(&outcomes), ["done", "done"]);
    }
    assert_eq!(lab.stopped().len(), 3);
}

/// 69: a group of which something is there is done; one that is not there at all is tried by halves down to one.
#[tokio::test]
async fn what_is_gone_already_is_done() {
    for position in ["500", "success"] {
        let lab = lab(&[("xdr_remove_absent", position)]).await;
        lab.hashes(BLOCK, &[hash(1)]).await;
        let xdr = target(&lab, "xdr-blocklist");
        let both = removals(&hashes(0..2));
        assert_eq!(
            names(&xdr.apply(Batch::Remove(&both)).await),
            ["done", "done"]
        );
        assert!(lab.stopped().is_empty());
        let outcomes = names(&xdr.apply(Batch::Remove(&both)).await);
        if position == "500" {
            assert_eq!(outcomes, ["not applied", "not applied"]);
        }
        assert_eq!(names(&xdr.apply(Batch::Remove(&both[..1])).await), ["done"]);
    }
}

/// 69: the words of an outage are those for a hash that is not there. Only a tenant that answers otherwise is believed.
#[tokio::test]
async fn a_lone_500_counts_as_gone_only_from_a_tenant_that_answers() {
    use sdk::fake::{Fault, FaultAction};
    let trouble = || {
        FaultAction::Answer {
        status: 500,
        headers: Vec::new(),
        body: json!({ "reply": { "err_code": 500, "err_msg": "An error occurred while processing XDR public API" } })
            .to_string(),
    }
    };
    for there in [true, false] {
        let position = if there { "there" } else { "missing" };
        let lab = lab(&[("xdr_healthcheck", position)]).await;
        lab.hashes(BLOCK, &[hash(0)]).await;
        let xdr = target(&lab, "xdr-blocklist");
        let one = removals(&hashes(0..1));
        // Everything is down: it is still blocked, and not taken for gone.
        lab.fake
            .server
            .fault(Fault::new(trouble()).times(usize::MAX));
        let outcomes = xdr.apply(Batch::Remove(&one)).await;
        let [Outcome::Failed(error)] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        lab.fake.server.faults.clear();
        assert_eq!(lab.stopped().len(), 1);
        assert_eq!(names(&xdr.apply(Batch::Remove(&one)).await), ["done"]);
        // Gone, and the tenant answers, with or without the call for it.
        assert_eq!(names(&xdr.apply(Batch::Remove(&one)).await), ["done"]);
        assert!(calls(&lab, "healthcheck") > 0);
    }
}

/// 65, 71: what spoils a group is found by halves; a 5xx that is none of the known ones says nothing.
#[tokio::test]
async fn an_unknown_500_is_not_taken_for_an_answer() {
    let lab = lab(&[]).await;
    let xdr = target(&lab, "xdr-blocklist");
    let answer = |status, body: &str| {
        lab.fake
            .server
            .faults
            .push(Fault::answer(status, body).on("POST", "blocklist"));
    };
    let other = r#"{"reply":{"err_code":500,"err_msg":"An error occurred while processing XDR public API"}}"#;
    for (status, body, add, remove) in [
        (500, other, "unknown", "done"),
        (500, "<html>", "unknown", "unknown"),
        (502, "<html>", "unknown", "unknown"),
        (400, "{}", "rejected", "rejected"),
        (413, "{}", "rejected", "rejected"),
        (200, "<html>", "unknown", "unknown"),
        (200, "{\"reply\":{}}", "unknown", "unknown"),
        (401, "{}", "failed", "failed"),
        (404, "{}", "failed", "failed"),
    ] {
        answer(status, body);
        let outcomes = xdr.apply(Batch::Add(&hashes(0..1))).await;
        assert_eq!(names(&outcomes), [add], "{status} {body}");
        answer(status, body);
        let outcomes = xdr.apply(Batch::Remove(&removals(&hashes(0..1)))).await;
        assert_eq!(names(&outcomes), [remove], "{status} {body}");
    }
    assert!(lab.stopped().is_empty());
}

/// 64: role and licence are told as such, over HTTP and inside a 200.
#[tokio::test]
async fn missing_rights_are_named() {
    for status in ["http", "200"] {
        for (setting, value, word) in [
            ("xdr_role", "no-blocklist", "role"),
            ("xdr_licence", "none", "licence"),
        ] {
            let lab = lab_with(&[("xdr_error_status", status)], |options| {
                options.set(setting, value)
            })
            .await;
            let xdr = target(&lab, "xdr-blocklist");
            let outcomes = xdr.apply(Batch::Add(&hashes(0..1))).await;
            let [Outcome::Failed(error)] = &outcomes[..] else {
                panic!("{outcomes:?}");
            };
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

/// 63: the wrong level of key is one call and a hint; the key is nowhere in what is told.
#[tokio::test]
async fn the_wrong_level_of_key_is_told_at_once() {
    for (kind, advanced) in [("advanced", false), ("standard", true)] {
        let lab = lab(&[("xdr_key_kind", kind)]).await;
        let more = json!({ "advanced_api_key": advanced });
        let xdr = make(&lab, "xdr-ioc", more, &lab.clock).unwrap();
        let error = xdr.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.hint_text().unwrap().contains("advanced_api_key"));
        assert!(!format!("{error:?}").contains(lab.key()));
        assert_eq!(lab.fake.server.log.all().len(), 1);
    }
}

/// 63: a clock that is off is told as such, not as a wrong key.
#[tokio::test]
async fn a_skewed_clock_is_told_as_such() {
    let lab = lab(&[]).await;
    let ours = Clock::manual(lab.clock.now() - TimeDelta::minutes(10));
    let xdr = make(&lab, "xdr-blocklist", json!({}), &ours).unwrap();
    let facts = xdr.open().await.unwrap();
    assert_eq!(facts.vendor_time, Some(lab.clock.now()));
    let ours = Clock::manual(lab.clock.now() - TimeDelta::minutes(2));
    let xdr = make(&lab, "xdr-blocklist", json!({}), &ours).unwrap();
    let facts = xdr.open().await.unwrap();
    let findings = xdr.examine(&facts).await.unwrap();
    let clock = findings.iter().find(|it| it.subject == "clock").unwrap();
    assert_eq!(clock.level, Level::Warning);
    assert!(clock.message.contains("120 s"), "{}", clock.message);
}

/// What the configuration must have, and what it takes as a host.
#[tokio::test]
async fn the_configuration_is_checked_by_field() {
    let lab = lab(&[]).await;
    for (field, value, word) in [
        ("fqdn", Json::Null, "fqdn"),
        ("api_key_id", json!(" "), "api_key_id"),
        ("api_key", json!(""), "api_key"),
        ("severity", json!("worst"), "severity"),
        ("fqdn", json!("http://xdr.example.com"), "plain http"),
    ] {
        let Err(error) = make(&lab, "xdr-ioc", json!({ field: value }), &lab.clock) else {
            panic!("{field} was taken");
        };
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(word), "{error}");
    }
    let host = json!({ "fqdn": "Acme.xdr.eu.paloaltonetworks.com" });
    let xdr = make(&lab, "xdr-ioc", host, &lab.clock).unwrap();
    assert_eq!(
        xdr.key().to_string(),
        "paloalto:api-acme.xdr.eu.paloaltonetworks.com:xdr-ioc"
    );
    let both = json!({ "sha256": "xdr-blocklist", "domain": "xdr-ioc" });
    let mut configuration = lab.fake.configuration.clone();
    configuration["mechanism"] = both;
    let environment = Environment::new(lab.clock.clone());
    let targets = (paloalto::connector().targets)(configuration, &environment).unwrap();
    assert_eq!(targets.len(), 2);
}

/// 72, 73: one bad row is told with the vendor's words, the others land.
#[tokio::test]
async fn one_bad_row_sinks_no_other() {
    let lab = lab(&[]).await;
    let xdr = target(&lab, "xdr-ioc");
    // A row that the vendor refuses although we take it.
    let words = r#"{"reply":{"success":true,"validation_errors":[{"indicator":"host-1.cordon-contract.com","error":"too long"}]}}"#;
    let named = FaultAction::AnswerAfter {
        status: 200,
        body: words.to_owned(),
    };
    let push = |action: FaultAction| {
        lab.fake
            .server
            .faults
            .push(Fault::new(action).on("POST", "insert_jsons"));
    };
    let writes: Vec<Write> = (0..3)
        .map(|number| write(value(Kind::Domain, number), None))
        .collect();
    push(named);
    let outcomes = xdr.apply(Batch::Add(&writes)).await;
    assert_eq!(names(&outcomes), ["done", "rejected", "done"]);
    assert!(matches!(&outcomes[1], Outcome::Rejected(words) if words == "too long"));
    for (body, expected) in [
        // Said to have failed, with one row named.
        (
            words.replace("true", "false"),
            ["not applied", "rejected", "not applied"],
        ),
        // A row that was not sent: nobody knows which of ours is meant.
        (
            words.replace("host-1", "host-9"),
            ["unknown", "unknown", "unknown"],
        ),
        (
            words.replace("too long", "Indicator already exists"),
            ["done", "exists", "done"],
        ),
        // `validate` was asked for and not heeded.
        (
            "{\"reply\":true}".to_owned(),
            ["unknown", "unknown", "unknown"],
        ),
        (
            "{\"reply\":{\"success\":true}}".to_owned(),
            ["done", "done", "done"],
        ),
        (
            "{\"reply\":{\"success\":true,\"validation_errors\":false}}".to_owned(),
            ["unknown", "unknown", "unknown"],
        ),
    ] {
        push(FaultAction::AnswerAfter {
            status: 200,
            body: body.clone(),
        });
        let outcomes = xdr.apply(Batch::Add(&writes)).await;
        assert_eq!(names(&outcomes), expected, "{body}");
    }
}

/// 74: ends are milliseconds, "no end" is a date far away, and neither -1 nor null nor a word is ever sent.
#[tokio::test]
async fn ends_are_written_in_milliseconds() {
    for never in ["-1", "Never"] {
        let lab = lab(&[("no_expiry_token", never)]).await;
        let xdr = target(&lab, "xdr-ioc");
        let end = builders::start() + TimeDelta::days(3);
        let writes = [
            write(value(Kind::Md5, 1), Some(end)),
            write(value(Kind::Md5, 2), None),
        ];
        assert_eq!(names(&xdr.apply(Batch::Add(&writes)).await), ["done"; 2]);
        let ends: Vec<_> = held(&*xdr).await.iter().map(|held| held.expires).collect();
        assert_eq!(ends, [Some(end), None]);
        let sent = lab.fake.server.log.all();
        let sent: Json = serde_json::from_slice(
            &sent
                .iter()
                .find(|call| call.path.contains("insert"))
                .unwrap()
                .body,
        )
        .unwrap();
        assert_eq!(sent["validate"], true);
        assert_eq!(
            sent["request_data"][0]["expiration_date"],
            end.timestamp_millis()
        );
        assert_eq!(
            sent["request_data"][1]["expiration_date"],
            4_102_444_800_000i64
        );
        lab.clock.advance(TimeDelta::days(3));
        assert_eq!(held(&*xdr).await.len(), 1, "the vendor removes it");
        lab.clock.advance(TimeDelta::days(20_000));
        assert_eq!(held(&*xdr).await.len(), 1, "no end is no end");
    }
}

/// What stands for "no end" can be an end: our mark tells which.
#[tokio::test]
async fn an_end_on_the_day_that_stands_for_none_is_an_end() {
    let lab = lab(&[]).await;
    let xdr = target(&lab, "xdr-ioc");
    let day: DateTime<Utc> = "2100-01-01T00:00:00Z".parse().unwrap();
    let owner = sdk::ownership::Owner::new("acme").unwrap();
    let writes: Vec<Write> = [(1, Some(day)), (2, None)]
        .into_iter()
        .map(|(number, end)| {
            let value = value(Kind::Md5, number);
            let note = sdk::ownership::Note {
                marks: vec![sdk::ownership::Mark::new(owner.clone(), end)],
                ..sdk::ownership::Note::default()
            };
            Write {
                note: note.write("main", &value, 256).unwrap(),
                ..write(value, end)
            }
        })
        .collect();
    assert_eq!(names(&xdr.apply(Batch::Add(&writes)).await), ["done"; 2]);
    let ends: Vec<_> = held(&*xdr).await.iter().map(|held| held.expires).collect();
    assert_eq!(ends, [Some(day), None]);
}

/// Rules without a comment, a whole page of them, say nothing of the tenant.
#[tokio::test]
async fn the_whole_list_tells_whether_comments_are_shown() {
    let mut rules: Vec<Json> = (0..250)
        .map(|number| ioc(&value(Kind::Ipv4, number).to_string(), "IP"))
        .collect();
    rules[249] = with(rules[249].clone(), "comment", json!("why"));
    for order in ["oldest-first", "newest-first"] {
        let lab = lab_with(&[("xdr_ioc_order", order)], |options| {
            options
                .set("xdr_ioc_comments", "written")
                .set("xdr_iocs", json!(rules))
        })
        .await;
        let xdr = target(&lab, "xdr-ioc");
        let facts = xdr.open().await.unwrap();
        assert_eq!(held(&*xdr).await.len(), 250);
        let one = [value(Kind::Ipv4, 0)];
        let found = xdr.list(Scope::Values(&one)).await.unwrap();
        assert!(found.len() == 1 && found[0].note.is_none(), "{found:?}");
        let findings = xdr.examine(&facts).await.unwrap();
        assert!(
            findings.iter().all(|it| it.level == Level::Ok),
            "{findings:?}"
        );
    }
    let none = lab_with(&[], |options| {
        options
            .set("xdr_ioc_comments", "none")
            .set("xdr_iocs", json!(rules))
    })
    .await;
    let xdr = target(&none, "xdr-ioc");
    xdr.open().await.unwrap();
    let one = [value(Kind::Ipv4, 0)];
    let error = xdr.list(Scope::Values(&one)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// 76: a disabled rule of ours is taken away and made anew, because writing it again leaves it off.
#[tokio::test]
async fn a_disabled_rule_is_made_anew() {
    for position in ["already-exists", "stays-disabled"] {
        let lab = lab_with(&[("xdr_disabled_ioc", position)], |options| {
            let row = with(ioc("45.83.1.1", "IP"), "status", json!("DISABLED"));
            options.set("xdr_iocs", json!([row, ioc("45.83.1.2", "IP")]))
        })
        .await;
        let xdr = target(&lab, "xdr-ioc");
        let rules = held(&*xdr).await;
        assert_eq!(
            rules.iter().map(|it| it.blocks).collect::<Vec<_>>(),
            [false, true]
        );
        let writes: Vec<Write> = rules.iter().map(|held| change(held, "new")).collect();
        let outcomes = xdr.apply(Batch::Update(&writes)).await;
        assert_eq!(names(&outcomes), ["done", "done"]);
        assert_eq!(lab.watched().len(), 2);
        assert_eq!(calls(&lab, "indicators/delete"), 1);
    }
}

/// Somebody else's rule that takes our mark keeps everything else, in the vendor's spelling.
#[tokio::test]
async fn an_adopted_rule_keeps_what_is_theirs() {
    for upsert in ["cleared", "kept"] {
        let theirs = json!({
            "indicator": "AB".repeat(32), "type": "HASH", "severity": "LOW", "reputation": "SUSPICIOUS",
            "reliability": "C", "class": "Malware", "comment": "theirs", "expiration_date": 1_872_323_200_000i64,
        });
        let lab = lab_with(&[("xdr_upsert", upsert)], |options| {
            options.set("xdr_iocs", json!([theirs]))
        })
        .await;
        let xdr = target(&lab, "xdr-ioc");
        let before = lab.page(json!({})).await.rows()[0].clone();
        let rule = held(&*xdr).await.remove(0);
        assert_eq!(rule.value.to_string(), "ab".repeat(32));
        let adopt = Write {
            note_and_end_only: true,
            ..change(&rule, "mark theirs")
        };
        assert_eq!(names(&xdr.apply(Batch::Update(&[adopt])).await), ["done"]);
        let after = lab.page(json!({})).await;
        assert_eq!(after.rows().len(), 1);
        assert_eq!(
            after.rows()[0],
            with(before.clone(), "comment", json!("mark theirs"))
        );
        let back = Write {
            note_and_end_only: true,
            ..change(&rule, "theirs")
        };
        assert_eq!(names(&xdr.apply(Batch::Update(&[back])).await), ["done"]);
        assert_eq!(lab.page(json!({})).await.rows()[0], before);
        let removal = Removal {
            id: rule.id.clone(),
            value: rule.value.clone(),
        };
        let outcomes = xdr.apply(Batch::Remove(&[removal])).await;
        assert_eq!(names(&outcomes), ["done"]);
        assert!(lab.watched().is_empty());
    }
}

/// A list that moves while it is read is read anew; one that never stands still is an error, not half a list.
#[tokio::test]
async fn a_moving_list_is_never_taken_for_complete() {
    for order in ["oldest-first", "newest-first"] {
        let lab = lab(&[("xdr_ioc_order", order)]).await;
        let rows: Vec<Json> = (0..250)
            .map(|number| ioc(&value(Kind::Ipv4, number).to_string(), "IP"))
            .collect();
        lab.insert(json!(rows)).await;
        let xdr = target(&lab, "xdr-ioc");
        assert_eq!(held(&*xdr).await.len(), 250);
        // 3 pages, and one that shows that there is nothing behind.
        assert_eq!(calls(&lab, "indicators/get"), 4);
        let disturb = |times: usize| {
            let state = Arc::clone(&lab.fake.state);
            let gone = std::sync::atomic::AtomicUsize::new(0);
            let hand = move || {
                // Entries on the first page, in either order.
                let number = gone.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                state.remove("xdr-ioc", &value(Kind::Ipv4, number));
                state.remove("xdr-ioc", &value(Kind::Ipv4, 249 - number));
            };
            let pass = FaultAction::Slow(std::time::Duration::ZERO);
            lab.fake.server.faults.push(
                Fault::new(pass)
                    .on("POST", "indicators/get")
                    .after(1)
                    .times(times)
                    .also(hand),
            );
        };
        disturb(1);
        assert_eq!(held(&*xdr).await.len(), 248);
        lab.fake.server.faults.clear();
        disturb(usize::MAX);
        let error = xdr.list(Scope::All).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

/// A tenant without the calls, or without comments in its list, is refused with a hint, before anything is written.
#[tokio::test]
async fn a_tenant_that_cannot_prove_ownership_is_refused() {
    for (setting, value) in [
        ("xdr_ioc_calls", json!(false)),
        ("xdr_ioc_comments", json!("none")),
    ] {
        let lab = lab_with(&[], |options| {
            options
                .set(setting, value)
                .set("xdr_iocs", json!([ioc("45.83.1.1", "IP")]))
        })
        .await;
        let xdr = target(&lab, "xdr-ioc");
        let facts = xdr.open().await.unwrap();
        let error = xdr.list(Scope::All).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.hint_text().is_some());
        let findings = xdr.examine(&facts).await.unwrap();
        assert!(findings.iter().any(|it| it.level == Level::Missing));
    }
    let lab = lab_with(&[], |options| options.set("xdr_role", "no-ioc")).await;
    let xdr = target(&lab, "xdr-ioc");
    let facts = xdr.open().await.unwrap();
    let findings = xdr.examine(&facts).await.unwrap();
    let missing = findings.iter().find(|it| it.level == Level::Missing);
    assert!(missing.unwrap().message.contains("role"));
}

/// What the vendor keeps that no indicator of ours can be equal to is no matter; what is spelled otherwise is.
#[tokio::test]
async fn strange_rules_are_passed_over() {
    let lab = lab_with(&[], |options| {
        options.set(
            "xdr_iocs",
            json!([
                ioc("C:\\evil.exe", "PATH"),
                ioc("evil.exe", "FILENAME"),
                ioc("https://evil.example.com/", "URL"),
                ioc("45.83.0.0/16", "IP"),
                with(
                    ioc("HOST.Example.com", "DOMAIN_NAME"),
                    "reputation",
                    json!("GOOD")
                ),
            ]),
        )
    })
    .await;
    let rules = held(&*target(&lab, "xdr-ioc")).await;
    // A network is one too, and it is somebody's.
    let values: Vec<String> = rules.iter().map(|held| held.value.to_string()).collect();
    assert_eq!(values, ["45.83.0.0/16", "host.example.com"]);
    assert!(rules[1].allows);
}

/// 77: 429 and 503 are waited for on both mechanisms, a lost answer of an upsert is sent again.
#[tokio::test]
async fn trouble_on_the_way_is_mended() {
    let lab = lab(&[]).await;
    let (list, iocs) = (target(&lab, "xdr-blocklist"), target(&lab, "xdr-ioc"));
    let push = |action: FaultAction| lab.fake.server.faults.push(Fault::new(action));
    let wait = |status| FaultAction::Answer {
        status,
        headers: vec![("retry-after".to_owned(), "7".to_owned())],
        body: String::new(),
    };
    for status in [429, 503] {
        let began = lab.clock.now();
        push(wait(status));
        let number = usize::from(status);
        let outcomes = list.apply(Batch::Add(&hashes(number..number + 1))).await;
        assert_eq!(names(&outcomes), ["done"]);
        assert!(lab.clock.now() - began >= TimeDelta::seconds(7));
    }
    push(FaultAction::ResetAfter);
    let outcomes = list.apply(Batch::Add(&hashes(1..2))).await;
    assert_eq!(names(&outcomes), ["unknown"]);
    for action in [wait(429), FaultAction::ResetAfter, FaultAction::ResetBefore] {
        push(action);
        let writes = [write(value(Kind::Domain, 1), None)];
        assert_eq!(names(&iocs.apply(Batch::Add(&writes)).await), ["done"]);
    }
    assert_eq!(lab.watched().len(), 1);
}

/// Values are data: none changes a filter or a body.
#[tokio::test]
async fn values_stay_in_their_place() {
    let lab = lab(&[]).await;
    let xdr = target(&lab, "xdr-ioc");
    let writes = [
        write(value(Kind::Ipv6, 7), None),
        write(value(Kind::Domain, 7), None),
    ];
    let mut noted = writes.clone();
    noted[0].note = "\"}],\"validate\":false,\"x\":[{\"<script>\u{1}".to_owned();
    assert_eq!(names(&xdr.apply(Batch::Add(&noted)).await), ["done"; 2]);
    let rules = held(&*xdr).await;
    assert_eq!(rules[0].note.as_deref(), Some(noted[0].note.as_str()));
    let wanted = [writes[1].value.clone()];
    let found = xdr.list(Scope::Values(&wanted)).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].value, wanted[0]);
}

#[tokio::test]
async fn the_certificate_that_was_seen_can_be_pinned() {
    let lab = lab_with(&[], |mut options| {
        options.transport = Transport::Tls;
        options
    })
    .await;
    for mechanism in ["xdr-blocklist", "xdr-ioc"] {
        let xdr = target(&lab, mechanism);
        let (opened, seen) = sdk::http::witnessing(xdr.open()).await;
        opened.unwrap();
        let pin = seen[0].fingerprint.clone();
        let pinned = make(
            &lab,
            mechanism,
            json!({ "tls_fingerprint": pin, "ca_pem": null }),
            &lab.clock,
        );
        pinned.unwrap().open().await.unwrap();
    }
}
