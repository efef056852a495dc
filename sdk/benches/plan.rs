//! Planning at the sizes that a deployment may have: wanted against held, 1 % different.
//! `cargo bench -p sdk --bench plan`
//!
//! Two ways of proving ownership: marks in the entries, as an EDR holds them, and the ledger, as for the
//! members of a list. Reading the claims out of a listing is shown beside it.

#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ipnet::Ipv4Net;
use sdk::indicator::{Domain, Kind, UrlValue, Value};
use sdk::ownership::{Claim, Mark, Note, Observed, Owner, Viewer, observe};
use sdk::plan::{Desired, Options, Plan, Question, RemovalReason, Verdict, What, plan};
use sdk::store::{LedgerRow, RowState};
use sdk::target::{
    Capabilities, Effect, EndKnownBy, Facts, Foreign, Granularity, Held, KindSupport, NativeEnd,
    Proof,
};

type Failure = Box<dyn std::error::Error>;

const SMALL: usize = 100_000;
const LARGE: usize = 1_000_000;
const RUNS: usize = 7;
const INSTALLATION: &str = "main";

fn main() -> Result<(), Failure> {
    println!(
        "CPU time, median of {RUNS}; a different value per hundred: half to add, half to remove"
    );
    for (name, proof) in [
        ("marks", Proof::Mark { max_length: 500 }),
        ("ledger", Proof::Ledger),
    ] {
        let small = measure(SMALL, proof)?;
        let large = measure(LARGE, proof)?;
        for (count, measured) in [(SMALL, &small), (LARGE, &large)] {
            println!(
                "{name:7} {count:>9}: plan {:.3} s, observe {:.3} s, {} changes",
                measured.plan.as_secs_f64(),
                measured.observe.as_secs_f64(),
                measured.changes
            );
        }
        println!(
            "{name:7} ten times as many: {:.1} times as long",
            large.plan.as_secs_f64() / small.plan.as_secs_f64()
        );
    }
    Ok(())
}

struct Measured {
    plan: Duration,
    observe: Duration,
    changes: usize,
}

fn measure(count: usize, proof: Proof) -> Result<Measured, Failure> {
    let scene = Scene::new(count, proof)?;
    let mut plans = Vec::new();
    let mut observes = Vec::new();
    let mut changes = 0;
    for _ in 0..RUNS {
        let listing = scene.listing.clone();
        let start = cpu()?;
        let observed = observe(
            listing,
            &scene.ledger,
            proof,
            Viewer {
                installation: INSTALLATION,
                owner: &scene.owner,
                formerly: &[],
            },
        );
        observes.push(cpu()? - start);
        // The kernel counts in ticks of some milliseconds: a short plan is made several times.
        let times = u32::try_from(LARGE / count)?;
        let start = cpu()?;
        let mut planned = Plan::default();
        for _ in 0..times {
            planned = std::hint::black_box(scene.plan(&observed));
        }
        plans.push((cpu()? - start) / times);
        scene.check(&planned);
        changes = planned.changes.len();
    }
    Ok(Measured {
        plan: median(plans),
        observe: median(observes),
        changes,
    })
}

/// CPU time of this thread so far: planning is one thread's work, and a busy machine does not count.
fn cpu() -> Result<Duration, Failure> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = schedule.split_whitespace().next().ok_or("no time")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// What is wanted and what the vendor holds.
struct Scene {
    owner: Owner,
    capabilities: Capabilities,
    now: DateTime<Utc>,
    wanted: Vec<Desired>,
    /// In the vendor's order, which is not ours.
    listing: Vec<Held>,
    ledger: Vec<LedgerRow>,
    /// How many to add, and as many to remove.
    different: usize,
}

impl Scene {
    /// `count` wanted and `count` held: all but one in two hundred in common.
    fn new(count: usize, proof: Proof) -> Result<Self, Failure> {
        let different = count / 200;
        let owner = Owner::new("acme")?;
        let now = DateTime::from_timestamp(1_790_000_000, 0).ok_or("no such instant")?;
        let mut values = Vec::with_capacity(count + different);
        for index in 0..count + different {
            values.push(value(index as u64)?);
        }
        let end = |index: usize| {
            let days = 1 + (index % 400) as i64;
            (!index.is_multiple_of(10)).then(|| now + TimeDelta::days(days))
        };
        let mut wanted: Vec<Desired> = Vec::with_capacity(count);
        for (index, value) in values.iter().enumerate().take(count) {
            wanted.push(Desired {
                value: value.clone(),
                until: end(index),
                rank: u32::try_from(index)?,
                words: None,
            });
        }
        wanted.sort_by(|a, b| a.value.cmp(&b.value));
        wanted.dedup_by(|a, b| a.value == b.value);
        assert_eq!(wanted.len(), count, "the generator repeats itself");
        let marked = matches!(proof, Proof::Mark { .. });
        let native = marked.then_some(NativeEnd {
            unit: Duration::from_secs(60),
            max: None,
            max_by_kind: &[],
            deletes: Some(false),
        });
        let mut listing = Vec::with_capacity(count);
        let mut ledger = Vec::new();
        for (index, value) in values.into_iter().enumerate().skip(different) {
            let mark = Mark::new(owner.clone(), end(index));
            let until = mark.until;
            let note = Note {
                marks: vec![mark],
                ..Note::default()
            };
            if !marked {
                ledger.push(LedgerRow {
                    value: value.clone(),
                    owner: owner.clone(),
                    until,
                    sources: "c2".to_owned(),
                    state: RowState::Settled,
                    at: now,
                });
            }
            listing.push(Held {
                id: format!("{:064x}", index).into(),
                note: marked
                    .then(|| note.write(INSTALLATION, &value, 500))
                    .flatten()
                    .map(Into::into),
                value,
                expires: until.filter(|_| marked),
                container: None,
                blocks: true,
                allows: false,
                conforms: true,
                writable: true,
            });
        }
        Ok(Self {
            owner,
            capabilities: capabilities(proof, native),
            now,
            wanted,
            listing,
            ledger,
            different,
        })
    }

    fn plan(&self, observed: &[Observed]) -> Plan {
        let withdrawn = |_: &Value, _: &Claim| Verdict::Remove(RemovalReason::Withdrawn);
        plan(Question {
            wanted: &self.wanted,
            observed,
            owner: &self.owner,
            installation: INSTALLATION,
            capabilities: &self.capabilities,
            facts: &Facts::default(),
            now: self.now,
            options: Options {
                adopt: false,
                may_add: true,
                may_shorten: true,
                record: !self.ledger.is_empty(),
            },
            whole: true,
            verdict: &withdrawn,
        })
    }

    /// What is measured must be right.
    fn check(&self, planned: &Plan) {
        let adds = planned
            .changes
            .iter()
            .filter(|change| change.what == What::Add)
            .count();
        assert_eq!(adds, self.different);
        assert_eq!(planned.changes.len(), 2 * self.different);
        assert_eq!(planned.unchanged, self.wanted.len() - self.different);
    }
}

/// Half hashes, the rest addresses, names and URLs, in no order.
fn value(index: u64) -> Result<Value, Failure> {
    let mixed = mix(index);
    Ok(match index % 8 {
        0..=3 => {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&mixed.to_be_bytes());
            bytes[8..16].copy_from_slice(&index.to_be_bytes());
            Value::Sha256(bytes)
        }
        // An odd factor permutes the 32 bits: no address twice.
        4 | 5 => Value::Ipv4(Ipv4Net::new(
            std::net::Ipv4Addr::from_bits((index as u32).wrapping_mul(0x9e37_79b1)),
            32,
        )?),
        6 => Value::Domain(Domain::parse(&format!("x{mixed:016x}{index}.example"))?),
        _ => Value::Url(UrlValue::parse(&format!(
            "http://x{:x}.example/{index}/load.php",
            mixed >> 40
        ))?),
    })
}

fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const KINDS: &[KindSupport] = &{
    const fn prevents(kind: Kind) -> KindSupport {
        KindSupport {
            kind,
            effect: Effect::Prevent,
            networks: true,
            matches_below: false,
        }
    }
    [
        prevents(Kind::Ipv4),
        prevents(Kind::Domain),
        prevents(Kind::Url),
        prevents(Kind::Sha256),
    ]
};

fn capabilities(proof: Proof, native_end: Option<NativeEnd>) -> Capabilities {
    Capabilities {
        mechanism: "bench",
        summary: "",
        kinds: KINDS,
        end_known_by: match proof {
            Proof::Mark { .. } => EndKnownBy::Mark,
            Proof::Container | Proof::Ledger => EndKnownBy::Ledger,
        },
        native_end,
        proof,
        foreign: Foreign::Listed,
        granularity: Granularity::Row,
        write_batch: 200,
        remove_batch: 200,
        list_page: 2_000,
        lookup_batch: 200,
        capacity: Some(3_000_000),
        staged: false,
        rate: &[],
        rights: &[],
    }
}
