// Package ledger is the durable record of facts and decisions. It knows how to append facts, number them in commit
// order, chain them by hash, read one callee's facts, hand out the tail, and keep decisions by id.
//
// It must not know what a fact means: kinds are numbers, payloads are bytes, and no other room is imported but
// eligibility, for the callee token.
//
// The states of an append, named by what a crash loses: waiting (lost), written (lost until the commit's fsync is
// done), acknowledged (kept, and visible to every read that starts afterwards).
package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Limits on what a ledger takes from outside.
const (
	MaxKey       = 256       // bytes of a request key, reference, journal source, campaign or metadata key
	MaxCallID    = 128       // bytes of a dialer's own id of a call
	MaxKinds     = 32        // kinds in one question of OfKinds
	MaxPayload   = 256 << 10 // bytes of a fact's or decision's payload, and of a metadata value
	MaxSealed    = 1 << 10   // bytes of a sealed number
	MaxFacts     = 100_000   // facts in one Append; a call of that size keeps others waiting for about a second
	MaxDecisions = 10_000    // decisions in one ShipDecisions
	MaxTail      = 10_000    // entries in one answer of Tail
	maxBytes     = 64 << 20  // payload bytes in one Append, ShipDecisions or answer of Tail
)

// What can go wrong. Errors wrap one of these; a cancelled context gives the context's own error.
var (
	// ErrNotFound means that there is nothing under that position, reference, callee, id or key.
	ErrNotFound = errors.New("ledger: not found")
	// ErrInvalid means that the input breaks a limit; the message names the field. Nothing was changed.
	ErrInvalid = errors.New("ledger: invalid input")
	// ErrRequestReused means that a request key already stands for other content; see FactError.
	ErrRequestReused = errors.New("ledger: request key already used for other content")
	// ErrReferenceTaken means that a reference already stands for another fact; see FactError.
	ErrReferenceTaken = errors.New("ledger: reference already taken")
	// ErrMoved means that a callee has facts beyond those that an erasure takes into account. Nothing was changed.
	ErrMoved = errors.New("ledger: facts were recorded meanwhile")
	// ErrPlace means that a journal's decisions do not start where the last ones ended.
	ErrPlace = errors.New("ledger: decisions do not continue from the stored place")
	// ErrInUse means that another process holds the ledger's folder.
	ErrInUse = errors.New("ledger: in use by another process")
	// ErrNewerSchema means that a newer binary has migrated the ledger; it was left untouched.
	ErrNewerSchema = errors.New("ledger: newer schema")
	// ErrCorrupt means that what is stored cannot be what was written. Nothing is repaired or overwritten.
	ErrCorrupt = errors.New("ledger: corrupt")
	// ErrNotWritable means that the ledger's folder or file cannot be created or written.
	ErrNotWritable = errors.New("ledger: not writable")
	// ErrUnavailable means that the ledger cannot answer now: closed, disk full, or stopped after an I/O error.
	ErrUnavailable = errors.New("ledger: unavailable")
)

// FactError is the refusal of an Append because of one of its facts.
type FactError struct {
	Index int   // place of the fact in the call, from 0
	Err   error // ErrInvalid, ErrRequestReused or ErrReferenceTaken, possibly wrapped
}

func (e *FactError) Error() string { return fmt.Sprintf("fact %d: %v", e.Index, e.Err) }

func (e *FactError) Unwrap() error { return e.Err }

// Append is one fact to record.
type Append struct {
	// RequestKey makes the fact idempotent: 1 to MaxKey bytes of UTF-8 without NUL. A fact about a callee may have none (""):
	// then its callee, kind and payload do, among facts without a key. Its Entry has the key that the ledger keeps for it.
	RequestKey string
	// Callee is whom the fact is about; zero for facts about the catalogue.
	Callee eligibility.CalleeToken
	// SealedNumber is the callee's number, sealed, at most MaxSealed bytes. The first one given for a callee is
	// kept, later ones are ignored. Nil where the caller has only the token; must be nil for the catalogue.
	SealedNumber []byte
	// Kind is the number of the fact's kind.
	Kind int32
	// Reference is an optional second key for look-up, unique in the ledger: at most MaxKey bytes, "" for none.
	Reference string
	// Payload is the fact itself, at most MaxPayload bytes.
	Payload []byte
}

// Erasure takes a callee's number and the payloads of some of its facts away. What stays of such a fact is everything else,
// the hash of its payload included, so that the chain still holds.
type Erasure struct {
	// Fact says that it was done; it has a callee and no sealed number.
	Fact Append
	// Kinds (1 to MaxKinds) are those whose payloads go.
	Kinds []int32
	// Through is the callee's last position that the caller has seen; 0 for none.
	Through uint64
}

// Appended says where a fact stands. Repeated means that an earlier Append had recorded it: position and time are
// those of the first, and reference and sealed number of the repeat were ignored.
type Appended struct {
	Position   uint64
	RecordTime time.Time
	Repeated   bool
}

// Entry is one recorded fact.
type Entry struct {
	Position   uint64
	Callee     eligibility.CalleeToken
	Kind       int32
	RequestKey string
	Reference  string
	// RecordTime is when the ledger took the fact, in UTC; it never goes back from one position to the next.
	RecordTime time.Time
	Payload    []byte
	// Hash chains the fact to the one before it; see hashEntry for what it covers.
	Hash [32]byte
	// Erased means that the payload was erased and is nil. A reader that needs it must not read this as "empty".
	Erased bool
}

// Snapshot is one consistent reading: every fact asked for at or before Head, and nothing after it.
type Snapshot struct {
	Entries []Entry // in order of position
	Head    uint64  // the ledger's last position at the moment of reading, whatever upTo was
}

// Decision is one answered check.
type Decision struct {
	// ID begins with Time in milliseconds, 48 bits, so that the order of ids is that of times.
	ID       [16]byte
	Time     time.Time // kept to the nanosecond, given back in UTC
	Callee   eligibility.CalleeToken
	Campaign string
	Verdict  int32 // an eligibility.Verdict
	Reason   int32
	// CallID is the dialer's own id of the call, at most MaxCallID bytes, "" for none. Several decisions may have one.
	CallID  string
	Payload []byte
}

// DecisionFilter says which decisions are asked for; what is zero does not matter.
type DecisionFilter struct {
	Campaign string
	Callee   eligibility.CalleeToken
	Verdict  int32
	Reason   int32
	From     time.Time // decided at or after
	Until    time.Time // decided before
	Before   [16]byte  // only ids below this one: the last id of one answer goes on with the next
}

// Shipped is an ALLOW that has reached the ledger.
type Shipped struct {
	Decision
	// Number rises in the order in which ALLOWs reached the ledger, from 1; there may be gaps.
	Number uint64
}

// VerifyReport is the result of walking the whole chain.
type VerifyReport struct {
	Head   uint64 // the last position when the walk began
	Hash   [32]byte
	Sound  uint64 // positions 1 to Sound are as they were written
	Erased uint64 // facts among them whose payload was erased, which the chain allows
	// Wrong is the first position that is not as it was written, 0 for none; Problem says what is wrong there.
	// A problem without a position (Wrong 0, Problem not "") lies in an index or a table outside the chain.
	Wrong   uint64
	Problem string
}

// OK reports whether the ledger is as it was written.
func (v VerifyReport) OK() bool { return v.Problem == "" }

// Ledger is the durable record. All methods may be called concurrently. A read that meets a payload other than the one
// that was written fails with ErrCorrupt.
type Ledger interface {
	Facts
	Decisions
	Metadata
	Retention

	// Verify walks the whole ledger. A wrong ledger is a report, not an error; an error means that the walk could
	// not be finished.
	Verify(ctx context.Context) (VerifyReport, error)
	// Close finishes the writes under way and releases the ledger. Everything afterwards is ErrUnavailable.
	Close() error
}

// Facts is the ledger of facts: a chain in order of commits.
type Facts interface {
	// Append records all facts in one transaction, or none. New facts get consecutive positions, in commit order,
	// from 1 and without gaps. A fact whose request key is known with the same callee, kind and payload is answered
	// with the first one's position and Repeated; with other content the whole call fails with ErrRequestReused in a
	// FactError. It returns only when the facts are on disk. When ctx ends first, or the ledger becomes ErrUnavailable
	// meanwhile, the outcome is unknown: repeating the same call is safe and tells.
	Append(ctx context.Context, facts []Append) ([]Appended, error)

	// Erase does what an Erasure says and records its fact, in one transaction, or nothing: ErrMoved where the callee has
	// facts after Through. Its fact is idempotent as in Append, and a repeat erases nothing more. When it returns, no byte
	// of what was erased is left in the files of an embedded ledger; what a server keeps is the server's business.
	Erase(ctx context.Context, e Erasure) (Appended, error)

	// Facts gives the facts of one callee (zero: the catalogue) at or before upTo; 0 means all.
	Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (Snapshot, error)
	// FactsOfMany gives the facts of 1 to MaxCallees callees, those of one callee together and in order of position. A
	// callee without facts is not in it.
	FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (Snapshot, error)
	// LatestOfKind gives the newest fact of a kind at or before upTo (0: the newest of all), and false for none.
	LatestOfKind(ctx context.Context, kind int32, upTo uint64) (Entry, bool, error)
	// Entry gives the fact at a position, or ErrNotFound.
	Entry(ctx context.Context, position uint64) (Entry, error)
	// ByReference gives the fact with that reference, or ErrNotFound.
	ByReference(ctx context.Context, reference string) (Entry, error)
	// Tail gives the facts after a position, in order, at most limit (1 to MaxTail). It may give fewer than there
	// are, to bound memory, but none only when there are none.
	Tail(ctx context.Context, after uint64, limit int) ([]Entry, error)
	// OfKinds gives the facts of some kinds (1 to MaxKinds) after a position, in order, at most limit (1 to MaxTail), and
	// the ledger's last position: fewer than limit are all there are up to that head.
	OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) (entries []Entry, head uint64, err error)
	// Wait returns nil as soon as the head is beyond after.
	Wait(ctx context.Context, after uint64) error
	// Head is the last position, 0 for an empty ledger.
	Head(ctx context.Context) (uint64, error)
	// SealedNumber gives the sealed number kept for a callee, or ErrNotFound.
	SealedNumber(ctx context.Context, callee eligibility.CalleeToken) ([]byte, error)
}

// Decisions is what the journals of all nodes have shipped.
type Decisions interface {
	// Place is how far the decisions of a journal (source) have been shipped; 0 for an unknown one.
	Place(ctx context.Context, source string) (uint64, error)
	// ShipDecisions records the decisions a journal holds between two of its places, and moves its place from one
	// to the other, in one transaction. It does nothing if the place is already at or beyond through, and fails
	// with ErrPlace if it is not from. A decision whose ID is known is not recorded twice.
	ShipDecisions(ctx context.Context, source string, from, through uint64, decisions []Decision) error
	// Decision gives a decision by its id, or ErrNotFound.
	Decision(ctx context.Context, id [16]byte) (Decision, error)

	// LatestDecisions gives a callee's decisions, newest first, at most limit (1 to MaxTail).
	LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([]Decision, error)
	// DecisionsByCall gives the decisions with a dialer's id of the call, newest first, at most limit (1 to MaxTail).
	DecisionsByCall(ctx context.Context, callID string, limit int) ([]Decision, error)
	// ListDecisions gives decisions, newest first by id, at most limit (1 to MaxTail).
	ListDecisions(ctx context.Context, f DecisionFilter, limit int) ([]Decision, error)
	// AllowedAfter gives the ALLOWs with a Number above after, in its order, at most limit (1 to MaxTail). Numbers become
	// visible in order: who goes on after the last one misses none and sees each once. ALLOWs that were recorded before
	// the ledger numbered them have no Number and are not given.
	AllowedAfter(ctx context.Context, after uint64, limit int) ([]Shipped, error)
	// AllowedFrom gives a number for AllowedAfter: every ALLOW decided at or after t, whether it has reached the ledger
	// already or not, is numbered above it.
	AllowedFrom(ctx context.Context, t time.Time) (after uint64, err error)
}

// Metadata says which ledger this is, and keeps what is set once for it.
type Metadata interface {
	// DeploymentID is drawn at random when the ledger is created and never changes.
	DeploymentID(ctx context.Context) ([16]byte, error)
	// Meta gives the value of a metadata key, or ErrNotFound.
	Meta(ctx context.Context, key string) ([]byte, error)
	// SetMeta sets a metadata key that is not set yet, and gives the value that now stands: the first one set.
	SetMeta(ctx context.Context, key string, value []byte) ([]byte, error)
}
