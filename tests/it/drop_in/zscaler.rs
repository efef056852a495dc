use std::sync::Arc;

use sdk::indicator::Kind;
use sdk::store::MemoryStore;
use serde_json::json;

use super::stage::{Stage, in_days, object, sample};

fn tenant() -> Stage {
    let mut stage = Stage::start(zscaler::connector(), &["password", "api_key"]);
    stage.configuration["ipv4"] = json!(true);
    stage
}

/// A tenant as playbooks of Sekoia's own module configure it: its four fields and nothing else.
fn as_upstream() -> Stage {
    let mut stage = Stage::start(zscaler::connector(), &["password", "api_key"]);
    let fields = ["base_url", "username", "password", "api_key"];
    let configuration = stage.configuration.as_object_mut().unwrap();
    configuration.retain(|field, _| fields.contains(&field.as_str()));
    assert_eq!(configuration.len(), fields.len());
    stage
}

#[test]
fn what_upstreams_four_fields_do_not_block_is_no_success() {
    let stage = as_upstream();
    let played = stage.play("zscaler_block_ioc", &json!({ "IoC": "45.83.0.4" }));
    let error = played.error();
    assert!(
        error.contains("45.83.0.4") && error.contains("`ipv4`"),
        "{error}"
    );
    let several = json!({ "IoCs": ["45.83.0.4", "host-1.cordon-contract.com"] });
    let played = stage.play("zscaler_block_ioc", &several);
    let report = played.results();
    assert_eq!(report["status"], "partial", "{report}");
    assert_eq!(
        (&report["added"], &report["failed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(report["skipped"]["unsupported"], 0, "{report}");
    assert!(report["hint"].as_str().unwrap().contains("`ipv4`"));
    let hash = json!({ "IoC": "d41d8cd98f00b204e9800998ecf8427e" });
    let played = stage.play("zscaler_block_ioc", &hash);
    assert!(!played.error().contains("`ipv4`"), "{played:?}");
    let objects = [
        object("[ipv4-addr:value = '45.83.0.4']", &json!({})),
        object(
            "[domain-name:value = 'host-2.cordon-contract.com']",
            &json!({}),
        ),
    ];
    let played = stage.push("zscaler_push_iocs_block", &json!({}), &objects);
    let report = played.results();
    assert_eq!(
        (&report["status"], &report["added"]),
        (&json!("ok"), &json!(1))
    );
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("1 IPv4") && warnings.contains("`ipv4`"),
        "{warnings}"
    );
    assert_eq!(
        stage.ours("url-category"),
        [
            "domain:host-1.cordon-contract.com",
            "domain:host-2.cordon-contract.com"
        ]
    );
}

fn activations(stage: &Stage) -> usize {
    stage
        .fake
        .server
        .log
        .count(|call| call.method == "POST" && call.path.ends_with("/status/activate"))
}

#[test]
fn push_iocs_block_takes_the_sample_and_activates_it() {
    let stage = tenant();
    let arguments = json!({ "sekoia_base_url": "https://app.sekoia.io" });
    let objects = sample();
    let played = stage.push("zscaler_push_iocs_block", &arguments, &objects);
    let report = played.results();
    assert_eq!(report["added"], 268, "{report}");
    assert_eq!(report["skipped"]["unsupported"], 45, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(
        warnings.contains("268 entries have an end that nobody records"),
        "{warnings}"
    );
    assert_eq!(
        stage.ours("url-category").len(),
        268,
        "what is not activated is not enforced"
    );
    assert_eq!(activations(&stage), 1);
    let again = stage.push("zscaler_push_iocs_block", &arguments, &objects);
    assert_eq!(again.results()["unchanged"], 268, "{again:?}");
    assert_eq!(activations(&stage), 1);
}

#[test]
fn push_iocs_block_one_bad_value_does_not_sink_the_rest() {
    let stage = tenant();
    let none = json!({});
    let objects = [
        object(
            "[url:value = 'https://Host-1.Cordon-Contract.com:443/Load']",
            &none,
        ),
        object(
            "[url:value = 'gopher://host-2.cordon-contract.com/']",
            &none,
        ),
        object(
            "[domain-name:value = 'b\u{fc}cher.cordon-contract.com']",
            &none,
        ),
        object("[domain-name:value = 'under_score.com']", &none),
        object("[ipv6-addr:value = '2a03:5f80:1::2']", &none),
        object(
            "[domain-name:resolves_to_refs[0].value = '45.83.0.7']",
            &none,
        ),
        object(
            "[domain-name:value = 'a.cordon-contract.com' AND url:value = 'http://b.cordon-contract.com/']",
            &none,
        ),
        object("[domain-name:value = 'broken", &none),
    ];
    let played = stage.push("zscaler_push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 2, "{played:?}");
    let held = stage.ours("url-category");
    assert_eq!(held.len(), 2, "{held:?}");
    assert!(
        held.contains(&"domain:xn--bcher-kva.cordon-contract.com".to_owned()),
        "{held:?}"
    );
}

#[test]
fn push_iocs_block_never_adds_what_has_ended_and_keeps_what_one_of_two_objects_wants() {
    let stage = tenant();
    let pattern = "[domain-name:value = 'host-1.cordon-contract.com']";
    let ended = "[domain-name:value = 'host-2.cordon-contract.com']";
    let objects = [
        object(pattern, &json!({})),
        object(pattern, &json!({ "revoked": true })),
        object(
            ended,
            &json!({ "valid_from": in_days(-9), "valid_until": in_days(-1) }),
        ),
    ];
    let played = stage.push("zscaler_push_iocs_block", &json!({}), &objects);
    assert_eq!(played.results()["added"], 1, "{played:?}");
    assert_eq!(
        stage.ours("url-category"),
        ["domain:host-1.cordon-contract.com"]
    );
    // Delivered again as ended, it goes.
    let gone = object(
        pattern,
        &json!({ "valid_until": in_days(-1), "valid_from": in_days(-9) }),
    );
    let played = stage.push("zscaler_push_iocs_block", &json!({}), &[gone]);
    assert_eq!(
        stage.ours("url-category"),
        Vec::<String>::new(),
        "{played:?}"
    );
    let refused = json!({ "accept_unbounded": false });
    let played = stage.push("zscaler_push_iocs_block", &refused, &objects);
    assert!(played.error().contains("no store"), "{played:?}");
}

#[test]
fn block_ioc_and_unblock_ioc_take_one_value_and_several() {
    let stage = tenant();
    let played = stage.play(
        "zscaler_block_ioc",
        &json!({ "IoC": "hxxp://Host-1.cordon-contract[.]com/" }),
    );
    assert_eq!(played.results()["added"], 1, "{played:?}");
    let several = json!({ "IoCs": "['host-2.cordon-contract.com', '45.83.0.4']" });
    let played = stage.play("zscaler_block_ioc", &several);
    assert_eq!(played.results()["added"], 2, "{played:?}");
    assert_eq!(activations(&stage), 2);
    assert_eq!(stage.ours("url-category").len(), 3);
    let played = stage.play("zscaler_block_ioc", &several);
    assert_eq!(played.results()["requests"]["write"], 0, "{played:?}");
    let played = stage.play("zscaler_unblock_ioc", &several);
    assert_eq!(played.results()["removed"]["withdrawn"], 2, "{played:?}");
    let held = stage.ours("url-category");
    assert_eq!(held.len(), 1, "{held:?}");
    for action in ["zscaler_block_ioc", "zscaler_unblock_ioc"] {
        let before = stage.fake.server.log.all().len();
        let played = stage.play(action, &json!({ "IoC": "", "IoCs": [] }));
        assert!(played.error().contains("IoC"), "{played:?}");
        assert_eq!(
            stage.fake.server.log.all().len(),
            before,
            "no empty request"
        );
    }
    let protected = stage.play("zscaler_block_ioc", &json!({ "IoC": "192.168.1.1" }));
    assert_eq!(
        protected.results()["skipped"]["protected"],
        1,
        "{protected:?}"
    );
}

#[test]
fn unblock_ioc_leaves_what_an_administrator_typed() {
    let mut stage = tenant();
    stage.configuration["mechanism"] = json!("denylist");
    stage.by_hand("denylist", Kind::Domain, "host-1.cordon-contract.com");
    let value = json!({ "IoC": "host-1.cordon-contract.com" });
    let played = stage.play("zscaler_unblock_ioc", &value);
    assert!(
        played.error().contains("store"),
        "nothing proves it is ours: {played:?}"
    );
    let played = stage.play("zscaler_block_ioc", &value);
    assert_eq!(played.results()["skipped"]["foreign"], 1, "{played:?}");
    let played = stage.play(
        "zscaler_block_ioc",
        &json!({ "IoC": "host-2.cordon-contract.com" }),
    );
    assert_eq!(played.results()["added"], 1, "{played:?}");
    assert_eq!(
        stage.foreign("denylist"),
        ["domain:host-1.cordon-contract.com"]
    );
}

#[test]
fn activate_changes_publishes_what_is_pending_and_waits_for_it() {
    let stage = tenant();
    stage.post("/fake/stage?entry=host-9.cordon-contract.com", &[]);
    let dry = stage.play("zscaler_activate_changes", &json!({ "dry_run": true }));
    assert_eq!(dry.results()["status"], "PENDING", "{dry:?}");
    assert_eq!(activations(&stage), 0);
    let played = stage.play("zscaler_activate_changes", &json!({}));
    assert_eq!(played.results()["status"], "ACTIVE", "{played:?}");
    assert_eq!(activations(&stage), 1);
    let again = stage.play("zscaler_activate_changes", &json!({}));
    assert_eq!(again.results()["status"], "ACTIVE", "{again:?}");
    assert_eq!(activations(&stage), 1, "nothing is pending");
}

#[test]
fn activate_changes_minds_a_pause_and_other_runs() {
    let stage = tenant();
    stage.post("/fake/stage?entry=host-9.cordon-contract.com", &[]);
    let activate =
        |store: &Arc<MemoryStore>| stage.act("zscaler_activate_changes", &json!({}), store);
    let view = activate(&stage.paused()).unwrap();
    assert_eq!(view["status"], "PENDING", "{view}");
    assert!(
        view["warning"].as_str().unwrap().contains("maintenance"),
        "{view}"
    );
    let error = activate(&stage.busy(&stage.key())).unwrap_err();
    assert!(error.to_string().contains("another run"), "{error}");
    assert_eq!(activations(&stage), 0);
}
