//! The IOC rules. They alert and stop nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::fake::FakeEntry;
use sdk::indicator::{Kind, Value};
use serde_json::{Map, Value as Json, json};

use super::{Reply, bad, error, fields};

/// Entries on one page.
const PAGE: u64 = 100;
/// Days that an IOC lives whose `expiration_date` is null.
const DEFAULT_DAYS: i64 = 30;
const WRITABLE: [&str; 9] = [
    "indicator",
    "type",
    "severity",
    "expiration_date",
    "comment",
    "reputation",
    "reliability",
    "vendors",
    "class",
];

/// All rules of a tenant.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) rules: BTreeMap<u64, Rule>,
    pub(super) last: u64,
    pub(super) counts_all: bool,
    pub(super) inclusive: bool,
    pub(super) newest_first: bool,
    pub(super) keeps: bool,
    pub(super) disabled_exists: bool,
    pub(super) never: String,
    pub(super) most: usize,
    pub(super) comments: String,
}

pub(super) struct Rule {
    /// As they were written, without `expiration_date`.
    fields: Map<String, Json>,
    /// Epoch milliseconds.
    end: Option<i64>,
    by_default: bool,
    enabled: bool,
    by_hand: bool,
}

impl Rule {
    fn text(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
    }
}

impl Rules {
    /// An IOC that is there from the start, as the tenant lists it.
    pub(super) fn seed(&mut self, mut listed: Map<String, Json>) {
        let end = listed
            .remove("expiration_date")
            .and_then(|end| end.as_i64())
            .filter(|end| *end >= 0);
        let status = listed.remove("status");
        self.put(Rule {
            end,
            by_default: listed.remove("default_expiration_enabled") == Some(json!(true)),
            enabled: status != Some(json!("DISABLED")),
            by_hand: true,
            fields: listed,
        });
    }

    fn put(&mut self, rule: Rule) {
        self.last += 1;
        self.rules.insert(self.last, rule);
    }

    /// Conformance 74: at its end a rule is gone.
    fn sweep(&mut self, now: DateTime<Utc>) {
        let now = now.timestamp_millis();
        self.rules
            .retain(|_, rule| rule.end.is_none_or(|end| end > now));
    }

    fn find(&self, indicator: &str) -> Option<u64> {
        self.rules
            .iter()
            .find(|(_, rule)| rule.text("indicator") == indicator)
            .map(|(id, _)| *id)
    }

    /// Conformance 72, 73, 76.
    pub(super) fn insert(&mut self, body: &Map<String, Json>, now: DateTime<Utc>) -> Reply {
        self.sweep(now);
        let body = match fields(body, &["request_data", "validate"]) {
            Ok(body) => body,
            Err(refusal) => return refusal,
        };
        let validate = match body.get("validate") {
            None => false,
            Some(Json::Bool(validate)) => *validate,
            Some(_) => return bad("validate is not a boolean"),
        };
        let Some(items) = body.get("request_data").and_then(Json::as_array) else {
            return bad("request_data is not an array");
        };
        if items.len() > self.most {
            return error(
                413,
                "Request entity too large",
                Some(json!({ "most": self.most })),
            );
        }
        let mut errors = Vec::new();
        for item in items {
            if let Err(why) = self.insert_one(item, now) {
                errors.push(json!({ "indicator": item["indicator"], "error": why }));
            }
        }
        self.sweep(now);
        if validate {
            let reply = json!({ "success": true, "validation_errors": errors });
            (200, json!({ "reply": reply }))
        } else {
            (200, json!({ "reply": true }))
        }
    }

    fn insert_one(&mut self, item: &Json, now: DateTime<Utc>) -> Result<(), String> {
        let Some(item) = item.as_object() else {
            return Err("not an object".to_owned());
        };
        if let Some(key) = item.keys().find(|key| !WRITABLE.contains(&key.as_str())) {
            return Err(format!("Got also the field: {key}"));
        }
        let text = |name: &str| item.get(name).and_then(Json::as_str);
        let indicator = text("indicator").ok_or("indicator is missing")?;
        let sort = text("type").ok_or("type is missing")?;
        if !matches(sort, indicator) {
            return Err(format!("Got type: {sort}, Indicator: {indicator} mismatch"));
        }
        one_of(
            item,
            "severity",
            &["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"],
            true,
        )?;
        one_of(
            item,
            "reputation",
            &["GOOD", "BAD", "SUSPICIOUS", "UNKNOWN"],
            false,
        )?;
        one_of(item, "reliability", &["A", "B", "C", "D", "E", "F"], false)?;
        if item
            .get("comment")
            .is_some_and(|comment| !comment.is_string())
        {
            return Err("comment is not a string".to_owned());
        }
        if let Some(class) = item.get("class")
            && class
                .as_str()
                .is_none_or(|class| class.chars().count() > 36)
        {
            return Err("class is longer than 36 characters".to_owned());
        }
        let default = || (now + TimeDelta::days(DEFAULT_DAYS)).timestamp_millis();
        let (end, by_default) = match item.get("expiration_date") {
            None | Some(Json::Null) => (Some(default()), true),
            Some(Json::String(word)) if self.never == "Never" && word == "Never" => (None, false),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(-1) if self.never == "-1" => (None, false),
                Some(end) if end >= 0 => (Some(end), false),
                _ => return Err(format!("Invalid expiration_date: {number}")),
            },
            Some(other) => return Err(format!("Invalid expiration_date: {other}")),
        };
        let mut written = item.clone();
        written.remove("expiration_date");
        match self.find(indicator) {
            None => self.put(Rule {
                fields: written,
                end,
                by_default,
                enabled: true,
                by_hand: false,
            }),
            Some(id) => {
                let (keeps, exists) = (self.keeps, self.disabled_exists);
                let Some(rule) = self.rules.get_mut(&id) else {
                    return Ok(());
                };
                if !rule.enabled && exists {
                    return Err("Indicator already exists".to_owned());
                }
                if keeps {
                    rule.fields.extend(written);
                } else {
                    rule.fields = written;
                }
                rule.end = end;
                rule.by_default = by_default;
            }
        }
        Ok(())
    }

    fn listed(&self, id: u64, rule: &Rule) -> Json {
        let mut row = rule.fields.clone();
        row.insert("rule_id".to_owned(), json!(id));
        // Written `HIGH`, listed `SEV_040_HIGH`.
        let severity = match rule.text("severity") {
            "INFO" => "SEV_010_INFO",
            "LOW" => "SEV_020_LOW",
            "MEDIUM" => "SEV_030_MEDIUM",
            "CRITICAL" => "SEV_050_CRITICAL",
            _ => "SEV_040_HIGH",
        };
        row.insert("severity".to_owned(), json!(severity));
        let end = match (rule.end, self.never.as_str()) {
            (Some(end), _) => json!(end),
            (None, "Never") => json!("Never"),
            (None, _) => json!(-1),
        };
        row.insert("expiration_date".to_owned(), end);
        row.insert(
            "default_expiration_enabled".to_owned(),
            json!(rule.by_default),
        );
        let status = if rule.enabled { "ENABLED" } else { "DISABLED" };
        row.insert("status".to_owned(), json!(status));
        for field in ["reputation", "reliability"] {
            row.entry(field).or_insert(Json::Null);
        }
        let is_written = !rule.text("comment").is_empty();
        match self.comments.as_str() {
            "none" => drop(row.remove("comment")),
            "written" if !is_written => drop(row.remove("comment")),
            _ => drop(row.entry("comment").or_insert(json!(""))),
        }
        row.insert("number_of_issues".to_owned(), json!(0));
        Json::Object(row)
    }

    pub(super) fn get(&mut self, body: &Map<String, Json>, now: DateTime<Utc>) -> Reply {
        self.sweep(now);
        let read = || -> Result<(Vec<u64>, u64, u64), Reply> {
            let data = data(
                body,
                &["filters", "extended_view", "search_from", "search_to"],
            )?;
            let place = |name: &str, default: u64| match data.get(name) {
                None => Ok(default),
                Some(place) => place
                    .as_u64()
                    .ok_or_else(|| bad(&format!("{name} is not an integer"))),
            };
            if data
                .get("extended_view")
                .is_some_and(|view| !view.is_boolean())
            {
                return Err(bad("extended_view is not a boolean"));
            }
            let from = place("search_from", 0)?;
            let to = place("search_to", from + PAGE)?;
            if to < from {
                return Err(bad("search_to is before search_from"));
            }
            Ok((self.filtered(data.get("filters"), true)?, from, to))
        };
        let (mut ids, from, to) = match read() {
            Ok(read) => read,
            Err(refusal) => return refusal,
        };
        if self.newest_first {
            ids.reverse();
        }
        let most = to - from + u64::from(self.inclusive);
        let most = most.min(PAGE + u64::from(self.inclusive));
        let page: Vec<Json> = ids
            .iter()
            .skip(usize::try_from(from).unwrap_or(usize::MAX))
            .take(usize::try_from(most).unwrap_or(usize::MAX))
            .filter_map(|id| Some(self.listed(*id, self.rules.get(id)?)))
            .collect();
        let count = if self.counts_all {
            ids.len()
        } else {
            page.len()
        };
        (
            200,
            json!({ "objects_count": count, "objects_type": "indicator", "objects": page }),
        )
    }

    /// Takes away all that matches. No filter matches everything.
    pub(super) fn delete(&mut self, body: &Map<String, Json>, now: DateTime<Utc>) -> Reply {
        self.sweep(now);
        let ids = match data(body, &["filters"])
            .and_then(|data| self.filtered(data.get("filters"), false))
        {
            Ok(ids) => ids,
            Err(refusal) => return refusal,
        };
        for id in &ids {
            self.rules.remove(id);
        }
        (200, json!({ "objects_count": ids.len(), "objects": ids }))
    }

    /// The rules that every filter lets through. Whether `IN` deletes is not documented: here it does not.
    fn filtered(&self, filters: Option<&Json>, many: bool) -> Result<Vec<u64>, Reply> {
        let none = Vec::new();
        let filters = match filters {
            None => &none,
            Some(Json::Array(filters)) => filters,
            Some(_) => return Err(bad("filters is not an array")),
        };
        let mut ids: Vec<u64> = self.rules.keys().copied().collect();
        for filter in filters {
            let field = filter["field"].as_str().unwrap_or_default();
            let wanted: Vec<&Json> = match (filter["operator"].as_str(), &filter["value"]) {
                (Some("IN"), Json::Array(values)) if many => values.iter().collect(),
                (Some("EQ"), value) if !value.is_array() => vec![value],
                _ => return Err(bad("operator and value do not fit")),
            };
            ids.retain(|id| {
                let rule = &self.rules[id];
                wanted.iter().any(|value| match field {
                    "indicator" => value.as_str() == Some(rule.text("indicator")),
                    "rule_id" => value.as_u64() == Some(*id),
                    _ => false,
                })
            });
            if !matches!(field, "indicator" | "rule_id") {
                return Err(bad(&format!("no filter for {field}")));
            }
        }
        Ok(ids)
    }

    pub(super) fn entries(&mut self, now: DateTime<Utc>) -> Vec<FakeEntry> {
        self.sweep(now);
        self.rules
            .values()
            .filter(|rule| rule.enabled)
            .filter_map(|rule| {
                let indicator = rule.text("indicator");
                let kinds: &[Kind] = match rule.text("type") {
                    "IP" => &[Kind::Ipv4, Kind::Ipv6],
                    "DOMAIN_NAME" => &[Kind::Domain],
                    "HASH" if indicator.len() == 32 => &[Kind::Md5],
                    "HASH" => &[Kind::Sha256],
                    _ => &[],
                };
                let value = kinds
                    .iter()
                    .find_map(|kind| Value::parse(*kind, indicator).ok())?;
                let words = ["comment", "severity", "reputation", "reliability", "class"]
                    .map(|name| rule.text(name));
                Some(FakeEntry {
                    value,
                    foreign: rule.by_hand,
                    text: format!("{} until {:?}", words.join(" "), rule.end),
                })
            })
            .collect()
    }

    pub(super) fn add_by_hand(&mut self, kind: Kind, indicator: &str, now: DateTime<Utc>) -> bool {
        self.sweep(now);
        if self.find(indicator).is_some() {
            return false;
        }
        let sort = match kind {
            Kind::Ipv4 | Kind::Ipv6 => "IP",
            Kind::Domain => "DOMAIN_NAME",
            _ => "HASH",
        };
        let made = json!({ "indicator": indicator, "type": sort, "severity": "LOW", "comment": "made in the console",
            "reputation": "SUSPICIOUS", "reliability": "C" });
        let Json::Object(fields) = made else {
            return false;
        };
        self.put(Rule {
            fields,
            end: None,
            by_default: false,
            enabled: true,
            by_hand: true,
        });
        true
    }

    pub(super) fn remove_by_hand(&mut self, indicator: &str) -> bool {
        self.find(indicator)
            .is_some_and(|id| self.rules.remove(&id).is_some())
    }
}

fn data<'a>(body: &'a Map<String, Json>, known: &[&str]) -> Result<&'a Map<String, Json>, Reply> {
    let body = fields(body, &["request_data"])?;
    let data = body
        .get("request_data")
        .and_then(Json::as_object)
        .ok_or_else(|| bad("request_data is missing"))?;
    fields(data, known)
}

fn one_of(
    item: &Map<String, Json>,
    name: &str,
    known: &[&str],
    required: bool,
) -> Result<(), String> {
    match item.get(name) {
        None if required => Err(format!("{name} is missing")),
        None => Ok(()),
        Some(Json::String(word)) if known.contains(&word.as_str()) => Ok(()),
        Some(other) => Err(format!("Invalid {name}: {other}")),
    }
}

/// Conformance 73: hashes are MD5 or SHA-256, and there is no type for URLs.
fn matches(sort: &str, indicator: &str) -> bool {
    match sort {
        "HASH" => {
            matches!(indicator.len(), 32 | 64) && indicator.bytes().all(|it| it.is_ascii_hexdigit())
        }
        "IP" => indicator.parse::<IpAddr>().is_ok(),
        "DOMAIN_NAME" => {
            indicator.contains('.')
                && indicator.parse::<IpAddr>().is_err()
                && indicator
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it))
        }
        "PATH" | "FILENAME" => !indicator.is_empty(),
        _ => false,
    }
}
