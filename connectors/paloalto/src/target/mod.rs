//! The mechanisms, and which of them a configuration uses.

mod connection;
mod edl;
mod job;
mod objects;
mod rules;
mod tags;

use std::sync::{Arc, LazyLock};

use sdk::connector::Environment;
use sdk::target::{Capabilities, Outcome, Target, TargetKey};
use sdk::{Error, ErrorKind, Result};
use serde_json::Value as Json;

use crate::config::{Config, Device};
use crate::xdr;
use connection::{Access, Connection};
use edl::Edl;
use objects::Objects;
use tags::Tags;

/// The connector's name.
pub(crate) const NAME: &str = "paloalto";

/// The mechanisms of PAN-OS, the default first.
const PAN_OS: &[&Capabilities] = &[
    &tags::CAPABILITIES,
    &edl::CAPABILITIES,
    &objects::CAPABILITIES,
];

/// All mechanisms, the default first.
pub(crate) static MECHANISMS: LazyLock<Vec<&'static Capabilities>> =
    LazyLock::new(|| [PAN_OS, xdr::MECHANISMS].concat());

/// One target per device and mechanism.
pub(crate) fn targets(
    configuration: Json,
    environment: &Environment,
) -> Result<Vec<Arc<dyn Target>>> {
    let config = Config::read(configuration)?;
    let names: Vec<&str> = MECHANISMS.iter().map(|it| it.mechanism).collect();
    let wanted = config.mechanisms();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(
            Error::config(format!("`mechanism` {unknown:?} is not one of paloalto's"))
                .hint(format!("one of {}", names.join(", "))),
        );
    }
    let of_xdr = |name: &&str| xdr::MECHANISMS.iter().any(|it| it.mechanism == *name);
    match wanted.iter().filter(|name| of_xdr(name)).count() {
        0 => pan_os(&config, environment),
        count if count == wanted.len() => xdr::targets(&config, environment),
        _ => Err(Error::config(
            "`mechanism` mixes PAN-OS and Cortex XDR, which have different keys",
        )
        .hint("make two targets of it, one for each product")),
    }
}

fn pan_os(config: &Config, environment: &Environment) -> Result<Vec<Arc<dyn Target>>> {
    let firewalls = config.firewalls()?;
    let groups = config.groups()?;
    let access = Arc::new(Access::new(config)?);
    let connect = |device: &Device| {
        Connection::new(config, device, Arc::clone(&access), environment)
            .map_err(|error| error.with("device", device.name()))
    };
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for device in &firewalls {
        if config
            .kinds_for(tags::CAPABILITIES.mechanism, true)
            .is_some()
        {
            let key = target_key(device, tags::CAPABILITIES.mechanism);
            targets.push(Arc::new(Tags::new(config, connect(device)?, key)));
        }
        if let Some(kinds) = config.kinds_for(edl::CAPABILITIES.mechanism, false) {
            let key = target_key(device, edl::CAPABILITIES.mechanism);
            targets.push(Arc::new(Edl::new(config, &kinds, connect(device)?, key)?));
        }
    }
    if config
        .kinds_for(objects::CAPABILITIES.mechanism, false)
        .is_some()
    {
        // What a device group holds reaches its firewalls from Panorama, and not from us.
        let devices = if groups.is_empty() { firewalls } else { groups };
        for device in &devices {
            let key = target_key(device, objects::CAPABILITIES.mechanism);
            targets.push(Arc::new(Objects::new(config, connect(device)?, key)?));
        }
    }
    Ok(targets)
}

fn target_key(device: &Device, mechanism: &'static str) -> TargetKey {
    TargetKey {
        connector: NAME,
        account: device.account.clone(),
        mechanism,
        device: device.name(),
    }
}

/// What became of a row whose whole call failed: a refusal of the whole message is looked into by halves, everything
/// else concerns all rows alike.
fn outcome_of(error: &Error) -> Outcome {
    let again = |kind| {
        let copy = Error::new(kind, error.to_string()).retry(error.retry_status());
        match error.hint_text() {
            Some(hint) => copy.hint(hint),
            None => copy,
        }
    };
    match error.kind() {
        kind if error.is_fate_unknown() => Outcome::Unknown(again(kind).unknown_fate()),
        ErrorKind::Rejected | ErrorKind::NotFound => Outcome::NotApplied(error.to_string()),
        kind => Outcome::Failed(again(kind)),
    }
}
