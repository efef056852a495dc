//! What is sent again, when, and how often.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;

use super::request::{Response, Safety};

/// Tries for one request, the first included.
pub(super) const TRIES: u32 = 5;

/// Longest wait that a vendor can ask of us between two tries. A vendor that asks for more says that a
/// long window is used up; a header with an instant years ahead is garbage.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(300);

const FIRST_BACK_OFF: Duration = Duration::from_secs(1);

/// Retries for one host: a fifth of the requests and ten more, so that a vendor in trouble does not get
/// several times its usual load.
#[derive(Debug, Default)]
pub(super) struct Budget {
    requests: AtomicU64,
    retries: AtomicU64,
}

impl Budget {
    /// Counts a request.
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry, if there is one left.
    pub(super) fn take(&self) -> bool {
        let allowed = 10 + self.requests.load(Ordering::Relaxed) / 5;
        self.retries
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < allowed).then_some(used + 1)
            })
            .is_ok()
    }
}

/// Whether an answer is not the last word.
pub(super) fn is_repeatable(safety: Safety, response: &Response) -> bool {
    let status = response.status;
    match safety {
        Safety::Read | Safety::Idempotent => {
            status == StatusCode::REQUEST_TIMEOUT
                || status == StatusCode::TOO_MANY_REQUESTS
                || status.as_u16() >= 500
        }
        Safety::Once => {
            status == StatusCode::TOO_MANY_REQUESTS
                || (status == StatusCode::SERVICE_UNAVAILABLE
                    && response.headers.contains_key("retry-after"))
        }
    }
}

/// When the vendor wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// After this time, at most [`LONGEST_WAIT`].
    Wait(Duration),
    /// After longer than we wait.
    TooLong(Duration),
}

impl Told {
    /// What the vendor said in so many words.
    pub(super) fn by_vendor(wait: Duration) -> Self {
        if wait > LONGEST_WAIT {
            Self::TooLong(wait)
        } else {
            Self::Wait(wait)
        }
    }
}

/// Reads `Retry-After` (seconds, also written as `13s` or `1 seconds`, or an HTTP date), and the vendor's
/// own header. Instants are compared with the answer's own `Date`, so that a skewed clock does not
/// matter.
pub(super) fn told(
    response: &Response,
    own_header: Option<&str>,
    now: DateTime<Utc>,
) -> Option<Told> {
    let now = response.date().unwrap_or(now);
    let standard = response.header("retry-after").and_then(|text| {
        let wait =
            seconds(text).or_else(|| until(DateTime::parse_from_rfc2822(text).ok()?, now))?;
        Some(Told::by_vendor(wait))
    });
    standard.or_else(|| {
        let wait = number(response.header(own_header?)?, now)?;
        Some(Told::Wait(wait.min(LONGEST_WAIT)))
    })
}

/// Reads a wait as vendors write it: `13`, `13s`, `1 seconds`. Zero counts as one second: they send it for
/// less than one.
pub fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().ok()?;
    matches!(
        unit.trim_start(),
        "" | "s" | "sec" | "secs" | "second" | "seconds"
    )
    .then(|| Duration::from_secs(number.max(1)))
}

fn until(instant: DateTime<impl chrono::TimeZone>, now: DateTime<Utc>) -> Option<Duration> {
    let wait = instant.with_timezone(&Utc).signed_duration_since(now);
    wait.to_std().ok().filter(|wait| !wait.is_zero())
}

/// Epoch milliseconds, epoch seconds or seconds from now, told apart by size.
fn number(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let number: i64 = text.trim().parse().ok()?;
    match number {
        ..=0 => None,
        1..=1_000_000_000 => Some(Duration::from_secs(number.unsigned_abs())),
        1_000_000_001..=100_000_000_000 => until(DateTime::from_timestamp(number, 0)?, now),
        _ => until(DateTime::from_timestamp_millis(number)?, now),
    }
}

/// The wait after so many tries (from 1): anything from nothing to 1, 2, 4, 8 s, so that many clients
/// that failed together do not come back together.
pub(super) fn back_off(tries: u32) -> Duration {
    let longest = FIRST_BACK_OFF * 2_u32.pow(tries.clamp(1, 6) - 1);
    // The standard library seeds each hasher differently, which is random enough for jitter.
    let random = RandomState::new().hash_one(tries) % 1024;
    longest * u32::try_from(random).unwrap_or(0) / 1024
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    fn response(status: u16, headers: &[(&'static str, &str)]) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_str(value).unwrap(),
                    )
                })
                .collect::<HeaderMap>(),
            body: bytes::Bytes::new(),
        }
    }

    fn told_by(headers: &[(&'static str, &str)]) -> Option<Told> {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        told(&response(429, headers), Some("x-retry"), now)
    }

    #[test]
    fn retry_after_is_read_in_every_form_met() {
        let wait = |seconds| Some(Told::Wait(Duration::from_secs(seconds)));
        assert_eq!(told_by(&[("retry-after", "30")]), wait(30));
        assert_eq!(told_by(&[("retry-after", "13s")]), wait(13));
        assert_eq!(told_by(&[("retry-after", "1 seconds")]), wait(1));
        assert_eq!(told_by(&[("retry-after", "0 seconds")]), wait(1));
        assert_eq!(
            told_by(&[("retry-after", "Tue, 14 Nov 2023 22:14:00 GMT")]),
            wait(40)
        );
        assert_eq!(
            told_by(&[
                ("date", "Tue, 14 Nov 2023 21:00:00 GMT"),
                ("retry-after", "Tue, 14 Nov 2023 21:00:05 GMT")
            ]),
            wait(5),
            "a server whose clock is slow"
        );
        for nothing in [
            "",
            "soon",
            "-5",
            "12 hours",
            "Tue, 14 Nov 2000 22:13:20 GMT",
            DATE,
        ] {
            assert_eq!(told_by(&[("retry-after", nothing)]), None, "{nothing}");
        }
        assert_eq!(
            told_by(&[("retry-after", "2400")]),
            Some(Told::TooLong(Duration::from_secs(2400)))
        );
    }

    #[test]
    fn the_vendors_own_header_is_told_apart_by_size() {
        let wait = |seconds| Some(Told::Wait(Duration::from_secs(seconds)));
        assert_eq!(told_by(&[("x-retry", "7")]), wait(7));
        assert_eq!(told_by(&[("x-retry", "1700000042")]), wait(42));
        assert_eq!(told_by(&[("x-retry", "1700000042000")]), wait(42));
        assert_eq!(told_by(&[("x-retry", "4000000000")]), wait(300), "capped");
        for nothing in ["1600000000", "1600000000000", "0", "-1", "abc", ""] {
            assert_eq!(told_by(&[("x-retry", nothing)]), None, "{nothing}");
        }
        assert_eq!(
            told_by(&[("x-retry", "7"), ("retry-after", "9")]),
            wait(9),
            "the standard header first"
        );
    }

    #[test]
    fn what_may_be_repeated_depends_on_safety() {
        for status in [408, 429, 500, 501, 502, 503, 504, 529] {
            assert!(is_repeatable(Safety::Read, &response(status, &[])));
            assert!(is_repeatable(Safety::Idempotent, &response(status, &[])));
            assert_eq!(
                is_repeatable(Safety::Once, &response(status, &[])),
                status == 429
            );
        }
        let busy = response(503, &[("retry-after", "5")]);
        assert!(is_repeatable(Safety::Once, &busy));
        for status in [200, 302, 400, 401, 403, 404, 409, 422] {
            assert!(!is_repeatable(Safety::Read, &response(status, &[])));
        }
    }

    #[test]
    fn back_off_grows_and_stays_below_its_bound() {
        for tries in 1..TRIES {
            let bound = Duration::from_secs(1 << (tries - 1));
            let waits: Vec<_> = (0..200).map(|_| back_off(tries)).collect();
            assert!(waits.iter().all(|wait| *wait < bound));
            assert!(waits.iter().any(|wait| *wait > bound / 2));
            assert!(waits.iter().any(|wait| *wait < bound / 2));
        }
    }

    #[test]
    fn the_budget_is_ten_and_a_fifth() {
        let budget = Budget::default();
        for _ in 0..50 {
            budget.request();
        }
        assert_eq!((0..100).filter(|_| budget.take()).count(), 20);
    }
}
