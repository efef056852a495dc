//! Waiting for a job at the vendor.

use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

/// Shortest time between two questions.
const SHORTEST: Duration = Duration::from_millis(100);

/// Asks at once and then every `interval` until the answer is there, for at most `limit` by the clock. An
/// error of the question ends it; when the time is up the error is [`ErrorKind::Unavailable`], because
/// the job may still end well.
pub async fn poll<T, F>(
    clock: &Clock,
    what: &str,
    interval: Duration,
    limit: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let interval = interval.max(SHORTEST);
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
        clock.sleep(interval.min(limit - waited)).await;
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
                Ok((asked.get() == 4).then_some("done"))
            },
        );
        assert_eq!(answer.await.unwrap(), "done");
        assert_eq!(clock.elapsed(), Duration::from_secs(15));
    }

    #[tokio::test]
    async fn it_gives_up_at_its_limit_and_asks_once_more_then() {
        let clock = clock();
        let asked = Cell::new(0);
        let every = Duration::from_secs(25);
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
        assert_eq!(asked.get(), 4);
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
