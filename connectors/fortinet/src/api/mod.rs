//! Requests to FortiOS, as values. Every one names its VDOM: without it a firewall answers for its
//! management VDOM.

mod answer;
mod drop_in;
pub(crate) mod manager;

pub(crate) use drop_in::{change_object, create_named_group, create_object, group};

pub(crate) use answer::{
    AddressRow, BanRow, BanSettings, CommandResult, EntryList, FeedRow, GroupRow, Limits, Named,
    Page, Refresh, Status, Usage, Verdict, judge, refusal,
};

use axum::http::Method;
use sdk::http::{Request, Safety};
use serde::Serialize;

use crate::target::Family;

const CMDB: [&str; 3] = ["api", "v2", "cmdb"];
const MONITOR: [&str; 3] = ["api", "v2", "monitor"];

fn request(method: Method, safety: Safety, base: [&str; 3], rest: &[&str], vdom: &str) -> Request {
    let path = base.iter().chain(rest).map(|segment| (*segment).to_owned());
    Request::new(method, safety, "*", path).query("vdom", vdom)
}

fn get(base: [&str; 3], rest: &[&str], vdom: &str) -> Request {
    request(Method::GET, Safety::Read, base, rest, vdom)
}

/// 500 is the usual answer to a duplicate, a reference or a bad value, so that a write is never
/// repeated blindly: its answer comes back whatever its status.
fn write(method: Method, base: [&str; 3], rest: &[&str], vdom: &str) -> Request {
    request(method, Safety::Once, base, rest, vdom)
}

/// Version, and the clock in `Date`. Any profile may ask.
pub(crate) fn status(vdom: &str) -> Request {
    get(MONITOR, &["system", "status"], vdom)
}

/// What refers to an object.
pub(crate) fn usage(vdom: &str, path: &str, table: &str, name: &str) -> Request {
    get(MONITOR, &["system", "object", "usage"], vdom)
        .query("q_path", path)
        .query("q_name", table)
        .query("mkey", name)
}

/// Table sizes.
pub(crate) fn limits(vdom: &str) -> Request {
    get(MONITOR, &["system", "vdom-resource"], vdom)
}

/// All threat feeds, by their settings.
pub(crate) fn feeds(vdom: &str) -> Request {
    get(CMDB, &["system", "external-resource"], vdom)
        .query("format", "name|type|status|update-method|comments|resource")
}

/// A page of a feed's content. `count` 0 would be everything at once.
pub(crate) fn entries(vdom: &str, feed: &str, start: usize, count: usize) -> Request {
    get(
        MONITOR,
        &["system", "external-resource", "entry-list"],
        vdom,
    )
    .query("mkey", feed)
    .query("start", start)
    .query("count", count)
}

/// What is asked about a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pull {
    /// Starts one.
    Start,
    /// Asks how it goes, and starts none.
    Ask,
}

/// Has a feed pulled, or asks how that goes. Pulling twice is the same as once.
pub(crate) fn refresh(vdom: &str, feed: &str, pull: Pull) -> Request {
    let safety = match pull {
        Pull::Start => Safety::Idempotent,
        Pull::Ask => Safety::Read,
    };
    let path = ["system", "external-resource", "refresh"];
    request(Method::POST, safety, MONITOR, &path, vdom)
        .json(&serde_json::json!({ "mkey": feed, "check_status_only": pull == Pull::Ask }))
}

/// What one push does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Command {
    /// Puts entries in.
    Add,
    /// Takes entries out.
    Remove,
}

/// Pushes entries into a feed, or out of it.
pub(crate) fn push(vdom: &str, feed: &str, command: Command, entries: &[&str]) -> Request {
    #[derive(Serialize)]
    struct Body<'a> {
        commands: [Item<'a>; 1],
    }
    #[derive(Serialize)]
    struct Item<'a> {
        name: &'a str,
        command: Command,
        entries: &'a [&'a str],
    }
    write(
        Method::POST,
        MONITOR,
        &["system", "external-resource", "dynamic"],
        vdom,
    )
    .json(&Body {
        commands: [Item {
            name: feed,
            command,
            entries,
        }],
    })
}

/// The banned addresses.
pub(crate) fn bans(vdom: &str) -> Request {
    get(MONITOR, &["user", "banned"], vdom)
}

/// The same, under the path that old firmware has.
pub(crate) fn bans_before(vdom: &str) -> Request {
    get(MONITOR, &["user", "banned", "select"], vdom)
}

/// Bans addresses for so many seconds; 0 is for ever.
pub(crate) fn ban(vdom: &str, addresses: &[String], seconds: i64) -> Request {
    write(
        Method::POST,
        MONITOR,
        &["user", "banned", "add_users"],
        vdom,
    )
    .json(&serde_json::json!({ "ip_addresses": addresses, "expiry": seconds }))
}

/// Ends the bans of addresses. There is also a call that clears all bans, the firewall's own included:
/// it is never used.
pub(crate) fn unban(vdom: &str, addresses: &[String]) -> Request {
    write(
        Method::POST,
        MONITOR,
        &["user", "banned", "clear_users"],
        vdom,
    )
    .json(&serde_json::json!({ "ip_addresses": addresses }))
}

/// Settings that say whether bans outlive a restart.
pub(crate) fn ban_settings(vdom: &str) -> Request {
    get(CMDB, &["firewall", "global"], vdom)
}

/// Every address object, by the fields that we look at.
pub(crate) fn addresses(vdom: &str, family: Family) -> Request {
    get(CMDB, &["firewall", family.addresses()], vdom).query(
        "format",
        "name|type|subnet|ip6|fqdn|associated-interface|comment",
    )
}

/// The names of address objects whose comment holds a text, or of more: `=@` ignores case.
pub(crate) fn addresses_commented(vdom: &str, family: Family, text: &str) -> Request {
    get(CMDB, &["firewall", family.addresses()], vdom)
        .query("filter", format!("comment=@{text}"))
        .query("format", "name|comment")
}

/// One address object.
pub(crate) fn address(vdom: &str, family: Family, name: &str) -> Request {
    get(CMDB, &["firewall", family.addresses(), name], vdom)
}

/// What an address object is made of. Every create names its value: one without a subnet would stand
/// for all addresses there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AddressBody<'a> {
    pub(crate) name: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fqdn: Option<String>,
    #[serde(
        rename = "associated-interface",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) associated_interface: Option<&'static str>,
    pub(crate) comment: &'a str,
}

/// Makes an address object.
pub(crate) fn create_address(vdom: &str, family: Family, body: &AddressBody<'_>) -> Request {
    write(Method::POST, CMDB, &["firewall", family.addresses()], vdom).json(body)
}

/// Writes an address object as a whole.
pub(crate) fn update_address(vdom: &str, family: Family, body: &AddressBody<'_>) -> Request {
    write(
        Method::PUT,
        CMDB,
        &["firewall", family.addresses(), body.name],
        vdom,
    )
    .json(body)
}

/// Writes the comment of an address object and leaves the rest.
pub(crate) fn comment_address(vdom: &str, family: Family, name: &str, comment: &str) -> Request {
    write(
        Method::PUT,
        CMDB,
        &["firewall", family.addresses(), name],
        vdom,
    )
    .json(&serde_json::json!({ "comment": comment }))
}

/// Deletes one address object. `None` without a name, because `DELETE` on the collection would purge
/// the whole table.
pub(crate) fn delete_address(vdom: &str, family: Family, name: &str) -> Option<Request> {
    (!name.is_empty()).then(|| {
        write(
            Method::DELETE,
            CMDB,
            &["firewall", family.addresses(), name],
            vdom,
        )
    })
}

/// The groups whose name holds a text, with their members.
pub(crate) fn groups(vdom: &str, family: Family, text: &str) -> Request {
    get(CMDB, &["firewall", family.groups()], vdom)
        .query("filter", format!("name=@{text}"))
        .query("format", "name|member")
}

/// Makes a group.
pub(crate) fn create_group(vdom: &str, family: Family, name: &str, members: &[&str]) -> Request {
    let members: Vec<_> = members
        .iter()
        .map(|name| serde_json::json!({ "name": name }))
        .collect();
    write(Method::POST, CMDB, &["firewall", family.groups()], vdom).json(&serde_json::json!({
        "name": name,
        "member": members,
        "comment": "filled by Cordon: name this group in a deny policy",
    }))
}

/// One member of a group.
pub(crate) fn membership(vdom: &str, family: Family, group: &str, member: &str) -> Request {
    get(
        CMDB,
        &["firewall", family.groups(), group, "member", member],
        vdom,
    )
}

/// Puts one object into a group and leaves the other members alone.
pub(crate) fn join_group(vdom: &str, family: Family, group: &str, member: &str) -> Request {
    write(
        Method::POST,
        CMDB,
        &["firewall", family.groups(), group, "member"],
        vdom,
    )
    .json(&serde_json::json!({ "name": member }))
}

/// Takes one object out of a group. `None` without both names: shorter paths would empty the group or
/// purge the table.
pub(crate) fn leave_group(
    vdom: &str,
    family: Family,
    group: &str,
    member: &str,
) -> Option<Request> {
    (!group.is_empty() && !member.is_empty()).then(|| {
        write(
            Method::DELETE,
            CMDB,
            &["firewall", family.groups(), group, "member", member],
            vdom,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdk::http::Body;

    #[test]
    fn deletes_never_name_a_collection() {
        assert!(delete_address("root", Family::Ipv4, "").is_none());
        assert!(leave_group("root", Family::Ipv4, "", "a").is_none());
        assert!(leave_group("root", Family::Ipv4, "g", "").is_none());
        let request = delete_address("root", Family::Ipv6, "a/b").unwrap();
        assert_eq!(
            request.path,
            ["api", "v2", "cmdb", "firewall", "address6", "a/b"]
        );
        assert_eq!(request.safety, Safety::Once);
    }

    #[test]
    fn a_push_sends_commands_as_objects() {
        let request = push("dmz", "cordon-ip", Command::Add, &["1.2.3.4"]);
        assert_eq!(request.query, [("vdom".to_owned(), "dmz".to_owned())]);
        let Body::Json(body) = request.body else {
            panic!("no JSON");
        };
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"commands":[{"name":"cordon-ip","command":"add","entries":["1.2.3.4"]}]}"#
        );
    }
}
