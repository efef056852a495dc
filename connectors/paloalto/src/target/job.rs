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

/// How long a job may be missing from the list of all.
const LISTED_WITHIN: Duration = Duration::from_secs(60);

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
    let job = finished(connection, id, what, |_| true).await?;
    Ok(Ended {
        // Where the success text stands proves nothing, the result does.
        is_ok: job.text_at(&["result"]) == Some("OK"),
        told: told(&job),
    })
}

/// The same, and until what it did elsewhere is over too; gives back the job.
pub(super) async fn finished(
    connection: &Connection,
    id: &str,
    what: &str,
    is_over: impl Fn(&Element) -> bool,
) -> Result<Element> {
    let clock = connection.client.clock();
    let command = format!("<show><jobs><id>{}</id></jobs></show>", escape(id));
    let is_over = &is_over;
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
        let is_finished = job.text_at(&["status"]) == Some("FIN") && is_over(job);
        Ok(is_finished.then(|| job.clone()))
    })
    .await
}

/// What a job, or a device in it, says of itself.
pub(super) fn told(job: &Element) -> String {
    let mut told = Vec::new();
    for part in ["details", "warnings"] {
        let mut stack: Vec<&Element> = job.child(part).into_iter().collect();
        while let Some(element) = stack.pop() {
            stack.extend(element.children.iter().rev());
            if !element.text.is_empty() {
                let words: Vec<&str> = element.text.split_whitespace().collect();
                told.push(words.join(" "));
            }
        }
    }
    told.join("; ")
}

/// The numbers of the jobs of a type that are shown.
async fn listed(connection: &Connection, kind: &str) -> Result<Vec<u64>> {
    let answer = connection
        .show("<show><jobs><all></all></jobs></show>", "jobs")
        .await?;
    let jobs = answer
        .result()
        .into_iter()
        .flat_map(|result| result.all("job"));
    Ok(jobs
        .filter(|job| job.text_at(&["type"]) == Some(kind))
        .filter_map(|job| job.text_at(&["id"])?.parse().ok())
        .collect())
}

/// The number of the last job of a type; 0 where none is shown.
pub(super) async fn last(connection: &Connection, kind: &str) -> Result<u64> {
    Ok(listed(connection, kind)
        .await?
        .into_iter()
        .max()
        .unwrap_or(0))
}

/// The number of the job of a type that came after another one; waits until it is listed. An older one would say how
/// something else ended.
pub(super) async fn after(
    connection: &Connection,
    kind: &str,
    before: u64,
    what: &str,
) -> Result<String> {
    let clock = connection.client.clock();
    let what = format!("the wait for the job of {what}");
    poll_from(clock, &what, INTERVAL, INTERVAL, LISTED_WITHIN, || async {
        let later = listed(connection, kind).await?.into_iter();
        let first = later.filter(|id| *id > before).min();
        Ok(first.map(|id| id.to_string()))
    })
    .await
}
