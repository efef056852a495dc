//! What `check` looks at in the ADOM: the lock, the rights, the package and its policies, and how far the firewalls
//! are from what the manager holds.

use std::collections::BTreeSet;

use sdk::Result;
use sdk::http::Safety;
use sdk::target::{Finding, Level};
use serde_json::Value as Json;

use super::{Family, ManagedGroup, Stored};
use crate::api::manager::{self as api, Assignment, Device, Part, Policy};
use crate::api::{self as rest, Status};
use crate::target::connection::missing_right;
use crate::target::manager::inventory;

fn finding(level: Level, subject: &'static str, message: String, hint: Option<String>) -> Finding {
    Finding {
        level,
        subject: subject.into(),
        message,
        hint,
    }
}

/// Rows that the manager shows this user.
fn rows<T: serde::de::DeserializeOwned>(part: Option<&Part>) -> Option<Vec<T>> {
    let part = part.filter(|part| part.status.code == 0)?;
    serde_json::from_value(part.data.clone()).ok()
}

/// Our groups, and the groups of others that hold one, however deep: a policy may name either.
fn holders<'a>(group: &'a str, all: &'a [(String, BTreeSet<String>)]) -> BTreeSet<&'a str> {
    let mut holders = BTreeSet::from([group]);
    loop {
        let more: Vec<&str> = all
            .iter()
            .filter(|(name, members)| {
                !holders.contains(name.as_str())
                    && members
                        .iter()
                        .any(|member| holders.contains(member.as_str()))
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if more.is_empty() {
            return holders;
        }
        holders.extend(more);
    }
}

impl ManagedGroup {
    pub(super) async fn findings(&self) -> Result<Vec<Finding>> {
        let stored = match self.stored().await {
            Ok(stored) => stored,
            Err(error) => return missing_right(error, "ADOM"),
        };
        let places = self.places();
        let mut asked = vec![
            api::global(),
            api::workspace(self.adom(), "lockinfo"),
            api::policies(self.adom(), &self.package),
            api::package_status(self.adom()),
        ];
        let before_devices = asked.len();
        asked.extend(inventory::questions(self.adom(), &places));
        let devices_end = asked.len();
        asked.extend(self.manager.user().map(api::user));
        let parts = self
            .manager
            .call(&self.counter, "get", &asked, Safety::Read)
            .await?;
        let known = self
            .manager
            .devices(&parts[before_devices..devices_end], &places)?;
        let mut findings = vec![
            self.workspace(&parts[0], &parts[1]),
            rights(parts.get(devices_end)),
        ];
        findings.extend(self.policies(parts.get(2), &stored));
        findings.extend(self.answers().await?);
        findings.extend(self.sync_states(&places, &known));
        findings.extend(self.assignments(&places, parts.get(3)));
        for behind in self.behind(&stored).await? {
            findings.push(finding(
                Level::Warning,
                "install",
                format!("{} does not hold what the ADOM does", behind.name),
                Some(format!(
                    "name the groups in a deny policy of the package {}, which the next run installs",
                    self.package
                )),
            ));
        }
        Ok(findings)
    }

    fn workspace(&self, global: &Part, lock: &Part) -> Finding {
        let mode = global.data.get("workspace-mode").and_then(Json::as_str);
        let message = match mode {
            Some(mode) => format!("{}, workspace mode {mode}", self.adom()),
            None => self.adom().to_owned(),
        };
        let row = lock.data.get(0).unwrap_or(&lock.data);
        match row.get("lock_user").and_then(Json::as_str) {
            Some(holder) => finding(
                Level::Warning,
                "ADOM",
                format!("{message}, locked by {holder}"),
                Some("a run waits up to 20 minutes until it is unlocked".to_owned()),
            ),
            None => finding(Level::Ok, "ADOM", message, None),
        }
    }

    /// For each of our groups, whether a policy of the package denies it.
    fn policies(&self, part: Option<&Part>, stored: &Stored) -> Vec<Finding> {
        if stored.groups.is_empty() {
            return vec![finding(
                Level::Warning,
                "groups",
                "there is no group of ours in the ADOM yet".to_owned(),
                Some(format!(
                    "the first block makes {}; then name it in a deny policy of the package {}",
                    self.group_name(Family::Ipv4, 1),
                    self.package
                )),
            )];
        }
        let Some(policies) = rows::<Policy>(part) else {
            let told = part
                .map(|part| format!(" ({})", part.status))
                .unwrap_or_default();
            return vec![finding(
                Level::Warning,
                "policy",
                format!("the policies of the package {} cannot be read{told}", self.package),
                Some("give the user read access to them, or look yourself: what no deny policy names blocks nothing".to_owned()),
            )];
        };
        let finding_of = |group: &str| {
            let holders = holders(group, &stored.all_groups);
            let users: Vec<&Policy> = policies
                .iter()
                .filter(|policy| policy.names(&holders))
                .collect();
            let numbers = |policies: &[&Policy]| {
                let numbers: Vec<String> = policies
                    .iter()
                    .map(|policy| policy.policyid.to_string())
                    .collect();
                numbers.join(", ")
            };
            let denying: Vec<&Policy> = users.iter().copied().filter(|it| it.denies()).collect();
            let package = &self.package;
            let hint = Some(format!(
                "name {group} as source or destination of a deny policy of the package {package}"
            ));
            if !denying.is_empty() {
                let message = format!("policy {} of {package} denies {group}", numbers(&denying));
                finding(Level::Ok, "policy", message, None)
            } else if users.is_empty() {
                let message =
                    format!("no policy of the package {package} names {group}: it blocks nothing");
                finding(Level::Warning, "policy", message, hint)
            } else {
                let message = format!(
                    "policy {} of {package} names {group} and does not deny it, or is disabled",
                    numbers(&users)
                );
                finding(Level::Warning, "policy", message, hint)
            }
        };
        stored
            .groups
            .keys()
            .map(|(_, group)| finding_of(group))
            .collect()
    }

    /// Which firewalls answer through the manager.
    async fn answers(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for (vdom, names) in self.by_vdom() {
            let request = rest::status(&vdom);
            for answer in self.manager.relay(&self.counter, &request, &names).await? {
                let version = serde_json::from_value::<Status>(answer.response);
                findings.push(match version {
                    Ok(told) if answer.status.code == 0 => finding(
                        Level::Ok,
                        "firewall",
                        format!("{} answers, FortiOS {}", answer.target, told.version),
                        None,
                    ),
                    _ => finding(
                        Level::Warning,
                        "firewall",
                        format!("{} does not answer: {}", answer.target, answer.status),
                        Some("what is blocked there changes once it is back".to_owned()),
                    ),
                });
            }
        }
        Ok(findings)
    }

    /// Whether the manager's copy of each firewall's configuration is the firewall's own.
    fn sync_states(&self, places: &[(&str, &str)], known: &[Option<Device>]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut told = BTreeSet::new();
        for ((name, _), device) in places.iter().zip(known) {
            let words = device
                .as_ref()
                .and_then(|device| device.conf_status.as_str());
            let Some(words) = words.filter(|_| told.insert(*name)) else {
                continue;
            };
            findings.push(if words == "insync" {
                finding(Level::Ok, "sync", format!("{name} is in sync"), None)
            } else {
                finding(
                    Level::Warning,
                    "sync",
                    format!("the configuration of {name} is {words:?} to the manager"),
                    Some("retrieve or install it in the FortiManager: an install may undo what was changed on the firewall".to_owned()),
                )
            });
        }
        findings
    }

    /// Which package each firewall has, and how far it is installed.
    fn assignments(&self, places: &[(&str, &str)], part: Option<&Part>) -> Vec<Finding> {
        let package = &self.package;
        let Some(rows) = rows::<Assignment>(part) else {
            return vec![finding(
                Level::Warning,
                "package",
                format!("the manager does not tell where {package} is installed"),
                Some("give the user read access to policy packages".to_owned()),
            )];
        };
        let one = |(name, vdom): &(&str, &str)| {
            let mut here = rows
                .iter()
                .filter(|row| row.dev == *name && (row.vdom.is_empty() || row.vdom == *vdom));
            let place = format!("{name}/{vdom}");
            let assign = format!("make {place} an installation target of the package {package}");
            match here.clone().find(|row| row.pkg == *package) {
                Some(row) if row.status == "installed" => {
                    let message = format!("{package} is installed on {place}");
                    finding(Level::Ok, "package", message, None)
                }
                Some(row) => finding(
                    Level::Warning,
                    "package",
                    format!("{package} is {:?} on {place}", row.status),
                    Some("the next run that changes something there installs it, with whatever else is pending in it".to_owned()),
                ),
                None => match here.next() {
                    Some(row) => finding(
                        Level::Missing,
                        "package",
                        format!("{place} has the package {} and not {package}", row.pkg),
                        Some(format!("set `fortimanager.package` to it, or {assign}")),
                    ),
                    None => finding(
                        Level::Warning,
                        "package",
                        format!("the manager tells of no package for {place}"),
                        Some(assign),
                    ),
                },
            }
        };
        places.iter().map(one).collect()
    }
}

/// Whether the user may write, as far as it may read what is written about itself.
fn rights(user: Option<&Part>) -> Finding {
    let row = user
        .filter(|part| part.status.code == 0)
        .map(|part| part.data.get(0).unwrap_or(&part.data));
    let permit = row.and_then(|row| row.get("rpc-permit")?.as_str());
    match permit {
        Some(permit) if permit.contains("write") => finding(
            Level::Ok,
            "rights",
            format!("rpc-permit {permit}; what the profile may edit shows with the first change"),
            None,
        ),
        Some(permit) => finding(
            Level::Missing,
            "rights",
            format!("rpc-permit {permit}: nothing can be blocked"),
            Some("config system admin user; edit the user; set rpc-permit read-write".to_owned()),
        ),
        None => finding(
            Level::Ok,
            "rights",
            "reading works; the manager does not tell this user what it may write: that shows with the first change"
                .to_owned(),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_hold_each_other_end() {
        let group = |name: &str, members: &[&str]| {
            let members = members.iter().map(|name| (*name).to_owned()).collect();
            (name.to_owned(), members)
        };
        let all = [
            group("cordon-v4-001", &["a"]),
            group("Blocked", &["cordon-v4-001", "Everything"]),
            group("Everything", &["Blocked"]),
            group("Servers", &["web"]),
        ];
        let found = holders("cordon-v4-001", &all);
        assert_eq!(
            found,
            BTreeSet::from(["Blocked", "Everything", "cordon-v4-001"])
        );
    }
}
