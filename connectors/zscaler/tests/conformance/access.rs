//! Logins and sessions: items 1 to 8.

use serde_json::{Value as Json, json};

use crate::raw::{DENYLIST, lab, session};

#[tokio::test]
async fn item_1_the_scrambled_key_and_its_timestamp() {
    let lab = lab(&[], &[]).await;
    let now = lab.clock.now().timestamp_millis();
    let good = lab.credentials(now);
    assert_eq!(lab.login(&good).await.status, 200);
    let mut as_text = good.clone();
    as_text["timestamp"] = json!(now.to_string());
    assert_eq!(lab.login(&as_text).await.status, 200, "both forms are met");
    let mut plain = good.clone();
    plain["apiKey"] = lab.fake.configuration["api_key"].clone();
    let mut other = good.clone();
    other["timestamp"] = json!(now + 1_234);
    let mut password = good.clone();
    password["password"] = json!("wrong");
    for bad in [plain, other, password, lab.credentials(now - 301_000)] {
        assert_eq!(lab.login(&bad).await.status, 401, "{bad}");
    }
    let lenient = crate::raw::lab(&[("timestamp-age", "any")], &[]).await;
    let old = lenient.credentials(now - 3_600_000);
    assert_eq!(lenient.login(&old).await.status, 200);
}

#[tokio::test]
async fn item_2_nothing_without_a_session() {
    let mut lab = session(&[], &[]).await;
    for cookie in ["", "JSESSIONID=nonsense"] {
        lab.cookie = cookie.to_owned();
        let reply = lab.get(DENYLIST).await;
        assert_eq!(
            (reply.status, reply.code().as_str()),
            (401, "SESSION_NOT_VALID")
        );
    }
}

#[tokio::test]
async fn items_3_and_4_a_session_ends_and_publishes_what_is_staged() {
    for (position, calls) in [("idle", 3), ("absolute", 2)] {
        let lab = session(&[("session-timeout", position)], &[]).await;
        assert_eq!(lab.add(&["evil.org"]).await.status, 200);
        assert_eq!(lab.enforced("denylist"), [""; 0], "only staged");
        for call in 1..=calls {
            lab.advance(149);
            let lives = lab.get(DENYLIST).await.status == 200;
            assert_eq!(
                lives,
                position == "idle" || call < 2,
                "{position}, call {call}"
            );
        }
        lab.advance(301);
        assert_eq!(lab.get(DENYLIST).await.status, 401);
        assert_eq!(lab.enforced("denylist"), ["evil.org"], "{position}");
    }
    let lab = session(&[], &[]).await;
    lab.add(&["evil.org"]).await;
    let out = lab.call("DELETE", "/api/v1/authenticatedSession", Json::Null);
    assert_eq!(out.await.status, 204);
    assert_eq!(lab.enforced("denylist"), ["evil.org"]);
    let lab = session(&[], &[]).await;
    lab.add(&["evil.org"]).await;
    lab.fake.state.expire_sessions();
    assert_eq!(lab.enforced("denylist"), ["evil.org"]);
}

#[tokio::test]
async fn item_6_a_second_session_stands_in_the_way_of_activation() {
    for (position, status) in [("fine", 200), ("409", 409)] {
        let lab = session(&[("second-session", position)], &[]).await;
        lab.log_in().await;
        let reply = lab
            .call("POST", "/api/v1/status/activate", Json::Null)
            .await;
        assert_eq!(reply.status, status);
    }
}

#[tokio::test]
async fn item_7_tokens() {
    let lab = lab(
        &[],
        &[("login", json!("oneapi")), ("token_seconds", json!(60))],
    )
    .await;
    let configuration = &lab.fake.configuration;
    let id = configuration["client_id"].as_str().unwrap();
    let secret = configuration["client_secret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let right = format!("{form}&audience=https%3A%2F%2Fapi.zscaler.com");
    let encoded = [("Content-Type", "application/x-www-form-urlencoded")];
    let token = "/oauth2/v1/token";
    assert_eq!(lab.send("POST", token, &encoded, &form).await.status, 400);
    let other = format!("{form}&audience=https%3A%2F%2Fexample.com");
    assert_eq!(lab.send("POST", token, &encoded, &other).await.status, 400);
    let wrong = right.replace(secret, "wrong");
    assert_eq!(lab.send("POST", token, &encoded, &wrong).await.status, 401);
    let json_type = [("Content-Type", "application/json")];
    assert_eq!(lab.send("POST", token, &json_type, "{}").await.status, 400);
    let reply = lab.send("POST", token, &encoded, &right).await;
    assert_eq!(reply.json()["expires_in"], 60);
    let bearer = format!("Bearer {}", reply.json()["access_token"].as_str().unwrap());
    let headers = [("Authorization", bearer.as_str())];
    let get = |path: &'static str| lab.send("GET", path, &headers, "");
    assert_eq!(get("/zia/api/v1/status").await.status, 200);
    assert_eq!(get("/api/v1/status").await.status, 404, "without /zia");
    lab.advance(60);
    assert_eq!(get("/zia/api/v1/status").await.status, 401);
}

#[tokio::test]
async fn item_8_a_tenant_of_oneapi_alone() {
    let lab = lab(&[], &[("login", json!("oneapi"))]).await;
    let body = json!({ "username": "a", "password": "b", "apiKey": "c", "timestamp": 1 });
    let reply = lab.login(&body).await;
    assert!(
        reply.text.contains("only through Zscaler OneAPI"),
        "{}",
        reply.text
    );
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
}
