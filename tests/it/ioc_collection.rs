//! Collections at Sekoia: read onto a device through every way in, and written by the actions of the
//! connector.

use std::path::Path;
use std::sync::Arc;

use ::sekoia::fake::{ALERT, COLLECTION, EMPTY_COLLECTION, Row, Sekoia, start_with};
use chrono::{TimeDelta, Utc};
use sdk::Clock;
use sdk::fake::{FakeOptions, Fault};
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::sekoia::job::Job;
use crate::sekoia::platform::{Platform, TOKEN};
use crate::support::{
    Fake, Ran, act, configure_falcon, cordon, finish, run, run_with_input, write,
};

/// Both clocks stand a day ahead, so that the later runs may be a little ahead of the device.
const NOW: &str = "+86400s";
const LATER: &str = "+86640s";

/// A fake Sekoia in this process, so that a test can reach into it.
struct Source {
    fake: sdk::fake::Fake,
    sekoia: Arc<Sekoia>,
    _runtime: Runtime,
}

impl Source {
    fn start(settings: &[(&str, Json)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut options = FakeOptions::plain(Clock::system());
        for (name, value) in settings {
            options = options.set(name, value.clone());
        }
        let (fake, sekoia) = runtime.block_on(start_with(options)).unwrap();
        Self {
            fake,
            sekoia,
            _runtime: runtime,
        }
    }

    fn text(&self, name: &str) -> &str {
        self.fake.configuration[name].as_str().unwrap()
    }

    /// An indicator that began yesterday.
    fn add(&self, value: &str, end: Option<TimeDelta>) {
        let mut row = Row::new(value, Utc::now() - TimeDelta::days(1));
        row.valid_until = end.map(|end| Utc::now() + end);
        self.sekoia.insert(EMPTY_COLLECTION, row);
    }
}

/// A FortiGate whose address groups follow a collection.
struct Edge {
    directory: tempfile::TempDir,
    _fake: Fake,
    configuration: Json,
}

impl Edge {
    fn start(source: &Source) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &["fortinet", "--http", "--clock", NOW]);
        let mut configuration = fake.configuration.clone();
        configuration["mechanism"] = json!("address-group");
        configuration["sekoia_base_url"] = json!(source.text("base_url"));
        configuration["sekoia_api_key"] = json!(source.text("api_key"));
        Self {
            directory,
            _fake: fake,
            configuration,
        }
    }

    fn run(&self, clock: &str, action: &str, arguments: &Json) -> Ran {
        let input = json!({ "arguments": arguments, "configuration": self.configuration });
        let ran = run_with_input(
            self.directory.path(),
            &["run", "fortinet", action, "--clock", clock],
            &input.to_string(),
        );
        let key = self.configuration["sekoia_api_key"].as_str().unwrap();
        assert!(!format!("{ran:?}").contains(key), "{ran:?}");
        ran
    }

    fn sync(&self, clock: &str) -> (Option<i32>, Json) {
        let ran = self.run(
            clock,
            "sync_collection",
            &json!({ "ioc_collection_id": EMPTY_COLLECTION }),
        );
        (ran.code, ran.json())
    }

    fn blocked(&self) -> Vec<String> {
        let view = self.run(NOW, "list_blocked", &json!({})).json();
        let entries = view["entries"].as_array().unwrap();
        let mut values: Vec<String> = entries
            .iter()
            .map(|entry| entry["value"].as_str().unwrap().to_owned())
            .collect();
        values.sort();
        values
    }
}

#[test]
fn a_collection_is_on_the_device_until_it_ends_is_revoked_or_withdrawn() {
    let source = Source::start(&[("page_cap", json!(2))]);
    source.add("8.8.5.1", Some(TimeDelta::seconds(86_400 + 100)));
    source.add("8.8.5.2", None);
    source.add("8.8.5.3", Some(TimeDelta::days(9)));
    source.add("8.8.5.4", Some(TimeDelta::days(9)));
    source.add("10.9.8.7", Some(TimeDelta::days(9)));
    let edge = Edge::start(&source);
    let (code, first) = edge.sync(NOW);
    assert_eq!((code, &first["added"]), (Some(0), &json!(4)), "{first}");
    assert_eq!(first["skipped"]["protected"], 1, "{first}");
    assert_eq!(first["owner"], "c-7b3f0d52", "{first}");
    assert_eq!(first["sources"][0]["name"], EMPTY_COLLECTION, "{first}");
    let (code, second) = edge.sync(NOW);
    assert_eq!(
        (code, &second["requests"]["write"]),
        (Some(0), &json!(0)),
        "{second}"
    );
    let all = ["8.8.5.1", "8.8.5.2", "8.8.5.3", "8.8.5.4"];
    assert_eq!(edge.blocked(), all);

    // A page that breaks off, a key that ended, a collection that is gone: nothing is withdrawn.
    let faults = &source.fake.server.faults;
    let broken = [
        Fault::answer(200, r#"{"items":[{"type":"indicator","id":"#),
        Fault::answer(200, "<html>maintenance</html>"),
        Fault::answer(401, "{}"),
        Fault::answer(403, "{}"),
        Fault::answer(404, r#"{"code":"INTHREAT2500","message":"unknown"}"#),
    ];
    for fault in broken {
        source.fake.server.fault(fault.on("GET", "cursor="));
        let (code, failed) = edge.sync(NOW);
        assert_ne!(code, Some(0), "{failed}");
        assert_eq!(failed["sources"][0]["status"], "failed", "{failed}");
        assert_eq!(failed["removed"]["withdrawn"], 0, "{failed}");
        assert_eq!(faults.waiting(), 0);
        assert_eq!(edge.blocked(), all);
    }

    assert_eq!(source.sekoia.revoke_named(EMPTY_COLLECTION, "8.8.5.3"), 1);
    let (code, revoked) = edge.sync(NOW);
    assert_eq!(
        (code, &revoked["removed"]["revoked"]),
        (Some(0), &json!(1)),
        "{revoked}"
    );
    let (code, expired) = edge.sync(LATER);
    assert_eq!(
        (code, &expired["removed"]["expired"]),
        (Some(0), &json!(1)),
        "{expired}"
    );
    assert_eq!(edge.blocked(), ["8.8.5.2", "8.8.5.4"]);

    source.sekoia.delete(EMPTY_COLLECTION);
    let (code, gone) = edge.sync(LATER);
    assert_ne!(code, Some(0), "{gone}");
    assert!(
        gone["sources"][0]["error"]
            .as_str()
            .unwrap()
            .contains("no such collection"),
        "{gone}"
    );
    assert_eq!(edge.blocked(), ["8.8.5.2", "8.8.5.4"]);
}

#[test]
fn the_same_collection_as_text() {
    let source = Source::start(&[]);
    source.add("8.8.5.1", Some(TimeDelta::days(9)));
    source.add("8.8.5.2", Some(TimeDelta::days(-1)));
    let edge = Edge::start(&source);
    let arguments = json!({ "ioc_collection_id": EMPTY_COLLECTION, "source_format": "list" });
    let ran = edge.run(NOW, "sync_collection", &arguments);
    assert_eq!(ran.json()["added"], 1, "{ran:?}");
    assert!(
        ran.json()["warnings"].to_string().contains("no dates"),
        "{ran:?}"
    );
}

#[test]
fn what_is_wrong_with_the_arguments_is_told_before_anything_is_read() {
    let source = Source::start(&[]);
    let mut edge = Edge::start(&source);
    for (arguments, wanted) in [
        (
            json!({ "ioc_collection_id": "c2" }),
            "is not the id of a collection",
        ),
        (
            json!({ "ioc_collection_id": COLLECTION, "source_url": "http://127.0.0.1/x" }),
            "not both",
        ),
        (
            json!({ "ioc_collection_id": COLLECTION, "source_format": "warninglist" }),
            "no warninglist",
        ),
        (json!({}), "exactly one collection"),
    ] {
        let ran = edge.run(NOW, "sync_collection", &arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stdout.contains(wanted), "{ran:?}");
    }
    edge.configuration
        .as_object_mut()
        .unwrap()
        .remove("sekoia_api_key");
    let arguments = json!({ "ioc_collection_id": COLLECTION });
    let input = json!({ "arguments": arguments, "configuration": edge.configuration });
    let arguments = ["run", "fortinet", "sync_collection"];
    let ran = run_with_input(edge.directory.path(), &arguments, &input.to_string());
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("sekoia_api_key"), "{ran:?}");
    assert!(source.fake.server.log.all().is_empty());
}

#[test]
fn a_moved_clock_reaches_no_collection_elsewhere() {
    let source = Source::start(&[]);
    let mut edge = Edge::start(&source);
    edge.configuration["sekoia_base_url"] = json!("https://app.sekoia.io");
    let ran = edge.run(
        NOW,
        "sync_collection",
        &json!({ "ioc_collection_id": COLLECTION }),
    );
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("loopback"), "{ran:?}");
}

/// A configuration whose collection is at this fake.
fn configure(directory: &Path, falcon: &Json, source: &Source, more: &str) {
    let collection = format!(
        "sekoia = \"{EMPTY_COLLECTION}\"\nbase_url = \"{}/api/\"\napi_key = {{ env = \"SEKOIA_API_KEY\" }}\n{more}",
        source.text("base_url")
    );
    configure_falcon(directory, falcon, &collection, "");
}

#[test]
fn a_collection_of_the_configuration_is_synchronised() {
    let directory = tempfile::tempdir().unwrap();
    let source = Source::start(&[]);
    source.add("8.8.5.1", None);
    source.add("bad.example.net", Some(TimeDelta::days(9)));
    let falcon = Fake::start(directory.path(), &["crowdstrike", "--http"]);
    for (more, wanted) in [("", 2), ("format = \"text\"", 0)] {
        configure(directory.path(), &falcon.configuration, &source, more);
        let key = source.text("api_key");
        let ran = finish(
            cordon(directory.path())
                .args(["sync", "--output", "json"])
                .env("SEKOIA_API_KEY", key),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let report = ran.json()["reports"][0].clone();
        assert_eq!(report["added"], wanted, "{report}");
        assert!(!format!("{ran:?}").contains(key));
    }
}

#[test]
fn mistakes_of_a_collection_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let errors = |collection: &str| {
        write(
            directory.path(),
            "cordon.toml",
            &format!("[collections.c2]\n{collection}\n[targets.s]\nconnector = \"sekoia\"\n"),
        );
        let ran = run(directory.path(), &["plan"]);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        ran.stderr
    };
    for (collection, wanted) in [
        (
            "sekoia = \"c2\"\napi_key = { file = \"cordon.toml\" }",
            "c2.sekoia: \"c2\" is not the id of a collection",
        ),
        (
            &format!("sekoia = \"{COLLECTION}\""),
            "c2: `api_key` is missing",
        ),
        (
            &format!("sekoia = \"{COLLECTION}\"\napi_key = \"hunter2\""),
            "c2.api_key",
        ),
        (
            &format!("sekoia = \"{COLLECTION}\"\napi_key = {{ env = \"NOT_SET\" }}"),
            "NOT_SET is not set",
        ),
        (
            &format!(
                "sekoia = \"{COLLECTION}\"\nbase_url = \"http://example.com\"\napi_key = {{ file = \"cordon.toml\" }}"
            ),
            "c2.base_url: is not an https URL",
        ),
        (
            &format!(
                "sekoia = \"{COLLECTION}\"\nlist = \"x\"\napi_key = {{ file = \"cordon.toml\" }}"
            ),
            "exactly one of",
        ),
        (
            "list = \"x\"\nformat = \"text\"",
            "c2.format: is for collections with `sekoia` only",
        ),
        ("list = \"x\"", "targets.s.connector: sekoia blocks nothing"),
    ] {
        let told = errors(collection);
        assert!(told.contains(wanted), "{wanted}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn the_connector_is_shown_and_its_fake_and_actions_run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let shown = run(path, &["connectors"]);
    assert!(shown.stdout.contains("no mechanism"), "{shown:?}");
    assert!(
        shown.stdout.contains("add_ioc_to_ioc_collection"),
        "{shown:?}"
    );
    let fake = Fake::start(path, &["sekoia", "--http"]);
    let add = json!({ "ioc_collection_id": COLLECTION, "indicators": ["8.8.5.1", "10.0.0.1"] });
    let ran = act(
        path,
        "sekoia",
        "add_ioc_to_ioc_collection",
        &add,
        &fake.configuration,
    );
    assert_eq!(
        (ran.code, &ran.json()["added"]),
        (Some(0), &json!(1)),
        "{ran:?}"
    );
    let revoke = json!({ "ioc_collection_id": COLLECTION, "indicators": ["8.8.5.1"] });
    let ran = act(path, "sekoia", "revoke_ioc", &revoke, &fake.configuration);
    assert_eq!(
        (ran.code, &ran.json()["removed"]["revoked"]),
        (Some(0), &json!(1)),
        "{ran:?}"
    );
    let ran = act(path, "sekoia", "check", &json!({}), &fake.configuration);
    assert_eq!(
        (ran.code, &ran.json()["status"]),
        (Some(0), &json!("ok")),
        "{ran:?}"
    );
    let ran = act(
        path,
        "sekoia",
        "sync_collection",
        &json!({}),
        &fake.configuration,
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

/// An action of the connector as the platform runs it.
fn played(source: &Source, action: &str, arguments: &Json) -> (Ran, Json) {
    let key = source.text("api_key");
    let platform = Platform::start(json!({ "api_key": key }));
    if action == "validate_module_configuration" {
        platform.expect_validation();
    }
    let job = Job::empty()
        .secret(key)
        .file("token", TOKEN)
        .file("url_callback", &platform.url())
        .file(
            "module_configuration",
            &json!({ "base_url": source.text("base_url") }).to_string(),
        )
        .file("arguments", &arguments.to_string());
    let ran = finish(&mut job.command("sekoia", &[action]));
    job.check(&platform, &ran);
    (ran, platform.end())
}

#[test]
fn the_destinations_of_an_alert_through_the_platform() {
    let source = Source::start(&[]);
    // A template makes texts of numbers.
    let arguments = json!({
        "alert_id": ALERT, "ioc_collection_id": EMPTY_COLLECTION, "valid_for": "7", "exclude": "[\"1.2.3.21\"]",
    });
    let (ran, end) = played(&source, "add_destination_ips_to_ioc_collection", &arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(end.get("error"), None, "{end}");
    assert_eq!(end["results"]["added"], 2, "{end}");
    assert_eq!(end["results"]["skipped"]["protected"], 3, "{end}");
    let rows = source.sekoia.rows(EMPTY_COLLECTION);
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["1.2.3.20", "2606:4700::1111"]);
}

#[test]
fn a_write_that_fails_is_an_error_to_the_platform_and_a_partial_one_a_branch() {
    let rights = json!(["view-collections", "view-alerts", "view-intakes"]);
    let source = Source::start(&[("rights", rights)]);
    let arguments = json!({ "alert_id": ALERT, "ioc_collection_id": EMPTY_COLLECTION });
    let (ran, end) = played(&source, "add_destination_ips_to_ioc_collection", &arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        end["error"]
            .as_str()
            .unwrap()
            .contains("Manage IOC collections"),
        "{end}"
    );
    assert_eq!(end["results"]["status"], "failed", "{end}");

    let source = Source::start(&[]);
    let arguments = json!({
        "indicators": ["8.8.5.1", "nonsense"], "indicator_type": "IP address", "ioc_collection_id": EMPTY_COLLECTION,
    });
    let (_, end) = played(&source, "add_ioc_to_ioc_collection", &arguments);
    assert_eq!(end["outputs"], json!({ "partial": true }), "{end}");
    assert_eq!(end.get("error"), None, "{end}");
    let mut strict = arguments.clone();
    strict["fail_on"] = json!("failed, partial");
    let (_, end) = played(&source, "add_ioc_to_ioc_collection", &strict);
    assert!(end["error"].as_str().unwrap().contains("1 failed"), "{end}");
    // Editors keep empty fields, and the platform's own action takes one text for a list.
    for (given, failed) in [
        (
            json!({ "indicators": "host-1.cordon-contract.com", "indicator": "", "indicators_path": "" }),
            0,
        ),
        (
            json!({ "indicator": "host-2.cordon-contract.com", "indicators_path": "" }),
            0,
        ),
        (
            json!({ "indicators": [["host-3.cordon-contract.com"], 7] }),
            1,
        ),
    ] {
        let mut arguments = given.clone();
        arguments["ioc_collection_id"] = json!(EMPTY_COLLECTION);
        arguments["indicator_type"] = json!("domain");
        let (_, end) = played(&source, "add_ioc_to_ioc_collection", &arguments);
        let report = &end["results"];
        assert_eq!(
            (&report["added"], &report["failed"]),
            (&json!(1), &json!(failed)),
            "{given}: {end}"
        );
    }

    let (_, end) = played(
        &source,
        "revoke_ioc",
        &json!({ "ioc_collection_id": EMPTY_COLLECTION }),
    );
    assert!(
        end["error"].as_str().unwrap().contains("give indicators"),
        "{end}"
    );
}

#[test]
fn the_platform_can_validate_a_key() {
    let source = Source::start(&[]);
    let (_, end) = played(&source, "validate_module_configuration", &json!({}));
    assert_eq!(end["results"]["success"], true, "{end}");
    source.fake.state.expire_sessions();
    let (_, end) = played(&source, "validate_module_configuration", &json!({}));
    assert_eq!(end["results"]["success"], false, "{end}");
    assert!(end["error"].as_str().unwrap().contains("refused"), "{end}");
}
