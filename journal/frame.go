package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
)

// A segment file is a header and then frames, one after another, then zeros:
//
//	header: magic 8 | version u32 | journal id 16 | first sequence u64 | zeros | CRC32C of all that, u32      (64 bytes)
//	frame:  payload length u32 | CRC32C u32 | sequence u64 | base u64 | time i64 | payload                  (32 + length)
//
// Numbers are little-endian. A frame's CRC covers everything else in it and starts from the CRC of the journal id.
// Base says what the frame proves: when it was written, every record before base was synced. So an unreadable record is
// damage if a later base lies beyond it, and else it may be the torn write of a crash.
// Time is when the record's group was opened, in Unix nanoseconds.
// A frame with an empty payload is the end mark: it carries the sequence number of the record that will take its place.
const (
	headerBytes     = 64
	frameBytes      = 32
	formatVersion   = 1
	maxSegmentBytes = 1 << 30
	segmentSuffix   = ".journal"
	sparePrefix     = "spare-"
)

var (
	magic      = [8]byte{'B', 'E', 'L', 'P', 'J', 'R', 'N', 'L'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

type journalID [16]byte

func (id journalID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, segmentSuffix) }

func isSegmentName(name string) bool { return strings.HasSuffix(name, segmentSuffix) }

func encodeHeader(id journalID, first uint64) []byte {
	b := make([]byte, headerBytes)
	copy(b, magic[:])
	le.PutUint32(b[8:], formatVersion)
	copy(b[12:], id[:])
	le.PutUint64(b[28:], first)
	le.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

// decodeHeader gives the reason when b does not begin with a header.
func decodeHeader(b []byte) (id journalID, first uint64, reason string) {
	switch {
	case len(b) < headerBytes:
		return id, 0, "file is shorter than its header"
	case le.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli):
		return id, 0, "header does not match its CRC"
	case !bytes.Equal(b[:8], magic[:]):
		return id, 0, "not a journal segment"
	}
	copy(id[:], b[12:])
	first = le.Uint64(b[28:])
	if first == 0 || first > math.MaxUint64/2 {
		return id, 0, "impossible first sequence number"
	}
	return id, first, ""
}

func headerVersion(b []byte) uint32 { return le.Uint32(b[8:]) }

// frame is one decoded frame; payload lies in the bytes it was read from.
type frame struct {
	seq, base uint64
	time      int64
	payload   []byte
}

func (f frame) isMark() bool { return len(f.payload) == 0 }
func (f frame) size() int    { return frameBytes + len(f.payload) }

func appendFrame(b []byte, seed uint32, seq, base uint64, time int64, payload []byte) []byte {
	at := len(b)
	b = le.AppendUint32(b, uint32(len(payload)))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, seq)
	b = le.AppendUint64(b, base)
	b = le.AppendUint64(b, uint64(time))
	b = append(b, payload...)
	le.PutUint32(b[at+4:], frameCRC(seed, b[at:]))
	return b
}

func frameCRC(seed uint32, b []byte) uint32 {
	return crc32.Update(crc32.Update(seed, castagnoli, b[:4]), castagnoli, b[8:])
}

// readFrame reads the frame at the start of b; ok is false when there is none that was written whole.
func readFrame(b []byte, seed uint32) (f frame, ok bool) {
	if len(b) < frameBytes {
		return f, false
	}
	n := int(le.Uint32(b))
	if n > MaxPayload || frameBytes+n > len(b) {
		return f, false
	}
	b = b[:frameBytes+n]
	f = frame{seq: le.Uint64(b[8:]), base: le.Uint64(b[16:]), time: int64(le.Uint64(b[24:])), payload: b[frameBytes:]}
	if mutantJournalNoCRC {
		return f, f.seq != 0
	}
	return f, le.Uint32(b[4:]) == frameCRC(seed, b)
}

// proofBeyond looks for a frame anywhere in b that proves record seq was synced.
func proofBeyond(b []byte, seed uint32, seq uint64) bool {
	if mutantJournalCutAnything {
		return false
	}
	end := len(bytes.TrimRight(b, "\x00"))
	for i := 0; i < end && i+frameBytes <= len(b); i++ {
		// Numbers first: they rule out all but about one place in 2^40 before a CRC is spent.
		at, base := le.Uint64(b[i+8:]), le.Uint64(b[i+16:])
		if base <= seq || at < base || at-seq > uint64(len(b)) {
			continue
		}
		if _, ok := readFrame(b[i:], seed); ok {
			return true
		}
	}
	return false
}
