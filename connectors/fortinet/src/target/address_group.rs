//! `address-group`: address objects, each marked in its comment, as members of groups that a deny policy
//! of the administrator's names. An object is made first and joined to a group second, and leaves in the
//! opposite order; whatever is found half-way is finished by the next run.

mod members;
mod object;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use sdk::connector::Environment;
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, Effect, EndKnownBy, Facts, Finding, Foreign,
    Granularity, Held, KindSupport, Level, Login, Outcome, Proof, Rejection, Removal, Scope,
    Target, TargetKey, Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::connection::{Connection, Version};
use crate::api::{self, AddressRow, GroupRow, Limits, Named, Page, Verdict};
use crate::config::Config;
use members::Shards;
pub(crate) use object::{Family, accept, body_of, comment, handle, name_of, read_handle, value_of};

/// Groups may be empty from this version on; before, one member has to stay.
const EMPTY_GROUPS: Version = (7, 2, 0);
/// Longest comment of an address object.
const COMMENT: usize = 255;
/// What every mark of ours begins with, for looking for our own objects.
const MARK: &str = "cordon:";

const fn support(kind: Kind, networks: bool) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks,
        matches_below: false,
    }
}

/// What address groups can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    mechanism: "address-group",
    summary: "address objects in groups that a deny policy names (any FortiOS; slow, small tables)",
    // FQDN objects block what the name resolves to on the firewall, and learn it late.
    kinds: &[
        support(Kind::Ipv4, true),
        support(Kind::Ipv6, true),
        support(Kind::Domain, false),
    ],
    end_known_by: EndKnownBy::Mark,
    native_end: None,
    proof: Proof::Mark {
        max_length: COMMENT,
    },
    // Equal objects of others stand beside ours, under names of their own.
    foreign: Foreign::Coexists,
    granularity: Granularity::List,
    write_batch: 100,
    remove_batch: 100,
    list_page: 1_000_000,
    lookup_batch: 0,
    capacity: None,
    staged: false,
    rate: &[],
    rights: &[
        "fwgrp read and write (firewall addresses)",
        "sysgrp read (table sizes), if it is to keep within them",
    ],
};

/// Address groups of one firewall and VDOM.
pub(crate) struct AddressGroup {
    connection: Connection,
    key: TargetKey,
    prefix: String,
    installation: String,
    shards: Mutex<Option<Shards>>,
    group_size: usize,
    needs_placeholder: AtomicBool,
}

/// The outcome of a verdict that leaves nothing to try.
fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Done => Outcome::Done,
        Verdict::Exists => Outcome::Exists,
        Verdict::Missing => Outcome::Failed(Error::new(ErrorKind::NotFound, "the object is gone")),
        Verdict::Full(words) => Outcome::Failed(
            Error::new(ErrorKind::Full, "the firewall's address table is full")
                .with("answer", words)
                .hint("delete unused address objects, or block less"),
        ),
        Verdict::InUse(words) => Outcome::Rejected(format!(
            "something else on the firewall refers to the address object ({words})"
        )),
        Verdict::Dangling(words) => Outcome::Failed(
            Error::new(ErrorKind::Conflict, "somebody deleted the object meanwhile")
                .with("answer", words),
        ),
        Verdict::Refused(words) => Outcome::Rejected(words),
        Verdict::Failed(error) => Outcome::Failed(error),
        Verdict::Unknown(error) => Outcome::Unknown(error),
    }
}

impl AddressGroup {
    pub(crate) fn new(
        config: &Config,
        connection: Connection,
        key: TargetKey,
        environment: &Environment,
    ) -> Self {
        Self {
            connection,
            key,
            prefix: config.group_prefix.clone(),
            installation: environment.installation.clone(),
            shards: Mutex::new(None),
            group_size: config.group_size,
            needs_placeholder: AtomicBool::new(false),
        }
    }

    fn vdom(&self) -> &str {
        &self.connection.vdom
    }

    fn object_name(&self, value: &Value) -> String {
        name_of(&self.prefix, &self.installation, value)
    }

    /// The objects of a family's table.
    async fn objects(&self, family: Family) -> Result<Vec<AddressRow>> {
        self.connection
            .read::<Vec<AddressRow>>(api::addresses(self.vdom(), family), "addresses")
            .await?
            .complete("addresses")
    }

    /// Whether an object has the name that ours for this value has.
    fn is_own(&self, name: &str, value: &Value) -> bool {
        name == self.object_name(value)
    }

    async fn add(&self, write: &Write) -> Outcome {
        let Some(family) = Family::of(&write.value) else {
            return Outcome::Rejected("no address object can stand for this kind".to_owned());
        };
        let name = self.object_name(&write.value);
        let comment = comment(&write.note);
        let body = body_of(&name, &write.value, &comment);
        let created = self
            .connection
            .write(
                api::create_address(self.vdom(), family, &body),
                "address creation",
            )
            .await;
        match created {
            Verdict::Done => {}
            // Another run was here, or our own first try: what the object holds decides.
            Verdict::Exists => match self.holds(family, &name, &write.value, &comment).await {
                Ok(true) => {}
                Ok(false) => return Outcome::Exists,
                Err(error) => return Outcome::Unknown(error),
            },
            // An object outside of the groups blocks nothing: if it was made after all, it still has to
            // join one.
            Verdict::Unknown(error) => {
                match self.holds(family, &name, &write.value, &comment).await {
                    Ok(true) => {}
                    Ok(false) => return Outcome::Unknown(error),
                    Err(_) => return Outcome::Failed(error),
                }
            }
            other => return outcome(other),
        }
        self.join(family, &name).await
    }

    /// Whether the object is there just as we would write it.
    async fn holds(
        &self,
        family: Family,
        name: &str,
        value: &Value,
        comment: &str,
    ) -> Result<bool> {
        let row = self.read_object(family, name).await?;
        Ok(row.is_some_and(|row| {
            value_of(family, &row).as_ref() == Some(value) && row.comment == comment
        }))
    }

    async fn read_object(&self, family: Family, name: &str) -> Result<Option<AddressRow>> {
        let response = self
            .connection
            .send(api::address(self.vdom(), family, name))
            .await?;
        if response.status.as_u16() == 404 {
            return Ok(None);
        }
        let page: Page<Vec<AddressRow>> = Page::read(&response, "address")?;
        Ok(page.results.into_iter().next())
    }

    async fn update(&self, write: &Write) -> Outcome {
        let Some(family) = Family::of(&write.value) else {
            return Outcome::Rejected("no address object can stand for this kind".to_owned());
        };
        let (name, groups) = read_handle(write.id.as_deref().unwrap_or_default());
        if name.is_empty() {
            return Outcome::Failed(Error::internal("an update without the object's name"));
        }
        let comment = comment(&write.note);
        let request = if write.note_and_end_only || !self.is_own(name, &write.value) {
            api::comment_address(self.vdom(), family, name, &comment)
        } else {
            let mut body = body_of(name, &write.value, &comment);
            // Bound to an interface it would only match there; IPv6 objects cannot be bound.
            body.associated_interface = (family != Family::Ipv6).then_some("");
            api::update_address(self.vdom(), family, &body)
        };
        match self.connection.write(request, "address update").await {
            Verdict::Done if groups.is_empty() => self.join(family, name).await,
            // It is in no group yet, which looking at its mark would not show.
            Verdict::Unknown(error) if groups.is_empty() => Outcome::Failed(error),
            other => outcome(other),
        }
    }

    async fn remove(&self, removal: &Removal) -> Outcome {
        let Some(family) = Family::of(&removal.value) else {
            return Outcome::Done;
        };
        let (name, groups) = read_handle(&removal.id);
        for group in groups {
            match self.leave(family, group, name).await {
                Verdict::Done | Verdict::Missing => {}
                // Whether it left or not, a lost answer leaves the removal half-way: the next run ends it.
                Verdict::Unknown(error) => return Outcome::Failed(error),
                other => return outcome(other),
            }
        }
        let Some(request) = api::delete_address(self.vdom(), family, name) else {
            return Outcome::Failed(Error::internal("a removal without the object's name"));
        };
        match self.connection.write(request, "address deletion").await {
            Verdict::Missing => Outcome::Done,
            // Out of its groups it blocks nothing any more, and yet it is not gone.
            Verdict::Unknown(error) => match self.read_object(family, name).await {
                Ok(None) => Outcome::Done,
                Ok(Some(_)) | Err(_) => Outcome::Failed(error),
            },
            other => outcome(other),
        }
    }

    /// Room for what we list: the table, less what is in it beside ours.
    async fn pool(&self) -> Result<std::result::Result<Option<CapacityPool>, Finding>> {
        let response = self.connection.send(api::limits(self.vdom())).await?;
        let limit = match Page::<Limits>::read(&response, "table sizes") {
            Ok(page) => page.results.firewall_address,
            Err(error) => {
                return Ok(Err(Finding {
                    level: Level::Warning,
                    subject: "table sizes".into(),
                    message: error.to_string(),
                    hint: Some("without read access to sysgrp a full address table shows only when it is met".to_owned()),
                }));
            }
        };
        let Some(limit) = limit else {
            return Ok(Ok(None));
        };
        let most = if limit.custom_max > 0 {
            limit.custom_max
        } else {
            limit.global_max
        };
        if most == 0 {
            return Ok(Ok(None));
        }
        let marked = self
            .connection
            .read::<Vec<Named>>(
                api::addresses_commented(self.vdom(), Family::Ipv4, MARK),
                "addresses",
            )
            .await?
            .results;
        let prefix = format!("{}-", self.prefix);
        let ours = marked
            .iter()
            .filter(|row| row.name.starts_with(&prefix))
            .count();
        Ok(Ok(Some(CapacityPool {
            kinds: vec![Kind::Ipv4, Kind::Domain],
            limit: most.saturating_sub(limit.current_usage.saturating_sub(ours)),
        })))
    }
}

#[async_trait]
impl Target for AddressGroup {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let (text, version, vendor_time) = self.connection.status().await?;
        self.needs_placeholder
            .store(version < EMPTY_GROUPS, std::sync::atomic::Ordering::Relaxed);
        let mut facts = Facts {
            version: Some(text),
            vendor_time,
            ..Facts::default()
        };
        // Without the right to read it, a full table shows when it is met: `examine` tells.
        if let Ok(pool) = self.pool().await? {
            facts.capacity.extend(pool);
        }
        Ok(facts)
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut findings: Vec<Finding> = self.pool().await?.err().into_iter().collect();
        let groups = self.load_groups().await?;
        for (family, group) in &groups {
            let hint =
                "name the group as source or destination of a deny policy, above those that allow";
            findings.push(
                self.connection
                    .usage("firewall", family.groups(), &group.name, hint)
                    .await?,
            );
        }
        if groups.is_empty() {
            findings.push(Finding {
                level: Level::Warning,
                subject: "groups".into(),
                message: "there is no group of ours yet".to_owned(),
                hint: Some(format!(
                    "the first block makes {}; then name it in a deny policy",
                    self.group_name(Family::Ipv4, 1)
                )),
            });
        }
        Ok(findings)
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        accept(value)
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let groups: Vec<(Family, GroupRow)> = self.load_groups().await?;
        let mut held = Vec::new();
        // IPv4 and FQDN objects share a table: it is read once.
        for family in [Family::Ipv4, Family::Ipv6] {
            let mut members: HashMap<&str, Vec<&str>> = HashMap::new();
            for (of, group) in &groups {
                if of.addresses() == family.addresses() {
                    for member in &group.member {
                        members.entry(&member.name).or_default().push(&group.name);
                    }
                }
            }
            for row in self.objects(family).await? {
                let Some(value) = value_of(family, &row) else {
                    continue;
                };
                let in_groups = members
                    .get(row.name.as_str())
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let own = self.is_own(&row.name, &value);
                if in_groups.is_empty() && !own || row.name == self.placeholder() {
                    continue;
                }
                if let Scope::Values(values) = scope
                    && !values.contains(&value)
                {
                    continue;
                }
                let blocks = !in_groups.is_empty() && row.associated_interface.is_empty();
                held.push(Held {
                    id: handle(&row.name, in_groups),
                    value,
                    note: Some(row.comment.into()),
                    expires: None,
                    container: None,
                    blocks,
                    allows: false,
                    conforms: blocks,
                    writable: true,
                });
            }
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        match batch {
            Batch::Add(writes) => {
                for write in writes {
                    outcomes.push(self.add(write).await);
                }
            }
            Batch::Update(writes) => {
                for write in writes {
                    outcomes.push(self.update(write).await);
                }
            }
            Batch::Remove(removals) => {
                for removal in removals {
                    outcomes.push(self.remove(removal).await);
                }
            }
        }
        outcomes
    }

    fn login(&self) -> Option<Login> {
        Some(self.connection.login())
    }

    fn calls(&self) -> Calls {
        self.connection.calls()
    }
}

#[cfg(test)]
mod tests;
