package fence

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many who wait share the readings; what is settled needs none; and nobody reads when nobody waits.
func TestWaitersShareTheReadings(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer a.close(t)
		defer b.close(t)
		b.link.befall(func(string) trouble { return trouble{before: 10 * time.Millisecond} })
		before := a.link.called("Nodes")
		var busy sync.WaitGroup
		for i := range 500 {
			busy.Go(func() {
				if err := a.Settle(t.Context(), l.append(token(i))); err != nil {
					t.Error(err)
				}
			})
		}
		busy.Wait()
		shared := a.link.called("Nodes")
		if n := shared - before; n == 0 || n > 60 {
			t.Fatalf("%d readings for 500 waits", n)
		}
		began := time.Now()
		for position := range uint64(500) {
			if err := a.Settle(t.Context(), position+1); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(began) != 0 || a.link.called("Nodes") != shared {
			t.Fatal("settled positions were waited for again")
		}
		time.Sleep(10 * time.Second)
		if n := a.link.called("Nodes") - shared; n > 10*4+2 {
			t.Fatalf("%d readings in 10 s without anybody waiting", n)
		}
	})
}

// Without others a position is settled by one reading that began after it was asked for.
func TestAloneNobodyIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		n := opened(t, l)
		defer n.close(t)
		for i := range 5 {
			began := time.Now()
			if err := n.Settle(t.Context(), l.append(token(i))); err != nil || time.Since(began) > 10*time.Millisecond {
				t.Fatalf("%v, %v", time.Since(began), err)
			}
		}
	})
}

// Without its ledger a writer still knows when all leases have run out.
func TestSettleNeedsNoLedger(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer a.close(t)
		defer b.close(t)
		a.link.befall(away)
		position, began := l.append(token(1)), time.Now()
		if err := a.Settle(t.Context(), position); err != nil {
			t.Fatal(err)
		}
		if took, longest := time.Since(began), a.core.rules.patience(); took != longest {
			t.Fatalf("took %v, want %v", took, longest)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Settle(ctx, l.append(token(1))); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		a.link.befall(nil)
	})
}

// The wait must outlast a lease by any two clocks within the bound.
func TestTheWaitOutlastsTheLease(t *testing.T) {
	for _, bound := range []float64{0.001, 0.01, 0.05, 0.1} {
		for _, term := range []time.Duration{100 * time.Millisecond, 2 * time.Second, time.Minute} {
			r := rules{term, bound}
			slowest, fastest := 1-bound, 1+bound
			lease := float64(term) / slowest
			wait := float64(r.patience()) / fastest
			if wait <= lease || wait > lease+float64(term)/50 {
				t.Errorf("bound %v, term %v: the wait is %v, the lease %v of the ledger's time", bound, term, wait, lease)
			}
		}
	}
	if longest := (rules{defaultTerm, defaultDriftBound}).patience(); longest > defaultTerm+100*time.Millisecond {
		t.Errorf("an objection may take %v", longest)
	}
}

// A node that is seen to announce itself again is not silent, and one that is not is no longer waited for.
func TestSilentNodes(t *testing.T) {
	c := newCore(NodeID{1}, rules{defaultTerm, defaultDriftBound}, mustFloors(t, leastMaxBytes), nil)
	c.drift.proved = true
	other := Node{ID: NodeID{2}, Applied: 5, Announced: 1}
	longest, step := c.patience(), defaultTerm/4
	now := time.Hour
	for ; now < 2*time.Hour; now += step {
		other.Announced++
		if silent := c.survey([]Node{other, {ID: NodeID{1}}}, 9, now); silent != nil {
			t.Fatalf("silent after %v though announced each time", now)
		}
	}
	last := now - step
	if silent := c.survey([]Node{other}, 9, last+longest-1); silent != nil || c.settled != 5 {
		t.Fatalf("silent too early, or settled %d", c.settled)
	}
	silent := c.survey([]Node{other}, 9, last+longest)
	if len(silent) != 1 || silent[0] != other || c.settled != 9 {
		t.Fatalf("silent %v, settled %d", silent, c.settled)
	}
}

// While a node without a row announces itself, a writer finds nobody to wait for: the node reads its change afterwards.
func TestTheChangesAreReadAfterTheAnnounce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer a.close(t)
		defer b.close(t)
		b.link.befall(hangs)
		time.Sleep(3 * defaultTerm)
		if l.count() != 1 {
			t.Fatal("the silent node's row is still there")
		}
		var appended atomic.Uint64
		b.link.befall(func(call string) trouble {
			switch {
			case call == "Announce" && appended.Load() == 0:
				appended.Store(l.append(token(1)))
				return trouble{before: 100 * time.Millisecond}
			case call == "Wait":
				return trouble{hangs: true}
			}
			return trouble{}
		})
		for range 1500 {
			time.Sleep(time.Millisecond)
			position := appended.Load()
			if position != 0 && b.Held() && b.floors.Current(token(1), position-1) {
				t.Fatal("a lease without the change")
			}
			if l.count() == 1 && position != 0 {
				if err := a.Settle(t.Context(), position); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !b.Held() {
			t.Fatal("no lease")
		}
	})
}

// Real goroutines, real time, a ledger with troubles: what is settled is not overlooked by any node that holds its lease.
func TestNodesAgree(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := newLedger()
	var nodes []*node
	for i := range 3 {
		n, opts := prepared(t, l)
		opts.Term, opts.Clock = 400*time.Millisecond, nil
		n.open(t, opts)
		defer n.close(t)
		defer n.link.befall(nil) // Leave waits for its context
		n.link.befall(troubles(rand.New(rand.NewPCG(seed, uint64(i)))))
		nodes = append(nodes, n)
	}
	var settled, held atomic.Int64
	until := time.Now().Add(soak(t, 2*time.Second))
	var busy sync.WaitGroup
	for writer := range 6 {
		busy.Go(func() {
			n := nodes[writer%3]
			for i := writer; time.Now().Before(until); i += 6 {
				callee, before := token(i), n.State().Head
				position := l.append(callee)
				n.floors.Raise(callee, position)
				if err := n.Settle(t.Context(), position); err != nil {
					t.Error(err)
				}
				settled.Add(1)
				for _, m := range nodes {
					if m.Held() {
						held.Add(1)
						if m.floors.Current(callee, min(before, position-1)) {
							t.Errorf("position %d is overlooked", position)
						}
					}
				}
			}
		})
	}
	busy.Wait()
	if settled.Load() < 10 || held.Load() < settled.Load()/2 {
		t.Fatalf("%d settled, %d times a lease was held after it: too few to tell anything", settled.Load(), held.Load())
	}
	t.Logf("%d settled", settled.Load())
}

// troubles come and go: a while of calm, then one of hanging, loss or refusal.
func troubles(r *rand.Rand) func(string) trouble {
	var kind int
	var until time.Time
	return func(call string) trouble {
		if now := time.Now(); now.After(until) {
			kind = r.IntN(8)
			until = now.Add(time.Duration(r.IntN(200)) * time.Millisecond)
		}
		t := trouble{before: time.Duration(r.IntN(500)) * time.Microsecond}
		switch kind {
		case 0:
			t.hangs = true
		case 1:
			t.err = errAway
		case 2:
			t.lost = r.IntN(2) == 0
		case 3:
			t.after = time.Duration(r.IntN(50)) * time.Millisecond
		}
		return t
	}
}
