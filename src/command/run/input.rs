//! What a plain run is given: a JSON object, words after `--`, and variables.

use std::io::Read;
use std::path::Path;

use sdk::Error;
use sdk::connector::Connector;
use serde_json::{Map, Value as Json};

use crate::config::schema;
use crate::environment::variable;
use crate::sekoia::coerce::coerce;

/// The most that is read: a batch of STIX objects may stand in the arguments.
pub(super) const INPUT_LIMIT: u64 = 256 << 20;

/// Our own fields of every connector's configuration.
pub(super) const COMMON_FIELDS: [&str; 5] = [
    "deployment",
    "installation",
    "sekoia_base_url",
    "sekoia_api_key",
    MASS_CHANGE,
];

/// The one among them that is not a text, but true or false.
pub(crate) const MASS_CHANGE: &str = "allow_mass_change_unattended";

/// What may not be chosen by whoever starts an action from elsewhere, an analyst or a model: files and addresses
/// that this machine reads.
pub(crate) fn is_reserved(argument: &str) -> bool {
    argument.ends_with("_path") || argument.ends_with("_url")
}

/// Reads the JSON object of a file, or of stdin where the path is `-`: its arguments and its configuration.
pub(super) fn read(path: &Path) -> Result<(Json, Json), Error> {
    let what = |error: std::io::Error| {
        Error::input("the input cannot be read")
            .with("input", path.display())
            .because(error)
    };
    let mut text = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(INPUT_LIMIT + 1)
            .read_to_end(&mut text)
    } else {
        std::fs::File::open(path)
            .map_err(what)?
            .take(INPUT_LIMIT + 1)
            .read_to_end(&mut text)
    };
    read.map_err(what)?;
    if text.len() as u64 > INPUT_LIMIT {
        return Err(Error::input(format!(
            "the input is longer than {} MiB",
            INPUT_LIMIT >> 20
        ))
        .hint("give a path in stix_objects_path, or a source_url"));
    }
    let shape = r#"the input is one JSON object: {"arguments":{},"configuration":{},"context":{}}"#;
    let value: Json = serde_json::from_slice(&text).map_err(|error| {
        let error_text = error.to_string();
        Error::input(format!("the input is not JSON: {error_text}")).hint(shape)
    })?;
    let Json::Object(mut object) = value else {
        return Err(Error::input("the input is not a JSON object").hint(shape));
    };
    let mut part = |name: &str| match object.remove(name) {
        None | Some(Json::Null) => Ok(Json::Object(Map::new())),
        Some(value @ Json::Object(_)) => Ok(value),
        Some(_) => {
            Err(Error::input(format!("{name} in the input is not a JSON object")).hint(shape))
        }
    };
    let arguments = part("arguments")?;
    let configuration = part("configuration")?;
    part("context")?;
    if !object.is_empty() {
        let names: Vec<&str> = object.keys().map(String::as_str).collect();
        return Err(
            Error::input(format!("the input has unknown keys: {}", names.join(", "))).hint(shape),
        );
    }
    Ok((arguments, configuration))
}

/// The arguments after `--`, each `--name=value` or, for true, `--name`, with the types that the schema asks
/// for. An empty value is one that nobody gave.
pub(super) fn named(words: &[String], schema: &Json) -> Result<Json, Error> {
    let mut arguments = Map::new();
    for word in words {
        let Some(rest) = word.strip_prefix("--") else {
            return Err(
                Error::input(format!("{word:?} is no argument of an action"))
                    .hint("write --name=value, or --name for true"),
            );
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Json::from(value)),
            None => (rest, Json::Bool(true)),
        };
        if value == "" {
            continue;
        }
        if arguments.insert(name.to_owned(), value).is_some() {
            return Err(Error::input(format!("--{name} is given twice"))
                .hint("a list is one value: --name='[\"a\", \"b\"]'"));
        }
    }
    Ok(coerce(schema, Json::Object(arguments)))
}

/// Fields that a configuration does not have, from `CORDON_<FIELD>` or the file that `CORDON_<FIELD>_FILE`
/// names.
pub(crate) fn from_environment(
    connector: &Connector,
    configuration: &mut Json,
) -> Result<(), Error> {
    let schema = (connector.schema)().to_value();
    let (Some(properties), Some(fields)) = (
        schema.get("properties").and_then(Json::as_object),
        configuration.as_object_mut(),
    ) else {
        return Ok(());
    };
    let common = COMMON_FIELDS.iter().copied();
    for name in properties.keys().map(String::as_str).chain(common) {
        if fields.contains_key(name) {
            continue;
        }
        let key = format!("CORDON_{}", name.to_uppercase());
        let file_key = format!("{key}_FILE");
        let text = match (variable(&key), variable(&file_key)) {
            (Some(text), _) => text,
            (None, Some(path)) => std::fs::read_to_string(&path).map_err(|error| {
                Error::config(format!("the file that {file_key} names cannot be read"))
                    .with("file", &path)
                    .because(error)
            })?,
            (None, None) => continue,
        };
        let text = text.trim();
        let is_text = match properties.get(name) {
            Some(schema) => schema::check(schema, &Json::from(text), "")
                .problems
                .is_empty(),
            None => name != MASS_CHANGE,
        };
        let value = if is_text {
            Json::from(text)
        } else {
            // A map, a list or a number; never shown, because it may hold secrets.
            serde_json::from_str(text)
                .map_err(|_| Error::config(format!("{key} is not what the field {name} takes")))?
        };
        fields.insert(name.to_owned(), value);
    }
    Ok(())
}
