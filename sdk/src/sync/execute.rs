//! Sending a plan: batches of the vendor's size, one outcome per entry, one bad entry never sinks the rest,
//! and a call whose fate is unknown is settled by looking.

use std::collections::{HashMap, VecDeque};

use crate::error::{Error, ErrorKind};
use crate::indicator::{Kind, Value};
use crate::ownership::{Observed, Viewer, observe};
use crate::plan::{Change, Operation, What};
use crate::store::LedgerRow;
use crate::target::{Batch, CapacityPool, Foreign, Outcome, Proof, Removal, Scope, Target, Write};

use super::ledger::Book;
use super::order::{self, Replaced, Sort};

/// Why a change was not done on a device that stands by: no failure of the change.
pub(super) const STANDBY: &str = "standby";

/// What became of the changes that were not done.
#[derive(Debug)]
pub(super) struct Undone {
    pub(super) change: Change,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What became of a plan.
#[derive(Debug, Default)]
pub(super) struct Executed {
    pub(super) done: Vec<Change>,
    pub(super) undone: Vec<Undone>,
    /// What stopped it before the end.
    pub(super) stopped: Option<Error>,
}

/// Sends changes to one target.
pub(super) struct Executor<'a> {
    pub(super) target: &'a dyn Target,
    pub(super) viewer: Viewer<'a>,
    pub(super) book: Book<'a>,
    pub(super) progress: Option<super::Progress>,
    pub(super) result: Executed,
    /// Kinds of which the vendor said that it is full: what is left of their additions has no room.
    pub(super) full: Vec<Kind>,
    /// Which kinds share a limit.
    pub(super) pools: Vec<CapacityPool>,
    /// What found no room when it was to be replaced in one call.
    pub(super) apart: Vec<Change>,
    pub(super) total: usize,
}

impl Executor<'_> {
    /// Sends everything in the order of [`super::order`]. `short`: the kinds that have no room for their additions
    /// beside what is there.
    pub(super) async fn run(mut self, changes: Vec<Change>, short: &[Kind]) -> Executed {
        self.total = changes.len();
        let (mut replaced, changes) = order::replaced(changes, short);
        let order = order::sorts(!short.is_empty());
        let mut by_sort: [Vec<Change>; 5] = Default::default();
        for change in changes {
            let place = order
                .iter()
                .position(|sort| *sort == Sort::of(&change))
                .unwrap_or_default();
            by_sort[place].push(change);
        }
        for (sort, mut changes) in order.into_iter().zip(by_sort) {
            if sort == Sort::Add {
                // The best first, should the vendor run out of room.
                changes.sort_by_key(|change| change.rank);
            }
            self.group(sort, changes).await;
            if sort == Sort::Release {
                self.replace(std::mem::take(&mut replaced)).await;
            }
        }
        self.result
    }

    /// Puts what is left of networks in their place.
    async fn replace(&mut self, replaced: Replaced) {
        let Replaced { mut parts, wholes } = replaced;
        if self.target.replacing().is_none() {
            let went_on = self.result.stopped.is_none();
            self.group(Sort::Add, parts).await;
            // A vendor that takes no additions may take removals: what must not be blocked is not to wait for them.
            let broken = self.result.stopped.take_if(|error| {
                went_on
                    && matches!(
                        error.kind(),
                        ErrorKind::Denied | ErrorKind::Unavailable | ErrorKind::RateLimited
                    )
            });
            self.group(Sort::Release, wholes).await;
            self.result.stopped = broken.or(self.result.stopped.take());
            return;
        }
        // The parts first: where the vendor refuses them all, halves are tried, and the last takes the wholes off.
        parts.extend(wholes);
        self.group(Sort::Replace, parts).await;
        // There was no room for them together: what must not be blocked goes all the same.
        let (parts, wholes) = std::mem::take(&mut self.apart)
            .into_iter()
            .partition(|change| Sort::of(change) == Sort::Add);
        self.group(Sort::Release, wholes).await;
        self.group(Sort::Add, parts).await;
    }

    async fn group(&mut self, sort: Sort, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        if sort == Sort::Record {
            self.finish(changes, Vec::new(), Vec::new()).await;
            return;
        }
        let mut queue: VecDeque<(Vec<Change>, bool)> = VecDeque::new();
        let mut changes = changes.into_iter();
        loop {
            // Asked each time: how much a call may carry can show while it is written to.
            let capabilities = self.target.capabilities();
            let size = match sort {
                Sort::Remove | Sort::Release => capabilities.remove_batch,
                Sort::Replace => usize::MAX,
                _ => capabilities.write_batch,
            }
            .max(1);
            let again = queue.pop_front();
            let recorded = again.is_some();
            let (mut batch, fresh) =
                again.unwrap_or_else(|| (changes.by_ref().take(size).collect(), true));
            if batch.is_empty() {
                break;
            }
            if batch.len() > size {
                queue.push_front((batch.split_off(size), fresh));
            }
            if let Some(progress) = &self.progress {
                let done = self.result.done.len();
                progress(&format!("{done} of {} changes", self.total));
            }
            let (no_room, batch): (Vec<Change>, Vec<Change>) = batch
                .into_iter()
                .partition(|change| sort == Sort::Add && self.full.contains(&change.value.kind()));
            self.give_up(no_room, "capacity", "the vendor has no room left");
            if batch.is_empty() {
                continue;
            }
            if let Some(error) = &self.result.stopped {
                let reason = match error.kind() {
                    ErrorKind::Standby => STANDBY,
                    _ => "not-attempted",
                };
                let message = format!("not attempted: {error}");
                if recorded && fresh {
                    // What was certainly not applied must not count as ours, should somebody add it.
                    let unsent: Vec<&Change> = batch.iter().collect();
                    if let Err(error) = self.book.settle(&[], &unsent).await {
                        tracing::warn!(%error, "the record keeps what was not sent");
                    }
                }
                self.give_up(batch, reason, &message);
            } else {
                self.send(sort, batch, fresh, &mut queue).await;
            }
        }
    }

    async fn send(
        &mut self,
        sort: Sort,
        batch: Vec<Change>,
        fresh: bool,
        queue: &mut VecDeque<(Vec<Change>, bool)>,
    ) {
        if !matches!(self.target.capabilities().proof, Proof::Mark { .. })
            && let Err(error) = self.book.intend(&batch).await
        {
            // What cannot be recorded is not done: nobody could prove it ours later.
            let message = format!("not attempted, the record cannot be written: {error}");
            self.give_up(batch, "not-attempted", &message);
            self.result.stopped = Some(error);
            return;
        }
        let outcomes = self.apply(sort, &batch).await;
        if outcomes.len() != batch.len() {
            let error = Error::internal(format!(
                "the connector gave {} outcomes for {} changes",
                outcomes.len(),
                batch.len()
            ));
            self.give_up(batch, "failed", &error.to_string());
            self.result.stopped = Some(error);
            return;
        }
        let unseen = self.target.capabilities().foreign == Foreign::Unseen;
        let size = batch.len();
        let mut done = Vec::new();
        let mut undone: Vec<Undone> = Vec::new();
        let mut again: Vec<Change> = Vec::new();
        let mut why_again = String::new();
        let mut unsure: Vec<(Change, Option<Error>)> = Vec::new();
        for (change, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done => done.push(change),
                Outcome::Rejected(message) => undone.push(Undone {
                    change,
                    reason: "rejected",
                    message: format!("the vendor refused it: {message}"),
                }),
                Outcome::NotApplied(message) => {
                    why_again = message;
                    again.push(change);
                }
                Outcome::Exists => unsure.push((change, None)),
                Outcome::Unknown(error) => unsure.push((change, Some(error))),
                Outcome::Failed(error)
                    if sort == Sort::Replace && error.kind() == ErrorKind::Full =>
                {
                    self.apart.push(change);
                }
                Outcome::Failed(error) => {
                    let reason = if error.kind() == ErrorKind::Full {
                        self.fill(change.value.kind());
                        "capacity"
                    } else if error.kind() == ErrorKind::Standby {
                        STANDBY
                    } else if !fresh {
                        // The first call may have been applied, and may only not have shown yet.
                        "unknown"
                    } else {
                        "failed"
                    };
                    undone.push(Undone {
                        change,
                        reason,
                        message: error.to_string(),
                    });
                    if stops(&error) && self.result.stopped.is_none() {
                        self.result.stopped = Some(error);
                    }
                }
            }
        }
        if unseen && fresh && !again.is_empty() {
            // What was certainly not sent must not count as ours later, should the run end here.
            let unsent: Vec<&Change> = again.iter().collect();
            if let Err(error) = self.book.settle(&[], &unsent).await {
                self.result.stopped.get_or_insert(error);
            }
        }
        // Where nothing shows whether an earlier call was applied, that it is not known is kept in mind.
        let fresh_again = fresh || !unseen;
        if again.len() == size {
            // The vendor refused the whole batch and named no row: look for the bad ones by halves.
            if size == 1 {
                undone.extend(again.into_iter().map(|change| Undone {
                    change,
                    reason: "rejected",
                    message: format!("the vendor refused it: {why_again}"),
                }));
            } else {
                let second = again.split_off(size / 2);
                queue.push_front((second, fresh_again));
                queue.push_front((again, fresh_again));
            }
        } else if !again.is_empty() {
            queue.push_front((again, fresh_again));
        }
        let mut foreign = Vec::new();
        if unseen {
            // A call is applied whole or not at all: that something of it was new only the second time proves that
            // the lost one was not, and that what was there already is somebody else's.
            let may_be_ours = !fresh && done.is_empty();
            foreign = settle_unseen(unsure, fresh, may_be_ours, &mut done, &mut undone, queue);
        } else if !unsure.is_empty() {
            self.look(unsure, fresh, &mut done, &mut undone, queue)
                .await;
        }
        let (unknown, undone): (Vec<Undone>, Vec<Undone>) = undone
            .into_iter()
            .partition(|undone| undone.reason == "unknown");
        self.finish(done, undone, unknown).await;
        if let Err(error) = self.book.note_foreign(&foreign).await
            && self.result.stopped.is_none()
        {
            self.result.stopped = Some(error);
        }
    }

    /// Settles changes whose fate is unknown by looking; what is certainly not there is sent once more.
    async fn look(
        &mut self,
        unsure: Vec<(Change, Option<Error>)>,
        fresh: bool,
        done: &mut Vec<Change>,
        undone: &mut Vec<Undone>,
        queue: &mut VecDeque<(Vec<Change>, bool)>,
    ) {
        let values: Vec<Value> = unsure
            .iter()
            .map(|(change, _)| change.value.clone())
            .collect();
        let scope = if self.target.capabilities().lookup_batch > 0 {
            Scope::Values(&values)
        } else {
            Scope::All
        };
        let listing = match self.target.list(scope).await {
            Ok(listing) => listing,
            Err(error) => {
                for (change, cause) in unsure {
                    let message = cause.map_or_else(
                        || format!("it is there already, and looking at it failed: {error}"),
                        |cause| format!("{cause}; looking whether it was applied failed: {error}"),
                    );
                    undone.push(Undone {
                        change,
                        reason: "unknown",
                        message,
                    });
                }
                if stops(&error) && self.result.stopped.is_none() {
                    self.result.stopped = Some(error);
                }
                return;
            }
        };
        // Only an addition that was absent from the listing can be ours without a mark, and only if a call of ours may
        // have been applied: this one, or the one before it.
        let rows: Vec<LedgerRow> = unsure
            .iter()
            .filter(|(change, cause)| (cause.is_some() || !fresh) && change.what == What::Add)
            .map(|(change, _)| self.book_row(change))
            .collect();
        let observed = observe(
            listing,
            &rows,
            self.target.capabilities().proof,
            self.viewer,
        );
        let mut there: HashMap<&Value, Vec<&Observed>> = HashMap::new();
        for entry in &observed {
            there.entry(&entry.held.value).or_default().push(entry);
        }
        let mut again = Vec::new();
        for (change, cause) in unsure {
            let entries = there.get(&change.value).map_or(&[][..], Vec::as_slice);
            match (landed(&change, entries, self.viewer), cause) {
                (true, _) => done.push(change),
                (false, Some(cause)) if !fresh => undone.push(Undone {
                    change,
                    reason: "unknown",
                    message: format!("sent twice without an answer: {cause}"),
                }),
                (false, Some(_)) => again.push(change),
                (false, None) => undone.push(Undone {
                    change,
                    reason: "foreign",
                    message: "somebody else's entry with this value is there".to_owned(),
                }),
            }
        }
        if !again.is_empty() {
            queue.push_front((again, false));
        }
    }

    fn book_row(&self, change: &Change) -> LedgerRow {
        LedgerRow {
            value: change.value.clone(),
            owner: self.viewer.owner.clone(),
            until: change.until,
            sources: String::new(),
            state: crate::store::RowState::Adding { was_absent: true },
            at: self.book.now,
        }
    }

    async fn apply(&self, sort: Sort, batch: &[Change]) -> Vec<Outcome> {
        let writes = || -> Vec<Write> {
            batch
                .iter()
                .filter_map(|change| match &change.operation {
                    Operation::Add(write) | Operation::Update(write) => Some(write.clone()),
                    _ => None,
                })
                .collect()
        };
        let removals = || -> Vec<Removal> {
            batch
                .iter()
                .filter_map(|change| match &change.operation {
                    Operation::Remove(removal) => Some(removal.clone()),
                    _ => None,
                })
                .collect()
        };
        match sort {
            Sort::Add => self.target.apply(Batch::Add(&writes())).await,
            Sort::Update => self.target.apply(Batch::Update(&writes())).await,
            Sort::Replace => match self.target.replacing() {
                Some(replacing) => replacing.replace(&writes(), &removals()).await,
                None => Vec::new(),
            },
            Sort::Remove | Sort::Release | Sort::Record => {
                self.target.apply(Batch::Remove(&removals())).await
            }
        }
    }

    /// Notes that there is no room for a kind, nor for those that share its limit.
    fn fill(&mut self, kind: Kind) {
        let pool = self.pools.iter().find(|pool| pool.kinds.contains(&kind));
        match pool {
            Some(pool) => self.full.extend(pool.kinds.iter().copied()),
            None => self.full.extend(Kind::ALL),
        }
    }

    fn give_up(&mut self, batch: Vec<Change>, reason: &'static str, message: &str) {
        self.result
            .undone
            .extend(batch.into_iter().map(|change| Undone {
                change,
                reason,
                message: message.to_owned(),
            }));
    }

    async fn finish(&mut self, done: Vec<Change>, undone: Vec<Undone>, unknown: Vec<Undone>) {
        let settled: Vec<&Change> = done.iter().collect();
        let failed: Vec<&Change> = undone.iter().map(|undone| &undone.change).collect();
        if let Err(error) = self.book.settle(&settled, &failed).await
            && self.result.stopped.is_none()
        {
            self.result.stopped = Some(error);
        }
        self.result.done.extend(done);
        self.result.undone.extend(undone);
        self.result.undone.extend(unknown);
    }
}

/// Settles changes whose fate is unknown where there is nothing to look at: they are sent once more, and then
/// what is there already can only be told from somebody else's by our own intent, which the ledger has, unless
/// nothing of the first call can have been applied (`may_be_ours` is false). Gives back the values that somebody else
/// has there.
fn settle_unseen(
    unsure: Vec<(Change, Option<Error>)>,
    fresh: bool,
    may_be_ours: bool,
    done: &mut Vec<Change>,
    undone: &mut Vec<Undone>,
    queue: &mut VecDeque<(Vec<Change>, bool)>,
) -> Vec<Value> {
    let mut again = Vec::new();
    let mut foreign = Vec::new();
    for (change, cause) in unsure {
        match cause {
            Some(_) if fresh => again.push(change),
            Some(cause) => undone.push(Undone {
                change,
                reason: "unknown",
                message: format!("sent twice without an answer: {cause}"),
            }),
            None if may_be_ours => done.push(change),
            None => {
                foreign.push(change.value.clone());
                undone.push(Undone {
                    change,
                    reason: "foreign",
                    message:
                        "somebody else has listed it already, and the vendor does not show how"
                            .to_owned(),
                });
            }
        }
    }
    if !again.is_empty() {
        queue.push_front((again, false));
    }
    foreign
}

/// Whether a change is visible in what is there.
fn landed(change: &Change, entries: &[&Observed], viewer: Viewer<'_>) -> bool {
    match &change.operation {
        Operation::Record => true,
        Operation::Add(_) => entries
            .iter()
            .any(|entry| entry.claim(viewer.owner).is_some()),
        Operation::Remove(removal) => !entries.iter().any(|entry| entry.held.id == removal.id),
        Operation::Update(write) => entries.iter().any(|entry| {
            Some(&entry.held.id) == write.id.as_ref()
                && entry.held.expires == write.expires
                && entry.held.note.as_deref().unwrap_or_default().trim() == write.note.trim()
        }),
    }
}

/// Whether an error means that nothing more should be sent to this device now.
fn stops(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Auth
            | ErrorKind::Denied
            | ErrorKind::Unavailable
            | ErrorKind::RateLimited
            | ErrorKind::Standby
            | ErrorKind::Cancelled
            | ErrorKind::Config
            | ErrorKind::Internal
    )
}
