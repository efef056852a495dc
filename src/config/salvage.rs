//! What can still be read of a file with values of the wrong shape, so that everything else in it is
//! checked in the same go.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::file::File;
use super::problem::Problem;
use super::tree::join;

/// The readable rest of a file, and the paths of what is not in it although the file names it.
pub(super) fn salvage(value: &Json, problems: &[Problem]) -> (File, BTreeSet<String>) {
    let mut broken: BTreeSet<String> = problems
        .iter()
        .filter(|problem| !problem.is_missing())
        .map(|problem| problem.path.clone())
        .collect();
    let has_problem = |path: &str| {
        problems.iter().any(|problem| {
            let rest = problem.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    };
    let mut value = value.clone();
    prune(&mut value, "", &broken);
    let Json::Object(sections) = &mut value else {
        return (File::default(), broken);
    };
    // A store and a webhook are nothing without their URL.
    sections.retain(|name, section| {
        !matches!(name.as_str(), "store" | "webhook") || section.get("url").is_some()
    });
    if has_problem("webhook.on")
        && let Some(webhook) = sections.get_mut("webhook").and_then(Json::as_object_mut)
    {
        webhook.remove("on");
    }
    for (name, collection) in entries(sections, "collections") {
        let path = join("collections", name);
        if has_problem(&path) {
            collection.retain(|key, _| key == "tenant");
            broken.insert(path);
        }
    }
    for (name, target) in entries(sections, "targets") {
        if !target.contains_key("connector") {
            target.insert("connector".to_owned(), json!(""));
            broken.insert(join("targets", name));
        }
    }
    for (_, deployment) in entries(sections, "deployments") {
        for key in ["include", "targets"] {
            deployment.entry(key).or_insert_with(|| json!([]));
        }
    }
    // What is left has the right shape; if not, the schema's problems are told alone.
    (serde_json::from_value(value).unwrap_or_default(), broken)
}

/// The tables of a section. One that is no table has been taken out, but its name is known: it stays as
/// an empty one.
fn entries<'a>(
    sections: &'a mut Map<String, Json>,
    section: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Map<String, Json>)> {
    sections
        .get_mut(section)
        .and_then(Json::as_object_mut)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name, value.as_object_mut()?)))
}

/// Takes out what stands at the paths. Items of lists and named tables leave an empty one behind, so that
/// the places of the others stay and references to them are not wrong too.
fn prune(value: &mut Json, path: &str, broken: &BTreeSet<String>) {
    match value {
        Json::Object(object) => {
            let named = matches!(path, "collections" | "targets" | "deployments");
            object.retain(|key, value| {
                let path = join(path, key);
                if !broken.contains(&path) {
                    prune(value, &path, broken);
                    return true;
                }
                *value = json!({});
                named
            });
        }
        Json::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                if broken.contains(&format!("{path}[{index}]")) {
                    *item = json!("");
                }
            }
        }
        _ => {}
    }
}
