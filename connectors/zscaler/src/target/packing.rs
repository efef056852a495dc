//! What goes into one call on a category, and how its outcomes find their rows again.

use std::collections::HashSet;

use sdk::target::Outcome;

use crate::api::Action;

/// Entries of one call: the row of each, and its text.
#[derive(Default)]
pub(super) struct Packing {
    pub(super) urls: Vec<(usize, String)>,
    pub(super) ranges: Vec<(usize, String)>,
}

impl Packing {
    pub(super) fn len(&self) -> usize {
        self.urls.len() + self.ranges.len()
    }

    pub(super) fn urls(&self) -> Vec<&str> {
        self.urls.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// URLs, then ranges: the order of outcomes.
    pub(super) fn entries(&self) -> Vec<&str> {
        self.urls
            .iter()
            .chain(&self.ranges)
            .map(|(_, text)| text.as_str())
            .collect()
    }

    pub(super) fn all(&self, make: impl Fn() -> Outcome) -> Vec<Outcome> {
        self.each(&make, &make)
    }

    pub(super) fn each(
        &self,
        url: impl Fn() -> Outcome,
        range: impl Fn() -> Outcome,
    ) -> Vec<Outcome> {
        let urls = self.urls.iter().map(|_| url());
        urls.chain(self.ranges.iter().map(|_| range())).collect()
    }

    /// The whole list of ranges after this call.
    pub(super) fn ranges_after(&self, action: Action, mut ranges: Vec<String>) -> Vec<String> {
        match action {
            Action::Add => {
                for (_, text) in &self.ranges {
                    if !ranges.contains(text) {
                        ranges.push(text.clone());
                    }
                }
            }
            Action::Remove => {
                let gone: HashSet<&str> =
                    self.ranges.iter().map(|(_, text)| text.as_str()).collect();
                ranges.retain(|text| !gone.contains(text.as_str()));
            }
        }
        ranges
    }

    /// Outcomes in the order of the rows; what was not packed comes again.
    pub(super) fn unpack(&self, done: Vec<Outcome>, rows: usize, left_out: &str) -> Vec<Outcome> {
        let mut by_row: Vec<Option<Outcome>> = std::iter::repeat_with(|| None).take(rows).collect();
        for ((row, _), outcome) in self.urls.iter().chain(&self.ranges).zip(done) {
            by_row[*row] = Some(outcome);
        }
        by_row
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(|| Outcome::NotApplied(left_out.to_owned())))
            .collect()
    }
}
