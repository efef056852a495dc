//! The catalog: every connector and action with its schemas, for engines that have no folder of their own.

use sdk::connector::Connector;
use serde_json::{Value as Json, json};

use super::{VERSION, schema};
use crate::command::connectors;
use crate::identity;
use crate::sekoia::secret_names;

/// All of it.
pub(super) fn of(all: &[&Connector]) -> Json {
    json!({
        "version": VERSION,
        "connectors": all.iter().map(|connector| one(connector)).collect::<Vec<_>>(),
    })
}

fn one(connector: &Connector) -> Json {
    let actions: Vec<Json> = sdk::action::catalog(connector)
        .into_iter()
        .map(|action| {
            json!({
                "command": action.command,
                "uuid": identity::action_uuid(connector.name, action.command),
                "name": action.name,
                "description": action.description,
                "writes": action.writes,
                "arguments": schema::plain(action.arguments.as_value()),
                "results": schema::plain(action.results.as_value()),
            })
        })
        .collect();
    let mut one = connectors::to_json(connector);
    one["uuid"] = json!(identity::module_uuid(connector.name));
    one["configuration"] = Json::Object(schema::plain((connector.schema)().as_value()));
    one["secrets"] = json!(secret_names(connector));
    one["actions"] = Json::Array(actions);
    one
}
