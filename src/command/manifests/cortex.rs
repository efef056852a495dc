//! Responders of TheHive Cortex: what can be done to one observable. The image is started without arguments
//! and finds its job in a folder; which action it is stands in the definition's `config`.

use sdk::action::ActionInfo;
use sdk::connector::Connector;
use serde_json::{Map, Value as Json, json};

use super::{LICENCE, VERSION, argument, fields, schema};

/// The catalog, as `responder.urls` of Cortex takes it. The image is that of the stage `cortex` of the Dockerfile.
pub(super) fn catalog(connectors: &[&Connector], image: &str) -> Json {
    let mut all = Vec::new();
    for connector in connectors {
        for action in sdk::action::catalog(connector) {
            let arguments = schema::plain(action.arguments.as_value());
            if schema::properties(&arguments).any(|(name, _)| name == "values") {
                all.push(one(connector, &action, &arguments, image));
            }
        }
    }
    Json::Array(all)
}

fn one(
    connector: &Connector,
    action: &ActionInfo,
    arguments: &Map<String, Json>,
    image: &str,
) -> Json {
    let configuration = fields::of(connector);
    let mut items: Vec<Json> = configuration
        .iter()
        .map(|field| item(&field.name, &field.schema, field.is_required))
        .collect();
    let is_field = |name: &str| configuration.iter().any(|field| field.name == name);
    // The observable is the value; a file of the analyst's choice is none of Cortex's.
    let more = schema::properties(arguments)
        .filter(|(name, _)| *name != "values" && !argument::is_bulk(name) && !is_field(name));
    for (name, schema) in more {
        items.push(item(name, schema, false));
    }
    json!({
        "name": format!("Cordon_{}_{}", connector.name, action.command),
        "version": VERSION,
        "author": "Cordon",
        "url": "",
        "license": LICENCE,
        "description": format!("{}: {}", connector.title, action.description),
        "dataTypeList": ["thehive:case_artifact"],
        "dockerImage": image,
        "baseConfig": format!("Cordon_{}", connector.name),
        "config": { "connector": connector.name, "service": action.command },
        "configurationItems": items,
    })
}

/// One item. Items are flat: what has parts is a text with JSON in it.
fn item(name: &str, schema: &Json, required: bool) -> Json {
    let (kind, multi) = match schema::one_type(schema) {
        _ if schema::has_parts(schema) => ("text", false),
        "boolean" => ("boolean", false),
        "integer" | "number" => ("number", false),
        "array" => ("string", true),
        _ => ("string", false),
    };
    let mut description = schema
        .get("description")
        .and_then(Json::as_str)
        .unwrap_or(name)
        .to_owned();
    if kind == "text" {
        description.push_str(" (as JSON)");
    }
    let mut item = json!({
        "name": name,
        "description": description,
        "type": kind,
        "multi": multi,
        "required": required,
    });
    if kind != "text"
        && let Some(default) = schema.get("default")
    {
        item["defaultValue"] = default.clone();
    }
    item
}
