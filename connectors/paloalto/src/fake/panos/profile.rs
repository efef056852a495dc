//! What is not known about the device, and what differs by model.

use sdk::fake::Switch;

pub(super) const DUPLICATE: Switch = Switch {
    name: "duplicate",
    about: "what registering an existing tag does to the rest of the message (§2.4)",
    positions: &["apply-rest", "reject-all"],
    harshest: "reject-all",
};

pub(super) const UNREGISTER: Switch = Switch {
    name: "unregister",
    about: "whether an entry's tags behind a missing one are unregistered (§2.4)",
    positions: &["stop-at-first-missing", "skip-missing"],
    harshest: "stop-at-first-missing",
};

pub(super) const REREGISTER: Switch = Switch {
    name: "reregister",
    about: "what registering an existing tag again does to its timeout, and what is answered (§2.5)",
    positions: &["error-and-refresh", "error-and-keep", "ok-and-refresh"],
    harshest: "error-and-keep",
};

pub(super) const OVERFLOW: Switch = Switch {
    name: "overflow",
    about: "what is answered when the table is full (§2.7)",
    positions: &["failed-to-register", "silent"],
    harshest: "silent",
};

pub(super) const LONG_TIMEOUT: Switch = Switch {
    name: "long-timeout",
    about: "what happens to a timeout beyond 30 days (§2.3)",
    positions: &["refuse", "clamp"],
    harshest: "refuse",
};

pub(super) const REBOOT_TIMER: Switch = Switch {
    name: "reboot-timer",
    about: "what a reboot does to the remaining time of a persistent tag (§2.3)",
    positions: &["kept", "for-ever"],
    harshest: "for-ever",
};

pub(super) const KEYGEN: Switch = Switch {
    name: "keygen",
    about: "whether generating a key ends the administrator's earlier one (§1.2)",
    positions: &["stable", "rotating"],
    harshest: "rotating",
};

pub(super) const MISSING_RIGHT: Switch = Switch {
    name: "missing-right",
    about: "the answer to a call for which the role has no right (§1.2)",
    positions: &["code-16", "http-403"],
    harshest: "http-403",
};

pub(super) const PASSIVE: Switch = Switch {
    name: "passive-user-id",
    about: "what the passive device of a pair answers to User-ID messages (§2.8)",
    positions: &["code-15", "accepts"],
    harshest: "code-15",
};

pub(super) const BUSY: Switch = Switch {
    name: "busy",
    about: "how often a commit is refused because another one is in progress (§3.8)",
    positions: &["never", "twice"],
    harshest: "twice",
};

pub(super) const PROGRESS: Switch = Switch {
    name: "progress",
    about: "what a finished job shows as its progress (§3.7)",
    positions: &["number", "time"],
    harshest: "time",
};

pub(super) const DRAFT: Switch = Switch {
    name: "draft",
    about: "whether another administrator has uncommitted changes (§3.6)",
    positions: &["none", "pending"],
    harshest: "pending",
};

pub(super) const EMPTY_LIST: Switch = Switch {
    name: "empty-list",
    about: "what an empty list does at a refresh (§4.6)",
    positions: &["keep-old", "clear"],
    harshest: "keep-old",
};

pub(super) const COMMENT_ONLY: Switch = Switch {
    name: "comment-only",
    about: "whether a list of comments alone is empty (§4.6)",
    positions: &["empty", "read"],
    harshest: "empty",
};

pub(super) const REFRESH_ANSWER: Switch = Switch {
    name: "refresh-answer",
    about: "whether the answer to a refresh names its job, and whether that is listed at once (§4.7)",
    positions: &["job", "text", "text-and-listed-late"],
    harshest: "text-and-listed-late",
};

pub(super) const LIST_REFUSED: Switch = Switch {
    name: "list-refused",
    about: "what a list does whose server refuses the device's credentials, or shows a wrong certificate (§4.6)",
    positions: &["stop", "keep-old"],
    harshest: "stop",
};

/// All of them.
pub(in crate::fake) const SWITCHES: &[Switch] = &[
    DUPLICATE,
    UNREGISTER,
    REREGISTER,
    OVERFLOW,
    LONG_TIMEOUT,
    REBOOT_TIMER,
    KEYGEN,
    MISSING_RIGHT,
    PASSIVE,
    BUSY,
    PROGRESS,
    DRAFT,
    EMPTY_LIST,
    COMMENT_ONLY,
    REFRESH_ANSWER,
    LIST_REFUSED,
];

/// Those that can make a difference to a mechanism.
pub(in crate::fake) fn of(mechanism: &str) -> Vec<Switch> {
    match mechanism {
        "tags" => vec![
            DUPLICATE,
            UNREGISTER,
            REREGISTER,
            OVERFLOW,
            LONG_TIMEOUT,
            REBOOT_TIMER,
            KEYGEN,
            MISSING_RIGHT,
            PASSIVE,
        ],
        "objects" => vec![BUSY, PROGRESS, DRAFT],
        "edl" => vec![EMPTY_LIST, COMMENT_ONLY, REFRESH_ANSWER, LIST_REFUSED, BUSY],
        _ => SWITCHES.to_vec(),
    }
}

/// Most registered addresses of a model.
pub(super) fn capacity(model: &str) -> usize {
    match model {
        "VM-50" | "PA-220" | "PA-410" | "PA-820" => 1_000,
        "PA-450" | "PA-460" | "PA-5450" => 100_000,
        "VM-300" | "PA-3440" | "PA-3430" => 200_000,
        // Not documented: whatever it is, it is not told.
        "PA-440" => 1_200,
        _ => 500_000,
    }
}
