package eligibility_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

func (w *world) question() (*Call, []Fact, time.Time) {
	at := w.when()
	call := w.call()
	return call, w.facts(call, at), at
}

func fold(facts []Fact) *Eligibility { return Fold(CalleeToken{1}, 9, time.Time{}, facts) }

// ValidUntil must be the next instant at which verdict or headline is another: no earlier change at any instant that we
// try, and a change at that instant.
func TestValidUntilIsExact(t *testing.T) {
	w := newWorld(t, 3)
	found := map[Reason]int{}
	for range 4000 {
		call, facts, at := w.question()
		e := fold(facts)
		d := Decide(e, call, w.cat, w.law, at)
		found[d.Reason]++
		horizon := d.ValidUntil
		if horizon.IsZero() {
			horizon = at.AddDate(6, 0, 0)
		}
		for range 60 {
			step := time.Duration(w.rng.Int64N(int64(horizon.Sub(at))))
			if w.rng.IntN(2) == 0 { // near the end, where off-by-one lives
				step = horizon.Sub(at) - 1 - time.Duration(w.rng.Int64N(int64(min(horizon.Sub(at), 48*time.Hour))))
			}
			if step < 0 {
				continue
			}
			if b := Decide(e, call, w.cat, w.law, at.Add(step)); b.Verdict != d.Verdict || b.Reason != d.Reason {
				t.Fatalf("%s %s at %s is valid until %s, but at %s it is %s %s", d.Verdict, d.Reason, at, d.ValidUntil, at.Add(step), b.Verdict, b.Reason)
			}
		}
		if d.ValidUntil.IsZero() {
			continue
		}
		if b := Decide(e, call, w.cat, w.law, d.ValidUntil); b.Verdict == d.Verdict && b.Reason == d.Reason {
			t.Fatalf("%s %s at %s is valid until %s, but nothing changes then", d.Verdict, d.Reason, at, d.ValidUntil)
		}
	}
	t.Logf("reasons met: %v", found)
}

// An appointment outside the hours makes the call possible from a quarter of an hour before it, and not a moment earlier.
func TestValidUntilOfAnAppointment(t *testing.T) {
	w := newWorld(t, 11)
	c := *w.cat.Campaigns["acme-a"]
	c.Purpose, c.Product, c.Mode, c.Dialing, c.Suspended, c.Brand = PurposeCommercial, "power", Human, Preview, false, ""
	policy, err := w.law.Defaults.Override(map[string]any{"caller_id_published_required": false, "caller_id_test_max_age": "10 years"})
	if err != nil {
		t.Fatal(err)
	}
	c.Policy = policy
	w.cat.Campaigns[c.ID] = &c
	sunday := func(hour, minute int) time.Time { return time.Date(2026, 11, 22, hour, minute, 0, 0, Amsterdam) }
	e := fold([]Fact{{CallRequest: &CallRequest{Organisation: "acme", Product: "power", RequestedAt: sunday(9, 0).AddDate(0, 0, -2), CallAt: sunday(12, 0)}}})
	call := &Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: &c}
	for _, step := range []struct {
		at      time.Time
		verdict Verdict
		until   time.Time
	}{
		{sunday(11, 0), Defer, sunday(11, 45)}, {sunday(11, 45), Allow, sunday(12, 15)}, {sunday(12, 15), Defer, sunday(24, 0)},
	} {
		if d := Decide(e, call, w.cat, w.law, step.at); d.Verdict != step.verdict || !d.ValidUntil.Equal(step.until) {
			t.Errorf("at %s: %s %v until %s, want %s until %s", step.at, d.Verdict, d.Reasons.List(), d.ValidUntil, step.verdict, step.until)
		}
	}
}

// The order in which facts are folded changes nothing.
func TestPermutingFactsChangesNothing(t *testing.T) {
	w := newWorld(t, 4)
	for range 20_000 {
		call, facts, at := w.question()
		d := Decide(fold(facts), call, w.cat, w.law, at)
		shuffled := slices.Clone(facts)
		w.rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		b := Decide(fold(shuffled), call, w.cat, w.law, at)
		d.Basis.Until, b.Basis.Until = 0, 0 // of two equal consents either may be named
		if d.Verdict != b.Verdict || d.Reasons != b.Reasons || !d.ValidUntil.Equal(b.ValidUntil) || d.Basis.Kind != b.Basis.Kind {
			t.Fatalf("%+v\n%+v", d, b)
		}
	}
}

// Objections and withdrawals only ever take away (T09): whatever was imported before or after, whatever its date.
func TestObjectionsAndWithdrawalsOnlyTakeAway(t *testing.T) {
	w := newWorld(t, 5)
	denied := 0
	for range 100_000 {
		call, facts, at := w.question()
		before := Decide(fold(facts), call, w.cat, w.law, at)
		if before.Verdict == Allow {
			continue
		}
		denied++
		org := w.organisation(call)
		for _, f := range []Fact{
			{Objection: &Objection{Organisation: org, At: w.past(at), Scope: pick(w, ScopeProduct, ScopeOrganisation, ScopeBrand, ScopeGroup), Product: w.product(call)}},
			{Withdrawal: &Withdrawal{ConsentID: pick(w, "c1", "c2"), At: w.past(at)}},
			{Withdrawal: &Withdrawal{Organisation: org, At: w.past(at)}},
		} {
			if after := Decide(fold(append(slices.Clone(facts), f)), call, w.cat, w.law, at); after.Verdict == Allow {
				t.Fatalf("%s %s became ALLOW with %+v", before.Verdict, before.Reason, f)
			}
		}
	}
	if denied < 1000 {
		t.Fatalf("only %d refusals were tried", denied)
	}
}

// T09: consents older than an objection never lift it, in whatever order they are imported.
func TestOlderConsentsNeverLiftAnObjection(t *testing.T) {
	w := newWorld(t, 6)
	for range 30_000 {
		call, facts, at := w.question()
		call.Campaign = w.cat.Campaigns[pick(w, w.camp...)]
		if call.Campaign.Purpose == PurposeService {
			continue
		}
		objected := at.Add(-time.Duration(w.rng.IntN(1000)) * time.Hour)
		kept := facts[:0]
		for _, f := range facts {
			if f.CallRequest != nil || f.Subscriber != nil {
				continue // a later request permits its one call; a legal person's objection is policy
			}
			if f.Consent != nil && f.Consent.GivenAt.After(objected) {
				f.Consent.GivenAt = objected.Add(-time.Duration(w.rng.IntN(1000)) * time.Hour)
			}
			kept = append(kept, f)
		}
		kept = append(kept, Fact{Objection: &Objection{Organisation: call.Campaign.Organisation.ID, At: objected}})
		w.rng.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
		if d := Decide(fold(kept), call, w.cat, w.law, at); d.Verdict == Allow {
			t.Fatalf("ALLOW %s against an objection", d.Reason)
		}
	}
}

// Of two regimes the decision depends on the dial instant alone: the other one might as well not be loaded.
func TestOnlyTheRegimeOfTheDialInstantCounts(t *testing.T) {
	w := newWorld(t, 10)
	seen := map[string]int{}
	for range 20_000 {
		call, facts, at := w.question()
		d := Decide(fold(facts), call, w.cat, w.law, at)
		alone := *w.law
		alone.Regimes = nil
		for _, r := range w.law.Regimes {
			if r.ID == d.Regime {
				alone.Regimes = append(alone.Regimes, r)
			}
		}
		seen[d.Regime]++
		b := Decide(fold(facts), call, w.cat, &alone, at)
		d.ValidUntil, b.ValidUntil = time.Time{}, time.Time{} // the next regime may end the answer
		if d != b {
			t.Fatalf("with both regimes %+v\nwith %q alone %+v", d, d.Regime, b)
		}
	}
	if len(seen) != 3 {
		t.Errorf("regimes met: %v", seen)
	}
}

// Explain decides as Decide does.
func TestExplainAgreesWithDecide(t *testing.T) {
	w := newWorld(t, 8)
	for range 20_000 {
		call, facts, at := w.question()
		d := Decide(fold(facts), call, w.cat, w.law, at)
		e, steps := Explain(fold(facts), call, w.cat, w.law, at, pick(w, English, Dutch))
		if d != e {
			t.Fatalf("decided %+v\nexplained %+v", d, e)
		}
		if len(steps) == 0 {
			t.Fatal("no steps")
		}
	}
}

// Every rule is told in both languages, about the same facts, with what it rests on, and never shows a number.
func TestStepsAreToldInBothLanguages(t *testing.T) {
	w := newWorld(t, 9)
	rules := map[string]int{}
	for range 5_000 {
		call, facts, at := w.question()
		_, english := Explain(fold(facts), call, w.cat, w.law, at, English)
		_, dutch := Explain(fold(facts), call, w.cat, w.law, at, Dutch)
		if len(english) != len(dutch) {
			t.Fatalf("%d steps in English, %d in Dutch", len(english), len(dutch))
		}
		for i, s := range english {
			rules[s.Rule]++
			d := dutch[i]
			if d.Rule != s.Rule || d.Reason != s.Reason || d.Article != s.Article || d.Position != s.Position || s.Inputs == "" || d.Inputs == "" {
				t.Fatalf("%+v\n%+v", s, d)
			}
			if strings.Contains(s.Inputs+d.Inputs, "12345678") || strings.Contains(s.Inputs+d.Inputs, "%!") {
				t.Fatalf("%q, %q", s.Inputs, d.Inputs)
			}
			if s.Source == "" && s.Rule != "campaign" && !(s.Rule == "callee" && s.Reason != 0) && s.Rule != "regime" {
				t.Fatalf("%s rests on nothing: %+v", s.Rule, s)
			}
		}
	}
	if len(rules) != 15 {
		t.Errorf("met %d kinds of rule: %v", len(rules), rules)
	}
}

// benchmarkFacts is a callee with n facts, the plain consent among them.
func benchmarkFacts(n int) []Fact {
	at := time.Date(2026, 9, 19, 12, 0, 0, 0, Amsterdam)
	facts := []Fact{{Position: 1, Consent: &Consent{
		ID: "c-x", Organisations: []string{"acme"}, Channels: []Channel{Phone}, Products: []string{"power"}, Purposes: []Purpose{PurposeCommercial},
		Person: "P", GivenAt: at, Method: WebForm, Source: "s", Wording: "w", Evidence: &Evidence{"u", "h"}, Verified: &Verification{VerifiedBySMS, at},
	}}}
	for i := 1; i < n; i++ {
		back := at.AddDate(0, 0, -i)
		switch i % 3 {
		case 0:
			facts = append(facts, Fact{Consent: &Consent{ID: "old", Organisations: []string{"globex"}, Products: []string{"gas"}, Purposes: []Purpose{PurposeCommercial},
				Person: "P", GivenAt: back, Method: WebForm, Source: "s", Wording: "w", Evidence: &Evidence{"u", "h"}, Verified: &Verification{VerifiedBySMS, back}}})
		case 1:
			facts = append(facts, Fact{CallReport: &CallReport{Campaign: "other", At: back, Outcome: NoAnswer}})
		default:
			facts = append(facts, Fact{Relationship: &Relationship{Kind: Sale, Organisation: "acme", Product: "power", StartedAt: back}})
		}
	}
	return facts
}

func BenchmarkDecide(b *testing.B) {
	w := newWorld(b, 1)
	c := *w.cat.Campaigns["acme-a"]
	c.Purpose, c.Product, c.Mode, c.Dialing, c.Suspended, c.Brand = PurposeCommercial, "power", Human, Predictive, false, ""
	other := c
	other.ID, other.Policy = "other", c.Policy
	w.cat.Campaigns["acme-a"], w.cat.Campaigns["other"] = &c, &other
	at := time.Date(2026, 11, 18, 14, 0, 0, 0, Amsterdam)
	for _, n := range []int{1, 10, 100} {
		for _, want := range []Verdict{Allow, Deny} {
			facts := benchmarkFacts(n)
			call := &Call{Callee: "+31612345678", CallerID: "+31201234567", Campaign: &c, Person: "P"}
			if want == Deny {
				call.Person = "Q"
			}
			e := fold(facts)
			// the caller ID must be good for this benchmark
			for _, number := range callers[:3] {
				call.CallerID = number
				if Decide(e, call, w.cat, w.law, at).Verdict == want {
					break
				}
			}
			b.Run(want.String()+"/"+itoa(n), func(b *testing.B) {
				b.ReportAllocs()
				var d Decision
				for b.Loop() {
					d = Decide(e, call, w.cat, w.law, at)
				}
				if d.Verdict != want {
					b.Fatalf("%s %v", d.Verdict, d.Reasons.List())
				}
			})
		}
	}
}

func itoa(n int) string { return map[int]string{1: "1", 10: "10", 100: "100"}[n] }

// BenchmarkFold is what a record costs that the cache does not have, once the ledger has given its facts.
func BenchmarkFold(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		facts := benchmarkFacts(n)
		b.Run(itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fold(facts)
			}
		})
	}
}
