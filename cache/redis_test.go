package cache

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// TestOneCallOnAllNodes: of many calls to a callee at once, on two nodes, one is given leave. Mutants:
// mutant_cache_redis_hold_unshared, mutant_cache_hold_not_taken.
func TestOneCallOnAllNodes(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	nodes := []Store[*note]{openRedis(t, redisOptions(singleURL(r))), openRedis(t, redisOptions(singleURL(r)))}
	for round := range uint64(50) {
		if free := freeOf(nodes, token(round)); free != 1 {
			t.Fatalf("%d of 64 calls were given leave", free)
		}
	}
	for _, s := range nodes {
		if st := s.Stats(); st.Misses != 32*50 || st.Timeouts+st.Failed+st.Away > 0 {
			t.Errorf("stats: %+v", st)
		}
	}
}

// TestHoldOfAnotherNode: who is refused by another node's hold keeps none of its own, and a hold given back early is
// free everywhere.
func TestHoldOfAnotherNode(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	one, two := openRedis(t, redisOptions(singleURL(r))), openRedis(t, redisOptions(singleURL(r)))
	wantFree(t, one, anna, keep(1), true)
	wantFree(t, two, anna, keep(2), false)
	wantFree(t, two, anna, keep(1), true) // the same call, at another node
	two.Release(anna, call(1))            // it is not known since when it is held: left alone
	settle(t, two)
	wantFree(t, two, anna, keep(3), false)
	one.Release(anna, call(1))
	settle(t, one)
	wantFree(t, two, anna, keep(3), true)
	wantFree(t, one, anna, keep(1), false)
}

// TestLateReleaseIsLeftToTime: late in a hold its deletion could hit the next call's. Mutant:
// mutant_cache_redis_late_release.
func TestLateReleaseIsLeftToTime(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	one, two := openRedis(t, redisOptions(singleURL(r))), openRedis(t, redisOptions(singleURL(r)))
	hold := Hold{ID: call(1), For: 2 * time.Second}
	wantFree(t, one, anna, hold, true)
	time.Sleep(hold.For/2 + time.Millisecond)
	one.Release(anna, call(1))
	settle(t, one)
	wantFree(t, two, anna, keep(2), false)
	eventually(t, "free", func() bool { return two.Look(ctx, anna, keep(2)).Free })
	if st := one.Stats(); st.Written != 0 || st.Unwritten != 1 {
		t.Errorf("stats: %+v", st)
	}
}

// TestOneRoundTrip counts what goes over the wire: a Look is two commands, three with a hold, in one chunk.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	p := rig.StartProxy(t, r.Address())
	sent := make(chan string, 1000)
	p.Rewrite(func() rig.Wire {
		return rig.Wire{ToServer: func(b []byte) []byte { sent <- string(b); return b }}
	})
	s := openRedis(t, redisOptions("redis://"+p.Address()))
	drain := func() (all []string) {
		for len(sent) > 0 {
			if chunk := <-sent; strings.Contains(chunk, anna.String()) {
				all = append(all, chunk)
			}
		}
		return all
	}
	drain()
	for _, c := range []struct {
		hold     Hold
		commands int
	}{{Hold{}, 2}, {keep(1), 3}} {
		s.Look(ctx, anna, c.hold)
		if all := drain(); len(all) != 1 || strings.Count(all[0], anna.String()) != c.commands {
			t.Errorf("hold %v: sent %q", c.hold, all)
		}
	}
}

// TestKeysAndExpiry looks at what lies in Redis: two keys of one slot, each with an end.
func TestKeysAndExpiry(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	o := redisOptions(singleURL(r))
	o.Expiry = func(n *note) time.Duration { return time.Duration(n.size) * time.Second }
	s := openRedis(t, o)
	n := fresh(anna, 10)
	put(t, s, n)
	wantFree(t, s, anna, Hold{ID: call(1), For: 20 * time.Second}, true)
	token := fmt.Sprintf("%x", [16]byte(anna))
	for key, most := range map[string]int64{
		"belpoort:1:{" + token + "}:r": int64(n.size) * 1000,
		"belpoort:1:{" + token + "}:h": 20_000,
	} {
		left, _ := r.Do("PTTL", key).(int64)
		if left > most || left < most-10_000 {
			t.Errorf("%s: %d ms left, want %d", key, left, most)
		}
	}
	aged := fresh(bram, 10)
	aged.size, aged.read = 1<<30, aged.read.Add(-23*time.Hour)
	put(t, s, aged)
	if left, _ := r.Do("PTTL", calleeKey(bram, recordAfter)).(int64); left > 3_600_000 || left < 3_500_000 {
		t.Errorf("%d ms left of a record that may be believed for an hour", left)
	}
	over := fresh(bram, 11)
	over.size = 0
	if s.Put(ctx, over) {
		t.Error("a record without a future was taken on")
	}
}

func TestSlotOf(t *testing.T) {
	for tag, want := range map[string]int{"123456789": 12739, "": 0, "foo": 12182} {
		if got := slotOf(tag); got != want {
			t.Errorf("%q: slot %d, want %d", tag, got, want)
		}
	}
	for i, l := range newLanes(redisCluster, nil, 0) {
		tag := l.probe[len(keyBefore) : len(l.probe)-len(probeAfter)]
		if got := slotOf(tag) * clusterLanes / slotCount; got != i {
			t.Errorf("lane %d is probed in lane %d", i, got)
		}
	}
}

// TestFrame: every value but the one that was written is refused.
func TestFrame(t *testing.T) {
	f := framing[*note]{Options{}.withDefaults(), testSealer{"key"}, noteCodec{}, NewMemory[*note](Options{})}
	n := fresh(anna, 10)
	value, err := f.frame(n)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.believe(anna, value); err != nil || *got != *n {
		t.Fatalf("got %+v, %v", got, err)
	}
	for bit := range 8 * len(value) {
		flipped := append([]byte(nil), value...)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := f.believe(anna, flipped); err != errBadSeal {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
	for size := range value {
		if _, err := f.believe(anna, value[:size]); err != errBadSeal {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if _, err := f.believe(bram, value); err != errBadSeal {
		t.Errorf("another callee: %v", err)
	}
	for name, c := range map[string]struct {
		of   func(n *note)
		want error
	}{
		"old":   {func(n *note) { n.read = n.read.Add(-MaxAgeLimit - time.Second) }, errTooOld},
		"ahead": {func(n *note) { n.read = n.read.Add(2 * maxAhead) }, errTooOld},
	} {
		n := fresh(anna, 10)
		c.of(n)
		value, _ := f.frame(n)
		if _, err := f.believe(anna, value); err != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, plain := range map[string][]byte{"short": anna[:], "no record": append(anna[:], value[1+16:1+frameBytes]...)} {
		sealed := f.sealer.Seal([]byte{valueVersion}, anna, plain)
		if _, err := f.believe(anna, sealed); err != errMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzBelieve(f *testing.F) {
	frame := framing[*note]{Options{}.withDefaults(), testSealer{"key"}, noteCodec{}, NewMemory[*note](Options{})}
	value, _ := frame.frame(fresh(anna, 10))
	f.Add(value, []byte{})
	f.Add([]byte{}, []byte("short"))
	f.Fuzz(func(t *testing.T, value, plain []byte) {
		if r, err := frame.believe(bram, value); err == nil {
			t.Fatalf("believed %+v", r)
		}
		r, err := frame.believe(anna, frame.sealer.Seal([]byte{valueVersion}, anna, plain))
		if err == nil && r.callee != anna {
			t.Fatalf("believed %+v", r)
		}
	})
}
