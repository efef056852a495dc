#![doc = include_str!("../README.md")]

mod api;
mod config;
mod drop_in;
pub mod fake;
mod target;

use sdk::connector::Connector;

/// Fortinet FortiGate.
pub fn connector() -> Connector {
    Connector {
        name: target::NAME,
        title: "Fortinet FortiGate",
        mechanisms: target::MECHANISMS,
        schema: || schemars::schema_for!(config::Config),
        targets: target::targets,
        fake: |options| Box::pin(fake::start(options)),
        actions: drop_in::ACTIONS,
        management_hosts: &["firewalls.base_ip", "fortimanager.url"],
    }
}
