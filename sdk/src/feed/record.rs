//! The record beside the text of a list.

use serde::{Deserialize, Serialize};

use super::Entries;
use crate::error::{Error, Result};
use crate::indicator::{Kind, Value};

/// The record of a list as JSON.
#[derive(Deserialize, Serialize)]
pub(super) struct Record {
    /// The version of this form; 1.
    cordon_feed: u32,
    entries: Vec<RecordEntry>,
}

#[derive(Deserialize, Serialize)]
struct RecordEntry {
    kind: Kind,
    value: String,
    mark: String,
}

impl Record {
    pub(super) fn write(entries: &Entries) -> Result<String> {
        let record = Self {
            cordon_feed: 1,
            entries: entries
                .iter()
                .map(|(value, mark)| RecordEntry {
                    kind: value.kind(),
                    value: value.to_string(),
                    mark: mark.clone(),
                })
                .collect(),
        };
        serde_json::to_string(&record)
            .map_err(|error| Error::internal("a list's record is not JSON").because(error))
    }

    pub(super) fn read(text: &str, name: &str) -> Result<Entries> {
        let broken = |error: &dyn std::fmt::Display| {
            Error::input(format!("the record of the published list {name} cannot be read: {error}"))
                .hint("restore it from a backup, or remove record and text: what they held is then not blocked \
                       until the next sync publishes it again")
        };
        let record: Self = serde_json::from_str(text).map_err(|error| broken(&error))?;
        if record.cordon_feed != 1 {
            return Err(broken(&format!(
                "version {} is not known",
                record.cordon_feed
            )));
        }
        record
            .entries
            .into_iter()
            .map(|entry| {
                let value =
                    Value::parse(entry.kind, &entry.value).map_err(|error| broken(&error))?;
                Ok((value, entry.mark))
            })
            .collect()
    }
}
