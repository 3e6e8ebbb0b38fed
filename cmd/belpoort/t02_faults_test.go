//go:build !race

package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// T02 in its long form: Redis restarts every five seconds, nodes are paused and killed.
func TestT02LinearizableUnderFaults(t *testing.T) {
	length, seed := soak(t), seedOf(t)
	const callees, clients = 200, 16
	c := startCluster(t, 3)
	c.nodes[0].consents(0, callees)
	w := newChurn(c, callees)
	dice := rand.New(rand.NewPCG(seed, 99))
	pauses, kills := 0, 0
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	w.during(t, seed, clients, func() {
		nextRestart := time.Now().Add(2 * time.Second)
		for ctx.Err() == nil {
			if time.Now().After(nextRestart) {
				c.redis.Restart()
				nextRestart = time.Now().Add(5 * time.Second)
			}
			time.Sleep(time.Duration(dice.IntN(1500)) * time.Millisecond)
			n := c.nodes[dice.IntN(len(c.nodes))]
			if dice.IntN(4) == 0 {
				n.restart()
				kills++
				continue
			}
			n.pause()
			time.Sleep(time.Duration(50+dice.IntN(3000)) * time.Millisecond)
			n.resume()
			pauses++
		}
	})
	t.Logf("%d pauses, %d kills", pauses, kills)
	w.judge(t, seed)
}
