//! A module of a Sekoia playbook, complete: what the platform reads, and what its public compliance checker
//! looks for.

mod stubs;

use sdk::action::ActionInfo;
use sdk::connector::Connector;
use sdk::indicator::Kind;
use sdk::target::{Capabilities, Effect};
use serde_json::{Map, Value as Json, json};

use super::{Files, VERSION, changelog, fields, logo, schema, text};
use crate::identity;
use crate::sekoia::{LISTS, secret_names};

/// What names files or folders of this machine means nothing in a container.
const LEFT_OUT: [&str; 2] = ["ca_file", "publish"];

/// Adds the module's folder.
pub(super) fn add(connector: &Connector, image: &str, files: &mut Files) {
    let mut add = |name: &str, content: Vec<u8>| {
        files.insert(format!("{}/{name}", connector.name), content);
    };
    let catalog = sdk::action::catalog(connector);
    add(
        "manifest.json",
        text::python_json(&manifest(connector, &catalog)),
    );
    for action in &catalog {
        let name = format!("action_{}.json", action.command);
        add(&name, text::python_json(&one(connector, action)));
    }
    add("CHANGELOG.md", changelog::markdown().into_bytes());
    add("CONFIGURE.md", stubs::configure(connector).into_bytes());
    add(
        "Dockerfile",
        stubs::dockerfile(connector, image).into_bytes(),
    );
    add("logo.png", logo::png(connector.name));
    add("logo.svg", logo::svg(connector.name).into_bytes());
    add("main.py", stubs::main(&catalog).into_bytes());
    add("poetry.lock", stubs::LOCK.as_bytes().to_vec());
    add("pyproject.toml", stubs::project(connector).into_bytes());
    add("tests/test_module.py", stubs::TEST.as_bytes().to_vec());
}

/// What the module is called in a playbook editor. The vendor's name alone is the platform's own module.
fn name(connector: &Connector) -> String {
    format!("Cordon for {}", connector.title)
}

fn slug(connector: &Connector) -> String {
    format!("cordon-{}", connector.name)
}

fn description(connector: &Connector) -> String {
    if connector.mechanisms.is_empty() {
        return format!(
            "Reads and writes collections of indicators in {}.",
            connector.title
        );
    }
    let ways: Vec<String> = connector
        .mechanisms
        .iter()
        .map(|mechanism| format!("{} ({})", mechanism.mechanism, mechanism.summary))
        .collect();
    format!(
        "Puts indicators on {}, and takes them down again on time: {}.",
        connector.title,
        ways.join(", ")
    )
}

/// One of the platform's categories: what keeps addresses or names off stands in the network.
fn category(connector: &Connector) -> &'static str {
    let prevents = |mechanism: &Capabilities, kind: Kind| {
        let support = mechanism.kind(kind);
        support.is_some_and(|support| support.effect == Effect::Prevent)
    };
    match connector.mechanisms.first() {
        None => "Threat Intelligence",
        Some(default)
            if [Kind::Ipv4, Kind::Domain]
                .iter()
                .any(|kind| prevents(default, *kind)) =>
        {
            "Network"
        }
        Some(_) => "Endpoint",
    }
}

fn manifest(connector: &Connector, catalog: &[ActionInfo]) -> Json {
    json!({
        "uuid": identity::module_uuid(connector.name),
        "name": name(connector),
        "slug": slug(connector),
        "description": description(connector),
        "version": VERSION,
        "configuration": configuration(connector),
        "categories": [category(connector)],
        "supports_validation": catalog.iter().any(|action| action.command == "check"),
    })
}

/// The configuration. The platform keeps secrets by their names at the top level alone: a secret deeper down
/// would be kept in clear, so that the form has no room for one.
fn configuration(connector: &Connector) -> Json {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for mut field in fields::of(connector) {
        if LEFT_OUT.contains(&field.name.as_str()) {
            continue;
        }
        if !field.is_secret {
            without_secrets(&mut field.schema);
        }
        schema::without_marks(&mut field.schema);
        if field.is_required {
            required.push(field.name.clone());
        }
        properties.insert(field.name, field.schema);
    }
    json!({
        "$schema": schema::DRAFT,
        "title": format!("{} configuration", name(connector)),
        "type": "object",
        "properties": properties,
        "required": required,
        "secrets": secret_names(connector),
    })
}

/// Takes every property that is a secret out of a schema.
fn without_secrets(field: &mut Json) {
    let Some(fields) = field.as_object_mut() else {
        return;
    };
    if let Some(Json::Object(properties)) = fields.get_mut("properties") {
        properties.retain(|_, field| !schema::is_secret(field));
        let left: Vec<String> = properties.keys().cloned().collect();
        if let Some(Json::Array(required)) = fields.get_mut("required") {
            required.retain(|name| left.iter().any(|left| name == left));
        }
    }
    for word in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(word) {
            without_secrets(inner);
        }
    }
    for word in ["properties", "anyOf"] {
        match fields.get_mut(word) {
            Some(Json::Object(all)) => all.values_mut().for_each(without_secrets),
            Some(Json::Array(all)) => all.iter_mut().for_each(without_secrets),
            _ => {}
        }
    }
}

fn one(connector: &Connector, action: &ActionInfo) -> Json {
    let arguments = schema::plain(action.arguments.as_value());
    let results = schema::plain(action.results.as_value());
    let mut one = json!({
        "name": action.name,
        "description": action.description,
        "uuid": identity::action_uuid(connector.name, action.command),
        "slug": action.command,
        "docker_parameters": action.command,
    });
    // Only a report can be held or partial.
    let is_report = schema::properties(&results).any(|(name, _)| name == "held");
    one["arguments"] = schema::titled("Arguments", with_properties(arguments));
    one["results"] = schema::titled("Results", with_files(results));
    if is_report {
        one["outputs"] = json!({
            "default": "All of it was done",
            "held": "Some changes wait for approval; the others were done",
            "partial": "A source, a device or an entry failed; the others were done",
        });
    }
    one
}

fn with_properties(mut schema: Map<String, Json>) -> Map<String, Json> {
    schema.remove("description");
    schema.entry("properties").or_insert_with(|| json!({}));
    schema
}

/// The lists that the runtime gives in files where the objects came from one, or where they are long.
fn with_files(schema: Map<String, Json>) -> Map<String, Json> {
    let mut schema = with_properties(schema);
    let mut properties = Map::new();
    for (name, field) in schema::properties(&schema) {
        properties.insert(name.clone(), field.clone());
        if LISTS.contains(&name.as_str()) {
            let text = format!(
                "File with `{name}`, in its place where they are many or the indicators came from a file"
            );
            let path = json!({ "description": text, "type": "string" });
            properties.insert(format!("{name}_path"), path);
        }
    }
    if let Some(Json::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !LISTS.iter().any(|list| name == list));
    }
    schema.insert("properties".to_owned(), Json::Object(properties));
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_below_a_list_has_no_place_in_the_form() {
        let mut field = json!({
            "type": "array",
            "items": {
                "type": "object",
                "properties": { "host": { "type": "string" }, "key": { "type": "string", "x-secret": true } },
                "required": ["host", "key"],
            },
        });
        without_secrets(&mut field);
        assert_eq!(
            field,
            json!({
                "type": "array",
                "items": { "type": "object", "properties": { "host": { "type": "string" } }, "required": ["host"] },
            })
        );
    }

    #[test]
    fn every_secret_is_a_property_and_named_one_and_none_stands_elsewhere() {
        for connector in crate::connectors::all() {
            let raw = (connector.schema)().to_value();
            let marks = raw.to_string().matches("\"x-secret\":true").count();
            assert!(marks > 0, "{}", connector.name);
            let configuration = configuration(connector);
            let secrets: Vec<&str> = configuration["secrets"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            for name in &secrets {
                assert!(configuration["properties"].get(*name).is_some(), "{name}");
            }
            let plain = schema::plain(&raw);
            for (name, field) in schema::properties(&plain) {
                let shown = &configuration["properties"][name];
                let is_open = !secrets.contains(&name.as_str());
                if is_open && field.to_string().contains("x-secret") {
                    let mut bare = field.clone();
                    without_secrets(&mut bare);
                    assert!(!bare.to_string().contains("x-secret"), "{name}");
                    assert_eq!(*shown, bare, "{name}");
                }
            }
        }
    }

    #[test]
    fn lists_have_a_file_beside_them() {
        let connector = crate::connectors::find("crowdstrike").unwrap();
        let catalog = sdk::action::catalog(connector);
        let of = |command: &str| {
            let action = catalog.iter().find(|it| it.command == command).unwrap();
            one(connector, action)
        };
        let push = of("push_indicators");
        for name in ["changes", "changes_path", "details", "details_path"] {
            assert!(push["results"]["properties"].get(name).is_some(), "{name}");
        }
        for name in ["stix_objects", "stix_objects_path"] {
            assert!(
                push["arguments"]["properties"].get(name).is_some(),
                "{name}"
            );
        }
        assert_eq!(push["outputs"].as_object().unwrap().len(), 3);
        let list = of("list_blocked");
        assert!(list["results"]["properties"].get("entries_path").is_some());
        assert_eq!(list.get("outputs"), None);
    }
}
