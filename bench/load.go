package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// run is one contestant on its way through the plan.
type run struct {
	plan       *Plan
	contestant *Contestant
	calls      atomic.Uint64 // serial number of the next call
	tallies    []tally       // per load
}

// window is the part of a slice in which calls count.
type window struct{ from, until time.Time }

func (w window) counts(begun time.Time) bool { return !begun.Before(w.from) }

// measure offers load l for one slice, and then waits until the contestant has finished what it still had to do.
func (r *run) measure(ctx context.Context, l int, slice time.Duration) error {
	log := newRecording()
	before, err := r.cpu()
	if err != nil {
		return err
	}
	begin, first := time.Now(), r.calls.Load()
	w := window{from: begin.Add(min(maxLeadIn, slice/10))}
	w.until = w.from.Add(slice)
	if load := r.plan.Loads[l]; load.Rate > 0 {
		if err := r.open(ctx, load.Rate, begin, w, log); err != nil {
			return err
		}
	} else {
		r.closed(ctx, r.callers(load), w, log)
	}
	ended := time.Now()
	after, rest, err := r.settle(ctx)
	if err != nil {
		return err
	}
	r.tallies[l].add(log, outcome{
		took: ended.Sub(w.from), rest: rest, cpu: after - before, cpuKnown: r.contestant.CPU != nil, made: r.calls.Load() - first,
	})
	return nil
}

// listsAtOnce is as many lists as the service takes in of one key: more would only wait in front of it.
const listsAtOnce = 16

// callers are as many as the load says, but for lists.
func (r *run) callers(l Load) int {
	if r.contestant.Numbers > 1 {
		return min(l.Callers, listsAtOnce)
	}
	return l.Callers
}

func (r *run) cpu() (time.Duration, error) {
	if r.contestant.CPU == nil {
		return 0, nil
	}
	spent, err := r.contestant.CPU()
	if err != nil {
		return 0, fmt.Errorf("%s: its CPU time: %w", r.contestant.Name, err)
	}
	return spent, nil
}

// A contestant is at rest when it uses less than a tenth of one processor.
const (
	settleLook = 20 * time.Millisecond
	settleBusy = settleLook / 10
	settleMost = 30 * time.Second
)

// settle waits until a contestant is at rest, and returns its CPU time and how long it was still busy: what a server puts
// off until after its answers is part of what they cost, and must not slow down whoever comes next.
func (r *run) settle(ctx context.Context) (spent, busy time.Duration, err error) {
	spent, err = r.cpu()
	for err == nil && r.contestant.CPU != nil && busy < settleMost && !mutantBenchNoSettle {
		select {
		case <-time.After(settleLook):
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
		before := spent
		if spent, err = r.cpu(); spent-before < settleBusy {
			break
		}
		busy += settleLook
	}
	if err == nil {
		err = ctx.Err()
	}
	return spent, busy, err
}

// closed lets callers call, each as soon as it has its answer, and returns when the last answer is there. Each makes a call
// that counts, even where the first answers took all the time that there was.
func (r *run) closed(ctx context.Context, callers int, w window, log *recording) {
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for counted := false; ctx.Err() == nil; {
				begun := time.Now()
				if counted && !begun.Before(w.until) {
					return
				}
				err := r.call(ctx, caller)
				if w.counts(begun) {
					log.took(caller, time.Since(begun), err)
					counted = true
				}
			}
		})
	}
	group.Wait()
}

// open sends calls at a constant rate, whether earlier ones were answered or not. A call's latency counts from the moment
// at which it should have been sent, so that a server (or this client) that stalls is charged for every call that had to
// wait, not only for those under way.
func (r *run) open(ctx context.Context, rate int, begin time.Time, w window, log *recording) error {
	clock, err := newPace()
	if err != nil {
		return err
	}
	defer clock.stop()
	var group sync.WaitGroup
	places := make(chan struct{}, r.inFlight())
	interval := float64(time.Second) / float64(rate)
	for n := 0; ctx.Err() == nil; n++ {
		due := begin.Add(time.Duration(float64(n) * interval))
		if !due.Before(w.until) {
			break
		}
		if err := clock.until(due); err != nil {
			return err
		}
		places <- struct{}{}
		group.Go(func() {
			r.callDue(ctx, n, due, w, log)
			<-places
		})
	}
	group.Wait()
	return nil
}

func (r *run) callDue(ctx context.Context, n int, due time.Time, w window, log *recording) {
	sent := time.Now()
	from := due
	if mutantBenchFromSend {
		from = sent
	}
	err := r.call(ctx, n)
	if w.counts(due) {
		log.late(n, sent.Sub(due))
		log.took(n, time.Since(from), err)
	}
}

func (r *run) inFlight() int {
	if r.plan.InFlight > 0 {
		return r.plan.InFlight
	}
	return maxInFlight
}

func (r *run) call(ctx context.Context, caller int) error {
	ctx, cancel := context.WithTimeout(ctx, r.plan.Timeout)
	defer cancel()
	return r.contestant.Call(ctx, caller%r.plan.Connections, r.calls.Add(1)-1)
}
