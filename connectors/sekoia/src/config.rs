//! The configuration: one struct.

use std::path::PathBuf;

use schemars::JsonSchema;
use sdk::collection::sekoia::{Access, BASE_URL};
use sdk::{Error, Result, Secret};
use serde::Deserialize;
use serde_json::Value as Json;

/// A Sekoia community.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The region's URL: `https://api.sekoia.io` (FRA1), or `https://app.REGION.sekoia.io`, with or without
    /// `/api`.
    #[serde(default = "default_base_url")]
    pub(crate) base_url: String,
    /// An API key. Writing takes the rights View and Manage IOC collections, finding the addresses of an
    /// alert View alerts and View intakes.
    pub(crate) api_key: Secret,
    /// Values that are never added, one's own addresses and names for instance: addresses, networks, names
    /// (with all below; `=name` for the name alone), URLs, hashes.
    #[serde(default)]
    pub(crate) protect: Vec<String>,
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

fn default_base_url() -> String {
    BASE_URL.to_owned()
}

impl Config {
    /// Reads a configuration. The error names the field.
    pub(crate) fn read(json: Json) -> Result<Self> {
        let config: Self = serde_json::from_value(json)
            .map_err(|error| Error::config(format!("sekoia: {error}")))?;
        if config.api_key.is_empty() {
            return Err(Error::config("sekoia: api_key is empty"));
        }
        Ok(config)
    }

    /// How the API is reached.
    pub(crate) fn access(&self) -> Access {
        Access {
            base_url: self.base_url.clone(),
            api_key: self.api_key.clone(),
            ca_file: self.ca_file.clone(),
            ca_pem: self.ca_pem.clone(),
            tls_fingerprint: self.tls_fingerprint.clone(),
        }
    }
}
