//! What people and playbooks type: values, and words beside them.

use crate::collection::{Reading, Skipped, SkippedReason};
use crate::error::{Error, Result};
use crate::indicator::{Indicator, Origin, Value, ValueError, refang, split_port};

/// Values given as arguments. One that is none is left out by name; if all are, that is an error.
pub(super) fn values(texts: &[String], argument: &str) -> Result<Reading> {
    let mut reading = Reading {
        name: argument.to_owned(),
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
                place: format!("{argument}[{index}]"),
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
