//! The shapes of requests, against a server that knows nothing of Falcon, and answers of the kinds that
//! the vendor gives.

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::indicator::{Kind, Value};
use sdk::target::{Batch, Outcome, Removal, Scope, Target, Write};
use sdk::{Clock, ErrorKind};
use serde_json::{Value as Json, json};
use wiremock::matchers::{body_json, body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw::{COMBINED, ENTITIES, start_time};

async fn server() -> (MockServer, Arc<dyn Target>) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/oauth2/token"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string(
            "client_id=id&client_secret=s%26cret&member_cid=child",
        ))
        // 200 instead of 201, and no region: both were seen.
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_json(json!({ "access_token": "t0k", "expires_in": 1799 })),
        )
        .expect(1)
        .mount(&server)
        .await;
    let configuration = json!({
        "base_url": server.uri(), "client_id": "id", "client_secret": "s&cret", "member_cid": "child",
        "severity": "critical", "platforms": ["windows"], "tags": ["soc"], "source": "ours",
    });
    let targets = (crowdstrike::connector().targets)(
        configuration,
        &Environment::new(Clock::manual(start_time())),
    );
    (server, targets.unwrap().remove(0))
}

fn write(id: Option<&str>) -> Write {
    Write {
        value: Value::parse(Kind::Md5, &"ab".repeat(16)).unwrap(),
        id: id.map(Into::into),
        expires: Some(start_time()),
        note: "words".to_owned(),
        held_expires: None,
        held_note: None,
        note_and_end_only: false,
    }
}

fn answer(resources: Json) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_json(json!({ "meta": {}, "errors": null, "resources": resources }))
}

fn fields(more: Json) -> Json {
    let mut fields = more;
    let common = json!({
        "action": "prevent", "severity": "critical", "platforms": ["windows"], "applied_globally": true,
        "source": "ours", "tags": ["soc"], "description": "words", "expiration": "2025-06-01T12:00:00Z",
    });
    fields
        .as_object_mut()
        .unwrap()
        .extend(common.as_object().unwrap().clone());
    json!({ "indicators": [fields] })
}

#[tokio::test]
async fn create() {
    let (server, target) = server().await;
    let created = json!([{ "id": "x", "type": "md5", "value": "ab".repeat(16) }]);
    Mock::given(method("POST"))
        .and(path(ENTITIES))
        .and(header("authorization", "Bearer t0k"))
        .and(query_param("ignore_warnings", "false"))
        .and(query_param("retrodetects", "false"))
        .and(body_json(fields(
            json!({ "type": "md5", "value": "ab".repeat(16) }),
        )))
        .respond_with(answer(created))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = target.apply(Batch::Add(&[write(None)])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
}

#[tokio::test]
async fn update_names_no_type_value_or_bulk() {
    let (server, target) = server().await;
    Mock::given(method("PATCH"))
        .and(path(ENTITIES))
        .and(body_json(fields(json!({ "id": "x" }))))
        .respond_with(answer(json!([{ "id": "x" }])))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = target.apply(Batch::Update(&[write(Some("x"))])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
}

#[tokio::test]
async fn an_entry_of_others_keeps_everything_but_note_and_end() {
    let (server, target) = server().await;
    let row = json!({ "id": "x", "description": "words", "expiration": "2025-06-01T12:00:00Z" });
    Mock::given(method("PATCH"))
        .and(path(ENTITIES))
        .and(body_json(json!({ "indicators": [row] })))
        .respond_with(answer(json!([{ "id": "x" }])))
        .expect(1)
        .mount(&server)
        .await;
    let write = Write {
        note_and_end_only: true,
        ..write(Some("x"))
    };
    let outcomes = target.apply(Batch::Update(&[write])).await;
    assert!(matches!(outcomes[..], [Outcome::Done]), "{outcomes:?}");
}

#[tokio::test]
async fn delete_by_ids_alone_in_short_lines() {
    let (server, target) = server().await;
    Mock::given(method("DELETE"))
        .and(path(ENTITIES))
        .respond_with(|request: &wiremock::Request| {
            assert!(request.url.query_pairs().all(|(key, _)| key == "ids"));
            assert!(request.url.as_str().len() <= 18_500);
            let ids: Vec<String> = request
                .url
                .query_pairs()
                .map(|(_, id)| id.into_owned())
                .collect();
            answer(json!(ids))
        })
        .expect(2)
        .mount(&server)
        .await;
    let removal = |number: usize| Removal {
        id: format!("{number:0100}").into(),
        value: write(None).value,
    };
    let removals: Vec<Removal> = (0..250).map(removal).collect();
    let outcomes = target.apply(Batch::Remove(&removals)).await;
    assert!(
        outcomes.len() == 250
            && outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Done))
    );
}

#[tokio::test]
async fn listing_by_value_fits_the_line_and_follows_the_cursor() {
    let (server, target) = server().await;
    Mock::given(method("GET"))
        .and(path(COMBINED))
        .respond_with(|request: &wiremock::Request| {
            let query: std::collections::HashMap<String, String> =
                request.url.query_pairs().into_owned().collect();
            assert!(
                request.url.as_str().len() <= 18_500,
                "{}",
                request.url.as_str().len()
            );
            assert!(query["filter"].starts_with("deleted:false+type:'sha256'+value:['"));
            assert_eq!(query["sort"], "created_on.asc");
            answer(Json::Null)
        })
        .expect(3)
        .mount(&server)
        .await;
    let values: Vec<Value> = (0..600)
        .map(|number| Value::parse(Kind::Sha256, &format!("{number:064x}")).unwrap())
        .collect();
    assert!(
        target
            .list(Scope::Values(&values))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_page_without_a_cursor_before_the_end_is_a_failure() {
    let (server, target) = server().await;
    let body = json!({
        "meta": { "pagination": { "total": 3 } }, "errors": null,
        "resources": [{ "id": "x", "type": "md5", "value": "ab".repeat(16) }],
    });
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    assert_eq!(
        target.list(Scope::All).await.unwrap_err().kind(),
        ErrorKind::Protocol
    );
}

#[tokio::test]
async fn a_success_with_errors_is_a_failure_with_the_trace() {
    let (server, target) = server().await;
    let body = json!({
        "meta": { "trace_id": "abc-123" }, "errors": [{ "code": 500, "message": "half broken" }], "resources": [],
    });
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&server)
        .await;
    let error = target.list(Scope::All).await.unwrap_err().to_string();
    assert!(
        error.contains("half broken") && error.contains("trace id abc-123"),
        "{error}"
    );
}

#[tokio::test]
async fn unconfirmed_rows_of_a_create_are_unknown() {
    let (server, target) = server().await;
    Mock::given(method("POST"))
        .and(path(ENTITIES))
        .respond_with(answer(Json::Null))
        .mount(&server)
        .await;
    let outcomes = target.apply(Batch::Add(&[write(None)])).await;
    assert!(
        matches!(outcomes[..], [Outcome::Unknown(_)]),
        "{outcomes:?}"
    );
}
