//! `feed`: external resources that the firewall pulls from a list that we publish. The list is wholly ours
//! and carries every entry's mark beside it; a change acts once the firewall has pulled it, which it is
//! asked to do and which is waited for.

mod pull;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sdk::feed::{Change, Entries, Seen, changes};
use sdk::indicator::{Kind, Value};
use sdk::target::{
    Batch, Calls, Capabilities, CapacityPool, EndKnownBy, Facts, Finding, Foreign, Granularity,
    Held, Login, Outcome, Pending, Proof, Rejection, Scope, Staged, Target, TargetKey,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::connection::{Connection, Version, missing_right, name_right};
use super::rows::everywhere;
use super::threat_feed::{Group, PAGE, Threats, resource};
use crate::api::{self, FeedRow, Page, Pull};
use crate::config::Config;
use pull::{Acting, is_current};

/// Malware feeds came with this version, the others before.
const HASHES: Version = (6, 2, 0);

/// What pulled feeds can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    mechanism: "feed",
    summary: "lists that we publish and the firewall pulls into threat feeds (any FortiOS with threat feeds)",
    kinds: resource::KINDS,
    end_known_by: EndKnownBy::Mark,
    native_end: None,
    // Beside the list, where no vendor counts characters.
    proof: Proof::Mark { max_length: 4_000 },
    foreign: Foreign::Coexists,
    granularity: Granularity::Feed,
    write_batch: 10_000,
    remove_batch: 10_000,
    list_page: PAGE,
    lookup_batch: 0,
    capacity: None,
    staged: true,
    rate: &[],
    rights: &["sysgrp read and write (system configuration)"],
};

/// One list, and the feed that pulls it.
struct List {
    group: Group,
    name: String,
    published: sdk::feed::Feed,
}

/// Pulled feeds of one firewall and VDOM.
pub(crate) struct PulledFeed {
    threats: Threats,
    key: TargetKey,
    lists: Vec<List>,
    behind: Mutex<Behind>,
    seen: Seen,
}

/// Lists of which the firewall holds another text than is published, as far as is known, and why nothing can be
/// pulled where that is so.
type Behind = BTreeMap<Group, Option<Finding>>;

/// What stands in a list without entries: whether an empty file is taken for an empty list, or for a
/// failure that keeps the last one, is not documented. Nothing in the world has these values.
fn placeholder(group: Group) -> &'static str {
    match group {
        Group::Ip => "192.0.2.1",
        Group::Domain => "cordon-placeholder.invalid",
        Group::Url => "http://cordon-placeholder.invalid/",
        Group::Hash => "00000000000000000000000000000000",
    }
}

fn lines(entries: &Entries) -> String {
    let mut text = String::with_capacity(entries.len() * 24);
    for value in entries.keys() {
        text.push_str(&value.to_string());
        text.push('\n');
    }
    text
}

fn or_placeholder(text: String, group: Group) -> String {
    if text.is_empty() {
        format!("{}\n", placeholder(group))
    } else {
        text
    }
}

/// The text of each sort of list.
fn render(group: Group) -> fn(&Entries) -> String {
    match group {
        Group::Ip => |entries| or_placeholder(lines(entries), Group::Ip),
        Group::Domain => |entries| or_placeholder(lines(entries), Group::Domain),
        Group::Url => |entries| or_placeholder(lines(entries), Group::Url),
        Group::Hash => |entries| or_placeholder(lines(entries), Group::Hash),
    }
}

impl PulledFeed {
    pub(crate) fn new(
        config: &Config,
        kinds: &[Kind],
        connection: Connection,
        key: TargetKey,
    ) -> Result<Self> {
        let publish = config.publish.as_ref().ok_or_else(|| {
            Error::config("`publish` is missing: there is nowhere to put the lists that firewalls pull").hint(
                "set `publish = { directory = \"…\" }` to a folder that a web server shows to the firewalls",
            )
        })?;
        let lists = resource::chosen(&config.lists, kinds)
            .into_iter()
            .map(|(group, name)| {
                Ok(List {
                    group,
                    published: sdk::feed::Feed::new(publish, &name)?,
                    name,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            threats: Threats { connection },
            key,
            lists,
            behind: Mutex::default(),
            seen: Seen::default(),
        })
    }

    fn list_of(&self, kind: Kind) -> Option<&List> {
        let group = Group::of(kind);
        self.lists.iter().find(|list| list.group == group)
    }

    fn behind(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `check` says of one feed; `Err` if nothing can be pulled into it.
    fn inspect<'a>(
        &self,
        list: &List,
        rows: &'a [FeedRow],
    ) -> std::result::Result<&'a FeedRow, Finding> {
        let name = &list.name;
        let creation = || creation_hint(list);
        let row = resource::find(rows, list.group, name, creation)?;
        let unusable = |message, hint| Err(resource::unusable(name, message, hint));
        // Old firmware does not name the one method that it has.
        if !matches!(row.update_method.as_str(), "" | "feed") {
            return unusable(
                format!("{name} is fed by push and pulls nothing"),
                creation(),
            );
        }
        if row.resource.is_empty() {
            return unusable(format!("{name} names no URL to pull from"), creation());
        }
        if row.status == "disable" {
            let hint = format!(
                "on the firewall: config system external-resource; edit \"{name}\"; set status enable; next; end"
            );
            return unusable(format!("{name} is disabled: it blocks nothing"), hint);
        }
        Ok(row)
    }

    /// Changes lists; one outcome per row.
    async fn change(&self, changes: &[Change<'_>]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = changes.iter().map(|_| None).collect();
        for list in &self.lists {
            let places: Vec<usize> = (0..changes.len())
                .filter(|&place| Group::of(changes[place].0.kind()) == list.group)
                .collect();
            if places.is_empty() {
                continue;
            }
            let here: Vec<Change<'_>> = places.iter().map(|&place| changes[place]).collect();
            let published = &list.published;
            let changed = published
                .change(&here, &self.seen, render(list.group))
                .await;
            self.behind().entry(list.group).or_default();
            let results = changed.unwrap_or_else(|error| everywhere(places.len(), error));
            for (place, outcome) in places.into_iter().zip(results) {
                outcomes[place] = Some(outcome);
            }
        }
        let none = || Outcome::Rejected("no list takes this kind".to_owned());
        let outcomes = outcomes.into_iter();
        outcomes
            .map(|outcome| outcome.unwrap_or_else(none))
            .collect()
    }
}

fn creation_hint(list: &List) -> String {
    let commands = resource::commands(
        list.group,
        &list.name,
        "set resource \"<its URL>\"; set server-identity-check full",
    );
    format!(
        "serve the published {}.txt over https, and {commands}",
        list.name
    )
}

#[async_trait]
impl Target for PulledFeed {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let (text, version, vendor_time) = self.threats.connection.status().await?;
        let mut facts = Facts {
            version: Some(text.clone()),
            vendor_time,
            ..Facts::default()
        };
        let rows = self.threats.rows().await?;
        let mut first_missing = None;
        for list in &self.lists {
            let kinds = list.group.kinds();
            if list.group == Group::Hash && version < HASHES {
                let why = format!("FortiOS {text} has no threat feeds for hashes");
                facts
                    .unavailable
                    .extend(kinds.iter().map(|kind| (*kind, why.clone())));
                continue;
            }
            if let Err(finding) = self.inspect(list, &rows) {
                if !list.published.read().await?.entries.is_empty() {
                    // It is kept right for the day on which it is pulled again; until then the commit says
                    // what is wrong.
                    facts.capacity.push(CapacityPool {
                        kinds: kinds.to_vec(),
                        limit: list.group.documented_limit(version),
                    });
                    continue;
                }
                facts
                    .unavailable
                    .extend(kinds.iter().map(|kind| (*kind, finding.message.clone())));
                first_missing.get_or_insert(finding);
                continue;
            }
            let pool = self
                .threats
                .pool(list.group, &list.name, &rows, version)
                .await?;
            facts.capacity.push(pool);
        }
        if facts.capacity.is_empty() {
            return Err(resource::none_usable(
                first_missing,
                &self.threats.connection,
            ));
        }
        Ok(facts)
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let rows = match self.threats.rows().await {
            Ok(rows) => rows,
            Err(error) => return missing_right(error, "feeds"),
        };
        let mut findings = Vec::new();
        let mut may_refresh = None;
        for list in &self.lists {
            findings.push(list.published.examine().await);
            if let Err(finding) = self.inspect(list, &rows) {
                findings.push(finding);
                continue;
            }
            findings.push(self.last_pull(list).await?);
            let connection = &self.threats.connection;
            findings.push(
                connection
                    .usage(
                        "system",
                        "external-resource",
                        &list.name,
                        list.group.place(),
                    )
                    .await?,
            );
            if may_refresh.is_none() {
                // Asks how a refresh goes and starts none, and needs the same right.
                let request = api::refresh(self.threats.vdom(), &list.name, Pull::Ask);
                let response = connection.send(request).await?;
                let asked = Page::<api::Refresh>::read(&response, "refresh of a feed");
                may_refresh = Some(match asked {
                    Err(error) if error.kind() == ErrorKind::Denied => {
                        missing_right(name_right(error, "sysgrp", "write"), "refresh right")?
                    }
                    _ => Vec::new(),
                });
            }
        }
        findings.extend(may_refresh.into_iter().flatten());
        Ok(findings)
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        resource::accept(value, facts, self.list_of(value.kind()).is_some())
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let rows = self.threats.rows().await?;
        let mut held = Vec::new();
        let mut seen = Vec::new();
        for list in &self.lists {
            let unusable = self.inspect(list, &rows).err();
            let published = list.published.read().await?;
            let acting = match &unusable {
                None => self.acting(list).await?,
                Some(_) if published.entries.is_empty() => continue,
                Some(_) => Acting::new(),
            };
            if unusable.is_none() && is_current(list.group, &published, &acting) {
                self.behind().remove(&list.group);
            } else {
                self.behind().insert(list.group, unusable);
            }
            for (value, note) in published.entries {
                seen.push((value.clone(), note.clone()));
                let wanted = match scope {
                    Scope::All => true,
                    Scope::Values(values) => values.contains(&value),
                };
                if wanted {
                    held.push(Held {
                        id: value.to_string().into(),
                        blocks: acting.get(&value) == Some(&true),
                        value,
                        note: Some(note.into()),
                        expires: None,
                        container: None,
                        allows: false,
                        conforms: true,
                        writable: true,
                    });
                }
            }
        }
        self.seen.replace(seen);
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        self.change(&changes(batch)).await
    }

    fn login(&self) -> Option<Login> {
        Some(self.threats.connection.login())
    }

    fn staged(&self) -> Option<&dyn Staged> {
        Some(self)
    }

    fn calls(&self) -> Calls {
        self.threats.connection.calls()
    }

    async fn close(&self) {
        self.threats.connection.close().await;
    }
}

#[async_trait]
impl Staged for PulledFeed {
    async fn pending(&self) -> Result<Option<Pending>> {
        let behind = self.lists_behind();
        let names: Vec<&str> = behind.iter().map(|list| list.name.as_str()).collect();
        Ok((!names.is_empty()).then(|| Pending {
            ours: Some(true),
            what: format!("published and not pulled yet: {}", names.join(", ")),
        }))
    }

    async fn commit(&self) -> Result<()> {
        let mut first_error = None;
        for list in self.lists_behind() {
            match self.pull(list).await {
                Ok(()) => {
                    self.behind().remove(&list.group);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// What is published stays so: the firewall pulls it by itself sooner or later.
    async fn discard(&self) -> Result<bool> {
        Ok(false)
    }

    fn enforced_anyway(&self) -> Option<&'static str> {
        Some("the firewall pulls the list by itself at its refresh rate")
    }
}
