//! A target that watches what the loop asks of the target underneath, and can refuse rows.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::indicator::Value;
use crate::target::{
    Activate, Batch, Calls, Capabilities, Facts, Finding, Foreign, Held, Login, Outcome, Pending,
    Rejection, Removal, Replacing, Scope, Staged, Target, TargetKey, Write,
};

/// What was asked in one run.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Values sent as additions, once per sending.
    pub(super) added: Vec<Value>,
    /// Values sent as updates.
    pub(super) updated: Vec<Value>,
    /// Values sent as removals.
    pub(super) removed: Vec<Value>,
    /// Calls to `apply`.
    pub(super) batches: usize,
    /// Calls to `commit`.
    pub(super) commits: usize,
    /// Calls that `close` made to the vendor.
    pub(super) closing: usize,
    /// What no loop may ask, in words.
    pub(super) faults: Vec<String>,
}

impl Tally {
    /// Whether anything was asked that may change something.
    pub(super) fn wrote(&self) -> bool {
        self.batches + self.commits > 0
    }
}

#[derive(Default)]
struct State {
    tally: Tally,
    /// Ids that a listing showed, and their values.
    listed: HashMap<Box<str>, Value>,
}

/// Whose answer is lost: that of the first call that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// It was applied.
    Answer,
    /// It never arrived, which nobody can know.
    Call,
}

/// Shared by all the targets of one run.
#[derive(Clone, Default)]
pub(super) struct Watcher {
    state: Arc<Mutex<State>>,
    /// Values that the vendor is made to refuse.
    refused: Arc<BTreeSet<Value>>,
    lost: Option<Lost>,
}

impl Watcher {
    /// Watches, refuses these values as a vendor would, and may lose one answer.
    pub(super) fn new(refused: BTreeSet<Value>, lost: Option<Lost>) -> Self {
        Self {
            state: Arc::default(),
            refused: Arc::new(refused),
            lost,
        }
    }

    /// Wraps a target.
    pub(super) fn watch(&self, inner: Arc<dyn Target>) -> Arc<dyn Target> {
        Arc::new(Watch {
            inner,
            watcher: self.clone(),
        })
    }

    /// What was asked so far.
    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watch {
    inner: Arc<dyn Target>,
    watcher: Watcher,
}

impl Watch {
    fn record(&self, batch: &Batch<'_>) {
        let capabilities = self.inner.capabilities();
        let mut guard = self.watcher.lock();
        let State { tally, listed } = &mut *guard;
        tally.batches += 1;
        let (sort, values, most): (_, Vec<&Value>, _) = match batch {
            Batch::Add(writes) => (
                "add",
                writes.iter().map(|write| &write.value).collect(),
                capabilities.write_batch,
            ),
            Batch::Update(writes) => (
                "update",
                writes.iter().map(|write| &write.value).collect(),
                capabilities.write_batch,
            ),
            Batch::Remove(removals) => (
                "remove",
                removals.iter().map(|removal| &removal.value).collect(),
                capabilities.remove_batch,
            ),
        };
        if values.is_empty() {
            tally.faults.push(format!("an empty {sort} batch was sent"));
        }
        if values.len() > most {
            tally.faults.push(format!(
                "{} rows in one {sort} batch, the most is {most}",
                values.len()
            ));
        }
        if values.iter().collect::<HashSet<_>>().len() != values.len() && sort != "remove" {
            tally
                .faults
                .push(format!("a value twice in one {sort} batch"));
        }
        let mut known = |id: Option<&str>, value: &Value| {
            // What shows nothing has no listing; the loop makes its ids of the values.
            let right = if capabilities.foreign == Foreign::Unseen {
                id == Some(value.to_string().as_str())
            } else {
                id.is_some_and(|id| listed.get(id) == Some(value))
            };
            if !right {
                tally.faults.push(format!(
                    "{sort} of {value} with an id that no listing gave for it: {id:?}"
                ));
            }
        };
        match batch {
            Batch::Add(writes) => {
                for write in writes.iter().filter(|write| write.id.is_some()) {
                    tally
                        .faults
                        .push(format!("the addition of {} carries an id", write.value));
                }
            }
            Batch::Update(writes) => {
                writes
                    .iter()
                    .for_each(|write| known(write.id.as_deref(), &write.value));
            }
            Batch::Remove(removals) => {
                removals
                    .iter()
                    .for_each(|removal| known(Some(&*removal.id), &removal.value));
            }
        }
        let into = match batch {
            Batch::Add(_) => &mut tally.added,
            Batch::Update(_) => &mut tally.updated,
            Batch::Remove(_) => &mut tally.removed,
        };
        into.extend(values.into_iter().cloned());
    }

    /// Sends what is not refused, and puts the refusals back in their places.
    async fn apply_without_refused(&self, batch: Batch<'_>) -> Vec<Outcome> {
        let (Batch::Add(writes) | Batch::Update(writes)) = batch else {
            return self.inner.apply(batch).await;
        };
        let refused = |value: &Value| self.watcher.refused.contains(value);
        if !writes.iter().any(|write| refused(&write.value)) {
            return self.inner.apply(batch).await;
        }
        let taken: Vec<_> = writes
            .iter()
            .filter(|write| !refused(&write.value))
            .cloned()
            .collect();
        let mut outcomes = if taken.is_empty() {
            Vec::new()
        } else {
            self.inner
                .apply(match batch {
                    Batch::Add(_) => Batch::Add(&taken),
                    _ => Batch::Update(&taken),
                })
                .await
        }
        .into_iter();
        let refusal = || Outcome::Rejected("refused by the contract suite".to_owned());
        writes
            .iter()
            .map(|write| {
                if refused(&write.value) {
                    refusal()
                } else {
                    outcomes.next().unwrap_or_else(refusal)
                }
            })
            .collect()
    }
}

#[async_trait::async_trait]
impl Target for Watch {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn key(&self) -> &TargetKey {
        self.inner.key()
    }

    async fn open(&self) -> Result<Facts> {
        self.inner.open().await
    }

    async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        self.inner.examine(facts).await
    }

    fn accept(&self, value: &Value, facts: &Facts) -> Result<Value, Rejection> {
        self.inner.accept(value, facts)
    }

    async fn list(&self, scope: Scope<'_>) -> Result<Vec<Held>> {
        let held = self.inner.list(scope).await?;
        let mut state = self.watcher.lock();
        state.listed.extend(
            held.iter()
                .map(|held| (held.id.clone(), held.value.clone())),
        );
        if let Scope::Values(values) = scope
            && let Some(stray) = held.iter().find(|held| !values.contains(&held.value))
        {
            let fault = format!(
                "asked for certain values, the listing gave {} too",
                stray.value
            );
            state.tally.faults.push(fault);
        }
        drop(state);
        Ok(held)
    }

    async fn apply(&self, batch: Batch<'_>) -> Vec<Outcome> {
        self.record(&batch);
        let lost = self
            .watcher
            .lost
            .filter(|_| self.watcher.lock().tally.batches == 1);
        let outcomes = match lost {
            None => self.apply_without_refused(batch).await,
            Some(lost) => {
                if lost == Lost::Answer {
                    self.inner.apply(batch).await;
                }
                let unknown = || {
                    let error = Error::new(ErrorKind::Unavailable, "the connection broke");
                    Outcome::Unknown(error.unknown_fate())
                };
                std::iter::repeat_with(unknown).take(batch.len()).collect()
            }
        };
        if outcomes.len() != batch.len() {
            let fault = format!("{} outcomes for {} rows", outcomes.len(), batch.len());
            self.watcher.lock().tally.faults.push(fault);
        }
        outcomes
    }

    fn login(&self) -> Option<Login> {
        self.inner.login()
    }

    fn staged(&self) -> Option<&dyn Staged> {
        self.inner.staged().is_some().then_some(self as &dyn Staged)
    }

    fn replacing(&self) -> Option<&dyn Replacing> {
        let replaces = self.inner.replacing().is_some();
        replaces.then_some(self as &dyn Replacing)
    }

    fn calls(&self) -> Calls {
        self.inner.calls()
    }

    async fn close(&self) {
        let count = |calls: Calls| calls.read + calls.write;
        let before = count(self.inner.calls());
        self.inner.close().await;
        let made = count(self.inner.calls()) - before;
        self.watcher.lock().tally.closing += usize::try_from(made).unwrap_or(0);
    }
}

impl Watch {
    fn inner_staged(&self) -> Result<&dyn Staged> {
        self.inner
            .staged()
            .ok_or_else(|| Error::internal("staging was asked of a target that does not stage"))
    }
}

#[async_trait::async_trait]
impl Replacing for Watch {
    async fn replace(&self, writes: &[Write], removals: &[Removal]) -> Vec<Outcome> {
        for (batch, empty) in [
            (Batch::Add(writes), writes.is_empty()),
            (Batch::Remove(removals), removals.is_empty()),
        ] {
            if !empty {
                self.record(&batch);
            }
        }
        match self.inner.replacing() {
            Some(inner) => inner.replace(writes, removals).await,
            None => Vec::new(),
        }
    }
}

#[async_trait::async_trait]
impl Staged for Watch {
    async fn pending(&self) -> Result<Option<Pending>> {
        self.inner_staged()?.pending().await
    }

    async fn commit(&self) -> Result<()> {
        self.watcher.lock().tally.commits += 1;
        self.inner_staged()?.commit().await
    }

    async fn discard(&self) -> Result<bool> {
        self.inner_staged()?.discard().await
    }

    fn activate(&self) -> Activate {
        self.inner
            .staged()
            .map_or_else(Activate::default, Staged::activate)
    }

    fn enforced_anyway(&self) -> Option<&'static str> {
        self.inner.staged().and_then(Staged::enforced_anyway)
    }

    fn shared(&self) -> Option<String> {
        self.inner.staged().and_then(Staged::shared)
    }
}
