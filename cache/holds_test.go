package cache

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func call(n byte) [16]byte { return [16]byte{n, 15: 1} }

// keep asks for a hold that outlasts the test.
func keep(n byte) Hold { return Hold{ID: call(n), For: time.Hour} }

func wantFree(t *testing.T, s Store[*note], callee eligibility.CalleeToken, hold Hold, want bool) {
	t.Helper()
	if got := s.Look(ctx, callee, hold).Free; got != want {
		t.Fatalf("call %x is given leave: %v, want %v", hold.ID[0], got, want)
	}
}

// eventually waits for what a store does in the background.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never %s", what)
		}
	}
}

// holdsOneCall: Mutants: mutant_cache_hold_not_taken.
func holdsOneCall(t *testing.T, s subject, c *clock) {
	n := c.at(anna, 10)
	wantPut(t, s, n, true)
	wantFree(t, s, anna, keep(1), true)
	wantFree(t, s, anna, keep(2), false)
	wantFree(t, s, anna, keep(1), true)
	wantFree(t, s, bram, keep(2), true)
	wantFree(t, s, anna, Hold{ID: call(2)}, true)
	wantFree(t, s, anna, Hold{For: time.Hour}, true)
	wantFree(t, s, eligibility.CalleeToken{}, keep(3), false)
	wantGet(t, s, anna, n)
	if found := s.Look(ctx, anna, keep(2)); found.Free || !found.Found || *found.Record != *n {
		t.Fatalf("who is refused leave is not told the record: %+v", found)
	}
	if st := s.Stats(); st.HoldsTaken != 2 || st.HoldsRefused != 3 || st.Holds != 2 {
		t.Errorf("stats: %+v", st)
	}
}

func holdsUntil(t *testing.T, s subject, _ *clock) {
	first := Hold{ID: call(1), For: 300 * time.Millisecond}
	taken := time.Now()
	wantFree(t, s, anna, first, true)
	if again := s.Look(ctx, anna, keep(2)); again.Free && time.Since(taken) < first.For/2 {
		t.Fatal("two calls at a time")
	}
	time.Sleep(first.For / 2)
	s.Look(ctx, anna, first) // does not prolong it
	eventually(t, "free again", func() bool { return s.Look(ctx, anna, keep(2)).Free })
	if waited := time.Since(taken); waited < first.For-time.Millisecond { // Redis counts in whole milliseconds
		t.Errorf("free after %v, held for %v", waited, first.For)
	}
	wantFree(t, s, anna, first, false)
}

// holdsRelease: Mutant: mutant_cache_release_any.
func holdsRelease(t *testing.T, s subject, _ *clock) {
	wantFree(t, s, anna, keep(1), true)
	s.Release(anna, call(2))
	s.Release(bram, call(1))
	s.settle()
	wantFree(t, s, anna, keep(2), false)
	s.Release(anna, call(1))
	s.Release(anna, call(1))
	s.settle()
	wantFree(t, s, anna, keep(2), true)
	wantFree(t, s, anna, keep(1), false)
}

func holdsOneOfMany(t *testing.T, s subject, _ *clock) {
	for round := range 20 {
		if free := freeOf([]Store[*note]{s}, token(uint64(100+round))); free != 1 {
			t.Fatalf("%d of 64 calls were given leave", free)
		}
	}
}

// freeOf asks for one callee from 64 goroutines at once, spread over the stores, and counts who is given leave.
func freeOf(stores []Store[*note], callee eligibility.CalleeToken) int {
	var free atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for n := range 64 {
		all.Go(func() {
			<-start
			if stores[n%len(stores)].Look(ctx, callee, keep(byte(n+1))).Free {
				free.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	return int(free.Load())
}

// TestHoldsAreBounded: holds that have run out cost nothing for long, and there are never too many.
func TestHoldsAreBounded(t *testing.T) {
	var h holds
	h.init()
	clock := time.Duration(1)
	h.now = func() time.Duration { return clock }
	shard := &h.shards[3]
	take := func(n uint64, length time.Duration) bool {
		callee := token(n)
		callee[0] = 3
		clock++
		return h.take(callee, Hold{ID: call(1), For: length})
	}
	for n := range uint64(20_000) {
		if !take(n, 5) || len(shard.kept) > 2*leastSweep {
			t.Fatalf("hold %d: %d are kept, that have run out all but five", n, len(shard.kept))
		}
	}
	const most = maxHolds / holdShards
	refused := 0
	for n := range uint64(most + 100) {
		if !take(1_000_000+n, time.Hour) {
			refused++
		}
	}
	if len(shard.kept) != most || refused != 100 {
		t.Errorf("%d holds are kept, %d were refused", len(shard.kept), refused)
	}
	clock += 2 * time.Hour
	if !take(5_000_000, time.Hour) || len(shard.kept) > 1 {
		t.Errorf("no room after all have run out: %d are kept", len(shard.kept))
	}
}

// TestHoldsModel compares with a map, at the edges of time too.
func TestHoldsModel(t *testing.T) {
	type held struct {
		id    byte
		until time.Duration
	}
	var h holds
	h.init()
	clock := time.Duration(1)
	h.now = func() time.Duration { return clock }
	model, r := map[byte]held{}, rand.New(rand.NewPCG(1, 2))
	for step := range 50_000 {
		n, id := byte(r.IntN(8)), byte(1+r.IntN(3))
		old, callee := model[n], token(uint64(n))
		clock += time.Duration(r.IntN(3))
		if r.IntN(4) == 0 {
			if _, found := h.release(callee, call(id)); found {
				delete(model, n)
			}
			if old.id == id && model[n].id == id || old.id != id && model[n] != old {
				t.Fatalf("step %d: call %d's release, while %+v", step, id, old)
			}
			continue
		}
		length := time.Duration(1 + r.IntN(20))
		want := old.id == id || clock >= old.until
		if free := h.take(callee, Hold{ID: call(id), For: length}); free != want {
			t.Fatalf("step %d: call %d is given leave: %v, want %v, at %d, while %+v", step, id, free, want, clock, old)
		}
		if clock >= old.until {
			model[n] = held{id, clock + length}
		}
	}
}
