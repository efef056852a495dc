//! What a complete read gives.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::indicator::Indicator;

/// A complete read of a collection.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The collection's name.
    pub name: String,
    /// What was understood, in source order, revoked and ended ones included.
    pub indicators: Vec<Indicator>,
    /// What was understood and left out, by reason.
    pub skipped: Skips,
    /// What people should know about this source, in words.
    pub warnings: Vec<String>,
    /// Whether somebody named each value: what cannot be read then failed, and is not only left out.
    pub named: bool,
}

/// What was left out: the first ones in full, all of them counted.
#[derive(Clone, Debug, Default)]
pub struct Skips {
    /// The first 1,000.
    pub first: Vec<Skipped>,
    /// How many by reason.
    pub counts: BTreeMap<SkippedReason, usize>,
    /// Ports taken off addresses and names: what remains blocks every port.
    pub ports: usize,
    /// STIX objects that are no indicators (reports, identities, relationships): nothing was left out of
    /// these, they are counted so that the numbers add up.
    pub other_objects: usize,
}

impl Skips {
    /// Adds one.
    pub fn push(&mut self, skipped: Skipped) {
        *self.counts.entry(skipped.reason).or_default() += 1;
        if self.first.len() < 1000 {
            self.first.push(skipped);
        }
    }

    /// Forgets what was said of a place because something newer stands there: the parts with these
    /// reasons.
    pub(crate) fn take_back(&mut self, place: &str, reasons: &[SkippedReason]) {
        for reason in reasons {
            if let Some(count) = self.counts.get_mut(reason) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(reason);
                }
            }
        }
        self.first
            .retain(|skipped| skipped.place != place || skipped.reason == SkippedReason::Stale);
    }

    /// How many with this reason.
    pub fn count(&self, reason: SkippedReason) -> usize {
        self.counts.get(&reason).copied().unwrap_or(0)
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }
}

/// One row or object that is not an indicator for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Line number, object id.
    pub place: String,
    /// The text, at most 200 characters.
    pub text: String,
    /// Why, as counted.
    pub reason: SkippedReason,
    /// Why, in words.
    pub message: Cow<'static, str>,
}

impl Skipped {
    /// Longest [`Skipped::text`], in characters.
    pub const LONGEST_TEXT: usize = 200;

    pub(crate) fn new(
        place: impl Into<String>,
        text: &str,
        reason: SkippedReason,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            place: place.into(),
            text: text.chars().take(Self::LONGEST_TEXT).collect(),
            reason,
            message: message.into(),
        }
    }
}

/// Reasons to leave something out while reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkippedReason {
    /// A known kind that is not supported (an e-mail address, a file name, SHA-512).
    Unsupported,
    /// A pattern whose meaning a list of single values cannot carry.
    Pattern,
    /// Not readable as anything.
    Unreadable,
    /// A bad validity: the end is not after the start.
    Validity,
    /// A row the source repeats with an older version.
    Stale,
}

impl SkippedReason {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Pattern => "pattern",
            Self::Unreadable => "unreadable",
            Self::Validity => "validity",
            Self::Stale => "stale",
        }
    }
}
