use chrono::{DateTime, TimeDelta, Utc};
use sdk::indicator::Kind;
use serde_json::{Value as Json, json};

use super::stage::{Stage, file, in_days, object, sample, sha256};

const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

fn falcon() -> Stage {
    Stage::start(crowdstrike::connector(), &["client_secret"])
}

/// The entries by value, as Falcon has them.
fn entries(stage: &Stage) -> std::collections::BTreeMap<String, Json> {
    let text = |name: &str| stage.configuration[name].as_str().unwrap().to_owned();
    let token = stage.post(
        "/oauth2/token",
        &[
            ("client_id", &text("client_id")),
            ("client_secret", &text("client_secret")),
        ],
    );
    let token: Json = serde_json::from_str(&token).unwrap();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let answer = stage.ask(
        "/iocs/combined/indicator/v1?limit=2000",
        ("Authorization", &bearer),
    );
    answer["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["value"].as_str().unwrap().to_owned(), entry.clone()))
        .collect()
}

#[test]
fn push_iocs_block_takes_the_sample_and_a_second_run_writes_nothing() {
    let stage = falcon();
    let arguments = json!({ "sekoia_base_url": "https://app.sekoia.io/" });
    let objects = sample();
    let played = stage.push("push_iocs_block", &arguments, &objects);
    let report = played.results();
    assert_eq!(report["added"], 45, "{report}");
    assert_eq!(report["skipped"]["unsupported"], 266, "{report}");
    assert_eq!(report["skipped"]["detect-only"], 2, "{report}");
    assert_eq!(stage.ours("ioc").len(), 45);
    let entry = &entries(&stage)[&sha256(7)];
    assert_eq!(entry["action"], "prevent");
    let page = format!(
        "https://app.sekoia.io/intelligence/objects/{}",
        objects[266 + 7]["id"].as_str().unwrap()
    );
    assert!(
        entry["description"].as_str().unwrap().ends_with(&page),
        "{entry}"
    );
    let again = stage.push("push_iocs_block", &arguments, &objects);
    assert_eq!(again.results()["unchanged"], 45, "{again:?}");
    assert_eq!(again.results()["requests"]["write"], 0, "{again:?}");
}

#[test]
fn push_iocs_block_uploads_in_batches() {
    let stage = falcon();
    let objects: Vec<Json> = (0..450)
        .map(|number| object(&file(number), &json!({})))
        .collect();
    let played = stage.push("push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 450, "{played:?}");
    let sizes: Vec<usize> = stage
        .bodies("POST", "/iocs/entities/indicators")
        .iter()
        .map(|body| body["indicators"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes.iter().sum::<usize>(), 450);
    assert!(sizes.iter().all(|size| *size <= 200), "{sizes:?}");
}

#[test]
fn push_iocs_block_removes_a_revoked_value_and_leaves_an_analysts_own() {
    let stage = falcon();
    let theirs = sha256(1);
    stage.by_hand("ioc", Kind::Sha256, &theirs);
    let ours = object(&file(0), &json!({}));
    stage.push("push_iocs_block", &json!({}), std::slice::from_ref(&ours));
    assert_eq!(stage.ours("ioc").len(), 1);
    let mut revoked = ours;
    revoked["revoked"] = json!(true);
    revoked["modified"] = json!(in_days(0));
    let other = object(&file(1), &json!({ "revoked": true }));
    let unknown = object(&file(2), &json!({ "revoked": true }));
    let played = stage.push("push_iocs_block", &json!({}), &[revoked, other, unknown]);
    assert_eq!(played.results()["removed"]["revoked"], 1, "{played:?}");
    assert_eq!(stage.ours("ioc"), Vec::<String>::new());
    assert_eq!(stage.foreign("ioc"), [format!("sha256:{theirs}")]);
}

#[test]
fn push_iocs_block_survives_a_revoked_value_that_is_not_there() {
    let stage = falcon();
    let objects = [
        object(&file(0), &json!({ "revoked": true })),
        object(&file(1), &json!({})),
    ];
    let played = stage.push("push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 1, "{played:?}");
}

#[test]
fn push_iocs_block_survives_a_pattern_that_cannot_be_read_and_flattens_no_and() {
    let stage = falcon();
    let both = format!(
        "[file:hashes.'SHA-256' = '{}' AND file:name = 'a.exe']",
        sha256(3)
    );
    let in_list = format!(
        "[file:hashes.'SHA-256' IN ('{}', '{}')]",
        sha256(4),
        sha256(5).to_uppercase()
    );
    let either = format!(
        "[file:hashes.MD5 = '{MD5}' OR file:hashes.SHA256 = '{}']",
        sha256(6)
    );
    let objects = [
        object("[file:hashes.'SHA-256' = 'h", &json!({})),
        object("", &json!({ "pattern": null })),
        object(&both, &json!({})),
        object(&in_list, &json!({})),
        object(&either, &json!({})),
        object("[ipv4-addr:value = '45.83.0.0/24']", &json!({})),
    ];
    let played = stage.push("push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 4, "{played:?}");
    let mut expected: Vec<String> = (4..7)
        .map(|number| format!("sha256:{}", sha256(number)))
        .collect();
    expected.push(format!("md5:{MD5}"));
    expected.sort();
    assert_eq!(stage.ours("ioc"), expected);
}

#[test]
fn push_iocs_block_sends_neither_what_has_ended_nor_what_begins_later() {
    let stage = falcon();
    let objects = [
        object(
            &file(0),
            &json!({ "valid_until": in_days(-1), "valid_from": in_days(-9) }),
        ),
        object(&file(1), &json!({ "valid_from": in_days(2) })),
        object(&file(2), &json!({})),
    ];
    let played = stage.push("push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 1, "{played:?}");
    assert_eq!(played.results()["skipped"]["waiting"], 1, "{played:?}");
    assert_eq!(stage.ours("ioc"), [format!("sha256:{}", sha256(2))]);
}

#[test]
fn of_one_object_the_newest_version_decides_and_of_one_value_the_latest_end() {
    let stage = falcon();
    let id = json!("indicator--00000000-0000-4000-8000-000000000001");
    let objects = [
        // The newer version of the first is the revoked one, though it stands before.
        object(
            &file(0),
            &json!({ "id": id, "revoked": true, "modified": in_days(0) }),
        ),
        object(&file(0), &json!({ "id": id, "modified": in_days(-3) })),
        object(&file(1), &json!({ "valid_until": in_days(2) })),
        object(&file(1), &json!({ "valid_until": in_days(20) })),
    ];
    let played = stage.push("push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 1, "{played:?}");
    let entry = &entries(&stage)[&sha256(1)];
    let end: DateTime<Utc> = entry["expiration"].as_str().unwrap().parse().unwrap();
    assert!(end > Utc::now() + TimeDelta::days(19), "{entry}");
}

#[test]
fn push_iocs_detect_stops_nothing_and_valid_for_sweeps_nothing() {
    let stage = falcon();
    let none = json!({ "valid_until": null });
    let objects = [
        object(&file(0), &none),
        object("[ipv4-addr:value = '45.83.0.1']", &none),
        object("[ipv6-addr:value = '2a03:5f80:1::2']", &none),
        object("[domain-name:value = 'Host-1.Cordon-Contract.com']", &none),
        object("[url:value = 'http://host-1.cordon-contract.com/']", &none),
    ];
    // As templates write numbers.
    let played = stage.push("push_iocs_detect", &json!({ "valid_for": "30" }), &objects);
    let report = played.results();
    assert_eq!(report["added"], 4, "{report}");
    assert_eq!(
        report["effect"],
        json!({ "prevent": 0, "detect": 4 }),
        "{report}"
    );
    let first = entries(&stage);
    assert_eq!(first.len(), 4);
    for entry in first.values() {
        assert_eq!(entry["action"], "detect", "{entry}");
        let end: DateTime<Utc> = entry["expiration"].as_str().unwrap().parse().unwrap();
        let days = (end - Utc::now()).num_hours();
        assert!((28 * 24..31 * 24).contains(&days), "{entry}");
    }
    assert!(first.contains_key("host-1.cordon-contract.com"));
    let other = object(&file(9), &json!({}));
    let played = stage.push("push_iocs_detect", &json!({ "valid_for": "1" }), &[other]);
    assert_eq!(played.results()["removed"]["withdrawn"], 0, "{played:?}");
    assert_eq!(
        entries(&stage).len(),
        5,
        "what is not delivered again stays until its end"
    );
}

#[test]
fn push_iocs_detect_takes_objects_inline_as_a_list_and_as_a_bundle() {
    let stage = falcon();
    let list = json!({ "stix_objects": [object(&file(0), &json!({}))] });
    assert_eq!(stage.play("push_iocs_detect", &list).results()["added"], 1);
    let bundle = json!({
        "stix_objects": { "type": "bundle", "objects": [object(&file(1), &json!({}))] },
    });
    assert_eq!(
        stage.play("push_iocs_detect", &bundle).results()["added"],
        1
    );
    let text = json!({ "stix_objects": json!([object(&file(2), &json!({}))]).to_string() });
    assert_eq!(stage.play("push_iocs_detect", &text).results()["added"], 1);
    let none = stage.play("push_iocs_detect", &json!({}));
    assert!(none.error().contains("stix_objects"), "{none:?}");
}

#[test]
fn two_playbooks_do_not_sweep_each_others_entries() {
    let stage = falcon();
    let [mine, theirs] = ["acme", "beta"].map(|name| json!({ "deployment": name }));
    stage.push("push_iocs_block", &mine, &[object(&file(0), &json!({}))]);
    let revoked = object(&file(0), &json!({ "revoked": true }));
    let played = stage.push("push_iocs_block", &theirs, &[revoked]);
    assert_eq!(played.results()["removed"]["revoked"], 0, "{played:?}");
    assert_eq!(stage.ours("ioc").len(), 1);
}

#[test]
fn block_ioc_and_monitor_ioc_take_a_value_and_its_type() {
    let stage = falcon();
    let (hash, other) = (sha256(0), sha256(1));
    for (action, value, kind, shown) in [
        ("block_ioc", hash.as_str(), "sha256", "prevent"),
        ("block_ioc", MD5, "md5", "prevent"),
        ("monitor_ioc", other.as_str(), "sha256", "detect"),
        (
            "monitor_ioc",
            "evil[.]cordon-contract[.]com",
            "domain",
            "detect",
        ),
        ("monitor_ioc", "45.83.0.9", "ipv4", "detect"),
        ("monitor_ioc", "2A03:5F80:1:0::9", "ipv6", "detect"),
    ] {
        let played = stage.play(action, &json!({ "value": value, "type": kind }));
        assert_eq!(played.results()["added"], 1, "{action} {value}: {played:?}");
        let shown_as = played.results()["changes"][0]["value"].as_str().unwrap();
        assert_eq!(entries(&stage)[shown_as]["action"], shown, "{value}");
    }
    assert_eq!(stage.ours("ioc").len(), 6);
    for (action, value, kind) in [
        ("block_ioc", "45.83.0.9", "ipv4"),
        ("block_ioc", "not-a-hash", "sha256"),
        ("monitor_ioc", "45.83.0.0/24", "domain"),
        ("monitor_ioc", "45.83.0.9", "sha512"),
        ("monitor_ioc", "' or 1", "ipv4"),
    ] {
        let played = stage.play(action, &json!({ "value": value, "type": kind }));
        assert!(!played.error().is_empty(), "{action} {value}");
    }
    let protected = stage.play(
        "monitor_ioc",
        &json!({ "value": "10.0.0.1", "type": "ipv4" }),
    );
    assert_eq!(
        protected.results()["skipped"]["protected"],
        1,
        "{protected:?}"
    );
    assert_eq!(stage.ours("ioc").len(), 6);
}

#[test]
fn what_is_blocked_is_not_weakened_by_being_monitored() {
    let mut stage = falcon();
    let hash = sha256(0);
    let action = |stage: &Stage| entries(stage)[&hash]["action"].clone();
    let arguments = json!({ "value": hash, "type": "sha256" });
    stage.play("block_ioc", &arguments);
    let played = stage.play("monitor_ioc", &arguments);
    assert_eq!(played.results()["added"], 1, "its mark joins: {played:?}");
    assert_eq!(action(&stage), "prevent");
    let played = stage.play("monitor_ioc", &arguments);
    assert_eq!(played.results()["unchanged"], 1, "{played:?}");
    // The monitoring owner leaves: what the other one prevents stays so.
    let off = json!({ "values": [hash], "deployment": "detect" });
    for mechanism in ["ioc-detect", "ioc"] {
        stage.configuration["mechanism"] = json!(mechanism);
        stage.play("monitor_ioc", &arguments);
        let played = stage.play("unblock", &off);
        assert_eq!(played.results()["removed"]["withdrawn"], 1, "{played:?}");
        assert_eq!(action(&stage), "prevent", "{mechanism}");
    }
    assert_eq!(action(&stage), "prevent");
    stage.play("monitor_ioc", &arguments);
    let played = stage.play("unblock", &json!({ "values": [hash] }));
    assert_eq!(played.results()["removed"]["withdrawn"], 1, "{played:?}");
    // Nobody wants it prevented any more.
    let played = stage.play("monitor_ioc", &arguments);
    assert_eq!(played.results()["updated"], 1, "{played:?}");
    assert_eq!(action(&stage), "detect");
}

#[test]
fn arguments_that_no_playbook_has_are_refused_by_name() {
    let stage = falcon();
    let arguments = json!({ "value": sha256(0), "type": "sha256", "valeu": 1 });
    let played = stage.play("block_ioc", &arguments);
    assert!(played.error().contains("valeu"), "{played:?}");
    let dry = json!({ "value": sha256(0), "type": "sha256", "dry_run": "true" });
    assert_eq!(stage.play("block_ioc", &dry).results()["added"], 1);
    assert_eq!(stage.ours("ioc"), Vec::<String>::new());
}

#[test]
fn no_days_are_no_end_that_has_passed() {
    let stage = falcon();
    let endless = object(&file(0), &json!({ "valid_until": null }));
    let zero = json!({ "valid_for": "0" });
    let played = stage.push("push_iocs_block", &zero, std::slice::from_ref(&endless));
    assert_eq!(played.results()["added"], 1, "{played:?}");
    let played = stage.push("push_indicators", &zero, &[endless]);
    assert!(played.error().contains("valid_for"), "{played:?}");
    assert_eq!(stage.ours("ioc").len(), 1);
}

#[test]
fn an_address_of_a_platform_is_one() {
    let stage = falcon();
    for wrong in ["javascript:alert(1)", "https://a:b@app.sekoia.io"] {
        let arguments = json!({ "sekoia_base_url": wrong });
        let played = stage.push(
            "push_iocs_block",
            &arguments,
            &[object(&file(0), &json!({}))],
        );
        assert!(played.error().contains("sekoia_base_url"), "{played:?}");
    }
    assert_eq!(stage.ours("ioc"), Vec::<String>::new());
}
