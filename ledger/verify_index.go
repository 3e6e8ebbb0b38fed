package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/belpoort/belpoort/eligibility"
)

// indexStepQuery reads the index by callee, with whether each place in it leads to a fact of that callee.
const indexStepQuery = `SELECT c.callee, c.position, f.callee IS c.callee FROM callee_facts c LEFT JOIN facts f ON f.position = c.position
	WHERE (c.callee, c.position) > (?, ?) ORDER BY c.callee, c.position LIMIT ? + 0`

// indexWalk is how far a walk along the index has come.
type indexWalk struct {
	through uint64 // the index should hold every position up to this one
	callee  []byte // the last one read, with its position
	at      uint64
	held    uint64 // positions up to through that it does hold
	more    bool
}

// verifyIndex checks that every fact up to where the index by callee says is in it, under its own callee.
func (s *SQLite) verifyIndex(ctx context.Context) error {
	w := indexWalk{callee: make([]byte, 0, len(eligibility.CalleeToken{})), more: true}
	err := s.read(ctx, func(r reader) (err error) {
		w.through, err = r.indexed()
		return err
	})
	if err != nil {
		return err
	}
	for w.more && !mutantIndexUnverified {
		if err := s.read(ctx, func(r reader) error { return r.walkIndex(ctx, &w) }); err != nil {
			return err
		}
	}
	if w.held != w.through && !mutantIndexUnverified {
		return fmt.Errorf("%w: %s: the index by callee holds %d of %d facts", ErrCorrupt, s.path, w.held, w.through)
	}
	return nil
}

// indexed is up to which position facts are in the index by callee.
func (r reader) indexed() (through uint64, err error) {
	err = r.row(indexedQuery, 1, &through)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: %s: how far the index by callee goes is missing", ErrCorrupt, r.path)
	}
	return through, err
}

func (r reader) walkIndex(ctx context.Context, w *indexWalk) error {
	rows, err := r.query(indexStepQuery, w.callee, int64(w.at), verifyStep)
	if err != nil {
		return err
	}
	defer rows.Close()
	w.more = false
	for rows.Next() && ctx.Err() == nil {
		var callee sql.RawBytes
		var same bool
		if err := rows.Scan(&callee, &w.at, &same); err != nil {
			return errors.Join(ErrCorrupt, err)
		}
		if !same {
			return fmt.Errorf("%w: %s: the index by callee has position %d under another callee", ErrCorrupt, r.path, w.at)
		}
		w.callee, w.more = append(w.callee[:0], callee...), true
		if w.at <= w.through {
			w.held++
		}
	}
	return interrupted(ctx, rows.Err())
}
