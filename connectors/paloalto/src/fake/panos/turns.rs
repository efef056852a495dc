//! How many calls the device has in hand at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use sdk::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::wire::Reply;

/// Most calls in hand at once.
const MOST: usize = 5;

/// The places for calls, and a device that takes its time over them while it is told to.
pub(super) struct Turns {
    places: Semaphore,
    /// Whether calls in hand wait for their answers.
    held: watch::Sender<bool>,
    /// Most calls that were in hand at once.
    most: AtomicUsize,
    /// Calls that found no place.
    refused: AtomicUsize,
    refusal: Reply,
}

impl Turns {
    /// What a call is answered that finds no place is not documented: `answer` chooses.
    pub(super) fn new(answer: &str) -> Result<Self> {
        let refusal = match answer {
            "http-503" => Reply::status(503, "Service Unavailable"),
            "http-429" => Reply::status(429, "Too Many Requests"),
            "code-14" => Reply::error(14, "too many concurrent API calls"),
            other => {
                return Err(Error::input(format!(
                    "setting \"sixth_call\" of the fake: {other:?} is none of http-503, http-429, code-14"
                )));
            }
        };
        Ok(Self {
            places: Semaphore::new(MOST),
            held: watch::Sender::new(false),
            most: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            refusal,
        })
    }

    /// A place, when the device gets to the call; a refusal at once where there is none.
    pub(super) async fn take(&self) -> std::result::Result<SemaphorePermit<'_>, Reply> {
        let Ok(place) = self.places.try_acquire() else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(self.refusal.clone());
        };
        let in_hand = MOST - self.places.available_permits();
        self.most.fetch_max(in_hand, Ordering::Relaxed);
        // It can only fail without a sender, which is here.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        Ok(place)
    }

    /// Holds back every answer from now on, or lets them go.
    pub(super) fn hold(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Most calls in hand at once, and how many were refused.
    pub(super) fn told(&self) -> (usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.most), read(&self.refused))
    }
}
