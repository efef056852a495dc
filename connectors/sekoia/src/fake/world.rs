//! What the community holds.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value as Json, json};

/// An indicator of a collection or feed.
#[derive(Clone, Debug)]
pub struct Row {
    /// `indicator--<uuid>`.
    pub id: String,
    /// Its name: the raw value in own collections.
    pub name: String,
    /// Its pattern.
    pub pattern: String,
    /// Observable types: `ipv4-addr`, `file`.
    pub types: Vec<&'static str>,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// When it was changed last.
    pub modified: DateTime<Utc>,
    /// Its start.
    pub valid_from: DateTime<Utc>,
    /// Its end.
    pub valid_until: Option<DateTime<Utc>>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Its description.
    pub description: Option<String>,
    /// The order among objects of one time.
    pub(super) number: u64,
}

impl Row {
    /// An indicator that is one value, valid from now on without end.
    pub fn new(value: &str, now: DateTime<Utc>) -> Self {
        let (pattern, kind) = pattern_of(value).unwrap_or_else(|| (String::new(), "x-unknown"));
        Self {
            id: String::new(),
            name: value.to_owned(),
            pattern,
            types: vec![kind],
            created: now,
            modified: now,
            valid_from: now,
            valid_until: None,
            revoked: false,
            description: None,
            number: 0,
        }
    }

    /// With a pattern of its own.
    #[must_use]
    pub fn pattern(mut self, pattern: &str) -> Self {
        pattern.clone_into(&mut self.pattern);
        self
    }

    /// With an end.
    #[must_use]
    pub fn until(mut self, until: DateTime<Utc>) -> Self {
        self.valid_until = Some(until);
        self
    }

    /// With a start.
    #[must_use]
    pub fn from(mut self, from: DateTime<Utc>) -> Self {
        self.valid_from = from;
        self
    }

    /// Revoked.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        self.revoked = true;
        self
    }

    /// Changed at this time.
    #[must_use]
    pub fn modified(mut self, modified: DateTime<Utc>) -> Self {
        self.modified = modified;
        self
    }

    pub(super) fn is_expired(&self, now: DateTime<Utc>, bound: bool) -> bool {
        self.valid_until
            .is_some_and(|until| until < now || (bound && until == now))
    }

    pub(super) fn object(&self, collection: &str) -> Json {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut object = json!({
            "type": "indicator",
            "spec_version": "2.1",
            "id": self.id,
            "created": time(self.created),
            "modified": time(self.modified),
            "revoked": self.revoked,
            "lang": "en",
            "name": self.name,
            "pattern": self.pattern,
            "pattern_type": "stix",
            "valid_from": time(self.valid_from),
            "x_ic_observable_types": self.types,
            "x_ic_collection_ref": collection,
            "x_ic_is_in_flint": false,
            "x_ic_deprecated": false,
        });
        if let Some(until) = self.valid_until {
            object["valid_until"] = json!(time(until));
        }
        if let Some(description) = &self.description {
            object["description"] = json!(description);
        }
        object
    }
}

/// A collection or feed.
#[derive(Clone, Debug)]
pub(super) struct Collection {
    pub(super) id: String,
    pub(super) name: String,
    /// In the order of the last change; see [`Collection::ordered`].
    pub(super) rows: Vec<Row>,
    pub(super) unordered: bool,
}

impl Collection {
    /// Its rows, the oldest change first.
    pub(super) fn ordered(&mut self) -> &[Row] {
        if self.unordered {
            self.rows.sort_by_key(|row| (row.modified, row.number));
            self.unordered = false;
        }
        &self.rows
    }
}

/// An event of an alert.
#[derive(Clone, Debug)]
pub struct Event {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its fields.
    pub fields: Vec<(String, Json)>,
}

/// An alert.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Its uuid.
    pub uuid: String,
    /// Its short id.
    pub short_id: String,
    /// Its events, in order.
    pub events: Vec<Event>,
}

impl Alert {
    pub(super) fn object(&self) -> Json {
        let time = |event: Option<&Event>| {
            event.map(|event| event.at.to_rfc3339_opts(SecondsFormat::Micros, true))
        };
        json!({
            "uuid": self.uuid,
            "short_id": self.short_id,
            "title": "Connections to a known command and control server",
            "first_seen_at": time(self.events.first()),
            "last_seen_at": time(self.events.last()),
            "status": { "name": "Pending" },
        })
    }
}

/// A search among events.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) uuid: String,
    /// How often its status was asked for.
    pub(super) asked: usize,
    pub(super) fields: Vec<Json>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) collections: Vec<Collection>,
    pub(super) alerts: Vec<Alert>,
    pub(super) jobs: Vec<Job>,
    pub(super) capacity: usize,
    pub(super) key_is_dead: bool,
    /// Start of the minute and calls in it.
    pub(super) minute: (i64, usize),
    pub(super) number: u64,
}

impl World {
    pub(super) fn collection(&mut self, id: &str) -> Option<&mut Collection> {
        self.collections.iter_mut().find(|it| it.id == id)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A uuid that no other thing here has.
    pub(super) fn uuid(&mut self) -> String {
        let number = u128::from(self.next());
        let version = 0x4000_u128 << 64;
        let variant = 0x8000_u128 << 48;
        uuid::Uuid::from_u128((0x00f0_0d00_u128 << 96) | version | variant | number).to_string()
    }

    /// Puts a row in; gives its id.
    pub(super) fn insert(&mut self, collection: &str, mut row: Row) -> String {
        row.number = self.next();
        if row.id.is_empty() {
            row.id = format!("indicator--{}", self.uuid());
        }
        let id = row.id.clone();
        if let Some(collection) = self.collection(collection) {
            collection.unordered |= collection
                .rows
                .last()
                .is_some_and(|last| last.modified > row.modified);
            collection.rows.push(row);
        }
        id
    }

    /// Changes a row, which becomes the newest where `moves`.
    pub(super) fn change(
        &mut self,
        collection: &str,
        id: &str,
        now: Option<DateTime<Utc>>,
        change: impl FnOnce(&mut Row),
    ) -> bool {
        let number = self.next();
        let Some(collection) = self.collection(collection) else {
            return false;
        };
        let Some(row) = collection.rows.iter_mut().find(|row| row.id == id) else {
            return false;
        };
        change(row);
        if let Some(now) = now {
            row.modified = now;
            row.number = number;
            collection.unordered = true;
        }
        true
    }
}

/// The pattern and observable type of a raw value; `None` where it is none that is taken.
pub(super) fn pattern_of(value: &str) -> Option<(String, &'static str)> {
    let quoted = value.replace('\\', "\\\\").replace('\'', "\\'");
    let of = |path: &str, kind| Some((format!("[{path} = '{quoted}']"), kind));
    let hex = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.len() {
        32 if hex => return of("file:hashes.MD5", "file"),
        40 if hex => return of("file:hashes.'SHA-1'", "file"),
        64 if hex => return of("file:hashes.'SHA-256'", "file"),
        128 if hex => return of("file:hashes.'SHA-512'", "file"),
        _ => {}
    }
    if value.parse::<std::net::Ipv4Addr>().is_ok() {
        return of("ipv4-addr:value", "ipv4-addr");
    }
    if value.parse::<std::net::Ipv6Addr>().is_ok() {
        return of("ipv6-addr:value", "ipv6-addr");
    }
    if let Ok(url) = url::Url::parse(value)
        && url.has_host()
    {
        return of("url:value", "url");
    }
    let is_name = |text: &str| {
        text.contains('.')
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            })
            && text.ends_with(|last: char| last.is_ascii_alphabetic())
    };
    if let Some((local, domain)) = value.split_once('@')
        && !local.is_empty()
        && is_name(domain)
    {
        return of("email-addr:value", "email-addr");
    }
    is_name(value).then(|| of("domain-name:value", "domain-name"))?
}

/// Days in which a value ends if nobody says: documented for addresses, names and URLs.
pub(super) fn default_validity(kind: &str) -> Option<TimeDelta> {
    match kind {
        "ipv4-addr" | "ipv6-addr" => Some(TimeDelta::days(30)),
        "domain-name" | "url" => Some(TimeDelta::days(182)),
        _ => None,
    }
}
