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
	const loads, each = 5, 10 * time.Millisecond
	for name, c := range map[string]struct {
		checks, facts int
		rests         float64 // of the longest rest
	}{
		"no checks":                {0, 500, 0},
		"many checks":              {2000, 500, 1},
		"few checks":               {25, 500, .25},
		"facts that are no load":   {2000, easeFrom - 1, 0},
		"the least that is a load": {2000, easeFrom, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEasing()
				e.came.Add(int64(c.checks))
				time.Sleep(time.Second)
				rest := c.rests * restOf / processors()
				wantAtOnce, want := int64(1), loads*each+time.Duration(rest*float64((loads-1)*each))
				if c.rests == 0 {
					wantAtOnce, want = loads, each
				}
				atOnce, took := working(t, e, loads, c.facts, each)
				if atOnce != wantAtOnce {
					t.Errorf("%d loads at once, want %d", atOnce, wantAtOnce)
				}
				if took < want*9/10 || took > want*11/10 {
					t.Errorf("%d loads took %v, want %v", loads, took, want)
				}
				time.Sleep(time.Second) // the last rest
			})
		})
	}
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
