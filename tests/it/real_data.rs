//! Published lists as they are, through the readers and to the fake vendors. Every row is an indicator or
//! a refusal with a name; where not all fit, the best ones go. Skipped where the data is not beside the
//! checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use ipnet::Ipv4Net;
use sdk::Clock;
use sdk::collection::{
    Include, Location, Policy, Protection, ProtectionSettings, ReadContext, Reading, Rules, Source,
    SourceKind, compile,
};
use sdk::connector::{Connector, Environment};
use sdk::fake::{Fake, FakeOptions};
use sdk::indicator::{Kind, Value};
use sdk::ownership::Owner;
use sdk::report::{Detail, Report, Status, Verified};
use sdk::store::MemoryStore;
use sdk::sync::{Context, Deployment, Member, TargetGroup, sync};
use serde_json::{Value as Json, json};

const IPSUM: &str = "ipsum-2026-08-22.txt";

/// The folder with the lists; without it the test says so and ends.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.join(IPSUM).is_file() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn source(kind: SourceKind, path: &Path) -> Source {
    Source {
        name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
        kind,
        location: Location::File(path.to_owned()),
    }
}

fn warninglists(data: &Path) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(data.join("warninglists"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 10);
    paths
        .iter()
        .map(|path| source(SourceKind::Warninglist, path))
        .collect()
}

async fn read(source: &Source, now: DateTime<Utc>) -> Reading {
    let context = ReadContext {
        environment: Environment::new(Clock::manual(now)),
        now,
        size_limit: ReadContext::DEFAULT_SIZE_LIMIT,
    };
    source.read(&context).await.unwrap()
}

/// What a campaign list comes to.
#[derive(Debug, PartialEq, Eq)]
struct Campaign {
    /// Lines that hold something, without the header.
    rows: usize,
    indicators: usize,
    /// By the name of the reason.
    refused: Vec<(&'static str, usize)>,
    ports: usize,
    /// Values that are active at the instant asked for.
    wanted: usize,
    by_kind: Vec<(&'static str, usize)>,
}

async fn campaign(data: &Path, name: &str, now: &str) -> Campaign {
    let path = data.join("sekoia").join(name);
    let now = instant(now);
    let reading = read(&source(SourceKind::List, &path), now).await;
    let rules = Rules::new(
        &[],
        &[],
        Protection::new(&ProtectionSettings::default()),
        now,
    );
    let include = Include {
        reading: &reading,
        first_seen: &[],
    };
    let compiled = compile(&[include], &rules, &Policy::default(), now);
    let mut by_kind: BTreeMap<Kind, usize> = BTreeMap::new();
    for wanted in &compiled.wanted {
        *by_kind.entry(wanted.value.kind()).or_default() += 1;
    }
    let text = std::fs::read_to_string(&path).unwrap();
    Campaign {
        rows: text.lines().filter(|line| !line.trim().is_empty()).count() - 1,
        indicators: reading.indicators.len(),
        refused: reading
            .skipped
            .counts
            .iter()
            .map(|(reason, count)| (reason.name(), *count))
            .collect(),
        ports: reading.skipped.ports,
        wanted: compiled.wanted.len(),
        by_kind: by_kind
            .into_iter()
            .map(|(kind, count)| (kind.name(), count))
            .collect(),
    }
}

#[tokio::test]
async fn every_row_of_the_campaigns_is_an_indicator_or_a_named_refusal() {
    let Some(data) = data() else { return };
    let unsupported = |count| vec![("unsupported", count)];
    for (name, now, expected) in [
        (
            "apt31_iocs_20211110.csv",
            "2021-11-10T00:00:00Z",
            // Two patterns name three hashes of one file, and SHA-512, SSDEEP, size or type.
            Campaign {
                rows: 102,
                indicators: 106,
                refused: unsupported(4),
                ports: 0,
                wanted: 106,
                by_kind: vec![
                    ("ipv4", 53),
                    ("domain", 43),
                    ("md5", 6),
                    ("sha1", 2),
                    ("sha256", 2),
                ],
            },
        ),
        (
            "emotet_campaign_20210120.csv",
            "2021-01-25T00:00:00Z",
            // The 44 are the senders' e-mail addresses.
            Campaign {
                rows: 552,
                indicators: 508,
                refused: unsupported(44),
                ports: 252,
                wanted: 448,
                by_kind: vec![
                    ("ipv4", 200),
                    ("url", 191),
                    ("md5", 23),
                    ("sha1", 17),
                    ("sha256", 17),
                ],
            },
        ),
        (
            "fakebat_iocs_20240702.csv",
            "2024-06-11T00:00:00Z",
            // 57 rows hold three hashes of one file each.
            Campaign {
                rows: 220,
                indicators: 334,
                refused: vec![],
                ports: 0,
                wanted: 252,
                by_kind: vec![
                    ("domain", 74),
                    ("url", 7),
                    ("md5", 57),
                    ("sha1", 57),
                    ("sha256", 57),
                ],
            },
        ),
        (
            "pikabot_iocs_20240603.csv",
            "2024-01-15T00:00:00Z",
            Campaign {
                rows: 368,
                indicators: 368,
                refused: vec![],
                ports: 332,
                wanted: 115,
                by_kind: vec![("ipv4", 115)],
            },
        ),
        (
            "raccoon_stealer_iocs_20220628.csv",
            "2022-06-28T00:00:00Z",
            // No dates: without an end.
            Campaign {
                rows: 1061,
                indicators: 1061,
                refused: vec![],
                ports: 0,
                wanted: 1061,
                by_kind: vec![
                    ("ipv4", 86),
                    ("domain", 7),
                    ("url", 905),
                    ("md5", 21),
                    ("sha1", 21),
                    ("sha256", 21),
                ],
            },
        ),
    ] {
        assert_eq!(campaign(&data, name, now).await, expected, "{name}");
    }
}

/// What should go where only `room` fit, found in another way: exclude by looking at every network, then
/// sort by count.
struct Oracle {
    /// Addresses by count, best first, minus the warninglists.
    ranked: Vec<(Ipv4Addr, u16)>,
    listed: usize,
}

impl Oracle {
    fn new(data: &Path) -> Self {
        let mut networks: Vec<Ipv4Net> = Vec::new();
        let mut hosts: BTreeSet<Ipv4Addr> = BTreeSet::new();
        for source in warninglists(data) {
            let Location::File(path) = &source.location else {
                continue;
            };
            let json: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            for entry in json["list"].as_array().unwrap() {
                let entry = entry.as_str().unwrap();
                if let Ok(host) = entry.parse() {
                    hosts.insert(host);
                } else if let Ok(network) = entry.parse() {
                    networks.push(network);
                }
            }
        }
        let text = std::fs::read_to_string(data.join(IPSUM)).unwrap();
        let mut ranked: Vec<(Ipv4Addr, u16)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (address, count) = line.split_once('\t').unwrap();
                (address.parse().unwrap(), count.parse().unwrap())
            })
            .collect();
        let listed = ranked.len();
        ranked.retain(|(address, _)| {
            !hosts.contains(address) && !networks.iter().any(|network| network.contains(address))
        });
        ranked.sort_by_key(|(address, count)| (std::cmp::Reverse(*count), *address));
        Self { ranked, listed }
    }

    fn best(&self, room: usize) -> BTreeSet<Value> {
        let host = |address: &(Ipv4Addr, u16)| Value::Ipv4(Ipv4Net::new(address.0, 32).unwrap());
        self.ranked[..room].iter().map(host).collect()
    }
}

/// A fake vendor with a target on it, and the deployment of the list minus the warninglists.
struct Scene {
    fake: Fake,
    mechanism: &'static str,
    deployment: Deployment,
    target: TargetGroup,
    context: Context,
}

impl Scene {
    async fn new(
        data: &Path,
        connector: Connector,
        mechanism: &'static str,
        set: impl FnOnce(FakeOptions) -> FakeOptions,
    ) -> Self {
        let clock = Clock::manual(instant("2026-08-22T06:00:00Z"));
        let fake = (connector.fake)(set(FakeOptions::plain(clock.clone())))
            .await
            .unwrap();
        let environment = Environment::new(clock);
        let mut configuration = fake.configuration.clone();
        configuration["mechanism"] = json!(mechanism);
        let mut deployment = Deployment::new(Owner::new("acme").unwrap());
        deployment.include = vec![source(SourceKind::List, &data.join(IPSUM))];
        deployment.exclude = warninglists(data);
        let members = (connector.targets)(configuration, &environment)
            .unwrap()
            .into_iter()
            .map(|target| Member {
                target,
                kinds: Vec::new(),
            })
            .collect();
        Self {
            fake,
            mechanism,
            deployment,
            target: TargetGroup {
                name: connector.name.to_owned(),
                members,
            },
            context: Context {
                store: Some(Arc::new(MemoryStore::new())),
                ..Context::new(environment)
            },
        }
    }

    async fn sync(&self) -> Report {
        sync(&self.deployment, &self.target, &self.context).await
    }

    fn enforced(&self) -> BTreeSet<Value> {
        let entries = self.fake.state.enforced(self.mechanism);
        entries.into_iter().map(|entry| entry.value).collect()
    }

    /// Two runs: the best ones are there, the rest is reported, and the second run adds nothing.
    async fn the_best_go(&self, oracle: &Oracle, room: usize) {
        let report = self.sync().await;
        assert_eq!(report.status, Status::Ok, "{report:#?}");
        assert_eq!(report.verified, Verified::Yes);
        assert_eq!(report.added, room);
        let excluded = |detail: &&Detail| detail.reason == "excluded";
        assert_eq!(report.details.iter().filter(excluded).count(), 48);
        assert_eq!(report.skipped.capacity, oracle.ranked.len() - room);
        assert!(self.enforced() == oracle.best(room), "not the best ones");

        // A vendor that does not tell its limit is asked again for what had no room, which the guard
        // sees as too many additions: nothing is written in any case.
        let again = self.sync().await;
        assert_eq!(again.requests.write, 0, "{again:#?}");
        assert_eq!(again.unchanged, room);
        assert!(
            self.enforced() == oracle.best(room),
            "the second run moved something"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_addresses_seen_most_often_take_the_places_on_both_vendors() {
    let Some(data) = data() else { return };
    let oracle = Oracle::new(&data);
    assert_eq!((oracle.listed, oracle.ranked.len()), (120_430, 120_382));
    let falcon = Scene::new(&data, crowdstrike::connector(), "ioc", |options| {
        options.set("capacity", 5_000)
    });
    falcon.await.the_best_go(&oracle, 5_000).await;
    // The administrator's own feed has three lines of the same quota.
    let feed = Scene::new(&data, fortinet::connector(), "push-feed", |options| {
        options.set("feed_limit", json!({ "address": 5_003 }))
    });
    feed.await.the_best_go(&oracle, 5_000).await;
    // And three objects of its own.
    let group = Scene::new(&data, fortinet::connector(), "address-group", |options| {
        options.set("address_limit", 503)
    });
    group.await.the_best_go(&oracle, 500).await;
}
