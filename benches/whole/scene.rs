//! One deployment, one target, values to block, and what a run costs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use sdk::Clock;
use sdk::collection::Reading;
use sdk::connector::{Connector, Environment};
use sdk::indicator::{Indicator, Kind, Origin, Value};
use sdk::ownership::Owner;
use sdk::report::{Report, Status, Verified};
use sdk::store::MemoryStore;
use sdk::sync::{Context, Deployment, GuardSettings, Member, Readings, TargetGroup, sync_readings};
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::fake::{FakeProcess, Seen};

pub(crate) struct Scene {
    deployment: Deployment,
    target: TargetGroup,
    configuration: Json,
    context: Context,
    runtime: tokio::runtime::Runtime,
}

/// What one run cost.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// The calls that the fake saw.
    pub(crate) calls: Vec<Seen>,
    pub(crate) report: Report,
}

impl Run {
    /// Entries added, changed and removed.
    pub(crate) fn written(&self) -> usize {
        let report = &self.report;
        report.added + report.updated + report.renewed + report.removed.total()
    }
}

impl Scene {
    pub(crate) fn new(
        connector: &Connector,
        mechanism: &str,
        mut configuration: Json,
    ) -> Result<Self, Failure> {
        configuration["mechanism"] = json!(mechanism);
        let environment = Environment::new(Clock::system());
        let target = group(connector, &configuration, &environment)?;
        let mut deployment = Deployment::new(Owner::new("acme")?);
        // Everything is taken down at once, which no guard lets through.
        deployment.guard = GuardSettings {
            removals_floor: usize::MAX,
            ..GuardSettings::default()
        };
        Ok(Self {
            deployment,
            target,
            configuration,
            context: Context {
                store: Some(Arc::new(MemoryStore::new())),
                ..Context::new(environment)
            },
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?,
        })
    }

    /// Makes the targets anew, as a new process would.
    pub(crate) fn log_in_again(&mut self, connector: &Connector) -> Result<(), Failure> {
        self.target = group(connector, &self.configuration, &self.context.environment)?;
        Ok(())
    }

    /// Makes what is blocked equal to `values`, and fails unless all of it is done and seen.
    pub(crate) fn sync(&self, values: &[Value], fake: &mut FakeProcess) -> Result<Run, Failure> {
        let readings = Readings {
            include: vec![reading(values).into()],
            ..Readings::default()
        };
        let (cpu, start) = (self::cpu()?, Instant::now());
        let run = sync_readings(&self.deployment, readings, &self.target, &self.context);
        let report = self.runtime.block_on(run);
        let (cpu, wall) = (self::cpu()? - cpu, start.elapsed());
        assert_eq!(report.status, Status::Ok, "{report:#?}");
        assert_ne!(report.verified, Verified::No, "{:?}", report.warnings);
        Ok(Run {
            cpu,
            wall,
            calls: fake.calls()?,
            report,
        })
    }
}

fn group(
    connector: &Connector,
    configuration: &Json,
    environment: &Environment,
) -> Result<TargetGroup, Failure> {
    let targets = (connector.targets)(configuration.clone(), environment)?;
    let member = |target| Member {
        target,
        kinds: Vec::new(),
    };
    Ok(TargetGroup {
        name: connector.name.to_owned(),
        members: targets.into_iter().map(member).collect(),
    })
}

fn reading(values: &[Value]) -> Reading {
    let line = |(value, line): (&Value, u32)| Indicator::bare(value.clone(), Origin::Line(line));
    Reading {
        name: "bench".to_owned(),
        indicators: values.iter().zip(1..).map(line).collect(),
        ..Reading::default()
    }
}

/// Values of one kind that nothing protects, all different.
pub(crate) fn values(kind: Kind, count: usize) -> Result<Vec<Value>, Failure> {
    (0..count)
        .map(|index| {
            let hash = blake3::hash(&index.to_be_bytes());
            Ok(match kind {
                Kind::Sha256 => Value::Sha256(*hash.as_bytes()),
                Kind::Sha1 => Value::Sha1(hash.as_bytes()[..20].try_into()?),
                Kind::Md5 => Value::Md5(hash.as_bytes()[..16].try_into()?),
                // 31 apart.
                Kind::Ipv4 => {
                    let bits = 0x2D00_0000 + 31 * u32::try_from(index)?;
                    Value::Ipv4(Ipv4Net::new(std::net::Ipv4Addr::from_bits(bits), 32)?)
                }
                _ => Value::parse(Kind::Domain, &format!("host-{index}.cordon-bench.org"))?,
            })
        })
        .collect()
}

/// CPU time of this process so far, with all its threads, in the kernel's hundredths of a second.
pub(crate) fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = 0;
    for field in fields.split_whitespace().skip(11).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 10))
}
