//! The actions that every target connector has, written once over [`crate::target::Target`].

mod arguments;
pub mod drop_in;
mod perform;
mod setup;
mod typed;
mod view;

use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value as Json;

use crate::connector::Connector;
use crate::error::{Error, Result};
use crate::report::Report;
use crate::sync::Context;

pub use arguments::FailOn;
pub use setup::{Common, Setup, common, management_hosts, members, set_up};
pub use typed::kept_off;
pub use view::{Blocked, BlockedEntry, Checked, CheckedDevice, CheckedFinding, blocked, check};

/// What an action is, for people, manifests and schemas.
#[derive(Clone, Debug)]
pub struct ActionInfo {
    /// The word on the command line: `sync_collection`.
    pub command: &'static str,
    /// Its name in a playbook editor.
    pub name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Whether it may change something at the vendor.
    pub writes: bool,
    /// Its arguments.
    pub arguments: Schema,
    /// Its result.
    pub results: Schema,
}

/// An action that one connector has beside the uniform ones: a playbook's older name for one of them, or
/// one that makes sense at this vendor only.
#[derive(Clone, Copy)]
pub struct Action {
    /// What it is. Its command is the connector's alone: no uniform action has it.
    pub info: fn() -> ActionInfo,
    /// Runs it.
    pub run: for<'a> fn(Call<'a>) -> BoxFuture<'a, Result<Outcome>>,
}

/// What an [`Action`] is run with.
pub struct Call<'a> {
    /// Whose action it is.
    pub connector: &'a Connector,
    /// A JSON object without names that the action's schema does not have; nothing else of it is checked.
    pub arguments: Json,
    /// The connector's configuration, as it came.
    pub configuration: Json,
    /// Clock, store, files, and how this run is to be.
    pub context: &'a Context,
}

/// Every action of a connector: the uniform ones, in the order in which people meet them, where it has
/// mechanisms; then its own.
pub fn catalog(connector: &Connector) -> Vec<ActionInfo> {
    let mut all = if connector.mechanisms.is_empty() {
        Vec::new()
    } else {
        uniform()
    };
    all.extend(connector.actions.iter().map(|action| (action.info)()));
    all
}

/// The actions that every connector with a mechanism has.
pub fn uniform() -> Vec<ActionInfo> {
    let report = schema::<Report>;
    let action = |command, name, description, writes, arguments, results| ActionInfo {
        command,
        name,
        description,
        writes,
        arguments,
        results,
    };
    vec![
        action(
            "sync_collection",
            "Synchronise a collection",
            "Makes what the owner has on the target equal to a complete collection: adds, extends, shortens and takes down",
            true,
            schema::<arguments::SyncCollection>(),
            report(),
        ),
        action(
            "push_indicators",
            "Push indicators",
            "Applies a batch of STIX objects: adds the active ones, takes down the revoked and ended ones; absence means nothing",
            true,
            schema::<arguments::PushIndicators>(),
            report(),
        ),
        action(
            "block",
            "Block values",
            "Blocks values now, for some days or until an instant, with a reason",
            true,
            schema::<arguments::Block>(),
            report(),
        ),
        action(
            "unblock",
            "Unblock values",
            "Takes our block of values off now, and says who would put it back",
            true,
            schema::<arguments::Unblock>(),
            report(),
        ),
        action(
            "list_blocked",
            "List what is blocked",
            "Lists what we hold on the target: value, owner, end, reason",
            false,
            schema::<arguments::ListBlocked>(),
            schema::<Blocked>(),
        ),
        action(
            "remove_expired",
            "Remove what has ended",
            "Takes down what has ended, and nothing else",
            true,
            schema::<arguments::RemoveExpired>(),
            report(),
        ),
        action(
            "check",
            "Check the connection",
            "Looks at credentials, rights, version, clock, limits, and what is missing on the vendor's side",
            false,
            schema::<arguments::Check>(),
            schema::<Checked>(),
        ),
    ]
}

/// The JSON schema of an action's arguments or results: draft-07, nothing by reference.
pub fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// What an action gave.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A writing action's report.
    Report(Box<Report>),
    /// A looking action's result.
    View(Json),
}

impl Outcome {
    /// As JSON, for machines.
    pub fn to_json(&self) -> Result<Json> {
        match self {
            Self::Report(report) => serde_json::to_value(report)
                .map_err(|error| Error::internal("the report is not JSON").because(error)),
            Self::View(view) => Ok(view.clone()),
        }
    }
}

/// Runs an action. An error is for what could not even start: an unknown command, bad arguments, a bad
/// configuration. What went wrong at the vendor stands in the report.
pub async fn run(
    connector: &Connector,
    command: &str,
    arguments: Json,
    configuration: Json,
    context: &Context,
) -> Result<Outcome> {
    perform::run(connector, command, arguments, configuration, context).await
}
