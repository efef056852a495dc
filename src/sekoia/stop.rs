//! SIGTERM and SIGINT. A runner waits some ten seconds before it kills, so within nine of the first signal
//! the action ends and the platform is told.

use std::time::Duration;

use sdk::{Clock, Error};
use tokio::sync::watch;

use crate::command::Signals;
use crate::output::tell;

/// How long after the first signal the action may go on.
const ACTION: Duration = Duration::from_secs(5);

/// How long telling the platform may take once a signal came.
const FAREWELL: Duration = Duration::from_secs(4);

/// Counts signals; clones count the same ones.
#[derive(Clone)]
pub(super) struct Stop {
    seen: watch::Receiver<Seen>,
    clock: Clock,
}

/// What came so far.
#[derive(Clone, Copy, Default)]
struct Seen {
    signals: u32,
    /// When the first one came, as [`Clock::elapsed`].
    first: Duration,
}

impl Stop {
    /// Begins to take them.
    pub(super) fn new(clock: &Clock) -> Result<Self, Error> {
        let mut signals = Signals::new()?;
        let (count, seen) = watch::channel(Seen::default());
        let times = clock.clone();
        tokio::spawn(async move {
            loop {
                signals.next().await;
                let now = times.elapsed();
                if count.borrow().signals == 0 {
                    tell("stopping: the action has 5 s to end; once more to end it now");
                }
                count.send_modify(|seen| {
                    if seen.signals == 0 {
                        seen.first = now;
                    }
                    seen.signals += 1;
                });
            }
        });
        Ok(Self {
            seen,
            clock: clock.clone(),
        })
    }

    /// The first signal.
    pub(super) async fn first(&self) {
        self.reached(1).await;
    }

    /// When the action has to end: some seconds after the first signal, or at the second.
    pub(super) async fn action_is_over(&self) {
        self.first().await;
        let passed = self
            .clock
            .elapsed()
            .saturating_sub(self.seen.borrow().first);
        self.later(2, ACTION.saturating_sub(passed)).await;
    }

    /// When telling the platform has to end: some seconds after it began or the first signal came, or at
    /// the third signal.
    pub(super) async fn all_is_over(&self) {
        self.later(3, FAREWELL).await;
    }

    async fn later(&self, signals: u32, wait: Duration) {
        self.first().await;
        tokio::select! {
            () = self.clock.sleep(wait) => {}
            () = self.reached(signals) => {}
        }
    }

    async fn reached(&self, signals: u32) {
        if self
            .seen
            .clone()
            .wait_for(|seen| seen.signals >= signals)
            .await
            .is_err()
        {
            // Nobody counts any more: the process is ending by itself.
            std::future::pending::<()>().await;
        }
    }
}
