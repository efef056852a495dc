//! One firewall: its tables, its configuration, its jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use sdk::Clock;
use sdk::fake::{FakeEntry, Switch, Switches};
use sdk::indicator::{Kind, Value};

use super::jobs::{Jobs, Locks, Task};
use super::lists::{self, Lists, Taking};
use super::profile;
use super::registered::{Address, Rules, Table, Taken};
use super::schema;
use super::tree::{self, Change, Config};
use super::wire::{Call, Reply};
use super::xml::Node;

pub(super) struct Firewall {
    pub(super) clock: Clock,
    pub(super) switches: Switches,
    pub(super) version_text: String,
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) hostname: String,
    /// State in its pair; empty where it is in none.
    pub(super) pair: String,
    pub(super) capacity: usize,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) config: Config,
    /// What a Panorama pushed, where it is in a device group: taken over, and waiting for a push.
    pub(super) pushed: Option<Config>,
    /// On a Panorama: what was committed and is not handed to the firewalls yet.
    pub(super) committed: Vec<Change>,
    pub(super) jobs: Jobs,
    pub(super) commit_locks: Locks,
    pub(super) config_locks: Locks,
    pub(super) lists: Lists,
    /// Whether the device fetches its lists by itself at their interval.
    pub(super) polls: bool,
    /// The administrator whose commits a validation refuses, if any.
    pub(super) refuses_commits: bool,
    /// Refusals still to come before a commit is taken.
    pub(super) busy: usize,
    /// A poisonous list has stopped the device server.
    pub(super) stopped: bool,
    pub(super) log: Vec<String>,
}

impl Firewall {
    pub(super) fn position(&self, switch: &Switch) -> String {
        self.switches.get(switch)
    }

    pub(super) fn version(&self) -> (u32, u32, u32) {
        let mut parts = self
            .version_text
            .split(['.', '-'])
            .map(|part| part.parse().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        (next(), next(), next())
    }

    fn short_version(&self) -> (u32, u32) {
        let (major, minor, _) = self.version();
        (major, minor)
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Lets everything happen whose time has come.
    pub(super) fn pass(&mut self) {
        let now = self.now();
        for table in self.tables.values_mut() {
            table.expire(now);
        }
        while let Some(job) = self.jobs.due(now) {
            let (task, id) = (job.task.clone(), job.id);
            let over = match task {
                Task::Commit(administrators) => self.commit(administrators.as_deref()),
                Task::Refresh(list) => self.refresh(&list),
                Task::Push(_) => (true, vec!["Push job is done".to_owned()]),
            };
            if let Some(job) = self.jobs.due(now).filter(|job| job.id == id) {
                job.over = Some(over);
            }
        }
        if self.polls {
            let lists = self.defined_lists();
            for list in self.lists.due(&lists, now) {
                self.fetch(&list);
            }
        }
    }

    fn defined_lists(&self) -> Vec<Node> {
        schema::systems(&self.config.active)
            .flat_map(|vsys| {
                vsys.child("external-list")
                    .map_or(&[][..], |lists| &lists.children)
            })
            .cloned()
            .collect()
    }

    fn commit(&mut self, administrators: Option<&[String]>) -> (bool, Vec<String>) {
        let failed = |text: &str| (false, vec![text.to_owned(), "Commit failed".to_owned()]);
        if self.stopped {
            return failed("Management server failed to send phase 1 to client device");
        }
        if self.refuses_commits {
            return failed("vsys1: rule 'ana-draft' is not valid");
        }
        let active = self.config.committed(administrators);
        if let Err(text) = schema::check(&active, true) {
            return failed(&text);
        }
        self.committed
            .extend(self.config.changes_of(administrators));
        self.config.activate(active, administrators);
        let lists = self.defined_lists();
        let names: Vec<&str> = lists
            .iter()
            .filter_map(|list| list.attribute("name"))
            .collect();
        self.lists
            .contents
            .retain(|name, _| names.contains(&name.as_str()));
        (
            true,
            vec!["Configuration committed successfully".to_owned()],
        )
    }

    /// Fetches every list, as their intervals would.
    pub(super) fn fetch_all(&mut self) {
        for list in self.defined_lists() {
            self.fetch(&list);
        }
    }

    fn refresh(&mut self, name: &str) -> (bool, Vec<String>) {
        let lists = self.defined_lists();
        match lists
            .iter()
            .find(|list| list.attribute("name") == Some(name))
        {
            Some(list) => self.fetch(list),
            None => (false, vec![format!("external list {name} does not exist")]),
        }
    }

    fn fetch(&mut self, list: &Node) -> (bool, Vec<String>) {
        let named = lists::certificate_profile(list);
        let taking = Taking {
            trusted: named.map(|name| schema::authorities(&self.config.active, name)),
            empty_clears: self.position(&profile::EMPTY_LIST) == "clear",
            comments_are_empty: self.position(&profile::COMMENT_ONLY) == "empty",
            refusal_stops: self.position(&profile::LIST_REFUSED) == "stop",
            version: self.version(),
        };
        let now = self.now();
        match self.lists.fetch(list, &taking, now) {
            Ok(poison) => {
                self.stopped |= poison;
                (true, vec!["EDL refresh job is done".to_owned()])
            }
            Err((event, text)) => {
                self.log.push(format!("{event}: {text}"));
                (false, vec![text])
            }
        }
    }

    pub(super) fn user_id(&mut self, call: &Call, administrator: &str) -> Reply {
        let vsys = call.field("vsys").unwrap_or("vsys1").to_owned();
        if !self.tables.contains_key(&vsys) {
            return Reply::error(17, &format!("vsys {vsys} does not exist"));
        }
        if self.pair == "passive" && self.position(&profile::PASSIVE) == "code-15" {
            return Reply::error(15, "operation denied on the passive device");
        }
        let (version, now, capacity) = (self.short_version(), self.now(), self.capacity);
        let switches = self.switches.clone();
        let rules = Rules {
            version,
            now,
            capacity,
            by_hand: administrator == "ana",
            position: &|switch| switches.get(switch),
        };
        let mut log = Vec::new();
        let document = call.field("cmd").unwrap_or_default().to_owned();
        let taken = match self.tables.get_mut(&vsys) {
            Some(table) => table.take(&document, &rules, &mut log),
            None => Taken::All,
        };
        self.log.extend(log);
        match taken {
            Taken::Malformed(code, text) => Reply::error(code, &text),
            Taken::All => {
                Reply::success(None, Node::new("result").with([uid_response(Vec::new())]))
            }
            Taken::Complaints(complaints) => {
                let line = Node::new("line").with([uid_response(complaints)]);
                Reply::body("error", None, Node::new("msg").with([line]))
            }
        }
    }

    pub(super) fn configure(&mut self, call: &Call, administrator: &str) -> Reply {
        let action = call.field("action").unwrap_or_default().to_owned();
        let xpath = call.field("xpath").unwrap_or_default().to_owned();
        if ["get", "show"].contains(&action.as_str()) {
            let Some(path) = tree::path(&xpath) else {
                return Reply::error(6, "bad xpath");
            };
            let found = if action == "get" {
                self.config.get(&path)
            } else {
                self.config.show(&path)
            };
            return match (found, action.as_str()) {
                (Some(node), "get") => Reply::success(Some(19), Node::new("result").with([node])),
                (Some(node), _) => Reply::success(None, Node::new("result").with([node])),
                (None, "get") => Reply::success(Some(7), Node::new("result")),
                (None, _) => Reply::text_error(None, "No such node"),
            };
        }
        match self.no_change_now(administrator) {
            Some((Some(code), text)) => return Reply::error(code, &text),
            Some((None, text)) => return Reply::text_error(None, &text),
            None => {}
        }
        let element = call.field("element").unwrap_or_default().to_owned();
        if action == "multi-config" {
            return self.several(&element, administrator);
        }
        let Some(path) = tree::path(&xpath) else {
            return Reply::error(6, "bad xpath");
        };
        let Some(element) = Node::parse_all(&element) else {
            return Reply::error(18, "malformed element");
        };
        let now = self.now();
        match self
            .config
            .change(&action, &path, &element, administrator, now)
        {
            Ok(message) => Reply::body("success", Some(20), message),
            Err((7, text)) => Reply::body("success", Some(7), Node::with_text("msg", text)),
            Err((12, text)) => Reply::text_error(Some(12), &text),
            Err((code, text)) => Reply::error(code, &text),
        }
    }

    /// Why nothing can be changed now: code, if it has one, and text.
    pub(super) fn no_change_now(&self, administrator: &str) -> Option<(Option<u16>, String)> {
        if self.pair == "passive" {
            let text = "operation denied on the passive device".to_owned();
            return Some((Some(15), text));
        }
        let lock = self.config_locks.against(administrator, "vsys1")?;
        let text = format!(
            "Config for scope {} is currently locked by {}",
            lock.scope, lock.holder
        );
        Some((None, text))
    }

    fn several(&mut self, element: &str, administrator: &str) -> Reply {
        if self.short_version() < (10, 1) {
            return Reply::error(17, "multi-config is not enabled");
        }
        let Some(root) = Node::parse(element) else {
            return Reply::error(18, "malformed element");
        };
        let mut config = self.config.clone();
        let now = self.now();
        let mut answers = Vec::new();
        for action in &root.children {
            let said = match action.attribute("xpath").and_then(tree::path) {
                None => Err((6, "bad xpath".to_owned())),
                Some(path) => {
                    config.change(&action.name, &path, &action.children, administrator, now)
                }
            };
            let (status, code, text) = match said {
                Ok(_) => ("success", 20, "command succeeded".to_owned()),
                Err((7, text)) => ("success", 7, text),
                Err((code, text)) => ("error", code, text),
            };
            let mut answer = Node::new("response")
                .with([Node::new("msg").with([Node::with_text("line", text)])]);
            answer.attributes = vec![
                ("status".to_owned(), status.to_owned()),
                ("code".to_owned(), code.to_string()),
            ];
            if let Some(id) = action.attribute("id") {
                answer.attributes.push(("id".to_owned(), id.to_owned()));
            }
            answers.push(answer);
            if status == "error" {
                return Reply::nodes("error", Some(code), answers);
            }
        }
        self.config = config;
        Reply::nodes("success", Some(20), answers)
    }

    pub(super) fn request_commit(&mut self, call: &Call, administrator: &str) -> Reply {
        let Some(command) = call
            .field("cmd")
            .and_then(Node::parse)
            .filter(|it| it.name == "commit")
        else {
            return Reply::error(17, "invalid commit");
        };
        if let Some(refusal) = self.no_commit_now(administrator) {
            return refusal;
        }
        let administrators = command.down(&["partial", "admin"]).map(|names| {
            names
                .members()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        if command.child("partial").is_some() && administrators.is_none() {
            return Reply::error(
                17,
                "a partial commit without administrators is not supported here",
            );
        }
        let anything = match &administrators {
            None => !self.config.changes.is_empty(),
            Some(names) => self
                .config
                .changes
                .iter()
                .any(|change| names.contains(&change.administrator)),
        };
        if !anything && command.child("force").is_none() {
            let message = Node::with_text("msg", "There are no changes to commit.");
            return Reply::body("success", Some(19), message);
        }
        let now = self.now();
        let id = self
            .jobs
            .enqueue(Task::Commit(administrators), administrator, now);
        Reply::enqueued(&format!("Commit job enqueued with jobid {id}"), id)
    }

    /// Why nothing can be committed now.
    pub(super) fn no_commit_now(&mut self, administrator: &str) -> Option<Reply> {
        if self.pair == "passive" {
            return Some(Reply::error(15, "operation denied on the passive device"));
        }
        if let Some(lock) = self.commit_locks.against(administrator, "vsys1") {
            let text = format!("Configuration is locked by {}", lock.holder);
            return Some(Reply::text_error(None, &text));
        }
        if self.busy > 0 {
            self.busy -= 1;
            let text = "Another commit/validate is in progress. Please try again later";
            return Some(Reply::text_error(Some(13), text));
        }
        None
    }

    /// What the groups in active deny rules hold, dynamic or static ones.
    pub(super) fn denied(&self, dynamic: bool) -> Vec<FakeEntry> {
        let mut denied = Vec::new();
        let pushed = self.pushed.iter();
        let pushed = pushed.flat_map(|pushed| schema::systems(&pushed.active));
        for vsys in schema::systems(&self.config.active).chain(pushed) {
            for group in denying(vsys) {
                if dynamic {
                    let entries = self.matched(vsys, group).into_iter();
                    denied.extend(entries.filter_map(|(address, foreign, text)| {
                        Some(FakeEntry {
                            value: address.value()?,
                            foreign,
                            text,
                        })
                    }));
                } else {
                    denied.extend(members(vsys, group));
                }
            }
        }
        denied
    }

    /// Whether a host, a name or a URL without scheme is blocked, by whatever way.
    pub(super) fn blocks(&self, text: &str, append: bool) -> bool {
        let entries = [self.denied(false), self.listed()].concat();
        let host: Option<IpAddr> = text.parse().ok();
        let registered = host.is_some_and(|host| {
            schema::systems(&self.config.active).any(|vsys| {
                denying(vsys).into_iter().any(|group| {
                    let matched = self.matched(vsys, group);
                    matched.iter().any(|(address, ..)| address.contains(host))
                })
            })
        });
        let by_entry = entries.iter().any(|entry| match (&entry.value, host) {
            (Value::Ipv4(_) | Value::Ipv6(_), Some(host)) => {
                Address::of(&entry.value).is_some_and(|address| address.contains(host))
            }
            (Value::Domain(name), None) => name.as_str() == text,
            _ => false,
        });
        registered
            || by_entry
            || self.defined_lists().iter().any(|list| {
                let is_url = list.down(&["type", "url"]).is_some();
                let content = list
                    .attribute("name")
                    .and_then(|name| self.lists.contents.get(name));
                is_url
                    && content.is_some_and(|content| {
                        content
                            .lines
                            .iter()
                            .any(|line| lists::url_matches(line, text, append))
                    })
            })
    }

    /// What external lists block.
    pub(super) fn listed(&self) -> Vec<FakeEntry> {
        schema::systems(&self.config.active)
            .flat_map(|vsys| self.lists.blocked(vsys))
            .filter(|(value, _)| match value {
                Value::Ipv4(network) => !schema::is_documentation(network.addr().into()),
                Value::Ipv6(network) => !schema::is_documentation(network.addr().into()),
                Value::Domain(name) => !name.as_str().ends_with(".invalid"),
                Value::Url(url) => !url.host().ends_with(".invalid"),
                _ => true,
            })
            .map(|(value, text)| FakeEntry {
                value,
                foreign: false,
                text,
            })
            .collect()
    }

    /// The registered addresses that a dynamic group takes in.
    fn matched(&self, vsys: &Node, group: &Node) -> Vec<(Address, bool, String)> {
        let filter = group
            .down(&["dynamic", "filter"])
            .and_then(|it| schema::filter(&it.text));
        let table = vsys
            .attribute("name")
            .and_then(|name| self.tables.get(name));
        let (Some(filter), Some(table)) = (filter, table) else {
            return Vec::new();
        };
        let now = self.now();
        let mut matched = Vec::new();
        for (address, tags) in &table.0 {
            let live = |tag: &str| {
                tags.get(tag)
                    .is_some_and(|it| it.ends.is_none_or(|ends| ends > now))
            };
            if !filter.holds(&live) {
                continue;
            }
            let by_hand = |tag: &str| live(tag) && tags.get(tag).is_some_and(|it| it.by_hand);
            let names: Vec<&str> = tags.keys().map(String::as_str).collect();
            matched.push((*address, filter.holds(&by_hand), names.join(" ")));
        }
        matched
    }
}

/// The groups that active deny rules name.
fn denying(vsys: &Node) -> Vec<&Node> {
    let names: BTreeSet<&str> = schema::rules(vsys)
        .filter(|rule| rule.text_of("action") == Some("deny"))
        .flat_map(|rule| ["source", "destination"].map(|side| rule.child(side)))
        .flatten()
        .flat_map(Node::members)
        .collect();
    names
        .into_iter()
        .filter_map(|name| vsys.child("address-group")?.entry_named(name))
        .collect()
}

/// The members of a static group, except addresses that are there for documentation only.
fn members(vsys: &Node, group: &Node) -> Vec<FakeEntry> {
    let mut members = Vec::new();
    for name in group.child("static").map_or(Vec::new(), Node::members) {
        let Some(object) = vsys.child("address").and_then(|it| it.entry_named(name)) else {
            continue;
        };
        let value = match (object.text_of("ip-netmask"), object.text_of("fqdn")) {
            (Some(netmask), _) if netmask.contains(':') => Value::parse(Kind::Ipv6, netmask),
            (Some(netmask), _) => Value::parse(Kind::Ipv4, netmask),
            (None, Some(name)) => Value::parse(Kind::Domain, name),
            (None, None) => continue,
        };
        let Ok(value) = value else {
            continue;
        };
        let harmless = match &value {
            Value::Ipv4(network) => schema::is_documentation(network.addr().into()),
            Value::Ipv6(network) => schema::is_documentation(network.addr().into()),
            _ => false,
        };
        if !harmless {
            members.push(FakeEntry {
                value,
                // Objects that a person made have names of their own.
                foreign: name.starts_with("ana-"),
                text: object.to_xml(),
            });
        }
    }
    members
}

fn uid_response(complaints: Vec<(&'static str, String, String)>) -> Node {
    let mut payload = Node::new("payload");
    for section in ["register", "unregister"] {
        let entries: Vec<Node> = complaints
            .iter()
            .filter(|(of, ..)| *of == section)
            .map(|(_, address, message)| {
                let mut entry = Node::new("entry");
                entry.attributes = vec![
                    ("ip".to_owned(), address.clone()),
                    ("message".to_owned(), message.clone()),
                ];
                entry
            })
            .collect();
        if !entries.is_empty() || (section == "register" && complaints.is_empty()) {
            payload.children.push(Node::new(section).with(entries));
        }
    }
    Node::new("uid-response").with([Node::with_text("version", "2.0"), payload])
}
