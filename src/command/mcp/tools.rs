//! What a client is offered: for every connection each action that only looks, the dry run of each that
//! writes, and where allowed the writing itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use sdk::Error;
use sdk::action::ActionInfo;
use sdk::collection::Source;
use sdk::connector::Connector;
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use crate::command::run::is_reserved;
use crate::sekoia::secrets::Redactor;

/// Longest name of a tool (MCP, tools).
const LONGEST_NAME: usize = 128;

/// Only playbook engines ask for it.
const FAIL_ON: &str = "fail_on";

/// What is held waits for a person, and its result shows the digest that lets it through.
pub(super) const MASS_CHANGE: &str = "allow_mass_change";

const DRY_RUN: &str = "dry_run";

/// A product with its credentials.
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) connector: &'static Connector,
    pub(super) configuration: Json,
    /// What must never be blocked there: the lists of every deployment on it.
    pub(super) protect: Vec<Source>,
    pub(super) redactor: Redactor,
    /// One action at a time: each has its own limiter, the vendor counts them together.
    pub(super) turn: Mutex<()>,
}

impl Connection {
    pub(super) fn new(name: String, connector: &'static Connector, configuration: Json) -> Self {
        let schema = (connector.schema)().to_value();
        let mut redactor = Redactor::default();
        redactor.add_secrets(&schema, &schema, &configuration);
        Self {
            name,
            connector,
            configuration,
            protect: Vec::new(),
            redactor,
            turn: Mutex::new(()),
        }
    }
}

/// A tool and what it does.
pub(super) struct Offer {
    pub(super) tool: Tool,
    pub(super) connection: Arc<Connection>,
    pub(super) command: &'static str,
    /// Nothing is sent, whatever the arguments say.
    pub(super) dry_run: bool,
    /// Whether it is left to finish when nobody waits for it any more.
    pub(super) writes: bool,
    /// What it takes.
    pub(super) schema: Json,
}

/// The tools by name.
pub(super) fn offered(
    connections: Vec<Connection>,
    allow_writes: bool,
) -> Result<BTreeMap<String, Offer>, Error> {
    let mut offers = BTreeMap::new();
    for connection in connections {
        let connection = Arc::new(connection);
        for action in sdk::action::catalog(connection.connector) {
            let name = name(&connection.name, action.command);
            if !action.writes {
                add(&mut offers, name, &action, &connection, false)?;
                continue;
            }
            let can_try = action
                .arguments
                .pointer("/properties")
                .is_some_and(|all| all.get(DRY_RUN).is_some());
            if can_try {
                let name = format!("{name}_{DRY_RUN}");
                add(&mut offers, name, &action, &connection, true)?;
            }
            if allow_writes {
                add(&mut offers, name, &action, &connection, false)?;
            }
        }
    }
    Ok(offers)
}

/// Letters, digits, `_` and `-`: what every client takes.
fn name(connection: &str, command: &str) -> String {
    format!("{connection}_{command}")
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() || letter == '-' {
                letter
            } else {
                '_'
            }
        })
        .collect()
}

fn add(
    offers: &mut BTreeMap<String, Offer>,
    name: String,
    action: &ActionInfo,
    connection: &Arc<Connection>,
    dry_run: bool,
) -> Result<(), Error> {
    if name.len() > LONGEST_NAME {
        return Err(Error::config(format!(
            "{name:?} is longer than the {LONGEST_NAME} characters of a tool's name"
        ))
        .hint("give the target a shorter name"));
    }
    let schema = arguments(action, dry_run);
    let where_to = format!("On {} ({}).", connection.name, connection.connector.title);
    let description = if dry_run {
        format!(
            "Dry run: reports what {} would do, and sends nothing. {}. {where_to}",
            action.command, action.description
        )
    } else {
        format!("{}. {where_to}", action.description)
    };
    let title = if dry_run {
        format!("{}: dry run ({})", action.name, connection.name)
    } else {
        format!("{} ({})", action.name, connection.name)
    };
    let writes = action.writes && !dry_run;
    // A block adds an entry and can still cut people off: only what looks is harmless. Running a uniform
    // action again at once writes nothing; what a connector's own action does nobody promised.
    let own = connection.connector.actions;
    let uniform = !own.iter().any(|it| (it.info)().command == action.command);
    let annotations = ToolAnnotations::with_title(title.clone())
        .read_only(!writes)
        .destructive(writes)
        .idempotent(!writes || uniform)
        .open_world(true);
    let tool = Tool::new(name.clone(), description, object(&schema))
        .with_title(title)
        .with_raw_output_schema(object(&plain(action.results.as_value())).into())
        .with_annotations(annotations);
    let offer = Offer {
        tool,
        connection: Arc::clone(connection),
        command: action.command,
        dry_run,
        writes,
        schema,
    };
    match offers.insert(name.clone(), offer) {
        None => Ok(()),
        Some(other) => Err(Error::config(format!(
            "{} of {} and of {} would both be the tool {name}",
            action.command, other.connection.name, connection.name
        ))
        .hint("give one of the targets another name")),
    }
}

fn object(schema: &Json) -> JsonObject {
    schema.as_object().cloned().unwrap_or_default()
}

/// Our schemas mean the same in draft-07 and in 2020-12, which MCP takes where none is named.
fn plain(schema: &Json) -> Json {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
        fields.remove("title");
    }
    schema
}

/// What a client may give.
fn arguments(action: &ActionInfo, dry_run: bool) -> Json {
    let mut schema = plain(action.arguments.as_value());
    let out = |name: &str| {
        is_reserved(name) || [FAIL_ON, MASS_CHANGE].contains(&name) || (dry_run && name == DRY_RUN)
    };
    let keep = |name: &str| !out(name);
    if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        properties.retain(|name, _| keep(name));
    } else {
        schema["properties"] = Json::Object(Map::new());
    }
    if let Some(required) = schema.get_mut("required").and_then(Json::as_array_mut) {
        required.retain(|name| name.as_str().is_some_and(keep));
    }
    schema["additionalProperties"] = Json::Bool(false);
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_a_collision_is_told() {
        assert_eq!(name("eu.falcon", "block"), "eu_falcon_block");
        let connector = crate::connectors::find("crowdstrike").unwrap();
        let connection = |name: &str| Connection::new(name.to_owned(), connector, Json::Null);
        let offers = offered(vec![connection("b"), connection("a")], true).unwrap();
        assert!(offers.contains_key("a_block_dry_run") && offers.contains_key("b_block"));
        let error = offered(vec![connection("a.b"), connection("a_b")], false)
            .err()
            .unwrap();
        assert!(error.message().contains("a.b and of a_b"), "{error}");
    }

    #[test]
    fn no_tool_takes_a_file_an_address_or_a_credential() {
        for connector in crate::connectors::all() {
            let connection = Connection::new("t".to_owned(), connector, Json::Null);
            let secrets = crate::sekoia::secrets::names(connector);
            for (name, offer) in offered(vec![connection], true).unwrap() {
                let properties = offer.schema["properties"].as_object().unwrap();
                for argument in properties.keys() {
                    assert!(!is_reserved(argument), "{name} {argument}");
                    assert!(!secrets.contains(argument), "{name} {argument}");
                }
                assert_eq!(offer.dry_run, name.ends_with("_dry_run"), "{name}");
                assert_eq!(offer.schema["type"], "object", "{name}");
                let output = offer.tool.output_schema.as_ref().unwrap();
                assert_eq!(output["type"], "object", "{name}");
            }
        }
    }
}
