package ops

import (
	"testing"
	"time"
)

// BenchmarkCheckCounted is all the counting that an allowed check pays for.
func BenchmarkCheckCounted(b *testing.B) {
	m := New(words(), Build{Version: "v1", LawVersion: "abc"})
	b.ReportAllocs()
	for b.Loop() {
		m.CacheHit()
		for stage := range stages {
			if stage != StageLedger {
				m.Took(stage, 15*time.Microsecond)
			}
		}
		m.Decided(Decided{Verdict: 1, Reason: 1, Door: DoorGRPC, Campaign: "volt", DecisionID: "1", Took: time.Millisecond})
		m.Answered("/belpoort.v1.GatekeeperService/CheckCall", "OK", true, time.Millisecond)
	}
}
