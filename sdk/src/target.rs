//! What a vendor connector implements. A target translates and transports: it computes no difference,
//! chooses nothing to delete, reads no clock, retries nothing, never sleeps, never batches, and does not
//! know what a dry run is. One [`Target`] is one mechanism on one device.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::indicator::{Kind, Value};
use crate::ownership::Owner;
use crate::secret::Secret;

/// Whether an entry stops the thing or only tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It is stopped.
    Prevent,
    /// It is reported.
    Detect,
}

/// What a mechanism does with one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindSupport {
    /// The kind.
    pub kind: Kind,
    /// What an entry of it achieves.
    pub effect: Effect,
    /// Whether networks wider than one host are taken; only meaningful for addresses.
    pub networks: bool,
    /// Whether the vendor also matches what is below the entry: names below a domain, longer paths
    /// below a URL, the host's URLs below a domain. Such an entry is refused where it would hit
    /// something excluded.
    pub matches_below: bool,
}

/// How the end of an entry of ours is known without the collection that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKnownBy {
    /// The vendor keeps it and returns it when listed.
    Native,
    /// It stands in our mark.
    Mark,
    /// Only our own record has it.
    Ledger,
}

/// The vendor's own expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NativeEnd {
    /// The vendor's unit; ends are rounded up to it.
    pub unit: Duration,
    /// The longest end the vendor takes, counted from now, for kinds that have none of their own.
    pub max: Option<Duration>,
    /// The longest ends of certain kinds.
    pub max_by_kind: &'static [(Kind, Duration)],
    /// Whether the vendor removes the entry at its end. Falcon only disarms it: then we delete. `None`
    /// where the vendor does not say: what is still listed after its end is deleted.
    pub deletes: Option<bool>,
}

impl NativeEnd {
    /// The longest end that the vendor takes for a kind, counted from now.
    pub fn max_for(&self, kind: Kind) -> Option<Duration> {
        let own = self.max_by_kind.iter().find(|(known, _)| *known == kind);
        own.map(|(_, max)| *max).or(self.max)
    }
}

/// What proves that an entry is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A mark in a text field of the entry, of at most so many characters.
    Mark {
        /// Length of the field in characters.
        max_length: usize,
    },
    /// A container that is wholly ours: [`Held::container`] names its owner. Where the vendor's
    /// container does not name one, the ledger decides.
    Container,
    /// Only the ledger.
    Ledger,
}

/// How far entries that are not ours can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A listing shows them all.
    Listed,
    /// Only by asking for a value.
    LookedUp,
    /// They live elsewhere, an equal value of ours stands beside them.
    Coexists,
    /// Nothing is shown, not even ours: the vendor has no listing. What the ledger says stands for it and
    /// [`Target::list`] is not called, so this needs [`Proof::Ledger`]. That somebody else has a value is
    /// learned from [`Outcome::Exists`], and kept in mind for a day.
    Unseen,
}

/// How much one call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// Entries one by one.
    Row,
    /// Members of a list, added and removed.
    List,
    /// A whole list published at once, or by difference.
    Feed,
}

/// A documented rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// The endpoint class it counts; `"*"` counts every call.
    pub class: &'static str,
    /// Calls allowed …
    pub calls: u32,
    /// … in this time.
    pub per: Duration,
}

/// What a mechanism can do, true for every device of its kind. Each has a contract test that fails
/// where it is a lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Its name in configuration.
    pub mechanism: &'static str,
    /// One line for `cordon connectors`.
    pub summary: &'static str,
    /// The kinds taken, in canonical order.
    pub kinds: &'static [KindSupport],
    /// How an end is known.
    pub end_known_by: EndKnownBy,
    /// The vendor's own expiry, if it has one.
    pub native_end: Option<NativeEnd>,
    /// What proves ownership.
    pub proof: Proof,
    /// What is seen of others' entries.
    pub foreign: Foreign,
    /// How much one call changes.
    pub granularity: Granularity,
    /// Most entries per add or update call (at least 1); the connector may pack less by size.
    pub write_batch: usize,
    /// Most entries per remove call (at least 1).
    pub remove_batch: usize,
    /// Most entries one call of a full listing returns (at least 1): what a read-back costs.
    pub list_page: usize,
    /// Most values one lookup call takes; 0 where [`Scope::Values`] costs as much as [`Scope::All`].
    pub lookup_batch: usize,
    /// Most entries the vendor takes in all, others' included; [`Facts::capacity`] goes before it.
    pub capacity: Option<usize>,
    /// Whether changes are stored first and enforced by a commit ([`Target::staged`]).
    pub staged: bool,
    /// Documented rate limits.
    pub rate: &'static [RateWindow],
    /// The vendor rights that are needed, for people.
    pub rights: &'static [&'static str],
}

impl Capabilities {
    /// What it does with a kind; `None` where the kind is not taken.
    pub fn kind(&self, kind: Kind) -> Option<&KindSupport> {
        self.kinds.iter().find(|support| support.kind == kind)
    }
}

/// What was found out about a device when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The product's version as it gives it.
    pub version: Option<String>,
    /// The vendor's clock, from its `Date` header.
    pub vendor_time: Option<DateTime<Utc>>,
    /// Most entries in all, by kind group: pairs of kinds that share a limit, and the limit.
    pub capacity: Vec<CapacityPool>,
    /// The owner of the container that this mechanism writes to, where the container itself names one
    /// ([`Proof::Container`]); another owner is refused there.
    pub container: Option<Owner>,
    /// Kinds that the mechanism takes and this device does not as it is set up, and why, in words.
    pub unavailable: Vec<(Kind, String)>,
}

/// Kinds that share a limit. A kind that stands in no pool is bound by [`Capabilities::capacity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapacityPool {
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Most entries of them together, others' included.
    pub limit: usize,
}

/// One line of `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as needed.
    pub level: Level,
    /// What was looked at, in two or three words, for instance `scope write`.
    pub subject: Cow<'static, str>,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// How a finding bears on blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As needed.
    Ok,
    /// Blocking works, something around it does not.
    Warning,
    /// Blocking does not work.
    Missing,
}

/// Which device and mechanism: leases, guards, ledger rows and capacity are kept per key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    /// The connector's name.
    pub connector: &'static str,
    /// The vendor account: what two configured names for the same thing share (host, customer id).
    pub account: String,
    /// The mechanism.
    pub mechanism: &'static str,
    /// The device and its division, for instance `192.0.2.1/root`; empty where there is only one.
    pub device: String,
}

impl fmt::Display for TargetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.connector, self.account, self.mechanism)?;
        if !self.device.is_empty() {
            write!(f, ":{}", self.device)?;
        }
        Ok(())
    }
}

/// What is logged in with, as far as it may be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    account: String,
    tag: String,
}

impl Login {
    /// Of an account at a vendor, and what proves that one may use it.
    pub fn new(connector: &'static str, account: &str, user: &str, secret: &Secret) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("cordon 2026 tag of a login");
        for part in [connector, account, user, secret.expose()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        // Long enough to tell that credentials were changed, and too short to say which of many guesses at
        // a password is right.
        let tag = hasher.finalize().to_hex()[..4].to_owned();
        Self {
            account: format!("{connector}:{account}"),
            tag,
        }
    }

    /// Connector and vendor account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Tells other credentials from the same ones, up to chance, and nothing else about them.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

/// What the vendor holds: one entry, ours or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The vendor's handle; opaque to the SDK, given back with updates and removals.
    pub id: Box<str>,
    /// Its value.
    pub value: Value,
    /// The text field that carries marks, as the vendor returned it.
    pub note: Option<Box<str>>,
    /// The vendor's own end, if it has one.
    pub expires: Option<DateTime<Utc>>,
    /// The owner of the container it was found in, where a container proves ownership.
    pub container: Option<Owner>,
    /// Whether it acts now. A disarmed, expired or allowing entry does not.
    pub blocks: bool,
    /// Whether it is an *allow* entry; such a one is never adopted.
    pub allows: bool,
    /// Whether everything but end and note is as [`Target::apply`] would write it.
    pub conforms: bool,
    /// Whether the vendor lets us change it (not inherited, not referenced by others).
    pub writable: bool,
}

/// What to list.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Everything the mechanism can see.
    All,
    /// These values only; canonical as [`Target::accept`] returned them.
    Values(&'a [Value]),
}

/// An entry to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its value, as [`Target::accept`] returned it.
    pub value: Value,
    /// The vendor's handle; `None` for an addition.
    pub id: Option<Box<str>>,
    /// The native end to write, already rounded and bounded; `None` writes no end and clears one that
    /// is there.
    pub expires: Option<DateTime<Utc>>,
    /// The text field to write: marks, then words for people.
    pub note: String,
    /// Write end and note alone and leave everything else as it is: somebody else's entry that takes our
    /// mark, or is given back.
    pub note_and_end_only: bool,
    /// The end that the vendor holds now. Some vendors refuse a past end that is sent again.
    pub held_expires: Option<DateTime<Utc>>,
    /// The text field that the vendor holds now, to be given back where a change of it does not hold.
    pub held_note: Option<Box<str>>,
}

/// An entry to take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The vendor's handle.
    pub id: Box<str>,
    /// Its value.
    pub value: Value,
}

/// One call's worth of changes of one sort, at most [`Capabilities::write_batch`] or
/// [`Capabilities::remove_batch`] long, never empty.
#[derive(Clone, Copy, Debug)]
pub enum Batch<'a> {
    /// New entries.
    Add(&'a [Write]),
    /// Changed entries; every one has an id.
    Update(&'a [Write]),
    /// Entries to take away.
    Remove(&'a [Removal]),
}

impl Batch<'_> {
    /// How many changes.
    pub fn len(&self) -> usize {
        match self {
            Self::Add(writes) | Self::Update(writes) => writes.len(),
            Self::Remove(removals) => removals.len(),
        }
    }

    /// Never true for what the executor sends.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of one change.
#[derive(Debug)]
pub enum Outcome {
    /// The vendor says it is done. For removals also: it was gone already.
    Done,
    /// The vendor refused this one, and would again; its own words.
    Rejected(String),
    /// Not applied because of others in its batch; may be sent again without those. Where a vendor
    /// refuses a whole batch without naming the bad rows, every row gets this and the SDK splits.
    NotApplied(String),
    /// Somebody has it already: an addition met an entry that was not in the listing.
    Exists,
    /// Not applied, for a reason that is not the row's.
    Failed(Error),
    /// The answer never came: it may have been applied. The SDK settles it by looking.
    Unknown(Error),
}

/// Why a value is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The mechanism does not take this kind or this shape of it (a network, a port, a wildcard).
    Unsupported(Cow<'static, str>),
}

impl Rejection {
    /// An unsupported kind or shape.
    pub const fn unsupported(message: &'static str) -> Self {
        Self::Unsupported(Cow::Borrowed(message))
    }
}

/// One mechanism on one device.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a vendor target",
    note = "implement `sdk::target::Target`; `sdk/README.md` shows the methods"
)]
#[async_trait::async_trait]
pub trait Target: Send + Sync {
    /// What the mechanism can do. Static: no call is made.
    fn capabilities(&self) -> &Capabilities;

    /// Which device and mechanism this is.
    fn key(&self) -> &TargetKey;

    /// Logs in where needed and finds out what a run cannot do without: version, limits, clock, the
    /// container's owner. Every run pays for it, so it makes no call that only a person would read. A
    /// device below the version that the mechanism needs is an [`crate::ErrorKind::Unsupported`] error
    /// with a hint.
    async fn open(&self) -> Result<Facts>;

    /// What `check` looks at after [`Target::open`]: rights, limits, what is missing on the vendor's
    /// side, in the order of looking. Changes nothing. A right that is missing is a finding; an error is
    /// a vendor that does not answer.
    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>>;

    /// The form in which the vendor will return this value when listed, or why it is not taken. Pure.
    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection>;

    /// What the vendor holds, entries of others included as far as [`Capabilities::foreign`] says.
    /// Complete, or an error; always an error where nothing is shown ([`Foreign::Unseen`]).
    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>>;

    /// Applies one batch; one outcome per row, in the same order.
    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome>;

    /// What it logs in with, where the vendor locks out whoever is refused too often: what was refused is then kept
    /// in mind, and not sent by the next run. `None` where wrong credentials do no harm.
    fn login(&self) -> Option<Login> {
        None
    }

    /// The staging side, where changes are stored first and enforced by a commit.
    fn staged(&self) -> Option<&dyn Staged> {
        None
    }

    /// The side that replaces entries, where one call can.
    fn replacing(&self) -> Option<&dyn Replacing> {
        None
    }

    /// Calls made so far, for the report.
    fn calls(&self) -> Calls {
        Calls::default()
    }

    /// Ends what [`Target::open`] began, for instance a session, after everything that a run asked. What goes
    /// wrong here is nobody's concern.
    async fn close(&self) {}
}

/// Vendors with a call that takes entries away and puts others in their place, so that nobody ever sees the one
/// without the other.
#[async_trait::async_trait]
pub trait Replacing: Send + Sync {
    /// Does both in one call, however many there are: one outcome per write, then one per removal, each in the same
    /// order. The writes are what is left of networks that the removals take away. What one call cannot hold is
    /// [`Outcome::NotApplied`] and is sent again, perhaps without any removal. Where there is no room for the result,
    /// all of it fails as [`crate::ErrorKind::Full`].
    async fn replace(&self, writes: &[Write], removals: &[Removal]) -> Vec<Outcome>;
}

/// Vendors that store changes first and enforce them by a commit.
#[async_trait::async_trait]
pub trait Staged: Send + Sync {
    /// What a commit would enforce now; `None` where everything stored is enforced. Where a commit enforces
    /// our changes alone, those of others are not part of it.
    async fn pending(&self) -> Result<Option<Pending>>;

    /// Enforces what is stored; waits until the vendor says so. A refusal that stays one is an error
    /// other than [`crate::ErrorKind::Unavailable`] and [`crate::ErrorKind::RateLimited`]: what was stored is
    /// then dropped if the vendor can.
    async fn commit(&self) -> Result<()>;

    /// Drops what we stored and nobody enforced. `false` where the vendor has no way to do that: what is
    /// pending is then named in the report.
    async fn discard(&self) -> Result<bool>;

    /// When to commit, as configured.
    fn activate(&self) -> Activate {
        Activate::Always
    }

    /// What enforces stored changes without our commit, in words for people; `None` where nothing does.
    fn enforced_anyway(&self) -> Option<&'static str> {
        None
    }

    /// Connector and account of the [`TargetKey`], joined by `:`, where a commit enforces what any mechanism and
    /// device of the account stored: these then work one at a time, and owe a commit together. `None` where what is
    /// stored belongs to this target alone.
    fn shared(&self) -> Option<String> {
        None
    }
}

/// What is stored and not enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whether all of it is ours; `None` where the vendor does not tell.
    pub ours: Option<bool>,
    /// What the vendor says of it: whose, since when, how much.
    pub what: String,
}

/// When stored changes are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activate {
    /// After every run that stored something, whatever else is pending.
    #[default]
    Always,
    /// Unless changes that are not ours were pending before our first write.
    Own,
    /// Never by us: somebody else does it.
    Never,
}

/// Calls made to a vendor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls that change nothing, logins included.
    pub read: u64,
    /// Calls that may change something.
    pub write: u64,
    /// Repetitions among them.
    pub retried: u64,
}
