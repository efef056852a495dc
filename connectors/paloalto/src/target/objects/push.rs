//! What Panorama has still to push to the firewalls of a device group, and the push. The firewalls do not show what was
//! pushed to them in a documented form: what is owed is told by Panorama's own jobs.

use sdk::{Error, ErrorKind, Result};

use super::Objects;
use super::view::View;
use crate::api::xml::{Element, escape};
use crate::api::{self, Part};
use crate::target::job;

/// What has not reached the firewalls of a device group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// Nothing.
    Nothing,
    /// The last push, to all of them; why.
    All(&'static str),
    /// The last push, to these.
    Some(Vec<Device>),
}

impl Owed {
    /// It in words; `None` where nothing is owed.
    pub(super) fn told(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::All(why) => Some((*why).to_owned()),
            Self::Some(devices) => {
                let names: Vec<&str> = devices.iter().map(|it| it.name.as_str()).collect();
                Some(format!("the last push did not reach {}", names.join(", ")))
            }
        }
    }
}

/// A firewall as a push tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    serial: String,
    /// Its name and serial number.
    name: String,
    /// `OK`, `FAIL`, `PEND` …
    result: String,
    /// What it says of itself.
    told: String,
}

impl Device {
    /// The firewalls of a push's job. The text of a success stands among the errors: only the result counts.
    fn all(job: &Element) -> Vec<Self> {
        let entries = job.child("devices").into_iter();
        entries
            .flat_map(|devices| devices.all("entry"))
            .map(|entry| {
                let text = |name: &str| entry.text_at(&[name]).unwrap_or_default().to_owned();
                let serial = text("serial-no");
                let name = match text("devicename") {
                    name if name.is_empty() || name == serial => serial.clone(),
                    name => format!("{name} ({serial})"),
                };
                Self {
                    serial,
                    name,
                    result: text("result"),
                    told: job::told(entry),
                }
            })
            .collect()
    }

    fn is_done(&self) -> bool {
        self.result == "OK"
    }
}

impl Objects {
    /// What has not reached the firewalls; nothing but for device groups.
    pub(super) async fn owed(&self, view: &View) -> Result<Owed> {
        // Where nothing of ours was ever written there is nothing to push. What remains of us when all is gone is the
        // description of the placeholder.
        let is_ours = view.active().objects.iter().any(|(name, object)| {
            object.tags.contains(&self.names.tag)
                || (name == self.names.placeholder() && !object.description.is_empty())
        });
        if !matches!(self.names.part(), Part::Group(_)) || !is_ours {
            return Ok(Owed::Nothing);
        }
        if let Some(known) = self.state().owed.clone() {
            return Ok(known);
        }
        let owed = self.look_for_owed().await?;
        self.state().owed = Some(owed.clone());
        Ok(owed)
    }

    /// What the last jobs of our administrator say. Panorama forgets them when it restarts: then everything is pushed
    /// once more.
    async fn look_for_owed(&self) -> Result<Owed> {
        let answer = self
            .connection
            .show("<show><jobs><all></all></jobs></show>", "jobs")
            .await?;
        let last = |kind: &str| {
            let jobs = answer.result().into_iter().flat_map(|it| it.all("job"));
            jobs.filter(|job| job.text_at(&["user"]) == Some(self.administrator.as_str()))
                .filter(|job| job.text_at(&["type"]) == Some(kind))
                .filter(|job| kind != "Commit" || job.text_at(&["result"]) != Some("FAIL"))
                .filter_map(|job| job.text_at(&["id"])?.parse::<u64>().ok())
                .max()
        };
        let push = match (last("Commit"), last("CommitAll")) {
            (Some(commit), Some(push)) if push < commit => None,
            (_, Some(push)) => Some(push),
            (Some(_), None) => None,
            (None, None) => {
                return Ok(Owed::All(
                    "Panorama tells of no push of our address objects, so they are pushed once more",
                ));
            }
        };
        let unpushed =
            Owed::All("address objects of ours are committed on Panorama and not pushed");
        let Some(push) = push else {
            return Ok(unpushed);
        };
        let command = format!("<show><jobs><id>{push}</id></jobs></show>");
        let answer = self
            .connection
            .ask(api::show(&self.connection.place, command), "the last push")
            .await?;
        let Some(job) = answer.root.at(&["result", "job"]) else {
            return Ok(unpushed);
        };
        let mut devices = Device::all(job);
        if devices.is_empty() && job.text_at(&["result"]) != Some("OK") {
            return Ok(unpushed);
        }
        devices.retain(|device| !device.is_done());
        Ok(if devices.is_empty() {
            Owed::Nothing
        } else {
            Owed::Some(devices)
        })
    }

    /// Has Panorama push: everything that is new to all firewalls, or what some of them still lack to those.
    pub(super) async fn push(&self, committed: bool) -> Result<()> {
        let (changed, owed) = {
            let state = self.state();
            (state.changed || committed, state.owed.clone())
        };
        let serials: Vec<String> = match owed {
            Some(Owed::Nothing) if !changed => return Ok(()),
            Some(Owed::Some(devices)) if !changed => {
                let serials: Vec<String> = devices.into_iter().map(|it| it.serial).collect();
                // One that is not told is reached with all.
                if serials.iter().any(String::is_empty) {
                    Vec::new()
                } else {
                    serials
                }
            }
            _ => Vec::new(),
        };
        self.state().owed = None;
        let what = format!("the push to {}", self.names.part().name());
        let request = api::push(
            &self.connection.place,
            &self.administrator,
            "Cordon: address objects",
            &serials,
        );
        // A push that is refused stays owed: what is committed on Panorama cannot be taken back alone.
        let later = |error: Error| {
            let hint = error
                .hint_text()
                .unwrap_or("what is committed on Panorama is pushed by the next run");
            let later = Error::new(ErrorKind::Unavailable, error.to_string()).hint(hint);
            if error.is_fate_unknown() {
                later.unknown_fate()
            } else {
                later
            }
        };
        let answer = self.connection.get(request, &what).await.map_err(later)?;
        let Some(id) = answer.root.text_at(&["result", "job"]) else {
            // Told in words, without a job: there is nothing to push.
            self.state().changed = false;
            return Ok(());
        };
        let is_over = |job: &Element| Device::all(job).iter().all(|it| it.result != "PEND");
        let job = job::finished(&self.connection, id, &what, is_over).await?;
        self.state().changed = false;
        let devices = Device::all(&job);
        let failed: Vec<String> = devices
            .iter()
            .filter(|device| !device.is_done())
            .map(|device| format!("{}: {} {}", device.name, device.result, device.told))
            .collect();
        if failed.is_empty() && (!devices.is_empty() || job.text_at(&["result"]) == Some("OK")) {
            return Ok(());
        }
        let told = if failed.is_empty() {
            job::told(&job)
        } else {
            failed.join("; ")
        };
        let done = devices.len() - failed.len();
        Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "{what} failed on {} of {} firewalls: {told}",
                failed.len().max(1),
                devices.len().max(1)
            ),
        )
        .with("job", escape(id))
        .with("done", done)
        .hint("the other firewalls have it; these are pushed to again by the next run"))
    }
}
