//! The vendor file's conformance list for bans, pulls and restarts, on raw requests.

use chrono::{DateTime, TimeDelta};
use sdk::Clock;
use sdk::fake::FakeOptions;
use serde_json::{Value as Json, json};

use super::*;
use crate::fake::{SETTINGS, Settings, profile};

const BANNED: &str = "/api/v2/monitor/user/banned";
const FEED: &str = "/api/v2/monitor/system/external-resource";

fn device(settings: &[(&str, Json)], switches: &[(&str, &str)]) -> (Device, Clock) {
    let clock = Clock::manual(DateTime::from_timestamp(1_790_000_000, 0).unwrap());
    let mut options = FakeOptions::plain(clock.clone());
    for (name, setting) in settings {
        options = options.set(name, setting.clone());
    }
    for (name, position) in switches {
        options.switches = std::mem::take(&mut options.switches).with(name, position);
    }
    options.check(profile::SWITCHES, &SETTINGS).unwrap();
    let device = Settings::read(&options).unwrap().device(&options, 0);
    (device, clock)
}

fn call(device: &mut Device, method: &str, target: &str, body: &Json) -> (u16, Json) {
    let key = format!("Bearer {}", device.key);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let headers = [("Authorization", key.as_str())];
    let reply = device.handle(&Ask::new(method, target, &headers, body.as_bytes()));
    (
        reply.status,
        serde_json::from_str(&reply.body).unwrap_or(Json::Null),
    )
}

fn ban(device: &mut Device, addresses: &[&str], expiry: Json) -> u16 {
    let body = json!({ "ip_addresses": addresses, "expiry": expiry });
    call(device, "POST", &format!("{BANNED}/add_users"), &body).0
}

fn rows(device: &mut Device) -> Vec<Json> {
    let (status, body) = call(device, "GET", BANNED, &Json::Null);
    assert_eq!(status, 200);
    body["results"].as_array().unwrap().clone()
}

fn row(device: &mut Device, address: &str) -> Option<Json> {
    rows(device)
        .into_iter()
        .find(|row| row["ip_address"] == address)
}

#[test]
fn item_07_bans_need_authgrp() {
    let (mut device, _) = device(&[("rights", json!({ "authgrp": "read" }))], &[]);
    assert_eq!(call(&mut device, "GET", BANNED, &Json::Null).0, 200);
    assert_eq!(ban(&mut device, &["9.8.7.6"], json!(60)), 403);
}

#[test]
fn item_49_a_restart_drops_bans_unless_they_are_persistent() {
    for (persistency, left) in [("disabled", 0), ("permanent-only", 2), ("all", 4)] {
        let (mut device, _) = device(&[("banned_ip_persistency", json!(persistency))], &[]);
        ban(&mut device, &["9.8.7.6"], json!(6_000));
        ban(&mut device, &["9.8.7.7"], json!(0));
        device.bans_after_restart();
        assert_eq!(rows(&mut device).len(), left, "{persistency}");
    }
}

#[test]
fn item_50_rows_are_told_as_the_device_does() {
    let (mut device, _) = device(&[], &[]);
    ban(&mut device, &["2600::1"], json!(0));
    let told = row(&mut device, "2600:0000:0000:0000:0000:0000:0000:0001").unwrap();
    assert_eq!(
        (&told["ipv6"], &told["source"]),
        (&json!(1), &json!("Administrative"))
    );
    assert!(told.get("expires").is_none(), "for ever");
    let sources: Vec<String> = rows(&mut device)
        .iter()
        .map(|row| row["source"].as_str().unwrap().to_owned())
        .collect();
    assert!(sources.iter().any(|source| source == "IPS"), "{sources:?}");
}

#[test]
fn item_51_ends_pass_and_bad_ends_and_networks_are_refused() {
    let (mut device, clock) = device(&[], &[]);
    assert_eq!(ban(&mut device, &["9.8.7.6"], json!(120)), 200);
    clock.advance(TimeDelta::seconds(119));
    assert!(row(&mut device, "9.8.7.6").is_some());
    clock.advance(TimeDelta::seconds(1));
    assert!(row(&mut device, "9.8.7.6").is_none());
    assert_eq!(ban(&mut device, &["9.8.7.6"], json!(-1)), 424);
    assert_eq!(ban(&mut device, &["9.8.7.6"], json!("60")), 424);
    assert_eq!(ban(&mut device, &["9.8.7.0/24"], json!(60)), 424);
    let (mut lenient, _) = self::device(&[], &[("ban-network", "ignored")]);
    assert_eq!(ban(&mut lenient, &["9.8.7.0/24"], json!(60)), 200);
    assert_eq!(rows(&mut lenient).len(), 2, "only the device's own");
}

#[test]
fn item_52_a_second_ban_replaces_keeps_or_stands_beside() {
    for (position, ends) in [
        ("replaced", vec![600]),
        ("kept", vec![60]),
        ("duplicated", vec![60, 600]),
    ] {
        let (mut device, clock) =
            device(&[("device_bans", json!(false))], &[("ban-again", position)]);
        ban(&mut device, &["9.8.7.6"], json!(60));
        ban(&mut device, &["9.8.7.6"], json!(600));
        let now = clock.now().timestamp();
        let held: Vec<i64> = rows(&mut device)
            .iter()
            .map(|row| row["expires"].as_i64().unwrap() - now)
            .collect();
        assert_eq!(held, ends, "{position}");
    }
}

#[test]
fn item_53_clearing_the_absent_succeeds_and_clear_all_spares_nobody() {
    let (mut device, _) = device(&[], &[]);
    let absent = json!({ "ip_addresses": ["9.8.7.6"] });
    assert_eq!(
        call(
            &mut device,
            "POST",
            &format!("{BANNED}/clear_users"),
            &absent
        )
        .0,
        200
    );
    assert_eq!(rows(&mut device).len(), 2);
    assert_eq!(
        call(
            &mut device,
            "POST",
            &format!("{BANNED}/clear_all"),
            &json!({})
        )
        .0,
        200
    );
    assert_eq!(rows(&mut device).len(), 0);
    let (mut strict, _) = self::device(&[], &[("ban-clear-missing", "refused")]);
    assert_eq!(
        call(
            &mut strict,
            "POST",
            &format!("{BANNED}/clear_users"),
            &absent
        )
        .0,
        424
    );
}

#[test]
fn item_54_check_came_later() {
    let asked = format!("{BANNED}/check?ip_address=9.8.7.6");
    let (mut old, _) = device(&[("profile", json!("6.4.14"))], &[]);
    assert_eq!(call(&mut old, "GET", &asked, &Json::Null).0, 404);
    let (mut new, _) = device(&[("profile", json!("7.6.5"))], &[]);
    ban(&mut new, &["9.8.7.6"], json!(60));
    let (status, body) = call(&mut new, "GET", &asked, &Json::Null);
    assert_eq!((status, &body["results"]["is_banned"]), (200, &json!(true)));
}

#[test]
fn item_48_a_pull_goes_from_start_to_finished_and_a_failed_one_keeps_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("publish", json!(folder.path()))];
    let (mut device, clock) = device(&settings, &[]);
    let refresh = |device: &mut Device, only_check: bool| {
        let body = json!({ "mkey": "cordon-list-ip", "check_status_only": only_check });
        call(device, "POST", &format!("{FEED}/refresh"), &body).1["results"]["status"].clone()
    };
    let entries = |device: &mut Device| {
        let asked = format!("{FEED}/entry-list?mkey=cordon-list-ip");
        call(device, "GET", &asked, &Json::Null).1["results"].clone()
    };
    let file = folder.path().join("cordon-list-ip.txt");
    std::fs::write(&file, "# a comment\n9.8.7.6\n\nnonsense\n").unwrap();
    assert_eq!(refresh(&mut device, false), "start");
    assert_eq!(
        entries(&mut device)["entries"],
        json!([]),
        "still the old list"
    );
    assert_eq!(refresh(&mut device, true), "pending");
    clock.advance(TimeDelta::seconds(5));
    assert_eq!(refresh(&mut device, true), "finished");
    let told = entries(&mut device);
    assert_eq!(
        (&told["valid_count"], &told["invalid_count"]),
        (&json!(1), &json!(1))
    );
    std::fs::remove_file(&file).unwrap();
    refresh(&mut device, false);
    clock.advance(TimeDelta::seconds(5));
    assert_eq!(refresh(&mut device, true), "error");
    let told = entries(&mut device);
    assert_eq!(
        (&told["status"], &told["http_status_code"]),
        (&json!("error"), &json!(404))
    );
    assert_eq!(told["valid_count"], 1, "the last list stays");
    // At its refresh rate it pulls by itself.
    std::fs::write(&file, "9.8.7.7\n9.8.7.8\n").unwrap();
    clock.advance(TimeDelta::minutes(5));
    assert_eq!(entries(&mut device)["valid_count"], 2);
}
