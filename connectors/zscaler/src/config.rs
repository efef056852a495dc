//! The configuration: one struct.

use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::connector::MechanismChoice;
use sdk::ownership::Owner;
use sdk::target::Activate;
use sdk::{Error, Result, Secret};
use serde::Deserialize;

use crate::target::MECHANISMS;

/// Most entries per write that a user may set. One call with 5,000 is the largest seen in use; the vendor
/// documents no limit.
const MAX_BATCH: usize = 5_000;
/// Most URLs that a tenant can hold at all, with the vendor's largest subscription.
const MAX_CATEGORY: usize = 275_000;
/// Longest name of a category that we make, without its number.
const LONGEST_CATEGORY: usize = 40;

/// A Zscaler Internet Access tenant, reached with a legacy login (`username`, `password`, `api_key`) or
/// through OneAPI (`client_id`, `vanity_domain`, and `client_secret` or `private_key`).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Legacy: the cloud's name (`zscaler`, `zscalertwo`, `zscloud.net` ...) or the API's full URL, for
    /// instance `https://zsapi.zscalertwo.net`. OneAPI: absent for the production cloud, otherwise the
    /// cloud's name (`beta`) or the API's full URL.
    #[serde(default)]
    pub(crate) base_url: Option<String>,
    /// Legacy: login name of an administrator that nothing else uses.
    #[serde(default)]
    pub(crate) username: Option<String>,
    /// Legacy: the administrator's password.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// Legacy: the tenant's API key, as the portal shows it.
    #[serde(default)]
    pub(crate) api_key: Option<Secret>,
    /// OneAPI: id of the API client.
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    /// OneAPI: the API client's secret.
    #[serde(default)]
    pub(crate) client_secret: Option<Secret>,
    /// OneAPI: an RSA private key as PEM text (PKCS#8 or PKCS#1), in place of `client_secret`.
    #[serde(default)]
    pub(crate) private_key: Option<Secret>,
    /// OneAPI: the vanity domain (`acme` for `acme.zslogin.net`), the login host, or its full URL.
    #[serde(default)]
    pub(crate) vanity_domain: Option<String>,
    /// How things are blocked: `url-category` (default) or `denylist`, or a map from kind to one of them.
    #[serde(default)]
    pub(crate) mechanism: Option<MechanismChoice>,
    /// Whether what was stored is activated: `always` (default); `own`, unless somebody else's changes were
    /// pending before our first write; `never`. An activation publishes every administrator's changes.
    #[serde(default)]
    pub(crate) activate: Activate,
    /// Name of the categories that hold our entries, a number follows: 1 to 40 of `a-z`, `0-9`, `-`.
    #[serde(default = "default_category")]
    pub(crate) category: String,
    /// The deployment whose categories are wholly its own; without it several deployments share
    /// categories, and the ledger of a store says what is whose.
    #[serde(default)]
    pub(crate) category_owner: Option<String>,
    /// URLs in one category before the next is made, 1 to 275000.
    #[serde(default = "default_category_size")]
    #[schemars(range(min = 1, max = 275_000))]
    pub(crate) category_size: usize,
    /// Whether IPv4 addresses are sent. `url-category` then needs custom IP ranges, which Zscaler support
    /// enables; whether the denylist takes addresses is not documented.
    #[serde(default)]
    pub(crate) ipv4: bool,
    /// Entries per write, 1 to 5000. The vendor's limit is not documented.
    #[serde(default = "default_batch")]
    #[schemars(range(min = 1, max = 5000))]
    pub(crate) batch: usize,
    /// A file with CAs to trust besides the system's.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    /// CAs to trust besides the system's, as PEM text.
    #[serde(default)]
    pub(crate) ca_pem: Option<String>,
    /// SHA-256 of the API server's certificate in hex, which replaces the check of chain and name.
    #[serde(default)]
    pub(crate) tls_fingerprint: Option<String>,
}

fn default_category() -> String {
    "cordon".to_owned()
}

const fn default_category_size() -> usize {
    25_000
}

const fn default_batch() -> usize {
    MAX_BATCH
}

/// How to log in, checked.
#[derive(Debug)]
pub(crate) enum Credentials {
    Legacy {
        username: String,
        password: Secret,
        api_key: Secret,
    },
    OneApi {
        client_id: String,
        proof: ClientProof,
        login: String,
    },
}

/// What proves an API client.
#[derive(Debug)]
pub(crate) enum ClientProof {
    Secret(Secret),
    PrivateKey(Secret),
}

fn wrong(field: &str, what: &str) -> Error {
    Error::config(format!("zscaler: {field} {what}"))
}

impl Config {
    /// Reads a configuration. The error names the field.
    pub(crate) fn read(json: serde_json::Value) -> Result<Self> {
        let config: Self = serde_json::from_value(json)
            .map_err(|error| Error::config(format!("zscaler: {error}")))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if !(1..=MAX_BATCH).contains(&self.batch) {
            return Err(wrong("batch", "has to be 1 to 5000"));
        }
        if !(1..=MAX_CATEGORY).contains(&self.category_size) {
            return Err(wrong("category_size", "has to be 1 to 275000"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=LONGEST_CATEGORY).contains(&self.category.len())
            || !self.category.chars().all(plain)
        {
            return Err(wrong("category", "has to be 1 to 40 of a-z, 0-9 and -"));
        }
        if let Some(owner) = &self.category_owner {
            Owner::new(owner).map_err(|error| {
                wrong("category_owner", "is no deployment's name").because(error)
            })?;
        }
        for (_, name) in MechanismChoice::named(self.mechanism.as_ref()) {
            if !MECHANISMS.iter().any(|known| known.mechanism == name) {
                return Err(
                    Error::config(format!("zscaler: there is no mechanism {name:?}"))
                        .hint("the mechanisms are \"url-category\" and \"denylist\""),
                );
            }
        }
        self.credentials().map(|_| ())
    }

    /// The way to log in.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        let legacy = [
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("api_key", self.api_key.is_some()),
        ];
        let oneapi = [
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("private_key", self.private_key.is_some()),
            ("vanity_domain", self.vanity_domain.is_some()),
        ];
        let given = |fields: &[(&'static str, bool)]| {
            fields
                .iter()
                .find(|(_, given)| *given)
                .map(|(name, _)| *name)
        };
        match (given(&legacy), given(&oneapi)) {
            (Some(one), Some(other)) => Err(Error::config(format!(
                "zscaler: {one} belongs to the legacy login and {other} to OneAPI"
            ))
            .hint("give username, password and api_key, or client_id, vanity_domain and client_secret or private_key")),
            (None, None) => Err(Error::config("zscaler: there are no credentials").hint(
                "give username, password and api_key, or for OneAPI client_id, vanity_domain and \
                 client_secret or private_key",
            )),
            (Some(_), None) => self.legacy(),
            (None, Some(_)) => self.oneapi(),
        }
    }

    fn legacy(&self) -> Result<Credentials> {
        if self
            .base_url
            .as_deref()
            .is_none_or(|url| url.trim().is_empty())
        {
            return Err(wrong("base_url", "is missing")
                .hint("the cloud's name, for instance zscalertwo.net"));
        }
        let api_key = secret("api_key", &self.api_key)?;
        // The vendor's own obfuscation reads 12 places of it.
        if api_key.expose().chars().count() < 12 {
            return Err(wrong("api_key", "is shorter than 12 characters")
                .hint("copy it from Administration > Cloud Service API Security"));
        }
        Ok(Credentials::Legacy {
            username: text("username", &self.username)?,
            password: secret("password", &self.password)?,
            api_key,
        })
    }

    fn oneapi(&self) -> Result<Credentials> {
        let proof = match (&self.client_secret, &self.private_key) {
            (Some(_), Some(_)) => {
                return Err(wrong("client_secret", "and private_key are both given"));
            }
            (_, Some(_)) => ClientProof::PrivateKey(secret("private_key", &self.private_key)?),
            (_, None) => ClientProof::Secret(secret("client_secret", &self.client_secret)?),
        };
        Ok(Credentials::OneApi {
            client_id: text("client_id", &self.client_id)?,
            proof,
            login: login_url(&text("vanity_domain", &self.vanity_domain)?),
        })
    }

    /// The API's URL, path included.
    pub(crate) fn base(&self, credentials: &Credentials) -> String {
        let given = self.base_url.as_deref().unwrap_or_default().trim();
        match credentials {
            Credentials::Legacy { .. } => {
                if given.contains("://") {
                    return with_path(given, "/api/v1");
                }
                let host = given.to_ascii_lowercase();
                let cloud = host.strip_suffix(".net").unwrap_or(&host);
                match cloud
                    .strip_prefix("zsapi.")
                    .or(cloud.strip_prefix("admin."))
                {
                    Some(_) => format!("https://{cloud}.net/api/v1"),
                    // The one cloud whose API lives on another host.
                    None if cloud == "zspreview" => "https://admin.zspreview.net/api/v1".to_owned(),
                    None => format!("https://zsapi.{cloud}.net/api/v1"),
                }
            }
            Credentials::OneApi { .. } => {
                if given.contains("://") {
                    return with_path(given, "/zia/api/v1");
                }
                let host = match given.to_ascii_lowercase().as_str() {
                    "" | "production" => "api.zsapi.net".to_owned(),
                    named if named.contains('.') => named.to_owned(),
                    cloud => format!("api.{cloud}.zsapi.net"),
                };
                format!("https://{host}/zia/api/v1")
            }
        }
    }
}

fn text(field: &str, value: &Option<String>) -> Result<String> {
    match value.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        Some(_) => Err(wrong(field, "is empty")),
        None => Err(wrong(field, "is missing")),
    }
}

fn secret(field: &str, value: &Option<Secret>) -> Result<Secret> {
    match value {
        Some(secret) if !secret.is_empty() => Ok(secret.clone()),
        Some(_) => Err(wrong(field, "is empty")),
        None => Err(wrong(field, "is missing")),
    }
}

/// A URL with its own path, or with the API's where it has none.
fn with_path(url: &str, path: &str) -> String {
    let url = url.trim_end_matches('/');
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    if after_scheme.contains('/') {
        url.to_owned()
    } else {
        format!("{url}{path}")
    }
}

/// The token host of a vanity domain.
fn login_url(vanity: &str) -> String {
    if vanity.contains("://") {
        return vanity.trim_end_matches('/').to_owned();
    }
    if vanity.contains('.') {
        return format!("https://{vanity}");
    }
    format!("https://{vanity}.zslogin.net")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn base(json: serde_json::Value) -> String {
        let config = Config::read(json).unwrap();
        config.base(&config.credentials().unwrap())
    }

    fn legacy(base_url: &str) -> serde_json::Value {
        json!({ "base_url": base_url, "username": "a@acme.com", "password": "p", "api_key": "0123456789ab" })
    }

    #[test]
    fn cloud_names_and_urls_are_taken() {
        for (given, url) in [
            ("zscalertwo", "https://zsapi.zscalertwo.net/api/v1"),
            ("zscalertwo.net", "https://zsapi.zscalertwo.net/api/v1"),
            ("ZScloud.net", "https://zsapi.zscloud.net/api/v1"),
            ("zsapi.zscloud.net", "https://zsapi.zscloud.net/api/v1"),
            ("zspreview", "https://admin.zspreview.net/api/v1"),
            (
                "https://zsapi.zscaler.net/",
                "https://zsapi.zscaler.net/api/v1",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v1"),
            ("https://x.net/other", "https://x.net/other"),
        ] {
            assert_eq!(base(legacy(given)), url);
        }
        let oneapi = |given: serde_json::Value| {
            let mut config =
                json!({ "client_id": "c", "client_secret": "s", "vanity_domain": "acme" });
            if !given.is_null() {
                config["base_url"] = given;
            }
            base(config)
        };
        assert_eq!(oneapi(json!(null)), "https://api.zsapi.net/zia/api/v1");
        assert_eq!(
            oneapi(json!("beta")),
            "https://api.beta.zsapi.net/zia/api/v1"
        );
        assert_eq!(
            oneapi(json!("api.zscalergov.net")),
            "https://api.zscalergov.net/zia/api/v1"
        );
        assert_eq!(
            oneapi(json!("http://127.0.0.1:1")),
            "http://127.0.0.1:1/zia/api/v1"
        );
    }

    #[test]
    fn vanity_domains_are_taken_in_three_forms() {
        assert_eq!(login_url("acme"), "https://acme.zslogin.net");
        assert_eq!(
            login_url("acme.zidentitygov.us"),
            "https://acme.zidentitygov.us"
        );
        assert_eq!(login_url("http://127.0.0.1:1/"), "http://127.0.0.1:1");
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let refused = |json: serde_json::Value| Config::read(json).unwrap_err().to_string();
        assert!(refused(json!({})).contains("no credentials"));
        let mut both = legacy("zscaler");
        both["client_id"] = json!("c");
        assert!(refused(both).contains("username belongs to the legacy login"));
        assert!(
            refused(json!({ "client_id": "c", "vanity_domain": "a" })).contains("client_secret")
        );
        let mut short = legacy("zscaler");
        short["api_key"] = json!("short");
        assert!(refused(short).contains("api_key"));
        let mut other = legacy("zscaler");
        other["mechanism"] = json!("firewall");
        assert!(refused(other).contains("no mechanism"));
        let mut category = legacy("zscaler");
        category["category"] = json!("My Category");
        assert!(refused(category).contains("category"));
        assert!(refused(json!({ "password": "hunter2" })).contains("base_url"));
    }
}
