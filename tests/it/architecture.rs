//! The direction of dependencies and the shape of connector folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

struct Member {
    folder: PathBuf,
    /// Members it depends on outside tests.
    needs: BTreeSet<String>,
}

fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Json = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    packages
        .iter()
        .map(|package| {
            let needs = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().unwrap())
                .filter(|name| names.contains(name))
                .map(str::to_owned)
                .collect();
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let member = Member {
                folder: manifest.parent().unwrap().to_owned(),
                needs,
            };
            (package["name"].as_str().unwrap().to_owned(), member)
        })
        .collect()
}

fn connectors() -> BTreeMap<String, Member> {
    members()
        .into_iter()
        .filter(|(_, member)| member.folder.parent().unwrap().ends_with("connectors"))
        .collect()
}

/// What the binary lists.
fn listed() -> Vec<Json> {
    let list = crate::support::run(Path::new("."), &["connectors", "--output", "json"]).json();
    list.as_array().unwrap().clone()
}

#[test]
fn dependencies_point_one_way() {
    let members = members();
    assert_eq!(
        members["sdk"].needs,
        BTreeSet::new(),
        "the sdk depends on no member"
    );
    for (name, member) in &members {
        assert!(
            !member.needs.contains("cordon"),
            "{name} depends on the operator"
        );
    }
    let connectors = connectors();
    assert!(!connectors.is_empty());
    for (name, connector) in &connectors {
        assert_eq!(
            connector.needs,
            BTreeSet::from(["sdk".to_owned()]),
            "{name}"
        );
        assert!(
            members["cordon"].needs.contains(name),
            "{name} is not in the binary"
        );
    }
}

#[test]
fn every_connector_folder_has_the_same_files() {
    let without_mechanism: BTreeSet<String> = listed()
        .iter()
        .filter(|it| it["mechanisms"].as_array().unwrap().is_empty())
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect();
    for (name, connector) in connectors() {
        // What is no target keeps no contract, and has actions instead.
        let is_target = !without_mechanism.contains(&name);
        let (tests, does) = if is_target {
            ("tests/contract.rs", "target")
        } else {
            ("tests/actions.rs", "actions")
        };
        for needed in ["README.md", "src/lib.rs", tests] {
            assert!(
                connector.folder.join(needed).is_file(),
                "{name} has no {needed}"
            );
        }
        for part in ["config", "api", does, "fake"] {
            let source = connector.folder.join("src");
            assert!(
                source.join(format!("{part}.rs")).is_file() || source.join(part).is_dir(),
                "{name} has no src/{part}"
            );
        }
    }
}

#[test]
fn every_connector_is_on_the_list() {
    let listed: BTreeSet<String> = listed()
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(listed, connectors().into_keys().collect());
}
