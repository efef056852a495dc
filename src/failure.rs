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
        for line in self.lines() {
            tell(&line);
        }
    }

    /// What went wrong and what to do about it, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |error: String, hint: Option<&str>| {
            lines.push(format!("error: {error}"));
            lines.extend(hint.map(|hint| format!("hint: {hint}")));
        };
        match self {
            Self::Error(error) => add(error.to_string(), error.hint_text()),
            Self::Problems(problems) => {
                for problem in &problems.list {
                    add(problems.line(problem), problem.hint.as_deref());
                }
            }
        }
        lines
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
