//! Lists as files in a folder that a web server serves.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::{Entries, Snapshot};
use crate::error::{Error, Result};

/// A folder with a text and a record for each list.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    /// The folder must exist when a list is published.
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn text(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.txt"))
    }

    fn record(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }

    /// Keeps others from changing a list until the answer is dropped.
    pub(super) async fn lock(&self, name: &str) -> Result<File> {
        let path = self.0.join(format!(".{name}.lock"));
        aside(move || {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)
                .map_err(|error| failed("lock", &path, error))?;
            file.lock().map_err(|error| failed("lock", &path, error))?;
            Ok(file)
        })
        .await
    }

    /// What is published; nothing where there never was anything. A folder that is not there, perhaps because nobody
    /// mounted it, is an error: nothing is known of its lists.
    pub(super) async fn load(&self, name: &str) -> Result<Snapshot> {
        let (text, record) = (self.text(name), self.record(name));
        let (name, folder) = (name.to_owned(), self.0.clone());
        aside(move || {
            if !folder.is_dir() {
                let place = folder.display();
                return Err(
                    Error::config(format!("`publish.directory` {place} is not a folder"))
                        .hint("make it, or mount it: a web server shows it to the devices"),
                );
            }
            // The record first: it is never behind the text that is read after it.
            let entries = match read(&record)? {
                Some(json) => Some(Record::read(&json, &name)?),
                None => None,
            };
            let published = read(&text)?;
            match (entries, published) {
                (None, Some(_)) => Err(Error::new(
                    crate::ErrorKind::Conflict,
                    format!(
                        "{} is there without {}, so it is not a list of ours and stays as it is",
                        text.display(),
                        record.display()
                    ),
                )
                .hint("publish to another folder or under another name, or remove the file")),
                (entries, text) => Ok(Snapshot {
                    entries: entries.unwrap_or_else(Entries::new),
                    text,
                }),
            }
        })
        .await
    }

    /// Publishes it: first the record, then the text, each at once or not at all.
    pub(super) async fn save(&self, name: &str, snapshot: &Snapshot) -> Result<()> {
        let (text, record) = (self.text(name), self.record(name));
        let json = Record::write(&snapshot.entries)?;
        let body = snapshot.text.clone().unwrap_or_default();
        aside(move || {
            replace(&record, json.as_bytes())?;
            replace(&text, body.as_bytes())
        })
        .await
    }
}

/// Files are slow for a moment; other work goes on meanwhile.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal("work on a published list died").because(error))?
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// A file is whole or as it was: a device that pulls meanwhile, or a loss of power, sees one or the other.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| {
        // What is left of a draft is of no use; the error that matters is the first.
        let _ = fs::remove_file(&draft);
        failed("write", path, error)
    })
}

fn failed(verb: &str, path: &Path, error: io::Error) -> Error {
    Error::config(format!("cannot {verb} {}", path.display()))
        .because(error)
        .hint("`publish.directory` must be a folder that this process may write to")
}
