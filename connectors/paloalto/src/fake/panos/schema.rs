//! What a configuration may be.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use super::xml::Node;

/// The sorts of address, of which an object has exactly one.
pub(super) const ADDRESS_TYPES: [&str; 4] = ["ip-netmask", "ip-range", "ip-wildcard", "fqdn"];

const NAME: usize = 63;

/// Longest description of an address.
const DESCRIPTION: usize = 1023;

/// Most distinct sources of external lists.
const SOURCES: usize = 30;

/// Every virtual system, or device group.
pub(super) fn systems(root: &Node) -> impl Iterator<Item = &Node> {
    ["vsys", "device-group"]
        .into_iter()
        .filter_map(|section| root.down(&["devices", "entry", section]))
        .flat_map(|systems| systems.children.iter())
}

/// The security rules of a virtual system, or of a device group.
pub(super) fn rules(vsys: &Node) -> impl Iterator<Item = &Node> {
    ["rulebase", "pre-rulebase"]
        .into_iter()
        .filter_map(|rulebase| vsys.down(&[rulebase, "security", "rules"]))
        .flat_map(|rules| rules.children.iter())
}

/// Checks a configuration; `whole` also what only a commit looks at.
pub(super) fn check(root: &Node, whole: bool) -> Result<(), String> {
    for vsys in systems(root) {
        let tags = names(vsys, "tag");
        let addresses = names(vsys, "address");
        let groups = names(vsys, "address-group");
        let mut lists = names(vsys, "external-list");
        lists.extend(
            root.child("shared")
                .map_or_else(BTreeSet::new, |shared| names(shared, "external-list")),
        );
        let profiles = root
            .child("shared")
            .map_or_else(BTreeSet::new, |shared| names(shared, "certificate-profile"));
        for entry in entries(vsys, "tag") {
            name_of(entry, 127)?;
        }
        for entry in entries(vsys, "address") {
            address(entry, &tags)?;
        }
        for entry in entries(vsys, "address-group") {
            let name = name_of(entry, NAME)?;
            match (entry.child("static"), entry.child("dynamic")) {
                (Some(members), None) => {
                    if members.children.is_empty() {
                        return Err(format!(
                            "address-group -> {name} -> static is invalid: it is empty"
                        ));
                    }
                    for member in members.members() {
                        if !addresses.contains(member) && !groups.contains(member) {
                            return Err(format!(
                                "address-group -> {name} -> static '{member}' is not a valid reference"
                            ));
                        }
                    }
                }
                (None, Some(dynamic)) => {
                    let text = dynamic.text_of("filter").unwrap_or_default();
                    if text.len() > 2047 || filter(text).is_none() {
                        return Err(format!(
                            "address-group -> {name} -> dynamic -> filter is invalid"
                        ));
                    }
                }
                // A `set` may bring the rest in the same call.
                _ if !whole && entry.children.is_empty() => {}
                _ => {
                    return Err(format!(
                        "address-group -> {name} is neither static nor dynamic"
                    ));
                }
            }
        }
        for entry in entries(vsys, "external-list") {
            external_list(entry, &profiles)?;
        }
        for rule in rules(vsys) {
            let name = name_of(rule, NAME)?;
            for side in ["source", "destination"] {
                for member in rule.child(side).map_or(Vec::new(), Node::members) {
                    let known = member == "any"
                        || addresses.contains(member)
                        || groups.contains(member)
                        || lists.contains(member);
                    if !known {
                        return Err(format!(
                            "rules -> {name} -> {side} '{member}' is not a valid reference"
                        ));
                    }
                }
            }
            for member in rule.child("category").map_or(Vec::new(), Node::members) {
                if member != "any" && !lists.contains(member) {
                    return Err(format!(
                        "rules -> {name} -> category '{member}' is not a valid reference"
                    ));
                }
            }
        }
        let sources: BTreeSet<&str> = used_lists(vsys).filter_map(source_of).collect();
        if whole && sources.len() > SOURCES {
            return Err(format!(
                "external-list: {} sources exceed the limit of {SOURCES}",
                sources.len()
            ));
        }
    }
    Ok(())
}

fn address(entry: &Node, tags: &BTreeSet<&str>) -> Result<(), String> {
    let name = name_of(entry, NAME)?;
    let sorts: Vec<&Node> = entry
        .children
        .iter()
        .filter(|child| ADDRESS_TYPES.contains(&child.name.as_str()))
        .collect();
    let [sort] = sorts[..] else {
        return Err(format!(
            "address -> {name} is invalid: {} kinds of address",
            sorts.len()
        ));
    };
    let valid = match sort.name.as_str() {
        "ip-netmask" => netmask(&sort.text),
        "fqdn" => (1..=255).contains(&sort.text.len()) && !sort.text.contains([' ', '/', ':']),
        "ip-range" => sort.text.split_once('-').is_some_and(|(low, high)| {
            low.parse::<IpAddr>().is_ok() && high.parse::<IpAddr>().is_ok()
        }),
        _ => true,
    };
    if !valid {
        return Err(format!(
            "address -> {name} -> {} '{}' is invalid",
            sort.name, sort.text
        ));
    }
    let description = entry.text_of("description").unwrap_or_default();
    let length = description.chars().count();
    if length > DESCRIPTION {
        return Err(format!(
            "address -> {name} -> description can be at most {DESCRIPTION} characters, but current length: {length}"
        ));
    }
    for tag in entry.child("tag").map_or(Vec::new(), Node::members) {
        if !tags.contains(tag) {
            return Err(format!(
                "address -> {name} -> tag '{tag}' is not a valid reference"
            ));
        }
    }
    let known = |child: &&Node| {
        !ADDRESS_TYPES.contains(&child.name.as_str())
            && !["description", "tag"].contains(&child.name.as_str())
    };
    match entry.children.iter().find(known) {
        Some(other) => Err(format!(
            "address -> {name} -> {} unexpected here",
            other.name
        )),
        None => Ok(()),
    }
}

/// A list, and the certificate profiles that there are.
fn external_list(entry: &Node, profiles: &BTreeSet<&str>) -> Result<(), String> {
    let name = name_of(entry, NAME)?;
    let invalid = |what: &str| Err(format!("external-list -> {name} -> {what} is invalid"));
    let kind = entry.child("type").and_then(|kind| kind.children.first());
    let url = source_of(entry).unwrap_or_default();
    if url.is_empty() || url.len() > 255 {
        return invalid("url");
    }
    if let Some(login) = kind.and_then(|kind| kind.child("auth")) {
        let length = |field: &str| login.text_of(field).map_or(0, str::len);
        if !(1..=255).contains(&length("username")) || length("password") > 255 {
            return invalid("auth");
        }
    }
    match kind.and_then(|kind| kind.text_of("certificate-profile")) {
        Some(profile) if profile != "None" && !profiles.contains(profile) => Err(format!(
            "external-list -> {name} -> certificate-profile '{profile}' is not a valid reference"
        )),
        _ => Ok(()),
    }
}

/// The CAs of a certificate profile. Only those that all virtual systems share are known here.
pub(super) fn authorities(root: &Node, profile: &str) -> Vec<String> {
    let profile = root
        .down(&["shared", "certificate-profile"])
        .and_then(|profiles| profiles.entry_named(profile)?.child("CA"));
    let names = profile.into_iter().flat_map(|authorities| {
        let entries = authorities.children.iter();
        entries.filter_map(|entry| entry.attribute("name"))
    });
    names.map(str::to_owned).collect()
}

fn netmask(text: &str) -> bool {
    let (address, length) = text.split_once('/').unwrap_or((text, "0"));
    match (address.parse::<IpAddr>(), length.parse::<u8>()) {
        (Ok(IpAddr::V4(_)), Ok(length)) => length <= 32,
        (Ok(IpAddr::V6(_)), Ok(length)) => length <= 128,
        _ => false,
    }
}

fn name_of(entry: &Node, longest: usize) -> Result<&str, String> {
    let name = entry.attribute("name").unwrap_or_default();
    let length = name.chars().count();
    if length > longest {
        return Err(format!(
            "{name} can be at most {longest} characters, but current length: {length}"
        ));
    }
    let first = name.chars().next().is_some_and(char::is_alphanumeric);
    let rest = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    if first && name.chars().all(rest) || longest == 127 && !name.is_empty() {
        Ok(name)
    } else {
        Err(format!("'{name}' is not a valid name"))
    }
}

fn entries<'a>(vsys: &'a Node, section: &str) -> impl Iterator<Item = &'a Node> {
    vsys.child(section)
        .into_iter()
        .flat_map(|section| section.children.iter())
}

fn names<'a>(vsys: &'a Node, section: &str) -> BTreeSet<&'a str> {
    entries(vsys, section)
        .filter_map(|entry| entry.attribute("name"))
        .collect()
}

/// What refers to an object that is to be deleted.
pub(super) fn referenced(root: &Node, name: &str, section: &str) -> Option<String> {
    for vsys in systems(root) {
        if ["address", "address-group"].contains(&section) {
            for group in entries(vsys, "address-group") {
                let members = group.child("static").map_or(Vec::new(), Node::members);
                if members.contains(&name) {
                    return Some(format!("address-group -> {}", group.attribute("name")?));
                }
            }
        }
        if ["address", "address-group", "external-list"].contains(&section) {
            for rule in rules(vsys) {
                let uses = ["source", "destination"].iter().any(|side| {
                    rule.child(side)
                        .is_some_and(|side| side.members().contains(&name))
                });
                if uses {
                    return Some(format!("rules -> {}", rule.attribute("name")?));
                }
            }
        }
        if section == "tag" {
            for address in entries(vsys, "address") {
                if address
                    .child("tag")
                    .is_some_and(|tag| tag.members().contains(&name))
                {
                    return Some(format!("address -> {}", address.attribute("name")?));
                }
            }
        }
    }
    None
}

/// The external lists that a rule, or a profile, uses, in their order.
pub(super) fn used_lists(vsys: &Node) -> impl Iterator<Item = &Node> {
    let named: BTreeSet<&str> = rules(vsys)
        .flat_map(|rule| ["source", "destination", "category"].map(|part| rule.child(part)))
        .flatten()
        .flat_map(Node::members)
        .collect();
    let profiled: BTreeSet<&str> = vsys
        .down(&["profiles", "custom-list-use"])
        .map_or(Vec::new(), Node::members)
        .into_iter()
        .collect();
    entries(vsys, "external-list").filter(move |list| {
        list.attribute("name")
            .is_some_and(|name| named.contains(name) || profiled.contains(name))
    })
}

fn source_of(list: &Node) -> Option<&str> {
    list.child("type")?.children.first()?.text_of("url")
}

/// A filter over tags: `'a' or ('b' and 'c')`.
#[derive(Clone, Debug)]
pub(super) enum Filter {
    Tag(String),
    Any(Vec<Filter>),
    All(Vec<Filter>),
}

impl Filter {
    pub(super) fn holds(&self, tags: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Tag(tag) => tags(tag),
            Self::Any(parts) => parts.iter().any(|part| part.holds(tags)),
            Self::All(parts) => parts.iter().all(|part| part.holds(tags)),
        }
    }
}

/// Reads a filter.
pub(super) fn filter(text: &str) -> Option<Filter> {
    let mut rest = text.trim();
    let parsed = any(&mut rest)?;
    rest.trim().is_empty().then_some(parsed)
}

fn any(rest: &mut &str) -> Option<Filter> {
    let mut parts = vec![all(rest)?];
    while let Some(after) = rest.trim_start().strip_prefix("or ") {
        *rest = after;
        parts.push(all(rest)?);
    }
    Some(Filter::Any(parts))
}

fn all(rest: &mut &str) -> Option<Filter> {
    let mut parts = vec![one(rest)?];
    while let Some(after) = rest.trim_start().strip_prefix("and ") {
        *rest = after;
        parts.push(one(rest)?);
    }
    Some(Filter::All(parts))
}

fn one(rest: &mut &str) -> Option<Filter> {
    let text = rest.trim_start();
    if let Some(inside) = text.strip_prefix('(') {
        *rest = inside;
        let filter = any(rest)?;
        *rest = rest.trim_start().strip_prefix(')')?;
        return Some(filter);
    }
    let quoted = text.strip_prefix('\'')?;
    let (tag, after) = quoted.split_once('\'')?;
    let word = tag.to_ascii_lowercase();
    if tag.is_empty() || ["and", "or", "not"].contains(&word.as_str()) || tag.contains("  ") {
        return None;
    }
    *rest = after;
    Some(Filter::Tag(tag.to_owned()))
}

/// Whether an address is one of those kept for documentation, which block nothing that exists.
pub(super) fn is_documentation(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => [
            Ipv4Addr::new(192, 0, 2, 0),
            Ipv4Addr::new(198, 51, 100, 0),
            Ipv4Addr::new(203, 0, 113, 0),
        ]
        .iter()
        .any(|net| net.octets()[..3] == address.octets()[..3]),
        IpAddr::V6(address) => address.segments()[..2] == [0x2001, 0xdb8],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_judged() {
        let filter = filter("'a' or ('b' and 'c')").unwrap();
        let holds = |tags: &[&str]| filter.holds(&|tag| tags.contains(&tag));
        assert!(holds(&["a"]) && holds(&["b", "c"]));
        assert!(!holds(&["b"]) && !holds(&[]));
        for bad in ["a", "'a' or", "'or'", "'it's'", "('a'", "'a'  'b'", ""] {
            assert!(super::filter(bad).is_none(), "{bad}");
        }
    }
}
