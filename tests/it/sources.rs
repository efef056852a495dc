//! Collections read from a web server: complete or failed, nothing between.

use std::io::Write;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::support::web::{Web, answer};
use crate::support::{Fake, Ran, bundle, configure_falcon, indicator, run};

fn list() -> String {
    (1..=9).map(|last| format!("8.8.5.{last}\n")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sync(directory: &Path) -> (Ran, Json) {
    let ran = run(directory, &["sync", "--output", "json"]);
    let report = ran.json()["reports"][0].clone();
    (ran, report)
}

#[test]
fn a_url_is_read_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let web = Web::start(|path| {
        let text = list();
        let all = text.as_bytes();
        match path {
            "/list.txt?token=abc" => answer("200 OK", "", all),
            "/list.gz" => answer("200 OK", "Content-Type: application/gzip\r\n", &gzip(all)),
            "/half.gz" => answer("200 OK", "", &gzip(all)[..40]),
            "/moved" => answer("302 Found", "Location: /list.gz\r\n", b""),
            "/html" => answer(
                "200 OK",
                "",
                b"<!DOCTYPE html>\n<html><body>8.8.5.1</body></html>",
            ),
            "/gone" => answer("404 Not Found", "", b"8.8.5.1\n"),
            "/part" => answer("206 Partial Content", "", b"8.8.5.1\n"),
            "/away" => answer(
                "302 Found",
                "Location: http://lists.example.com/list.txt\r\n",
                b"",
            ),
            "/loop" => answer("302 Found", "Location: /loop\r\n", b""),
            other => panic!("{other}"),
        }
    });
    let read = |path: &str| {
        let source = format!("list = {:?}", web.url(path));
        configure_falcon(directory, &fake.configuration, &source, "");
        sync(directory)
    };
    let (ran, first) = read("/list.txt?token=abc");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        (&first["added"], &first["sources"][0]["status"]),
        (&json!(9), &json!("complete"))
    );
    for path in ["/list.gz", "/moved"] {
        let (ran, report) = read(path);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(report["unchanged"], 9, "{path}: {report}");
    }
    for (path, why) in [
        ("/half.gz", ""),
        ("/html", "HTML"),
        ("/gone", "404"),
        ("/part", "206"),
        ("/away", "a redirect to plain http"),
        ("/loop", "too many redirects"),
    ] {
        let (ran, report) = read(path);
        assert_eq!(ran.code, Some(4), "{path}: {ran:?}");
        assert_eq!(report["sources"][0]["status"], "failed", "{path}: {report}");
        let error = report["sources"][0]["error"].as_str().unwrap();
        assert!(error.contains(why), "{path}: {error}");
        assert_eq!(report["removed"]["withdrawn"], 0, "{path}: {report}");
        assert_eq!(report["requests"]["write"], 0, "{path}: {report}");
    }
    // A list without credentials is asked for without any.
    for asked in web.asked() {
        assert!(
            !asked.head.to_lowercase().contains("authorization"),
            "{asked:?}"
        );
    }
}

#[test]
fn a_body_that_ends_early_is_a_failed_read() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    let web = Web::start(|_| {
        let text = list();
        let mut bytes = answer("200 OK", "", text.as_bytes());
        bytes.truncate(bytes.len() - 20);
        bytes
    });
    let source = format!("list = {:?}", web.url("/list.txt"));
    configure_falcon(directory, &fake.configuration, &source, "");
    let (ran, report) = sync(directory);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(report["sources"][0]["status"], "failed", "{report}");
    assert_eq!(report["added"], 0, "{report}");
}

#[test]
fn a_bundle_from_a_url_reads_like_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    // What no standard names is no reason to stop; what has the wrong type is refused by itself.
    let good = indicator(
        "[ipv4-addr:value = '8.8.5.1']",
        &json!({
            "x_vendor_score": { "deep": [1, { "er": null }] },
            "extensions": { "extension-definition--1": { "extension_type": "property-extension" } },
            "confidence": 80,
            "labels": ["a"],
        }),
    );
    let pattern = "[ipv4-addr:value = '8.8.5.2']";
    let text = bundle(&[
        good,
        json!({ "type": "x-unheard-of", "id": "x-unheard-of--1", "value": 5 }),
        json!({ "type": "identity", "id": "identity--1", "name": ["not", "a", "text"] }),
        indicator(pattern, &json!({ "pattern": 5 })),
        indicator(pattern, &json!({ "valid_from": true })),
        indicator(pattern, &json!({ "valid_until": "tomorrow" })),
        indicator(pattern, &json!({ "revoked": "no" })),
        indicator(pattern, &json!({ "modified": 17 })),
        json!(5),
        json!(null),
        json!([["deep"]]),
    ]);
    let web = Web::start(move |path| match path {
        "/bundle.json" => answer("200 OK", "", text.as_bytes()),
        _ => answer(
            "200 OK",
            "",
            b"<html><head></head><body>Sign in</body></html>",
        ),
    });
    let read = |path: &str| {
        let source = format!("stix = {:?}", web.url(path));
        configure_falcon(directory, &fake.configuration, &source, "");
        sync(directory)
    };
    let (ran, report) = read("/bundle.json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(report["added"], 1, "{report}");
    assert_eq!(report["changes"][0]["value"], "8.8.5.1");
    assert_eq!(report["sources"][0]["skipped"], 8, "{report}");
    let (ran, report) = read("/login");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert_eq!(report["sources"][0]["status"], "failed", "{report}");
    assert!(
        report["sources"][0]["error"]
            .as_str()
            .unwrap()
            .contains("HTML"),
        "{report}"
    );
    assert_eq!(report["removed"]["withdrawn"], 0, "{report}");
}
