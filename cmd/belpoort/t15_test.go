package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/client"
)

// T15: half of the checks fail, all are delayed, and every client repeats what it may: the service is asked little more
// than it would be without repeats, nobody waits beyond the deadline, and afterwards all is as before.
func TestT15SlowAndRetry(t *testing.T) {
	length := soakOr(t, 0)
	p := stocked(t)
	first, second := p.crossroads(), p.crossroads()
	const deadline = 100 * time.Millisecond
	c := p.goClient(deadline, first.address, second.address)
	asked := func() int64 { return first.asked.Load() + second.asked.Load() }
	burst(t, c, 200)
	for _, x := range []*crossroads{first, second} {
		x.failing.Store(50)
		x.delay.Store(int64(2 * deadline))
	}
	before := asked()
	checks, took := troubled(t, c, 800, length)
	again := asked() - before
	t.Logf("%d checks, asked %d times: %.3fx; answered or given up after p50 %v, p99 %v, at most %v, with a deadline of %v",
		checks, again, float64(again)/float64(checks), partOf(took, .5), partOf(took, .99), partOf(took, 1), deadline)
	if float64(again) > 1.1*float64(checks) {
		t.Errorf("%d checks were asked %d times, want at most 1.1x", checks, again)
	}
	for _, x := range []*crossroads{first, second} {
		x.failing.Store(0)
		x.delay.Store(0)
	}
	eventually(t, "all is as before", func() bool { return burst(t, c, 100) >= 99 })
	hedges := asked()
	burst(t, c, 1000)
	if extra := asked() - hedges - 1000; extra > 50 {
		t.Errorf("afterwards %d of 1000 checks were asked twice, want at most 1 in 20", extra)
	}
}

// troubled asks from 8 goroutines, so many checks and for so long at least; it counts them and tells how long each took.
func troubled(t *testing.T, c *client.Client, atLeast int64, length time.Duration) (checks int64, took []time.Duration) {
	t.Helper()
	var counted atomic.Int64
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for range 8 {
		all.Go(func() {
			for counted.Add(1) <= atLeast || time.Since(began) < length {
				asked := time.Now()
				_, _ = mayDial(t, c, allowedNumber)
				mu.Lock()
				took = append(took, time.Since(asked))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return int64(len(took)), took
}
