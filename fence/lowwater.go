package fence

import "slices"

// giveUp drops the floors up to a position, and refuses all records from before it instead.
func (s *floorShard) giveUp(position uint64) {
	if !mutantFloorsLost {
		s.lowWater = max(s.lowWater, position)
	}
	for at := 0; at < len(s.slots); {
		if p := s.slots[at].position; p == 0 || p > position {
			at++
			continue
		}
		s.remove(at) // another may have moved here: look again
	}
}

// remove frees a slot and closes the gap, so that no mark is left behind.
func (s *floorShard) remove(at int) {
	for next := s.after(at); s.slots[next].position != 0; next = s.after(next) {
		if s.distance(s.home(s.slots[next].key), next) >= s.distance(at, next) {
			s.slots[at] = s.slots[next]
			at = next
		}
	}
	s.slots[at] = slot{}
	s.used--
}

// distance is how many steps lead from one slot to another.
func (s *floorShard) distance(from, to int) int {
	if to >= from {
		return to - from
	}
	return to - from + len(s.slots)
}

// shrink gives memory back when less than a third is in use, so far that the shard does not soon grow again.
func (s *floorShard) shrink() {
	if len(s.slots) > 2*firstSlots && s.used*3 < len(s.slots) {
		s.resize(max(s.used*3/2, firstSlots))
	}
}

// oldEighth estimates, from a sample, the position that an eighth of the floors do not exceed.
func (s *floorShard) oldEighth() uint64 {
	var sample [64]uint64
	n, stride := 0, max(1, len(s.slots)/(2*len(sample)))
	for at := 0; at < len(s.slots) && n < len(sample); at += stride {
		if s.slots[at].position != 0 {
			sample[n] = s.slots[at].position
			n++
		}
	}
	slices.Sort(sample[:n])
	return sample[n/8]
}
