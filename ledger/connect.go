package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	writerCache = 32 << 10 // KiB
	readerCache = 16 << 10 // KiB, which holds the inner pages of ten million facts
	busyTimeout = 5000     // ms; only another program's look at the file can make a connection wait
	walKept     = 64 << 20 // bytes the write-ahead log keeps after a large import
)

// writerPragmas and readerPragmas are what each connection is told; checkedConnector makes sure that it obeyed.
func writerPragmas() url.Values {
	return url.Values{
		"_defensive": {"1"},
		"_txlock":    {"immediate"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout), "journal_mode(WAL)", "synchronous(FULL)",
			"secure_delete(ON)",  // what is erased is overwritten
			"temp_store(MEMORY)", // what undoes one statement need not go to disk: after a crash the log undoes it all
			// With them, every INSERT of many rows keeps a journal of its own, which costs more than the rows. They say what Go's
			// types say already; opening and Verify check what is in the file.
			"ignore_check_constraints(ON)",
			fmt.Sprintf("cache_size(-%d)", writerCache), fmt.Sprintf("journal_size_limit(%d)", walKept),
		},
	}
}

func readerPragmas() url.Values {
	return url.Values{
		"_defensive": {"1"},
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout), "journal_mode(WAL)", "synchronous(FULL)",
			fmt.Sprintf("cache_size(-%d)", readerCache), "query_only(1)",
		},
	}
}

// openPool opens connections to a file that must exist.
func openPool(path string, pragmas url.Values, connections int) (*sql.DB, error) {
	path, err := filepath.Abs(path) // the first part of a relative one would be read as a host
	if err != nil {
		return nil, err
	}
	pragmas.Set("mode", "rw")
	name := url.URL{Scheme: "file", Path: path, RawQuery: pragmas.Encode()}
	base, err := sqlite.NewConnector(name.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotWritable, err)
	}
	pool := sql.OpenDB(checkedConnector{base})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// checkedConnector refuses a connection that would lose acknowledged facts in a power cut.
type checkedConnector struct{ driver.Connector }

func (c checkedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil || mutantUncheckedPragmas {
		return conn, err
	}
	if err := checkDurable(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	if mutantLedgerNoFsync {
		_, err = pragma(ctx, conn, "synchronous=OFF")
	}
	return conn, err
}

func checkDurable(ctx context.Context, conn driver.Conn) error {
	mode, err := pragma(ctx, conn, "journal_mode")
	if err != nil {
		return err
	}
	level, err := pragma(ctx, conn, "synchronous")
	if err != nil {
		return err
	}
	const full = int64(2)
	if set, _ := level.(int64); mode != "wal" || set < full {
		return fmt.Errorf("%w: journal_mode is %v and synchronous %v, want wal and at least %d", ErrUnavailable, mode, level, full)
	}
	return nil
}

func pragma(ctx context.Context, conn driver.Conn, name string) (driver.Value, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, "PRAGMA "+name, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	value := make([]driver.Value, 1)
	if err := rows.Next(value); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return value[0], nil
}

// coded is what SQLite's errors have in common: an extended result code. (https://www.sqlite.org/rescode.html)
type coded interface {
	error
	Code() int
}

func resultCode(err error) int {
	var c coded
	if errors.As(err, &c) {
		return c.Code()
	}
	return 0
}

// fault says in the ledger's words what went wrong in SQLite. Errors that are in its words already pass unchanged.
func fault(path string, err error) error {
	if err == nil || spoken(err) {
		return err
	}
	kind := ErrUnavailable
	switch resultCode(err) & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		kind = ErrCorrupt
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		kind = ErrNotWritable
	}
	return fmt.Errorf("%w: %s: %w", kind, path, err)
}

func spoken(err error) bool {
	for _, word := range []error{ErrNotFound, ErrInvalid, ErrRequestReused, ErrReferenceTaken, ErrMoved, ErrPlace, ErrNewerSchema,
		ErrCorrupt, ErrNotWritable, ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, word) {
			return true
		}
	}
	return false
}

// losesTrust reports an I/O error after which it is unknown what is on disk: a failed fsync may drop the pages it
// was asked to keep and succeed the next time. Only opening the ledger anew, from what is on disk, tells.
// A full disk is no such error, not even when it shows while the shared memory file grows.
func losesTrust(err error) bool {
	code := resultCode(err)
	return code&0xff == sqlite3.SQLITE_IOERR && code != sqlite3.SQLITE_IOERR_SHMSIZE && code != sqlite3.SQLITE_IOERR_NOMEM
}
