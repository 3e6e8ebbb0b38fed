package server

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// admission bounds checks, so that too many of them end in refusals that come at once, and not in answers that come too
// late: how many are under way; how many wait for their turn to compute, which is what can be computed while one has
// patience; and how old one may be when its turn comes. Few that compute leave the processors to what is no check:
// objections, and the refusals themselves.
type admission struct {
	places   chan struct{} // one for each check under way, those included that wait for a disk, Redis or the ledger
	patience time.Duration
	most     int // may compute at the same time, but for those that computed before

	mu        sync.Mutex
	computing int
	queue     list.List // of *waiting: those that came first, first
	pace      pace

	waiting atomic.Int64 // in the queue
	room    atomic.Int64 // for so many in it
}

// computingEach is how many checks may compute for each processor: one more than it takes to keep it busy.
const computingEach = 2

func newAdmission(checks int, patience time.Duration) *admission {
	a := &admission{places: make(chan struct{}, checks), most: computingEach * runtime.GOMAXPROCS(0), patience: patience}
	a.room.Store(int64(checks))
	return a
}

// waiting is a check in the queue.
type waiting struct {
	turn  chan struct{} // has an element when it is its turn
	place *list.Element // nil when it has left the queue
}

// full tells that a check would be refused now.
func (a *admission) full() bool {
	return !mutantUnboundedQueue && (len(a.places) == cap(a.places) || a.waiting.Load() >= a.room.Load())
}

// crowded tells a queue from a hiccup: a check that is late on an idle machine is late for a reason that has passed.
func (a *admission) crowded() bool {
	return len(a.places) > cap(a.places)/2 || a.waiting.Load() > a.room.Load()/2
}

// begin returns when a new check may compute, or with the context's error.
func (a *admission) begin(ctx context.Context) error {
	a.mu.Lock()
	if a.computing < a.most && a.queue.Len() == 0 {
		a.computing++
		a.pace.idle = true
		a.mu.Unlock()
		return nil
	}
	w := &waiting{turn: make(chan struct{}, 1)}
	w.place = a.queue.PushBack(w)
	a.waiting.Add(1)
	a.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
		a.giveUp(w)
		return ctx.Err()
	}
}

// giveUp takes a check out of the queue, or passes on the turn that it was given meanwhile.
func (a *admission) giveUp(w *waiting) {
	a.mu.Lock()
	waits := w.place != nil
	if waits {
		a.queue.Remove(w.place)
		a.waiting.Add(-1)
	}
	a.mu.Unlock()
	if !waits {
		a.end()
	}
}

// again lets a check compute that has computed before: the sooner it is through, the sooner there is room for others.
func (a *admission) again() {
	a.mu.Lock()
	a.computing++
	a.mu.Unlock()
}

// end gives the turn to the next.
func (a *admission) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.computing--
	for a.computing < a.most && a.queue.Len() > 0 {
		w := a.queue.Remove(a.queue.Front()).(*waiting)
		w.place = nil
		a.waiting.Add(-1)
		a.computing++
		if room, known := a.pace.note(time.Now(), a.patience, cap(a.places)); known {
			a.room.Store(int64(max(room, 2*a.most)))
		}
		w.turn <- struct{}{}
	}
}

// pace reckons how many checks can be taken from the queue while one has patience.
type pace struct {
	since  time.Time
	taken  int
	idle   bool // the queue was empty at some moment since then
	latest int
}

// A queue's pace is reckoned every paceEvery; what was seen before forgetAfter says nothing about now.
const (
	paceEvery   = 100 * time.Millisecond
	forgetAfter = time.Second
)

// note counts a check taken from the queue, and gives now and then how many may wait: after a while with a queue all the
// time, what its pace allows; otherwise more than before, at most limit.
func (p *pace) note(now time.Time, patience time.Duration, limit int) (room int, known bool) {
	p.taken++
	elapsed := now.Sub(p.since)
	if elapsed < paceEvery {
		return 0, false
	}
	switch {
	case elapsed > forgetAfter:
		p.latest = limit
	case p.idle || elapsed > 2*paceEvery:
		p.latest = 2 * max(p.latest, 1)
	default:
		p.latest = int(float64(p.taken) * float64(patience) / float64(elapsed))
	}
	p.latest = min(p.latest, limit)
	p.since, p.taken, p.idle = now, 0, false
	return p.latest, true
}

// admitted is one check under way. Only the goroutine of that check uses it; nil is work that nobody admitted, and that
// waits for nothing.
type admitted struct {
	to        *admission
	computing bool
}

// admit gives a check its place, and its turn to compute. The caller leaves.
func (s *Server) admit(ctx context.Context, came arrival) (*admitted, error) {
	a := s.admission
	s.easing.came.Add(1)
	if a.full() {
		return nil, s.shed(ctx)
	}
	select {
	case a.places <- struct{}{}:
	default:
		if !mutantUnboundedQueue {
			return nil, s.shed(ctx)
		}
		a.places <- struct{}{}
	}
	seat := &admitted{to: a}
	if err := a.begin(ctx); err != nil {
		seat.leave()
		return nil, unavailable(ReasonTooLate, "a turn to decide this call", err)
	}
	seat.computing = true
	waited := time.Since(came.at)
	s.metrics.Took(ops.StageWait, waited) // it began before the trace did
	if waited > a.patience && a.crowded() && !mutantEndlessPatience {
		seat.leave()
		return nil, s.shed(ctx)
	}
	return seat, nil
}

// compute takes the check's turn again, unless it has it.
func (a *admitted) compute() {
	if a != nil && !a.computing {
		a.to.again()
		a.computing = true
	}
}

// pause gives the turn to others, while the check waits for something that is no computing.
func (a *admitted) pause() {
	if a != nil && a.computing {
		a.to.end()
		a.computing = false
	}
}

func (a *admitted) leave() {
	a.pause()
	<-a.to.places
}

// pushback is how long a client should wait before it asks a node again that refused it for want of room.
const pushback = 250 * time.Millisecond

// shed refuses a check at once rather than late: what waits too long is of no use to a dialer. Objections have places of
// their own.
func (s *Server) shed(ctx context.Context) error {
	s.metrics.Shed()
	askToWait(ctx)
	return tooMany()
}

func tooMany() *failure {
	return fail(codes.ResourceExhausted, ReasonOverloaded, "too many calls are being checked at this moment")
}

// askToWait is a hint to gRPC's own repeats; everybody else reads it in the error's RetryInfo.
func askToWait(ctx context.Context) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "250"))
}

// arrivedContext is a request's context that knows when its header had been read.
type arrivedContext struct {
	context.Context
	at time.Time
}

type arrivedKey struct{}

func (c *arrivedContext) Value(key any) any {
	if _, is := key.(arrivedKey); is {
		return c.at
	}
	return c.Context.Value(key)
}

// arrivedAt is when a request came; where nobody noted that, now.
func arrivedAt(ctx context.Context, now time.Time) time.Time {
	if at, noted := ctx.Value(arrivedKey{}).(time.Time); noted {
		return at
	}
	return now
}

// onHeader hears of each request from the goroutine that reads its connection, and must not make it wait. A check that
// finds no place is refused here, before it costs a goroutine; from the others' waiting counts from here.
func (s *Server) onHeader(ctx context.Context, info *tap.Info) (context.Context, error) {
	if info.FullMethodName != belpoortv1.GatekeeperService_CheckCall_FullMethodName {
		return ctx, nil
	}
	if s.admission.full() {
		s.metrics.Shed()
		s.metrics.Answered(info.FullMethodName, codes.ResourceExhausted.String(), true, 0)
		if s.mayComplain() {
			s.log.Warn("request failed", zap.String("method", info.FullMethodName), zap.Stringer("code", codes.ResourceExhausted), zap.String("reason", ReasonOverloaded))
		}
		return ctx, s.full
	}
	return &arrivedContext{ctx, time.Now()}, nil
}
