//! The suite on the memory vendor in every flavour, and on vendors that lie.

use std::sync::Arc;

use super::builders::{deployment, indicator, reading, start, value};
use super::contract::{MemorySubject, SuiteOptions, Verdict, run_subject};
use super::memory::{Flavour, Lie, MemoryVendor};
use crate::Clock;
use crate::connector::Environment;
use crate::fake::FakeState;
use crate::indicator::{Indicator, Kind, Value};
use crate::report::{Report, Status};
use crate::sync::{Context, Member, Readings, TargetGroup, sync_readings};

async fn honest(flavour: Flavour) {
    let report = run_subject(&MemorySubject(flavour), &SuiteOptions::default()).await;
    report.assert_passed();
}

macro_rules! honest {
    ($($flavour:ident),*) => {
        $(#[tokio::test]
        async fn $flavour() {
            honest(Flavour::$flavour()).await;
        })*
    };
}

honest!(
    mark,
    native,
    disarming,
    ledger,
    ledger_looked_up,
    unseen,
    ledger_native,
    container,
    named_container,
    atomic,
    staged,
    staged_ledger,
    small,
    narrow
);

/// The scenarios that must fail where a flavour tells a lie.
async fn caught(flavour: Flavour, lie: Lie, by: &[&str]) {
    let subject = MemorySubject(flavour.lying(lie));
    let report = run_subject(&subject, &SuiteOptions::default()).await;
    for name in by {
        let line = report
            .lines
            .iter()
            .find(|line| line.scenario == *name)
            .unwrap();
        let caught = matches!(&line.verdict, Verdict::Failed(why) if !why.starts_with("panicked"));
        assert!(caught, "{lie:?} is not caught by {name}: {line}");
    }
}

#[tokio::test]
async fn entries_that_never_conform_are_caught() {
    caught(
        Flavour::mark(),
        Lie::NeverConforms,
        &["idempotence", "creation"],
    )
    .await;
}

#[tokio::test]
async fn dropped_marks_are_caught() {
    caught(
        Flavour::mark(),
        Lie::DropsNotes,
        &["creation", "withdrawal"],
    )
    .await;
}

#[tokio::test]
async fn a_native_end_that_does_nothing_is_caught() {
    caught(Flavour::native(), Lie::NeverExpires, &["expiry"]).await;
}

#[tokio::test]
async fn removing_foreign_entries_is_caught() {
    caught(
        Flavour::mark(),
        Lie::RemovesForeign,
        &["withdrawal", "revocation"],
    )
    .await;
}

#[tokio::test]
async fn removals_that_are_not_done_are_caught() {
    caught(
        Flavour::ledger(),
        Lie::KeepsRemoved,
        &["withdrawal", "exclusion"],
    )
    .await;
}

#[tokio::test]
async fn a_commit_that_enforces_nothing_is_caught() {
    caught(
        Flavour::staged(),
        Lie::CommitsNothing,
        &["creation", "commit_once"],
    )
    .await;
}

#[tokio::test]
async fn a_short_listing_is_caught() {
    caught(Flavour::mark(), Lie::ListsShort, &["idempotence"]).await;
}

#[tokio::test]
async fn double_entries_are_caught() {
    caught(Flavour::mark(), Lie::AddsTwice, &["creation"]).await;
}

#[tokio::test]
async fn a_batch_that_is_declared_too_large_is_caught() {
    caught(Flavour::mark(), Lie::SmallerBatch, &["batches"]).await;
}

/// One run of the owner `acme`, which adopts, against a vendor.
async fn run(vendor: &MemoryVendor, clock: &Clock, indicators: Vec<Indicator>) -> Report {
    let mut deployment = deployment("acme", 1, 0);
    deployment.adopt = true;
    let target = Arc::new(vendor.target(&deployment.owner));
    let member = Member {
        target,
        kinds: Vec::new(),
    };
    let group = TargetGroup {
        name: "memory".to_owned(),
        members: vec![member],
    };
    let readings = Readings {
        include: vec![reading("acme-include-0", indicators).into()],
        ..Readings::default()
    };
    let context = Context::new(Environment::new(clock.clone()));
    sync_readings(&deployment, readings, &group, &context).await
}

fn wanted(count: usize) -> (Vec<Value>, Vec<Indicator>) {
    let values: Vec<Value> = (0..count).map(|number| value(Kind::Ipv4, number)).collect();
    let indicators = values
        .iter()
        .map(|value| indicator(value).build())
        .collect();
    (values, indicators)
}

#[tokio::test]
async fn one_bad_row_does_not_sink_an_atomic_batch() {
    let clock = Clock::manual(start());
    let vendor = MemoryVendor::new(Flavour::atomic(), clock.clone());
    let (values, indicators) = wanted(12);
    vendor.refuse(&values[3]);
    vendor.refuse(&values[8]);
    let report = run(&vendor, &clock, indicators).await;
    assert_eq!(
        (report.status, report.added, report.failed),
        (Status::Partial, 10, 2)
    );
    let enforced = vendor.enforced("memory");
    assert_eq!(enforced.len(), 10);
    assert!(
        enforced
            .iter()
            .all(|entry| entry.value != values[3] && entry.value != values[8])
    );
}

#[tokio::test]
async fn a_disarmed_entry_is_armed_again() {
    let clock = Clock::manual(start());
    let vendor = MemoryVendor::new(Flavour::mark(), clock.clone());
    let (values, indicators) = wanted(3);
    run(&vendor, &clock, indicators.clone()).await;
    assert!(vendor.disarm(&values[1]));
    assert_eq!(vendor.enforced("memory").len(), 2);
    let report = run(&vendor, &clock, indicators).await;
    assert_eq!((report.status, report.updated), (Status::Ok, 1));
    assert_eq!(vendor.enforced("memory").len(), 3);
}

#[tokio::test]
async fn an_allow_entry_is_never_adopted() {
    let clock = Clock::manual(start());
    let vendor = MemoryVendor::new(Flavour::mark(), clock.clone());
    let (values, indicators) = wanted(2);
    vendor.add_allow(&values[0]);
    let report = run(&vendor, &clock, indicators).await;
    assert_eq!(
        (report.adopted, report.added, report.skipped.foreign),
        (0, 1, 1)
    );
    let enforced = vendor.enforced("memory");
    assert_eq!(enforced.len(), 1);
    assert_eq!(enforced[0].value, values[1]);
}
