//! What the actions have in common that carry other playbooks' names: they read their own arguments and hand
//! the work to a uniform action.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::arguments::Common;
pub use super::perform::BY_HAND;
use super::{Call, Outcome, Setup, run, schema};
use crate::error::{Error, Result};
use crate::indicator::{Kind, Value, refang};
use crate::ownership::Owner;
use crate::report::Report;
use crate::sync::Context;

/// STIX objects as other playbooks give them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct StixObjects {
    /// The STIX objects: a list, or one bundle
    #[serde(default)]
    stix_objects: Option<Objects>,
    /// A file with them
    #[serde(default)]
    stix_objects_path: Option<String>,
    /// Address of the Sekoia platform, for links from new entries to their objects
    #[serde(default)]
    sekoia_base_url: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Objects {
    List(Vec<Json>),
    One(Map<String, Json>),
}

impl StixObjects {
    /// As the arguments of `push_indicators`.
    pub fn into_arguments(self) -> Map<String, Json> {
        let mut arguments = Map::new();
        match self.stix_objects {
            // The thing goes before the path to it.
            Some(Objects::List(list)) => {
                arguments.insert("stix_objects".to_owned(), Json::Array(list));
            }
            Some(Objects::One(mut object)) => {
                let list = match object.remove("objects") {
                    Some(Json::Array(list)) => list,
                    _ => vec![Json::Object(object)],
                };
                arguments.insert("stix_objects".to_owned(), Json::Array(list));
            }
            None => {
                if let Some(path) = self.stix_objects_path {
                    arguments.insert("stix_objects_path".to_owned(), Json::String(path));
                }
            }
        }
        if let Some(platform) = self.sekoia_base_url.filter(|text| !text.trim().is_empty()) {
            arguments.insert("sekoia_base_url".to_owned(), Json::String(platform));
        }
        arguments
    }
}

/// The schema of an action's own arguments with those of every writing action beside them.
pub fn arguments<T: JsonSchema>() -> Schema {
    let mut own = schema::<T>();
    let common = schema::<Common>();
    let common = common.get("properties").and_then(Json::as_object);
    let properties = own
        .ensure_object()
        .entry("properties")
        .or_insert_with(|| Json::Object(Map::new()));
    if let (Some(properties), Some(common)) = (properties.as_object_mut(), common) {
        for (name, property) in common {
            properties
                .entry(name.clone())
                .or_insert_with(|| property.clone());
        }
    }
    own
}

/// The report's schema with the results that only this action has.
pub fn results(named: Json) -> Schema {
    let mut report = schema::<Report>();
    if let (Some(properties), Json::Object(named)) = (
        report
            .ensure_object()
            .get_mut("properties")
            .and_then(Json::as_object_mut),
        named,
    ) {
        properties.extend(named);
    }
    report
}

/// Takes arguments apart: the action's own, and those of every writing action, to be handed on.
pub fn read<T: DeserializeOwned>(arguments: Json) -> Result<(T, Map<String, Json>)> {
    let Json::Object(given) = arguments else {
        return Err(Error::input("the arguments are not a JSON object"));
    };
    let common = schema::<Common>();
    let is_common = |name: &str| {
        common
            .get("properties")
            .is_some_and(|properties| properties.get(name).is_some())
    };
    let (common, own): (Map<String, Json>, Map<String, Json>) =
        given.into_iter().partition(|(name, _)| is_common(name));
    let own = serde_json::from_value(Json::Object(own))
        .map_err(|error| Error::input("the arguments are not as they should be").because(error))?;
    Ok((own, common))
}

/// A value of the type that a playbook says it has. A value of another type is refused: blocking it would be a
/// guess.
pub fn typed(value: &str, kind: &str, kinds: &[Kind]) -> Result<Value> {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let known = kinds
        .iter()
        .find(|known| known.name().eq_ignore_ascii_case(kind.trim()))
        .ok_or_else(|| {
            Error::input(format!("type {kind:?} is not taken"))
                .hint(format!("one of: {}", names.join(", ")))
        })?;
    Value::parse(*known, &refang(value.trim())).map_err(|error| {
        Error::input(format!("value {value:?} is no {}", known.name())).because(error)
    })
}

/// Sets a field of a configuration; one that is no object is refused later, by what reads it.
pub fn configure(configuration: &mut Json, field: &str, value: impl Into<Json>) {
    if let Some(fields) = configuration.as_object_mut() {
        fields.insert(field.to_owned(), value.into());
    }
}

/// Whose entries an action changes: the argument's, the configuration's, or what people do by hand.
pub fn owner(common: &Map<String, Json>, setup: &Setup) -> Result<Owner> {
    let argument = common.get("deployment").and_then(Json::as_str);
    Owner::new(argument.or(setup.deployment.as_deref()).unwrap_or(BY_HAND))
}

/// Whether an action is to send nothing.
pub fn is_dry(common: &Map<String, Json>, context: &Context) -> bool {
    context.dry_run || common.get("dry_run") == Some(&Json::Bool(true))
}

/// An outcome with one more result.
pub fn with_result(outcome: Outcome, name: &str, value: Json) -> Outcome {
    match outcome {
        Outcome::Report(mut report) => {
            report.named.insert(name.to_owned(), value);
            Outcome::Report(report)
        }
        view @ Outcome::View(_) => view,
    }
}

/// Runs a uniform action in place of this one.
pub async fn uniform(
    call: Call<'_>,
    command: &str,
    arguments: Map<String, Json>,
) -> Result<Outcome> {
    let Call {
        connector,
        configuration,
        context,
        ..
    } = call;
    run(
        connector,
        command,
        Json::Object(arguments),
        configuration,
        context,
    )
    .await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Own {
        #[serde(flatten)]
        objects: StixObjects,
        name: String,
    }

    #[test]
    fn own_and_common_arguments_are_told_apart() {
        let given = json!({
            "name": "a", "stix_objects_path": "b.json", "sekoia_base_url": " ",
            "dry_run": true, "exclude": ["a.example.org"],
        });
        let (own, common) = read::<Own>(given).unwrap();
        assert_eq!(own.name, "a");
        assert_eq!(
            Json::Object(common),
            json!({ "dry_run": true, "exclude": ["a.example.org"] })
        );
        assert_eq!(
            Json::Object(own.objects.into_arguments()),
            json!({ "stix_objects_path": "b.json" }),
            "an empty platform is none"
        );
        let error = read::<Own>(json!({ "dry_run": true })).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Input);
        let schema = arguments::<Own>().to_value();
        for name in [
            "name",
            "stix_objects",
            "stix_objects_path",
            "dry_run",
            "fail_on",
        ] {
            assert!(schema["properties"][name].is_object(), "{name}: {schema}");
        }
        assert_eq!(schema["required"], json!(["name"]));
    }

    #[test]
    fn a_bundle_and_a_list_are_the_same_objects() {
        let object = json!({ "type": "indicator" });
        let read = |objects: Json| {
            let (own, _) =
                read::<StixObjects>(json!({ "stix_objects": objects, "stix_objects_path": "x" }))
                    .unwrap();
            Json::Object(own.into_arguments())
        };
        let expected = json!({ "stix_objects": [object] });
        assert_eq!(read(json!([object])), expected);
        assert_eq!(
            read(json!({ "type": "bundle", "objects": [object] })),
            expected
        );
        assert_eq!(read(object), expected);
    }

    #[test]
    fn a_value_is_of_the_type_it_is_said_to_have() {
        let kinds = [Kind::Md5, Kind::Domain];
        let domain = typed("Evil[.]Example.net ", " Domain", &kinds).unwrap();
        assert_eq!(domain.to_string(), "evil.example.net");
        for (value, kind) in [
            ("8.8.8.8", "ipv4"),
            ("8.8.8.8", "md5"),
            ("", "domain"),
            ("a.example.net", ""),
        ] {
            let error = typed(value, kind, &kinds).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Input, "{value} {kind}");
        }
    }
}
