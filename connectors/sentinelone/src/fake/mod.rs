//! A stateful console for trying things out: written from the vendor's documented and observed
//! behaviour, sharing nothing with the client. What is not known is a switch.
//!
//! Settings: `level` (`tenant`, `account`, `site`, `group`: where the client acts), `token_scope` (level
//! of the token's user), `token_days`, `rights`, `role` (`it` may not write the blocklist), `old_console`,
//! `strict_filters`, `systems`, `not_allowed` (hashes), `inherited_exists`, `description_limit`,
//! `capacity`, `others` (indicators that are only counted), `activation_minutes`, `user_config`,
//! `calls_per_minute`, `foreign` (seeds entries of others), `switches_of` (a mechanism: the switches told are
//! those that concern it).

mod filter;
mod gate;
mod iocs;
mod page;
mod restrictions;
mod scope;
mod seeds;
mod stix;
mod switches;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sdk::fake::{Fake, FakeEntry, FakeOptions, FakeState, Server, Switch};
use sdk::indicator::{Kind, Value};
use sdk::{Clock, Error, Result};
use serde_json::{Value as Json, json};

use gate::{Ask, Body, Reply, Settings, Throttle};
use iocs::{Call, Iocs};
use page::Cursors;
use restrictions::{New, Restriction, Restrictions};
use scope::Scope;
use switches::{Positions, SWITCHES};

const TOKEN: &str =
    "fakeSentinelTokenOfEightyCharactersWhichIsAsLongAsTheyComeFromTheConsoleXXXXXXXX";
const USER: &str = "cordon@service.users";
const ROOT: &str = "/web/api/v2.1";
const RIGHTS: [&str; 6] = [
    "Threat Intelligence.view",
    "Threat Intelligence.manage",
    "Blacklist.view",
    "Blacklist.create",
    "Blacklist.edit",
    "Blacklist.delete",
];
const SETTINGS: [&str; 18] = [
    "switches_of",
    "level",
    "token_scope",
    "token_days",
    "rights",
    "role",
    "old_console",
    "strict_filters",
    "systems",
    "not_allowed",
    "inherited_exists",
    "description_limit",
    "capacity",
    "others",
    "activation_minutes",
    "user_config",
    "calls_per_minute",
    "foreign",
];

/// Starts the fake.
///
/// # Errors
/// An unknown switch, position or setting; a port that is taken.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    options.check(SWITCHES, &SETTINGS)?;
    let now = options.clock.now();
    let settings = read_settings(&options, now)?;
    let console = Arc::new(Console {
        clock: options.clock.clone(),
        positions: Positions::new(&options.switches)?,
        world: Mutex::new(World {
            iocs: Iocs::new(options.setting("capacity", 1_000_000)?),
            restrictions: Restrictions::default(),
            cursors: Cursors::default(),
            throttle: Throttle::default(),
        }),
        settings,
    });
    if options.setting("foreign", false)? {
        let mut world = console.world();
        seeds::plant(&mut world, console.settings.place, now);
    }
    let router = Router::new()
        .fallback(handle)
        .with_state(Arc::clone(&console));
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let mut configuration = json!({
        "hostname": server.url,
        "api_token": console.settings.token,
        "account_ids": [scope::ACCOUNT],
        "os_types": console.settings.systems,
    });
    match console.settings.place {
        Scope::Global => {
            configuration["account_ids"] = json!([]);
            configuration["whole_tenant"] = json!(true);
        }
        Scope::Account(_) => {}
        Scope::Site(id) => configuration["site_ids"] = json!([id]),
        Scope::Group(id) => configuration["group_ids"] = json!([id]),
    }
    if let Some(pem) = &server.ca_pem {
        configuration["ca_pem"] = json!(pem);
    }
    Ok(Fake {
        server,
        configuration,
        state: console,
    })
}

fn read_settings(options: &FakeOptions, now: DateTime<Utc>) -> Result<Settings> {
    let level: String = options.setting("level", "account".to_owned())?;
    let default = if level == "tenant" {
        "tenant"
    } else {
        "account"
    };
    let token_level: String = options.setting("token_scope", default.to_owned())?;
    let scope = |name: &str, level: &str| {
        Scope::first(level).ok_or_else(|| {
            Error::input(format!(
                "setting {name:?} of the fake: {level:?} is no level"
            ))
        })
    };
    let mut rights: Vec<String> = options.setting("rights", RIGHTS.map(str::to_owned).to_vec())?;
    match options.setting("role", String::new())?.as_str() {
        "" => {}
        "it" => rights.retain(|right| !right.starts_with("Blacklist.") || right.ends_with("view")),
        other => return Err(Error::input(format!("the fake has no role {other:?}"))),
    }
    let systems = ["windows", "macos", "linux"].map(str::to_owned).to_vec();
    let days: i64 = options.setting("token_days", 3_650)?;
    let minutes: i64 = options.setting("activation_minutes", 30)?;
    Ok(Settings {
        token: TOKEN.to_owned(),
        token_created: now,
        token_expires: now + TimeDelta::days(days),
        token_scope: scope("token_scope", &token_level)?,
        place: scope("level", &level)?,
        rights,
        old_console: options.setting("old_console", false)?,
        strict_filters: options.setting("strict_filters", true)?,
        systems: options.setting("systems", systems)?,
        not_allowed: options.setting("not_allowed", Vec::new())?,
        inherited_exists: options.setting("inherited_exists", false)?,
        description_limit: options.setting("description_limit", usize::MAX)?,
        others: options.setting("others", 0)?,
        activation_delay: minutes * 60,
        switches_of: options.setting("switches_of", String::new())?,
        user_config: options.setting("user_config", json!([]))?,
        calls_per_minute: options.setting("calls_per_minute", 30)?,
    })
}

/// Everything that changes.
struct World {
    iocs: Iocs,
    restrictions: Restrictions,
    cursors: Cursors,
    throttle: Throttle,
}

struct Console {
    clock: Clock,
    positions: Positions,
    settings: Settings,
    world: Mutex<World>,
}

async fn handle(
    State(console): State<Arc<Console>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = uri.query().unwrap_or_default();
    let ask = Ask {
        method: method.as_str(),
        path: uri.path().strip_prefix(ROOT).unwrap_or_default(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        authorization: headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()),
        body: &body,
    };
    dress(console.answer(&ask).unwrap_or_else(|refusal| refusal))
}

fn dress(reply: Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, text) = match reply.body {
        Body::Json(json) => ("application/json", json.to_string()),
        Body::Html => (
            "text/html",
            format!("<html><body><h1>{status}</h1></body></html>"),
        ),
    };
    let mut response = (status, [(CONTENT_TYPE, kind)], text).into_response();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Console {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let call = Call {
            now: self.clock.now(),
            settings: &self.settings,
            positions: &self.positions,
            user: USER,
        };
        if (ask.method, ask.path) == ("GET", "/system/status") {
            return Ok(Reply::data(json!({ "health": "ok" })));
        }
        let token = gate::token(ask.authorization).unwrap_or_default();
        if token != self.settings.token || self.settings.token_expires <= call.now {
            return Err(Reply::unauthorized());
        }
        let mut guard = self.world();
        let world = &mut *guard;
        if ask.path.starts_with("/threat-intelligence") {
            let limit = self.settings.calls_per_minute;
            world
                .throttle
                .enter(token, call.now, limit, &self.positions)?;
        } else if ask.path == "/restrictions" && self.positions.is("blocklist-rate", "60-a-minute")
        {
            let class = format!("{token}/restrictions");
            world
                .throttle
                .enter(&class, call.now, 60, &self.positions)?;
        }
        world.iocs.tick(call.now, &self.positions);
        match (ask.method, ask.path) {
            ("GET", "/system/info") => {
                Ok(Reply::data(json!({ "version": "S-24.3.2", "build": "77" })))
            }
            ("POST", "/users/api-token-details") => self.token_details(ask),
            ("GET", "/threat-intelligence/iocs") => world.iocs.list(ask, &call, &mut world.cursors),
            ("POST", "/threat-intelligence/iocs") => world.iocs.create(ask, &call),
            ("POST", "/threat-intelligence/iocs/stix") => world.iocs.import(ask, &call),
            ("DELETE", "/threat-intelligence/iocs") => world.iocs.delete(ask, &call),
            ("GET", "/threat-intelligence/user-config") => {
                self.settings.may("Threat Intelligence.view")?;
                Ok(Reply::data(self.settings.user_config.clone()))
            }
            ("GET", "/restrictions") => world.restrictions.list(ask, &call, &mut world.cursors),
            ("POST", "/restrictions") => world.restrictions.create(ask, &call),
            ("PUT", "/restrictions") => world.restrictions.change(ask, &call),
            ("DELETE", "/restrictions") => world.restrictions.delete(ask, &call),
            ("GET", "/exclusions") => Ok(world.restrictions.exclusions()),
            // No endpoint of the console: what an agent would say.
            ("GET", "/fake/match") => {
                let field = |name| ask.parameter(name).unwrap_or_default();
                let active = world.iocs.is_active(field("type"), field("value"), &call);
                Ok(Reply::data(json!({ "matches": active })))
            }
            _ => Err(Reply::missing()),
        }
    }

    fn token_details(&self, ask: &Ask<'_>) -> Result<Reply, Reply> {
        let body = ask.object()?;
        let given = body.get("data").and_then(|data| data.get("apiToken"));
        if given.and_then(Json::as_str) != Some(&self.settings.token) {
            return Err(Reply::bad("apiToken: Invalid token."));
        }
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
        Ok(Reply::data(json!({
            "createdAt": time(self.settings.token_created),
            "expiresAt": time(self.settings.token_expires),
        })))
    }

    /// What blocks on every system of the estate, and every entry of others.
    fn blocked(&self) -> Vec<FakeEntry> {
        let world = self.world();
        let rows = world.restrictions.rows.values();
        let rows = rows.filter(|row| row.scope == self.settings.place);
        let mut by_value: BTreeMap<Value, Vec<&Restriction>> = BTreeMap::new();
        for row in rows {
            for value in hashes(row) {
                by_value.entry(value).or_default().push(row);
            }
        }
        let entry = |(value, same): (Value, Vec<&Restriction>)| {
            let foreign: Vec<&str> = same
                .iter()
                .filter(|row| row.user != USER)
                .map(|row| row.description.as_str())
                .collect();
            if !foreign.is_empty() {
                return Some(FakeEntry {
                    value,
                    foreign: true,
                    text: foreign.join("\n"),
                });
            }
            let blocks = |system: &String| same.iter().any(|row| row.system == *system);
            let texts: Vec<&str> = same.iter().map(|row| row.description.as_str()).collect();
            self.settings.systems.iter().all(blocks).then(|| FakeEntry {
                value,
                foreign: false,
                text: texts.join("\n"),
            })
        };
        by_value.into_iter().filter_map(entry).collect()
    }

    fn detected(&self) -> Vec<FakeEntry> {
        let now = self.clock.now();
        let world = self.world();
        let rows = world.iocs.rows.values();
        rows.filter(|row| row.scope == self.settings.place && row.end > now)
            .filter_map(|row| {
                let texts = ["description", "source", "name", "externalId"];
                Some(FakeEntry {
                    value: indicator(row.text("type"), row.text("value"))?,
                    foreign: row.creator != USER,
                    text: texts.map(|name| row.text(name)).join("\n"),
                })
            })
            .collect()
    }
}

/// The hashes of an entry.
fn hashes(row: &Restriction) -> Vec<Value> {
    let hash = |kind, text: &Option<String>| Value::parse(kind, text.as_deref()?).ok();
    let both = [hash(Kind::Sha1, &row.sha1), hash(Kind::Sha256, &row.sha256)];
    both.into_iter().flatten().collect()
}

/// The type under which the console keeps a kind.
fn type_of(value: &Value) -> &'static str {
    match value.kind() {
        Kind::Ipv4 => "IPV4",
        Kind::Ipv6 => "IPV6",
        Kind::Domain => "DNS",
        Kind::Url => "URL",
        Kind::Md5 => "MD5",
        Kind::Sha1 => "SHA1",
        Kind::Sha256 => "SHA256",
    }
}

/// What an indicator stands for.
fn indicator(kind: &str, text: &str) -> Option<Value> {
    let kinds = Kind::ALL.into_iter();
    kinds
        .filter_map(|kind| Value::parse(kind, text).ok())
        .find(|value| type_of(value) == kind)
}

/// A hash as an entry to make; `None` where the blocklist cannot hold it.
fn entry(value: &Value, system: &str, description: &str) -> Option<New> {
    let text = Some(value.to_string());
    let (sha1, sha256) = match value.kind() {
        Kind::Sha1 => (text, None),
        Kind::Sha256 => (None, text),
        _ => return None,
    };
    Some(New {
        system: system.to_owned(),
        sha1,
        sha256,
        description: description.to_owned(),
    })
}

impl FakeState for Console {
    fn switches(&self) -> Vec<Switch> {
        switches::concerning(&self.settings.switches_of)
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        match mechanism {
            "blocklist" => self.blocked(),
            "ioc" => self.detected(),
            _ => Vec::new(),
        }
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        let now = self.clock.now();
        let place = self.settings.place;
        let mut world = self.world();
        if mechanism == "ioc" {
            seeds::indicator(&mut world, place, value, now);
            return true;
        }
        let mut added = false;
        for system in &self.settings.systems {
            let Some(new) = entry(value, system, "blocked by hand") else {
                return false;
            };
            if !world.restrictions.has(place, &new, false) {
                world
                    .restrictions
                    .insert(place, new, "user", seeds::ANALYST, now);
                added = true;
            }
        }
        added
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        let place = self.settings.place;
        let text = value.to_string();
        let mut world = self.world();
        if mechanism == "ioc" {
            let before = world.iocs.rows.len();
            let same = |row: &iocs::Ioc| {
                row.scope == place
                    && indicator(row.text("type"), row.text("value")).as_ref() == Some(value)
            };
            world.iocs.rows.retain(|_, row| !same(row));
            return world.iocs.rows.len() < before;
        }
        world
            .restrictions
            .remove_if(|row| row.scope == place && row.is_of(&text))
            > 0
    }

    /// API tokens are no sessions: they end on their day.
    fn expire_sessions(&self) {}

    fn set_capacity(&self, capacity: usize) {
        self.world().iocs.capacity = capacity;
    }
}
