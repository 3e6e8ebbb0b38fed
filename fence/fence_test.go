package fence

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func TestOptionsAreRefusedByName(t *testing.T) {
	for name, spoil := range map[string]func(*Options){
		"Ledger":     func(o *Options) { o.Ledger = nil },
		"Floors":     func(o *Options) { o.Floors = nil },
		"Catalogue":  func(o *Options) { o.Catalogue = nil },
		"Name":       func(o *Options) { o.Name = strings.Repeat("x", longestName+1) },
		"Term":       func(o *Options) { o.Term = time.Millisecond },
		"DriftBound": func(o *Options) { o.DriftBound = 0.2 },
	} {
		n, opts := prepared(t, newLedger())
		spoil(&opts)
		f, err := Open(t.Context(), opts)
		if f != nil || !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if n.link.called("Announce") != 0 {
			t.Errorf("%s: the ledger was called", name)
		}
	}
}

// A change that another node made is heeded there before Settle returns.
func TestSettleReturnsWhenTheOthersHaveApplied(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer a.close(t)
		defer b.close(t)
		b.link.befall(func(call string) trouble { return trouble{before: time.Millisecond, after: time.Millisecond} })
		for i := range 20 {
			callee := token(i)
			if !b.floors.Current(callee, uint64(i)) {
				t.Fatalf("a record at the head %d is not current", i)
			}
			position := l.append(callee)
			began := time.Now()
			if err := a.Settle(t.Context(), position); err != nil {
				t.Fatal(err)
			}
			if b.floors.Current(callee, position-1) {
				t.Fatalf("position %d is settled and not heeded on the other node", position)
			}
			if took := time.Since(began); took > 20*time.Millisecond {
				t.Fatalf("position %d took %v", position, took)
			}
			if !b.Held() || !b.floors.Current(callee, position) {
				t.Fatal("the other node lost more than it had to")
			}
		}
	})
}

// A node that is cut off costs one wait, after which it has no lease; then its row is gone.
func TestASilentNodeIsWaitedOutOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer a.close(t)
		b.link.befall(hangs)
		position := l.append(token(1))
		began := time.Now()
		if err := a.Settle(t.Context(), position); err != nil {
			t.Fatal(err)
		}
		if b.Held() {
			t.Fatal("settled while the other node has a lease")
		}
		if took := time.Since(began); took > defaultTerm+100*time.Millisecond {
			t.Fatalf("took %v", took)
		}
		began = time.Now()
		if err := a.Settle(t.Context(), l.append(token(2))); err != nil || time.Since(began) > defaultTerm/2 {
			t.Fatalf("the second wait: %v, %v", time.Since(began), err)
		}
		time.Sleep(defaultTerm)
		if _, there := l.row(b.core.id); there {
			t.Fatal("the silent node's row is still there")
		}
		b.link.befall(nil)
		time.Sleep(time.Second)
		if s := b.State(); !s.Held || s.Applied != 2 {
			t.Fatalf("the node did not come back: %+v", s)
		}
		b.close(t)
	})
}

// The lease ends to the nanosecond, and comes back soon after the ledger, however it was away.
func TestTheLeaseEndsAndComesBack(t *testing.T) {
	for name, trouble := range map[string]func(string) trouble{"away": away, "hangs": hangs} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				n := opened(t, newLedger())
				defer n.close(t)
				time.Sleep(3 * time.Second)
				synctest.Wait() // a renewal may begin at this very moment
				n.link.befall(trouble)
				left := n.State().Remaining
				if left < defaultTerm*7/10 || left > defaultTerm {
					t.Fatalf("%v left after a quiet time", left)
				}
				time.Sleep(left - 1)
				if !n.Held() {
					t.Fatal("the lease ended too early")
				}
				time.Sleep(time.Nanosecond)
				if n.Held() {
					t.Fatal("the lease did not end")
				}
				time.Sleep(10 * time.Second)
				if s := n.State(); s.Held || s.LastError == nil {
					t.Fatalf("state of a node without its ledger: %+v", s)
				}
				n.link.befall(nil)
				time.Sleep(600 * time.Millisecond)
				if s := n.State(); !s.Held || s.LastError != nil {
					t.Fatalf("state after the ledger's return: %+v", s)
				}
			})
		})
	}
}

// Nothing is acknowledged and no lease is renewed while the catalogue cannot be put in force; the row lapses meanwhile.
func TestAChangeCountsOnceItsCatalogueIsInForce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a := opened(t, l)
		defer a.close(t)
		b, opts := prepared(t, l)
		var fails atomic.Bool
		var inForce, at atomic.Uint64
		opts.Catalogue = func(_ context.Context, position uint64) error {
			if at.Add(1) != 1 {
				t.Error("called twice at once")
			}
			defer at.Store(0)
			time.Sleep(5 * time.Millisecond)
			if fails.Load() {
				return errAway
			}
			inForce.Store(position)
			return nil
		}
		b.open(t, opts)
		defer b.close(t)
		settle := func() time.Duration {
			began, position := time.Now(), l.append(eligibility.CalleeToken{})
			if err := a.Settle(t.Context(), position); err != nil {
				t.Fatal(err)
			}
			if b.Held() && inForce.Load() < position {
				t.Fatalf("settled %d while a node with a lease has the catalogue of %d", position, inForce.Load())
			}
			return time.Since(began)
		}
		if took := settle(); took > 50*time.Millisecond {
			t.Fatalf("took %v", took)
		}
		fails.Store(true)
		settle()
		time.Sleep(3 * time.Second)
		if s := b.State(); s.Held || s.Applied != 1 || !errors.Is(s.LastError, errAway) {
			t.Fatalf("state without a catalogue: %+v", s)
		}
		if _, there := l.row(b.core.id); there {
			t.Fatal("a node that cannot follow is still waited for")
		}
		fails.Store(false)
		time.Sleep(time.Second)
		if s := b.State(); !s.Held || s.Applied != 2 || inForce.Load() != 2 {
			t.Fatalf("state with a catalogue again: %+v", s)
		}
	})
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		n, opts := prepared(t, l)
		var told atomic.Int64
		opts.OnError = func(error) { told.Add(1) }
		n.link.befall(func(call string) trouble { return trouble{hangs: call == "Changes"} })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		f, err := Open(ctx, opts)
		if f != nil || !errors.Is(err, context.DeadlineExceeded) || told.Load() == 0 {
			t.Fatalf("%v, told %d times", err, told.Load())
		}
		if l.count() != 0 {
			t.Fatal("a row is left")
		}
	})
}

func TestOpenWaitsForTheLedger(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n, opts := prepared(t, newLedger())
		n.link.befall(away)
		time.AfterFunc(time.Minute, func() { n.link.befall(nil) })
		n.open(t, opts)
		defer n.close(t)
		if !n.Held() {
			t.Fatal("open without a lease")
		}
	})
}

func TestCloseGivesUpEverything(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		a, b := opened(t, l), opened(t, l)
		defer b.close(t)
		a.close(t)
		if a.Held() {
			t.Fatal("a closed fence has a lease")
		}
		if _, there := l.row(a.core.id); there {
			t.Fatal("the row is still there")
		}
		announces := a.link.called("Announce")
		time.Sleep(time.Minute)
		if a.Held() || a.link.called("Announce") != announces {
			t.Fatal("something goes on after Close")
		}
		began := time.Now()
		if err := b.Settle(t.Context(), l.append(token(1))); err != nil || time.Since(began) > 100*time.Millisecond {
			t.Fatalf("a node that left is waited for: %v, %v", time.Since(began), err)
		}
		began = time.Now()
		if err := a.Settle(t.Context(), l.append(token(1))); err != nil || time.Since(began) < defaultTerm {
			t.Fatalf("Settle of a closed fence: after %v, %v", time.Since(began), err)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatalf("the second Close: %v", err)
		}
	})
}

// A ledger that loses positions it has shown, or skips one, gives no lease.
func TestALedgerThatContradictsItselfGivesNoLease(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		l.append(token(1))
		n := opened(t, l)
		defer n.close(t)
		l.mu.Lock()
		l.facts = append(l.facts, Change{Position: 3, Callee: token(3)})
		l.mu.Unlock()
		time.Sleep(3 * time.Second)
		if s := n.State(); s.Held || s.Applied != 1 || !errors.Is(s.LastError, errGap) {
			t.Fatalf("with a gap: %+v", s)
		}
		l.mu.Lock()
		l.facts[1].Position = 2
		l.mu.Unlock()
		time.Sleep(time.Second)
		if s := n.State(); !s.Held || s.Applied != 2 {
			t.Fatalf("without the gap: %+v", s)
		}
		l.mu.Lock()
		l.facts = l.facts[:1]
		l.mu.Unlock()
		time.Sleep(time.Second)
		if s := n.State(); s.Held || !errors.Is(s.LastError, errRolledBack) {
			t.Fatalf("rolled back: %+v", s)
		}
		l.append(token(2))
		l.append(token(3))
		time.Sleep(3 * time.Second)
		if n.Held() {
			t.Fatal("a lease from a ledger whose positions were given twice")
		}
	})
}

// Floors of a day come from a snapshot; until they are in, the node is in no writer's way.
func TestSnapshot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		for i := range 10 {
			l.append(token(i))
		}
		time.Sleep(keepFor + time.Hour)
		for i := 10; i < 3*pageSize; i++ {
			l.append(token(i))
		}
		n, opts := prepared(t, l)
		opts.Snapshot, opts.Term = true, time.Minute // few renewals a day
		pages := 0
		n.link.befall(func(call string) trouble {
			if call == "Changes" && pages < 3 {
				if l.count() != 0 {
					t.Error("announced before the snapshot was in")
				}
				pages++
			}
			return trouble{before: time.Millisecond}
		})
		n.open(t, opts)
		defer n.close(t)
		s := n.State()
		if !s.Held || !s.SnapshotLoaded || s.Applied != 3*pageSize || n.floors.Len() != 3*pageSize-10 || n.floors.LowWater() != 10 {
			t.Fatalf("%+v, %d floors above %d", s, n.floors.Len(), n.floors.LowWater())
		}
		if n.floors.Current(token(99999), 9) || !n.floors.Current(token(99999), 10) || n.floors.Current(token(20), 20) {
			t.Fatal("the snapshot does not refuse what it must, or refuses more")
		}
		time.Sleep(keepFor + trimEvery + time.Minute)
		if n.floors.Len() != 0 || n.floors.LowWater() != 3*pageSize {
			t.Fatalf("a day later: %d floors above %d", n.floors.Len(), n.floors.LowWater())
		}
	})
}

// Without a snapshot, what was read before the start is refused.
func TestStartRefusesOlderRecords(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		l.append(token(1))
		position := l.append(token(2))
		n := opened(t, l)
		defer n.close(t)
		if n.floors.Current(token(2), position-1) || !n.floors.Current(token(1), position) {
			t.Fatal("records from before the start")
		}
	})
}

func TestChangedIsToldAfterTheFloor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := newLedger()
		n, opts := prepared(t, l)
		told := make(chan Change, 10)
		opts.Changed = func(callee eligibility.CalleeToken, position uint64) {
			if n.floors.Current(callee, position-1) {
				t.Error("told before the floor was raised")
			}
			told <- Change{Position: position, Callee: callee}
		}
		n.open(t, opts)
		defer n.close(t)
		l.append(token(7))
		synctest.Wait()
		if c := <-told; c != (Change{Position: 1, Callee: token(7)}) {
			t.Fatalf("told %+v", c)
		}
	})
}
