//! What the README says is true.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;

use crate::support::{Fake, cordon, finish, run, run_with_input, write};

const README: &str = include_str!("../../README.md");
const CI: &str = include_str!("../../.ci/run");

/// Fenced blocks in a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    README
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// What stands between two texts, the first time they follow each other.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    text.split_once(before)
        .and_then(|(_, rest)| rest.split_once(after))
        .unwrap_or_else(|| panic!("nothing between {before:?} and {after:?}"))
        .0
}

#[test]
fn what_is_promised_is_what_is_checked() {
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert!(
            blocks("sh").contains(&format!("{command}\n").as_str()),
            "{command}"
        );
        assert!(
            CI.contains(&format!("as_promised '{command}'")),
            "{command}"
        );
    }
    assert!(
        CI.trim_end()
            .ends_with("as_promised 'cargo test --workspace'")
    );
}

#[test]
fn every_command_that_is_named_exists() {
    let directory = tempfile::tempdir().unwrap();
    let named: BTreeSet<&str> = README
        .split(['`', '\n'])
        .filter_map(|line| line.trim_start_matches("}' | ").strip_prefix("cordon "))
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    assert!(
        named.contains("run") && named.contains("approve"),
        "{named:?}"
    );
    for command in named {
        let ran = run(directory.path(), &[command, "--help"]);
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
    }
}

#[test]
fn every_mechanism_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let connectors = run(directory.path(), &["connectors", "--output", "json"]).json();
    for connector in connectors.as_array().unwrap() {
        let name = connector["name"].as_str().unwrap();
        assert!(
            README.contains(&format!("[`{name}`](connectors/{name}/README.md)")),
            "{name}"
        );
        for mechanism in connector["mechanisms"].as_array().unwrap() {
            let name = mechanism["name"].as_str().unwrap();
            assert!(README.contains(&format!("| `{name}` ")), "{name}");
        }
    }
}

#[test]
fn the_configuration_loads() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    write(at, "cordon.toml", blocks("toml")[0]);
    write(at, "fw2.key", "a-key");
    // The configuration is read and checked whole before the deployment is looked for; nobody is called.
    let ran = finish(cordon(at).args(["plan", "nobody"]).envs([
        ("FALCON_ID", "an-id"),
        ("FALCON_SECRET", "a-secret"),
        ("FW1_KEY", "a-key"),
        ("SEKOIA_API_KEY", "a-key"),
    ]));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("there is no deployment \"nobody\""),
        "{ran:?}"
    );
}

#[test]
fn the_first_sync_works() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let fake = Fake::start(at, &["crowdstrike", "--http"]);
    let steps = blocks("sh")
        .into_iter()
        .find(|block| block.contains("cordon fake"))
        .unwrap();
    write(at, "c2.txt", between(steps, "echo ", " > c2.txt"));
    let secret = between(steps, "export FALCON_SECRET=", "\n");
    let url = fake.configuration["base_url"].as_str().unwrap();
    let port = between(steps, "--port ", " &");
    write(
        at,
        "cordon.toml",
        &blocks("toml")[1].replace(&format!("http://127.0.0.1:{port}"), url),
    );
    let reports = |command: &str| -> Json {
        let ran = finish(
            cordon(at)
                .args([command, "--output", "json"])
                .env("FALCON_SECRET", secret),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()["reports"].clone()
    };
    assert_eq!(reports("plan")[0]["added"], 1);
    assert_eq!(reports("sync")[0]["added"], 1);
    let again = reports("sync");
    assert_eq!(again[0]["unchanged"], 1, "{again}");
    assert_eq!(again[0]["requests"]["write"], 0, "{again}");
}

#[test]
fn the_playbook_example_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), &["fortinet", "--http"]);
    let steps = blocks("sh")
        .into_iter()
        .find(|block| block.contains("cordon run fortinet block"))
        .unwrap();
    let mut input: Json = serde_json::from_str(between(steps, "echo '", "' |")).unwrap();
    let firewall = &input["configuration"]["firewalls"][0];
    assert!(firewall["base_ip"].is_string() && firewall["api_key"].is_string());
    input["configuration"]["firewalls"] = fake.configuration["firewalls"].clone();
    let arguments = ["run", "fortinet", "block"];
    let ran = run_with_input(directory.path(), &arguments, &input.to_string());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.json()["added"].as_u64().unwrap() >= 1, "{ran:?}");
}

#[test]
fn every_link_leads_somewhere() {
    for (name, text) in [
        ("README.md", README),
        ("CONTRIBUTING.md", include_str!("../../CONTRIBUTING.md")),
        ("sdk/README.md", include_str!("../../sdk/README.md")),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let folder = folder.parent().unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let is_page = link.starts_with("https://");
            assert!(is_page || folder.join(link).exists(), "{name}: {link}");
        }
    }
}
