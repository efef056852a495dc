//! What we put where: the ledger's tables.

use sdk::Result;
use sdk::indicator::Value;
use sdk::ownership::Owner;
use sdk::store::LedgerRow;
use sqlx::{QueryBuilder, Sqlite};

use super::super::rows::{self, millis};
use super::{ROWS_PER_STATEMENT, SqliteStore, failure};

pub(super) async fn rows(store: &SqliteStore, target: &str) -> Result<Vec<LedgerRow>> {
    let Some(target) = target_id(store, target).await? else {
        return Ok(Vec::new());
    };
    let found = sqlx::query(
        "SELECT kind, value, owner, until, sources, state, at
         FROM ledger WHERE target = ?",
    )
    .bind(target)
    .fetch_all(&store.pool)
    .await
    .map_err(failure)?;
    let mut ledger = found
        .iter()
        .map(rows::ledger_row)
        .collect::<Result<Vec<LedgerRow>>>()?;
    // The order of values is not the order of their texts.
    ledger.sort_unstable_by(|a, b| (&a.value, &a.owner).cmp(&(&b.value, &b.owner)));
    Ok(ledger)
}

pub(super) async fn targets(store: &SqliteStore) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT key FROM target WHERE EXISTS (SELECT 1 FROM ledger WHERE target = target.id)
         ORDER BY key",
    )
    .fetch_all(&store.pool)
    .await
    .map_err(failure)
}

pub(super) async fn put(store: &SqliteStore, target: &str, rows: &[LedgerRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut transaction = store.write().await?;
    let target: i64 = sqlx::query_scalar(
        "INSERT INTO target (key) VALUES (?)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id",
    )
    .bind(target)
    .fetch_one(&mut *transaction)
    .await
    .map_err(failure)?;
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO ledger
             (target, kind, value, owner, until, sources, state, at) ",
        );
        query.push_values(chunk, |mut row, item| {
            row.push_bind(target)
                .push_bind(item.value.kind().name())
                .push_bind(item.value.to_string())
                .push_bind(item.owner.as_str())
                .push_bind(item.until.map(millis))
                .push_bind(item.sources.as_str())
                .push_bind(rows::state_name(item.state))
                .push_bind(millis(item.at));
        });
        query.push(
            " ON CONFLICT (target, kind, value, owner) DO UPDATE SET
             until = excluded.until, sources = excluded.sources,
             state = excluded.state, at = excluded.at",
        );
        query
            .build()
            .execute(&mut *transaction)
            .await
            .map_err(failure)?;
    }
    transaction.commit().await.map_err(failure)
}

pub(super) async fn forget(
    store: &SqliteStore,
    target: &str,
    rows: &[(Value, Owner)],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let Some(target) = target_id(store, target).await? else {
        return Ok(());
    };
    let mut transaction = store.write().await?;
    for chunk in rows.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM ledger WHERE target = ");
        query.push_bind(target);
        query.push(" AND (kind, value, owner) IN (");
        query.push_values(chunk, |mut row, (value, owner)| {
            row.push_bind(value.kind().name())
                .push_bind(value.to_string())
                .push_bind(owner.as_str());
        });
        query.push(")");
        query
            .build()
            .execute(&mut *transaction)
            .await
            .map_err(failure)?;
    }
    transaction.commit().await.map_err(failure)
}

async fn target_id(store: &SqliteStore, key: &str) -> Result<Option<i64>> {
    sqlx::query_scalar("SELECT id FROM target WHERE key = ?")
        .bind(key)
        .fetch_optional(&store.pool)
        .await
        .map_err(failure)
}
