//! Answers of FortiOS, as far as we look at them.

use sdk::http::Response;
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An envelope with results.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) results: T,
    /// How many rows there are after the filter; absent from old firmware and some answers.
    #[serde(default)]
    pub(crate) matched_count: Option<usize>,
}

impl<T> Page<Vec<T>> {
    /// The rows, if they are all that the filter matched.
    pub(crate) fn complete(self, what: &str) -> Result<Vec<T>> {
        match self.matched_count {
            Some(matched) if matched != self.results.len() => Err(Error::protocol(format!(
                "{what}: {} rows of {matched} came",
                self.results.len()
            ))),
            _ => Ok(self.results),
        }
    }
}

/// The part of `system/status` that matters: it stands in the envelope.
#[derive(Debug, Deserialize)]
pub(crate) struct Status {
    /// Like `v7.4.8`.
    pub(crate) version: String,
}

/// One threat feed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FeedRow {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) update_method: String,
    #[serde(default)]
    pub(crate) comments: String,
    /// The URL that it pulls.
    #[serde(default)]
    pub(crate) resource: String,
}

/// How a pull goes: `start`, `pending`, `finished` or `error`.
#[derive(Debug, Deserialize)]
pub(crate) struct Refresh {
    #[serde(default)]
    pub(crate) status: String,
}

/// A feed's content and counts.
#[derive(Debug, Deserialize)]
pub(crate) struct EntryList {
    /// `success`, `disable`, `error`, `unavailable` or `na`.
    #[serde(default)]
    pub(crate) status: String,
    /// Why the last pull failed.
    #[serde(default)]
    error: Option<serde_json::Value>,
    /// What the server of the list answered.
    #[serde(default)]
    http_status_code: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
    #[serde(default)]
    pub(crate) valid_count: usize,
    #[serde(default)]
    pub(crate) invalid_count: usize,
    #[serde(default)]
    pub(crate) overflow: bool,
    /// From 7.4 or 7.6 on.
    #[serde(default)]
    pub(crate) accepted_count: Option<usize>,
    #[serde(default)]
    pub(crate) accepted_limit: Option<usize>,
}

impl EntryList {
    /// Adds what the firewall says about its last pull.
    pub(crate) fn told_by(&self, error: Error) -> Error {
        let plain = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.chars().take(200).collect(),
            other => other.to_string(),
        };
        let error = match self.error.as_ref().filter(|told| !told.is_null()) {
            Some(told) => error.with("firewall", plain(told)),
            None => error,
        };
        match self
            .http_status_code
            .as_ref()
            .filter(|code| code.is_number())
        {
            Some(code) => error.with("HTTP status", code),
            None => error,
        }
    }
}

/// One line of a feed.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) entry: String,
    #[serde(default = "yes")]
    pub(crate) valid: bool,
}

fn yes() -> bool {
    true
}

/// What became of one push command.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommandResult {
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// Entries that were not placed.
    #[serde(default)]
    pub(crate) invalid_entries: Vec<String>,
}

/// An address object of either family.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AddressRow {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) subnet: String,
    #[serde(default)]
    pub(crate) ip6: String,
    #[serde(default)]
    pub(crate) fqdn: String,
    #[serde(default)]
    pub(crate) comment: String,
    #[serde(default)]
    pub(crate) associated_interface: String,
}

/// A group.
#[derive(Debug, Deserialize)]
pub(crate) struct GroupRow {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) member: Vec<Named>,
}

/// A row that we only know by name.
#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
}

/// One banned address.
#[derive(Debug, Deserialize)]
pub(crate) struct BanRow {
    pub(crate) ip_address: String,
    /// Who banned it.
    #[serde(default)]
    pub(crate) source: String,
    /// Epoch seconds; absent for ever.
    #[serde(default)]
    pub(crate) expires: Option<i64>,
}

/// The settings of bans.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BanSettings {
    #[serde(default)]
    pub(crate) banned_ip_persistency: Option<String>,
}

/// What refers to an object. The shape is not documented: an answer without this list tells nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Usage {
    pub(crate) currently_using: Option<Vec<serde::de::IgnoredAny>>,
}

/// Table sizes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Limits {
    pub(crate) firewall_address: Option<Limit>,
}

/// The size of one table.
#[derive(Debug, Deserialize)]
pub(crate) struct Limit {
    #[serde(default)]
    pub(crate) global_max: usize,
    #[serde(default)]
    pub(crate) custom_max: usize,
    #[serde(default)]
    pub(crate) current_usage: usize,
}

/// What a write came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Done.
    Done,
    /// No such object (404).
    Missing,
    /// There is one already (-5).
    Exists,
    /// Something refers to it (-23).
    InUse(String),
    /// No room in the table or group (-4).
    Full(String),
    /// It refers to what is not there (-3).
    Dangling(String),
    /// Refused for itself.
    Refused(String),
    /// Refused for a reason that is not the object's.
    Failed(Error),
    /// It may have been done.
    Unknown(Error),
}

#[derive(Debug, Default, Deserialize)]
struct Failure {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<i64>,
    #[serde(default)]
    cli_error: Option<String>,
}

impl Failure {
    /// `error`, or the number that ends `cli_error`: its text is localised.
    fn code(&self) -> Option<i64> {
        self.error.or_else(|| {
            let text = self.cli_error.as_deref()?.trim_end();
            let start = text.rfind(|c: char| !c.is_ascii_digit() && c != '-')? + 1;
            text[start..].parse().ok()
        })
    }

    fn words(&self, response: &Response) -> String {
        let told: String = match &self.cli_error {
            Some(words) => words.split_whitespace().collect::<Vec<_>>().join(" "),
            None if self.error.is_some() => String::new(),
            None => response.excerpt(),
        };
        let code = self.error.map(|code| format!("error {code}"));
        let status = format!("HTTP {}", response.status.as_u16());
        [
            Some(status),
            code,
            Some(told).filter(|told| !told.is_empty()),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
    }
}

/// Reads the answer to a write: the code in the body goes before the HTTP status, because FortiOS sends
/// 500 or 424 for what is the request's fault.
pub(crate) fn judge(response: &Response, what: &str) -> Verdict {
    let failure: Failure = serde_json::from_slice(&response.body).unwrap_or_default();
    if response.status.is_success() {
        return match failure.status.as_deref() {
            Some("success") => Verdict::Done,
            Some(_) => Verdict::Refused(failure.words(response)),
            None => Verdict::Unknown(
                Error::protocol(format!("{what}: the answer is not the JSON we know"))
                    .with("begins", response.excerpt())
                    .unknown_fate(),
            ),
        };
    }
    let words = failure.words(response);
    match (response.status.as_u16(), failure.code()) {
        (403, _) => Verdict::Failed(refusal(response, what)),
        (404, None) => Verdict::Missing,
        (_, Some(-5 | -15)) => Verdict::Exists,
        (_, Some(-23)) => Verdict::InUse(words),
        (_, Some(-4)) => Verdict::Full(words),
        (_, Some(-3)) => Verdict::Dangling(words),
        (_, Some(-14 | -37)) => Verdict::Failed(
            Error::new(ErrorKind::Denied, format!("{what}: not permitted")).with("answer", words),
        ),
        (500.., None) => Verdict::Unknown(
            Error::new(
                ErrorKind::Unavailable,
                format!("{what}: the firewall failed"),
            )
            .with("answer", words)
            .unknown_fate(),
        ),
        _ => Verdict::Refused(words),
    }
}

/// The error for an answer that is not a success.
pub(crate) fn refusal(response: &Response, what: &str) -> Error {
    let failure: Failure = serde_json::from_slice(&response.body).unwrap_or_default();
    let words = failure.words(response);
    match response.status.as_u16() {
        403 => Error::new(ErrorKind::Denied, format!("{what}: not permitted"))
            .with("answer", words)
            .hint("give the API administrator's profile this access group, and the VDOM"),
        404 => Error::new(ErrorKind::NotFound, format!("{what}: not found")).with("answer", words),
        500.. => Error::new(
            ErrorKind::Unavailable,
            format!("{what}: the firewall failed"),
        )
        .with("answer", words),
        _ => Error::new(ErrorKind::Rejected, format!("{what}: refused")).with("answer", words),
    }
}

/// Reads a successful answer.
impl<T: DeserializeOwned> Page<T> {
    /// The page, or why there is none.
    pub(crate) fn read(response: &Response, what: &str) -> Result<Self> {
        if !response.status.is_success() {
            return Err(refusal(response, what));
        }
        response.json(what)
    }
}
