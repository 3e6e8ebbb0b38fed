package server

import (
	"testing"
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// A load waits at every few facts while checks queue up for the processors, and goes on in any case. The mutant
// mutant_loads_first must fail here.
func TestALoadGivesWayToChecks(t *testing.T) {
	n := startNode(t, nil)
	shortest := func() time.Duration {
		least := time.Hour
		for range 20 {
			began := time.Now()
			n.giveWay()
			least = min(least, time.Since(began))
		}
		return least
	}
	if waited := shortest(); waited >= giveWayMost*giveWayPause {
		t.Errorf("without checks a load waits %v", waited)
	}
	n.admission.waiting.Add(1)
	if waited := shortest(); waited < giveWayMost*giveWayPause {
		t.Errorf("beside many checks a load waits %v only", waited)
	}
	n.admission.waiting.Add(-1)
	n.record(callee, consentOf("c", "acme"), "consent")
}

// BenchmarkReadFact is what the service does with each fact of an import before the ledger has it.
func BenchmarkReadFact(b *testing.B) {
	n := startNode(b, nil)
	req := &belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-1", "acme")}
	force := n.force.Load()
	everybody := &client{everybody: true}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.readFact(everybody, force, req); err != nil {
			b.Fatal(err)
		}
	}
}
