//! From what an action gave to what the platform is told.

use sdk::action::{FailOn, Outcome};
use sdk::report::{Report, Status};
use sdk::{Error, ErrorKind, Result};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::data::Data;
use super::log::{LONGEST_LINE, Level, Log};
use super::stop::Stop;
use crate::told;

/// Lists that may be long, and are then given as files: `changes` as `changes_path`.
pub(crate) const LISTS: [&str; 3] = ["changes", "details", "entries"];

/// The longest list that is sent inline by an action that read no file.
const INLINE: usize = 1_000;

/// Where long lists go.
pub(super) struct Files<'a> {
    /// The data path, or why there is none.
    pub data: &'a Result<Data>,
    /// Whether all lists go there, because the objects came from a file.
    pub wanted: bool,
    /// Ends what is being written: telling the platform goes before it.
    pub stop: &'a Stop,
}

impl Files<'_> {
    /// Writes one, or says why not and how bad that is.
    async fn write(&self, name: &str, content: String) -> Result<(), (Level, String)> {
        let data = self
            .data
            .as_ref()
            .map_err(|error| (Level::Warning, told::error(error)))?;
        tokio::select! {
            biased;
            written = data.write(name, content.into()) => written.map_err(|error| {
                let level = match error.kind() {
                    ErrorKind::Denied => Level::Critical,
                    _ => Level::Warning,
                };
                (level, told::error(&error))
            }),
            () = self.stop.first() => {
                Err((Level::Warning, "a signal came before it was written".to_owned()))
            }
        }
    }
}

/// The last message, before it is sent.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// The action's result.
    pub results: Option<Json>,
    /// Why the node fails.
    pub error: Option<String>,
    /// The branch of the playbook to take; none is its usual one.
    pub branch: Option<&'static str>,
}

impl Finished {
    /// Nothing came of it.
    pub(super) fn failed(error: &Error, log: &mut Log) -> Self {
        log.add(Level::Error, &told::error(error));
        Self {
            error: Some(told::error(error)),
            ..Self::default()
        }
    }

    /// What an action gave.
    pub(super) async fn of(
        outcome: &Outcome,
        fail_on: &FailOn,
        files: Files<'_>,
        log: &mut Log,
    ) -> Result<Self> {
        let mut finished = match outcome {
            Outcome::Report(report) => of_report(report, fail_on, log),
            Outcome::View(view) => of_view(view, log),
        };
        let results = outcome.to_json()?;
        finished.results = Some(match results {
            Json::Object(fields) => into_files(fields, files, log).await,
            other => other,
        });
        Ok(finished)
    }

    /// The answer to whether a configuration works, from what `check` found.
    pub(super) fn of_check(outcome: &Result<Outcome>, log: &mut Log) -> Self {
        let error = match outcome {
            Err(error) => Some(told::error(error)),
            Ok(Outcome::View(view)) => told::view_failure(view),
            Ok(Outcome::Report(_)) => Some("check gave no findings".to_owned()),
        };
        if let Some(error) = &error {
            log.add(Level::Error, error);
        }
        Self {
            results: Some(json!({ "success": error.is_none() })),
            error,
            branch: None,
        }
    }

    /// As the platform takes it.
    pub(super) fn message(self, log: &Log) -> Json {
        let mut message = json!({ "status": "finished" });
        if let Some(results) = self.results {
            message["results"] = log.redactor.json(results);
        }
        if let Some(error) = self.error {
            let error = told::shortened(log.redactor.text(&error), LONGEST_LINE);
            message["error"] = Json::String(error);
        }
        if let Some(branch) = self.branch {
            message["outputs"] = json!({ branch: true });
        }
        message["logs"] = Json::String(log.text());
        message
    }
}

fn of_report(report: &Report, fail_on: &FailOn, log: &mut Log) -> Finished {
    let summary = told::summary(report);
    let fields = json!({
        "run": report.run,
        "target": report.target,
        "owner": report.owner,
        "dry_run": report.dry_run,
        "requests": report.requests,
        "duration_ms": report.duration_ms,
    });
    log.add_with(Level::Info, &summary, Some(fields));
    for warning in &report.warnings {
        log.add(Level::Warning, warning);
    }
    let why = told::reasons(report);
    let fails = fail_on.names(report.status);
    let level = if fails { Level::Error } else { Level::Warning };
    for reason in &why {
        log.add(level, reason);
    }
    Finished {
        error: fails.then(|| told::failure(report)),
        branch: match report.status {
            Status::Held => Some("held"),
            Status::Partial => Some("partial"),
            Status::Ok | Status::Failed => None,
        },
        results: None,
    }
}

fn of_view(view: &Json, log: &mut Log) -> Finished {
    let error = told::view_failure(view);
    if let Some(error) = &error {
        log.add(Level::Error, error);
    }
    Finished {
        error,
        ..Finished::default()
    }
}

/// Long lists go into files of the data path, by the platform's convention: `changes` becomes
/// `changes_path` where the objects came from a file. What was done has to be told even where no file can
/// be written: then they stay.
async fn into_files(fields: Map<String, Json>, files: Files<'_>, log: &mut Log) -> Json {
    let mut results = Map::new();
    for (name, field) in fields {
        let long = field.as_array().is_some_and(|list| list.len() > INLINE);
        if !(LISTS.contains(&name.as_str()) && (files.wanted || long)) {
            results.insert(name, field);
            continue;
        }
        let file = format!("{name}-{}.json", Uuid::new_v4());
        let content = log.redactor.json(field.clone()).to_string();
        match files.write(&file, content).await {
            Ok(()) => {
                results.insert(format!("{name}_path"), Json::String(file));
            }
            Err((level, why)) => {
                log.add(level, &format!("{name} is sent inline: {why}"));
                results.insert(name, field);
            }
        }
    }
    Json::Object(results)
}

#[cfg(test)]
mod tests {
    use sdk::Clock;

    use super::*;
    use crate::cli;

    fn report(status: &str, more: &Json) -> Report {
        let mut report = json!({
            "run": "r", "status": status, "target": "t", "mechanism": "m", "owner": "o",
            "dry_run": false, "sources": [], "added": 3, "updated": 0, "renewed": 0, "adopted": 0,
            "unchanged": 0, "failed": 1,
            "removed": { "expired": 0, "revoked": 0, "excluded": 0, "withdrawn": 0, "capacity": 0 },
            "skipped": { "unsupported": 0, "protected": 0, "conflict": 0, "foreign": 0, "capacity": 0,
                         "waiting": 0, "pattern": 0, "detect-only": 0, "stale": 0, "other-reason": 0 },
            "effect": { "prevent": 3, "detect": 0 }, "changes": [], "details": [],
            "left_out": { "changes": 0, "details": 0 }, "devices": [],
            "requests": { "read": 1, "write": 1, "retried": 0 }, "verified": "yes", "held": null,
            "duration_ms": 5,
        });
        for (name, value) in more.as_object().unwrap() {
            report[name] = value.clone();
        }
        serde_json::from_value(report).unwrap()
    }

    fn finished(report: &Report, fail_on: &str) -> Finished {
        let fail_on = FailOn::of(&json!({ "fail_on": fail_on })).unwrap();
        let mut log = Log::new(Clock::system(), cli::Log::Text, |_| {});
        of_report(report, &fail_on, &mut log)
    }

    #[test]
    fn the_branch_follows_the_status_and_the_error_follows_fail_on() {
        for (status, branch) in [
            ("ok", None),
            ("held", Some("held")),
            ("partial", Some("partial")),
            ("failed", None),
        ] {
            for fail_on in ["failed", "partial", "held", "never"] {
                let finished = finished(&report(status, &json!({})), fail_on);
                assert_eq!(finished.branch, branch, "{status}");
                assert_eq!(
                    finished.error.is_some(),
                    fail_on == status,
                    "{status} {fail_on}"
                );
            }
        }
    }

    #[test]
    fn an_error_says_why_and_what_to_do() {
        let more = json!({
            "devices": [
                { "name": "fw1", "status": "ok" },
                { "name": "fw2", "status": "failed", "error": "not reachable" },
            ],
            "sources": [{ "name": "c2", "status": "failed", "indicators": 0, "skipped": 0, "error": "404" }],
            "hint": "look at fw2",
        });
        let error = finished(&report("partial", &more), "partial").error;
        assert_eq!(
            error.unwrap(),
            "fw2: not reachable; source c2: 404\nhint: look at fw2"
        );
        let bare = finished(&report("partial", &json!({})), "partial").error;
        assert_eq!(
            bare.unwrap(),
            "partial: 3 added, 0 updated, 0 removed, 0 unchanged, 1 failed"
        );
    }
}
