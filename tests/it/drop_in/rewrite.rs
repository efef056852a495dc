use serde_json::{Value as Json, json};

use crate::support::{run, run_with_input, write};

const BLOCK: &str = "88d53f94-138d-4f77-95d8-fb9b0425d1f9";
const MODULE: &str = "4fdbae70-e9cd-492e-9a39-24ce99325e3f";

/// Odd spaces, a line's end of its own kind, no line's end at the end.
fn playbook() -> String {
    format!(
        "{{\"name\":\"p\",\r\n  \"nodes\": {{ \"7\":{{\"name\" : \"Block\", \"module_uuid\":\"{MODULE}\",\n\
         \"arguments\":{{\"value\":\"{{{{ node.1.hash }}}}\",\"n\":1.0}},\"action_uuid\":\"{BLOCK}\"}},\n\
         \"8\":{{\"name\":\"Quarantine\",\"action_uuid\":\"dddd7942-baf5-40d7-8b24-7db22fb33c0a\"}} }} }}"
    )
}

#[test]
fn a_playbook_is_rewritten_to_stdout_and_nothing_else_of_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "p.json", &playbook());
    let ran = run(
        directory.path(),
        &["manifests", "--rewrite-playbook", "p.json"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let new: Json = ran.json();
    let node = &new["nodes"]["7"];
    let (action, module) = (&node["action_uuid"], &node["module_uuid"]);
    for uuid in [action, module] {
        uuid::Uuid::parse_str(uuid.as_str().unwrap()).unwrap();
    }
    assert_ne!(action, BLOCK);
    let back = ran
        .stdout
        .replace(action.as_str().unwrap(), BLOCK)
        .replace(module.as_str().unwrap(), MODULE);
    assert_eq!(back, playbook());
    assert!(ran.stderr.contains("crowdstrike block_ioc"), "{ran:?}");
    assert!(
        ran.stderr.contains("nothing is connected to these"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("node 8 \"Quarantine\""), "{ran:?}");
    assert!(
        ran.stderr.contains("hint: it acts on an endpoint"),
        "{ran:?}"
    );
}

#[test]
fn a_rewritten_playbook_goes_to_a_file_or_into_json() {
    let directory = tempfile::tempdir().unwrap();
    let from_stdin = ["manifests", "--rewrite-playbook", "-", "--output"];
    let with = |output: &str| {
        let arguments = [&from_stdin[..], &[output]].concat();
        run_with_input(directory.path(), &arguments, &playbook())
    };
    let ran = with("new.json");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("crowdstrike block_ioc"), "{ran:?}");
    let written = std::fs::read_to_string(directory.path().join("new.json")).unwrap();
    assert!(!written.contains(BLOCK));
    let told = with("json").json();
    assert_eq!(told["playbook"], json!(written));
    assert_eq!(told["replaced"][0]["command"], "block_ioc");
    let noted: Vec<&Json> = told["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["node"])
        .collect();
    assert_eq!(
        noted,
        ["7", "8"],
        "branches that lead nowhere, and what has no equal"
    );
}

#[test]
fn what_is_no_playbook_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "p.yaml", "nodes:\n  - a\n");
    for file in ["p.yaml", "missing.json"] {
        let ran = run(directory.path(), &["manifests", "--rewrite-playbook", file]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(ran.stdout, "", "{ran:?}");
    }
    let ran = run(
        directory.path(),
        &["manifests", "--check", "--rewrite-playbook", "p.yaml"],
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");
}
