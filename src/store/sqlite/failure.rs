//! SQLite's failures in the caller's words.

use sdk::{Error, ErrorKind};
use sqlx::migrate::MigrateError;

/// An SQLite failure in the caller's words. Codes: <https://www.sqlite.org/rescode.html>.
pub(crate) fn failure(error: sqlx::Error) -> Error {
    let code: Option<i32> = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse().ok());
    let restore = "`cordon store restore FILE` brings a backup back";
    match (code.map(|code| code & 0xff), code) {
        // 778 and 4874: a write, or room for one, that the system refused, for instance beyond a file
        // size limit.
        (Some(13), _) | (_, Some(778 | 4874)) => {
            Error::new(ErrorKind::Full, "the disk under the store is full")
                .hint("make room and run again; nothing was half-written")
        }
        (Some(5 | 6), _) => Error::new(
            ErrorKind::Unavailable,
            "another process has kept the store busy for too long",
        ),
        (Some(11 | 26), _) => Error::config("the store's file is damaged").hint(restore),
        (Some(8), _) => Error::config("the store's file cannot be written")
            .hint("check the rights of the file and of its directory"),
        (Some(14), _) => Error::config("the store's file cannot be opened")
            .hint("check the rights of the file and of its directory"),
        (Some(10), _) => Error::new(ErrorKind::Unavailable, "the store's disk does not answer"),
        _ => Error::internal("the store failed"),
    }
    .because(error)
}

pub(super) fn migration_failure(error: MigrateError) -> Error {
    match error {
        MigrateError::VersionMismatch(version) => Error::config(format!(
            "the store was made by a version of cordon that was never released (schema {version})"
        ))
        .hint("use another file"),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failure(error),
        other => Error::internal("the store's tables cannot be made").because(other),
    }
}
