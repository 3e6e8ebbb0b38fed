//go:build !race

package main

import (
	"testing"
	"time"
)

// T12: with neither Redis nor PostgreSQL nothing is allowed, the answer comes at once, and nothing piles up. The mutant
// mutant_allow_unchecked must fail here.
func TestT12BothDown(t *testing.T) {
	const callees = 400
	c := startCluster(t, 2)
	c.nodes[0].consents(0, callees)
	l := c.startLoad(t, 300, 0, callees)
	time.Sleep(time.Second)
	before := l.now()
	c.redis.Kill()
	c.postgres.Stop()
	down := l.now()
	time.Sleep(leaseTerm / 2)
	early := goroutines(c)
	l.objectFor(1500*time.Millisecond, 50*time.Millisecond)
	late, up := goroutines(c), l.now()
	c.redis.Start()
	if err := c.postgres.Start(); err != nil {
		t.Fatal(err)
	}
	c.wantAllowed(subject(callees-1), 20*time.Second)
	l.stop()
	normal, away := l.answers.asked(0, before), l.answers.asked(down, up-10*time.Millisecond)
	settled := away.asked(down+time.Second, up)
	t.Logf("before: %v", normal)
	t.Logf("both down: %v", away)
	t.Logf("both down, after a second: %v; goroutines %v, then %v", settled, early, late)
	if normal.allowed() < len(normal)/2 || len(settled) < 100 {
		t.Error("too little was tried")
	}
	if away.allowed() > 0 {
		t.Errorf("%d calls were allowed", away.allowed())
	}
	if limit := max(5*time.Millisecond, 5*normal.took(0.99)); settled.took(0.99) > limit {
		t.Errorf("p99 of the answers is %v, want at most %v", settled.took(0.99), limit)
	}
	for i := range late {
		if late[i] > early[i]*1.3+20 {
			t.Errorf("node %d went from %v goroutines to %v", i+1, early[i], late[i])
		}
	}
	l.wantNoWrongAllow()
}

func goroutines(c *cluster) (counts []float64) {
	for _, n := range c.nodes {
		counts = append(counts, n.metric("go_goroutines"))
	}
	return counts
}
