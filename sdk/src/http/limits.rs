//! Rate windows, kept before they are hit.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::target::RateWindow;

/// Our clock, for governor.
#[derive(Clone, Debug)]
struct Ticks(Clock);

impl governor::clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter = RateLimiter<u64, HashMapStateStore<u64>, Ticks, NoOpMiddleware<Duration>>;

/// How much longer than documented a call counts: the vendor counts when calls arrive, and one may travel
/// faster than the one before it, which had to connect first.
const SLACK: Duration = Duration::from_millis(50);

/// One window: at most `calls` in any stretch of `per`, wherever it begins. A token bucket of the same
/// numbers would let nearly twice as many through around an idle time. So each call has a seat of its own
/// that stays taken for `per`, and a call is let in when the seat of the call `calls` before it is free;
/// all calls can still come at once.
struct Window {
    rule: RateWindow,
    seats: Limiter,
}

impl Window {
    fn new(rule: RateWindow, clock: &Clock) -> Option<Self> {
        NonZeroU32::new(rule.calls)?;
        if rule.per.is_zero() {
            return None;
        }
        let quota = Quota::with_period(rule.per + SLACK)?;
        Some(Self {
            rule,
            seats: RateLimiter::hashmap_with_clock(quota, Ticks(clock.clone())),
        })
    }

    /// How long the next call has to wait from `now`. Asking takes the seat that is asked for, so it is
    /// asked for once.
    fn wait(&self, next: &mut Next, now: Duration) -> Option<Duration> {
        if next.has_room {
            return None;
        }
        let before = next.number.checked_sub(u64::from(self.rule.calls))?;
        match self.seats.check_key(&self.seat(before)) {
            Ok(()) => {
                next.has_room = true;
                None
            }
            Err(refused) => Some(refused.wait_time_from(now)),
        }
    }

    /// Lets the next call in. Its own seat is free: its last use is two rounds ago.
    fn enter(&self, next: &mut Next) {
        let _ = self.seats.check_key(&self.seat(next.number));
        next.number += 1;
        next.has_room = false;
    }

    fn seat(&self, number: u64) -> u64 {
        number % (2 * u64::from(self.rule.calls))
    }
}

/// The call that a window lets in next.
#[derive(Clone, Copy, Default)]
struct Next {
    number: u64,
    /// Known to have room; true until it is let in, because time only goes on.
    has_room: bool,
}

/// All windows of a client.
pub(super) struct Limits {
    clock: Clock,
    windows: Vec<Window>,
    /// One call is let in at a time: whoever waits for one window must not have its place in another
    /// taken.
    next: Mutex<Vec<Next>>,
}

impl Limits {
    /// Windows of no calls or no time are left out.
    pub(super) fn new(rules: &[RateWindow], clock: &Clock) -> Self {
        let windows: Vec<_> = rules
            .iter()
            .filter_map(|rule| Window::new(*rule, clock))
            .collect();
        Self {
            clock: clock.clone(),
            next: Mutex::new(vec![Next::default(); windows.len()]),
            windows,
        }
    }

    /// Waits until every window that counts `class` has room. An error if that would be after `latest`
    /// ([`Clock::elapsed`]); then nothing was waited for.
    pub(super) async fn enter(&self, class: &str, latest: Duration) -> Result<()> {
        let counted = |window: &Window| window.rule.class == "*" || window.rule.class == class;
        if !self.windows.iter().any(counted) {
            return Ok(());
        }
        let mut next = self.next.lock().await;
        for (window, next) in self.windows.iter().zip(next.iter_mut()) {
            if !counted(window) {
                continue;
            }
            while let Some(wait) = window.wait(next, self.clock.elapsed()) {
                if self.clock.elapsed() + wait > latest {
                    return Err(beyond_deadline(&window.rule, wait));
                }
                self.clock.sleep(wait.max(Duration::from_millis(1))).await;
            }
        }
        for (window, next) in self.windows.iter().zip(next.iter_mut()) {
            if counted(window) {
                window.enter(next);
            }
        }
        Ok(())
    }
}

fn beyond_deadline(rule: &RateWindow, wait: Duration) -> Error {
    Error::new(
        ErrorKind::RateLimited,
        format!(
            "the vendor's limit of {} calls in {} s is used up",
            rule.calls,
            rule.per.as_secs_f64()
        ),
    )
    .with("class", rule.class)
    .with("room in seconds", wait.as_secs())
    .retry(Retry::Later(Some(wait)))
    .hint("run again later; what was done stays done")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(1 << 40);

    fn window(class: &'static str, calls: u32, seconds: u64) -> RateWindow {
        RateWindow {
            class,
            calls,
            per: Duration::from_secs(seconds),
        }
    }

    fn clock() -> Clock {
        Clock::manual(DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    /// The most that any stretch of `seconds` holds.
    fn densest(times: &[Duration], seconds: u64) -> usize {
        let per = Duration::from_secs(seconds);
        times
            .iter()
            .map(|start| {
                times
                    .iter()
                    .filter(|t| *t >= start && **t < *start + per)
                    .count()
            })
            .max()
            .unwrap_or(0)
    }

    #[tokio::test]
    async fn a_burst_is_let_through_and_no_stretch_holds_more() {
        let clock = clock();
        let limits = Limits::new(&[window("write", 30, 60)], &clock);
        let mut times = Vec::new();
        for index in 0..200 {
            // An idle time, after which a token bucket would be full again.
            if index == 45 {
                clock.sleep(Duration::from_secs(50)).await;
            }
            limits.enter("write", FOR_EVER).await.unwrap();
            times.push(clock.elapsed());
        }
        assert_eq!(times[29], Duration::ZERO, "the first thirty at once");
        assert_eq!(times[30], Duration::from_secs(60) + SLACK);
        assert_eq!(densest(&times, 60), 30);
        assert!(
            times[199] <= Duration::from_secs(420),
            "no slower than needed: {:?}",
            times[199]
        );
    }

    #[tokio::test]
    async fn all_windows_of_a_class_and_of_all_classes_are_kept() {
        let clock = clock();
        let limits = Limits::new(
            &[
                window("get", 2, 1),
                window("get", 20, 60),
                window("put", 1, 1),
                window("*", 25, 60),
            ],
            &clock,
        );
        let (mut gets, mut puts) = (Vec::new(), Vec::new());
        for index in 0..100 {
            if index % 4 == 3 {
                limits.enter("put", FOR_EVER).await.unwrap();
                puts.push(clock.elapsed());
            } else {
                limits.enter("get", FOR_EVER).await.unwrap();
                gets.push(clock.elapsed());
            }
        }
        let mut all = [gets.clone(), puts.clone()].concat();
        all.sort();
        assert_eq!(densest(&gets, 1), 2);
        assert!(densest(&gets, 60) <= 20);
        assert_eq!(densest(&puts, 1), 1);
        assert_eq!(densest(&all, 60), 25);
    }

    #[tokio::test]
    async fn an_unknown_class_waits_only_for_the_windows_of_all() {
        let clock = clock();
        let limits = Limits::new(&[window("write", 1, 3600)], &clock);
        for _ in 0..5 {
            limits.enter("read", FOR_EVER).await.unwrap();
        }
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_wait_beyond_the_deadline_is_not_begun() {
        let clock = clock();
        let limits = Limits::new(&[window("*", 1, 3600)], &clock);
        let latest = Duration::from_secs(900);
        limits.enter("write", latest).await.unwrap();
        let error = limits.enter("write", latest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(
            error.retry_status(),
            Retry::Later(Some(Duration::from_secs(3600) + SLACK))
        );
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn waiting_in_parallel_keeps_the_window_too() {
        let clock = clock();
        let limits = Limits::new(&[window("*", 3, 10)], &clock);
        let times = futures::future::join_all((0..12).map(|_| async {
            limits.enter("any", FOR_EVER).await.unwrap();
            clock.elapsed()
        }))
        .await;
        assert_eq!(densest(&times, 10), 3);
        assert_eq!(clock.elapsed(), 3 * (Duration::from_secs(10) + SLACK));
    }
}
