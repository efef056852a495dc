//! Groups, their members, and what refers to what.

use super::*;

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
