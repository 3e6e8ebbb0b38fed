package cache

import (
	"context"
	"math/rand/v2"

	"github.com/belpoort/belpoort/eligibility"
)

const shardCount = 256

// Memory is a Store within this process.
type Memory[R Record] struct {
	opts   Options
	shards [shardCount]shard[R]
	holds  holds

	attempts attempts
}

// NewMemory makes an empty cache. It panics on options that Check refuses.
func NewMemory[R Record](opts Options) *Memory[R] {
	if err := opts.Check(); err != nil {
		panic(err)
	}
	m := &Memory[R]{opts: opts.withDefaults()}
	m.holds.init()
	m.attempts.init(m.opts.Clock)
	for i := range m.shards {
		m.shards[i].dice = rand.Uint64()
		m.shards[i].share = m.opts.MaxBytes / shardCount
		m.shards[i].records = newTable[R](leastSlots)
		m.shards[i].floors = newTable[uint64](leastSlots)
	}
	return m
}

// shard picks by one byte: tokens are pseudo-random.
func (m *Memory[R]) shard(callee eligibility.CalleeToken) *shard[R] { return &m.shards[callee[0]] }

// Look implements Store. It never waits but for a shard's lock.
func (m *Memory[R]) Look(ctx context.Context, callee eligibility.CalleeToken, hold Hold) Found[R] {
	record, found := m.Get(ctx, callee)
	return Found[R]{Record: record, Found: found, Free: m.holds.take(callee, hold), Attempts: m.attempts.of(callee, AttemptAge)}
}

// Allowed implements Store.
func (m *Memory[R]) Allowed(callee eligibility.CalleeToken, a Attempt) { m.attempts.add(callee, a) }

// Reported implements Store.
func (m *Memory[R]) Reported(callee eligibility.CalleeToken, id [16]byte, campaign string) {
	m.attempts.end(callee, id, campaign)
}

// Release implements Store.
func (m *Memory[R]) Release(callee eligibility.CalleeToken, id [16]byte) { m.holds.release(callee, id) }

// Get is Look without a hold. It does not allocate.
func (m *Memory[R]) Get(_ context.Context, callee eligibility.CalleeToken) (R, bool) {
	var none R
	s := m.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, held := s.records.find(&callee)
	if !held || callee.IsZero() {
		s.counts.Misses++
		return none, false
	}
	r := s.records.slots[at].value
	if !m.believable(s, callee, r) {
		s.counts.Stale++
		s.drop(at)
		return none, false
	}
	s.counts.Hits++
	return r, true
}

// believable looks at what can have changed since Put: the clock, and floors given up. Floors that were raised have
// dropped their record.
func (m *Memory[R]) believable(s *shard[R], callee eligibility.CalleeToken, r R) bool {
	if !mutantCacheNoCalleeCheck && r.CalleeToken() != callee {
		return false
	}
	return r.LedgerPosition() >= s.lowWater && m.opts.fresh(r.ReadTime(), m.opts.Clock())
}

// Put implements Store. A record that names no callee, or is larger than MaxBytes/1024, is declined.
func (m *Memory[R]) Put(_ context.Context, record R) bool {
	callee, position := record.CalleeToken(), record.LedgerPosition()
	s := m.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, held := s.records.find(&callee)
	switch {
	case callee.IsZero() || int64(record.MemorySize()) > s.share/4,
		position < s.floor(&callee) && !mutantCacheNoFloor,
		!m.opts.fresh(record.ReadTime(), m.opts.Clock()),
		held && s.records.slots[at].value.LedgerPosition() >= position && m.believable(s, callee, s.records.slots[at].value):
		s.counts.Declined++
		return false
	}
	if held {
		s.drop(at)
	}
	s.put(&callee, record)
	return true
}

// Raise implements Store.
func (m *Memory[R]) Raise(callee eligibility.CalleeToken, position uint64) {
	s := m.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, held := s.records.find(&callee); held && s.records.slots[at].value.LedgerPosition() < position {
		s.counts.Dropped++
		s.drop(at)
	}
	if position > s.floor(&callee) {
		s.raise(&callee, position)
	}
}

// Current implements Store. It says false of every position below a floor given up in the callee's shard.
func (m *Memory[R]) Current(callee eligibility.CalleeToken, position uint64) bool {
	s := m.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	return position >= s.floor(&callee)
}

// Stats implements Store.
func (m *Memory[R]) Stats() Stats {
	var sum Stats
	for i := range m.shards {
		m.shards[i].addTo(&sum)
	}
	m.holds.addTo(&sum)
	return sum
}
