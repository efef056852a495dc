//! Generated files: that they are as generated, keep their promises, and pass as what they are.

mod checker;
mod engines;
mod official;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::support::web::{self, Web};
use crate::support::{cordon, finish, run};

/// The checked-in files.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests")
}

fn read(path: &Path) -> Json {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A module's folder, as Sekoia knows modules.
struct Module {
    name: String,
    folder: PathBuf,
}

impl Module {
    fn manifest(&self) -> Json {
        read(&self.folder.join("manifest.json"))
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// The actions with the names of their files.
    fn actions(&self) -> Vec<(String, Json)> {
        let mut actions: Vec<(String, Json)> = std::fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter_map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                let is_action = name.starts_with("action_") && name.ends_with(".json");
                is_action.then(|| (name, read(&entry.path())))
            })
            .collect();
        actions.sort_by(|a, b| a.0.cmp(&b.0));
        assert!(!actions.is_empty(), "{}", self.name);
        actions
    }
}

fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("manifest.json").exists())
        .map(|entry| Module {
            name: entry.file_name().into_string().unwrap(),
            folder: entry.path(),
        })
        .collect();
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    modules
}

#[test]
fn checked_in_manifests_are_as_generated() {
    let ran = run(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["manifests", "--check"],
    );
    assert_eq!(ran.code, Some(0), "run `cordon manifests --write`: {ran:?}");
}

#[test]
fn every_connector_is_a_module() {
    let listed = run(Path::new("."), &["connectors", "--output", "json"]).json();
    let listed: BTreeSet<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|connector| connector["name"].as_str().unwrap())
        .collect();
    let modules = modules();
    let modules: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(modules, listed);
    assert_eq!(modules.len(), 6);
}

#[test]
fn what_is_changed_missing_or_superfluous_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let manifests =
        |option: &str| run(directory.path(), &["manifests", option, "--directory", "m"]);
    let ran = manifests("--check");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("missing"), "{ran:?}");
    assert_eq!(manifests("--write").code, Some(0));
    assert_eq!(manifests("--check").code, Some(0));

    let place = directory.path().join("m");
    std::fs::write(place.join("README.md"), "people's own").unwrap();
    assert_eq!(manifests("--check").code, Some(0));
    std::fs::write(place.join("crowdstrike/logo.svg"), "<svg/>").unwrap();
    std::fs::remove_file(place.join("zscaler/action_block.json")).unwrap();
    std::fs::write(place.join("zscaler/action_gone.json"), "{}").unwrap();
    std::fs::create_dir(place.join("gone")).unwrap();
    std::fs::write(place.join("gone/manifest.json"), "{}").unwrap();
    let ran = manifests("--check");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for told in [
        "changed crowdstrike/logo.svg;",
        "missing zscaler/action_block.json;",
        "superfluous gone/manifest.json, zscaler/action_gone.json",
        "delete what is superfluous",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
    assert_eq!(manifests("--write").code, Some(0));
    let ran = manifests("--check");
    assert!(ran.stderr.contains("superfluous"), "{ran:?}");
    assert!(!ran.stderr.contains("changed"), "{ran:?}");
}

#[test]
fn files_that_are_exported_name_the_image_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let manifests = |option: &str, image: &str| {
        let words = ["manifests", option, "--directory", "m", "--image", image];
        run(directory.path(), &words)
    };
    let image = "registry.example.com:5000/soc/cordon";
    assert_eq!(manifests("--write", image).code, Some(0));
    assert_eq!(manifests("--check", image).code, Some(0));
    let ran = manifests("--check", "cordon");
    assert_eq!(ran.code, Some(1), "{ran:?}");

    let version = env!("CARGO_PKG_VERSION");
    for (name, line) in [
        (
            "zscaler/Dockerfile",
            format!("ARG CORDON={image}:{version}"),
        ),
        (
            "cortex/responders.json",
            format!("\"dockerImage\": \"{image}-cortex:{version}\","),
        ),
        (
            "kestra/zscaler_block.yaml",
            format!("containerImage: \"{image}:{version}\""),
        ),
        ("argo/zscaler.yaml", format!("image: \"{image}:{version}\"")),
    ] {
        let text = std::fs::read_to_string(directory.path().join("m").join(name)).unwrap();
        assert!(
            text.lines().any(|it| it.trim() == line),
            "{name}: {line}\n{text}"
        );
    }
    for bad in [
        "",
        "a/",
        "/a",
        "a:1",
        "a b",
        "a\nUSER 0",
        "A",
        "a:b/c",
        "a\"/b",
        "-a",
        "${A}",
    ] {
        let ran = manifests("--write", bad);
        assert_eq!(ran.code, Some(2), "{bad:?}: {ran:?}");
    }
}

#[test]
fn a_published_uuid_that_is_lost_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let manifests =
        |option: &str| run(directory.path(), &["manifests", option, "--directory", "m"]);
    assert_eq!(manifests("--write").code, Some(0));
    let list = directory.path().join("m/uuids.json");
    let published = read(&list);
    let mut gone = published.clone();
    gone["crowdstrike"]["actions"]["bygone"] = Json::from("4fdbae70-e9cd-592e-9a39-24ce99325e3f");
    let mut changed = published.clone();
    changed["zscaler"]["uuid"] = Json::from("4fdbae70-e9cd-592e-9a39-24ce99325e3f");
    for (list_now, lost) in [(gone, "crowdstrike/bygone"), (changed, "zscaler")] {
        std::fs::write(&list, list_now.to_string()).unwrap();
        for option in ["--check", "--write"] {
            let ran = manifests(option);
            assert_eq!(ran.code, Some(1), "{option}: {ran:?}");
            let told = format!("published UUIDs are lost: {lost}");
            assert!(ran.stderr.contains(&told), "{option}: {ran:?}");
        }
        assert_eq!(read(&list), list_now, "nothing is written");
    }
}

#[test]
fn every_uuid_is_the_published_one_and_no_two_are_the_same() {
    let published = read(&folder().join("uuids.json"));
    let mut all = BTreeSet::new();
    for module in modules() {
        let uuid = module.manifest()["uuid"].clone();
        assert_eq!(uuid, published[&module.name]["uuid"], "{}", module.name);
        assert!(all.insert(uuid.to_string()), "{}", module.name);
        for (file, action) in module.actions() {
            let command = action["docker_parameters"].as_str().unwrap();
            let uuid = &action["uuid"];
            assert_eq!(*uuid, published[&module.name]["actions"][command], "{file}");
            assert!(all.insert(uuid.to_string()), "{}: {file}", module.name);
        }
    }
}

/// The program ends well where the platform says that the task is somebody else's, unless it does not know
/// the action.
#[test]
fn every_action_of_a_manifest_is_one_that_the_program_knows() {
    let platform = Web::start(|_| web::answer("409 Conflict", "", b""));
    let directory = tempfile::tempdir().unwrap();
    let ends_well = |module: &str, command: &str| {
        let ran = finish(
            cordon(directory.path())
                .env("TOKEN", "TokenOfThisTask")
                .env("URL_CALLBACK", platform.url("/callback"))
                .args(["sekoia", module, command]),
        );
        ran.code == Some(0)
    };
    assert!(!ends_well("crowdstrike", "no_such_action"));
    assert!(!ends_well("no_such_module", "block"));
    for module in modules() {
        assert!(ends_well(&module.name, "validate_module_configuration"));
        for (file, action) in module.actions() {
            let command = action["docker_parameters"].as_str().unwrap();
            assert!(ends_well(&module.name, command), "{}: {file}", module.name);
        }
    }
}
