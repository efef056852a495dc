//! Lists that devices pull: where their text is kept, and what stands in it for whom and until when.
//!
//! A published list has two parts. The text is what a device reads: one entry per line, in the vendor's form,
//! nothing else. The side record holds every entry with its mark, so that owner and end are known without
//! a ledger. The record is written first: a process that dies in between leaves a text that is behind its
//! record, which the next run sees and mends.

mod directory;
mod record;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use self::directory::Directory;
pub use self::seen::{Change, Seen, changes};
use crate::error::{Error, Result};
use crate::indicator::Value;
use crate::target::{Finding, Level};

/// Longest name of a list.
const NAME_LENGTH: usize = 64;

/// What stands in a list: values and their marks.
pub type Entries = BTreeMap<Value, String>;

/// Where lists are published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// A folder that a web server serves to the devices. Each list is a file `NAME.txt` there, with a file
    /// `NAME.json` beside it that the server need not show.
    pub directory: PathBuf,
}

/// What is published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What stands in it, and the mark of each entry.
    pub entries: Entries,
    /// The text as devices read it; `None` where nothing was ever published.
    pub text: Option<String>,
}

/// One list.
#[derive(Clone, Debug)]
pub struct Feed {
    directory: Directory,
    name: String,
}

impl Feed {
    /// A list by name (1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit). An
    /// error if the name is no name.
    pub fn new(publish: &Publish, name: &str) -> Result<Self> {
        let plain = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "._-".contains(letter)
        };
        let well_formed = (1..=NAME_LENGTH).contains(&name.len())
            && name.chars().all(plain)
            && name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        if !well_formed {
            return Err(
                Error::config(format!("{name:?} is no name for a published list"))
                    .hint("use 1 to 64 characters of a-z, 0-9, `.`, `_` and `-`"),
            );
        }
        Ok(Self {
            directory: Directory::new(publish.directory.clone()),
            name: name.to_owned(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it can be published: what `check` says of its folder. Writes nothing that devices see.
    pub async fn examine(&self) -> Finding {
        let looked = match self.directory.lock(&self.name).await {
            Ok(_) => self.read().await.map(drop),
            Err(error) => Err(error),
        };
        match looked {
            Ok(()) => Finding {
                level: Level::Ok,
                subject: "publish".into(),
                message: format!("{} can be published", self.name),
                hint: None,
            },
            Err(error) => Finding {
                level: Level::Missing,
                subject: "publish".into(),
                message: error.to_string(),
                hint: error.hint_text().map(str::to_owned),
            },
        }
    }

    /// What is published; nothing where it never was. Errors: a file that is not ours stands in its place, or
    /// cannot be read.
    pub async fn read(&self) -> Result<Snapshot> {
        self.directory.load(&self.name).await
    }

    /// Changes what is published, all of it or nothing: no other process changes it meanwhile. `render`
    /// makes the text. Nothing is written where neither entries nor text would change.
    pub async fn update(
        &self,
        change: impl FnOnce(&mut Entries) + Send,
        render: fn(&Entries) -> String,
    ) -> Result<()> {
        let _alone = self.directory.lock(&self.name).await?;
        let before = self.directory.load(&self.name).await?;
        let mut entries = before.entries.clone();
        change(&mut entries);
        let text = render(&entries);
        if entries == before.entries && before.text.as_deref() == Some(text.as_str()) {
            return Ok(());
        }
        let after = Snapshot {
            entries,
            text: Some(text),
        };
        self.directory.save(&self.name, &after).await
    }
}
