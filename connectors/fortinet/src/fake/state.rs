//! What only the device's administrator sees and does.

use sdk::fake::{FakeEntry, FakeState, Server, Switch, Switches};
use sdk::indicator::{Kind, Value};
use serde_json::json;
use tempfile::TempDir;

use super::feed::Line;
use super::manager::SharedManager;
use super::profile::position;
use super::table::{Rules, Tables};
use super::{Shared, lock};

const GROUPS: [(&str, &str); 2] = [
    ("firewall/addrgrp", "firewall/address"),
    ("firewall/addrgrp6", "firewall/address6"),
];

const LISTS: [&str; 4] = [
    "cordon-list-ip",
    "cordon-list-domain",
    "cordon-list-url",
    "cordon-list-hash",
];

/// Values that stand for nothing in the world.
const NOTHING: [&str; 4] = [
    "192.0.2.1",
    "cordon-placeholder.invalid",
    "http://cordon-placeholder.invalid/",
    "00000000000000000000000000000000",
];

const FEEDS: [&str; 4] = ["cordon-ip", "cordon-domain", "cordon-url", "cordon-hash"];

/// The firewalls of one fake; what tests look at is the first VDOM of the first of them.
pub(super) struct Fortigates {
    devices: Vec<Shared>,
    /// Kept so that they go on running.
    _others: Vec<Server>,
    vdom: String,
    feeds_are_ours: bool,
    switches: Vec<Switch>,
    /// Kept so that the published lists stay as long as the fake.
    _own_folder: Option<TempDir>,
    manager: Option<SharedManager>,
}

impl Fortigates {
    pub(super) fn new(
        devices: Vec<Shared>,
        others: Vec<Server>,
        vdom: String,
        feeds_are_ours: bool,
        switches: Vec<Switch>,
        own_folder: Option<TempDir>,
        manager: Option<SharedManager>,
    ) -> Self {
        Self {
            devices,
            _others: others,
            vdom,
            feeds_are_ours,
            switches,
            _own_folder: own_folder,
            manager,
        }
    }

    fn feed_of(kind: Kind) -> &'static str {
        match kind {
            Kind::Ipv4 | Kind::Ipv6 => FEEDS[0],
            Kind::Domain => FEEDS[1],
            Kind::Url => FEEDS[2],
            _ => FEEDS[3],
        }
    }

    fn read_line(feed: &str, line: &str) -> Option<Value> {
        let kinds: &[Kind] = match feed {
            "cordon-ip" | "cordon-list-ip" => &[Kind::Ipv4, Kind::Ipv6],
            "cordon-domain" | "cordon-list-domain" => &[Kind::Domain],
            "cordon-url" | "cordon-list-url" => &[Kind::Url],
            _ => &[Kind::Md5, Kind::Sha1, Kind::Sha256],
        };
        let text = line.split_whitespace().next()?;
        kinds.iter().find_map(|kind| Value::parse(*kind, text).ok())
    }

    /// What an address object stands for.
    fn read_object(table: &str, row: &super::table::Row) -> Option<Value> {
        match row.text("type") {
            "ipmask" => {
                let (address, mask) = row.text("subnet").split_once(' ')?;
                let mask: std::net::Ipv4Addr = mask.parse().ok()?;
                let length = u32::from(mask).leading_ones();
                Value::parse(Kind::Ipv4, &format!("{address}/{length}")).ok()
            }
            "ipprefix" if table == "firewall/address6" => {
                Value::parse(Kind::Ipv6, row.text("ip6")).ok()
            }
            "fqdn" => Value::parse(Kind::Domain, row.text("fqdn")).ok(),
            _ => None,
        }
    }

    fn manager(&self) -> Option<(std::sync::MutexGuard<'_, super::manager::Manager>, Switches)> {
        let manager = self.manager.as_ref()?;
        let manager = manager
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let switches = manager.switches.clone();
        Some((manager, switches))
    }

    fn with_device<T>(&self, act: impl FnOnce(&mut super::Device) -> T) -> Option<T> {
        self.devices.first().map(|device| act(&mut lock(device)))
    }

    /// Somebody takes a line out of the published file, and the device pulls it.
    fn unpublish(&self, value: &Value) -> bool {
        let feed = match Self::feed_of(value.kind()) {
            "cordon-ip" => LISTS[0],
            "cordon-domain" => LISTS[1],
            "cordon-url" => LISTS[2],
            _ => LISTS[3],
        };
        self.with_device(|device| {
            let path = device.published.as_ref()?.join(format!("{feed}.txt"));
            let text = std::fs::read_to_string(&path).ok()?;
            let other = |line: &&str| Self::read_line(feed, line).as_ref() != Some(value);
            let kept: String = text
                .lines()
                .filter(other)
                .map(|line| format!("{line}\n"))
                .collect();
            if kept.len() == text.len() {
                return None;
            }
            std::fs::write(&path, &kept).ok()?;
            if let Some(lines) = device.vdoms.get_mut(&self.vdom)?.feeds.0.get_mut(feed) {
                lines.retain(|line| other(&line.text.as_str()));
            }
            Some(())
        })
        .flatten()
        .is_some()
    }

    fn banned(&self, device: &super::Device) -> Vec<FakeEntry> {
        device
            .bans(&self.vdom)
            .into_iter()
            .filter_map(|ban| {
                let kind = if ban.address.is_ipv4() {
                    Kind::Ipv4
                } else {
                    Kind::Ipv6
                };
                Some(FakeEntry {
                    value: Value::parse(kind, &ban.address.to_string()).ok()?,
                    foreign: ban.by_hand,
                    text: format!("{} {:?}", ban.source, ban.expires),
                })
            })
            .collect()
    }

    fn blocked_objects(&self) -> Vec<(Value, String, String, FakeEntry)> {
        let mut found = Vec::new();
        self.with_device(|device| {
            let Some(held) = device.vdom(&self.vdom) else {
                return;
            };
            for (groups, objects) in GROUPS {
                for group in held.tables.table(groups) {
                    if !group.name().starts_with("cordon-") {
                        continue;
                    }
                    for name in group.members() {
                        let Some(row) = held.tables.row(objects, &name) else {
                            continue;
                        };
                        let Some(value) = Self::read_object(objects, row) else {
                            continue;
                        };
                        // Reserved for documentation: no packet ever carries these two.
                        if matches!(value.to_string().as_str(), "192.0.2.1" | "2001:db8::1") {
                            continue;
                        }
                        let entry = FakeEntry {
                            value: value.clone(),
                            foreign: row.by_hand,
                            text: format!("{} {}", row.name(), row.text("comment")),
                        };
                        found.push((value, group.name().to_owned(), name, entry));
                    }
                }
            }
        });
        found
    }
}

impl FakeState for Fortigates {
    fn switches(&self) -> Vec<Switch> {
        self.switches.clone()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        if mechanism == "address-group" {
            return self
                .blocked_objects()
                .into_iter()
                .map(|(.., entry)| entry)
                .collect();
        }
        if mechanism == "ban" {
            return self
                .with_device(|device| self.banned(device))
                .unwrap_or_default();
        }
        let mut entries = Vec::new();
        let feeds = if mechanism == "feed" { LISTS } else { FEEDS };
        self.with_device(|device| {
            device.pull_what_is_due();
            for feed in feeds {
                for line in device.acting(&self.vdom, feed) {
                    if NOTHING.contains(&line.text.as_str()) {
                        continue;
                    }
                    if let Some(value) = Self::read_line(feed, &line.text) {
                        entries.push(FakeEntry {
                            value,
                            foreign: line.by_hand,
                            text: line.text,
                        });
                    }
                }
            }
        });
        entries
    }

    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool {
        let vdom = self.vdom.clone();
        if mechanism == "address-group"
            && let Some(manager) = self.manager()
        {
            let (mut manager, switches) = manager;
            let profile = manager.profile;
            let rules = Rules {
                profile: &profile,
                switches: &switches,
                by_hand: true,
            };
            // Committed and installed at once.
            if !manager.by_hand(|tables| make_by_hand(tables, value, &rules)) {
                return false;
            }
        }
        self.with_device(|device| {
            let switches = device.switches.clone();
            let profile = device.profile;
            let rules = Rules {
                profile: &profile,
                switches: &switches,
                by_hand: true,
            };
            let Some(held) = device.vdoms.get_mut(&vdom) else {
                return false;
            };
            // The published lists are wholly ours.
            if mechanism == "feed" {
                return false;
            }
            if mechanism == "ban" {
                return super::ban::by_hand(device, &vdom, value);
            }
            if mechanism != "address-group" {
                let feed = Self::feed_of(value.kind());
                if self.feeds_are_ours
                    || held.tables.row("system/external-resource", feed).is_none()
                {
                    return false;
                }
                let row = held.tables.row("system/external-resource", feed);
                let kind = row.map(|row| row.text("type").to_owned());
                let lines = held.feeds.0.entry(feed.to_owned()).or_default();
                let text = value.to_string();
                // Two equal lines cannot be told apart: nobody can own one of them.
                if lines.iter().any(|line| line.text == text) {
                    return false;
                }
                lines.push(Line::new(&kind.unwrap_or_default(), text, true));
                return true;
            }
            make_by_hand(&mut held.tables, value, &rules)
        })
        .unwrap_or(false)
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
        if mechanism == "feed" {
            return self.unpublish(value);
        }
        if mechanism == "ban" {
            let host = super::ban::host(value);
            return self
                .with_device(|device| {
                    let before = device.banned.len();
                    device.banned.retain(|ban| Some(ban.address) != host);
                    device.banned.len() < before
                })
                .unwrap_or(false);
        }
        if mechanism != "address-group" {
            let feed = Self::feed_of(value.kind());
            return self
                .with_device(|device| {
                    let Some(lines) = device
                        .vdoms
                        .get_mut(&self.vdom)
                        .and_then(|held| held.feeds.0.get_mut(feed))
                    else {
                        return false;
                    };
                    let before = lines.len();
                    lines.retain(|line| Self::read_line(feed, &line.text).as_ref() != Some(value));
                    lines.len() < before
                })
                .unwrap_or(false);
        }
        let found: Vec<(String, String)> = self
            .blocked_objects()
            .into_iter()
            .filter(|(held, ..)| held == value)
            .map(|(_, group, name, _)| (group, name))
            .collect();
        let objects = if matches!(value, Value::Ipv6(_)) {
            GROUPS[1]
        } else {
            GROUPS[0]
        };
        if let Some((mut manager, _)) = self.manager() {
            for (group, name) in &found {
                manager.by_hand(|tables| {
                    unmake_by_hand(tables, objects, group, name);
                    true
                });
            }
        }
        self.with_device(|device| {
            let Some(held) = device.vdoms.get_mut(&self.vdom) else {
                return;
            };
            for (group, name) in &found {
                unmake_by_hand(&mut held.tables, objects, group, name);
            }
        });
        !found.is_empty()
    }

    /// API keys of a FortiGate do not end, and there are no sessions behind them: a manager's sessions do.
    fn expire_sessions(&self) {
        if let Some((mut manager, _)) = self.manager() {
            manager.end_sessions();
        }
    }

    /// Sets the room beside what the administrator holds elsewhere.
    fn set_capacity(&self, capacity: usize) {
        let ours: Vec<String> = self
            .blocked_objects()
            .into_iter()
            .map(|(_, _, name, _)| name)
            .collect();
        for device in &self.devices {
            let device = &mut *lock(device);
            let mut elsewhere = std::collections::BTreeMap::<String, usize>::new();
            for held in device.vdoms.values() {
                for row in held.tables.table("system/external-resource") {
                    if !FEEDS.contains(&row.name()) && !LISTS.contains(&row.name()) {
                        let lines = held.feeds.0.get(row.name()).map_or(0, Vec::len);
                        *elsewhere.entry(row.text("type").to_owned()).or_default() += lines;
                    }
                }
            }
            device.ban_limit = capacity;
            for kind in ["address", "domain", "category", "malware"] {
                let others = if device.profile.shares_quota() {
                    elsewhere.get(kind).copied().unwrap_or(0)
                } else {
                    0
                };
                device
                    .feed_limits
                    .insert(kind.to_owned(), capacity + others);
            }
            for held in device.vdoms.values_mut() {
                let others = held
                    .tables
                    .table("firewall/address")
                    .iter()
                    .filter(|row| row.by_hand && !ours.iter().any(|name| name == row.name()))
                    .count();
                held.tables.address_limit = capacity + others;
            }
        }
    }

    fn reboot(&self) {
        for device in &self.devices {
            let device = &mut *lock(device);
            let volatile = position(&device.switches, "volatile-push") == "lost";
            let forgets = position(&device.switches, "pull-restart") == "lost";
            for held in device.vdoms.values_mut() {
                let lost: Vec<String> = held
                    .tables
                    .table("system/external-resource")
                    .iter()
                    .filter(|row| {
                        if row.text("update-method") == "push" {
                            volatile
                        } else {
                            forgets && row.text("resource").starts_with(super::pull::SERVER)
                        }
                    })
                    .map(|row| row.name().to_owned())
                    .collect();
                held.feeds.0.retain(|name, _| !lost.contains(name));
            }
            device.bans_after_restart();
            device.lockout = super::device::LockoutState::default();
        }
    }
}

/// An object that a person made, in the group that is ours.
fn make_by_hand(tables: &mut Tables, value: &Value, rules: &Rules<'_>) -> bool {
    let name = format!("by hand {value}").replace(':', "-");
    let (objects, groups, group, body) = match value {
        Value::Ipv4(net) => (
            "firewall/address",
            "firewall/addrgrp",
            "cordon-v4-001",
            json!({ "name": name, "subnet": net.to_string(), "comment": "by hand" }),
        ),
        Value::Ipv6(net) => (
            "firewall/address6",
            "firewall/addrgrp6",
            "cordon-v6-001",
            json!({ "name": name, "ip6": net.to_string(), "comment": "by hand" }),
        ),
        Value::Domain(domain) => (
            "firewall/address",
            "firewall/addrgrp",
            "cordon-fqdn-001",
            json!({ "name": name, "type": "fqdn", "fqdn": domain.as_str(), "comment": "by hand" }),
        ),
        _ => return false,
    };
    if tables.create(objects, &body, rules).is_err() {
        return false;
    }
    let member = json!({ "name": name });
    if tables.row(groups, group).is_some() {
        tables
            .add_child(groups, group, "member", &member, rules)
            .is_ok()
    } else {
        let body = json!({ "name": group, "member": [member] });
        tables.create(groups, &body, rules).is_ok()
    }
}

/// A person takes an object out of a group and deletes it.
fn unmake_by_hand(tables: &mut Tables, objects: (&str, &str), group: &str, name: &str) {
    if let Some(row) = tables.row_mut(objects.0, group) {
        let mut members = row.members();
        members.retain(|member| member != name);
        row.set_members(&members);
    }
    tables.forget(objects.1, name);
}
