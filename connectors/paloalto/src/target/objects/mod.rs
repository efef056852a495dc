//! `objects`: address objects in groups of ours, on a firewall or in a device group of a Panorama. Every change is stored
//! in the candidate configuration and enforced by a commit of our administrator's changes alone; Panorama pushes it then.

mod changes;
mod commit;
mod examine;
mod names;
mod push;
mod view;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sdk::indicator::{Kind, Value};
use sdk::target::{
    Activate, Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity,
    Held, KindSupport, Outcome, Proof, Rejection, Removal, Scope, Staged, Target, TargetKey, Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use self::changes::Changes;
use self::names::Names;
use self::push::Owed;
use self::view::{Group, Object, View};
use super::connection::{Connection, Version};
use crate::api::{self, Part};
use crate::config::Config;

/// Several changes in one call, all or none, are on from here.
const LEAST: Version = (10, 1, 0);

/// From here on a push can be of one administrator's changes.
const LEAST_PANORAMA: Version = (10, 2, 0);

const fn support(kind: Kind, networks: bool) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks,
        matches_below: false,
    }
}

pub(crate) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "objects",
    summary: "address objects in groups for a deny rule, enforced by one commit of our own changes a run",
    kinds: &[
        support(Kind::Ipv4, true),
        support(Kind::Ipv6, true),
        support(Kind::Domain, false),
    ],
    end_known_by: EndKnownBy::Mark,
    native_end: None,
    proof: Proof::Mark { max_length: 1023 },
    foreign: Foreign::Coexists,
    granularity: Granularity::List,
    write_batch: 500,
    remove_batch: 500,
    // All of them come in one answer.
    list_page: 100_000,
    lookup_batch: 0,
    capacity: None,
    staged: true,
    rate: &[],
    rights: &[
        "XML API: Configuration",
        "XML API: Operational Requests",
        "XML API: Commit",
    ],
};

/// Address objects of one virtual system.
pub(crate) struct Objects {
    connection: Connection,
    key: TargetKey,
    names: Names,
    group_size: usize,
    administrator: String,
    activate: Activate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the last listing showed, and what was changed since.
    view: Option<View>,
    /// Whether we took the commit lock.
    locked: bool,
    /// Whether we changed the candidate since the last commit.
    changed: bool,
    /// What Panorama has still to push, as far as that was looked up.
    owed: Option<Owed>,
}

impl Objects {
    pub(crate) fn new(config: &Config, connection: Connection, key: TargetKey) -> Result<Self> {
        let administrator = config
            .username
            .clone()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Error::config("`username` is missing, which `objects` needs beside an API key")
                    .hint("the name of the key's administrator: only his changes are committed")
            })?;
        Ok(Self {
            names: Names::new(config, &connection.place.part),
            connection,
            key,
            group_size: config.group_size,
            administrator,
            activate: config.activate,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last listing showed.
    fn view(&self) -> View {
        self.state().view.clone().unwrap_or_default()
    }

    /// Keeps others from committing what is half done. The lock outlives us: the next run releases it.
    async fn lock(&self) -> Result<()> {
        if self.state().locked {
            return Ok(());
        }
        let request = api::operate(
            &self.connection.place,
            sdk::http::Safety::Once,
            "<request><commit-lock><add><comment>Cordon writes address objects</comment></add></commit-lock></request>",
        );
        let answer = self
            .connection
            .ask(request, "taking the commit lock")
            .await?;
        let held_by_us = self.view().lock.as_deref() == Some(self.administrator.as_str());
        let ours_already = held_by_us && answer.text().contains("already held");
        if !answer.is_success() && !ours_already {
            return Err(answer.error("taking the commit lock"));
        }
        self.state().locked = true;
        Ok(())
    }

    /// Gives the lock back; it is no error if it is gone.
    async fn unlock(&self) {
        let held = {
            let state = self.state();
            let ours = state.view.as_ref().and_then(|view| view.lock.as_deref());
            state.locked || ours == Some(self.administrator.as_str())
        };
        if !held {
            return;
        }
        let request = api::operate(
            &self.connection.place,
            sdk::http::Safety::Idempotent,
            "<request><commit-lock><remove></remove></commit-lock></request>",
        );
        match self
            .connection
            .ask(request, "releasing the commit lock")
            .await
        {
            Ok(_) => {
                let mut state = self.state();
                state.locked = false;
                if let Some(view) = &mut state.view {
                    view.lock = None;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the commit lock is still held; the next run releases it");
            }
        }
    }

    /// Sends changes; on success `note` says what they made of the candidate.
    async fn send(
        &self,
        changes: &Changes,
        count: usize,
        note: impl FnOnce(&mut View),
    ) -> Vec<Outcome> {
        let what = "changing address objects";
        if changes.is_empty() {
            return (0..count).map(|_| Outcome::Done).collect();
        }
        if let Err(error) = self.lock().await {
            return (0..count).map(|_| super::outcome_of(&error)).collect();
        }
        let request = api::multi_config(&self.connection.place, changes.element());
        let answer = match self.connection.ask(request, what).await {
            Ok(answer) => answer,
            Err(error) => return (0..count).map(|_| super::outcome_of(&error)).collect(),
        };
        if answer.is_success() {
            let mut state = self.state();
            state.changed = true;
            if let Some(view) = &mut state.view {
                note(view);
            }
            drop(state);
            return (0..count).map(|_| Outcome::Done).collect();
        }
        if let Some((row, _, text)) = changes.refused(&answer) {
            return (0..count)
                .map(|other| {
                    if other == row {
                        Outcome::Rejected(text.clone())
                    } else {
                        Outcome::NotApplied(text.clone())
                    }
                })
                .collect();
        }
        let error = answer.error(what);
        (0..count).map(|_| super::outcome_of(&error)).collect()
    }

    async fn write(&self, writes: &[Write]) -> Vec<Outcome> {
        let view = self.view();
        let mut taken: Vec<String> = Vec::with_capacity(writes.len());
        for write in writes {
            let name = match &write.id {
                Some(id) => id.to_string(),
                None => free_name(&view, &taken, self.names.object(&write.value)),
            };
            taken.push(name);
        }
        // Groups are filled in order; a new one begins with the placeholder.
        let mut sizes: BTreeMap<u32, usize> = view
            .candidate
            .groups
            .iter()
            .map(|(number, group)| (*number, group.members.len()))
            .collect();
        let mut places: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for name in &taken {
            if view.candidate.groups_of(name).next().is_some() {
                continue;
            }
            let number = place_in(&mut sizes, self.group_size);
            places.entry(number).or_default().push(name);
        }
        if let Some(error) = self.others_change(&view, &taken, places.keys().copied()) {
            return writes.iter().map(|_| super::outcome_of(&error)).collect();
        }
        let mut changes = Changes::default();
        changes.tag(&self.names);
        let objects = || taken.iter().zip(writes);
        changes.objects(
            &self.names,
            objects().map(|(name, write)| (name.as_str(), &write.value, write.note.as_str())),
        );
        let needs_placeholder = places
            .keys()
            .any(|number| !view.candidate.groups.contains_key(number));
        if needs_placeholder {
            changes.placeholder(&self.names);
        }
        for (number, members) in &places {
            let first =
                (!view.candidate.groups.contains_key(number)).then(|| self.names.placeholder());
            changes.members(
                &self.names,
                *number,
                first.into_iter().chain(members.iter().copied()),
            );
        }
        self.send(&changes, writes.len(), |view| {
            if view.active.is_none() {
                view.active = Some(view.candidate.clone());
            }
            for (name, write) in objects() {
                view.candidate.objects.insert(
                    name.clone(),
                    Object {
                        value: Some(write.value.clone()),
                        description: write.note.clone(),
                        tags: vec![self.names.tag.clone()],
                        dirty: Some(self.administrator.clone()),
                    },
                );
            }
            for (number, members) in &places {
                let group = view
                    .candidate
                    .groups
                    .entry(*number)
                    .or_insert_with(|| Group {
                        members: vec![self.names.placeholder().to_owned()],
                        dirty: None,
                    });
                group
                    .members
                    .extend(members.iter().map(|name| (*name).to_owned()));
                group.dirty = Some(self.administrator.clone());
            }
        })
        .await
    }

    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let view = self.view();
        let names: Vec<String> = removals
            .iter()
            .map(|removal| removal.id.to_string())
            .collect();
        let groups = names.iter().flat_map(|name| view.candidate.groups_of(name));
        if let Some(error) = self.others_change(&view, &names, groups) {
            return removals.iter().map(|_| super::outcome_of(&error)).collect();
        }
        let mut changes = Changes::default();
        self.refill(&view, &names, &mut changes);
        for (row, name) in names.iter().enumerate() {
            for group in view.candidate.groups_of(name) {
                changes.leave(&self.names, group, name, Some(row));
            }
            if view.candidate.objects.contains_key(name) {
                changes.delete(&self.names, name, Some(row));
            }
        }
        let mut outcomes = self
            .send(&changes, removals.len(), |view| {
                if view.active.is_none() {
                    view.active = Some(view.candidate.clone());
                }
                for name in &names {
                    view.candidate.objects.remove(name);
                    for group in view.candidate.groups.values_mut() {
                        group.members.retain(|member| member != name);
                    }
                }
            })
            .await;
        // Somebody uses our object elsewhere: it cannot be deleted, but it need not block.
        for (name, outcome) in names.iter().zip(&mut outcomes) {
            if let Outcome::Rejected(text) = outcome {
                let mut leave = Changes::default();
                self.refill(&view, std::slice::from_ref(name), &mut leave);
                for group in view.candidate.groups_of(name) {
                    leave.leave(&self.names, group, name, None);
                }
                if leave.is_empty() {
                    continue;
                }
                let left = self
                    .send(&leave, 1, |view| {
                        for group in view.candidate.groups.values_mut() {
                            group.members.retain(|member| member != name);
                        }
                    })
                    .await;
                if matches!(left[..], [Outcome::Done]) {
                    text.push_str("; it was taken out of our groups");
                }
            }
        }
        outcomes
    }

    /// Puts the placeholder into groups that would be empty without these names.
    fn refill(&self, view: &View, leaving: &[String], changes: &mut Changes) {
        let leaving: std::collections::HashSet<&str> = leaving.iter().map(String::as_str).collect();
        let emptied: Vec<u32> = view
            .candidate
            .groups
            .iter()
            .filter(|(_, group)| {
                let touched = group
                    .members
                    .iter()
                    .any(|member| leaving.contains(member.as_str()));
                touched
                    && group
                        .members
                        .iter()
                        .all(|member| leaving.contains(member.as_str()))
            })
            .map(|(number, _)| *number)
            .collect();
        if !emptied.is_empty() {
            changes.placeholder(&self.names);
        }
        for number in emptied {
            changes.members(
                &self.names,
                number,
                std::iter::once(self.names.placeholder()),
            );
        }
    }

    /// Whether another administrator has uncommitted changes on what is to be changed: ours would be mixed with his.
    fn others_change(
        &self,
        view: &View,
        names: &[String],
        groups: impl Iterator<Item = u32>,
    ) -> Option<Error> {
        let other = |dirty: &Option<String>| dirty.clone().filter(|by| *by != self.administrator);
        let object = names.iter().find_map(|name| {
            let object = view.candidate.objects.get(name)?;
            Some((name.clone(), other(&object.dirty)?))
        });
        let mut groups = groups;
        let found = object.or_else(|| {
            groups.find_map(|number| {
                let group = view.candidate.groups.get(&number)?;
                Some((self.names.group(number), other(&group.dirty)?))
            })
        });
        found.map(|(name, by)| {
            Error::new(
                ErrorKind::Conflict,
                format!("{name} carries uncommitted changes of {by}"),
            )
            .hint("have them committed or reverted, then run again")
        })
    }
}

/// A name that nobody bears.
fn free_name(view: &View, taken: &[String], wanted: String) -> String {
    let is_free = |name: &String| {
        !view.candidate.objects.contains_key(name)
            && !view.active().objects.contains_key(name)
            && !taken.contains(name)
    };
    if is_free(&wanted) {
        return wanted;
    }
    let mut number = 2;
    loop {
        let ending = format!("-{number}");
        let mut name: String = wanted.chars().take(names::LONGEST - ending.len()).collect();
        name.push_str(&ending);
        if is_free(&name) {
            return name;
        }
        number += 1;
    }
}

/// The first group with room, or the next new one; counts the member.
fn place_in(sizes: &mut BTreeMap<u32, usize>, most: usize) -> u32 {
    if let Some((number, size)) = sizes.iter_mut().find(|(_, size)| **size < most) {
        *size += 1;
        return *number;
    }
    let number = (1..)
        .find(|number| !sizes.contains_key(number))
        .unwrap_or(u32::MAX);
    // The placeholder is the first.
    sizes.insert(number, 2);
    number
}

#[async_trait]
impl Target for Objects {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let (least, what) = match self.names.part() {
            Part::System(_) => (LEAST, "objects"),
            Part::Group(_) => (LEAST_PANORAMA, "objects in a device group"),
        };
        let system = self.connection.system_from(least, what).await?;
        Ok(Facts {
            version: Some(system.version_text),
            vendor_time: system.time,
            ..Facts::default()
        })
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        examine::examine(self, facts).await
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        match value {
            Value::Ipv4(_) | Value::Ipv6(_) | Value::Domain(_) => Ok(value.clone()),
            _ => Err(Rejection::unsupported(
                "only addresses and names can be address objects",
            )),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let view = View::load(&self.connection, &self.names, &self.administrator).await?;
        let mut held = view.held(&self.names, &self.administrator);
        let mut state = self.state();
        state.view = Some(view);
        state.owed = None;
        drop(state);
        if let Scope::Values(values) = scope {
            held.retain(|entry| values.contains(&entry.value));
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) | Batch::Update(writes) => self.write(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
        }
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }

    fn calls(&self) -> Calls {
        self.connection.calls()
    }

    /// A run that does not commit, by its configuration or because it was cut short, keeps nobody else from it.
    async fn close(&self) {
        // A lock of our administrator's that we did not take may be of a run that is under way; one that
        // a run left behind counts as pending, and goes with the next commit.
        let locked = self.state().locked;
        if locked {
            self.unlock().await;
        }
    }
}
