//! `cordon mcp`: the actions as tools for an MCP client, on stdin and stdout.
//!
//! The connections are the targets of `cordon.toml`, or with `--connector` one whose fields come from
//! `CORDON_<FIELD>`: no client ever gives or gets a credential. What only looks, and the dry run of what
//! writes, is always offered; what writes only with `--allow-writes`. A client names no files and no addresses.

mod server;
mod tools;
mod transport;

use std::sync::Arc;

use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use sdk::{Error, ErrorKind};
use serde_json::json;
use tokio::sync::watch;

use super::{
    Outcome, Signals, block_on_and_leave, cancelled, check_clock, configuration, context, run,
};
use crate::cli::{Global, Mcp};
use crate::config::endpoint;
use crate::connectors;
use crate::failure::Failure;
use crate::output::tell;
use crate::sekoia::coerce::coerce;
use crate::store::Opened;
use server::Server;
use tools::Connection;
use transport::Draining;

/// Serves until the client goes away or a signal comes; what runs then is brought to its end.
pub(crate) fn run(options: &Mcp, global: &Global) -> Outcome {
    block_on_and_leave(serve(options, global))
}

async fn serve(options: &Mcp, global: &Global) -> Outcome {
    let mut signals = Signals::new()?;
    let (connections, installation, opened) = match &options.connector {
        Some(name) => (vec![from_environment(name)?], "main".to_owned(), None),
        None => from_configuration(options.allow_writes, global).await?,
    };
    let loopback = connections
        .iter()
        .all(|it| endpoint::only_loopback(it.connector, &it.configuration));
    let clock = check_clock(global, loopback)?;
    let store = opened.as_ref().map(|opened| Arc::clone(&opened.store));
    let mut context = context(clock, &installation, store, global);
    // Whoever sits there is a client's user, and no terminal of ours asks.
    context.attended = false;
    context.actor = format!("{} through an MCP client", context.actor);
    context.files = Some(Arc::new(|_| {
        Err(Error::input("an MCP client names no files"))
    }));
    let offered = tools::offered(connections, options.allow_writes)?;
    let server = Server::new(offered, context);
    let work = server.work();
    let (stop, stopped) = watch::channel(false);
    let stdio = rmcp::transport::async_rw::AsyncRwTransport::new_server(
        tokio::io::stdin(),
        tokio::io::stdout(),
    );
    let session = async {
        match server.serve(Draining::new(stdio, stopped)).await {
            Ok(running) => {
                running
                    .waiting()
                    .await
                    .map_err(|error| Error::internal("the session broke off").because(error))?;
            }
            // It went away before it said anything, or was asked to.
            Err(ServerInitializeError::ConnectionClosed(_)) => {}
            Err(error) => {
                return Err(Error::protocol("the client did not begin as MCP says")
                    .because(error.to_string())
                    .into());
            }
        }
        work.finished().await;
        Ok(0)
    };
    tokio::select! {
        ended = session => ended,
        () = signals.twice(|| {
            stop.send_replace(true);
        }) => Err(cancelled().into()),
    }
}

async fn from_configuration(
    allow_writes: bool,
    global: &Global,
) -> Result<(Vec<Connection>, String, Option<Opened>), Failure> {
    let config = configuration(global)?;
    if !allow_writes && let Some(path) = config.store.as_deref().filter(|path| !path.exists()) {
        tell(&format!(
            "warning: there is no store {} yet; what is recorded there later is known here after a new start",
            path.display()
        ));
    }
    let opened = super::sync::open_store(&config, !allow_writes, global).await?;
    if let Some(opened) = &opened {
        if allow_writes {
            opened.make_room().await?;
        }
        if let Some(warning) = &opened.warning {
            tell(&format!("warning: {warning}"));
        }
    }
    if config.targets.is_empty() {
        return Err(Error::config("the configuration has no target")
            .hint("write a [targets.NAME] section, or start with --connector")
            .into());
    }
    let deployments = &config.deployments;
    let connections = config
        .targets
        .into_iter()
        .map(|(name, target)| {
            let protect = deployments
                .values()
                .filter(|it| it.targets.contains(&name))
                .flat_map(|it| it.deployment.protect.iter().cloned())
                .collect();
            let mut connection = Connection::new(name, target.connector, target.settings);
            connection.protect = protect;
            connection
        })
        .collect();
    Ok((connections, config.installation.to_string(), opened))
}

fn from_environment(name: &str) -> Result<Connection, Failure> {
    let connector = connectors::find(name)?;
    let mut configuration = json!({});
    run::from_environment(connector, &mut configuration)?;
    let configuration = coerce((connector.schema)().as_value(), configuration);
    run::check_configuration(connector, &configuration).map_err(|error| {
        if error.kind() == ErrorKind::Config && error.hint_text().is_none() {
            error.hint("each field comes from the variable CORDON_<FIELD>, or the file that CORDON_<FIELD>_FILE names")
        } else {
            error
        }
    })?;
    Ok(Connection::new(name.to_owned(), connector, configuration))
}
