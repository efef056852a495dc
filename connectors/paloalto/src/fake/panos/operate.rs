//! Operational commands.

use super::firewall::Firewall;
use super::jobs::Task;
use super::profile;
use super::registered::Address;
use super::schema;
use super::wire::{Call, Reply};
use super::xml::Node;

impl Firewall {
    pub(super) fn operate(&mut self, call: &Call, administrator: &str) -> Reply {
        let Some(command) = call.field("cmd").and_then(Node::parse) else {
            return Reply::error(18, "malformed command");
        };
        // A Panorama has none.
        let all = if self.tables.is_empty() {
            "shared"
        } else {
            "vsys1"
        };
        let vsys = call.field("vsys").unwrap_or(all).to_owned();
        let words = spine(&command);
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["show", "system", "info", ..] => self.system_info(),
            ["show", "object", "registered-ip", ..] => self.registered(&command, &vsys),
            ["show", "object", "dynamic-address-group", ..] => self.dynamic_groups(&vsys),
            ["show", "high-availability", "state", ..] => self.pair_state(),
            ["show", "commit-locks", ..] => {
                Reply::success(None, self.commit_locks.show("commit-locks"))
            }
            ["show", "config-locks", ..] => {
                Reply::success(None, self.config_locks.show("config-locks"))
            }
            ["show", "jobs", ..] => self.show_jobs(&command),
            ["check", "pending-changes", ..] => {
                let pending = if self.config.changes.is_empty() {
                    "no"
                } else {
                    "yes"
                };
                Reply::success(None, Node::with_text("result", pending))
            }
            ["request", "commit-lock", ..] => self.lock(&command, &vsys, administrator, true),
            ["request", "config-lock", ..] => self.lock(&command, &vsys, administrator, false),
            ["request", "system", "external-list", "refresh", ..] => {
                self.refresh_list(&command, administrator)
            }
            _ => Reply::error(17, &format!("{} is invalid", words.join(" -> "))),
        }
    }

    fn system_info(&self) -> Reply {
        let fields = [
            ("hostname", self.hostname.as_str()),
            ("sw-version", self.version_text.as_str()),
            ("model", self.model.as_str()),
            ("family", "vm"),
            ("serial", self.serial.as_str()),
            (
                "multi-vsys",
                if self.tables.len() > 1 { "on" } else { "off" },
            ),
            ("app-version", "8700-8200"),
        ];
        let system =
            Node::new("system").with(fields.map(|(name, text)| Node::with_text(name, text)));
        Reply::success(None, Node::new("result").with([system]))
    }

    fn registered(&mut self, command: &Node, vsys: &str) -> Reply {
        let (major, minor, _) = self.version();
        let (Some(question), Some(table)) = (
            command.down(&["object", "registered-ip"]),
            self.tables.get(vsys),
        ) else {
            return Reply::error(17, "vsys does not exist");
        };
        match table.show(question, (major, minor)) {
            Ok(result) => Reply::success(None, result),
            Err(text) => Reply::error(17, &text),
        }
    }

    fn dynamic_groups(&self, vsys: &str) -> Reply {
        let mut list = Node::new("dyn-addr-grp");
        for system in schema::systems(&self.config.active) {
            if system.attribute("name") != Some(vsys) {
                continue;
            }
            for group in system
                .child("address-group")
                .map_or(&[][..], |it| &it.children)
            {
                let Some(filter) = group.down(&["dynamic", "filter"]) else {
                    continue;
                };
                let read = schema::filter(&filter.text);
                let table = self.tables.get(vsys);
                let members = table
                    .into_iter()
                    .flat_map(|table| &table.0)
                    .filter(|(_, tags)| {
                        read.as_ref()
                            .is_some_and(|filter| filter.holds(&|tag| tags.contains_key(tag)))
                    });
                let members = members.map(|(address, _): (&Address, _)| {
                    let mut entry = Node::entry(&address.text());
                    entry
                        .attributes
                        .push(("type".to_owned(), "registered-ip".to_owned()));
                    entry
                });
                list.children.push(Node::new("entry").with([
                    Node::with_text("vsys", vsys),
                    Node::with_text("group-name", group.attribute("name").unwrap_or_default()),
                    Node::with_text("filter", filter.text.as_str()),
                    Node::new("member-list").with(members),
                ]));
            }
        }
        Reply::success(None, Node::new("result").with([list]))
    }

    fn pair_state(&self) -> Reply {
        let result = if self.pair.is_empty() {
            Node::new("result").with([Node::with_text("enabled", "no")])
        } else {
            let local =
                Node::new("local-info").with([Node::with_text("state", self.pair.as_str())]);
            Node::new("result").with([
                Node::with_text("enabled", "yes"),
                Node::new("group").with([local]),
            ])
        };
        Reply::success(None, result)
    }

    fn show_jobs(&mut self, command: &Node) -> Reply {
        let id = command.down(&["jobs", "id"]).map(|id| id.text.clone());
        let times = self.position(&profile::PROGRESS) == "time";
        let now = self.now();
        match self.jobs.show(id.as_deref(), now, times) {
            Ok(result) => Reply::success(None, result),
            Err(text) => Reply::text_error(None, &text),
        }
    }

    fn lock(&mut self, command: &Node, scope: &str, administrator: &str, commit: bool) -> Reply {
        let kind = if commit { "commit-lock" } else { "config-lock" };
        let Some(request) = command.child(kind) else {
            return Reply::error(17, "lock is invalid");
        };
        let now = self.now();
        let locks = if commit {
            &mut self.commit_locks
        } else {
            &mut self.config_locks
        };
        let done = |text: &str| Reply::success(None, Node::with_text("result", text));
        if let Some(add) = request.child("add") {
            if let Some(held) = locks.held(scope) {
                return Reply::text_error(
                    None,
                    &match (commit, held.holder == administrator) {
                        (true, _) => "Commit lock is already held".to_owned(),
                        (false, true) => format!("You already own a config lock for scope {scope}"),
                        (false, false) => format!(
                            "Config for scope {scope} is currently locked by {}",
                            held.holder
                        ),
                    },
                );
            }
            locks.add(
                administrator,
                scope,
                add.text_of("comment").unwrap_or_default(),
                now,
            );
            return done("Successfully acquired lock");
        }
        if locks.remove(administrator, scope) {
            return done("Successfully removed lock");
        }
        Reply::text_error(
            None,
            &if commit {
                "Commit lock is not currently held".to_owned()
            } else {
                format!("Config is not currently locked for scope {scope}")
            },
        )
    }

    fn refresh_list(&mut self, command: &Node, administrator: &str) -> Reply {
        let kind = command
            .down(&["system", "external-list", "refresh", "type"])
            .and_then(|kind| kind.children.first());
        let Some((kind, name)) =
            kind.and_then(|kind| Some((kind.name.clone(), kind.text_of("name")?.to_owned())))
        else {
            return Reply::error(17, "refresh is invalid");
        };
        let known = schema::systems(&self.config.active)
            .filter_map(|vsys| vsys.child("external-list")?.entry_named(&name))
            .filter_map(|list| list.child("type")?.children.first())
            .any(|known| known.name == kind);
        if !known {
            return Reply::text_error(
                None,
                &format!("external list {name} of type {kind} does not exist"),
            );
        }
        let now = self.now();
        let id = self.jobs.enqueue(Task::Refresh(name), administrator, now);
        match self.position(&profile::REFRESH_ANSWER).as_str() {
            "job" => {
                return Reply::enqueued(&format!("EDL refresh job enqueued with jobid {id}"), id);
            }
            "text-and-listed-late" => self.jobs.list_late(),
            _ => {}
        }
        Reply::success(
            None,
            Node::with_text("result", "EDL refresh job has been enqueued"),
        )
    }
}

/// The names down the first children of a command.
fn spine(command: &Node) -> Vec<String> {
    let mut words = vec![command.name.clone()];
    let mut node = command;
    // Paging arguments may stand before what is asked for.
    while let Some(child) = node
        .children
        .iter()
        .find(|child| !["limit", "start-point"].contains(&child.name.as_str()))
    {
        words.push(child.name.clone());
        node = child;
    }
    words
}
