//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::output::Format;

/// Puts indicators on the right EDR, proxy or firewall, and takes them down again on time.
#[derive(Debug, Parser)]
#[command(name = "cordon", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// The configuration
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "cordon.toml"
    )]
    pub config: PathBuf,
    /// How results are written: text or json; for run and rewritten playbooks also the file to write to
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", value_parser = OutputTo::parse)]
    pub output: OutputTo,
    /// How logs are written, on stderr
    #[arg(long, global = true, value_enum, default_value_t = Log::Text)]
    pub log: Log,
    /// Tell more; twice for every request
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Move the clock (+40d, or an RFC 3339 time), to try things out on loopback
    #[arg(long, global = true, value_name = "TIME", allow_hyphen_values = true)]
    pub clock: Option<String>,
    /// Who is doing this, for the history [default: the user]
    #[arg(long, global = true, value_name = "NAME")]
    pub actor: Option<String>,
}

/// Where results go.
#[derive(Clone, Debug)]
pub(crate) enum OutputTo {
    /// To stdout, in this form.
    Stdout(Format),
    /// To a file; `run` and rewritten playbooks only.
    File(PathBuf),
}

impl OutputTo {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is empty".to_owned()),
            "text" => Ok(Self::Stdout(Format::Text)),
            "json" => Ok(Self::Stdout(Format::Json)),
            file => Ok(Self::File(PathBuf::from(file))),
        }
    }
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Log {
    /// Lines for people.
    Text,
    /// JSON lines.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole story on loopback: fake vendors, real indicators, every step checked
    Demo,
    /// Run one action: a JSON object in, one out
    Run(Run),
    /// Run one action for a Sekoia playbook: the entry point of its images
    Sekoia(Sekoia),
    /// Offer the actions as tools to an MCP client, on stdin and stdout
    Mcp(Mcp),
    /// Show what credentials may do, and what is missing
    Check {
        /// The targets; all where none is named
        targets: Vec<String>,
    },
    /// Show what a sync would do, and send nothing
    Plan(Sync),
    /// Bring targets to what the configuration says, once
    Sync(Sync),
    /// Let a held set of changes through
    Approve {
        /// The id that `sync` or `history` shows
        id: String,
    },
    /// Show runs, approvals and what waits
    History {
        /// The most runs to show
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Take down everything of a deployment, or everything of ours on a target
    Retire {
        /// The deployment or target
        name: String,
        /// Show what would be taken down, and send nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Send nothing to a target until it is resumed
    Pause {
        /// The target
        target: String,
        /// Why, for the reports
        #[arg(long, value_name = "TEXT", default_value = "no reason given")]
        reason: String,
    },
    /// Send to a paused target again
    Resume {
        /// The target
        target: String,
    },
    /// Look after the store
    Store {
        /// What to do with it.
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Start a faithful fake vendor on loopback, to try things out on
    Fake(Fake),
    /// List the connectors: mechanisms, kinds, effects, limits, rights needed
    Connectors,
    /// Generate the schemas and the catalogue of actions
    Manifests {
        /// Fail if the files on disk differ
        #[arg(long, conflicts_with = "write")]
        check: bool,
        /// Write the files
        #[arg(long)]
        write: bool,
        /// Replace the actions of Sekoia's own modules in a playbook by ours, `-` for stdin; the playbook goes
        /// to stdout, or to the file that --output names
        #[arg(long, value_name = "FILE", conflicts_with_all = ["check", "write", "directory", "image"])]
        rewrite_playbook: Option<PathBuf>,
        /// Where they are
        #[arg(long, default_value = "manifests", value_name = "DIRECTORY")]
        directory: PathBuf,
        /// What they call the program's image, without a tag; that for Cortex has `-cortex` behind it
        #[arg(long, default_value = "cordon", value_name = "REGISTRY/NAME", value_parser = image_name)]
        image: String,
    },
    /// Print a completion script
    Completions {
        /// For this shell
        shell: Shell,
    },
}

/// The name of an image, as registries take it. It stands in files of several languages: nothing else may.
fn image_name(text: &str) -> Result<String, String> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_name = |part: &str| {
        part.starts_with(is_plain)
            && part.ends_with(is_plain)
            && part
                .chars()
                .all(|letter| is_plain(letter) || "._-".contains(letter))
    };
    let (registry, name) = text
        .split_once('/')
        .map_or((None, text), |(registry, name)| (Some(registry), name));
    let is_registry = |registry: &str| match registry.split_once(':') {
        Some((host, port)) => is_name(host) && port.parse::<u16>().is_ok(),
        None => is_name(registry),
    };
    if registry.is_none_or(is_registry) && name.split('/').all(is_name) {
        Ok(text.to_owned())
    } else {
        Err("a name is small letters and digits, as in registry.example.com/soc/cordon; the tag is the version".to_owned())
    }
}

/// `cordon run`.
///
/// The command lines of the engines, each complete:
///
/// | engine | runs | hands over | takes back |
/// |---|---|---|---|
/// | any, Argo | `cordon run CONNECTOR ACTION --input FILE --output FILE` | the JSON object in FILE | the result in FILE, the exit code |
/// | Cortex | `cordon run --dialect cortex`, or `cordon` alone where `/job/input/input.json` is | `/job/input/input.json`, with `connector` and `service` (the action) in `config` | `/job/output/output.json` |
/// | Cortex, process and Kubernetes runners | `cordon run --dialect cortex --job FOLDER`, or `cordon FOLDER` | the same in FOLDER | the same in FOLDER |
/// | Kestra | `cordon run CONNECTOR ACTION --dialect kestra --input FILE` | the JSON object in FILE; without `--input` what stands after `--` | one `::{…}::` line on stdout, the exit code; with `--output FILE` the whole result there too |
/// | StackStorm | `cordon run CONNECTOR ACTION --dialect stackstorm -- --name=value …` | what stands after `--` | the result on stdout, the exit code |
///
/// With every one of them fields of the configuration come from `CORDON_<FIELD>` or the file that
/// `CORDON_<FIELD>_FILE` names, unless they were handed over.
#[derive(Debug, Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct Run {
    /// The connector; Cortex gives it in config.connector
    pub connector: Option<String>,
    /// The action; Cortex gives it in config.service
    pub command: Option<String>,
    /// Where the JSON object stands, `-` for stdin [default: stdin, unless there is another way in]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The ledger's store, for instance sqlite:cordon.db
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The engine's way of handing over and taking back [default: cortex where a job folder is, else plain]
    #[arg(long, value_enum)]
    pub dialect: Option<Dialect>,
    /// Cortex's job folder
    #[arg(long, default_value = "/job", value_name = "FOLDER")]
    pub job: PathBuf,
    /// Arguments of the action as --name=value, or --name for true, laid over those of the input
    #[arg(last = true, allow_hyphen_values = true, value_name = "--NAME=VALUE")]
    pub arguments: Vec<String>,
}

const RUN_HELP: &str = "\
The JSON object is {\"arguments\":{},\"configuration\":{},\"context\":{}}. Fields of the configuration that it does
not have come from CORDON_<FIELD>, or from the file that CORDON_<FIELD>_FILE names.

  any, Argo   cordon run CONNECTOR ACTION --input FILE --output FILE
  Cortex      cordon run --dialect cortex [--job FOLDER]; connector and service stand in the job's config
  Kestra      cordon run CONNECTOR ACTION --dialect kestra --input FILE
  StackStorm  cordon run CONNECTOR ACTION --dialect stackstorm -- --name=value ...

Exit codes: 0 ok, 1 failed, 2 bad input, 3 configuration or credentials, 4 partial, 5 held, 75 try again later.
For Cortex, Kestra and StackStorm 4 and 5 only where the argument fail_on says so; otherwise 0.";

/// How an engine hands an action over, and takes its result back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dialect {
    /// A JSON object in, one out
    Plain,
    /// TheHive Cortex: a job folder
    Cortex,
    /// Kestra: the result as outputs, metrics and logs in one line
    Kestra,
    /// StackStorm: arguments on the command line, the result on stdout
    Stackstorm,
}

/// `cordon mcp`.
#[derive(Debug, Args)]
pub(crate) struct Mcp {
    /// Offer the actions that write too, not only their dry runs
    #[arg(long)]
    pub allow_writes: bool,
    /// One connector with its fields from CORDON_<FIELD>, in place of the configuration's targets
    #[arg(long, value_name = "CONNECTOR")]
    pub connector: Option<String>,
}

/// `cordon sekoia`. Options stand before the action: what follows it is the platform's.
#[derive(Debug, Args)]
pub(crate) struct Sekoia {
    /// The connector
    pub connector: String,
    /// The action; anything after it is ignored
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Where the platform puts what it hands over
    #[arg(long, default_value = "/symphony", value_name = "DIRECTORY")]
    pub files: PathBuf,
    /// The data path, where it is not in an object store
    #[arg(long, default_value = "/symphony_data", value_name = "DIRECTORY")]
    pub data: PathBuf,
}

/// `cordon plan` and `cordon sync`.
#[derive(Debug, Args)]
pub(crate) struct Sync {
    /// These deployments only [default: all]
    pub deployments: Vec<String>,
    /// This target only
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
}

/// `cordon store …`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Write a consistent copy to a new file; others may go on working
    Backup {
        /// The new file
        file: PathBuf,
    },
    /// Put a verified backup in the store's place; the old one is kept aside
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Look at every page of the store
    Check,
}

/// `cordon fake`.
#[derive(Debug, Args)]
pub(crate) struct Fake {
    /// The vendor
    pub vendor: String,
    /// The port on 127.0.0.1 [default: any]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Plain http in place of TLS with a generated CA
    #[arg(long)]
    pub http: bool,
    /// Where the generated CA's certificate goes
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    pub ca_out: Option<PathBuf>,
    /// Set a switch: what is not known about the real vendor
    #[arg(long, value_name = "NAME=POSITION")]
    pub switch: Vec<String>,
    /// Set anything else the fake takes, as JSON or text
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}
