//! OneAPI: a bearer token from the tenant's ZIdentity host, for a client secret or an assertion signed with
//! a private key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use sdk::http::{Client, Request, Response, Safety};
use sdk::{Error, ErrorKind, Result, Secret};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::skewed;
use crate::api;
use crate::config::ClientProof;

const AUDIENCE: &str = "https://api.zscaler.com";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Life of an assertion.
const ASSERTION_SECONDS: i64 = 600;
/// A token is not used in the last seconds of its life.
const MARGIN_SECONDS: i64 = 120;
/// Lifetime where the answer does not tell it; far below what was recorded.
const LIFETIME_SECONDS: i64 = 600;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<i64>,
}

enum Proof {
    Secret(Secret),
    Key(Box<RsaKeyPair>),
}

/// A token, fetched when it is first needed and again shortly before its end.
pub(crate) struct Token {
    /// The login host.
    login: Client,
    client_id: String,
    proof: Proof,
    held: Mutex<Option<Held>>,
}

struct Held {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

impl Token {
    /// An error if the private key cannot be read.
    pub(crate) fn new(login: Client, client_id: String, proof: ClientProof) -> Result<Self> {
        let proof = match proof {
            ClientProof::Secret(secret) => Proof::Secret(secret),
            ClientProof::PrivateKey(pem) => Proof::Key(Box::new(read_key(&pem)?)),
        };
        Ok(Self {
            login,
            client_id,
            proof,
            held: Mutex::default(),
        })
    }

    /// The login host's client, for its calls.
    pub(crate) fn login(&self) -> &Client {
        &self.login
    }

    pub(super) async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let mut held = self.held.lock().await;
        let now = client.clock().now();
        let header = match &*held {
            Some(token) if now < token.renew_at => token.header.clone(),
            _ => {
                *held = None;
                let response = self.log_in(now).await?;
                let (header, lifetime) = read_token(&response)?;
                let margin = MARGIN_SECONDS.min(lifetime / 2);
                held.insert(Held {
                    header,
                    renew_at: now + TimeDelta::seconds(lifetime - margin),
                })
                .header
                .clone()
            }
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, header)]))
    }

    pub(super) async fn refused(&self) -> bool {
        self.held.lock().await.take().is_some()
    }

    async fn log_in(&self, now: DateTime<Utc>) -> Result<Response> {
        let response = self.login.send(self.request(now)?).await?;
        // An assertion names its end: by our clock that may be too late, or past.
        let skewed = skewed(&self.login, now).filter(|_| matches!(self.proof, Proof::Key(_)));
        match skewed {
            Some(theirs) if matches!(response.status.as_u16(), 400 | 401) => {
                self.login.send(self.request(theirs)?).await
            }
            _ => Ok(response),
        }
    }

    fn request(&self, now: DateTime<Utc>) -> Result<Request> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut form = vec![
            pair("grant_type", "client_credentials"),
            pair("client_id", &self.client_id),
            pair("audience", AUDIENCE),
        ];
        let proof = match &self.proof {
            Proof::Secret(secret) => {
                form.push(pair("client_secret", secret.expose()));
                secret.clone()
            }
            Proof::Key(key) => {
                let assertion = assertion(key, &self.client_id, now)?;
                form.push(pair("client_assertion_type", ASSERTION));
                form.push(pair("client_assertion", &assertion));
                Secret::new(&assertion)
            }
        };
        Ok(Request::new(
            Method::POST,
            Safety::Read,
            api::SESSION,
            ["oauth2", "v1", "token"],
        )
        .form(form)
        .secret(proof.expose())
        .unauthenticated())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

fn read_key(pem: &Secret) -> Result<RsaKeyPair> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| {
        Error::config("zscaler: private_key is no RSA key that we can read")
            .because(source)
            .hint("an RSA key of 2048 bits or more as PEM text: PKCS#8 (BEGIN PRIVATE KEY) or PKCS#1 (BEGIN RSA PRIVATE KEY), without a passphrase")
    };
    let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|error| wrong(error.into()))?;
    match &der {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(wrong("it is a key of another sort".into())),
    }
    .map_err(|error| wrong(error.into()))
}

/// A JSON Web Token signed with RS256 (RFC 7515 §3.3, RFC 7523 §3).
fn assertion(key: &RsaKeyPair, client_id: &str, now: DateTime<Utc>) -> Result<String> {
    let claims = Claims {
        iss: client_id,
        sub: client_id,
        aud: AUDIENCE,
        exp: now.timestamp() + ASSERTION_SECONDS,
    };
    let failed = || Error::internal("the assertion for the login could not be signed");
    let claims = serde_json::to_vec(&claims).map_err(|error| failed().because(error))?;
    let signed = format!(
        "{}.{}",
        base64url(br#"{"alg":"RS256","typ":"JWT"}"#),
        base64url(&claims)
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| failed())?;
    Ok(format!("{signed}.{}", base64url(&signature)))
}

/// Base64 with the alphabet for URLs and without padding (RFC 4648 §5).
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..=chunk.len() {
            let at = (bits >> (18 - 6 * place)) & 63;
            text.push(char::from(ALPHABET[at as usize]));
        }
    }
    text
}

/// The header and the lifetime in seconds, or what is wrong with the credentials.
fn read_token(response: &Response) -> Result<(HeaderValue, i64)> {
    match response.status.as_u16() {
        200 | 201 => {
            let answer: TokenAnswer = response.secret_json("zscaler login")?;
            let mut header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token))
                .map_err(|_| {
                    Error::protocol(
                        "zscaler login: the token holds characters that no header can carry",
                    )
                })?;
            header.set_sensitive(true);
            let lifetime = answer.expires_in.filter(|seconds| *seconds > 0);
            Ok((header, lifetime.unwrap_or(LIFETIME_SECONDS)))
        }
        400 | 401 | 403 => Err(
            api::error(ErrorKind::Auth, "zscaler login refused", response).hint(
                "check client_id, vanity_domain, and client_secret or private_key; the API client needs the \
                 ZIA API as a resource",
            ),
        ),
        _ => Err(api::error(
            ErrorKind::Protocol,
            "zscaler login: unexpected answer",
            response,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (plain, encoded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(plain.as_bytes()), encoded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for text in [
            "hunter2",
            "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----",
        ] {
            let error = read_key(&Secret::new(text)).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }
}
