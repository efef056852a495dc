//! The records of one customer: search as of now, soft delete, and the expiry engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value as Json, json};

use super::filter::Filter;

/// One indicator as Falcon keeps it. Empty texts and lists are left out of answers.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) value: String,
    pub(super) action: String,
    pub(super) mobile_action: String,
    pub(super) severity: String,
    pub(super) description: String,
    pub(super) source: String,
    pub(super) tags: Vec<String>,
    pub(super) platforms: Vec<String>,
    pub(super) host_groups: Vec<String>,
    pub(super) applied_globally: bool,
    pub(super) expiration: Option<DateTime<Utc>>,
    pub(super) expired: bool,
    pub(super) deleted: bool,
    pub(super) from_parent: bool,
    pub(super) filename: String,
    pub(super) created_on: DateTime<Utc>,
    pub(super) created_by: String,
    pub(super) modified_on: DateTime<Utc>,
    pub(super) modified_by: String,
}

/// A time with nine fractional digits.
pub(super) fn nanoseconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

impl Row {
    /// A record without anything in it but who made it when.
    pub(super) fn new(now: DateTime<Utc>, actor: &str) -> Self {
        Self {
            id: String::new(),
            kind: String::new(),
            value: String::new(),
            action: String::new(),
            mobile_action: String::new(),
            severity: String::new(),
            description: String::new(),
            source: String::new(),
            tags: Vec::new(),
            platforms: Vec::new(),
            host_groups: Vec::new(),
            applied_globally: false,
            expiration: None,
            expired: false,
            deleted: false,
            from_parent: false,
            filename: String::new(),
            created_on: now,
            created_by: actor.to_owned(),
            modified_on: now,
            modified_by: actor.to_owned(),
        }
    }

    /// 10 to 50 in steps of 10, by severity; 0 without one.
    pub(super) fn severity_number(&self) -> u32 {
        let order = ["", "informational", "low", "medium", "high", "critical"];
        let at = order
            .iter()
            .position(|name| *name == self.severity)
            .unwrap_or(0);
        u32::try_from(at).unwrap_or(0) * 10
    }

    /// Whether a sensor blocks or reports it.
    pub(super) fn acts(&self, now: DateTime<Utc>) -> bool {
        let acting = |action: &str| matches!(action, "detect" | "prevent" | "prevent_no_ui");
        let ended = self.expired || self.expiration.is_some_and(|end| end <= now);
        !self.deleted && !ended && (acting(&self.action) || acting(&self.mobile_action))
    }

    /// As answers show it: fields that are not set are absent, and for SHA-256 there is metadata that
    /// nobody sent.
    pub(super) fn to_json(&self) -> Json {
        let mut object = Map::new();
        let texts = [
            ("id", &self.id),
            ("type", &self.kind),
            ("value", &self.value),
            ("source", &self.source),
            ("action", &self.action),
            ("mobile_action", &self.mobile_action),
            ("severity", &self.severity),
            ("description", &self.description),
        ];
        for (name, text) in texts {
            if !text.is_empty() {
                object.insert(name.to_owned(), json!(text));
            }
        }
        if self.kind == "sha256" {
            object.insert(
                "metadata".to_owned(),
                json!({ "filename": self.filename, "signed": false, "av_hits": -1 }),
            );
        } else if !self.filename.is_empty() {
            object.insert("metadata".to_owned(), json!({ "filename": self.filename }));
        }
        let lists = [
            ("tags", &self.tags),
            ("platforms", &self.platforms),
            ("host_groups", &self.host_groups),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                object.insert(name.to_owned(), json!(list));
            }
        }
        if let Some(end) = self.expiration {
            object.insert(
                "expiration".to_owned(),
                json!(end.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            );
        }
        if self.from_parent {
            object.insert("parent_cid_name".to_owned(), json!("Parent"));
        }
        let rest = [
            ("expired", json!(self.expired)),
            ("deleted", json!(self.deleted)),
            ("applied_globally", json!(self.applied_globally)),
            ("from_parent", json!(self.from_parent)),
            ("created_on", json!(nanoseconds(self.created_on))),
            ("created_by", json!(self.created_by)),
            ("modified_on", json!(nanoseconds(self.modified_on))),
            ("modified_by", json!(self.modified_by)),
        ];
        object.extend(rest.map(|(name, value)| (name.to_owned(), value)));
        Json::Object(object)
    }

    /// What it is sorted by; ties are broken by id.
    fn sort_key(&self, field: &str) -> Option<String> {
        Some(match field {
            "action" => self.action.clone(),
            "applied_globally" => self.applied_globally.to_string(),
            "created_by" => self.created_by.clone(),
            "created_on" => nanoseconds(self.created_on),
            "expiration" => self.expiration.map(nanoseconds).unwrap_or_default(),
            "expired" => self.expired.to_string(),
            "metadata.filename.raw" => self.filename.clone(),
            "modified_by" => self.modified_by.clone(),
            "modified_on" => nanoseconds(self.modified_on),
            "severity_number" => format!("{:03}", self.severity_number()),
            "source" => self.source.clone(),
            "type" => self.kind.clone(),
            "value" => self.value.clone(),
            _ => return None,
        })
    }
}

/// What a search still shows of a record that was written a moment ago.
#[derive(Debug)]
struct Stale {
    until: DateTime<Utc>,
    /// `None`: the record did not exist.
    row: Option<Row>,
}

/// Sort key and id of a hit.
pub(super) type Hit = (String, String);

/// One customer's records.
#[derive(Debug, Default)]
pub(super) struct Records {
    rows: BTreeMap<String, Row>,
    /// Live ids by type and value; more than one only where duplicates make second records.
    live: HashMap<(String, String), Vec<String>>,
    stale: HashMap<String, Stale>,
    ends: BTreeSet<(DateTime<Utc>, String)>,
    version: u64,
    created: u64,
    found: Option<(u64, String, Vec<Hit>)>,
}

impl Records {
    /// A record, deleted ones included.
    pub(super) fn get(&self, id: &str) -> Option<&Row> {
        self.rows.get(id)
    }

    /// Every record, deleted ones included, in order of id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// How many records there are: live, and in all.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.live.values().map(Vec::len).sum(), self.rows.len())
    }

    /// The first live record of a type and value.
    pub(super) fn find(&self, kind: &str, value: &str) -> Option<&Row> {
        let ids = self.live.get(&(kind.to_owned(), value.to_owned()))?;
        self.rows.get(ids.first()?)
    }

    /// Adds a record and returns its id.
    pub(super) fn insert(&mut self, mut row: Row, lag: TimeDelta) -> String {
        self.created += 1;
        let mut id = String::with_capacity(64);
        for part in 0..4u8 {
            let mut hasher = DefaultHasher::new();
            (self.created, part, &row.kind, &row.value).hash(&mut hasher);
            id.push_str(&format!("{:016x}", hasher.finish()));
        }
        row.id.clone_from(&id);
        // One nanosecond apart, so that the order of creation is the order of `created_on`.
        row.created_on +=
            TimeDelta::nanoseconds(i64::try_from(self.created % 1_000_000).unwrap_or(0));
        let now = row.modified_on;
        self.index(&row);
        self.rows.insert(id.clone(), row);
        self.lag(&id, None, now + lag, lag);
        id
    }

    /// Changes a record.
    pub(super) fn modify(
        &mut self,
        id: &str,
        now: DateTime<Utc>,
        lag: TimeDelta,
        change: impl FnOnce(&mut Row),
    ) {
        let Some(mut row) = self.rows.remove(id) else {
            return;
        };
        let before = row.clone();
        self.unindex(&before);
        change(&mut row);
        self.index(&row);
        self.rows.insert(id.to_owned(), row);
        self.lag(id, Some(before), now + lag, lag);
    }

    fn lag(&mut self, id: &str, before: Option<Row>, until: DateTime<Utc>, lag: TimeDelta) {
        self.version += 1;
        if lag > TimeDelta::zero() {
            self.stale
                .entry(id.to_owned())
                .or_insert(Stale { until, row: before })
                .until = until;
        }
    }

    fn index(&mut self, row: &Row) {
        if !row.deleted {
            self.live
                .entry((row.kind.clone(), row.value.clone()))
                .or_default()
                .push(row.id.clone());
            if let Some(end) = row.expiration.filter(|_| !row.expired) {
                self.ends.insert((end, row.id.clone()));
            }
        }
    }

    fn unindex(&mut self, row: &Row) {
        let key = (row.kind.clone(), row.value.clone());
        if let Some(ids) = self.live.get_mut(&key) {
            ids.retain(|id| *id != row.id);
            if ids.is_empty() {
                self.live.remove(&key);
            }
        }
        if let Some(end) = row.expiration {
            self.ends.remove(&(end, row.id.clone()));
        }
    }

    /// The expiry engine: what ended at least `delay` ago is disarmed, and nothing else of it changes.
    pub(super) fn tick(&mut self, now: DateTime<Utc>, delay: TimeDelta) {
        while let Some((end, id)) = self.ends.first().cloned() {
            if end + delay > now {
                break;
            }
            self.ends.pop_first();
            if let Some(row) = self.rows.get_mut(&id) {
                row.expired = true;
                "no_action".clone_into(&mut row.action);
                if !row.mobile_action.is_empty() {
                    "no_action".clone_into(&mut row.mobile_action);
                }
                self.version += 1;
            }
        }
        let settled = self.stale.len();
        self.stale.retain(|_, stale| stale.until > now);
        if self.stale.len() != settled {
            self.version += 1;
        }
    }

    /// All hits in order. `key` stands for the filter's text and the parent selection.
    pub(super) fn search(
        &mut self,
        key: &str,
        filter: &Filter,
        inherited: Option<bool>,
        sort: &str,
    ) -> Result<&[Hit], String> {
        let name = format!("{key}\n{sort}");
        let fresh = self
            .found
            .as_ref()
            .is_some_and(|(version, known, _)| *version == self.version && *known == name);
        if !fresh {
            let (field, descending) = direction(sort);
            let mut hits = Vec::new();
            for row in self.rows.values() {
                let shown = match self.stale.get(&row.id) {
                    Some(stale) => stale.row.as_ref(),
                    None => Some(row),
                };
                let Some(shown) = shown else { continue };
                let sort_key = shown
                    .sort_key(field)
                    .ok_or_else(|| format!("invalid sort field {field}"))?;
                let hidden = shown.deleted && !filter.mentions_deleted;
                let wanted = inherited.is_none_or(|inherited| shown.from_parent == inherited);
                if !hidden && wanted && filter.matches(shown) {
                    hits.push((sort_key, row.id.clone()));
                }
            }
            hits.sort_unstable();
            if descending {
                hits.reverse();
            }
            self.found = Some((self.version, name, hits));
        }
        Ok(self.found.as_ref().map_or(&[], |(_, _, hits)| hits))
    }

    /// What a search shows of a record now.
    pub(super) fn shown(&self, id: &str) -> Option<&Row> {
        match self.stale.get(id) {
            Some(stale) => stale.row.as_ref(),
            None => self.rows.get(id),
        }
    }
}

/// Field and whether it is descending, from `field.desc`, `field|desc` or `field`.
pub(super) fn direction(sort: &str) -> (&str, bool) {
    for (suffix, descending) in [
        (".desc", true),
        ("|desc", true),
        (".asc", false),
        ("|asc", false),
    ] {
        if let Some(field) = sort.strip_suffix(suffix) {
            return (field, descending);
        }
    }
    (sort, false)
}
