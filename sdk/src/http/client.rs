//! The client.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::address;
use super::auth::{Authenticate, NoAuth};
use super::limits::Limits;
use super::request::{Disposition, Request, Response, Safety};
use super::retry::{self, Budget, Told};
use super::strike::Sent;
use super::tls::{self, Fingerprint, Seen};
use super::transport::{Broken, Settings, Transport};
use super::witness;
use crate::clock::Clock;
use crate::connector::{Environment, Proxies};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::target::{Calls, RateWindow};

/// Sets up a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    base: Url,
    clock: Clock,
    auth: Arc<dyn Authenticate>,
    windows: Vec<RateWindow>,
    timeout: Duration,
    deadline: Duration,
    ca_files: Vec<std::path::PathBuf>,
    proxies: Proxies,
    ca_pem: Option<String>,
    tls_fingerprint: Option<String>,
    response_limit: u64,
    compression: bool,
    retry_after_header: Option<&'static str>,
    disposition: Judge,
}

/// What a vendor's answer means where its status does not say it.
type Judge = fn(&Response) -> Option<Disposition>;

impl ClientBuilder {
    /// A client for one vendor host. `base` is `https://…`, or `http://` on loopback only; the error
    /// otherwise has a hint. `base` may have a path, which is kept.
    pub fn new(base: &str, environment: &Environment) -> Result<Self> {
        Ok(Self {
            base: address::base(base)?,
            clock: environment.clock.clone(),
            auth: Arc::new(NoAuth),
            windows: Vec::new(),
            timeout: Duration::from_secs(60),
            deadline: Duration::from_secs(15 * 60),
            ca_files: environment.ca_files.clone(),
            proxies: environment.proxies.clone(),
            ca_pem: None,
            tls_fingerprint: None,
            response_limit: 64 << 20,
            compression: true,
            retry_after_header: None,
            disposition: |_| None,
        })
    }

    /// How requests are authenticated; [`super::NoAuth`] otherwise.
    #[must_use]
    pub fn auth(mut self, auth: Arc<dyn Authenticate>) -> Self {
        self.auth = auth;
        self
    }

    /// Documented rate limits, kept before they are hit; several windows per class are all kept.
    #[must_use]
    pub fn windows(mut self, windows: &[RateWindow]) -> Self {
        self.windows = windows.to_vec();
        self
    }

    /// Longest time for one try (default 60 s).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Longest time for one request with all its tries and waits (default 15 min).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// One more CA file.
    #[must_use]
    pub fn ca_file(mut self, path: Option<std::path::PathBuf>) -> Self {
        self.ca_files.extend(path);
        self
    }

    /// CAs as PEM text.
    #[must_use]
    pub fn ca_pem(mut self, pem: Option<String>) -> Self {
        self.ca_pem = pem;
        self
    }

    /// SHA-256 of the leaf certificate in hex (colons allowed), which replaces chain and name check.
    #[must_use]
    pub fn tls_fingerprint(mut self, fingerprint: Option<String>) -> Self {
        self.tls_fingerprint = fingerprint;
        self
    }

    /// A header besides `Retry-After` that tells when to come back, as epoch seconds, epoch milliseconds
    /// or seconds from now (told apart by size; garbage and the past are ignored; waits are capped).
    #[must_use]
    pub fn retry_after_header(mut self, name: &'static str) -> Self {
        self.retry_after_header = Some(name);
        self
    }

    /// Reads the answers whose status does not say what they mean: waits told in a body, "slow down" as a
    /// 401 or a 409, a session that ended told with a 200. `None` leaves it to the status: 401 is
    /// [`Disposition::Refused`], 408, 429 and 5xx are tried again as [`Client::send`] says.
    #[must_use]
    pub fn disposition(mut self, judge: fn(&Response) -> Option<Disposition>) -> Self {
        self.disposition = judge;
        self
    }

    /// Longest answer in bytes (default 64 MiB).
    #[must_use]
    pub fn response_limit(mut self, bytes: u64) -> Self {
        self.response_limit = bytes;
        self
    }

    /// Answers as they are sent, not asked for compressed.
    pub(super) fn uncompressed(mut self) -> Self {
        self.compression = false;
        self
    }

    /// Makes the client. Errors: unreadable CA file, malformed fingerprint.
    pub fn build(self) -> Result<Client> {
        let pin = self
            .tls_fingerprint
            .as_deref()
            .map(Fingerprint::parse)
            .transpose()?;
        let authorities = tls::authorities(&self.ca_files, self.ca_pem.as_deref())?;
        let seen = Seen::default();
        let host = self.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let settings = Settings {
            tls: tls::config(host, authorities, pin, seen.clone(), None)?,
            host: self.base.clone(),
            timeout: self.timeout,
            pin,
            seen,
            proxies: self.proxies,
            response_limit: self.response_limit,
            compression: self.compression,
        };
        Ok(Client(Arc::new(Inner {
            transport: Transport::new(settings, self.clock.clone())?,
            limits: Limits::new(&self.windows, &self.clock),
            base: self.base,
            clock: self.clock,
            auth: self.auth,
            deadline: self.deadline,
            retry_after_header: self.retry_after_header,
            disposition: self.disposition,
            budget: Budget::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            ahead: Mutex::new(None),
        })))
    }
}

/// An HTTP client for one vendor host. Clones share limits, budget and counters.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    limits: Limits,
    base: Url,
    clock: Clock,
    auth: Arc<dyn Authenticate>,
    deadline: Duration,
    retry_after_header: Option<&'static str>,
    disposition: Judge,
    budget: Budget,
    reads: AtomicU64,
    writes: AtomicU64,
    retried: AtomicU64,
    /// How far the vendor's clock was ahead of ours at the last answer that told its time.
    ahead: Mutex<Option<TimeDelta>>,
}

impl Client {
    /// Sends a request: waits for the rate windows, authenticates, retries what may be retried, and gives
    /// back the last answer whatever its status, except that 429 and 5xx that outlast the retries, and
    /// transport failures, are errors (`RateLimited`, `Unavailable`) that carry the vendor's text; a 5xx
    /// on [`super::Safety::Once`] is returned as an answer at once, because vendors use 500 for refusals.
    ///
    /// Redirects are answers like any other: credentials go to no other host. On a clock that only moves
    /// when told, an answer during which it moved by more than the timeout came too late.
    pub async fn send(&self, request: Request) -> Result<Response> {
        let url = address::join(&self.0.base, &request)?;
        self.send_to(url, request).await
    }

    /// [`Client::send`] with a URL that is complete.
    pub(super) async fn send_to(&self, url: Url, request: Request) -> Result<Response> {
        self.0.budget.request();
        let mut attempt = Attempt {
            client: self,
            latest: self.0.clock.elapsed() + self.0.deadline,
            tries: 0,
            renewed: false,
            fate_unknown: false,
            request,
        };
        let answer = attempt.run(&url).await;
        if let Some(shown) = self.0.transport.seen() {
            witness::note(&address::host(&self.0.base), shown);
        }
        let status = answer.as_ref().map_or(0, |answer| answer.status.as_u16());
        tracing::debug!(
            method = %attempt.request.method,
            host = %address::host(&url),
            path = url.path(),
            status,
            tries = attempt.tries,
            "http request"
        );
        answer.map_err(|error| {
            if attempt.fate_unknown && attempt.request.safety != Safety::Read {
                error.unknown_fate()
            } else {
                error
            }
        })
    }

    /// The headers that authenticate a request, marked so that nothing prints them.
    pub(super) async fn credentials(&self, request: &Request) -> Result<HeaderMap> {
        if !request.authenticated {
            return Ok(HeaderMap::new());
        }
        // A login is a request of its own, through `send` again.
        let mut headers = Box::pin(self.0.auth.headers(self)).await?;
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        Ok(headers)
    }

    /// The clock it waits on.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The base URL, without credentials.
    pub fn base(&self) -> &Url {
        &self.0.base
    }

    /// Calls made so far, retries included.
    pub fn calls(&self) -> Calls {
        Calls {
            read: self.0.reads.load(Ordering::Relaxed),
            write: self.0.writes.load(Ordering::Relaxed),
            retried: self.0.retried.load(Ordering::Relaxed),
        }
    }

    /// The vendor's clock now, going by the `Date` header of the last answer that had one; to the second.
    /// `None` before such an answer.
    pub fn vendor_time(&self) -> Option<DateTime<Utc>> {
        let ahead = *self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        Some(self.0.clock.now() + ahead?)
    }

    fn note_time(&self, response: &Response) {
        if let Some(date) = response.date() {
            let ahead = date - self.0.clock.now();
            *self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.0.base.as_str())
            .finish_non_exhaustive()
    }
}

fn by_status(response: &Response) -> Disposition {
    match response.status {
        StatusCode::UNAUTHORIZED => Disposition::Refused,
        StatusCode::TOO_MANY_REQUESTS => Disposition::Busy(None),
        _ => Disposition::Answer,
    }
}

/// One request through all its tries.
struct Attempt<'a> {
    client: &'a Client,
    request: Request,
    /// When to give up, as [`Clock::elapsed`].
    latest: Duration,
    tries: u32,
    /// Whether new credentials were already asked for.
    renewed: bool,
    /// Whether a try may have been applied without an answer that says so.
    fate_unknown: bool,
}

impl Attempt<'_> {
    async fn run(&mut self, url: &Url) -> Result<Response> {
        let inner = &*self.client.0;
        loop {
            inner.limits.enter(self.request.class, self.latest).await?;
            let credentials = self.client.credentials(&self.request).await?;
            let proofs = Sent::new(&credentials, &self.request);
            self.count();
            let sent = inner
                .transport
                .exchange(url.clone(), &self.request, credentials)
                .await;
            let (failure, told) = match sent {
                Ok(mut response) => {
                    proofs.strike(&mut response.body);
                    self.client.note_time(&response);
                    let judged = (inner.disposition)(&response);
                    let told = match judged {
                        Some(Disposition::Busy(Some(wait))) => Some(Told::by_vendor(wait)),
                        _ => retry::told(&response, inner.retry_after_header, inner.clock.now()),
                    };
                    match judged.unwrap_or_else(|| by_status(&response)) {
                        Disposition::Refused if self.renews().await => continue,
                        Disposition::Busy(_) => {
                            (self.refused(&response, ErrorKind::RateLimited), told)
                        }
                        _ if judged.is_none()
                            && retry::is_repeatable(self.request.safety, &response) =>
                        {
                            // A gateway's 5xx does not say how far the request came; 503 says nowhere.
                            let status = response.status;
                            self.fate_unknown |= status.is_server_error()
                                && status != StatusCode::SERVICE_UNAVAILABLE;
                            (self.refused(&response, ErrorKind::Unavailable), told)
                        }
                        _ => return Ok(response),
                    }
                }
                Err(Broken::NotSent(error)) => (error, None),
                Err(Broken::Unanswered(error)) => {
                    self.fate_unknown = true;
                    let error = error
                        .with("method", &self.request.method)
                        .with("path", url.path());
                    if self.request.safety == Safety::Once {
                        return Err(error);
                    }
                    (error, None)
                }
                Err(Broken::Final { error, sent }) => {
                    self.fate_unknown |= sent;
                    return Err(error);
                }
            };
            self.wait(failure, told).await?;
        }
    }

    fn count(&mut self) {
        let inner = &*self.client.0;
        self.tries += 1;
        let counter = if self.request.safety == Safety::Read || !self.request.authenticated {
            &inner.reads
        } else {
            &inner.writes
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if self.tries > 1 {
            inner.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// After a 401: whether to try once more with new credentials.
    async fn renews(&mut self) -> bool {
        if !self.request.authenticated || self.renewed {
            return false;
        }
        self.renewed = true;
        self.client.0.auth.refused().await
    }

    fn refused(&self, response: &Response, kind: ErrorKind) -> Error {
        let host = address::host(&self.client.0.base);
        let error = Error::new(kind, format!("{host} answered {}", response.status));
        match response.excerpt() {
            text if text.is_empty() => error,
            text => error.with("answer", text),
        }
    }

    /// Waits before the next try, or gives up with the failure.
    async fn wait(&self, failure: Error, told: Option<Told>) -> Result<()> {
        let inner = &*self.client.0;
        let failure = failure.with("tries", self.tries);
        let wait = match told {
            Some(Told::TooLong(wait)) => {
                return Err(failure
                    .with("asks to wait for seconds", wait.as_secs())
                    .retry(Retry::Later(Some(wait)))
                    .hint("run again later; what was done stays done"));
            }
            Some(Told::Wait(wait)) => wait,
            None => retry::back_off(self.tries),
        };
        let given_up = if self.tries >= retry::TRIES {
            None
        } else if inner.clock.elapsed() + wait > self.latest {
            Some("the time for this request is used up")
        } else if !inner.budget.take() {
            Some("too many retries in this run already")
        } else {
            inner.clock.sleep(wait).await;
            return Ok(());
        };
        let failure = failure.retry(Retry::GaveUp);
        Err(match given_up {
            Some(reason) => failure.with("given up because", reason),
            None => failure,
        })
    }
}
