//! Reading a collection or feed, page by page, to its end or not at all.
//!
//! Sekoia documents neither how a cursor is made nor how the pages meet. It was seen to be the time of the
//! last object in base64: objects that share that time may then be cut apart by the end of a page, and
//! whether the next page repeats them or leaves them out is not known. Where such a cursor comes and the
//! next page repeats nothing, that time is read once more.
//!
//! Nor is it documented whether the last page names a next one. A page that names none and is exactly as long
//! as a page may be was perhaps cut: what was modified last is then asked for once more.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::StatusCode;

use super::text::{Lines, LinesPage};
use super::{Collection, refusal};
use crate::collection::{ReadContext, Reading, SourceKind};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, Next, Page, Pages, Request};
use crate::stix::{self, parse_timestamp};

/// Objects asked for per page: the documented maximum, where two documented numbers contradict each other
/// the lower.
const LIMIT: usize = 2_000;

/// Lengths at which a page may be cut silently: the documented default, and the documented maxima.
const CAPS: [usize; 4] = [100, 1_000, 2_000, 10_000];

/// How many objects are asked for where pages meet; the second where the first are not enough.
const SEAM: [usize; 2] = [200, LIMIT];

/// So many pages in a row without an object that was not seen before are a list without end.
const IDLE_PAGES: usize = 20;

/// What to do about an order that cannot be followed safely.
const OLDEST_FIRST: &str = "set the feed's order to oldest first";

/// What is read, for messages.
const WHAT: &str = "the collection's objects";

/// Reads it whole: with `kind` a list as text, otherwise as STIX objects.
///
/// # Errors
/// [`ErrorKind::Auth`], [`ErrorKind::Denied`] and [`ErrorKind::NotFound`] as Sekoia answers;
/// [`ErrorKind::RateLimited`] and [`ErrorKind::Unavailable`] where it does not get better;
/// [`ErrorKind::Protocol`] where a page breaks off or the pages contradict themselves;
/// [`ErrorKind::Full`] beyond the size limit.
pub(in crate::collection) async fn read(
    name: &str,
    kind: SourceKind,
    collection: &Collection,
    context: &ReadContext,
) -> Result<Reading> {
    let objects = match kind {
        SourceKind::Stix => Objects::Stix(stix::Reader::new(stix::ReadLimits::default())),
        SourceKind::List => Objects::Text(Lines::default()),
        SourceKind::Warninglist => {
            return Err(Error::config("a collection at Sekoia is no warninglist"));
        }
    };
    let reader = Reader {
        client: collection.client(&context.environment)?,
        collection,
        objects,
        left: context.size_limit,
        longest: 0,
        newest: None,
        unordered: false,
        told: None,
        fresh: 0,
    };
    reader
        .all(name)
        .await
        .map_err(|error| error.with("collection", name).with("id", collection.id))
}

/// What the pages are read into.
enum Objects {
    Stix(stix::Reader),
    Text(Lines),
}

struct Reader<'a> {
    client: Client,
    collection: &'a Collection,
    objects: Objects,
    /// Bytes that may still come.
    left: u64,
    /// Objects on the longest page.
    longest: usize,
    /// The newest object so far.
    newest: Option<DateTime<Utc>>,
    unordered: bool,
    /// The last cursor that was nothing but a time.
    told: Option<DateTime<Utc>>,
    /// Pages that held something new.
    fresh: usize,
}

/// Where to read on.
enum From<'a> {
    Start,
    Cursor(&'a str),
    /// Objects modified after this instant.
    After(DateTime<Utc>),
}

/// What a page said and held.
struct Seen {
    items: usize,
    cursor: Option<String>,
    more: Option<bool>,
    total: Option<u64>,
    contents: Contents,
}

enum Contents {
    Objects {
        oldest: Option<DateTime<Utc>>,
        newest: Option<DateTime<Utc>>,
    },
    Lines(LinesPage),
}

impl Seen {
    fn oldest(&self) -> Option<DateTime<Utc>> {
        match &self.contents {
            Contents::Objects { oldest, .. } => *oldest,
            Contents::Lines(_) => None,
        }
    }

    fn newest(&self) -> Option<DateTime<Utc>> {
        match &self.contents {
            Contents::Objects { newest, .. } => *newest,
            Contents::Lines(_) => None,
        }
    }
}

/// The end of a page at which objects of one time may have been cut apart.
struct Seam {
    instant: DateTime<Utc>,
    /// The page's lines, of text.
    lines: Option<LinesPage>,
}

impl Seam {
    /// After a page with a cursor that is nothing but a time.
    fn after(seen: Seen) -> Option<Self> {
        if seen.items == 0 {
            return None;
        }
        let told = bare_time(seen.cursor.as_deref()?)?;
        Some(Self {
            instant: seen.newest().map_or(told, |newest| newest.max(told)),
            lines: match seen.contents {
                Contents::Objects { .. } => None,
                Contents::Lines(page) => Some(page),
            },
        })
    }

    /// Whether the next page begins before the last one ended, so that nothing lies between them.
    fn is_covered_by(&self, next: &Seen) -> bool {
        match (&next.contents, &self.lines) {
            (Contents::Objects { oldest, .. }, _) => oldest.is_some_and(|it| it <= self.instant),
            (Contents::Lines(page), Some(before)) => {
                before.last.as_ref().is_some_and(|it| page.all.contains(it))
            }
            (Contents::Lines(_), None) => false,
        }
    }

    /// Whether the next page holds nothing but what ended the last one.
    fn has_all_of(&self, next: &Seen) -> bool {
        match (&next.contents, &self.lines) {
            (Contents::Objects { newest, .. }, _) => newest.is_some_and(|it| it <= self.instant),
            (Contents::Lines(page), Some(before)) => page.all.is_subset(&before.all),
            (Contents::Lines(_), None) => false,
        }
    }
}

impl Reader<'_> {
    async fn all(mut self, name: &str) -> Result<Reading> {
        let mut pages = Pages::new(WHAT, None);
        let mut cursor: Option<String> = None;
        let mut seam: Option<Seam> = None;
        let mut idle = 0;
        loop {
            let before = self.distinct();
            let from = match &cursor {
                None => From::Start,
                Some(cursor) => From::Cursor(cursor),
            };
            let seen = self.page(from, LIMIT).await?;
            let is_fresh = self.distinct() > before;
            self.fresh += usize::from(is_fresh);
            self.can_follow()?;
            if let Some(seam) = seam.take() {
                if !seam.is_covered_by(&seen) {
                    self.close(&seam, &seen).await?;
                } else if seen.cursor == cursor
                    && seam.has_all_of(&seen)
                    && self.is_short(seen.items, LIMIT)
                {
                    // A cursor that is the time to read from gives the last objects for ever.
                    self.reaches(seen.total)?;
                    break;
                }
            }
            let next = pages.page(Page {
                items: seen.items,
                cursor: seen.cursor.as_deref(),
                // Objects that came twice would make up for others that did not come.
                total: None,
                has_more: seen.more,
            })?;
            let total = seen.total;
            idle = if is_fresh { 0 } else { idle + 1 };
            if idle > IDLE_PAGES {
                return Err(Error::protocol(format!(
                    "{WHAT}: pages that hold nothing new follow each other"
                ))
                .with("objects", before));
            }
            let (items, newest) = (seen.items, seen.newest());
            seam = Seam::after(seen);
            match next {
                Next::Continue(next) => cursor = Some(next),
                Next::End => {
                    if items > 0 && !self.is_short(items, LIMIT) {
                        self.confirm(newest)
                            .await
                            .map_err(|error| error.with("objects", pages.items()))?;
                    }
                    self.reaches(total)?;
                    break;
                }
            }
        }
        let mut reading = match self.objects {
            Objects::Stix(reader) => reader.finish(name)?,
            Objects::Text(lines) => lines.finish(name)?,
        };
        if self.unordered {
            reading.warnings.push(
                format!("its objects do not come oldest first: what changes while it is read can be missed; {OLDEST_FIRST}"),
            );
        }
        Ok(reading)
    }

    /// Where a page may end inside one time, the next one is sure to begin before that time is over, or what
    /// lies between is asked for; where the newest come first neither can be told.
    fn can_follow(&self) -> Result<()> {
        let is_cut = self.fresh > 1 || !self.is_short(self.longest, LIMIT);
        if self.unordered && self.told.is_some() && is_cut {
            return Err(Error::protocol(format!(
                "{WHAT}: they do not come oldest first, and what lies between two pages can be lost"
            ))
            .with("objects", self.distinct())
            .hint(OLDEST_FIRST));
        }
        Ok(())
    }

    /// Objects so far, as far as they can be told apart.
    fn distinct(&self) -> usize {
        match &self.objects {
            Objects::Stix(reader) => reader.distinct(),
            Objects::Text(lines) => lines.distinct(),
        }
    }

    /// Makes sure that as many objects came as the last page says there are.
    fn reaches(&self, total: Option<u64>) -> Result<()> {
        let (Some(total), Objects::Stix(reader)) = (total, &self.objects) else {
            return Ok(());
        };
        if reader.distinct() as u64 >= total {
            return Ok(());
        }
        Err(
            Error::protocol(format!("{WHAT}: the last page came before the total"))
                .with("objects", reader.distinct())
                .with("total", total),
        )
    }

    /// Whether a page of this length was certainly not cut.
    fn is_short(&self, items: usize, limit: usize) -> bool {
        items < limit && (items < self.longest || !CAPS.contains(&items))
    }

    /// Makes sure that a last page of a length at which pages are cut was not: whatever it left out was
    /// modified no earlier than its newest object, and is asked for from there.
    async fn confirm(&mut self, newest: Option<DateTime<Utc>>) -> Result<()> {
        let unsure = || {
            Error::protocol(format!(
                "{WHAT}: the last page is exactly as long as a known limit, and names no next one"
            ))
        };
        if matches!(self.objects, Objects::Text(_)) {
            return Err(unsure().hint(
                "text has no dates to ask by: read it as STIX objects, or look for a proxy that drops the header `Cursor`",
            ));
        }
        if self.unordered {
            return Err(unsure().hint(OLDEST_FIRST));
        }
        let newest = newest.ok_or_else(unsure)?;
        let before = self.distinct();
        let seen = self.page(From::After(just_before(newest)), LIMIT).await?;
        // Only what holds the newest object again was understood as it was meant; and an answer that may
        // itself be cut shows nothing.
        let is_whole = seen.oldest().is_some_and(|oldest| oldest >= newest)
            && self.is_short(seen.items, LIMIT)
            && seen.cursor.as_deref().is_none_or(str::is_empty)
            && seen.more != Some(true);
        if is_whole && !self.unordered && self.distinct() == before {
            Ok(())
        } else {
            Err(unsure())
        }
    }

    /// Reads once more what was modified at the instant of a seam.
    async fn close(&mut self, seam: &Seam, next: &Seen) -> Result<()> {
        let before = just_before(seam.instant);
        for limit in SEAM {
            let seen = self.page(From::After(before), limit).await?;
            let beyond = match (&seen.contents, &next.contents) {
                (Contents::Objects { newest, .. }, _) => {
                    newest.is_some_and(|newest| newest > seam.instant)
                }
                (Contents::Lines(page), Contents::Lines(next)) => {
                    page.all.iter().any(|line| next.all.contains(line))
                }
                (Contents::Lines(_), Contents::Objects { .. }) => false,
            };
            if beyond || self.is_short(seen.items, limit) {
                return Ok(());
            }
        }
        Err(Error::protocol(format!(
            "{WHAT}: more of them share one time of modification than a page holds"
        ))
        .with("time", seam.instant.to_rfc3339())
        .hint("Sekoia's cursor cannot tell them apart; changing one of them at Sekoia moves it to another time"))
    }

    async fn page(&mut self, from: From<'_>, limit: usize) -> Result<Seen> {
        let text = matches!(self.objects, Objects::Text(_));
        let id = self.collection.id.to_string();
        let mut request =
            Request::get("objects", ["v2", "inthreat", "collections", &id, "objects"])
                .query("limit", limit)
                .query("match[type]", "indicator")
                // Text has no dates: there Sekoia itself has to leave out what ended or was revoked.
                .query("include_revoked", !text)
                .query("skip_expired", text);
        if text {
            request = request.query("format", "text");
        }
        let is_seam = matches!(from, From::After(_));
        request = match from {
            From::Start => request,
            From::Cursor(cursor) => request.query("cursor", cursor),
            From::After(instant) => request.query(
                "modified_after",
                instant.to_rfc3339_opts(SecondsFormat::Micros, true),
            ),
        };
        let response = self.client.send(request).await?;
        if response.status != StatusCode::OK {
            return Err(refusal(WHAT, &response));
        }
        let told = response.header("cursor").map(str::to_owned);
        let seen = self.take(response.body, told)?;
        if !is_seam {
            self.longest = self.longest.max(seen.items);
            if let Some(told) = seen.cursor.as_deref().and_then(bare_time) {
                self.unordered |= self.told.is_some_and(|before| told < before);
                self.told = Some(told);
            }
            if let Contents::Objects { oldest, newest } = &seen.contents {
                self.unordered |= matches!((self.newest, oldest), (Some(before), Some(oldest)) if *oldest < before);
                self.newest = self.newest.max(*newest);
            }
        }
        Ok(seen)
    }

    /// Takes a page's objects over.
    fn take(&mut self, body: Bytes, told: Option<String>) -> Result<Seen> {
        let length = body.len() as u64;
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            Error::new(ErrorKind::Full, "the collection is larger than the limit")
        })?;
        Ok(match &mut self.objects {
            Objects::Stix(reader) => {
                let mut page = reader.page(&body[..])?;
                if !page.items {
                    return Err(Error::protocol("an answer without `items`"));
                }
                self.unordered |= page.unordered;
                Seen {
                    items: page.objects,
                    cursor: mem::take(&mut page.next),
                    more: page.more,
                    total: page.total,
                    contents: Contents::Objects {
                        oldest: page.oldest,
                        newest: page.newest,
                    },
                }
            }
            Objects::Text(lines) => {
                let page = lines.page(&body)?;
                Seen {
                    items: page.lines,
                    cursor: told,
                    more: None,
                    total: None,
                    contents: Contents::Lines(page),
                }
            }
        })
    }
}

/// The last instant before this one; Sekoia's times are written to the microsecond.
fn just_before(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant - TimeDelta::microseconds(1)
}

/// The time that a cursor is, if it is nothing else: as text, or in base64.
fn bare_time(cursor: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = parse_timestamp(cursor) {
        return Some(time);
    }
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|engine| {
            let bytes = engine.decode(cursor).ok()?;
            parse_timestamp(std::str::from_utf8(&bytes).ok()?.trim()).ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_that_is_a_time_is_told() {
        let time = "2026-01-05T10:00:00.000001Z";
        let wanted = parse_timestamp(time).ok();
        assert!(wanted.is_some());
        assert_eq!(bare_time(time), wanted);
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            assert_eq!(bare_time(&engine.encode(time)), wanted);
        }
        for other in ["", "c1", &STANDARD.encode(format!("{time}|indicator--1"))] {
            assert_eq!(bare_time(other), None, "{other}");
        }
    }
}
