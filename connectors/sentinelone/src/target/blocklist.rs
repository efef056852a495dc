//! The blocklist as a target. The console holds one entry for each hash, system and scope; for us the
//! entries of a hash that carry our mark are one, whose handle lists their ids.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use sdk::http::{Request, Response};
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity, Held,
    KindSupport, Outcome, Proof, Rejection, Removal, Scope, Target, TargetKey, Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::{CUT, Console, NOTE_LIMIT, RATE, again, is_about_rows};
use crate::api::restrictions::{self, Row, Written};
use crate::api::{self, Affected};
use crate::config::{Config, OsType};

pub(super) const VIEW: &str = "Blacklist.view";
const CREATE: &str = "Blacklist.create";
const EDIT: &str = "Blacklist.edit";
const DELETE: &str = "Blacklist.delete";

/// Hashes per delete: each has up to four entries, and a delete takes 5,000 ids.
const HASHES_PER_DELETE: usize = 1_000;

const fn hash(kind: Kind) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks: false,
        matches_below: false,
    }
}

/// What the blocklist can do.
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "blocklist",
    summary: "the blocklist: prevents files by hash, one entry per operating system",
    kinds: &[hash(Kind::Sha1), hash(Kind::Sha256)],
    end_known_by: EndKnownBy::Mark,
    native_end: None,
    proof: Proof::Mark {
        max_length: NOTE_LIMIT,
    },
    foreign: Foreign::Listed,
    granularity: Granularity::Row,
    write_batch: 1,
    remove_batch: HASHES_PER_DELETE,
    // A page of 1,000 entries, three for each hash.
    list_page: api::PAGE / 3,
    // Asking for a SHA-256 by value is not documented.
    lookup_batch: 0,
    capacity: None,
    staged: false,
    rate: RATE,
    rights: &[VIEW, CREATE, EDIT, DELETE],
};

/// The blocklist of one place.
pub(super) struct Blocklist {
    console: Console,
    os_types: Vec<OsType>,
    capabilities: Capabilities,
}

/// What became of one entry that was sent.
enum Sent {
    /// It is there as it was sent.
    Stored,
    /// There is an entry already.
    Exists,
    /// The console refused it, in these words.
    Refused(String),
    /// The console cut its mark: an id.
    Cut(String),
}

/// Stands with their number in the handle of entries that carry the marks of several owners.
const OWNERS: &str = "owners-";

/// Entries of one handle.
pub(crate) type Entries = Vec<(OsType, String)>;

impl Blocklist {
    pub(super) fn new(console: Console, config: &Config) -> Self {
        Self {
            console,
            os_types: config.os_types.clone(),
            capabilities: Capabilities {
                list_page: api::PAGE / config.os_types.len().max(1),
                ..CAPABILITIES.clone()
            },
        }
    }

    async fn rows(&self) -> Result<Vec<Row>> {
        let page =
            |cursor: Option<&str>| restrictions::page(&self.console.place, api::PAGE, cursor);
        self.console.all("the blocklist", VIEW, page).await
    }

    /// What the entries are for us.
    fn held(&self, rows: &[Row]) -> Result<Vec<Held>> {
        let mut entries: Vec<(Value, OsType, &Row)> = Vec::with_capacity(rows.len());
        for row in rows {
            if row.id.is_empty() || row.id.contains([',', ':']) {
                return Err(
                    Error::protocol("a blocklist entry has an id that is none").with("id", &row.id)
                );
            }
            if let Some(os) = row.os() {
                entries.extend(row.values().map(|value| (value, os, row)));
            }
        }
        entries.sort_by(|a, b| (&a.0, a.1, &a.2.id).cmp(&(&b.0, b.1, &b.2.id)));
        let mut held = Vec::new();
        for group in entries.chunk_by(|a, b| a.0 == b.0) {
            self.held_of(group, &mut held);
        }
        Ok(held)
    }

    /// What the entries of one hash are for us.
    fn held_of(&self, group: &[(Value, OsType, &Row)], held: &mut Vec<Held>) {
        let Some((value, ..)) = group.first() else {
            return;
        };
        let text = |row: &Row| row.description.clone().unwrap_or_default();
        let (ours, foreign): (Vec<_>, Vec<_>) = group
            .iter()
            .partition(|(value, _, row)| !self.console.note(&text(row), value).marks.is_empty());
        let covered: BTreeSet<OsType> = group.iter().map(|(_, os, _)| *os).collect();
        let complete = self.os_types.iter().all(|os| covered.contains(os));
        if !ours.is_empty() {
            let texts: BTreeSet<String> = ours.iter().map(|(_, _, row)| text(row)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let note = self.console.merged(&texts, value);
            let owners = self.console.note(&note, value).marks.len();
            let surplus = ours.iter().any(|(_, os, _)| !self.os_types.contains(os));
            let mut id = handle(&ours);
            if owners > 1 {
                id = format!("{id},{OWNERS}{owners}").into();
            }
            held.push(Held {
                id,
                value: value.clone(),
                note: Some(note.into()),
                expires: None,
                container: None,
                blocks: true,
                allows: false,
                conforms: complete && texts.len() == 1 && (owners > 1 || !surplus),
                writable: true,
            });
        } else if !complete {
            // Somebody else blocks it on a part of the systems only. That must not keep it from the
            // others: ours goes beside it.
            return;
        }
        let mut foreign = foreign;
        foreign.sort_by_key(|(_, os, row)| (text(row), *os));
        for same in foreign.chunk_by(|a, b| a.2.description == b.2.description) {
            let by_user = |row: &Row| row.source.as_deref().is_none_or(|source| source == "user");
            held.push(Held {
                id: handle(same),
                value: value.clone(),
                note: same
                    .first()
                    .and_then(|(_, _, row)| row.description.as_deref().map(Into::into)),
                expires: None,
                container: None,
                blocks: true,
                allows: false,
                conforms: false,
                // What the vendor or an incident put there is not for us to describe anew, and writing one hash
                // of an entry that has two might lose the other.
                writable: same
                    .iter()
                    .all(|(_, _, row)| by_user(row) && row.values().count() == 1),
            });
        }
    }

    async fn create(&self, write: &Write, os: OsType) -> Result<Sent> {
        let request = restrictions::create(&self.console.place, &write.value, os, &write.note);
        let response = self.console.client.send(request).await?;
        let sent = self.sent("the blocklist's new entry", CREATE, write, &response)?;
        if let Sent::Cut(id) = &sent {
            let request = restrictions::delete(std::slice::from_ref(id));
            self.take_back(request, DELETE).await?;
        }
        Ok(sent)
    }

    async fn change(&self, write: &Write, os: OsType, id: &str) -> Result<Sent> {
        let request = restrictions::change(id, &write.value, os, &write.note);
        let response = self.console.client.send(request).await?;
        let sent = self.sent("the blocklist's changed entry", EDIT, write, &response)?;
        if let Sent::Cut(id) = &sent {
            // It was there before, for whom its text names.
            let words = || self.console.note(&write.note, &write.value).rest.into();
            let text = write.held_note.clone().unwrap_or_else(words);
            let request = restrictions::change(id, &write.value, os, &text);
            self.take_back(request, EDIT).await?;
        }
        Ok(sent)
    }

    /// Undoes a write whose mark was cut: nobody could prove later that the entry is ours.
    async fn take_back(&self, request: Request, right: &str) -> Result<()> {
        let response = self.console.client.send(request).await?;
        api::read::<serde::de::IgnoredAny>("taking the entry back", right, &response).map(drop)
    }

    fn sent(&self, what: &str, right: &str, write: &Write, response: &Response) -> Result<Sent> {
        if is_about_rows(response.status) {
            let exists = |error: &api::VendorError| error.code == Some(restrictions::EXISTS);
            return Ok(if api::errors(response).iter().any(exists) {
                Sent::Exists
            } else {
                Sent::Refused(api::vendor_text(response))
            });
        }
        if response.status != StatusCode::OK {
            return Err(api::refusal(what, right, response));
        }
        if !api::errors(response).is_empty() {
            return Ok(Sent::Refused(api::vendor_text(response)));
        }
        let answer: api::Answer<Written> = response.json(what)?;
        let Some(row) = answer.data.and_then(Written::into_row) else {
            return Err(Error::protocol(format!(
                "{what}: an answer without the entry"
            )));
        };
        if self
            .console
            .is_intact(&write.note, row.description.as_deref(), &write.value)
        {
            return Ok(Sent::Stored);
        }
        Ok(Sent::Cut(row.id))
    }

    /// Adds a hash on every system.
    async fn add(&self, write: &Write) -> Outcome {
        let mut row = RowTally::default();
        for os in &self.os_types {
            match self.create(write, *os).await {
                Ok(sent) => row.note(*os, sent),
                Err(error) => return row.failed(error),
            }
        }
        row.outcome()
    }

    /// Changes the entries of a hash, adds what is missing, and takes away what is no longer wanted.
    async fn update(&self, write: &Write) -> Outcome {
        let handle = write.id.as_deref().unwrap_or_default();
        let mut row = RowTally::default();
        let whole = !write.note_and_end_only;
        let owners = self.console.note(&write.note, &write.value).marks.len();
        let before = owners_of(handle);
        // Of what several owners want, each knows only its own systems, also one that lets go of it.
        let shared = owners > 1 || before > 1;
        let (kept, surplus): (Entries, Entries) = entries(handle)
            .into_iter()
            .partition(|(os, _)| !whole || shared || self.os_types.contains(os));
        for (os, id) in &kept {
            match self.change(write, *os, id).await {
                Ok(sent) => row.note(*os, sent),
                Err(error) => return row.failed(error),
            }
        }
        let wanted = whole && owners >= before;
        let missing = |os: &&OsType| wanted && kept.iter().all(|(known, _)| known != *os);
        for os in self.os_types.iter().filter(missing) {
            match self.create(write, *os).await {
                // Somebody else's covers this system.
                Ok(Sent::Exists) => row.note(*os, Sent::Stored),
                Ok(sent) => row.note(*os, sent),
                Err(error) => return row.failed(error),
            }
        }
        if !surplus.is_empty() {
            let ids: Vec<String> = surplus.into_iter().map(|(_, id)| id).collect();
            match self.delete(&ids).await {
                Ok(Deleted::All) => {}
                Ok(Deleted::Refused(text)) => return Outcome::Rejected(text),
                Ok(Deleted::Fewer(error)) | Err(error) => return Outcome::Failed(error),
            }
        }
        row.outcome()
    }

    async fn delete(&self, ids: &[String]) -> Result<Deleted> {
        let what = "the blocklist's removal";
        let mut fewer = None;
        for ids in ids.chunks(restrictions::MOST_IDS) {
            let response = self.console.client.send(restrictions::delete(ids)).await?;
            if is_about_rows(response.status) {
                return Ok(Deleted::Refused(api::vendor_text(&response)));
            }
            let answer: api::Answer<Affected> = api::read(what, DELETE, &response)?;
            let affected = answer.data.unwrap_or_default().affected.unwrap_or_default();
            if affected < ids.len() as u64 {
                fewer = Some(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "{what}: the console says it removed {affected} of {} entries",
                        ids.len()
                    ),
                ));
            }
        }
        Ok(fewer.map_or(Deleted::All, Deleted::Fewer))
    }

    /// Takes hashes away on every system.
    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let all: Vec<Entries> = removals
            .iter()
            .map(|removal| entries(&removal.id))
            .collect();
        let ids: Vec<String> = all.iter().flatten().map(|(_, id)| id.clone()).collect();
        let done = || removals.iter().map(|_| Outcome::Done).collect();
        match self.delete(&ids).await {
            Ok(Deleted::All) => done(),
            Ok(Deleted::Refused(text)) => super::refused_batch(removals.len(), &text),
            Err(error) => super::everywhere(removals.len(), &error),
            // The count says not which: what is gone was removed, by us or by somebody before.
            Ok(Deleted::Fewer(error)) => match self.rows().await {
                Ok(rows) => {
                    let there: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
                    let outcome = |entries: &Entries| {
                        if entries.iter().any(|(_, id)| there.contains(id.as_str())) {
                            Outcome::Failed(again(&error))
                        } else {
                            Outcome::Done
                        }
                    };
                    all.iter().map(outcome).collect()
                }
                Err(looking) => {
                    let error = again(&error).with("looking", looking);
                    super::everywhere(removals.len(), &error)
                }
            },
        }
    }
}

/// What became of a delete.
enum Deleted {
    /// All of it.
    All,
    /// The console counts fewer than were asked for.
    Fewer(Error),
    /// Refused as a whole, in these words.
    Refused(String),
}

/// What became of the entries of one hash.
#[derive(Default)]
struct RowTally {
    stored: Vec<OsType>,
    exist: Vec<OsType>,
    refused: Vec<(OsType, String)>,
}

impl RowTally {
    fn note(&mut self, os: OsType, sent: Sent) {
        match sent {
            Sent::Stored => self.stored.push(os),
            Sent::Exists => self.exist.push(os),
            Sent::Refused(text) => self.refused.push((os, text)),
            Sent::Cut(_) => self.refused.push((os, CUT.to_owned())),
        }
    }

    /// A call that did not end well. Its fate is left to the next run, which sees what is missing: looking
    /// would take one of several entries for all.
    fn failed(&self, error: Error) -> Outcome {
        Outcome::Failed(if self.stored.is_empty() {
            error
        } else {
            error.with("stored already on", names(&self.stored))
        })
    }

    fn outcome(self) -> Outcome {
        if let Some((_, text)) = self.refused.first() {
            let systems: Vec<OsType> = self.refused.iter().map(|(os, _)| *os).collect();
            let mut message = format!("on {}: {text}", names(&systems));
            if !self.stored.is_empty() {
                message.push_str(&format!(" (stored on {})", names(&self.stored)));
            }
            return Outcome::Rejected(message);
        }
        if self.stored.is_empty() && !self.exist.is_empty() {
            Outcome::Exists
        } else {
            Outcome::Done
        }
    }
}

fn names(systems: &[OsType]) -> String {
    let names: Vec<&str> = systems.iter().map(|os| os.name()).collect();
    names.join(", ")
}

/// The handle of entries: system and id of each.
fn handle(entries: &[&(Value, OsType, &Row)]) -> Box<str> {
    let parts: Vec<String> = entries
        .iter()
        .map(|(_, os, row)| format!("{}:{}", os.name(), row.id))
        .collect();
    parts.join(",").into()
}

/// How many owners the entries of a handle have.
fn owners_of(handle: &str) -> usize {
    let mut parts = handle
        .split(',')
        .filter_map(|part| part.strip_prefix(OWNERS));
    parts.next().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The entries of a handle.
pub(crate) fn entries(handle: &str) -> Entries {
    let entry = |part: &str| {
        let (os, id) = part.split_once(':')?;
        Some((OsType::by_name(os)?, id.to_owned()))
    };
    handle.split(',').filter_map(entry).collect()
}

#[async_trait]
impl Target for Blocklist {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn key(&self) -> &TargetKey {
        &self.console.key
    }

    async fn open(&self) -> Result<Facts> {
        self.console.open().await
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut report = self.console.examine().await?;
        report.blocklist(&self.console, &self.os_types).await?;
        Ok(report.into_findings())
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        match value {
            Value::Sha1(_) | Value::Sha256(_) => Ok(value.clone()),
            Value::Md5(_) => Err(Rejection::unsupported("the blocklist takes no MD5")),
            _ => Err(Rejection::unsupported("the blocklist takes hashes only")),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let mut held = self.held(&self.rows().await?)?;
        if let Scope::Values(values) = scope {
            let wanted: BTreeSet<&Value> = values.iter().collect();
            held.retain(|held| wanted.contains(&held.value));
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(batch.len());
        match batch {
            Batch::Add(writes) => {
                for write in writes {
                    outcomes.push(self.add(write).await);
                }
            }
            Batch::Update(writes) => {
                for write in writes {
                    outcomes.push(self.update(write).await);
                }
            }
            Batch::Remove(removals) => outcomes = self.remove(removals).await,
        }
        outcomes
    }

    fn calls(&self) -> Calls {
        self.console.client.calls()
    }
}
