//! Alerts, and searches among their events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value as Json, json};

use super::reply::Reply;
use super::world::{Event, Job};
use super::{Ask, Sekoia};

/// Most events that a search looks at.
const LAST_EVENTS: u64 = 100;

impl Sekoia {
    pub(super) fn alert(&self, id: &str) -> Reply {
        let world = self.world();
        let found = world.alerts.iter().find(|alert| {
            alert.uuid == id || (alert.short_id == id && self.is("short-id", "taken"))
        });
        found.map_or_else(
            || Reply::error(404, "NOT_FOUND", "no such alert"),
            |alert| Reply::json(200, alert.object()),
        )
    }

    pub(super) fn alerts(&self, ask: &Ask<'_>) -> Reply {
        let wanted = ask
            .query("match[short_id]")
            .filter(|_| self.is("short-id-filter", "kept"));
        let world = self.world();
        let items: Vec<Json> = world
            .alerts
            .iter()
            .filter(|alert| {
                wanted.is_none_or(|wanted| wanted.split(',').any(|id| id == alert.short_id))
            })
            .map(super::world::Alert::object)
            .collect();
        let total = items.len();
        Reply::json(200, json!({ "items": items, "total": total }))
    }

    pub(super) fn start_job(&self, ask: &Ask<'_>) -> Reply {
        let Ok(body) = serde_json::from_slice::<Json>(ask.body) else {
            return Reply::bad("the body is not JSON");
        };
        let time = |name: &str| {
            let text = body.get(name)?.as_str()?;
            Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
        };
        let (Some(term), Some(earliest), Some(latest)) = (
            body.get("term").and_then(Json::as_str),
            time("earliest_time"),
            time("latest_time"),
        ) else {
            return Reply::bad("term, earliest_time and latest_time are required");
        };
        let most = match body.get("max_last_events") {
            None => LAST_EVENTS,
            Some(most) => match most
                .as_u64()
                .filter(|most| (1..=LAST_EVENTS).contains(most))
            {
                Some(most) => most,
                None => return Reply::bad("max_last_events is 1 to 100"),
            },
        };
        let Some(short_id) = term.strip_prefix("alert_short_ids: ") else {
            return Reply::bad("the fake only searches by alert_short_ids");
        };
        let mut world = self.world();
        let events: Vec<&Event> = world
            .alerts
            .iter()
            .filter(|alert| alert.short_id == short_id)
            .flat_map(|alert| &alert.events)
            .filter(|event| earliest <= event.at && event.at < latest)
            .collect();
        let skipped = events
            .len()
            .saturating_sub(usize::try_from(most).unwrap_or(usize::MAX));
        let mut fields: BTreeMap<String, Vec<(Json, usize)>> = BTreeMap::new();
        for event in &events[skipped..] {
            for (name, value) in &event.fields {
                let values = fields.entry(name.clone()).or_default();
                match values.iter_mut().find(|(known, _)| known == value) {
                    Some((_, count)) => *count += 1,
                    None => values.push((value.clone(), 1)),
                }
            }
        }
        let fields: Vec<Json> = fields
            .into_iter()
            .map(|(name, mut values)| {
                values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                let values: Vec<Json> = values
                    .into_iter()
                    .map(|(value, count)| json!({ "name": value, "count": count }))
                    .collect();
                json!({ "name": name, "most_common_values": values })
            })
            .collect();
        let uuid = world.uuid();
        world.jobs.push(Job {
            uuid: uuid.clone(),
            asked: 0,
            fields,
        });
        Reply::json(200, json!({ "uuid": uuid, "status": 0 }))
    }

    pub(super) fn job(&self, uuid: &str) -> Reply {
        let ends = self.positions.number("search-status");
        let mut world = self.world();
        let Some(job) = world.jobs.iter_mut().find(|job| job.uuid == uuid) else {
            return Reply::error(404, "NOT_FOUND", "no such search");
        };
        let status = match job.asked {
            0 => 0,
            _ if job.asked == 1 || self.settings.endless_search => 1,
            _ => ends,
        };
        job.asked += 1;
        Reply::json(200, json!({ "uuid": uuid, "status": status }))
    }

    pub(super) fn job_fields(&self, ask: &Ask<'_>, uuid: &str) -> Reply {
        let number = |name: &str, default: usize| {
            ask.query(name)
                .map_or(Some(default), |text| text.parse().ok())
        };
        let (Some(limit), Some(offset)) = (number("limit", 100), number("offset", 0)) else {
            return Reply::bad("limit or offset is not a number");
        };
        let limit = limit.min(self.positions.number("field-cap"));
        let world = self.world();
        let Some(job) = world.jobs.iter().find(|job| job.uuid == uuid) else {
            return Reply::error(404, "NOT_FOUND", "no such search");
        };
        // A search that has not ended has found nothing yet.
        let has_ended = job.asked > 2 && !self.settings.endless_search;
        let fields: &[Json] = if has_ended { &job.fields } else { &[] };
        let first = offset.min(fields.len());
        let page = &fields[first..(first + limit).min(fields.len())];
        Reply::json(200, json!({ "items": page, "total": fields.len() }))
    }
}
