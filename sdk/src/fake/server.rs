//! The loopback server.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::faults::FaultAction;
use super::{Fault, Faults};
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Longest request body in bytes.
const BODY_LIMIT: usize = 64 << 20;

/// How a fake is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// https with a generated CA.
    Tls,
    /// http.
    Http,
}

/// One call that the server got.
#[derive(Clone, Debug)]
pub struct Call {
    /// Method.
    pub method: String,
    /// Path as sent, still encoded.
    pub path: String,
    /// Raw query, still encoded.
    pub query: String,
    /// Headers, credentials included.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Status answered; 0 if the connection was broken, or while the answer is being made.
    pub status: u16,
}

/// Every call, in order of arrival.
#[derive(Clone, Default)]
pub struct CallLog {
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    /// Calls with the number each got on arrival.
    calls: Vec<(u64, Call)>,
    next: u64,
}

impl CallLog {
    /// All calls so far.
    pub fn all(&self) -> Vec<Call> {
        self.lock()
            .calls
            .iter()
            .map(|(_, call)| call.clone())
            .collect()
    }

    /// How many calls matched.
    pub fn count(&self, matches: impl Fn(&Call) -> bool) -> usize {
        self.lock()
            .calls
            .iter()
            .filter(|(_, call)| matches(call))
            .count()
    }

    /// Forgets them.
    pub fn clear(&self) {
        self.lock().calls.clear();
    }

    fn arrived(&self, call: Call) -> u64 {
        let mut log = self.lock();
        let number = log.next;
        log.next += 1;
        log.calls.push((number, call));
        number
    }

    fn answered(&self, number: u64, status: StatusCode) {
        let mut log = self.lock();
        if let Some((_, call)) = log.calls.iter_mut().rev().find(|(id, _)| *id == number) {
            call.status = status.as_u16();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server on 127.0.0.1. Stops when dropped.
pub struct Server {
    /// `https://127.0.0.1:PORT` or `http://…`.
    pub url: String,
    /// The CA's certificate, for TLS.
    pub ca_pem: Option<String>,
    /// The faults.
    pub faults: Faults,
    /// The log.
    pub log: CallLog,
    accepting: AbortHandle,
}

impl Server {
    /// Starts it. Every answer gets a `Date` header from `clock`, unless the router set one. Bodies are
    /// bounded at 64 MiB. HTTP/1.1, so that a broken connection takes exactly one answer with it.
    pub async fn start(
        router: axum::Router,
        clock: &Clock,
        transport: Transport,
        port: u16,
    ) -> Result<Self> {
        let tls = match transport {
            Transport::Tls => Some(Identity::generate()?),
            Transport::Http => None,
        };
        let listening = |error| Error::input(format!("127.0.0.1:{port}")).because(error);
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let ca_pem = tls.as_ref().map(|identity| identity.ca_pem.clone());
        let handler = Handler {
            router: TowerToHyperService::new(router.layer(DefaultBodyLimit::disable())),
            clock: clock.clone(),
            faults: Faults::default(),
            log: CallLog::default(),
        };
        let (faults, log) = (handler.faults.clone(), handler.log.clone());
        let accepting = tokio::spawn(accept(
            listener,
            tls.map(|identity| identity.acceptor),
            handler,
        ))
        .abort_handle();
        Ok(Self {
            url: format!("{scheme}://{address}"),
            ca_pem,
            faults,
            log,
            accepting,
        })
    }

    /// Adds a fault.
    pub fn fault(&self, fault: Fault) {
        self.faults.push(fault);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Accepts until aborted; the connections end with it, because they live in its set.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        // Small answers at once; without it each write may wait for the peer's acknowledgement.
        let _ = stream.set_nodelay(true);
        let (tls, handler) = (tls.clone(), handler.clone());
        connections.spawn(async move {
            match tls {
                None => serve(stream, handler).await,
                Some(acceptor) => {
                    // A client that does not trust us hangs up here: its business.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, handler).await;
                    }
                }
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, handler: Handler) {
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { handler.handle(request).await }
    });
    // An error here is a connection that broke, by script or by the client.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Ends the connection without an answer when a handler gives it back.
type Broken = io::Error;

#[derive(Clone)]
struct Handler {
    router: TowerToHyperService<axum::Router>,
    clock: Clock,
    faults: Faults,
    log: CallLog,
}

impl Handler {
    async fn handle(
        &self,
        request: Request<hyper::body::Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let (parts, body) = request.into_parts();
        let mut call = Call {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
            body: Bytes::new(),
            status: 0,
        };
        let target = match parts.uri.query() {
            Some(query) => format!("{}?{query}", call.path),
            None => call.path.clone(),
        };
        let body = axum::body::to_bytes(Body::new(body), BODY_LIMIT).await;
        call.body = body.as_ref().cloned().unwrap_or_default();
        let method = call.method.clone();
        let number = self.log.arrived(call);
        let Ok(body) = body else {
            return Ok(self.finish(
                number,
                text(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "the request body is too large",
                ),
            ));
        };
        let request = Request::from_parts(parts, Body::from(body));
        let response = match self.faults.strike(&method, &target) {
            None => self.apply(request).await,
            Some(FaultAction::Slow(duration)) => {
                self.clock.sleep(duration).await;
                self.apply(request).await
            }
            Some(FaultAction::Answer {
                status,
                headers,
                body,
            }) => scripted(status, &headers, body),
            Some(FaultAction::AnswerAfter { status, body }) => {
                self.apply(request).await;
                scripted(status, &[], body)
            }
            Some(FaultAction::ResetBefore) => return Err(broken()),
            Some(FaultAction::ResetAfter) => {
                let response = self.apply(request).await;
                return self.half(response).await;
            }
        };
        Ok(self.finish(number, response))
    }

    async fn apply(&self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = self.router.call(request).await;
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// The date, and the log's status.
    fn finish(&self, number: u64, mut response: Response<Body>) -> Response<Body> {
        self.log.answered(number, response.status());
        self.date(&mut response);
        response
    }

    fn date(&self, response: &mut Response<Body>) {
        let date = self.clock.now().format("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
            response.headers_mut().entry(DATE).or_insert(date);
        }
    }

    /// The first half of an answer under the length of the whole, then the end of the connection; no
    /// answer at all where there is nothing to halve.
    async fn half(&self, response: Response<Body>) -> Result<Response<Body>, Broken> {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .map_err(|_| broken())?;
        if body.len() < 2 {
            return Err(broken());
        }
        let half = body.slice(..body.len() / 2);
        let pieces = futures::stream::iter([Ok(half), Err(broken())]);
        let mut response = Response::from_parts(parts, Body::from_stream(pieces));
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.date(&mut response);
        Ok(response)
    }
}

fn broken() -> Broken {
    io::Error::new(io::ErrorKind::ConnectionReset, "scripted fault")
}

fn text(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// The answer of a fault. One that HTTP cannot carry is answered as such, for the test's author.
fn scripted(status: u16, headers: &[(String, String)], body: String) -> Response<Body> {
    let Ok(status) = StatusCode::from_u16(status) else {
        return text(
            StatusCode::NOT_IMPLEMENTED,
            "the scripted status is not one of HTTP",
        );
    };
    let mut response = text(status, body);
    for (name, value) in headers {
        match (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            (Ok(name), Ok(value)) => {
                response.headers_mut().insert(name, value);
            }
            _ => {
                return text(
                    StatusCode::NOT_IMPLEMENTED,
                    "a scripted header is not one of HTTP",
                );
            }
        }
    }
    response
}

/// A new CA and a certificate of it for 127.0.0.1 and localhost.
struct Identity {
    acceptor: TlsAcceptor,
    ca_pem: String,
}

impl Identity {
    fn generate() -> Result<Self> {
        let made = |error: rcgen::Error| {
            Error::internal("the fake's certificate could not be made").because(error)
        };
        let mut authority = CertificateParams::new(Vec::new()).map_err(made)?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "Fake vendor CA");
        let authority_key = KeyPair::generate().map_err(made)?;
        let authority_certificate = authority.self_signed(&authority_key).map_err(made)?;
        let issuer = Issuer::new(authority, authority_key);

        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut leaf = CertificateParams::new(names).map_err(made)?;
        leaf.distinguished_name
            .push(DnType::CommonName, "Fake vendor");
        let leaf_key = KeyPair::generate().map_err(made)?;
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer).map_err(made)?;

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![leaf_certificate.der().clone()], key)
            })
            .map_err(|error| {
                Error::internal("the fake's TLS could not be set up").because(error)
            })?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem: authority_certificate.pem(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::{get, post};
    use chrono::DateTime;

    use super::*;
    use crate::connector::Environment;
    use crate::http::{Client, ClientBuilder, Request, Safety};

    async fn start() -> (Server, Client, Clock) {
        let clock = Clock::manual(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let router = axum::Router::new()
            .route("/clock", get(|| async { "tick" }))
            .route(
                "/length",
                post(|body: Bytes| async move { body.len().to_string() }),
            );
        let server = Server::start(router, &clock, Transport::Http, 0)
            .await
            .unwrap();
        let client = ClientBuilder::new(&server.url, &Environment::new(clock.clone()))
            .unwrap()
            .build()
            .unwrap();
        (server, client, clock)
    }

    #[tokio::test]
    async fn every_answer_shows_the_fakes_clock() {
        let (server, client, clock) = start().await;
        let day = chrono::TimeDelta::days(1);
        clock.advance(day);
        let answer = client.send(Request::get("*", ["clock"])).await.unwrap();
        assert_eq!(answer.date(), Some(clock.now()));
        server.fault(Fault::answer(404, "gone").on("GET", "/clo"));
        let answer = client.send(Request::get("*", ["clock"])).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (404, &b"gone"[..])
        );
        assert_eq!(answer.date(), Some(clock.now()));
        server.fault(Fault::new(FaultAction::Slow(Duration::from_secs(30))));
        client.send(Request::get("*", ["clock"])).await.unwrap();
        assert_eq!(clock.elapsed(), Duration::from_secs(86_430));
    }

    #[tokio::test]
    async fn calls_are_logged_as_they_were_sent() {
        let (server, client, _) = start().await;
        client
            .send(Request::get("*", ["a/b"]).query("q", "ü&"))
            .await
            .unwrap();
        let log = server.log.all();
        assert_eq!(log[0].method, "GET");
        assert_eq!(log[0].path, "/a%2Fb");
        assert_eq!(log[0].query, "q=%C3%BC%26");
        assert_eq!(log[0].status, 404);
        assert_eq!(server.log.count(|call| call.status == 404), 1);
        server.log.clear();
        assert!(server.log.all().is_empty());
    }

    #[tokio::test]
    async fn bodies_are_bounded() {
        let (server, client, _) = start().await;
        let send = |length: usize| {
            let mut request = Request::new(reqwest::Method::POST, Safety::Read, "*", ["length"]);
            request.body = crate::http::Body::Json(vec![b' '; length].into());
            client.send(request)
        };
        let whole = send(3 << 20).await.unwrap();
        assert_eq!(&whole.body[..], b"3145728", "beyond axum's own limit");
        // The server may hang up while the client still sends, so the log is what tells.
        let _ = send(BODY_LIMIT + 1).await;
        assert!(server.log.count(|call| call.status == 413) > 0);
        assert_eq!(server.log.count(|call| call.status == 200), 1);
    }

    #[tokio::test]
    async fn faults_strike_in_their_turn() {
        let (server, client, _) = start().await;
        let hooked = Arc::new(Mutex::new(0));
        let count = hooked.clone();
        server.fault(Fault::status(403).on("POST", ""));
        server.fault(
            Fault::status(409)
                .on("GET", "/clock?turn=")
                .after(1)
                .times(2)
                .also(move || *count.lock().unwrap() += 1),
        );
        let mut statuses = Vec::new();
        for turn in 0..4 {
            let request = Request::get("*", ["clock"]).query("turn", turn);
            statuses.push(client.send(request).await.unwrap().status.as_u16());
        }
        assert_eq!(statuses, [200, 409, 409, 200]);
        assert_eq!(*hooked.lock().unwrap(), 2);
        assert_eq!(server.faults.waiting(), 1);
        server.faults.clear();
        assert_eq!(server.faults.waiting(), 0);
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() {
        let (server, client, _) = start().await;
        client.send(Request::get("*", ["clock"])).await.unwrap();
        drop(server);
        let error = client.send(Request::get("*", ["clock"])).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unavailable);
    }
}
