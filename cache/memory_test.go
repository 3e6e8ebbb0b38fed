package cache

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"pgregory.net/rapid"
)

func TestMemoryContract(t *testing.T) {
	Contract(t, func(_ *testing.T, opts Options) subject {
		return subject{
			Store: NewMemory[*note](opts), settle: func() {},
			misplace: func(n *note, to eligibility.CalleeToken) { n.callee = to },
		}
	})
}

func TestMemoryKeepsTheNewest(t *testing.T) {
	c := newClock()
	m := NewMemory[*note](Options{Clock: c.now})
	newer := c.at(anna, 12)
	wantPut(t, m, newer, true)
	wantPut(t, m, c.at(anna, 11), false)
	wantPut(t, m, c.at(anna, 12), false)
	wantGet(t, m, anna, newer)
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{MaxBytes: 1000}, {MaxBytes: -1}, {MaxBytes: 2 << 40}, {MaxAge: time.Millisecond}, {MaxAge: 25 * time.Hour}, {MaxAge: -1}} {
		if err := o.Check(); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (Options{}).Check(); err != nil {
		t.Error(err)
	}
}

// TestEligibility holds the records the cache is there for.
func TestEligibility(t *testing.T) {
	m := NewMemory[*eligibility.Eligibility](Options{})
	before := eligibility.Fold(anna, 10, time.Now(), nil)
	if !m.Put(ctx, before) {
		t.Fatal("declined")
	}
	if got, ok := m.Get(ctx, anna); !ok || got != before {
		t.Fatalf("got %v, %v", got, ok)
	}
	m.Raise(anna, 11)
	if _, ok := m.Get(ctx, anna); ok || m.Put(ctx, before) || m.Current(anna, before.LedgerPosition()) {
		t.Fatal("a record read before the last fact is believed")
	}
	if !m.Put(ctx, eligibility.Fold(anna, 11, time.Now(), nil)) {
		t.Fatal("declined")
	}
}

// small is a cache of which every shard holds a handful of things, so that records and floors are given up all the time.
func small(c *clock) *Memory[*note] {
	m := NewMemory[*note](Options{MaxAge: time.Hour, Clock: c.now})
	for i := range m.shards {
		m.shards[i].share = 512
	}
	return m
}

// naive remembers everything for ever.
type naive struct {
	floors  map[eligibility.CalleeToken]uint64
	records map[eligibility.CalleeToken]*note
}

func (n *naive) believes(r *note, c *clock) bool {
	return r != nil && r.position >= n.floors[r.callee] && c.now().Sub(r.read) <= time.Hour
}

// TestModel compares the cache with one that has no bound. With memory enough they agree in everything; in want of it
// the cache may know less, but what it answers is what the other answers. Mutants: mutant_cache_no_floor,
// mutant_cache_floor_evict.
func TestModel(t *testing.T) {
	for _, tight := range []bool{false, true} {
		t.Run(map[bool]string{false: "roomy", true: "tight"}[tight], func(t *testing.T) {
			records, floors := uint64(0), uint64(0)
			rapid.Check(t, func(t *rapid.T) {
				s := checkModel(t, tight)
				records, floors = records+s.Evicted, floors+s.FloorsEvicted
			})
			if tight != (records > 0) || tight != (floors > 0) {
				t.Errorf("%d records and %d floors were given up", records, floors)
			}
		})
	}
}

func checkModel(t *rapid.T, tight bool) Stats {
	c := newClock()
	m := NewMemory[*note](Options{MaxAge: time.Hour, Clock: c.now})
	if tight {
		m = small(c)
	}
	model := &naive{map[eligibility.CalleeToken]uint64{}, map[eligibility.CalleeToken]*note{}}
	ledger := uint64(100)
	callees := rapid.Custom(func(t *rapid.T) eligibility.CalleeToken {
		tok := token(rapid.Uint64Range(0, 30).Draw(t, "callee"))
		tok[0] = 0 // all in one shard
		return tok
	})
	raise := func(callee eligibility.CalleeToken) {
		m.Raise(callee, ledger)
		model.floors[callee] = max(model.floors[callee], ledger)
	}
	for range rapid.IntRange(0, 10).Draw(t, "raised before") {
		ledger++
		raise(callees.Draw(t, "of"))
	}
	gets := uint64(0)
	t.Repeat(map[string]func(*rapid.T){
		"get": func(t *rapid.T) {
			gets++
			callee := callees.Draw(t, "of")
			want := model.records[callee]
			got, ok := m.Get(ctx, callee)
			if ok && (got != want || !model.believes(want, c)) {
				t.Fatalf("got %+v, want %+v", got, want)
			}
			if !tight && ok != model.believes(want, c) {
				t.Fatalf("found %v, want %v", ok, !ok)
			}
		},
		"put": func(t *rapid.T) {
			back := rapid.Uint64Range(0, 30).Draw(t, "back")
			age := time.Duration(rapid.Int64Range(0, int64(70*time.Minute)).Draw(t, "age"))
			n := &note{callees.Draw(t, "of"), ledger - back, c.now().Add(-age), rapid.IntRange(0, 100).Draw(t, "size")}
			old := model.records[n.callee]
			wanted := model.believes(n, c) && (!model.believes(old, c) || old.position < n.position)
			took := m.Put(ctx, n)
			if took && !model.believes(n, c) || !tight && took != wanted {
				t.Fatalf("put %+v is %v, want %v", n, took, wanted)
			}
			if took {
				model.records[n.callee] = n
			}
		},
		"raise": func(t *rapid.T) {
			ledger += rapid.Uint64Range(0, 1).Draw(t, "later")
			raise(callees.Draw(t, "of"))
		},
		"current": func(t *rapid.T) {
			callee, position := callees.Draw(t, "of"), ledger-rapid.Uint64Range(0, 30).Draw(t, "back")
			got, want := m.Current(callee, position), position >= model.floors[callee]
			if got && !want || !tight && got != want {
				t.Fatalf("position %d is current: %v, want %v", position, got, want)
			}
		},
		"wait": func(*rapid.T) { c.advance(10 * time.Minute) },
		"": func(t *rapid.T) {
			checkShard(t, &m.shards[0])
			if s := m.Stats(); s.Hits+s.Misses+s.Stale != gets {
				t.Fatalf("%d gets, stats %+v", gets, s)
			}
		},
	})
	return m.Stats()
}

// checkShard holds the bound and the sums.
func checkShard(t *rapid.T, s *shard[*note]) {
	held, used := int64(0), 0
	for _, slot := range s.records.slots {
		callee, n := slot.key, slot.value
		if callee.IsZero() {
			continue
		}
		held += int64(n.size)
		used++
		if floor, _ := s.floors.get(&callee); n.position < floor {
			t.Fatalf("holds a record of position %d below the floor %d", n.position, floor)
		}
	}
	if held != s.held || used != s.records.used || s.charged() > s.share {
		t.Fatalf("%d records of %d bytes, counted as %d of %d; charged %d of %d", used, held, s.records.used, s.held, s.charged(), s.share)
	}
}

// TestFloorEvicted: when floors had to be given up, what lies below them is refused, whoever's it is. Mutant:
// mutant_cache_floor_evict.
func TestFloorEvicted(t *testing.T) {
	c := newClock()
	m := small(c)
	callee := func(n uint64) eligibility.CalleeToken { tok := token(n); tok[0] = 7; return tok }
	for n := range uint64(100) {
		m.Raise(callee(n), 1000+n)
	}
	s := m.Stats()
	if s.FloorsEvicted == 0 || s.Floors == 0 {
		t.Fatalf("stats: %+v", s)
	}
	for n := range uint64(100) {
		if m.Current(callee(n), 1000+n-1) {
			t.Fatalf("callee %d: position below its floor is current", n)
		}
		if m.Put(ctx, c.at(callee(n), 1000+n-1)) {
			t.Fatalf("callee %d: record below its floor was taken", n)
		}
		if !m.Current(callee(n), 1100) {
			t.Fatalf("callee %d: position above every floor is not current", n)
		}
	}
}

// TestMemoryBound fills a cache with records, then with floors, then with records again: neither what is charged nor
// what the heap holds exceeds MaxBytes.
func TestMemoryBound(t *testing.T) {
	const limit, besides = 4 << 20, 1 << 20 // besides: what a heap has of its own
	c := newClock()
	before := heap()
	m := NewMemory[*note](Options{MaxBytes: limit, Clock: c.now})
	next := uint64(0)
	for phase, fill := range []func(){
		func() { m.Put(ctx, &note{token(next), next, c.now(), noteBytes}) },
		func() { m.Raise(token(next), next) },
		func() { m.Put(ctx, &note{token(next), next, c.now(), noteBytes}) },
		func() { m.Put(ctx, &note{token(next), next, c.now(), noteBytes}); m.Raise(token(next+1<<40), next) },
	} {
		for range 60_000 {
			next++
			fill()
		}
		s, held := m.Stats(), heap()-before
		t.Logf("phase %d: %d records, %d floors, charged %d, heap %d", phase, s.Records, s.Floors, s.Bytes, held)
		if s.Bytes > limit || held > limit+besides {
			t.Errorf("phase %d: charged %d bytes, the heap holds %d, the limit is %d", phase, s.Bytes, held, limit)
		}
		if s.Bytes < limit/4 {
			t.Errorf("phase %d: only %d bytes of %d are used", phase, s.Bytes, limit)
		}
	}
	runtime.KeepAlive(m)
}

// TestWhatARecordCostsBesidesItself looks at a cache while it grows, for the tables are emptiest when they have just grown.
func TestWhatARecordCostsBesidesItself(t *testing.T) {
	const most = 60 // bytes
	c := newClock()
	m := NewMemory[*note](Options{MaxBytes: 1 << 30, Clock: c.now})
	worst := 0.0
	for next := uint64(1); next <= 300_000; next++ {
		m.Put(ctx, &note{token(next), next, c.now(), noteBytes})
		if next < 50_000 || next%1000 != 0 {
			continue
		}
		s := m.Stats()
		if s.Records != int(next) {
			t.Fatalf("%d of %d records are kept", s.Records, next)
		}
		worst = max(worst, float64(s.Bytes)/float64(s.Records)-noteBytes)
	}
	if t.Logf("at most %.1f bytes", worst); worst > most {
		t.Errorf("a record costs %.1f bytes besides itself, want %d at most", worst, most)
	}
}

// noteBytes is what a note occupies.
const noteBytes = 64

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// TestTable compares the table with a built-in map.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, model := newTable[int](leastSlots), map[eligibility.CalleeToken]int{}
		keys := rapid.Custom(func(t *rapid.T) eligibility.CalleeToken {
			return token(rapid.Uint64Range(0, 60).Draw(t, "key"))
		})
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				key, v := keys.Draw(t, "of"), rapid.Int().Draw(t, "value")
				if tab.full() {
					tab.grow()
				}
				tab.set(&key, v)
				model[key] = v
			},
			"remove": func(t *rapid.T) {
				key := keys.Draw(t, "of")
				if slot, found := tab.find(&key); found {
					tab.remove(slot)
					tab.shrink()
				}
				delete(model, key)
			},
			"": func(t *rapid.T) {
				for n := range uint64(61) {
					key := token(n)
					got, found := tab.get(&key)
					if want, ok := model[key]; found != ok || got != want {
						t.Fatalf("key %d: %d %v, want %d %v", n, got, found, want, ok)
					}
				}
				if tab.used != len(model) || tab.used*16 > len(tab.slots)*13 {
					t.Fatalf("%d used, want %d, of %d slots", tab.used, len(model), len(tab.slots))
				}
			},
		})
	})
}

func TestTooLarge(t *testing.T) {
	c := newClock()
	m := NewMemory[*note](Options{MaxBytes: 1 << 20, Clock: c.now})
	large := c.at(anna, 10)
	large.size = 1 << 20
	wantPut(t, m, large, false)
	wantGet(t, m, anna, nil)
}

func TestGetAllocatesNothing(t *testing.T) {
	m := NewMemory[*note](Options{})
	m.Put(ctx, &note{anna, 10, time.Now(), 100})
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := m.Get(ctx, anna); !ok || !m.Current(anna, 10) {
			t.Fatal("gone")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
