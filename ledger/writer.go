package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	beginQuery     = "BEGIN IMMEDIATE"
	commitQuery    = "COMMIT"
	rollbackQuery  = "ROLLBACK"
	moveHeadQuery  = "UPDATE head SET position = ?, hash = ? WHERE id = 1"
	movePlaceQuery = "INSERT INTO places (source, place) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET place = excluded.place"
	// takeNumbersQuery gives the last of so many new numbers.
	takeNumbersQuery = "UPDATE allowed SET number = number + ? WHERE id = 1 RETURNING number"
	setMetaQuery     = "INSERT INTO meta (key, value) VALUES (?, ?)"
)

var (
	// FAIL, and not SQLite's default, because a statement that can undo itself keeps a journal of every page that it changes.
	// What is taken is looked up before, so nothing fails; if it does, the whole transaction is undone.
	factRows     = newBulk("OR FAIL", "facts", "position, callee, kind, record_time, request_key, reference, payload_hash, hash, payload, sealed_number", "")
	decisionRows = newBulk("OR FAIL", "decisions", "id, time, callee, campaign, verdict, reason, call_id, number, payload", " ON CONFLICT (id) DO NOTHING")
)

// writer is the one connection that writes. Its methods run inside a transaction and under the turn; they take no
// context, since half a transaction is worth nothing.
type writer struct{ *session }

func newWriter(ctx context.Context, pool *sql.DB) (writer, error) {
	s, err := newSession(ctx, pool, append([]string{
		beginQuery, commitQuery, rollbackQuery, moveHeadQuery, eraseQuery, eraseNumberQuery, positionsQuery, moveIndexedQuery, placeQuery, movePlaceQuery, takeNumbersQuery, metaQuery, setMetaQuery,
		factRows.one, factRows.many, calleeRows.one, calleeRows.many, decisionRows.one, decisionRows.many, dropDecisionQuery, disposeQuery,
	}, lookUps()...)...)
	return writer{s}, err
}

// transaction runs do between BEGIN and COMMIT, for the holder of the turn. After an I/O error in it the ledger takes
// nothing more until it is opened anew; see losesTrust.
func (s *SQLite) transaction(do func() error) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := s.trusting(s.writer.transaction(do))
	if err != nil {
		s.young.cut(s.tip.position)
	}
	return err
}

// trusting stops the ledger after an I/O error.
func (s *SQLite) trusting(err error) error {
	if losesTrust(err) && !mutantLedgerPastIOError {
		stop := fmt.Errorf("%w: %s: stopped after an I/O error, open it again: %w", ErrUnavailable, s.path, err)
		s.broken.Store(&stop)
		return stop
	}
	return fault(s.path, err)
}

func (w writer) transaction(do func() error) error {
	err := w.exec(beginQuery)
	if err != nil {
		return err
	}
	if err = do(); err == nil {
		err = w.exec(commitQuery)
	}
	if err != nil {
		// SQLite may have rolled back by itself, and then says so here.
		_ = w.exec(rollbackQuery)
	}
	return err
}

// write is transaction for everybody but the appender.
func (s *SQLite) write(ctx context.Context, do func() error) error {
	return s.inTurn(ctx, func() error { return s.transaction(do) })
}

// inTurn runs do while nobody else writes.
func (s *SQLite) inTurn(ctx context.Context, do func() error) error {
	if err := s.live(ctx); err != nil {
		return err
	}
	s.waiters.Add(1)
	defer s.waiters.Add(-1)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return do()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return s.gone()
	}
}

// place writes one append.
func (s *SQLite) place(next *tip, a *waiting) ([]Appended, error) {
	answers, err := s.placeAll(next, []*waiting{a})
	if err != nil {
		return nil, err
	}
	return answers[0].facts, answers[0].err
}

// placeAll decides in memory what becomes of each append, then writes at once what is new. One that is refused, or whose
// caller has gone, does not fail its neighbours; an error is one that fails them all.
func (s *SQLite) placeAll(next *tip, group []*waiting) ([]answer, error) {
	b := newBoard(*next)
	if err := s.lookUp(b, group); err != nil {
		return nil, err
	}
	answers := make([]answer, len(group))
	for i, a := range group {
		if answers[i].err = a.ctx.Err(); answers[i].err == nil {
			answers[i].facts, answers[i].err = b.add(a)
		}
	}
	if err := s.writer.insertFacts(b); err != nil {
		return nil, err
	}
	s.young.add(b.entries)
	*next = b.next
	return answers, nil
}

// recorded is what a known request key stands for.
type recorded struct {
	position uint64
	time     time.Time
	callee   eligibility.CalleeToken
	kind     int32
	payload  [32]byte
}

func (k recorded) repeat(f *Append, payload [32]byte) (Appended, error) {
	same := k.callee == f.Callee && k.kind == f.Kind && k.payload == payload
	if !same && !mutantRepeatAnyContent {
		return Appended{}, fmt.Errorf("%w (position %d)", ErrRequestReused, k.position)
	}
	return Appended{Position: k.position, RecordTime: k.time, Repeated: true}, nil
}

func (w writer) insertFacts(b *board) error {
	args := make([]any, 0, min(len(b.entries), bulkRows)*factRows.columns)
	for i := range b.entries {
		e := &b.entries[i]
		var reference, number any
		if e.Reference != "" {
			reference = e.Reference
		}
		if n := b.numbers[i]; len(n) > 0 {
			number = n
		}
		args = append(args, int64(e.Position), e.Callee[:], int64(e.Kind), e.RecordTime.UnixNano(), e.RequestKey,
			reference, b.payloads[i][:], e.Hash[:], e.Payload, number)
		if len(args) == bulkRows*factRows.columns || i == len(b.entries)-1 {
			if err := w.insert(factRows, args); err != nil {
				return err
			}
			args = args[:0]
		}
	}
	return nil
}
