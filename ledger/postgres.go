package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// postgresWriters is one connection for the appender and two for shipments and metadata.
	postgresWriters = 3
	// writeTimeout bounds a transaction that writes, the wait for other nodes' appends included.
	writeTimeout = 20 * time.Second
	// migrationLock is the advisory lock of whoever migrates; the number is "belpoort" in ASCII.
	migrationLock = 0x62656c706f6f7274
)

// Postgres is a Ledger in a PostgreSQL database, 14 or newer, that any number of processes share. Appends of one
// process share transactions; those of several take turns by locking the row of the head until they are committed.
type Postgres struct {
	groups
	clock func() time.Time

	writing, reading *pgxpool.Pool
	head             *headMark // the greatest position known to be committed
	monthsUntil      atomic.Int64

	life    context.Context // ends after the last group is written
	end     context.CancelFunc
	watched chan struct{}
	closed  sync.Once
}

var _ Ledger = (*Postgres)(nil)

// OpenPostgres opens the ledger in the database at a URL (or libpq's keyword form), and creates or migrates its tables.
// It fails with ErrInvalid for what is not a URL, ErrNewerSchema, ErrCorrupt, ErrNotWritable for a standby or missing
// rights, and ErrUnavailable for a server that is away, too old, or set up so that it loses what it has acknowledged.
func OpenPostgres(ctx context.Context, url string, opts Options) (*Postgres, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	p := newPostgres(config, opts)
	if err := p.open(ctx, config, opts); err != nil {
		err = p.fault(ctx, err)
		p.end()
		p.closePools()
		return nil, err
	}
	go p.appendInGroups(p.writeGroup)
	go p.watch(config.ConnConfig)
	return p, nil
}

func newPostgres(config *pgxpool.Config, opts Options) *Postgres {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	c := config.ConnConfig
	p := &Postgres{
		groups:  newGroups(fmt.Sprintf("postgres database %s at %s:%d", c.Database, c.Host, c.Port)),
		clock:   opts.Clock,
		head:    newHeadMark(),
		watched: make(chan struct{}),
	}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

func (p *Postgres) open(ctx context.Context, config *pgxpool.Config, opts Options) (err error) {
	if err := p.bringUpToDate(ctx, config.ConnConfig); err != nil {
		return err
	}
	if p.writing, err = openPostgresPool(ctx, config, postgresWriters, nil); err != nil {
		return err
	}
	readers := opts.Readers
	if readers <= 0 {
		readers = 4
	}
	if p.reading, err = openPostgresPool(ctx, config, readers, postgresReads); err != nil {
		return err
	}
	last, err := p.tip(ctx)
	if err != nil {
		return err
	}
	p.head.move(last.position)
	if opts.FullCheck {
		if err := p.fullCheck(ctx); err != nil {
			return err
		}
	}
	return p.addMonths(ctx)
}

func (p *Postgres) fullCheck(ctx context.Context) error {
	report, err := p.Verify(ctx)
	if err == nil && !report.OK() {
		err = fmt.Errorf("%w: %s, position %d: %s", ErrCorrupt, p.path, report.Wrong, report.Problem)
	}
	return err
}

// bringUpToDate migrates under a lock, because several nodes may start at once.
func (p *Postgres) bringUpToDate(ctx context.Context, config *pgx.ConnConfig) error {
	config = config.Copy()
	delete(config.RuntimeParams, "statement_timeout") // the context bounds a migration, which may take long
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer closePostgresConn(conn) // which also gives up the lock
	if err := checkServer(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	have, err := schemaOf(ctx, conn)
	if err != nil {
		return err
	}
	behind, err := isBehind(p.path, goose.DialectPostgres, have)
	if err != nil || !behind {
		return err
	}
	pool := stdlib.OpenDB(*config)
	return errors.Join(migrate(ctx, goose.DialectPostgres, pool), pool.Close())
}

// schemaOf is the newest migration of a database, 0 for one that has none.
func schemaOf(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&there); err != nil || !there {
		return 0, err
	}
	var have sql.NullInt64
	err := conn.QueryRow(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&have)
	return have.Int64, err
}

// Close finishes the group being written, refuses what still waits, ends the readings under way, and disconnects.
func (p *Postgres) Close() error {
	p.closed.Do(func() {
		close(p.closing)
		<-p.stopped
		p.end()
		<-p.watched
		p.closePools()
	})
	return nil
}

func (p *Postgres) closePools() {
	for _, pool := range []*pgxpool.Pool{p.reading, p.writing} {
		if pool != nil {
			pool.Close()
		}
	}
}

// transaction runs do and commits. When it fails after do has succeeded, nobody knows whether it was committed.
func (p *Postgres) transaction(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	conn, tx, err := p.begin(ctx)
	if lostConnection(err) {
		p.writing.Reset()
		conn, tx, err = p.begin(ctx)
	}
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := do(ctx, tx); err != nil {
		_ = tx.Rollback(ctx) // a connection that cannot is thrown away
		return err
	}
	return p.commit(ctx, tx)
}

func (p *Postgres) begin(ctx context.Context) (*pgxpool.Conn, pgx.Tx, error) {
	conn, err := p.writing.Acquire(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Each statement must see what was committed while it waited for a lock.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		conn.Release()
		return nil, nil, err
	}
	return conn, tx, nil
}

// commit takes no warning for a success: PostgreSQL says so when it has committed here, but was told to stop waiting for
// the standby.
func (p *Postgres) commit(ctx context.Context, tx pgx.Tx) error {
	about := tx.Conn().PgConn().CustomData()
	delete(about, warning)
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	if text, warned := about[warning]; warned && !mutantDeafToWarnings {
		return fmt.Errorf("%w: %s: the outcome is unknown, the server warns at commit: %v", ErrUnavailable, p.path, text)
	}
	return nil
}

// write is transaction for everybody but the appender; Close ends it.
func (p *Postgres) write(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	return p.during(ctx, func(ctx context.Context) error { return p.transaction(ctx, do) })
}

// read lends the readers to do, a second time if a connection turned out to be dead: those of a pool all die with the
// server, and tell only when they are used.
func (p *Postgres) read(ctx context.Context, do func(context.Context) error) error {
	return p.during(ctx, func(ctx context.Context) error {
		err := do(ctx)
		if lostConnection(err) && ctx.Err() == nil {
			p.reading.Reset()
			err = do(ctx)
		}
		return err
	})
}

// during runs do until the caller's context ends or the ledger is closed, and puts its error in the ledger's words.
func (p *Postgres) during(ctx context.Context, do func(context.Context) error) error {
	if err := p.live(ctx); err != nil {
		return err
	}
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.life, cancel)()
	return p.fault(ctx, do(both))
}
