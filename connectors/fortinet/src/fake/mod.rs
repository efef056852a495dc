//! A fake FortiGate, written from the vendor's documentation alone: it shares no type and no constant
//! with the client, and reads and writes raw JSON.
//!
//! Settings ([`FakeOptions::settings`]):
//!
//! | name | what | default |
//! |---|---|---|
//! | `profile` | firmware: `6.4.14`, `7.2.5`, `7.4.8`, `7.6.5` | `7.4.8` |
//! | `devices` | how many firewalls | 1 |
//! | `vdoms` | their VDOMs; the first is the management VDOM | `["root"]` |
//! | `address_limit` | most address objects | 20000 |
//! | `feed_limit` | most entries by feed type | the firmware's |
//! | `entry_page` | most entries that one entry-list answer holds | unlimited |
//! | `body_limit` | largest request body in bytes | 4194304 |
//! | `rights` | access group to `none`, `read`, `write` | all `write` |
//! | `trusted` | whether the caller's address is a trusted host | true |
//! | `feeds` | whether the administrator made the push feeds | true |
//! | `feed_comments` | `comments` of the push feeds, by name | none |
//! | `policies` | whether policies use the feeds and groups | true |

mod device;
mod feed;
mod monitor;
mod profile;
mod schema;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use sdk::fake::{Fake, FakeOptions, Server};
use sdk::{Error, Result};
use serde_json::json;

use device::{Device, Right, Vdom};
use profile::Profile;
use state::Fortigates;
use table::{Rules, Tables};
use wire::{Ask, Reply};

/// Largest body read at all, in bytes; a device's own limit is smaller.
const READ_LIMIT: usize = 64 << 20;

const SETTINGS: [&str; 12] = [
    "profile",
    "devices",
    "vdoms",
    "address_limit",
    "feed_limit",
    "entry_page",
    "body_limit",
    "rights",
    "trusted",
    "feeds",
    "feed_comments",
    "policies",
];

/// Keys handed out so far.
static KEYS: AtomicU64 = AtomicU64::new(0);

type Shared = Arc<Mutex<Device>>;

/// Starts the fake.
///
/// # Errors
/// An unknown setting, or a port that cannot be opened.
pub async fn start(options: FakeOptions) -> Result<Fake> {
    options.check(profile::SWITCHES, &SETTINGS)?;
    let settings = Settings::read(&options)?;
    let mut devices = Vec::new();
    let mut servers = Vec::new();
    for index in 0..settings.devices {
        let device = Arc::new(Mutex::new(settings.device(&options, index)));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&device));
        let port = if index == 0 { options.port } else { 0 };
        servers.push(Server::start(router, &options.clock, options.transport, port).await?);
        devices.push(device);
    }
    let mut firewalls = Vec::new();
    for (server, device) in servers.iter().zip(&devices) {
        let key = lock(device).key.clone();
        for vdom in &settings.vdoms {
            firewalls.push(json!({ "base_ip": server.url, "vdom": vdom, "api_key": key }));
        }
    }
    let mut configuration = json!({ "firewalls": firewalls });
    // Every server has a CA of its own.
    let authorities: Vec<&str> = servers
        .iter()
        .filter_map(|server| server.ca_pem.as_deref())
        .collect();
    if !authorities.is_empty() {
        configuration["ca_pem"] = json!(authorities.join("\n"));
    }
    let mut servers = servers.into_iter();
    let server = servers
        .next()
        .ok_or_else(|| Error::input("`devices` must be at least 1"))?;
    Ok(Fake {
        server,
        configuration,
        state: Arc::new(Fortigates::new(
            devices,
            servers.collect(),
            settings.vdoms[0].clone(),
            !settings.feed_comments.is_empty(),
        )),
    })
}

async fn answer(State(device): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reply = match to_bytes(body, READ_LIMIT).await {
        Ok(body) => {
            let target = parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str());
            let authorization = parts
                .headers
                .get("authorization")
                .and_then(|value| value.to_str().ok());
            let ask = Ask::new(parts.method.as_str(), target, authorization, &body);
            lock(&device).handle(&ask)
        }
        Err(_) => Reply::html(413, "Request Entity Too Large"),
    };
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = axum::http::StatusCode::from_u16(reply.status)
        .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = reply.content_type.parse() {
        response.headers_mut().insert("content-type", value);
    }
    response
}

/// A panic in one test must not hide what another asks.
fn lock(device: &Mutex<Device>) -> std::sync::MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Settings {
    profile: Profile,
    devices: usize,
    vdoms: Vec<String>,
    address_limit: usize,
    feed_limits: BTreeMap<String, usize>,
    entry_page: usize,
    body_limit: usize,
    rights: BTreeMap<String, Right>,
    trusted: bool,
    feeds: bool,
    feed_comments: BTreeMap<String, String>,
    policies: bool,
}

impl Settings {
    fn read(options: &FakeOptions) -> Result<Self> {
        let wanted = options.setting("profile", Profile::NAMES[0].to_owned())?;
        let rights = options
            .setting("rights", BTreeMap::<String, String>::new())?
            .into_iter()
            .map(|(group, word)| {
                let right = match word.as_str() {
                    "none" => Right::None,
                    "read" => Right::Read,
                    _ => Right::Write,
                };
                (group, right)
            })
            .collect();
        let settings = Self {
            profile: Profile::named(&wanted).ok_or_else(|| {
                Error::input(format!("the fake has no firmware {wanted:?}"))
                    .hint(format!("one of {}", Profile::NAMES.join(", ")))
            })?,
            devices: options.setting("devices", 1)?,
            vdoms: options.setting("vdoms", vec!["root".to_owned()])?,
            address_limit: options.setting("address_limit", 20_000)?,
            feed_limits: options.setting("feed_limit", BTreeMap::new())?,
            entry_page: options.setting("entry_page", usize::MAX)?,
            body_limit: options.setting("body_limit", 4 << 20)?,
            rights,
            trusted: options.setting("trusted", true)?,
            feeds: options.setting("feeds", true)?,
            feed_comments: options.setting("feed_comments", BTreeMap::new())?,
            policies: options.setting("policies", true)?,
        };
        if settings.vdoms.is_empty() {
            return Err(Error::input("the fake's setting `vdoms` is empty"));
        }
        Ok(settings)
    }

    fn device(&self, options: &FakeOptions, index: usize) -> Device {
        let vdoms = self
            .vdoms
            .iter()
            .map(|name| (name.clone(), self.vdom(options)))
            .collect();
        let now = options.clock.now().timestamp();
        Device {
            profile: self.profile,
            clock: options.clock.clone(),
            switches: options.switches.clone(),
            serial: format!("FGVM01TM{index:08}"),
            // No two devices share a key: a port is used again, and a key that one device refused is
            // not sent to that address any more.
            key: format!("Qm7dJ2xw9Zr4-{}", KEYS.fetch_add(1, Ordering::Relaxed)),
            rights: self.rights.clone(),
            allowed_vdoms: Vec::new(),
            trusted: self.trusted,
            body_limit: self.body_limit,
            entry_page: self.entry_page,
            feed_limits: self.feed_limits.clone(),
            vdoms,
            management_vdom: self.vdoms[0].clone(),
            // Bans that the device itself made: whoever clears them is wrong.
            banned: vec![
                json!({ "ip_address": "185.220.101.4", "ipv6": 0, "created": now - 60, "expires": now + 600, "source": "IPS" }),
                json!({ "ip_address": "45.155.205.233", "ipv6": 0, "created": now - 90, "source": "DOS" }),
            ],
            lockout: device::LockoutState::default(),
        }
    }

    /// What an administrator has set up before we come: objects of his own, and the push feeds.
    fn vdom(&self, options: &FakeOptions) -> Vdom {
        let mut vdom = Vdom {
            tables: Tables {
                address_limit: usize::MAX,
                deny_prefix: self.policies.then(|| "cordon-".to_owned()),
                ..Tables::default()
            },
            ..Vdom::default()
        };
        let rules = Rules {
            profile: &self.profile,
            switches: &options.switches,
            by_hand: true,
        };
        let mut objects = vec![
            ("firewall/address", json!({ "name": "all" })),
            (
                "firewall/address",
                json!({ "name": "web-server", "subnet": "198.18.5.10/32", "comment": "intranet" }),
            ),
            (
                "firewall/address",
                json!({ "name": "pinned", "subnet": "203.0.113.77/32", "comment": "cordon? ask Ana" }),
            ),
            ("firewall/address6", json!({ "name": "all" })),
            (
                "firewall/addrgrp",
                json!({ "name": "Servers", "member": [{ "name": "web-server" }] }),
            ),
        ];
        if self.profile.has_push() {
            objects.push((
                "system/external-resource",
                json!({ "name": "corp-watchlist", "type": "address", "resource": "https://intranet.example/list.txt" }),
            ));
        }
        if self.feeds && self.profile.has_push() {
            for (name, kind, category) in [
                ("cordon-ip", "address", None),
                ("cordon-domain", "domain", Some(200)),
                ("cordon-url", "category", Some(201)),
                ("cordon-hash", "malware", None),
            ] {
                let mut feed = json!({ "name": name, "type": kind, "update-method": "push" });
                if let Some(category) = category {
                    feed["category"] = json!(category);
                }
                if let Some(comments) = self.feed_comments.get(name) {
                    feed["comments"] = json!(comments);
                }
                objects.push(("system/external-resource", feed));
                if self.policies {
                    vdom.tables
                        .policies
                        .push(("system/external-resource".to_owned(), name.to_owned()));
                }
            }
        }
        for (table, body) in objects {
            // Every one of these is valid; a test looks for them.
            let _ = vdom.tables.create(table, &body, &rules);
        }
        vdom.tables
            .policies
            .push(("firewall/addrgrp".to_owned(), "Servers".to_owned()));
        vdom.tables.address_limit = self.address_limit;
        if self.profile.has_push() {
            let lines = ["198.51.100.23", "198.51.100.24", "198.51.100.0/28"];
            vdom.feeds.0.insert(
                "corp-watchlist".to_owned(),
                lines
                    .iter()
                    .map(|text| feed::Line {
                        text: (*text).to_owned(),
                        by_hand: true,
                    })
                    .collect(),
            );
        }
        vdom
    }
}
