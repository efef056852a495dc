//! `cordon history` and `cordon approve`: what was done, by whom, and what waits.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use sdk::store::{HeldSet, RunRecord, Store};
use sdk::{Clock, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::{Outcome, block_on, configuration_without_secrets, needed_store};
use crate::cli::Global;
use crate::config::Config;
use crate::environment;
use crate::output::{Output, plain, shorten};

/// How many changes of a held set are shown.
const CHANGES_SHOWN: usize = 5;

/// Longest name of a target, in characters.
const LONGEST_TARGET: usize = 40;

/// Something a person did that is not a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// `approve`, `pause` or `resume`.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// More in words.
    pub text: String,
}

/// Keeps an event in the store.
pub(crate) async fn record(store: &dyn Store, event: &Event) -> Result<()> {
    let text = serde_json::to_string(event)
        .map_err(|error| Error::internal("an event is not JSON").because(error))?;
    // Sorted by time, and never two under one key.
    let key = format!(
        "event/{:016}/{}",
        event.at.timestamp_millis(),
        uuid::Uuid::new_v4()
    );
    store.set(&key, Some(&text)).await
}

/// Lets a held set through.
pub(crate) fn approve(id: &str, global: &Global, output: Output) -> Outcome {
    let config = configuration_without_secrets(global)?;
    block_on(async {
        let opened = needed_store(&config, global).await?;
        let actor = environment::actor(global.actor.as_deref());
        let now = environment::clock(global.clock.as_deref())?.now();
        let set = match opened.store.approve(id, &actor, now).await {
            // Somebody mistyped it.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let wrong = Error::input(error.to_string());
                return Err(wrong.hint("`cordon history` shows what waits").into());
            }
            other => other?,
        };
        let names = names(&config);
        let changes = format!(
            "{} changes of {} on {}",
            set.changes.len(),
            set.owner,
            target_text(&set.target, &names)
        );
        let event = Event {
            at: now,
            actor: actor.clone(),
            action: "approve".to_owned(),
            subject: id.to_owned(),
            text: changes.clone(),
        };
        record(&*opened.store, &event).await?;
        output.result(
            &json!({ "status": "ok", "approved": held_json(&set) }),
            || {
                format!(
                    "approved by {actor}: {changes}\nthe next sync within 24 hours applies them: cordon sync {}",
                    set.owner
                )
            },
        );
        Ok(0)
    })
}

/// Shows runs, events and held sets.
pub(crate) fn show(limit: u32, global: &Global, output: Output) -> Outcome {
    let config = configuration_without_secrets(global)?;
    block_on(async {
        let opened = needed_store(&config, global).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let names = names(&config);
        let runs = opened.store.runs("", None, limit).await?;
        let held = opened.store.held().await?;
        let events: Vec<Event> = opened
            .store
            .list("event/")
            .await?
            .values()
            .rev()
            .take(limit)
            .filter_map(|text| serde_json::from_str(text).ok())
            .collect();
        let value = json!({
            "held": held.iter().map(held_json).collect::<Vec<_>>(),
            "runs": runs.iter().map(run_json).collect::<Vec<_>>(),
            "events": events,
        });
        output.result(&value, || text(&held, &runs, &events, &names, output));
        Ok(0)
    })
}

/// The configured names of the targets that runs and held sets name by their keys. A target that cannot
/// be made without its secrets is shown by its key.
fn names(config: &Config) -> BTreeMap<String, String> {
    let environment = environment::outside(Clock::system(), config.installation.as_str());
    let mut names = BTreeMap::new();
    for (name, target) in &config.targets {
        let members = sdk::action::members(target.connector, target.settings.clone(), &environment);
        let members = members.unwrap_or_default();
        for member in &members {
            let key = member.target.key();
            let name = if members.len() > 1 {
                format!("{name} {} {}", key.mechanism, key.device)
            } else {
                name.clone()
            };
            names.insert(key.to_string(), name.trim_end().to_owned());
        }
    }
    names
}

fn target_text(key: &str, names: &BTreeMap<String, String>) -> String {
    let name = names.get(key).map_or(key, String::as_str);
    shorten(&plain(name), LONGEST_TARGET)
}

fn text(
    held: &[HeldSet],
    runs: &[RunRecord],
    events: &[Event],
    names: &BTreeMap<String, String>,
    output: Output,
) -> String {
    let mut parts = Vec::new();
    for set in held {
        let state = match &set.approved {
            Some((at, by)) => format!("approved by {} at {}", plain(by), time(*at)),
            None => format!("approve with: cordon approve {}", set.id),
        };
        let mut changes: String = set
            .changes
            .iter()
            .take(CHANGES_SHOWN)
            .map(|change| format!("\n  {}", plain(change)))
            .collect();
        if set.changes.len() > CHANGES_SHOWN {
            let more = set.changes.len() - CHANGES_SHOWN;
            changes.push_str(&format!("\n  and {more} more (--output json lists all)"));
        }
        parts.push(format!(
            "{} {}: {} changes of {} on {} since {}: {}{changes}\n  {state}",
            output.status("held"),
            set.id,
            set.changes.len(),
            set.owner,
            target_text(&set.target, names),
            time(set.at),
            plain(&set.why),
        ));
    }
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let report: Json = serde_json::from_str(&run.report).unwrap_or_default();
            let count = |pointer: &str| report.pointer(pointer).and_then(Json::as_u64).unwrap_or(0);
            let removed: u64 = ["expired", "revoked", "excluded", "withdrawn", "capacity"]
                .iter()
                .map(|reason| count(&format!("/removed/{reason}")))
                .sum();
            vec![
                time(run.at),
                run.status.clone(),
                run.owner.to_string(),
                target_text(&run.target, names),
                count("/added").to_string(),
                count("/updated").to_string(),
                removed.to_string(),
                there(run, &report).to_string(),
                plain(&run.actor),
            ]
        })
        .collect();
    if rows.is_empty() {
        parts.push("no runs yet".to_owned());
    } else {
        let header = [
            "time", "status", "owner", "target", "added", "updated", "removed", "there", "by",
        ];
        parts.push(output.table(&header, &rows));
    }
    if !events.is_empty() {
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|event| {
                vec![
                    time(event.at),
                    event.action.clone(),
                    plain(&event.subject),
                    plain(&event.actor),
                    plain(&event.text),
                ]
            })
            .collect();
        parts.push(output.table(&["time", "action", "of", "by", "what"], &rows));
    }
    parts.join("\n\n")
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn held_json(set: &HeldSet) -> Json {
    json!({
        "id": set.id,
        "target": set.target,
        "owner": set.owner.as_str(),
        "digest": set.digest,
        "changes": set.changes,
        "why": set.why,
        "at": time(set.at),
        "approved": set.approved.as_ref().map(|(at, by)| json!({ "at": time(*at), "by": by })),
    })
}

fn run_json(run: &RunRecord) -> Json {
    let report: Json = serde_json::from_str(&run.report).unwrap_or_default();
    json!({
        "run": run.id,
        "target": run.target,
        "owner": run.owner.as_str(),
        "at": time(run.at),
        "status": run.status,
        "actor": run.actor,
        "there": there(run, &report),
        "report": report,
    })
}

/// What was there after a run; of runs that did not record it, the most that was there while they ran.
fn there(run: &RunRecord, report: &Json) -> u64 {
    report["there"].as_u64().unwrap_or(run.held as u64)
}
