//! Which certificates hosts show while something runs.

use std::cell::RefCell;

use super::tls::Shown;

tokio::task_local! {
    static WITNESSED: RefCell<Vec<SeenCertificate>>;
}

/// The certificate that a host showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCertificate {
    /// The host, with its port where it is not the scheme's own.
    pub host: String,
    /// SHA-256 of the leaf certificate, 64 hex digits in lower case: what `tls_fingerprint` takes.
    pub fingerprint: String,
    /// Whether it was accepted: by its chain and name, or by the pin.
    pub trusted: bool,
}

/// Runs something, and tells which certificates the hosts that it asked have shown, each host's last one, in
/// the order of asking. What is asked over plain http shows none, and a task that the work spawns is not
/// watched.
pub async fn witnessing<T>(work: impl Future<Output = T>) -> (T, Vec<SeenCertificate>) {
    let scope = WITNESSED.scope(RefCell::default(), async {
        let done = work.await;
        let seen = WITNESSED.with(RefCell::take);
        (done, seen)
    });
    scope.await
}

/// Notes what a host showed, where somebody watches.
pub(super) fn note(host: &str, shown: Shown) {
    let seen = SeenCertificate {
        host: host.to_owned(),
        fingerprint: shown.fingerprint.to_string(),
        trusted: shown.trusted,
    };
    // Nobody watches most of the time.
    let _ = WITNESSED.try_with(|witnessed| {
        let mut witnessed = witnessed.borrow_mut();
        match witnessed.iter_mut().find(|known| known.host == seen.host) {
            Some(known) => *known = seen,
            None => witnessed.push(seen),
        }
    });
}
