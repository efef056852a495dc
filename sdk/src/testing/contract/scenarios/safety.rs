//! What keeps harm away: dry run, guard, commit, clocks, failed sources, secrets.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use tracing::instrument::WithSubscriber;

use super::super::capture::Capture;
use super::super::model::Scene;
use super::super::world::{OWNER, Order, Setup, World, broken};
use super::super::{Check, ensure, needs};
use crate::indicator::Value;
use crate::report::Status;
use crate::sync::GuardSettings;
use crate::target::Level;
use crate::testing::builders::indicator;
use crate::testing::memory::Trouble;

/// A dry run says what would be done, and does nothing.
pub(super) async fn dry_run(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(4)?;
    let first = Scene::of(values[..3].iter().map(|value| indicator(value).build()));
    let second = Scene::of(values[1..].iter().map(|value| indicator(value).build()));
    let dry = |scene| Order {
        dry_run: true,
        ..Order::new(scene)
    };
    let run = world.run(dry(&first)).await?;
    ensure!(
        !run.tally.wrote() && run.report.requests.write == 0,
        "a dry run wrote"
    );
    ensure!(
        run.report.changes.len() == 3,
        "a dry run tells of {} of 3 changes",
        run.report.changes.len()
    );
    world.expect(&BTreeSet::new())?;
    world.converge(&first).await?;
    let run = world.run(dry(&second)).await?;
    ensure!(
        !run.tally.wrote() && run.report.requests.write == 0,
        "a dry run wrote"
    );
    ensure!(
        run.report.changes.len() == 2,
        "a dry run tells of {} of 2 changes",
        run.report.changes.len()
    );
    world.check(&[(OWNER, &first)]).await?;
    world.converge(&second).await?;
    Ok(())
}

/// What `check` looks at changes nothing, and what a fresh vendor was set up with is not missing.
pub(super) async fn examination(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(2)?;
    let scene = Scene::of(values.iter().map(|value| indicator(value).build()));
    world.converge(&scene).await?;
    for target in world.targets(OWNER)? {
        let facts = target
            .open()
            .await
            .map_err(broken("the target does not open"))?;
        let findings = target
            .examine(&facts)
            .await
            .map_err(broken("the target cannot be examined"))?;
        let missing = findings
            .iter()
            .find(|finding| finding.level == Level::Missing);
        ensure!(
            missing.is_none(),
            "all runs well, and check finds something missing: {missing:?}"
        );
        ensure!(target.calls().write == 0, "looking made a call that writes");
    }
    world.check(&[(OWNER, &scene)]).await?;
    world.quiet(Order::new(&scene)).await
}

/// Too many removals wait, and only they; what was approved goes through.
pub(super) async fn removals_guard(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    needs!(
        world
            .capabilities
            .capacity
            .is_none_or(|capacity| capacity >= 50),
        "there is no room for enough entries"
    );
    let values = world.values(43)?;
    let (ended, rest) = values.split_at(6);
    let (lasting, new) = rest.split_at(34);
    let first = Scene::of(
        lasting.iter().map(|value| indicator(value).build()).chain(
            ended
                .iter()
                .map(|value| indicator(value).until_hours(60).build()),
        ),
    );
    world.converge(&first).await?;
    world.days_pass(4);
    let guarded = |scene| Order {
        guard: GuardSettings::default(),
        ..Order::new(scene)
    };
    let second = Scene::of(
        lasting[20..]
            .iter()
            .chain(new)
            .map(|value| indicator(value).build())
            .chain(
                ended
                    .iter()
                    .map(|value| indicator(value).until_hours(60).build()),
            ),
    );
    let run = world.run(guarded(&second)).await?;
    ensure!(
        run.report.status == Status::Held,
        "20 of 34 are removed, and the run is {}",
        run.told()
    );
    let Some(held) = run.report.held.clone() else {
        return Err(super::super::Stop::Failed(
            "the report does not say what is held".to_owned(),
        ));
    };
    ensure!(
        held.changes == 20,
        "20 removals are held, the report says {}",
        held.changes
    );
    let waiting: BTreeSet<&Value> = lasting[..20].iter().collect();
    ensure!(
        !run.tally
            .removed
            .iter()
            .any(|value| waiting.contains(value)),
        "a held removal was sent"
    );
    // Ended ones went, new ones came, held ones stayed.
    let expected: BTreeSet<Value> = lasting.iter().chain(new).cloned().collect();
    world.expect(&expected)?;
    let again = world.run(guarded(&second)).await?;
    ensure!(
        again.report.status == Status::Held && !again.tally.wrote(),
        "held, and the second run wrote"
    );
    let digest = again.report.held.map(|held| held.digest);
    ensure!(
        digest.as_ref() == Some(&held.digest),
        "the same held set has another digest"
    );
    let wrong = Order {
        allow: Some("00000000".to_owned()),
        ..guarded(&second)
    };
    let run = world.run(wrong).await?;
    ensure!(
        run.report.status == Status::Held && !run.tally.wrote(),
        "a wrong digest released the held set"
    );
    let allow = match (&world.store, &held.id) {
        (Some(store), Some(id)) => {
            store
                .approve(id, "contract suite", world.clock.now())
                .await
                .map_err(broken("approval"))?;
            None
        }
        (Some(_), None) => {
            return Err(super::super::Stop::Failed(
                "a held set in a store has no id".to_owned(),
            ));
        }
        (None, _) => Some(held.digest),
    };
    world
        .run(Order {
            allow,
            ..guarded(&second)
        })
        .await?
        .ok()?;
    world.check(&[(OWNER, &second)]).await?;
    world.quiet(guarded(&second)).await
}

/// Too many additions on another than the first run wait.
pub(super) async fn additions_guard(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(14)?;
    let guard = GuardSettings {
        additions_floor: 5,
        additions_factor: 2.0,
        ..GuardSettings::default()
    };
    let guarded = |scene| Order {
        guard: guard.clone(),
        ..Order::new(scene)
    };
    let first = Scene::of(values[..4].iter().map(|value| indicator(value).build()));
    world.run(guarded(&first)).await?.ok()?;
    world.check(&[(OWNER, &first)]).await?;
    let second = Scene::of(values.iter().map(|value| indicator(value).build()));
    let run = world.run(guarded(&second)).await?;
    ensure!(
        run.report.status == Status::Held,
        "10 are added to 4, and the run is {}",
        run.told()
    );
    ensure!(
        run.tally.added.is_empty(),
        "held additions were sent: {:?}",
        run.tally.added
    );
    world.check(&[(OWNER, &first)]).await?;
    let digest = run.report.held.map(|held| held.digest);
    world
        .run(Order {
            allow: digest,
            ..guarded(&second)
        })
        .await?
        .ok()?;
    world.check(&[(OWNER, &second)]).await
}

/// Once where something changed, not at all where nothing did.
pub(super) async fn commit_once(setup: &Setup<'_>) -> Check {
    needs!(setup.subject.capabilities().staged, "nothing is staged");
    let world = World::new(setup).await?;
    let values = world.values(8)?;
    for scene in [
        Scene::of(
            values
                .iter()
                .map(|value| indicator(value).until_hours(60).build()),
        ),
        Scene::of(
            values[4..]
                .iter()
                .map(|value| indicator(value).until_hours(300).build()),
        ),
        Scene::of([]),
    ] {
        let run = world.run(Order::new(&scene)).await?;
        run.ok()?;
        ensure!(
            run.tally.commits == 1,
            "{} commits in a run that changed something",
            run.tally.commits
        );
        world.check(&[(OWNER, &scene)]).await?;
        let run = world.run(Order::new(&scene)).await?;
        ensure!(
            run.tally.commits == 0,
            "{} commits in a run that changed nothing",
            run.tally.commits
        );
    }
    Ok(())
}

/// Clocks more than 5 minutes apart: nothing that depends on time is written.
pub(super) async fn clock_skew(setup: &Setup<'_>) -> Check {
    for minutes in [6, -6] {
        let world = World::with_clock_ahead(setup, TimeDelta::minutes(minutes)).await?;
        needs!(
            world.facts.vendor_time.is_some(),
            "the vendor does not tell its time"
        );
        let values = world.values(3)?;
        let scene = Scene::of(
            values
                .iter()
                .map(|value| indicator(value).until_hours(300).build()),
        );
        let run = world.run(Order::new(&scene)).await?;
        ensure!(
            run.report.status == Status::Failed,
            "{minutes} minutes apart, and the run is {}",
            run.told()
        );
        ensure!(
            !run.tally.wrote(),
            "{minutes} minutes apart, and something was written"
        );
        ensure!(
            run.told().contains("clock"),
            "the report does not say that it is the clock: {}",
            run.told()
        );
        world.expect(&BTreeSet::new())?;
    }
    let world = World::with_clock_ahead(setup, TimeDelta::minutes(3)).await?;
    let values = world.values(3)?;
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    let run = world.converge(&scene).await?;
    let warned = run
        .report
        .warnings
        .iter()
        .any(|warning| warning.contains("clock"));
    ensure!(warned, "3 minutes apart, and the report does not warn");
    Ok(())
}

/// A source that cannot be read withdraws nothing; what has ended goes all the same.
pub(super) async fn failed_include(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(5)?;
    let made = |number: usize| indicator(&values[number]);
    let two = |first: Vec<_>, second| Scene {
        include: vec![Some(first), second],
        exclude: vec![Some(Vec::new())],
    };
    let scene = two(
        vec![made(0).until_hours(60).build(), made(1).build()],
        Some(vec![made(2).build(), made(3).until_hours(60).build()]),
    );
    world.converge(&scene).await?;
    // The second fails; of the first one value is gone and one is new.
    let failed = two(vec![made(0).until_hours(60).build(), made(4).build()], None);
    let run = world.run(Order::new(&failed)).await?;
    ensure!(
        run.report.status == Status::Partial,
        "a source failed, and the run is {}",
        run.told()
    );
    let told = run
        .report
        .sources
        .iter()
        .any(|source| source.status == "failed" && source.error.is_some());
    ensure!(
        told,
        "the report does not name the failed source: {:?}",
        run.report.sources
    );
    world.expect(&values.iter().cloned().collect())?;
    world.days_pass(4);
    world.run(Order::new(&failed)).await?;
    world.expect(&[1, 2, 4].map(|number: usize| values[number].clone()).into())?;
    // Readable again.
    world
        .converge(&two(vec![made(4).build()], Some(vec![made(2).build()])))
        .await?;
    Ok(())
}

/// An exclude list that cannot be read adds and extends nothing, unless the store has its last copy.
pub(super) async fn failed_exclude(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let values = world.values(4)?;
    let made = |number: usize| indicator(&values[number]);
    let scene = |include, exclude| Scene {
        include: vec![Some(include)],
        exclude: vec![exclude],
    };
    let run = world
        .run(Order::new(&scene(vec![made(0).build()], None)))
        .await?;
    ensure!(
        run.tally.added.is_empty(),
        "added although an exclude list was never read"
    );
    ensure!(
        run.report.status != Status::Ok,
        "an exclude list failed and the report says ok"
    );
    let excluded = Some(vec![made(1).build()]);
    let before = scene(
        vec![
            made(0).until_hours(160).build(),
            made(1).build(),
            made(2).build(),
        ],
        excluded,
    );
    world.converge(&before).await?;
    let failed = scene(
        vec![
            made(0).until_hours(300).build(),
            made(1).build(),
            made(3).build(),
        ],
        None,
    );
    let run = world.run(Order::new(&failed)).await?;
    ensure!(
        !world.enforces(&values[1]),
        "what an exclude list names was added when it could not be read"
    );
    ensure!(
        !world.enforces(&values[2]),
        "what no include names any more stayed"
    );
    let copied = run
        .report
        .sources
        .iter()
        .any(|source| source.status == "last-copy");
    ensure!(
        copied == setup.with_store,
        "sources in the report: {:?}",
        run.report.sources
    );
    ensure!(
        world.enforces(&values[3]) == setup.with_store,
        "with a last copy at hand: {}, but added: {}",
        setup.with_store,
        world.enforces(&values[3])
    );
    world.days_pass(8);
    ensure!(
        setup.with_store || world.capabilities.native_end.is_none() || !world.enforces(&values[0]),
        "extended although an exclude list could not be read"
    );
    Ok(())
}

/// No secret of the configuration in a report, an error, a log, a URL, or an entry.
pub(super) async fn no_secret_told(setup: &Setup<'_>) -> Check {
    let world = World::new(setup).await?;
    let secrets = world.rig.secrets();
    needs!(!secrets.is_empty(), "the configuration holds no secret");
    let values = world.values(4)?;
    let scene = Scene::of(
        values
            .iter()
            .map(|value| indicator(value).until_hours(300).build()),
    );
    let capture = Capture::default();
    let mut told = Vec::new();
    for trouble in [
        None,
        Some((401, 0)),
        Some((403, 1)),
        Some((500, 0)),
        Some((503, 2)),
        Some((400, 0)),
    ] {
        if let Some((status, after)) = trouble {
            world.rig.disturb(Trouble::Refuse {
                after,
                times: usize::MAX,
                status,
                retry_after: None,
            });
        }
        let run = world
            .run(Order::new(&scene))
            .with_subscriber(capture.clone())
            .await?;
        world.rig.calm();
        told.push(("a report", format!("{:?}", run.report)));
    }
    world.rig.disturb(Trouble::Break {
        after: 0,
        applied: false,
        lasting: true,
    });
    for target in world.targets(OWNER)? {
        if let Err(error) = target.open().with_subscriber(capture.clone()).await {
            told.push(("an error", format!("{error:?} {error}")));
        }
    }
    world.rig.calm();
    told.push(("a log", capture.text()));
    told.extend(
        world
            .rig
            .addresses()
            .into_iter()
            .map(|address| ("a URL", address)),
    );
    let entries = world.state.enforced(world.capabilities.mechanism);
    told.extend(entries.into_iter().map(|entry| ("an entry", entry.text)));
    for (place, text) in told {
        ensure!(
            !secrets.iter().any(|secret| text.contains(secret)),
            "a secret stands in {place}"
        );
    }
    Ok(())
}
