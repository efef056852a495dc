//! The data path: where the platform keeps files for a playbook run, in a directory or an object store.
//! Nothing outside it is read or written.

mod local;
mod remote;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sdk::connector::Environment;
use sdk::sync::OpenFile;
use sdk::{Error, Result};

use super::inputs::Inputs;
use super::secrets::Redactor;
use local::Local;
use remote::Remote;

/// Something to read.
type Reader = Box<dyn Read + Send>;

/// The data path.
#[derive(Debug)]
pub(super) enum Data {
    Local(Local),
    Remote(Remote),
}

impl Data {
    /// Where the platform says it is. No call is made.
    pub(super) fn new(
        inputs: &Inputs,
        directory: &Path,
        environment: &Environment,
        redactor: &mut Redactor,
    ) -> Result<Self> {
        let folder = inputs.text("sub_folder")?.unwrap_or_default();
        let folder: Vec<String> = match folder.trim_matches('/') {
            "" => Vec::new(),
            folder => parts(folder)
                .map_err(|error| error.with("input", "sub_folder"))?
                .into_iter()
                .map(str::to_owned)
                .collect(),
        };
        let remote = inputs
            .text("file_backend")?
            .is_some_and(|name| name.eq_ignore_ascii_case("s3"));
        Ok(if remote {
            Self::Remote(Remote::new(inputs, folder, environment, redactor)?)
        } else {
            Self::Local(Local::new(directory, &folder))
        })
    }

    /// Opens a file of it.
    async fn open(&self, name: &str) -> Result<Reader> {
        let parts = parts(name)?;
        match self {
            Self::Local(local) => Ok(Box::new(local.open(&parts)?)),
            Self::Remote(remote) => Ok(Box::new(remote.open(&parts).await?)),
        }
    }

    /// Writes a new file, named within the data path.
    pub(super) async fn write(&self, name: &str, content: Bytes) -> Result<()> {
        let parts = parts(name)?;
        match self {
            Self::Local(local) => local.write(&parts, &content),
            Self::Remote(remote) => remote.write(&parts, content).await,
        }
    }

    /// Opens these files, for an action that will ask for them by name and gets no others.
    pub(super) async fn files(&self, names: &[&str]) -> Result<OpenFile> {
        let mut opened = HashMap::new();
        for name in names {
            opened.insert((*name).to_owned(), self.open(name).await?);
        }
        let opened = Mutex::new(opened);
        Ok(Arc::new(move |name: &str| {
            let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened
                .remove(name)
                .ok_or_else(|| Error::input("a file that no argument names"))
        }))
    }
}

/// No file at all, for an action without path arguments.
pub(super) fn no_files() -> OpenFile {
    Arc::new(|_| Err(Error::input("a file that no argument names")))
}

/// The steps of a path below the data path.
fn parts(name: &str) -> Result<Vec<&str>> {
    let outside = || {
        Error::input("a path that does not stay below the data path")
            .with("path", format!("{name:?}"))
            .hint("give it relative to the data path, as another action returned it")
    };
    if name.starts_with('/') || name.contains(['\\', '\0']) {
        return Err(outside());
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.is_empty() || parts.contains(&"..") {
        return Err(outside());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_data_path() {
        assert_eq!(parts("a.json").unwrap(), ["a.json"]);
        assert_eq!(parts("./a//b.json").unwrap(), ["a", "b.json"]);
        assert_eq!(parts("..a/b..json").unwrap(), ["..a", "b..json"]);
        for outside in [
            "",
            ".",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "a\\..\\x",
            "a\0b",
        ] {
            parts(outside).unwrap_err();
        }
    }
}
