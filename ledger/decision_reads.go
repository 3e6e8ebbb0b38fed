package ledger

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	decisionQuery = decisionColumns + "WHERE id = ?"
	// Newest first; the id, made from the time, orders decisions of the same instant.
	latestDecisionsQuery = decisionColumns + "WHERE callee = ? ORDER BY time DESC, id DESC LIMIT ? + 0"
	byCallQuery          = decisionColumns + "WHERE call_id = ? AND call_id <> '' ORDER BY id DESC LIMIT ? + 0"
	allowedQuery         = "SELECT id, time, callee, campaign, verdict, reason, call_id, payload, number FROM decisions WHERE number > ? ORDER BY number LIMIT ? + 0"
	// "+ 0" keeps the planner from walking all numbers from the first.
	// Where no ALLOW is that young, those to come have numbers above the last one given.
	allowedFromQuery = `SELECT coalesce((SELECT min(number + 0) - 1 FROM decisions WHERE number IS NOT NULL AND time >= ?),
		(SELECT number FROM allowed WHERE id = 1))`
)

// Decision is the decision with an id.
func (s *SQLite) Decision(ctx context.Context, id [16]byte) (Decision, error) {
	found, err := s.decisions(ctx, func(r reader) (*sql.Rows, error) { return r.query(decisionQuery, id[:]) })
	if err != nil {
		return Decision{}, err
	}
	if len(found) == 0 {
		return Decision{}, ErrNotFound
	}
	return found[0], nil
}

// LatestDecisions is what was decided about a callee, newest first.
func (s *SQLite) LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([]Decision, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return s.decisions(ctx, func(r reader) (*sql.Rows, error) { return r.query(latestDecisionsQuery, callee[:], limit) })
}

// DecisionsByCall is what was decided about a call that the dialer has given an id, newest first.
func (s *SQLite) DecisionsByCall(ctx context.Context, callID string, limit int) ([]Decision, error) {
	if err := errors.Join(checkCallID(callID), checkLimit(limit)); err != nil {
		return nil, err
	}
	return s.decisions(ctx, func(r reader) (*sql.Rows, error) { return r.query(byCallQuery, callID, limit) })
}

// ListDecisions is what was decided, newest first. It may have to pass over many decisions, so that its context ends it.
func (s *SQLite) ListDecisions(ctx context.Context, f DecisionFilter, limit int) ([]Decision, error) {
	if err := f.check(limit); err != nil {
		return nil, err
	}
	query, args := f.query("?", limit)
	return s.decisions(ctx, func(r reader) (*sql.Rows, error) { return r.conn.QueryContext(ctx, query, args...) })
}

func (s *SQLite) decisions(ctx context.Context, ask func(reader) (*sql.Rows, error)) (decisions []Decision, err error) {
	err = s.eachRow(ctx, ask, func(rows *sql.Rows) error {
		d, err := scanDecision(rows.Scan)
		decisions = append(decisions, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return decisions, nil
}

// eachRow hands each row of an answer to take.
func (s *SQLite) eachRow(ctx context.Context, ask func(reader) (*sql.Rows, error), take func(*sql.Rows) error) error {
	return s.read(ctx, func(r reader) error {
		rows, err := ask(r)
		if err != nil {
			return interrupted(ctx, err)
		}
		defer rows.Close()
		for rows.Next() && ctx.Err() == nil {
			if err := take(rows); err != nil {
				return err
			}
		}
		return interrupted(ctx, rows.Err())
	})
}

// interrupted is the context's end, where that is what ended a reading.
func interrupted(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	return err
}

// scanDecision reads decisionColumns, and what a query has after them.
func scanDecision(scan func(into ...any) error, more ...any) (d Decision, err error) {
	var nanoseconds int64
	var id, callee []byte
	err = scan(append([]any{&id, &nanoseconds, &callee, &d.Campaign, &d.Verdict, &d.Reason, &d.CallID, &d.Payload}, more...)...)
	d.Time = time.Unix(0, nanoseconds).UTC()
	copy(d.ID[:], id)
	copy(d.Callee[:], callee)
	return d, err
}

// AllowedAfter is the ALLOWs that have reached the ledger after a number.
func (s *SQLite) AllowedAfter(ctx context.Context, after uint64, limit int) (shipped []Shipped, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	ask := func(r reader) (*sql.Rows, error) { return r.query(allowedQuery, stoppedAt(after), limit) }
	err = s.eachRow(ctx, ask, func(rows *sql.Rows) (err error) {
		var next Shipped
		next.Decision, err = scanDecision(rows.Scan, &next.Number)
		shipped = append(shipped, next)
		return err
	})
	if err != nil {
		return nil, err
	}
	return shipped, nil
}

// AllowedFrom is a number before all ALLOWs decided since an instant.
func (s *SQLite) AllowedFrom(ctx context.Context, t time.Time) (after uint64, err error) {
	err = s.read(ctx, func(r reader) error { return r.row(allowedFromQuery, nanoseconds(t), &after) })
	return after, err
}
