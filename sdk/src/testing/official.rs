//! Other people's Python clients and servers, from PyPI: what a fake and such a client agree on is no
//! invention of ours.
//!
//! They are fetched only where `CORDON_OFFICIAL_CLIENTS=1` asks for it, as CI does, because a machine
//! without a package registry has to be able to run every other test.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on ends, and says why it was left out"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Python interpreter with packages of its own.
#[derive(Clone, Debug)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// Installs the packages (each with its version) into an environment below `folder`, once for all tests
    /// that name the same ones; `None`, said on stdout, where nobody asked for them.
    ///
    /// # Panics
    /// Where they cannot be installed.
    pub fn with(folder: &str, packages: &[&str]) -> Option<Self> {
        if !wanted() {
            println!(
                "skipped: CORDON_OFFICIAL_CLIENTS=1 is not set, and {} would have to be installed",
                packages.join(" and ")
            );
            return None;
        }
        let name: String = packages
            .join("-")
            .chars()
            .map(|it| if it.is_ascii_alphanumeric() { it } else { '-' })
            .collect();
        let place = Path::new(folder).join(name);
        or_end("make", &place, std::fs::create_dir_all(&place));
        // Tests run side by side, in one process or in several.
        let lock = or_end("open", &place, File::create(place.join("lock")));
        or_end("lock", &place, lock.lock());
        let interpreter = place.join("venv/bin/python");
        let installed = place.join("installed");
        if !installed.exists() {
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(place.join("venv")));
            run(Command::new(&interpreter)
                .args(["-m", "pip", "install", "--quiet"])
                .arg("--disable-pip-version-check")
                .args(packages));
            or_end("write", &installed, File::create(&installed));
        }
        Some(Self { interpreter })
    }

    /// A command that runs a script.
    pub fn script(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg(script);
        command
    }
}

/// Runs a command to its end and returns what it printed on stdout. It blocks: a fake beside it needs a
/// thread of its own.
///
/// # Panics
/// Where it fails, with all that it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = or_end("run", Path::new(command.get_program()), output);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}\n{}",
        text(&output.stderr)
    );
    printed
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether to fetch other people's packages is the runner's choice"
)]
fn wanted() -> bool {
    std::env::var("CORDON_OFFICIAL_CLIENTS").is_ok_and(|value| value == "1")
}

fn or_end<T>(what: &str, path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("cannot {what} {}: {error}", path.display()))
}
