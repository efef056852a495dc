//! The table of registered addresses of one virtual system, and the User-ID messages that change it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::{Kind, Value};

use super::profile;
use super::xml::Node;

/// Longest timeout in seconds.
const MONTH: i64 = 2_592_000;

/// Most tags on one address.
const MOST_TAGS: usize = 32;

/// Rows of one answer.
const PAGE: usize = 500;

/// What can be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    Host(IpAddr),
    Network(Ipv4Addr, u8),
    Range(Ipv4Addr, Ipv4Addr),
}

impl Address {
    /// Reads what a version takes; host bits of a network are masked.
    pub(super) fn read(text: &str, version: (u32, u32)) -> Option<Self> {
        if let Some((low, high)) = text.split_once('-') {
            let (low, high): (Ipv4Addr, Ipv4Addr) = (low.parse().ok()?, high.parse().ok()?);
            return (version >= (10, 0) && low <= high).then_some(Self::Range(low, high));
        }
        let Some((address, length)) = text.split_once('/') else {
            return Some(Self::Host(text.parse().ok()?));
        };
        let length: u8 = length.parse().ok()?;
        match address.parse().ok()? {
            IpAddr::V4(host) if length == 32 => Some(Self::Host(host.into())),
            IpAddr::V6(host) if length == 128 => Some(Self::Host(host.into())),
            IpAddr::V4(address) if version >= (10, 0) && length < 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Some(Self::Network(
                    Ipv4Addr::from(u32::from(address) & mask),
                    length,
                ))
            }
            _ => None,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Host(host) => host.to_string(),
            Self::Network(address, length) => format!("{address}/{length}"),
            Self::Range(low, high) => format!("{low}-{high}"),
        }
    }

    /// As a value, where it is one.
    pub(super) fn value(self) -> Option<Value> {
        let kind = match self {
            Self::Host(IpAddr::V6(_)) => Kind::Ipv6,
            _ => Kind::Ipv4,
        };
        Value::parse(kind, &self.text()).ok()
    }

    /// The address that a value is.
    pub(super) fn of(value: &Value) -> Option<Self> {
        Self::read(&value.to_string(), (10, 0))
    }

    /// Whether a host lies in it.
    pub(super) fn contains(self, host: IpAddr) -> bool {
        match (self, host) {
            (Self::Host(own), host) => own == host,
            (Self::Network(address, length), IpAddr::V4(host)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                u32::from(host) & mask == u32::from(address)
            }
            (Self::Range(low, high), IpAddr::V4(host)) => low <= host && host <= high,
            _ => false,
        }
    }
}

/// A tag on an address.
#[derive(Clone, Debug)]
pub(super) struct Tagged {
    /// `None`: never.
    pub(super) ends: Option<DateTime<Utc>>,
    persistent: bool,
    /// Whether a person registered it.
    pub(super) by_hand: bool,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub(super) BTreeMap<Address, BTreeMap<String, Tagged>>);

/// What decides how messages are taken.
pub(super) struct Rules<'a> {
    pub(super) version: (u32, u32),
    pub(super) now: DateTime<Utc>,
    pub(super) capacity: usize,
    pub(super) by_hand: bool,
    pub(super) position: &'a dyn Fn(&sdk::fake::Switch) -> String,
}

/// What a message came to.
pub(super) enum Taken {
    /// Everything.
    All,
    /// These were not: section, address, message.
    Complaints(Vec<(&'static str, String, String)>),
    /// The document is not one: code and text.
    Malformed(u16, String),
}

impl Table {
    /// Drops what has ended.
    pub(super) fn expire(&mut self, now: DateTime<Utc>) {
        self.0.retain(|_, tags| {
            tags.retain(|_, tag| tag.ends.is_none_or(|ends| ends > now));
            !tags.is_empty()
        });
    }

    pub(super) fn reboot(&mut self, timers_stop: bool) {
        self.0.retain(|_, tags| {
            tags.retain(|_, tag| tag.persistent);
            for tag in tags.values_mut().filter(|_| timers_stop) {
                tag.ends = None;
            }
            !tags.is_empty()
        });
    }

    /// Takes a message.
    pub(super) fn take(
        &mut self,
        document: &str,
        rules: &Rules<'_>,
        log: &mut Vec<String>,
    ) -> Taken {
        let Some(root) = Node::parse(document) else {
            return Taken::Malformed(18, "Malformed XML in User-ID message".to_owned());
        };
        let sections = (root.name == "uid-message" && root.text_of("type") == Some("update"))
            .then(|| root.child("payload"))
            .flatten();
        let Some(payload) = sections else {
            return Taken::Malformed(17, "Invalid User-ID message".to_owned());
        };
        let mut before = self.clone();
        let mut complaints = Vec::new();
        for section in &payload.children {
            match section.name.as_str() {
                "register" => self.register(section, rules, log, &mut complaints),
                "unregister" => self.unregister(section, rules, &mut complaints),
                _ => {
                    *self = before;
                    return Taken::Malformed(17, format!("unknown section {}", section.name));
                }
            }
        }
        let doubled = complaints
            .iter()
            .any(|(_, _, message)| message.ends_with("already exists, ignore"));
        if doubled && (rules.position)(&profile::DUPLICATE) == "reject-all" {
            // What the message unregisters is applied all the same.
            for section in payload.all("unregister") {
                before.unregister(section, rules, &mut Vec::new());
            }
            *self = before;
        }
        if complaints.is_empty() {
            Taken::All
        } else {
            Taken::Complaints(complaints)
        }
    }

    fn register(
        &mut self,
        section: &Node,
        rules: &Rules<'_>,
        log: &mut Vec<String>,
        complaints: &mut Vec<(&'static str, String, String)>,
    ) {
        for entry in section.all("entry") {
            let text = entry.attribute("ip").unwrap_or_default();
            let mut complain = |message: String| {
                complaints.push(("register", text.to_owned(), message));
            };
            let Some(address) = Address::read(text, rules.version) else {
                complain(format!("Failed to register ip {text}"));
                continue;
            };
            let persistent = entry.attribute("persistent") != Some("0");
            let members: Vec<&Node> = entry
                .child("tag")
                .map_or(Vec::new(), |tag| tag.all("member").collect());
            let is_new = !self.0.contains_key(&address);
            if is_new && self.0.len() >= rules.capacity {
                log.push(format!(
                    "critical: max registered-ip for the platform reached ({})",
                    rules.capacity
                ));
                if (rules.position)(&profile::OVERFLOW) != "silent" {
                    complain(format!("Failed to register ip {text}"));
                }
                continue;
            }
            let mut first: Option<String> = None;
            for member in members {
                if let Some(message) = self.register_one(address, member, persistent, rules) {
                    first.get_or_insert(message);
                }
            }
            if let Some(message) = first {
                complain(message);
            }
            if self.0.get(&address).is_some_and(BTreeMap::is_empty) {
                self.0.remove(&address);
            }
        }
    }

    fn register_one(
        &mut self,
        address: Address,
        member: &Node,
        persistent: bool,
        rules: &Rules<'_>,
    ) -> Option<String> {
        let tag = member.text.as_str();
        let shown = address.text();
        if tag.is_empty() || tag.len() > 127 {
            return Some(format!("tag {tag} ip {shown} is not valid"));
        }
        let ends = match member.attribute("timeout") {
            // Before 9.0 it is not known, and so the tag never ends.
            _ if rules.version < (9, 0) => None,
            None | Some("0") => None,
            Some(text) => match text.parse::<i64>() {
                Ok(seconds) if seconds > MONTH => {
                    if (rules.position)(&profile::LONG_TIMEOUT) == "refuse" {
                        return Some(format!("tag {tag} ip {shown} timeout {text} is not valid"));
                    }
                    Some(rules.now + TimeDelta::seconds(MONTH))
                }
                Ok(seconds) if seconds > 0 => Some(rules.now + TimeDelta::seconds(seconds)),
                _ => return Some(format!("tag {tag} ip {shown} timeout {text} is not valid")),
            },
        };
        let tags = self.0.entry(address).or_default();
        if let Some(known) = tags.get_mut(tag) {
            let position = (rules.position)(&profile::REREGISTER);
            if position != "error-and-keep" {
                known.ends = ends;
            }
            return (position != "ok-and-refresh")
                .then(|| format!("tag {tag} ip {shown} already exists, ignore"));
        }
        if tags.len() >= MOST_TAGS {
            return Some(format!("tag {tag} ip {shown} exceeds {MOST_TAGS} tags"));
        }
        tags.insert(
            tag.to_owned(),
            Tagged {
                ends,
                persistent,
                by_hand: rules.by_hand,
            },
        );
        None
    }

    fn unregister(
        &mut self,
        section: &Node,
        rules: &Rules<'_>,
        complaints: &mut Vec<(&'static str, String, String)>,
    ) {
        if section.children.is_empty() {
            self.0.clear();
            return;
        }
        for entry in section.all("entry") {
            let text = entry.attribute("ip").unwrap_or_default();
            let Some(address) = Address::read(text, rules.version) else {
                complaints.push((
                    "unregister",
                    text.to_owned(),
                    format!("ip {text} is not valid"),
                ));
                continue;
            };
            let Some(members) = entry.child("tag") else {
                self.0.remove(&address);
                continue;
            };
            for member in members.members() {
                let there = self
                    .0
                    .get_mut(&address)
                    .is_some_and(|tags| tags.remove(member).is_some());
                if !there {
                    let message = format!(
                        "tag {member} ip {} does not exist, ignore unreg",
                        address.text()
                    );
                    complaints.push(("unregister", text.to_owned(), message));
                    if (rules.position)(&profile::UNREGISTER) == "stop-at-first-missing" {
                        break;
                    }
                }
            }
            if self.0.get(&address).is_some_and(BTreeMap::is_empty) {
                self.0.remove(&address);
            }
        }
    }

    /// `show object registered-ip …`: the result, or an error's text.
    pub(super) fn show(&self, command: &Node, version: (u32, u32)) -> Result<Node, String> {
        let number = |name: &str| -> Result<Option<usize>, String> {
            command
                .text_of(name)
                .map(|text| text.parse().map_err(|_| format!("{name} is not a number")))
                .transpose()
        };
        let selected: Vec<(&Address, &BTreeMap<String, Tagged>)> =
            if let Some(ip) = command.child("ip") {
                let address = Address::read(&ip.text, version).ok_or("ip is not valid")?;
                self.0
                    .iter()
                    .filter(|(known, _)| **known == address)
                    .collect()
            } else if let Some(entry) = command.child("tag").and_then(|tag| tag.child("entry")) {
                let tag = entry.attribute("name").unwrap_or_default();
                self.0
                    .iter()
                    .filter(|(_, tags)| tags.contains_key(tag))
                    .collect()
            } else if let Some(all) = command.child("all") {
                if all.text_of("option") == Some("count") {
                    return Ok(Node::new("result")
                        .with([Node::with_text("count", self.0.len().to_string())]));
                }
                self.0.iter().collect()
            } else if command.child("limit").is_some() {
                // Paging alone asks for all of it too, as the vendor's own client does.
                self.0.iter().collect()
            } else {
                return Err("object registered-ip is invalid".to_owned());
            };
        if version < (8, 0) && selected.len() > 100 {
            let line = Node::new("line").with([Node::with_text("outfile", "/tmp/registered.txt")]);
            return Ok(Node::new("result").with([Node::new("msg").with([line])]));
        }
        let limit = number("limit")?.unwrap_or(PAGE).min(PAGE);
        let start = number("start-point")?.unwrap_or(1).max(1);
        let rows: Vec<Node> = selected
            .into_iter()
            .skip(start - 1)
            .take(limit)
            .map(|(address, tags)| {
                let mut entry = Node::new("entry").with([Node::new("tag").with(
                    tags.keys()
                        .map(|tag| Node::with_text("member", tag.as_str())),
                )]);
                let persistent = tags.values().all(|tag| tag.persistent);
                entry.attributes = vec![
                    ("ip".to_owned(), address.text()),
                    ("from_agent".to_owned(), "0".to_owned()),
                    ("persistent".to_owned(), u8::from(persistent).to_string()),
                ];
                entry
            })
            .collect();
        let count = Node::with_text("count", rows.len().to_string());
        Ok(Node::new("result").with(rows).with([count]))
    }
}
