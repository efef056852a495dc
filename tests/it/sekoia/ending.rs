//! SIGTERM in the middle: the platform is told, in time, and nothing hangs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::json;

use super::job::{Job, falcon};
use super::platform::{Platform, Reply};
use super::{files, object_store};
use crate::support::Ran;
use crate::support::web::{answer, read};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

fn terminate(child: &Child) {
    let done = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}

fn end(mut child: Child) -> Ran {
    let mut stdout = String::new();
    let mut stderr = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    Ran {
        code: child.wait().unwrap().code(),
        stdout,
        stderr,
    }
}

/// An action on a vendor that takes connections and says nothing.
fn stuck() -> (tempfile::TempDir, Platform, Job, TcpListener) {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let vendor = TcpListener::bind("127.0.0.1:0").unwrap();
    let configuration = json!({
        "base_url": format!("http://{}", vendor.local_addr().unwrap()), "client_id": "id",
    });
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }))
        .file("module_configuration", &configuration.to_string());
    (here, platform, job, vendor)
}

#[test]
fn a_signal_ends_an_action_that_waits_and_the_platform_is_told_in_time() {
    let (_here, platform, job, vendor) = stuck();
    let child = job.spawn("block");
    let (_stream, _) = vendor.accept().unwrap();
    let signalled = Instant::now();
    terminate(&child);
    let ran = end(child);
    assert!(
        signalled.elapsed() < Duration::from_secs(10),
        "a runner kills after ten"
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let message = platform.end();
    let error = message["error"].as_str().unwrap();
    assert!(error.contains("stopped by a signal"), "{message}");
    assert!(error.contains("run again"), "{message}");
    job.check(&platform, &ran);
}

#[test]
fn a_second_signal_ends_the_action_at_once_and_the_platform_is_told() {
    let (_here, platform, job, vendor) = stuck();
    let mut child = job.spawn("block");
    let (_stream, _) = vendor.accept().unwrap();
    let signalled = Instant::now();
    terminate(&child);
    // Two that come together would be one.
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut lines = stderr.lines().map(Result::unwrap);
    let before: Vec<String> = lines
        .by_ref()
        .take_while(|line| !line.contains("once more to end it now"))
        .collect();
    terminate(&child);
    let after: Vec<String> = lines.collect();
    let ran = Ran {
        code: child.wait().unwrap().code(),
        stdout: String::new(),
        stderr: [before, after].concat().join("\n"),
    };
    assert!(signalled.elapsed() < Duration::from_secs(4), "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        platform.end()["error"]
            .as_str()
            .unwrap()
            .contains("stopped by a signal")
    );
    job.check(&platform, &ran);
}

#[test]
fn a_signal_before_the_action_began_keeps_it_from_beginning() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Silence]);
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }));
    let child = job.spawn("block");
    platform.wait_for_calls(1);
    terminate(&child);
    let ran = end(child);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let message = platform.end();
    assert!(
        message["error"]
            .as_str()
            .unwrap()
            .contains("stopped by a signal")
    );
    assert_eq!(message.get("results"), None, "{message}");
    job.check(&platform, &ran);
}

#[test]
fn a_platform_that_is_silent_at_the_end_is_not_waited_for_after_a_signal() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    platform.script([Reply::Usual, Reply::Silence]);
    let job = Job::new(&platform, &fake, &json!({ "values": [SHA256] }));
    let child = job.spawn("block");
    platform.wait_for_calls(2);
    let signalled = Instant::now();
    terminate(&child);
    let ran = end(child);
    assert!(signalled.elapsed() < Duration::from_secs(10), "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("was not told how it ended"), "{ran:?}");
    job.check(&platform, &ran);
}

#[test]
fn a_signal_ends_what_is_written_to_a_silent_store_and_the_platform_gets_it_inline() {
    let here = tempfile::tempdir().unwrap();
    let (fake, platform) = falcon(here.path());
    let store = TcpListener::bind("127.0.0.1:0").unwrap();
    let job = object_store::job(
        &platform,
        &fake,
        &format!("http://{}", store.local_addr().unwrap()),
        &json!({ "stix_objects_path": "in/objects.json" }),
    );
    let child = job.spawn("push_indicators");
    let (mut reading, _) = store.accept().unwrap();
    assert!(read(&reading).head.starts_with("GET "));
    let objects = files::objects().to_string();
    let head = "ETag: \"1\"\r\nLast-Modified: Wed, 04 Mar 2026 07:08:09 GMT\r\n";
    reading
        .write_all(&answer("200 OK", head, objects.as_bytes()))
        .unwrap();
    drop(reading);
    // Taken, read, and never answered.
    let (writing, _) = store.accept().unwrap();
    assert!(read(&writing).head.starts_with("PUT "));
    let signalled = Instant::now();
    terminate(&child);
    let ran = end(child);
    assert!(signalled.elapsed() < Duration::from_secs(10), "{ran:?}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let message = platform.end();
    assert_eq!(message.get("error"), None, "it was done: {message}");
    assert_eq!(
        message["results"]["changes"][0]["value"], SHA256,
        "{message}"
    );
    let logs = message["logs"].as_str().unwrap();
    for name in ["changes", "details"] {
        let line = format!("{name} is sent inline: a signal came before it was written");
        assert!(logs.contains(&line), "{logs}");
    }
    job.check(&platform, &ran);
}
