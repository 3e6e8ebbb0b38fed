package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
)

// recordCallee spreads callees over the shares, as tokens are.
func recordCallee(i int) eligibility.CalleeToken {
	sum := sha256.Sum256([]byte(fmt.Sprint(i)))
	return eligibility.CalleeToken(sum[:16])
}

func TestSealedRecordsOpen(t *testing.T) {
	ring, again := ringOf(t, 1), ringOf(t, 1)
	seen := map[string]bool{}
	for i := range 300 {
		callee, plain := recordCallee(i), []byte(strings.Repeat("r", i))
		first := ring.SealRecord(nil, callee, plain)
		second := ring.SealRecord([]byte("before"), callee, plain)
		if first[0] != recordVersion || len(first) != len(plain)+RecordOverhead || !bytes.HasPrefix(second, []byte("before\x01")) {
			t.Fatalf("%d bytes are sealed as %x and %x", i, first, second)
		}
		second = second[len("before"):]
		if nonce := string(first[1:13]); seen[nonce] || seen[string(second[1:13])] || nonce == string(second[1:13]) {
			t.Fatalf("a nonce came twice: %x, %x", first, second)
		}
		seen[string(first[1:13])], seen[string(second[1:13])] = true, true
		if len(plain) > 4 && bytes.Contains(first, plain) {
			t.Fatalf("%x can be read in its seal", plain)
		}
		for _, sealed := range [][]byte{first, second} {
			if opened, err := again.OpenRecord([]byte("kept"), callee, sealed); err != nil || string(opened) != "kept"+string(plain) {
				t.Fatalf("%x opens as %q, %v", sealed, opened, err)
			}
		}
	}
}

// Every node must derive the same keys: here they are derived once more.
func TestRecordsAreSealedUnderTheirOwnSubkey(t *testing.T) {
	for _, token := range []eligibility.CalleeToken{{}, {0x00, 0x01}, {0x12, 0x34, 15: 9}, {0xff, 0xff}} {
		root, err := hkdf.Key(sha256.New, secretOf(7), nil, "belpoort sealed record v1", 32)
		if err != nil {
			t.Fatal(err)
		}
		share := binary.BigEndian.Uint16(token[:2]) & 0x0fff
		key, err := hkdf.Expand(sha256.New, root, string([]byte{byte(share >> 8), byte(share)}), 32)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		sealed := ringOf(t, 7).SealRecord(nil, token, []byte("record"))
		if opened, err := gcm.Open(nil, sealed[1:13], sealed[13:], append([]byte{1}, token[:]...)); err != nil || string(opened) != "record" {
			t.Errorf("%v: %q, %v", token, opened, err)
		}
		made := gcm.Seal([]byte("\x01abcdefghijkl"), []byte("abcdefghijkl"), []byte("record"), append([]byte{1}, token[:]...))
		if opened, err := ringOf(t, 7).OpenRecord(nil, token, made); err != nil || string(opened) != "record" {
			t.Errorf("%v: %q, %v", token, opened, err)
		}
	}
}

func wantNoRecord(t *testing.T, ring *Ring, what string, sealed []byte, callee eligibility.CalleeToken) {
	t.Helper()
	room := append(make([]byte, 0, 512), "kept"...)
	if got, err := ring.OpenRecord(room, callee, sealed); !errors.Is(err, ErrRecord) || string(got) != "kept" {
		t.Errorf("%s opens as %q, %v", what, got, err)
	}
}

func TestASealedRecordOpensForItsCalleeOnly(t *testing.T) {
	ring, callee := ringOf(t, 1), recordCallee(1)
	sealed := ring.SealRecord(nil, callee, []byte("a record"))
	wantNoRecord(t, ring, "for no callee", sealed, eligibility.CalleeToken{})
	for i := range callee {
		for bit := range 8 {
			other := callee
			other[i] ^= 1 << bit
			wantNoRecord(t, ring, "for another callee", sealed, other)
		}
	}
	wantNoRecord(t, ringOf(t, 2), "under another key", sealed, callee)
	wantNoRecord(t, ring, "of another ring", ringOf(t, 2).SealRecord(nil, callee, []byte("a record")), callee)
}

func TestADamagedRecordDoesNotOpen(t *testing.T) {
	ring, callee := ringOf(t, 1), recordCallee(1)
	for _, plain := range []string{"", "a record that is longer than one block of the cipher"} {
		sealed := ring.SealRecord(nil, callee, []byte(plain))
		for i := range sealed {
			wantNoRecord(t, ring, "cut short", sealed[:i], callee)
			for bit := range 8 {
				damaged := bytes.Clone(sealed)
				damaged[i] ^= 1 << bit
				wantNoRecord(t, ring, "damaged", damaged, callee)
			}
		}
		wantNoRecord(t, ring, "made longer", append(bytes.Clone(sealed), 0), callee)
	}
	wantNoRecord(t, ring, "nothing", nil, callee)
	wantNoRecord(t, ring, "plain", []byte("\x01"+strings.Repeat("plain", 20)), callee)
}

// What one kind of seal hides is nothing to the other.
func TestSealsOfNumbersAndRecordsAreApart(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	callee := ring.Token(n)
	wantNoRecord(t, ring, "a number", ring.Seal(n, callee), callee)
	var text [sealedText]byte
	wantNoOpening(t, ring, "a record", ring.SealRecord(nil, callee, n.AppendE164(text[:0])[:12:12]), callee)
	wantNoOpening(t, ring, "a record", ring.SealRecord(nil, callee, append(n.AppendE164(nil), 0, 0, 0, 0)), callee)
}

func TestRecordsOfManyGoroutines(t *testing.T) {
	ring, other := ringOf(t, 1), ringOf(t, 1)
	var nodes sync.WaitGroup
	for g := range 8 {
		nodes.Go(func() {
			var sealed, opened []byte
			for i := range 300 {
				callee, plain := recordCallee(i), fmt.Sprint(g, i)
				sealed = ring.SealRecord(sealed[:0], callee, []byte(plain))
				var err error
				if opened, err = other.OpenRecord(opened[:0], callee, sealed); err != nil || string(opened) != plain {
					t.Errorf("%q opens as %q, %v", plain, opened, err)
				}
			}
		})
	}
	nodes.Wait()
}

func TestRecordsCostOneAllocation(t *testing.T) {
	ring, callee := ringOf(t, 1), recordCallee(1)
	plain, room := make([]byte, 300), make([]byte, 0, 512)
	sealed := ring.SealRecord(nil, callee, plain)
	if n := testing.AllocsPerRun(100, func() { _ = ring.SealRecord(room, callee, plain) }); n > 1 {
		t.Errorf("SealRecord allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = ring.OpenRecord(room, callee, sealed) }); n > 1 {
		t.Errorf("OpenRecord allocates %v times", n)
	}
}

// benchmarkRecords seals and opens records of 300 bytes of one callee, or of so many that every share is in use.
func benchmarkRecords(b *testing.B, use func(ring *Ring, callee eligibility.CalleeToken, sealed, plain, room []byte)) {
	for _, callees := range []int{1, 1 << 16} {
		b.Run(fmt.Sprintf("callees=%d", callees), func(b *testing.B) {
			ring, plain, room := ringOf(b, 1), make([]byte, 300), make([]byte, 0, 512)
			tokens, sealed := make([]eligibility.CalleeToken, callees), make([][]byte, callees)
			for i := range tokens {
				tokens[i] = recordCallee(i)
				sealed[i] = ring.SealRecord(nil, tokens[i], plain)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				use(ring, tokens[i], sealed[i], plain, room)
				i = (i + 1) % callees
			}
		})
	}
}

func BenchmarkSealRecord(b *testing.B) {
	b.ReportAllocs()
	benchmarkRecords(b, func(ring *Ring, callee eligibility.CalleeToken, _, plain, room []byte) {
		_ = ring.SealRecord(room, callee, plain)
	})
}

func BenchmarkOpenRecord(b *testing.B) {
	b.ReportAllocs()
	benchmarkRecords(b, func(ring *Ring, callee eligibility.CalleeToken, sealed, _, room []byte) {
		if _, err := ring.OpenRecord(room, callee, sealed); err != nil {
			b.Fatal(err)
		}
	})
}
