//! What the platform hands over by name: a file, or else an environment variable.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sdk::{Error, Result};
use serde_json::Value as Json;

use crate::environment::variable;

/// The most that is read of one file: a batch of STIX objects may stand in the arguments.
const LIMIT: u64 = 256 << 20;

/// The names and where they are looked up.
#[derive(Debug)]
pub(super) struct Inputs {
    directory: PathBuf,
}

/// A value as it was found.
enum Found {
    File(String),
    Variable(String),
}

impl Inputs {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// A text without the white space around it. A file that is there wins, even an empty one.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.find(name)?.map(|found| {
            let (Found::File(text) | Found::Variable(text)) = found;
            text.trim().to_owned()
        }))
    }

    /// A text that has to be there and not be empty.
    pub(super) fn needed(&self, name: &str) -> Result<String> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.missing(name))
    }

    /// A JSON object. In a variable it may be in base64.
    pub(super) fn object(&self, name: &str) -> Result<Json> {
        let read = |text: &str| serde_json::from_str::<Json>(text);
        let value = match self.find(name)? {
            None => return Err(self.missing(name)),
            Some(Found::File(text)) => read(&text),
            Some(Found::Variable(text)) => read(&text).or_else(|error| {
                BASE64_STANDARD
                    .decode(text.trim())
                    .ok()
                    .and_then(|bytes| serde_json::from_slice(&bytes).ok())
                    .ok_or(error)
            }),
        };
        // What is wrong is told by place; the text itself may hold secrets.
        match value {
            Ok(value @ Json::Object(_)) => Ok(value),
            Ok(_) => Err(Error::config(format!("{name} is not a JSON object"))),
            Err(error) => Err(Error::config(format!(
                "{name} is not JSON: line {}, column {}",
                error.line(),
                error.column()
            ))),
        }
    }

    fn find(&self, name: &str) -> Result<Option<Found>> {
        let path = self.directory.join(name);
        let unreadable = |error: std::io::Error| {
            Error::config(format!("{name} cannot be read"))
                .with("file", path.display())
                .because(error)
        };
        match std::fs::File::open(&path) {
            Ok(file) => {
                let mut text = String::new();
                file.take(LIMIT + 1)
                    .read_to_string(&mut text)
                    .map_err(unreadable)?;
                if text.len() as u64 > LIMIT {
                    return Err(
                        Error::input(format!("{name} is longer than {} MiB", LIMIT >> 20))
                            .hint("give the objects as a file, in stix_objects_path"),
                    );
                }
                Ok(Some(Found::File(text)))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(variable(&name.to_uppercase()).map(Found::Variable))
            }
            Err(error) => Err(unreadable(error)),
        }
    }

    fn missing(&self, name: &str) -> Error {
        Error::config(format!("{name} is missing")).hint(format!(
            "the platform puts it into the file {} or the variable {}",
            self.directory.join(name).display(),
            name.to_uppercase()
        ))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_trimmed_and_json_is_an_object() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write("token", " abc\n");
        write("empty", "\n");
        write("arguments", r#"{"values": ["a"]}"#);
        write("list", "[]");
        write("broken", r#"{"password": hunter2}"#);
        let inputs = Inputs::new(directory.path());
        assert_eq!(inputs.needed("token").unwrap(), "abc");
        assert_eq!(inputs.text("sub_folder").unwrap(), None);
        assert_eq!(
            inputs.object("arguments").unwrap(),
            json!({ "values": ["a"] })
        );
        for name in ["empty", "sub_folder"] {
            let error = inputs.needed(name).unwrap_err();
            assert_eq!(error.message(), format!("{name} is missing"));
            assert!(error.hint_text().unwrap().contains(&name.to_uppercase()));
        }
        for name in ["list", "broken", "nothing"] {
            let error = inputs.object(name).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
