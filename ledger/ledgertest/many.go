package ledgertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
)

// factsOfMany: what is read of many callees at once is what is read of each alone.
func factsOfMany(t *testing.T, l ledger.Ledger) {
	var callees []eligibility.CalleeToken
	for round := range 3 {
		var facts []ledger.Append
		for n := 1; n <= 120; n++ {
			if n%7 > round { // some callees have no facts, others up to three
				facts = append(facts, Fact(n, fmt.Sprintf("%d-%d", n, round)))
			}
		}
		appendAll(t, l, facts...)
	}
	appendAll(t, l, Fact(1000, "of somebody who is not asked about"))
	for n := 1; n <= 120; n++ {
		callees = append(callees, Callee(n))
	}
	all, err := l.FactsOfMany(t.Context(), append(callees, Callee(5), Callee(5)))
	if err != nil {
		t.Fatal(err)
	}
	rest := all.Entries
	for i := 0; i < len(rest); {
		of := rest[i].Callee
		alone, err := l.Facts(t.Context(), of, 0)
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range alone.Entries {
			if i+k >= len(rest) || rest[i+k].Position != want.Position || string(rest[i+k].Payload) != string(want.Payload) || rest[i+k].RequestKey != want.RequestKey {
				t.Fatalf("fact %d of a callee with %d facts is not what it is alone", k, len(alone.Entries))
			}
		}
		i += len(alone.Entries)
	}
	head, _ := l.Head(t.Context())
	if uint64(len(rest))+1 != head || all.Head != head {
		t.Errorf("%d facts up to position %d, want %d up to %d", len(rest), all.Head, head-1, head)
	}
	if nobody, err := l.FactsOfMany(t.Context(), []eligibility.CalleeToken{Callee(2000)}); err != nil || len(nobody.Entries) != 0 || nobody.Head != head {
		t.Errorf("a callee without facts: %+v, %v", nobody, err)
	}
	for _, wrong := range []int{0, ledger.MaxCallees + 1} {
		if _, err := l.FactsOfMany(t.Context(), make([]eligibility.CalleeToken, wrong)); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%d callees: %v", wrong, err)
		}
	}
}
