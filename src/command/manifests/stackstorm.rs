//! A StackStorm pack. Its actions run the program on StackStorm's host. Arguments go onto the command line,
//! the configuration with its secrets goes into the environment.

use sdk::action::ActionInfo;
use sdk::connector::Connector;
use serde_json::{Map, Value as Json, json};

use super::argument::{self, Argument};
use super::fields::{self, Field};
use super::{Files, VERSION, schema, text};

/// Seconds that an action may take: a first run waits for the vendor's rate limits.
const TIMEOUT: u32 = 1_800;

/// What the actions run. What follows `--` is never taken for an option of the program.
const SCRIPT: &str = "#!/bin/sh\n\
    exec cordon run \"$CORDON_RUN_CONNECTOR\" \"$CORDON_RUN_ACTION\" --dialect stackstorm -- \"$@\"\n";

/// Adds the pack.
pub(super) fn add(connectors: &[&Connector], files: &mut Files) {
    let mut add = |name: &str, content: Vec<u8>| {
        files.insert(format!("stackstorm/{name}"), content);
    };
    let pack = json!({
        "ref": "cordon",
        "name": "cordon",
        "description": "Puts indicators on the right EDR, proxy or firewall, and takes them down again on time",
        "keywords": connectors.iter().map(|connector| connector.name).collect::<Vec<_>>(),
        "version": VERSION,
        "author": "Cordon",
        "python_versions": ["3"],
    });
    add("pack.yaml", text::yaml(&pack));
    add("actions/cordon.sh", SCRIPT.as_bytes().to_vec());
    let mut configuration = Map::new();
    for connector in connectors {
        let fields = fields::of(connector);
        for field in &fields {
            configuration.insert(key(connector, field), item(connector, field));
        }
        for action in sdk::action::catalog(connector) {
            let name = format!("{}_{}", connector.name, action.command);
            let content = one(connector, &action, &fields, &name);
            add(&format!("actions/{name}.yaml"), text::yaml(&content));
        }
    }
    add(
        "config.schema.yaml",
        text::yaml(&Json::Object(configuration)),
    );
}

/// A field's name in the pack's configuration, which is one for all connectors.
fn key(connector: &Connector, field: &Field) -> String {
    format!("{}_{}", connector.name, field.name)
}

fn item(connector: &Connector, field: &Field) -> Json {
    let description = field.schema.get("description").and_then(Json::as_str);
    json!({
        "description": format!("{}: {}", connector.title, description.unwrap_or(&field.name)),
        "type": schema::one_type(&field.schema),
        "required": false,
        "secret": field.is_secret,
    })
}

fn one(connector: &Connector, action: &ActionInfo, fields: &[Field], name: &str) -> Json {
    let mut environment = Map::new();
    environment.insert("CORDON_RUN_CONNECTOR".to_owned(), json!(connector.name));
    environment.insert("CORDON_RUN_ACTION".to_owned(), json!(action.command));
    for field in fields {
        let variable = format!("CORDON_{}", field.name.to_uppercase());
        environment.insert(variable, json!(value(connector, field)));
    }
    let mut parameters: Map<String, Json> = argument::all(action)
        .iter()
        .filter(|argument| is_name(&argument.name))
        .map(|argument| (argument.name.clone(), parameter(argument)))
        .collect();
    // Where the values stand is nobody's choice: whoever may run the action may not see them.
    parameters.insert(
        "env".to_owned(),
        json!({ "default": environment, "immutable": true }),
    );
    parameters.insert("timeout".to_owned(), json!({ "default": TIMEOUT }));
    json!({
        "name": name,
        "description": format!("{}: {}", connector.title, action.description),
        "enabled": true,
        "runner_type": "local-shell-script",
        "entry_point": "cordon.sh",
        "parameters": parameters,
    })
}

/// Whether StackStorm takes a parameter of this name. An argument with another name has a second one.
fn is_name(name: &str) -> bool {
    name.chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A field's value as a template. StackStorm writes all of `env` as JSON before it renders it: no double
/// quote may stand in a template, and what comes out of it has to be escaped. A field without a value gives
/// an empty variable, which counts as none.
fn value(connector: &Connector, field: &Field) -> String {
    let path = format!("config_context.{}", key(connector, field));
    if schema::one_type(&field.schema) == "string" {
        format!("{{{{ {path} | default('', true) | json_escape }}}}")
    } else {
        format!(
            "{{% if {path} is defined and {path} is not none %}}{{{{ {path} | to_json_string | json_escape }}}}{{% endif %}}"
        )
    }
}

/// An argument in the pack's dialect of draft 4, where `required` is a truth and formats are unknown. A list
/// goes onto the command line as Python writes it, which for more than plain texts is nothing that anybody
/// reads; a text goes there as it is.
fn parameter(argument: &Argument) -> Json {
    let mut parameter = if schema::has_parts(&argument.schema) {
        json!({ "description": format!("{} (as JSON)", argument.description()), "type": "string" })
    } else {
        argument.schema.clone()
    };
    without_formats(&mut parameter);
    parameter["required"] = Json::Bool(argument.is_required);
    parameter
}

fn without_formats(schema: &mut Json) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    fields.remove("format");
    if let Some(items) = fields.get_mut("items") {
        without_formats(items);
    }
    if let Some(Json::Array(choices)) = fields.get_mut("anyOf") {
        choices.iter_mut().for_each(without_formats);
    }
}
