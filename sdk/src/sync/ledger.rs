//! Keeping the ledger in step with what was done.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::indicator::Value;
use crate::ownership::{Owner, later};
use crate::plan::{Change, Operation, What};
use crate::store::{LedgerRow, RowState, Store};
use crate::target::{Capabilities, Held, Proof};

use super::Task;
use super::execute::Undone;

/// How long a vendor that shows nothing is not asked again about a value that somebody else has there.
const FOREIGN_FOR: TimeDelta = TimeDelta::hours(24);

/// How much later than on record the vendor may end an entry of ours: clocks differ by up to five minutes, ends
/// are rounded, and a call may wait for its turn before the vendor counts from it.
const LATE: TimeDelta = TimeDelta::minutes(30);

/// What the ledger says that a vendor holds which shows nothing. What was only about to be added counts as
/// there and not acting, so that it is sent again where it is wanted and taken away where it is not.
pub(crate) fn recalled(rows: &[LedgerRow], now: DateTime<Utc>) -> Vec<Held> {
    let mut held: BTreeMap<&Value, bool> = BTreeMap::new();
    for row in rows {
        let acts = match row.state {
            RowState::Settled | RowState::Removing => true,
            RowState::Adding { was_absent: true } => false,
            RowState::Adding { was_absent: false } if now - row.at < FOREIGN_FOR => false,
            RowState::Adding { was_absent: false } => continue,
        };
        *held.entry(&row.value).or_default() |= acts;
    }
    held.into_iter()
        .map(|(value, blocks)| Held {
            id: value.to_string().into(),
            value: value.clone(),
            note: None,
            expires: None,
            container: None,
            blocks,
            allows: false,
            conforms: true,
            writable: true,
        })
        .collect()
}

/// Whether the vendor takes entries away at their end.
pub(super) fn vendor_ends(capabilities: &Capabilities) -> bool {
    let deletes = capabilities.native_end.and_then(|native| native.deletes);
    deletes == Some(true)
}

/// The rows that still prove something of what is held. A vendor that takes entries away at their end takes ours
/// away: once the end on record has passed, what acts there until later than that, somebody else has made, who
/// may have as good a reason as we had.
pub(crate) fn proving<'a>(
    rows: &'a [LedgerRow],
    held: &[Held],
    capabilities: &Capabilities,
    now: DateTime<Utc>,
) -> Cow<'a, [LedgerRow]> {
    let passed = |row: &LedgerRow| row.until.is_some_and(|until| until <= now);
    if capabilities.proof != Proof::Ledger || !vendor_ends(capabilities) || !rows.iter().any(passed)
    {
        return Cow::Borrowed(rows);
    }
    // An entry may have several owners here, and ends with the last of them.
    let mut last: HashMap<&Value, Option<DateTime<Utc>>> = HashMap::new();
    for row in rows {
        let known = last.entry(&row.value).or_insert(row.until);
        *known = later(*known, row.until);
    }
    let others: HashSet<&Value> = held
        .iter()
        .filter(|held| held.expires.is_none_or(|end| end > now))
        .filter(|held| match last.get(&held.value) {
            Some(Some(last)) if *last <= now => held.expires.is_none_or(|end| end > *last + LATE),
            _ => false,
        })
        .map(|held| &held.value)
        .collect();
    let proves = |row: &&LedgerRow| !others.contains(&row.value);
    Cow::Owned(rows.iter().filter(proves).cloned().collect())
}

/// The ledger of a target with the rows of the owner's earlier names under its own, so that nothing stays
/// proven by a name that is not used any more.
pub(super) async fn under_one_name(
    store: &Arc<dyn Store>,
    target: &str,
    task: &Task,
    dry: bool,
) -> Result<Vec<LedgerRow>> {
    let rows = store.ledger(target).await?;
    let old = |row: &LedgerRow| task.formerly.contains(&row.owner) && row.owner != task.owner;
    if !rows.iter().any(old) {
        return Ok(rows);
    }
    let (renamed, mut rows): (Vec<LedgerRow>, Vec<LedgerRow>) = rows.into_iter().partition(old);
    let gone: Vec<(Value, Owner)> = renamed
        .iter()
        .map(|row| (row.value.clone(), row.owner.clone()))
        .collect();
    let known: HashSet<Value> = rows
        .iter()
        .filter(|row| row.owner == task.owner)
        .map(|row| row.value.clone())
        .collect();
    let taken: Vec<LedgerRow> = renamed
        .into_iter()
        .filter(|row| !known.contains(&row.value))
        .map(|row| LedgerRow {
            owner: task.owner.clone(),
            ..row
        })
        .collect();
    if !dry {
        store.put(target, &taken).await?;
        store.forget(target, &gone).await?;
    }
    rows.extend(taken);
    Ok(rows)
}

/// The ledger of one target, for one owner.
pub(super) struct Book<'a> {
    pub(super) store: Option<&'a Arc<dyn Store>>,
    pub(super) target: String,
    pub(super) owner: &'a Owner,
    pub(super) now: DateTime<Utc>,
    /// Sources to record for a value.
    pub(super) sources: &'a HashMap<Value, String>,
    /// Whether the vendor takes entries away at their end.
    pub(super) vendor_ends: bool,
    /// Whether what was taken off is only stored: it stays on record until that is enforced, because
    /// what is dropped instead is there again, and ours.
    pub(super) staged: bool,
}

impl Book<'_> {
    fn row(&self, value: &Value, until: Option<DateTime<Utc>>, state: RowState) -> LedgerRow {
        let sources = self.sources.get(value).cloned().unwrap_or_default();
        LedgerRow {
            value: value.clone(),
            owner: self.owner.clone(),
            until,
            sources,
            state,
            at: self.now,
        }
    }

    /// Before a batch: what is about to happen. Additions were absent from the listing just taken. Where the
    /// vendor ends entries, an end that moves is on record before the vendor has it: an entry that acts beyond
    /// the end on record is taken for somebody else's.
    pub(super) async fn intend(&self, changes: &[Change]) -> Result<()> {
        let Some(store) = self.store else {
            return Ok(());
        };
        let rows: Vec<LedgerRow> = changes
            .iter()
            .filter_map(|change| match change.what {
                What::Add => Some(self.row(
                    &change.value,
                    change.until,
                    RowState::Adding { was_absent: true },
                )),
                What::Update | What::Renew if self.vendor_ends => {
                    let Operation::Update(write) = &change.operation else {
                        return None;
                    };
                    let until = later(change.until, write.held_expires);
                    Some(self.row(&change.value, until, RowState::Settled))
                }
                _ => None,
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        store.put(&self.target, &rows).await
    }

    /// After a batch: what came of it.
    pub(super) async fn settle(&self, done: &[&Change], undone: &[&Change]) -> Result<()> {
        let Some(store) = self.store else {
            return Ok(());
        };
        let rows: Vec<LedgerRow> = done
            .iter()
            .filter(|change| !matches!(change.what, What::Remove(_)))
            .map(|change| self.row(&change.value, change.until, RowState::Settled))
            .collect();
        if !rows.is_empty() {
            store.put(&self.target, &rows).await?;
        }
        let gone: Vec<(Value, Owner)> = done
            .iter()
            .filter(|change| !self.staged && is_removal(change))
            .chain(undone.iter().filter(|change| change.what == What::Add))
            .map(|change| (change.value.clone(), self.owner.clone()))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        store.forget(&self.target, &gone).await
    }

    /// Keeps in mind that somebody else has these values, where no listing will ever tell.
    pub(super) async fn note_foreign(&self, values: &[Value]) -> Result<()> {
        let Some(store) = self.store.filter(|_| !values.is_empty()) else {
            return Ok(());
        };
        let state = RowState::Adding { was_absent: false };
        let rows: Vec<LedgerRow> = values
            .iter()
            .map(|value| self.row(value, None, state))
            .collect();
        store.put(&self.target, &rows).await
    }

    /// What was stored is enforced: what was taken off is gone.
    pub(super) async fn enforced(&self, done: &[Change]) -> Result<()> {
        let gone: Vec<(Value, Owner)> = done
            .iter()
            .filter(|change| is_removal(change))
            .map(|change| (change.value.clone(), self.owner.clone()))
            .collect();
        match self.store {
            Some(store) if !gone.is_empty() => store.forget(&self.target, &gone).await,
            _ => Ok(()),
        }
    }

    /// What was stored has been dropped: the record is what it was before.
    pub(super) async fn dropped(
        &self,
        undone: &[Undone],
        before: &HashMap<&Value, &LedgerRow>,
    ) -> Result<()> {
        let Some(store) = self.store else {
            return Ok(());
        };
        let (known, new): (Vec<&Value>, Vec<&Value>) = undone
            .iter()
            .map(|undone| &undone.change.value)
            .partition(|value| before.contains_key(value));
        let rows: Vec<LedgerRow> = known
            .iter()
            .filter_map(|value| before.get(value).map(|row| (*row).clone()))
            .collect();
        if !rows.is_empty() {
            store.put(&self.target, &rows).await?;
        }
        let gone: Vec<(Value, Owner)> = new
            .into_iter()
            .map(|value| (value.clone(), self.owner.clone()))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        store.forget(&self.target, &gone).await
    }

    /// At the end: rows for what is there as wanted, where they are missing or say something else, and no
    /// rows for what is gone.
    pub(super) async fn reconcile(
        &self,
        present: impl Iterator<Item = (&Value, Option<DateTime<Utc>>)>,
        rows: &HashMap<&Value, &LedgerRow>,
        gone: Vec<Value>,
    ) -> Result<()> {
        let Some(store) = self.store else {
            return Ok(());
        };
        let is_stale = |(value, until): &(&Value, Option<DateTime<Utc>>)| {
            let sources = self.sources.get(value).map_or("", String::as_str);
            rows.get(value).is_none_or(|known| {
                known.until != *until
                    || known.sources != sources
                    || known.state != RowState::Settled
            })
        };
        let stale: Vec<LedgerRow> = present
            .filter(is_stale)
            .map(|(value, until)| self.row(value, until, RowState::Settled))
            .collect();
        if !stale.is_empty() {
            store.put(&self.target, &stale).await?;
        }
        if gone.is_empty() {
            return Ok(());
        }
        let gone: Vec<(Value, Owner)> = gone
            .into_iter()
            .map(|value| (value, self.owner.clone()))
            .collect();
        store.forget(&self.target, &gone).await
    }
}

fn is_removal(change: &Change) -> bool {
    matches!(change.what, What::Remove(_))
}
