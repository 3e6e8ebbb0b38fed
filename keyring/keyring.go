// Package keyring holds the deployment's one secret and what is derived from it: callee tokens, sealed numbers and
// records, receipts and the value by which a ledger recognises its deployment.
//
// It knows numbers and tokens. It must not know what is stored where, nor any fact about a callee.
package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

// The labels of the subkeys. A label is never given a new meaning: what it makes gets a new version instead.
const (
	tokenLabel   = "belpoort callee token v1"
	sealLabel    = "belpoort sealed number v1"
	receiptLabel = "belpoort receipt v1"
	checkLabel   = "belpoort check value v1"
	permitLabel  = "belpoort permit v1"
	personLabel  = "belpoort person mark v1"
	recordLabel  = "belpoort sealed record v1"
)

// Ring makes and reads everything that depends on the deployment's key. It is safe for concurrent use.
type Ring struct {
	tokens   *macs
	receipts *macs
	persons  *macs
	seal     cipher.AEAD
	records  *recordSeals
	permits  func() []byte // nothing that prints the ring can print it
	check    string
}

func newRing(secret []byte) (*Ring, error) {
	// Extracted once, expanded per label (RFC 5869).
	root, err := hkdf.Extract(sha256.New, secret, nil)
	if err != nil {
		return nil, err
	}
	var failed error
	subkey := func(label string, length int) []byte {
		key, err := hkdf.Expand(sha256.New, root, label, length)
		failed = errors.Join(failed, err)
		return key
	}
	block, err := aes.NewCipher(subkey(sealLabel, 32))
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	permits := subkey(permitLabel, 32)
	ring := &Ring{
		tokens:   newMACs(subkey(tokenLabel, 32)),
		receipts: newMACs(subkey(receiptLabel, 32)),
		persons:  newMACs(subkey(personLabel, 32)),
		seal:     seal,
		records:  newRecordSeals(subkey(recordLabel, 32)),
		permits:  func() []byte { return slices.Clone(permits) },
		check:    hex.EncodeToString(subkey(checkLabel, 8)),
	}
	return ring, errors.Join(failed, err)
}

// CheckValue is a public fingerprint of the deployment's key, 16 hexadecimal digits. A ledger that holds another one was
// written under another key: its tokens and seals mean nothing here.
func (r *Ring) CheckValue() string { return r.check }

// PermitSeed is what the first key that signs permits is made from, 32 bytes and secret, so that all nodes begin with the
// same one.
func (r *Ring) PermitSeed() []byte { return r.permits() }

// Format writes the check value only, whatever the verb.
func (r Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keyring "+r.check) }

// LogValue is the check value only.
func (r Ring) LogValue() slog.Value { return slog.StringValue("keyring " + r.check) }

// PersonMark stands for a person's name beside a callee, 32 hexadecimal characters: equal for equal words about one callee,
// and nobody can go back from it without the deployment's key. No words have no mark.
func (r *Ring) PersonMark(callee eligibility.CalleeToken, person string) string {
	if person == "" {
		return ""
	}
	m := r.persons.take()
	m.text = append(append(m.text[:0], callee[:]...), person...)
	mark := hex.EncodeToString(m.sum()[:16])
	clear(m.text)
	r.persons.give(m)
	return mark
}

// Token names a callee without its number. Equal numbers have equal tokens under one key. The zero Number has the zero
// token, which names no callee.
func (r *Ring) Token(n telephony.Number) eligibility.CalleeToken {
	var token eligibility.CalleeToken
	if n.IsZero() {
		return token
	}
	m := r.tokens.take()
	m.text = n.AppendE164(m.text[:0])
	sum := m.sum()
	if mutantTokenUnkeyed {
		unkeyed := sha256.Sum256(m.text)
		sum = unkeyed[:]
	}
	copy(token[:], sum)
	clear(m.text)
	r.tokens.give(m)
	return token
}
