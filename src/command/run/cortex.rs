//! TheHive Cortex runs a responder's image without arguments and with a job folder: `input/input.json` says
//! what is to be done, `output/output.json` what came of it. Without that file, or with an empty one, the job
//! has failed; the exit code is not looked at.
//!
//! | in the input | becomes |
//! |---|---|
//! | `config.connector`, `config.service` | the connector and the action |
//! | `config.<field>` | a field of the configuration, or else an argument of the action |
//! | `parameters.<name>` | an argument, which goes before one in `config`; other parameters are TheHive's own |
//! | `data` (a text, or an observable with its value in `data`) | `values`, unless there is such a parameter |
//! | `message` | `reason`, unless there is one |
//! | `tlp`, `pap` with `config.check_tlp`, `config.max_tlp` (2), `config.check_pap`, `config.max_pap` (2) | whether anything is done at all |
//! | `config.proxy.http`, `config.proxy.https` | proxies, in place of those of the environment |
//! | `input/cacerts` | CAs to trust |
//!
//! The input holds secrets in clear: nothing of it is given back.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use sdk::connector::Proxies;
use sdk::{Error, ErrorKind, Secret};
use serde_json::{Map, Value as Json, json};
use url::Url;

use super::input::{COMMON_FIELDS, INPUT_LIMIT, is_reserved};
use super::{Ended, Job, action};
use crate::cli::Run;
use crate::connectors;
use crate::sekoia::coerce::coerce;
use crate::sekoia::secrets::Redactor;
use crate::told;

/// What TLP and PAP are, and may be, where the job does not say.
const AMBER: i64 = 2;

/// Whether Cortex made this folder.
pub(crate) fn is_job(folder: &Path) -> bool {
    folder.join("input/input.json").is_file()
}

/// Reads a job.
pub(super) fn read(options: &Run, redactor: &mut Redactor) -> Result<Job, Error> {
    if let Some(word) = options.arguments.first() {
        return Err(
            Error::input(format!("{word:?} is not taken in a Cortex job"))
                .hint("arguments stand in the job's parameters or config"),
        );
    }
    let input = input(&options.job.join("input/input.json"))?;
    let none = Map::new();
    let part = |name: &str| input.get(name).and_then(Json::as_object).unwrap_or(&none);
    let (config, parameters) = (part("config"), part("parameters"));
    let named = |given: &Option<String>, name: &str| {
        let configured = || config.get(name).and_then(Json::as_str).map(str::to_owned);
        given.clone().or_else(configured).ok_or_else(|| {
            Error::config(format!("config.{name} is missing in the job")).hint(
                "a responder's definition has both \"connector\" and \"service\" in its config",
            )
        })
    };
    let connector = connectors::find(&named(&options.connector, "connector")?)?;
    let command = named(&options.command, "service")?;
    let schema = (connector.schema)().to_value();
    let is_field = |name: &str| {
        COMMON_FIELDS.contains(&name)
            || schema
                .pointer("/properties")
                .is_some_and(|all| all.get(name).is_some())
    };
    let configuration: Map<String, Json> = config
        .iter()
        .filter(|(name, value)| is_field(name) && is_given(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let configuration = coerce(&schema, Json::Object(configuration));
    // Before anything can fail with a text that holds one.
    redactor.add_secrets(&schema, &schema, &configuration);
    check_marking(&input, config, "tlp")?;
    check_marking(&input, config, "pap")?;

    let catalog = sdk::action::catalog(connector);
    let action = action(&catalog, &command)?;
    let properties = action.arguments.get("properties").and_then(Json::as_object);
    let names = || properties.into_iter().flat_map(Map::keys);
    let mut arguments = Map::new();
    for name in names() {
        let configured = config.get(name).filter(|_| !is_field(name));
        let parameter = parameters.get(name).filter(|_| !is_reserved(name));
        if let Some(value) = parameter.or(configured).filter(|value| is_given(value)) {
            arguments.insert(name.clone(), value.clone());
        }
    }
    if names().any(|name| name == "values") && !arguments.contains_key("values") {
        arguments.insert("values".to_owned(), json!([value(&input)?]));
    }
    let message = input
        .get("message")
        .and_then(Json::as_str)
        .unwrap_or_default();
    if names().any(|name| name == "reason") && !message.trim().is_empty() {
        arguments
            .entry("reason")
            .or_insert_with(|| Json::from(message.trim()));
    }
    let proxies = Proxies {
        http: proxy(config, "http", redactor),
        https: proxy(config, "https", redactor),
    };
    let ca_file = options.job.join("input/cacerts");
    Ok(Job {
        connector,
        command,
        arguments: coerce(action.arguments.as_value(), Json::Object(arguments)),
        configuration,
        files: Some(Arc::new(|_| {
            Err(Error::input("a Cortex job names no files"))
        })),
        ca_files: ca_file.is_file().then_some(ca_file).into_iter().collect(),
        proxies,
    })
}

/// The job's proxy for a scheme.
fn proxy(config: &Map<String, Json>, scheme: &str, redactor: &mut Redactor) -> Option<Secret> {
    let address = config.get("proxy")?.get(scheme)?.as_str()?.trim();
    if let Ok(url) = Url::parse(address) {
        redactor.add(url.password().unwrap_or_default());
    }
    (!address.is_empty()).then(|| Secret::new(address))
}

fn input(path: &Path) -> Result<Json, Error> {
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(INPUT_LIMIT + 1).read_to_end(&mut text))
        .map_err(|error| {
            Error::input("the job's input cannot be read")
                .with("file", path.display())
                .because(error)
                .hint("Cortex mounts the job folder at /job, or name it with --job")
        })?;
    if text.len() as u64 > INPUT_LIMIT {
        return Err(Error::input(format!(
            "the job's input is longer than {} MiB",
            INPUT_LIMIT >> 20
        )));
    }
    // By place only: the text holds secrets.
    match serde_json::from_slice(&text) {
        Ok(input @ Json::Object(_)) => Ok(input),
        Ok(_) => Err(Error::input("the job's input is not a JSON object")),
        Err(error) => Err(Error::input(format!(
            "the job's input is not JSON: line {}, column {}",
            error.line(),
            error.column()
        ))),
    }
}

/// Forms give back what nobody filled in.
fn is_given(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// Whether the marking of the data allows it to leave for a vendor.
fn check_marking(input: &Json, config: &Map<String, Json>, name: &str) -> Result<(), Error> {
    let number = |value: Option<&Json>, what: &str| match value {
        None | Some(Json::Null) => Ok(AMBER),
        Some(value) => value
            .as_i64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .ok_or_else(|| Error::config(format!("{what} in the job is not a whole number"))),
    };
    let check = match config.get(&format!("check_{name}")) {
        None | Some(Json::Null) => false,
        Some(Json::Bool(check)) => *check,
        Some(Json::String(text)) => text.trim() != "false" && !text.trim().is_empty(),
        Some(_) => true,
    };
    if !check {
        return Ok(());
    }
    let max_name = format!("max_{name}");
    let allowed = number(config.get(&max_name), &max_name)?;
    let marked = number(input.get(name), name)?;
    if marked > allowed {
        let capitals = name.to_uppercase();
        return Err(Error::new(
            ErrorKind::Guard,
            format!("{capitals} {marked} is higher than the responder may see, which is {allowed}"),
        )
        .hint(format!(
            "{max_name} in the responder's configuration allows more"
        )));
    }
    Ok(())
}

/// The one value that a job is about.
fn value(input: &Json) -> Result<&str, Error> {
    let data = input.get("data");
    data.and_then(Json::as_str)
        .or_else(|| data?.get("data")?.as_str())
        .filter(|value| !value.trim().is_empty())
        .ok_or_else(|| {
            let kind = input.get("dataType").and_then(Json::as_str).unwrap_or("unknown");
            Error::input(format!("the job has no value to work on (dataType {kind:?})"))
                .hint("start the responder on an observable that is no file, or give `values` as a parameter")
        })
}

/// Writes the output.
pub(super) fn tell(folder: &Path, ended: &Ended) -> Result<(), Error> {
    let output = match &ended.error {
        Some(error) => json!({ "success": false, "errorMessage": error }),
        None => {
            let mut full = ended.json.clone();
            full["message"] = Json::from(match &ended.report {
                Some(report) => told::summary(report),
                None => "done".to_owned(),
            });
            json!({ "success": true, "full": full, "operations": operations(folder, ended) })
        }
    };
    let path = folder.join("output/output.json");
    let written = std::fs::create_dir_all(folder.join("output"))
        .and_then(|()| std::fs::write(&path, output.to_string()));
    written.map_err(|error| {
        Error::config("the job's output cannot be written")
            .with("file", path.display())
            .because(error)
    })
}

/// A tag on the observable says that it is blocked, or no more.
fn operations(folder: &Path, ended: &Ended) -> Vec<Json> {
    let Some(report) = ended.report.as_ref().filter(|report| !report.dry_run) else {
        return Vec::new();
    };
    let Ok(input) = input(&folder.join("input/input.json")) else {
        return Vec::new();
    };
    if input.get("dataType").and_then(Json::as_str) != Some("thehive:case_artifact") {
        return Vec::new();
    }
    let service = input.pointer("/config/service").and_then(Json::as_str);
    let tag = match service {
        Some("block") if report.effect.prevent > 0 => "blocked",
        Some("unblock") if report.removed.total() > 0 => "unblocked",
        _ => return Vec::new(),
    };
    let connector = input.pointer("/config/connector").and_then(Json::as_str);
    let tag = format!("cordon:{}:{tag}", connector.unwrap_or(&report.target));
    vec![json!({ "type": "AddTagToArtifact", "tag": tag })]
}
