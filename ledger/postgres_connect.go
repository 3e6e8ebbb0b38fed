package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// warning is where a connection keeps the last warning that the server sent.
	warning        = "belpoort warning"
	connectTimeout = 5 * time.Second
	oldestPostgres = 140000 // as server_version_num writes it
)

// postgresSettings are what each connection asks of the server: a statement ends, and a node that has died or hangs gives
// up its locks, within a time that others can wait for.
var postgresSettings = map[string]string{
	"statement_timeout":                   fmt.Sprint(writeTimeout.Milliseconds()),
	"idle_in_transaction_session_timeout": "5000",
	"tcp_keepalives_idle":                 "5",
	"tcp_keepalives_interval":             "2",
	"tcp_keepalives_count":                "3",
	"tcp_user_timeout":                    "10000",
	"client_encoding":                     "UTF8",
}

func postgresConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: ledger URL: %w", ErrInvalid, err) // pgx leaves out the password
	}
	c := config.ConnConfig
	for name, value := range postgresSettings {
		c.RuntimeParams[name] = value
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "belpoort"
	}
	if c.ConnectTimeout <= 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	// A standby would answer from the past; of several hosts, the one that takes writes is meant.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warning] = n.Message
		}
	}
	return config, nil
}

// openPostgresPool opens a pool whose connections are checked, and have the queries prepared.
func openPostgresPool(ctx context.Context, config *pgxpool.Config, connections int, queries []string) (*pgxpool.Pool, error) {
	config = config.Copy()
	config.MaxConns = int32(min(connections, 1000))
	config.MinConns = 0
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if err := checkServer(ctx, conn); err != nil {
			return err
		}
		for _, q := range queries {
			if _, err := conn.Prepare(ctx, q, q); err != nil {
				return err
			}
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// checkServer refuses a server that would lose what it has acknowledged, and keeps the session from becoming one when the
// server's configuration is read again.
func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var name, encoding, fsync, level, standbys string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names')`).Scan(&version, &name, &encoding, &fsync, &level, &standbys)
	if err != nil {
		return err
	}
	switch {
	case version < oldestPostgres:
		return fmt.Errorf("%w: PostgreSQL is %s, want 14 or newer", ErrUnavailable, name)
	case encoding != "UTF8":
		return fmt.Errorf("%w: the database's encoding is %s, want UTF8: create it with ENCODING 'UTF8'", ErrUnavailable, encoding)
	case fsync != "on":
		return fmt.Errorf("%w: fsync is %s, want on", ErrUnavailable, fsync)
	case level == "off":
		return fmt.Errorf("%w: synchronous_commit is off, want on (or remote_apply, remote_write)", ErrUnavailable)
	case level == "local" && standbys != "":
		return fmt.Errorf("%w: synchronous_commit is local, which does not wait for the synchronous standbys %q, want on", ErrUnavailable, standbys)
	case level == "local":
		level = "on" // the same as long as there is no standby
	}
	_, err = conn.Exec(ctx, "SELECT set_config('synchronous_commit', $1, false)", level)
	return err
}

func closePostgresConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// fault says in the ledger's words what went wrong; ctx is the caller's. Only the caller's own context shows as one that
// has ended, not those by which the ledger bounds its work.
func (p *Postgres) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if spoken(err) && !isEnded(err) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	if gone := p.live(ctx); gone != nil {
		return gone
	}
	return p.inWords(err)
}

func (p *Postgres) inWords(err error) error {
	if isEnded(err) { // not the caller's, so it must not look like it
		return fmt.Errorf("%w: %s: no answer in time: %s", ErrUnavailable, p.path, err.Error())
	}
	return fmt.Errorf("%w: %s: %w", postgresKind(err), p.path, err)
}

// lostConnection reports an error of a connection rather than of what was asked.
func lostConnection(err error) bool {
	if err == nil || spoken(err) || errors.Is(err, pgx.ErrNoRows) {
		return false
	}
	var refused *pgconn.PgError
	return !errors.As(err, &refused) || refused.Code == "57P01" || refused.Code == "57P02" // admin_shutdown, crash_shutdown
}

func isEnded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// postgresKind goes by SQLSTATE. (https://www.postgresql.org/docs/15/errcodes-appendix.html)
func postgresKind(err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		if strings.Contains(err.Error(), "read only connection") { // of pgconn's ValidateConnect, which has no type
			return ErrNotWritable
		}
		return ErrUnavailable
	}
	switch code := refused.Code; {
	case strings.HasPrefix(code, "23"), // a constraint that the head's lock guards
		strings.HasPrefix(code, "XX"), // data_corrupted, index_corrupted
		code == "42P01", code == "42P07", code == "42703":
		return ErrCorrupt
	case code == "42501", code == "25006": // insufficient_privilege, read_only_sql_transaction
		return ErrNotWritable
	}
	return ErrUnavailable
}
