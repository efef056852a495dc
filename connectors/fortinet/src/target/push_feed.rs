//! `push-feed`: external resources that take entries by API. A feed is a plain list of lines that the
//! firewall keeps as they were sent; a firewall policy or security profile of the administrator's makes
//! it block.

mod push;

use sdk::connector::Environment;
use sdk::indicator::{Kind, Value};
use sdk::ownership::{Owner, container_mark, container_owner};
use sdk::target::{
    Batch, Calls, Capabilities, EndKnownBy, Facts, Finding, Foreign, Granularity, Held, Level,
    Login, Outcome, Proof, Rejection, Scope, Target, TargetKey,
};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::connection::{Connection, Version};
use super::threat_feed::{Group, PAGE, Threats, resource, subject};
use crate::api::{Command, FeedRow};
use crate::config::Config;

/// Push feeds came with this version.
const FIRST_VERSION: Version = (7, 2, 1);

/// What push feeds can do.
pub(crate) const CAPABILITIES: Capabilities = Capabilities {
    mechanism: "push-feed",
    summary: "entries pushed into threat feeds that a policy or profile blocks (FortiOS 7.2.1 and later)",
    kinds: resource::KINDS,
    end_known_by: EndKnownBy::Ledger,
    native_end: None,
    proof: Proof::Container,
    foreign: Foreign::Listed,
    granularity: Granularity::Feed,
    write_batch: 10_000,
    remove_batch: 10_000,
    list_page: PAGE,
    lookup_batch: 0,
    capacity: None,
    staged: false,
    rate: &[],
    rights: &[
        "sysgrp read and write (system configuration)",
        "fwgrp read is not needed",
    ],
};

/// A feed that we push into.
struct Feed {
    group: Group,
    name: String,
}

/// Push feeds of one firewall and VDOM.
pub(crate) struct PushFeed {
    threats: Threats,
    key: TargetKey,
    feeds: Vec<Feed>,
    installation: String,
    owner: Option<String>,
}

impl PushFeed {
    pub(crate) fn new(
        config: &Config,
        kinds: &[Kind],
        connection: Connection,
        key: TargetKey,
        environment: &Environment,
    ) -> Self {
        let feeds = resource::chosen(&config.feeds, kinds)
            .into_iter()
            .map(|(group, name)| Feed { group, name })
            .collect();
        Self {
            threats: Threats { connection },
            key,
            feeds,
            installation: environment.installation.clone(),
            owner: config.feed_owner.clone(),
        }
    }

    fn feed(&self, kind: Kind) -> Option<&Feed> {
        self.feeds.iter().find(|feed| feed.group == Group::of(kind))
    }

    /// What `check` says of one feed; `Err` if it cannot be pushed into.
    fn inspect<'a>(
        &self,
        feed: &Feed,
        rows: &'a [FeedRow],
    ) -> std::result::Result<&'a FeedRow, Finding> {
        let creation = || resource::commands(feed.group, &feed.name, "set update-method push");
        let row = resource::find(rows, feed.group, &feed.name, creation)?;
        if row.update_method != "push" {
            let message = format!("{} is not fed by push", feed.name);
            return Err(resource::unusable(&feed.name, message, creation()));
        }
        Ok(row)
    }

    fn owner_of(&self, row: &FeedRow) -> Option<Owner> {
        container_owner(&row.comments, &self.installation, &row.name)
    }

    fn owner_finding(&self, row: &FeedRow) -> Finding {
        if let Some(owner) = self.owner_of(row) {
            return Finding {
                level: Level::Ok,
                subject: "feed owner".into(),
                message: format!("{} belongs to {owner}", row.name),
                hint: None,
            };
        }
        let hint = match self.owner.as_deref().map(Owner::new) {
            Some(Ok(owner)) => format!(
                "to make the feed wholly its own, set its comments to: {}",
                container_mark(&self.installation, &owner, &row.name)
            ),
            _ => "set `feed_owner` to a deployment's name, and `check` shows the comments that make the feed its own"
                .to_owned(),
        };
        Finding {
            level: Level::Ok,
            subject: "feed owner".into(),
            message: format!(
                "the comments of {} name no owner: the ledger decides what in it is ours",
                row.name
            ),
            hint: Some(hint),
        }
    }
}

#[async_trait]
impl Target for PushFeed {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    fn key(&self) -> &TargetKey {
        &self.key
    }

    async fn open(&self) -> Result<Facts> {
        let (text, version, vendor_time) = self.threats.connection.status().await?;
        if version < FIRST_VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "push feeds need FortiOS 7.2.1 or later",
            )
            .with("firewall", &self.threats.connection.host)
            .with("version", text)
            .hint("set `mechanism` to \"address-group\" for this firewall"));
        }
        let mut facts = Facts {
            version: Some(text),
            vendor_time,
            ..Facts::default()
        };
        let rows = self.threats.rows().await?;
        let mut owners = Vec::new();
        let mut first_missing = None;
        for feed in &self.feeds {
            let row = match self.inspect(feed, &rows) {
                Ok(row) => row,
                Err(finding) => {
                    let kinds = feed.group.kinds().iter();
                    facts
                        .unavailable
                        .extend(kinds.map(|kind| (*kind, finding.message.clone())));
                    first_missing.get_or_insert(finding);
                    continue;
                }
            };
            facts.capacity.push(
                self.threats
                    .pool(feed.group, &feed.name, &rows, version)
                    .await?,
            );
            owners.push(self.owner_of(row));
        }
        if owners.is_empty() {
            // Without a single feed there is nothing to push into.
            return Err(resource::none_usable(
                first_missing,
                &self.threats.connection,
            ));
        }
        // One owner for all of them, or the ledger decides.
        facts.container = owners
            .windows(2)
            .all(|pair| pair[0] == pair[1])
            .then(|| owners[0].clone())
            .flatten();
        Ok(facts)
    }

    async fn examine(&self, _: &Facts) -> Result<Vec<Finding>> {
        let rows = self.threats.rows().await?;
        let mut findings = Vec::new();
        for feed in &self.feeds {
            let row = match self.inspect(feed, &rows) {
                Ok(row) => row,
                Err(finding) => {
                    findings.push(finding);
                    continue;
                }
            };
            findings.push(Finding {
                level: Level::Ok,
                subject: subject(&feed.name),
                message: format!("{} takes pushed entries", feed.name),
                hint: None,
            });
            if row.status == "disable" {
                findings.push(Finding {
                    level: Level::Warning,
                    subject: "feed status".into(),
                    message: format!("{} is disabled: it blocks nothing", feed.name),
                    hint: Some("set status enable".to_owned()),
                });
            }
            findings.push(self.owner_finding(row));
            findings.push(
                self.threats
                    .connection
                    .usage(
                        "system",
                        "external-resource",
                        &feed.name,
                        feed.group.place(),
                    )
                    .await?,
            );
        }
        Ok(findings)
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        resource::accept(value, facts, self.feed(value.kind()).is_some())
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let rows = self.threats.rows().await?;
        let mut held = Vec::new();
        for feed in &self.feeds {
            if let Scope::Values(values) = scope
                && !values
                    .iter()
                    .any(|value| Group::of(value.kind()) == feed.group)
            {
                continue;
            }
            let Ok(row) = self.inspect(feed, &rows) else {
                continue;
            };
            let owner = self.owner_of(row);
            let enabled = row.status != "disable";
            let content = self.threats.content(&feed.name).await?;
            let mut seen = std::collections::HashSet::new();
            for (line, acts) in content.lines {
                let Some(value) = feed.group.read(&line) else {
                    continue;
                };
                let wanted = match scope {
                    Scope::All => true,
                    Scope::Values(values) => values.contains(&value),
                };
                // The same line twice is one entry: one removal takes it out.
                if !wanted || !seen.insert(line.clone()) {
                    continue;
                }
                held.push(Held {
                    id: line.into_boxed_str(),
                    value,
                    note: None,
                    expires: None,
                    container: owner.clone(),
                    blocks: enabled && acts,
                    allows: false,
                    conforms: true,
                    writable: true,
                });
            }
            if content.overflow {
                tracing::warn!(
                    feed = feed.name,
                    "the feed holds more than the firewall takes"
                );
            }
        }
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        match batch {
            Batch::Add(writes) => {
                let rows: Vec<_> = writes
                    .iter()
                    .map(|write| (&write.value, write.value.to_string()))
                    .collect();
                self.by_feed(Command::Add, &rows).await
            }
            // A line has neither note nor end: there is nothing to change in it.
            Batch::Update(writes) => writes.iter().map(|_| Outcome::Done).collect(),
            Batch::Remove(removals) => {
                let rows: Vec<_> = removals
                    .iter()
                    .map(|removal| (&removal.value, removal.id.to_string()))
                    .collect();
                self.by_feed(Command::Remove, &rows).await
            }
        }
    }

    fn login(&self) -> Option<Login> {
        Some(self.threats.connection.login())
    }

    fn calls(&self) -> Calls {
        self.threats.connection.calls()
    }

    async fn close(&self) {
        self.threats.connection.close().await;
    }
}
