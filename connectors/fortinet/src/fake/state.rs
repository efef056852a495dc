//! What only the device's administrator sees and does.

use sdk::fake::{FakeEntry, FakeState, Server, Switch};
use sdk::indicator::{Kind, Value};
use serde_json::json;

use super::feed::Line;
use super::profile::{SWITCHES, position};
use super::table::Rules;
use super::{Shared, lock};

const GROUPS: [(&str, &str); 2] = [
    ("firewall/addrgrp", "firewall/address"),
    ("firewall/addrgrp6", "firewall/address6"),
];

const FEEDS: [&str; 4] = ["cordon-ip", "cordon-domain", "cordon-url", "cordon-hash"];

/// The firewalls of one fake; what tests look at is the first VDOM of the first of them.
pub(super) struct Fortigates {
    devices: Vec<Shared>,
    /// Kept so that they go on running.
    _others: Vec<Server>,
    vdom: String,
    feeds_are_ours: bool,
}

impl Fortigates {
    pub(super) fn new(
        devices: Vec<Shared>,
        others: Vec<Server>,
        vdom: String,
        feeds_are_ours: bool,
    ) -> Self {
        Self {
            devices,
            _others: others,
            vdom,
            feeds_are_ours,
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
            "cordon-ip" => &[Kind::Ipv4, Kind::Ipv6],
            "cordon-domain" => &[Kind::Domain],
            "cordon-url" => &[Kind::Url],
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

    fn with_device<T>(&self, act: impl FnOnce(&mut super::Device) -> T) -> Option<T> {
        self.devices.first().map(|device| act(&mut lock(device)))
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
        SWITCHES.to_vec()
    }

    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry> {
        if mechanism == "address-group" {
            return self
                .blocked_objects()
                .into_iter()
                .map(|(.., entry)| entry)
                .collect();
        }
        let mut entries = Vec::new();
        self.with_device(|device| {
            for feed in FEEDS {
                for line in device.acting(&self.vdom, feed) {
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
            if mechanism != "address-group" {
                let feed = Self::feed_of(value.kind());
                if self.feeds_are_ours || held.tables.row("system/external-resource", feed).is_none() {
                    return false;
                }
                let lines = held.feeds.0.entry(feed.to_owned()).or_default();
                let text = value.to_string();
                // Two equal lines cannot be told apart: nobody can own one of them.
                if lines.iter().any(|line| line.text == text) {
                    return false;
                }
                lines.push(Line { text, by_hand: true });
                return true;
            }
            let number = held.tables.table("firewall/address").len() + held.tables.table("firewall/address6").len();
            let name = format!("by hand {number}");
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
            if held.tables.create(objects, &body, &rules).is_err() {
                return false;
            }
            let member = json!({ "name": name });
            if held.tables.row(groups, group).is_some() {
                held.tables.add_member(groups, group, &member, &rules).is_ok()
            } else {
                let body = json!({ "name": group, "member": [member] });
                held.tables.create(groups, &body, &rules).is_ok()
            }
        })
        .unwrap_or(false)
    }

    fn remove(&self, mechanism: &str, value: &Value) -> bool {
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
        self.with_device(|device| {
            let Some(held) = device.vdoms.get_mut(&self.vdom) else {
                return;
            };
            let objects = if matches!(value, Value::Ipv6(_)) {
                GROUPS[1]
            } else {
                GROUPS[0]
            };
            for (group, name) in &found {
                if let Some(row) = held.tables.row_mut(objects.0, group) {
                    let mut members = row.members();
                    members.retain(|member| member != name);
                    row.set_members(&members);
                }
                held.tables.forget(objects.1, name);
            }
        });
        !found.is_empty()
    }

    /// API keys of a FortiGate do not end, and there are no sessions behind them.
    fn expire_sessions(&self) {}

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
                    if !FEEDS.contains(&row.name()) {
                        let lines = held.feeds.0.get(row.name()).map_or(0, Vec::len);
                        *elsewhere.entry(row.text("type").to_owned()).or_default() += lines;
                    }
                }
            }
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
            for held in device.vdoms.values_mut() {
                let pushed: Vec<String> = held
                    .tables
                    .table("system/external-resource")
                    .iter()
                    .filter(|row| row.text("update-method") == "push")
                    .map(|row| row.name().to_owned())
                    .collect();
                if volatile {
                    held.feeds.0.retain(|name, _| !pushed.contains(name));
                }
            }
            device.banned.clear();
            device.lockout = super::device::LockoutState::default();
        }
    }
}
