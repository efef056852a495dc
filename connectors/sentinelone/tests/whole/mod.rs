//! Whole runs against the fake: what they cost, and what a person is told.

use chrono::TimeDelta;
use sdk::connector::Environment;
use sdk::fake::Call;
use sdk::indicator::{Indicator, Kind, Value};
use sdk::report::{Report, Status, Verified};
use sdk::sync::{Context, GuardSettings, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::testing::builders::{deployment, indicator, reading, value};
use serde_json::json;

use crate::raw::{IOCS, Lab, RESTRICTIONS, lab, lab_with, sha1};

const COUNT: usize = 1_000;
const SYSTEMS: usize = 3;

async fn run(lab: &Lab, mechanism: &str, values: &[Value]) -> (Report, Vec<Call>) {
    let made = |value: &Value| {
        let mut made = indicator(value).build();
        made.validity.from = None;
        made
    };
    let indicators: Vec<Indicator> = values.iter().map(made).collect();
    let members = lab.targets(mechanism, json!({})).into_iter();
    let group = TargetGroup {
        name: "s1".to_owned(),
        members: members
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect(),
    };
    let mut deployment = deployment("whole", 1, 0);
    deployment.guard = GuardSettings {
        removals_floor: usize::MAX,
        ..GuardSettings::default()
    };
    let readings = Readings {
        include: vec![Read {
            remembered: true,
            name: "values".to_owned(),
            result: Ok(reading("values", indicators)),
        }],
        exclude: Vec::new(),
        protect: Vec::new(),
    };
    let context = Context::new(Environment::new(lab.clock.clone()));
    let before = lab.fake.server.log.all().len();
    let report = sync_readings(&deployment, readings, &group, &context).await;
    let calls = lab.fake.server.log.all().split_off(before);
    (report, calls)
}

/// Status, reads, writes by method.
fn counts(calls: &[Call], path: &str) -> [usize; 5] {
    let count = |method: &str| {
        calls
            .iter()
            .filter(|call| call.method == method && call.path == path)
            .count()
    };
    let status = calls
        .iter()
        .filter(|call| call.path.ends_with("/system/status"))
        .count();
    let all = [
        status,
        count("GET"),
        count("POST"),
        count("PUT"),
        count("DELETE"),
    ];
    assert_eq!(all.iter().sum::<usize>(), calls.len(), "no other calls");
    all
}

/// 1,000 hashes on three systems: a call per entry, because the vendor takes one at a time; 3,000 entries
/// are three pages.
#[tokio::test]
async fn the_blocklist_costs_a_call_per_entry_and_its_pages() {
    let lab = lab(&[]).await;
    let values: Vec<Value> = (0..COUNT)
        .map(|number| value(Kind::Sha256, number))
        .collect();
    let pages = COUNT * SYSTEMS / 1_000;
    let (report, calls) = run(&lab, "blocklist", &values).await;
    assert_eq!(
        (report.status, report.verified, report.added),
        (Status::Ok, Verified::Yes, COUNT)
    );
    assert_eq!(report.effect.prevent, COUNT);
    assert_eq!(
        counts(&calls, RESTRICTIONS),
        [1, 1 + pages, COUNT * SYSTEMS, 0, 0]
    );
    let (report, calls) = run(&lab, "blocklist", &values).await;
    assert_eq!((report.unchanged, report.requests.write), (COUNT, 0));
    assert_eq!(counts(&calls, RESTRICTIONS), [1, pages, 0, 0, 0]);
    let (report, calls) = run(&lab, "blocklist", &[]).await;
    assert_eq!(
        (report.status, report.removed.withdrawn),
        (Status::Ok, COUNT)
    );
    assert_eq!(counts(&calls, RESTRICTIONS), [1, pages + 1, 0, 0, 1]);
}

/// 1,000 indicators: two calls of 500, one page to list and one to read back, one call to remove.
#[tokio::test]
async fn indicators_cost_a_call_per_five_hundred() {
    let lab = lab(&[]).await;
    let values: Vec<Value> = (0..COUNT)
        .map(|number| value(Kind::Domain, number))
        .collect();
    let (report, calls) = run(&lab, "ioc", &values).await;
    assert_eq!(
        (report.status, report.verified, report.added),
        (Status::Ok, Verified::Yes, COUNT)
    );
    assert_eq!(report.effect.detect, COUNT);
    assert_eq!(counts(&calls, IOCS), [1, 2, 2, 0, 0]);
    let (report, calls) = run(&lab, "ioc", &values).await;
    assert_eq!((report.unchanged, report.requests.write), (COUNT, 0));
    assert_eq!(counts(&calls, IOCS), [1, 1, 0, 0, 0]);
    // Item 12: renewed in the last third of 180 days, once.
    lab.days_pass(140);
    let (report, calls) = run(&lab, "ioc", &values).await;
    assert_eq!((report.status, report.renewed), (Status::Ok, COUNT));
    assert_eq!(counts(&calls, IOCS), [1, 2, 2, 0, 0]);
    let (report, calls) = run(&lab, "ioc", &[]).await;
    assert_eq!(
        (report.status, report.removed.withdrawn),
        (Status::Ok, COUNT)
    );
    assert_eq!(counts(&calls, IOCS), [1, 2, 0, 0, 1]);
}

/// Item 38: what is stored is not active yet, and the report says that it detects, not that it blocks.
#[tokio::test]
async fn nothing_claims_that_an_indicator_acts_at_once() {
    let lab = lab(&[]).await;
    let one = Value::parse(Kind::Ipv4, "9.9.9.9").unwrap();
    let (report, _) = run(&lab, "ioc", &[one]).await;
    assert_eq!((report.effect.prevent, report.effect.detect), (0, 1));
    let matches = async || {
        let reply = lab
            .get("/web/api/v2.1/fake/match?type=IPV4&value=9.9.9.9")
            .await;
        reply.json()["data"]["matches"] == true
    };
    assert!(!matches().await);
    lab.clock.advance(TimeDelta::minutes(30));
    assert!(matches().await);
}

/// Items 7, 16, 27 and 33: what the console refuses is told per entry, and the others land.
#[tokio::test]
async fn bad_entries_are_named_and_the_others_land() {
    let lab = lab_with(&[], |options| {
        options.set("not_allowed", json!([sha1("aa").to_string()]))
    })
    .await;
    let theirs = value(Kind::Sha1, 7);
    assert!(lab.fake.state.add_foreign("blocklist", &theirs));
    let mut values: Vec<Value> = (0..10).map(|number| value(Kind::Sha1, number)).collect();
    values.push(sha1("aa"));
    values.push(value(Kind::Md5, 1));
    let (report, _) = run(&lab, "blocklist", &values).await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 9, 1)
    );
    assert_eq!((report.skipped.foreign, report.skipped.unsupported), (1, 1));
    let detail = |value: &Value| {
        let found = report
            .details
            .iter()
            .find(|detail| detail.value == value.to_string());
        (
            found.unwrap().reason.clone(),
            found.unwrap().message.clone(),
        )
    };
    assert_eq!(
        detail(&sha1("aa")),
        (
            "rejected".to_owned(),
            "add: the vendor refused it: on windows, macos, linux: Bad Request: Not allowed: this hash \
             cannot be blocked. [4000040]"
                .to_owned()
        )
    );
    assert_eq!(detail(&theirs).0, "foreign");
    assert_eq!(
        detail(&value(Kind::Md5, 1)).1,
        "blocklist does not take md5"
    );

    // A batch that the console refuses whole is cut up until the bad rows stand alone.
    let lab = self::lab(&[("batch-limit", "100")]).await;
    let many: Vec<Value> = (0..300).map(|number| value(Kind::Domain, number)).collect();
    let (report, _) = run(&lab, "ioc", &many).await;
    assert_eq!((report.status, report.added), (Status::Ok, 300));
}

/// What stops a run is named with what to do.
#[tokio::test]
async fn what_stops_a_run_is_named() {
    let values: Vec<Value> = (0..5).map(|number| value(Kind::Sha1, number)).collect();
    let told = async |lab: Lab, mechanism: &str| {
        lab.days_pass(2);
        let (report, _) = run(&lab, mechanism, &values).await;
        (
            report.status,
            report.error.unwrap_or_default(),
            report.hint.unwrap_or_default(),
        )
    };
    let ended = lab_with(&[], |options| options.set("token_days", 1)).await;
    let (status, error, hint) = told(ended, "ioc").await;
    assert!(
        status == Status::Failed && error.contains("4010010"),
        "{error}"
    );
    assert!(hint.contains("make a new one"));
    let reader = lab_with(&[], |options| options.set("role", "it")).await;
    let (status, error, hint) = told(reader, "blocklist").await;
    assert!(status != Status::Ok && error.contains("4030010"), "{error}");
    assert!(hint.contains("Blacklist.create"), "{hint}");
    let full = lab_with(&[], |options| options.set("others", 999_998)).await;
    let (report, _) = run(&full, "ioc", &values).await;
    assert_eq!(report.skipped.capacity, 5, "{report:?}");
}
