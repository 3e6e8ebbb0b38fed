-- +goose Up

-- A random place in each of three more trees for every imported fact cost more than the fact itself. A fact that is known
-- by its content has no request key ('') and is found by its callee; a sealed number stands with the fact that brought it.
DROP INDEX facts_request_key;
CREATE UNIQUE INDEX facts_request_key ON facts (request_key) WHERE request_key <> '';

-- Outside the chain, as before, so that a number can be erased.
ALTER TABLE facts ADD COLUMN sealed_number BLOB;
UPDATE facts SET sealed_number = (SELECT c.sealed_number FROM callees c WHERE c.token = facts.callee)
WHERE position IN (SELECT min(position) FROM facts GROUP BY callee);
DROP TABLE callees;

-- The numbers by callee, as PostgreSQL has them in a table. The first one counts.
CREATE VIEW callees (token, sealed_number, position) AS
SELECT callee, sealed_number, position FROM facts WHERE sealed_number IS NOT NULL;

-- +goose StatementBegin
CREATE TRIGGER callees_erase INSTEAD OF DELETE ON callees BEGIN
    UPDATE facts SET sealed_number = NULL WHERE position = OLD.position;
END;
-- +goose StatementEnd
