//! IOC rules: they raise alerts and stop nothing. An IOC is known by its value, its comment carries our mark, and
//! the vendor removes it at its end.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sdk::http::Response;
use sdk::indicator::{Kind, Value};
use sdk::ownership::Note;
use sdk::target::{
    Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity, Held,
    KindSupport, Level, NativeEnd, Outcome, Proof, Rejection, Removal, Scope, Target, TargetKey,
    Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};
use serde_json::{Value as Json, json};

use super::api::{self, Ioc, NewIoc, PAGE};
use super::rule::{
    NO_END, end, number_of, plain_severity, shows_no_comment, sort, spelling, value,
};
use super::tenant::Tenant;

/// Most IOCs in one call that writes: the API's limit is not documented, other clients send as many. A tenant that
/// takes fewer says so, and gets halves.
const BATCH: usize = 1_000;
/// Most values in one filter, so that their entries fit one page.
const LOOKUP: usize = PAGE;
/// Characters that we write into a comment. Its true limit is not documented.
const COMMENT: usize = 256;
/// How often a listing begins anew when entries moved while it was read.
const TRIES: usize = 3;
const SEVERITIES: [&str; 5] = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"];
const REPUTATION: &str = "BAD";

const fn detects(kind: Kind) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Detect,
        networks: false,
        matches_below: false,
    }
}

/// What the mechanism can do.
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "xdr-ioc",
    summary: "Cortex XDR's IOC rules: only detect",
    kinds: &[
        detects(Kind::Ipv4),
        detects(Kind::Ipv6),
        detects(Kind::Domain),
        detects(Kind::Md5),
        detects(Kind::Sha256),
    ],
    end_known_by: EndKnownBy::Mark,
    native_end: Some(NativeEnd {
        unit: Duration::from_secs(1),
        max: None,
        max_by_kind: &[],
        deletes: Some(true),
    }),
    proof: Proof::Mark {
        max_length: COMMENT,
    },
    foreign: Foreign::Listed,
    granularity: Granularity::Row,
    write_batch: BATCH,
    remove_batch: 1,
    list_page: PAGE,
    lookup_batch: LOOKUP,
    capacity: Some(4_000_000),
    staged: false,
    rate: &[],
    rights: &["Rules: View/Edit (older tenants: Instance Administrator)"],
};

/// The severity to write; `HIGH` unless configured.
pub(super) fn severity(configured: Option<&str>) -> Result<&'static str> {
    let wanted = configured.unwrap_or("HIGH").to_ascii_uppercase();
    SEVERITIES
        .into_iter()
        .find(|known| *known == wanted)
        .ok_or_else(|| {
            Error::config("`severity` is not one of Cortex XDR's")
                .hint(format!("one of {}", SEVERITIES.join(", ")))
        })
}

/// The IOC rules of one tenant.
#[derive(Debug)]
pub(super) struct Iocs {
    tenant: Tenant,
    key: TargetKey,
    severity: &'static str,
    installation: String,
    /// Handles of rules that were switched off when last listed.
    disabled: Mutex<HashSet<Box<str>>>,
}

impl Iocs {
    pub(super) fn new(tenant: Tenant, severity: &'static str, installation: &str) -> Self {
        Self {
            key: tenant.target_key(CAPABILITIES.mechanism),
            tenant,
            severity,
            installation: installation.to_owned(),
            disabled: Mutex::default(),
        }
    }

    fn disabled(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.disabled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every IOC, or those with these values.
    async fn read(&self, values: Option<&[String]>) -> Result<Vec<Ioc>> {
        for _ in 0..TRIES {
            if let Some(iocs) = self.read_once(values).await? {
                return Ok(iocs);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the IOC list changed each time it was read",
        )
        .hint("run again later"))
    }

    /// `None` if entries moved while it was read. Every page begins with the entry that the page before ended with:
    /// if another one stands there, entries came or went before it, and one may have slipped by.
    async fn read_once(&self, values: Option<&[String]>) -> Result<Option<Vec<Ioc>>> {
        let mut all: Vec<Ioc> = Vec::new();
        let mut seen: HashSet<i64> = HashSet::new();
        loop {
            let from = all.len().saturating_sub(1);
            let response = self.tenant.send(api::page(from, values)).await?;
            let page = self.page(&response)?;
            let mut rows = page.objects.into_iter();
            if let Some(last) = all.last() {
                match rows.next() {
                    Some(first) if first.rule_id == last.rule_id => {}
                    _ => return Ok(None),
                }
            }
            let before = all.len();
            for row in rows {
                if !seen.insert(row.rule_id) {
                    return Ok(None);
                }
                all.push(row);
            }
            // A value has one entry: when each of those asked for was found there is nothing behind.
            let found_all = values.is_some_and(|values| all.len() >= values.len());
            if all.len() == before || found_all {
                return Ok(Some(all));
            }
        }
    }

    fn page(&self, response: &Response) -> Result<api::Page> {
        if api::status(response) != 200 {
            return Err(self.tenant.failure("indicators/get", response));
        }
        response.json("cortex xdr's IOC list")
    }

    /// The IOCs with these values. Where none of them has a comment, the whole list tells whether any would be shown.
    async fn look_up(&self, values: &[String]) -> Result<Vec<Ioc>> {
        let found = self.read_some(values).await?;
        if shows_no_comment(&found) {
            self.read_all().await?;
        }
        Ok(found)
    }

    /// Every IOC.
    ///
    /// # Errors
    /// A tenant that shows no comment on any of them.
    async fn read_all(&self) -> Result<Vec<Ioc>> {
        let all = self.read(None).await?;
        if shows_no_comment(&all) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the tenant's IOC list shows no comments, and nothing else could prove what is ours",
            )
            .hint(
                "nothing was changed; if the tenant does show comments, give one IOC a comment in the console",
            ));
        }
        Ok(all)
    }

    async fn insert(&self, iocs: &[NewIoc]) -> Vec<Outcome> {
        let response = match self.tenant.send(api::insert(iocs)).await {
            Ok(response) => response,
            Err(error) => return spread(&error, iocs.len()),
        };
        let words = || api::words(&response);
        match api::status(&response) {
            200 => match api::inserted(&response) {
                Some(told) => rows(iocs, told),
                None => iocs
                    .iter()
                    .map(|_| {
                        Outcome::Unknown(
                            Error::protocol("the answer does not say what became of the rows")
                                .unknown_fate(),
                        )
                    })
                    .collect(),
            },
            400 | 413 if iocs.len() > 1 => {
                iocs.iter().map(|_| Outcome::NotApplied(words())).collect()
            }
            400 | 413 => vec![Outcome::Rejected(words())],
            _ => spread(
                &self.tenant.failure("indicators/insert_jsons", &response),
                iocs.len(),
            ),
        }
    }

    async fn update(&self, writes: &[Write]) -> Vec<Outcome> {
        let given_back: Vec<String> = writes
            .iter()
            .filter(|write| write.note_and_end_only)
            .map(spelled)
            .collect();
        let theirs: HashMap<String, Ioc> = match self.read_some(&given_back).await {
            Ok(iocs) => iocs
                .into_iter()
                .map(|ioc| (ioc.rule_id.to_string(), ioc))
                .collect(),
            Err(error) => return spread(&error, writes.len()),
        };
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(writes.len());
        let mut iocs = Vec::new();
        for write in writes {
            let id = write.id.as_deref().unwrap_or_default();
            let outcome = if write.note_and_end_only {
                match theirs.get(number_of(id)) {
                    Some(ioc) => {
                        iocs.push(as_theirs(write, ioc));
                        None
                    }
                    None => Some(Outcome::Failed(Error::new(
                        ErrorKind::Conflict,
                        "somebody took the entry away meanwhile",
                    ))),
                }
            } else {
                // A rule that is switched off stays so when it is written again, if that is taken at all.
                let stays = if self.disabled().contains(id) {
                    Some(self.delete(&spelled(write), id).await)
                        .filter(|outcome| !matches!(outcome, Outcome::Done))
                } else {
                    None
                };
                if stays.is_none() {
                    iocs.push(self.ours(write));
                }
                stays
            };
            outcomes.push(outcome);
        }
        let mut inserted = if iocs.is_empty() {
            Vec::new()
        } else {
            self.insert(&iocs).await
        }
        .into_iter();
        outcomes
            .into_iter()
            .map(|outcome| {
                outcome.or_else(|| inserted.next()).unwrap_or_else(|| {
                    Outcome::Failed(Error::internal("an update without an outcome"))
                })
            })
            .collect()
    }

    async fn read_some(&self, values: &[String]) -> Result<Vec<Ioc>> {
        let mut found = Vec::new();
        for values in values.chunks(LOOKUP) {
            found.extend(self.read(Some(values)).await?);
        }
        Ok(found)
    }

    async fn delete(&self, indicator: &str, id: &str) -> Outcome {
        let response = match self.tenant.send(api::delete(indicator)).await {
            Ok(response) => response,
            Err(error) if error.is_fate_unknown() => return Outcome::Unknown(error),
            Err(error) => return Outcome::Failed(error),
        };
        match api::status(&response) {
            200 => {
                self.disabled().remove(id);
                Outcome::Done
            }
            400 => Outcome::Rejected(api::words(&response)),
            _ => Outcome::Failed(self.tenant.failure("indicators/delete", &response)),
        }
    }

    fn ours(&self, write: &Write) -> NewIoc {
        NewIoc {
            indicator: spelled(write),
            sort: sort(write.value.kind()),
            severity: self.severity.to_owned(),
            expiration_date: json!(write.expires.map_or(NO_END, |end| end.timestamp_millis())),
            comment: write.note.clone(),
            reputation: Some(REPUTATION.to_owned()),
            reliability: None,
            vendors: None,
            class: None,
        }
    }

    fn held(&self, ioc: Ioc) -> Option<Held> {
        let value = value(&ioc)?;
        let blocks = ioc
            .status
            .as_deref()
            .is_none_or(|status| status.eq_ignore_ascii_case("ENABLED"));
        let severity = ioc.severity.as_deref().map(plain_severity);
        let conforms = severity.is_none_or(|severity| severity == self.severity)
            && ioc
                .reputation
                .as_deref()
                .is_none_or(|reputation| reputation == REPUTATION);
        let canonical = value.to_string();
        let id = if canonical == ioc.indicator {
            ioc.rule_id.to_string()
        } else {
            format!("{} {}", ioc.rule_id, ioc.indicator)
        };
        let note: Option<Box<str>> = match ioc.comment {
            Some(Json::String(text)) if !text.is_empty() => Some(text.into()),
            _ => None,
        };
        let marks = Note::read(
            note.as_deref().unwrap_or_default(),
            &self.installation,
            &value,
        )
        .marks;
        Some(Held {
            id: id.into(),
            value,
            note,
            expires: end(&ioc.expiration_date, &marks),
            container: None,
            blocks,
            allows: ioc.reputation.as_deref() == Some("GOOD"),
            conforms,
            writable: true,
        })
    }
}

/// The outcomes of rows whose call was answered row by row. A `success` of true says nothing of the rows.
fn rows(iocs: &[NewIoc], told: api::Inserted) -> Vec<Outcome> {
    let errors = told.validation_errors.unwrap_or_default();
    let known: HashSet<&str> = iocs.iter().map(|ioc| ioc.indicator.as_str()).collect();
    let unplaced = errors
        .iter()
        .find(|error| !known.contains(error.indicator.as_str()));
    let by_value: HashMap<&str, &str> = errors
        .iter()
        .map(|error| (error.indicator.as_str(), error.error.as_str()))
        .collect();
    iocs.iter()
        .map(|ioc| match by_value.get(ioc.indicator.as_str()) {
            Some(words) if words.to_ascii_lowercase().contains("already exists") => Outcome::Exists,
            Some(words) => Outcome::Rejected((*words).to_owned()),
            None => match unplaced {
                Some(error) => Outcome::Unknown(
                    Error::protocol("the vendor complains of a row that was not sent")
                        .with("row", &error.indicator)
                        .with("answer", &error.error)
                        .unknown_fate(),
                ),
                None if told.success => Outcome::Done,
                None => Outcome::NotApplied("the vendor says that the call failed".to_owned()),
            },
        })
        .collect()
}

/// One error for every row.
fn spread(error: &Error, count: usize) -> Vec<Outcome> {
    (0..count)
        .map(|_| {
            let mut copy = Error::new(error.kind(), error.to_string()).retry(error.retry_status());
            if let Some(hint) = error.hint_text() {
                copy = copy.hint(hint);
            }
            if error.is_fate_unknown() {
                Outcome::Unknown(copy.unknown_fate())
            } else {
                Outcome::Failed(copy)
            }
        })
        .collect()
}

/// Somebody else's IOC with our comment and end, and all that is theirs as it was.
fn as_theirs(write: &Write, ioc: &Ioc) -> NewIoc {
    let expiration_date = match (write.expires, ioc.default_expiration_enabled) {
        (Some(end), _) => json!(end.timestamp_millis()),
        (None, Some(true)) => Json::Null,
        (None, _) => ioc.expiration_date.clone(),
    };
    NewIoc {
        indicator: ioc.indicator.clone(),
        sort: sort(write.value.kind()),
        severity: ioc
            .severity
            .as_deref()
            .map_or("MEDIUM", plain_severity)
            .to_owned(),
        expiration_date,
        comment: write.note.clone(),
        reputation: ioc.reputation.clone(),
        reliability: ioc.reliability.clone(),
        vendors: ioc.vendors.clone().filter(|vendors| !vendors.is_null()),
        class: ioc.class.clone(),
    }
}

fn spelled(write: &Write) -> String {
    spelling(write.id.as_deref().unwrap_or_default(), &write.value)
}

#[async_trait]
impl Target for Iocs {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        self.tenant.open().await
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut findings = self.tenant.findings();
        let told = |subject: &'static str, message: String| Finding {
            level: Level::Ok,
            subject: subject.into(),
            message,
            hint: None,
        };
        let response = self.tenant.send(api::page(0, None)).await?;
        if api::status(&response) == 200 {
            let page = self.page(&response)?;
            let judged = if shows_no_comment(&page.objects) {
                self.read_all().await.map(|_| ())
            } else {
                Ok(())
            };
            match judged {
                Ok(()) => findings.push(told(
                    "ioc list",
                    format!(
                        "readable, comments shown; {} of up to {PAGE} on the first page",
                        page.objects.len()
                    ),
                )),
                Err(error) => findings.push(Finding {
                    level: Level::Missing,
                    subject: "ioc list".into(),
                    message: error.to_string(),
                    hint: error.hint_text().map(str::to_owned),
                }),
            }
        } else {
            findings.push(
                self.tenant
                    .missing("ioc list", "indicators/get", &response)?,
            );
        }
        findings.push(told(
            "ioc write right",
            "not tested, only a write would show it: the key's role needs Rules: View/Edit, the tenant a \
             licence of Pro"
                .to_owned(),
        ));
        findings.push(told(
            "limits",
            "4000000 IOCs a tenant; a rule is switched off after 5000 hits in 24 hours; call rate not \
             documented"
                .to_owned(),
        ));
        findings.push(told("effect", "alerts only, nothing is stopped".to_owned()));
        Ok(findings)
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        match value {
            Value::Ipv4(net) if net.prefix_len() == 32 => Ok(value.clone()),
            Value::Ipv6(net) if net.prefix_len() == 128 => Ok(value.clone()),
            Value::Ipv4(_) | Value::Ipv6(_) => {
                Err(Rejection::unsupported("IOC rules take no networks"))
            }
            Value::Domain(_) | Value::Md5(_) | Value::Sha256(_) => Ok(value.clone()),
            _ => Err(Rejection::unsupported(
                "IOC rules take addresses, domains, md5 and sha256",
            )),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let iocs = match scope {
            Scope::All => self.read_all().await?,
            Scope::Values(values) => {
                let texts: Vec<String> = values.iter().map(Value::to_string).collect();
                let mut iocs = self.look_up(&texts).await?;
                iocs.retain(|ioc| value(ioc).is_some_and(|value| values.contains(&value)));
                iocs
            }
        };
        let held: Vec<Held> = iocs.into_iter().filter_map(|ioc| self.held(ioc)).collect();
        let mut disabled = self.disabled();
        for rule in &held {
            if rule.blocks {
                disabled.remove(&rule.id);
            } else {
                disabled.insert(rule.id.clone());
            }
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => {
                let iocs: Vec<NewIoc> = writes.iter().map(|write| self.ours(write)).collect();
                self.insert(&iocs).await
            }
            Batch::Update(writes) => self.update(writes).await,
            Batch::Remove(removals) => {
                let mut outcomes = Vec::with_capacity(removals.len());
                for Removal { id, value } in removals {
                    outcomes.push(self.delete(&spelling(id, value), id).await);
                }
                outcomes
            }
        }
    }

    fn calls(&self) -> Calls {
        self.tenant.calls()
    }
}
