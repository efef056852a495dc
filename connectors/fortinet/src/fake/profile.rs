//! What differs between firmware versions, and what nobody could tell us about the real device.

use sdk::fake::{Switch, Switches};

/// A firmware version that the fake can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) version: (u32, u32, u32),
    pub(super) build: u32,
}

impl Profile {
    pub(super) const NAMES: [&'static str; 4] = ["7.4.8", "6.4.14", "7.2.5", "7.6.5"];

    pub(super) fn named(name: &str) -> Option<Self> {
        let (version, build) = match name {
            "6.4.14" => ((6, 4, 14), 2093),
            "7.2.5" => ((7, 2, 5), 1517),
            "7.4.8" => ((7, 4, 8), 2795),
            "7.6.5" => ((7, 6, 5), 3651),
            _ => return None,
        };
        Some(Self { version, build })
    }

    pub(super) fn text(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("v{major}.{minor}.{patch}")
    }

    pub(super) fn has_push(&self) -> bool {
        self.version >= (7, 2, 1)
    }

    pub(super) fn allows_empty_groups(&self) -> bool {
        self.version >= (7, 2, 0)
    }

    /// From 7.4.4 the feeds of one type share a quota; before, every feed had its own.
    pub(super) fn shares_quota(&self) -> bool {
        self.version >= (7, 4, 4)
    }

    /// Whether answers tell `accepted_count` and `accepted_limit`.
    pub(super) fn tells_limits(&self) -> bool {
        self.version >= (7, 4, 4)
    }

    pub(super) fn feed_limit(&self, feed_type: &str) -> usize {
        if !self.shares_quota() {
            return 131_072;
        }
        match feed_type {
            "address" if self.version >= (7, 6, 3) => 1_000_000,
            "address" => 300_000,
            "category" => 150_000,
            "domain" => 1_000_000,
            _ => 131_072,
        }
    }
}

/// Every switch.
pub(super) const SWITCHES: &[Switch] = &[
    Switch {
        name: "duplicate-status",
        about: "HTTP status of error -5 when an object exists already (§3)",
        positions: &["500", "424"],
        harshest: "424",
    },
    Switch {
        name: "in-use-status",
        about: "HTTP status of error -23 when an object is referenced (§3)",
        positions: &["500", "424"],
        harshest: "424",
    },
    Switch {
        name: "array-body",
        about: "whether a POST with an array makes several objects (§4.1)",
        positions: &["rejected", "accepted"],
        harshest: "rejected",
    },
    Switch {
        name: "child-duplicate",
        about: "answer to the POST of a child row that is there (§13 item 30)",
        positions: &["exists", "unchanged"],
        harshest: "exists",
    },
    Switch {
        name: "too-long-code",
        about: "error code for a text beyond its length (§13 item 15)",
        positions: &["-1", "-72", "-166", "-651"],
        harshest: "-651",
    },
    Switch {
        name: "empty-group-code",
        about: "error code for emptying a group before 7.2.0 (§4.4)",
        positions: &["-56", "-20"],
        harshest: "-20",
    },
    Switch {
        name: "unknown-filter-operator",
        about: "whether a filter without a known operator is ignored or an error (§13 item 33)",
        positions: &["ignored", "error"],
        harshest: "error",
    },
    Switch {
        name: "unauthorised-body",
        about: "what stands in the body of a 401 (§13 item 2)",
        positions: &["html", "json"],
        harshest: "html",
    },
    Switch {
        name: "query-token",
        about: "whether `access_token` in the query is taken on 7.6 (§2)",
        positions: &["off", "on"],
        harshest: "off",
    },
    Switch {
        name: "push-duplicate-add",
        about: "`add` of an entry that the feed holds (§5.2)",
        positions: &["kept-once", "duplicated", "command-error"],
        harshest: "command-error",
    },
    Switch {
        name: "push-missing-remove",
        about: "`remove` of an entry that the feed does not hold (§5.2)",
        positions: &["ignored", "invalid-entry", "command-error"],
        harshest: "command-error",
    },
    Switch {
        name: "volatile-push",
        about: "whether pushed content is lost when the device starts again (§5.2)",
        positions: &["kept", "lost"],
        harshest: "lost",
    },
    Switch {
        name: "entry-list-paging",
        about: "whether entry-list honours `start` and `count` (§5.3)",
        positions: &["honoured", "ignored"],
        harshest: "ignored",
    },
    Switch {
        name: "overflow-entries",
        about: "whether entry-list shows entries beyond the quota (§5.4)",
        positions: &["accepted", "all"],
        harshest: "all",
    },
    Switch {
        name: "manager-relock",
        about: "the lock of an ADOM asked for by the session that holds it (§7)",
        positions: &["granted", "refused"],
        harshest: "refused",
    },
    Switch {
        name: "manager-unused",
        about: "whether an install brings objects that no policy uses (§7)",
        positions: &["installed", "left-out"],
        harshest: "left-out",
    },
    Switch {
        name: "unknown-name",
        about: "what a manager answers where a name in the address stands for nothing (§7)",
        positions: &["missing", "bad-url"],
        harshest: "bad-url",
    },
    Switch {
        name: "pull-empty",
        about: "a pulled list without entries (§5.3)",
        positions: &["taken", "refused"],
        harshest: "refused",
    },
    Switch {
        name: "pull-failure",
        about: "where a pull that failed is told (§5.3)",
        positions: &["refresh", "entry-list"],
        harshest: "entry-list",
    },
    Switch {
        name: "pull-restart",
        about: "whether a pulled list outlives a restart (§5.3)",
        positions: &["kept", "lost"],
        harshest: "lost",
    },
    Switch {
        name: "ban-again",
        about: "the ban of an address that is banned already (§6)",
        positions: &["replaced", "kept", "duplicated"],
        harshest: "duplicated",
    },
    Switch {
        name: "ban-network",
        about: "a network among the addresses to ban (§13 item 51)",
        positions: &["rejected", "ignored"],
        harshest: "rejected",
    },
    Switch {
        name: "ban-overflow",
        about: "a ban beyond what the device holds (§6)",
        positions: &["dropped", "refused"],
        harshest: "dropped",
    },
    Switch {
        name: "ban-clear-missing",
        about: "the clearing of an address that is not banned (§13 item 53)",
        positions: &["ignored", "refused"],
        harshest: "refused",
    },
    Switch {
        name: "ban-scope",
        about: "whether bans are the device's or a VDOM's (§6)",
        positions: &["device", "vdom"],
        harshest: "device",
    },
];

/// The switches that bear on a mechanism; all of them where none is named.
pub(super) fn switches_of(mechanism: &str) -> Vec<Switch> {
    // `empty-group-code` is about one firmware, on which the suite is run too.
    let address_group = [
        "duplicate-status",
        "in-use-status",
        "array-body",
        "child-duplicate",
        "too-long-code",
        "unknown-filter-operator",
        "unauthorised-body",
        "query-token",
    ];
    let push_feed = [
        "push-duplicate-add",
        "push-missing-remove",
        "volatile-push",
        "entry-list-paging",
        "overflow-entries",
        "unauthorised-body",
        "query-token",
    ];
    let concerns = |name: &str| match mechanism {
        "ban" => name.starts_with("ban-"),
        "manager" => name.starts_with("manager-") || name == "unknown-name",
        "address-group" => address_group.contains(&name),
        "push-feed" => push_feed.contains(&name),
        "feed" => name.starts_with("pull-"),
        _ => true,
    };
    SWITCHES
        .iter()
        .filter(|switch| concerns(switch.name))
        .cloned()
        .collect()
}

/// The position of a switch, by name.
pub(super) fn position(switches: &Switches, name: &str) -> String {
    SWITCHES
        .iter()
        .find(|switch| switch.name == name)
        .map(|switch| switches.get(switch))
        .unwrap_or_default()
}
