//! A FortiManager as it is spoken to: one session, opened once and never tried again with credentials that
//! were refused; and the way through it to the REST API of a firewall that it manages.

pub(super) mod inventory;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use sdk::connector::Environment;
use sdk::http::{Body, Client, ClientBuilder, Request, Response, Safety, StaticHeader};
use sdk::target::{Calls, Login};
use sdk::{Error, ErrorKind, Result, Retry, Secret};
use serde::Deserialize;
use serde_json::Value as Json;
use url::Url;

use super::NAME;
use crate::api::manager::{self as api, Answer, DENIED, Part};
use crate::config::{Config, Credentials, FortiManager};

const REFUSED_HINT: &str = "check the FortiManager user, its password or token, and `rpc-permit`; no further try is \
                            made with these credentials until Cordon starts again, nor by other runs with the same \
                            store for 24 hours";

/// Credentials that a manager refused, by manager: never sent again in this process.
static REFUSED: LazyLock<Mutex<HashMap<String, ()>>> = LazyLock::new(Mutex::default);

/// As a new process does, which knows nothing of this manager.
#[cfg(test)]
pub(super) fn forget_refusals(account: &str) {
    let mut refused = REFUSED.lock().unwrap();
    refused.retain(|identity, ()| !identity.starts_with(account));
}

/// Calls of one target, beside those of others through the same manager.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    read: AtomicU64,
    write: AtomicU64,
    retried: AtomicU64,
}

impl Counter {
    pub(crate) fn calls(&self) -> Calls {
        Calls {
            read: self.read.load(Ordering::Relaxed),
            write: self.write.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
        }
    }

    fn count(&self, safety: Safety) {
        let counter = if safety == Safety::Read {
            &self.read
        } else {
            &self.write
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A FortiManager.
pub(crate) struct Manager {
    client: Client,
    credentials: Credentials,
    /// Credentials and manager, hashed.
    identity: String,
    login: Login,
    session: tokio::sync::Mutex<Option<String>>,
    /// A lock belongs to its session: while one is held, a session that ended is not opened anew.
    locked: AtomicBool,
    /// The session ended while the lock was held, and the lock with it.
    lost: AtomicBool,
    /// A token was taken at least once.
    good: AtomicBool,
    /// Sessions opened so far.
    opened: AtomicU64,
    /// An install of ours may be running: it would fail with its session.
    installing: AtomicBool,
    pub(crate) adom: String,
    pub(crate) host: String,
}

#[derive(Deserialize)]
struct LoginAnswer {
    #[serde(default)]
    session: Option<String>,
    result: Vec<Part>,
}

/// What one firewall answered through the manager.
#[derive(Deserialize)]
pub(crate) struct Relayed {
    #[serde(default)]
    pub(crate) response: Json,
    pub(crate) status: crate::api::manager::Status,
    #[serde(default)]
    pub(crate) target: String,
}

impl Manager {
    pub(crate) fn new(
        config: &Config,
        manager: &FortiManager,
        environment: &Environment,
    ) -> Result<Arc<Self>> {
        let (base, host, account) = manager.endpoint()?;
        let credentials = manager.credentials()?;
        let mut builder = ClientBuilder::new(&base, environment)?
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone());
        let secret: &Secret = match &credentials {
            Credentials::Token(token) => {
                builder = builder.auth(Arc::new(StaticHeader::new(
                    AUTHORIZATION,
                    "Bearer ",
                    token,
                )?));
                token
            }
            Credentials::Password { password, .. } => password,
        };
        let hash = blake3::hash(secret.expose().as_bytes()).to_hex();
        let user = match &credentials {
            Credentials::Token(_) => "",
            Credentials::Password { username, .. } => username,
        };
        Ok(Arc::new(Self {
            client: builder.build()?,
            identity: format!("{account} {user} {hash}"),
            login: Login::new(NAME, &account, user, secret),
            credentials,
            session: tokio::sync::Mutex::default(),
            locked: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            good: AtomicBool::new(false),
            opened: AtomicU64::new(0),
            installing: AtomicBool::new(false),
            adom: manager.adom.clone(),
            host,
        }))
    }

    /// What it is logged in to with.
    pub(crate) fn login(&self) -> Login {
        self.login.clone()
    }

    pub(crate) fn clock(&self) -> &sdk::Clock {
        self.client.clock()
    }

    pub(crate) fn vendor_time(&self) -> chrono::DateTime<chrono::Utc> {
        self.client
            .vendor_time()
            .unwrap_or_else(|| self.client.clock().now())
    }

    /// Says whether a lock is held.
    pub(crate) fn hold(&self, locked: bool) {
        self.locked.store(locked, Ordering::Relaxed);
    }

    /// Whether the session ended while the lock was held; asking forgets it.
    pub(crate) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::Relaxed)
    }

    /// How many sessions were opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Says whether an install of ours may be running.
    pub(crate) fn install(&self, is_running: bool) {
        self.installing.store(is_running, Ordering::Relaxed);
    }

    /// The user, where one logs in.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Password { username, .. } => Some(username),
            Credentials::Token(_) => None,
        }
    }

    /// Whether something could be asked without logging in first.
    pub(crate) async fn is_logged_in(&self) -> bool {
        match &self.credentials {
            Credentials::Password { .. } => self.session.lock().await.is_some(),
            Credentials::Token(_) => self.good.load(Ordering::Relaxed),
        }
    }

    /// Ends the session, if there is one and no install of ours needs it. Then it ends by itself.
    pub(crate) async fn log_out(&self, counter: &Counter) {
        if self.installing.load(Ordering::Relaxed) {
            tracing::warn!(
                adom = self.adom,
                "the session stays open: an install of ours may be running"
            );
            return;
        }
        let Some(session) = self.session.lock().await.take() else {
            return;
        };
        // Asked once: a session that cannot be ended ends by itself.
        let request = api::call("exec", &[api::logout()], Some(&session), Safety::Once);
        if let Err(error) = self.exchange(counter, request, Safety::Read).await {
            tracing::warn!(adom = self.adom, %error, "the session could not be ended");
        }
    }

    fn refuse(&self) {
        let mut refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        refused.insert(self.identity.clone(), ());
    }

    fn refused(&self, message: &str) -> Error {
        Error::new(ErrorKind::Auth, message)
            .with("FortiManager", &self.host)
            .hint(REFUSED_HINT)
    }

    fn check_refused(&self) -> Result<()> {
        let refused = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.contains_key(&self.identity) {
            let told = "the FortiManager credentials were refused before; they are not tried again";
            return Err(self.refused(told).retry(Retry::GaveUp));
        }
        Ok(())
    }

    /// Sends, and counts what it took.
    async fn exchange(
        &self,
        counter: &Counter,
        request: Request,
        safety: Safety,
    ) -> Result<Response> {
        counter.count(safety);
        let before = self.client.calls().retried;
        let answer = self.client.send(request).await;
        let retried = self.client.calls().retried - before;
        counter.retried.fetch_add(retried, Ordering::Relaxed);
        answer
    }

    /// Whether a lock is held.
    pub(crate) fn is_held(&self) -> bool {
        self.locked.load(Ordering::Relaxed)
    }

    /// The session, opened if there is none.
    async fn session(&self, counter: &Counter) -> Result<Option<String>> {
        let Credentials::Password { username, password } = &self.credentials else {
            self.check_refused()?;
            return Ok(None);
        };
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(Some(session.clone()));
        }
        self.check_refused()?;
        let request = api::login(username, password.expose());
        let response = self.exchange(counter, request, Safety::Read).await?;
        let login: LoginAnswer = response.secret_json("FortiManager login")?;
        let status = login.result.first().map(|part| &part.status);
        match (status, login.session) {
            (Some(status), Some(opened)) if status.code == 0 && !opened.is_empty() => {
                *session = Some(opened.clone());
                self.opened.fetch_add(1, Ordering::Relaxed);
                Ok(Some(opened))
            }
            (status, _) => {
                self.refuse();
                let error = self.refused("the FortiManager login was refused");
                Err(match status {
                    Some(status) => error.with("answer", status),
                    None => error,
                })
            }
        }
    }

    /// Makes one call; one part for each of `parameters`, in their order.
    pub(crate) async fn call(
        &self,
        counter: &Counter,
        method: &'static str,
        parameters: &[Json],
        safety: Safety,
    ) -> Result<Vec<Part>> {
        let mut again = false;
        loop {
            let session = self.session(counter).await?;
            let request = api::call(method, parameters, session.as_deref(), safety);
            let response = self.exchange(counter, request, safety).await?;
            if matches!(response.status.as_u16(), 401 | 403) {
                self.refuse();
                return Err(self.refused("the FortiManager credentials were refused"));
            }
            let write = |error: Error| {
                if safety == Safety::Read {
                    error
                } else {
                    error.unknown_fate()
                }
            };
            if !response.status.is_success() {
                return Err(write(
                    Error::new(ErrorKind::Unavailable, "FortiManager failed")
                        .with("status", response.status.as_u16())
                        .with("answer", response.excerpt()),
                ));
            }
            let answer: Answer = response.json("FortiManager").map_err(write)?;
            let parts = answer.result;
            if parts.len() != parameters.len() {
                return Err(write(Error::protocol(format!(
                    "FortiManager: {} answers to {} questions",
                    parts.len(),
                    parameters.len()
                ))));
            }
            // The same code for a session that ended and for a right that is missing: one new session
            // tells them apart. Nothing was done if no part was.
            let denied = parts.iter().all(|part| part.status.code == DENIED);
            if !denied {
                self.good.store(true, Ordering::Relaxed);
            } else if session.is_none() && !self.good.load(Ordering::Relaxed) {
                self.refuse();
                return Err(self.refused("the FortiManager token was refused, or may do nothing"));
            }
            if denied && !again && session.is_some() {
                let mut current = self.session.lock().await;
                if *current == session {
                    *current = None;
                }
                if !self.is_held() {
                    again = true;
                    continue;
                }
                self.lost.store(true, Ordering::Relaxed);
            }
            return Ok(parts);
        }
    }

    /// The same for one question whose refusal is an error.
    pub(crate) async fn ask(
        &self,
        counter: &Counter,
        method: &'static str,
        parameter: Json,
        safety: Safety,
        what: &str,
    ) -> Result<Json> {
        let mut parts = self.call(counter, method, &[parameter], safety).await?;
        let part = parts
            .pop()
            .ok_or_else(|| Error::protocol(format!("{what}: no answer")))?;
        match part.status.code {
            0 => Ok(part.data),
            _ => Err(self.refusal(&part.status, what)),
        }
    }

    /// The error for a code that is not 0.
    pub(crate) fn refusal(&self, status: &api::Status, what: &str) -> Error {
        let error = match status.code {
            DENIED => Error::new(ErrorKind::Denied, format!("{what}: not permitted")).hint(
                "give the FortiManager user read-write `rpc-permit`, the ADOM, and a profile that may edit and \
                 install",
            ),
            api::NO_LOCK => Error::new(
                ErrorKind::Unavailable,
                format!("{what}: the lock of the ADOM is lost"),
            )
            .hint("the session ended while it held the lock: nothing was committed; run again"),
            api::WORKFLOW => Error::new(
                ErrorKind::Unsupported,
                format!("{what}: the ADOM works with approvals"),
            )
            .hint("people approve changes in workflow mode: use an ADOM in normal workspace mode"),
            api::MISSING => Error::new(ErrorKind::NotFound, format!("{what}: not found")),
            _ => Error::new(ErrorKind::Rejected, format!("{what}: refused")),
        };
        error.with("answer", status).with("ADOM", &self.adom)
    }

    /// Asks managed firewalls, one answer each.
    pub(crate) async fn relay(
        &self,
        counter: &Counter,
        request: &Request,
        devices: &[&str],
    ) -> Result<Vec<Relayed>> {
        let requests = std::slice::from_ref(request);
        let mut relayed = self.relay_all(counter, requests, devices).await?;
        relayed
            .pop()
            .ok_or_else(|| Error::protocol("call through FortiManager: no answer"))
    }

    /// Asks managed firewalls several things in one call, all of them of one safety.
    pub(crate) async fn relay_all(
        &self,
        counter: &Counter,
        requests: &[Request],
        devices: &[&str],
    ) -> Result<Vec<Vec<Relayed>>> {
        let what = "call through FortiManager";
        let targets: Vec<String> = devices
            .iter()
            .map(|device| format!("adom/{}/device/{device}", self.adom))
            .collect();
        let mut parameters = Vec::new();
        for request in requests {
            let payload = match &request.body {
                Body::Json(body) => serde_json::from_slice(body).ok(),
                _ => None,
            };
            let action = request.method.as_str().to_ascii_lowercase();
            parameters.push(api::relay(&action, &resource(request)?, payload, &targets));
        }
        let safety = requests.first().map_or(Safety::Read, |first| first.safety);
        let parts = self.call(counter, "exec", &parameters, safety).await?;
        let read = |part: Part| {
            if part.status.code != 0 {
                return Err(self.refusal(&part.status, what));
            }
            serde_json::from_value::<Vec<Relayed>>(part.data).map_err(|error| {
                let error = Error::protocol(format!("{what}: not the JSON we know")).because(error);
                if safety == Safety::Read {
                    error
                } else {
                    error.unknown_fate()
                }
            })
        };
        parts.into_iter().map(read).collect()
    }

    /// Asks one managed firewall, as if it were asked itself.
    pub(crate) async fn send(
        &self,
        counter: &Counter,
        request: &Request,
        device: &str,
    ) -> Result<Response> {
        let relayed = self.relay(counter, request, &[device]).await?;
        let Ok([one]) = <[Relayed; 1]>::try_from(relayed) else {
            return Err(
                Error::protocol("FortiManager: not one answer of one firewall").unknown_fate(),
            );
        };
        self.response(one, device, request.safety)
    }

    fn response(&self, relayed: Relayed, device: &str, safety: Safety) -> Result<Response> {
        if relayed.status.code != 0 {
            let error = Error::new(
                ErrorKind::Unavailable,
                "FortiManager does not reach the firewall",
            )
            .with("firewall", device)
            .with("answer", &relayed.status);
            return Err(if safety == Safety::Read {
                error
            } else {
                error.unknown_fate()
            });
        }
        let told = |field: &str| relayed.response.get(field);
        // Answers of the monitor side tell no HTTP status.
        let status = told("http_status")
            .and_then(Json::as_u64)
            .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
        let success = told("status").and_then(Json::as_str) == Some("success");
        let status = status.unwrap_or(if success {
            StatusCode::OK
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        });
        let mut headers = HeaderMap::new();
        let now = self.vendor_time().format("%a, %d %b %Y %H:%M:%S GMT");
        if let Ok(date) = now.to_string().parse() {
            headers.insert("date", date);
        }
        Ok(Response {
            status,
            headers,
            body: relayed.response.to_string().into(),
        })
    }
}

/// Path and query of a request, encoded as they would be sent.
fn resource(request: &Request) -> Result<String> {
    let mut url = Url::parse("https://firewall/")
        .map_err(|error| Error::internal("a constant URL").because(error))?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(&request.path);
    }
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&request.query);
    }
    Ok(match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    })
}

/// The answer of a managed firewall as a typed page.
pub(crate) fn page<T: serde::de::DeserializeOwned>(relayed: &Relayed) -> Option<T> {
    serde_json::from_value(relayed.response.get("results")?.clone()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_encoded_as_it_would_be_sent() {
        let request = Request::get("*", ["api", "v2", "a/b%"]).query("vdom", "x&y");
        assert_eq!(resource(&request).unwrap(), "/api/v2/a%2Fb%25?vdom=x%26y");
    }
}
