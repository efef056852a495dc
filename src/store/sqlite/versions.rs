//! The newest version of each STIX object that was applied.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sdk::Result;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::super::rows::{self, millis};
use super::{ROWS_PER_STATEMENT, SqliteStore, failure};

pub(super) async fn read(
    store: &SqliteStore,
    scope: &str,
    ids: &[String],
) -> Result<Vec<Option<DateTime<Utc>>>> {
    let mut known: HashMap<String, DateTime<Utc>> = HashMap::new();
    for chunk in ids.chunks(ROWS_PER_STATEMENT) {
        let mut query =
            QueryBuilder::<Sqlite>::new("SELECT id, modified FROM version WHERE scope = ");
        query.push_bind(scope).push(" AND id IN (");
        let mut list = query.separated(", ");
        for id in chunk {
            list.push_bind(id);
        }
        query.push(")");
        for row in query
            .build()
            .fetch_all(&store.pool)
            .await
            .map_err(failure)?
        {
            let id: String = row.try_get(0).map_err(failure)?;
            known.insert(id, rows::instant(rows::number(&row, 1)?)?);
        }
    }
    Ok(ids.iter().map(|id| known.get(id).copied()).collect())
}

pub(super) async fn keep(
    store: &SqliteStore,
    scope: &str,
    versions: &[(String, DateTime<Utc>)],
) -> Result<()> {
    if versions.is_empty() {
        return Ok(());
    }
    let mut transaction = store.write().await?;
    for chunk in versions.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO version (scope, id, modified) ");
        query.push_values(chunk, |mut row, (id, version)| {
            row.push_bind(scope)
                .push_bind(id)
                .push_bind(millis(*version));
        });
        query.push(
            " ON CONFLICT (scope, id) DO UPDATE SET modified = max(modified, excluded.modified)",
        );
        query
            .build()
            .execute(&mut *transaction)
            .await
            .map_err(failure)?;
    }
    transaction.commit().await.map_err(failure)
}
