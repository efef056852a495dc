//! `cordon run`: one action, for people, scripts and engines. What differs between engines is how a job is
//! read and how its end is told; the action is the same.

mod cortex;
mod input;
mod kestra;

use std::path::{Path, PathBuf};

use sdk::action::{ActionInfo, FailOn, Outcome as ActionOutcome};
use sdk::connector::{Connector, Proxies};
use sdk::report::Report;
use sdk::sync::OpenFile;
use sdk::{Error, ErrorKind};
use serde_json::{Value as Json, json};

use super::{Outcome, Signals, block_on, cancelled, check_clock, context};
use crate::cli::{Dialect, Global, OutputTo, Run};
use crate::config::{Problem, endpoint, schema};
use crate::connectors;
use crate::failure::Failure;
use crate::output::{print, tell};
use crate::sekoia::coerce::coerce;
use crate::sekoia::secrets::Redactor;
use crate::store::ClockUse;
use crate::told;

pub(crate) use cortex::is_job;
pub(crate) use input::{MASS_CHANGE, from_environment, is_reserved};

use input::COMMON_FIELDS;

/// An action as an engine hands it over.
struct Job {
    connector: &'static Connector,
    command: String,
    arguments: Json,
    configuration: Json,
    /// What path arguments may name; `None`: any file.
    files: Option<OpenFile>,
    /// CAs to trust beside those of the environment.
    ca_files: Vec<PathBuf>,
    /// In place of those of the environment.
    proxies: Proxies,
}

/// How an action ended.
struct Ended {
    /// For machines.
    json: Json,
    /// The exit code of a plain run.
    code: u8,
    /// Why the engine is told of an error, if it is.
    error: Option<String>,
    report: Option<Box<Report>>,
}

impl Ended {
    fn of(outcome: ActionOutcome, fail_on: &FailOn) -> Result<Self, Error> {
        let json = outcome.to_json()?;
        Ok(match outcome {
            ActionOutcome::Report(report) => Self {
                json,
                code: report.exit_code(),
                error: fail_on.names(report.status).then(|| told::failure(&report)),
                report: Some(report),
            },
            ActionOutcome::View(view) => {
                let status = view.get("status").and_then(Json::as_str);
                let code = match status {
                    Some("failed") => 1,
                    Some("partial") => 4,
                    Some("missing") => 3,
                    _ => 0,
                };
                Self {
                    json,
                    code,
                    error: told::view_failure(&view),
                    report: None,
                }
            }
        })
    }

    fn failed(failure: &Failure) -> Self {
        Self {
            json: failure.to_json(),
            code: failure.exit_code(),
            error: Some(failure.lines().join("\n").replacen("error: ", "", 1)),
            report: None,
        }
    }

    /// Without secrets, whatever a vendor put into its answers.
    fn redacted(mut self, redactor: &Redactor) -> Self {
        self.json = redactor.json(self.json);
        self.error = self.error.map(|text| redactor.text(&text));
        self
    }

    /// The exit code for an engine that knows good and bad only.
    fn engine_code(&self) -> u8 {
        match self.error {
            Some(_) => self.code.max(1),
            None => 0,
        }
    }
}

/// Runs it. Whatever happens, one result comes out, where the engine looks for it.
pub(crate) fn run(options: &Run, global: &Global) -> Outcome {
    let dialect = options.dialect.unwrap_or_else(|| {
        if is_job(&options.job) {
            Dialect::Cortex
        } else {
            Dialect::Plain
        }
    });
    let mut redactor = Redactor::default();
    if let OutputTo::File(path) = &global.output {
        // What cannot be told later is not done.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|error| unwritable(path).because(error))?;
    }
    let ended = read(dialect, options, &mut redactor)
        .map_err(Failure::from)
        .and_then(|job| perform(job, dialect, options, global, &mut redactor));
    let ended = ended.unwrap_or_else(|failure| {
        for line in failure.lines() {
            tell(&redactor.text(&line));
        }
        Ended::failed(&failure)
    });
    let ended = ended.redacted(&redactor);
    if let OutputTo::File(path) = &global.output {
        std::fs::write(path, format!("{}\n", ended.json)).map_err(|error| {
            // It was done: whoever looks for the result finds it here.
            print(&ended.json.to_string());
            unwritable(path).because(error)
        })?;
    }
    let to_file = matches!(global.output, OutputTo::File(_));
    match dialect {
        Dialect::Cortex => cortex::tell(&options.job, &ended)?,
        Dialect::Kestra => print(&kestra::line(&ended)),
        Dialect::Plain | Dialect::Stackstorm if to_file => {}
        Dialect::Plain | Dialect::Stackstorm => print(&ended.json.to_string()),
    }
    Ok(match dialect {
        Dialect::Plain => ended.code,
        Dialect::Cortex | Dialect::Kestra | Dialect::Stackstorm => ended.engine_code(),
    })
}

fn unwritable(path: &Path) -> Error {
    Error::config("the result cannot be written").with("file", path.display())
}

fn read(dialect: Dialect, options: &Run, redactor: &mut Redactor) -> Result<Job, Error> {
    if dialect == Dialect::Cortex {
        return cortex::read(options, redactor);
    }
    let (Some(connector), Some(command)) = (&options.connector, &options.command) else {
        return Err(Error::input("`run` needs a connector and an action")
            .hint("write cordon run CONNECTOR ACTION; only Cortex names them in its job"));
    };
    let connector = connectors::find(connector)?;
    let catalog = sdk::action::catalog(connector);
    let action = action(&catalog, command)?;
    let named = input::named(&options.arguments, action.arguments.as_value())?;
    let path = match (&options.input, dialect) {
        (Some(path), _) => Some(path.as_path()),
        (None, Dialect::Plain) if options.arguments.is_empty() => Some(Path::new("-")),
        (None, _) => None,
    };
    let (mut arguments, configuration) = match path {
        Some(path) => input::read(path)?,
        None => (json!({}), json!({})),
    };
    if dialect != Dialect::Plain {
        arguments = coerce(action.arguments.as_value(), arguments);
    }
    if let (Some(arguments), Json::Object(named)) = (arguments.as_object_mut(), named) {
        arguments.extend(named);
    }
    Ok(Job {
        connector,
        command: command.clone(),
        arguments,
        configuration,
        files: None,
        ca_files: Vec::new(),
        proxies: Proxies::default(),
    })
}

fn perform(
    mut job: Job,
    dialect: Dialect,
    options: &Run,
    global: &Global,
    redactor: &mut Redactor,
) -> Result<Ended, Failure> {
    let connector = job.connector;
    let catalog = sdk::action::catalog(connector);
    let action = action(&catalog, &job.command)?;
    from_environment(connector, &mut job.configuration)?;
    let schema = (connector.schema)().to_value();
    if dialect != Dialect::Plain {
        job.configuration = coerce(&schema, job.configuration);
    }
    redactor.add_secrets(&schema, &schema, &job.configuration);
    check_keys(connector, action, &job.arguments, &job.configuration)?;
    let fail_on = if action.writes {
        FailOn::of(&job.arguments)?
    } else {
        FailOn::default()
    };
    let loopback = only_loopback(connector, &job.arguments, &job.configuration);
    let clock = check_clock(global, loopback)?;
    block_on(async {
        let opened = match &options.store {
            Some(url) => {
                let path = crate::store::path_of(url, Path::new(""))?;
                let clock = if global.clock.is_some() {
                    ClockUse::Moved
                } else {
                    ClockUse::System
                };
                let opened = crate::store::open(&path, clock).await?;
                if action.writes {
                    opened.make_room().await?;
                }
                Some(opened)
            }
            None => None,
        };
        if let Some(warning) = opened.as_ref().and_then(|opened| opened.warning.as_ref()) {
            tell(&format!("warning: {warning}"));
        }
        let store = opened
            .as_ref()
            .map(|opened| std::sync::Arc::clone(&opened.store));
        let mut context = context(clock, "main", store, global);
        context.environment.ca_files.append(&mut job.ca_files);
        context.environment.proxies = job.proxies;
        context.files = job.files;
        let mut signals = Signals::new()?;
        let work = sdk::action::run(
            connector,
            action.command,
            job.arguments,
            job.configuration,
            &context,
        );
        let outcome = tokio::select! {
            outcome = work => outcome?,
            // The first lets the action end, because it is one pass over one target.
            () = signals.twice(|| ()) => return Err(cancelled().into()),
        };
        Ok(Ended::of(outcome, &fail_on)?)
    })
}

/// The action of this name, or the error that suggests one.
pub(crate) fn action<'a>(
    catalog: &'a [ActionInfo],
    command: &str,
) -> Result<&'a ActionInfo, Error> {
    catalog
        .iter()
        .find(|it| it.command == command)
        .ok_or_else(|| {
            let names: Vec<&str> = catalog.iter().map(|it| it.command).collect();
            let near = names
                .iter()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, command).total_cmp(&strsim::jaro_winkler(b, command))
                })
                .filter(|near| strsim::jaro_winkler(near, command) > 0.8);
            let hint = near.map_or_else(
                || format!("known are {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            Error::input(format!("there is no action {command:?}")).hint(hint)
        })
}

/// Names every unknown key, and what else is wrong, before anything is done.
pub(crate) fn check_keys(
    connector: &Connector,
    action: &ActionInfo,
    arguments: &Json,
    configuration: &Json,
) -> Result<(), Error> {
    let arguments = schema::check(&closed(action.arguments.as_value()), arguments, "arguments");
    let configuration = configuration_problems(connector, configuration);
    let is_input = !arguments.problems.is_empty() || has_unknown_key(&configuration);
    let all = arguments.problems.into_iter().chain(configuration);
    complain(kind(is_input), all.collect())
}

/// The same for a configuration alone.
pub(crate) fn check_configuration(
    connector: &Connector,
    configuration: &Json,
) -> Result<(), Error> {
    let problems = configuration_problems(connector, configuration);
    complain(kind(has_unknown_key(&problems)), problems)
}

fn configuration_problems(connector: &Connector, configuration: &Json) -> Vec<Problem> {
    let mut configuration = configuration.clone();
    if let Some(fields) = configuration.as_object_mut() {
        fields.retain(|name, _| !COMMON_FIELDS.contains(&name.as_str()));
    }
    let schema = closed((connector.schema)().as_value());
    schema::check(&schema, &configuration, "configuration").problems
}

fn has_unknown_key(problems: &[Problem]) -> bool {
    problems.iter().any(|it| it.message == "unknown key")
}

fn kind(is_input: bool) -> ErrorKind {
    if is_input {
        ErrorKind::Input
    } else {
        ErrorKind::Config
    }
}

/// The most problems that an error names: whoever has more has one mistake many times.
const NAMED: usize = 20;

/// One error of all problems, with the first hint.
pub(crate) fn complain(kind: ErrorKind, problems: Vec<Problem>) -> Result<(), Error> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut message: Vec<String> = problems
        .iter()
        .take(NAMED)
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    if problems.len() > NAMED {
        message.push(format!("and {} more", problems.len() - NAMED));
    }
    let error = Error::new(kind, message.join("; "));
    Err(
        match problems.into_iter().find_map(|problem| problem.hint) {
            Some(hint) => error.hint(hint),
            None => error,
        },
    )
}

/// The schema without room for keys that it does not name.
fn closed(schema: &Json) -> Json {
    let mut schema = schema.clone();
    if schema.get("additionalProperties").is_none() {
        schema["additionalProperties"] = Json::Bool(false);
    }
    schema
}

/// Whether an action reaches this machine only.
pub(crate) fn only_loopback(connector: &Connector, arguments: &Json, configuration: &Json) -> bool {
    endpoint::only_loopback(connector, configuration)
        && urls(arguments).iter().all(|url| endpoint::is_loopback(url))
        && (connector.mechanisms.is_empty()
            || arguments.get("ioc_collection_id").is_none_or(Json::is_null)
            || configuration
                .get("sekoia_base_url")
                .and_then(Json::as_str)
                .is_some_and(endpoint::is_loopback))
}

/// Every text in the arguments that is fetched.
fn urls(arguments: &Json) -> Vec<&str> {
    arguments
        .get("source_url")
        .into_iter()
        .filter_map(Json::as_str)
        .filter(|text| text.contains("://"))
        .collect()
}
