//! What the firewalls hold, and bringing it there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sdk::http::{Safety, poll};
use sdk::{Error, ErrorKind, Result, Retry};

use super::{Family, Groups, InstalledGroup, ManagedGroup, TABLES};
use crate::api as rest;
use crate::api::manager::{self as api, Task};
use crate::config::ManagedDevice;
use crate::target::manager::page;

/// How often a task is asked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long an install may take.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// What one firewall holds of our groups.
pub(super) struct Installed {
    device: usize,
    /// `None` where it does not answer.
    groups: Option<Groups>,
}

impl Installed {
    /// Whether a member acts there. What does not answer is judged by the install, not here.
    pub(super) fn acts(&self, table: Family, groups: &[&str], member: &str) -> bool {
        let Some(held) = &self.groups else {
            return true;
        };
        groups.iter().any(|group| {
            held.iter().any(|((family, name), members)| {
                family.groups() == table.groups() && name == group && members.contains(member)
            })
        })
    }
}

impl ManagedGroup {
    /// The firewalls by VDOM: one call asks all that share one.
    pub(super) fn by_vdom(&self) -> BTreeMap<String, Vec<&str>> {
        let mut by_vdom: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for device in &self.devices {
            by_vdom
                .entry(device.vdom.clone())
                .or_default()
                .push(&device.name);
        }
        by_vdom
    }

    /// What each firewall holds of our groups.
    pub(super) async fn installed(&self) -> Result<Vec<Installed>> {
        let mut installed: Vec<Installed> = (0..self.devices.len())
            .map(|device| Installed {
                device,
                groups: Some(Groups::new()),
            })
            .collect();
        for (vdom, names) in self.by_vdom() {
            for table in TABLES {
                let request = rest::groups(&vdom, table, &format!("{}-", self.prefix));
                let answers = self.manager.relay(&self.counter, &request, &names).await?;
                for entry in &mut installed {
                    let device = &self.devices[entry.device];
                    if device.vdom != vdom {
                        continue;
                    }
                    let answer = answers.iter().find(|answer| answer.target == device.name);
                    let rows = answer
                        .filter(|answer| answer.status.code == 0)
                        .and_then(page::<Vec<InstalledGroup>>);
                    match (rows, &mut entry.groups) {
                        (Some(rows), Some(groups)) => {
                            for row in rows {
                                if let Some(family) = self.family_of_group(table, &row.name) {
                                    let members =
                                        row.member.into_iter().map(|member| member.name).collect();
                                    groups.insert((family, row.name), members);
                                }
                            }
                        }
                        _ => entry.groups = None,
                    }
                }
            }
        }
        Ok(installed)
    }

    /// The firewalls that hold other members than the ADOM, or do not answer.
    pub(super) async fn behind(&self, stored: &Groups) -> Result<Vec<&ManagedDevice>> {
        let placeholder = self.placeholder();
        let real = |groups: &Groups| -> BTreeMap<(Family, String), BTreeSet<String>> {
            groups
                .iter()
                .map(|(key, members)| {
                    let members = members.iter().filter(|member| **member != placeholder);
                    (key.clone(), members.cloned().collect::<BTreeSet<_>>())
                })
                .filter(|(_, members)| !members.is_empty())
                .collect()
        };
        let wanted = real(stored);
        Ok(self
            .installed()
            .await?
            .into_iter()
            .filter(|entry| {
                entry
                    .groups
                    .as_ref()
                    .is_none_or(|groups| real(groups) != wanted)
            })
            .map(|entry| &self.devices[entry.device])
            .collect())
    }

    /// Installs the package on the firewalls that are behind, waits for the end, and looks.
    pub(super) async fn install(&self) -> Result<()> {
        let stored = self.stored_groups().await?;
        let behind = self.behind(&stored).await?;
        if behind.is_empty() {
            return Ok(());
        }
        let scope: Vec<(&str, &str)> = behind
            .iter()
            .map(|device| (device.name.as_str(), device.vdom.as_str()))
            .collect();
        let sessions = self.manager.opened();
        let mut ended = self.task(&scope).await?;
        if ended.1.num_err > 0 && self.manager.opened() != sessions {
            // A task fails if the session that began it ends.
            ended = self.task(&scope).await?;
        }
        let (number, task) = ended;
        if task.num_err > 0 {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("the install ended with {} errors", task.num_err),
            )
            .with("task", number)
            .with("package", &self.package)
            .retry(Retry::Later(None))
            .hint("the task's log in the FortiManager says why; the next run installs again"));
        }
        let left = self.behind(&stored).await?;
        if left.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = left.iter().map(|device| device.name.as_str()).collect();
        Err(Error::new(
            ErrorKind::Unavailable,
            "the install ended well, and firewalls do not hold what the ADOM does",
        )
        .with("firewalls", names.join(", "))
        .with("package", &self.package)
        .retry(Retry::Later(None))
        .hint(
            "assign the package to these firewalls and name the groups in one of its deny policies: what no \
             policy uses may not be installed",
        ))
    }

    /// Installs once, and waits for the end.
    async fn task(&self, scope: &[(&str, &str)]) -> Result<(u64, Task)> {
        let parameter = api::install(self.adom(), &self.package, scope);
        let data = self
            .manager
            .ask(
                &self.counter,
                "exec",
                parameter,
                Safety::Idempotent,
                "install",
            )
            .await?;
        let number = data
            .get("task")
            .and_then(serde_json::Value::as_u64)
            .ok_or_else(|| Error::protocol("install: the answer names no task").unknown_fate())?;
        let task = poll(
            self.manager.clock(),
            "the install",
            INTERVAL,
            LONGEST,
            || async {
                let asked = self
                    .manager
                    .ask(
                        &self.counter,
                        "get",
                        api::task(number),
                        Safety::Read,
                        "install",
                    )
                    .await?;
                let task: Task = serde_json::from_value(asked).map_err(|error| {
                    Error::protocol("install: not a task that we know").because(error)
                })?;
                Ok((task.percent >= 100).then_some(task))
            },
        )
        .await?;
        Ok((number, task))
    }
}
