package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// MaxDisposals bounds how many disposals one call takes, and maxDisposed how many facts one of them destroys.
const (
	MaxDisposals = 1000
	maxDisposed  = 10_000
	maxKept      = 100_000 // decisions that must stay, in one call
)

// Retention destroys what was kept long enough.
type Retention interface {
	// DisposeDecisions looks at the next decisions and removes those that were made too long ago, in one transaction.
	DisposeDecisions(ctx context.Context, d DecisionDisposal) (DecisionsDisposed, error)
	// DisposeFacts takes payloads away, all in one transaction; a disposal whose callee has meanwhile more facts is left out. An
	// embedded ledger overwrites the bytes in its files as soon as nobody reads the old ones; what a server keeps is the
	// server's business.
	DisposeFacts(ctx context.Context, disposals []FactDisposal) ([]FactsDisposed, error)
	// Callees gives the callees about whom there are facts, in order, behind one of them (zero: from the first), at most limit
	// (1 to MaxTail).
	Callees(ctx context.Context, after eligibility.CalleeToken, limit int) ([]eligibility.CalleeToken, error)
	// Numbered tells which of 1 to MaxCallees callees have a sealed number, in order.
	Numbered(ctx context.Context, callees []eligibility.CalleeToken) ([]eligibility.CalleeToken, error)
}

// DecisionDisposal says which decisions are looked at, and which of them go.
type DecisionDisposal struct {
	After  [16]byte   // look behind this id; zero: from the first
	Allows time.Time  // ALLOWs made before go; zero: none
	Others time.Time  // others made before go; zero: none
	Keep   [][16]byte // never go
	Limit  int        // how many are looked at, 1 to MaxTail
	DryRun bool       // nothing goes
}

// before is when the youngest decision was made that may go.
func (d *DecisionDisposal) before() time.Time {
	if d.Allows.After(d.Others) {
		return d.Allows
	}
	return d.Others
}

// whole is before when every decision goes, but those to be kept.
func (d *DecisionDisposal) whole() time.Time {
	if d.Allows.Before(d.Others) {
		return d.Allows
	}
	return d.Others
}

// old reports whether a decision was made long enough ago.
func (d *DecisionDisposal) old(at *decisionAt) bool {
	if at.verdict == int32(eligibility.Allow) {
		return at.time < nanoseconds(d.Allows)
	}
	return at.time < nanoseconds(d.Others)
}

func (d *DecisionDisposal) kept() map[[16]byte]bool {
	kept := make(map[[16]byte]bool, len(d.Keep))
	for _, id := range d.Keep {
		kept[id] = true
	}
	return kept
}

func (d *DecisionDisposal) check() error {
	if err := checkLimit(d.Limit); err != nil {
		return err
	}
	if len(d.Keep) > maxKept {
		return fmt.Errorf("%w: %d decisions to be kept, at most %d", ErrInvalid, len(d.Keep), maxKept)
	}
	return nil
}

// DecisionsDisposed is what came of looking at decisions.
type DecisionsDisposed struct {
	Allows, Others DisposedCount
	Last           [16]byte // go on behind it
	Done           bool     // there are no others that are old enough
}

// DisposedCount tells of decisions of one sort.
type DisposedCount struct {
	Looked, Gone uint64
	Kept         uint64    // old enough, and to be kept
	Oldest       time.Time // of those that stay; zero: none
}

func (c *DisposedCount) add(at *decisionAt, old, kept bool) {
	c.Looked++
	switch {
	case old && !kept:
		c.Gone++
		return
	case old:
		c.Kept++
	}
	if made := time.Unix(0, at.time).UTC(); c.Oldest.IsZero() || made.Before(c.Oldest) {
		c.Oldest = made
	}
}

// decisionAt is a decision as far as it matters here.
type decisionAt struct {
	id      [16]byte
	time    int64
	verdict int32
}

// sort counts decisions, and gives the ids of those that go.
func (d *DecisionDisposal) sort(found []decisionAt) (done DecisionsDisposed, ids [][]byte) {
	done.Last, done.Done = d.After, len(found) < d.Limit
	kept := d.kept()
	for i := range found {
		at := &found[i]
		count := &done.Others
		if at.verdict == int32(eligibility.Allow) {
			count = &done.Allows
		}
		old := d.old(at)
		count.add(at, old, kept[at.id])
		if done.Last = at.id; old && !kept[at.id] {
			ids = append(ids, at.id[:])
		}
	}
	return done, ids
}

// FactDisposal takes the payloads of some of a callee's facts away.
type FactDisposal struct {
	// Fact says that it was done; it has a callee and no sealed number, and its request key is new.
	Fact Append
	// Positions of the facts, in order.
	Positions []uint64
	// Number: the sealed number goes too.
	Number bool
	// Through is the callee's last position that the caller has seen.
	Through uint64
}

// FactsDisposed is what came of a disposal.
type FactsDisposed struct {
	Appended
	Moved bool // the callee has facts after Through; nothing was changed
}

func checkDisposals(disposals []FactDisposal) error {
	if len(disposals) < 1 || len(disposals) > MaxDisposals {
		return fmt.Errorf("%w: %d disposals, want 1 to %d", ErrInvalid, len(disposals), MaxDisposals)
	}
	for i := range disposals {
		d := &disposals[i]
		err := checkFact(&d.Fact)
		switch {
		case err != nil:
		case d.Fact.RequestKey == "" || d.Fact.Callee.IsZero() || d.Fact.SealedNumber != nil:
			err = fmt.Errorf("%w: the fact of a disposal needs a request key and a callee, and has no sealed number", ErrInvalid)
		case len(d.Positions) > maxDisposed || !slices.IsSorted(d.Positions) || len(d.Positions) > 0 && d.Positions[len(d.Positions)-1] > d.Through:
			err = fmt.Errorf("%w: want at most %d positions, in order, up to %d", ErrInvalid, maxDisposed, d.Through)
		}
		if err != nil {
			return fmt.Errorf("disposal %d: %w", i, err)
		}
	}
	return nil
}

// moved reports whether the callee has facts that were not looked at.
func (d *FactDisposal) moved(last uint64) bool { return last != d.Through && !mutantDisposeUnseen }
