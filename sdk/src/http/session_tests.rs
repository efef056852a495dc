//! Tokens that a vendor gives: read where they are given, struck out where they come back.

use std::sync::Arc;

use chrono::DateTime;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::json;
use wiremock::matchers::{header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::connector::Environment;
use crate::{Clock, Error, Result};

/// Logs in for a token of its own, which is always the same, and gives up one that was refused.
struct Session {
    token: tokio::sync::Mutex<Option<String>>,
}

#[derive(serde::Deserialize)]
struct Given {
    token: String,
}

#[async_trait::async_trait]
impl Authenticate for Session {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let mut token = self.token.lock().await;
        if token.is_none() {
            let login = Request::new(Method::POST, Safety::Read, "login", ["login"]);
            let answer = client.send(login.unauthenticated()).await?;
            *token = Some(answer.secret_json::<Given>("login")?.token);
        }
        let value = format!("Bearer {}", token.as_deref().unwrap_or_default());
        let value = value.parse().map_err(|_| Error::internal("a bad token"))?;
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    async fn refused(&self) -> bool {
        self.token.lock().await.take().is_some()
    }
}

#[tokio::test]
async fn a_sessions_token_is_read_at_every_login_and_in_no_other_answer() {
    const TOKEN: &str = "token-of-this-session";
    let server = MockServer::start().await;
    Mock::given(path("/login"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "token": TOKEN })))
        .expect(2)
        .mount(&server)
        .await;
    for refusals in [401, 503] {
        Mock::given(path("/items"))
            .and(header("authorization", format!("Bearer {TOKEN}").as_str()))
            .respond_with(
                ResponseTemplate::new(refusals).set_body_string(format!("no: Bearer {TOKEN}")),
            )
            .up_to_n_times(if refusals == 401 { 1 } else { 9 })
            .mount(&server)
            .await;
    }
    let environment = Environment::new(Clock::manual(DateTime::default()));
    let client = ClientBuilder::new(&server.uri(), &environment)
        .unwrap()
        .auth(Arc::new(Session {
            token: tokio::sync::Mutex::default(),
        }))
        .build()
        .unwrap();
    // As an answer, and in the error that the client makes of answers itself.
    let write = Request::new(Method::POST, Safety::Once, "write", ["items"]);
    let answer = client.send(write).await.unwrap();
    assert_eq!(answer.status.as_u16(), 503);
    assert_eq!(answer.body, "no: Bearer [secret]");
    let error = client
        .send(Request::get("read", ["items"]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no: Bearer [secret]"), "{error}");
    assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
}

#[test]
fn an_answer_that_brings_a_token_is_not_quoted() {
    let answer = |body: &'static str| Response {
        status: reqwest::StatusCode::OK,
        headers: HeaderMap::new(),
        body: body.into(),
    };
    for body in [
        r#"{"token":"hunter2","expires_in":}"#,
        r#" {"token":"hunter2"#,
        r#"{"token":["hunter2"]}"#,
        r#"{"session":"hunter2"}"#,
    ] {
        let error = answer(body).secret_json::<Given>("login").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let page = answer("<html>sign in</html>").secret_json::<Given>("login");
    assert!(page.err().unwrap().to_string().contains("<html>sign in"));
}
