//! `add_ioc_to_ioc_collection`: the arguments of the platform's own action, and some more.

use std::io::Read as _;

use schemars::JsonSchema;
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
    indicator: Option<String>,
    /// Several indicators
    #[serde(default)]
    indicators: Option<Vec<Json>>,
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

/// The texts of exactly one of the three arguments, lists in lists made flat.
fn texts(arguments: &Arguments, call: &Call<'_>) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    match (
        &arguments.indicator,
        &arguments.indicators,
        &arguments.indicators_path,
    ) {
        (Some(text), None, None) => texts.push(text.clone()),
        (None, Some(items), None) => {
            for item in items {
                flatten(item, "indicators", &mut texts)?;
            }
        }
        (None, None, Some(path)) => {
            flatten(&file(path, call)?, "indicators_path", &mut texts)?;
        }
        _ => {
            return Err(Error::input(
                "give exactly one of indicator, indicators and indicators_path",
            ));
        }
    }
    texts.retain(|text| !text.trim().is_empty());
    if texts.is_empty() {
        return Err(Error::input("there is no indicator to add"));
    }
    Ok(texts)
}

fn flatten(item: &Json, argument: &str, texts: &mut Vec<String>) -> Result<()> {
    match item {
        Json::String(text) => texts.push(text.clone()),
        Json::Array(items) => {
            for item in items {
                flatten(item, argument, texts)?;
            }
        }
        _ => {
            return Err(Error::input(format!(
                "{argument} holds something that is not a text"
            )));
        }
    }
    Ok(())
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
