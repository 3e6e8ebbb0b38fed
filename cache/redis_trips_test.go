package cache

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// trips counts the round trips that are made about a callee, and the commands in them.
type trips struct {
	tag []byte

	mu       sync.Mutex
	made     int
	commands int
}

func (c *trips) wire() rig.Wire {
	asking := false // what a client sends before it is answered is one round trip, in however many pieces it comes
	return rig.Wire{
		ToServer: func(chunk []byte) []byte {
			c.mu.Lock()
			defer c.mu.Unlock()
			n := bytes.Count(chunk, c.tag)
			if n > 0 && !asking {
				asking = true
				c.made++
			}
			c.commands += n
			return chunk
		},
		ToClient: func(chunk []byte) []byte {
			c.mu.Lock()
			defer c.mu.Unlock()
			asking = false
			return chunk
		},
	}
}

func (c *trips) counted() (made, commands int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made, c.commands
}

// A look-up is one round trip, whether it also takes the hold, finds nothing, or is refused.
func TestALookIsOneRoundTrip(t *testing.T) {
	r := rig.StartRedis(t, rig.RedisOptions{})
	p := rig.StartProxy(t, r.Address())
	count := &trips{tag: []byte(calleeKey(anna, "}"))}
	p.Rewrite(count.wire)
	s := openRedis(t, redisOptions("redis://"+p.Address()))
	look := func(what string, hold Hold, commands int) {
		t.Helper()
		before, said := count.counted()
		for range 20 {
			s.Look(ctx, anna, hold)
			hold.ID[0] += 2 // another call each time: all but the first are refused by this process
		}
		after, told := count.counted()
		if after-before != 20 {
			t.Errorf("%s: %d round trips for 20 look-ups", what, after-before)
		}
		if told-said != commands {
			t.Errorf("%s: %d commands, want %d", what, told-said, commands)
		}
	}
	look("nothing there", Hold{}, 40)
	put(t, s, fresh(anna, 10))
	look("a record", Hold{}, 40)
	look("a record and holds", Hold{ID: [16]byte{1}, For: time.Minute}, 41)
	if found := s.Look(ctx, anna, Hold{}); !found.Found {
		t.Error("the record that was looked at is not there")
	}
}
