//! Cordon: one binary. Parses, dispatches, and ends with the exit code of the worst that happened.

mod cli;
mod command;
mod config;
mod connectors;
mod demo;
mod environment;
mod failure;
mod identity;
mod output;
mod sekoia;
mod store;
mod told;
mod webhook;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;

use cli::{Cli, Command, Global, Log, OutputTo};
use command::Outcome;
use failure::Failure;
use output::{Format, Output};

fn main() -> ExitCode {
    let parsed = match cortex_job() {
        Some(folder) => Cli::try_parse_from(
            ["cordon", "run", "--dialect", "cortex", "--job"]
                .map(OsStr::new)
                .into_iter()
                .chain([folder.as_os_str()]),
        ),
        None => Cli::try_parse(),
    };
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion
            );
            // A closed pipe is no failure of ours.
            let _ = error.print();
            return ExitCode::from(if asked { 0 } else { 2 });
        }
    };
    start_log(&cli.global);
    // These tell themselves what went wrong, or have a stdout that is somebody else's.
    let is_silent = matches!(cli.command, Command::Run(_) | Command::Mcp(_));
    let json = matches!(cli.global.output, OutputTo::Stdout(Format::Json));
    match dispatch(cli) {
        Ok(code) if output::is_lost() => ExitCode::from(code.max(1)),
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if json && !is_silent {
                output::print(&failure.to_json().to_string());
            }
            failure.tell();
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Cortex starts an image without arguments, and a process or a pod with the job's folder alone. Only it makes
/// such a folder.
fn cortex_job() -> Option<PathBuf> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = match (arguments.next(), arguments.next()) {
        (None, _) => Path::new("/job").to_owned(),
        (Some(folder), None) => PathBuf::from(folder),
        (Some(_), Some(_)) => return None,
    };
    (folder.is_absolute() && command::run::is_job(&folder)).then_some(folder)
}

fn dispatch(cli: Cli) -> Outcome {
    let Cli { command, global } = cli;
    let output = match (&global.output, &command) {
        (OutputTo::Stdout(format), _) => Output::new(*format),
        (OutputTo::File(_), Command::Run(_)) => Output::new(Format::Json),
        (
            OutputTo::File(_),
            Command::Manifests {
                rewrite_playbook: Some(_),
                ..
            },
        ) => Output::new(Format::Text),
        (OutputTo::File(name), _) => {
            return Err(Failure::Error(
                sdk::Error::input(format!(
                    "{:?} is no form of output",
                    name.display().to_string()
                ))
                .hint("--output takes text or json; a file only with `run` and `manifests --rewrite-playbook`"),
            ));
        }
    };
    match command {
        Command::Demo => command::demo::run(&global, output),
        Command::Connectors => command::connectors::show(output),
        Command::Completions { shell } => command::completions::write(shell),
        Command::Manifests {
            rewrite_playbook: Some(playbook),
            ..
        } => command::rewrite::run(&playbook, &global, output),
        Command::Manifests {
            check,
            write,
            directory,
            image,
            rewrite_playbook: None,
        } => command::manifests::run(&directory, &image, check, write, output),
        Command::Run(arguments) => command::run::run(&arguments, &global),
        Command::Mcp(arguments) => command::mcp::run(&arguments, &global),
        Command::Sekoia(arguments) => sekoia::run(&arguments, &global),
        Command::Check { targets } => command::check::run(&targets, &global, output),
        Command::Plan(arguments) => command::sync::run(&arguments, true, &global, output),
        Command::Sync(arguments) => command::sync::run(&arguments, false, &global, output),
        Command::Retire { name, dry_run } => command::retire::run(&name, dry_run, &global, output),
        Command::Approve { id } => command::history::approve(&id, &global, output),
        Command::History { limit } => command::history::show(limit, &global, output),
        Command::Pause { target, reason } => {
            command::pause::run(&target, Some(reason.trim()), &global, output)
        }
        Command::Resume { target } => command::pause::run(&target, None, &global, output),
        Command::Store { command } => command::store::run(&command, &global, output),
        Command::Fake(arguments) => command::fake::run(&arguments, &global, output),
    }
}

/// Logs go to stderr, so that stdout is the result alone.
fn start_log(global: &Global) {
    let level = match global.verbose {
        0 => "warn",
        1 => "cordon=info,sdk=info,warn",
        _ => "cordon=debug,sdk=debug,info",
    };
    let filter = environment::variable("CORDON_LOG").unwrap_or_else(|| level.to_owned());
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter));
    match global.log {
        Log::Json => {
            builder.json().init();
            output::tell_as_json();
        }
        Log::Text => builder.with_ansi(false).with_target(false).init(),
    }
}
