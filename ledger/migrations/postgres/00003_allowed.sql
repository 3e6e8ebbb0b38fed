-- +goose Up

-- ALLOWs are numbered as they reach the ledger: number is NULL for other verdicts, and for what was recorded before.
ALTER TABLE decisions ADD COLUMN call_id text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE decisions ADD COLUMN number bigint;
CREATE INDEX decisions_call ON decisions (call_id, id) WHERE call_id <> '';
CREATE INDEX decisions_number ON decisions (number) WHERE number IS NOT NULL;
CREATE INDEX decisions_allowed ON decisions (time, number) WHERE number IS NOT NULL;
DROP INDEX decisions_campaign;
CREATE INDEX decisions_campaign ON decisions (campaign, id);

-- The last number given. Whoever ships ALLOWs locks this row until the commit, so that numbers become visible in their
-- order. fillfactor keeps its many versions on one page.
CREATE TABLE allowed (
    id     integer PRIMARY KEY CHECK (id = 1),
    number bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO allowed (id, number) VALUES (1, 0);
