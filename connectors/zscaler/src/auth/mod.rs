//! The two ways to log in; the paths behind them are the same.

mod legacy;
mod oneapi;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use sdk::http::{Authenticate, Client};
use sdk::{Result, async_trait};

pub(crate) use legacy::Session;
pub(crate) use oneapi::Token;

/// Seconds between our clock and the vendor's from which a refused login is tried with the vendor's. How far
/// apart they may be is not documented.
const SKEW_SECONDS: i64 = 60;

/// The vendor's clock, if the last answer said that ours is far from it.
fn skewed(client: &Client, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    client
        .vendor_time()
        .filter(|theirs| (*theirs - now).num_seconds().abs() > SKEW_SECONDS)
}

/// How requests are authenticated.
#[derive(Clone)]
pub(crate) enum Login {
    /// A session cookie.
    Legacy(Arc<Session>),
    /// A bearer token.
    OneApi(Arc<Token>),
}

impl Login {
    /// Whether what is staged goes live when the session ends.
    pub(crate) fn ends_in_activation(&self) -> bool {
        matches!(self, Self::Legacy(_))
    }
}

#[async_trait]
impl Authenticate for Login {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        match self {
            Self::Legacy(session) => session.headers(client).await,
            Self::OneApi(token) => token.headers(client).await,
        }
    }

    async fn refused(&self) -> bool {
        match self {
            Self::Legacy(session) => session.refused().await,
            Self::OneApi(token) => token.refused().await,
        }
    }
}
