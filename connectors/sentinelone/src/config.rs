//! The configuration: one struct.

use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::connector::MechanismChoice;
use sdk::{Error, Result, Secret};
use serde::Deserialize;
use url::Url;

/// Most indicators per write that a user may set.
const MAX_BATCH: usize = 1_000;
/// Digits of the shortest id that the vendor's schema allows.
const ID_DIGITS: usize = 18;
/// Longest `source`.
const MAX_SOURCE: usize = 64;

/// A SentinelOne management console.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "SentinelOne")]
pub(crate) struct Config {
    /// Host name of the console, for instance `usea1-acme.sentinelone.net`, or a full URL.
    pub(crate) hostname: String,
    /// API token of a service user.
    pub(crate) api_token: Secret,
    /// Ids of the accounts in which things are blocked. With `site_ids` or `group_ids`: the one account
    /// that they belong to, which `ioc` needs to list and delete.
    #[serde(default)]
    pub(crate) account_ids: Vec<String>,
    /// Ids of the sites in which things are blocked.
    #[serde(default)]
    pub(crate) site_ids: Vec<String>,
    /// Ids of the groups in which things are blocked.
    #[serde(default)]
    pub(crate) group_ids: Vec<String>,
    /// Block in the whole tenant; needs a token of global scope.
    #[serde(default)]
    pub(crate) whole_tenant: bool,
    /// How things are blocked: `blocklist` (prevents; sha1, sha256) or `ioc` (only detects); or a map
    /// from kind to one of these.
    #[serde(default)]
    pub(crate) mechanism: Option<MechanismChoice>,
    /// `blocklist`: the operating systems on which a hash is blocked; one entry is made for each.
    #[serde(default = "default_os_types")]
    pub(crate) os_types: Vec<OsType>,
    /// `ioc`: the source shown with every indicator, 1 to 64 of `a-z A-Z 0-9 . _ -`. It separates ours
    /// from other feeds, so nothing else may use it, and it must not change while something of ours is
    /// there. Default: `cordon-` and the installation's name.
    #[serde(default)]
    pub(crate) source: Option<String>,
    /// `ioc`: severity from 0 to 7 as OCSF counts; left to the console if absent.
    #[serde(default)]
    #[schemars(range(min = 0, max = 7))]
    pub(crate) severity: Option<u8>,
    /// `ioc`: indicators per write, 1 to 1000. The vendor's limit is not documented.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1, max = 1000))]
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

/// An operating system, as the blocklist tells them apart.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    serde::Serialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OsType {
    /// Windows.
    Windows,
    /// Windows with the legacy agent.
    WindowsLegacy,
    /// macOS.
    Macos,
    /// Linux.
    Linux,
}

impl OsType {
    /// Every one.
    pub(crate) const ALL: [Self; 4] =
        [Self::Windows, Self::WindowsLegacy, Self::Macos, Self::Linux];

    /// As the API names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::WindowsLegacy => "windows_legacy",
            Self::Macos => "macos",
            Self::Linux => "linux",
        }
    }

    /// By the API's name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|os| os.name() == name)
    }
}

/// Where entries are made: one target each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The level.
    pub(crate) level: Level,
    /// Its id; empty for the tenant.
    pub(crate) id: String,
    /// The account that it belongs to, or is.
    pub(crate) account: Option<String>,
}

/// The levels of the scope hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The whole tenant, `global` in answers.
    Tenant,
    /// An account.
    Account,
    /// A site of an account.
    Site,
    /// A group of a site.
    Group,
}

impl Level {
    /// As answers name it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tenant => "global",
            Self::Account => "account",
            Self::Site => "site",
            Self::Group => "group",
        }
    }
}

impl Place {
    /// For people and keys, for instance `site/225494730938493804`.
    pub(crate) fn name(&self) -> String {
        match self.level {
            Level::Tenant => "tenant".to_owned(),
            level => format!("{}/{}", level.name(), self.id),
        }
    }
}

fn default_os_types() -> Vec<OsType> {
    vec![OsType::Windows, OsType::Macos, OsType::Linux]
}

const fn default_batch() -> usize {
    500
}

fn wrong(field: &str, what: &str) -> Error {
    Error::config(format!("sentinelone: {field} {what}"))
}

impl Config {
    /// Reads a configuration. The error names the field.
    pub(crate) fn read(json: serde_json::Value) -> Result<Self> {
        let mut config: Self = serde_json::from_value(json)
            .map_err(|error| Error::config(format!("sentinelone: {error}")))?;
        if config.api_token.is_empty() {
            return Err(wrong("api_token", "is empty"));
        }
        if config.os_types.is_empty() {
            return Err(wrong("os_types", "is empty"));
        }
        config.os_types.sort_unstable();
        config.os_types.dedup();
        if !(1..=MAX_BATCH).contains(&config.batch) {
            return Err(wrong("batch", "has to be 1 to 1000"));
        }
        if config.severity.is_some_and(|severity| severity > 7) {
            return Err(wrong("severity", "has to be 0 to 7"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if let Some(source) = &config.source
            && !((1..=MAX_SOURCE).contains(&source.len()) && source.chars().all(plain))
        {
            return Err(wrong("source", "has to be 1 to 64 of a-z A-Z 0-9 . _ -"));
        }
        Ok(config)
    }

    /// The console's URL.
    pub(crate) fn base(&self) -> Result<String> {
        let text = self.hostname.trim();
        if text.is_empty() {
            return Err(wrong("hostname", "is empty"));
        }
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let mut url = Url::parse(&text).map_err(|error| {
            wrong("hostname", "is neither a host nor a URL")
                .because(error)
                .hint("for instance usea1-acme.sentinelone.net")
        })?;
        // Pasted from a description of the API; requests bring it themselves.
        if let Some(prefix) = url
            .path()
            .trim_end_matches('/')
            .strip_suffix("/web/api/v2.1")
        {
            let prefix = prefix.to_owned();
            url.set_path(&prefix);
        }
        Ok(url.into())
    }

    /// Whether it says where entries are made.
    pub(crate) fn has_scope(&self) -> bool {
        let lists = [&self.account_ids, &self.site_ids, &self.group_ids];
        self.whole_tenant || lists.iter().any(|ids| !ids.is_empty())
    }

    /// The source of every indicator of ours.
    pub(crate) fn source(&self, installation: &str) -> String {
        let default = || format!("cordon-{installation}");
        self.source.clone().unwrap_or_else(default)
    }

    /// Where entries are made.
    pub(crate) fn places(&self) -> Result<Vec<Place>> {
        let lists = [
            ("account_ids", &self.account_ids),
            ("site_ids", &self.site_ids),
            ("group_ids", &self.group_ids),
        ];
        for (field, ids) in lists {
            let fits =
                |id: &String| id.len() >= ID_DIGITS && id.bytes().all(|b| b.is_ascii_digit());
            if let Some(bad) = ids.iter().find(|id| !fits(id)) {
                return Err(wrong(field, &format!("has {bad:?}, which is no id"))
                    .hint("ids are texts of about 18 digits, as the console shows them"));
            }
        }
        let (level, ids) = if !self.group_ids.is_empty() {
            (Level::Group, &self.group_ids)
        } else if !self.site_ids.is_empty() {
            (Level::Site, &self.site_ids)
        } else {
            (Level::Account, &self.account_ids)
        };
        if self.whole_tenant {
            return if ids.is_empty() {
                Ok(vec![Place {
                    level: Level::Tenant,
                    id: String::new(),
                    account: None,
                }])
            } else {
                Err(wrong("whole_tenant", "goes with no other scope"))
            };
        }
        if level == Level::Group && !self.site_ids.is_empty() {
            return Err(wrong("site_ids", "and group_ids cannot be combined"));
        }
        if level != Level::Account && self.account_ids.len() > 1 {
            return Err(wrong(
                "account_ids",
                "names more than the account of the sites or groups",
            ));
        }
        if ids.is_empty() {
            // Leaving the scope out would mean the whole tenant, or an internal error of the console.
            return Err(wrong("account_ids", "is missing")
                .hint("name account_ids, site_ids or group_ids, or set whole_tenant to true"));
        }
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids.dedup();
        let place = |id: String| Place {
            level,
            account: match level {
                Level::Account => Some(id.clone()),
                _ => self.account_ids.first().cloned(),
            },
            id,
        };
        Ok(ids.into_iter().map(place).collect())
    }

    /// Whether a mechanism is used; the default one where none is named.
    pub(crate) fn uses(&self, mechanism: &str, is_default: bool) -> bool {
        MechanismChoice::kinds_for(self.mechanism.as_ref(), mechanism, is_default).is_some()
    }

    /// The mechanisms named, each with the kind it is named for.
    pub(crate) fn named(&self) -> Vec<(Option<sdk::indicator::Kind>, &str)> {
        MechanismChoice::named(self.mechanism.as_ref())
    }
}
