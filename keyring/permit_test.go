package keyring

import (
	"bytes"
	"testing"
)

// The seed is the same on every node of a deployment, of no other, and no other subkey.
func TestPermitSeed(t *testing.T) {
	ring, err := newRing(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	same, err := newRing(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newRing(bytes.Repeat([]byte{2}, 32))
	if err != nil {
		t.Fatal(err)
	}
	seed := ring.PermitSeed()
	if len(seed) != 32 || !bytes.Equal(seed, same.PermitSeed()) || bytes.Equal(seed, other.PermitSeed()) {
		t.Error("the seed does not follow the deployment's key")
	}
	seed[0]++
	if bytes.Equal(seed, ring.PermitSeed()) {
		t.Error("the ring's own seed can be changed from outside")
	}
}
