//! What stands before every call: tokens, rights and the rate limiter; and the shapes of answers.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value as Json, json};

use super::scope::Scope;
use super::switches::Positions;

/// One call as it arrived.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    /// The path after `/web/api/v2.1`.
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    pub(super) authorization: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl Ask<'_> {
    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a list.
    pub(super) fn list(&self, name: &str) -> Option<Vec<&str>> {
        self.parameter(name).map(|text| text.split(',').collect())
    }

    /// Whether a boolean query parameter is set.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.parameter(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Refuses parameters that the endpoint does not document.
    pub(super) fn knows(&self, names: &[&str]) -> Result<(), Reply> {
        match self
            .query
            .iter()
            .find(|(key, _)| !names.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(Reply::bad(format!("{key}: Unknown field."))),
        }
    }

    /// The JSON object in the body; a write has no query.
    pub(super) fn object(&self) -> Result<Map<String, Json>, Reply> {
        if !self.query.is_empty() {
            return Err(Reply::bad("Unknown query parameters."));
        }
        match serde_json::from_slice(self.body) {
            Ok(Json::Object(object)) => Ok(object),
            _ => Err(Reply::bad("Invalid JSON body.")),
        }
    }
}

/// What an answer's body is.
#[derive(Debug)]
pub(super) enum Body {
    Json(Json),
    Html,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

impl Reply {
    /// A success; `errors` is there and null.
    pub(super) fn data(data: Json) -> Self {
        Self::json(200, json!({ "data": data, "errors": null }))
    }

    /// A page of a listing.
    pub(super) fn page(data: Vec<Json>, pagination: Json) -> Self {
        Self::json(
            200,
            json!({ "data": data, "pagination": pagination, "errors": null }),
        )
    }

    fn json(status: u16, body: Json) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Json(body),
        }
    }

    /// A refusal: codes are the status times 10,000 and a number.
    pub(super) fn error(status: u16, number: u32, title: &str, detail: impl Into<String>) -> Self {
        let code = u32::from(status) * 10_000 + number;
        let detail = detail.into();
        Self::json(
            status,
            json!({ "errors": [{ "code": code, "detail": detail, "title": title }] }),
        )
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::error(400, 40, "Bad Request", detail)
    }

    pub(super) fn exists() -> Self {
        Self::error(
            400,
            30,
            "Already Exists Error",
            "Blocklist item already exists",
        )
    }

    pub(super) fn unauthorized() -> Self {
        Self::error(
            401,
            10,
            "Authentication Failed",
            "Unauthorized access - please sign in and retry.",
        )
    }

    pub(super) fn forbidden() -> Self {
        Self::error(
            403,
            10,
            "Insufficient permissions",
            "User does not have sufficient permissions.",
        )
    }

    pub(super) fn missing() -> Self {
        Self::error(404, 10, "Not Found", "Resource not found.")
    }

    pub(super) fn internal() -> Self {
        Self::error(
            500,
            10,
            "Internal server error",
            "Server could not process the request.",
        )
    }
}

/// What a user sets up.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) token: String,
    pub(super) token_created: DateTime<Utc>,
    pub(super) token_expires: DateTime<Utc>,
    /// Where the token's user stands.
    pub(super) token_scope: Scope,
    /// Where the client is set up to act.
    pub(super) place: Scope,
    pub(super) rights: Vec<String>,
    /// A console of before 2025: no SHA-256 in the blocklist, no `siteIds` in listings.
    pub(super) old_console: bool,
    /// Whether filters that a listing does not know are refused, not ignored.
    pub(super) strict_filters: bool,
    /// Systems of the estate: a hash is enforced where all of them block it.
    pub(super) systems: Vec<String>,
    /// Hashes that the blocklist refuses.
    pub(super) not_allowed: Vec<String>,
    /// Whether a hash that a parent blocks is refused as a duplicate.
    pub(super) inherited_exists: bool,
    /// Characters of a description that are kept.
    pub(super) description_limit: usize,
    /// Indicators of others that are only counted.
    pub(super) others: usize,
    /// Seconds until a new indicator matches.
    pub(super) activation_delay: i64,
    pub(super) user_config: Json,
    /// The mechanism whose switches are told; empty for all.
    pub(super) switches_of: String,
    /// Calls of the indicator endpoints per minute.
    pub(super) calls_per_minute: usize,
}

impl Settings {
    pub(super) fn may(&self, right: &str) -> Result<(), Reply> {
        if self.rights.iter().any(|known| known == right) {
            Ok(())
        } else {
            Err(Reply::forbidden())
        }
    }
}

/// The rate limiter: calls of the last minute by token.
#[derive(Debug, Default)]
pub(super) struct Throttle(BTreeMap<String, VecDeque<DateTime<Utc>>>);

impl Throttle {
    /// Lets a call in, or says how it is refused.
    pub(super) fn enter(
        &mut self,
        token: &str,
        now: DateTime<Utc>,
        limit: usize,
        positions: &Positions,
    ) -> Result<(), Reply> {
        let calls = self.0.entry(token.to_owned()).or_default();
        let minute = TimeDelta::seconds(60);
        while calls.front().is_some_and(|call| *call + minute <= now) {
            calls.pop_front();
        }
        let Some(oldest) = calls.front().filter(|_| calls.len() >= limit) else {
            calls.push_back(now);
            return Ok(());
        };
        let wait = (*oldest + minute - now).num_seconds() + 1;
        let mut reply = Reply::error(429, 10, "Too Many Requests", "Rate limit exceeded.");
        match positions.get("throttle") {
            "retry-after" => reply.headers.push(("retry-after", wait.to_string())),
            "html" => reply.body = Body::Html,
            _ => {}
        }
        Err(reply)
    }
}

/// The token in an `Authorization` header: the scheme in whatever case.
pub(super) fn token(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("ApiToken")
        .then(|| token.trim())
}
