//! Backup, restore and check of the store's file.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sdk::{Error, ErrorKind, Result};
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::sqlite::{SqliteStore, failure, newest_version};

/// What `cordon store check` found.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport {
    /// The file.
    pub path: PathBuf,
    /// Schema version.
    pub version: i64,
    /// Rows by table.
    pub rows: Vec<(&'static str, i64)>,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<String>,
}

/// Looks at every page and index of a store.
pub(crate) async fn check(store: &SqliteStore) -> Result<CheckReport> {
    inspect(store.pool(), store.path()).await
}

async fn inspect(pool: &SqlitePool, path: &Path) -> Result<CheckReport> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    let mut problems: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
    let orphans = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(pool)
        .await
        .map_err(failure)?;
    if !orphans.is_empty() {
        problems.push(format!(
            "{} rows refer to rows that are not there",
            orphans.len()
        ));
    }
    let version: i64 = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await
        .map_err(failure)?;
    let mut rows = Vec::new();
    for (name, query) in [
        ("ledger", "SELECT count(*) FROM ledger"),
        ("copies", "SELECT count(*) FROM copy"),
        ("first seen", "SELECT count(*) FROM seen"),
        ("runs", "SELECT count(*) FROM run"),
        ("held sets", "SELECT count(*) FROM held"),
        ("leases", "SELECT count(*) FROM lease"),
        ("settings", "SELECT count(*) FROM setting"),
    ] {
        let count = sqlx::query_scalar(query)
            .fetch_one(pool)
            .await
            .map_err(failure)?;
        rows.push((name, count));
    }
    Ok(CheckReport {
        path: path.to_owned(),
        version,
        rows,
        problems,
    })
}

/// Writes a consistent copy, whatever other processes do meanwhile, to a file that is not there yet.
pub(crate) async fn backup(store: &SqliteStore, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(Error::input(format!("{} is there already", to.display()))
            .hint("name a new file; backups are never overwritten"));
    }
    let partial = beside(to, ".partial");
    remove_if_there(&partial)?;
    // VACUUM INTO takes an empty file as its own, and keeps its mode.
    super::sqlite::create_private(&partial)?;
    let written = write_copy(store, &partial).await;
    let done = match written {
        Ok(()) => std::fs::rename(&partial, to).map_err(|error| file_error(to, error)),
        Err(error) => Err(error),
    };
    if done.is_err() {
        remove_if_there(&partial)?;
    }
    done
}

async fn write_copy(store: &SqliteStore, to: &Path) -> Result<()> {
    let name = to
        .to_str()
        .ok_or_else(|| Error::input(format!("{} is not a UTF-8 path", to.display())))?;
    sqlx::query("VACUUM INTO ?")
        .bind(name)
        .execute(store.pool())
        .await
        .map_err(failure)?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| file_error(to, error))
}

/// A copy of a store in a temporary file, for looking into the future without touching the original.
/// The caller removes it.
pub(crate) async fn scratch_copy(store: &SqliteStore, directory: &Path) -> Result<PathBuf> {
    let path = directory.join(format!("cordon-{}.db", uuid::Uuid::new_v4()));
    backup(store, &path).await?;
    Ok(path)
}

/// Puts a backup in the place of a store. The backup is verified whole first; the store that was there
/// is kept beside it, under the name given back.
pub(crate) async fn restore(from: &Path, to: &Path, now: DateTime<Utc>) -> Result<Option<PathBuf>> {
    verify(from).await?;
    let partial = beside(to, ".partial");
    remove_if_there(&partial)?;
    super::sqlite::create_private(&partial)?;
    // `copy` would give the backup's mode to it: only the bytes are taken.
    let copied = std::fs::File::open(from).and_then(|mut backup| {
        let mut file = std::fs::OpenOptions::new().write(true).open(&partial)?;
        std::io::copy(&mut backup, &mut file)?;
        file.sync_all()
    });
    if let Err(error) = copied {
        remove_if_there(&partial)?;
        return Err(file_error(&partial, error));
    }
    let aside = if to.exists() {
        settle(to).await?;
        let aside = beside(to, &now.format(".before-%Y%m%dT%H%M%SZ").to_string());
        std::fs::rename(to, &aside).map_err(|error| file_error(to, error))?;
        for suffix in ["-wal", "-shm"] {
            let log = beside(to, suffix);
            if log.exists() {
                std::fs::rename(&log, beside(&aside, suffix))
                    .map_err(|error| file_error(&log, error))?;
            }
        }
        Some(aside)
    } else {
        None
    };
    std::fs::rename(&partial, to).map_err(|error| file_error(to, error))?;
    Ok(aside)
}

/// Makes sure that no other process has the store open, and folds its log into the file. A damaged
/// store is let go as it is: that is what a restore is for.
async fn settle(path: &Path) -> Result<()> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::ZERO);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    // Leaving WAL mode needs the file for oneself alone.
    let alone = sqlx::query("PRAGMA journal_mode = DELETE")
        .execute(&pool)
        .await;
    pool.close().await;
    match alone.map_err(failure) {
        Err(error) if error.kind() == ErrorKind::Unavailable => Err(Error::new(
            ErrorKind::Conflict,
            "another process has the store open",
        )
        .with("store", path.display())
        .hint("stop it first")),
        _ => Ok(()),
    }
}

async fn verify(path: &Path) -> Result<()> {
    let refused = |message: String| {
        Err(Error::input(message)
            .with("backup", path.display())
            .hint("nothing was changed"))
    };
    if !path.is_file() {
        return refused("there is no such backup".to_owned());
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(options);
    let inspected = inspect(&pool, path).await;
    pool.close().await;
    match inspected {
        Err(error) => refused(format!(
            "the backup is not a store that can be read: {error}"
        )),
        Ok(report) if !report.problems.is_empty() => {
            refused(format!("the backup is damaged: {}", report.problems[0]))
        }
        Ok(report) if report.version > newest_version() => refused(format!(
            "the backup was made by a newer version of cordon (schema {})",
            report.version
        )),
        Ok(_) => Ok(()),
    }
}

/// The path with something added to its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(path, error)),
        _ => Ok(()),
    }
}

fn file_error(path: &Path, error: std::io::Error) -> Error {
    let kind = if error.kind() == std::io::ErrorKind::StorageFull {
        ErrorKind::Full
    } else {
        ErrorKind::Config
    };
    Error::new(kind, "a file of the store cannot be written")
        .with("file", path.display())
        .because(error)
}
