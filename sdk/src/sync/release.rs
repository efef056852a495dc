//! Held sets: what a person may let through, and whether somebody did.

use chrono::TimeDelta;

use crate::error::Result;
use crate::ownership::Owner;
use crate::plan::{Change, Guarded, Plan, describe, digest};
use crate::report::HeldReport;
use crate::store::HeldSet;

use super::{Context, Purpose, Task};

/// An approval lives this long.
const LIFE: TimeDelta = TimeDelta::hours(24);

/// What came of the guard's finding.
pub(super) struct Released {
    /// What still waits.
    pub(super) held: Option<HeldReport>,
    /// A person let the changes through: the id of the set to release once they are done, empty where a
    /// digest was given in place of it.
    pub(super) approved: Option<String>,
}

/// Puts held changes back into the plan where a person approved them, otherwise records them.
pub(super) async fn settle(
    task: &Task,
    target: &str,
    plan: &mut Plan,
    guarded: &mut Guarded,
    dry: bool,
    context: &Context,
) -> Result<Released> {
    if guarded.held.is_empty() {
        // Only a full run says that nothing waits any more; another action knows nothing of it.
        if let Some(store) = &context.store
            && !dry
            && task.purpose == Purpose::Full
        {
            for set in store.held().await? {
                if set.target == target && set.owner == task.owner {
                    store.release(&set.id).await?;
                }
            }
        }
        return Ok(Released {
            held: None,
            approved: None,
        });
    }
    let mut descriptions: Vec<String> = guarded.held.iter().map(describe).collect();
    descriptions.sort_unstable();
    let digest = digest(&descriptions);
    let allowed = context
        .allow_mass_change
        .as_deref()
        .is_some_and(|allowed| allowed == "true" || allowed == digest);
    let approved = approved(&task.owner, target, &descriptions, context).await?;
    if allowed || approved.is_some() {
        put_back(plan, std::mem::take(&mut guarded.held));
        return Ok(Released {
            held: None,
            approved: Some(approved.unwrap_or_default()),
        });
    }
    Ok(Released {
        held: Some(HeldReport {
            id: if dry {
                None
            } else {
                hold(&task.owner, target, descriptions, &guarded.why, context).await?
            },
            digest,
            changes: guarded.held.len(),
            why: guarded.why.clone(),
            by_reason: guarded.by_reason.clone(),
        }),
        approved: None,
    })
}

/// Records a held set for a person to approve; gives back its id. `None` without a store, and in a dry run.
pub(super) async fn hold(
    owner: &Owner,
    target: &str,
    descriptions: Vec<String>,
    why: &str,
    context: &Context,
) -> Result<Option<String>> {
    let (Some(store), false) = (&context.store, context.dry_run) else {
        return Ok(None);
    };
    let digest = digest(&descriptions);
    // The same changes may be held on several targets; each is approved by itself.
    let id = blake3::hash(format!("{target}\n{owner}\n{digest}").as_bytes()).to_hex();
    let set = HeldSet {
        id: id[..8].to_owned(),
        target: target.to_owned(),
        owner: owner.clone(),
        digest,
        changes: descriptions,
        why: why.to_owned(),
        at: context.environment.clock.now(),
        approved: None,
    };
    store.hold(&set).await.map(Some)
}

/// The set that somebody approved within the last 24 hours and that holds all of these changes. It is used
/// up when the changes are done, not here.
pub(super) async fn approved(
    owner: &Owner,
    target: &str,
    descriptions: &[String],
    context: &Context,
) -> Result<Option<String>> {
    let Some(store) = &context.store else {
        return Ok(None);
    };
    let now = context.environment.clock.now();
    for set in store.held().await? {
        if set.target != target || set.owner != *owner {
            continue;
        }
        let Some((at, _)) = &set.approved else {
            continue;
        };
        if now - *at > LIFE {
            if !context.dry_run {
                store.release(&set.id).await?;
            }
            continue;
        }
        let subset = descriptions
            .iter()
            .all(|description| set.changes.binary_search(description).is_ok());
        if subset {
            return Ok(Some(set.id));
        }
    }
    Ok(None)
}

fn put_back(plan: &mut Plan, held: Vec<Change>) {
    plan.changes.extend(held);
    plan.changes
        .sort_by(|a, b| (a.what, &a.value).cmp(&(b.what, &b.value)));
}
