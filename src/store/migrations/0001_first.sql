-- Times are milliseconds since 1970 UTC. Values are kind and canonical text.

CREATE TABLE setting (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Target keys are long and stand behind every ledger row: each is written once.
CREATE TABLE target (
    id  INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);

CREATE TABLE ledger (
    target  INTEGER NOT NULL REFERENCES target (id),
    kind    TEXT NOT NULL,
    value   TEXT NOT NULL,
    owner   TEXT NOT NULL,
    until   INTEGER,
    sources TEXT NOT NULL,
    -- settled, adding (was not there), adding-present (was there), removing
    state   TEXT NOT NULL CHECK (state IN ('settled', 'adding', 'adding-present', 'removing')),
    at      INTEGER NOT NULL,
    PRIMARY KEY (target, kind, value, owner)
) WITHOUT ROWID;

CREATE TABLE collection (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    -- When the last complete copy was read; NULL where only first_seen is kept.
    copied_at INTEGER
);

CREATE TABLE copy (
    collection INTEGER NOT NULL REFERENCES collection (id),
    position   INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    exact      INTEGER NOT NULL,
    revoked    INTEGER NOT NULL,
    confidence INTEGER,
    valid_from INTEGER,
    valid_until INTEGER,
    modified   INTEGER,
    origin     TEXT NOT NULL,
    PRIMARY KEY (collection, position)
) WITHOUT ROWID;

CREATE TABLE seen (
    collection INTEGER NOT NULL REFERENCES collection (id),
    kind       TEXT NOT NULL,
    value      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (collection, kind, value)
) WITHOUT ROWID;

CREATE TABLE run (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL,
    target   TEXT NOT NULL,
    owner    TEXT NOT NULL,
    at       INTEGER NOT NULL,
    status   TEXT NOT NULL,
    actor    TEXT NOT NULL,
    held     INTEGER NOT NULL,
    report   TEXT NOT NULL,
    counted_removals    INTEGER NOT NULL,
    counted_revocations INTEGER NOT NULL,
    UNIQUE (id, target, owner)
);
CREATE INDEX run_by_target ON run (target, owner, at);
CREATE INDEX run_by_time ON run (at);

CREATE TABLE held (
    position    INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    target      TEXT NOT NULL,
    owner       TEXT NOT NULL,
    digest      TEXT NOT NULL,
    -- One change a line.
    changes     TEXT NOT NULL,
    why         TEXT NOT NULL,
    at          INTEGER NOT NULL,
    approved_at INTEGER,
    approved_by TEXT,
    UNIQUE (target, owner)
);

-- The newest version of each STIX object that was applied.
CREATE TABLE version (
    scope    TEXT NOT NULL,
    id       TEXT NOT NULL,
    modified INTEGER NOT NULL,
    PRIMARY KEY (scope, id)
) WITHOUT ROWID;

CREATE TABLE lease (
    target TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    until  INTEGER NOT NULL
) WITHOUT ROWID;
