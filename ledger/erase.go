package ledger

import (
	"context"
	"fmt"
)

const (
	eraseQuery       = "UPDATE facts SET payload = NULL WHERE position = ? AND kind = ? AND payload IS NOT NULL"
	eraseNumberQuery = "UPDATE facts SET sealed_number = NULL WHERE position = ? AND sealed_number IS NOT NULL"
)

// Erase takes a number and payloads away. A repeat cleans the files again, in case the first was cut short before.
func (s *SQLite) Erase(ctx context.Context, e Erasure) (Appended, error) {
	if err := checkErasure(&e); err != nil {
		return Appended{}, err
	}
	w := newWaiting(ctx, []Append{e.Fact})
	var done Appended
	err := s.inTurn(ctx, func() error {
		next := s.tip
		err := s.transaction(func() (err error) {
			done, err = s.placeErasure(&next, w, &e)
			return err
		})
		if err != nil {
			return err
		}
		s.tip = next
		s.head.move(next.position)
		return s.fold()
	})
	return done, err
}

func (s *SQLite) placeErasure(next *tip, w *waiting, e *Erasure) (Appended, error) {
	positions, err := s.positionsOf(e.Fact.Callee)
	if err != nil {
		return Appended{}, err
	}
	next.time = max(next.time, s.clock().UnixNano())
	placed, err := s.place(next, w)
	if err != nil || placed[0].Repeated {
		return first(placed), err
	}
	if last := lastOf(positions); last != e.Through {
		return Appended{}, moved(last, e.Through)
	}
	if err := s.writer.erase(positions, e.Kinds); err != nil {
		return Appended{}, err
	}
	return placed[0], s.writer.exec(moveHeadQuery, int64(next.position), next.hash[:])
}

// erase takes the number and the payloads of some kinds away from a callee's facts.
func (w writer) erase(positions []uint64, kinds []int32) error {
	for _, position := range positions {
		for i := 0; i < len(kinds) && !mutantPayloadLeft; i++ {
			if err := w.exec(eraseQuery, int64(position), int64(kinds[i])); err != nil {
				return err
			}
		}
	}
	return w.eraseNumber(positions)
}

func (w writer) eraseNumber(positions []uint64) error {
	for _, position := range positions {
		if err := w.exec(eraseNumberQuery, int64(position)); err != nil {
			return err
		}
	}
	return nil
}

func first(placed []Appended) Appended {
	if len(placed) == 0 {
		return Appended{}
	}
	return placed[0]
}

func moved(last, through uint64) error {
	return fmt.Errorf("%w: the callee's last position is %d, the erasure knows it up to %d", ErrMoved, last, through)
}

// fold brings the write-ahead log, which holds what pages were before, into the database and empties it.
func (s *SQLite) fold() error {
	var busy, pages, folded int
	err := s.writer.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &folded)
	if err == nil && busy != 0 {
		return fmt.Errorf("%w: %s: erased, but a reader keeps the old pages in the write-ahead log: repeat the erasure", ErrUnavailable, s.path)
	}
	return s.trusting(err)
}

// finishErasure folds a log that a process left behind when it ended without closing: it may hold what was erased. Where
// there is no room to, or another program looks at the file, the next erasure or closing does it.
func (s *SQLite) finishErasure() error {
	if err := s.fold(); s.broken.Load() != nil {
		return err
	}
	return nil
}
