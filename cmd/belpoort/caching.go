package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/cache"
	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/fence"
	"github.com/belpoort/belpoort/keyring"
	"github.com/belpoort/belpoort/ops"
	"github.com/belpoort/belpoort/server"
)

// openCache gives the server its cache and its floors: in this process, or records in Redis and floors of the fence's.
func (n *node) openCache(ctx context.Context, o nodeOptions, ring *keyring.Ring, metrics *ops.Metrics, config *server.Config) error {
	if o.redis == "" {
		memory := cache.NewMemory[*eligibility.Eligibility](cache.Options{MaxBytes: o.cacheBytes})
		config.Cache, config.Attempts, config.Floors = caching{memory}, caching{memory}, memory
		n.floors = ownFloors{memory}
		cacheGauges(metrics, memory.Stats)
		return nil
	}
	floors, err := fence.NewFloors(o.cacheBytes)
	if err != nil {
		return err
	}
	n.redis, err = cache.OpenRedis(ctx, cache.RedisOptions[*eligibility.Eligibility]{
		URL: o.redis, Deployment: ring.CheckValue(), Sealer: sealing{ring}, Codec: coding{}, Floors: floors, OnError: n.redisState(),
	})
	if err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	config.Cache, config.Attempts, config.Floors = caching{n.redis}, caching{n.redis}, floors
	n.floors = floors
	cacheGauges(metrics, n.redis.Stats)
	metrics.Gauge("belpoort_floors", "Callees whose floor this node holds.", func() float64 { return float64(floors.Len()) })
	metrics.Gauge("belpoort_floor_bytes", "Memory that the floors take.", func() float64 { return float64(floors.Bytes()) })
	metrics.Count("belpoort_redis_unanswered_lookups_total", "Look-ups that did without Redis because it gave no answer in time.", func() float64 {
		s := n.redis.Stats()
		return float64(s.Timeouts + s.Away + s.Failed)
	})
	metrics.Gauge("belpoort_redis_up", "1 while Redis is used, 0 while checks do without it.", func() float64 {
		if n.redis.Health() != nil {
			return 0
		}
		return 1
	})
	return nil
}

// redisState writes down when Redis comes and goes.
func (n *node) redisState() func(error) {
	var away atomic.Bool
	return func(err error) {
		switch {
		case err != nil:
			away.Store(true)
			n.log.Warn("Redis is not used; the ledger is asked instead", zap.Error(err))
		case away.Swap(false):
			n.log.Info("Redis is used again")
		}
	}
}

func cacheGauges(metrics *ops.Metrics, stats func() cache.Stats) {
	for _, g := range []struct {
		name, help string
		value      func(cache.Stats) float64
	}{
		{"belpoort_cache_bytes", "Memory that the cache in this process takes.", func(s cache.Stats) float64 { return float64(s.Bytes) }},
		{"belpoort_cache_records", "Eligibility records in the cache in this process.", func(s cache.Stats) float64 { return float64(s.Records) }},
	} {
		metrics.Gauge(g.name, g.help, func() float64 { return g.value(stats()) })
	}
	for _, c := range []struct {
		cause string
		value func(cache.Stats) uint64
	}{
		{"bad_seal", func(s cache.Stats) uint64 { return s.BadSeal }},
		{"wrong_callee", func(s cache.Stats) uint64 { return s.WrongCallee }},
		{"below_floor", func(s cache.Stats) uint64 { return s.BelowFloor }},
		{"too_old", func(s cache.Stats) uint64 { return s.TooOld }},
		{"malformed", func(s cache.Stats) uint64 { return s.Malformed }},
		{"stale", unexplained},
	} {
		metrics.Count("belpoort_cache_rejected_total", "Records found and not believed, by cause.",
			func() float64 { return float64(c.value(stats())) }, "cause", c.cause)
	}
	metrics.Count("belpoort_cache_evicted_total", "Records dropped for want of memory.", func() float64 { return float64(stats().Evicted) })
}

// unexplained counts records of the cache in this process, which does not tell why it did not believe them.
func unexplained(s cache.Stats) uint64 {
	return s.Stale - min(s.Stale, s.BadSeal+s.WrongCallee+s.BelowFloor+s.TooOld+s.Malformed)
}

// caching is a cache as the server wants it.
type caching struct {
	store cache.Store[*eligibility.Eligibility]
}

func (c caching) Look(ctx context.Context, callee eligibility.CalleeToken, hold server.Hold) server.Looked {
	found := c.store.Look(ctx, callee, cache.Hold(hold))
	looked := server.Looked{Free: found.Free}
	if found.Found {
		looked.Record = found.Record
	}
	for _, a := range found.Attempts {
		looked.Unreported = append(looked.Unreported, server.Attempt(a))
	}
	return looked
}

func (c caching) Allowed(callee eligibility.CalleeToken, a server.Attempt) {
	c.store.Allowed(callee, cache.Attempt(a))
}

func (c caching) Reported(callee eligibility.CalleeToken, id [16]byte, campaign string) {
	c.store.Reported(callee, id, campaign)
}

func (c caching) Put(ctx context.Context, e *eligibility.Eligibility) { c.store.Put(ctx, e) }

func (c caching) Release(callee eligibility.CalleeToken, id [16]byte) { c.store.Release(callee, id) }

// sealing closes and opens records with the deployment's key.
type sealing struct{ ring *keyring.Ring }

func (s sealing) Seal(dst []byte, callee eligibility.CalleeToken, plain []byte) []byte {
	return s.ring.SealRecord(dst, callee, plain)
}

func (s sealing) Open(dst []byte, callee eligibility.CalleeToken, sealed []byte) ([]byte, error) {
	return s.ring.OpenRecord(dst, callee, sealed)
}

// coding writes and reads records.
type coding struct{}

func (coding) Append(dst []byte, e *eligibility.Eligibility) ([]byte, error) {
	return e.AppendBinary(dst)
}

func (coding) Decode(b []byte) (*eligibility.Eligibility, error) {
	return eligibility.DecodeEligibility(b)
}

// ownFloors are those of a cache in this process: it has no records older than the process, so none need be dropped.
type ownFloors struct {
	*cache.Memory[*eligibility.Eligibility]
}

// DropBefore implements fence.Floors.
func (ownFloors) DropBefore(uint64) {}
