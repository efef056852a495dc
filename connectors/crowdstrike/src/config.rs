//! The configuration: one struct.

use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::connector::MechanismChoice;
use sdk::target::Capabilities;
use sdk::{Error, Result, Secret};
use serde::Deserialize;

use crate::target::{MECHANISMS, PREVENTING};

/// Clouds by the name that the vendor gives them, and their API hosts.
pub(crate) const CLOUDS: [(&str, &str); 6] = [
    ("us-1", "https://api.crowdstrike.com"),
    ("us-2", "https://api.us-2.crowdstrike.com"),
    ("us-3", "https://api.us-3.crowdstrike.com"),
    ("eu-1", "https://api.eu-1.crowdstrike.com"),
    ("us-gov-1", "https://api.laggar.gcw.crowdstrike.com"),
    ("us-gov-2", "https://api.us-gov-2.crowdstrike.mil"),
];

/// Most entries per write that a user may set.
const MAX_BATCH: usize = 2_000;

/// A CrowdStrike Falcon customer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The cloud's name (`us-1`, `us-2`, `us-3`, `eu-1`, `us-gov-1`, `us-gov-2`) or the API's full URL,
    /// for instance `https://api.eu-1.crowdstrike.com`.
    pub(crate) base_url: String,
    /// Id of an API client with the scopes IOC Management: Read and Write.
    pub(crate) client_id: String,
    /// The API client's secret.
    pub(crate) client_secret: Secret,
    /// For a Flight Control parent: the child customer to act in.
    #[serde(default)]
    pub(crate) member_cid: Option<String>,
    /// How things are blocked: `ioc` (prevents where Falcon can, detects elsewhere) or `ioc-detect` (only
    /// detects). Both write to the same list, so a map from kind may name one of them only.
    #[serde(default)]
    pub(crate) mechanism: Option<MechanismChoice>,
    /// Severity of what is found.
    #[serde(default)]
    pub(crate) severity: Severity,
    /// Platforms that the entries apply to.
    #[serde(default = "default_platforms")]
    pub(crate) platforms: Vec<Platform>,
    /// Tags on every entry.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// The source shown in the console, 1 to 256 characters.
    #[serde(default = "default_source")]
    pub(crate) source: String,
    /// Entries per write, 1 to 2000. The vendor's limit is not documented.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1, max = 2000))]
    pub(crate) batch: usize,
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

/// Severity of a detection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Informational.
    Informational,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    #[default]
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// As the API names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A platform with a desktop sensor. Mobile platforms need another product and other actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Platform {
    /// Windows.
    Windows,
    /// macOS.
    Mac,
    /// Linux.
    Linux,
}

impl Platform {
    /// As the API names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Mac => "mac",
            Self::Linux => "linux",
        }
    }
}

fn default_platforms() -> Vec<Platform> {
    vec![Platform::Windows, Platform::Mac, Platform::Linux]
}

fn default_source() -> String {
    "cordon".to_owned()
}

const fn default_batch() -> usize {
    200
}

impl Config {
    /// Reads a configuration. The error names the field.
    pub(crate) fn read(json: serde_json::Value) -> Result<Self> {
        let config: Self = serde_json::from_value(json)
            .map_err(|error| Error::config(format!("crowdstrike: {error}")))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let wrong =
            |field: &str, what: &str| Err(Error::config(format!("crowdstrike: {field} {what}")));
        if self.client_id.trim().is_empty() {
            return wrong("client_id", "is empty");
        }
        if self.client_secret.is_empty() {
            return wrong("client_secret", "is empty");
        }
        if !self.base().contains(['.', ':']) {
            let names: Vec<&str> = CLOUDS.iter().map(|(name, _)| *name).collect();
            let error = Error::config("crowdstrike: base_url is neither a cloud's name nor a URL");
            return Err(error.hint(format!(
                "one of {}, or the API's full URL",
                names.join(", ")
            )));
        }
        if self.platforms.is_empty() {
            return wrong("platforms", "is empty");
        }
        if !(1..=256).contains(&self.source.chars().count()) {
            return wrong("source", "has to have 1 to 256 characters");
        }
        if !(1..=MAX_BATCH).contains(&self.batch) {
            return wrong("batch", "has to be 1 to 2000");
        }
        let named = MechanismChoice::named(self.mechanism.as_ref());
        for (kind, name) in &named {
            let Some(mechanism) = MECHANISMS.iter().find(|known| known.mechanism == *name) else {
                return Err(
                    Error::config(format!("crowdstrike: there is no mechanism {name:?}"))
                        .hint("the mechanisms are \"ioc\" and \"ioc-detect\""),
                );
            };
            if let Some(kind) = kind.filter(|kind| mechanism.kind(*kind).is_none()) {
                return Err(Error::config(format!(
                    "crowdstrike: mechanism {name:?} does not take {kind}"
                )));
            }
        }
        if named.iter().any(|(_, name)| *name != named[0].1) {
            return wrong("mechanism", "names both mechanisms, which share one list");
        }
        Ok(())
    }

    /// The mechanism that is named, or the default one.
    pub(crate) fn mechanism(&self) -> &'static Capabilities {
        let named = MechanismChoice::named(self.mechanism.as_ref());
        let name = named.first().map(|(_, name)| *name);
        MECHANISMS
            .iter()
            .copied()
            .find(|known| Some(known.mechanism) == name)
            .unwrap_or(&PREVENTING)
    }

    /// The API's URL.
    pub(crate) fn base(&self) -> &str {
        let given = self.base_url.trim();
        CLOUDS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(given))
            .map_or(given, |(_, url)| url)
    }
}
