//! `url-category`: custom URL categories that are wholly ours, made and marked when the first entry comes.
//! They block where a URL Filtering rule of the administrator's with the action Block names them.

mod replace;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sdk::connector::Environment;
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, EndKnownBy, Facts, Finding, Foreign, Granularity,
    Held, Level, Outcome, Proof, Rejection, Removal, Replacing, Scope, Staged, Target, TargetKey,
    Write,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::outcome::{outcomes, pick, share};
use super::packing::Packing;
use super::shards::{Member, Naming, Place, Shard, Shards, handle, read_handle};
use super::tenant::{Tenant, finding};
use super::{key, nothing_to_update, support};
use crate::api::{self, Action, Category, Rule, Verdict};
use crate::config::Config;
use crate::entry;

/// IP ranges that a tenant's custom categories hold in all.
const RANGES: usize = 2_000;
/// Custom categories that a tenant can have.
const CATEGORIES: usize = 48;
/// Keeps a category from being without a URL when it is made for addresses alone: making an empty one may
/// be refused. The name is reserved for documentation (RFC 2606); nobody asks for it.
const PLACEHOLDER: &str = "cordon-placeholder.example.com";
const NO_IPV4: &str =
    "custom IP ranges have to be enabled by Zscaler support: set `ipv4` where they are";

/// What categories can do.
pub(crate) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "url-category",
    summary: "custom URL categories of our own, which a URL Filtering rule blocks",
    kinds: &[
        support(Kind::Ipv4, true),
        support(Kind::Domain, false),
        support(Kind::Url, false),
    ],
    end_known_by: EndKnownBy::Ledger,
    native_end: None,
    proof: Proof::Container,
    foreign: Foreign::Listed,
    granularity: Granularity::List,
    write_batch: 5_000,
    remove_batch: 5_000,
    // One call returns all categories whole.
    list_page: 1_000_000,
    lookup_batch: 0,
    capacity: Some(25_000),
    staged: true,
    rate: api::RATE,
    rights: &[
        "URL categories: full (custom categories and the quota)",
        "URL Filtering policy: view, so that check sees which rule is missing",
        "Activation",
    ],
};

/// Our categories in one tenant.
pub(crate) struct UrlCategory {
    tenant: Arc<Tenant>,
    key: TargetKey,
    capabilities: Capabilities,
    naming: Naming,
    size: usize,
    ipv4: bool,
    shards: Mutex<Option<Shards>>,
    /// The entries as `open` saw them, for the listing that follows.
    seen: Mutex<Option<Vec<Held>>>,
}

impl UrlCategory {
    pub(crate) fn new(config: Arc<Config>, tenant: Arc<Tenant>, environment: &Environment) -> Self {
        let naming = Naming::new(
            &config.category,
            config.category_owner.as_deref(),
            &environment.installation,
        );
        Self {
            key: key(&tenant, CAPABILITIES.mechanism, naming.base().to_owned()),
            tenant,
            capabilities: Capabilities {
                write_batch: config.batch,
                remove_batch: config.batch,
                ..CAPABILITIES.clone()
            },
            naming,
            size: config.category_size,
            ipv4: config.ipv4,
            shards: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    fn shards(&self) -> MutexGuard<'_, Option<Shards>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all categories; ids are learned here alone.
    async fn fetch(&self) -> Result<Vec<Held>> {
        let categories: Vec<Category> = self
            .tenant
            .read(api::categories(), "URL categories")
            .await?;
        let shards = Shards::read(&categories, &self.naming);
        let mut held = Vec::new();
        for category in categories {
            if shards.get(&category.id).is_none() {
                continue;
            }
            let ranges = category.ip_ranges.into_iter().filter_map(|text| {
                Some((Value::parse(Kind::Ipv4, &text).ok()?, Member::Range, text))
            });
            let exclusive = self.naming.owner().is_some();
            let written: HashSet<String> = category.urls.iter().cloned().collect();
            let urls = category
                .urls
                .into_iter()
                .filter(|text| text != PLACEHOLDER)
                .filter_map(|text| Some((entry::read(&text)?, Member::Url, text)))
                .filter(|(value, _, text)| {
                    exclusive || entry::is_ours_to_tell(value, text, &written)
                });
            held.extend(ranges.chain(urls).map(|(value, member, text)| Held {
                id: handle(&category.id, member, &text),
                value,
                note: None,
                expires: None,
                container: self.naming.owner().cloned(),
                blocks: true,
                allows: false,
                conforms: true,
                writable: true,
            }));
        }
        *self.shards() = Some(shards);
        Ok(held)
    }

    async fn known_shards(&self) -> Result<Shards> {
        if self.shards().is_none() {
            self.fetch().await?;
        }
        Ok(self.shards().clone().unwrap_or_default())
    }

    /// A category as it is now.
    async fn category(&self, id: &str) -> Result<Option<Category>> {
        self.tenant.find(api::category(id), "URL category").await
    }

    async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        let shards = match self.known_shards().await {
            Ok(shards) => shards,
            Err(error) => return share(error, writes.len(), Outcome::Failed),
        };
        let place = shards.place(self.size, &self.naming);
        let room = match &place {
            Place::Existing(_, room) => *room,
            Place::New(_) => self.size,
        };
        // One call fills one category; what does not fit comes again.
        let mut packing = Packing::default();
        for (index, write) in writes.iter().enumerate() {
            match write.value {
                Value::Ipv4(_) => packing.ranges.push((index, write.value.to_string())),
                _ if packing.urls.len() < room => {
                    packing.urls.push((index, entry::text(&write.value)));
                }
                _ => {}
            }
        }
        let done = match place {
            Place::Existing(shard, _) => self.put(&shard, Action::Add, &packing).await,
            Place::New(number) => self.create(number, &packing).await,
        };
        packing.unpack(done, writes.len(), "the category is full")
    }

    /// Makes a category with its first entries.
    async fn create(&self, number: u32, packing: &Packing) -> Vec<Outcome> {
        let name = self.naming.name(number);
        let mut urls = packing.urls();
        if urls.is_empty() {
            urls.push(PLACEHOLDER);
        }
        let ranges: Vec<String> = packing
            .ranges
            .iter()
            .map(|(_, text)| text.clone())
            .collect();
        let request = api::create_category(
            &name,
            &self.naming.description(&name),
            &urls,
            (!ranges.is_empty()).then_some(ranges.as_slice()),
        );
        let (verdict, answer) = self.tenant.write(request, "new URL category").await;
        match (verdict, answer) {
            (Verdict::Done, Some(answer)) => {
                match answer.json::<Category>("new URL category") {
                    Ok(made) => {
                        if let Some(shards) = self.shards().as_mut() {
                            shards.made(number, made.id, name, urls.len());
                        }
                    }
                    // The next call looks it up.
                    Err(_) => *self.shards() = None,
                }
                packing.all(|| Outcome::Done)
            }
            // Somebody made one of this name meanwhile.
            (Verdict::Duplicate(words), _) => {
                *self.shards() = None;
                let error = Error::new(ErrorKind::Conflict, "another category has this name")
                    .with("name", name)
                    .with("answer", words)
                    .hint("run again, or set `category` to a name of its own");
                share(error, packing.len(), Outcome::Failed)
            }
            (verdict, _) => self.settle(verdict, packing, None, Action::Add).await,
        }
    }

    /// Adds to a category, or takes from it.
    async fn put(&self, shard: &Shard, action: Action, packing: &Packing) -> Vec<Outcome> {
        // Ranges have no verb: the list is read and written whole.
        let ranges = if packing.ranges.is_empty() {
            None
        } else {
            match self.category(&shard.id).await {
                Ok(Some(category)) => Some(packing.ranges_after(action, category.ip_ranges)),
                Ok(None) => return self.vanished(packing, action),
                Err(error) => return share(error, packing.len(), Outcome::Failed),
            }
        };
        let urls = packing.urls();
        // An empty list is known to be taken by removals only.
        let verb = if urls.is_empty() {
            Action::Remove
        } else {
            action
        };
        let request = api::change_category(&shard.id, &shard.name, verb, &urls, ranges.as_deref());
        let (verdict, _) = self.tenant.write(request, "URL category").await;
        if matches!(verdict, Verdict::Done) {
            let count = urls.len();
            if let Some(shards) = self.shards().as_mut() {
                shards.changed(&shard.id, |urls| match action {
                    Action::Add => urls + count,
                    Action::Remove => urls.saturating_sub(count),
                });
            }
        }
        self.settle(verdict, packing, Some(shard), action).await
    }

    /// From a verdict on the call to one outcome for each of its entries.
    async fn settle(
        &self,
        verdict: Verdict,
        packing: &Packing,
        shard: Option<&Shard>,
        action: Action,
    ) -> Vec<Outcome> {
        let entries = packing.entries();
        match (verdict, shard, action) {
            (Verdict::NotSubscribed(words), ..) if !packing.ranges.is_empty() => {
                let refused = || {
                    Outcome::Rejected(format!(
                        "custom IP ranges are not enabled in this tenant ({words})"
                    ))
                };
                let others = || Outcome::NotApplied(words.clone());
                packing.each(others, refused)
            }
            (Verdict::Duplicate(words), Some(shard), Action::Add) => {
                self.sort_out(shard, packing, &words, action).await
            }
            (
                Verdict::Missing(words) | Verdict::Refused(words) | Verdict::Invalid(words),
                Some(shard),
                Action::Remove,
            )
            | (Verdict::Missing(words), Some(shard), Action::Add) => {
                self.sort_out(shard, packing, &words, action).await
            }
            (verdict, ..) => outcomes(verdict, &entries),
        }
    }

    /// After a refusal because of what is there or not: who it was. The others were not touched.
    async fn sort_out(
        &self,
        shard: &Shard,
        packing: &Packing,
        words: &str,
        action: Action,
    ) -> Vec<Outcome> {
        let entries = packing.entries();
        match self.category(&shard.id).await {
            Ok(Some(category)) => {
                let there: HashSet<Value> = category
                    .urls
                    .iter()
                    .filter_map(|text| entry::read(text))
                    .chain(
                        category
                            .ip_ranges
                            .iter()
                            .filter_map(|text| Value::parse(Kind::Ipv4, text).ok()),
                    )
                    .collect();
                let outcome = match action {
                    Action::Add => Outcome::Exists,
                    Action::Remove => Outcome::Done,
                };
                pick(&entries, words, &outcome, |text| {
                    let value = entry::read(text).or_else(|| Value::parse(Kind::Ipv4, text).ok());
                    let is_there = value.is_some_and(|value| there.contains(&value));
                    is_there == (action == Action::Add)
                })
            }
            Ok(None) => self.vanished(packing, action),
            Err(_) => outcomes(Verdict::Refused(words.to_owned()), &entries),
        }
    }

    /// Somebody deleted the category: what was to be taken from it is gone, what was to be added is looked
    /// for and sent again.
    fn vanished(&self, packing: &Packing, action: Action) -> Vec<Outcome> {
        *self.shards() = None;
        match action {
            Action::Remove => packing.all(|| Outcome::Done),
            Action::Add => packing.all(|| {
                Outcome::Unknown(Error::new(
                    ErrorKind::NotFound,
                    "somebody deleted the category meanwhile",
                ))
            }),
        }
    }

    /// Takes what one call can: the entries of the first one's category.
    async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let mut packing = Packing::default();
        let mut id: Option<&str> = None;
        for (index, removal) in removals.iter().enumerate() {
            let (category, member, text) = match read_handle(&removal.id) {
                Ok(parts) => parts,
                Err(error) => return share(error, removals.len(), Outcome::Failed),
            };
            if *id.get_or_insert(category) != category {
                continue;
            }
            match member {
                Member::Url => packing.urls.push((index, text.to_owned())),
                Member::Range => packing.ranges.push((index, text.to_owned())),
            }
        }
        let shards = match self.known_shards().await {
            Ok(shards) => shards,
            Err(error) => return share(error, removals.len(), Outcome::Failed),
        };
        let done = match id.and_then(|id| shards.get(id)) {
            Some(shard) => self.put(shard, Action::Remove, &packing).await,
            // Not among ours any more: deleted, or taken over by somebody who changed its mark.
            None => packing.all(|| Outcome::Done),
        };
        packing.unpack(done, removals.len(), "in another category")
    }

    /// Which rule is still missing, for each of our categories.
    async fn rule_findings(&self, shards: &Shards) -> Result<Vec<Finding>> {
        const HINT: &str = "in the admin portal: Policy > URL & Cloud App Control > add a URL Filtering rule with \
                            the action Block that names the category, above rules that allow, and activate";
        if shards.all().is_empty() {
            let message = format!(
                "there is no category of ours yet: the first entry makes {}, which then needs a rule",
                self.naming.name(1)
            );
            return Ok(vec![finding(
                Level::Warning,
                "category",
                message,
                Some(HINT),
            )]);
        }
        let response = self.tenant.client.send(api::rules()).await?;
        let rules: Option<Vec<Rule>> = match response.status.as_u16() {
            403 | 404 => None,
            200..=299 => Some(response.json("URL Filtering rules")?),
            _ => return Err(api::refusal("URL Filtering rules", &response)),
        };
        Ok(shards
            .all()
            .iter()
            .map(|shard| {
                let called = format!("{} ({})", shard.name, shard.id);
                let blocking = rules.as_ref().map(|rules| {
                    rules.iter().find(|rule| {
                        rule.action == "BLOCK"
                            && rule.state == "ENABLED"
                            && rule.url_categories.contains(&shard.id)
                    })
                });
                match blocking {
                    Some(Some(rule)) => finding(
                        Level::Ok,
                        "rule",
                        format!("the rule {:?} blocks {called}", rule.name),
                        None,
                    ),
                    Some(None) => finding(
                        Level::Warning,
                        "rule",
                        format!("no enabled URL Filtering rule with the action Block names {called}: it blocks nothing yet"),
                        Some(HINT),
                    ),
                    None => finding(
                        Level::Warning,
                        "rule",
                        format!("the credentials may not see whether a URL Filtering rule blocks {called}"),
                        Some(HINT),
                    ),
                }
            })
            .collect())
    }
}

#[async_trait]
impl Target for UrlCategory {
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
            container: self.naming.owner().cloned(),
            ..Facts::default()
        };
        if let Some(quota) = quota {
            let urls = held
                .iter()
                .filter(|held| !matches!(held.value, Value::Ipv4(_)));
            facts.capacity.push(CapacityPool {
                kinds: vec![Kind::Domain, Kind::Url],
                limit: urls.count() + quota.remaining_urls_quota,
            });
        }
        let foreign = self
            .shards()
            .as_ref()
            .map_or(0, |shards| shards.foreign_ranges);
        facts.capacity.push(CapacityPool {
            kinds: vec![Kind::Ipv4],
            limit: RANGES.saturating_sub(foreign),
        });
        if !self.ipv4 {
            facts.unavailable.push((Kind::Ipv4, NO_IPV4.to_owned()));
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(facts)
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut findings = self.tenant.findings().await?;
        self.fetch().await?;
        let shards = self.known_shards().await?;
        findings.extend(self.rule_findings(&shards).await?);
        findings.extend(shards.doubtful.iter().map(|name| {
            finding(
                Level::Warning,
                "category",
                format!("the category {name:?} carries a mark that does not hold for it: it is left alone"),
                Some("it was renamed or copied: give it its old name again, or delete it"),
            )
        }));
        if shards.all().len() + 4 > CATEGORIES {
            findings.push(finding(
                Level::Warning,
                "category",
                format!(
                    "{} of {CATEGORIES} custom categories are ours",
                    shards.all().len()
                ),
                Some("raise category_size"),
            ));
        }
        Ok(findings)
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        let accepted = match value {
            Value::Ipv4(_) => value.clone(),
            _ => entry::accept(value)?,
        };
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
            Batch::Add(writes) => self.add(writes).await,
            Batch::Remove(removals) => self.remove(removals).await,
            Batch::Update(writes) => share(nothing_to_update(), writes.len(), Outcome::Failed),
        }
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(&*self.tenant)
    }

    fn replacing(&self) -> Option<&dyn Replacing> {
        Some(self)
    }

    fn calls(&self) -> Calls {
        self.tenant.calls()
    }

    async fn close(&self) {
        self.tenant.close().await;
    }
}
