//! What we know a device to have pulled: the hash of a list's text, in a file of its own beside the list. The device
//! itself does not tell what it holds, and a run that was interrupted between publishing and asking must ask again.

use std::fs;
use std::io;
use std::path::PathBuf;

use sdk::feed::Publish;
use sdk::target::TargetKey;
use sdk::{Error, Result};

pub(crate) struct Pulled(PathBuf, String);

impl Pulled {
    pub(super) fn new(publish: &Publish, name: &str, device: &TargetKey) -> Self {
        let device = blake3::hash(device.to_string().as_bytes()).to_hex();
        let start = format!(".{name}.");
        let file = format!("{start}{}.pulled", &device[..16]);
        Self(publish.directory.join(file), start)
    }

    /// Whether the device pulled this text last.
    pub(super) async fn has(&self, text: &str) -> Result<bool> {
        let path = self.0.clone();
        let known = aside(move || match fs::read_to_string(&path) {
            Ok(known) => Ok(Some(known)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
        .map_err(|error| self.failed("read", error))?;
        Ok(known.is_some_and(|known| known.trim() == hash(text)))
    }

    /// The text is about to change: no device has it any more, even if it should come to be as it was, because one may
    /// have pulled it in between.
    pub(super) async fn forget(&self) -> Result<()> {
        let (path, start) = (self.0.clone(), self.1.clone());
        aside(move || {
            let Some(folder) = path.parent() else {
                return Ok(());
            };
            for file in fs::read_dir(folder)? {
                let file = file?;
                let name = file.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(&start) && name.ends_with(".pulled") {
                    match fs::remove_file(file.path()) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        _ => {}
                    }
                }
            }
            Ok(())
        })
        .await
        .map_err(|error| self.failed("remove", error))
    }

    /// The device pulled this text.
    pub(super) async fn note(&self, text: &str) -> Result<()> {
        let (path, hash) = (self.0.clone(), hash(text));
        aside(move || {
            let draft = path.with_extension("new");
            fs::write(&draft, hash)?;
            fs::rename(&draft, &path)
        })
        .await
        .map_err(|error| self.failed("write", error))
    }

    fn failed(&self, verb: &str, error: io::Error) -> Error {
        Error::config(format!("cannot {verb} {}", self.0.display()))
            .because(error)
            .hint("`publish.directory` must be a folder that this process may write to")
    }
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// Files are slow for a moment; other work goes on meanwhile.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
