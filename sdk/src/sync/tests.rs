//! The loop where it hurts: several runs in a row, failed sources, several devices, people in between.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::*;
use crate::clock::Clock;
use crate::collection::Reading;
use crate::fake::FakeState;
use crate::indicator::{Indicator, Kind, Value};
use crate::report::Status;
use crate::store::{MemoryStore, Store};
use crate::target::{
    Batch, Capabilities, CapacityPool, Facts, Finding, Held, Outcome, Rejection, Scope, TargetKey,
};
use crate::testing::builders::{deployment, indicator, reading, start, value};
use crate::testing::{Flavour, MemoryVendor};

mod kept;

/// Vendors, a store and a clock.
struct Stage {
    clock: Clock,
    vendors: Vec<MemoryVendor>,
    kinds: Vec<Kind>,
    context: Context,
}

impl Stage {
    fn new(flavours: Vec<Flavour>) -> Self {
        let clock = Clock::manual(start());
        let vendors = flavours
            .into_iter()
            .map(|flavour| MemoryVendor::new(flavour, clock.clone()))
            .collect();
        let mut context = Context::new(Environment::new(clock.clone()));
        context.store = Some(Arc::new(MemoryStore::default()));
        Self {
            clock,
            vendors,
            kinds: Vec::new(),
            context,
        }
    }

    fn store(&self) -> &dyn Store {
        self.context.store.as_deref().unwrap()
    }

    fn group(&self, owner: &Owner) -> TargetGroup {
        let member = |vendor: &MemoryVendor| Member {
            target: Arc::new(vendor.target(owner)),
            kinds: self.kinds.clone(),
        };
        TargetGroup {
            name: "memory".to_owned(),
            members: self.vendors.iter().map(member).collect(),
        }
    }

    async fn sync(&self, deployment: &Deployment, readings: Readings) -> Report {
        let group = self.group(&deployment.owner);
        sync_readings(deployment, readings, &group, &self.context).await
    }

    async fn perform(&self, task: &Task) -> Report {
        let group = self.group(&task.owner);
        perform(task, &group, &self.context, self.clock.elapsed()).await
    }

    async fn push(&self, batch: super::Batch) -> Report {
        let group = self.group(&batch.owner);
        push(batch, &group, &self.context).await.unwrap()
    }

    fn enforced(&self, vendor: usize) -> Vec<Value> {
        let mut values: Vec<Value> = self.vendors[vendor]
            .enforced("memory")
            .into_iter()
            .map(|entry| entry.value)
            .collect();
        values.sort();
        values
    }
}

fn values(count: usize) -> Vec<Value> {
    (0..count).map(|number| value(Kind::Ipv4, number)).collect()
}

fn indicators(values: &[Value]) -> Vec<Indicator> {
    values
        .iter()
        .map(|value| indicator(value).build())
        .collect()
}

fn complete(name: &str, indicators: Vec<Indicator>) -> Read {
    reading(name, indicators).into()
}

fn broken(name: &str) -> Read {
    Read {
        name: name.to_owned(),
        result: Err(Error::protocol("the source ends early")),
        remembered: true,
    }
}

fn including(include: Vec<Read>) -> Readings {
    Readings {
        include,
        ..Readings::default()
    }
}

fn network(text: &str) -> Value {
    Value::parse(Kind::Ipv4, text).unwrap()
}

fn owner(name: &str) -> Owner {
    Owner::new(name).unwrap()
}

fn batch(name: &str, indicators: Vec<Indicator>, excludes: &[&Reading]) -> super::Batch {
    let mut batch = super::Batch::new(owner(name), reading("batch", indicators));
    batch.exclude = excludes.iter().map(|&reading| reading.clone()).collect();
    batch
}

#[tokio::test]
async fn a_failed_source_may_want_a_value_for_as_long_as_it_fails() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 2, 0);
    let shared = values(1);
    let both = including(vec![
        complete("a", indicators(&shared)),
        complete("b", indicators(&shared)),
    ]);
    stage.sync(&deployment, both).await;
    let failing = including(vec![complete("a", indicators(&shared)), broken("b")]);
    stage.sync(&deployment, failing).await;
    let revoked = vec![indicator(&shared[0]).revoked().build()];
    let report = stage
        .sync(
            &deployment,
            including(vec![complete("a", revoked), broken("b")]),
        )
        .await;
    assert_eq!(report.removed.total(), 0);
    assert_eq!(stage.enforced(0), shared, "b had it when it was last read");
}

#[tokio::test]
async fn an_exclude_wins_over_what_a_failed_source_may_want() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 2, 1);
    let shared = values(1);
    let both = including(vec![
        complete("a", indicators(&shared)),
        complete("b", indicators(&shared)),
    ]);
    stage.sync(&deployment, both).await;
    let revoked = vec![indicator(&shared[0]).revoked().build()];
    let readings = Readings {
        include: vec![complete("a", revoked), broken("b")],
        exclude: vec![complete("x", indicators(&shared))],
        protect: Vec::new(),
    };
    let report = stage.sync(&deployment, readings).await;
    assert_eq!(report.removed.excluded, 1, "{report:?}");
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn a_failed_exclude_does_not_take_down_what_it_left_of_a_network() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 1, 1);
    let wide = || vec![complete("a", indicators(&[network("45.83.0.0/24")]))];
    let half = indicators(&[network("45.83.0.0/25")]);
    let first = Readings {
        include: wide(),
        exclude: vec![complete("x", half)],
        protect: Vec::new(),
    };
    // Without a store there is no last copy to fall back on.
    let mut stage = stage;
    stage.context.store = None;
    stage.sync(&deployment, first).await;
    assert_eq!(stage.enforced(0), [network("45.83.0.128/25")]);
    let second = Readings {
        include: wide(),
        exclude: vec![broken("x")],
        protect: Vec::new(),
    };
    stage.sync(&deployment, second).await;
    assert_eq!(stage.enforced(0), [network("45.83.0.128/25")]);
}

#[tokio::test]
async fn nothing_loses_its_place_to_what_may_not_be_added() {
    let mut flavour = Flavour::mark();
    flavour.capabilities.capacity = Some(3);
    let mut stage = Stage::new(vec![flavour]);
    stage.context.store = None;
    let deployment = deployment("acme", 1, 1);
    let held = values(3);
    let first = Readings {
        include: vec![complete("a", indicators(&held))],
        exclude: vec![complete("x", Vec::new())],
        protect: Vec::new(),
    };
    stage.sync(&deployment, first).await;
    assert_eq!(stage.enforced(0), held);
    let mut better = indicators(&held);
    better.push(indicator(&value(Kind::Ipv4, 9)).confidence(100).build());
    let second = Readings {
        include: vec![complete("a", better)],
        exclude: vec![broken("x")],
        protect: Vec::new(),
    };
    stage.sync(&deployment, second).await;
    assert_eq!(stage.enforced(0), held, "nothing came in its place");
}

#[tokio::test]
async fn nothing_loses_its_place_to_what_the_guard_holds() {
    let mut flavour = Flavour::mark();
    flavour.capabilities.capacity = Some(6);
    let stage = Stage::new(vec![flavour]);
    let mut deployment = deployment("acme", 1, 0);
    deployment.guard.additions_floor = 2;
    deployment.guard.additions_factor = 0.5;
    let held = values(6);
    stage
        .sync(
            &deployment,
            including(vec![complete("a", indicators(&held))]),
        )
        .await;
    let mut better = indicators(&held);
    better.extend((10..15).map(|number| {
        indicator(&value(Kind::Ipv4, number))
            .confidence(100)
            .build()
    }));
    let report = stage
        .sync(&deployment, including(vec![complete("a", better)]))
        .await;
    assert_eq!(report.status, Status::Held);
    assert_eq!(stage.enforced(0), held, "nothing came in its place");
}

#[tokio::test]
async fn each_device_has_a_held_set_of_its_own() {
    let mut other = Flavour::mark();
    other.name = "another device";
    let stage = Stage::new(vec![Flavour::mark(), other]);
    let deployment = deployment("acme", 1, 0);
    let all = values(40);
    let few = || including(vec![complete("a", indicators(&all[..5]))]);
    stage
        .sync(
            &deployment,
            including(vec![complete("a", indicators(&all))]),
        )
        .await;
    let report = stage.sync(&deployment, few()).await;
    assert_eq!(report.status, Status::Held);
    let held = stage.store().held().await.unwrap();
    assert_eq!(held.len(), 2);
    assert_ne!(held[0].id, held[1].id, "an id names one set");
    for set in held {
        stage
            .store()
            .approve(&set.id, "ann", stage.clock.now())
            .await
            .unwrap();
    }
    stage.sync(&deployment, few()).await;
    assert_eq!(stage.enforced(0).len(), 5);
    assert_eq!(stage.enforced(1).len(), 5);
}

/// One device with 40 entries, of which all but 5 are held back.
async fn holding() -> (Stage, Deployment, Vec<Value>, String) {
    let stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 1, 0);
    let all = values(40);
    stage
        .sync(
            &deployment,
            including(vec![complete("a", indicators(&all))]),
        )
        .await;
    let report = stage
        .sync(
            &deployment,
            including(vec![complete("a", indicators(&all[..5]))]),
        )
        .await;
    let id = report.held.and_then(|held| held.id).unwrap();
    (stage, deployment, all, id)
}

#[tokio::test]
async fn another_action_of_the_owner_leaves_a_held_set_open() {
    let (stage, deployment, ..) = holding().await;
    stage
        .perform(&Task::new(deployment.owner.clone(), Purpose::Expired))
        .await;
    assert_eq!(stage.store().held().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_approval_counts_from_when_it_was_given() {
    let (stage, deployment, all, id) = holding().await;
    let few = || including(vec![complete("a", indicators(&all[..5]))]);
    for _ in 0..3 {
        stage.clock.advance(TimeDelta::hours(12));
        stage.sync(&deployment, few()).await;
    }
    stage
        .store()
        .approve(&id, "ann", stage.clock.now())
        .await
        .unwrap();
    let report = stage.sync(&deployment, few()).await;
    assert_eq!(report.status, Status::Ok);
    assert_eq!(stage.enforced(0).len(), 5);
}

#[tokio::test]
async fn a_paused_target_does_not_use_an_approval_up() {
    let (stage, deployment, all, id) = holding().await;
    let few = || including(vec![complete("a", indicators(&all[..5]))]);
    stage
        .store()
        .approve(&id, "ann", stage.clock.now())
        .await
        .unwrap();
    stage
        .store()
        .set("pause/memory", Some("a change window"))
        .await
        .unwrap();
    stage.sync(&deployment, few()).await;
    stage.store().set("pause/memory", None).await.unwrap();
    stage.sync(&deployment, few()).await;
    assert_eq!(stage.enforced(0).len(), 5);
}

#[tokio::test]
async fn an_analyst_may_unblock_a_dozen_of_many() {
    let mut stage = Stage::new(vec![Flavour::mark()]);
    stage.context.store = None;
    let all = values(60);
    stage.push(batch("manual", indicators(&all), &[])).await;
    let some: HashSet<Value> = all[..12].iter().cloned().collect();
    let report = stage
        .perform(&Task::new(owner("manual"), Purpose::Remove(some)))
        .await;
    assert_eq!(report.status, Status::Ok, "12 of 60 are no mass removal");
    assert_eq!(stage.enforced(0).len(), 48);
}

#[tokio::test]
async fn what_is_not_ours_is_not_unblocked_and_is_told() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let theirs = values(1).remove(0);
    assert!(stage.vendors[0].add_foreign("memory", &theirs));
    let report = stage
        .perform(&Task::new(
            owner("manual"),
            Purpose::Remove([theirs.clone()].into()),
        ))
        .await;
    assert_eq!(report.skipped.foreign, 1);
    assert_eq!(report.details[0].message, "it stays: the entry is not ours");
    assert_eq!(stage.enforced(0), [theirs]);
}

#[tokio::test]
async fn a_cut_network_is_unblocked_whole() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let wide = network("45.83.0.0/24");
    let exclude = reading("x", indicators(&[network("45.83.0.0/25")]));
    stage
        .push(batch(
            "manual",
            indicators(std::slice::from_ref(&wide)),
            &[&exclude],
        ))
        .await;
    assert_eq!(stage.enforced(0), [network("45.83.0.128/25")]);
    stage
        .perform(&Task::new(owner("manual"), Purpose::Remove([wide].into())))
        .await;
    assert_eq!(stage.enforced(0), []);
}

#[tokio::test]
async fn a_cut_network_is_revoked_whole() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let wide = network("45.83.0.0/24");
    let exclude = reading("x", indicators(&[network("45.83.0.0/25")]));
    stage
        .push(batch(
            "manual",
            indicators(std::slice::from_ref(&wide)),
            &[&exclude],
        ))
        .await;
    let revoked = vec![indicator(&wide).revoked().build()];
    stage.push(batch("manual", revoked, &[&exclude])).await;
    assert_eq!(stage.enforced(0), []);
}

fn version(mut indicator: Indicator, hours: i64) -> Indicator {
    indicator.modified = Some(start() + TimeDelta::hours(hours));
    indicator
}

#[tokio::test]
async fn an_old_revocation_is_stale() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let one = values(1);
    let active = version(indicator(&one[0]).build(), -1);
    stage.push(batch("manual", vec![active], &[])).await;
    let late = version(indicator(&one[0]).revoked().build(), -2);
    let report = stage.push(batch("manual", vec![late], &[])).await;
    assert_eq!((report.removed.total(), report.skipped.stale), (0, 1));
    assert_eq!(stage.enforced(0), one);
}

#[tokio::test]
async fn what_was_revoked_does_not_come_back_with_an_older_version() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let one = values(1);
    let active = version(indicator(&one[0]).build(), -3);
    let revoked = version(indicator(&one[0]).revoked().build(), -1);
    let late = version(indicator(&one[0]).build(), -2);
    for object in [active, revoked, late] {
        stage.push(batch("manual", vec![object], &[])).await;
    }
    assert_eq!(stage.enforced(0), []);
}

/// Where the vendor ends entries, what stands there after the end of ours was made by somebody else.
#[tokio::test]
async fn what_was_made_after_the_end_of_ours_is_not_ours() {
    for hours in [2, 3, 30] {
        made_after_the_end(hours).await;
    }
}

async fn made_after_the_end(hours: i64) {
    let stage = Stage::new(vec![Flavour::ledger_native()]);
    let one = values(1);
    let end = start() + TimeDelta::hours(2);
    let short = indicator(&one[0]).until(Some(end)).build();
    stage.push(batch("manual", vec![short], &[])).await;
    assert_eq!(stage.enforced(0), one);
    stage.clock.advance(TimeDelta::hours(hours));
    assert!(stage.enforced(0).is_empty());
    assert!(stage.vendors[0].add_foreign("memory", &one[0]));
    let revoked = indicator(&one[0]).revoked().build();
    stage.push(batch("manual", vec![revoked], &[])).await;
    assert_eq!(stage.enforced(0), one, "revoked");
    let deployment = deployment("manual", 1, 0);
    stage
        .sync(&deployment, including(vec![complete("c", Vec::new())]))
        .await;
    assert_eq!(stage.enforced(0), one, "withdrawn");
    let wanted = indicators(&one);
    let report = stage
        .sync(&deployment, including(vec![complete("c", wanted)]))
        .await;
    assert_eq!(report.skipped.foreign, 1, "{report:?}");
}

#[tokio::test]
async fn versions_are_compared_within_one_object() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let one = values(1);
    let first = version(indicator(&one[0]).id("first").build(), -1);
    let second = version(indicator(&one[0]).id("second").build(), -2);
    stage.push(batch("manual", vec![first], &[])).await;
    let report = stage.push(batch("manual", vec![second], &[])).await;
    assert_eq!(report.skipped.stale, 0);
    let gone = version(indicator(&one[0]).id("first").revoked().build(), 0);
    stage.push(batch("manual", vec![gone], &[])).await;
    assert_eq!(stage.enforced(0), one, "the second object wants it");
}

#[tokio::test]
async fn kinds_that_are_not_sent_any_more_are_taken_down() {
    let mut stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 1, 0);
    let both = [value(Kind::Ipv4, 1), value(Kind::Domain, 1)];
    let readings = || including(vec![complete("a", indicators(&both))]);
    stage.sync(&deployment, readings()).await;
    assert_eq!(stage.enforced(0).len(), 2);
    // mechanism = { domain = "memory" }
    stage.kinds = vec![Kind::Domain];
    stage.sync(&deployment, readings()).await;
    assert_eq!(stage.enforced(0), [both[1].clone()]);
}

/// Holds nothing yet; has room for names, and none for addresses.
struct TwoPools(Capabilities, TargetKey);

#[async_trait::async_trait]
impl Target for TwoPools {
    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    fn key(&self) -> &TargetKey {
        &self.1
    }

    async fn open(&self) -> Result<Facts> {
        // What others use of the pools is not seen, as with other VDOMs of a firewall.
        let pool = |kind| CapacityPool {
            kinds: vec![kind],
            limit: 100,
        };
        Ok(Facts {
            capacity: vec![pool(Kind::Ipv4), pool(Kind::Domain)],
            ..Facts::default()
        })
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        Ok(value.clone())
    }

    async fn list(&self, _: Scope<'_>) -> Result<Vec<Held>> {
        Ok(Vec::new())
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let Batch::Add(writes) = batch else {
            return Vec::new();
        };
        let outcome = |write: &crate::target::Write| match write.value.kind() {
            Kind::Ipv4 => Outcome::Failed(Error::new(crate::ErrorKind::Full, "no room")),
            _ => Outcome::Done,
        };
        writes.iter().map(outcome).collect()
    }
}

#[tokio::test]
async fn a_full_pool_does_not_keep_other_kinds_out() {
    let stage = Stage::new(Vec::new());
    let key = TargetKey {
        connector: "test",
        account: "pools".to_owned(),
        mechanism: "memory",
        device: String::new(),
    };
    let group = TargetGroup {
        name: "pools".to_owned(),
        members: vec![Member {
            target: Arc::new(TwoPools(Flavour::mark().capabilities, key)),
            kinds: Vec::new(),
        }],
    };
    let mut wanted: Vec<Indicator> = (0..10)
        .map(|number| indicator(&value(Kind::Ipv4, number)).confidence(90).build())
        .collect();
    wanted.extend((0..10).map(|number| {
        indicator(&value(Kind::Domain, number))
            .confidence(10)
            .build()
    }));
    let report = sync_readings(
        &deployment("acme", 1, 0),
        including(vec![complete("a", wanted)]),
        &group,
        &stage.context,
    )
    .await;
    assert_eq!((report.added, report.skipped.capacity), (10, 10));
}

#[tokio::test]
async fn an_extension_that_may_not_be_does_not_keep_what_has_ended() {
    let mut stage = Stage::new(vec![Flavour::mark()]);
    stage.context.store = None;
    let deployment = deployment("acme", 1, 1);
    let one = values(1);
    let readings = |hours, exclude| Readings {
        include: vec![complete(
            "a",
            vec![indicator(&one[0]).until_hours(hours).build()],
        )],
        exclude: vec![exclude],
        protect: Vec::new(),
    };
    stage
        .sync(&deployment, readings(2, complete("x", Vec::new())))
        .await;
    stage.clock.advance(TimeDelta::hours(3));
    stage.sync(&deployment, readings(9, broken("x"))).await;
    assert_eq!(stage.enforced(0), [], "its recorded end has passed");
}

#[tokio::test]
async fn a_renamed_owner_leaves_no_proof_behind() {
    let stage = Stage::new(vec![Flavour::ledger()]);
    let one = values(1);
    let old = deployment("old", 1, 0);
    stage
        .sync(&old, including(vec![complete("a", indicators(&one))]))
        .await;
    let mut new = deployment("new", 1, 0);
    new.formerly = vec![owner("old")];
    let nothing = || including(vec![complete("a", Vec::new())]);
    stage.sync(&new, nothing()).await;
    assert_eq!(stage.enforced(0), []);
    assert!(stage.vendors[0].add_foreign("memory", &one[0]));
    stage.sync(&new, nothing()).await;
    assert_eq!(
        stage.enforced(0),
        one,
        "a person made it after ours was gone"
    );
}

#[tokio::test]
async fn an_approval_survives_a_run_that_could_not_use_it() {
    let (stage, deployment, all, id) = holding().await;
    let few = || including(vec![complete("a", indicators(&all[..5]))]);
    stage
        .store()
        .approve(&id, "ann", stage.clock.now())
        .await
        .unwrap();
    // Logging in and listing work, nothing after that.
    stage.vendors[0].disturb(crate::testing::memory::Trouble::Break {
        after: 2,
        applied: false,
        lasting: true,
    });
    stage.sync(&deployment, few()).await;
    stage.vendors[0].calm();
    stage.sync(&deployment, few()).await;
    assert_eq!(stage.enforced(0).len(), 5);
}

#[tokio::test]
async fn a_name_is_not_blocked_over_an_excluded_url_on_it() {
    let stage = Stage::new(vec![Flavour::mark()]);
    let deployment = deployment("acme", 1, 1);
    let domain = |text: &str| Value::parse(Kind::Domain, text).unwrap();
    let url = Value::parse(Kind::Url, "https://shop.example.net/help").unwrap();
    let names = [domain("example.net"), domain("shop.example.net")];
    let readings = |excluded: &[Value]| Readings {
        include: vec![complete("list", indicators(&names))],
        exclude: vec![complete("partners", indicators(excluded))],
        ..Readings::default()
    };
    stage.sync(&deployment, readings(&[])).await;
    assert_eq!(stage.enforced(0).len(), 2);
    let report = stage.sync(&deployment, readings(&[url])).await;
    assert_eq!(stage.enforced(0), [domain("example.net")]);
    assert_eq!(report.skipped.conflict, 1, "{report:?}");
    assert_eq!(report.removed.excluded, 1);
}

#[tokio::test]
async fn what_an_interrupted_first_run_left_does_not_hold_the_rest() {
    for lasting in [true, false] {
        let stage = Stage::new(vec![Flavour::narrow()]);
        let deployment = deployment("acme", 1, 0);
        let all = values(1_500);
        let readings = || including(vec![complete("c2", indicators(&all))]);
        stage.vendors[0].disturb(crate::testing::memory::Trouble::Break {
            after: 20,
            applied: true,
            lasting,
        });
        let first = stage.sync(&deployment, readings()).await;
        assert_eq!(first.held, None, "{:?}", first.held);
        stage.vendors[0].calm();
        let second = stage.sync(&deployment, readings()).await;
        assert_eq!(second.status, Status::Ok, "{:?}", second.held);
        assert_eq!(stage.enforced(0).len(), 1_500);
    }
}

#[tokio::test]
async fn kinds_that_another_mechanism_takes_are_not_left_out() {
    let stage = Stage::new(vec![Flavour::mark(), Flavour::mark()]);
    let deployment = deployment("acme", 1, 0);
    let mut group = stage.group(&deployment.owner);
    group.members[0].kinds = vec![Kind::Ipv4];
    group.members[1].kinds = vec![Kind::Domain];
    let wanted = vec![
        value(Kind::Ipv4, 1),
        value(Kind::Domain, 1),
        value(Kind::Md5, 1),
    ];
    let readings = including(vec![complete("c2", indicators(&wanted))]);
    let report = sync_readings(&deployment, readings, &group, &stage.context).await;
    assert_eq!(report.added, 2);
    assert_eq!(report.skipped.unsupported, 2, "the hash, by both");
}
