package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	beginQuery     = "BEGIN IMMEDIATE"
	commitQuery    = "COMMIT"
	rollbackQuery  = "ROLLBACK"
	markQuery      = "SAVEPOINT request"
	toMarkQuery    = "ROLLBACK TO request"
	unmarkQuery    = "RELEASE request"
	keyQuery       = "SELECT position, record_time, callee, kind, payload_hash FROM facts WHERE request_key = ?"
	moveHeadQuery  = "UPDATE head SET position = ?, hash = ? WHERE id = 1"
	movePlaceQuery = "INSERT INTO places (source, place) VALUES (?, ?) ON CONFLICT (source) DO UPDATE SET place = excluded.place"
	// takeNumbersQuery gives the last of so many new numbers.
	takeNumbersQuery = "UPDATE allowed SET number = number + ? WHERE id = 1 RETURNING number"
	setMetaQuery     = "INSERT INTO meta (key, value) VALUES (?, ?)"
)

var (
	factRows     = newBulk("facts", "position, callee, kind, record_time, request_key, reference, payload_hash, hash, payload", "")
	calleeRows   = newBulk("callees", "token, sealed_number", " ON CONFLICT (token) DO NOTHING")
	decisionRows = newBulk("decisions", "id, time, callee, campaign, verdict, reason, call_id, number, payload", " ON CONFLICT (id) DO NOTHING")
)

// writer is the one connection that writes. Its methods run inside a transaction and under the turn; they take no
// context, since half a transaction is worth nothing.
type writer struct{ *session }

func newWriter(ctx context.Context, pool *sql.DB) (writer, error) {
	s, err := newSession(ctx, pool, beginQuery, commitQuery, rollbackQuery, markQuery, toMarkQuery, unmarkQuery,
		keyQuery, moveHeadQuery, lastOfQuery, eraseQuery, eraseNumberQuery, placeQuery, movePlaceQuery, takeNumbersQuery, metaQuery, setMetaQuery,
		factRows.one, factRows.many, calleeRows.one, calleeRows.many, decisionRows.one, decisionRows.many, dropDecisionQuery, disposeQuery)
	return writer{s}, err
}

// transaction runs do between BEGIN and COMMIT, for the holder of the turn. After an I/O error in it the ledger takes
// nothing more until it is opened anew; see losesTrust.
func (s *SQLite) transaction(do func() error) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	return s.trusting(s.writer.transaction(do))
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

// place writes one append: first as if all of it were new, which it mostly is, and if a key is known, fact by fact.
func (w writer) place(next *tip, a *waiting) ([]Appended, error) {
	placed, err := w.undoable(next, a, w.placeNew)
	if isUniqueViolation(err) {
		placed, err = w.undoable(next, a, w.placeEach)
	}
	return placed, err
}

// undoable leaves nothing behind of a way to place an append that does not work out.
func (w writer) undoable(next *tip, a *waiting, way func(*tip, *waiting) ([]Appended, error)) ([]Appended, error) {
	start := *next
	marked := len(a.facts) > 1 // one fact is one statement, which undoes itself
	if marked {
		if err := w.exec(markQuery); err != nil {
			return nil, err
		}
	}
	placed, err := way(next, a)
	back := isUniqueViolation(err) || isRefusal(err)
	if err != nil && !back {
		return nil, err
	}
	if back && !mutantPositionAtBegin {
		*next = start
	}
	if marked {
		if failed := w.unmark(back); failed != nil {
			return nil, failed
		}
	}
	return placed, err
}

func (w writer) unmark(back bool) error {
	if back {
		if err := w.exec(toMarkQuery); err != nil {
			return err
		}
	}
	return w.exec(unmarkQuery)
}

func (w writer) placeNew(next *tip, a *waiting) ([]Appended, error) {
	entries := make([]Entry, len(a.facts))
	placed := make([]Appended, len(a.facts))
	for i := range a.facts {
		entries[i] = next.extend(&a.facts[i], a.payloads[i])
		placed[i] = Appended{Position: entries[i].Position, RecordTime: entries[i].RecordTime}
	}
	if err := w.insertFacts(entries, a.payloads); err != nil {
		return nil, err
	}
	return placed, w.keepNumbers(a.facts)
}

// placeEach writes fact by fact, and answers those that are known.
func (w writer) placeEach(next *tip, a *waiting) (placed []Appended, err error) {
	placed = make([]Appended, len(a.facts))
	for i := range a.facts {
		placed[i], err = w.repeat(&a.facts[i], a.payloads[i])
		if errors.Is(err, ErrNotFound) {
			placed[i], err = w.placeOne(next, a, i)
		}
		if errors.Is(err, ErrRequestReused) || errors.Is(err, ErrReferenceTaken) {
			return nil, &FactError{Index: i, Err: err}
		}
		if err != nil {
			return nil, err
		}
	}
	return placed, nil
}

// placeOne writes a fact whose request key was just looked for, so that only its reference can be taken.
func (w writer) placeOne(next *tip, a *waiting, i int) (Appended, error) {
	placed, err := w.placeNew(next, &waiting{facts: a.facts[i : i+1], payloads: a.payloads[i : i+1]})
	if isUniqueViolation(err) {
		return Appended{}, ErrReferenceTaken
	}
	if err != nil {
		return Appended{}, err
	}
	return placed[0], nil
}

// repeat answers a fact whose request key is known; ErrNotFound says that it is not.
func (w writer) repeat(f *Append, payload [32]byte) (Appended, error) {
	var known recorded
	var nanoseconds int64
	var callee, hash []byte
	if err := w.row(keyQuery, f.RequestKey, &known.position, &nanoseconds, &callee, &known.kind, &hash); err != nil {
		return Appended{}, found(err)
	}
	known.time = time.Unix(0, nanoseconds).UTC()
	copy(known.callee[:], callee)
	copy(known.payload[:], hash)
	return known.repeat(f, payload)
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

func (w writer) insertFacts(entries []Entry, payloads [][32]byte) error {
	args := make([]any, 0, len(entries)*factRows.columns)
	for i := range entries {
		e := &entries[i]
		var reference any
		if e.Reference != "" {
			reference = e.Reference
		}
		args = append(args, int64(e.Position), e.Callee[:], int64(e.Kind), e.RecordTime.UnixNano(), e.RequestKey,
			reference, payloads[i][:], e.Hash[:], e.Payload)
	}
	return w.insert(factRows, args)
}

// keepNumbers stores the sealed numbers of callees that have none yet.
func (w writer) keepNumbers(facts []Append) error {
	args := make([]any, 0, len(facts)*calleeRows.columns)
	for i := range facts {
		if f := &facts[i]; len(f.SealedNumber) > 0 {
			args = append(args, f.Callee[:], f.SealedNumber)
		}
	}
	return w.insert(calleeRows, args)
}
