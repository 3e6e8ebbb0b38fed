package cache

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/belpoort/belpoort/rig"
)

// callers spreads b.N calls over goroutines and reports the processor time of each, the client's only.
func callers(b *testing.B, count int, one func(r *rand.Rand)) {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for n := range count {
		r := rand.New(rand.NewPCG(1, uint64(n)))
		all.Go(func() {
			for i := n; i < b.N; i += count {
				one(r)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
}

// BenchmarkRedis compares a Look that hits with go-redis' plain GET of the same keys.
func BenchmarkRedis(b *testing.B) {
	server := rig.StartRedis(b, rig.RedisOptions{})
	o := redisOptions(singleURL(server))
	s := openRedis(b, o)
	const callees = 1000
	for n := range uint64(callees) {
		put(b, s, &note{token(n), 10, time.Now(), 100})
	}
	address, _ := parseRedisURL(o.URL)
	plain := address.client(nil)
	defer plain.Close()
	for _, count := range []int{1, 64} {
		name := map[int]string{1: "1", 64: "64"}[count]
		b.Run("plain/callers="+name, func(b *testing.B) {
			callers(b, count, func(r *rand.Rand) {
				if err := plain.Get(ctx, calleeKey(token(r.Uint64N(callees)), recordAfter)).Err(); err != nil {
					b.Error(err)
				}
			})
		})
		b.Run("look/callers="+name, func(b *testing.B) {
			callers(b, count, func(r *rand.Rand) {
				if !s.Look(ctx, token(r.Uint64N(callees)), Hold{}).Found {
					b.Error("gone", s.Stats())
				}
			})
		})
		b.Run("hold/callers="+name, func(b *testing.B) {
			callers(b, count, func(r *rand.Rand) {
				h := Hold{For: time.Millisecond}
				h.ID[0], h.ID[1] = byte(1+r.IntN(255)), byte(r.IntN(256))
				if !s.Look(ctx, token(r.Uint64N(callees)), h).Found {
					b.Error("gone", s.Stats())
				}
			})
		})
	}
}
