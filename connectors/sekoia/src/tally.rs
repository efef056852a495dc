//! From what became of each value to the report.

use std::time::Duration;

use sdk::collection::Rule;
use sdk::collection::sekoia::CollectionId;
use sdk::indicator::Kind;
use sdk::ownership::Owner;
use sdk::report::{
    ChangeReport, Detail, DeviceReport, Report, Requests, SourceReport, Status, Verified,
};
use sdk::sync::Context;
use sdk::{Error, Result};

use crate::api::Api;
use crate::observable::Observable;

/// Most lines of each list.
const LISTED: usize = 1_000;

/// Gathers what became of each value.
pub(crate) struct Tally {
    report: Report,
    started: Duration,
    error: Option<Error>,
}

impl Tally {
    /// Nothing done yet.
    ///
    /// # Errors
    /// None that a collection's id can cause.
    pub(crate) fn new(id: CollectionId, dry_run: bool, context: &Context) -> Result<Self> {
        let owner = Owner::new(&id.owner())?;
        Ok(Self {
            report: Report {
                owner: id.to_string(),
                ..Report::new("sekoia", String::new(), &owner, dry_run)
            },
            started: context.environment.clock.elapsed(),
            error: None,
        })
    }

    pub(crate) fn source(&mut self, name: String, indicators: usize) {
        self.report.sources.push(SourceReport {
            name,
            status: "complete".to_owned(),
            indicators,
            skipped: 0,
            error: None,
        });
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.report.warnings.push(warning);
    }

    pub(crate) fn added(&mut self, observable: &Observable, message: &str) {
        self.report.added += 1;
        self.change(observable, "add", "new");
        self.detail(observable, "added", "new", message);
    }

    pub(crate) fn extended(&mut self, observable: &Observable, message: &str) {
        self.report.updated += 1;
        self.change(observable, "update", "end");
        self.detail(observable, "extended", "end", message);
    }

    pub(crate) fn already(&mut self, observable: &Observable, message: &str) {
        self.report.unchanged += 1;
        self.detail(observable, "unchanged", "already-there", message);
    }

    pub(crate) fn revoked(&mut self, what: &str, kind: Option<Kind>, message: &str) {
        self.report.removed.revoked += 1;
        if let Some(kind) = kind {
            self.change_of(what.to_owned(), kind, "remove", "revoked");
        }
        self.detail_of(what, kind, "revoked", "revoked", message);
    }

    pub(crate) fn nothing_to_revoke(
        &mut self,
        what: &str,
        kind: Option<Kind>,
        reason: &str,
        message: &str,
    ) {
        self.report.unchanged += 1;
        self.detail_of(what, kind, "unchanged", reason, message);
    }

    pub(crate) fn refused(&mut self, observable: &Observable, rule: &Rule) {
        self.report.skipped.protected += 1;
        let reason = if rule.protected {
            "protected"
        } else {
            "excluded"
        };
        self.detail(observable, "skipped", reason, &rule.text);
    }

    pub(crate) fn unreadable(&mut self, text: &str, message: &str) {
        let shown: String = text.chars().take(200).collect();
        self.failed_of(&shown, None, "unreadable", message);
    }

    pub(crate) fn failed(&mut self, observable: &Observable, reason: &str, message: &str) {
        self.failed_of(&observable.to_string(), observable.kind(), reason, message);
    }

    pub(crate) fn failed_of(
        &mut self,
        what: &str,
        kind: Option<Kind>,
        reason: &str,
        message: &str,
    ) {
        self.report.failed += 1;
        self.detail_of(what, kind, "failed", reason, message);
    }

    /// What went wrong as a whole; the first counts.
    pub(crate) fn fail(&mut self, error: Error) {
        self.error.get_or_insert(error);
    }

    /// Why nothing more is to be sent, if so.
    pub(crate) fn stopped(&self) -> Option<String> {
        self.error.as_ref().map(ToString::to_string)
    }

    fn change(&mut self, observable: &Observable, change: &str, reason: &str) {
        if let Some(kind) = observable.kind() {
            self.change_of(observable.to_string(), kind, change, reason);
        }
    }

    fn change_of(&mut self, value: String, kind: Kind, change: &str, reason: &str) {
        if self.report.changes.len() == LISTED {
            self.report.left_out.changes += 1;
            return;
        }
        self.report.changes.push(ChangeReport {
            value,
            kind,
            change: change.to_owned(),
            reason: reason.to_owned(),
            device: String::new(),
        });
    }

    fn detail(&mut self, observable: &Observable, outcome: &str, reason: &str, message: &str) {
        let (value, kind) = (observable.to_string(), observable.kind());
        self.detail_of(&value, kind, outcome, reason, message);
    }

    fn detail_of(
        &mut self,
        value: &str,
        kind: Option<Kind>,
        outcome: &str,
        reason: &str,
        message: &str,
    ) {
        if self.report.details.len() == LISTED {
            self.report.left_out.details += 1;
            return;
        }
        self.report.details.push(Detail {
            value: value.to_owned(),
            kind,
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        });
    }

    /// The report.
    pub(crate) fn finish(mut self, api: &Api, context: &Context) -> Report {
        let report = &mut self.report;
        let good = report.added + report.updated + report.unchanged + report.removed.total();
        report.status = match (&self.error, report.failed, good) {
            (None, 0, _) => Status::Ok,
            (_, _, 0) => Status::Failed,
            _ => Status::Partial,
        };
        if let Some(error) = &self.error {
            report.error = Some(error.to_string());
            report.hint = error.hint_text().map(str::to_owned);
            report.exit_code = Some(error.exit_code());
        } else if report.status == Status::Failed {
            let first = report.details.iter().find(|it| it.outcome == "failed");
            report.error = first.map(|it| format!("{}: {}", it.value, it.message));
        }
        report.devices.push(DeviceReport {
            name: api.host(),
            status: report.status,
            error: report.error.clone(),
            hint: report.hint.clone(),
        });
        // Every answer names what was taken; what was not named was looked for.
        report.verified = match (report.dry_run, report.status) {
            (true, _) => Verified::NotChecked,
            (false, Status::Ok) => Verified::Yes,
            (false, _) => Verified::No,
        };
        let calls = api.calls();
        report.requests = Requests {
            read: calls.read,
            write: calls.write,
            retried: calls.retried,
        };
        let elapsed = context
            .environment
            .clock
            .elapsed()
            .saturating_sub(self.started);
        report.duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.report
    }
}
