//! The story of `cordon demo`: fake vendors on loopback, collections as they were really published, and
//! everything that happens to an indicator between its first block and its last. Every step says what must
//! hold and looks whether it does.

mod checks;
mod server;
mod steps;
mod world;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use sdk::{Clock, Error, Result};
use serde::Serialize;

pub(crate) use checks::{Check, Checks};
use steps::Step;
use world::World;

/// When the story begins, in seconds since 1970: 2021-01-25 09:00 UTC, inside the validity of the shipped
/// rows.
const BEGIN: i64 = 1_611_565_200;

/// A table of a step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    /// Its columns.
    pub header: &'static [&'static str],
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// What a step has to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Two lines of story.
    pub lines: [String; 2],
    /// What there is to see.
    pub tables: Vec<Table>,
    /// What must hold.
    pub checks: Checks,
}

/// Calls that a vendor got during a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Calls {
    /// The vendor.
    pub vendor: &'static str,
    /// Calls that change nothing.
    pub read: usize,
    /// Calls that may.
    pub write: usize,
}

/// One step as it went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepReport {
    /// Its place, from 1.
    pub number: usize,
    /// Its name.
    pub name: &'static str,
    /// `ok` or `failed`.
    pub status: &'static str,
    /// The story's time when it ended.
    pub at: DateTime<Utc>,
    /// Two lines of story.
    pub told: [String; 2],
    /// What there is to see.
    pub tables: Vec<Table>,
    /// What must hold, and whether it does.
    pub checks: Vec<Check>,
    /// What stopped it, if it did not get to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Calls made.
    pub calls: Vec<Calls>,
    /// How long it took.
    pub duration_ms: u64,
}

impl StepReport {
    /// Whether all of it held.
    pub(crate) fn is_ok(&self) -> bool {
        self.status == "ok"
    }
}

/// The whole story.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Story {
    /// `ok` or `failed`.
    pub status: &'static str,
    /// Every step that was taken; the last one is the one that failed, if one did.
    pub steps: Vec<StepReport>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Tells the story, step by step; it ends at the first step that does not hold.
///
/// # Errors
/// Where the world of the story cannot be set up at all.
pub(crate) async fn tell(each: impl Fn(&StepReport)) -> Result<Story> {
    // The story's own clock stands still; this one measures.
    let watch = Clock::system();
    let mut world = world().await?;
    let mut steps = Vec::new();
    for step in Step::ALL {
        let report = take(step, &mut world, &watch).await;
        each(&report);
        let ok = report.is_ok();
        steps.push(report);
        if !ok {
            break;
        }
    }
    let ok = steps.iter().all(StepReport::is_ok);
    Ok(Story {
        status: if ok { "ok" } else { "failed" },
        steps,
        duration_ms: milliseconds(watch.elapsed()),
    })
}

async fn world() -> Result<World> {
    let begin = DateTime::from_timestamp(BEGIN, 0)
        .ok_or_else(|| Error::internal("the story has no beginning"))?;
    World::start(begin).await
}

/// Takes one step.
async fn take(step: Step, world: &mut World, watch: &Clock) -> StepReport {
    let started = watch.elapsed();
    for vendor in &world.vendors {
        vendor.fake.server.log.clear();
    }
    let (told, error) = match step.take(world).await {
        Ok(told) => (told, None),
        Err(error) => (Told::default(), Some(error.to_string())),
    };
    let checks = told.checks.into_list();
    let ok = error.is_none() && checks.iter().all(|check| check.ok);
    StepReport {
        number: step.number(),
        name: step.name(),
        status: if ok { "ok" } else { "failed" },
        at: world.clock.now(),
        told: told.lines,
        tables: told.tables,
        checks,
        error,
        calls: world
            .vendors
            .iter()
            .map(|vendor| {
                let [read, write] = vendor.calls();
                Calls {
                    vendor: vendor.name,
                    read,
                    write,
                }
            })
            .collect(),
        duration_ms: milliseconds(watch.elapsed() - started),
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
