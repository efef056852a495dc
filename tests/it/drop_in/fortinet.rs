use sdk::Clock;
use sdk::fake::FakeOptions;
use serde_json::{Value as Json, json};

use super::stage::Stage;

/// Two firewalls, configured as other playbooks do: each with its key, the port as text.
fn firewalls() -> Stage {
    let options = FakeOptions::plain(Clock::system()).set("devices", 2);
    let mut stage = Stage::start_with(fortinet::connector(), &[], options);
    let firewalls = stage.configuration["firewalls"].clone();
    stage.configuration = json!({ "firewalls": firewalls });
    stage
}

/// What a firewall has at a path below its objects; `null` where there is nothing.
fn at(stage: &Stage, firewall: usize, path: &str) -> Json {
    let configured = &stage.configuration["firewalls"][firewall];
    let base = configured["base_ip"].as_str().unwrap();
    let key = configured["api_key"].as_str().unwrap();
    let path = format!("/api/v2/cmdb/firewall/{path}?vdom=root");
    let answer = stage.ask_at(base, &path, ("Authorization", &format!("Bearer {key}")));
    answer["results"][0].clone()
}

fn members(stage: &Stage, firewall: usize, group: &str) -> Vec<String> {
    let mut members: Vec<String> = at(stage, firewall, group)["member"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["name"].as_str().unwrap().to_owned())
        .collect();
    members.sort();
    members
}

#[test]
fn add_ip_address_is_marked_idempotent_and_reports_each_firewall() {
    let stage = firewalls();
    let arguments = json!({ "name": "bad host", "ip": "45.83.0.1", "comment": "case 7 <b>" });
    let played = stage.play("fortigate_add_ip_address", &arguments);
    let report = played.results();
    assert_eq!(report["added"], 2, "{report}");
    assert_eq!(report["devices"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(report["json"]["name"], "bad host", "{report}");
    for firewall in 0..2 {
        let object = at(&stage, firewall, "address/bad%20host");
        assert_eq!(object["subnet"], "45.83.0.1 255.255.255.255", "{object}");
        let comment = object["comment"].as_str().unwrap();
        assert!(comment.starts_with("cordon:1;main;manual;-;"), "{comment}");
        assert!(comment.contains("case 7  b"), "{comment}");
    }
    let again = stage.play("fortigate_add_ip_address", &arguments);
    assert_eq!(again.results()["unchanged"], 2, "{again:?}");
    assert_eq!(again.results()["requests"]["write"], 0, "{again:?}");
    let mut other = arguments;
    other["comment"] = json!("case 8");
    let changed = stage.play("fortigate_add_ip_address", &other);
    assert_eq!(changed.results()["updated"], 2, "{changed:?}");
}

#[test]
fn add_ip_address_takes_networks_and_ipv6_and_refuses_what_is_never_blocked() {
    let stage = firewalls();
    for (name, ip, path, field, expected) in [
        (
            "net",
            "45.83.1.0/24",
            "address/net",
            "subnet",
            "45.83.1.0 255.255.255.0",
        ),
        (
            "six",
            "2A03:5F80:1::2",
            "address6/six",
            "ip6",
            "2a03:5f80:1::2/128",
        ),
    ] {
        let played = stage.play(
            "fortigate_add_ip_address",
            &json!({ "name": name, "ip": ip }),
        );
        assert_eq!(played.results()["added"], 2, "{played:?}");
        assert_eq!(at(&stage, 1, path)[field], expected);
    }
    for (name, ip) in [
        ("a", "45.83.0.1/32/32"),
        ("a", "bad.example.net"),
        ("a", ""),
        ("a", "10.0.0.1"),
        ("a", "0.0.0.0/0"),
        ("a", "45.83.1.7/24"),
        ("", "45.83.0.1"),
        ("a'b", "45.83.0.1"),
    ] {
        let played = stage.play(
            "fortigate_add_ip_address",
            &json!({ "name": name, "ip": ip }),
        );
        assert!(!played.error().is_empty(), "{name} {ip}");
    }
    let writes = stage.bodies("POST", "/cmdb/firewall/address").len();
    assert_eq!(writes, 2, "on each firewall one for each object");
}

#[test]
fn both_spellings_of_the_associated_interface_take_effect() {
    let stage = firewalls();
    for (name, spelling) in [
        ("one", "associated-interface"),
        ("two", "associated_interface"),
    ] {
        let mut arguments = json!({ "name": name, "fqdn": "Evil.Cordon-Contract.com" });
        arguments[spelling] = json!("wan1");
        let played = stage.play("fortigate_add_fqdn", &arguments);
        assert_eq!(played.results()["added"], 2, "{played:?}");
        let object = at(&stage, 0, &format!("address/{name}"));
        assert_eq!(object["associated-interface"], "wan1", "{object}");
        assert_eq!(object["fqdn"], "evil.cordon-contract.com", "{object}");
        assert_eq!(object["type"], "fqdn", "{object}");
    }
    let any =
        json!({ "name": "three", "fqdn": "c.cordon-contract.com", "associated-interface": "" });
    assert_eq!(stage.play("fortigate_add_fqdn", &any).results()["added"], 2);
    // The names below one, and what is no name at all.
    let below = json!({ "name": "five", "fqdn": "*.Cordon-Contract.com" });
    assert_eq!(
        stage.play("fortigate_add_fqdn", &below).results()["added"],
        2
    );
    let object = at(&stage, 0, "address/five");
    assert_eq!(object["fqdn"], "*.cordon-contract.com", "{object}");
    for protected in ["*.com", "*.co.uk"] {
        let wide = json!({ "name": "six", "fqdn": protected });
        let played = stage.play("fortigate_add_fqdn", &wide);
        assert!(played.error().contains("never blocked"), "{played:?}");
    }
    let wrong = json!({ "name": "four", "fqdn": "evil*.cordon-contract.com" });
    assert!(
        stage
            .play("fortigate_add_fqdn", &wrong)
            .error()
            .contains("fqdn")
    );
}

#[test]
fn a_name_that_stands_for_something_else_is_a_failure_and_is_not_changed() {
    let stage = firewalls();
    let first = json!({ "name": "shared", "ip": "45.83.0.1" });
    stage.play("fortigate_add_ip_address", &first);
    let played = stage.play(
        "fortigate_add_ip_address",
        &json!({ "name": "shared", "ip": "45.83.0.2" }),
    );
    assert!(played.error().contains("45.83.0.1"), "{played:?}");
    assert_eq!(
        at(&stage, 0, "address/shared")["subnet"],
        "45.83.0.1 255.255.255.255"
    );
}

#[test]
fn a_failure_is_a_failure_on_the_firewall_that_failed() {
    let mut stage = firewalls();
    let good = stage.configuration["firewalls"][1]["api_key"].clone();
    stage.configuration["firewalls"][1]["api_key"] = json!("a-key-that-nobody-gave");
    let arguments = json!({ "name": "half", "ip": "45.83.0.3" });
    let played = stage.play("fortigate_add_ip_address", &arguments);
    let report = played.results();
    assert_eq!(report["status"], "partial", "{report}");
    assert_eq!(played.end["outputs"], json!({ "partial": true }));
    let devices = report["devices"].as_array().unwrap();
    assert_eq!(devices[0]["status"], "ok", "{report}");
    assert_eq!(devices[1]["status"], "failed", "{report}");
    let mut strict = arguments;
    strict["fail_on"] = json!("failed,partial");
    let played = stage.play("fortigate_add_ip_address", &strict);
    assert!(played.error().contains("key"), "{played:?}");
    stage.configuration["firewalls"][1]["api_key"] = good;
    stage.fake.state.set_capacity(0);
    let played = stage.play(
        "fortigate_add_ip_address",
        &json!({ "name": "full", "ip": "45.83.0.4" }),
    );
    assert!(played.error().contains("no room"), "{played:?}");
}

#[test]
fn add_group_address_adds_members_one_by_one_and_takes_none_out() {
    let stage = firewalls();
    for (name, ip) in [("a", "45.83.0.1"), ("b/c", "45.83.0.2"), ("d", "45.83.0.3")] {
        stage.play(
            "fortigate_add_ip_address",
            &json!({ "name": name, "ip": ip }),
        );
    }
    let made = json!({ "name": "block list", "member": ["a", "b/c", "a"] });
    let played = stage.play("fortigate_add_group_address", &made);
    let report = played.results();
    assert_eq!(report["added"], 4, "{report}");
    assert_eq!(report["objects"], json!(["a", "b/c"]), "{report}");
    assert_eq!(members(&stage, 1, "addrgrp/block%20list"), ["a", "b/c"]);
    let group = at(&stage, 0, "addrgrp/block%20list");
    assert!(
        group["comment"]
            .as_str()
            .unwrap()
            .starts_with("cordon-feed:1;main;manual;"),
        "{group}"
    );

    // A list may come as its text.
    let more = json!({ "name": "block list", "member": "[\"d\", \"a\"]" });
    let played = stage.play("fortigate_add_group_address", &more);
    assert_eq!(
        (&played.results()["added"], &played.results()["unchanged"]),
        (&json!(2), &json!(2)),
        "{played:?}"
    );
    assert_eq!(
        members(&stage, 0, "addrgrp/block%20list"),
        ["a", "b/c", "d"]
    );
    assert!(
        stage.bodies("PUT", "/addrgrp").is_empty(),
        "the list as a whole is never written"
    );
    let again = stage.play("fortigate_add_group_address", &more);
    assert_eq!(again.results()["requests"]["write"], 0, "{again:?}");
}

#[test]
fn add_group_address_with_a_member_that_is_not_there_is_a_failure() {
    let stage = firewalls();
    for members in [json!(["nobody"]), json!([]), json!(["g"]), json!([""])] {
        let arguments = json!({ "name": "g", "member": members });
        let played = stage.play("fortigate_add_group_address", &arguments);
        assert!(played.error().contains("member"), "{played:?}");
    }
    assert_eq!(at(&stage, 0, "addrgrp/g"), Json::Null);
}

#[test]
fn an_ipv6_object_goes_into_an_ipv6_group() {
    let stage = firewalls();
    stage.play(
        "fortigate_add_ip_address",
        &json!({ "name": "six", "ip": "2a03:5f80:1::2" }),
    );
    stage.play(
        "fortigate_add_ip_address",
        &json!({ "name": "four", "ip": "45.83.0.1" }),
    );
    let played = stage.play(
        "fortigate_add_group_address",
        &json!({ "name": "g6", "member": ["six"] }),
    );
    assert_eq!(played.results()["added"], 2, "{played:?}");
    assert_eq!(members(&stage, 0, "addrgrp6/g6"), ["six"]);
    let mixed = json!({ "name": "g", "member": ["six", "four"] });
    assert!(
        stage
            .play("fortigate_add_group_address", &mixed)
            .error()
            .contains("not both")
    );
}

#[test]
fn dry_run_shows_and_makes_nothing() {
    let stage = firewalls();
    let arguments = json!({ "name": "a", "ip": "45.83.0.1", "dry_run": true });
    assert_eq!(
        stage.play("fortigate_add_ip_address", &arguments).results()["added"],
        2
    );
    assert_eq!(at(&stage, 0, "address/a"), Json::Null);
}

#[test]
fn an_object_of_two_owners_carries_both_marks() {
    let stage = firewalls();
    let arguments = |deployment: &str, comment: &str| {
        json!({
            "name": "two", "ip": "45.83.0.1", "deployment": deployment, "comment": comment,
        })
    };
    let add = |arguments: &Json| stage.play("fortigate_add_ip_address", arguments);
    add(&arguments("zeta", "case 7"));
    let played = add(&arguments("acme", ""));
    assert_eq!(played.results()["updated"], 2, "{played:?}");
    let comment = at(&stage, 0, "address/two")["comment"].to_string();
    let place = |text: &str| comment.find(text).unwrap_or_else(|| panic!("{comment}"));
    assert!(place(";acme;") < place(";zeta;") && place(";zeta;") < place("case 7"));
    for owner in ["acme", "zeta"] {
        let again = add(&arguments(owner, ""));
        assert_eq!(again.results()["unchanged"], 2, "{again:?}");
        assert_eq!(again.results()["requests"]["write"], 0, "{again:?}");
    }
}

#[test]
fn a_group_that_got_a_part_of_its_members_is_partial() {
    let stage = firewalls();
    for (name, ip) in [("a", "45.83.0.1"), ("b", "45.83.0.2")] {
        stage.play(
            "fortigate_add_ip_address",
            &json!({ "name": name, "ip": ip }),
        );
    }
    let add = |members: Json| {
        let arguments = json!({ "name": "g", "member": members });
        stage.play("fortigate_add_group_address", &arguments)
    };
    add(json!(["a"]));
    let played = add(json!(["b", "nobody"]));
    let report = played.results();
    assert_eq!(
        (&report["status"], &report["added"]),
        (&json!("partial"), &json!(2)),
        "{report}"
    );
    assert_eq!(members(&stage, 0, "addrgrp/g"), ["a", "b"]);
    assert!(add(json!(["nobody"])).error().contains("firewalls failed"));
}

#[test]
fn objects_and_groups_mind_a_pause_and_other_runs() {
    let stage = firewalls();
    stage.play(
        "fortigate_add_ip_address",
        &json!({ "name": "a", "ip": "45.83.0.1" }),
    );
    let mut key = stage.key();
    key.mechanism = "address-object";
    for (action, arguments, path) in [
        (
            "fortigate_add_ip_address",
            json!({ "name": "b", "ip": "45.83.0.2" }),
            "address/b",
        ),
        (
            "fortigate_add_group_address",
            json!({ "name": "g", "member": ["a"] }),
            "addrgrp/g",
        ),
    ] {
        let report = stage.act(action, &arguments, &stage.paused()).unwrap();
        assert_eq!(report["added"], 2, "{report}");
        assert_eq!(report["warnings"].as_array().unwrap().len(), 1, "{report}");
        assert!(
            report["warnings"][0]
                .as_str()
                .unwrap()
                .contains("maintenance"),
            "{report}"
        );
        assert_eq!(at(&stage, 0, path), Json::Null);
        let report = stage.act(action, &arguments, &stage.busy(&key)).unwrap();
        assert_eq!(report["status"], "partial", "{report}");
        let error = report["devices"][0]["error"].as_str().unwrap();
        assert!(error.contains("another run"), "{report}");
        assert_eq!(at(&stage, 0, path), Json::Null);
        assert_ne!(
            at(&stage, 1, path),
            Json::Null,
            "the other firewall is free"
        );
    }
}
