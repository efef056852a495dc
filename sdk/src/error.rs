//! One error for the whole SDK: what happened in the caller's words, whether trying again helps,
//! where, and what to do about it.

use std::fmt;
use std::time::Duration;

/// The SDK's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What happened, as the choices a caller has. Exit codes follow from it ([`Error::exit_code`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is wrong or incomplete.
    Config,
    /// What the user gave as input or arguments is wrong.
    Input,
    /// The credentials were refused.
    Auth,
    /// The credentials are good, the right is missing.
    Denied,
    /// The named thing does not exist.
    NotFound,
    /// It exists already, is in use, or somebody else holds it.
    Conflict,
    /// The vendor understood and refused the value or the request.
    Rejected,
    /// The vendor, or the disk, has no room left.
    Full,
    /// The vendor asks to slow down.
    RateLimited,
    /// Not reachable, timed out, or broken on the other side.
    Unavailable,
    /// An answer that we do not understand.
    Protocol,
    /// The vendor, version or mechanism cannot do this.
    Unsupported,
    /// A guard or a safety rule held it back.
    Guard,
    /// The clocks are too far apart to write anything that depends on time.
    Clock,
    /// The device takes no changes now, because the other one of its pair does. It is skipped: its rows are not
    /// counted as failed, and nothing is verified there.
    Standby,
    /// Interrupted.
    Cancelled,
    /// A defect of ours.
    Internal,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call gives the same answer.
    Never,
    /// Later may work; the vendor may have said when.
    Later(Option<Duration>),
    /// It was tried again already, and given up: nobody else should.
    GaveUp,
}

/// The error of every fallible call in the SDK. Messages are lower case, without a final stop;
/// what to do stands apart in [`Error::hint`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    /// Whether a write may have reached the vendor although no answer came.
    fate_unknown: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error that trying again does not mend. `Unavailable`, `RateLimited` and `Standby` start as
    /// [`Retry::Later`], because that is what these words mean.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Standby => {
                Retry::Later(None)
            }
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            message: message.into(),
            context: Vec::new(),
            hint: None,
            fate_unknown: false,
            source: None,
        }))
    }

    /// [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// [`ErrorKind::Input`].
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// [`ErrorKind::Protocol`].
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message)
    }

    /// [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds where it happened, for instance `("source", name)`.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Adds what to do about it; printed on its own line as `hint: …`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Sets whether trying again helps.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says that a write may have been applied although its answer never came.
    #[must_use]
    pub fn unknown_fate(mut self) -> Self {
        self.0.fate_unknown = true;
        self
    }

    /// Keeps the error underneath.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again helps.
    pub fn retry_status(&self) -> Retry {
        self.0.retry
    }

    /// Whether a write may have been applied although its answer never came.
    pub fn is_fate_unknown(&self) -> bool {
        self.0.fate_unknown
    }

    /// The message alone, without context or hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Exit code of `run` and `sync` for this error (design: 1 failed, 2 bad input, 3 configuration,
    /// authentication or clock, 5 held, 75 try again later).
    pub fn exit_code(&self) -> u8 {
        match self.0.kind {
            ErrorKind::Input => 2,
            ErrorKind::Config | ErrorKind::Auth | ErrorKind::Denied | ErrorKind::Clock => 3,
            ErrorKind::Guard => 5,
            _ => match self.0.retry {
                Retry::Never => 1,
                Retry::Later(_) | Retry::GaveUp => 75,
            },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if !self.0.context.is_empty() {
            f.write_str(" (")?;
            for (index, (key, value)) in self.0.context.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                write!(f, "{key} {value}")?;
            }
            f.write_str(")")?;
        }
        if let Some(source) = &self.0.source {
            let text = source.to_string();
            if !self.0.message.contains(&text) {
                write!(f, ": {text}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        if let Some(hint) = &self.0.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
