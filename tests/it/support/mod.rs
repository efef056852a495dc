//! Running the binary.

pub(crate) mod web;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

/// The binary, without what the surroundings would add.
pub(crate) fn cordon(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command
        .current_dir(directory)
        .env_clear()
        .env("USER", "alice")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// What a command gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Ran {
    finish(cordon(directory).args(arguments))
}

/// With something on stdin.
pub(crate) fn run_with_input(directory: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = cordon(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments ends without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// One action of `cordon run`.
pub(crate) fn act(
    directory: &Path,
    connector: &str,
    command: &str,
    arguments: &Json,
    configuration: &Json,
) -> Ran {
    let input = serde_json::json!({ "arguments": arguments, "configuration": configuration });
    run_with_input(directory, &["run", connector, command], &input.to_string())
}

/// A STIX indicator that began yesterday; fields of `more` go before.
pub(crate) fn indicator(pattern: &str, more: &Json) -> Json {
    let yesterday = chrono::Utc::now() - chrono::TimeDelta::days(1);
    let mut object = serde_json::json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": format!("indicator--{}", uuid::Uuid::new_v4()),
        "created": yesterday.to_rfc3339(),
        "modified": yesterday.to_rfc3339(),
        "pattern": pattern,
        "pattern_type": "stix",
        "valid_from": yesterday.to_rfc3339(),
    });
    for (key, value) in more.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

pub(crate) fn bundle(objects: &[Json]) -> String {
    serde_json::json!({ "type": "bundle", "id": "bundle--1", "objects": objects }).to_string()
}

/// A running `cordon fake`; ends with the test.
pub(crate) struct Fake {
    child: Child,
    pub(crate) configuration: Json,
}

impl Fake {
    pub(crate) fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::of(
            cordon(directory)
                .args(["fake", "--output", "json"])
                .args(arguments),
        )
    }

    /// Of a command that tells its configuration as JSON.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let told: Json = serde_json::from_str(&line).unwrap();
        Self {
            child,
            configuration: told["configuration"].clone(),
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The configuration of a store, one target on this fake Falcon and one deployment; `source` is the body
/// of its collection.
pub(crate) fn configure_falcon(directory: &Path, fake: &Json, source: &str, more: &str) {
    write(
        directory,
        "secret.txt",
        fake["client_secret"].as_str().unwrap(),
    );
    let text = format!(
        r#"
[store]
url = "sqlite:cordon.db"
[collections.c2]
{source}
[targets.falcon]
connector = "crowdstrike"
base_url = {}
client_id = {}
client_secret = {{ file = "secret.txt" }}
[deployments.acme]
include = ["c2"]
targets = ["falcon"]
{more}
"#,
        fake["base_url"], fake["client_id"]
    );
    write(directory, "cordon.toml", &text);
}

pub(crate) fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
