//! One task on one device, top to bottom.

use std::collections::HashMap;

use crate::error::{Error, ErrorKind, Result};
use crate::indicator::Value;
use crate::ownership::{Viewer, observe};
use crate::plan::{Change, Guarded, Operation, Plan, Question, guard, plan};
use crate::report::{HeldReport, Verified};
use crate::store::LedgerRow;
use crate::target::{Calls, Foreign, Proof, Scope};

use super::alone::{alone_on, paused};
use super::execute::{Executed, Executor};
use super::ledger::Book;
use super::refused::unless_refused;
use super::stage::{Enforced, Stage};
use super::task::Judge;
use super::{Context, Member, Purpose, Task, checks, ledger, release, room, verify, want};

/// What happened on one device.
#[derive(Debug, Default)]
pub(super) struct DeviceRun {
    pub(super) error: Option<Error>,
    pub(super) plan: Plan,
    pub(super) executed: Executed,
    /// Values the mechanism does not take, by reason name, with words.
    pub(super) refused: Vec<(Value, &'static str, String)>,
    pub(super) held: Option<HeldReport>,
    pub(super) held_changes: Vec<Change>,
    pub(super) verified: Option<Verified>,
    pub(super) warnings: Vec<String>,
    pub(super) calls: Calls,
    pub(super) prevent: usize,
    pub(super) detect: usize,
    /// Nothing was sent, because of a dry run or a pause.
    pub(super) dry: bool,
    /// Nothing was sent, because of a pause alone.
    pub(super) paused: bool,
    /// Values that a batch ends and another reason keeps.
    pub(super) other_reason: Vec<(Value, String)>,
    /// What was done is stored, and may not be enforced: the commit failed.
    pub(super) unenforced: bool,
    /// Values taken off for this owner that other owners keep there, and who they are.
    pub(super) still_wanted: Vec<(Value, String)>,
    /// Values to take off whose entries are nobody's of ours.
    pub(super) not_ours: Vec<Value>,
}

/// Runs a task on one device. What went wrong is part of the result.
pub(super) async fn run(
    task: &Task,
    member: &Member,
    target_name: &str,
    run_id: &str,
    context: &Context,
) -> DeviceRun {
    let mut device = DeviceRun::default();
    let before = member.target.calls();
    let work = steps(task, member, target_name, run_id, context, &mut device);
    let work = unless_refused(member.target.login(), context, work);
    let result = alone_on(&*member.target, run_id, context, work).await;
    device.error = result.err();
    let after = member.target.calls();
    device.calls = Calls {
        read: after.read - before.read,
        write: after.write - before.write,
        retried: after.retried - before.retried,
    };
    device
}

async fn steps(
    task: &Task,
    member: &Member,
    target_name: &str,
    run_id: &str,
    context: &Context,
    device: &mut DeviceRun,
) -> Result<()> {
    let target = &*member.target;
    let capabilities = target.capabilities();
    let key = target.key().to_string();
    let store = context.store.as_ref();
    checks::check_possible(task, capabilities, context)?;
    let paused = paused(target_name, std::slice::from_ref(&key), context).await?;
    device.dry = context.dry_run || paused.is_some();
    device.paused = device.dry && !context.dry_run;
    device.warnings.extend(paused);

    let facts = target.open().await?;
    let now = context.environment.clock.now();
    checks::check_clock(&facts, now, context, device).await?;
    checks::check_container(task, capabilities, &facts, context)?;

    // What is wanted, in the form in which this vendor returns it.
    let mut wanted = want::wanted(task, member, &facts, store.is_some(), device);

    // What is there.
    let ledger = match store {
        Some(store) => Some(ledger::under_one_name(store, &key, task, device.dry).await?),
        None => None,
    };
    let lookup = want::looked_up(task, member, &facts, &wanted.desired);
    let calls_before = target.calls();
    let mut listing = if capabilities.foreign == Foreign::Unseen {
        ledger::recalled(ledger.as_deref().unwrap_or_default(), now)
    } else {
        target
            .list(lookup.as_deref().map_or(Scope::All, Scope::Values))
            .await?
    };
    if lookup.is_none() && capabilities.foreign == Foreign::LookedUp {
        let missing = want::missing(&wanted.desired, &listing);
        if !missing.is_empty() {
            listing.extend(target.list(Scope::Values(&missing)).await?);
        }
    }
    let listing_calls = target.calls().read - calls_before.read;
    let viewer = Viewer {
        installation: &context.environment.installation,
        owner: &task.owner,
        formerly: &task.formerly,
    };
    let rows = ledger.as_deref().unwrap_or_default();
    let proving = ledger::proving(rows, &listing, capabilities, now);
    let observed = observe(listing, &proving, capabilities.proof, viewer);

    // The difference.
    let judge = Judge::new(task, ledger.as_deref(), capabilities, |value| {
        target.accept(value, &facts).ok()
    });
    judge.keep_other_sources(&mut wanted.sources);
    let judged = |value: &Value, claim: &crate::ownership::Claim| judge.verdict(value, claim);
    let mut plan = plan(Question {
        wanted: &wanted.desired,
        observed: &observed,
        owner: &task.owner,
        installation: viewer.installation,
        capabilities,
        facts: &facts,
        now,
        options: task.options(store.is_some()),
        whole: lookup.is_none(),
        verdict: &judged,
    });
    checks::count_unbounded(task, &plan, capabilities, context, device);
    want::note_other_reasons(task, &judge, &observed, device);
    if matches!(capabilities.proof, Proof::Mark { .. }) {
        want::warn_old_ledger(task, &observed, ledger.as_deref(), device);
    }

    // The guard.
    let history = verify::history(&key, task, &plan, &observed, now, context).await?;
    let mut guarded = Guarded::default();
    let mut approved = None;
    if task.purpose != Purpose::Retire {
        guarded = guard(&mut plan, &history, &task.guard);
        let counted = (guarded.held.clone(), guarded.why.clone());
        let released =
            release::settle(task, &key, &mut plan, &mut guarded, device.dry, context).await?;
        approved = released.approved;
        if let Some(held) = released.held {
            device.held = Some(held);
            device.held_changes = counted.0;
            room::settle(&mut plan, &device.held_changes, capabilities, &facts);
        }
    }
    (device.prevent, device.detect) = want::effects(&wanted.desired, &plan, capabilities);
    if device.dry {
        device.plan = plan;
        return Ok(());
    }

    // The changes.
    let mine_before = plan.mine;
    let short = room::short(&plan, capabilities, &facts);
    let changes = std::mem::take(&mut plan.changes);
    let writes = changes
        .iter()
        .any(|change| change.operation != Operation::Record);
    let stage = Stage::look(target, store, &key).await?;
    if let Some(stage) = &stage {
        stage.begin(run_id, writes, &mut device.warnings).await?;
    }
    let vendor_ends = ledger::vendor_ends(capabilities);
    let executor = Executor {
        target,
        viewer,
        book: Book {
            store,
            target: key.clone(),
            owner: &task.owner,
            now,
            sources: &wanted.sources,
            vendor_ends,
            staged: stage.is_some(),
        },
        progress: context.progress.clone(),
        result: Executed::default(),
        full: Vec::new(),
        pools: crate::plan::pools(capabilities, &facts),
        apart: Vec::new(),
        total: changes.len(),
    };
    let mut executed = executor.run(changes, &short).await;
    let enforced = match &stage {
        Some(stage) => stage.end(&mut executed, &mut device.warnings).await,
        None => Ok(Enforced::Yes),
    };

    device.unenforced = enforced.is_err();

    // The record, and a look at what is enforced.
    let book = Book {
        store,
        target: key.clone(),
        owner: &task.owner,
        now,
        sources: &wanted.sources,
        vendor_ends,
        staged: stage.is_some(),
    };
    let by_value: HashMap<&Value, &LedgerRow> = rows
        .iter()
        .filter(|row| row.owner == task.owner)
        .map(|row| (&row.value, row))
        .collect();
    match &enforced {
        Ok(Enforced::Yes) if stage.is_some() => book.enforced(&executed.done).await?,
        Ok(Enforced::Dropped) => book.dropped(&executed.undone, &by_value).await?,
        _ => {}
    }
    let unseen = verify::unseen_kinds(member, &facts, &by_value, &observed, &mut device.warnings);
    let whole = lookup.is_none();
    let gone = verify::gone(task, &by_value, &observed, &executed, whole, &unseen);
    let present = std::mem::take(&mut plan.present);
    device.plan = plan;
    device.executed = executed;
    let executed = &device.executed;
    let present = present
        .iter()
        .map(|(place, until)| (&wanted.desired[*place].value, *until));
    book.reconcile(present, &by_value, gone).await?;
    let standby = executed.stopped.as_ref().map(Error::kind) == Some(ErrorKind::Standby);
    device.verified = Some(match &enforced {
        _ if standby => Verified::NotChecked,
        Err(_) | Ok(Enforced::Withheld) => Verified::Pending,
        Ok(Enforced::Yes | Enforced::Dropped) => {
            verify::read_back(
                target,
                executed,
                &lookup,
                listing_calls,
                &observed,
                viewer,
                rows,
                context,
            )
            .await
        }
    });
    verify::remember(
        &key,
        task,
        run_id,
        mine_before,
        &guarded,
        approved.is_some(),
        device,
        context,
    )
    .await?;
    let stopped = device.executed.stopped.is_some();
    if let (Some(id), Some(store), false) = (approved, store, stopped)
        && !id.is_empty()
    {
        store.release(&id).await?;
    }
    enforced?;
    if stopped {
        return Err(device
            .executed
            .stopped
            .take()
            .unwrap_or_else(|| Error::internal("stopped without a cause")));
    }
    Ok(())
}
