//! Writing indicators. There is one call for a new one and for one that is written again.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use reqwest::StatusCode;
use sdk::http::Response;
use sdk::indicator::Value;
use sdk::plan::{NativeNeed, native_need};
use sdk::target::{Outcome, Write};
use sdk::{Error, ErrorKind};

use super::super::{CUT, again, everywhere, is_about_rows, refused_batch};
use super::{CAPACITY, Iocs, MANAGE};
use crate::api;
use crate::api::iocs::{self, NewIoc, Row};

/// How much earlier than written an end may come back: a console may round.
const ROUNDING: TimeDelta = TimeDelta::minutes(1);
/// What was uploaded longer ago than this was not uploaded by the call that just wrote it.
const UPLOADED_BEFORE: TimeDelta = TimeDelta::hours(1);

/// What came of one call.
struct Posted {
    /// One for each indicator, in order.
    outcomes: Vec<Outcome>,
    /// Those whose end did not move, because the console still counts from their first upload: place and uuid.
    kept: Vec<(usize, String)>,
}

impl From<Vec<Outcome>> for Posted {
    fn from(outcomes: Vec<Outcome>) -> Self {
        Self {
            outcomes,
            kept: Vec::new(),
        }
    }
}

impl Iocs {
    /// Adds, or writes again with another end: there is one call for both. Where writing again does not move
    /// the end, what is there is made anew: nothing else keeps it from lapsing.
    async fn post(&self, writes: &[&Write]) -> Vec<Outcome> {
        let Posted { mut outcomes, kept } = self.send(writes).await;
        if kept.is_empty() {
            return outcomes;
        }
        let (places, uuids): (Vec<usize>, Vec<String>) = kept.into_iter().unzip();
        let again: Vec<&Write> = places.iter().map(|place| writes[*place]).collect();
        let anew = match self.delete(&uuids).await {
            Ok(_) => {
                for write in &again {
                    self.known().remove(&write.value);
                }
                self.send(&again).await.outcomes
            }
            Err(error) => everywhere(again.len(), &error),
        };
        for (place, outcome) in places.into_iter().zip(anew) {
            outcomes[place] = outcome;
        }
        outcomes
    }

    /// One call.
    async fn send(&self, writes: &[&Write]) -> Posted {
        let rows: Vec<NewIoc<'_>> = writes
            .iter()
            .map(|write| {
                NewIoc::new(
                    &self.source,
                    self.severity,
                    &write.value,
                    write.expires,
                    &write.note,
                )
            })
            .collect();
        let what = "the new indicators";
        let response = match self
            .console
            .client
            .send(iocs::create(&self.console.place, &rows))
            .await
        {
            Ok(response) => response,
            Err(error) => return everywhere(writes.len(), &error).into(),
        };
        if is_about_rows(response.status) {
            return self.refused(writes.len(), &response).await.into();
        }
        if response.status != StatusCode::OK {
            let error = api::refusal(what, MANAGE, &response);
            let error = if response.status.is_server_error() {
                error.unknown_fate()
            } else {
                error
            };
            return everywhere(writes.len(), &error).into();
        }
        match api::read::<Vec<Row>>(what, MANAGE, &response) {
            Ok(answer) => {
                self.confirmed(writes, answer.data.unwrap_or_default(), &response)
                    .await
            }
            // Errors in a success, or no JSON: some of it may be stored.
            Err(error) => everywhere(writes.len(), &error.unknown_fate()).into(),
        }
    }

    /// A refused batch. The vendor names no row and gives a full scope no code of its own, so the scope
    /// is counted before the batch is cut up to find a bad row.
    async fn refused(&self, rows: usize, response: &Response) -> Vec<Outcome> {
        let text = api::vendor_text(response);
        let full = match self.count().await {
            Ok(Some(total)) => total + rows as u64 > CAPACITY as u64,
            Ok(None) | Err(_) => false,
        };
        if full {
            let error = api::error(ErrorKind::Full, "the new indicators", response)
                .with("fit into a scope, about", CAPACITY)
                .hint("remove indicators that are no longer needed, of other sources too");
            return everywhere(rows, &error);
        }
        refused_batch(rows, &text)
    }

    /// Which rows an answer confirms; it gives them in an order of its own. Of the others nobody knows.
    async fn confirmed(&self, writes: &[&Write], rows: Vec<Row>, response: &Response) -> Posted {
        let mut by_value: HashMap<Value, Row> = HashMap::with_capacity(rows.len());
        for row in rows {
            if let Some(value) = row.own_value().or_else(|| row.shown_value()) {
                by_value.insert(value, row);
            }
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        let mut kept: Vec<(usize, String)> = Vec::new();
        let mut stale: Vec<String> = Vec::new();
        let mut cut: Vec<String> = Vec::new();
        let mut lost: Vec<(&Write, Vec<String>)> = Vec::new();
        for write in writes {
            let Some(row) = by_value.remove(&write.value) else {
                let error = Error::protocol("the console did not confirm the indicator")
                    .with("answer", response.excerpt());
                outcomes.push(Outcome::Unknown(error.unknown_fate()));
                continue;
            };
            let mut known = self.known();
            let known = known.entry(write.value.clone()).or_default();
            let before = std::mem::take(&mut known.uuids);
            let intact =
                self.console
                    .is_intact(&write.note, row.description.as_deref(), &write.value);
            if !intact {
                if write.held_note.is_some() {
                    // What was there before stays, for whom its text names.
                    let mut uuids = before;
                    uuids.push(row.uuid);
                    known.uuids.clone_from(&uuids);
                    lost.push((write, uuids));
                } else {
                    cut.push(row.uuid);
                }
                outcomes.push(Outcome::Rejected(CUT.to_owned()));
                continue;
            }
            stale.extend(before.into_iter().filter(|uuid| *uuid != row.uuid));
            known.uuids = vec![row.uuid.clone()];
            match self.too_early(write, &row) {
                None => outcomes.push(Outcome::Done),
                Some(error) => {
                    if self.counts_from_before(&row) {
                        kept.push((outcomes.len(), row.uuid));
                    }
                    outcomes.push(Outcome::Failed(error));
                }
            }
        }
        stale.extend(cut);
        match self.restore(&lost).await {
            Ok(replaced) => stale.extend(replaced),
            Err(error) => {
                for outcome in &mut outcomes {
                    if matches!(outcome, Outcome::Rejected(text) if text == CUT) {
                        let count = lost.len();
                        *outcome =
                            Outcome::Failed(again(&error).with("texts cut, not mended", count));
                    }
                }
            }
        }
        // Where writing again makes a second row, the first one goes. Where it does not, the old uuid is
        // that of nothing, and the count does not matter.
        match self.delete(&stale).await {
            Ok(_) => Posted { outcomes, kept },
            Err(error) => {
                let error = again(&error).with("replaced indicators left behind", stale.len());
                let failed = |outcome| match outcome {
                    Outcome::Done => Outcome::Failed(again(&error)),
                    other => other,
                };
                outcomes.into_iter().map(failed).collect::<Vec<_>>().into()
            }
        }
    }

    /// Writes indicators again as they were before, and gives back which of their uuids are too many then.
    async fn restore(&self, lost: &[(&Write, Vec<String>)]) -> sdk::Result<Vec<String>> {
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<NewIoc<'_>> = lost
            .iter()
            .map(|(write, _)| {
                NewIoc::new(
                    &self.source,
                    self.severity,
                    &write.value,
                    write.held_expires,
                    write.held_note.as_deref().unwrap_or_default(),
                )
            })
            .collect();
        let request = iocs::create(&self.console.place, &rows);
        let response = self.console.client.send(request).await?;
        let answer = api::read::<Vec<Row>>("writing indicators back", MANAGE, &response)?;
        let rows = answer.data.unwrap_or_default();
        let now: HashMap<Value, &str> = rows
            .iter()
            .filter_map(|row| Some((row.own_value().or_else(|| row.shown_value())?, &*row.uuid)))
            .collect();
        let mut known = self.known();
        let mut replaced = Vec::new();
        for (write, uuids) in lost {
            // What is not confirmed is left: the next run looks.
            if let Some(now) = now.get(&write.value) {
                replaced.extend(uuids.iter().filter(|uuid| uuid != now).cloned());
            }
            known.remove(&write.value);
        }
        Ok(replaced)
    }

    /// The error of an end that came back so much earlier than it was written that it is due again.
    fn too_early(&self, write: &Write, row: &Row) -> Option<Error> {
        let shown = match row.end() {
            Ok(end) => end?,
            Err(error) => return Some(error),
        };
        let written = write.expires?;
        let native = self.capabilities.native_end?;
        let now = self.console.client.vendor_time()?;
        let need = native_need(Some(shown), Some(written), now, &native, &write.value);
        (written - shown > ROUNDING && need != NativeNeed::None).then(|| {
            Error::new(
                ErrorKind::Conflict,
                format!("the console ends the indicator at {shown}, and {written} was written"),
            )
        })
    }

    /// Whether the console counts an indicator's life from an earlier upload than the last.
    fn counts_from_before(&self, row: &Row) -> bool {
        let (Some(uploaded), Some(now)) = (row.uploaded(), self.console.client.vendor_time())
        else {
            return false;
        };
        now - uploaded > UPLOADED_BEFORE
    }

    pub(super) async fn add(&self, writes: &[Write]) -> Vec<Outcome> {
        // Writing over somebody else's row of our source would take it away from them.
        let strangers: HashSet<&Value> = {
            let known = self.known();
            let stranger = |value: &Value| known.get(value).is_some_and(|known| known.stranger);
            let values = writes.iter().map(|write| &write.value);
            values.filter(|value| stranger(value)).collect()
        };
        self.split(
            writes,
            |write| strangers.contains(&write.value),
            |_| Outcome::Exists,
        )
        .await
    }

    /// Writes all but those that are settled otherwise, and puts the outcomes in their places.
    async fn split(
        &self,
        writes: &[Write],
        apart: impl Fn(&Write) -> bool,
        settled: impl Fn(&Write) -> Outcome,
    ) -> Vec<Outcome> {
        let sent: Vec<&Write> = writes.iter().filter(|write| !apart(write)).collect();
        let mut outcomes = if sent.is_empty() {
            Vec::new()
        } else {
            self.post(&sent).await
        }
        .into_iter();
        let lost = || Outcome::Failed(Error::internal("an indicator without an outcome"));
        writes
            .iter()
            .map(|write| {
                if apart(write) {
                    settled(write)
                } else {
                    outcomes.next().unwrap_or_else(lost)
                }
            })
            .collect()
    }

    pub(super) async fn update(&self, writes: &[Write]) -> Vec<Outcome> {
        // What a past end does to a batch is not documented, so it is not sent: such an indicator has
        // ended, and goes.
        let now = self.console.client.vendor_time();
        let ended =
            |write: &Write| matches!((write.expires, now), (Some(end), Some(now)) if end <= now);
        let gone: Vec<&Value> = writes
            .iter()
            .filter(|write| ended(write))
            .map(|write| &write.value)
            .collect();
        if gone.is_empty() {
            let all: Vec<&Write> = writes.iter().collect();
            return self.post(&all).await;
        }
        let mut removed = self.take_away(&gone).await.into_iter();
        let mut by_value: HashMap<Value, Outcome> = HashMap::new();
        for value in gone {
            if let Some(outcome) = removed.next() {
                by_value.insert(value.clone(), outcome);
            }
        }
        let by_value = Mutex::new(by_value);
        let settled = |write: &Write| {
            let mut outcomes = by_value.lock().unwrap_or_else(PoisonError::into_inner);
            outcomes.remove(&write.value).unwrap_or(Outcome::Done)
        };
        self.split(writes, ended, settled).await
    }
}
