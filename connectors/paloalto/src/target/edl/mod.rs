//! `edl`: lists that the device pulls. We publish their text, ask for a refresh, and read how it ended.

mod examine;
mod list;
mod pulled;

use sdk::feed::{Change, Feed, Seen, changes};
use sdk::http::Safety;
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Activate, Batch, Calls, Capabilities, CapacityPool, Effect, EndKnownBy, Facts, Finding,
    Foreign, Granularity, Held, KindSupport, Outcome, Pending, Proof, Rejection, Scope, Staged,
    Target, TargetKey,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use self::list::Sort;
use self::pulled::Pulled;
use super::connection::{Connection, Version};
use super::job;
use crate::api;
use crate::api::xml::escape;
use crate::config::Config;

/// Lists of all three sorts exist from here.
const LEAST: Version = (8, 0, 0);

/// Entries of one sort that every model takes, from the vendor's documents of 7.1 to 8.1; newer figures are not known.
const SMALL: usize = 50_000;

/// Address entries of the big chassis.
const BIG: usize = 150_000;

const fn support(kind: Kind, networks: bool, matches_below: bool) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks,
        matches_below,
    }
}

pub(crate) static CAPABILITIES: Capabilities = Capabilities {
    mechanism: "edl",
    summary: "lists that the firewall pulls from where we publish them: any number of addresses, names and URLs, no \
              commit",
    kinds: &[
        support(Kind::Ipv4, true, false),
        support(Kind::Ipv6, true, false),
        support(Kind::Domain, false, false),
        // An entry also matches what follows it.
        support(Kind::Url, false, true),
    ],
    end_known_by: EndKnownBy::Mark,
    native_end: None,
    proof: Proof::Mark { max_length: 1_000 },
    foreign: Foreign::Coexists,
    granularity: Granularity::Feed,
    write_batch: 1_000,
    remove_batch: 1_000,
    // A listing makes no call.
    list_page: 1_000_000,
    lookup_batch: 0,
    capacity: None,
    staged: true,
    rate: &[],
    rights: &["XML API: Operational Requests"],
};

/// One published list.
pub(super) struct List {
    pub(super) sort: Sort,
    pub(super) feed: Feed,
    pub(super) pulled: Pulled,
}

/// The lists of one device.
pub(crate) struct Edl {
    pub(super) connection: Connection,
    key: TargetKey,
    pub(super) lists: Vec<List>,
    capacity: Option<usize>,
    activate: Activate,
    seen: Seen,
}

impl Edl {
    pub(crate) fn new(
        config: &Config,
        kinds: &[Kind],
        connection: Connection,
        key: TargetKey,
    ) -> Result<Self> {
        let publish = config.publish.as_ref().ok_or_else(|| {
            Error::config("`publish` is missing, which `edl` needs")
                .hint("name a folder that a web server serves: publish = { directory = \"…\" }")
        })?;
        let mut lists: Vec<List> = Vec::new();
        for sort in Sort::ALL {
            if !kinds.is_empty() && !kinds.iter().any(|kind| Sort::of(*kind) == Some(sort)) {
                continue;
            }
            let name = match sort {
                Sort::Ip => &config.lists.ip,
                Sort::Domain => &config.lists.domain,
                Sort::Url => &config.lists.url,
            };
            if lists.iter().any(|list| list.feed.name() == name) {
                return Err(Error::config(format!(
                    "two lists in `lists` are called {name:?}"
                )));
            }
            if name.len() > 63 {
                return Err(Error::config(format!(
                    "`lists.{}` has more than 63 characters",
                    sort.name()
                )));
            }
            lists.push(List {
                sort,
                feed: Feed::new(publish, name)?,
                pulled: Pulled::new(publish, name, &key),
            });
        }
        Ok(Self {
            connection,
            key,
            lists,
            capacity: config.capacity,
            activate: config.activate,
            seen: Seen::default(),
        })
    }

    /// Changes the lists that values stand in; one outcome per row.
    async fn change(&self, changes: &[Change<'_>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
        for list in &self.lists {
            let places: Vec<usize> = (0..changes.len())
                .filter(|&place| Sort::of(changes[place].0.kind()) == Some(list.sort))
                .collect();
            if places.is_empty() {
                continue;
            }
            let here: Vec<Change<'_>> = places.iter().map(|&place| changes[place]).collect();
            let changed = match list.pulled.forget().await {
                Ok(()) => {
                    list.feed
                        .change(&here, &self.seen, list.sort.render())
                        .await
                }
                Err(error) => Err(error),
            };
            let results = changed.unwrap_or_else(|error| {
                let copies = here.iter().map(|_| super::outcome_of(&error));
                copies.collect()
            });
            for (place, outcome) in places.into_iter().zip(results) {
                outcomes[place] = Some(outcome);
            }
        }
        let none = || Outcome::Rejected("no list is configured for this kind".to_owned());
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(none))
            .collect()
    }

    /// Has the device pull one list, and waits until it did.
    async fn refresh(&self, list: &List) -> Result<()> {
        let name = list.feed.name();
        // A run that died between record and text left a text that still shows what was taken off.
        list.feed.update(|_| {}, list.sort.render()).await?;
        let text = list.feed.read().await?.text.unwrap_or_default();
        let sort = list.sort.name();
        let command = format!(
            "<request><system><external-list><refresh><type><{sort}><name>{}</name></{sort}></type></refresh></external-list></system></request>",
            escape(name)
        );
        let request = api::operate(&self.connection.place, Safety::Idempotent, command);
        let what = format!("the refresh of {name}");
        let before = job::last(&self.connection, "EDLRefresh").await?;
        let answer = self
            .connection
            .get(request, &what)
            .await
            .map_err(|error| error.hint(format!("make an external dynamic list {name} of type {sort}, use it, commit; or name the one there is in `lists`")))?;
        let id = match answer.root.text_at(&["result", "job"]) {
            Some(id) => id.to_owned(),
            // The answer is not documented: where it names no job, the next one of its sort is it.
            None => job::after(&self.connection, "EDLRefresh", before, &what).await?,
        };
        let ended = job::ended(&self.connection, &id, &what).await?;
        if !ended.is_ok {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{what} failed: {}", ended.told),
            )
            .with("job", id)
            .hint(
                "look whether the device reaches the web server that serves the list, and gets in; until then it \
                 keeps what it had, or, where the server refuses it, possibly enforces nothing of the list",
            ));
        }
        list.pulled.note(&text).await
    }

    /// The lists whose text the device has not pulled, as far as we know.
    async fn behind(&self) -> Result<Vec<&List>> {
        let mut behind = Vec::new();
        for list in &self.lists {
            let snapshot = list.feed.read().await?;
            let Some(text) = snapshot.text else {
                // Nothing was ever published, or only the record came to be.
                if !snapshot.entries.is_empty() {
                    behind.push(list);
                }
                continue;
            };
            let stale = text != list.sort.render()(&snapshot.entries);
            if stale || !list.pulled.has(&text).await? {
                behind.push(list);
            }
        }
        Ok(behind)
    }
}

#[async_trait]
impl Target for Edl {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let system = self.connection.system_from(LEAST, "edl").await?;
        let big = ["PA-50", "PA-52", "PA-70"]
            .iter()
            .any(|series| system.model.starts_with(series));
        let pools = Sort::ALL.map(|sort| CapacityPool {
            kinds: sort.kinds().to_vec(),
            limit: self
                .capacity
                .unwrap_or(if big && sort == Sort::Ip { BIG } else { SMALL }),
        });
        Ok(Facts {
            version: Some(system.version_text),
            vendor_time: system.time,
            capacity: pools.into(),
            ..Facts::default()
        })
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        examine::examine(self, facts).await
    }

    fn accept(&self, value: &Value, _: &Facts) -> Result<Value, Rejection> {
        list::accept(value)
    }

    /// What is published. The device does not tell in a documented form what it holds.
    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        let mut seen = Vec::new();
        for list in &self.lists {
            let snapshot = list.feed.read().await?;
            let lines: std::collections::HashSet<&str> = snapshot
                .text
                .as_deref()
                .unwrap_or_default()
                .lines()
                .collect();
            for (value, mark) in &snapshot.entries {
                held.push(Held {
                    id: format!("{}:{value}", value.kind()).into(),
                    value: value.clone(),
                    note: Some(mark.as_str().into()),
                    expires: None,
                    container: None,
                    blocks: list::line(value).is_some_and(|line| lines.contains(line.as_str())),
                    allows: false,
                    conforms: true,
                    writable: true,
                });
            }
            seen.extend(snapshot.entries);
        }
        self.seen.replace(seen);
        if let Scope::Values(values) = scope {
            held.retain(|entry| values.contains(&entry.value));
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        self.change(&changes(batch)).await
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }

    fn calls(&self) -> Calls {
        self.connection.calls()
    }
}

#[async_trait]
impl Staged for Edl {
    async fn pending(&self) -> Result<Option<Pending>> {
        let behind = self.behind().await?;
        let names: Vec<&str> = behind.iter().map(|list| list.feed.name()).collect();
        Ok((!names.is_empty()).then(|| Pending {
            ours: Some(true),
            what: format!(
                "published and not yet pulled by our asking: {}",
                names.join(", ")
            ),
        }))
    }

    async fn commit(&self) -> Result<()> {
        let mut first = None;
        for list in self.behind().await? {
            if let Err(error) = self.refresh(list).await {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// What is published may have been pulled already.
    async fn discard(&self) -> Result<bool> {
        Ok(false)
    }

    fn activate(&self) -> Activate {
        self.activate
    }

    fn enforced_anyway(&self) -> Option<&'static str> {
        Some("the device pulls its lists by itself, every five minutes at the earliest")
    }
}
