//! Requests to FortiManager, as values. There is one address; a call has several parts, each with an answer
//! of its own, and HTTP says 200 whatever they are.

use std::fmt;

use axum::http::Method;
use sdk::http::{Request, Safety};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::AddressBody;
use crate::target::Family;

/// It exists already.
pub(crate) const EXISTS: i64 = -2;
/// It does not exist.
pub(crate) const MISSING: i64 = -3;
/// An address that stands for nothing.
pub(crate) const BAD_URL: i64 = -6;
/// The ADOM does not work with locks.
pub(crate) const NO_WORKSPACE: i64 = -9;
/// A right is missing, or the session ended.
pub(crate) const DENIED: i64 = -11;
/// Something refers to it.
pub(crate) const IN_USE: i64 = -10_015;
/// Writing without the lock of the ADOM.
pub(crate) const NO_LOCK: i64 = -10_147;
/// Writing where people approve changes.
pub(crate) const WORKFLOW: i64 = -20_020;

/// What became of one part of a call.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Status {
    pub(crate) code: i64,
    #[serde(default)]
    message: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message: String = self
            .message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(200)
            .collect();
        write!(f, "{} {message}", self.code)
    }
}

/// The answer to one part of a call.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) data: Json,
}

/// The answer to a call.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) result: Vec<Part>,
}

/// Opens a session.
pub(crate) fn login(user: &str, password: &str) -> Request {
    let parameter =
        json!({ "url": "/sys/login/user", "data": { "user": user, "passwd": password } });
    call("exec", &[parameter], None, Safety::Read)
        .secret(password)
        .unauthenticated()
}

/// Ends the session, and with it its lock. An install that it began would fail.
pub(crate) fn logout() -> Json {
    json!({ "url": "/sys/logout" })
}

/// A call.
pub(crate) fn call(
    method: &str,
    parameters: &[Json],
    session: Option<&str>,
    safety: Safety,
) -> Request {
    let mut body = json!({ "id": 1, "method": method, "params": parameters, "verbose": 1 });
    if let Some(session) = session {
        body["session"] = json!(session);
    }
    let request = Request::new(Method::POST, safety, "*", ["jsonrpc"]).json(&body);
    match session {
        Some(session) => request.secret(session),
        None => request,
    }
}

/// Global settings, of which the mode of work is one.
pub(crate) fn global() -> Json {
    json!({ "url": "/cli/global/system/global", "fields": ["workspace-mode"] })
}

/// What a user may do, of which `rpc-permit` is one thing.
pub(crate) fn user(name: &str) -> Json {
    let name = escaped(name);
    json!({ "url": format!("/cli/global/system/admin/user/{name}"), "fields": ["userid", "rpc-permit"] })
}

/// The ADOM itself.
pub(crate) fn adom(adom: &str) -> Json {
    json!({ "url": format!("/dvmdb/adom/{adom}"), "fields": ["name"] })
}

/// A firewall of the ADOM, with its VDOMs.
pub(crate) fn device(adom: &str, name: &str) -> Json {
    json!({
        "url": format!("/dvmdb/adom/{adom}/device/{}", escaped(name)),
        "fields": ["name", "conn_status", "conf_status"],
    })
}

/// A policy package; its name may begin with folders.
pub(crate) fn package(adom: &str, package: &str) -> Json {
    json!({ "url": format!("/pm/pkg/adom/{adom}/{package}"), "fields": ["name"] })
}

/// Which package each firewall has, and how far it is installed.
pub(crate) fn package_status(adom: &str) -> Json {
    json!({ "url": format!("/pm/config/adom/{adom}/_package/status") })
}

/// The policies of a package, by what they name.
pub(crate) fn policies(adom: &str, package: &str) -> Json {
    json!({
        "url": format!("/pm/config/adom/{adom}/pkg/{package}/firewall/policy"),
        "fields": ["policyid", "action", "status", "srcaddr", "dstaddr", "srcaddr6", "dstaddr6"],
    })
}

/// `lock`, `commit`, `unlock` or `lockinfo`.
pub(crate) fn workspace(adom: &str, verb: &str) -> Json {
    json!({ "url": format!("/dvmdb/adom/{adom}/workspace/{verb}") })
}

fn objects(adom: &str, table: &str) -> String {
    format!("/pm/config/adom/{adom}/obj/firewall/{table}")
}

/// All address objects of a family's table.
pub(crate) fn addresses(adom: &str, family: Family) -> Json {
    json!({
        "url": objects(adom, family.addresses()),
        "fields": ["name", "type", "subnet", "ip6", "fqdn", "associated-interface", "comment"],
    })
}

/// All groups of a family's table.
pub(crate) fn groups(adom: &str, family: Family) -> Json {
    json!({ "url": objects(adom, family.groups()), "fields": ["name", "member"] })
}

/// One address object.
pub(crate) fn address(adom: &str, family: Family, name: &str) -> Json {
    json!({ "url": format!("{}/{}", objects(adom, family.addresses()), escaped(name)) })
}

/// Makes an address object (`add`).
pub(crate) fn new_address(adom: &str, family: Family, body: &AddressBody<'_>) -> Json {
    json!({ "url": objects(adom, family.addresses()), "data": body })
}

/// Writes some fields of an address object (`update`).
pub(crate) fn changed_address(adom: &str, family: Family, name: &str, data: &Json) -> Json {
    let mut parameter = address(adom, family, name);
    parameter["data"] = data.clone();
    parameter
}

/// Makes a group (`add`).
pub(crate) fn new_group(adom: &str, family: Family, name: &str, members: &[&str]) -> Json {
    json!({
        "url": objects(adom, family.groups()),
        "data": {
            "name": name,
            "member": members,
            "comment": "filled by Cordon: name this group in a deny policy",
        },
    })
}

/// Some members of a group, and no others (`add`, `delete`).
pub(crate) fn members(adom: &str, family: Family, group: &str, members: &[&str]) -> Json {
    json!({
        "url": format!("{}/{}/member", objects(adom, family.groups()), escaped(group)),
        "data": members,
    })
}

/// Installs a policy package, with the objects that it uses, on firewalls.
pub(crate) fn install(adom: &str, package: &str, scope: &[(&str, &str)]) -> Json {
    // Without its VDOM a name would stand for a group of firewalls.
    let scope: Vec<Json> = scope
        .iter()
        .map(|(name, vdom)| json!({ "name": name, "vdom": vdom }))
        .collect();
    json!({
        "url": "/securityconsole/install/package",
        "data": { "adom": adom, "pkg": package, "scope": scope },
    })
}

/// How a task goes.
pub(crate) fn task(number: u64) -> Json {
    json!({ "url": format!("/task/task/{number}") })
}

/// A call of the REST API of firewalls.
pub(crate) fn relay(
    action: &str,
    resource: &str,
    payload: Option<Json>,
    targets: &[String],
) -> Json {
    let mut data = json!({ "action": action, "resource": resource, "target": targets });
    if let Some(payload) = payload {
        data["payload"] = payload;
    }
    json!({ "url": "/sys/proxy/json", "data": data })
}

/// A name as a part of an address: a slash in it is not a separator.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('/', "\\/")
}

/// An address object as the manager keeps it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StoredAddress {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subnet: Json,
    #[serde(default)]
    ip6: Json,
    #[serde(default)]
    fqdn: Json,
    #[serde(default)]
    comment: Json,
    #[serde(default)]
    associated_interface: Json,
}

/// A firewall as the manager knows it. What it tells of connection and configuration are words.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Device {
    /// `up`, `down` or `unknown`.
    #[serde(default)]
    pub(crate) conn_status: Json,
    /// `insync`, `outofsync` or `unknown`.
    #[serde(default)]
    pub(crate) conf_status: Json,
    #[serde(default)]
    vdom: Json,
}

impl Device {
    /// The names of its VDOMs; none where it does not tell.
    pub(crate) fn vdoms(&self) -> Vec<&str> {
        let rows = self.vdom.as_array().into_iter().flatten();
        rows.filter_map(|row| row.get("name")?.as_str()).collect()
    }
}

/// Which package a firewall has.
#[derive(Debug, Deserialize)]
pub(crate) struct Assignment {
    #[serde(default)]
    pub(crate) dev: String,
    #[serde(default)]
    pub(crate) vdom: String,
    #[serde(default)]
    pub(crate) pkg: String,
    /// `installed`, or another word for what is not.
    #[serde(default)]
    pub(crate) status: String,
}

/// A policy, as far as we look at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    #[serde(default)]
    pub(crate) policyid: Json,
    #[serde(default)]
    action: Json,
    #[serde(default)]
    status: Json,
    #[serde(default)]
    srcaddr: Json,
    #[serde(default)]
    dstaddr: Json,
    #[serde(default)]
    srcaddr6: Json,
    #[serde(default)]
    dstaddr6: Json,
}

impl Policy {
    /// Whether it names one of these as source or destination.
    pub(crate) fn names(&self, groups: &std::collections::BTreeSet<&str>) -> bool {
        [&self.srcaddr, &self.dstaddr, &self.srcaddr6, &self.dstaddr6]
            .into_iter()
            .any(|names| {
                words(names)
                    .iter()
                    .any(|name| groups.contains(name.as_str()))
            })
    }

    /// Whether it denies, and is switched on. Numbers stand for words where a manager does not tell words.
    pub(crate) fn denies(&self) -> bool {
        let denies = self.action == "deny" || self.action == 0;
        denies && self.status != "disable" && self.status != 0
    }
}

/// The names in an answer: one as text, several as an array.
fn words(value: &Json) -> Vec<String> {
    match value {
        Json::String(one) => vec![one.clone()],
        Json::Array(all) => all
            .iter()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// Text, or the words of an array with blanks between them: what is empty comes as an empty array.
fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(words) => words
            .iter()
            .filter_map(Json::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

impl From<StoredAddress> for super::AddressRow {
    fn from(stored: StoredAddress) -> Self {
        let interface = text(&stored.associated_interface);
        Self {
            name: stored.name,
            kind: stored.kind,
            subnet: text(&stored.subnet),
            ip6: text(&stored.ip6),
            fqdn: text(&stored.fqdn),
            comment: text(&stored.comment),
            // What stands there where there is none is not documented: both are read so.
            associated_interface: if interface == "any" {
                String::new()
            } else {
                interface
            },
        }
    }
}

/// A group as the manager keeps it.
#[derive(Debug, Deserialize)]
pub(crate) struct StoredGroup {
    pub(crate) name: String,
    #[serde(default)]
    member: Json,
}

impl StoredGroup {
    /// The names of its members.
    pub(crate) fn members(&self) -> Vec<String> {
        words(&self.member)
    }
}

/// How a task goes.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    #[serde(default)]
    pub(crate) percent: u64,
    #[serde(default)]
    pub(crate) num_err: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_part_of_the_address() {
        let asked = address("campus", Family::Ipv4, "a/b\\c");
        assert_eq!(
            asked["url"],
            "/pm/config/adom/campus/obj/firewall/address/a\\/b\\\\c"
        );
    }

    #[test]
    fn an_install_names_the_vdom_of_every_firewall() {
        let asked = install("campus", "edge", &[("fw-1", "root")]);
        assert_eq!(
            asked["data"]["scope"],
            json!([{ "name": "fw-1", "vdom": "root" }])
        );
    }
}
