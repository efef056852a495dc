//! Threat intelligence indicators: `/threat-intelligence/iocs`.

use chrono::{DateTime, Utc};
use reqwest::Method;
use sdk::http::{Request, Safety};
use sdk::indicator::{Kind, Value};
use sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use super::{Filter, PAGE, Scoped, path, read_time, time};
use crate::config::{Level, Place};

/// Most uuids per delete.
pub(crate) const MOST_UUIDS: usize = 5_000;

fn get(place: &Place) -> Request {
    let request = Request::get("ioc", path(["threat-intelligence", "iocs"]));
    // Indicators of sites and groups are listed through their account.
    match (&place.account, place.level) {
        (Some(account), level) if level != Level::Tenant => request.query("accountIds", account),
        _ => request.query("tenant", true),
    }
}

/// One page of what a source has in the account, or in the tenant.
pub(crate) fn page(place: &Place, source: &str, cursor: Option<&str>) -> Request {
    let request = get(place).query("source", source).query("limit", PAGE);
    match cursor {
        Some(cursor) => request.query("cursor", cursor),
        None => request,
    }
}

/// The indicators of a source with one value: those with our own id for it, whatever the console makes of the
/// value, and those that show the value, which somebody else may have made without such an id.
pub(crate) fn lookups(place: &Place, source: &str, value: &Value) -> [Request; 2] {
    ["externalId", "value"].map(|field| {
        get(place)
            .query("source", source)
            .query(field, value)
            .query("limit", PAGE)
    })
}

/// One page of what a source has there that was written since.
pub(crate) fn written_since(
    place: &Place,
    source: &str,
    since: DateTime<Utc>,
    cursor: Option<&str>,
) -> Request {
    page(place, source, cursor).query("updatedAt__gte", time(since))
}

/// How many indicators all sources have together.
pub(crate) fn count(place: &Place) -> Request {
    get(place).query("countOnly", true)
}

/// What mutes matches.
pub(crate) fn user_config(place: &Place) -> Request {
    let request = Request::get("ioc", path(["threat-intelligence", "user-config"]));
    match (&place.account, place.level) {
        (Some(account), level) if level != Level::Tenant => request.query("accountIds", account),
        _ => request.query("tenant", true),
    }
}

/// Indicators to make, or to make again with another end: there is no other way to change one. Not known
/// to be harmless twice.
pub(crate) fn create(place: &Place, data: &[NewIoc<'_>]) -> Request {
    Request::new(
        Method::POST,
        Safety::Once,
        "ioc",
        path(["threat-intelligence", "iocs"]),
    )
    .json(&Scoped {
        data,
        filter: Filter::of(place),
    })
}

/// Takes indicators away by id. The vendor wants the account beside them, and knows no site or group here.
pub(crate) fn delete(place: &Place, uuids: &[String]) -> Request {
    #[derive(Serialize)]
    struct Body<'a> {
        filter: Filter<'a>,
    }
    let mut filter = Filter {
        uuids: Some(uuids),
        ..Filter::default()
    };
    match (&place.account, place.level) {
        (Some(account), level) if level != Level::Tenant => filter.account_ids = Some([account]),
        _ => filter.tenant = Some(true),
    }
    Request::new(
        Method::DELETE,
        Safety::Idempotent,
        "ioc",
        path(["threat-intelligence", "iocs"]),
    )
    .json(&Body { filter })
}

/// An indicator to make.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewIoc<'a> {
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// Our own handle: the value as we know it, whatever the console makes of it.
    external_id: String,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<u8>,
}

impl<'a> NewIoc<'a> {
    /// One with a value, an end and a description.
    pub(crate) fn new(
        source: &'a str,
        severity: Option<u8>,
        value: &Value,
        end: Option<DateTime<Utc>>,
        description: &'a str,
    ) -> Self {
        Self {
            source,
            kind: kind_name(value.kind()),
            value: value.to_string(),
            method: "EQUALS",
            valid_until: end.map(time),
            external_id: value.to_string(),
            description,
            severity,
        }
    }
}

/// A kind as the API names it.
pub(crate) const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "IPV4",
        Kind::Ipv6 => "IPV6",
        Kind::Domain => "DNS",
        Kind::Url => "URL",
        Kind::Md5 => "MD5",
        Kind::Sha1 => "SHA1",
        Kind::Sha256 => "SHA256",
    }
}

/// An indicator as it comes, as far as we look.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) uuid: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    pub(crate) external_id: Option<String>,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) severity: Option<u8>,
    #[serde(default)]
    valid_until: Option<String>,
    #[serde(default)]
    upload_time: Option<String>,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    scope_id: Option<String>,
}

impl Row {
    /// Its end. One that cannot be read is an error: it would be written again and again.
    pub(crate) fn end(&self) -> Result<Option<DateTime<Utc>>> {
        match self.valid_until.as_deref().filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => read_time(text).map(Some).ok_or_else(|| {
                Error::protocol("an indicator's validUntil is no time that we know")
                    .with("validUntil", text)
            }),
        }
    }

    /// When it was uploaded, from which the console counts its longest life.
    pub(crate) fn uploaded(&self) -> Option<DateTime<Utc>> {
        read_time(self.upload_time.as_deref()?)
    }

    /// Whether it was made in this place. An answer that does not say where is an error.
    pub(crate) fn is_of(&self, place: &Place) -> Result<bool> {
        let Some(scope) = self.scope.as_deref() else {
            return Err(Error::protocol("an indicator comes without its scope"));
        };
        let same_id = place.level == Level::Tenant || self.scope_id.as_deref() == Some(&place.id);
        Ok(scope.eq_ignore_ascii_case(place.level.name()) && same_id)
    }

    fn kind(&self) -> Option<Kind> {
        let name = self.kind.as_deref()?;
        Kind::ALL.into_iter().find(|kind| kind_name(*kind) == name)
    }

    /// The value by our own handle.
    pub(crate) fn own_value(&self) -> Option<Value> {
        Value::parse(self.kind()?, self.external_id.as_deref()?).ok()
    }

    /// The value as the console shows it.
    pub(crate) fn shown_value(&self) -> Option<Value> {
        Value::parse(self.kind()?, self.value.as_deref()?).ok()
    }
}

/// What mutes matches, as far as we look.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserConfig {
    /// No match makes a threat.
    #[serde(default)]
    pub(crate) disable_threat: Option<bool>,
    /// Values that never make a threat.
    #[serde(default, rename = "excludeTii")]
    pub(crate) exclude: Option<Vec<Option<String>>>,
}
