//! The vendor file's conformance list, item by item, on raw requests.

mod access;
mod feeds;
mod groups;
mod objects;
mod transactions;
mod url_filters;

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
const URL_FILTER: &str = "/api/v2/cmdb/webfilter/urlfilter";
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
    let headers: Vec<(&str, &str)> = authorization
        .iter()
        .map(|value| ("Authorization", value.as_str()))
        .collect();
    device.handle(&Ask::new(method, target, &headers, body.as_bytes()))
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
