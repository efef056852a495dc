//! What a run enforces where other people store changes too.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::clock::Clock;
use crate::connector::Environment;
use crate::fake::FakeState;
use crate::indicator::{Kind, Value};
use crate::report::{Report, Status, Verified};
use crate::store::MemoryStore;
use crate::sync::{Context, Member, Readings, TargetGroup, sync_readings};
use crate::target::{Activate, Target};
use crate::testing::builders::{deployment, indicator, reading, start, value};
use crate::testing::{Flavour, MemoryVendor};

struct World {
    vendor: MemoryVendor,
    context: Context,
    clock: Clock,
}

impl World {
    fn new(flavour: Flavour, with_store: bool) -> Self {
        let clock = Clock::manual(start());
        let mut context = Context::new(Environment::new(clock.clone()));
        if with_store {
            context.store = Some(Arc::new(MemoryStore::default()));
        }
        Self {
            vendor: MemoryVendor::new(flavour, clock.clone()),
            context,
            clock,
        }
    }

    async fn sync(&self, values: &[Value]) -> Report {
        self.sync_without(values, &[]).await
    }

    async fn sync_without(&self, values: &[Value], excluded: &[Value]) -> Report {
        let deployment = deployment("acme", 1, 1);
        let group = TargetGroup {
            name: "memory".to_owned(),
            members: vec![Member {
                target: Arc::new(self.vendor.target(&deployment.owner)),
                kinds: Vec::new(),
            }],
        };
        let list = |name: &str, values: &[Value]| {
            let indicators = values.iter().map(|value| indicator(value).build());
            reading(name, indicators.collect()).into()
        };
        let readings = Readings {
            include: vec![list("list", values)],
            exclude: vec![list("partners", excluded)],
            ..Readings::default()
        };
        self.clock.advance(TimeDelta::seconds(60));
        sync_readings(&deployment, readings, &group, &self.context).await
    }

    fn enforced(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self
            .vendor
            .enforced("memory")
            .into_iter()
            .map(|entry| entry.value)
            .collect();
        values.sort();
        values
    }

    fn key(&self) -> String {
        let owner = deployment("acme", 1, 0).owner;
        self.vendor.target(&owner).key().to_string()
    }

    fn commits(&self) -> usize {
        let log = self.vendor.log();
        log.iter().filter(|name| **name == "commit").count()
    }

    #[expect(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]
    async fn recorded(&self) -> Vec<Value> {
        let store = self.context.store.as_deref().unwrap();
        let mut values: Vec<Value> = store
            .ledger(&self.key())
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.value)
            .collect();
        values.sort();
        values
    }
}

fn values(count: usize) -> Vec<Value> {
    let mut values: Vec<Value> = (0..count).map(|number| value(Kind::Ipv4, number)).collect();
    values.sort();
    values
}

#[tokio::test]
async fn always_tells_of_foreign_changes_and_enforces_them_too() {
    for with_store in [false, true] {
        let world = World::new(Flavour::staged(), with_store);
        let theirs = value(Kind::Domain, 900);
        world.vendor.store_foreign(&theirs);
        let report = world.sync(&values(2)).await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert!(world.enforced().contains(&theirs));
        assert_eq!(world.enforced().len(), 3);
        if with_store {
            assert!(
                report.warnings[0].contains("not ours") && report.warnings[0].contains("too"),
                "{:?}",
                report.warnings
            );
        }
    }
}

#[tokio::test]
async fn own_enforces_nothing_while_somebody_elses_changes_wait() {
    for with_store in [false, true] {
        let world = World::new(Flavour::staged(), with_store);
        world.vendor.activate(Activate::Own);
        world.vendor.store_foreign(&value(Kind::Domain, 900));
        for _ in 0..2 {
            let report = world.sync(&values(2)).await;
            assert_eq!(report.verified, Verified::Pending);
            assert_eq!(world.enforced(), []);
            assert_eq!(world.commits(), 0);
        }
        let report = world.sync(&values(3)).await;
        assert!(
            report
                .warnings
                .iter()
                .any(|warning| warning.contains("nothing is activated")),
            "{:?}",
            report.warnings
        );
        world.vendor.enforce();
        let report = world.sync(&values(3)).await;
        assert_eq!(report.verified, Verified::Yes);
        assert_eq!(world.enforced().len(), 4);
        assert_eq!(world.commits(), 0, "nothing was left to enforce");
    }
}

#[tokio::test]
async fn own_enforces_what_an_interrupted_run_of_ours_left() {
    let world = World::new(Flavour::staged(), true);
    world.vendor.activate(Activate::Own);
    let store = world.context.store.as_deref().unwrap();
    let owed = format!("owed/{}", world.key());
    store.set(&owed, Some("an earlier run")).await.unwrap();
    world.vendor.store_foreign(&value(Kind::Domain, 900));
    let report = world.sync(&values(2)).await;
    assert_eq!(report.verified, Verified::Yes);
    assert_eq!(world.enforced().len(), 3);
    assert_eq!(store.get(&owed).await.unwrap(), None);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("may not be ours") && warning.contains("too")),
        "somebody else's are among them: {:?}",
        report.warnings
    );
}

#[tokio::test]
async fn every_entry_that_is_stored_and_not_enforced_is_named() {
    let world = World::new(Flavour::staged(), true);
    let first = values(30);
    // open, list, pending and six additions, then the commit.
    world
        .vendor
        .disturb(crate::testing::memory::Trouble::Break {
            after: 9,
            applied: false,
            lasting: false,
        });
    let report = world.sync(&first).await;
    assert_eq!(report.verified, Verified::Pending, "{report:?}");
    let mut pending: Vec<String> = report
        .details
        .iter()
        .filter(|detail| detail.outcome == "pending" && detail.message.starts_with("add: "))
        .map(|detail| detail.value.clone())
        .collect();
    pending.sort();
    let mut expected: Vec<String> = first.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(pending, expected);
    let report = world.sync(&first).await;
    assert_eq!(report.details, [], "enforced meanwhile");
}

#[tokio::test]
async fn never_stores_and_leaves_the_rest_to_somebody() {
    let world = World::new(Flavour::staged(), true);
    world.vendor.activate(Activate::Never);
    let report = world.sync(&values(2)).await;
    assert_eq!(report.status, Status::Ok);
    assert_eq!(report.added, 2);
    assert_eq!(report.verified, Verified::Pending);
    assert!(
        report.warnings[0].contains("not activated"),
        "{:?}",
        report.warnings
    );
    assert_eq!(world.enforced(), []);
    let again = world.sync(&values(2)).await;
    assert_eq!(
        (again.added, again.unchanged, again.verified),
        (0, 2, Verified::Pending)
    );
    world.vendor.enforce();
    assert_eq!(world.sync(&values(2)).await.verified, Verified::Yes);
    assert_eq!(world.commits(), 0);
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_the_record_says_so() {
    for flavour in [Flavour::staged(), Flavour::staged_ledger()] {
        let world = World::new(flavour, true);
        let first = values(4);
        world.sync(&first).await;
        assert_eq!(world.enforced(), first);
        world.vendor.refuse_commit(true);
        let mut second = first[2..].to_vec();
        second.push(value(Kind::Ipv4, 40));
        second.sort();
        let report = world.sync(&second).await;
        assert_ne!(report.status, Status::Ok);
        assert_eq!(report.added, 0, "nothing of it is there");
        assert_eq!(report.removed.total(), 0);
        assert!(
            report
                .details
                .iter()
                .filter(|detail| detail.reason == "dropped")
                .count()
                == 3,
            "{:?}",
            report.details
        );
        assert_eq!(world.enforced(), first);
        assert_eq!(world.recorded().await, first, "still ours, still on record");
        world.vendor.refuse_commit(false);
        let report = world.sync(&second).await;
        assert_eq!(report.status, Status::Ok, "{report:?}");
        assert_eq!(world.enforced(), second);
        assert_eq!(world.recorded().await, second);
    }
}

#[tokio::test]
async fn what_may_still_come_is_named_and_enforced_by_the_next_run() {
    let world = World::new(Flavour::staged_ledger(), true);
    let first = values(3);
    world.sync(&first).await;
    let second = first[1..].to_vec();
    // open, list, pending, remove, then the commit.
    world
        .vendor
        .disturb(crate::testing::memory::Trouble::Break {
            after: 4,
            applied: false,
            lasting: false,
        });
    let report = world.sync(&second).await;
    assert_eq!(report.status, Status::Partial, "{report:?}");
    assert_eq!(report.verified, Verified::Pending);
    let error = report.devices[0].error.clone().unwrap_or_default();
    assert!(error.contains(&format!("-{}", first[0])), "{error}");
    assert_eq!(world.enforced(), first);
    assert_eq!(
        world.recorded().await,
        first,
        "what is only stored as removed stays on record"
    );
    let report = world.sync(&second).await;
    assert_eq!(report.status, Status::Ok, "{report:?}");
    assert_eq!(world.enforced(), second);
    assert_eq!(world.recorded().await, second);
}

#[tokio::test]
async fn whatever_enforces_half_a_run_nothing_excluded_stays_and_nothing_wanted_goes() {
    let first = values(6);
    let wanted: Vec<Value> = values(12);
    let excluded = &first[..2];
    let mut calls = 0;
    loop {
        let world = World::new(Flavour::staged_ledger(), true);
        world.sync(&first).await;
        // open, list and pending come first; then it dies at each write in turn, and the vendor enforces
        // what was stored.
        world
            .vendor
            .disturb(crate::testing::memory::Trouble::Break {
                after: 3 + calls,
                applied: true,
                lasting: true,
            });
        world.sync_without(&wanted[1..], excluded).await;
        world.vendor.calm();
        world.vendor.enforce();
        let enforced = world.enforced();
        assert!(
            !enforced.iter().any(|value| excluded.contains(value)),
            "excluded and enforced after {calls} writes: {enforced:?}"
        );
        assert!(
            first[2..].iter().all(|value| enforced.contains(value)),
            "wanted and gone after {calls} writes: {enforced:?}"
        );
        world.sync_without(&wanted[1..], excluded).await;
        assert_eq!(world.enforced(), wanted[2..]);
        assert_eq!(world.recorded().await, wanted[2..]);
        if world.commits() == 2 {
            break;
        }
        calls += 1;
        assert!(calls < 20, "the run never got through");
    }
}

#[tokio::test]
async fn a_run_that_stored_nothing_enforces_nothing_of_others() {
    for with_store in [false, true] {
        let world = World::new(Flavour::staged(), with_store);
        world.vendor.activate(Activate::Own);
        let all = values(2);
        for value in &all {
            world.vendor.refuse(value);
        }
        let report = world.sync(&all).await;
        assert_eq!(report.added, 0, "{report:?}");
        assert_eq!(world.commits(), 0);
        // What an administrator stores afterwards is his to enforce.
        world.vendor.store_foreign(&value(Kind::Domain, 900));
        world.sync(&all).await;
        assert_eq!(world.commits(), 0, "with a store: {with_store}");
        assert_eq!(world.enforced(), []);
    }
    let world = World::new(Flavour::staged(), true);
    let all = values(2);
    for value in &all {
        world.vendor.refuse(value);
    }
    world.vendor.store_foreign(&value(Kind::Domain, 900));
    world.sync(&all).await;
    assert_eq!(world.commits(), 0);
    assert_eq!(world.enforced(), []);
}

#[tokio::test]
async fn without_a_record_what_may_be_others_is_told_before_it_is_enforced() {
    let world = World::new(Flavour::staged(), false);
    world.sync(&values(2)).await;
    world.vendor.store_foreign(&value(Kind::Domain, 900));
    let report = world.sync(&values(2)).await;
    assert_eq!(world.commits(), 2);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("may not be ours")),
        "{:?}",
        report.warnings
    );
}
