package ledger

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	agedQuery          = "SELECT id, time, verdict FROM decisions WHERE id > ? AND id < ? ORDER BY id LIMIT ? + 0"
	dropDecisionQuery  = "DELETE FROM decisions WHERE id = ?"
	disposeQuery       = "UPDATE facts SET payload = NULL WHERE position = ? AND callee = ? AND payload IS NOT NULL"
	foldPatience       = "PRAGMA busy_timeout = 5000" // as every connection has it
	calleesBehindQuery = "SELECT DISTINCT callee FROM callee_facts WHERE callee > ? ORDER BY callee LIMIT ? + 0"
)

// youngNumberedQuery is the callee of one fact that brought a number.
const youngNumberedQuery = "SELECT callee FROM facts WHERE position = ? AND sealed_number IS NOT NULL"

// numberedQuery asks for as many callees as factsOfManyQuery does.
var numberedQuery = "SELECT DISTINCT c.callee FROM " + indexedFacts + "WHERE c.callee IN (?" + strings.Repeat(",?", manyCallees-1) + ") AND f.sealed_number IS NOT NULL ORDER BY c.callee"

// retentionReads are prepared on every connection that reads.
var retentionReads = []string{agedQuery, calleesBehindQuery, numberedQuery, youngNumberedQuery}

// DisposeDecisions removes decisions that were kept long enough.
func (s *SQLite) DisposeDecisions(ctx context.Context, d DecisionDisposal) (DecisionsDisposed, error) {
	if err := d.check(); err != nil {
		return DecisionsDisposed{}, err
	}
	var found []decisionAt
	ask := func(r reader) (*sql.Rows, error) {
		return r.query(agedQuery, d.After[:], firstID(d.before().Add(idSlack)), d.Limit)
	}
	err := s.eachRow(ctx, ask, func(rows *sql.Rows) (err error) {
		at, err := scanAged(rows.Scan)
		found = append(found, at)
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return DecisionsDisposed{}, err
	}
	done, ids := d.sort(found)
	if d.DryRun || len(ids) == 0 {
		return done, nil
	}
	err = s.write(ctx, func() error {
		for _, id := range ids {
			if err := s.writer.exec(dropDecisionQuery, id); err != nil {
				return err
			}
		}
		return nil
	})
	return done, err
}

func scanAged(scan func(into ...any) error) (at decisionAt, err error) {
	var id []byte
	err = scan(&id, &at.time, &at.verdict)
	copy(at.id[:], id)
	return at, err
}

// DisposeFacts takes payloads and numbers away.
func (s *SQLite) DisposeFacts(ctx context.Context, disposals []FactDisposal) ([]FactsDisposed, error) {
	if err := checkDisposals(disposals); err != nil {
		return nil, err
	}
	waiters := make([]*waiting, len(disposals))
	for i := range disposals {
		waiters[i] = newWaiting(ctx, []Append{disposals[i].Fact})
	}
	done := make([]FactsDisposed, len(disposals))
	err := s.inTurn(ctx, func() error {
		next := s.tip
		next.time = max(next.time, s.clock().UnixNano())
		err := s.transaction(func() error {
			for i := range disposals {
				var err error
				if done[i], err = s.placeDisposal(&next, waiters[i], &disposals[i]); err != nil {
					return err
				}
			}
			return s.writer.exec(moveHeadQuery, int64(next.position), next.hash[:])
		})
		if err != nil || next.position == s.tip.position {
			return err
		}
		s.tip = next
		s.head.move(next.position)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, s.foldSoon(ctx)
}

func (s *SQLite) placeDisposal(next *tip, w *waiting, d *FactDisposal) (done FactsDisposed, err error) {
	positions, err := s.positionsOf(d.Fact.Callee)
	if err != nil || d.moved(lastOf(positions)) {
		return FactsDisposed{Moved: true}, err
	}
	placed, err := s.place(next, w)
	if err != nil {
		return done, err
	}
	for _, position := range d.Positions {
		if err := s.writer.exec(disposeQuery, int64(position), d.Fact.Callee[:]); err != nil {
			return done, err
		}
	}
	if d.Number {
		err = s.writer.eraseNumber(positions)
	}
	return FactsDisposed{Appended: placed[0]}, err
}

// How often, and how far apart, a fold is tried that waits for nobody.
const (
	foldTries = 20
	foldPause = 5 * time.Millisecond
)

// foldSoon empties the write-ahead log as fold does, but never keeps others from writing while a long reading needs the old
// pages: what then stays in it, the next disposal, erasure or start takes away.
func (s *SQLite) foldSoon(ctx context.Context) error {
	for range foldTries {
		folded := false
		err := s.inTurn(ctx, func() (err error) {
			folded, err = s.foldAtOnce()
			return err
		})
		if err != nil || folded {
			return err
		}
		time.Sleep(foldPause)
	}
	return nil
}

func (s *SQLite) foldAtOnce() (bool, error) {
	ctx := context.Background()
	if _, err := s.writer.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return false, s.trusting(err)
	}
	var busy, pages, folded int
	err := s.writer.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &folded)
	_, after := s.writer.conn.ExecContext(ctx, foldPatience)
	if err == nil {
		err = after
	}
	return busy == 0, s.trusting(err)
}

// Callees are those about whom there are facts.
func (s *SQLite) Callees(ctx context.Context, after eligibility.CalleeToken, limit int) ([]eligibility.CalleeToken, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	young := s.young.behind(after, limit)
	filed, err := s.tokens(ctx, calleesBehindQuery, after[:], limit)
	all := inOrder(append(filed, young...))
	return all[:min(limit, len(all))], err
}

// Numbered are those of some callees whose number is known.
func (s *SQLite) Numbered(ctx context.Context, callees []eligibility.CalleeToken) (numbered []eligibility.CalleeToken, err error) {
	if err := checkCallees(callees); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(inOrder(callees), manyCallees) {
		args := make([]any, manyCallees)
		for i := range args {
			args[i] = some[min(i, len(some)-1)][:]
		}
		found, err := s.someNumbered(ctx, some, args)
		if err != nil {
			return nil, err
		}
		numbered = append(numbered, found...)
	}
	return numbered, nil
}

func (s *SQLite) someNumbered(ctx context.Context, callees []eligibility.CalleeToken, args []any) ([]eligibility.CalleeToken, error) {
	young := s.young.ofMany(callees)
	found, err := s.tokens(ctx, numberedQuery, args...)
	if err != nil {
		return nil, err
	}
	for _, position := range young {
		more, err := s.tokens(ctx, youngNumberedQuery, int64(position))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return inOrder(found), nil
}

func (s *SQLite) tokens(ctx context.Context, query string, args ...any) (found []eligibility.CalleeToken, err error) {
	ask := func(r reader) (*sql.Rows, error) { return r.query(query, args...) }
	err = s.eachRow(ctx, ask, func(rows *sql.Rows) error {
		var token []byte
		err := rows.Scan(&token)
		if len(token) == len(eligibility.CalleeToken{}) {
			found = append(found, eligibility.CalleeToken(token))
		}
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	return found, err
}
