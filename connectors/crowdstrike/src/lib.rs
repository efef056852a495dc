#![doc = include_str!("../README.md")]

mod api;
mod auth;
mod config;
mod drop_in;
pub mod fake;
mod target;
mod write;

use std::sync::Arc;

use sdk::Result;
use sdk::connector::{Connector, Environment};
use sdk::target::Target;
use serde_json::Value as Json;

/// The connector.
pub fn connector() -> Connector {
    Connector {
        name: "crowdstrike",
        title: "CrowdStrike Falcon",
        mechanisms: target::MECHANISMS,
        schema: || schemars::schema_for!(config::Config),
        targets,
        fake: |options| Box::pin(fake::start(options)),
        actions: drop_in::ACTIONS,
        management_hosts: &["base_url"],
    }
}

fn targets(json: Json, environment: &Environment) -> Result<Vec<Arc<dyn Target>>> {
    let config = config::Config::read(json)?;
    Ok(vec![Arc::new(target::Falcon::new(config, environment)?)])
}
