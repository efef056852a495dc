//! What an IOC rule says, in the vendor's words and in ours.

use chrono::{DateTime, Utc};
use sdk::indicator::{Kind, Value};
use sdk::ownership::Mark;
use serde_json::Value as Json;

use super::api::Ioc;

/// What is written for "no end", 2100-01-01: the vendor's pages differ on its word for it, and null means the
/// tenant's default of 7 to 180 days.
pub(super) const NO_END: i64 = 4_102_444_800_000;

/// `SEV_040_HIGH` is how the list writes what is written as `HIGH`.
pub(super) fn plain_severity(listed: &str) -> &str {
    listed.rsplit_once('_').map_or(listed, |(_, name)| name)
}

/// The end, if there is one: no end is written `-1`, `Never` or null, or was written so by us. What we write for none
/// can be an end too: then our marks have one.
pub(super) fn end(listed: &Json, marks: &[Mark]) -> Option<DateTime<Utc>> {
    let is_end = !marks.is_empty() && marks.iter().all(|mark| mark.until.is_some());
    let milliseconds = listed
        .as_i64()
        .filter(|&it| it > 0 && (it != NO_END || is_end))?;
    DateTime::from_timestamp_millis(milliseconds)
}

/// Whether there are IOCs, and none has the field that our marks stand in.
pub(super) fn shows_no_comment(iocs: &[Ioc]) -> bool {
    !iocs.is_empty() && iocs.iter().all(|ioc| ioc.comment.is_none())
}

pub(super) const fn sort(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 | Kind::Ipv6 => "IP",
        Kind::Domain => "DOMAIN_NAME",
        _ => "HASH",
    }
}

/// What an IOC is about, if an indicator of ours can be equal to it.
pub(super) fn value(ioc: &Ioc) -> Option<Value> {
    let kinds: &[Kind] = match ioc.sort.as_str() {
        "IP" => &[Kind::Ipv4, Kind::Ipv6],
        "DOMAIN_NAME" => &[Kind::Domain],
        "HASH" => match ioc.indicator.trim().len() {
            32 => &[Kind::Md5],
            64 => &[Kind::Sha256],
            _ => &[],
        },
        _ => &[],
    };
    kinds
        .iter()
        .find_map(|kind| Value::parse(*kind, ioc.indicator.trim()).ok())
}

/// The rule's number in a handle.
pub(super) fn number_of(id: &str) -> &str {
    id.split_once(' ').map_or(id, |(number, _)| number)
}

/// The value in the vendor's spelling: ours, unless the handle has another.
pub(super) fn spelling(id: &str, value: &Value) -> String {
    id.split_once(' ')
        .map_or_else(|| value.to_string(), |(_, spelling)| spelling.to_owned())
}
