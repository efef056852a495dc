//! Keeping the ledger in step with what was done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::indicator::Value;
use crate::ownership::Owner;
use crate::plan::{Change, What};
use crate::store::{LedgerRow, RowState, Store};

use super::Task;

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
    pub(super) sources: HashMap<Value, String>,
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

    /// Before a batch: what is about to happen. Additions were absent from the listing just taken.
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
            .filter(|change| matches!(change.what, What::Remove(_)))
            .chain(undone.iter().filter(|change| change.what == What::Add))
            .map(|change| (change.value.clone(), self.owner.clone()))
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
        let stale: Vec<LedgerRow> = present
            .map(|(value, until)| self.row(value, until, RowState::Settled))
            .filter(|row| {
                rows.get(&row.value).is_none_or(|known| {
                    known.until != row.until
                        || known.sources != row.sources
                        || known.state != RowState::Settled
                })
            })
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
