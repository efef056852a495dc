//! Which object is in which group: groups of bounded size, filled from the lowest number on, changed one
//! member at a time so that nobody's change is lost.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use sdk::indicator::Value;
use sdk::target::Outcome;
use sdk::{Error, ErrorKind, Result};

use super::{AddressGroup, Family, body_of, outcome};
use crate::api::{self, GroupRow, Verdict};

/// How many groups are tried for one object before something must be wrong.
const TRIES: usize = 100;

/// Addresses reserved for documentation: no packet carries them.
const PLACEHOLDERS: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Members by group number, by family.
#[derive(Debug, Default)]
pub(super) struct Shards(BTreeMap<Family, BTreeMap<u32, usize>>);

/// Where the next object goes.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Existing(u32),
    New(u32),
}

impl Shards {
    /// The lowest group with room, or the lowest number that is free.
    fn place(&self, family: Family, size: usize) -> Place {
        let none = BTreeMap::new();
        let groups = self.0.get(&family).unwrap_or(&none);
        if let Some((number, _)) = groups.iter().find(|(_, members)| **members < size) {
            return Place::Existing(*number);
        }
        let mut free = 1;
        while groups.contains_key(&free) {
            free += 1;
        }
        Place::New(free)
    }

    fn set(&mut self, family: Family, number: u32, members: usize) {
        self.0.entry(family).or_default().insert(number, members);
    }

    fn change(&mut self, family: Family, number: u32, change: impl FnOnce(usize) -> usize) {
        if let Some(members) = self
            .0
            .get_mut(&family)
            .and_then(|groups| groups.get_mut(&number))
        {
            *members = change(*members);
        }
    }

    fn forget(&mut self, family: Family, number: u32) {
        if let Some(groups) = self.0.get_mut(&family) {
            groups.remove(&number);
        }
    }
}

impl AddressGroup {
    pub(super) fn group_name(&self, family: Family, number: u32) -> String {
        format!("{}-{}-{number:03}", self.prefix, family.tag())
    }

    fn group_number(&self, family: Family, name: &str) -> Option<u32> {
        let number = name.strip_prefix(&format!("{}-{}-", self.prefix, family.tag()))?;
        number
            .chars()
            .all(|c| c.is_ascii_digit())
            .then(|| number.parse().ok())
            .flatten()
    }

    /// The object that keeps a group from being empty.
    pub(super) fn placeholder(&self) -> String {
        format!("{}-placeholder", self.prefix)
    }

    /// Reads our groups and remembers how full they are.
    pub(super) async fn load_groups(&self) -> Result<Vec<(Family, GroupRow)>> {
        let mut found = Vec::new();
        let mut shards = Shards::default();
        for family in Family::ALL {
            // The filter finds the text anywhere and in any case: what is ours is decided below.
            let text = format!("{}-{}-", self.prefix, family.tag());
            let rows = self
                .connection
                .read::<Vec<GroupRow>>(api::groups(self.vdom(), family, &text), "address groups")
                .await?
                .complete("address groups")?;
            for row in rows {
                if let Some(number) = self.group_number(family, &row.name) {
                    shards.set(family, number, row.member.len());
                    found.push((family, row));
                }
            }
        }
        *self.shards.lock().unwrap_or_else(PoisonError::into_inner) = Some(shards);
        Ok(found)
    }

    fn with_shards<T>(&self, act: impl FnOnce(&mut Shards) -> T) -> Option<T> {
        self.shards
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
            .map(act)
    }

    /// Puts an object into a group with room.
    pub(super) async fn join(&self, family: Family, name: &str) -> Outcome {
        if self.with_shards(|_| ()).is_none()
            && let Err(error) = self.load_groups().await
        {
            return Outcome::Failed(error);
        }
        for _ in 0..TRIES {
            let place = self.with_shards(|shards| shards.place(family, self.group_size));
            let (number, verdict) = match place.unwrap_or(Place::New(1)) {
                Place::Existing(number) => {
                    let group = self.group_name(family, number);
                    let request = api::join_group(self.vdom(), family, &group, name);
                    (
                        number,
                        self.connection.write(request, "group membership").await,
                    )
                }
                Place::New(number) => match self.create_group(family, number, name).await {
                    Verdict::Exists => {
                        // Somebody made it meanwhile: join it like any other.
                        self.with_shards(|shards| shards.set(family, number, 0));
                        continue;
                    }
                    Verdict::Done => {
                        self.with_shards(|shards| shards.set(family, number, 1));
                        return Outcome::Done;
                    }
                    Verdict::Unknown(error) => {
                        return self.settle_join(family, number, name, error).await;
                    }
                    other => return outcome(other),
                },
            };
            match verdict {
                Verdict::Done => {
                    self.with_shards(|shards| shards.change(family, number, |members| members + 1));
                    return Outcome::Done;
                }
                Verdict::Exists => return Outcome::Done,
                Verdict::Full(_) => {
                    self.with_shards(|shards| shards.change(family, number, |_| usize::MAX));
                }
                // The group went meanwhile; it is made again under its name.
                Verdict::Missing => {
                    self.with_shards(|shards| shards.forget(family, number));
                }
                Verdict::Unknown(error) => {
                    return self.settle_join(family, number, name, error).await;
                }
                other => return outcome(other),
            }
        }
        Outcome::Failed(Error::new(ErrorKind::Full, "no group takes the object"))
    }

    /// A membership whose answer was lost is looked up here: the object itself is there either way, so
    /// that looking for its value would tell nothing.
    async fn settle_join(&self, family: Family, number: u32, name: &str, error: Error) -> Outcome {
        let group = self.group_name(family, number);
        let request = api::membership(self.vdom(), family, &group, name);
        match self.connection.send(request).await {
            Ok(response) if response.status.is_success() => Outcome::Done,
            _ => Outcome::Failed(error),
        }
    }

    async fn create_group(&self, family: Family, number: u32, name: &str) -> Verdict {
        let placeholder = self.placeholder();
        let mut members = vec![name];
        if self.needs_placeholder.load(Ordering::Relaxed) {
            match self.make_placeholder(family).await {
                Verdict::Done | Verdict::Exists => members.push(&placeholder),
                other => return other,
            }
        }
        let group = self.group_name(family, number);
        let request = api::create_group(self.vdom(), family, &group, &members);
        self.connection.write(request, "group creation").await
    }

    async fn make_placeholder(&self, family: Family) -> Verdict {
        let name = self.placeholder();
        let (kind, text) = match family {
            Family::Ipv6 => (sdk::indicator::Kind::Ipv6, PLACEHOLDERS[1]),
            Family::Ipv4 | Family::Fqdn => (sdk::indicator::Kind::Ipv4, PLACEHOLDERS[0]),
        };
        let value = match Value::parse(kind, text) {
            Ok(value) => value,
            Err(error) => {
                return Verdict::Failed(
                    Error::internal("the placeholder is no address").because(error),
                );
            }
        };
        let body = body_of(&name, &value, "keeps groups of Cordon from being empty");
        self.connection
            .write(
                api::create_address(self.vdom(), family, &body),
                "address creation",
            )
            .await
    }

    /// Takes an object out of a group. Before 7.2.0 the last member cannot leave: the placeholder then
    /// takes its place.
    pub(super) async fn leave(&self, family: Family, group: &str, name: &str) -> Verdict {
        let Some(request) = api::leave_group(self.vdom(), family, group, name) else {
            return Verdict::Failed(Error::internal("a membership without its two names"));
        };
        let verdict = self
            .connection
            .write(request.clone(), "group membership")
            .await;
        let verdict = match verdict {
            Verdict::Refused(_) if self.needs_placeholder.load(Ordering::Relaxed) => {
                match self.make_placeholder(family).await {
                    Verdict::Done | Verdict::Exists => {}
                    other => return other,
                }
                let placeholder = self.placeholder();
                let join = api::join_group(self.vdom(), family, group, &placeholder);
                match self.connection.write(join, "group membership").await {
                    Verdict::Done | Verdict::Exists => {}
                    other => return other,
                }
                self.connection.write(request, "group membership").await
            }
            other => other,
        };
        if matches!(verdict, Verdict::Done)
            && let Some(number) = self.group_number(family, group)
        {
            self.with_shards(|shards| {
                shards.change(family, number, |members| members.saturating_sub(1))
            });
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_group_with_room_is_filled_first() {
        let mut shards = Shards::default();
        assert_eq!(shards.place(Family::Ipv4, 2), Place::New(1));
        shards.set(Family::Ipv4, 1, 2);
        shards.set(Family::Ipv4, 3, 2);
        assert_eq!(shards.place(Family::Ipv4, 2), Place::New(2));
        shards.change(Family::Ipv4, 3, |members| members - 1);
        assert_eq!(shards.place(Family::Ipv4, 2), Place::Existing(3));
        assert_eq!(shards.place(Family::Ipv6, 2), Place::New(1));
    }
}
