//! The configuration, and the firewalls that it names.

use std::collections::BTreeMap;
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

/// Fortinet FortiGate: firewalls, and how things are blocked on them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Fortinet")]
pub(crate) struct Config {
    /// The firewalls, one entry for each VDOM.
    #[serde(default)]
    pub(crate) firewalls: Vec<Firewall>,
    /// A FortiManager, as the way to more firewalls.
    #[serde(default)]
    pub(crate) fortimanager: Option<FortiManager>,
    /// API keys by `base_ip`, for those that do not stand with their firewall.
    #[serde(default)]
    pub(crate) api_keys: BTreeMap<String, Secret>,
    /// How things are blocked: `push-feed` (FortiOS 7.2.1 and later), `address-group`, `ban` or
    /// `feed`; or a map from kind to one of these.
    #[serde(default)]
    pub(crate) mechanism: Option<MechanismChoice>,
    /// Names of the push feeds, which the firewall's administrator makes.
    #[serde(default)]
    pub(crate) feeds: Feeds,
    /// Names of the threat feeds that the firewall pulls, which its administrator makes; the published
    /// files are called `NAME.txt`.
    #[serde(default = "default_lists")]
    pub(crate) lists: Feeds,
    /// Where the lists are published that firewalls pull; needed where `mechanism` is `feed`.
    #[serde(default)]
    pub(crate) publish: Option<Publish>,
    /// Start of the names of address objects and groups: 1 to 20 of a-z, A-Z, 0-9, `.`, `_` and `-`. Do
    /// not change it while something is blocked.
    #[serde(default = "default_prefix")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,20}$"))]
    pub(crate) group_prefix: String,
    /// Most members of one address group; a further group is made for more.
    #[serde(default = "default_group_size")]
    #[schemars(range(min = 1, max = 600))]
    pub(crate) group_size: usize,
    /// Most bans that a firewall holds, others' included, where `mechanism` is `ban`: firewalls do not tell.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub(crate) ban_limit: Option<usize>,
    /// The deployment whose entries the push feeds hold; with it `check` prints the text that makes a
    /// feed wholly its own.
    #[serde(default)]
    pub(crate) feed_owner: Option<String>,
    /// File with the CAs that signed the firewalls' certificates, as PEM.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// The same, inline.
    #[serde(default)]
    pub(crate) ca_pem: Option<String>,
    /// SHA-256 of the firewall's certificate in hex, in place of a CA; for a single firewall.
    #[serde(default)]
    pub(crate) tls_fingerprint: Option<String>,
}

/// One firewall and VDOM.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Firewall {
    /// Address or host name of its management interface, or a full URL.
    pub(crate) base_ip: String,
    /// Port of its management interface (443 if absent).
    #[serde(default)]
    pub(crate) base_port: Option<Port>,
    /// The VDOM.
    #[serde(default = "default_vdom")]
    pub(crate) vdom: String,
    /// API key of a REST API administrator.
    #[serde(default)]
    pub(crate) api_key: Option<Secret>,
}

/// A FortiManager and the firewalls that are reached through it. Bans and threat feeds go through its proxy,
/// address groups into its ADOM, from where they are installed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FortiManager {
    /// Its URL, or its host name or address.
    pub(crate) url: String,
    /// User name, with `password`; a user of type API with `api_key` needs none.
    #[serde(default)]
    pub(crate) username: Option<String>,
    /// Password.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// Token of a user of type API (FortiManager 7.2.2 and later).
    #[serde(default)]
    pub(crate) api_key: Option<Secret>,
    /// The ADOM.
    #[serde(default = "default_adom")]
    pub(crate) adom: String,
    /// The firewalls of that ADOM, one entry for each VDOM.
    pub(crate) devices: Vec<ManagedDevice>,
    /// The policy package that names our groups, which is installed after changes (`address-group`).
    #[serde(default)]
    pub(crate) package: Option<String>,
    /// When it is installed (`address-group`): `always` after every run that changed something, whatever
    /// else is pending in it, `own`, or `never` by us.
    #[serde(default)]
    pub(crate) activate: Activate,
}

/// A firewall that a FortiManager manages.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManagedDevice {
    /// Its name in the FortiManager.
    pub(crate) name: String,
    /// The VDOM.
    #[serde(default = "default_vdom")]
    pub(crate) vdom: String,
}

/// How we are known to a FortiManager.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// A session.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token with every call.
    Token(Secret),
}

impl FortiManager {
    /// Base URL, host, and host with port.
    pub(crate) fn endpoint(&self) -> Result<(String, String, String)> {
        let firewall = Firewall {
            base_ip: self.url.clone(),
            base_port: None,
            vdom: default_vdom(),
            api_key: None,
        };
        let base = base_url(&firewall).map_err(|message| {
            Error::config(format!("`fortimanager.url` {message}"))
                .hint("a URL like https://fortimanager.example")
        })?;
        let plain = |name: &str| {
            !name.is_empty() && !name.contains(['/', '\\']) && !name.contains(char::is_control)
        };
        if !plain(&self.adom) {
            return Err(Error::config(
                "`fortimanager.adom` is not the name of an ADOM",
            ));
        }
        if self.devices.is_empty() {
            return Err(Error::config("`fortimanager.devices` is empty")
                .hint("name the firewalls as the FortiManager does"));
        }
        if let Some(place) = self
            .devices
            .iter()
            .position(|device| !plain(&device.name) || !plain(&device.vdom))
        {
            return Err(Error::config(format!(
                "`fortimanager.devices[{place}]` does not name one firewall and one VDOM"
            )));
        }
        let host = base.host_str().unwrap_or_default().to_owned();
        let port = base.port_or_known_default().unwrap_or(443);
        Ok((base.to_string(), host.clone(), format!("{host}:{port}")))
    }

    /// Token or user and password, not both.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        match (&self.api_key, &self.username, &self.password) {
            (Some(token), None, None) if !token.is_empty() => Ok(Credentials::Token(token.clone())),
            (None, Some(username), Some(password))
                if !username.is_empty() && !password.is_empty() =>
            {
                Ok(Credentials::Password {
                    username: username.clone(),
                    password: password.clone(),
                })
            }
            _ => Err(Error::config("`fortimanager` needs credentials")
                .hint("set `api_key`, or `username` and `password`")),
        }
    }
}

/// A port, as a number or as text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Port {
    /// A number.
    Number(u16),
    /// Text with a number in it.
    Text(String),
}

/// Names of threat feeds, each of 1 to 35 characters.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Feeds {
    /// Feed of type `address`, for ipv4 and ipv6.
    pub(crate) ip: String,
    /// Feed of type `domain`.
    pub(crate) domain: String,
    /// Feed of type `category`, for URLs.
    pub(crate) url: String,
    /// Feed of type `malware`, for md5, sha1 and sha256.
    pub(crate) hash: String,
}

impl Default for Feeds {
    fn default() -> Self {
        Self {
            ip: "cordon-ip".to_owned(),
            domain: "cordon-domain".to_owned(),
            url: "cordon-url".to_owned(),
            hash: "cordon-hash".to_owned(),
        }
    }
}

fn default_lists() -> Feeds {
    Feeds {
        ip: "cordon-list-ip".to_owned(),
        domain: "cordon-list-domain".to_owned(),
        url: "cordon-list-url".to_owned(),
        hash: "cordon-list-hash".to_owned(),
    }
}

fn default_prefix() -> String {
    "cordon".to_owned()
}

fn default_group_size() -> usize {
    500
}

fn default_adom() -> String {
    "root".to_owned()
}

fn default_vdom() -> String {
    "root".to_owned()
}

/// A firewall as it is reached.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) base: String,
    /// Host and port: what two configured names for one firewall share.
    pub(crate) account: String,
    /// The host alone.
    pub(crate) host: String,
    pub(crate) vdom: String,
    pub(crate) key: Secret,
}

impl Config {
    /// Checks what the schema cannot say, and finds every firewall's URL and key.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>> {
        if self.firewalls.is_empty() && self.fortimanager.is_none() {
            return Err(Error::config("`firewalls` is empty")
                .hint("name at least one firewall, or a `fortimanager`"));
        }
        if self.group_prefix.is_empty()
            || self.group_prefix.len() > 20
            || !self.group_prefix.chars().all(is_plain)
        {
            return Err(
                Error::config("`group_prefix` is not usable in names of address objects")
                    .hint("use 1 to 20 characters of a-z, A-Z, 0-9, `.`, `_` and `-`"),
            );
        }
        if !(1..=600).contains(&self.group_size) {
            return Err(Error::config("`group_size` is not between 1 and 600"));
        }
        let feeds = [&self.feeds, &self.lists];
        let mut feeds = feeds
            .into_iter()
            .flat_map(|names| [&names.ip, &names.domain, &names.url, &names.hash]);
        if feeds.any(|name| name.is_empty() || name.len() > 35) {
            return Err(Error::config(
                "a name in `feeds` or `lists` does not have 1 to 35 characters",
            ));
        }
        self.firewalls
            .iter()
            .enumerate()
            .map(|(index, firewall)| self.endpoint(index, firewall))
            .collect()
    }

    fn endpoint(&self, index: usize, firewall: &Firewall) -> Result<Endpoint> {
        let field = |name: &str| format!("firewalls[{index}].{name}");
        let base = base_url(firewall).map_err(|message| {
            Error::config(format!("`{}` {message}", field("base_ip")))
                .hint("a host name, an address, or a URL like https://firewall.example:8443")
        })?;
        if firewall.vdom.is_empty() || firewall.vdom.contains([',', '*']) {
            return Err(
                Error::config(format!("`{}` is not one VDOM", field("vdom")))
                    .hint("one entry in `firewalls` for each VDOM"),
            );
        }
        let key = firewall
            .api_key
            .as_ref()
            .or_else(|| self.api_keys.get(&firewall.base_ip))
            .filter(|key| !key.is_empty())
            .cloned()
            .ok_or_else(|| {
                Error::config(format!("`{}` is missing", field("api_key"))).hint(format!(
                    "set it there, or in `api_keys` under {:?}",
                    firewall.base_ip
                ))
            })?;
        let host = base.host_str().unwrap_or_default().to_owned();
        let port = base.port_or_known_default().unwrap_or(443);
        Ok(Endpoint {
            base: base.to_string(),
            account: format!("{host}:{port}"),
            host,
            vdom: firewall.vdom.clone(),
            key,
        })
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

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "._-".contains(letter)
}

fn base_url(firewall: &Firewall) -> Result<Url, String> {
    let text = firewall.base_ip.trim();
    let mut base = if text.contains("://") {
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
    let port = match &firewall.base_port {
        None => None,
        Some(Port::Number(port)) => Some(*port),
        Some(Port::Text(text)) if text.trim().is_empty() => None,
        Some(Port::Text(text)) => Some(
            text.trim()
                .parse()
                .map_err(|_| format!("has a base_port {text:?} that is no port"))?,
        ),
    };
    if port.is_some() && base.set_port(port).is_err() {
        return Err("cannot have a port".to_owned());
    }
    Ok(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn endpoints(config: serde_json::Value) -> Result<Vec<Endpoint>> {
        serde_json::from_value::<Config>(config)
            .unwrap()
            .endpoints()
    }

    #[test]
    fn hosts_addresses_and_urls_become_endpoints() {
        let found = endpoints(json!({
            "firewalls": [
                { "base_ip": "fw.example.org", "base_port": "8443", "api_key": "a" },
                { "base_ip": "2001:db8::1", "vdom": "dmz" },
                { "base_ip": "http://127.0.0.1:9000", "base_port": "", "api_key": "c" },
            ],
            "api_keys": { "2001:db8::1": "b" },
        }))
        .unwrap();
        let told: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|endpoint| {
                (
                    endpoint.base.as_str(),
                    endpoint.account.as_str(),
                    endpoint.vdom.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "https://fw.example.org:8443/",
                    "fw.example.org:8443",
                    "root"
                ),
                ("https://[2001:db8::1]/", "[2001:db8::1]:443", "dmz"),
                ("http://127.0.0.1:9000/", "127.0.0.1:9000", "root"),
            ]
        );
        assert_eq!(found[1].key.expose(), "b");
    }

    #[test]
    fn mistakes_name_the_field() {
        let missing = endpoints(json!({ "firewalls": [{ "base_ip": "fw" }] })).unwrap_err();
        assert_eq!(missing.to_string(), "`firewalls[0].api_key` is missing");
        let vdom =
            endpoints(json!({ "firewalls": [{ "base_ip": "fw", "vdom": "*", "api_key": "a" }] }));
        assert!(
            vdom.unwrap_err()
                .to_string()
                .contains("`firewalls[0].vdom`")
        );
        let port = endpoints(
            json!({ "firewalls": [{ "base_ip": "fw", "base_port": "x", "api_key": "a" }] }),
        );
        assert!(port.unwrap_err().to_string().contains("no port"));
        let prefix = endpoints(
            json!({ "firewalls": [{ "base_ip": "fw", "api_key": "a" }], "group_prefix": "a/b" }),
        );
        assert!(prefix.unwrap_err().to_string().contains("group_prefix"));
        let typo = serde_json::from_value::<Config>(json!({ "firewalls": [], "mechanisms": "x" }));
        assert!(typo.unwrap_err().to_string().contains("mechanisms"));
    }
}
