//! One device as it is spoken to: the key, the virtual system, and a firewall behind Panorama.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use sdk::connector::Environment;
use sdk::http::{Authenticate, Client, ClientBuilder, Request, Response};
use sdk::target::{Calls, Facts, Finding, Level};
use sdk::{Error, ErrorKind, Result, Secret, async_trait};
use tokio::sync::{Mutex, Semaphore};

use crate::api::{self, Answer, Part, Place};
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
            place: device.place.clone(),
            device: device.clone(),
        })
    }

    pub(crate) fn calls(&self) -> Calls {
        self.client.calls()
    }

    async fn exchange(&self, request: Request) -> Result<Response> {
        // Never closed, so there is always one to wait for.
        let _turn = self.access.turns.acquire().await;
        self.client
            .send(request)
            .await
            .map_err(|error| self.told(error))
    }

    /// Says of which device an error is.
    fn told(&self, error: Error) -> Error {
        match &self.place.serial {
            Some(serial) => error.with("device", format!("{} behind {}", serial, self.device.host)),
            None => error.with("device", &self.device.host),
        }
    }

    /// Sends a call. What the device says to it comes back, refusals too, but for that of a device that stands by.
    pub(crate) async fn ask(&self, request: Request, what: &str) -> Result<Answer> {
        let response = self.exchange(request).await?;
        let answer = Answer::read(&response, what).map_err(|error| self.told(error))?;
        match self.stands_by(&answer).await {
            Some(state) => Err(self.told(standby(&state, &answer))),
            None => Ok(answer),
        }
    }

    /// The state of a device that refused a call because the other one of its pair is at work. The same refusal has
    /// other causes, so the device is asked for its state.
    async fn stands_by(&self, answer: &Answer) -> Option<String> {
        if answer.is_success() || answer.code != Some(15) {
            return None;
        }
        let state = self.pair_state().await.ok().flatten()?;
        (!acts(&state)).then_some(state)
    }

    /// The state in a high-availability pair; `None` where it is in none.
    async fn pair_state(&self) -> Result<Option<String>> {
        let command = "<show><high-availability><state></state></high-availability></show>";
        let response = self.exchange(api::show(&self.place, command)).await?;
        let answer = Answer::read(&response, "high availability")?;
        let state = answer
            .root
            .text_at(&["result", "group", "local-info", "state"]);
        Ok(state.map(str::to_owned))
    }

    /// Sends a call that must succeed.
    pub(crate) async fn get(&self, request: Request, what: &str) -> Result<Answer> {
        self.ask(request, what).await?.ok(what)
    }

    /// An operational command that changes nothing.
    pub(crate) async fn show(&self, command: impl Into<String>, what: &str) -> Result<Answer> {
        self.get(api::show(&self.place, command), what).await
    }

    /// Version, model and clock, of what must be a firewall, or a Panorama where the place is a device group.
    ///
    /// # Errors
    /// Of kind `Config` whatever shows that `hostname`, `target` or `device_group` is not what it should be.
    pub(crate) async fn system(&self) -> Result<System> {
        const WHAT: &str = "system information";
        let command = "<show><system><info></info></system></show>";
        let response = self.exchange(api::show(&self.place, command)).await?;
        if !api::is_of_the_api(&response) {
            return Err(self.told(api::not_pan_os(&response)));
        }
        let answer = Answer::read(&response, WHAT).map_err(|error| self.told(error))?;
        let answer = match &self.place.serial {
            Some(serial) if !answer.is_success() => return Err(self.not_relayed(serial, &answer)),
            _ => answer.ok(WHAT).map_err(|error| self.told(error))?,
        };
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
        let host = &self.device.host;
        match (&self.place.part, &self.place.serial) {
            (Part::System(_), _) if is_panorama => {
                return Err(Error::config(format!(
                    "{host} is a Panorama, which blocks nothing itself"
                ))
                .hint(
                    "set `target` to the serial numbers of the firewalls behind it, or for `objects` also \
                     `device_group`",
                ));
            }
            (Part::Group(_), _) if !is_panorama => {
                return Err(Error::config(format!(
                    "{host} is a firewall, and has no device groups"
                ))
                .hint("name a Panorama in `hostname`, or take `device_group` out"));
            }
            // A firewall that does not heed `target` would be taken for another one.
            (_, Some(serial)) if !field("serial").is_empty() && field("serial") != *serial => {
                return Err(Error::config(format!(
                    "{host} answers as the firewall {}, not as {serial}",
                    field("serial")
                ))
                .hint("name a Panorama in `hostname`, or take `target` out"));
            }
            _ => {}
        }
        Ok(System {
            version_text,
            version,
            model,
            time: self.client.vendor_time(),
        })
    }

    /// What Panorama's refusal to relay a call means. Its words are not documented: only some say clearly that the
    /// number is wrong, and otherwise the firewall may be back later.
    fn not_relayed(&self, serial: &str, answer: &Answer) -> Error {
        let text = answer.text();
        let said = text.to_ascii_lowercase();
        let is_wrong = [
            "not supported",
            "not exist",
            "not found",
            "unknown",
            "invalid",
        ]
        .iter()
        .any(|word| said.contains(word));
        let kind = if is_wrong {
            ErrorKind::Config
        } else {
            ErrorKind::Unavailable
        };
        let error = Error::new(
            kind,
            format!(
                "{} does not reach the firewall {serial}: {text}",
                self.device.host
            ),
        );
        error.hint(
            "look in Panorama under Managed Devices whether this serial number is there and connected; correct `target` if it is not there",
        )
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
        let ok = |subject: &'static str, message: String| Finding {
            level: Level::Ok,
            subject: subject.into(),
            message,
            hint: None,
        };
        let mut findings = vec![ok(
            "access",
            format!(
                "PAN-OS {} answers for {}",
                facts.version.as_deref().unwrap_or("of an unknown version"),
                self.place.part.name()
            ),
        )];
        if matches!(self.place.part, Part::Group(_)) {
            return Ok(findings);
        }
        findings.push(match self.pair_state().await?.as_deref() {
            None => ok("high availability", "not in a pair".to_owned()),
            Some(state) if acts(state) => ok("high availability", format!("{state} in its pair")),
            Some(other) => Finding {
                level: Level::Warning,
                subject: "high availability".into(),
                message: format!(
                    "this device is {other} in its pair: where it refuses changes it is skipped"
                ),
                hint: Some("name both devices of the pair, or the active one".to_owned()),
            },
        });
        Ok(findings)
    }
}

/// Whether a device in this state of its pair is at work.
fn acts(state: &str) -> bool {
    matches!(state, "active" | "active-primary" | "active-secondary")
}

fn standby(state: &str, answer: &Answer) -> Error {
    Error::new(
        ErrorKind::Standby,
        format!(
            "skipped: this device is {state} in its pair, and refuses changes: {}",
            answer.text()
        ),
    )
    .with("code", 15)
    .hint("name the active device too; this one is tried again by the next run")
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
            if !api::is_of_the_api(&response) {
                return Err(api::not_pan_os(&response));
            }
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
