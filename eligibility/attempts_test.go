package eligibility_test

import (
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// An attempt that was allowed and not yet reported counts as the call that found the line busy would: neither more nor
// less. The mutant mutant_attempts_forgotten must fail here.
func TestAnUnreportedAttemptCountsAsABusyCall(t *testing.T) {
	w := newWorld(t, 17)
	var campaigns []string
	for id := range w.cat.Campaigns {
		campaigns = append(campaigns, id)
	}
	tooMany := 0
	for range 15000 {
		call, facts, at := w.question()
		reported := append([]Fact(nil), facts...)
		for range w.rng.IntN(6) {
			attempt := Attempt{Campaign: campaigns[w.rng.IntN(len(campaigns))], At: at.Add(-time.Duration(w.rng.Int64N(int64(30 * time.Hour))))}
			call.Unreported = append(call.Unreported, attempt)
			reported = append(reported, Fact{CallReport: &CallReport{Campaign: attempt.Campaign, At: attempt.At, Outcome: Busy}})
		}
		got := Decide(fold(facts), call, w.cat, w.law, at)
		call.Unreported = nil
		want := Decide(fold(reported), call, w.cat, w.law, at)
		if got.Verdict != want.Verdict || got.Reasons != want.Reasons || !got.ValidUntil.Equal(want.ValidUntil) {
			t.Fatalf("unreported: %+v, reported: %+v", got, want)
		}
		if got.Reasons.Has(Attempts) && !Decide(fold(facts), call, w.cat, w.law, at).Reasons.Has(Attempts) {
			tooMany++
		}
	}
	if tooMany < 20 {
		t.Errorf("only %d calls were refused because of unreported attempts", tooMany)
	}
}
