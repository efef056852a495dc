use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::protect::Protection;
use super::*;
use crate::indicator::Validity;

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + 3600 * hour, 0).expect("a time")
}

/// `text from until`, `-` for an absent time.
fn row(text: &str) -> Indicator {
    let mut words = text.split(' ');
    let value = Value::detect(words.next().expect("value")).expect("value");
    let mut time = || match words.next() {
        None | Some("-") => None,
        Some(hour) => Some(at(hour.parse().expect("hour"))),
    };
    Indicator {
        validity: Validity {
            from: time(),
            until: time(),
        },
        ..Indicator::bare(value, Origin::Argument)
    }
}

fn reading(name: &str, indicators: impl IntoIterator<Item = Indicator>) -> Reading {
    let mut indicators: Vec<_> = indicators.into_iter().collect();
    for (line, indicator) in (1..).zip(&mut indicators) {
        indicator.origin = Origin::Line(line);
    }
    Reading {
        name: name.to_owned(),
        indicators,
        ..Reading::default()
    }
}

fn include(reading: &Reading) -> Include<'_> {
    Include {
        reading,
        first_seen: &[],
    }
}

fn excluding(rows: &[&str]) -> Rules {
    let excludes = reading("partners", rows.iter().map(|text| row(text)));
    Rules::new(&[&excludes], &[], Protection::default(), at(0))
}

fn compiled(rows: &[&str], rules: &Rules) -> Compiled {
    let reading = reading("rows", rows.iter().map(|text| row(text)));
    compile(&[include(&reading)], rules, &Policy::default(), at(0))
}

fn texts(compiled: &Compiled) -> Vec<String> {
    compiled
        .wanted
        .iter()
        .map(|wanted| wanted.value.to_string())
        .collect()
}

fn value(text: &str) -> Value {
    Value::detect(text).expect("value")
}

#[test]
fn each_absence_has_its_reason() {
    let mut rows: Vec<_> = [
        "a.example.com - 0",
        "b.example.com 1",
        "b.example.com 2",
        "c.example.com",
        "d.example.com - 0",
        "d.example.com",
        "e.example.com",
        "e.example.com 3",
        "f.example.com 0 1",
        "10.0.0.1",
    ]
    .map(row)
    .into();
    for place in [3, 5, 6] {
        rows[place].revoked = true;
    }
    let reading = reading("rows", rows);
    let compiled = compile(
        &[include(&reading)],
        &Rules::default(),
        &Policy::default(),
        at(0),
    );
    assert_eq!(texts(&compiled), ["f.example.com"]);
    assert_eq!(compiled.wanted[0].until, Some(at(1)));
    assert_eq!(compiled.waiting, 2);
    for (name, absence) in [
        ("a", Absence::Expired),
        ("b", Absence::Waiting(at(1))),
        ("c", Absence::Revoked),
        ("d", Absence::Revoked),
        ("e", Absence::Waiting(at(3))),
    ] {
        assert_eq!(
            compiled.absent[&value(&format!("{name}.example.com"))],
            absence,
            "{name}"
        );
    }
    assert_eq!(compiled.refused.len(), 1);
    assert_eq!(compiled.refused[0].rule.text, "special-purpose 10.0.0.0/8");
    let rule = compiled.refused[0].rule.clone();
    assert_eq!(compiled.absent[&value("10.0.0.1")], Absence::Excluded(rule));
    assert_eq!(compiled.absent.len(), 6);
}

#[test]
fn equal_values_merge_and_keep_all_their_reasons() {
    let mut first = [
        row("a.example.com -5 5"),
        row("A.example.com. -9 9"),
        row("a.example.com -1"),
    ];
    first[1].confidence = Some(80);
    first[2].revoked = true;
    let mut second = [row("a.example.com -2 3")];
    second[0].confidence = Some(90);
    let (first, second) = (reading("first", first), reading("second", second));
    let compiled = compile(
        &[include(&second), include(&first)],
        &Rules::default(),
        &Policy::default(),
        at(0),
    );
    assert_eq!(
        compiled.wanted,
        [Wanted {
            value: value("a.example.com"),
            until: Some(at(9)),
            include: 0,
            confidence: 90,
            valid_from: Some(at(-2)),
            reasons: (0, 4),
        }]
    );
    let reasons: Vec<_> = compiled
        .reasons
        .iter()
        .map(|reason| (reason.include, reason.origin.to_string(), reason.until))
        .collect();
    assert_eq!(
        reasons,
        [
            (0, "line 1".to_owned(), Some(at(3))),
            (1, "line 1".to_owned(), Some(at(5))),
            (1, "line 2".to_owned(), Some(at(9))),
            // The revoked one last.
            (1, "line 3".to_owned(), None),
        ]
    );
}

#[test]
fn one_reason_without_an_end_is_enough_for_no_end() {
    let compiled = compiled(
        &["a.example.com - 5", "a.example.com", "a.example.com - 7"],
        &Rules::default(),
    );
    assert_eq!(compiled.wanted[0].until, None);
}

#[test]
fn the_default_validity_counts_from_the_start_or_the_first_sight() {
    let policy = Policy {
        default_validity: [(Kind::Domain, TimeDelta::hours(4))].into(),
        subdomains: false,
    };
    let rows = reading(
        "rows",
        [
            "a.example.com -1",
            "b.example.com",
            "c.example.com -1 9",
            "8.8.8.8",
            "d.example.com -4",
        ]
        .map(row),
    );
    let until = |compiled: &Compiled| -> Vec<_> {
        compiled
            .wanted
            .iter()
            .map(|wanted| (wanted.value.to_string(), wanted.until))
            .collect()
    };
    let unseen = compile(&[include(&rows)], &Rules::default(), &policy, at(0));
    let expected = |b: i64| {
        vec![
            ("8.8.8.8".to_owned(), None),
            ("a.example.com".to_owned(), Some(at(3))),
            ("b.example.com".to_owned(), Some(at(b))),
            ("c.example.com".to_owned(), Some(at(9))),
        ]
    };
    assert_eq!(until(&unseen), expected(4));
    assert_eq!(unseen.absent[&value("d.example.com")], Absence::Expired);
    let first_seen = [at(-3); 5];
    let seen = compile(
        &[Include {
            reading: &rows,
            first_seen: &first_seen,
        }],
        &Rules::default(),
        &policy,
        at(0),
    );
    assert_eq!(until(&seen), expected(1));
    assert_eq!(seen.reasons[0].until, None);
}

#[test]
fn networks_are_cut_and_parts_meet_equal_values() {
    let rules = excluding(&["9.9.9.0/31"]);
    let compiled = compiled(
        &[
            "9.9.9.0/29 - 5",
            "9.9.9.4/30 - 7",
            "9.9.9.2/31 - 0",
            "9.9.9.1 - 8",
            "9.9.9.8",
        ],
        &rules,
    );
    let wanted: Vec<_> = compiled
        .wanted
        .iter()
        .map(|wanted| (wanted.value.to_string(), wanted.until, wanted.reasons.1))
        .collect();
    assert_eq!(
        wanted,
        [
            ("9.9.9.2/31".to_owned(), Some(at(5)), 2),
            ("9.9.9.4/30".to_owned(), Some(at(7)), 2),
            ("9.9.9.8".to_owned(), None, 1),
        ]
    );
    let rule = Rule {
        protected: false,
        text: "exclude list partners".into(),
    };
    let refused = |text: &str| Refused {
        value: value(text),
        rule: rule.clone(),
    };
    assert_eq!(compiled.cut, [refused("9.9.9.0/29")]);
    assert_eq!(compiled.refused, [refused("9.9.9.1")]);
    let excluded = Some(Absence::Excluded(rule));
    for held in ["9.9.9.0/29", "9.9.9.1", "9.9.9.0/30", "9.9.9.0/31"] {
        assert_eq!(
            compiled.why_absent(&value(held), &rules),
            excluded,
            "{held}"
        );
    }
    // A part of an earlier cut that a wider one replaces, and what no source has.
    for held in ["9.9.9.6/31", "9.9.9.9", "a.example.com"] {
        assert_eq!(compiled.why_absent(&value(held), &rules), None, "{held}");
    }
}

#[test]
fn a_part_goes_with_the_network_it_came_from() {
    let rules = excluding(&["9.9.9.0/31"]);
    let compiled = compiled(&["9.9.9.0/29 - 0"], &rules);
    assert!(compiled.wanted.is_empty());
    assert_eq!(
        compiled.why_absent(&value("9.9.9.4/30"), &rules),
        Some(Absence::Expired)
    );
}

#[test]
fn the_rank_decides_by_include_confidence_age_value() {
    let mut rows = [
        "d.example.com -1",
        "c.example.com -2",
        "b.example.com -2",
        "a.example.com -9",
    ]
    .map(row);
    rows[3].confidence = Some(1);
    let (rows, later) = (
        reading("rows", rows),
        reading("later", [row("0.example.com 0")]),
    );
    let mut compiled = compile(
        &[include(&rows), include(&later)],
        &Rules::default(),
        &Policy::default(),
        at(0),
    );
    compiled.wanted.sort_by(Wanted::by_rank);
    assert_eq!(
        texts(&compiled),
        [
            "a.example.com",
            "d.example.com",
            "b.example.com",
            "c.example.com",
            "0.example.com"
        ]
    );
}

#[test]
fn nothing_comes_of_nothing() {
    let compiled = compile(&[], &Rules::default(), &Policy::default(), at(0));
    assert!(compiled.wanted.is_empty() && compiled.absent.is_empty());
}

#[test]
fn the_key_orders_as_the_values_do() {
    let mut values: Vec<Value> = [
        "0.0.0.0",
        "9.9.9.0/24",
        "9.9.9.0",
        "255.255.255.255",
        "::",
        "2a00::1",
        "2a00::/32",
        "2a00::",
        "ffff::",
        "a.example",
        "aaaaaaaa.example",
        "aaaaaaab.example",
        "z.example",
        "ab.example",
        "ftp://a.example/",
        "http://a.example/",
        "http://a.example/b",
        "https://a.example/",
        "httq://a.example",
        "httpa://a.example",
        "tcp://b.example",
        "http://0.example/",
    ]
    .map(value)
    .into();
    values.extend([32, 40, 64].map(|digits| value(&"7f".repeat(digits / 2))));
    values.extend([32, 40, 64].map(|digits| value(&"80".repeat(digits / 2))));
    values.sort_unstable();
    assert!(values.is_sorted_by_key(Value::order_prefix));
}

const NAMES: [&str; 8] = [
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "example.net",
    "http://a.example.com/x",
    "http://a.example.com/x/y",
    "http://example.net/",
    "http://9.9.9.3/x",
];

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..16_u8, 28..=32_u8).prop_map(|(host, prefix)| {
            Value::Ipv4(Ipv4Net::new_assert([9, 9, 9, host].into(), prefix).trunc())
        }),
        proptest::sample::select(&NAMES[..]).prop_map(value),
    ]
}

fn any_indicator() -> impl Strategy<Value = Indicator> {
    (
        any_value(),
        option::of(0..5_i64),
        option::of(1..4_i64),
        option::of(0..3_u16),
        proptest::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(
            |(value, from, length, confidence, revoked, exact)| Indicator {
                exact,
                revoked,
                confidence,
                validity: Validity {
                    from: from.map(at),
                    until: length.map(|length| at(from.unwrap_or(0) + length)),
                },
                ..Indicator::bare(value, Origin::Argument)
            },
        )
}

/// One reason as the oracle sees it: include, line, until, confidence, from, active.
type Seen = (
    u16,
    u32,
    Option<DateTime<Utc>>,
    u16,
    Option<DateTime<Utc>>,
    bool,
);

/// Whether one exclude keeps off one value whose networks are single addresses.
fn keeps_off(exclude: &Indicator, value: &Value) -> bool {
    let host_is = |host: &str| match &exclude.value {
        Value::Domain(name) => {
            host == name.as_str()
                || (!exclude.exact && host.ends_with(&format!(".{}", name.as_str())))
        }
        Value::Ipv4(network) => host
            .parse()
            .is_ok_and(|host: std::net::Ipv4Addr| network.contains(&host)),
        _ => false,
    };
    match value {
        Value::Ipv4(address) => host_is(&address.addr().to_string()),
        Value::Domain(name) => host_is(name.as_str()),
        Value::Url(url) => {
            let under = match &exclude.value {
                Value::Url(above) => {
                    let above = above.as_str();
                    url == &exclude_url(exclude)
                        || url.as_str().starts_with(above) && above.ends_with('/')
                        || url.as_str().starts_with(&format!("{above}/"))
                }
                _ => false,
            };
            under || host_is(url.host())
        }
        _ => false,
    }
}

fn exclude_url(exclude: &Indicator) -> crate::indicator::UrlValue {
    match &exclude.value {
        Value::Url(url) => url.clone(),
        other => panic!("{other:?}"),
    }
}

/// The fewest networks by halving: a network is kept whole if no address in it is kept off.
fn halve(network: Ipv4Net, excludes: &[&Indicator]) -> Vec<Value> {
    let free = |address| {
        let value = Value::from(std::net::IpAddr::V4(address));
        !excludes.iter().any(|exclude| keeps_off(exclude, &value))
    };
    let first = network.network().to_bits();
    let last = network.broadcast().to_bits();
    if (first..=last).all(|bits| free(bits.into())) {
        return vec![Value::Ipv4(network)];
    }
    match network.subnets(network.prefix_len() + 1) {
        Ok(halves) => halves.flat_map(|half| halve(half, excludes)).collect(),
        Err(_) => Vec::new(),
    }
}

fn parts_of(value: &Value, excludes: &[&Indicator]) -> Vec<Value> {
    match value {
        Value::Ipv4(network) => halve(*network, excludes),
        _ if excludes.iter().any(|exclude| keeps_off(exclude, value)) => Vec::new(),
        _ => vec![value.clone()],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn agrees_with_the_obvious_way(
        first in vec(any_indicator(), 0..12),
        second in vec(any_indicator(), 0..6),
        excludes in vec(any_indicator(), 0..5),
        default in option::of(1..4_i64),
        hour in 0..6_i64,
    ) {
        let now = at(hour);
        let (first, second) = (reading("first", first), reading("second", second));
        let excludes = reading("excludes", excludes);
        let rules = Rules::new(&[&excludes], &[], Protection::default(), now);
        let policy = Policy {
            default_validity: default.map(|hours| (Kind::Ipv4, TimeDelta::hours(hours))).into_iter().collect(),
            subdomains: false,
        };
        let compiled = compile(&[include(&first), include(&second)], &rules, &policy, now);

        let holding: Vec<&Indicator> = excludes
            .indicators
            .iter()
            .filter(|exclude| !exclude.revoked)
            .filter(|exclude| exclude.validity.from.is_none_or(|from| from <= now))
            .filter(|exclude| exclude.validity.until.is_none_or(|until| until > now))
            .collect();
        let mut sources: BTreeMap<Value, Vec<(Seen, bool)>> = BTreeMap::new();
        for (include, reading) in [(0, &first), (1, &second)] {
            for (line, indicator) in (1..).zip(&reading.indicators) {
                let validity = indicator.validity;
                let until = validity.until.or_else(|| {
                    let hours = default.filter(|_| indicator.value.kind() == Kind::Ipv4)?;
                    Some(validity.from.unwrap_or(now) + TimeDelta::hours(hours))
                });
                let ended = until.is_some_and(|until| until <= now);
                let started = validity.from.is_none_or(|from| from <= now);
                let active = !indicator.revoked && !ended && started;
                let confidence = indicator.confidence.unwrap_or(0);
                let seen = (include, line, until, confidence, validity.from, active);
                sources.entry(indicator.value.clone()).or_default().push((seen, indicator.revoked));
            }
        }

        // What is wanted, with the reasons of every network that a part came from.
        let mut expected: BTreeMap<Value, Vec<Seen>> = BTreeMap::new();
        for (value, seen) in &sources {
            if seen.iter().any(|(seen, _)| seen.5) {
                for part in parts_of(value, &holding) {
                    expected.entry(part).or_default().extend(seen.iter().map(|(seen, _)| *seen));
                }
            }
        }
        for (value, seen) in &mut expected {
            if let Some(own) = sources.get(value).filter(|own| !own.iter().any(|(seen, _)| seen.5)) {
                seen.extend(own.iter().map(|(seen, _)| *seen));
            }
        }
        prop_assert!(compiled.wanted.is_sorted_by(|a, b| a.value < b.value));
        let wanted: Vec<_> = compiled.wanted.iter().map(|wanted| &wanted.value).collect();
        prop_assert_eq!(wanted, expected.keys().collect::<Vec<_>>());
        for wanted in &compiled.wanted {
            let seen = &expected[&wanted.value];
            let active: Vec<_> = seen.iter().filter(|seen| seen.5).collect();
            let until = match active.iter().any(|seen| seen.2.is_none()) {
                true => None,
                false => active.iter().filter_map(|seen| seen.2).max(),
            };
            prop_assert_eq!(wanted.until, until);
            prop_assert_eq!(Some(wanted.include), active.iter().map(|seen| seen.0).min());
            prop_assert_eq!(Some(wanted.confidence), active.iter().map(|seen| seen.3).max());
            prop_assert_eq!(wanted.valid_from, active.iter().filter_map(|seen| seen.4).max());

            let (start, count) = (wanted.reasons.0 as usize, wanted.reasons.1 as usize);
            let reasons = &compiled.reasons[start..start + count];
            let shown = |include: u16, line: u32, until| (include, format!("line {line}"), until);
            let of = |reasons: &[Reason]| -> Vec<_> {
                let mut all: Vec<_> = reasons
                    .iter()
                    .map(|reason| (reason.include, reason.origin.to_string(), reason.until))
                    .collect();
                all.sort();
                all
            };
            let seen_as = |wanted: bool| -> Vec<_> {
                let some = seen.iter().filter(|seen| seen.5 == wanted);
                let mut all: Vec<_> = some.map(|seen| shown(seen.0, seen.1, seen.2)).collect();
                all.sort();
                all
            };
            let (active, inactive) = reasons.split_at(active.len());
            prop_assert_eq!(of(active), seen_as(true));
            prop_assert_eq!(of(inactive), seen_as(false));
        }

        let mut waiting = 0;
        for (value, seen) in &sources {
            let absence = compiled.absent.get(value);
            if expected.contains_key(value) {
                prop_assert_eq!(absence, None);
                continue;
            }
            let ended = |seen: &Seen| seen.2.is_some_and(|until| until <= now);
            let starts: Vec<_> = seen
                .iter()
                .filter(|(seen, revoked)| !revoked && !ended(seen))
                .map(|(seen, _)| seen.4)
                .collect();
            if seen.iter().any(|(seen, _)| seen.5) {
                prop_assert!(matches!(absence, Some(Absence::Excluded(_))), "{absence:?}");
                let whole = parts_of(value, &holding).is_empty();
                let within = |list: &[Refused]| list.iter().any(|refused| refused.value == *value);
                prop_assert_eq!((within(&compiled.refused), within(&compiled.cut)), (whole, !whole));
            } else if let Some(Some(from)) = starts.iter().min() {
                waiting += 1;
                prop_assert_eq!(absence, Some(&Absence::Waiting(*from)));
            } else if seen.iter().all(|(seen, _)| ended(seen)) {
                prop_assert_eq!(absence, Some(&Absence::Expired));
            } else {
                prop_assert_eq!(absence, Some(&Absence::Revoked));
            }
        }
        prop_assert_eq!(compiled.waiting, waiting);
        prop_assert_eq!(compiled.absent.len(), sources.keys().filter(|value| !expected.contains_key(value)).count());
    }
}
