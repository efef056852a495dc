//! Lists, made up and published.

use std::io::{self, Cursor};
use std::path::PathBuf;

use super::*;
use crate::error::ErrorKind;

fn read_text(text: &str) -> Result<Reading> {
    read("test", Cursor::new(text))
}

fn values(reading: &Reading) -> Vec<String> {
    reading
        .indicators
        .iter()
        .map(|indicator| format!("{:?}", indicator.value))
        .collect()
}

fn refusals(reading: &Reading) -> Vec<String> {
    reading
        .skipped
        .first
        .iter()
        .map(|skipped| {
            format!(
                "{} {}: {}",
                skipped.place,
                skipped.reason.name(),
                skipped.message
            )
        })
        .collect()
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    Some(stix::parse_timestamp(text).unwrap())
}

#[test]
fn a_plain_list() {
    let text = "\u{feff}# comment\r\n; comment\r\n// comment\r\n\r\n\
        1.2.3[.]4\r\n1.2.3.0/24 # trailing\r\n  evil[.]example  \r\nhxxps://evil[.]example/a#b\r\n\
        198.51.100.7:8080\r\nevil.example:443\r\n[2001:db8::1]:443\r\n2001:DB8::2\r\n\
        *.wild.example\r\n.dot.example\r\n=exact.example\r\n\"quoted.example\"\r\n\
        00000000000000000000000000000000\r\nuser@mail.example\r\n1.1.1.1, 2.2.2.2\r\n\
        0.0.0.0 sink.example other.example\r\n3.3.3.3 said somebody\r\n";
    let reading = read_text(text).unwrap();
    assert_eq!(
        values(&reading),
        [
            "ipv4:1.2.3.4",
            "ipv4:1.2.3.0/24",
            "domain:evil.example",
            "url:https://evil.example/a#b",
            "ipv4:198.51.100.7",
            "domain:evil.example",
            "ipv6:2001:db8::1",
            "ipv6:2001:db8::2",
            "domain:wild.example",
            "domain:dot.example",
            "domain:exact.example",
            "domain:quoted.example",
            "md5:00000000000000000000000000000000",
            "ipv4:1.1.1.1",
            "ipv4:2.2.2.2",
            "domain:sink.example",
            "domain:other.example",
            "ipv4:3.3.3.3",
        ]
    );
    assert_eq!(
        refusals(&reading),
        ["line 18 unsupported: e-mail address is not supported"]
    );
    assert_eq!(reading.skipped.ports, 3);
    let exact: Vec<bool> = reading
        .indicators
        .iter()
        .map(|indicator| indicator.exact)
        .collect();
    assert_eq!(exact.iter().filter(|exact| **exact).count(), 1);
    assert!(exact[10]);
    assert_eq!(reading.indicators[0].origin, Origin::Line(5));
}

#[test]
fn nothing_is_a_complete_empty_list() {
    for text in [
        "",
        "\n\n",
        "# only\n; comments\n",
        "ioc,valid_from,valid_until\n",
        "\u{feff}",
    ] {
        let reading = read_text(text).unwrap();
        assert_eq!(
            (reading.indicators.len(), reading.skipped.total()),
            (0, 0),
            "{text:?}"
        );
    }
}

#[test]
fn delimiters_headers_and_dates() {
    for delimiter in [",", ";", "\t"] {
        let text = "Value|Type|Valid From|Valid Until|Confidence|Revoked\n\
            1.2.3.4|ip|2026-01-01|2026-01-31|70|\n\
            \"evil.example\"|domain|2026-01-01 10:00:00|2026-01-31T10:00:00+02:00|n/a|true\n\
            sample.exe|filename||||\n\
            9.9.9.9|ip||never||\n\
            8.8.8.8|ip|1767225600|1767225601||\n\
            7.7.7.7|ip|2026-02-01|2026-01-01||\n\
            6.6.6.6|ip|2026-01-01T12:00:00Z|2026-01-01||\n"
            .replace('|', delimiter);
        let reading = read_text(&text).unwrap();
        assert_eq!(
            values(&reading),
            [
                "ipv4:1.2.3.4",
                "domain:evil.example",
                "ipv4:9.9.9.9",
                "ipv4:8.8.8.8",
                "ipv4:6.6.6.6"
            ],
            "{delimiter:?}"
        );
        let [first, second, third, fourth, _] = reading.indicators.as_slice() else {
            panic!()
        };
        assert_eq!(first.validity.from, time("2026-01-01T00:00:00Z"));
        assert_eq!(
            first.validity.until,
            time("2026-02-01T00:00:00Z"),
            "a bare end date is the whole day"
        );
        assert_eq!((first.confidence, first.revoked), (Some(70), false));
        assert_eq!(second.validity.from, time("2026-01-01T10:00:00Z"));
        assert_eq!(second.validity.until, time("2026-01-31T08:00:00Z"));
        assert_eq!((second.confidence, second.revoked), (None, true));
        assert_eq!(third.validity, Validity::default());
        assert_eq!(fourth.validity.until, time("2026-01-01T00:00:01Z"));
        assert_eq!(
            refusals(&reading),
            [
                "line 4 unsupported: file name is not supported",
                "line 7 validity: the end of its validity is not after the start",
            ]
        );
    }
}

#[test]
fn tables_without_a_header() {
    let reading = read_text("1.2.3.4\t7\n1.2.3.5\t3\n").unwrap();
    assert_eq!(reading.indicators[0].confidence, Some(7));
    let reading = read_text("first,1.2.3.4,2026-01-01\nsecond,1.2.3.5,2026-01-02\n").unwrap();
    assert_eq!(values(&reading), ["ipv4:1.2.3.4", "ipv4:1.2.3.5"]);
    assert_eq!(
        reading.indicators[0].validity,
        Validity::default(),
        "dates are not guessed at"
    );
}

#[test]
fn several_values_in_a_cell_and_quotes_over_lines() {
    let hashes = format!("{};{};{}", "0".repeat(32), "1".repeat(40), "2".repeat(64));
    let reading = read_text(&format!(
        "ioc,comment\n{hashes},\"two\nlines, and a comma\"\n1.2.3.4,\n"
    ))
    .unwrap();
    assert_eq!(values(&reading).len(), 4);
    assert_eq!(reading.indicators[2].value.kind(), Kind::Sha256);
    assert_eq!(reading.indicators[3].origin, Origin::Line(4));
    let reading = read_text(
        "ip,sha-256\n1.2.3.4,\n,"
            .to_owned()
            .as_str()
            .to_owned()
            .as_str(),
    )
    .unwrap();
    assert_eq!(values(&reading), ["ipv4:1.2.3.4"]);
    let reading = read_text(&format!("ip,md5\n1.2.3.4,{}\n", "0".repeat(32))).unwrap();
    assert_eq!(values(&reading).len(), 2);
}

#[test]
fn latin_1_bytes_do_not_matter_where_no_value_is() {
    let reading = read(
        "test",
        Cursor::new(b"ioc,comment\n1.2.3.4,caf\xe9\n1.2.3.5,\xff\n"),
    )
    .unwrap();
    assert_eq!(values(&reading).len(), 2);
}

#[test]
fn more_than_a_fifth_unreadable_fails() {
    let list = |good: usize, bad: usize| {
        let mut text = String::new();
        for index in 0..good {
            text += &format!("10.0.0.{index}\n");
        }
        text + &"what is this?\n".repeat(bad)
    };
    assert_eq!(
        read_text(&list(8, 2))
            .unwrap()
            .skipped
            .count(SkippedReason::Unreadable),
        2
    );
    let error = read_text(&list(8, 3)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let text = error.to_string();
    assert!(
        text.contains("3 of 11 lines") && text.contains("line 9 \"what is this?\""),
        "{text}"
    );
    // Known kinds that are not supported are readable.
    let mails: String = (0..50)
        .map(|index| format!("a{index}@mail.example\n"))
        .collect();
    assert_eq!(
        read_text(&mails)
            .unwrap()
            .skipped
            .count(SkippedReason::Unsupported),
        50
    );
    assert!(read_text("garbage\n").is_err());
}

#[test]
fn something_else_is_named() {
    for (text, message) in [
        ("<!DOCTYPE html>\n<html>", "an HTML or XML page"),
        ("\n  <HTML><body>1.2.3.4</body>", "an HTML or XML page"),
        ("{\"type\":\"bundle\"}", "JSON"),
        ("[{\"type\":\"indicator\"}]", "JSON"),
    ] {
        let error = read_text(text).expect_err(text);
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint_text().is_some());
    }
    let error = read("test", Cursor::new(b"\xff\xfe1\0.\0")).unwrap_err();
    assert!(error.to_string().contains("UTF-16"), "{error}");
}

/// A 2 GB line, without the 2 GB; also inside of quotes.
#[test]
fn an_endless_line_is_refused_in_bounded_memory() {
    struct Endless {
        head: Cursor<&'static [u8]>,
        fill: u8,
        given: u64,
    }
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let head = self.head.read(buffer)?;
            if head > 0 {
                return Ok(head);
            }
            buffer.fill(self.fill);
            self.given += buffer.len() as u64;
            assert!(self.given <= 4 << 20, "read on after the limit");
            Ok(buffer.len())
        }
    }
    for (head, fill) in [
        ("1.2.3.4\n", b'a'),
        ("", b'1'),
        ("ioc,comment\n1.2.3.4,\"", b'\n'),
    ] {
        let endless = Endless {
            head: Cursor::new(head.as_bytes()),
            fill,
            given: 0,
        };
        let error = read("test", endless).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(
            error.to_string().contains("longer than 1048576 bytes"),
            "{error}"
        );
    }
}

fn published(name: &str) -> Option<Reading> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    match std::fs::File::open(&path) {
        Ok(file) => Some(read(name, file).unwrap()),
        Err(_) => {
            println!("skipped: the published lists are not beside this checkout ({name})");
            None
        }
    }
}

/// Rows, indicators, unsupported, unreadable, bad validity, ports.
fn counts(reading: &Reading) -> [usize; 5] {
    [
        reading.indicators.len(),
        reading.skipped.count(SkippedReason::Unsupported),
        reading.skipped.count(SkippedReason::Unreadable),
        reading.skipped.count(SkippedReason::Validity),
        reading.skipped.ports,
    ]
}

#[test]
fn every_row_of_the_published_lists_is_an_indicator_or_a_named_refusal() {
    for (name, rows, expected) in [
        // 102 rows, two of them with a part left out: those stand under their id and under their line.
        ("sekoia/apt31_iocs_20211110.csv", 104, [106, 4, 0, 0, 0]),
        (
            "sekoia/emotet_campaign_20210120.csv",
            552,
            [508, 44, 0, 0, 252],
        ),
        // 57 rows hold three hashes each.
        ("sekoia/fakebat_iocs_20240702.csv", 220, [334, 0, 0, 0, 0]),
        ("sekoia/pikabot_iocs_20240603.csv", 368, [368, 0, 0, 0, 332]),
        (
            "sekoia/raccoon_stealer_iocs_20220628.csv",
            1061,
            [1061, 0, 0, 0, 0],
        ),
        ("ipsum-2026-08-22.txt", 120_430, [120_430, 0, 0, 0, 0]),
    ] {
        let Some(reading) = published(name) else {
            continue;
        };
        assert_eq!(
            counts(&reading),
            expected,
            "{name}: {:?}",
            refusals(&reading)
        );
        let lines: std::collections::BTreeSet<String> = reading
            .indicators
            .iter()
            .map(|indicator| indicator.origin.to_string())
            .chain(
                reading
                    .skipped
                    .first
                    .iter()
                    .map(|skipped| skipped.place.clone()),
            )
            .collect();
        assert_eq!(lines.len(), rows, "{name}");
        assert_eq!(reading.skipped.total(), reading.skipped.first.len());
    }
}

#[test]
fn dates_and_counts_of_the_published_lists() {
    if let Some(reading) = published("sekoia/emotet_campaign_20210120.csv") {
        assert!(reading.indicators.iter().all(|indicator| {
            indicator.validity.from == time("2021-01-20T11:00:00Z")
                && indicator.validity.until >= time("2021-02-20T11:00:00Z")
        }));
    }
    if let Some(reading) = published("sekoia/apt31_iocs_20211110.csv") {
        let first = &reading.indicators[0];
        assert_eq!(
            first.origin.to_string(),
            "indicator--04f05593-2a58-4e33-b4f0-d6febfd893b0"
        );
        assert_eq!(
            (first.confidence, first.modified),
            (Some(100), time("2021-11-09T14:18:23.731342Z"))
        );
        assert_eq!(first.validity.until, time("2022-01-01T00:00:00Z"));
    }
    for name in [
        "sekoia/fakebat_iocs_20240702.csv",
        "sekoia/pikabot_iocs_20240603.csv",
    ] {
        if let Some(reading) = published(name) {
            let dated = |indicator: &Indicator| {
                indicator.validity.from.is_some() && indicator.validity.until.is_some()
            };
            assert!(reading.indicators.iter().all(dated), "{name}");
        }
    }
    if let Some(reading) = published("ipsum-2026-08-22.txt") {
        assert!(
            reading
                .indicators
                .iter()
                .all(|indicator| indicator.confidence >= Some(1))
        );
        assert!(
            reading
                .indicators
                .iter()
                .any(|indicator| indicator.confidence >= Some(8))
        );
    }
}
