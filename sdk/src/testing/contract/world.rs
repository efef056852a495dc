//! One scenario's world: a vendor, a clock, a store, and what somebody else keeps there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::model::{self, Scene};
use super::rig::{Rig, Subject};
use super::watch::{Lost, Tally, Watcher};
use super::{Check, Stop, ensure};
use crate::clock::Clock;
use crate::collection::Source;
use crate::connector::Environment;
use crate::error::{Error, ErrorKind};
use crate::fake::FakeState;
use crate::indicator::{Indicator, Kind, Value};
use crate::ownership::Owner;
use crate::report::{Report, Status};
use crate::store::{MemoryStore, Store};
use crate::sync::{Context, GuardSettings, Member, Read, Readings, TargetGroup, sync_readings};
use crate::target::{Capabilities, Facts, Foreign, Proof, Scope};
use crate::testing::builders::{self, Dice};

/// The owner in most scenarios.
pub(super) const OWNER: &str = "contract";

/// At how many calls of a run something happens where not every call is tried.
const SOME_CALLS: usize = 3;

/// Numbers of values that belong to somebody else.
const FOREIGN_FROM: usize = 20_000;

/// What a scenario is given.
pub(super) struct Setup<'a> {
    /// What is under test.
    pub(super) subject: &'a dyn Subject,
    /// Whether there is a store.
    pub(super) with_store: bool,
    /// For what is random.
    pub(super) seed: u64,
    /// Whether this is the first combination of many: the dear scenarios run only there.
    pub(super) thorough: bool,
    /// Whether what can happen at any call is tried at every call, and every size of batch, not some.
    pub(super) exhaustive: bool,
}

impl Setup<'_> {
    /// The calls of a run at which something happens: all of them, or [`SOME_CALLS`] that differ from one
    /// combination of switches, and one `purpose`, to the next.
    pub(super) fn some_of(&self, calls: usize, purpose: &str) -> Vec<usize> {
        let mut picked: Vec<usize> = (0..calls).collect();
        if self.exhaustive || calls <= SOME_CALLS {
            return picked;
        }
        let name = format!("{}/{}/{purpose}", self.seed, self.subject.title());
        let hash = blake3::hash(name.as_bytes());
        let mut dice = Dice::new(u64::from_le_bytes(
            hash.as_bytes()[..8].try_into().unwrap_or_default(),
        ));
        while picked.len() > SOME_CALLS {
            picked.remove(dice.below(picked.len()));
        }
        picked
    }
}

/// One run to make.
#[derive(Clone)]
pub(super) struct Order<'a> {
    pub(super) owner: &'a str,
    pub(super) scene: &'a Scene,
    pub(super) adopt: bool,
    pub(super) dry_run: bool,
    pub(super) guard: GuardSettings,
    pub(super) allow: Option<String>,
    /// Values that the vendor is made to refuse.
    pub(super) refused: BTreeSet<Value>,
    /// What is lost on the way to the vendor or back.
    pub(super) lost: Option<Lost>,
}

impl<'a> Order<'a> {
    /// A plain run, without a guard.
    pub(super) fn new(scene: &'a Scene) -> Self {
        let free = GuardSettings {
            removals_floor: usize::MAX,
            revocations_floor: usize::MAX,
            additions_floor: usize::MAX,
            ..GuardSettings::default()
        };
        Self {
            owner: OWNER,
            scene,
            adopt: false,
            dry_run: false,
            guard: free,
            allow: None,
            refused: BTreeSet::new(),
            lost: None,
        }
    }

    /// For another owner.
    pub(super) fn owned_by(mut self, owner: &'a str) -> Self {
        self.owner = owner;
        self
    }
}

/// A run that was made.
pub(super) struct Run {
    pub(super) report: Report,
    pub(super) tally: Tally,
}

impl Run {
    /// Fails unless everything was done.
    pub(super) fn ok(&self) -> Check {
        ensure!(
            self.report.status == Status::Ok,
            "the run is not ok: {}",
            self.told()
        );
        Ok(())
    }

    /// What the report says went wrong, in one line.
    pub(super) fn told(&self) -> String {
        let report = &self.report;
        let details: Vec<_> = report
            .details
            .iter()
            .take(3)
            .map(|detail| {
                format!(
                    "{} {} {}: {}",
                    detail.value, detail.outcome, detail.reason, detail.message
                )
            })
            .collect();
        format!(
            "{:?}, error {:?}, devices {:?}, warnings {:?}, details {details:?}",
            report.status, report.error, report.devices, report.warnings
        )
    }
}

/// One scenario's world.
pub(super) struct World {
    pub(super) capabilities: Capabilities,
    pub(super) rig: Box<dyn Rig>,
    pub(super) state: Arc<dyn FakeState>,
    pub(super) clock: Clock,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) facts: Facts,
    /// What somebody else keeps there: value, and the text of the entry where it is known.
    foreign: Mutex<BTreeMap<Value, Option<String>>>,
    /// Values that somebody wrote while we did. Where no text tells equal entries apart, ours beside theirs
    /// is neither required nor wrong.
    twins: Mutex<BTreeSet<Value>>,
}

impl World {
    /// A vendor that holds two entries of somebody else, if it can.
    pub(super) async fn new(setup: &Setup<'_>) -> Check<Self> {
        let clock = Clock::manual(builders::start());
        Self::start(setup, clock.clone(), &clock).await
    }

    /// The same with a device whose clock is so far ahead of ours.
    pub(super) async fn with_clock_ahead(setup: &Setup<'_>, by: TimeDelta) -> Check<Self> {
        let clock = Clock::manual(builders::start());
        let device = clock.ahead(by);
        Self::start(setup, clock, &device).await
    }

    async fn start(setup: &Setup<'_>, clock: Clock, device: &Clock) -> Check<Self> {
        let rig = setup
            .subject
            .start(device)
            .await
            .map_err(broken("the fake does not start"))?;
        let mut world = Self {
            capabilities: setup.subject.capabilities().clone(),
            state: rig.state(),
            rig,
            clock,
            store: setup
                .with_store
                .then(|| Arc::new(MemoryStore::default()) as Arc<dyn Store>),
            facts: Facts::default(),
            foreign: Mutex::default(),
            twins: Mutex::default(),
        };
        let targets = world.targets(OWNER)?;
        ensure!(
            !targets.is_empty(),
            "the configuration makes no target with this mechanism"
        );
        world.facts = targets[0]
            .open()
            .await
            .map_err(broken("the target does not open"))?;
        for number in 0..2 {
            let value = world.values_from(FOREIGN_FROM + number * 10, 1)?.remove(0);
            world.admin_adds(&value);
        }
        Ok(world)
    }

    /// `count` values that the mechanism takes, of all its kinds in turn, the same on every call.
    pub(super) fn values(&self, count: usize) -> Check<Vec<Value>> {
        self.values_from(0, count)
    }

    /// The same, of one kind.
    pub(super) fn values_of(&self, kind: Kind, from: usize, count: usize) -> Check<Vec<Value>> {
        self.accepted((from..).map(|number| builders::value(kind, number)), count)
    }

    fn values_from(&self, from: usize, count: usize) -> Check<Vec<Value>> {
        let kinds = self.capabilities.kinds;
        let all = (from..).map(|number| builders::value(kinds[number % kinds.len()].kind, number));
        self.accepted(all, count)
    }

    /// The first `count` that are taken as they are.
    fn accepted(&self, values: impl Iterator<Item = Value>, count: usize) -> Check<Vec<Value>> {
        let target = self.targets(OWNER)?.remove(0);
        let taken: Vec<Value> = values
            .take(count * 10 + 100)
            .filter(|value| target.accept(value, &self.facts).as_ref() == Ok(value))
            .take(count)
            .collect();
        ensure!(
            taken.len() == count,
            "the mechanism takes too few ordinary values of its own kinds"
        );
        Ok(taken)
    }

    fn environment(&self) -> Environment {
        Environment::new(self.clock.clone())
    }

    /// Fresh clients.
    pub(super) fn targets(&self, owner: &str) -> Check<Vec<Arc<dyn crate::target::Target>>> {
        let owner = Owner::new(owner).map_err(broken("the owner's name"))?;
        self.rig
            .targets(&self.environment(), &owner)
            .map_err(broken("the configuration is refused"))
    }

    /// One run, by a new process.
    pub(super) async fn run(&self, order: Order<'_>) -> Check<Run> {
        let scene = order.scene;
        let mut deployment =
            builders::deployment(order.owner, scene.include.len(), scene.exclude.len());
        deployment.adopt = order.adopt;
        deployment.guard = order.guard;
        let watcher = Watcher::new(order.refused, order.lost);
        let members = self
            .targets(order.owner)?
            .into_iter()
            .map(|target| Member {
                target: watcher.watch(target),
                kinds: Vec::new(),
            })
            .collect();
        let group = TargetGroup {
            name: "under-test".to_owned(),
            members,
        };
        let context = Context {
            environment: self.environment(),
            store: self.store.clone(),
            dry_run: order.dry_run,
            actor: "contract suite".to_owned(),
            allow_mass_change: order.allow,
            progress: None,
            protect: Vec::new(),
            files: None,
            attended: false,
        };
        let readings = Readings {
            include: read(&scene.include, &deployment.include),
            exclude: read(&scene.exclude, &deployment.exclude),
            protect: Vec::new(),
        };
        let report = sync_readings(&deployment, readings, &group, &context).await;
        let tally = watcher.tally();
        ensure!(
            tally.faults.is_empty(),
            "the loop or the target broke the rules: {}",
            tally.faults.join("; ")
        );
        Ok(Run { report, tally })
    }

    /// One run that must do everything, after which the vendor must be as the model says, and a second one
    /// that must have nothing to do.
    pub(super) async fn converge(&self, scene: &Scene) -> Check<Run> {
        let run = self.run(Order::new(scene)).await?;
        run.ok()?;
        self.check(&[(OWNER, scene)]).await?;
        self.quiet(Order::new(scene)).await?;
        self.check(&[(OWNER, scene)]).await?;
        Ok(run)
    }

    /// A run that must have nothing to do.
    pub(super) async fn quiet(&self, order: Order<'_>) -> Check {
        self.settle();
        let again = self.run(order).await?;
        again.ok()?;
        let report = &again.report;
        ensure!(
            report.changes.is_empty() && !again.tally.wrote() && report.requests.write == 0,
            "running again at once still writes: {} calls, {} adds {:?}, updates {:?}, removals {:?}, {} commits",
            report.requests.write,
            again.tally.added.len(),
            first(&again.tally.added),
            first(&again.tally.updated),
            first(&again.tally.removed),
            again.tally.commits
        );
        Ok(())
    }

    /// Compares the vendor with the model.
    pub(super) async fn check(&self, scenes: &[(&str, &Scene)]) -> Check {
        let now = self.clock.now();
        let mut expected: BTreeSet<Value> = scenes
            .iter()
            .flat_map(|(_, scene)| model::wanted(scene, now))
            .collect();
        if self.capabilities.foreign != Foreign::Coexists {
            for value in self.foreign().keys() {
                expected.remove(value);
            }
        }
        self.expect(&expected)?;
        self.no_leftovers(scenes, &expected).await
    }

    /// Values that were written by both sides at once.
    pub(super) fn twins(&self) -> MutexGuard<'_, BTreeSet<Value>> {
        self.twins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares what is enforced with these values, each once, and with what somebody else keeps there.
    pub(super) fn expect(&self, expected: &BTreeSet<Value>) -> Check {
        let (foreign, ours): (Vec<_>, Vec<_>) = self
            .state
            .enforced(self.capabilities.mechanism)
            .into_iter()
            .partition(|entry| entry.foreign);
        let mut ours = ours;
        let twins = self.twins().clone();
        let both = |entry: &crate::fake::FakeEntry| {
            twins.contains(&entry.value) && foreign.iter().any(|other| other.value == entry.value)
        };
        ours.retain(|entry| !both(entry));
        let values: BTreeSet<Value> = ours.iter().map(|entry| entry.value.clone()).collect();
        let missing: Vec<_> = expected.difference(&values).collect();
        let extra: Vec<_> = values.difference(expected).collect();
        ensure!(
            missing.is_empty() && extra.is_empty(),
            "enforced is not what is wanted: missing {missing:?}, too much {extra:?}"
        );
        // Every owner has a container of its own.
        let once = self.capabilities.proof == Proof::Container || ours.len() == values.len();
        ensure!(once, "a value is there more than once: {:?}", first(&ours));
        let known = self.foreign();
        for (value, text) in known.iter() {
            let Some(entry) = foreign.iter().find(|entry| entry.value == *value) else {
                return Err(Stop::Failed(format!("the foreign entry {value} is gone")));
            };
            if let Some(text) = text {
                ensure!(
                    entry.text == *text,
                    "the foreign entry {value} was changed: {:?}",
                    entry.text
                );
            }
        }
        ensure!(
            foreign.len() == known.len(),
            "there are foreign entries that nobody made: {foreign:?}"
        );
        Ok(())
    }

    /// Nothing of ours may lie there, enforced or not, that is not wanted.
    async fn no_leftovers(&self, scenes: &[(&str, &Scene)], expected: &BTreeSet<Value>) -> Check {
        self.settle();
        if self.capabilities.foreign == Foreign::Unseen {
            return Ok(());
        }
        let foreign: BTreeSet<Value> = self.foreign().keys().cloned().collect();
        for (owner, _) in scenes {
            for target in self.targets(owner)? {
                let held = target
                    .list(Scope::All)
                    .await
                    .map_err(broken("the listing fails"))?;
                let left = held
                    .iter()
                    .find(|held| !expected.contains(&held.value) && !foreign.contains(&held.value));
                ensure!(left.is_none(), "an entry of ours was left behind: {left:?}");
            }
        }
        Ok(())
    }

    /// An administrator makes an entry; `false` if the product cannot hold it.
    pub(super) fn admin_adds(&self, value: &Value) -> bool {
        let mechanism = self.capabilities.mechanism;
        if !self.state.add_foreign(mechanism, value) {
            return false;
        }
        let text = self
            .state
            .enforced(mechanism)
            .into_iter()
            .find(|entry| entry.foreign && entry.value == *value)
            .map(|entry| entry.text);
        self.foreign().insert(value.clone(), text);
        true
    }

    /// An administrator removes what is there with this value.
    pub(super) fn admin_removes(&self, value: &Value) -> bool {
        self.foreign().remove(value);
        self.state.remove(self.capabilities.mechanism, value)
    }

    /// What somebody else keeps there.
    pub(super) fn foreign(&self) -> MutexGuard<'_, BTreeMap<Value, Option<String>>> {
        self.foreign.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the product's searches catch up with what was written.
    pub(super) fn settle(&self) {
        let time = TimeDelta::from_std(self.state.settle_time()).unwrap_or_default();
        self.clock.advance(time);
    }

    /// Lets days go by, on both sides.
    pub(super) fn days_pass(&self, days: i64) {
        self.clock.advance(TimeDelta::days(days));
    }

    /// Whether a value of ours is enforced.
    pub(super) fn enforces(&self, value: &Value) -> bool {
        let entries = self.state.enforced(self.capabilities.mechanism);
        entries
            .iter()
            .any(|entry| !entry.foreign && entry.value == *value)
    }
}

fn read(sources: &[Option<Vec<Indicator>>], named: &[Source]) -> Vec<Read> {
    sources
        .iter()
        .zip(named)
        .map(|(indicators, source)| Read {
            name: source.name.clone(),
            remembered: true,
            result: match indicators {
                Some(indicators) => Ok(builders::reading(&source.name, indicators.clone())),
                None => Err(Error::new(
                    ErrorKind::Unavailable,
                    "the source cannot be read",
                )),
            },
        })
        .collect()
}

/// Turns an error into a failed scenario.
pub(super) fn broken(what: &'static str) -> impl Fn(Error) -> Stop {
    move |error| Stop::Failed(format!("{what}: {error}"))
}

fn first<T>(items: &[T]) -> &[T] {
    &items[..items.len().min(3)]
}
