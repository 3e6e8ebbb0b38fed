package fence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"github.com/belpoort/belpoort/eligibility"
)

// A floor takes a slot of 16 bytes. A shard's slots are filled to 4/5 and grow by 1/5, so at any time at least 2/3 are in
// use, but for the very first: at most 24 bytes a floor, 240 MB for 10 million. The shards start with different sizes and
// so grow at different times: about 22 bytes on average. One that grows holds its old slots beside the new ones until it
// is done; of 10 million floors that is less than 1 MB.
const (
	floorShards   = 256
	slotBytes     = 16
	firstSlots    = 64 // of the smallest shard; the largest begins just below the next size, 6/5 of it
	leastMaxBytes = 1 << 20
	mostMaxBytes  = 1 << 40
)

// ErrMaxBytes says that a FloorTable cannot have that size.
var ErrMaxBytes = errors.New("fence: MaxBytes out of range")

// FloorTable holds floors in bounded memory. When that is full it gives up the oldest, and refuses from then on every
// record read before the newest of those given up, whoever it is about.
//
// It knows callees by half of their token. Two that share it share the higher floor, which refuses more and is safe.
type FloorTable struct {
	shards [floorShards]floorShard
}

// NewFloors makes an empty table of at most maxBytes, 1 MiB to 1 TiB. 250 MB hold 10 million floors.
func NewFloors(maxBytes int64) (*FloorTable, error) {
	if maxBytes < leastMaxBytes || maxBytes > mostMaxBytes {
		return nil, fmt.Errorf("%w: %d, want 1 MiB to 1 TiB", ErrMaxBytes, maxBytes)
	}
	var t FloorTable
	for i := range t.shards {
		t.shards[i].most = int(maxBytes / floorShards / slotBytes)
		t.shards[i].slots = make([]slot, firstSlots+i*(firstSlots/5+1)/floorShards)
	}
	return &t, nil
}

// place is the callee's shard, and its key there. The multiplication spreads tokens that are not pseudo-random.
func (t *FloorTable) place(callee *eligibility.CalleeToken) (*floorShard, uint64) {
	key := binary.LittleEndian.Uint64(callee[:]) * 0x9e3779b97f4a7c15
	return &t.shards[key>>56], key
}

// Raise implements Floors.
func (t *FloorTable) Raise(callee eligibility.CalleeToken, position uint64) {
	s, key := t.place(&callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	if position > s.lowWater {
		s.raise(key, position)
	}
}

// Current reports whether a record about the callee, read at position, holds every fact up to its floor. It may say false
// of one that does, never true of one that does not.
func (t *FloorTable) Current(callee eligibility.CalleeToken, position uint64) bool {
	s, key := t.place(&callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	return position >= max(s.lowWater, s.slots[s.find(key)].position)
}

// DropBefore implements Floors. It gives the floors' memory back.
func (t *FloorTable) DropBefore(position uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		if position > s.lowWater {
			s.giveUp(position)
			s.shrink()
		}
		s.mu.Unlock()
	}
}

// Len is how many callees have a floor of their own.
func (t *FloorTable) Len() int {
	n := 0
	t.each(func(s *floorShard) { n += s.used })
	return n
}

// Bytes is the memory taken.
func (t *FloorTable) Bytes() int64 {
	n := int64(0)
	t.each(func(s *floorShard) { n += int64(len(s.slots)) * slotBytes })
	return n
}

// LowWater is the position from which on a record of any callee may be current. Some are from a lower one.
func (t *FloorTable) LowWater() uint64 {
	low := uint64(0)
	t.each(func(s *floorShard) { low = max(low, s.lowWater) })
	return low
}

func (t *FloorTable) each(look func(*floorShard)) {
	for i := range t.shards {
		t.shards[i].mu.Lock()
		look(&t.shards[i])
		t.shards[i].mu.Unlock()
	}
}

// floorShard is an open-addressed part of a FloorTable.
type floorShard struct {
	mu       sync.Mutex
	slots    []slot
	used     int
	most     int    // slots
	lowWater uint64 // all floors are above

	_ [64]byte // neighbours are locked by other processors
}

// slot is free when its position is 0.
type slot struct{ key, position uint64 }

// home is the slot a key would have if it were alone. It rises with the key, so that growing goes through memory in order.
func (s *floorShard) home(key uint64) int {
	at, _ := bits.Mul64(key<<8, uint64(len(s.slots)))
	return int(at)
}

func (s *floorShard) after(at int) int {
	if at++; at < len(s.slots) {
		return at
	}
	return 0
}

// find is the key's slot, or the free one it would take. One is always free.
func (s *floorShard) find(key uint64) int {
	at := s.home(key)
	for s.slots[at].position != 0 && s.slots[at].key != key {
		at = s.after(at)
	}
	return at
}

func (s *floorShard) raise(key, position uint64) {
	at := s.find(key)
	if s.slots[at].position == 0 && (s.used+1)*5 > len(s.slots)*4 {
		s.makeRoom()
		if position <= s.lowWater {
			return
		}
		at = s.find(key)
	}
	if s.slots[at].position == 0 {
		s.used++
	}
	s.slots[at] = slot{key, max(position, s.slots[at].position)}
}

func (s *floorShard) makeRoom() {
	larger := min(len(s.slots)*6/5, s.most)
	if larger > len(s.slots) {
		s.resize(larger)
		return
	}
	s.giveUp(s.oldEighth())
}

func (s *floorShard) resize(size int) {
	old := s.slots
	s.slots = make([]slot, size)
	for _, o := range old {
		if o.position != 0 {
			s.slots[s.find(o.key)] = o
		}
	}
}
