//! What the planner is asked, and what it answers.

use std::borrow::Cow;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::indicator::{Kind, Value};
use crate::ownership::{Claim, Observed, Owner};
use crate::target::{Capabilities, Facts, Removal, Write};

/// A value to block, in the form the vendor will return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// The value.
    pub value: Value,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    /// Its place among all wanted, best first.
    pub rank: u32,
    /// Words for people, written behind the marks of a new entry.
    pub words: Option<Arc<str>>,
}

/// Why something is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemovalReason {
    /// Its end came.
    Expired,
    /// Its source revoked it.
    Revoked,
    /// A list says never.
    Excluded,
    /// No source has it, or somebody asked.
    Withdrawn,
    /// It lost its place to a better one.
    Capacity,
}

impl RemovalReason {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Excluded => "excluded",
            Self::Withdrawn => "withdrawn",
            Self::Capacity => "capacity",
        }
    }
}

/// What to do with an entry of ours that nobody wants now. One whose recorded end has passed goes whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it: a source that may want it could not be read, or absence means nothing here.
    Keep,
    /// Take it away.
    Remove(RemovalReason),
}

/// What a change is, for people and the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// Ours goes.
    Remove(RemovalReason),
    /// A new entry, or our mark on an entry of another owner.
    Add,
    /// End or content changes.
    Update,
    /// A shortened end moves on.
    Renew,
    /// Somebody else's entry takes our mark.
    Adopt,
}

impl What {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Remove(_) => "remove",
            Self::Add => "add",
            Self::Update => "update",
            Self::Renew => "renew",
            Self::Adopt => "adopt",
        }
    }
}

/// How a change is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new entry.
    Add(Write),
    /// A changed entry.
    Update(Write),
    /// An entry goes.
    Remove(Removal),
    /// Only our own record changes: another owner keeps the entry.
    Record,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The value.
    pub value: Value,
    /// What it is.
    pub what: What,
    /// Why, in a word or two.
    pub reason: Cow<'static, str>,
    /// How it is sent.
    pub operation: Operation,
    /// The owner's end after it; `None` without end. Meaningless for removals.
    pub until: Option<DateTime<Utc>>,
    /// The guard never holds it: its recorded end has passed.
    pub exempt: bool,
    /// Its end moves from beyond 24 hours to within: the guard counts it as a removal.
    pub shortens: bool,
    /// Its place among all wanted, best first; for removals the last, unless it lost its place.
    pub rank: u32,
}

/// An equal entry that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignEntry {
    /// The value.
    pub value: Value,
    /// Whether it blocks, so that ours is not missed; `None` where the vendor shows nothing.
    pub blocks: Option<bool>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The changes, sorted: removals first, then by value.
    pub changes: Vec<Change>,
    /// Entries as wanted.
    pub unchanged: usize,
    /// Wanted values that somebody else's entry holds.
    pub foreign: Vec<ForeignEntry>,
    /// Wanted values that have no room.
    pub no_room: Vec<Value>,
    /// Wanted values whose marks do not fit, or whose entry cannot be changed, with the reason.
    pub stuck: Vec<(Value, Cow<'static, str>)>,
    /// Wanted values that wait because a list that could forbid them was not read.
    pub waiting_for_rules: usize,
    /// Entries of ours that nobody wants and that stay for now.
    pub kept: usize,
    /// Entries the owner has there now.
    pub mine: usize,
    /// Entries there now, everybody's, by kind.
    pub entries: [usize; Kind::ALL.len()],
    /// Values that are there as wanted, for the record: the place of each in [`Question::wanted`], and the
    /// owner's end of it.
    pub present: Vec<(usize, Option<DateTime<Utc>>)>,
}

impl Plan {
    /// Entries of these kinds that are there now, everybody's.
    pub fn entries_of(&self, kinds: &[Kind]) -> usize {
        kinds.iter().map(|kind| self.entries[*kind as usize]).sum()
    }
}

/// What may be done in this run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Take over equal foreign entries.
    pub adopt: bool,
    /// Additions and extensions. Off where an exclude or protect list could not be read.
    pub may_add: bool,
    /// Ends may come nearer. Off where an include could not be read.
    pub may_shorten: bool,
    /// Collect [`Plan::present`]: only where there is a store to keep it.
    pub record: bool,
}

/// What the planner is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Wanted, sorted by value, each once.
    pub wanted: &'a [Desired],
    /// Held, as [`crate::ownership::observe`] sorts it.
    pub observed: &'a [Observed],
    /// Who runs.
    pub owner: &'a Owner,
    /// Our installation.
    pub installation: &'a str,
    /// What the mechanism can do.
    pub capabilities: &'a Capabilities,
    /// What the device said.
    pub facts: &'a Facts,
    /// The instant of the run.
    pub now: DateTime<Utc>,
    /// What may be done.
    pub options: Options,
    /// Whether `observed` is everything there, so that room can be counted.
    pub whole: bool,
    /// Judges entries of ours that are not wanted.
    pub verdict: &'a (dyn Fn(&Value, &Claim) -> Verdict + Sync),
}
