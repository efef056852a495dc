//! Custom indicators as a target.

mod lag;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use sdk::connector::Environment;
use sdk::http::{Authenticate, Client, ClientBuilder, Next, Page, Pages, Response};
use sdk::indicator::{Kind, Value};
use sdk::ownership::{Note, Owner};
use sdk::target::{
    Batch, Calls, Capabilities, Effect, EndKnownBy, Facts, Finding, Foreign, Granularity, Held,
    KindSupport, Level, NativeEnd, Outcome, Proof, RateWindow, Rejection, Scope, Target, TargetKey,
    Write,
};
use sdk::{ErrorKind, Result, async_trait};

use crate::api::{self, Answer, Entry, Text};
use crate::auth::Login;
use crate::config::Config;

/// Entries that one customer may have, live ones of others included.
const CAPACITY: usize = 1_000_000;
/// Page sizes to try: sources disagree on the largest, and government clouds take less.
const PAGE_LIMITS: [usize; 3] = [2_000, 500, 100];
/// Most ids per call; 268 of 64 characters fill the longest safe request line.
const IDS_PER_CALL: usize = 250;
/// Values of the longest kind that fit one listing by value.
const VALUES_PER_LOOKUP: usize = 240;
/// Longest domain name that the vendor documents.
const DOMAIN_LIMIT: usize = 200;
/// Characters of the description that we use. The vendor's limit is not documented; the `source` field,
/// whose limit is known, takes as many.
const NOTE_LIMIT: usize = 256;

/// Documented per customer.
const RATE: &[RateWindow] = &[
    RateWindow {
        class: "*",
        calls: 6_000,
        per: Duration::from_secs(60),
    },
    RateWindow {
        class: "token",
        calls: 300,
        per: Duration::from_secs(60),
    },
];

const fn kind(kind: Kind, effect: Effect) -> KindSupport {
    KindSupport {
        kind,
        effect,
        networks: false,
        matches_below: false,
    }
}

/// What custom indicators can do.
pub(crate) static PREVENTING: Capabilities = capabilities(
    "ioc",
    "custom indicators: prevents hashes, only detects addresses and domains",
    &[
        kind(Kind::Ipv4, Effect::Detect),
        kind(Kind::Ipv6, Effect::Detect),
        kind(Kind::Domain, Effect::Detect),
        kind(Kind::Md5, Effect::Prevent),
        kind(Kind::Sha256, Effect::Prevent),
    ],
);

/// The same where nothing is to be stopped.
pub(crate) static DETECTING: Capabilities = capabilities(
    "ioc-detect",
    "custom indicators that only detect: hashes, addresses and domains",
    &[
        kind(Kind::Ipv4, Effect::Detect),
        kind(Kind::Ipv6, Effect::Detect),
        kind(Kind::Domain, Effect::Detect),
        kind(Kind::Md5, Effect::Detect),
        kind(Kind::Sha256, Effect::Detect),
    ],
);

/// The mechanisms, the default first.
pub(crate) static MECHANISMS: &[&Capabilities] = &[&PREVENTING, &DETECTING];

const fn capabilities(
    mechanism: &'static str,
    summary: &'static str,
    kinds: &'static [KindSupport],
) -> Capabilities {
    Capabilities {
        mechanism,
        summary,
        kinds,
        end_known_by: EndKnownBy::Native,
        native_end: Some(NativeEnd {
            unit: Duration::from_secs(1),
            max: None,
            max_by_kind: &[],
            deletes: Some(false),
        }),
        proof: Proof::Mark {
            max_length: NOTE_LIMIT,
        },
        foreign: Foreign::Listed,
        granularity: Granularity::Row,
        write_batch: 200,
        remove_batch: IDS_PER_CALL,
        list_page: PAGE_LIMITS[0],
        lookup_batch: VALUES_PER_LOOKUP,
        capacity: Some(CAPACITY),
        staged: false,
        rate: RATE,
        rights: &["IOC Management: Read", "IOC Management: Write"],
    }
}

/// One Falcon customer.
pub(crate) struct Falcon {
    client: Client,
    login: Arc<Login>,
    config: Config,
    platforms: Vec<&'static str>,
    capabilities: Capabilities,
    key: TargetKey,
    /// Index into [`PAGE_LIMITS`] of the largest that was not refused.
    page_limit: AtomicUsize,
    /// What this target wrote and no listing has shown yet, by id: searches lag behind writes.
    written: Mutex<HashMap<String, Written>>,
    writes: AtomicUsize,
    duplicates: Mutex<Vec<Value>>,
    installation: String,
    /// Entries of ours that prevent, by id, as `ioc-detect` saw them: whose they are, if one owner's alone.
    preventing: Mutex<HashMap<String, Option<Owner>>>,
}

/// How an entry has to look in a listing that knows of our last write.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    value: Value,
    /// Which of our writes it was.
    order: usize,
    /// Note and end; `None`: it is gone.
    shows: Option<(String, Option<DateTime<Utc>>)>,
}

impl Falcon {
    /// A target for one customer. No call is made.
    pub(crate) fn new(config: Config, environment: &Environment) -> Result<Self> {
        let mechanism = config.mechanism();
        let login = Arc::new(Login::new(
            config.client_id.trim().to_owned(),
            config.client_secret.clone(),
            config.member_cid.clone(),
        ));
        let client = ClientBuilder::new(config.base(), environment)?
            .auth(login.clone())
            .windows(RATE)
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone())
            .retry_after_header("X-RateLimit-RetryAfter")
            .build()?;
        let base = client.base();
        let host = base.host_str().unwrap_or_default();
        let host = base
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let customer = config.member_cid.as_deref().unwrap_or(&config.client_id);
        Ok(Self {
            key: TargetKey {
                connector: "crowdstrike",
                account: format!("{host}/{}", customer.trim()),
                mechanism: mechanism.mechanism,
                device: String::new(),
            },
            capabilities: Capabilities {
                write_batch: config.batch,
                ..mechanism.clone()
            },
            installation: environment.installation.clone(),
            preventing: Mutex::default(),
            platforms: config
                .platforms
                .iter()
                .map(|platform| platform.name())
                .collect(),
            client,
            login,
            config,
            page_limit: AtomicUsize::new(0),
            written: Mutex::default(),
            writes: AtomicUsize::new(0),
            duplicates: Mutex::default(),
        })
    }

    /// Every live entry that a filter finds. `brief` ends at a short page that makes up the total, which
    /// saves a call; otherwise only an empty page is the end.
    async fn find(&self, filter: &str, brief: bool) -> Result<Vec<Held>> {
        let mut held: Vec<Held> = Vec::new();
        let mut pages = Pages::new("falcon listing", None);
        let mut after: Option<String> = None;
        loop {
            let (response, limit) = self.page(filter, after.as_deref()).await?;
            let answer: Answer<Entry<'_>> = read("falcon listing", &response)?;
            let pagination = answer.pagination();
            let page = answer.into_resources();
            let items = page.len();
            held.extend(page.iter().filter_map(|entry| self.held(entry)));
            let complete = pagination
                .total
                .is_some_and(|total| pages.items() + items as u64 >= total);
            if brief && complete && items < limit {
                return Ok(held);
            }
            let next = pages.page(Page {
                items,
                cursor: pagination.after.as_deref(),
                // Totals may count deleted records, so an empty page is the end whatever they say.
                total: pagination.total.filter(|_| items > 0),
                has_more: None,
            })?;
            match next {
                Next::Continue(cursor) => after = Some(cursor),
                Next::End => return Ok(held),
            }
        }
    }

    /// One page, with a smaller limit where the first is refused.
    async fn page(&self, filter: &str, after: Option<&str>) -> Result<(Response, usize)> {
        loop {
            let at = self.page_limit.load(Ordering::Relaxed);
            let limit = PAGE_LIMITS[at.min(PAGE_LIMITS.len() - 1)];
            let response = self.client.send(api::page(filter, limit, after)).await?;
            match response.status.as_u16() {
                // The service refuses a limit with 400, the gateway with any of these pages.
                400 | 413 | 414 | 431 if after.is_none() && at + 1 < PAGE_LIMITS.len() => {
                    self.page_limit.store(at + 1, Ordering::Relaxed);
                }
                _ => return Ok((response, limit)),
            }
        }
    }

    /// The live entries with these ids.
    pub(crate) async fn by_id(&self, ids: &[&str]) -> Result<HashMap<String, Held>> {
        let mut found = HashMap::new();
        let mut packs = api::packs(ids, IDS_PER_CALL);
        while let Some(pack) = packs.pop() {
            let response = self.client.send(api::get(&pack)).await?;
            if response.status == StatusCode::NOT_FOUND {
                // One unknown id can refuse them all: halves find out which.
                if pack.len() > 1 {
                    let (left, right) = pack.split_at(pack.len() / 2);
                    packs.extend([left.to_vec(), right.to_vec()]);
                }
                continue;
            }
            let answer: Answer<Entry<'_>> = read("falcon entries", &response)?;
            let entries = answer.into_resources();
            found.extend(
                entries
                    .iter()
                    .filter_map(|entry| Some((entry.id.to_string(), self.held(entry)?))),
            );
        }
        Ok(found)
    }

    /// The live entries with these values, as a search shows them.
    async fn search(&self, values: &[Value]) -> Result<Vec<Held>> {
        let mut by_kind: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
        for value in values {
            by_kind
                .entry(value.kind())
                .or_default()
                .push(value.to_string());
        }
        let mut held = Vec::new();
        for (kind, values) in by_kind {
            for filter in api::filters(kind, &values) {
                held.extend(self.find(&filter, true).await?);
            }
        }
        Ok(held)
    }

    /// Values that a create called duplicates since the last listing.
    pub(crate) fn duplicates(&self) -> MutexGuard<'_, Vec<Value>> {
        self.duplicates
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> MutexGuard<'_, HashMap<String, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn remember(
        &self,
        id: &str,
        value: &Value,
        shows: Option<(String, Option<DateTime<Utc>>)>,
    ) {
        let order = self.writes.fetch_add(1, Ordering::Relaxed);
        let value = value.clone();
        self.written().insert(
            id.to_owned(),
            Written {
                value,
                order,
                shows,
            },
        );
    }

    /// An entry in the SDK's words; `None` for one that is deleted, or of a type that stands for nothing
    /// of ours (names below a name on mobile devices).
    fn held(&self, entry: &Entry<'_>) -> Option<Held> {
        if entry.deleted == Some(true) {
            return None;
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| Some(kind.name()) == Text::of(&entry.kind))?;
        let value = Value::parse(kind, Text::of(&entry.value)?).ok()?;
        let actions = [Text::of(&entry.action), Text::of(&entry.mobile_action)];
        let acting =
            |action: &Option<&str>| matches!(action, Some("detect" | "prevent" | "prevent_no_ui"));
        let conforms = self.conforms(entry, kind)
            || (self.detects() && self.prevents_for_others(entry, &value));
        Some(Held {
            id: entry.id.as_ref().into(),
            value,
            note: Text::of(&entry.description)
                .filter(|note| !note.is_empty())
                .map(Into::into),
            expires: entry.expiration.filter(|end| end.timestamp() > 0),
            container: None,
            blocks: actions.iter().any(acting) && entry.expired != Some(true),
            allows: actions.contains(&Some("allow")),
            conforms,
            writable: entry.from_parent != Some(true),
        })
    }

    /// Whether an entry is as we would write it. What does not apply to our platforms may be anything.
    fn conforms(&self, entry: &Entry<'_>, kind: Kind) -> bool {
        let platforms = entry.platforms.as_deref().unwrap_or_default();
        let tags = entry.tags.as_deref().unwrap_or_default();
        let has = |texts: &[Text<'_>], wanted: &str| texts.iter().any(|text| text.0 == wanted);
        Text::of(&entry.action) == Some(self.action(kind))
            && Text::of(&entry.severity) == Some(self.config.severity.name())
            && platforms.iter().all(|it| self.platforms.contains(&&*it.0))
            && self.platforms.iter().all(|ours| has(platforms, ours))
            && entry.applied_globally == Some(true)
            && Text::of(&entry.source) == Some(self.config.source.as_str())
            && self.config.tags.iter().all(|tag| has(tags, tag))
    }

    fn detects(&self) -> bool {
        self.capabilities.mechanism == DETECTING.mechanism
    }

    /// The action of our entries: the strongest that desktop sensors take for a kind, if it may stop things.
    fn action(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::Md5 | Kind::Sha256 if !self.detects() => "prevent",
            _ => "detect",
        }
    }

    fn owners(&self, text: &str, value: &Value) -> Vec<Owner> {
        let note = Note::read(text, &self.installation, value);
        note.marks.into_iter().map(|mark| mark.owner).collect()
    }

    /// Whether an entry prevents and several owners share it: one of them wants that, so it stays. What
    /// prevents is kept in mind, because a change does not tell what it changes.
    fn prevents_for_others(&self, entry: &Entry<'_>, value: &Value) -> bool {
        let prevents = matches!(Text::of(&entry.action), Some("prevent" | "prevent_no_ui"));
        let mut owners = self.owners(Text::of(&entry.description).unwrap_or_default(), value);
        let several = owners.len() > 1;
        let mut preventing = self.preventing();
        if prevents {
            let only = owners.pop().filter(|_| !several);
            preventing.insert(entry.id.to_string(), only);
        } else {
            preventing.remove(&*entry.id);
        }
        prevents && several
    }

    /// Whether a change has to leave the action of an entry as it is: it prevents, and not only for whoever
    /// has it afterwards.
    pub(crate) fn keeps_action(&self, write: &Write) -> bool {
        let preventing = self.preventing();
        let Some(before) = write.id.as_deref().and_then(|id| preventing.get(id)) else {
            return false;
        };
        let mut after = self.owners(&write.note, &write.value);
        let alone = after.len() == 1 && after.pop() == *before;
        !alone
    }

    fn preventing(&self) -> MutexGuard<'_, HashMap<String, Option<Owner>>> {
        self.preventing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn common(&self, kind: Kind) -> api::Common<'_> {
        api::Common {
            action: self.action(kind),
            severity: self.config.severity.name(),
            platforms: &self.platforms,
            applied_globally: true,
            source: &self.config.source,
            tags: &self.config.tags,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }
}

impl Written {
    /// Whether this is what is there with its id.
    fn is_shown_by(&self, held: Option<&Held>) -> bool {
        match (held, &self.shows) {
            (Some(held), Some((note, end))) => {
                held.note.as_deref().unwrap_or_default() == note && held.expires == *end
            }
            (held, shows) => held.is_none() && shows.is_none(),
        }
    }
}

/// A successful answer to a read.
fn read<'a, T: serde::Deserialize<'a>>(what: &str, response: &'a Response) -> Result<Answer<T>> {
    if response.status != StatusCode::OK {
        return Err(api::refusal(what, "Read", response));
    }
    let answer: Answer<T> = response.json(what)?;
    if answer
        .errors
        .as_ref()
        .is_some_and(|errors| !errors.is_empty())
    {
        return Err(api::error(ErrorKind::Protocol, what, response));
    }
    Ok(answer)
}

#[async_trait]
impl Target for Falcon {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        // A login; while its token lasts, no call at all.
        self.login.headers(&self.client).await?;
        Ok(Facts {
            vendor_time: self.client.vendor_time(),
            ..Facts::default()
        })
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut found = |level, subject: &'static str, message: String, hint: Option<&str>| {
            findings.push(Finding {
                level,
                subject: subject.into(),
                message,
                hint: hint.map(str::to_owned),
            });
        };
        found(Level::Ok, "credentials", "the login works".to_owned(), None);
        if let Some(region) = self.login.region().await {
            found(Level::Ok, "region", region, None);
        }
        let response = self.client.send(api::page(api::LIVE, 1, None)).await?;
        if response.status == StatusCode::FORBIDDEN {
            let hint = "give the API client the scope IOC Management: Read";
            found(
                Level::Missing,
                "scope read",
                api::vendor_text(&response),
                Some(hint),
            );
            return Ok(findings);
        }
        let answer: Answer<Entry<'_>> = read("falcon indicators", &response)?;
        found(
            Level::Ok,
            "scope read",
            "IOC Management: Read is there".to_owned(),
            None,
        );
        let unproven =
            "IOC Management: Write was not tried: a trial would change the customer's list";
        found(Level::Ok, "scope write", unproven.to_owned(), None);
        if let Some(total) = answer.pagination().total {
            let nearly = total >= (CAPACITY as u64) / 10 * 9;
            let level = if nearly { Level::Warning } else { Level::Ok };
            let hint = nearly
                .then_some("remove entries that are no longer needed, deleted and ended ones too");
            found(
                level,
                "capacity",
                format!("{total} of {CAPACITY} indicators"),
                hint,
            );
        }
        Ok(findings)
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        match value {
            Value::Ipv4(network) if network.prefix_len() < 32 => Err(Rejection::unsupported(
                "falcon takes single addresses, not networks",
            )),
            Value::Ipv6(network) if network.prefix_len() < 128 => Err(Rejection::unsupported(
                "falcon takes single addresses, not networks",
            )),
            Value::Domain(domain) if domain.as_str().len() > DOMAIN_LIMIT => Err(
                Rejection::unsupported("falcon takes domains of at most 200 characters"),
            ),
            Value::Url(_) => Err(Rejection::unsupported("falcon takes no URLs")),
            Value::Sha1(_) => Err(Rejection::unsupported("falcon takes no SHA-1")),
            value => Ok(value.clone()),
        }
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let mut held = match scope {
            Scope::All => self.find(api::LIVE, false).await?,
            Scope::Values(values) => self.search(values).await?,
        };
        if matches!(scope, Scope::All) {
            self.reveal(&mut held).await?;
        }
        self.catch_up(&mut held, scope).await?;
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
        self.client.calls()
    }
}
