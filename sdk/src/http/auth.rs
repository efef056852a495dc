//! How a request gets its credentials.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::client::Client;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Puts credentials on requests. Implementations cache tokens themselves, and must let only one login run
/// at a time.
#[async_trait::async_trait]
pub trait Authenticate: Send + Sync {
    /// Headers for the next request. May log in, through `client` with
    /// [`super::Request::unauthenticated`]; must renew in time by `client.clock()`.
    async fn headers(&self, client: &Client) -> Result<HeaderMap>;

    /// The vendor answered 401. `true`: the cached token was dropped, try once more with new headers.
    /// `false`: the credentials themselves are wrong; the 401 goes to the caller at once (a second wrong
    /// key would bring a lockout nearer).
    async fn refused(&self) -> bool;
}

/// No credentials.
#[derive(Clone, Copy, Debug)]
pub struct NoAuth;

#[async_trait::async_trait]
impl Authenticate for NoAuth {
    async fn headers(&self, _: &Client) -> Result<HeaderMap> {
        Ok(HeaderMap::new())
    }

    async fn refused(&self) -> bool {
        false
    }
}

/// One fixed header, for instance `Authorization: Bearer …`.
#[derive(Clone, Debug)]
pub struct StaticHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl StaticHeader {
    /// A header whose value is `prefix` followed by the secret. An error if the secret holds characters
    /// that no header can carry.
    pub fn new(name: HeaderName, prefix: &str, secret: &Secret) -> Result<Self> {
        let mut value =
            HeaderValue::from_str(&format!("{prefix}{}", secret.expose())).map_err(|_| {
                Error::config("a secret holds characters that no HTTP header can carry")
            })?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

#[async_trait::async_trait]
impl Authenticate for StaticHeader {
    async fn headers(&self, _: &Client) -> Result<HeaderMap> {
        Ok(HeaderMap::from_iter([(
            self.name.clone(),
            self.value.clone(),
        )]))
    }

    async fn refused(&self) -> bool {
        false
    }
}
