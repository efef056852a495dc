use serde_json::{Value as Json, json};

use super::stage::{Stage, file, in_days, object, sample, sha256};
use crate::support::{run_with_input, write};

fn tenant() -> Stage {
    let mut stage = Stage::start(paloalto::connector(), &["api_key"]);
    // As configurations of other playbooks are.
    let fields = stage.configuration.as_object_mut().unwrap();
    fields.retain(|name, _| {
        ["fqdn", "api_key", "api_key_id", "advanced_api_key"].contains(&name.as_str())
    });
    stage
}

#[test]
fn block_malicious_files_needs_no_comment_and_no_incident_and_can_be_repeated() {
    let stage = tenant();
    let objects = sample();
    let played = stage.push("block_malicious_files", &json!({}), &objects);
    let report = played.results();
    assert_eq!(report["blocked_files_count"], 45, "{report}");
    assert_eq!(report["skipped"]["unsupported"], 268, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("45 entries have an end that nobody records"),
        "{warnings}"
    );
    assert_eq!(stage.ours("xdr-blocklist").len(), 45);
    let again = stage.push("block_malicious_files", &json!({}), &objects);
    assert_eq!(again.results()["blocked_files_count"], 0, "{again:?}");
    assert_eq!(again.results()["skipped"]["foreign"], 45, "{again:?}");
}

#[test]
fn block_malicious_files_sends_every_group_and_the_comment() {
    let stage = tenant();
    // Among known ones, so that some calls hold nothing new.
    let all: Vec<Json> = (0..250)
        .map(|number| object(&file(number), &json!({})))
        .collect();
    stage.push("block_malicious_files", &json!({}), &all[..120]);
    let arguments = json!({ "comment": "from case 7", "incident_id": "15" });
    let played = stage.push("block_malicious_files", &arguments, &all);
    assert_eq!(played.results()["blocked_files_count"], 130, "{played:?}");
    assert_eq!(stage.ours("xdr-blocklist").len(), 250);
    let bodies = stage.bodies("POST", "/hash_exceptions/blocklist");
    for body in &bodies {
        assert!(body["request_data"]["hash_list"].as_array().unwrap().len() <= 100);
    }
    let last = &bodies.last().unwrap()["request_data"];
    assert!(
        last["comment"].as_str().unwrap().contains("from case 7"),
        "{last}"
    );
    assert_eq!(last["incident_id"], json!(15), "{last}");
}

#[test]
fn block_malicious_files_without_a_hash_is_no_failure_and_flattens_no_and() {
    let stage = tenant();
    let both = format!(
        "[file:hashes.'SHA-256' = '{}' AND file:name = 'a']",
        sha256(0)
    );
    let twice = format!(
        "[file:hashes.'SHA-256' = '{}' OR file:hashes.'SHA-256' = '{}']",
        sha256(1),
        sha256(1).to_uppercase()
    );
    let none = [
        object("[ipv4-addr:value = '45.83.0.1']", &json!({})),
        object(&both, &json!({})),
        object(
            &file(2),
            &json!({ "valid_from": in_days(-9), "valid_until": in_days(-1) }),
        ),
        object(&file(3), &json!({ "revoked": true })),
    ];
    let played = stage.push("block_malicious_files", &json!({}), &none);
    assert_eq!(played.results()["blocked_files_count"], 0, "{played:?}");
    let warnings = played.results()["warnings"].to_string();
    assert!(
        warnings.contains("2 revoked or ended values are left"),
        "{warnings}"
    );
    let refused = json!({ "accept_unbounded": false });
    let objects = [object(&file(4), &json!({ "valid_until": null }))];
    let played = stage.push("block_malicious_files", &refused, &objects);
    assert!(played.error().contains("needs a store"), "{played:?}");
    let played = stage.push("block_malicious_files", &json!({}), &[]);
    assert_eq!(played.results()["blocked_files_count"], 0, "{played:?}");
    let played = stage.push(
        "block_malicious_files",
        &json!({}),
        &[object(&twice, &json!({}))],
    );
    assert_eq!(played.results()["blocked_files_count"], 1, "{played:?}");
    assert_eq!(
        stage.ours("xdr-blocklist"),
        [format!("sha256:{}", sha256(1))]
    );
}

#[test]
fn block_malicious_files_with_a_store_takes_down_what_is_revoked_and_what_ends() {
    let stage = tenant();
    let directory = tempfile::tempdir().unwrap();
    let play = |objects: &[Json]| {
        write(
            directory.path(),
            "objects.json",
            &json!(objects).to_string(),
        );
        let input = json!({
            "arguments": { "stix_objects_path": "objects.json" },
            "configuration": stage.configuration,
        });
        let arguments = [
            "run",
            "paloalto",
            "block_malicious_files",
            "--store",
            "sqlite:cordon.db",
        ];
        let ran = run_with_input(directory.path(), &arguments, &input.to_string());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.json()
    };
    let mut objects = [object(&file(0), &json!({})), object(&file(1), &json!({}))];
    assert_eq!(play(&objects)["blocked_files_count"], 2);
    assert_eq!(
        play(&objects)["requests"]["write"],
        0,
        "a second run writes nothing"
    );
    objects[0]["revoked"] = json!(true);
    objects[1]["valid_until"] = json!(in_days(-1));
    objects[1]["valid_from"] = json!(in_days(-9));
    for object in &mut objects {
        object["modified"] = json!(in_days(0));
    }
    let report = play(&objects);
    assert_eq!(
        (
            &report["removed"]["revoked"],
            &report["blocked_files_count"]
        ),
        (&json!(1), &json!(0)),
        "{report}"
    );
    assert_eq!(stage.ours("xdr-blocklist"), Vec::<String>::new());
}

#[test]
fn block_malicious_files_reports_a_refused_key() {
    let mut stage = tenant();
    stage.configuration["api_key"] = json!("AnotherKeyThatNobodyKnowsAnythingOf");
    let played = stage.push(
        "block_malicious_files",
        &json!({}),
        &[object(&file(0), &json!({}))],
    );
    assert!(!played.error().is_empty(), "{played:?}");
    assert_eq!(stage.ours("xdr-blocklist"), Vec::<String>::new());
}
