//! `cordon manifests`: what is generated from the code and checked in.

use std::collections::BTreeMap;
use std::path::Path;

use sdk::{Error, ErrorKind};
use serde_json::{Value as Json, json};

use super::Outcome;
use crate::connectors;
use crate::output::{Output, print};

/// Prints the names, checks the files, or writes them.
pub(crate) fn run(directory: &Path, check: bool, write: bool, output: Output) -> Outcome {
    let files = files();
    if write {
        for (name, text) in &files {
            let path = directory.join(name);
            let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&path, text))
                .map_err(|error| {
                    Error::config("a manifest cannot be written")
                        .with("file", path.display())
                        .because(error)
                })?;
        }
    }
    if check {
        let different: Vec<&str> = files
            .iter()
            .filter(|(name, text)| {
                std::fs::read_to_string(directory.join(name))
                    .ok()
                    .as_deref()
                    != Some(text)
            })
            .map(|(name, _)| name.as_str())
            .collect();
        if !different.is_empty() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("not as generated: {}", different.join(", ")),
            )
            .hint("run `cordon manifests --write` and commit")
            .into());
        }
    }
    let names: Vec<&String> = files.keys().collect();
    if !check || output.is_json() {
        output.result(&names, || {
            names
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join("\n")
        });
    } else {
        print(&format!("{} files are as generated", names.len()));
    }
    Ok(0)
}

/// Every generated file by its name below the directory.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.insert(
        "cordon.schema.json".to_owned(),
        pretty(&crate::config::schema()),
    );
    for connector in connectors::all() {
        let actions: Vec<Json> = sdk::action::catalog(connector)
            .into_iter()
            .map(|action| {
                json!({
                    "command": action.command,
                    "name": action.name,
                    "description": action.description,
                    "writes": action.writes,
                    "arguments": action.arguments,
                    "results": action.results,
                })
            })
            .collect();
        let mut catalogue = super::connectors::to_json(connector);
        catalogue["configuration"] = (connector.schema)().to_value();
        catalogue["actions"] = Json::Array(actions);
        files.insert(
            format!("{}/actions.json", connector.name),
            pretty(&catalogue),
        );
    }
    files
}

fn pretty(value: &Json) -> String {
    // A JSON value always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
