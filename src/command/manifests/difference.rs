//! How a directory differs from what is generated.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use sdk::{Error, Result};

use super::Files;

/// The one file that people write.
const BY_HAND: &str = "README.md";

/// Names of files that differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    changed: Vec<String>,
    missing: Vec<String>,
    superfluous: Vec<String>,
}

impl Difference {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        if self.superfluous.is_empty() {
            "run `cordon manifests --write` and commit"
        } else {
            "run `cordon manifests --write`, delete what is superfluous, and commit"
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            ("changed", &self.changed),
            ("missing", &self.missing),
            ("superfluous", &self.superfluous),
        ];
        let told: Vec<String> = kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind} {}", names.join(", ")))
            .collect();
        f.write_str(&told.join("; "))
    }
}

/// Compares them, byte by byte.
pub(super) fn of(directory: &Path, files: &Files) -> Result<Difference> {
    let mut there = BTreeSet::new();
    list(directory, "", &mut there)?;
    there.remove(BY_HAND);
    let mut difference = Difference::default();
    for (name, content) in files {
        if !there.remove(name) {
            difference.missing.push(name.clone());
        } else if std::fs::read(directory.join(name)).ok().as_ref() != Some(content) {
            difference.changed.push(name.clone());
        }
    }
    difference.superfluous.extend(there);
    Ok(difference)
}

/// Every file below it; none where there is no such directory.
fn list(directory: &Path, prefix: &str, names: &mut BTreeSet<String>) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Error::config("the manifests cannot be listed")
            .with("directory", directory.display())
            .because(error)
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(unreadable)?,
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().map_err(unreadable)?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.insert(name);
        }
    }
    Ok(())
}
