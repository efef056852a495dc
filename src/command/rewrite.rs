//! `cordon manifests --rewrite-playbook FILE`: a Sekoia playbook with the actions of Sekoia's own modules
//! replaced by ours of the same name. Only the UUIDs change, nothing else of the text does.

mod known;
mod scan;

use std::io::Read;
use std::path::Path;

use sdk::Error;
use serde::Serialize;

use self::known::Equal;
use self::scan::{Object, objects};
use super::Outcome;
use crate::cli::{Global, OutputTo};
use crate::identity::{action_uuid, module_uuid};
use crate::output::{Output, plain, print, print_exactly, tell};

/// The longest playbook that is read; icons stand in it as base64.
const LIMIT: u64 = 64 << 20;

/// What was done to a playbook.
#[derive(Debug, Serialize)]
struct Rewritten {
    /// The new text.
    playbook: String,
    /// Actions that are ours now.
    replaced: Vec<Replaced>,
    /// What a person has to look at.
    notes: Vec<Note>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Replaced {
    node: String,
    name: String,
    connector: &'static str,
    command: &'static str,
    from: String,
    to: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Note {
    node: String,
    name: String,
    uuid: String,
    hint: &'static str,
}

/// Writes the new playbook to stdout, or to the file that `--output` names.
pub(crate) fn run(file: &Path, global: &Global, output: Output) -> Outcome {
    let text = read(file)?;
    let rewritten = rewrite(&text)?;
    let told = describe(&rewritten);
    match &global.output {
        OutputTo::File(path) => {
            std::fs::write(path, &rewritten.playbook).map_err(|error| {
                Error::config("the playbook cannot be written")
                    .with("file", path.display())
                    .because(error)
            })?;
            print(&told);
        }
        OutputTo::Stdout(_) if output.is_json() => output.result(&rewritten, String::new),
        OutputTo::Stdout(_) => {
            print_exactly(&rewritten.playbook);
            tell(&told);
        }
    }
    Ok(0)
}

fn read(file: &Path) -> Result<String, Error> {
    let what = |error: std::io::Error| {
        Error::input("the playbook cannot be read")
            .with("file", file.display())
            .because(error)
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LIMIT + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file)
            .map_err(what)?
            .take(LIMIT + 1)
            .read_to_string(&mut text)
    }
    .map_err(what)?;
    if text.len() as u64 > LIMIT {
        return Err(Error::input(format!(
            "the playbook is longer than {} MiB",
            LIMIT >> 20
        )));
    }
    Ok(text)
}

fn rewrite(text: &str) -> Result<Rewritten, Error> {
    // Also bounds the depth for what follows, which skipping over the values would not.
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| {
        Error::input(format!("the playbook is not JSON: {error}"))
            .hint("export it from the playbook editor as JSON")
    })?;
    let mut changes: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut replaced = Vec::new();
    let mut notes = Vec::new();
    let objects = objects(text);
    for node in &objects {
        let Some(found) = node.field("action_uuid").or_else(|| declared(node)) else {
            notes.extend(node.field("trigger_uuid").and_then(|found| {
                let hint = known::trigger(&found.text.to_ascii_lowercase())?;
                Some(note(node, &found.text, hint))
            }));
            continue;
        };
        let uuid = found.text.trim().to_ascii_lowercase();
        let module = node.field("module_uuid");
        let Some(Equal {
            connector, command, ..
        }) = known::equal(&uuid)
        else {
            let module = module.map(|module| module.text.trim().to_ascii_lowercase());
            let name = node.text("docker_parameters");
            if let Some(hint) = known::without_equal(&uuid, name, module.as_deref()) {
                notes.push(note(node, &found.text, hint));
            }
            continue;
        };
        let to = action_uuid(connector, command).to_string();
        changes.push((found.place.clone(), to.clone()));
        if let Some(module) = module {
            changes.push((module.place.clone(), module_uuid(connector).to_string()));
        }
        replaced.push(Replaced {
            node: node.name.clone(),
            name: node.text("name").unwrap_or_default().to_owned(),
            connector,
            command,
            from: found.text.clone(),
            to: to.clone(),
        });
        if *connector == "sekoia" {
            notes.push(note(node, &to, known::PLATFORM_ACCOUNT));
        } else if let Some(account) = node.field("module_configuration_uuid") {
            notes.push(note(node, &account.text, known::ACCOUNT));
        }
        let wired = node.object("outputs").map(|at| &objects[at].keys);
        let is_wired =
            |branch: &str| wired.is_some_and(|keys| keys.iter().any(|key| key == branch));
        if reports(connector, command) && !(is_wired("held") && is_wired("partial")) {
            notes.push(note(node, &to, known::BRANCHES));
        }
    }
    changes.sort_by_key(|(place, _)| place.start);
    let mut playbook = String::with_capacity(text.len());
    let mut done = 0;
    for (place, uuid) in changes {
        playbook.push_str(&text[done..place.start]);
        playbook.push_str(&uuid);
        done = place.end;
    }
    playbook.push_str(&text[done..]);
    Ok(Rewritten {
        playbook,
        replaced,
        notes,
    })
}

/// Whether an action can end held or in part: whether a report comes of it.
fn reports(connector: &str, command: &str) -> bool {
    crate::connectors::find(connector).is_ok_and(|connector| {
        let catalog = sdk::action::catalog(connector);
        let action = catalog.iter().find(|action| action.command == command);
        action.is_some_and(|action| {
            action
                .results
                .as_value()
                .pointer("/properties/held")
                .is_some()
        })
    })
}

/// The UUID of an action that stands there as its manifest does.
fn declared(node: &Object) -> Option<&scan::Text> {
    node.field("docker_parameters").and(node.field("uuid"))
}

fn note(node: &Object, uuid: &str, hint: &'static str) -> Note {
    Note {
        node: node.name.clone(),
        name: node.text("name").unwrap_or_default().to_owned(),
        uuid: uuid.to_owned(),
        hint,
    }
}

fn describe(rewritten: &Rewritten) -> String {
    let mut lines = Vec::new();
    if rewritten.replaced.is_empty() {
        lines.push("no action was replaced".to_owned());
    }
    for it in &rewritten.replaced {
        lines.push(format!(
            "node {} {:?}: {} {}, {} -> {}",
            plain(&it.node),
            plain(&it.name),
            it.connector,
            it.command,
            plain(&it.from),
            it.to
        ));
    }
    for note in &rewritten.notes {
        lines.push(format!(
            "node {} {:?} ({}) needs a look\nhint: {}",
            plain(&note.node),
            plain(&note.name),
            plain(&note.uuid),
            note.hint
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAYBOOK: &str = include_str!("rewrite/playbook.json");

    #[test]
    fn only_the_uuids_of_what_has_an_equal_change() {
        let rewritten = rewrite(PLAYBOOK).unwrap();
        let ours = action_uuid("crowdstrike", "push_iocs_detect").to_string();
        let expected = PLAYBOOK
            .replace("eb921379-3c53-4f64-a622-73e0b7ac99ed", &ours)
            .replacen(
                "4fdbae70-e9cd-492e-9a39-24ce99325e3f",
                &module_uuid("crowdstrike").to_string(),
                1,
            );
        assert_eq!(rewritten.playbook, expected);
        let [only] = &rewritten.replaced[..] else {
            panic!("{:?}", rewritten.replaced);
        };
        assert_eq!(
            (only.node.as_str(), only.command),
            ("1", "push_iocs_detect")
        );
        let noted: Vec<&str> = rewritten
            .notes
            .iter()
            .map(|note| note.node.as_str())
            .collect();
        // The trigger, the account and the branches of the replaced action, and isolating a host.
        assert_eq!(noted, ["0", "1", "1", "2"]);
        let again = rewrite(&rewritten.playbook).unwrap();
        assert_eq!(again.playbook, rewritten.playbook, "twice is once");
        assert!(again.replaced.is_empty());
    }

    fn hints(node: &serde_json::Value) -> Vec<&'static str> {
        let rewritten = rewrite(&json!({ "nodes": { "1": node } }).to_string()).unwrap();
        assert_eq!(rewritten.replaced.len(), 1, "{node}");
        rewritten.notes.iter().map(|note| note.hint).collect()
    }

    #[test]
    fn branches_that_lead_nowhere_are_noted() {
        let block = "88d53f94-138d-4f77-95d8-fb9b0425d1f9";
        let with = |outputs| hints(&json!({ "action_uuid": block, "outputs": outputs }));
        for outputs in [
            json!({ "default": ["2"] }),
            json!({ "default": ["2"], "held": ["3"] }),
            json!({ "default": ["2"], "partial": ["3"] }),
            json!(null),
        ] {
            assert_eq!(with(outputs), [known::BRANCHES]);
        }
        let wired = json!({ "default": ["2"], "held": ["3"], "partial": ["2", "3"] });
        assert!(with(wired).is_empty());
    }

    #[test]
    fn an_action_on_the_platforms_own_collections_needs_an_account_now() {
        let uuid = "0acabc04-43b4-4564-b9b2-08b80e0e1ecf";
        let hints = hints(&json!({ "action_uuid": uuid, "module_uuid": "92d8bb47" }));
        assert!(hints.contains(&known::PLATFORM_ACCOUNT), "{hints:?}");
    }

    #[test]
    fn every_equal_is_an_action_that_exists() {
        for equal in known::EQUALS {
            // The module for Sekoia's own collections is checked where it is there.
            let Ok(connector) = crate::connectors::find(equal.connector) else {
                assert_eq!(equal.connector, "sekoia");
                continue;
            };
            let text = json!({ "action_uuid": equal.uuid }).to_string();
            let rewritten = rewrite(&text).unwrap();
            assert_eq!(
                rewritten.playbook,
                json!({ "action_uuid": action_uuid(equal.connector, equal.command) }).to_string()
            );
            assert!(
                sdk::action::catalog(connector)
                    .iter()
                    .any(|action| action.command == equal.command),
                "{} has no {}",
                equal.connector,
                equal.command
            );
        }
    }

    #[test]
    fn escapes_and_look_alikes_are_left() {
        let uuid = "88d53f94-138d-4f77-95d8-fb9b0425d1f9";
        let text = format!(
            r#"{{ "note\"": "say \"{uuid}\" ü\u00fc", "arguments": {{ "x": ["{uuid}"] }}, "action_uuid" :"{}" }}"#,
            uuid.to_uppercase()
        );
        let rewritten = rewrite(&text).unwrap();
        let ours = action_uuid("crowdstrike", "block_ioc").to_string();
        assert_eq!(
            rewritten.playbook,
            text.replace(&uuid.to_uppercase(), &ours)
        );
        assert_eq!(
            rewrite("[1, \"a\", null]").unwrap().playbook,
            "[1, \"a\", null]"
        );
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "nodes:\n  - a", "{} {}"] {
            let error = rewrite(text).unwrap_err();
            assert!(error.hint_text().unwrap().contains("JSON"), "{text:?}");
        }
        for (open, close) in [("[", ""), ("[", "]"), ("{\"a\":", "}")] {
            let deep = open.repeat(100_000) + "1" + &close.repeat(100_000);
            assert!(rewrite(&deep).is_err(), "{open}");
        }
    }
}
