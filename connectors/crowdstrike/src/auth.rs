//! The OAuth2 token: fetched once, kept until shortly before its end, renewed by one task at a time.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sdk::http::{Authenticate, Client, Request, Response, Safety};
use sdk::{Error, ErrorKind, Result, Secret, async_trait};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::api;
use crate::config::CLOUDS;

/// A token is not used in the last seconds of its life.
const MARGIN_SECONDS: i64 = 120;
/// Lifetime where the answer does not tell it (the vendor documents 30 minutes).
const LIFETIME_SECONDS: i64 = 1_799;

/// Logs in with client id and secret. Tokens belong to one client and one customer, as this value does.
#[derive(Debug)]
pub(crate) struct Login {
    client_id: String,
    client_secret: Secret,
    member_cid: Option<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// The region's name, as the last login told it.
    region: Option<String>,
}

#[derive(Debug)]
struct Token {
    header: HeaderValue,
    renew_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: Option<i64>,
}

impl Login {
    pub(crate) fn new(
        client_id: String,
        client_secret: Secret,
        member_cid: Option<String>,
    ) -> Self {
        Self {
            client_id,
            client_secret,
            member_cid,
            state: Mutex::default(),
        }
    }

    /// The region's name, as the last login told it.
    pub(crate) async fn region(&self) -> Option<String> {
        self.state.lock().await.region.clone()
    }

    /// The login; pure.
    pub(crate) fn request(&self) -> Request {
        let mut form = vec![
            ("client_id".to_owned(), self.client_id.clone()),
            (
                "client_secret".to_owned(),
                self.client_secret.expose().to_owned(),
            ),
        ];
        if let Some(member) = &self.member_cid {
            form.push(("member_cid".to_owned(), member.clone()));
        }
        // Logging in twice is as good as once, so it counts as a read.
        Request::new(Method::POST, Safety::Read, "token", ["oauth2", "token"])
            .form(form)
            .secret(self.client_secret.expose())
            .unauthenticated()
    }
}

#[async_trait]
impl Authenticate for Login {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let mut state = self.state.lock().await;
        let now = client.clock().now();
        let header = match &state.token {
            Some(token) if now < token.renew_at => token.header.clone(),
            _ => {
                state.token = None;
                let response = client.send(self.request()).await?;
                let (header, lifetime) = read_token(&response)?;
                state.region = response.header("x-cs-region").map(str::to_owned);
                let margin = MARGIN_SECONDS.min(lifetime / 2);
                let renew_at = now + TimeDelta::seconds(lifetime - margin);
                state.token = Some(Token {
                    header: header.clone(),
                    renew_at,
                });
                header
            }
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, header)]))
    }

    async fn refused(&self) -> bool {
        self.state.lock().await.token.take().is_some()
    }
}

/// The header and the lifetime in seconds, or what is wrong with the credentials.
fn read_token(response: &Response) -> Result<(HeaderValue, i64)> {
    match response.status.as_u16() {
        200 | 201 => {
            let answer: TokenAnswer = response.secret_json("falcon login")?;
            let mut header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token))
                .map_err(|_| {
                    Error::protocol(
                        "falcon login: the token holds characters that no header can carry",
                    )
                })?;
            header.set_sensitive(true);
            Ok((
                header,
                answer
                    .expires_in
                    .filter(|seconds| *seconds > 0)
                    .unwrap_or(LIFETIME_SECONDS),
            ))
        }
        300..=399 => Err(wrong_region(response)),
        403 => {
            let text = api::vendor_text(response);
            // The vendor's own client reads this text as the address allow list, other texts as the
            // credentials.
            let hint = if text.contains("authorization failed") {
                "the API client may be limited to other addresses: check its IP allow list in the Falcon console"
            } else {
                "check client_id, client_secret and member_cid"
            };
            Err(api::error(ErrorKind::Auth, "falcon login refused", response).hint(hint))
        }
        400 | 401 => Err(
            api::error(ErrorKind::Auth, "falcon login refused", response)
                .hint("check client_id and client_secret"),
        ),
        _ => Err(api::error(
            ErrorKind::Protocol,
            "falcon login: unexpected answer",
            response,
        )),
    }
}

/// A redirect is never followed: it would carry the secret to whatever host it names.
fn wrong_region(response: &Response) -> Error {
    let error = Error::new(
        ErrorKind::Auth,
        "falcon login: this API client belongs to another region",
    );
    let region = response.header("x-cs-region").unwrap_or_default();
    match CLOUDS.iter().find(|(name, _)| *name == region) {
        Some((name, _)) => error.hint(format!("set base_url to \"{name}\"")),
        None => error.hint("set base_url to the cloud that the Falcon console shows"),
    }
}
