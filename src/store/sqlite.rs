//! The store on disk: one SQLite file.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sdk::indicator::Value;
use sdk::ownership::Owner;
use sdk::store::{HeldSet, LastCopy, LedgerRow, RunRecord, Store};
use sdk::{Clock, Error, ErrorKind, Result};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::rows::{self, millis};

mod copies;
mod failure;
mod ledger;
mod runs;
mod versions;

pub(super) use failure::failure;
use failure::migration_failure;
#[cfg(test)]
pub(super) use runs::KEPT_AT_MOST;

static MIGRATIONS: Migrator = sqlx::migrate!("src/store/migrations");

/// `application_id` of our files: "CRDN".
const APPLICATION_ID: i64 = 0x4352_444E;

/// Rows per statement: SQLite takes 32,766 parameters, and more rows than this gain nothing.
const ROWS_PER_STATEMENT: usize = 500;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a run of a few thousand changes writes: its pages stay free in the file for it.
const ROOM_BYTES: i64 = 1 << 20;

/// How often, and after which pause, a new file is tried again that another process is making.
const MAKING_TRIES: u32 = 50;
const MAKING_PAUSE: Duration = Duration::from_millis(20);

/// A store in one SQLite file, shared by any number of processes on one machine.
#[derive(Clone, Debug)]
pub(crate) struct SqliteStore {
    pool: SqlitePool,
    path: PathBuf,
}

impl SqliteStore {
    /// Opens a store; a file that is not there is made, readable by its owner alone. A file of a newer
    /// version, of another program, or damaged is an error with a hint.
    /// `moved_clock` is written into a new file: whether its times are those of a clock that was moved.
    pub(crate) async fn open(path: &Path, moved_clock: bool) -> Result<Self> {
        Self::open_limited(path, moved_clock, None).await
    }

    /// The same with a limit on the file's size in pages of 4 KiB.
    pub(super) async fn open_limited(
        path: &Path,
        moved_clock: bool,
        pages: Option<u32>,
    ) -> Result<Self> {
        create_private(path)?;
        let mut options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // An intent must be on the disk before the vendor hears of it.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .row_buffer_size(1000);
        if let Some(pages) = pages {
            options = options.pragma("max_page_count", pages.to_string());
        }
        let clock = Clock::system();
        let mut tries = 0;
        loop {
            let pool = SqlitePoolOptions::new()
                .min_connections(0)
                .max_connections(4)
                .connect_lazy_with(options.clone());
            let store = Self {
                pool,
                path: path.to_owned(),
            };
            match store.prepare(moved_clock).await {
                Ok(()) => return Ok(store),
                // SQLite does not wait where two processes turn on the log of a new file at once.
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < MAKING_TRIES => {
                    tries += 1;
                    store.close().await;
                    clock.sleep(MAKING_PAUSE).await;
                }
                Err(error) => return Err(error.with("store", path.display())),
            }
        }
    }

    async fn prepare(&self, moved_clock: bool) -> Result<()> {
        // In this order: whoever makes the file sets both at once, and may do so between the two.
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&self.pool)
            .await
            .map_err(failure)?;
        let application: i64 = sqlx::query_scalar("PRAGMA application_id")
            .fetch_one(&self.pool)
            .await
            .map_err(failure)?;
        let version = if tables == 0 {
            0
        } else if application == APPLICATION_ID {
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
                .fetch_one(&self.pool)
                .await
                .map_err(failure)?
        } else {
            return Err(Error::config("the file is a database of another program")
                .hint("give the store a file of its own"));
        };
        let newest = newest_version();
        match version.cmp(&newest) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Error::config(format!(
                "the store was made by a newer version of cordon (schema {version}, this one knows {newest})"
            ))
            .hint("use that version, or another file")),
            Ordering::Less => self.migrate(moved_clock).await,
        }
    }

    /// Brings the tables up to this version: all of it or nothing, one process at a time.
    async fn migrate(&self, moved_clock: bool) -> Result<()> {
        let mut transaction = self.write().await?;
        let made_already: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failure)?;
        MIGRATIONS
            .run(&mut *transaction)
            .await
            .map_err(migration_failure)?;
        if made_already == 0 {
            // APPLICATION_ID; a PRAGMA takes no parameter.
            sqlx::query("PRAGMA application_id = 1129464910")
                .execute(&mut *transaction)
                .await
                .map_err(failure)?;
            sqlx::query("INSERT INTO setting (key, value) VALUES ('made-with-clock', ?)")
                .bind(if moved_clock { "moved" } else { "system" })
                .execute(&mut *transaction)
                .await
                .map_err(failure)?;
        }
        transaction.commit().await.map_err(failure)
    }

    /// Whether it was made by a run with `--clock`.
    pub(crate) async fn made_with_moved_clock(&self) -> Result<bool> {
        Ok(self.get("made-with-clock").await?.as_deref() == Some("moved"))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the disk takes what a run will record, before anything is sent to a vendor: a
    /// run that cannot be recorded must not begin.
    pub(crate) async fn make_room(&self) -> Result<()> {
        sqlx::query(
            "INSERT OR REPLACE INTO setting (key, value) VALUES ('room', printf('%.*c', ?, 'x'))",
        )
        .bind(ROOM_BYTES)
        .execute(&self.pool)
        .await
        .map_err(failure)?;
        self.set("room", None).await
    }

    /// The connections, for maintenance.
    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Closes all connections, which folds the write-ahead log into the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that takes the write lock at once, so that it cannot fail half-way for another
    /// writer's sake.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        self.pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failure)
    }
}

#[sdk::async_trait]
impl Store for SqliteStore {
    async fn ledger(&self, target: &str) -> Result<Vec<LedgerRow>> {
        ledger::rows(self, target).await
    }

    async fn targets(&self) -> Result<Vec<String>> {
        ledger::targets(self).await
    }

    async fn put(&self, target: &str, rows: &[LedgerRow]) -> Result<()> {
        ledger::put(self, target, rows).await
    }

    async fn forget(&self, target: &str, rows: &[(Value, Owner)]) -> Result<()> {
        ledger::forget(self, target, rows).await
    }

    async fn last_copy(&self, collection: &str) -> Result<Option<LastCopy>> {
        copies::last_copy(self, collection).await
    }

    async fn keep_copy(&self, collection: &str, copy: &LastCopy) -> Result<()> {
        copies::keep_copy(self, collection, copy).await
    }

    async fn first_seen(
        &self,
        collection: &str,
        values: &[Value],
        now: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>> {
        copies::first_seen(self, collection, values, now).await
    }

    async fn versions(&self, scope: &str, ids: &[String]) -> Result<Vec<Option<DateTime<Utc>>>> {
        versions::read(self, scope, ids).await
    }

    async fn keep_versions(&self, scope: &str, versions: &[(String, DateTime<Utc>)]) -> Result<()> {
        versions::keep(self, scope, versions).await
    }

    async fn record_run(&self, run: &RunRecord) -> Result<()> {
        runs::record(self, run).await
    }

    async fn runs(
        &self,
        target: &str,
        owner: Option<&Owner>,
        limit: usize,
    ) -> Result<Vec<RunRecord>> {
        runs::runs(self, target, owner, limit).await
    }

    async fn hold(&self, set: &HeldSet) -> Result<String> {
        runs::hold(self, set).await
    }

    async fn held(&self) -> Result<Vec<HeldSet>> {
        runs::held(self).await
    }

    async fn approve(&self, id: &str, by: &str, at: DateTime<Utc>) -> Result<HeldSet> {
        runs::approve(self, id, by, at).await
    }

    async fn release(&self, id: &str) -> Result<()> {
        runs::release(self, id).await
    }

    async fn lease(
        &self,
        target: &str,
        holder: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<bool> {
        let result = sqlx::query(
            "INSERT INTO lease (target, holder, until) VALUES (?, ?, ?)
             ON CONFLICT (target) DO UPDATE SET holder = excluded.holder, until = excluded.until
             WHERE lease.holder = excluded.holder OR lease.until <= ?",
        )
        .bind(target)
        .bind(holder)
        .bind(millis(until))
        .bind(millis(now))
        .execute(&self.pool)
        .await
        .map_err(failure)?;
        Ok(result.rows_affected() == 1)
    }

    async fn unlease(&self, target: &str, holder: &str) -> Result<()> {
        sqlx::query("DELETE FROM lease WHERE target = ? AND holder = ?")
            .bind(target)
            .bind(holder)
            .execute(&self.pool)
            .await
            .map_err(failure)?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>> {
        sqlx::query_scalar("SELECT value FROM setting WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(failure)
    }

    async fn set(&self, key: &str, value: Option<&str>) -> Result<()> {
        match value {
            Some(value) => sqlx::query(
                "INSERT INTO setting (key, value) VALUES (?, ?)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(key)
            .bind(value),
            None => sqlx::query("DELETE FROM setting WHERE key = ?").bind(key),
        }
        .execute(&self.pool)
        .await
        .map_err(failure)?;
        Ok(())
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<String, String>> {
        sqlx::query("SELECT key, value FROM setting WHERE substr(key, 1, length(?1)) = ?1")
            .bind(prefix)
            .fetch_all(&self.pool)
            .await
            .map_err(failure)?
            .iter()
            .map(|row| {
                Ok((
                    rows::text(row, 0)?.to_owned(),
                    rows::text(row, 1)?.to_owned(),
                ))
            })
            .collect()
    }
}

/// The newest schema version that this program knows.
pub(super) fn newest_version() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// Makes the file before SQLite does, so that nobody else can ever read it; SQLite gives its log the
/// same mode.
pub(super) fn create_private(path: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::config("the store's file cannot be made")
            .with("store", path.display())
            .because(error)
            .hint("the directory must exist and be writable")),
    }
}
