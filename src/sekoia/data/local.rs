//! The data path in a directory.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use sdk::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(in crate::sekoia) struct Local {
    directory: PathBuf,
}

impl Local {
    pub(super) fn new(directory: &Path, folder: &[String]) -> Self {
        let mut directory = directory.to_owned();
        directory.extend(folder);
        Self { directory }
    }

    /// Opens a file that is there, regular, and not a way out by a link.
    pub(super) fn open(&self, parts: &[&str]) -> Result<File> {
        let name = parts.join("/");
        let unreadable = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                _ => ErrorKind::Input,
            };
            Error::new(kind, "a file of the data path cannot be read")
                .with("path", &name)
                .because(error)
        };
        let directory = self.directory.canonicalize().map_err(unreadable)?;
        let mut path = directory.clone();
        path.extend(parts);
        let path = path.canonicalize().map_err(unreadable)?;
        if !path.starts_with(&directory) {
            return Err(Error::input("a link that leads out of the data path").with("path", &name));
        }
        // Opening a pipe would wait for somebody to write into it.
        if !path.metadata().map_err(unreadable)?.is_file() {
            return Err(Error::input("not a file of the data path").with("path", &name));
        }
        File::open(&path).map_err(unreadable)
    }

    /// Writes a file that is not there yet.
    pub(super) fn write(&self, parts: &[&str], content: &[u8]) -> Result<()> {
        let mut path = self.directory.clone();
        path.extend(parts);
        let written = std::fs::create_dir_all(&self.directory)
            .and_then(|()| File::create_new(&path))
            .and_then(|mut file| file.write_all(content));
        written.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::StorageFull => ErrorKind::Full,
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    ErrorKind::Denied
                }
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, "the data path cannot be written to").because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn links_lead_nowhere_else() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        std::fs::create_dir_all(data.join("run/in")).unwrap();
        std::fs::write(directory.path().join("outside.json"), "secret").unwrap();
        std::fs::write(data.join("elsewhere.json"), "another run's").unwrap();
        std::fs::write(data.join("run/in/a.json"), "ours").unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, data.join("run").join(name)).unwrap();
        };
        link("../../outside.json", "out");
        link("../elsewhere.json", "sideways");
        link("in/a.json", "within");
        let local = Local::new(&data, &["run".to_owned()]);
        let mut text = String::new();
        local
            .open(&["within"])
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "ours");
        for name in ["out", "sideways", "in"] {
            assert_eq!(
                local.open(&[name]).unwrap_err().kind(),
                ErrorKind::Input,
                "{name}"
            );
        }
        let missing = local.open(&["missing"]).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn nothing_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let local = Local::new(directory.path(), &["a".to_owned(), "b".to_owned()]);
        local.write(&["x.json"], b"1").unwrap();
        local.write(&["x.json"], b"2").unwrap_err();
        let kept = std::fs::read(directory.path().join("a/b/x.json")).unwrap();
        assert_eq!(kept, b"1");
    }
}
