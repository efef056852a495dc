#![doc = include_str!("../README.md")]

mod api;
mod config;
mod drop_in;
pub mod fake;
mod target;
mod xdr;

use sdk::connector::Connector;

/// Palo Alto Networks: PAN-OS firewalls and Cortex XDR.
pub fn connector() -> Connector {
    Connector {
        name: target::NAME,
        title: "Palo Alto Networks PAN-OS and Cortex XDR",
        mechanisms: target::MECHANISMS.as_slice(),
        schema: || schemars::schema_for!(config::Config),
        targets: target::targets,
        fake: |options| Box::pin(fake::start(options)),
        actions: drop_in::ACTIONS,
        management_hosts: &["hostname", "fqdn"],
    }
}
