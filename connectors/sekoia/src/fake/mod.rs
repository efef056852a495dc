//! A stateful Sekoia for trying things out: written from the documented and observed behaviour, sharing
//! nothing with the client. What is not known is a switch.
//!
//! Settings: `api_key`, `rights` (of `view-collections`, `manage-collections`, `read-objects`,
//! `view-alerts`, `view-intakes`), `calls_per_minute`, `retry_after` (whether a refused call is told when to
//! come back), `indicators` (so many more addresses in the first collection), `newest_first` (feeds set to
//! that order), `endless_search` (searches among events never end), `empty` (nothing there but the collections),
//! `page_cap` (the longest page of objects, over the switch of that name), `cursors` (whether a page names the
//! next one at all; a proxy may drop the header).

mod collections;
mod events;
mod objects;
mod reply;
mod seeds;
mod switches;
mod world;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use sdk::fake::{Fake, FakeEntry, FakeOptions, FakeState, Server, Switch};
use sdk::indicator::Value;
use sdk::{Clock, Result};
use serde_json::json;

use reply::Reply;
use switches::{Positions, SWITCHES};
use world::World;
pub use world::{Alert, Event, Row};

/// A collection that holds one of each.
pub const COLLECTION: &str = "ioc-collection--5e0a1c1a-0b6e-4a53-9a0c-1d1d7f0c2b11";

/// A collection that nothing is in.
pub const EMPTY_COLLECTION: &str = "ioc-collection--7b3f0d52-64c8-4f0e-8a67-2c9f4e8d3a22";

/// The feed of everything.
pub const FEED: &str = "d6092c37-d8d7-45c3-8aff-c4dc26030608";

/// An alert.
pub const ALERT: &str = "3f6c2a9e-52d1-4c35-b0a4-8c1e6d7f9b33";

/// The alert's short id.
pub const ALERT_SHORT_ID: &str = "ALJQ7KXnAmXC";

const API_KEY: &str = "FakeSekoiaApiKeyOfNoCommunity";

const RIGHTS: [&str; 5] = [
    "view-collections",
    "manage-collections",
    "read-objects",
    "view-alerts",
    "view-intakes",
];

/// Indicators of a community, documented.
const CAPACITY: usize = 500_000;

/// Starts the fake.
///
/// # Errors
/// An unknown switch, position or setting; a port that is taken.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    start_with(options).await.map(|(fake, _)| fake)
}

/// The same, with a handle on what it holds.
///
/// # Errors
/// As [`start`].
pub async fn start_with(options: FakeOptions) -> Result<(Fake, Arc<Sekoia>)> {
    options.check(
        SWITCHES,
        &[
            "api_key",
            "rights",
            "calls_per_minute",
            "retry_after",
            "indicators",
            "newest_first",
            "endless_search",
            "empty",
            "page_cap",
            "cursors",
        ],
    )?;
    let settings = Settings {
        api_key: options.setting("api_key", API_KEY.to_owned())?,
        rights: options.setting("rights", RIGHTS.map(str::to_owned).to_vec())?,
        calls_per_minute: options.setting("calls_per_minute", usize::MAX)?,
        retry_after: options.setting("retry_after", true)?,
        newest_first: options.setting("newest_first", false)?,
        endless_search: options.setting("endless_search", false)?,
        page_cap: options.setting("page_cap", None)?,
        cursors: options.setting("cursors", true)?,
    };
    let now = options.clock.now();
    let mut world = World {
        capacity: CAPACITY,
        ..World::default()
    };
    seeds::plant(&mut world, now);
    if options.setting("empty", false)? {
        for collection in &mut world.collections {
            collection.rows.clear();
        }
    }
    seeds::many(&mut world, options.setting("indicators", 0)?, now);
    let sekoia = Arc::new(Sekoia {
        clock: options.clock.clone(),
        world: Mutex::new(world),
        positions: Positions::new(options.switches),
        settings,
    });
    let router = Router::new()
        .fallback(handle)
        .with_state(Arc::clone(&sekoia));
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let mut configuration = json!({
        "base_url": server.url,
        "api_key": sekoia.settings.api_key,
    });
    if let Some(pem) = &server.ca_pem {
        configuration["ca_pem"] = json!(pem);
    }
    let fake = Fake {
        server,
        configuration,
        state: Arc::clone(&sekoia) as Arc<dyn FakeState>,
    };
    Ok((fake, sekoia))
}

struct Settings {
    api_key: String,
    rights: Vec<String>,
    calls_per_minute: usize,
    retry_after: bool,
    newest_first: bool,
    endless_search: bool,
    page_cap: Option<usize>,
    cursors: bool,
}

/// A running fake's community.
pub struct Sekoia {
    clock: Clock,
    world: Mutex<World>,
    positions: Positions,
    settings: Settings,
}

/// A request taken apart.
struct Ask<'a> {
    method: &'a str,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    body: &'a [u8],
}

impl Ask<'_> {
    fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_ref())
    }
}

async fn handle(
    State(sekoia): State<Arc<Sekoia>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let ask = Ask {
        method: method.as_str(),
        query: url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect(),
        body: &body,
    };
    let authorization = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    sekoia.answer(&ask, uri.path(), authorization).dress()
}

impl Sekoia {
    /// Puts an indicator into a collection or feed; gives its id.
    pub fn insert(&self, collection: &str, row: Row) -> String {
        self.world().insert(collection, row)
    }

    /// Somebody revokes every indicator of a collection with this name.
    pub fn revoke_named(&self, collection: &str, name: &str) -> usize {
        let now = self.clock.now();
        let moves = self.is("revoked-modified", "changes").then_some(now);
        let mut world = self.world();
        let ids: Vec<String> = world
            .collection(collection)
            .map(|it| {
                it.rows
                    .iter()
                    .filter(|row| row.name == name && !row.revoked)
            })
            .into_iter()
            .flatten()
            .map(|row| row.id.clone())
            .collect();
        for id in &ids {
            world.change(collection, id, moves, |row| row.revoked = true);
        }
        ids.len()
    }

    /// Deletes a collection.
    pub fn delete(&self, collection: &str) {
        self.world().collections.retain(|it| it.id != collection);
    }

    /// What a collection holds, the oldest change first.
    pub fn rows(&self, collection: &str) -> Vec<Row> {
        let mut world = self.world();
        world
            .collection(collection)
            .map_or_else(Vec::new, |it| it.ordered().to_vec())
    }

    /// Raises an alert.
    pub fn raise(&self, alert: Alert) {
        self.world().alerts.push(alert);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, switch: &str, position: &str) -> bool {
        self.positions.is(switch, position)
    }

    fn may(&self, right: &str) -> bool {
        self.settings.rights.iter().any(|it| it == right)
    }

    fn no_collection(&self) -> Reply {
        if self.is("unknown-collection", "bare") {
            Reply::error(404, "NOT_FOUND", "not found")
        } else {
            Reply::error(404, "INTHREAT2500", "the collection does not exist")
        }
    }

    fn answer(&self, ask: &Ask<'_>, path: &str, authorization: &str) -> Reply {
        let now = self.clock.now();
        let Some(path) = path.strip_prefix("/api/") else {
            return Reply::error(404, "NOT_FOUND", "no such page");
        };
        let segments: Vec<String> = path
            .split('/')
            .map(|segment| {
                url::form_urlencoded::parse(format!("x={}", segment.replace('+', "%2B")).as_bytes())
                    .next()
                    .map_or_else(String::new, |(_, value)| value.into_owned())
            })
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let text = ask.query("format") == Some("text");
        if self.world().key_is_dead || !self.is_key(authorization, text) {
            return Reply::error(401, "UNAUTHORIZED", "the token is invalid or has expired");
        }
        if let Some(reply) = self.too_fast(now) {
            return reply;
        }
        let (rights, reply) = self.route(ask, &segments, now);
        match rights.iter().find(|right| !self.may(right)) {
            Some(right) => Reply::error(
                403,
                "FORBIDDEN",
                &format!("the key lacks the permission {right}"),
            ),
            None => reply(),
        }
    }

    /// The rights that a request takes, and its answer.
    fn route<'a>(
        &'a self,
        ask: &'a Ask<'a>,
        segments: &[&'a str],
        now: DateTime<Utc>,
    ) -> (&'static [&'static str], Box<dyn FnOnce() -> Reply + 'a>) {
        match (ask.method, segments) {
            ("GET", ["v1", "me"]) => (&[], Box::new(|| self.me())),
            ("GET", ["v2", "inthreat", "collections", id, "objects"]) => {
                let id = *id;
                let rights: &[&str] = if id.starts_with("ioc-collection--") {
                    &["view-collections"]
                } else {
                    &["read-objects"]
                };
                (rights, Box::new(move || self.objects(ask, id, now)))
            }
            ("GET", ["v2", "inthreat", "ioc-collections", id]) => {
                let id = *id;
                (&["view-collections"], Box::new(move || self.collection(id)))
            }
            ("GET", ["v2", "inthreat", "ioc-collections", id, "indicators"]) => {
                let id = *id;
                (
                    &["view-collections"],
                    Box::new(move || self.search(ask, id)),
                )
            }
            ("POST", ["v2", "inthreat", "ioc-collections", id, "indicators"]) => {
                let id = *id;
                (
                    &["manage-collections"],
                    Box::new(move || self.add_indicators(ask, id, now)),
                )
            }
            (
                "DELETE",
                [
                    "v2",
                    "inthreat",
                    "ioc-collections",
                    id,
                    "indicators",
                    indicator,
                ],
            ) => {
                let (id, indicator) = (*id, *indicator);
                (
                    &["manage-collections"],
                    Box::new(move || self.revoke(id, indicator, now)),
                )
            }
            ("GET", ["v1", "sic", "alerts"]) => (&["view-alerts"], Box::new(|| self.alerts(ask))),
            ("GET", ["v1", "sic", "alerts", id]) => {
                let id = *id;
                (&["view-alerts"], Box::new(move || self.alert(id)))
            }
            ("POST", ["v1", "sic", "conf", "events", "search", "jobs"]) => {
                (&["view-intakes"], Box::new(|| self.start_job(ask)))
            }
            ("GET", ["v1", "sic", "conf", "events", "search", "jobs", job]) => {
                let job = *job;
                (&["view-intakes"], Box::new(move || self.job(job)))
            }
            (
                "GET",
                [
                    "v1",
                    "sic",
                    "conf",
                    "events",
                    "search",
                    "jobs",
                    job,
                    "fields",
                ],
            ) => {
                let job = *job;
                (
                    &["view-intakes"],
                    Box::new(move || self.job_fields(ask, job)),
                )
            }
            _ => (
                &[],
                Box::new(|| Reply::error(404, "NOT_FOUND", "no such page")),
            ),
        }
    }

    fn me(&self) -> Reply {
        let mut me = json!({ "name": "automation key" });
        if self.is("community", "name") {
            me["community"] = json!("Example SOC");
        } else if self.is("community", "object") {
            me["community"] = json!({ "uuid": FEED, "name": "Example SOC" });
        }
        Reply::json(200, me)
    }

    /// The key as a bearer token, or for text as the password of anybody.
    fn is_key(&self, authorization: &str, text: bool) -> bool {
        let key = &self.settings.api_key;
        match authorization.split_once(' ') {
            Some(("Bearer", token)) => token == key,
            Some(("Basic", pair)) if text => STANDARD
                .decode(pair)
                .ok()
                .and_then(|pair| String::from_utf8(pair).ok())
                .is_some_and(|pair| pair.split_once(':').is_some_and(|(_, given)| given == key)),
            _ => false,
        }
    }

    fn too_fast(&self, now: DateTime<Utc>) -> Option<Reply> {
        let mut world = self.world();
        let minute = now.timestamp() / 60;
        if world.minute.0 != minute {
            world.minute = (minute, 0);
        }
        world.minute.1 += 1;
        if world.minute.1 <= self.settings.calls_per_minute {
            return None;
        }
        let mut reply = Reply::error(429, "TOO_MANY_REQUESTS", "slow down");
        if self.settings.retry_after {
            let wait = 60 - now.timestamp() % 60;
            reply.headers.push(("retry-after", wait.to_string()));
        }
        Some(reply)
    }
}

impl FakeState for Sekoia {
    fn switches(&self) -> Vec<Switch> {
        SWITCHES.to_vec()
    }

    fn enforced(&self, _: &str) -> Vec<FakeEntry> {
        let now = self.clock.now();
        let rows = self.rows(COLLECTION);
        let active = rows
            .into_iter()
            .filter(|row| !row.revoked && row.valid_from <= now && !row.is_expired(now, true));
        active
            .filter_map(|row| {
                Some(FakeEntry {
                    value: Value::detect(&row.name).ok()?,
                    foreign: false,
                    text: row.description.unwrap_or_default(),
                })
            })
            .collect()
    }

    fn add_foreign(&self, _: &str, value: &Value) -> bool {
        let row = Row::new(&value.to_string(), self.clock.now());
        self.insert(COLLECTION, row);
        true
    }

    fn remove(&self, _: &str, value: &Value) -> bool {
        self.revoke_named(COLLECTION, &value.to_string()) > 0
    }

    fn expire_sessions(&self) {
        self.world().key_is_dead = true;
    }

    fn set_capacity(&self, capacity: usize) {
        self.world().capacity = capacity;
    }
}
