//! The life of an indicator.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;

use super::super::model::Scene;
use super::super::world::{Order, Setup, World};
use super::super::{Check, ensure, needs};
use crate::indicator::Kind;
use crate::report::{Status, Verified};
use crate::testing::builders::indicator;

pub(super) async fn creation(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(9)?;
    let scene = Scene::of(values.iter().enumerate().map(|(number, value)| {
        let ends = number % 2 == 0;
        let made = indicator(value);
        if ends {
            made.until_hours(240).build()
        } else {
            made.build()
        }
    }));
    let run = world.converge(&scene).await?;
    let report = &run.report;
    ensure!(
        report.added == 9,
        "9 were to be added, the report says {}",
        report.added
    );
    ensure!(
        report.changes.len() == 9,
        "the report lists {} of 9 changes",
        report.changes.len()
    );
    ensure!(
        report.verified != Verified::No,
        "reading back found something else than was written"
    );
    let effect = report.effect.prevent + report.effect.detect;
    ensure!(
        effect == 9,
        "the report gives an effect to {effect} of 9 entries"
    );
    Ok(())
}

/// Stays quiet however often it is run, at once, after days, and with the same indicators in another order.
pub(super) async fn idempotence(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(7)?;
    let mut indicators: Vec<_> = values
        .iter()
        .zip([
            Some(700),
            None,
            Some(900),
            None,
            Some(1_000),
            None,
            Some(2_000),
        ])
        .map(|(value, hours)| match hours {
            Some(hours) => indicator(value).until_hours(hours).build(),
            None => indicator(value).build(),
        })
        .collect();
    world.converge(&Scene::of(indicators.clone())).await?;
    indicators.reverse();
    let reversed = Scene::of(indicators);
    world.quiet(Order::new(&reversed)).await?;
    world.clock.advance(TimeDelta::seconds(61));
    world.quiet(Order::new(&reversed)).await?;
    world.days_pass(1);
    world.quiet(Order::new(&reversed)).await?;
    world
        .check(&[(super::super::world::OWNER, &reversed)])
        .await
}

/// By the vendor where it declares a native end, by us where not.
pub(super) async fn expiry(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(3)?;
    let scene = Scene::of([
        indicator(&values[0]).until_hours(60).build(),
        indicator(&values[1]).build(),
        indicator(&values[2]).until_hours(240).build(),
    ]);
    world.converge(&scene).await?;
    world.days_pass(4);
    let native = world.capabilities.native_end;
    ensure!(
        world.enforces(&values[0]) == native.is_none(),
        "a native end is declared: {}, but after its end the entry acts: {}",
        native.is_some(),
        world.enforces(&values[0])
    );
    ensure!(world.enforces(&values[1]), "an entry without an end ended");
    ensure!(world.enforces(&values[2]), "an entry ended before its end");
    let run = world.converge(&scene).await?;
    let by_vendor = native.map_or(Some(false), |native| native.deletes);
    let removed = run.report.removed;
    let expected = match by_vendor {
        Some(by_vendor) => removed.expired == usize::from(!by_vendor),
        None => removed.expired <= 1,
    };
    ensure!(
        removed.total() == removed.expired && expected,
        "one entry ended, the vendor deletes it itself: {by_vendor:?}, the report says {removed:?}"
    );
    Ok(())
}

/// An entry whose end was shortened to the vendor's longest is moved on in time, and not each time.
pub(super) async fn renewal(setup: &Setup<'_>) -> Check {
    let mut longest: BTreeMap<Duration, Vec<Kind>> = BTreeMap::new();
    let capabilities = setup.subject.capabilities();
    if let Some(native) = capabilities.native_end {
        for support in capabilities.kinds {
            if let Some(max) = native.max_for(support.kind) {
                longest.entry(max).or_default().push(support.kind);
            }
        }
    }
    needs!(!longest.is_empty(), "no longest native end is declared");
    for (max, kinds) in longest {
        renewal_of(setup, max, &kinds).await?;
    }
    Ok(())
}

/// The same for the kinds whose longest end is `max`.
async fn renewal_of(setup: &Setup<'_>, max: Duration, kinds: &[Kind]) -> Check {
    let world = World::new(setup).await?;
    let mut values = Vec::new();
    for number in 0..5 {
        values.extend(world.values_of(kinds[number % kinds.len()], number, 1)?);
    }
    let scene = Scene::of(values.iter().map(|value| indicator(value).build()));
    world.converge(&scene).await?;
    let step = max / 10;
    let mut renewed = 0;
    for _ in 0..20 {
        world
            .clock
            .advance(TimeDelta::from_std(step.max(Duration::from_secs(1))).unwrap_or_default());
        let missing: Vec<_> = values
            .iter()
            .filter(|value| !world.enforces(value))
            .collect();
        ensure!(
            missing.is_empty(),
            "ended before they were renewed: {missing:?}"
        );
        renewed += world.converge(&scene).await?.report.renewed;
    }
    let (least, most) = (values.len() * 2, values.len() * 4);
    ensure!(
        (least..=most).contains(&renewed),
        "in twice the longest end {} entries were renewed {renewed} times, not {least} to {most}",
        values.len()
    );
    Ok(())
}

pub(super) async fn revocation(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(3)?;
    world
        .converge(&Scene::of(
            values.iter().map(|value| indicator(value).build()),
        ))
        .await?;
    let scene = Scene::of(values.iter().enumerate().map(|(number, value)| {
        let made = indicator(value);
        if number == 1 {
            made.revoked().build()
        } else {
            made.build()
        }
    }));
    let removed = world.converge(&scene).await?.report.removed;
    ensure!(
        removed.revoked == 1 && removed.total() == 1,
        "one was revoked, the report says {removed:?}"
    );
    Ok(())
}

/// Down to the last one.
pub(super) async fn withdrawal(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(4)?;
    world
        .converge(&Scene::of(
            values.iter().map(|value| indicator(value).build()),
        ))
        .await?;
    let one = Scene::of([indicator(&values[2]).build()]);
    let removed = world.converge(&one).await?.report.removed;
    ensure!(
        removed.withdrawn == 3 && removed.total() == 3,
        "three were withdrawn, the report says {removed:?}"
    );
    let removed = world.converge(&Scene::of([])).await?.report.removed;
    ensure!(
        removed.withdrawn == 1,
        "the last one was withdrawn, the report says {removed:?}"
    );
    Ok(())
}

/// A later end is written: the entry outlives the first one even when its source is gone.
pub(super) async fn extension(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(2)?;
    let scene = |hours| {
        Scene::of([
            indicator(&values[0]).until_hours(hours).build(),
            indicator(&values[1]).build(),
        ])
    };
    world.converge(&scene(60)).await?;
    let run = world.converge(&scene(240)).await?;
    ensure!(
        run.report.removed.total() == 0,
        "an extension removed something"
    );
    world.days_pass(4);
    ensure!(
        world.enforces(&values[0]),
        "it ended at the end it had before"
    );
    let run = world.run(Order::new(&scene(240).unreadable())).await?;
    ensure!(
        run.report.status != Status::Ok,
        "a source failed and the report says ok"
    );
    ensure!(
        world.enforces(&values[0]),
        "it was removed by the end it had before"
    );
    world.converge(&scene(240)).await?;
    Ok(())
}

/// An earlier end is written: the entry goes at it even when its source is gone.
pub(super) async fn shortening(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(3)?;
    let scene = |hours: [i64; 2]| {
        Scene::of([
            indicator(&values[0]).until_hours(hours[0]).build(),
            indicator(&values[1]).until_hours(hours[1]).build(),
            indicator(&values[2]).build(),
        ])
    };
    world.converge(&scene([240, 480])).await?;
    world.converge(&scene([60, 62])).await?;
    world.days_pass(4);
    world.run(Order::new(&scene([60, 62]).unreadable())).await?;
    for value in &values[..2] {
        ensure!(
            !world.enforces(value),
            "{value} is still there after its new end"
        );
    }
    ensure!(
        world.enforces(&values[2]),
        "an entry without an end was removed while its source failed"
    );
    world.converge(&scene([60, 62])).await?;
    Ok(())
}

pub(super) async fn exclusion(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(5)?;
    let scene = Scene::of(values.iter().map(|value| indicator(value).build()));
    world.converge(&scene).await?;
    let excluding = scene
        .clone()
        .without(values[..2].iter().map(|value| indicator(value).build()));
    let removed = world.converge(&excluding).await?.report.removed;
    ensure!(
        removed.excluded == 2 && removed.total() == 2,
        "two were excluded, the report says {removed:?}"
    );
    let run = world.converge(&scene).await?;
    ensure!(
        run.report.added == 2,
        "two are excluded no more, the report says {} added",
        run.report.added
    );
    Ok(())
}

pub(super) async fn waiting(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(2)?;
    let scene = Scene::of([
        indicator(&values[0]).from_hours(60).build(),
        indicator(&values[1]).build(),
    ]);
    let run = world.converge(&scene).await?;
    ensure!(
        run.report.skipped.waiting == 1,
        "one waits, the report says {}",
        run.report.skipped.waiting
    );
    world.days_pass(4);
    world.converge(&scene).await?;
    ensure!(
        world.enforces(&values[0]),
        "it still waits after its beginning"
    );
    Ok(())
}

/// The same value for several reasons: it stays until the last one goes.
pub(super) async fn several_reasons(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let value = world.values(1)?.remove(0);
    let short = indicator(&value).id("short").until_hours(60);
    let long = indicator(&value).id("long").until_hours(300);
    let scene = |include| Scene {
        include,
        exclude: vec![Some(Vec::new())],
    };
    let both = scene(vec![
        Some(vec![short.clone().build()]),
        Some(vec![long.clone().build()]),
    ]);
    world.converge(&both).await?;
    world.days_pass(4);
    ensure!(world.enforces(&value), "it went with its first reason");
    world.converge(&both).await?;
    let revoked = scene(vec![
        Some(vec![short.revoked().build()]),
        Some(vec![long.clone().build()]),
    ]);
    world.converge(&revoked).await?;
    let gone = scene(vec![Some(Vec::new()), Some(vec![long.revoked().build()])]);
    world.converge(&gone).await?;
    ensure!(!world.enforces(&value), "it outlived its last reason");
    Ok(())
}

/// An end less than a minute ahead is not worth an entry.
pub(super) async fn ending_soon(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let value = world.values(1)?.remove(0);
    let soon = world.clock.now() + TimeDelta::seconds(45);
    let scene = Scene::of([indicator(&value).until(Some(soon)).build()]);
    let run = world.run(Order::new(&scene)).await?;
    run.ok()?;
    ensure!(!run.tally.wrote(), "an end 45 s ahead was added");
    world.quiet(Order::new(&scene)).await
}

/// Creation, expiry, revocation, withdrawal, extension, shortening, exclusion and waiting in one run.
pub(super) async fn all_at_once(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let room = world
        .capabilities
        .capacity
        .is_none_or(|capacity| capacity > 20);
    needs!(room, "there is no room for 12 entries");
    let values = world.values(12)?;
    let made = |number: usize| indicator(&values[number]);
    world
        .converge(&Scene::of([
            made(0).until_hours(60).build(),
            made(1).build(),
            made(2).build(),
            made(3).build(),
            made(4).until_hours(120).build(),
            made(5).until_hours(300).build(),
            made(6).build(),
            made(7).from_hours(60).build(),
            made(8).until_hours(200).build(),
        ]))
        .await?;
    world.days_pass(4);
    let scene = Scene::of([
        made(0).until_hours(60).build(),
        made(1).revoked().build(),
        made(3).build(),
        made(4).until_hours(300).build(),
        made(5).until_hours(200).build(),
        made(6).build(),
        made(7).from_hours(60).build(),
        made(8).until_hours(200).build(),
        made(9).build(),
        made(10).until_hours(250).build(),
        made(11).from_hours(150).build(),
    ])
    .without([made(3).build()]);
    let report = world.converge(&scene).await?.report;
    let removed = report.removed;
    ensure!(
        (removed.revoked, removed.withdrawn, removed.excluded) == (1, 1, 1),
        "one each was revoked, withdrawn and excluded, the report says {removed:?}"
    );
    ensure!(
        report.added == 3,
        "three are new, the report says {}",
        report.added
    );
    Ok(())
}
