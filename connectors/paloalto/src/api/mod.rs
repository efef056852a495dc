//! The XML API: requests as values, the answers' envelope. Every call is a POST of a form, so that neither key nor
//! value stands in a URL.

mod answer;
pub(crate) mod xml;

use reqwest::Method;
use sdk::http::{Request, Safety};

pub(crate) use answer::{Answer, disposition};

/// Most entries that one answer of `show object registered-ip` holds.
pub(crate) const REGISTERED_PAGE: usize = 500;

/// Where a call goes beyond the host: a virtual system, and a firewall behind Panorama.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// `vsys1` …
    pub(crate) vsys: String,
    /// Serial number of a firewall that Panorama relays to.
    pub(crate) serial: Option<String>,
}

/// One call of a family.
fn call(family: &str, safety: Safety, place: &Place, fields: Vec<(&str, String)>) -> Request {
    let mut pairs = vec![("type".to_owned(), family.to_owned())];
    pairs.extend(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
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
    let fields = vec![("cmd", command.into()), ("vsys", place.vsys.clone())];
    call("op", safety, place, fields)
}

/// A User-ID message.
pub(crate) fn user_id(place: &Place, message: String) -> Request {
    let fields = vec![("cmd", message), ("vsys", place.vsys.clone())];
    call("user-id", Safety::Once, place, fields)
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
        .unauthenticated()
}
