//! `address-group` through a FortiManager: the same objects and groups, kept in the manager's ADOM and
//! installed on its firewalls. Edits are made under the lock of the ADOM and committed together; they act
//! once a policy package that names the groups is installed, which is the commit of this target.

mod edit;
mod examine;
mod install;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sdk::connector::Environment;
use sdk::http::Safety;
use sdk::indicator::Value;
use sdk::target::{
    Activate, Batch, Calls, Capabilities, Facts, Finding, Held, Login, Outcome, Pending, Rejection,
    Scope, Staged, Target, TargetKey,
};
use sdk::{Error, ErrorKind, Result, async_trait};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::address_group::{CAPABILITIES as DIRECT, Family, handle, value_of};
use super::manager::{Counter, Manager, inventory};
use crate::api::manager::{self as api, Part, StoredAddress, StoredGroup};
use crate::api::{AddressRow, Named};
use crate::config::{Config, FortiManager, ManagedDevice};

/// Address groups as they are through a manager.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    summary: "address objects in groups that a policy package names, installed by a FortiManager",
    write_batch: 500,
    remove_batch: 500,
    staged: true,
    rights: &[
        "rpc-permit read-write",
        "the ADOM, with a profile that edits objects and installs packages",
    ],
    ..DIRECT
};

/// Members by group, by family.
type Groups = BTreeMap<(Family, String), BTreeSet<String>>;

/// Address groups of one ADOM.
pub(crate) struct ManagedGroup {
    manager: Arc<Manager>,
    counter: Counter,
    key: TargetKey,
    devices: Vec<ManagedDevice>,
    package: String,
    activate: Activate,
    prefix: String,
    installation: String,
    group_size: usize,
    /// Our groups in the ADOM as last read, kept in step with what is written.
    groups: Mutex<Option<Groups>>,
    /// The lock was asked for, and not given back as far as is known.
    owes_unlock: AtomicBool,
}

/// What the ADOM holds.
#[derive(Default)]
struct Stored {
    /// Our groups.
    groups: Groups,
    /// The objects of each table, others' included.
    objects: Vec<(Family, Vec<AddressRow>)>,
    /// All groups, others' included, with their members.
    all_groups: Vec<(String, BTreeSet<String>)>,
}

fn rows_of<T: DeserializeOwned>(rows: Json, what: &str) -> Result<Vec<T>> {
    serde_json::from_value(rows)
        .map_err(|error| Error::protocol(format!("{what}: not the JSON we know")).because(error))
}

/// The tables, in the order in which they are asked for.
const TABLES: [Family; 2] = [Family::Ipv4, Family::Ipv6];

impl ManagedGroup {
    pub(crate) fn new(
        config: &Config,
        settings: &FortiManager,
        manager: Arc<Manager>,
        key: TargetKey,
        environment: &Environment,
    ) -> Result<Self> {
        let package = settings
            .package
            .clone()
            .filter(|package| !package.is_empty())
            .ok_or_else(|| {
                Error::config("`fortimanager.package` is missing").hint(
                    "name the policy package to install: its policies name the groups, and nothing acts before",
                )
            })?;
        Ok(Self {
            manager,
            counter: Counter::default(),
            key,
            devices: settings.devices.clone(),
            package,
            activate: settings.activate,
            prefix: config.group_prefix.clone(),
            installation: environment.installation.clone(),
            group_size: config.group_size,
            groups: Mutex::default(),
            owes_unlock: AtomicBool::new(false),
        })
    }

    fn adom(&self) -> &str {
        &self.manager.adom
    }

    /// Reads whole tables in one call, or fails.
    async fn tables(&self, parameters: &[Json], what: &str) -> Result<Vec<Json>> {
        let parts = self
            .manager
            .call(&self.counter, "get", parameters, Safety::Read)
            .await?;
        let whole = |part: Part| match part.status.code {
            0 => Ok(part.data),
            _ => Err(self.manager.refusal(&part.status, what)),
        };
        parts.into_iter().map(whole).collect()
    }

    /// What the ADOM holds: groups and objects of both tables in one call.
    async fn stored(&self) -> Result<Stored> {
        let mut asked: Vec<Json> = TABLES.map(|family| api::groups(self.adom(), family)).into();
        asked.extend(TABLES.map(|family| api::addresses(self.adom(), family)));
        let mut tables = self.tables(&asked, "address objects and groups").await?;
        let objects = tables.split_off(TABLES.len());
        let mut stored = Stored::default();
        for (table, rows) in TABLES.into_iter().zip(tables) {
            for row in rows_of::<StoredGroup>(rows, "address groups")? {
                let members: BTreeSet<String> = row.members().into_iter().collect();
                stored.all_groups.push((row.name.clone(), members.clone()));
                if let Some(family) = self.family_of_group(table, &row.name) {
                    stored.groups.insert((family, row.name), members);
                }
            }
        }
        for (family, rows) in TABLES.into_iter().zip(objects) {
            let rows = rows_of::<StoredAddress>(rows, "addresses")?;
            let rows = rows.into_iter().map(AddressRow::from).collect();
            stored.objects.push((family, rows));
        }
        self.remember(stored.groups.clone());
        Ok(stored)
    }

    /// The firewalls, with their VDOMs.
    fn places(&self) -> Vec<(&str, &str)> {
        self.devices
            .iter()
            .map(|device| (device.name.as_str(), device.vdom.as_str()))
            .collect()
    }

    /// Which sort of group of ours a name of a table is.
    fn family_of_group(&self, table: Family, name: &str) -> Option<Family> {
        Family::ALL
            .into_iter()
            .filter(|family| family.groups() == table.groups())
            .find(|family| {
                name.strip_prefix(&format!("{}-{}-", self.prefix, family.tag()))
                    .is_some_and(|number| {
                        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit())
                    })
            })
    }
}

#[async_trait]
impl Target for ManagedGroup {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        // The settings may be out of sight for a user who may well edit the ADOM.
        let places = self.places();
        let mut asked = vec![
            api::global(),
            api::workspace(self.adom(), "lockinfo"),
            api::package(self.adom(), &self.package),
        ];
        asked.extend(inventory::questions(self.adom(), &places));
        let parts = self
            .manager
            .call(&self.counter, "get", &asked, Safety::Read)
            .await?;
        let [global, lock, package, known @ ..] = parts.as_slice() else {
            return Err(Error::protocol("FortiManager: no answer about the ADOM"));
        };
        self.manager.devices(known, &places)?;
        if lock.status.code == api::DENIED {
            return Err(self.manager.refusal(&lock.status, "ADOM"));
        }
        if package.status.code == api::MISSING && self.activate != Activate::Never {
            return Err(Error::config(format!(
                "the ADOM {:?} has no policy package {:?}",
                self.adom(),
                self.package
            ))
            .with("answer", &package.status)
            .hint("set `fortimanager.package` to the package whose policies name our groups, with its folders"));
        }
        let mode = global.data.get("workspace-mode").and_then(Json::as_str);
        if mode == Some("workflow") {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the FortiManager works with approvals",
            )
            .with("workspace-mode", "workflow")
            .hint("people approve changes in workflow mode: use `normal`, `per-adom` or none"));
        }
        Ok(Facts {
            vendor_time: Some(self.manager.vendor_time()),
            ..Facts::default()
        })
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        self.findings().await
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        super::address_group::accept(value)
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let Stored {
            groups, objects, ..
        } = self.stored().await?;
        let installed = self.installed().await?;
        let mut groups_of: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
        for ((family, group), members) in &groups {
            for member in members {
                groups_of
                    .entry((family.addresses(), member))
                    .or_default()
                    .push(group);
            }
        }
        let mut held = Vec::new();
        for (family, rows) in objects {
            for row in rows {
                let Some(value) = value_of(family, &row) else {
                    continue;
                };
                let groups = groups_of
                    .get(&(family.addresses(), row.name.as_str()))
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let own = row.name == self.object_name(&value);
                if groups.is_empty() && !own || row.name == self.placeholder() {
                    continue;
                }
                if let Scope::Values(values) = scope
                    && !values.contains(&value)
                {
                    continue;
                }
                let in_place = !groups.is_empty() && row.associated_interface.is_empty();
                // Where somebody else installs, what is stored is all that can be asked of us.
                let acts = self.activate == Activate::Never
                    || installed
                        .iter()
                        .all(|device| device.acts(family, groups, &row));
                held.push(Held {
                    id: handle(&row.name, groups),
                    value,
                    note: Some(row.comment.into()),
                    expires: None,
                    container: None,
                    blocks: in_place && acts,
                    allows: false,
                    conforms: in_place,
                    writable: true,
                });
            }
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        self.edit(batch).await
    }

    fn login(&self) -> Option<Login> {
        Some(self.manager.login())
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }

    fn calls(&self) -> Calls {
        self.counter.calls()
    }

    async fn close(&self) {
        // Where an edit was cut short: the lock would stay until the session ends, and a token has none.
        self.manager.hold(false);
        if self.owes_unlock.load(Ordering::Relaxed) && self.manager.is_logged_in().await {
            self.unlock().await;
        }
        self.manager.log_out(&self.counter).await;
    }
}

#[async_trait]
impl Staged for ManagedGroup {
    async fn pending(&self) -> Result<Option<Pending>> {
        let stored = self.stored().await?;
        let behind = self.behind(&stored).await?;
        let names: Vec<&str> = behind.iter().map(|device| device.name.as_str()).collect();
        // What else an install of the package brings, the manager does not tell us.
        Ok((!names.is_empty()).then(|| Pending {
            ours: Some(true),
            what: format!("not installed yet on {}", names.join(", ")),
        }))
    }

    async fn commit(&self) -> Result<()> {
        self.install().await
    }

    /// Objects in the ADOM are where they belong: the next install brings them.
    async fn discard(&self) -> Result<bool> {
        Ok(false)
    }

    fn activate(&self) -> Activate {
        self.activate
    }

    fn enforced_anyway(&self) -> Option<&'static str> {
        Some("every install of the package enforces it")
    }
}

/// Names as rows have them, for reading the groups of a firewall.
#[derive(Debug, serde::Deserialize)]
struct InstalledGroup {
    name: String,
    #[serde(default)]
    member: Vec<Named>,
}
