//! What is wanted on one device, in the form in which its vendor returns it.

use std::collections::{HashMap, HashSet};

use crate::collection::Rule;
use crate::indicator::Value;
use crate::ownership::Observed;
use crate::plan::{Desired, Plan};
use crate::store::LedgerRow;
use crate::target::{Capabilities, Effect, Facts, Held, Rejection};

use super::device::DeviceRun;
use super::task::Judge;
use super::task::join_names;
use super::{Member, Purpose, Task};

/// Removals up to this many are no matter for the guard, whatever the owner has there.
const UNGUARDED: usize = 10;

/// Wanted values of one device.
pub(super) struct WantedHere {
    /// Sorted by value, each once.
    pub(super) desired: Vec<Desired>,
    /// Sources by value, for the record.
    pub(super) sources: HashMap<Value, String>,
}

pub(super) fn wanted(
    task: &Task,
    member: &Member,
    facts: &Facts,
    record: bool,
    device: &mut DeviceRun,
) -> WantedHere {
    let compiled = &task.compiled;
    let mut order: Vec<u32> =
        (0..u32::try_from(compiled.wanted.len()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|&a, &b| {
        compiled.wanted[a as usize].by_rank(&compiled.wanted[b as usize])
    });
    let mut desired: Vec<Desired> = Vec::with_capacity(order.len());
    let mut sources: HashMap<Value, String> = HashMap::new();
    for (rank, &index) in order.iter().enumerate() {
        let wanted = &compiled.wanted[index as usize];
        let value = &wanted.value;
        match takes(task, member, value, facts) {
            Ok(accepted) => {
                if record {
                    let names = sources.entry(accepted.clone()).or_default();
                    *names = join_names(names, &task.sources_of(index as usize));
                }
                desired.push(Desired {
                    value: accepted,
                    until: wanted.until,
                    rank: u32::try_from(rank).unwrap_or(u32::MAX),
                    words: task.words_of(index as usize),
                });
            }
            Err((reason, message)) => device.refused.push((value.clone(), reason, message)),
        }
    }
    desired.sort_by(|a, b| (&a.value, a.rank).cmp(&(&b.value, b.rank)));
    // Two values that this vendor cannot tell apart are one, until the later end.
    desired.dedup_by(|next, first| {
        let same = next.value == first.value;
        if same {
            first.until = crate::ownership::later(first.until, next.until);
        }
        same
    });
    device.refused.sort_by(|a, b| a.0.cmp(&b.0));
    WantedHere { desired, sources }
}

/// Why a mechanism does not get a kind that it was not chosen for.
pub(super) const NOT_HERE: &str = "not-here";

/// The form in which the device takes a value, or why it does not.
fn takes(
    task: &Task,
    member: &Member,
    value: &Value,
    facts: &Facts,
) -> Result<Value, (&'static str, String)> {
    let capabilities = member.target.capabilities();
    let kind = value.kind();
    if !member.kinds.is_empty() && !member.kinds.contains(&kind) {
        return Err((
            NOT_HERE,
            format!("{kind} is not sent to {} here", capabilities.mechanism),
        ));
    }
    let Some(support) = capabilities.kind(kind) else {
        return Err((
            "unsupported",
            format!("{} does not take {kind}", capabilities.mechanism),
        ));
    };
    if support.effect == Effect::Detect && !task.accept_detection {
        return Err((
            "detect-only",
            format!("{} would only detect {kind}", capabilities.mechanism),
        ));
    }
    let accepted = member
        .target
        .accept(value, facts)
        .map_err(|Rejection::Unsupported(message)| ("unsupported", message.into_owned()))?;
    if let Some(Rule { text, .. }) = conflict(task, capabilities, &accepted) {
        return Err((
            "conflict",
            format!("would also block what is kept off: {text}"),
        ));
    }
    Ok(accepted)
}

/// The rule on something excluded that an entry would block as well: an address what is reached on it, a name the URLs
/// on it, and whatever the vendor matches below.
pub(super) fn conflict(task: &Task, capabilities: &Capabilities, value: &Value) -> Option<Rule> {
    let support = capabilities.kind(value.kind());
    match value {
        Value::Ipv4(_) | Value::Ipv6(_) => task.rules.conflict(value),
        _ if support.is_some_and(|support| support.matches_below) => task.rules.conflict(value),
        Value::Domain(name) if support.is_some_and(|it| it.effect == Effect::Prevent) => {
            task.rules.url_on(name.as_str())
        }
        _ => None,
    }
}

/// The values to look up, where that is enough and cheap; `None` lists everything.
pub(super) fn looked_up(
    task: &Task,
    member: &Member,
    facts: &Facts,
    desired: &[Desired],
) -> Option<Vec<Value>> {
    let lookup = member.target.capabilities().lookup_batch;
    // The guard counts removals against everything there, and a network may stand there in parts.
    let few = |values: usize| values <= UNGUARDED;
    let whole = |value: &Value| match value {
        Value::Ipv4(network) => network.prefix_len() < 32,
        Value::Ipv6(network) => network.prefix_len() < 128,
        _ => false,
    };
    let enough = match &task.purpose {
        // What the device does not take any more may be there from before, and is found in a listing of all alone.
        Purpose::Remove(values) => {
            let known = |value: &&Value| member.target.capabilities().kind(value.kind()).is_some();
            few(values.len())
                && !values.iter().any(whole)
                && (values.iter().filter(known))
                    .all(|value| member.target.accept(value, facts).is_ok())
        }
        Purpose::Batch => {
            few(task.compiled.absent.len()) && !task.compiled.absent.keys().any(whole)
        }
        Purpose::Full | Purpose::Expired | Purpose::Retire => false,
    };
    if !enough {
        return None;
    }
    let mut values: Vec<Value> = match &task.purpose {
        Purpose::Full | Purpose::Expired | Purpose::Retire => return None,
        Purpose::Remove(values) => values
            .iter()
            .filter_map(|value| member.target.accept(value, facts).ok())
            .collect(),
        Purpose::Batch => task
            .compiled
            .absent
            .keys()
            .filter_map(|value| member.target.accept(value, facts).ok())
            .chain(desired.iter().map(|desired| desired.value.clone()))
            .collect(),
    };
    if lookup == 0 || values.len() > 10 * lookup {
        return None;
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// Wanted values that a listing does not show: somebody else may hold them, and only a lookup tells.
pub(super) fn missing(desired: &[Desired], listing: &[Held]) -> Vec<Value> {
    let there: HashSet<&Value> = listing.iter().map(|held| &held.value).collect();
    desired
        .iter()
        .map(|desired| &desired.value)
        .filter(|value| !there.contains(value))
        .cloned()
        .collect()
}

pub(super) fn note_other_reasons(
    task: &Task,
    judge: &Judge<'_>,
    observed: &[Observed],
    device: &mut DeviceRun,
) {
    for entry in observed {
        let value = &entry.held.value;
        if judge.removes(value) {
            let others: Vec<&str> = entry
                .claims
                .iter()
                .filter(|claim| claim.owner != task.owner)
                .map(|claim| claim.owner.as_str())
                .collect();
            if !others.is_empty() {
                device.still_wanted.push((value.clone(), others.join(", ")));
            }
            if entry.claims.is_empty() {
                device.not_ours.push(value.clone());
            }
        }
        if task.purpose != Purpose::Batch {
            continue;
        }
        if entry.claim(&task.owner).is_some() && judge.ends(value) {
            let others = judge.other_reasons(value);
            if !others.is_empty() {
                device.other_reason.push((value.clone(), others.join(", ")));
            }
        }
    }
}

pub(super) fn warn_old_ledger(
    task: &Task,
    observed: &[Observed],
    ledger: Option<&[LedgerRow]>,
    device: &mut DeviceRun,
) {
    let Some(rows) = ledger.filter(|rows| !rows.is_empty()) else {
        return;
    };
    let known: HashSet<&Value> = rows
        .iter()
        .filter(|row| row.owner == task.owner)
        .map(|row| &row.value)
        .collect();
    let unknown = observed
        .iter()
        .filter(|entry| entry.claim(&task.owner).is_some() && !known.contains(&entry.held.value))
        .count();
    if !known.is_empty() && unknown > 0 {
        device.warnings.push(format!(
            "{unknown} entries carry our mark and are not in the store: a run was killed, or the store is older \
             than what the vendor holds (was it restored from a backup?)"
        ));
    }
}

pub(super) fn effects(
    desired: &[Desired],
    plan: &Plan,
    capabilities: &Capabilities,
) -> (usize, usize) {
    let missing: HashSet<&Value> = plan
        .no_room
        .iter()
        .chain(plan.foreign.iter().map(|foreign| &foreign.value))
        .chain(plan.stuck.iter().map(|(value, _)| value))
        .collect();
    let mut prevent = 0;
    let mut detect = 0;
    for desired in desired {
        if missing.contains(&desired.value) {
            continue;
        }
        match capabilities
            .kind(desired.value.kind())
            .map(|support| support.effect)
        {
            Some(Effect::Prevent) => prevent += 1,
            Some(Effect::Detect) => detect += 1,
            None => {}
        }
    }
    (prevent, detect)
}
