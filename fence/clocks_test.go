package fence

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// The tests of T08. Timers and sleeping are synctest's, the fence's clock is a timepiece, and the ledger's is the bubble's
// wall clock with steps.

// noFloors is for tests of clocks only.
type noFloors struct{}

func (noFloors) Raise(eligibility.CalleeToken, uint64) {}
func (noFloors) DropBefore(uint64)                     {}

// schedule is a node whose announces are watched.
type schedule struct {
	*node
	dice     *rand.Rand   // of the calls
	step     atomic.Int64 // of the ledger's clock
	answered atomic.Int64 // when the newest answered announce was sent, by the node's clock
}

type watched struct {
	*link
	s *schedule
}

func (w watched) Announce(ctx context.Context, id NodeID, name string, applied uint64) (time.Time, error) {
	sent := w.s.clock.now()
	at, err := w.link.Announce(ctx, id, name, applied)
	if err == nil {
		w.s.answered.Store(max(w.s.answered.Load(), int64(sent)))
	}
	return at.Add(time.Duration(w.s.step.Load())), err
}

func newSchedule(seed uint64) (*schedule, Options) {
	s := &schedule{dice: rand.New(rand.NewPCG(seed, 2))}
	s.node = &node{link: newLink(newLedger()), clock: newTimepiece(1)}
	return s, Options{Ledger: watched{s.link, s}, Floors: noFloors{}, Name: "test", Clock: s.clock.now, Catalogue: nothingToLoad}
}

// upTo is for what befalls calls: one at a time.
func (s *schedule) upTo(d time.Duration) time.Duration { return time.Duration(s.dice.Int64N(int64(d))) }

// check holds the lease against the announces: it counts from the sending of one that was answered.
func (s *schedule) check(t *testing.T, when string) {
	t.Helper()
	if now := s.clock.now(); s.Held() && now >= time.Duration(s.answered.Load())+defaultTerm {
		t.Fatalf("%s: a lease at %v, the newest answered announce was sent at %v", when, now, time.Duration(s.answered.Load()))
	}
}

// wallSteps are what administrators, summer time and bad batteries do.
var wallSteps = []time.Duration{
	3 * 365 * 24 * time.Hour, -3 * 365 * 24 * time.Hour, time.Hour, -time.Hour, time.Second, -time.Second, 30 * time.Millisecond,
}

// befalls gives each call a delay, and now and then a lost answer, a pause of this process in the middle, or a step of the
// ledger's clock.
func (s *schedule) befalls(string) trouble {
	switch s.dice.IntN(40) {
	case 0:
		s.clock.leap(s.upTo(3 * time.Second))
	case 1:
		s.step.Add(int64(wallSteps[s.dice.IntN(len(wallSteps))]))
	case 2:
		return trouble{lost: true}
	case 3:
		return trouble{err: errAway}
	}
	return trouble{before: s.upTo(30 * time.Millisecond), after: s.upTo(30 * time.Millisecond)}
}

func TestT08Clocks(t *testing.T) {
	schedules := 10_000
	if soaking() {
		schedules = 1_000_000
	}
	first := uint64(time.Now().UnixNano())
	t.Logf("seeds from %d", first)
	leases := 0
	for i := range uint64(schedules) {
		inBubble(t, func(t *testing.T) {
			if runSchedule(t, first+i) {
				leases++
			}
		})
		if t.Failed() {
			t.Fatalf("with seed %d", first+i)
		}
	}
	if leases < schedules/4 {
		t.Fatalf("a lease at the end of %d schedules of %d: too few to tell anything", leases, schedules)
	}
}

// runSchedule lets a node live for a while, then takes its ledger away and looks at the edge of the last lease.
func runSchedule(t *testing.T, seed uint64) (lease bool) {
	s, opts := newSchedule(seed)
	f, err := Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Fence = f
	defer s.close(t)
	defer s.link.befall(nil)
	s.link.befall(s.befalls)
	moments := rand.New(rand.NewPCG(seed, 5))
	for range 20 {
		time.Sleep(time.Duration(moments.Int64N(int64(200 * time.Millisecond))))
		s.check(t, "under way")
	}
	s.link.befall(hangs)
	time.Sleep(100 * time.Millisecond) // for what is under way
	left := s.State().Remaining
	if left > 0 {
		time.Sleep(left - 1)
		if !s.Held() {
			t.Fatal("the lease ended a nanosecond too early")
		}
		s.check(t, "at the edge")
		time.Sleep(time.Nanosecond)
	}
	if s.Held() {
		t.Fatal("the lease did not end in its nanosecond")
	}
	return left > 0
}

// A node that was paused for longer than a lease between asking and hearing has none.
func TestAnAnswerHeldAcrossAPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, opts := newSchedule(1)
		f, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Fence = f
		defer s.close(t)
		for _, during := range []string{"Announce", "Changes"} {
			s.link.befall(func(call string) trouble {
				if call == during {
					s.clock.leap(defaultTerm)
				}
				return trouble{}
			})
			for range 2000 {
				time.Sleep(time.Millisecond)
				s.check(t, during)
			}
			if s.Held() {
				t.Fatalf("a lease though each %s takes a term", during)
			}
			s.link.befall(nil)
			time.Sleep(5 * time.Second)
			if !s.Held() {
				t.Fatal("no lease after the pauses")
			}
		}
	})
}

func TestDriftWithinTheBoundIsAccepted(t *testing.T) {
	for _, rate := range []float64{1 - 500e-6, 1, 1 + 500e-6} {
		inBubble(t, func(t *testing.T) {
			s, opts := newSchedule(1)
			s.clock.setRate(rate)
			s.link.befall(func(string) trouble {
				return trouble{before: s.upTo(5 * time.Millisecond), after: s.upTo(5 * time.Millisecond)}
			})
			f, err := Open(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			s.Fence = f
			defer s.close(t)
			for range 6000 {
				time.Sleep(10 * time.Millisecond)
				if !s.Held() {
					t.Fatalf("rate %v: no lease: %+v", rate, s.State())
				}
			}
			if state := s.State(); state.DriftExceeded || math.Abs(state.Drift-(rate-1)) > 200e-6 {
				t.Fatalf("rate %v: %+v", rate, state)
			}
		})
	}
}

func TestDriftBeyondTheBoundWithholdsTheLease(t *testing.T) {
	for _, rate := range []float64{0.95, 0.98, 1.02, 1.05, 3} {
		inBubble(t, func(t *testing.T) {
			s, opts := newSchedule(1)
			s.link.befall(func(string) trouble {
				return trouble{before: s.upTo(2 * time.Millisecond), after: s.upTo(2 * time.Millisecond)}
			})
			s.clock.setRate(rate)
			f, err := Open(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			s.Fence = f
			defer s.close(t)
			withheld(t, s, rate, "from the start")

			s.clock.setRate(1)
			time.Sleep(2 * defaultTerm)
			if state := s.State(); !state.Held || state.DriftExceeded || state.LastError != nil {
				t.Fatalf("rate %v: no lease after a clean stretch: %+v", rate, state)
			}
			s.clock.setRate(rate)
			time.Sleep(defaultTerm)
			withheld(t, s, rate, "later on")
		})
	}
}

func withheld(t *testing.T, s *schedule, rate float64, when string) {
	t.Helper()
	for range 1000 {
		if s.Held() {
			t.Fatalf("rate %v, %s: a lease: %+v", rate, when, s.State())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if state := s.State(); !state.DriftExceeded || math.Abs(state.Drift-(rate-1)) > 0.01*rate || !errors.Is(state.LastError, errDrift) {
		t.Fatalf("rate %v, %s: %+v", rate, when, state)
	}
}

// A writer whose clock is too fast waits long enough all the same.
func TestAFastWriterWaitsLongEnough(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s, opts := newSchedule(1)
		s.clock.setRate(1.5)
		f, err := Open(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Fence = f
		defer s.close(t)
		other := opened(t, s.link.memLedger)
		defer other.close(t)
		other.link.befall(hangs)
		if err := s.Settle(t.Context(), s.link.append(testToken)); err != nil {
			t.Fatal(err)
		}
		if other.Held() {
			t.Fatal("settled while the other node has a lease")
		}
		other.link.befall(nil)
	})
}

var testToken = eligibility.CalleeToken{1}

// A step of the ledger's clock withholds the lease for a while, and never lengthens one.
func TestTheLedgersClockMayStep(t *testing.T) {
	for _, step := range wallSteps {
		inBubble(t, func(t *testing.T) {
			s, opts := newSchedule(1)
			f, err := Open(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			s.Fence = f
			defer s.close(t)
			time.Sleep(5 * time.Second)
			s.step.Store(int64(step))
			withheld := false
			for range 2000 {
				time.Sleep(time.Millisecond)
				s.check(t, step.String())
				withheld = withheld || !s.Held() && s.State().DriftExceeded
			}
			if !withheld {
				t.Errorf("step %v went unnoticed", step)
			}
			time.Sleep(2 * defaultTerm)
			if !s.Held() {
				t.Errorf("step %v: no lease afterwards: %+v", step, s.State())
			}
		})
	}
}

// The room has no way to the wall clock: but for the monotonic clock of other systems, nothing here reads it.
func TestNothingReadsTheWallClock(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "clock_other.go" {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		read++
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if from, ok := s.X.(*ast.Ident); ok && from.Name == "time" && wallReading[s.Sel.Name] {
					t.Errorf("%s calls time.%s", name, s.Sel.Name)
				}
			}
			return true
		})
	}
	if read < 10 {
		t.Fatalf("only %d files were read", read)
	}
}

var wallReading = map[string]bool{"Now": true, "Since": true, "Until": true, "Local": true}
