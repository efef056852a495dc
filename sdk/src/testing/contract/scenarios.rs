//! The scenarios, in one table.

mod faults;
mod foreign;
mod life;
mod limits;
mod safety;
mod sequences;

use futures::future::LocalBoxFuture;

use super::Check;
use super::world::Setup;

/// One scenario.
pub(super) struct Scenario {
    /// Its name in the report.
    pub(super) name: &'static str,
    /// Runs it.
    pub(super) run: for<'a> fn(&'a Setup<'a>) -> LocalBoxFuture<'a, Check>,
}

macro_rules! scenarios {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Scenario {
            name: stringify!($name),
            run: |setup| Box::pin($module::$name(setup)),
        }),*]
    };
}

/// All of them, in the order of the report.
pub(super) const SCENARIOS: &[Scenario] = scenarios![
    life::creation,
    life::idempotence,
    life::expiry,
    life::renewal,
    life::revocation,
    life::withdrawal,
    life::extension,
    life::shortening,
    life::exclusion,
    life::waiting,
    life::several_reasons,
    life::ending_soon,
    life::all_at_once,
    foreign::equal_foreign_entry_first,
    foreign::equal_foreign_entry_later,
    foreign::two_owners,
    foreign::adoption,
    foreign::drift,
    foreign::reboot,
    faults::killed_at_any_call,
    faults::one_call_lost,
    faults::moved_end_of_a_killed_run,
    faults::process_dies_at_any_call,
    faults::unknown_fate_is_settled_by_looking,
    faults::retry_after,
    faults::retries_stop,
    faults::session_expires,
    faults::others_write_meanwhile,
    limits::rejected_rows,
    limits::batches,
    limits::capacity,
    safety::dry_run,
    safety::examination,
    safety::removals_guard,
    safety::additions_guard,
    safety::commit_once,
    safety::clock_skew,
    safety::failed_include,
    safety::failed_exclude,
    safety::no_secret_told,
    sequences::wanted_states,
    sequences::random_walks,
];
