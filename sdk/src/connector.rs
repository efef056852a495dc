//! What a connector crate exports: one static [`Connector`] value.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use schemars::Schema;
use serde_json::Value as Json;

use crate::action::Action;
use crate::clock::Clock;
use crate::error::Result;
use crate::fake::{Fake, FakeOptions};
use crate::indicator::Kind;
use crate::secret::Secret;
use crate::target::{Capabilities, Target};

/// What a connector gets from the outside besides its configuration.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The clock that limiters and back-off wait on.
    pub clock: Clock,
    /// More CA files to trust, or folders of them, from `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE`.
    pub ca_files: Vec<PathBuf>,
    /// Proxies in place of those that the variables `http_proxy` and `https_proxy` name; `no_proxy` stays.
    pub proxies: Proxies,
    /// Our installation's name in marks (default `main`).
    pub installation: String,
}

impl Environment {
    /// No CA files, no proxies of its own, installation `main`.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            ca_files: Vec::new(),
            proxies: Proxies::default(),
            installation: "main".to_owned(),
        }
    }
}

/// Addresses of proxies, by the scheme of what is asked for. They may hold a password.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http`.
    pub http: Option<Secret>,
    /// For `https`.
    pub https: Option<Secret>,
}

/// Makes the targets of a configuration.
pub type MakeTargets = fn(Json, &Environment) -> Result<Vec<Arc<dyn Target>>>;

/// A vendor connector: everything the operator, the manifests and the contract suite need to know.
#[derive(Clone, Copy)]
pub struct Connector {
    /// Its name on the command line and in configuration.
    pub name: &'static str,
    /// The product's name.
    pub title: &'static str,
    /// Its mechanisms, the default first; none where it is no target.
    pub mechanisms: &'static [&'static Capabilities],
    /// The JSON schema of its configuration.
    pub schema: fn() -> Schema,
    /// Reads a configuration and makes one target per device and mechanism. No call is made. An error
    /// names the field.
    pub targets: MakeTargets,
    /// Its actions beside the uniform ones.
    pub actions: &'static [Action],
    /// Starts the fake vendor on loopback.
    pub fake: fn(FakeOptions) -> BoxFuture<'static, Result<Fake>>,
    /// Field names by which a configuration tells the vendor's own management hosts, which are never
    /// blocked; each a string, or an array of objects with that field (`firewalls.base_ip`).
    pub management_hosts: &'static [&'static str],
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A map from kind to mechanism, or one for all: the `mechanism` setting of a target.
///
/// The map may come as a text with JSON in it, because forms and environment variables know texts only; no
/// mechanism has a name that begins as one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(from = "Given")]
pub enum MechanismChoice {
    /// One mechanism for every kind it takes.
    One(String),
    /// By kind; kinds that are not named are not sent.
    ByKind(BTreeMap<Kind, String>),
}

/// A map from kind to mechanism, or one for all: the `mechanism` setting of a target.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "MechanismChoice")]
enum Given {
    /// One mechanism for every kind it takes.
    Text(String),
    /// By kind; kinds that are not named are not sent.
    Map(BTreeMap<Kind, String>),
}

impl From<Given> for MechanismChoice {
    fn from(given: Given) -> Self {
        match given {
            Given::Map(map) => Self::ByKind(map),
            Given::Text(text) => match serde_json::from_str(&text) {
                Ok(map) => Self::ByKind(map),
                Err(_) => Self::One(text),
            },
        }
    }
}

impl MechanismChoice {
    /// The mechanisms that a configuration names, each with the kind that it is named for; none where it
    /// names none.
    pub fn named(choice: Option<&Self>) -> Vec<(Option<Kind>, &str)> {
        match choice {
            None => Vec::new(),
            Some(Self::One(name)) => vec![(None, name)],
            Some(Self::ByKind(map)) => map
                .iter()
                .map(|(kind, name)| (Some(*kind), name.as_str()))
                .collect(),
        }
    }

    /// The kinds that go to a mechanism; empty where it gets all that it takes, `None` where none. The
    /// default mechanism is the one that is used where none is named.
    pub fn kinds_for(
        choice: Option<&Self>,
        mechanism: &str,
        is_default: bool,
    ) -> Option<Vec<Kind>> {
        if choice.is_none() {
            return is_default.then(Vec::new);
        }
        let mut kinds: Option<Vec<Kind>> = None;
        for (kind, name) in Self::named(choice) {
            if name == mechanism {
                kinds.get_or_insert_default().extend(kind);
            }
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_splits_the_kinds() {
        let read = |text| serde_json::from_str::<MechanismChoice>(text).unwrap();
        let map = read(r#"{ "ipv4": "group", "domain": "feed" }"#);
        let kinds = |choice, name, is_default| MechanismChoice::kinds_for(choice, name, is_default);
        assert_eq!(kinds(Some(&map), "feed", true), Some(vec![Kind::Domain]));
        assert_eq!(kinds(Some(&map), "group", false), Some(vec![Kind::Ipv4]));
        assert_eq!(kinds(Some(&map), "ban", true), None);
        assert_eq!(read(r#""{\"ipv4\":\"group\",\"domain\":\"feed\"}""#), map);
        let one = read(r#""ban""#);
        assert_eq!(kinds(Some(&one), "ban", false), Some(Vec::new()));
        assert_eq!(kinds(Some(&one), "feed", true), None);
        assert_eq!(kinds(None, "feed", true), Some(Vec::new()));
        assert_eq!(kinds(None, "ban", false), None);
        assert_eq!(MechanismChoice::named(Some(&one)), [(None, "ban")]);
        assert_eq!(MechanismChoice::named(None), []);
    }
}
