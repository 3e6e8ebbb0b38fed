// Package cache holds eligibility records by callee token, to save the ledger a reading. It knows tokens, positions and
// ages; it must not know what a record says, how a verdict is reached, or where facts come from.
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

// Store is the contract of every cache of records. All methods may be called at the same time.
type Store[R Record] interface {
	// Get returns the callee's record. It never returns one of another callee, one older than MaxAge by its ReadTime, or
	// one below the callee's floor: after Raise(callee, p) has returned, no record read before p.
	Get(ctx context.Context, callee eligibility.CalleeToken) (R, bool)

	// Put offers a record and tells whether it was taken. It is declined when it may be overruled (it lies below the
	// callee's floor, or is older than MaxAge), when an equal or newer one is there, or when it cannot be kept.
	Put(ctx context.Context, record R) bool

	// Raise says that a fact about the callee was committed at position. It never lowers a floor.
	Raise(callee eligibility.CalleeToken, position uint64)

	// Current tells whether a record read at position is still not below the callee's floor. It is asked once more just
	// before an ALLOW leaves. It may say false of a record that is good, never true of one that is not.
	Current(callee eligibility.CalleeToken, position uint64) bool

	Stats() Stats
}

// Stats counts since the cache was made. Every Get is a hit, a miss or stale.
type Stats struct {
	Hits          uint64
	Misses        uint64
	Stale         uint64 // a record was there, but too old, overtaken, or not this callee's
	Declined      uint64 // records offered and not taken
	Dropped       uint64 // records dropped because a fact came after them
	Evicted       uint64 // records dropped for want of memory
	FloorsEvicted uint64 // floors given up for want of memory; all older records near them are refused since

	Records int
	Floors  int
	Bytes   int64 // as charged against MaxBytes
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
