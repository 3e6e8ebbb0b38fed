package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// warning is where a connection keeps the last warning that the server sent.
	warning = "belpoort warning"
	// readOnlyConnection is in the error of pgconn's ValidateConnect, which has no type.
	readOnlyConnection = "read only connection"
	// openTimeout bounds the connection by which a ledger is opened, connectTimeout every later one, unless the URL's
	// connect_timeout says otherwise: whoever finds all connections taken waits as long as one is being tried.
	openTimeout    = 5 * time.Second
	connectTimeout = time.Second
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

func postgresConfig(text string) (*pgxpool.Config, error) {
	config, err := parsePostgresURL(text)
	if err != nil {
		return nil, err
	}
	c := config.ConnConfig
	for name, value := range postgresSettings {
		c.RuntimeParams[name] = value
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "belpoort"
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.ConnectTimeout = min(c.ConnectTimeout, openTimeout)
	// A standby would answer from the past; of several hosts, the one that takes writes is meant.
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warning] = n.Message
		}
	}
	return config, nil
}

// parsePostgresURL shows nothing of a URL that it cannot read: any part of it may be the password.
func parsePostgresURL(text string) (*pgxpool.Config, error) {
	scheme, _, isURL := strings.Cut(text, "://")
	if text == "" || isURL && scheme != "postgres" && scheme != "postgresql" && !strings.Contains(scheme, "=") {
		return nil, errPostgresURL
	}
	config, err := pgxpool.ParseConfig(text)
	if err == nil {
		return config, nil
	}
	u, unreadable := url.Parse(text)
	if !isURL || unreadable != nil {
		return nil, errPostgresURL
	}
	cause := errors.Unwrap(err)
	secret, _ := u.User.Password()
	if cause == nil || secret != "" && strings.Contains(cause.Error(), secret) || u.Query().Has("password") || u.Query().Has("sslpassword") {
		return nil, errPostgresURL
	}
	return nil, fmt.Errorf("%w: %s", errPostgresURL, cause.Error())
}

var errPostgresURL = fmt.Errorf("%w: the ledger URL cannot be read, want postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full", ErrInvalid)

// openPostgresPool opens a pool whose connections are made when they are needed, checked, and have the queries prepared.
func openPostgresPool(ctx context.Context, config *pgxpool.Config, connections int, queries []string) (*pgxpool.Pool, error) {
	config = config.Copy()
	config.MaxConns = int32(min(connections, 1000))
	config.MinConns = 0
	config.PingTimeout = config.ConnConfig.ConnectTimeout / 4 // before one that was idle is lent
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, config.ConnConfig.ConnectTimeout) // the pool sets no bound
		defer cancel()
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
	return pgxpool.NewWithConfig(ctx, config)
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

// lostConnection reports an error of a connection that was made once, rather than of what was asked. Where none can be
// made, trying again at once only takes longer.
func lostConnection(err error) bool {
	var unreachable *pgconn.ConnectError
	if err == nil || spoken(err) || errors.Is(err, pgx.ErrNoRows) || errors.As(err, &unreachable) {
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
		if strings.Contains(err.Error(), readOnlyConnection) {
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
