//! Requests, pure; the smallest structs for answers; what the vendor's words mean.

use std::time::Duration;

use reqwest::Method;
use sdk::http::{Disposition, Request, Response, Safety, read_wait};
use sdk::target::RateWindow;
use sdk::{Error, ErrorKind, Retry};
use serde::{Deserialize, Serialize};

/// Classes of calls for the rate windows.
pub(crate) const READ: &str = "read";
/// The denylist's own reading limit.
pub(crate) const LIST: &str = "list";
const WRITE: &str = "write";
const ACTIVATE: &str = "activate";
/// Logins and logouts, for which no limit is documented.
pub(crate) const SESSION: &str = "session";

const fn window(class: &'static str, calls: u32, seconds: u64) -> RateWindow {
    RateWindow {
        class,
        calls,
        per: Duration::from_secs(seconds),
    }
}

/// The documented limits (understanding rate limiting; activation: the provider guide). DELETE, at 1 a
/// minute and 4 an hour, is never used for entries.
pub(crate) const RATE: &[RateWindow] = &[
    window(READ, 2, 1),
    window(READ, 1_000, 3_600),
    window(LIST, 1, 1),
    window(LIST, 1_000, 3_600),
    window(WRITE, 1, 1),
    window(WRITE, 400, 3_600),
    window(ACTIVATE, 10, 60),
    window(ACTIVATE, 40, 3_600),
];

/// Wait before a call is sent again that met the tenant's one write lock.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Wait after a 429 that tells none.
const UNTOLD_WAIT: Duration = Duration::from_secs(2);
/// Wait after a refusal that means "too many at once" and says no time.
const BLOCKED_WAIT: Duration = Duration::from_secs(5);

/// What to do with the entries of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Add,
    Remove,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD_TO_LIST",
            Self::Remove => "REMOVE_FROM_LIST",
        }
    }
}

/// `urlQuota`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quota {
    pub(crate) unique_urls_provisioned: usize,
    pub(crate) remaining_urls_quota: usize,
}

/// A custom category.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Category {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) configured_name: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) urls: Vec<String>,
    #[serde(default)]
    pub(crate) ip_ranges: Vec<String>,
    #[serde(default)]
    pub(crate) ip_ranges_retaining_parent_category: Vec<String>,
}

/// The denylist.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Denylist {
    /// Absent in an answer would be a field that was renamed: that must not read as an empty list.
    pub(crate) blacklist_urls: Vec<String>,
}

/// `status`.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) status: String,
}

/// A URL Filtering rule.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) url_categories: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewCategory<'a> {
    configured_name: &'a str,
    super_category: &'a str,
    custom_category: bool,
    #[serde(rename = "type")]
    kind: &'a str,
    description: &'a str,
    urls: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_ranges: Option<&'a [String]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CategoryChange<'a> {
    configured_name: &'a str,
    urls: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_ranges: Option<&'a [String]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DenylistChange<'a> {
    blacklist_urls: &'a [&'a str],
}

pub(crate) fn quota() -> Request {
    Request::get(READ, ["urlCategories", "urlQuota"])
}

pub(crate) fn categories() -> Request {
    Request::get(READ, ["urlCategories"]).query("customOnly", true)
}

pub(crate) fn category(id: &str) -> Request {
    Request::get(READ, ["urlCategories", id])
}

/// A new category with its first entries: one without any may be refused.
pub(crate) fn create_category(
    name: &str,
    description: &str,
    urls: &[&str],
    ip_ranges: Option<&[String]>,
) -> Request {
    Request::new(Method::POST, Safety::Once, WRITE, ["urlCategories"]).json(&NewCategory {
        configured_name: name,
        super_category: "USER_DEFINED",
        custom_category: true,
        kind: "URL_CATEGORY",
        description,
        urls,
        ip_ranges,
    })
}

/// Adds or takes URLs, and replaces the IP ranges where they are given. The name goes along as it is: another
/// one would rename the category.
pub(crate) fn change_category(
    id: &str,
    name: &str,
    action: Action,
    urls: &[&str],
    ip_ranges: Option<&[String]>,
) -> Request {
    Request::new(Method::PUT, Safety::Once, WRITE, ["urlCategories", id])
        .query("action", action.name())
        .json(&CategoryChange {
            configured_name: name,
            urls,
            ip_ranges,
        })
}

pub(crate) fn denylist() -> Request {
    Request::get(LIST, ["security", "advanced"])
}

pub(crate) fn change_denylist(action: Action, urls: &[&str]) -> Request {
    let path = ["security", "advanced", "blacklistUrls"];
    Request::new(Method::POST, Safety::Once, WRITE, path)
        .query("action", action.name())
        .json(&DenylistChange {
            blacklist_urls: urls,
        })
}

pub(crate) fn status() -> Request {
    Request::get(READ, ["status"])
}

pub(crate) fn activate() -> Request {
    Request::new(
        Method::POST,
        Safety::Idempotent,
        ACTIVATE,
        ["status", "activate"],
    )
}

pub(crate) fn rules() -> Request {
    Request::get(READ, ["urlFilteringRules"])
}

/// The vendor's refusal, as far as it is JSON.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "Retry-After")]
    retry_after: Option<String>,
}

impl Refusal {
    fn read(response: &Response) -> Self {
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// The vendor's words: code and message, or the start of whatever came.
pub(crate) fn vendor_text(response: &Response) -> String {
    let refusal = Refusal::read(response);
    let text = match (refusal.code, refusal.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(text), None) | (None, Some(text)) => text,
        (None, None) => response.excerpt(),
    };
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect();
    if line.trim().is_empty() {
        format!("HTTP {} without a word", response.status.as_u16())
    } else {
        line
    }
}

/// An error with status and the vendor's words.
pub(crate) fn error(kind: ErrorKind, message: impl Into<String>, response: &Response) -> Error {
    Error::new(kind, message)
        .with("status", response.status.as_u16())
        .with("answer", vendor_text(response))
}

/// What an answer means where its status does not say it.
pub(crate) fn disposition(response: &Response) -> Option<Disposition> {
    let status = response.status.as_u16();
    if !matches!(status, 401 | 409 | 412 | 429 | 503) {
        return None;
    }
    let refusal = Refusal::read(response);
    let message = refusal.message.as_deref().unwrap_or_default();
    let has_header = response.headers.contains_key("retry-after");
    let told = refusal.retry_after.as_deref().and_then(read_wait);
    // The header goes before the body, and both before a wait of our own.
    let wait = |own: Option<Duration>| if has_header { None } else { told.or(own) };
    match status {
        // Sent in place of a 429 when calls overlap: a new login would only make it worse.
        401 | 409 if message.contains("Resource Access Blocked") => {
            Some(Disposition::Busy(wait(Some(BLOCKED_WAIT))))
        }
        401 => None,
        409 | 412 if is_locked(&refusal, message) => Some(Disposition::Busy(wait(Some(LOCK_WAIT)))),
        409 | 412 => Some(Disposition::Answer),
        // The windows that are met without a told wait are those of a second.
        429 => Some(Disposition::Busy(wait(Some(UNTOLD_WAIT)))),
        503 if has_header || told.is_some() => Some(Disposition::Busy(wait(None))),
        // A gateway's, which does not say how far the call came.
        _ => None,
    }
}

/// The tenant has one write lock, said in several ways.
fn is_locked(refusal: &Refusal, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    refusal.is("EDIT_LOCK_NOT_AVAILABLE")
        || message.contains("org barrier")
        || message.contains("expected precondition was not met")
}

/// Whether the cloud says that it takes no writes now. Its meaning is not documented beyond the usual
/// `read-write`.
fn is_read_only(response: &Response) -> bool {
    response
        .header("x-zscaler-mode")
        .is_some_and(|mode| !mode.eq_ignore_ascii_case("read-write"))
}

/// What a refusal comes to that concerns no single entry.
pub(crate) fn refusal(what: &str, response: &Response) -> Error {
    let refusal = Refusal::read(response);
    let message = |text: &str| format!("{what}: {text}");
    match response.status.as_u16() {
        401 => error(ErrorKind::Auth, message("the session is not taken"), response),
        403 if is_read_only(response) => error(
            ErrorKind::Unavailable,
            message("the cloud takes no changes now (maintenance)"),
            response,
        )
        .retry(Retry::Later(None))
        .hint("run again later; nothing was activated"),
        403 if refusal.is("NOT_SUBSCRIBED") => error(
            ErrorKind::Denied,
            message("the tenant has no subscription for it"),
            response,
        ),
        403 => error(
            ErrorKind::Denied,
            message("not allowed"),
            response,
        )
        .hint("check the role of the administrator or API client; during a maintenance of the cloud wait for its end"),
        404 => error(ErrorKind::NotFound, message("not there"), response),
        409 | 412 => error(ErrorKind::Conflict, message("in conflict"), response),
        status if status >= 500 => {
            error(ErrorKind::Unavailable, message("the vendor failed"), response)
        }
        _ => error(ErrorKind::Protocol, message("unexpected answer"), response),
    }
}

/// What became of a write.
#[derive(Debug)]
pub(crate) enum Verdict {
    Done,
    /// The whole call was refused because of entries that it names, in the vendor's words.
    Invalid(String),
    /// The whole call was refused; no entry is named.
    Refused(String),
    /// Something of it is there already.
    Duplicate(String),
    /// Something of it, or the container, is not there.
    Missing(String),
    /// The tenant cannot use what was sent, for instance IP ranges.
    NotSubscribed(String),
    Failed(Error),
    /// It may have been applied.
    Unknown(Error),
}

/// Reads the answer to a write.
pub(crate) fn judge(what: &str, response: &Response) -> Verdict {
    let status = response.status.as_u16();
    let code = Refusal::read(response);
    let words = || vendor_text(response);
    match status {
        200..=299 => Verdict::Done,
        _ if code.is("DUPLICATE_ITEM") => Verdict::Duplicate(words()),
        _ if code.is("LIMIT_EXCEEDED") => Verdict::Failed(
            error(
                ErrorKind::Full,
                format!("{what}: the tenant's quota is used up"),
                response,
            )
            .hint("block less, remove entries of others, or ask Zscaler for a larger URL quota"),
        ),
        _ if code.is("RESOURCE_NOT_FOUND") => Verdict::Missing(words()),
        404 => Verdict::Missing(words()),
        400 => {
            let message = code.message.unwrap_or_default();
            if message.to_ascii_lowercase().contains("invalid urls") {
                Verdict::Invalid(message)
            } else {
                Verdict::Refused(words())
            }
        }
        // Too large for one call: halves may fit.
        413 => Verdict::Refused(words()),
        403 if code.is("NOT_SUBSCRIBED") => Verdict::NotSubscribed(words()),
        500.. => Verdict::Unknown(refusal(what, response).unknown_fate()),
        _ => Verdict::Failed(refusal(what, response)),
    }
}

/// Whether a refusal like `Invalid urls [a, b]` names an entry.
pub(crate) fn names(message: &str, entry: &str) -> bool {
    let inside = match (message.find('['), message.rfind(']')) {
        (Some(start), Some(end)) if start < end => &message[start + 1..end],
        _ => message,
    };
    let boundary = |c: Option<char>| c.is_none_or(|c| ", \"'[]".contains(c));
    inside.match_indices(entry).any(|(at, _)| {
        boundary(inside[..at].chars().next_back())
            && boundary(inside[at + entry.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn a_503_without_a_wait_does_not_say_that_nothing_was_done() {
        assert!(disposition(&response(503, "no upstream")).is_none());
        let told = r#"{"message": "maintenance", "Retry-After": "5 seconds"}"#;
        assert!(matches!(
            disposition(&response(503, told)),
            Some(Disposition::Busy(Some(_)))
        ));
        assert!(matches!(
            judge("add", &response(503, "no upstream")),
            Verdict::Unknown(_)
        ));
    }

    fn response(status: u16, body: &str) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn words_decide_between_waiting_and_answering() {
        let busy = |seconds| Some(Disposition::Busy(Some(Duration::from_secs(seconds))));
        for (status, body, expected) in [
            (401, r#"{"code":"SESSION_NOT_VALID","message":"x"}"#, None),
            (401, r#"{"message":"Resource Access Blocked"}"#, busy(5)),
            (
                409,
                r#"{"code":"","message":"Resource Access Blocked"}"#,
                busy(5),
            ),
            (
                409,
                r#"{"code":"EDIT_LOCK_NOT_AVAILABLE","message":"x"}"#,
                busy(10),
            ),
            (
                409,
                r#"{"code":"UNEXPECTED_ERROR","message":"Failed during enter Org barrier"}"#,
                busy(10),
            ),
            (
                412,
                r#"{"message":"Request processing failed, possibly because an expected precondition was not met"}"#,
                busy(10),
            ),
            (
                409,
                r#"{"code":"DUPLICATE_ITEM","message":"x"}"#,
                Some(Disposition::Answer),
            ),
            (
                429,
                r#"{"message":"Rate Limit (1/SECOND) exceeded","Retry-After":"13s"}"#,
                busy(13),
            ),
            (429, r#"{"message":"x","Retry-After":"0 seconds"}"#, busy(1)),
            (429, "<html>", busy(2)),
            (503, "", None),
            (500, "", None),
            (403, r#"{"code":"LIMIT_EXCEEDED"}"#, None),
        ] {
            assert_eq!(
                disposition(&response(status, body)),
                expected,
                "{status} {body}"
            );
        }
        let mut both = response(429, r#"{"Retry-After":"2400 seconds"}"#);
        both.headers
            .insert("retry-after", HeaderValue::from_static("1"));
        assert_eq!(
            disposition(&both),
            Some(Disposition::Busy(None)),
            "the client reads the header"
        );
    }

    #[test]
    fn only_whole_entries_are_named() {
        let message = "Invalid urls [bad_host.org/a, http://x.org]";
        assert!(names(message, "bad_host.org/a"));
        assert!(names(message, "http://x.org"));
        assert!(!names(message, "x.org"));
        assert!(!names(message, "bad_host.org"));
        assert!(names("Invalid urls [x.org]", "x.org"));
        assert!(names("Invalid urls [a.org,x.org]", "x.org"));
    }

    #[test]
    fn verdicts() {
        let judged = |status, body: &str| judge("test", &response(status, body));
        assert!(matches!(judged(200, ""), Verdict::Done));
        assert!(matches!(
            judged(400, r#"{"code":"DUPLICATE_ITEM"}"#),
            Verdict::Duplicate(_)
        ));
        assert!(
            matches!(judged(403, r#"{"code":"LIMIT_EXCEEDED"}"#), Verdict::Failed(error) if error.kind() == ErrorKind::Full)
        );
        assert!(matches!(
            judged(400, r#"{"code":"RESOURCE_NOT_FOUND"}"#),
            Verdict::Missing(_)
        ));
        assert!(matches!(judged(404, ""), Verdict::Missing(_)));
        assert!(
            matches!(judged(406, "<html>no</html>"), Verdict::Failed(error) if error.to_string().contains("<html>"))
        );
        assert!(matches!(judged(500, ""), Verdict::Unknown(error) if error.is_fate_unknown()));
        let read_only = {
            let mut response = response(403, "{}");
            response
                .headers
                .insert("x-zscaler-mode", HeaderValue::from_static("read-only"));
            refusal("test", &response)
        };
        assert_eq!(read_only.kind(), ErrorKind::Unavailable);
    }
}
