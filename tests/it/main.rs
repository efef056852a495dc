//! The operator as its users meet it: the real binary, fake vendors on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "helpers of tests may do what tests may, and these run by the real clock"
)]

mod actions;
mod architecture;
mod cli;
mod config_errors;
mod demo;
mod dialects;
mod drop_in;
mod end_to_end;
mod fortigate;
mod hostile;
mod image;
mod ioc_collection;
mod manifests;
mod mcp;
mod mechanisms;
mod readme;
mod real_data;
mod sekoia;
mod signals;
mod sources;
mod support;
mod webhook;
