//! A fake Zscaler Internet Access tenant, written from the vendor's documents and recorded answers alone: it
//! shares no type and no constant with the client, and reads and writes raw JSON. What is not known is a
//! switch.
//!
//! Settings ([`FakeOptions::settings`]):
//!
//! | name | what | default |
//! |---|---|---|
//! | `login` | `legacy`, `oneapi` (client secret) or `oneapi-key` (signed assertion) | `legacy` |
//! | `capacity` | URLs in all lists together | 25000 |
//! | `batch_limit` | entries in one incremental call | 5000 |
//! | `ipv4` | whether lists take addresses and categories take IP ranges | true |
//! | `rule` | whether a BLOCK rule names every category that is made | true |
//! | `category` | description of a category `cordon-01` that is there from the start | none |
//! | `category_owner` | goes into the configuration | none |
//! | `activate` | goes into the configuration | none |
//! | `queued` | whether another administrator's edits hold an activation back | false |
//! | `maintenance` | `off`; `header` or `plain`: writes are refused, told by a header or not | `off` |
//! | `denied` | what the role may not see: `quota`, `rules` | none |
//! | `session_minutes` | life of a session | 5 |
//! | `session_dies_in` | calls after which a session ends before its time, once | never |
//! | `token_seconds` | life of a token | 83999 |
//! | `strict_groups` | whether destination groups refuse names with a space and read-only fields | true |
//!
//! Beside the API: `POST /fake/stage?entry=…` is another administrator's change that is not activated, to the
//! denylist or to a destination group (`&group=…`); `POST /fake/activate` that administrator's activation;
//! `GET /fake/verdict?url=…` what the proxy would do.

mod categories;
mod grammar;
mod groups;
mod login;
mod service;
mod state;
mod switches;
mod tenant;
mod wire;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use sdk::fake::{Fake, FakeOptions, Server};
use sdk::{Clock, Error, Result};
use serde_json::json;

use login::{Accounts, Mode};
use service::{Service, Traits};
use switches::{Positions, SWITCHES};
use tenant::{Category, Entry, Rule, Tenant};
use wire::{Ask, Reply};

const SETTINGS: [&str; 15] = [
    "login",
    "capacity",
    "batch_limit",
    "ipv4",
    "rule",
    "category",
    "category_owner",
    "activate",
    "queued",
    "maintenance",
    "denied",
    "session_minutes",
    "session_dies_in",
    "token_seconds",
    "strict_groups",
];

/// A window of calls: its name, how many, in how many seconds.
type Window = (&'static str, usize, i64);

/// Starts the fake.
///
/// # Errors
/// An unknown switch, position or setting; a port that is taken.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    options.check(SWITCHES, &SETTINGS)?;
    let zscaler = Arc::new(Zscaler::new(&options)?);
    let router = Router::new()
        .fallback(handle)
        .with_state(Arc::clone(&zscaler));
    let server = Server::start(router, &options.clock, options.transport, options.port).await?;
    let accounts = &zscaler.accounts;
    let mut configuration = match accounts.mode {
        Mode::Legacy => json!({
            "base_url": server.url,
            "username": accounts.username,
            "password": accounts.password,
            "api_key": accounts.api_key,
        }),
        Mode::OneApi => json!({
            "base_url": server.url,
            "vanity_domain": server.url,
            "client_id": accounts.client_id,
            "client_secret": accounts.client_secret,
        }),
        Mode::OneApiKey => json!({
            "base_url": server.url,
            "vanity_domain": server.url,
            "client_id": accounts.client_id,
            "private_key": accounts.key.as_ref().map(|(pem, _)| pem),
        }),
    };
    configuration["ipv4"] = json!(zscaler.traits.ipv4);
    for name in ["category_owner", "activate"] {
        if let Some(value) = options.settings.get(name) {
            configuration[name] = value.clone();
        }
    }
    if let Some(pem) = &server.ca_pem {
        configuration["ca_pem"] = json!(pem);
    }
    Ok(Fake {
        server,
        configuration,
        state: zscaler,
    })
}

struct Zscaler {
    clock: Clock,
    tenant: Mutex<Tenant>,
    accounts: Accounts,
    traits: Traits,
    maintenance: String,
}

async fn handle(
    State(zscaler): State<Arc<Zscaler>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default()
    };
    let query = uri.query().unwrap_or_default();
    let ask = Ask {
        method: method.as_str(),
        path: uri.path(),
        query: url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        authorization: header(AUTHORIZATION),
        cookie: header(COOKIE),
        content_type: header(CONTENT_TYPE),
        body: &body,
    };
    let reply = zscaler.answer(&ask);
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, [(CONTENT_TYPE, reply.content_type)], reply.body).into_response();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Zscaler {
    fn new(options: &FakeOptions) -> Result<Self> {
        let mode = match options.setting("login", "legacy".to_owned())?.as_str() {
            "legacy" => Mode::Legacy,
            "oneapi" => Mode::OneApi,
            "oneapi-key" => Mode::OneApiKey,
            other => {
                return Err(Error::input(format!("the fake has no login {other:?}"))
                    .hint("legacy, oneapi or oneapi-key"));
            }
        };
        let accounts = Accounts {
            mode,
            username: "cordon@fake-tenant.example.com".to_owned(),
            password: "Fake-Passw0rd-of-Zscaler".to_owned(),
            api_key: "jj7tg80fEGao".to_owned(),
            client_id: "1pq8hb2kc0d4m".to_owned(),
            client_secret: "Fake-Zidentity-Secret-0123456789".to_owned(),
            token_seconds: options.setting("token_seconds", 83_999)?,
            key: (mode == Mode::OneApiKey)
                .then(login::generate_key)
                .transpose()?,
        };
        let rule = options.setting("rule", true)?;
        let mut tenant = Tenant::new(
            Positions::new(&options.switches)?,
            TimeDelta::minutes(options.setting("session_minutes", 5)?),
            options.setting("capacity", 25_000)?,
        );
        tenant.session_dies_in = options.setting("session_dies_in", None)?;
        tenant.staged.groups.push(groups::of_the_vendor());
        tenant.staged.rules.push(Rule {
            name: "Block what the SOC blocks".to_owned(),
            action: "BLOCK",
            categories: Vec::new(),
        });
        let prepared: Option<String> = options.setting("category", None)?;
        if let Some(description) = prepared {
            tenant
                .staged
                .categories
                .push(prepared_category(&description));
            if rule {
                tenant.staged.rules[0]
                    .categories
                    .push("CUSTOM_07".to_owned());
            }
        }
        tenant.enforced = tenant.staged.clone();
        Ok(Self {
            clock: options.clock.clone(),
            tenant: Mutex::new(tenant),
            accounts,
            traits: Traits {
                ipv4: options.setting("ipv4", true)?,
                batch_limit: options.setting("batch_limit", 5_000)?,
                queued: options.setting("queued", false)?,
                rule,
                denied: options.setting("denied", Vec::new())?,
                strict_groups: options.setting("strict_groups", true)?,
            },
            maintenance: options.setting("maintenance", "off".to_owned())?,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Tenant> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant after everything that happened by itself until now.
    fn current(&self) -> MutexGuard<'_, Tenant> {
        let mut tenant = self.lock();
        tenant.tick(self.clock.now());
        tenant
    }

    fn answer(&self, ask: &Ask<'_>) -> Reply {
        let mut tenant = self.current();
        let now = self.clock.now();
        if let Some(own) = ask.path.strip_prefix("/fake/") {
            return self.beside_the_api(&mut tenant, own, ask);
        }
        let reply = match (self.accounts.mode, ask.path) {
            (Mode::OneApi | Mode::OneApiKey, "/oauth2/v1/token") => {
                login::token(&mut tenant, &self.accounts, ask, now)
            }
            (_, "/api/v1/authenticatedSession") if ask.method == "POST" => {
                login::session(&mut tenant, &self.accounts, ask, now)
            }
            _ => self.behind_login(&mut tenant, ask),
        };
        drop(tenant);
        let maintenance = self.maintenance == "header";
        reply
            .header(
                "x-zscaler-mode",
                if maintenance {
                    "read-only"
                } else {
                    "read-write"
                },
            )
            // Of the gateway, and of no use for pacing (item 38).
            .header("x-ratelimit-limit", "5000, 5000;w=60")
            .header("x-ratelimit-remaining", "4980")
    }

    fn behind_login(&self, tenant: &mut Tenant, ask: &Ask<'_>) -> Reply {
        let now = self.clock.now();
        let prefix = match self.accounts.mode {
            Mode::Legacy => "/api/v1/",
            Mode::OneApi | Mode::OneApiKey => "/zia/api/v1/",
        };
        let Some(path) = ask.path.strip_prefix(prefix) else {
            return Reply::html(404, "Not Found");
        };
        let session = ask
            .cookie
            .split(';')
            .find_map(|pair| pair.trim().strip_prefix("JSESSIONID="));
        let allowed = match self.accounts.mode {
            Mode::Legacy => session.is_some_and(|id| tenant.use_session(id, now)),
            Mode::OneApi | Mode::OneApiKey => ask
                .authorization
                .strip_prefix("Bearer ")
                .is_some_and(|token| tenant.tokens.contains_key(token)),
        };
        if !allowed {
            return Reply::refusal(401, "SESSION_NOT_VALID", "Session is not valid");
        }
        if let Err((calls, seconds, left)) = tenant.count(&windows(tenant, ask.method, path), now) {
            return too_many(tenant, calls, seconds, left);
        }
        match (ask.method, path, session) {
            ("DELETE", "authenticatedSession", Some(id)) => {
                tenant.log_out(id);
                return Reply::empty(204);
            }
            ("GET", "authenticatedSession", _) => {
                return Reply::ok(json!({ "authType": "ADMIN_LOGIN" }));
            }
            _ => {}
        }
        if ask.method != "GET" && self.maintenance != "off" {
            return Reply::json(
                403,
                json!({ "message": "The cloud is in maintenance mode" }),
            );
        }
        let mut service = Service {
            tenant,
            traits: &self.traits,
            now,
        };
        service.answer(path, ask)
    }

    fn beside_the_api(&self, tenant: &mut Tenant, path: &str, ask: &Ask<'_>) -> Reply {
        match (path, ask.parameter("entry").or(ask.parameter("url"))) {
            ("stage", Some(entry)) => {
                let list = match ask.parameter("group") {
                    None => Some(&mut tenant.staged.denylist),
                    Some(id) => {
                        let mut groups = tenant.staged.groups.iter_mut();
                        let group = groups.find(|group| group.id.to_string() == id);
                        group.map(|group| &mut group.addresses)
                    }
                };
                let Some(list) = list else {
                    return Reply::empty(404);
                };
                list.push(Entry {
                    text: entry.to_owned(),
                    foreign: true,
                });
                tenant.stage_foreign();
                Reply::empty(204)
            }
            ("activate", _) => {
                tenant.publish();
                Reply::empty(204)
            }
            ("verdict", Some(url)) => {
                let named: BTreeSet<&String> = blocking(&tenant.enforced).collect();
                let categories = tenant.enforced.categories.iter();
                let urls = categories
                    .filter(|one| named.contains(&one.id))
                    .flat_map(|one| one.list("urls"));
                let denied = tenant
                    .enforced
                    .denylist
                    .iter()
                    .map(|entry| entry.text.clone());
                let blocked = urls
                    .chain(denied)
                    .any(|entry| grammar::matches(&entry, url));
                Reply::ok(json!({ "blocked": blocked, "alarms": tenant.alarms }))
            }
            _ => Reply::empty(404),
        }
    }
}

/// A category that somebody prepared for us, with an entry of that person's.
fn prepared_category(description: &str) -> Category {
    let by_hand = "made-by-hand.example.net";
    let body = json!({
        "configuredName": "cordon-01",
        "superCategory": "USER_DEFINED",
        "type": "URL_CATEGORY",
        "description": description,
        "urls": [],
        "keywords": [by_hand],
    });
    Category {
        id: "CUSTOM_07".to_owned(),
        body: body.as_object().cloned().unwrap_or_default(),
        by_hand: BTreeSet::new(),
        ours: true,
    }
}

/// The documented classes (item 37).
fn windows(tenant: &Tenant, method: &str, path: &str) -> Vec<Window> {
    match (method, path) {
        ("GET", "security/advanced") => vec![("list-second", 1, 1), ("read-hour", 1_000, 3_600)],
        ("GET", _) => vec![("read-second", 2, 1), ("read-hour", 1_000, 3_600)],
        ("POST", "status/activate") => {
            vec![("activate-minute", 10, 60), ("activate-hour", 40, 3_600)]
        }
        ("DELETE", "authenticatedSession") if tenant.positions.is("logout-class", "free") => {
            Vec::new()
        }
        ("DELETE", _) => vec![("delete-minute", 1, 60), ("delete-hour", 4, 3_600)],
        _ => vec![("write-second", 1, 1), ("write-hour", 400, 3_600)],
    }
}

/// Item 38.
fn too_many(tenant: &Tenant, calls: usize, seconds: i64, left: i64) -> Reply {
    let unit = match seconds {
        1 => "SECOND",
        60 => "MINUTE",
        _ => "HOUR",
    };
    let message = format!("Rate Limit ({calls}/{unit}) exceeded");
    let plain = Reply::json(429, json!({ "message": message.clone() }));
    match tenant.positions.get("retry-after") {
        "integer" => plain.header("retry-after", left.to_string()),
        "zero" if left <= 1 => plain.header("retry-after", "0 seconds"),
        "zero" | "unit" => plain.header("retry-after", format!("{left}s")),
        "body" => Reply::json(
            429,
            json!({ "message": message, "Retry-After": format!("{left} seconds") }),
        ),
        _ => plain,
    }
}

/// Categories that a BLOCK rule names (item 26).
fn blocking(config: &tenant::Config) -> impl Iterator<Item = &String> {
    config
        .rules
        .iter()
        .filter(|rule| rule.action == "BLOCK")
        .flat_map(|rule| &rule.categories)
}
