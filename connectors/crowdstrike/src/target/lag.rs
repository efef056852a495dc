//! Searches lag behind writes: what was written a moment ago is read by id, and waited for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use sdk::Result;
use sdk::http::poll;
use sdk::indicator::Value;
use sdk::target::{Held, Scope};

use super::{Falcon, Written};

/// How often a search is asked whether it shows our last write, and for how long. The vendor promises
/// nothing; its own tests expect about a second.
const SETTLE_INTERVAL: Duration = Duration::from_secs(1);
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

impl Falcon {
    /// Puts right what a listing does not know yet of our own writes.
    pub(super) async fn catch_up(&self, held: &mut Vec<Held>, scope: Scope<'_>) -> Result<()> {
        let unseen: BTreeMap<String, Written> = {
            let mut written = self.written();
            if written.is_empty() {
                return Ok(());
            }
            let values: Option<BTreeSet<&Value>> = match scope {
                Scope::All => None,
                Scope::Values(values) => Some(values.iter().collect()),
            };
            let asked = |written: &Written| {
                let among = |values: &BTreeSet<&Value>| values.contains(&written.value);
                values.as_ref().is_none_or(among)
            };
            let listed: HashMap<&str, &Held> = held
                .iter()
                .map(|entry| (entry.id.as_ref(), entry))
                .collect();
            written.retain(|id, written| {
                !asked(written) || !written.is_shown_by(listed.get(id.as_str()).copied())
            });
            written
                .iter()
                .filter(|(_, written)| asked(written))
                .map(|(id, written)| (id.clone(), written.clone()))
                .collect()
        };
        if unseen.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = unseen.keys().map(String::as_str).collect();
        let mut now = self.by_id(&ids).await?;
        held.retain(|entry| !unseen.contains_key(entry.id.as_ref()));
        let mut latest: Option<(&String, &Written)> = None;
        for (id, written) in &unseen {
            let entry = now.remove(id);
            if !written.is_shown_by(entry.as_ref()) {
                // Somebody else changed it after us.
                self.written().remove(id);
            } else if latest.is_none_or(|(_, latest)| latest.order < written.order) {
                latest = Some((id, written));
            }
            held.extend(entry);
        }
        match latest {
            Some((id, written)) => self.settle(id, written).await,
            None => Ok(()),
        }
    }

    /// Waits until searches show the latest write, so that the next run's listing, which remembers
    /// nothing, shows it too. Writes come into view in their order. What takes longer is not waited for.
    async fn settle(&self, id: &str, written: &Written) -> Result<()> {
        let shown = |found: &[Held]| {
            let entry = found.iter().find(|entry| entry.id.as_ref() == id);
            written.is_shown_by(entry)
        };
        if self.wait_for(&written.value, shown).await? {
            self.written()
                .retain(|_, other| other.order > written.order);
        }
        Ok(())
    }

    /// Waits until a search by value shows something; `false` if that takes too long.
    async fn wait_for(&self, value: &Value, shown: impl Fn(&[Held]) -> bool) -> Result<bool> {
        let ask = || async {
            let found = self.search(std::slice::from_ref(value)).await;
            // A failure ends the wait, and is not the same as its end.
            Ok(match found {
                Ok(found) => shown(&found).then_some(Ok(())),
                Err(error) => Some(Err(error)),
            })
        };
        let waited = poll(
            self.client.clock(),
            "falcon search",
            SETTLE_INTERVAL,
            SETTLE_LIMIT,
            ask,
        );
        match waited.await {
            Ok(answer) => answer.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// Adds what the vendor called a duplicate and a listing does not show yet: somebody, perhaps a run
    /// of ours that was cut off, wrote it a moment ago.
    pub(super) async fn reveal(&self, held: &mut Vec<Held>) -> Result<()> {
        let duplicates = std::mem::take(&mut *self.duplicates());
        let listed: BTreeSet<&Value> = held.iter().map(|entry| &entry.value).collect();
        let hidden: Vec<Value> = duplicates
            .into_iter()
            .filter(|value| !listed.contains(value))
            .collect();
        if let Some(last) = hidden.last() {
            self.wait_for(last, |found| !found.is_empty()).await?;
            held.extend(self.search(&hidden).await?);
        }
        Ok(())
    }
}
