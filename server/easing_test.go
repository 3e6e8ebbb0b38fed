package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// working counts how many loads are worked on at once, and how long all of them take.
func working(t *testing.T, e *easing, loads, facts int, each time.Duration) (atOnce int64, took time.Duration) {
	t.Helper()
	var now, most atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range loads {
		all.Go(func() {
			err := e.work(t.Context(), facts, func() error {
				n := now.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				time.Sleep(each)
				now.Add(-1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return most.Load(), time.Since(began)
}

// TestLoadsTakeTurnsAndRestWhileChecksCome: the more checks the longer, and without checks not at all. The mutant
// mutant_loads_first must fail here.
func TestLoadsTakeTurnsAndRestWhileChecksCome(t *testing.T) {
	const loads, each = 2*loadsAtOnce - 1, 10 * time.Millisecond
	for name, c := range map[string]struct {
		checks, facts int
		atOnce        int64
		rests         float64 // of the longest rest
	}{
		"no checks":                {0, 500, loadsAtOnce, 0},
		"many checks":              {2000, 500, 1, 1},
		"few checks":               {100, 500, 1, .25},
		"facts that are no load":   {2000, easeFrom - 1, loads, 0},
		"the least that is a load": {2000, easeFrom, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEasing()
				e.came.Add(int64(c.checks))
				time.Sleep(time.Second)
				rest := c.rests * restOf / processors()
				want := loads*each + time.Duration(rest*float64((loads-1)*each))
				if c.rests == 0 {
					want = each * time.Duration((loads+c.atOnce-1)/c.atOnce)
				}
				atOnce, took := working(t, e, loads, c.facts, each)
				if atOnce != c.atOnce {
					t.Errorf("%d loads at once, want %d", atOnce, c.atOnce)
				}
				if took < want*9/10 || took > want*11/10 {
					t.Errorf("%d loads took %v, want %v", loads, took, want)
				}
				time.Sleep(time.Second) // the last rest
			})
		})
	}
}

// TestARateIsForgottenSlowly: dialers pause, and a load that then goes at full speed would meet their next calls.
func TestARateIsForgottenSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEasing()
		full := restOf / processors()
		e.came.Add(2000)
		time.Sleep(time.Second)
		if rest := e.rest(); rest != full {
			t.Errorf("at 2,000 checks a second: %v", rest)
		}
		for _, c := range []struct {
			after       time.Duration
			least, most float64
		}{{time.Second, 100, 100}, {8 * time.Second, 20, 30}, {20 * time.Second, 0, 0}} {
			time.Sleep(c.after)
			if rest := 100 * e.rest() / full; rest < c.least || rest > c.most {
				t.Errorf("%v later: %.1f %%, want %.0f to %.0f", c.after, rest, c.least, c.most)
			}
		}
		e.came.Add(100)
		time.Sleep(rateEvery)
		if rest := e.rest(); rest != full {
			t.Errorf("when they come again: %v", rest)
		}
	})
}

// TestALoadThatWaitsForItsTurnCanBeGivenUp, and a rest has an end.
func TestALoadThatWaitsForItsTurnCanBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEasing()
		e.came.Add(1000)
		time.Sleep(time.Second)
		failed := errors.New("failed")
		if err := e.work(t.Context(), 500, func() error { time.Sleep(time.Minute); e.came.Add(100_000); return failed }); !errors.Is(err, failed) {
			t.Errorf("the load's own error became %v", err)
		}
		e.came.Add(100_000)
		ctx, cancel := context.WithTimeout(t.Context(), longestRest/2)
		defer cancel()
		if err := e.work(ctx, 500, func() error { t.Error("worked on while another rests"); return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		began := time.Now()
		if err := e.work(t.Context(), 500, func() error { return nil }); err != nil || time.Since(began) > longestRest {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		time.Sleep(time.Second)
	})
}
