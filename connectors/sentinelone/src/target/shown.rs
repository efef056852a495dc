//! Entries as the console shows them, for actions that give its own rows as their results.

use chrono::{DateTime, Utc};
use sdk::connector::Environment;
use sdk::http::Client;
use sdk::indicator::Value;
use sdk::{Error, ErrorKind, Result};
use serde::Deserialize as _;
use serde_json::{Map, Value as Json};

use super::{all, blocklist, client, ioc};
use crate::api::{iocs, restrictions};
use crate::config::{Config, Place};

/// Ids per call: they stand in the URL.
const IDS_PER_CALL: usize = 100;

/// A console, read as it is.
pub(crate) struct Shown {
    client: Client,
    config: Config,
    source: String,
}

impl Shown {
    /// Of an action's configuration.
    pub(crate) fn new(configuration: &Json, environment: &Environment) -> Result<Self> {
        let common = sdk::action::common(configuration.clone(), environment)?;
        let config = Config::read(common.own)?;
        Ok(Self {
            client: client(&config, &common.environment)?,
            source: config.source(&common.environment.installation),
            config,
        })
    }

    /// The blocklist's entries with these ids, in the configuration's places.
    pub(crate) async fn entries(&self, ids: &[&str]) -> Result<Vec<Map<String, Json>>> {
        let mut rows = Vec::new();
        for place in self.config.places()? {
            rows.extend(self.entries_in(Some(&place), ids).await?);
        }
        Ok(rows)
    }

    async fn entries_in<T: serde::de::DeserializeOwned>(
        &self,
        place: Option<&Place>,
        ids: &[&str],
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for ids in ids.chunks(IDS_PER_CALL) {
            let page = |cursor: Option<&str>| restrictions::with_ids(place, ids, cursor);
            rows.extend(all(&self.client, "the blocklist", blocklist::VIEW, page).await?);
        }
        Ok(rows)
    }

    /// Where the blocklist's entries with these ids are; `None` where the configuration says where to look.
    pub(crate) async fn places_of(&self, ids: &[&str]) -> Result<Option<Vec<Place>>> {
        #[derive(serde::Deserialize)]
        struct Row {
            #[serde(default)]
            scope: Option<restrictions::Scope>,
        }
        if self.config.has_scope() {
            return Ok(None);
        }
        // Whether every console lists without a scope is not documented.
        let rows: Vec<Row> = self.entries_in(None, ids).await.map_err(|error| {
            if error.kind() != ErrorKind::Rejected {
                return error;
            }
            Error::config(
                "the console does not look for ids without filter_account_ids or another scope",
            )
            .because(error)
        })?;
        let mut places: Vec<Place> = Vec::new();
        for row in rows {
            let place = row.scope.and_then(restrictions::Scope::place);
            let Some(place) = place else {
                return Err(Error::protocol("a blocklist entry comes without its scope")
                    .hint("name the scope, for instance with filter_account_ids"));
            };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(Some(places))
    }

    /// The indicators of our source that were written since, in the configuration's places.
    pub(crate) async fn indicators_since(
        &self,
        since: DateTime<Utc>,
    ) -> Result<Vec<(Value, Map<String, Json>)>> {
        let mut found = Vec::new();
        for place in self.config.places()? {
            let page =
                |cursor: Option<&str>| iocs::written_since(&place, &self.source, since, cursor);
            let rows: Vec<Map<String, Json>> =
                all(&self.client, "the indicators", ioc::VIEW, page).await?;
            for shown in rows {
                let row = iocs::Row::deserialize(&shown)
                    .map_err(|error| Error::protocol("an indicator that is none").because(error))?;
                let value = row.own_value().or_else(|| row.shown_value());
                if let Some(value) = value
                    && row.is_of(&place)?
                {
                    found.push((value, shown));
                }
            }
        }
        Ok(found)
    }
}
