//! Reading a collection or feed: pages and cursors, as JSON or as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value as Json, json};

use super::reply::Reply;
use super::world::Row;
use super::{Ask, Sekoia};

/// Objects per page if nothing is said, documented.
const DEFAULT_LIMIT: usize = 100;

/// Where a page begins.
enum Start {
    /// Behind the object of this time and number.
    Behind(DateTime<Utc>, u64),
    From(DateTime<Utc>),
    After(DateTime<Utc>),
    /// So many objects in, where the newest come first.
    At(usize),
}

impl Sekoia {
    pub(super) fn objects(&self, ask: &Ask<'_>, id: &str, now: DateTime<Utc>) -> Reply {
        let text = ask.query("format") == Some("text");
        let flag = |name: &str, default: bool| match ask.query(name) {
            None => Ok(default),
            Some("true" | "True" | "1") => Ok(true),
            Some("false" | "False" | "0") => Ok(false),
            Some(_) => Err(Reply::bad(&format!("{name} is not a boolean"))),
        };
        let parsed = (|| {
            let limit = match ask.query("limit") {
                None => DEFAULT_LIMIT,
                Some(limit) => limit
                    .parse()
                    .ok()
                    .filter(|limit| *limit > 0)
                    .ok_or_else(|| Reply::bad("limit is not a positive number"))?,
            };
            let revoked = flag("include_revoked", self.is("revoked-default", "included"))?;
            let skip_expired = flag("skip_expired", false)?;
            let after = ask
                .query("modified_after")
                .map(|text| {
                    DateTime::parse_from_rfc3339(text)
                        .map(|time| time.with_timezone(&Utc))
                        .map_err(|_| Reply::bad("modified_after is not a time"))
                })
                .transpose()?;
            let start = match ask.query("cursor") {
                Some(cursor) => Some(
                    self.start(cursor)
                        .ok_or_else(|| Reply::bad("cursor is not one"))?,
                ),
                None => None,
            };
            Ok((limit, revoked, skip_expired, after, start))
        })();
        let (limit, revoked, skip_expired, after, start) = match parsed {
            Ok(parsed) => parsed,
            Err(reply) => return reply,
        };
        if !ask
            .query("match[type]")
            .is_none_or(|types| types.split(',').any(|one| one == "indicator"))
        {
            return Reply::json(200, json!({ "items": [], "next_cursor": null }));
        }
        let cap = self.settings.page_cap;
        let limit = limit.min(cap.unwrap_or_else(|| self.positions.number("page-cap")));
        let bound = self.is("expired-bound", "yes");
        let mut world = self.world();
        let Some(collection) = world.collection(id) else {
            return self.no_collection();
        };
        let wanted: Vec<&Row> = collection
            .ordered()
            .iter()
            .filter(|row| revoked || !row.revoked)
            .filter(|row| !skip_expired || !row.is_expired(now, bound))
            .filter(|row| after.is_none_or(|after| row.modified > after))
            .collect();
        let newest_first = self.settings.newest_first;
        let wanted: Vec<&Row> = if newest_first {
            wanted.into_iter().rev().collect()
        } else {
            wanted
        };
        let first = match start {
            None => 0,
            Some(Start::At(first)) => first.min(wanted.len()),
            Some(Start::Behind(time, number)) => {
                let behind =
                    wanted.partition_point(|row| (row.modified, row.number) <= (time, number));
                if self.is("page-edge", "repeats") && behind < wanted.len() {
                    behind.saturating_sub(1)
                } else {
                    behind
                }
            }
            Some(Start::From(time)) if newest_first => {
                wanted.partition_point(|row| row.modified > time)
            }
            Some(Start::From(time)) => wanted.partition_point(|row| row.modified < time),
            Some(Start::After(time)) if newest_first => {
                wanted.partition_point(|row| row.modified >= time)
            }
            Some(Start::After(time)) => wanted.partition_point(|row| row.modified <= time),
        };
        let page = &wanted[first..(first + limit).min(wanted.len())];
        let is_last = first + page.len() == wanted.len();
        let cursor = match page.last() {
            _ if !self.settings.cursors => None,
            None if self.is("end", "repeated-cursor") => ask.query("cursor").map(str::to_owned),
            None => None,
            // A time always stands for what may come after it.
            Some(last) if !self.is("cursor", "opaque") => Some(time_cursor(last)),
            Some(_)
                if is_last && (self.is("end", "null-cursor") || self.is("end", "no-cursor")) =>
            {
                None
            }
            Some(_) if newest_first => Some(STANDARD.encode(format!("at|{}", first + page.len()))),
            Some(last) => Some(STANDARD.encode(format!(
                "{}|{}",
                last.modified.to_rfc3339_opts(SecondsFormat::Micros, true),
                last.number
            ))),
        };
        if text {
            let lines: String = page.iter().map(|row| self.line(row) + "\n").collect();
            let mut reply = Reply::text(lines);
            if let Some(cursor) = cursor {
                reply.headers.push(("cursor", cursor));
            }
            return reply;
        }
        let items: Vec<Json> = page.iter().map(|row| row.object(id)).collect();
        let mut body = json!({ "items": items });
        if cursor.is_some() || !self.is("end", "no-cursor") {
            body["next_cursor"] = json!(cursor);
        }
        if self.is("page-total", "given") {
            body["total"] = json!(wanted.len());
        }
        Reply::json(200, body)
    }

    fn start(&self, cursor: &str) -> Option<Start> {
        let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
        let time = |text: &str| {
            DateTime::parse_from_rfc3339(text)
                .ok()
                .map(|time| time.with_timezone(&Utc))
        };
        if let Some(at) = text.strip_prefix("at|") {
            return at.parse().ok().map(Start::At);
        }
        match text.split_once('|') {
            Some((at, number)) => Some(Start::Behind(time(at)?, number.parse().ok()?)),
            None if self.is("cursor", "from-time") => Some(Start::From(time(&text)?)),
            None => Some(Start::After(time(&text)?)),
        }
    }

    /// An object as text.
    fn line(&self, row: &Row) -> String {
        let quoted: Vec<&str> = row.pattern.split('\'').skip(1).step_by(2).collect();
        let hashes: Vec<&str> = quoted
            .into_iter()
            .filter(|text| text.len() >= 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .collect();
        match hashes[..] {
            [] | [_] => row.name.clone(),
            [first, ..] if self.is("text-hashes", "first") => first.to_owned(),
            _ => hashes.join(","),
        }
    }
}

fn time_cursor(row: &Row) -> String {
    STANDARD.encode(row.modified.to_rfc3339_opts(SecondsFormat::Micros, true))
}
