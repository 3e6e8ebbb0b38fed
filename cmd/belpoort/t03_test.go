//go:build !race

package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// T03: callees who object and consent as fast as they can, at any of three nodes, while all three are asked about them. No
// check begun after the answer to an objection is allowed, and the answers are quick. The mutant
// mutant_answer_before_settled must fail here.
func TestT03RevokeStorm(t *testing.T) {
	length := soak(t)
	const callees, writers, pollers = 200, 4, 3
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	var objected [callees]atomic.Int64 // when the objection was answered that stands; 0: none does
	began := time.Now()
	end := began.Add(length)
	var took []time.Duration
	var mu sync.Mutex
	var late, asked, failed, consented atomic.Int64
	var writing, polling sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for round := 0; time.Now().Before(end); round++ {
				i := w + writers*(round%(callees/writers))
				n := c.nodes[(w+round)%len(c.nodes)]
				sent := time.Now()
				if _, err := n.object(t.Context(), subject(i), fmt.Sprintf("o-%d-%d", i, round)); err != nil {
					failed.Add(1)
					continue
				}
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
				objected[i].Store(int64(time.Since(began)))
				for other := range c.nodes {
					if answer, err := c.nodes[other].within(time.Second, subject(i)); err == nil && isAllowed(answer) {
						late.Add(1)
					}
				}
				objected[i].Store(0)
				if _, err := n.consent(t.Context(), subject(i), fmt.Sprintf("c-%d-%d", i, round)); err == nil {
					consented.Add(1)
				}
			}
		})
	}
	var stop atomic.Bool
	for p := range pollers {
		polling.Go(func() {
			for round := p; !stop.Load(); round++ {
				i := round % callees
				before := objected[i].Load()
				answer, err := c.nodes[round%len(c.nodes)].within(time.Second, subject(i))
				asked.Add(1)
				time.Sleep(5 * time.Millisecond) // beside the storm, not instead of it
				if err == nil && isAllowed(answer) && before != 0 && objected[i].Load() == before {
					late.Add(1)
				}
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	polling.Wait()
	slices.Sort(took)
	at := func(part float64) time.Duration {
		return took[int(part*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d objections and %d consents in %v, %d checks beside them: an objection took p50 %v, p99 %v, p99.9 %v, at most %v; %d failed, %d late ALLOWs",
		len(took), consented.Load(), time.Since(began).Round(time.Second), asked.Load(), at(.5), at(.99), at(.999), at(1), failed.Load(), late.Load())
	if late.Load() > 0 || failed.Load() > 0 || len(took) < 200 {
		t.Error("an ALLOW came after an objection, an objection failed, or too little was tried")
	}
	if at(1) > leaseTerm+time.Second {
		t.Errorf("an objection took %v", at(1))
	}
}
