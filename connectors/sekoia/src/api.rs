//! Requests, and the smallest structs for answers.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use sdk::action::common;
use sdk::collection::sekoia::{CollectionId, is_without_collection, refusal};
use sdk::connector::Environment;
use sdk::http::{Client, Next, Page, Pages, Request, Response, Safety};
use sdk::stix::{flatten, parse_timestamp};
use sdk::target::Calls;
use sdk::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::config::Config;
use crate::observable::Observable;

/// Most indicators in one request, documented.
pub(crate) const BATCH: usize = 100;

/// Indicators per page of a search; the default is 20, more than 100 was not seen.
const SEARCH_PAGE: usize = 100;

/// How far our clock and Sekoia's may be apart where something with an end is written.
pub(crate) const CLOCK_LIMIT: TimeDelta = TimeDelta::minutes(5);

/// Longest text in a message of ours that came from there.
const LONGEST: usize = 200;

/// A community's API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
}

/// The API with the configuration that it came from.
pub(crate) struct Configured {
    pub(crate) api: Api,
    pub(crate) config: Config,
}

/// An indicator in a collection, as searches and additions show it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    pub(crate) revoked: Option<bool>,
    #[serde(default)]
    valid_from: Option<String>,
    #[serde(default)]
    valid_until: Option<String>,
}

impl Found {
    /// Whether it says this of the observable, alone or beside others.
    pub(crate) fn holds(&self, observable: &Observable) -> bool {
        if self
            .name
            .as_deref()
            .is_some_and(|name| observable.is_named(name))
        {
            return true;
        }
        let (Some(value), Some(pattern)) = (observable.value(), &self.pattern) else {
            return false;
        };
        flatten(pattern).is_ok_and(|flattened| flattened.values.contains(value))
    }

    /// How many other values go with it.
    pub(crate) fn others(&self) -> usize {
        let pattern = self.pattern.as_deref().unwrap_or_default();
        flatten(pattern).map_or(0, |flattened| flattened.values.len().saturating_sub(1))
    }

    /// Its end. An end that cannot be read counts as one that has passed, so that it is never relied on.
    pub(crate) fn end(&self) -> End {
        match self.valid_until.as_deref() {
            None | Some("") => End::Never,
            Some(text) => End::At(parse_timestamp(text).unwrap_or(DateTime::UNIX_EPOCH)),
        }
    }

    /// Whether it counts at this instant.
    pub(crate) fn is_active(&self, now: DateTime<Utc>) -> bool {
        let from = self.valid_from.as_deref();
        let from = from.and_then(|text| parse_timestamp(text).ok());
        self.revoked != Some(true) && counts(from, self.end(), now)
    }
}

/// Whether something with this start and end counts at this instant. What was just added starts by
/// Sekoia's clock, which may be a little ahead of ours.
pub(crate) fn counts(from: Option<DateTime<Utc>>, end: End, now: DateTime<Utc>) -> bool {
    end > End::At(now) && from.is_none_or(|from| from <= now + CLOCK_LIMIT)
}

/// Until when; the latest is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Until this instant.
    At(DateTime<Utc>),
    /// Without end.
    Never,
}

/// What additions of one request share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// The end; Sekoia's own default otherwise.
    pub(crate) until: Option<DateTime<Utc>>,
    /// A description of at most 500 characters.
    pub(crate) description: Option<String>,
}

/// An alert, as far as it matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Alert {
    pub(crate) short_id: String,
    pub(crate) first_seen_at: String,
    pub(crate) last_seen_at: String,
}

impl Api {
    /// From an action's configuration.
    pub(crate) fn of(configuration: Json, environment: &Environment) -> Result<Configured> {
        let common = common(configuration, environment)?;
        let config = Config::read(common.own)?;
        let client = config.access().client(&common.environment)?.build()?;
        Ok(Configured {
            api: Self { client },
            config,
        })
    }

    /// Host and port, for reports.
    pub(crate) fn host(&self) -> String {
        let base = self.client.base();
        let host = base.host_str().unwrap_or_default();
        match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Sekoia's clock, after a call.
    pub(crate) fn vendor_time(&self) -> Option<DateTime<Utc>> {
        self.client.vendor_time()
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> Calls {
        self.client.calls()
    }

    /// The community that the key belongs to, as far as the answer names it.
    pub(crate) async fn me(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Me {
            #[serde(default)]
            community: Option<Json>,
        }
        let what = "the API key's owner";
        let response = self.get(what, Request::get("me", ["v1", "me"])).await?;
        let me: Me = response.json(what)?;
        // What the community looks like is not documented: a name, or an object with one.
        Ok(me.community.and_then(|community| match community {
            Json::String(name) => Some(name),
            Json::Object(fields) => fields.get("name")?.as_str().map(str::to_owned),
            _ => None,
        }))
    }

    /// One object of a collection or feed, to see whether it can be read.
    pub(crate) async fn probe(&self, id: &str) -> Result<Response> {
        let path = ["v2", "inthreat", "collections", id, "objects"];
        self.client
            .send(Request::get("objects", path).query("limit", 1))
            .await
    }

    /// Makes sure that a collection exists.
    pub(crate) async fn exists(&self, id: CollectionId) -> Result<()> {
        let path = ["v2", "inthreat", "ioc-collections", &id.to_string()];
        self.get("the IOC collection", Request::get("collection", path))
            .await
            .map_err(|error| error.with("id", id))?;
        Ok(())
    }

    /// Every indicator of a collection that a search for this observable finds and that holds it.
    pub(crate) async fn search(
        &self,
        id: CollectionId,
        observable: &Observable,
    ) -> Result<Vec<Found>> {
        #[derive(Deserialize)]
        struct Listed {
            items: Vec<Found>,
            #[serde(default)]
            has_more: Option<bool>,
            #[serde(default)]
            total: Option<u64>,
        }
        let what = "the search in the collection";
        let mut pages = Pages::new(what, None);
        let mut found: Vec<Found> = Vec::new();
        let mut last_of_page = None;
        let mut offset = 0;
        loop {
            let request = Request::get("search", indicators(id, None))
                .query("term", observable.sent())
                .query("limit", SEARCH_PAGE)
                .query("offset", offset);
            let listed: Listed = self.get(what, request).await?.json(what)?;
            let count = listed.items.len();
            let last = listed.items.last().map(|item| item.id.clone());
            // Whoever ignores the offset gives the first page for ever.
            if last.is_some() && last == last_of_page {
                return Err(
                    Error::protocol(format!("{what}: a page came twice")).with("offset", offset)
                );
            }
            last_of_page = last;
            found.extend(
                listed
                    .items
                    .into_iter()
                    .filter(|item| item.holds(observable)),
            );
            offset += count;
            let ends = count == 0 || listed.has_more == Some(false);
            let cursor = offset.to_string();
            let next = pages.page(Page {
                items: count,
                cursor: (!ends).then_some(cursor.as_str()),
                total: listed.total,
                has_more: listed.has_more,
            })?;
            if next == Next::End {
                found.sort_by(|a, b| a.id.cmp(&b.id));
                found.dedup_by(|a, b| a.id == b.id);
                return Ok(found);
            }
        }
    }

    /// Adds values, at most [`BATCH`]; the answer as it came.
    pub(crate) async fn add(
        &self,
        id: CollectionId,
        values: &[&Observable],
        fields: &Fields,
    ) -> Result<Response> {
        #[derive(Serialize)]
        struct Body<'a> {
            indicators: Vec<Value>,
            default_fields: Defaults<'a>,
        }
        #[derive(Serialize)]
        struct Value {
            value: String,
        }
        #[derive(Serialize)]
        struct Defaults<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            valid_until: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            description: Option<&'a str>,
        }
        let body = Body {
            indicators: values
                .iter()
                .map(|observable| Value {
                    value: observable.sent(),
                })
                .collect(),
            default_fields: Defaults {
                valid_until: fields.until.map(rfc3339),
                description: fields.description.as_deref(),
            },
        };
        let request =
            Request::new(Method::POST, Safety::Once, "write", indicators(id, None)).json(&body);
        self.client.send(request).await
    }

    /// The indicators that an addition's answer shows; `None` where it cannot be read.
    pub(crate) fn added(response: &Response) -> Option<Vec<Found>> {
        #[derive(Deserialize)]
        struct Added {
            items: Vec<Found>,
        }
        let added: Added = serde_json::from_slice(&response.body).ok()?;
        Some(added.items)
    }

    /// Revokes one indicator. `false`: it is not there.
    pub(crate) async fn revoke(&self, id: CollectionId, indicator: &str) -> Result<bool> {
        let request = Request::new(
            Method::DELETE,
            Safety::Idempotent,
            "write",
            indicators(id, Some(indicator)),
        );
        let response = self.client.send(request).await?;
        if response.status.is_success() {
            return Ok(true);
        }
        if response.status == StatusCode::NOT_FOUND && !is_without_collection(&response) {
            return Ok(false);
        }
        Err(refusal("the revocation", &response))
    }

    /// An alert by its uuid or short id.
    pub(crate) async fn alert(&self, id: &str) -> Result<Alert> {
        let what = "the alert";
        let is_uuid = uuid::Uuid::try_parse(id).is_ok();
        let response = self
            .client
            .send(Request::get("alerts", ["v1", "sic", "alerts", id]))
            .await?;
        if response.status == StatusCode::OK {
            let alert: Alert = response.json(what)?;
            if !is_uuid && !alert.short_id.eq_ignore_ascii_case(id) {
                return Err(Error::protocol("another alert came than was asked for")
                    .with("asked for", id)
                    .with("came", one_line(&alert.short_id)));
            }
            return Ok(alert);
        }
        let refused = refusal(what, &response);
        // Whether a short id may stand there is not documented.
        let may_be_short =
            matches!(refused.kind(), ErrorKind::NotFound | ErrorKind::Rejected) && !is_uuid;
        if !may_be_short {
            return Err(refused.with("alert", id));
        }
        #[derive(Deserialize)]
        struct Listed {
            items: Vec<Alert>,
        }
        let request = Request::get("alerts", ["v1", "sic", "alerts"])
            .query("match[short_id]", id)
            .query("limit", BATCH);
        let listed: Listed = self.get(what, request).await?.json(what)?;
        // The filter may have been passed over: only the alert itself counts.
        let mut alerts = listed.items.into_iter();
        alerts
            .find(|alert| alert.short_id.eq_ignore_ascii_case(id))
            .ok_or_else(|| {
                Error::new(ErrorKind::NotFound, "there is no such alert")
                    .with("alert", id)
                    .hint("give its uuid, which always works")
            })
    }

    /// Starts a search among events; gives its id.
    pub(crate) async fn start_search(
        &self,
        term: &str,
        earliest: DateTime<Utc>,
        latest: DateTime<Utc>,
        last_events: usize,
    ) -> Result<String> {
        #[derive(Serialize)]
        struct Body<'a> {
            term: &'a str,
            earliest_time: String,
            latest_time: String,
            visible: bool,
            max_last_events: usize,
        }
        #[derive(Deserialize)]
        struct Started {
            uuid: String,
        }
        let what = "the search among the alert's events";
        let body = Body {
            term,
            earliest_time: rfc3339(earliest),
            latest_time: rfc3339(latest),
            visible: false,
            max_last_events: last_events,
        };
        // A search more changes nothing.
        let request = Request::new(Method::POST, Safety::Read, "search", jobs(None)).json(&body);
        let started: Started = self.get(what, request).await?.json(what)?;
        Ok(started.uuid)
    }

    /// Where a search stands.
    pub(crate) async fn search_status(&self, job: &str) -> Result<i64> {
        #[derive(Deserialize)]
        struct Job {
            status: i64,
        }
        let what = "the search's status";
        let job: Job = self
            .get(what, Request::get("search", jobs(Some(job))))
            .await?
            .json(what)?;
        Ok(job.status)
    }

    /// One page of the fields that a search found.
    pub(crate) async fn fields(&self, job: &str, offset: usize, limit: usize) -> Result<FieldPage> {
        let what = "the fields of the search";
        let mut path = jobs(Some(job));
        path.push("fields".to_owned());
        let request = Request::get("search", path)
            .query("limit", limit)
            .query("offset", offset);
        self.get(what, request).await?.json(what)
    }

    async fn get(&self, what: &str, request: Request) -> Result<Response> {
        let response = self.client.send(request).await?;
        if response.status.is_success() {
            Ok(response)
        } else {
            Err(refusal(what, &response))
        }
    }
}

/// Fields of events with their values.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FieldPage {
    pub(crate) items: Vec<Field>,
    #[serde(default)]
    pub(crate) total: Option<u64>,
}

/// One field.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) most_common_values: Vec<CommonValue>,
}

impl Field {
    /// In how many events it was seen at least, as far as the answer says.
    pub(crate) fn seen(&self) -> Option<u64> {
        let counts = self.most_common_values.iter().map(|value| value.count);
        counts.sum()
    }
}

/// One value of a field.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CommonValue {
    pub(crate) name: Json,
    /// In how many events.
    #[serde(default)]
    count: Option<u64>,
}

impl CommonValue {
    /// As text.
    pub(crate) fn text(&self) -> String {
        match &self.name {
            Json::String(text) => one_line(text),
            other => one_line(&other.to_string()),
        }
    }
}

fn indicators(id: CollectionId, indicator: Option<&str>) -> Vec<String> {
    let mut path: Vec<String> = [
        "v2",
        "inthreat",
        "ioc-collections",
        &id.to_string(),
        "indicators",
    ]
    .map(str::to_owned)
    .into();
    path.extend(indicator.map(str::to_owned));
    path
}

fn one_line(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(LONGEST).collect()
}

fn jobs(job: Option<&str>) -> Vec<String> {
    let mut path: Vec<String> = ["v1", "sic", "conf", "events", "search", "jobs"]
        .map(str::to_owned)
        .into();
    path.extend(job.map(str::to_owned));
    path
}

/// Always with its zone: a time without one would be read as another.
fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
