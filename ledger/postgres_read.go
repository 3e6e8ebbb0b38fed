package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/belpoort/belpoort/eligibility"
)

// Every reading of facts is one statement, hence one snapshot, that also gives the head: first row, first column, and
// nulls after it where there is no fact.
const (
	postgresColumns = "SELECT h.position, f.position, f.callee, f.kind, f.record_time, f.request_key, f.reference, f.payload_hash, f.hash, f.payload FROM head h LEFT JOIN "
	postgresOrder   = " WHERE h.id = 1 ORDER BY f.position"

	postgresFacts     = postgresColumns + "facts f ON f.callee = $1 AND f.position <= $2" + postgresOrder
	postgresEntry     = postgresColumns + "facts f ON f.position = $1" + postgresOrder
	postgresReference = postgresColumns + "facts f ON f.reference = $1" + postgresOrder
	// "kind = $1 ORDER BY position" lets the planner walk all facts from the end until one is of the kind.
	postgresLatest = postgresColumns + "LATERAL (SELECT * FROM facts WHERE kind BETWEEN $1 AND $1 AND position <= $2 ORDER BY kind DESC, position DESC LIMIT 1) f ON true" + postgresOrder
	// The server stops at $3 bytes of payload, because what it has begun to send must be read to the end.
	postgresTail = postgresColumns + `LATERAL (
		SELECT * FROM (
			SELECT *, sum(coalesce(octet_length(payload), 0)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - coalesce(octet_length(payload), 0) AS before
			FROM facts WHERE position > $1 ORDER BY position LIMIT $2
		) t WHERE before < $3) f ON true` + postgresOrder

	// A comparison of rows starts in the index at the position; "kind = k AND position > $2" may walk all facts instead.
	postgresOfKinds = postgresColumns + `LATERAL (
		SELECT t.* FROM unnest($1::int[]) k (kind) CROSS JOIN LATERAL (
			SELECT * FROM facts WHERE (facts.kind, position) > (k.kind, $2) AND facts.kind <= k.kind ORDER BY facts.kind, position LIMIT $3
		) t ORDER BY t.position LIMIT $3) f ON true` + postgresOrder

	postgresHead   = "SELECT position FROM head WHERE id = 1"
	postgresTip    = "SELECT position, record_time, hash, coalesce((SELECT max(position) FROM facts), 0) FROM head WHERE id = 1"
	postgresNumber = "SELECT sealed_number FROM callees WHERE token = $1"
	postgresPlace  = "SELECT place FROM places WHERE source = $1"
	postgresMeta   = "SELECT value FROM meta WHERE key = $1"
)

// postgresReads are prepared on every connection that reads.
var postgresReads = []string{postgresFacts, postgresFactsOfMany, postgresEntry, postgresReference, postgresLatest, postgresTail, postgresOfKinds, postgresHead,
	postgresTip, postgresNumber, postgresPlace, postgresMeta, postgresDecision, postgresLatestDecisions, postgresByCall, postgresAllowed, postgresAllowedFrom}

// stoppedAt is a position, or what limits one, as PostgreSQL's integer.
func stoppedAt(position uint64) int64 { return int64(min(position, math.MaxInt64)) }

// upToOrAll is the last position to read.
func upToOrAll(upTo uint64) int64 {
	if upTo == 0 {
		return math.MaxInt64
	}
	return stoppedAt(upTo)
}

// Facts is what is recorded about a callee.
func (p *Postgres) Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (Snapshot, error) {
	entries, head, err := p.entries(ctx, postgresFacts, callee[:], upToOrAll(upTo))
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Entries: entries, Head: head}, nil
}

// LatestOfKind is the newest fact of a kind.
func (p *Postgres) LatestOfKind(ctx context.Context, kind int32, upTo uint64) (Entry, bool, error) {
	entries, _, err := p.entries(ctx, postgresLatest, kind, upToOrAll(upTo))
	if err != nil || len(entries) == 0 {
		return Entry{}, false, err
	}
	return entries[0], true, nil
}

// Entry is the fact at a position.
func (p *Postgres) Entry(ctx context.Context, position uint64) (Entry, error) {
	entries, head, err := p.entries(ctx, postgresEntry, stoppedAt(position))
	switch {
	case err != nil:
		return Entry{}, err
	case len(entries) > 0 && entries[0].Position == position:
		return entries[0], nil
	case position > 0 && position <= head:
		return Entry{}, p.missing(position)
	}
	return Entry{}, fmt.Errorf("%w: position %d", ErrNotFound, position)
}

// ByReference is the fact with a reference.
func (p *Postgres) ByReference(ctx context.Context, reference string) (Entry, error) {
	if err := checkKey("reference", reference); err != nil {
		return Entry{}, err
	}
	entries, _, err := p.entries(ctx, postgresReference, reference)
	if err != nil {
		return Entry{}, err
	}
	if len(entries) == 0 {
		return Entry{}, ErrNotFound
	}
	return entries[0], nil
}

// Tail is what follows a position.
func (p *Postgres) Tail(ctx context.Context, after uint64, limit int) ([]Entry, error) {
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	entries, head, err := p.entries(ctx, postgresTail, stoppedAt(after), limit, maxBytes)
	if err != nil || after >= head {
		return nil, err
	}
	return entries, p.gapless(after, entries)
}

// OfKinds is what follows a position of some kinds.
func (p *Postgres) OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) (entries []Entry, head uint64, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, 0, err
	}
	if kinds, err = checkKinds(kinds); err != nil {
		return nil, 0, err
	}
	return p.entries(ctx, postgresOfKinds, kinds, stoppedAt(after), limit)
}

// entries reads facts and checks each payload against its hash.
func (p *Postgres) entries(ctx context.Context, query string, args ...any) ([]Entry, uint64, error) {
	rows, head, err := p.rows(ctx, query, args...)
	if err != nil {
		return nil, 0, err
	}
	var entries []Entry
	for i := range rows {
		f := &rows[i]
		if !f.Erased && sha256.Sum256(f.Payload) != f.payloadHash {
			return nil, 0, p.corrupt(f.Position, "the payload does not match its hash")
		}
		entries = append(entries, f.Entry)
	}
	return entries, head, nil
}

// rows reads facts as they are stored, and the head. A head before one that was seen already is refused: the server
// was put back to an older state.
func (p *Postgres) rows(ctx context.Context, query string, args ...any) (facts []row, head uint64, err error) {
	committed := p.head.now()
	err = p.read(ctx, func(ctx context.Context) error {
		found, err := p.reading.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		facts, head, err = p.scanAll(found)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return facts, head, p.advance(committed, head)
}

// advance takes note of a head that was read after committed was known.
func (p *Postgres) advance(committed, head uint64) error {
	if head < committed {
		return p.wentBack(committed, head)
	}
	p.head.move(head)
	return nil
}

func (p *Postgres) scanAll(found pgx.Rows) (facts []row, head uint64, err error) {
	answered := false
	for found.Next() {
		answered = true
		var f row
		there, err := p.scan(found, &head, &f)
		if err != nil {
			return nil, 0, err
		}
		if there {
			facts = append(facts, f)
		}
	}
	if err := found.Err(); err != nil {
		return nil, 0, err
	}
	if !answered {
		return nil, 0, headRow(pgx.ErrNoRows)
	}
	return facts, head, nil
}

func (p *Postgres) scan(found pgx.Rows, head *uint64, f *row) (there bool, err error) {
	var position, nanoseconds *int64
	var kind *int32
	var key, reference *string
	var callee, payloadHash, hash []byte
	if err := found.Scan(head, &position, &callee, &kind, &nanoseconds, &key, &reference, &payloadHash, &hash, &f.Payload); err != nil {
		return false, err
	}
	if position == nil {
		return false, nil
	}
	f.Position = uint64(*position)
	if kind == nil || nanoseconds == nil || key == nil ||
		copy(f.Callee[:], callee) != 16 || copy(f.payloadHash[:], payloadHash) != 32 || copy(f.Hash[:], hash) != 32 {
		return false, p.corrupt(f.Position, "a value is missing or too short")
	}
	f.Kind, f.RequestKey, f.RecordTime = *kind, *key, time.Unix(0, *nanoseconds).UTC()
	if reference != nil {
		f.Reference = *reference
	}
	f.Erased = f.Payload == nil
	return true, nil
}

func (p *Postgres) corrupt(position uint64, what string) error {
	return fmt.Errorf("%w: %s, position %d: %s", ErrCorrupt, p.path, position, what)
}

// headRow names the one cause of a head that is not there.
func headRow(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: the head is missing", ErrCorrupt)
	}
	return err
}

// value reads one column of one row into a variable, or fails with ErrNotFound.
func (p *Postgres) value(ctx context.Context, into any, query string, arg any) error {
	return p.read(ctx, func(ctx context.Context) error {
		err := p.reading.QueryRow(ctx, query, arg).Scan(into)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		return err
	})
}

// SealedNumber is the number kept for a callee.
func (p *Postgres) SealedNumber(ctx context.Context, callee eligibility.CalleeToken) (number []byte, err error) {
	err = p.value(ctx, &number, postgresNumber, callee[:])
	return number, err
}

// Head is the last position.
func (p *Postgres) Head(ctx context.Context) (head uint64, err error) {
	committed := p.head.now()
	err = p.read(ctx, func(ctx context.Context) error {
		return headRow(p.reading.QueryRow(ctx, postgresHead).Scan(&head))
	})
	if err != nil {
		return 0, err
	}
	return head, p.advance(committed, head)
}
