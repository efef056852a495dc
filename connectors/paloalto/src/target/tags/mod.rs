//! `tags`: registered addresses. No commit, a timeout of the device's own, and no text field; what we write beside the
//! tag that blocks is in `codec`.

mod codec;
mod examine;
mod message;
mod model;
mod rewrite;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, Effect, EndKnownBy, Facts, Finding, Foreign,
    Granularity, Held, KindSupport, NativeEnd, Outcome, Proof, Rejection, Removal, Scope, Target,
    TargetKey, Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use self::codec::{Slot, Tag, Writing};
use self::message::{Complaint, Complaints, Message};
use self::rewrite::{Rewrite, spelled, taken};
use super::connection::{Connection, Version, parse_version};
use crate::api;
use crate::config::Config;

/// Timeouts exist from here on.
const LEAST: Version = (9, 0, 0);

/// Networks are taken from here on.
const NETWORKS: Version = (10, 0, 0);

/// The longest timeout that the device takes, in seconds.
const LONGEST: i64 = 2_592_000;

pub(crate) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "tags",
    summary: "registered addresses with tags of ours, for a dynamic address group in a deny rule: at work at once, no \
              commit, ended by the device itself",
    kinds: &[
        KindSupport {
            kind: Kind::Ipv4,
            effect: Effect::Prevent,
            networks: true,
            matches_below: false,
        },
        KindSupport {
            kind: Kind::Ipv6,
            effect: Effect::Prevent,
            networks: false,
            matches_below: false,
        },
    ],
    end_known_by: EndKnownBy::Mark,
    native_end: Some(NativeEnd {
        unit: Duration::from_secs(1),
        max: Some(Duration::from_secs(LONGEST as u64)),
        max_by_kind: &[],
        deletes: Some(true),
    }),
    proof: Proof::Mark {
        max_length: codec::MAX_NOTE,
    },
    foreign: Foreign::Listed,
    granularity: Granularity::Row,
    write_batch: 500,
    remove_batch: 500,
    list_page: api::REGISTERED_PAGE,
    lookup_batch: 1,
    capacity: None,
    staged: false,
    rate: &[],
    rights: &["XML API: User-ID Agent", "XML API: Operational Requests"],
};

/// Registered addresses of one virtual system.
pub(crate) struct Tags {
    connection: Connection,
    key: TargetKey,
    base: String,
    /// Most registered addresses, as configured.
    capacity: Option<usize>,
    memory: Mutex<Memory>,
}

/// What the last listing showed: a removal names its tags one by one.
#[derive(Default)]
struct Memory {
    ours: HashMap<Box<str>, Vec<Tag>>,
    /// How many addresses the table holds, others' included.
    total: Option<usize>,
    /// How many it can hold.
    capacity: Option<usize>,
}

impl Tags {
    pub(crate) fn new(config: &Config, connection: Connection, key: TargetKey) -> Self {
        Self {
            connection,
            key,
            base: config.tag.clone(),
            capacity: config.capacity,
            memory: Mutex::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one row of the table. `None` where nothing of it is of this mechanism.
    fn held(&self, address: &str, tags: &[Tag]) -> Option<Held> {
        let value = message::value(address)?;
        let slots = taken(tags);
        let mut writings = BTreeSet::new();
        let mut marks: Vec<&str> = Vec::new();
        for tag in tags {
            match tag {
                Tag::Slot(_) => {}
                Tag::Mark(writing, mark) => {
                    writings.insert(*writing);
                    // Without a slot nothing is left of what was adopted: it is an entry of ours like any other.
                    if !(slots.is_empty() && mark.starts_with("cordon-was:")) {
                        marks.push(mark);
                    }
                }
                Tag::Words(writing, ..) => {
                    writings.insert(*writing);
                }
            }
        }
        if slots.is_empty() && marks.is_empty() {
            return None;
        }
        let last = writings
            .iter()
            .filter(|writing| slots.contains(&writing.slot))
            .max_by_key(|writing| (writing.end.is_none(), writing.end))
            .or_else(|| writings.last());
        let words = tags.iter().filter_map(|tag| match tag {
            Tag::Words(writing, number, text) if Some(writing) == last => {
                Some((*number, text.as_str()))
            }
            _ => None,
        });
        let note = codec::note(marks.into_iter(), words);
        Some(Held {
            id: address.into(),
            value,
            note: (!note.is_empty()).then(|| note.into()),
            expires: last.and_then(|writing| writing.end),
            container: None,
            blocks: !slots.is_empty(),
            allows: false,
            conforms: slots.len() == 1
                && writings.len() <= 1
                && last.is_none_or(|writing| slots.contains(&writing.slot)),
            writable: true,
        })
    }

    /// Seconds from now to an end; whole, at least 1 and at most the vendor's longest. A timeout is a time span: the
    /// device counts it from when it gets it, whatever its own clock says.
    fn timeout(&self, end: Option<DateTime<Utc>>) -> Option<i64> {
        let left = end? - self.connection.client.clock().now();
        let seconds = left.num_seconds() + i64::from(left.subsec_nanos() > 0);
        Some(seconds.clamp(1, LONGEST))
    }

    /// Sends a message; nothing to send is nothing to complain of.
    async fn send(&self, message: &Message, what: &str) -> Result<Complaints> {
        if message.is_empty() {
            return Ok(Complaints::new());
        }
        let request = api::user_id(&self.connection.place, message.document());
        message::complaints(self.connection.ask(request, what).await?, what)
    }

    async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        let slot = Slot::A;
        let (total, capacity) = {
            let memory = self.memory();
            (memory.total, memory.capacity)
        };
        let room = capacity.zip(total).map_or(usize::MAX, |(capacity, total)| {
            capacity.saturating_sub(total)
        });
        let mut message = Message::default();
        let mut prepared = Vec::with_capacity(writes.len());
        for write in writes.iter().take(room) {
            let writing = Writing {
                slot,
                end: write.expires,
            };
            let tags = codec::write(&write.note, &self.base, writing);
            if let Some(tags) = &tags {
                // What blocks goes last: without its mark it would be nobody's.
                let mut all = tags.clone();
                all.push(slot.tag(&self.base));
                message.register(
                    &message::address(&write.value),
                    &all,
                    self.timeout(write.expires),
                );
            }
            prepared.push(tags);
        }
        let complaints = match self.send(&message, "registering addresses").await {
            Ok(complaints) => complaints,
            Err(error) => return all_failed(writes.len(), &error),
        };
        self.take_back(writes, &prepared, &complaints).await;
        let doubled = complaints.values().any(|(it, _)| *it == Complaint::Exists);
        let full = self.is_full(&complaints).await;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(writes.len());
        for (write, tags) in writes.iter().zip(&prepared) {
            outcomes.push(match (tags, complaints.get(&write.value)) {
                (None, _) => too_long(),
                (_, Some((Complaint::Exists, _))) => Outcome::Exists,
                (_, Some((Complaint::NotRegistered, text))) if full => {
                    Outcome::Failed(no_room().with("answer", text))
                }
                (_, Some((_, text))) => Outcome::Rejected(text.clone()),
                // One reading of the documents is that nothing is applied beside a double.
                (_, None) if doubled => Outcome::Unknown(beside_a_double()),
                (_, None) => Outcome::Done,
            });
        }
        let sent = outcomes
            .iter()
            .filter(|it| matches!(it, Outcome::Done))
            .count();
        let lost = match self.counted(total, sent, capacity).await {
            Ok(lost) => lost,
            Err(error) => Some(error),
        };
        if let Some(error) = lost {
            let text = error.to_string();
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Done) {
                    *outcome = Outcome::Unknown(
                        Error::new(ErrorKind::Unavailable, text.clone()).unknown_fate(),
                    );
                }
            }
        }
        outcomes.resize_with(writes.len(), || Outcome::Failed(no_room()));
        outcomes
    }

    /// Where the device's limit is not known, a device that is full may say nothing: whether the table grew by what
    /// was sent.
    async fn counted(
        &self,
        before: Option<usize>,
        sent: usize,
        capacity: Option<usize>,
    ) -> Result<Option<Error>> {
        let Some(before) = before else {
            return Ok(None);
        };
        self.memory().total = Some(before + sent);
        if capacity.is_some() || sent == 0 {
            return Ok(None);
        }
        let now = table::count(&self.connection).await?;
        self.memory().total = Some(now);
        Ok((now < before + sent).then(|| {
            Error::new(
                ErrorKind::Unavailable,
                format!(
                    "{sent} addresses were registered, and the table holds {now} after {before}"
                ),
            )
        }))
    }

    /// Takes back what was registered of an addition that was refused. Where somebody else registered our tag since the
    /// listing, that tag is left to him. Where our own words were there already, another run of the same owner wrote the
    /// same at the same time: without them nobody could take its entry away.
    async fn take_back(
        &self,
        writes: &[Write],
        prepared: &[Option<Vec<String>>],
        complaints: &Complaints,
    ) {
        let slot = Slot::A.tag(&self.base);
        let mut message = Message::default();
        for (write, tags) in writes.iter().zip(prepared) {
            let (Some(tags), Some((complaint, text))) = (tags, complaints.get(&write.value)) else {
                continue;
            };
            let ours_already = tags.iter().any(|tag| text.contains(tag.as_str()));
            let slot = match complaint {
                Complaint::Exists if ours_already => continue,
                Complaint::Exists => None,
                Complaint::Other if !message::tells_double(text) => Some(&slot),
                Complaint::Other => None,
                Complaint::Absent | Complaint::NotRegistered => continue,
            };
            let address = message::address(&write.value);
            for tag in slot.into_iter().chain(tags) {
                message.unregister(&address, tag);
            }
        }
        if let Err(error) = self.send(&message, "taking back tags").await {
            tracing::warn!(%error, "tags of refused additions were left behind until the next run");
        }
    }

    /// Whether the device refused addresses because its table is full, as far as its limit is known.
    async fn is_full(&self, complaints: &Complaints) -> bool {
        let capacity = self.memory().capacity;
        let refused = complaints
            .values()
            .any(|(complaint, _)| *complaint == Complaint::NotRegistered);
        match capacity {
            Some(capacity) if refused => table::count(&self.connection)
                .await
                .is_ok_and(|count| count >= capacity),
            _ => false,
        }
    }

    async fn update(&self, writes: &[Write]) -> Vec<Outcome> {
        let rewrites: Vec<Option<Rewrite>> = {
            let memory = self.memory();
            writes
                .iter()
                .map(|write| {
                    let id = write.id.as_deref()?;
                    Rewrite::new(write, memory.ours.get(id)?, &self.base)
                })
                .collect()
        };
        let rows = || {
            writes
                .iter()
                .zip(&rewrites)
                .filter_map(|(write, rewrite)| Some((write, rewrite.as_ref()?)))
        };
        // A slot must be free; the other one goes on blocking meanwhile.
        let mut free = Message::default();
        for (write, rewrite) in rows() {
            if let Some(slot) = rewrite.free {
                free.unregister(id(write), &slot.tag(&self.base));
            }
        }
        if let Err(error) = self.send(&free, "freeing a tag").await {
            return all_failed(writes.len(), &error);
        }
        let mut register = Message::default();
        for (write, rewrite) in rows() {
            register.register(id(write), &rewrite.register, self.timeout(write.expires));
        }
        let complaints = match self.send(&register, "registering tags").await {
            Ok(complaints) => complaints,
            Err(error) => return all_failed(writes.len(), &error),
        };
        let doubled = complaints.values().any(|(it, _)| *it == Complaint::Exists);
        let mut outcomes: Vec<Outcome> = writes
            .iter()
            .zip(&rewrites)
            .map(
                |(write, rewrite)| match (rewrite, complaints.get(&write.value)) {
                    (None, _) => too_long(),
                    (_, Some((Complaint::Exists, _))) => Outcome::Unknown(beside_a_double()),
                    (_, Some((_, text))) => Outcome::Rejected(text.clone()),
                    (_, None) if doubled => Outcome::Unknown(beside_a_double()),
                    (_, None) => Outcome::Done,
                },
            )
            .collect();
        // What was written before goes only where the new writing stands.
        let mut old = Message::default();
        for ((write, rewrite), outcome) in writes.iter().zip(&rewrites).zip(&outcomes) {
            if let (Some(rewrite), Outcome::Done) = (rewrite, outcome) {
                for tag in &rewrite.unregister {
                    old.unregister(id(write), tag);
                }
            }
        }
        if let Err(error) = self.judge_removal(&old).await {
            let text = error.to_string();
            for outcome in &mut outcomes {
                if matches!(outcome, Outcome::Done) {
                    *outcome =
                        Outcome::Unknown(Error::new(error.kind(), text.clone()).unknown_fate());
                }
            }
        }
        outcomes
    }

    /// Sends removals of tags; complaints about what is not there are none.
    async fn judge_removal(&self, message: &Message) -> Result<Complaints> {
        let mut complaints = self.send(message, "unregistering tags").await?;
        complaints.retain(|_, (complaint, _)| *complaint != Complaint::Absent);
        Ok(complaints)
    }

    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let mut message = Message::default();
        {
            let memory = self.memory();
            for removal in removals {
                let tags = memory.ours.get(&removal.id).map_or(&[][..], Vec::as_slice);
                for tag in spelled(tags, &self.base) {
                    message.unregister(&removal.id, &tag);
                }
            }
        }
        match self.judge_removal(&message).await {
            Ok(complaints) => {
                let outcomes: Vec<Outcome> = removals
                    .iter()
                    .map(|removal| match complaints.get(&removal.value) {
                        Some((_, text)) => Outcome::Rejected(text.clone()),
                        None => Outcome::Done,
                    })
                    .collect();
                let done = outcomes
                    .iter()
                    .filter(|it| matches!(it, Outcome::Done))
                    .count();
                let mut memory = self.memory();
                memory.total = memory.total.map(|total| total.saturating_sub(done));
                outcomes
            }
            Err(error) => all_failed(removals.len(), &error),
        }
    }
}

fn id(write: &Write) -> &str {
    write.id.as_deref().unwrap_or_default()
}

fn too_long() -> Outcome {
    Outcome::Rejected("a mark does not fit into a tag, or the entry was not listed".to_owned())
}

fn no_room() -> Error {
    Error::new(ErrorKind::Full, "the table of registered addresses is full").hint(
        "the limit is the model's; use `edl` for long lists, or find out who else registers addresses",
    )
}

fn beside_a_double() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "another tag in the same message was registered meanwhile, and the device may have left the rest",
    )
    .unknown_fate()
}

/// The same error for every row.
fn all_failed(count: usize, error: &Error) -> Vec<Outcome> {
    (0..count).map(|_| super::outcome_of(error)).collect()
}

#[async_trait]
impl Target for Tags {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let system = self.connection.system_from(LEAST, "tags").await?;
        let capacity = self.capacity.or_else(|| model::by_model(&system.model));
        self.memory().capacity = capacity;
        Ok(Facts {
            version: Some(system.version_text),
            vendor_time: system.time,
            capacity: capacity
                .map(|limit| CapacityPool {
                    kinds: vec![Kind::Ipv4, Kind::Ipv6],
                    limit,
                })
                .into_iter()
                .collect(),
            ..Facts::default()
        })
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        examine::examine(self, facts).await
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        let version = facts.version.as_deref().and_then(parse_version);
        match value {
            Value::Ipv4(network) => {
                if network.prefix_len() < 32 && version.is_none_or(|version| version < NETWORKS) {
                    return Err(Rejection::unsupported(
                        "PAN-OS registers networks from 10.0 on",
                    ));
                }
                Ok(value.clone())
            }
            Value::Ipv6(network) if network.prefix_len() < 128 => {
                Err(Rejection::unsupported("PAN-OS registers no IPv6 networks"))
            }
            Value::Ipv6(_) => Ok(value.clone()),
            _ => Err(Rejection::unsupported("only addresses can be registered")),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let found = match scope {
            Scope::Values(values) if table::is_worth_looking_up(values) => {
                let mut rows = Vec::new();
                for value in values {
                    let address = message::address(value);
                    rows.extend(table::look_up(&self.connection, &address, &self.base).await?);
                }
                rows
            }
            _ => {
                let read = table::read(&self.connection, &self.base).await?;
                let mut memory = self.memory();
                memory.total = Some(read.total);
                memory.ours.clear();
                read.rows
            }
        };
        let mut held = Vec::with_capacity(found.len());
        let mut memory = self.memory();
        for (address, tags) in found {
            held.extend(self.held(&address, &tags));
            memory.ours.insert(address, tags);
        }
        drop(memory);
        if let Scope::Values(values) = scope {
            held.retain(|entry| values.contains(&entry.value));
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => self.add(writes).await,
            Batch::Update(writes) => self.update(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
        }
    }

    fn calls(&self) -> Calls {
        self.connection.calls()
    }
}
