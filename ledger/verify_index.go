package ledger

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	// indexStepQuery reads the index by callee.
	indexStepQuery = "SELECT callee, position FROM callee_facts WHERE (callee, position) > (?, ?) ORDER BY callee, position LIMIT ? + 0"
	// ownerQuery is whom a fact is about.
	ownerQuery = "SELECT callee FROM facts WHERE position = ?"
	// strayQuery finds a place in the index that leads to no fact of its callee. It reads the facts in the index's order, at
	// random, which takes long.
	strayQuery = "SELECT c.position FROM callee_facts c LEFT JOIN facts f ON f.position = c.position WHERE f.callee IS NOT c.callee LIMIT 1"
)

// indexCheck compares the index by callee with the facts: each is read once, in its own order, and what one has and the other
// has not makes their sums differ, but for a chance of one in 2^64.
type indexCheck struct {
	through uint64 // the index should hold every position up to this one
	fault   error  // why that is not known
	seed    maphash.Seed

	facts, index uint64 // sums over the places up to through
	held         uint64 // so many of them are in the index
	callee       []byte // the last place read, with its position
	at           uint64
	more         bool
}

func (s *SQLite) newIndexCheck(ctx context.Context) (*indexCheck, error) {
	c := &indexCheck{seed: maphash.MakeSeed(), callee: make([]byte, 0, len(eligibility.CalleeToken{})), more: true}
	err := s.read(ctx, func(r reader) (err error) {
		c.through, err = r.indexed()
		return err
	})
	if errors.Is(err, ErrCorrupt) {
		c.fault = err
		return c, nil
	}
	return c, err
}

// indexed is up to which position facts are in the index by callee.
func (r reader) indexed() (through uint64, err error) {
	err = r.row(indexedQuery, 1, &through)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: %s: how far the index by callee goes is missing", ErrCorrupt, r.path)
	}
	return through, err
}

func (c *indexCheck) place(callee []byte, position uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	_, _ = h.Write(callee)
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], position)
	_, _ = h.Write(at[:])
	return h.Sum64()
}

// add takes a fact into account.
func (c *indexCheck) add(e *Entry) {
	if e.Position <= c.through {
		c.facts += c.place(e.Callee[:], e.Position)
	}
}

// verifyIndex checks, after all facts were added, that the index has each under its own callee, and nothing else.
func (s *SQLite) verifyIndex(ctx context.Context, c *indexCheck) error {
	if c.fault != nil {
		return c.fault
	}
	for c.more && !mutantIndexUnverified {
		if err := s.read(ctx, func(r reader) error { return r.walkIndex(ctx, c) }); err != nil {
			return err
		}
	}
	if c.facts == c.index && c.held == c.through || mutantIndexUnverified {
		return nil
	}
	return s.read(ctx, func(r reader) error { return r.explainIndex(ctx, c) })
}

// walkIndex takes one step along the index.
func (r reader) walkIndex(ctx context.Context, c *indexCheck) error {
	rows, err := r.query(indexStepQuery, c.callee, int64(c.at), verifyStep)
	if err != nil {
		return err
	}
	defer rows.Close()
	c.more = false
	for rows.Next() && ctx.Err() == nil {
		var callee sql.RawBytes
		if err := rows.Scan(&callee, &c.at); err != nil {
			return errors.Join(ErrCorrupt, err)
		}
		c.callee, c.more = append(c.callee[:0], callee...), true
		if c.at <= c.through {
			c.index += c.place(callee, c.at)
			c.held++
		} else if err := r.owns(c.callee, c.at); err != nil { // of a generation that is not filed whole
			return err
		}
	}
	return interrupted(ctx, rows.Err())
}

// owns fails where a position is not that of a callee's fact.
func (r reader) owns(callee []byte, position uint64) error {
	var owner []byte
	if err := r.row(ownerQuery, int64(position), &owner); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if string(owner) != string(callee) {
		return r.strayed(position)
	}
	return nil
}

func (r reader) strayed(position uint64) error {
	return fmt.Errorf("%w: %s: the index by callee has position %d under another callee", ErrCorrupt, r.path, position)
}

// explainIndex says what is wrong with an index that is.
func (r reader) explainIndex(ctx context.Context, c *indexCheck) error {
	var position uint64
	err := r.conn.QueryRowContext(ctx, strayQuery).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %s: the index by callee holds %d of %d facts", ErrCorrupt, r.path, c.held, c.through)
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	return r.strayed(position)
}
