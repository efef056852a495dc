//! What other engines are given, driven as they drive it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::{folder, read};
use crate::dialects::stackstorm;
use crate::support::{Fake, Ran, act, cordon, finish, indicator};

const SHA256: &str = "6f1ed002ab5595859014ebf0951522d9a1f8e5b0d9a2b4b8c8e1f0d6e0c3b5a7";

fn responders() -> Vec<Json> {
    read(&folder().join("cortex/responders.json"))
        .as_array()
        .unwrap()
        .clone()
}

/// What Cortex hands over as the configuration: what the definition fixes, and every item with its value,
/// its default, or what stands for none.
fn job_config(responder: &Json, given: &Json) -> Json {
    let mut config = responder["config"].as_object().cloned().unwrap();
    for item in responder["configurationItems"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap();
        let none = if item["multi"] == true {
            json!([])
        } else {
            Json::Null
        };
        let value = given.get(name).or_else(|| item.get("defaultValue"));
        config.insert(name.to_owned(), value.cloned().unwrap_or(none));
    }
    Json::Object(config)
}

/// Runs a job as Cortex does: the image without arguments, with a folder.
fn run_job(directory: &Path, config: &Json) -> (Ran, Json) {
    let job = directory.join("job");
    std::fs::create_dir_all(job.join("input")).unwrap();
    let input = json!({
        "dataType": "thehive:case_artifact",
        "data": { "dataType": "hash", "data": SHA256 },
        "tlp": 2, "pap": 2, "message": "case 7", "parameters": {},
        "config": config,
    });
    std::fs::write(job.join("input/input.json"), input.to_string()).unwrap();
    let ran = finish(
        cordon(directory)
            .args(["run", "--dialect", "cortex", "--job"])
            .arg(&job),
    );
    let output = read(&job.join("output/output.json"));
    (ran, output)
}

#[test]
fn a_responder_blocks_and_unblocks_with_nothing_but_its_definition() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
    for (service, held) in [("block", 1), ("unblock", 0)] {
        let responder = responders()
            .into_iter()
            .find(|it| it["config"] == json!({ "connector": "crowdstrike", "service": service }))
            .unwrap();
        let (ran, output) = run_job(
            directory.path(),
            &job_config(&responder, &fake.configuration),
        );
        assert_eq!(output["success"], true, "{output} {ran:?}");
        let listed = act(
            directory.path(),
            "crowdstrike",
            "list_blocked",
            &json!({}),
            &fake.configuration,
        );
        assert_eq!(listed.json()["count"], held, "{service}");
    }
}

/// Without credentials that is what is missing, and not something in the definition.
#[test]
fn no_responder_has_an_item_that_the_program_does_not_take() {
    let directory = tempfile::tempdir().unwrap();
    for responder in responders() {
        let given = json!({ "valid_for": 7, "exclude": ["example.org"] });
        let (_, output) = run_job(directory.path(), &job_config(&responder, &given));
        let error = output["errorMessage"]
            .as_str()
            .unwrap_or_else(|| panic!("{output}"));
        for wrong in ["there is no", "unknown key", "not a text", "did you mean"] {
            assert!(!error.contains(wrong), "{}: {error}", responder["name"]);
        }
    }
}

/// The names of an action's parameters in the pack, with their types.
fn parameters(action: &str) -> BTreeMap<String, String> {
    let path = folder().join(format!("stackstorm/actions/{action}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once("\nparameters:\n").unwrap();
    let mut parameters = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(field) = line.strip_prefix("    ") {
            if let Some(kind) = field.strip_prefix("type: ") {
                parameters.insert(name.to_owned(), kind.trim_matches('"').to_owned());
            }
        } else if let Some(key) = line.strip_prefix("  ") {
            name = key.strip_suffix(':').unwrap().trim_matches('"');
        }
    }
    parameters
}

/// StackStorm refuses an action with any other name.
#[test]
fn parameters_of_the_pack_have_names_that_it_takes_and_none_is_lost() {
    let is_word = |name: &str| {
        let mut letters = name.chars();
        letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let mut other = 0;
    for connector in read(&folder().join("catalog.json"))["connectors"]
        .as_array()
        .unwrap()
    {
        for action in connector["actions"].as_array().unwrap() {
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            let action_name = format!("{}_{}", text(&connector["name"]), text(&action["command"]));
            let parameters = parameters(&action_name);
            for name in parameters.keys() {
                assert!(is_word(name), "{action_name}: {name}");
            }
            let arguments = action["arguments"]["properties"].as_object();
            for name in arguments.into_iter().flat_map(Map::keys) {
                other += usize::from(!is_word(name));
                let word = name.replace('-', "_");
                assert!(parameters.contains_key(&word), "{action_name}: {word}");
            }
        }
    }
    assert!(other > 0, "there is one to leave out");
}

/// The pack's script, as a runner of StackStorm starts it.
#[cfg(unix)]
fn run_script(directory: &Path, fake: &Fake, action: &str, words: &[String]) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_cordon"));
    let system = std::env::var("PATH").unwrap();
    let path = format!("{}:{system}", binary.parent().unwrap().display());
    let mut command = std::process::Command::new(folder().join("stackstorm/actions/cordon.sh"));
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", path)
        .env("CORDON_RUN_CONNECTOR", "crowdstrike")
        .env("CORDON_RUN_ACTION", action)
        .env("CORDON_CA_PEM", "");
    for (name, value) in fake.configuration.as_object().unwrap() {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        command.env(format!("CORDON_{}", name.to_uppercase()), text);
    }
    finish(command.args(words))
}

#[test]
#[cfg(unix)]
fn the_script_of_the_pack_runs_the_program() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
    let words = stackstorm(&json!({
        "values": [SHA256], "valid_for": 7, "fail_on": "failed", "exclude": [], "dry_run": false,
        "reason": "--store=/etc/passwd",
    }));
    let ran = run_script(directory.path(), &fake, "block", &words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["added"], 1, "{ran:?}");
}

/// StackStorm lets no value through that is not of its parameter's type, and writes all but texts as Python
/// does.
#[test]
#[cfg(unix)]
fn stix_objects_arrive_through_the_pack() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::start(directory.path(), &["crowdstrike", "--http"]);
    let pattern = format!("[file:hashes.'SHA-256' = '{SHA256}']");
    let objects = json!([indicator(
        &pattern,
        &json!({ "name": "it's \"evil\" \\ é", "revoked": false })
    )]);
    let value = match parameters("crowdstrike_push_indicators")["stix_objects"].as_str() {
        "string" => Json::from(objects.to_string()),
        _ => objects,
    };
    let words = stackstorm(&json!({ "stix_objects": value, "valid_for": 7 }));
    let ran = run_script(directory.path(), &fake, "push_indicators", &words);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["added"], 1, "{ran:?}");
}

#[test]
fn the_catalog_has_every_action_with_its_uuid_and_schemas() {
    let catalog = read(&folder().join("catalog.json"));
    let published = read(&folder().join("uuids.json"));
    let mut found = Map::new();
    for connector in catalog["connectors"].as_array().unwrap() {
        let mut actions = Map::new();
        for action in connector["actions"].as_array().unwrap() {
            for name in ["arguments", "results"] {
                assert_eq!(action[name]["type"], "object", "{}", action["command"]);
            }
            let command = action["command"].as_str().unwrap();
            actions.insert(command.to_owned(), action["uuid"].clone());
        }
        let name = connector["name"].as_str().unwrap();
        found.insert(
            name.to_owned(),
            json!({ "uuid": connector["uuid"], "actions": actions }),
        );
        for secret in connector["secrets"].as_array().unwrap() {
            let is_own = connector["configuration"]["properties"]
                .get(secret.as_str().unwrap())
                .is_some();
            assert!(is_own || secret == "sekoia_api_key", "{name}: {secret}");
        }
    }
    assert_eq!(Json::Object(found), published);
}
