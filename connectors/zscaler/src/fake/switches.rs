//! What is not known about the real service, so that both answers are tested. Item numbers are those of the
//! conformance list that the fake was written from.

use std::collections::BTreeMap;

use sdk::Result;
use sdk::fake::{Switch, Switches};

/// Every switch; the first position is the default.
pub(super) const SWITCHES: &[Switch] = &[
    switch(
        "timestamp-age",
        "item 1: how old the timestamp of a login may be",
        &["5min", "any"],
        "5min",
    ),
    switch(
        "session-timeout",
        "item 3: what the 5 minutes of a session count",
        &["idle", "absolute"],
        "absolute",
    ),
    switch(
        "second-session",
        "item 6: an activation while the same administrator has another session",
        &["fine", "409"],
        "409",
    ),
    switch(
        "token-end",
        "section 12: whether the end of a OneAPI token activates what is staged",
        &["nothing", "activates"],
        "activates",
    ),
    switch(
        "offenders",
        "item 14: whether a refusal names the invalid entries",
        &["named", "unnamed"],
        "unnamed",
    ),
    switch(
        "duplicate-add",
        "item 15: an entry that is there already",
        &["no-op", "409", "400"],
        "409",
    ),
    switch(
        "absent-remove",
        "item 15: an entry that is not there",
        &["no-op", "404", "400"],
        "400",
    ),
    switch(
        "over-quota",
        "item 16: how a full tenant refuses",
        &["403", "400"],
        "400",
    ),
    switch(
        "quota-covers",
        "section 3.3: whether urlQuota counts the denylist",
        &["all", "categories"],
        "categories",
    ),
    switch(
        "activate-answer",
        "item 32: what the call itself answers",
        &["INPROGRESS", "PENDING", "ACTIVE"],
        "PENDING",
    ),
    switch(
        "retry-after",
        "item 38: how a 429 tells the wait",
        &["integer", "zero", "unit", "body", "none"],
        "none",
    ),
    switch(
        "logout-class",
        "section 7.1: whether a logout counts as a DELETE of 1 a minute and 4 an hour",
        &["free", "heavy"],
        "heavy",
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
pub(super) struct Positions(BTreeMap<&'static str, String>);

impl Positions {
    /// Takes the chosen positions; an unknown name or position is an error that lists the known ones.
    pub(super) fn new(chosen: &Switches) -> Result<Self> {
        chosen.check(SWITCHES)?;
        let positions = SWITCHES.iter();
        Ok(Self(
            positions
                .map(|switch| (switch.name, chosen.get(switch)))
                .collect(),
        ))
    }

    /// Whether a switch stands at a position.
    pub(super) fn is(&self, name: &str, position: &str) -> bool {
        self.get(name) == position
    }

    /// The position of a switch.
    pub(super) fn get(&self, name: &str) -> &str {
        let position = self.0.get(name);
        debug_assert!(position.is_some(), "no switch {name}");
        position.map_or("", String::as_str)
    }
}
