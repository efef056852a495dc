//! URL filters: tables whose rows have numbers, and the actions of their entries.

use super::*;

const ENTRIES: &str = "/api/v2/cmdb/webfilter/urlfilter/1/entries";

/// A firewall with an empty URL filter of the number 1.
fn filtering() -> Device {
    let mut device = device();
    make(&mut device, URL_FILTER, json!({ "id": 1, "name": "ours" }));
    device
}

fn entries(device: &mut Device) -> Json {
    get(device, &format!("{URL_FILTER}/1"))["results"][0]["entries"].clone()
}

#[test]
fn item_37_an_entry_without_action_is_exempt() {
    let mut device = filtering();
    make(
        &mut device,
        ENTRIES,
        json!({ "id": 7, "url": "evil.example/a" }),
    );
    let row = get(&mut device, &format!("{ENTRIES}/7"))["results"][0].clone();
    assert_eq!(
        (&row["action"], &row["type"], &row["q_origin_key"]),
        (&json!("exempt"), &json!("simple"), &json!(7))
    );
    // Also where the whole list is sent, which takes the place of the one held.
    let whole = json!({ "entries": [
        { "id": 8, "url": "evil.example/b" },
        { "id": 9, "url": "evil.example/c", "action": "block" },
    ] });
    let target = format!("{URL_FILTER}/1");
    assert_eq!(call(&mut device, "PUT", &target, whole).0, 200);
    let held = entries(&mut device);
    let actions: Vec<(&Json, &Json)> = held
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["id"], &row["action"]))
        .collect();
    assert_eq!(
        actions,
        [(&json!(8), &json!("exempt")), (&json!(9), &json!("block"))]
    );
    let target = format!("{ENTRIES}/8");
    assert_eq!(call(&mut device, "DELETE", &target, Json::Null).0, 200);
    assert_eq!(entries(&mut device).as_array().map(Vec::len), Some(1));
}

#[test]
fn item_37_a_simple_entry_has_no_question_mark() {
    let mut device = filtering();
    let url = "evil.example/?a=1";
    let simple = json!({ "id": 7, "url": url, "action": "block" });
    let answer = call(&mut device, "POST", ENTRIES, simple.clone());
    assert_eq!(refused(&answer), (500, Some(-658)));
    let whole = json!({ "id": 2, "entries": [simple] });
    let answer = call(&mut device, "POST", URL_FILTER, whole);
    assert_eq!(refused(&answer), (500, Some(-658)));
    assert_eq!(entries(&mut device), json!([]));
    for (id, kind) in [(7, "wildcard"), (8, "regex")] {
        let entry = json!({ "id": id, "url": url, "type": kind, "action": "block" });
        make(&mut device, ENTRIES, entry);
    }
}

#[test]
fn item_37_rows_have_numbers() {
    let mut device = filtering();
    let named = json!({ "id": "ours", "name": "ours" });
    let answer = call(&mut device, "POST", URL_FILTER, named);
    assert_eq!(refused(&answer), (500, Some(-650)));
    let entry = json!({ "id": "a", "url": "evil.example" });
    let answer = call(&mut device, "POST", ENTRIES, entry);
    assert_eq!(refused(&answer), (500, Some(-650)));
    // By its name or its URL nothing is found, and not even missing.
    for target in [
        format!("{URL_FILTER}/ours"),
        format!("{ENTRIES}/evil.example"),
    ] {
        for method in ["GET", "DELETE"] {
            let answer = call(&mut device, method, &target, Json::Null);
            assert_eq!(refused(&answer), (500, Some(-651)), "{method} {target}");
        }
    }
    let target = format!("{URL_FILTER}/2");
    assert_eq!(call(&mut device, "GET", &target, Json::Null).0, 404);
}
