//go:build !race

package main

import (
	"testing"
	"time"
)

// T10: a minute without Redis. Nothing wrong is allowed, almost everything is decided, and Redis is soon used again. The
// mutants mutant_cache_redis_patient and mutant_answer_before_settled must fail here.
func TestT10RedisDown(t *testing.T) {
	length := min(time.Minute, soak(t)/2)
	callees := 200 + int(20*(length+10*time.Second)/time.Second)
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	l := c.startLoad(t, 500, 0, callees)
	l.objectFor(3*time.Second, 100*time.Millisecond)
	before := l.now()
	c.redis.Kill()
	down := l.now()
	l.objectFor(length, 50*time.Millisecond)
	up := l.now()
	c.redis.Start()
	used := c.untilRedisIsUsed()
	l.objectFor(2*time.Second, 100*time.Millisecond)
	again := l.now()
	time.Sleep(time.Second)
	l.stop()
	normal, away := l.answers.asked(0, before), l.answers.asked(down, up)
	t.Logf("with Redis:    %v", normal)
	t.Logf("without Redis: %v", away)
	t.Logf("again:         %v; used %v after its return", l.answers.asked(again, 1<<62), used.Round(time.Millisecond))
	wantFewUndecided(t, away, 0.001)
	if limit := max(40*time.Millisecond, 25*normal.took(0.99)); away.took(0.99) > limit {
		t.Errorf("p99 without Redis %v, want at most %v", away.took(0.99), limit)
	}
	if used > 10*time.Second {
		t.Error("Redis was not used soon after its return")
	}
	l.wantNoWrongAllow()
}
