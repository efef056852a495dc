//! Rates and maintenance: items 37, 38 and 41.

use serde_json::{Value as Json, json};

use crate::raw::{ADD, CATEGORIES, DENYLIST, session};

#[tokio::test]
async fn item_37_calls_by_class() {
    let lab = session(&[], &[]).await;
    let status = "/api/v1/status";
    let statuses = async |method: &str, target: &str, body: Json| {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(lab.now(method, target, &body).await.status);
        }
        lab.advance(60);
        statuses
    };
    assert_eq!(statuses("GET", status, Json::Null).await, [200, 200, 429]);
    assert_eq!(statuses("GET", DENYLIST, Json::Null).await, [200, 429, 429]);
    assert_eq!(
        statuses("POST", ADD, json!({ "blacklistUrls": [] })).await,
        [200, 429, 429]
    );
    let unknown = format!("{CATEGORIES}/CUSTOM_99");
    assert_eq!(
        statuses("DELETE", &unknown, Json::Null).await,
        [404, 429, 429]
    );
    for expected in [404, 404, 404, 429] {
        lab.get(status).await;
        assert_eq!(
            lab.call("DELETE", &unknown, Json::Null).await.status,
            expected
        );
        lab.advance(60);
    }
    for round in 0..5 {
        for call in 0..10 {
            let expected = if round < 4 { 200 } else { 429 };
            let reply = lab
                .now("POST", "/api/v1/status/activate", &Json::Null)
                .await;
            if call == 0 {
                assert_eq!(reply.status, expected, "round {round}");
            }
        }
        lab.get(status).await;
        lab.advance(61);
    }
}

#[tokio::test]
async fn item_38_the_wait_in_every_form() {
    for (position, header, body) in [
        ("integer", Some("1"), false),
        ("zero", Some("0 seconds"), false),
        ("unit", Some("1s"), false),
        ("body", None, true),
        ("none", None, false),
    ] {
        let lab = session(&[("retry-after", position)], &[]).await;
        lab.now("GET", DENYLIST, &Json::Null).await;
        let reply = lab.now("GET", DENYLIST, &Json::Null).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.header("retry-after"), header, "{position}");
        assert_eq!(
            reply.json()["Retry-After"] == "1 seconds",
            body,
            "{position}"
        );
        assert_eq!(reply.header("x-ratelimit-remaining"), Some("4980"));
    }
}

#[tokio::test]
async fn item_41_maintenance() {
    for (setting, mode) in [("header", "read-only"), ("plain", "read-write")] {
        let lab = session(&[], &[("maintenance", json!(setting))]).await;
        let read = lab.get(DENYLIST).await;
        assert_eq!(
            (read.status, read.header("x-zscaler-mode")),
            (200, Some(mode))
        );
        assert_eq!(lab.add(&["evil.org"]).await.status, 403);
    }
}
