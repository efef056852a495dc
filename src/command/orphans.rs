//! What is ours somewhere and belongs to no deployment any more.

use std::collections::{BTreeMap, BTreeSet};

use sdk::sync::{Context, TargetGroup};
use serde::Serialize;

use super::group;
use crate::config::Config;
use crate::failure::Failure;
use crate::output::tell;

/// Something of ours that the configuration does not name any more.
#[derive(Debug, Serialize)]
pub(super) struct Orphan {
    /// Whose.
    pub(super) owner: String,
    /// Where: a target, or the key of what none is any more.
    target: String,
    /// How much is there.
    entries: usize,
    /// Whether a target of the configuration goes there.
    reachable: bool,
}

impl Orphan {
    /// For people, with what to do about it.
    pub(super) fn told(&self) -> String {
        let Self {
            owner,
            target,
            entries,
            reachable,
        } = self;
        if *reachable {
            format!(
                "orphaned: {entries} entries of {owner} on {target}, where no deployment of the configuration has them\n\
                 hint: unless another configuration has them, to take them down: cordon retire {owner}"
            )
        } else {
            format!(
                "orphaned: {entries} entries of {owner} on {target}, which no target of the configuration is any more\n\
                 hint: nobody takes them down: make a target of that mechanism and device once more, and cordon retire it"
            )
        }
    }
}

/// What no target goes to any more, and for a plan also what is on targets for owners whose deployments do not go
/// there. What was done must be told whatever happens here: a failure is a warning.
pub(super) async fn all(
    config: &Config,
    listed: &[&TargetGroup],
    context: &Context,
) -> Vec<Orphan> {
    let found = async {
        let mut orphans = unreachable(config, context).await?;
        if !listed.is_empty() {
            orphans.extend(elsewhere(config, listed, context).await?);
        }
        Ok::<_, Failure>(orphans)
    };
    found.await.unwrap_or_else(|failure| {
        let why = failure.lines().join("; ");
        tell(&format!(
            "warning: what left the configuration was not looked for: {why}"
        ));
        Vec::new()
    })
}

/// What the store knows of in places that no target goes to any more: a device or a mechanism that left the
/// configuration. No call is made.
async fn unreachable(config: &Config, context: &Context) -> Result<Vec<Orphan>, Failure> {
    let Some(store) = &context.store else {
        return Ok(Vec::new());
    };
    let known: BTreeSet<String> = keys(config, context)?.into_keys().collect();
    let mut orphans = Vec::new();
    for key in store.targets().await? {
        if !known.contains(&key) {
            orphans.extend(rows_of(&key, &key, false, context, |_| false).await?);
        }
    }
    Ok(orphans)
}

/// What is on targets for owners whose deployments do not go there: as these groups list it, and as the store knows it
/// of the others. A target that cannot be listed was reported already.
async fn elsewhere(
    config: &Config,
    groups: &[&TargetGroup],
    context: &Context,
) -> Result<Vec<Orphan>, Failure> {
    let goes: BTreeSet<(&str, &str)> = config
        .deployments
        .values()
        .flat_map(|it| {
            let former = it.deployment.formerly.iter();
            let owners = former.chain([&it.deployment.owner]);
            owners.flat_map(|owner| {
                let targets = it.targets.iter();
                targets.map(|target| (target.as_str(), owner.as_str()))
            })
        })
        .collect();
    let mut orphans = Vec::new();
    for group in groups {
        let name = group.name.as_str();
        let Ok(blocked) = sdk::action::blocked(group, None, context).await else {
            continue;
        };
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in &blocked.entries {
            let owner = entry.owner.as_str();
            if !goes.contains(&(name, owner)) && !is_one_shot(owner) {
                *counts.entry(owner).or_default() += 1;
            }
        }
        orphans.extend(counts.into_iter().map(|(owner, entries)| Orphan {
            owner: owner.to_owned(),
            target: name.to_owned(),
            entries,
            reachable: true,
        }));
    }
    if context.store.is_some() {
        for (key, name) in keys(config, context)? {
            if groups.iter().all(|group| group.name != name) {
                let goes = |owner: &str| goes.contains(&(name.as_str(), owner));
                orphans.extend(rows_of(&key, &name, true, context, goes).await?);
            }
        }
    }
    Ok(orphans)
}

/// The keys of all that the configuration goes to, each with its target.
fn keys(config: &Config, context: &Context) -> Result<BTreeMap<String, String>, Failure> {
    let mut keys = BTreeMap::new();
    for (name, target) in &config.targets {
        let group = group(name, target, context)?;
        let members = group.members.iter();
        keys.extend(members.map(|member| (member.target.key().to_string(), name.clone())));
    }
    Ok(keys)
}

/// What the store knows of in one place, by owner, but for owners that belong there.
async fn rows_of(
    key: &str,
    target: &str,
    reachable: bool,
    context: &Context,
    belongs: impl Fn(&str) -> bool,
) -> Result<Vec<Orphan>, Failure> {
    let Some(store) = &context.store else {
        return Ok(Vec::new());
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in store.ledger(key).await? {
        let owner = row.owner.as_str();
        if !belongs(owner) && !is_one_shot(owner) {
            *counts.entry(owner.to_owned()).or_default() += 1;
        }
    }
    let orphans = counts.into_iter().map(|(owner, entries)| Orphan {
        owner,
        target: target.to_owned(),
        entries,
        reachable,
    });
    Ok(orphans.collect())
}

/// Owners of one-shot actions stand in no configuration: `manual`, and `c-` with eight hex digits.
fn is_one_shot(owner: &str) -> bool {
    owner == "manual"
        || owner.strip_prefix("c-").is_some_and(|rest| {
            rest.len() == 8 && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
}
