//! A store in memory: for tests, for the demo, and as the oracle of the contract for stores.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{HeldSet, LastCopy, LedgerRow, RunRecord, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::indicator::Value;
use crate::ownership::Owner;

/// A store that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    ledger: HashMap<String, BTreeMap<(Value, Owner), LedgerRow>>,
    copies: HashMap<String, LastCopy>,
    seen: HashMap<String, HashMap<Value, DateTime<Utc>>>,
    /// In the order recorded.
    runs: Vec<RunRecord>,
    /// In the order held.
    held: Vec<HeldSet>,
    versions: HashMap<(String, String), DateTime<Utc>>,
    leases: HashMap<String, (String, DateTime<Utc>)>,
    settings: BTreeMap<String, String>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A panic elsewhere does not make the tables wrong: every method changes them in one step.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn ledger(&self, target: &str) -> Result<Vec<LedgerRow>> {
        Ok(self
            .tables()
            .ledger
            .get(target)
            .map(|rows| rows.values().cloned().collect())
            .unwrap_or_default())
    }

    async fn targets(&self) -> Result<Vec<String>> {
        let tables = self.tables();
        let filled = tables.ledger.iter().filter(|(_, rows)| !rows.is_empty());
        let mut targets: Vec<String> = filled.map(|(target, _)| target.clone()).collect();
        targets.sort_unstable();
        Ok(targets)
    }

    async fn put(&self, target: &str, rows: &[LedgerRow]) -> Result<()> {
        let mut tables = self.tables();
        let table = tables.ledger.entry(target.to_owned()).or_default();
        for row in rows {
            table.insert((row.value.clone(), row.owner.clone()), row.clone());
        }
        Ok(())
    }

    async fn forget(&self, target: &str, rows: &[(Value, Owner)]) -> Result<()> {
        if let Some(table) = self.tables().ledger.get_mut(target) {
            for row in rows {
                table.remove(row);
            }
        }
        Ok(())
    }

    async fn last_copy(&self, collection: &str) -> Result<Option<LastCopy>> {
        Ok(self.tables().copies.get(collection).cloned())
    }

    async fn keep_copy(&self, collection: &str, copy: &LastCopy) -> Result<()> {
        self.tables()
            .copies
            .insert(collection.to_owned(), copy.clone());
        Ok(())
    }

    async fn first_seen(
        &self,
        collection: &str,
        values: &[Value],
        now: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>> {
        let mut tables = self.tables();
        let seen = tables.seen.entry(collection.to_owned()).or_default();
        Ok(values
            .iter()
            .map(|value| match seen.get(value) {
                Some(at) => *at,
                None => {
                    seen.insert(value.clone(), now);
                    now
                }
            })
            .collect())
    }

    async fn versions(&self, scope: &str, ids: &[String]) -> Result<Vec<Option<DateTime<Utc>>>> {
        let tables = self.tables();
        Ok(ids
            .iter()
            .map(|id| {
                tables
                    .versions
                    .get(&(scope.to_owned(), id.clone()))
                    .copied()
            })
            .collect())
    }

    async fn keep_versions(&self, scope: &str, versions: &[(String, DateTime<Utc>)]) -> Result<()> {
        let mut tables = self.tables();
        for (id, version) in versions {
            let known = tables
                .versions
                .entry((scope.to_owned(), id.clone()))
                .or_insert(*version);
            *known = (*known).max(*version);
        }
        Ok(())
    }

    async fn record_run(&self, run: &RunRecord) -> Result<()> {
        let mut tables = self.tables();
        tables.runs.retain(|other| {
            (&other.id, &other.target, &other.owner) != (&run.id, &run.target, &run.owner)
        });
        tables.runs.push(run.clone());
        Ok(())
    }

    async fn runs(
        &self,
        target: &str,
        owner: Option<&Owner>,
        limit: usize,
    ) -> Result<Vec<RunRecord>> {
        let tables = self.tables();
        let mut runs: Vec<&RunRecord> = tables
            .runs
            .iter()
            .rev()
            .filter(|run| target.is_empty() || run.target == target)
            .filter(|run| owner.is_none_or(|owner| run.owner == *owner))
            .collect();
        // Stable: of two runs that ended in the same instant the one recorded last comes first.
        runs.sort_by_key(|run| std::cmp::Reverse(run.at));
        Ok(runs.into_iter().take(limit).cloned().collect())
    }

    async fn hold(&self, set: &HeldSet) -> Result<String> {
        let mut tables = self.tables();
        let open = tables
            .held
            .iter()
            .find(|other| other.target == set.target && other.owner == set.owner);
        if let Some(open) = open
            && open.digest == set.digest
        {
            return Ok(open.id.clone());
        }
        tables
            .held
            .retain(|other| (&other.target, &other.owner) != (&set.target, &set.owner));
        tables.held.push(set.clone());
        Ok(set.id.clone())
    }

    async fn held(&self) -> Result<Vec<HeldSet>> {
        let tables = self.tables();
        let mut held: Vec<HeldSet> = tables.held.iter().rev().cloned().collect();
        held.sort_by_key(|set| std::cmp::Reverse(set.at));
        Ok(held)
    }

    async fn approve(&self, id: &str, by: &str, at: DateTime<Utc>) -> Result<HeldSet> {
        let mut tables = self.tables();
        let set = tables
            .held
            .iter_mut()
            .find(|set| set.id == id)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("no held set has the id {id:?}"),
                )
                .hint("`cordon history` shows what waits")
            })?;
        set.approved = Some((at, by.to_owned()));
        Ok(set.clone())
    }

    async fn release(&self, id: &str) -> Result<()> {
        self.tables().held.retain(|set| set.id != id);
        Ok(())
    }

    async fn lease(
        &self,
        target: &str,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let mut tables = self.tables();
        let free = tables
            .leases
            .get(target)
            .is_none_or(|(other, end)| other == holder || *end <= now);
        if free {
            tables
                .leases
                .insert(target.to_owned(), (holder.to_owned(), until));
        }
        Ok(free)
    }

    async fn unlease(&self, target: &str, holder: &str) -> Result<()> {
        let mut tables = self.tables();
        if tables
            .leases
            .get(target)
            .is_some_and(|(other, _)| other == holder)
        {
            tables.leases.remove(target);
        }
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        Ok(self.tables().settings.get(key).cloned())
    }

    async fn set(&self, key: &str, value: Option<&str>) -> Result<()> {
        let mut tables = self.tables();
        match value {
            Some(value) => tables.settings.insert(key.to_owned(), value.to_owned()),
            None => tables.settings.remove(key),
        };
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        Ok(self
            .tables()
            .settings
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }
}
