//! The loop: from collections to a vendor and back again.
//!
//! Read collections, compile the deployment, and on each device: list, plan, guard, record intent, apply,
//! commit, settle, read back, report. No vendor name in it.

mod alone;
mod batch;
mod checks;
mod device;
mod execute;
mod ledger;
mod order;
mod refused;
mod release;
mod room;
mod sources;
mod stage;
mod tally;
mod task;
#[cfg(feature = "testing")]
#[cfg(test)]
mod tests;
mod verify;
mod want;

use std::sync::Arc;

use crate::collection::{Policy, ProtectionSettings, Reading, Source};
use crate::connector::Environment;
use crate::error::{Error, Result};
use crate::indicator::Kind;
use crate::ownership::Owner;
use crate::report::Report;
use crate::store::Store;
use crate::target::Target;

pub use alone::{alone, alone_on, paused};
pub use batch::{Batch, push};
pub(crate) use ledger::{proving, recalled};
pub(crate) use refused::note_login;
pub use refused::unless_refused;
pub(crate) use task::note_reading;
pub use task::{Purpose, Task};

/// Includes − excludes, as one tenant's policy.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Its name is the owner of its entries.
    pub owner: Owner,
    /// Earlier names, whose marks count as ours.
    pub formerly: Vec<Owner>,
    /// What to block.
    pub include: Vec<Source>,
    /// What not to.
    pub exclude: Vec<Source>,
    /// What never.
    pub protect: Vec<Source>,
    /// Validity defaults and widening.
    pub policy: Policy,
    /// The built-in protection.
    pub protection: ProtectionSettings,
    /// Limits on change.
    pub guard: GuardSettings,
    /// Take over equal foreign entries.
    pub adopt: bool,
    /// Send kinds that the mechanism only detects.
    pub accept_detection: bool,
    /// Without a store, write entries whose end only a store could know.
    pub accept_unbounded: bool,
}

impl Deployment {
    /// A deployment without sources and with every setting at its default.
    pub fn new(owner: Owner) -> Self {
        Self {
            owner,
            formerly: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            protect: Vec::new(),
            policy: Policy::default(),
            protection: ProtectionSettings::default(),
            guard: GuardSettings::default(),
            adopt: false,
            accept_detection: true,
            accept_unbounded: false,
        }
    }
}

/// Limits on change; what goes beyond them is held for approval.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardSettings {
    /// Largest share of removals, of what the owner has there (default 0.3).
    pub removals_share: f64,
    /// Removals up to this many are never held (default 10).
    pub removals_floor: usize,
    /// Largest share of revocations (default 0.5).
    pub revocations_share: f64,
    /// Revocations up to this many are never held (default 10).
    pub revocations_floor: usize,
    /// Additions up to this many are never held (default 1,000).
    pub additions_floor: usize,
    /// Additions up to this many times what the owner has are never held (default 3).
    pub additions_factor: f64,
    /// Most IPv4 addresses in all that the owner's entries may cover (default 2^24, a /8).
    pub ipv4_space: u64,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            removals_share: 0.3,
            removals_floor: 10,
            revocations_share: 0.5,
            revocations_floor: 10,
            additions_floor: 1_000,
            additions_factor: 3.0,
            ipv4_space: 1 << 24,
        }
    }
}

/// A configured target: one product, its devices and mechanisms.
#[derive(Clone)]
pub struct TargetGroup {
    /// Its name in the configuration.
    pub name: String,
    /// One per device and mechanism.
    pub members: Vec<Member>,
}

impl TargetGroup {
    /// What people call a device: with its account where another one's device has the same name, as firewalls behind
    /// two ports of one address have; empty where there is only one.
    pub(crate) fn device_name(&self, member: &Member) -> String {
        let key = member.target.key();
        let is_twin = |other: &Member| {
            let other = other.target.key();
            other.device == key.device && other.account != key.account
        };
        match (key.device.as_str(), self.members.iter().any(is_twin)) {
            ("", true) => key.account.clone(),
            (device, true) => format!("{device} ({})", key.account),
            (device, false) => device.to_owned(),
        }
    }
}

/// One device and mechanism of a target.
#[derive(Clone)]
pub struct Member {
    /// The target.
    pub target: Arc<dyn Target>,
    /// The kinds sent to it; empty: all it takes.
    pub kinds: Vec<Kind>,
}

/// Told now and then what is being done.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Opens the file that a path argument names, or says why it may not.
pub type OpenFile = Arc<dyn Fn(&str) -> Result<Box<dyn std::io::Read + Send>> + Send + Sync>;

/// What a run gets from the outside.
#[derive(Clone)]
pub struct Context {
    /// Clock, CAs, installation.
    pub environment: Environment,
    /// The store, if there is one.
    pub store: Option<Arc<dyn Store>>,
    /// Plan and report, send nothing.
    pub dry_run: bool,
    /// Who started it, for the history.
    pub actor: String,
    /// A held set's digest that may go through, or `true` where the caller made sure a person said so.
    pub allow_mass_change: Option<String>,
    /// Whether a person sits at a terminal: only then may an argument say `allow_mass_change: true`.
    pub attended: bool,
    /// For progress on a terminal.
    pub progress: Option<Progress>,
    /// What one-shot actions must never block, beside what their configuration says: lists of the
    /// deployments on the same target. What cannot be read refuses every addition.
    pub protect: Vec<Source>,
    /// What path arguments may name; `None`: any file, as on the command line.
    pub files: Option<OpenFile>,
}

impl Context {
    /// No store, nothing allowed, nobody watching.
    pub fn new(environment: Environment) -> Self {
        Self {
            environment,
            store: None,
            dry_run: false,
            actor: "cordon".to_owned(),
            allow_mass_change: None,
            attended: false,
            progress: None,
            protect: Vec::new(),
            files: None,
        }
    }

    fn tell(&self, what: &str) {
        if let Some(progress) = &self.progress {
            progress(what);
        }
    }
}

/// Collections of a deployment, read or failed, in the order of the deployment.
#[derive(Debug, Default)]
pub struct Readings {
    /// What to block.
    pub include: Vec<Read>,
    /// What not to.
    pub exclude: Vec<Read>,
    /// What never.
    pub protect: Vec<Read>,
}

/// One collection, read or failed.
#[derive(Debug)]
pub struct Read {
    /// Its name.
    pub name: String,
    /// The outcome.
    pub result: Result<Reading>,
    /// Whether the store keeps its last complete copy. Not for values that an argument gives: each call
    /// gives others.
    pub remembered: bool,
}

impl From<Reading> for Read {
    fn from(reading: Reading) -> Self {
        Self {
            name: reading.name.clone(),
            result: Ok(reading),
            remembered: false,
        }
    }
}

/// One pass of a deployment over one target. Never fails as a whole: what went wrong stands in the report.
pub async fn sync(deployment: &Deployment, target: &TargetGroup, context: &Context) -> Report {
    let readings = sources::read(deployment, context).await;
    sync_readings(deployment, readings, target, context).await
}

/// The same with collections that were read already.
pub async fn sync_readings(
    deployment: &Deployment,
    readings: Readings,
    target: &TargetGroup,
    context: &Context,
) -> Report {
    let started = context.environment.clock.elapsed();
    let task = match task::compile_full(deployment, readings, context).await {
        Ok(task) => task,
        Err(error) => return tally::failed(target, &deployment.owner, context, started, &error),
    };
    perform(&task, target, context, started).await
}

/// Takes down everything that an owner has on a target; the guard does not hold it, a person asked.
pub async fn retire(
    owner: &Owner,
    formerly: &[Owner],
    target: &TargetGroup,
    context: &Context,
) -> Report {
    let started = context.environment.clock.elapsed();
    let mut task = Task::new(owner.clone(), Purpose::Retire);
    task.formerly = formerly.to_vec();
    perform(&task, target, context, started).await
}

/// Runs a task on every device of a target.
pub async fn perform(
    task: &Task,
    target: &TargetGroup,
    context: &Context,
    started: std::time::Duration,
) -> Report {
    let mut tally = tally::Tally::new(task, target, context);
    if target.members.is_empty() {
        let error = Error::config("the target has no device").with("target", &target.name);
        return tally::failed(target, &task.owner, context, started, &error);
    }
    for member in &target.members {
        let name = target.device_name(member);
        context.tell(&format!("{} {name}", target.name));
        let device = device::run(task, member, &target.name, tally.run_id(), context).await;
        tally.device(member, name, device);
    }
    tally.finish(context, started)
}
