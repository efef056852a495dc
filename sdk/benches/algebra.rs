//! The algebra at the sizes that a deployment may have: `cargo bench -p sdk --bench algebra`.
//!
//! The same seeded networks go through our intervals and through `iprange`; the results must be
//! identical before anything is measured.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot build its input must stop"
)]

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ipnet::{Ipv4Net, Ipv6Net};
use iprange::IpRange;
use sdk::collection::{
    Include, Ipv4Set, Ipv6Set, Policy, Protection, ProtectionSettings, Reading, Rules, compile,
};
use sdk::indicator::{Indicator, Kind, Origin, Validity, Value};

const WANTED: usize = 1_000_000;
const EXCLUDED: usize = 100_000;

/// SplitMix64: the same sequence for ever, whatever a library does.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Mostly hosts, some networks down to `/16`, as blocklists have them.
fn networks_v4(seed: u64, count: usize) -> Vec<Ipv4Net> {
    let mut seeded = Seeded(seed);
    let network = |_| {
        let bits = (seeded.next() >> 32) as u32;
        let prefix = match seeded.below(20) {
            0 => 16 + seeded.below(9) as u8,
            1..=5 => 24 + seeded.below(8) as u8,
            _ => 32,
        };
        Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), prefix).trunc()
    };
    (0..count).map(network).collect()
}

/// Hosts and networks below `2000::/8`, dense enough to meet.
fn networks_v6(seed: u64, count: usize) -> Vec<Ipv6Net> {
    let mut seeded = Seeded(seed);
    let network = |_| {
        let high = 0x2000_0000_0000_0000 | (seeded.next() >> 36) << 20;
        let bits = u128::from(high) << 64 | u128::from(seeded.next());
        let prefix = [32, 44, 48, 56, 64, 128][seeded.below(6) as usize];
        Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), prefix).trunc()
    };
    (0..count).map(network).collect()
}

fn subtraction(criterion: &mut Criterion) {
    let (wanted, excluded) = (networks_v4(1, WANTED), networks_v4(2, EXCLUDED));
    let ours = |wanted: &[Ipv4Net], excluded: &[Ipv4Net]| -> Vec<Ipv4Net> {
        let wanted: Ipv4Set = wanted.iter().copied().collect();
        let excluded: Ipv4Set = excluded.iter().copied().collect();
        wanted.subtract(&excluded).networks().collect()
    };
    let theirs = |wanted: &[Ipv4Net], excluded: &[Ipv4Net]| -> Vec<Ipv4Net> {
        let mut wanted: IpRange<Ipv4Net> = wanted.iter().copied().collect();
        let mut excluded: IpRange<Ipv4Net> = excluded.iter().copied().collect();
        wanted.simplify();
        excluded.simplify();
        wanted.exclude(&excluded).iter().collect()
    };
    let mut expected = theirs(&wanted, &excluded);
    expected.sort_unstable();
    assert!(ours(&wanted, &excluded) == expected, "the two disagree");

    let mut group = criterion.benchmark_group("1,000,000 networks minus 100,000");
    group.sample_size(10);
    group.bench_function("ipv4 intervals", |bencher| {
        bencher.iter(|| ours(black_box(&wanted), black_box(&excluded)));
    });
    group.bench_function("ipv4 iprange", |bencher| {
        bencher.iter(|| theirs(black_box(&wanted), black_box(&excluded)));
    });

    let (wanted, excluded) = (networks_v6(3, WANTED), networks_v6(4, EXCLUDED));
    group.bench_function("ipv6 intervals", |bencher| {
        bencher.iter(|| {
            let wanted: Ipv6Set = black_box(&wanted).iter().copied().collect();
            let excluded: Ipv6Set = black_box(&excluded).iter().copied().collect();
            wanted
                .subtract(&excluded)
                .networks()
                .collect::<Vec<Ipv6Net>>()
        });
    });
    group.finish();
}

fn indicator(value: Value, line: usize) -> Indicator {
    Indicator::bare(value, Origin::Line(line as u32))
}

fn reading(name: &str, values: impl IntoIterator<Item = Value>) -> Reading {
    let indicators = values.into_iter().enumerate();
    Reading {
        name: name.to_owned(),
        indicators: indicators
            .map(|(line, value)| indicator(value, line))
            .collect(),
        ..Reading::default()
    }
}

/// The kinds as campaign collections mix them.
fn mixed(seed: u64, count: usize) -> Vec<Value> {
    let mut seeded = Seeded(seed);
    let value = |_| {
        let number = seeded.next();
        let (kind, text) = match seeded.below(10) {
            0..=2 => (
                Kind::Ipv4,
                Ipv4Addr::from_bits((number >> 32) as u32).to_string(),
            ),
            3..=5 => (
                Kind::Domain,
                format!("h{:x}.example{}.com", number >> 24, number % 997),
            ),
            6..=7 => (
                Kind::Url,
                format!(
                    "http://h{:x}.example{}.com/a/{}",
                    number >> 40,
                    number % 997,
                    number % 31
                ),
            ),
            8 => (Kind::Sha256, format!("{number:064x}")),
            _ => (Kind::Md5, format!("{number:032x}")),
        };
        Value::parse(kind, &text).expect("a value")
    };
    (0..count).map(value).collect()
}

fn compiling(criterion: &mut Criterion) {
    let now = DateTime::<Utc>::from_timestamp(1_800_000_000, 0).expect("a time");
    let protection = || Protection::new(&ProtectionSettings::default());
    let hosts = networks_v4(5, 60_000)
        .into_iter()
        .map(|network| Value::Ipv4(Ipv4Net::new_assert(network.addr(), 32)));
    let resolvers = reading("resolvers", hosts);
    let names = mixed(6, 20_000)
        .into_iter()
        .filter(|value| value.kind() == Kind::Domain);
    let partners = reading("partners", names);
    let rules = Rules::new(&[&resolvers, &partners], &[], protection(), now);
    let policy = Policy {
        default_validity: [(Kind::Ipv4, TimeDelta::days(30))].into(),
        ..Policy::default()
    };

    let addresses = reading(
        "addresses",
        networks_v4(7, WANTED).into_iter().map(Value::Ipv4),
    );
    let mut every_kind = reading("every kind", mixed(8, WANTED));
    for (place, indicator) in every_kind.indicators.iter_mut().enumerate() {
        indicator.validity = Validity {
            from: Some(now - TimeDelta::days(10)),
            until: Some(now + TimeDelta::days(place as i64 % 20 - 1)),
        };
    }

    let mut group = criterion.benchmark_group("compile 1,000,000 indicators");
    group.sample_size(10);
    for reading in [&addresses, &every_kind] {
        let include = Include {
            reading,
            first_seen: &[],
        };
        group.bench_function(&reading.name, |bencher| {
            bencher.iter_batched(
                || (),
                |()| compile(&[include], black_box(&rules), &policy, now),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();

    let protects = [&resolvers, &partners];
    criterion.bench_function("compile the rules of 66,000 excludes", |bencher| {
        bencher.iter(|| Rules::new(black_box(&protects), &[], protection(), now));
    });
}

criterion_group!(benches, subtraction, compiling);
criterion_main!(benches);
