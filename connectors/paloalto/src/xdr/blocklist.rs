//! The block list of hashes. Nothing shows what is on it, it has no ends and no owners: the ledger has all that.

use std::sync::atomic::{AtomicBool, Ordering};

use sdk::http::Response;
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity, Held,
    KindSupport, Level, Outcome, Proof, Rejection, Removal, Scope, Target, TargetKey, Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::api::{self, Listed};
use super::tenant::Tenant;

/// Most hashes in one call: what the console takes, the API's own limit is not documented.
const BATCH: usize = 100;

/// What the mechanism can do.
pub(super) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "xdr-blocklist",
    summary: "Cortex XDR's block list of hashes: prevents sha256",
    kinds: &[KindSupport {
        kind: Kind::Sha256,
        effect: Effect::Prevent,
        networks: false,
        matches_below: false,
    }],
    end_known_by: EndKnownBy::Ledger,
    native_end: None,
    proof: Proof::Ledger,
    foreign: Foreign::Unseen,
    granularity: Granularity::List,
    write_batch: BATCH,
    remove_batch: BATCH,
    list_page: 1,
    lookup_batch: 0,
    capacity: None,
    staged: false,
    rate: &[],
    rights: &[
        "Action Center: View/Edit",
        "Action Center: Allow List/Block List",
    ],
};

/// The block list of one tenant.
#[derive(Debug)]
pub(super) struct Blocklist {
    tenant: Tenant,
    key: TargetKey,
    incident_id: Option<u64>,
    comment: String,
    /// Whether the tenant was seen to name the hashes that were new. Until then one call adds one hash, because
    /// nothing else would tell ours from somebody else's.
    names_rows: AtomicBool,
    /// What the mechanism can do until then. That the caller knows matters: what it is about to send counts as
    /// ours should it be killed, so that must be no more than the one call carries.
    one_by_one: Capabilities,
}

impl Blocklist {
    pub(super) fn new(tenant: Tenant, incident_id: Option<u64>, installation: &str) -> Self {
        Self {
            key: tenant.target_key(CAPABILITIES.mechanism),
            tenant,
            incident_id,
            comment: format!("cordon {installation}"),
            names_rows: AtomicBool::new(false),
            one_by_one: Capabilities {
                write_batch: 1,
                ..CAPABILITIES.clone()
            },
        }
    }

    /// Adds what was not there. Only what is proven new is done; what was listed before is somebody else's, or
    /// allowed.
    async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        let sent = if self.names_rows.load(Ordering::Relaxed) {
            writes
        } else {
            &writes[..1]
        };
        let hashes = hashes(sent.iter().map(|write| &write.value));
        let mut outcomes = match self.block(&hashes, sent).await {
            Ok(Answer::Listed(Listed::Named { added, excluded })) => {
                self.names_rows.store(true, Ordering::Relaxed);
                hashes
                    .iter()
                    .map(|hash| named(hash, &added, &excluded))
                    .collect()
            }
            Ok(Answer::Listed(Listed::Done)) if sent.len() == 1 => vec![Outcome::Done],
            Ok(Answer::Listed(Listed::Done)) => {
                self.names_rows.store(false, Ordering::Relaxed);
                every(sent.len(), || {
                    let error = Error::protocol(
                        "the answer does not name the hashes that were new, as earlier ones did; some of \
                         these are blocked now",
                    );
                    Outcome::Unknown(error.unknown_fate())
                })
            }
            Ok(Answer::Listed(_)) => every(sent.len(), || Outcome::Unknown(strange())),
            Ok(Answer::AllListed) => every(sent.len(), || Outcome::Exists),
            Err(refusal) => refusal.outcomes(sent.len()),
        };
        let rest = writes.len() - sent.len();
        outcomes.extend(every(rest, || {
            Outcome::NotApplied("sent one by one, so that it is known which were new".to_owned())
        }));
        outcomes
    }

    /// Adds what the ledger says we were about to add: where it is there already, that was us.
    async fn add_again(&self, writes: &[Write]) -> Vec<Outcome> {
        let hashes = hashes(writes.iter().map(|write| &write.value));
        match self.block(&hashes, writes).await {
            Ok(Answer::Listed(Listed::Refused | Listed::Strange)) => {
                every(writes.len(), || Outcome::Unknown(strange()))
            }
            Ok(_) => every(writes.len(), || Outcome::Done),
            Err(refusal) => refusal.outcomes(writes.len()),
        }
    }

    async fn block(&self, hashes: &[String], writes: &[Write]) -> Result<Answer, Refusal> {
        let comment = self.comment(writes);
        let request = api::block(hashes, &comment, self.incident_id);
        let response = self.tenant.send(request).await.map_err(Refusal::Failed)?;
        match api::status(&response) {
            200..300 => Ok(Answer::Listed(api::listed(&response))),
            500 if api::complaint(&response)
                .is_some_and(|it| it.text.to_ascii_lowercase().contains("already been added")) =>
            {
                Ok(Answer::AllListed)
            }
            _ => Err(self.refusal("hash_exceptions/blocklist", &response)),
        }
    }

    /// Takes hashes off. A group that holds one that is there is done; one that holds none gets a 500.
    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let hashes = hashes(removals.iter().map(|removal| &removal.value));
        let request = api::unblock(&hashes, &self.comment, self.incident_id);
        let response = match self.tenant.send(request).await {
            Ok(response) => response,
            Err(error) => return Refusal::Failed(error).outcomes(hashes.len()),
        };
        match api::status(&response) {
            200..300 => match api::listed(&response) {
                Listed::Refused => every(hashes.len(), || {
                    Outcome::Rejected("the answer is `false`".to_owned())
                }),
                Listed::Strange => every(hashes.len(), || Outcome::Unknown(strange())),
                Listed::Done | Listed::Named { .. } => every(hashes.len(), || Outcome::Done),
            },
            // The words for a hash that is not there vary; only alone can it be told that it is this one.
            500 if api::complaint(&response).is_some_and(|it| it.code == 500) => {
                if hashes.len() == 1 {
                    // An outage can have the same words: then nothing is gone, and the next run asks again.
                    vec![match self.tenant.answers().await {
                        Ok(()) => Outcome::Done,
                        Err(error) => Outcome::Failed(error),
                    }]
                } else {
                    let words = api::words(&response);
                    every(hashes.len(), || Outcome::NotApplied(words.clone()))
                }
            }
            _ => self
                .refusal("hash_exceptions/blocklist/remove", &response)
                .outcomes(hashes.len()),
        }
    }

    /// Words for the console. One call has one comment, so a mark per hash has no room in it.
    fn comment(&self, writes: &[Write]) -> String {
        match writes.first() {
            Some(first)
                if !first.note.is_empty() && writes.iter().all(|it| it.note == first.note) =>
            {
                format!("{}: {}", self.comment, first.note)
            }
            _ => self.comment.clone(),
        }
    }

    fn refusal(&self, what: &str, response: &Response) -> Refusal {
        let words = api::words(response);
        match api::status(response) {
            400 | 413 => Refusal::Rows(words),
            500.. => Refusal::Failed(self.tenant.failure(what, response).unknown_fate()),
            _ => Refusal::Failed(self.tenant.failure(what, response)),
        }
    }
}

/// What an answer to an addition says.
enum Answer {
    Listed(Listed),
    /// All of them were on the block list or the allow list; which of the two, nobody says.
    AllListed,
}

/// Why nothing can be said of the rows.
enum Refusal {
    /// One of the rows, or their number.
    Rows(String),
    /// Something else.
    Failed(Error),
}

impl Refusal {
    fn outcomes(self, count: usize) -> Vec<Outcome> {
        match self {
            Self::Rows(words) if count == 1 => vec![Outcome::Rejected(words)],
            Self::Rows(words) => every(count, || Outcome::NotApplied(words.clone())),
            Self::Failed(error) => {
                let (kind, retry, text) = (error.kind(), error.retry_status(), error.to_string());
                let hint = error.hint_text().map(str::to_owned);
                let unknown = error.is_fate_unknown();
                every(count, || {
                    let mut error = Error::new(kind, text.clone()).retry(retry);
                    if let Some(hint) = &hint {
                        error = error.hint(hint.clone());
                    }
                    if unknown {
                        Outcome::Unknown(error.unknown_fate())
                    } else {
                        Outcome::Failed(error)
                    }
                })
            }
        }
    }
}

fn every(count: usize, outcome: impl FnMut() -> Outcome) -> Vec<Outcome> {
    std::iter::repeat_with(outcome).take(count).collect()
}

fn strange() -> Error {
    Error::protocol("the block list's answer is none that we know").unknown_fate()
}

fn hashes<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    values.map(Value::to_string).collect()
}

fn named(hash: &str, added: &[String], excluded: &[String]) -> Outcome {
    let has = |list: &[String]| list.iter().any(|other| other.eq_ignore_ascii_case(hash));
    if has(added) {
        Outcome::Done
    } else if has(excluded) {
        Outcome::Exists
    } else {
        // It may be blocked now, and must not be forgotten.
        let error = Error::protocol("the answer names other hashes and says nothing of this one");
        Outcome::Unknown(error.unknown_fate())
    }
}

#[async_trait]
impl Target for Blocklist {
    fn capabilities(&self) -> &Capabilities {
        if self.names_rows.load(Ordering::Relaxed) {
            &CAPABILITIES
        } else {
            &self.one_by_one
        }
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        self.tenant.open().await
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut findings = self.tenant.findings();
        let told = |subject: &'static str, message: &str| Finding {
            level: Level::Ok,
            subject: subject.into(),
            message: message.to_owned(),
            hint: None,
        };
        findings.push(told(
            "block list right",
            "not tested, only a write would show it: the key's role needs Action Center: Allow List/Block \
             List, the tenant a licence of Prevent or Pro per Endpoint",
        ));
        findings.push(told(
            "block list contents",
            "the API does not show them: what we put there is known from our store alone",
        ));
        findings.push(told(
            "limits",
            "100 hashes a call as in the console; capacity and call rate are not documented",
        ));
        Ok(findings)
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        match value {
            Value::Sha256(_) => Ok(value.clone()),
            _ => Err(Rejection::unsupported("the block list takes sha256 only")),
        }
    }

    async fn list(&self, _: Scope<'_>) -> Result<Vec<Held>> {
        Err(Error::new(
            ErrorKind::Unsupported,
            "cortex xdr does not show its block list by API",
        )
        .hint("look in the console under Action Center, Block List"))
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => self.add(writes).await,
            Batch::Update(writes) => self.add_again(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
        }
    }

    fn calls(&self) -> Calls {
        self.tenant.calls()
    }
}
