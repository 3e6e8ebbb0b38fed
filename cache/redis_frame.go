package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Sealer seals bytes so that they open again unchanged, for the same callee, and for nobody without the key.
// Implementations may be called at the same time.
type Sealer interface {
	// Seal appends the sealed plain bytes to dst.
	Seal(dst []byte, callee eligibility.CalleeToken, plain []byte) []byte

	// Open appends to dst what was sealed for this callee; anything else is an error. It leaves sealed as it is.
	Open(dst []byte, callee eligibility.CalleeToken, sealed []byte) ([]byte, error)
}

// Codec turns records into bytes and back. Implementations may be called at the same time.
type Codec[R Record] interface {
	// Append appends the record's bytes to dst.
	Append(dst []byte, record R) ([]byte, error)

	// Decode reads what Append wrote, including CalleeToken, LedgerPosition and ReadTime (to the nanosecond). It must
	// not keep the bytes.
	Decode(encoded []byte) (R, error)
}

// Keys. The token is 32 lower-case hex digits of fixed length and, as the hash tag, puts a callee's record and hold in
// one slot of a Cluster. The 1 is the version of keys and values: a release that changes either takes another number,
// and neither reads nor deletes the keys of the old one.
//
//	belpoort:1:{token}:r          the callee's record
//	belpoort:1:{token}:h          the ID of the call that holds the callee, 16 bytes
//	belpoort:1:{token}:a          a list of attempts that count, the latest first: ID, nanoseconds since 1970, campaign
//	belpoort:1:{token}:p          written, for a second, to see whether Redis answers; also with a number as its tag
//	belpoort:deployment           whose Redis this is
const (
	keyBefore     = "belpoort:1:{"
	recordAfter   = "}:r"
	holdAfter     = "}:h"
	attemptsAfter = "}:a"
	probeAfter    = "}:p"
	deploymentKey = "belpoort:deployment"
)

func calleeKey(callee eligibility.CalleeToken, after string) string {
	key := make([]byte, 0, len(keyBefore)+2*len(callee)+len(recordAfter))
	key = append(key, keyBefore...)
	key = hex.AppendEncode(key, callee[:])
	return string(append(key, after...))
}

const slotCount = 1 << 14

// slotOf is the slot of a Cluster that a key with this hash tag lies in: CRC-16/XMODEM modulo 16384.
func slotOf(tag string) int {
	crc := uint16(0)
	for _, b := range []byte(tag) {
		crc ^= uint16(b) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc) % slotCount
}

// A value is its version, then sealed for the callee: the callee's token, the ledger position and the reading time
// (nanoseconds since 1970, both big-endian), then the record's own bytes.
const (
	valueVersion = 1
	frameBytes   = len(eligibility.CalleeToken{}) + 16
	maxValue     = 1 << 20
)

// Why a record is not believed.
var (
	errBadSeal     = errors.New("cache: the seal does not open for this callee")
	errWrongCallee = errors.New("cache: sealed, but about another callee")
	errBelowFloor  = errors.New("cache: below the callee's floor")
	errTooOld      = errors.New("cache: too old, or ahead of the clock")
	errMalformed   = errors.New("cache: sealed, but not to be read")
	errTooLarge    = errors.New("cache: record too large")
)

// framing writes records as values and judges values that come back.
type framing[R Record] struct {
	opts   Options
	sealer Sealer
	codec  Codec[R]
	floors Floors
}

// frame makes a record's value.
func (f *framing[R]) frame(record R) ([]byte, error) {
	callee := record.CalleeToken()
	plain := make([]byte, 0, 512)
	plain = append(plain, callee[:]...)
	plain = binary.BigEndian.AppendUint64(plain, record.LedgerPosition())
	plain = binary.BigEndian.AppendUint64(plain, uint64(record.ReadTime().UnixNano()))
	plain, err := f.codec.Append(plain, record)
	if err != nil {
		return nil, err
	}
	value := f.sealer.Seal(append(make([]byte, 0, len(plain)+64), valueVersion), callee, plain)
	if len(value) > maxValue {
		return nil, errTooLarge
	}
	return value, nil
}

// believe returns the record of a value found under the callee's key, or why it is not believed.
func (f *framing[R]) believe(callee eligibility.CalleeToken, value []byte) (none R, err error) {
	if len(value) == 0 || len(value) > maxValue || value[0] != valueVersion {
		return none, errBadSeal
	}
	plain, err := f.sealer.Open(make([]byte, 0, len(value)), callee, value[1:])
	if err != nil && !mutantCacheRedisNoSeal {
		return none, errBadSeal
	}
	if len(plain) < frameBytes {
		return none, errMalformed
	}
	if eligibility.CalleeToken(plain) != callee && !mutantCacheRedisNoSubject {
		return none, errWrongCallee
	}
	position := binary.BigEndian.Uint64(plain[len(callee):])
	read := time.Unix(0, int64(binary.BigEndian.Uint64(plain[len(callee)+8:])))
	if !f.floors.Current(callee, position) && !mutantCacheRedisNoFloor {
		return none, errBelowFloor
	}
	if !f.opts.fresh(read, f.opts.Clock()) && !mutantCacheRedisNoAge {
		return none, errTooOld
	}
	record, err := f.codec.Decode(plain[frameBytes:])
	if err != nil {
		return none, errMalformed
	}
	if record.CalleeToken() != callee && !mutantCacheRedisNoSubject {
		return none, errWrongCallee
	}
	if record.LedgerPosition() != position || !record.ReadTime().Equal(read) {
		return none, errMalformed
	}
	return record, nil
}
