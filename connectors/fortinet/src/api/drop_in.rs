//! Requests about objects that other playbooks name.

use axum::http::Method;
use sdk::http::Request;
use serde_json::{Value as Json, json};

use super::{CMDB, get, write};
use crate::target::Family;

/// Makes an address object. `body` names its value: one without would stand for all addresses there are.
pub(crate) fn create_object(vdom: &str, family: Family, body: &Json) -> Request {
    write(Method::POST, CMDB, &["firewall", family.addresses()], vdom).json(body)
}

/// Writes some fields of an address object.
pub(crate) fn change_object(vdom: &str, family: Family, name: &str, fields: &Json) -> Request {
    write(
        Method::PUT,
        CMDB,
        &["firewall", family.addresses(), name],
        vdom,
    )
    .json(fields)
}

/// One group.
pub(crate) fn group(vdom: &str, family: Family, name: &str) -> Request {
    get(CMDB, &["firewall", family.groups(), name], vdom)
}

/// Makes a group.
pub(crate) fn create_named_group(
    vdom: &str,
    family: Family,
    name: &str,
    members: &[String],
    comment: &str,
) -> Request {
    let members: Vec<Json> = members.iter().map(|name| json!({ "name": name })).collect();
    write(Method::POST, CMDB, &["firewall", family.groups()], vdom).json(&json!({
        "name": name,
        "member": members,
        "comment": comment,
    }))
}
