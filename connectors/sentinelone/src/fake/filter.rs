//! What indicators can be asked for by.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Map, Value as Json};

use super::iocs::Ioc;

pub(super) const FILTERS: [&str; 10] = [
    "type",
    "value",
    "source",
    "externalId",
    "uuids",
    "batchId",
    "category__in",
    "name__contains",
    "description__contains",
    "creator__contains",
];
pub(super) const TIMES: [&str; 12] = [
    "creationTime__lt",
    "creationTime__lte",
    "creationTime__gt",
    "creationTime__gte",
    "uploadTime__lt",
    "uploadTime__lte",
    "uploadTime__gt",
    "uploadTime__gte",
    "updatedAt__lt",
    "updatedAt__lte",
    "updatedAt__gt",
    "updatedAt__gte",
];

/// Whether a row matches every filter that is not about scope.
pub(super) fn matches(row: &Ioc, filter: &Map<String, Json>) -> bool {
    filter.iter().all(|(key, wanted)| {
        let one_of = |text: &str| match wanted {
            Json::Array(list) => list.iter().any(|item| item.as_str() == Some(text)),
            other => other.as_str() == Some(text),
        };
        let contains = |text: &str| wanted.as_str().is_some_and(|part| text.contains(part));
        match key.as_str() {
            "type" | "value" | "source" | "externalId" => one_of(row.text(key)),
            "uuids" => one_of(&row.uuid),
            "batchId" => one_of(&row.batch),
            "name__contains" => contains(row.text("name")),
            "description__contains" => contains(row.text("description")),
            "creator__contains" => contains(&row.creator),
            "category__in" => row
                .fields
                .get("category")
                .and_then(Json::as_array)
                .is_some_and(|list| list.iter().filter_map(Json::as_str).any(one_of)),
            key if TIMES.contains(&key) => compares(row, key, wanted),
            _ => true,
        }
    })
}

fn compares(row: &Ioc, key: &str, wanted: &Json) -> bool {
    let (Some((field, sign)), Some(wanted)) = (key.split_once("__"), read_time(wanted)) else {
        return false;
    };
    let held = match field {
        "uploadTime" => Some(row.upload),
        "updatedAt" => Some(row.updated),
        _ => row.fields.get("creationTime").and_then(read_time),
    };
    held.is_some_and(|held| match sign {
        "lt" => held < wanted,
        "lte" => held <= wanted,
        "gt" => held > wanted,
        _ => held >= wanted,
    })
}

/// A time as it may be sent: text with or without zone, or milliseconds.
pub(super) fn read_time(value: &Json) -> Option<DateTime<Utc>> {
    if let Some(milliseconds) = value.as_i64() {
        return DateTime::from_timestamp_millis(milliseconds);
    }
    let text = value.as_str()?;
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f");
    naive.ok().map(|time| time.and_utc())
}
