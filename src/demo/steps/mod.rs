//! The steps of the story.

mod arrive;
mod leave;
mod trouble;

use chrono::{NaiveDate, TimeDelta};
use sdk::indicator::Value;
use sdk::report::Report;
use sdk::{Error, Result};

use super::world::World;
use super::{Checks, Told};
use crate::command::report::status_name;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The fakes run, and an operator's entries are there.
    Start,
    /// The collections, row by row.
    Read,
    /// The plan, and the first push.
    Push,
    /// The same again.
    Again,
    /// The clock moves past some ends.
    Expiry,
    /// A source takes something back.
    Revocation,
    /// Something turns out to be a customer's.
    Exclusion,
    /// The operator's entries.
    Operator,
    /// Sources that fail, and one that is really empty.
    FailedSource,
    /// A source loses most of what it had.
    MassRemoval,
    /// The network goes away in the middle of a write.
    Unplugged,
    /// All of ours goes.
    Retire,
}

impl Step {
    /// In order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Start,
        Self::Read,
        Self::Push,
        Self::Again,
        Self::Expiry,
        Self::Revocation,
        Self::Exclusion,
        Self::Operator,
        Self::FailedSource,
        Self::MassRemoval,
        Self::Unplugged,
        Self::Retire,
    ];

    /// Its place, from 1.
    pub(crate) fn number(self) -> usize {
        self as usize + 1
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Read => "read",
            Self::Push => "push",
            Self::Again => "again",
            Self::Expiry => "expiry",
            Self::Revocation => "revocation",
            Self::Exclusion => "exclusion",
            Self::Operator => "operator's own",
            Self::FailedSource => "failed source",
            Self::MassRemoval => "mass removal",
            Self::Unplugged => "unplugged",
            Self::Retire => "retire",
        }
    }

    /// Takes it.
    ///
    /// # Errors
    /// What kept it from getting to its end; what it found wrong stands in its checks.
    pub(crate) async fn take(self, world: &mut World) -> Result<Told> {
        match self {
            Self::Start => arrive::start(world),
            Self::Read => arrive::read(world).await,
            Self::Push => arrive::push(world).await,
            Self::Again => arrive::again(world).await,
            Self::Expiry => leave::expiry(world).await,
            Self::Revocation => leave::revocation(world).await,
            Self::Exclusion => leave::exclusion(world).await,
            Self::Operator => leave::operator(world).await,
            Self::FailedSource => trouble::failed_source(world).await,
            Self::MassRemoval => trouble::mass_removal(world).await,
            Self::Unplugged => trouble::unplugged(world).await,
            Self::Retire => trouble::retire(world).await,
        }
    }
}

/// Every run ended with this status.
fn all_ended(checks: &mut Checks, status: &str, reports: &[Report]) {
    for report in reports {
        let found = match &report.error {
            Some(error) => format!("{}: {error}", status_name(report.status)),
            None => status_name(report.status).to_owned(),
        };
        checks.equal(
            format!("the run on {} ended {status}", report.target),
            &status.to_owned(),
            &found,
        );
    }
}

/// The products act on what the collections ask for, no more, no less, nothing twice, and on what the
/// operator made, as he made it.
async fn exact(checks: &mut Checks, world: &World) -> Result<()> {
    let expected = world.expected().await?;
    acts_on(checks, world, &expected);
    Ok(())
}

fn acts_on(checks: &mut Checks, world: &World, expected: &[Vec<Value>; 2]) {
    for (vendor, expected) in world.vendors.iter().zip(expected) {
        checks.same_set(
            format!(
                "{} acts on {} entries of ours, exactly what is wanted",
                vendor.name,
                expected.len()
            ),
            expected,
            &vendor.ours(),
        );
    }
    by_hand(checks, world);
}

fn by_hand(checks: &mut Checks, world: &World) {
    let same = world
        .vendors
        .iter()
        .filter(|vendor| vendor.foreign() == vendor.by_hand)
        .count();
    checks.equal(
        "what the operator made by hand is unchanged on both",
        &world.vendors.len(),
        &same,
    );
}

/// What both products act on because of us.
fn acting(world: &World) -> [Vec<Value>; 2] {
    world.vendors.each_ref().map(super::world::Vendor::ours)
}

/// Writing calls so far in this step.
fn writes(world: &World) -> [usize; 2] {
    world.vendors.each_ref().map(|vendor| vendor.calls()[1])
}

/// The story's time, for people.
fn time(world: &World) -> String {
    world.clock.now().format("%Y-%m-%d %H:%M UTC").to_string()
}

/// Moves the clock on to this time.
fn move_to(world: &World, year: i32, month: u32, day: u32, hour: u32) -> Result<()> {
    let to = NaiveDate::from_ymd_opt(year, month, day)
        .and_then(|day| day.and_hms_opt(hour, 0, 0))
        .ok_or_else(|| Error::internal("a day that the calendar does not have"))?
        .and_utc();
    world
        .clock
        .advance((to - world.clock.now()).max(TimeDelta::zero()));
    Ok(())
}
