//! Logins: legacy sessions, and OneAPI tokens.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use chrono::{DateTime, TimeDelta, Utc};
use sdk::{Error, Result};
use serde_json::{Value as Json, json};

use super::tenant::Tenant;
use super::wire::{Ask, Reply};

/// Where tokens are for.
const AUDIENCE: &str = "https://api.zscaler.com";

/// Which logins the tenant takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A session for user, password and API key.
    Legacy,
    /// A token for a client's secret.
    OneApi,
    /// A token for an assertion of the client.
    OneApiKey,
}

/// The credentials that are right.
pub(super) struct Accounts {
    pub(super) mode: Mode,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) api_key: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Seconds that a token lives.
    pub(super) token_seconds: i64,
    /// The client's key: as PEM for the configuration, and its public part.
    pub(super) key: Option<(String, Vec<u8>)>,
}

/// A new key pair: PEM text of the private key, and the public one.
pub(super) fn generate_key() -> Result<(String, Vec<u8>)> {
    let failed = || Error::internal("the fake's key could not be made");
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| failed())?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed())?;
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in encode(der.as_ref()).as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok((pem, pair.public_key().as_ref().to_vec()))
}

/// `/authenticatedSession`.
pub(super) fn session(
    tenant: &mut Tenant,
    accounts: &Accounts,
    ask: &Ask<'_>,
    now: DateTime<Utc>,
) -> Reply {
    if accounts.mode != Mode::Legacy {
        // Item 8.
        return Reply::text(
            403,
            "text/plain",
            "API access for this organization is available only through Zscaler OneAPI".to_owned(),
        );
    }
    let known = ["apiKey", "username", "password", "timestamp"];
    let body = match ask.object(&known) {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    let refused = || Reply::refusal(401, "AUTHENTICATION_FAILED", "AUTHENTICATION_FAILED");
    let text = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
    // Numbers and texts are both met.
    let timestamp = match body.get("timestamp") {
        Some(Json::Number(number)) => number.as_i64(),
        Some(Json::String(text)) => text.parse().ok(),
        _ => None,
    };
    let Some(timestamp) = timestamp else {
        return refused();
    };
    let age = (now.timestamp_millis() - timestamp).abs();
    let stale = tenant.positions.is("timestamp-age", "5min") && age > 300_000;
    let right = text("username") == accounts.username
        && text("password") == accounts.password
        && text("apiKey") == scrambled(&accounts.api_key, timestamp);
    if stale || !right {
        return refused();
    }
    let id = tenant.log_in(now);
    Reply::ok(json!({
        "authType": "ADMIN_LOGIN",
        "obfuscateApiKey": true,
        "passwordExpiryTime": 0,
        "passwordExpiryDays": 0,
        "source": "API",
    }))
    .header(
        "set-cookie",
        format!("JSESSIONID={id}; Path=/; Secure; HttpOnly"),
    )
}

/// What the key becomes with a timestamp.
fn scrambled(key: &str, timestamp: i64) -> String {
    let digits = timestamp.to_string();
    let last = &digits[digits.len().saturating_sub(6)..];
    let half = format!("{:06}", last.parse::<u32>().unwrap_or(0) / 2);
    let at = |digit: char, shift: usize| {
        let place = digit.to_digit(10).unwrap_or(0) as usize + shift;
        key.chars().nth(place).unwrap_or('?')
    };
    let first = last.chars().map(|digit| at(digit, 0));
    first
        .chain(half.chars().map(|digit| at(digit, 2)))
        .collect()
}

/// `/oauth2/v1/token` (item 7).
pub(super) fn token(
    tenant: &mut Tenant,
    accounts: &Accounts,
    ask: &Ask<'_>,
    now: DateTime<Utc>,
) -> Reply {
    let error = |status: u16, code: &str| Reply::json(status, json!({ "error": code }));
    if ask.method != "POST" {
        return Reply::empty(405);
    }
    if !ask
        .content_type
        .starts_with("application/x-www-form-urlencoded")
    {
        return error(400, "invalid_request");
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(ask.body).into_owned().collect();
    let field = |name: &str| {
        let pair = form.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    if field("grant_type") != "client_credentials" || field("audience") != AUDIENCE {
        return error(400, "invalid_request");
    }
    let proven = match (accounts.mode, &accounts.key) {
        (Mode::Legacy, _) => false,
        (Mode::OneApi, _) => {
            field("client_id") == accounts.client_id
                && field("client_secret") == accounts.client_secret
        }
        (Mode::OneApiKey, Some((_, public))) => {
            field("client_assertion_type")
                == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                && asserts(field("client_assertion"), &accounts.client_id, public, now)
        }
        (Mode::OneApiKey, None) => false,
    };
    if !proven {
        return error(401, "invalid_client");
    }
    let token = format!("eyJ{:016x}{:016x}", tenant.number(), tenant.number());
    let end = now + TimeDelta::seconds(accounts.token_seconds);
    tenant.tokens.insert(token.clone(), end);
    Reply::ok(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": accounts.token_seconds,
    }))
    .header("x-ratelimit-limit", "500, 500;w=1, 100000;w=60")
}

/// Whether an assertion is the client's: signature, names, audience, and at most ten minutes of life.
fn asserts(assertion: &str, client: &str, public: &[u8], now: DateTime<Utc>) -> bool {
    let Some((signed, signature)) = assertion.rsplit_once('.') else {
        return false;
    };
    let Some((header, claims)) = signed.split_once('.') else {
        return false;
    };
    let json = |part: &str| -> Json {
        decode(part)
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    };
    let (header, claims) = (json(header), json(claims));
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    let signature = decode(signature).unwrap_or_default();
    let life = claims["exp"].as_i64().unwrap_or(0) - now.timestamp();
    header["alg"] == "RS256"
        && key.verify(signed.as_bytes(), &signature).is_ok()
        && claims["iss"] == client
        && claims["sub"] == client
        && claims["aud"] == AUDIENCE
        && (1..=600).contains(&life)
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = bits << 8 | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        for place in 0..4_usize {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    text
}

/// Base64 as in a token: letters for URLs, no padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        let byte = match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let value = LETTERS.iter().position(|letter| *letter == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}
