//go:build !race

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// What is done to one callee, for porcupine. A check that was answered tells whether the call was allowed.
type (
	step struct {
		subject int
		kind    stepKind
	}
	stepKind int
	outcome  struct{ allowed bool }
)

const (
	checks stepKind = iota
	objects
	consents
)

// oneCallee is the promise G1, and its mirror image for consents: each callee is a switch that everybody sees at once.
var oneCallee = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		bySubject := map[int][]porcupine.Operation{}
		for _, o := range history {
			s := o.Input.(step).subject
			bySubject[s] = append(bySubject[s], o)
		}
		var parts [][]porcupine.Operation
		for _, part := range bySubject {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return true },
	Step: func(state, input, output any) (bool, any) {
		switch input.(step).kind {
		case objects:
			return true, false
		case consents:
			return true, true
		default:
			return output.(outcome).allowed == state.(bool), state
		}
	},
	DescribeOperation: func(input, output any) string {
		return fmt.Sprint([]string{"check", "object", "consent"}[input.(step).kind], output)
	},
}

// history records what clients do and see, on one monotonic clock.
type history struct {
	began      time.Time
	mu         sync.Mutex
	operations []porcupine.Operation
	undecided  atomic.Int64
	checked    atomic.Int64
}

func (h *history) now() int64 { return time.Since(h.began).Nanoseconds() }

func (h *history) add(client int, s step, o outcome, called, returned int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{ClientId: client, Input: s, Output: o, Call: called, Return: returned})
}

// subjects are callees each of whom one client at a time may change, so that the times of the facts follow each other.
type subjects struct {
	locks   []sync.Mutex
	allowed []bool
}

// churn does what clients do until enough was done: mostly checks at any node, sometimes an objection or a consent.
type churn struct {
	*history
	c        *cluster
	subjects *subjects
	writes   int // of a hundred operations
	patience time.Duration
}

func newChurn(c *cluster, callees int) *churn {
	s := &subjects{make([]sync.Mutex, callees), make([]bool, callees)}
	for i := range s.allowed {
		s.allowed[i] = true
	}
	return &churn{history: &history{began: time.Now()}, c: c, subjects: s, writes: 8, patience: 5 * time.Second}
}

func (w *churn) run(ctx context.Context, seed uint64, clients, operations int) {
	var left atomic.Int64
	left.Store(int64(operations))
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(seed, uint64(client)))
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				n, subject := w.c.nodes[dice.IntN(len(w.c.nodes))], dice.IntN(len(w.subjects.locks))
				if dice.IntN(100) < w.writes {
					w.toggle(ctx, client, n, subject)
				} else {
					w.check(ctx, client, n, subject)
				}
			}
		})
	}
	all.Wait()
}

func (w *churn) check(ctx context.Context, client int, n *clusterNode, i int) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	called := w.now()
	answer, err := n.ask(ctx, subject(i))
	w.checked.Add(1)
	if err != nil || answer.GetVerdict() == belpoortv1.Verdict_VERDICT_UNSPECIFIED {
		w.undecided.Add(1) // constrains nothing
		return
	}
	w.add(client, step{i, checks}, outcome{isAllowed(answer)}, called, w.now())
}

// toggle objects for a callee that may be called, and consents for one that may not. A write whose outcome nobody told is
// repeated under its id until it is known: until then it may take force at any moment.
func (w *churn) toggle(ctx context.Context, client int, n *clusterNode, i int) {
	w.subjects.locks[i].Lock()
	defer w.subjects.locks[i].Unlock()
	s, id := step{i, objects}, fmt.Sprintf("t-%d-%d", i, w.now())
	if !w.subjects.allowed[i] {
		s.kind = consents
	}
	called := w.now()
	for ctx.Err() == nil {
		if w.write(ctx, n, s, id) {
			w.subjects.allowed[i] = s.kind == consents
			w.add(client, s, outcome{}, called, w.now())
			return
		}
		n = w.c.nodes[rand.IntN(len(w.c.nodes))]
		time.Sleep(10 * time.Millisecond)
	}
	w.add(client, s, outcome{}, called, 1<<62) // who knows
}

func (w *churn) write(ctx context.Context, n *clusterNode, s step, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	if s.kind == consents {
		_, err := n.consent(ctx, subject(s.subject), id)
		return err == nil
	}
	answer, err := n.object(ctx, subject(s.subject), id)
	return err == nil && answer.GetState() == belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
}

// judge lets porcupine look for an order of all operations that explains what everybody saw.
func (w *churn) judge(t *testing.T, seed uint64) {
	t.Helper()
	allowed, refused := 0, 0
	for _, o := range w.operations {
		switch {
		case o.Input.(step).kind != checks:
		case o.Output.(outcome).allowed:
			allowed++
		default:
			refused++
		}
	}
	undecided := float64(w.undecided.Load()) / float64(max(1, w.checked.Load()))
	t.Logf("seed %d: %d operations in %v, checks: %d allowed, %d refused, %.3f %% undecided", seed, len(w.operations),
		time.Since(w.began).Round(time.Millisecond), allowed, refused, 100*undecided)
	if allowed < 100 || refused < 100 {
		t.Errorf("too little was tried")
	}
	for _, part := range oneCallee.Partition(w.operations) {
		if result := porcupine.CheckOperationsTimeout(oneCallee, part, time.Minute); result != porcupine.Ok {
			t.Fatalf("seed %d: the history of callee %d is not linearizable: %s; see %s", seed, part[0].Input.(step).subject, result, pictured(part))
		}
	}
}

// pictured draws the history of one callee, as far as a few seconds suffice to explain it.
func pictured(part []porcupine.Operation) string {
	_, info := porcupine.CheckOperationsVerbose(oneCallee, part, 5*time.Second)
	file, err := os.CreateTemp("", "belpoort-history-*.html")
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if err := porcupine.Visualize(oneCallee, info, file); err != nil {
		return err.Error()
	}
	return file.Name()
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	if text := os.Getenv("SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return rand.Uint64()
}

// T02: what three nodes answer to 16 clients about 200 callees is what one switch for each callee would have answered.
func TestT02Linearizable(t *testing.T) {
	const callees, clients = 200, 16
	operations := 100_000
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	seed := seedOf(t)
	w := newChurn(c, callees)
	w.run(t.Context(), seed, clients, operations)
	w.judge(t, seed)
	if w.undecided.Load()*100 > w.checked.Load() {
		t.Errorf("%d of %d checks were undecided", w.undecided.Load(), w.checked.Load())
	}
}
