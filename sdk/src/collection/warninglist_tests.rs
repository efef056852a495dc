//! Warninglists, made up and published.

use std::path::PathBuf;

use super::*;
use crate::error::ErrorKind;

fn read_list(kind: &str, attributes: &str, list: &str) -> Reading {
    let json = format!(
        r#"{{"name":"x","version":3,"type":"{kind}","matching_attributes":[{attributes}],"list":[{list}]}}"#
    );
    read("test", json.as_bytes()).unwrap()
}

fn values(reading: &Reading) -> Vec<String> {
    let shown = |indicator: &Indicator| {
        format!(
            "{:?}{}",
            indicator.value,
            if indicator.exact { " exact" } else { "" }
        )
    };
    reading.indicators.iter().map(shown).collect()
}

#[test]
fn the_type_decides() {
    assert_eq!(
        values(&read_list(
            "string",
            "",
            r#""Example.com",".below.example","AAA","1.2.3.4","http://a.example/x","2001:db8::1""#
        )),
        [
            "domain:example.com exact",
            "domain:below.example",
            "domain:aaa exact",
            "ipv4:1.2.3.4",
            "url:http://a.example/x",
            "ipv6:2001:db8::1"
        ]
    );
    assert_eq!(
        values(&read_list(
            "hostname",
            "",
            r#""example.com",".below.example""#
        )),
        ["domain:example.com", "domain:below.example"]
    );
    assert_eq!(
        values(&read_list(
            "cidr",
            "",
            r#""10.1.2.3/8","1.2.3.4","2001:db8::/32""#
        )),
        ["ipv4:10.0.0.0/8", "ipv4:1.2.3.4", "ipv6:2001:db8::/32"]
    );
    for kind in ["substring", "regex"] {
        let reading = read_list(kind, "", r#""example","^a""#);
        assert_eq!(
            (
                values(&reading).len(),
                reading.skipped.count(SkippedReason::Pattern)
            ),
            (0, 2)
        );
    }
}

#[test]
fn matching_attributes_limit_the_kinds() {
    let list = r#""example.com","1.2.3.4","http://a.example/x","00000000000000000000000000000000""#;
    for (attributes, expected) in [
        (r#""domain","hostname""#, vec!["domain:example.com exact"]),
        (
            r#""domain|ip""#,
            vec!["domain:example.com exact", "ipv4:1.2.3.4"],
        ),
        (r#""ip-dst|port""#, vec!["ipv4:1.2.3.4"]),
        (
            r#""filename|md5","url""#,
            vec![
                "url:http://a.example/x",
                "md5:00000000000000000000000000000000",
            ],
        ),
        (r#""email-src""#, vec![]),
    ] {
        let reading = read_list("string", attributes, list);
        assert_eq!(values(&reading), expected, "{attributes}");
        assert_eq!(
            reading.skipped.count(SkippedReason::Unsupported),
            4 - expected.len()
        );
    }
}

#[test]
fn something_else_is_named() {
    for (text, message) in [
        ("<html></html>", "an HTML or XML page"),
        ("", "not a MISP warninglist"),
        (r#"{"type":"string"}"#, "not a MISP warninglist"),
        (r#"{"type":"string","list":[1]}"#, "not a MISP warninglist"),
        (
            r#"{"type":"bundle","objects":[]}"#,
            "not a MISP warninglist",
        ),
        (
            r#"{"type":"fuzzy","list":[]}"#,
            "type \"fuzzy\" is not known",
        ),
        (
            r#"{"type":"cidr","list":["10.0.0.0/8","what is this","1.2.3.4.5"]}"#,
            "2 of 3",
        ),
        (
            r#"{"type":"cidr","list":["10.0.0.0/8""#,
            "not a MISP warninglist",
        ),
    ] {
        let error = read("test", text.as_bytes()).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn every_entry_of_the_published_lists() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/warninglists");
    for (name, indicators, skipped) in [
        ("cisco_top1000.json", 1000, 0),
        ("cloudflare.json", 22, 0),
        ("common-ioc-false-positive.json", 69, 0),
        ("google.json", 669, 0),
        ("microsoft-office365-ip.json", 82, 0),
        ("public-dns-v4.json", 62_745, 0),
        ("public-dns-v6.json", 269, 0),
        ("rfc1918.json", 3, 0),
        ("second-level-tlds.json", 10_231, 0),
        ("tlds.json", 1438, 0),
    ] {
        let Ok(json) = std::fs::read(folder.join(name)) else {
            println!("skipped: the published warninglists are not beside this checkout ({name})");
            continue;
        };
        let reading = read(name, &json).unwrap();
        assert_eq!(
            (reading.indicators.len(), reading.skipped.total()),
            (indicators, skipped),
            "{name}: {:?}",
            &reading.skipped.first[..reading.skipped.first.len().min(10)]
        );
        let exact = reading
            .indicators
            .iter()
            .filter(|indicator| indicator.exact)
            .count();
        match name {
            "google.json" => assert!(exact < indicators),
            "tlds.json" | "cisco_top1000.json" => assert_eq!(exact, indicators),
            _ => {}
        }
    }
}
