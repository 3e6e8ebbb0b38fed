-- +goose Up

-- The processes that may answer from what they hold in memory. announced changes with every announcement to a number that
-- was never given before, not even to a row that lapsed in between, so that who has seen it stand still may remove the
-- row by it. fillfactor keeps the many versions of a row on one page.
CREATE TABLE nodes (
    id        bytea  PRIMARY KEY CHECK (octet_length(id) = 16),
    name      text   COLLATE "C" NOT NULL,
    applied   bigint NOT NULL,
    announced bigint NOT NULL
) WITH (fillfactor = 10);
CREATE SEQUENCE announcements OWNED BY nodes.announced;
