//! IOC collections and feeds of Sekoia: how they are named, reached and read.

mod read;
mod text;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use crate::connector::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{Client, ClientBuilder, Response, StaticHeader};
use crate::secret::Secret;

pub(super) use read::read;

/// Where the API is if nothing else is said: the region FRA1.
pub const BASE_URL: &str = "https://api.sekoia.io";

/// The one documented host that serves the API without `/api` before it.
const BARE_HOST: &str = "api.sekoia.io";

/// What begins the id of an own collection; feeds have a bare uuid.
const OWN: &str = "ioc-collection--";

/// The code of an answer about a collection that does not exist.
const NO_COLLECTION: &str = "INTHREAT2500";

/// The id of an IOC collection (`ioc-collection--<uuid>`) or of a feed (`<uuid>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionId {
    own: bool,
    uuid: Uuid,
}

impl CollectionId {
    /// Reads one.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] where it is of neither form.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (own, uuid) = match text.strip_prefix(OWN) {
            Some(uuid) => (true, uuid),
            None => (false, text),
        };
        let uuid = (uuid.len() == 36)
            .then(|| Uuid::try_parse(uuid).ok())
            .flatten()
            .ok_or_else(|| {
                let shown: String = text.chars().take(80).collect();
                Error::input(format!("{shown:?} is not the id of a collection at Sekoia"))
                    .hint("it looks like ioc-collection--<uuid>, or like <uuid> for a feed")
            })?;
        Ok(Self { own, uuid })
    }

    /// Whether it is a collection of one's own, which can be written to; feeds are read only.
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// The owner of what is made of it where no deployment is named: `c-` and the first 8 hex digits of
    /// its uuid.
    pub fn owner(&self) -> String {
        format!("c-{}", &self.uuid.simple().to_string()[..8])
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.own { OWN } else { "" };
        write!(f, "{prefix}{}", self.uuid.hyphenated())
    }
}

/// Where Sekoia's API is, and the key to it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The region's URL: [`BASE_URL`] or `https://app.REGION.sekoia.io`, with or without `/api`.
    pub base_url: String,
    /// The API key.
    pub api_key: Secret,
    /// One more CA file.
    pub ca_file: Option<PathBuf>,
    /// CAs as PEM text.
    pub ca_pem: Option<String>,
    /// SHA-256 of the server's certificate in hex, which replaces the check of chain and name.
    pub tls_fingerprint: Option<String>,
}

impl Access {
    /// With the system's CAs and those of the environment.
    pub fn new(base_url: &str, api_key: Secret) -> Self {
        Self {
            base_url: base_url.to_owned(),
            api_key,
            ca_file: None,
            ca_pem: None,
            tls_fingerprint: None,
        }
    }

    /// A client whose paths begin with the API's version (`v2/inthreat/…`). No call is made.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: not a URL that may be used, an empty key, unreadable CAs.
    pub fn client(&self, environment: &Environment) -> Result<ClientBuilder> {
        if self.api_key.is_empty() {
            return Err(Error::config("the API key of Sekoia is empty"));
        }
        let authorization = StaticHeader::new(AUTHORIZATION, "Bearer ", &self.api_key)?;
        Ok(ClientBuilder::new(&root(&self.base_url), environment)?
            .auth(Arc::new(authorization))
            .ca_file(self.ca_file.clone())
            .ca_pem(self.ca_pem.clone())
            .tls_fingerprint(self.tls_fingerprint.clone()))
    }
}

/// The URL before the API's version. Users copy it with and without `/api`, once or twice, and with a
/// slash at the end; what is no URL is left as it is, the client says so.
fn root(base_url: &str) -> String {
    let Ok(mut url) = Url::parse(base_url.trim()) else {
        return base_url.to_owned();
    };
    if url.cannot_be_a_base() {
        return base_url.to_owned();
    }
    let mut path = url.path().trim_end_matches('/');
    while let Some(shorter) = path.strip_suffix("/api") {
        path = shorter.trim_end_matches('/');
    }
    let path = if url.host_str() == Some(BARE_HOST) {
        path.to_owned()
    } else {
        format!("{path}/api")
    };
    url.set_path(&path);
    url.into()
}

/// A collection or feed to read.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Which.
    pub id: CollectionId,
    /// Where, and with which key.
    pub access: Access,
}

impl Collection {
    /// A client for reading it.
    fn client(&self, environment: &Environment) -> Result<Client> {
        self.access.client(environment)?.build()
    }
}

/// The error that an answer other than the expected one stands for; `what` was asked.
pub fn refusal(what: &str, response: &Response) -> Error {
    /// What an error answer says of itself, as far as is known.
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        code: Option<String>,
        message: Option<String>,
    }
    let status = response.status;
    let said: Said = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = said
        .message
        .as_deref()
        .filter(|text| !text.trim().is_empty())
        .map_or_else(|| response.excerpt(), |text| one_line(text));
    let error = |kind, message: &str| {
        let error = Error::new(kind, format!("{what}: {message}")).with("status", status.as_u16());
        let error = match said.code.as_deref() {
            Some(code) => error.with("code", one_line(code)),
            None => error,
        };
        if text.is_empty() {
            error
        } else {
            error.with("Sekoia says", &text)
        }
    };
    match status {
        StatusCode::UNAUTHORIZED => error(ErrorKind::Auth, "the API key was refused").hint(
            "check the key and the region's base_url; keys end after at most a year, and an administrator makes new ones",
        ),
        StatusCode::FORBIDDEN => error(ErrorKind::Denied, "the API key lacks a right").hint(
            "reading takes View IOC collections, writing Manage IOC collections, CTI feeds INTHREAT_READ_OBJECTS, events View alerts and View intakes",
        ),
        StatusCode::NOT_FOUND if said.code.as_deref() == Some(NO_COLLECTION) => {
            error(ErrorKind::NotFound, "there is no such collection").hint(
                "check its id; one that was deleted, or belongs to another community, is not an empty one",
            )
        }
        StatusCode::NOT_FOUND => error(ErrorKind::NotFound, "it is not there")
            .hint("check the id, and the region's base_url"),
        StatusCode::PAYLOAD_TOO_LARGE => error(ErrorKind::Rejected, "the request is too large"),
        _ if status.is_client_error() => error(ErrorKind::Rejected, "the request was refused"),
        _ if status.is_server_error() => error(ErrorKind::Unavailable, "Sekoia failed"),
        _ => error(ErrorKind::Protocol, "an answer that is not expected"),
    }
}

/// Whether an answer says that the collection itself does not exist.
pub fn is_without_collection(response: &Response) -> bool {
    response.status == StatusCode::NOT_FOUND
        && memchr::memmem::find(&response.body, NO_COLLECTION.as_bytes()).is_some()
}

fn one_line(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_collections_and_feeds() {
        let own = "ioc-collection--d6092c37-D8D7-45c3-8aff-c4dc26030608";
        let id = CollectionId::parse(&format!(" {own}\n")).unwrap();
        assert!(id.is_own());
        assert_eq!(id.to_string(), own.to_ascii_lowercase());
        assert_eq!(id.owner(), "c-d6092c37");
        let feed = CollectionId::parse("d6092c37-d8d7-45c3-8aff-c4dc26030608").unwrap();
        assert!(!feed.is_own());
        assert_eq!(feed.to_string(), "d6092c37-d8d7-45c3-8aff-c4dc26030608");
        for wrong in [
            "",
            "ioc-collection--",
            "ioc-collection--x",
            "d6092c37d8d745c38affc4dc26030608",
            "{d6092c37-d8d7-45c3-8aff-c4dc26030608}",
            "indicator--d6092c37-d8d7-45c3-8aff-c4dc26030608",
            "d6092c37-d8d7-45c3-8aff-c4dc26030608/../x",
        ] {
            let error = CollectionId::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{wrong}");
        }
    }

    #[test]
    fn every_way_to_write_the_base_url_is_one() {
        for (given, wanted) in [
            ("https://api.sekoia.io", "https://api.sekoia.io/"),
            ("https://api.sekoia.io/", "https://api.sekoia.io/"),
            ("https://api.sekoia.io/api", "https://api.sekoia.io/"),
            ("https://app.sekoia.io", "https://app.sekoia.io/api"),
            ("https://app.sekoia.io/ ", "https://app.sekoia.io/api"),
            ("https://app.sekoia.io/api", "https://app.sekoia.io/api"),
            ("https://app.sekoia.io/api/", "https://app.sekoia.io/api"),
            ("https://app.sekoia.io/api/api", "https://app.sekoia.io/api"),
            (
                "https://app.sekoia.io//api//api//",
                "https://app.sekoia.io/api",
            ),
            (
                "https://app.fra2.sekoia.io/api",
                "https://app.fra2.sekoia.io/api",
            ),
            (
                "https://proxy.example.com/sekoia/",
                "https://proxy.example.com/sekoia/api",
            ),
            ("not a url", "not a url"),
        ] {
            assert_eq!(root(given), wanted, "{given}");
        }
    }
}
