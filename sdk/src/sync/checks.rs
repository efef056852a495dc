//! Before anything is listed: whether the run may start at all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Error, ErrorKind, Result, Retry};
use crate::plan::{Plan, What, knows_ends};
use crate::target::{Capabilities, Facts, Proof};

use super::device::DeviceRun;
use super::{Context, Purpose, Task};

/// How long a run keeps others out without renewing; one that dies frees the target after it.
const LEASE: TimeDelta = TimeDelta::minutes(3);
/// How often a run renews.
const RENEWAL: Duration = Duration::from_secs(60);

/// What only a store could remember is not started without one.
pub(super) fn check_possible(
    task: &Task,
    capabilities: &Capabilities,
    context: &Context,
) -> Result<()> {
    if context.store.is_some() {
        return Ok(());
    }
    // Adding takes no proof, as long as the caller accepts that it is for good.
    let only_adds = task.purpose == Purpose::Batch && task.accept_unbounded;
    if capabilities.proof == Proof::Ledger && !only_adds {
        return Err(Error::config(format!(
            "{} needs a store: nothing else could prove what is ours there",
            capabilities.mechanism
        ))
        .hint("add [store] to the configuration, or give --store"));
    }
    let bounded = || {
        task.compiled
            .wanted
            .iter()
            .any(|wanted| wanted.until.is_some())
    };
    let needs_end = match task.purpose {
        Purpose::Full | Purpose::Remove(_) | Purpose::Retire => false,
        Purpose::Batch => bounded() && !task.accept_unbounded,
        Purpose::Expired => true,
    };
    if needs_end && !knows_ends(capabilities) {
        return Err(Error::config(format!(
            "{} keeps no end of what it holds, and there is no store to remember it",
            capabilities.mechanism
        ))
        .hint("give a store, schedule sync_collection, or set accept_unbounded"));
    }
    Ok(())
}

/// A container that names another owner is not written to, and one that names none needs a store.
pub(super) fn check_container(
    task: &Task,
    capabilities: &Capabilities,
    facts: &Facts,
    context: &Context,
) -> Result<()> {
    if capabilities.proof != Proof::Container {
        return Ok(());
    }
    match &facts.container {
        Some(owner) if *owner == task.owner || task.formerly.contains(owner) => Ok(()),
        Some(owner) => Err(Error::new(
            ErrorKind::Conflict,
            format!("the container on the device belongs to deployment {owner}"),
        )
        .hint("give this deployment a container of its own")),
        None if context.store.is_some() => Ok(()),
        None => Err(Error::config(
            "nothing proves what is ours on the device: its container carries no mark of ours, and \
             there is no store",
        )
        .hint("give a store, or mark the container as `check` shows")),
    }
}

pub(super) async fn check_clock(
    facts: &Facts,
    now: DateTime<Utc>,
    context: &Context,
    device: &mut DeviceRun,
) -> Result<()> {
    // A plan may look into the future: it sends nothing, and its clock was moved on purpose.
    if context.dry_run && !context.environment.clock.offset().is_zero() {
        return Ok(());
    }
    let mut far: Option<(i64, &str)> = None;
    if let Some(vendor) = facts.vendor_time {
        let apart = |now: DateTime<Utc>| (now - vendor).num_seconds().abs();
        let clock = &context.environment.clock;
        // A clock that was moved on purpose looks ahead, or runs against a fake that moved with it.
        let seconds = if clock.is_manual() {
            apart(now)
        } else {
            apart(now).min(apart(now - clock.offset()))
        };
        far = Some((seconds, "the vendor's clock"));
    }
    if let Some(store) = &context.store
        && let Some(last) = store.get("clock").await?
        && let Ok(last) = DateTime::parse_from_rfc3339(&last)
    {
        let behind = (last.with_timezone(&Utc) - now).num_seconds();
        if behind > far.map_or(0, |(seconds, _)| seconds) {
            far = Some((behind, "the store's last run"));
        }
    }
    match far {
        Some((seconds, whose)) if seconds > 300 => Err(Error::new(
            ErrorKind::Clock,
            format!("this machine's clock and {whose} are {seconds} s apart"),
        )
        .hint("set the clock; nothing was written, because every end depends on it")),
        Some((seconds, whose)) if seconds > 60 => {
            device.warnings.push(format!(
                "this machine's clock and {whose} are {seconds} s apart"
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Why nothing may be sent, by the target's configured name or by the vendor account and device itself,
/// whatever name an action calls it by.
pub(super) async fn paused(
    target_name: &str,
    key: &str,
    context: &Context,
) -> Result<Option<String>> {
    let Some(store) = &context.store else {
        return Ok(None);
    };
    match store.get(&format!("pause/{target_name}")).await? {
        Some(reason) => Ok(Some(reason)),
        None => store.get(&format!("pause/{key}")).await,
    }
}

/// Says how many entries would stay for ever although they have an end, or are revoked.
pub(super) fn count_unbounded(
    task: &Task,
    plan: &Plan,
    capabilities: &Capabilities,
    context: &Context,
    device: &mut DeviceRun,
) {
    if context.store.is_some() || knows_ends(capabilities) {
        return;
    }
    let ended = task.compiled.absent.len();
    if capabilities.proof == Proof::Ledger && ended > 0 {
        device.warnings.push(format!(
            "{ended} revoked or ended values are left as they are: without a store nothing proves that an \
             entry is ours"
        ));
    }
    let unbounded = plan
        .changes
        .iter()
        .filter(|change| change.what == What::Add && change.until.is_some())
        .count();
    if unbounded > 0 {
        device.warnings.push(format!(
            "{unbounded} entries have an end that nobody records: only a later run with the whole \
             collection, or unblock, takes them down"
        ));
    }
}

pub(super) async fn lease(key: &str, run_id: &str, context: &Context) -> Result<()> {
    let (Some(store), false) = (&context.store, context.dry_run) else {
        return Ok(());
    };
    let now = context.environment.clock.now();
    if store.lease(key, run_id, now, now + LEASE).await? {
        Ok(())
    } else {
        Err(
            Error::new(ErrorKind::Conflict, "another run is at work on this target")
                .with("target", key)
                .retry(Retry::Later(None))
                .hint("it is free again when that run ends, 3 minutes after it died at the latest"),
        )
    }
}

pub(super) async fn unlease(key: &str, run_id: &str, context: &Context) -> Result<()> {
    match (&context.store, context.dry_run) {
        (Some(store), false) => store.unlease(key, run_id).await,
        _ => Ok(()),
    }
}

/// Renews leases for as long as the run takes. Ends only with an error: one was lost.
pub(super) async fn keep_leases(keys: &[String], run_id: &str, context: &Context) -> Error {
    let clock = &context.environment.clock;
    // A clock that stands still lets no lease run out.
    if context.store.is_none() || context.dry_run || clock.is_manual() {
        std::future::pending::<()>().await;
    }
    loop {
        clock.sleep(RENEWAL).await;
        for key in keys {
            if let Err(error) = lease(key, run_id, context).await {
                return error;
            }
        }
    }
}
