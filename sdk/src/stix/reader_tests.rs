//! Bundles, whole and broken.

use std::io::{self, Cursor};

use super::*;
use crate::error::ErrorKind;

const MODIFIED: &str = "2026-01-02T00:00:00Z";

fn id(number: u32) -> String {
    format!("indicator--00000000-0000-4000-8000-{number:012}")
}

fn indicator(number: u32, modified: &str, pattern: &str, more: &str) -> String {
    format!(
        r#"{{"type":"indicator","id":"{}","modified":"{modified}","pattern":"{pattern}","pattern_type":"stix","x":{{"y":[1,"}}"]}}{more}}}"#,
        id(number)
    )
}

fn address(number: u32, modified: &str, last: u8) -> String {
    indicator(
        number,
        modified,
        &format!("[ipv4-addr:value = '198.51.100.{last}']"),
        "",
    )
}

fn bundle(objects: &[String]) -> String {
    format!(
        r#"{{"type":"bundle","id":"bundle--1","objects":[{}],"spec_version":"2.0"}}"#,
        objects.join(",\n")
    )
}

fn read_text(text: &str) -> Result<Reading> {
    read("test", Cursor::new(text), &ReadLimits::default())
}

fn values(reading: &Reading) -> Vec<String> {
    reading
        .indicators
        .iter()
        .map(|indicator| {
            format!(
                "{}{}",
                indicator.value,
                if indicator.revoked { "!" } else { "" }
            )
        })
        .collect()
}

/// Gives its input byte by byte.
struct Slow<'a>(&'a [u8]);

impl io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(1);
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn every_container_gives_the_same() {
    let objects = [address(1, MODIFIED, 1), address(2, MODIFIED, 2)];
    let list = objects.join(" , ");
    for text in [
        bundle(&objects),
        format!("[{list}]"),
        format!(" \n\u{feff}[{list}]\n").trim_start().to_owned(),
        format!(r#"{{"total":2,"has_more":false,"items":[{list}],"next_cursor":"abc"}}"#),
        format!(
            r#"{{"objects":[{list}],"id":"bundle--1","x_odd":{{"objects":[1]}},"type":"bundle"}}"#
        ),
    ] {
        let reading = read_text(&text).unwrap();
        assert_eq!(values(&reading), ["198.51.100.1", "198.51.100.2"], "{text}");
        let slow = read("test", Slow(text.as_bytes()), &ReadLimits::default()).unwrap();
        assert_eq!(slow.indicators, reading.indicators);
    }
    assert_eq!(values(&read_text("[]").unwrap()), [""; 0]);
    assert_eq!(
        values(&read_text(r#"{"type":"bundle","id":"bundle--1"}"#).unwrap()),
        [""; 0]
    );
}

#[test]
fn all_fields_of_an_indicator() {
    let more = r#","revoked":true,"confidence":85,"valid_from":"2026-01-01T00:00:00","valid_until":"2026-02-01T01:00:00.123456789+01:00","created":"2025-01-01T00:00:00Z","confidence_x":null"#;
    let text = bundle(&[
        indicator(
            7,
            "2026-01-02T03:04:05.5Z",
            "[domain-name:value = 'a.example']",
            more,
        ),
        r#"{"type":"identity","id":"identity--1","created":7}"#.to_owned(),
        r#"{"type":"relationship","id":"relationship--1","modified":"x"}"#.to_owned(),
    ]);
    let reading = read_text(&text).unwrap();
    assert_eq!(reading.skipped.other_objects, 2);
    assert_eq!(reading.skipped.total(), 0);
    let [indicator] = reading.indicators.as_slice() else {
        panic!("{reading:?}");
    };
    let time = |text: &str| Some(parse_timestamp(text).unwrap());
    assert!(indicator.revoked && !indicator.exact);
    assert_eq!(indicator.confidence, Some(85));
    assert_eq!(indicator.modified, time("2026-01-02T03:04:05.5Z"));
    assert_eq!(indicator.validity.from, time("2026-01-01T00:00:00Z"));
    assert_eq!(
        indicator.validity.until,
        time("2026-02-01T00:00:00.123456789Z")
    );
    assert_eq!(indicator.origin.to_string(), id(7));
}

#[test]
fn the_newest_version_stands_whatever_the_order() {
    let versions = [
        address(1, "2026-01-01T00:00:00Z", 1),
        indicator(
            1,
            "2026-01-03T00:00:00Z",
            "[ipv4-addr:value = '198.51.100.3']",
            r#","revoked":true"#,
        ),
        // The newest but one is of a shape that gives nothing.
        indicator(1, "2026-01-02T00:00:00Z", "[file:name = 'x']", ""),
        address(2, MODIFIED, 9),
    ];
    for order in [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 0, 3, 2],
        [2, 3, 0, 1],
        [2, 0, 1, 3],
        [0, 2, 1, 3],
    ] {
        let objects: Vec<String> = order.iter().map(|index| versions[*index].clone()).collect();
        let reading = read_text(&bundle(&objects)).unwrap();
        let mut found = values(&reading);
        found.sort();
        assert_eq!(found, ["198.51.100.3!", "198.51.100.9"], "{order:?}");
        assert_eq!(reading.skipped.count(SkippedReason::Stale), 2);
        assert_eq!(
            reading.skipped.total(),
            2,
            "{order:?} {:?}",
            reading.skipped
        );
        // An older version of the same moment does not undo a revocation.
        let again = [&objects[..], &[address(1, "2026-01-03T00:00:00Z", 1)]].concat();
        assert_eq!(values(&read_text(&bundle(&again)).unwrap()).len(), 2);
        assert!(values(&read_text(&bundle(&again)).unwrap()).contains(&"198.51.100.3!".to_owned()));
    }
    // A newest version without values leaves nothing.
    let objects = [
        address(1, "2026-01-01T00:00:00Z", 1),
        indicator(1, MODIFIED, "[file:name = 'x']", ""),
    ];
    let reading = read_text(&bundle(&objects)).unwrap();
    assert_eq!(reading.indicators, []);
    assert_eq!(reading.skipped.count(SkippedReason::Unsupported), 1);
}

#[test]
fn versions_meet_across_pages() {
    let mut reader = Reader::new(ReadLimits::default());
    let page = format!(
        r#"{{"items":[{}],"next_cursor":"c1","has_more":true,"total":3}}"#,
        address(1, "2026-01-01T00:00:00Z", 1)
    );
    assert_eq!(
        reader.page(page.as_bytes()).unwrap(),
        Page {
            objects: 1,
            more: Some(true),
            next: Some("c1".to_owned()),
            total: Some(3),
            items: true,
            oldest: parse_timestamp("2026-01-01T00:00:00Z").ok(),
            newest: parse_timestamp("2026-01-01T00:00:00Z").ok(),
            unordered: false,
        }
    );
    reader
        .page(bundle(&[address(1, MODIFIED, 2)]).as_bytes())
        .unwrap();
    assert_eq!(values(&reader.finish("test").unwrap()), ["198.51.100.2"]);
}

#[test]
fn many_versions_of_many_objects() {
    let mut objects = Vec::new();
    for round in 1..=3_u32 {
        for number in 0..3000 {
            let day = 1 + (round + number) % 3;
            objects.push(indicator(
                number,
                &format!("2026-01-0{day}T00:00:00Z"),
                &format!("[ipv4-addr:value IN ('10.{day}.0.1', '10.{day}.0.2')]"),
                "",
            ));
        }
    }
    let reading = read_text(&bundle(&objects)).unwrap();
    assert_eq!(reading.indicators.len(), 6000);
    assert!(
        reading
            .indicators
            .iter()
            .all(|indicator| indicator.value.to_string().starts_with("10.3."))
    );
    assert_eq!(reading.skipped.count(SkippedReason::Stale), 6000);
}

#[test]
fn one_bad_object_sinks_only_itself() {
    let objects = [
        address(1, MODIFIED, 1),
        indicator(
            2,
            MODIFIED,
            "[ipv4-addr:value = '1.1.1.1']",
            r#","confidence":"high""#,
        ),
        indicator(
            3,
            MODIFIED,
            "[ipv4-addr:value = '1.1.1.1']",
            r#","revoked":"no""#,
        ),
        indicator(4, MODIFIED, "[ipv4-addr:value =", ""),
        indicator(
            5,
            MODIFIED,
            "[ipv4-addr:value = '1.1.1.1']",
            r#","valid_until":"soon""#,
        ),
        indicator(
            6,
            MODIFIED,
            "[ipv4-addr:value = '1.1.1.1']",
            r#","valid_from":"2026-02-01T00:00:00Z","valid_until":"2026-02-01T00:00:00Z""#,
        ),
        indicator(7, MODIFIED, "rule x {}", r#","pattern_version":1"#)
            .replace("\"stix\"", "\"yara\""),
        indicator(8, "never", "[ipv4-addr:value = '1.1.1.1']", ""),
        format!(r#"{{"type":"indicator","id":"{}","pattern":7}}"#, id(9)),
        format!(r#"{{"type":"indicator","id":"{}"}}"#, id(10)),
        r#"{"type":"indicator","id":5}"#.to_owned(),
        r#"{"type":"indicator"}"#.to_owned(),
        r#"{"type":["indicator"]}"#.to_owned(),
        "17".to_owned(),
        "null".to_owned(),
        address(11, MODIFIED, 2),
    ];
    let reading = read_text(&bundle(&objects)).unwrap();
    assert_eq!(values(&reading), ["198.51.100.1", "198.51.100.2"]);
    assert_eq!(reading.skipped.count(SkippedReason::Validity), 1);
    assert_eq!(reading.skipped.count(SkippedReason::Unsupported), 1);
    assert_eq!(reading.skipped.count(SkippedReason::Unreadable), 12);
    assert_eq!(
        reading.skipped.total() + reading.indicators.len(),
        objects.len()
    );
    let places: Vec<&str> = reading
        .skipped
        .first
        .iter()
        .map(|skipped| &*skipped.place)
        .collect();
    assert!(
        places.contains(&id(2).as_str()) && places.iter().any(|place| place.starts_with("byte "))
    );
}

#[test]
fn broken_at_any_byte_is_an_error_and_never_a_panic() {
    let text = bundle(&[
        address(1, MODIFIED, 1),
        r#"{"type":"identity","id":"i","a":[1.5e3,true,"\u00e9"]}"#.to_owned(),
    ]);
    let complete = read_text(&text).unwrap().indicators;
    for length in 0..text.len() {
        let error = read_text(&text[..length]).expect_err(&text[..length]);
        assert_eq!(error.kind(), ErrorKind::Protocol, "{length}: {error}");
        assert!(error.hint_text().is_some(), "{error}");
        if length > 0 {
            assert!(error.to_string().contains("byte "), "{length}: {error}");
        }
    }
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = 0x01;
        // A control character is never JSON, except that an ignored string may hold anything.
        match read("test", Cursor::new(&bytes), &ReadLimits::default()) {
            Ok(reading) => assert!(reading.indicators.len() <= complete.len()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Protocol, "{error}"),
        }
        bytes[at] = 0xff;
        if let Err(error) = read("test", Cursor::new(&bytes), &ReadLimits::default()) {
            assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        }
    }
    let error =
        read_text("{\"type\":\"bundle\",\n\"objects\":[\n{\"type\":\"indicator\",\n\"id\" 5}]}")
            .unwrap_err();
    assert!(error.to_string().contains("byte 56"), "{error}");
}

#[test]
fn something_else_is_named() {
    for (text, message) in [
        ("<!DOCTYPE html><html></html>", "an HTML or XML page"),
        ("  \n<html>", "an HTML or XML page"),
        ("", "empty"),
        ("1.2.3.4\n", "neither"),
        (r#"{"error":"unauthorised"}"#, "no bundle"),
        ("{}", "no bundle"),
        (r#"{"type":"indicator"}"#, "no bundle"),
        (r#"{"type":"bundle","objects":null}"#, "not a list"),
        (r#"["1.2.3.4","1.2.3.5"]"#, "none of 2 elements"),
        (r#"[{"type":"bundle","objects":[]}]"#, "a bundle inside"),
        (r#"{"items":[],"total":5}"#, "one page of several"),
        (
            r#"{"objects":[],"more":true,"next":"x"}"#,
            "one page of several",
        ),
        ("[][]", "follows the end"),
        (r#"{"type":"bundle","objects":[],}"#, "not valid JSON"),
    ] {
        let error = read_text(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert!(error.hint_text().is_some(), "{error}");
    }
}

/// A 2 GB value in an object, without the 2 GB.
#[test]
fn an_endless_object_is_refused_in_bounded_memory() {
    struct Endless {
        head: Cursor<&'static [u8]>,
        given: u64,
    }
    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let head = self.head.read(buffer)?;
            if head > 0 {
                return Ok(head);
            }
            assert!(buffer.len() <= 4 << 20, "the window grew beyond its bound");
            buffer.fill(b'a');
            self.given += buffer.len() as u64;
            assert!(self.given <= 8 << 20, "read on after the limit");
            Ok(buffer.len())
        }
    }
    for head in [
        r#"{"type":"bundle","objects":[{"type":"indicator","pattern":""#,
        r#"{"type":"bundle","objects":[{"type":"indicator","unknown":""#,
        r#"{"type":"bundle","comment":""#,
        r#"["#,
    ] {
        let endless = Endless {
            head: Cursor::new(head.as_bytes()),
            given: 0,
        };
        let error = read("test", endless, &ReadLimits::default()).unwrap_err();
        assert!(
            error.to_string().contains("longer than 1048576 bytes") || head == "[",
            "{error}"
        );
    }
    let limits = ReadLimits {
        input_bytes: 100,
        ..ReadLimits::default()
    };
    let error = read(
        "test",
        Cursor::new("[".to_owned() + &" ".repeat(200) + "]"),
        &limits,
    )
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
}

#[test]
fn deep_nesting_in_what_is_ignored_is_passed_over() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let object = indicator(
        1,
        MODIFIED,
        "[ipv4-addr:value = '198.51.100.1']",
        &format!(r#","deep":{deep}"#),
    );
    assert_eq!(values(&read_text(&bundle(&[object])).unwrap()).len(), 1);
}

#[test]
fn a_generated_bundle_is_read_whole() {
    let mut text = Vec::new();
    crate::stix::generate::bundle(&mut text, 3000, 7).unwrap();
    let mut again = Vec::new();
    crate::stix::generate::bundle(&mut again, 3000, 7).unwrap();
    assert_eq!(text, again);
    assert!(
        (440..=480).contains(&(text.len() / 3000)),
        "{}",
        text.len() / 3000
    );
    let reading = read("test", Cursor::new(&text), &ReadLimits::default()).unwrap();
    assert_eq!(
        (reading.indicators.len(), reading.skipped.total()),
        (3000, 0)
    );
}
