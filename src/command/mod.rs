//! The commands, and what several of them share.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod connectors;
pub(crate) mod demo;
pub(crate) mod fake;
pub(crate) mod history;
pub(crate) mod manifests;
pub(crate) mod mcp;
mod orphans;
pub(crate) mod pause;
pub(crate) mod report;
pub(crate) mod retire;
pub(crate) mod rewrite;
pub(crate) mod run;
pub(crate) mod store;
pub(crate) mod sync;

use std::future::Future;
use std::sync::Arc;

use sdk::store::Store;
use sdk::sync::{Context, TargetGroup};
use sdk::{Clock, Error, ErrorKind};

use crate::cli::Global;
use crate::config::{Config, Secrets, TargetConfig};
use crate::environment;
use crate::failure::Failure;
use crate::output::tell;
use crate::store::{ClockUse, Opened};

/// The exit code, or why there is none.
pub(crate) type Outcome = Result<u8, Failure>;

/// Runs what needs a runtime; commands that need none start none.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    runtime()?.block_on(future)
}

/// The same, for what has to end in time: what is still going on then is not waited for.
pub(crate) fn block_on_and_leave<T>(
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime does not start").because(error))
}

/// Reads the configuration with its secrets.
pub(crate) fn configuration(global: &Global) -> Result<Config, Failure> {
    let all = crate::connectors::all();
    Ok(crate::config::load(
        &global.config,
        &all,
        Secrets::From(&environment::variable),
    )?)
}

/// Reads the configuration for a command that calls no vendor: it needs no secret.
pub(crate) fn configuration_without_secrets(global: &Global) -> Result<Config, Failure> {
    let all = crate::connectors::all();
    Ok(crate::config::load(&global.config, &all, Secrets::Unread)?)
}

/// The configured store, which this command cannot do without.
pub(crate) async fn needed_store(config: &Config, global: &Global) -> Result<Opened, Failure> {
    let path = config.store.as_ref().ok_or_else(|| {
        Error::config("this needs a store, and the configuration has none")
            .hint("write [store] with url = \"sqlite:cordon.db\"")
    })?;
    let clock = if global.clock.is_some() {
        ClockUse::Moved
    } else {
        ClockUse::System
    };
    Ok(crate::store::open(path, clock).await?)
}

/// Refuses a moved clock where it could do harm.
pub(crate) fn check_clock(global: &Global, loopback: bool) -> Result<Clock, Failure> {
    if global.clock.is_some() && !loopback {
        return Err(
            Error::config("--clock is refused: not every endpoint is on loopback")
                .hint("`cordon plan --clock …` may look into the future anywhere")
                .into(),
        );
    }
    Ok(environment::clock(global.clock.as_deref())?)
}

/// A configured target, ready to run on.
pub(crate) fn group(
    name: &str,
    target: &TargetConfig,
    context: &Context,
) -> Result<TargetGroup, Error> {
    Ok(TargetGroup {
        name: name.to_owned(),
        members: sdk::action::members(
            target.connector,
            target.settings.clone(),
            &context.environment,
        )
        .map_err(|error| error.with("target", name))?,
    })
}

/// What every run of this process gets.
pub(crate) fn context(
    clock: Clock,
    installation: &str,
    store: Option<Arc<dyn Store>>,
    global: &Global,
) -> Context {
    let mut context = Context::new(environment::outside(clock, installation));
    context.store = store;
    context.actor = environment::actor(global.actor.as_deref());
    context.attended = std::io::IsTerminal::is_terminal(&std::io::stdin());
    context
}

/// SIGINT and SIGTERM, taken from the moment that this is made: none is lost between two waits.
pub(crate) struct Signals {
    #[cfg(unix)]
    streams: [tokio::signal::unix::Signal; 2],
}

impl Signals {
    /// Begins to take them.
    pub(crate) fn new() -> Result<Self, Error> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let take = |kind| {
                signal(kind)
                    .map_err(|error| Error::internal("signals cannot be taken").because(error))
            };
            Ok(Self {
                streams: [
                    take(SignalKind::interrupt())?,
                    take(SignalKind::terminate())?,
                ],
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.streams;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        drop(tokio::signal::ctrl_c().await);
    }

    /// Waits for two: the first lets what is being done end, and `first` says that no more is begun.
    pub(crate) async fn twice(&mut self, first: impl FnOnce()) {
        self.next().await;
        first();
        tell("stopping after what is being done; once more to stop at once");
        self.next().await;
    }
}

/// Ended by a signal: what was done is whole, the next run goes on.
pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "stopped by a signal")
        .retry(sdk::Retry::Later(None))
        .hint("run again: it goes on where this stopped")
}
