//! Requests, each pure, and the parts of the answers that serve us.

pub(crate) mod iocs;
pub(crate) mod restrictions;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::{Method, StatusCode};
use sdk::http::{Disposition, Request, Response, Safety};
use sdk::{Error, ErrorKind, Result, Secret};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::config::{Level, Place};

/// Entries per page: the documented maximum; the default would be 10.
pub(crate) const PAGE: usize = 1_000;
/// How long to wait after a 429 that does not say. Four such waits outlast the vendor's window of a minute.
const BUSY: Duration = Duration::from_secs(20);

/// The path of an endpoint.
fn path<const N: usize>(rest: [&str; N]) -> impl Iterator<Item = String> {
    let all: Vec<String> = ["web", "api", "v2.1"]
        .into_iter()
        .chain(rest)
        .map(str::to_owned)
        .collect();
    all.into_iter()
}

/// Whether the console is up. Answered without credentials, and no proof of any.
pub(crate) fn status() -> Request {
    Request::get("status", path(["system", "status"])).unauthenticated()
}

/// The console's version.
pub(crate) fn info() -> Request {
    Request::get("system", path(["system", "info"]))
}

/// When the token was made and when it ends. The token stands in the body, never in the URL.
pub(crate) fn token_details(token: &Secret) -> Request {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Token<'a> {
        api_token: &'a str,
    }
    let data = Token {
        api_token: token.expose(),
    };
    Request::new(
        Method::POST,
        Safety::Read,
        "users",
        path(["users", "api-token-details"]),
    )
    .json(&Data { data })
}

/// A body with nothing but `data`.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

/// A body of a write in a scope.
#[derive(Serialize)]
struct Scoped<'a, T> {
    data: T,
    filter: Filter<'a>,
}

/// The scope of a write: one list of one id, or the tenant.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_ids: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    site_ids: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_ids: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuids: Option<&'a [String]>,
}

impl<'a> Filter<'a> {
    fn of(place: &'a Place) -> Self {
        let mut filter = Self::default();
        match place.level {
            Level::Tenant => filter.tenant = Some(true),
            Level::Account => filter.account_ids = Some([&place.id]),
            Level::Site => filter.site_ids = Some([&place.id]),
            Level::Group => filter.group_ids = Some([&place.id]),
        }
        filter
    }
}

/// An answer. Every part may be null or absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<T> {
    #[serde(default = "Option::default")]
    pub(crate) data: Option<T>,
    #[serde(default)]
    pub(crate) errors: Option<Vec<VendorError>>,
    #[serde(default)]
    pub(crate) pagination: Option<Pagination>,
}

/// Where a page ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pagination {
    /// The next page; null on the last.
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
    /// How many there are in all.
    #[serde(default)]
    pub(crate) total_items: Option<u64>,
}

/// How many entries a delete took away.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Affected {
    #[serde(default)]
    pub(crate) affected: Option<u64>,
}

/// The console's version.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Info {
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) build: Option<String>,
}

/// The life of a token.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenDetails {
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
}

/// One error of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct VendorError {
    /// HTTP status times 10,000 and a number.
    #[serde(default)]
    pub(crate) code: Option<i64>,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

impl VendorError {
    fn text(&self) -> String {
        let parts = [self.title.as_deref(), self.detail.as_deref()];
        let parts: Vec<&str> = parts
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect();
        let text = parts.join(": ");
        match self.code {
            Some(code) => format!("{text} [{code}]"),
            None => text,
        }
    }
}

/// The errors in an answer, whatever its status.
pub(crate) fn errors(response: &Response) -> Vec<VendorError> {
    serde_json::from_slice::<Answer<IgnoredAny>>(&response.body)
        .ok()
        .and_then(|answer| answer.errors)
        .unwrap_or_default()
}

/// The vendor's own words, or the start of whatever came: proxies answer with HTML, or with nothing.
pub(crate) fn vendor_text(response: &Response) -> String {
    let texts: Vec<String> = errors(response).iter().map(VendorError::text).collect();
    let text = texts.join("; ");
    if text.is_empty() {
        match response.excerpt() {
            excerpt if excerpt.is_empty() => format!("an empty answer, {}", response.status),
            excerpt => excerpt,
        }
    } else {
        // Errors come from outside and go into one line of a report.
        let line = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().map(line).take(300).collect()
    }
}

/// An error with the vendor's words and the status.
pub(crate) fn error(kind: ErrorKind, what: &str, response: &Response) -> Error {
    Error::new(kind, format!("{what}: {}", vendor_text(response)))
        .with("status", response.status.as_u16())
}

/// The error of an answer that is no success, by its status.
pub(crate) fn refusal(what: &str, right: &str, response: &Response) -> Error {
    match response.status.as_u16() {
        401 => error(ErrorKind::Auth, what, response).hint(
            "the API token is wrong, has ended or was revoked: make a new one for the service user",
        ),
        403 => error(ErrorKind::Denied, what, response).hint(format!(
            "the token's user needs the permission {right:?} in this scope"
        )),
        300..=399 => error(ErrorKind::Protocol, what, response)
            .hint("check hostname: this is not the console itself"),
        404 => error(ErrorKind::NotFound, what, response),
        429 => error(ErrorKind::RateLimited, what, response),
        400..=499 => error(ErrorKind::Rejected, what, response),
        500..=599 => error(ErrorKind::Unavailable, what, response),
        _ => error(ErrorKind::Protocol, what, response),
    }
}

/// A successful answer. One with errors in it is no success, whatever its status.
pub(crate) fn read<T: DeserializeOwned>(
    what: &str,
    right: &str,
    response: &Response,
) -> Result<Answer<T>> {
    if response.status != StatusCode::OK {
        return Err(refusal(what, right, response));
    }
    let answer: Answer<T> = response.json(what)?;
    if answer
        .errors
        .as_ref()
        .is_some_and(|errors| !errors.is_empty())
    {
        return Err(error(ErrorKind::Protocol, what, response));
    }
    Ok(answer)
}

/// What a 429 means where it does not say when to come back.
pub(crate) fn disposition(response: &Response) -> Option<Disposition> {
    let told = response.header("retry-after").is_some_and(|text| {
        sdk::http::read_wait(text).is_some() || DateTime::parse_from_rfc2822(text).is_ok()
    });
    (response.status == StatusCode::TOO_MANY_REQUESTS && !told)
        .then_some(Disposition::Busy(Some(BUSY)))
}

/// A time as it is sent.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A time as it comes: with or without zone, with a space or a `T`, with fractions or without. Without a
/// zone it is UTC.
pub(crate) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|format| chrono::NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| time.and_utc())
}
