package record_test

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/record"
)

// BenchmarkDecision is a decision on its way into the journal, and out of it again.
func BenchmarkDecision(b *testing.B) {
	call := &eligibility.Call{
		Callee: "+31101234501", CallerID: "+31501234567", Mode: eligibility.Human, Dialing: eligibility.Predictive,
		Campaign: &eligibility.Campaign{ID: "voltwerk-demo", Organisation: &eligibility.Organisation{ID: "voltwerk"}},
	}
	d := &eligibility.Decision{
		Verdict: eligibility.Allow, Reason: eligibility.OKConsent, Reasons: eligibility.ReasonSet(0).With(eligibility.OKConsent),
		Basis:      eligibility.Basis{Kind: eligibility.OKConsent, Article: "NL-TW-11.7-2", Position: 7},
		ValidUntil: time.Now().Add(time.Hour), Regime: "nl-2026", CallerIDKnown: true,
	}
	with := record.Circumstances{
		DecisionID: "0123456789abcdef0123456789abcdef", At: time.Now(), Callee: eligibility.CalleeToken{1}, LawVersion: "0123456789abcdef",
		LedgerPosition: 7, CataloguePosition: 3, StatesPosition: 2, Client: "dialer-voltwerk",
	}
	payload, err := record.MarshalDecision(record.DecisionToProto(d, call, with))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := record.MarshalDecision(record.DecisionToProto(d, call, with)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := record.UnmarshalDecision(payload); err != nil {
				b.Fatal(err)
			}
		}
	})
}
