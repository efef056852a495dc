//! Writing to own collections.

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::reply::Reply;
use super::world::{Row, default_validity, pattern_of};
use super::{Ask, Sekoia};

/// Most indicators in one request, documented.
const BATCH: usize = 100;

/// Longest description, documented.
const DESCRIPTION: usize = 500;

/// Indicators per page of a search if nothing is said.
const SEARCH_PAGE: usize = 20;

impl Sekoia {
    pub(super) fn collection(&self, id: &str) -> Reply {
        let mut world = self.world();
        match world.collection(id) {
            Some(collection) if id.starts_with("ioc-collection--") => Reply::json(
                200,
                json!({ "id": collection.id, "name": collection.name, "available_for_sub_communities": false }),
            ),
            _ => {
                drop(world);
                self.no_collection()
            }
        }
    }

    pub(super) fn search(&self, ask: &Ask<'_>, id: &str) -> Reply {
        let number = |name: &str, default: usize| {
            ask.query(name)
                .map_or(Some(default), |text| text.parse().ok())
        };
        let (Some(limit), Some(offset)) = (number("limit", SEARCH_PAGE), number("offset", 0))
        else {
            return Reply::bad("limit or offset is not a number");
        };
        let limit = limit.min(self.positions.number("search-cap"));
        let term = ask.query("term").map(str::to_lowercase);
        let whole = self.is("term", "whole");
        let mut world = self.world();
        let Some(collection) = world.collection(id) else {
            drop(world);
            return self.no_collection();
        };
        let found: Vec<&Row> = collection
            .ordered()
            .iter()
            .filter(|row| {
                term.as_ref().is_none_or(|term| {
                    let name = row.name.to_lowercase();
                    let held = row.pattern.to_lowercase().contains(&format!("'{term}'"));
                    name == *term || held || (!whole && name.contains(term.as_str()))
                })
            })
            .collect();
        let first = offset.min(found.len());
        let page = &found[first..(first + limit).min(found.len())];
        let items: Vec<Json> = page.iter().map(|row| row.object(id)).collect();
        let mut body = json!({ "items": items });
        if self.is("search-more", "given") {
            body["has_more"] = json!(first + page.len() < found.len());
        }
        Reply::json(200, body)
    }

    pub(super) fn add_indicators(&self, ask: &Ask<'_>, id: &str, now: DateTime<Utc>) -> Reply {
        let Ok(body) = serde_json::from_slice::<Json>(ask.body) else {
            return Reply::bad("the body is not JSON");
        };
        let (Some(indicators), Some(defaults)) = (
            body.get("indicators").and_then(Json::as_array),
            body.get("default_fields").and_then(Json::as_object),
        ) else {
            return Reply::bad("indicators and default_fields are required");
        };
        if !(1..=BATCH).contains(&indicators.len()) {
            return Reply::bad("indicators takes 1 to 100 items");
        }
        let time = |value: Option<&Json>| match value {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
                .map(|time| Some(time.with_timezone(&Utc)))
                .ok_or_else(|| Reply::bad("a time is not RFC 3339")),
        };
        let (until, from) = match (
            time(defaults.get("valid_until")),
            time(defaults.get("valid_from")),
        ) {
            (Ok(until), Ok(from)) => (until, from.unwrap_or(now)),
            (Err(reply), _) | (_, Err(reply)) => return reply,
        };
        let description = defaults.get("description").and_then(Json::as_str);
        if description.is_some_and(|text| text.chars().count() > DESCRIPTION) {
            return Reply::bad("description is longer than 500 characters");
        }
        let mut rows = Vec::new();
        for item in indicators {
            let Some(value) = item.get("value").and_then(Json::as_str) else {
                return Reply::bad("an indicator without value");
            };
            let Some((_, kind)) = pattern_of(value) else {
                if self.is("bad-value", "left-out") {
                    continue;
                }
                return Reply::bad(&format!("{value:?} is no observable"));
            };
            let mut row = Row::new(value, now).from(from);
            row.valid_until = until.or_else(|| default_validity(kind).map(|length| from + length));
            row.description = description.map(str::to_owned);
            rows.push(row);
        }
        let mut world = self.world();
        if world.collection(id).is_none() {
            drop(world);
            return self.no_collection();
        }
        let held: usize = world.collections.iter().map(|it| it.rows.len()).sum();
        if held + rows.len() > world.capacity {
            return Reply::error(
                400,
                "FULL",
                "the community holds as many indicators as it may",
            );
        }
        let mut items = Vec::new();
        for row in rows {
            let same: Vec<(String, bool)> = world
                .collection(id)
                .map(|it| it.rows.iter())
                .into_iter()
                .flatten()
                .filter(|other| other.name.eq_ignore_ascii_case(&row.name))
                .map(|other| (other.id.clone(), other.revoked))
                .collect();
            let standing = same
                .iter()
                .find(|(_, revoked)| !revoked)
                .map(|(id, _)| id.clone());
            let kept = match standing {
                Some(_) if self.is("re-added", "ignored") => None,
                Some(other) if self.is("re-added", "updates") => {
                    world.change(id, &other, Some(now), |other| {
                        other.valid_until = row.valid_until;
                    });
                    Some(other)
                }
                None if !same.is_empty() && self.is("re-added-revoked", "ignored") => None,
                _ => Some(world.insert(id, row)),
            };
            let object = kept.and_then(|kept| {
                let rows = &world.collection(id)?.rows;
                rows.iter()
                    .find(|row| row.id == kept)
                    .map(|row| row.object(id))
            });
            items.extend(object);
        }
        let total = items.len();
        Reply::json(200, json!({ "items": items, "total": total }))
    }

    pub(super) fn revoke(&self, id: &str, indicator: &str, now: DateTime<Utc>) -> Reply {
        let mut world = self.world();
        let Some(collection) = world.collection(id) else {
            drop(world);
            return self.no_collection();
        };
        let known = collection.rows.iter().find(|row| row.id == indicator);
        match known.map(|row| row.revoked) {
            None => Reply::error(404, "NOT_FOUND", "no such indicator"),
            Some(true) if self.is("revoked-again", "404") => {
                Reply::error(404, "NOT_FOUND", "no such indicator")
            }
            Some(_) => {
                let moves = self.is("revoked-modified", "changes").then_some(now);
                world.change(id, indicator, moves, |row| row.revoked = true);
                Reply::empty(204)
            }
        }
    }
}
