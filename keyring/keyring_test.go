package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/telephony"
)

func number(t testing.TB, s string) telephony.Number {
	t.Helper()
	n, err := telephony.Canonical(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func secretOf(first byte) []byte {
	secret := make([]byte, keySize)
	for i := range secret {
		secret[i] = first + byte(i)
	}
	return secret
}

func ringOf(t testing.TB, first byte) *Ring {
	t.Helper()
	ring, err := newRing(secretOf(first))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// A token that changes makes every objection ever stored miss its callee: what one key gives is fixed for ever.
// The values come from another implementation of HKDF, HMAC and GF(32).
func TestWhatAKeyGivesIsFixed(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	if got, want := ring.Token(n).String(), "b1192c3737d158ea05952751e48971ad"; got != want {
		t.Errorf("token %s, want %s", got, want)
	}
	if got, want := ring.Receipt("objection/42"), "FF2V-PVMP-X0JR"; got != want {
		t.Errorf("receipt %s, want %s", got, want)
	}
	if got, want := ring.CheckValue(), "2872a642f6b7cb38"; got != want {
		t.Errorf("check value %s, want %s", got, want)
	}
}

func TestTokenIsHMACUnderItsOwnSubkey(t *testing.T) {
	for _, first := range []byte{1, 2, 77} {
		for _, s := range []string{"+31612345678", "+3114020", "+999999999999999"} {
			n, err := telephony.Restore(s)
			if err != nil {
				t.Fatal(err)
			}
			subkey, err := hkdf.Key(sha256.New, secretOf(first), nil, "belpoort callee token v1", 32)
			if err != nil {
				t.Fatal(err)
			}
			mac := hmac.New(sha256.New, subkey)
			mac.Write([]byte(s))
			if got, want := ringOf(t, first).Token(n), eligibility.CalleeToken(mac.Sum(nil)[:16]); got != want {
				t.Errorf("%s: token %s, want %s", s, got, want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	ring, other := ringOf(t, 1), ringOf(t, 2)
	seen := map[eligibility.CalleeToken]string{{}: "none"}
	for i := range 2000 {
		s := fmt.Sprintf("+316%08d", i)
		n := number(t, s)
		for _, token := range []eligibility.CalleeToken{ring.Token(n), other.Token(n)} {
			if before, twice := seen[token]; twice {
				t.Fatalf("%s and %s share a token", before, s)
			}
			seen[token] = s
		}
		if ring.Token(n) != ring.Token(number(t, fmt.Sprintf("06-%08d", i))) || ring.Token(n) != ringOf(t, 1).Token(n) {
			t.Fatalf("%s has two tokens under one key", s)
		}
	}
	if !ring.Token(telephony.Number{}).IsZero() {
		t.Error("no number has a token")
	}
}

func TestTokensOfManyGoroutines(t *testing.T) {
	ring := ringOf(t, 1)
	numbers := make([]telephony.Number, 200)
	want := make([]eligibility.CalleeToken, len(numbers))
	receipts := make([]string, len(numbers))
	for i := range numbers {
		numbers[i] = number(t, fmt.Sprintf("+31%d", 1_000_00+i*7919))
		want[i], receipts[i] = ring.Token(numbers[i]), ring.Receipt(fmt.Sprint(i))
	}
	var callers sync.WaitGroup
	for g := range 8 {
		callers.Go(func() {
			for i := range numbers {
				at := (i*13 + g*29) % len(numbers)
				if ring.Token(numbers[at]) != want[at] || ring.Receipt(fmt.Sprint(at)) != receipts[at] {
					t.Errorf("number %d has another token or receipt", at)
				}
			}
		})
	}
	callers.Wait()
}

// The pool may be emptied at any time (and is, at random, under the race detector), so the best of many runs counts.
func TestTokenAllocatesNothing(t *testing.T) {
	ring, n := ringOf(t, 1), number(t, "+31612345678")
	best := testing.AllocsPerRun(1, func() { _ = ring.Token(n) })
	for range 50 {
		best = min(best, testing.AllocsPerRun(1, func() { _ = ring.Token(n) }))
	}
	if best != 0 {
		t.Errorf("Token allocates %v times", best)
	}
}

func TestCheckValues(t *testing.T) {
	seen := map[string]bool{}
	for first := range byte(50) {
		seen[ringOf(t, first+1).CheckValue()] = true
	}
	if len(seen) != 50 {
		t.Errorf("50 keys have %d check values", len(seen))
	}
	if one, again := ringOf(t, 1), ringOf(t, 1); one.CheckValue() != again.CheckValue() {
		t.Error("one key has two check values")
	}
}

func TestARingShowsItsCheckValueOnly(t *testing.T) {
	ring := ringOf(t, 1)
	var out bytes.Buffer
	for _, verb := range []string{"v", "+v", "#v", "s", "x", "d"} {
		for _, value := range []any{ring, *ring, struct{ ring *Ring }{ring}, struct{ Ring *Ring }{ring}} {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "ring", ring)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "ring", ring, "copy", *ring)
	if !strings.Contains(out.String(), ring.CheckValue()) || strings.Contains(out.String(), "[") {
		t.Errorf("shown as %s", out.String())
	}
}

func BenchmarkToken(b *testing.B) {
	ring, n := ringOf(b, 1), number(b, "+31612345678")
	b.ReportAllocs()
	for b.Loop() {
		if ring.Token(n).IsZero() {
			b.Fatal("no token")
		}
	}
}

func BenchmarkTokenParallel(b *testing.B) {
	ring, n := ringOf(b, 1), number(b, "+31612345678")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = ring.Token(n)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	ring, n := ringOf(b, 1), number(b, "+31612345678")
	token := ring.Token(n)
	b.ReportAllocs()
	for b.Loop() {
		_ = ring.Seal(n, token)
	}
}

func BenchmarkOpenSealed(b *testing.B) {
	ring, n := ringOf(b, 1), number(b, "+31612345678")
	token := ring.Token(n)
	sealed := ring.Seal(n, token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open(sealed, token); err != nil {
			b.Fatal(err)
		}
	}
}
