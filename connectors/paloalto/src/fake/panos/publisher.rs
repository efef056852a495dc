//! The server that lists are pulled from: what it answers, whom it lets in, whose certificate it shows. Files in a
//! folder stand for what it serves; neither HTTP nor TLS is spoken.

use std::path::PathBuf;

/// The server.
#[derive(Clone, Debug)]
pub(super) struct Publisher {
    /// Where its files lie; a source URL's last segment names one.
    pub(super) directory: PathBuf,
    pub(super) answer: Answer,
    /// `name:password` that it wants as HTTP Basic; `None`: it serves everybody.
    pub(super) login: Option<String>,
    /// The CA that signed its certificate.
    pub(super) authority: String,
}

/// How it answers who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the list.
    Serves,
    /// 401, whatever the credentials.
    Refuses,
    /// 404, 500, or not at all.
    Fails,
}

impl Answer {
    /// By its status; anything that is no status is silence.
    pub(super) fn of(status: &str) -> Self {
        match status {
            "200" => Self::Serves,
            "401" => Self::Refuses,
            _ => Self::Fails,
        }
    }
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// No CA that the device trusts signed the certificate.
    Certificate,
    /// 401.
    Refused,
    /// There is no such file, or no answer.
    Nothing,
}

impl Publisher {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            answer: Answer::Serves,
            login: None,
            authority: "Lists CA".to_owned(),
        }
    }

    /// Hands out what a URL names, as it lies there at this moment, to who logs in so. Where `trusted` CAs are given,
    /// and the URL is one of TLS, one of them must have signed the certificate, before anything else is said.
    pub(super) fn fetch(
        &self,
        url: &str,
        trusted: Option<&[String]>,
        login: Option<&str>,
    ) -> Result<String, Lost> {
        let is_trusted = |trusted: &[String]| trusted.contains(&self.authority);
        if url.starts_with("https://") && !trusted.is_none_or(is_trusted) {
            return Err(Lost::Certificate);
        }
        if self.login.is_some() && self.login.as_deref() != login {
            return Err(Lost::Refused);
        }
        match self.answer {
            Answer::Serves => {}
            Answer::Refuses => return Err(Lost::Refused),
            Answer::Fails => return Err(Lost::Nothing),
        }
        let file = url.rsplit('/').next().unwrap_or_default();
        let bytes = std::fs::read(self.directory.join(file)).map_err(|_| Lost::Nothing)?;
        // A line that is no text is one that means nothing, and not the loss of the others.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
