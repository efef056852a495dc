//! What is not known about the real Sekoia, so that both answers are tested.

use sdk::fake::{Switch, Switches};

/// Every switch; the first position is the default.
pub(super) const SWITCHES: &[Switch] = &[
    switch(
        "cursor",
        "what a cursor is: opaque, or the time of the last object, from which or after which the next page begins",
        &["opaque", "from-time", "after-time"],
        "after-time",
    ),
    switch(
        "end",
        "how the end of a collection is told: by an empty page, or by no cursor on the last one",
        &["empty-page", "null-cursor", "no-cursor", "repeated-cursor"],
        "repeated-cursor",
    ),
    switch(
        "page-cap",
        "the longest page, whatever is asked for",
        &["2000", "1000", "100"],
        "100",
    ),
    switch(
        "page-edge",
        "whether a page begins with the last object of the one before",
        &["exact", "repeats"],
        "repeats",
    ),
    switch(
        "page-total",
        "whether a page tells how many objects there are in all",
        &["absent", "given"],
        "given",
    ),
    switch(
        "revoked-default",
        "whether revoked objects come where nothing is said",
        &["left-out", "included"],
        "left-out",
    ),
    switch(
        "expired-bound",
        "whether an object whose end is this very instant is expired",
        &["no", "yes"],
        "yes",
    ),
    switch(
        "revoked-modified",
        "whether a revocation changes the time of modification",
        &["changes", "stays"],
        "stays",
    ),
    switch(
        "text-hashes",
        "how an object with several hashes is written as text",
        &["commas", "first"],
        "first",
    ),
    switch(
        "re-added",
        "what adding a value does that is there",
        &["updates", "second", "ignored"],
        "ignored",
    ),
    switch(
        "re-added-revoked",
        "what adding a value does that was revoked",
        &["new", "ignored"],
        "ignored",
    ),
    switch(
        "bad-value",
        "what one bad value does to the request that it stands in",
        &["refuses-all", "refuses-all-422", "left-out"],
        "refuses-all-422",
    ),
    switch(
        "revoked-again",
        "what revoking a revoked indicator gets",
        &["204", "404"],
        "404",
    ),
    switch(
        "term",
        "whether a search finds a part of a value too",
        &["part", "whole"],
        "part",
    ),
    switch(
        "search-more",
        "whether a page of a search tells that there is more",
        &["given", "absent"],
        "absent",
    ),
    switch(
        "search-cap",
        "the longest page of a search, whatever is asked for",
        &["100", "20"],
        "20",
    ),
    switch(
        "unknown-collection",
        "whether the answer about an unknown collection has its code",
        &["INTHREAT2500", "bare"],
        "bare",
    ),
    switch(
        "short-id",
        "whether an alert is found under its short id",
        &["taken", "refused"],
        "refused",
    ),
    switch(
        "short-id-filter",
        "whether the list of alerts keeps to match[short_id]",
        &["kept", "passed-over"],
        "passed-over",
    ),
    switch(
        "search-status",
        "the status of a search among events that has ended",
        &["2", "3", "10"],
        "3",
    ),
    switch(
        "field-cap",
        "the longest page of a search's fields, whatever is asked for",
        &["1000", "10"],
        "10",
    ),
    switch(
        "community",
        "what /v1/me says of the community",
        &["name", "object", "nothing"],
        "nothing",
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

/// Where every switch stands.
#[derive(Debug)]
pub(super) struct Positions(Switches);

impl Positions {
    pub(super) fn new(switches: Switches) -> Self {
        Self(switches)
    }

    pub(super) fn is(&self, name: &str, position: &str) -> bool {
        self.get(name) == position
    }

    pub(super) fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap_or(usize::MAX)
    }

    fn get(&self, name: &str) -> String {
        SWITCHES
            .iter()
            .find(|switch| switch.name == name)
            .map(|switch| self.0.get(switch))
            .unwrap_or_default()
    }
}
