//! The configuration of a firewall or of a Cortex XDR tenant. `mechanism` decides which of the two it is, and with that
//! which fields are needed; what only Cortex XDR needs is checked in `xdr`.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::connector::MechanismChoice;
use sdk::feed::Publish;
use sdk::indicator::Kind;
use sdk::target::Activate;
use sdk::{Error, Result, Secret};
use serde::Deserialize;
use url::Url;

use crate::api::{Part, Place};

/// A PAN-OS firewall, reached directly or through Panorama, or a Cortex XDR tenant.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Palo Alto Networks")]
pub(crate) struct Config {
    /// How things are blocked: `tags`, `edl` or `objects` on PAN-OS, `xdr-blocklist` or `xdr-ioc` on Cortex XDR; or a
    /// map from kind to one of these, all of the same product.
    #[serde(default)]
    pub(crate) mechanism: Option<MechanismChoice>,
    /// The API key: of a PAN-OS administrator, or of Cortex XDR.
    #[serde(default)]
    pub(crate) api_key: Option<Secret>,

    /// PAN-OS: address, host name or full URL of the management interface of the firewall or Panorama.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    /// PAN-OS: name of the administrator. Needed where there is no `api_key`, and for `objects`, whose commit names it.
    #[serde(default)]
    pub(crate) username: Option<String>,
    /// PAN-OS: the administrator's password, where there is no `api_key`.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// PAN-OS: the virtual system, or several (`vsys1` if absent).
    #[serde(default)]
    pub(crate) vsys: Option<OneOrMany>,
    /// PAN-OS: where `hostname` is a Panorama, the serial number of the firewall to reach through it, or several.
    #[serde(default)]
    pub(crate) target: Option<OneOrMany>,
    /// PAN-OS, `objects`: where `hostname` is a Panorama, the device group that gets the objects, or several. Panorama
    /// pushes them to all of its firewalls.
    #[serde(default)]
    pub(crate) device_group: Option<OneOrMany>,
    /// PAN-OS, `tags`: start of the two tags that put an address into the dynamic address group, `TAG-a` and `TAG-b`; for
    /// `objects` the tag of its objects. 1 to 20 of a-z, A-Z, 0-9, `_` and `-`. Do not change it while something is
    /// blocked.
    #[serde(default = "default_tag")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,20}$"))]
    pub(crate) tag: String,
    /// PAN-OS: most entries of the device, where we do not know its model's limit: for `tags` registered addresses, for
    /// `edl` the entries of one kind of list.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) capacity: Option<usize>,
    /// PAN-OS, `objects`: start of the names of address objects and groups, 1 to 20 of a-z, A-Z, 0-9, `.`, `_` and `-`.
    /// Do not change it while something is blocked.
    #[serde(default = "default_prefix")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,19}$"))]
    pub(crate) group_prefix: String,
    /// PAN-OS, `objects`: most members of one address group; a further group is made for more.
    #[serde(default = "default_group_size")]
    #[schemars(range(min = 2, max = 2500))]
    pub(crate) group_size: usize,
    /// PAN-OS, `objects`: whether we commit: `always`, `own` (the same here, because only our administrator's changes are
    /// committed) or `never`.
    #[serde(default)]
    pub(crate) activate: Activate,
    /// PAN-OS, `edl`: where the lists are published.
    #[serde(default)]
    pub(crate) publish: Option<Publish>,
    /// PAN-OS, `edl`: names of the lists. A list is published under the name of the external dynamic list that pulls it.
    #[serde(default)]
    pub(crate) lists: ListNames,

    // Cortex XDR.
    /// Cortex XDR: the tenant's API host without `api-`, or its full URL.
    #[serde(default)]
    pub(crate) fqdn: Option<String>,
    /// Cortex XDR: id of the API key.
    #[serde(default)]
    pub(crate) api_key_id: Option<String>,
    /// Cortex XDR: whether the API key has the security level Advanced, with which every request is signed.
    #[serde(default)]
    pub(crate) advanced_api_key: bool,
    /// Cortex XDR: id of the incident that blocked hashes are shown with.
    #[serde(default)]
    pub(crate) incident_id: Option<u64>,
    /// Cortex XDR: severity of IOCs, `INFO`, `LOW`, `MEDIUM`, `HIGH` (the default) or `CRITICAL`.
    #[serde(default)]
    pub(crate) severity: Option<String>,

    /// A file with CAs to trust besides the system's.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// CAs to trust besides the system's, as PEM text.
    #[serde(default)]
    pub(crate) ca_pem: Option<String>,
    /// SHA-256 of the server's certificate in hex, which replaces the check of chain and name.
    #[serde(default)]
    pub(crate) tls_fingerprint: Option<String>,
}

/// Names of external dynamic lists: 1 to 63 of a-z, 0-9, `.`, `_` and `-`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListNames {
    /// List of type `ip`, for ipv4 and ipv6.
    pub(crate) ip: String,
    /// List of type `domain`.
    pub(crate) domain: String,
    /// List of type `url`.
    pub(crate) url: String,
}

impl Default for ListNames {
    fn default() -> Self {
        Self {
            ip: "cordon-ip".to_owned(),
            domain: "cordon-domain".to_owned(),
            url: "cordon-url".to_owned(),
        }
    }
}

/// One name, or several.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

fn default_tag() -> String {
    "cordon".to_owned()
}

fn default_prefix() -> String {
    "cordon".to_owned()
}

fn default_group_size() -> usize {
    500
}

/// A device as it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    /// URL of the management interface.
    pub(crate) base: String,
    /// Host and port: what two configured names for one device share.
    pub(crate) account: String,
    /// The host alone.
    pub(crate) host: String,
    /// Which part of which device.
    pub(crate) place: Place,
}

impl Device {
    /// Its name among the devices of an account.
    pub(crate) fn name(&self) -> String {
        format!(
            "{}/{}",
            self.place.serial.as_deref().unwrap_or(&self.host),
            self.place.part.name()
        )
    }
}

impl Config {
    /// Reads it.
    pub(crate) fn read(json: serde_json::Value) -> Result<Self> {
        serde_json::from_value(json).map_err(|error| {
            Error::config("the paloalto configuration is not valid").because(error)
        })
    }

    /// The management interface. Checks what the schema cannot say of PAN-OS.
    fn management(&self) -> Result<Url> {
        let hostname = self
            .hostname
            .as_deref()
            .map(str::trim)
            .filter(|hostname| !hostname.is_empty())
            .ok_or_else(|| {
                Error::config("`hostname` is missing").hint(
                    "the management interface of the firewall or Panorama; for Cortex XDR set `mechanism`",
                )
            })?;
        let base = base_url(hostname).map_err(|message| {
            Error::config(format!("`hostname` {message}"))
                .hint("a host name, an address, or a URL like https://firewall.example:4443")
        })?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
        if !(1..=20).contains(&self.tag.len()) || !self.tag.chars().all(plain) {
            return Err(Error::config(
                "`tag` is not usable in the filter of a dynamic address group",
            )
            .hint("use 1 to 20 characters of a-z, A-Z, 0-9, `_` and `-`"));
        }
        let named = |letter: char| plain(letter) || letter == '.';
        if !(1..=20).contains(&self.group_prefix.len())
            || !self.group_prefix.chars().all(named)
            || !self
                .group_prefix
                .starts_with(|first: char| first.is_ascii_alphanumeric())
        {
            return Err(Error::config("`group_prefix` is not usable in names of address objects")
                .hint("use 1 to 20 characters of a-z, A-Z, 0-9, `.`, `_` and `-`, the first a letter or digit"));
        }
        if !(2..=2500).contains(&self.group_size) {
            return Err(Error::config("`group_size` is not between 2 and 2500"));
        }
        if self.capacity == Some(0) {
            return Err(Error::config("`capacity` is 0"));
        }
        Ok(base)
    }

    /// The firewalls, each with each of its virtual systems.
    pub(crate) fn firewalls(&self) -> Result<Vec<Device>> {
        let base = self.management()?;
        let vsys: Vec<&str> = match &self.vsys {
            None => vec!["vsys1"],
            Some(names) => names.names().iter().map(String::as_str).collect(),
        };
        let is_vsys = |name: &str| {
            name.strip_prefix("vsys").is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        if vsys.is_empty() || !vsys.iter().all(|name| is_vsys(name)) {
            return Err(Error::config("`vsys` does not name virtual systems")
                .hint("their ids, like `vsys1`, not the names shown beside them"));
        }
        let serials: Vec<Option<String>> = match &self.target {
            None => vec![None],
            Some(names) => names.names().iter().cloned().map(Some).collect(),
        };
        let is_serial = |serial: &Option<String>| {
            serial.as_ref().is_none_or(|serial| {
                !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        };
        if serials.is_empty() || !serials.iter().all(is_serial) {
            return Err(Error::config("`target` does not name firewalls")
                .hint("their serial numbers, as Panorama shows them under Managed Devices"));
        }
        let mut devices = Vec::new();
        for serial in serials {
            for vsys in &vsys {
                let place = Place {
                    part: Part::System((*vsys).to_owned()),
                    serial: serial.clone(),
                };
                devices.push(device(&base, place));
            }
        }
        Ok(devices)
    }

    /// The device groups of a Panorama; none where objects go to firewalls themselves.
    pub(crate) fn groups(&self) -> Result<Vec<Device>> {
        let Some(names) = &self.device_group else {
            return Ok(Vec::new());
        };
        let base = self.management()?;
        let is_name = |name: &String| {
            !name.trim().is_empty()
                && !name.contains(['\'', '"'])
                && !name.chars().any(char::is_control)
        };
        if names.names().is_empty() || !names.names().iter().all(is_name) {
            return Err(
                Error::config("`device_group` does not name device groups of a Panorama")
                    .hint("their names, as Panorama shows them under Device Groups"),
            );
        }
        let others = self.mechanisms().iter().any(|name| *name != "objects");
        if self.mechanisms().is_empty() || !self.mechanisms().contains(&"objects") {
            return Err(
                Error::config("`device_group` is for the mechanism `objects` alone")
                    .hint("set `mechanism`, or name the firewalls in `target` instead"),
            );
        }
        let unused = [
            ("target", self.target.is_some()),
            ("vsys", self.vsys.is_some()),
        ];
        if let Some((field, _)) = unused.iter().find(|(_, is_set)| *is_set && !others) {
            return Err(Error::config(format!(
                "`{field}` and `device_group` are both set, and `objects` is the only mechanism"
            ))
            .hint(format!(
                "a device group is pushed to all of its firewalls: take `{field}` out"
            )));
        }
        let group = |name: &String| {
            let place = Place {
                part: Part::Group(name.clone()),
                serial: None,
            };
            device(&base, place)
        };
        Ok(names.names().iter().map(group).collect())
    }

    /// The kinds that go to a mechanism; empty where it gets all that it takes, `None` where none.
    pub(crate) fn kinds_for(&self, mechanism: &str, is_default: bool) -> Option<Vec<Kind>> {
        MechanismChoice::kinds_for(self.mechanism.as_ref(), mechanism, is_default)
    }

    /// The names in `mechanism`.
    pub(crate) fn mechanisms(&self) -> Vec<&str> {
        MechanismChoice::named(self.mechanism.as_ref())
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }
}

fn device(base: &Url, place: Place) -> Device {
    let host = base.host_str().unwrap_or_default().to_owned();
    let port = base.port_or_known_default().unwrap_or(443);
    Device {
        base: base.to_string(),
        account: format!("{host}:{port}"),
        host,
        place,
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let base = if text.contains("://") {
        Url::parse(text)
    } else if text.parse::<Ipv6Addr>().is_ok() {
        Url::parse(&format!("https://[{text}]"))
    } else {
        Url::parse(&format!("https://{text}"))
    }
    .map_err(|error| format!("is not a host or URL: {error}"))?;
    if base.host_str().is_none_or(str::is_empty) {
        return Err("has no host".to_owned());
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn devices(config: serde_json::Value) -> Result<Vec<Device>> {
        let config = Config::read(config)?;
        Ok([config.firewalls()?, config.groups()?].concat())
    }

    #[test]
    fn hosts_serials_and_virtual_systems_become_devices() {
        let found = devices(json!({ "hostname": "panorama.example.org", "api_key": "k",
            "target": ["0123", "0456"], "vsys": ["vsys1", "vsys3"] }))
        .unwrap();
        let names: Vec<String> = found.iter().map(Device::name).collect();
        assert_eq!(
            names,
            ["0123/vsys1", "0123/vsys3", "0456/vsys1", "0456/vsys3"]
        );
        assert_eq!(found[0].account, "panorama.example.org:443");
        let single = devices(json!({ "hostname": "2001:db8::1", "api_key": "k" })).unwrap();
        assert_eq!(single[0].base, "https://[2001:db8::1]/");
        assert_eq!(single[0].name(), "[2001:db8::1]/vsys1");
    }

    #[test]
    fn device_groups_are_devices_beside_firewalls() {
        let found = devices(
            json!({ "hostname": "panorama.example.org", "api_key": "k", "target": "0123",
            "mechanism": { "ipv4": "tags", "domain": "objects" }, "device_group": ["Edge EU", "Edge US"] }),
        )
        .unwrap();
        let names: Vec<String> = found.iter().map(Device::name).collect();
        assert_eq!(
            names,
            [
                "0123/vsys1",
                "panorama.example.org/Edge EU",
                "panorama.example.org/Edge US"
            ]
        );
        assert_eq!(
            found[1].place.part.path(),
            "/config/devices/entry[@name='localhost.localdomain']/device-group/entry[@name='Edge EU']"
        );
    }

    #[test]
    fn mistakes_name_the_field() {
        for (field, config) in [
            ("hostname", json!({ "api_key": "k" })),
            ("vsys", json!({ "hostname": "fw", "vsys": "lab" })),
            ("vsys", json!({ "hostname": "fw", "vsys": [] })),
            ("target", json!({ "hostname": "fw", "target": "0&x" })),
            ("tag", json!({ "hostname": "fw", "tag": "it's" })),
            (
                "group_prefix",
                json!({ "hostname": "fw", "group_prefix": "a/b" }),
            ),
            ("group_size", json!({ "hostname": "fw", "group_size": 1 })),
            ("capacity", json!({ "hostname": "fw", "capacity": 0 })),
            ("hostnam", json!({ "hostnam": "fw" })),
            (
                "device_group",
                json!({ "hostname": "p", "mechanism": "objects", "device_group": "it's" }),
            ),
            (
                "device_group",
                json!({ "hostname": "p", "mechanism": "objects", "device_group": [] }),
            ),
            (
                "objects",
                json!({ "hostname": "p", "device_group": "Edge" }),
            ),
            (
                "target",
                json!({ "hostname": "p", "mechanism": "objects", "target": "0123", "device_group": "Edge" }),
            ),
            (
                "`vsys`",
                json!({ "hostname": "p", "mechanism": "objects", "vsys": "vsys2", "device_group": "Edge" }),
            ),
        ] {
            let error = devices(config).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
