//! Text and CSV lists, as users have them: defanged values, ports, comments, several values in a cell,
//! dates by column. A row ends as indicators or as a refusal with a name.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use chrono::{DateTime, Utc};

use super::cells::{is_absent, one_value, point_in_time, strip_comment, unquote};
use super::columns::{Columns, Expected, expected};
use super::reading::{Reading, Skipped, SkippedReason, Skips};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Kind, Origin, Validity, Value, ValueError};
use crate::stix::{self, read_failure};

/// Longest line or quoted record, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// How much is looked at to find out what the text is.
const SAMPLE: usize = 64 << 10;

/// Rows looked at to find columns by content.
const SAMPLE_ROWS: usize = 50;

/// Reads a list.
///
/// # Errors
/// [`crate::ErrorKind::Protocol`] if it is HTML or another format, has a line longer than 1 MiB, ends early, or more
/// than 20 % of its data lines are unreadable.
pub(super) fn read(name: &str, input: impl Read) -> Result<Reading> {
    let fail = |error: Error| error.with("list", name);
    let mut input = input;
    let mut sample = Vec::with_capacity(SAMPLE);
    input
        .by_ref()
        .take(SAMPLE as u64)
        .read_to_end(&mut sample)
        .map_err(|error| fail(read_failure(error)))?;
    let mark: &[u8] = b"\xef\xbb\xbf";
    let skipped = if sample.starts_with(mark) {
        mark.len()
    } else {
        0
    };
    refuse_other_formats(&sample[skipped..]).map_err(fail)?;
    let complete = sample.len() < SAMPLE;
    let layout = Layout::of(&sample[skipped..], complete);
    let start = std::io::Cursor::new(&sample[skipped..]);
    let mut rows = Rows {
        columns: layout.columns,
        reading: Reading {
            name: name.to_owned(),
            ..Reading::default()
        },
        lines: 0,
        unreadable: 0,
        first_unreadable: None,
    };
    let passed = Rc::new(Cell::new(0));
    let input = Guard {
        input: start.chain(input),
        passed: Rc::clone(&passed),
        last: b'\n',
    };
    rows.read(input, &passed, layout.delimiter, layout.header)
        .map_err(fail)?;
    rows.finish().map_err(fail)
}

fn refuse_other_formats(sample: &[u8]) -> Result<()> {
    let start = sample.trim_ascii_start();
    let begins = |text: &str| {
        start
            .get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
    };
    let head = String::from_utf8_lossy(&sample[..sample.len().min(1024)]).to_ascii_lowercase();
    if begins("<") || head.contains("<html") {
        return Err(Error::protocol("this is an HTML or XML page, not a list")
            .hint("the address may want a login, or moved"));
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(Error::protocol("this is UTF-16 text").hint("save the list as UTF-8"));
    }
    if begins("{\"") || begins("[{") || begins("[\"") || begins("{\n") || begins("{\r") {
        return Err(Error::protocol("this is JSON, not a list")
            .hint("set the source's kind to `stix` or `warninglist`"));
    }
    Ok(())
}

/// What a list looks like.
struct Layout {
    /// `None`: one value per line, no columns.
    columns: Option<Columns>,
    delimiter: u8,
    header: bool,
}

impl Layout {
    fn of(sample: &[u8], complete: bool) -> Self {
        let text = String::from_utf8_lossy(sample);
        let mut lines: Vec<&str> = text.lines().collect();
        if !complete {
            lines.pop();
        }
        lines.retain(|line| !is_blank_or_comment(line));
        lines.truncate(SAMPLE_ROWS);
        let plain = Self {
            columns: None,
            // A byte that stands in no list: the whole line is one cell.
            delimiter: 0,
            header: false,
        };
        let Some(first) = lines.first() else {
            return plain;
        };
        for delimiter in [b',', b';', b'\t'] {
            let split = split(first, delimiter);
            if let Some(columns) = Columns::from_header(split.iter().map(String::as_str)) {
                return Self {
                    columns: Some(columns),
                    delimiter,
                    header: true,
                };
            }
        }
        let whole = lines.iter().filter(|line| is_value(line)).count();
        if whole * 2 > lines.len() {
            return plain;
        }
        for delimiter in [b'\t', b',', b';'] {
            let rows: Vec<Vec<String>> = lines.iter().map(|line| split(line, delimiter)).collect();
            let width = rows.first().map_or(0, Vec::len);
            let even = rows.iter().filter(|row| row.len() == width).count();
            if width < 2 || even * 10 < rows.len() * 9 {
                continue;
            }
            // Where every cell is a value there are no columns, only several values to a line.
            if rows.iter().all(|row| row.iter().all(|cell| is_value(cell))) {
                return plain;
            }
            if let Some(columns) = Columns::from_content(&rows, is_value) {
                return Self {
                    columns: Some(columns),
                    delimiter,
                    header: false,
                };
            }
        }
        plain
    }
}

fn split(line: &str, delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => record.iter().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//")
}

fn is_value(cell: &str) -> bool {
    let cell = strip_comment(cell).trim();
    let mut ports = 0;
    !matches!(
        one_value(cell, Expected::Anything, &mut ports),
        Err(ValueError::Unrecognised | ValueError::Invalid { .. })
    )
}

/// Bounds what passes between two records, so that neither a line without end nor a quote that is never
/// closed fills the memory; and ends every line with one newline, so that lines can be counted.
struct Guard<R> {
    input: R,
    passed: Rc<Cell<u64>>,
    /// The byte given last.
    last: u8,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let given = self.input.read(buffer)?;
            if given == 0 {
                if self.last == b'\n' || buffer.is_empty() {
                    return Ok(0);
                }
                self.last = b'\n';
                buffer[0] = b'\n';
                return Ok(1);
            }
            self.passed.set(self.passed.get() + given as u64);
            if self.passed.get() > LONGEST_LINE + (64 << 10) {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    format!("a line is longer than {LONGEST_LINE} bytes"),
                ));
            }
            let mut kept = 0;
            for index in 0..given {
                if buffer[index] != b'\r' {
                    buffer[kept] = buffer[index];
                    kept += 1;
                }
            }
            if kept > 0 {
                self.last = buffer[kept - 1];
                return Ok(kept);
            }
        }
    }
}

struct Rows {
    columns: Option<Columns>,
    reading: Reading,
    /// Data lines.
    lines: usize,
    unreadable: usize,
    first_unreadable: Option<u64>,
}

/// What stands beside a value in its row.
#[derive(Default)]
struct Beside {
    validity: Validity,
    confidence: Option<u16>,
    modified: Option<DateTime<Utc>>,
    revoked: bool,
    origin: Option<Origin>,
}

type Refusal = (SkippedReason, Cow<'static, str>);

impl Rows {
    fn read(
        &mut self,
        input: impl Read,
        passed: &Cell<u64>,
        delimiter: u8,
        header: bool,
    ) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .quoting(self.columns.is_some())
            .comment(Some(b'#'))
            .flexible(true)
            .buffer_capacity(32 << 10)
            .from_reader(input);
        let mut record = csv::ByteRecord::new();
        let mut header = header;
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => passed.set(0),
                Ok(false) => return Ok(()),
                Err(error) => {
                    let line = reader.position().line();
                    return Err(match error.into_kind() {
                        csv::ErrorKind::Io(error) => read_failure(error),
                        other => Error::protocol(format!("not a table: {other:?}")),
                    }
                    .with("after line", line));
                }
            }
            // The position that a record itself carries is from before the comments ahead of it.
            let inside = memchr::memchr_iter(b'\n', record.as_slice()).count() as u64;
            let line = reader.position().line().saturating_sub(1 + inside);
            let cells: Vec<Cow<'_, str>> = record.iter().map(String::from_utf8_lossy).collect();
            let first = cells.first().map_or("", |cell| cell.trim());
            let comment = first.starts_with(['#', ';']) || first.starts_with("//");
            if comment || cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if std::mem::take(&mut header) {
                continue;
            }
            self.lines += 1;
            self.row(line, &cells);
        }
    }

    fn row(&mut self, line: u64, cells: &[Cow<'_, str>]) {
        let before = self.reading.indicators.len();
        let unreadable_before = self.reading.skipped.count(SkippedReason::Unreadable);
        match self.columns.take() {
            None => {
                let text = cells.first().map_or("", |cell| &**cell);
                let text = strip_comment(text).trim();
                self.cell(line, text, Expected::Anything, &Beside::default(), false);
            }
            Some(columns) => {
                self.table_row(line, cells, &columns);
                self.columns = Some(columns);
            }
        }
        if self.reading.indicators.len() == before
            && self.reading.skipped.count(SkippedReason::Unreadable) > unreadable_before
        {
            self.unreadable += 1;
            self.first_unreadable.get_or_insert(line);
        }
    }

    fn table_row(&mut self, line: u64, cells: &[Cow<'_, str>], columns: &Columns) {
        let cell = |index: Option<usize>| {
            index
                .and_then(|index| cells.get(index))
                .map_or("", |cell| cell.trim())
        };
        let beside = match beside(&cell, columns) {
            Ok(beside) => beside,
            Err((reason, message)) => return self.refuse(line, &cells.join(","), reason, message),
        };
        let pattern = cell(columns.pattern);
        if !pattern.is_empty() {
            let kind = cell(columns.pattern_type);
            if !kind.is_empty() && !kind.eq_ignore_ascii_case("stix") {
                let message = format!("pattern type {kind} is not supported");
                return self.refuse(line, pattern, SkippedReason::Unsupported, message);
            }
            return self.pattern(line, pattern, &beside);
        }
        let kind = expected(cell(columns.kind)).unwrap_or(Expected::Anything);
        let mut any = false;
        for (index, expected) in &columns.values {
            let text = cell(Some(*index));
            if !text.is_empty() {
                any = true;
                let expected = match kind {
                    Expected::Anything => *expected,
                    kind => kind,
                };
                self.cell(line, text, expected, &beside, true);
            }
        }
        if !any {
            self.refuse(
                line,
                &cells.join(","),
                SkippedReason::Unreadable,
                "no value in this row",
            );
        }
    }

    fn pattern(&mut self, line: u64, pattern: &str, beside: &Beside) {
        match stix::flatten(pattern) {
            Ok(flattened) => {
                for value in flattened.values {
                    self.push(line, value, false, beside);
                }
                for left in flattened.left {
                    self.refuse(line, pattern, left.reason, left.message);
                }
            }
            Err(error) => self.refuse(line, pattern, SkippedReason::Unreadable, error.to_string()),
        }
    }

    /// One cell, or one line of a plain list: one value, or several.
    fn cell(&mut self, line: u64, text: &str, expected: Expected, beside: &Beside, table: bool) {
        let text = unquote(text);
        let mut ports = 0;
        let (name, exact) = match text.strip_prefix('=') {
            Some(name) => (name.trim_start(), true),
            None => (text, false),
        };
        match one_value(name, expected, &mut ports) {
            // A table without types mixes file names with names: these endings are both.
            Ok(Value::Domain(domain))
                if table
                    && expected == Expected::Anything
                    && [".zip", ".mov"]
                        .iter()
                        .any(|ending| domain.as_str().ends_with(ending)) =>
            {
                self.refuse(
                    line,
                    text,
                    SkippedReason::Unsupported,
                    "a file name, or a domain that a type column has to say so of",
                );
            }
            Ok(value) => {
                self.reading.skipped.ports += ports;
                self.push(line, value, exact, beside);
            }
            Err(error) => {
                let unsupported = matches!(error, ValueError::Unsupported(_));
                // With a blank in it, `1.1.1.1, 2.2.2.2` looks like the name of a file.
                if !self.several(line, text, expected, beside, unsupported) {
                    let reason = if unsupported {
                        SkippedReason::Unsupported
                    } else {
                        SkippedReason::Unreadable
                    };
                    self.refuse(line, text, reason, error.to_string());
                }
            }
        }
    }

    /// Several values in one cell (`md5;sha1;sha256`), or a value with words after it. `false` if it is
    /// neither; with `strict`, unless every part is a value.
    fn several(
        &mut self,
        line: u64,
        text: &str,
        expected: Expected,
        beside: &Beside,
        strict: bool,
    ) -> bool {
        let parts: Vec<&str> = text
            .split(|character: char| {
                matches!(character, ';' | ',' | '|') || character.is_whitespace()
            })
            .filter(|part| !part.is_empty())
            .collect();
        if parts.len() < 2 {
            return false;
        }
        let mut ports = 0;
        let values: Vec<_> = parts
            .iter()
            .map(|part| (*part, one_value(part, expected, &mut ports)))
            .collect();
        // Lines of a hosts file begin with the address that the names are sent to.
        let sink = matches!(parts[0], "0.0.0.0" | "127.0.0.1" | "::" | "::1");
        let readable = |value: &Result<Value, ValueError>| {
            matches!(value, Ok(_) | Err(ValueError::Unsupported(_)))
        };
        let all = values.iter().all(|(_, value)| readable(value));
        // Words after a value are a comment, as firewalls' own lists have them.
        let words = text.split_once(char::is_whitespace).is_some() && readable(&values[0].1);
        let strangers = strict && values.iter().any(|(_, value)| value.is_err());
        if strangers || (!all && !words) {
            return false;
        }
        let taken = if all { values.len() } else { 1 };
        self.reading.skipped.ports += ports;
        for (part, value) in values
            .into_iter()
            .take(taken)
            .skip(usize::from(sink && all))
        {
            match value {
                Ok(value) => self.push(line, value, false, beside),
                Err(error) => {
                    self.refuse(line, part, SkippedReason::Unsupported, error.to_string());
                }
            }
        }
        true
    }

    fn push(&mut self, line: u64, value: Value, exact: bool, beside: &Beside) {
        self.reading.indicators.push(Indicator {
            exact: exact && value.kind() == Kind::Domain,
            value,
            revoked: beside.revoked,
            confidence: beside.confidence,
            validity: beside.validity,
            modified: beside.modified,
            origin: beside
                .origin
                .clone()
                .unwrap_or(Origin::Line(u32::try_from(line).unwrap_or(u32::MAX))),
        });
    }

    fn refuse(
        &mut self,
        line: u64,
        text: &str,
        reason: SkippedReason,
        message: impl Into<Cow<'static, str>>,
    ) {
        self.reading
            .skipped
            .push(Skipped::new(format!("line {line}"), text, reason, message));
    }

    fn finish(self) -> Result<Reading> {
        too_many_unreadable(
            self.unreadable,
            self.lines,
            self.first_unreadable.map(|line| format!("line {line}")),
            &self.reading.skipped,
        )?;
        Ok(self.reading)
    }
}

/// The bound of design §2.1: more than 20 % of unreadable lines mean that this is something else, or broken.
pub(super) fn too_many_unreadable(
    unreadable: usize,
    lines: usize,
    first: Option<String>,
    skips: &Skips,
) -> Result<()> {
    if unreadable * 5 <= lines {
        return Ok(());
    }
    let mut error = Error::protocol(format!("{unreadable} of {lines} lines are unreadable")).hint(
        "more than 20 % count as a broken list; is it the right file, and a list of indicators?",
    );
    if let Some(first) = first {
        let why = skips.first.iter().find(|skipped| skipped.place == first);
        if let Some(skipped) = why {
            let shown: String = skipped.text.chars().take(60).collect();
            error = error.with("first", format!("{first} {shown:?}, {}", skipped.message));
        }
    }
    Err(error)
}

/// Dates and the like of a row.
fn beside<'a>(
    cell: &impl Fn(Option<usize>) -> &'a str,
    columns: &Columns,
) -> Result<Beside, Refusal> {
    let time = |index: Option<usize>, end: bool| {
        let text = cell(index);
        if is_absent(text) {
            return Ok(None);
        }
        point_in_time(text, end).map(Some).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let message = format!("{shown:?} is not a date or time that is understood");
            (SkippedReason::Unreadable, Cow::from(message))
        })
    };
    let validity = Validity {
        from: time(columns.valid_from, false)?,
        until: time(columns.valid_until, true)?,
    };
    if let (Some(from), Some(until)) = (validity.from, validity.until)
        && until <= from
    {
        let message = "the end of its validity is not after the start".into();
        return Err((SkippedReason::Validity, message));
    }
    let id = cell(columns.id);
    Ok(Beside {
        validity,
        confidence: cell(columns.confidence).trim_end_matches('%').parse().ok(),
        modified: time(columns.modified, false)?,
        revoked: ["true", "1", "yes"]
            .iter()
            .any(|word| cell(columns.revoked).eq_ignore_ascii_case(word)),
        origin: id
            .starts_with("indicator--")
            .then(|| stix::origin(id))
            .filter(|origin| matches!(origin, Origin::Stix(_))),
    })
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
