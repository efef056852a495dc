//! `cordon completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Outcome;
use crate::cli::Cli;
use crate::output::print;

/// Prints the script for a shell.
pub(crate) fn write(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cordon", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
    Ok(0)
}
