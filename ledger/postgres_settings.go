package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const oldestPostgres = 140000 // as server_version_num writes it

// postgresTables are the names that another application's tables must not have.
var postgresTables = []string{"facts", "head", "callees", "decisions", "places", "meta", "nodes", "allowed"}

const (
	postgresReadSettings = `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names')`
	postgresFoundTables = "SELECT coalesce(string_agg(name, ', ' ORDER BY name), '') FROM unnest($1::text[]) name WHERE to_regclass(name) IS NOT NULL"
	// The columns that the first schema had and all later ones keep.
	postgresIsLedger = `SELECT 4 = (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('head') AND attname IN ('id', 'position', 'record_time', 'hash'))
		AND 5 = (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('facts') AND attname IN ('position', 'callee', 'kind', 'request_key', 'payload_hash'))`
	postgresMissingRights = `SELECT coalesce(string_agg(want, ', '), '') FROM (
		SELECT privilege || ' on ' || name AS want FROM (VALUES
			('facts', 'SELECT'), ('facts', 'INSERT'), ('facts', 'UPDATE'), ('head', 'SELECT'), ('head', 'UPDATE'), ('callees', 'SELECT'), ('callees', 'INSERT'), ('callees', 'DELETE'),
			('decisions', 'SELECT'), ('decisions', 'INSERT'), ('places', 'SELECT'), ('places', 'INSERT'), ('places', 'UPDATE'),
			('meta', 'SELECT'), ('meta', 'INSERT'), ('meta', 'UPDATE'), ('allowed', 'SELECT'), ('allowed', 'UPDATE'),
			('nodes', 'SELECT'), ('nodes', 'INSERT'), ('nodes', 'UPDATE'), ('nodes', 'DELETE')) rights (name, privilege)
		WHERE NOT has_table_privilege(name, privilege)
		UNION ALL SELECT 'USAGE on announcements' WHERE NOT has_sequence_privilege('announcements', 'USAGE')
		UNION ALL SELECT 'TEMPORARY on the database' WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
		UNION ALL SELECT 'ownership of decisions' FROM pg_class WHERE oid = 'decisions'::regclass AND NOT pg_has_role(relowner, 'USAGE')
		UNION ALL SELECT 'CREATE on schema ' || nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = 'decisions'::regclass AND NOT has_schema_privilege(n.oid, 'CREATE')) missing`
)

// serverSettings are those that decide whether the server keeps what it has acknowledged.
type serverSettings struct {
	version                                int
	name, encoding, fsync, level, standbys string
}

// checkServer refuses a server that would lose what it has acknowledged, and keeps the session from becoming one when the
// server's configuration is read again.
func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var s serverSettings
	err := conn.QueryRow(ctx, postgresReadSettings).Scan(&s.version, &s.name, &s.encoding, &s.fsync, &s.level, &s.standbys)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	if s.level == "local" {
		s.level = "on" // the same as long as there is no standby
	}
	_, err = conn.Exec(ctx, "SELECT set_config('synchronous_commit', $1, false)", s.level)
	return err
}

func (s *serverSettings) check() error {
	switch {
	case s.version < oldestPostgres:
		return fmt.Errorf("%w: PostgreSQL is %s, want 14 or newer: upgrade the server", ErrUnavailable, s.name)
	case s.encoding != "UTF8":
		return fmt.Errorf("%w: the database's encoding is %s, want UTF8: create it with ENCODING 'UTF8' TEMPLATE template0", ErrUnavailable, s.encoding)
	case s.fsync != "on":
		return fmt.Errorf("%w: fsync is %s, so that a crash loses facts: set fsync = on in postgresql.conf", ErrUnavailable, s.fsync)
	case s.level == "off":
		return fmt.Errorf("%w: synchronous_commit is off, so that a crash loses facts: set it to on (or remote_apply, remote_write) for server, database and role", ErrUnavailable)
	case s.level == "local" && s.standbys != "":
		return fmt.Errorf("%w: synchronous_commit is local, which does not wait for the synchronous standbys %q: set it to on", ErrUnavailable, s.standbys)
	}
	return nil
}

// checkOwner refuses a database whose tables are another application's.
func (p *Postgres) checkOwner(ctx context.Context, conn *pgx.Conn, schema int64) error {
	var ours bool
	if err := conn.QueryRow(ctx, postgresIsLedger).Scan(&ours); err != nil || ours {
		return err
	}
	var tables string
	if err := conn.QueryRow(ctx, postgresFoundTables, postgresTables).Scan(&tables); err != nil {
		return err
	}
	if schema > 0 {
		tables = strings.TrimPrefix(tables+", goose_db_version", ", ")
	}
	if tables == "" {
		return nil
	}
	return p.foreign(tables)
}

func (p *Postgres) foreign(tables string) error {
	return fmt.Errorf("%w: %s: not a ledger: the database holds another application's tables (%s): name an empty database in the ledger URL",
		ErrCorrupt, p.path, tables)
}

// checkRights says at the start what would go wrong later.
func (p *Postgres) checkRights(ctx context.Context) error {
	var missing string
	err := p.read(ctx, func(ctx context.Context) error {
		return p.reading.QueryRow(ctx, postgresMissingRights).Scan(&missing)
	})
	if err == nil && missing != "" {
		err = fmt.Errorf("%w: %s: the role lacks %s: %s", ErrNotWritable, p.path, missing, adviceOwner)
	}
	return err
}

const (
	adviceOwner   = "use the role that owns the database and its tables (ALTER DATABASE ... OWNER TO, ALTER TABLE ... OWNER TO)"
	adviceStandby = "the server is a standby or read only: name the primary in the ledger URL, or all hosts (host1:5432,host2:5432)"
	adviceReach   = "start the server, or correct host and port in the ledger URL"
)

// advice says what to do about an error at the opening of a ledger, "" where the error says it itself.
func advice(err error) string {
	var refused *pgconn.PgError
	var unreachable *pgconn.ConnectError
	switch {
	case errors.As(err, &refused):
		return adviceOn(refused.Code)
	case strings.Contains(err.Error(), readOnlyConnection):
		return adviceStandby
	case errors.As(err, &unreachable):
		return adviceReach
	}
	return ""
}

// adviceOn goes by SQLSTATE, as postgresKind does.
func adviceOn(code string) string {
	switch code {
	case "3D000": // invalid_catalog_name
		return "create the database (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0), or correct its name in the ledger URL"
	case "28P01", "28000": // invalid_password, invalid_authorization_specification
		return "correct user and password in the ledger URL, or let the user in by pg_hba.conf"
	case "42501": // insufficient_privilege
		return adviceOwner
	case "25006": // read_only_sql_transaction
		return adviceStandby
	case "53300": // too_many_connections
		return "raise max_connections: a node uses up to 14"
	case "57P03": // cannot_connect_now
		return "wait until the server has started"
	}
	return ""
}
