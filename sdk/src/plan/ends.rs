//! The vendor's own end: rounding, shortening, renewal.

use chrono::{DateTime, TimeDelta, Utc};

use crate::indicator::{Kind, Value};
use crate::target::NativeEnd;

/// The native end to write: rounded up to the vendor's unit, shortened to its maximum. `None` writes no
/// end, which only a vendor without a maximum is asked for.
pub fn written_end(
    end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    native: &NativeEnd,
    kind: Kind,
) -> Option<DateTime<Utc>> {
    let longest = native
        .max_for(kind)
        .map(|max| round_down(now + delta(max), native));
    match (end, longest) {
        (None, longest) => longest,
        (Some(end), None) => Some(round_up(end, native)),
        (Some(end), Some(longest)) => Some(round_up(end, native).min(longest)),
    }
}

/// What the vendor's end needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeNeed {
    /// Nothing.
    None,
    /// It is wrong.
    Change,
    /// It was shortened to the vendor's maximum, and is due.
    Renew,
}

/// Whether the end that the vendor holds must be written again. A shortened one is renewed only when less
/// than a third of the maximum remains, ±10 % by value so that not all are due at once.
pub fn native_need(
    held: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    native: &NativeEnd,
    value: &Value,
) -> NativeNeed {
    let right = end.map(|end| round_up(end, native));
    match (held, right, native.max_for(value.kind())) {
        (None, None, None) => NativeNeed::None,
        (None, _, _) | (Some(_), None, None) => NativeNeed::Change,
        (Some(held), Some(right), _) if held == right => NativeNeed::None,
        (Some(held), Some(right), _) if right < held => NativeNeed::Change,
        (Some(_), Some(_), None) => NativeNeed::Change,
        (Some(held), _, Some(max)) => {
            let due = delta(max).num_seconds() / 3;
            let spread = due / 10;
            let due = due - spread + share(value, 2 * spread);
            if (held - now).num_seconds() < due {
                NativeNeed::Renew
            } else {
                NativeNeed::None
            }
        }
    }
}

/// A number from 0 to `range`, fixed per value.
fn share(value: &Value, range: i64) -> i64 {
    let hash = blake3::hash(value.to_string().as_bytes());
    let byte = i64::from(hash.as_bytes()[0]);
    range * byte / 255
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn round_up(end: DateTime<Utc>, native: &NativeEnd) -> DateTime<Utc> {
    let unit = i64::try_from(native.unit.as_secs()).unwrap_or(1).max(1);
    let seconds = end.timestamp() + i64::from(end.timestamp_subsec_nanos() > 0);
    let up = seconds.div_euclid(unit) * unit;
    let up = if up < seconds { up + unit } else { up };
    DateTime::from_timestamp(up, 0).unwrap_or(end)
}

fn round_down(end: DateTime<Utc>, native: &NativeEnd) -> DateTime<Utc> {
    let unit = i64::try_from(native.unit.as_secs()).unwrap_or(1).max(1);
    DateTime::from_timestamp(end.timestamp().div_euclid(unit) * unit, 0).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: u64 = 86_400;
    const SHORT_ADDRESSES: &[(Kind, Duration)] = &[(Kind::Ipv4, Duration::from_secs(2 * DAY))];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn native(max_days: Option<u64>) -> NativeEnd {
        NativeEnd {
            unit: Duration::from_secs(60),
            max: max_days.map(|days| Duration::from_secs(days * DAY)),
            max_by_kind: SHORT_ADDRESSES,
            deletes: Some(true),
        }
    }

    #[test]
    fn rounded_up_and_shortened() {
        let now = at(1_700_000_000);
        let plain = native(None);
        assert_eq!(written_end(None, now, &plain, Kind::Md5), None);
        assert_eq!(
            written_end(Some(at(1_700_000_101)), now, &plain, Kind::Md5),
            Some(at(1_700_000_160))
        );
        let month = native(Some(30));
        let longest = written_end(None, now, &month, Kind::Md5).unwrap();
        assert!(longest <= now + TimeDelta::days(30));
        assert!(longest > now + TimeDelta::days(30) - TimeDelta::minutes(1));
        assert_eq!(
            written_end(Some(now + TimeDelta::days(90)), now, &month, Kind::Md5),
            Some(longest)
        );
    }

    #[test]
    fn a_shortened_end_is_renewed_in_its_last_third_only() {
        let value = Value::Md5([1; 16]);
        let now = at(1_700_000_000);
        let month = native(Some(30));
        let need = |days: i64, end| {
            native_need(Some(now + TimeDelta::days(days)), end, now, &month, &value)
        };
        assert_eq!(need(29, None), NativeNeed::None);
        assert_eq!(need(12, None), NativeNeed::None);
        assert_eq!(need(8, None), NativeNeed::Renew);
        assert_eq!(need(8, Some(now + TimeDelta::days(5))), NativeNeed::Change);
    }

    #[test]
    fn a_kind_can_have_a_longest_end_of_its_own() {
        let now = at(1_700_000_000);
        let month = native(Some(30));
        let end = |kind| written_end(None, now, &month, kind).unwrap();
        assert!(end(Kind::Ipv4) <= now + TimeDelta::days(2));
        assert!(end(Kind::Ipv6) > now + TimeDelta::days(29));
        let address = Value::parse(Kind::Ipv4, "9.9.9.9").unwrap();
        let need = |value: &Value, hours: i64| {
            let held = now + TimeDelta::hours(hours);
            native_need(Some(held), None, now, &month, value)
        };
        assert_eq!(need(&address, 24), NativeNeed::None);
        assert_eq!(need(&address, 8), NativeNeed::Renew);
        assert_eq!(need(&Value::Md5([1; 16]), 24), NativeNeed::Renew);
    }

    #[test]
    fn what_was_written_needs_nothing() {
        let value = Value::Md5([1; 16]);
        let now = at(1_700_000_000);
        for native in [native(None), native(Some(30))] {
            for end in [
                None,
                Some(at(1_700_012_345)),
                Some(now + TimeDelta::days(400)),
            ] {
                let written = written_end(end, now, &native, Kind::Md5);
                assert_eq!(
                    native_need(written, end, now, &native, &value),
                    NativeNeed::None
                );
            }
        }
    }
}
