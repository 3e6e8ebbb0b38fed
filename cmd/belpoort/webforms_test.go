package main

import (
	"strings"
	"testing"
	"time"
)

// A form is answered 202 while the ledger is away, and 200 with the same receipt once the objection is in force.
func TestAnObjectionByFormWaitsForTheLedger(t *testing.T) {
	c := startCluster(t, 1)
	n := c.nodes[0]
	n.consents(0, 1)
	v := n.visitor()
	object := func() (status int, state, receipt string) {
		r := v.post("/v1/objections/form", "phone", subject(0), "campaign", "volt", "uniqueid", "1.1")
		first, _, _ := strings.Cut(r.body, "\n")
		state, receipt, _ = strings.Cut(first, " ")
		return r.status, state, receipt
	}
	n.toLedger.Cut()
	status, state, kept := object()
	if status != 202 || state != "PENDING" || len(kept) != 14 {
		t.Fatalf("without a ledger: %d %s %q", status, state, kept)
	}
	n.toLedger.Heal()
	for deadline := time.Now().Add(10 * time.Second); status != 200 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var receipt string
		if status, state, receipt = object(); receipt != kept {
			t.Fatalf("%d %s: the receipt was %q and is %q", status, state, kept, receipt)
		}
	}
	if status != 200 || state != "IN_FORCE" {
		t.Errorf("with the ledger back: %d %s", status, state)
	}
	n.wantObjected(subject(0))
}
