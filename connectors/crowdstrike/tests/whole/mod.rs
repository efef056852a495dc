//! A whole run against the fake: what it costs.

use sdk::connector::Environment;
use sdk::fake::Call;
use sdk::indicator::Kind;
use sdk::report::{Report, Status, Verified};
use sdk::sync::{Context, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::testing::builders::{deployment, indicator, reading, value};

use crate::raw::{ENTITIES, Lab, lab};

const HASHES: usize = 10_000;
const PAGE: usize = 2_000;
const BATCH: usize = 200;

async fn run(lab: &Lab) -> (Report, Vec<Call>) {
    let environment = Environment::new(lab.clock.clone());
    let targets =
        (crowdstrike::connector().targets)(lab.fake.configuration.clone(), &environment).unwrap();
    let group = TargetGroup {
        name: "falcon".to_owned(),
        members: targets
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect(),
    };
    let deployment = deployment("whole", 1, 0);
    let indicators = (0..HASHES)
        .map(|number| {
            let mut made = indicator(&value(Kind::Sha256, number)).build();
            made.validity.from = None;
            made
        })
        .collect();
    let readings = Readings {
        include: vec![Read {
            remembered: true,
            name: "hashes".to_owned(),
            result: Ok(reading("hashes", indicators)),
        }],
        exclude: Vec::new(),
        protect: Vec::new(),
    };
    let context = Context::new(environment);
    let before = lab.fake.server.log.all().len();
    let report = sync_readings(&deployment, readings, &group, &context).await;
    let calls = lab.fake.server.log.all().split_off(before);
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(report.verified, Verified::Yes);
    (report, calls)
}

/// One token, the pages and one more to list, a call per batch, the pages and one more to read back; the
/// second run writes nothing.
#[tokio::test]
async fn ten_thousand_hashes_cost_no_call_too_many() {
    let lab = lab(&[]).await;
    let counts = |calls: &[Call]| {
        let count =
            |wanted: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
        (
            count(&|call| call.path == "/oauth2/token"),
            count(&|call| call.method == "GET"),
            count(&|call| call.method == "POST" && call.path == ENTITIES),
            calls.len(),
        )
    };
    let pages = HASHES / PAGE;
    let batches = HASHES / BATCH;
    let (report, calls) = run(&lab).await;
    assert_eq!(report.added, HASHES);
    // An empty customer is one page that says so.
    let reads = 1 + (pages + 1);
    assert_eq!(counts(&calls), (1, reads, batches, 1 + reads + batches));

    let (report, calls) = run(&lab).await;
    assert_eq!((report.added, report.requests.write), (0, 0));
    let reads = pages + 1;
    assert_eq!(counts(&calls), (1, reads, 0, 1 + reads));
}
