//! The attributes of the tables, and what each takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value as Json, json};

use super::profile::Profile;

/// Why a value is refused: the error code and the words beside it.
pub(super) type Refusal = (i64, String);

#[derive(Clone, Copy, Debug)]
enum Shape {
    Text(usize),
    Choice(&'static [&'static str]),
    Integer(i64, i64),
    Subnet,
    Prefix6,
    /// The child table of this name.
    Rows,
}

struct Attribute {
    name: &'static str,
    shape: Shape,
    default: &'static str,
}

const fn attribute(name: &'static str, shape: Shape, default: &'static str) -> Attribute {
    Attribute {
        name,
        shape,
        default,
    }
}

const SWITCH: Shape = Shape::Choice(&["enable", "disable"]);

const ADDRESS: &[Attribute] = &[
    attribute("name", Shape::Text(79), ""),
    attribute("subnet", Shape::Subnet, "0.0.0.0 0.0.0.0"),
    attribute(
        "type",
        Shape::Choice(&[
            "ipmask",
            "iprange",
            "fqdn",
            "geography",
            "wildcard",
            "dynamic",
            "interface-subnet",
            "mac",
        ]),
        "ipmask",
    ),
    attribute("start-ip", Shape::Text(15), "0.0.0.0"),
    attribute("end-ip", Shape::Text(15), "0.0.0.0"),
    attribute("fqdn", Shape::Text(255), ""),
    attribute("wildcard-fqdn", Shape::Text(255), ""),
    attribute("cache-ttl", Shape::Integer(0, 86_400), "0"),
    attribute("comment", Shape::Text(255), ""),
    attribute("associated-interface", Shape::Text(35), ""),
    attribute("color", Shape::Integer(0, 32), "0"),
    attribute("allow-routing", SWITCH, "disable"),
    attribute("fabric-object", SWITCH, "disable"),
];

const ADDRESS6: &[Attribute] = &[
    attribute("name", Shape::Text(79), ""),
    attribute(
        "type",
        Shape::Choice(&[
            "ipprefix",
            "iprange",
            "fqdn",
            "geography",
            "dynamic",
            "template",
            "mac",
        ]),
        "ipprefix",
    ),
    attribute("ip6", Shape::Prefix6, "::/0"),
    attribute("start-ip", Shape::Text(39), "::"),
    attribute("end-ip", Shape::Text(39), "::"),
    attribute("fqdn", Shape::Text(255), ""),
    attribute("comment", Shape::Text(255), ""),
    attribute("color", Shape::Integer(0, 32), "0"),
    attribute("fabric-object", SWITCH, "disable"),
];

const GROUP: &[Attribute] = &[
    attribute("name", Shape::Text(79), ""),
    attribute("type", Shape::Choice(&["default", "folder"]), "default"),
    attribute("member", Shape::Rows, ""),
    attribute("comment", Shape::Text(255), ""),
    attribute("exclude", SWITCH, "disable"),
    attribute("color", Shape::Integer(0, 32), "0"),
    attribute("fabric-object", SWITCH, "disable"),
];

const MEMBER: &[Attribute] = &[attribute("name", Shape::Text(79), "")];

const NUMBER: Shape = Shape::Integer(1, 4_294_967_295);

const URL_FILTER: &[Attribute] = &[
    attribute("id", NUMBER, "0"),
    attribute("name", Shape::Text(63), ""),
    attribute("entries", Shape::Rows, ""),
];

const URL_ENTRY: &[Attribute] = &[
    attribute("id", NUMBER, "0"),
    attribute("url", Shape::Text(511), ""),
    attribute(
        "type",
        Shape::Choice(&["simple", "regex", "wildcard"]),
        "simple",
    ),
    // An entry that leaves it out lets its URL past every other check.
    attribute(
        "action",
        Shape::Choice(&["exempt", "block", "allow", "monitor"]),
        "exempt",
    ),
    attribute("status", SWITCH, "enable"),
    attribute("comment", Shape::Text(255), ""),
];

/// Here for its name alone, which no address and no group may have.
const VIRTUAL_IP: &[Attribute] = &[attribute("name", Shape::Text(79), "")];

const FEED: &[Attribute] = &[
    attribute("name", Shape::Text(35), ""),
    attribute("status", SWITCH, "enable"),
    attribute(
        "type",
        Shape::Choice(&["category", "address", "domain", "malware", "mac-address"]),
        "category",
    ),
    attribute("update-method", Shape::Choice(&["feed", "push"]), "feed"),
    attribute("category", Shape::Integer(192, 221), "0"),
    attribute("username", Shape::Text(64), ""),
    attribute("comments", Shape::Text(255), ""),
    attribute("resource", Shape::Text(511), ""),
    attribute("user-agent", Shape::Text(127), "curl/7.58.0"),
    attribute(
        "server-identity-check",
        Shape::Choice(&["none", "basic", "full"]),
        "none",
    ),
    attribute("refresh-rate", Shape::Integer(1, 43_200), "5"),
    attribute("source-ip", Shape::Text(15), "0.0.0.0"),
];

/// The tables that the fake has, and the access group that guards each.
pub(super) fn access_group(table: &str) -> Option<&'static str> {
    match table {
        "firewall/address" | "firewall/address6" | "firewall/addrgrp" | "firewall/addrgrp6" => {
            Some("fwgrp")
        }
        "system/external-resource" => Some("sysgrp"),
        "webfilter/urlfilter" => Some("utmgrp"),
        _ => None,
    }
}

fn attributes(table: &str) -> &'static [Attribute] {
    match table {
        "firewall/address" => ADDRESS,
        "firewall/address6" => ADDRESS6,
        "firewall/vip" => VIRTUAL_IP,
        "system/external-resource" => FEED,
        "webfilter/urlfilter" => URL_FILTER,
        "webfilter/urlfilter/entries" => URL_ENTRY,
        "firewall/addrgrp/member" | "firewall/addrgrp6/member" => MEMBER,
        _ => GROUP,
    }
}

/// The attribute whose value tells the rows of a table, or of a child table, apart.
pub(super) fn key_of(table: &str) -> &'static str {
    match table {
        "webfilter/urlfilter" | "webfilter/urlfilter/entries" => "id",
        _ => "name",
    }
}

/// The attribute that is a child table.
pub(super) fn child_of(table: &str) -> Option<&'static str> {
    attributes(table)
        .iter()
        .find(|attribute| matches!(attribute.shape, Shape::Rows))
        .map(|attribute| attribute.name)
}

/// Which tables a group's members may come from.
pub(super) fn member_tables(group: &str) -> &'static [&'static str] {
    match group {
        "firewall/addrgrp" => &["firewall/address", "firewall/addrgrp"],
        "firewall/addrgrp6" => &["firewall/address6", "firewall/addrgrp6"],
        _ => &[],
    }
}

/// A row with every default, as the device fills in what a create leaves out.
pub(super) fn defaults(table: &str, profile: &Profile) -> Map<String, Json> {
    attributes(table)
        .iter()
        .filter(|attribute| exists(attribute, profile))
        .map(|attribute| {
            let value = match attribute.shape {
                Shape::Rows => json!([]),
                Shape::Integer(..) => json!(attribute.default.parse::<i64>().unwrap_or(0)),
                _ => json!(attribute.default),
            };
            (attribute.name.to_owned(), value)
        })
        .collect()
}

fn exists(attribute: &Attribute, profile: &Profile) -> bool {
    attribute.name != "update-method" || profile.has_push()
}

/// Checks one attribute of a write and brings it to the form in which the device keeps it.
pub(super) fn checked(
    table: &str,
    key: &str,
    value: &Json,
    profile: &Profile,
    too_long: i64,
) -> Result<Json, Refusal> {
    let Some(attribute) = attributes(table)
        .iter()
        .find(|attribute| attribute.name == key && exists(attribute, profile))
    else {
        return Err((
            -651,
            format!("unknown attribute {key}\nCommand fail. Return code -651"),
        ));
    };
    match attribute.shape {
        Shape::Text(most) => {
            let text = value.as_str().ok_or_else(|| wrong(key))?;
            if text.chars().count() > most {
                return Err((
                    too_long,
                    format!("{key} is too long\nCommand fail. Return code {too_long}"),
                ));
            }
            if text.contains(['<', '>', '(', ')', '#', '"', '\'']) {
                return Err((
                    -173,
                    format!("{key} contains characters that are not allowed\nReturn code -173"),
                ));
            }
            Ok(value.clone())
        }
        Shape::Choice(words) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(value.clone()),
            _ => Err(wrong(key)),
        },
        Shape::Integer(least, most) => match value.as_i64() {
            Some(number) if (least..=most).contains(&number) => Ok(value.clone()),
            _ => Err((
                -650,
                format!("{key} is out of range\nCommand fail. Return code -650"),
            )),
        },
        Shape::Subnet => {
            let text = value.as_str().ok_or_else(|| wrong(key))?;
            subnet(text).map(Json::from)
        }
        Shape::Prefix6 => {
            let text = value.as_str().ok_or_else(|| wrong(key))?;
            prefix6(text).map(Json::from)
        }
        Shape::Rows => value
            .as_array()
            .ok_or_else(|| wrong(key))?
            .iter()
            .map(|row| child_row(&format!("{table}/{key}"), row, profile, too_long))
            .collect(),
    }
}

/// Checks one row of a child table and fills in what it leaves out.
pub(super) fn child_row(
    child: &str,
    row: &Json,
    profile: &Profile,
    too_long: i64,
) -> Result<Json, Refusal> {
    let fields = row.as_object().ok_or_else(|| wrong(child))?;
    let mut kept = defaults(child, profile);
    for (key, value) in fields {
        // What was read may be sent back as it is.
        if key != "q_origin_key" {
            kept.insert(key.clone(), checked(child, key, value, profile, too_long)?);
        }
    }
    let text = |field: &str| kept.get(field).and_then(Json::as_str).unwrap_or_default();
    if text("type") == "simple" && text("url").contains('?') {
        return Err((
            -658,
            "a simple URL has no question mark\nCommand fail. Return code -658".to_owned(),
        ));
    }
    let key = key_of(child);
    let value = fields.get(key).cloned().ok_or_else(|| wrong(key))?;
    kept.insert("q_origin_key".to_owned(), value);
    Ok(Json::Object(kept))
}

fn wrong(key: &str) -> Refusal {
    (
        -651,
        format!("input value of {key} is not valid\nCommand fail. Return code -651"),
    )
}

/// CIDR or "address mask", kept as "address mask" with host bits cleared.
fn subnet(text: &str) -> Result<String, Refusal> {
    let bad_address = || (-8, format!("invalid IP address {text}\nReturn code -8"));
    let bad_mask = || (-9, format!("invalid netmask {text}\nReturn code -9"));
    let (address, mask) = match text.split_once([' ', '/']) {
        Some((address, mask)) => (address, mask),
        None => (text, "255.255.255.255"),
    };
    let address: Ipv4Addr = address.parse().map_err(|_| bad_address())?;
    let mask = match mask.parse::<u32>() {
        Ok(length) if length <= 32 => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Ok(_) => return Err(bad_mask()),
        Err(_) => u32::from(mask.parse::<Ipv4Addr>().map_err(|_| bad_mask())?),
    };
    if mask.leading_ones() + mask.trailing_zeros() != 32 && mask != u32::MAX {
        return Err(bad_mask());
    }
    Ok(format!(
        "{} {}",
        Ipv4Addr::from(u32::from(address) & mask),
        Ipv4Addr::from(mask)
    ))
}

fn prefix6(text: &str) -> Result<String, Refusal> {
    let bad = |code: i64| {
        (
            code,
            format!("invalid IPv6 prefix {text}\nReturn code {code}"),
        )
    };
    let (address, length) = text.split_once('/').unwrap_or((text, "128"));
    let address: Ipv6Addr = address.parse().map_err(|_| bad(-255))?;
    let length: u32 = length.parse().map_err(|_| bad(-254))?;
    if length > 128 {
        return Err(bad(-254));
    }
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    Ok(format!(
        "{}/{length}",
        Ipv6Addr::from(u128::from(address) & mask)
    ))
}
