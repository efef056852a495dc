//! The one test binary: reading collections, and every action, against the fake at each of its switches.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod adding;
mod alerts;
mod checking;
mod reading;
mod revoking;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sdk::action::Outcome;
use sdk::collection::sekoia::{Access, Collection, CollectionId};
use sdk::collection::{Location, ReadContext, Reading, Source, SourceKind};
use sdk::connector::Environment;
use sdk::fake::{Fake, FakeOptions, Switches};
use sdk::report::{Detail, Report};
use sdk::sync::Context;
use sdk::{Clock, Error, Result, Secret};
use sekoia::fake::{Sekoia, start_with};
use serde_json::{Value as Json, json};

/// A fake, and everything to reach it with.
struct Rig {
    fake: Fake,
    sekoia: Arc<Sekoia>,
    clock: Clock,
}

fn noon() -> DateTime<Utc> {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

fn days(count: i64) -> TimeDelta {
    TimeDelta::days(count)
}

impl Rig {
    async fn new() -> Self {
        Self::with(Switches::default(), &[]).await
    }

    async fn switched(name: &str, position: &str) -> Self {
        Self::with(Switches::default().with(name, position), &[]).await
    }

    async fn with(switches: Switches, settings: &[(&str, Json)]) -> Self {
        let clock = Clock::manual(noon());
        let mut options = FakeOptions::plain(clock.clone());
        options.switches = switches;
        for (name, value) in settings {
            options = options.set(name, value.clone());
        }
        let (fake, sekoia) = start_with(options).await.unwrap();
        Self {
            fake,
            sekoia,
            clock,
        }
    }

    fn source(&self, id: &str, kind: SourceKind) -> Source {
        let text = |name: &str| self.fake.configuration[name].as_str().unwrap().to_owned();
        Source {
            name: "c2".to_owned(),
            kind,
            location: Location::Sekoia(Box::new(Collection {
                id: CollectionId::parse(id).unwrap(),
                access: Access::new(&text("base_url"), Secret::new(&text("api_key"))),
            })),
        }
    }

    fn read_context(&self) -> ReadContext {
        ReadContext {
            environment: Environment::new(self.clock.clone()),
            now: self.clock.now(),
            size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
        }
    }

    async fn read(&self, id: &str) -> Result<Reading> {
        let source = self.source(id, SourceKind::Stix);
        source.read(&self.read_context()).await
    }

    async fn read_text(&self, id: &str) -> Result<Reading> {
        let source = self.source(id, SourceKind::List);
        source.read(&self.read_context()).await
    }

    async fn run(&self, command: &str, arguments: Json) -> Result<Outcome> {
        self.run_with(command, arguments, json!({})).await
    }

    async fn run_with(&self, command: &str, arguments: Json, more: Json) -> Result<Outcome> {
        let mut configuration = self.fake.configuration.clone();
        for (name, value) in more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let context = Context::new(Environment::new(self.clock.clone()));
        let connector = sekoia::connector();
        sdk::action::run(&connector, command, arguments, configuration, &context).await
    }

    async fn report(&self, command: &str, arguments: Json) -> Report {
        report_of(self.run(command, arguments).await)
    }

    /// Calls that change something.
    fn writes(&self) -> usize {
        self.fake.server.log.count(|call| {
            call.path.contains("/indicators") && (call.method == "POST" || call.method == "DELETE")
        })
    }

    /// The latest end of a value's indicators that are not revoked; `None` where there is none.
    fn end(&self, collection: &str, name: &str) -> Option<DateTime<Utc>> {
        let rows = self.sekoia.rows(collection);
        let standing = rows.iter().filter(|row| row.name == name && !row.revoked);
        standing
            .map(|row| row.valid_until.unwrap_or(DateTime::<Utc>::MAX_UTC))
            .max()
    }
}

fn report_of(outcome: Result<Outcome>) -> Report {
    match outcome.unwrap() {
        Outcome::Report(report) => *report,
        Outcome::View(view) => panic!("no report: {view}"),
    }
}

fn error_of(outcome: Result<Outcome>) -> Error {
    match outcome {
        Ok(outcome) => panic!("no error: {outcome:?}"),
        Err(error) => error,
    }
}

fn detail<'a>(report: &'a Report, value: &str) -> &'a Detail {
    let found: Vec<&Detail> = report
        .details
        .iter()
        .filter(|it| it.value == value)
        .collect();
    match found[..] {
        [one] => one,
        _ => panic!("{value}: {:?}", report.details),
    }
}

fn outcome(report: &Report, value: &str) -> (String, String) {
    let detail = detail(report, value);
    (detail.outcome.clone(), detail.reason.clone())
}
