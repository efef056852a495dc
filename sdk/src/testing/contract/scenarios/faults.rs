//! What breaks, and what happens meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use tokio::sync::Notify;

use super::super::model::Scene;
use super::super::watch::Lost;
use super::super::world::{OWNER, Order, Setup, World};
use super::super::{Check, Stop, ensure, needs};
use crate::indicator::Value;
use crate::report::{Status, Verified};
use crate::target::{Foreign, Proof};
use crate::testing::builders::indicator;
use crate::testing::memory::Trouble;

/// Most calls that one run may make while the vendor answers nothing but errors.
const BOUND: usize = 200;

/// A change from one scene to another that adds, updates and removes.
struct Change {
    from: Scene,
    to: Scene,
    values: Vec<Value>,
}

/// The first run, and a later one.
fn changes(world: &World) -> Check<[Change; 2]> {
    let values = world.values(8)?;
    let made = |number: usize| indicator(&values[number]);
    let first = Scene::of([
        made(0).build(),
        made(1).until_hours(240).build(),
        made(2).build(),
        made(3).until_hours(300).build(),
    ]);
    let second = Scene::of([
        made(1).until_hours(160).build(),
        made(2).revoked().build(),
        made(3).until_hours(300).build(),
        made(4).build(),
        made(5).until_hours(300).build(),
        made(6).build(),
    ]);
    Ok([
        Change {
            from: Scene::of([]),
            to: first.clone(),
            values: values.clone(),
        },
        Change {
            from: first,
            to: second,
            values,
        },
    ])
}

/// A world just before the change.
async fn before(setup: &Setup<'_>, which: usize) -> Check<(World, Change)> {
    let world = World::new(setup).await?;
    let [first, second] = changes(&world)?;
    let change = if which == 0 { first } else { second };
    if which > 0 {
        world.run(Order::new(&change.from)).await?.ok()?;
    }
    Ok((world, change))
}

/// How many calls the change takes when nothing goes wrong.
async fn calls(setup: &Setup<'_>, which: usize) -> Check<usize> {
    let (world, change) = before(setup, which).await?;
    let calls = world.rig.calls();
    world.run(Order::new(&change.to)).await?.ok()?;
    Ok(world.rig.calls() - calls)
}

/// The same without those that end what was opened: what is lost there changes nothing.
async fn calls_before_closing(setup: &Setup<'_>, which: usize) -> Check<usize> {
    let (world, change) = before(setup, which).await?;
    let run = world.run(Order::new(&change.to)).await?;
    run.ok()?;
    Ok(calls(setup, which).await? - run.tally.closing)
}

/// Adds where it happened to what went wrong.
fn at(place: String) -> impl Fn(Stop) -> Stop {
    move |stop| match stop {
        Stop::Failed(why) => Stop::Failed(format!("{place}: {why}")),
        skipped @ Stop::Skipped(_) => skipped,
    }
}

/// Nothing is reachable from a call on, for every call of a run; the next run puts everything right.
pub(super) async fn killed_at_any_call(setup: &Setup<'_>) -> Check {
    broken_at_any_call(setup, true).await
}

/// A run dies while it moves an end that the vendor keeps and only the record proves to be ours: past the earlier
/// end it is ours still.
pub(super) async fn moved_end_of_a_killed_run(setup: &Setup<'_>) -> Check {
    let capabilities = setup.subject.capabilities();
    let vendor_ends = capabilities.native_end.and_then(|native| native.deletes);
    needs!(
        capabilities.proof == Proof::Ledger && vendor_ends == Some(true),
        "the record is not compared with the vendor's end"
    );
    let began = async || -> Check<(World, Scene)> {
        let world = World::new(setup).await?;
        let values = world.values(2)?;
        let until = |hours| {
            let made = values
                .iter()
                .map(|value| indicator(value).until_hours(hours).build());
            Scene::of(made)
        };
        world.run(Order::new(&until(48))).await?.ok()?;
        Ok((world, until(240)))
    };
    let (world, moved) = began().await?;
    let before = world.rig.calls();
    world.run(Order::new(&moved)).await?.ok()?;
    for after in 0..world.rig.calls() - before {
        let (world, moved) = began().await?;
        let trouble = Trouble::Break {
            after,
            applied: true,
            lasting: true,
        };
        needs!(world.rig.disturb(trouble), "this fault cannot be made here");
        world.run(Order::new(&moved)).await?;
        world.rig.calm();
        world.days_pass(3);
        let place = at(format!("dead after call {after}"));
        world.converge(&Scene::of([])).await.map_err(place)?;
    }
    Ok(())
}

/// One call is lost, for every call of a run.
pub(super) async fn one_call_lost(setup: &Setup<'_>) -> Check {
    broken_at_any_call(setup, false).await
}

async fn broken_at_any_call(setup: &Setup<'_>, lasting: bool) -> Check {
    for which in 0..2 {
        let calls = calls(setup, which).await?;
        for applied in [false, true] {
            let purpose = format!("break {which} {applied} {lasting}");
            for after in setup.some_of(calls, &purpose) {
                let place = at(format!(
                    "run {which}, broken at call {after} of {calls}, {} it was applied",
                    if applied { "after" } else { "before" }
                ));
                broken_at(
                    setup,
                    which,
                    Trouble::Break {
                        after,
                        applied,
                        lasting,
                    },
                )
                .await
                .map_err(place)?;
            }
        }
    }
    Ok(())
}

async fn broken_at(setup: &Setup<'_>, which: usize, trouble: Trouble) -> Check {
    let (world, change) = before(setup, which).await?;
    needs!(world.rig.disturb(trouble), "this fault cannot be made here");
    let run = world.run(Order::new(&change.to)).await?;
    world.rig.calm();
    if run.report.status == Status::Ok {
        // A report that says ok must be true.
        world
            .check(&[(OWNER, &change.to)])
            .await
            .map_err(at("the report says ok".to_owned()))?;
    }
    world
        .converge(&change.to)
        .await
        .map_err(at("run again".to_owned()))?;
    Ok(())
}

/// The process dies during a call, for every call of a run: nothing of it runs any further.
pub(super) async fn process_dies_at_any_call(setup: &Setup<'_>) -> Check {
    for which in 0..2 {
        let calls = calls(setup, which).await?;
        for after in setup.some_of(calls, &format!("death {which}")) {
            let place = || at(format!("run {which}, died at call {after} of {calls}"));
            let (world, change) = before(setup, which).await?;
            let dead = Arc::new(Notify::new());
            let hand = {
                let dead = Arc::clone(&dead);
                Arc::new(move || dead.notify_one())
            };
            needs!(
                world.rig.disturb(Trouble::Meddle { after, hand }),
                "this fault cannot be made here"
            );
            tokio::select! {
                biased;
                () = dead.notified() => {}
                run = world.run(Order::new(&change.to)) => { run.map_err(place())?; }
            }
            world.rig.calm();
            // Whatever the dead process held has lapsed by then.
            world.clock.advance(TimeDelta::hours(1));
            world.converge(&change.to).await.map_err(place())?;
        }
    }
    Ok(())
}

/// A write whose answer is lost is looked for, not sent again blindly.
pub(super) async fn unknown_fate_is_settled_by_looking(setup: &Setup<'_>) -> Check {
    needs!(
        setup.subject.capabilities().foreign != Foreign::Unseen,
        "the vendor shows nothing"
    );
    for which in 0..2 {
        for lost in [Lost::Answer, Lost::Call] {
            let place = || at(format!("run {which}, lost: {lost:?}"));
            let (world, change) = before(setup, which).await?;
            let run = world
                .run(Order {
                    lost: Some(lost),
                    ..Order::new(&change.to)
                })
                .await
                .map_err(place())?;
            if lost == Lost::Answer {
                run.ok().map_err(place())?;
                let once: BTreeSet<_> = run.tally.added.iter().collect();
                ensure!(
                    once.len() == run.tally.added.len(),
                    "run {which}: an addition whose answer was lost was sent again although it was there"
                );
                world.check(&[(OWNER, &change.to)]).await.map_err(place())?;
                world.quiet(Order::new(&change.to)).await.map_err(place())?;
            } else {
                if run.report.status == Status::Ok {
                    world.check(&[(OWNER, &change.to)]).await.map_err(place())?;
                }
                world.converge(&change.to).await.map_err(place())?;
            }
        }
    }
    Ok(())
}

/// The wait that the vendor asks for is kept, wherever it asks.
pub(super) async fn retry_after(setup: &Setup<'_>) -> Check {
    let calls = calls_before_closing(setup, 1).await?;
    for after in setup.some_of(calls, "429") {
        let place = || at(format!("429 at call {after} of {calls}"));
        let (world, change) = before(setup, 1).await?;
        let refusal = Trouble::Refuse {
            after,
            times: 1,
            status: 429,
            retry_after: Some(97),
        };
        needs!(world.rig.disturb(refusal), "there is no HTTP here");
        let began = world.clock.now();
        let run = world.run(Order::new(&change.to)).await.map_err(place())?;
        run.ok().map_err(place())?;
        let waited = world.clock.now() - began;
        ensure!(
            waited >= TimeDelta::seconds(97),
            "429 at call {after}: asked to wait 97 s, waited {} s",
            waited.num_seconds()
        );
        ensure!(
            run.report.requests.retried >= 1,
            "429 at call {after}: the report counts no repetition"
        );
        world.check(&[(OWNER, &change.to)]).await.map_err(place())?;
        world.quiet(Order::new(&change.to)).await.map_err(place())?;
    }
    Ok(())
}

/// A vendor that is down for good is given up, and the report says so.
pub(super) async fn retries_stop(setup: &Setup<'_>) -> Check {
    let calls = calls_before_closing(setup, 1).await?;
    for (status, retry_after) in [(503, None), (503, Some(5)), (429, Some(5)), (500, None)] {
        for after in [0, calls / 2, calls.saturating_sub(1)] {
            let place = || at(format!("{status} from call {after} of {calls} on"));
            let (world, change) = before(setup, 1).await?;
            let down = Trouble::Refuse {
                after,
                times: usize::MAX,
                status,
                retry_after,
            };
            needs!(world.rig.disturb(down), "there is no HTTP here");
            let before = world.rig.calls();
            let run = world.run(Order::new(&change.to)).await.map_err(place())?;
            let made = world.rig.calls() - before;
            ensure!(
                made <= BOUND,
                "{status} from call {after} on: {made} calls were made"
            );
            world.rig.calm();
            if run.report.status == Status::Ok {
                // All was written and confirmed, and only looking at it again failed.
                ensure!(
                    run.report.verified != Verified::Yes,
                    "{status} from call {after} of {calls} on, and the report says ok and verified"
                );
                world.check(&[(OWNER, &change.to)]).await.map_err(place())?;
            }
            world.converge(&change.to).await.map_err(place())?;
        }
    }
    Ok(())
}

/// Sessions and tokens end in the middle of a run.
pub(super) async fn session_expires(setup: &Setup<'_>) -> Check {
    let calls = calls(setup, 1).await?;
    for after in setup.some_of(calls, "sessions") {
        let place = || at(format!("sessions end at call {after} of {calls}"));
        let (world, change) = before(setup, 1).await?;
        let state = Arc::clone(&world.state);
        let hand = Arc::new(move || state.expire_sessions());
        needs!(
            world.rig.disturb(Trouble::Meddle { after, hand }),
            "this fault cannot be made here"
        );
        world.converge(&change.to).await.map_err(place())?;
    }
    Ok(())
}

/// Another actor removes and adds entries of its own while we list and write, one of them with a value that
/// we are about to add.
pub(super) async fn others_write_meanwhile(setup: &Setup<'_>) -> Check {
    let calls = calls(setup, 1).await?;
    for after in setup.some_of(calls, "others") {
        let place = || at(format!("somebody writes at call {after} of {calls}"));
        let (world, change) = before(setup, 1).await?;
        let mechanism = world.capabilities.mechanism;
        let contested = change.values[4].clone();
        let new = change.values[7].clone();
        let Some(gone) = world.foreign().keys().next().cloned() else {
            return Err(Stop::Skipped(
                "an administrator cannot make entries here".to_owned(),
            ));
        };
        let taken = Arc::new(AtomicBool::new(false));
        let hand = {
            let (state, taken, new, gone) = (
                Arc::clone(&world.state),
                Arc::clone(&taken),
                new.clone(),
                gone.clone(),
            );
            let contested = contested.clone();
            Arc::new(move || {
                state.remove(mechanism, &gone);
                state.add_foreign(mechanism, &new);
                let free = state
                    .enforced(mechanism)
                    .iter()
                    .all(|entry| entry.value != contested);
                taken.store(
                    free && state.add_foreign(mechanism, &contested),
                    Ordering::SeqCst,
                );
            })
        };
        needs!(
            world.rig.disturb(Trouble::Meddle { after, hand }),
            "this fault cannot be made here"
        );
        // A listing during which entries changed may fail; it must not be taken for complete.
        world.run(Order::new(&change.to)).await.map_err(place())?;
        world.rig.calm();
        {
            let mut foreign = world.foreign();
            foreign.remove(&gone);
            foreign.insert(new, None);
            if taken.load(Ordering::SeqCst) {
                if world.capabilities.foreign != Foreign::Coexists
                    && !matches!(world.capabilities.proof, Proof::Mark { .. })
                {
                    world.twins().insert(contested.clone());
                }
                foreign.insert(contested, None);
            }
        }
        world.converge(&change.to).await.map_err(place())?;
    }
    Ok(())
}
