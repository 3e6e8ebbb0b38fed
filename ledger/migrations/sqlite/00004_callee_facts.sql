-- +goose Up

-- The index by callee. Facts come to it late, many at once and sorted, so that many share a page: a place in it for each
-- fact as it arrives cost more than all the rest of an import. Those after `through` are in the service's memory, and read
-- from the end of the facts when the ledger is opened. (ledger/young.go)
CREATE TABLE callee_facts (
    callee   BLOB    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (callee, position)
) STRICT, WITHOUT ROWID;
INSERT INTO callee_facts (callee, position) SELECT callee, position FROM facts ORDER BY callee, position;

CREATE TABLE indexed (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    through INTEGER NOT NULL
) STRICT;
INSERT INTO indexed (id, through) SELECT 1, coalesce(max(position), 0) FROM facts;

DROP TRIGGER callees_erase;
DROP VIEW callees;
DROP INDEX facts_callee;
