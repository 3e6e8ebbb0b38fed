package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// macs lends HMAC-SHA-256 states of one key, so that the key is not scheduled anew for every callee.
type macs struct{ idle sync.Pool }

// mac is one state, with room for a short text and the sum: what is passed to an interface would escape otherwise.
type mac struct {
	state hash.Hash
	text  []byte
	out   [sha256.Size]byte
}

func newMACs(key []byte) *macs {
	return &macs{idle: sync.Pool{New: func() any {
		return &mac{state: hmac.New(sha256.New, key), text: make([]byte, 0, 16)}
	}}}
}

func (p *macs) take() *mac  { return p.idle.Get().(*mac) }
func (p *macs) give(m *mac) { p.idle.Put(m) }

// sum is the HMAC of text. It is valid until the state is given back.
func (m *mac) sum() []byte {
	m.state.Reset()
	m.state.Write(m.text)
	return m.state.Sum(m.out[:0])
}
