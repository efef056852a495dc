//! Indicators: one for us, whatever their uuids.

use chrono::{DateTime, TimeDelta, Utc};
use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Facts, Held, Outcome, Removal, Scope, Target, Write};
use serde_json::{Value as Json, json};

use crate::raw::{IOCS, Lab, ioc, lab, lab_with, names, sha256, start_time, with, write_until};

fn values() -> Vec<Value> {
    let texts = [
        (Kind::Ipv4, "9.9.9.9".to_owned()),
        (Kind::Ipv6, "2606:4700::1111".to_owned()),
        (Kind::Domain, "bad.example.net".to_owned()),
        (Kind::Url, "https://bad.example.net/a?b=c,d&e".to_owned()),
        (Kind::Md5, "ab".repeat(16)),
        (Kind::Sha1, "ab".repeat(20)),
        (Kind::Sha256, "ab".repeat(32)),
    ];
    texts
        .iter()
        .map(|(kind, text)| Value::parse(*kind, text).unwrap())
        .collect()
}

fn in_days(days: i64) -> Option<DateTime<Utc>> {
    Some(start_time() + TimeDelta::days(days))
}

fn writes(values: &[Value]) -> Vec<Write> {
    values
        .iter()
        .map(|value| write_until(value, in_days(10)))
        .collect()
}

fn change(held: &Held, end: Option<DateTime<Utc>>) -> Write {
    Write {
        id: Some(held.id.clone()),
        held_expires: held.expires,
        held_note: held.note.clone(),
        ..write_until(&held.value, end)
    }
}

fn removals(held: &[Held]) -> Vec<Removal> {
    let removal = |held: &Held| Removal {
        id: held.id.clone(),
        value: held.value.clone(),
    };
    held.iter().map(removal).collect()
}

async fn all(target: &dyn Target) -> Vec<Held> {
    target.list(Scope::All).await.unwrap()
}

/// Every kind arrives, SHA-1 and SHA-256 too, moves its end and goes, at every answer to what is unknown.
#[tokio::test]
async fn every_kind_comes_and_goes() {
    for again in ["in-place", "second-row", "new-uuid"] {
        for spelling in ["as-sent", "rewritten"] {
            let lab = lab(&[("post-again", again), ("spelling", spelling)]).await;
            let place = format!("{again}, {spelling}");
            let target = lab.target("ioc");
            let outcomes = target.apply(Batch::Add(&writes(&values()))).await;
            assert_eq!(names(&outcomes), ["done"; 7], "{place}");
            let held = all(&*target).await;
            let found: Vec<Value> = held.iter().map(|held| held.value.clone()).collect();
            assert_eq!(found, values(), "{place}");
            assert!(
                held.iter()
                    .all(|held| held.conforms && held.blocks && held.expires == in_days(10))
            );
            for value in values() {
                let one = target
                    .list(Scope::Values(std::slice::from_ref(&value)))
                    .await
                    .unwrap();
                assert_eq!(one.len(), 1, "{place}: {value}");
            }
            let later: Vec<Write> = held.iter().map(|held| change(held, in_days(20))).collect();
            let outcomes = target.apply(Batch::Update(&later)).await;
            assert_eq!(names(&outcomes), ["done"; 7], "{place}");
            let held = all(&*target).await;
            assert!(
                held.iter()
                    .all(|held| held.conforms && held.expires == in_days(20)),
                "{place}"
            );
            assert_eq!(lab.iocs().await.len(), 7, "{place}: nothing is left behind");
            let outcomes = target.apply(Batch::Remove(&removals(&held))).await;
            assert_eq!(names(&outcomes), ["done"; 7], "{place}");
            assert!(lab.iocs().await.is_empty(), "{place}");
        }
    }
}

/// Item 15: a run that died between posting again and taking the first row away.
#[tokio::test]
async fn two_rows_of_one_value_are_one_that_needs_mending() {
    let lab = lab(&[("post-again", "second-row")]).await;
    let target = lab.target("ioc");
    let value = sha256("cd");
    target
        .apply(Batch::Add(&writes(std::slice::from_ref(&value))))
        .await;
    lab.fake.server.fault(
        Fault::new(FaultAction::ResetBefore)
            .on("DELETE", "")
            .times(usize::MAX),
    );
    let held = all(&*target).await;
    let outcomes = target
        .apply(Batch::Update(&[change(&held[0], in_days(20))]))
        .await;
    assert_eq!(names(&outcomes), ["failed"]);
    lab.fake.server.faults.clear();
    assert_eq!(lab.iocs().await.len(), 2);
    let held = all(&*target).await;
    assert!(held.len() == 1 && !held[0].conforms && held[0].expires == in_days(20));
    let outcomes = target
        .apply(Batch::Update(&[change(&held[0], in_days(20))]))
        .await;
    assert_eq!(names(&outcomes), ["done"]);
    assert_eq!(lab.iocs().await.len(), 1);
}

/// Items 23 and 24: other sources, other scopes, and a stranger under our source.
#[tokio::test]
async fn rows_of_others_are_left_alone() {
    let lab = lab_with(&[], |options| options.set("foreign", true)).await;
    let before = lab.fake.state.enforced("ioc");
    let target = lab.target("ioc");
    assert!(all(&*target).await.is_empty());
    let value = Value::parse(Kind::Ipv4, "45.83.99.9").unwrap();
    let outcomes = target.apply(Batch::Add(&writes(&[value]))).await;
    assert_eq!(names(&outcomes), ["done"], "beside theirs");
    let held = all(&*target).await;
    target.apply(Batch::Remove(&removals(&held))).await;
    assert_eq!(lab.fake.state.enforced("ioc"), before);
    for (method, _) in lab
        .fake
        .server
        .log
        .all()
        .iter()
        .map(|call| (&call.method, &call.path))
    {
        assert!(["GET", "POST", "DELETE"].contains(&method.as_str()));
    }
    let deletes = lab
        .fake
        .server
        .log
        .all()
        .into_iter()
        .filter(|call| call.method == "DELETE");
    for call in deletes {
        let body: Json = serde_json::from_slice(&call.body).unwrap();
        let keys: Vec<&String> = body["filter"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["accountIds", "uuids"], "never by source");
    }

    let theirs = with(ioc("IPV4", "9.9.9.9"), &[("source", json!("cordon-main"))]);
    lab.post(json!([theirs])).await.data();
    let held = all(&*target).await;
    assert!(held.len() == 1 && !held[0].conforms);
    let value = held[0].value.clone();
    let both = [value.clone(), sha256("ee")];
    let outcomes = target.apply(Batch::Add(&writes(&both))).await;
    assert_eq!(names(&outcomes), ["exists", "done"]);
    let rows = lab.iocs().await;
    let same = rows
        .iter()
        .filter(|row| row["value"] == "9.9.9.9" && row["source"] == "cordon-main");
    assert!(same.clone().count() == 1 && same.clone().all(|row| row["description"].is_null()));
}

/// The same where the values alone are looked up, and the stranger's row has no id of ours.
#[tokio::test]
async fn a_stranger_under_our_source_is_found_by_value() {
    for again in ["in-place", "second-row", "new-uuid"] {
        let lab = lab(&[("post-again", again)]).await;
        let more = [
            ("source", json!("cordon-main")),
            ("description", json!("analyst row")),
        ];
        lab.post(json!([with(ioc("IPV4", "9.9.9.9"), &more)]))
            .await
            .data();
        let before = lab.iocs().await;
        let target = lab.target("ioc");
        let value = [Value::parse(Kind::Ipv4, "9.9.9.9").unwrap()];
        let held = target.list(Scope::Values(&value)).await.unwrap();
        assert!(held.len() == 1 && !held[0].conforms, "{held:?}");
        let outcomes = target.apply(Batch::Add(&writes(&value))).await;
        assert_eq!(names(&outcomes), ["exists"], "{again}");
        assert_eq!(lab.iocs().await, before, "{again}");
    }
}

/// Section 2.4: where writing again does not count as an upload, the end does not move, and what is there is
/// made anew instead, once.
#[tokio::test]
async fn an_end_that_writing_again_does_not_move_is_noticed() {
    for again in ["in-place", "new-uuid"] {
        let lab = lab(&[("post-again", again), ("upload-date", "kept")]).await;
        let target = lab.target("ioc");
        let value = [Value::parse(Kind::Ipv4, "9.9.9.9").unwrap()];
        let first = [write_until(&value[0], in_days(30))];
        assert_eq!(names(&target.apply(Batch::Add(&first)).await), ["done"]);
        lab.days_pass(5);
        // Far from due: the console's end stands, and nothing is taken away for it.
        let held = all(&*target).await;
        let later = [change(&held[0], in_days(35))];
        assert_eq!(names(&target.apply(Batch::Update(&later)).await), ["done"]);
        assert_eq!(all(&*target).await[0].expires, in_days(30), "{again}");
        lab.days_pass(20);
        let held = all(&*target).await;
        let renewal = [change(&held[0], in_days(55))];
        assert_eq!(
            names(&target.apply(Batch::Update(&renewal)).await),
            ["done"],
            "{again}"
        );
        let held = all(&*target).await;
        assert!(
            held.len() == 1 && held[0].conforms && held[0].expires == in_days(55),
            "{again}: {held:?}"
        );
    }
}

/// A console whose longest life is shorter than the documented one: told, and not made anew each time.
#[tokio::test]
async fn an_end_that_comes_back_early_is_told() {
    let lab = lab(&[]).await;
    let target = lab.target("ioc");
    let body = json!({ "data": [{
        "uuid": "ab".repeat(16), "type": "IPV4", "value": "9.9.9.9", "scope": "account",
        "description": write_until(&Value::parse(Kind::Ipv4, "9.9.9.9").unwrap(), None).note,
        "uploadTime": "2025-06-01T12:00:00Z", "validUntil": "2025-06-08T12:00:00Z",
    }] });
    lab.fake
        .server
        .fault(Fault::answer(200, &body.to_string()).on("POST", ""));
    let value = Value::parse(Kind::Ipv4, "9.9.9.9").unwrap();
    let outcomes = target
        .apply(Batch::Add(&[write_until(&value, in_days(30))]))
        .await;
    let Outcome::Failed(error) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    let text = error.to_string();
    assert!(
        text.contains("2025-06-08") && text.contains("2025-07-01"),
        "{text}"
    );
    let deletes = lab.fake.server.log.count(|call| call.method == "DELETE");
    assert_eq!(deletes, 0);
}

#[tokio::test]
async fn sites_and_groups_are_reached_through_their_account() {
    for level in ["site", "group", "tenant"] {
        let lab = lab_with(&[], |options| {
            options.set("level", level).set("foreign", true)
        })
        .await;
        let before = lab.fake.state.enforced("ioc");
        let target = lab.target("ioc");
        let outcomes = target.apply(Batch::Add(&writes(&values()))).await;
        assert_eq!(names(&outcomes), ["done"; 7], "{level}");
        let held = all(&*target).await;
        assert_eq!(held.len(), 7, "{level}");
        assert_eq!(
            lab.fake.state.enforced("ioc").len(),
            before.len() + 7,
            "{level}"
        );
        let outcomes = target.apply(Batch::Remove(&removals(&held))).await;
        assert_eq!(names(&outcomes), ["done"; 7], "{level}");
        assert_eq!(lab.fake.state.enforced("ioc"), before);
    }
    // The account's target does not see what was made in its site.
    let lab = lab(&[]).await;
    let more = json!({ "site_ids": ["225494730938494001"] });
    lab.targets("ioc", more)[0]
        .apply(Batch::Add(&writes(&values())))
        .await;
    assert!(all(&*lab.target("ioc")).await.is_empty());
}

async fn refused(lab: &Lab, count: usize) -> Vec<Outcome> {
    let many: Vec<Value> = (0..count)
        .map(|n| Value::parse(Kind::Ipv4, &format!("45.90.{}.{}", n / 200, 1 + n % 200)).unwrap())
        .collect();
    lab.target("ioc").apply(Batch::Add(&writes(&many))).await
}

/// Items 7, 16 and 17: a batch that is refused is cut up by the loop, unless the scope is full.
#[tokio::test]
async fn refused_batches_and_full_scopes_are_told_apart() {
    let lab = lab(&[("batch-limit", "100")]).await;
    let outcomes = refused(&lab, 101).await;
    assert!(names(&outcomes).iter().all(|name| *name == "not applied"));
    let Outcome::NotApplied(text) = &outcomes[0] else {
        panic!()
    };
    assert_eq!(
        text,
        "Bad Request: data: Longer than maximum length. [4000040]"
    );
    let full = lab_with(&[], |options| options.set("others", 999_999)).await;
    for outcome in refused(&full, 2).await {
        let Outcome::Failed(error) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(error.kind(), ErrorKind::Full);
        assert!(error.to_string().contains("1000000"), "{error}");
        assert!(error.hint_text().is_some());
    }
}

/// Item 11: an end that has passed is never sent; what it stands on goes.
#[tokio::test]
async fn an_end_that_has_passed_is_not_sent() {
    let lab = lab(&[]).await;
    let target = lab.target("ioc");
    let two = [sha256("aa"), sha256("bb")];
    target.apply(Batch::Add(&writes(&two))).await;
    let held = all(&*target).await;
    let past = change(&held[0], Some(start_time() - TimeDelta::hours(1)));
    let later = change(&held[1], in_days(20));
    let outcomes = target.apply(Batch::Update(&[past, later])).await;
    assert_eq!(names(&outcomes), ["done", "done"]);
    let held = all(&*target).await;
    assert!(held.len() == 1 && held[0].value == two[1] && held[0].expires == in_days(20));
}

/// Item 36: no answer, or one that says nothing, is settled by looking and never sent twice blindly.
#[tokio::test]
async fn a_create_without_an_answer_is_unknown() {
    let unconfirmed = FaultAction::AnswerAfter {
        status: 200,
        body: r#"{"data":[],"errors":null}"#.to_owned(),
    };
    let html = FaultAction::AnswerAfter {
        status: 200,
        body: "<html>".to_owned(),
    };
    let half = FaultAction::AnswerAfter {
        status: 200,
        body: r#"{"data":[],"errors":[{"code":4000040,"title":"Half","detail":null}]}"#.to_owned(),
    };
    let broken = FaultAction::AnswerAfter {
        status: 500,
        body: String::new(),
    };
    for action in [FaultAction::ResetAfter, unconfirmed, html, half, broken] {
        let lab = lab(&[]).await;
        let target = lab.target("ioc");
        lab.fake.server.fault(Fault::new(action).on("POST", ""));
        let outcomes = target.apply(Batch::Add(&writes(&values()))).await;
        assert_eq!(names(&outcomes), ["unknown"; 7]);
        let posts = lab
            .fake
            .server
            .log
            .count(|call| call.method == "POST" && call.path == IOCS);
        assert_eq!(posts, 1);
        assert_eq!(all(&*target).await.len(), 7);
    }
}

/// Item 22: fewer removed than asked for says not which.
#[tokio::test]
async fn a_removal_of_what_is_partly_gone_is_left_to_looking() {
    let lab = lab(&[]).await;
    let target = lab.target("ioc");
    target.apply(Batch::Add(&writes(&values()))).await;
    let held = all(&*target).await;
    assert!(lab.fake.state.remove("ioc", &held[0].value));
    assert_eq!(
        names(&target.apply(Batch::Remove(&removals(&held))).await),
        ["unknown"; 7]
    );
    assert!(all(&*target).await.is_empty());
    assert_eq!(
        names(&target.apply(Batch::Remove(&removals(&held))).await),
        ["done"; 7]
    );
}

#[tokio::test]
async fn a_mark_that_is_cut_is_noticed() {
    let lab = lab_with(&[], |options| options.set("description_limit", 20)).await;
    let target = lab.target("ioc");
    let outcomes = target.apply(Batch::Add(&writes(&values()))).await;
    assert_eq!(names(&outcomes), ["rejected"; 7]);
    assert!(lab.iocs().await.is_empty());
}

/// Writing again what does not fit does not cost an indicator that was there.
#[tokio::test]
async fn an_indicator_whose_new_mark_is_cut_is_left_as_it_was() {
    for position in ["in-place", "second-row", "new-uuid"] {
        let value = sha256("aa");
        let first = write_until(&value, in_days(10)).note;
        let room = first.chars().count() + 5;
        let switches = [("post-again", position)];
        let lab = lab_with(&switches, move |options| {
            options.set("description_limit", room)
        })
        .await;
        let target = lab.target("ioc");
        let added = target
            .apply(Batch::Add(&writes(std::slice::from_ref(&value))))
            .await;
        assert_eq!(names(&added), ["done"]);
        let held = all(&*target).await.remove(0);
        let longer = Write {
            note: format!("{} {first}", first.replace(";acme;", ";abc;")),
            ..change(&held, in_days(10))
        };
        let outcomes = target.apply(Batch::Update(&[longer])).await;
        assert_eq!(names(&outcomes), ["rejected"], "{position}");
        let now = all(&*lab.target("ioc")).await;
        assert_eq!(now.len(), 1, "{position}");
        assert_eq!(now[0].note, held.note, "{position}");
    }
}

/// Pages are read to their end, whatever their length (items 18 and 19).
#[tokio::test]
async fn short_pages_are_read_to_the_end() {
    let lab = lab(&[("page-length", "short")]).await;
    let many: Vec<Value> = (0..30)
        .map(|n| sha256(&format!("{:02x}", n + 16)))
        .collect();
    let target = lab.target("ioc");
    target.apply(Batch::Add(&writes(&many))).await;
    assert_eq!(all(&*target).await.len(), 30);
    let few = target.list(Scope::Values(&many[..2])).await.unwrap();
    assert_eq!(few.len(), 2);
    // A listing whose last page comes too early is no listing.
    let early = r#"{"data":[],"pagination":{"totalItems":30,"nextCursor":null}}"#;
    lab.fake
        .server
        .fault(Fault::answer(200, early).on("GET", "cursor="));
    let error = target.list(Scope::All).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn networks_are_not_indicators() {
    let lab = lab(&[]).await;
    let target = lab.target("ioc");
    let accepts = |kind, text: &str| {
        target
            .accept(&Value::parse(kind, text).unwrap(), &Facts::default())
            .is_ok()
    };
    assert!(accepts(Kind::Ipv4, "9.9.9.9") && accepts(Kind::Ipv6, "2606:4700::1"));
    assert!(!accepts(Kind::Ipv4, "9.9.9.0/24") && !accepts(Kind::Ipv6, "2606:4700::/32"));
}

#[tokio::test]
async fn severity_is_kept_as_configured() {
    let lab = lab(&[]).await;
    let plain = lab.target("ioc");
    plain.apply(Batch::Add(&writes(&values()))).await;
    let severe = lab.targets("ioc", json!({ "severity": 6 })).remove(0);
    let held = all(&*severe).await;
    assert!(held.iter().all(|held| !held.conforms));
    let again: Vec<Write> = held.iter().map(|held| change(held, in_days(10))).collect();
    severe.apply(Batch::Update(&again)).await;
    assert!(all(&*severe).await.iter().all(|held| held.conforms));
    assert!(lab.iocs().await.iter().all(|row| row["severity"] == 6));
}
