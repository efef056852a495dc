//! The mark: what an entry carries to prove that it is ours, whose, and until when.
//!
//! Every version of it stays readable for ever. Version 1:
//! `cordon:1;<installation>;<owner>;<until>;<check>`, where `until` is UTC `YYYYMMDDThhmmZ` rounded up, or
//! `-`, and `check` is 6 hex digits of blake3 over the fields before it and the canonical value: a mark
//! copied onto another object proves nothing.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::Owner;
use crate::indicator::Value;

const MARK: &str = "cordon:1;";
/// The earlier end of an adopted entry, so that it can be given back.
const WAS: &str = "cordon-was:1;";

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose.
    pub owner: Owner,
    /// Until when; `None` without end. Whole minutes.
    pub until: Option<DateTime<Utc>>,
}

impl Mark {
    /// A mark whose end is rounded up to the minute, as it will be read back.
    pub fn new(owner: Owner, until: Option<DateTime<Utc>>) -> Self {
        Self {
            owner,
            until: Self::end(until),
        }
    }

    /// An end as a mark keeps it: rounded up to the minute.
    pub(crate) fn end(until: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        until.map(round_up_to_minute)
    }
}

/// A text field with the marks of one installation read out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Our installation's marks that are valid for the value, in order of owner.
    pub marks: Vec<Mark>,
    /// For an adopted entry: the end it had before us (`Some(None)`: it had none).
    pub was: Option<Option<DateTime<Utc>>>,
    /// The rest of the text: a person's words, and other installations' marks.
    pub rest: String,
}

impl Note {
    /// Reads a text field. A mark of another installation, for another value, or damaged stays in `rest`.
    pub fn read(text: &str, installation: &str, value: &Value) -> Self {
        Self::read_expecting(text, installation, value, None)
    }

    /// The same. The owner that most marks name is shared with them rather than copied into each.
    pub(super) fn read_expecting(
        text: &str,
        installation: &str,
        value: &Value,
        expected: Option<&Owner>,
    ) -> Self {
        if !text.contains("cordon") {
            return Self {
                rest: text.trim().to_owned(),
                ..Self::default()
            };
        }
        let mut note = Self::default();
        let mut rest: Vec<&str> = Vec::new();
        for word in text.split_whitespace() {
            if let Some(mark) = read_mark(word, installation, value, expected) {
                // Twice the same owner can only be somebody's copy: the later end stands.
                match note
                    .marks
                    .iter_mut()
                    .find(|known| known.owner == mark.owner)
                {
                    Some(known) => known.until = later(known.until, mark.until),
                    None => note.marks.push(mark),
                }
            } else if let Some(was) = read_was(word, installation, value) {
                note.was = Some(was);
            } else {
                rest.push(word);
            }
        }
        note.marks.sort_by(|a, b| a.owner.cmp(&b.owner));
        note.rest = if note.marks.is_empty() && note.was.is_none() {
            text.trim().to_owned()
        } else {
            rest.join(" ")
        };
        note
    }

    /// The text to write, marks first, of at most `max_length` characters: the rest is cut, marks never.
    /// `None` if the marks alone do not fit.
    pub fn write(&self, installation: &str, value: &Value, max_length: usize) -> Option<String> {
        let mut text = String::new();
        for mark in &self.marks {
            let until = mark.until.map_or_else(
                || "-".to_owned(),
                |until| until.format("%Y%m%dT%H%MZ").to_string(),
            );
            append(
                &mut text,
                &sealed(
                    format!("{MARK}{installation};{};{until}", mark.owner),
                    value,
                ),
            );
        }
        if let Some(was) = self.was {
            let was = was.map_or_else(
                || "-".to_owned(),
                |was| was.format("%Y%m%dT%H%M%SZ").to_string(),
            );
            append(
                &mut text,
                &sealed(format!("{WAS}{installation};{was}"), value),
            );
        }
        if text.len() > max_length {
            return None;
        }
        if !self.rest.is_empty() {
            let room = max_length - text.len();
            let separator = usize::from(!text.is_empty());
            if room > separator {
                let cut: String = self.rest.chars().take(room - separator).collect();
                append(&mut text, &cut);
            }
        }
        Some(text)
    }
}

/// The later of two ends; no end is the latest.
pub(crate) fn later(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    Some(a?.max(b?))
}

fn append(text: &mut String, word: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}

fn round_up_to_minute(at: DateTime<Utc>) -> DateTime<Utc> {
    let over = at.timestamp().rem_euclid(60);
    let seconds = at.timestamp() - over;
    let whole = DateTime::from_timestamp(seconds, 0).unwrap_or(at);
    if whole == at {
        at
    } else {
        whole + TimeDelta::minutes(1)
    }
}

fn check(fields: &str, value: &Value) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(fields.as_bytes());
    hasher.update(b"\0");
    hasher.update(value.kind().name().as_bytes());
    hasher.update(b"\0");
    hasher.update(value.to_string().as_bytes());
    hasher.finalize().to_hex()[..6].to_owned()
}

fn sealed(fields: String, value: &Value) -> String {
    let check = check(&fields, value);
    format!("{fields};{check}")
}

/// The fields of a sealed word after its prefix, if the seal holds for this value and installation.
fn unsealed<'a>(word: &'a str, prefix: &str, installation: &str, value: &Value) -> Option<&'a str> {
    let after = word.strip_prefix(prefix)?;
    let (fields, seal) = word.rsplit_once(';')?;
    let after = &after[..fields.len().checked_sub(prefix.len())?];
    let after = after.strip_prefix(installation)?.strip_prefix(';')?;
    (check(fields, value) == seal).then_some(after)
}

fn read_mark(
    word: &str,
    installation: &str,
    value: &Value,
    expected: Option<&Owner>,
) -> Option<Mark> {
    let (owner, until) = unsealed(word, MARK, installation, value)?.split_once(';')?;
    let owner = match expected {
        Some(expected) if expected.as_str() == owner => expected.clone(),
        _ => Owner::new(owner).ok()?,
    };
    Some(Mark {
        owner,
        until: read_time(until, "%Y%m%dT%H%MZ")?,
    })
}

fn read_was(word: &str, installation: &str, value: &Value) -> Option<Option<DateTime<Utc>>> {
    read_time(unsealed(word, WAS, installation, value)?, "%Y%m%dT%H%M%SZ")
}

fn read_time(text: &str, format: &str) -> Option<Option<DateTime<Utc>>> {
    if text == "-" {
        return Some(None);
    }
    NaiveDateTime::parse_from_str(text, format)
        .ok()
        .map(|naive| Some(naive.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(byte: u8) -> Value {
        Value::Sha256([byte; 32])
    }

    fn owner(name: &str) -> Owner {
        Owner::new(name).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let note = Note {
            marks: vec![
                Mark::new(owner("acme"), Some(at(1_700_000_001))),
                Mark::new(owner("manual"), None),
            ],
            was: Some(Some(at(1_700_000_001))),
            rest: "seen in the phishing of Monday".to_owned(),
        };
        let text = note.write("main", &value(1), 500).unwrap();
        assert_eq!(Note::read(&text, "main", &value(1)), note);
    }

    #[test]
    fn the_end_is_rounded_up_to_the_minute() {
        let mark = Mark::new(owner("a"), Some(at(1_700_000_041)));
        assert_eq!(mark.until, Some(at(1_700_000_100)));
        assert_eq!(Mark::new(owner("a"), mark.until), mark);
    }

    #[test]
    fn a_mark_proves_nothing_elsewhere() {
        let note = Note {
            marks: vec![Mark::new(owner("acme"), None)],
            ..Note::default()
        };
        let text = note.write("main", &value(1), 500).unwrap();
        assert!(Note::read(&text, "main", &value(2)).marks.is_empty());
        assert!(Note::read(&text, "other", &value(1)).marks.is_empty());
        let forged = text.replace("acme", "acne");
        let read = Note::read(&forged, "main", &value(1));
        assert!(read.marks.is_empty());
        assert_eq!(read.rest, forged);
    }

    #[test]
    fn marks_are_never_cut() {
        let note = Note {
            marks: vec![Mark::new(owner("acme"), None)],
            was: None,
            rest: "x".repeat(300),
        };
        let marks = note.write("main", &value(1), 60).unwrap();
        assert!(marks.len() <= 60);
        assert_eq!(Note::read(&marks, "main", &value(1)).marks, note.marks);
        assert_eq!(note.write("main", &value(1), 20), None);
    }

    #[test]
    fn version_1_stays_readable_for_ever() {
        let value = Value::parse(crate::indicator::Kind::Domain, "evil.example").unwrap();
        let text = format!(
            "cordon:1;main;acme;20260101T0000Z;{}",
            check("cordon:1;main;acme;20260101T0000Z", &value)
        );
        let note = Note::read(&text, "main", &value);
        assert_eq!(note.marks[0].until, Some(at(1_767_225_600)));
    }
}
