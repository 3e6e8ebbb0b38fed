package server

import (
	"context"
	"errors"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// What a store may answer, for whoever adapts one: anything else counts as "unavailable".
var (
	// ErrNotFound means that there is nothing under that reference or id.
	ErrNotFound = errors.New("server: not found")
	// ErrRequestReused means that a request key stands for other content; a *WriteError says which write.
	ErrRequestReused = errors.New("server: request key already used for other content")
	// ErrReferenceTaken means that a reference stands for another fact; a *WriteError says which write.
	ErrReferenceTaken = errors.New("server: reference already taken")
	// ErrMoved means that a callee has facts beyond those that an erasure takes into account.
	ErrMoved = errors.New("server: facts were recorded meanwhile")
	// ErrLedgerAway means that the ledger does not answer at all.
	ErrLedgerAway = errors.New("server: the ledger is away")
)

// WriteError says which of several writes was refused, and why. Nothing was written.
type WriteError struct {
	Index int // from 0
	Err   error
}

func (e *WriteError) Error() string { return "server: write refused: " + e.Err.Error() }

func (e *WriteError) Unwrap() error { return e.Err }

// Write is one fact for the ledger.
type Write struct {
	RequestKey   string                  // makes the write happen once; "": its callee, kind and payload do
	Callee       eligibility.CalleeToken // zero for the catalogue
	SealedNumber []byte                  // nil for the catalogue
	Kind         int32                   // as the room record numbers them
	Reference    string                  // a second key, such as a receipt; "" for none
	Payload      []byte
}

// Written says where a fact stands. Repeated: an earlier write had recorded it, and position and time are that one's.
type Written struct {
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
	RecordTime time.Time
	Payload    []byte
	Hash       [32]byte
	Erased     bool // the payload was erased, which is not the same as empty
}

// Snapshot is one consistent reading of a callee's facts.
type Snapshot struct {
	Entries []Entry // in order of position
	Head    uint64  // the ledger's last position at that moment
}

// Facts reads the ledger. A read must see every write that was acknowledged before it began.
type Facts interface {
	// Facts gives a callee's facts at or before upTo; 0 means all.
	Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (Snapshot, error)
	// LatestOfKind gives the newest fact of a kind at or before upTo (0: of all), and false for none.
	LatestOfKind(ctx context.Context, kind int32, upTo uint64) (Entry, bool, error)
	// Entry gives the fact at a position, or ErrNotFound.
	Entry(ctx context.Context, position uint64) (Entry, error)
	// ByReference gives the fact with that reference, or ErrNotFound.
	ByReference(ctx context.Context, reference string) (Entry, error)
}

// ManyFacts reads the ledger for lists.
type ManyFacts interface {
	// FactsOfMany gives the facts of 1 to 1,000 callees, those of one callee together and in order of position. A read must
	// see every write that was acknowledged before it began.
	FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (Snapshot, error)
}

// Appender writes the ledger.
type Appender interface {
	// Append records all writes, durably, in one transaction, or none. A request key that is known with the same callee,
	// kind and payload is answered Repeated; with other content the call fails with ErrRequestReused in a *WriteError, and
	// with ErrReferenceTaken where the reference is another fact's.
	Append(ctx context.Context, writes []Write) ([]Written, error)
}

// Eraser takes away what the ledger holds about a person.
type Eraser interface {
	// Erase records w, and takes away its callee's number and the payloads of its facts of some kinds, durably, in one
	// transaction, or does nothing: ErrMoved where the callee has facts after through, else the errors of Append.
	Erase(ctx context.Context, w Write, kinds []int32, through uint64) (Written, error)
}

// Disposer destroys what the ledger has kept long enough.
type Disposer interface {
	// DisposeDecisions looks at the next decisions and removes those that were made too long ago, in one transaction.
	DisposeDecisions(ctx context.Context, d DecisionDisposal) (DecisionsDisposed, error)
	// DisposeFacts records each disposal's write and takes the payloads away, all durably and in one transaction. A disposal
	// whose callee has facts after Through is left out, and its answer is Moved.
	DisposeFacts(ctx context.Context, disposals []FactDisposal) ([]FactsDisposed, error)
}

// CalleeWalk goes through the callees of a ledger.
type CalleeWalk interface {
	// Callees gives the callees about whom there are facts, in order, behind one of them, at most limit.
	Callees(ctx context.Context, after eligibility.CalleeToken, limit int) ([]eligibility.CalleeToken, error)
	// Numbered tells which of 1 to 1,000 callees have a sealed number.
	Numbered(ctx context.Context, callees []eligibility.CalleeToken) ([]eligibility.CalleeToken, error)
}

// DecisionDisposal says which decisions are looked at, and which of them go.
type DecisionDisposal struct {
	After  [16]byte   // look behind this id; zero: from the first
	Allows time.Time  // ALLOWs made before go; zero: none
	Others time.Time  // others made before go; zero: none
	Keep   [][16]byte // never go
	Limit  int        // how many are looked at
	DryRun bool       // nothing goes
}

// DecisionsDisposed is what came of looking at decisions.
type DecisionsDisposed struct {
	Allows, Others DisposedCount
	Last           [16]byte // go on behind it
	Done           bool
}

// DisposedCount tells of decisions of one sort; Oldest is of those that stay, zero for none.
type DisposedCount struct {
	Looked, Gone, Kept uint64
	Oldest             time.Time
}

// FactDisposal takes the payloads of some of a callee's facts away, and its sealed number if Number.
type FactDisposal struct {
	Write     Write
	Positions []uint64
	Number    bool
	Through   uint64 // the callee's last position that was looked at
}

// FactsDisposed is what came of a disposal.
type FactsDisposed struct {
	Written
	Moved bool
}

// Decisions reads the decisions that have reached the ledger, as payloads of the journal.
type Decisions interface {
	// Decision gives a decision, or ErrNotFound.
	Decision(ctx context.Context, id [16]byte) ([]byte, error)
	// LatestDecisions gives a callee's decisions, newest first, at most limit.
	LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([][]byte, error)
	// DecisionsByCall gives the decisions with a dialer's own id of the call, newest first, at most limit.
	DecisionsByCall(ctx context.Context, callID string, limit int) ([][]byte, error)
	// ListDecisions gives decisions, newest first by id, at most limit.
	ListDecisions(ctx context.Context, f DecisionFilter, limit int) ([][]byte, error)
}

// DecisionFilter says which decisions are wanted; its zero value: all of them.
type DecisionFilter struct {
	Campaign    string                  // "": any
	Callee      eligibility.CalleeToken // zero: any
	Verdict     int32                   // 0: any
	Reason      int32                   // the headline; 0: any
	From, Until time.Time               // of the decision, Until exclusive; zero: open
	Before      [16]byte                // ids below this one; zero: from the newest
}

// Hold asks to keep a callee for one call: until it ends, no other call to that callee is allowed. Zero: asks nothing.
type Hold struct {
	ID  [16]byte // of the call; the same one may ask again
	For time.Duration
}

// Attempt is an ALLOW that was answered, until it is reported what became of the call.
type Attempt struct {
	ID       [16]byte // of the decision
	Campaign string
	At       time.Time
}

// Looked is what a cache knows of a callee.
type Looked struct {
	Record *eligibility.Eligibility // nil: none, or one below the callee's floor
	// Free: the hold was taken, or was this ID's already, or none was asked for.
	Free       bool
	Unreported []Attempt
}

// Cache holds eligibility records. It may forget any of them at any time.
type Cache interface {
	// Look gives what is known of a callee, and in the same step takes the hold.
	Look(ctx context.Context, callee eligibility.CalleeToken, hold Hold) Looked
	// Put offers a record; one below its callee's floor is not kept.
	Put(ctx context.Context, e *eligibility.Eligibility)
	// Release gives a hold back before it ends, without waiting.
	Release(callee eligibility.CalleeToken, id [16]byte)
}

// Attempts count calls from their ALLOW until they are reported.
type Attempts interface {
	// Allowed counts an attempt, without waiting.
	Allowed(callee eligibility.CalleeToken, attempt Attempt)
	// Reported ends the counting of an attempt: of that ID or, where it is zero, of the oldest in the campaign.
	Reported(callee eligibility.CalleeToken, id [16]byte, campaign string)
}

// Floors know the position of the last fact about each callee.
type Floors interface {
	// Raise notes that a fact about a callee stands at a position. It never lowers a floor.
	Raise(callee eligibility.CalleeToken, position uint64)
	// Current reports whether a record read at a position holds every fact up to the callee's floor. It may say false of a
	// record that does, never true of one that does not.
	Current(callee eligibility.CalleeToken, position uint64) bool
}

// Lease tells what this node and the others may rely on.
type Lease interface {
	// Held reports whether, at this moment, this node's floors and catalogue hold everything that was acknowledged on any
	// node: only then may it answer ALLOW from what it keeps.
	Held() bool
	// Settle returns when no node answers ALLOW any more on the strength of less than the facts up to a position; its error
	// is the context's.
	Settle(ctx context.Context, position uint64) error
}

// Permit is what an ALLOW carries.
type Permit struct {
	DecisionID   [16]byte
	Callee       eligibility.CalleeToken
	CallerID     string // E.164
	Campaign     string
	Organisation string
	Issued       time.Time // when the question was taken up
	DialUntil    time.Time
	ReportUntil  time.Time
}

// Permits signs permits, so that others can check them and reports can refer to them.
type Permits interface {
	Sign(p Permit) (token string, err error)
	// ForReport gives the permit that a report refers to, and tells whether the report is late. Its error says why there is
	// none, without a word of what was sent.
	ForReport(token string, now time.Time) (p Permit, late bool, err error)
}

// PendingJournal keeps, on this node's disk, objections that the ledger could not take.
type PendingJournal interface {
	// Append returns once the record is on disk.
	Append(ctx context.Context, payload []byte) (seq uint64, err error)
}

// Journal is this node's log of decisions on their way to the ledger. Sequence numbers rise.
type Journal interface {
	// Append returns once the record is on disk.
	Append(ctx context.Context, payload []byte) (seq uint64, err error)
	// AppendNoWait queues the record; it never waits for the disk.
	AppendNoWait(payload []byte) (seq uint64, err error)
	// Shipped waits until a record has reached the ledger.
	Shipped(ctx context.Context, seq uint64) error
}
