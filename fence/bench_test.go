package fence

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func TestHeldAndCurrentDoNotAllocate(t *testing.T) {
	n, opts := prepared(t, newLedger())
	opts.Clock = nil
	n.open(t, opts)
	defer n.close(t)
	callee := token(1)
	allowed := 0
	if allocs := testing.AllocsPerRun(1000, func() {
		if n.Held() && n.floors.Current(callee, 1) {
			allowed++
		}
	}); allocs != 0 || allowed == 0 {
		t.Fatalf("%v allocations, %d times allowed", allocs, allowed)
	}
}

func BenchmarkHeld(b *testing.B) {
	n, opts := prepared(b, newLedger())
	opts.Clock = nil
	f, err := Open(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	n.Fence = f
	defer n.Close(context.Background())
	time.Sleep(10 * time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		if !n.Held() {
			b.Fatal("no lease")
		}
	}
}

func BenchmarkClock(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		bootTime()
	}
}

// filled has a million floors; every second callee has one.
func filled(b *testing.B) (*FloorTable, []eligibility.CalleeToken) {
	r := rand.New(rand.NewPCG(1, 1))
	floors := mustFloors(b, 1<<30)
	callees := make([]eligibility.CalleeToken, 1<<20)
	for i := range callees {
		callees[i] = randomToken(r)
		floors.Raise(callees[i], uint64(i)+1)
		callees[i] = randomToken(r)
		floors.Raise(callees[i], uint64(i)+1)
		if i%2 == 0 {
			callees[i] = randomToken(r)
		}
	}
	return floors, callees
}

func BenchmarkCurrent(b *testing.B) {
	floors, callees := filled(b)
	b.ReportAllocs()
	b.Run("one", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			floors.Current(callees[i&(1<<20-1)], 1<<19)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := rand.IntN(1 << 20); pb.Next(); i++ {
				floors.Current(callees[i&(1<<20-1)], 1<<19)
			}
		})
	})
}

func BenchmarkRaise(b *testing.B) {
	b.ReportAllocs()
	floors, callees := filled(b)
	i := 0
	for b.Loop() {
		i++
		floors.Raise(callees[i&(1<<20-1)], uint64(i)+1<<20)
	}
}
