package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// chainDomain keeps a fact's hash from meaning anything elsewhere, and dates the way it is made.
const chainDomain = "belpoort ledger fact 1"

// tip is the end of the chain: what the next fact is numbered, timed and hashed from.
type tip struct {
	position uint64
	time     int64 // Unix nanoseconds
	hash     [32]byte
}

// hashEntry is SHA-256 over the domain, the hash of the fact before (zeros for the first), position, callee, kind,
// record time in Unix nanoseconds, request key, reference and the payload's own SHA-256: numbers big-endian, every
// field preceded by its length in 8 bytes. The payload enters by its hash so that it can be erased, and the sealed
// number does not enter at all, for the same reason.
func hashEntry(prev [32]byte, e *Entry, payload [32]byte) [32]byte {
	b := make([]byte, 0, 1024)
	b = framed(b, chainDomain)
	b = framed(b, prev[:])
	b = framedNumber(b, e.Position)
	b = framed(b, e.Callee[:])
	b = framedNumber(b, uint64(uint32(e.Kind)))
	b = framedNumber(b, uint64(e.RecordTime.UnixNano()))
	b = framed(b, e.RequestKey)
	b = framed(b, e.Reference)
	b = framed(b, payload[:])
	return sha256.Sum256(b)
}

func framed[T string | []byte](b []byte, field T) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
	return append(b, field...)
}

func framedNumber(b []byte, n uint64) []byte {
	b = binary.BigEndian.AppendUint64(b, 8)
	return binary.BigEndian.AppendUint64(b, n)
}

// extend makes the chain's next entry.
func (t *tip) extend(f *Append, payload [32]byte) Entry {
	e := Entry{
		Position:   t.position + 1,
		Callee:     f.Callee,
		Kind:       f.Kind,
		RequestKey: f.RequestKey,
		Reference:  f.Reference,
		RecordTime: time.Unix(0, t.time).UTC(),
		Payload:    f.Payload,
	}
	e.Hash = hashEntry(t.hash, &e, payload)
	t.position, t.hash = e.Position, e.Hash
	return e
}
