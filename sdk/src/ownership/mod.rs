//! Who an entry belongs to. A mark in the entry, a container that is wholly ours, or the ledger proves
//! it; nothing else does.

mod container;
mod mark;
mod observed;

use std::fmt;
use std::sync::Arc;

pub use container::{container_mark, container_owner};
pub(crate) use mark::later;
pub use mark::{Mark, Note};
pub use observed::{Claim, Observed, Until, Viewer, observe};

use crate::error::{Error, Result};

/// The name of a deployment, or of an installation: `[a-z0-9-]{1,24}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Reads a name. The error says what is allowed.
    pub fn new(name: &str) -> Result<Self> {
        let fits = (1..=24).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(
                Error::input(format!("{name:?} cannot be the name of a deployment"))
                    .hint("use 1 to 24 characters of a-z, 0-9 and -"),
            )
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
