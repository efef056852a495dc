//! A category's ranges are written whole, so a network and what is left of it change places in one call.

use sdk::async_trait;
use sdk::indicator::Value;
use sdk::target::{Outcome, Removal, Replacing, Write};

use super::UrlCategory;
use crate::api::{self, Action, Verdict};
use crate::target::outcome::share;
use crate::target::packing::Packing;
use crate::target::shards::read_handle;

#[async_trait]
impl Replacing for UrlCategory {
    async fn replace(&self, writes: &[Write], removals: &[Removal]) -> Vec<Outcome> {
        if removals.is_empty() {
            return self.add(writes).await;
        }
        self.swap(writes, removals).await
    }
}

impl UrlCategory {
    /// What one call can of a replacement: the networks of the first one's category, and what is left of these.
    async fn swap(&self, writes: &[Write], removals: &[Removal]) -> Vec<Outcome> {
        let rows = writes.len() + removals.len();
        let shards = match self.known_shards().await {
            Ok(shards) => shards,
            Err(error) => return share(error, rows, Outcome::Failed),
        };
        let mut id: Option<&str> = None;
        let mut gone = Packing::default();
        let mut wholes: Vec<&Value> = Vec::new();
        for (index, removal) in removals.iter().enumerate() {
            let (category, _, text) = match read_handle(&removal.id) {
                Ok(parts) => parts,
                Err(error) => return share(error, rows, Outcome::Failed),
            };
            if *id.get_or_insert(category) == category {
                gone.ranges.push((writes.len() + index, text.to_owned()));
                wholes.push(&removal.value);
            }
        }
        let mut parts = Packing::default();
        for (index, write) in writes.iter().enumerate() {
            if wholes.iter().any(|whole| lies_in(&write.value, whole)) {
                parts.ranges.push((index, write.value.to_string()));
            }
        }
        let vanished = || {
            let mut done = self.vanished(&parts, Action::Add);
            done.extend(self.vanished(&gone, Action::Remove));
            done
        };
        let done = match id.and_then(|id| shards.get(id)) {
            None => vanished(),
            Some(shard) => match self.category(&shard.id).await {
                Ok(None) => vanished(),
                Err(error) => share(error, parts.len() + gone.len(), Outcome::Failed),
                Ok(Some(category)) => {
                    let left = gone.ranges_after(Action::Remove, category.ip_ranges);
                    let ranges = parts.ranges_after(Action::Add, left);
                    let request = api::change_category(
                        &shard.id,
                        &shard.name,
                        Action::Remove,
                        &[],
                        Some(&ranges),
                    );
                    let (verdict, _) = self.tenant.write(request, "URL category").await;
                    match verdict {
                        Verdict::Missing(_) => vanished(),
                        verdict => {
                            let both = Packing {
                                urls: Vec::new(),
                                ranges: [&parts.ranges[..], &gone.ranges[..]].concat(),
                            };
                            self.settle(verdict, &both, None, Action::Add).await
                        }
                    }
                }
            },
        };
        parts.ranges.append(&mut gone.ranges);
        parts.unpack(done, rows, "in another category")
    }
}

fn lies_in(part: &Value, whole: &Value) -> bool {
    matches!((part, whole), (Value::Ipv4(part), Value::Ipv4(whole)) if whole.contains(part))
}
