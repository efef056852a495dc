//! Our own record: ledger with intents, last complete copies, runs, held sets, leases. The SDK defines
//! it and has one in memory; the operator brings the one on disk. Actions run without any where the
//! vendor carries mark and end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::indicator::{Indicator, Value};
use crate::ownership::Owner;

mod memory;

pub use memory::MemoryStore;

/// What we put where, for whom, until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// What.
    pub value: Value,
    /// For whom.
    pub owner: Owner,
    /// Until when; `None` without end.
    pub until: Option<DateTime<Utc>>,
    /// Names of the sources that wanted it, sorted, joined by `,`.
    pub sources: String,
    /// Whether it is done, or was only about to be.
    pub state: RowState,
    /// When this row was written.
    pub at: DateTime<Utc>,
}

/// How far a ledger row got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// The vendor said so.
    Settled,
    /// About to be added; whether the value was absent from the listing just taken. Unsettled after a
    /// kill: absent then and there now means it is ours.
    Adding {
        /// Not in the listing just taken.
        was_absent: bool,
    },
    /// About to be removed.
    Removing,
}

/// One run, for `cordon history` and for the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The run's id.
    pub id: String,
    /// The target's key as text.
    pub target: String,
    /// The owner.
    pub owner: Owner,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Its status as in the report.
    pub status: String,
    /// Who started it.
    pub actor: String,
    /// The most entries that the owner had there while it ran: the guard measures losses against it.
    pub held: usize,
    /// Removals that the guard counted and that nobody approved: slow loss adds up.
    pub counted_removals: usize,
    /// The same for revocations.
    pub counted_revocations: usize,
    /// The report as JSON.
    pub report: String,
}

/// A set of changes that the guard holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldSet {
    /// What a person approves: short, unique.
    pub id: String,
    /// The target's key as text.
    pub target: String,
    /// The owner.
    pub owner: Owner,
    /// blake3 over the sorted held changes.
    pub digest: String,
    /// The held changes, sorted: `remove ipv4 192.0.2.1` and so on.
    pub changes: Vec<String>,
    /// Why, for people.
    pub why: String,
    /// When it was held.
    pub at: DateTime<Utc>,
    /// When it was approved, and by whom.
    pub approved: Option<(DateTime<Utc>, String)>,
}

/// The last complete copy of a collection.
#[derive(Clone, Debug)]
pub struct LastCopy {
    /// When it was read.
    pub at: DateTime<Utc>,
    /// Its indicators.
    pub indicators: Vec<Indicator>,
}

/// The store. `target` is always a [`crate::target::TargetKey`] as text. Every method is atomic; several
/// processes may share one store.
#[async_trait::async_trait]
pub trait Store: Send + Sync {
    /// All rows of a target, every owner's, by value.
    async fn ledger(&self, target: &str) -> Result<Vec<LedgerRow>>;

    /// Targets that have any row, sorted: also such as no configuration names any more.
    async fn targets(&self) -> Result<Vec<String>>;

    /// Writes rows (by target, value and owner).
    async fn put(&self, target: &str, rows: &[LedgerRow]) -> Result<()>;

    /// Deletes rows.
    async fn forget(&self, target: &str, rows: &[(Value, Owner)]) -> Result<()>;

    /// The last complete copy of a collection, if there is one.
    async fn last_copy(&self, collection: &str) -> Result<Option<LastCopy>>;

    /// Keeps a complete copy.
    async fn keep_copy(&self, collection: &str, copy: &LastCopy) -> Result<()>;

    /// When the store first saw each value in a collection; values not seen before are recorded with
    /// `now`. In the order given.
    async fn first_seen(
        &self,
        collection: &str,
        values: &[Value],
        now: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>>;

    /// The newest version of each STIX object that was applied in a scope, in the order asked.
    async fn versions(&self, scope: &str, ids: &[String]) -> Result<Vec<Option<DateTime<Utc>>>>;

    /// Keeps versions; an older one than what is known changes nothing.
    async fn keep_versions(&self, scope: &str, versions: &[(String, DateTime<Utc>)]) -> Result<()>;

    /// Records a run.
    async fn record_run(&self, run: &RunRecord) -> Result<()>;

    /// Runs of a target and owner (or of all, if empty), newest first, at most `limit`.
    async fn runs(
        &self,
        target: &str,
        owner: Option<&Owner>,
        limit: usize,
    ) -> Result<Vec<RunRecord>>;

    /// Keeps a held set; an open one of the same target and owner is replaced unless it has the same
    /// digest, whose id then stays. Gives back the id.
    async fn hold(&self, set: &HeldSet) -> Result<String>;

    /// Held sets that are not released, newest first.
    async fn held(&self) -> Result<Vec<HeldSet>>;

    /// Approves a held set. `NotFound` if there is none.
    async fn approve(&self, id: &str, by: &str, at: DateTime<Utc>) -> Result<HeldSet>;

    /// Removes a held set: released or no longer needed.
    async fn release(&self, id: &str) -> Result<()>;

    /// Takes the lease on a target for one holder until `until`; `false` if another holder has it.
    async fn lease(
        &self,
        target: &str,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool>;

    /// Gives the lease back.
    async fn unlease(&self, target: &str, holder: &str) -> Result<()>;

    /// A small named setting of the store itself (`pause/<target>`, `owed/<target>`, `refused/<account>/<tag>`,
    /// `clock` …).
    async fn get(&self, key: &str) -> Result<Option<String>>;

    /// Sets or, with `None`, removes one.
    async fn set(&self, key: &str, value: Option<&str>) -> Result<()>;

    /// All small settings whose key starts so.
    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, String>>;
}
