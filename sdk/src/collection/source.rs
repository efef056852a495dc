//! Where a collection is read from.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;

use super::reading::Reading;
use super::{list, sekoia, warninglist};
use crate::connector::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::stix::{self, read_failure};

/// A file, an address, or a collection at Sekoia.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file.
    File(PathBuf),
    /// An `https` URL (`http` on loopback only), without credentials; up to 3 redirects are followed.
    Url(String),
    /// An IOC collection or feed, read through Sekoia's API: [`SourceKind::Stix`] as its objects,
    /// [`SourceKind::List`] as text without dates.
    Sekoia(Box<sekoia::Collection>),
}

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// A STIX bundle, a bare array of objects, or pages with `items`.
    Stix,
    /// A text or CSV list.
    List,
    /// A MISP warninglist.
    Warninglist,
}

/// A named collection.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the configuration and in reports.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Where it is.
    pub location: Location,
}

/// What reading needs from the outside.
#[derive(Clone, Debug)]
pub struct ReadContext {
    /// CAs and clock.
    pub environment: Environment,
    /// The instant of the run.
    pub now: DateTime<Utc>,
    /// Longest body in bytes (default 4 GiB), before and after decompression.
    pub size_limit: u64,
}

impl ReadContext {
    /// [`ReadContext::size_limit`] where nothing else is set.
    pub const DEFAULT_SIZE_LIMIT: u64 = 4 << 30;
}

impl Source {
    /// Reads it whole. Gzip is recognised by content.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] and [`ErrorKind::Denied`] for the file itself, [`ErrorKind::Protocol`] for
    /// what is in it, [`ErrorKind::Unavailable`] where reading breaks off or the file changes meanwhile,
    /// [`ErrorKind::Full`] beyond the size limit. There is no partial result.
    pub async fn read(&self, context: &ReadContext) -> Result<Reading> {
        let (name, kind, limit) = (self.name.clone(), self.kind, context.size_limit);
        let task = match &self.location {
            Location::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || {
                    read_file(&path, |file| parse(&name, kind, file, limit))
                })
            }
            Location::Url(url) => {
                let fetched = crate::http::fetch(url, &context.environment, limit)
                    .await
                    .map_err(|error| error.with("collection", &self.name))?;
                let body: Bytes = fetched.body;
                tokio::task::spawn_blocking(move || parse(&name, kind, &body[..], limit))
            }
            Location::Sekoia(collection) => {
                return sekoia::read(&name, kind, collection, context).await;
            }
        };
        let reading = task
            .await
            .unwrap_or_else(|error| Err(Error::internal("reading stopped").because(error)));
        reading.map_err(|error| match &self.location {
            Location::File(path) => error.with("file", path.display()),
            Location::Url(_) | Location::Sekoia(_) => error,
        })
    }
}

/// Opens a file, reads it, and makes sure that it stayed the same meanwhile.
fn read_file(path: &Path, read: impl FnOnce(&File) -> Result<Reading>) -> Result<Reading> {
    let file = File::open(path).map_err(open_failure)?;
    let before = file.metadata().map_err(read_failure)?;
    if before.is_dir() {
        return Err(Error::input("this is a directory").hint("name the file in it"));
    }
    let reading = read(&file);
    let after = file.metadata().map_err(read_failure)?;
    let same = before.len() == after.len() && before.modified().ok() == after.modified().ok();
    // Only regular files tell length and time; what went wrong in a changing file is that it changes.
    if before.is_file() && !same {
        return Err(
            Error::new(ErrorKind::Unavailable, "the file changed while it was read")
                .hint("write the list under another name and rename it when it is whole"),
        );
    }
    reading
}

fn open_failure(error: std::io::Error) -> Error {
    let (kind, message, hint) = match error.kind() {
        std::io::ErrorKind::NotFound => (
            ErrorKind::NotFound,
            "the file does not exist",
            "check the path; a relative one starts at the working directory, in a configuration at its folder",
        ),
        std::io::ErrorKind::PermissionDenied => (
            ErrorKind::Denied,
            "the file may not be read",
            "give this user the right to read it",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the file cannot be opened",
            "check the path and the disk",
        ),
    };
    Error::new(kind, message).because(error).hint(hint)
}

/// Reads what the bytes are, unpacked where they are gzip.
fn parse(name: &str, kind: SourceKind, input: impl Read, limit: u64) -> Result<Reading> {
    let mut input = input;
    let mut head = [0; 2];
    let mut length = 0;
    while length < head.len() {
        match input.read(&mut head[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_failure(error).with("collection", name)),
        }
    }
    let whole = head[..length].chain(input);
    if head == [0x1f, 0x8b] {
        let unpacked = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, whole));
        parse_plain(name, kind, Bounded::new(unpacked, limit), limit)
    } else {
        parse_plain(name, kind, Bounded::new(whole, limit), limit)
    }
}

fn parse_plain(name: &str, kind: SourceKind, mut input: impl Read, limit: u64) -> Result<Reading> {
    match kind {
        SourceKind::Stix => stix::read(
            name,
            input,
            &stix::ReadLimits {
                input_bytes: limit,
                ..stix::ReadLimits::default()
            },
        ),
        SourceKind::List => list::read(name, input),
        SourceKind::Warninglist => {
            let mut json = Vec::new();
            Bounded::new(&mut input, limit.min(warninglist::LARGEST))
                .read_to_end(&mut json)
                .map_err(|error| read_failure(error).with("warninglist", name))?;
            warninglist::read(name, &json)
        }
    }
}

/// Stops with an error beyond a limit, where [`Read::take`] would feign the end.
struct Bounded<R> {
    input: R,
    left: u64,
    limit: u64,
}

impl<R> Bounded<R> {
    fn new(input: R, limit: u64) -> Self {
        Self {
            input,
            left: limit,
            limit,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.input.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                format!("larger than the limit of {} bytes", self.limit),
            )
        })?;
        Ok(length)
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
