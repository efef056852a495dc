#![doc = include_str!("../README.md")]

mod api;
mod auth;
mod config;
mod drop_in;
mod entry;
pub mod fake;
mod target;

use sdk::connector::Connector;

/// Zscaler Internet Access.
pub fn connector() -> Connector {
    Connector {
        name: "zscaler",
        title: "Zscaler Internet Access",
        mechanisms: target::MECHANISMS,
        schema: || schemars::schema_for!(config::Config),
        targets: target::targets,
        fake: |options| Box::pin(fake::start(options)),
        actions: drop_in::ACTIONS,
        management_hosts: &["base_url", "vanity_domain"],
    }
}
