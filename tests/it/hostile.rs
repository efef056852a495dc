//! Input that is made to break a reader.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Fake, bundle, configure_falcon, cordon, indicator, run, write};

#[test]
fn nesting_without_end_is_left_out_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure_falcon(directory, &fake.configuration, "stix = \"deep.json\"", "");
    let depth = 100_000;
    let nested = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let comparison = "ipv4-addr:value = '8.8.5.2'";
    let objects = [
        indicator("[ipv4-addr:value = '8.8.5.1']", &json!({})),
        indicator(&format!("[{}]", nested("(", comparison, ")")), &json!({})),
        indicator(&nested("(", &format!("[{comparison}]"), ")"), &json!({})),
        indicator(&"[".repeat(depth), &json!({})),
    ];
    write(directory, "deep.json", &bundle(&objects));
    let ran = run(directory, &["sync", "--output", "json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = &ran.json()["reports"][0];
    assert_eq!(
        (&report["added"], &report["sources"][0]["skipped"]),
        (&json!(1), &json!(3))
    );
    // JSON itself nested as deep: not a bundle, or an object that is left out; never a crash.
    for text in [
        nested("[", "", "]"),
        nested("{\"objects\":[", "", "]}"),
        format!(
            r#"{{"type":"bundle","objects":[{{"type":"indicator","x":{}}}]}}"#,
            nested("[", "", "]")
        ),
    ] {
        write(directory, "deep.json", &text);
        let ran = run(directory, &["sync", "--output", "json"]);
        assert!(
            matches!(ran.code, Some(0 | 4 | 5)),
            "{:?} {}",
            ran.code,
            ran.stderr
        );
    }
}

/// The most memory that a run needed until it has read its source and calls the target.
#[cfg(target_os = "linux")]
fn peak_memory_mib(directory: &Path, source: &str) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = json!({
        "base_url": format!("http://{}", listener.local_addr().unwrap()),
        "client_id": "id",
        "client_secret": "secret",
    });
    configure_falcon(directory, &configuration, source, "");
    let mut child = cordon(directory)
        .arg("sync")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The target takes the call and never answers: the run stands still after reading.
    let (_stream, _) = listener.accept().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}

#[test]
#[cfg(target_os = "linux")]
fn a_line_without_end_takes_no_memory() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    write(directory, "small.txt", "8.8.5.1\n");
    let file = File::create(directory.join("long.txt")).unwrap();
    let mut file = BufWriter::new(file);
    file.write_all(b"8.8.5.1\n").unwrap();
    let block = vec![b'a'; 1 << 20];
    for _ in 0..256 {
        file.write_all(&block).unwrap();
    }
    file.flush().unwrap();
    let usual = peak_memory_mib(directory, "list = \"small.txt\"");
    let long = peak_memory_mib(directory, "list = \"long.txt\"");
    assert!(long < usual + 32, "{long} MiB where {usual} MiB are usual");

    let fake = Fake::start(directory, &["crowdstrike", "--http"]);
    configure_falcon(directory, &fake.configuration, "list = \"long.txt\"", "");
    let ran = run(directory, &["sync", "--output", "json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let report = &ran.json()["reports"][0];
    assert_eq!(report["sources"][0]["status"], "failed", "{report}");
    assert_eq!(report["added"], 0, "{report}");
}
