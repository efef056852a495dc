//! `add_destination_ips_to_ioc_collection`.

use sdk::ErrorKind;
use sdk::fake::Fault;
use sdk::report::Status;
use sekoia::fake::{ALERT, ALERT_SHORT_ID, Alert, EMPTY_COLLECTION, Event};

use super::*;

const ADD: &str = "add_destination_ips_to_ioc_collection";

fn of_alert(alert: &str) -> Json {
    json!({ "alert_id": alert, "ioc_collection_id": EMPTY_COLLECTION })
}

fn names(rig: &Rig) -> Vec<String> {
    let mut names: Vec<String> = rig
        .sekoia
        .rows(EMPTY_COLLECTION)
        .into_iter()
        .map(|row| row.name)
        .collect();
    names.sort();
    names
}

fn event(minutes: i64, fields: &[(&str, Json)]) -> Event {
    Event {
        at: noon() - days(1) + TimeDelta::minutes(minutes),
        fields: fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

fn raise(rig: &Rig, short_id: &str, events: Vec<Event>) {
    rig.sekoia.raise(Alert {
        uuid: "5e2b1a90-77aa-4d0e-9c54-0f5d3b6a8e44".to_owned(),
        short_id: short_id.to_owned(),
        events,
    });
}

#[tokio::test]
async fn the_destinations_of_an_alert_are_added_at_every_position() {
    let connector = sekoia::connector();
    let fake = (connector.fake)(FakeOptions::plain(Clock::manual(noon())))
        .await
        .unwrap();
    for (name, switches) in Switches::combinations(&fake.state.switches(), 10, 15) {
        for alert in [ALERT, ALERT_SHORT_ID] {
            let rig = Rig::with(switches.clone(), &[]).await;
            let report = rig.report(ADD, of_alert(alert)).await;
            assert_eq!(report.status, Status::Ok, "{name}: {report:?}");
            assert_eq!(
                names(&rig),
                ["1.2.3.20", "1.2.3.21", "2606:4700::1111"],
                "{name}"
            );
            assert_eq!((report.added, report.skipped.protected), (3, 2), "{name}");
            for private in ["10.0.0.53", "192.168.1.7"] {
                assert_eq!(
                    outcome(&report, private),
                    ("skipped".to_owned(), "protected".to_owned())
                );
            }
            let row = &rig.sekoia.rows(EMPTY_COLLECTION)[0];
            let made_at = rig.clock.now() - row.created;
            assert!(made_at < TimeDelta::minutes(1), "{name}");
            let length = row.valid_until.unwrap() - row.created;
            assert!(
                (length - days(30)).abs() < TimeDelta::minutes(1),
                "{name}: {length}"
            );
            assert_eq!(
                row.description.as_deref(),
                Some("destination of alert ALJQ7KXnAmXC")
            );
        }
    }
}

#[tokio::test]
async fn what_is_there_and_what_is_excluded_is_said() {
    let rig = Rig::new().await;
    let mut arguments = of_alert(ALERT);
    arguments["exclude"] = json!(["1.2.3.21", "2606:4700::/32"]);
    arguments["valid_for"] = json!(7);
    let report = rig.report(ADD, arguments.clone()).await;
    assert_eq!((report.added, report.skipped.protected), (1, 4));
    assert_eq!(outcome(&report, "1.2.3.21").1, "excluded");
    assert_eq!(rig.writes(), 1);
    let report = rig.report(ADD, arguments).await;
    assert_eq!((report.added, report.unchanged, rig.writes()), (0, 1, 1));
    assert_eq!(
        outcome(&report, "1.2.3.20"),
        ("unchanged".to_owned(), "already-there".to_owned())
    );
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let rig = Rig::new().await;
    let mut arguments = of_alert(ALERT);
    arguments["dry_run"] = json!(true);
    let report = rig.report(ADD, arguments).await;
    assert_eq!((report.added, rig.writes(), names(&rig).len()), (3, 0, 0));
}

fn to(address: String) -> Vec<(String, Json)> {
    vec![("destination.ip".to_owned(), json!(address))]
}

fn searches(rig: &Rig) -> usize {
    rig.fake
        .server
        .log
        .count(|call| call.method == "POST" && call.path.ends_with("/jobs"))
}

/// A search sees the last 100 events: the destinations of the earlier ones were lost.
#[tokio::test]
async fn every_event_of_an_alert_is_seen_which_it_was_not() {
    let rig = Rig::new().await;
    let events = (0..250)
        .map(|number| Event {
            at: noon() - days(1) + TimeDelta::seconds(number * 20),
            fields: to(format!("1.2.8.{number}")),
        })
        .collect();
    raise(&rig, "ALmany", events);
    let report = rig.report(ADD, of_alert("ALmany")).await;
    assert_eq!((report.status, report.added), (Status::Ok, 250));
    assert_eq!(report.warnings, Vec::<String>::new());
    assert!((5..=15).contains(&searches(&rig)), "{}", searches(&rig));
    // A few are one search, without a warning.
    let rig = Rig::new().await;
    let report = rig.report(ADD, of_alert(ALERT)).await;
    assert_eq!((searches(&rig), report.warnings.len()), (1, 0));
}

#[tokio::test]
async fn events_that_no_search_can_show_are_told() {
    // All in one second, which cannot be halved.
    let rig = Rig::new().await;
    let at = noon() - days(1);
    let same = (0..150).map(|number| Event {
        at,
        fields: to(format!("1.2.8.{number}")),
    });
    raise(&rig, "ALburst", same.collect());
    let report = rig.report(ADD, of_alert("ALburst")).await;
    assert_eq!(report.added, 100);
    assert!(
        report.warnings[0].contains("100 events or more at 2026-05-31"),
        "{report:?}"
    );
    // More than so many searches.
    let rig = Rig::new().await;
    let many = (0..9_000).map(|number| Event {
        at: at + TimeDelta::seconds(number),
        fields: to(format!("1.2.8.{}", number / 100)),
    });
    raise(&rig, "ALflood", many.collect());
    let report = rig.report(ADD, of_alert("ALflood")).await;
    assert_eq!(searches(&rig), 64);
    assert!(report.warnings[0].contains("64 searches"), "{report:?}");
    assert!(
        names(&rig).contains(&"1.2.8.89".to_owned()),
        "the newest first"
    );
    // A search that does not count its events.
    let rig = Rig::new().await;
    let fields = r#"{"items":[{"name":"destination.ip","most_common_values":[{"name":"1.2.8.1"}]}],"total":1}"#;
    rig.fake
        .server
        .fault(Fault::answer(200, fields).on("GET", "/fields"));
    let report = rig.report(ADD, of_alert(ALERT)).await;
    assert_eq!((report.added, searches(&rig)), (1, 1));
    assert!(report.warnings[0].contains("does not say"), "{report:?}");
}

#[tokio::test]
async fn the_field_is_found_on_a_later_page_which_it_was_not() {
    let rig = Rig::switched("field-cap", "10").await;
    let mut fields: Vec<(String, Json)> = (0..45)
        .map(|number| (format!("action.properties.{number}"), json!("x")))
        .collect();
    fields.push(("destination.ip".to_owned(), json!("1.2.8.1")));
    let at = noon() - days(1);
    raise(&rig, "ALwide", vec![Event { at, fields }]);
    assert_eq!(rig.report(ADD, of_alert("ALwide")).await.added, 1);
}

#[tokio::test]
async fn an_alert_without_destinations_adds_nothing_and_says_so() {
    let rig = Rig::new().await;
    raise(
        &rig,
        "ALnone",
        vec![event(0, &[("source.ip", json!("1.2.8.1"))])],
    );
    let report = rig.report(ADD, of_alert("ALnone")).await;
    assert_eq!(
        (report.status, report.added, rig.writes()),
        (Status::Ok, 0, 0)
    );
    assert!(
        report
            .warnings
            .iter()
            .any(|it| it.contains("has a destination.ip"))
    );
}

#[tokio::test]
async fn a_value_that_is_no_address_is_named() {
    let rig = Rig::new().await;
    let fields = [
        ("destination.ip", json!("1.2.8.1")),
        ("destination.ip", json!("not an address")),
    ];
    raise(
        &rig,
        "ALodd",
        vec![event(0, &fields[..1]), event(1, &fields[1..])],
    );
    let report = rig.report(ADD, of_alert("ALodd")).await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 1, 1)
    );
}

#[tokio::test]
async fn a_search_that_fails_adds_nothing() {
    // Whatever its status: one without any field found nothing of what there is.
    for status in ["2", "3", "10"] {
        for nothing in [r#"{"items":[],"total":0}"#, r#"{"items":[]}"#] {
            let rig = Rig::switched("search-status", status).await;
            rig.fake
                .server
                .fault(Fault::answer(200, nothing).on("GET", "/fields"));
            let error = error_of(rig.run(ADD, of_alert(ALERT)).await);
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            assert!(error.message().contains(&format!("status {status}")));
            assert_eq!(rig.writes(), 0);
        }
        let rig = Rig::switched("search-status", status).await;
        raise(&rig, "ALbare", vec![event(0, &[])]);
        let error = error_of(rig.run(ADD, of_alert("ALbare")).await);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    }
    // One that never ends is given up.
    let rig = Rig::with(Switches::default(), &[("endless_search", json!(true))]).await;
    let error = error_of(rig.run(ADD, of_alert(ALERT)).await);
    assert!(error.message().contains("did not end"), "{error:?}");
    assert!(rig.clock.now() >= noon() + TimeDelta::minutes(10));
}

#[tokio::test]
async fn an_alert_that_is_not_there_and_rights_that_are_missing() {
    for position in ["kept", "passed-over"] {
        let rig = Rig::switched("short-id-filter", position).await;
        for unknown in ["ALunknown", "00000000-0000-4000-8000-000000000000"] {
            let error = error_of(rig.run(ADD, of_alert(unknown)).await);
            assert_eq!(
                error.kind(),
                ErrorKind::NotFound,
                "{position} {unknown}: {error:?}"
            );
        }
        for wrong in ["", "AL1 OR *", "../x"] {
            let error = error_of(rig.run(ADD, of_alert(wrong)).await);
            assert_eq!(error.kind(), ErrorKind::Input, "{wrong}");
        }
    }
    let rights = json!(["view-collections", "manage-collections", "view-alerts"]);
    let rig = Rig::with(Switches::default(), &[("rights", rights)]).await;
    let error = error_of(rig.run(ADD, of_alert(ALERT)).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.hint_text().unwrap().contains("View intakes"));
    assert_eq!(rig.writes(), 0);
}

#[tokio::test]
async fn a_hostile_short_id_changes_no_search() {
    let rig = Rig::new().await;
    let hostile = r#"{"uuid":"3f6c2a9e-52d1-4c35-b0a4-8c1e6d7f9b33","short_id":"AL1 OR *","first_seen_at":"2026-06-01T10:00:00Z","last_seen_at":"2026-06-01T11:00:00Z"}"#;
    rig.fake
        .server
        .fault(Fault::answer(200, hostile).on("GET", "/alerts/"));
    let error = error_of(rig.run(ADD, of_alert(ALERT)).await);
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
    // Nor is another alert taken for the one that was asked for.
    rig.fake
        .server
        .fault(Fault::answer(200, &hostile.replace("AL1 OR *", "ALother")).on("GET", "/alerts/"));
    let error = error_of(rig.run(ADD, of_alert(ALERT_SHORT_ID)).await);
    assert!(error.message().contains("another alert"), "{error:?}");
    assert_eq!(
        rig.fake
            .server
            .log
            .count(|call| call.path.contains("/search/")),
        0
    );
}
