//! What is wrong with a file, all of it at once.

use std::fmt;
use std::path::{Path, PathBuf};

const IS_MISSING: &str = " is missing";

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// Where: `deployments.acme.include[2]`; empty for the file as a whole.
    pub path: String,
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without line or hint.
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            line: None,
            path: path.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// A key that is needed is not there; `path` is what should have it.
    pub(crate) fn missing(path: impl Into<String>, key: &str) -> Self {
        Self::new(path, format!("`{key}`{IS_MISSING}"))
    }

    /// Whether it was made by [`Problem::missing`].
    pub(crate) fn is_missing(&self) -> bool {
        self.message.ends_with(IS_MISSING)
    }

    /// With what to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With `did you mean …`, if a known name is near.
    #[must_use]
    pub(crate) fn suggest<'a>(
        self,
        name: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let near = known
            .clone()
            .into_iter()
            .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
            .filter(|(score, _)| *score > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match near {
            Some((_, candidate)) => self.hint(format!("did you mean `{candidate}`?")),
            None => {
                let all: Vec<&str> = known.into_iter().collect();
                if all.is_empty() {
                    self
                } else {
                    self.hint(format!("known are {}", all.join(", ")))
                }
            }
        }
    }
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug)]
pub(crate) struct Problems {
    /// The file.
    pub file: PathBuf,
    /// In order of line.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Sorted, each once.
    pub(crate) fn new(file: &Path, mut list: Vec<Problem>) -> Self {
        list.sort();
        list.dedup();
        Self {
            file: file.to_owned(),
            list,
        }
    }

    /// One problem as `cordon.toml:12: deployments.acme: unknown key`.
    pub(crate) fn line(&self, problem: &Problem) -> String {
        let mut text = self.file.display().to_string();
        if let Some(line) = problem.line {
            text.push_str(&format!(":{line}"));
        }
        text.push_str(": ");
        if !problem.path.is_empty() {
            text.push_str(&problem.path);
            text.push_str(": ");
        }
        text + &problem.message
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            f.write_str(&self.line(problem))?;
            if let Some(hint) = &problem.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}
