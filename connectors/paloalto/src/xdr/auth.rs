//! The API key, sent as it is or as a signature.

use aws_lc_rs::{digest, rand};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use sdk::http::{Authenticate, Client};
use sdk::{Error, Result, Secret, async_trait};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Characters of a nonce.
const NONCE: usize = 64;

/// An API key of either security level.
#[derive(Debug)]
pub(super) struct Key {
    id: HeaderValue,
    secret: Secret,
    advanced: bool,
}

impl Key {
    /// # Errors
    /// An id or key with characters that no header can carry.
    pub(super) fn new(id: &str, secret: Secret, advanced: bool) -> Result<Self> {
        HeaderValue::from_str(secret.expose()).map_err(|_| {
            Error::config("`api_key` holds characters that no HTTP header can carry")
        })?;
        let id = HeaderValue::from_str(id.trim()).map_err(|_| {
            Error::config("`api_key_id` holds characters that no HTTP header can carry")
        })?;
        Ok(Self {
            id,
            secret,
            advanced,
        })
    }

    /// Whether requests are signed.
    pub(super) fn is_advanced(&self) -> bool {
        self.advanced
    }

    /// The headers of one request; no two requests have the same.
    fn sign(&self, nonce: &str, milliseconds: i64) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-xdr-auth-id"), self.id.clone());
        let header = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| Error::internal("a header that cannot be written"))
        };
        if !self.advanced {
            headers.insert(AUTHORIZATION, header(self.secret.expose())?);
            return Ok(headers);
        }
        let timestamp = milliseconds.to_string();
        let mut signing = digest::Context::new(&digest::SHA256);
        for part in [self.secret.expose(), nonce, &timestamp] {
            signing.update(part.as_bytes());
        }
        let signature: String = signing
            .finish()
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        headers.insert(AUTHORIZATION, header(&signature)?);
        headers.insert(HeaderName::from_static("x-xdr-nonce"), header(nonce)?);
        headers.insert(
            HeaderName::from_static("x-xdr-timestamp"),
            header(&timestamp)?,
        );
        Ok(headers)
    }
}

#[async_trait]
impl Authenticate for Key {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let nonce = if self.advanced {
            nonce()?
        } else {
            String::new()
        };
        self.sign(&nonce, client.clock().now().timestamp_millis())
    }

    async fn refused(&self) -> bool {
        false
    }
}

/// Random letters and digits, all equally likely.
fn nonce() -> Result<String> {
    let mut nonce = String::with_capacity(NONCE);
    while nonce.len() < NONCE {
        let mut bytes = [0u8; NONCE];
        rand::fill(&mut bytes).map_err(|_| Error::internal("no random numbers"))?;
        let whole = bytes.iter().filter(|byte| **byte < 248);
        let letters = whole.map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        nonce.extend(letters.take(NONCE - nonce.len()));
    }
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reckoned apart: `printf 'keynonce1700000000000' | sha256sum`.
    #[test]
    fn the_signature_is_over_key_nonce_and_milliseconds() {
        let key = Key::new("7", Secret::new("key"), true).unwrap();
        let headers = key.sign("nonce", 1_700_000_000_000).unwrap();
        assert_eq!(headers["x-xdr-auth-id"], "7");
        assert_eq!(headers["x-xdr-timestamp"], "1700000000000");
        assert_eq!(
            headers["authorization"],
            "4b1fd0e8f1444eb14396f79ba31f36821b76fcd4ebbce80461131f7292fd7d69"
        );
    }

    #[test]
    fn a_standard_key_is_sent_as_it_is() {
        let key = Key::new("7", Secret::new("key"), false).unwrap();
        let headers = key.sign("", 0).unwrap();
        assert_eq!(headers["authorization"], "key");
        assert!(!headers.contains_key("x-xdr-nonce"));
    }

    #[test]
    fn no_two_nonces_are_equal() {
        let (one, two) = (nonce().unwrap(), nonce().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
