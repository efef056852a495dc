//! In which order changes are sent: a run that ends between two calls, or whose half is enforced by the vendor,
//! leaves nothing blocked that was excluded and nothing missing that was there and is wanted.
//!
//! What must not be blocked goes first, then additions before removals; where room is short removals go before
//! additions. A network of which a part must not be blocked any more is wanted and forbidden at once: its wanted parts
//! take its place. One call that does both is best ([`crate::target::Replacing`]). Without it the parts come first and
//! the whole goes right after them: in between the excluded part is blocked as it was before the run, while the other
//! way round all that is wanted of the network would be missing. Where the kind is short of room the whole goes first.

use crate::indicator::{Kind, Value};
use crate::plan::{Change, Operation, RemovalReason, What};

use super::task::covers;

/// What is sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Add,
    Update,
    Remove,
    /// The removal of what must not be blocked.
    Release,
    /// Networks that go and what is left of them, in one call.
    Replace,
    Record,
}

impl Sort {
    pub(super) fn of(change: &Change) -> Self {
        match change.operation {
            Operation::Add(_) => Self::Add,
            Operation::Update(_) => Self::Update,
            Operation::Remove(_) if change.what == What::Remove(RemovalReason::Excluded) => {
                Self::Release
            }
            Operation::Remove(_) => Self::Remove,
            Operation::Record => Self::Record,
        }
    }
}

/// The order of the sorts; networks are replaced after [`Sort::Release`].
pub(super) fn sorts(short_of_room: bool) -> [Sort; 5] {
    if short_of_room {
        [
            Sort::Record,
            Sort::Release,
            Sort::Remove,
            Sort::Update,
            Sort::Add,
        ]
    } else {
        [
            Sort::Record,
            Sort::Release,
            Sort::Add,
            Sort::Update,
            Sort::Remove,
        ]
    }
}

/// Networks whose wanted parts take their place.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// The additions, best first.
    pub(super) parts: Vec<Change>,
    /// The removals.
    pub(super) wholes: Vec<Change>,
}

/// Takes the networks that are replaced out of the changes, and gives the others back in their order.
pub(super) fn replaced(changes: Vec<Change>, short: &[Kind]) -> (Replaced, Vec<Change>) {
    let has_room = |change: &Change| !short.contains(&change.value.kind());
    let mut added: Vec<(&Value, usize)> = changes
        .iter()
        .enumerate()
        .filter(|(_, change)| Sort::of(change) == Sort::Add && has_room(change))
        .map(|(index, change)| (&change.value, index))
        .collect();
    added.sort_unstable();
    let mut taken = vec![false; changes.len()];
    for (index, change) in changes.iter().enumerate() {
        if Sort::of(change) != Sort::Release {
            continue;
        }
        // What lies in a network follows right behind it.
        let first = added.partition_point(|(value, _)| **value <= change.value);
        let parts = added[first..]
            .iter()
            .take_while(|(value, _)| covers(&change.value, value));
        for (_, part) in parts {
            taken[*part] = true;
            taken[index] = true;
        }
    }
    let mut replaced = Replaced::default();
    let mut others = Vec::with_capacity(changes.len());
    for (change, taken) in changes.into_iter().zip(taken) {
        match (taken, Sort::of(&change)) {
            (true, Sort::Add) => replaced.parts.push(change),
            (true, _) => replaced.wholes.push(change),
            (false, _) => others.push(change),
        }
    }
    replaced.parts.sort_by_key(|change| change.rank);
    (replaced, others)
}

#[cfg(all(test, feature = "testing"))]
mod tests;
