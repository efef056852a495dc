//! Waiting for a job of the device.

use std::time::Duration;

use sdk::http::poll_from;
use sdk::{Error, ErrorKind, Result};

use super::connection::Connection;
use crate::api;
use crate::api::xml::{Element, escape};

/// Asking more often slows the device.
const INTERVAL: Duration = Duration::from_secs(3);

/// Commits of big configurations take minutes.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// How a job ended.
pub(super) struct Ended {
    pub(super) is_ok: bool,
    /// What it says of itself.
    pub(super) told: String,
}

/// Waits until a job is finished, however it ends.
///
/// # Errors
/// A job that is not known any more, which a restart of the management plane brings about: it may have ended well.
pub(super) async fn ended(connection: &Connection, id: &str, what: &str) -> Result<Ended> {
    let clock = connection.client.clock();
    let command = format!("<show><jobs><id>{}</id></jobs></show>", escape(id));
    poll_from(clock, what, INTERVAL, INTERVAL, LIMIT, || async {
        let answer = connection
            .ask(api::show(&connection.place, command.clone()), what)
            .await?;
        if !answer.is_success() {
            let text = answer.text();
            return Err(if text.contains("not found") {
                Error::new(
                    ErrorKind::Unavailable,
                    format!("{what}: the device does not know its job any more"),
                )
                .with("job", id)
                .unknown_fate()
                .hint("it may have ended well: the next run looks")
            } else {
                answer.error(what)
            });
        }
        let Some(job) = answer.root.at(&["result", "job"]) else {
            return Err(Error::protocol(format!("{what}: no job in the answer")).with("job", id));
        };
        if job.text_at(&["status"]) != Some("FIN") {
            return Ok(None);
        }
        let mut told = Vec::new();
        lines(job, &mut told);
        Ok(Some(Ended {
            // Where the success text stands proves nothing, the result does.
            is_ok: job.text_at(&["result"]) == Some("OK"),
            told: told.join("; "),
        }))
    })
    .await
}

fn lines(job: &Element, told: &mut Vec<String>) {
    for part in ["details", "warnings"] {
        let mut stack: Vec<&Element> = job.child(part).into_iter().collect();
        while let Some(element) = stack.pop() {
            stack.extend(element.children.iter().rev());
            if !element.text.is_empty() {
                told.push(
                    element
                        .text
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" "),
                );
            }
        }
    }
}

/// The number of the last job of a type, if any is shown.
pub(super) async fn last(connection: &Connection, kind: &str) -> Result<Option<String>> {
    let answer = connection
        .show("<show><jobs><all></all></jobs></show>", "jobs")
        .await?;
    let jobs = answer
        .result()
        .into_iter()
        .flat_map(|result| result.all("job"));
    Ok(jobs
        .filter(|job| job.text_at(&["type"]) == Some(kind))
        .filter_map(|job| job.text_at(&["id"])?.parse::<u64>().ok())
        .max()
        .map(|id| id.to_string()))
}
