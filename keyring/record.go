package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/belpoort/belpoort/eligibility"
)

// recordVersion is the first byte of a sealed record: AES-256-GCM under the key of the callee's share, a random nonce of 96
// bits, and the version and the callee token as associated data.
const recordVersion = 1

// recordShares is how many keys share the callees between them, by the first bits of their tokens. A key is good for 2^32
// random nonces (NIST SP 800-38D, 8.3), and nodes that seal each callee anew every day would use up one key in a year. With
// 4096, 390 billion records (2^38.5) keep the chance that any nonce ever comes twice under its key below 2^-32. A key for
// each record [XAES] would know no limit, but costs a key schedule and its memory each time; counting nonces would break at
// the first node restored from a snapshot.
const recordShares = 1 << 12

// RecordOverhead is by how many bytes a sealed record is longer than what was sealed.
const RecordOverhead = 1 + 12 + 16

// ErrRecord says that a sealed record was not sealed here for this callee, or is not what was sealed.
var ErrRecord = errors.New("sealed record does not open: another key, another callee, another version, or damaged")

// recordSeals makes the shares' keys as they are needed: most processes that open a ring seal no record.
type recordSeals struct {
	root   []byte
	shares [recordShares]atomic.Pointer[cipher.AEAD]
}

func newRecordSeals(root []byte) *recordSeals { return &recordSeals{root: root} }

func (s *recordSeals) of(callee eligibility.CalleeToken) cipher.AEAD {
	share := binary.BigEndian.Uint16(callee[:]) % recordShares
	if seal := s.shares[share].Load(); seal != nil {
		return *seal
	}
	return s.makeShare(share)
}

// makeShare may run twice at once for one share: both make the same key.
func (s *recordSeals) makeShare(share uint16) cipher.AEAD {
	seal, err := recordSeal(s.root, share)
	if err != nil {
		panic("keyring: a key of 32 bytes makes no seal: " + err.Error())
	}
	s.shares[share].Store(&seal)
	return seal
}

func recordSeal(root []byte, share uint16) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, root, string(binary.BigEndian.AppendUint16(nil, share)), 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// SealRecord appends to dst what OpenRecord reads: only under this deployment's key, and only as a record of this callee.
// Two seals of one record differ. It adds RecordOverhead bytes; dst and plain must not overlap.
//
// A seal tells neither that a record is the newest nor that it is not an older one put back: what it hides must say when it
// was made.
func (r *Ring) SealRecord(dst []byte, callee eligibility.CalleeToken, plain []byte) []byte {
	dst = append(slices.Grow(dst, RecordOverhead+len(plain)), recordVersion)
	return r.records.of(callee).Seal(dst, nil, plain, recordContext(callee))
}

// OpenRecord appends to dst what SealRecord sealed for this callee; dst and sealed must not overlap. Every failure is
// ErrRecord, with nothing appended.
func (r *Ring) OpenRecord(dst []byte, callee eligibility.CalleeToken, sealed []byte) ([]byte, error) {
	if len(sealed) < RecordOverhead || sealed[0] != recordVersion {
		return dst, ErrRecord
	}
	opened, err := r.records.of(callee).Open(dst, nil, sealed[1:], recordContext(callee))
	if err != nil {
		return dst, ErrRecord
	}
	return opened, nil
}

func recordContext(callee eligibility.CalleeToken) []byte {
	if mutantRecordSealUnbound {
		return nil
	}
	return append(append(make([]byte, 0, 1+len(callee)), recordVersion), callee[:]...)
}
