//! `cordon store`: backup, restore, check.

use std::path::Path;

use sdk::Error;
use serde_json::json;

use super::{Outcome, block_on, configuration_without_secrets};
use crate::cli::{Global, StoreCommand};
use crate::environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::{SqliteStore, maintenance};

/// Looks after the store.
pub(crate) fn run(command: &StoreCommand, global: &Global, output: Output) -> Outcome {
    let config = configuration_without_secrets(global)?;
    let path = config.store.ok_or_else(|| {
        Error::config("the configuration has no store")
            .hint("write [store] with url = \"sqlite:cordon.db\"")
    })?;
    block_on(async {
        match command {
            StoreCommand::Backup { file } => {
                let store = existing(&path).await?;
                maintenance::backup(&store, file).await?;
                store.close().await;
                output.result(&json!({ "status": "ok", "backup": file }), || {
                    format!(
                        "the store {} is saved in {}",
                        path.display(),
                        file.display()
                    )
                });
            }
            StoreCommand::Restore { file } => {
                let now = environment::clock(None)?.now();
                let aside = maintenance::restore(file, &path, now).await?;
                output.result(&json!({ "status": "ok", "kept_aside": aside }), || {
                    let mut text =
                        format!("{} is restored from {}", path.display(), file.display());
                    if let Some(aside) = aside {
                        text.push_str(&format!("\nthe one before is kept as {}", aside.display()));
                    }
                    text
                });
            }
            StoreCommand::Check => {
                let store = existing(&path).await?;
                let report = maintenance::check(&store).await?;
                store.close().await;
                let sound = report.problems.is_empty();
                output.result(&report, || {
                    let rows: Vec<Vec<String>> = report
                        .rows
                        .iter()
                        .map(|(name, count)| vec![(*name).to_owned(), count.to_string()])
                        .collect();
                    let mut text = output.table(&["table", "rows"], &rows);
                    text.push_str(&format!("\nschema {}, ", report.version));
                    text.push_str(if sound { "sound" } else { "damaged" });
                    for problem in &report.problems {
                        text.push_str(&format!("\nproblem: {problem}"));
                    }
                    text
                });
                if !sound {
                    return Err(Error::config("the store's file is damaged")
                        .hint("`cordon store restore FILE` brings a backup back")
                        .into());
                }
            }
        }
        Ok(0)
    })
}

/// A store that is there: looking after it makes none.
async fn existing(path: &Path) -> Result<SqliteStore, Failure> {
    if !path.exists() {
        return Err(Error::config("there is no store yet")
            .with("store", path.display())
            .hint("the first sync makes it")
            .into());
    }
    Ok(SqliteStore::open(path, false).await?)
}
