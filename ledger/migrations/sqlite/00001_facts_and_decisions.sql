-- +goose Up

-- One row a fact, in commit order. Times are Unix nanoseconds. payload comes last so that looking up a request key
-- or a hash never walks a long payload's overflow pages; it is NULL once erased.
CREATE TABLE facts (
    position     INTEGER PRIMARY KEY CHECK (position > 0),
    callee       BLOB    NOT NULL CHECK (length(callee) = 16),
    kind         INTEGER NOT NULL,
    record_time  INTEGER NOT NULL,
    request_key  TEXT    NOT NULL,
    reference    TEXT,
    payload_hash BLOB    NOT NULL CHECK (length(payload_hash) = 32),
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    payload      BLOB
) STRICT;

CREATE UNIQUE INDEX facts_request_key ON facts (request_key);
CREATE UNIQUE INDEX facts_reference ON facts (reference) WHERE reference IS NOT NULL;
-- SQLite ends every index entry with the row's integer key, so these two are in order of position.
CREATE INDEX facts_callee ON facts (callee);
CREATE INDEX facts_kind ON facts (kind);

-- The end of the chain, moved in the same transaction as the facts: a cut-off tail shows.
CREATE TABLE head (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
INSERT INTO head (id, position, hash) VALUES (1, 0, zeroblob(32));

-- Outside the chain, so that a number can be erased.
CREATE TABLE callees (
    token         BLOB PRIMARY KEY CHECK (length(token) = 16),
    sealed_number BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE decisions (
    id       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    time     INTEGER NOT NULL,
    callee   BLOB    NOT NULL CHECK (length(callee) = 16),
    campaign TEXT    NOT NULL,
    verdict  INTEGER NOT NULL,
    reason   INTEGER NOT NULL,
    payload  BLOB    NOT NULL
) STRICT;
CREATE INDEX decisions_callee ON decisions (callee, time);
CREATE INDEX decisions_campaign ON decisions (campaign, time);

-- How far each journal's decisions have been shipped.
CREATE TABLE places (
    source TEXT PRIMARY KEY,
    place  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('deployment_id', randomblob(16));
