package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/sqlite/*.sql migrations/postgres/*.sql
var migrationFiles embed.FS

// Options of OpenSQLite and OpenPostgres; the zero value is the default.
type Options struct {
	// Clock gives record times; default time.Now. When it goes back, record times stand still until it catches up.
	Clock func() time.Time
	// Readers is the number of reading connections; default 4.
	Readers int
	// FullCheck runs SQLite's own check of the whole file when opening, or Verify on PostgreSQL; either takes seconds
	// per million facts.
	FullCheck bool

	generation int // facts of one, for tests
}

// SQLite is a Ledger in a folder of its own. One process holds it at a time.
type SQLite struct {
	groups
	clock func() time.Time
	lock  *os.File

	writing, reading *sql.DB
	writer           writer
	readers          chan reader
	tip              tip // owned by whoever holds turn
	head             *headMark
	young            young
	bulkAt           atomic.Int64   // when bulk appends were written last, in Unix nanoseconds
	quietly          sync.WaitGroup // fileQuietly

	turn chan struct{} // holds one value while somebody writes
	// waiters counts those who write, or wait to, and are not the appender.
	waiters atomic.Int64
	broken  atomic.Pointer[error]
	closed  sync.Once
	fate    error // of Close
}

var _ Ledger = (*SQLite)(nil)

// OpenSQLite opens the ledger in a folder, or creates it: folder 0700, files 0600. It fails with ErrInUse,
// ErrNewerSchema, ErrCorrupt, ErrNotWritable or ErrUnavailable; then the ledger is as it was before.
func OpenSQLite(ctx context.Context, dir string, opts Options) (*SQLite, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s := newSQLite(filepath.Join(dir, databaseName), lock, opts)
	if err := s.open(ctx, opts); err != nil {
		return nil, errors.Join(fault(s.path, err), s.release(len(s.readers)))
	}
	go s.appendInGroups(s.writeGroup)
	s.quietly.Add(1)
	go s.fileQuietly()
	return s, nil
}

func newSQLite(path string, lock *os.File, opts Options) *SQLite {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Readers <= 0 {
		opts.Readers = 4
	}
	return &SQLite{
		groups:  newGroups(path),
		clock:   opts.Clock,
		lock:    lock,
		readers: make(chan reader, opts.Readers),
		head:    newHeadMark(),
		turn:    make(chan struct{}, 1),
		young:   young{size: cmp.Or(opts.generation, generationFacts), quiet: cmp.Or(opts.generation, quietFacts)},
	}
}

func (s *SQLite) open(ctx context.Context, opts Options) error {
	exists, err := inspectFile(s.path)
	if err != nil {
		return err
	}
	if !exists {
		if err := create(ctx, s.path); err != nil {
			return err
		}
	}
	if s.writing, err = openPool(s.path, writerPragmas(), 1); err != nil {
		return err
	}
	if err := s.bringUpToDate(ctx); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.check(ctx, opts.FullCheck); err != nil {
		return err
	}
	return s.finishErasure()
}

func (s *SQLite) connect(ctx context.Context) (err error) {
	if s.writer, err = newWriter(ctx, s.writing); err != nil {
		return err
	}
	if s.reading, err = openPool(s.path, readerPragmas(), cap(s.readers)); err != nil {
		return err
	}
	for range cap(s.readers) {
		r, err := newReader(ctx, s.reading, s.path)
		if err != nil {
			return err
		}
		s.readers <- r
	}
	return nil
}

// check reads the end of the chain and recomputes its hash, which costs the same however large the file is; with
// full, it has SQLite check the file's structure too.
func (s *SQLite) check(ctx context.Context, full bool) (err error) {
	r := <-s.readers
	defer func() { s.readers <- r }()
	if full {
		if err := r.checkFile(ctx, "quick_check"); err != nil {
			return err
		}
	}
	if s.tip, err = r.tip(ctx); err != nil {
		return err
	}
	s.head.move(s.tip.position)
	return r.readYoung(ctx, &s.young, s.tip.position)
}

// create makes a new database under another name first, so that a file of the right name is always a whole ledger.
func create(ctx context.Context, path string) error {
	unfinished := path + ".new"
	if err := removeUnfinished(unfinished); err != nil {
		return err
	}
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	pool, err := openPool(unfinished, writerPragmas(), 1)
	if err != nil {
		return err
	}
	if err := errors.Join(migrate(ctx, goose.DialectSQLite3, pool), pool.Close()); err != nil {
		return err
	}
	if err := foldedBack(unfinished); err != nil && !mutantLedgerUnfolded {
		return err
	}
	return putInPlace(unfinished, path)
}

func (s *SQLite) bringUpToDate(ctx context.Context) error {
	var have sql.NullInt64
	if err := s.writing.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version").Scan(&have); err != nil {
		if resultCode(err) == 1 { // SQLITE_ERROR: the table is not there
			return fmt.Errorf("%w: %s: not a ledger: %w", ErrCorrupt, s.path, err)
		}
		return err
	}
	behind, err := isBehind(s.path, goose.DialectSQLite3, have.Int64)
	if err != nil || !behind {
		return err
	}
	return migrate(ctx, goose.DialectSQLite3, s.writing)
}

// isBehind compares a ledger's schema with the newest one known, and refuses a newer one.
func isBehind(path string, dialect goose.Dialect, have int64) (bool, error) {
	known, err := newestMigration(dialect)
	if err == nil && have > known {
		err = fmt.Errorf("%w: %s: the ledger has schema %d, this binary knows up to %d: use a newer belpoort",
			ErrNewerSchema, path, have, known)
	}
	return have < known, err
}

func migrations(dialect goose.Dialect) (fs.FS, error) {
	folder := "migrations/sqlite"
	if dialect == goose.DialectPostgres {
		folder = "migrations/postgres"
	}
	return fs.Sub(migrationFiles, folder)
}

func newestMigration(dialect goose.Dialect) (int64, error) {
	files, err := migrations(dialect)
	if err != nil {
		return 0, err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(names[len(names)-1])
}

func migrate(ctx context.Context, dialect goose.Dialect, pool *sql.DB) error {
	files, err := migrations(dialect)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, pool, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// Close finishes the group being written, refuses what still waits, and gives the folder free.
func (s *SQLite) Close() error {
	s.closed.Do(func() {
		close(s.closing)
		<-s.stopped
		s.quietly.Wait()
		s.turn <- struct{}{}
		s.fate = s.release(cap(s.readers))
	})
	return s.fate
}

// release waits for the readers, so many of them, and closes everything. Closing the last connection folds the
// write-ahead log back into the database.
func (s *SQLite) release(readers int) error {
	var failed []error
	for range readers {
		r := <-s.readers
		failed = append(failed, r.close())
	}
	if s.writer.session != nil {
		failed = append(failed, s.writer.close())
	}
	for _, pool := range []*sql.DB{s.reading, s.writing} {
		if pool != nil {
			failed = append(failed, pool.Close())
		}
	}
	failed = append(failed, s.lock.Close())
	return fault(s.path, errors.Join(failed...))
}
