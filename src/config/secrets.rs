//! Secrets of collections and targets: references to the environment or to files, never plain text.

use std::path::Path;

use serde_json::Value as Json;

use super::problem::Problem;
use super::tree::join;

/// Where secrets come from.
#[derive(Clone, Copy)]
pub(crate) enum Secrets<'a> {
    /// Nobody will use them: references are left unread.
    Unread,
    /// The environment, and files.
    From(&'a dyn Fn(&str) -> Option<String>),
}

/// Puts the secret in the place of every reference below `value`; gives back the paths of those.
pub(crate) fn resolve(
    value: &mut Json,
    path: &str,
    base: &Path,
    secrets: Secrets<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, path, base, secrets, problems, &mut found);
    found
}

fn walk(
    value: &mut Json,
    path: &str,
    base: &Path,
    secrets: Secrets<'_>,
    problems: &mut Vec<Problem>,
    found: &mut Vec<String>,
) {
    if let Some((source, name)) = reference(value) {
        let text = match secrets {
            // Long enough for whatever looks at the length of a secret.
            Secrets::Unread => Ok("unread".repeat(6)),
            Secrets::From(environment) => read(&source, &name, base, environment),
        };
        // A secret that is missing must not bring a second problem about its shape.
        *value = Json::String(text.unwrap_or_else(|(message, hint)| {
            problems.push(Problem::new(path, message).hint(hint));
            "missing".to_owned()
        }));
        found.push(path.to_owned());
        return;
    }
    match value {
        Json::Object(object) => {
            for (key, value) in object {
                walk(value, &join(path, key), base, secrets, problems, found);
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(
                    item,
                    &format!("{path}[{index}]"),
                    base,
                    secrets,
                    problems,
                    found,
                );
            }
        }
        _ => {}
    }
}

/// `{ env = "NAME" }` or `{ file = "PATH" }`.
fn reference(value: &Json) -> Option<(String, String)> {
    let object = value.as_object()?;
    let (source, name) = object.iter().next()?;
    let is_reference = object.len() == 1 && (source == "env" || source == "file");
    Some((source.clone(), name.as_str()?.to_owned())).filter(|_| is_reference)
}

fn read(
    source: &str,
    name: &str,
    base: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, (String, &'static str)> {
    let text = if source == "env" {
        environment(name).ok_or_else(|| {
            (
                format!("the environment variable {name} is not set"),
                "set it, or use { file = \"PATH\" }",
            )
        })?
    } else {
        let path = base.join(name);
        std::fs::read_to_string(&path).map_err(|error| {
            (
                format!(
                    "the secret's file {} cannot be read: {error}",
                    path.display()
                ),
                "check the path and its rights",
            )
        })?
    };
    // Files and pasted tokens end with a line feed.
    let text = text.trim();
    if text.is_empty() {
        return Err((
            format!("the secret in {source} {name} is empty"),
            "put the secret there",
        ));
    }
    Ok(text.to_owned())
}
