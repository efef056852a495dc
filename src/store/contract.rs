//! What every store must do, run against each of them. `reopen` gives a second connection to the same
//! store, as another process would have.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::Ipv4Net;
use sdk::ErrorKind;
use sdk::indicator::{Indicator, Kind, Origin, Validity, Value};
use sdk::ownership::Owner;
use sdk::store::{HeldSet, LastCopy, LedgerRow, RowState, RunRecord, Store};

const TARGET: &str = "crowdstrike:us-1/abc:ioc";
const OTHER: &str = "fortinet:fw1:push-feed:fw1/root";

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

pub(super) fn address(index: u32) -> Value {
    Value::Ipv4(Ipv4Net::new((0x0800_0000 + index).into(), 32).unwrap())
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

pub(super) fn row(value: Value, name: &str, state: RowState) -> LedgerRow {
    LedgerRow {
        value,
        owner: owner(name),
        until: Some(at(3600)),
        sources: "c2,partners".to_owned(),
        state,
        at: at(0),
    }
}

fn run(id: &str, target: &str, name: &str, seconds: i64) -> RunRecord {
    RunRecord {
        id: id.to_owned(),
        target: target.to_owned(),
        owner: owner(name),
        at: at(seconds),
        status: "ok".to_owned(),
        actor: "alice".to_owned(),
        held: 7,
        report: "{}".to_owned(),
        counted_removals: 3,
        counted_revocations: 1,
    }
}

fn held(id: &str, digest: &str, seconds: i64) -> HeldSet {
    HeldSet {
        id: id.to_owned(),
        target: TARGET.to_owned(),
        owner: owner("acme"),
        digest: digest.to_owned(),
        changes: vec![
            "remove ipv4 8.0.0.1".to_owned(),
            "remove url https://a.example/b".to_owned(),
        ],
        why: "60 % of what acme has there".to_owned(),
        at: at(seconds),
        approved: None,
    }
}

/// The whole contract.
pub(super) async fn check(store: Arc<dyn Store>, second: Arc<dyn Store>) {
    ledger(&*store, &*second).await;
    copies(&*store, &*second).await;
    first_seen(&*store, &*second).await;
    runs(&*store).await;
    held_sets(&*store, &*second).await;
    leases(&*store, &*second).await;
    versions(&*store, &*second).await;
    settings(&*store, &*second).await;
}

async fn ledger(store: &dyn Store, second: &dyn Store) {
    assert_eq!(store.ledger(TARGET).await.unwrap(), []);
    assert_eq!(store.targets().await.unwrap(), [""; 0]);
    let rows = vec![
        row(address(1), "acme", RowState::Settled),
        row(address(1), "beta", RowState::Removing),
        row(address(2), "acme", RowState::Adding { was_absent: true }),
        row(address(10), "acme", RowState::Adding { was_absent: false }),
        LedgerRow {
            until: None,
            sources: String::new(),
            ..row(
                Value::parse(Kind::Url, "https://a.example/x?y='z';--").unwrap(),
                "acme",
                RowState::Settled,
            )
        },
    ];
    let mut shuffled = rows.clone();
    shuffled.reverse();
    store.put(TARGET, &shuffled).await.unwrap();
    assert_eq!(
        second.ledger(TARGET).await.unwrap(),
        rows,
        "sorted by value, then owner"
    );
    assert_eq!(second.ledger(OTHER).await.unwrap(), []);
    let one = row(address(1), "acme", RowState::Settled);
    store.put(OTHER, std::slice::from_ref(&one)).await.unwrap();
    let mut both = [OTHER, TARGET];
    both.sort_unstable();
    assert_eq!(second.targets().await.unwrap(), both);
    store
        .forget(OTHER, &[(one.value, one.owner)])
        .await
        .unwrap();
    assert_eq!(second.targets().await.unwrap(), [TARGET], "no row is left");

    let mut settled = row(address(2), "acme", RowState::Settled);
    settled.until = Some(at(7200));
    store
        .put(TARGET, std::slice::from_ref(&settled))
        .await
        .unwrap();
    assert_eq!(
        store.ledger(TARGET).await.unwrap()[2],
        settled,
        "a row is replaced whole"
    );

    store
        .forget(
            TARGET,
            &[
                (address(1), owner("acme")),
                (address(2), owner("nobody")),
                (address(99), owner("acme")),
            ],
        )
        .await
        .unwrap();
    let left = second.ledger(TARGET).await.unwrap();
    assert_eq!(left.len(), 4);
    assert_eq!(left[0].owner, owner("beta"), "another owner's row stays");
    store
        .forget(OTHER, &[(address(1), owner("beta"))])
        .await
        .unwrap();
    assert_eq!(store.ledger(TARGET).await.unwrap().len(), 4);
    store.put(TARGET, &[]).await.unwrap();
    store.forget(TARGET, &[]).await.unwrap();
}

async fn copies(store: &dyn Store, second: &dyn Store) {
    assert!(store.last_copy("partners").await.unwrap().is_none());
    let full = Indicator {
        value: Value::parse(Kind::Domain, "example.com").unwrap(),
        exact: true,
        revoked: true,
        confidence: Some(u16::MAX),
        validity: Validity {
            from: Some(at(-10)),
            until: Some(at(10)),
        },
        modified: Some(at(-3)),
        origin: Origin::Stix(u128::MAX - 5),
    };
    let origins = [
        Origin::Line(u32::MAX),
        Origin::Id("line 5".into()),
        Origin::Id("".into()),
        Origin::Argument,
    ];
    let mut indicators: Vec<Indicator> = origins
        .into_iter()
        .zip(0..)
        .map(|(origin, index)| Indicator::bare(address(index), origin))
        .collect();
    indicators.push(full);
    let url = Value::parse(Kind::Url, "HTTP://Example.COM:80/A").unwrap();
    indicators.push(Indicator::bare(url, Origin::Line(1)));
    let copy = LastCopy {
        at: at(0),
        indicators,
    };
    store.keep_copy("partners", &copy).await.unwrap();
    let kept = second.last_copy("partners").await.unwrap().unwrap();
    assert_eq!((kept.at, &kept.indicators), (copy.at, &copy.indicators));
    let Value::Url(url) = &kept.indicators.last().unwrap().value else {
        panic!("the last one is a URL");
    };
    assert_eq!(url.original(), "HTTP://Example.COM:80/A");

    // A smaller copy replaces the larger one whole; an empty one is a copy too.
    for indicators in [copy.indicators[2..3].to_vec(), Vec::new()] {
        let next = LastCopy {
            at: at(60),
            indicators,
        };
        second.keep_copy("partners", &next).await.unwrap();
        let kept = store.last_copy("partners").await.unwrap().unwrap();
        assert_eq!((kept.at, kept.indicators), (next.at, next.indicators));
    }
    assert!(store.last_copy("other").await.unwrap().is_none());
}

async fn first_seen(store: &dyn Store, second: &dyn Store) {
    let values: Vec<Value> = (0..1_203).map(address).collect();
    let times = store
        .first_seen("feed", &values[..700], at(0))
        .await
        .unwrap();
    assert_eq!(times, vec![at(0); 700]);
    let mut mixed = values.clone();
    mixed.reverse();
    mixed.push(address(0));
    mixed.push(address(5_000));
    mixed.push(address(5_000));
    let times = second.first_seen("feed", &mixed, at(60)).await.unwrap();
    let expected: Vec<DateTime<Utc>> = (0..1_203)
        .rev()
        .map(|index| if index < 700 { at(0) } else { at(60) })
        .chain([at(0), at(60), at(60)])
        .collect();
    assert_eq!(times, expected);
    let other = store
        .first_seen("another", &values[..1], at(90))
        .await
        .unwrap();
    assert_eq!(other, [at(90)], "each collection sees for itself");
    assert!(
        store
            .first_seen("feed", &[], at(0))
            .await
            .unwrap()
            .is_empty()
    );
    // What was seen does not make a copy.
    assert!(store.last_copy("feed").await.unwrap().is_none());
}

async fn runs(store: &dyn Store) {
    for record in [
        run("a", TARGET, "acme", 10),
        run("b", TARGET, "acme", 30),
        run("c", TARGET, "beta", 20),
        run("d", OTHER, "acme", 30),
    ] {
        store.record_run(&record).await.unwrap();
    }
    let ids = |runs: Vec<RunRecord>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(
        ids(store.runs("", None, 10).await.unwrap()),
        ["d", "b", "c", "a"]
    );
    assert_eq!(ids(store.runs("", None, 2).await.unwrap()), ["d", "b"]);
    assert_eq!(
        ids(store.runs(TARGET, None, 10).await.unwrap()),
        ["b", "c", "a"]
    );
    let acme = owner("acme");
    let found = store.runs(TARGET, Some(&acme), 10).await.unwrap();
    assert_eq!(
        found,
        [run("b", TARGET, "acme", 30), run("a", TARGET, "acme", 10)]
    );
    // The same run on the same target again is the same record.
    let again = RunRecord {
        status: "partial".to_owned(),
        ..run("b", TARGET, "acme", 31)
    };
    store.record_run(&again).await.unwrap();
    let found = store.runs(TARGET, Some(&acme), 1).await.unwrap();
    assert_eq!(found, [again]);
    assert_eq!(store.runs("", None, 10).await.unwrap().len(), 4);
}

async fn held_sets(store: &dyn Store, second: &dyn Store) {
    assert_eq!(store.hold(&held("h1", "d1", 0)).await.unwrap(), "h1");
    // The same set again keeps its id, its time and later its approval.
    assert_eq!(store.hold(&held("h2", "d1", 60)).await.unwrap(), "h1");
    assert_eq!(second.held().await.unwrap(), [held("h1", "d1", 0)]);
    let approved = second.approve("h1", "bob", at(90)).await.unwrap();
    assert_eq!(approved.approved, Some((at(90), "bob".to_owned())));
    assert_eq!(store.hold(&held("h3", "d1", 120)).await.unwrap(), "h1");
    assert_eq!(store.held().await.unwrap(), std::slice::from_ref(&approved));
    // Another set takes its place, unapproved.
    assert_eq!(store.hold(&held("h4", "d2", 180)).await.unwrap(), "h4");
    assert_eq!(store.held().await.unwrap(), [held("h4", "d2", 180)]);
    let other = HeldSet {
        target: OTHER.to_owned(),
        changes: Vec::new(),
        ..held("h5", "d2", 240)
    };
    assert_eq!(store.hold(&other).await.unwrap(), "h5");
    let ids: Vec<String> = store
        .held()
        .await
        .unwrap()
        .into_iter()
        .map(|set| set.id)
        .collect();
    assert_eq!(ids, ["h5", "h4"], "newest first");
    let missing = store.approve("h1", "bob", at(300)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    store.release("h4").await.unwrap();
    store.release("h4").await.unwrap();
    assert_eq!(second.held().await.unwrap(), [other]);
}

async fn leases(store: &dyn Store, second: &dyn Store) {
    let minute = TimeDelta::minutes(1);
    assert!(
        store
            .lease(TARGET, "one", at(0), at(0) + minute)
            .await
            .unwrap()
    );
    assert!(
        !second
            .lease(TARGET, "two", at(1), at(1) + minute)
            .await
            .unwrap()
    );
    assert!(
        second
            .lease(OTHER, "two", at(1), at(1) + minute)
            .await
            .unwrap()
    );
    // The holder renews; another's giving back does nothing.
    assert!(
        store
            .lease(TARGET, "one", at(30), at(30) + minute)
            .await
            .unwrap()
    );
    second.unlease(TARGET, "two").await.unwrap();
    assert!(!second.lease(TARGET, "two", at(89), at(200)).await.unwrap());
    // A lease that ended is free, to the millisecond.
    assert!(second.lease(TARGET, "two", at(90), at(200)).await.unwrap());
    assert!(!store.lease(TARGET, "one", at(91), at(200)).await.unwrap());
    second.unlease(TARGET, "two").await.unwrap();
    assert!(store.lease(TARGET, "one", at(92), at(200)).await.unwrap());
}

async fn versions(store: &dyn Store, second: &dyn Store) {
    let ids = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    assert_eq!(store.versions("acme", &ids).await.unwrap(), [None; 3]);
    let first = [(ids[0].clone(), at(5)), (ids[2].clone(), at(7))];
    store.keep_versions("acme", &first).await.unwrap();
    // An older one changes nothing, a newer one does.
    let second_time = [(ids[0].clone(), at(4)), (ids[2].clone(), at(9))];
    store.keep_versions("acme", &second_time).await.unwrap();
    assert_eq!(
        second.versions("acme", &ids).await.unwrap(),
        [Some(at(5)), None, Some(at(9))]
    );
    assert_eq!(second.versions("other", &ids).await.unwrap(), [None; 3]);
    let many: Vec<String> = (0..5_000).map(|number| number.to_string()).collect();
    let kept: Vec<_> = many.iter().map(|id| (id.clone(), at(1))).collect();
    store.keep_versions("many", &kept).await.unwrap();
    let read = second.versions("many", &many).await.unwrap();
    assert!(read.len() == 5_000 && read.iter().all(|version| *version == Some(at(1))));
}

async fn settings(store: &dyn Store, second: &dyn Store) {
    store
        .set("pause/falcon", Some("maintenance"))
        .await
        .unwrap();
    store.set("pause/edge%", Some("")).await.unwrap();
    store.set("pausf", Some("no")).await.unwrap();
    assert_eq!(
        second.get("pause/falcon").await.unwrap().as_deref(),
        Some("maintenance")
    );
    assert_eq!(second.get("pause/").await.unwrap(), None);
    let paused: Vec<(String, String)> = second.list("pause/").await.unwrap().into_iter().collect();
    assert_eq!(
        paused,
        [
            ("pause/edge%".to_owned(), String::new()),
            ("pause/falcon".to_owned(), "maintenance".to_owned())
        ]
    );
    assert_eq!(second.list("pause/edge%").await.unwrap().len(), 1);
    second.set("pause/falcon", Some("longer")).await.unwrap();
    assert_eq!(
        store.get("pause/falcon").await.unwrap().as_deref(),
        Some("longer")
    );
    second.set("pause/falcon", None).await.unwrap();
    second.set("pause/falcon", None).await.unwrap();
    assert_eq!(store.get("pause/falcon").await.unwrap(), None);
}
