//! Which version of each object stands. A table of 8 bytes per object beside the indicators themselves,
//! because a bundle has millions.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};

use crate::collection::{Skipped, SkippedReason, Skips};
use crate::indicator::{Indicator, Origin};

/// The objects read so far, newest version each.
#[derive(Debug, Default)]
pub(super) struct Versions {
    pub(super) indicators: Vec<Indicator>,
    /// Objects of which no value remained: they supersede older versions all the same.
    voids: Vec<Void>,
    /// Open addressing, linear probing; the length is a power of two.
    table: Vec<Slot>,
    used: usize,
    /// Whether a version was added since this was last asked.
    took: bool,
    /// Why parts of an object were left out, by its place: taken back when the object is superseded.
    left: HashMap<u32, Box<[SkippedReason]>>,
    /// Superseded runs in `indicators`: first and count.
    dead: Vec<(usize, usize)>,
    /// Seeded at random, so that nobody can choose ids that collide.
    hasher: RandomState,
}

#[derive(Debug)]
struct Void {
    origin: Origin,
    modified: Option<DateTime<Utc>>,
    revoked: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    place: u32,
}

const EMPTY: u32 = u32::MAX;
const VOID: u32 = 1 << 31;

/// Most indicators in one collection.
pub(super) const MOST: usize = VOID as usize - 1;

/// One version of one object.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) origin: Origin,
    pub(super) modified: Option<DateTime<Utc>>,
    pub(super) revoked: bool,
}

impl Versions {
    /// Adds a version of an object. The newest `modified` stands, whatever the order; of two equal ones a
    /// revoked one stands, otherwise the later in the input.
    pub(super) fn add(
        &mut self,
        version: &Version,
        indicators: impl Iterator<Item = Indicator>,
        left: Vec<Skipped>,
        skips: &mut Skips,
    ) {
        self.took = true;
        if (self.used + 1) * 2 > self.table.len() {
            self.grow();
        }
        // 32 bits of the hash tell enough: equal ones are compared in full.
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let hash = self.hasher.hash_one(&version.origin) as u32;
        let at = self.find(hash, &version.origin);
        let place = self.table[at].place;
        if place != EMPTY {
            let older = self.rank(place) > (version.modified, version.revoked);
            if !older {
                self.supersede(place, skips);
            }
            skips.push(stale(&version.origin));
            if older {
                return;
            }
        } else {
            self.used += 1;
        }
        let first = self.indicators.len();
        self.indicators.extend(indicators);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the reader keeps both below MOST"
        )]
        let place = if self.indicators.len() > first {
            first as u32
        } else {
            self.voids.push(Void {
                origin: version.origin.clone(),
                modified: version.modified,
                revoked: version.revoked,
            });
            VOID | (self.voids.len() - 1) as u32
        };
        self.table[at] = Slot { hash, place };
        if !left.is_empty() {
            let reasons = left.iter().map(|skipped| skipped.reason).collect();
            self.left.insert(place, reasons);
        }
        for skipped in left {
            skips.push(skipped);
        }
    }

    /// How many objects there are, each once.
    pub(super) fn distinct(&self) -> usize {
        self.used
    }

    /// Whether a version was added since this was last asked.
    pub(super) fn took(&mut self) -> bool {
        std::mem::take(&mut self.took)
    }

    /// How many objects and indicators are kept, dead ones included.
    pub(super) fn size(&self) -> usize {
        self.indicators.len().max(self.voids.len())
    }

    /// The indicators of the versions that stand, in the order of the input.
    pub(super) fn finish(mut self) -> Vec<Indicator> {
        if !self.dead.is_empty() {
            self.dead.sort_unstable();
            let mut dead = self.dead.iter().copied().peekable();
            let mut index = 0;
            self.indicators.retain(|_| {
                while dead
                    .next_if(|(first, count)| first + count <= index)
                    .is_some()
                {}
                let keep = dead.peek().is_none_or(|(first, _)| index < *first);
                index += 1;
                keep
            });
        }
        self.indicators
    }

    fn origin(&self, place: u32) -> &Origin {
        match place & VOID {
            0 => &self.indicators[place as usize].origin,
            _ => &self.voids[(place & !VOID) as usize].origin,
        }
    }

    fn rank(&self, place: u32) -> (Option<DateTime<Utc>>, bool) {
        match place & VOID {
            0 => {
                let indicator = &self.indicators[place as usize];
                (indicator.modified, indicator.revoked)
            }
            _ => {
                let void = &self.voids[(place & !VOID) as usize];
                (void.modified, void.revoked)
            }
        }
    }

    fn supersede(&mut self, place: u32, skips: &mut Skips) {
        let origin = self.origin(place).clone();
        if place & VOID == 0 {
            let first = place as usize;
            let count = self.indicators[first..]
                .iter()
                .take_while(|indicator| indicator.origin == origin)
                .count();
            self.dead.push((first, count));
        }
        if let Some(reasons) = self.left.remove(&place) {
            skips.take_back(&origin.to_string(), &reasons);
        }
    }

    fn find(&self, hash: u32, origin: &Origin) -> usize {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.table[at];
            if slot.place == EMPTY || (slot.hash == hash && self.origin(slot.place) == origin) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let length = (self.table.len() * 2).max(1024);
        let empty = Slot {
            hash: 0,
            place: EMPTY,
        };
        let old = std::mem::replace(&mut self.table, vec![empty; length]);
        for slot in old {
            if slot.place != EMPTY {
                let mut at = slot.hash as usize & (length - 1);
                while self.table[at].place != EMPTY {
                    at = (at + 1) & (length - 1);
                }
                self.table[at] = slot;
            }
        }
    }
}

fn stale(origin: &Origin) -> Skipped {
    Skipped {
        place: origin.to_string(),
        text: String::new(),
        reason: SkippedReason::Stale,
        message: "another version of this object stands".into(),
    }
}
