//! The two mechanisms, and what they share: one client, one session, one activation.

mod category;
mod denylist;
mod outcome;
mod packing;
mod shards;
mod tenant;

use std::sync::Arc;
use std::time::Duration;

use sdk::connector::{Environment, MechanismChoice};
use sdk::http::ClientBuilder;
use sdk::target::{Capabilities, KindSupport, Target, TargetKey};
use sdk::{Error, Result};
use serde_json::Value as Json;

use crate::auth::{Login, Session, Token};
use crate::config::{Config, Credentials};
use tenant::Tenant;

pub(crate) static MECHANISMS: &[&Capabilities] =
    &[&category::CAPABILITIES, &denylist::CAPABILITIES];

const fn support(kind: sdk::indicator::Kind, networks: bool) -> KindSupport {
    KindSupport {
        kind,
        effect: sdk::target::Effect::Prevent,
        networks,
        // An entry covers everything right of its text, so a name covers the URLs on it. Names below a
        // name are not covered without a leading dot.
        matches_below: true,
    }
}

/// One target for each mechanism that the configuration names.
pub(crate) fn targets(json: Json, environment: &Environment) -> Result<Vec<Arc<dyn Target>>> {
    let config = Arc::new(Config::read(json)?);
    let tenant = Arc::new(connect(&config, environment)?);
    let is_used = |(place, name): (usize, &str)| {
        MechanismChoice::kinds_for(config.mechanism.as_ref(), name, place == 0).is_some()
    };
    let names: Vec<&str> = MECHANISMS
        .iter()
        .map(|known| known.mechanism)
        .enumerate()
        .filter(|known| is_used(*known))
        .map(|(_, name)| name)
        .collect();
    Ok(names
        .into_iter()
        .map(|name| -> Arc<dyn Target> {
            let (config, tenant) = (Arc::clone(&config), Arc::clone(&tenant));
            if name == category::CAPABILITIES.mechanism {
                Arc::new(category::UrlCategory::new(config, tenant, environment))
            } else {
                Arc::new(denylist::DenyList::new(&config, tenant))
            }
        })
        .collect())
}

fn connect(config: &Config, environment: &Environment) -> Result<Tenant> {
    let credentials = config.credentials()?;
    let base = config.base(&credentials);
    let builder = |url: &str, pinned: bool| -> Result<ClientBuilder> {
        Ok(ClientBuilder::new(url, environment)?
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone().filter(|_| pinned))
            .disposition(crate::api::disposition))
    };
    let (login, account) = match credentials {
        Credentials::Legacy {
            username,
            password,
            api_key,
        } => {
            let account = username.to_lowercase();
            let session = Session::new(username, password, api_key);
            (Login::Legacy(Arc::new(session)), account)
        }
        Credentials::OneApi {
            client_id,
            proof,
            login,
        } => {
            // The pin is the API host's; where both are one host it holds for both.
            let same = origin(&login) == origin(&base);
            let client = builder(&login, same)?.build()?;
            let account = origin(&login).to_owned();
            let token = Token::new(client, client_id, proof)?;
            (Login::OneApi(Arc::new(token)), account)
        }
    };
    let client = builder(&base, true)?
        .auth(Arc::new(login.clone()))
        .windows(crate::api::RATE)
        .build()?;
    // No time for a second try.
    let closer = builder(&base, true)?.deadline(Duration::ZERO).build()?;
    let host = origin(&base).to_owned();
    Ok(Tenant::new(
        client,
        closer,
        login,
        config.activate,
        format!("{host}/{account}"),
    ))
}

/// Host and port of a URL.
fn origin(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn key(tenant: &Tenant, mechanism: &'static str, device: String) -> TargetKey {
    TargetKey {
        connector: tenant::CONNECTOR,
        account: tenant.account.clone(),
        mechanism,
        device,
    }
}

/// What no executor sends: nothing here has a note or an end that could change.
fn nothing_to_update() -> Error {
    Error::internal("an entry of a Zscaler list has nothing that could be updated")
}
