//! `cordon mcp`, line by line as the protocol has it, and with the official client.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use sdk::testing::official::Python;
use serde_json::{Value as Json, json};

use crate::support::web::{Web, answer};
use crate::support::{Fake, cordon, finish, run, write};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

const CLIENT: &str = "mcp==2.3.0";

/// What every target has without being asked.
const OFFERED: [&str; 7] = [
    "block_dry_run",
    "check",
    "list_blocked",
    "push_indicators_dry_run",
    "remove_expired_dry_run",
    "sync_collection_dry_run",
    "unblock_dry_run",
];

struct Falcon {
    directory: tempfile::TempDir,
    fake: Fake,
}

impl Falcon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
        crate::support::configure_falcon(
            directory.path(),
            &fake.configuration,
            "list = \"c2.txt\"",
            "",
        );
        write(directory.path(), "c2.txt", "8.8.8.8\n");
        Self { directory, fake }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn secret(&self) -> &str {
        self.fake.configuration["client_secret"].as_str().unwrap()
    }

    fn client(&self, options: &[&str]) -> Client {
        let mut command = cordon(self.path());
        command.arg("mcp").args(options);
        Client::start(command, &[self.secret()])
    }
}

/// Speaks JSON-RPC with a server; everything it says has to be of the protocol, and without a secret.
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    secrets: Vec<String>,
    last: i64,
}

impl Client {
    fn start(mut command: Command, secrets: &[&str]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
            secrets: secrets.iter().map(|text| (*text).to_owned()).collect(),
            last: 0,
        }
    }

    /// After the handshake of 2025-06-18.
    fn begun(mut self) -> Self {
        let answer = self.request(
            "initialize",
            json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" },
            }),
        );
        let result = &answer["result"];
        assert_eq!(result["protocolVersion"], "2025-06-18", "{answer}");
        assert_eq!(result["serverInfo"]["name"], "cordon", "{answer}");
        assert!(result["capabilities"]["tools"].is_object(), "{answer}");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        self
    }

    fn say(&mut self, message: &Json) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    fn ask(&mut self, method: &str, parameters: Json) -> i64 {
        self.last += 1;
        let id = self.last;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }));
        id
    }

    /// The next message.
    fn hear(&mut self) -> Json {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        for secret in &self.secrets {
            assert!(!line.contains(secret.as_str()), "{line}");
        }
        let message: Json =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        message
    }

    fn request(&mut self, method: &str, parameters: Json) -> Json {
        let id = self.ask(method, parameters);
        let answer = self.hear();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn tools(&mut self) -> Vec<Json> {
        let answer = self.request("tools/list", json!({}));
        answer["result"]["tools"].as_array().unwrap().clone()
    }

    fn names(&mut self) -> Vec<String> {
        let name = |tool: &Json| tool["name"].as_str().unwrap().to_owned();
        self.tools().iter().map(name).collect()
    }

    fn call(&mut self, tool: &str, arguments: Json) -> Json {
        let answer = self.request(
            "tools/call",
            json!({ "name": tool, "arguments": arguments }),
        );
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].clone()
    }

    /// The result of a call that has to work.
    fn done(&mut self, tool: &str, arguments: Json) -> Json {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        let content = &result["structuredContent"];
        assert_eq!(&serde_json::from_str::<Json>(text).unwrap(), content);
        content.clone()
    }

    /// What a call that has to fail says.
    fn refused(&mut self, tool: &str, arguments: Json) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    fn close_input(&mut self) {
        drop(self.stdin.take());
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; stdout has nothing more, stderr no secret.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        let mut told = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut told).unwrap();
        for secret in &self.secrets {
            assert!(!told.contains(secret.as_str()), "{told}");
        }
        (self.child.wait().unwrap().code(), told)
    }

    /// The client goes away.
    fn end(mut self) {
        self.close_input();
        let (code, told) = self.ended();
        assert_eq!((code, told.as_str()), (Some(0), ""));
    }
}

fn hint<'a>(tools: &'a [Json], name: &str) -> &'a Json {
    let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
    &tool["annotations"]
}

#[test]
fn what_only_looks_and_dry_runs_are_offered_and_nothing_else() {
    let falcon = Falcon::start();
    let mut client = falcon.client(&[]).begun();
    let names = client.names();
    assert!(names.is_sorted(), "the same order every time: {names:?}");
    for name in OFFERED {
        assert!(
            names.contains(&format!("falcon_{name}")),
            "{name} in {names:?}"
        );
    }
    assert!(!names.contains(&"falcon_block".to_owned()), "{names:?}");
    for tool in client.tools() {
        let hints = &tool["annotations"];
        assert_eq!(hints["readOnlyHint"], true, "{tool}");
        assert_eq!(hints["destructiveHint"], false, "{tool}");
        assert_eq!(hints["openWorldHint"], true, "{tool}");
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert_eq!(tool["outputSchema"]["type"], "object", "{tool}");
        let is_dry = tool["name"].as_str().unwrap().ends_with("_dry_run");
        let description = tool["description"].as_str().unwrap();
        assert_eq!(description.starts_with("Dry run: "), is_dry, "{tool}");
        assert!(description.contains("falcon"), "{tool}");
    }
    let report = client.done("falcon_block_dry_run", json!({ "values": [SHA256] }));
    assert_eq!(
        (&report["dry_run"], &report["added"], &report["target"]),
        (&json!(true), &json!(1), &json!("falcon"))
    );
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    assert_eq!(client.done("falcon_check", json!({}))["status"], "ok");

    for name in ["falcon_block", "falcon_blokc"] {
        let call = json!({ "name": name, "arguments": { "values": [SHA256] } });
        let answer = client.request("tools/call", call);
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(
            message.contains("--allow-writes"),
            name == "falcon_block",
            "{message}"
        );
    }
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    client.close_input();
    assert_eq!(client.ended().0, Some(0));
}

#[test]
fn writing_is_offered_where_the_operator_allows_it() {
    let falcon = Falcon::start();
    let mut client = falcon.client(&["--allow-writes"]).begun();
    let tools = client.tools();
    for name in OFFERED {
        let name = format!("falcon_{}", name.trim_end_matches("_dry_run"));
        let looks = ["falcon_check", "falcon_list_blocked"].contains(&name.as_str());
        assert_eq!(hint(&tools, &name)["readOnlyHint"], looks, "{name}");
    }
    let writing = hint(&tools, "falcon_block");
    assert_eq!(
        (
            &writing["readOnlyHint"],
            &writing["destructiveHint"],
            &writing["idempotentHint"]
        ),
        (&json!(false), &json!(true), &json!(true))
    );
    let tried = json!({ "values": [SHA256], "dry_run": true });
    assert_eq!(client.done("falcon_block", tried)["dry_run"], true);
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    // Models write numbers and lists as texts now and then.
    let block =
        json!({ "values": format!("[\"{SHA256}\"]"), "valid_for": "3", "reason": "case 7" });
    assert_eq!(client.done("falcon_block", block.clone())["added"], 1);
    assert_eq!(client.done("falcon_block", block)["unchanged"], 1);
    let listed = client.done("falcon_list_blocked", json!({}));
    assert_eq!(listed["entries"][0]["reason"], "case 7", "{listed}");
    let report = client.done("falcon_unblock", json!({ "values": [SHA256] }));
    assert_eq!(report["removed"]["withdrawn"], 1, "{report}");
    client.end();
    let history = run(falcon.path(), &["history", "--output", "json"]);
    assert!(
        history.stdout.contains("alice through an MCP client"),
        "{history:?}"
    );
}

#[test]
fn what_a_deployment_protects_is_blocked_by_no_tool() {
    let falcon = Falcon::start();
    crate::support::configure_falcon(
        falcon.path(),
        &falcon.fake.configuration,
        "list = \"c2.txt\"",
        "protect = [\"own\"]\n[collections.own]\nlist = \"own.txt\"",
    );
    write(falcon.path(), "own.txt", &format!("{SHA256}\n"));
    let mut client = falcon.client(&["--allow-writes"]).begun();
    let block = json!({ "values": [SHA256] });
    for tool in ["falcon_block_dry_run", "falcon_block"] {
        let report = client.done(tool, block.clone());
        assert_eq!(report["skipped"]["protected"], 1, "{report}");
        assert_eq!(report["added"], 0, "{report}");
    }
    std::fs::remove_file(falcon.path().join("own.txt")).unwrap();
    let text = client.refused("falcon_block", block);
    assert!(text.contains("must never be blocked"), "{text}");
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    client.end();
}

#[test]
fn what_is_wrong_with_a_call_is_its_result() {
    let falcon = Falcon::start();
    let mut client = falcon.client(&["--allow-writes"]).begun();
    for (tool, arguments, said) in [
        ("block", json!({}), "`values` is missing"),
        (
            "block",
            json!({ "vales": [SHA256] }),
            "did you mean `values`?",
        ),
        (
            "block",
            json!({ "values": 5 }),
            "arguments.values: must be a list",
        ),
        (
            "block",
            json!({ "values": ["nonsense value"] }),
            "nothing that can be blocked",
        ),
        (
            "block",
            json!({ "values": ["8.8.8.8/8"] }),
            "hint: give 8.8.8.8",
        ),
        (
            "block",
            json!({ "values": [SHA256], "dry_run": "" }),
            "dry_run",
        ),
        (
            "block",
            json!({ "values": [SHA256], "fail_on": "held" }),
            "fail_on",
        ),
        (
            "block",
            json!({ "values": [SHA256], "client_secret": "x" }),
            "client_secret",
        ),
        (
            "block_dry_run",
            json!({ "values": [SHA256], "dry_run": false }),
            "sends nothing anyway",
        ),
        (
            "sync_collection",
            json!({ "source_url": "http://127.0.0.1:1/x" }),
            "source_url is not taken",
        ),
        (
            "push_indicators",
            json!({ "stix_objects_path": "/etc/passwd" }),
            "stix_objects_path is not taken",
        ),
        (
            "sync_collection",
            json!({ "stix_objects": [] }),
            "hint: set complete",
        ),
        (
            "sync_collection",
            json!({ "stix_objects": [], "complete": true, "deployment": "c2", "allow_mass_change": "9f2c" }),
            "hint: what is held waits for a person",
        ),
        (
            "list_blocked",
            json!({ "deployment": "Not A Name" }),
            "Not A Name",
        ),
    ] {
        let text = client.refused(&format!("falcon_{tool}"), arguments);
        assert!(text.starts_with("error: "), "{text}");
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    client.end();
}

#[test]
fn every_target_has_its_tools() {
    let falcon = Falcon::start();
    let other = Fake::start(falcon.path(), &["crowdstrike", "--http"]);
    write(
        falcon.path(),
        "other.txt",
        other.configuration["client_secret"].as_str().unwrap(),
    );
    let mut text = std::fs::read_to_string(falcon.path().join("cordon.toml")).unwrap();
    text.push_str(&format!(
        "[targets.\"eu.falcon\"]\nconnector = \"crowdstrike\"\nbase_url = {}\nclient_id = {}\nclient_secret = {{ file = \"other.txt\" }}\n",
        other.configuration["base_url"], other.configuration["client_id"]
    ));
    write(falcon.path(), "cordon.toml", &text);
    let mut client = falcon.client(&["--allow-writes"]).begun();
    let report = client.done("eu_falcon_block", json!({ "values": [SHA256] }));
    assert_eq!(report["target"], "eu.falcon", "{report}");
    assert_eq!(client.done("falcon_list_blocked", json!({}))["count"], 0);
    assert_eq!(client.done("eu_falcon_list_blocked", json!({}))["count"], 1);
    client.end();
}

#[test]
fn one_connector_comes_from_variables() {
    let falcon = Falcon::start();
    let directory = tempfile::tempdir().unwrap();
    let field = |name: &str| falcon.fake.configuration[name].as_str().unwrap();
    let mut command = cordon(directory.path());
    command
        .args(["mcp", "--connector", "crowdstrike"])
        .env("CORDON_BASE_URL", field("base_url"))
        .env("CORDON_CLIENT_ID", field("client_id"))
        .env("CORDON_CLIENT_SECRET", falcon.secret());
    let mut client = Client::start(command, &[falcon.secret()]).begun();
    assert_eq!(client.done("crowdstrike_check", json!({}))["status"], "ok");
    client.end();

    for (words, said) in [
        (&["--connector", "crowdstrike"][..], "CORDON_<FIELD>"),
        (
            &["--connector", "crowdstrik"],
            "did you mean `crowdstrike`?",
        ),
        (&[], "the configuration cannot be read"),
    ] {
        let mut command = cordon(directory.path());
        command.args(["mcp", "--output", "json"]).args(words);
        let ran = finish(&mut command);
        assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
        assert_eq!(ran.stdout, "", "stdout is the protocol's");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}

#[test]
fn a_secret_in_a_vendors_answer_goes_no_further() {
    let directory = tempfile::tempdir().unwrap();
    let secret = "EchoedSecretOfFortyCharacters00000000000";
    let body = format!("{{\"errors\":[{{\"code\":400,\"message\":\"{secret} is no secret\"}}]}}");
    let web = Web::start(move |_| answer("400 Bad Request", "", body.as_bytes()));
    let mut client = slow_client(directory.path(), &web, secret, &["-vv"]);
    let text = client.refused("crowdstrike_block", json!({ "values": [SHA256] }));
    assert!(text.contains("[secret]"), "{text}");
    client.close_input();
    assert_eq!(client.ended().0, Some(0));
}

fn slow_client(directory: &Path, web: &Web, secret: &str, options: &[&str]) -> Client {
    let mut command = cordon(directory);
    command
        .args(["mcp", "--connector", "crowdstrike", "--allow-writes"])
        .args(options)
        .env("CORDON_BASE_URL", web.url(""))
        .env("CORDON_CLIENT_ID", "id")
        .env("CORDON_CLIENT_SECRET", secret);
    Client::start(command, &[secret]).begun()
}

/// A vendor that answers when the test lets it, and tells when it is asked.
fn slow_vendor() -> (Web, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (asked, is_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let web = Web::start(move |_| {
        let _ = asked.send(());
        // Once the test has let go, every answer comes at once.
        let _ = may_go.recv();
        answer("403 Forbidden", "", b"{}")
    });
    (web, is_asked, go)
}

#[test]
fn a_running_write_is_brought_to_its_end_whoever_goes_away() {
    let secret = "SecretOfFortyCharacters00000000000000000";
    for how in ["end of input", "signal", "cancelled"] {
        let directory = tempfile::tempdir().unwrap();
        let (web, is_asked, go) = slow_vendor();
        let mut client = slow_client(directory.path(), &web, secret, &[]);
        let call = json!({ "name": "crowdstrike_block", "arguments": { "values": [SHA256] } });
        let id = client.ask("tools/call", call);
        is_asked.recv().unwrap();
        match how {
            "signal" => client.terminate(),
            "end of input" => client.close_input(),
            _ => {
                let parameters = json!({ "requestId": id, "reason": "no patience" });
                client.say(&json!({
                    "jsonrpc": "2.0", "method": "notifications/cancelled", "params": parameters,
                }));
                // Asked and answered: the cancellation has been read before.
                client.request("ping", json!({}));
                client.close_input();
            }
        }
        drop(go);
        if how != "cancelled" {
            let answer = client.hear();
            assert_eq!(answer["id"], id, "{how}: {answer}");
            assert_eq!(answer["result"]["isError"], true, "{how}: {answer}");
        }
        let (code, told) = client.ended();
        assert_eq!(code, Some(0), "{how}: {told}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (web, is_asked, _go) = slow_vendor();
    let mut client = slow_client(directory.path(), &web, "SecretSecretSecret", &[]);
    let call = json!({ "name": "crowdstrike_block", "arguments": { "values": [SHA256] } });
    client.ask("tools/call", call);
    is_asked.recv().unwrap();
    let mut told = BufReader::new(client.child.stderr.take().unwrap());
    client.terminate();
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains("once more to stop at once"), "{line}");
    client.terminate();
    told.read_to_string(&mut line).unwrap();
    assert!(line.contains("stopped by a signal"), "{line}");
    assert_eq!(client.child.wait().unwrap().code(), Some(75));
}

#[test]
fn it_ends_well_before_during_and_after_the_handshake() {
    let falcon = Falcon::start();
    let mut client = falcon.client(&[]);
    client.close_input();
    let (code, told) = client.ended();
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(
        lines[0].starts_with("warning: there is no store cordon.db yet"),
        "{told}"
    );
    let client = falcon.client(&[]).begun();
    client.terminate();
    let (code, told) = client.ended();
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn what_is_no_message_disturbs_nothing() {
    let falcon = Falcon::start();
    let mut client = falcon.client(&[]).begun();
    for line in ["", "nonsense", "{\"jsonrpc\":\"2.0\"", "\u{0}"] {
        writeln!(client.stdin.as_mut().unwrap(), "{line}").unwrap();
    }
    assert!(client.names().contains(&"falcon_check".to_owned()));
    let answer = client.request("no/such/method", json!({}));
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    client.close_input();
    assert_eq!(client.ended().0, Some(0));
}

#[test]
fn the_official_client_lists_and_calls() {
    let Some(python) = Python::with(env!("CARGO_TARGET_TMPDIR"), &[CLIENT]) else {
        return;
    };
    let falcon = Falcon::start();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/mcp_client.py");
    for mode in ["legacy", "auto"] {
        let output = python
            .script(&script)
            .arg(mode)
            .arg(env!("CARGO_BIN_EXE_cordon"))
            .arg(falcon.path().join("cordon.toml"))
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{mode}: {stdout}\n{stderr}");
        assert!(!stdout.contains(falcon.secret()), "{stdout}");
        assert!(!stderr.contains(falcon.secret()), "{stderr}");
        let told: Json = serde_json::from_str(&stdout).unwrap();
        let version = told["version"].as_str().unwrap();
        assert_eq!(version >= "2026-07-28", mode == "auto", "{version}");
        assert_eq!(told["server"], "cordon", "{told}");
        let has = |key: &str, name: &str| {
            let all = told[key].as_array().unwrap();
            all.contains(&json!(format!("falcon_{name}")))
        };
        for name in OFFERED {
            assert!(
                has("tools", name) && has("read_only", name),
                "{name}: {told}"
            );
        }
        assert!(
            has("tools", "block") && !has("read_only", "block"),
            "{told}"
        );
        assert_eq!(
            told["tried"],
            json!({ "dry_run": true, "added": 1 }),
            "{told}"
        );
        assert_eq!(
            told["blocked"],
            json!({ "dry_run": false, "added": 1 }),
            "{told}"
        );
        assert_eq!(told["listed"], 1, "{told}");
        assert_eq!(told["unblocked"], 1, "{told}");
        assert_eq!(told["check"], "ok", "{told}");
        let refused = told["refused"].as_str().unwrap();
        assert!(refused.contains("did you mean `values`?"), "{told}");
        let unknown = told["unknown"].as_str().unwrap();
        assert!(unknown.contains("there is no tool"), "{told}");
    }
}
