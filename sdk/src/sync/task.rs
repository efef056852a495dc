//! What is to be done on every device: the deployment compiled at one instant, or a single action.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::collection::{
    Absence, Compiled, Include, Protection, ProtectionSettings, Reading, Rules, SkippedReason,
    compile, wider,
};
use crate::error::{Error, Result};
use crate::indicator::{Origin, Value};
use crate::ownership::{Claim, Owner};
use crate::plan::{Options, RemovalReason, Verdict};
use crate::report::{Detail, SourceReport};
use crate::store::LedgerRow;

use super::sources::{RuleList, judge_rules};
use super::{Context, Deployment, GuardSettings, Readings, want};

/// What a run is for: what the absence of a value means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Make what the owner has equal to the collections.
    Full,
    /// Add what is wanted, remove what the batch revokes or ends; absence means nothing.
    Batch,
    /// Remove these values.
    Remove(HashSet<Value>),
    /// Remove what has ended.
    Expired,
    /// Remove everything of the owner.
    Retire,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Task {
    /// For whom.
    pub owner: Owner,
    /// Its earlier names.
    pub formerly: Vec<Owner>,
    /// What for.
    pub purpose: Purpose,
    /// What is wanted, and why the rest is not.
    pub compiled: Compiled,
    /// What must not be blocked.
    pub rules: Rules,
    /// The sources, for the report and the record.
    pub sources: Vec<SourceReport>,
    /// Names of the includes, by index; of a batch with a record those of its objects, sorted.
    pub include_names: Vec<String>,
    /// Names of includes that could not be read.
    pub failed_includes: Vec<String>,
    /// Whether a list that could forbid something could not be read.
    pub rules_unread: bool,
    /// Rows and objects left out while reading: by name of the reason, and the first ones.
    pub skipped: BTreeMap<&'static str, usize>,
    /// The first ones left out.
    pub skipped_details: Vec<Detail>,
    /// Values that somebody named and that cannot be read.
    pub unread: usize,
    /// Limits on change.
    pub guard: GuardSettings,
    /// Take over equal foreign entries.
    pub adopt: bool,
    /// Send kinds that the mechanism only detects.
    pub accept_detection: bool,
    /// Write entries whose end nobody would know.
    pub accept_unbounded: bool,
    /// Words for people, written into new entries.
    pub words: Option<Arc<str>>,
    /// Address of the platform that shows the objects, for those that have no words.
    pub objects_at: Option<Arc<str>>,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl Task {
    /// A task that wants nothing.
    pub fn new(owner: Owner, purpose: Purpose) -> Self {
        Self {
            owner,
            formerly: Vec::new(),
            purpose,
            compiled: Compiled::default(),
            rules: Rules::default(),
            sources: Vec::new(),
            include_names: Vec::new(),
            failed_includes: Vec::new(),
            rules_unread: false,
            skipped: BTreeMap::new(),
            skipped_details: Vec::new(),
            unread: 0,
            guard: GuardSettings::default(),
            adopt: false,
            accept_detection: true,
            accept_unbounded: false,
            words: None,
            objects_at: None,
            warnings: Vec::new(),
        }
    }

    /// What the planner may do.
    pub(super) fn options(&self, record: bool) -> Options {
        Options {
            adopt: self.adopt,
            may_add: !self.rules_unread,
            may_shorten: self.failed_includes.is_empty(),
            record,
        }
    }

    /// Words for people about a value.
    pub(super) fn words_of(&self, index: usize) -> Option<Arc<str>> {
        if self.words.is_some() || self.objects_at.is_none() {
            return self.words.clone();
        }
        let platform = self.objects_at.as_deref()?;
        let (first, _) = self.compiled.wanted[index].reasons;
        match &self.compiled.reasons.get(first as usize)?.origin {
            origin @ Origin::Stix(_) => {
                Some(format!("{platform}/intelligence/objects/{origin}").into())
            }
            _ => None,
        }
    }

    /// Names of the sources that want a value now, for the record.
    pub(super) fn sources_of(&self, index: usize) -> String {
        let wanted = &self.compiled.wanted[index];
        let (first, count) = wanted.reasons;
        let reasons = &self.compiled.reasons[first as usize..(first + count) as usize];
        let mut names: Vec<String> = reasons
            .iter()
            .map(|reason| match self.purpose {
                // A batch names its objects: one of them may be revoked alone later.
                Purpose::Batch => reason.origin.to_string(),
                _ => self
                    .include_names
                    .get(usize::from(reason.include))
                    .cloned()
                    .unwrap_or_default(),
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names.join(",")
    }
}

/// Judges entries of ours that are not wanted, on one device.
pub(super) struct Judge<'a> {
    task: &'a Task,
    /// Why values of the sources are not wanted, in the form in which the vendor returns them.
    absent: HashMap<Value, RemovalReason>,
    /// The owner's ledger rows.
    rows: HashMap<&'a Value, &'a LedgerRow>,
    has_ledger: bool,
    /// The values that somebody asked to take off, in the vendor's form.
    removals: HashSet<Value>,
    /// What is wanted, where a list that could forbid something was not read.
    wanted: HashSet<&'a Value>,
    capabilities: &'a crate::target::Capabilities,
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        task: &'a Task,
        ledger: Option<&'a [LedgerRow]>,
        capabilities: &'a crate::target::Capabilities,
        accept: impl Fn(&Value) -> Option<Value>,
    ) -> Self {
        let absent = task
            .compiled
            .absent
            .iter()
            .filter_map(|(value, absence)| Some((accept(value)?, removal_reason(absence))))
            .collect();
        let removals = match &task.purpose {
            // What the device does not take any more may be there from before.
            Purpose::Remove(values) => values
                .iter()
                .map(|value| accept(value).unwrap_or_else(|| value.clone()))
                .collect(),
            _ => HashSet::new(),
        };
        Self {
            task,
            absent,
            removals,
            rows: ledger
                .unwrap_or_default()
                .iter()
                .filter(|row| row.owner == task.owner)
                .map(|row| (&row.value, row))
                .collect(),
            has_ledger: ledger.is_some(),
            wanted: task
                .compiled
                .wanted
                .iter()
                .filter(|_| task.rules_unread)
                .map(|wanted| &wanted.value)
                .collect(),
            capabilities,
        }
    }

    pub(super) fn verdict(&self, value: &Value, _claim: &Claim) -> Verdict {
        match &self.task.purpose {
            Purpose::Full => self.full(value),
            Purpose::Batch => self.batch(value),
            Purpose::Remove(_) if self.removes(value) => Verdict::Remove(RemovalReason::Withdrawn),
            Purpose::Remove(_) | Purpose::Expired => Verdict::Keep,
            Purpose::Retire => Verdict::Remove(RemovalReason::Withdrawn),
        }
    }

    /// Why the sources do not want a value now; `None` where no source has it.
    fn reason(&self, value: &Value) -> Option<RemovalReason> {
        self.absent.get(value).copied().or_else(|| {
            let absence = self.task.compiled.why_absent(value, &self.task.rules)?;
            Some(removal_reason(&absence))
        })
    }

    /// Whether this is a part of a network that is wanted whole and may not be added whole now.
    fn replaces_nothing(&self, value: &Value) -> bool {
        !self.wanted.is_empty()
            && std::iter::successors(wider(value), wider)
                .any(|around| self.wanted.contains(&around))
    }

    fn full(&self, value: &Value) -> Verdict {
        // Exclude always wins, also over what a source says of the value.
        let reason = if self.forbidden(value) {
            RemovalReason::Excluded
        } else if self.replaces_nothing(value) {
            return Verdict::Keep;
        } else {
            self.reason(value).unwrap_or(RemovalReason::Withdrawn)
        };
        if self.task.failed_includes.is_empty() || reason == RemovalReason::Excluded {
            return Verdict::Remove(reason);
        }
        match reason {
            // What a readable source revoked or ended goes only if no failed source may still want it.
            RemovalReason::Revoked | RemovalReason::Expired if !self.failed_may_want(value) => {
                Verdict::Remove(reason)
            }
            _ => Verdict::Keep,
        }
    }

    fn forbidden(&self, value: &Value) -> bool {
        let cut = self.task.rules.cut(value);
        cut.len() != 1
            || cut[0] != *value
            || want::conflict(self.task, self.capabilities, value).is_some()
    }

    fn failed_may_want(&self, value: &Value) -> bool {
        if !self.has_ledger {
            return true;
        }
        self.rows.get(value).is_none_or(|row| {
            row.sources.split(',').any(|source| {
                self.task
                    .failed_includes
                    .iter()
                    .any(|failed| failed == source)
            })
        })
    }

    fn batch(&self, value: &Value) -> Verdict {
        match self.reason(value) {
            Some(RemovalReason::Withdrawn) | None => Verdict::Keep,
            // No object's wish is above what a list forbids.
            Some(RemovalReason::Excluded) => Verdict::Remove(RemovalReason::Excluded),
            Some(reason) if self.other_reasons(value).is_empty() => Verdict::Remove(reason),
            Some(_) => Verdict::Keep,
        }
    }

    /// Objects that want a value of the record and that the batch says nothing of.
    pub(super) fn other_reasons(&self, value: &Value) -> Vec<String> {
        let Some(row) = self.rows.get(value) else {
            return Vec::new();
        };
        row.sources
            .split(',')
            .filter(|source| !source.is_empty() && !self.says(source))
            .map(str::to_owned)
            .collect()
    }

    /// Whether a source of the record is one of this run's.
    fn says(&self, source: &str) -> bool {
        let names = &self.task.include_names;
        match self.task.purpose {
            Purpose::Batch => names
                .binary_search_by(|name| name.as_str().cmp(source))
                .is_ok(),
            _ => names.iter().any(|name| name == source),
        }
    }

    /// Whether somebody asked to take this value off.
    pub(super) fn removes(&self, value: &Value) -> bool {
        self.removals.contains(value) || self.removals.iter().any(|removal| covers(removal, value))
    }

    /// Whether the batch ends or revokes this value.
    pub(super) fn ends(&self, value: &Value) -> bool {
        matches!(
            self.reason(value),
            Some(RemovalReason::Revoked | RemovalReason::Expired)
        )
    }

    /// Adds to what will be recorded the sources that still want a value although this run heard nothing of
    /// them: those that failed, and the objects of earlier batches.
    pub(super) fn keep_other_sources(&self, sources: &mut HashMap<Value, String>) {
        let batch = self.task.purpose == Purpose::Batch;
        if !batch && self.task.failed_includes.is_empty() {
            return;
        }
        for (value, sources) in sources {
            let others = if batch {
                self.other_reasons(value)
            } else {
                let failed =
                    |name: &&str| self.task.failed_includes.iter().any(|known| known == name);
                self.rows.get(value).map_or_else(Vec::new, |row| {
                    row.sources
                        .split(',')
                        .filter(failed)
                        .map(str::to_owned)
                        .collect()
                })
            };
            *sources = join_names(sources, &others.join(","));
        }
    }
}

/// Two lists of names joined by `,` as one, sorted, each name once.
pub(super) fn join_names(a: &str, b: &str) -> String {
    let mut names: Vec<&str> = a
        .split(',')
        .chain(b.split(','))
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(",")
}

/// Whether a network covers another one that is narrower.
pub(super) fn covers(wide: &Value, narrow: &Value) -> bool {
    match (wide, narrow) {
        (Value::Ipv4(wide), Value::Ipv4(narrow)) => wide != narrow && wide.contains(narrow),
        (Value::Ipv6(wide), Value::Ipv6(narrow)) => wide != narrow && wide.contains(narrow),
        _ => false,
    }
}

fn removal_reason(absence: &Absence) -> RemovalReason {
    match absence {
        Absence::Expired => RemovalReason::Expired,
        Absence::Revoked => RemovalReason::Revoked,
        Absence::Excluded(_) => RemovalReason::Excluded,
        Absence::Waiting(_) => RemovalReason::Withdrawn,
    }
}

/// Compiles a deployment from its readings.
pub(super) async fn compile_full(
    deployment: &Deployment,
    readings: Readings,
    context: &Context,
) -> Result<Task> {
    let now = context.environment.clock.now();
    let mut task = Task::new(deployment.owner.clone(), Purpose::Full);
    task.formerly.clone_from(&deployment.formerly);
    task.guard = deployment.guard.clone();
    task.adopt = deployment.adopt;
    task.accept_detection = deployment.accept_detection;
    task.accept_unbounded = deployment.accept_unbounded;

    let mut includes: Vec<Reading> = Vec::new();
    let mut positions: Vec<u16> = Vec::new();
    for (position, read) in readings.include.into_iter().enumerate() {
        task.include_names.push(read.name.clone());
        match read.result {
            Ok(reading) => {
                note_reading(&mut task, &reading, "complete", None);
                positions.push(u16::try_from(position).unwrap_or(u16::MAX));
                includes.push(reading);
            }
            Err(error) => {
                task.failed_includes.push(read.name.clone());
                note_failed(&mut task, &read.name, &error);
                includes.push(Reading {
                    name: read.name,
                    ..Reading::default()
                });
            }
        }
    }
    let mut excludes = Vec::new();
    let mut protects = Vec::new();
    for (reads, into) in [
        (readings.exclude, &mut excludes),
        (readings.protect, &mut protects),
    ] {
        for read in reads {
            let name = read.name.clone();
            match judge_rules(read, &deployment.owner, context).await? {
                RuleList::Complete(reading) => {
                    note_reading(&mut task, &reading, "complete", None);
                    into.push(reading);
                }
                RuleList::LastCopy(reading, error) => {
                    note_reading(&mut task, &reading, "last-copy", Some(&error));
                    task.warnings.push(format!(
                        "{name} could not be read, its last complete copy was used: {error}"
                    ));
                    into.push(reading);
                }
                RuleList::Failed(error) => {
                    task.rules_unread = true;
                    note_failed(&mut task, &name, &error);
                }
            }
        }
    }
    let first_seen = first_seen(deployment, &includes, context, now).await?;
    let exclude_refs: Vec<&Reading> = excludes.iter().collect();
    let protect_refs: Vec<&Reading> = protects.iter().collect();
    let protection = protection(&deployment.protection)?;
    task.rules = Rules::new(&exclude_refs, &protect_refs, protection, now);
    let includes: Vec<Include<'_>> = includes
        .iter()
        .zip(&first_seen)
        .map(|(reading, first_seen)| Include {
            reading,
            first_seen,
        })
        .collect();
    task.compiled = compile(&includes, &task.rules, &deployment.policy, now);
    Ok(task)
}

/// The built-in protection. A management host that cannot be read would protect nothing: an error.
pub(crate) fn protection(settings: &ProtectionSettings) -> Result<Protection> {
    let protection = Protection::new(settings);
    match protection.unreadable().first() {
        None => Ok(protection),
        Some(host) => Err(Error::config(format!(
            "{host:?} is no name, address or URL of a management host, so it could not be protected"
        ))),
    }
}

/// When the store first saw the indicators without a start, where the deployment gives them a default end.
async fn first_seen(
    deployment: &Deployment,
    includes: &[Reading],
    context: &Context,
    now: DateTime<Utc>,
) -> Result<Vec<Vec<DateTime<Utc>>>> {
    let mut all = Vec::with_capacity(includes.len());
    for reading in includes {
        let needs = reading.indicators.iter().any(|indicator| {
            indicator.validity.from.is_none()
                && indicator.validity.until.is_none()
                && deployment
                    .policy
                    .default_validity
                    .contains_key(&indicator.value.kind())
        });
        if !needs {
            all.push(Vec::new());
            continue;
        }
        let Some(store) = &context.store else {
            return Err(Error::config(
                "default_validity needs a store: the source has no dates to count from",
            )
            .with("collection", &reading.name)
            .hint("add [store] to the configuration, or drop default_validity"));
        };
        let values: Vec<Value> = reading
            .indicators
            .iter()
            .map(|indicator| indicator.value.clone())
            .collect();
        all.push(store.first_seen(&reading.name, &values, now).await?);
    }
    Ok(all)
}

/// Adds a reading to the report.
pub(crate) fn note_reading(
    task: &mut Task,
    reading: &Reading,
    status: &str,
    error: Option<&Error>,
) {
    task.sources.push(SourceReport {
        name: reading.name.clone(),
        status: status.to_owned(),
        indicators: reading.indicators.len(),
        skipped: reading.skipped.total(),
        error: error.map(ToString::to_string),
    });
    let warnings = reading.warnings.iter();
    task.warnings
        .extend(warnings.map(|warning| format!("{}: {warning}", reading.name)));
    let fails = |reason| reading.named && reason == SkippedReason::Unreadable;
    for (reason, count) in &reading.skipped.counts {
        if fails(*reason) {
            task.unread += count;
        } else {
            *task.skipped.entry(reason.name()).or_default() += count;
        }
    }
    for skipped in &reading.skipped.first {
        if task.skipped_details.len() >= 1000 {
            break;
        }
        task.skipped_details.push(Detail {
            value: skipped.text.clone(),
            kind: None,
            outcome: if fails(skipped.reason) {
                "failed"
            } else {
                "skipped"
            }
            .to_owned(),
            reason: skipped.reason.name().to_owned(),
            message: format!("{} {}: {}", reading.name, skipped.place, skipped.message),
        });
    }
}

fn note_failed(task: &mut Task, name: &str, error: &Error) {
    task.sources.push(SourceReport {
        name: name.to_owned(),
        status: "failed".to_owned(),
        indicators: 0,
        skipped: 0,
        error: Some(error.to_string()),
    });
    if let Some(hint) = error.hint_text() {
        task.warnings.push(format!("{name}: {hint}"));
    }
}
