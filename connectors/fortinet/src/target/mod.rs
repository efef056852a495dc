//! The mechanisms, and which of them a configuration uses on which firewall.

mod address_group;
mod connection;
mod push_feed;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::target::{Capabilities, Target, TargetKey};
use sdk::{Error, Result};
use serde_json::Value as Json;

pub(crate) use address_group::Family;
pub(crate) use address_group::{AddressGroup, CAPABILITIES as ADDRESS_GROUP};
pub(crate) use push_feed::{CAPABILITIES as PUSH_FEED, PushFeed};

use crate::config::{Config, Endpoint};
use connection::Connection;

/// The connector's name.
pub(crate) const NAME: &str = "fortinet";

/// One target per firewall, VDOM and mechanism.
pub(crate) fn targets(
    configuration: Json,
    environment: &Environment,
) -> Result<Vec<Arc<dyn Target>>> {
    let config: Config = serde_json::from_value(configuration)
        .map_err(|error| Error::config("the fortinet configuration is not valid").because(error))?;
    let known = [PUSH_FEED.mechanism, ADDRESS_GROUP.mechanism];
    if let Some(unknown) = config
        .mechanisms()
        .into_iter()
        .find(|name| !known.contains(name))
    {
        return Err(
            Error::config(format!("`mechanism` {unknown:?} is not one of fortinet's"))
                .hint(format!("one of {}", known.join(", "))),
        );
    }
    let endpoints = config.endpoints()?;
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for endpoint in &endpoints {
        let key = |mechanism: &'static str| TargetKey {
            connector: NAME,
            account: endpoint.account.clone(),
            mechanism,
            device: format!("{}/{}", endpoint.host, endpoint.vdom),
        };
        if let Some(kinds) = config.kinds_for(PUSH_FEED.mechanism, true) {
            targets.push(Arc::new(PushFeed::new(
                &config,
                &kinds,
                connect(&config, endpoint, environment)?,
                key(PUSH_FEED.mechanism),
                environment,
            )));
        }
        if config.kinds_for(ADDRESS_GROUP.mechanism, false).is_some() {
            targets.push(Arc::new(AddressGroup::new(
                &config,
                connect(&config, endpoint, environment)?,
                key(ADDRESS_GROUP.mechanism),
                environment,
            )));
        }
    }
    Ok(targets)
}

fn connect(config: &Config, endpoint: &Endpoint, environment: &Environment) -> Result<Connection> {
    Connection::new(config, endpoint, environment)
        .map_err(|error| error.with("firewall", &endpoint.host))
}

/// The static capabilities, the default first.
pub(crate) const MECHANISMS: &[&Capabilities] = &[&PUSH_FEED, &ADDRESS_GROUP];
