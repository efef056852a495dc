//! What whole runs cost: calls for a thousand additions, a thousand removals, and for nothing to do.

use sdk::connector::Environment;
use sdk::indicator::Kind;
use sdk::report::{Report, Status, Verified};
use sdk::sync::{Context, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::testing::builders::{deployment, indicator, reading, value};
use serde_json::json;

use super::{Lab, lab_with};

async fn run(lab: &Lab, mechanism: &str, count: usize) -> (Report, usize) {
    let targets = lab.targets(json!({ "mechanism": mechanism }));
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
    let indicators = (0..count)
        .map(|number| indicator(&value(Kind::Ipv4, number)).build())
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
    let before = lab.fake.server.log.count(|call| call.path == "/api/");
    let mut task = deployment("whole", 1, 0);
    task.guard = sdk::sync::GuardSettings {
        removals_share: 1.0,
        ..sdk::sync::GuardSettings::default()
    };
    let context = Context::new(Environment::new(lab.clock.clone()));
    let report = sync_readings(&task, readings, &group, &context).await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(report.verified, Verified::Yes);
    (
        report,
        lab.fake.server.log.count(|call| call.path == "/api/") - before,
    )
}

/// Additions, nothing to do, removals.
async fn costs(mechanism: &str) -> [usize; 3] {
    costs_in(
        lab_with(&[], |options| options.set("others", 0)).await,
        mechanism,
    )
    .await
}

async fn costs_in(lab: Lab, mechanism: &str) -> [usize; 3] {
    let (report, adding) = run(&lab, mechanism, 1_000).await;
    assert_eq!(report.added, 1_000);
    let (report, nothing) = run(&lab, mechanism, 1_000).await;
    assert_eq!((report.unchanged, report.requests.write), (1_000, 0));
    let (report, removing) = run(&lab, mechanism, 0).await;
    assert_eq!(report.removed.withdrawn, 1_000);
    [adding, nothing, removing]
}

/// The system's information; an empty page; two messages; three pages to read back, each after the first with the last
/// row of the one before. Then the same without writing, and the other way round.
#[tokio::test]
async fn a_thousand_tags() {
    assert_eq!(costs("tags").await, [1 + 1 + 2 + 3, 1 + 3, 1 + 3 + 2 + 1]);
}

/// The system's information; the jobs there are, one refresh and its job asked for twice. Reading costs no call.
#[tokio::test]
async fn a_thousand_lines() {
    assert_eq!(costs("edl").await, [1 + 4, 1, 1 + 4]);
}

/// The system's information; what is pending, locks, objects and groups; lock, two changes, commit, its job asked for
/// twice, unlock; the four again to read back.
#[tokio::test]
async fn a_thousand_objects() {
    assert_eq!(
        costs("objects").await,
        [1 + 4 + 7 + 4, 1 + 4, 1 + 4 + 7 + 4]
    );
}

/// The same, with the jobs of Panorama before anything is pushed, and the last push looked at where there was one; then
/// the push, its job asked for three times.
#[tokio::test]
async fn a_thousand_objects_in_a_device_group() {
    let lab = lab_with(&[], |options| {
        options
            .set("panorama", vec!["012801000001", "012801000002"])
            .set("device_group", "Edge EU")
    })
    .await;
    assert_eq!(
        costs_in(lab, "objects").await,
        [1 + 4 + 7 + 4 + 4, 1 + 4 + 2, 1 + 4 + 2 + 7 + 4 + 4]
    );
}
