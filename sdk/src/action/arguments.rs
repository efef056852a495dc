//! The arguments of the uniform actions. A setting is declared here once: schema, manifest and
//! documentation come from it.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::typed;
use crate::error::{Error, Result};
use crate::report::Status;

/// The names that the argument `fail_on` takes; the last stands for none of them.
const FAIL_ON: [(&str, Option<Status>); 4] = [
    ("failed", Some(Status::Failed)),
    ("partial", Some(Status::Partial)),
    ("held", Some(Status::Held)),
    ("never", None),
];

/// Which reports a playbook engine is told as an error: the argument `fail_on` of every writing action,
/// names separated by commas. What could not even start is an error whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailOn(Vec<Status>);

impl Default for FailOn {
    fn default() -> Self {
        Self(vec![Status::Failed])
    }
}

impl FailOn {
    /// Reads it from an action's arguments.
    pub fn of(arguments: &Json) -> Result<Self> {
        match arguments.get("fail_on") {
            None | Some(Json::Null) => Ok(Self::default()),
            Some(Json::String(text)) => Self::read(text),
            Some(_) => Err(Self::wrong("is not a text")),
        }
    }

    /// Whether a report that ended so is an error.
    pub fn names(&self, status: Status) -> bool {
        self.0.contains(&status)
    }

    fn read(text: &str) -> Result<Self> {
        let mut statuses = Vec::new();
        for name in text.split(',').map(str::trim) {
            let known = FAIL_ON.iter().find(|(known, _)| *known == name);
            let (_, status) = known.ok_or_else(|| Self::wrong(&format!("names {name:?}")))?;
            statuses.extend(status);
        }
        Ok(Self(statuses))
    }

    fn wrong(what: &str) -> Error {
        let names = FAIL_ON.map(|(name, _)| name).join(", ");
        Error::input(format!("fail_on {what}")).hint(format!("one or more of {names}"))
    }
}

impl<'de> Deserialize<'de> for FailOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            None => Ok(Self::default()),
            Some(text) => Self::read(&text).map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for FailOn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FailOn".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "default": "failed" })
    }
}

/// Arguments of every writing action.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Common {
    /// Plan and report, send nothing
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Values that must not be blocked, whatever the collection says: addresses, networks, names (with all
    /// below; `=name` for the name alone), URLs, hashes
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    /// Owner of the entries: only its own entries are changed
    #[serde(default)]
    pub(super) deployment: Option<String>,
    /// Digest of a held set that may go through
    #[serde(default, deserialize_with = "text_or_true")]
    pub(super) allow_mass_change: Option<String>,
    /// Take over equal entries that somebody else made; they are given back when our reasons end
    #[serde(default)]
    pub(super) adopt: bool,
    /// Which results a playbook engine is told as an error: `failed`, `partial`, `held`, several of them
    /// separated by commas, or `never`. The exit codes of a plain `run` do not depend on it
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by the engine's runtime; here it is only refused if wrong"
    )]
    pub(super) fail_on: FailOn,
}

const fn yes() -> bool {
    true
}

/// A text that is not empty: editors of playbooks keep the fields that nobody filled.
fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

fn text_or_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrBool {
        Text(String),
        Bool(bool),
    }
    Ok(match Option::<TextOrBool>::deserialize(deserializer)? {
        Some(TextOrBool::Text(text)) if !text.is_empty() => Some(text),
        Some(TextOrBool::Bool(true)) => Some("true".to_owned()),
        _ => None,
    })
}

/// What a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SourceFormat {
    /// By the ending of its path: `.json` is STIX, anything else a list.
    #[default]
    Auto,
    /// STIX 2.1.
    Stix,
    /// Text or CSV.
    List,
    /// A MISP warninglist.
    Warninglist,
}

/// Make what the owner has on the target equal to a complete collection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct SyncCollection {
    /// An IOC collection (`ioc-collection--…`) or feed at Sekoia, read with `sekoia_api_key` of the configuration
    #[serde(default, deserialize_with = "filled")]
    pub(super) ioc_collection_id: Option<String>,
    /// Address of the collection
    #[serde(default, deserialize_with = "filled")]
    pub(super) source_url: Option<String>,
    /// What the address serves. A collection at Sekoia is read as STIX, or with `list` as text, which has no
    /// dates
    #[serde(default)]
    pub(super) source_format: SourceFormat,
    /// The collection as STIX objects; only with `complete`
    #[serde(default)]
    pub(super) stix_objects: Option<Vec<Json>>,
    /// A file with the collection as a JSON array of STIX objects; only with `complete`
    #[serde(default, deserialize_with = "filled")]
    pub(super) stix_objects_path: Option<String>,
    /// The STIX objects given are the whole collection: what is not among them is taken down
    #[serde(default)]
    pub(super) complete: bool,
    /// Days after which indicators without an end are taken down
    #[serde(default)]
    #[schemars(range(min = 1, max = 36_500))]
    pub(super) valid_for: Option<u32>,
    /// Arguments of every writing action
    #[serde(flatten)]
    pub(super) common: Common,
}

/// Apply a batch of STIX objects: add the active, remove the revoked and ended.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct PushIndicators {
    /// The STIX objects
    #[serde(default)]
    pub(super) stix_objects: Option<Vec<Json>>,
    /// A file with a JSON array of STIX objects
    #[serde(default, deserialize_with = "filled")]
    pub(super) stix_objects_path: Option<String>,
    /// Days after which objects without an end are taken down
    #[serde(default)]
    #[schemars(range(min = 1, max = 36_500))]
    pub(super) valid_for: Option<u32>,
    /// Why; written beside the entries where the vendor has room
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// Address of the Sekoia platform: without a reason, a new entry gets the address of its object's page
    /// there
    #[serde(default)]
    pub(super) sekoia_base_url: Option<String>,
    /// Also send kinds that the mechanism only detects
    #[serde(default = "yes")]
    pub(super) accept_detection: bool,
    /// Write entries although nobody would know when to take them down
    #[serde(default)]
    pub(super) accept_unbounded: bool,
    /// Arguments of every writing action
    #[serde(flatten)]
    pub(super) common: Common,
}

/// Block values now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Block {
    /// The values: addresses, networks, names, URLs, hashes; defanged ones are understood
    pub(super) values: Vec<String>,
    /// Days to block them
    #[serde(default)]
    #[schemars(range(min = 1, max = 36_500))]
    pub(super) valid_for: Option<u32>,
    /// Until when to block them
    #[serde(default, deserialize_with = "typed::valid_until")]
    pub(super) valid_until: Option<DateTime<Utc>>,
    /// Why; written beside the entry where the vendor has room
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// Also send kinds that the mechanism only detects
    #[serde(default)]
    pub(super) accept_detection: bool,
    /// Write entries although nobody would know when to take them down
    #[serde(default)]
    pub(super) accept_unbounded: bool,
    /// Arguments of every writing action
    #[serde(flatten)]
    pub(super) common: Common,
}

/// Take our block of values off now.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Unblock {
    /// The values
    pub(super) values: Vec<String>,
    /// Arguments of every writing action
    #[serde(flatten)]
    pub(super) common: Common,
}

/// Take down what has ended, nothing else.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct RemoveExpired {
    /// Arguments of every writing action; without `deployment` every owner of ours
    #[serde(flatten)]
    pub(super) common: Common,
}

/// List what we hold on the target.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListBlocked {
    /// Only entries of this owner
    #[serde(default)]
    pub(super) deployment: Option<String>,
}

/// Look at credentials, rights, version, limits and what is missing on the vendor's side.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fail_on_names_what_is_an_error() {
        let named = |text: Json| {
            let fail_on = FailOn::of(&json!({ "fail_on": text })).unwrap();
            [Status::Ok, Status::Held, Status::Partial, Status::Failed]
                .map(|status| fail_on.names(status))
        };
        assert_eq!(named(Json::Null), [false, false, false, true]);
        assert_eq!(named(json!("failed")), [false, false, false, true]);
        assert_eq!(named(json!("failed, held")), [false, true, false, true]);
        assert_eq!(named(json!("partial")), [false, false, true, false]);
        assert_eq!(named(json!("never")), [false; 4]);
        assert_eq!(FailOn::of(&json!({})).unwrap(), FailOn::default());
        for wrong in [json!("ok"), json!(""), json!("failed;held"), json!(1)] {
            let error = FailOn::of(&json!({ "fail_on": wrong })).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Input, "{wrong}");
            assert!(error.hint_text().unwrap().contains("partial"));
        }
    }
}
