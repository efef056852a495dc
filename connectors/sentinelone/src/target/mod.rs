//! The mechanisms: one target per mechanism and place. All targets of a configuration share one client,
//! because the vendor counts calls per token.

mod blocklist;
mod examine;
mod ioc;
mod shown;

use std::sync::Arc;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use sdk::connector::Environment;
use sdk::http::{Client, ClientBuilder, Next, Page, Pages, Request, StaticHeader};
use sdk::indicator::Value;
use sdk::ownership::Note;
use sdk::target::{Capabilities, Facts, Outcome, RateWindow, Target, TargetKey};
use sdk::{Error, Result, Secret};
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::api;
use crate::config::{Config, Level, Place};

pub(crate) use blocklist::entries;
pub(crate) use shown::Shown;

/// The connector's name.
pub(crate) const NAME: &str = "sentinelone";
/// Its mechanisms, the default first.
pub(crate) static MECHANISMS: &[&Capabilities] = &[&blocklist::CAPABILITIES, &ioc::CAPABILITIES];

/// Characters of a description that we use. The vendor's limit is not documented; what comes back is
/// compared, so that a mark that was cut is noticed.
const NOTE_LIMIT: usize = 255;

/// Published per token; the blocklist has no published limit.
const RATE: &[RateWindow] = &[
    RateWindow {
        class: "ioc",
        calls: 30,
        per: Duration::from_secs(60),
    },
    RateWindow {
        class: "status",
        calls: 1,
        per: Duration::from_secs(1),
    },
    RateWindow {
        class: "users",
        calls: 40,
        per: Duration::from_secs(1),
    },
];

/// A console, and the place in it where a target acts.
struct Console {
    client: Client,
    token: Secret,
    place: Place,
    key: TargetKey,
    installation: String,
}

/// Makes the targets of a configuration.
pub(crate) fn targets(
    json: serde_json::Value,
    environment: &Environment,
) -> Result<Vec<Arc<dyn Target>>> {
    let config = Config::read(json)?;
    for (kind, name) in config.named() {
        let Some(capabilities) = MECHANISMS.iter().find(|known| known.mechanism == name) else {
            let names: Vec<&str> = MECHANISMS.iter().map(|known| known.mechanism).collect();
            return Err(
                Error::config(format!("{NAME}: there is no mechanism {name:?}"))
                    .hint(format!("one of: {}", names.join(", "))),
            );
        };
        if let Some(kind) = kind.filter(|kind| capabilities.kind(*kind).is_none()) {
            return Err(Error::config(format!(
                "{NAME}: mechanism {name:?} does not take {kind}"
            )));
        }
    }
    let client = client(&config, environment)?;
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for (index, capabilities) in MECHANISMS.iter().enumerate() {
        if !config.uses(capabilities.mechanism, index == 0) {
            continue;
        }
        for place in config.places()? {
            let console = Console::new(&config, &client, place, capabilities, environment);
            if capabilities.mechanism == blocklist::CAPABILITIES.mechanism {
                targets.push(Arc::new(blocklist::Blocklist::new(console, &config)));
            } else {
                targets.push(Arc::new(ioc::Iocs::new(console, &config)?));
            }
        }
    }
    Ok(targets)
}

fn client(config: &Config, environment: &Environment) -> Result<Client> {
    let authorization = StaticHeader::new(AUTHORIZATION, "ApiToken ", &config.api_token)?;
    ClientBuilder::new(&config.base()?, environment)?
        .auth(Arc::new(authorization))
        .windows(RATE)
        .disposition(api::disposition)
        .ca_file(config.ca_file.clone())
        .ca_pem(config.ca_pem.clone())
        .tls_fingerprint(config.tls_fingerprint.clone())
        .build()
}

impl Console {
    fn new(
        config: &Config,
        client: &Client,
        place: Place,
        capabilities: &Capabilities,
        environment: &Environment,
    ) -> Self {
        let base = client.base();
        let host = base.host_str().unwrap_or_default();
        let account = base
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self {
            key: TargetKey {
                connector: NAME,
                account,
                mechanism: capabilities.mechanism,
                device: place.name(),
            },
            client: client.clone(),
            token: config.api_token.clone(),
            place,
            installation: environment.installation.clone(),
        }
    }

    /// Whether the console is there, and its clock. Says nothing of credentials.
    async fn open(&self) -> Result<Facts> {
        let what = "the console's status";
        let answer = self.client.send(api::status()).await?;
        if answer.status != StatusCode::OK {
            return Err(
                api::error(sdk::ErrorKind::Unavailable, what, &answer).hint("check hostname")
            );
        }
        Ok(Facts {
            vendor_time: self.client.vendor_time(),
            ..Facts::default()
        })
    }

    /// Every entry of a listing, or an error. `page` makes the request for the page at a cursor.
    async fn all<T: DeserializeOwned>(
        &self,
        what: &'static str,
        right: &str,
        page: impl Fn(Option<&str>) -> Request,
    ) -> Result<Vec<T>> {
        all(&self.client, what, right, page).await
    }

    /// A text field with our installation's marks read out of it.
    fn note(&self, text: &str, value: &Value) -> Note {
        Note::read(text, &self.installation, value)
    }

    /// Whether a description came back with the marks that were sent.
    fn is_intact(&self, sent: &str, returned: Option<&str>, value: &Value) -> bool {
        let sent = self.note(sent, value);
        let returned = self.note(returned.unwrap_or_default(), value);
        sent.marks == returned.marks && sent.was == returned.was
    }

    /// What several descriptions of entries that are one for us say together: a write was cut off
    /// between them. Of two ends the later stands.
    fn merged(&self, texts: &[&str], value: &Value) -> String {
        if let [only] = texts {
            return (*only).to_owned();
        }
        let mut note = self.note(&texts.join(" "), value);
        let words = texts.iter().map(|text| self.note(text, value).rest);
        note.rest = words
            .into_iter()
            .find(|rest| !rest.is_empty())
            .unwrap_or_default();
        note.write(&self.installation, value, NOTE_LIMIT)
            .unwrap_or_else(|| texts.first().copied().unwrap_or_default().to_owned())
    }
}

/// Every entry of a listing, or an error. `page` makes the request for the page at a cursor.
async fn all<T: DeserializeOwned>(
    client: &Client,
    what: &'static str,
    right: &str,
    page: impl Fn(Option<&str>) -> Request,
) -> Result<Vec<T>> {
    let mut entries: Vec<T> = Vec::new();
    let mut pages = Pages::new(what, None);
    let mut cursor: Option<String> = None;
    loop {
        let answer = client.send(page(cursor.as_deref())).await?;
        let answer = api::read::<Vec<T>>(what, right, &answer)?;
        let Some(found) = answer.data else {
            return Err(Error::protocol(format!("{what}: an answer without data")));
        };
        let Some(pagination) = answer.pagination else {
            return Err(Error::protocol(format!(
                "{what}: an answer without pagination"
            )));
        };
        let items = found.len();
        entries.extend(found);
        let last = pagination.next_cursor.as_deref().is_none_or(str::is_empty);
        if last && pagination.total_items.is_none() && items >= api::PAGE {
            return Err(Error::protocol(format!(
                "{what}: the last page is full, and nothing says that it is the last"
            )));
        }
        let next = pages.page(Page {
            items,
            cursor: pagination.next_cursor.as_deref(),
            // One that is removed while pages are read lowers the total, never the count.
            total: pagination.total_items.filter(|_| last || items == 0),
            has_more: None,
        })?;
        match next {
            Next::Continue(next) => cursor = Some(next),
            Next::End => return Ok(entries),
        }
    }
}

/// What is said where the console cut a mark.
const CUT: &str = "the console keeps only a part of the description, so the entry could not be told as \
                   ours; it was taken back";

/// The same error for every row.
fn everywhere(rows: usize, error: &Error) -> Vec<Outcome> {
    let outcome = || {
        if error.is_fate_unknown() {
            Outcome::Unknown(again(error))
        } else {
            Outcome::Failed(again(error))
        }
    };
    (0..rows).map(|_| outcome()).collect()
}

fn again(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.to_string()).retry(error.retry_status());
    let copy = match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    };
    if error.is_fate_unknown() {
        copy.unknown_fate()
    } else {
        copy
    }
}

/// Whether a refusal is about what was sent, and not about who sent it or the console's state.
fn is_about_rows(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 409 | 413 | 422)
}

/// A refused batch: the vendor refuses it whole and names no row.
fn refused_batch(rows: usize, text: &str) -> Vec<Outcome> {
    (0..rows)
        .map(|_| Outcome::NotApplied(text.to_owned()))
        .collect()
}

/// Whether a place needs its account named, which only `ioc` asks for.
fn lacks_account(place: &Place) -> bool {
    matches!(place.level, Level::Site | Level::Group) && place.account.is_none()
}
