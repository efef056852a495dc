//! The UUIDs that were ever published. Playbooks hold them: none may change, and none may go.

use std::path::Path;

use sdk::connector::Connector;
use sdk::{Error, ErrorKind, Result};
use serde_json::{Map, Value as Json, json};

use crate::identity;

/// Where they stand.
pub(super) const FILE: &str = "uuids.json";

/// Those of this program.
pub(super) fn now(connectors: &[&Connector]) -> Json {
    let modules: Map<String, Json> = connectors
        .iter()
        .map(|connector| {
            let actions: Map<String, Json> = sdk::action::catalog(connector)
                .into_iter()
                .map(|action| {
                    let uuid = identity::action_uuid(connector.name, action.command);
                    (action.command.to_owned(), json!(uuid))
                })
                .collect();
            let module =
                json!({ "uuid": identity::module_uuid(connector.name), "actions": actions });
            (connector.name.to_owned(), module)
        })
        .collect();
    Json::Object(modules)
}

/// An error where the list in the directory has a UUID that this program has not.
pub(super) fn keep(directory: &Path, connectors: &[&Connector]) -> Result<()> {
    let path = directory.join(FILE);
    let list = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        list => list.map_err(|error| {
            Error::config("the published UUIDs cannot be read")
                .with("file", path.display())
                .because(error)
        })?,
    };
    let published: Json = serde_json::from_slice(&list).map_err(|error| {
        Error::config("the published UUIDs are not JSON")
            .with("file", path.display())
            .because(error)
    })?;
    let lost = lost(&published, &now(connectors));
    if lost.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!("published UUIDs are lost: {}", lost.join(", ")),
    )
    .hint(format!(
        "playbooks hold them: keep the action and what its UUID is derived from; {FILE} only grows"
    )))
}

/// What the first has and the second has not, or has otherwise.
fn lost(published: &Json, now: &Json) -> Vec<String> {
    let mut lost = Vec::new();
    let mut compare = |what: String, was: Option<&Json>, is: Option<&Json>| {
        if was.is_some() && was != is {
            lost.push(what);
        }
    };
    for (module, was) in published.as_object().into_iter().flatten() {
        let is = now.get(module);
        compare(
            module.clone(),
            was.get("uuid"),
            is.and_then(|it| it.get("uuid")),
        );
        let actions = was.get("actions").and_then(Json::as_object);
        for (command, was) in actions.into_iter().flatten() {
            let is = is.and_then(|it| it.get("actions")?.get(command));
            compare(format!("{module}/{command}"), Some(was), is);
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_neither_changes_nor_goes_and_new_ones_may_come() {
        let published = json!({
            "falcon": { "uuid": "1", "actions": { "block": "2", "check": "3" } },
        });
        assert_eq!(lost(&published, &published), [""; 0]);
        let more = json!({
            "falcon": { "uuid": "1", "actions": { "block": "2", "check": "3", "new": "4" } },
            "other": { "uuid": "5", "actions": {} },
        });
        assert_eq!(lost(&published, &more), [""; 0]);
        let changed =
            json!({ "falcon": { "uuid": "9", "actions": { "block": "2", "check": "8" } } });
        assert_eq!(lost(&published, &changed), ["falcon", "falcon/check"]);
        let gone = json!({ "falcon": { "uuid": "1", "actions": { "check": "3" } } });
        assert_eq!(lost(&published, &gone), ["falcon/block"]);
        assert_eq!(
            lost(&published, &json!({})),
            ["falcon", "falcon/block", "falcon/check"]
        );
    }
}
