//! The mechanisms, and which of them a configuration uses on which firewall.

mod address_group;
mod ban;
mod connection;
mod feed;
mod managed_group;
mod manager;
#[cfg(test)]
mod manager_tests;
mod push_feed;
#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod refused_tests;
mod rows;
#[cfg(test)]
mod tests;
mod threat_feed;

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::target::{Capabilities, Target, TargetKey};
use sdk::{Error, Result};
use serde_json::Value as Json;

pub(crate) use address_group::{AddressGroup, CAPABILITIES as ADDRESS_GROUP};
pub(crate) use address_group::{Family, body_of, comment, value_of};
pub(crate) use ban::{Ban, CAPABILITIES as BAN};
pub(crate) use feed::{CAPABILITIES as FEED, PulledFeed};
pub(crate) use push_feed::{CAPABILITIES as PUSH_FEED, PushFeed};

use crate::config::{Config, Endpoint};
pub(crate) use connection::{Connection, Version};
use managed_group::ManagedGroup;
use manager::Manager;

/// The connector's name.
pub(crate) const NAME: &str = "fortinet";

/// One target per firewall, VDOM and mechanism.
pub(crate) fn targets(
    configuration: Json,
    environment: &Environment,
) -> Result<Vec<Arc<dyn Target>>> {
    let config: Config = serde_json::from_value(configuration)
        .map_err(|error| Error::config("the fortinet configuration is not valid").because(error))?;
    let known: Vec<&str> = MECHANISMS.iter().map(|known| known.mechanism).collect();
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
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for endpoint in &config.endpoints()? {
        let device = format!("{}/{}", endpoint.host, endpoint.vdom);
        let connect = || connect(&config, endpoint, environment);
        let place = (endpoint.account.as_str(), device.as_str());
        add_targets(&mut targets, &config, place, connect, environment)?;
        if config.kinds_for(ADDRESS_GROUP.mechanism, false).is_some() {
            targets.push(Arc::new(AddressGroup::new(
                &config,
                connect()?,
                key(place, ADDRESS_GROUP.mechanism),
                environment,
            )));
        }
    }
    if let Some(settings) = &config.fortimanager {
        let manager = Manager::new(&config, settings, environment)?;
        let (_, _, account) = settings.endpoint()?;
        for device in &settings.devices {
            let name = format!("{}/{}/{}", settings.adom, device.name, device.vdom);
            let connect = || Ok(Connection::through(Arc::clone(&manager), device));
            let place = (account.as_str(), name.as_str());
            add_targets(&mut targets, &config, place, connect, environment)?;
        }
        // What the ADOM holds is one for all its firewalls.
        if config.kinds_for(ADDRESS_GROUP.mechanism, false).is_some() {
            let place = (account.as_str(), settings.adom.as_str());
            targets.push(Arc::new(ManagedGroup::new(
                &config,
                settings,
                manager,
                key(place, ADDRESS_GROUP.mechanism),
                environment,
            )?));
        }
    }
    Ok(targets)
}

/// What leases and pauses of a mechanism in a place go by.
pub(crate) fn key((account, device): (&str, &str), mechanism: &'static str) -> TargetKey {
    TargetKey {
        connector: NAME,
        account: account.to_owned(),
        mechanism,
        device: device.to_owned(),
    }
}

/// The mechanisms that are the same on the firewall and through its manager.
fn add_targets(
    targets: &mut Vec<Arc<dyn Target>>,
    config: &Config,
    place: (&str, &str),
    connect: impl Fn() -> Result<Connection>,
    environment: &Environment,
) -> Result<()> {
    if let Some(kinds) = config.kinds_for(PUSH_FEED.mechanism, true) {
        targets.push(Arc::new(PushFeed::new(
            config,
            &kinds,
            connect()?,
            key(place, PUSH_FEED.mechanism),
            environment,
        )));
    }
    if config.kinds_for(BAN.mechanism, false).is_some() {
        targets.push(Arc::new(Ban::new(
            config,
            connect()?,
            key(place, BAN.mechanism),
        )));
    }
    if let Some(kinds) = config.kinds_for(FEED.mechanism, false) {
        targets.push(Arc::new(PulledFeed::new(
            config,
            &kinds,
            connect()?,
            key(place, FEED.mechanism),
        )?));
    }
    Ok(())
}

fn connect(config: &Config, endpoint: &Endpoint, environment: &Environment) -> Result<Connection> {
    Connection::new(config, endpoint, environment)
        .map_err(|error| error.with("firewall", &endpoint.host))
}

/// The static capabilities, the default first.
pub(crate) const MECHANISMS: &[&Capabilities] = &[&PUSH_FEED, &ADDRESS_GROUP, &BAN, &FEED];
