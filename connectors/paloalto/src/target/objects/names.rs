//! Names and paths.

use sdk::indicator::Value;

use crate::api::{self, Part};
use crate::config::Config;

/// Longest name of an object.
pub(super) const LONGEST: usize = 63;

/// Names and paths of what is ours.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: String,
    pub(super) tag: String,
    part: Part,
    placeholder: String,
}

impl Names {
    pub(super) fn new(config: &Config, part: &Part) -> Self {
        Self {
            prefix: config.group_prefix.clone(),
            tag: config.tag.clone(),
            part: part.clone(),
            placeholder: format!("{}-placeholder", config.group_prefix),
        }
    }

    /// Whose objects they are.
    pub(super) fn part(&self) -> &Part {
        &self.part
    }

    pub(super) fn placeholder(&self) -> &str {
        &self.placeholder
    }

    /// What all paths begin with.
    pub(super) fn path(&self) -> String {
        self.part.path()
    }

    pub(super) fn group(&self, number: u32) -> String {
        format!("{}-{number}", self.prefix)
    }

    /// The number of a group of ours.
    pub(super) fn group_number(&self, name: &str) -> Option<u32> {
        let number = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let parsed = number.parse().ok()?;
        (number == format!("{parsed}")).then_some(parsed)
    }

    pub(super) fn group_path(&self, number: u32) -> String {
        format!(
            "{}/address-group/entry[@name='{}']",
            self.path(),
            self.group(number)
        )
    }

    /// `None` for a name that no path can hold.
    pub(super) fn object_path(&self, name: &str) -> Option<String> {
        let literal = api::xml::literal(name)?;
        Some(format!("{}/address/entry[@name={literal}]", self.path()))
    }

    /// Whether an object bears a name of ours. The mark proves it, not the name.
    pub(super) fn is_ours(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix)
            .is_some_and(|rest| rest.starts_with('-'))
    }

    /// The name for a value: what it says, as far as names can.
    pub(super) fn object(&self, value: &Value) -> String {
        let text = match value {
            Value::Ipv4(_) | Value::Ipv6(_) => {
                value.to_string().replace(':', "-").replace('/', "_")
            }
            value => {
                let text = value.to_string();
                let hash = blake3::hash(text.as_bytes()).to_hex();
                let short: String = text.chars().take(26).collect();
                format!("{short}-{}", &hash[..12])
            }
        };
        let mut name = format!("{}-{text}", self.prefix);
        name.truncate(LONGEST);
        name
    }
}
