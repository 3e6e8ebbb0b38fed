package cache

import (
	"slices"
	"sync"

	"github.com/belpoort/belpoort/eligibility"
)

// shard is one 256th of a Memory. Its memory is bounded by share: floors may have half of it, records have the rest.
type shard[R Record] struct {
	mu       sync.Mutex
	share    int64
	records  table[R] // none below its floor or, once looked at, below lowWater
	floors   table[uint64]
	lowWater uint64 // the highest floor given up: whoever has no floor here may have lost one up to this
	held     int64  // sum of the records' MemorySize
	dice     uint64 // where eviction looks next
	counts   Stats

	_ [64]byte // neighbours are locked by other processors
}

// floor is the lowest position at which a record of the callee may have been read.
func (s *shard[R]) floor(callee *eligibility.CalleeToken) uint64 {
	position, _ := s.floors.get(callee)
	return max(position, s.lowWater)
}

func (s *shard[R]) charged() int64 { return s.records.bytes() + s.floors.bytes() + s.held }

// put adds a record of a callee that has none. The table grows only into memory that is free.
func (s *shard[R]) put(callee *eligibility.CalleeToken, r R) {
	if s.records.full() {
		if s.charged()+s.records.bytesOf(2*len(s.records.slots)) <= s.share {
			s.records.grow()
		} else {
			s.evict()
		}
	}
	size := int64(r.MemorySize())
	s.makeRoom(size)
	s.records.set(callee, r)
	s.held += size
}

// drop takes the record out of the table.
func (s *shard[R]) drop(at int) {
	s.held -= int64(s.records.slots[at].value.MemorySize())
	s.records.remove(at)
	s.records.shrink()
}

// evict drops a record at random. Going round in slot order would be no less fair, but leaves the table crowded ahead of
// the place it has come to.
func (s *shard[R]) evict() {
	s.dice = s.dice*6364136223846793005 + 1442695040888963407
	mask := len(s.records.slots) - 1
	at := int(s.dice>>33) & mask
	for s.records.slots[at].key.IsZero() {
		at = (at + 1) & mask
	}
	s.counts.Evicted++
	s.drop(at)
}

func (s *shard[R]) makeRoom(size int64) {
	for s.charged()+size > s.share && s.records.used > 0 {
		s.evict()
	}
}

// raise sets a floor that is higher than the callee's present one.
func (s *shard[R]) raise(callee *eligibility.CalleeToken, position uint64) {
	if callee.IsZero() {
		s.lowWater = position // the table cannot hold it; refusing more is safe
		return
	}
	if _, known := s.floors.find(callee); !known && s.floors.full() {
		if grown := s.floors.bytesOf(2 * len(s.floors.slots)); grown <= s.share/2 {
			s.makeRoom(grown)
			s.floors.grow()
		} else {
			s.evictFloors()
		}
	}
	s.floors.set(callee, max(position, s.lowWater))
}

// evictFloors gives up about the oldest eighth of the floors. Every record as old as the newest of them is refused from
// now on, whoever's it is; since positions grow with time those are few.
func (s *shard[R]) evictFloors() {
	upTo := s.oldEighth()
	for at := 0; at < len(s.floors.slots); {
		position := s.floors.slots[at].value
		if s.floors.slots[at].key.IsZero() || position > upTo {
			at++
			continue
		}
		s.floors.remove(at) // another may have moved here: look again
		s.counts.FloorsEvicted++
		if !mutantCacheFloorEvict {
			s.lowWater = max(s.lowWater, position)
		}
	}
}

// oldEighth estimates, from a sample, the position that an eighth of the floors do not exceed.
func (s *shard[R]) oldEighth() uint64 {
	var sample [64]uint64
	n, step := 0, max(1, len(s.floors.slots)/(2*len(sample)))
	for at := 0; at < len(s.floors.slots) && n < len(sample); at += step {
		if !s.floors.slots[at].key.IsZero() {
			sample[n] = s.floors.slots[at].value
			n++
		}
	}
	slices.Sort(sample[:n])
	return sample[n/8]
}

func (s *shard[R]) addTo(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Hits += s.counts.Hits
	sum.Misses += s.counts.Misses
	sum.Stale += s.counts.Stale
	sum.Declined += s.counts.Declined
	sum.Dropped += s.counts.Dropped
	sum.Evicted += s.counts.Evicted
	sum.FloorsEvicted += s.counts.FloorsEvicted
	sum.Records += s.records.used
	sum.Floors += s.floors.used
	sum.Bytes += s.charged()
}
