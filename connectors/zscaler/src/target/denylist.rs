//! `denylist`: the tenant's list of malicious URLs under Advanced Threat Protection. It blocks by itself,
//! for everybody, and has no room for a mark: the ledger proves what is ours. Entries are added and taken
//! one by one; the list as a whole is never written.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, EndKnownBy, Facts, Finding, Foreign, Granularity,
    Held, Outcome, Proof, Rejection, Scope, Staged, Target, TargetKey,
};
use sdk::{Result, async_trait};

use super::outcome::{outcomes, pick, share};
use super::tenant::Tenant;
use super::{key, nothing_to_update, support};
use crate::api::{self, Action, Denylist, Verdict};
use crate::config::Config;
use crate::entry;

/// What the denylist can do.
pub(crate) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "denylist",
    summary: "the tenant's malicious URLs (Advanced Threat Protection): blocks for all users; needs a store",
    kinds: &[
        support(Kind::Ipv4, false),
        support(Kind::Domain, false),
        support(Kind::Url, false),
    ],
    end_known_by: EndKnownBy::Ledger,
    native_end: None,
    proof: Proof::Ledger,
    foreign: Foreign::Listed,
    granularity: Granularity::List,
    write_batch: 5_000,
    remove_batch: 5_000,
    // One call returns the whole list.
    list_page: 1_000_000,
    lookup_batch: 0,
    capacity: Some(25_000),
    staged: true,
    rate: api::RATE,
    rights: &[
        "Advanced Threat Protection policy: full (read and write the malicious URLs)",
        "URL categories: view (the quota)",
        "Activation",
    ],
};

/// The denylist of one tenant.
pub(crate) struct DenyList {
    tenant: Arc<Tenant>,
    key: TargetKey,
    capabilities: Capabilities,
    ipv4: bool,
    /// The list as `open` saw it, for the listing that follows.
    seen: Mutex<Option<Vec<Held>>>,
}

impl DenyList {
    pub(crate) fn new(config: &Config, tenant: Arc<Tenant>) -> Self {
        Self {
            key: key(&tenant, CAPABILITIES.mechanism, String::new()),
            tenant,
            capabilities: Capabilities {
                write_batch: config.batch,
                remove_batch: config.batch,
                ..CAPABILITIES.clone()
            },
            ipv4: config.ipv4,
            seen: Mutex::default(),
        }
    }

    async fn fetch(&self) -> Result<Vec<Held>> {
        let list: Denylist = self.tenant.read(api::denylist(), "denylist").await?;
        let written: HashSet<String> = list.blacklist_urls.iter().cloned().collect();
        Ok(list
            .blacklist_urls
            .into_iter()
            .filter_map(|text| Some((entry::read(&text)?, text)))
            .filter(|(value, text)| entry::is_ours_to_tell(value, text, &written))
            .map(|(value, text)| held(value, text))
            .collect())
    }

    async fn change(&self, action: Action, entries: &[&str]) -> Vec<Outcome> {
        let request = api::change_denylist(action, entries);
        let (verdict, _) = self.tenant.write(request, "denylist").await;
        match (verdict, action) {
            (Verdict::Duplicate(words), Action::Add) => {
                self.sort_out(entries, words, |there| there, Outcome::Exists)
                    .await
            }
            (
                Verdict::Missing(words) | Verdict::Refused(words) | Verdict::Invalid(words),
                Action::Remove,
            ) => {
                self.sort_out(entries, words, |there| !there, Outcome::Done)
                    .await
            }
            (verdict, _) => outcomes(verdict, entries),
        }
    }

    /// After a refusal because of what is there or not: who it was. The others were not touched.
    async fn sort_out(
        &self,
        entries: &[&str],
        words: String,
        matters: fn(bool) -> bool,
        outcome: Outcome,
    ) -> Vec<Outcome> {
        let there: HashSet<Value> = match self.fetch().await {
            Ok(held) => held.into_iter().map(|held| held.value).collect(),
            Err(_) => return outcomes(Verdict::Refused(words), entries),
        };
        pick(entries, &words, &outcome, |text| {
            matters(entry::read(text).is_some_and(|value| there.contains(&value)))
        })
    }
}

fn held(value: Value, text: String) -> Held {
    Held {
        id: text.into(),
        value,
        note: None,
        expires: None,
        container: None,
        blocks: true,
        allows: false,
        conforms: true,
        writable: true,
    }
}

#[async_trait]
impl Target for DenyList {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let held = self.fetch().await?;
        let quota = self.tenant.quota().await?;
        let mut facts = Facts {
            vendor_time: self.tenant.client.vendor_time(),
            ..Facts::default()
        };
        if let Some(quota) = quota {
            let total = quota.unique_urls_provisioned + quota.remaining_urls_quota;
            // Whether the quota counts the denylist is not documented: what is left comes on top of what
            // is there, and everything together is the tenant's total at most.
            facts.capacity.push(CapacityPool {
                kinds: vec![Kind::Ipv4, Kind::Domain, Kind::Url],
                limit: (held.len() + quota.remaining_urls_quota).min(total),
            });
        }
        if !self.ipv4 {
            facts.unavailable.push((Kind::Ipv4, NO_IPV4.to_owned()));
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(facts)
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        self.tenant.findings().await
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        let accepted = entry::accept(value)?;
        if matches!(accepted, Value::Ipv4(_)) && !self.ipv4 {
            return Err(Rejection::unsupported(NO_IPV4));
        }
        Ok(accepted)
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        // What `open` read a moment ago for the room that is left serves once.
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut held = match seen {
            Some(held) => held,
            None => self.fetch().await?,
        };
        if let Scope::Values(values) = scope {
            held.retain(|held| values.contains(&held.value));
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => {
                let texts: Vec<String> = writes
                    .iter()
                    .map(|write| entry::text(&write.value))
                    .collect();
                let entries: Vec<&str> = texts.iter().map(String::as_str).collect();
                self.change(Action::Add, &entries).await
            }
            Batch::Remove(removals) => {
                let entries: Vec<&str> = removals.iter().map(|removal| &*removal.id).collect();
                self.change(Action::Remove, &entries).await
            }
            Batch::Update(writes) => share(nothing_to_update(), writes.len(), Outcome::Failed),
        }
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(&*self.tenant)
    }

    fn calls(&self) -> Calls {
        self.tenant.calls()
    }

    async fn close(&self) {
        self.tenant.close().await;
    }
}

const NO_IPV4: &str =
    "whether the denylist takes addresses is not documented: set `ipv4` where the tenant does";
