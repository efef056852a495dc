//! A request as a value, and its answer.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::retry::{self, Told};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Whether a request may be sent again when its fate is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing: sent again at will.
    Read,
    /// Changes something, and sending it twice is the same as once: sent again at will.
    Idempotent,
    /// Changes something: sent again only where it certainly was not applied (connection refused, 429,
    /// 503 with `Retry-After`); otherwise the error has [`Error::is_fate_unknown`].
    Once,
}

/// What is sent along.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// `application/json`.
    Json(Bytes),
    /// `application/x-www-form-urlencoded`; never logged.
    Form(Vec<(String, String)>),
}

/// A request, relative to the client's base URL. Building one is pure.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path segments, each percent-encoded whole when sent: no value can leave its segment.
    pub path: Vec<String>,
    /// Query pairs, encoded when sent.
    pub query: Vec<(String, String)>,
    /// Headers besides those of the client and of its [`super::Authenticate`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Body,
    /// The endpoint class for rate windows.
    pub class: &'static str,
    /// Whether it may be repeated.
    pub safety: Safety,
    /// Longest time for one try; `None` takes the client's.
    pub timeout: Option<Duration>,
    /// Whether the client's [`super::Authenticate`] is applied. Off for logins.
    pub authenticated: bool,
    /// What in query or body proves who we are; see [`Request::secret`].
    pub secrets: Vec<Secret>,
}

impl Request {
    /// A request without query or body.
    pub fn new<S: Into<String>>(
        method: Method,
        safety: Safety,
        class: &'static str,
        path: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            method,
            path: path.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            class,
            safety,
            timeout: None,
            authenticated: true,
            secrets: Vec::new(),
        }
    }

    /// `GET`, [`Safety::Read`].
    pub fn get<S: Into<String>>(class: &'static str, path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::GET, Safety::Read, class, path)
    }

    /// Adds a query pair.
    #[must_use]
    pub fn query(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(mut self, body: &impl serde::Serialize) -> Self {
        // Serialising our own structs cannot fail: no map has keys that are not strings.
        self.body = Body::Json(serde_json::to_vec(body).unwrap_or_default().into());
        self
    }

    /// Sends a form.
    #[must_use]
    pub fn form(mut self, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        self.body = Body::Form(pairs.into_iter().collect());
        self
    }

    /// Names a session's token, or what logs in, that stands in the query or the body. As with the headers of
    /// [`super::Authenticate`], the answer is read without it, should it be repeated there.
    #[must_use]
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(Secret::new(secret));
        self
    }

    /// Sends it without credentials.
    #[must_use]
    pub fn unauthenticated(mut self) -> Self {
        self.authenticated = false;
        self
    }

    /// Sets the longest time for one try.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What an answer means for the request, where the status alone does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// An answer: it goes to the caller.
    Answer,
    /// Certainly not applied, and worth another try after this time (by the back-off where the vendor tells
    /// none), whatever the request's [`Safety`].
    Busy(Option<Duration>),
    /// The credentials were not taken, as with a 401: [`super::Authenticate::refused`] decides whether to
    /// try once more.
    Refused,
}

/// An answer, read whole and bounded. Any status: what it means is the connector's business.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// Parses the body as JSON into the smallest struct that serves; unknown fields are ignored. The
    /// error says what was asked and shows the start of what came, HTML named as such.
    pub fn json<'a, T: Deserialize<'a>>(&'a self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Error::protocol(format!("{what}: the answer is not the JSON we know"))
                .with("status", self.status.as_u16())
                .with("begins", self.excerpt())
                .because(error)
        })
    }

    /// [`Response::json`] for an answer that brings a token: the error shows nothing of such an answer, only of
    /// one that is something else, such as a proxy's page.
    pub fn secret_json<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let unknown = Error::protocol(format!("{what}: the answer is not the JSON we know"))
                .with("status", self.status.as_u16());
            if self.body.trim_ascii_start().starts_with(b"{") {
                unknown.with("column", error.column())
            } else {
                unknown.with("begins", self.excerpt())
            }
        })
    }

    /// The start of the body on one line, for messages: at most 200 characters, control characters
    /// replaced.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(800)]);
        let mut line: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect();
        line.truncate(line.trim_end().len());
        line
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How long `Retry-After` asks to wait; `now` counts where the answer has no `Date`.
    pub fn retry_after(&self, now: DateTime<Utc>) -> Option<Duration> {
        retry::told(self, None, now).map(|told| match told {
            Told::Wait(wait) | Told::TooLong(wait) => wait,
        })
    }

    /// The server's clock, from `Date`.
    pub fn date(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc2822(self.header("date")?)
            .ok()
            .map(|date| date.with_timezone(&Utc))
    }
}
