//! Adding, changing and removing, with one outcome per row.

use std::collections::{HashMap, HashSet};

use reqwest::StatusCode;
use sdk::http::Response;
use sdk::target::{Held, Outcome, Removal, Write};
use sdk::{Error, ErrorKind};

use crate::api::{self, Answer, ChangedIndicator, Created, Named, NewIndicator, RowReport, Text};
use crate::target::Falcon;

impl Falcon {
    /// Creates entries.
    pub(crate) async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        let rows: Vec<NewIndicator<'_>> = writes
            .iter()
            .map(|write| NewIndicator {
                kind: write.value.kind().name(),
                value: write.value.to_string(),
                description: &write.note,
                common: self.common(write.value.kind()),
                expiration: write.expires.map(api::end),
            })
            .collect();
        let response = match self.client().send(api::create(&rows)).await {
            Ok(response) => response,
            Err(error) => return everywhere(writes.len(), &error),
        };
        match response.status {
            StatusCode::CREATED | StatusCode::OK => self.added(writes, &response),
            status if status.is_server_error() => {
                let error = api::refusal("falcon create", "Write", &response).unknown_fate();
                everywhere(writes.len(), &error)
            }
            _ => {
                let outcomes = refused("falcon create", &response, writes);
                let rows = writes.iter().zip(&outcomes);
                let exists = rows.filter(|(_, outcome)| matches!(outcome, Outcome::Exists));
                self.duplicates()
                    .extend(exists.map(|(write, _)| write.value.clone()));
                outcomes
            }
        }
    }

    /// Which rows the answer to a create confirms; of the others nobody knows.
    fn added(&self, writes: &[Write], response: &Response) -> Vec<Outcome> {
        let created = match response.json::<Answer<Created>>("falcon create") {
            Ok(answer) => answer.into_resources(),
            Err(error) => return everywhere(writes.len(), &error.unknown_fate()),
        };
        let confirm = |(index, write): (usize, &Write)| {
            let (kind, text) = (write.value.kind().name(), write.value.to_string());
            let same = |row: &&Created<'_>| {
                Text::of(&row.kind) == Some(kind)
                    && Text::of(&row.value).is_some_and(|value| value.eq_ignore_ascii_case(&text))
            };
            // They come in the order in which they were sent; nothing promises that.
            let row = created.get(index).filter(same);
            match row.or_else(|| created.iter().find(same)) {
                Some(row) => {
                    self.remember(
                        &row.id,
                        &write.value,
                        Some((write.note.clone(), write.expires)),
                    );
                    Outcome::Done
                }
                None => Outcome::Unknown(
                    api::error(
                        ErrorKind::Protocol,
                        "falcon create did not confirm the row",
                        response,
                    )
                    .unknown_fate(),
                ),
            }
        };
        writes.iter().enumerate().map(confirm).collect()
    }

    /// Changes entries.
    pub(crate) async fn update(&self, writes: &[Write]) -> Vec<Outcome> {
        let rows: Vec<ChangedIndicator<'_>> = writes
            .iter()
            .map(|write| ChangedIndicator {
                id: write.id.as_deref().unwrap_or_default(),
                description: &write.note,
                common: (!write.note_and_end_only && !self.keeps_action(write))
                    .then(|| self.common(write.value.kind())),
                expiration: api::changed_end(write.expires, write.held_expires),
            })
            .collect();
        let response = match self.client().send(api::update(&rows)).await {
            Ok(response) => response,
            Err(error) => return everywhere(writes.len(), &error),
        };
        if !matches!(response.status, StatusCode::OK | StatusCode::NOT_FOUND) {
            return refused("falcon update", &response, writes);
        }
        let confirmed = confirmed(&response);
        let ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
        let states = self.unconfirmed(&ids, &confirmed).await;
        let outcome = |write: &Write| {
            let id = write.id.as_deref().unwrap_or_default();
            let done = || {
                self.remember(id, &write.value, Some((write.note.clone(), write.expires)));
                Outcome::Done
            };
            if confirmed.contains(id) {
                return done();
            }
            match states.as_ref().map(|states| states.get(id)) {
                Err(error) => Outcome::Unknown(again(error)),
                Ok(None) => Outcome::Failed(Error::new(
                    ErrorKind::NotFound,
                    "the entry is no longer there",
                )),
                Ok(Some(held)) if is_as_written(held, write) => done(),
                Ok(Some(_)) if response.status == StatusCode::NOT_FOUND => Outcome::NotApplied(
                    "another entry of the same call is no longer there".to_owned(),
                ),
                Ok(Some(_)) => Outcome::Failed(Error::new(
                    ErrorKind::Conflict,
                    "falcon did not confirm the change",
                )),
            }
        };
        writes.iter().map(outcome).collect()
    }

    /// Deletes entries.
    pub(crate) async fn remove(&self, removals: &[Removal]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(removals.len());
        let ids: Vec<&str> = removals.iter().map(|removal| removal.id.as_ref()).collect();
        let mut rest = removals;
        for pack in api::packs(&ids, usize::MAX) {
            let (now, later) = rest.split_at(pack.len());
            rest = later;
            outcomes.extend(self.remove_pack(now, &pack).await);
        }
        outcomes
    }

    async fn remove_pack(&self, removals: &[Removal], ids: &[&str]) -> Vec<Outcome> {
        let response = match self.client().send(api::delete(ids)).await {
            Ok(response) => response,
            Err(error) => return everywhere(removals.len(), &error),
        };
        if !matches!(response.status, StatusCode::OK | StatusCode::NOT_FOUND) {
            return refused("falcon delete", &response, removals);
        }
        let confirmed = confirmed(&response);
        let states = self.unconfirmed(ids, &confirmed).await;
        let outcome = |removal: &Removal| {
            let id = removal.id.as_ref();
            let live = match &states {
                _ if confirmed.contains(id) => false,
                Ok(states) => states.contains_key(id),
                Err(error) => return Outcome::Unknown(again(error)),
            };
            if !live {
                self.remember(id, &removal.value, None);
                Outcome::Done
            } else if response.status == StatusCode::NOT_FOUND {
                Outcome::NotApplied("another entry of the same call is no longer there".to_owned())
            } else {
                Outcome::Failed(Error::new(
                    ErrorKind::Conflict,
                    "falcon did not confirm the removal",
                ))
            }
        };
        removals.iter().map(outcome).collect()
    }

    /// Looks up the ids that an answer did not confirm.
    async fn unconfirmed(
        &self,
        ids: &[&str],
        confirmed: &HashSet<String>,
    ) -> sdk::Result<HashMap<String, Held>> {
        let ids: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| !confirmed.contains(*id))
            .collect();
        if ids.is_empty() {
            Ok(HashMap::new())
        } else {
            self.by_id(&ids).await
        }
    }
}

/// The ids that an answer says were affected.
fn confirmed(response: &Response) -> HashSet<String> {
    let answer = response
        .json::<Answer<Named>>("falcon write")
        .map(Answer::into_resources);
    answer
        .unwrap_or_default()
        .into_iter()
        .map(Named::into_id)
        .collect()
}

fn is_as_written(held: &Held, write: &Write) -> bool {
    held.note.as_deref().unwrap_or_default() == write.note
        && held.expires == write.expires
        && (held.conforms || write.note_and_end_only)
}

/// The same error for every row.
fn everywhere(rows: usize, error: &Error) -> Vec<Outcome> {
    let outcome = || {
        if error.is_fate_unknown() {
            Outcome::Unknown(again(error))
        } else {
            Outcome::Failed(again(error))
        }
    };
    (0..rows).map(|_| outcome()).collect()
}

fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.to_string()).retry(error.retry_status());
    let copy = match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    };
    if error.is_fate_unknown() {
        copy.unknown_fate()
    } else {
        copy
    }
}

/// A row of a write that a report can name.
pub(crate) trait Row {
    fn is(&self, kind: &str, value: &str) -> bool;
}

impl Row for Write {
    fn is(&self, kind: &str, value: &str) -> bool {
        self.value.kind().name() == kind && self.value.to_string().eq_ignore_ascii_case(value)
    }
}

impl Row for Removal {
    fn is(&self, kind: &str, value: &str) -> bool {
        self.value.kind().name() == kind && self.value.to_string().eq_ignore_ascii_case(value)
    }
}

/// What a refused write means for each row. The vendor refuses a batch whole and reports the bad rows,
/// if it does, beside the errors.
fn refused<R: Row>(what: &str, response: &Response, rows: &[R]) -> Vec<Outcome> {
    let text = api::vendor_text(response);
    if api::is_full(&text) {
        let error = api::error(ErrorKind::Full, what, response).hint(
            "remove entries that are no longer needed, or ask CrowdStrike for a higher limit",
        );
        return everywhere(rows.len(), &error);
    }
    if !matches!(response.status.as_u16(), 400 | 413 | 414 | 422 | 431) {
        return everywhere(rows.len(), &api::refusal(what, "Write", response));
    }
    let reports =
        serde_json::from_slice::<Answer<RowReport>>(&response.body).map(Answer::into_resources);
    let mut named: HashMap<usize, RowReport> = HashMap::new();
    for report in reports.unwrap_or_default() {
        if let Some(index) = position(&report, rows) {
            named.insert(index, report);
        }
    }
    let one = rows.len() == 1;
    let outcome = |index| match named.get(&index) {
        Some(report) if report.is_duplicate() => Outcome::Exists,
        Some(report) => Outcome::Rejected(report.message.clone().unwrap_or_else(|| text.clone())),
        None if one => Outcome::Rejected(text.clone()),
        None => Outcome::NotApplied(text.clone()),
    };
    (0..rows.len()).map(outcome).collect()
}

/// Which row a report is about: its number counts from 1, and the value has the last word.
fn position<R: Row>(report: &RowReport, rows: &[R]) -> Option<usize> {
    let numbered = report
        .row
        .and_then(|row| row.checked_sub(1))
        .filter(|index| *index < rows.len());
    match (&report.kind, &report.value) {
        (Some(kind), Some(value)) if !value.is_empty() => match numbered {
            Some(index) if rows[index].is(kind, value) => Some(index),
            _ => rows.iter().position(|row| row.is(kind, value)),
        },
        _ => numbered,
    }
}
