//! How an entry that is there is written anew: beside what is there, which goes afterwards.

use std::collections::BTreeSet;

use sdk::target::Write;

use super::codec::{self, Slot, Tag, Writing};

/// How an entry is written anew.
pub(super) struct Rewrite {
    /// The slot to free first, where both are taken.
    pub(super) free: Option<Slot>,
    pub(super) register: Vec<String>,
    /// What was written before, marks last.
    pub(super) unregister: Vec<String>,
}

impl Rewrite {
    /// `None` if a mark does not fit into a tag.
    pub(super) fn new(write: &Write, there: &[Tag], base: &str) -> Option<Self> {
        let taken = taken(there);
        let old = spelled(there, base);
        if write.note_and_end_only {
            // Somebody else's entry: its slot stays as it is, only our words change.
            let slot = taken.first().copied().unwrap_or(Slot::A);
            let writing = Writing {
                slot,
                end: write.expires,
            };
            let tags = codec::write(&write.note, base, writing)?;
            // Giving it back leaves none of our words, and a person's words were never ours to carry.
            let tags = if write.note.contains("cordon") {
                tags
            } else {
                Vec::new()
            };
            return Some(Self {
                free: None,
                register: tags
                    .iter()
                    .filter(|tag| !old.contains(tag))
                    .cloned()
                    .collect(),
                unregister: old
                    .into_iter()
                    .filter(|tag| !tags.contains(tag) && *tag != slot.tag(base))
                    .collect(),
            });
        }
        let (free, slot) = match (taken.contains(&Slot::A), taken.contains(&Slot::B)) {
            (true, true) => (Some(Slot::B), Slot::B),
            (true, false) => (None, Slot::A.other()),
            (false, _) => (None, Slot::A),
        };
        let writing = Writing {
            slot,
            end: write.expires,
        };
        let words = codec::write(&write.note, base, writing)?;
        let fresh = words.iter().filter(|tag| !old.contains(tag)).cloned();
        // What blocks goes last, as when it is added.
        let register = fresh.chain([slot.tag(base)]).collect();
        Some(Self {
            free,
            unregister: old
                .into_iter()
                .filter(|tag| *tag != slot.tag(base) && !words.contains(tag))
                .collect(),
            register,
        })
    }
}

/// The slots among tags.
pub(super) fn taken(tags: &[Tag]) -> BTreeSet<Slot> {
    tags.iter()
        .filter_map(|tag| match tag {
            Tag::Slot(slot) => Some(*slot),
            _ => None,
        })
        .collect()
}

/// Tags as they are sent: what proves that an entry is ours goes last.
pub(super) fn spelled(tags: &[Tag], base: &str) -> Vec<String> {
    let mut spelled: Vec<(u8, String)> = tags
        .iter()
        .map(|tag| {
            let order = match tag {
                Tag::Words(..) => 0,
                Tag::Slot(_) => 1,
                Tag::Mark(..) => 2,
            };
            (order, codec::spell(tag, base))
        })
        .collect();
    spelled.sort();
    spelled.into_iter().map(|(_, tag)| tag).collect()
}
