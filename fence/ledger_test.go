package fence

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// memLedger is a ledger in memory that keeps Ledger's promises. One may be shared by several links.
type memLedger struct {
	mu        sync.Mutex
	facts     []Change
	times     []time.Time
	rows      []Node
	announced uint64
	moved     chan struct{}
	clock     func() time.Time
}

func newLedger() *memLedger {
	return &memLedger{moved: make(chan struct{}), clock: time.Now}
}

func (l *memLedger) append(callee eligibility.CalleeToken) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	position := uint64(len(l.facts)) + 1
	l.facts = append(l.facts, Change{Position: position, Callee: callee})
	l.times = append(l.times, l.clock())
	close(l.moved)
	l.moved = make(chan struct{})
	return position
}

func (l *memLedger) row(id NodeID) (Node, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.rows, func(n Node) bool { return n.ID == id })
	if i < 0 {
		return Node{}, false
	}
	return l.rows[i], true
}

func (l *memLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.rows)
}

// link is one node's way to the ledger, with its troubles.
type link struct {
	*memLedger
	mu      sync.Mutex
	trouble func(call string) trouble
	calls   map[string]int
}

// trouble is what befalls one call.
type trouble struct {
	before, after time.Duration // delays
	hangs         bool          // nothing comes of it, and no answer
	lost          bool          // it is carried out, but the answer is lost
	err           error
}

func newLink(l *memLedger) *link { return &link{memLedger: l, calls: map[string]int{}} }

func (k *link) befall(f func(call string) trouble) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = f
}

func (k *link) called(call string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls[call]
}

// meet carries out a call with its trouble.
func (k *link) meet(ctx context.Context, call string, do func()) error {
	k.mu.Lock()
	k.calls[call]++
	var t trouble
	if k.trouble != nil {
		t = k.trouble(call)
	}
	k.mu.Unlock()
	if t.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if t.err != nil {
		return t.err
	}
	if err := sleep(ctx, t.before); err != nil {
		return err
	}
	k.memLedger.mu.Lock()
	do()
	k.memLedger.mu.Unlock()
	if t.lost {
		<-ctx.Done()
		return ctx.Err()
	}
	return sleep(ctx, t.after)
}

func (k *link) Announce(ctx context.Context, id NodeID, name string, applied uint64) (at time.Time, err error) {
	err = k.meet(ctx, "Announce", func() {
		at = k.clock()
		k.announced++
		i := slices.IndexFunc(k.rows, func(n Node) bool { return n.ID == id })
		if i < 0 {
			i = len(k.rows)
			k.rows = append(k.rows, Node{ID: id, Name: name})
		}
		k.rows[i].Announced = k.announced
		k.rows[i].Applied = max(k.rows[i].Applied, applied)
	})
	return at, err
}

func (k *link) Acknowledge(ctx context.Context, id NodeID, applied uint64) error {
	return k.meet(ctx, "Acknowledge", func() {
		for i := range k.rows {
			if k.rows[i].ID == id {
				k.rows[i].Applied = max(k.rows[i].Applied, applied)
			}
		}
	})
}

func (k *link) Leave(ctx context.Context, id NodeID) error {
	return k.meet(ctx, "Leave", func() {
		k.rows = slices.DeleteFunc(k.rows, func(n Node) bool { return n.ID == id })
	})
}

func (k *link) Nodes(ctx context.Context) (nodes []Node, err error) {
	err = k.meet(ctx, "Nodes", func() { nodes = slices.Clone(k.rows) })
	return nodes, err
}

func (k *link) Lapse(ctx context.Context, id NodeID, announced uint64) error {
	return k.meet(ctx, "Lapse", func() {
		k.rows = slices.DeleteFunc(k.rows, func(n Node) bool { return n.ID == id && n.Announced == announced })
	})
}

func (k *link) Changes(ctx context.Context, after uint64, limit int) (changes []Change, head uint64, err error) {
	err = k.meet(ctx, "Changes", func() {
		head = uint64(len(k.facts))
		if after < head {
			changes = slices.Clone(k.facts[after:min(head, after+uint64(limit))])
		}
	})
	return changes, head, err
}

func (k *link) Wait(ctx context.Context, after uint64) error {
	for {
		var head uint64
		var moved chan struct{}
		if err := k.meet(ctx, "Wait", func() { head, moved = uint64(len(k.facts)), k.moved }); err != nil {
			return err
		}
		if head > after {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *link) PositionAt(ctx context.Context, t time.Time) (position uint64, err error) {
	err = k.meet(ctx, "PositionAt", func() {
		for i, at := range k.times {
			if !at.After(t) {
				position = uint64(i) + 1
			}
		}
	})
	return position, err
}

func (k *link) Head(ctx context.Context) (head uint64, err error) {
	err = k.meet(ctx, "Head", func() { head = uint64(len(k.facts)) })
	return head, err
}

var errAway = errors.New("the ledger is away")

func away(string) trouble  { return trouble{err: errAway} }
func hangs(string) trouble { return trouble{hangs: true} }

// timepiece is a boot-time clock that follows the time package's, at its own rate. Its reading can be pushed ahead.
type timepiece struct {
	mu      sync.Mutex
	rate    float64
	from    time.Time
	reading time.Duration
}

func newTimepiece(rate float64) *timepiece {
	return &timepiece{rate: rate, from: time.Now(), reading: time.Hour}
}

func (c *timepiece) now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *timepiece) read() time.Duration {
	return c.reading + time.Duration(float64(time.Since(c.from))*c.rate)
}

func (c *timepiece) setRate(rate float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.from, c.rate = c.read(), time.Now(), rate
}

func (c *timepiece) leap(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading += d
}

// node is a fence with its surroundings.
type node struct {
	*Fence
	link   *link
	floors *FloorTable
	clock  *timepiece
}

func nothingToLoad(context.Context, uint64) error { return nil }

func mustFloors(t testing.TB, maxBytes int64) *FloorTable {
	t.Helper()
	floors, err := NewFloors(maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	return floors
}

// prepared is a node that is not open yet.
func prepared(t testing.TB, l *memLedger) (*node, Options) {
	n := &node{link: newLink(l), floors: mustFloors(t, leastMaxBytes), clock: newTimepiece(1)}
	return n, Options{Ledger: n.link, Floors: n.floors, Name: "test", Clock: n.clock.now, Catalogue: nothingToLoad}
}

func (n *node) open(t testing.TB, opts Options) *node {
	t.Helper()
	f, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	n.Fence = f
	return n
}

func opened(t testing.TB, l *memLedger) *node {
	t.Helper()
	n, opts := prepared(t, l)
	return n.open(t, opts)
}

func (n *node) close(t testing.TB) {
	t.Helper()
	if err := n.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// inBubble runs with time that only moves when everybody waits. It fails if a goroutine is left behind.
// The race detector crashes on bubbles now and then (https://go.dev/issue/78156), so they run without it;
// TestNodesAgree has the same loops race in real time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if underRace {
		t.Skip("bubbles run in the part without the race detector")
	}
	synctest.Test(t, f)
}

func token(n int) (callee eligibility.CalleeToken) {
	for i := range 8 {
		callee[i], callee[8+i] = byte(n>>(8*i)), byte(n>>(8*i))
	}
	callee[15] = 1 // never zero
	return callee
}
