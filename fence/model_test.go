package fence

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// simulate runs seeds on all processors, and stops at the first violation.
func simulate(first uint64, runs int) tally {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // little memory, many small pieces
	var sum tally
	var mu sync.Mutex
	var next atomic.Int64
	var found atomic.Bool
	var busy sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		busy.Go(func() {
			for i := next.Add(1); i <= int64(runs) && !found.Load(); i = next.Add(1) {
				seed := first + uint64(i)
				w := newWorld(seed)
				w.run()
				t := w.judge(seed)
				mu.Lock()
				sum.add(t)
				mu.Unlock()
				if t.violations > 0 {
					found.Store(true)
				}
			}
		})
	}
	busy.Wait()
	return sum
}

// TestT01Model is T01: the protocol as coded, under all faults, in a world of its own.
func TestT01Model(t *testing.T) {
	runs := 1000
	if underRace {
		runs = 100 // there is nothing to race: each run is one goroutine
	}
	if soaking() {
		runs = 1_000_000
	}
	first := uint64(0)
	if s := os.Getenv("FENCE_TEST_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, runs = seed-1, 1
	}
	sum := simulate(first, runs)
	t.Logf("%d runs from seed %d: %d checks, %d undecided (%.1f %%), %d allowed, %d of them under a lease (%.0f %%)",
		sum.runs, first+1, sum.checks, sum.undecided, percent(sum.undecided, sum.checks), sum.allowed, sum.fast, percent(sum.fast, sum.allowed))
	if sum.violations > 0 {
		t.Fatalf("%d violations in %d runs; the first: %s", sum.violations, sum.runs, sum.first)
	}
	if sum.stuck > 0 {
		t.Fatalf("%d times stuck; the first: %s", sum.stuck, sum.first)
	}
	if sum.undecided*4 > sum.checks || sum.fast*2 < sum.allowed {
		t.Fatal("too many checks are undecided, or too few allowed under a lease, to tell anything")
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }
