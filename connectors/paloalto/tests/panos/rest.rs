//! The fake against item 47: the REST API.

use serde_json::{Value as Json, json};

use super::{Lab, VSYS, lab, lab_with};

const ADDRESSES: &str = "/restapi/v10.2/Objects/Addresses?location=vsys&vsys=vsys1";

/// Status and body.
async fn rest(lab: &Lab, method: &str, target: &str, body: Json) -> (u16, Json) {
    let headers = format!("x-pan-key: {}\r\n", lab.key());
    let body = match body {
        Json::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let reply = lab.raw(method, target, &headers, &body).await;
    let json = serde_json::from_str(&reply.text).unwrap_or_default();
    (reply.status, json)
}

/// One object that is made.
fn one(name: &str, netmask: &str) -> Json {
    json!({ "entry": [{ "@name": name, "ip-netmask": netmask }] })
}

fn done() -> (u16, Json) {
    let body = json!({ "@status": "success", "@code": "20", "msg": "command succeeded" });
    (200, body)
}

/// Status, code, and code of the cause.
fn refusal((status, body): &(u16, Json)) -> (u16, i64, i64) {
    let cause = &body["details"][0]["causes"][0];
    assert!(cause["description"].as_str().is_some(), "{body}");
    let code = |json: &Json| json.as_i64().unwrap();
    (*status, code(&body["code"]), code(&cause["code"]))
}

#[tokio::test]
async fn item_47_the_key_is_a_header_and_the_version_the_devices() {
    let lab = lab(&[]).await;
    let header = format!("x-pan-key: {}\r\n", lab.key());
    let query: String = url::form_urlencoded::byte_serialize(lab.key().as_bytes()).collect();
    for (target, headers) in [
        (ADDRESSES.to_owned(), ""),
        (ADDRESSES.to_owned(), "x-pan-key: wrong\r\n"),
        (
            ADDRESSES.to_owned(),
            "authorization: Basic YW5hOkNvcnJlY3QmSG9yc2UrMSU=\r\n",
        ),
        (format!("{ADDRESSES}&key={query}"), ""),
    ] {
        let reply = lab.raw("GET", &target, headers, b"").await;
        assert_eq!(reply.status, 403, "{target} {headers}");
        assert!(!reply.has("web-server"));
    }
    let key_twice = format!("{ADDRESSES}&key={query}");
    assert_eq!(lab.raw("GET", &key_twice, &header, b"").await.status, 400);
    for version in ["9.0", "10.2", "v9.1", "v10.1", "v11.1"] {
        let target = ADDRESSES.replace("v10.2", version);
        let answer = rest(&lab, "GET", &target, Json::Null).await;
        assert_eq!(refusal(&answer), (501, 12, 1), "{version}");
    }
    for (version, path) in [("9.0.5", "9.0"), ("9.1.4", "v9.1"), ("11.1.0", "v11.1")] {
        let lab = lab_with(&[], |options| options.set("sw_version", version)).await;
        let target = ADDRESSES.replace("v10.2", path);
        let (status, body) = rest(&lab, "GET", &target, Json::Null).await;
        assert_eq!(status, 200, "{body}");
    }
    let old = lab_with(&[], |options| options.set("sw_version", "8.1.9")).await;
    let target = ADDRESSES.replace("v10.2", "v8.1");
    assert_eq!(rest(&old, "GET", &target, Json::Null).await.0, 501);
    let weak = lab_with(&[], |options| options.set("rights", vec!["op"])).await;
    let answer = rest(&weak, "GET", ADDRESSES, Json::Null).await;
    assert_eq!(refusal(&answer), (403, 7, 16));
}

#[tokio::test]
async fn item_47_location_and_the_same_name_twice_are_needed() {
    let lab = lab(&[]).await;
    let addresses = "/restapi/v10.2/Objects/Addresses";
    let good = one("one", "45.83.0.1");
    for (query, body) in [
        ("name=one", good.clone()),
        ("name=one&location=vsys", good.clone()),
        ("name=one&location=vsys&vsys=vsys9", good.clone()),
        ("name=one&location=predefined", good.clone()),
        (
            "name=one&location=device-group&device-group=Edge",
            good.clone(),
        ),
        ("location=vsys&vsys=vsys1", good.clone()),
        ("name=two&location=vsys&vsys=vsys1", good.clone()),
        ("name=one&name=one&location=vsys&vsys=vsys1", good.clone()),
        (
            "name=one&location=vsys&vsys=vsys1&target=012801000001",
            good.clone(),
        ),
        (
            "name=one&location=vsys&vsys=vsys1",
            json!({ "entry": [{ "ip-netmask": "45.83.0.1" }] }),
        ),
        (
            "name=one&location=vsys&vsys=vsys1",
            json!({ "entry": [{ "@name": "one", "@location": "shared", "ip-netmask": "45.83.0.1" }] }),
        ),
        (
            "name=one&location=vsys&vsys=vsys1",
            json!({ "entry": [good["entry"][0], good["entry"][0]] }),
        ),
        (
            "name=one&location=vsys&vsys=vsys1",
            good["entry"][0].clone(),
        ),
        ("name=one&location=vsys&vsys=vsys1", one("one", "300.1.1.1")),
        (
            "name=one&location=vsys&vsys=vsys1",
            json!({ "entry": [{ "@name": "one", "ip-netmask": 7 }] }),
        ),
    ] {
        let target = format!("{addresses}?{query}");
        let answer = rest(&lab, "POST", &target, body.clone()).await;
        assert_eq!(refusal(&answer), (400, 3, 12), "{query} {body}");
    }
    assert!(!lab.read("get", "/address").await.has("one"));
    // What the device shows of a place may be sent back with it.
    let entry =
        json!({ "@name": "one", "@location": "vsys", "@vsys": "vsys1", "ip-netmask": "45.83.0.1" });
    let target = format!("{ADDRESSES}&name=one");
    assert_eq!(
        rest(&lab, "POST", &target, json!({ "entry": [entry] })).await,
        done()
    );
}

#[tokio::test]
async fn item_47_objects_are_made_once_replaced_and_removed_in_the_candidate() {
    let lab = lab(&[]).await;
    let (first, second) = (one("one", "45.83.0.1"), one("one", "45.83.0.2"));
    let target = format!("{ADDRESSES}&name=one");
    for method in ["GET", "PUT", "DELETE"] {
        let answer = rest(&lab, method, &target, first.clone()).await;
        assert_eq!(refusal(&answer), (404, 5, 7), "{method}");
    }
    assert_eq!(rest(&lab, "POST", &target, first.clone()).await, done());
    assert_eq!(
        refusal(&rest(&lab, "POST", &target, second.clone()).await),
        (409, 6, 8)
    );
    // The XML API reads the same candidate.
    let path = "/address/entry[@name='one']";
    let candidate = lab.read("get", path).await;
    assert!(candidate.has("<ip-netmask>45.83.0.1<") && candidate.has("admin=\"svc-cordon\""));
    assert!(lab.read("show", path).await.has("No such node"));
    assert_eq!(rest(&lab, "PUT", &target, second).await, done());
    let (_, shown) = rest(&lab, "GET", &target, Json::Null).await;
    assert_eq!(shown["@code"], "19");
    let entry = &shown["result"]["entry"][0];
    assert_eq!(entry["ip-netmask"], "45.83.0.2");
    assert_eq!(
        (&entry["@location"], &entry["@vsys"]),
        (&json!("vsys"), &json!("vsys1"))
    );
    assert!(lab.read("get", path).await.has("<ip-netmask>45.83.0.2<"));
    // A group, which then stands in the way of its member's removal.
    let groups = "/restapi/v10.2/Objects/AddressGroups?location=vsys&vsys=vsys1&name=cordon-1";
    let members = json!({ "entry": [{ "@name": "cordon-1", "static": { "member": ["cordon-placeholder", "one"] } }] });
    assert_eq!(rest(&lab, "PUT", groups, members.clone()).await, done());
    let (_, shown) = rest(&lab, "GET", groups, Json::Null).await;
    let wanted = &members["entry"][0]["static"];
    assert_eq!(&shown["result"]["entry"][0]["static"], wanted);
    assert_eq!(
        refusal(&rest(&lab, "DELETE", &target, Json::Null).await),
        (409, 9, 10)
    );
    // Only a commit enforces it, and that is a call of the XML API.
    lab.pass(3600);
    assert!(!lab.blocks("45.83.0.2").await);
    for path in [
        "Device/Commit",
        "Objects/Commit",
        "Commit",
        "Objects/Services",
    ] {
        let target = format!("/restapi/v10.2/{path}?location=vsys&vsys=vsys1&name=x");
        let answer = rest(&lab, "POST", &target, one("x", "45.83.0.3")).await;
        assert_eq!(refusal(&answer).0, 404, "{path}");
    }
    lab.commit("<commit/>").await;
    lab.pass(10);
    assert!(lab.blocks("45.83.0.2").await);
    let alone = json!({ "entry": [{ "@name": "cordon-1", "static": { "member": ["cordon-placeholder"] } }] });
    assert_eq!(rest(&lab, "PUT", groups, alone).await, done());
    assert_eq!(rest(&lab, "DELETE", &target, Json::Null).await, done());
    assert!(lab.read("get", path).await.has("code=\"7\""));
    assert!(lab.blocks("45.83.0.2").await, "not committed");
}

#[tokio::test]
async fn item_47_every_location_and_resource_has_its_section() {
    let lab = lab(&[]).await;
    let resources = [
        ("Addresses", "address", json!({ "fqdn": "bad.example.org" })),
        (
            "AddressGroups",
            "address-group",
            json!({ "dynamic": { "filter": "'a'" } }),
        ),
        (
            "ExternalDynamicLists",
            "external-list",
            json!({ "type": { "ip": { "url": "https://lists.example/x.txt" } } }),
        ),
        ("Tags", "tag", json!({ "color": "color1" })),
    ];
    for (resource, section, fields) in resources {
        for (location, prefix) in [("vsys&vsys=vsys1", VSYS), ("shared", "/config/shared")] {
            let target =
                format!("/restapi/v10.2/Objects/{resource}?location={location}&name=of%20rest");
            let mut entry = fields.clone();
            entry["@name"] = json!("of rest");
            assert_eq!(
                rest(&lab, "POST", &target, json!({ "entry": [entry] })).await,
                done()
            );
            let xpath = format!("{prefix}/{section}/entry[@name='of rest']");
            let fields = [("type", "config"), ("action", "get"), ("xpath", &*xpath)];
            assert!(lab.ask(&fields).await.has("name=\"of rest\""), "{xpath}");
            let all = target.replace("&name=of%20rest", "");
            let (_, shown) = rest(&lab, "GET", &all, Json::Null).await;
            let entries = shown["result"]["entry"].as_array().unwrap();
            assert_eq!(shown["result"]["@count"], entries.len().to_string());
            assert!(
                entries.iter().any(|entry| entry["@name"] == "of rest"),
                "{shown}"
            );
        }
    }
    // A name is a name, whatever stands in it.
    let target = format!("{ADDRESSES}&name=x%27%5D%2Ffqdn%5B%27");
    assert_eq!(rest(&lab, "GET", &target, Json::Null).await.0, 404);
    let panorama = lab_with(&[], |options| {
        options
            .set("panorama", vec!["012801000001"])
            .set("device_group", "Edge EU")
    })
    .await;
    let addresses = "/restapi/v10.2/Objects/Addresses?name=one";
    let target = format!("{addresses}&location=device-group&device-group=Edge%20EU");
    assert_eq!(
        rest(&panorama, "POST", &target, one("one", "45.83.0.1")).await,
        done()
    );
    let target = format!("{addresses}&location=vsys&vsys=vsys1");
    assert_eq!(
        rest(&panorama, "POST", &target, one("one", "45.83.0.1"))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn item_47_what_forbids_changes_forbids_them_here_too() {
    let passive = lab_with(&[], |options| options.set("pair", "passive")).await;
    let target = format!("{ADDRESSES}&name=one");
    let answer = rest(&passive, "POST", &target, one("one", "45.83.0.1")).await;
    assert_eq!(refusal(&answer), (400, 3, 15));
    let lab = lab(&[]).await;
    let lock = "<request><config-lock><add><comment>mine</comment></add></config-lock></request>";
    lab.ana(&[("type", "op"), ("cmd", lock)]).await;
    let (status, body) = rest(&lab, "POST", &target, one("one", "45.83.0.1")).await;
    assert_eq!(status, 400);
    assert!(
        body.to_string().contains("is currently locked by ana"),
        "{body}"
    );
    assert_eq!(rest(&lab, "GET", ADDRESSES, Json::Null).await.0, 200);
}
