//! MISP warninglists: known-good values, used as excludes and protect lists.

use serde::Deserialize;

use super::list::too_many_unreadable;
use super::reading::{Reading, Skipped, SkippedReason};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Kind, Origin, Value, ValueError};

/// Largest warninglist in bytes; the largest published one has about 20 MB.
pub(super) const LARGEST: u64 = 256 << 20;

#[derive(Deserialize)]
struct Warninglist {
    #[serde(rename = "type")]
    kind: String,
    list: Vec<String>,
    #[serde(default)]
    matching_attributes: Vec<String>,
}

/// How the entries match.
#[derive(Clone, Copy)]
enum Match {
    /// Themselves alone.
    Exact,
    /// The name and all below.
    Below,
    /// Networks.
    Network,
}

/// Reads a warninglist that lies in memory whole. The origin of an entry is its place in `list`, counted
/// from 1.
///
/// # Errors
/// [`crate::ErrorKind::Protocol`] if it is not a warninglist, of a type that is not known, or more than 20 % of its
/// entries are unreadable.
pub(super) fn read(name: &str, json: &[u8]) -> Result<Reading> {
    let fail = |error: Error| error.with("warninglist", name);
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    if json.trim_ascii_start().starts_with(b"<") {
        return Err(fail(
            Error::protocol("this is an HTML or XML page, not a warninglist")
                .hint("the address may want a login, or moved"),
        ));
    }
    let warninglist: Warninglist = serde_json::from_slice(json).map_err(|error| {
        fail(
            Error::protocol("this is not a MISP warninglist")
                .because(error)
                .hint("a warninglist is a JSON object with `type` and `list`"),
        )
    })?;
    let how = match warninglist.kind.as_str() {
        "string" => Some(Match::Exact),
        "hostname" => Some(Match::Below),
        "cidr" => Some(Match::Network),
        "substring" | "regex" => None,
        other => {
            let shown: String = other.chars().take(40).collect();
            return Err(fail(
                Error::protocol(format!("warninglist type {shown:?} is not known"))
                    .hint("known are string, hostname, cidr, substring and regex"),
            ));
        }
    };
    let allowed = allowed(&warninglist.matching_attributes);
    let mut reading = Reading {
        name: name.to_owned(),
        ..Reading::default()
    };
    let (mut unreadable, mut first) = (0, None);
    for (index, text) in warninglist.list.iter().enumerate() {
        let place = format!("entry {}", index + 1);
        let refusal = match how {
            None => Err((
                SkippedReason::Pattern,
                format!("{} entries are not single values", warninglist.kind),
            )),
            Some(how) => value(text.trim(), how).and_then(|(value, exact)| {
                if allowed.contains(&value.kind()) {
                    Ok((value, exact))
                } else {
                    let message = format!("`matching_attributes` name no {}", value.kind());
                    Err((SkippedReason::Unsupported, message))
                }
            }),
        };
        match refusal {
            Ok((value, exact)) => reading.indicators.push(Indicator {
                exact,
                ..Indicator::bare(
                    value,
                    Origin::Line(u32::try_from(index + 1).unwrap_or(u32::MAX)),
                )
            }),
            Err((reason, message)) => {
                if reason == SkippedReason::Unreadable {
                    unreadable += 1;
                    first.get_or_insert_with(|| place.clone());
                }
                reading
                    .skipped
                    .push(Skipped::new(place, text, reason, message));
            }
        }
    }
    too_many_unreadable(unreadable, warninglist.list.len(), first, &reading.skipped)
        .map_err(fail)?;
    Ok(reading)
}

/// An entry's value, and whether a name stands for itself alone.
fn value(text: &str, how: Match) -> Result<(Value, bool), (SkippedReason, String)> {
    let name = |text: &str| Value::parse(Kind::Domain, text.trim_start_matches("*."));
    let result = match (how, text.strip_prefix('.')) {
        (Match::Exact | Match::Below, Some(rest)) => name(rest).map(|value| (value, false)),
        (Match::Below, None) => name(text).map(|value| (value, false)),
        (Match::Network, _) => {
            let kind = if text.contains(':') {
                Kind::Ipv6
            } else {
                Kind::Ipv4
            };
            Value::parse(kind, text).map(|value| (value, false))
        }
        // Lists of top-level domains hold single labels, which detection takes for words.
        (Match::Exact, None) => Value::detect(text)
            .or_else(|error| match error {
                ValueError::Unrecognised if !text.contains(char::is_whitespace) => {
                    Value::parse(Kind::Domain, text)
                }
                error => Err(error),
            })
            .map(|value| {
                let exact = value.kind() == Kind::Domain;
                (value, exact)
            }),
    };
    result.map_err(|error| {
        let reason = match error {
            ValueError::Unsupported(_) => SkippedReason::Unsupported,
            _ => SkippedReason::Unreadable,
        };
        (reason, error.to_string())
    })
}

/// The kinds that the attributes name; every kind where none is named.
fn allowed(attributes: &[String]) -> Vec<Kind> {
    if attributes.is_empty() {
        return Kind::ALL.to_vec();
    }
    attributes
        .iter()
        .flat_map(|attribute| attribute.split('|'))
        .flat_map(|part| -> &[Kind] {
            match part {
                "ip-src" | "ip-dst" | "ip" => &[Kind::Ipv4, Kind::Ipv6],
                "domain" | "hostname" => &[Kind::Domain],
                "url" | "uri" | "link" => &[Kind::Url],
                "md5" => &[Kind::Md5],
                "sha1" => &[Kind::Sha1],
                "sha256" => &[Kind::Sha256],
                _ => &[],
            }
        })
        .copied()
        .collect()
}

#[cfg(test)]
#[path = "warninglist_tests.rs"]
mod tests;
