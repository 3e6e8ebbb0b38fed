package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	factColumns  = "SELECT f.position, f.callee, f.kind, f.record_time, f.request_key, f.reference, f.payload_hash, f.hash, f.payload FROM "
	entryColumns = factColumns + "facts f "
	// indexedFacts are those in the file's index by callee, in its order.
	indexedFacts = "callee_facts c CROSS JOIN facts f ON f.position = c.position "

	factsQuery     = factColumns + indexedFacts + "WHERE c.callee = ? AND c.position <= ? ORDER BY c.position"
	latestQuery    = entryColumns + "WHERE kind = ? AND position <= ? ORDER BY position DESC LIMIT 1"
	entryQuery     = entryColumns + "WHERE position = ?"
	referenceQuery = entryColumns + "WHERE reference = ? AND position <= ?"
	// A bare LIMIT ? makes SQLite plan the query anew for every new value, which doubles its time.
	tailQuery   = entryColumns + "WHERE position > ? AND position <= ? ORDER BY position LIMIT ? + 0"
	ofKindQuery = entryColumns + "WHERE kind = ? AND position > ? AND position <= ? ORDER BY position LIMIT ? + 0"
	numberQuery = "SELECT f.sealed_number FROM " + indexedFacts + "WHERE c.callee = ? AND f.sealed_number IS NOT NULL ORDER BY c.position LIMIT 1"
	// youngNumberQuery is the number that came with one fact.
	youngNumberQuery = "SELECT sealed_number FROM facts WHERE position = ? AND sealed_number IS NOT NULL"
	placeQuery       = "SELECT place FROM places WHERE source = ?"
	metaQuery        = "SELECT value FROM meta WHERE key = ?"
	tipQuery         = "SELECT position, hash, (SELECT max(position) FROM facts) FROM head WHERE id = ?"
)

// reader is one connection that reads.
type reader struct {
	*session
	path string
}

func newReader(ctx context.Context, pool *sql.DB, path string) (reader, error) {
	s, err := newSession(ctx, pool, append(retentionReads[:len(retentionReads):len(retentionReads)], factsQuery, factsOfManyQuery, latestQuery, entryQuery, referenceQuery, tailQuery, numberQuery,
		youngNumberQuery, indexedQuery, indexStepQuery, ownerQuery, youngQuery, placeQuery, metaQuery, tipQuery, ofKindQuery, decisionQuery, latestDecisionsQuery, byCallQuery, allowedQuery, allowedFromQuery)...)
	return reader{s, path}, err
}

// read lends a reader to do.
func (s *SQLite) read(ctx context.Context, do func(reader) error) error {
	if err := s.live(ctx); err != nil {
		return err
	}
	select {
	case r := <-s.readers:
		defer func() { s.readers <- r }()
		return fault(s.path, do(r))
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return s.gone()
	}
}

// Facts needs no transaction: what stands at or before a head never changes, so a head read first bounds a
// consistent reading.
func (s *SQLite) Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (Snapshot, error) {
	snapshot := Snapshot{Head: s.head.now()}
	last, young := within(upTo, snapshot.Head), s.young.of(callee)
	err := s.read(ctx, func(r reader) (err error) {
		if snapshot.Entries, err = r.entries(ctx, factsQuery, callee[:], last); err == nil {
			snapshot.Entries, err = r.addYoung(ctx, snapshot.Entries, young, last)
		}
		return err
	})
	if err == nil {
		err = s.allOf(snapshot.Entries, []eligibility.CalleeToken{callee})
	}
	if err != nil {
		return Snapshot{}, err
	}
	slices.SortFunc(snapshot.Entries, func(a, b Entry) int { return cmp.Compare(a.Position, b.Position) })
	return snapshot, nil
}

// allOf fails where an index led to a fact of another callee.
func (s *groups) allOf(entries []Entry, callees []eligibility.CalleeToken) error {
	for i := range entries {
		if _, is := slices.BinarySearchFunc(callees, entries[i].Callee, compareCallees); !is {
			return fmt.Errorf("%w: %s, position %d: the fact is indexed under another callee", ErrCorrupt, s.path, entries[i].Position)
		}
	}
	return nil
}

// within is the last position to read, as SQLite's integer.
func within(upTo, head uint64) int64 {
	if upTo == 0 || upTo > head {
		upTo = head
	}
	return int64(upTo)
}

// LatestOfKind is the newest fact of a kind.
func (s *SQLite) LatestOfKind(ctx context.Context, kind int32, upTo uint64) (Entry, bool, error) {
	e, err := s.one(ctx, latestQuery, int64(kind), within(upTo, s.head.now()))
	if errors.Is(err, ErrNotFound) {
		return Entry{}, false, nil
	}
	return e, err == nil, err
}

// Entry is the fact at a position.
func (s *SQLite) Entry(ctx context.Context, position uint64) (Entry, error) {
	if position == 0 || position > s.head.now() {
		if err := s.live(ctx); err != nil {
			return Entry{}, err
		}
		return Entry{}, fmt.Errorf("%w: position %d", ErrNotFound, position)
	}
	e, err := s.one(ctx, entryQuery, int64(position))
	if errors.Is(err, ErrNotFound) {
		return Entry{}, s.missing(position)
	}
	return e, err
}

// ByReference is the fact with a reference.
func (s *SQLite) ByReference(ctx context.Context, reference string) (Entry, error) {
	if err := checkKey("reference", reference); err != nil {
		return Entry{}, err
	}
	return s.one(ctx, referenceQuery, reference, int64(s.head.now()))
}

func (s *SQLite) one(ctx context.Context, query string, args ...any) (Entry, error) {
	var entries []Entry
	err := s.read(ctx, func(r reader) (err error) {
		entries, err = r.entries(ctx, query, args...)
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	if len(entries) == 0 {
		return Entry{}, ErrNotFound
	}
	return entries[0], nil
}

// Tail is what follows a position.
func (s *SQLite) Tail(ctx context.Context, after uint64, limit int) ([]Entry, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	head := s.head.now()
	if after >= head {
		return nil, s.live(ctx)
	}
	var entries []Entry
	err := s.read(ctx, func(r reader) (err error) {
		entries, err = r.entries(ctx, tailQuery, int64(after), int64(head), limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, s.gapless(after, entries)
}

// OfKinds is what follows a position of some kinds.
func (s *SQLite) OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) (entries []Entry, head uint64, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, 0, err
	}
	if kinds, err = checkKinds(kinds); err != nil {
		return nil, 0, err
	}
	head = s.head.now()
	err = s.read(ctx, func(r reader) error {
		for _, kind := range kinds {
			found, err := r.entries(ctx, ofKindQuery, int64(kind), stoppedAt(after), int64(head), limit)
			if err != nil {
				return err
			}
			entries = append(entries, found...)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Position, b.Position) })
	return entries[:min(limit, len(entries))], head, nil
}

// gapless keeps a follower from passing over a fact that is lost.
func (s *groups) gapless(after uint64, entries []Entry) error {
	next := after + 1
	for i := range entries {
		if entries[i].Position != next {
			return s.missing(next)
		}
		next++
	}
	if len(entries) == 0 {
		return s.missing(next)
	}
	return nil
}

func (s *groups) missing(position uint64) error {
	return fmt.Errorf("%w: %s, position %d: the fact is missing", ErrCorrupt, s.path, position)
}

// SealedNumber is the number kept for a callee.
func (s *SQLite) SealedNumber(ctx context.Context, callee eligibility.CalleeToken) ([]byte, error) {
	young := s.young.of(callee)
	number, err := s.value(ctx, numberQuery, callee[:])
	for i := 0; errors.Is(err, ErrNotFound) && i < len(young); i++ {
		number, err = s.value(ctx, youngNumberQuery, int64(young[i]))
	}
	return number, err
}

// value reads one column of one row.
func (s *SQLite) value(ctx context.Context, query string, key any) ([]byte, error) {
	var value []byte
	err := s.read(ctx, func(r reader) error { return found(r.row(query, key, &value)) })
	return value, err
}

func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// row is a fact as it is stored.
type row struct {
	Entry
	payloadHash [32]byte
}

// entries reads facts, up to maxBytes of payload, and checks each payload against its hash.
func (r reader) entries(ctx context.Context, query string, args ...any) ([]Entry, error) {
	var entries []Entry
	size := 0
	err := r.rows(ctx, query, func(f *row) (more bool, err error) {
		if !f.Erased && sha256.Sum256(f.Payload) != f.payloadHash {
			return false, r.corrupt(f.Position, "the payload does not match its hash")
		}
		entries = append(entries, f.Entry)
		size += len(f.Payload)
		return query != tailQuery || size < maxBytes, nil
	}, args...)
	return entries, err
}

// rows hands each row of a query to take, until it says enough.
func (r reader) rows(ctx context.Context, query string, take func(*row) (more bool, err error), args ...any) error {
	rows, err := r.query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f row
		if err := r.scan(rows, &f); err != nil {
			return err
		}
		more, err := take(&f)
		if err != nil || !more {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r reader) scan(rows *sql.Rows, f *row) error {
	var nanoseconds int64
	var reference sql.NullString
	var callee, payloadHash, hash sql.RawBytes
	var payload any // tells NULL from empty
	if err := rows.Scan(&f.Position, &callee, &f.Kind, &nanoseconds, &f.RequestKey, &reference, &payloadHash, &hash, &payload); err != nil {
		if resultCode(err) != 0 {
			return err
		}
		return fmt.Errorf("%w: %s: a value has the wrong type: %w", ErrCorrupt, r.path, err)
	}
	f.RecordTime = time.Unix(0, nanoseconds).UTC()
	f.Reference = reference.String
	f.Payload, _ = payload.([]byte)
	f.Erased = payload == nil
	if copy(f.Callee[:], callee) != 16 || copy(f.payloadHash[:], payloadHash) != 32 || copy(f.Hash[:], hash) != 32 {
		return r.corrupt(f.Position, "a token or hash is too short")
	}
	return nil
}

func (r reader) corrupt(position uint64, what string) error {
	return fmt.Errorf("%w: %s, position %d: %s", ErrCorrupt, r.path, position, what)
}

// headMark is the last acknowledged position, and tells those who wait when it moves.
type headMark struct {
	mu       sync.Mutex
	position uint64
	moved    chan struct{}
}

func newHeadMark() *headMark { return &headMark{moved: make(chan struct{})} }

func (h *headMark) now() uint64 {
	position, _ := h.watch()
	return position
}

func (h *headMark) watch() (position uint64, moved <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.position, h.moved
}

func (h *headMark) move(to uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to > h.position {
		h.position = to
		close(h.moved)
		h.moved = make(chan struct{})
	}
}

// Head is the last position.
func (s *SQLite) Head(ctx context.Context) (uint64, error) {
	return s.head.now(), s.live(ctx)
}

// Wait returns when there is something after a position.
func (s *SQLite) Wait(ctx context.Context, after uint64) error { return s.wait(ctx, s.head, after) }

func (s *groups) wait(ctx context.Context, mark *headMark, after uint64) error {
	for {
		if err := s.live(ctx); err != nil {
			return err
		}
		head, moved := mark.watch()
		if head > after {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing:
			return s.gone()
		}
	}
}
