//! The store that the operator brings: which one, and under which clock.

pub(crate) mod maintenance;
mod rows;
mod sqlite;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sdk::store::{MemoryStore, Store};
use sdk::{Error, Result};

pub(crate) use sqlite::SqliteStore;

/// What to do with a store when the clock is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockUse {
    /// The system's clock.
    System,
    /// Moved, and writing: only a store that was made so is used, otherwise an empty scratch one.
    Moved,
    /// Moved, and only looking: a copy is used, so that what the ledger knows is known.
    MovedToLook,
}

/// An open store, and what to tell about it.
pub(crate) struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// What people should know about which one it is.
    pub warning: Option<String>,
    /// The file, where there is one.
    file: Option<SqliteStore>,
    /// Removed when this goes.
    _scratch: Option<Scratch>,
}

impl Opened {
    /// Fails where the disk is too full to record a run.
    pub(crate) async fn make_room(&self) -> Result<()> {
        match &self.file {
            Some(file) => file.make_room().await,
            None => Ok(()),
        }
    }

    /// A store that is gone with the process.
    pub(crate) fn scratch(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            warning: None,
            file: None,
            _scratch: None,
        }
    }
}

/// A temporary file of SQLite's, removed with its logs.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(suffix);
            // What cannot be removed from the temporary directory is the system's to clean.
            let _ = std::fs::remove_file(name);
        }
    }
}

/// The file that a store's URL names; a relative path starts at `base`.
pub(crate) fn path_of(url: &str, base: &Path) -> Result<PathBuf> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path == ":memory:" {
            return Err(Error::config(format!("{url:?} names no file"))
                .hint("write sqlite:PATH, for instance sqlite:cordon.db"));
        }
        Ok(base.join(path))
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        Err(
            Error::config("PostgreSQL as a store is not in this version")
                .hint("write sqlite:PATH, for instance sqlite:cordon.db"),
        )
    } else {
        Err(
            Error::config(format!("{:?} is not the URL of a store", scheme_only(url)))
                .hint("write sqlite:PATH, for instance sqlite:cordon.db"),
        )
    }
}

/// A URL may hold a password: only what stands before its colon is shown.
fn scheme_only(url: &str) -> &str {
    url.split_once(':').map_or(url, |(scheme, _)| scheme)
}

/// Opens the store at `path`, or what takes its place under a moved clock.
pub(crate) async fn open(path: &Path, clock: ClockUse) -> Result<Opened> {
    let plain = |store: SqliteStore| Opened {
        file: Some(store.clone()),
        store: Arc::new(store),
        warning: None,
        _scratch: None,
    };
    let store = SqliteStore::open(path, clock != ClockUse::System).await?;
    let moved = store.made_with_moved_clock().await?;
    match (clock, moved) {
        (ClockUse::System, false) | (ClockUse::Moved | ClockUse::MovedToLook, true) => {
            Ok(plain(store))
        }
        (ClockUse::System, true) => Err(Error::config(
            "the store was made with --clock: its times are not those of the real clock",
        )
        .with("store", path.display())
        .hint("use it with --clock, or name another store")),
        (ClockUse::Moved, false) => Ok(Opened {
            store: Arc::new(MemoryStore::new()),
            warning: Some(format!(
                "the store {} was not made with --clock: this run uses an empty scratch store instead",
                path.display()
            )),
            file: None,
            _scratch: None,
        }),
        (ClockUse::MovedToLook, false) => {
            let copy = maintenance::scratch_copy(&store, &std::env::temp_dir()).await?;
            store.close().await;
            let scratch = Scratch(copy);
            let store = SqliteStore::open(&scratch.0, true).await?;
            Ok(Opened {
                store: Arc::new(store),
                warning: None,
                file: None,
                _scratch: Some(scratch),
            })
        }
    }
}
