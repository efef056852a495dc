//! A batch of indicators: what is active is added, what is revoked or ended goes if no other reason is known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::collection::{
    Include, Policy, ProtectionSettings, Reading, Rules, Skipped, SkippedReason, compile,
};
use crate::error::Result;
use crate::indicator::{Indicator, Kind, Origin};
use crate::ownership::Owner;
use crate::report::{Report, Status};

use super::task::{note_reading, protection};
use super::{Context, Purpose, TargetGroup, Task, perform};

/// What to apply.
#[derive(Clone, Debug)]
pub struct Batch {
    /// For whom.
    pub owner: Owner,
    /// The indicators, revoked and ended ones included.
    pub reading: Reading,
    /// What must not be blocked.
    pub exclude: Vec<Reading>,
    /// What must never be blocked.
    pub protect: Vec<Reading>,
    /// The built-in protection.
    pub protection: ProtectionSettings,
    /// How long indicators without an end hold, by kind.
    pub default_validity: HashMap<Kind, TimeDelta>,
    /// Take over equal foreign entries.
    pub adopt: bool,
    /// Send kinds that the mechanism only detects.
    pub accept_detection: bool,
    /// Write entries whose end nobody would know.
    pub accept_unbounded: bool,
    /// Words for people, written into new entries.
    pub words: Option<Arc<str>>,
    /// Address of the platform that shows the objects: where there are no other words, a new entry gets the
    /// address of its object's page.
    pub objects_at: Option<Arc<str>>,
}

impl Batch {
    /// A batch with every setting at its default.
    pub fn new(owner: Owner, reading: Reading) -> Self {
        Self {
            owner,
            reading,
            exclude: Vec::new(),
            protect: Vec::new(),
            protection: ProtectionSettings::default(),
            default_validity: HashMap::new(),
            adopt: false,
            accept_detection: true,
            accept_unbounded: false,
            words: None,
            objects_at: None,
        }
    }
}

/// Applies a batch to a target. Absence means nothing. With a store, an object that is older than the newest
/// version applied here says nothing.
pub async fn push(mut batch: Batch, target: &TargetGroup, context: &Context) -> Result<Report> {
    let started = context.environment.clock.elapsed();
    let now = context.environment.clock.now();
    let scope = scope(&batch.owner, target);
    let versions = drop_stale(&mut batch.reading, &scope, context).await?;

    let mut task = Task::new(batch.owner, Purpose::Batch);
    task.adopt = batch.adopt;
    task.accept_detection = batch.accept_detection;
    task.accept_unbounded = batch.accept_unbounded;
    task.words = batch.words;
    task.objects_at = batch.objects_at;
    let excludes: Vec<&Reading> = batch.exclude.iter().collect();
    let protects: Vec<&Reading> = batch.protect.iter().collect();
    task.rules = Rules::new(&excludes, &protects, protection(&batch.protection)?, now);
    // Only a record names objects.
    if context.store.is_some() {
        task.include_names = batch
            .reading
            .indicators
            .iter()
            .map(|indicator| indicator.origin.to_string())
            .collect();
        task.include_names.sort_unstable();
        task.include_names.dedup();
    }
    note_reading(&mut task, &batch.reading, "complete", None);
    let policy = Policy {
        default_validity: batch.default_validity,
        ..Policy::default()
    };
    let include = Include {
        reading: &batch.reading,
        first_seen: &[],
    };
    task.compiled = compile(&[include], &task.rules, &policy, now);
    // A large batch need not stand in memory twice while it is applied.
    drop(batch.reading);
    let mut report = perform(&task, target, context, started).await;
    if let Some(store) = &context.store
        && !report.dry_run
        && report.status != Status::Failed
        && !versions.is_empty()
    {
        store.keep_versions(&scope, &versions).await?;
    }
    if report.skipped.waiting > 0 && report.hint.is_none() {
        report.hint = Some(
            "some objects start later; only sync_collection will add them when they do".to_owned(),
        );
    }
    Ok(report)
}

/// Versions count per owner and vendor account, whatever the target is called.
fn scope(owner: &Owner, target: &TargetGroup) -> String {
    let mut accounts: Vec<String> = target
        .members
        .iter()
        .map(|member| member.target.key().to_string())
        .collect();
    accounts.sort_unstable();
    let digest = blake3::hash(accounts.join("\n").as_bytes()).to_hex();
    format!("{owner}/{}", &digest[..16])
}

/// Takes out objects older than what was applied; gives back the versions of the others.
async fn drop_stale(
    reading: &mut Reading,
    scope: &str,
    context: &Context,
) -> Result<Vec<(String, DateTime<Utc>)>> {
    let Some(store) = &context.store else {
        return Ok(Vec::new());
    };
    let mut newest: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    for indicator in &reading.indicators {
        if let Some((id, version)) = version(indicator) {
            let known = newest.entry(id).or_insert(version);
            *known = version.max(*known);
        }
    }
    if newest.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = newest.keys().cloned().collect();
    let known: HashMap<String, DateTime<Utc>> = ids
        .iter()
        .cloned()
        .zip(store.versions(scope, &ids).await?)
        .filter_map(|(id, version)| Some((id, version?)))
        .collect();
    let skipped = &mut reading.skipped;
    reading.indicators.retain(|indicator| {
        let stale = version(indicator)
            .is_some_and(|(id, version)| known.get(&id).is_some_and(|known| version < *known));
        if stale {
            skipped.push(Skipped {
                place: indicator.origin.to_string(),
                text: indicator.value.to_string(),
                reason: SkippedReason::Stale,
                message: "a newer version was applied already".into(),
            });
        }
        !stale
    });
    Ok(newest.into_iter().collect())
}

fn version(indicator: &Indicator) -> Option<(String, DateTime<Utc>)> {
    match indicator.origin {
        Origin::Stix(_) | Origin::Id(_) => {
            Some((indicator.origin.to_string(), indicator.modified?))
        }
        Origin::Line(_) | Origin::Argument => None,
    }
}
