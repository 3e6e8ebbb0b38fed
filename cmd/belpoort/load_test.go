//go:build !race

package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/server"
)

// load asks for calls at a steady pace, whatever the answers do, and registers objections meanwhile. It keeps all that was
// answered, with the times on one clock.
type load struct {
	t             *testing.T
	nodes         []*clusterNode
	from, through int // callees, who have consented; each objects once at most
	began         time.Time
	end           context.CancelFunc
	asking        sync.WaitGroup

	mu       sync.Mutex
	answers  answers
	inForce  map[int]time.Duration // callee -> when "in force" was answered
	pending  map[int]keptAt        // callee -> when and where "pending" was
	objected []int                 // in order
	next     int
}

type keptAt struct {
	node    int
	at      time.Duration
	receipt string
}

type answered struct {
	node, callee int
	sent, got    time.Duration // since the load began
	verdict      belpoortv1.Verdict
	problem      string // code and reason of an error; "" for none
}

func (a *answered) allowed() bool { return a.verdict == belpoortv1.Verdict_VERDICT_ALLOW }

type answers []answered

// startLoad asks all nodes, perSecond in all, about callees who have consented.
func (c *cluster) startLoad(t *testing.T, perSecond, from, through int) *load {
	ctx, end := context.WithCancel(t.Context())
	l := &load{
		t: t, nodes: c.nodes, from: from, through: through, next: from, began: time.Now(), end: end,
		inForce: map[int]time.Duration{}, pending: map[int]keptAt{},
	}
	l.asking.Go(func() { l.pace(ctx, time.Second/time.Duration(perSecond)) })
	return l
}

func (l *load) now() time.Duration { return time.Since(l.began) }

func (l *load) pace(ctx context.Context, every time.Duration) {
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Until(l.began.Add(time.Duration(n) * every)))
		l.asking.Go(func() { l.ask(n%len(l.nodes), l.pick()) })
	}
}

// pick prefers those who have objected just now.
func (l *load) pick() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.objected); n > 0 && rand.IntN(2) == 0 {
		return l.objected[n-1-rand.IntN(min(n, 8))]
	}
	return l.from + rand.IntN(l.through-l.from)
}

func (l *load) ask(node, callee int) {
	a := answered{node: node, callee: callee, sent: l.now()}
	answer, err := l.nodes[node].within(time.Second, subject(callee))
	a.got, a.verdict = l.now(), answer.GetVerdict()
	if err != nil {
		reason, _ := server.ReasonOf(err)
		a.problem = fmt.Sprint(status.Code(err), " ", reason)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, a)
}

// object registers an objection of the next callee at a node, once, and asks all nodes about him right after. An answer
// that nobody got is "unspecified".
func (l *load) object(node int) belpoortv1.ObjectionState {
	l.mu.Lock()
	callee := l.next
	l.next++
	l.mu.Unlock()
	if callee >= l.through {
		l.t.Fatal("the load has too few callees")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := l.nodes[node].object(ctx, subject(callee), fmt.Sprint("load-", callee))
	l.note(node, callee, answer, err)
	for other := range l.nodes { // before anybody has had time to hear of it
		l.asking.Go(func() { l.ask(other, callee) })
	}
	return answer.GetState()
}

func (l *load) note(node, callee int, answer *belpoortv1.RegisterObjectionResponse, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
	case answer.GetState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE:
		l.inForce[callee] = l.now()
	case answer.GetState() == belpoortv1.ObjectionState_OBJECTION_STATE_PENDING:
		l.pending[callee] = keptAt{node, l.now(), answer.GetReceipt()}
	}
	l.objected = append(l.objected, callee)
}

// objectFor registers objections at all nodes in turn until the time is over.
func (l *load) objectFor(d, every time.Duration) {
	for n, until := 0, time.Now().Add(d); time.Now().Before(until); n++ {
		l.object(n % len(l.nodes))
		time.Sleep(every)
	}
}

// stop ends the asking, and gives all answers in the order of the questions.
func (l *load) stop() answers {
	l.end()
	l.asking.Wait()
	slices.SortFunc(l.answers, func(a, b answered) int { return int(a.sent - b.sent) })
	return l.answers
}

// wantNoWrongAllow looks, after the load has stopped, for calls that were allowed although asked for after the answer "in
// force" to an objection, or after "pending" at the node that answered so.
func (l *load) wantNoWrongAllow() {
	l.t.Helper()
	wrong, looked := 0, 0
	for _, a := range l.answers {
		at, inForce := l.inForce[a.callee]
		kept, pending := l.pending[a.callee]
		switch {
		case inForce && a.sent > at, pending && kept.node == a.node && a.sent > kept.at:
			looked++
			if a.allowed() {
				wrong++
				l.t.Errorf("node %d allowed, asked at %v, a call objected against: in force %v, pending %+v", a.node+1, a.sent, at, kept)
			}
		}
	}
	l.t.Logf("%d objections in force, %d pending; %d wrong of %d answers about them", len(l.inForce), len(l.pending), wrong, looked)
	if looked == 0 {
		l.t.Error("nothing was asked about those who objected")
	}
}

// that are those for which it holds.
func (as answers) that(holds func(*answered) bool) (found answers) {
	for i := range as {
		if holds(&as[i]) {
			found = append(found, as[i])
		}
	}
	return found
}

// asked are those asked for in a span of time.
func (as answers) asked(from, to time.Duration) answers {
	return as.that(func(a *answered) bool { return a.sent >= from && a.sent < to })
}

func (as answers) allowed() int { return len(as.that((*answered).allowed)) }

func (as answers) undecided() int {
	return len(as.that(func(a *answered) bool { return a.problem != "" }))
}

// took is the time within which a part of them came.
func (as answers) took(part float64) time.Duration {
	if len(as) == 0 {
		return 0
	}
	all := make([]time.Duration, len(as))
	for i := range as {
		all[i] = as[i].got - as[i].sent
	}
	slices.Sort(all)
	return all[min(len(all)-1, int(math.Ceil(part*float64(len(all)))))]
}

func (as answers) String() string {
	problems := map[string]int{}
	for i := range as {
		if as[i].problem != "" {
			problems[as[i].problem]++
		}
	}
	const exact = 10 * time.Microsecond
	return fmt.Sprintf("%d answers, %d allowed, p50 %v p99 %v max %v, problems %v", len(as), as.allowed(),
		as.took(0.5).Round(exact), as.took(0.99).Round(exact), as.took(1).Round(exact), problems)
}
