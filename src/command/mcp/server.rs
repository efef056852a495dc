//! Answers a client. What is wrong with a call is its result, so that whoever made it can do better; only a
//! tool that is not there is an error of the protocol.

use std::collections::BTreeMap;
use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use sdk::action::{FailOn, Outcome};
use sdk::sync::Context;
use sdk::{Error, ErrorKind};
use serde_json::Value as Json;
use tokio::sync::watch;

use super::tools::{MASS_CHANGE, Offer};
use crate::command::run::{complain, is_reserved, only_loopback};
use crate::config::schema;
use crate::sekoia::coerce::coerce;
use crate::told;

/// The longest list of a result: a model reads all of it.
const LONGEST: usize = 1_000;

const INSTRUCTIONS: &str = "Cordon puts indicators on security products and takes them down again on time. Tools are \
named TARGET_ACTION. Look first: TARGET_list_blocked shows what Cordon holds there, TARGET_check whether the \
connection works. A tool that ends in _dry_run reports what its action would do and sends nothing: use it before \
the action itself, show its report, and ask. Tools that write are there only if the operator allowed them. A \
result whose status is held waits for a person; partial means that something failed, and details say what.";

/// The tools, and what runs.
pub(super) struct Server {
    offers: BTreeMap<String, Arc<Offer>>,
    context: Context,
    work: Work,
}

/// Counts what runs.
#[derive(Clone)]
pub(super) struct Work(watch::Sender<usize>);

impl Work {
    /// Waits until nothing runs.
    pub(super) async fn finished(&self) {
        // The sender is here, so that the wait ends only by its condition.
        let _ = self.0.subscribe().wait_for(|running| *running == 0).await;
    }

    fn begin(&self) -> Running {
        self.0.send_modify(|running| *running += 1);
        Running(self.clone())
    }
}

struct Running(Work);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.send_modify(|running| *running -= 1);
    }
}

impl Server {
    pub(super) fn new(offers: BTreeMap<String, Offer>, context: Context) -> Self {
        Self {
            offers: offers
                .into_iter()
                .map(|(name, offer)| (name, Arc::new(offer)))
                .collect(),
            context,
            work: Work(watch::channel(0).0),
        }
    }

    pub(super) fn work(&self) -> Work {
        self.work.clone()
    }

    fn unknown(&self, name: &str) -> ErrorData {
        let tried = format!("{name}_dry_run");
        let message = if self.offers.contains_key(&tried) {
            format!(
                "{name} writes, and cordon mcp was started without --allow-writes; {tried} is there"
            )
        } else {
            format!("there is no tool {name:?}")
        };
        ErrorData::invalid_params(message, None)
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let version = env!("CARGO_PKG_VERSION");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("cordon", version))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.offers.values().map(|offer| offer.tool.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        call: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.into_owned();
        let Some(offer) = self.offers.get(&name) else {
            return Err(self.unknown(&name));
        };
        let writes = offer.writes;
        let arguments = Json::Object(request.arguments.unwrap_or_default());
        let (offer, context) = (Arc::clone(offer), self.context.clone());
        let running = self.work.begin();
        // In a task of its own, so that a client which goes away or gives up leaves no half of a write.
        let mut task = tokio::spawn(async move {
            let _running = running;
            perform(&offer, arguments, context).await
        });
        let result = tokio::select! {
            result = &mut task => result,
            () = call.ct.cancelled(), if !writes => {
                task.abort();
                return Err(ErrorData::internal_error("cancelled", None));
            }
        };
        result
            .map(CallToolResponse::from)
            .map_err(|_| ErrorData::internal_error("the action broke off", None))
    }
}

/// Runs an action; whatever becomes of it is the call's result, without secrets.
async fn perform(offer: &Offer, arguments: Json, context: Context) -> CallToolResult {
    let redactor = &offer.connection.redactor;
    match act(offer, arguments, context).await {
        Ok(outcome) => result(offer, outcome),
        Err(error) => {
            let text = redactor.text(&format!("error: {}", told::error(&error)));
            CallToolResult::error(vec![ContentBlock::text(text)])
        }
    }
}

async fn act(offer: &Offer, arguments: Json, mut context: Context) -> Result<Outcome, Error> {
    let mut arguments = arguments;
    check(offer, &mut arguments)?;
    context.dry_run = offer.dry_run;
    let connection = &offer.connection;
    if !context.environment.clock.offset().is_zero()
        && !only_loopback(connection.connector, &arguments, &connection.configuration)
    {
        return Err(
            Error::input("with --clock nothing beyond this machine is reached")
                .hint("start without --clock"),
        );
    }
    context.protect.clone_from(&connection.protect);
    let _turn = connection.turn.lock().await;
    sdk::action::run(
        connection.connector,
        offer.command,
        arguments,
        connection.configuration.clone(),
        &context,
    )
    .await
}

/// Gives the arguments their types, and says what is wrong with them.
fn check(offer: &Offer, arguments: &mut Json) -> Result<(), Error> {
    let given = arguments.as_object();
    for name in given.into_iter().flat_map(serde_json::Map::keys) {
        if is_reserved(name) {
            return Err(Error::input(format!("{name} is not taken from an MCP client"))
                .hint("give the objects or values themselves; files and addresses are for cordon.toml and `cordon sync`"));
        }
        if name == MASS_CHANGE {
            return Err(
                Error::input(format!("{MASS_CHANGE} is not taken from an MCP client"))
                    .hint("what is held waits for a person, who looks and uses `cordon approve`"),
            );
        }
        if offer.dry_run && name == "dry_run" {
            return Err(
                Error::input("dry_run is not an argument: this tool sends nothing anyway")
                    .hint("leave it out"),
            );
        }
    }
    *arguments = coerce(&offer.schema, arguments.take());
    complain(
        ErrorKind::Input,
        schema::check(&offer.schema, arguments, "arguments").problems,
    )?;
    if offer.dry_run {
        arguments["dry_run"] = Json::Bool(true);
    }
    Ok(())
}

fn result(offer: &Offer, outcome: Outcome) -> CallToolResult {
    let redactor = &offer.connection.redactor;
    let (json, error) = match outcome {
        Outcome::Report(mut report) => {
            report.target.clone_from(&offer.connection.name);
            let error = FailOn::default()
                .names(report.status)
                .then(|| told::failure(&report));
            (serde_json::to_value(report).unwrap_or_default(), error)
        }
        Outcome::View(view) => {
            let error = told::view_failure(&view);
            (view, error)
        }
    };
    let mut json = redactor.json(json);
    let cut = told::cut(&mut json, LONGEST);
    match error {
        Some(error) => {
            let text = redactor.text(&format!("error: {error}"));
            CallToolResult::error(vec![
                ContentBlock::text(text),
                ContentBlock::text(json.to_string()),
            ])
        }
        None => {
            let mut result = CallToolResult::structured(json);
            result
                .content
                .extend(cut.into_iter().map(ContentBlock::text));
            result
        }
    }
}
