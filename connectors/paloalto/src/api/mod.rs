//! The XML API: requests as values, the answers' envelope. Every call is a POST of a form, so that neither key nor
//! value stands in a URL.

mod answer;
pub(crate) mod xml;

use reqwest::Method;
use sdk::http::{Request, Safety};

pub(crate) use answer::{Answer, disposition, is_of_the_api, not_pan_os};

/// Most entries that one answer of `show object registered-ip` holds.
pub(crate) const REGISTERED_PAGE: usize = 500;

/// Where a call goes beyond the host.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Whose objects it is about.
    pub(crate) part: Part,
    /// Serial number of a firewall that Panorama relays to.
    pub(crate) serial: Option<String>,
}

/// A part of a device that has objects of its own. No name has quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A virtual system of a firewall: `vsys1` …
    System(String),
    /// A device group of a Panorama.
    Group(String),
}

impl Part {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::System(name) | Self::Group(name) => name,
        }
    }

    /// The path of its configuration.
    pub(crate) fn path(&self) -> String {
        let section = match self {
            Self::System(_) => "vsys",
            Self::Group(_) => "device-group",
        };
        let name = self.name();
        format!(
            "/config/devices/entry[@name='localhost.localdomain']/{section}/entry[@name='{name}']"
        )
    }
}

/// One call of a family.
fn call(family: &str, safety: Safety, place: &Place, fields: Vec<(&str, String)>) -> Request {
    let mut pairs = vec![("type".to_owned(), family.to_owned())];
    pairs.extend(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    // Panorama's own calls know no virtual systems, and those on configurations say theirs in the path.
    if let (Part::System(vsys), "op" | "user-id") = (&place.part, family) {
        pairs.push(("vsys".to_owned(), vsys.clone()));
    }
    if let Some(serial) = &place.serial {
        pairs.push(("target".to_owned(), serial.clone()));
    }
    Request::new(Method::POST, safety, "*", ["api", ""]).form(pairs)
}

/// An operational command that changes nothing, as XML.
pub(crate) fn show(place: &Place, command: impl Into<String>) -> Request {
    operate(place, Safety::Read, command)
}

/// An operational command, as XML.
pub(crate) fn operate(place: &Place, safety: Safety, command: impl Into<String>) -> Request {
    call("op", safety, place, vec![("cmd", command.into())])
}

/// A User-ID message.
pub(crate) fn user_id(place: &Place, message: String) -> Request {
    call("user-id", Safety::Once, place, vec![("cmd", message)])
}

/// Reads the candidate configuration (`get`) or the active one (`show`).
pub(crate) fn read_config(place: &Place, active: bool, xpath: &str) -> Request {
    let action = if active { "show" } else { "get" };
    let fields = vec![("action", action.to_owned()), ("xpath", xpath.to_owned())];
    call("config", Safety::Read, place, fields)
}

/// Several changes of the candidate configuration, all or none.
pub(crate) fn multi_config(place: &Place, element: String) -> Request {
    let fields = vec![("action", "multi-config".to_owned()), ("element", element)];
    call("config", Safety::Once, place, fields)
}

/// A commit of one administrator's changes.
pub(crate) fn commit(place: &Place, administrator: &str, description: &str) -> Request {
    let command = format!(
        "<commit><partial><admin><member>{}</member></admin></partial><description>{}</description></commit>",
        xml::escape(administrator),
        xml::escape(description)
    );
    let fields = vec![("action", "partial".to_owned()), ("cmd", command)];
    call("commit", Safety::Once, place, fields)
}

/// A push of what one administrator committed on Panorama to the firewalls of a device group: to all of them, or to
/// those with these serial numbers. Templates are left out.
pub(crate) fn push(
    place: &Place,
    administrator: &str,
    description: &str,
    serials: &[String],
) -> Request {
    let entries: String = serials
        .iter()
        .map(|serial| format!("<entry name=\"{}\"/>", xml::escape(serial)))
        .collect();
    let devices = if entries.is_empty() {
        entries
    } else {
        format!("<devices>{entries}</devices>")
    };
    let command = format!(
        "<commit-all><shared-policy><device-group><entry name=\"{}\">{devices}</entry></device-group><description>{}</description><admin><member>{}</member></admin><include-template>no</include-template></shared-policy></commit-all>",
        xml::escape(place.part.name()),
        xml::escape(description),
        xml::escape(administrator)
    );
    let fields = vec![("action", "all".to_owned()), ("cmd", command)];
    call("commit", Safety::Once, place, fields)
}

/// A key for a name and a password.
pub(crate) fn keygen(username: &str, password: &str) -> Request {
    let pairs = [
        ("type", "keygen"),
        ("user", username),
        ("password", password),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Request::new(Method::POST, Safety::Read, "*", ["api", ""])
        .form(pairs)
        .secret(password)
        .unauthenticated()
}
