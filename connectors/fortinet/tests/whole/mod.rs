//! Whole runs against the fake: what they cost in calls.

use std::sync::Arc;

use chrono::DateTime;
use sdk::Clock;
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::Kind;
use sdk::report::{Report, Status, Verified};
use sdk::store::{MemoryStore, Store};
use sdk::sync::{Context, GuardSettings, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::testing::builders::{deployment, indicator, reading, value};
use serde_json::{Value as Json, json};

const ADDRESSES: usize = 1_000;

// Calls for 1,000 additions, for a run that finds nothing to do, and for 1,000 removals; opening, listing and
// reading back included.
const PUSH_FEED: [usize; 3] = [19, 12, 18];
const FEED: [usize; 3] = [24, 12, 24];
const BAN: [usize; 3] = [5, 2, 4];
const ADDRESS_GROUP: [usize; 3] = [2013, 8, 2013];
const MANAGED: [usize; 3] = [29, 7, 27];

struct Lab {
    fake: Fake,
    configuration: Json,
    clock: Clock,
    store: Arc<dyn Store>,
}

async fn lab(mechanism: &str, settings: &[(&str, Json)]) -> Lab {
    let clock = Clock::manual(DateTime::from_timestamp(1_772_360_000, 0).unwrap());
    let mut options = FakeOptions::plain(clock.clone());
    for (name, setting) in settings {
        options = options.set(name, setting.clone());
    }
    let fake = fortinet::fake::start(options).await.unwrap();
    let mut configuration = fake.configuration.clone();
    configuration["mechanism"] = json!(mechanism);
    Lab {
        fake,
        configuration,
        clock,
        store: Arc::new(MemoryStore::default()),
    }
}

/// One run that wants so many addresses; the report, and the calls that the vendor got.
async fn run(lab: &Lab, wanted: usize) -> (Report, usize) {
    let environment = Environment::new(lab.clock.clone());
    let targets = (fortinet::connector().targets)(lab.configuration.clone(), &environment).unwrap();
    let group = TargetGroup {
        name: "edge".to_owned(),
        members: targets
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect(),
    };
    let mut deployment = deployment("whole", 1, 0);
    deployment.guard = GuardSettings {
        removals_floor: usize::MAX,
        revocations_floor: usize::MAX,
        additions_floor: usize::MAX,
        ..GuardSettings::default()
    };
    let indicators = (0..wanted)
        .map(|number| {
            let mut made = indicator(&value(Kind::Ipv4, number)).build();
            made.validity.from = None;
            made
        })
        .collect();
    let readings = Readings {
        include: vec![Read {
            remembered: true,
            name: "addresses".to_owned(),
            result: Ok(reading("addresses", indicators)),
        }],
        exclude: Vec::new(),
        protect: Vec::new(),
    };
    let mut context = Context::new(environment);
    context.store = Some(Arc::clone(&lab.store));
    lab.fake.server.log.clear();
    let report = sync_readings(&deployment, readings, &group, &context).await;
    let calls = lab.fake.server.log.count(|_| true);
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(report.verified, Verified::Yes, "{report:?}");
    (report, calls)
}

/// Calls for 1,000 additions, for a run that finds nothing to do, and for 1,000 removals.
async fn costs(mechanism: &str, settings: &[(&str, Json)]) -> [usize; 3] {
    let lab = lab(mechanism, settings).await;
    let (report, added) = run(&lab, ADDRESSES).await;
    assert_eq!(report.added, ADDRESSES);
    assert_eq!(lab.fake.state.enforced(mechanism).len(), ADDRESSES);
    let (report, nothing) = run(&lab, ADDRESSES).await;
    assert_eq!((report.changes.len(), report.requests.write), (0, 0));
    let (report, removed) = run(&lab, 0).await;
    assert_eq!(report.removed.withdrawn, ADDRESSES);
    assert!(lab.fake.state.enforced(mechanism).is_empty());
    println!("{mechanism} {settings:?}: {added} {nothing} {removed}");
    [added, nothing, removed]
}

const ALONE: [(&str, Json); 3] = [
    ("feeds", Json::Bool(false)),
    ("lists", Json::Bool(false)),
    ("device_bans", Json::Bool(false)),
];

fn with(settings: &[(&'static str, Json)]) -> Vec<(&'static str, Json)> {
    let mut all: Vec<(&str, Json)> = ALONE.to_vec();
    for (name, setting) in settings {
        all.retain(|(known, _)| known != name);
        all.push((name, setting.clone()));
    }
    all
}

#[tokio::test]
async fn push_feed_costs_a_call_for_thousands() {
    let settings = with(&[("feeds", json!(true))]);
    assert_eq!(costs("push-feed", &settings).await, PUSH_FEED);
}

#[tokio::test]
async fn feed_costs_one_pull() {
    let settings = with(&[("lists", json!(true))]);
    assert_eq!(costs("feed", &settings).await, FEED);
}

#[tokio::test]
async fn bans_cost_a_call_for_each_end() {
    assert_eq!(costs("ban", &with(&[])).await, BAN);
}

#[tokio::test]
async fn address_groups_cost_two_calls_for_each_address() {
    assert_eq!(costs("address-group", &with(&[])).await, ADDRESS_GROUP);
}

/// Two firewalls: the ADOM is edited once, and installed on both.
#[tokio::test]
async fn a_manager_takes_hundreds_in_a_call() {
    let settings = with(&[("manager", json!("password")), ("devices", json!(2))]);
    assert_eq!(costs("address-group", &settings).await, MANAGED);
}
