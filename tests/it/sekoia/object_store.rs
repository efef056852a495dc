//! The data path in an object store: what is refused without one, and the whole way with moto's S3 server
//! from PyPI, which checks signatures and rights.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use sdk::fake::Transport;
use sdk::testing::official::Python;
use serde_json::{Value as Json, json};

use super::files::objects;
use super::job::{Job, falcon};
use super::platform::Platform;
use crate::support::Fake;
use crate::support::web::{Web, answer};

const PACKAGE: &str = "moto[s3,iam,server]==5.2.5";

const KEY_ID: &str = "KeyIdOfTheStore00000";
const KEY: &str = "SecretKeyOfTheStore0000000000000000000000";

fn platform(fake: &Fake) -> Platform {
    Platform::start(json!({ "client_secret": fake.configuration["client_secret"] }))
}

/// A job with its data path in a store.
pub(super) fn job(platform: &Platform, fake: &Fake, endpoint: &str, arguments: &Json) -> Job {
    Job::new(platform, fake, arguments)
        .secret(KEY)
        .secret(KEY_ID)
        .file("file_backend", "s3\n")
        .file("sub_folder", "runs/7")
        .file("aws_bucket_name", "data-of-playbooks")
        .file("aws_access_key_id", KEY_ID)
        .file("aws_secret_access_key", KEY)
        .file("aws_default_region", "eu-west-1")
        .file("aws_s3_endpoint_url", endpoint)
}

fn push() -> Json {
    json!({ "stix_objects_path": "in/objects.json" })
}

#[test]
fn every_setting_of_a_store_is_needed() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    for name in [
        "aws_bucket_name",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_default_region",
        "aws_s3_endpoint_url",
    ] {
        let platform = platform(&fake);
        let job = job(&platform, &fake, "http://127.0.0.1:1", &push()).without(name);
        let ran = job.run(&platform, "push_indicators");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let error = platform.end()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(&format!("{name} is missing")), "{error}");
    }
}

#[test]
fn an_action_without_files_needs_no_store() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let platform = platform(&fake);
    let job = job(&platform, &fake, "http://127.0.0.1:1", &json!({}));
    let ran = job.run(&platform, "list_blocked");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(platform.end()["results"]["count"], 0);
}

#[test]
fn a_store_over_plain_http_elsewhere_is_refused() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let platform = platform(&fake);
    let job = job(&platform, &fake, "http://store.example.com", &push());
    job.run(&platform, "push_indicators");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("plain http is refused"), "{error}");
}

#[test]
fn without_rights_on_the_store_it_is_said_critically_and_no_vendor_is_called() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let platform = platform(&fake);
    let store = Web::start(|_| {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>no</Message>\
             <AWSAccessKeyId>{KEY_ID}</AWSAccessKeyId></Error>"
        );
        answer(
            "403 Forbidden",
            "Content-Type: application/xml\r\n",
            body.as_bytes(),
        )
    });
    let vendor = Web::start(|_| answer("500 Internal Server Error", "", b""));
    let configuration = json!({ "base_url": vendor.url(""), "client_id": "id" });
    let job = job(&platform, &fake, &store.url(""), &push())
        .file("module_configuration", &configuration.to_string());
    let ran = job.run(&platform, "push_indicators");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(vendor.asked().len(), 0);
    let end = platform.end();
    let error = end["error"].as_str().unwrap();
    assert!(error.contains("AccessDenied"), "{end}");
    assert!(error.contains("rights to get and put"), "{end}");
    assert!(
        end["logs"].as_str().unwrap().contains(": critical: "),
        "{end}"
    );
    let asked = store.asked();
    assert!(
        asked[0]
            .head
            .starts_with("GET /data-of-playbooks/runs/7/in/objects.json "),
        "{asked:?}"
    );
}

#[test]
fn a_session_token_goes_to_the_store_and_nowhere_else() {
    const SESSION: &str = "SessionTokenOfTheStore/+0123456789==";
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let platform = platform(&fake);
    let store = Web::start(|_| {
        let body = format!("<Error><Code>ExpiredToken</Code><Token>{SESSION}</Token></Error>");
        answer("403 Forbidden", "", body.as_bytes())
    });
    let job = job(&platform, &fake, &store.url(""), &push())
        .secret(SESSION)
        .file("aws_session_token", SESSION);
    job.run(&platform, "push_indicators");
    let head = &store.asked()[0].head;
    assert!(
        head.contains(&format!("x-amz-security-token: {SESSION}\r\n")),
        "{head}"
    );
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("ExpiredToken"), "{error}");
    assert!(error.contains("<Token>[secret]</Token>"), "{error}");
}

#[test]
fn a_file_that_ends_early_is_no_file() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    for end_at_an_object in [true, false] {
        let store = Web::start(move |_| {
            let whole = json!([objects()[0], objects()[0]]).to_string();
            let half = if end_at_an_object {
                whole.find("},{").unwrap() + 1
            } else {
                whole.len() / 3
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nLast-Modified: Wed, 04 Mar 2026 07:08:09 GMT\r\n\
                 Content-Length: {}\r\n\r\n",
                whole.len()
            );
            [head.as_bytes(), &whole.as_bytes()[..half]].concat()
        });
        let platform = platform(&fake);
        let ran = job(&platform, &fake, &store.url(""), &push()).run(&platform, "push_indicators");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let end = platform.end();
        assert!(end["error"].is_string(), "{end}");
        assert_eq!(end.get("results"), None, "nothing was pushed: {end}");
    }
}

#[test]
fn the_stores_own_ca_is_trusted_for_the_store() {
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    for trusted in [true, false] {
        let platform = platform(&fake);
        // Any server with TLS: it answers 404.
        let store = Platform::start_with(json!({}), Transport::Tls);
        let endpoint = format!("https://127.0.0.1:{}", store.port());
        let mut job = job(&platform, &fake, &endpoint, &push());
        if trusted {
            job = job.file("ca_cert", &store.ca_pem());
        }
        job.run(&platform, "push_indicators");
        let error = platform.end()["error"].as_str().unwrap().to_owned();
        assert_eq!(
            error.contains("the bucket or the file is not there"),
            trusted,
            "{error}"
        );
        assert_eq!(store.calls().len(), usize::from(trusted));
    }
    let platform = platform(&fake);
    let job = job(&platform, &fake, "https://127.0.0.1:1", &push()).file("client_cert", "x");
    job.run(&platform, "push_indicators");
    let error = platform.end()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("client_cert and client_key belong together"),
        "{error}"
    );
}

/// moto's server; ends when dropped.
struct Moto {
    child: Child,
    lines: BufReader<ChildStdout>,
    told: Json,
}

impl Moto {
    fn start(python: &Python, objects: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sekoia/object_store.py");
        let mut child = python
            .script(&script)
            .arg(objects)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let told = Self::line(&mut lines);
        Self { child, lines, told }
    }

    fn line(lines: &mut BufReader<ChildStdout>) -> Json {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// All objects by key.
    fn objects(&mut self) -> Json {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"list\n")
            .unwrap();
        Self::line(&mut self.lines)
    }

    /// A job with the key of a user.
    fn job(&self, platform: &Platform, fake: &Fake, user: &str) -> Job {
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let key = &self.told["keys"][user];
        job(platform, fake, &text(&self.told["endpoint"]), &push())
            .file("aws_bucket_name", &text(&self.told["bucket"]))
            .file("aws_access_key_id", &text(&key[0]))
            .file("aws_secret_access_key", &text(&key[1]))
            .secret(&text(&key[1]))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn motos_s3_server_gives_objects_takes_results_and_keeps_to_rights() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &[PACKAGE]) else {
        return;
    };
    let here = tempfile::tempdir().unwrap();
    let (fake, _) = falcon(here.path());
    let content = crate::support::write(here.path(), "objects.json", &objects().to_string());
    let mut moto = Moto::start(&python, &content);

    let allowed = platform(&fake);
    let job = moto.job(&allowed, &fake, "allowed");
    let ran = job.run(&allowed, "push_indicators");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let end = allowed.end();
    assert_eq!(end["results"]["added"], 1, "{end}");
    let stored = moto.objects();
    for name in ["changes", "details"] {
        let file = end["results"][format!("{name}_path")].as_str().unwrap();
        let text = stored[format!("runs/7/{file}")].as_str().unwrap();
        assert!(serde_json::from_str::<Vec<Json>>(text).is_ok(), "{text}");
    }
    assert_eq!(stored.as_object().unwrap().len(), 3, "{stored}");
    assert_eq!(
        job.data_files(),
        Vec::<String>::new(),
        "nothing on the disk"
    );

    for (what, said, critical) in [
        ("denied", "AccessDenied", true),
        ("missing file", "NoSuchKey", false),
        ("missing bucket", "NoSuchBucket", false),
        ("wrong key", "SignatureDoesNotMatch", true),
    ] {
        let platform = platform(&fake);
        let user = if what == "denied" {
            "denied"
        } else {
            "allowed"
        };
        let job = moto.job(&platform, &fake, user);
        let job = match what {
            "missing file" => job.file("sub_folder", "runs/8"),
            "missing bucket" => job.file("aws_bucket_name", "no-such-bucket"),
            "wrong key" => job.file("aws_secret_access_key", KEY),
            _ => job,
        };
        let ran = job.run(&platform, "push_indicators");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let end = platform.end();
        let error = end["error"].as_str().unwrap();
        assert!(error.contains(said), "{what}: {error}");
        let logs = end["logs"].as_str().unwrap();
        assert_eq!(logs.contains(": critical: "), critical, "{what}: {logs}");
    }
    assert_eq!(moto.objects(), stored, "nothing was written without rights");
}
