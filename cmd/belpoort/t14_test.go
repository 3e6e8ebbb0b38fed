//go:build !race

package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// T14: five times as many callers as there are places. What is more than can be done is refused at once, what is accepted is
// done about as fast as before, and every objection is taken; afterwards all is as it was. The crowd is a process of its own;
// what a lone caller beside it is told, and when, is what a dialer would see.
func TestT14Overload(t *testing.T) {
	length := soakOr(t, 2*time.Second)
	n := &clusterNode{process: serveIn(t, t.TempDir()+"/data", "--log-level", "warn")}
	n.dial()
	n.must("apply", write(t, t.TempDir(), "catalogue.yaml", testCatalogue()))
	const callees = 1000
	n.consents(0, callees)
	few := crowd{Address: n.grpc, Key: n.operatorKey(), Callers: 64, Callees: callees, Length: length / 2}
	many := few
	many.Callers, many.Length = 5*64*runtime.NumCPU(), length
	few.run(t) // so that the cache is warm
	peak := few.run(t)
	beside, stop := n.lone(t, callees)
	over := many.run(t)
	stop()
	lone := <-beside
	after := few.run(t)
	t.Logf("64 callers: %v", peak)
	t.Logf("%d callers: %v", many.Callers, over)
	t.Logf("a lone caller beside them: %v; %d objections, p50 %v, p99 %v", &lone.heard, len(lone.objections), partOf(lone.objections, .5), partOf(lone.objections, .99))
	t.Logf("64 callers again: %v", after)
	if over.Shed == 0 || over.rate() < peak.rate()/2 || over.Failed > over.Decided/1000 {
		t.Error("nothing was shed, or what was accepted broke down")
	}
	if after.rate() < peak.rate()/2 || after.Shed > 0 {
		t.Error("it did not recover")
	}
	if len(lone.objections) == 0 || lone.Decided+lone.Shed == 0 || lone.Failed > 0 {
		t.Error("a caller beside the crowd was not answered")
	}
}

// loner asks and objects beside a crowd.
type loner struct {
	heard
	objections []time.Duration // sorted
}

// lone asks a check every 5 ms and registers an objection every 50, one at a time, until stop.
func (n *clusterNode) lone(t *testing.T, callees int) (result chan *loner, stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	result = make(chan *loner, 1)
	began := time.Now()
	go func() {
		l := &loner{}
		for i := 0; ctx.Err() == nil; i++ {
			asked := time.Now()
			_, err := n.within(time.Second, subject(i%callees))
			l.note(time.Since(asked), err)
			if i%10 == 0 {
				l.object(t, n, callees+i)
			}
			time.Sleep(5 * time.Millisecond)
		}
		l.Decided, l.Shed, l.Length = len(l.Took), len(l.ShedAfter), time.Since(began)
		slices.Sort(l.Took)
		slices.Sort(l.ShedAfter)
		slices.Sort(l.objections)
		result <- l
	}()
	return result, cancel
}

func (h *heard) note(took time.Duration, err error) {
	switch {
	case err == nil:
		h.Took = append(h.Took, took)
	case status.Code(err) == codes.ResourceExhausted:
		h.ShedAfter = append(h.ShedAfter, took)
	default:
		h.Failed, h.Failure = h.Failed+1, err.Error()
	}
}

func (l *loner) object(t *testing.T, n *clusterNode, callee int) {
	began := time.Now()
	if _, err := n.object(context.WithoutCancel(t.Context()), subject(callee), fmt.Sprint("o-", callee)); err != nil {
		t.Errorf("an objection under overload: %v", err)
		return
	}
	l.objections = append(l.objections, time.Since(began))
}
