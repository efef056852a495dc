//! Scripted faults.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happens instead of, or around, the normal answer.
#[derive(Clone, Debug)]
pub enum FaultAction {
    /// This answer; the request is not applied.
    Answer {
        /// Status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// The connection breaks before the request is applied.
    ResetBefore,
    /// The request is applied, then the connection breaks before the answer is whole.
    ResetAfter,
    /// The request is applied, and its answer replaced.
    AnswerAfter {
        /// Status.
        status: u16,
        /// Body.
        body: String,
    },
    /// The fake's clock moves by so much before the request is handled.
    Slow(Duration),
}

/// One fault: which request, how often.
#[derive(Clone)]
pub struct Fault {
    /// HTTP method; `None` any.
    pub method: Option<&'static str>,
    /// Part of `path?query` as sent, still encoded; empty any.
    pub path: &'static str,
    /// Matching requests to let pass first.
    pub after: usize,
    /// How many then get it; `usize::MAX` for ever.
    pub times: usize,
    /// What happens.
    pub action: FaultAction,
    /// Run when it strikes, before the action: another actor's hand, or a kill.
    pub also: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Fault {
    /// A fault that strikes the next request, whatever it is. Narrow it with the other methods.
    pub fn new(action: FaultAction) -> Self {
        Self {
            method: None,
            path: "",
            after: 0,
            times: 1,
            action,
            also: None,
        }
    }

    /// A plain-text answer with this status.
    pub fn status(status: u16) -> Self {
        Self::answer(status, "fault")
    }

    /// An answer with this status and body.
    pub fn answer(status: u16, body: &str) -> Self {
        Self::new(FaultAction::Answer {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        })
    }

    /// Only requests of this method whose `path?query` contains `path`.
    #[must_use]
    pub fn on(mut self, method: &'static str, path: &'static str) -> Self {
        self.method = Some(method);
        self.path = path;
        self
    }

    /// Lets so many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: usize) -> Self {
        self.after = requests;
        self
    }

    /// Strikes so many matching requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Runs this too when it strikes.
    #[must_use]
    pub fn also(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.also = Some(Arc::new(hook));
        self
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("after", &self.after)
            .field("times", &self.times)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// The faults of a server, shared with the test. The first that matches and is due strikes; the ones
/// behind it do not count that request.
#[derive(Clone, Default)]
pub struct Faults {
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl Faults {
    /// Adds a fault.
    pub fn push(&self, fault: Fault) {
        self.lock().push(fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many faults still wait for their request, those without end included.
    pub fn waiting(&self) -> usize {
        self.lock().iter().filter(|fault| fault.times > 0).count()
    }

    /// What strikes this request, after running its hook.
    pub(super) fn strike(&self, method: &str, target: &str) -> Option<FaultAction> {
        let (action, also) = {
            let mut faults = self.lock();
            let mut struck = None;
            for fault in faults.iter_mut() {
                let matches = fault.method.is_none_or(|wanted| wanted == method)
                    && target.contains(fault.path);
                if !matches || fault.times == 0 {
                    continue;
                }
                if fault.after > 0 {
                    fault.after -= 1;
                    continue;
                }
                if fault.times != usize::MAX {
                    fault.times -= 1;
                }
                struck = Some((fault.action.clone(), fault.also.clone()));
                break;
            }
            struck
        }?;
        // Outside the lock: a hook may add or clear faults.
        if let Some(also) = also {
            also();
        }
        Some(action)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
