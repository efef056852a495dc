//! Requests, and the smallest structs for answers.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use sdk::Result;
use sdk::action::common;
use sdk::collection::sekoia::refusal;
use sdk::connector::Environment;
use sdk::http::{Client, Request, Response};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::config::Config;

/// A community's API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: Client,
}

/// The API with the configuration that it came from.
pub(crate) struct Configured {
    pub(crate) api: Api,
    pub(crate) config: Config,
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

    /// The community that the key belongs to, as far as the answer names it.
    pub(crate) async fn me(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Me {
            #[serde(default)]
            community: Option<Json>,
        }
        let what = "the API key's owner";
        let response = self.client.send(Request::get("me", ["v1", "me"])).await?;
        if response.status != StatusCode::OK {
            return Err(refusal(what, &response));
        }
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
}
