//! One try: a request out, an answer in, whole and bounded. Everything that can go wrong on the way is
//! told apart here.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use rustls::{CertificateError, InvalidMessage};
use url::Url;

use super::address;
use super::request::{Body, Request, Response};
use super::tls::{Fingerprint, Seen, Shown};
use crate::clock::Clock;
use crate::connector::Proxies;
use crate::error::{Error, ErrorKind, Result};

/// Longest time to reach the host, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an unused connection is kept; below the idle limits of usual load balancers, because a
/// write on a connection that the other side is closing has an unknown fate.
const IDLE: Duration = Duration::from_secs(20);

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Broken {
    /// The request did not leave: asking again is safe.
    NotSent(Error),
    /// It may have been applied.
    Unanswered(Error),
    /// Asking again gives the same. `sent` tells whether it may have been applied.
    Final { error: Error, sent: bool },
}

pub(super) struct Settings {
    pub(super) host: Url,
    pub(super) timeout: Duration,
    pub(super) tls: rustls::ClientConfig,
    pub(super) pin: Option<Fingerprint>,
    pub(super) seen: Seen,
    pub(super) response_limit: u64,
    pub(super) proxies: Proxies,
    /// Whether compressed answers are asked for and undone.
    pub(super) compression: bool,
}

pub(super) struct Transport {
    client: reqwest::Client,
    clock: Clock,
    settings: Settings,
}

impl Transport {
    #[expect(clippy::disallowed_methods, reason = "the one home of the HTTP client")]
    pub(super) fn new(settings: Settings, clock: Clock) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("cordon/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(settings.tls.clone())
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .pool_idle_timeout(IDLE)
            .gzip(settings.compression);
        if address::is_loopback(&settings.host) {
            builder = builder.no_proxy();
        } else {
            let Proxies { http, https } = &settings.proxies;
            let http = http.iter().map(|it| reqwest::Proxy::http(it.expose()));
            let https = https.iter().map(|it| reqwest::Proxy::https(it.expose()));
            for proxy in http.chain(https) {
                // What is wrong with it is not told: a password may stand in it.
                let proxy = proxy.map_err(|_| Error::config("the proxy's address is not a URL"))?;
                builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_env()));
            }
        }
        let client = builder
            .build()
            .map_err(|error| Error::internal("the HTTP client could not be made").because(error))?;
        Ok(Self {
            client,
            clock,
            settings,
        })
    }

    /// The client itself.
    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(super) fn seen(&self) -> Option<Shown> {
        self.settings.seen.get()
    }

    /// Sends it once.
    pub(super) async fn exchange(
        &self,
        url: Url,
        request: &Request,
        credentials: HeaderMap,
    ) -> Result<Response, Broken> {
        let timeout = request.timeout.unwrap_or(self.settings.timeout);
        let started = self.clock.elapsed();
        let answer = self.run(url, request, credentials, timeout).await;
        // A clock that only moves when told does not end reqwest's wait; what it moved by meanwhile is
        // the time that the answer took.
        let took = self.clock.elapsed().saturating_sub(started);
        if self.clock.is_manual() && took > timeout {
            let late = io::Error::new(io::ErrorKind::TimedOut, "operation timed out");
            return Err(Broken::Unanswered(self.unavailable("no answer", &late)));
        }
        answer
    }

    async fn run(
        &self,
        url: Url,
        request: &Request,
        credentials: HeaderMap,
        timeout: Duration,
    ) -> Result<Response, Broken> {
        let mut builder = self
            .client
            .request(request.method.clone(), url)
            .timeout(timeout)
            .headers(request.headers.iter().cloned().collect())
            .headers(credentials);
        if !self.settings.compression {
            builder = builder.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        builder = match &request.body {
            Body::Empty => builder,
            Body::Json(json) => builder
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(json.clone()),
            Body::Form(pairs) => builder.form(pairs),
        };
        let mut response = builder.send().await.map_err(|error| self.broken(error))?;
        let announced = response.content_length();
        if announced.is_some_and(|length| length > self.settings.response_limit) {
            return Err(self.too_long());
        }
        // What a vendor announces is not believed for memory beyond a megabyte.
        let capacity = announced.unwrap_or(0).min(1 << 20);
        let mut body = BytesMut::with_capacity(usize::try_from(capacity).unwrap_or(0));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if (body.len() + chunk.len()) as u64 > self.settings.response_limit {
                return Err(self.too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Bytes::from(body),
        })
    }

    fn too_long(&self) -> Broken {
        let limit = self.settings.response_limit;
        Broken::Final {
            error: Error::protocol(format!("an answer of more than {limit} bytes"))
                .with("host", address::host(&self.settings.host)),
            sent: true,
        }
    }

    fn broken(&self, error: reqwest::Error) -> Broken {
        // Its text may hold the URL, and the URL a secret.
        let error = error.without_url();
        if error.is_builder() {
            return Broken::Final {
                error: Error::internal("a request that cannot be built").because(error),
                sent: false,
            };
        }
        if let Some(tls) = tls_error(&error)
            && let Some(error) = self.untrusted(tls)
        {
            return Broken::Final { error, sent: false };
        }
        if error.is_connect() {
            let unavailable = self.unavailable("not reachable", &error);
            return Broken::NotSent(match connect_hint(&error) {
                Some(hint) => unavailable.hint(hint),
                None => unavailable,
            });
        }
        Broken::Unanswered(self.unavailable("no answer", &error))
    }

    fn unavailable(&self, what: &str, error: &(dyn StdError + 'static)) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "{}: {what}: {}",
                address::host(&self.settings.host),
                root_cause(error)
            ),
        )
    }

    /// What a refused certificate means; `None` for TLS trouble of another sort.
    fn untrusted(&self, error: &rustls::Error) -> Option<Error> {
        let host = address::host(&self.settings.host);
        let seen = self.settings.seen.get().map(|shown| shown.fingerprint);
        let config = |message: String| {
            let error = Error::config(message).with("host", &host);
            match seen {
                Some(seen) => error.with("certificate", seen),
                None => error,
            }
        };
        let pin = match seen {
            Some(seen) => format!("tls_fingerprint = \"{seen}\""),
            None => "tls_fingerprint".to_owned(),
        };
        match error {
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
                if self.settings.pin.is_some() =>
            {
                Some(
                    config("the server's certificate is not the pinned one".to_owned()).hint(
                        format!("if the certificate was renewed, compare its fingerprint on the device and set {pin}"),
                    ),
                )
            }
            rustls::Error::InvalidCertificate(reason) => Some(
                config(format!("the server's certificate is not trusted: {reason}")).hint(
                    format!("give its CA in ca_file or ca_pem, or compare the fingerprint on the device and set {pin}"),
                ),
            ),
            // What answers there is no TLS record at all: usually plain http.
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => Some(
                config("the server does not speak TLS on this port".to_owned())
                    .hint("check host and port: https needs the port that serves it"),
            ),
            rustls::Error::General(reason) => Some(
                config(reason.to_lowercase())
                    .hint("install CA certificates, or give the CA in ca_file or ca_pem"),
            ),
            _ => None,
        }
    }
}

/// The rustls error inside, however deep. `io::Error` leaves its own content out of its sources.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

/// The innermost error's text, lower case at the start.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let cause = chain(error).last().unwrap_or(error).to_string();
    let mut characters = cause.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => "broken".to_owned(),
    }
}

fn connect_hint(error: &reqwest::Error) -> Option<&'static str> {
    if error.is_timeout() {
        return Some("a firewall on the way, or the wrong address");
    }
    chain(error).find_map(|error| {
        if error.to_string() == "dns error" {
            return Some("check the host's name and this machine's name server");
        }
        match error.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some("nothing listens there: check host and port"),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                Some("check this machine's network and proxy settings")
            }
            _ => None,
        }
    })
}
