//! What the story is told in: two fake vendors, published collections, a store, one clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sdk::collection::{
    Include, Protection, ReadContext, Reading, Rules, Source, SourceKind, compile,
};
use sdk::connector::{Connector, Environment};
use sdk::fake::{Call, Fake, FakeEntry, FakeOptions, Switches, Transport};
use sdk::indicator::{Kind, Value};
use sdk::ownership::Owner;
use sdk::report::Report;
use sdk::store::Store;
use sdk::sync::{Context, Deployment, TargetGroup};
use sdk::target::Capabilities;
use sdk::{Clock, Error, Result};
use tempfile::TempDir;

use super::server::Publisher;
use crate::store::{ClockUse, Opened};

/// The deployment's name, and so the owner in its marks.
pub(crate) const OWNER: &str = "acme";

/// Who the history says did it.
const ACTOR: &str = "demo";

/// One product and its fake.
pub(crate) struct Vendor {
    /// Its name as a target.
    pub name: &'static str,
    /// The connector.
    pub connector: &'static Connector,
    /// Its default mechanism.
    pub mechanism: &'static Capabilities,
    /// The fake.
    pub fake: Fake,
    /// An operator's own entry whose value is an indicator too.
    pub equal: Value,
    /// Everything that the operator made by hand, as it was at the start.
    pub by_hand: Vec<FakeEntry>,
}

impl Vendor {
    async fn start(
        name: &'static str,
        connector: &'static str,
        equal: (Kind, &str),
        other: (Kind, &str),
        clock: &Clock,
    ) -> Result<Self> {
        let connector = crate::connectors::find(connector)?;
        let mechanism = connector
            .mechanisms
            .first()
            .ok_or_else(|| Error::internal("a connector without a mechanism"))?;
        let options = FakeOptions {
            clock: clock.clone(),
            transport: Transport::Tls,
            port: 0,
            switches: Switches::default(),
            settings: Default::default(),
        };
        let fake = (connector.fake)(options).await?;
        let parse = |(kind, text): (Kind, &str)| {
            Value::parse(kind, text)
                .map_err(|error| Error::internal("a value of the story").because(error))
        };
        let equal = parse(equal)?;
        for value in [&equal, &parse(other)?] {
            if !fake.state.add_foreign(mechanism.mechanism, value) {
                return Err(Error::internal("the fake takes no entry by hand").with("value", value));
            }
        }
        let mut vendor = Self {
            name,
            connector,
            mechanism,
            fake,
            equal,
            by_hand: Vec::new(),
        };
        vendor.by_hand = vendor.foreign();
        Ok(vendor)
    }

    /// What the product acts on now and a person made, sorted.
    pub(crate) fn foreign(&self) -> Vec<FakeEntry> {
        let mut entries = self.fake.state.enforced(self.mechanism.mechanism);
        entries.retain(|entry| entry.foreign);
        entries.sort_by(|a, b| (&a.value, &a.text).cmp(&(&b.value, &b.text)));
        entries
    }

    /// What the product acts on now because of us, sorted; twice what is there twice.
    pub(crate) fn ours(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self
            .fake
            .state
            .enforced(self.mechanism.mechanism)
            .into_iter()
            .filter(|entry| !entry.foreign)
            .map(|entry| entry.value)
            .collect();
        values.sort();
        values
    }

    /// Calls since the log was last emptied: those that change nothing, and those that may.
    pub(crate) fn calls(&self) -> [usize; 2] {
        let log = &self.fake.server.log;
        [log.count(|call| !is_write(call)), log.count(is_write)]
    }
}

/// Logging in changes nothing, though it is a POST.
fn is_write(call: &Call) -> bool {
    call.method != "GET" && !call.path.starts_with("/oauth2/")
}

/// All of it.
pub(crate) struct World {
    /// The one clock: only the story moves it.
    pub clock: Clock,
    /// The vendors.
    pub vendors: [Vendor; 2],
    /// The collections.
    pub publisher: Publisher,
    /// The deployment.
    pub deployment: Deployment,
    /// The store.
    pub store: Arc<dyn Store>,
    // Above the directory, so that it is closed before that is removed.
    _opened: Opened,
    _directory: TempDir,
}

impl World {
    /// Starts everything; no vendor is called.
    pub(crate) async fn start(begin: DateTime<Utc>) -> Result<Self> {
        let clock = Clock::manual(begin);
        let falcon = Vendor::start(
            "falcon",
            "crowdstrike",
            (Kind::Md5, "214add3ebdd5b429fda7c00e7f01b864"),
            (Kind::Domain, "old-tool.example.com"),
            &clock,
        );
        let fortigate = Vendor::start(
            "fortigate",
            "fortinet",
            (Kind::Ipv4, "136.244.65.99"),
            (Kind::Domain, "games.example.com"),
            &clock,
        );
        let vendors = [falcon.await?, fortigate.await?];
        let publisher = Publisher::start(&clock).await?;
        let mut deployment = Deployment::new(Owner::new(OWNER)?);
        deployment.include = vec![
            publisher.source("soc", SourceKind::List),
            publisher.source("emotet", SourceKind::List),
            publisher.source("apt31", SourceKind::Stix),
            publisher.source("raccoon", SourceKind::List),
            publisher.source("ipsum", SourceKind::List),
        ];
        deployment.exclude = vec![publisher.source("customers", SourceKind::List)];
        deployment.protect = vec![publisher.source("cloudflare", SourceKind::Warninglist)];
        let directory = tempfile::Builder::new()
            .prefix("cordon-demo-")
            .tempdir()
            .map_err(|error| {
                Error::config("there is no room for the demo's store")
                    .because(error)
                    .hint("TMPDIR names a directory that can be written to")
            })?;
        let opened =
            crate::store::open(&directory.path().join("cordon.db"), ClockUse::Moved).await?;
        Ok(Self {
            clock,
            vendors,
            publisher,
            deployment,
            store: Arc::clone(&opened.store),
            _opened: opened,
            _directory: directory,
        })
    }

    fn environment(&self) -> Environment {
        Environment::new(self.clock.clone())
    }

    /// What a process gets that runs now.
    pub(crate) fn context(&self) -> Context {
        let mut context = Context::new(self.environment());
        context.store = Some(Arc::clone(&self.store));
        ACTOR.clone_into(&mut context.actor);
        context
    }

    /// A vendor as a target, new each time, as in a new process.
    pub(crate) fn group(&self, vendor: &Vendor) -> Result<TargetGroup> {
        Ok(TargetGroup {
            name: vendor.name.to_owned(),
            members: sdk::action::members(
                vendor.connector,
                vendor.fake.configuration.clone(),
                &self.environment(),
            )?,
        })
    }

    /// One pass over both vendors.
    pub(crate) async fn sync(&self) -> Result<[Report; 2]> {
        self.pass(&self.context()).await
    }

    /// The same, and nothing is sent.
    pub(crate) async fn plan(&self) -> Result<[Report; 2]> {
        let mut context = self.context();
        context.dry_run = true;
        self.pass(&context).await
    }

    async fn pass(&self, context: &Context) -> Result<[Report; 2]> {
        let [falcon, fortigate] = &self.vendors;
        let pass = async |vendor: &Vendor| {
            let group = self.group(vendor)?;
            Ok::<_, Error>(sdk::sync::sync(&self.deployment, &group, context).await)
        };
        Ok([pass(falcon).await?, pass(fortigate).await?])
    }

    /// Reads one collection.
    pub(crate) async fn read(&self, source: &Source) -> Result<Reading> {
        let context = ReadContext {
            environment: self.environment(),
            now: self.clock.now(),
            size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
        };
        source.read(&context).await
    }

    async fn read_all(&self, sources: &[Source]) -> Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(sources.len());
        for source in sources {
            readings.push(self.read(source).await?);
        }
        Ok(readings)
    }

    /// What the collections ask for now and what keeps the rest off, worked out without any vendor.
    pub(crate) async fn compiled(&self) -> Result<(sdk::collection::Compiled, Rules)> {
        let include = self.read_all(&self.deployment.include).await?;
        let exclude = self.read_all(&self.deployment.exclude).await?;
        let protect = self.read_all(&self.deployment.protect).await?;
        let now = self.clock.now();
        let rules = Rules::new(
            &exclude.iter().collect::<Vec<_>>(),
            &protect.iter().collect::<Vec<_>>(),
            Protection::new(&self.deployment.protection),
            now,
        );
        let include: Vec<Include<'_>> = include
            .iter()
            .map(|reading| Include {
                reading,
                first_seen: &[],
            })
            .collect();
        let compiled = compile(&include, &rules, &self.deployment.policy, now);
        Ok((compiled, rules))
    }

    /// What each vendor should act on because of us, by the collections as they are published now.
    pub(crate) async fn expected(&self) -> Result<[Vec<Value>; 2]> {
        let (compiled, rules) = self.compiled().await?;
        Ok(self.vendors.each_ref().map(|vendor| {
            let by_hand: BTreeSet<&Value> =
                vendor.by_hand.iter().map(|entry| &entry.value).collect();
            compiled
                .wanted
                .iter()
                .map(|wanted| &wanted.value)
                .filter(|value| !by_hand.contains(value))
                .filter(|value| takes(vendor.mechanism, value, &rules))
                .cloned()
                .collect()
        }))
    }
}

fn takes(mechanism: &Capabilities, value: &Value, rules: &Rules) -> bool {
    let Some(support) = mechanism.kind(value.kind()) else {
        return false;
    };
    let network = match value {
        Value::Ipv4(network) => network.prefix_len() < 32,
        Value::Ipv6(network) => network.prefix_len() < 128,
        _ => false,
    };
    (support.networks || !network) && !(support.matches_below && rules.conflict(value).is_some())
}
