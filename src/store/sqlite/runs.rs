//! What was done and what waits: runs and held sets.

use chrono::{DateTime, TimeDelta, Utc};
use sdk::ownership::Owner;
use sdk::store::{HeldSet, RunRecord};
use sdk::{Error, ErrorKind, Result};

use super::super::rows::{self, millis};
use super::{SqliteStore, failure};

/// How long runs are kept, and how many at most.
const KEPT_FOR: TimeDelta = TimeDelta::days(400);
pub(in crate::store) const KEPT_AT_MOST: i64 = 100_000;

/// Records a run, and drops what is too old or too much by now: usually one row, found by its index.
pub(super) async fn record(store: &SqliteStore, run: &RunRecord) -> Result<()> {
    let mut transaction = store.write().await?;
    sqlx::query(
        "INSERT OR REPLACE INTO run (id, target, owner, at, status, actor, held, report,
         counted_removals, counted_revocations) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&run.id)
    .bind(&run.target)
    .bind(run.owner.as_str())
    .bind(millis(run.at))
    .bind(&run.status)
    .bind(&run.actor)
    .bind(i64::try_from(run.held).unwrap_or(i64::MAX))
    .bind(&run.report)
    .bind(i64::try_from(run.counted_removals).unwrap_or(i64::MAX))
    .bind(i64::try_from(run.counted_revocations).unwrap_or(i64::MAX))
    .execute(&mut *transaction)
    .await
    .map_err(failure)?;
    sqlx::query("DELETE FROM run WHERE at < ?")
        .bind(millis(run.at - KEPT_FOR))
        .execute(&mut *transaction)
        .await
        .map_err(failure)?;
    // Positions only grow, and only a run that is recorded twice leaves a gap.
    sqlx::query("DELETE FROM run WHERE position <= (SELECT max(position) FROM run) - ?")
        .bind(KEPT_AT_MOST)
        .execute(&mut *transaction)
        .await
        .map_err(failure)?;
    transaction.commit().await.map_err(failure)
}

pub(super) async fn runs(
    store: &SqliteStore,
    target: &str,
    owner: Option<&Owner>,
    limit: usize,
) -> Result<Vec<RunRecord>> {
    sqlx::query(
        "SELECT id, target, owner, at, status, actor, held, report,
                counted_removals, counted_revocations FROM run
         WHERE (?1 = '' OR target = ?1) AND (?2 IS NULL OR owner = ?2)
         ORDER BY at DESC, position DESC LIMIT ?3",
    )
    .bind(target)
    .bind(owner.map(Owner::as_str))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(&store.pool)
    .await
    .map_err(failure)?
    .iter()
    .map(rows::run)
    .collect()
}

pub(super) async fn hold(store: &SqliteStore, set: &HeldSet) -> Result<String> {
    // A set with the same digest keeps its id and its approval.
    sqlx::query_scalar(
        "INSERT INTO held
         (id, target, owner, digest, changes, why, at, approved_at, approved_by)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (target, owner) DO UPDATE SET
           id = iif(held.digest = excluded.digest, held.id, excluded.id),
           changes = excluded.changes,
           why = iif(held.digest = excluded.digest, held.why, excluded.why),
           at = iif(held.digest = excluded.digest, held.at, excluded.at),
           approved_at = iif(held.digest = excluded.digest, held.approved_at, excluded.approved_at),
           approved_by = iif(held.digest = excluded.digest, held.approved_by, excluded.approved_by),
           digest = excluded.digest
         RETURNING id",
    )
    .bind(&set.id)
    .bind(&set.target)
    .bind(set.owner.as_str())
    .bind(&set.digest)
    .bind(set.changes.join("\n"))
    .bind(&set.why)
    .bind(millis(set.at))
    .bind(set.approved.as_ref().map(|(at, _)| millis(*at)))
    .bind(set.approved.as_ref().map(|(_, by)| by))
    .fetch_one(&store.pool)
    .await
    .map_err(failure)
}

pub(super) async fn held(store: &SqliteStore) -> Result<Vec<HeldSet>> {
    sqlx::query(
        "SELECT id, target, owner, digest, changes, why, at, approved_at, approved_by
         FROM held ORDER BY at DESC, position DESC",
    )
    .fetch_all(&store.pool)
    .await
    .map_err(failure)?
    .iter()
    .map(rows::held)
    .collect()
}

pub(super) async fn approve(
    store: &SqliteStore,
    id: &str,
    by: &str,
    at: DateTime<Utc>,
) -> Result<HeldSet> {
    let approved = sqlx::query(
        "UPDATE held SET approved_at = ?, approved_by = ? WHERE id = ?
         RETURNING id, target, owner, digest, changes, why, at, approved_at, approved_by",
    )
    .bind(millis(at))
    .bind(by)
    .bind(id)
    .fetch_optional(&store.pool)
    .await
    .map_err(failure)?;
    match approved {
        Some(row) => rows::held(&row),
        None => Err(Error::new(
            ErrorKind::NotFound,
            format!("no held set has the id {id:?}"),
        )
        .hint("`cordon history` shows what waits")),
    }
}

pub(super) async fn release(store: &SqliteStore, id: &str) -> Result<()> {
    sqlx::query("DELETE FROM held WHERE id = ?")
        .bind(id)
        .execute(&store.pool)
        .await
        .map_err(failure)?;
    Ok(())
}
