package keyring

import (
	"errors"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

// sealVersion is the first byte of a sealed number: AES-256-GCM under sealLabel, a random nonce of 96 bits, and the
// version and the callee token as associated data. One key is good for 2^32 seals (NIST SP 800-38D, 8.3).
const sealVersion = 1

// sealedText is the length of what is sealed: every number is padded to it, so that a seal does not tell its length.
const sealedText = 16

// ErrSeal says that a sealed number was not sealed here for this callee, or is not what was sealed.
var ErrSeal = errors.New("sealed number does not open: another key, another callee, or damaged")

// Seal hides a number so that only this deployment can read it, and only as the number of this callee. Two seals of one
// number differ. The zero Number has no seal: the result is nil.
func (r *Ring) Seal(n telephony.Number, callee eligibility.CalleeToken) []byte {
	if n.IsZero() {
		return nil
	}
	var text [sealedText]byte
	n.AppendE164(text[:0])
	sealed := make([]byte, 1, 1+r.seal.Overhead()+sealedText)
	sealed[0] = sealVersion
	return r.seal.Seal(sealed, nil, text[:], sealContext(callee))
}

// Open reads what Seal made for this callee. Every failure is ErrSeal.
func (r *Ring) Open(sealed []byte, callee eligibility.CalleeToken) (telephony.Number, error) {
	if len(sealed) == 0 || sealed[0] != sealVersion {
		return telephony.Number{}, ErrSeal
	}
	text, err := r.seal.Open(nil, nil, sealed[1:], sealContext(callee))
	if err != nil || len(text) != sealedText {
		return telephony.Number{}, ErrSeal
	}
	defer clear(text)
	length := sealedText
	for length > 0 && text[length-1] == 0 {
		length--
	}
	n, err := telephony.Restore(string(text[:length]))
	if err != nil {
		return telephony.Number{}, ErrSeal
	}
	return n, nil
}

func sealContext(callee eligibility.CalleeToken) []byte {
	if mutantSealUnbound {
		return nil
	}
	return append([]byte{sealVersion}, callee[:]...)
}
