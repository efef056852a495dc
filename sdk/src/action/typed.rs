//! What people and playbooks type: values, times, and words beside them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::collection::{Reading, Skipped, SkippedReason};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Origin, Value, ValueError, refang, split_port};

/// The longest validity, in days: a century. What is meant for longer has no end.
const LONGEST_VALIDITY: u32 = 36_500;

/// A validity in days.
pub(super) fn validity(days: u32) -> Result<TimeDelta> {
    match days {
        // Everything would have ended already.
        0 => Err(Error::input("valid_for is at least 1 day")),
        1..=LONGEST_VALIDITY => Ok(TimeDelta::days(i64::from(days))),
        _ => Err(
            Error::input(format!("valid_for is at most {LONGEST_VALIDITY} days"))
                .hint("leave it out for no end"),
        ),
    }
}

/// Reads `valid_until`; the error says how a time is written.
pub(super) fn valid_until<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let time = DateTime::parse_from_rfc3339(text.trim()).map_err(|_| {
        serde::de::Error::custom(format!(
            "valid_until {text:?} is no time; write it as 2027-01-31T12:00:00Z"
        ))
    })?;
    Ok(Some(time.to_utc()))
}

/// Values given as arguments. One that is none is left out by name; if all are, that is an error.
pub(super) fn values(texts: &[String], argument: &str) -> Result<Reading> {
    let mut reading = Reading {
        name: argument.to_owned(),
        named: true,
        ..Reading::default()
    };
    for (index, text) in texts.iter().enumerate() {
        let plain = refang(text.trim());
        let (plain, exact) = match plain.strip_prefix('=') {
            Some(name) => (name, true),
            None => (plain.as_ref(), false),
        };
        let (without_port, _) = split_port(plain);
        match Value::detect(without_port) {
            Ok(value) => reading.indicators.push(Indicator {
                exact,
                ..Indicator::bare(value, Origin::Argument)
            }),
            Err(error) => reading.skipped.push(Skipped {
                place: format!("item {}", index + 1),
                text: text.chars().take(200).collect(),
                reason: match error {
                    ValueError::Unsupported(_) => SkippedReason::Unsupported,
                    _ => SkippedReason::Unreadable,
                },
                message: error.to_string().into(),
            }),
        }
    }
    if reading.indicators.is_empty() {
        let first = reading
            .skipped
            .first
            .first()
            .map_or_else(String::new, |skipped| {
                format!("; {:?}: {}", skipped.text, skipped.message)
            });
        return Err(Error::input(format!(
            "{argument} holds nothing that can be blocked{first}"
        )));
    }
    Ok(reading)
}

/// Values that an argument or setting keeps off: one that cannot be read is an error, because leaving it
/// out would block.
pub fn kept_off(texts: &[String], argument: &str) -> Result<Option<Reading>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let reading = values(texts, argument)?;
    match reading.skipped.first.first() {
        Some(skipped) => Err(Error::input(format!(
            "{argument}: {:?}: {}",
            skipped.text, skipped.message
        ))),
        None => Ok(Some(reading)),
    }
}

/// `8.8.8.8/8` is an address with a prefix length that somebody slipped with, or sixteen million addresses: a
/// person who blocks says which.
pub(super) fn refuse_host_bits(texts: &[String]) -> Result<()> {
    for text in texts {
        let plain = refang(text.trim());
        let Ok(network) = plain.parse::<ipnet::IpNet>() else {
            continue;
        };
        if network.addr() != network.network() {
            return Err(Error::input(format!(
                "{:?} is an address inside of the network {}",
                text.trim(),
                network.trunc()
            ))
            .hint(format!(
                "give {} for the address alone, or {} for the whole network",
                network.addr(),
                network.trunc()
            )));
        }
    }
    Ok(())
}

/// A person's words on one line, without anything that could be read as a mark.
pub(super) fn plain_words(text: &str) -> String {
    text.split_whitespace()
        .filter(|word| !word.starts_with("cordon:") && !word.starts_with("cordon-was:"))
        .collect::<Vec<_>>()
        .join(" ")
}
