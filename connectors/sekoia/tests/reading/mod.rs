//! Reading a collection: the whole, or a failure.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sdk::collection::SkippedReason;
use sdk::fake::{Fault, FaultAction};
use sdk::indicator::Indicator;
use sdk::stix::{self, ReadLimits};
use sdk::{ErrorKind, Result};
use sekoia::fake::{COLLECTION, EMPTY_COLLECTION, FEED, Row};

use super::*;

/// Everything of an indicator that matters.
fn facts(indicators: &[Indicator]) -> BTreeSet<String> {
    let facts = indicators.iter().map(|it| {
        format!(
            "{} {} {} {:?}",
            it.value, it.origin, it.revoked, it.validity
        )
    });
    facts.collect()
}

/// What a collection holds, read as one bundle.
fn whole(rig: &Rig, id: &str) -> BTreeSet<String> {
    let objects: Vec<Json> = rig
        .sekoia
        .rows(id)
        .iter()
        .map(|row| {
            json!({
                "type": "indicator", "id": row.id, "pattern": row.pattern, "pattern_type": "stix",
                "revoked": row.revoked, "modified": row.modified, "valid_from": row.valid_from,
                "valid_until": row.valid_until,
            })
        })
        .collect();
    let bytes = serde_json::to_vec(&objects).unwrap();
    let reading = stix::read("whole", &bytes[..], &ReadLimits::default()).unwrap();
    facts(&reading.indicators)
}

/// Addresses, several changed at the same time, some revoked, some ended.
fn crowd(rig: &Rig, count: u32, at_once: u32) {
    for number in 0..count {
        let address = std::net::Ipv4Addr::from(0x1500_0000 + number).to_string();
        let at = noon() - days(5) + TimeDelta::microseconds(i64::from(number / at_once));
        let mut row = Row::new(&address, at).until(noon() + days(i64::from(number % 9) - 4));
        if number % 7 == 0 {
            row = row.revoked();
        }
        rig.sekoia.insert(COLLECTION, row);
    }
}

#[tokio::test]
async fn every_position_of_every_switch_gives_the_whole() {
    let switches = sekoia::connector();
    let fake = (switches.fake)(FakeOptions::plain(Clock::manual(noon())))
        .await
        .unwrap();
    for (name, switches) in Switches::combinations(&fake.state.switches(), 20, 11) {
        let rig = Rig::with(switches, &[]).await;
        crowd(&rig, 470, 30);
        let reading = rig.read(COLLECTION).await;
        let reading = reading.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(
            facts(&reading.indicators),
            whole(&rig, COLLECTION),
            "{name}"
        );
        assert!(
            reading.warnings.is_empty(),
            "{name}: {:?}",
            reading.warnings
        );
        let empty = rig.read(EMPTY_COLLECTION).await.unwrap();
        assert!(empty.indicators.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn every_position_of_every_switch_gives_the_whole_as_text() {
    let connector = sekoia::connector();
    let fake = (connector.fake)(FakeOptions::plain(Clock::manual(noon())))
        .await
        .unwrap();
    for (name, switches) in Switches::combinations(&fake.state.switches(), 20, 12) {
        let rig = Rig::with(switches, &[("empty", json!(true))]).await;
        crowd(&rig, 470, 30);
        let rows = rig.sekoia.rows(COLLECTION);
        let standing = rows.iter().filter(|row| !row.revoked);
        let ends = |row: &&Row| row.valid_until.unwrap() > noon();
        let wanted: BTreeSet<String> = standing.filter(ends).map(|row| row.name.clone()).collect();
        let reading = rig.read_text(COLLECTION).await;
        let reading = reading.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let read = reading.indicators.iter();
        let read: BTreeSet<String> = read.map(|it| it.value.to_string()).collect();
        let unsure = rows
            .iter()
            .filter(|row| !row.revoked && row.valid_until == Some(noon()));
        let unsure: BTreeSet<String> = unsure.map(|row| row.name.clone()).collect();
        assert!(wanted.is_subset(&read), "{name}");
        assert!(
            read.difference(&wanted).all(|it| unsure.contains(it)),
            "{name}"
        );
        assert!(reading.warnings[0].contains("no dates"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the pages are and however they meet: the whole, or a failure; and the whole wherever the
    /// cursor tells objects apart.
    #[test]
    fn pages_lose_nothing(
        count in 0_u32..420,
        at_once in 1_u32..160,
        cap in prop::sample::select(vec![1_usize, 3, 50, 99, 100, 101, 1_000]),
        cursor in prop::sample::select(vec!["opaque", "from-time", "after-time"]),
        end in prop::sample::select(vec!["empty-page", "null-cursor", "no-cursor", "repeated-cursor"]),
        edge in prop::sample::select(vec!["exact", "repeats"]),
    ) {
        // Below a documented length a page that is cut looks like one that is not.
        let cap = if cursor == "opaque" { cap } else { cap.max(100) / 100 * 100 };
        let count = if cap == 1 { count % 40 } else { count };
        let edge = if cap == 1 { "exact" } else { edge };
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let switches = Switches::default()
                .with("cursor", cursor)
                .with("end", end)
                .with("page-edge", edge);
            let settings = [("page_cap", json!(cap)), ("empty", json!(true))];
            let rig = Rig::with(switches, &settings).await;
            crowd(&rig, count, at_once);
            match rig.read(COLLECTION).await {
                Ok(reading) => assert_eq!(facts(&reading.indicators), whole(&rig, COLLECTION)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
                    // A page that names no next one is confirmed by the newest time, unless that fills a page.
                    let is_full = at_once >= 100 && matches!(end, "null-cursor" | "no-cursor");
                    assert!(is_full || (cursor != "opaque" && at_once >= 50), "{error:?}");
                }
            }
        });
    }
}

#[tokio::test]
async fn what_is_read_is_what_was_meant() {
    let rig = Rig::new().await;
    let reading = rig.read(COLLECTION).await.unwrap();
    let find = |value: &str| -> Vec<&Indicator> {
        let indicators = reading.indicators.iter();
        indicators
            .filter(|it| it.value.to_string() == value)
            .collect()
    };
    assert!(find("1.2.3.12")[0].revoked, "revoked ones are seen");
    assert_eq!(
        find("1.2.3.11")[0].validity.until,
        Some(noon() - days(10)),
        "and ended ones"
    );
    assert_eq!(find("1.2.3.13")[0].validity.from, Some(noon() + days(2)));
    assert_eq!(find("1.2.3.14")[0].validity.until, None);
    assert_eq!(find("http://panel.example.net/it's?a=1").len(), 1);
    assert_eq!(find("1.2.4.0/24").len(), 1);
    assert_eq!(find("1.2.3.17").len(), 1, "IN");
    assert_eq!(find("1.2.3.18").len(), 2, "by two reasons");
    assert_eq!(find("9e107d9d372bb6826bd81d3542a419d6").len(), 1);
    assert_eq!(find("1.2.3.15").len(), 0, "AND");
    assert_eq!(reading.skipped.count(SkippedReason::Pattern), 1);
    let feed = rig.read(FEED).await.unwrap();
    assert_eq!(feed.indicators.len(), reading.indicators.len());
}

#[tokio::test]
async fn the_maximum_is_asked_for_with_revoked_and_ended_ones() {
    let rig = Rig::new().await;
    rig.read(COLLECTION).await.unwrap();
    let calls = rig.fake.server.log.all();
    for asked in [
        "limit=2000",
        "include_revoked=true",
        "skip_expired=false",
        "match%5Btype%5D=indicator",
    ] {
        assert!(
            calls.iter().all(|call| call.query.contains(asked)),
            "{asked}"
        );
    }
    rig.fake.server.log.clear();
    rig.read_text(COLLECTION).await.unwrap();
    let calls = rig.fake.server.log.all();
    for asked in ["format=text", "include_revoked=false", "skip_expired=true"] {
        assert!(
            calls.iter().all(|call| call.query.contains(asked)),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn every_way_to_write_the_base_url_works() {
    let rig = Rig::new().await;
    for ending in ["", "/", "/api", "/api/", "/api/api", "/api//api/"] {
        let mut source = rig.source(COLLECTION, SourceKind::Stix);
        let Location::Sekoia(collection) = &mut source.location else {
            panic!("not at Sekoia");
        };
        collection.access.base_url = format!("{}{ending}", rig.fake.server.url);
        let reading = source.read(&rig.read_context()).await;
        assert!(reading.is_ok(), "{ending}: {reading:?}");
    }
}

#[tokio::test]
async fn a_hundred_thousand_in_fifty_pages() {
    let settings = [("indicators", json!(100_000)), ("empty", json!(true))];
    let rig = Rig::with(Switches::default(), &settings).await;
    let reading = rig.read(COLLECTION).await.unwrap();
    assert_eq!(reading.indicators.len(), 100_000);
    assert_eq!(reading.skipped.total(), 0);
    // Fifty pages, and the empty one that tells the end.
    assert_eq!(rig.fake.server.log.all().len(), 51);
}

#[tokio::test]
async fn a_collection_has_a_largest_size() {
    let rig = Rig::with(Switches::default(), &[("indicators", json!(3_000))]).await;
    let mut context = rig.read_context();
    context.size_limit = 1_000_000;
    let error = rig
        .source(COLLECTION, SourceKind::Stix)
        .read(&context)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
}

#[tokio::test]
async fn the_newest_first_is_read_and_warned_of() {
    let settings = [("newest_first", json!(true)), ("page_cap", json!(100))];
    let rig = Rig::with(Switches::default(), &settings).await;
    crowd(&rig, 250, 1);
    let reading = rig.read(COLLECTION).await.unwrap();
    assert_eq!(facts(&reading.indicators), whole(&rig, COLLECTION));
    assert!(reading.warnings[0].contains("oldest first"));
}

#[tokio::test]
async fn the_newest_first_by_times_is_no_whole_beyond_one_page() {
    for position in ["from-time", "after-time"] {
        // On pages, at least with several at one time, something is lost.
        for (count, at_once) in [(250, 30), (250, 1), (101, 101), (100, 30)] {
            let switches = Switches::default().with("cursor", position);
            let settings = [
                ("newest_first", json!(true)),
                ("page_cap", json!(100)),
                ("empty", json!(true)),
            ];
            let rig = Rig::with(switches.clone(), &settings).await;
            crowd(&rig, count, at_once);
            let case = format!("{position}, {count}, {at_once} at once");
            let error = match rig.read(COLLECTION).await {
                Ok(reading) => panic!("{case}: {} indicators", reading.indicators.len()),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::Protocol, "{case}: {error:?}");
            if at_once < 100 {
                assert!(
                    error.hint_text().unwrap().contains("oldest first"),
                    "{case}: {error:?}"
                );
            }
            if count == 250 {
                // Text has no dates, but its cursors are some.
                let settings = [&settings[..], &[("indicators", json!(250))]].concat();
                let rig = Rig::with(switches, &settings).await;
                let error = rig.read_text(COLLECTION).await.unwrap_err();
                assert!(
                    error.hint_text().unwrap().contains("oldest first"),
                    "{case}: {error:?}"
                );
            }
        }
        // On one page nothing can be.
        let switches = Switches::default().with("cursor", position);
        let rig = Rig::with(
            switches,
            &[("newest_first", json!(true)), ("empty", json!(true))],
        )
        .await;
        crowd(&rig, 90, 30);
        let reading = rig.read(COLLECTION).await.unwrap();
        assert_eq!(
            facts(&reading.indicators),
            whole(&rig, COLLECTION),
            "{position}"
        );
        assert!(reading.warnings[0].contains("oldest first"), "{position}");
    }
}

#[tokio::test]
async fn the_newest_version_of_an_object_wins_across_pages() {
    let rig = Rig::with(
        Switches::default(),
        &[("page_cap", json!(100)), ("empty", json!(true))],
    )
    .await;
    crowd(&rig, 150, 1);
    // Between the first page and the second somebody revokes what was on the first.
    let sekoia = Arc::clone(&rig.sekoia);
    let changed = rig.sekoia.rows(COLLECTION)[1].name.clone();
    let name = changed.clone();
    rig.fake.server.fault(
        Fault::status(503)
            .on("GET", "cursor=")
            .also(move || assert_eq!(sekoia.revoke_named(COLLECTION, &name), 1)),
    );
    let reading = rig.read(COLLECTION).await.unwrap();
    let versions = reading
        .indicators
        .iter()
        .filter(|it| it.value.to_string() == changed);
    let revoked: Vec<bool> = versions.map(|it| it.revoked).collect();
    assert_eq!(revoked, [true]);
}

#[tokio::test]
async fn a_page_of_a_known_limit_that_names_no_next_one_is_confirmed_or_fails() {
    let exact = "exactly as long as a known limit";
    for (cap, count, at_once, is_whole) in [
        (100, 100, 1, true),
        (100, 100, 30, true),
        (1_000, 1_000, 1, true),
        (2_000, 2_000, 1, true),
        // The limit is met and nothing is cut.
        (2_000, 100, 1, true),
        // Cut, with the rest at other times, at the same time, and some of it at the same.
        (100, 101, 1, false),
        (100, 150, 1, false),
        (100, 150, 120, false),
        (100, 150, 150, false),
        (1_000, 1_300, 1, false),
        (2_000, 2_001, 1, false),
        // Nothing is cut, but the answer to the question may be.
        (100, 100, 100, false),
    ] {
        let settings = [
            ("page_cap", json!(cap)),
            ("cursors", json!(false)),
            ("empty", json!(true)),
        ];
        let rig = Rig::with(Switches::default(), &settings).await;
        crowd(&rig, count, at_once);
        let case = format!("{count} with pages of {cap}, {at_once} at once");
        match rig.read(COLLECTION).await {
            Ok(reading) => {
                assert!(is_whole, "{case}");
                assert_eq!(
                    facts(&reading.indicators),
                    whole(&rig, COLLECTION),
                    "{case}"
                );
            }
            Err(error) => {
                assert!(!is_whole, "{case}: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Protocol, "{case}: {error:?}");
                assert!(error.message().contains(exact), "{case}: {error:?}");
            }
        }
        assert_eq!(rig.fake.server.log.all().len(), 2, "{case}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_for_again_is_not_confirmed() {
    let exact = "exactly as long as a known limit";
    for count in [100, 150, 1_000, 2_000, 2_500] {
        let settings = [
            ("page_cap", json!(if count <= 150 { 100 } else { 2_000 })),
            ("cursors", json!(false)),
            ("empty", json!(true)),
            ("indicators", json!(count)),
        ];
        let rig = Rig::with(Switches::default(), &settings).await;
        let error = rig.read_text(COLLECTION).await.unwrap_err();
        assert!(error.message().contains(exact), "{count}: {error:?}");
        assert!(error.hint_text().unwrap().contains("Cursor"), "{error:?}");
        let settings = [&settings[..], &[("newest_first", json!(true))]].concat();
        let rig = Rig::with(Switches::default(), &settings).await;
        let error = rig.read(COLLECTION).await.unwrap_err();
        assert!(error.message().contains(exact), "{count}: {error:?}");
        assert!(
            error.hint_text().unwrap().contains("oldest first"),
            "{error:?}"
        );
    }
    // Other lengths are the end.
    let settings = [
        ("cursors", json!(false)),
        ("empty", json!(true)),
        ("indicators", json!(99)),
    ];
    let rig = Rig::with(Switches::default(), &settings).await;
    let reading = rig.read_text(COLLECTION).await.unwrap();
    assert_eq!(reading.indicators.len(), 99);
    // An answer that does not hold what was asked for confirms nothing.
    let settings = [
        ("cursors", json!(false)),
        ("empty", json!(true)),
        ("indicators", json!(100)),
    ];
    for body in [
        r#"{"items":[]}"#,
        r#"{"items":[],"next_cursor":"more"}"#,
        r#"{"items":[{"type":"indicator","id":"indicator--00f00d00-0000-4000-8000-000000000001","pattern":"[ipv4-addr:value = '1.1.1.1']","modified":"2001-01-01T00:00:00Z"}]}"#,
    ] {
        let rig = Rig::with(Switches::default(), &settings).await;
        rig.fake
            .server
            .fault(Fault::answer(200, body).on("GET", "modified_after="));
        let error = rig.read(COLLECTION).await.unwrap_err();
        assert!(error.message().contains(exact), "{body}: {error:?}");
    }
}

/// What a read comes to if the second page is replaced by this.
async fn second_page(fault: Fault) -> Result<Reading> {
    let rig = Rig::with(
        Switches::default(),
        &[("page_cap", json!(100)), ("empty", json!(true))],
    )
    .await;
    crowd(&rig, 150, 1);
    rig.fake.server.fault(fault.on("GET", "cursor="));
    let reading = rig.read(COLLECTION).await?;
    assert_eq!(facts(&reading.indicators), whole(&rig, COLLECTION));
    Ok(reading)
}

#[tokio::test]
async fn a_page_that_is_not_whole_fails_the_read() {
    let item = r#"{"type":"indicator","id":"indicator--00f00d00-0000-4000-8000-000000000001","pattern":"[ipv4-addr:value = '1.1.1.1']"}"#;
    for (what, body) in [
        ("truncated", format!(r#"{{"items":[{item},{{"type":"ind"#)),
        (
            "without the closing brace",
            format!(r#"{{"items":[{item}],"next_cursor":null"#),
        ),
        (
            "an HTML page",
            "<html><body>maintenance</body></html>".to_owned(),
        ),
        (
            "an error with status 200",
            r#"{"code":"X","message":"failed"}"#.to_owned(),
        ),
        ("nothing", String::new()),
        ("null", "null".to_owned()),
        ("a bare list", format!("[{item}]")),
        ("a bundle", r#"{"type":"bundle","objects":[]}"#.to_owned()),
        (
            "items that are no list",
            r#"{"items":{},"next_cursor":null}"#.to_owned(),
        ),
        (
            "a cursor that is a number",
            format!(r#"{{"items":[{item}],"next_cursor":5}}"#),
        ),
        (
            "more than is there",
            format!(r#"{{"items":[{item}],"next_cursor":null,"has_more":true}}"#),
        ),
        (
            "a total that was not reached",
            format!(r#"{{"items":[{item}],"next_cursor":null,"total":9999}}"#),
        ),
        (
            "the end at the longest page",
            format!(
                r#"{{"items":[{}],"next_cursor":null}}"#,
                vec![item; 2_000].join(",")
            ),
        ),
    ] {
        let error = second_page(Fault::answer(200, &body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{what}: {error:?}");
    }
    // One that came twice does not make up for one that did not come.
    let page = format!(r#"{{"items":[{item},{item}],"next_cursor":null,"total":2}}"#);
    let rig = Rig::with(Switches::default(), &[("empty", json!(true))]).await;
    rig.fake.server.fault(Fault::answer(200, &page));
    assert_eq!(
        rig.read(COLLECTION).await.unwrap_err().kind(),
        ErrorKind::Protocol
    );
    // A short page that says nothing more is the end.
    let rig = Rig::with(Switches::default(), &[("empty", json!(true))]).await;
    let page = format!(r#"{{"items":[{item}],"next_cursor":null}}"#);
    rig.fake.server.fault(Fault::answer(200, &page));
    assert_eq!(rig.read(COLLECTION).await.unwrap().indicators.len(), 1);
}

#[tokio::test]
async fn a_cursor_that_comes_again_fails_the_read() {
    let rig = Rig::with(
        Switches::default(),
        &[("page_cap", json!(100)), ("empty", json!(true))],
    )
    .await;
    crowd(&rig, 350, 1);
    let page = r#"{"items":[{"type":"indicator","id":"indicator--00f00d00-0000-4000-8000-000000000001","pattern":"[ipv4-addr:value = '1.1.1.1']"}],"next_cursor":"again"}"#;
    rig.fake.server.fault(
        Fault::answer(200, page)
            .on("GET", "cursor=")
            .times(usize::MAX),
    );
    let error = rig.read(COLLECTION).await.unwrap_err();
    assert!(error.message().contains("followed already"), "{error:?}");
}

#[tokio::test]
async fn pages_without_end_fail_the_read() {
    let settings = [("page_cap", json!(100)), ("empty", json!(true))];
    let rig = Rig::with(Switches::default(), &settings).await;
    crowd(&rig, 150, 1);
    let item = r#"{"type":"indicator","id":"indicator--00f00d00-0000-4000-8000-000000000001","pattern":"[ipv4-addr:value = '1.1.1.1']"}"#;
    for number in 0..40 {
        let page = format!(r#"{{"items":[{item}],"next_cursor":"c{number}"}}"#);
        rig.fake
            .server
            .fault(Fault::answer(200, &page).on("GET", "cursor="));
    }
    let error = rig.read(COLLECTION).await.unwrap_err();
    assert!(error.message().contains("nothing new"), "{error:?}");
    rig.fake.server.faults.clear();
    for number in 0..40 {
        let headers = vec![("cursor".to_owned(), format!("c{number}"))];
        let body = "1.1.1.1\n".to_owned();
        let action = FaultAction::Answer {
            status: 200,
            headers,
            body,
        };
        rig.fake
            .server
            .fault(Fault::new(action).on("GET", "cursor="));
    }
    let error = rig.read_text(COLLECTION).await.unwrap_err();
    assert!(error.message().contains("nothing new"), "{error:?}");
}

#[tokio::test]
async fn troubles_that_pass_are_waited_for() {
    let busy = |headers: &[(&str, &str)]| {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Fault::new(FaultAction::Answer {
            status: 429,
            headers: headers.collect(),
            body: "slow down".to_owned(),
        })
    };
    second_page(busy(&[("retry-after", "30")])).await.unwrap();
    second_page(busy(&[])).await.unwrap();
    second_page(Fault::status(500).times(2)).await.unwrap();
    second_page(Fault::status(503)).await.unwrap();
    second_page(Fault::new(FaultAction::ResetBefore))
        .await
        .unwrap();
    second_page(Fault::new(FaultAction::ResetAfter))
        .await
        .unwrap();
}

#[tokio::test]
async fn troubles_that_stay_fail_the_read_by_name() {
    let kind = async |status: u16, body: &str| {
        let fault = Fault::answer(status, body).times(usize::MAX);
        second_page(fault).await.unwrap_err()
    };
    let unknown = r#"{"code":"INTHREAT2500","message":"does not exist"}"#;
    for (status, body, wanted) in [
        (401, "{}", ErrorKind::Auth),
        (403, "{}", ErrorKind::Denied),
        (404, unknown, ErrorKind::NotFound),
        (404, "", ErrorKind::NotFound),
        (400, "bad", ErrorKind::Rejected),
        (429, "slow down", ErrorKind::RateLimited),
        (500, "failed", ErrorKind::Unavailable),
        (302, "", ErrorKind::Protocol),
        (204, "", ErrorKind::Protocol),
    ] {
        let error = kind(status, body).await;
        assert_eq!(error.kind(), wanted, "{status}: {error:?}");
        assert!(
            !format!("{error:?}").contains("FakeSekoiaApiKey"),
            "{error:?}"
        );
    }
    let error = kind(404, unknown).await;
    assert!(
        error.hint_text().unwrap().contains("not an empty one"),
        "{error:?}"
    );
    let long = Fault::new(FaultAction::Answer {
        status: 429,
        headers: vec![("retry-after".to_owned(), "86400".to_owned())],
        body: String::new(),
    });
    assert_eq!(
        second_page(long).await.unwrap_err().kind(),
        ErrorKind::RateLimited
    );
}

#[tokio::test]
async fn the_fake_refuses_what_sekoia_refuses() {
    let rig = Rig::with(
        Switches::default(),
        &[("rights", json!(["view-collections"]))],
    )
    .await;
    assert_eq!(rig.read(FEED).await.unwrap_err().kind(), ErrorKind::Denied);
    rig.read(COLLECTION).await.unwrap();
    rig.sekoia.delete(COLLECTION);
    assert_eq!(
        rig.read(COLLECTION).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    rig.fake.state.expire_sessions();
    assert_eq!(
        rig.read(EMPTY_COLLECTION).await.unwrap_err().kind(),
        ErrorKind::Auth
    );
}

#[tokio::test]
async fn a_rate_limit_is_waited_out() {
    let settings = [
        ("calls_per_minute", json!(3)),
        ("indicators", json!(500)),
        ("page_cap", json!(100)),
    ];
    let rig = Rig::with(Switches::default(), &settings).await;
    let reading = rig.read(COLLECTION).await.unwrap();
    assert_eq!(facts(&reading.indicators), whole(&rig, COLLECTION));
    assert!(rig.clock.now() > noon() + TimeDelta::minutes(1));
}
