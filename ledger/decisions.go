package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	next, err := w.numbersFor(decisions)
	if err != nil {
		return err
	}
	args := make([]any, 0, len(decisions)*decisionRows.columns)
	for i := range decisions {
		d := &decisions[i]
		var number any
		if d.allows() {
			number, next = next, next+1
		}
		args = append(args, d.ID[:], d.Time.UnixNano(), d.Callee[:], d.Campaign, int64(d.Verdict), int64(d.Reason), d.CallID, number, stored(d.Payload))
	}
	return w.insert(decisionRows, args)
}

// numbersFor takes a number for each ALLOW, and gives the first.
func (w writer) numbersFor(decisions []Decision) (first int64, err error) {
	n := countAllows(decisions)
	if n == 0 {
		return 0, nil
	}
	err = w.row(takeNumbersQuery, n, &first)
	return first - n + 1, err
}

// stored makes an empty value of a nil one, which SQLite would take for NULL.
func stored(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
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
