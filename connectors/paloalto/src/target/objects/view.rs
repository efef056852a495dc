//! Address objects and groups as the candidate and the active configuration hold them.

use std::collections::{BTreeMap, HashMap, HashSet};

use sdk::indicator::{Kind, Value};
use sdk::target::Held;
use sdk::{Error, Result};

use super::names::Names;
use crate::api::xml::Element;
use crate::api::{self, Part};
use crate::target::connection::Connection;

/// An address object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    /// Its value; `None` for ranges and wildcards, which are none of ours.
    pub(super) value: Option<Value>,
    pub(super) description: String,
    pub(super) tags: Vec<String>,
    /// The administrator whose uncommitted change it carries.
    pub(super) dirty: Option<String>,
}

/// A static group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) members: Vec<String>,
    pub(super) dirty: Option<String>,
}

/// One configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    pub(super) objects: HashMap<String, Object>,
    /// Static groups of ours, by number.
    pub(super) groups: BTreeMap<u32, Group>,
}

impl Side {
    /// The groups of ours that hold an object.
    pub(super) fn groups_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.groups
            .iter()
            .filter(move |(_, group)| group.members.iter().any(|member| member == name))
            .map(|(number, _)| *number)
    }
}

/// Both configurations.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    pub(super) candidate: Side,
    /// The active one, where it differs.
    pub(super) active: Option<Side>,
    /// Who holds the commit lock.
    pub(super) lock: Option<String>,
}

impl View {
    /// Reads both; the active one only where anything is uncommitted.
    pub(super) async fn load(
        connection: &Connection,
        names: &Names,
        administrator: &str,
    ) -> Result<Self> {
        let pending = connection
            .show(
                "<check><pending-changes></pending-changes></check>",
                "pending changes",
            )
            .await?;
        let pending = pending.root.text_at(&["result"]) != Some("no");
        let locks = connection
            .show("<show><commit-locks></commit-locks></show>", "commit locks")
            .await?;
        let lock = locks
            .result()
            .and_then(|result| lock_in(result, names.part(), administrator));
        let candidate = match Side::load(connection, names, false).await? {
            Some(side) => side,
            None => {
                exists(connection, names.part()).await?;
                Side::default()
            }
        };
        let active = if pending {
            let side = Side::load(connection, names, true).await?;
            Some(side.unwrap_or_default())
        } else {
            None
        };
        Ok(Self {
            candidate,
            active,
            lock,
        })
    }

    pub(super) fn active(&self) -> &Side {
        self.active.as_ref().unwrap_or(&self.candidate)
    }

    /// The names that lie where we keep ours, in either configuration.
    pub(super) fn ours<'a>(&'a self, names: &'a Names) -> HashSet<&'a str> {
        [&self.candidate, self.active()]
            .into_iter()
            .flat_map(|side| {
                let named = side
                    .objects
                    .keys()
                    .filter(|name| names.is_ours(name))
                    .map(String::as_str);
                let members = side
                    .groups
                    .values()
                    .flat_map(|group| &group.members)
                    .filter(|member| side.objects.contains_key(*member))
                    .map(String::as_str);
                named.chain(members)
            })
            .filter(|name| *name != names.placeholder())
            .collect()
    }

    /// What is listed.
    pub(super) fn held(&self, names: &Names, administrator: &str) -> Vec<Held> {
        let active = self.active();
        let others = |dirty: &Option<String>| dirty.as_ref().is_some_and(|by| by != administrator);
        self.ours(names)
            .into_iter()
            .filter_map(|name| {
                let wanted = self.candidate.objects.get(name);
                let object = wanted.or_else(|| active.objects.get(name))?;
                let value = object.value.clone()?;
                let enforced = active
                    .objects
                    .get(name)
                    .is_some_and(|known| known.value == object.value)
                    && active.groups_of(name).next().is_some();
                Some(Held {
                    id: name.into(),
                    value,
                    note: (!object.description.is_empty())
                        .then(|| object.description.as_str().into()),
                    expires: None,
                    container: None,
                    blocks: enforced,
                    allows: false,
                    conforms: wanted.is_some_and(|object| object.tags.contains(&names.tag))
                        && self.candidate.groups_of(name).next().is_some(),
                    writable: !others(&object.dirty),
                })
            })
            .collect()
    }

    /// Which of ours differ between the two configurations by our own doing, as far as the device tells.
    pub(super) fn pending(&self, names: &Names, administrator: &str) -> Vec<String> {
        let Some(active) = &self.active else {
            return Vec::new();
        };
        let mine = |dirty: &Option<String>| dirty.as_deref().is_none_or(|by| by == administrator);
        let mut pending: Vec<String> = self
            .ours(names)
            .into_iter()
            .filter(|name| {
                let wanted = self.candidate.objects.get(*name);
                let groups: Vec<u32> = self.candidate.groups_of(name).collect();
                let changed = !same(wanted, active.objects.get(*name))
                    || groups != active.groups_of(name).collect::<Vec<_>>();
                let by_us = wanted.is_none_or(|object| mine(&object.dirty))
                    && groups
                        .iter()
                        .filter_map(|number| self.candidate.groups.get(number))
                        .all(|group| mine(&group.dirty));
                changed && by_us
            })
            .map(str::to_owned)
            .collect();
        pending.sort();
        pending
    }
}

/// Refuses a place that is not there: a change would make it.
async fn exists(connection: &Connection, part: &Part) -> Result<()> {
    let request = api::read_config(&connection.place, false, &part.path());
    let answer = connection.get(request, "configuration").await?;
    if answer
        .result()
        .is_some_and(|result| !result.children.is_empty())
    {
        return Ok(());
    }
    let (name, host) = (part.name(), &connection.device.host);
    Err(match part {
        Part::System(_) => {
            let of = connection.place.serial.as_deref().unwrap_or(host);
            Error::config(format!("{of} has no virtual system {name}"))
                .hint("name those that are there in `vsys` by their ids, like `vsys1`")
        }
        Part::Group(_) => Error::config(format!("{host} has no device group {name}"))
            .hint("name one in `device_group` as Panorama shows it under Device Groups"),
    })
}

/// The holder of the lock that stands in our way. How locks are listed is not documented beyond that their holders are:
/// ours is one that names our administrator anywhere.
fn lock_in(result: &Element, part: &Part, administrator: &str) -> Option<String> {
    fn texts<'a>(element: &'a Element, found: &mut Vec<&'a str>) {
        found.extend(element.attributes.iter().map(|(_, value)| value.as_str()));
        found.push(&element.text);
        for child in &element.children {
            texts(child, found);
        }
    }
    let mut foreign = None;
    for entry in result.children.iter().flat_map(|locks| locks.all("entry")) {
        let mut found = Vec::new();
        texts(entry, &mut found);
        let elsewhere = found
            .iter()
            .any(|text| text.starts_with("vsys") && *text != part.name())
            && !found.contains(&"shared");
        if elsewhere {
            continue;
        }
        if found.contains(&administrator) {
            return Some(administrator.to_owned());
        }
        foreign = foreign.or(entry.attribute("name").or(Some("somebody")));
    }
    foreign.map(str::to_owned)
}

/// Whether two objects are the same but for who touched them.
fn same(one: Option<&Object>, other: Option<&Object>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.value == other.value
                && one.description == other.description
                && one.tags == other.tags
        }
        _ => false,
    }
}

impl Side {
    /// `None` where there are neither objects nor groups of anybody.
    async fn load(connection: &Connection, names: &Names, active: bool) -> Result<Option<Self>> {
        let mut side = Self::default();
        let mut is_there = false;
        for section in ["address", "address-group"] {
            let xpath = format!("{}/{section}", names.path());
            let what = format!("{} {section}", if active { "active" } else { "candidate" });
            let answer = connection
                .ask(api::read_config(&connection.place, active, &xpath), &what)
                .await?;
            // What was never there is no node of the active configuration.
            let absent = !answer.is_success() && answer.text().contains("No such node");
            if absent {
                continue;
            }
            let answer = answer.ok(&what)?;
            let Some(found) = answer.root.at(&["result", section]) else {
                continue;
            };
            is_there = true;
            for entry in found.all("entry") {
                let Some(name) = entry.attribute("name") else {
                    continue;
                };
                if section == "address" {
                    side.objects.insert(name.to_owned(), Object::read(entry));
                } else if let Some(number) = names.group_number(name) {
                    side.groups.insert(number, Group::read(entry));
                }
            }
        }
        Ok(is_there.then_some(side))
    }
}

impl Object {
    fn read(entry: &Element) -> Self {
        let netmask = entry.text_at(&["ip-netmask"]).and_then(|text| {
            let kind = if text.contains(':') {
                Kind::Ipv6
            } else {
                Kind::Ipv4
            };
            // Host bits below the mask stand for the host in some of the device's places: not one of ours.
            Value::parse(kind, text).ok()
        });
        let name = entry
            .text_at(&["fqdn"])
            .and_then(|text| Value::parse(Kind::Domain, text).ok());
        Self {
            value: netmask.or(name),
            description: entry
                .text_at(&["description"])
                .unwrap_or_default()
                .to_owned(),
            tags: entry
                .child("tag")
                .into_iter()
                .flat_map(Element::members)
                .map(str::to_owned)
                .collect(),
            dirty: dirty(entry),
        }
    }
}

impl Group {
    fn read(entry: &Element) -> Self {
        Self {
            members: entry
                .child("static")
                .into_iter()
                .flat_map(Element::members)
                .map(str::to_owned)
                .collect(),
            dirty: dirty(entry),
        }
    }
}

/// Who changed an entry, or something in it, without committing it.
fn dirty(entry: &Element) -> Option<String> {
    let own = entry
        .attribute("dirtyId")
        .map(|_| entry.attribute("admin").unwrap_or("somebody").to_owned());
    own.or_else(|| entry.children.iter().find_map(dirty))
}
