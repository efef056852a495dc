//! The connector's actions.

mod add;
mod check;
mod destinations;
mod revoke;

use futures::FutureExt as _;
use sdk::action::{Action, ActionInfo, Call, Checked, schema};
use sdk::report::Report;
use serde_json::Value as Json;

/// All of them, in the order in which people meet them.
pub(crate) static ACTIONS: &[Action] = &[
    Action {
        info: || ActionInfo {
            command: "add_destination_ips_to_ioc_collection",
            name: "Add Destination IP addresses of an alert to IOC Collection",
            description: "Finds the destination addresses of an alert's events, leaves out private and protected ones, and adds the rest to an IOC collection for some days",
            writes: true,
            arguments: schema::<destinations::Arguments>(),
            results: schema::<Report>(),
        },
        run: |call| destinations::run(call).boxed(),
    },
    Action {
        info: || ActionInfo {
            command: "add_ioc_to_ioc_collection",
            name: "Add IOC to IOC Collection",
            description: "Adds indicators to an IOC collection, and says of each what became of it",
            writes: true,
            arguments: schema::<add::Arguments>(),
            results: schema::<Report>(),
        },
        run: |call| add::run(call).boxed(),
    },
    Action {
        info: || ActionInfo {
            command: "revoke_ioc",
            name: "Revoke IOC of IOC Collection",
            description: "Revokes indicators of an IOC collection by value or id; a revocation cannot be undone",
            writes: true,
            arguments: schema::<revoke::Arguments>(),
            results: schema::<Report>(),
        },
        run: |call| revoke::run(call).boxed(),
    },
    Action {
        info: || ActionInfo {
            command: "check",
            name: "Check the connection",
            description: "Looks at the API key, what it may do as far as that can be seen, and the clock",
            writes: false,
            arguments: schema::<check::Arguments>(),
            results: schema::<Checked>(),
        },
        run: |call| check::run(call).boxed(),
    },
];

/// Reads an action's arguments.
fn arguments<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> sdk::Result<T> {
    serde_json::from_value::<T>(call.arguments.clone()).map_err(|error| {
        sdk::Error::input("the arguments are not as they should be").because(error)
    })
}

/// A result as JSON.
fn view(view: &impl serde::Serialize) -> sdk::Result<Json> {
    serde_json::to_value(view)
        .map_err(|error| sdk::Error::internal("the result is not JSON").because(error))
}
