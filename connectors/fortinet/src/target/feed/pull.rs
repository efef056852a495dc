//! Asking the firewall to pull, waiting until it did, and looking what it holds then.

use std::collections::HashMap;
use std::time::Duration;

use sdk::feed::Snapshot;
use sdk::http::poll;
use sdk::indicator::Value;
use sdk::target::{Finding, Level};
use sdk::{Error, ErrorKind, Result, Retry};

use super::{List, PulledFeed, placeholder};
use crate::api::{self, Page, Pull, Refresh};
use crate::target::connection::name_right;
use crate::target::threat_feed::{Group, resource, subject};

/// How often the firewall is asked whether it has pulled.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long that may take.
const LONGEST: Duration = Duration::from_secs(300);

/// What a firewall holds: values, and whether they act.
pub(super) type Acting = HashMap<Value, bool>;

/// Whether the firewall holds what is published, no more and no less. A list that was never published holds
/// nothing of ours.
pub(super) fn is_current(group: Group, published: &Snapshot, acting: &Acting) -> bool {
    if published.text.is_none() && published.entries.is_empty() {
        return true;
    }
    let filler = group.read(placeholder(group));
    let real = acting
        .keys()
        .filter(|value| Some(*value) != filler.as_ref());
    real.count() == published.entries.len()
        && published
            .entries
            .keys()
            .all(|value| acting.contains_key(value))
        && published.text.as_deref() == Some(super::render(group)(&published.entries).as_str())
}

impl PulledFeed {
    /// What the firewall holds of one list now.
    pub(super) async fn acting(&self, list: &List) -> Result<Acting> {
        let content = self.threats.content(&list.name).await?;
        let mut acting = Acting::with_capacity(content.lines.len());
        for (line, acts) in content.lines {
            if let Some(value) = list.group.read(&line) {
                *acting.entry(value).or_default() |= acts;
            }
        }
        Ok(acting)
    }

    /// The lists that the firewall has not pulled as they are published, as far as is known.
    pub(super) fn lists_behind(&self) -> Vec<&List> {
        let behind = self.behind();
        self.lists
            .iter()
            .filter(|list| behind.contains_key(&list.group))
            .collect()
    }

    /// Has one list pulled. Until the firewall has it, it keeps the last one.
    pub(super) async fn pull(&self, list: &List) -> Result<()> {
        // A text that somebody changed by hand is written anew first.
        list.published
            .update(|_| {}, super::render(list.group))
            .await?;
        let connection = &self.threats.connection;
        let unusable = self.behind().get(&list.group).cloned().flatten();
        if let Some(finding) = unusable {
            return Err(resource::none_usable(Some(finding), connection));
        }
        let vdom = &connection.vdom;
        let named = |error: Error| name_right(error, "sysgrp", "write").with("feed", &list.name);
        let asked = |pull| async move {
            let response = connection
                .send(api::refresh(vdom, &list.name, pull))
                .await?;
            Ok(Page::<Refresh>::read(&response, "refresh of a feed")?.results)
        };
        let started = asked(Pull::Start).await.map_err(named)?;
        if started.status == "error" {
            return Err(self.failed(list).await);
        }
        let clock = connection.clock();
        let ended = poll(clock, "the pull of a feed", INTERVAL, LONGEST, || async {
            let told = asked(Pull::Ask).await?;
            Ok(match told.status.as_str() {
                "start" | "pending" => None,
                other => Some(other == "finished"),
            })
        });
        if !ended.await.map_err(named)? {
            return Err(self.failed(list).await);
        }
        let brief = self.threats.page(&list.name, 0, 1).await?;
        if matches!(brief.status.as_str(), "error" | "unavailable") {
            return Err(self.failed(list).await);
        }
        let published = list.published.read().await?;
        let acting = self.acting(list).await?;
        if is_current(list.group, &published, &acting) {
            return Ok(());
        }
        if brief.overflow {
            return Err(Error::new(
                ErrorKind::Full,
                "the firewall cuts the list: its quota for this type of feed is used up",
            )
            .with("feed", &list.name)
            .hint("leave fewer entries in the other feeds of this type, or block less"));
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the firewall says that it pulled the list, and holds another one than is published",
        )
        .with("feed", &list.name)
        .retry(Retry::Later(None))
        .hint(format!(
            "check that `resource` of {0} on the firewall is the URL of the published {0}.txt, and that no cache \
             stands in between",
            list.name
        )))
    }

    /// Why a pull failed, in the firewall's words.
    async fn failed(&self, list: &List) -> Error {
        let error = Error::new(
            ErrorKind::Unavailable,
            "the firewall could not pull the list, and keeps the one that it had",
        )
        .with("feed", &list.name)
        .retry(Retry::Later(None))
        .hint(format!(
            "serve the published {}.txt at the URL in `resource` of that feed, with a certificate that the \
             firewall trusts",
            list.name
        ));
        match self.threats.page(&list.name, 0, 1).await {
            Ok(brief) => brief.told_by(error),
            Err(_) => error,
        }
    }

    /// For `check`: how the last pull went.
    pub(super) async fn last_pull(&self, list: &List) -> Result<Finding> {
        let brief = self.threats.page(&list.name, 0, 1).await?;
        let finding = |level, message, hint| Finding {
            level,
            subject: subject(&list.name),
            message,
            hint,
        };
        Ok(match brief.status.as_str() {
            "error" | "unavailable" => {
                let never = list.published.read().await?.text.is_none();
                let error =
                    brief.told_by(Error::new(ErrorKind::Unavailable, "the last pull failed"));
                let hint = if never {
                    "nothing was published yet: the first block makes the file".to_owned()
                } else {
                    format!(
                        "serve the published {}.txt at the URL in `resource`",
                        list.name
                    )
                };
                finding(
                    Level::Warning,
                    format!("{}: {error}", list.name),
                    Some(hint),
                )
            }
            _ => finding(
                Level::Ok,
                format!("{} holds {} entries", list.name, brief.valid_count),
                None,
            ),
        })
    }
}
