//! The connector's actions.

mod check;

use futures::FutureExt as _;
use sdk::action::{Action, ActionInfo, Call, Checked, schema};
use serde_json::Value as Json;

/// All of them, in the order in which people meet them.
pub(crate) static ACTIONS: &[Action] = &[Action {
    info: || ActionInfo {
        command: "check",
        name: "Check the connection",
        description: "Looks at the API key, what it may do as far as that can be seen, and the clock",
        writes: false,
        arguments: schema::<check::Arguments>(),
        results: schema::<Checked>(),
    },
    run: |call| check::run(call).boxed(),
}];

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
