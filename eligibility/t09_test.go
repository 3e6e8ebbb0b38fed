package eligibility_test

import (
	"slices"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// TestT09StaleConsent imports facts in any order, an objection or a withdrawal among them and consents of before it:
// from the revocation on, no import of them permits a call. Many cases would be allowed without it. Mutant:
// mutant_import_order.
func TestT09StaleConsent(t *testing.T) {
	seed, cases := referenceSeed(t), referencePairs(agreeingPairs/2, 1_000_000)
	allowable, lifted := 0, 0
	var w *world
	for i := range cases {
		if i%2000 == 0 {
			w, _ = newReference(t, seed+uint64(i)) //nolint:gosec // small
		}
		call, at := w.callable()
		revoked := at.Add(-time.Duration(w.rng.Int64N(int64(1000 * time.Hour))))
		imported := append(w.stale(call, at, revoked), w.revocation(call, revoked))
		w.rng.Shuffle(len(imported), func(i, j int) { imported[i], imported[j] = imported[j], imported[i] })
		revocation := slices.IndexFunc(imported, func(f Fact) bool { return f.Objection != nil || f.Withdrawal != nil })
		for n := range imported {
			imported[n].Position = uint64(n + 1)
			if n < revocation {
				continue
			}
			d := Decide(fold(imported[:n+1]), call, w.cat, w.law, at)
			if d.Verdict == Allow && (imported[revocation].Objection != nil || d.Reason == OKConsent) {
				t.Fatalf("case %d of SEED=%d: ALLOW %s at %s on import %d, against what was revoked at %s in import %d", i, seed,
					d.Reason, at, d.Basis.Position, revoked, revocation+1)
			}
		}
		kept := slices.Delete(slices.Clone(imported), revocation, revocation+1)
		if Decide(fold(kept), call, w.cat, w.law, at).Verdict == Allow {
			allowable++
		}
		fresh := append(imported, Fact{Position: uint64(len(imported) + 1), Consent: w.plainConsent(call, revoked.Add(1))})
		if d := Decide(fold(fresh), call, w.cat, w.law, at); d.Verdict == Allow && d.Reason == OKConsent {
			lifted++
		}
	}
	t.Logf("%d cases: %d allowed without the revocation, %d with a consent of a nanosecond after it", cases, allowable, lifted)
	if allowable < cases/4 || lifted < cases/4 {
		t.Errorf("too few cases in which only the revocation forbids the call")
	}
}

// callable is a call to which only the law of bases objects, and its instant.
func (w *world) callable() (*Call, time.Time) {
	call := w.call()
	for call.Campaign.Purpose == PurposeService || call.Campaign.Suspended {
		call.Campaign = w.cat.Campaigns[pick(w, w.camp...)]
	}
	call.Callee, call.Presentation, call.Person = callees[0], 0, "P"
	call.CallerID = ownNumber(slices.Index(w.ids, call.Campaign.Organisation.ID))
	return call, clock(pick(w, lawOf2026, w.when()), w.rng.IntN(120)-60, 600+w.rng.IntN(360))
}

// revocation revokes whatever the callee had agreed to.
func (w *world) revocation(call *Call, at time.Time) Fact {
	organisation := call.Campaign.Organisation.ID
	if w.rng.IntN(3) == 0 {
		return Fact{Withdrawal: &Withdrawal{Organisation: organisation, At: at}}
	}
	return Fact{Objection: &Objection{Organisation: organisation, At: at, Scope: pick(w, 0, ScopeOrganisation, ScopeBrand, ScopeGroup)}}
}

// stale is one to four consents, and perhaps a relationship and a request, all of the moment of the revocation or before.
func (w *world) stale(call *Call, at, revoked time.Time) []Fact {
	before := func() time.Time {
		return revoked.Add(-pick(w, 0, 1, time.Second, time.Duration(w.rng.Int64N(int64(2000*time.Hour)))))
	}
	var all []Fact
	for range 1 + w.rng.IntN(4) {
		c := w.plainConsent(call, before())
		if w.rng.IntN(4) == 0 {
			w.spoil(c)
		}
		all = append(all, Fact{Consent: c})
	}
	if w.rng.IntN(3) == 0 {
		all = append(all, w.relationship(call, at))
	}
	if w.rng.IntN(3) == 0 {
		all = append(all, Fact{CallRequest: &CallRequest{Organisation: call.Campaign.Organisation.ID, Product: call.Campaign.Product, RequestedAt: before()}})
	}
	return all
}

// plainConsent is one at the person's own initiative that lacks nothing.
func (w *world) plainConsent(call *Call, given time.Time) *Consent {
	return &Consent{
		ID: "c", Organisations: []string{call.Campaign.Organisation.ID}, Products: []string{call.Campaign.Product},
		Purposes: []Purpose{call.Campaign.Purpose}, Person: "P", GivenAt: given, Method: WebForm, OwnInitiative: true, Source: "s",
		Wording: "w", Evidence: &Evidence{"u", "h"}, Verified: &Verification{VerifiedBySMS, given},
	}
}
