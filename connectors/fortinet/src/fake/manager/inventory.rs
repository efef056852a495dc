//! What the manager knows of itself, of its ADOM and of the firewalls in it: users, devices, packages, policies.

use serde_json::{Value as Json, json};

use super::{BAD_URL, DENIED, MISSING, Manager, Refusal, lock};
use crate::fake::profile::position;

impl Manager {
    /// The refusal of a name that stands for nothing.
    pub(super) fn unknown(&self) -> Refusal {
        if position(&self.switches, "unknown-name") == "bad-url" {
            BAD_URL
        } else {
            MISSING
        }
    }

    /// Reads below `dvmdb`, `pm/pkg`, `pm/config/…/pkg` and `cli/global/system/admin`.
    pub(super) fn inventory(&self, segments: &[&str]) -> Result<Json, Refusal> {
        match segments {
            ["cli", "global", "system", "admin", "user", name] => {
                if !self.sees_users {
                    return Err(DENIED);
                }
                if *name != self.user {
                    return Err(self.unknown());
                }
                Ok(json!({ "userid": self.user, "rpc-permit": self.permit, "user_type": "local" }))
            }
            ["dvmdb", "adom", adom] if *adom == self.adom => {
                Ok(json!({ "name": self.adom, "oid": 3326 }))
            }
            ["dvmdb", "adom", adom, "device"] if *adom == self.adom => Ok(self
                .devices
                .iter()
                .map(|(name, _)| self.device(name))
                .collect()),
            ["dvmdb", "adom", adom, "device", name] if *adom == self.adom => {
                if self.devices.iter().any(|(known, _)| known == name) {
                    Ok(self.device(name))
                } else {
                    Err(self.unknown())
                }
            }
            ["pm", "pkg", "adom", adom] if *adom == self.adom => {
                Ok(json!([{ "name": self.package, "type": "pkg" }]))
            }
            ["pm", "pkg", "adom", adom, package] if *adom == self.adom => {
                if *package == self.package {
                    Ok(json!({ "name": self.package, "type": "pkg" }))
                } else {
                    Err(self.unknown())
                }
            }
            ["pm", "config", "adom", adom, "_package", "status"] if *adom == self.adom => {
                Ok(self.package_status())
            }
            [
                "pm",
                "config",
                "adom",
                adom,
                "pkg",
                package,
                "firewall",
                "policy",
            ] if *adom == self.adom && *package == self.package => Ok(self.policies()),
            ["dvmdb", "adom", ..] | ["pm", "pkg" | "config", "adom", ..] => Err(self.unknown()),
            _ => Err(BAD_URL),
        }
    }

    fn device(&self, name: &str) -> Json {
        let held = self.devices.iter().find(|(known, _)| known == name);
        let vdoms: Vec<Json> = held
            .map(|(_, device)| {
                let device = lock(device);
                device
                    .vdoms
                    .keys()
                    .map(|vdom| json!({ "name": vdom }))
                    .collect()
            })
            .unwrap_or_default();
        let offline = self.offline.iter().any(|off| off == name);
        json!({
            "name": name,
            "conn_status": if offline { "down" } else { "up" },
            "conf_status": if self.out_of_sync.iter().any(|out| out == name) { "outofsync" } else { "insync" },
            "vdom": vdoms,
        })
    }

    /// Every firewall has the package, installed or changed since.
    fn package_status(&self) -> Json {
        let mut rows = Vec::new();
        for (name, device) in &self.devices {
            let device = lock(device);
            for (vdom, held) in &device.vdoms {
                let same = super::objects::TABLES.iter().all(|table| {
                    let names = |tables: &crate::fake::table::Tables| -> Vec<String> {
                        let rows = tables.table(table).iter();
                        rows.map(|row| row.name().to_owned()).collect()
                    };
                    names(&self.tables) == names(&held.tables)
                });
                rows.push(json!({
                    "dev": name,
                    "vdom": vdom,
                    "pkg": self.assigned,
                    "status": if same { "installed" } else { "modified" },
                }));
            }
        }
        Json::Array(rows)
    }

    /// One policy for each thing that a policy names.
    fn policies(&self) -> Json {
        let mut rows = Vec::new();
        for table in ["firewall/addrgrp", "firewall/addrgrp6"] {
            for row in self.tables.table(table) {
                let users = self.tables.users(table, row.name());
                if !users.iter().any(|(user, ..)| user == "firewall/policy") {
                    continue;
                }
                let denied = row.name().starts_with("cordon-");
                rows.push(json!({
                    "policyid": rows.len() + 1,
                    "action": if denied && self.policies_deny { "deny" } else { "accept" },
                    "status": "enable",
                    "srcaddr": ["all"],
                    "dstaddr": [row.name()],
                }));
            }
        }
        Json::Array(rows)
    }
}
