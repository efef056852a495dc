//! Tokens, scopes, rights and limits: 1 to 6, 34, 35, 38.

use chrono::TimeDelta;
use serde_json::{Value as Json, json};

use crate::raw::{
    ACCOUNT, GROUP, IOCS, Lab, OTHER_ACCOUNT, RESTRICTIONS, SITE, hash, ioc, lab, lab_with,
};

/// 1: no credentials, another scheme, a wrong token; the scheme's case does not matter.
#[tokio::test]
async fn item_1_credentials() {
    let lab = lab(&[]).await;
    let token = lab.token();
    let target = format!("{IOCS}?accountIds={ACCOUNT}");
    for authorization in [
        None,
        Some(format!("Bearer {token}")),
        Some("ApiToken x".to_owned()),
    ] {
        let reply = lab.send("GET", &target, authorization.as_deref(), "").await;
        assert_eq!(reply.status, 401, "{authorization:?}");
        assert!(reply.json()["errors"][0]["detail"].is_string());
    }
    for scheme in ["ApiToken", "APIToken", "apitoken"] {
        let authorization = format!("{scheme} {token}");
        let reply = lab.send("GET", &target, Some(&authorization), "").await;
        assert_eq!(reply.status, 200, "{scheme}");
    }
}

/// 2: a token ends on its day, and tells it before.
#[tokio::test]
async fn item_2_tokens_end() {
    let lab = lab_with(&[], |options| options.set("token_days", 30)).await;
    let details = "/web/api/v2.1/users/api-token-details";
    let body = json!({ "data": { "apiToken": lab.token() } });
    let reply = lab.call("POST", details, body.clone()).await;
    assert_eq!(
        reply.json()["data"]["expiresAt"],
        "2025-07-01T12:00:00.000000Z"
    );
    lab.days_pass(30);
    assert_eq!(lab.call("POST", details, body).await.status, 401);
    assert_eq!(
        lab.get(&format!("{IOCS}?accountIds={ACCOUNT}"))
            .await
            .status,
        401
    );
    assert_eq!(lab.block(hash("aa", "linux")).await.status, 401);
}

/// 3: the status needs no credentials.
#[tokio::test]
async fn item_3_status_proves_nothing() {
    let lab = lab(&[]).await;
    let reply = lab
        .send("GET", "/web/api/v2.1/system/status", None, "")
        .await;
    assert_eq!(reply.status, 200);
}

async fn post_with(lab: &Lab, filter: Json) -> u16 {
    let body = json!({ "filter": filter, "data": [ioc("IPV4", "9.9.9.9")] });
    lab.call("POST", IOCS, body).await.status
}

/// 4, 5, 6: a create without a scope, above the token, beside it, or with ids that are numbers.
#[tokio::test]
async fn items_4_to_6_scopes() {
    let lab = lab(&[]).await;
    let body = json!({ "filter": {}, "data": [ioc("IPV4", "9.9.9.9")] });
    let reply = lab.call("POST", IOCS, body).await;
    assert_eq!((reply.status, reply.code()), (500, 5_000_010));
    assert_eq!(post_with(&lab, json!({ "tenant": true })).await, 403);
    assert_eq!(
        post_with(&lab, json!({ "accountIds": [OTHER_ACCOUNT] })).await,
        403
    );
    assert_eq!(
        post_with(&lab, json!({ "accountIds": [225_494_730_938_493_804_u64] })).await,
        400
    );
    assert_eq!(post_with(&lab, json!({ "accountIds": ["12"] })).await, 400);
    assert_eq!(
        post_with(&lab, json!({ "accountIds": [ACCOUNT], "siteIds": [SITE] })).await,
        400
    );
    assert!(lab.iocs().await.is_empty());
    assert_eq!(post_with(&lab, json!({ "siteIds": [SITE] })).await, 200);
    assert_eq!(post_with(&lab, json!({ "groupIds": [GROUP] })).await, 200);
    let tenant = lab_with(&[], |options| options.set("level", "tenant")).await;
    assert_eq!(post_with(&tenant, json!({ "tenant": true })).await, 200);
    assert_eq!(post_with(&tenant, json!({ "tenant": "true" })).await, 200);
}

/// 34: the built-in IT role reads the blocklist and does not write it.
#[tokio::test]
async fn item_34_rights() {
    let lab = lab_with(&[], |options| options.set("role", "it")).await;
    assert_eq!(lab.block(hash("aa", "linux")).await.status, 403);
    let body = json!({ "data": { "ids": ["1"], "type": "black_hash" } });
    assert_eq!(lab.call("DELETE", RESTRICTIONS, body).await.status, 403);
    assert!(lab.blocked().await.is_empty());
    let lab = lab_with(&[], |options| {
        options.set("rights", json!(["Blacklist.view"]))
    })
    .await;
    assert_eq!(
        lab.get(&format!("{IOCS}?accountIds={ACCOUNT}"))
            .await
            .status,
        403
    );
}

/// 35: the thirty-first call of a minute.
#[tokio::test]
async fn item_35_thirty_calls_a_minute() {
    for position in ["retry-after", "no-header", "html"] {
        let lab = lab(&[("throttle", position)]).await;
        let target = format!("{IOCS}?accountIds={ACCOUNT}");
        for _ in 0..30 {
            assert_eq!(lab.get(&target).await.status, 200);
        }
        let reply = lab.get(&target).await;
        assert_eq!(reply.status, 429, "{position}");
        assert_eq!(
            reply.headers.contains("retry-after"),
            position == "retry-after"
        );
        assert_eq!(reply.text.contains("<html>"), position == "html");
        assert_eq!(
            lab.blocked().await.len(),
            0,
            "the blocklist is not throttled"
        );
        lab.clock.advance(TimeDelta::seconds(60));
        assert_eq!(lab.get(&target).await.status, 200);
    }
}

/// 38: a new indicator matches after half an hour.
#[tokio::test]
async fn item_38_activation_takes_its_time() {
    let lab = lab(&[]).await;
    lab.post(json!([ioc("IPV4", "9.9.9.9")])).await.data();
    let matches = async || {
        let reply = lab
            .get("/web/api/v2.1/fake/match?type=IPV4&value=9.9.9.9")
            .await;
        reply.json()["data"]["matches"] == true
    };
    lab.clock.advance(TimeDelta::minutes(29));
    assert!(!matches().await);
    lab.clock.advance(TimeDelta::minutes(1));
    assert!(matches().await);
}
