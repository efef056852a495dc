//! Threat intelligence indicators as a target. The console calls an indicator by a uuid that may change
//! when it is written again, and may then keep the old one beside it; for us all indicators of a value
//! that carry our mark are one, whose handle is the value.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity, Held,
    KindSupport, NativeEnd, Outcome, Proof, Rejection, Removal, Scope, Target, TargetKey,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::{Console, NOTE_LIMIT, RATE, everywhere, lacks_account, refused_batch};
use crate::api::iocs::{self, Row};
use crate::api::{self, Affected};
use crate::config::Config;

mod write;

pub(super) const VIEW: &str = "Threat Intelligence.view";
const MANAGE: &str = "Threat Intelligence.manage";

/// Indicators that fit into a scope, about.
pub(super) const CAPACITY: usize = 1_000_000;
/// Calls that looking one value up takes.
const CALLS_PER_LOOKUP: usize = 2;
/// So many are made without knowing whether the whole listing takes fewer.
const FEW_CALLS: usize = 6;
/// Uuids per delete: fewer than the 5,000 that are documented.
const PER_DELETE: usize = 1_000;

const DAY: u64 = 24 * 60 * 60;
const MONTH: Duration = Duration::from_secs(30 * DAY);
const HALF_YEAR: Duration = Duration::from_secs(180 * DAY);

const fn detects(kind: Kind) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Detect,
        networks: false,
        matches_below: false,
    }
}

/// What indicators can do.
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "ioc",
    summary: "threat intelligence indicators: only detects; addresses for 30 days and the rest for 180, \
              renewed in time",
    kinds: &[
        detects(Kind::Ipv4),
        detects(Kind::Ipv6),
        detects(Kind::Domain),
        detects(Kind::Url),
        detects(Kind::Md5),
        detects(Kind::Sha1),
        detects(Kind::Sha256),
    ],
    // The console's own end is a shortened one; the true one stands in the mark.
    end_known_by: EndKnownBy::Mark,
    native_end: Some(NativeEnd {
        unit: Duration::from_secs(1),
        max: Some(HALF_YEAR),
        max_by_kind: &[(Kind::Ipv4, MONTH), (Kind::Ipv6, MONTH)],
        deletes: None,
    }),
    proof: Proof::Mark {
        max_length: NOTE_LIMIT,
    },
    // Other sources have rows of their own.
    foreign: Foreign::Coexists,
    granularity: Granularity::Row,
    write_batch: 500,
    remove_batch: PER_DELETE,
    list_page: api::PAGE,
    lookup_batch: 1,
    capacity: Some(CAPACITY),
    staged: false,
    rate: RATE,
    rights: &[VIEW, MANAGE],
};

/// What the console holds for a value under our source.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Ours, one or more.
    uuids: Vec<String>,
    /// Under our source without our mark: somebody else's.
    stranger: bool,
}

/// The indicators of one place.
pub(super) struct Iocs {
    console: Console,
    source: String,
    severity: Option<u8>,
    capabilities: Capabilities,
    /// What the last listings and our own writes tell of the uuids of each value.
    known: Mutex<HashMap<Value, Known>>,
    /// Calls that the last whole listing took.
    pages: AtomicUsize,
}

impl Iocs {
    pub(super) fn new(console: Console, config: &Config) -> Result<Self> {
        if lacks_account(&console.place) {
            return Err(Error::config(format!(
                "sentinelone: account_ids is missing for {}",
                console.place.name()
            ))
            .hint("the console lists and deletes indicators of sites and groups by their account only"));
        }
        Ok(Self {
            source: config.source(&console.installation),
            severity: config.severity,
            capabilities: Capabilities {
                write_batch: config.batch,
                ..CAPABILITIES.clone()
            },
            known: Mutex::default(),
            pages: AtomicUsize::new(1),
            console,
        })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Value, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that our source has here.
    async fn everything(&self) -> Result<Vec<Held>> {
        let page = |cursor: Option<&str>| iocs::page(&self.console.place, &self.source, cursor);
        let before = self.console.client.calls().read;
        let rows: Vec<Row> = self.console.all("the indicators", VIEW, page).await?;
        let calls = self.console.client.calls().read.saturating_sub(before);
        self.pages.store(
            usize::try_from(calls).unwrap_or(1).max(1),
            Ordering::Relaxed,
        );
        self.known().clear();
        self.held(rows)
    }

    /// What our source has with certain values.
    async fn looked_up(&self, values: &[Value]) -> Result<Vec<Held>> {
        let mut rows: Vec<Row> = Vec::new();
        for value in values {
            self.known().remove(value);
            for request in iocs::lookups(&self.console.place, &self.source, value) {
                let response = self.console.client.send(request).await?;
                let answer: api::Answer<Vec<Row>> = api::read("an indicator", VIEW, &response)?;
                let more = answer
                    .pagination
                    .and_then(|pagination| pagination.next_cursor);
                if more.is_some_and(|cursor| !cursor.is_empty()) {
                    // More than a page for one value: let the listing sort it out.
                    let mut held = self.everything().await?;
                    held.retain(|held| values.contains(&held.value));
                    return Ok(held);
                }
                rows.extend(answer.data.unwrap_or_default());
            }
        }
        rows.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        rows.dedup_by(|a, b| a.uuid == b.uuid);
        let mut held = self.held(rows)?;
        held.retain(|held| values.contains(&held.value));
        Ok(held)
    }

    /// The value that a row stands for, and whether it carries our mark for it. Our own handle goes before
    /// what the console shows, which may be spelled anew.
    fn value(&self, row: &Row) -> Option<(Value, bool)> {
        let text = row.description.as_deref().unwrap_or_default();
        let marked = |value: &Value| !self.console.note(text, value).marks.is_empty();
        if let Some(value) = row.own_value().filter(&marked) {
            return Some((value, true));
        }
        let value = row.shown_value()?;
        let ours = marked(&value);
        Some((value, ours))
    }

    fn held(&self, rows: Vec<Row>) -> Result<Vec<Held>> {
        let mut groups: BTreeMap<Value, Vec<Row>> = BTreeMap::new();
        let mut held = Vec::new();
        for row in rows {
            if !row.is_of(&self.console.place)? {
                continue;
            }
            let Some((value, ours)) = self.value(&row) else {
                continue;
            };
            if ours {
                groups.entry(value).or_default().push(row);
                continue;
            }
            self.known().entry(value.clone()).or_default().stranger = true;
            held.push(self.one(&value, &[row], false)?);
        }
        for (value, rows) in groups {
            held.push(self.one(&value, &rows, true)?);
            let uuids = rows.into_iter().map(|row| row.uuid).collect();
            self.known().entry(value).or_default().uuids = uuids;
        }
        Ok(held)
    }

    fn one(&self, value: &Value, rows: &[Row], ours: bool) -> Result<Held> {
        let mut texts: Vec<&str> = rows
            .iter()
            .filter_map(|row| row.description.as_deref())
            .collect();
        texts.sort_unstable();
        texts.dedup();
        let mut end: Option<DateTime<Utc>> = None;
        for row in rows {
            end = end.max(row.end()?);
        }
        let now = self.console.client.vendor_time();
        let ended = matches!((end, now), (Some(end), Some(now)) if end <= now);
        let severity = |row: &Row| self.severity.is_none() || row.severity == self.severity;
        let handle = value.to_string();
        Ok(Held {
            id: if ours {
                format!("{}={handle}", value.kind()).into()
            } else {
                rows.first()
                    .map_or_else(|| handle.into(), |row| row.uuid.as_str().into())
            },
            value: value.clone(),
            note: (!texts.is_empty()).then(|| self.console.merged(&texts, value).into()),
            expires: end,
            container: None,
            blocks: !ended,
            allows: false,
            conforms: ours && rows.len() == 1 && rows.iter().all(severity),
            writable: true,
        })
    }

    /// How many indicators all sources have here, if the console says.
    pub(super) async fn count(&self) -> Result<Option<u64>> {
        let request = iocs::count(&self.console.place);
        let response = self.console.client.send(request).await?;
        let answer: api::Answer<serde::de::IgnoredAny> =
            api::read("the number of indicators", VIEW, &response)?;
        Ok(answer
            .pagination
            .and_then(|pagination| pagination.total_items))
    }

    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let values: Vec<&Value> = removals.iter().map(|removal| &removal.value).collect();
        self.take_away(&values).await
    }

    /// Takes values away, by the uuids that they have now.
    async fn take_away(&self, values: &[&Value]) -> Vec<Outcome> {
        let missing = {
            let known = self.known();
            values.iter().any(|value| !known.contains_key(*value))
        };
        // Only a caller that did not list before comes here without uuids.
        if missing && let Err(error) = self.everything().await {
            return everywhere(values.len(), &error);
        }
        let uuids: Vec<String> = {
            let known = self.known();
            let of = |value: &&Value| known.get(*value).map(|known| known.uuids.clone());
            values.iter().filter_map(of).flatten().collect()
        };
        match self.delete(&uuids).await {
            Ok(affected) if affected >= uuids.len() as u64 => {
                let mut known = self.known();
                for value in values {
                    known.remove(*value);
                }
                values.iter().map(|_| Outcome::Done).collect()
            }
            // The count says not which: what is gone was removed, by us or by somebody before.
            Ok(affected) => {
                let error = Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "the console says it removed {affected} of {} indicators",
                        uuids.len()
                    ),
                );
                everywhere(values.len(), &error.unknown_fate())
            }
            Err(error) if error.kind() == ErrorKind::Rejected => {
                refused_batch(values.len(), error.message())
            }
            Err(error) => everywhere(values.len(), &error),
        }
    }

    /// Deletes uuids and says how many went; an unknown one only lowers the count.
    async fn delete(&self, uuids: &[String]) -> Result<u64> {
        let mut total = 0;
        for uuids in uuids.chunks(iocs::MOST_UUIDS) {
            let request = iocs::delete(&self.console.place, uuids);
            let response = self.console.client.send(request).await?;
            let answer: api::Answer<Affected> =
                api::read("the removal of indicators", MANAGE, &response)?;
            total += answer.data.unwrap_or_default().affected.unwrap_or_default();
        }
        Ok(total)
    }
}

#[async_trait]
impl Target for Iocs {
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
        report.iocs(self).await?;
        Ok(report.into_findings())
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        const HOSTS: Rejection =
            Rejection::unsupported("indicators are single addresses, not networks");
        match value {
            Value::Ipv4(network) if network.prefix_len() < 32 => Err(HOSTS),
            Value::Ipv6(network) if network.prefix_len() < 128 => Err(HOSTS),
            value => Ok(value.clone()),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        match scope {
            Scope::All => self.everything().await,
            // Beyond so many, the whole listing takes fewer of the 30 calls a minute.
            Scope::Values(values)
                if values.len() * CALLS_PER_LOOKUP
                    > self.pages.load(Ordering::Relaxed).max(FEW_CALLS) =>
            {
                let wanted: HashSet<&Value> = values.iter().collect();
                let mut held = self.everything().await?;
                held.retain(|held| wanted.contains(&held.value));
                Ok(held)
            }
            Scope::Values(values) => self.looked_up(values).await,
        }
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => self.add(writes).await,
            Batch::Update(writes) => self.update(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
        }
    }

    fn calls(&self) -> Calls {
        self.console.client.calls()
    }
}

impl Iocs {
    pub(super) fn console(&self) -> (&super::Client, &crate::config::Place) {
        (&self.console.client, &self.console.place)
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }
}
