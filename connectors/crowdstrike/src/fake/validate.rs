//! What a row of a create or update must be (vendor file sections 4 and 5).

use std::net::{Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value as Json, json};

use super::store::Row;

pub(super) const TYPES: [&str; 6] = ["sha256", "md5", "domain", "ipv4", "ipv6", "all_subdomains"];
pub(super) const SEVERITIES: [&str; 5] = ["informational", "low", "medium", "high", "critical"];
pub(super) const PLATFORMS: [&str; 5] = ["windows", "mac", "linux", "ios", "android"];
const DESKTOP: [&str; 3] = ["windows", "mac", "linux"];
const MOBILE: [&str; 2] = ["ios", "android"];

/// What the product of this customer offers.
#[derive(Clone, Debug)]
pub(super) struct Product {
    /// Whether the customer has Falcon for Mobile.
    pub(super) mobile: bool,
    /// The actions that there are.
    pub(super) actions: Vec<&'static str>,
    /// Whether a past end is an error rather than a warning.
    pub(super) past_is_error: bool,
    /// Whether a severity without need is refused.
    pub(super) surplus_severity_refused: bool,
}

impl Product {
    /// For one action: on which platforms it is allowed, by type. The same matrix that the service
    /// publishes under `/iocs/entities/actions/v1`.
    pub(super) fn platforms(&self, action: &str, kind: &str) -> Vec<&'static str> {
        let mut platforms = Vec::new();
        let file = matches!(kind, "sha256" | "md5");
        let network = matches!(kind, "domain" | "ipv4" | "ipv6");
        if file || (network && matches!(action, "detect" | "no_action")) {
            platforms.extend(DESKTOP);
        }
        if self.mobile && !file {
            platforms.extend(MOBILE);
        }
        platforms
    }

    /// One element of `/iocs/entities/actions/v1`.
    pub(super) fn action_json(&self, action: &str) -> Json {
        let by_type: Map<String, Json> = TYPES
            .iter()
            .map(|kind| ((*kind).to_owned(), json!(self.platforms(action, kind))))
            .collect();
        let severities: &[&str] = if needs_severity(action) {
            &SEVERITIES
        } else {
            &[]
        };
        json!({ "id": action, "platforms_by_type": by_type, "severities": severities })
    }
}

/// Why a row is refused.
#[derive(Debug)]
pub(super) struct Problem {
    /// A warning gives way to `ignore_warnings`, an error does not.
    pub(super) warning: bool,
    pub(super) message: String,
}

fn error(message: impl Into<String>) -> Problem {
    Problem {
        warning: false,
        message: message.into(),
    }
}

/// A text field of a request.
pub(super) fn text<'a>(body: &'a Map<String, Json>, name: &str) -> &'a str {
    body.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// A list of texts of a request; `None` if absent or null.
pub(super) fn list(body: &Map<String, Json>, name: &str) -> Option<Vec<String>> {
    let items = body.get(name)?.as_array()?;
    Some(
        items
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect(),
    )
}

/// Whether a value is right for its type.
pub(super) fn value_fits(kind: &str, value: &str) -> bool {
    let hex = |length: usize| value.len() == length && value.bytes().all(|b| b.is_ascii_hexdigit());
    match kind {
        "sha256" => hex(64),
        "md5" => hex(32),
        "ipv4" => value.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => value.parse::<Ipv6Addr>().is_ok(),
        "domain" | "all_subdomains" => {
            (1..=200).contains(&value.len())
                && value.contains('.')
                && value.parse::<Ipv4Addr>().is_err()
                && value.split('.').all(|label| !label.is_empty())
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
        _ => false,
    }
}

/// An end as the service reads it: RFC 3339, a date alone, or the zero time, which clears.
pub(super) fn end(text: &str) -> Result<Option<DateTime<Utc>>, Problem> {
    if text.starts_with("0001-01-01") {
        return Ok(None);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Some(time.with_timezone(&Utc)));
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0));
    date.map(|date| Some(date.and_utc()))
        .ok_or_else(|| error("Invalid expiration"))
}

fn needs_severity(action: &str) -> bool {
    matches!(action, "detect" | "prevent" | "prevent_no_ui")
}

/// Checks the whole of a record that a write would store.
pub(super) fn check(row: &Row, product: &Product) -> Result<(), Problem> {
    if row.kind.is_empty() {
        return Err(error("Missing type"));
    }
    if row.value.is_empty() {
        return Err(error("Missing value"));
    }
    if !TYPES.contains(&row.kind.as_str()) {
        return Err(error(format!("Invalid type: {}", row.kind)));
    }
    if !value_fits(&row.kind, &row.value) {
        return Err(error(format!(
            "Invalid value for type {}: {}",
            row.kind, row.value
        )));
    }
    if row.platforms.is_empty() {
        return Err(error("Missing platforms"));
    }
    if let Some(unknown) = row
        .platforms
        .iter()
        .find(|name| !PLATFORMS.contains(&name.as_str()))
    {
        return Err(error(format!("Invalid platform: {unknown}")));
    }
    if !row.applied_globally && row.host_groups.is_empty() {
        return Err(error(
            "Either applied_globally or host_groups must be provided",
        ));
    }
    let mobile = |name: &String| MOBILE.contains(&name.as_str());
    if row.platforms.iter().any(mobile) && !product.mobile {
        return Err(error("Mobile platforms require Falcon for Mobile"));
    }
    let sides = [
        (
            "action",
            &row.action,
            row.platforms.iter().any(|name| !mobile(name)),
        ),
        (
            "mobile_action",
            &row.mobile_action,
            row.platforms.iter().any(mobile),
        ),
    ];
    for (field, action, applies) in sides {
        if !applies {
            continue;
        }
        if action.is_empty() {
            return Err(error(format!("Missing {field}")));
        }
        if !product.actions.contains(&action.as_str()) {
            return Err(error(format!("Invalid {field}: {action}")));
        }
        let allowed = product.platforms(action, &row.kind);
        let wrong = row
            .platforms
            .iter()
            .filter(|name| mobile(name) == (field == "mobile_action"));
        for platform in wrong {
            if !allowed.contains(&platform.as_str()) {
                return Err(error(format!(
                    "{field} {action} is not allowed for type {} on {platform}",
                    row.kind
                )));
            }
        }
    }
    if !row.severity.is_empty() && !SEVERITIES.contains(&row.severity.as_str()) {
        return Err(error(format!("Invalid severity: {}", row.severity)));
    }
    let needed = needs_severity(&row.action) || needs_severity(&row.mobile_action);
    if needed && row.severity.is_empty() {
        return Err(error("Severity is required for this action"));
    }
    if !needed && !row.severity.is_empty() && product.surplus_severity_refused {
        return Err(error("Severity is not allowed for this action"));
    }
    if row.source.len() > 256 {
        return Err(error("Source is too long"));
    }
    Ok(())
}

/// Takes the fields of a request over into a record. Fields that are not sent stay as they are.
pub(super) fn apply(
    row: &mut Row,
    body: &Map<String, Json>,
    now: DateTime<Utc>,
    product: &Product,
    null_clears: bool,
) -> Result<(), Problem> {
    let present = |name: &str| {
        body.get(name)
            .is_some_and(|value| null_clears || !value.is_null())
    };
    let texts = [
        ("action", &mut row.action),
        ("mobile_action", &mut row.mobile_action),
        ("severity", &mut row.severity),
        ("description", &mut row.description),
        ("source", &mut row.source),
    ];
    for (name, field) in texts {
        if present(name) {
            text(body, name).clone_into(field);
        }
    }
    let lists = [
        ("tags", &mut row.tags),
        ("platforms", &mut row.platforms),
        ("host_groups", &mut row.host_groups),
    ];
    for (name, field) in lists {
        if present(name) {
            *field = list(body, name).unwrap_or_default();
        }
    }
    if let Some(globally) = body.get("applied_globally").and_then(Json::as_bool) {
        row.applied_globally = globally;
    }
    if let Some(name) = body
        .get("metadata")
        .and_then(|metadata| metadata.get("filename"))
        .and_then(Json::as_str)
    {
        name.clone_into(&mut row.filename);
    }
    let expiration = text(body, "expiration");
    if !expiration.is_empty() {
        row.expiration = end(expiration)?;
        if row.expiration.is_some_and(|end| end <= now) {
            return Err(Problem {
                warning: !product.past_is_error,
                message: "Expiration must be in the future".to_owned(),
            });
        }
        row.expired = false;
    } else if null_clears && body.get("expiration").is_some_and(Json::is_null) {
        row.expiration = None;
        row.expired = false;
    }
    Ok(())
}

/// What the service makes of a checked record: an action without a platform of its sort comes back as
/// `no_action`.
pub(super) fn settle(row: &mut Row, keep_surplus_severity: bool) {
    let mobile = row
        .platforms
        .iter()
        .any(|name| MOBILE.contains(&name.as_str()));
    let desktop = row
        .platforms
        .iter()
        .any(|name| DESKTOP.contains(&name.as_str()));
    if !desktop {
        "no_action".clone_into(&mut row.action);
    }
    if !mobile {
        "no_action".clone_into(&mut row.mobile_action);
    }
    if !keep_surplus_severity && !needs_severity(&row.action) && !needs_severity(&row.mobile_action)
    {
        row.severity.clear();
    }
}
