//! The calls of the indicator service.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value as Json, json};

use super::filter::Filter;
use super::gate::{Ask, Cursor, Reply, Settings, World, base64};
use super::store::{Records, Row};
use super::switches::Positions;
use super::validate::{self, Product};

const WRONG_FORMAT: &str = "Provided data does not match expected format";
const ROWS_REFUSED: &str = "One or more indicators have a warning or invalid input";
/// The window that offsets reach.
const OFFSET_WINDOW: usize = 10_000;

/// One call of a customer that passed the gate.
pub(super) struct Service<'a> {
    pub(super) world: &'a mut World,
    pub(super) customer: &'a str,
    pub(super) now: DateTime<Utc>,
    pub(super) settings: &'a Settings,
    pub(super) positions: &'a Positions,
}

impl Service<'_> {
    /// Answers a call.
    pub(super) fn answer(&mut self, ask: &Ask<'_>) -> Reply {
        let answered = match (ask.method, ask.path) {
            ("GET", "/iocs/queries/indicators/v1") => self.search(ask, false),
            ("GET", "/iocs/combined/indicator/v1") => self.search(ask, true),
            ("GET", "/iocs/entities/indicators/v1") => self.get(ask),
            ("POST", "/iocs/entities/indicators/v1") => self.create(ask),
            ("PATCH", "/iocs/entities/indicators/v1") => self.update(ask),
            ("DELETE", "/iocs/entities/indicators/v1") => self.delete(ask),
            ("GET", "/iocs/queries/actions/v1") => Ok(self.names(&self.product().actions)),
            ("GET", "/iocs/queries/ioc-types/v1") => Ok(self.names(&validate::TYPES)),
            ("GET", "/iocs/queries/severities/v1") => Ok(self.names(&validate::SEVERITIES)),
            ("GET", "/iocs/queries/platforms/v1") => {
                let count = if self.product().mobile {
                    validate::PLATFORMS.len()
                } else {
                    3
                };
                Ok(self.names(&validate::PLATFORMS[..count]))
            }
            ("GET", "/iocs/entities/actions/v1") => Ok(self.actions(ask)),
            _ => Err(Reply::error(404, "404: Page Not Found")),
        };
        answered.unwrap_or_else(|refusal| refusal)
    }

    fn product(&self) -> &Product {
        &self.settings.product
    }

    fn records(&mut self) -> &mut Records {
        self.world
            .customers
            .entry(self.customer.to_owned())
            .or_default()
    }

    fn lag(&self) -> TimeDelta {
        TimeDelta::seconds(i64::try_from(self.positions.number("search-lag")).unwrap_or(0))
    }

    /// A success: `errors` is null, and an empty list may be null too.
    fn done(&self, status: u16, resources: Vec<Json>, pagination: Json) -> Reply {
        let resources = if resources.is_empty() && self.positions.is("empty-resources", "null") {
            Json::Null
        } else {
            Json::Array(resources)
        };
        let body =
            json!({ "meta": { "pagination": pagination }, "errors": null, "resources": resources });
        Reply {
            status,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    fn written(&self, status: u16, resources: Vec<Json>) -> Reply {
        let total = resources.len();
        self.done(status, resources, json!({ "limit": 0, "total": total }))
    }

    fn names(&self, names: &[&str]) -> Reply {
        let names: Vec<Json> = names.iter().map(|name| json!(name)).collect();
        let total = names.len();
        self.done(
            200,
            names,
            json!({ "limit": 100, "total": total, "offset": total }),
        )
    }

    fn actions(&self, ask: &Ask<'_>) -> Reply {
        let known = |id: &&str| self.product().actions.contains(id);
        let actions = ask
            .ids()
            .into_iter()
            .filter(known)
            .map(|id| self.product().action_json(id))
            .collect();
        self.written(200, actions)
    }

    fn search(&mut self, ask: &Ask<'_>, objects: bool) -> Result<Reply, Reply> {
        let number = |name: &str| match ask.parameter(name) {
            None | Some("") => Ok(0),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| Reply::error(400, format!("invalid {name}"))),
        };
        let (mut limit, offset) = (number("limit")?, number("offset")?);
        if limit == 0 {
            limit = 100;
        }
        if limit > self.positions.number("page-limit") {
            return Err(if self.positions.get("page-limit").ends_with("html") {
                Reply::page(400)
            } else {
                Reply::error(400, "limit is too large")
            });
        }
        let after = ask.parameter("after").filter(|after| !after.is_empty());
        if after.is_some()
            && ask.parameter("offset").is_some()
            && self.positions.is("offset-and-after", "refused")
        {
            return Err(Reply::error(400, "offset and after are mutually exclusive"));
        }
        if after.is_none() && offset + limit > OFFSET_WINDOW {
            let status = u16::try_from(self.positions.number("offset-window")).unwrap_or(500);
            return Err(Reply::error(status, "offset + limit must not exceed 10000"));
        }
        let text = ask.parameter("filter").unwrap_or_default().to_owned();
        let sort = ask
            .parameter("sort")
            .filter(|sort| !sort.is_empty())
            .unwrap_or("created_on.asc")
            .to_owned();
        let filter = Filter::parse(&text).map_err(|message| Reply::error(400, message))?;
        let inherited = match ask.parameter("from_parent") {
            Some(given) => Some(given == "true"),
            None if filter.mentions_parent || self.positions.is("inherited", "both") => None,
            None => Some(false),
        };
        let cursor = match after {
            None => None,
            Some(token) => Some(self.cursor(token, &text, &sort)?),
        };
        let include_deleted = self.positions.is("total", "with-deleted");
        let records = self.records();
        let (live, all) = records.count();
        let hits = records
            .search(&format!("{text}\n{inherited:?}"), &filter, inherited, &sort)
            .map_err(|message| Reply::error(400, message))?;
        let descending = super::store::direction(&sort).1;
        let start = match &cursor {
            None => offset,
            Some(cursor) => hits.partition_point(|hit| {
                if descending {
                    *hit >= cursor.hit
                } else {
                    *hit <= cursor.hit
                }
            }),
        };
        let total = hits.len() + if include_deleted { all - live } else { 0 };
        let page: Vec<(String, String)> = hits.iter().skip(start).take(limit).cloned().collect();
        let seen = cursor.map_or(offset, |cursor| cursor.seen) + page.len();
        let mut pagination = json!({ "limit": limit, "total": total, "offset": seen });
        let resources: Vec<Json> = page
            .iter()
            .filter_map(|(_, id)| {
                if objects {
                    records.shown(id).map(Row::to_json)
                } else {
                    Some(json!(id))
                }
            })
            .collect();
        if let Some(hit) = page.last() {
            let token = base64(
                format!(
                    "[{},\"{}\",{}]",
                    self.now.timestamp_millis(),
                    hit.1,
                    self.world.cursors.len()
                )
                .as_bytes(),
            );
            pagination["after"] = json!(token);
            self.world.cursors.insert(
                token,
                Cursor {
                    filter: text,
                    sort,
                    hit: hit.clone(),
                    seen,
                },
            );
        }
        Ok(self.done(200, resources, pagination))
    }

    fn cursor(&self, token: &str, filter: &str, sort: &str) -> Result<Cursor, Reply> {
        let refused = || Reply::error(400, "invalid after token");
        let cursor = self.world.cursors.get(token).ok_or_else(refused)?;
        let same = cursor.filter == filter && cursor.sort == sort;
        if !same && self.positions.is("cursor", "bound") {
            return Err(refused());
        }
        Ok(cursor.clone())
    }

    fn get(&mut self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let ids = ask.ids();
        if ids.is_empty() {
            return Err(Reply::error(400, "ids is required"));
        }
        let records = self.records();
        let found: Vec<Json> = ids
            .iter()
            .filter_map(|id| records.get(id))
            .map(Row::to_json)
            .collect();
        if found.len() < ids.len() && !self.positions.is("unknown-id", "absent") {
            let rest = if self.positions.is("unknown-id", "404") {
                Vec::new()
            } else {
                found
            };
            return Err(Reply::error_with(
                404,
                "indicator not found",
                Json::Array(rest),
            ));
        }
        Ok(self.written(200, found))
    }

    /// Rows of a body, checked for shape and number.
    fn rows(&self, list: Option<&Json>) -> Result<Vec<Map<String, Json>>, Reply> {
        let rows = list
            .and_then(Json::as_array)
            .filter(|rows| !rows.is_empty());
        let rows = rows.ok_or_else(|| Reply::error(400, WRONG_FORMAT))?;
        if rows.len() > self.positions.number("batch-cap") {
            return Err(if self.positions.get("batch-cap").ends_with("413") {
                Reply::page(413)
            } else {
                Reply::error(400, "too many indicators in one request")
            });
        }
        rows.iter()
            .map(|row| {
                row.as_object()
                    .cloned()
                    .ok_or_else(|| Reply::error(400, WRONG_FORMAT))
            })
            .collect()
    }

    fn body(ask: &Ask<'_>, known: &[&str]) -> Result<Map<String, Json>, Reply> {
        let wrong = || Reply::error(400, WRONG_FORMAT);
        let body: Json = serde_json::from_slice(ask.body).map_err(|_| wrong())?;
        let Json::Object(body) = body else {
            return Err(wrong());
        };
        if body.keys().any(|key| !known.contains(&key.as_str())) {
            return Err(wrong());
        }
        Ok(body)
    }

    fn create(&mut self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let body = Self::body(ask, &["comment", "indicators"])?;
        let rows = self.rows(body.get("indicators"))?;
        let ignore_warnings = ask.flag("ignore_warnings");
        let lower = self.positions.is("hash-case", "lower");
        let (now, actor, product) = (
            self.now,
            self.settings.login.id.clone(),
            self.settings.product.clone(),
        );
        let keep_severity = !self.positions.is("surplus-severity", "dropped");
        let mut reports = Vec::new();
        let mut accepted: Vec<(Row, Option<String>)> = Vec::new();
        let mut seen: HashSet<(String, String)> = HashSet::new();
        for (index, fields) in rows.iter().enumerate() {
            let mut row = Row::new(now, &actor);
            validate::text(fields, "type").clone_into(&mut row.kind);
            validate::text(fields, "value").clone_into(&mut row.value);
            if lower && matches!(row.kind.as_str(), "md5" | "sha256") {
                row.value = row.value.to_lowercase();
            }
            let mut problems = Vec::new();
            problems.extend(validate::apply(&mut row, fields, now, &product, false).err());
            problems.extend(validate::check(&row, &product).err());
            let known = self
                .records()
                .find(&row.kind, &row.value)
                .map(|known| known.id.clone());
            if known.is_some() || !seen.insert((row.kind.clone(), row.value.clone())) {
                problems.push(validate::Problem {
                    warning: true,
                    message: format!(
                        "Warning: Duplicate type: '{}', value: '{}' combination.",
                        row.kind, row.value
                    ),
                });
            }
            match problems
                .into_iter()
                .find(|problem| !(problem.warning && ignore_warnings))
            {
                Some(problem) => reports.push(report(index, &row, &problem)),
                None => {
                    validate::settle(&mut row, keep_severity);
                    accepted.push((row, known));
                }
            }
        }
        let refused = !reports.is_empty();
        if refused && self.positions.is("row-refusal", "nothing-stored") {
            accepted.clear();
        }
        self.room(accepted.len())?;
        let stored = accepted
            .into_iter()
            .filter_map(|(row, known)| self.store(row, known))
            .collect();
        if refused {
            return Err(Reply::error_with(400, ROWS_REFUSED, Json::Array(reports)));
        }
        Ok(self.written(201, stored))
    }

    /// Whether so many more records fit.
    fn room(&mut self, more: usize) -> Result<(), Reply> {
        let counted = self.positions.is("deleted-capacity", "counted");
        let capacity = self.world.capacity;
        let (live, all) = self.records().count();
        if (if counted { all } else { live }) + more > capacity {
            return Err(Reply::error(400, "Limit of 1 million indicators reached."));
        }
        Ok(())
    }

    /// Stores a new record, or makes of a duplicate what the switch says.
    fn store(&mut self, mut row: Row, known: Option<String>) -> Option<Json> {
        let (now, lag) = (self.now, self.lag());
        let id = match known {
            Some(_) if self.positions.is("duplicates", "skip") => return None,
            Some(id) if self.positions.is("duplicates", "overwrite") => {
                self.records().modify(&id, now, lag, |old| {
                    row.id.clone_from(&old.id);
                    row.created_on = old.created_on;
                    row.created_by.clone_from(&old.created_by);
                    *old = row;
                });
                id
            }
            _ => self.records().insert(row, lag),
        };
        self.records().get(&id).map(Row::to_json)
    }

    fn update(&mut self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let body = Self::body(ask, &["comment", "indicators", "bulk_update"])?;
        let bulk = body.get("bulk_update").filter(|bulk| !bulk.is_null());
        let indicators = body
            .get("indicators")
            .filter(|rows| rows.as_array().is_none_or(|rows| !rows.is_empty()));
        let indicators = indicators.filter(|rows| !rows.is_null());
        let rows = match (bulk.map(Json::as_object), indicators) {
            (None, list) => self.rows(list)?,
            (Some(Some(bulk)), Some(list))
                if bulk.is_empty() && self.positions.is("empty-bulk-update", "ignored") =>
            {
                self.rows(Some(list))?
            }
            (Some(Some(bulk)), None) => self.bulk_rows(bulk)?,
            _ => return Err(Reply::error(400, WRONG_FORMAT)),
        };
        let nulls = self.positions.get("null-in-patch");
        if nulls == "refused" && rows.iter().any(|row| row.values().any(Json::is_null)) {
            return Err(Reply::error(400, WRONG_FORMAT));
        }
        let (now, lag, product) = (self.now, self.lag(), self.settings.product.clone());
        let actor = self.settings.login.id.clone();
        let keep_severity = !self.positions.is("surplus-severity", "dropped");
        let inherited_refused = self.positions.is("inherited-write", "refused");
        let (mut reports, mut accepted, mut missing) = (Vec::new(), Vec::new(), false);
        for (index, fields) in rows.iter().enumerate() {
            let id = validate::text(fields, "id");
            let Some(mut row) = self.records().get(id).filter(|row| !row.deleted).cloned() else {
                missing = true;
                continue;
            };
            let mut problem =
                validate::apply(&mut row, fields, now, &product, nulls == "clears").err();
            problem = problem.or_else(|| validate::check(&row, &product).err());
            if row.from_parent && inherited_refused {
                let message = "Indicator is inherited from the parent".to_owned();
                problem = Some(validate::Problem {
                    warning: false,
                    message,
                });
            }
            match problem.filter(|problem| !(problem.warning && ask.flag("ignore_warnings"))) {
                Some(problem) => reports.push(report(index, &row, &problem)),
                None => {
                    validate::settle(&mut row, keep_severity);
                    row.modified_on = now;
                    row.modified_by.clone_from(&actor);
                    accepted.push(row);
                }
            }
        }
        if !reports.is_empty() {
            return Err(Reply::error_with(400, ROWS_REFUSED, Json::Array(reports)));
        }
        if missing && self.positions.is("unknown-id", "404") {
            return Err(Reply::error(404, "indicator not found"));
        }
        let mut changed = Vec::new();
        for row in accepted {
            changed.push(row.to_json());
            let id = row.id.clone();
            self.records().modify(&id, now, lag, |old| *old = row);
        }
        if missing && self.positions.is("unknown-id", "404-rest-done") {
            return Err(Reply::error_with(
                404,
                "indicator not found",
                Json::Array(changed),
            ));
        }
        Ok(self.written(200, changed))
    }

    /// One row per record that a bulk update's filter finds.
    fn bulk_rows(&mut self, bulk: &Map<String, Json>) -> Result<Vec<Map<String, Json>>, Reply> {
        let text = validate::text(bulk, "filter");
        if text.is_empty() {
            return Err(Reply::error(400, WRONG_FORMAT));
        }
        let filter = Filter::parse(text).map_err(|message| Reply::error(400, message))?;
        let matching = |row: &&Row| !row.deleted && filter.matches(row);
        let ids: Vec<String> = self
            .records()
            .all()
            .filter(matching)
            .map(|row| row.id.clone())
            .collect();
        let with_id = |id: String| {
            let mut row = bulk.clone();
            row.shift_remove("filter");
            row.shift_remove("from_parent");
            row.insert("id".to_owned(), Json::String(id));
            row
        };
        Ok(ids.into_iter().map(with_id).collect())
    }

    fn delete(&mut self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let filter = ask.parameter("filter").filter(|filter| !filter.is_empty());
        let has_ids = ask.query.iter().any(|(key, _)| key == "ids");
        let ids: Vec<String> = match filter {
            Some(_) if has_ids && self.positions.is("delete-filter-and-ids", "refused") => {
                return Err(Reply::error(
                    400,
                    "Either IDs or the FQL filter must be provided, not both",
                ));
            }
            Some(text) => {
                let filter = Filter::parse(text).map_err(|message| Reply::error(400, message))?;
                let matching = |row: &&Row| !row.deleted && filter.matches(row);
                self.records()
                    .all()
                    .filter(matching)
                    .map(|row| row.id.clone())
                    .collect()
            }
            None => ask
                .ids()
                .into_iter()
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
        };
        if filter.is_none() && ids.is_empty() {
            return Err(Reply::error(
                400,
                "Either IDs or the FQL filter must be provided",
            ));
        }
        let inherited_refused = self.positions.is("inherited-write", "refused");
        let records = self.records();
        let live = |id: &&String| records.get(id).is_some_and(|row| !row.deleted);
        let (mut found, missing): (Vec<&String>, Vec<&String>) = ids.iter().partition(live);
        found.sort_unstable();
        found.dedup();
        if inherited_refused
            && found
                .iter()
                .any(|id| records.get(id).is_some_and(|row| row.from_parent))
        {
            return Err(Reply::error(
                403,
                "access denied, indicator is inherited from the parent",
            ));
        }
        if !missing.is_empty() && self.positions.is("unknown-id", "404") {
            return Err(Reply::error(404, "indicator not found"));
        }
        let (now, lag, actor) = (self.now, self.lag(), self.settings.login.id.clone());
        let mut deleted = Vec::new();
        for id in found {
            self.records().modify(id, now, lag, |row| {
                row.deleted = true;
                row.modified_on = now;
                row.modified_by.clone_from(&actor);
            });
            deleted.push(json!(id));
        }
        if !missing.is_empty() && self.positions.is("unknown-id", "404-rest-done") {
            return Err(Reply::error_with(
                404,
                "indicator not found",
                Json::Array(deleted),
            ));
        }
        Ok(self.written(200, deleted))
    }
}

/// A row report, whose rows are counted from 1.
fn report(index: usize, row: &Row, problem: &validate::Problem) -> Json {
    json!({
        "row": index + 1,
        "value": row.value,
        "type": row.kind,
        "message_type": if problem.warning { "warning" } else { "error" },
        "message": problem.message,
    })
}
