//! What one cell of a list says: a value, a time, or nothing.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

use super::columns::Expected;
use crate::indicator::{Kind, Value, ValueError, refang, split_port};
use crate::stix;

pub(super) fn is_absent(text: &str) -> bool {
    text.is_empty()
        || ["-", "null", "none", "never", "n/a"]
            .iter()
            .any(|word| text.eq_ignore_ascii_case(word))
}

/// A time, a bare date (its start, or its end where it ends something) or seconds since 1970.
pub(super) fn point_in_time(text: &str, end: bool) -> Option<DateTime<Utc>> {
    if let Ok(time) = stix::parse_timestamp(text) {
        return Some(time);
    }
    if let Ok(date) = stix::parse_date(text) {
        let day = date.and_time(NaiveTime::MIN).and_utc();
        return Some(if end { day + TimeDelta::days(1) } else { day });
    }
    // Nine digits and more: a shorter number is a year or a day count.
    if (9..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp(text.parse().ok()?, 0);
    }
    None
}

/// Cuts a comment that a blank precedes; `#` is also part of URLs.
pub(super) fn strip_comment(text: &str) -> &str {
    let at = text
        .match_indices('#')
        .find(|(at, _)| *at == 0 || text[..*at].ends_with([' ', '\t']));
    match at {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

pub(super) fn unquote(text: &str) -> &str {
    for quote in ['"', '\'', '`'] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote))
        {
            return inner.trim();
        }
    }
    text
}

/// One value, refanged and without its port.
pub(super) fn one_value(
    text: &str,
    expected: Expected,
    ports: &mut usize,
) -> Result<Value, ValueError> {
    let plain = refang(text.trim());
    let below = plain.strip_prefix("*.").or_else(|| plain.strip_prefix('.'));
    let (plain, port) = split_port(below.unwrap_or(&plain));
    let value = match expected {
        Expected::Unsupported(kind) => Err(ValueError::Unsupported(kind)),
        Expected::Kind(kind) => Value::parse(kind, plain),
        Expected::Address if plain.contains(':') => Value::parse(Kind::Ipv6, plain),
        Expected::Address => Value::parse(Kind::Ipv4, plain),
        Expected::Hash | Expected::Anything => Value::detect(plain),
    }?;
    *ports += usize::from(port.is_some());
    Ok(value)
}
