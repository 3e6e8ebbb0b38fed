//go:build !race

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// twoRedis is a Redis and its replica, which follows it by a line that can be cut. The nodes are sent to whichever is the
// master.
type twoRedis struct {
	c               *cluster
	master, replica *rig.Redis
	line            *rig.Proxy
}

func (c *cluster) withReplica(t *testing.T) *twoRedis {
	line := rig.StartProxy(t, c.redis.Address())
	two := &twoRedis{c: c, master: c.redis, line: line, replica: rig.StartRedis(t, rig.RedisOptions{})}
	two.follow()
	return two
}

func (two *twoRedis) follow() {
	host, port, _ := strings.Cut(two.line.Address(), ":")
	two.replica.Do("REPLICAOF", host, port)
	comesTrue(two.c.t, soon, "the replica follows", func() bool {
		return strings.Contains(fmt.Sprint(two.replica.Do("INFO", "replication")), "master_link_status:up")
	})
}

// failOver cuts the replica off, lets the nodes write for a while, kills the master, and makes the replica the master: what
// was written meanwhile is lost. Then the old master follows the new one.
func (two *twoRedis) failOver(d time.Duration) {
	two.line.Cut()
	time.Sleep(d)
	two.master.Kill()
	two.replica.Do("REPLICAOF", "NO", "ONE")
	two.master, two.replica = two.replica, two.master
	two.toMaster()
	two.line.Target(two.master.Address())
	two.line.Heal()
	two.replica.Start()
	two.follow()
}

func (two *twoRedis) toMaster() {
	for _, n := range two.c.nodes {
		n.toRedis.Target(two.master.Address())
	}
}

// rollBack puts an old dump back.
func (two *twoRedis) rollBack(d time.Duration) {
	two.master.Dump()
	time.Sleep(d)
	two.master.Restart()
	two.master.ForgetDump()
}

// T06: Redis fails over and loses what it had acknowledged, is flushed, and is put back: what clients see stays as one
// switch for each callee would have answered, and Redis is soon used again. The mutant mutant_cache_redis_no_floor must
// fail here.
func TestT06RedisFailover(t *testing.T) {
	length, seed := soak(t), seedOf(t)
	const callees, clients = 200, 8
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	two := c.withReplica(t)
	w := newChurn(c, callees)
	l := c.startLoad(t, 100, 0, callees) // which objects to nothing: the pace at which answers come
	dice := rand.New(rand.NewPCG(seed, 99))
	var times [3]int
	var slowest time.Duration
	began := l.now()
	w.during(t, seed, clients, func() {
		for until := time.Now().Add(length); time.Now().Before(until); {
			what, a_while := dice.IntN(5), time.Duration(200+dice.IntN(600))*time.Millisecond
			switch {
			case what < 2:
				what = 0
				two.failOver(a_while)
			case what < 4:
				what = 1
				two.master.Do("FLUSHALL")
			default:
				what = 2
				two.rollBack(a_while)
			}
			times[what]++
			slowest = max(slowest, c.untilRedisIsUsed())
			time.Sleep(time.Duration(dice.IntN(500)) * time.Millisecond)
		}
	})
	end := l.now()
	l.stop()
	during := l.answers.asked(began, end)
	t.Logf("%d failovers, %d flushes, %d old dumps; Redis in use at most %v after; meanwhile %v", times[0], times[1], times[2], slowest, during)
	w.judge(t, seed)
	wantFewUndecided(t, during, 0.01)
	if slowest > 5*time.Second {
		t.Error("Redis was not used soon after")
	}
}

// untilRedisIsUsed is how long it takes until all nodes do.
func (c *cluster) untilRedisIsUsed() time.Duration {
	began := time.Now()
	const hits = `belpoort_cache_lookups_total{result="hit"}`
	for _, n := range c.nodes {
		before := n.metric(hits)
		comesTrue(c.t, soon, "a record in Redis is used", func() bool { return n.metric(hits) > before })
	}
	return time.Since(began)
}

func wantFewUndecided(t *testing.T, as answers, part float64) {
	t.Helper()
	if undecided := as.undecided(); float64(undecided) > part*float64(len(as)) {
		t.Errorf("%d of %d were undecided, want at most %.1f %%", undecided, len(as), 100*part)
	}
}
