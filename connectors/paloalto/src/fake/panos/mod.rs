//! A fake PAN-OS firewall, alone or behind a Panorama.
//!
//! Two administrators: `svc-cordon`, whose key and password stand in the configuration, and `ana`, with the password
//! `Correct&Horse+1%`, who may do everything. `GET /fake` tells what a device has no call for: its log, how often
//! jobs were asked for too fast, how many keys were generated, how many calls were in hand at once; `GET
//! /fake/blocked?value=…` whether something is blocked; `GET /fake/set?serial=…` cuts a firewall off from Panorama
//! (`&connected=no`, `yes`), or moves it to another state in its pair (`&pair=passive`). `GET /fake/set` also sets how the
//! server of the lists answers (`?publisher=401`), whom it lets in (`?login=name:password`) and whose certificate it shows
//! (`?authority=…`, `Lists CA` at first), and holds answers to calls back (`?hold=yes`, `no`).
//!
//! Settings:
//!
//! | name | what | default |
//! |---|---|---|
//! | `sw_version` | PAN-OS version | `10.2.9` |
//! | `model` | model, which decides how many addresses can be registered | `PA-3440` |
//! | `vsys` | virtual systems | `["vsys1"]` |
//! | `rights` | rights of `svc-cordon`: `user-id`, `op`, `config`, `commit` | all |
//! | `login` | `key` or `password`: what the configuration holds | `key` |
//! | `key_lifetime` | minutes that a generated key holds | unlimited |
//! | `panorama` | serial numbers of firewalls behind a Panorama, which is then what answers | none |
//! | `device_group` | name of a device group of Panorama that all these firewalls are in | none |
//! | `push_refused_by` | serial numbers of firewalls that refuse every push | none |
//! | `disconnected` | serial numbers that Panorama has no connection to | none |
//! | `pair` | state in a high-availability pair: `active`, `passive` | none |
//! | `rules` | whether groups and lists are made and used by deny rules | true |
//! | `others` | addresses that somebody else registered, for other rules | 3 |
//! | `refuses_commits` | whether every commit fails in validation | false |
//! | `polls` | whether the device fetches lists at their interval by itself | false |
//! | `sixth_call` | the answer to a call while five others are in hand: `http-503`, `http-429`, `code-14` | `http-503` |

mod control;
mod firewall;
mod folder;
mod jobs;
mod lists;
mod operate;
mod panorama;
mod profile;
mod publisher;
mod registered;
mod rest;
mod schema;
mod site;
mod state;
mod tree;
mod turns;
mod wire;
mod xml;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::request::Parts;
use axum::routing::{any, get};
use chrono::TimeDelta;
use sdk::fake::FakeOptions;
use sdk::{Error, Result};
use serde_json::{Map, json};

use super::Part;
use firewall::Firewall;
use folder::Folder;
use jobs::{Jobs, Locks};
use lists::Lists;
use panorama::Panorama;
use publisher::Publisher;
use registered::Table;
use site::Site;
use tree::Config;
use turns::Turns;
use wire::{Call, Reply};
use xml::Node;

pub(in crate::fake) use profile::{SWITCHES, of as switches};

/// Its settings.
pub(super) const SETTINGS: &[&str] = &[
    "sw_version",
    "model",
    "vsys",
    "rights",
    "login",
    "key_lifetime",
    "panorama",
    "device_group",
    "push_refused_by",
    "disconnected",
    "pair",
    "rules",
    "others",
    "refuses_commits",
    "polls",
    "sixth_call",
];

/// Largest body read at all.
const READ_LIMIT: usize = 64 << 20;

#[derive(Clone)]
struct Shared {
    site: Arc<Mutex<Site>>,
    turns: Arc<Turns>,
}

impl Shared {
    /// A panic in one test must not hide what another asks.
    fn lock(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes it. `key` is the API key that it takes.
pub(super) fn part(options: &FakeOptions, key: &str) -> Result<Part> {
    let clock = options.clock.clone();
    let password = format!("P&ss+w%rd {}", key.len());
    let mut site = Site::new(clock, options.switches.clone(), key, password.clone());
    if let Some(rights) = options.setting::<Option<Vec<String>>>("rights", None)? {
        site.rights = rights.into_iter().collect();
    }
    let lifetime: Option<i64> = options.setting("key_lifetime", None)?;
    site.key_lifetime = lifetime.map(TimeDelta::minutes);
    let serials: Vec<String> = options.setting("panorama", Vec::new())?;
    site.disconnected = options
        .setting::<Vec<String>>("disconnected", Vec::new())?
        .into_iter()
        .collect();
    let folder = Folder::new(key)?;
    let directory = folder.path().to_owned();
    let names = if serials.is_empty() {
        vec!["012801000001".to_owned()]
    } else {
        serials.clone()
    };
    for serial in names {
        site.firewalls.push(firewall(options, serial, &directory)?);
    }
    if !serials.is_empty() {
        let panorama = panorama(options, &directory)?;
        if !panorama.group.is_empty() {
            for firewall in &mut site.firewalls {
                firewall.pushed = Some(Config::new(panorama.plane.config.active.clone()));
            }
        }
        site.panorama = Some(panorama);
    }
    let mut configuration = Map::new();
    let login: String = options.setting("login", "key".to_owned())?;
    configuration.insert("username".to_owned(), json!(site::OURS));
    if login == "password" {
        configuration.insert("password".to_owned(), json!(password));
        configuration.insert("api_key".to_owned(), json!(null));
    }
    match site.panorama.as_ref().map(|it| it.group.as_str()) {
        None => {}
        Some("") => {
            configuration.insert("target".to_owned(), json!(serials));
        }
        Some(group) => {
            configuration.insert("device_group".to_owned(), json!(group));
        }
    }
    let vsys: Vec<String> = options.setting("vsys", vec!["vsys1".to_owned()])?;
    if vsys.len() > 1 {
        configuration.insert("vsys".to_owned(), json!(vsys));
    }
    configuration.insert("publish".to_owned(), json!({ "directory": directory }));
    let sixth: String = options.setting("sixth_call", "http-503".to_owned())?;
    let shared = Shared {
        site: Arc::new(Mutex::new(site)),
        turns: Arc::new(Turns::new(&sixth)?),
    };
    let router = Router::new()
        .route("/api/", any(answer))
        .route("/api", any(answer))
        .route(
            "/restapi/{*resource}",
            get(answer).post(answer).put(answer).delete(answer),
        )
        .route("/fake", get(control::told))
        .route("/fake/blocked", get(control::blocked))
        .route("/fake/set", get(control::set))
        .with_state(shared.clone());
    Ok(Part {
        router,
        state: Arc::new(state::Devices::new(shared, folder)),
        configuration,
    })
}

fn firewall(
    options: &FakeOptions,
    serial: String,
    directory: &std::path::Path,
) -> Result<Firewall> {
    let vsys: Vec<String> = options.setting("vsys", vec!["vsys1".to_owned()])?;
    let rules: bool = options.setting("rules", true)?;
    let others: usize = options.setting("others", 3)?;
    let now = options.clock.now();
    let config = fixture(&vsys, rules)
        .ok_or_else(|| Error::internal("the fake's own configuration is malformed"))?;
    let mut tables: BTreeMap<String, Table> = vsys
        .iter()
        .map(|name| (name.clone(), Table::default()))
        .collect();
    for table in tables.values_mut() {
        let entries: String = (0..others)
            .map(|number| {
                let (third, last) = (number / 250, number % 250 + 1);
                format!("<entry ip=\"10.77.{third}.{last}\"><tag><member>corp-quarantine</member></tag></entry>")
            })
            .collect();
        let document = format!(
            "<uid-message><type>update</type><payload><register>{entries}</register></payload></uid-message>"
        );
        let known = options.switches.clone();
        let by_hand = registered::Rules {
            version: (10, 2),
            now,
            capacity: usize::MAX,
            by_hand: true,
            position: &|switch| known.get(switch),
        };
        if others > 0 {
            table.take(&document, &by_hand, &mut Vec::new());
        }
    }
    let model: String = options.setting("model", "PA-3440".to_owned())?;
    let mut firewall = Firewall {
        capacity: profile::capacity(&model),
        model,
        serial,
        pair: options.setting("pair", String::new())?,
        tables,
        polls: options.setting("polls", false)?,
        ..plane(options, config, directory)?
    };
    // Where objects go to a device group, what stands in their way stands there.
    if options
        .setting::<String>("device_group", String::new())?
        .is_empty()
    {
        disturb(&mut firewall, "vsys/entry[@name='vsys1']");
    }
    Ok(firewall)
}

/// A Panorama, with a device group if one is wanted.
fn panorama(options: &FakeOptions, directory: &std::path::Path) -> Result<Panorama> {
    let group: String = options.setting("device_group", String::new())?;
    let config = panorama::fixture(&group, options.setting("rules", true)?)
        .ok_or_else(|| Error::internal("the fake's own configuration is malformed"))?;
    let mut plane = Firewall {
        model: "Panorama".to_owned(),
        serial: "000000000001".to_owned(),
        hostname: "panorama".to_owned(),
        ..plane(options, config, directory)?
    };
    if !group.is_empty() {
        disturb(&mut plane, &format!("device-group/entry[@name='{group}']"));
    }
    let refused_by: Vec<String> = options.setting("push_refused_by", Vec::new())?;
    Ok(Panorama {
        plane,
        group,
        refused_by: refused_by.into_iter().collect(),
    })
}

/// A management plane without anything to manage.
fn plane(options: &FakeOptions, config: Node, directory: &std::path::Path) -> Result<Firewall> {
    Ok(Firewall {
        clock: options.clock.clone(),
        switches: options.switches.clone(),
        version_text: options.setting("sw_version", "10.2.9".to_owned())?,
        capacity: 0,
        model: String::new(),
        serial: String::new(),
        hostname: "edge-fw".to_owned(),
        pair: String::new(),
        tables: BTreeMap::new(),
        config: Config::new(config),
        pushed: None,
        committed: Vec::new(),
        jobs: Jobs::default(),
        commit_locks: Locks::default(),
        config_locks: Locks::default(),
        lists: Lists {
            contents: BTreeMap::new(),
            publisher: Publisher::new(directory.to_owned()),
        },
        polls: false,
        refuses_commits: options.setting("refuses_commits", false)?,
        busy: 0,
        stopped: false,
        log: Vec::new(),
    })
}

/// Puts what the switches say in the way of changes at a place.
fn disturb(firewall: &mut Firewall, place: &str) {
    if firewall.position(&profile::BUSY) == "twice" {
        firewall.busy = 2;
    }
    if firewall.position(&profile::DRAFT) == "pending" {
        let path = format!("/config/devices/entry[@name='localhost.localdomain']/{place}/address");
        let draft =
            Node::entry("draft-of-ana").with([Node::with_text("ip-netmask", "45.155.205.9")]);
        if let Some(path) = tree::path(&path) {
            let now = firewall.now();
            // A valid object of another administrator: nothing can refuse it.
            let _ = firewall
                .config
                .change("set", &path, &[draft], site::OTHER.0, now);
        }
    }
}

/// What an administrator has set up before we come.
fn fixture(vsys: &[String], rules: bool) -> Option<Node> {
    let ours = if rules {
        "<entry name='cordon-dynamic'><dynamic><filter>'cordon-a' or 'cordon-b'</filter></dynamic></entry>\
         <entry name='cordon-1'><static><member>cordon-placeholder</member></static></entry>\
         <entry name='cordon-2'><static><member>cordon-placeholder</member></static></entry>"
    } else {
        ""
    };
    let deny = if rules {
        "<entry name='block-cordon'><source><member>any</member></source>\
         <destination><member>cordon-dynamic</member><member>cordon-1</member><member>cordon-2</member><member>cordon-ip</member></destination>\
         <action>deny</action></entry>"
    } else {
        ""
    };
    let lists = if rules {
        "<entry name='cordon-ip'><type><ip><url>https://lists.example/cordon-ip.txt</url><recurring><five-minute/></recurring></ip></type></entry>\
         <entry name='cordon-domain'><type><domain><url>https://lists.example/cordon-domain.txt</url><recurring><five-minute/></recurring></domain></type></entry>\
         <entry name='cordon-url'><type><url><url>https://lists.example/cordon-url.txt</url><recurring><five-minute/></recurring></url></type></entry>"
    } else {
        ""
    };
    let used = if rules {
        "<custom-list-use><member>cordon-domain</member><member>cordon-url</member></custom-list-use>"
    } else {
        ""
    };
    let systems: String = vsys
        .iter()
        .map(|name| {
            format!(
                "<entry name='{name}'>\
                 <address>\
                 <entry name='web-server'><ip-netmask>198.18.5.10</ip-netmask><description>intranet</description></entry>\
                 <entry name='cordon-placeholder'><ip-netmask>192.0.2.255/32</ip-netmask></entry>\
                 </address>\
                 <address-group>\
                 <entry name='Servers'><static><member>web-server</member></static></entry>\
                 <entry name='quarantine'><dynamic><filter>'corp-quarantine'</filter></dynamic></entry>\
                 {ours}</address-group>\
                 <tag><entry name='corp'/></tag>\
                 <external-list>{lists}</external-list>\
                 <profiles>{used}</profiles>\
                 <rulebase><security><rules>\
                 <entry name='allow-web'><source><member>any</member></source><destination><member>Servers</member></destination><action>allow</action></entry>\
                 {deny}</rules></security></rulebase></entry>"
            )
        })
        .collect();
    Node::parse(&format!(
        "<config><devices><entry name='localhost.localdomain'><vsys>{systems}</vsys></entry></devices><shared/></config>"
    ))
}

/// A call of either API.
async fn answer(State(shared): State<Shared>, request: Request) -> Response<Body> {
    let _place = match shared.turns.take().await {
        Ok(place) => place,
        Err(refusal) => return refusal.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, READ_LIMIT).await else {
        return Reply::status(413, "Request Entity Too Large").into_response();
    };
    match parts.uri.path().strip_prefix("/restapi/") {
        Some(path) => shared.lock().rest(&rest::Call {
            method: parts.method.as_str(),
            path,
            query: parts.uri.query().unwrap_or_default(),
            key: parts
                .headers
                .get("x-pan-key")
                .and_then(|key| key.to_str().ok()),
            body: &body,
        }),
        None => handle(&shared, &parts, &body).into_response(),
    }
}

/// A call of the XML API.
fn handle(shared: &Shared, parts: &Parts, body: &[u8]) -> Reply {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let call = match Call::read(
        parts.method.as_str(),
        parts.uri.query().unwrap_or_default(),
        body,
    ) {
        Ok(call) => call,
        Err(reply) => return reply,
    };
    let basic = header("authorization").and_then(wire::basic);
    shared.lock().answer(&call, header("x-pan-key"), basic)
}
