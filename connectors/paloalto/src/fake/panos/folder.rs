//! Where the fake's lists are published: a folder of its own, that is gone when the fake is, and no later than when the
//! next process starts one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Once;

use sdk::{Error, Result};

const START: &str = "cordon-fake-paloalto-";

/// A file in it that is locked for as long as its process lives.
const ALIVE: &str = ".alive";

static SWEPT: Once = Once::new();

pub(super) struct Folder {
    path: PathBuf,
    _alive: File,
}

impl Folder {
    pub(super) fn new(key: &str) -> Result<Self> {
        let place = place();
        SWEPT.call_once(|| sweep(&place));
        let name = format!("{START}{}-{key}", std::process::id()).replace(['/', '+', '='], "-");
        let path = place.join(name);
        let alive = make(&path)
            .map_err(|error| Error::input("the fake's folder for lists").because(error))?;
        Ok(Self {
            path,
            _alive: alive,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is of no use, and nobody is there to be told.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// In memory where there is such a place: published lists are written through to the disk.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

fn make(path: &Path) -> std::io::Result<File> {
    fs::create_dir_all(path)?;
    let new = path.join(".alive.new");
    let alive = File::create(&new)?;
    alive.lock()?;
    // It has its name only when it is locked: who sees it unlocked sees a dead one.
    fs::rename(new, path.join(ALIVE))?;
    Ok(alive)
}

/// Removes what processes left that were killed.
fn sweep(place: &Path) {
    let folders = fs::read_dir(place).into_iter().flatten().flatten();
    for folder in folders {
        let is_ours = folder.file_name().to_string_lossy().starts_with(START);
        let alive = File::open(folder.path().join(ALIVE));
        if is_ours && alive.is_ok_and(|alive| alive.try_lock().is_ok()) {
            // Another sweep may have been faster.
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| place.path().join(format!("{START}{name}"));
        drop(make(&folder("killed")).unwrap());
        let living = make(&folder("living")).unwrap();
        fs::create_dir(folder("beginning")).unwrap();
        let other = place.path().join("other");
        drop(make(&other).unwrap());
        sweep(place.path());
        assert!(!folder("killed").exists());
        assert!(folder("living").exists() && folder("beginning").exists() && other.exists());
        drop(living);
    }

    #[test]
    fn it_goes_with_the_fake() {
        let folder = Folder::new("a+b/c==").unwrap();
        let path = folder.path().to_owned();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
