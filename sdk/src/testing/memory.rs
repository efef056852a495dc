//! The memory target: a vendor in process, without HTTP. It is a complete [`FakeState`] and a complete
//! [`Target`], with capabilities of choice and scripted trouble, so that the contract suite can be run
//! against every flavour of vendor, and so that lies can be told that the suite must catch.

mod flavour;
mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

pub use flavour::{Flavour, Lie};
pub use target::MemoryTarget;

use crate::clock::Clock;
use crate::fake::{FakeEntry, FakeState, Switch};
use crate::indicator::Value;
use crate::ownership::Owner;
use crate::target::{Activate, Foreign, NativeEnd, Proof};

/// One entry as the vendor keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub value: Value,
    /// The text field; empty where the flavour has none.
    pub note: String,
    /// The native end.
    pub expires: Option<DateTime<Utc>>,
    /// Whose container it is in.
    pub container: Option<Owner>,
    /// Whether a person made it.
    pub foreign: bool,
    /// Whether it acts.
    pub armed: bool,
    /// Whether it allows instead of blocking.
    pub allows: bool,
}

/// What goes wrong, and when. Calls are counted from the moment the trouble is made.
#[derive(Clone)]
pub enum Trouble {
    /// The connection breaks at a call.
    Break {
        /// Calls to let pass first.
        after: usize,
        /// Whether the call is applied before its answer is lost.
        applied: bool,
        /// Whether nothing is reachable from then on, until [`MemoryVendor::calm`] or its like: a kill.
        lasting: bool,
    },
    /// The vendor answers with an error status; the call is not applied.
    Refuse {
        /// Calls to let pass first.
        after: usize,
        /// How many calls then get it; `usize::MAX` for ever.
        times: usize,
        /// The status.
        status: u16,
        /// Seconds in `Retry-After`.
        retry_after: Option<u32>,
    },
    /// Another actor's hand just before a call, which then goes on.
    Meddle {
        /// Calls to let pass first.
        after: usize,
        /// What it does.
        hand: Arc<dyn Fn() + Send + Sync>,
    },
}

/// What a call meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    Pass,
    BreakBefore,
    BreakAfter,
    Dead,
}

#[derive(Default)]
struct Shelf {
    /// What is stored.
    rows: BTreeMap<u64, Row>,
    /// What is enforced, where the flavour stages; otherwise unused.
    active: BTreeMap<u64, Row>,
    /// Whether something of ours is stored and not enforced.
    pending: bool,
    next: u64,
    capacity: Option<usize>,
    /// Values that the vendor refuses.
    refused: BTreeSet<Value>,
    /// When its targets commit.
    activate: Activate,
    /// Whether the vendor refuses to enforce what is stored.
    refuses_commit: bool,
    troubles: Vec<Trouble>,
    dead: bool,
    calls: usize,
    log: Vec<&'static str>,
}

struct Inner {
    flavour: Flavour,
    clock: Clock,
    shelf: Mutex<Shelf>,
}

/// The vendor. Clones are the same vendor.
#[derive(Clone)]
pub struct MemoryVendor(Arc<Inner>);

impl MemoryVendor {
    /// An empty vendor with a clock of its own.
    pub fn new(flavour: Flavour, clock: Clock) -> Self {
        let shelf = Shelf {
            capacity: flavour.capabilities.capacity,
            next: 1,
            ..Shelf::default()
        };
        Self(Arc::new(Inner {
            flavour,
            clock,
            shelf: Mutex::new(shelf),
        }))
    }

    /// Its flavour.
    pub fn flavour(&self) -> &Flavour {
        &self.0.flavour
    }

    /// A client of it, as a new process would make it: the connection works again if it was lost for one
    /// call, not if trouble lasts. `owner` names the container where the flavour has named ones.
    pub fn target(&self, owner: &Owner) -> MemoryTarget {
        MemoryTarget::new(self.clone(), owner.clone())
    }

    /// Makes trouble.
    pub fn disturb(&self, trouble: Trouble) {
        self.shelf().troubles.push(trouble);
    }

    /// Ends all trouble.
    pub fn calm(&self) {
        let mut shelf = self.shelf();
        shelf.troubles.clear();
        shelf.dead = false;
    }

    /// Refuses a value from now on.
    pub fn refuse(&self, value: &Value) {
        self.shelf().refused.insert(value.clone());
    }

    /// When the targets made of it commit.
    pub fn activate(&self, activate: Activate) {
        self.shelf().activate = activate;
    }

    /// Refuses to enforce what is stored, or not any more.
    pub fn refuse_commit(&self, refuses: bool) {
        self.shelf().refuses_commit = refuses;
    }

    /// An administrator stores an entry and does not enforce it.
    pub fn store_foreign(&self, value: &Value) {
        let mut shelf = self.shelf();
        let id = shelf.next;
        shelf.next += 1;
        shelf.pending = true;
        let row = Row {
            value: value.clone(),
            note: "stored by hand".to_owned(),
            expires: None,
            container: None,
            foreign: true,
            armed: true,
            allows: false,
        };
        shelf.rows.insert(id, row);
    }

    /// Everything stored is enforced: somebody else's commit, or the end of a session.
    pub fn enforce(&self) {
        let mut shelf = self.shelf();
        shelf.active = shelf.rows.clone();
        shelf.pending = false;
    }

    /// An administrator disarms an entry without removing it; `false` if there is none.
    pub fn disarm(&self, value: &Value) -> bool {
        let mut shelf = self.shelf();
        let mut found = false;
        for row in shelf
            .rows
            .values_mut()
            .filter(|row| row.value == *value && !row.foreign)
        {
            row.armed = false;
            found = true;
        }
        found
    }

    /// An administrator makes an entry that allows.
    pub fn add_allow(&self, value: &Value) {
        self.insert(Row {
            value: value.clone(),
            note: "allowed by hand".to_owned(),
            expires: None,
            container: None,
            foreign: true,
            armed: false,
            allows: true,
        });
    }

    /// Calls received so far.
    pub fn calls(&self) -> usize {
        self.shelf().calls
    }

    /// The names of the calls received: `open`, `examine`, `list`, `add`, `update`, `remove`, `pending`, `commit`,
    /// `discard`.
    pub fn log(&self) -> Vec<&'static str> {
        self.shelf().log.clone()
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn staged(&self) -> bool {
        self.0.flavour.capabilities.staged
    }

    /// Counts a call and says what becomes of it.
    fn strike(&self, name: &'static str) -> Strike {
        let mut strike = Strike::Pass;
        let mut hands = Vec::new();
        {
            let mut shelf = self.shelf();
            shelf.calls += 1;
            shelf.log.push(name);
            if shelf.dead {
                return Strike::Dead;
            }
            let mut dead = false;
            shelf.troubles.retain_mut(|trouble| match trouble {
                Trouble::Break { after, .. }
                | Trouble::Refuse { after, .. }
                | Trouble::Meddle { after, .. }
                    if *after > 0 =>
                {
                    *after -= 1;
                    true
                }
                Trouble::Break {
                    applied, lasting, ..
                } => {
                    strike = if *applied {
                        Strike::BreakAfter
                    } else {
                        Strike::BreakBefore
                    };
                    dead |= *lasting;
                    false
                }
                Trouble::Refuse { times, .. } => {
                    strike = Strike::Dead;
                    *times = times.saturating_sub(1);
                    *times > 0
                }
                Trouble::Meddle { hand, .. } => {
                    hands.push(Arc::clone(hand));
                    false
                }
            });
            shelf.dead = dead;
        }
        // The hands take the same lock.
        for hand in hands {
            hand();
        }
        strike
    }

    /// Drops what ended natively, where the vendor deletes at the end.
    fn sweep(&self, shelf: &mut Shelf) {
        let Some(NativeEnd {
            deletes: Some(true),
            ..
        }) = self.0.flavour.capabilities.native_end
        else {
            return;
        };
        if self.0.flavour.lie == Some(Lie::NeverExpires) {
            return;
        }
        let now = self.0.clock.now();
        let ended = |row: &Row| row.expires.is_some_and(|end| end <= now);
        shelf.rows.retain(|_, row| !ended(row));
        shelf.active.retain(|_, row| !ended(row));
    }

    fn acts(&self, row: &Row) -> bool {
        let ended = self.0.flavour.capabilities.native_end.is_some()
            && self.0.flavour.lie != Some(Lie::NeverExpires)
            && row.expires.is_some_and(|end| end <= self.0.clock.now());
        row.armed && !row.allows && !ended
    }

    fn insert(&self, row: Row) {
        let mut shelf = self.shelf();
        let id = shelf.next;
        shelf.next += 1;
        if self.staged() {
            // A person's own change is enforced by that person.
            shelf.active.insert(id, row.clone());
        }
        shelf.rows.insert(id, row);
    }

    /// The vendor's own end for one that was sent: rounded up to its unit.
    fn rounded(&self, end: DateTime<Utc>) -> DateTime<Utc> {
        let unit = self
            .0
            .flavour
            .capabilities
            .native_end
            .and_then(|native| i64::try_from(native.unit.as_secs()).ok())
            .unwrap_or(1)
            .max(1);
        let over = end.timestamp().rem_euclid(unit);
        let partial = over != 0 || end.timestamp_subsec_nanos() != 0;
        let whole = DateTime::from_timestamp(end.timestamp() - over, 0).unwrap_or(end);
        if partial {
            whole + TimeDelta::seconds(unit)
        } else {
            whole
        }
    }
}

impl FakeState for MemoryVendor {
    fn switches(&self) -> Vec<Switch> {
        Vec::new()
    }

    fn enforced(&self, _: &str) -> Vec<FakeEntry> {
        let mut shelf = self.shelf();
        self.sweep(&mut shelf);
        let rows = if self.staged() {
            &shelf.active
        } else {
            &shelf.rows
        };
        rows.values()
            .filter(|row| self.acts(row))
            .map(|row| FakeEntry {
                value: row.value.clone(),
                foreign: row.foreign,
                text: row.note.clone(),
            })
            .collect()
    }

    fn add_foreign(&self, _: &str, value: &Value) -> bool {
        if self.0.flavour.capabilities.kind(value.kind()).is_none() {
            return false;
        }
        let full = {
            let mut shelf = self.shelf();
            self.sweep(&mut shelf);
            let twice = self.0.flavour.capabilities.foreign != Foreign::Coexists
                && shelf.rows.values().any(|row| row.value == *value);
            twice
                || shelf
                    .capacity
                    .is_some_and(|limit| shelf.rows.len() >= limit)
        };
        if full {
            return false;
        }
        self.insert(Row {
            value: value.clone(),
            note: "made by hand".to_owned(),
            expires: None,
            container: None,
            foreign: true,
            armed: true,
            allows: false,
        });
        true
    }

    fn remove(&self, _: &str, value: &Value) -> bool {
        let mut shelf = self.shelf();
        let before = shelf.rows.len();
        shelf.rows.retain(|_, row| row.value != *value);
        shelf.active.retain(|_, row| row.value != *value);
        shelf.rows.len() != before
    }

    fn expire_sessions(&self) {}

    fn set_capacity(&self, capacity: usize) {
        self.shelf().capacity = Some(capacity);
    }

    fn reboot(&self) {
        let mut shelf = self.shelf();
        if self.staged() {
            // What was only stored in the session is lost.
            shelf.rows = shelf.active.clone();
            shelf.pending = false;
        }
        if self.0.flavour.volatile {
            shelf.rows.retain(|_, row| row.foreign);
            shelf.active.retain(|_, row| row.foreign);
        }
    }
}

/// Whether a text field can carry marks here.
fn carries_marks(proof: Proof) -> bool {
    matches!(proof, Proof::Mark { .. })
}
