//! Entries of others: an analyst's, another tool's, a parent's.

use chrono::{DateTime, TimeDelta, Utc};

use super::store::{Records, Row};

const ANALYST: &str = "analyst@example.com";

/// An entry that an analyst made in the console: hashes are blocked, the rest is detected.
pub(super) fn analyst(kind: &str, value: &str, now: DateTime<Utc>) -> Row {
    let mut row = Row::new(now, ANALYST);
    kind.clone_into(&mut row.kind);
    value.clone_into(&mut row.value);
    row.action = if matches!(kind, "md5" | "sha256") {
        "prevent"
    } else {
        "detect"
    }
    .to_owned();
    "medium".clone_into(&mut row.severity);
    "no_action".clone_into(&mut row.mobile_action);
    "made by hand".clone_into(&mut row.description);
    row.platforms = vec!["windows".to_owned()];
    row.applied_globally = true;
    row
}

impl Records {
    /// Other source, same value under another type, an allow on a hash, and an inherited entry.
    pub(super) fn seed(&mut self, now: DateTime<Utc>) {
        let other_tool = Row {
            source: "Other tool".to_owned(),
            created_by: "ffffffffffffffffffffffffffffffff".to_owned(),
            ..analyst("sha256", &"a1".repeat(32), now)
        };
        let below = Row {
            mobile_action: "detect".to_owned(),
            action: "no_action".to_owned(),
            platforms: vec!["ios".to_owned()],
            ..analyst("all_subdomains", "twice.example.net", now)
        };
        let allowed = Row {
            action: "allow".to_owned(),
            severity: String::new(),
            ..analyst("sha256", &"b2".repeat(32), now)
        };
        let inherited = Row {
            from_parent: true,
            ..analyst("domain", "inherited.example.net", now)
        };
        let rows = [
            other_tool,
            analyst("domain", "twice.example.net", now),
            below,
            allowed,
            inherited,
        ];
        for row in rows {
            self.insert(row, TimeDelta::zero());
        }
    }
}
