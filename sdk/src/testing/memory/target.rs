//! The memory vendor's client.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};

use super::{Lie, MemoryVendor, Row, Shelf, Strike, carries_marks};
use crate::error::{Error, ErrorKind, Result};
use crate::indicator::Value;
use crate::ownership::Owner;
use crate::target::{
    Activate, Batch, Calls, Capabilities, CapacityPool, Facts, Finding, Foreign, Held, Level,
    Outcome, Pending, Proof, Rejection, Removal, Scope, Staged, Target, TargetKey, Write,
};

/// A client of a [`MemoryVendor`].
pub struct MemoryTarget {
    vendor: MemoryVendor,
    owner: Owner,
    key: TargetKey,
    read: AtomicU64,
    write: AtomicU64,
}

/// What is said of one row, or of the whole batch.
enum Verdict {
    Done,
    Rejected(String),
    Exists,
    Full,
}

impl MemoryTarget {
    pub(super) fn new(vendor: MemoryVendor, owner: Owner) -> Self {
        let flavour = vendor.flavour();
        let mut account = flavour.name.replace([' ', ','], "-");
        if flavour.named_containers {
            account.push('-');
            account.push_str(owner.as_str());
        }
        let key = TargetKey {
            connector: "memory",
            account,
            mechanism: flavour.capabilities.mechanism,
            device: String::new(),
        };
        Self {
            vendor,
            owner,
            key,
            read: AtomicU64::new(0),
            write: AtomicU64::new(0),
        }
    }

    async fn reading(&self, name: &'static str) -> Result<()> {
        self.read.fetch_add(1, Ordering::Relaxed);
        let strike = self.vendor.strike(name);
        on_the_way().await;
        match strike {
            Strike::Pass => Ok(()),
            _ => Err(unreachable_error()),
        }
    }

    fn lies(&self, lie: Lie) -> bool {
        self.vendor.flavour().lie == Some(lie)
    }

    /// Whether the mechanism's own listing shows this row.
    fn shows(&self, row: &Row, asked: bool) -> bool {
        let flavour = self.vendor.flavour();
        if row.foreign {
            match flavour.capabilities.foreign {
                Foreign::Listed => true,
                Foreign::LookedUp => asked,
                Foreign::Coexists | Foreign::Unseen => false,
            }
        } else {
            !flavour.named_containers || row.container.as_ref() == Some(&self.owner)
        }
    }

    fn held(&self, id: u64, row: &Row) -> Held {
        let proof = self.vendor.flavour().capabilities.proof;
        Held {
            id: id.to_string().into(),
            value: row.value.clone(),
            note: carries_marks(proof).then(|| row.note.as_str().into()),
            expires: row.expires,
            container: row.container.clone(),
            blocks: self.vendor.acts(row),
            allows: row.allows,
            conforms: row.armed && !row.allows && !self.lies(Lie::NeverConforms),
            writable: true,
        }
    }

    /// Why the vendor refuses what was sent, if it does.
    fn objection(&self, shelf: &Shelf, write: &Write, now: DateTime<Utc>) -> Option<String> {
        let capabilities = &self.vendor.flavour().capabilities;
        if shelf.refused.contains(&write.value) {
            return Some("this value is not acceptable".to_owned());
        }
        if let Proof::Mark { max_length } = capabilities.proof
            && write.note.chars().count() > max_length
        {
            return Some(format!(
                "the description is longer than {max_length} characters"
            ));
        }
        match (write.expires, capabilities.native_end) {
            (Some(_), None) => Some("this product has no expiry".to_owned()),
            (Some(end), Some(_)) if end <= now => Some("the expiry has passed".to_owned()),
            (Some(end), Some(native)) => {
                let longest = native.max_for(write.value.kind())? + native.unit;
                ((end - now).to_std().unwrap_or_default() > longest)
                    .then(|| "the expiry is too far away".to_owned())
            }
            (None, _) => None,
        }
    }

    fn row(&self, write: &Write) -> Row {
        let flavour = self.vendor.flavour();
        let keeps_note = carries_marks(flavour.capabilities.proof) && !self.lies(Lie::DropsNotes);
        Row {
            value: write.value.clone(),
            note: if keeps_note {
                write.note.clone()
            } else {
                String::new()
            },
            expires: write.expires.map(|end| self.vendor.rounded(end)),
            container: flavour.named_containers.then(|| self.owner.clone()),
            foreign: false,
            armed: true,
            allows: false,
        }
    }

    fn add(&self, shelf: &mut Shelf, write: &Write, now: DateTime<Utc>) -> Verdict {
        if let Some(objection) = self.objection(shelf, write, now) {
            return Verdict::Rejected(objection);
        }
        let row = self.row(write);
        let coexists = self.vendor.flavour().capabilities.foreign == Foreign::Coexists;
        let twin = shelf.rows.values().any(|other| {
            other.value == row.value
                && (!coexists || (!other.foreign && other.container == row.container))
        });
        if twin {
            return Verdict::Exists;
        }
        if shelf
            .capacity
            .is_some_and(|limit| shelf.rows.len() >= limit)
        {
            return Verdict::Full;
        }
        for _ in 0..if self.lies(Lie::AddsTwice) { 2 } else { 1 } {
            let id = shelf.next;
            shelf.next += 1;
            shelf.rows.insert(id, row.clone());
        }
        Verdict::Done
    }

    fn update(&self, shelf: &mut Shelf, write: &Write, now: DateTime<Utc>) -> Verdict {
        if self.vendor.flavour().capabilities.foreign == Foreign::Unseen {
            return match self.add(shelf, write, now) {
                Verdict::Exists => Verdict::Done,
                verdict => verdict,
            };
        }
        if let Some(objection) = self.objection(shelf, write, now) {
            return Verdict::Rejected(objection);
        }
        let Some(id) = write.id.as_deref().and_then(|id| id.parse().ok()) else {
            return Verdict::Rejected("an update needs an id".to_owned());
        };
        let mut row = self.row(write);
        match shelf.rows.get_mut(&id) {
            Some(held) if held.value != row.value => {
                Verdict::Rejected("the value of an entry cannot be changed".to_owned())
            }
            Some(held) if write.note_and_end_only => {
                held.note = row.note;
                held.expires = row.expires;
                Verdict::Done
            }
            Some(held) => {
                row.foreign = held.foreign;
                *held = row;
                Verdict::Done
            }
            None => Verdict::Rejected("no such entry".to_owned()),
        }
    }

    fn remove(&self, shelf: &mut Shelf, removal: &Removal) -> Verdict {
        let id: Option<u64> = removal.id.parse().ok();
        if self.lies(Lie::KeepsRemoved) {
            return Verdict::Done;
        }
        if let Some(id) = id {
            shelf.rows.remove(&id);
        }
        if self.vendor.flavour().capabilities.foreign == Foreign::Unseen {
            shelf.rows.retain(|_, row| row.value != removal.value);
        }
        if self.lies(Lie::RemovesForeign)
            && let Some((&other, _)) = shelf.rows.iter().find(|(_, row)| row.foreign)
        {
            shelf.rows.remove(&other);
        }
        Verdict::Done
    }

    fn verdicts(&self, shelf: &mut Shelf, batch: Batch<'_>) -> Vec<Verdict> {
        let now = self.vendor.0.clock.now();
        match batch {
            Batch::Add(writes) => writes
                .iter()
                .map(|write| self.add(shelf, write, now))
                .collect(),
            Batch::Update(writes) => writes
                .iter()
                .map(|write| self.update(shelf, write, now))
                .collect(),
            Batch::Remove(removals) => removals
                .iter()
                .map(|removal| self.remove(shelf, removal))
                .collect(),
        }
    }

    fn most(&self, batch: &Batch<'_>) -> usize {
        let capabilities = &self.vendor.flavour().capabilities;
        let most = match batch {
            Batch::Add(_) | Batch::Update(_) => capabilities.write_batch,
            Batch::Remove(_) => capabilities.remove_batch,
        };
        if self.lies(Lie::SmallerBatch) {
            most - 1
        } else {
            most
        }
    }

    fn outcomes(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let most = self.most(&batch);
        if batch.len() > most {
            let refusal = || Outcome::Rejected(format!("more than {most} entries in one request"));
            return std::iter::repeat_with(refusal).take(batch.len()).collect();
        }
        let mut shelf = self.vendor.shelf();
        self.vendor.sweep(&mut shelf);
        let before = self.vendor.flavour().atomic.then(|| shelf.rows.clone());
        let verdicts = self.verdicts(&mut shelf, batch);
        if let Some(before) = before
            && verdicts
                .iter()
                .any(|verdict| !matches!(verdict, Verdict::Done))
        {
            shelf.rows = before;
            return verdicts
                .iter()
                .map(|_| Outcome::NotApplied("the request holds a bad row".into()))
                .collect();
        }
        shelf.pending |= self.vendor.staged();
        verdicts.into_iter().map(outcome).collect()
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Done => Outcome::Done,
        Verdict::Rejected(why) => Outcome::Rejected(why),
        Verdict::Exists => Outcome::Exists,
        Verdict::Full => Outcome::Failed(Error::new(ErrorKind::Full, "no room for another entry")),
    }
}

/// The answer takes a moment: a process can die while it waits for one that says that all is done.
async fn on_the_way() {
    tokio::task::yield_now().await;
}

fn unreachable_error() -> Error {
    Error::new(ErrorKind::Unavailable, "the memory vendor is not reachable")
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection broke").unknown_fate()
}

#[async_trait::async_trait]
impl Target for MemoryTarget {
    fn capabilities(&self) -> &Capabilities {
        &self.vendor.flavour().capabilities
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        self.reading("open").await?;
        let kinds = |limit| CapacityPool {
            kinds: self
                .capabilities()
                .kinds
                .iter()
                .map(|support| support.kind)
                .collect(),
            limit,
        };
        Ok(Facts {
            version: Some("1".to_owned()),
            vendor_time: Some(self.vendor.0.clock.now()),
            capacity: self
                .vendor
                .shelf()
                .capacity
                .map(kinds)
                .into_iter()
                .collect(),
            container: self
                .vendor
                .flavour()
                .named_containers
                .then(|| self.owner.clone()),
            unavailable: Vec::new(),
        })
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        self.reading("examine").await?;
        let entries = self.vendor.shelf().rows.len();
        Ok(vec![Finding {
            level: Level::Ok,
            subject: "entries".into(),
            message: format!("it holds {entries} entries"),
            hint: None,
        }])
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        let Some(support) = self.capabilities().kind(value.kind()) else {
            return Err(Rejection::unsupported("this kind is not taken"));
        };
        if !support.networks && is_network(value) {
            return Err(Rejection::unsupported("networks are not taken"));
        }
        Ok(value.clone())
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        self.reading("list").await?;
        if self.vendor.flavour().capabilities.foreign == Foreign::Unseen {
            return Err(Error::new(ErrorKind::Unsupported, "nothing is shown here"));
        }
        let mut shelf = self.vendor.shelf();
        self.vendor.sweep(&mut shelf);
        let mut held: Vec<Held> = shelf
            .rows
            .iter()
            .filter(|(_, row)| match scope {
                Scope::All => self.shows(row, false),
                Scope::Values(values) => values.contains(&row.value) && self.shows(row, true),
            })
            .map(|(&id, row)| self.held(id, row))
            .collect();
        if self.lies(Lie::ListsShort) {
            held.pop();
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let name = match batch {
            Batch::Add(_) => "add",
            Batch::Update(_) => "update",
            Batch::Remove(_) => "remove",
        };
        self.write.fetch_add(1, Ordering::Relaxed);
        let all = |make: fn() -> Outcome| std::iter::repeat_with(make).take(batch.len()).collect();
        let outcomes = match self.vendor.strike(name) {
            Strike::Pass => self.outcomes(batch),
            Strike::BreakAfter => {
                self.outcomes(batch);
                all(|| Outcome::Unknown(lost()))
            }
            Strike::BreakBefore => all(|| Outcome::Unknown(lost())),
            Strike::Dead => all(|| Outcome::Failed(unreachable_error())),
        };
        on_the_way().await;
        outcomes
    }

    fn staged(&self) -> Option<&dyn Staged> {
        self.vendor.staged().then_some(self as &dyn Staged)
    }

    fn calls(&self) -> Calls {
        Calls {
            read: self.read.load(Ordering::Relaxed),
            write: self.write.load(Ordering::Relaxed),
            retried: 0,
        }
    }
}

#[async_trait::async_trait]
impl Staged for MemoryTarget {
    async fn pending(&self) -> Result<Option<Pending>> {
        self.reading("pending").await?;
        Ok(self.vendor.shelf().pending.then(|| Pending {
            ours: None,
            what: "somebody stored something".to_owned(),
        }))
    }

    async fn commit(&self) -> Result<()> {
        self.write.fetch_add(1, Ordering::Relaxed);
        let strike = self.vendor.strike("commit");
        if self.vendor.shelf().refuses_commit {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the vendor does not enforce this",
            ));
        }
        if strike == Strike::Pass || strike == Strike::BreakAfter {
            let mut shelf = self.vendor.shelf();
            if !self.lies(Lie::CommitsNothing) {
                shelf.active = shelf.rows.clone();
            }
            shelf.pending = false;
        }
        on_the_way().await;
        match strike {
            Strike::Pass => Ok(()),
            Strike::Dead => Err(unreachable_error()),
            Strike::BreakBefore | Strike::BreakAfter => Err(lost()),
        }
    }

    async fn discard(&self) -> Result<bool> {
        self.write.fetch_add(1, Ordering::Relaxed);
        if self.vendor.strike("discard") != Strike::Pass {
            return Err(unreachable_error());
        }
        let mut shelf = self.vendor.shelf();
        shelf.rows = shelf.active.clone();
        shelf.pending = false;
        Ok(true)
    }

    fn activate(&self) -> Activate {
        self.vendor.shelf().activate
    }
}

fn is_network(value: &Value) -> bool {
    match value {
        Value::Ipv4(net) => net.prefix_len() < 32,
        Value::Ipv6(net) => net.prefix_len() < 128,
        _ => false,
    }
}
