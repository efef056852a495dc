//! User-ID messages, and what the device says to them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sdk::indicator::{Kind, Value};
use sdk::{Error, Result};

use crate::api::Answer;
use crate::api::xml::{Element, escape};

/// A message. Sections without entries are never written: an empty `unregister` would clear the whole table.
#[derive(Debug, Default)]
pub(super) struct Message {
    register: String,
    unregister: String,
}

impl Message {
    /// Registers tags of an address, all with one timeout in seconds; none never ends.
    pub(super) fn register(&mut self, address: &str, tags: &[String], timeout: Option<i64>) {
        if tags.is_empty() {
            return;
        }
        let timeout = timeout.map_or_else(String::new, |seconds| {
            format!(" timeout=\"{}\"", seconds.max(1))
        });
        self.register.push_str("<entry ip=\"");
        self.register.push_str(&escape(address));
        self.register.push_str("\" persistent=\"1\"><tag>");
        for tag in tags {
            self.register
                .push_str(&format!("<member{timeout}>{}</member>", escape(tag)));
        }
        self.register.push_str("</tag></entry>");
    }

    /// Takes one tag from an address: an entry with several stops at the first that is not there, and one without any
    /// takes everybody's.
    pub(super) fn unregister(&mut self, address: &str, tag: &str) {
        if tag.is_empty() {
            return;
        }
        self.unregister.push_str(&format!(
            "<entry ip=\"{}\"><tag><member>{}</member></tag></entry>",
            escape(address),
            escape(tag)
        ));
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.register.is_empty() && self.unregister.is_empty()
    }

    /// The document.
    pub(super) fn document(&self) -> String {
        let section = |name: &str, entries: &str| {
            if entries.is_empty() {
                String::new()
            } else {
                format!("<{name}>{entries}</{name}>")
            }
        };
        format!(
            "<uid-message><version>2.0</version><type>update</type><payload>{}{}</payload></uid-message>",
            section("register", &self.register),
            section("unregister", &self.unregister)
        )
    }
}

/// What the device said of one address. The exact sentences are not documented, their ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Complaint {
    /// A tag to take was not there.
    Absent,
    /// A tag to register was there.
    Exists,
    /// The table may be full.
    NotRegistered,
    /// Anything else.
    Other,
}

impl Complaint {
    fn read(message: &str) -> Self {
        let message = message.trim();
        if message.ends_with("does not exist, ignore unreg") {
            Self::Absent
        } else if tells_double(message) {
            Self::Exists
        } else if message.contains("Failed to register") {
            Self::NotRegistered
        } else {
            Self::Other
        }
    }
}

/// Whether words say that a tag to register was there.
pub(super) fn tells_double(message: &str) -> bool {
    message.contains("already exists, ignore")
}

/// The complaints of an answer by address, the worst of each with the words of all.
pub(super) type Complaints = HashMap<Value, (Complaint, String)>;

/// Reads an answer. An error that names no address concerns the whole message.
///
/// # Errors
/// What the device says to the whole message.
pub(super) fn complaints(answer: Answer, what: &str) -> Result<Complaints> {
    let mut found = Complaints::new();
    let mut unread: Option<Error> = None;
    let mut stack: Vec<&Element> = vec![&answer.root];
    while let Some(element) = stack.pop() {
        stack.extend(&element.children);
        let (Some(address), Some(message)) =
            (element.attribute("ip"), element.attribute("message"))
        else {
            continue;
        };
        let Some(value) = value(address) else {
            unread = Some(
                Error::protocol(format!(
                    "{what}: a complaint about an address that we did not send"
                ))
                .with("address", address),
            );
            continue;
        };
        let complaint = Complaint::read(message);
        match found.entry(value) {
            Entry::Vacant(place) => {
                place.insert((complaint, message.to_owned()));
            }
            Entry::Occupied(mut known) => {
                let (worst, words) = known.get_mut();
                *worst = complaint.max(*worst);
                words.push_str("; ");
                words.push_str(message);
            }
        }
    }
    match unread {
        Some(error) => Err(error),
        None if found.is_empty() && !answer.is_success() => Err(answer.error(what)),
        None => Ok(found),
    }
}

/// An address or network as the table spells it; `None` for ranges, which are no value of ours.
pub(super) fn value(text: &str) -> Option<Value> {
    let kind = if text.contains(':') {
        Kind::Ipv6
    } else {
        Kind::Ipv4
    };
    Value::parse(kind, text)
        .ok()
        .filter(|value| value.kind() == kind)
}

/// How the table spells a value: hosts without a prefix length.
pub(super) fn address(value: &Value) -> String {
    match value {
        Value::Ipv4(network) if network.prefix_len() == 32 => network.addr().to_string(),
        Value::Ipv6(network) if network.prefix_len() == 128 => network.addr().to_string(),
        value => value.to_string(),
    }
}
