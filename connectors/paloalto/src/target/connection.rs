//! One device as it is spoken to: the key, the virtual system, and a firewall behind Panorama.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use sdk::connector::Environment;
use sdk::http::{Authenticate, Client, ClientBuilder, Request};
use sdk::target::{Calls, Facts, Finding, Level};
use sdk::{Error, ErrorKind, Result, Secret, async_trait};
use tokio::sync::{Mutex, Semaphore};

use crate::api::{self, Answer, Place};
use crate::config::{Config, Device};

static KEY_HEADER: LazyLock<HeaderName> = LazyLock::new(|| HeaderName::from_static("x-pan-key"));

/// Version: major, minor, maintenance.
pub(crate) type Version = (u32, u32, u32);

/// A device.
pub(crate) struct Connection {
    access: Arc<Access>,
    pub(crate) client: Client,
    pub(crate) place: Place,
    pub(crate) device: Device,
}

/// What `show system info` tells.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) version_text: String,
    pub(crate) version: Version,
    pub(crate) model: String,
    pub(crate) time: Option<DateTime<Utc>>,
}

impl Connection {
    pub(crate) fn new(
        config: &Config,
        device: &Device,
        access: Arc<Access>,
        environment: &Environment,
    ) -> Result<Self> {
        let client = ClientBuilder::new(&device.base, environment)?
            .auth(Arc::clone(&access.key) as Arc<dyn Authenticate>)
            .disposition(api::disposition)
            .timeout(Duration::from_secs(120))
            .ca_file(config.ca_file.clone())
            .ca_pem(config.ca_pem.clone())
            .tls_fingerprint(config.tls_fingerprint.clone())
            .build()?;
        Ok(Self {
            access,
            client,
            place: Place {
                vsys: device.vsys.clone(),
                serial: device.serial.clone(),
            },
            device: device.clone(),
        })
    }

    pub(crate) fn calls(&self) -> Calls {
        self.client.calls()
    }

    /// Sends a call. What the device says to it comes back, refusals too.
    pub(crate) async fn ask(&self, request: Request, what: &str) -> Result<Answer> {
        let told = |error: Error| match &self.device.serial {
            Some(serial) => error.with("device", format!("{} behind {}", serial, self.device.host)),
            None => error.with("device", &self.device.host),
        };
        // Never closed, so there is always one to wait for.
        let _turn = self.access.turns.acquire().await;
        let response = self.client.send(request).await.map_err(told)?;
        Answer::read(&response, what).map_err(told)
    }

    /// Sends a call that must succeed.
    pub(crate) async fn get(&self, request: Request, what: &str) -> Result<Answer> {
        self.ask(request, what).await?.ok(what)
    }

    /// An operational command that changes nothing.
    pub(crate) async fn show(&self, command: impl Into<String>, what: &str) -> Result<Answer> {
        self.get(api::show(&self.place, command), what).await
    }

    /// Version, model and clock. Panorama itself is refused: what is written to it reaches no firewall by itself.
    pub(crate) async fn system(&self) -> Result<System> {
        let answer = self
            .show(
                "<show><system><info></info></system></show>",
                "system information",
            )
            .await?;
        let field = |name: &str| {
            answer
                .root
                .text_at(&["result", "system", name])
                .unwrap_or_default()
                .to_owned()
        };
        let version_text = field("sw-version");
        let version = parse_version(&version_text).ok_or_else(|| {
            Error::protocol("system information: no version that we can read")
                .with("version", &version_text)
        })?;
        let model = field("model");
        let is_panorama =
            model.eq_ignore_ascii_case("panorama") || model.to_ascii_lowercase().starts_with("m-");
        if is_panorama {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} is a Panorama, which blocks nothing itself",
                    self.device.host
                ),
            )
            .hint("set `target` to the serial numbers of the firewalls behind it"));
        }
        Ok(System {
            version_text,
            version,
            model,
            time: self.client.vendor_time(),
        })
    }

    /// The same, refused below a version.
    pub(crate) async fn system_from(&self, least: Version, mechanism: &str) -> Result<System> {
        let system = self.system().await?;
        if system.version < least {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{mechanism} needs PAN-OS {}.{}, and {} has {}",
                    least.0, least.1, self.device.host, system.version_text
                ),
            )
            .hint("update the device, or choose another mechanism"));
        }
        Ok(system)
    }

    /// Findings that every mechanism has: version, high availability.
    pub(crate) async fn examine(&self, facts: &Facts) -> Result<Vec<Finding>> {
        let mut findings = vec![Finding {
            level: Level::Ok,
            subject: "access".into(),
            message: format!(
                "PAN-OS {} answers for {}",
                facts.version.as_deref().unwrap_or("of an unknown version"),
                self.device.vsys
            ),
            hint: None,
        }];
        let command = "<show><high-availability><state></state></high-availability></show>";
        let answer = self
            .ask(api::show(&self.place, command), "high availability")
            .await?;
        let state = answer
            .root
            .text_at(&["result", "group", "local-info", "state"])
            .unwrap_or_default();
        findings.push(match state {
            "" | "active" | "active-primary" | "active-secondary" => Finding {
                level: Level::Ok,
                subject: "high availability".into(),
                message: if state.is_empty() {
                    "not in a pair".to_owned()
                } else {
                    format!("{state} in its pair")
                },
                hint: None,
            },
            other => Finding {
                level: Level::Warning,
                subject: "high availability".into(),
                message: format!("this device is {other} in its pair and may refuse changes"),
                hint: Some("name the active device, or both as targets of their own".to_owned()),
            },
        });
        Ok(findings)
    }
}

/// `10.2.9-h1` and the like.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split(['.', '-']).map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    Some((
        parts.next()??,
        parts.next()??,
        parts.next().flatten().unwrap_or(0),
    ))
}

/// Most calls to one device at once. The vendor asks to stay at five, everybody's counted.
const AT_ONCE: usize = 3;

/// What all targets of a configuration share: the key, and turns to call.
pub(crate) struct Access {
    key: Arc<Key>,
    turns: Semaphore,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        Ok(Self {
            key: Arc::new(Key::new(config)?),
            turns: Semaphore::new(AT_ONCE),
        })
    }
}

/// The API key: given, or made once from name and password. Making one may end the one before it, so it is made again
/// only when the device refused it.
struct Key {
    login: Option<(String, Secret)>,
    held: Mutex<Held>,
}

struct Held {
    key: Option<HeaderValue>,
    /// Whether name and password were refused: they are not tried again, because that may lock the administrator out.
    refused: bool,
}

impl Key {
    fn new(config: &Config) -> Result<Self> {
        let given = config.api_key.as_ref().filter(|key| !key.is_empty());
        let login = match (given, &config.username, &config.password) {
            (Some(_), ..) => None,
            (None, Some(username), Some(password)) if !password.is_empty() => {
                Some((username.clone(), password.clone()))
            }
            _ => {
                return Err(Error::config("`api_key` is missing")
                    .hint("set it, or `username` and `password`"));
            }
        };
        Ok(Self {
            login,
            held: Mutex::new(Held {
                key: given.map(header).transpose()?,
                refused: false,
            }),
        })
    }
}

fn header(key: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(key.expose())
        .map_err(|_| Error::config("the API key holds characters that no HTTP header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[async_trait]
impl Authenticate for Key {
    async fn headers(&self, client: &Client) -> Result<HeaderMap> {
        let mut held = self.held.lock().await;
        if held.key.is_none() {
            let Some((username, password)) = &self.login else {
                return Ok(HeaderMap::new());
            };
            let wrong = || {
                Error::new(ErrorKind::Auth, "the device refused name and password")
                    .hint("check `username`, `password`, and the administrator's role")
            };
            if held.refused {
                return Err(wrong());
            }
            let response = client
                .send(api::keygen(username, password.expose()))
                .await?;
            let answer = match Answer::read(&response, "key generation") {
                Err(error) if error.kind() == ErrorKind::Auth => {
                    held.refused = true;
                    return Err(wrong());
                }
                answer => answer?.ok("key generation")?,
            };
            let key = answer
                .root
                .text_at(&["result", "key"])
                .ok_or_else(|| Error::protocol("key generation: no key in the answer"))?;
            held.key = Some(header(&Secret::new(key))?);
        }
        Ok(held
            .key
            .iter()
            .map(|key| (KEY_HEADER.clone(), key.clone()))
            .collect())
    }

    async fn refused(&self) -> bool {
        let mut held = self.held.lock().await;
        let again = self.login.is_some() && !held.refused && held.key.is_some();
        if again {
            held.key = None;
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("10.2.9-h1"), Some((10, 2, 9)));
        assert_eq!(parse_version("9.1.0"), Some((9, 1, 0)));
        assert_eq!(parse_version("11.1"), Some((11, 1, 0)));
        assert_eq!(parse_version("unknown"), None);
    }
}
