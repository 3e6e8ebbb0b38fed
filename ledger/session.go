package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// session is one connection with its statements, each under its own text. Closing the connection alone would leave it
// to its statements, which keep the file open.
//
// Its queries run to their end whatever the caller's context does: the driver's watch over a context costs as much as
// a query, and each ends within microseconds or, where it may have many rows, looks at the context between them.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func newSession(ctx context.Context, pool *sql.DB, queries ...string) (*session, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, prepared: make(map[string]*sql.Stmt, len(queries))}
	for _, q := range queries {
		if s.prepared[q], err = conn.PrepareContext(ctx, q); err != nil {
			delete(s.prepared, q)
			return nil, errors.Join(fmt.Errorf("preparing %q: %w", q, err), s.close())
		}
	}
	return s, nil
}

func (s *session) query(q string, args ...any) (*sql.Rows, error) {
	return s.prepared[q].Query(args...)
}

// row scans the one row that a query has, or gives sql.ErrNoRows.
func (s *session) row(q string, arg any, into ...any) error {
	return s.prepared[q].QueryRow(arg).Scan(into...)
}

func (s *session) exec(q string, args ...any) error {
	_, err := s.prepared[q].Exec(args...)
	return err
}

func (s *session) close() error {
	var failed []error
	for _, stmt := range s.prepared {
		failed = append(failed, stmt.Close())
	}
	return errors.Join(append(failed, s.conn.Close())...)
}

// bulkRows is how many rows one INSERT takes where there are that many.
const bulkRows = 50

// bulk is an INSERT of one row and one of bulkRows rows.
type bulk struct {
	columns   int
	one, many string
}

func newBulk(conflict, table, columns, otherwise string) bulk {
	n := strings.Count(columns, ",") + 1
	row := "(?" + strings.Repeat(",?", n-1) + ")"
	start := "INSERT " + conflict + " INTO " + table + " (" + columns + ") VALUES "
	return bulk{columns: n, one: start + row + otherwise, many: start + row + strings.Repeat(","+row, bulkRows-1) + otherwise}
}

// insert writes rows whose arguments stand one after the other. It gives the processor away in between: checks come first.
func (s *session) insert(b bulk, args []any) error {
	for width := b.columns * bulkRows; len(args) >= width; args = args[width:] {
		if err := s.exec(b.many, args[:width]...); err != nil {
			return err
		}
		runtime.Gosched()
	}
	for ; len(args) > 0; args = args[b.columns:] {
		if err := s.exec(b.one, args[:b.columns]...); err != nil {
			return err
		}
	}
	return nil
}
