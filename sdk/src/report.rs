//! What a writing action reports. The shape is the contract with playbooks (design §3).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::indicator::Kind;
use crate::ownership::Owner;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All of it.
    Ok,
    /// A source, device or entry failed.
    Partial,
    /// A guard held changes back.
    Held,
    /// Nothing was applied.
    Failed,
}

/// Whether what was written was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// Everything is there, and nothing that was removed.
    Yes,
    /// Stored, not enforced yet.
    Pending,
    /// Something is not as written.
    No,
    /// Not looked at.
    NotChecked,
}

impl Verified {
    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let weight = |verified| match verified {
            Self::Yes => 0,
            Self::NotChecked => 1,
            Self::Pending => 2,
            Self::No => 3,
        };
        if weight(self) >= weight(other) {
            self
        } else {
            other
        }
    }
}

/// The result of every writing action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The run's id.
    pub run: String,
    /// How it ended.
    pub status: Status,
    /// The target's name.
    pub target: String,
    /// The mechanism.
    pub mechanism: String,
    /// The owner of what was changed.
    pub owner: String,
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// The sources, in order.
    pub sources: Vec<SourceReport>,
    /// New entries.
    pub added: usize,
    /// Changed entries.
    pub updated: usize,
    /// Entries whose shortened end was moved on.
    pub renewed: usize,
    /// Entries of others that took our mark.
    pub adopted: usize,
    /// Entries as wanted.
    pub unchanged: usize,
    /// Entries that the vendor did not take.
    pub failed: usize,
    /// Removed, by reason.
    pub removed: Removed,
    /// Left alone, by reason.
    pub skipped: SkippedCounts,
    /// Wanted and held entries by what they achieve.
    pub effect: EffectCounts,
    /// The first 1,000 changes, removals first.
    pub changes: Vec<ChangeReport>,
    /// The first 1,000 other facts about single values.
    pub details: Vec<Detail>,
    /// How many of each are not listed.
    pub left_out: LeftOut,
    /// Each device.
    pub devices: Vec<DeviceReport>,
    /// Calls made.
    pub requests: Requests,
    /// Whether it was read back.
    pub verified: Verified,
    /// What the guard holds.
    pub held: Option<HeldReport>,
    /// What people should know: warnings in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What went wrong, if the run as a whole did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// Results under the names that other playbooks know, of the actions that have such names.
    #[serde(flatten, default)]
    #[schemars(skip)]
    pub named: serde_json::Map<String, serde_json::Value>,
    /// The exit code that the error asks for; not part of what is printed.
    #[serde(skip)]
    #[schemars(skip)]
    pub exit_code: Option<u8>,
}

/// The id of a new run.
pub fn run_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

impl Report {
    /// A report of nothing yet.
    pub fn new(target: &str, mechanism: String, owner: &Owner, dry_run: bool) -> Self {
        Self {
            run: run_id(),
            status: Status::Ok,
            target: target.to_owned(),
            mechanism,
            owner: owner.to_string(),
            dry_run,
            sources: Vec::new(),
            added: 0,
            updated: 0,
            renewed: 0,
            adopted: 0,
            unchanged: 0,
            failed: 0,
            removed: Removed::default(),
            skipped: SkippedCounts::default(),
            effect: EffectCounts::default(),
            changes: Vec::new(),
            details: Vec::new(),
            left_out: LeftOut::default(),
            devices: Vec::new(),
            requests: Requests::default(),
            verified: Verified::NotChecked,
            held: None,
            warnings: Vec::new(),
            error: None,
            hint: None,
            duration_ms: 0,
            named: serde_json::Map::new(),
            exit_code: None,
        }
    }

    /// Whether anything is as it should be, because of this run or before it.
    fn did_something(&self) -> bool {
        let entries = self.added + self.updated + self.renewed + self.adopted + self.unchanged;
        entries + self.removed.total() > 0
    }

    /// Adds another run on the same target to this one; the worse status stands. Failed is only what did
    /// nothing in either.
    pub fn merge(&mut self, other: Self) {
        let failures = [self.status, other.status]
            .iter()
            .filter(|status| **status == Status::Failed)
            .count();
        let only_partly =
            failures == 1 || failures == 2 && (self.did_something() || other.did_something());
        self.added += other.added;
        self.updated += other.updated;
        self.renewed += other.renewed;
        self.adopted += other.adopted;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
        self.removed.expired += other.removed.expired;
        self.removed.revoked += other.removed.revoked;
        self.removed.excluded += other.removed.excluded;
        self.removed.withdrawn += other.removed.withdrawn;
        self.removed.capacity += other.removed.capacity;
        self.changes.extend(other.changes);
        self.details.extend(other.details);
        self.left_out.changes += other.left_out.changes;
        self.left_out.details += other.left_out.details;
        self.skipped.unsupported += other.skipped.unsupported;
        self.skipped.protected += other.skipped.protected;
        self.skipped.conflict += other.skipped.conflict;
        self.skipped.foreign += other.skipped.foreign;
        self.skipped.capacity += other.skipped.capacity;
        self.skipped.waiting += other.skipped.waiting;
        self.skipped.pattern += other.skipped.pattern;
        self.skipped.detect_only += other.skipped.detect_only;
        self.skipped.stale += other.skipped.stale;
        self.skipped.other_reason += other.skipped.other_reason;
        self.effect.prevent += other.effect.prevent;
        self.effect.detect += other.effect.detect;
        self.sources.extend(other.sources);
        for device in other.devices {
            match self
                .devices
                .iter_mut()
                .find(|known| known.name == device.name)
            {
                Some(known) if known.error.is_none() => *known = device,
                Some(_) => {}
                None => self.devices.push(device),
            }
        }
        self.verified = self.verified.worse(other.verified);
        if self.held.is_none() {
            self.held = other.held;
        }
        self.requests.read += other.requests.read;
        self.requests.write += other.requests.write;
        self.requests.retried += other.requests.retried;
        self.warnings.extend(other.warnings);
        self.duration_ms += other.duration_ms;
        self.named.extend(other.named);
        let order = [Status::Ok, Status::Held, Status::Partial, Status::Failed];
        let weight = |status: Status| order.iter().position(|known| *known == status);
        if weight(other.status) > weight(self.status) {
            self.status = other.status;
            self.error = other.error;
            self.hint = other.hint;
            self.exit_code = other.exit_code;
        }
        if only_partly {
            self.status = Status::Partial;
        }
    }

    /// Exit code of `run` and `sync`: 0 ok, 1 failed, 3 configuration, authentication or clock, 4 partial,
    /// 5 held, 75 try again later.
    pub fn exit_code(&self) -> u8 {
        match self.status {
            Status::Ok => 0,
            Status::Partial => 4,
            Status::Held => 5,
            Status::Failed => self.exit_code.unwrap_or(1),
        }
    }
}

/// One source in a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// `complete`, `failed` or `last-copy`.
    pub status: String,
    /// Indicators read.
    pub indicators: usize,
    /// Rows and objects left out.
    pub skipped: usize,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Removals by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Removed {
    /// Its end came.
    pub expired: usize,
    /// Its source revoked it.
    pub revoked: usize,
    /// An exclude or protect list names it.
    pub excluded: usize,
    /// No source has it any more, or somebody asked.
    pub withdrawn: usize,
    /// It lost its place to a better one.
    pub capacity: usize,
}

impl Removed {
    /// All of them.
    pub fn total(&self) -> usize {
        self.expired + self.revoked + self.excluded + self.withdrawn + self.capacity
    }
}

/// What was left alone, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SkippedCounts {
    /// The mechanism does not take it.
    pub unsupported: usize,
    /// Never blocked.
    pub protected: usize,
    /// Would also block something excluded.
    pub conflict: usize,
    /// Somebody else's entry with this value is there.
    pub foreign: usize,
    /// No room.
    pub capacity: usize,
    /// Starts later.
    pub waiting: usize,
    /// A pattern that single values cannot carry.
    pub pattern: usize,
    /// Would only be detected.
    pub detect_only: usize,
    /// Older than what was applied.
    pub stale: usize,
    /// Another reason keeps it.
    pub other_reason: usize,
}

/// Entries by effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EffectCounts {
    /// Stopped.
    pub prevent: usize,
    /// Only reported.
    pub detect: usize,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeReport {
    /// The value.
    pub value: String,
    /// Its kind.
    pub kind: Kind,
    /// `add`, `update`, `renew`, `adopt` or `remove`.
    pub change: String,
    /// Why.
    pub reason: String,
    /// Which device, where there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
}

/// One other fact about a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detail {
    /// The value, or what stands in its place.
    pub value: String,
    /// Its kind, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// `skipped`, `failed`, `held`, `pending`, `still_wanted`.
    pub outcome: String,
    /// The reason's name.
    pub reason: String,
    /// In words; what the vendor said stands beside ours.
    pub message: String,
}

/// What is not listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Changes.
    pub changes: usize,
    /// Details.
    pub details: usize,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceReport {
    /// Its name.
    pub name: String,
    /// How it ended there.
    pub status: Status,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Calls made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requests {
    /// Calls that change nothing.
    pub read: u64,
    /// Calls that may.
    pub write: u64,
    /// Repetitions among them.
    pub retried: u64,
}

/// What the guard holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldReport {
    /// For `cordon approve`; absent without a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// For `allow_mass_change`.
    pub digest: String,
    /// How many changes wait.
    pub changes: usize,
    /// Why.
    pub why: String,
    /// How many by reason.
    pub by_reason: BTreeMap<String, usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: Status, added: usize) -> Report {
        let owner = Owner::new("acme").unwrap();
        let mut report = Report::new("edge", "feed".to_owned(), &owner, false);
        report.status = status;
        report.added = added;
        if status == Status::Failed {
            report.error = Some("the device is away".to_owned());
            report.exit_code = Some(75);
        }
        report
    }

    #[test]
    fn failed_is_only_what_did_nothing() {
        use Status::{Failed, Held, Ok, Partial};
        for (first, second, expected) in [
            ((Ok, 1), (Failed, 0), Partial),
            ((Failed, 0), (Ok, 1), Partial),
            ((Failed, 0), (Held, 0), Partial),
            ((Failed, 0), (Partial, 1), Partial),
            ((Failed, 1), (Failed, 0), Partial),
            ((Failed, 0), (Failed, 1), Partial),
            ((Failed, 0), (Failed, 0), Failed),
            ((Ok, 1), (Ok, 0), Ok),
            ((Ok, 1), (Held, 0), Held),
        ] {
            let mut merged = report(first.0, first.1);
            merged.merge(report(second.0, second.1));
            assert_eq!(merged.status, expected, "{first:?} {second:?}");
            let failed = first.0 == Failed || second.0 == Failed;
            assert_eq!(merged.error.is_some(), failed, "{first:?} {second:?}");
        }
        let mut both = report(Failed, 0);
        both.merge(report(Failed, 0));
        assert_eq!(both.exit_code(), 75);
    }
}
