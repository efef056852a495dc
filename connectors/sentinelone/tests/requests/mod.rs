//! The shapes of requests, against a server that knows nothing of SentinelOne.

use std::sync::Arc;

use sdk::Clock;
use sdk::connector::Environment;
use sdk::target::{Batch, Outcome, Removal, Scope, Target, Write};
use serde_json::{Value as Json, json};
use wiremock::matchers::{body_json, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw::{ACCOUNT, IOCS, RESTRICTIONS, SITE, sha1, sha256, start_time, write, write_until};

async fn server(mechanism: &str, more: Json) -> (MockServer, Arc<dyn Target>) {
    let server = MockServer::start().await;
    let mut configuration = json!({
        "hostname": server.uri(), "api_token": "t0k3n", "account_ids": [ACCOUNT], "mechanism": mechanism,
    });
    for (name, value) in more.as_object().unwrap() {
        configuration[name] = value.clone();
    }
    let environment = Environment::new(Clock::manual(start_time()));
    let targets = (sentinelone::connector().targets)(configuration, &environment).unwrap();
    (server, targets.into_iter().next().unwrap())
}

async fn expect(server: &MockServer, verb: &str, at: &str, body: Json, answer: Json) {
    Mock::given(method(verb))
        .and(path(at))
        .and(header("authorization", "ApiToken t0k3n"))
        .and(header("content-type", "application/json"))
        .and(body_json(body))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": answer })))
        .expect(1)
        .mount(server)
        .await;
}

fn id(write: Write, id: &str) -> Write {
    Write {
        id: Some(id.into()),
        ..write
    }
}

#[tokio::test]
async fn blocklist_writes() {
    let (server, target) = server(
        "blocklist",
        json!({ "os_types": ["linux"], "site_ids": [SITE] }),
    )
    .await;
    let new = write(&sha256("ab"));
    let row = json!({ "id": "7", "description": new.note });
    let filter = json!({ "siteIds": [SITE] });
    let data = json!({
        "type": "black_hash", "osType": "linux", "sha256Value": "ab".repeat(32), "description": new.note,
    });
    expect(
        &server,
        "POST",
        RESTRICTIONS,
        json!({ "data": data, "filter": filter }),
        json!([row]),
    )
    .await;
    let outcomes = target.apply(Batch::Add(std::slice::from_ref(&new))).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");

    // One item instead of a list: both are understood.
    let changed = id(write(&sha1("cd")), "linux:8");
    let row = json!({ "id": "8", "description": changed.note });
    let data = json!({
        "id": "8", "type": "black_hash", "osType": "linux", "value": "cd".repeat(20),
        "description": changed.note,
    });
    expect(&server, "PUT", RESTRICTIONS, json!({ "data": data }), row).await;
    let outcomes = target.apply(Batch::Update(&[changed])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");

    let data = json!({ "ids": ["7", "8"], "type": "black_hash" });
    expect(
        &server,
        "DELETE",
        RESTRICTIONS,
        json!({ "data": data }),
        json!({ "affected": 2 }),
    )
    .await;
    let removal = Removal {
        id: "windows:7,linux:8".into(),
        value: sha1("cd"),
    };
    let outcomes = target.apply(Batch::Remove(&[removal])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
}

#[tokio::test]
async fn indicator_writes() {
    let (server, target) = server("ioc", json!({ "source": "ours", "severity": 5 })).await;
    let new = write_until(&sha256("ab"), Some(start_time()));
    let data = json!([{
        "source": "ours", "type": "SHA256", "value": "ab".repeat(32), "method": "EQUALS",
        "validUntil": "2025-06-01T12:00:00.000000Z", "externalId": "ab".repeat(32),
        "description": new.note, "severity": 5,
    }]);
    let answer = json!([{
        "uuid": "u1", "type": "SHA256", "value": "ab".repeat(32), "externalId": "ab".repeat(32),
        "description": new.note, "scope": "account", "scopeId": ACCOUNT,
    }]);
    let filter = json!({ "accountIds": [ACCOUNT] });
    expect(
        &server,
        "POST",
        IOCS,
        json!({ "data": data, "filter": filter }),
        answer,
    )
    .await;
    let outcomes = target.apply(Batch::Add(&[new])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");

    let filter = json!({ "accountIds": [ACCOUNT], "uuids": ["u1"] });
    expect(
        &server,
        "DELETE",
        IOCS,
        json!({ "filter": filter }),
        json!({ "affected": 1 }),
    )
    .await;
    let removal = Removal {
        id: "anything".into(),
        value: sha256("ab"),
    };
    let outcomes = target.apply(Batch::Remove(&[removal])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
}

#[tokio::test]
async fn listings() {
    let empty = json!({ "data": [], "pagination": { "totalItems": 0, "nextCursor": null } });
    let (server, target) = self::server("blocklist", json!({})).await;
    Mock::given(method("GET"))
        .and(path(RESTRICTIONS))
        .and(query_param("type", "black_hash"))
        .and(query_param("accountIds", ACCOUNT))
        .and(query_param("tenant", "false"))
        .and(query_param("limit", "1000"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&empty))
        .expect(1)
        .mount(&server)
        .await;
    assert!(target.list(Scope::All).await.unwrap().is_empty());
    let (server, target) = self::server("ioc", json!({})).await;
    Mock::given(method("GET"))
        .and(path(IOCS))
        .and(query_param("accountIds", ACCOUNT))
        .and(query_param("source", "cordon-main"))
        .and(query_param("limit", "1000"))
        .respond_with(ResponseTemplate::new(200).set_body_json(&empty))
        .expect(1)
        .mount(&server)
        .await;
    assert!(target.list(Scope::All).await.unwrap().is_empty());
}

/// A full last page without a total could be a cut one.
#[tokio::test]
async fn a_full_page_that_nothing_follows_is_not_believed() {
    let (server, target) = server("ioc", json!({})).await;
    let rows: Vec<Json> = (0..1_000)
        .map(|n| json!({ "uuid": format!("u{n}"), "scope": "account", "scopeId": ACCOUNT }))
        .collect();
    let page = json!({ "data": rows, "pagination": { "nextCursor": null } });
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(page))
        .mount(&server)
        .await;
    let error = target.list(Scope::All).await.unwrap_err();
    assert!(
        error.to_string().contains("the last page is full"),
        "{error}"
    );
}

/// An indicator that does not say where it was made, or when it ends, is not guessed at.
#[tokio::test]
async fn rows_that_say_too_little_are_errors() {
    for row in [
        json!({ "uuid": "u", "type": "IPV4", "value": "9.9.9.9" }),
        json!({
            "uuid": "u", "type": "IPV4", "value": "9.9.9.9", "scope": "account", "scopeId": ACCOUNT,
            "validUntil": "soon",
        }),
    ] {
        let (server, target) = server("ioc", json!({})).await;
        let page = json!({ "data": [row], "pagination": { "totalItems": 1, "nextCursor": null } });
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(200).set_body_json(page))
            .mount(&server)
            .await;
        assert!(target.list(Scope::All).await.is_err());
    }
}
