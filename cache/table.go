package cache

import (
	"encoding/binary"
	"reflect"

	"github.com/belpoort/belpoort/eligibility"
)

// table maps callees to values by open addressing. It is here because its memory is known to the byte, also after any
// number of deletions, which a built-in map's is not. The zero token marks an empty slot and cannot be a key.
type table[V any] struct {
	slots []slot[V]
	used  int
}

type slot[V any] struct {
	key   eligibility.CalleeToken
	value V
}

const leastSlots = 8

func newTable[V any](slots int) table[V] {
	return table[V]{slots: make([]slot[V], slots)}
}

// bytesOf is what a table of so many slots occupies.
func (t *table[V]) bytesOf(slots int) int64 {
	return int64(slots) * int64(reflect.TypeFor[slot[V]]().Size())
}

func (t *table[V]) bytes() int64 { return t.bytesOf(len(t.slots)) }

// full tells that one more key needs a larger table. At 13/16 a key costs at most 2.5 slots, which of a table of pointers is
// 60 bytes, and one that is not there is still missed within 15 steps.
func (t *table[V]) full() bool { return (t.used+1)*16 > len(t.slots)*13 }

// home is the slot a key would have if it were alone. The multiplication spreads tokens that are not pseudo-random.
func (t *table[V]) home(key *eligibility.CalleeToken) int {
	h := (binary.LittleEndian.Uint64(key[:]) ^ binary.LittleEndian.Uint64(key[8:])) * 0x9e3779b97f4a7c15
	return int(h>>32) & (len(t.slots) - 1)
}

// find returns the key's slot, or the empty one it would take.
func (t *table[V]) find(key *eligibility.CalleeToken) (at int, found bool) {
	for at = t.home(key); !t.slots[at].key.IsZero(); at = (at + 1) & (len(t.slots) - 1) {
		if t.slots[at].key == *key {
			return at, true
		}
	}
	return at, false
}

func (t *table[V]) get(key *eligibility.CalleeToken) (v V, found bool) {
	at, found := t.find(key)
	if found {
		v = t.slots[at].value
	}
	return v, found
}

// set adds or replaces; a table that is full must have grown before.
func (t *table[V]) set(key *eligibility.CalleeToken, v V) {
	at, found := t.find(key)
	if !found {
		t.used++
	}
	t.slots[at] = slot[V]{*key, v}
}

// remove empties a slot and closes the gap, so that no mark is left behind.
func (t *table[V]) remove(at int) {
	mask := len(t.slots) - 1
	for next := (at + 1) & mask; !t.slots[next].key.IsZero(); next = (next + 1) & mask {
		if (next-t.home(&t.slots[next].key))&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = slot[V]{}
	t.used--
}

func (t *table[V]) resize(slots int) {
	old := *t
	*t = newTable[V](slots)
	for i := range old.slots {
		if s := &old.slots[i]; !s.key.IsZero() {
			t.set(&s.key, s.value)
		}
	}
}

func (t *table[V]) grow() { t.resize(2 * len(t.slots)) }

// shrink halves a table that is mostly empty, so far that it does not soon grow again.
func (t *table[V]) shrink() {
	if len(t.slots) > leastSlots && t.used*16 < len(t.slots)*3 {
		t.resize(len(t.slots) / 2)
	}
}
