//! What the collections of a deployment come to at one instant.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use super::reading::Reading;
use super::rules::{Rule, Rules, Verdict};
use crate::indicator::{Indicator, Kind, Origin, Value};

/// An include with its place in the deployment.
#[derive(Clone, Copy, Debug)]
pub struct Include<'a> {
    /// The reading; its position in the deployment's list is the first part of the rank.
    pub reading: &'a Reading,
    /// When the store first saw each indicator, in the reading's order; empty where there is no store or
    /// no need (every indicator has `valid_from`).
    pub first_seen: &'a [DateTime<Utc>],
}

/// The settings of a deployment that bear on what is wanted.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// For indicators without an end, by kind, counted from `valid_from` (or first seen).
    pub default_validity: HashMap<Kind, TimeDelta>,
    /// Included names stand for what is below them too.
    pub subdomains: bool,
}

/// A value that is to be blocked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The value.
    pub value: Value,
    /// The latest end among its active reasons; `None` if one has no end.
    pub until: Option<DateTime<Utc>>,
    /// Lowest include index of its active reasons.
    pub include: u16,
    /// Highest confidence of its active reasons; absent is 0.
    pub confidence: u16,
    /// Newest `valid_from` of its active reasons.
    pub valid_from: Option<DateTime<Utc>>,
    /// Where its reasons stand in [`Compiled::reasons`]: first and count, active ones first.
    pub reasons: (u32, u32),
}

impl Wanted {
    /// Order by rank, best first: include index, confidence, newest `valid_from`, value.
    pub fn by_rank(&self, other: &Self) -> Ordering {
        self.include
            .cmp(&other.include)
            .then_with(|| other.confidence.cmp(&self.confidence))
            .then_with(|| other.valid_from.cmp(&self.valid_from))
            .then_with(|| self.value.cmp(&other.value))
    }
}

/// One indicator behind a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Index of the include.
    pub include: u16,
    /// Where it stands in its source.
    pub origin: Origin,
    /// Its own end, defaults applied.
    pub until: Option<DateTime<Utc>>,
    /// Its version.
    pub modified: Option<DateTime<Utc>>,
}

/// Why a value that is in the sources is not wanted. A value that is in none is *withdrawn*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Every reason for it ended.
    Expired,
    /// Every reason for it that did not end was revoked.
    Revoked,
    /// A rule keeps it off.
    Excluded(Rule),
    /// It starts later.
    Waiting(DateTime<Utc>),
}

/// A value that a rule keeps off, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The value.
    pub value: Value,
    /// The rule.
    pub rule: Rule,
}

/// What a deployment comes to.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// What is to be blocked, sorted by value, without duplicates.
    pub wanted: Vec<Wanted>,
    /// The reasons of what is wanted, grouped by value.
    pub reasons: Vec<Reason>,
    /// Why other values of the sources are not wanted. [`Compiled::why_absent`] answers for the parts of
    /// cut networks too.
    pub absent: HashMap<Value, Absence>,
    /// What rules keep off whole, sorted by value.
    pub refused: Vec<Refused>,
    /// Networks that rules keep off in part, sorted by value: what is left of each is wanted.
    pub cut: Vec<Refused>,
    /// How many wait for their `valid_from`.
    pub waiting: usize,
}

impl Compiled {
    /// Why a value that is held is not wanted; `None` where no source has it (it is *withdrawn*).
    ///
    /// A held network may be a part of one of the sources, left over from an earlier cut: it is answered
    /// for by the networks of the sources around it, the narrowest first.
    pub fn why_absent(&self, value: &Value, rules: &Rules) -> Option<Absence> {
        if self.absent.is_empty() {
            return None;
        }
        if let Some(absence) = self.absent.get(value) {
            return Some(absence.clone());
        }
        std::iter::successors(wider(value), wider).find_map(|around| {
            match self.absent.get(&around)? {
                Absence::Excluded(_) => match rules.verdict(value) {
                    // It was cut otherwise before: the wider part that is wanted now replaces it.
                    Verdict::Free => None,
                    Verdict::Refused(rule) | Verdict::Cut(rule, _) => Some(Absence::Excluded(rule)),
                },
                other => Some(other.clone()),
            }
        })
    }
}

/// The next wider network.
pub(crate) fn wider(value: &Value) -> Option<Value> {
    match value {
        Value::Ipv4(network) => network.supernet().map(Value::Ipv4),
        Value::Ipv6(network) => network.supernet().map(Value::Ipv6),
        _ => None,
    }
}

/// Compiles includes minus rules at `now`. Pure; n log n.
pub fn compile(
    includes: &[Include<'_>],
    rules: &Rules,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Compiled {
    let run = Run::new(includes, rules, policy, now);
    let mut compiled = Compiled {
        // Most are wanted, for one reason each; memory that is not needed is never touched.
        wanted: Vec::with_capacity(run.entries.len()),
        reasons: Vec::with_capacity(run.entries.len()),
        ..Compiled::default()
    };
    run.compile(&mut compiled);
    compiled.wanted.shrink_to_fit();
    compiled.reasons.shrink_to_fit();
    compiled
}

/// One indicator of one include, by its place.
#[derive(Clone, Copy)]
struct Entry {
    /// Ordered as the value, as far as it goes: sorting must not fetch a million values from all over
    /// memory twenty times.
    key: u64,
    index: u32,
    include: u16,
}

/// What an indicator is at `now`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Waiting(DateTime<Utc>),
    Revoked,
    Ended,
}

/// What is left of cut networks and not yet in its place: value, and the entries behind it.
type Parts = BTreeMap<Value, Vec<Range<usize>>>;

struct Run<'a> {
    includes: &'a [Include<'a>],
    rules: &'a Rules,
    default_validity: [Option<TimeDelta>; Kind::ALL.len()],
    now: DateTime<Utc>,
    /// Sorted by value, include, place.
    entries: Vec<Entry>,
}

impl<'a> Run<'a> {
    fn new(
        includes: &'a [Include<'a>],
        rules: &'a Rules,
        policy: &Policy,
        now: DateTime<Utc>,
    ) -> Self {
        let count = includes.iter().map(|i| i.reading.indicators.len()).sum();
        let mut entries = Vec::with_capacity(count);
        for (include, from) in (0_u16..).zip(includes) {
            let places = (0_u32..).zip(&from.reading.indicators);
            entries.extend(places.map(|(index, indicator)| Entry {
                key: indicator.value.order_prefix(),
                index,
                include,
            }));
        }
        let mut run = Self {
            includes,
            rules,
            default_validity: Kind::ALL.map(|kind| policy.default_validity.get(&kind).copied()),
            now,
            entries: Vec::new(),
        };
        entries.sort_unstable_by(|a, b| {
            (a.key.cmp(&b.key))
                .then_with(|| run.indicator(*a).value.cmp(&run.indicator(*b).value))
                .then_with(|| (a.include, a.index).cmp(&(b.include, b.index)))
        });
        run.entries = entries;
        run
    }

    fn indicator(&self, entry: Entry) -> &'a Indicator {
        &self.includes[usize::from(entry.include)].reading.indicators[entry.index as usize]
    }

    /// Walks the values in order. Parts of a cut network come after it, so they wait in `parts` until
    /// their place is reached, where the same value may stand on its own.
    fn compile(&self, compiled: &mut Compiled) {
        let mut parts = Parts::new();
        let mut start = 0;
        while let Some(first) = self.entries.get(start) {
            let value = &self.indicator(*first).value;
            let same =
                |entry: &&Entry| entry.key == first.key && self.indicator(**entry).value == *value;
            let group = start..start + self.entries[start..].iter().take_while(same).count();
            start = group.end;
            while let Some(part) = parts.first_entry()
                && part.key() < value
            {
                let (value, ranges) = part.remove_entry();
                self.want(value, &ranges, compiled);
            }
            match parts.remove(value) {
                // No rule touches what a cut left.
                Some(mut ranges) => {
                    ranges.insert(0, group);
                    self.want(value.clone(), &ranges, compiled);
                }
                None => self.judge(value, group, &mut parts, compiled),
            }
        }
        for (value, ranges) in parts {
            self.want(value, &ranges, compiled);
        }
    }

    /// Decides on one value of the sources.
    fn judge(
        &self,
        value: &Value,
        group: Range<usize>,
        parts: &mut Parts,
        compiled: &mut Compiled,
    ) {
        if let Some(absence) = self.absence(group.clone()) {
            if matches!(absence, Absence::Waiting(_)) {
                compiled.waiting += 1;
            }
            compiled.absent.insert(value.clone(), absence);
            return;
        }
        let (rule, list) = match self.rules.verdict(value) {
            Verdict::Free => return self.want(value.clone(), &[group], compiled),
            Verdict::Refused(rule) => (rule, &mut compiled.refused),
            Verdict::Cut(rule, left) => {
                for part in left {
                    parts.entry(part).or_default().push(group.clone());
                }
                (rule, &mut compiled.cut)
            }
        };
        list.push(Refused {
            value: value.clone(),
            rule: rule.clone(),
        });
        compiled
            .absent
            .insert(value.clone(), Absence::Excluded(rule));
    }

    /// Why nothing speaks for a value now; `None` where something does.
    fn absence(&self, group: Range<usize>) -> Option<Absence> {
        let mut waiting: Option<DateTime<Utc>> = None;
        let mut revoked = false;
        for entry in &self.entries[group] {
            match self.state(*entry).0 {
                State::Active => return None,
                State::Waiting(from) => {
                    waiting = Some(waiting.map_or(from, |earliest| earliest.min(from)));
                }
                State::Revoked => revoked = true,
                State::Ended => {}
            }
        }
        Some(match waiting {
            Some(from) => Absence::Waiting(from),
            None if revoked => Absence::Revoked,
            None => Absence::Expired,
        })
    }

    /// State, start and end of an indicator, defaults applied.
    fn state(&self, entry: Entry) -> (State, Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let indicator = self.indicator(entry);
        let validity = indicator.validity;
        let from = validity.from.or_else(|| {
            let first_seen = self.includes[usize::from(entry.include)].first_seen;
            first_seen.get(entry.index as usize).copied()
        });
        let until = validity.until.or_else(|| {
            let length = self.default_validity[indicator.value.kind() as usize]?;
            let end = from.unwrap_or(self.now).checked_add_signed(length);
            Some(end.unwrap_or(DateTime::<Utc>::MAX_UTC))
        });
        let state = match (until, from) {
            (Some(until), _) if until <= self.now => State::Ended,
            _ if indicator.revoked => State::Revoked,
            (_, Some(from)) if from > self.now => State::Waiting(from),
            _ => State::Active,
        };
        (state, from, until)
    }

    /// Adds a value with all its reasons, the active ones first.
    fn want(&self, value: Value, ranges: &[Range<usize>], compiled: &mut Compiled) {
        let first = compiled.reasons.len();
        let mut wanted = Wanted {
            value,
            until: Some(DateTime::<Utc>::MIN_UTC),
            include: u16::MAX,
            confidence: 0,
            valid_from: None,
            reasons: (0, 0),
        };
        let mut inactive = Vec::new();
        for entry in ranges.iter().flat_map(|range| &self.entries[range.clone()]) {
            let (state, from, until) = self.state(*entry);
            let indicator = self.indicator(*entry);
            let reason = Reason {
                include: entry.include,
                origin: indicator.origin.clone(),
                until,
                modified: indicator.modified,
            };
            if state != State::Active {
                inactive.push(reason);
                continue;
            }
            // No end is later than any.
            wanted.until = wanted
                .until
                .zip(until)
                .map(|(latest, until)| latest.max(until));
            wanted.include = wanted.include.min(entry.include);
            wanted.confidence = wanted.confidence.max(indicator.confidence.unwrap_or(0));
            wanted.valid_from = wanted.valid_from.max(from);
            compiled.reasons.push(reason);
        }
        compiled.reasons.append(&mut inactive);
        wanted.reasons = (
            u32::try_from(first).unwrap_or(u32::MAX),
            u32::try_from(compiled.reasons.len() - first).unwrap_or(u32::MAX),
        );
        compiled.wanted.push(wanted);
    }
}

#[cfg(test)]
mod tests;
