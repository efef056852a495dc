//! Whole runs against the fake: what they cost in calls.

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::fake::Call;
use sdk::indicator::Kind;
use sdk::report::{Report, Status, Verified};
use sdk::store::{MemoryStore, Store};
use sdk::sync::{Context, Member, Read, Readings, TargetGroup, sync_readings};
use sdk::testing::builders::{deployment, indicator, reading, value};
use serde_json::json;

use super::raw::{Lab, lab};

const ENTRIES: usize = 1_000;

/// One run by a new process, which wants so many hashes.
pub(super) async fn sync(
    lab: &Lab,
    mechanism: &str,
    entries: usize,
    store: &Arc<dyn Store>,
) -> Report {
    let environment = Environment::new(lab.clock.clone());
    let mut configuration = lab.fake.configuration.clone();
    configuration["mechanism"] = json!(mechanism);
    let targets = (paloalto::connector().targets)(configuration, &environment).unwrap();
    let group = TargetGroup {
        name: "xdr".to_owned(),
        members: targets
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect(),
    };
    let mut deployment = deployment("whole", 1, 0);
    deployment.guard.removals_floor = usize::MAX;
    let indicators = (0..entries)
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
    let mut context = Context::new(environment);
    context.store = Some(Arc::clone(store));
    sync_readings(&deployment, readings, &group, &context).await
}

/// The same, and the calls it made: to open, to list, to add, to remove.
async fn run(
    lab: &Lab,
    mechanism: &str,
    entries: usize,
    store: &Arc<dyn Store>,
) -> (Report, [usize; 4]) {
    let before = lab.fake.server.log.all().len();
    let report = sync(lab, mechanism, entries, store).await;
    let calls = lab.fake.server.log.all().split_off(before);
    assert_eq!(report.status, Status::Ok, "{report:?}");
    let count = |wanted: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| wanted(call)).count();
    let counted = [
        count(&|call| call.method == "GET"),
        count(&|call| call.path.ends_with("/get")),
        count(&|call| call.path.ends_with("/blocklist/") || call.path.ends_with("/insert_jsons/")),
        count(&|call| call.path.ends_with("/remove/") || call.path.ends_with("/delete")),
    ];
    assert_eq!(counted.iter().sum::<usize>(), calls.len());
    (report, counted)
}

pub(super) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

/// One hash to see whether the tenant names rows, the rest of that hundred, then a hundred a call; nothing to read.
#[tokio::test]
async fn a_thousand_hashes_on_the_block_list() {
    let (lab, store) = (lab(&[]).await, memory());
    let (report, calls) = run(&lab, "xdr-blocklist", ENTRIES, &store).await;
    assert_eq!((report.added, calls), (ENTRIES, [1, 0, 11, 0]));
    assert_eq!(report.verified, Verified::NotChecked);
    let (report, calls) = run(&lab, "xdr-blocklist", ENTRIES, &store).await;
    assert_eq!((report.requests.write, calls), (0, [1, 0, 0, 0]));
    let (report, calls) = run(&lab, "xdr-blocklist", 0, &store).await;
    assert_eq!((report.removed.withdrawn, calls), (ENTRIES, [1, 0, 0, 10]));
    assert!(lab.stopped().is_empty());
}

/// A tenant that does not name rows costs a call a hash: nothing else would tell ours from somebody else's.
#[tokio::test]
async fn a_thousand_hashes_one_by_one() {
    let lab = lab(&[("xdr_detailed_response", "ignored")]).await;
    let store = memory();
    let (report, calls) = run(&lab, "xdr-blocklist", ENTRIES, &store).await;
    assert_eq!((report.added, calls), (ENTRIES, [1, 0, ENTRIES, 0]));
    let (report, calls) = run(&lab, "xdr-blocklist", 0, &store).await;
    assert_eq!((report.removed.withdrawn, calls), (ENTRIES, [1, 0, 0, 10]));
}

/// A page more than the list has shows its end; the API removes one value a call.
#[tokio::test]
async fn a_thousand_iocs() {
    let (lab, store) = (lab(&[]).await, memory());
    let pages = ENTRIES.div_ceil(100);
    let (report, calls) = run(&lab, "xdr-ioc", ENTRIES, &store).await;
    assert_eq!((report.added, calls), (ENTRIES, [1, 1 + pages, 1, 0]));
    assert_eq!(report.verified, Verified::Yes);
    let (report, calls) = run(&lab, "xdr-ioc", ENTRIES, &store).await;
    assert_eq!(
        (report.requests.write, calls),
        (0, [1, pages + 1 + 1, 0, 0])
    );
    let (report, calls) = run(&lab, "xdr-ioc", 0, &store).await;
    assert_eq!(report.removed.withdrawn, ENTRIES);
    assert_eq!(calls, [1, pages + 1 + 1 + pages, 0, ENTRIES]);
    assert!(lab.watched().is_empty());
}
