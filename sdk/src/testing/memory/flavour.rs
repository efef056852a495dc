//! The flavours that the memory vendor comes in.

use std::time::Duration;

use crate::indicator::Kind;
use crate::target::{
    Capabilities, Effect, EndKnownBy, Foreign, Granularity, KindSupport, NativeEnd, Proof,
};

const LONGER_NAMES: &[(Kind, Duration)] = &[(Kind::Domain, Duration::from_secs(60 * 86_400))];

/// A lie that a memory vendor's capabilities or client tell; the contract suite catches each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Entries never come back as they were written.
    NeverConforms,
    /// The text field is not kept, although the mark in it is the proof.
    DropsNotes,
    /// The native end that is declared does nothing.
    NeverExpires,
    /// Removing one entry takes a foreign one with it.
    RemovesForeign,
    /// Removals are confirmed and not done.
    KeepsRemoved,
    /// A commit is confirmed and enforces nothing.
    CommitsNothing,
    /// A listing leaves the last entry out.
    ListsShort,
    /// Every addition makes two entries.
    AddsTwice,
    /// The batch that is declared is larger than what the vendor takes.
    SmallerBatch,
}

/// A kind of vendor.
#[derive(Clone, Debug)]
pub struct Flavour {
    /// Its name in reports.
    pub name: &'static str,
    /// What it declares.
    pub capabilities: Capabilities,
    /// Whether one bad row makes it refuse its whole batch without naming the row.
    pub atomic: bool,
    /// Whether a container names its owner ([`Proof::Container`] only).
    pub named_containers: bool,
    /// Whether a restart loses what we put there.
    pub volatile: bool,
    /// What is not true about it.
    pub lie: Option<Lie>,
}

const ADDRESSES_NAMES_HASHES: &[KindSupport] = &[
    support(Kind::Ipv4, Effect::Prevent, true, false),
    support(Kind::Domain, Effect::Prevent, false, false),
    support(Kind::Url, Effect::Detect, false, false),
    support(Kind::Sha256, Effect::Prevent, false, false),
];

const ADDRESSES: &[KindSupport] = &[support(Kind::Ipv4, Effect::Prevent, true, false)];

const fn support(kind: Kind, effect: Effect, networks: bool, matches_below: bool) -> KindSupport {
    KindSupport {
        kind,
        effect,
        networks,
        matches_below,
    }
}

impl Flavour {
    /// Marks in a text field, no native end, rows in batches of 5.
    pub fn mark() -> Self {
        Self {
            name: "mark",
            capabilities: Capabilities {
                mechanism: "memory",
                summary: "entries in memory",
                kinds: ADDRESSES_NAMES_HASHES,
                end_known_by: EndKnownBy::Mark,
                native_end: None,
                proof: Proof::Mark { max_length: 256 },
                foreign: Foreign::Listed,
                granularity: Granularity::Row,
                write_batch: 5,
                remove_batch: 4,
                list_page: 100,
                lookup_batch: 20,
                capacity: None,
                staged: false,
                rate: &[],
                rights: &[],
            },
            atomic: false,
            named_containers: false,
            volatile: false,
            lie: None,
        }
    }

    /// Marks, and a native end that deletes; at most 30 days, by the minute.
    pub fn native() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "native end that deletes";
        flavour.capabilities.end_known_by = EndKnownBy::Native;
        flavour.capabilities.native_end = Some(NativeEnd {
            unit: Duration::from_secs(60),
            max: Some(Duration::from_secs(30 * 86_400)),
            max_by_kind: LONGER_NAMES,
            deletes: Some(true),
        });
        flavour
    }

    /// Marks, and a native end that only disarms, by the hour and without a longest one.
    pub fn disarming() -> Self {
        let mut flavour = Self::native();
        flavour.name = "native end that disarms";
        flavour.capabilities.native_end = Some(NativeEnd {
            unit: Duration::from_secs(3600),
            max: None,
            max_by_kind: &[],
            deletes: Some(false),
        });
        flavour
    }

    /// No room for a mark; foreign entries are listed.
    pub fn ledger() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "ledger";
        flavour.capabilities.end_known_by = EndKnownBy::Ledger;
        flavour.capabilities.proof = Proof::Ledger;
        flavour.capabilities.granularity = Granularity::List;
        flavour
    }

    /// No room for a mark; foreign entries are seen only when asked for.
    pub fn ledger_looked_up() -> Self {
        let mut flavour = Self::ledger();
        flavour.name = "ledger, foreign looked up";
        flavour.capabilities.foreign = Foreign::LookedUp;
        flavour
    }

    /// Nothing is shown: only the ledger knows what is there.
    pub fn unseen() -> Self {
        let mut flavour = Self::ledger();
        flavour.name = "ledger, nothing shown";
        flavour.capabilities.foreign = Foreign::Unseen;
        flavour.capabilities.lookup_batch = 0;
        flavour
    }

    /// No room for a mark, with a native end.
    pub fn ledger_native() -> Self {
        let mut flavour = Self::native();
        flavour.name = "ledger, native end";
        flavour.capabilities.kinds = ADDRESSES;
        flavour.capabilities.proof = Proof::Ledger;
        flavour.volatile = true;
        flavour
    }

    /// A container that is wholly ours; foreign entries live elsewhere.
    pub fn container() -> Self {
        let mut flavour = Self::ledger();
        flavour.name = "container";
        flavour.capabilities.proof = Proof::Container;
        flavour.capabilities.foreign = Foreign::Coexists;
        flavour.capabilities.granularity = Granularity::Feed;
        flavour
    }

    /// One container per owner.
    pub fn named_container() -> Self {
        let mut flavour = Self::container();
        flavour.name = "container by owner";
        flavour.named_containers = true;
        flavour
    }

    /// Whole batches are refused for one bad row.
    pub fn atomic() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "atomic batches";
        flavour.atomic = true;
        flavour
    }

    /// Changes are stored, then committed.
    pub fn staged() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "staged";
        flavour.capabilities.staged = true;
        flavour.capabilities.granularity = Granularity::List;
        flavour
    }

    /// Stored, then committed, without room for a mark.
    pub fn staged_ledger() -> Self {
        let mut flavour = Self::ledger();
        flavour.name = "staged ledger";
        flavour.capabilities.staged = true;
        flavour
    }

    /// At most 40 entries in all, others' included.
    pub fn small() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "small";
        flavour.capabilities.capacity = Some(40);
        flavour
    }

    /// One entry per call, and a text field that holds little more than a mark.
    pub fn narrow() -> Self {
        let mut flavour = Self::mark();
        flavour.name = "narrow";
        flavour.capabilities.write_batch = 1;
        flavour.capabilities.remove_batch = 1;
        flavour.capabilities.proof = Proof::Mark { max_length: 128 };
        flavour
    }

    /// Every honest flavour.
    pub fn all() -> Vec<Self> {
        vec![
            Self::mark(),
            Self::native(),
            Self::disarming(),
            Self::ledger(),
            Self::ledger_looked_up(),
            Self::ledger_native(),
            Self::container(),
            Self::named_container(),
            Self::atomic(),
            Self::staged(),
            Self::staged_ledger(),
            Self::small(),
            Self::narrow(),
        ]
    }

    /// The same, with a lie.
    #[must_use]
    pub fn lying(mut self, lie: Lie) -> Self {
        self.lie = Some(lie);
        self
    }
}
