//! What the firewalls hold, and bringing it there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sdk::http::{Request, Safety, poll};
use sdk::indicator::Value;
use sdk::{Error, ErrorKind, Result, Retry};

use super::{Family, Groups, InstalledGroup, ManagedGroup, Stored, TABLES};
use crate::api::manager::{self as api, Task};
use crate::api::{self as rest, AddressRow};
use crate::config::ManagedDevice;
use crate::target::address_group::value_of;
use crate::target::manager::page;

/// How often a task is asked for.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long an install may take.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// What one firewall holds of our groups and objects.
pub(super) struct Installed {
    device: usize,
    /// `None` where it does not answer.
    groups: Option<Groups>,
    objects: Objects,
}

/// What objects stand for, by table and name.
type Objects = HashMap<(&'static str, String), Stands>;

/// What an object stands for, and the interface that it is bound to: it matches nowhere else.
type Stands = (Option<Value>, String);

fn stands(table: Family, row: &AddressRow) -> Stands {
    (value_of(table, row), row.associated_interface.clone())
}

impl Installed {
    /// Whether a member acts there. What does not answer is judged by the install, not here.
    pub(super) fn acts(&self, table: Family, groups: &[&str], row: &AddressRow) -> bool {
        let Some(held) = &self.groups else {
            return true;
        };
        let is_member = groups.iter().any(|group| {
            held.iter().any(|((family, name), members)| {
                family.groups() == table.groups() && name == group && members.contains(&row.name)
            })
        });
        is_member && self.stands_alike(table, row)
    }

    /// Whether the object there stands for what it does here. What is not of our name was not asked for.
    fn stands_alike(&self, table: Family, row: &AddressRow) -> bool {
        let there = self.objects.get(&(table.addresses(), row.name.clone()));
        there.is_none_or(|there| *there == stands(table, row))
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
                objects: Objects::new(),
            })
            .collect();
        let prefix = format!("{}-", self.prefix);
        for (vdom, names) in self.by_vdom() {
            let mut requests: Vec<Request> = TABLES
                .map(|table| rest::groups(&vdom, table, &prefix))
                .into();
            requests.extend(TABLES.map(|table| rest::addresses_named(&vdom, table, &prefix)));
            let mut answers = self
                .manager
                .relay_all(&self.counter, &requests, &names)
                .await?;
            let objects = answers.split_off(TABLES.len());
            for (table, answers) in TABLES.into_iter().zip(answers) {
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
            for (table, answers) in TABLES.into_iter().zip(objects) {
                for entry in &mut installed {
                    let device = &self.devices[entry.device];
                    if device.vdom != vdom {
                        continue;
                    }
                    let answer = answers.iter().find(|answer| answer.target == device.name);
                    let rows = answer
                        .filter(|answer| answer.status.code == 0)
                        .and_then(page::<Vec<AddressRow>>);
                    let Some(rows) = rows else {
                        entry.groups = None;
                        continue;
                    };
                    for row in rows {
                        let stands = stands(table, &row);
                        entry.objects.insert((table.addresses(), row.name), stands);
                    }
                }
            }
        }
        Ok(installed)
    }

    /// The firewalls that hold other members than the ADOM, or objects that stand for something else, or do not
    /// answer.
    pub(super) async fn behind(&self, stored: &Stored) -> Result<Vec<&ManagedDevice>> {
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
        let wanted = real(&stored.groups);
        let is_member = |table: Family, name: &str| {
            wanted.iter().any(|((family, _), members)| {
                family.groups() == table.groups() && members.contains(name)
            })
        };
        let members: Vec<(Family, &AddressRow)> = stored
            .objects
            .iter()
            .flat_map(|(table, rows)| rows.iter().map(|row| (*table, row)))
            .filter(|(table, row)| is_member(*table, &row.name))
            .collect();
        Ok(self
            .installed()
            .await?
            .into_iter()
            .filter(|entry| {
                entry
                    .groups
                    .as_ref()
                    .is_none_or(|groups| real(groups) != wanted)
                    || !members
                        .iter()
                        .all(|(table, row)| entry.stands_alike(*table, row))
            })
            .map(|entry| &self.devices[entry.device])
            .collect())
    }

    /// Installs the package on the firewalls that are behind, waits for the end, and looks.
    pub(super) async fn install(&self) -> Result<()> {
        let stored = self.stored().await?;
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
        self.manager.install(true);
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
        self.manager.install(false);
        Ok((number, task))
    }
}
