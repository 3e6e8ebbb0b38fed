package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

func TestSealedNumbersOpen(t *testing.T) {
	ring := ringOf(t, 1)
	lengths := map[int]bool{}
	for _, s := range []string{"+31612345678", "+3114020", "+319001234", "+999999999999999", "+39066982"} {
		n, err := telephony.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		callee := ring.Token(n)
		first, second := ring.Seal(n, callee), ring.Seal(n, callee)
		if bytes.Equal(first, second) {
			t.Errorf("%s: two seals are equal", s)
		}
		if first[0] != 1 || bytes.Contains(first, []byte(s[1:])) {
			t.Errorf("%s is sealed as %x", s, first)
		}
		lengths[len(first)] = true
		for _, sealed := range [][]byte{first, second} {
			if back, err := ring.Open(sealed, callee); err != nil || back != n {
				t.Errorf("%s opens as %s, %v", s, back.E164(), err)
			}
		}
	}
	if len(lengths) != 1 {
		t.Errorf("seals tell the length of a number: %v", lengths)
	}
	if ring.Seal(telephony.Number{}, eligibility.CalleeToken{1}) != nil {
		t.Error("no number has a seal")
	}
}

// A number sealed by an earlier version stays readable. This seal was made by another implementation of AES-256-GCM.
func TestAnOldSealOpens(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	sealed, err := hex.DecodeString("016465666768696a6b6c6d6e6f8b43da79e7b553b758e221316712b1a06162d8a0aef164582559f3664b5d7ba8")
	if err != nil {
		t.Fatal(err)
	}
	if back, err := ring.Open(sealed, ring.Token(n)); err != nil || back != n {
		t.Errorf("opens as %s, %v", back.E164(), err)
	}
}

func wantNoOpening(t *testing.T, ring *Ring, what string, sealed []byte, callee eligibility.CalleeToken) {
	t.Helper()
	if n, err := ring.Open(sealed, callee); !errors.Is(err, ErrSeal) || !n.IsZero() {
		t.Errorf("%s opens as %s, %v", what, n.E164(), err)
	}
}

func TestASealOpensForItsCalleeOnly(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	callee := ring.Token(n)
	sealed := ring.Seal(n, callee)
	wantNoOpening(t, ring, "for no callee", sealed, eligibility.CalleeToken{})
	for i := range callee {
		for bit := range 8 {
			other := callee
			other[i] ^= 1 << bit
			wantNoOpening(t, ring, "for another callee", sealed, other)
		}
	}
	wantNoOpening(t, ringOf(t, 2), "under another key", sealed, callee)
}

func TestADamagedSealDoesNotOpen(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	callee := ring.Token(n)
	sealed := ring.Seal(n, callee)
	for i := range sealed {
		wantNoOpening(t, ring, "cut short", sealed[:i], callee)
		for bit := range 8 {
			damaged := bytes.Clone(sealed)
			damaged[i] ^= 1 << bit
			wantNoOpening(t, ring, "damaged", damaged, callee)
		}
	}
	wantNoOpening(t, ring, "made longer", append(bytes.Clone(sealed), 0), callee)
	wantNoOpening(t, ring, "nothing", nil, callee)
	wantNoOpening(t, ring, "plain", []byte("\x01+31612345678"), callee)
}

// What opens but holds no number was sealed by something else under our key.
func TestASealedTextThatIsNoNumber(t *testing.T) {
	ring, callee := ringOf(t, 1), eligibility.CalleeToken{1}
	for _, text := range []string{"0612345678\x00\x00\x00\x00\x00\x00", "+316\x0012345678\x00\x00\x00", "+31612345678", ""} {
		sealed := ring.seal.Seal([]byte{sealVersion}, nil, []byte(text), sealContext(callee))
		wantNoOpening(t, ring, "a text", sealed, callee)
	}
}
