//! One FortiGate: who may talk to it, and where a request goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::Clock;
use sdk::fake::Switches;
use serde_json::{Map, Value as Json, json};

use super::ban::Ban;
use super::feed::Feeds;
use super::profile::{Profile, position};
use super::pull::Pull;
use super::schema;
use super::table::{Refused, Rules, Tables, key};
use super::transaction::Transactions;
use super::wire::{Ask, Reply, passes, shaped};

/// Wrong keys that bring a lockout (`admin-lockout-threshold`).
const LOCKOUT_THRESHOLD: u32 = 3;
/// The first lockout, in seconds (`admin-lockout-duration`); every further one is twice as long.
const LOCKOUT_SECONDS: i64 = 60;

/// What an administrator's profile grants on one access group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    None,
    Read,
    Write,
}

#[derive(Debug, Default)]
struct Lockout {
    failures: u32,
    first_failure: Option<DateTime<Utc>>,
    lockouts: u32,
    until: Option<DateTime<Utc>>,
}

/// One VDOM.
#[derive(Clone, Debug, Default)]
pub(super) struct Vdom {
    pub(super) tables: Tables,
    pub(super) feeds: Feeds,
    /// How pulls went, by feed.
    pub(super) pulls: BTreeMap<String, Pull>,
}

/// One FortiGate.
pub(super) struct Device {
    pub(super) profile: Profile,
    pub(super) clock: Clock,
    pub(super) switches: Switches,
    pub(super) serial: String,
    pub(super) key: String,
    pub(super) rights: BTreeMap<String, Right>,
    /// VDOMs that the API administrator may see; empty: all.
    pub(super) allowed_vdoms: Vec<String>,
    /// Whether the caller's address is among the administrator's trusted hosts.
    pub(super) trusted: bool,
    pub(super) body_limit: usize,
    /// Most entries that one entry-list answer holds.
    pub(super) entry_page: usize,
    /// Most entries by feed type, where a test changed it.
    pub(super) feed_limits: BTreeMap<String, usize>,
    pub(super) vdoms: BTreeMap<String, Vdom>,
    pub(super) management_vdom: String,
    /// The folder that holds what the lists' server would show.
    pub(super) published: Option<PathBuf>,
    /// The lists' server does not answer.
    pub(super) server_down: bool,
    pub(super) banned: Vec<Ban>,
    /// Most bans.
    pub(super) ban_limit: usize,
    /// `banned-ip-persistency`.
    pub(super) persistency: String,
    pub(super) lockout: LockoutState,
    pub(super) transactions: Transactions,
}

/// Wrong keys counted so far.
#[derive(Debug, Default)]
pub(super) struct LockoutState(Lockout);

impl Device {
    /// Answers one request.
    pub(super) fn handle(&mut self, ask: &Ask) -> Reply {
        if let Some(refusal) = self.authenticate(ask) {
            return refusal;
        }
        if ask.body.len() > self.body_limit {
            return Reply::html(413, "Request Entity Too Large");
        }
        self.pull_what_is_due();
        let segments: Vec<&str> = ask.path.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["api", "v2", "cmdb"] => {
                self.in_vdoms(ask, |device, vdom| device.transaction_call(ask, vdom))
            }
            ["api", "v2", "cmdb", ..] => {
                self.in_vdoms(ask, |device, vdom| match &ask.transaction {
                    Some(id) => device.in_transaction(ask, id, vdom),
                    None => device.cmdb(ask, vdom),
                })
            }
            ["api", "v2", "monitor", rest @ ..] => {
                self.in_vdoms(ask, |device, vdom| device.monitor(ask, rest, vdom))
            }
            _ => Reply::html(404, "Not Found"),
        }
    }

    fn authenticate(&mut self, ask: &Ask) -> Option<Reply> {
        let now = self.clock.now();
        if self.lockout.0.until.is_some_and(|until| now < until) {
            return Some(Reply::html(429, "Too Many Requests"));
        }
        let query_token =
            self.profile.version < (7, 6, 1) || position(&self.switches, "query-token") == "on";
        let from_query = ask.parameter("access_token").filter(|_| query_token);
        let key = ask.bearer.as_deref().or(from_query);
        if key == Some(self.key.as_str()) && self.trusted {
            self.lockout = LockoutState::default();
            return None;
        }
        let lockout = &mut self.lockout.0;
        let within = lockout
            .first_failure
            .is_some_and(|first| now - first < TimeDelta::seconds(LOCKOUT_SECONDS));
        if !within {
            lockout.failures = 0;
            lockout.first_failure = Some(now);
        }
        lockout.failures += 1;
        if lockout.failures >= LOCKOUT_THRESHOLD {
            let seconds = LOCKOUT_SECONDS << lockout.lockouts.min(20);
            lockout.until = Some(now + TimeDelta::seconds(seconds));
            lockout.lockouts += 1;
            lockout.failures = 0;
            lockout.first_failure = None;
            return Some(Reply::html(429, "Too Many Requests"));
        }
        Some(if position(&self.switches, "unauthorised-body") == "json" {
            Reply::json(401, &json!({ "status": "error", "http_status": 401 }))
        } else {
            Reply::html(401, "Unauthorized")
        })
    }

    /// Runs a request in the VDOMs that it names; several answer with an array.
    fn in_vdoms(&mut self, ask: &Ask, mut one: impl FnMut(&mut Self, &str) -> Reply) -> Reply {
        let asked = ask
            .parameter("vdom")
            .unwrap_or(&self.management_vdom)
            .to_owned();
        let everywhere = asked == "*" || ask.parameter("global") == Some("1");
        let names: Vec<String> = if everywhere {
            self.vdoms
                .keys()
                .filter(|name| self.may_see(name))
                .cloned()
                .collect()
        } else {
            asked.split(',').map(str::to_owned).collect()
        };
        if names
            .iter()
            .any(|name| !self.vdoms.contains_key(name) || !self.may_see(name))
        {
            return Reply::json(
                403,
                &json!({ "status": "error", "http_status": 403, "error": -37 }),
            );
        }
        if !everywhere && let [name] = names.as_slice() {
            return one(self, name);
        }
        let mut bodies = Vec::new();
        let mut status = 200;
        for name in &names {
            let reply = one(self, name);
            status = status.max(reply.status);
            bodies.push(serde_json::from_str(&reply.body).unwrap_or(Json::Null));
        }
        Reply::json(status, &Json::Array(bodies))
    }

    fn may_see(&self, vdom: &str) -> bool {
        self.allowed_vdoms.is_empty() || self.allowed_vdoms.iter().any(|name| name == vdom)
    }

    /// Whether the administrator's profile grants so much on an access group.
    pub(super) fn granted(&self, group: &str, needed: Right) -> bool {
        self.rights.get(group).copied().unwrap_or(Right::Write) >= needed
    }

    pub(super) fn vdom(&self, name: &str) -> Option<&Vdom> {
        self.vdoms.get(name)
    }

    /// What every answer carries.
    pub(super) fn stamp(&self, vdom: &str) -> Map<String, Json> {
        let mut stamp = Map::new();
        stamp.insert("vdom".to_owned(), json!(vdom));
        stamp.insert("serial".to_owned(), json!(self.serial));
        stamp.insert("version".to_owned(), json!(self.profile.text()));
        stamp.insert("build".to_owned(), json!(self.profile.build));
        stamp
    }

    /// Answers a request on the configuration.
    pub(super) fn cmdb(&mut self, ask: &Ask, vdom: &str) -> Reply {
        let segments: Vec<&str> = ask.path.iter().map(String::as_str).collect();
        // A slash at the end names the collection all the same.
        let segments = match segments.as_slice() {
            [head @ .., ""] => head,
            whole => whole,
        };
        let [_, _, _, path, name, below @ ..] = segments else {
            return Reply::html(404, "Not Found");
        };
        let table = format!("{path}/{name}");
        if table == "firewall/global" {
            return self.global_settings(ask, vdom, below);
        }
        let Some(group) = schema::access_group(&table) else {
            return self.refuse(ask, vdom, &table, None, &Refused::bare(404));
        };
        let needed = if ask.method == "GET" {
            Right::Read
        } else {
            Right::Write
        };
        if !self.granted(group, needed) {
            return self.refuse(ask, vdom, &table, None, &Refused::bare(403));
        }
        // Rows with a number, and the rows of their child table, have no other address.
        let keys = [below.first(), below.get(2)];
        let is_number = |key: &&str| key.parse::<u32>().is_ok();
        if schema::key_of(&table) == "id" && !keys.into_iter().flatten().all(is_number) {
            let mkey = below.last().copied();
            return self.refuse(ask, vdom, &table, mkey, &Refused::new(500, -651));
        }
        if ask.method == "GET" {
            return self.cmdb_get(ask, vdom, &table, below);
        }
        let body = if ask.body.is_empty() {
            json!({})
        } else {
            match serde_json::from_slice::<Json>(&ask.body) {
                Ok(body) => body.get("json").cloned().unwrap_or(body),
                Err(_) => return self.refuse(ask, vdom, &table, None, &Refused::bare(424)),
            }
        };
        self.cmdb_write(ask, vdom, &table, below, &body)
    }

    /// The one settings object that the fake has: its results are an object, not an array.
    fn global_settings(&self, ask: &Ask, vdom: &str, below: &[&str]) -> Reply {
        let table = "firewall/global";
        if self.profile.version < (7, 2, 1) || !below.is_empty() {
            return self.refuse(ask, vdom, table, None, &Refused::bare(404));
        }
        if !self.granted("fwgrp", Right::Read) {
            return self.refuse(ask, vdom, table, None, &Refused::bare(403));
        }
        if ask.method != "GET" {
            return self.refuse(ask, vdom, table, None, &Refused::bare(405));
        }
        let mut body = self.envelope(ask, vdom, table);
        body.insert(
            "results".to_owned(),
            json!({ "banned-ip-persistency": self.persistency }),
        );
        body.insert("status".to_owned(), json!("success"));
        body.insert("http_status".to_owned(), json!(200));
        Reply::json(200, &Json::Object(body))
    }

    fn cmdb_get(&self, ask: &Ask, vdom: &str, table: &str, below: &[&str]) -> Reply {
        let Some(tables) = self.vdom(vdom).map(|vdom| &vdom.tables) else {
            return Reply::html(404, "Not Found");
        };
        let rows: Vec<Map<String, Json>> = match below {
            [] => tables
                .table(table)
                .iter()
                .map(|row| row.fields.clone())
                .collect(),
            [name] => match tables.row(table, name) {
                Some(row) => vec![row.fields.clone()],
                None => return self.refuse(ask, vdom, table, Some(name), &Refused::bare(404)),
            },
            [name, child, rest @ ..] if schema::child_of(table) == Some(child) => {
                let Some(row) = tables.row(table, name) else {
                    return self.refuse(ask, vdom, table, Some(name), &Refused::bare(404));
                };
                let wanted: Vec<_> = row
                    .children(child)
                    .iter()
                    .filter(|row| rest.is_empty() || rest == [key(row)])
                    .filter_map(|row| row.as_object().cloned())
                    .collect();
                if wanted.is_empty() && !rest.is_empty() {
                    return self.refuse(ask, vdom, table, Some(name), &Refused::bare(404));
                }
                wanted
            }
            _ => return self.refuse(ask, vdom, table, None, &Refused::bare(404)),
        };
        let size = rows.len();
        let mut matched = Vec::new();
        for row in &rows {
            match passes(row, ask) {
                Ok(true) => matched.push(Json::Object(shaped(row, ask))),
                Ok(false) => {}
                Err(_) if position(&self.switches, "unknown-filter-operator") == "error" => {
                    return self.refuse(ask, vdom, table, None, &Refused::new(500, -651));
                }
                Err(_) => matched.push(Json::Object(shaped(row, ask))),
            }
        }
        let found = matched.len();
        let start = ask.number("start").unwrap_or(0).min(found);
        let count = ask.number("count").unwrap_or(found);
        let page: Vec<Json> = matched.into_iter().skip(start).take(count).collect();
        let next = start + page.len();
        let mut body = self.envelope(ask, vdom, table);
        // 6.0 had none of these three.
        body.insert("size".to_owned(), json!(size));
        body.insert("matched_count".to_owned(), json!(found));
        body.insert("next_idx".to_owned(), json!(next));
        body.insert("results".to_owned(), Json::Array(page));
        body.insert("status".to_owned(), json!("success"));
        body.insert("http_status".to_owned(), json!(200));
        Reply::json(200, &Json::Object(body))
    }

    fn cmdb_write(
        &mut self,
        ask: &Ask,
        vdom: &str,
        table: &str,
        below: &[&str],
        body: &Json,
    ) -> Reply {
        let profile = self.profile;
        let switches = self.switches.clone();
        let rules = Rules {
            profile: &profile,
            switches: &switches,
            by_hand: false,
        };
        let Some(tables) = self.vdoms.get_mut(vdom).map(|vdom| &mut vdom.tables) else {
            return Reply::html(404, "Not Found");
        };
        let old = tables.revision(table);
        let child = schema::child_of(table);
        let done: Result<Option<String>, Refused> = match (ask.method.as_str(), below) {
            ("POST", []) => match body {
                Json::Array(rows) if position(&switches, "array-body") == "accepted" => rows
                    .iter()
                    .try_for_each(|row| tables.create(table, row, &rules).map(drop))
                    .map(|()| None),
                Json::Array(_) => Err(Refused::new(500, -651)),
                row => tables.create(table, row, &rules).map(Some),
            },
            ("PUT", [name]) => tables
                .update(table, name, body, &rules)
                .map(|(name, _)| Some(name)),
            ("DELETE", []) => {
                tables.purge(table);
                Ok(None)
            }
            ("DELETE", [name]) => tables
                .delete(table, name, &rules)
                .map(|()| Some((*name).to_owned())),
            // A name with a bare slash is routed like a child path, and there is no such child.
            (_, [_, column, ..]) if child != Some(column) => Err(Refused::bare(404)),
            ("POST", [name, column]) => tables
                .add_child(table, name, column, body, &rules)
                .map(Some),
            ("DELETE", [name, column]) => tables
                .clear_children(table, name, column, &rules)
                .map(|()| Some((*name).to_owned())),
            ("DELETE", [name, column, row]) => tables
                .remove_child(table, name, column, row, &rules)
                .map(|()| Some((*row).to_owned())),
            _ => Err(Refused::bare(405)),
        };
        let mkey = below.last().copied();
        match done {
            Ok(name) => {
                if ask.method == "DELETE" && table == "system/external-resource" {
                    self.drop_feed_content(vdom);
                }
                if ask.method == "PUT"
                    && table == "system/external-resource"
                    && let Some(feed) = &name
                {
                    self.read_feed_again(vdom, feed);
                }
                let mut answer = self.envelope(ask, vdom, table);
                let new = self
                    .vdom(vdom)
                    .map(|vdom| vdom.tables.revision(table))
                    .unwrap_or_default();
                answer.insert("revision_changed".to_owned(), json!(new != old));
                answer.insert("old_revision".to_owned(), json!(old));
                if let Some(name) = name {
                    answer.insert("mkey".to_owned(), json!(name));
                }
                answer.insert("status".to_owned(), json!("success"));
                answer.insert("http_status".to_owned(), json!(200));
                Reply::json(200, &Json::Object(answer))
            }
            Err(refused) => self.refuse(ask, vdom, table, mkey, &refused),
        }
    }

    fn envelope(&self, ask: &Ask, vdom: &str, table: &str) -> Map<String, Json> {
        let (path, name) = table.split_once('/').unwrap_or((table, ""));
        let mut body = self.stamp(vdom);
        let revision = self
            .vdom(vdom)
            .map(|vdom| vdom.tables.revision(table))
            .unwrap_or_default();
        body.insert("http_method".to_owned(), json!(ask.method));
        body.insert("revision".to_owned(), json!(revision));
        body.insert("path".to_owned(), json!(path));
        body.insert("name".to_owned(), json!(name));
        body
    }

    pub(super) fn refuse(
        &self,
        ask: &Ask,
        vdom: &str,
        table: &str,
        mkey: Option<&str>,
        refused: &Refused,
    ) -> Reply {
        let mut body = self.envelope(ask, vdom, table);
        body.insert("status".to_owned(), json!("error"));
        body.insert("http_status".to_owned(), json!(refused.status));
        if ask.method != "GET" {
            body.insert("revision_changed".to_owned(), json!(false));
        }
        if let Some(error) = refused.error {
            body.insert("error".to_owned(), json!(error));
        }
        if let Some(words) = &refused.cli_error {
            body.insert("cli_error".to_owned(), json!(words));
        }
        if let Some(mkey) = mkey {
            body.insert("mkey".to_owned(), json!(mkey));
        }
        Reply::json(refused.status, &Json::Object(body))
    }
}
