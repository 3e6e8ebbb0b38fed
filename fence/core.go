package fence

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

var (
	errGap        = errors.New("fence: the ledger gave changes with a gap")
	errRolledBack = errors.New("fence: the ledger has lost positions that were applied; no lease until this process restarts")
	errDrift      = errors.New("fence: this clock and the ledger's differ too much in rate; no lease")
	errUnmeasured = errors.New("fence: this clock was not yet compared with the ledger's; no lease")
	errLate       = errors.New("fence: the ledger took longer than a lease lasts")
	errClosed     = errors.New("fence: closed")
)

// rules are the same on all nodes of a deployment.
type rules struct {
	term  time.Duration
	bound float64
}

// patience is how long, on a clock within the bound, to wait so that a lease sent before has run out on every other clock
// within the bound. With both rates in 1±bound of the ledger's the leases' length is at most the first summand; the second
// is for the resolution of clocks.
func (r rules) patience() time.Duration {
	if mutantImpatient {
		return r.term / 20
	}
	return time.Duration(math.Ceil(float64(r.term)*(1+r.bound)/(1-r.bound))) + r.term/200
}

// noLease lies before every reading of a clock.
const noLease = math.MinInt64

// core is the protocol without goroutines, calls and clocks: every method is told the time, as the boot-time clock has it.
// Whoever drives it keeps its methods, but for held and receive, from running at once.
type core struct {
	id      NodeID
	rules   rules
	floors  Floors
	changed func(eligibility.CalleeToken, uint64)

	lease   atomic.Int64 // when it runs out
	applied uint64       // every change up to here is heeded
	head    uint64       // as last seen
	acked   uint64       // as last acknowledged
	behind  bool         // must catch up before it may announce itself again
	loaded  bool         // has once caught up
	lost    bool         // the ledger was rolled back
	closed  bool
	drift   driftMeter

	asked   uint64 // the highest position that somebody waits to see settled
	settled uint64 // no other node can answer without heeding this
	seen    map[NodeID]sighting
	nodes   []Node
}

func newCore(id NodeID, r rules, floors Floors, changed func(eligibility.CalleeToken, uint64)) *core {
	c := &core{id: id, rules: r, floors: floors, changed: changed, behind: true}
	c.drift.bound, c.drift.stretch = r.bound, r.term
	c.lease.Store(noLease)
	return c
}

// start makes position the one that everything is known from: older records are refused, whoever they are about.
func (c *core) start(position uint64) {
	if !mutantForgetsFloors {
		c.floors.DropBefore(position)
	}
	c.applied, c.head = position, position
}

func (c *core) held(now time.Duration) bool {
	return mutantNoLease || int64(now) < c.lease.Load()
}

func (c *core) giveUpLease() { c.lease.Store(noLease) }

func (c *core) close() {
	c.closed = true
	c.giveUpLease()
}

// batch is an answer of Changes whose floors are raised, on its way to be applied.
type batch struct {
	after, last, head uint64
	catalogue         uint64 // the last change of the catalogue in it, 0 for none
}

// receive raises the floors of what Changes answered. It may run beside the other methods: raising more is always safe.
func (c *core) receive(after uint64, changes []Change, head uint64) (batch, error) {
	b := batch{after: after, last: after, head: head}
	for i := range changes {
		change := &changes[i]
		if change.Position != b.last+1 {
			return batch{}, fmt.Errorf("%w: %d after %d", errGap, change.Position, b.last)
		}
		b.last = change.Position
		if change.Aside {
			continue
		}
		if change.Callee.IsZero() {
			b.catalogue = b.last
			continue
		}
		c.floors.Raise(change.Callee, b.last)
		if c.changed != nil {
			c.changed(change.Callee, b.last)
		}
	}
	if head > b.last && len(changes) == 0 {
		return batch{}, fmt.Errorf("%w: none after %d, head %d", errGap, after, head)
	}
	if b.last > after {
		b.head = max(head, b.last)
	}
	if mutantTailSkips {
		b.last = max(b.last, b.head)
	}
	if mutantAckFirst {
		c.applied = max(c.applied, b.last)
	}
	return b, nil
}

// apply takes a batch into account whose catalogue, if it has one, is in force.
func (c *core) apply(b batch) error {
	if b.head < b.after && !c.lost {
		c.lost = true
		c.giveUpLease()
	}
	if c.lost {
		return errRolledBack
	}
	c.applied = max(c.applied, b.last)
	c.head = max(c.head, b.head)
	c.behind = c.applied < b.head
	c.loaded = c.loaded || !c.behind
	return nil
}

// stumble notes that changes could not be applied. A node that cannot must not announce itself: writers would wait for it.
func (c *core) stumble() { c.behind = true }

// acknowledgement is the position to acknowledge, if there is a new one.
func (c *core) acknowledgement() (position uint64, due bool) { return c.applied, c.applied > c.acked }

func (c *core) acknowledged(position uint64) { c.acked = max(c.acked, position) }

func (c *core) state(now time.Duration) State {
	s := State{
		Applied: c.applied, Head: c.head, Drift: c.drift.estimate, DriftExceeded: c.drift.exceeded,
		Nodes: append([]Node(nil), c.nodes...), SnapshotLoaded: c.loaded,
	}
	if c.held(now) {
		s.Held, s.Remaining = true, time.Duration(c.lease.Load())-now
	}
	return s
}
