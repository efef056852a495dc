//! What belongs to others, and what happens behind our back.

use std::collections::BTreeSet;

use super::super::model::Scene;
use super::super::world::{OWNER, Order, Setup, World};
use super::super::{Check, ensure, needs};
use crate::target::{Foreign, Proof};
use crate::testing::builders::indicator;

/// Somebody else's entry with a value that we want.
pub(super) async fn equal_foreign_entry_first(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(3)?;
    needs!(
        world.admin_adds(&values[0]),
        "an administrator cannot make such an entry here"
    );
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(60).build()),
    );
    let report = world.converge(&scene).await?.report;
    if world.capabilities.foreign != Foreign::Coexists {
        ensure!(
            report.skipped.foreign == 1,
            "the report counts {} foreign, not 1",
            report.skipped.foreign
        );
        let told = report
            .details
            .iter()
            .any(|detail| detail.reason == "foreign" && detail.value == values[0].to_string());
        ensure!(
            told,
            "the report does not name the value that somebody else blocks"
        );
    }
    // Neither its end, nor a revocation, nor an exclusion, nor a withdrawal touches it.
    let revoked = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).revoked().build()),
    );
    world.converge(&revoked).await?;
    world.converge(&scene).await?;
    let excluded = scene
        .clone()
        .without(values.iter().map(|value| indicator(value).build()));
    world.converge(&excluded).await?;
    world.converge(&scene).await?;
    world.days_pass(4);
    world.converge(&scene).await?;
    world.converge(&Scene::of([])).await?;
    Ok(())
}

/// Somebody else's entry appears beside ours.
pub(super) async fn equal_foreign_entry_later(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(2)?;
    world
        .converge(&Scene::of(
            values.iter().map(|value| indicator(value).build()),
        ))
        .await?;
    needs!(
        world.admin_adds(&values[0]),
        "the product holds no second entry with the same value"
    );
    world.converge(&Scene::of([])).await?;
    Ok(())
}

/// What one owner does never takes anything from another.
pub(super) async fn two_owners(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(4)?;
    let made = |number: usize, hours: i64| indicator(&values[number]).until_hours(hours).build();
    let run = async |owner: &'static str, scene: &Scene| -> Check {
        world.run(Order::new(scene).owned_by(owner)).await?.ok()
    };
    let first = Scene::of([made(0, 300), made(1, 60), made(2, 200)]);
    let second = Scene::of([made(1, 200), made(2, 60), made(3, 300)]);
    let none = Scene::of([]);
    run("first", &first).await?;
    run("second", &second).await?;
    world
        .check(&[("first", &first), ("second", &second)])
        .await?;
    world.quiet(Order::new(&first).owned_by("first")).await?;
    world.quiet(Order::new(&second).owned_by("second")).await?;
    // The later end stands, whoever wrote first.
    world.days_pass(4);
    for value in &values[1..3] {
        ensure!(
            world.enforces(value),
            "{value} ended with the earlier of two owners"
        );
    }
    run("first", &first).await?;
    run("second", &second).await?;
    world
        .check(&[("first", &first), ("second", &second)])
        .await?;
    world.quiet(Order::new(&first).owned_by("first")).await?;
    world.quiet(Order::new(&second).owned_by("second")).await?;
    // One owner's removal keeps the other's; the last one's deletes.
    let shared = Scene::of([made(0, 300), made(3, 300)]);
    run("first", &shared).await?;
    world
        .check(&[("first", &shared), ("second", &second)])
        .await?;
    run("second", &none).await?;
    world
        .check(&[("first", &shared), ("second", &none)])
        .await?;
    world.quiet(Order::new(&shared).owned_by("first")).await?;
    run("first", &none).await?;
    world.check(&[("first", &none), ("second", &none)]).await
}

/// `adopt` puts our mark on somebody else's entry and gives the entry back as it was.
pub(super) async fn adoption(setup: &Setup<'_>) -> Check {
    let capabilities = setup.subject.capabilities();
    needs!(
        matches!(capabilities.proof, Proof::Mark { .. }),
        "there is no room for a mark"
    );
    needs!(
        capabilities.foreign != Foreign::Coexists,
        "others' entries do not stand in the way"
    );
    let world = World::new(setup).await?;
    let values = world.values(2)?;
    needs!(
        world.admin_adds(&values[0]),
        "an administrator cannot make such an entry here"
    );
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    let adopting = |scene| Order {
        adopt: true,
        ..Order::new(scene)
    };
    let run = world.run(adopting(&scene)).await?;
    run.ok()?;
    ensure!(
        run.report.adopted == 1,
        "one was to be adopted, the report says {}",
        run.report.adopted
    );
    let entries = world.state.enforced(world.capabilities.mechanism);
    let marked = entries
        .iter()
        .any(|entry| entry.value == values[0] && entry.text.contains("cordon:1;"));
    ensure!(
        marked,
        "the adopted entry does not carry our mark: {entries:?}"
    );
    world.quiet(adopting(&scene)).await?;
    // It had no end before, so it outlives ours.
    world.days_pass(5);
    let entries = world.state.enforced(world.capabilities.mechanism);
    ensure!(
        entries.iter().any(|entry| entry.value == values[0]),
        "adopting gave it an end"
    );
    let rest = Scene::of([indicator(&values[1]).until_hours(300).build()]);
    world.run(adopting(&rest)).await?.ok()?;
    world.check(&[(OWNER, &rest)]).await?;
    world.quiet(adopting(&rest)).await
}

/// An administrator removed an entry of ours by hand.
pub(super) async fn drift(setup: &Setup<'_>) -> Check {
    needs!(
        setup.subject.capabilities().foreign != Foreign::Unseen,
        "the vendor shows nothing"
    );
    let world = World::new(setup).await?;
    let values = world.values(4)?;
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    world.converge(&scene).await?;
    for value in &values[1..3] {
        ensure!(
            world.admin_removes(value),
            "the fake cannot remove {value} by hand"
        );
    }
    let report = world.converge(&scene).await?.report;
    ensure!(
        report.added + report.updated == 2,
        "two were to be mended, the report says {}",
        report.added
    );
    for value in &values[..2] {
        world.admin_removes(value);
    }
    // What was removed by hand and is wanted no more needs nothing.
    let fewer = Scene::of(
        values[2..]
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    world.converge(&fewer).await?;
    Ok(())
}

/// The device restarts: what it forgot comes back, in one run.
pub(super) async fn reboot(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(5)?;
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    world.converge(&scene).await?;
    world.state.reboot();
    // What a person made in passing is lost too; that is not ours to mend.
    let kept: BTreeSet<_> = world
        .state
        .enforced(world.capabilities.mechanism)
        .into_iter()
        .filter(|entry| entry.foreign)
        .map(|entry| entry.value)
        .collect();
    world.foreign().retain(|value, _| kept.contains(value));
    world.converge(&scene).await?;
    world.state.reboot();
    world.converge(&Scene::of([])).await?;
    Ok(())
}
