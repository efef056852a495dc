//! The kit for fake vendors: a loopback server with TLS from a generated CA, scripted faults, a clock
//! that can be moved, switches for what is unknown about the real vendor, and a call log. A fake is
//! written from the vendor file, reads and writes raw JSON or XML, and shares no type with the client.

mod faults;
mod server;
mod switches;

pub use faults::{Fault, FaultAction, Faults};
pub use server::{Call, CallLog, Server, Transport};
pub use switches::{Switch, Switches};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::indicator::Value;

/// How to start a fake.
#[derive(Clone, Debug)]
pub struct FakeOptions {
    /// Its clock; tests share one with the client.
    pub clock: Clock,
    /// TLS with a generated CA, or plain http on loopback.
    pub transport: Transport,
    /// Port on 127.0.0.1; 0 picks one.
    pub port: u16,
    /// Positions of its switches; those not named stand at their default.
    pub switches: Switches,
    /// Anything else a vendor's fake takes (capacity, version profile, several devices …), by name. An
    /// unknown name is an error.
    pub settings: BTreeMap<String, Json>,
}

impl FakeOptions {
    /// Plain http, any port, default switches: what most tests want.
    pub fn plain(clock: Clock) -> Self {
        Self {
            clock,
            transport: Transport::Http,
            port: 0,
            switches: Switches::default(),
            settings: BTreeMap::new(),
        }
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Refuses switches and settings that the fake does not have; a fake calls it first.
    pub fn check(&self, switches: &[Switch], settings: &[&str]) -> Result<()> {
        self.switches.check(switches)?;
        match self
            .settings
            .keys()
            .find(|name| !settings.contains(&name.as_str()))
        {
            None => Ok(()),
            Some(name) => Err(Error::input(format!("the fake has no setting {name:?}"))
                .hint(format!("its settings: {}", settings.join(", ")))),
        }
    }

    /// A setting, or the default where it is absent. An error if it is of another type.
    pub fn setting<T: serde::de::DeserializeOwned>(&self, name: &str, default: T) -> Result<T> {
        match self.settings.get(name) {
            None => Ok(default),
            Some(value) => serde_json::from_value(value.clone()).map_err(|error| {
                Error::input(format!("setting {name:?} of the fake")).because(error)
            }),
        }
    }
}

/// A running fake vendor. Stops when dropped.
pub struct Fake {
    /// The server.
    pub server: Server,
    /// A configuration (credentials included) with which the connector reaches this fake, for the default
    /// mechanism. Tests add `mechanism`.
    pub configuration: Json,
    /// What only the vendor itself could tell.
    pub state: Arc<dyn FakeState>,
}

/// The vendor's side of the story: what tests check and disturb. Values are parsed from what the fake
/// stores, by the fake's own code.
pub trait FakeState: Send + Sync {
    /// The switches there are, each with its positions.
    fn switches(&self) -> Vec<Switch>;

    /// What the device acts on now, as its administrator would see it: every entry that blocks or detects,
    /// whoever made it, after expiry at the fake's clock, for one mechanism.
    fn enforced(&self, mechanism: &str) -> Vec<FakeEntry>;

    /// An administrator makes an entry by hand, in the place where `mechanism` keeps its own; `false` if
    /// the product cannot hold it there.
    fn add_foreign(&self, mechanism: &str, value: &Value) -> bool;

    /// An administrator removes an entry by hand, whoever made it; `false` if it is not there.
    fn remove(&self, mechanism: &str, value: &Value) -> bool;

    /// Ends all sessions and tokens.
    fn expire_sessions(&self);

    /// Sets how many entries fit in all.
    fn set_capacity(&self, capacity: usize);

    /// How long after a write the product's searches may not show it, at the switches chosen. Whoever
    /// judges what a client made of the product waits so long first.
    fn settle_time(&self) -> Duration {
        Duration::ZERO
    }

    /// The device loses power and starts again. What is not persistent is lost.
    fn reboot(&self) {}
}

/// One entry as the vendor's administrator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeEntry {
    /// Its value.
    pub value: Value,
    /// Whether a person made it.
    pub foreign: bool,
    /// Every text field of it joined, for looking for marks and secrets.
    pub text: String,
}
