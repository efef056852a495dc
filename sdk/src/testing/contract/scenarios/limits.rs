//! How much fits: rows, batches, capacity.

use super::super::model::Scene;
use super::super::world::{Order, Setup, World};
use super::super::{Check, ensure, needs};
use crate::indicator::{Kind, Value};
use crate::report::Status;
use crate::testing::builders::{self, indicator};

/// Above this many entries per call the batch limits are tried once, not for every combination of switches.
const DEAR: usize = 250;

/// What is refused is reported, by us before a call or by the vendor after it; the others land.
pub(super) async fn rejected_rows(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(6)?;
    let refused = values[2].clone();
    let mut indicators: Vec<_> = values
        .iter()
        .map(|value| indicator(value).until_hours(300).build())
        .collect();
    let strange = unacceptable(&world);
    indicators.extend(strange.iter().map(|value| indicator(value).build()));
    let scene = Scene::of(indicators);
    let order = Order {
        refused: [refused.clone()].into(),
        ..Order::new(&scene)
    };
    let run = world.run(order).await?;
    let report = &run.report;
    ensure!(
        report.status == Status::Partial,
        "one entry failed, and the run is {}",
        run.told()
    );
    ensure!(
        report.failed == 1,
        "one entry failed, the report says {}",
        report.failed
    );
    let named = report.details.iter().any(|detail| {
        detail.outcome == "failed"
            && detail.value == refused.to_string()
            && !detail.message.is_empty()
    });
    ensure!(
        named,
        "the report does not say which entry was refused and why: {:?}",
        report.details
    );
    ensure!(
        report.skipped.unsupported == strange.len(),
        "{} values are of no use here, the report says {}",
        strange.len(),
        report.skipped.unsupported
    );
    let mut expected: std::collections::BTreeSet<Value> = values.into_iter().collect();
    expected.remove(&refused);
    world.expect(&expected)?;
    // Taken the next time.
    expected.insert(refused);
    world.run(Order::new(&scene)).await?.ok()?;
    world.expect(&expected)?;
    world.quiet(Order::new(&scene)).await
}

/// Values that the mechanism does not take: of another kind, or a network where only hosts are.
fn unacceptable(world: &World) -> Vec<Value> {
    let other = Kind::ALL
        .into_iter()
        .filter(|kind| world.capabilities.kind(*kind).is_none());
    let mut values: Vec<Value> = other.map(|kind| builders::value(kind, 30_000)).collect();
    let hosts_only = world
        .capabilities
        .kind(Kind::Ipv4)
        .is_some_and(|support| !support.networks);
    if hosts_only {
        values.extend(Value::parse(Kind::Ipv4, "45.90.0.0/20"));
    }
    values
}

/// One less than fits into a call, just as many, one more; where not everything is tried, one more.
pub(super) async fn batches(setup: &Setup<'_>) -> Check {
    let write = setup.subject.capabilities().write_batch;
    let remove = setup.subject.capabilities().remove_batch;
    needs!(
        setup.thorough || write.max(remove) <= DEAR,
        "tried with the first combination only"
    );
    let mut counts = vec![write + 1, remove + 1];
    if setup.exhaustive && write.max(remove) <= DEAR {
        counts.extend([
            write,
            write.saturating_sub(1),
            remove,
            remove.saturating_sub(1),
        ]);
    }
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let world = World::new(setup).await?;
        let room = room(&world);
        needs!(
            room.is_none_or(|room| room >= count),
            "a batch holds more than the vendor"
        );
        let values = world.values(count)?;
        let scene = Scene::of(
            values
                .iter()
                .map(|value| indicator(value).until_hours(300).build()),
        );
        let report = world.converge(&scene).await?.report;
        ensure!(
            report.added == count,
            "{count} were to be added, the report says {}",
            report.added
        );
        let longer = Scene::of(
            values
                .iter()
                .map(|value| indicator(value).until_hours(400).build()),
        );
        world.converge(&longer).await?;
        let removed = world.converge(&Scene::of([])).await?.report.removed;
        ensure!(
            removed.withdrawn == count,
            "{count} were to be removed, the report says {removed:?}"
        );
    }
    Ok(())
}

/// How many more entries fit.
fn room(world: &World) -> Option<usize> {
    let pools = world.facts.capacity.iter().map(|pool| pool.limit);
    pools
        .chain(world.capabilities.capacity)
        .min()
        .map(|limit| limit.saturating_sub(2))
}

/// The best go in, what does not fit is named, a better one later takes a place.
pub(super) async fn capacity(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let others = world.foreign().len();
    let declared = world.capabilities.capacity.is_some() || !world.facts.capacity.is_empty();
    needs!(declared, "no capacity is declared");
    world.state.set_capacity(others + 5);
    let facts = world.targets(super::super::world::OWNER)?[0]
        .open()
        .await
        .map_err(super::super::world::broken("the target does not open"))?;
    let limit_of = |kind: Kind| {
        let pool = facts
            .capacity
            .iter()
            .find(|pool| pool.kinds.contains(&kind));
        pool.map(|pool| pool.limit)
            .or(world.capabilities.capacity)
            .unwrap_or(usize::MAX)
    };
    // Not every limit can be set: the kind with the nearest one.
    let kinds = world.capabilities.kinds.iter().map(|support| support.kind);
    let (limit, kind) = kinds
        .map(|kind| (limit_of(kind), kind))
        .min_by_key(|(limit, _)| *limit)
        .unwrap_or((usize::MAX, Kind::Ipv4));
    needs!(
        limit <= 1_000,
        "the capacity is {limit}, and the vendor tells of no other"
    );
    // Others' entries of kinds that share the limit take room too, and it may not be for us to know which.
    let values = world.values_of(kind, 0, limit + 4)?;
    let ranked = |from: usize| {
        Scene::of(values.iter().enumerate().skip(from).map(|(number, value)| {
            let confidence = u16::try_from(limit + 10 - number).unwrap_or(0);
            indicator(value).confidence(confidence).build()
        }))
    };
    let scene = ranked(1);
    let run = world.run(Order::new(&scene)).await?;
    run.ok()?;
    let held = run.report.added;
    ensure!(
        held <= limit && held + others >= limit,
        "{limit} fit, others have {others}, and {held} were added"
    );
    let best = values[1..=held].iter().cloned().collect();
    world.expect(&best)?;
    let cut = values.len() - 1 - held;
    let said = run.report.skipped.capacity;
    ensure!(said == cut, "{cut} do not fit, the report says {said}");
    world.quiet(Order::new(&scene)).await?;
    // A better one comes.
    let scene = ranked(0);
    let run = world.run(Order::new(&scene)).await?;
    run.ok()?;
    world.expect(&values[..held].iter().cloned().collect())?;
    let removed = run.report.removed;
    ensure!(
        removed.capacity == 1 && removed.total() == 1,
        "one gave way, the report says {removed:?}"
    );
    world.quiet(Order::new(&scene)).await?;
    // The guard does not count what gives way.
    world.run(Order::new(&Scene::of([]))).await?.ok()?;
    world.expect(&std::collections::BTreeSet::new())
}
