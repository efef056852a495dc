//! What is not known about the real Falcon, so that both answers are tested. Section numbers are those of
//! the vendor file that the fake was written from.

use std::collections::BTreeMap;

use sdk::Result;
use sdk::fake::{Switch, Switches};

/// Every switch; the first position is the default.
pub(super) const SWITCHES: &[Switch] = &[
    switch(
        "bad-token-limit",
        "item 3: what the limit on bad tokens hits",
        &["bad-only", "every-call"],
        "every-call",
    ),
    switch(
        "region-redirect",
        "item 4: whether a 308 has a body",
        &["with-body", "bare"],
        "bare",
    ),
    switch(
        "wrong-region-call",
        "item 4: what a call in the wrong region gets",
        &["401", "308"],
        "308",
    ),
    switch(
        "row-refusal",
        "item 14: what a 400 with row reports leaves behind",
        &["nothing-stored", "good-rows-stored"],
        "good-rows-stored",
    ),
    switch(
        "duplicates",
        "item 15: a duplicate under ignore_warnings",
        &["overwrite", "skip", "second"],
        "second",
    ),
    switch(
        "batch-cap",
        "item 17: most rows per write and the refusal",
        &["2000", "200", "200-html-413"],
        "200-html-413",
    ),
    switch(
        "long-line",
        "item 18: how an overlong request line is answered",
        &["414", "400"],
        "400",
    ),
    switch(
        "page-limit",
        "item 19: largest limit and the refusal of more",
        &["2000", "500", "100-html"],
        "100-html",
    ),
    switch(
        "offset-window",
        "item 20: status beyond 10,000",
        &["500", "400"],
        "500",
    ),
    switch(
        "offset-and-after",
        "item 21: both given",
        &["refused", "after-wins"],
        "refused",
    ),
    switch(
        "cursor",
        "item 22: whether a cursor is bound to filter and sort",
        &["bound", "free"],
        "bound",
    ),
    switch(
        "hash-case",
        "item 24: how hashes are stored",
        &["lower", "as-sent"],
        "as-sent",
    ),
    switch(
        "total",
        "item 26: whether totals count deleted records",
        &["live", "with-deleted"],
        "with-deleted",
    ),
    switch(
        "delete-filter-and-ids",
        "item 27: both given",
        &["filter-wins", "refused"],
        "filter-wins",
    ),
    switch(
        "past-expiration",
        "item 30: what a past end on create is",
        &["error", "warning"],
        "error",
    ),
    switch(
        "null-in-patch",
        "section 15: explicit null",
        &["untouched", "clears", "refused"],
        "refused",
    ),
    switch(
        "empty-bulk-update",
        "item 31: bulk_update {} beside indicators",
        &["ignored", "refused"],
        "refused",
    ),
    switch(
        "surplus-severity",
        "section 5.3: severity where no action needs it",
        &["kept", "dropped", "refused"],
        "refused",
    ),
    switch(
        "retry-after",
        "item 35: the header of a 429",
        &["absent", "seconds", "milliseconds", "past", "garbage"],
        "garbage",
    ),
    switch(
        "search-lag",
        "item 37: seconds until a search sees a write",
        &["0", "1", "5"],
        "5",
    ),
    switch(
        "unknown-id",
        "item 38: an id that is not there",
        &["absent", "404", "404-rest-done"],
        "404",
    ),
    switch(
        "trace-id",
        "item 40: whether errors carry one",
        &["always", "not-on-errors"],
        "not-on-errors",
    ),
    switch(
        "body-limit",
        "item 41: largest body in bytes",
        &["10000000", "1000000"],
        "1000000",
    ),
    switch(
        "empty-resources",
        "item 8: an empty list",
        &["list", "null"],
        "null",
    ),
    switch(
        "expiry-flip",
        "section 15: when the record of an ended entry changes",
        &["at-once", "late"],
        "late",
    ),
    switch(
        "deleted-capacity",
        "section 15: whether deleted records use up capacity",
        &["free", "counted"],
        "counted",
    ),
    switch(
        "inherited",
        "section 2.3: what a search without from_parent shows",
        &["both", "own"],
        "both",
    ),
    switch(
        "inherited-write",
        "section 2.3: a child's write on a parent's entry",
        &["refused", "allowed"],
        "refused",
    ),
];

const fn switch(
    name: &'static str,
    about: &'static str,
    positions: &'static [&'static str],
    harshest: &'static str,
) -> Switch {
    Switch {
        name,
        about,
        positions,
        harshest,
    }
}

/// The position of every switch.
#[derive(Debug)]
pub(super) struct Positions(BTreeMap<&'static str, &'static str>);

impl Positions {
    /// Takes the chosen positions; an unknown name or position is an error that lists the known ones.
    pub(super) fn new(chosen: &Switches) -> Result<Self> {
        chosen.check(SWITCHES)?;
        let position = |switch: &Switch| {
            let chosen = chosen.get(switch);
            switch
                .positions
                .iter()
                .copied()
                .find(|known| *known == chosen)
                .unwrap_or_default()
        };
        Ok(Self(
            SWITCHES
                .iter()
                .map(|switch| (switch.name, position(switch)))
                .collect(),
        ))
    }

    /// Whether a switch stands at a position.
    pub(super) fn is(&self, name: &str, position: &str) -> bool {
        self.get(name) == position
    }

    /// The position of a switch.
    pub(super) fn get(&self, name: &str) -> &'static str {
        let position = self.0.get(name).copied();
        debug_assert!(position.is_some(), "no switch {name}");
        position.unwrap_or_default()
    }

    /// The number that a switch's position starts with.
    pub(super) fn number(&self, name: &str) -> usize {
        let digits = self.get(name).split('-').next().unwrap_or_default();
        digits.parse().unwrap_or(0)
    }
}
