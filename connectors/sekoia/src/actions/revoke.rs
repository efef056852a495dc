//! `revoke_ioc`: takes indicators out of force. Sekoia calls that irreversible.

use schemars::JsonSchema;
use sdk::action::{Call, FailOn, Outcome};
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize;
use uuid::Uuid;

use crate::api::{Api, Found};
use crate::observable::Observable;
use crate::tally::Tally;
use crate::write::Writer;

/// Revoke indicators of an IOC collection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The IOC collection: `ioc-collection--…`
    ioc_collection_id: String,
    /// Values: every indicator of the collection that is one of them and not revoked yet
    #[serde(default)]
    indicators: Vec<String>,
    /// Ids of indicators: `indicator--…`
    #[serde(default)]
    indicator_ids: Vec<String>,
    /// Look and report, revoke nothing: a revocation cannot be undone
    #[serde(default)]
    dry_run: bool,
    /// Which results a playbook engine is told as an error: `failed`, `partial`, several of them separated
    /// by commas, or `never`
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by the engine's runtime; here it is only refused if wrong"
    )]
    fail_on: FailOn,
}

pub(super) async fn run(call: Call<'_>) -> Result<Outcome> {
    let arguments: Arguments = super::arguments(&call)?;
    let ids = ids(&arguments.indicator_ids)?;
    if arguments.indicators.is_empty() && ids.is_empty() {
        return Err(Error::input("give indicators, indicator_ids, or both"));
    }
    let configured = Api::of(call.configuration, &call.context.environment)?;
    let writer = Writer::open(
        configured,
        &arguments.ioc_collection_id,
        arguments.dry_run,
        call.context,
    )
    .await?;
    let mut tally = Tally::new(writer.id, writer.dry_run, call.context)?;
    let mut done: Vec<String> = Vec::new();
    for text in &arguments.indicators {
        match Observable::parse(text, None) {
            Ok(observable) => match tally.stopped() {
                Some(stop) => tally.failed(&observable, "not-sent", &not_sent(&stop)),
                None => by_value(&writer, &observable, &mut done, &mut tally).await,
            },
            Err(message) => tally.unreadable(text, &message),
        }
    }
    for id in ids {
        if done.contains(&id) {
            continue;
        }
        if let Some(stop) = tally.stopped() {
            tally.failed_of(&id, None, "not-sent", &not_sent(&stop));
        } else {
            by_id(&writer, &id, &mut tally).await;
            done.push(id);
        }
    }
    let report = tally.finish(&writer.api, call.context);
    Ok(Outcome::Report(Box::new(report)))
}

/// Ids of indicators in canonical form, each once.
fn ids(texts: &[String]) -> Result<Vec<String>> {
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        let uuid = text
            .trim()
            .strip_prefix("indicator--")
            .filter(|uuid| uuid.len() == 36)
            .and_then(|uuid| Uuid::try_parse(uuid).ok())
            .ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                Error::input(format!(
                    "indicator_ids: {shown:?} is not the id of an indicator"
                ))
                .hint("it looks like indicator--<uuid>; values go into indicators")
            })?;
        let id = format!("indicator--{}", uuid.hyphenated());
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

async fn by_value(
    writer: &Writer<'_>,
    observable: &Observable,
    done: &mut Vec<String>,
    tally: &mut Tally,
) {
    let (value, kind) = (observable.to_string(), observable.kind());
    let found = match writer.api.search(writer.id, observable).await {
        Ok(found) => found,
        Err(error) => {
            tally.failed(observable, "unread", &error.to_string());
            stop_by(error, tally);
            return;
        }
    };
    let (revoked, standing): (Vec<Found>, Vec<Found>) =
        found.into_iter().partition(|it| it.revoked == Some(true));
    if standing.is_empty() {
        let (reason, message) = if revoked.is_empty() {
            ("not-there", "no indicator of the collection is this value")
        } else {
            ("already-revoked", "it was revoked before")
        };
        tally.nothing_to_revoke(&value, kind, reason, message);
        return;
    }
    for indicator in standing {
        if done.contains(&indicator.id) {
            tally.nothing_to_revoke(
                &value,
                kind,
                "already-revoked",
                "it went with another value",
            );
            continue;
        }
        let also = match indicator.others() {
            0 => String::new(),
            others => format!(", and {others} more values of the same indicator with it"),
        };
        if let Some(stop) = tally.stopped() {
            tally.failed(observable, "not-sent", &not_sent(&stop));
            continue;
        }
        done.push(indicator.id.clone());
        if writer.dry_run {
            let message = format!("{} would be revoked{also}", indicator.id);
            tally.revoked(&value, kind, &message);
            continue;
        }
        match writer.api.revoke(writer.id, &indicator.id).await {
            Ok(true) => tally.revoked(&value, kind, &format!("{} was revoked{also}", indicator.id)),
            Ok(false) => gone(writer, observable, &indicator.id, &also, tally).await,
            Err(error) => {
                tally.failed(observable, "refused", &format!("{}: {error}", indicator.id));
                stop_by(error, tally);
            }
        }
    }
}

/// What became of an indicator that was there and then was not. Sekoia may say so of a revoked one, and it
/// may be this run that revoked it: where the first answer was lost the request is sent again.
async fn gone(
    writer: &Writer<'_>,
    observable: &Observable,
    id: &str,
    also: &str,
    tally: &mut Tally,
) {
    let (value, kind) = (observable.to_string(), observable.kind());
    let found = match writer.api.search(writer.id, observable).await {
        Ok(found) => found,
        Err(error) => {
            let message =
                format!("{id} was gone when it was to be revoked, or is revoked: {error}");
            tally.failed(observable, "unknown", &message);
            stop_by(error, tally);
            return;
        }
    };
    match found.iter().find(|it| it.id == id).map(|it| it.revoked) {
        Some(Some(true)) => tally.revoked(&value, kind, &format!("{id} was revoked{also}")),
        Some(_) => {
            let message = format!("Sekoia says that {id} is not there, and it is");
            tally.failed(observable, "not-taken", &message);
        }
        None => {
            let message = format!("{id} was gone when it was to be revoked");
            tally.nothing_to_revoke(&value, kind, "not-there", &message);
        }
    }
}

/// Nothing more is sent after this, unless it was about one indicator alone.
fn stop_by(error: Error, tally: &mut Tally) {
    if error.kind() != ErrorKind::Rejected {
        tally.fail(error);
    }
}

fn not_sent(stop: &str) -> String {
    format!("not sent: {stop}")
}

async fn by_id(writer: &Writer<'_>, id: &str, tally: &mut Tally) {
    if writer.dry_run {
        // There is no documented way to look an indicator up by its id in a collection.
        tally.revoked(id, None, "would be revoked, if it is there");
        return;
    }
    let before = writer.api.calls().retried;
    match writer.api.revoke(writer.id, id).await {
        Ok(true) => tally.revoked(id, None, "it is revoked"),
        Ok(false) => {
            let message = if writer.api.calls().retried > before {
                "the collection has no such indicator now; the first answer was lost, so it may have been revoked by \
                 this run"
            } else {
                "the collection has no such indicator"
            };
            tally.nothing_to_revoke(id, None, "not-there", message);
        }
        Err(error) => {
            tally.failed_of(id, None, "refused", &error.to_string());
            stop_by(error, tally);
        }
    }
}
