//! `cordon run` as playbook engines call it. What the engines do around it is done here as their sources do it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use serde_json::{Value as Json, json};

use crate::support::web::read;
use crate::support::{Fake, Ran, act, cordon, finish, indicator, run_with_input};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

struct Falcon {
    directory: tempfile::TempDir,
    fake: Fake,
}

impl Falcon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
        Self { directory, fake }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn secret(&self) -> &str {
        self.fake.configuration["client_secret"].as_str().unwrap()
    }

    fn field(&self, name: &str) -> &str {
        self.fake.configuration[name].as_str().unwrap()
    }

    /// What is blocked there.
    fn held(&self) -> Vec<String> {
        let listed = act(
            self.path(),
            "crowdstrike",
            "list_blocked",
            &json!({}),
            &self.fake.configuration,
        );
        let entries = listed.json()["entries"].as_array().unwrap().clone();
        let text = |entry: &Json| entry["value"].as_str().unwrap().to_owned();
        entries.iter().map(text).collect()
    }

    /// With the credentials in variables, as engines keep secrets.
    fn run(&self, arguments: &[&str]) -> Ran {
        let ran = finish(
            cordon(self.path())
                .env("CORDON_BASE_URL", self.field("base_url"))
                .env("CORDON_CLIENT_ID", self.field("client_id"))
                .env("CORDON_CLIENT_SECRET", self.secret())
                .args(arguments),
        );
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(self.secret()), "{ran:?}");
        }
        ran
    }
}

// --- Cortex ---------------------------------------------------------------------------------------------

/// A job folder as `JobRunnerSrv.prepareJobFolder` makes it.
struct CortexJob<'a> {
    falcon: &'a Falcon,
    folder: PathBuf,
    input: Json,
}

impl<'a> CortexJob<'a> {
    fn new(falcon: &'a Falcon, service: &str) -> Self {
        let folder = falcon.path().join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir_all(folder.join("input")).unwrap();
        std::fs::create_dir_all(folder.join("output")).unwrap();
        let mut config = falcon.fake.configuration.clone();
        for (name, value) in [
            ("connector", json!("crowdstrike")),
            ("service", json!(service)),
            ("check_tlp", json!(true)),
            ("max_tlp", json!(2)),
            ("check_pap", json!(true)),
            ("max_pap", json!(2)),
            ("jobTimeout", json!(30)),
            ("auto_extract_artifacts", json!(false)),
            ("valid_for", json!("3")),
            ("deployment", json!("")),
        ] {
            config[name] = value;
        }
        let input = json!({
            "data": { "data": SHA256, "dataType": "hash", "_type": "case_artifact", "ioc": true },
            "dataType": "thehive:case_artifact",
            "tlp": 2,
            "pap": 2,
            "message": "case 7",
            "parameters": { "user": "alice@example.org" },
            "config": config,
        });
        Self {
            falcon,
            folder,
            input,
        }
    }

    fn with(mut self, pointer: &str, value: Json) -> Self {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        self.input.pointer_mut(parent).unwrap()[name] = value;
        self
    }

    /// Runs it and reads the report as `JobRunnerSrv.extractReport` does.
    fn run(&self, options: &[&str]) -> (Ran, Json) {
        self.run_with(options, &[])
    }

    fn run_with(&self, options: &[&str], variables: &[(&str, &str)]) -> (Ran, Json) {
        let input = self.folder.join("input/input.json");
        std::fs::write(input, self.input.to_string()).unwrap();
        self.run_as_it_is(options, variables)
    }

    fn run_as_it_is(&self, options: &[&str], variables: &[(&str, &str)]) -> (Ran, Json) {
        let ran = finish(
            cordon(self.falcon.path())
                .envs(variables.iter().copied())
                .args(["run", "--job"])
                .arg(&self.folder)
                .args(options),
        );
        let text = std::fs::read_to_string(self.folder.join("output/output.json")).unwrap();
        let report: Json = serde_json::from_str(&text).unwrap();
        for text in [&text, &ran.stdout, &ran.stderr] {
            assert!(!text.contains(self.falcon.secret()), "{text}");
        }
        assert_eq!(ran.stdout, "", "stdout is the container's log");
        if report["success"] == true {
            assert!(report["full"].is_object(), "{report}");
            assert!(report["full"]["message"].is_string(), "{report}");
            for operation in report["operations"].as_array().unwrap() {
                assert!(operation["type"].is_string(), "{report}");
            }
            assert_eq!(ran.code, Some(0), "{ran:?}");
        } else {
            assert_eq!(report["success"], false, "{report}");
            assert!(report["errorMessage"].is_string(), "{report}");
            assert_eq!(report.get("input"), None, "it holds secrets: {report}");
            assert_ne!(ran.code, Some(0), "{ran:?}");
        }
        (ran, report)
    }

    fn error(&self) -> String {
        let (_, report) = self.run(&[]);
        assert_eq!(report["success"], false, "{report}");
        report["errorMessage"].as_str().unwrap().to_owned()
    }
}

#[test]
fn cortex_blocks_and_unblocks_an_observable() {
    let falcon = Falcon::start();
    let (_, report) = CortexJob::new(&falcon, "block").run(&[]);
    assert_eq!(report["full"]["added"], 1, "{report}");
    assert_eq!(
        report["operations"],
        json!([{ "type": "AddTagToArtifact", "tag": "cordon:crowdstrike:blocked" }])
    );
    let listed = act(
        falcon.path(),
        "crowdstrike",
        "list_blocked",
        &json!({}),
        &falcon.fake.configuration,
    );
    let entry = &listed.json()["entries"][0];
    assert_eq!(entry["value"], SHA256);
    assert_eq!(entry["reason"], "case 7", "the job's message");
    assert_eq!(entry["owner"], "manual");
    assert!(
        entry["until"].is_string(),
        "valid_for of the config: {entry}"
    );

    let (_, report) = CortexJob::new(&falcon, "unblock").run(&["--dialect", "cortex"]);
    assert_eq!(report["full"]["removed"]["withdrawn"], 1, "{report}");
    assert_eq!(
        report["operations"][0]["tag"],
        "cordon:crowdstrike:unblocked"
    );
    assert_eq!(falcon.held(), Vec::<String>::new());
}

/// As its runners of processes and pods start it.
#[test]
fn cortex_names_the_jobs_folder_alone() {
    let falcon = Falcon::start();
    let job = CortexJob::new(&falcon, "block");
    let start = |words: &[&Path]| finish(cordon(falcon.path()).args(words));
    let folder = job.folder.as_path();
    let ran = start(&[folder]);
    assert_eq!(ran.code, Some(2), "it is no job yet: {ran:?}");
    std::fs::write(folder.join("input/input.json"), job.input.to_string()).unwrap();
    let relative = Path::new(folder.file_name().unwrap());
    for words in [&[relative][..], &[folder, folder]] {
        let ran = start(words);
        assert_eq!(ran.code, Some(2), "{words:?}: {ran:?}");
    }
    assert_eq!(falcon.held(), Vec::<String>::new());

    let ran = start(&[folder]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let text = std::fs::read_to_string(folder.join("output/output.json")).unwrap();
    let report: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(report["full"]["added"], 1, "{report}");
    assert_eq!(falcon.held(), [SHA256]);
}

/// A proxy that opens one way, at the end of which nobody speaks TLS: who asks is told so at once. What it was
/// asked comes from the other end.
fn proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        tell.send(read(&stream).head).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
    });
    (format!("http://svc:{PASSWORD}@{address}"), told)
}

const PASSWORD: &str = "PasswordOfTheProxy";

#[test]
fn cortex_goes_through_the_jobs_proxy_or_the_environments() {
    let falcon = Falcon::start();
    for named_by_the_job in [true, false] {
        let (address, asked) = proxy();
        let mut job = CortexJob::new(&falcon, "block")
            .with("/config/base_url", json!("https://vendor.example.com"));
        // Nothing listens there.
        let mut variable = "http://127.0.0.1:9";
        if named_by_the_job {
            job = job.with("/config/proxy", json!({ "https": address }));
        } else {
            variable = &address;
        }
        let (ran, report) = job.run_with(&[], &[("https_proxy", variable)]);
        let asked = asked.try_recv().unwrap();
        assert!(
            asked.starts_with("CONNECT vendor.example.com:443 "),
            "{asked}"
        );
        let asked = asked.to_lowercase();
        assert!(asked.contains("proxy-authorization: basic "), "{asked}");
        let error = report["errorMessage"].as_str().unwrap();
        assert!(error.contains("does not speak TLS"), "{error}");
        assert!(!format!("{ran:?}{report}").contains(PASSWORD), "{ran:?}");
    }
}

#[test]
fn cortex_looks_and_tries_without_a_tag() {
    let falcon = Falcon::start();
    let (_, report) = CortexJob::new(&falcon, "block")
        .with("/parameters/dry_run", json!("true"))
        .run(&[]);
    assert_eq!(report["full"]["dry_run"], true, "{report}");
    assert_eq!(report["operations"], json!([]));
    assert_eq!(falcon.held(), Vec::<String>::new());
    for service in ["list_blocked", "check"] {
        let (_, report) = CortexJob::new(&falcon, service).run(&[]);
        assert_eq!(report["success"], true, "{report}");
    }
    // An analyzer gets the value as a text.
    let (_, report) = CortexJob::new(&falcon, "block")
        .with("/data", json!(SHA256))
        .with("/dataType", json!("hash"))
        .run(&[]);
    assert_eq!(report["full"]["added"], 1, "{report}");
    assert_eq!(report["operations"], json!([]), "there is no case");
}

#[test]
fn cortex_data_that_is_marked_too_high_goes_nowhere() {
    let falcon = Falcon::start();
    for (field, check) in [("tlp", "check_tlp"), ("pap", "check_pap")] {
        let job = CortexJob::new(&falcon, "block").with(&format!("/{field}"), json!(3));
        let error = job.error();
        assert!(error.contains(&field.to_uppercase()), "{error}");
        assert!(error.contains(&format!("max_{field}")), "{error}");
        assert_eq!(falcon.held(), Vec::<String>::new());
        let job = job.with(&format!("/config/{check}"), json!(false));
        let (_, report) = job.with("/parameters/dry_run", json!(true)).run(&[]);
        assert_eq!(report["success"], true, "{report}");
    }
}

#[test]
fn cortex_is_told_what_is_wrong_and_never_a_secret() {
    let falcon = Falcon::start();
    let job = || CortexJob::new(&falcon, "block");
    for (job, said) in [
        (
            job().with("/config/service", json!("blokc")),
            "did you mean `block`?",
        ),
        (
            job().with("/config/connector", json!("crowdstrik")),
            "did you mean `crowdstrike`?",
        ),
        (
            job().with("/config/service", json!(null)),
            "config.service is missing",
        ),
        (job().with("/config/client_id", json!(null)), "client_id"),
        (
            job().with(
                "/config/client_secret",
                json!("WrongSecretWrongSecretWrongSecret0000000"),
            ),
            "hint: ",
        ),
        (
            job()
                .with("/data", json!({ "_id": "~1" }))
                .with("/dataType", json!("thehive:alert")),
            "thehive:alert",
        ),
        (
            job().with("/parameters/valid_for", json!("soon")),
            "valid_for",
        ),
        (job().with("/data", json!("10.0.0.300")), "10.0.0.300"),
    ] {
        let error = job.error();
        assert!(error.contains(said), "{error}");
        assert!(!error.contains("WrongSecret"), "{error}");
    }
    for broken in [
        "",
        "[]",
        "{\"config\": {\"client_secret\": \"hunter2hunter2\"}",
        "\0",
    ] {
        let job = job();
        std::fs::write(job.folder.join("input/input.json"), broken).unwrap();
        let (_, report) = job.run_as_it_is(&[], &[]);
        let error = report["errorMessage"].as_str().unwrap();
        assert!(error.contains("the job's input"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(falcon.held(), Vec::<String>::new());
}

#[test]
fn who_starts_a_cortex_responder_names_no_files_and_no_addresses() {
    let falcon = Falcon::start();
    let objects = crate::support::write(
        falcon.path(),
        "objects.json",
        &json!([indicator(
            &format!("[file:hashes.'SHA-256' = '{SHA256}']"),
            &json!({})
        )])
        .to_string(),
    );
    let job = CortexJob::new(&falcon, "push_indicators").with(
        "/parameters/stix_objects_path",
        json!(objects.to_str().unwrap()),
    );
    let error = job.error();
    assert!(error.contains("exactly one of stix_objects"), "{error}");
    let job = CortexJob::new(&falcon, "push_indicators").with(
        "/config/stix_objects_path",
        json!(objects.to_str().unwrap()),
    );
    let error = job.error();
    assert!(error.contains("names no files"), "{error}");
    let job = CortexJob::new(&falcon, "sync_collection").with(
        "/parameters/source_url",
        json!("http://127.0.0.1:1/list.txt"),
    );
    let error = job.error();
    assert!(error.contains("exactly one collection"), "{error}");
    assert_eq!(falcon.held(), Vec::<String>::new());
}

// --- Kestra ---------------------------------------------------------------------------------------------

/// What Kestra's `TaskLogLineMatcher` finds: every line of stdout is a log line, or `::{…}::`.
fn kestra(ran: &Ran) -> Json {
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 1, "{ran:?}");
    let inner = lines[0]
        .strip_prefix("::")
        .and_then(|line| line.strip_suffix("::"))
        .unwrap_or_else(|| panic!("{ran:?}"));
    let message: Json = serde_json::from_str(inner).unwrap();
    for metric in message["metrics"].as_array().unwrap() {
        assert!(
            ["counter", "timer"].contains(&metric["type"].as_str().unwrap()),
            "{metric}"
        );
        assert!(
            metric["name"].is_string() && metric["value"].is_number(),
            "{metric}"
        );
    }
    for log in message["logs"].as_array().unwrap() {
        let level = log["level"].as_str().unwrap();
        assert!(
            ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level),
            "{log}"
        );
    }
    message
}

#[test]
fn kestra_gets_outputs_metrics_and_logs_in_one_line() {
    let falcon = Falcon::start();
    // Pebble renders texts.
    let input = json!({ "arguments": { "values": format!("[\"{SHA256}\"]"), "valid_for": "3", "reason": "na\u{ef}ve \u{2028}" } });
    crate::support::write(falcon.path(), "input.json", &input.to_string());
    let command = [
        "run",
        "crowdstrike",
        "block",
        "--dialect",
        "kestra",
        "--input",
        "input.json",
    ];
    let ran = falcon.run(&command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let message = kestra(&ran);
    assert_eq!(message["outputs"]["status"], "ok", "{message}");
    assert_eq!(message["outputs"]["added"], 1);
    assert_eq!(message["outputs"]["changes"][0]["value"], SHA256);
    let metric = |name: &str| {
        let all = message["metrics"].as_array().unwrap();
        all.iter().find(|it| it["name"] == name).unwrap().clone()
    };
    assert_eq!(
        metric("added"),
        json!({ "name": "added", "type": "counter", "value": 1 })
    );
    assert_eq!(metric("duration")["type"], "timer");
    assert!(
        message["logs"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("ok: 1 added")
    );

    // The whole result in a file too, for `outputFiles`.
    let ran = falcon.run(&[&command[..], &["--output", "report.json"]].concat());
    let report = std::fs::read_to_string(falcon.path().join("report.json")).unwrap();
    let report: Json = serde_json::from_str(&report).unwrap();
    assert_eq!(report, kestra(&ran)["outputs"]);
    assert_eq!(report["unchanged"], 1, "{report}");
}

#[test]
fn kestra_is_told_why_a_task_failed() {
    let falcon = Falcon::start();
    for (words, code, said) in [
        (
            &["--values=nonsense value"][..],
            2,
            "nothing that can be blocked",
        ),
        (&["--vales=8.8.8.8"], 2, "vales"),
        (&[], 2, "values"),
    ] {
        let command = ["run", "crowdstrike", "block", "--dialect", "kestra", "--"];
        let ran = falcon.run(&[&command[..], words].concat());
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let message = kestra(&ran);
        assert_eq!(message["outputs"]["status"], "failed", "{message}");
        let log = &message["logs"][0];
        assert_eq!(log["level"], "ERROR");
        assert!(log["message"].as_str().unwrap().contains(said), "{log}");
    }
}

#[test]
fn engines_fail_on_what_they_are_asked_to() {
    let falcon = Falcon::start();
    let hashes: Vec<Json> = (1..=40)
        .map(|number| {
            indicator(
                &format!("[file:hashes.'SHA-256' = '{number:064x}']"),
                &json!({}),
            )
        })
        .collect();
    let sync = |dialect: &str, objects: &[Json], fail_on: &str| {
        let arguments = json!({
            "stix_objects": objects, "complete": true, "deployment": "acme", "fail_on": fail_on,
        });
        let input = json!({ "arguments": arguments });
        crate::support::write(falcon.path(), "input.json", &input.to_string());
        falcon.run(&[
            "run",
            "crowdstrike",
            "sync_collection",
            "--dialect",
            dialect,
            "--input",
            "input.json",
        ])
    };
    assert_eq!(sync("kestra", &hashes, "failed").code, Some(0));
    for (dialect, fail_on, code) in [
        ("kestra", "failed", 0),
        ("kestra", "failed,held", 5),
        ("stackstorm", "failed", 0),
        ("stackstorm", "held", 5),
        ("plain", "never", 5),
    ] {
        let ran = sync(dialect, &hashes[..1], fail_on);
        assert_eq!(ran.code, Some(code), "{dialect} {fail_on}: {ran:?}");
        assert!(ran.stdout.contains("\"status\":\"held\""), "{ran:?}");
    }
}

// --- StackStorm -----------------------------------------------------------------------------------------

/// Words as `ShellScriptAction._get_script_arguments` makes them of an action's parameters.
pub(crate) fn stackstorm(parameters: &Json) -> Vec<String> {
    let mut words = Vec::new();
    for (name, value) in parameters.as_object().unwrap() {
        match value {
            Json::Null | Json::Bool(false) => {}
            Json::String(text) if text.is_empty() => {}
            Json::Bool(true) => words.push(format!("--{name}")),
            Json::String(text) => words.push(format!("--{name}={text}")),
            other => words.push(format!("--{name}={}", python(other))),
        }
    }
    words
}

/// What Python's `repr` makes of it.
fn python(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => python_text(text),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", python_text(name), python(value)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// In single quotes, unless there are only such within.
fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut written = String::from(quote);
    for letter in text.chars() {
        match letter {
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' => {
                written.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            _ if letter == quote => written.extend(['\\', letter]),
            _ => written.push(letter),
        }
    }
    written.push(quote);
    written
}

#[test]
fn python_is_written_as_python_writes_it() {
    assert_eq!(
        python(
            &json!([{ "a": "it's", "b": null, "c": true }, "\"'\\\n", "\"", "\u{a0}é", 1.5, []])
        ),
        r#"[{'a': "it's", 'b': None, 'c': True}, '"\'\\\n', '"', '\xa0é', 1.5, []]"#
    );
}

#[test]
fn stackstorm_calls_with_words_and_gets_json() {
    let falcon = Falcon::start();
    let run = |action: &str, parameters: &Json| {
        let words = stackstorm(parameters);
        let mut arguments = vec![
            "run",
            "crowdstrike",
            action,
            "--dialect",
            "stackstorm",
            "--",
        ];
        arguments.extend(words.iter().map(String::as_str));
        falcon.run(&arguments)
    };
    let ran = run(
        "block",
        &json!({
            "values": [SHA256, "8.8.8.8"], "valid_for": 3, "reason": "=-- it's \"case\" 7", "dry_run": false,
            "accept_detection": true, "adopt": null, "deployment": "",
        }),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    assert_eq!(ran.json()["added"], 2, "{ran:?}");
    assert_eq!(falcon.held().len(), 2);
    let listed = run("list_blocked", &json!({})).json();
    assert_eq!(listed["entries"][0]["reason"], "=-- it's \"case\" 7");
    let tried = run("unblock", &json!({ "values": [SHA256], "dry_run": true }));
    assert_eq!(tried.json()["dry_run"], true, "{tried:?}");
    assert_eq!(falcon.held().len(), 2);

    let failed = run("block", &json!({ "values": ["not a value"] }));
    assert_eq!(failed.code, Some(2), "{failed:?}");
    assert_eq!(failed.json()["status"], "failed");
    for (words, said) in [
        (&["8.8.8.8"][..], "--name=value"),
        (&["--values=8.8.8.8", "--values=8.8.4.4"], "given twice"),
        (&["--values=8.8.8.8", "--config=x"], "config"),
        (&["--values=8.8.8.8", "--dry_run=perhaps"], "dry_run"),
    ] {
        let command = [
            "run",
            "crowdstrike",
            "block",
            "--dialect",
            "stackstorm",
            "--",
        ];
        let ran = falcon.run(&[&command[..], words].concat());
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
    assert_eq!(falcon.held().len(), 2);
}

// --- Argo, and anybody ----------------------------------------------------------------------------------

#[test]
fn argo_gives_a_file_and_takes_a_file() {
    let falcon = Falcon::start();
    let input = json!({ "arguments": { "values": [SHA256] } });
    crate::support::write(falcon.path(), "input.json", &input.to_string());
    let ran = falcon.run(&[
        "run",
        "crowdstrike",
        "block",
        "--input",
        "input.json",
        "--output",
        "report.json",
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    let report = std::fs::read_to_string(falcon.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Json>(&report).unwrap()["added"], 1);
}

#[test]
fn words_go_before_what_the_input_says() {
    let falcon = Falcon::start();
    let input = json!({ "arguments": { "values": [SHA256], "dry_run": false } });
    crate::support::write(falcon.path(), "input.json", &input.to_string());
    let command = ["run", "crowdstrike", "block"];
    let ran = falcon.run(&[&command[..], &["--input", "input.json", "--", "--dry_run"]].concat());
    assert_eq!(ran.json()["dry_run"], true, "{ran:?}");
    let ran = falcon.run(&[&command[..], &["--", &format!("--values={SHA256}")]].concat());
    assert_eq!(ran.json()["added"], 1, "stdin is not read: {ran:?}");
}

#[test]
fn without_a_job_folder_a_connector_and_an_action_are_needed() {
    let directory = tempfile::tempdir().unwrap();
    for words in [&["run"][..], &["run", "crowdstrike"]] {
        let ran = run_with_input(directory.path(), words, "{}");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("a connector and an action"), "{ran:?}");
        assert_eq!(ran.json()["status"], "failed");
    }
}

#[test]
fn a_secret_in_a_vendors_answer_is_not_in_the_result() {
    let directory = tempfile::tempdir().unwrap();
    let secret = "EchoedSecretOfFortyCharacters00000000000";
    let body = format!("{{\"errors\":[{{\"code\":400,\"message\":\"{secret} is no secret\"}}]}}");
    let web = crate::support::web::Web::start(move |_| {
        crate::support::web::answer("400 Bad Request", "", body.as_bytes())
    });
    for dialect in ["plain", "kestra", "stackstorm"] {
        let ran = finish(
            cordon(directory.path())
                .env("CORDON_BASE_URL", web.url(""))
                .env("CORDON_CLIENT_ID", "id")
                .env("CORDON_CLIENT_SECRET", secret)
                .args([
                    "run",
                    "crowdstrike",
                    "block",
                    "--dialect",
                    dialect,
                    "--",
                    "--values=8.8.8.8",
                ]),
        );
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("[secret]"), "{ran:?}");
        assert!(
            !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
            "{ran:?}"
        );
    }
}
