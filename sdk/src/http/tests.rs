//! The client against odd servers: wiremock for shapes and statuses, our own server for TLS and broken
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use chrono::DateTime;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::connector::Environment;
use crate::fake::{Fault, FaultAction, Server, Transport};
use crate::target::{Calls, RateWindow};
use crate::{Clock, Error, ErrorKind, Result, Retry, Secret};

fn environment() -> Environment {
    Environment::new(Clock::manual(
        DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
    ))
}

fn client(url: &str, environment: &Environment) -> Client {
    ClientBuilder::new(url, environment)
        .unwrap()
        .build()
        .unwrap()
}

fn get() -> Request {
    Request::get("read", ["items"])
}

fn write(safety: Safety) -> Request {
    Request::new(Method::POST, safety, "write", ["items"]).json(&json!({ "value": 1 }))
}

/// Answers with each in turn, the last for ever.
async fn answers(templates: impl IntoIterator<Item = ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let mut templates: Vec<_> = templates.into_iter().collect();
    let last = templates.pop().unwrap();
    for template in templates {
        Mock::given(wiremock::matchers::any())
            .respond_with(template)
            .up_to_n_times(1)
            .mount(&server)
            .await;
    }
    Mock::given(wiremock::matchers::any())
        .respond_with(last)
        .mount(&server)
        .await;
    server
}

fn status(status: u16) -> ResponseTemplate {
    ResponseTemplate::new(status)
}

/// A fake that counts what it applied.
async fn counting(environment: &Environment, transport: Transport) -> (Server, Arc<AtomicUsize>) {
    let applied = Arc::new(AtomicUsize::new(0));
    let counter = applied.clone();
    let router = Router::new().route(
        "/items",
        any(move || async move {
            counter.fetch_add(1, Ordering::SeqCst);
            "an answer of some length"
        }),
    );
    let server = Server::start(router, &environment.clock, transport, 0)
        .await
        .unwrap();
    (server, applied)
}

fn calls(read: u64, write: u64, retried: u64) -> Calls {
    Calls {
        read,
        write,
        retried,
    }
}

#[tokio::test]
async fn a_request_is_sent_as_it_is_described() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/base/items/a%2Fb"))
        .and(header("authorization", "Bearer hunter2"))
        .and(header("content-type", "application/json"))
        .and(body_json(json!({ "value": 1 })))
        .respond_with(status(201).set_body_json(json!({ "id": 7, "new": true })))
        .expect(1)
        .mount(&server)
        .await;
    let auth = StaticHeader::new(AUTHORIZATION, "Bearer ", &Secret::new("hunter2")).unwrap();
    let client = ClientBuilder::new(&format!("{}/base/", server.uri()), &environment())
        .unwrap()
        .auth(Arc::new(auth))
        .build()
        .unwrap();
    let request = Request::new(Method::PUT, Safety::Idempotent, "write", ["items", "a/b"])
        .query("dry", true)
        .json(&json!({ "value": 1 }));
    let response = client.send(request).await.unwrap();
    #[derive(serde::Deserialize)]
    struct Made {
        id: u32,
    }
    assert_eq!(response.status.as_u16(), 201);
    assert_eq!(response.json::<Made>("making an item").unwrap().id, 7);
    let received = &server.received_requests().await.unwrap()[0];
    assert_eq!(received.url.query(), Some("dry=true"));
    assert_eq!(client.calls(), calls(0, 1, 0));
}

#[tokio::test]
async fn forms_are_encoded() {
    let server = answers([status(200)]).await;
    let request = Request::new(Method::POST, Safety::Read, "login", ["token"])
        .form([("key".to_owned(), "a&b=c d".to_owned())])
        .unauthenticated();
    client(&server.uri(), &environment())
        .send(request)
        .await
        .unwrap();
    let received = &server.received_requests().await.unwrap()[0];
    assert_eq!(received.body, b"key=a%26b%3Dc+d");
    assert_eq!(
        received.headers["content-type"],
        "application/x-www-form-urlencoded"
    );
}

#[tokio::test]
async fn reads_are_repeated_until_they_are_answered() {
    let server = answers([
        status(500),
        status(429),
        status(408),
        status(529),
        status(200),
    ])
    .await;
    let environment = environment();
    let client = client(&server.uri(), &environment);
    let response = client.send(get()).await.unwrap();
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(client.calls(), calls(5, 0, 4));
    let waited = environment.clock.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
}

#[tokio::test]
async fn refusals_that_outlast_the_retries_are_errors_with_the_vendors_text() {
    for (code, kind) in [(429, ErrorKind::RateLimited), (503, ErrorKind::Unavailable)] {
        let server = answers([status(code).set_body_string("slow\ndown")]).await;
        let client = client(&server.uri(), &environment());
        let error = client.send(get()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.retry_status(), Retry::GaveUp);
        assert!(
            error.to_string().contains("answer slow down, tries 5"),
            "{error}"
        );
        assert!(!error.is_fate_unknown());
        assert_eq!(client.calls(), calls(5, 0, 4));
    }
}

#[tokio::test]
async fn other_statuses_are_answers() {
    for code in [204, 304, 400, 403, 404, 409, 422] {
        let server = answers([status(code)]).await;
        let client = client(&server.uri(), &environment());
        let response = client.send(get()).await.unwrap();
        assert_eq!(response.status.as_u16(), code);
        assert_eq!(client.calls().retried, 0);
    }
}

#[tokio::test]
async fn a_write_that_may_go_once_is_repeated_only_when_it_was_not_applied() {
    for code in [500, 502, 503, 504] {
        let server = answers([status(code)]).await;
        let client = client(&server.uri(), &environment());
        let response = client.send(write(Safety::Once)).await.unwrap();
        assert_eq!(response.status.as_u16(), code);
        assert_eq!(client.calls(), calls(0, 1, 0));
    }
    let busy = status(503).insert_header("retry-after", "2");
    let server = answers([status(429), busy, status(200)]).await;
    let client = client(&server.uri(), &environment());
    let response = client.send(write(Safety::Once)).await.unwrap();
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(client.calls(), calls(0, 3, 2));
}

#[tokio::test]
async fn a_gateways_last_word_on_a_write_leaves_its_fate_open() {
    for (code, unknown) in [(504, true), (500, true), (503, false), (429, false)] {
        let server = answers([status(code)]).await;
        let client = client(&server.uri(), &environment());
        let error = client.send(write(Safety::Idempotent)).await.unwrap_err();
        assert_eq!(error.is_fate_unknown(), unknown, "{code}");
    }
}

#[tokio::test]
async fn the_vendor_says_when_to_come_back() {
    let forms = [
        ("retry-after", "42"),
        ("retry-after", "Tue, 14 Nov 2023 22:14:02 GMT"),
        ("x-own", "1700000042"),
        ("x-own", "1700000042000"),
        ("x-own", "42"),
    ];
    for (name, value) in forms {
        let date = "Tue, 14 Nov 2023 22:13:20 GMT";
        let told = status(429)
            .insert_header("date", date)
            .insert_header(name, value);
        let server = answers([told, status(200)]).await;
        let environment = environment();
        let client = ClientBuilder::new(&server.uri(), &environment)
            .unwrap()
            .retry_after_header("x-own")
            .build()
            .unwrap();
        client.send(get()).await.unwrap();
        assert_eq!(
            environment.clock.elapsed(),
            Duration::from_secs(42),
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn a_vendor_that_asks_for_an_hour_is_not_waited_for() {
    let server = answers([status(429).insert_header("retry-after", "2400")]).await;
    let environment = environment();
    let client = client(&server.uri(), &environment);
    let error = client.send(get()).await.unwrap_err();
    assert_eq!(
        error.retry_status(),
        Retry::Later(Some(Duration::from_secs(2400)))
    );
    assert_eq!(error.exit_code(), 75);
    assert_eq!(environment.clock.elapsed(), Duration::ZERO);
    assert_eq!(client.calls(), calls(1, 0, 0));
}

#[tokio::test]
async fn the_deadline_bounds_all_tries_and_waits() {
    let server = answers([status(503).insert_header("retry-after", "20")]).await;
    let environment = environment();
    let client = ClientBuilder::new(&server.uri(), &environment)
        .unwrap()
        .deadline(Duration::from_secs(50))
        .build()
        .unwrap();
    let error = client.send(get()).await.unwrap_err();
    assert_eq!(error.retry_status(), Retry::GaveUp);
    assert!(
        error
            .to_string()
            .contains("the time for this request is used up")
    );
    assert_eq!(environment.clock.elapsed(), Duration::from_secs(40));
    assert_eq!(client.calls(), calls(3, 0, 2));
}

#[tokio::test]
async fn retries_come_out_of_a_budget_for_the_host() {
    let server = answers([status(500)]).await;
    let client = client(&server.uri(), &environment());
    let mut last = None;
    for _ in 0..40 {
        last = client.send(get()).await.err();
    }
    assert_eq!(client.calls(), calls(58, 0, 18), "ten and a fifth of forty");
    let last = last.unwrap();
    assert_eq!(last.retry_status(), Retry::GaveUp);
    assert!(last.to_string().contains("too many retries"), "{last}");
}

#[tokio::test]
async fn several_windows_are_kept() {
    let server = answers([status(200)]).await;
    let environment = environment();
    let window = |class, calls, seconds| RateWindow {
        class,
        calls,
        per: Duration::from_secs(seconds),
    };
    let client = ClientBuilder::new(&server.uri(), &environment)
        .unwrap()
        .windows(&[
            window("read", 1, 1),
            window("read", 5, 60),
            window("*", 6, 60),
        ])
        .build()
        .unwrap();
    for _ in 0..5 {
        client.send(get()).await.unwrap();
    }
    assert_eq!(environment.clock.elapsed().as_secs(), 4);
    client.send(write(Safety::Once)).await.unwrap();
    assert_eq!(environment.clock.elapsed().as_secs(), 4);
    client.send(write(Safety::Once)).await.unwrap();
    assert_eq!(environment.clock.elapsed().as_secs(), 60);
}

/// Logs in through the client, and gives up a token that was refused.
struct Login {
    token: AtomicUsize,
    renews: bool,
}

#[async_trait::async_trait]
impl Authenticate for Login {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let login = Request::new(Method::POST, Safety::Read, "login", ["login"]);
        client.send(login.unauthenticated()).await?;
        let token = self.token.load(Ordering::SeqCst);
        let value = HeaderValue::from_str(&format!("token {token}"))
            .map_err(|_| Error::internal("a bad token"))?;
        Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
    }

    async fn refused(&self) -> bool {
        self.token.fetch_add(1, Ordering::SeqCst);
        self.renews
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    for (renews, accepted, expected) in [(true, 1, 200), (true, 9, 401), (false, 1, 401)] {
        let server = MockServer::start().await;
        Mock::given(path("/login"))
            .respond_with(status(200))
            .mount(&server)
            .await;
        Mock::given(path("/items"))
            .and(header(
                "authorization",
                format!("token {accepted}").as_str(),
            ))
            .respond_with(status(200))
            .mount(&server)
            .await;
        Mock::given(path("/items"))
            .respond_with(status(401))
            .mount(&server)
            .await;
        let auth = Login {
            token: AtomicUsize::new(0),
            renews,
        };
        let client = ClientBuilder::new(&server.uri(), &environment())
            .unwrap()
            .auth(Arc::new(auth))
            .build()
            .unwrap();
        let response = client.send(write(Safety::Once)).await.unwrap();
        assert_eq!(response.status.as_u16(), expected);
        let tries = if renews { 2 } else { 1 };
        assert_eq!(client.calls(), calls(tries, tries, tries - 1));
    }
}

/// A vendor that says "slow down" with any status and in its body, and that its session ended with a 200.
fn odd(response: &Response) -> Option<Disposition> {
    let text = response.excerpt();
    if let Some(wait) = text.strip_prefix("wait ") {
        return Some(Disposition::Busy(read_wait(wait)));
    }
    match text.as_str() {
        "session over" => Some(Disposition::Refused),
        "no" => Some(Disposition::Answer),
        _ => None,
    }
}

#[tokio::test]
async fn what_a_status_does_not_say_the_vendors_words_do() {
    let cases = [
        (status(401).set_body_string("wait 7 seconds"), 7),
        (status(409).set_body_string("wait 13s"), 13),
        (status(200).set_body_string("session over"), 0),
    ];
    for (first, waited) in cases {
        let items = answers([first, status(204)]).await;
        let environment = environment();
        let client = ClientBuilder::new(&items.uri(), &environment)
            .unwrap()
            .auth(Arc::new(Once(AtomicBool::new(true))))
            .disposition(odd)
            .build()
            .unwrap();
        let response = client.send(write(Safety::Once)).await.unwrap();
        assert_eq!(response.status.as_u16(), 204);
        assert_eq!(environment.clock.elapsed(), Duration::from_secs(waited));
        assert_eq!(client.calls(), calls(0, 2, 1));
    }
}

#[tokio::test]
async fn a_refusal_that_looks_like_trouble_is_an_answer_where_the_vendor_says_so() {
    let server = answers([status(500).set_body_string("no")]).await;
    let client = ClientBuilder::new(&server.uri(), &environment())
        .unwrap()
        .disposition(odd)
        .build()
        .unwrap();
    let response = client.send(write(Safety::Idempotent)).await.unwrap();
    assert_eq!(response.status.as_u16(), 500);
    assert_eq!(client.calls(), calls(0, 1, 0));
}

#[tokio::test]
async fn a_wait_of_an_hour_told_in_a_body_ends_the_run() {
    let server = answers([status(409).set_body_string("wait 2400 seconds")]).await;
    let environment = environment();
    let client = ClientBuilder::new(&server.uri(), &environment)
        .unwrap()
        .disposition(odd)
        .build()
        .unwrap();
    let error = client.send(write(Safety::Once)).await.unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert!(!error.is_fate_unknown(), "busy is never applied");
    assert_eq!(environment.clock.elapsed(), Duration::ZERO);
}

/// Credentials that can be renewed once.
struct Once(AtomicBool);

#[async_trait::async_trait]
impl Authenticate for Once {
    async fn headers(&self, _: &Client) -> Result<HeaderMap> {
        Ok(HeaderMap::new())
    }

    async fn refused(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let elsewhere = answers([status(200)]).await;
    let location = format!("{}/items", elsewhere.uri());
    let server = answers([status(308).insert_header("location", location.as_str())]).await;
    let auth = StaticHeader::new(AUTHORIZATION, "", &Secret::new("hunter2")).unwrap();
    let client = ClientBuilder::new(&server.uri(), &environment())
        .unwrap()
        .auth(Arc::new(auth))
        .build()
        .unwrap();
    let response = client.send(get()).await.unwrap();
    assert_eq!(response.status.as_u16(), 308);
    assert_eq!(response.header("location"), Some(location.as_str()));
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn broken_connections_are_told_apart_by_safety() {
    for transport in [Transport::Http, Transport::Tls] {
        for (action, applied) in [(FaultAction::ResetBefore, 0), (FaultAction::ResetAfter, 1)] {
            let environment = environment();
            let (server, counter) = counting(&environment, transport).await;
            let client = ClientBuilder::new(&server.url, &environment)
                .unwrap()
                .ca_pem(server.ca_pem.clone())
                .build()
                .unwrap();
            client.send(get()).await.unwrap();
            server.fault(Fault::new(action.clone()));
            let error = client.send(write(Safety::Once)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.is_fate_unknown());
            assert_eq!(counter.load(Ordering::SeqCst), 1 + applied);
            assert_eq!(server.log.all()[1].status, 0);

            for request in [get(), write(Safety::Idempotent)] {
                server.fault(Fault::new(action.clone()));
                let response = client.send(request).await.unwrap();
                assert_eq!(&response.body[..], b"an answer of some length");
            }
            assert_eq!(counter.load(Ordering::SeqCst), 3 + 3 * applied);
            assert_eq!(client.calls(), calls(3, 3, 2));

            server.fault(Fault::new(action.clone()).times(usize::MAX));
            let error = client.send(write(Safety::Idempotent)).await.unwrap_err();
            assert!(error.is_fate_unknown());
            assert_eq!(error.retry_status(), Retry::GaveUp);
            let error = client.send(get()).await.unwrap_err();
            assert!(!error.is_fate_unknown(), "a read has no fate");
        }
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_none() {
    let environment = environment();
    let (server, counter) = counting(&environment, Transport::Http).await;
    let client = client(&server.url, &environment);
    let slow = FaultAction::Slow(Duration::from_secs(61));
    server.fault(Fault::new(slow.clone()));
    let error = client.send(write(Safety::Once)).await.unwrap_err();
    assert!(error.is_fate_unknown());
    assert!(error.to_string().contains("timed out"), "{error}");
    server.fault(Fault::new(slow));
    client.send(get()).await.unwrap();
    assert_eq!(counter.load(Ordering::SeqCst), 3);
    assert_eq!(client.calls(), calls(2, 1, 1));
}

#[tokio::test]
async fn an_unreachable_host_gives_a_hint_and_no_doubt() {
    let environment = environment();
    let port = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let client = client(&format!("http://127.0.0.1:{port}"), &environment);
    let error = client
        .send(write(Safety::Once).query("key", "hunter2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.retry_status(), Retry::GaveUp);
    assert!(!error.is_fate_unknown());
    assert!(
        error
            .to_string()
            .starts_with(&format!("127.0.0.1:{port}: not reachable"))
    );
    assert!(error.hint_text().unwrap().contains("nothing listens there"));
    assert!(!format!("{error:?}").contains("hunter2"));
    assert_eq!(client.calls(), calls(0, 5, 4));
}

#[tokio::test]
async fn a_private_ca_is_trusted_when_given_and_only_then() {
    let environment = environment();
    let (server, counter) = counting(&environment, Transport::Tls).await;
    let stranger = client(&server.url, &environment);
    let error = stranger.send(get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let hint = error.hint_text().unwrap();
    assert!(
        hint.contains("ca_file") && hint.contains("tls_fingerprint"),
        "{hint}"
    );
    assert_eq!(counter.load(Ordering::SeqCst), 0);
    assert_eq!(stranger.calls(), calls(1, 0, 0), "nothing to repeat");
    assert!(
        stranger.seen_fingerprint().is_some(),
        "shown, though refused"
    );

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, server.ca_pem.as_ref().unwrap()).unwrap();
    let builder = || ClientBuilder::new(&server.url, &environment).unwrap();
    let by_environment = Environment {
        ca_files: vec![file.clone()],
        ..environment.clone()
    };
    for builder in [
        builder().ca_pem(server.ca_pem.clone()),
        builder().ca_file(Some(file)),
        ClientBuilder::new(&server.url, &by_environment).unwrap(),
        ClientBuilder::new(
            &server.url.replace("127.0.0.1", "localhost"),
            &by_environment,
        )
        .unwrap(),
    ] {
        builder.build().unwrap().send(get()).await.unwrap();
    }
    assert_eq!(counter.load(Ordering::SeqCst), 4);

    let missing = builder().ca_file(Some(directory.path().join("none.pem")));
    assert_eq!(missing.build().unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_pin_replaces_the_chain_and_nothing_else_is_accepted() {
    let environment = environment();
    let (server, counter) = counting(&environment, Transport::Tls).await;
    let probe = client(&server.url, &environment);
    probe.send(get()).await.unwrap_err();
    let shown = probe.seen_fingerprint().unwrap();
    let pinned = |fingerprint: &str| {
        ClientBuilder::new(&server.url, &environment)
            .unwrap()
            .ca_pem(server.ca_pem.clone())
            .tls_fingerprint(Some(fingerprint.to_owned()))
            .build()
    };
    let client = pinned(&shown.to_uppercase()).unwrap();
    client.send(get()).await.unwrap();
    assert_eq!(client.seen_fingerprint(), Some(shown.clone()));

    let error = pinned(&"ab".repeat(32))
        .unwrap()
        .send(get())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(&shown), "{error}");
    assert!(error.hint_text().unwrap().contains("tls_fingerprint"));
    assert_eq!(counter.load(Ordering::SeqCst), 1);
    assert_eq!(pinned("abc").unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn answers_are_bounded() {
    let server = answers([status(200).set_body_bytes(vec![b'x'; 1001])]).await;
    let limited = |bytes| {
        ClientBuilder::new(&server.uri(), &environment())
            .unwrap()
            .response_limit(bytes)
            .build()
            .unwrap()
    };
    assert_eq!(limited(1001).send(get()).await.unwrap().body.len(), 1001);
    let error = limited(1000).send(get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("more than 1000 bytes"));

    // Without a length, and compressed to less than the limit.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 2000);
    let server = answers([status(200)
        .insert_header("content-encoding", "gzip")
        .set_body_bytes(bomb)])
    .await;
    let client = ClientBuilder::new(&server.uri(), &environment())
        .unwrap()
        .response_limit(2000)
        .build()
        .unwrap();
    let error = client.send(write(Safety::Once)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(
        error.is_fate_unknown(),
        "it was answered, but we do not know how"
    );
}

#[test]
fn nothing_printed_holds_a_secret() {
    let auth = StaticHeader::new(AUTHORIZATION, "Bearer ", &Secret::new("hunter2")).unwrap();
    assert!(!format!("{auth:?}").contains("hunter2"));
    let client = client("https://vendor.example.com/base", &environment());
    let text = format!("{client:?}");
    assert!(text.contains("vendor.example.com") && !text.contains("hunter2"));
    let error = StaticHeader::new(AUTHORIZATION, "", &Secret::new("hunter2\u{7f}x")).unwrap_err();
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn credentials_are_marked_sensitive_before_they_are_sent() {
    /// An author who forgot to.
    struct Forgetful(AtomicBool);
    #[async_trait::async_trait]
    impl Authenticate for Forgetful {
        async fn headers(&self, _: &Client) -> Result<HeaderMap> {
            self.0.store(true, Ordering::SeqCst);
            Ok(HeaderMap::from_iter([(
                AUTHORIZATION,
                HeaderValue::from_static("hunter2"),
            )]))
        }
        async fn refused(&self) -> bool {
            false
        }
    }
    let server = answers([status(200)]).await;
    let auth = Arc::new(Forgetful(AtomicBool::new(false)));
    let client = ClientBuilder::new(&server.uri(), &environment())
        .unwrap()
        .auth(auth.clone())
        .build()
        .unwrap();
    client.send(get().unauthenticated()).await.unwrap();
    assert!(!auth.0.load(Ordering::SeqCst), "a login has no credentials");
    let headers = client.credentials(&get()).await.unwrap();
    assert!(headers[AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn a_fetch_follows_three_redirects_and_no_more() {
    let environment = environment();
    let router = Router::new()
        .route("/list", any(|| async { "198.51.100.1\n" }))
        .route(
            "/hop/{left}",
            any(
                |axum::extract::Path(left): axum::extract::Path<u32>| async move {
                    let to = match left {
                        1 => "/list".to_owned(),
                        left => format!("/hop/{}", left - 1),
                    };
                    (axum::http::StatusCode::FOUND, [("location", to)])
                },
            ),
        )
        .route(
            "/away",
            any(|| async {
                (
                    axum::http::StatusCode::FOUND,
                    [("location", "http://lists.example.com/list")],
                )
            }),
        );
    let server = Server::start(router, &environment.clock, Transport::Http, 0)
        .await
        .unwrap();
    let url = |path: &str| format!("{}{path}", server.url);
    let read = fetch(&url("/hop/3?token=a%2Fb"), &environment, 1000)
        .await
        .unwrap();
    assert_eq!(&read.body[..], b"198.51.100.1\n");
    assert_eq!(read.final_url, url("/list"));
    assert_eq!(server.log.all()[0].query, "token=a%2Fb", "as given");
    let error = fetch(&url("/hop/4"), &environment, 1000).await.unwrap_err();
    assert_eq!(error.message(), "too many redirects");
    let error = fetch(&url("/away"), &environment, 1000).await.unwrap_err();
    assert!(error.message().contains("plain http"), "{error}");
    let error = fetch(&url("/none"), &environment, 1000).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_fetch_is_whole_and_bounded_or_fails() {
    let environment = environment();
    let (server, counter) = counting(&environment, Transport::Http).await;
    let url = format!("{}/items", server.url);
    server.fault(Fault::new(FaultAction::ResetAfter));
    let read = fetch(&url, &environment, 24).await.unwrap();
    assert_eq!(read.body.len(), 24);
    assert_eq!(
        counter.load(Ordering::SeqCst),
        2,
        "a broken read is repeated"
    );
    let error = fetch(&url, &environment, 23).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    server.fault(Fault::new(FaultAction::ResetAfter).times(usize::MAX));
    let error = fetch(&url, &environment, 24).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    for refused in [
        "http://lists.example.com/",
        "https://user:hunter2@lists.example.com/",
        "file:///etc/hosts",
    ] {
        let error = fetch(refused, &environment, 24).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_vendors_clock_goes_on_from_its_last_answer() {
    let server = answers([
        ResponseTemplate::new(200).insert_header("date", "Tue, 14 Nov 2023 22:15:20 GMT"),
        ResponseTemplate::new(200).insert_header("date", "not a date"),
    ])
    .await;
    let environment = environment();
    let client = client(&server.uri(), &environment);
    assert_eq!(client.vendor_time(), None);
    client.send(get()).await.unwrap();
    let ahead = chrono::TimeDelta::seconds(120);
    assert_eq!(client.vendor_time(), Some(environment.clock.now() + ahead));
    // An answer that tells no time changes nothing, and time goes by on both sides.
    client.send(get()).await.unwrap();
    environment.clock.advance(chrono::TimeDelta::hours(3));
    assert_eq!(client.vendor_time(), Some(environment.clock.now() + ahead));
}
