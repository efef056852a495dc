//! Runs the scenarios and says what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use serde_json::Value as Json;

use super::Stop;
use super::rig::{ConnectorSubject, Subject};
use super::scenarios::{SCENARIOS, Scenario};
use super::world::Setup;
use crate::clock::Clock;
use crate::connector::Connector;
use crate::error::{Error, Result};
use crate::fake::Switches;
use crate::target::{EndKnownBy, Proof};
use crate::testing::builders;

/// How to run the suite.
#[derive(Clone, Debug)]
pub struct SuiteOptions {
    /// For what is random: switches and sequences.
    pub seed: u64,
    /// How many random combinations of switches.
    pub random: usize,
    /// Only scenarios whose name contains this.
    pub only: Option<String>,
    /// Settings of the fake, for every scenario.
    pub settings: BTreeMap<String, Json>,
}

impl Default for SuiteOptions {
    fn default() -> Self {
        Self {
            seed: 20_260_301,
            random: 20,
            only: None,
            settings: BTreeMap::new(),
        }
    }
}

impl SuiteOptions {
    /// The same with another seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same with certain scenarios only.
    #[must_use]
    pub fn only(mut self, part_of_name: &str) -> Self {
        self.only = Some(part_of_name.to_owned());
        self
    }

    /// The same with a setting of the fake.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }
}

/// What came of one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it must be.
    Passed,
    /// The capabilities say that there is nothing to test.
    Skipped(String),
    /// The contract is broken.
    Failed(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was tested.
    pub subject: String,
    /// The scenario.
    pub scenario: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of the suite.
#[derive(Clone, Debug, Default)]
pub struct SuiteReport {
    /// The seed.
    pub seed: u64,
    /// Every scenario that was run.
    pub lines: Vec<Line>,
}

impl SuiteReport {
    /// The lines that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(|line| matches!(line.verdict, Verdict::Failed(_)))
    }

    /// The scenario names that were skipped, and why.
    pub fn skips(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.lines.iter().filter_map(|line| match &line.verdict {
            Verdict::Skipped(why) => Some((line.scenario, why.as_str())),
            _ => None,
        })
    }

    /// Prints the report, for tests that are run with `--nocapture`.
    ///
    /// # Panics
    /// If a scenario failed, or none was run.
    #[expect(
        clippy::print_stdout,
        reason = "the report of a test, for the person who runs it"
    )]
    #[expect(clippy::panic, reason = "called by tests only: this is how they fail")]
    pub fn assert_passed(&self) {
        println!("{self}");
        let failures: Vec<String> = self.failures().map(Line::to_string).collect();
        if !failures.is_empty() {
            panic!(
                "the contract is broken (seed {}):\n{}",
                self.seed,
                failures.join("\n")
            );
        }
        if !self
            .lines
            .iter()
            .any(|line| line.verdict == Verdict::Passed)
        {
            panic!("no scenario was run");
        }
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "contract suite, seed {}", self.seed)?;
        for line in &self.lines {
            writeln!(f, "{:>8.3} s  {line}", line.took.as_secs_f64())?;
        }
        let count =
            |of: fn(&Verdict) -> bool| self.lines.iter().filter(|line| of(&line.verdict)).count();
        writeln!(
            f,
            "{} ok, {} skipped, {} failed",
            count(|verdict| *verdict == Verdict::Passed),
            count(|verdict| matches!(verdict, Verdict::Skipped(_))),
            count(|verdict| matches!(verdict, Verdict::Failed(_)))
        )
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, why) = match &self.verdict {
            Verdict::Passed => ("ok", ""),
            Verdict::Skipped(why) => ("skipped", why.as_str()),
            Verdict::Failed(why) => ("FAILED", why.as_str()),
        };
        write!(f, "{word:8}{} · {}", self.subject, self.scenario)?;
        if why.is_empty() {
            Ok(())
        } else {
            write!(f, ": {why}")
        }
    }
}

/// Runs the suite on a mechanism of a connector: with its fake's switches at their defaults, each alone in each
/// other position, all at the least forgiving, and in random combinations.
pub async fn run_suite(
    connector: Connector,
    mechanism: &str,
    options: &SuiteOptions,
) -> SuiteReport {
    let mut report = SuiteReport {
        seed: options.seed,
        lines: Vec::new(),
    };
    let subject = match ConnectorSubject::new(connector, mechanism) {
        Ok(subject) => subject.settings(&options.settings),
        Err(error) => return failed_to_start(report, connector.name, &error.to_string()),
    };
    let known = match subject.start(&Clock::manual(builders::start())).await {
        Ok(rig) => rig.state().switches(),
        Err(error) => return failed_to_start(report, connector.name, &error.to_string()),
    };
    let jobs = Switches::combinations(&known, options.random, options.seed)
        .into_iter()
        .enumerate()
        .map(|(index, (name, switches))| {
            let depth = match index {
                0 => Depth::FULL,
                _ if name == "harshest" => Depth::EXHAUSTIVE,
                _ => Depth::SAMPLED,
            };
            (subject.clone().switches(&name, switches), depth)
        })
        .collect();
    for lines in run_side_by_side(jobs, options.clone()).await {
        match lines {
            Ok(lines) => report.lines.extend(lines),
            Err(error) => return failed_to_start(report, connector.name, &error.to_string()),
        }
    }
    report
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
struct Depth {
    /// The dear scenarios, with and without a store.
    thorough: bool,
    /// What can happen at any call is tried at every call, and every size of batch.
    exhaustive: bool,
}

impl Depth {
    const FULL: Self = Self {
        thorough: true,
        exhaustive: true,
    };
    const EXHAUSTIVE: Self = Self {
        thorough: false,
        exhaustive: true,
    };
    const SAMPLED: Self = Self {
        thorough: false,
        exhaustive: false,
    };
}

/// Runs each on as many threads as there are processors; the results are in the order of the jobs.
async fn run_side_by_side(
    jobs: Vec<(ConnectorSubject, Depth)>,
    options: SuiteOptions,
) -> Vec<Result<Vec<Line>>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let count = jobs.len();
    let jobs = Arc::new(jobs);
    let next = Arc::new(AtomicUsize::new(0));
    let (sender, mut results) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..workers.min(count) {
        let (jobs, next) = (Arc::clone(&jobs), Arc::clone(&next));
        let (sender, options) = (sender.clone(), options.clone());
        // Scenarios need not move between threads, so each thread has a runtime of its own.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            while let Some((index, (subject, depth))) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                jobs.get(index).map(|job| (index, job))
            } {
                let lines = match &runtime {
                    Ok(runtime) => Ok(runtime.block_on(run(subject, &options, *depth)).lines),
                    Err(error) => Err(Error::internal(format!("no runtime: {error}"))),
                };
                if sender.send((index, lines)).is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut done = BTreeMap::new();
    while let Some((index, lines)) = results.recv().await {
        done.insert(index, lines);
    }
    (0..count)
        .map(|index| {
            done.remove(&index)
                .unwrap_or_else(|| Err(Error::internal("a thread of the suite died")))
        })
        .collect()
}

/// Runs the suite on a mechanism of a connector, with its fake's switches as given.
pub async fn run_combination(
    connector: Connector,
    mechanism: &str,
    switches: Switches,
    options: &SuiteOptions,
) -> SuiteReport {
    match ConnectorSubject::new(connector, mechanism) {
        Ok(subject) => {
            let name = format!("{:?}", switches.0);
            run_subject(
                &subject
                    .settings(&options.settings)
                    .switches(&name, switches),
                options,
            )
            .await
        }
        Err(error) => failed_to_start(SuiteReport::default(), connector.name, &error.to_string()),
    }
}

/// Runs the suite on anything.
pub async fn run_subject(subject: &dyn Subject, options: &SuiteOptions) -> SuiteReport {
    run(subject, options, Depth::FULL).await
}

async fn run(subject: &dyn Subject, options: &SuiteOptions, depth: Depth) -> SuiteReport {
    let capabilities = subject.capabilities();
    // Where vendor or mark prove ownership and end, a store must not be needed and must not hurt.
    let needs_store = capabilities.end_known_by == EndKnownBy::Ledger
        || !matches!(capabilities.proof, Proof::Mark { .. });
    let stores: &[bool] = match (needs_store, depth.thorough) {
        (true, _) => &[true],
        (false, true) => &[false, true],
        (false, false) => &[false],
    };
    let mut report = SuiteReport {
        seed: options.seed,
        lines: Vec::new(),
    };
    for &with_store in stores {
        let store = if with_store { "store" } else { "no store" };
        let title = format!("{}, {store}", subject.title());
        for scenario in SCENARIOS {
            if options
                .only
                .as_deref()
                .is_some_and(|only| !scenario.name.contains(only))
            {
                continue;
            }
            let setup = Setup {
                subject,
                with_store,
                seed: options.seed,
                thorough: depth.thorough,
                exhaustive: depth.exhaustive,
            };
            let watch = Clock::system();
            let verdict = verdict(scenario, &setup).await;
            report.lines.push(Line {
                subject: title.clone(),
                scenario: scenario.name,
                verdict,
                took: watch.elapsed(),
            });
        }
    }
    report
}

/// Runs one; a panic is a failure of that one alone.
async fn verdict(scenario: &Scenario, setup: &Setup<'_>) -> Verdict {
    match AssertUnwindSafe((scenario.run)(setup)).catch_unwind().await {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(Stop::Skipped(why))) => Verdict::Skipped(why),
        Ok(Err(Stop::Failed(why))) => Verdict::Failed(why),
        Err(panic) => {
            let why = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Verdict::Failed(format!("panicked: {why}"))
        }
    }
}

fn failed_to_start(mut report: SuiteReport, subject: &str, why: &str) -> SuiteReport {
    report.lines.push(Line {
        subject: subject.to_owned(),
        scenario: "start",
        verdict: Verdict::Failed(why.to_owned()),
        took: Duration::ZERO,
    });
    report
}
