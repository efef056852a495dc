//! What pushed and pulled threat feeds have in common: their types, their quotas, and how their content is
//! read whole.

mod group;
pub(super) mod resource;

use sdk::target::CapacityPool;
use sdk::{Error, ErrorKind, Result, Retry};

use super::connection::{Connection, Version, name_right};
use crate::api::{self, EntryList, FeedRow, Page};
pub(super) use group::Group;

/// From here on the feeds of one type share a quota; before, each feed had [`OLD_LIMIT`] entries.
pub(super) const SHARED_QUOTA: Version = (7, 4, 4);
pub(super) const OLD_LIMIT: usize = 131_072;
/// Entries asked for at once.
pub(super) const PAGE: usize = 50_000;
/// Tries to read a feed that changes while it is read.
const LISTINGS: usize = 3;

/// A feed's content.
pub(super) struct Content {
    /// Lines, each with whether it acts.
    pub(super) lines: Vec<(String, bool)>,
    pub(super) overflow: bool,
}

/// The threat feeds of one firewall and VDOM.
pub(super) struct Threats {
    pub(super) connection: Connection,
}

impl Threats {
    pub(super) fn vdom(&self) -> &str {
        &self.connection.vdom
    }

    pub(super) async fn rows(&self) -> Result<Vec<FeedRow>> {
        let what = "external resources";
        self.connection
            .read::<Vec<FeedRow>>(api::feeds(&self.connection.vdom), what)
            .await
            .map_err(|error| name_right(error, "sysgrp", "read"))?
            .complete(what)
    }

    pub(super) async fn page(&self, feed: &str, start: usize, count: usize) -> Result<EntryList> {
        let request = api::entries(&self.connection.vdom, feed, start, count);
        let page: Page<EntryList> = self.connection.read(request, "entry list").await?;
        Ok(page.results)
    }

    /// Reads a feed whole, or fails.
    pub(super) async fn content(&self, feed: &str) -> Result<Content> {
        for _ in 0..LISTINGS {
            if let Some(content) = self.content_once(feed).await? {
                return Ok(content);
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the feed keeps changing while it is read",
        )
        .with("feed", feed)
        .retry(Retry::Later(None)))
    }

    /// `None` if the feed changed between two pages.
    pub(super) async fn content_once(&self, feed: &str) -> Result<Option<Content>> {
        let mut lines: Vec<(String, bool)> = Vec::new();
        let first = self.page(feed, 0, PAGE).await?;
        let total = first.valid_count + first.invalid_count;
        let (overflow, accepted) = (first.overflow, first.accepted_count);
        let mut page = first;
        loop {
            if (page.valid_count + page.invalid_count, page.overflow) != (total, overflow) {
                return Ok(None);
            }
            let came = page.entries.len();
            lines.extend(
                page.entries
                    .into_iter()
                    .map(|line| (line.entry, line.valid)),
            );
            // A page longer than was asked for is the whole list: paging is not known there.
            if lines.len() >= total || came > PAGE {
                break;
            }
            if came == 0 {
                if overflow {
                    // What was cut off is counted and not shown.
                    break;
                }
                return Err(Error::protocol(format!(
                    "the feed ends after {} of {total} entries",
                    lines.len()
                ))
                .with("feed", feed));
            }
            page = self.page(feed, lines.len(), PAGE).await?;
        }
        if overflow {
            let acting = accepted.unwrap_or(OLD_LIMIT);
            for (_, acts) in lines.iter_mut().skip(acting) {
                *acts = false;
            }
        }
        Ok(Some(Content { lines, overflow }))
    }

    /// Room for our entries: the quota, less what other feeds take of it where it is shared.
    pub(super) async fn pool(
        &self,
        group: Group,
        name: &str,
        rows: &[FeedRow],
        version: Version,
    ) -> Result<CapacityPool> {
        let brief = self.page(name, 0, 1).await?;
        let mut limit = brief
            .accepted_limit
            .unwrap_or_else(|| group.documented_limit(version));
        if version >= SHARED_QUOTA {
            for other in rows {
                if other.kind == group.feed_type() && other.name != name {
                    let counts = self.page(&other.name, 0, 1).await?;
                    limit =
                        limit.saturating_sub(counts.accepted_count.unwrap_or(counts.valid_count));
                }
            }
        }
        Ok(CapacityPool {
            kinds: group.kinds().to_vec(),
            limit,
        })
    }
}

pub(super) fn subject(feed: &str) -> std::borrow::Cow<'static, str> {
    format!("feed {feed}").into()
}
