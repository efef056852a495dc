//! Banning and clearing, and looking what came of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::Value;
use sdk::target::{Outcome, Removal, Write};
use sdk::{Error, ErrorKind};

use super::{Ban, Banned};
use crate::api::{self, Verdict};
use crate::target::rows::everywhere;

/// Longer than a call waits for its turn.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(20);

/// What became of one address that the firewall was told to ban.
#[derive(Debug)]
enum Found {
    /// As it was told.
    Right,
    /// As it was told, and later: the call waited, and the firewall counts from when it got it.
    Late,
    /// Banned, with another end or more than once.
    Different,
    /// Banned by the firewall itself, beside us or alone: clearing would take that ban away too.
    Theirs,
    /// Not banned.
    Absent,
    /// The call, or looking, went wrong.
    Wrong(Outcome),
}

fn found(write: &Write, held: &BTreeMap<Value, Banned>) -> Found {
    match held.get(&write.value) {
        Some(ban) if ban.rows == 1 && ban.ends == write.expires && ban.administrative => {
            Found::Right
        }
        Some(ban) if ban.rows == 1 && ban.administrative && is_late(ban, write) => Found::Late,
        Some(ban) if !ban.administrative => Found::Theirs,
        Some(_) => Found::Different,
        None => Found::Absent,
    }
}

fn is_late(ban: &Banned, write: &Write) -> bool {
    match (ban.ends, write.expires) {
        (Some(held), Some(wanted)) => held > wanted && held - wanted <= LONGEST_WAIT,
        _ => false,
    }
}

/// The firewall says nothing of addresses that it took and did not ban.
fn dropped() -> Outcome {
    Outcome::Failed(
        Error::new(
            ErrorKind::Full,
            "the firewall took the call and did not ban the address: its ban list may be full",
        )
        .hint("clear bans that are not needed, or set `ban_limit` to what this firewall holds"),
    )
}

fn settled(found: Found) -> Outcome {
    match found {
        Found::Right => Outcome::Done,
        Found::Absent => dropped(),
        Found::Wrong(outcome) => outcome,
        Found::Late | Found::Different | Found::Theirs => Outcome::Unknown(
            Error::new(
                ErrorKind::Conflict,
                "the firewall holds another ban of the address than it was told",
            )
            .unknown_fate(),
        ),
    }
}

impl Ban {
    /// Adds bans.
    pub(super) async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        self.tell(writes, |found| matches!(found, Found::Late))
            .await
            .into_iter()
            .map(|found| match found {
                // Somebody else banned it meanwhile.
                Found::Different | Found::Theirs => Outcome::Exists,
                other => settled(other),
            })
            .collect()
    }

    /// Gives bans another end.
    pub(super) async fn update(&self, writes: &[Write]) -> Vec<Outcome> {
        self.tell(writes, |found| {
            matches!(found, Found::Late | Found::Different)
        })
        .await
        .into_iter()
        .map(settled)
        .collect()
    }

    /// Bans, and clears and bans anew what is not as it was told: some firewalls may keep the earlier end,
    /// or a second row.
    async fn tell(&self, writes: &[Write], is_wrong: fn(&Found) -> bool) -> Vec<Found> {
        let all: Vec<&Write> = writes.iter().collect();
        let mut found = self.told(&all).await;
        let again: Vec<usize> = (0..found.len())
            .filter(|place| is_wrong(&found[*place]))
            .collect();
        if again.is_empty() {
            return found;
        }
        let writes: Vec<&Write> = again.iter().map(|place| all[*place]).collect();
        let values: Vec<&Value> = writes.iter().map(|write| &write.value).collect();
        let second = match self.clear(&values).await {
            Verdict::Done => self.told(&writes).await,
            // A ban of ours is in place, and stays ours.
            Verdict::Failed(error) => refused(values.len(), Verdict::Unknown(error.unknown_fate()))
                .into_iter()
                .map(Found::Wrong)
                .collect(),
            other => refused(values.len(), other)
                .into_iter()
                .map(Found::Wrong)
                .collect(),
        };
        for (place, second) in again.into_iter().zip(second) {
            found[place] = second;
        }
        found
    }

    /// Bans, one call for each end, and looks.
    async fn told(&self, writes: &[&Write]) -> Vec<Found> {
        let mut by_end: BTreeMap<Option<DateTime<Utc>>, Vec<usize>> = BTreeMap::new();
        for (place, write) in writes.iter().enumerate() {
            by_end.entry(write.expires).or_default().push(place);
        }
        let mut outcomes: Vec<Option<Found>> = writes.iter().map(|_| None).collect();
        for (end, places) in by_end {
            let addresses: Vec<String> = places
                .iter()
                .map(|place| writes[*place].value.to_string())
                .collect();
            let request = api::ban(&self.connection.vdom, &addresses, self.seconds_until(end));
            match self.connection.write(request, "ban").await {
                Verdict::Done => {}
                other => {
                    for (place, outcome) in places.iter().zip(refused(places.len(), other)) {
                        outcomes[*place] = Some(Found::Wrong(outcome));
                    }
                }
            }
        }
        let open: Vec<usize> = (0..writes.len())
            .filter(|place| outcomes[*place].is_none())
            .collect();
        if !open.is_empty() {
            match self.banned().await {
                Ok(held) => {
                    for place in open {
                        outcomes[place] = Some(found(writes[place], &held));
                    }
                }
                Err(error) => {
                    let lost = everywhere(open.len(), error.unknown_fate());
                    for (place, outcome) in open.into_iter().zip(lost) {
                        outcomes[place] = Some(Found::Wrong(outcome));
                    }
                }
            }
        }
        outcomes
            .into_iter()
            .map(|found| found.unwrap_or(Found::Absent))
            .collect()
    }

    async fn clear(&self, values: &[&Value]) -> Verdict {
        let addresses: Vec<String> = values.iter().map(|value| value.to_string()).collect();
        let request = api::unban(&self.connection.vdom, &addresses);
        self.connection.write(request, "end of a ban").await
    }

    /// Clears bans.
    pub(super) async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let values: Vec<&Value> = removals.iter().map(|removal| &removal.value).collect();
        match self.clear(&values).await {
            Verdict::Done => removals.iter().map(|_| Outcome::Done).collect(),
            verdict @ (Verdict::Unknown(_) | Verdict::Failed(_)) => refused(values.len(), verdict),
            // One that is gone already may have brought the refusal of all.
            verdict => match self.banned().await {
                Ok(held) => {
                    let there: BTreeSet<&Value> = held.keys().collect();
                    refused(values.len(), verdict)
                        .into_iter()
                        .zip(&values)
                        .map(|(outcome, value)| {
                            if there.contains(value) {
                                outcome
                            } else {
                                Outcome::Done
                            }
                        })
                        .collect()
                }
                Err(error) => everywhere(values.len(), error),
            },
        }
    }
}

/// What a call that was not done comes to for each of its rows.
fn refused(rows: usize, verdict: Verdict) -> Vec<Outcome> {
    match verdict {
        Verdict::Done => (0..rows).map(|_| Outcome::Done).collect(),
        Verdict::Unknown(error) | Verdict::Failed(error) => everywhere(
            rows,
            crate::target::connection::name_right(error, "authgrp", "write"),
        ),
        Verdict::Missing => everywhere(
            rows,
            Error::new(
                ErrorKind::Unsupported,
                "this firewall has no call for banned addresses",
            ),
        ),
        Verdict::Exists => (0..rows).map(|_| Outcome::Exists).collect(),
        Verdict::Full(words) => everywhere(
            rows,
            Error::new(ErrorKind::Full, "the firewall's ban list is full").with("answer", words),
        ),
        Verdict::InUse(words) | Verdict::Dangling(words) | Verdict::Refused(words) => {
            if rows == 1 {
                return vec![Outcome::Rejected(words)];
            }
            (0..rows)
                .map(|_| Outcome::NotApplied(words.clone()))
                .collect()
        }
    }
}
