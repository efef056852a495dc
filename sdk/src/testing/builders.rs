//! Builders for values, indicators, readings and deployments. Everything they make is public address
//! space and ordinary names, so that the always-on protection lets it through.

use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::collection::{Location, Policy, ProtectionSettings, Reading, Source, SourceKind};
use crate::indicator::{Indicator, Kind, Origin, Value};
use crate::ownership::Owner;
use crate::sync::{Deployment, GuardSettings};

/// The instant at which every scenario starts: 2026-03-01 00:00 UTC.
pub fn start() -> DateTime<Utc> {
    Utc.timestamp_opt(1_772_323_200, 0)
        .single()
        .unwrap_or_default()
}

/// The `number`-th value of a kind, different for every number below 50,000 and the same on every run.
#[expect(clippy::expect_used, reason = "the texts are fixed and well formed")]
pub fn value(kind: Kind, number: usize) -> Value {
    let text = match kind {
        Kind::Ipv4 => format!("45.83.{}.{}", number / 200, 1 + number % 200),
        Kind::Ipv6 => format!("2a03:5f80:{:x}::{:x}", 1 + number / 1000, 1 + number % 1000),
        Kind::Domain => format!("host-{number}.cordon-contract.com"),
        Kind::Url => format!("http://site-{number}.cordon-contract.net/load/{number}.bin"),
        Kind::Md5 => digest(number, 32),
        Kind::Sha1 => digest(number, 40),
        Kind::Sha256 => digest(number, 64),
    };
    Value::parse(kind, &text).expect("a well-formed value")
}

fn digest(number: usize, length: usize) -> String {
    let mut text = blake3::hash(&number.to_le_bytes()).to_hex().to_string();
    text.truncate(length);
    text
}

/// An indicator in the making.
#[derive(Clone, Debug)]
pub struct IndicatorBuilder(Indicator);

/// Starts an indicator that holds from [`start`] on without end, with confidence 50. Its id is made of its
/// value: two indicators of one value with different ids need [`IndicatorBuilder::id`].
pub fn indicator(value: &Value) -> IndicatorBuilder {
    let mut made = Indicator::bare(
        value.clone(),
        Origin::Id(format!("contract-{value}").into()),
    );
    made.confidence = Some(50);
    made.validity.from = Some(start() - TimeDelta::days(1));
    made.modified = Some(start() - TimeDelta::days(1));
    IndicatorBuilder(made)
}

impl IndicatorBuilder {
    /// Ends it so many hours after [`start`].
    #[must_use]
    pub fn until_hours(mut self, hours: i64) -> Self {
        self.0.validity.until = Some(start() + TimeDelta::hours(hours));
        self
    }

    /// Ends it at an instant, or never.
    #[must_use]
    pub fn until(mut self, until: Option<DateTime<Utc>>) -> Self {
        self.0.validity.until = until;
        self
    }

    /// Starts it so many hours after [`start`].
    #[must_use]
    pub fn from_hours(mut self, hours: i64) -> Self {
        self.0.validity.from = Some(start() + TimeDelta::hours(hours));
        self
    }

    /// Sets its confidence.
    #[must_use]
    pub fn confidence(mut self, confidence: u16) -> Self {
        self.0.confidence = Some(confidence);
        self
    }

    /// Withdrawn by its source.
    #[must_use]
    pub fn revoked(mut self) -> Self {
        self.0.revoked = true;
        self
    }

    /// Gives it an id of its own.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.0.origin = Origin::Id(id.into());
        self
    }

    /// The indicator.
    pub fn build(self) -> Indicator {
        self.0
    }
}

/// A complete reading.
pub fn reading(name: &str, indicators: Vec<Indicator>) -> Reading {
    Reading {
        name: name.to_owned(),
        indicators,
        ..Reading::default()
    }
}

/// A source by that name. Nothing is ever read from it: readings are handed to the loop directly.
pub fn source(name: &str) -> Source {
    Source {
        name: name.to_owned(),
        kind: SourceKind::List,
        location: Location::File(PathBuf::from(name)),
    }
}

/// A deployment with so many includes and excludes, default guard and protection, which takes mechanisms that
/// only detect.
#[expect(
    clippy::expect_used,
    reason = "a wrong name in a test is the test's own fault"
)]
pub fn deployment(owner: &str, includes: usize, excludes: usize) -> Deployment {
    let named = |sort: &str, count: usize| {
        (0..count)
            .map(|index| source(&format!("{owner}-{sort}-{index}")))
            .collect()
    };
    Deployment {
        owner: Owner::new(owner).expect("a valid owner"),
        formerly: Vec::new(),
        include: named("include", includes),
        exclude: named("exclude", excludes),
        protect: Vec::new(),
        policy: Policy::default(),
        protection: ProtectionSettings::default(),
        guard: GuardSettings::default(),
        adopt: false,
        accept_detection: true,
        accept_unbounded: false,
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % bound).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
