//! Lists and categories: items 9 to 16 and 21 to 26.

use serde_json::{Value as Json, json};

use crate::raw::{ADD, CATEGORIES, DENYLIST, REMOVE, lab, session, texts};

#[tokio::test]
async fn items_9_and_10_answers_of_lists() {
    let lab = session(&[], &[]).await;
    assert_eq!(lab.get("/api/v1/security").await.text, "{}");
    assert_eq!(lab.get(DENYLIST).await.text, r#"{"blacklistUrls":[]}"#);
    let first: Vec<String> = (0..40)
        .map(|number| format!("h{number}.evil.org"))
        .collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    lab.add(&first).await;
    let reply = lab.add(&["x.evil.org"]).await;
    assert_eq!(
        reply.json(),
        json!({ "blacklistUrls": ["x.evil.org"] }),
        "what was sent alone"
    );
    let (one, two) = (lab.get(DENYLIST).await, lab.get(DENYLIST).await);
    assert_ne!(one.text, two.text, "any order");
    let list = |reply: &crate::raw::Reply| texts(&reply.json()["blacklistUrls"]);
    assert_eq!(list(&one), list(&two));
    let gone = lab
        .call("POST", REMOVE, json!({ "blacklistUrls": [] }))
        .await;
    assert_eq!(
        (gone.status, lab.denylist().await.len()),
        (200, 41),
        "nothing is no harm"
    );
}

#[tokio::test]
async fn item_11_two_names_of_one_list() {
    let lab = session(&[], &[]).await;
    lab.add(&["evil.org"]).await;
    let newer = "/api/v1/cyberThreatProtection/maliciousUrls";
    assert_eq!(
        lab.get(newer).await.json(),
        json!({ "maliciousUrls": ["evil.org"] })
    );
    let more = json!({ "maliciousUrls": ["bad.org"] });
    let put = lab
        .call("PUT", &format!("{newer}?action=ADD_TO_LIST"), more.clone())
        .await;
    assert_eq!(put.status, 200);
    assert_eq!(lab.denylist().await, ["bad.org", "evil.org"]);
    assert_eq!(
        lab.call("POST", &format!("{newer}?action=ADD_TO_LIST"), more)
            .await
            .status,
        405
    );
    assert_eq!(
        lab.call("PUT", ADD, json!({ "blacklistUrls": [] }))
            .await
            .status,
        405
    );
}

#[tokio::test]
async fn item_12_replacing_the_list_raises_an_alarm() {
    let lab = session(&[], &[]).await;
    lab.stage_foreign("theirs.org").await;
    assert_eq!(
        lab.call("PUT", DENYLIST, json!({ "blacklistUrls": [] }))
            .await
            .status,
        200
    );
    assert_eq!(lab.denylist().await, [""; 0]);
    let told = lab.send("GET", "/fake/verdict?url=x", &[], "").await.json();
    assert_eq!(told["alarms"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn items_13_and_14_one_bad_entry_refuses_the_call() {
    for position in ["named", "unnamed"] {
        let lab = session(&[("offenders", position)], &[]).await;
        let reply = lab.add(&["good.org", "http://bad.org", "Upper.org"]).await;
        assert_eq!(reply.status, 400);
        let named = reply
            .text
            .contains("Invalid urls [http://bad.org, Upper.org]");
        assert_eq!(named, position == "named", "{}", reply.text);
        assert_eq!(lab.denylist().await, [""; 0], "nothing is stored");
    }
    for (ipv4, status) in [(true, 200), (false, 400)] {
        let lab = session(&[], &[("ipv4", json!(ipv4))]).await;
        assert_eq!(lab.add(&["45.83.1.2"]).await.status, status);
    }
}

#[tokio::test]
async fn item_15_what_is_there_already_and_what_is_not() {
    for (position, status, code) in [
        ("no-op", 200, ""),
        ("409", 409, "DUPLICATE_ITEM"),
        ("400", 400, "DUPLICATE_ITEM"),
    ] {
        let lab = session(&[("duplicate-add", position)], &[]).await;
        lab.add(&["evil.org"]).await;
        let reply = lab.add(&["evil.org", "new.org"]).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        let expected = if status == 200 { 2 } else { 1 };
        assert_eq!(lab.denylist().await.len(), expected);
    }
    for (position, status) in [("no-op", 200), ("404", 404), ("400", 400)] {
        let lab = session(&[("absent-remove", position)], &[]).await;
        lab.add(&["evil.org"]).await;
        let body = json!({ "blacklistUrls": ["evil.org", "absent.org"] });
        assert_eq!(lab.call("POST", REMOVE, body).await.status, status);
        assert_eq!(lab.denylist().await.len(), usize::from(status != 200));
    }
}

#[tokio::test]
async fn item_16_one_quota_for_all_lists() {
    for (position, status) in [("403", 403), ("400", 400)] {
        let lab = session(&[("over-quota", position)], &[("capacity", json!(4))]).await;
        lab.add(&["a.org", "b.org"]).await;
        lab.category("own", &["c.org", "a.org"]).await;
        let quota = lab.get("/api/v1/urlCategories/urlQuota").await.json();
        assert_eq!(
            quota,
            json!({ "uniqueUrlsProvisioned": 3, "remainingUrlsQuota": 1 })
        );
        let reply = lab.add(&["d.org", "e.org"]).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (status, "LIMIT_EXCEEDED")
        );
        assert_eq!(lab.denylist().await.len(), 2, "the whole call");
        assert_eq!(lab.add(&["d.org"]).await.status, 200);
    }
    let lab = session(&[("quota-covers", "categories")], &[]).await;
    lab.add(&["a.org"]).await;
    let quota = lab.get("/api/v1/urlCategories/urlQuota").await.json();
    assert_eq!(quota["uniqueUrlsProvisioned"], 0);
}

#[tokio::test]
async fn item_17_the_largest_call() {
    let lab = session(&[], &[("batch_limit", json!(2))]).await;
    assert_eq!(lab.add(&["a.org", "b.org"]).await.status, 200);
    assert_eq!(lab.add(&["c.org", "d.org", "e.org"]).await.status, 413);
}

#[tokio::test]
async fn item_21_what_an_entry_covers() {
    let lab = session(&[], &[]).await;
    lab.add(&[".wide.org", "narrow.org", "path.org/a"]).await;
    lab.activate().await;
    for (url, blocked) in [
        ("wide.org", true),
        ("a.b.c.d.e.wide.org/x", true),
        ("f.a.b.c.d.e.wide.org", false),
        ("narrow.org/any", true),
        ("a.narrow.org", false),
        ("path.org/a/b", true),
        ("path.org/b", false),
    ] {
        assert_eq!(lab.blocks(url).await, blocked, "{url}");
    }
}

#[tokio::test]
async fn items_22_and_24_categories_by_id() {
    let lab = session(&[], &[]).await;
    let id = lab.category("own name", &["a.org"]).await;
    let by_name = lab.get("/api/v1/urlCategories/own%20name").await;
    assert_eq!(
        (by_name.status, by_name.code().as_str()),
        (500, "UNEXPECTED_ERROR")
    );
    let unknown = lab.get("/api/v1/urlCategories/CUSTOM_99").await;
    assert_eq!((unknown.status, unknown.text.as_str()), (404, ""));
    let body = json!({ "configuredName": "b", "superCategory": "USER_DEFINED", "urls": ["b.org"], "customCategory": false });
    let made = lab.call("POST", CATEGORIES, body).await.json();
    assert_eq!(made["customCategory"], true);
    let without = json!({ "configuredName": "c", "urls": ["c.org"] });
    assert_eq!(lab.call("POST", CATEGORIES, without).await.status, 400);
    let strange = json!({ "configuredName": "c", "superCategory": "USER_DEFINED", "urls": ["c.org"], "colour": 1 });
    assert_eq!(lab.call("POST", CATEGORIES, strange).await.status, 400);
    for number in 3..=48 {
        lab.category(&format!("n{number}"), &[&format!("n{number}.org")])
            .await;
    }
    let body =
        json!({ "configuredName": "one more", "superCategory": "USER_DEFINED", "urls": ["m.org"] });
    assert_eq!(lab.call("POST", CATEGORIES, body).await.status, 403);
    assert!(id.starts_with("CUSTOM_"));
}

#[tokio::test]
async fn item_23_full_and_incremental_updates() {
    let lab = session(&[], &[]).await;
    let body = json!({ "configuredName": "a", "superCategory": "USER_DEFINED", "urls": ["a.org"], "description": "words" });
    let id = lab.call("POST", CATEGORIES, body).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{CATEGORIES}/{id}");
    let add = format!("{path}?action=ADD_TO_LIST");
    let reply = lab
        .call(
            "PUT",
            &add,
            json!({ "configuredName": "b", "urls": ["b.org"] }),
        )
        .await
        .json();
    assert_eq!(
        texts(&reply["urls"]),
        ["a.org", "b.org"],
        "the whole category"
    );
    assert_eq!(
        (&reply["configuredName"], &reply["description"]),
        (&json!("b"), &json!("words"))
    );
    let remove = format!("{path}?action=REMOVE_FROM_LIST");
    let ranges = json!({ "configuredName": "b", "urls": [], "ipRanges": ["45.83.1.2"] });
    let reply = lab.call("PUT", &remove, ranges).await.json();
    assert_eq!(
        (texts(&reply["urls"]).len(), texts(&reply["ipRanges"])),
        (2, vec!["45.83.1.2".to_owned()])
    );
    let reply = lab
        .call(
            "PUT",
            &path,
            json!({ "configuredName": "b", "urls": ["c.org"] }),
        )
        .await
        .json();
    assert_eq!(texts(&reply["urls"]), ["c.org"]);
    for cleared in ["description", "superCategory", "ipRanges"] {
        assert_eq!(reply[cleared], Json::Null, "{cleared} was left out");
    }
}

#[tokio::test]
async fn item_25_ranges_need_a_subscription() {
    let lab = session(&[], &[("ipv4", json!(false))]).await;
    let body = json!({ "configuredName": "a", "superCategory": "USER_DEFINED", "urls": ["a.org"], "ipRanges": ["45.83.1.2"] });
    let reply = lab.call("POST", CATEGORIES, body).await;
    assert_eq!(
        (reply.status, reply.code().as_str()),
        (403, "NOT_SUBSCRIBED")
    );
}

#[tokio::test]
async fn item_26_a_category_blocks_by_a_rule() {
    for rule in [false, true] {
        let lab = session(&[], &[("rule", json!(rule))]).await;
        lab.category("a", &["a.org"]).await;
        lab.activate().await;
        assert_eq!(lab.blocks("a.org").await, rule);
    }
}

#[tokio::test]
async fn undocumented_parameters_are_refused() {
    let lab = session(&[], &[]).await;
    assert_eq!(lab.get("/api/v1/urlCategories?page=1").await.status, 400);
    assert_eq!(
        lab.call(
            "POST",
            &format!("{ADD}&force=true"),
            json!({ "blacklistUrls": [] })
        )
        .await
        .status,
        400
    );
    assert_eq!(
        lab.call("POST", ADD, json!({ "urls": [] })).await.status,
        400
    );
    let none = self::lab(&[], &[]).await;
    assert_eq!(none.get("/api/v1/nothing").await.status, 401);
}
