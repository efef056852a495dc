//! Lookups and destination groups, which nothing here uses: items 27 to 29.

use serde_json::{Value as Json, json};

use crate::raw::{Lab, Reply, session, texts};

const GROUPS: &str = "/api/v1/ipDestinationGroups";

fn group(name: &str, addresses: &[&str]) -> Json {
    json!({ "name": name, "type": "DSTN_IP", "addresses": addresses })
}

async fn made(lab: &Lab, addresses: &[&str]) -> String {
    let reply = lab.call("POST", GROUPS, group("bad", addresses)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["id"].to_string()
}

async fn addresses(lab: &Lab, id: &str) -> Vec<String> {
    texts(&lab.get(&format!("{GROUPS}/{id}")).await.json()["addresses"])
}

async fn alarms(lab: &Lab) -> usize {
    let told = lab.send("GET", "/fake/verdict?url=x", &[], "").await.json();
    told["alarms"].as_array().unwrap().len()
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

#[tokio::test]
async fn item_27_lookups_know_nothing_of_the_tenants_lists() {
    let lab = session(&[], &[]).await;
    lab.add(&["denied.org"]).await;
    lab.category("own", &["listed.org"]).await;
    lab.activate().await;
    let found = lab
        .call(
            "POST",
            "/api/v1/urlLookup",
            json!(["denied.org", "listed.org"]),
        )
        .await;
    let found = found.json();
    assert_eq!(found.as_array().unwrap().len(), 2);
    for row in found.as_array().unwrap() {
        assert_eq!(
            row["urlClassifications"],
            json!(["MISCELLANEOUS_OR_UNKNOWN"])
        );
        assert_eq!(row["urlClassificationsWithSecurityAlert"], json!([]));
    }
    for (count, status) in [(100, 200), (101, 400)] {
        let urls: Vec<String> = (0..count).map(|number| format!("h{number}.org")).collect();
        let reply = lab.call("POST", "/api/v1/urlLookup", json!(urls)).await;
        assert_eq!(reply.status, status, "{count}");
    }
}

#[tokio::test]
async fn item_28_a_put_replaces_and_only_override_false_appends() {
    let lab = session(&[], &[]).await;
    let id = made(&lab, &["45.83.1.2", "45.83.2.0/24"]).await;
    let path = format!("{GROUPS}/{id}");
    let append = format!("{path}?override=false");
    lab.call("PUT", &append, group("bad", &["45.83.1.2", "45.83.1.3"]))
        .await;
    assert_eq!(
        addresses(&lab, &id).await,
        ["45.83.1.2", "45.83.1.3", "45.83.2.0/24"]
    );
    for target in [path.clone(), format!("{path}?override=true")] {
        lab.call("PUT", &append, group("bad", &["45.83.9.9"])).await;
        lab.call("PUT", &target, group("bad", &["45.83.1.4"])).await;
        assert_eq!(addresses(&lab, &id).await, ["45.83.1.4"], "{target}");
    }
    assert_eq!(alarms(&lab).await, 0, "nothing of another's");
    assert_eq!(lab.call("DELETE", &path, Json::Null).await.status, 204);
    assert_eq!(
        refusal(&lab.get(&path).await),
        (404, "RESOURCE_NOT_FOUND".to_owned())
    );
}

#[tokio::test]
async fn item_28_what_a_group_refuses() {
    let lab = session(&[], &[]).await;
    let id = made(&lab, &["45.83.1.2"]).await;
    let path = format!("{GROUPS}/{id}");
    let invalid = (400, "INVALID_INPUT_ARGUMENT".to_owned());
    for address in ["2001:db8::1", "45.83.1.2-x", "http://a.org", "a.org/x"] {
        let reply = lab.call("POST", GROUPS, group("other", &[address])).await;
        assert_eq!(refusal(&reply), invalid, "{address}");
    }
    let good = ["45.83.1.2-45.83.1.9", "a.org", "*.a.org", "45.83.0.0/16"];
    let reply = lab.call("POST", GROUPS, group("good", &good)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let spaced = lab.call("POST", GROUPS, group("two words", &[])).await;
    assert_eq!(refusal(&spaced), invalid);
    let mut back = lab.get(&path).await.json();
    assert!(back["ipAddresses"].is_array(), "{back}");
    let reply = lab.call("PUT", &path, back.clone()).await;
    assert_eq!(refusal(&reply), invalid, "read-only fields");
    for name in [
        "creatorContext",
        "urlCategories",
        "ipAddresses",
        "isNonEditable",
    ] {
        back.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(lab.call("PUT", &path, back).await.status, 200);
    let all = lab.get(GROUPS).await.json();
    let vendors = all.as_array().unwrap().iter();
    let vendors: Vec<&Json> = vendors
        .filter(|group| group["isNonEditable"] == true)
        .collect();
    let target = format!("{GROUPS}/{}", vendors[0]["id"]);
    for method in ["PUT", "DELETE"] {
        lab.advance(60);
        let reply = lab.call(method, &target, group("mine", &[])).await;
        assert_eq!(refusal(&reply), (403, "INVALID_OPERATION".to_owned()));
    }
    let lenient = session(&[], &[("strict_groups", json!(false))]).await;
    let body = json!({ "name": "two words", "type": "DSTN_IP", "urlCategories": [] });
    assert_eq!(lenient.call("POST", GROUPS, body).await.status, 200);
}

/// Between reading a group and writing it back whole, somebody else adds to it: that address is lost, and
/// appending is what keeps it.
#[tokio::test]
async fn item_29_a_write_between_reading_and_replacing() {
    for (query, kept) in [("", false), ("?override=false", true)] {
        let lab = session(&[], &[]).await;
        let id = made(&lab, &["45.83.1.2"]).await;
        assert_eq!(addresses(&lab, &id).await, ["45.83.1.2"]);
        let theirs = format!("/fake/stage?entry=91.92.3.4&group={id}");
        assert_eq!(lab.send("POST", &theirs, &[], "").await.status, 204);
        let ours = group("bad", &["45.83.1.2", "45.83.1.3"]);
        lab.call("PUT", &format!("{GROUPS}/{id}{query}"), ours)
            .await;
        let now = addresses(&lab, &id).await;
        assert_eq!(now.contains(&"91.92.3.4".to_owned()), kept, "{now:?}");
        assert_eq!(alarms(&lab).await, usize::from(!kept));
    }
}
