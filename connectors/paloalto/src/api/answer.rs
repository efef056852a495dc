//! The envelope of every answer. HTTP 200 carries most errors: `status` and `code` decide, and the text can be in many
//! places.

use sdk::http::{Disposition, Response};
use sdk::{Error, ErrorKind, Result, Retry};

use super::xml::Element;

/// What the vendor says while something else holds the configuration up; it passes.
const BUSY: [&str; 6] = [
    "Another commit/validate is in progress",
    "A commit is in progress",
    "You cannot commit while an install is in progress",
    "Another sync is in progress",
    "a commit is pending",
    "timeout waiting for job",
];

/// What it says when somebody holds a lock.
const LOCKED: [&str; 3] = [
    "Configuration is locked by",
    "Commit lock is already held",
    "is currently locked",
];

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// `response`.
    pub(crate) root: Element,
    /// Its `code`.
    pub(crate) code: Option<u16>,
    success: bool,
}

impl Answer {
    /// Reads an answer, whatever it says; an error only for credentials that were refused, and for what is no answer of
    /// the API.
    pub(crate) fn read(response: &Response, what: &str) -> Result<Self> {
        let root = match Element::parse(&response.body) {
            Ok(root) if root.name == "response" => root,
            _ if response.status.as_u16() == 403 => return Err(refused("")),
            Ok(_) | Err(_) if !response.status.is_success() => {
                let error = Error::new(
                    ErrorKind::Unavailable,
                    format!("{what}: the device answered {}", response.status),
                );
                return Err(error.with("answer", response.excerpt()));
            }
            Ok(root) => {
                return Err(Error::protocol(format!(
                    "{what}: the answer is not one of the XML API"
                ))
                .with("root", root.name));
            }
            Err(error) => {
                return Err(
                    Error::protocol(format!("{what}: the answer cannot be read"))
                        .with("begins", response.excerpt())
                        .because(error),
                );
            }
        };
        let code = root.attribute("code").and_then(|code| code.parse().ok());
        let answer = Self {
            success: root.attribute("status") == Some("success"),
            code,
            root,
        };
        if !answer.success && (matches!(answer.code, Some(403 | 22)) || answer.is_unauthenticated())
        {
            return Err(refused(&answer.text()));
        }
        Ok(answer)
    }

    fn is_unauthenticated(&self) -> bool {
        self.root.attribute("status") == Some("unauth") || self.text() == "Invalid Credential"
    }

    /// Whether it says success. A `get` of what is not there does, with code 7.
    pub(crate) fn is_success(&self) -> bool {
        self.success
    }

    /// `result`, or nothing where there is none.
    pub(crate) fn result(&self) -> Option<&Element> {
        self.root.child("result")
    }

    /// Everything that it says in words, from all the places where the vendor puts them, on one line.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        words(&self.root, &mut lines);
        lines.dedup();
        let mut text = lines.join("; ");
        if let Some((end, _)) = text.char_indices().nth(400) {
            text.truncate(end);
        }
        text
    }

    /// Itself, or the error that it is.
    pub(crate) fn ok(self, what: &str) -> Result<Self> {
        if self.success {
            Ok(self)
        } else {
            Err(self.error(what))
        }
    }

    /// The error that it is.
    pub(crate) fn error(&self, what: &str) -> Error {
        let text = self.text();
        let code = self
            .code
            .map_or_else(|| "-".to_owned(), |code| code.to_string());
        let said = |kind| {
            Error::new(
                kind,
                format!(
                    "{what}: {}",
                    if text.is_empty() { "refused" } else { &text }
                ),
            )
            .with("code", &code)
        };
        match self.code {
            Some(16) => said(ErrorKind::Denied)
                .hint("give the administrator's role this right of the XML API"),
            Some(15) => said(ErrorKind::Conflict)
                .hint("the device denies this operation: look at its state, and at the administrator's role"),
            _ if self.is_busy() => said(ErrorKind::Unavailable).retry(Retry::Later(None)),
            _ if LOCKED.iter().any(|part| text.contains(part)) => said(ErrorKind::Conflict)
                .hint("somebody holds a lock: have it released, or run again later"),
            _ if tells_no_vsys(&text) && self.code != Some(12) => {
                said(ErrorKind::Config).hint("name virtual systems in `vsys` by their ids, like `vsys1`")
            }
            Some(7 | 13) => said(ErrorKind::NotFound),
            Some(1..=5 | 11 | 21) => said(ErrorKind::Unavailable),
            _ => said(ErrorKind::Rejected),
        }
    }

    /// Whether it was refused for what passes by itself.
    pub(crate) fn is_busy(&self) -> bool {
        let text = self.text();
        !self.success && BUSY.iter().any(|part| text.contains(part))
    }
}

/// What a status does not say: a wrong or expired key is 403 and not 401, and a session can end with a 200.
pub(crate) fn disposition(response: &Response) -> Option<Disposition> {
    let short = response.body.len() < 2_000;
    let refused = short
        && Element::parse(&response.body).is_ok_and(|root| {
            let code = root.attribute("code");
            let error = root.attribute("status") != Some("success");
            error
                && (matches!(code, Some("403" | "22"))
                    || root.attribute("status") == Some("unauth"))
        });
    refused.then_some(Disposition::Refused)
}

/// Whether an answer comes from the XML API at all, or from what stands in its way and may go away. Everything else is
/// another server.
pub(crate) fn is_of_the_api(response: &Response) -> bool {
    let begins = response.body.trim_ascii_start();
    response.status.is_server_error()
        || response.status.as_u16() == 403
        || begins.starts_with(b"<response")
        || begins.starts_with(b"<?xml")
}

/// What an answer of another server means.
pub(crate) fn not_pan_os(response: &Response) -> Error {
    Error::config("the server at `hostname` does not answer as PAN-OS does")
        .with("status", response.status.as_u16())
        .with("begins", response.excerpt())
        .hint("name the management interface of a firewall or of a Panorama, with its port")
}

/// Whether words say that a virtual system is not there. The vendor's own are not documented.
fn tells_no_vsys(text: &str) -> bool {
    let said = text.to_ascii_lowercase();
    said.contains("vsys")
        && ["not exist", "not found", "unknown", "no such"]
            .iter()
            .any(|word| said.contains(word))
}

fn refused(text: &str) -> Error {
    let error = Error::new(ErrorKind::Auth, "the device refused the API key")
        .hint("check the key, whether it expired, and the administrator's role");
    if text.is_empty() {
        error
    } else {
        error.with("answer", text)
    }
}

/// Collects texts below `msg`, `line`, `newmsg` and `message` attributes.
fn words(element: &Element, lines: &mut Vec<String>) {
    for child in &element.children {
        let tells = matches!(child.name.as_str(), "msg" | "line" | "newmsg" | "errors");
        if tells && !child.text.is_empty() {
            lines.push(child.text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        if let Some(message) = child.attribute("message") {
            lines.push(message.to_owned());
        }
        words(child, lines);
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn read(status: u16, body: &str) -> Result<Answer> {
        Answer::read(
            &Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: reqwest::header::HeaderMap::new(),
                body: body.to_owned().into(),
            },
            "a question",
        )
    }

    #[test]
    fn the_text_is_found_wherever_it_stands() {
        for body in [
            "<response status='error' code='17'><msg>no</msg></response>",
            "<response status='error'><msg><line>no</line></msg></response>",
            "<response status='error'><msg><line><line>no</line></line></msg></response>",
            "<response status='error'><result><msg>no</msg></result></response>",
            "<response status='error'><result><msg><line>no</line></msg></result></response>",
            "<response status='error'><result><job><details><line><![CDATA[no]]></line></details></job></result></response>",
            "<response status='error'><result><job><details><line><newjob><newmsg>no</newmsg></newjob></line></details></job></result></response>",
            "<response status='error'><msg><line><uid-response><payload><register><entry ip='1.1.1.1' message='no'/></register></payload></uid-response></line></msg></response>",
            "<response status='error'><response status='error' code='12' id='2'><msg><line>no</line></msg></response></response>",
        ] {
            let answer = read(200, body).unwrap();
            assert_eq!(answer.text(), "no", "{body}");
            assert_eq!(
                answer.ok("a question").unwrap_err().kind(),
                ErrorKind::Rejected
            );
        }
    }

    #[test]
    fn a_refused_key_is_told_as_such() {
        let body = "<response status = 'error' code = '403'><result><msg>Invalid Credential</msg></result></response>";
        let error = read(403, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth);
        assert!(error.to_string().contains("Invalid Credential"));
        let ended = "<response status='error' code='22'><msg>Session timed out</msg></response>";
        assert_eq!(read(200, ended).unwrap_err().kind(), ErrorKind::Auth);
        assert_eq!(read(403, "forbidden").unwrap_err().kind(), ErrorKind::Auth);
    }

    #[test]
    fn kinds_follow_codes_and_words() {
        let kind = |body: &str| read(200, body).unwrap().error("x").kind();
        assert_eq!(
            kind("<response status='error' code='16'/>"),
            ErrorKind::Denied
        );
        assert_eq!(
            kind("<response status='error' code='15'/>"),
            ErrorKind::Conflict
        );
        let busy = "<response status='error' code='13'><msg><line>Another commit/validate is in progress. Please try again later</line></msg></response>";
        assert_eq!(kind(busy), ErrorKind::Unavailable);
        let locked = "<response status='error'><msg><line>Config for scope vsys1 is currently locked by ana</line></msg></response>";
        assert_eq!(kind(locked), ErrorKind::Conflict);
        let nothing = read(
            200,
            "<response status='success' code='7'><result/></response>",
        )
        .unwrap();
        assert!(nothing.is_success() && nothing.code == Some(7));
    }

    #[test]
    fn other_answers_are_errors() {
        assert_eq!(
            read(200, "<html/>").unwrap_err().kind(),
            ErrorKind::Protocol
        );
        assert_eq!(
            read(200, "<response status='success'>").unwrap_err().kind(),
            ErrorKind::Protocol
        );
        assert_eq!(
            read(404, "not here").unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
}
