//! What is not known about the real console, so that both answers are tested. Numbers are those of the
//! vendor file's conformance list, or its sections.

use std::collections::BTreeMap;

use sdk::Result;
use sdk::fake::{Switch, Switches};

/// Every switch; the first position is the default.
pub(super) const SWITCHES: &[Switch] = &[
    switch(
        "past-end",
        "item 11: a validUntil that has passed",
        &["refused", "stored-inactive"],
        "refused",
    ),
    switch(
        "post-again",
        "item 15: what posting a known indicator again does",
        &["in-place", "second-row", "new-uuid"],
        "second-row",
    ),
    switch(
        "upload-date",
        "section 2.4: whether an indicator that is posted again, and keeps its row, counts as uploaded anew",
        &["anew", "kept"],
        "kept",
    ),
    switch(
        "batch-limit",
        "item 16: most indicators per call",
        &["500", "100"],
        "100",
    ),
    switch(
        "ended-indicators",
        "section 2.4: whether ended indicators are still listed",
        &["listed", "dropped"],
        "listed",
    ),
    switch(
        "spelling",
        "section 2.3: whether values are shown as they were sent",
        &["as-sent", "rewritten"],
        "rewritten",
    ),
    switch(
        "page-length",
        "item 19: whether pages before the last are full",
        &["full", "short"],
        "short",
    ),
    switch(
        "throttle",
        "item 35: how a call too many is answered",
        &["retry-after", "no-header", "html"],
        "html",
    ),
    switch(
        "blocklist-rate",
        "section 4: whether the blocklist has a rate limit, which is not published",
        &["none", "60-a-minute"],
        "60-a-minute",
    ),
    switch(
        "unscoped-list",
        "section 3.3: what listing the blocklist without any scope shows; the documents want one, section 6 has a \
         client that names none",
        &["all-visible", "refused"],
        "refused",
    ),
];

/// The switches that can make a difference to a mechanism.
pub(super) fn concerning(mechanism: &str) -> Vec<Switch> {
    let concerns = |switch: &&Switch| match (switch.name, mechanism) {
        ("page-length" | "throttle", _) | (_, "") => true,
        // No target lists without a scope: only an action does.
        ("unscoped-list", _) => false,
        (name, "blocklist") => name == "blocklist-rate",
        (name, _) => name != "blocklist-rate",
    };
    SWITCHES.iter().filter(concerns).cloned().collect()
}

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
pub(super) struct Positions(BTreeMap<&'static str, String>);

impl Positions {
    /// Takes the chosen positions; an unknown name or position is an error that lists the known ones.
    pub(super) fn new(chosen: &Switches) -> Result<Self> {
        chosen.check(SWITCHES)?;
        let position = |switch: &Switch| (switch.name, chosen.get(switch));
        Ok(Self(SWITCHES.iter().map(position).collect()))
    }

    /// Whether a switch stands at a position.
    pub(super) fn is(&self, name: &str, position: &str) -> bool {
        self.get(name) == position
    }

    /// The position of a switch.
    pub(super) fn get(&self, name: &str) -> &str {
        let position = self.0.get(name);
        debug_assert!(position.is_some(), "no switch {name}");
        position.map(String::as_str).unwrap_or_default()
    }
}
