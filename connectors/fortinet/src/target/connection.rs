//! One firewall and VDOM as it is spoken to, and the gate that keeps a wrong key from locking us out.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::http::header::AUTHORIZATION;
use sdk::connector::Environment;
use sdk::http::{Client, ClientBuilder, Request, Response, StaticHeader};
use sdk::target::{Calls, Finding, Level, Login};
use sdk::{Error, ErrorKind, Result, Retry};
use serde::de::DeserializeOwned;

use super::NAME;
use super::manager::{Counter, Manager};
use crate::api::{self, Page, Status, Usage, Verdict};
use crate::config::{Config, Endpoint, ManagedDevice};

/// What to do about refused keys. `admin-lockout-threshold` wrong ones from one address (3 unless
/// changed) lock that address out, each time for twice as long, right keys included.
const LOCKOUT_HINT: &str = "check the API key and the administrator's trusted hosts; no further try is made with this \
                            key until Cordon starts again, nor by other runs with the same store for 24 hours, because \
                            wrong keys lock this address out of the firewall, each time for twice as long";

const LOCKED_OUT_HINT: &str = "FortiGate answers 429 while it locks an address out after wrong API keys: stop whatever \
                               sends them and wait (60 s, then twice as long each time)";

/// Whether a key was refused by a firewall. One request at a time goes through it: of several that are under way
/// when a key is revoked each would be another wrong one.
type Gate = Arc<tokio::sync::Mutex<bool>>;

/// Gates by firewall and key, one for the whole process, so that no second VDOM, mechanism or run sends
/// a key that was refused. A changed key is a new gate.
static GATES: LazyLock<Mutex<HashMap<String, Gate>>> = LazyLock::new(Mutex::default);

/// As a new process does, which knows no key of this firewall.
#[cfg(test)]
pub(super) fn forget_keys(account: &str) {
    let mut gates = GATES.lock().unwrap();
    gates.retain(|key, _| !key.starts_with(account));
}

fn gate(endpoint: &Endpoint) -> Gate {
    let key = blake3::hash(endpoint.key.expose().as_bytes()).to_hex();
    let mut gates = GATES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(
        gates
            .entry(format!("{} {key}", endpoint.account))
            .or_default(),
    )
}

/// How a firewall is reached.
enum Way {
    /// By its own REST API.
    Direct {
        client: Client,
        gate: Gate,
        login: Login,
    },
    /// Through the manager that manages it, under its name there.
    Managed {
        manager: Arc<Manager>,
        device: String,
        counter: Counter,
    },
}

/// A firewall and VDOM.
pub(crate) struct Connection {
    way: Way,
    pub(crate) vdom: String,
    pub(crate) host: String,
}

/// Firmware version.
pub(crate) type Version = (u32, u32, u32);

impl Connection {
    pub(crate) fn new(
        config: &Config,
        endpoint: &Endpoint,
        environment: &Environment,
    ) -> Result<Self> {
        let auth = StaticHeader::new(AUTHORIZATION, "Bearer ", &endpoint.key)?;
        let client = ClientBuilder::new(&endpoint.base, environment)?
            .auth(Arc::new(auth))
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone())
            .build()?;
        Ok(Self {
            way: Way::Direct {
                client,
                gate: gate(endpoint),
                login: Login::new(NAME, &endpoint.account, "", &endpoint.key),
            },
            vdom: endpoint.vdom.clone(),
            host: endpoint.host.clone(),
        })
    }

    /// The same through a manager.
    pub(crate) fn through(manager: Arc<Manager>, device: &ManagedDevice) -> Self {
        Self {
            vdom: device.vdom.clone(),
            host: device.name.clone(),
            way: Way::Managed {
                manager,
                device: device.name.clone(),
                counter: Counter::default(),
            },
        }
    }

    /// What the firewall, or its manager, is logged in to with.
    pub(crate) fn login(&self) -> Login {
        match &self.way {
            Way::Direct { login, .. } => login.clone(),
            Way::Managed { manager, .. } => manager.login(),
        }
    }

    pub(crate) fn calls(&self) -> Calls {
        match &self.way {
            Way::Direct { client, .. } => client.calls(),
            Way::Managed { counter, .. } => counter.calls(),
        }
    }

    /// Ends what was opened for it at a manager; a firewall itself keeps no session.
    pub(crate) async fn close(&self) {
        if let Way::Managed {
            manager, counter, ..
        } = &self.way
        {
            manager.log_out(counter).await;
        }
    }

    /// The clock that waiting goes by.
    pub(crate) fn clock(&self) -> &sdk::Clock {
        match &self.way {
            Way::Direct { client, .. } => client.clock(),
            Way::Managed { manager, .. } => manager.clock(),
        }
    }

    /// The clock of whoever answers: of the firewall, or of its manager.
    pub(crate) fn vendor_time(&self) -> chrono::DateTime<chrono::Utc> {
        match &self.way {
            Way::Direct { client, .. } => {
                client.vendor_time().unwrap_or_else(|| client.clock().now())
            }
            Way::Managed { manager, .. } => manager.vendor_time(),
        }
    }

    /// Sends a request. Any answer but 401 comes back.
    pub(crate) async fn send(&self, request: Request) -> Result<Response> {
        let (client, gate) = match &self.way {
            Way::Direct { client, gate, .. } => (client, gate),
            Way::Managed {
                manager,
                device,
                counter,
            } => return manager.send(counter, &request, device).await,
        };
        let mut refused = gate.lock().await;
        if *refused {
            return Err(self
                .refused("the API key was refused before; it is not tried again")
                .retry(Retry::GaveUp));
        }
        let response = client.send(request).await.map_err(explain)?;
        if response.status.as_u16() == 401 {
            *refused = true;
            return Err(self.refused("the API key was refused"));
        }
        Ok(response)
    }

    fn refused(&self, message: &str) -> Error {
        Error::new(ErrorKind::Auth, message)
            .with("firewall", &self.host)
            .hint(LOCKOUT_HINT)
    }

    /// Reads one page.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        request: Request,
        what: &str,
    ) -> Result<Page<T>> {
        Page::read(&self.send(request).await?, what)
    }

    /// Writes, and says what it came to.
    pub(crate) async fn write(&self, request: Request, what: &str) -> Verdict {
        match self.send(request).await {
            Ok(response) => api::judge(&response, what),
            Err(error) if error.is_fate_unknown() => Verdict::Unknown(error),
            Err(error) => Verdict::Failed(error),
        }
    }

    /// Version and clock.
    pub(crate) async fn status(
        &self,
    ) -> Result<(String, Version, Option<chrono::DateTime<chrono::Utc>>)> {
        let answer = self.send(api::status(&self.vdom)).await;
        let answer = answer.and_then(|response| {
            if response.status.is_success() {
                Ok(response)
            } else {
                Err(api::refusal(&response, "system status").with("vdom", &self.vdom))
            }
        });
        let response = match (answer, &self.way) {
            (
                Err(error),
                Way::Managed {
                    manager,
                    device,
                    counter,
                },
            ) => {
                let vdom = &self.vdom;
                return Err(manager.explained(counter, device, vdom, error).await);
            }
            (answer, _) => answer?,
        };
        let status: Status = response.json("system status")?;
        let version = parse_version(&status.version).ok_or_else(|| {
            Error::protocol("system status: no version that we can read")
                .with("version", &status.version)
        })?;
        Ok((status.version, version, response.date()))
    }

    /// For `check`: whether a policy or profile refers to an object.
    pub(crate) async fn usage(
        &self,
        path: &str,
        table: &str,
        name: &str,
        hint: &str,
    ) -> Result<Finding> {
        let response = self.send(api::usage(&self.vdom, path, table, name)).await?;
        let users = Page::<Usage>::read(&response, "object usage")
            .ok()
            .and_then(|page| page.results.currently_using);
        let (level, message, hint) = match users {
            Some(users) if !users.is_empty() => (Level::Ok, format!("{name} is in use"), None),
            Some(_) => (
                Level::Warning,
                format!("nothing refers to {name}: it blocks nothing yet"),
                Some(hint.to_owned()),
            ),
            None => (
                Level::Warning,
                format!("the firewall does not tell whether anything refers to {name}"),
                Some(hint.to_owned()),
            ),
        };
        Ok(Finding {
            level,
            subject: "policy".into(),
            message,
            hint,
        })
    }
}

/// A locked-out address looks like a rate limit.
fn explain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::RateLimited => error.hint(LOCKED_OUT_HINT),
        _ => error,
    }
}

/// Names the access group that a refusal is about.
pub(crate) fn name_right(error: Error, group: &'static str, access: &'static str) -> Error {
    if error.kind() != ErrorKind::Denied {
        return error;
    }
    error.with("access group", group).hint(format!(
        "give the API administrator's profile {access} access to {group}, and the VDOM"
    ))
}

/// For `check`: a right that is missing is a finding, any other error stays one.
pub(crate) fn missing_right(error: Error, subject: &'static str) -> Result<Vec<Finding>> {
    if error.kind() != ErrorKind::Denied {
        return Err(error);
    }
    Ok(vec![Finding {
        level: Level::Missing,
        subject: subject.into(),
        message: error.to_string(),
        hint: error.hint_text().map(str::to_owned),
    }])
}

/// Reads `v7.4.8` and its like.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.trim_start_matches('v').split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    Some((
        parts.next()??,
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("v7.2.5"), Some((7, 2, 5)));
        assert_eq!(parse_version("v7.4.10,build2795"), Some((7, 4, 10)));
        assert_eq!(parse_version("unknown"), None);
    }
}
