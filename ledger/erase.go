package ledger

import (
	"context"
	"fmt"
)

const (
	lastOfQuery      = "SELECT coalesce(max(position), 0) FROM facts WHERE callee = ?"
	eraseQuery       = "UPDATE facts SET payload = NULL WHERE callee = ? AND kind = ? AND payload IS NOT NULL"
	eraseNumberQuery = "DELETE FROM callees WHERE token = ?"
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
	last, callee := uint64(0), e.Fact.Callee[:]
	if err := s.writer.row(lastOfQuery, callee, &last); err != nil {
		return Appended{}, err
	}
	next.time = max(next.time, s.clock().UnixNano())
	placed, err := s.writer.place(next, w)
	if err != nil || placed[0].Repeated {
		return first(placed), err
	}
	if last != e.Through {
		return Appended{}, moved(last, e.Through)
	}
	if !mutantPayloadLeft {
		for _, kind := range e.Kinds {
			if err := s.writer.exec(eraseQuery, callee, int64(kind)); err != nil {
				return Appended{}, err
			}
		}
	}
	if err := s.writer.exec(eraseNumberQuery, callee); err != nil {
		return Appended{}, err
	}
	return placed[0], s.writer.exec(moveHeadQuery, int64(next.position), next.hash[:])
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
