package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Place is how far a journal has been shipped.
func (s *SQLite) Place(ctx context.Context, source string) (uint64, error) {
	if err := checkKey("source", source); err != nil {
		return 0, err
	}
	var place int64
	err := s.read(ctx, func(r reader) (err error) {
		place, err = r.placeOf(source)
		return err
	})
	return uint64(place), err
}

func (s *session) placeOf(source string) (int64, error) {
	var place int64
	err := s.row(placeQuery, source, &place)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return place, err
}

// ShipDecisions records a journal's decisions and its new place.
func (s *SQLite) ShipDecisions(ctx context.Context, source string, from, through uint64, decisions []Decision) error {
	if err := checkKey("source", source); err != nil {
		return err
	}
	if err := checkDecisions(from, through, decisions); err != nil {
		return err
	}
	return s.write(ctx, func() error {
		place, err := s.writer.placeOf(source)
		if err != nil || uint64(place) >= through {
			return err
		}
		if uint64(place) != from {
			return fmt.Errorf("%w: the place of %s is %d, the decisions start at %d", ErrPlace, source, place, from)
		}
		if err := s.writer.insertDecisions(decisions); err != nil {
			return err
		}
		return s.writer.exec(movePlaceQuery, source, int64(through))
	})
}

func (w writer) insertDecisions(decisions []Decision) error {
	args := make([]any, 0, len(decisions)*decisionRows.columns)
	for i := range decisions {
		d := &decisions[i]
		args = append(args, d.ID[:], d.Time.UnixNano(), d.Callee[:], d.Campaign, int64(d.Verdict), int64(d.Reason), stored(d.Payload))
	}
	return w.insert(decisionRows, args)
}

// stored makes an empty value of a nil one, which SQLite would take for NULL.
func stored(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Decision is the decision with an id.
func (s *SQLite) Decision(ctx context.Context, id [16]byte) (Decision, error) {
	d := Decision{ID: id}
	err := s.read(ctx, func(r reader) error {
		var nanoseconds int64
		var callee []byte
		err := r.row(decisionQuery, id[:], &nanoseconds, &callee, &d.Campaign, &d.Verdict, &d.Reason, &d.Payload)
		d.Time = time.Unix(0, nanoseconds).UTC()
		copy(d.Callee[:], callee)
		return found(err)
	})
	if err != nil {
		return Decision{}, err
	}
	return d, nil
}

// LatestDecisions is what was decided about a callee, newest first.
func (s *SQLite) LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([]Decision, error) {
	if limit < 1 || limit > MaxTail {
		return nil, fmt.Errorf("%w: limit is %d, want 1 to %d", ErrInvalid, limit, MaxTail)
	}
	var decisions []Decision
	err := s.read(ctx, func(r reader) error {
		rows, err := r.query(latestDecisionsQuery, callee[:], limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() && ctx.Err() == nil {
			d := Decision{Callee: callee}
			var id []byte
			var nanoseconds int64
			if err := rows.Scan(&id, &nanoseconds, &d.Campaign, &d.Verdict, &d.Reason, &d.Payload); err != nil {
				return err
			}
			d.Time = time.Unix(0, nanoseconds).UTC()
			copy(d.ID[:], id)
			decisions = append(decisions, d)
		}
		return errors.Join(rows.Err(), ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	return decisions, nil
}

const deploymentKey = "deployment_id"

// DeploymentID is the name drawn when the ledger was created.
func (s *SQLite) DeploymentID(ctx context.Context) (id [16]byte, err error) {
	value, err := s.Meta(ctx, deploymentKey)
	if err != nil {
		return id, err
	}
	return s.deployment(value)
}

func (s *groups) deployment(value []byte) (id [16]byte, err error) {
	if len(value) != len(id) {
		return id, fmt.Errorf("%w: %s: the deployment id has %d bytes", ErrCorrupt, s.path, len(value))
	}
	return [16]byte(value), nil
}

// Meta is the value of a metadata key.
func (s *SQLite) Meta(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey("metadata key", key); err != nil {
		return nil, err
	}
	return s.value(ctx, metaQuery, key)
}

// SetMeta sets a metadata key once.
func (s *SQLite) SetMeta(ctx context.Context, key string, value []byte) ([]byte, error) {
	if err := checkKey("metadata key", key); err != nil {
		return nil, err
	}
	if err := checkSize("metadata value", len(value), MaxPayload); err != nil {
		return nil, err
	}
	stands := stored(value)
	err := s.write(ctx, func() error {
		err := s.writer.row(metaQuery, key, &stands)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		return s.writer.exec(setMetaQuery, key, stored(value))
	})
	if err != nil {
		return nil, err
	}
	return stands, nil
}
