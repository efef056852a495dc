//! Editing the ADOM: everything of a batch under one lock, committed together, unlocked whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sdk::http::{Safety, poll};
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Outcome, Removal, Write};
use sdk::{Error, ErrorKind, Result, Retry};
use serde_json::{Value as Json, json};

use super::{Family, Groups, ManagedGroup};
use crate::api::AddressRow;
use crate::api::manager::{self as api, Part, StoredAddress};
use crate::target::address_group::{body_of, comment, name_of, read_handle, value_of};
use crate::target::rows::everywhere;

/// How often the lock is tried for while somebody else has it.
const INTERVAL: Duration = Duration::from_secs(15);
/// How long. A run that was killed keeps its lock until its session ends.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// Addresses reserved for documentation: no packet carries them.
const PLACEHOLDERS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// What one row came to so far: `None` goes on.
type Rows = Vec<Option<Outcome>>;

fn open_places(rows: &Rows) -> Vec<usize> {
    (0..rows.len())
        .filter(|place| rows[*place].is_none())
        .collect()
}

/// The same error without the doubt: what it was about is not done, or not wholly.
fn certain(error: &Error) -> Error {
    Error::new(error.kind(), error.to_string()).retry(error.retry_status())
}

/// Gives every row that is still open the same error.
fn fail(rows: &mut Rows, error: Error) {
    let places = open_places(rows);
    for (place, outcome) in places.iter().zip(everywhere(places.len(), error)) {
        rows[*place] = Some(outcome);
    }
}

impl ManagedGroup {
    pub(super) fn group_name(&self, family: Family, number: u32) -> String {
        format!("{}-{}-{number:03}", self.prefix, family.tag())
    }

    /// The object that keeps a group from being empty, which old firewalls refuse.
    pub(super) fn placeholder(&self) -> String {
        format!("{}-placeholder", self.prefix)
    }

    pub(super) fn object_name(&self, value: &Value) -> String {
        name_of(&self.prefix, &self.installation, value)
    }

    pub(super) fn remember(&self, groups: Groups) {
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = Some(groups);
    }

    async fn known_groups(&self) -> Result<Groups> {
        let known = self
            .groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match known {
            Some(groups) => Ok(groups),
            None => Ok(self.stored().await?.groups),
        }
    }

    async fn write(&self, method: &'static str, parameters: &[Json]) -> Result<Vec<Part>> {
        if parameters.is_empty() {
            return Ok(Vec::new());
        }
        self.manager
            .call(&self.counter, method, parameters, Safety::Once)
            .await
    }

    /// A write of a removal. Without a lock a lost answer leaves the removal half-way: the next run ends it.
    async fn undo(&self, method: &'static str, parameters: &[Json]) -> Result<Vec<Part>> {
        match self.write(method, parameters).await {
            Err(error) if error.is_fate_unknown() && !self.manager.is_held() => {
                Err(certain(&error))
            }
            parts => parts,
        }
    }

    /// Takes the lock; `false` where the ADOM needs none. While somebody else has it, it is waited for.
    async fn lock(&self) -> Result<bool> {
        let refused = std::sync::Mutex::new(None);
        let taken = poll(
            self.manager.clock(),
            "waiting for the lock of the ADOM",
            INTERVAL,
            LONGEST,
            || async {
                let parts = self
                    .manager
                    .call(
                        &self.counter,
                        "exec",
                        &[api::workspace(self.adom(), "lock")],
                        Safety::Idempotent,
                    )
                    .await?;
                let Some(part) = parts.into_iter().next() else {
                    return Ok(None);
                };
                match part.status.code {
                    0 => Ok(Some(true)),
                    api::NO_WORKSPACE => Ok(Some(false)),
                    api::DENIED | api::WORKFLOW => Err(self.manager.refusal(&part.status, "lock")),
                    _ => {
                        *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(part.status);
                        Ok(None)
                    }
                }
            },
        )
        .await;
        let Err(error) = taken else {
            return taken;
        };
        let told = refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(told) = told else {
            return Err(error);
        };
        let error = Error::new(
            ErrorKind::Unavailable,
            "somebody else holds the lock of the ADOM",
        )
        .with("ADOM", self.adom())
        .with("answer", told)
        .retry(Retry::Later(None))
        .hint("it is free once they unlock the ADOM, or their session ends");
        Err(match self.lock_holder().await {
            Some(holder) => error.with("held by", holder),
            None => error,
        })
    }

    async fn lock_holder(&self) -> Option<String> {
        let asked = api::workspace(self.adom(), "lockinfo");
        let data = self
            .manager
            .ask(&self.counter, "get", asked, Safety::Read, "lock")
            .await
            .ok()?;
        let row = data.get(0).unwrap_or(&data);
        Some(row.get("lock_user")?.as_str()?.to_owned())
    }

    /// Runs edits under the lock and commits what they did. What was not committed is dropped with the lock,
    /// so that its rows are not done. A session that ends takes the lock and the edits with it: then all of
    /// it is done once more in a new one.
    pub(super) async fn edit(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let count = batch.len();
        let mut again = false;
        loop {
            // Before it is there: whoever is cut short while asking may have it.
            self.owes_unlock.store(true, Ordering::Relaxed);
            let locked = match self.lock().await {
                Ok(locked) => locked,
                Err(error) => {
                    self.unlock().await;
                    return everywhere(count, error);
                }
            };
            self.owes_unlock.store(locked, Ordering::Relaxed);
            self.manager.hold(locked);
            let mut rows: Rows = (0..count).map(|_| None).collect();
            let mut result = match batch {
                Batch::Add(writes) => self.add(&mut rows, writes).await,
                Batch::Update(writes) => self.update(&mut rows, writes).await,
                Batch::Remove(removals) => self.remove(&mut rows, removals).await,
            };
            if locked && result.is_ok() {
                let verb = api::workspace(self.adom(), "commit");
                result = self
                    .manager
                    .ask(&self.counter, "exec", verb, Safety::Idempotent, "commit")
                    .await
                    .map(drop);
            }
            self.manager.hold(false);
            let lost = self.manager.take_lost();
            if result.is_err() {
                self.groups
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
            }
            if lost && result.is_err() && !again {
                again = true;
                continue;
            }
            if let Err(error) = result {
                // Under a lock nothing that was edited is kept without its commit.
                let error = if locked && !error.is_fate_unknown() {
                    error.with("edits", "dropped with the lock")
                } else {
                    error
                };
                fail(&mut rows, error);
            }
            if locked {
                self.unlock().await;
            }
            return rows
                .into_iter()
                .map(|outcome| outcome.unwrap_or(Outcome::Done))
                .collect();
        }
    }

    /// Gives the lock back, whatever happened before. Should this fail, it ends with the session.
    pub(super) async fn unlock(&self) {
        let verb = api::workspace(self.adom(), "unlock");
        let done = self
            .manager
            .call(&self.counter, "exec", &[verb], Safety::Idempotent)
            .await;
        match done {
            Ok(_) => self.owes_unlock.store(false, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(adom = self.adom(), %error, "the ADOM could not be unlocked: it is free once our session ends");
            }
        }
    }

    /// Adds objects and puts them into groups.
    async fn add(&self, rows: &mut Rows, writes: &[Write]) -> Result<()> {
        let mut parameters = Vec::new();
        let mut asked = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            let Some(family) = Family::of(&write.value) else {
                rows[place] = Some(Outcome::Rejected(
                    "no address object can stand for this kind".to_owned(),
                ));
                continue;
            };
            let name = self.object_name(&write.value);
            let words = comment(&write.note);
            let body = body_of(&name, &write.value, &words);
            parameters.push(api::new_address(self.adom(), family, &body));
            asked.push((place, family, name));
        }
        let parts = match self.write("add", &parameters).await {
            // Without a lock what was made stays, and an object outside of its group blocks nothing.
            Err(error) if error.is_fate_unknown() && !self.manager.is_held() => {
                return self.settle_add(rows, writes, asked, error).await;
            }
            parts => parts?,
        };
        let mut joining: Vec<(usize, Family, String)> = Vec::new();
        for ((place, family, name), part) in asked.into_iter().zip(parts) {
            match part.status.code {
                0 => joining.push((place, family, name)),
                api::EXISTS => {
                    // Another run was here, or half of one of ours: what the object holds decides.
                    if self.holds(family, &name, &writes[place]).await? {
                        joining.push((place, family, name));
                    } else {
                        rows[place] = Some(Outcome::Exists);
                    }
                }
                _ => self.settle(rows, place, &part, "address object")?,
            }
        }
        self.join(rows, &joining).await
    }

    /// An addition whose answer was lost: what is there as we would write it joins its group.
    async fn settle_add(
        &self,
        rows: &mut Rows,
        writes: &[Write],
        asked: Vec<(usize, Family, String)>,
        error: Error,
    ) -> Result<()> {
        let stored = self.stored().await?.objects;
        let is_there = |place: usize, family: Family, name: &str| {
            let write: &Write = &writes[place];
            stored
                .iter()
                .filter(|(table, _)| table.addresses() == family.addresses())
                .flat_map(|(_, rows)| rows)
                .any(|row| {
                    row.name == name
                        && value_of(family, row).as_ref() == Some(&write.value)
                        && row.comment == comment(&write.note)
                })
        };
        let (joining, missing): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .partition(|(place, family, name)| is_there(*place, *family, name));
        for (place, ..) in missing {
            rows[place] = Some(Outcome::Unknown(certain(&error).unknown_fate()));
        }
        self.join(rows, &joining).await
    }

    /// Writes a refusal into its row; one that is not the row's ends the edit.
    fn settle(&self, rows: &mut Rows, place: usize, part: &Part, what: &str) -> Result<()> {
        match part.status.code {
            0 => Ok(()),
            api::DENIED | api::NO_LOCK | api::WORKFLOW => {
                Err(self.manager.refusal(&part.status, what))
            }
            api::IN_USE => {
                rows[place] = Some(Outcome::Rejected(format!(
                    "something else in the FortiManager refers to the address object ({})",
                    part.status
                )));
                Ok(())
            }
            _ => {
                rows[place] = Some(Outcome::Rejected(part.status.to_string()));
                Ok(())
            }
        }
    }

    /// Whether the object is there just as we would write it.
    async fn holds(&self, family: Family, name: &str, write: &Write) -> Result<bool> {
        let asked = api::address(self.adom(), family, name);
        let data = self
            .manager
            .ask(&self.counter, "get", asked, Safety::Read, "address object")
            .await?;
        let row = if data.is_array() {
            data.get(0).cloned().unwrap_or_default()
        } else {
            data
        };
        let Ok(stored) = serde_json::from_value::<StoredAddress>(row) else {
            return Ok(false);
        };
        let row = AddressRow::from(stored);
        Ok(value_of(family, &row).as_ref() == Some(&write.value)
            && row.comment == comment(&write.note))
    }

    /// Puts objects into groups with room: one part for each group.
    async fn join(&self, rows: &mut Rows, joining: &[(usize, Family, String)]) -> Result<()> {
        if joining.is_empty() {
            return Ok(());
        }
        let mut groups = self.known_groups().await?;
        let mut fresh: BTreeSet<(Family, String)> = BTreeSet::new();
        let mut into: BTreeMap<(Family, String), Vec<(usize, &str)>> = BTreeMap::new();
        let placeholder = self.placeholder();
        for (place, family, name) in joining {
            let mut number = 1;
            let key = loop {
                let key = (*family, self.group_name(*family, number));
                let room = groups.get(&key).is_none_or(|members| {
                    let real = members.iter().filter(|member| **member != placeholder);
                    real.count() < self.group_size
                });
                if room {
                    break key;
                }
                number += 1;
            };
            let members = groups.entry(key.clone()).or_insert_with(|| {
                fresh.insert(key.clone());
                BTreeSet::new()
            });
            members.insert(name.clone());
            into.entry(key).or_default().push((*place, name));
        }
        for family in fresh
            .iter()
            .map(|(family, _)| *family)
            .collect::<BTreeSet<_>>()
        {
            if let Err(error) = self.make_placeholder(family).await {
                if error.is_fate_unknown() {
                    return self.settle_join(rows, &into, error).await;
                }
                return Err(error);
            }
        }
        let keys: Vec<&(Family, String)> = into.keys().collect();
        let parameters: Vec<Json> = keys
            .iter()
            .map(|key| {
                let mut names: Vec<&str> = into[*key].iter().map(|(_, name)| *name).collect();
                if fresh.contains(*key) {
                    names.push(&placeholder);
                    api::new_group(self.adom(), key.0, &key.1, &names)
                } else {
                    api::members(self.adom(), key.0, &key.1, &names)
                }
            })
            .collect();
        let parts = match self.write("add", &parameters).await {
            Err(error) if error.is_fate_unknown() => {
                return self.settle_join(rows, &into, error).await;
            }
            parts => parts?,
        };
        for (key, part) in keys.into_iter().zip(parts) {
            for (place, _) in &into[key] {
                self.settle(rows, *place, &part, "group")?;
            }
            if fresh.contains(key) && part.status.code == 0 {
                groups
                    .entry(key.clone())
                    .or_default()
                    .insert(placeholder.clone());
            }
        }
        self.remember(groups);
        Ok(())
    }

    /// A membership whose answer was lost: looking for the value would find the object, in its group or not.
    async fn settle_join(
        &self,
        rows: &mut Rows,
        into: &BTreeMap<(Family, String), Vec<(usize, &str)>>,
        error: Error,
    ) -> Result<()> {
        let held = if self.manager.is_held() {
            Groups::new()
        } else {
            self.stored().await?.groups
        };
        for (key, members) in into {
            for (place, name) in members {
                if !held.get(key).is_some_and(|held| held.contains(*name)) {
                    rows[*place] = Some(Outcome::Failed(certain(&error)));
                }
            }
        }
        if self.manager.is_held() {
            // Nothing of this edit is committed.
            return Err(error);
        }
        Ok(())
    }

    async fn make_placeholder(&self, family: Family) -> Result<()> {
        let name = self.placeholder();
        let (kind, text) = match family {
            Family::Ipv6 => (Kind::Ipv6, PLACEHOLDERS[1]),
            Family::Ipv4 | Family::Fqdn => (Kind::Ipv4, PLACEHOLDERS[0]),
        };
        let value = Value::parse(kind, text)
            .map_err(|error| Error::internal("the placeholder is no address").because(error))?;
        let body = body_of(&name, &value, "keeps groups of Cordon from being empty");
        let parts = self
            .write("add", &[api::new_address(self.adom(), family, &body)])
            .await?;
        match parts.first().map(|part| &part.status) {
            Some(status) if !matches!(status.code, 0 | api::EXISTS) => {
                Err(self.manager.refusal(status, "placeholder"))
            }
            _ => Ok(()),
        }
    }

    /// Writes objects anew, and puts those into a group that are in none.
    async fn update(&self, rows: &mut Rows, writes: &[Write]) -> Result<()> {
        let mut parameters = Vec::new();
        let mut asked = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            let (name, groups) = read_handle(write.id.as_deref().unwrap_or_default());
            let Some(family) = Family::of(&write.value).filter(|_| !name.is_empty()) else {
                rows[place] = Some(Outcome::Failed(Error::internal(
                    "an update without the object's name",
                )));
                continue;
            };
            let words = comment(&write.note);
            let data = if write.note_and_end_only || name != self.object_name(&write.value) {
                json!({ "comment": words })
            } else {
                let mut body = body_of(name, &write.value, &words);
                // Bound to an interface it would only match there; IPv6 objects cannot be bound.
                body.associated_interface = (family != Family::Ipv6).then_some("");
                json!(body)
            };
            parameters.push(api::changed_address(self.adom(), family, name, &data));
            asked.push((place, family, name.to_owned(), groups.is_empty()));
        }
        let parts = match self.write("update", &parameters).await {
            Err(error) if error.is_fate_unknown() => {
                // In no group yet, which looking at a mark would not show.
                for (place, _, _, outside) in &asked {
                    if *outside {
                        rows[*place] = Some(Outcome::Failed(certain(&error)));
                    }
                }
                return Err(error);
            }
            parts => parts?,
        };
        let mut joining = Vec::new();
        for ((place, family, name, outside), part) in asked.into_iter().zip(parts) {
            if part.status.code == 0 && outside {
                joining.push((place, family, name));
            } else {
                self.settle(rows, place, &part, "address object")?;
            }
        }
        self.join(rows, &joining).await
    }

    /// Takes objects out of their groups and deletes them.
    async fn remove(&self, rows: &mut Rows, removals: &[Removal]) -> Result<()> {
        let mut leaving: BTreeMap<(Family, &str), Vec<(usize, &str)>> = BTreeMap::new();
        for (place, removal) in removals.iter().enumerate() {
            let (name, groups) = read_handle(&removal.id);
            let Some(family) = Family::of(&removal.value).filter(|_| !name.is_empty()) else {
                rows[place] = Some(Outcome::Failed(Error::internal(
                    "a removal without the object's name",
                )));
                continue;
            };
            for group in groups {
                leaving
                    .entry((family, group))
                    .or_default()
                    .push((place, name));
            }
        }
        let parameters: Vec<Json> = leaving
            .iter()
            .map(|((family, group), members)| {
                let names: Vec<&str> = members.iter().map(|(_, name)| *name).collect();
                api::members(self.adom(), *family, group, &names)
            })
            .collect();
        let parts = self.undo("delete", &parameters).await?;
        for (((family, group), members), part) in leaving.iter().zip(parts) {
            for (place, name) in members {
                if part.status.code != api::MISSING {
                    self.settle(rows, *place, &part, "group")?;
                }
                self.forget(*family, group, name);
            }
        }
        let places = open_places(rows);
        let parameters: Vec<Json> = places
            .iter()
            .filter_map(|place| {
                let removal = &removals[*place];
                let family = Family::of(&removal.value)?;
                let (name, _) = read_handle(&removal.id);
                Some(api::address(self.adom(), family, name))
            })
            .collect();
        let parts = self.undo("delete", &parameters).await?;
        for (place, part) in places.into_iter().zip(parts) {
            if part.status.code != api::MISSING {
                self.settle(rows, place, &part, "address object")?;
            }
        }
        Ok(())
    }

    fn forget(&self, family: Family, group: &str, member: &str) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let held = groups
            .as_mut()
            .and_then(|groups| groups.get_mut(&(family, group.to_owned())));
        if let Some(members) = held {
            members.remove(member);
        }
    }
}
