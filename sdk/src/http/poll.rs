//! Waiting for a job at the vendor.

use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Time between the first two questions; each further wait is twice as long. Most jobs end at once, and those
/// that do not are not hurried by asking.
const FIRST: Duration = Duration::from_millis(250);

/// Asks at once, soon again, and then ever more seldom, at last every `interval`, until the answer is there, for
/// at most `limit` by the clock. An error of the question ends it; when the time is up the error is
/// [`ErrorKind::Unavailable`], because the job may still end well.
pub async fn poll<T, F>(
    clock: &Clock,
    what: &str,
    interval: Duration,
    limit: Duration,
    ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    poll_from(clock, what, FIRST, interval, limit, ask).await
}

/// The same with a shortest time between two questions, for vendors that are slowed down by asking.
pub async fn poll_from<T, F>(
    clock: &Clock,
    what: &str,
    first: Duration,
    interval: Duration,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let interval = interval.max(first);
    let mut wait = first;
    let started = clock.elapsed();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        let waited = clock.elapsed().saturating_sub(started);
        if waited >= limit {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{what} did not end in {} s", waited.as_secs()),
            )
            .hint("it may still end at the vendor: run again, or look there"));
        }
        clock.sleep(wait.min(limit - waited)).await;
        wait = (2 * wait).min(interval);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use chrono::DateTime;

    use super::*;

    fn clock() -> Clock {
        Clock::manual(DateTime::from_timestamp(1_700_000_000, 0).unwrap())
    }

    #[tokio::test]
    async fn it_asks_until_the_answer_is_there() {
        let clock = clock();
        let asked = Cell::new(0);
        let every = Duration::from_secs(5);
        let answer = poll(
            &clock,
            "the commit",
            every,
            Duration::from_secs(60),
            || async {
                asked.set(asked.get() + 1);
                Ok((asked.get() == 7).then_some("done"))
            },
        );
        assert_eq!(answer.await.unwrap(), "done");
        // A quarter, a half, 1, 2, 4, 5 seconds.
        assert_eq!(clock.elapsed(), Duration::from_millis(12_750));
    }

    #[tokio::test]
    async fn it_gives_up_at_its_limit_and_asks_once_more_then() {
        let clock = clock();
        let asked = Cell::new(0);
        let every = Duration::from_secs(32);
        let answer = poll(
            &clock,
            "the commit",
            every,
            Duration::from_secs(60),
            || async {
                asked.set(asked.get() + 1);
                Ok(None::<()>)
            },
        );
        let error = answer.await.unwrap_err();
        assert_eq!(error.message(), "the commit did not end in 60 s");
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
        // The last time after what was left of the minute.
        assert_eq!(asked.get(), 9);
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let clock = clock();
        let second = Duration::from_secs(1);
        let answer = poll(&clock, "the job", second, 9 * second, || async {
            Err::<Option<()>, _>(Error::new(ErrorKind::NotFound, "no such job"))
        });
        assert_eq!(answer.await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }
}
