//! Who may ask, and the shape of what is answered.

use super::*;

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
    for (version, position, expected) in [
        ("7.4.8", "off", 200),
        ("7.6.5", "off", 401),
        ("7.6.5", "on", 200),
    ] {
        let mut options = options().set("profile", version);
        options.switches = options.switches.with("query-token", position);
        let mut device = made(&options);
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
        json!({ "fwgrp": "read", "sysgrp": "none", "authgrp": "none", "utmgrp": "none" }),
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
    assert_eq!(call(&mut device, "GET", URL_FILTER, Json::Null).0, 403);
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
fn item_46_large_bodies_are_413() {
    let mut device = made(&options().set("body_limit", 1000));
    let key = device.key.clone();
    assert_eq!(
        raw(&mut device, "POST", DYNAMIC, Some(&key), &"x".repeat(1001)).status,
        413
    );
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
