package cache

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

var _ Record = (*eligibility.Eligibility)(nil)

// note is the smallest thing that can be held.
type note struct {
	callee   eligibility.CalleeToken
	position uint64
	read     time.Time
	size     int
}

func (n *note) CalleeToken() eligibility.CalleeToken { return n.callee }
func (n *note) LedgerPosition() uint64               { return n.position }
func (n *note) ReadTime() time.Time                  { return n.read }
func (n *note) MemorySize() int                      { return n.size }

// token spreads numbers over the shards.
func token(n uint64) (t eligibility.CalleeToken) {
	h := (n + 1) * 0x9e3779b97f4a7c15
	for i := range 8 {
		t[i] = byte(h >> (8 * i))
		t[8+i] = byte((n + 1) >> (8 * i))
	}
	return t
}

// clock is set by hand.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2027, 3, 1, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// at is a record of the callee, read now.
func (c *clock) at(callee eligibility.CalleeToken, position uint64) *note {
	return &note{callee, position, c.now(), 100}
}

// subject is a store under the contract.
type subject struct {
	Store[*note]
	settle   func()                                    // waits until what was put or released is done
	misplace func(n *note, to eligibility.CalleeToken) // makes what was put of n's callee be found as another's
}

// Contract holds any Store to what Store says. open makes an empty one that keeps at least a thousand small records.
func Contract(t *testing.T, open func(t *testing.T, opts Options) subject) {
	for name, hold := range map[string]func(*testing.T, subject, *clock){
		"hit and miss":             holdsHitAndMiss,
		"late put after raise":     holdsLatePut,
		"raise drops what is held": holdsRaise,
		"floors only rise":         holdsFloorsRise,
		"newest put stays":         holdsNewest,
		"age":                      holdsAge,
		"clock set back":           holdsFuture,
		"wrong callee":             holdsCallee,
		"no callee":                holdsNoCallee,
		"raise is seen at once":    holdsRaiseAtOnce,
		"one call at a time":       holdsOneCall,
		"hold runs out":            holdsUntil,
		"hold given back":          holdsRelease,
		"one of many":              holdsOneOfMany,
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			hold(t, open(t, Options{MaxAge: time.Hour, Clock: c.now}), c)
		})
	}
}

var (
	ctx  = context.Background()
	anna = token(1)
	bram = token(2)
)

func wantGet(t *testing.T, s Store[*note], callee eligibility.CalleeToken, want *note) {
	t.Helper()
	found := s.Look(ctx, callee, Hold{})
	got, ok := found.Record, found.Found
	switch {
	case !found.Free:
		t.Fatal("no hold was asked, and refused")
	case ok != (want != nil):
		t.Fatalf("Look found %v, want %v", ok, want != nil)
	case ok && *got != *want:
		t.Fatalf("Look is %+v, want %+v", *got, *want)
	case !ok && got != nil:
		t.Fatalf("Look found nothing, but gives %+v", *got)
	}
}

func wantPut(t *testing.T, s Store[*note], n *note, want bool) {
	t.Helper()
	if got := s.Put(ctx, n); got != want {
		t.Fatalf("Put at position %d is %v, want %v; stats %+v", n.position, got, want, s.Stats())
	}
	if s, waits := s.(subject); waits {
		s.settle()
	}
}

func wantCurrent(t *testing.T, s Store[*note], callee eligibility.CalleeToken, position uint64, want bool) {
	t.Helper()
	if got := s.Current(callee, position); got != want {
		t.Fatalf("Current at position %d is %v, want %v", position, got, want)
	}
}

func holdsHitAndMiss(t *testing.T, s subject, c *clock) {
	wantGet(t, s, anna, nil)
	n := c.at(anna, 10)
	wantPut(t, s, n, true)
	wantGet(t, s, anna, n)
	wantGet(t, s, bram, nil)
	wantCurrent(t, s, anna, 10, true)
	wantCurrent(t, s, bram, 0, true)
	if st := s.Stats(); st.Hits != 1 || st.Misses != 2 {
		t.Errorf("stats: %+v", st)
	}
}

// holdsLatePut is the race of the cached-after-write: facts are read, an objection lands, then the fold is stored.
// Mutant: mutant_cache_no_floor.
func holdsLatePut(t *testing.T, s subject, c *clock) {
	readBefore := c.at(anna, 10)
	s.Raise(anna, 11)
	wantPut(t, s, readBefore, false)
	wantGet(t, s, anna, nil)
	wantCurrent(t, s, anna, 10, false)
	wantCurrent(t, s, anna, 11, true)
	wantPut(t, s, c.at(bram, 10), true)
	readAfter := c.at(anna, 11)
	wantPut(t, s, readAfter, true)
	wantGet(t, s, anna, readAfter)
	if st := s.Stats(); st.Declined != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func holdsRaise(t *testing.T, s subject, c *clock) {
	wantPut(t, s, c.at(anna, 10), true)
	kept := c.at(bram, 10)
	wantPut(t, s, kept, true)
	s.Raise(anna, 11)
	s.Raise(bram, 10)
	wantGet(t, s, anna, nil)
	wantGet(t, s, bram, kept)
	if st := s.Stats(); st.Dropped+st.BelowFloor != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func holdsFloorsRise(t *testing.T, s subject, c *clock) {
	s.Raise(anna, 20)
	s.Raise(anna, 15)
	wantCurrent(t, s, anna, 19, false)
	wantPut(t, s, c.at(anna, 19), false)
	wantPut(t, s, c.at(anna, 20), true)
}

func holdsNewest(t *testing.T, s subject, c *clock) {
	wantPut(t, s, c.at(anna, 12), true)
	newest := c.at(anna, 13)
	wantPut(t, s, newest, true)
	wantGet(t, s, anna, newest)
}

func holdsAge(t *testing.T, s subject, c *clock) {
	n := c.at(anna, 10)
	c.advance(30 * time.Minute) // age counts from the reading, not from the putting
	wantPut(t, s, n, true)
	c.advance(30 * time.Minute)
	wantGet(t, s, anna, n)
	c.advance(1)
	wantGet(t, s, anna, nil)
	wantPut(t, s, n, false)
	if st := s.Stats(); st.Stale != 1 {
		t.Errorf("stats: %+v", st)
	}
	again := c.at(anna, 10)
	wantPut(t, s, again, true)
	c.advance(2 * time.Hour)
	after := c.at(anna, 10) // at the same position, and what is held is too old to be in its way
	wantPut(t, s, after, true)
	wantGet(t, s, anna, after)
}

func holdsFuture(t *testing.T, s subject, c *clock) {
	n := c.at(anna, 10)
	wantPut(t, s, n, true)
	c.advance(-30 * time.Second)
	wantGet(t, s, anna, n)
	c.advance(-365 * 24 * time.Hour)
	wantPut(t, s, &note{bram, 10, n.read, 1}, false)
	wantGet(t, s, anna, nil)
}

// holdsCallee: a record that says it is of another callee is not believed. Mutant: mutant_cache_no_callee_check.
func holdsCallee(t *testing.T, s subject, c *clock) {
	n := c.at(anna, 10)
	wantPut(t, s, n, true)
	s.misplace(n, bram)
	if found := s.Look(ctx, bram, Hold{}); found.Found {
		t.Fatalf("found %+v", found.Record)
	}
	if found := s.Look(ctx, anna, Hold{}); found.Found && found.Record.callee != anna {
		t.Fatalf("found %+v", found.Record)
	}
	if st := s.Stats(); st.Stale != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func holdsNoCallee(t *testing.T, s subject, c *clock) {
	wantPut(t, s, c.at(eligibility.CalleeToken{}, 10), false)
	wantGet(t, s, eligibility.CalleeToken{}, nil)
	s.Raise(eligibility.CalleeToken{}, 5)
	wantCurrent(t, s, eligibility.CalleeToken{}, 4, false)
	wantCurrent(t, s, eligibility.CalleeToken{}, 5, true)
}

// holdsRaiseAtOnce: readers, and writers with late records, race with rising floors; nobody sees a record below a floor
// whose Raise had returned before the Get began.
func holdsRaiseAtOnce(t *testing.T, s subject, c *clock) {
	var raised [8]atomic.Uint64
	var wg sync.WaitGroup
	for worker := range 4 {
		r := rand.New(rand.NewPCG(uint64(worker), 5))
		wg.Go(func() {
			for range 4000 {
				i := r.IntN(len(raised))
				callee := token(uint64(i))
				floor := raised[i].Load()
				switch r.IntN(4) {
				case 0:
					s.Raise(callee, floor+1)
					for was := raised[i].Load(); was <= floor && !raised[i].CompareAndSwap(was, floor+1); was = raised[i].Load() {
					}
				case 1:
					s.Put(ctx, c.at(callee, floor+uint64(r.IntN(3))-min(floor, 1)))
				case 2:
					if floor > 0 && s.Current(callee, floor-1) {
						t.Errorf("position %d is current, the floor is %d", floor-1, floor)
					}
				default:
					if f := s.Look(ctx, callee, Hold{}); f.Found && (f.Record.position < floor || f.Record.callee != callee) {
						t.Errorf("got a record of position %d, the floor is %d", f.Record.position, floor)
					}
				}
			}
		})
	}
	wg.Wait()
	if s.Stats().Hits == 0 {
		t.Error("no record was ever found")
	}
}
