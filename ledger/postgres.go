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
	closeTimeout = time.Second
	// migrationLock is the advisory lock of whoever migrates; the number is "belpoort" in ASCII.
	migrationLock = 0x62656c706f6f7274
)

// Postgres is a Ledger in a PostgreSQL database, 14 or newer, that any number of processes share. Appends of one
// process share transactions; those of several take turns by locking the row of the head until they are committed.
type Postgres struct {
	groups
	clock func() time.Time

	writing, reading   *pgxpool.Pool
	renewing, settling *pgxpool.Pool // for nodes; see renewers
	head               *headMark     // the greatest position known to be committed
	monthsUntil        atomic.Int64

	life    context.Context // ends after the last group is written
	end     context.CancelFunc
	watched chan struct{}
	closed  sync.Once
}

var _ Ledger = (*Postgres)(nil)

// OpenPostgres opens the ledger in the database at a URL (or libpq's keyword form), and creates or migrates its tables.
// It fails with ErrInvalid for what is not a URL, ErrNewerSchema, ErrCorrupt (also for another application's tables),
// ErrNotWritable for a standby or missing rights, and ErrUnavailable for a server that is away, too old, or set up so that
// it loses what it has acknowledged. The errors say what to do, and never show the password.
func OpenPostgres(ctx context.Context, url string, opts Options) (*Postgres, error) {
	config, err := postgresConfig(url)
	if err != nil {
		return nil, err
	}
	p := newPostgres(config, opts)
	if err := p.open(ctx, config, opts); err != nil {
		err = p.refusal(ctx, err)
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
	p.keyed = true
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

func (p *Postgres) open(ctx context.Context, config *pgxpool.Config, opts Options) (err error) {
	if _, _, err := p.bringUpToDate(ctx, config.ConnConfig); err != nil {
		return err
	}
	if err := p.openPools(ctx, config, opts.Readers); err != nil {
		return err
	}
	if err := p.checkRights(ctx); err != nil {
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

func (p *Postgres) openPools(ctx context.Context, config *pgxpool.Config, readers int) (err error) {
	if readers <= 0 {
		readers = 4
	}
	for _, pool := range []struct {
		to          **pgxpool.Pool
		connections int
		queries     []string
	}{
		{&p.writing, postgresWriters, nil},
		{&p.reading, readers, postgresReads},
		{&p.renewing, renewers, []string{postgresAnnounce, postgresChanges}},
		{&p.settling, settlers, []string{postgresAcknowledge, postgresNodes, postgresLapse}},
	} {
		if *pool.to, err = openPostgresPool(ctx, config, pool.connections, pool.queries); err != nil {
			return err
		}
	}
	return nil
}

func (p *Postgres) fullCheck(ctx context.Context) error {
	report, err := p.Verify(ctx)
	if err == nil && !report.OK() {
		err = fmt.Errorf("%w: %s, position %d: %s", ErrCorrupt, p.path, report.Wrong, report.Problem)
	}
	return err
}

// MigratePostgres brings the schema of the ledger in the database at a URL up to date, as OpenPostgres does by itself, and
// says from which version (0: there was none) to which. It fails as OpenPostgres does.
func MigratePostgres(ctx context.Context, url string) (from, to int64, err error) {
	config, err := postgresConfig(url)
	if err != nil {
		return 0, 0, err
	}
	p := newPostgres(config, Options{})
	defer p.end()
	from, to, err = p.bringUpToDate(ctx, config.ConnConfig)
	return from, to, p.refusal(ctx, err)
}

// bringUpToDate migrates under a lock, because several nodes may start at once.
func (p *Postgres) bringUpToDate(ctx context.Context, config *pgx.ConnConfig) (from, to int64, err error) {
	config = config.Copy()
	config.ConnectTimeout = openTimeout
	delete(config.RuntimeParams, "statement_timeout") // the context bounds a migration, which may take long
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer closePostgresConn(conn) // which also gives up the lock
	if err := checkServer(ctx, conn); err != nil {
		return 0, 0, err
	}
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return 0, 0, err
	}
	if from, err = p.schemaOf(ctx, conn); err != nil {
		return 0, 0, err
	}
	behind, err := isBehind(p.path, goose.DialectPostgres, from)
	if err != nil || !behind {
		return from, from, err
	}
	pool := stdlib.OpenDB(*config)
	if err := errors.Join(migrate(ctx, goose.DialectPostgres, pool), pool.Close()); err != nil {
		return from, from, err
	}
	to, err = newestMigration(goose.DialectPostgres)
	return from, to, err
}

// schemaOf is the newest migration of a database, 0 for one that has none.
func (p *Postgres) schemaOf(ctx context.Context, conn *pgx.Conn) (int64, error) {
	var there bool
	err := conn.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&there)
	if err != nil {
		return 0, err
	}
	var have sql.NullInt64
	if there {
		err := conn.QueryRow(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&have)
		if err != nil && postgresKind(err) == ErrCorrupt { // it has no such column
			return 0, p.foreign("goose_db_version")
		}
		if err != nil {
			return 0, err
		}
	}
	return have.Int64, p.checkOwner(ctx, conn, have.Int64)
}

// refusal is fault with what to do about it.
func (p *Postgres) refusal(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return p.fault(ctx, err)
	}
	if what := advice(err); what != "" {
		return fmt.Errorf("%w: %s", p.fault(ctx, err), what)
	}
	return p.fault(ctx, err)
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

// closePools says goodbye to the server, for a while: one that hangs does not answer.
func (p *Postgres) closePools() {
	var closing sync.WaitGroup
	for _, pool := range []*pgxpool.Pool{p.reading, p.writing, p.renewing, p.settling} {
		if pool != nil {
			closing.Go(pool.Close)
		}
	}
	all := make(chan struct{})
	go func() {
		closing.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(closeTimeout):
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
	forgetWarning(tx.Conn())
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	return p.warned(tx.Conn())
}

func forgetWarning(conn *pgx.Conn) { delete(conn.PgConn().CustomData(), warning) }

func (p *Postgres) warned(conn *pgx.Conn) error {
	if text, warned := conn.PgConn().CustomData()[warning]; warned && !mutantDeafToWarnings {
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
