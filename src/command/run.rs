//! `cordon run`: one action, one JSON object in, one out.

use std::io::Read;
use std::path::Path;

use sdk::action::{ActionInfo, Outcome as ActionOutcome};
use sdk::connector::Connector;
use sdk::{Error, ErrorKind};
use serde_json::{Map, Value as Json};

use super::{Outcome, Signals, block_on, cancelled, check_clock, context};
use crate::cli::{Global, OutputTo, Run};
use crate::config::{endpoint, schema};
use crate::connectors;
use crate::environment::variable;
use crate::failure::Failure;
use crate::output::{print, tell};
use crate::store::ClockUse;

/// The most that is read: a batch of STIX objects may stand in the arguments.
const INPUT_LIMIT: u64 = 256 << 20;

/// Our own fields of every connector's configuration.
const COMMON_FIELDS: [&str; 5] = [
    "deployment",
    "installation",
    "sekoia_base_url",
    "sekoia_api_key",
    MASS_CHANGE,
];

/// The one among them that is not a text, but true or false.
pub(crate) const MASS_CHANGE: &str = "allow_mass_change_unattended";

/// What came in.
struct Input {
    arguments: Json,
    configuration: Json,
}

/// Runs it. Whatever happens, one JSON object comes out.
pub(crate) fn run(arguments: &Run, global: &Global) -> Outcome {
    let result = perform(arguments, global);
    let (json, code) = match &result {
        Ok((json, code)) => (json.clone(), *code),
        Err(failure) => (failure.to_json(), failure.exit_code()),
    };
    if let Err(failure) = &result {
        failure.tell();
    }
    match &global.output {
        OutputTo::File(path) => {
            std::fs::write(path, format!("{json}\n")).map_err(|error| {
                Error::config("the result cannot be written")
                    .with("file", path.display())
                    .because(error)
            })?;
        }
        OutputTo::Stdout(_) => print(&json.to_string()),
    }
    Ok(code)
}

fn perform(arguments: &Run, global: &Global) -> Result<(Json, u8), Failure> {
    let connector = connectors::find(&arguments.connector)?;
    let catalog = sdk::action::catalog(connector);
    let action = action(&catalog, &arguments.command)?;
    let mut input = input(&arguments.input)?;
    from_environment(connector, &mut input.configuration)?;
    check_keys(connector, action, &input.arguments, &input.configuration)?;
    let loopback = only_loopback(connector, &input.arguments, &input.configuration);
    let clock = check_clock(global, loopback)?;
    block_on(async {
        let opened = match &arguments.store {
            Some(url) => {
                let path = crate::store::path_of(url, Path::new(""))?;
                let clock = if global.clock.is_some() {
                    ClockUse::Moved
                } else {
                    ClockUse::System
                };
                let opened = crate::store::open(&path, clock).await?;
                if action.writes {
                    opened.make_room().await?;
                }
                Some(opened)
            }
            None => None,
        };
        if let Some(warning) = opened.as_ref().and_then(|opened| opened.warning.as_ref()) {
            tell(&format!("warning: {warning}"));
        }
        let store = opened
            .as_ref()
            .map(|opened| std::sync::Arc::clone(&opened.store));
        let context = context(clock, "main", store, global);
        let mut signals = Signals::new()?;
        let work = sdk::action::run(
            connector,
            action.command,
            input.arguments,
            input.configuration,
            &context,
        );
        let outcome = tokio::select! {
            outcome = work => outcome?,
            () = stopped_twice(&mut signals) => return Err(cancelled().into()),
        };
        let code = match &outcome {
            ActionOutcome::Report(report) => report.exit_code(),
            ActionOutcome::View(view) => match view.get("status").and_then(Json::as_str) {
                Some("failed") => 1,
                Some("partial") => 4,
                Some("missing") => 3,
                _ => 0,
            },
        };
        Ok((outcome.to_json()?, code))
    })
}

/// The first signal lets the action end, because it is one pass over one target; the second does not.
async fn stopped_twice(signals: &mut Signals) {
    signals.next().await;
    tell("stopping after this action; once more to stop at once");
    signals.next().await;
}

/// The action of this name, or the error that suggests one.
pub(crate) fn action<'a>(
    catalog: &'a [ActionInfo],
    command: &str,
) -> Result<&'a ActionInfo, Error> {
    catalog
        .iter()
        .find(|it| it.command == command)
        .ok_or_else(|| {
            let names: Vec<&str> = catalog.iter().map(|it| it.command).collect();
            let near = names
                .iter()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, command).total_cmp(&strsim::jaro_winkler(b, command))
                })
                .filter(|near| strsim::jaro_winkler(near, command) > 0.8);
            let hint = near.map_or_else(
                || format!("known are {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            Error::input(format!("there is no action {command:?}")).hint(hint)
        })
}

fn input(path: &Path) -> Result<Input, Error> {
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
    Ok(Input {
        arguments,
        configuration,
    })
}

/// Fields that the input does not have, from `CORDON_<FIELD>` or the file that `CORDON_<FIELD>_FILE` names.
fn from_environment(connector: &Connector, configuration: &mut Json) -> Result<(), Error> {
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

/// Names every unknown key, and what else is wrong, before anything is done.
pub(crate) fn check_keys(
    connector: &Connector,
    action: &ActionInfo,
    arguments: &Json,
    configuration: &Json,
) -> Result<(), Error> {
    let arguments = schema::check(&closed(action.arguments.as_value()), arguments, "arguments");
    let mut configuration = configuration.clone();
    if let Some(fields) = configuration.as_object_mut() {
        fields.retain(|name, _| !COMMON_FIELDS.contains(&name.as_str()));
    }
    let schema = closed((connector.schema)().as_value());
    let configuration = schema::check(&schema, &configuration, "configuration");
    let is_input = !arguments.problems.is_empty()
        || configuration
            .problems
            .iter()
            .any(|it| it.message == "unknown key");
    let kind = if is_input {
        ErrorKind::Input
    } else {
        ErrorKind::Config
    };
    let all: Vec<_> = arguments
        .problems
        .into_iter()
        .chain(configuration.problems)
        .collect();
    if all.is_empty() {
        return Ok(());
    }
    let message: Vec<String> = all
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    let error = Error::new(kind, message.join("; "));
    Err(match all.iter().find_map(|problem| problem.hint.clone()) {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

/// The schema without room for keys that it does not name.
fn closed(schema: &Json) -> Json {
    let mut schema = schema.clone();
    if schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = Json::Bool(false);
    }
    schema
}

/// Whether an action reaches this machine only.
pub(crate) fn only_loopback(connector: &Connector, arguments: &Json, configuration: &Json) -> bool {
    endpoint::only_loopback(connector, configuration)
        && urls(arguments).iter().all(|url| endpoint::is_loopback(url))
        && (connector.mechanisms.is_empty()
            || arguments.get("ioc_collection_id").is_none_or(Json::is_null)
            || configuration
                .get("sekoia_base_url")
                .and_then(Json::as_str)
                .is_some_and(endpoint::is_loopback))
}

/// Every text in the arguments that is fetched.
fn urls(arguments: &Json) -> Vec<&str> {
    arguments
        .get("source_url")
        .into_iter()
        .filter_map(Json::as_str)
        .filter(|text| text.contains("://"))
        .collect()
}
