#![doc = include_str!("../README.md")]

pub mod action;
pub mod clock;
pub mod collection;
pub mod connector;
pub mod error;
pub mod fake;
pub mod feed;
pub mod http;
pub mod indicator;
pub mod ownership;
pub mod plan;
pub mod report;
pub mod secret;
pub mod stix;
pub mod store;
pub mod sync;
pub mod target;
#[cfg(feature = "testing")]
pub mod testing;

pub use async_trait::async_trait;
pub use clock::Clock;
pub use error::{Error, ErrorKind, Result, Retry};
pub use secret::Secret;
