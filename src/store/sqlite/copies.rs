//! What the sources said: last complete copies, and when a value was first seen.

use chrono::{DateTime, Utc};
use sdk::Result;
use sdk::indicator::Value;
use sdk::store::LastCopy;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::super::rows::{self, millis};
use super::{ROWS_PER_STATEMENT, SqliteStore, failure};

pub(super) async fn last_copy(store: &SqliteStore, collection: &str) -> Result<Option<LastCopy>> {
    // One statement, so that a copy that is being replaced is never read half.
    let found = sqlx::query(
        "SELECT copy.kind, copy.value, copy.exact, copy.revoked, copy.confidence,
                copy.valid_from, copy.valid_until, copy.modified, copy.origin,
                collection.copied_at
         FROM collection LEFT JOIN copy ON copy.collection = collection.id
         WHERE collection.name = ? AND collection.copied_at IS NOT NULL
         ORDER BY copy.position",
    )
    .bind(collection)
    .fetch_all(&store.pool)
    .await
    .map_err(failure)?;
    let Some(first) = found.first() else {
        return Ok(None);
    };
    let at = rows::instant(rows::number(first, 9)?)?;
    let empty = first
        .try_get::<Option<&str>, _>(0)
        .map_err(failure)?
        .is_none();
    let indicators = if empty {
        Vec::new()
    } else {
        found.iter().map(rows::indicator).collect::<Result<_>>()?
    };
    Ok(Some(LastCopy { at, indicators }))
}

pub(super) async fn keep_copy(
    store: &SqliteStore,
    collection: &str,
    copy: &LastCopy,
) -> Result<()> {
    let id = collection_id(store, collection).await?;
    let mut transaction = store.write().await?;
    sqlx::query("DELETE FROM copy WHERE collection = ?")
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(failure)?;
    sqlx::query("UPDATE collection SET copied_at = ? WHERE id = ?")
        .bind(millis(copy.at))
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(failure)?;
    for (chunk, start) in copy
        .indicators
        .chunks(ROWS_PER_STATEMENT)
        .zip((0_i64..).step_by(ROWS_PER_STATEMENT))
    {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO copy (collection, position, kind, value, exact, revoked, confidence,
             valid_from, valid_until, modified, origin) ",
        );
        query.push_values(chunk.iter().zip(start..), |mut row, (item, position)| {
            row.push_bind(id)
                .push_bind(position)
                .push_bind(item.value.kind().name())
                .push_bind(rows::source_text(&item.value))
                .push_bind(item.exact)
                .push_bind(item.revoked)
                .push_bind(item.confidence.map(i64::from))
                .push_bind(item.validity.from.map(millis))
                .push_bind(item.validity.until.map(millis))
                .push_bind(item.modified.map(millis))
                .push_bind(rows::origin_text(&item.origin));
        });
        query
            .build()
            .execute(&mut *transaction)
            .await
            .map_err(failure)?;
    }
    transaction.commit().await.map_err(failure)
}

pub(super) async fn first_seen(
    store: &SqliteStore,
    collection: &str,
    values: &[Value],
    now: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>> {
    let id = collection_id(store, collection).await?;
    let mut times = seen(store, id, values).await?;
    let missing: Vec<usize> = (0..values.len())
        .filter(|index| times[*index].is_none())
        .collect();
    if !missing.is_empty() {
        let new: Vec<Value> = missing.iter().map(|index| values[*index].clone()).collect();
        let mut transaction = store.write().await?;
        for chunk in new.chunks(ROWS_PER_STATEMENT) {
            let mut query =
                QueryBuilder::<Sqlite>::new("INSERT INTO seen (collection, kind, value, at) ");
            query.push_values(chunk, |mut row, value| {
                row.push_bind(id)
                    .push_bind(value.kind().name())
                    .push_bind(value.to_string())
                    .push_bind(millis(now));
            });
            // Another process, or an earlier row of this batch, may have been first.
            query.push(" ON CONFLICT DO NOTHING");
            query
                .build()
                .execute(&mut *transaction)
                .await
                .map_err(failure)?;
        }
        transaction.commit().await.map_err(failure)?;
        for (index, time) in missing.iter().zip(seen(store, id, &new).await?) {
            times[*index] = time;
        }
    }
    times
        .into_iter()
        .map(|time| time.map_or(Ok(now), rows::instant))
        .collect()
}

async fn collection_id(store: &SqliteStore, name: &str) -> Result<i64> {
    let known: Option<i64> = sqlx::query_scalar("SELECT id FROM collection WHERE name = ?")
        .bind(name)
        .fetch_optional(&store.pool)
        .await
        .map_err(failure)?;
    if let Some(id) = known {
        return Ok(id);
    }
    sqlx::query_scalar(
        "INSERT INTO collection (name) VALUES (?)
         ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(name)
    .fetch_one(&store.pool)
    .await
    .map_err(failure)
}

/// When each value was first seen, where it was; in the order given.
async fn seen(store: &SqliteStore, collection: i64, values: &[Value]) -> Result<Vec<Option<i64>>> {
    let mut times = vec![None; values.len()];
    for (chunk, start) in values
        .chunks(ROWS_PER_STATEMENT)
        .zip((0_i64..).step_by(ROWS_PER_STATEMENT))
    {
        let mut query = QueryBuilder::<Sqlite>::new("WITH wanted (position, kind, value) AS (");
        query.push_values(chunk.iter().zip(start..), |mut row, (value, position)| {
            row.push_bind(position)
                .push_bind(value.kind().name())
                .push_bind(value.to_string());
        });
        query.push(
            ") SELECT wanted.position, seen.at FROM wanted JOIN seen
               ON seen.kind = wanted.kind AND seen.value = wanted.value AND seen.collection = ",
        );
        query.push_bind(collection);
        let found = query
            .build()
            .fetch_all(&store.pool)
            .await
            .map_err(failure)?;
        for row in &found {
            let position = usize::try_from(rows::number(row, 0)?).unwrap_or(usize::MAX);
            if let Some(time) = times.get_mut(position) {
                *time = Some(rows::number(row, 1)?);
            }
        }
    }
    Ok(times)
}
