//! What stands before every call: size limits, tokens, regions, scopes and the rate limiter.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value as Json, json};

use super::store::Records;
use super::switches::Positions;
use super::validate::Product;

/// Seconds that a token lives, as `expires_in` says it.
const TOKEN_SECONDS: i64 = 1799;
/// Bad tokens per minute and source address.
const BAD_TOKENS_PER_MINUTE: usize = 15;
/// Logins per minute and source address.
const LOGINS_PER_MINUTE: usize = 300;
/// Longest request line in bytes that the gateway passes on.
const LINE_LIMIT: usize = 19_000;

/// One call as it arrived.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Vec<(String, String)>,
    /// Length of the request line without the protocol.
    pub(super) line_length: usize,
    pub(super) authorization: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

impl Ask<'_> {
    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a query parameter is true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// Every `ids` parameter.
    pub(super) fn ids(&self) -> Vec<&str> {
        self.query
            .iter()
            .filter(|(key, _)| key == "ids")
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// One answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// `None`: a page of the gateway, which is not JSON.
    pub(super) body: Option<Json>,
}

impl Reply {
    /// An answer with an `errors` list of one and no resources.
    pub(super) fn error(status: u16, message: impl Into<String>) -> Self {
        Self::error_with(status, message, Json::Null)
    }

    /// An answer with an `errors` list of one and resources.
    pub(super) fn error_with(status: u16, message: impl Into<String>, resources: Json) -> Self {
        let errors = json!([{ "code": status, "message": message.into() }]);
        Self {
            status,
            headers: Vec::new(),
            body: Some(json!({ "meta": {}, "errors": errors, "resources": resources })),
        }
    }

    /// A page of the gateway.
    pub(super) fn page(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A client that may log in.
#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) read: bool,
    pub(super) write: bool,
}

/// What a user sets up.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) login: Login,
    pub(super) children: Vec<String>,
    /// The region where the client really lives; `None`: here.
    pub(super) home_region: Option<String>,
    /// Host that a redirect names instead of the region's.
    pub(super) redirect_host: Option<String>,
    pub(super) address_blocked: bool,
    pub(super) calls_per_minute: usize,
    pub(super) product: Product,
}

/// A token that was given out.
#[derive(Clone, Debug)]
struct Token {
    customer: String,
    ends: DateTime<Utc>,
}

/// A place in a listing.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    pub(super) filter: String,
    pub(super) sort: String,
    pub(super) hit: (String, String),
    pub(super) seen: usize,
}

/// Everything that changes.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Records by customer; the empty name is the client's own.
    pub(super) customers: BTreeMap<String, Records>,
    pub(super) cursors: HashMap<String, Cursor>,
    pub(super) capacity: usize,
    tokens: HashMap<String, Token>,
    issued: u64,
    bad: VecDeque<DateTime<Utc>>,
    logins: VecDeque<DateTime<Utc>>,
    calls: HashMap<String, VecDeque<DateTime<Utc>>>,
}

/// Drops what is older than a minute and says how much is left.
fn within_minute(times: &mut VecDeque<DateTime<Utc>>, now: DateTime<Utc>) -> usize {
    while times
        .front()
        .is_some_and(|time| *time + TimeDelta::seconds(60) <= now)
    {
        times.pop_front();
    }
    times.len()
}

/// What the gate makes of a call.
pub(super) enum Passage {
    /// It ends here.
    Ends(Reply),
    /// It goes on, for this customer, with so many calls left in this minute.
    Goes { customer: String, remaining: usize },
}

impl World {
    /// A world without records, where so many fit per customer.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Ends every token.
    pub(super) fn revoke_all(&mut self) {
        self.tokens.clear();
    }

    /// Checks a call before any resource is looked at.
    pub(super) fn gate(
        &mut self,
        ask: &Ask<'_>,
        now: DateTime<Utc>,
        settings: &Settings,
        positions: &Positions,
    ) -> Passage {
        if ask.line_length > LINE_LIMIT {
            return Passage::Ends(Reply::page(
                u16::try_from(positions.number("long-line")).unwrap_or(414),
            ));
        }
        if ask.body.len() > positions.number("body-limit") {
            return Passage::Ends(Reply::page(413));
        }
        match (ask.method, ask.path) {
            ("POST", "/oauth2/token") => {
                return Passage::Ends(self.log_in(ask, now, settings, positions));
            }
            ("POST", "/oauth2/revoke") => return Passage::Ends(self.revoke(ask, settings)),
            _ => {}
        }
        self.admit(ask, now, settings, positions)
    }

    fn admit(
        &mut self,
        ask: &Ask<'_>,
        now: DateTime<Utc>,
        settings: &Settings,
        positions: &Positions,
    ) -> Passage {
        let bad = within_minute(&mut self.bad, now);
        let throttled = || {
            let mut reply = Reply::error(429, "API rate limit exceeded.");
            reply
                .headers
                .extend(retry_after(positions.get("retry-after"), now));
            Passage::Ends(reply)
        };
        if positions.is("bad-token-limit", "every-call") && bad >= BAD_TOKENS_PER_MINUTE {
            return throttled();
        }
        let token = ask
            .authorization
            .strip_prefix("Bearer ")
            .and_then(|token| self.tokens.get(token))
            .cloned();
        let Some(token) = token.filter(|token| token.ends > now && settings.home_region.is_none())
        else {
            if bad >= BAD_TOKENS_PER_MINUTE {
                return throttled();
            }
            self.bad.push_back(now);
            if settings.home_region.is_some() && positions.is("wrong-region-call", "308") {
                return Passage::Ends(redirect(ask.path, settings, positions));
            }
            return Passage::Ends(Reply::error(401, "access denied, invalid bearer token"));
        };
        let calls = self.calls.entry(token.customer.clone()).or_default();
        let made = within_minute(calls, now);
        if made >= settings.calls_per_minute {
            return throttled();
        }
        calls.push_back(now);
        let allowed = if ask.method == "GET" {
            settings.login.read
        } else {
            settings.login.write
        };
        if !allowed {
            return Passage::Ends(Reply::error(403, "access denied, authorization failed"));
        }
        Passage::Goes {
            customer: token.customer,
            remaining: settings.calls_per_minute - made - 1,
        }
    }

    fn log_in(
        &mut self,
        ask: &Ask<'_>,
        now: DateTime<Utc>,
        settings: &Settings,
        positions: &Positions,
    ) -> Reply {
        if within_minute(&mut self.logins, now) >= LOGINS_PER_MINUTE {
            let mut reply = Reply::error(429, "API rate limit exceeded.");
            reply
                .headers
                .extend(retry_after(positions.get("retry-after"), now));
            return reply;
        }
        self.logins.push_back(now);
        if settings.home_region.is_some() {
            return redirect(ask.path, settings, positions);
        }
        if !ask
            .content_type
            .starts_with("application/x-www-form-urlencoded")
        {
            return Reply::error(400, "Failed to generate access token for clientID=");
        }
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(ask.body).into_owned().collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if settings.address_blocked {
            return Reply::error(403, "access denied, authorization failed");
        }
        if field("client_id") != settings.login.id {
            return Reply::error(
                400,
                format!(
                    "Failed to generate access token for clientID={}",
                    field("client_id")
                ),
            );
        }
        if field("client_secret") != settings.login.secret {
            return Reply::error(403, "access denied, invalid client credentials");
        }
        // A customer id may carry a checksum behind a hyphen.
        let customer = field("member_cid")
            .split('-')
            .next()
            .unwrap_or_default()
            .to_lowercase();
        if !customer.is_empty() && !settings.children.contains(&customer) {
            return Reply::error(403, "access denied, invalid member_cid");
        }
        self.issued += 1;
        let token = format!(
            "fake.{:08x}.{}",
            self.issued,
            base64(format!("{customer}/{}", self.issued).as_bytes())
        );
        self.tokens.insert(
            token.clone(),
            Token {
                customer,
                ends: now + TimeDelta::seconds(TOKEN_SECONDS),
            },
        );
        let body =
            json!({ "access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS });
        Reply {
            status: 201,
            headers: Vec::new(),
            body: Some(body),
        }
    }

    fn revoke(&mut self, ask: &Ask<'_>, settings: &Settings) -> Reply {
        let expected =
            base64(format!("{}:{}", settings.login.id, settings.login.secret).as_bytes());
        if ask.authorization.strip_prefix("Basic ") != Some(expected.as_str()) {
            return Reply::error(403, "access denied, authorization failed");
        }
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(ask.body).into_owned().collect();
        if form
            .get("token")
            .is_none_or(|token| self.tokens.remove(token).is_none())
        {
            return Reply::error(400, "invalid token");
        }
        Reply {
            status: 200,
            headers: Vec::new(),
            body: Some(json!({ "meta": {}, "errors": null })),
        }
    }
}

fn redirect(path: &str, settings: &Settings, positions: &Positions) -> Reply {
    let region = settings.home_region.clone().unwrap_or_default();
    let host = match (&settings.redirect_host, region.as_str()) {
        (Some(host), _) => host.clone(),
        (None, "us-1") => "api.crowdstrike.com".to_owned(),
        (None, region) => format!("api.{region}.crowdstrike.com"),
    };
    let mut reply = Reply::error(308, "permanent redirect");
    if positions.is("region-redirect", "bare") {
        reply.body = Some(Json::Null);
    }
    reply.headers = vec![
        ("location", format!("https://{host}{path}")),
        ("x-cs-region", region),
    ];
    reply
}

/// The header of a 429. The vendor's text says milliseconds, every implementation reads seconds.
fn retry_after(position: &str, now: DateTime<Utc>) -> Option<(&'static str, String)> {
    let then = now + TimeDelta::seconds(20);
    let value = match position {
        "seconds" => then.timestamp().to_string(),
        "milliseconds" => then.timestamp_millis().to_string(),
        "past" => (now - TimeDelta::hours(1)).timestamp().to_string(),
        "garbage" => "soon".to_owned(),
        _ => return None,
    };
    Some(("x-ratelimit-retryafter", value))
}

/// Standard base64 with padding, whose `+`, `/` and `=` a client must encode in a query.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0u8; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4u32 {
            if place as usize <= chunk.len() {
                let at = (bits >> (18 - 6 * place)) & 63;
                text.push(char::from(ALPHABET[at as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// A trace id in the form of a UUID.
pub(super) fn trace_id(number: u64) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "0f8a{:04x}-7c1d-4b6e-9a2f-{number:012x}",
        number & 0xffff
    );
    text
}
