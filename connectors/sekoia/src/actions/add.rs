//! `add_ioc_to_ioc_collection`: the arguments of the platform's own action, and some more.

use std::io::Read as _;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use sdk::action::{Call, FailOn, Outcome};
use sdk::{Error, Result};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::api::{Api, Fields};
use crate::observable::{IndicatorType, Observable};
use crate::tally::Tally;
use crate::write::{Writer, description};

/// Longest file of indicators, in bytes.
const LONGEST_FILE: u64 = 64 << 20;

/// Add indicators to an IOC collection.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// One indicator; defanged ones are understood
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    indicator: Option<Json>,
    /// Several indicators
    #[serde(default)]
    #[schemars(schema_with = "several")]
    indicators: Option<Json>,
    /// A file with a JSON array of indicators
    #[serde(default)]
    indicators_path: Option<String>,
    /// The IOC collection: `ioc-collection--…`
    ioc_collection_id: String,
    /// What the indicators are; without it the text of each tells
    #[serde(default)]
    indicator_type: Option<IndicatorType>,
    /// Days until they end; without it Sekoia's own default for the type
    #[serde(default)]
    #[schemars(range(min = 1))]
    valid_for: Option<u32>,
    /// Why, at most 500 characters
    #[serde(default)]
    description: Option<String>,
    /// Values that must not be added: addresses, networks, names (with all below; `=name` for the name
    /// alone), URLs, hashes
    #[serde(default)]
    exclude: Vec<String>,
    /// Look and report, write nothing
    #[serde(default)]
    dry_run: bool,
    /// Which results a playbook engine is told as an error: `failed`, `partial`, several of them separated
    /// by commas, or `never`
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "read by the engine's runtime; here it is only refused if wrong"
    )]
    fail_on: FailOn,
}

/// Texts, in lists in lists too. What reads arguments by their schema makes a list of one text, and texts of numbers.
fn several(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "items": { "type": ["string", "array"] } })
}

pub(super) async fn run(call: Call<'_>) -> Result<Outcome> {
    let arguments: Arguments = super::arguments(&call)?;
    let texts = texts(&arguments, &call)?;
    let description = description(arguments.description)?;
    if arguments.valid_for == Some(0) {
        return Err(Error::input("valid_for is at least 1 day"));
    }
    let configured = Api::of(call.configuration, &call.context.environment)?;
    let writer = Writer::open(
        configured,
        &arguments.ioc_collection_id,
        arguments.dry_run,
        call.context,
    )
    .await?;
    let mut tally = Tally::new(writer.id, writer.dry_run, call.context)?;
    let mut observables = Vec::with_capacity(texts.len());
    for text in &texts {
        match Observable::parse(text, arguments.indicator_type) {
            Ok(observable) => observables.push(observable),
            Err(message) => tally.unreadable(text, &message),
        }
    }
    let allowed = writer.allowed(observables, &arguments.exclude, &mut tally)?;
    let fields = Fields {
        until: match arguments.valid_for {
            Some(days) => Some(writer.until(days, &mut tally)?),
            None => None,
        },
        description,
    };
    writer.add(allowed, &fields, &mut tally).await?;
    let report = tally.finish(&writer.api, call.context);
    Ok(Outcome::Report(Box::new(report)))
}

/// The texts of exactly one of the three arguments. Editors of playbooks keep empty fields: one without any text
/// counts as not given.
fn texts(arguments: &Arguments, call: &Call<'_>) -> Result<Vec<String>> {
    let given = |argument: &Option<Json>| {
        let mut texts = Vec::new();
        flatten(argument.as_ref().unwrap_or(&Json::Null), &mut texts);
        texts
    };
    let path = arguments.indicators_path.as_deref();
    let path = path.filter(|path| !path.trim().is_empty());
    let (one, several) = (given(&arguments.indicator), given(&arguments.indicators));
    match (one.is_empty(), several.is_empty(), path) {
        (false, true, None) => Ok(one),
        (true, false, None) => Ok(several),
        (true, true, Some(path)) => {
            let mut texts = Vec::new();
            flatten(&file(path, call)?, &mut texts);
            if texts.is_empty() {
                return Err(Error::input(format!("{path} holds no indicator")));
            }
            Ok(texts)
        }
        (true, true, None) => Err(Error::input("there is no indicator to add")
            .hint("give indicator, indicators or indicators_path")),
        _ => Err(Error::input(
            "give exactly one of indicator, indicators and indicators_path",
        )),
    }
}

/// Every text, in lists in lists too. What is no text is taken as its text, and told like any other value that is no
/// indicator.
fn flatten(item: &Json, texts: &mut Vec<String>) {
    match item {
        Json::Null => {}
        Json::String(text) if text.trim().is_empty() => {}
        Json::String(text) => texts.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| flatten(item, texts)),
        other => texts.push(other.to_string()),
    }
}

fn file(path: &str, call: &Call<'_>) -> Result<Json> {
    let input: Box<dyn std::io::Read + Send> = match &call.context.files {
        Some(open) => open(path)?,
        None => Box::new(
            std::fs::File::open(path)
                .map_err(|error| Error::input(format!("cannot open {path}")).because(error))?,
        ),
    };
    let mut bytes = Vec::new();
    input
        .take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::input(format!("cannot read {path}")).because(error))?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(Error::input(format!(
            "{path} is longer than {} MiB",
            LONGEST_FILE >> 20
        )));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::input(format!("{path} is not JSON")).because(error))
}
