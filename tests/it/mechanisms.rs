//! Every mechanism of every connector through the binary: an indicator's whole life as actions see it, and no secret
//! in anything that is told of it.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use serde_json::{Value as Json, json};

use crate::support::{Fake, Ran, cordon, finish, indicator, run, write};

/// Both clocks stand a day ahead, so that the later runs may be a little ahead of the vendor.
const NOW: &str = "+86400s";
const LATER: &str = "+86640s";

struct Subject {
    directory: tempfile::TempDir,
    connector: String,
    configuration: Json,
    secrets: Vec<String>,
    _fake: Fake,
}

/// The texts under names that secrets have.
fn secrets(configuration: &Json, is_secret: bool) -> Vec<String> {
    match configuration {
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| {
                let named = ["key", "password", "secret", "token"]
                    .iter()
                    .any(|word| name.ends_with(word));
                secrets(value, named)
            })
            .collect(),
        Json::Array(items) => items.iter().flat_map(|it| secrets(it, is_secret)).collect(),
        Json::String(text) if is_secret => vec![text.clone()],
        _ => Vec::new(),
    }
}

impl Subject {
    fn start(connector: &str, mechanism: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &[connector, "--http", "--clock", NOW]);
        let mut configuration = fake.configuration.clone();
        configuration["mechanism"] = json!(mechanism);
        Self {
            directory,
            connector: connector.to_owned(),
            secrets: secrets(&configuration, false),
            configuration,
            _fake: fake,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn act(&self, clock: &str, command: &str, arguments: &Json) -> Ran {
        let input = json!({ "arguments": arguments, "configuration": self.configuration });
        write(self.path(), "input.json", &input.to_string());
        let arguments = ["run", &self.connector, command, "--input", "input.json"];
        let more = ["--store", "sqlite:cordon.db", "--clock", clock, "-vv"];
        // At its most talkative.
        let mut talking = cordon(self.path());
        talking.env("CORDON_LOG", "trace");
        let ran = finish(talking.args(arguments).args(more));
        assert!(ran.stderr.contains("TRACE"), "{}", self.connector);
        let sessions = ["JSESSIONID=", "Bearer "].map(str::to_owned);
        for secret in self.secrets.iter().chain(&sessions) {
            for text in [&ran.stdout, &ran.stderr] {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert_eq!(line, None, "{} shows {secret}", self.connector);
            }
        }
        ran
    }

    fn done(&self, clock: &str, command: &str, arguments: &Json) -> Json {
        let ran = self.act(clock, command, arguments);
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        ran.json()
    }

    fn sync(&self, clock: &str, objects: &[Json]) -> Json {
        let arguments = json!({ "stix_objects": objects, "complete": true, "deployment": "acme" });
        self.done(clock, "sync_collection", &arguments)
    }

    /// What acts there for us, sorted.
    fn there(&self, clock: &str) -> Vec<String> {
        let listed = self.done(clock, "list_blocked", &json!({}));
        let mut values: Vec<String> = listed["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["blocks"] == true)
            .map(|entry| entry["value"].as_str().unwrap().to_owned())
            .collect();
        values.sort();
        values
    }
}

/// A pattern of a kind and the value in it; three of each kind.
fn pattern(kind: &str, number: usize) -> (String, String) {
    let digits = |length: usize| format!("{:0length$x}", 0xc0ff_ee00 + number);
    let (path, value) = match kind {
        "ipv4" => ("ipv4-addr:value", format!("45.83.1.{number}")),
        "ipv6" => ("ipv6-addr:value", format!("2606:4700::{number:x}")),
        "domain" => ("domain-name:value", format!("bad-{number}.example.net")),
        "url" => ("url:value", format!("http://bad-{number}.example.net/x")),
        "md5" => ("file:hashes.MD5", digits(32)),
        "sha1" => ("file:hashes.'SHA-1'", digits(40)),
        _ => ("file:hashes.'SHA-256'", digits(64)),
    };
    (format!("[{path} = '{value}']"), value)
}

#[test]
fn every_indicator_is_put_up_kept_and_taken_down_again_by_every_mechanism() {
    let directory = tempfile::tempdir().unwrap();
    let connectors = run(directory.path(), &["connectors", "--output", "json"]).json();
    let mut mechanisms = 0;
    for connector in connectors.as_array().unwrap() {
        for mechanism in connector["mechanisms"].as_array().unwrap() {
            let name = connector["name"].as_str().unwrap();
            life(name, mechanism);
            mechanisms += 1;
        }
    }
    assert!(mechanisms >= 3, "{mechanisms}");
}

fn life(connector: &str, mechanism: &Json) {
    let name = mechanism["name"].as_str().unwrap();
    let what = format!("{connector} {name}");
    let subject = Subject::start(connector, name);
    assert!(!subject.secrets.is_empty(), "{what}");
    let checked = subject.done(NOW, "check", &json!({}));
    assert_ne!(checked["status"], "missing", "{what}: {checked}");

    // Three of the first kind: one ends soon, one is withdrawn later, one stays; and one of every other.
    let kinds: Vec<&str> = mechanism["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["kind"].as_str().unwrap())
        .collect();
    let soon = (Utc::now() + TimeDelta::seconds(86_400 + 100)).to_rfc3339();
    let mut objects = Vec::new();
    let mut stays = Vec::new();
    let (ending, ends) = pattern(kinds[0], 1);
    objects.push(indicator(&ending, &json!({ "valid_until": soon })));
    let (leaving, withdrawn) = pattern(kinds[0], 2);
    for (number, kind) in kinds.iter().enumerate() {
        let (staying, value) = pattern(kind, 3 + number);
        objects.push(indicator(&staying, &json!({})));
        stays.push(value);
    }
    objects.push(indicator(&leaving, &json!({})));
    stays.sort();

    let first = subject.sync(NOW, &objects);
    assert_eq!(first["added"], objects.len(), "{what}: {first}");
    let mut all = stays.clone();
    all.extend([ends.clone(), withdrawn.clone()]);
    all.sort();
    assert_eq!(subject.there(NOW), all, "{what}");
    let second = subject.sync(NOW, &objects);
    assert_eq!(second["unchanged"], objects.len(), "{what}: {second}");
    assert_eq!(second["requests"]["write"], 0, "{what}: {second}");

    // What ended and what was withdrawn.
    objects.pop();
    subject.sync(LATER, &objects);
    assert_eq!(subject.there(LATER), stays, "{what}");
    let quiet = subject.sync(LATER, &objects);
    assert_eq!(quiet["requests"]["write"], 0, "{what}: {quiet}");

    // An analyst's block beside it, and its end.
    let (_, value) = pattern(kinds[0], 9);
    let block =
        json!({ "values": [value], "reason": "seen in an alert", "accept_detection": true });
    let blocked = subject.done(LATER, "block", &block);
    assert_eq!(blocked["added"], 1, "{what}: {blocked}");
    assert!(subject.there(LATER).contains(&value), "{what}");
    let unblock = json!({ "values": [value, stays[0]] });
    subject.done(LATER, "unblock", &unblock);
    assert_eq!(subject.there(LATER), stays, "{what}: another owner's stays");

    // Nothing is wanted any more.
    let retired = subject.sync(LATER, &[]);
    assert_eq!(
        retired["removed"]["withdrawn"],
        stays.len(),
        "{what}: {retired}"
    );
    assert_eq!(subject.there(LATER), Vec::<String>::new(), "{what}");
}
