//go:build !race

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/belpoort/belpoort/rig"
)

// crowd is callers who each ask again as soon as they are answered, or after a pause when they are refused for want of room.
type crowd struct {
	decided, shed, failed atomic.Int64
	mu                    sync.Mutex
	took, refusedAfter    []time.Duration
	length                time.Duration
}

func (n *clusterNode) crowd(callers, callees int, length time.Duration) *crowd {
	c := &crowd{length: length}
	ctx, cancel := context.WithTimeout(n.t.Context(), length)
	defer cancel()
	var desks []*clusterNode // each with a connection of its own: one takes 256 requests at a time
	for range 8 {
		desk := *n
		desk.dial()
		desks = append(desks, &desk)
	}
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for ctx.Err() == nil {
				asked := time.Now()
				_, err := desks[caller%len(desks)].ask(ctx, subject(rand.IntN(callees)))
				c.note(time.Since(asked), err, ctx.Err() != nil)
				if err != nil {
					time.Sleep(250 * time.Millisecond) // what the server asks for
				}
			}
		})
	}
	all.Wait()
	slices.Sort(c.took)
	slices.Sort(c.refusedAfter)
	return c
}

func (c *crowd) note(took time.Duration, err error, over bool) {
	switch {
	case over:
		return
	case err == nil:
		c.decided.Add(1)
	case status.Code(err) == codes.ResourceExhausted:
		c.shed.Add(1)
	default:
		c.failed.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.took = append(c.took, took)
	} else {
		c.refusedAfter = append(c.refusedAfter, took)
	}
}

func (c *crowd) rate() float64 { return float64(c.decided.Load()) / c.length.Seconds() }

func (c *crowd) String() string {
	return fmt.Sprintf("%.0f decided/s, p50 %v, p99 %v; %d shed after p50 %v; %d failed", c.rate(), partOf(c.took, .5), partOf(c.took, .99),
		c.shed.Load(), partOf(c.refusedAfter, .5), c.failed.Load())
}

func partOf(sorted []time.Duration, of float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(of*float64(len(sorted)-1))].Round(10 * time.Microsecond)
}

// T14: five times as many callers as there are places. What is more than can be done is refused at once, what is accepted is
// done about as fast as before, and every objection is taken; afterwards all is as it was.
func TestT14Overload(t *testing.T) {
	length := soak(t)
	c := &cluster{t: t, postgres: rig.SharedPostgres(t), redis: rig.StartRedis(t, rig.RedisOptions{})}
	c.database = c.postgres.Database(t)
	n := c.startNode()
	n.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	const callees, places = 1000, 256
	n.consents(0, callees)
	peak := n.crowd(64, callees, length/4)
	stop, objected := make(chan struct{}), make(chan int)
	go func() {
		good := 0
		for i := callees; ; i++ {
			select {
			case <-stop:
				objected <- good
				return
			case <-time.After(50 * time.Millisecond):
			}
			if _, err := n.object(t.Context(), subject(i), fmt.Sprint("o-", i)); err != nil {
				t.Errorf("an objection under overload: %v", err)
			}
			good++
		}
	}()
	over := n.crowd(5*places, callees, length)
	close(stop)
	objections := <-objected
	after := n.crowd(64, callees, length/4)
	t.Logf("64 callers: %v", peak)
	t.Logf("%d callers: %v; %d objections taken", 5*places, over, objections)
	t.Logf("64 callers again: %v", after)
	if over.shed.Load() == 0 || over.rate() < peak.rate()/2 || over.failed.Load() > over.decided.Load()/1000 {
		t.Error("nothing was shed, or what was accepted broke down")
	}
	if after.rate() < peak.rate()/2 || after.shed.Load() > 0 {
		t.Error("it did not recover")
	}
}
