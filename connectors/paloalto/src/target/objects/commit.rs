//! Enforcing what is stored, and dropping it.

use std::time::Duration;

use sdk::http::poll;
use sdk::target::{Activate, Pending, Staged};
use sdk::{Error, ErrorKind, Result, async_trait};

use super::Objects;
use super::changes::Changes;
use super::view::View;
use crate::api::xml::escape;
use crate::api::{self, Part};
use crate::target::job;

/// How often a commit that met another one is tried again, and for how long.
const BUSY_INTERVAL: Duration = Duration::from_secs(10);
const BUSY_LIMIT: Duration = Duration::from_secs(10 * 60);

#[async_trait]
impl Staged for Objects {
    async fn pending(&self) -> Result<Option<Pending>> {
        let known = self.state().view.clone();
        let view = match known {
            Some(view) => view,
            None => {
                let view = View::load(&self.connection, &self.names, &self.administrator).await?;
                self.state().view = Some(view.clone());
                view
            }
        };
        let pending = view.pending(&self.names, &self.administrator);
        if pending.is_empty()
            && let Some(what) = self.owed(&view).await?.told()
        {
            return Ok(Some(Pending {
                ours: Some(true),
                what,
            }));
        }
        let locked = view.lock.as_deref() == Some(self.administrator.as_str());
        let what = match (pending.len(), locked) {
            (0, false) => return Ok(None),
            (0, true) => "a commit lock of ours".to_owned(),
            (count, _) => {
                let named: Vec<&str> = pending.iter().take(5).map(String::as_str).collect();
                format!("{count} address objects of ours: {}", named.join(", "))
            }
        };
        Ok(Some(Pending {
            ours: Some(true),
            what,
        }))
    }

    async fn commit(&self) -> Result<()> {
        let ended = self.commit_alone().await;
        // What was refused is taken back first: others must not commit it.
        if ended.is_ok() || ended.as_ref().is_err_and(may_come) {
            self.unlock().await;
        }
        // Others may commit meanwhile: what is pushed is committed already, and ours alone.
        match self.names.part() {
            Part::System(_) => ended.map(|_| ()),
            Part::Group(_) => self.push(ended?).await,
        }
    }

    async fn discard(&self) -> Result<bool> {
        let undone = self.undo().await;
        self.unlock().await;
        undone.map(|()| true)
    }

    fn activate(&self) -> Activate {
        self.activate
    }
}

/// Whether the commit may still come, or come later.
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

impl Objects {
    /// Commits our administrator's changes and nobody else's. `false`: there were none.
    async fn commit_alone(&self) -> Result<bool> {
        let connection = &self.connection;
        let clock = connection.client.clock();
        let answer = poll(
            clock,
            "another commit",
            BUSY_INTERVAL,
            BUSY_LIMIT,
            || async {
                let request = api::commit(
                    &connection.place,
                    &self.administrator,
                    "Cordon: address objects",
                );
                let answer = connection.ask(request, "the commit").await?;
                if answer.is_busy() {
                    return Ok(None);
                }
                answer.ok("the commit").map(Some)
            },
        )
        .await?;
        // Nothing to commit is told in words, without a job.
        let Some(id) = answer.root.text_at(&["result", "job"]) else {
            return Ok(false);
        };
        let ended = job::ended(connection, id, "the commit").await?;
        if !ended.is_ok {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!("the commit failed: {}", ended.told),
            )
            .with("job", id)
            .hint("the device refused its whole configuration; the reason may be somebody else's change"));
        }
        self.state().view = None;
        Ok(true)
    }

    /// What was seen and changed is not so any more.
    fn forget(&self) {
        let mut state = self.state();
        state.view = None;
        state.changed = false;
    }

    /// Makes the candidate of our objects what is active. What others changed stays as it is.
    async fn undo(&self) -> Result<()> {
        let names = &self.names;
        let view = View::load(&self.connection, names, &self.administrator).await?;
        let mut changes = Changes::default();
        let active = view.active();
        let mut created = Vec::new();
        for name in view.pending(names, &self.administrator) {
            let before: Vec<u32> = active.groups_of(&name).collect();
            let now: Vec<u32> = view.candidate.groups_of(&name).collect();
            for group in now.iter().filter(|group| !before.contains(group)) {
                // A group that goes as a whole cannot be emptied first.
                if active.groups.contains_key(group) {
                    changes.leave(names, *group, &name, None);
                }
            }
            match active.objects.get(&name) {
                Some(object) => {
                    changes.restore(names, &name, object);
                    for group in before.iter().filter(|group| !now.contains(group)) {
                        changes.members(names, *group, std::iter::once(name.as_str()));
                    }
                }
                None => created.push(name),
            }
        }
        let by_us = |dirty: &Option<String>| dirty.as_deref() == Some(self.administrator.as_str());
        let new_groups =
            view.candidate.groups.iter().filter(|(number, group)| {
                !active.groups.contains_key(number) && by_us(&group.dirty)
            });
        for (number, _) in new_groups {
            changes.delete_group(names, *number);
        }
        for name in created {
            changes.delete(names, &name, None);
        }
        let placeholder = names.placeholder();
        let is_new = view
            .candidate
            .objects
            .get(placeholder)
            .is_some_and(|object| {
                by_us(&object.dirty) && !active.objects.contains_key(placeholder)
            });
        if is_new {
            changes.delete(names, placeholder, None);
        }
        self.forget();
        if changes.is_empty() {
            return Ok(());
        }
        let request = api::multi_config(&self.connection.place, changes.element());
        self.connection
            .get(
                request,
                &format!("taking back changes of {}", escape(&self.administrator)),
            )
            .await?;
        Ok(())
    }
}
