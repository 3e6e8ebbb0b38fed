// Package cache holds eligibility records by callee token, in this process or in Redis, to save the ledger a reading, and
// keeps a callee for one call at a time. It knows tokens, positions, ages and holds; it must not know what a record says,
// how a verdict is reached, or where facts come from.
//
// It never answers with a record that a later fact could have overruled. A fact about a callee raises that callee's
// floor: records read before it are dropped, and refused when they arrive late.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Record is what the cache needs to know of what it holds. A record must never change once it was put: the same record
// is handed to every reader, without a copy.
type Record interface {
	CalleeToken() eligibility.CalleeToken
	LedgerPosition() uint64 // the facts were read as the ledger stood here
	ReadTime() time.Time    // when they were read
	MemorySize() int        // bytes, with everything the record alone refers to
}

// Found is what a store knows of a callee.
type Found[R Record] struct {
	Record R    // none unless Found
	Found  bool // false also where the store cannot say
	Free   bool // the hold was taken, or is this ID's already, or none was asked; false: another call holds the callee
	// Attempts are those that count now, to be read only.
	Attempts []Attempt
}

// Store is the contract of every cache of records. All methods may be called at the same time.
type Store[R Record] interface {
	// Look returns the callee's record, and asks for the hold in the same step. It never returns a record of another
	// callee, one older than MaxAge by its ReadTime, or one below the callee's floor: after Raise(callee, p) has
	// returned, no record read before p. Whatever goes wrong is a record not found.
	Look(ctx context.Context, callee eligibility.CalleeToken, hold Hold) Found[R]

	// Release gives the ID's hold back before it runs out. It never waits. A store outside this process may keep the
	// hold until it runs out all the same.
	Release(callee eligibility.CalleeToken, id [16]byte)

	// Allowed counts an attempt, and Reported ends the counting of one: of that ID or, where it is zero, of the oldest of
	// that campaign. They never wait. A store outside this process does both a little later, or loses it.
	Allowed(callee eligibility.CalleeToken, attempt Attempt)
	Reported(callee eligibility.CalleeToken, id [16]byte, campaign string)

	// Put offers a record and tells whether it was taken on. It never waits. It is declined when it may be overruled (it
	// lies below the callee's floor, or is older than MaxAge) or when it cannot be kept. A store outside this process
	// writes it later, or loses it; it may replace a newer one, which costs a reading, never truth: floors decide.
	// A store within the process declines what is no newer than what it has.
	Put(ctx context.Context, record R) bool

	Floors

	Stats() Stats
}

// Floors are the positions below which nothing may be believed of a callee.
type Floors interface {
	// Raise says that a fact about the callee was committed at position. It never lowers a floor.
	Raise(callee eligibility.CalleeToken, position uint64)

	// Current tells whether a record read at position is still not below the callee's floor. It is asked once more just
	// before an ALLOW leaves. It may say false of a record that is good, never true of one that is not.
	Current(callee eligibility.CalleeToken, position uint64) bool
}

// Stats counts since the cache was made. Every look is a hit, a miss or stale.
type Stats struct {
	Hits          uint64
	Misses        uint64
	Stale         uint64 // a record was there, but too old, overtaken, or not this callee's
	Declined      uint64 // records offered and not taken
	Dropped       uint64 // records dropped because a fact came after them
	Evicted       uint64 // records dropped for want of memory
	FloorsEvicted uint64 // floors given up for want of memory; all older records near them are refused since

	HoldsTaken   uint64
	HoldsRefused uint64 // another call held the callee, or there were more than a million holds

	Records int
	Floors  int
	Holds   int
	Bytes   int64 // as charged against MaxBytes

	// Of a store outside this process.

	Timeouts    uint64 // misses because no answer came in time
	Away        uint64 // misses without asking, because it does not answer or was refused
	Failed      uint64 // misses because the answer was an error
	BadSeal     uint64 // stale: the seal does not open for this callee, or the value is no sealed record
	WrongCallee uint64 // stale: sealed, but about another callee
	BelowFloor  uint64 // stale: overtaken by a fact
	TooOld      uint64 // stale: older than MaxAge, or ahead of our clock
	Malformed   uint64 // stale: sealed, but not to be read
	Written     uint64 // records and releases written
	Unwritten   uint64 // records and releases given up: it is away, the queue was full, it had become too late, or writing failed
}

// ErrOptions says which option is out of range.
var ErrOptions = errors.New("cache: bad option")

// MaxAgeLimit is the longest a record may be believed.
const MaxAgeLimit = 24 * time.Hour

// Options bound a cache. A zero field means its default.
type Options struct {
	MaxBytes int64            // for keys, floors and records; 1 MiB to 1 TiB, default 256 MiB
	MaxAge   time.Duration    // by a record's ReadTime; 1 s to 24 h, default 24 h
	Clock    func() time.Time // default time.Now
}

// Check tells which field is out of range.
func (o Options) Check() error {
	o = o.withDefaults()
	if o.MaxBytes < 1<<20 || o.MaxBytes > 1<<40 {
		return fmt.Errorf("%w: MaxBytes is %d, want 1 MiB to 1 TiB", ErrOptions, o.MaxBytes)
	}
	if o.MaxAge < time.Second || o.MaxAge > MaxAgeLimit {
		return fmt.Errorf("%w: MaxAge is %v, want 1s to %v", ErrOptions, o.MaxAge, MaxAgeLimit)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	if o.MaxAge == 0 {
		o.MaxAge = MaxAgeLimit
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return o
}

// maxAhead is how far a record's ReadTime may lie in the future: the clocks of two machines differ a little. Beyond it
// a record is refused, else a clock set back would keep it alive.
const maxAhead = time.Minute

// fresh tells whether a record read then may be believed now.
func (o *Options) fresh(then, now time.Time) bool {
	age := now.Sub(then)
	return age <= o.MaxAge && age >= -maxAhead
}
