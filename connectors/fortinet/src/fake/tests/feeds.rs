//! Threat feeds: how they are made, pushed into, and read.

use super::*;

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
