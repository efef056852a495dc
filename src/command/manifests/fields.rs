//! The fields of a connector's configuration, our own included, for every engine.

use sdk::connector::Connector;
use serde_json::{Value as Json, json};

use super::schema;
use crate::sekoia::secret_names;

/// One field at the top level.
pub(super) struct Field {
    pub(super) name: String,
    /// In plain words; secrets within are marked with `x-secret`.
    pub(super) schema: Json,
    pub(super) is_required: bool,
    /// Whether it, or something in it, is a secret that engines keep by this name.
    pub(super) is_secret: bool,
}

/// All of them: the connector's in its order, then ours.
pub(super) fn of(connector: &Connector) -> Vec<Field> {
    let secrets = secret_names(connector);
    let plain = schema::plain((connector.schema)().as_value());
    let mut fields: Vec<Field> = schema::properties(&plain)
        .map(|(name, schema)| Field {
            name: name.clone(),
            schema: schema.clone(),
            is_required: schema::is_required(&plain, name),
            is_secret: secrets.contains(name),
        })
        .collect();
    for (name, schema) in common(connector) {
        if fields.iter().all(|field| field.name != name) {
            fields.push(Field {
                name: name.to_owned(),
                schema,
                is_required: false,
                is_secret: secrets.iter().any(|secret| secret == name),
            });
        }
    }
    fields
}

/// Our own fields of every connector that has targets.
fn common(connector: &Connector) -> Vec<(&'static str, Json)> {
    if connector.mechanisms.is_empty() {
        return Vec::new();
    }
    let text = |description: &str| json!({ "description": description, "type": "string" });
    let mut installation =
        text("Name of this installation in marks; do not change it while something is blocked");
    installation["default"] = json!("main");
    let unattended = json!({
        "description": "Whether the argument `allow_mass_change` may be `true` in place of a digest",
        "type": "boolean",
        "default": false,
    });
    vec![
        (
            "deployment",
            text("Owner of the entries, where an action does not name one"),
        ),
        ("installation", installation),
        (
            "sekoia_base_url",
            text("Sekoia: URL of the API, for collections that are named by their id"),
        ),
        (
            "sekoia_api_key",
            text("Sekoia: API key that may read these collections"),
        ),
        ("allow_mass_change_unattended", unattended),
    ]
}
