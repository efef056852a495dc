//! Bundles, bare arrays of objects and pages with `items`, as a stream. Time and memory follow what is
//! kept, not what is read.

use std::borrow::Cow;
use std::io::Read;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::pattern::Flattened;
use super::scan::{Attempt, Window, attempt, owned};
use super::timestamp::parse_timestamp;
use super::versions::{MOST, Version, Versions};
use crate::collection::{Reading, Skipped, SkippedReason, Skips};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Origin, Validity};

/// What reading may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Longest single object in bytes (default 1 MiB).
    pub object_bytes: usize,
    /// Longest input in bytes (default 4 GiB).
    pub input_bytes: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            object_bytes: 1 << 20,
            input_bytes: 4 << 30,
        }
    }
}

/// What an input said of itself besides its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many objects stood in it, of any type.
    pub objects: usize,
    /// The members `more` (TAXII) or `has_more`.
    pub more: Option<bool>,
    /// The members `next` (TAXII) or `next_cursor`.
    pub next: Option<String>,
    /// The member `total`.
    pub total: Option<u64>,
    /// Whether the objects stood in a member `items`, as they do in pages.
    pub items: bool,
    /// The earliest `modified` of its indicators, or `created` where one has no other.
    pub oldest: Option<DateTime<Utc>>,
    /// The latest.
    pub newest: Option<DateTime<Utc>>,
    /// Whether an indicator came before an older one.
    pub unordered: bool,
}

impl Page {
    /// One more indicator of that age.
    fn saw(&mut self, modified: DateTime<Utc>) {
        self.unordered |= self.newest.is_some_and(|newest| modified < newest);
        self.oldest = Some(self.oldest.map_or(modified, |oldest| oldest.min(modified)));
        self.newest = Some(self.newest.map_or(modified, |newest| newest.max(modified)));
    }
}

/// Reads the pages of one collection into one reading: for each object id the newest `modified` stands,
/// on whatever page it is.
#[derive(Debug)]
pub struct Reader {
    limits: ReadLimits,
    versions: Versions,
    skips: Skips,
    flattened: Flattened,
    /// Elements that are no STIX objects.
    strangers: usize,
    /// Elements that are no indicators with an id.
    others: usize,
}

/// Reads one whole bundle, array or page, as a stream.
///
/// # Errors
/// [`crate::ErrorKind::Protocol`] with the byte where the input leaves JSON, ends early or turns out to be
/// something else (an HTML page, an error answer, one page of several); [`crate::ErrorKind::Unavailable`]
/// where reading fails. There is no partial result.
pub fn read(name: &str, input: impl Read, limits: &ReadLimits) -> Result<Reading> {
    let mut reader = Reader::new(limits.clone());
    let page = reader
        .page(input)
        .map_err(|error| error.with("collection", name))?;
    let short = page.total.is_some_and(|total| total > page.objects as u64);
    if short || page.more == Some(true) {
        return Err(Error::protocol("this is one page of several")
            .with("collection", name)
            .with("objects", page.objects)
            .hint("export all pages, or read the collection itself"));
    }
    reader.finish(name)
}

impl Reader {
    /// Nothing read yet.
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            versions: Versions::default(),
            skips: Skips::default(),
            flattened: Flattened::default(),
            strangers: 0,
            others: 0,
        }
    }

    /// How many objects were read so far, indicators that came several times once.
    pub fn distinct(&self) -> usize {
        self.versions.distinct() + self.others
    }

    /// Reads one more page, bundle or array.
    ///
    /// # Errors
    /// As [`read()`]; the reader is of no further use then.
    pub fn page(&mut self, input: impl Read) -> Result<Page> {
        let window = &mut Window::new(input, self.limits.object_bytes, self.limits.input_bytes);
        window.skip_byte_order_mark()?;
        let mut page = Page::default();
        match window.peek()? {
            Some(b'[') => self.array(window, &mut page)?,
            Some(b'{') => self.container(window, &mut page)?,
            Some(b'<') => {
                return Err(Error::protocol("this is an HTML or XML page, not STIX")
                    .with("byte", window.offset())
                    .hint("the address may want a login, or moved"));
            }
            None => {
                return Err(Error::protocol("the input is empty")
                    .hint("an empty collection is an empty bundle, not an empty file"));
            }
            Some(_) => {
                return Err(Error::protocol(
                    "this is neither a STIX bundle nor an array of objects",
                )
                .with("byte", window.offset())
                .hint("set the source's kind to `list` if it is a text list"));
            }
        }
        match window.peek()? {
            None => Ok(page),
            Some(_) => Err(Error::protocol("something follows the end of the JSON")
                .with("byte", window.offset())
                .hint("one file holds one bundle; two joined files do not count")),
        }
    }

    /// What was read, all pages together.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Protocol`] if not one element is a STIX object: then this is something else.
    pub fn finish(self, name: &str) -> Result<Reading> {
        let indicators = self.versions.finish();
        let known = indicators.len() + self.skips.total() + self.skips.other_objects;
        if self.strangers > 0 && known == self.strangers {
            return Err(Error::protocol(format!(
                "none of {} elements is a STIX object",
                self.strangers
            ))
            .with("collection", name)
            .hint("a STIX object has `type` and `id`; is this another kind of file?"));
        }
        Ok(Reading {
            name: name.to_owned(),
            indicators,
            skipped: self.skips,
            ..Reading::default()
        })
    }

    /// A bundle, a TAXII envelope or a page: an object with `objects` or `items`.
    fn container<R: Read>(&mut self, window: &mut Window<R>, page: &mut Page) -> Result<()> {
        window.expect(b'{', "{")?;
        let (mut has_objects, mut is_bundle) = (false, false);
        let mut first = true;
        loop {
            match window.peek()? {
                Some(b'}') if first => break,
                _ => {}
            }
            let key: String = window.value(owned)?;
            window.expect(b':', "a colon")?;
            match (key.as_str(), window.peek()?) {
                ("objects" | "items", Some(b'[')) => {
                    self.array(window, page)?;
                    has_objects = true;
                    page.items |= key == "items";
                }
                ("objects" | "items", _) => {
                    return Err(Error::protocol(format!("`{key}` is not a list"))
                        .with("byte", window.offset())
                        .hint("a bundle holds its objects in a list"));
                }
                ("type", Some(b'"')) => is_bundle = window.value(owned::<String>)? == "bundle",
                ("more" | "has_more", Some(b't' | b'f')) => {
                    page.more = Some(window.value(owned)?);
                }
                ("next" | "next_cursor", Some(b'"')) => page.next = Some(window.value(owned)?),
                // Taken for none, it would end the list early.
                ("next_cursor", Some(byte)) if byte != b'n' => {
                    return Err(Error::protocol("`next_cursor` is not a text")
                        .with("byte", window.offset()));
                }
                ("total", Some(b'0'..=b'9')) => page.total = Some(window.value(owned)?),
                _ => window.skip_value()?,
            }
            first = false;
            if !another(window, b'}')? {
                return self.is_container(has_objects || is_bundle);
            }
        }
        window.skip_byte();
        self.is_container(false)
    }

    fn is_container(&self, known: bool) -> Result<()> {
        if known {
            return Ok(());
        }
        Err(
            Error::protocol("this object is no bundle: it has neither `objects` nor `items`").hint(
                "an error answer of a server looks like this; look at what the address returns",
            ),
        )
    }

    fn array<R: Read>(&mut self, window: &mut Window<R>, page: &mut Page) -> Result<()> {
        window.expect(b'[', "[")?;
        if window.peek()? == Some(b']') {
            window.skip_byte();
            return Ok(());
        }
        loop {
            let at = window.offset();
            if window.peek()? == Some(b'{') {
                window.value(|data, _| self.element(data, at, page))??;
            } else {
                window.skip_value()?;
                self.stranger(at, "not an object");
            }
            page.objects += 1;
            self.others += usize::from(!self.versions.took());
            if !another(window, b']')? {
                return Ok(());
            }
        }
    }

    /// One element of the list, if it lies in `data` whole.
    fn element(&mut self, data: &[u8], at: u64, page: &mut Page) -> Attempt<Result<()>> {
        match attempt::<Object<'_>>(data) {
            Ok((length, object)) => Attempt::Done(length, self.object(&object, at, page)),
            Err(error) if error.is_eof() => Attempt::More,
            // serde_json goes no deeper than 128 in what it keeps; such an object is left out whole.
            Err(error) if error.is_data() => match owned::<Loose>(data, false) {
                Attempt::Done(length, loose) => {
                    let text = error.to_string();
                    let message = text.split(" at line ").next().unwrap_or_default();
                    Attempt::Done(length, self.mistyped(loose, message, at))
                }
                Attempt::More => Attempt::More,
                Attempt::Broken(error) => Attempt::Broken(error),
            },
            Err(error) => Attempt::Broken(error),
        }
    }

    fn object(&mut self, object: &Object<'_>, at: u64, page: &mut Page) -> Result<()> {
        let (kind, id) = (object.kind.as_deref(), object.id.as_deref());
        match kind {
            Some("indicator") => {}
            Some("bundle") => {
                return Err(Error::protocol("a bundle inside a list of objects")
                    .with("byte", at)
                    .hint("one file holds one bundle"));
            }
            Some(_) => {
                self.skips.other_objects += 1;
                return Ok(());
            }
            None if id.is_some_and(|id| id.starts_with("indicator--")) => {}
            None => {
                self.stranger(at, "an object without `type`");
                return Ok(());
            }
        }
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            self.skip(
                at,
                "",
                SkippedReason::Unreadable,
                "an indicator without `id`",
            );
            return Ok(());
        };
        let origin = origin(id);
        let version = Version {
            origin,
            modified: object
                .time(&object.modified)
                .or(object.time(&object.created)),
            revoked: object.revoked.unwrap_or(false),
        };
        if let Some(modified) = version.modified {
            page.saw(modified);
        }
        self.flattened.values.clear();
        self.flattened.left.clear();
        let left = match self.flatten(object) {
            Ok(validity) => {
                let pattern = object.pattern.as_deref().unwrap_or_default();
                let left = self.flattened.left.drain(..);
                let left = left
                    .map(|left| Skipped::new(id, pattern, left.reason, left.message))
                    .collect();
                Ok((validity, left))
            }
            Err((reason, message)) => {
                self.flattened.values.clear();
                let text = object.pattern.as_deref().unwrap_or_default();
                Err(vec![Skipped::new(id, text, reason, message)])
            }
        };
        let (validity, left) = match left {
            Ok((validity, left)) => (validity, left),
            Err(left) => (Validity::default(), left),
        };
        let confidence = object
            .confidence
            .map(|confidence| u16::try_from(confidence.clamp(0, 100)).unwrap_or(0));
        let indicators = self.flattened.values.drain(..).map(|value| Indicator {
            value,
            exact: false,
            revoked: version.revoked,
            confidence,
            validity,
            modified: version.modified,
            origin: version.origin.clone(),
        });
        self.versions
            .add(&version, indicators, left, &mut self.skips);
        if self.versions.size() >= MOST {
            return Err(Error::protocol(format!("more than {MOST} indicators")));
        }
        Ok(())
    }

    /// Reads pattern and dates of an indicator.
    fn flatten(
        &mut self,
        object: &Object<'_>,
    ) -> Result<Validity, (SkippedReason, Cow<'static, str>)> {
        let time = |name: &'static str, text: &Option<Text<'_>>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => parse_timestamp(text).map(Some).map_err(|error| {
                let shown: String = text.chars().take(40).collect();
                (
                    SkippedReason::Unreadable,
                    Cow::from(format!("`{name}` is {shown:?}, {error}")),
                )
            }),
        };
        time("modified", &object.modified)?;
        let validity = Validity {
            from: time("valid_from", &object.valid_from)?,
            until: time("valid_until", &object.valid_until)?,
        };
        if let (Some(from), Some(until)) = (validity.from, validity.until)
            && until <= from
        {
            return Err((
                SkippedReason::Validity,
                "`valid_until` is not after `valid_from`".into(),
            ));
        }
        if let Some(other) = object.pattern_type.as_deref()
            && other != "stix"
        {
            let shown: String = other.chars().take(40).collect();
            return Err((
                SkippedReason::Unsupported,
                format!("pattern type {shown} is not supported").into(),
            ));
        }
        let Some(pattern) = object.pattern.as_deref() else {
            return Err((
                SkippedReason::Unreadable,
                "an indicator without `pattern`".into(),
            ));
        };
        self.flattened
            .add(pattern)
            .map_err(|error| (SkippedReason::Unreadable, error.to_string().into()))?;
        Ok(validity)
    }

    /// An object with fields of other types than STIX says.
    fn mistyped(&mut self, loose: Loose, message: &str, at: u64) -> Result<()> {
        let Loose(fields) = loose;
        let kind = fields.get("type").and_then(|kind| kind.as_str());
        let id = fields.get("id").and_then(|id| id.as_str());
        match (kind, id) {
            (Some("indicator"), Some(id)) if !id.is_empty() => {
                let modified = fields.get("modified").and_then(|time| time.as_str());
                let version = Version {
                    origin: origin(id),
                    modified: modified.and_then(|time| parse_timestamp(time).ok()),
                    revoked: false,
                };
                let left = vec![Skipped::new(
                    id,
                    "",
                    SkippedReason::Unreadable,
                    message.to_owned(),
                )];
                self.versions
                    .add(&version, std::iter::empty(), left, &mut self.skips);
            }
            (Some("indicator"), _) => {
                self.skip(at, "", SkippedReason::Unreadable, message.to_owned());
            }
            (Some(_), _) => self.skips.other_objects += 1,
            (None, _) => self.stranger(at, "an object without `type`"),
        }
        Ok(())
    }

    fn stranger(&mut self, at: u64, message: &'static str) {
        self.strangers += 1;
        self.skip(at, "", SkippedReason::Unreadable, message);
    }

    fn skip(
        &mut self,
        at: u64,
        text: &str,
        reason: SkippedReason,
        message: impl Into<Cow<'static, str>>,
    ) {
        self.skips
            .push(Skipped::new(format!("byte {at}"), text, reason, message));
    }
}

/// After an element or member: `true` if a comma follows, `false` at the closing `end`.
fn another<R: Read>(window: &mut Window<R>, end: u8) -> Result<bool> {
    if window.peek()? == Some(b',') {
        window.skip_byte();
        return Ok(true);
    }
    window.expect(end, &format!("a comma or {:?}", char::from(end)))?;
    Ok(false)
}

/// `indicator--<uuid>` in 16 bytes, anything else as it is.
pub(crate) fn origin(id: &str) -> Origin {
    id.strip_prefix("indicator--")
        .filter(|uuid| uuid.len() == 36)
        .and_then(|uuid| uuid::Uuid::try_parse(uuid).ok())
        .map_or_else(
            || Origin::Id(id.into()),
            |uuid| Origin::Stix(uuid.as_u128()),
        )
}

/// A string that is borrowed from the input unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What is looked at in an object; everything else is passed over.
#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    created: Option<Text<'a>>,
    #[serde(borrow)]
    modified: Option<Text<'a>>,
    revoked: Option<bool>,
    #[serde(borrow)]
    pattern: Option<Text<'a>>,
    #[serde(borrow)]
    pattern_type: Option<Text<'a>>,
    #[serde(borrow)]
    valid_from: Option<Text<'a>>,
    #[serde(borrow)]
    valid_until: Option<Text<'a>>,
    confidence: Option<i64>,
}

impl Object<'_> {
    fn time(&self, text: &Option<Text<'_>>) -> Option<DateTime<Utc>> {
        parse_timestamp(text.as_deref()?).ok()
    }
}

/// An object whose fields have any type; only read where [`Object`] does not fit.
#[derive(Deserialize)]
struct Loose(serde_json::Map<String, serde_json::Value>);

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
