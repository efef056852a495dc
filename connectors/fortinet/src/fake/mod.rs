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
//! | `lists` | whether the administrator made the feeds that pull | true |
//! | `publish` | the folder that their server shows | one of its own |
//! | `manager` | whether a FortiManager stands in front: `password`, `token`, or none | none |
//! | `workspace_mode` | `disabled`, `normal` or `workflow` | `normal` |
//! | `rpc_permit` | `none`, `read` or `read-write` | `read-write` |
//! | `offline` | firewalls that the manager does not reach | none |
//! | `install_errors` | errors of every install | 0 |
//! | `out_of_sync` | firewalls whose configuration the manager has not | none |
//! | `assigned_package` | the package that the firewalls have | `edge` |
//! | `sees_users` | whether the manager's user may read about itself | true |
//! | `policies_deny` | whether the policies of the package deny what they name of ours | true |
//! | `ban_limit` | most banned addresses | 100000 |
//! | `banned_ip_persistency` | `disabled`, `permanent-only` or `all` | `disabled` |
//! | `device_bans` | whether the device banned addresses itself | true |
//! | `switches_of` | the mechanism whose switches are told | all |

mod ban;
mod device;
mod feed;
mod manager;
mod monitor;
mod profile;
mod pull;
mod schema;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use sdk::fake::{Fake, FakeOptions, Server};
use sdk::{Error, Result};
use serde_json::json;

use ban::Ban;
use device::{Device, Right, Vdom};
use manager::{Manager, Mode, SharedManager};
use profile::Profile;
use state::Fortigates;
use table::{Rules, Tables};
use transaction::Transactions;
use wire::{Ask, Reply};

/// Largest body read at all, in bytes; a device's own limit is smaller.
const READ_LIMIT: usize = 64 << 20;

const SETTINGS: [&str; 27] = [
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
    "lists",
    "publish",
    "manager",
    "workspace_mode",
    "rpc_permit",
    "offline",
    "install_errors",
    "out_of_sync",
    "assigned_package",
    "sees_users",
    "policies_deny",
    "ban_limit",
    "banned_ip_persistency",
    "device_bans",
    "switches_of",
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
    let mut settings = Settings::read(&options)?;
    let own_folder = match &settings.publish {
        Some(_) => None,
        None => Some(own_folder()?),
    };
    if let Some(folder) = &own_folder {
        settings.publish = Some(folder.path().to_owned());
    }
    let mut devices = Vec::new();
    let mut servers = Vec::new();
    for index in 0..settings.devices {
        let device = Arc::new(Mutex::new(settings.device(&options, index)));
        devices.push(Arc::clone(&device));
        if settings.manager.is_some() {
            continue;
        }
        let router = Router::new().fallback(answer).with_state(device);
        let port = if index == 0 { options.port } else { 0 };
        servers.push(Server::start(router, &options.clock, options.transport, port).await?);
    }
    let manager = settings.manager(&options, &devices);
    if let Some(manager) = &manager {
        let router = Router::new()
            .fallback(answer_as_manager)
            .with_state(Arc::clone(manager));
        servers.push(Server::start(router, &options.clock, options.transport, options.port).await?);
    }
    let mut firewalls = Vec::new();
    for (server, device) in servers.iter().zip(&devices) {
        let key = lock(device).key.clone();
        for vdom in &settings.vdoms {
            firewalls.push(json!({ "base_ip": server.url, "vdom": vdom, "api_key": key }));
        }
    }
    let mut configuration = json!({ "firewalls": firewalls });
    if let (Some(manager), Some(server)) = (&manager, servers.first()) {
        let manager = manager.lock().unwrap_or_else(PoisonError::into_inner);
        let devices: Vec<_> = manager
            .devices
            .iter()
            .map(|(name, _)| json!({ "name": name, "vdom": settings.vdoms[0] }))
            .collect();
        let mut block = json!({
            "url": server.url,
            "adom": manager.adom,
            "package": manager.package,
            "devices": devices,
        });
        if settings.manager.as_deref() == Some("token") {
            block["api_key"] = json!(manager.token);
        } else {
            block["username"] = json!(manager.user);
            block["password"] = json!(manager.password);
        }
        configuration = json!({ "fortimanager": block });
    }
    configuration["publish"] = json!({ "directory": settings.publish });
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
            profile::switches_of(&settings.switches_of),
            own_folder,
            manager,
        )),
    })
}

async fn answer(State(device): State<Shared>, request: Request) -> Response {
    response(match read(request).await {
        Ok(ask) => lock(&device).handle(&ask),
        Err(refusal) => refusal,
    })
}

async fn answer_as_manager(State(manager): State<SharedManager>, request: Request) -> Response {
    response(match read(request).await {
        Ok(ask) => manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .handle(&ask),
        Err(refusal) => refusal,
    })
}

async fn read(request: Request) -> std::result::Result<Ask, Reply> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, READ_LIMIT).await else {
        return Err(Reply::html(413, "Request Entity Too Large"));
    };
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    Ok(Ask::new(parts.method.as_str(), target, &headers, &body))
}

/// A folder that goes with the fake; in memory where there is such a place, because nothing in it has to
/// outlive a loss of power.
fn own_folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .map_err(|error| {
            Error::input("the fake has nowhere to keep published lists").because(error)
        })
}

fn response(reply: Reply) -> Response {
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
    lists: bool,
    publish: Option<PathBuf>,
    manager: Option<String>,
    mode: Mode,
    permit: String,
    offline: Vec<String>,
    install_errors: u64,
    out_of_sync: Vec<String>,
    assigned: String,
    sees_users: bool,
    policies_deny: bool,
    ban_limit: usize,
    persistency: String,
    device_bans: bool,
    switches_of: String,
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
            lists: options.setting("lists", true)?,
            publish: options.setting("publish", None)?,
            manager: options.setting("manager", None)?,
            mode: match options
                .setting("workspace_mode", "normal".to_owned())?
                .as_str()
            {
                "disabled" => Mode::Disabled,
                "workflow" => Mode::Workflow,
                _ => Mode::Normal,
            },
            permit: options.setting("rpc_permit", "read-write".to_owned())?,
            offline: options.setting("offline", Vec::new())?,
            install_errors: options.setting("install_errors", 0)?,
            out_of_sync: options.setting("out_of_sync", Vec::new())?,
            assigned: options.setting("assigned_package", "edge".to_owned())?,
            sees_users: options.setting("sees_users", true)?,
            policies_deny: options.setting("policies_deny", true)?,
            ban_limit: options.setting("ban_limit", 100_000)?,
            persistency: options.setting("banned_ip_persistency", "disabled".to_owned())?,
            device_bans: options.setting("device_bans", true)?,
            switches_of: options.setting("switches_of", String::new())?,
        };
        if settings.vdoms.is_empty() {
            return Err(Error::input("the fake's setting `vdoms` is empty"));
        }
        Ok(settings)
    }

    /// The manager in front, which knows what the firewalls had when it was set up.
    fn manager(&self, options: &FakeOptions, devices: &[Shared]) -> Option<SharedManager> {
        self.manager.as_ref()?;
        let tables = devices
            .first()
            .and_then(|device| lock(device).vdom(&self.vdoms[0]).cloned())
            .map(|held| held.tables)
            .unwrap_or_default();
        let named = devices
            .iter()
            .enumerate()
            .map(|(index, device)| (format!("fw-{}", index + 1), Arc::clone(device)))
            .collect();
        let mut manager = Manager::new(
            &options.clock,
            &options.switches,
            self.profile,
            named,
            tables,
            self.mode,
            self.permit.clone(),
            KEYS.fetch_add(1, Ordering::Relaxed),
        );
        manager.offline.clone_from(&self.offline);
        manager.install_errors = self.install_errors;
        manager.out_of_sync.clone_from(&self.out_of_sync);
        manager.assigned.clone_from(&self.assigned);
        manager.sees_users = self.sees_users;
        manager.policies_deny = self.policies_deny;
        Some(Arc::new(Mutex::new(manager)))
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
            published: self.publish.clone(),
            server_down: false,
            banned: if self.device_bans {
                self.own_bans(now)
            } else {
                Vec::new()
            },
            ban_limit: self.ban_limit,
            persistency: self.persistency.clone(),
            lockout: device::LockoutState::default(),
            transactions: Transactions::default(),
        }
    }

    /// Bans that the device itself made: whoever clears them is wrong.
    fn own_bans(&self, now: i64) -> Vec<Ban> {
        let ban = |address: [u8; 4], source, age, expires| Ban {
            address: address.into(),
            source,
            created: now - age,
            expires,
            vdom: self.vdoms[0].clone(),
            by_hand: true,
        };
        vec![
            ban([185, 220, 101, 4], "IPS", 60, Some(now + 600)),
            ban([45, 155, 205, 233], "DOS", 90, None),
        ]
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
            ("firewall/vip", json!({ "name": "published-web" })),
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
        for (name, kind, category) in [
            ("cordon-list-ip", "address", None),
            ("cordon-list-domain", "domain", Some(202)),
            ("cordon-list-url", "category", Some(203)),
            ("cordon-list-hash", "malware", None),
        ] {
            if !self.lists {
                break;
            }
            let resource = format!("{}{name}.txt", pull::SERVER);
            let mut feed = json!({ "name": name, "type": kind, "resource": resource });
            if let Some(category) = category {
                feed["category"] = json!(category);
            }
            objects.push(("system/external-resource", feed));
            let pull = pull::Pull {
                last: options.clock.now().timestamp(),
                ..pull::Pull::default()
            };
            vdom.pulls.insert(name.to_owned(), pull);
            if self.policies {
                vdom.tables
                    .policies
                    .push(("system/external-resource".to_owned(), name.to_owned()));
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
                    .map(|text| feed::Line::new("address", *text, true))
                    .collect(),
            );
        }
        vdom
    }
}
