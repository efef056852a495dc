//! The text format: one line per object, without dates.

use std::collections::HashSet;

use crate::collection::list::too_many_unreadable;
use crate::collection::{Reading, Skipped, SkippedReason};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Origin, Value, ValueError};

/// What reading as text means to those who see the report.
const WITHOUT_DATES: &str = "it was read as text, which has no dates: what has ended or was revoked goes \
     because it is missing from the list, what starts later is taken at once, and nothing carries an end";

/// Reads pages of lines into one reading.
#[derive(Debug, Default)]
pub(super) struct Lines {
    reading: Reading,
    lines: usize,
    unreadable: usize,
    first_unreadable: Option<String>,
}

/// One page.
#[derive(Debug, Default)]
pub(super) struct LinesPage {
    /// How many lines hold something.
    pub(super) lines: usize,
    /// The last of them.
    pub(super) last: Option<String>,
    /// All of them.
    pub(super) all: HashSet<String>,
}

impl Lines {
    /// Reads one page.
    pub(super) fn page(&mut self, body: &[u8]) -> Result<LinesPage> {
        let text = std::str::from_utf8(body)
            .map_err(|error| Error::protocol("the list is not UTF-8 text").because(error))?;
        let start = text.trim_start();
        if start.starts_with(['<', '{']) || start.starts_with("[{") {
            return Err(Error::protocol("this is not a text list")
                .hint("a page or an error stands where the lines should be"));
        }
        let mut page = LinesPage::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            page.lines += 1;
            page.all.insert(line.to_owned());
            page.last = Some(line.to_owned());
            self.line(line);
        }
        Ok(page)
    }

    fn line(&mut self, line: &str) {
        self.lines += 1;
        let number = u32::try_from(self.lines).unwrap_or(u32::MAX);
        let mut take = |value| {
            let indicator = Indicator::bare(value, Origin::Line(number));
            self.reading.indicators.push(indicator);
        };
        let error = match Value::detect(line) {
            Ok(value) => return take(value),
            Err(error) => error,
        };
        // How several hashes of one file are written is not documented: with commas, as they are sent in.
        let hashes: Option<Vec<Value>> = line
            .split([',', ' '])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| match Value::detect(part) {
                Ok(hash @ (Value::Md5(_) | Value::Sha1(_) | Value::Sha256(_))) => Some(hash),
                _ => None,
            })
            .collect();
        if let Some(hashes) = hashes {
            hashes.into_iter().for_each(take);
            return;
        }
        let reason = match error {
            ValueError::Unsupported(_) => SkippedReason::Unsupported,
            _ => {
                self.unreadable += 1;
                self.first_unreadable
                    .get_or_insert_with(|| format!("line {number}"));
                SkippedReason::Unreadable
            }
        };
        self.reading.skipped.push(Skipped::new(
            format!("line {number}"),
            line,
            reason,
            error.to_string(),
        ));
    }

    /// What was read, all pages together.
    pub(super) fn finish(mut self, name: &str) -> Result<Reading> {
        too_many_unreadable(
            self.unreadable,
            self.lines,
            self.first_unreadable,
            &self.reading.skipped,
        )?;
        name.clone_into(&mut self.reading.name);
        self.reading.warnings.push(WITHOUT_DATES.to_owned());
        Ok(self.reading)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        let mut lines = Lines::default();
        lines.page(text.as_bytes()).unwrap();
        let reading = lines.finish("test").unwrap();
        let values = reading.indicators.iter();
        values
            .map(|indicator| indicator.value.to_string())
            .collect()
    }

    #[test]
    fn a_line_is_one_value_whatever_stands_in_it() {
        let url = "http://bad.example.net/a,b;c#d e";
        assert_eq!(
            values(&format!("8.8.4.4\r\n\n{url}\nbad.example.net\n"))[0],
            "8.8.4.4"
        );
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        let sha1 = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(values(&format!("{md5},{sha1}\n")), [md5, sha1]);
        assert_eq!(values(""), [""; 0]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for body in ["<html>", " {\"code\":1}", "[{\"a\":1}]"] {
            assert!(Lines::default().page(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Lines::default().page(b"\xff\xfe").is_err());
        let mut lines = Lines::default();
        lines.page(b"8.8.4.4\nsome words\n").unwrap();
        assert!(lines.finish("test").is_err());
        let mut lines = Lines::default();
        lines.page(b"someone@example.net\n8.8.4.4\n").unwrap();
        let reading = lines.finish("test").unwrap();
        assert_eq!(reading.skipped.count(SkippedReason::Unsupported), 1);
        assert_eq!(reading.warnings.len(), 1);
    }
}
