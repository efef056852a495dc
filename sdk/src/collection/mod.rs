//! Collections: reading them from their sources, and what they come to together at one instant.
//!
//! A read is complete or failed; there is no third result. [`compile`] is pure.

mod addresses;
mod compile;
mod names;
mod protect;
mod reading;
mod rules;
pub mod sekoia;
mod source;

mod cells;
mod columns;
mod list;
mod warninglist;

pub use addresses::{AddressSet, Ipv4Set, Ipv6Set, Network};
pub(crate) use compile::wider;
pub use compile::{Absence, Compiled, Include, Policy, Reason, Refused, Wanted, compile};
pub use protect::{Protection, Settings as ProtectionSettings};
pub use reading::{Reading, Skipped, SkippedReason, Skips};
pub use rules::{Rule, Rules};
pub use source::{Location, ReadContext, Source, SourceKind};
