//! Adding up devices into one report.

use std::time::Duration;

use crate::error::Error;
use crate::indicator::Kind;
use crate::ownership::Owner;
use crate::plan::{Change, RemovalReason, What};
use crate::report::{ChangeReport, Detail, DeviceReport, HeldReport, Report, Status, Verified};

use super::device::DeviceRun;
use super::execute::STANDBY;
use super::stage::is_sent;
use super::want::NOT_HERE;
use super::{Context, Member, TargetGroup, Task};

/// How many changes and details are listed each.
const LISTED: usize = 1_000;

/// A report in the making.
pub(super) struct Tally {
    report: Report,
    several: bool,
    verified: Option<Verified>,
    applied: bool,
    /// A pause keeps changes from being sent.
    waits: bool,
    errors: usize,
    /// The kinds that some mechanism of this target is there for; empty where none is chosen by kind.
    placed: Vec<Kind>,
}

/// A report of a run that did not get as far as a device.
pub(super) fn failed(
    target: &TargetGroup,
    owner: &Owner,
    context: &Context,
    started: Duration,
    error: &Error,
) -> Report {
    let mut report = Report::new(&target.name, mechanisms(target), owner, context.dry_run);
    report.status = Status::Failed;
    report.error = Some(error.to_string());
    report.hint = error.hint_text().map(str::to_owned);
    report.exit_code = Some(error.exit_code());
    report.duration_ms = elapsed(context, started);
    report
}

fn mechanisms(target: &TargetGroup) -> String {
    let mut names: Vec<&str> = target
        .members
        .iter()
        .map(|member| member.target.capabilities().mechanism)
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join("+")
}

fn elapsed(context: &Context, started: Duration) -> u64 {
    let elapsed = context.environment.clock.elapsed().saturating_sub(started);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

impl Tally {
    pub(super) fn new(task: &Task, target: &TargetGroup, context: &Context) -> Self {
        let mechanisms = mechanisms(target);
        let mut report = Report::new(&target.name, mechanisms, &task.owner, context.dry_run);
        report.sources.clone_from(&task.sources);
        report.warnings.clone_from(&task.warnings);
        report.failed = task.unread;
        report.skipped.waiting = task.compiled.waiting;
        report.skipped.pattern = task.skipped.get("pattern").copied().unwrap_or(0);
        report.skipped.stale = task.skipped.get("stale").copied().unwrap_or(0);
        report.skipped.unsupported = ["unsupported", "unreadable", "validity"]
            .iter()
            .filter_map(|reason| task.skipped.get(reason))
            .sum();
        let mut tally = Self {
            report,
            several: target.members.len() > 1,
            verified: None,
            applied: false,
            waits: false,
            errors: 0,
            placed: target
                .members
                .iter()
                .flat_map(|member| member.kinds.iter().copied())
                .collect(),
        };
        for detail in &task.skipped_details {
            tally.detail(detail.clone());
        }
        for refused in &task.compiled.refused {
            let reason = if refused.rule.protected {
                tally.report.skipped.protected += 1;
                "protected"
            } else {
                "excluded"
            };
            tally.detail(Detail {
                value: refused.value.to_string(),
                kind: Some(refused.value.kind()),
                outcome: "skipped".to_owned(),
                reason: reason.to_owned(),
                message: refused.rule.text.to_string(),
            });
        }
        if task.rules_unread {
            tally.report.warnings.push(
                "a list that could forbid something was not read: nothing is added or extended"
                    .to_owned(),
            );
        }
        if !task.failed_includes.is_empty() {
            tally.report.warnings.push(format!(
                "not read, so nothing is withdrawn: {}",
                task.failed_includes.join(", ")
            ));
        }
        tally
    }

    pub(super) fn run_id(&self) -> &str {
        &self.report.run
    }

    fn detail(&mut self, detail: Detail) {
        if self.report.details.len() < LISTED {
            self.report.details.push(detail);
        } else {
            self.report.left_out.details += 1;
        }
    }

    fn skipped(&mut self, value: &crate::indicator::Value, reason: &str, message: &str) {
        self.detail(Detail {
            value: value.to_string(),
            kind: Some(value.kind()),
            outcome: "skipped".to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Adds one device; where it has no name its account's stands for it.
    pub(super) fn device(&mut self, member: &Member, mut name: String, device: DeviceRun) {
        if name.is_empty() {
            name.clone_from(&member.target.key().account);
        }
        let changed = if device.dry {
            &device.plan.changes
        } else {
            &device.executed.done
        };
        for change in changed {
            self.change(change, &name);
        }
        // Paused: what is counted is what would have been done.
        self.report.dry_run |= device.dry;
        let executed_some = !device.executed.done.is_empty();
        self.applied |= executed_some || device.error.is_none();
        self.report.unchanged += device.plan.unchanged;
        self.report.effect.prevent += device.prevent;
        self.report.effect.detect += device.detect;
        self.report.requests.read += device.calls.read;
        self.report.requests.write += device.calls.write;
        self.report.requests.retried += device.calls.retried;
        self.refusals(&device);
        let mut status = self.undone(&device);
        if device.unenforced {
            self.unenforced(&device.executed.done);
        }
        for warning in device.warnings {
            if !self.report.warnings.contains(&warning) {
                self.report.warnings.push(warning);
            }
        }
        if device.paused && !device.plan.changes.is_empty() {
            status = Status::Held;
            self.waits = true;
        }
        if let Some(held) = device.held {
            status = Status::Held;
            for change in &device.held_changes {
                self.detail(Detail {
                    value: change.value.to_string(),
                    kind: Some(change.value.kind()),
                    outcome: "held".to_owned(),
                    reason: change.reason.to_string(),
                    message: crate::plan::describe(change),
                });
            }
            self.hold(held);
        }
        if let Some(error) = &device.error {
            self.errors += 1;
            status = if executed_some {
                Status::Partial
            } else {
                Status::Failed
            };
            if self.report.error.is_none() {
                self.report.error = Some(error.to_string());
                self.report.hint = error.hint_text().map(str::to_owned);
                self.report.exit_code = Some(error.exit_code());
            }
        }
        self.verified = match (self.verified, device.verified) {
            (None, now) => now,
            (before, None) => before,
            (Some(before), Some(now)) => Some(before.worse(now)),
        };
        self.report.devices.push(DeviceReport {
            name,
            status,
            error: device.error.as_ref().map(ToString::to_string),
            hint: device
                .error
                .as_ref()
                .and_then(|error| error.hint_text().map(str::to_owned)),
        });
    }

    fn change(&mut self, change: &Change, device: &str) {
        let report = &mut self.report;
        match change.what {
            What::Add => report.added += 1,
            What::Update => report.updated += 1,
            What::Renew => report.renewed += 1,
            What::Adopt => report.adopted += 1,
            What::Remove(RemovalReason::Expired) => report.removed.expired += 1,
            What::Remove(RemovalReason::Revoked) => report.removed.revoked += 1,
            What::Remove(RemovalReason::Excluded) => report.removed.excluded += 1,
            What::Remove(RemovalReason::Withdrawn) => report.removed.withdrawn += 1,
            What::Remove(RemovalReason::Capacity) => report.removed.capacity += 1,
        }
        if report.changes.len() < LISTED {
            report.changes.push(ChangeReport {
                value: change.value.to_string(),
                kind: change.value.kind(),
                change: change.what.name().to_owned(),
                reason: change.reason.to_string(),
                device: if self.several {
                    device.to_owned()
                } else {
                    String::new()
                },
            });
        } else {
            report.left_out.changes += 1;
        }
    }

    fn refusals(&mut self, device: &DeviceRun) {
        for (value, reason, message) in &device.refused {
            // Not sent here, because another mechanism has it.
            if *reason == NOT_HERE && self.placed.contains(&value.kind()) {
                continue;
            }
            let skipped = &mut self.report.skipped;
            match *reason {
                "detect-only" => skipped.detect_only += 1,
                "conflict" => skipped.conflict += 1,
                _ => skipped.unsupported += 1,
            }
            let reason = if *reason == NOT_HERE {
                "unsupported"
            } else {
                reason
            };
            self.skipped(value, reason, message);
        }
        for foreign in &device.plan.foreign {
            self.report.skipped.foreign += 1;
            let message = match foreign.blocks {
                Some(true) => "somebody else's entry is there, and blocks",
                Some(false) => "somebody else's entry is there, and does not block",
                None => "somebody else has listed it, and the vendor does not show how",
            };
            self.skipped(&foreign.value, "foreign", message);
        }
        for value in &device.plan.no_room {
            self.report.skipped.capacity += 1;
            self.skipped(value, "capacity", "no room, better ones go first");
        }
        self.report.skipped.waiting += device.plan.waiting_for_rules;
        for (value, message) in &device.other_reason {
            self.report.skipped.other_reason += 1;
            self.skipped(value, "other-reason", &format!("still wanted by {message}"));
        }
        for (value, owners) in &device.still_wanted {
            self.detail(Detail {
                value: value.to_string(),
                kind: Some(value.kind()),
                outcome: "still_wanted".to_owned(),
                reason: "other-owner".to_owned(),
                message: format!("stays for, or would be put back by: {owners}"),
            });
        }
        for value in &device.not_ours {
            self.report.skipped.foreign += 1;
            self.skipped(value, "foreign", "it stays: the entry is not ours");
        }
        for (value, message) in &device.plan.stuck {
            self.report.failed += 1;
            self.detail(Detail {
                value: value.to_string(),
                kind: Some(value.kind()),
                outcome: "failed".to_owned(),
                reason: "not-changeable".to_owned(),
                message: message.to_string(),
            });
        }
    }

    fn undone(&mut self, device: &DeviceRun) -> Status {
        let mut status = if device.plan.stuck.is_empty() {
            Status::Ok
        } else {
            Status::Partial
        };
        for undone in &device.executed.undone {
            let value = &undone.change.value;
            match undone.reason {
                "capacity" => {
                    self.report.skipped.capacity += 1;
                    self.skipped(value, "capacity", &undone.message);
                }
                "foreign" => {
                    self.report.skipped.foreign += 1;
                    self.skipped(value, "foreign", &undone.message);
                }
                // The device itself is named, with its reason.
                STANDBY => {}
                reason => {
                    status = Status::Partial;
                    self.report.failed += 1;
                    self.detail(Detail {
                        value: value.to_string(),
                        kind: Some(value.kind()),
                        outcome: "failed".to_owned(),
                        reason: reason.to_owned(),
                        message: format!("{}: {}", undone.change.what.name(), undone.message),
                    });
                }
            }
        }
        status
    }

    /// Each entry that is stored and that the vendor has not enforced.
    fn unenforced(&mut self, done: &[Change]) {
        for change in done.iter().filter(|change| is_sent(change)) {
            self.detail(Detail {
                value: change.value.to_string(),
                kind: Some(change.value.kind()),
                outcome: "pending".to_owned(),
                reason: "not-enforced".to_owned(),
                message: format!("{}: stored and not enforced", change.what.name()),
            });
        }
    }

    fn hold(&mut self, held: HeldReport) {
        match &mut self.report.held {
            None => self.report.held = Some(held),
            Some(known) => {
                known.changes += held.changes;
                known.why = format!("{}; {}", known.why, held.why);
                for (reason, count) in held.by_reason {
                    *known.by_reason.entry(reason).or_default() += count;
                }
                // Each device's set is approved by itself; the list of ids is in `cordon approve`.
                if let (Some(ids), Some(id)) = (&mut known.id, held.id) {
                    ids.push(' ');
                    ids.push_str(&id);
                }
            }
        }
    }

    /// The report.
    pub(super) fn finish(self, context: &Context, started: Duration) -> Report {
        let mut report = self.report;
        // Removals first, as they are listed.
        report
            .changes
            .sort_by_key(|change| (change.change != "remove", change.device.clone()));
        let sources_failed = report
            .sources
            .iter()
            .any(|source| source.status == "failed");
        let nothing_works = self.errors > 0 && !self.applied;
        report.status = if nothing_works {
            Status::Failed
        } else if self.errors > 0 || report.failed > 0 || sources_failed {
            Status::Partial
        } else if report.held.is_some() || self.waits {
            Status::Held
        } else {
            Status::Ok
        };
        report.verified = self.verified.unwrap_or(Verified::NotChecked);
        report.duration_ms = elapsed(context, started);
        report
    }
}
