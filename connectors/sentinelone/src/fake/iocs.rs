//! `/threat-intelligence`.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value as Json, json};

use super::filter::{FILTERS, TIMES, matches, read_time};
use super::gate::{Ask, Reply, Settings};
use super::page::{Cursors, PARAMETERS};
use super::scope::{self, Scope};
use super::stix;
use super::switches::Positions;

const TYPES: [&str; 7] = ["DNS", "IPV4", "IPV6", "MD5", "SHA1", "SHA256", "URL"];
const FIELDS: [&str; 24] = [
    "source",
    "type",
    "value",
    "method",
    "validUntil",
    "creationTime",
    "externalId",
    "name",
    "description",
    "creator",
    "category",
    "reference",
    "intrusionSets",
    "threatActors",
    "mitreTactic",
    "malwareNames",
    "campaignNames",
    "labels",
    "threatActorTypes",
    "severity",
    "originalRiskScore",
    "pattern",
    "patternType",
    "metadata",
];
/// Most uuids of a delete.
const MOST_UUIDS: usize = 5_000;

/// One indicator.
#[derive(Clone, Debug)]
pub(super) struct Ioc {
    order: u64,
    pub(super) uuid: String,
    pub(super) batch: String,
    pub(super) scope: Scope,
    pub(super) creator: String,
    pub(super) upload: DateTime<Utc>,
    pub(super) updated: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    /// As it was sent, less what the console sets itself.
    pub(super) fields: Map<String, Json>,
}

impl Ioc {
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    fn to_json(&self, rewritten: bool) -> Json {
        let mut object = self.fields.clone();
        if rewritten {
            object.insert(
                "value".to_owned(),
                json!(respelled(self.text("type"), self.text("value"))),
            );
        }
        let more = [
            ("uuid", json!(self.uuid)),
            ("batchId", json!(self.batch)),
            ("scope", json!(self.scope.name())),
            ("scopeId", json!(self.scope.id())),
            (
                "parentScopeId",
                json!(self.scope.parent().and_then(Scope::id)),
            ),
            ("creator", json!(self.creator)),
            ("uploadTime", json!(time(self.upload))),
            ("updatedAt", json!(time(self.updated))),
            ("validUntil", json!(time(self.end))),
        ];
        for (name, value) in more {
            object.insert(name.to_owned(), value);
        }
        object.entry("creationTime").or_insert(Json::Null);
        Json::Object(object)
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A value as a console might show it that keeps it in another spelling.
fn respelled(kind: &str, value: &str) -> String {
    match kind {
        "MD5" | "SHA1" | "SHA256" | "IPV6" => value.to_uppercase(),
        "DNS" => format!("{value}."),
        "URL" => value
            .split_once("://")
            .map_or(value, |(_, rest)| rest)
            .to_owned(),
        _ => value.to_owned(),
    }
}

/// Default and longest life in days, by type.
fn life(kind: &str) -> (i64, i64) {
    match kind {
        "IPV4" | "IPV6" => (14, 30),
        "DNS" | "URL" => (90, 180),
        _ => (180, 180),
    }
}

/// All indicators.
#[derive(Debug, Default)]
pub(super) struct Iocs {
    pub(super) rows: BTreeMap<u64, Ioc>,
    made: u64,
    pub(super) capacity: usize,
    /// The latest row of each scope, source, type and value; it may be gone.
    by_key: HashMap<Key, u64>,
}

/// Scope, source, type and value.
type Key = (Scope, [String; 3]);

fn key(scope: Scope, fields: &Map<String, Json>) -> Key {
    let text = |name: &str| {
        fields
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    (scope, ["source", "type", "value"].map(text))
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) now: DateTime<Utc>,
    pub(super) settings: &'a Settings,
    pub(super) positions: &'a Positions,
    pub(super) user: &'a str,
}

fn identifier(seed: impl Hash) -> String {
    let part = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, &seed).hash(&mut hasher);
        hasher.finish()
    };
    format!("{:016x}{:016x}", part(0), part(1))
}

impl Iocs {
    /// No indicators, and room for so many in a scope.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// What ended leaves the listing where ended ones are dropped.
    pub(super) fn tick(&mut self, now: DateTime<Utc>, positions: &Positions) {
        if positions.is("ended-indicators", "dropped") {
            self.rows.retain(|_, row| row.end > now);
        }
    }

    /// Stores a row as it is and gives back its number.
    pub(super) fn insert(
        &mut self,
        scope: Scope,
        creator: &str,
        now: DateTime<Utc>,
        end: DateTime<Utc>,
        fields: Map<String, Json>,
        batch: &str,
    ) -> u64 {
        self.made += 1;
        let order = self.made;
        let row = Ioc {
            order,
            uuid: identifier(("ioc", order)),
            batch: batch.to_owned(),
            scope,
            creator: creator.to_owned(),
            upload: now,
            updated: now,
            end,
            fields,
        };
        self.by_key.insert(key(scope, &row.fields), order);
        self.rows.insert(order, row);
        order
    }

    pub(super) fn list(
        &self,
        ask: &Ask<'_>,
        call: &Call<'_>,
        cursors: &mut Cursors,
    ) -> Result<Reply, Reply> {
        call.settings.may("Threat Intelligence.view")?;
        let mut known = PARAMETERS.to_vec();
        known.extend(FILTERS);
        known.extend(["accountIds", "tenant"]);
        for field in ["creationTime", "uploadTime", "updatedAt"] {
            for sign in ["__lt", "__lte", "__gt", "__gte"] {
                known.extend(TIMES.iter().find(|name| **name == format!("{field}{sign}")));
            }
        }
        if !call.settings.old_console {
            known.push("siteIds");
        }
        if !call.settings.strict_filters {
            known.extend(["siteIds", "groupIds"]);
        }
        ask.knows(&known)?;
        let token = call.settings.token_scope;
        if ask.flag("tenant") && token != Scope::Global {
            return Err(Reply::forbidden());
        }
        let accounts = ask.list("accountIds");
        for id in accounts.iter().flatten() {
            let scope = Scope::find("account", id).ok_or_else(Reply::forbidden)?;
            if !token.covers(scope) && !scope.covers(token) {
                return Err(Reply::forbidden());
            }
        }
        let sites = ask.list("siteIds").filter(|_| !call.settings.old_console);
        let visible = |row: &&Ioc| {
            let within = |level: &str, ids: &[&str]| {
                let named = |id: &&str| Scope::find(level, id);
                ids.iter()
                    .filter_map(named)
                    .any(|scope| scope.covers(row.scope))
            };
            token.covers(row.scope)
                && accounts.as_ref().is_none_or(|ids| within("account", ids))
                && sites.as_ref().is_none_or(|ids| within("site", ids))
        };
        let wanted: Map<String, Json> = ask
            .query
            .iter()
            .filter(|(key, _)| !PARAMETERS.contains(&key.as_str()))
            .map(|(key, value)| {
                let list = || Json::from(value.split(',').collect::<Vec<_>>());
                let plural = matches!(key.as_str(), "source" | "uuids" | "category__in");
                (key.clone(), if plural { list() } else { json!(value) })
            })
            .collect();
        let rewritten = call.positions.is("spelling", "rewritten");
        let matching: Vec<u64> = self
            .rows
            .values()
            .filter(visible)
            .filter(|row| matches(row, &wanted))
            .map(|row| row.order)
            .collect();
        let render = |order: u64| self.rows.get(&order).map(|row| row.to_json(rewritten));
        let short = call.positions.is("page-length", "short");
        let narrowed = FILTERS.iter().any(|name| wanted.contains_key(*name));
        let uncounted = if narrowed { 0 } else { call.settings.others };
        cursors.page(ask, &matching, render, uncounted, short)
    }

    pub(super) fn create(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Threat Intelligence.manage")?;
        let body = ask.object()?;
        let scopes = addressed(&body, "data", call)?;
        let Some(Json::Array(data)) = body.get("data") else {
            return Err(Reply::bad("data: Not a valid list."));
        };
        self.take(data, &scopes, call)
    }

    /// Imports a STIX bundle: what the console cannot use is left out without a word (item 25).
    pub(super) fn import(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Threat Intelligence.manage")?;
        if call.settings.old_console {
            return Err(Reply::missing());
        }
        let body = ask.object()?;
        let scopes = addressed(&body, "bundle", call)?;
        let objects = body.get("bundle").and_then(|bundle| bundle.get("objects"));
        let Some(Json::Array(objects)) = objects else {
            return Err(Reply::bad("bundle: Missing data for required field."));
        };
        let rows: Vec<Json> = objects.iter().filter_map(stix::row).collect();
        self.take(&rows, &scopes, call)
    }

    /// Stores rows in every scope, or none of them.
    fn take(&mut self, data: &[Json], scopes: &[Scope], call: &Call<'_>) -> Result<Reply, Reply> {
        let limit: usize = call.positions.get("batch-limit").parse().unwrap_or(500);
        if data.len() > limit {
            return Err(Reply::bad("data: Longer than maximum length."));
        }
        let mut accepted = Vec::new();
        for row in data {
            accepted.push(accept(row, call)?);
        }
        let mut room = BTreeMap::new();
        for scope in scopes {
            let held = self.rows.values().filter(|row| row.scope == *scope).count();
            room.insert(scope.name(), held + accepted.len() + call.settings.others);
        }
        if room.values().any(|count| *count > self.capacity) {
            return Err(Reply::bad(
                "The number of indicators in this scope is exceeded.",
            ));
        }
        let batch = identifier(("batch", self.made, call.now));
        let mut stored = Vec::new();
        for scope in scopes {
            for (fields, end) in &accepted {
                stored.push(self.store(*scope, fields.clone(), *end, &batch, call));
            }
        }
        let rewritten = call.positions.is("spelling", "rewritten");
        stored.reverse();
        let rows = stored.iter().filter_map(|order| self.rows.get(order));
        Ok(Reply::data(
            rows.map(|row| row.to_json(rewritten)).collect(),
        ))
    }

    /// A new row, or what posting a known one again means here.
    fn store(
        &mut self,
        scope: Scope,
        fields: Map<String, Json>,
        end: DateTime<Utc>,
        batch: &str,
        call: &Call<'_>,
    ) -> u64 {
        let again = call.positions.get("post-again");
        let known = self.by_key.get(&key(scope, &fields)).copied();
        if again != "second-row"
            && let Some(row) = known.and_then(|order| self.rows.get_mut(&order))
        {
            row.fields = fields;
            row.end = end;
            row.updated = call.now;
            if call.positions.is("upload-date", "kept") {
                let (_, longest) = life(row.text("type"));
                row.end = end.min(row.upload + TimeDelta::days(longest));
            } else {
                row.upload = call.now;
            }
            batch.clone_into(&mut row.batch);
            call.user.clone_into(&mut row.creator);
            if again == "new-uuid" {
                row.uuid = identifier(("again", row.order, batch));
            }
            return row.order;
        }
        self.insert(scope, call.user, call.now, end, fields, batch)
    }

    pub(super) fn delete(&mut self, ask: &Ask<'_>, call: &Call<'_>) -> Result<Reply, Reply> {
        call.settings.may("Threat Intelligence.manage")?;
        let body = ask.object()?;
        let Some(filter) = body.get("filter").and_then(Json::as_object) else {
            return Err(Reply::bad("filter: Missing data for required field."));
        };
        let known = |key: &&String| {
            let key = key.as_str();
            FILTERS.contains(&key)
                || TIMES.contains(&key)
                || ["accountIds", "tenant"].contains(&key)
        };
        if let Some(key) = filter.keys().find(|key| !known(key)) {
            return Err(Reply::bad(format!("{key}: Unknown field.")));
        }
        let scopes = scope::named(filter, call.settings.token_scope)?;
        let narrowed = filter
            .keys()
            .any(|key| FILTERS.contains(&key.as_str()) || TIMES.contains(&key.as_str()));
        if scopes.is_empty() || !narrowed {
            return Err(Reply::bad(
                "The filter must have the account and at least one other field.",
            ));
        }
        if let Some(uuids) = filter.get("uuids") {
            let texts = uuids
                .as_array()
                .filter(|list| list.iter().all(Json::is_string));
            let Some(texts) = texts else {
                return Err(Reply::bad("uuids: Not a valid list."));
            };
            if texts.len() > MOST_UUIDS {
                return Err(Reply::bad("uuids: Longer than maximum length 5000."));
            }
        }
        let before = self.rows.len();
        self.rows.retain(|_, row| {
            let inside = scopes.iter().any(|scope| scope.covers(row.scope));
            !(inside && matches(row, filter))
        });
        Ok(Reply::data(json!({ "affected": before - self.rows.len() })))
    }

    /// Whether an endpoint would match a value now: activation takes its time (item 38).
    pub(super) fn is_active(&self, kind: &str, value: &str, call: &Call<'_>) -> bool {
        let delay = TimeDelta::seconds(call.settings.activation_delay);
        self.rows.values().any(|row| {
            row.text("type") == kind
                && row.text("value") == value
                && row.upload + delay <= call.now
                && row.end > call.now
        })
    }
}

/// The scopes that a body of `filter` and one other field is for.
fn addressed(
    body: &Map<String, Json>,
    content: &str,
    call: &Call<'_>,
) -> Result<Vec<Scope>, Reply> {
    if let Some(key) = body
        .keys()
        .find(|key| ![content, "filter"].contains(&key.as_str()))
    {
        return Err(Reply::bad(format!("{key}: Unknown field.")));
    }
    let empty = Map::new();
    let filter = body
        .get("filter")
        .and_then(Json::as_object)
        .unwrap_or(&empty);
    let scopes = scope::named(filter, call.settings.token_scope)?;
    if scopes.is_empty() {
        return Err(Reply::internal());
    }
    Ok(scopes)
}

/// One row of a create: its fields, and its end as the console sets it.
fn accept(row: &Json, call: &Call<'_>) -> Result<(Map<String, Json>, DateTime<Utc>), Reply> {
    let Some(row) = row.as_object() else {
        return Err(Reply::bad("data: Not a valid object."));
    };
    if let Some(key) = row.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(Reply::bad(format!("{key}: Unknown field.")));
    }
    for name in ["source", "type", "value", "method"] {
        if row
            .get(name)
            .and_then(Json::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Reply::bad(format!(
                "{name}: Missing data for required field."
            )));
        }
    }
    let text = |name: &str| row.get(name).and_then(Json::as_str).unwrap_or_default();
    if !TYPES.contains(&text("type")) {
        return Err(Reply::bad(format!(
            "type: {:?} is not a valid choice.",
            text("type")
        )));
    }
    if text("method") != "EQUALS" {
        return Err(Reply::bad(format!(
            "method: {:?} is not a valid choice.",
            text("method")
        )));
    }
    for name in [
        "externalId",
        "name",
        "description",
        "pattern",
        "patternType",
        "metadata",
    ] {
        if row
            .get(name)
            .is_some_and(|value| !value.is_string() && !value.is_null())
        {
            return Err(Reply::bad(format!("{name}: Not a valid string.")));
        }
    }
    if row
        .get("severity")
        .is_some_and(|value| value.as_u64().is_none_or(|it| it > 7))
    {
        return Err(Reply::bad("severity: Must be between 0 and 7."));
    }
    let (default, longest) = life(text("type"));
    let asked = match row.get("validUntil") {
        None | Some(Json::Null) => call.now + TimeDelta::days(default),
        Some(value) => {
            read_time(value).ok_or_else(|| Reply::bad("validUntil: Not a valid datetime."))?
        }
    };
    if asked <= call.now && call.positions.is("past-end", "refused") {
        return Err(Reply::bad("validUntil: Must be in the future."));
    }
    let end = asked.min(call.now + TimeDelta::days(longest));
    let mut fields = row.clone();
    let kept: String = text("description")
        .chars()
        .take(call.settings.description_limit)
        .collect();
    if row.contains_key("description") {
        fields.insert("description".to_owned(), json!(kept));
    }
    Ok((fields, end))
}
