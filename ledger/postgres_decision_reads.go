package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	postgresDecision        = decisionColumns + "WHERE id = $1"
	postgresLatestDecisions = decisionColumns + "WHERE callee = $1 ORDER BY time DESC, id DESC LIMIT $2"
	postgresByCall          = decisionColumns + "WHERE call_id = $1 AND call_id <> '' ORDER BY id DESC LIMIT $2"
	postgresAllowed         = "SELECT id, time, callee, campaign, verdict, reason, call_id, payload, number FROM decisions WHERE number > $1 ORDER BY number LIMIT $2"
	// "+ 0" keeps the planner from walking all numbers from the first.
	// Where no ALLOW is that young, those to come have numbers above the last one given.
	postgresAllowedFrom = `SELECT coalesce((SELECT min(number + 0) - 1 FROM decisions WHERE number IS NOT NULL AND time >= $1),
		(SELECT number FROM allowed WHERE id = 1))`
)

// Decision is the decision with an id.
func (p *Postgres) Decision(ctx context.Context, id [16]byte) (Decision, error) {
	found, err := p.decisions(ctx, postgresDecision, id[:])
	if err != nil {
		return Decision{}, err
	}
	if len(found) == 0 {
		return Decision{}, ErrNotFound
	}
	return found[0], nil
}

// LatestDecisions is what was decided about a callee, newest first.
func (p *Postgres) LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([]Decision, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return p.decisions(ctx, postgresLatestDecisions, callee[:], limit)
}

// DecisionsByCall is what was decided about a call that the dialer has given an id, newest first.
func (p *Postgres) DecisionsByCall(ctx context.Context, callID string, limit int) ([]Decision, error) {
	if err := errors.Join(checkCallID(callID), checkLimit(limit)); err != nil {
		return nil, err
	}
	return p.decisions(ctx, postgresByCall, callID, limit)
}

// ListDecisions is what was decided, newest first.
func (p *Postgres) ListDecisions(ctx context.Context, f DecisionFilter, limit int) ([]Decision, error) {
	if err := f.check(limit); err != nil {
		return nil, err
	}
	query, args := f.query("$", limit)
	return p.decisions(ctx, query, args...)
}

func (p *Postgres) decisions(ctx context.Context, query string, args ...any) ([]Decision, error) {
	return collect(ctx, p, func(found pgx.CollectableRow) (Decision, error) { return scanDecision(found.Scan) }, query, args...)
}

func collect[T any](ctx context.Context, p *Postgres, scan pgx.RowToFunc[T], query string, args ...any) (all []T, err error) {
	err = p.read(ctx, func(ctx context.Context) error {
		rows, err := p.reading.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scan)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// AllowedAfter is the ALLOWs that have reached the ledger after a number.
func (p *Postgres) AllowedAfter(ctx context.Context, after uint64, limit int) ([]Shipped, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	return collect(ctx, p, func(found pgx.CollectableRow) (s Shipped, err error) {
		s.Decision, err = scanDecision(found.Scan, &s.Number)
		return s, err
	}, postgresAllowed, stoppedAt(after), limit)
}

// AllowedFrom is a number before all ALLOWs decided since an instant.
func (p *Postgres) AllowedFrom(ctx context.Context, t time.Time) (after uint64, err error) {
	err = p.value(ctx, &after, postgresAllowedFrom, nanoseconds(t))
	return after, err
}
