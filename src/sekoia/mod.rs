//! `cordon sekoia CONNECTOR ACTION`: the runtime that Sekoia's playbooks expect of a module's image.
//!
//! **What comes in.** The action is the first argument, taken as it is; what follows it is ignored, and
//! without one it is the empty name. Everything else has a name and is a file below `/symphony`
//! (`--files`), or else the environment variable of that name in capitals: `token`, `url_callback`,
//! `module_configuration`, `arguments`, and the settings of the data path. JSON in a variable may be in
//! base64. Templates change types: what can only mean one thing is taken for it (`"90"` is a number,
//! `"True"` a truth, a list may come as its text), anything else is refused by name.
//!
//! **What goes out.** Nothing on stdout; log lines on stderr; and calls to the callback, with the token:
//!
//! 1. `{"status": "running", "need_secrets": true}`. The answer brings the values of the fields that the
//!    module's manifest calls secret, which are laid over the configuration. Only then is the
//!    configuration looked at.
//! 2. `{"status": "finished", …}` with `results`, `logs`, `outputs` (`held` or `partial`, so that a playbook
//!    can take a branch of its own) and `error` (where the argument `fail_on` says so: `failed` if nothing
//!    else is asked for). An error and a line of the logs have at most 16 KiB, all lines together 256 KiB.
//!
//! A call that finds no answer, a 429 or a 5xx is sent again after 2, 4, 8 … 512 s, or after what `Retry-After`
//! asks for, ten times and 17 minutes in all; any other 4xx is the platform's last word. 409 means that the task
//! is finished or somebody else's: nothing is done, and that is no failure. Where the first call is refused, no
//! vendor is called; the platform is still told why.
//!
//! **Files.** The data path is `/symphony_data` (`--data`), or with `file_backend` `S3` a bucket; below it
//! stands `sub_folder`. `stix_objects_path` names a file there and nothing else: no absolute path, no `..`,
//! no link out of it. Where the objects came from a file, `changes` and `details` go into files too, as
//! `changes_path` and `details_path`; so does any list of more than 1,000. Nothing is written elsewhere.
//!
//! **Ending.** The exit code is 0 once the platform knows how it ended, well or not, and 1 otherwise or
//! when there is no such action. After SIGTERM the action has five seconds to end by itself and four are
//! kept for telling the platform; a second signal ends it at once. A list that is not in its file when the
//! first comes is sent inline.
//!
//! `validate_module_configuration` runs `check` and answers `{"success": true}` or why not.
//!
//! Every secret value (token, keys of the object store, what the schema calls secret) is struck out of
//! what is sent and logged, whatever a vendor put into its answers.

mod callback;
pub(crate) mod coerce;
mod data;
mod inputs;
mod log;
mod results;
pub(crate) mod secrets;
mod stop;

use sdk::action::{ActionInfo, FailOn, Outcome as ActionOutcome};
use sdk::connector::{Connector, Environment};
use sdk::sync::Context;
use sdk::{Clock, Error, ErrorKind, Result, Retry, Secret};
use serde_json::{Value as Json, json};

use crate::cli::{Global, Sekoia};
use crate::command::{Outcome, block_on_and_leave, cancelled, check_clock, run as one_action};
use crate::config::endpoint;
use crate::connectors;
use crate::environment;
use crate::failure::Failure;
use crate::output::tell_exactly;
use callback::{Callback, TRIES};
use data::Data;
use inputs::Inputs;
use log::{Level, Log};
pub(crate) use results::LISTS;
use results::{Files, Finished};
pub(crate) use secrets::names as secret_names;
use stop::Stop;

/// Asks whether a configuration works, of every module.
const VALIDATE: &str = "validate_module_configuration";

/// Runs one action. The exit code is 0 if the platform was told how it ended.
pub(crate) fn run(arguments: &Sekoia, global: &Global) -> Outcome {
    Ok(
        block_on_and_leave(play(arguments, global)).unwrap_or_else(|failure| {
            failure.tell();
            1
        }),
    )
}

async fn play(arguments: &Sekoia, global: &Global) -> Result<u8, Failure> {
    let clock = Clock::system();
    let stop = Stop::new(&clock)?;
    let connector = connectors::find(&arguments.connector)?;
    let inputs = Inputs::new(&arguments.files);
    let token = inputs.needed("token")?;
    let url = inputs.needed("url_callback")?;
    // A platform is not told of what a moved clock made up.
    let shown = check_clock(global, endpoint::is_loopback(&url))?;
    let mut log = Log::new(shown, global.log, tell_exactly);
    log.redactor.add(&token);
    let outside = environment::outside(clock, "main");
    // A CA that cannot be read is told to the platform, whose own may be a public one.
    let (callback, trust) = match Callback::new(&url, Secret::new(&token), &outside) {
        Ok(callback) => (callback, Ok(())),
        Err(error) => {
            let without = Environment {
                ca_files: Vec::new(),
                ..outside.clone()
            };
            match Callback::new(&url, Secret::new(&token), &without) {
                Ok(callback) => (callback, Err(error)),
                Err(_) => return Err(error.into()),
            }
        }
    };
    if let Some(host) = callback.plain_host() {
        log.add(
            Level::Warning,
            &format!("the callback at {host} is plain http: others can read what is sent there"),
        );
    }
    let command = arguments.command.first().map_or("", String::as_str);
    let mut session = Session {
        connector,
        inputs,
        arguments,
        global,
        outside,
        callback,
        stop,
        log,
    };
    session.log.add(
        Level::Info,
        &format!(
            "cordon {} {} {command}",
            env!("CARGO_PKG_VERSION"),
            connector.name
        ),
    );
    let catalog = sdk::action::catalog(connector);
    let action = one_action::action(
        &catalog,
        if command == VALIDATE {
            "check"
        } else {
            command
        },
    );
    let known = action.is_ok();
    let begun = match trust {
        Ok(()) => session.begin(command, known).await,
        Err(error) => Err(error),
    };
    let (finished, tries) = match begun {
        Err(error) => {
            // Who was not reached in seventeen minutes is tried once more, not for seventeen more.
            let gave_up = error.retry_status() == Retry::GaveUp;
            let finished = Finished::failed(&error, &mut session.log);
            (finished, if gave_up { 1 } else { TRIES })
        }
        Ok(secrets) => {
            let finished = match action {
                Err(error) => Err(error),
                Ok(action) if command == VALIDATE => session.validate(action, secrets).await,
                Ok(action) => session.act(action, secrets).await,
            };
            let finished =
                finished.unwrap_or_else(|error| Finished::failed(&error, &mut session.log));
            (finished, TRIES)
        }
    };
    let told = session.end(finished, tries).await;
    Ok(u8::from(!(told && known)))
}

/// What the platform gave as secrets.
type Given = Option<serde_json::Map<String, Json>>;

struct Session<'a> {
    connector: &'static Connector,
    inputs: Inputs,
    arguments: &'a Sekoia,
    global: &'a Global,
    outside: Environment,
    callback: Callback,
    stop: Stop,
    log: Log,
}

impl Session<'_> {
    /// Tells that it begins, and gets the secrets.
    async fn begin(&mut self, command: &str, known: bool) -> Result<Given> {
        let names = secrets::names(self.connector);
        let mut message = json!({ "status": "running" });
        // The platform gives them to a validation without being asked.
        if known && command != VALIDATE {
            message["need_secrets"] = Json::Bool(true);
        }
        let answer = tokio::select! {
            answer = self.callback.send(&message, TRIES, &mut self.log) => answer?,
            () = self.stop.first() => return Err(cancelled()),
        };
        let given = callback::given(&answer).filter(|_| known);
        match &given {
            Some(given) => {
                let schema = (self.connector.schema)().to_value();
                self.log.redactor.add_given(&schema, &names, given);
            }
            None if known => self
                .log
                .add(Level::Warning, "the platform's answer brought no secrets"),
            None => {}
        }
        Ok(given)
    }

    /// Tells how it ended; whether that is known to the platform now.
    async fn end(&mut self, finished: Finished, tries: u32) -> bool {
        let message = finished.message(&self.log);
        let told = tokio::select! {
            told = self.callback.send(&message, tries, &mut self.log) => told.map(drop),
            () = self.stop.all_is_over() => Err(cancelled()),
        };
        match told {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                self.log.add(Level::Info, &error.to_string());
                true
            }
            Err(error) => {
                let mut text = format!("the platform was not told how it ended: {error}");
                if let Some(hint) = error.hint_text() {
                    text.push_str(&format!(" (hint: {hint})"));
                }
                self.log.add(Level::Error, &text);
                false
            }
        }
    }

    /// The module's configuration with its secrets, with the types that the connector asks for.
    fn configuration(&mut self, given: Given) -> Result<Json> {
        let schema = (self.connector.schema)().to_value();
        let mut configuration = self.inputs.object("module_configuration")?;
        if let Some(given) = given {
            secrets::merge(&mut configuration, &given, &secrets::names(self.connector));
        }
        let configuration = coerce::coerce(&schema, configuration);
        let configuration = coerce::coerce(
            &json!({ "properties": { one_action::MASS_CHANGE: { "type": "boolean" } } }),
            configuration,
        );
        self.log
            .redactor
            .add_secrets(&schema, &schema, &configuration);
        Ok(configuration)
    }

    fn data(&mut self) -> Result<Data> {
        Data::new(
            &self.inputs,
            &self.arguments.data,
            &self.outside,
            &mut self.log.redactor,
        )
    }

    async fn validate(&mut self, action: &ActionInfo, given: Given) -> Result<Finished> {
        let outcome = match self.configuration(given) {
            Ok(configuration) => {
                let files = data::no_files();
                self.perform(action, json!({}), configuration, files).await
            }
            Err(error) => Err(error),
        };
        Ok(Finished::of_check(&outcome, &mut self.log))
    }

    async fn act(&mut self, action: &ActionInfo, given: Given) -> Result<Finished> {
        let configuration = self.configuration(given)?;
        let arguments = self.inputs.object("arguments")?;
        let mut arguments = coerce::coerce(action.arguments.as_value(), arguments);
        let paths = paths(action, &mut arguments);
        let fail_on = if action.writes {
            FailOn::of(&arguments)?
        } else {
            FailOn::default()
        };
        // Where nothing is read, a data path that is not there matters only to long results.
        let data = match self.data() {
            Err(error) if !paths.is_empty() => return Err(error),
            data => data,
        };
        let files = match &data {
            Ok(data) if !paths.is_empty() => {
                let names: Vec<&str> = paths.iter().map(String::as_str).collect();
                let opened = tokio::select! {
                    opened = data.files(&names) => opened,
                    () = self.stop.first() => Err(cancelled()),
                };
                opened.inspect_err(|error| {
                    if error.kind() == ErrorKind::Denied {
                        self.log.add(Level::Critical, error.message());
                    }
                })?
            }
            _ => data::no_files(),
        };
        let outcome = self
            .perform(action, arguments, configuration, files)
            .await?;
        let files = Files {
            data: &data,
            wanted: !paths.is_empty(),
            stop: &self.stop,
        };
        Finished::of(&outcome, &fail_on, files, &mut self.log).await
    }

    /// The action itself, in a task of its own: signals are heard while it reads.
    async fn perform(
        &mut self,
        action: &ActionInfo,
        arguments: Json,
        configuration: Json,
        files: sdk::sync::OpenFile,
    ) -> Result<ActionOutcome> {
        one_action::check_keys(self.connector, action, &arguments, &configuration)?;
        let loopback = one_action::only_loopback(self.connector, &arguments, &configuration);
        let clock = check_clock(self.global, loopback).map_err(|failure| match failure {
            Failure::Error(error) => error,
            Failure::Problems(_) => Error::config("the configuration has mistakes"),
        })?;
        let mut context = Context::new(environment::outside(clock, "main"));
        context.actor = match self.inputs.text("playbook_uuid")? {
            Some(playbook) => format!("playbook {playbook}"),
            None => "playbook".to_owned(),
        };
        context.files = Some(files);
        let (connector, command) = (self.connector, action.command);
        let mut work = tokio::spawn(async move {
            sdk::action::run(connector, command, arguments, configuration, &context).await
        });
        tokio::select! {
            outcome = &mut work => outcome
                .map_err(|error| Error::internal("the action broke off").because(error))?,
            () = self.stop.action_is_over() => {
                work.abort();
                Err(cancelled())
            }
        }
    }
}

/// Files that an action's arguments name. Where both a thing and its path are given, the thing counts.
fn paths(action: &ActionInfo, arguments: &mut Json) -> Vec<String> {
    let names: Vec<String> = action
        .arguments
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, _)| name.strip_suffix("_path").map(str::to_owned))
        .collect();
    let mut paths = Vec::new();
    let Some(arguments) = arguments.as_object_mut() else {
        return paths;
    };
    for name in names {
        let path = format!("{name}_path");
        if arguments.contains_key(&name) {
            arguments.remove(&path);
        } else if let Some(Json::String(path)) = arguments.get(&path)
            // Editors of playbooks keep empty fields: the action says what is missing.
            && !path.trim().is_empty()
        {
            paths.push(path.clone());
        }
    }
    paths
}
