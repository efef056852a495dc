//! The legacy login: an obfuscated API key for a session cookie.

use reqwest::Method;
use reqwest::header::{COOKIE, HeaderMap, HeaderValue};
use sdk::http::{Client, Request, Response, Safety};
use sdk::{Error, ErrorKind, Result, Secret};
use serde::Serialize;
use tokio::sync::Mutex;

use super::skewed;
use crate::api;

/// What the vendor answers to a tenant that has no legacy login any more.
const ONEAPI_ONLY: &str = "only through Zscaler OneAPI";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Credentials<'a> {
    api_key: &'a str,
    username: &'a str,
    password: &'a str,
    timestamp: String,
}

/// A session, logged in when it is first needed and again when the vendor says that it is over.
#[derive(Debug)]
pub(crate) struct Session {
    username: String,
    password: Secret,
    api_key: Secret,
    cookie: Mutex<Option<HeaderValue>>,
}

impl Session {
    pub(crate) fn new(username: String, password: Secret, api_key: Secret) -> Self {
        Self {
            username,
            password,
            api_key,
            cookie: Mutex::default(),
        }
    }

    pub(super) async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let mut cookie = self.cookie.lock().await;
        let value = match &*cookie {
            Some(value) => value.clone(),
            None => {
                let value = self.log_in(client).await?;
                cookie.insert(value).clone()
            }
        };
        Ok(HeaderMap::from_iter([(COOKIE, value)]))
    }

    pub(super) async fn refused(&self) -> bool {
        self.cookie.lock().await.take().is_some()
    }

    /// Ends the session; what is staged goes live with it. `closer` sends a call once: without a logout the
    /// session runs into its timeout.
    pub(crate) async fn log_out(&self, closer: &Client) {
        let Some(cookie) = self.cookie.lock().await.take() else {
            return;
        };
        let end = Request::new(
            Method::DELETE,
            Safety::Read,
            api::SESSION,
            ["authenticatedSession"],
        )
        .header(COOKIE, cookie)
        .unauthenticated();
        let _ = closer.send(end).await;
    }

    async fn log_in(&self, client: &Client) -> Result<HeaderValue> {
        let now = client.clock().now();
        let response = client.send(self.request(now.timestamp_millis())?).await?;
        match skewed(client, now) {
            Some(theirs) if matches!(response.status.as_u16(), 400 | 401 | 403) => {
                let again = self.request(theirs.timestamp_millis())?;
                read_cookie(&client.send(again).await?)
            }
            _ => read_cookie(&response),
        }
    }

    fn request(&self, timestamp: i64) -> Result<Request> {
        let api_key = obfuscate(self.api_key.expose(), timestamp)
            .ok_or_else(|| Error::config("zscaler: api_key is shorter than 12 characters"))?;
        let body = Credentials {
            api_key: &api_key,
            username: &self.username,
            password: self.password.expose(),
            timestamp: timestamp.to_string(),
        };
        // Logging in twice is as good as once, so it counts as a read.
        Ok(Request::new(
            Method::POST,
            Safety::Read,
            api::SESSION,
            ["authenticatedSession"],
        )
        .json(&body)
        .secret(self.password.expose())
        .secret(&api_key)
        .unauthenticated())
    }
}

/// Twelve characters of the key, chosen by the last six digits of the timestamp in milliseconds and by half
/// of that number. `None` if the key is too short.
fn obfuscate(key: &str, timestamp: i64) -> Option<String> {
    let key: Vec<char> = key.chars().collect();
    let high = timestamp.rem_euclid(1_000_000);
    let low = high >> 1;
    let places = |number: i64| {
        format!("{number:06}")
            .bytes()
            .map(|digit| usize::from(digit - b'0'))
            .collect::<Vec<_>>()
    };
    places(high)
        .into_iter()
        .chain(places(low).into_iter().map(|place| place + 2))
        .map(|place| key.get(place))
        .collect()
}

fn read_cookie(response: &Response) -> Result<HeaderValue> {
    let status = response.status.as_u16();
    // Said in plain text, with whatever status.
    if response.excerpt().contains(ONEAPI_ONLY) {
        return Err(api::error(
            ErrorKind::Auth,
            "zscaler login: this tenant takes OneAPI logins only",
            response,
        )
        .hint(
            "make an API client in ZIdentity and give client_id, vanity_domain and client_secret or private_key \
             in place of username, password and api_key",
        ));
    }
    match status {
        200..=299 => {
            let value = response
                .headers
                .get_all("set-cookie")
                .iter()
                .filter_map(|cookie| cookie.to_str().ok())
                .filter_map(|cookie| cookie.split(';').next())
                .find(|pair| pair.trim_start().starts_with("JSESSIONID="))
                .ok_or_else(|| {
                    Error::protocol("zscaler login: the answer brings no session cookie")
                        .with("status", status)
                })?;
            let mut value = HeaderValue::from_str(value.trim()).map_err(|_| {
                Error::protocol(
                    "zscaler login: the cookie holds characters that no header can carry",
                )
            })?;
            value.set_sensitive(true);
            Ok(value)
        }
        400 | 401 | 403 => Err(
            api::error(ErrorKind::Auth, "zscaler login refused", response)
                .hint("check username, password, api_key, base_url, and this machine's clock"),
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
    fn the_key_is_obfuscated_by_the_timestamp() {
        // Digits 9 0 1 2 3 4, and of half the number 4 5 0 6 1 7, each two places further on.
        let key = "abcdefghijkl";
        assert_eq!(obfuscate(key, 1_700_000_901_234).unwrap(), "jabcdeghcidj");
        // Leading zeros count.
        assert_eq!(obfuscate(key, 1_700_000_000_001).unwrap(), "aaaaabcccccc");
        assert_eq!(obfuscate("short", 1_700_000_999_999), None);
    }
}
