package eligibility_test

import (
	"slices"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// ofBases are the reasons that say why a basis does not hold.
var ofBases = []Reason{
	NoBasis, Withdrawn, ConsentScope, ConsentChannel, ConsentOrganisation, ConsentExpired, ConsentUnverified, ConsentStale, EvidenceMissing,
	RequestUsed, RequestExpired, TermExpired, Dissimilar, EntityMismatch, NoObjectionOfferAtCollection, NumberEnriched, AutomatedWithoutConsent,
}

// gates are the reasons of an answer but those of bases.
func gates(d Decision) (set ReasonSet) {
	for _, r := range d.Reasons.List() {
		if !slices.Contains(ofBases, r) {
			set = set.With(r)
		}
	}
	return set
}

// sameAnswer says in what two answers differ that must not.
func sameAnswer(with, without Decision) string {
	switch {
	case with.Verdict != without.Verdict:
		return "verdict"
	case with.Basis != without.Basis:
		return "basis"
	case with.Obligations != without.Obligations:
		return "duties"
	case !with.RetryTime.Equal(without.RetryTime):
		return "retry time"
	case gates(with) != gates(without):
		return "gates"
	case with.Verdict != Deny && (with.Reason != without.Reason || !with.ValidUntil.Equal(without.ValidUntil)):
		return "reason or end of an answer that is no refusal"
	}
	return ""
}

// TestWhatEndedDecidesNothing: for random callees, campaigns and instants, a decision without the facts that have ended by
// then, all of them or any of them, is the decision with them, from then on. The mutant mutant_ends_by_strictest must fail
// here.
func TestWhatEndedDecidesNothing(t *testing.T) {
	seed, pairs := referenceSeed(t), referencePairs(30_000, 1_000_000)
	var w *world
	ended, allowed := map[string]int{}, 0
	for i := range pairs {
		if i%2000 == 0 {
			w, _ = newReference(t, seed+uint64(i)) //nolint:gosec // small
		}
		call, facts, at := w.pair()
		for range w.rng.IntN(3) { // what other campaigns left
			facts = append(facts, w.fact(w.call(), at))
		}
		ends := Ends(facts, w.cat, w.law)
		from := w.retained(ends, at)
		var left []Fact
		for j := range facts {
			gone := ends[j] <= from && facts[j].Subscriber == nil && w.rng.IntN(5) > 0
			if !gone {
				left = append(left, facts[j])
				continue
			}
			ended[kindName(&facts[j])]++
		}
		for range 4 {
			later := w.laterThan(from, ends)
			d := Decide(fold(facts), call, w.cat, w.law, later)
			if what := sameAnswer(d, Decide(fold(left), call, w.cat, w.law, later)); what != "" {
				t.Fatalf("pair %d of SEED=%d: another %s at %v without what ended by %v\n%v\nwith    %+v\nwithout %+v\nfacts %s",
					i, seed, what, later, from.Time(), ends, d, Decide(fold(left), call, w.cat, w.law, later), spelled(facts))
			}
			if d.Verdict == Allow {
				allowed++
			}
			call = w.call()
			call.Callee, call.Presentation, call.CallerID = callees[0], 0, ownNumber(slices.Index(w.ids, call.Campaign.Organisation.ID))
		}
	}
	t.Logf("ended: %v; %d ALLOWs", ended, allowed)
	for _, kind := range []string{"consent", "relationship", "request", "report", "list entry"} {
		if ended[kind] < pairs/1000 {
			t.Errorf("%d of kind %s ended in %d pairs", ended[kind], kind, pairs)
		}
	}
	if allowed < pairs/100 {
		t.Errorf("%d ALLOWs in %d pairs", allowed, pairs)
	}
}

// retained is an instant at which something ended, or any.
func (w *world) retained(ends []Instant, at time.Time) Instant {
	someDay := InstantOf(at, Never) + Instant(w.rng.IntN(800)-100)*Instant(24*time.Hour)
	if len(ends) > 0 && w.rng.IntN(2) == 0 {
		if end := ends[w.rng.IntN(len(ends))]; end != Never && !end.Time().IsZero() && end.Time().Year() > 1990 {
			return end
		}
	}
	return someDay
}

// laterThan is an instant from then on, often just when something else ends.
func (w *world) laterThan(from Instant, ends []Instant) time.Time {
	at := from + Instant(w.rng.IntN(3))
	switch w.rng.IntN(4) {
	case 0:
	case 1:
		at = from + Instant(w.rng.IntN(5*365*24))*Instant(time.Hour)
	case 2:
		at = from + Instant(w.rng.IntN(72*60))*Instant(time.Minute)
	default:
		if len(ends) > 0 {
			if end := ends[w.rng.IntN(len(ends))]; end != Never && end > from {
				at = end - 1 + Instant(w.rng.IntN(3))
			}
		}
	}
	return max(at, from).Time()
}

func kindName(f *Fact) string {
	switch {
	case f.Consent != nil:
		return "consent"
	case f.Relationship != nil:
		return "relationship"
	case f.CallRequest != nil:
		return "request"
	case f.CallReport != nil:
		return "report"
	case f.ListEntry != nil:
		return "list entry"
	}
	return "other"
}

// TestWhatProtectsNeverEnds: nothing that keeps a person from being called may ever be destroyed.
func TestWhatProtectsNeverEnds(t *testing.T) {
	w := newWorld(t, 1)
	long := time.Date(1999, 1, 1, 0, 0, 0, 0, Amsterdam)
	facts := []Fact{
		{Position: 1, Objection: &Objection{Organisation: "acme", At: long}},
		{Position: 2, Withdrawal: &Withdrawal{Organisation: "acme", At: long}},
		{Position: 3, Correction: &Correction{Objection: 1, At: long, ProposedBy: "a", ApprovedBy: "b"}},
		{Position: 4, Erasure: &Erasure{At: long}},
		{Position: 5, Disposal: &Disposal{At: long}},
		{Position: 6, CorrectionProposed: &CorrectionProposed{Objection: 1, At: long}},
		{Position: 7, ListEntry: &ListEntry{List: "TPS", Since: long, LoadedAt: long}},
		{Position: 8, ListEntry: &ListEntry{List: "TPS", Since: long}},
		{Position: 9, Relationship: &Relationship{Kind: Sale, Organisation: "acme", StartedAt: long}},
		{Position: 10, Subscriber: &Subscriber{Kind: LegalPerson, Since: long}},
		{Position: 11, CallReport: &CallReport{Campaign: w.camp[0], At: long, Outcome: NoAnswer}},
	}
	for i, end := range Ends(facts, w.cat, w.law) {
		if end != Never {
			t.Errorf("position %d ends at %v", facts[i].Position, end.Time())
		}
	}
}
