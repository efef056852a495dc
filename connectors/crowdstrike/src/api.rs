//! Requests, each pure, and the parts of the answers that serve us.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::Method;
use sdk::http::{Request, Response, Safety};
use sdk::indicator::Kind;
use sdk::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// Longest request line in bytes: the vendor's own PowerShell module packs no more.
pub(crate) const LINE_LIMIT: usize = 18_500;
/// What a request line holds besides the part that grows: method, path, limit, sort and the like.
const LINE_OVERHEAD: usize = 260;
/// The time that clears an end.
const NO_END: &str = "0001-01-01T00:00:00.000Z";
/// The order of every listing: it never changes for an entry, so that a write while pages are read moves
/// nothing, and what is new comes last.
const SORT: &str = "created_on.asc";
const ENTITIES: [&str; 4] = ["iocs", "entities", "indicators", "v1"];
const COMBINED: [&str; 4] = ["iocs", "combined", "indicator", "v1"];

/// The filter of a listing. Deleted records are hidden by default; saying so makes it certain.
pub(crate) const LIVE: &str = "deleted:false";

/// One page of entries.
pub(crate) fn page(filter: &str, limit: usize, after: Option<&str>) -> Request {
    let request = Request::get("read", COMBINED)
        .query("filter", filter)
        .query("limit", limit)
        .query("sort", SORT);
    match after {
        Some(after) => request.query("after", after),
        None => request,
    }
}

/// Filters that find the live entries of a type with these values, each short enough for one request.
/// Values are canonical: none holds a quote, an asterisk or a backslash, and any that does is left out.
pub(crate) fn filters(kind: Kind, values: &[String]) -> Vec<String> {
    let fits = |value: &&String| !value.contains(['\'', '"', '*', '\\']);
    let mut filters = Vec::new();
    let mut list = String::new();
    let mut encoded = 0;
    let close = |list: &str| format!("{LIVE}+type:'{}'+value:[{list}]", kind.name());
    for value in values.iter().filter(fits) {
        // Quotes, comma, colons and everything else that a query encodes triple in length.
        let plain = value
            .bytes()
            .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            .count();
        let length = 9 + plain + 3 * (value.len() - plain);
        if !list.is_empty() && encoded + length > LINE_LIMIT - 2 * LINE_OVERHEAD {
            filters.push(close(&list));
            list.clear();
            encoded = 0;
        }
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&format!("'{value}'"));
        encoded += length;
    }
    if !list.is_empty() {
        filters.push(close(&list));
    }
    filters
}

/// Ids in packs that each fit one request line.
pub(crate) fn packs<'a>(ids: &[&'a str], most: usize) -> Vec<Vec<&'a str>> {
    let mut packs: Vec<Vec<&str>> = Vec::new();
    let mut length = 0;
    for id in ids {
        let more = id.len() + "&ids=".len();
        match packs.last_mut() {
            Some(pack) if pack.len() < most && length + more <= LINE_LIMIT - LINE_OVERHEAD => {
                pack.push(id)
            }
            _ => {
                packs.push(vec![id]);
                length = 0;
            }
        }
        length += more;
    }
    packs
}

/// Entries by id, deleted ones included.
pub(crate) fn get(ids: &[&str]) -> Request {
    ids.iter()
        .fold(Request::get("read", ENTITIES), |request, id| {
            request.query("ids", id)
        })
}

/// New entries. Warnings are not ignored: what a duplicate becomes then is not documented.
pub(crate) fn create(indicators: &[NewIndicator<'_>]) -> Request {
    Request::new(Method::POST, Safety::Once, "write", ENTITIES)
        .query("ignore_warnings", false)
        .query("retrodetects", false)
        .json(&Indicators { indicators })
}

/// Changed entries. Every row states what it sets, so sending it twice is as good as once.
pub(crate) fn update(indicators: &[ChangedIndicator<'_>]) -> Request {
    Request::new(Method::PATCH, Safety::Idempotent, "write", ENTITIES)
        .query("ignore_warnings", false)
        .query("retrodetects", false)
        .json(&Indicators { indicators })
}

/// Takes entries away by id; never by filter, which would take others' too.
pub(crate) fn delete(ids: &[&str]) -> Request {
    let request = Request::new(Method::DELETE, Safety::Idempotent, "write", ENTITIES);
    ids.iter()
        .fold(request, |request, id| request.query("ids", id))
}

#[derive(Serialize)]
struct Indicators<'a, T> {
    indicators: &'a [T],
}

/// What is the same in every entry of ours.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Common<'a> {
    pub(crate) action: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) platforms: &'a [&'static str],
    pub(crate) applied_globally: bool,
    pub(crate) source: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) tags: &'a [String],
}

/// A row of a create.
#[derive(Debug, Serialize)]
pub(crate) struct NewIndicator<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    pub(crate) description: &'a str,
    #[serde(flatten)]
    pub(crate) common: Common<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<String>,
}

/// A row of an update; type and value cannot change and are not sent.
#[derive(Debug, Serialize)]
pub(crate) struct ChangedIndicator<'a> {
    pub(crate) id: &'a str,
    pub(crate) description: &'a str,
    /// Left out for somebody else's entry, which keeps its action.
    #[serde(flatten)]
    pub(crate) common: Option<Common<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiration: Option<String>,
}

/// An end as it is sent.
pub(crate) fn end(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The end of a changed entry: left out where it does not change, because the vendor refuses a past end
/// that is sent again; the zero time where one has to go.
pub(crate) fn changed_end(
    wanted: Option<DateTime<Utc>>,
    held: Option<DateTime<Utc>>,
) -> Option<String> {
    match (wanted, held) {
        (wanted, held) if wanted == held => None,
        (Some(wanted), _) => Some(end(wanted)),
        (None, _) => Some(NO_END.to_owned()),
    }
}

/// An answer of the service. `errors` and `resources` may be null or absent.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer<T> {
    #[serde(default)]
    pub(crate) meta: Option<Meta>,
    #[serde(default)]
    pub(crate) errors: Option<Vec<VendorError>>,
    #[serde(default = "Option::default")]
    pub(crate) resources: Option<Vec<T>>,
}

impl<T> Answer<T> {
    /// The resources.
    pub(crate) fn into_resources(self) -> Vec<T> {
        self.resources.unwrap_or_default()
    }

    /// Where the page ends: cursor and total.
    pub(crate) fn pagination(&self) -> Pagination {
        self.meta
            .as_ref()
            .and_then(|meta| meta.pagination.clone())
            .unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Meta {
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    pagination: Option<Pagination>,
}

/// Cursor and total of a page.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Pagination {
    /// The next cursor; there is one on every page that is not empty.
    #[serde(default)]
    pub(crate) after: Option<String>,
    /// How many there are in all.
    #[serde(default)]
    pub(crate) total: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VendorError {
    #[serde(default)]
    pub(crate) message: Option<String>,
}

/// A text of an answer, where it stands there as it is.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text of a field that may be absent.
    pub(crate) fn of(field: &'a Option<Self>) -> Option<&'a str> {
        field.as_ref().map(|text| &*text.0)
    }
}

/// What an answer to a create says of a row.
#[derive(Debug, Deserialize)]
pub(crate) struct Created<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(default, borrow, rename = "type")]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) value: Option<Text<'a>>,
}

/// An entry as Falcon returns it, as far as we look.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry<'a> {
    #[serde(borrow)]
    pub(crate) id: Cow<'a, str>,
    #[serde(default, borrow, rename = "type")]
    pub(crate) kind: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) value: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) action: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) mobile_action: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) severity: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) source: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(crate) tags: Option<Vec<Text<'a>>>,
    #[serde(default, borrow)]
    pub(crate) platforms: Option<Vec<Text<'a>>>,
    #[serde(default)]
    pub(crate) applied_globally: Option<bool>,
    #[serde(default)]
    pub(crate) expiration: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(crate) expired: Option<bool>,
    #[serde(default)]
    pub(crate) deleted: Option<bool>,
    #[serde(default)]
    pub(crate) from_parent: Option<bool>,
}

/// The id of a resource, whatever else it has.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Named {
    Id(String),
    Object { id: String },
}

impl Named {
    pub(crate) fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

/// What a refused write says about one row.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RowReport {
    /// Counted from 1.
    #[serde(default)]
    pub(crate) row: Option<usize>,
    #[serde(default)]
    pub(crate) value: Option<String>,
    #[serde(default, rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
}

impl RowReport {
    /// Whether it reports that type and value are there already.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.message
            .as_deref()
            .is_some_and(|message| message.contains("Duplicate type"))
    }
}

/// Whether the vendor says that the customer's list is full.
pub(crate) fn is_full(text: &str) -> bool {
    text.contains("Limit of 1 million indicators reached")
}

/// The vendor's own words in an answer: its error messages, or the start of whatever came.
pub(crate) fn vendor_text(response: &Response) -> String {
    let messages = serde_json::from_slice::<Answer<serde::de::IgnoredAny>>(&response.body)
        .ok()
        .and_then(|answer| answer.errors)
        .map(|errors| {
            errors
                .into_iter()
                .filter_map(|error| error.message)
                .collect::<Vec<_>>()
                .join("; ")
        });
    messages
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| response.excerpt())
}

/// An error with the vendor's words, the status, and the trace id where there is one.
pub(crate) fn error(kind: ErrorKind, what: &str, response: &Response) -> Error {
    let text = vendor_text(response);
    let message = if text.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {text}")
    };
    let error = Error::new(kind, message).with("status", response.status.as_u16());
    let in_body = || {
        serde_json::from_slice::<Answer<serde::de::IgnoredAny>>(&response.body)
            .ok()?
            .meta?
            .trace_id
    };
    match response
        .header("x-cs-traceid")
        .map(str::to_owned)
        .or_else(in_body)
    {
        Some(trace) => error.with("trace id", trace),
        None => error,
    }
}

/// The error of an answer that is no success, by its status.
pub(crate) fn refusal(what: &str, scope: &str, response: &Response) -> Error {
    match response.status.as_u16() {
        401 => error(ErrorKind::Auth, what, response)
            .hint("check client_id, client_secret and base_url"),
        403 => error(ErrorKind::Denied, what, response).hint(format!(
            "the API client needs the scope IOC Management: {scope}"
        )),
        300..=399 => error(ErrorKind::Auth, what, response)
            .hint("check base_url: this looks like another region"),
        404 => error(ErrorKind::NotFound, what, response),
        429 => error(ErrorKind::RateLimited, what, response),
        400..=499 => error(ErrorKind::Rejected, what, response),
        500..=599 => error(ErrorKind::Unavailable, what, response),
        _ => error(ErrorKind::Protocol, what, response),
    }
}
