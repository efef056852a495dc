//! The vendor file's conformance list, item by item, on raw requests.

use chrono::{DateTime, TimeDelta};
use sdk::Clock;
use sdk::fake::{FakeOptions, Switches};
use serde_json::{Value as Json, json};

use super::device::Device;
use super::wire::{Ask, Reply};
use super::{Settings, profile};

const ADDRESS: &str = "/api/v2/cmdb/firewall/address";
const GROUP: &str = "/api/v2/cmdb/firewall/addrgrp";
const FEED: &str = "/api/v2/cmdb/system/external-resource";
const DYNAMIC: &str = "/api/v2/monitor/system/external-resource/dynamic";
const ENTRIES: &str = "/api/v2/monitor/system/external-resource/entry-list";

fn options() -> FakeOptions {
    FakeOptions::plain(Clock::manual(
        DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
    ))
}

fn made(options: &FakeOptions) -> Device {
    options.check(profile::SWITCHES, &super::SETTINGS).unwrap();
    Settings::read(options).unwrap().device(options, 0)
}

fn device() -> Device {
    made(&options())
}

fn switched(name: &str, position: &str) -> Device {
    let mut options = options();
    options.switches = Switches::default().with(name, position);
    made(&options)
}

fn raw(device: &mut Device, method: &str, target: &str, key: Option<&str>, body: &str) -> Reply {
    let authorization = key.map(|key| format!("Bearer {key}"));
    device.handle(&Ask::new(
        method,
        target,
        authorization.as_deref(),
        body.as_bytes(),
    ))
}

/// A request with the right key; status and JSON of the answer.
fn call(device: &mut Device, method: &str, target: &str, body: Json) -> (u16, Json) {
    let key = device.key.clone();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let reply = raw(device, method, target, Some(&key), &body);
    (
        reply.status,
        serde_json::from_str(&reply.body).unwrap_or(Json::Null),
    )
}

fn get(device: &mut Device, target: &str) -> Json {
    let (status, body) = call(device, "GET", target, Json::Null);
    assert_eq!(status, 200, "{target}: {body}");
    body
}

fn make(device: &mut Device, table: &str, body: Json) {
    let (status, answer) = call(device, "POST", table, body);
    assert_eq!(status, 200, "{answer}");
}

fn host(device: &mut Device, name: &str, address: &str) {
    make(
        device,
        ADDRESS,
        json!({ "name": name, "subnet": format!("{address}/32") }),
    );
}

fn push(device: &mut Device, feed: &str, command: &str, entries: &[&str]) -> Json {
    let body = json!({ "commands": [{ "name": feed, "command": command, "entries": entries }] });
    let (status, answer) = call(device, "POST", DYNAMIC, body);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["status"], "success");
    answer["results"][0].clone()
}

fn held(device: &mut Device, feed: &str) -> Vec<String> {
    get(device, &format!("{ENTRIES}?mkey={feed}"))["results"]["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["entry"].as_str().unwrap().to_owned())
        .collect()
}

fn refused(answer: &(u16, Json)) -> (u16, Option<i64>) {
    assert_eq!(answer.1["status"], "error", "{}", answer.1);
    (answer.0, answer.1["error"].as_i64())
}

fn names(body: &Json) -> Vec<&str> {
    body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect()
}

#[test]
fn what_the_administrator_set_up_is_there() {
    let mut device = device();
    assert_eq!(
        names(&get(&mut device, ADDRESS)),
        ["all", "web-server", "pinned"]
    );
    assert_eq!(names(&get(&mut device, GROUP)), ["Servers"]);
    let feeds = get(&mut device, FEED);
    assert_eq!(
        names(&feeds),
        [
            "corp-watchlist",
            "cordon-ip",
            "cordon-domain",
            "cordon-url",
            "cordon-hash",
            "cordon-list-ip",
            "cordon-list-domain",
            "cordon-list-url",
            "cordon-list-hash"
        ]
    );
}

#[test]
fn item_02_a_wrong_or_missing_key_is_401_without_json() {
    let mut device = device();
    for key in [None, Some("wrong")] {
        let reply = raw(&mut device, "GET", ADDRESS, key, "");
        assert_eq!(reply.status, 401);
        assert!(serde_json::from_str::<Json>(&reply.body).is_err());
    }
}

#[test]
fn item_03_04_lockouts_double_and_hit_the_right_key_with_html() {
    let mut device = device();
    let key = device.key.clone();
    let wrong = |device: &mut Device| raw(device, "GET", ADDRESS, Some("wrong"), "").status;
    assert_eq!(
        [wrong(&mut device), wrong(&mut device), wrong(&mut device)],
        [401, 401, 429]
    );
    let locked = raw(&mut device, "GET", ADDRESS, Some(&key), "");
    assert_eq!((locked.status, locked.content_type), (429, "text/html"));
    device.clock.advance(TimeDelta::seconds(61));
    // The second lockout of the same caller lasts twice as long.
    assert_eq!(
        [wrong(&mut device), wrong(&mut device), wrong(&mut device)],
        [401, 401, 429]
    );
    device.clock.advance(TimeDelta::seconds(61));
    assert_eq!(raw(&mut device, "GET", ADDRESS, Some(&key), "").status, 429);
    device.clock.advance(TimeDelta::seconds(60));
    assert_eq!(raw(&mut device, "GET", ADDRESS, Some(&key), "").status, 200);
    // One success resets the count.
    assert_eq!([wrong(&mut device), wrong(&mut device)], [401, 401]);
    assert_eq!(raw(&mut device, "GET", ADDRESS, Some(&key), "").status, 200);
    assert_eq!(
        [wrong(&mut device), wrong(&mut device), wrong(&mut device)],
        [401, 401, 429]
    );
}

#[test]
fn item_05_the_query_token_is_refused_on_7_6() {
    for (version, expected) in [("7.4.8", 200), ("7.6.5", 401)] {
        let mut device = made(&options().set("profile", version));
        let target = format!("{ADDRESS}?access_token={}", device.key);
        assert_eq!(raw(&mut device, "GET", &target, None, "").status, expected);
    }
}

#[test]
fn item_06_an_untrusted_source_is_401() {
    let mut device = made(&options().set("trusted", false));
    assert_eq!(call(&mut device, "GET", ADDRESS, Json::Null).0, 401);
}

#[test]
fn item_07_rights_are_by_access_group() {
    let mut device = made(&options().set(
        "rights",
        json!({ "fwgrp": "read", "sysgrp": "none", "authgrp": "none" }),
    ));
    assert_eq!(call(&mut device, "GET", ADDRESS, Json::Null).0, 200);
    assert_eq!(
        call(&mut device, "POST", ADDRESS, json!({ "name": "a" })).0,
        403
    );
    assert_eq!(
        call(
            &mut device,
            "DELETE",
            &format!("{ADDRESS}/pinned"),
            Json::Null
        )
        .0,
        403
    );
    assert_eq!(call(&mut device, "GET", FEED, Json::Null).0, 403);
    assert_eq!(
        call(&mut device, "POST", DYNAMIC, json!({ "commands": [] })).0,
        403
    );
    assert_eq!(
        call(
            &mut device,
            "GET",
            "/api/v2/monitor/system/vdom-resource",
            Json::Null
        )
        .0,
        403
    );
    assert_eq!(
        call(
            &mut device,
            "GET",
            "/api/v2/monitor/user/banned",
            Json::Null
        )
        .0,
        403
    );
    assert_eq!(
        call(
            &mut device,
            "GET",
            "/api/v2/monitor/system/status",
            Json::Null
        )
        .0,
        200
    );
}

#[test]
fn item_08_vdoms_are_apart_and_the_management_vdom_is_the_default() {
    let mut device = made(&options().set("vdoms", json!(["root", "dmz"])));
    host(&mut device, "a", "1.2.3.4");
    assert_eq!(
        get(&mut device, &format!("{ADDRESS}/a?vdom=root"))["vdom"],
        "root"
    );
    assert_eq!(
        call(
            &mut device,
            "GET",
            &format!("{ADDRESS}/a?vdom=dmz"),
            Json::Null
        )
        .0,
        404
    );
    assert_eq!(
        call(
            &mut device,
            "GET",
            &format!("{ADDRESS}?vdom=nowhere"),
            Json::Null
        )
        .0,
        403
    );
    device.allowed_vdoms = vec!["root".to_owned()];
    assert_eq!(
        call(
            &mut device,
            "GET",
            &format!("{ADDRESS}?vdom=dmz"),
            Json::Null
        )
        .0,
        403
    );
}

#[test]
fn item_09_several_vdoms_answer_with_an_array() {
    let mut device = made(&options().set("vdoms", json!(["root", "dmz"])));
    for target in ["?vdom=*", "?vdom=root,dmz", "?global=1"] {
        let body = get(&mut device, &format!("{ADDRESS}{target}"));
        assert_eq!(body.as_array().map(Vec::len), Some(2), "{target}");
    }
}

#[test]
fn item_10_one_object_comes_in_an_array() {
    let body = get(&mut device(), &format!("{ADDRESS}/pinned"));
    assert_eq!(body["results"][0]["q_origin_key"], "pinned");
    assert_eq!(body["results"].as_array().map(Vec::len), Some(1));
}

#[test]
fn item_11_monitor_answers_have_an_action_and_no_http_status() {
    let body = get(&mut device(), "/api/v2/monitor/system/status");
    assert_eq!(body["action"], "select");
    assert!(body.get("http_status").is_none());
    assert_eq!(body["version"], "v7.4.8");
}

#[test]
fn item_12_a_missing_object_is_404_without_error() {
    let (status, body) = call(
        &mut device(),
        "GET",
        &format!("{ADDRESS}/nobody"),
        Json::Null,
    );
    assert_eq!((status, body["mkey"].as_str()), (404, Some("nobody")));
    assert!(body.get("error").is_none());
}

#[test]
fn item_13_duplicate_post_is_500_minus_5() {
    for (position, expected) in [("500", 500), ("424", 424)] {
        let mut device = switched("duplicate-status", position);
        host(&mut device, "a", "1.2.3.4");
        let answer = call(&mut device, "POST", ADDRESS, json!({ "name": "a" }));
        assert_eq!(refused(&answer), (expected, Some(-5)));
        assert_eq!(answer.1["revision_changed"], false);
        assert!(answer.1.get("cli_error").is_none());
    }
}

#[test]
fn item_14_addresses_and_groups_share_their_names() {
    let mut device = device();
    host(&mut device, "a", "1.2.3.4");
    let group = call(
        &mut device,
        "POST",
        GROUP,
        json!({ "name": "a", "member": [{ "name": "a" }] }),
    );
    assert_eq!(refused(&group).1, Some(-163));
    let address = call(&mut device, "POST", ADDRESS, json!({ "name": "Servers" }));
    assert_eq!(refused(&address).1, Some(-163));
}

#[test]
fn item_15_too_long_texts_are_refused() {
    for code in ["-1", "-72", "-166", "-651"] {
        let mut device = switched("too-long-code", code);
        for (table, body) in [
            (ADDRESS, json!({ "name": "n".repeat(80) })),
            (ADDRESS, json!({ "name": "n", "comment": "c".repeat(256) })),
            (
                ADDRESS,
                json!({ "name": "n", "type": "fqdn", "fqdn": "f".repeat(256) }),
            ),
            (FEED, json!({ "name": "n".repeat(36), "type": "address" })),
        ] {
            assert_eq!(
                refused(&call(&mut device, "POST", table, body)).1,
                code.parse().ok()
            );
        }
        make(
            &mut device,
            ADDRESS,
            json!({ "name": "n".repeat(79), "comment": "c".repeat(255) }),
        );
    }
}

#[test]
fn item_16_dangerous_names_are_refused_and_bare_slashes_are_paths() {
    let mut device = device();
    for name in ["a<b", "a>b", "a(b", "a)b", "a#b", "a\"b", "a'b"] {
        assert_eq!(
            refused(&call(&mut device, "POST", ADDRESS, json!({ "name": name }))).1,
            Some(-173)
        );
    }
    host(&mut device, "a/b", "1.2.3.4");
    assert_eq!(
        call(&mut device, "DELETE", &format!("{ADDRESS}/a/b"), Json::Null).0,
        404
    );
    assert_eq!(
        call(
            &mut device,
            "DELETE",
            &format!("{ADDRESS}/a%2Fb"),
            Json::Null
        )
        .0,
        200
    );
}

#[test]
fn item_17_subnets_are_taken_as_cidr_and_given_back_with_a_mask() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "a", "subnet": "1.2.3.99/24" }),
    );
    let row = get(&mut device, &format!("{ADDRESS}/a"));
    assert_eq!(row["results"][0]["subnet"], "1.2.3.0 255.255.255.0");
    for (bad, code) in [
        ("2001:db8::1/32", -8),
        ("1.2.3.0/24/32", -9),
        ("1.2.3.0 255.0.255.0", -9),
    ] {
        let answer = call(
            &mut device,
            "POST",
            ADDRESS,
            json!({ "name": "b", "subnet": bad }),
        );
        assert_eq!(refused(&answer).1, Some(code), "{bad}");
    }
}

#[test]
fn item_18_an_address_without_subnet_stands_for_all() {
    let mut device = device();
    make(&mut device, ADDRESS, json!({ "name": "a" }));
    let row = get(&mut device, &format!("{ADDRESS}/a"));
    assert_eq!(row["results"][0]["subnet"], "0.0.0.0 0.0.0.0");
    make(
        &mut device,
        "/api/v2/cmdb/firewall/address6",
        json!({ "name": "a" }),
    );
    let row = get(&mut device, "/api/v2/cmdb/firewall/address6/a");
    assert_eq!(row["results"][0]["ip6"], "::/0");
}

#[test]
fn item_19_bodies_may_be_wrapped() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "json": { "name": "a", "subnet": "1.2.3.4/32" } }),
    );
    host(&mut device, "b", "1.2.3.5");
    assert_eq!(
        get(&mut device, &format!("{ADDRESS}/a"))["results"][0]["name"],
        "a"
    );
}

#[test]
fn item_20_array_bodies_are_refused_or_taken() {
    let body = json!([{ "name": "a" }, { "name": "b" }]);
    let answer = call(&mut device(), "POST", ADDRESS, body.clone());
    assert_eq!(refused(&answer).0, 500);
    assert_eq!(
        call(
            &mut switched("array-body", "accepted"),
            "POST",
            ADDRESS,
            body
        )
        .0,
        200
    );
}

#[test]
fn item_21_broken_json_is_424() {
    let mut device = device();
    let key = device.key.clone();
    assert_eq!(
        raw(&mut device, "POST", ADDRESS, Some(&key), "{\"name\":").status,
        424
    );
    assert_eq!(
        raw(&mut device, "POST", DYNAMIC, Some(&key), "{").status,
        424
    );
}

#[test]
fn item_22_unknown_attributes_and_words_are_refused() {
    let mut device = device();
    for body in [
        json!({ "name": "a", "visibility": "enable" }),
        json!({ "name": "a", "type": "host" }),
        json!({ "name": "a", "color": 33 }),
    ] {
        let answer = call(&mut device, "POST", ADDRESS, body);
        assert!(matches!(refused(&answer), (500, Some(-651 | -650))));
        assert!(answer.1["cli_error"].is_string());
    }
}

#[test]
fn item_23_members_must_exist() {
    let answer = call(
        &mut device(),
        "POST",
        GROUP,
        json!({ "name": "g", "member": [{ "name": "nobody" }] }),
    );
    assert_eq!(refused(&answer), (500, Some(-3)));
}

#[test]
fn item_24_a_group_takes_600_members() {
    let mut device = device();
    for number in 0..601 {
        host(
            &mut device,
            &format!("h{number}"),
            &format!("1.2.{}.{}", number / 250, number % 250),
        );
    }
    let members: Vec<Json> = (0..601)
        .map(|number| json!({ "name": format!("h{number}") }))
        .collect();
    let body = json!({ "name": "g", "member": members });
    assert_eq!(refused(&call(&mut device, "POST", GROUP, body)).1, Some(-4));
    make(
        &mut device,
        GROUP,
        json!({ "name": "g", "member": members[..600] }),
    );
    let more = call(
        &mut device,
        "POST",
        &format!("{GROUP}/g/member"),
        json!({ "name": "h600" }),
    );
    assert_eq!(refused(&more).1, Some(-4));
    let held = get(&mut device, &format!("{GROUP}/g"));
    assert_eq!(
        held["results"][0]["member"].as_array().map(Vec::len),
        Some(600)
    );
}

#[test]
fn item_25_a_full_table_takes_no_more_until_something_goes() {
    let mut device = made(&options().set("address_limit", 4));
    host(&mut device, "a", "1.2.3.4");
    let body = json!({ "name": "b", "subnet": "1.2.3.5/32" });
    assert_eq!(
        refused(&call(&mut device, "POST", ADDRESS, body.clone())),
        (500, Some(-4))
    );
    assert_eq!(
        call(&mut device, "DELETE", &format!("{ADDRESS}/a"), Json::Null).0,
        200
    );
    make(&mut device, ADDRESS, body);
}

#[test]
fn item_26_what_is_referred_to_cannot_go() {
    for (position, expected) in [("500", 500), ("424", 424)] {
        let mut device = switched("in-use-status", position);
        for target in [
            format!("{ADDRESS}/web-server"),
            format!("{GROUP}/Servers"),
            format!("{FEED}/cordon-ip"),
        ] {
            let answer = call(&mut device, "DELETE", &target, Json::Null);
            assert_eq!(refused(&answer), (expected, Some(-23)), "{target}");
            assert!(answer.1["cli_error"].as_str().unwrap().ends_with("-23"));
        }
    }
}

#[test]
fn item_27_deleting_what_is_not_there_is_404() {
    assert_eq!(
        call(
            &mut device(),
            "DELETE",
            &format!("{ADDRESS}/nobody"),
            Json::Null
        )
        .0,
        404
    );
}

#[test]
fn item_28_delete_on_the_collection_purges() {
    for target in [ADDRESS.to_owned(), format!("{ADDRESS}/")] {
        let mut device = device();
        assert_eq!(call(&mut device, "DELETE", &target, Json::Null).0, 200);
        assert_eq!(names(&get(&mut device, ADDRESS)), ["web-server"]);
    }
}

#[test]
fn item_29_put_replaces_members_and_child_calls_do_not() {
    let mut device = device();
    host(&mut device, "a", "1.2.3.4");
    host(&mut device, "b", "1.2.3.5");
    make(
        &mut device,
        GROUP,
        json!({ "name": "g", "member": [{ "name": "a" }] }),
    );
    make(
        &mut device,
        &format!("{GROUP}/g/member"),
        json!({ "name": "b" }),
    );
    let members = |device: &mut Device| {
        get(device, &format!("{GROUP}/g"))["results"][0]["member"].to_string()
    };
    assert!(members(&mut device).contains("\"a\"") && members(&mut device).contains("\"b\""));
    call(
        &mut device,
        "PUT",
        &format!("{GROUP}/g"),
        json!({ "member": [{ "name": "b" }] }),
    );
    assert!(!members(&mut device).contains("\"a\""));
    assert_eq!(
        call(
            &mut device,
            "DELETE",
            &format!("{GROUP}/g/member/b"),
            Json::Null
        )
        .0,
        200
    );
}

#[test]
fn item_30_child_rows_answer_405_minus_5_and_404() {
    let mut device = device();
    let child = format!("{GROUP}/Servers/member/web-server");
    assert_eq!(
        call(&mut device, "PUT", &child, json!({ "name": "web-server" })).0,
        405
    );
    let again = json!({ "name": "web-server" });
    let table = format!("{GROUP}/Servers/member");
    assert_eq!(
        refused(&call(&mut device, "POST", &table, again.clone())).1,
        Some(-5)
    );
    assert_eq!(
        call(
            &mut device,
            "DELETE",
            &format!("{table}/nobody"),
            Json::Null
        )
        .0,
        404
    );
    let mut lenient = switched("child-duplicate", "unchanged");
    let answer = call(&mut lenient, "POST", &table, again);
    assert_eq!(
        (answer.0, &answer.1["revision_changed"]),
        (200, &json!(false))
    );
}

#[test]
fn item_31_groups_may_be_empty_from_7_2_on() {
    for (version, allowed) in [("6.4.14", false), ("7.2.5", true)] {
        let mut device = made(&options().set("profile", version));
        host(&mut device, "a", "1.2.3.4");
        make(
            &mut device,
            GROUP,
            json!({ "name": "g", "member": [{ "name": "a" }] }),
        );
        let answer = call(
            &mut device,
            "DELETE",
            &format!("{GROUP}/g/member/a"),
            Json::Null,
        );
        assert_eq!(answer.0 == 200, allowed, "{version}");
        if !allowed {
            assert_eq!(refused(&answer).1, Some(-56));
        }
    }
}

#[test]
fn item_32_groups_keep_to_their_family() {
    let mut device = device();
    make(
        &mut device,
        "/api/v2/cmdb/firewall/address6",
        json!({ "name": "six", "ip6": "2600::1/128" }),
    );
    host(&mut device, "four", "1.2.3.4");
    let four = call(
        &mut device,
        "POST",
        GROUP,
        json!({ "name": "g", "member": [{ "name": "six" }] }),
    );
    assert_eq!(refused(&four).1, Some(-3));
    let groups6 = "/api/v2/cmdb/firewall/addrgrp6";
    let six = call(
        &mut device,
        "POST",
        groups6,
        json!({ "name": "g", "member": [{ "name": "four" }] }),
    );
    assert_eq!(refused(&six).1, Some(-3));
}

#[test]
fn item_33_filters_ignore_case_and_are_not_anchored() {
    let mut device = device();
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "Cordon-a,b", "comment": "one" }),
    );
    make(
        &mut device,
        ADDRESS,
        json!({ "name": "x-cordon-c", "comment": "two" }),
    );
    let mut found =
        |filter: &str| names(&get(&mut device, &format!("{ADDRESS}?{filter}"))).join(" ");
    assert_eq!(found("filter=name=@cordon-"), "Cordon-a,b x-cordon-c");
    assert_eq!(
        found("filter=name=@cordon-&filter=comment==TWO"),
        "x-cordon-c"
    );
    assert_eq!(found("filter=name==pinned,name==all"), "all pinned");
    assert_eq!(found("filter=name==cordon-a%5C,b"), "Cordon-a,b");
    assert_eq!(found("filter=name!@o"), "all web-server pinned");
    let unknown = format!("{ADDRESS}?filter=name~cordon");
    assert_eq!(
        call(
            &mut switched("unknown-filter-operator", "error"),
            "GET",
            &unknown,
            Json::Null
        )
        .0,
        500
    );
    assert_eq!(call(&mut device, "GET", &unknown, Json::Null).0, 200);
}

#[test]
fn item_34_format_keeps_the_named_fields() {
    let body = get(
        &mut device(),
        &format!("{ADDRESS}/pinned?format=name|subnet"),
    );
    let keys: Vec<&String> = body["results"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "subnet", "q_origin_key"]);
}

#[test]
fn item_35_paging_is_asked_for() {
    let mut device = device();
    let all = get(&mut device, ADDRESS);
    assert_eq!(
        (&all["matched_count"], &all["size"]),
        (&json!(3), &json!(3))
    );
    let page = get(&mut device, &format!("{ADDRESS}?start=1&count=1"));
    assert_eq!(names(&page), ["web-server"]);
    assert_eq!(
        (&page["matched_count"], &page["next_idx"]),
        (&json!(3), &json!(2))
    );
}

#[test]
fn item_36_a_put_without_change_keeps_the_revision() {
    let mut device = device();
    let before = get(&mut device, ADDRESS)["revision"].clone();
    let same = call(
        &mut device,
        "PUT",
        &format!("{ADDRESS}/web-server"),
        json!({ "comment": "intranet" }),
    );
    assert_eq!(
        (&same.1["revision_changed"], &same.1["revision"]),
        (&json!(false), &before)
    );
    let other = call(
        &mut device,
        "PUT",
        &format!("{ADDRESS}/web-server"),
        json!({ "comment": "moved" }),
    );
    assert_eq!(other.1["revision_changed"], true);
    assert_eq!(other.1["old_revision"], before);
}

#[test]
fn item_38_feeds_have_a_free_category_and_a_rate_in_bounds() {
    let mut device = device();
    for (category, name) in [(191, "a"), (222, "b"), (200, "c")] {
        let body = json!({ "name": name, "type": "domain", "category": category });
        assert_eq!(refused(&call(&mut device, "POST", FEED, body)).0, 500);
    }
    make(
        &mut device,
        FEED,
        json!({ "name": "d", "type": "domain", "category": 221 }),
    );
    let rate = json!({ "name": "e", "type": "address", "refresh-rate": 43201 });
    assert_eq!(
        refused(&call(&mut device, "POST", FEED, rate)).1,
        Some(-650)
    );
}

#[test]
fn item_39_there_is_no_push_before_7_2_1() {
    let mut device = made(&options().set("profile", "6.4.14"));
    let body = json!({ "name": "a", "type": "address", "update-method": "push" });
    assert_eq!(
        refused(&call(&mut device, "POST", FEED, body)),
        (500, Some(-651))
    );
    assert_eq!(
        call(&mut device, "POST", DYNAMIC, json!({ "commands": [] })).0,
        404
    );
}

#[test]
fn item_40_42_a_command_can_fail_inside_a_success() {
    let mut device = device();
    let body = json!({ "commands": [
        { "name": "nowhere", "command": "add", "entries": ["1.2.3.4"] },
        { "name": "corp-watchlist", "command": "add", "entries": ["1.2.3.4"] },
        { "name": "cordon-ip", "command": "add", "entries": ["1.2.3.4"] },
    ] });
    let (status, answer) = call(&mut device, "POST", DYNAMIC, body);
    assert_eq!((status, answer["status"].as_str()), (200, Some("success")));
    let told: Vec<&str> = (0..3)
        .map(|index| answer["results"][index]["status"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["error", "error", "success"]);
    assert!(answer["results"][0]["error"].is_string());
    assert_eq!(held(&mut device, "cordon-ip"), ["1.2.3.4"]);
}

#[test]
fn item_41_invalid_lines_are_named_and_the_others_stored() {
    let mut device = device();
    let result = push(
        &mut device,
        "cordon-ip",
        "add",
        &["1.2.3.4", "1.2.3.400", "evil.example"],
    );
    assert_eq!(result["status"], "success");
    assert_eq!(
        result["invalidEntries"],
        json!(["1.2.3.400", "evil.example"])
    );
    assert_eq!(held(&mut device, "cordon-ip"), ["1.2.3.4"]);
}

#[test]
fn item_43_commands_are_objects() {
    assert_eq!(
        call(
            &mut device(),
            "POST",
            DYNAMIC,
            json!({ "commands": ["add"] })
        )
        .0,
        400
    );
}

#[test]
fn item_44_an_empty_snapshot_empties_the_feed() {
    let mut device = device();
    push(&mut device, "cordon-ip", "add", &["1.2.3.4"]);
    push(&mut device, "cordon-ip", "snapshot", &[]);
    assert!(held(&mut device, "cordon-ip").is_empty());
}

#[test]
fn item_45_what_is_beyond_the_quota_is_cut_off_silently() {
    for (version, room) in [("7.2.5", 5), ("7.4.8", 2)] {
        let options = options()
            .set("profile", version)
            .set("feed_limit", json!({ "address": 5 }));
        let mut device = made(&options);
        let lines: Vec<String> = (1..=6).map(|number| format!("1.2.3.{number}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(
            push(&mut device, "cordon-ip", "add", &lines)["status"],
            "success"
        );
        let list = get(&mut device, &format!("{ENTRIES}?mkey=cordon-ip"));
        assert_eq!(list["results"]["overflow"], true);
        // From 7.4.4 on the administrator's own feed of this type comes first.
        assert_eq!(
            list["results"]["entries"].as_array().map(Vec::len),
            Some(room),
            "{version}"
        );
        if version == "7.4.8" {
            assert_eq!(list["results"]["accepted_limit"], 5);
            assert_eq!(list["results"]["accepted_count"], room);
        }
    }
}

#[test]
fn item_46_large_bodies_are_413() {
    let mut device = made(&options().set("body_limit", 1000));
    let key = device.key.clone();
    assert_eq!(
        raw(&mut device, "POST", DYNAMIC, Some(&key), &"x".repeat(1001)).status,
        413
    );
}

#[test]
fn item_47_entries_are_kept_as_they_were_sent() {
    let mut device = device();
    push(
        &mut device,
        "cordon-ip",
        "add",
        &["# note", "", "1.2.3.99/24", "1.2.3.4-1.2.3.9"],
    );
    assert_eq!(
        held(&mut device, "cordon-ip"),
        ["1.2.3.99/24", "1.2.3.4-1.2.3.9"]
    );
    let hash = "d41d8cd98f00b204e9800998ecf8427e";
    let (with, glued) = (format!("{hash} empty"), format!("{hash}_empty"));
    let result = push(&mut device, "cordon-hash", "add", &[&with, &glued]);
    assert_eq!(result["invalidEntries"], json!([glued]));
}

#[test]
fn item_48_entry_list_pages_and_refresh_is_asked_for() {
    let mut device = made(&options().set("entry_page", 2));
    push(
        &mut device,
        "cordon-ip",
        "add",
        &["1.2.3.1", "1.2.3.2", "1.2.3.3"],
    );
    assert_eq!(held(&mut device, "cordon-ip").len(), 2);
    let rest = get(
        &mut device,
        &format!("{ENTRIES}?mkey=cordon-ip&start=2&count=2"),
    );
    assert_eq!(rest["results"]["entries"][0]["entry"], "1.2.3.3");
    let refresh = "/api/v2/monitor/system/external-resource/refresh";
    let started = call(
        &mut device,
        "POST",
        refresh,
        json!({ "mkey": "corp-watchlist" }),
    );
    assert_eq!(started.1["results"]["status"], "start");
    let checked = json!({ "mkey": "corp-watchlist", "check_status_only": true });
    assert_eq!(
        call(&mut device, "POST", refresh, checked).1["results"]["status"],
        "finished"
    );
}

#[test]
fn unknown_push_semantics_are_switches() {
    let twice = |position: &str| {
        let mut device = switched("push-duplicate-add", position);
        push(&mut device, "cordon-ip", "add", &["1.2.3.4"]);
        let answer = push(&mut device, "cordon-ip", "add", &["1.2.3.4", "1.2.3.5"]);
        (
            answer["status"].as_str().unwrap().to_owned(),
            held(&mut device, "cordon-ip").len(),
        )
    };
    assert_eq!(twice("kept-once"), ("success".to_owned(), 2));
    assert_eq!(twice("duplicated"), ("success".to_owned(), 3));
    assert_eq!(twice("command-error"), ("error".to_owned(), 1));
    let missing = |position: &str| {
        let mut device = switched("push-missing-remove", position);
        push(&mut device, "cordon-ip", "add", &["1.2.3.4"]);
        let answer = push(&mut device, "cordon-ip", "remove", &["1.2.3.4", "1.2.3.5"]);
        (
            answer["invalidEntries"].as_array().unwrap().len(),
            held(&mut device, "cordon-ip").len(),
        )
    };
    assert_eq!(missing("ignored"), (0, 0));
    assert_eq!(missing("invalid-entry"), (1, 0));
    assert_eq!(missing("command-error"), (0, 1));
}

#[test]
fn usage_and_limits_are_told() {
    let mut device = device();
    let usage = "/api/v2/monitor/system/object/usage?q_path=firewall&q_name=address&mkey=";
    let used = get(&mut device, &format!("{usage}web-server"));
    assert_eq!(used["results"]["currently_using"][0]["mkey"], "Servers");
    assert_eq!(
        get(&mut device, &format!("{usage}pinned"))["results"]["currently_using"],
        json!([])
    );
    let limits = get(&mut device, "/api/v2/monitor/system/vdom-resource");
    assert_eq!(limits["results"]["firewall-address"]["current_usage"], 3);
}

#[test]
fn foreign_bans_are_listed() {
    let body = get(&mut device(), "/api/v2/monitor/user/banned");
    assert_eq!(body["results"][0]["source"], "IPS");
    assert!(body["results"][1].get("expires").is_none());
}
