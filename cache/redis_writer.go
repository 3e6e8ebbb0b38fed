package cache

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/belpoort/belpoort/eligibility"
)

// writers is how many batches may be on their way at once.
const writers = 2

// write is a record to be put, a hold to be given back, an attempt to be counted, or one to be counted no longer.
type write[R Record] struct {
	callee eligibility.CalleeToken
	put    bool
	record R

	asked time.Duration // when the hold was asked for
	half  time.Duration // half of what it was asked for

	attempt string // encoded, to be counted
	report  *report
}

// writer writes in the background, from a queue that drops what does not fit.
type writer[R Record] struct {
	store   *Redis[R]
	queue   chan write[R]
	expiry  func(R) time.Duration
	pending atomic.Int64

	written, unwritten atomic.Uint64
}

func newWriter[R Record](s *Redis[R], o RedisOptions[R]) *writer[R] {
	return &writer[R]{store: s, queue: make(chan write[R], o.Queue), expiry: o.Expiry}
}

// lifetime is how long a record may stay in Redis; what must not be kept at all has none.
func (w *writer[R]) lifetime(record R) time.Duration {
	opts := &w.store.opts
	now := opts.Clock()
	if !opts.fresh(record.ReadTime(), now) {
		return 0
	}
	left := min(opts.MaxAge-now.Sub(record.ReadTime()), opts.MaxAge)
	if w.expiry != nil {
		left = min(left, w.expiry(record))
	}
	return left.Truncate(time.Millisecond)
}

// offer tells whether the write waits for its turn now.
func (w *writer[R]) offer(one write[R]) bool {
	if w.store.away() {
		w.unwritten.Add(1)
		return false
	}
	w.pending.Add(1)
	select {
	case w.queue <- one:
		return true
	default:
		w.pending.Add(-1)
		w.unwritten.Add(1)
		return false
	}
}

func (w *writer[R]) run(alive context.Context) {
	batch := make([]write[R], 0, maxBatch)
	for {
		batch = batch[:0]
		select {
		case one := <-w.queue:
			batch = append(batch, one)
		case <-alive.Done():
			return
		}
		for more := true; more && len(batch) < maxBatch; {
			select {
			case one := <-w.queue:
				batch = append(batch, one)
			default:
				more = false
			}
		}
		w.send(alive, batch)
		w.pending.Add(-int64(len(batch)))
		clear(batch)
	}
}

func (w *writer[R]) send(alive context.Context, batch []write[R]) {
	ctx, cancel := context.WithTimeout(alive, patience/4)
	defer cancel()
	pipe := w.store.background.Pipeline()
	ends := make([]int, len(batch)) // of each one's commands
	for i, one := range batch {
		w.add(ctx, pipe, one)
		ends[i] = pipe.Len()
	}
	var replies []redis.Cmder
	if pipe.Len() > 0 {
		replies, _ = pipe.Exec(ctx) // each reply has its own error
	}
	done, begin := uint64(0), 0
	for i, one := range batch {
		if w.succeeded(ctx, one, replies[begin:ends[i]]) {
			done++
		}
		begin = ends[i]
	}
	w.written.Add(done)
	w.unwritten.Add(uint64(len(batch)) - done)
}

func (w *writer[R]) succeeded(ctx context.Context, one write[R], replies []redis.Cmder) bool {
	if one.report != nil {
		return endAttempt(ctx, w.store.background, one.callee, one.report) == nil
	}
	for _, reply := range replies {
		if reply.Err() != nil {
			return false
		}
	}
	return len(replies) > 0
}

// add leaves out what has become too late, or cannot be written.
func (w *writer[R]) add(ctx context.Context, pipe redis.Pipeliner, one write[R]) {
	s := w.store
	switch {
	case one.attempt != "":
		addAttempt(ctx, pipe, one.callee, one.attempt)
		return
	case one.report != nil: // asked and answered after the others, for it takes two steps
		return
	case !one.put:
		if s.holds.now()-one.asked < one.half || mutantCacheRedisLateRelease {
			pipe.Del(ctx, calleeKey(one.callee, holdAfter))
		}
		return
	}
	left := w.lifetime(one.record)
	if left <= 0 || !s.floors.Current(one.callee, one.record.LedgerPosition()) {
		return
	}
	if value, err := s.frame(one.record); err == nil {
		pipe.Set(ctx, calleeKey(one.callee, recordAfter), value, left)
	}
}
