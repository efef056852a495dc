#![doc = include_str!("../README.md")]

mod actions;
mod api;
mod config;
pub mod fake;
mod observable;
mod tally;
mod write;

use std::sync::Arc;

use sdk::connector::{Connector, Environment};
use sdk::target::Target;
use sdk::{Error, Result};
use serde_json::Value as Json;

/// The connector.
pub fn connector() -> Connector {
    Connector {
        name: "sekoia",
        title: "Sekoia",
        mechanisms: &[],
        schema: || schemars::schema_for!(config::Config),
        targets,
        actions: actions::ACTIONS,
        fake: |options| Box::pin(fake::start(options)),
        management_hosts: &["base_url"],
    }
}

fn targets(_: Json, _: &Environment) -> Result<Vec<Arc<dyn Target>>> {
    Err(Error::config("sekoia blocks nothing: it is no target")
        .hint("it is a source of collections, and has actions of its own"))
}
