//! The planner: what is wanted and what is held in, changes out. Pure: no I/O, no clock, no vendor.
//!
//! One pass over two sorted lists. What somebody else made is never changed; what another owner of ours
//! wants is never taken away.

mod capacity;
mod ends;
mod guard;
mod model;

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};

use crate::indicator::Value;
use crate::ownership::{Mark, Note, Observed, Owner, Until, later};
use crate::target::{Capabilities, EndKnownBy, Foreign, Proof, Removal, Write};

pub use capacity::pools;
pub use ends::{NativeNeed, native_need, written_end};
pub use guard::{Guarded, History, describe, digest, guard};
pub use model::{
    Change, Desired, ForeignEntry, Operation, Options, Plan, Question, RemovalReason, Verdict, What,
};

/// An end nearer than this is not worth an addition.
const SHORTEST: TimeDelta = TimeDelta::seconds(60);

/// Plans. `n log n` in wanted and held together.
pub fn plan(question: Question<'_>) -> Plan {
    let places = capacity::places(&question);
    let mut plan = Plan::default();
    if question.options.record {
        let most = question.wanted.len().min(question.observed.len());
        plan.present.reserve_exact(most);
    }
    let mut wanted = question.wanted.iter().enumerate().peekable();
    let mut observed = question.observed;
    loop {
        let next_held = observed.first().map(|entry| &entry.held.value);
        let take_wanted = match (wanted.peek(), next_held) {
            (None, None) => break,
            (Some((_, desired)), Some(value)) => desired.value <= *value,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let desired = if take_wanted { wanted.next() } else { None };
        let Some(value) = desired.map(|(_, desired)| &desired.value).or(next_held) else {
            break;
        };
        let count = observed
            .iter()
            .take_while(|entry| entry.held.value == *value)
            .count();
        let (group, rest) = observed.split_at(count);
        observed = rest;
        plan.entries[value.kind() as usize] += group.len();
        plan.mine += group
            .iter()
            .filter(|entry| entry.claim(question.owner).is_some())
            .count();
        match desired {
            Some((index, _)) if places.has(index) => {
                plan_wanted(&question, &mut plan, index, group);
            }
            Some((_, desired)) => {
                if desired
                    .until
                    .is_none_or(|until| until - question.now >= SHORTEST)
                {
                    plan.no_room.push(desired.value.clone());
                }
                plan_unwanted(&question, &mut plan, group, Some(desired.rank));
            }
            None => plan_unwanted(&question, &mut plan, group, None),
        }
    }
    plan.changes
        .sort_by(|a, b| (a.what, &a.value).cmp(&(b.what, &b.value)));
    plan
}

fn plan_wanted(question: &Question<'_>, plan: &mut Plan, place: usize, group: &[Observed]) {
    let desired = &question.wanted[place];
    // Ours first, then one that another owner of ours wants, so that there is one entry per value.
    let mine = group
        .iter()
        .position(|entry| entry.claim(question.owner).is_some());
    let primary = mine.or_else(|| group.iter().position(|entry| !entry.claims.is_empty()));
    match primary {
        Some(index) => {
            plan_present(question, plan, place, &group[index]);
            for (other, entry) in group.iter().enumerate() {
                if other != index && entry.claim(question.owner).is_some() {
                    remove(question, plan, entry, RemovalReason::Withdrawn, false);
                }
            }
        }
        None if group.is_empty() || question.capabilities.foreign == Foreign::Coexists => {
            plan_add(question, plan, desired);
        }
        None => plan_foreign(question, plan, desired, group),
    }
}

fn plan_add(question: &Question<'_>, plan: &mut Plan, desired: &Desired) {
    if desired
        .until
        .is_some_and(|until| until - question.now < SHORTEST)
    {
        return;
    }
    if !question.options.may_add {
        plan.waiting_for_rules += 1;
        return;
    }
    let mark = Mark::new(question.owner.clone(), desired.until);
    let until = mark.until;
    let note = Note {
        marks: vec![mark],
        was: None,
        rest: desired.words.as_deref().unwrap_or_default().to_owned(),
    };
    let Some(note) = written_note(question, &note, &desired.value) else {
        plan.stuck.push((
            desired.value.clone(),
            Cow::Borrowed("the mark does not fit into the vendor's text field"),
        ));
        return;
    };
    plan.changes.push(Change {
        value: desired.value.clone(),
        what: What::Add,
        reason: Cow::Borrowed("wanted"),
        operation: Operation::Add(Write {
            value: desired.value.clone(),
            id: None,
            expires: native_end(question, until, &desired.value),
            note,
            note_and_end_only: false,
            held_expires: None,
            held_note: None,
        }),
        until,
        exempt: false,
        shortens: false,
        rank: desired.rank,
    });
}

/// An entry that carries a claim of ours, the owner's or another's.
fn plan_present(question: &Question<'_>, plan: &mut Plan, place: usize, entry: &Observed) {
    let desired = &question.wanted[place];
    let claim = entry.claim(question.owner);
    if claim.is_some_and(|claim| claim.until.passed(question.now)) && !question.options.may_add {
        // The extension that is wanted may not be given, and the recorded end has passed.
        remove(question, plan, entry, RemovalReason::Expired, true);
        return;
    }
    let asked = Mark::end(desired.until);
    let held_until = claim.map(|claim| claim.until);
    let mut until = asked;
    if let Some(Until::Known(held)) = held_until {
        let extends = later(held, asked) != held;
        if (extends && !question.options.may_add) || (!extends && !question.options.may_shorten) {
            until = held;
        }
    } else if claim.is_none() {
        // Another owner's entry: our mark on it is an addition.
        if asked.is_some_and(|until| until - question.now < SHORTEST) {
            return;
        }
        if !question.options.may_add {
            plan.waiting_for_rules += 1;
            return;
        }
    }
    let others = others_end(entry, question.owner);
    let mut end = others.map_or(until, |others| later(until, others));
    if let Some(was) = entry.note.was {
        end = later(end, was);
    }
    let recorded_by_vendor = matches!(question.capabilities.proof, Proof::Mark { .. });
    // Without mark and store nothing but the vendor's own end is recorded, which is judged apart.
    let end_changes = (recorded_by_vendor || question.options.record || claim.is_none())
        && held_until != Some(Until::Known(until));
    let adopted = entry.note.was.is_some();
    let broken = !adopted && (!entry.held.conforms || !entry.held.blocks);
    // An adopted entry that had no end keeps none, whatever the vendor's longest is.
    let endless = entry.note.was == Some(None) && entry.held.expires.is_none();
    let need = question
        .capabilities
        .native_end
        .filter(|_| !endless)
        .map_or(NativeNeed::None, |native| {
            native_need(
                entry.held.expires,
                end,
                question.now,
                &native,
                &entry.held.value,
            )
        });
    let writes = (recorded_by_vendor && (end_changes || entry.renamed))
        || need != NativeNeed::None
        || broken;
    if !writes && !end_changes {
        plan.unchanged += 1;
        if question.options.record {
            plan.present.push((place, until));
        }
        return;
    }
    // Arming it again or moving its end on is blocking anew: not while a list that could forbid it is unread.
    if !question.options.may_add && (broken || need == NativeNeed::Renew) {
        plan.waiting_for_rules += 1;
        return;
    }
    let what = match (claim, end_changes || broken || entry.renamed, need) {
        (None, ..) => What::Add,
        (Some(_), false, NativeNeed::Renew) => What::Renew,
        _ => What::Update,
    };
    let reason = match (claim, broken, end_changes) {
        (None, ..) => "wanted here too",
        (_, true, _) => "was changed at the vendor",
        (_, _, true) => "end moved",
        _ if entry.renamed => "owner renamed",
        _ if what == What::Renew => "end renewed",
        _ => "end differs at the vendor",
    };
    let operation = if writes {
        if !entry.held.writable {
            plan.stuck.push((
                desired.value.clone(),
                Cow::Borrowed("the vendor does not let us change its entry"),
            ));
            return;
        }
        let note = with_claim(entry, question.owner, Some(until));
        let Some(note) = written_note(question, &note, &desired.value) else {
            plan.stuck.push((
                desired.value.clone(),
                Cow::Borrowed("the marks of all owners do not fit into the vendor's text field"),
            ));
            return;
        };
        Operation::Update(Write {
            value: desired.value.clone(),
            id: Some(entry.held.id.clone()),
            expires: kept_end(question, entry, end),
            note,
            note_and_end_only: adopted,
            held_expires: entry.held.expires,
            held_note: entry.held.note.clone(),
        })
    } else {
        Operation::Record
    };
    let soon = question.now + TimeDelta::hours(24);
    let within = |end: Option<DateTime<Utc>>| end.is_some_and(|end| end <= soon);
    plan.changes.push(Change {
        value: desired.value.clone(),
        what,
        reason: Cow::Borrowed(reason),
        operation,
        until,
        exempt: false,
        shortens: within(until) && matches!(held_until, Some(Until::Known(held)) if !within(held)),
        rank: desired.rank,
    });
}

fn plan_foreign(question: &Question<'_>, plan: &mut Plan, desired: &Desired, group: &[Observed]) {
    let adoptable = group
        .iter()
        .find(|entry| entry.held.blocks && entry.held.writable && !entry.held.allows);
    let (Some(entry), true, true, Proof::Mark { .. }) = (
        adoptable,
        question.options.adopt,
        question.options.may_add,
        question.capabilities.proof,
    ) else {
        plan.foreign.push(ForeignEntry {
            value: desired.value.clone(),
            blocks: (question.capabilities.foreign != Foreign::Unseen)
                .then(|| group.iter().any(|entry| entry.held.blocks)),
        });
        return;
    };
    if desired
        .until
        .is_some_and(|until| until - question.now < SHORTEST)
    {
        return;
    }
    let mark = Mark::new(question.owner.clone(), desired.until);
    let until = mark.until;
    let note = Note {
        marks: vec![mark],
        was: Some(entry.held.expires),
        rest: entry.held.note.as_deref().unwrap_or_default().to_owned(),
    };
    let end = later(until, entry.held.expires);
    // A person's words are not cut: adopting must be undone without loss.
    let whole = note.rest.chars().count();
    let text = written_note(question, &note, &desired.value).filter(|text| {
        Note::read(text, question.installation, &desired.value)
            .rest
            .chars()
            .count()
            >= whole
    });
    let Some(text) = text else {
        plan.stuck.push((
            desired.value.clone(),
            Cow::Borrowed("no room for the mark beside what stands in the vendor's text field"),
        ));
        return;
    };
    plan.changes.push(Change {
        value: desired.value.clone(),
        what: What::Adopt,
        reason: Cow::Borrowed("wanted, somebody else's entry"),
        operation: Operation::Update(Write {
            value: desired.value.clone(),
            id: Some(entry.held.id.clone()),
            expires: end,
            note: text,
            note_and_end_only: true,
            held_expires: entry.held.expires,
            held_note: entry.held.note.clone(),
        }),
        until,
        exempt: false,
        shortens: false,
        rank: desired.rank,
    });
}

fn plan_unwanted(
    question: &Question<'_>,
    plan: &mut Plan,
    group: &[Observed],
    lost_its_place: Option<u32>,
) {
    for entry in group {
        let Some(claim) = entry.claim(question.owner) else {
            continue;
        };
        let ended = claim.until.passed(question.now);
        let verdict = match lost_its_place {
            Some(_) => Verdict::Remove(RemovalReason::Capacity),
            None => (question.verdict)(&entry.held.value, claim),
        };
        match verdict {
            // Asked first: what must not be blocked goes before everything else, whether it has ended or not.
            Verdict::Remove(RemovalReason::Excluded) => {
                remove(question, plan, entry, RemovalReason::Excluded, ended);
            }
            _ if ended => remove(question, plan, entry, RemovalReason::Expired, true),
            Verdict::Keep => plan.kept += 1,
            Verdict::Remove(reason) => {
                remove(question, plan, entry, reason, false);
                if let (Some(rank), Some(change)) = (lost_its_place, plan.changes.last_mut()) {
                    change.rank = rank;
                }
            }
        }
    }
}

fn remove(
    question: &Question<'_>,
    plan: &mut Plan,
    entry: &Observed,
    reason: RemovalReason,
    exempt: bool,
) {
    let value = &entry.held.value;
    let others = others_end(entry, question.owner);
    let note = with_claim(entry, question.owner, None);
    let update = |expires, note, adopted| {
        Operation::Update(Write {
            value: value.clone(),
            id: Some(entry.held.id.clone()),
            expires,
            note,
            note_and_end_only: adopted,
            held_expires: entry.held.expires,
            held_note: entry.held.note.clone(),
        })
    };
    let operation = match (others, entry.note.was) {
        (Some(_), _) if !matches!(question.capabilities.proof, Proof::Mark { .. }) => {
            Operation::Record
        }
        (Some(others), was) => {
            let end = was.map_or(others, |was| later(others, was));
            match written_note(question, &note, value) {
                Some(text) => update(kept_end(question, entry, end), text, was.is_some()),
                None => Operation::Record,
            }
        }
        // Given back as it was. Its own end may have passed meanwhile, and vendors refuse a past end: the
        // nearest that they take lets it end now.
        (None, Some(was)) => {
            let nearest = question.now + SHORTEST;
            let end = was.map(|was| {
                if was < nearest {
                    native_end(question, Some(nearest), value).unwrap_or(nearest)
                } else {
                    was
                }
            });
            update(end, note.rest, true)
        }
        (None, None) => Operation::Remove(Removal {
            id: entry.held.id.clone(),
            value: value.clone(),
        }),
    };
    if !entry.held.writable && operation != Operation::Record {
        plan.stuck.push((
            value.clone(),
            Cow::Borrowed("the vendor does not let us remove its entry"),
        ));
        return;
    }
    plan.changes.push(Change {
        value: value.clone(),
        what: What::Remove(reason),
        reason: Cow::Borrowed(reason.name()),
        operation,
        until: None,
        exempt,
        shortens: false,
        rank: u32::MAX,
    });
}

/// The note with the owner's claim set, or taken out.
fn with_claim(entry: &Observed, owner: &Owner, until: Option<Option<DateTime<Utc>>>) -> Note {
    let mut note = entry.note.clone();
    note.marks.retain(|mark| mark.owner != *owner);
    if let Some(until) = until {
        note.marks.push(Mark::new(owner.clone(), until));
        note.marks.sort_by(|a, b| a.owner.cmp(&b.owner));
    }
    note
}

/// The latest end among the other owners' claims; `None` if there is no other owner.
fn others_end(entry: &Observed, owner: &Owner) -> Option<Option<DateTime<Utc>>> {
    entry
        .claims
        .iter()
        .filter(|claim| claim.owner != *owner)
        .map(|claim| claim.until.latest())
        .reduce(later)
}

fn written_note(question: &Question<'_>, note: &Note, value: &Value) -> Option<String> {
    match question.capabilities.proof {
        Proof::Mark { max_length } => note.write(question.installation, value, max_length),
        Proof::Container | Proof::Ledger => Some(note.rest.clone()),
    }
}

fn native_end(
    question: &Question<'_>,
    end: Option<DateTime<Utc>>,
    value: &Value,
) -> Option<DateTime<Utc>> {
    let native = question.capabilities.native_end?;
    written_end(end, question.now, &native, value.kind())
}

/// The native end to write on an entry that is there: an adopted one that had no end gets none.
fn kept_end(
    question: &Question<'_>,
    entry: &Observed,
    end: Option<DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    if entry.note.was == Some(None) {
        return None;
    }
    native_end(question, end, &entry.held.value)
}

/// Whether a mechanism knows the end of what it holds without a store.
pub fn knows_ends(capabilities: &Capabilities) -> bool {
    capabilities.end_known_by != EndKnownBy::Ledger
}

#[cfg(test)]
mod tests;
