//! Who gets a place where there are not enough.

use super::{Question, Verdict};
use crate::indicator::Kind;
use crate::target::{Capabilities, CapacityPool, Facts};

/// Which wanted values have a place.
pub(super) struct Places {
    /// `None`: all of them.
    has: Option<Vec<bool>>,
}

impl Places {
    pub(super) fn has(&self, index: usize) -> bool {
        self.has.as_ref().is_none_or(|has| has[index])
    }
}

/// The limits of a device, each with its kinds: those that the device told, and the mechanism's own for
/// the kinds that it told nothing of.
pub fn pools(capabilities: &Capabilities, facts: &Facts) -> Vec<CapacityPool> {
    let mut pools = facts.capacity.clone();
    if let Some(limit) = capabilities.capacity {
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| !facts.capacity.iter().any(|pool| pool.kinds.contains(kind)))
            .collect();
        if !kinds.is_empty() {
            pools.push(CapacityPool { kinds, limit });
        }
    }
    pools
}

/// Gives places by rank. Entries of others, and ours that stay although nobody wants them, keep theirs; a
/// wanted value that stands on an entry of others needs none.
pub(super) fn places(question: &Question<'_>) -> Places {
    let mut has: Option<Vec<bool>> = None;
    if !question.whole {
        return Places { has };
    }
    for CapacityPool { kinds, limit } in pools(question.capabilities, question.facts) {
        if question.wanted.len() + question.observed.len() <= limit {
            continue;
        }
        let wanted = question
            .wanted
            .iter()
            .filter(|desired| kinds.contains(&desired.value.kind()))
            .count();
        let held = question
            .observed
            .iter()
            .filter(|entry| kinds.contains(&entry.held.value.kind()))
            .count();
        if wanted + held > limit {
            let has = has.get_or_insert_with(|| vec![true; question.wanted.len()]);
            ration(question, &kinds, limit, has);
        }
    }
    Places { has }
}

fn ration(question: &Question<'_>, kinds: &[Kind], limit: usize, has: &mut [bool]) {
    // How the listing stands against the wanted ones: both are sorted by value.
    let mut taken = 0;
    let mut shared = vec![false; question.wanted.len()];
    let mut mine = vec![false; question.wanted.len()];
    let mut index = 0;
    for entry in question.observed {
        while index < question.wanted.len() && question.wanted[index].value < entry.held.value {
            index += 1;
        }
        let is_wanted =
            index < question.wanted.len() && question.wanted[index].value == entry.held.value;
        let claim = entry.claim(question.owner);
        if is_wanted && claim.is_some() {
            mine[index] = true;
        }
        if is_wanted && (claim.is_none() || entry.claims.len() > 1 || entry.note.was.is_some()) {
            shared[index] = true;
        }
        let stays = match claim {
            None => true,
            Some(_) if entry.claims.len() > 1 || entry.note.was.is_some() => true,
            Some(_) if is_wanted => false,
            Some(claim) => {
                !claim.until.passed(question.now)
                    && (question.verdict)(&entry.held.value, claim) == Verdict::Keep
            }
        };
        if stays && kinds.contains(&entry.held.value.kind()) {
            taken += 1;
        }
    }
    let room = limit.saturating_sub(taken);
    let mut ranked: Vec<usize> = (0..question.wanted.len())
        .filter(|&index| !shared[index] && kinds.contains(&question.wanted[index].value.kind()))
        // What may not be added takes nobody's place.
        .filter(|&index| question.options.may_add || mine[index])
        .collect();
    if ranked.len() > room {
        ranked.sort_by_key(|&index| question.wanted[index].rank);
        for &index in &ranked[room..] {
            has[index] = false;
        }
    }
}
