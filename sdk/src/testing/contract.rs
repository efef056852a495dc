//! The contract suite: what every connector must do, whatever its vendor. Driven by capabilities: what a
//! mechanism does not declare is skipped, and the report says why.
//!
//! Every scenario starts with a fresh vendor that already holds entries of somebody else, runs the real loop
//! against it, and after each run compares what the vendor enforces with what a slow and obvious model
//! expects at that instant.

mod capture;
mod model;
mod rig;
mod scenarios;
mod suite;
mod watch;
mod world;

pub use rig::{ConnectorSubject, MemorySubject, Rig, Subject};
pub use suite::{
    Line, SuiteOptions, SuiteReport, Verdict, run_combination, run_subject, run_suite,
};

/// Why a scenario ended early.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// The capabilities say that there is nothing to test.
    Skipped(String),
    /// The contract is broken.
    Failed(String),
}

/// What a scenario ends with.
pub(crate) type Check<T = ()> = Result<T, Stop>;

/// Ends a scenario as failed unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::testing::contract::Stop::Failed(format!($($message)+)));
        }
    };
}

/// Ends a scenario as skipped unless the condition holds.
macro_rules! needs {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::testing::contract::Stop::Skipped(format!($($why)+)));
        }
    };
}

use {ensure, needs};
