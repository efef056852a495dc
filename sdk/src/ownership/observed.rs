//! What the vendor holds, with who has a claim on each entry.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::Owner;
use super::mark::{Note, later};
use crate::indicator::Value;
use crate::store::{LedgerRow, RowState};
use crate::target::{Held, Proof};

/// Who wants an entry, until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub owner: Owner,
    /// Until when, as recorded by mark, ledger or vendor.
    pub until: Until,
}

/// The recorded end of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// This end, or none.
    Known(Option<DateTime<Utc>>),
    /// Nobody recorded one.
    Unknown,
}

impl Until {
    /// Whether a recorded end has passed.
    pub fn passed(self, now: DateTime<Utc>) -> bool {
        matches!(self, Self::Known(Some(until)) if until <= now)
    }

    /// The end; one that nobody knows counts as none.
    pub fn latest(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Known(until) => until,
            Self::Unknown => None,
        }
    }
}

/// An entry and its claims. No claim: it is somebody else's.
#[derive(Clone, Debug)]
pub struct Observed {
    /// What the vendor returned.
    pub held: Held,
    /// Its text field, read.
    pub note: Note,
    /// Our installation's claims on it, by owner.
    pub claims: Vec<Claim>,
    /// A mark carries an earlier name of the owner and should be written anew.
    pub renamed: bool,
}

impl Observed {
    /// The claim of an owner.
    pub fn claim(&self, owner: &Owner) -> Option<&Claim> {
        self.claims.iter().find(|claim| claim.owner == *owner)
    }
}

/// Whose eyes look.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Our installation.
    pub installation: &'a str,
    /// The owner that runs.
    pub owner: &'a Owner,
    /// Its earlier names.
    pub formerly: &'a [Owner],
}

/// Reads ownership out of a listing, sorted by value and then handle. What proves it is
/// [`Proof`]: a mark is believed over the ledger, the ledger is asked only where there is no mark.
pub fn observe(
    listing: Vec<Held>,
    ledger: &[LedgerRow],
    proof: Proof,
    viewer: Viewer<'_>,
) -> Vec<Observed> {
    let rows: Vec<&LedgerRow> = match proof {
        Proof::Mark { .. } => Vec::new(),
        Proof::Container | Proof::Ledger => ledger.iter().collect(),
    };
    let rows = sort_by_value(rows, |row| &row.value, |_, _| Ordering::Equal);
    let mut rows = &rows[..];
    // Claims are made in the order in which the planner reads them, so that they lie in that order too.
    let listing = sort_by_value(listing, |held| &held.value, |a, b| a.id.cmp(&b.id));
    listing
        .into_iter()
        .map(|held| {
            let passed = rows.iter().take_while(|row| row.value < held.value).count();
            rows = &rows[passed..];
            let same = rows
                .iter()
                .take_while(|row| row.value == held.value)
                .count();
            observe_one(held, &rows[..same], proof, viewer)
        })
        .collect()
}

/// Sorts by value and then by `tie`, keeping the order of equals. Moves small keys about instead of the
/// items, and looks at the values only where keys are equal.
fn sort_by_value<T>(
    items: Vec<T>,
    value: impl Fn(&T) -> &Value,
    tie: impl Fn(&T, &T) -> Ordering,
) -> Vec<T> {
    let keys = items.iter().map(|item| value(item).order_prefix());
    let mut order: Vec<(u64, usize)> = keys.zip(0..).collect();
    order.sort_unstable_by(|a, b| {
        let (left, right) = (&items[a.1], &items[b.1]);
        (a.0.cmp(&b.0))
            .then_with(|| value(left).cmp(value(right)))
            .then_with(|| tie(left, right))
            .then_with(|| a.1.cmp(&b.1))
    });
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order
        .into_iter()
        .filter_map(|(_, place)| items[place].take())
        .collect()
}

fn observe_one(held: Held, rows: &[&LedgerRow], proof: Proof, viewer: Viewer<'_>) -> Observed {
    let mut note = Note::default();
    let mut claims: Vec<Claim> = Vec::new();
    let mut renamed = false;
    match proof {
        Proof::Mark { .. } => {
            if let Some(text) = held.note.as_deref() {
                note = Note::read_expecting(
                    text,
                    viewer.installation,
                    &held.value,
                    Some(viewer.owner),
                );
                renamed = rename(&mut note, viewer);
                claims = note
                    .marks
                    .iter()
                    .map(|mark| Claim {
                        owner: mark.owner.clone(),
                        until: Until::Known(mark.until),
                    })
                    .collect();
            }
        }
        Proof::Container | Proof::Ledger => {
            for row in rows {
                let proven = match row.state {
                    RowState::Settled | RowState::Removing => true,
                    RowState::Adding { was_absent } => was_absent,
                };
                if proven {
                    let owner = if viewer.formerly.contains(&row.owner) {
                        viewer.owner.clone()
                    } else {
                        row.owner.clone()
                    };
                    add_claim(&mut claims, owner, Until::Known(row.until));
                }
            }
            let container = held.container.as_ref().map(|owner| {
                if viewer.formerly.contains(owner) {
                    viewer.owner
                } else {
                    owner
                }
            });
            if let Some(owner) = container
                && !claims.iter().any(|claim| claim.owner == *owner)
            {
                let until = match held.expires {
                    Some(expires) => Until::Known(Some(expires)),
                    None => Until::Unknown,
                };
                add_claim(&mut claims, owner.clone(), until);
            }
        }
    }
    Observed {
        held,
        note,
        claims,
        renamed,
    }
}

fn add_claim(claims: &mut Vec<Claim>, owner: Owner, until: Until) {
    match claims.iter_mut().find(|claim| claim.owner == owner) {
        Some(known) => {
            known.until = Until::Known(later(known.until.latest(), until.latest()));
        }
        None => claims.push(Claim { owner, until }),
    }
}

/// Gives marks under an earlier name to the owner; whether there were any.
fn rename(note: &mut Note, viewer: Viewer<'_>) -> bool {
    let old = |owner: &Owner| viewer.formerly.contains(owner) && owner != viewer.owner;
    if !note.marks.iter().any(|mark| old(&mark.owner)) {
        return false;
    }
    let mut end: Option<Option<DateTime<Utc>>> = None;
    note.marks.retain(|mark| {
        let mine = old(&mark.owner) || mark.owner == *viewer.owner;
        if mine {
            end = Some(end.map_or(mark.until, |end| later(end, mark.until)));
        }
        !mine
    });
    if let Some(until) = end {
        note.marks.push(super::Mark {
            owner: viewer.owner.clone(),
            until,
        });
        note.marks.sort_by(|a, b| a.owner.cmp(&b.owner));
    }
    true
}
