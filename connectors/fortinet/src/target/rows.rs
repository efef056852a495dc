//! One outcome for every row of a call that went down as a whole.

use sdk::Error;
use sdk::target::Outcome;

/// The same error for every row.
pub(super) fn everywhere(rows: usize, error: Error) -> Vec<Outcome> {
    let unknown = error.is_fate_unknown();
    let copies = (1..rows).map(|_| copy(&error)).collect::<Vec<_>>();
    copies
        .into_iter()
        .chain([error])
        .map(|error| {
            if unknown {
                Outcome::Unknown(error)
            } else {
                Outcome::Failed(error)
            }
        })
        .collect()
}

/// An error for each row that went down with one call; the first cause stays with one of them.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.to_string()).retry(error.retry_status());
    let copy = match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    };
    if error.is_fate_unknown() {
        copy.unknown_fate()
    } else {
        copy
    }
}
