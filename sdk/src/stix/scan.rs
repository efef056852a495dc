//! JSON as a stream of bounded values: a rolling window over the input, and serde_json on what lies in it.
//! Memory is bounded by the largest value allowed, whatever the input.

use std::io::Read;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::{Error, ErrorKind, Result};

/// Bytes read at a time. Large enough that few values lie across its edge and are read twice.
const CHUNK: usize = 1 << 20;

pub(super) struct Window<R> {
    input: R,
    buffer: Vec<u8>,
    /// What is not used up yet: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Where `buffer` begins in the input.
    base: u64,
    /// Nothing follows.
    ended: bool,
    /// Longest value, in bytes.
    longest: usize,
    /// Longest input, in bytes.
    size_limit: u64,
}

/// What trying to read a value from the window gave.
pub(super) enum Attempt<T> {
    /// A value of so many bytes.
    Done(usize, T),
    /// The value goes on beyond the window.
    More,
    /// It is not JSON.
    Broken(serde_json::Error),
}

/// Reads one value from the start of `data`, which may end before it does.
pub(super) fn attempt<'a, T: Deserialize<'a>>(
    data: &'a [u8],
) -> Result<(usize, T), serde_json::Error> {
    let mut stream = serde_json::Deserializer::from_slice(data).into_iter::<T>();
    match stream.next() {
        Some(Ok(value)) => Ok((stream.byte_offset(), value)),
        Some(Err(error)) => Err(error),
        None => Err(serde::de::Error::custom("nothing there")),
    }
}

/// Reads one value of an owned type. One that ends where the window ends may go on behind it.
pub(super) fn owned<T: for<'a> Deserialize<'a>>(data: &[u8], ended: bool) -> Attempt<T> {
    match attempt(data) {
        Ok((length, _)) if length == data.len() && !ended => Attempt::More,
        Ok((length, value)) => Attempt::Done(length, value),
        Err(error) if error.is_eof() => Attempt::More,
        Err(error) => Attempt::Broken(error),
    }
}

impl<R: Read> Window<R> {
    pub(super) fn new(input: R, longest: usize, size_limit: u64) -> Self {
        Self {
            input,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            base: 0,
            ended: false,
            longest,
            size_limit,
        }
    }

    /// Byte offset of what comes next.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads more; `false` at the end of the input.
    fn fill(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(length) => {
                    self.end += length;
                    if self.base + self.end as u64 > self.size_limit {
                        return Err(Error::new(
                            ErrorKind::Full,
                            format!("larger than the limit of {} bytes", self.size_limit),
                        )
                        .hint("raise the source's size limit if it is meant to be that large"));
                    }
                    return Ok(true);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(read_failure(error).with("byte", self.base + self.end as u64));
                }
            }
        }
    }

    /// The next byte that is not white space; `None` at the end.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let blank = self
                .data()
                .iter()
                .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
            match blank {
                Some(length) => {
                    self.start += length;
                    return Ok(Some(self.buffer[self.start]));
                }
                None => {
                    self.start = self.end;
                    if !self.fill()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Uses up a byte that [`Window::peek`] showed.
    pub(super) fn skip_byte(&mut self) {
        self.start += 1;
    }

    /// Uses up a byte-order mark.
    pub(super) fn skip_byte_order_mark(&mut self) -> Result<()> {
        while self.end - self.start < 3 && self.fill()? {}
        if self.data().starts_with(b"\xef\xbb\xbf") {
            self.start += 3;
        }
        Ok(())
    }

    /// Uses up `byte`, or says what was expected.
    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<()> {
        match self.peek()? {
            Some(found) if found == byte => {
                self.skip_byte();
                Ok(())
            }
            Some(found) => Err(broken(
                self.offset(),
                format!("expected {what}, found {:?}", char::from(found)),
            )),
            None => Err(truncated(self.offset())),
        }
    }

    /// Reads one JSON value: `read` gets what lies in the window, and whether anything can follow it, and
    /// is asked again with more until the value is whole.
    pub(super) fn value<T>(
        &mut self,
        mut read: impl FnMut(&[u8], bool) -> Attempt<T>,
    ) -> Result<T> {
        loop {
            if self.peek()?.is_none() {
                return Err(truncated(self.offset()));
            }
            let data = &self.buffer[self.start..self.end];
            match read(data, self.ended) {
                Attempt::Done(length, value) if length <= self.longest => {
                    self.start += length;
                    return Ok(value);
                }
                Attempt::More if data.len() <= self.longest => {
                    if !self.fill()? {
                        return Err(truncated(self.base + self.end as u64));
                    }
                }
                Attempt::Done(..) | Attempt::More => {
                    return Err(Error::protocol(format!(
                        "a single value is longer than {} bytes",
                        self.longest
                    ))
                    .with("byte", self.offset())
                    .hint("no STIX object is that large: is this really a STIX bundle?"));
                }
                Attempt::Broken(error) => {
                    let at = self.offset() + position(data, &error) as u64;
                    // serde_json's own line and column count from the start of the value.
                    let text = error.to_string();
                    let what = text.split(" at line ").next().unwrap_or_default();
                    return Err(broken(at, what.to_owned()));
                }
            }
        }
    }

    /// Skips one value of any shape.
    pub(super) fn skip_value(&mut self) -> Result<()> {
        self.value(owned::<IgnoredAny>).map(|_| ())
    }
}

/// What a failed read of the bytes means.
pub(crate) fn read_failure(error: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::FileTooLarge => Error::new(ErrorKind::Full, error.to_string())
            .hint("raise the source's size limit if it is meant to be that large"),
        // The decompressor names a truncated and a damaged stream in these ways.
        Io::UnexpectedEof | Io::InvalidData | Io::InvalidInput => {
            Error::protocol("the input is broken or ends too early")
                .because(error)
                .hint("a truncated or damaged file or download: fetch it again")
        }
        _ => Error::new(ErrorKind::Unavailable, "the input broke off")
            .because(error)
            .hint("fetch it again, or check the disk"),
    }
}

/// Where in `data` serde_json stopped.
fn position(data: &[u8], error: &serde_json::Error) -> usize {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', data)
            .nth(line - 2)
            .map_or(0, |newline| newline + 1),
    };
    (line_start + error.column().saturating_sub(1)).min(data.len())
}

fn broken(at: u64, what: String) -> Error {
    Error::protocol(format!("not valid JSON: {what}"))
        .with("byte", at)
        .hint("nothing was taken from it; look at the file around that byte, or fetch it again")
}

fn truncated(at: u64) -> Error {
    Error::protocol("the JSON ends too early")
        .with("byte", at)
        .hint("a truncated file or download: nothing was taken from it; fetch it again")
}
