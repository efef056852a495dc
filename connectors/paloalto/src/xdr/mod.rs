//! Cortex XDR: the hash block list, which prevents, and IOC rules, which detect.

mod api;
mod auth;
mod blocklist;
mod ioc;
mod rule;
mod tenant;

use std::sync::Arc;

use sdk::connector::Environment;
use sdk::target::{Capabilities, Target};
use sdk::{Error, Result};

use crate::config::Config;

/// The mechanisms of Cortex XDR.
pub(crate) const MECHANISMS: &[&Capabilities] = &[&blocklist::CAPABILITIES, &ioc::CAPABILITIES];

/// One target per mechanism that `config` names.
pub(crate) fn targets(config: &Config, environment: &Environment) -> Result<Vec<Arc<dyn Target>>> {
    let severity = ioc::severity(config.severity.as_deref())?;
    let mut targets: Vec<Arc<dyn Target>> = Vec::new();
    for mechanism in MECHANISMS {
        if config.kinds_for(mechanism.mechanism, false).is_none() {
            continue;
        }
        let tenant = tenant::Tenant::new(config, environment)?;
        if mechanism.mechanism == ioc::CAPABILITIES.mechanism {
            targets.push(Arc::new(ioc::Iocs::new(
                tenant,
                severity,
                &environment.installation,
            )));
        } else {
            targets.push(Arc::new(blocklist::Blocklist::new(
                tenant,
                config.incident_id,
                &environment.installation,
            )));
        }
    }
    if targets.is_empty() {
        return Err(Error::config("`mechanism` names nothing of Cortex XDR"));
    }
    Ok(targets)
}
