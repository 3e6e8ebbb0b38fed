package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	// MaxChanges is how many changes one answer of Changes holds at most.
	MaxChanges = 100_000
	// changeTimeout is what a change adds to nodeTimeout.
	changeTimeout = 10 * time.Microsecond

	postgresChanges = `SELECT h.position, f.position, f.callee, f.kind FROM head h
		LEFT JOIN LATERAL (SELECT position, callee, kind FROM facts WHERE position > $1 ORDER BY position LIMIT $2) f ON true WHERE h.id = 1`
	// Halves what is left of the positions until one is left; it ends early where a fact is missing.
	postgresPositionAt = `WITH RECURSIVE search (low, high, head) AS (
			SELECT 0::bigint, position, position FROM head WHERE id = 1
			UNION ALL
			SELECT CASE WHEN f.record_time <= $1 THEN f.position ELSE s.low END,
				CASE WHEN f.record_time <= $1 THEN s.high ELSE f.position - 1 END, s.head
			FROM search s JOIN facts f ON f.position = s.low + (s.high - s.low + 1) / 2 WHERE s.low < s.high
		) SELECT low, high, head FROM search ORDER BY high - low LIMIT 1`
)

// Change says that something was recorded about a callee (zero: the catalogue), not what.
type Change struct {
	Position uint64
	Callee   eligibility.CalleeToken
	Kind     int32
}

// Changes gives what was recorded after a position, in order and without a gap, at most limit (1 to MaxChanges), and the
// ledger's last position at the moment of reading. It gives none only where there are none, and does not read payloads.
// It takes about a second at most, two for many. A position beyond the last one is ErrCorrupt: the server was put back.
func (p *Postgres) Changes(ctx context.Context, after uint64, limit int) (changes []Change, head uint64, err error) {
	if limit < 1 || limit > MaxChanges {
		return nil, 0, fmt.Errorf("%w: limit %d, want 1 to %d", ErrInvalid, limit, MaxChanges)
	}
	committed := p.head.now()
	within := nodeTimeout + time.Duration(limit)*changeTimeout
	err = p.brief(ctx, p.renewing, within, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, postgresChanges, stoppedAt(after), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		changes, head, err = p.scanChanges(rows, after)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if err := p.advance(max(committed, after), head); err != nil {
		return nil, 0, err
	}
	if mutantChangesFromMemory && after <= committed {
		return changes[:min(len(changes), int(committed-after))], committed, nil
	}
	if len(changes) == 0 && after < head {
		return nil, 0, p.missing(after + 1)
	}
	return changes, head, nil
}

// scanChanges reads the four columns as the wire has them, which is twice as fast as converting them one by one.
func (p *Postgres) scanChanges(rows pgx.Rows, after uint64) (changes []Change, head uint64, err error) {
	answered := false
	for rows.Next() {
		columns := rows.RawValues()
		if len(columns[0]) != 8 {
			return nil, 0, errTextual
		}
		answered, head = true, binary.BigEndian.Uint64(columns[0])
		if columns[1] == nil {
			continue
		}
		c, ok := changeOf(columns[1:])
		if !ok || c.Position != after+1 && !mutantChangesWithGaps {
			return nil, 0, p.missing(after + 1)
		}
		changes, after = append(changes, c), c.Position
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if !answered {
		return nil, 0, headRow(pgx.ErrNoRows)
	}
	return changes, head, nil
}

var errTextual = errors.New("the server answers in text where numbers were asked for")

func changeOf(columns [][]byte) (c Change, ok bool) {
	position, callee, kind := columns[0], columns[1], columns[2]
	if len(position) != 8 || len(callee) != len(c.Callee) || len(kind) != 4 {
		return c, false
	}
	c.Position, c.Kind = binary.BigEndian.Uint64(position), int32(binary.BigEndian.Uint32(kind))
	copy(c.Callee[:], callee)
	return c, true
}

// PositionAt gives the last position recorded at or before an instant, 0 for none.
func (p *Postgres) PositionAt(ctx context.Context, at time.Time) (uint64, error) {
	committed := p.head.now()
	var low, high, head uint64
	err := p.read(ctx, func(ctx context.Context) error {
		return headRow(p.reading.QueryRow(ctx, postgresPositionAt, nanoseconds(at)).Scan(&low, &high, &head))
	})
	if err != nil {
		return 0, err
	}
	if low < high {
		return 0, p.missing(low + (high-low+1)/2)
	}
	return low, p.advance(committed, head)
}

// nanoseconds is Unix time, or the least or greatest there is of it.
func nanoseconds(at time.Time) int64 {
	switch {
	case at.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case at.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return at.UnixNano()
}
