//go:build !race

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// validFor is how long after asking a dialer may dial on an ALLOW.
const validFor = 2 * time.Second

// T04: nodes are stopped for 0.1 to 5 s at moments of no choosing, and what clients see stays as one switch for each callee
// would have answered.
func TestT04Pause(t *testing.T) {
	length, seed := soak(t), seedOf(t)
	const callees, clients = 200, 16
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	w := newChurn(c, callees)
	dice := rand.New(rand.NewPCG(seed, 99))
	pauses := 0
	w.during(t, seed, clients, func() {
		for until := time.Now().Add(length); time.Now().Before(until); pauses++ {
			time.Sleep(time.Duration(dice.IntN(800)) * time.Millisecond)
			n := c.nodes[dice.IntN(len(c.nodes))]
			n.pause()
			time.Sleep(100*time.Millisecond + time.Duration(dice.IntN(4900))*time.Millisecond)
			n.resume()
		}
	})
	c.wantAllowed(subject(w.allowedOne(t)), soon)
	t.Logf("%d pauses", pauses)
	w.judge(t, seed)
}

// during lets clients work until do has returned.
func (w *churn) during(t *testing.T, seed uint64, clients int, do func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() { w.run(ctx, seed, clients, 1<<62) })
	do()
	cancel()
	work.Wait()
}

// allowedOne is a callee who may be called now.
func (w *churn) allowedOne(t *testing.T) int {
	t.Helper()
	for i, allowed := range w.subjects.allowed {
		if allowed {
			return i
		}
	}
	t.Fatal("everybody has objected")
	return 0
}

// onItsWay is a check that was asked for before its node was stopped, and answered after.
type onItsWay struct {
	callee int
	took   time.Duration
	answer *belpoortv1.CheckCallResponse
	err    error
}

// T04: a node is stopped while it answers checks. When it goes on, an ALLOW that was decided before does not leave it any
// more if the callee has objected meanwhile, nor if it is too old to be dialed on. What the process had not yet read, or
// already handed to its connection, it cannot take back: so most must be right, not all. What is asked after the objection
// is never allowed. The mutants mutant_no_second_look, mutant_no_age_limit, mutant_lease_unchecked and
// mutant_fence_no_lease must fail here.
func TestT04AnswersOnTheirWay(t *testing.T) {
	const callers = 12
	rounds := max(3, int(soak(t)/(6*time.Second)))
	c := startCluster(t, 2)
	c.nodes[0].consents(0, callers*(rounds+1))
	var asked, tooLate, objected, overtaken int
	for round := range rounds {
		for _, f := range c.stopped(0, callers, func(time.Time) { time.Sleep(validFor + 200*time.Millisecond) }) {
			asked++
			if isAllowed(f.answer) && f.took > validFor {
				tooLate++
			}
		}
		c.wantAllowed(subject(0), soon)
		first, inForce := callers*(round+1), false
		var after sync.WaitGroup
		all := c.stopped(first, callers, func(stop time.Time) {
			inForce = c.objectAll(first, callers) && time.Since(stop) < validFor-50*time.Millisecond
			c.askStopped(&after, first, callers)
		})
		after.Wait()
		for _, f := range all {
			if inForce {
				objected++
			}
			if inForce && isAllowed(f.answer) && f.took < validFor {
				overtaken++
			}
		}
		c.wantAllowed(subject(0), soon)
	}
	t.Logf("too late: %d of %d; against an objection: %d of %d", tooLate, asked, overtaken, objected)
	if asked < 2*rounds || objected < rounds {
		t.Error("too little was tried")
	}
	if tooLate*3 > asked*2 || overtaken*4 > objected {
		t.Error("answers leave the node as they were decided before it was stopped")
	}
}

// stopped has callers ask the second node, each about a callee of its own, over and over; stops the node shortly before it
// would renew its lease; and lets it go on when meanwhile has returned. It gives what was on its way.
func (c *cluster) stopped(first, callers int, meanwhile func(stop time.Time)) (found []onItsWay) {
	c.t.Helper()
	n := c.nodes[1]
	var over atomic.Bool
	var asking sync.WaitGroup
	var mu sync.Mutex
	var stop, on time.Time
	for callee := first; callee < first+callers; callee++ {
		asking.Go(func() {
			for !over.Load() {
				sent := time.Now()
				answer, err := n.within(10*time.Second, subject(callee))
				got := time.Now()
				mu.Lock()
				if !on.IsZero() && sent.Before(stop) && got.After(on) {
					found = append(found, onItsWay{callee, got.Sub(sent), answer, err})
				}
				mu.Unlock()
			}
		})
	}
	c.settleConstantly(&asking, &over)
	time.Sleep(50 * time.Millisecond)
	comesTrue(c.t, soon, "the lease is old", func() bool {
		left := n.metric("belpoort_lease_remaining_seconds")
		return left > 1 && left < 1.65
	})
	mu.Lock()
	stop = time.Now()
	n.pause()
	mu.Unlock()
	meanwhile(stop)
	mu.Lock()
	on = time.Now()
	n.resume()
	mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	over.Store(true)
	asking.Wait()
	return found
}

// askStopped asks the stopped node, which will answer when it goes on, about callees whose objection is in force.
func (c *cluster) askStopped(after *sync.WaitGroup, first, callers int) {
	for callee := first; callee < first+callers; callee++ {
		after.Go(func() {
			if answer, _ := c.nodes[1].within(10*time.Second, subject(callee)); isAllowed(answer) {
				c.t.Errorf("callee %d: allowed, asked after the objection was in force", callee)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // for the questions to arrive
}

// settleConstantly keeps the first node looking at the second one's announcements.
func (c *cluster) settleConstantly(all *sync.WaitGroup, over *atomic.Bool) {
	all.Go(func() {
		for i := 0; !over.Load(); i++ {
			ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
			_, err := c.nodes[0].consent(ctx, subject(9_999_999), fmt.Sprint("constantly-", time.Now().UnixNano()))
			cancel()
			if err != nil {
				c.t.Error(err)
			}
		}
	})
}

// objectAll records an objection of each callee as a fact, which is answered only when it is in force.
func (c *cluster) objectAll(first, callers int) bool {
	var all sync.WaitGroup
	var failed atomic.Int64
	for callee := first; callee < first+callers; callee++ {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
			defer cancel()
			_, err := belpoortv1.NewRegisterServiceClient(c.nodes[0].conn).RecordFact(c.nodes[0].as(ctx), &belpoortv1.RecordFactRequest{
				Callee: subject(callee), RequestId: fmt.Sprint("objection-", callee),
				Fact: &belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: &belpoortv1.Objection{
					Organisation: "voltwerk", ObjectTime: timestamppb.Now(), Via: belpoortv1.Via_VIA_IVR,
					Scope: belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION, By: belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER,
				}}},
			})
			if err != nil {
				failed.Add(1)
				c.t.Error(err)
			}
		})
	}
	all.Wait()
	return failed.Load() == 0
}
