-- +goose Up

-- One row a fact, in commit order. Times are Unix nanoseconds, because timestamptz keeps microseconds only and the
-- chain's hashes cover nanoseconds. payload is NULL once erased. Keys are compared byte by byte.
CREATE TABLE facts (
    position     bigint PRIMARY KEY CHECK (position > 0),
    callee       bytea  NOT NULL CHECK (octet_length(callee) = 16),
    kind         integer NOT NULL,
    record_time  bigint NOT NULL,
    request_key  text   COLLATE "C" NOT NULL,
    reference    text   COLLATE "C",
    payload_hash bytea  NOT NULL CHECK (octet_length(payload_hash) = 32),
    hash         bytea  NOT NULL CHECK (octet_length(hash) = 32),
    payload      bytea
);

CREATE UNIQUE INDEX facts_request_key ON facts (request_key);
CREATE UNIQUE INDEX facts_reference ON facts (reference) WHERE reference IS NOT NULL;
CREATE INDEX facts_callee ON facts (callee, position);
CREATE INDEX facts_kind ON facts (kind, position);

-- The end of the chain. Whoever appends locks this row until the commit, which makes positions follow the order of
-- commits; a sequence would not, and would leave gaps. fillfactor keeps its many versions on one page.
CREATE TABLE head (
    id          integer PRIMARY KEY CHECK (id = 1),
    position    bigint NOT NULL,
    record_time bigint NOT NULL,
    hash        bytea  NOT NULL CHECK (octet_length(hash) = 32)
) WITH (fillfactor = 10);
INSERT INTO head (id, position, record_time, hash) VALUES (1, 0, 0, decode(repeat('00', 32), 'hex'));

-- Outside the chain, so that a number can be erased.
CREATE TABLE callees (
    token         bytea PRIMARY KEY CHECK (octet_length(token) = 16),
    sealed_number bytea NOT NULL
);

-- A decision's id begins with its time (48 bits of milliseconds), so ranges of ids are ranges of time, and the id alone
-- stays unique over all partitions. The service adds the months as they come; what fits none is in decisions_other.
CREATE TABLE decisions (
    id       bytea   NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    time     bigint  NOT NULL,
    callee   bytea   NOT NULL CHECK (octet_length(callee) = 16),
    campaign text    COLLATE "C" NOT NULL,
    verdict  integer NOT NULL,
    reason   integer NOT NULL,
    payload  bytea   NOT NULL
) PARTITION BY RANGE (id);
CREATE TABLE decisions_other PARTITION OF decisions DEFAULT;
CREATE INDEX decisions_callee ON decisions (callee, time, id);
CREATE INDEX decisions_campaign ON decisions (campaign, time);

-- How far each journal's decisions have been shipped.
CREATE TABLE places (
    source text   COLLATE "C" PRIMARY KEY,
    place  bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE meta (
    key   text  COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
INSERT INTO meta (key, value) VALUES ('deployment_id', uuid_send(gen_random_uuid()));
