//! The one home of "what time is it" and of waiting. Everything below the outermost layer gets the
//! time as an argument; limiters and back-off wait through this clock, so that tests never sleep and
//! `--clock` moves them too.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// A clock that can be the system's, the system's moved by an offset, or one that only moves when told.
/// Clones share it.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
    /// How far it is ahead of the others that share its inner one.
    ahead: TimeDelta,
}

#[derive(Debug)]
struct Inner {
    /// `None`: runs with the system's clock. `Some`: stands still at this instant plus the offset.
    frozen: Option<DateTime<Utc>>,
    /// The monotonic origin, so that [`Clock::elapsed`] never goes backwards with the wall clock.
    origin: std::time::Instant,
    /// Nanoseconds added to both.
    offset: AtomicI64,
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::build(None, TimeDelta::zero())
    }

    /// The system's clock moved by `offset`; it keeps running.
    pub fn shifted(offset: TimeDelta) -> Self {
        Self::build(None, offset)
    }

    /// A clock that stands at `start` and moves only by [`Clock::advance`] and [`Clock::sleep`], which
    /// returns at once.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::build(Some(start), TimeDelta::zero())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one home of reading the clock"
    )]
    fn build(frozen: Option<DateTime<Utc>>, offset: TimeDelta) -> Self {
        Self {
            inner: Arc::new(Inner {
                frozen,
                origin: std::time::Instant::now(),
                offset: AtomicI64::new(offset.num_nanoseconds().unwrap_or(i64::MAX)),
            }),
            ahead: TimeDelta::zero(),
        }
    }

    /// Another machine's clock, that far ahead of this one: both run, or are moved, together.
    #[must_use]
    pub fn ahead(&self, by: TimeDelta) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            ahead: self.ahead + by,
        }
    }

    /// The current instant.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one home of reading the clock"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.frozen.unwrap_or_else(Utc::now) + self.offset() + self.ahead
    }

    /// Time since the clock was made; never goes backwards unless moved backwards by hand.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one home of reading the clock"
    )]
    pub fn elapsed(&self) -> Duration {
        let running = match self.inner.frozen {
            Some(_) => Duration::ZERO,
            None => self.inner.origin.elapsed(),
        };
        let offset = u64::try_from(self.inner.offset.load(Ordering::SeqCst)).unwrap_or(0);
        running + Duration::from_nanos(offset)
    }

    /// How far it was moved from the system's clock, or from its start.
    pub fn offset(&self) -> TimeDelta {
        TimeDelta::nanoseconds(self.inner.offset.load(Ordering::SeqCst))
    }

    /// Moves it. Bounded by about 292 years.
    pub fn advance(&self, by: TimeDelta) {
        self.inner
            .offset
            .fetch_add(by.num_nanoseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// Whether it moves only when told.
    pub fn is_manual(&self) -> bool {
        self.inner.frozen.is_some()
    }

    /// Waits. On a manual clock the time passes at once.
    #[expect(clippy::disallowed_methods, reason = "the one home of waiting")]
    pub async fn sleep(&self, duration: Duration) {
        if self.is_manual() {
            self.advance(TimeDelta::from_std(duration).unwrap_or(TimeDelta::zero()));
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(duration).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn manual_clock_moves_only_when_told() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        assert_eq!(clock.now(), start);
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), start + TimeDelta::seconds(90));
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_moves_along() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        let other = clock.ahead(TimeDelta::minutes(-3));
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(other.now(), start - TimeDelta::seconds(90));
        assert_eq!(other.elapsed(), clock.elapsed());
    }
}
