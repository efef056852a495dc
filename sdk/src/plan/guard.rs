//! The guard: what is held back until a person says so (design §2.6).

use std::collections::{BTreeMap, HashSet};

use super::{Change, Operation, Plan, RemovalReason, What};
use crate::collection::wider;
use crate::indicator::Value;
use crate::sync::GuardSettings;

/// What is known about earlier runs of the owner on this device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The owner has run here before, or has entries here.
    pub ran_before: bool,
    /// The most entries it had in the last 24 hours.
    pub most: usize,
    /// Counted, unapproved removals of the last 24 hours.
    pub removals: usize,
    /// The same for revocations.
    pub revocations: usize,
    /// IPv4 addresses that the owner's entries cover now.
    pub ipv4_space: u64,
}

/// A plan split into what goes on and what waits.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    /// What is held, sorted.
    pub held: Vec<Change>,
    /// Why, for people; empty if nothing is held.
    pub why: String,
    /// How many by reason.
    pub by_reason: BTreeMap<String, usize>,
    /// Removals that count for the next runs, of what goes on.
    pub counted_removals: usize,
    /// The same for revocations.
    pub counted_revocations: usize,
}

/// Takes out of a plan what the settings hold back.
pub fn guard(plan: &mut Plan, history: &History, settings: &GuardSettings) -> Guarded {
    let base = history.most.max(plan.mine);
    let removals = plan
        .changes
        .iter()
        .filter(|change| is_removal(change))
        .count();
    let revocations = plan
        .changes
        .iter()
        .filter(|change| is_revocation(change))
        .count();
    let mut why: Vec<String> = Vec::new();
    let all_removals = removals + history.removals;
    let hold_removals = removals > 0
        && beyond(
            all_removals,
            base,
            settings.removals_share,
            settings.removals_floor,
        );
    if hold_removals {
        why.push(format!(
            "{all_removals} removals of {base} entries, more than {:.0} % and {}",
            settings.removals_share * 100.0,
            settings.removals_floor
        ));
    }
    let all_revocations = revocations + history.revocations;
    let hold_revocations = revocations > 0
        && beyond(
            all_revocations,
            base,
            settings.revocations_share,
            settings.revocations_floor,
        );
    if hold_revocations {
        why.push(format!(
            "{all_revocations} revocations of {base} entries, more than {:.0} % and {}",
            settings.revocations_share * 100.0,
            settings.revocations_floor
        ));
    }
    let waits = |change: &Change| {
        (hold_removals && is_removal(change)) || (hold_revocations && is_revocation(change))
    };
    let going: HashSet<Value> = plan
        .changes
        .iter()
        .filter(|change| matches!(change.operation, Operation::Remove(_)) && !waits(change))
        .map(|change| change.value.clone())
        .filter(|value| matches!(value, Value::Ipv4(_) | Value::Ipv6(_)))
        .collect();
    // A part of a network that goes in the same run blocks nothing new: held back it would leave a hole.
    let replaces = |change: &Change| {
        !going.is_empty()
            && std::iter::successors(wider(&change.value), wider)
                .any(|around| going.contains(&around))
    };
    let (mut additions, mut space, mut after) = (0, 0, history.ipv4_space);
    for value in &going {
        after = after.saturating_sub(ipv4_space(value));
    }
    let is_new: Vec<bool> = plan
        .changes
        .iter()
        .map(|change| {
            if change.what != What::Add {
                return false;
            }
            let is_new = !replaces(change);
            additions += usize::from(is_new);
            space += if is_new { ipv4_space(&change.value) } else { 0 };
            after += ipv4_space(&change.value);
            is_new
        })
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let many = additions > settings.additions_floor
        && additions as f64 > settings.additions_factor * base as f64;
    let hold_additions = history.ran_before && many;
    if hold_additions {
        why.push(format!(
            "{additions} additions to {base} entries, more than {} and {} times as many",
            settings.additions_floor, settings.additions_factor
        ));
    }
    let hold_space = space > 0 && after > settings.ipv4_space;
    if hold_space {
        why.push(format!(
            "additions cover {space} IPv4 addresses, {after} in all, more than {}",
            settings.ipv4_space
        ));
    }

    let mut guarded = Guarded {
        why: why.join("; "),
        ..Guarded::default()
    };
    let mut held = Vec::new();
    for (change, is_new) in std::mem::take(&mut plan.changes).into_iter().zip(is_new) {
        let too_much = hold_additions || (hold_space && matches!(change.value, Value::Ipv4(_)));
        if waits(&change) || (is_new && too_much) {
            held.push(change);
        } else {
            plan.changes.push(change);
        }
    }
    for change in &held {
        let key = match change.what {
            What::Remove(reason) => reason.name().to_owned(),
            what => what.name().to_owned(),
        };
        *guarded.by_reason.entry(key).or_default() += 1;
    }
    guarded.held = held;
    guarded.counted_removals = plan
        .changes
        .iter()
        .filter(|change| is_removal(change))
        .count();
    guarded.counted_revocations = plan
        .changes
        .iter()
        .filter(|change| is_revocation(change))
        .count();
    guarded
}

fn ipv4_space(value: &Value) -> u64 {
    match value {
        Value::Ipv4(network) => 1 << (32 - network.prefix_len()),
        _ => 0,
    }
}

fn is_removal(change: &Change) -> bool {
    !change.exempt
        && (change.shortens
            || matches!(
                change.what,
                What::Remove(
                    RemovalReason::Withdrawn | RemovalReason::Excluded | RemovalReason::Expired
                )
            ))
}

fn is_revocation(change: &Change) -> bool {
    !change.exempt && change.what == What::Remove(RemovalReason::Revoked)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn beyond(count: usize, base: usize, share: f64, floor: usize) -> bool {
    count > floor && count as f64 > share * base as f64
}

/// A held change as it is shown and approved.
pub fn describe(change: &Change) -> String {
    let end = match (&change.operation, change.until) {
        (Operation::Remove(_), _) => String::new(),
        (_, _) if matches!(change.what, What::Remove(_)) => String::new(),
        (_, Some(until)) => format!(" until {}", until.format("%Y-%m-%dT%H:%MZ")),
        (_, None) => String::new(),
    };
    format!(
        "{} {} {}{end}",
        change.what.name(),
        change.value.kind(),
        change.value
    )
}

/// The digest of a held set: blake3 over its sorted descriptions.
pub fn digest(descriptions: &[String]) -> String {
    let mut hasher = blake3::Hasher::new();
    for description in descriptions {
        hasher.update(description.as_bytes());
        hasher.update(b"\n");
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
