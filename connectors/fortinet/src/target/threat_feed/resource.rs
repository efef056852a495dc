//! The external resources that a configuration names: which there are, what is wrong with one, and what to say
//! about it.

use sdk::indicator::{Kind, Value};
use sdk::target::{Effect, Facts, Finding, KindSupport, Level, Rejection};
use sdk::{Error, ErrorKind};

use super::{Group, subject};
use crate::api::FeedRow;
use crate::config::Feeds;
use crate::target::connection::Connection;

const fn support(kind: Kind, networks: bool, matches_below: bool) -> KindSupport {
    KindSupport {
        kind,
        effect: Effect::Prevent,
        networks,
        matches_below,
    }
}

/// What threat feeds take, however they are filled.
pub(in crate::target) const KINDS: &[KindSupport] = &[
    support(Kind::Ipv4, true, false),
    support(Kind::Ipv6, true, false),
    // Whether a domain feed also matches names below is not documented: the answer that blocks more is
    // assumed, so that nothing excluded is hit.
    support(Kind::Domain, false, true),
    support(Kind::Url, false, true),
    support(Kind::Md5, false, false),
    support(Kind::Sha1, false, false),
    support(Kind::Sha256, false, false),
];

/// The resources for the kinds that are sent; all of them where none is named.
pub(in crate::target) fn chosen(names: &Feeds, kinds: &[Kind]) -> Vec<(Group, String)> {
    let names = [&names.ip, &names.domain, &names.url, &names.hash];
    Group::ALL
        .into_iter()
        .zip(names)
        .filter(|(group, _)| {
            kinds.is_empty() || kinds.iter().any(|kind| Group::of(*kind) == *group)
        })
        .map(|(group, name)| (group, name.clone()))
        .collect()
}

/// A resource that is of no use as it is.
pub(in crate::target) fn unusable(name: &str, message: String, hint: String) -> Finding {
    Finding {
        level: Level::Missing,
        subject: subject(name),
        message,
        hint: Some(hint),
    }
}

/// The row of a resource of the right type; otherwise what is wrong, with the text that makes it.
pub(in crate::target) fn find<'a>(
    rows: &'a [FeedRow],
    group: Group,
    name: &str,
    creation: impl Fn() -> String,
) -> Result<&'a FeedRow, Finding> {
    let row = rows.iter().find(|row| row.name == name).ok_or_else(|| {
        let message = format!("there is no external resource {name}");
        unusable(name, message, creation())
    })?;
    if row.kind != group.feed_type() {
        let message = format!(
            "{name} is of type {:?} and not {:?}",
            row.kind,
            group.feed_type()
        );
        return Err(unusable(name, message, creation()));
    }
    Ok(row)
}

/// The commands that make a resource, with the settings of its update method.
pub(in crate::target) fn commands(group: Group, name: &str, settings: &str) -> String {
    let category = match group {
        Group::Domain | Group::Url => "set category <192 to 221, unused>; ",
        Group::Ip | Group::Hash => "",
    };
    format!(
        "on the firewall: config system external-resource; edit \"{name}\"; set type {}; {category}{settings}; next; \
         end; then {}",
        group.feed_type(),
        group.place(),
    )
}

/// The error of a firewall that has none of the resources: the first thing that is missing.
pub(in crate::target) fn none_usable(missing: Option<Finding>, connection: &Connection) -> Error {
    let (message, hint) = missing.map_or_else(
        || ("no kind is sent to this mechanism".to_owned(), None),
        |finding| (finding.message, finding.hint),
    );
    Error::new(ErrorKind::NotFound, message)
        .with("firewall", &connection.host)
        .with("vdom", &connection.vdom)
        .hint(hint.unwrap_or_default())
}

/// Whether a value may stand in a feed of this firewall.
pub(in crate::target) fn accept(
    value: &Value,
    facts: &Facts,
    is_configured: bool,
) -> Result<Value, Rejection> {
    if !is_configured {
        return Err(Rejection::unsupported(
            "no feed is configured for this kind",
        ));
    }
    let missing = facts
        .unavailable
        .iter()
        .find(|(kind, _)| *kind == value.kind());
    if let Some((_, why)) = missing {
        return Err(Rejection::Unsupported(why.clone().into()));
    }
    match value {
        Value::Url(url) if url.as_str().contains('*') => Err(Rejection::unsupported(
            "a `*` in a URL feed stands for anything",
        )),
        _ => Ok(value.clone()),
    }
}
