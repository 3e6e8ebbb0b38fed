package cache

import (
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Hold asks to keep a callee for one call: until it ends no other call to the callee is given leave. The zero Hold asks
// nothing. A Hold with an ID is refused for the zero callee.
//
// Holds are comfort, not truth: within one process they are exact, between processes they are as good as the store they
// share. A store that forgets (a flush, a failover) or cannot be reached gives leave where it would not have.
type Hold struct {
	ID  [16]byte      // of the call; asking again with the same ID is given leave again, and does not prolong the hold
	For time.Duration // counted from the first asking; longer than MaxHold counts as MaxHold
}

// MaxHold is the longest a callee may be kept.
const MaxHold = 24 * time.Hour

func (h Hold) asks() bool { return h.ID != [16]byte{} && h.For > 0 }

// maxHolds bounds the holds of a process, which cost about 100 bytes each. Beyond it holds are refused.
const maxHolds = 1 << 20

const holdShards = 64

// holds are the callees this process keeps.
type holds struct {
	now    func() time.Duration // monotonic, never 0
	shards [holdShards]holdShard
}

type holdShard struct {
	mu      sync.Mutex
	kept    map[eligibility.CalleeToken]kept
	sweepAt int           // with so many entries the expired ones are looked for,
	soonest time.Duration // unless none can have expired since the last time
	taken   uint64
	refused uint64
}

// kept is one hold. Times are by the table's clock.
type kept struct {
	id     [16]byte
	began  time.Duration
	until  time.Duration
	shared time.Duration // when a store outside was asked for it and gave it, or 0
}

const leastSweep = 64

func (h *holds) init() {
	start := time.Now().Add(-1)
	h.now = func() time.Duration { return time.Since(start) }
}

func (h *holds) shard(callee eligibility.CalleeToken) *holdShard {
	return &h.shards[callee[0]%holdShards]
}

// take tells whether the hold was taken, or is this ID's already, or none was asked.
func (h *holds) take(callee eligibility.CalleeToken, hold Hold) bool {
	if !hold.asks() {
		return true
	}
	now, s := h.now(), h.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.kept[callee]
	switch {
	case found && now < old.until && !mutantCacheHoldNotTaken:
		if old.id != hold.ID {
			s.refused++
		}
		return old.id == hold.ID
	case callee.IsZero(), !found && !s.room(now):
		s.refused++
		return false
	}
	if s.kept == nil {
		s.kept = map[eligibility.CalleeToken]kept{}
	}
	k := kept{id: hold.ID, began: now, until: now + min(hold.For, MaxHold)}
	s.soonest = min(s.soonest, k.until)
	s.kept[callee] = k
	s.taken++
	return true
}

// room forgets expired holds now and then, and tells whether another one may be added.
func (s *holdShard) room(now time.Duration) bool {
	const most = maxHolds / holdShards
	if len(s.kept) >= max(leastSweep, s.sweepAt) && now >= s.soonest {
		s.soonest = now + MaxHold
		for callee, k := range s.kept {
			if now >= k.until {
				delete(s.kept, callee)
			} else {
				s.soonest = min(s.soonest, k.until)
			}
		}
		s.sweepAt = min(2*len(s.kept), most)
	}
	return len(s.kept) < most
}

// share notes that a store outside gave the hold when asked at that moment.
func (h *holds) share(callee eligibility.CalleeToken, id [16]byte, asked time.Duration) {
	s := h.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, found := s.kept[callee]; found && k.id == id {
		k.shared = asked
		s.kept[callee] = k
	}
}

// release gives a hold back, and returns what it was. Another call's hold is left alone.
func (h *holds) release(callee eligibility.CalleeToken, id [16]byte) (was kept, found bool) {
	s := h.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	was, found = s.kept[callee]
	if !found || was.id != id && !mutantCacheReleaseAny {
		return kept{}, false
	}
	delete(s.kept, callee)
	return was, true
}

func (h *holds) addTo(sum *Stats) {
	now := h.now()
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		sum.HoldsTaken += s.taken
		sum.HoldsRefused += s.refused
		for _, k := range s.kept {
			if now < k.until {
				sum.Holds++
			}
		}
		s.mu.Unlock()
	}
}
