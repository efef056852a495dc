//! Points in time as feeds write them.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// A text that is not a point in time; says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-01-31T12:00:00Z")]
pub struct TimeError;

/// Reads `YYYY-MM-DDThh:mm:ss`, with `T`, `t` or a space between, any fraction (cut to nanoseconds), and
/// `Z`, an offset or nothing after it: a time without a zone is UTC. Written out because a bundle has
/// three of them per object.
pub fn parse_timestamp(text: &str) -> Result<DateTime<Utc>, TimeError> {
    let (seconds, mut rest) = parse_seconds(text)?;
    let mut nanoseconds = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return Err(TimeError);
        }
        for index in 0..9 {
            let digit = fraction.as_bytes()[..length]
                .get(index)
                .map_or(0, |digit| digit - b'0');
            nanoseconds = nanoseconds * 10 + i64::from(digit);
        }
        rest = &fraction[length..];
    }
    let time = seconds + TimeDelta::nanoseconds(nanoseconds);
    Ok((time - TimeDelta::minutes(offset_minutes(rest.trim_ascii_start())?)).and_utc())
}

/// Reads the part up to the whole second and gives back what follows it.
pub(super) fn parse_seconds(text: &str) -> Result<(NaiveDateTime, &str), TimeError> {
    let bytes = text.as_bytes();
    if bytes.len() < 19
        || !matches!(bytes[10], b'T' | b't' | b' ')
        || bytes[13] != b':'
        || bytes[16] != b':'
        || !text.is_char_boundary(19)
    {
        return Err(TimeError);
    }
    let (hour, minute, second) = (two(bytes, 11)?, two(bytes, 14)?, two(bytes, 17)?);
    // A leap second counts as the last second of its minute: no feed means more by it.
    let time = date(bytes)?
        .and_hms_opt(hour, minute, if second == 60 { 59 } else { second })
        .ok_or(TimeError)?;
    Ok((time, &text[19..]))
}

/// Reads a bare `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Result<NaiveDate, TimeError> {
    if text.len() != 10 {
        return Err(TimeError);
    }
    date(text.as_bytes())
}

fn date(bytes: &[u8]) -> Result<NaiveDate, TimeError> {
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return Err(TimeError);
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let year = i32::try_from(year).map_err(|_| TimeError)?;
    NaiveDate::from_ymd_opt(year, two(bytes, 5)?, two(bytes, 8)?).ok_or(TimeError)
}

fn two(bytes: &[u8], at: usize) -> Result<u32, TimeError> {
    match (bytes[at], bytes[at + 1]) {
        (tens @ b'0'..=b'9', ones @ b'0'..=b'9') => {
            Ok(u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
        }
        _ => Err(TimeError),
    }
}

fn offset_minutes(zone: &str) -> Result<i64, TimeError> {
    let bytes = zone.as_bytes();
    let (sign, digits) = match bytes {
        [] | [b'Z' | b'z'] => return Ok(0),
        _ if zone == "UTC" || zone == "GMT" => return Ok(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(TimeError),
    };
    let (hours, minutes) = match digits.len() {
        2 => (two(digits, 0)?, 0),
        4 => (two(digits, 0)?, two(digits, 2)?),
        5 if digits[2] == b':' => (two(digits, 0)?, two(digits, 3)?),
        _ => return Err(TimeError),
    };
    if hours > 23 || minutes > 59 {
        return Err(TimeError);
    }
    Ok(sign * i64::from(hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_instant() {
        let noon = DateTime::from_timestamp(1_769_860_800, 0).unwrap();
        for text in [
            "2026-01-31T12:00:00Z",
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00",
            "2026-01-31 12:00:00 UTC",
            "2026-01-31T13:30:00+01:30",
            "2026-01-31T04:00:00-0800",
            "2026-01-31T14:00:00+02",
            "2026-01-31T12:00:00.000000000Z",
        ] {
            assert_eq!(parse_timestamp(text), Ok(noon), "{text}");
        }
        for digits in 1..=12 {
            let text = format!("2026-01-31T12:00:00.{}Z", &"123456789123"[..digits]);
            let nanoseconds = parse_timestamp(&text).unwrap().timestamp_subsec_nanos();
            let expected: u32 = format!("{:0<9}", &"123456789"[..digits.min(9)])
                .parse()
                .unwrap();
            assert_eq!(nanoseconds, expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time() {
        for text in [
            "",
            "2026-01-31",
            "2026-02-30T00:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00X",
            "2026-01-31T12:00:00+25:00",
            "31.01.2026 12:00:00",
            "2026-01-31T12:00:0é",
        ] {
            assert_eq!(parse_timestamp(text), Err(TimeError), "{text}");
        }
        assert!(parse_date("2026-01-31").is_ok());
        assert!(parse_date("2026-1-31").is_err());
    }
}
