//! After the changes: commit, look at what is enforced, and remember.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::indicator::{Kind, Value};
use crate::ownership::{Observed, Viewer, observe};
use crate::plan::{
    Change, Guarded, History, NativeNeed, Operation, Plan, RemovalReason, What, native_need,
};
use crate::report::Verified;
use crate::store::{LedgerRow, RowState, RunRecord};
use crate::target::{Capabilities, Facts, Foreign, Held, Proof, Scope, Target, Write};

use super::device::DeviceRun;
use super::execute::Executed;
use super::{Context, Member, Task};

/// Ledger rows of ours for which nothing is there and nothing was done. Nobody looked at `unseen` kinds.
pub(super) fn gone(
    task: &Task,
    rows: &HashMap<&Value, &LedgerRow>,
    observed: &[Observed],
    executed: &Executed,
    whole: bool,
    unseen: &[Kind],
) -> Vec<Value> {
    if !whole || rows.is_empty() {
        return Vec::new();
    }
    let known_foreign = |value: &Value| {
        rows.get(value)
            .is_some_and(|row| row.state == RowState::Adding { was_absent: false })
    };
    let there: HashSet<&Value> = observed
        .iter()
        .filter(|entry| entry.claim(&task.owner).is_some() || known_foreign(&entry.held.value))
        .map(|entry| &entry.held.value)
        .chain(executed.done.iter().map(|change| &change.value))
        .chain(executed.undone.iter().map(|undone| &undone.change.value))
        .collect();
    rows.keys()
        .filter(|value| !there.contains(*value) && !unseen.contains(&value.kind()))
        .map(|value| (*value).clone())
        .collect()
}

/// The kinds that a mechanism with a list for each may not list here: what it is not chosen for, and what the device
/// has no place for now. A warning says so where entries of ours may still be blocked there.
pub(super) fn unseen_kinds(
    member: &Member,
    facts: &Facts,
    rows: &HashMap<&Value, &LedgerRow>,
    observed: &[Observed],
    warnings: &mut Vec<String>,
) -> Vec<Kind> {
    let capabilities = member.target.capabilities();
    if capabilities.native_end.is_some() && matches!(capabilities.proof, Proof::Mark { .. }) {
        // One list of everything, where what ended is gone.
        return Vec::new();
    }
    let listed = |kind: Kind| observed.iter().any(|entry| entry.held.value.kind() == kind);
    let elsewhere = |kind: Kind| !member.kinds.is_empty() && !member.kinds.contains(&kind);
    let unavailable = |kind: Kind| facts.unavailable.iter().any(|(known, _)| *known == kind);
    let unseen: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| (elsewhere(*kind) || unavailable(*kind)) && !listed(*kind))
        .collect();
    for kind in &unseen {
        let count = rows.keys().filter(|value| value.kind() == *kind).count();
        if count > 0 {
            warnings.push(format!(
                "{count} entries of kind {kind} are on record, and {} is not asked for that kind now: they may still be \
                 blocked there; send {kind} there again to take them down",
                capabilities.mechanism
            ));
        }
    }
    unseen
}

#[expect(clippy::too_many_arguments, reason = "what a look back compares")]
pub(super) async fn read_back(
    target: &dyn Target,
    executed: &Executed,
    lookup: &Option<Vec<Value>>,
    listing_calls: u64,
    observed: &[Observed],
    viewer: Viewer<'_>,
    rows: &[LedgerRow],
    context: &Context,
) -> Verified {
    let mut changed: Vec<&Change> = executed
        .done
        .iter()
        .filter(|change| change.operation != Operation::Record)
        .collect();
    changed.sort_unstable_by(|a, b| a.value.cmp(&b.value));
    if changed.is_empty() {
        // The listing just taken shows everything as it should be.
        return if executed.undone.is_empty() {
            Verified::Yes
        } else {
            Verified::NotChecked
        };
    }
    let capabilities = target.capabilities();
    if capabilities.foreign == Foreign::Unseen {
        return Verified::NotChecked;
    }
    let mut values: Vec<Value> = changed.iter().map(|change| change.value.clone()).collect();
    values.dedup();
    let by_value = match (lookup, capabilities.lookup_batch) {
        (_, 0) => None,
        (_, batch) => Some(values.len().div_ceil(batch) as u64),
    };
    let all = (lookup.is_none()).then(|| {
        ((observed.len() + changed.len()).div_ceil(capabilities.list_page.max(1)) + 1) as u64
    });
    let (scope, cost) = match (by_value, all) {
        (Some(few), Some(all)) if few < all => (Scope::Values(&values), few),
        (Some(few), None) => (Scope::Values(&values), few),
        (_, Some(all)) => (Scope::All, all),
        (None, None) => return Verified::NotChecked,
    };
    if cost > listing_calls.max(20) {
        return Verified::NotChecked;
    }
    let proving: Vec<LedgerRow> = match capabilities.proof {
        Proof::Mark { .. } => Vec::new(),
        Proof::Container | Proof::Ledger => changed
            .iter()
            .filter(|change| !matches!(change.what, What::Remove(_)))
            .map(|change| LedgerRow {
                value: change.value.clone(),
                owner: viewer.owner.clone(),
                until: change.until,
                sources: String::new(),
                state: RowState::Settled,
                at: context.environment.clock.now(),
            })
            .chain(
                rows.iter()
                    .filter(|row| row.owner != *viewer.owner)
                    .cloned(),
            )
            .collect(),
    };
    // Some vendors show what they stored a moment later.
    for wait in [0u64, 2, 4] {
        if wait > 0 {
            context
                .environment
                .clock
                .sleep(std::time::Duration::from_secs(wait))
                .await;
        }
        let Ok(listing) = target.list(scope).await else {
            return Verified::NotChecked;
        };
        let seen = observe(listing, &proving, capabilities.proof, viewer);
        let now = context.environment.clock.now();
        // Both lie in the order of values.
        let mut rest = &seen[..];
        let all = changed.iter().all(|change| {
            let before = |entry: &&Observed| entry.held.value < change.value;
            rest = &rest[rest.iter().take_while(before).count()..];
            as_written(change, rest, viewer, capabilities, now)
        });
        if all {
            return Verified::Yes;
        }
    }
    Verified::No
}

/// Whether a change shows in what is there, from its value on.
fn as_written(
    change: &Change,
    seen: &[Observed],
    viewer: Viewer<'_>,
    capabilities: &Capabilities,
    now: DateTime<Utc>,
) -> bool {
    let mut entries = seen
        .iter()
        .take_while(|entry| entry.held.value == change.value);
    match &change.operation {
        Operation::Remove(removal) => !entries.any(|entry| entry.held.id == removal.id),
        _ if matches!(change.what, What::Remove(_)) => {
            !entries.any(|entry| entry.claim(viewer.owner).is_some())
        }
        Operation::Add(write) | Operation::Update(write) => entries.any(|entry| {
            entry.claim(viewer.owner).is_some()
                && entry.held.blocks
                && ends_as_written(write, &entry.held, capabilities, now)
        }),
        Operation::Record => {
            entries.any(|entry| entry.claim(viewer.owner).is_some() && entry.held.blocks)
        }
    }
}

/// Whether an entry's own end is one that the next run would leave alone. One that is later than what was written,
/// or that the vendor does not show, is not for us to judge.
fn ends_as_written(
    write: &Write,
    held: &Held,
    capabilities: &Capabilities,
    now: DateTime<Utc>,
) -> bool {
    let (Some(native), Some(written), Some(shown)) =
        (capabilities.native_end, write.expires, held.expires)
    else {
        return true;
    };
    shown >= written
        || native_need(Some(shown), Some(written), now, &native, &held.value) == NativeNeed::None
}

pub(super) async fn history(
    key: &str,
    task: &Task,
    plan: &Plan,
    observed: &[Observed],
    now: DateTime<Utc>,
    context: &Context,
) -> Result<History> {
    let mut history = History {
        // Without a record, what is there says that somebody ran. With one, what an interrupted first run left
        // does not: the rest of it may follow.
        ran_before: context.store.is_none() && plan.mine > 0,
        most: plan.mine,
        ..History::default()
    };
    for entry in observed {
        if let (Value::Ipv4(net), Some(_)) = (&entry.held.value, entry.claim(&task.owner)) {
            history.ipv4_space += 1u64 << (32 - net.prefix_len());
        }
    }
    if let Some(store) = &context.store {
        for run in store.runs(key, Some(&task.owner), 3_000).await? {
            history.ran_before |= !was_stopped(&run);
            if now - run.at <= TimeDelta::hours(24) {
                history.most = history.most.max(run.held);
                history.removals += run.counted_removals;
                history.revocations += run.counted_revocations;
            }
        }
    }
    Ok(history)
}

/// Whether something stopped a run before its end.
fn was_stopped(run: &RunRecord) -> bool {
    serde_json::from_str::<serde_json::Value>(&run.report)
        .is_ok_and(|report| report["stopped"] == true)
}

/// What a run did, under the names that its report uses, and what was there after it.
fn counts(executed: &Executed, there: usize) -> serde_json::Value {
    let count = |what: What| {
        executed
            .done
            .iter()
            .filter(|change| change.what == what)
            .count()
    };
    serde_json::json!({
        "added": count(What::Add),
        "updated": count(What::Update),
        "renewed": count(What::Renew),
        "adopted": count(What::Adopt),
        "removed": {
            "expired": count(What::Remove(RemovalReason::Expired)),
            "revoked": count(What::Remove(RemovalReason::Revoked)),
            "excluded": count(What::Remove(RemovalReason::Excluded)),
            "withdrawn": count(What::Remove(RemovalReason::Withdrawn)),
            "capacity": count(What::Remove(RemovalReason::Capacity)),
        },
        "failed": executed.undone.len(),
        "stopped": executed.stopped.is_some(),
        "there": there,
    })
}

#[expect(clippy::too_many_arguments, reason = "what a run leaves behind")]
pub(super) async fn remember(
    key: &str,
    task: &Task,
    run_id: &str,
    mine_before: usize,
    guarded: &Guarded,
    approved: bool,
    device: &DeviceRun,
    context: &Context,
) -> Result<()> {
    let Some(store) = &context.store else {
        return Ok(());
    };
    let executed = &device.executed;
    let added = executed
        .done
        .iter()
        .filter(|change| change.what == What::Add)
        .count();
    let removed = executed
        .done
        .iter()
        .filter(|change| matches!(change.what, What::Remove(_)))
        .count();
    let status = match (&device.held, executed.undone.is_empty(), &executed.stopped) {
        (_, _, Some(_)) => "partial",
        (Some(_), ..) => "held",
        (None, false, None) => "partial",
        (None, true, None) => "ok",
    };
    // What was replaced in the same run is no loss, and what a person approved does not count again.
    let counted = |count: usize| {
        if approved {
            0
        } else {
            count.saturating_sub(added)
        }
    };
    let now = context.environment.clock.now();
    let there = (mine_before + added).saturating_sub(removed);
    store
        .record_run(&RunRecord {
            id: run_id.to_owned(),
            target: key.to_owned(),
            owner: task.owner.clone(),
            at: now,
            status: status.to_owned(),
            actor: context.actor.clone(),
            held: there.max(mine_before),
            counted_removals: counted(guarded.counted_removals),
            counted_revocations: counted(guarded.counted_revocations),
            report: counts(executed, there).to_string(),
        })
        .await?;
    store.set("clock", Some(&now.to_rfc3339())).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::target::NativeEnd;
    use crate::testing::Flavour;
    use crate::testing::builders::{start, value};

    /// What a vendor that takes at most 30 days shows after an end was written, both in days from now.
    fn is_as_written(written: i64, shown: Option<i64>, longest: Option<u64>) -> bool {
        let mut capabilities = Flavour::native().capabilities;
        capabilities.native_end = Some(NativeEnd {
            unit: Duration::from_secs(1),
            max: longest.map(|days| Duration::from_secs(days * 86_400)),
            max_by_kind: &[],
            deletes: Some(true),
        });
        let days = |days| start() + TimeDelta::days(days);
        let write = Write {
            value: value(crate::indicator::Kind::Md5, 1),
            id: None,
            expires: Some(days(written)),
            note: String::new(),
            note_and_end_only: false,
            held_expires: None,
            held_note: None,
        };
        let held = Held {
            id: "1".into(),
            value: write.value.clone(),
            note: None,
            expires: shown.map(days),
            container: None,
            blocks: true,
            allows: false,
            conforms: true,
            writable: true,
        };
        ends_as_written(&write, &held, &capabilities, start())
    }

    #[test]
    fn an_end_that_did_not_move_is_not_as_written() {
        assert!(is_as_written(30, Some(30), Some(30)));
        assert!(!is_as_written(30, Some(5), Some(30)), "due again at once");
        assert!(
            is_as_written(30, Some(25), Some(30)),
            "shortened, not due yet"
        );
        assert!(is_as_written(5, Some(6), Some(30)), "rounded up");
        assert!(is_as_written(5, None, None), "not shown");
        assert!(
            !is_as_written(60, Some(59), None),
            "no longest end excuses it"
        );
        assert!(is_as_written(60, Some(60), None));
    }
}
