//! What we write beside the tag that blocks. The table of registered addresses has no text field and shows no end, so
//! our marks stand in tags of their own.
//!
//! An address of ours carries one of two *slot* tags, `<tag>-a` or `<tag>-b`, on which the dynamic address group
//! filters, and with the same timeout one tag for each word of ours, `<word>;<slot tag>;<end>`, where `end` is
//! the native end as `YYYYMMDDThhmmssZ`, or `-`. Slot and end together name one writing: the next one takes the other
//! slot and has other words, so that it never depends on what registering an existing tag does to its timeout, and never
//! leaves a gap. Words are marks as they are, or a person's words as `cordon-words:<n>:<text>`.
//!
//! No tag has a quote, two blanks in a row, or more than 127 bytes.

use chrono::{DateTime, NaiveDateTime, Utc};

/// Longest tag in bytes. The vendor documents it for administrative tags only.
const LONGEST_TAG: usize = 127;

/// Most bytes of a person's words in one tag: what is left beside number, slot and end.
const PIECE: usize = 60;

const WORDS: &str = "cordon-words:";

/// The text that fits: the marks of three owners with the longest names, or six usual ones.
pub(super) const MAX_NOTE: usize = 320;

/// One of two, so that the next writing never meets a tag of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    A,
    B,
}

impl Slot {
    pub(super) const BOTH: [Self; 2] = [Self::A, Self::B];

    pub(super) fn tag(self, base: &str) -> String {
        match self {
            Self::A => format!("{base}-a"),
            Self::B => format!("{base}-b"),
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// One writing: its slot and its native end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Writing {
    pub(super) slot: Slot,
    pub(super) end: Option<DateTime<Utc>>,
}

impl Writing {
    fn seal(self, word: &str, base: &str) -> String {
        let end = self.end.map_or_else(
            || "-".to_owned(),
            |end| end.format("%Y%m%dT%H%M%SZ").to_string(),
        );
        format!("{word};{};{end}", self.slot.tag(base))
    }
}

/// A tag of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// It blocks.
    Slot(Slot),
    /// A mark.
    Mark(Writing, String),
    /// A piece of a person's words, still encoded.
    Words(Writing, usize, String),
}

/// Reads a tag; `None` if it is not one of ours under this base.
pub(super) fn read(tag: &str, base: &str) -> Option<Tag> {
    if let Some(slot) = Slot::BOTH.into_iter().find(|slot| slot.tag(base) == tag) {
        return Some(Tag::Slot(slot));
    }
    let (front, end) = tag.rsplit_once(';')?;
    let (word, slot) = front.rsplit_once(';')?;
    let slot = Slot::BOTH.into_iter().find(|it| it.tag(base) == slot)?;
    let end = match end {
        "-" => None,
        end => Some(
            NaiveDateTime::parse_from_str(end, "%Y%m%dT%H%M%SZ")
                .ok()?
                .and_utc(),
        ),
    };
    let writing = Writing { slot, end };
    if let Some(words) = word.strip_prefix(WORDS) {
        let (number, text) = words.split_once(':')?;
        return Some(Tag::Words(writing, number.parse().ok()?, text.to_owned()));
    }
    word.starts_with("cordon")
        .then(|| Tag::Mark(writing, word.to_owned()))
}

/// A tag of ours as it was read.
pub(super) fn spell(tag: &Tag, base: &str) -> String {
    match tag {
        Tag::Slot(slot) => slot.tag(base),
        Tag::Mark(writing, mark) => writing.seal(mark, base),
        Tag::Words(writing, number, text) => writing.seal(&format!("{WORDS}{number}:{text}"), base),
    }
}

/// The tags that carry a note in one writing, marks last. `None` if a mark does not fit into a tag.
pub(super) fn write(note: &str, base: &str, writing: Writing) -> Option<Vec<String>> {
    let (marks, words): (Vec<&str>, Vec<&str>) =
        note.split_whitespace().partition(|word| is_mark(word));
    let mut tags: Vec<String> = pieces(&encode(&words.join(" ")))
        .into_iter()
        .enumerate()
        .map(|(number, piece)| writing.seal(&format!("{WORDS}{number}:{piece}"), base))
        .collect();
    tags.extend(marks.into_iter().map(|mark| writing.seal(mark, base)));
    tags.iter()
        .all(|tag| tag.len() <= LONGEST_TAG)
        .then_some(tags)
}

/// A word that proves something: it starts as marks do and holds nothing that a filter or a tag could not.
fn is_mark(word: &str) -> bool {
    (word.starts_with("cordon:") || word.starts_with("cordon-was:"))
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b":;-".contains(&byte))
}

/// The note that marks and pieces of words make: marks in the order in which they are always written.
pub(super) fn note<'a>(
    marks: impl Iterator<Item = &'a str>,
    words: impl Iterator<Item = (usize, &'a str)>,
) -> String {
    let mut marks: Vec<&str> = marks.collect();
    marks.sort_by_key(|mark| {
        (
            mark.starts_with("cordon-was:"),
            mark.split(';').collect::<Vec<_>>(),
        )
    });
    marks.dedup();
    let mut words: Vec<(usize, &str)> = words.collect();
    words.sort_unstable();
    words.dedup();
    let text: String = words.into_iter().map(|(_, piece)| piece).collect();
    let text = decode(&text);
    let mut note = marks.join(" ");
    if !text.is_empty() {
        if !note.is_empty() {
            note.push(' ');
        }
        note.push_str(&text);
    }
    note
}

/// A blank becomes `_`; quotes, `;`, `_`, `%`, markup and control characters become `%xx`.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for character in text.chars() {
        match character {
            ' ' => encoded.push('_'),
            '_' | '%' | '\'' | '"' | ';' | '<' | '>' | '&' => {
                encoded.push_str(&format!("%{:02x}", u32::from(character)));
            }
            character if character.is_control() => {}
            character => encoded.push(character),
        }
    }
    encoded
}

fn decode(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(place) = rest.find(['_', '%']) {
        decoded.push_str(&rest[..place]);
        let code = rest
            .get(place + 1..place + 3)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (rest.as_bytes()[place], code) {
            (b'%', Some(code)) => {
                decoded.push(char::from(code));
                rest = &rest[place + 3..];
            }
            (byte, _) => {
                decoded.push(if byte == b'_' { ' ' } else { '%' });
                rest = &rest[place + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

/// Cuts encoded text into pieces, none of them in the middle of a character or of a `%xx`.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > PIECE {
        let mut cut = PIECE;
        while !rest.is_char_boundary(cut)
            || rest[..cut].bytes().rev().take(2).any(|byte| byte == b'%')
        {
            cut -= 1;
        }
        let (piece, after) = rest.split_at(cut);
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn writing(slot: Slot) -> Writing {
        Writing {
            slot,
            end: Utc.with_ymd_and_hms(2026, 3, 31, 0, 0, 5).single(),
        }
    }

    fn round(text: &str) -> String {
        let tags = write(text, "cordon", writing(Slot::B)).unwrap();
        let read: Vec<Tag> = tags
            .iter()
            .map(|tag| super::read(tag, "cordon").unwrap())
            .collect();
        let marks = read.iter().filter_map(|tag| match tag {
            Tag::Mark(_, mark) => Some(mark.as_str()),
            _ => None,
        });
        let words = read.iter().filter_map(|tag| match tag {
            Tag::Words(_, number, piece) => Some((*number, piece.as_str())),
            _ => None,
        });
        note(marks, words)
    }

    #[test]
    fn a_note_comes_back_from_its_tags() {
        for text in [
            "cordon:1;main;acme;20260830T1200Z;abc123",
            "cordon:1;main;acme;-;abc123 cordon:1;main;acme-2;-;abc124 cordon-was:1;main;-;000000 C2 of 'ticket' 5%_; \"x\" <b>&",
            "words alone",
            &format!("cordon:1;main;acme;-;abc123 {}", "é%_'".repeat(70)),
            "cordon:1;it's;acme;-;abc123",
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn tags_are_ones_that_any_filter_can_name() {
        let owner = "o".repeat(24);
        let mark = format!("cordon:1;{owner};{owner};20260830T1200Z;abc123");
        let note = format!("{mark} it's  \"not\" or\nand {}", "ü".repeat(200));
        let tags = write(&note, &"t".repeat(20), writing(Slot::A)).unwrap();
        assert!(tags.len() < 32);
        for tag in &tags {
            assert!(
                tag.len() <= 127 && !tag.contains(['\'', '"', ' ', '\n']),
                "{tag}"
            );
        }
        assert_eq!(
            tags.last().unwrap(),
            &format!("{mark};{}-a;20260331T000005Z", "t".repeat(20))
        );
    }

    #[test]
    fn other_tags_are_not_ours() {
        assert_eq!(read("cordon-a", "cordon"), Some(Tag::Slot(Slot::A)));
        for other in [
            "cordon-c",
            "cordon",
            "soc-block",
            "cordon:1;main;a;-;x;other-a;-",
            "a;cordon-a;-",
            "cordon:1;cordon-a;soon",
        ] {
            assert_eq!(read(other, "cordon"), None, "{other}");
        }
    }

    #[test]
    fn damaged_words_are_read_without_harm() {
        for text in ["%", "%4", "%zz", "a%é", "_%5"] {
            assert!(!decode(text).is_empty());
        }
    }
}
