//! Tokens, regions, scopes, limits and faults: items 1 to 7, 18, 35, 36, 40, 41.

use std::time::Duration;

use sdk::fake::{Fault, FaultAction};
use serde_json::json;

use crate::raw::{ENTITIES, SEARCH, encode, hash, lab, lab_with};

#[tokio::test]
async fn item_01_token_by_form_answers_201() {
    let lab = lab(&[]).await;
    let login = lab.login("").await;
    assert_eq!(
        (login.status, login.json()["expires_in"].as_i64()),
        (201, Some(1799))
    );
    assert_eq!(login.json()["token_type"], "bearer");
    let body = lab.fake.configuration.to_string();
    let by_json = lab
        .send(
            "POST",
            "/oauth2/token",
            &[("Content-Type", "application/json")],
            &body,
        )
        .await;
    assert_eq!(by_json.status, 400);
    let unknown = lab
        .form("/oauth2/token", "client_id=nobody&client_secret=x")
        .await;
    assert_eq!(unknown.status, 400);
    assert!(
        unknown
            .message()
            .starts_with("Failed to generate access token for clientID=")
    );
}

#[tokio::test]
async fn item_02_tokens_expire_and_are_revoked() {
    let mut lab = lab(&[]).await;
    lab.advance(1798);
    assert_eq!(lab.get(SEARCH).await.status, 200);
    lab.advance(1);
    let expired = lab.get(SEARCH).await;
    assert_eq!(
        (expired.status, expired.message().as_str()),
        (401, "access denied, invalid bearer token")
    );
    lab.token = lab.login("").await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(lab.get(SEARCH).await.status, 200);
    let login = format!(
        "{}:{}",
        lab.fake.configuration["client_id"].as_str().unwrap(),
        lab.fake.configuration["client_secret"].as_str().unwrap()
    );
    // The default client's credentials in standard base64.
    assert_eq!(login.len(), 73);
    let basic = "Basic MGExYjJjM2Q0ZTVmNjA3MTgyOTNhNGI1YzZkN2U4Zjk6RmFrZUZhbGNvblNlY3JldE9mRXhhY3RseUZvcnR5Q2hhcmFjdGVycw==";
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Authorization", basic),
    ];
    let form = format!("token={}", encode(&lab.token));
    assert_eq!(
        lab.send("POST", "/oauth2/revoke", &headers, &form)
            .await
            .status,
        200
    );
    assert_eq!(lab.get(SEARCH).await.status, 401);
}

#[tokio::test]
async fn item_03_bad_tokens_are_limited() {
    for (position, good) in [("bad-only", 200), ("every-call", 429)] {
        let lab = lab(&[("bad-token-limit", position)]).await;
        for _ in 0..15 {
            assert_eq!(
                lab.send("GET", SEARCH, &[("Authorization", "Bearer wrong")], "")
                    .await
                    .status,
                401
            );
        }
        assert_eq!(lab.send("GET", SEARCH, &[], "").await.status, 429);
        assert_eq!(lab.get(SEARCH).await.status, good, "{position}");
        lab.advance(60);
        assert_eq!(lab.send("GET", SEARCH, &[], "").await.status, 401);
    }
}

#[tokio::test]
async fn item_04_wrong_region() {
    for (redirect, bare) in [("with-body", false), ("bare", true)] {
        let lab = lab_with(&[("region-redirect", redirect)], |options| {
            options.set("home_region", "eu-1")
        })
        .await;
        let login = lab.login("").await;
        assert_eq!(
            (login.status, login.header("x-cs-region")),
            (308, Some("eu-1"))
        );
        assert_eq!(
            login.header("location"),
            Some("https://api.eu-1.crowdstrike.com/oauth2/token")
        );
        assert_eq!(login.text.is_empty(), bare);
        assert_eq!(lab.get(SEARCH).await.status, 401);
    }
    let lab = lab_with(&[("wrong-region-call", "308")], |options| {
        options.set("home_region", "us-2")
    })
    .await;
    assert_eq!(lab.get(SEARCH).await.status, 308);
}

#[tokio::test]
async fn item_05_hostile_redirect() {
    let lab = lab_with(&[], |options| {
        options
            .set("home_region", "eu-1")
            .set("redirect_host", "evil.example")
    })
    .await;
    assert_eq!(
        lab.login("").await.header("location"),
        Some("https://evil.example/oauth2/token")
    );
}

#[tokio::test]
async fn item_06_customers_are_apart() {
    let child = "c".repeat(32);
    let mut lab = lab_with(&[], |options| options.set("children", json!([child]))).await;
    let id = lab.one(hash(1)).await;
    let login = lab.login(&format!("&member_cid={child}-A1")).await;
    lab.token = login.json()["access_token"].as_str().unwrap().to_owned();
    assert!(lab.search("").await.ids().is_empty());
    assert!(lab.by_id(&id).await.ids().is_empty());
    lab.one(hash(1)).await;
    assert_eq!(lab.login("&member_cid=unknown").await.status, 403);
}

#[tokio::test]
async fn item_07_scopes() {
    let reader = lab_with(&[], |options| options.set("scopes", json!(["read"]))).await;
    assert_eq!(reader.search("").await.status, 200);
    let refused = reader.create(json!([hash(1)])).await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (403, "access denied, authorization failed")
    );
    let writer = lab_with(&[], |options| options.set("scopes", json!(["write"]))).await;
    assert_eq!(writer.search("").await.status, 403);
    assert_eq!(writer.create(json!([hash(1)])).await.status, 201);
}

#[tokio::test]
async fn item_18_long_request_lines_get_a_page() {
    for position in ["414", "400"] {
        let lab = lab(&[("long-line", position)]).await;
        let ids = |count: usize| {
            format!(
                "{ENTITIES}?{}",
                vec![format!("ids={}", "a".repeat(64)); count].join("&")
            )
        };
        assert_eq!(lab.get(&ids(250)).await.status, 200);
        let page = lab.call("DELETE", &ids(300), "").await;
        assert_eq!(page.status.to_string(), position);
        assert!(
            page.text.starts_with("<html>") && page.header("content-type") == Some("text/html")
        );
    }
}

#[tokio::test]
async fn item_35_rate_limiter_and_its_header() {
    let seconds = "1748779220";
    let cases = [
        ("absent", None),
        ("seconds", Some(seconds)),
        ("milliseconds", Some("1748779220000")),
        ("past", Some("1748775600")),
        ("garbage", Some("soon")),
    ];
    for (position, header) in cases {
        let lab = lab_with(&[("retry-after", position)], |options| {
            options.set("calls_per_minute", 3)
        })
        .await;
        let first = lab.get(SEARCH).await;
        assert_eq!(
            (
                first.header("x-ratelimit-limit"),
                first.header("x-ratelimit-remaining")
            ),
            (Some("3"), Some("2"))
        );
        lab.get(SEARCH).await;
        lab.get(SEARCH).await;
        let refused = lab.get(SEARCH).await;
        assert_eq!(refused.status, 429);
        assert_eq!(
            refused.header("x-ratelimit-retryafter"),
            header,
            "{position}"
        );
        assert_eq!(refused.header("retry-after"), None);
        lab.advance(60);
        assert_eq!(lab.get(SEARCH).await.status, 200);
    }
    let lab = lab(&[]).await;
    assert_eq!(
        lab.get(SEARCH).await.header("x-ratelimit-limit"),
        Some("6000")
    );
}

#[tokio::test]
async fn item_36_faults_before_and_after_the_write() {
    let lab = lab(&[]).await;
    let post = |action| Fault::new(action).on("POST", "/iocs/");
    lab.fake.server.faults.push(post(FaultAction::AnswerAfter {
        status: 502,
        body: "<html>".into(),
    }));
    assert_eq!(lab.create(json!([hash(1)])).await.status, 502);
    assert_eq!(lab.search("").await.ids().len(), 1, "it was applied");
    lab.fake
        .server
        .faults
        .push(Fault::status(503).on("POST", "/iocs/"));
    assert_eq!(lab.create(json!([hash(2)])).await.status, 503);
    assert_eq!(lab.search("").await.ids().len(), 1, "it was not applied");
    lab.fake
        .server
        .faults
        .push(post(FaultAction::Slow(Duration::from_secs(90))));
    let before = lab.clock.now();
    assert_eq!(lab.create(json!([hash(3)])).await.status, 201);
    assert_eq!((lab.clock.now() - before).num_seconds(), 90);
    lab.fake.server.faults.push(post(FaultAction::ResetAfter));
    let cut = lab.create(json!([hash(4)])).await;
    assert!(serde_json::from_str::<serde_json::Value>(&cut.text).is_err());
    assert_eq!(lab.search("").await.ids().len(), 3);
}

#[tokio::test]
async fn item_40_trace_ids() {
    for (position, on_errors) in [("always", true), ("not-on-errors", false)] {
        let lab = lab(&[("trace-id", position)]).await;
        let good = lab.get(SEARCH).await;
        assert_eq!(
            good.header("x-cs-traceid"),
            good.json()["meta"]["trace_id"].as_str()
        );
        assert!(good.header("x-cs-traceid").is_some());
        assert_eq!(
            lab.search("nonsense")
                .await
                .header("x-cs-traceid")
                .is_some(),
            on_errors
        );
    }
}

#[tokio::test]
async fn item_41_large_bodies_get_a_page() {
    for (position, bytes) in [("10000000", 10_000_000), ("1000000", 1_000_000)] {
        let lab = lab(&[("body-limit", position)]).await;
        let page = lab.call("POST", ENTITIES, &" ".repeat(bytes + 1)).await;
        assert_eq!(page.status, 413);
        assert!(page.text.starts_with("<html>"));
        assert_eq!(
            lab.call("POST", ENTITIES, &" ".repeat(bytes)).await.status,
            400
        );
    }
}
