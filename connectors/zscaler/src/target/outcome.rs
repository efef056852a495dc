//! From what became of a call to one outcome for each of its entries.

use sdk::target::Outcome;

use crate::api::{self, Verdict};

/// The outcome for the entries that a refusal was about; the others were not touched.
pub(super) fn pick(
    entries: &[&str],
    words: &str,
    outcome: &Outcome,
    concerns: impl Fn(&str) -> bool,
) -> Vec<Outcome> {
    entries
        .iter()
        .map(|text| match outcome {
            Outcome::Exists if concerns(text) => Outcome::Exists,
            Outcome::Done if concerns(text) => Outcome::Done,
            _ => Outcome::NotApplied(words.to_owned()),
        })
        .collect()
}

/// One outcome for each entry of a call.
pub(super) fn outcomes(verdict: Verdict, entries: &[&str]) -> Vec<Outcome> {
    let all = |make: &dyn Fn() -> Outcome| entries.iter().map(|_| make()).collect();
    match verdict {
        Verdict::Done => all(&|| Outcome::Done),
        Verdict::Invalid(message) => {
            let named: Vec<bool> = entries
                .iter()
                .map(|text| api::names(&message, text))
                .collect();
            named
                .into_iter()
                .map(|named| {
                    if named {
                        Outcome::Rejected(format!("not an entry that Zscaler takes ({message})"))
                    } else {
                        Outcome::NotApplied(message.clone())
                    }
                })
                .collect()
        }
        Verdict::Refused(words)
        | Verdict::Duplicate(words)
        | Verdict::Missing(words)
        | Verdict::NotSubscribed(words) => all(&|| Outcome::NotApplied(words.clone())),
        Verdict::Failed(error) => share(error, entries.len(), Outcome::Failed),
        Verdict::Unknown(error) => share(error, entries.len(), Outcome::Unknown),
    }
}

/// The same error for every row.
pub(super) fn share(
    error: sdk::Error,
    rows: usize,
    make: fn(sdk::Error) -> Outcome,
) -> Vec<Outcome> {
    let copy = || {
        let mut copy = sdk::Error::new(error.kind(), error.to_string()).retry(error.retry_status());
        if let Some(hint) = error.hint_text() {
            copy = copy.hint(hint);
        }
        if error.is_fate_unknown() {
            copy = copy.unknown_fate();
        }
        make(copy)
    };
    (0..rows).map(|_| copy()).collect()
}
