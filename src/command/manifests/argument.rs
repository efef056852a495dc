//! The arguments of an action, for engines that have a form or a line for each.

use sdk::action::ActionInfo;
use serde_json::Value as Json;

use super::schema;

/// One argument.
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) schema: Json,
    pub(super) is_required: bool,
}

impl Argument {
    /// What it is, in words.
    pub(super) fn description(&self) -> &str {
        let text = self.schema.get("description").and_then(Json::as_str);
        text.unwrap_or(&self.name)
    }

    /// What it is if nobody says.
    pub(super) fn default(&self) -> Option<&Json> {
        self.schema.get("default")
    }
}

/// All of them, in their order.
pub(super) fn all(action: &ActionInfo) -> Vec<Argument> {
    let plain = schema::plain(action.arguments.as_value());
    schema::properties(&plain)
        .map(|(name, schema)| Argument {
            name: name.clone(),
            schema: schema.clone(),
            is_required: schema::is_required(&plain, name),
        })
        .collect()
}

/// Those that fit on a line.
pub(super) fn small(action: &ActionInfo) -> Vec<Argument> {
    let mut all = all(action);
    all.retain(|argument| !is_bulk(&argument.name));
    all
}

/// Whether it brings many objects, or a file of the machine that runs the action.
pub(super) fn is_bulk(name: &str) -> bool {
    name.ends_with("_path") || name == "stix_objects"
}
