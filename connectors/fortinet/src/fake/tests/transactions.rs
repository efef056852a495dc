//! Transactions.

use super::*;

const CMDB: &str = "/api/v2/cmdb";

fn begin(device: &mut Device, body: Json) -> u64 {
    let target = format!("{CMDB}?action=transaction-start&vdom=root");
    let (status, answer) = call(device, "POST", &target, body);
    assert_eq!(status, 200, "{answer}");
    answer["results"]["transaction_id"].as_u64().unwrap()
}

fn end(device: &mut Device, action: &str, id: u64) -> (u16, Json) {
    let target = format!("{CMDB}?action=transaction-{action}");
    call(device, "POST", &target, json!({ "transaction_id": id }))
}

/// A request in a transaction; its status.
fn within(device: &mut Device, id: u64, method: &str, target: &str, body: Json) -> u16 {
    let (key, id) = (format!("Bearer {}", device.key), id.to_string());
    let headers = [("Authorization", key.as_str()), ("X-TRANSACTION-ID", &id)];
    let body = body.to_string();
    let ask = Ask::new(method, target, &headers, body.as_bytes());
    device.handle(&ask).status
}

fn object(name: &str) -> Json {
    json!({ "name": name, "subnet": "1.2.3.4/32" })
}

fn status_of(device: &mut Device, name: &str) -> u16 {
    let target = format!("{ADDRESS}/{name}");
    call(device, "GET", &target, Json::Null).0
}

#[test]
fn item_58_writes_are_invisible_until_the_commit() {
    let mut device = device();
    let id = begin(&mut device, json!({}));
    assert_eq!(within(&mut device, id, "POST", ADDRESS, object("a")), 200);
    let group = json!({ "name": "g", "member": [{ "name": "a" }] });
    assert_eq!(within(&mut device, id, "POST", GROUP, group), 200);
    let target = format!("{ADDRESS}/a");
    assert_eq!(within(&mut device, id, "GET", &target, Json::Null), 200);
    assert_eq!(status_of(&mut device, "a"), 404);
    host(&mut device, "meanwhile", "1.2.3.5");
    // What was refused or only read is no part of what is committed.
    assert_eq!(within(&mut device, id, "POST", ADDRESS, object("a")), 500);
    let pinned = format!("{ADDRESS}/pinned");
    assert_eq!(within(&mut device, id, "GET", &pinned, Json::Null), 200);
    assert_eq!(call(&mut device, "DELETE", &pinned, Json::Null).0, 200);
    assert_eq!(end(&mut device, "commit", id).0, 200);
    assert_eq!(status_of(&mut device, "a"), 200);
    assert_eq!(names(&get(&mut device, GROUP)), ["Servers", "g"]);
    assert_eq!(status_of(&mut device, "meanwhile"), 200);
    assert_eq!(refused(&end(&mut device, "commit", id)).0, 424);
}

#[test]
fn item_58_an_abort_drops_what_was_written() {
    let mut device = device();
    let id = begin(&mut device, json!({}));
    assert_eq!(within(&mut device, id, "POST", ADDRESS, object("a")), 200);
    assert_eq!(end(&mut device, "abort", id).0, 200);
    assert_eq!(status_of(&mut device, "a"), 404);
    assert_eq!(refused(&end(&mut device, "commit", id)).0, 424);
}

#[test]
fn item_58_the_timeout_drops_what_was_written() {
    for (body, seconds) in [(json!({}), 60), (json!({ "timeout": 5 }), 5)] {
        let mut device = device();
        let id = begin(&mut device, body);
        device.clock.advance(TimeDelta::seconds(seconds - 1));
        assert_eq!(within(&mut device, id, "POST", ADDRESS, object("a")), 200);
        device.clock.advance(TimeDelta::seconds(1));
        assert_eq!(within(&mut device, id, "POST", ADDRESS, object("b")), 424);
        assert_eq!(refused(&end(&mut device, "commit", id)).0, 424);
        assert_eq!(status_of(&mut device, "a"), 404);
        assert_eq!(status_of(&mut device, "b"), 404);
    }
}

#[test]
fn item_58_a_commit_writes_all_or_nothing() {
    let mut device = device();
    let id = begin(&mut device, json!({}));
    assert_eq!(within(&mut device, id, "POST", ADDRESS, object("a")), 200);
    assert_eq!(within(&mut device, id, "POST", ADDRESS, object("b")), 200);
    host(&mut device, "b", "1.2.3.5");
    assert_eq!(
        refused(&end(&mut device, "commit", id)),
        (500, Some(-5)),
        "somebody else was first"
    );
    assert_eq!(status_of(&mut device, "a"), 404);
}

#[test]
fn item_58_a_transaction_is_one_vdoms_and_holds_no_other() {
    let mut device = made(&options().set("vdoms", json!(["root", "dmz"])));
    let id = begin(&mut device, json!({}));
    let elsewhere = format!("{ADDRESS}?vdom=dmz");
    assert_eq!(
        within(&mut device, id, "POST", &elsewhere, object("a")),
        424
    );
    let nested = format!("{CMDB}?action=transaction-start");
    assert_eq!(within(&mut device, id, "POST", &nested, json!({})), 424);
    let never = json!({ "timeout": -1 });
    assert_eq!(call(&mut device, "POST", &nested, never).0, 424);
    assert_eq!(
        within(&mut device, id + 1, "POST", ADDRESS, object("a")),
        424
    );
}
