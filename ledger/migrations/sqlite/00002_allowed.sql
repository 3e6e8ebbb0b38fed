-- +goose Up

-- ALLOWs are numbered as they reach the ledger: number is NULL for other verdicts, and for what was recorded before.
ALTER TABLE decisions ADD COLUMN call_id TEXT NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN number INTEGER;
CREATE INDEX decisions_call ON decisions (call_id, id) WHERE call_id <> '';
CREATE UNIQUE INDEX decisions_number ON decisions (number) WHERE number IS NOT NULL;
CREATE INDEX decisions_allowed ON decisions (time, number) WHERE number IS NOT NULL;
DROP INDEX decisions_campaign;
CREATE INDEX decisions_campaign ON decisions (campaign, id);

-- The last number given.
CREATE TABLE allowed (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO allowed (id, number) VALUES (1, 0);
