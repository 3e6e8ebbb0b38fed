package fence

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// bytesPerFloor is the promise: 10 million floors in 250 MB.
const bytesPerFloor = 25

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 3))
}

func randomToken(r *rand.Rand) (callee eligibility.CalleeToken) {
	for i := 0; i < len(callee); i += 8 {
		for n, at := r.Uint64(), i; at < i+8; n, at = n>>8, at+1 {
			callee[at] = byte(n)
		}
	}
	return callee
}

func TestMaxBytesOutOfRange(t *testing.T) {
	for _, bytes := range []int64{-1, 0, leastMaxBytes - 1, mostMaxBytes + 1} {
		if _, err := NewFloors(bytes); !errors.Is(err, ErrMaxBytes) {
			t.Errorf("%d: %v", bytes, err)
		}
	}
}

// The table and a plain map agree on everything while there is room.
func TestFloorsAgreeWithAMap(t *testing.T) {
	r := seeded(t)
	floors, plain, lowWater := mustFloors(t, 16<<20), map[eligibility.CalleeToken]uint64{}, uint64(0)
	callees := make([]eligibility.CalleeToken, 20_000)
	for i := range callees {
		callees[i] = randomToken(r)
	}
	callees[0] = eligibility.CalleeToken{}
	steps := uint64(300_000)
	if underRace {
		steps = 120_000
	}
	for i := range steps {
		callee, position := callees[r.IntN(len(callees))], r.Uint64N(i+1)
		switch {
		case i%50_000 == 49_999:
			position = i / 2
			floors.DropBefore(position)
			lowWater = max(lowWater, position)
			for c, p := range plain {
				if p <= lowWater {
					delete(plain, c)
				}
			}
		case i%3 == 0:
			want := position >= max(lowWater, plain[callee])
			if got := floors.Current(callee, position); got != want {
				t.Fatalf("step %d: Current at %d is %v; floor %d, low water %d", i, position, got, plain[callee], lowWater)
			}
		default:
			floors.Raise(callee, position)
			if position > lowWater {
				plain[callee] = max(plain[callee], position)
			}
		}
	}
	if floors.Len() != len(plain) || floors.LowWater() != lowWater {
		t.Fatalf("%d floors above %d, want %d above %d", floors.Len(), floors.LowWater(), len(plain), lowWater)
	}
}

// A full table forgets no floor without refusing what that floor refused, and keeps the newest.
func TestAFullTableRefusesMore(t *testing.T) {
	r := seeded(t)
	floors, count := mustFloors(t, leastMaxBytes), 300_000
	if underRace {
		count = 100_000
	}
	callees := make([]eligibility.CalleeToken, count)
	for i := range callees {
		callees[i] = randomToken(r)
		floors.Raise(callees[i], uint64(i)+1)
		if i%1000 == 0 && floors.Bytes() > leastMaxBytes {
			t.Fatalf("%d bytes of %d", floors.Bytes(), leastMaxBytes)
		}
	}
	newest := len(callees) - floors.Len()/2
	for i, callee := range callees {
		floor := uint64(i) + 1
		if floors.Current(callee, floor-1) {
			t.Fatalf("the floor %d of %d is forgotten", floor, len(callees))
		}
		if i >= newest && !floors.Current(callee, floor) {
			t.Fatalf("the floor %d of %d, one of the newest, refuses more than it must", floor, len(callees))
		}
	}
	if floors.Len() < leastMaxBytes/slotBytes/2 {
		t.Fatalf("only %d floors are kept", floors.Len())
	}
}

func TestDropBeforeGivesMemoryBack(t *testing.T) {
	r := seeded(t)
	floors := mustFloors(t, 64<<20)
	empty := floors.Bytes()
	for i := range uint64(200_000) {
		floors.Raise(randomToken(r), i+1)
	}
	full := floors.Bytes()
	floors.DropBefore(199_000)
	if floors.Len() != 1000 || floors.Bytes() > 2*empty || full < 200_000*slotBytes {
		t.Fatalf("%d floors in %d bytes, %d before", floors.Len(), floors.Bytes(), full)
	}
	if floors.Current(randomToken(r), 198_999) || !floors.Current(randomToken(r), 199_000) {
		t.Fatal("the low water is not where it was set")
	}
}

// Memory as the runtime counts it, and at every size on the way.
func TestFloorsFitTheirMemory(t *testing.T) {
	count := 10_000_000
	if underRace {
		count = 1_000_000 // each costs ten times as long
	}
	r := rand.New(rand.NewPCG(1, 1))
	before := heap()
	floors := mustFloors(t, 1<<30)
	const base = floorShards * firstSlots * 6 / 5 * slotBytes // of an empty table
	for i := range count {
		floors.Raise(randomToken(r), uint64(i)+1)
		if i%(count/200) == 0 && floors.Bytes() > base+int64(i)*24 {
			t.Fatalf("%d bytes for %d floors", floors.Bytes(), i)
		}
	}
	taken := heap() - before
	if floors.Len() != count || taken > int64(count)*bytesPerFloor {
		t.Fatalf("%d floors take %d bytes", floors.Len(), taken)
	}
	t.Logf("%d floors take %.1f MB of heap, %.1f bytes each; counted %.1f MB", count, float64(taken)/1e6,
		float64(taken)/float64(count), float64(floors.Bytes())/1e6)
	runtime.KeepAlive(floors)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Readers beside writers, trimming and giving up: once Raise returned, no older record is current.
func TestFloorsBesideEachOther(t *testing.T) {
	floors := mustFloors(t, leastMaxBytes)
	var busy sync.WaitGroup
	for worker := range 4 {
		busy.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 4))
			for i := range uint64(30_000) {
				callee := randomToken(r)
				floors.Raise(callee, i+1)
				if floors.Current(callee, i) {
					t.Errorf("worker %d: the floor %d is not there", worker, i+1)
					return
				}
				if i%5000 == 0 {
					floors.DropBefore(i / 2)
				}
			}
		})
	}
	busy.Wait()
}
