//! `add_ioc_to_ioc_collection`.

use sdk::ErrorKind;
use sdk::fake::{Fault, FaultAction};
use sdk::report::Status;
use sekoia::fake::{COLLECTION, EMPTY_COLLECTION, FEED, Row};

use super::*;

const ADD: &str = "add_ioc_to_ioc_collection";

fn arguments(values: &[&str], kind: &str, more: Json) -> Json {
    let mut arguments = json!({
        "indicators": values, "ioc_collection_id": EMPTY_COLLECTION, "indicator_type": kind,
    });
    for (name, value) in more.as_object().unwrap() {
        arguments[name] = value.clone();
    }
    arguments
}

#[tokio::test]
async fn each_type_is_added_v6_addresses_too_which_were_lost() {
    let rig = Rig::new().await;
    let sha512 = "ab".repeat(64);
    for (kind, values) in [
        ("IP address", vec!["1.2.5.1", "2606:4700::2222"]),
        ("domain", vec!["bad.example.net"]),
        ("url", vec!["http://bad.example.net/It's/a?b=c"]),
        ("email", vec!["someone@bad.example.net"]),
        (
            "hash",
            vec!["d41d8cd98f00b204e9800998ecf8427e", sha512.as_str()],
        ),
    ] {
        let report = rig.report(ADD, arguments(&values, kind, json!({}))).await;
        assert_eq!(
            (report.status, report.added),
            (Status::Ok, values.len()),
            "{kind}: {report:?}"
        );
        for value in values {
            assert!(rig.end(EMPTY_COLLECTION, value).is_some(), "{value}");
            assert_eq!(
                outcome(&report, value),
                ("added".to_owned(), "new".to_owned())
            );
        }
    }
    // Without valid_for the end is Sekoia's own.
    assert_eq!(
        rig.end(EMPTY_COLLECTION, "1.2.5.1"),
        Some(noon() + days(30))
    );
}

#[tokio::test]
async fn the_end_is_utc_which_it_was_not() {
    let rig = Rig::new().await;
    let more = json!({ "valid_for": 7, "description": "seen by the SOC" });
    rig.report(ADD, arguments(&["1.2.5.1"], "IP address", more))
        .await;
    assert_eq!(rig.end(EMPTY_COLLECTION, "1.2.5.1"), Some(noon() + days(7)));
    let row = &rig.sekoia.rows(EMPTY_COLLECTION)[0];
    assert_eq!(row.description.as_deref(), Some("seen by the SOC"));
    let calls = rig.fake.server.log.all();
    let body = String::from_utf8_lossy(&calls.last().unwrap().body).into_owned();
    assert!(
        body.contains(r#""valid_until":"2026-06-08T12:00:00Z""#),
        "{body}"
    );
}

#[tokio::test]
async fn one_argument_of_three_nested_lists_made_flat_and_defanged_understood() {
    let rig = Rig::new().await;
    let one = json!({
        "indicator": "1.2.5[.]1", "ioc_collection_id": EMPTY_COLLECTION, "indicator_type": "IP address",
    });
    assert_eq!(rig.report(ADD, one).await.added, 1);
    let mut nested = arguments(&[], "domain", json!({}));
    nested["indicators"] = json!([["a.example.net", ["b.example.net"]], "", "A.example.net."]);
    let report = rig.report(ADD, nested).await;
    assert_eq!((report.added, report.failed), (2, 0), "{report:?}");
    for wrong in [
        json!({ "ioc_collection_id": EMPTY_COLLECTION }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicators": [] }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicators": ["", null], "indicator": " " }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicator": "1.1.1.1", "indicators": ["1.1.1.1"] }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicator": "1.1.1.1", "valid_for": 0 }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicator": "1.1.1.1", "typo": 0 }),
        json!({ "ioc_collection_id": "../x", "indicator": "1.1.1.1" }),
        json!({ "ioc_collection_id": FEED, "indicator": "1.1.1.1" }),
        json!({ "ioc_collection_id": EMPTY_COLLECTION, "indicator": "1.1.1.1", "description": "x".repeat(501) }),
    ] {
        let error = error_of(rig.run(ADD, wrong.clone()).await);
        assert_eq!(error.kind(), ErrorKind::Input, "{wrong}: {error:?}");
    }
}

#[tokio::test]
async fn shapes_that_the_platforms_own_action_takes_are_taken() {
    let rig = Rig::new().await;
    for (given, kind, value) in [
        (
            json!({ "indicators": "a.example.net" }),
            "domain",
            "a.example.net",
        ),
        (
            json!({ "indicators": ["b.example.net"], "indicator": "", "indicators_path": "" }),
            "domain",
            "b.example.net",
        ),
        (
            json!({ "indicators": [], "indicator": "1.2.5.9" }),
            "IP address",
            "1.2.5.9",
        ),
        (
            json!({ "indicators": null, "indicator": ["c.example.net"] }),
            "domain",
            "c.example.net",
        ),
    ] {
        let mut arguments = given.clone();
        arguments["ioc_collection_id"] = json!(EMPTY_COLLECTION);
        arguments["indicator_type"] = json!(kind);
        let report = rig.report(ADD, arguments).await;
        assert_eq!(
            (report.status, report.added),
            (Status::Ok, 1),
            "{given}: {report:?}"
        );
        assert!(rig.end(EMPTY_COLLECTION, value).is_some(), "{given}");
    }
    // What is no text is one bad value, and sinks no other.
    let mut mixed = arguments(&[], "domain", json!({}));
    mixed["indicators"] = json!(["d.example.net", 7, { "x": 1 }]);
    let report = rig.report(ADD, mixed).await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 1, 2)
    );
    assert_eq!(detail(&report, "7").reason, "unreadable");
}

#[tokio::test]
async fn a_value_that_is_none_is_named_and_was_dropped_silently() {
    let rig = Rig::new().await;
    let values = ["1.2.5.1", "nonsense", "1.2.5.0/24", "bad.example.net"];
    let report = rig
        .report(ADD, arguments(&values, "IP address", json!({})))
        .await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 1, 3)
    );
    assert!(
        detail(&report, "1.2.5.0/24")
            .message
            .contains("single addresses")
    );
    assert_eq!(detail(&report, "nonsense").reason, "unreadable");
    let report = rig
        .report(ADD, arguments(&["nonsense"], "IP address", json!({})))
        .await;
    assert_eq!((report.status, report.exit_code()), (Status::Failed, 1));
    assert!(report.error.unwrap().contains("nonsense"));
}

#[tokio::test]
async fn private_excluded_and_protected_values_are_refused_by_name() {
    let rig = Rig::new().await;
    let values = [
        "1.2.5.1",
        "10.1.1.1",
        "127.0.0.1",
        "224.0.0.1",
        "fe80::1",
        "1.2.6.9",
        "1.2.7.1",
    ];
    let arguments = arguments(&values, "IP address", json!({ "exclude": ["1.2.6.0/24"] }));
    let protect = json!({ "protect": ["1.2.7.0/24"] });
    let report = report_of(rig.run_with(ADD, arguments, protect).await);
    assert_eq!(
        (report.status, report.added, report.skipped.protected),
        (Status::Ok, 1, 6)
    );
    assert_eq!(
        detail(&report, "10.1.1.1").message,
        "special-purpose 10.0.0.0/8"
    );
    assert_eq!(detail(&report, "1.2.6.9").reason, "excluded");
    assert_eq!(detail(&report, "1.2.7.1").message, "protect list protect");
    assert_eq!(rig.sekoia.rows(EMPTY_COLLECTION).len(), 1);
    let unreadable = json!({ "protect": ["1.2.7.0/24", "1.2.7.x y"] });
    let error = error_of(rig.run_with(ADD, arguments_of_one(), unreadable).await);
    assert_eq!(error.kind(), ErrorKind::Input, "{error:?}");
}

fn arguments_of_one() -> Json {
    arguments(&["1.2.5.1"], "IP address", json!({ "valid_for": 30 }))
}

#[tokio::test]
async fn a_dry_run_and_a_second_run_write_nothing() {
    let rig = Rig::new().await;
    let mut dry = arguments_of_one();
    dry["dry_run"] = json!(true);
    let report = rig.report(ADD, dry).await;
    assert!(report.dry_run && report.added == 1);
    assert_eq!(rig.writes(), 0);
    rig.report(ADD, arguments_of_one()).await;
    assert_eq!(rig.writes(), 1);
    rig.clock.advance(TimeDelta::minutes(7));
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!((report.added, report.unchanged, rig.writes()), (0, 1, 1));
    assert_eq!(outcome(&report, "1.2.5.1").1, "already-there");
    // What is about to end is extended.
    rig.clock.advance(days(10));
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!((report.updated, rig.writes()), (1, 2));
    assert_eq!(
        rig.end(EMPTY_COLLECTION, "1.2.5.1"),
        Some(rig.clock.now() + days(30))
    );
}

/// Whatever Sekoia does with what is there already: the report says what is there afterwards.
#[tokio::test]
async fn at_every_position_the_report_is_the_truth() {
    let connector = sekoia::connector();
    let fake = (connector.fake)(FakeOptions::plain(Clock::manual(noon())))
        .await
        .unwrap();
    for (name, switches) in Switches::combinations(&fake.state.switches(), 15, 13) {
        let rig = Rig::with(switches, &[]).await;
        let row = |value: &str| Row::new(value, noon() - days(20));
        rig.sekoia
            .insert(EMPTY_COLLECTION, row("1.2.5.2").until(noon() + days(2)));
        rig.sekoia
            .insert(EMPTY_COLLECTION, row("1.2.5.3").revoked());
        rig.sekoia
            .insert(EMPTY_COLLECTION, row("1.2.5.4").until(noon() - days(2)));
        rig.sekoia.insert(EMPTY_COLLECTION, row("1.2.5.5"));
        // A search for a part of these finds others.
        for number in 10..60 {
            rig.sekoia
                .insert(EMPTY_COLLECTION, row(&format!("1.2.5.{number}")));
        }
        let values = [
            "1.2.5.1",
            "1.2.5.2",
            "1.2.5.3",
            "1.2.5.4",
            "1.2.5.5",
            "host.test1",
        ];
        let mut arguments = arguments(&values, "", json!({ "valid_for": 30 }));
        arguments.as_object_mut().unwrap().remove("indicator_type");
        let report = rig.report(ADD, arguments).await;
        for value in values {
            let detail = detail(&report, value);
            let good = ["added", "extended", "unchanged"].contains(&&*detail.outcome);
            let there = rig
                .end(EMPTY_COLLECTION, value)
                .is_some_and(|end| end >= noon() + days(30));
            assert_eq!(good, there, "{name}: {value}: {detail:?}");
        }
        assert_eq!(outcome(&report, "1.2.5.1").0, "added", "{name}");
        assert_eq!(outcome(&report, "1.2.5.5").0, "unchanged", "{name}");
        assert_eq!(outcome(&report, "host.test1").0, "failed", "{name}");
        assert_eq!(report.status, Status::Partial, "{name}");
        let counted = report.added + report.updated + report.unchanged + report.failed;
        assert_eq!(counted, values.len(), "{name}");
    }
}

#[tokio::test]
async fn batches_are_of_a_hundred_and_one_bad_value_sinks_no_other() {
    let rig = Rig::new().await;
    let mut values: Vec<String> = (0..250)
        .map(|number| format!("n{number}.example.net"))
        .collect();
    values[120] = "host.test1".to_owned();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let report = rig
        .report(ADD, arguments(&values, "domain", json!({})))
        .await;
    assert_eq!(
        (report.added, report.failed),
        (249, 1),
        "{:?}",
        report.error
    );
    assert_eq!(outcome(&report, "host.test1").1, "rejected");
    for call in rig.fake.server.log.all() {
        if call.method == "POST" {
            let body: Json = serde_json::from_slice(&call.body).unwrap();
            assert!(body["indicators"].as_array().unwrap().len() <= 100);
        }
    }
    // So many are not searched for one by one.
    assert_eq!(
        rig.fake
            .server
            .log
            .count(|call| call.query.contains("term=")),
        0
    );
    let again = rig
        .report(ADD, arguments(&values, "domain", json!({})))
        .await;
    assert_eq!((again.added, again.unchanged), (0, 249));
}

#[tokio::test]
async fn a_lost_answer_is_settled_by_looking() {
    for (fault, wanted) in [
        (FaultAction::ResetAfter, ("added", "new")),
        (FaultAction::ResetBefore, ("failed", "not-taken")),
        (
            FaultAction::AnswerAfter {
                status: 502,
                body: "gateway".to_owned(),
            },
            ("added", "new"),
        ),
        (
            FaultAction::AnswerAfter {
                status: 200,
                body: "not JSON".to_owned(),
            },
            ("added", "new"),
        ),
        (
            FaultAction::Answer {
                status: 500,
                headers: Vec::new(),
                body: String::new(),
            },
            ("failed", "not-taken"),
        ),
    ] {
        let rig = Rig::new().await;
        rig.fake
            .server
            .fault(Fault::new(fault.clone()).on("POST", "/indicators"));
        let report = rig.report(ADD, arguments_of_one()).await;
        assert_eq!(
            outcome(&report, "1.2.5.1"),
            (wanted.0.to_owned(), wanted.1.to_owned()),
            "{fault:?}"
        );
        assert_eq!(rig.writes(), 1, "{fault:?}: sent once only");
        assert_eq!(report.status == Status::Ok, wanted.0 == "added");
    }
}

#[tokio::test]
async fn what_fails_never_looks_like_success() {
    let rig = Rig::with(
        Switches::default(),
        &[("rights", json!(["view-collections"]))],
    )
    .await;
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!(
        (report.status, report.added, report.exit_code()),
        (Status::Failed, 0, 3)
    );
    assert!(report.hint.unwrap().contains("Manage IOC collections"));

    let rig = Rig::new().await;
    let values: Vec<String> = (0..150)
        .map(|number| format!("n{number}.example.net"))
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    rig.fake
        .server
        .fault(Fault::status(403).on("POST", "/indicators").after(1));
    let report = rig
        .report(ADD, arguments(&values, "domain", json!({})))
        .await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 100, 50)
    );
    assert!(report.error.is_some());

    let rig = Rig::new().await;
    rig.fake.server.fault(
        Fault::status(429)
            .on("POST", "/indicators")
            .times(usize::MAX),
    );
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!((report.status, report.exit_code()), (Status::Failed, 75));

    let rig = Rig::new().await;
    rig.fake.state.set_capacity(0);
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!(report.status, Status::Failed);

    let rig = Rig::new().await;
    rig.sekoia.delete(EMPTY_COLLECTION);
    assert_eq!(
        error_of(rig.run(ADD, arguments_of_one()).await).kind(),
        ErrorKind::NotFound
    );
    rig.fake.state.expire_sessions();
    assert_eq!(
        error_of(rig.run(ADD, arguments_of_one()).await).kind(),
        ErrorKind::Auth
    );
    assert_eq!(rig.writes(), 0);
}

#[tokio::test]
async fn a_clock_that_is_wrong_writes_no_end() {
    let rig = Rig::new().await;
    for (ahead, wanted) in [(0, Some(0)), (120, Some(1)), (600, None), (-600, None)] {
        let ours = Clock::manual(noon() + TimeDelta::seconds(ahead));
        let context = Context::new(Environment::new(ours));
        let configuration = rig.fake.configuration.clone();
        let connector = sekoia::connector();
        let run =
            sdk::action::run(&connector, ADD, arguments_of_one(), configuration, &context).await;
        match wanted {
            Some(warnings) => assert_eq!(report_of(run).warnings.len(), warnings),
            None => assert_eq!(error_of(run).kind(), ErrorKind::Clock),
        }
    }
}

#[tokio::test]
async fn a_value_with_two_reasons_counts_until_the_later() {
    let rig = Rig::new().await;
    let mut arguments = arguments(&["1.2.3.18"], "IP address", json!({ "valid_for": 9 }));
    arguments["ioc_collection_id"] = json!(COLLECTION);
    let report = rig.report(ADD, arguments).await;
    assert_eq!((report.unchanged, rig.writes()), (1, 0));
    assert!(
        detail(&report, "1.2.3.18")
            .message
            .contains("2026-06-10T12:00:00Z")
    );
}

#[tokio::test]
async fn what_starts_later_is_not_there_yet() {
    let rig = Rig::new().await;
    let later = Row::new("1.2.5.1", noon())
        .from(noon() + days(3))
        .until(noon() + days(60));
    rig.sekoia.insert(EMPTY_COLLECTION, later);
    let report = rig.report(ADD, arguments_of_one()).await;
    assert_eq!(report.unchanged, 0, "{report:?}");
    assert_eq!(rig.writes(), 1);
    // The same where the collection is read whole.
    let mut values: Vec<String> = (0..60)
        .map(|number| format!("n{number}.example.net"))
        .collect();
    values.push("1.2.3.13".to_owned());
    let mut arguments = json!({ "ioc_collection_id": COLLECTION, "indicators": values });
    arguments["dry_run"] = json!(true);
    let report = rig.report(ADD, arguments).await;
    assert_eq!((report.added, report.unchanged), (61, 0), "{report:?}");
}

#[tokio::test]
async fn indicators_come_from_a_file_too() {
    let rig = Rig::new().await;
    let mut context = Context::new(Environment::new(rig.clock.clone()));
    context.files = Some(Arc::new(|path: &str| {
        assert_eq!(path, "indicators.json");
        let file: Box<dyn std::io::Read + Send> = Box::new(&br#"["1.2.5.1", ["1.2.5.2"]]"#[..]);
        Ok(file)
    }));
    let arguments = json!({
        "indicators_path": "indicators.json", "ioc_collection_id": EMPTY_COLLECTION,
        "indicator_type": "IP address",
    });
    let configuration = rig.fake.configuration.clone();
    let run = sdk::action::run(
        &sekoia::connector(),
        ADD,
        arguments,
        configuration,
        &context,
    )
    .await;
    assert_eq!(report_of(run).added, 2);
}
