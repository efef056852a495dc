//! What a run saw in its lists: the lease is per device, and several devices and owners share one list.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Entries, Feed};
use crate::error::{Error, ErrorKind, Result};
use crate::indicator::Value;
use crate::target::{Batch, Outcome};

/// A value, and the mark that it shall have; `None` where it shall go.
pub type Change<'a> = (&'a Value, Option<&'a str>);

/// What a batch changes in lists, in its order.
pub fn changes(batch: Batch<'_>) -> Vec<Change<'_>> {
    match batch {
        Batch::Add(writes) | Batch::Update(writes) => {
            let writes = writes.iter();
            writes
                .map(|write| (&write.value, Some(write.note.as_str())))
                .collect()
        }
        Batch::Remove(removals) => removals.iter().map(|gone| (&gone.value, None)).collect(),
    }
}

/// The marks of a target's lists as they were last listed or written by it.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Option<HashMap<Value, String>>>);

impl Seen {
    /// Replaces what was seen by what a listing of all lists shows.
    pub fn replace(&self, entries: impl IntoIterator<Item = (Value, String)>) {
        *self.known() = Some(entries.into_iter().collect());
    }

    fn known(&self) -> MutexGuard<'_, Option<HashMap<Value, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one entry, unless somebody else changed it since it was seen.
    fn change(&self, entries: &mut Entries, (value, mark): Change<'_>) -> Outcome {
        let there = entries.get(value).map(String::as_str);
        if there == mark {
            return Outcome::Done;
        }
        if let Some(known) = &*self.known() {
            let seen = known.get(value).map(String::as_str);
            if seen != there {
                return match (seen, mark) {
                    (None, Some(_)) => Outcome::Exists,
                    _ => Outcome::Failed(
                        Error::new(
                            ErrorKind::Conflict,
                            "another run changed this entry since it was listed",
                        )
                        .hint("run again"),
                    ),
                };
            }
        }
        match mark {
            Some(mark) => entries.insert(value.clone(), mark.to_owned()),
            None => entries.remove(value),
        };
        Outcome::Done
    }

    /// Keeps in mind what was written.
    fn note(&self, changes: &[Change<'_>], outcomes: &[Outcome]) {
        let mut known = self.known();
        let Some(known) = &mut *known else {
            return;
        };
        for ((value, mark), outcome) in changes.iter().zip(outcomes) {
            match (outcome, mark) {
                (Outcome::Done, Some(mark)) => {
                    known.insert((*value).clone(), (*mark).to_owned());
                }
                (Outcome::Done, None) => {
                    known.remove(*value);
                }
                _ => {}
            }
        }
    }
}

impl Feed {
    /// Makes changes, one outcome each, and leaves alone what somebody else changed since it was seen: another
    /// mark in it is another owner's block. An error where nothing could be written.
    pub async fn change(
        &self,
        changes: &[Change<'_>],
        seen: &Seen,
        render: fn(&Entries) -> String,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let change = |entries: &mut Entries| {
            outcomes.extend(changes.iter().map(|change| seen.change(entries, *change)));
        };
        self.update(change, render).await?;
        seen.note(changes, &outcomes);
        Ok(outcomes)
    }
}
