//! Where the vendor stores changes first and enforces them later: what was pending before our first write, and
//! whether and how our changes are enforced.

#[cfg(all(test, feature = "testing"))]
mod tests;

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Change, Operation};
use crate::store::Store;
use crate::target::{Activate, Pending, Staged, Target};

use super::execute::{Executed, Undone};

/// How many pending changes an error names; the report's details have them all.
const NAMED: usize = 20;

/// The staging side of one device in one run.
pub(super) struct Stage<'a> {
    staged: &'a dyn Staged,
    store: Option<&'a Arc<dyn Store>>,
    /// Where the store remembers that a run of ours stored something and did not enforce it.
    owed_key: String,
    /// All notes of that kind that this commit settles: its own, and those of whom it shares the staging with.
    noted: Vec<String>,
    /// Something of ours was stored before this run and is not enforced.
    owed: bool,
    before: Option<Pending>,
}

/// What became of what was stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Enforced {
    /// Everything of ours is enforced.
    Yes,
    /// Something of ours is, or may be, stored and not enforced, and that is how it is configured.
    Withheld,
    /// It was refused, and what was stored has been dropped.
    Dropped,
}

impl<'a> Stage<'a> {
    /// Looks before the first write. `None` for a vendor that does not stage.
    pub(super) async fn look(
        target: &'a dyn Target,
        store: Option<&'a Arc<dyn Store>>,
        key: &str,
    ) -> Result<Option<Self>> {
        let Some(staged) = target.staged() else {
            return Ok(None);
        };
        let shared = staged.shared();
        let owed_key = format!("owed/{}", shared.as_deref().unwrap_or(key));
        let noted = match store {
            Some(store) => noted(store, &owed_key, shared.is_some()).await?,
            None => Vec::new(),
        };
        let before = staged.pending().await?;
        let owed = match &before {
            None => false,
            Some(pending) => match pending.ours {
                Some(true) => true,
                _ if store.is_some() => !noted.is_empty(),
                // Without a record, what is pending may be ours, from a run that was interrupted.
                ours => ours.unwrap_or(staged.activate() == Activate::Always),
            },
        };
        let stage = Self {
            staged,
            store,
            owed_key,
            noted,
            owed,
            before,
        };
        if stage.before.is_none() {
            // Somebody else enforced it meanwhile, or the end of our session did.
            stage.settle_noted().await?;
        }
        Ok(Some(stage))
    }

    /// What was pending before our first write and is not, or may not be, ours.
    fn foreign(&self) -> Option<&Pending> {
        self.before
            .as_ref()
            .filter(|pending| !self.owed && pending.ours != Some(true))
    }

    fn may_commit(&self) -> bool {
        match self.staged.activate() {
            Activate::Always => true,
            Activate::Own => self.foreign().is_none(),
            Activate::Never => false,
        }
    }

    /// Before the first write: notes that an activation will be owed, and says what the run is going to do
    /// about changes that are not ours.
    pub(super) async fn begin(
        &self,
        run_id: &str,
        writes: bool,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        if !writes && !self.owed {
            return Ok(());
        }
        if let Some(pending) = self.foreign() {
            let what = &pending.what;
            warnings.push(match self.staged.activate() {
                Activate::Always => format!(
                    "before the first write changes were pending that are not ours, and our activation \
                     enforces them too: {what}"
                ),
                Activate::Own => format!(
                    "before the first write changes were pending that are not ours, so nothing is \
                     activated: {what}"
                ),
                Activate::Never => format!("changes that are not ours are pending: {what}"),
            });
        }
        // That something of ours is owed does not say that all of it is ours.
        if let Some(pending) = self.before.as_ref().filter(|_| self.owed)
            && pending.ours.is_none()
        {
            let what = &pending.what;
            let then = if self.may_commit() {
                ", and our activation enforces them too"
            } else {
                ""
            };
            warnings.push(format!(
                "before the first write changes were pending that may not be ours (the vendor does not say \
                 whose){then}: {what}"
            ));
        }
        if writes
            && self.may_commit()
            && let Some(store) = self.store
        {
            store.set(&self.owed_key, Some(run_id)).await?;
        }
        Ok(())
    }

    /// After the last write: enforces what is stored, if something of ours is and it is allowed.
    pub(super) async fn end(
        &self,
        executed: &mut Executed,
        warnings: &mut Vec<String>,
    ) -> Result<Enforced> {
        let changed = self.stored(executed).await?;
        if !changed && !self.owed {
            // The activation that was noted before the first write is not owed: an administrator's changes that come
            // later must not be taken for ours.
            if !executed.undone.is_empty() {
                self.settled().await?;
            }
            let sure = self.before.is_none()
                || (self.staged.activate() == Activate::Always && self.store.is_some());
            return Ok(if sure {
                Enforced::Yes
            } else {
                Enforced::Withheld
            });
        }
        if !self.may_commit() {
            warnings.push(match self.staged.enforced_anyway() {
                Some(how) => format!("what was stored is not activated by this run; {how}"),
                None => "what was stored is not activated by this run".to_owned(),
            });
            return Ok(Enforced::Withheld);
        }
        match self.staged.commit().await {
            Ok(()) => {
                self.settled().await?;
                Ok(Enforced::Yes)
            }
            Err(error) if may_come(&error) => Err(self.with_pending(error, executed)),
            Err(error) => match self.staged.discard().await {
                Ok(true) => {
                    self.settled().await?;
                    let message =
                        format!("stored, refused when it was activated, and dropped: {error}");
                    give_back(executed, &message);
                    executed.stopped.get_or_insert(error);
                    Ok(Enforced::Dropped)
                }
                Ok(false) => Err(self.with_pending(error, executed)),
                Err(second) => {
                    warnings.push(format!("what was stored could not be dropped: {second}"));
                    Err(self.with_pending(error, executed))
                }
            },
        }
    }

    /// Whether this run stored something, or may have. What was refused or never sent is not stored, but for what a
    /// connector knows to be pending of ours all the same.
    async fn stored(&self, executed: &Executed) -> Result<bool> {
        let unsure = |undone: &Undone| undone.reason == "unknown";
        if executed.done.iter().any(is_sent) || executed.undone.iter().any(unsure) {
            return Ok(true);
        }
        if executed.undone.is_empty() {
            return Ok(false);
        }
        let pending = self.staged.pending().await?;
        Ok(pending.is_some_and(|pending| pending.ours == Some(true)))
    }

    async fn settled(&self) -> Result<()> {
        if let Some(store) = self.store {
            store.set(&self.owed_key, None).await?;
        }
        self.settle_noted().await
    }

    async fn settle_noted(&self) -> Result<()> {
        for note in &self.noted {
            if let Some(store) = self.store {
                store.set(note, None).await?;
            }
        }
        Ok(())
    }

    /// The error, with exactly what is stored and not enforced.
    fn with_pending(&self, error: Error, executed: &Executed) -> Error {
        let sent: Vec<&Change> = executed
            .done
            .iter()
            .filter(|change| is_sent(change))
            .collect();
        let mut named: Vec<String> = sent
            .iter()
            .take(NAMED)
            .map(|change| {
                let sign = match change.operation {
                    Operation::Remove(_) => '-',
                    _ => '+',
                };
                format!("{sign}{}", change.value)
            })
            .collect();
        if sent.len() > NAMED {
            named.push(format!(
                "and {} more, which the details name",
                sent.len() - NAMED
            ));
        }
        let error = error.with("stored and not enforced", sent.len());
        let error = if named.is_empty() {
            error
        } else {
            error.with("pending", named.join(" "))
        };
        match (error.hint_text().is_some(), self.staged.enforced_anyway()) {
            (true, _) => error,
            (false, Some(how)) => error.hint(format!("the next run activates it; {how}")),
            (false, None) => error.hint("the next run activates it"),
        }
    }
}

/// The notes that an activation is owed. Where the staging is shared also those by the key of one mechanism or device
/// alone: earlier versions wrote them.
async fn noted(store: &Arc<dyn Store>, owed_key: &str, shared: bool) -> Result<Vec<String>> {
    let is_ours = |note: &String| match note.strip_prefix(owed_key) {
        Some("") => true,
        Some(rest) => shared && rest.starts_with(':'),
        None => false,
    };
    let notes = store.list(owed_key).await?;
    Ok(notes.into_keys().filter(is_ours).collect())
}

/// Whether a change went to the vendor.
pub(super) fn is_sent(change: &Change) -> bool {
    change.operation != Operation::Record
}

/// Whether what was stored may still be enforced by the commit that failed, or by the same one later.
fn may_come(error: &Error) -> bool {
    error.is_fate_unknown()
        || matches!(
            error.kind(),
            ErrorKind::Unavailable
                | ErrorKind::RateLimited
                | ErrorKind::Standby
                | ErrorKind::Cancelled
        )
}

/// What was done is not done any more.
fn give_back(executed: &mut Executed, message: &str) {
    let (sent, kept): (Vec<Change>, Vec<Change>) = std::mem::take(&mut executed.done)
        .into_iter()
        .partition(is_sent);
    executed.done = kept;
    executed
        .undone
        .extend(sent.into_iter().map(|change| Undone {
            change,
            reason: "dropped",
            message: message.to_owned(),
        }));
}
