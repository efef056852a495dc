//! Reading a list from a URL, without credentials.

use bytes::Bytes;
use reqwest::StatusCode;
use std::time::Duration;
use url::Url;

use super::address;
use super::client::ClientBuilder;
use super::request::{Request, Response};
use crate::connector::Environment;
use crate::error::{Error, ErrorKind, Result};

/// Redirects followed.
const REDIRECTS: usize = 3;

/// Longest time for one try: lists may be large and their servers slow.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What was read.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The body as the server keeps it; a compressed file stays compressed.
    pub body: Bytes,
    /// Where it came from after redirects. May hold a token in its query: not for logs.
    pub final_url: String,
}

/// Reads a URL whole: https, or http on loopback; at most 3 redirects, none of them to plain http off
/// loopback nor from elsewhere to loopback; at most `size_limit` bytes, and exactly as many as the server
/// announced. Repeated like any read. What the body is, is not looked at.
pub async fn fetch(url: &str, environment: &Environment, size_limit: u64) -> Result<Fetched> {
    let mut url = Url::parse(url.trim()).map_err(|error| {
        Error::config("the source's address is not a URL")
            .because(error)
            .hint("a full URL, for instance https://lists.example.com/block.txt")
    })?;
    address::check(&url)?;
    for _ in 0..=REDIRECTS {
        url.set_fragment(None);
        let response = get(&url, environment, size_limit).await?;
        if !response.status.is_redirection() {
            return complete(url, response);
        }
        url = redirect(&url, &response)?;
    }
    Err(Error::new(ErrorKind::Unavailable, "too many redirects").with("host", address::host(&url)))
}

async fn get(url: &Url, environment: &Environment, size_limit: u64) -> Result<Response> {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    let client = ClientBuilder::new(origin.as_str(), environment)?
        .timeout(TIMEOUT)
        .deadline(2 * TIMEOUT)
        .response_limit(size_limit)
        .uncompressed()
        .build()?;
    client
        .send_to(url.clone(), Request::get("source", [""; 0]))
        .await
}

fn redirect(from: &Url, response: &Response) -> Result<Url> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Unavailable, format!("a redirect {reason}"))
            .with("host", address::host(from))
    };
    let location = response
        .header("location")
        .ok_or_else(|| refused("without a location"))?;
    let to = from
        .join(location)
        .map_err(|_| refused("to what is not a URL"))?;
    if address::check(&to).is_err() {
        return Err(refused("to plain http or another scheme")
            .with("to", address::host(&to))
            .hint("give the https address itself"));
    }
    if address::is_loopback(&to) && !address::is_loopback(from) {
        return Err(refused("from elsewhere to this machine"));
    }
    Ok(to)
}

fn complete(url: Url, response: Response) -> Result<Fetched> {
    let status = response.status;
    if status != StatusCode::OK {
        let kind = match status {
            StatusCode::UNAUTHORIZED => ErrorKind::Auth,
            StatusCode::FORBIDDEN => ErrorKind::Denied,
            StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::NotFound,
            _ => ErrorKind::Protocol,
        };
        return Err(
            Error::new(kind, format!("{} answered {status}", address::host(&url)))
                .with("path", url.path()),
        );
    }
    let announced: Option<u64> = response
        .header("content-length")
        .and_then(|length| length.parse().ok());
    if let Some(announced) = announced
        && announced != response.body.len() as u64
    {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} bytes came where {announced} were announced",
                response.body.len()
            ),
        )
        .with("host", address::host(&url)));
    }
    Ok(Fetched {
        body: response.body,
        final_url: url.into(),
    })
}
