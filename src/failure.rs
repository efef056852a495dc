//! What ends a command: the SDK's error, or all that is wrong with the configuration.

use sdk::Error;
use serde_json::{Value as Json, json};

use crate::config::Problems;
use crate::output::tell;

/// Why a command did not work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// One error.
    Error(Error),
    /// A configuration with mistakes.
    Problems(Problems),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Error(error) => error.exit_code(),
            Self::Problems(_) => 3,
        }
    }

    /// For people, on stderr.
    pub(crate) fn tell(&self) {
        match self {
            Self::Error(error) => {
                tell(&format!("error: {error}"));
                if let Some(hint) = error.hint_text() {
                    tell(&format!("hint: {hint}"));
                }
            }
            Self::Problems(problems) => {
                for problem in &problems.list {
                    tell(&format!("error: {}", problems.line(problem)));
                    if let Some(hint) = &problem.hint {
                        tell(&format!("hint: {hint}"));
                    }
                }
            }
        }
    }

    /// For machines, on stdout.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Error(error) => json!({
                "status": "failed",
                "error": error.to_string(),
                "hint": error.hint_text(),
                "exit_code": self.exit_code(),
            }),
            Self::Problems(problems) => json!({
                "status": "failed",
                "error": "the configuration has mistakes",
                "problems": problems.list.iter().map(|problem| json!({
                    "file": problems.file,
                    "line": problem.line,
                    "path": problem.path,
                    "message": problem.message,
                    "hint": problem.hint,
                })).collect::<Vec<_>>(),
                "exit_code": self.exit_code(),
            }),
        }
    }
}
