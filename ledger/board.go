package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// board is where a group is put together: the chain's end, what its keys and references already stand for, and the facts
// that are new.
type board struct {
	next     tip
	known    map[string]recorded // by identity
	taken    map[string]bool
	entries  []Entry
	payloads [][32]byte
	numbers  [][]byte // of the entries, nil for none
}

func newBoard(next tip) *board {
	return &board{next: next, known: make(map[string]recorded), taken: make(map[string]bool)}
}

// add puts one append on the board, or leaves the board as it was.
func (b *board) add(w *waiting) ([]Appended, error) {
	start, first := b.next, len(b.entries)
	placed := make([]Appended, len(w.facts))
	for i := range w.facts {
		var err error
		if placed[i], err = b.addFact(&w.facts[i], w.payloads[i]); err != nil {
			b.takeBack(start, first)
			return nil, &FactError{Index: i, Err: err}
		}
	}
	return placed, nil
}

func (b *board) addFact(f *Append, payload [32]byte) (Appended, error) {
	who := identity(f.RequestKey, f, payload)
	if known, is := b.known[who]; is {
		if mutantPositionAtBegin {
			b.next.extend(f, payload)
		}
		return known.repeat(f, payload)
	}
	if f.Reference != "" {
		if b.taken[f.Reference] {
			return Appended{}, ErrReferenceTaken
		}
		b.taken[f.Reference] = true
	}
	e := b.next.extend(f, payload)
	b.known[who] = recorded{position: e.Position, time: e.RecordTime, callee: f.Callee, kind: f.Kind, payload: payload}
	b.entries = append(b.entries, e)
	b.payloads = append(b.payloads, payload)
	b.numbers = append(b.numbers, f.SealedNumber)
	return Appended{Position: e.Position, RecordTime: e.RecordTime}, nil
}

func (b *board) takeBack(start tip, first int) {
	for i := range b.entries[first:] {
		e := &b.entries[first+i]
		delete(b.known, identity(e.RequestKey, &Append{Callee: e.Callee, Kind: e.Kind}, b.payloads[first+i]))
		delete(b.taken, e.Reference)
	}
	b.next = start
	b.entries, b.payloads, b.numbers = b.entries[:first], b.payloads[:first], b.numbers[:first]
}

// identity is what a fact is known by: its request key or, without one, its callee, kind and payload. No request key holds
// a NUL.
func identity(key string, f *Append, payload [32]byte) string {
	if key != "" {
		return key
	}
	var b [1 + len(f.Callee) + 4 + len(payload)]byte
	copy(b[1:], f.Callee[:])
	binary.BigEndian.PutUint32(b[1+len(f.Callee):], uint32(f.Kind))
	copy(b[1+len(f.Callee)+4:], payload[:])
	return string(b[:])
}

// contentKeys begin the request keys that stand for a fact's own content: those that PostgreSQL has for facts without a key,
// and those under which earlier versions recorded such facts in either store.
const contentKeys = "content/"

func contentKey(f *Append) string {
	h := sha256.New()
	h.Write(f.Callee[:])
	var kind [4]byte
	binary.BigEndian.PutUint32(kind[:], uint32(f.Kind))
	h.Write(kind[:])
	h.Write(f.Payload)
	return contentKeys + hex.EncodeToString(h.Sum(nil))
}
