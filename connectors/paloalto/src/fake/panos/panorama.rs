//! A Panorama: a management plane of its own with one device group, and pushes to the firewalls in it.

use std::collections::BTreeSet;

use super::firewall::Firewall;
use super::jobs::{Push, Task};
use super::tree::{self, Config};
use super::wire::{Call, Reply};
use super::xml::Node;

/// What a device says of a push that went well; it stands among its errors.
const WELL: &str = "Configuration committed successfully";

/// Commands that it has besides configuration.
const COMMANDS: [[&str; 2]; 5] = [
    ["show", "system"],
    ["show", "jobs"],
    ["show", "commit-locks"],
    ["check", "pending-changes"],
    ["request", "commit-lock"],
];

pub(super) struct Panorama {
    /// Its own configuration, jobs and locks.
    pub(super) plane: Firewall,
    /// The name of its device group; empty where there is none.
    pub(super) group: String,
    /// Serial numbers of firewalls that refuse what is pushed to them.
    pub(super) refused_by: BTreeSet<String>,
}

impl Panorama {
    /// Lets everything happen whose time has come, on the firewalls too.
    pub(super) fn pass(&mut self, firewalls: &mut [Firewall], disconnected: &BTreeSet<String>) {
        self.plane.pass();
        let new = std::mem::take(&mut self.plane.committed);
        let now = self.plane.now();
        for firewall in firewalls.iter_mut() {
            if let Some(pushed) = &mut firewall.pushed {
                pushed.receive(&self.plane.config.active, &new);
            }
        }
        for push in self.plane.jobs.pushes_due(now) {
            for (serial, over) in &mut push.devices {
                let firewall = firewalls.iter_mut().find(|it| it.serial == *serial);
                let pushed = firewall.and_then(|firewall| firewall.pushed.as_mut());
                *over = Some(match pushed {
                    _ if disconnected.contains(serial) => {
                        (false, "device not connected".to_owned())
                    }
                    _ if self.refused_by.contains(serial) => {
                        (false, "rule 'local-draft' is not valid".to_owned())
                    }
                    Some(pushed) => pushed_to(pushed, push.administrators.as_deref()),
                    None => (false, "device is not in the device group".to_owned()),
                });
            }
        }
    }

    /// Everything but registered addresses.
    pub(super) fn answer(
        &mut self,
        call: &Call,
        family: &str,
        administrator: &str,
        serials: &[String],
    ) -> Reply {
        let command = call.field("cmd").and_then(Node::parse);
        match (family, command) {
            ("config", _) => self.plane.configure(call, administrator),
            ("commit", Some(command)) if command.name == "commit-all" => {
                if call.field("action") != Some("all") {
                    return Reply::error(17, "commit-all needs the action all");
                }
                self.request_push(&command, administrator, serials)
            }
            ("commit", _) => self.plane.request_commit(call, administrator),
            ("op", Some(command)) if is_known(&command) => self.plane.operate(call, administrator),
            _ => Reply::error(17, "not a command of Panorama that this fake knows"),
        }
    }

    fn request_push(&mut self, command: &Node, administrator: &str, serials: &[String]) -> Reply {
        let Some(policy) = command.child("shared-policy") else {
            return Reply::error(17, "commit-all is invalid");
        };
        let known = [
            "device-group",
            "description",
            "admin",
            "include-template",
            "force-template-values",
        ];
        if let Some(other) = policy
            .children
            .iter()
            .find(|child| !known.contains(&child.name.as_str()))
        {
            return Reply::error(17, &format!("{} unexpected here", other.name));
        }
        let group = policy.down(&["device-group", "entry"]);
        let Some(group) = group.filter(|it| it.attribute("name") == Some(self.group.as_str()))
        else {
            return Reply::error(17, "device-group is not a valid reference");
        };
        let named: Vec<String> = group
            .child("devices")
            .map_or(&[][..], |devices| &devices.children)
            .iter()
            .filter_map(|device| device.attribute("name").map(str::to_owned))
            .collect();
        if let Some(other) = named.iter().find(|serial| !serials.contains(serial)) {
            return Reply::error(17, &format!("{other} is not a valid reference"));
        }
        let administrators = policy.child("admin").map(|names| {
            let names = names.members().into_iter();
            names.map(str::to_owned).collect::<Vec<_>>()
        });
        if administrators.is_some() && self.plane.version() < (10, 2, 0) {
            return Reply::error(17, "admin unexpected here");
        }
        if let Some(refusal) = self.plane.no_commit_now(administrator) {
            return refusal;
        }
        let devices = if named.is_empty() {
            serials.to_vec()
        } else {
            named
        };
        let push = Push {
            administrators,
            devices: devices.into_iter().map(|serial| (serial, None)).collect(),
        };
        let now = self.plane.now();
        let id = self
            .plane
            .jobs
            .enqueue(Task::Push(push), administrator, now);
        Reply::enqueued(&format!("CommitAll job enqueued with jobid {id}"), id)
    }
}

fn is_known(command: &Node) -> bool {
    let second = command.children.first().map_or("", |it| it.name.as_str());
    COMMANDS.contains(&[command.name.as_str(), second])
}

/// A device takes what is new of these administrators, or of all.
fn pushed_to(pushed: &mut Config, administrators: Option<&[String]>) -> (bool, String) {
    let active = pushed.committed(administrators);
    match super::schema::check(&active, true) {
        Ok(()) => {
            pushed.activate(active, administrators);
            (true, WELL.to_owned())
        }
        Err(text) => (false, text),
    }
}

/// What an administrator has set up before we come.
pub(super) fn fixture(group: &str, rules: bool) -> Option<Node> {
    if group.is_empty() {
        return Node::parse(
            "<config><devices><entry name='localhost.localdomain'><device-group/></entry></devices><shared/></config>",
        );
    }
    let (ours, deny) = if rules {
        (
            "<entry name='cordon-1'><static><member>cordon-placeholder</member></static></entry>\
             <entry name='cordon-2'><static><member>cordon-placeholder</member></static></entry>",
            "<entry name='block-cordon'><source><member>any</member></source>\
             <destination><member>cordon-1</member><member>cordon-2</member></destination>\
             <action>deny</action></entry>",
        )
    } else {
        ("", "")
    };
    let mut root = Node::parse(&format!(
        "<config><devices><entry name='localhost.localdomain'><device-group><entry name='GROUP'>\
         <address>\
         <entry name='web-server'><ip-netmask>198.18.5.10</ip-netmask><description>intranet</description></entry>\
         <entry name='cordon-placeholder'><ip-netmask>192.0.2.255/32</ip-netmask></entry>\
         </address>\
         <address-group><entry name='Servers'><static><member>web-server</member></static></entry>{ours}</address-group>\
         <tag><entry name='corp'/></tag>\
         <pre-rulebase><security><rules>\
         <entry name='allow-web'><source><member>any</member></source><destination><member>Servers</member></destination><action>allow</action></entry>\
         {deny}</rules></security></pre-rulebase></entry></device-group></entry></devices><shared/></config>"
    ))?;
    let path = tree::path(
        "/config/devices/entry[@name='localhost.localdomain']/device-group/entry[@name='GROUP']",
    )?;
    tree::rename(&mut root, &path, group);
    Some(root)
}
