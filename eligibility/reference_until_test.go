package eligibility_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// daysAhead is for how many days every midnight, opening and closing is tried; instants of facts are tried without end.
const daysAhead = 12

// changes is the first instant after at, of all at which anything could happen, where verdict or headline is another.
func (r *reference) changes(call *Call, facts []Fact, at time.Time) time.Time {
	was := r.answer(call, facts, at)
	for _, t := range r.instants(call, facts, at) {
		if now := r.answer(call, facts, t); now.verdict != was.verdict || now.headline != was.headline {
			return t
		}
	}
	return time.Time{}
}

// instants are all after at at which something could happen: days, dates of facts, and those dates and every duration.
func (r *reference) instants(call *Call, facts []Fact, at time.Time) []time.Time {
	p := call.Campaign.Policy
	all := []time.Time{lawOf2021, lawOf2026}
	for days := range daysAhead {
		all = append(all, momentsOf(p, clock(at, days, 720))...)
	}
	durations := []Duration{
		p.ConsentMaxAge, p.FirstCallWithin, p.RelationshipTerm, p.RequestTTL, p.AbandonedCooldown, {Months: 12 * p.MinimumAge},
	}
	for _, l := range p.RequiredLists {
		durations = append(durations, l.MaxAge)
	}
	for _, f := range facts {
		if f.Consent != nil {
			durations = append(durations, f.Consent.FirstCallWithin)
		}
	}
	for _, date := range datesOf(facts) {
		all = append(all, date, clock(date, 0, 0), midnightAfter(date), date.Add(-15*time.Minute), date.Add(15*time.Minute))
		for _, d := range durations {
			all = append(all, after(date, d), clock(after(noonOf(date), d), 0, 0))
		}
	}
	for _, g := range r.registrations[call.CallerID] {
		if g.Organisation == call.Campaign.Organisation.ID {
			all = append(all, g.ValidFrom, g.ValidUntil, g.CallbackTestedAt, after(g.CallbackTestedAt, p.CallerIDTestMaxAge))
		}
	}
	all = slices.DeleteFunc(all, func(t time.Time) bool { return !t.After(at) })
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// momentsOf are the midnight, the openings and the closings of a day.
func momentsOf(p *Policy, day time.Time) []time.Time {
	moments := []time.Time{clock(day, 0, 0)}
	for _, open := range p.Week[day.Weekday()] {
		moments = append(moments, clock(day, 0, open.From), clock(day, 0, open.Until))
	}
	for _, early := range p.EarlyClose {
		moments = append(moments, clock(day, 0, early.Until))
	}
	return moments
}

// datesOf are all dates that stand in the facts.
func datesOf(facts []Fact) []time.Time {
	var all []time.Time
	for _, f := range facts {
		switch {
		case f.Subscriber != nil:
			born := f.Subscriber.Born
			all = append(all, f.Subscriber.Since)
			if born != (Date{}) {
				all = append(all, time.Date(born.Year, born.Month, born.Day, 12, 0, 0, 0, dutchZone))
			}
		case f.Consent != nil:
			all = append(all, f.Consent.GivenAt, f.Consent.ExpiresAt)
			if f.Consent.Verified != nil {
				all = append(all, f.Consent.Verified.At)
			}
		case f.Withdrawal != nil:
			all = append(all, f.Withdrawal.At)
		case f.Relationship != nil:
			all = append(all, f.Relationship.StartedAt, f.Relationship.EndedAt)
		case f.CallRequest != nil:
			all = append(all, f.CallRequest.RequestedAt, f.CallRequest.CallAt)
		case f.Objection != nil:
			all = append(all, f.Objection.At)
		case f.Correction != nil:
			all = append(all, f.Correction.At)
		case f.Erasure != nil:
			born := f.Erasure.Born
			all = append(all, f.Erasure.At)
			if born != (Date{}) {
				all = append(all, time.Date(born.Year, born.Month, born.Day, 12, 0, 0, 0, dutchZone))
			}
		case f.CallReport != nil:
			all = append(all, f.CallReport.At)
		case f.ListEntry != nil:
			all = append(all, f.ListEntry.Since, f.ListEntry.LoadedAt)
		}
	}
	return slices.DeleteFunc(all, time.Time.IsZero)
}

// The engine's valid_until is what stepping over every instant at which anything could happen finds.
func TestReferenceAgreesOnValidUntil(t *testing.T) {
	seed, pairs := referenceSeed(t), referencePairs(700, 30_000)
	var w *world
	var ref *reference
	never := 0
	for i := range pairs {
		if i%500 == 0 {
			w, ref = newReference(t, seed+uint64(i)) //nolint:gosec // small
		}
		call, facts, at := w.pair()
		until := Decide(fold(facts), call, w.cat, w.law, at).ValidUntil
		want := ref.changes(call, facts, at)
		if want.IsZero() {
			never++
		}
		if until.Equal(want) {
			continue
		}
		if what := differs(engine(w, call, facts, at), ref.answer(call, facts, at)); what != "" {
			t.Fatalf("pair %d of SEED=%d: another %s\n%s", i, seed, what, shrunk(w, ref, call, facts, at))
		}
		t.Fatalf("pair %d of SEED=%d: the engine's answer is valid until %s\nthe reference's until %s\n%s", i, seed,
			until.In(dutchZone).Format(time.RFC3339Nano), want.In(dutchZone).Format(time.RFC3339Nano), described(w, ref, call, facts, at))
	}
	t.Logf("%d answers, %d of them for ever", pairs, never)
	if never == 0 || never == pairs {
		t.Errorf("%d of %d answers hold for ever", never, pairs)
	}
}

// A duration ends where the reference's does, also where the clock that it would end at does not exist or comes twice.
func TestReferenceAgreesOnDurations(t *testing.T) {
	seed := referenceSeed(t)
	w, _ := newReference(t, seed)
	skipped := 0
	for range 20_000 {
		d := pick(w, lengths...)
		end := w.instant()
		y, m, day := end.Date()
		begin := time.Date(y, m-time.Month(d.Months), day-d.Days, w.rng.IntN(5), w.rng.IntN(60), 0, w.rng.IntN(2), dutchZone)
		want := after(begin, d)
		if want.Hour() != begin.Hour() && d.Hours == 0 {
			skipped++
		}
		if got := d.After(InstantOf(begin, Never)).Time(); !got.Equal(want) {
			t.Fatalf("SEED=%d: %s after %s is %s, want %s", seed, d, begin, got, want)
		}
	}
	if skipped == 0 {
		t.Error("no duration ended in the hour that the spring takes away")
	}
}

// The Easter of the reference falls where it fell.
func TestReferenceEaster(t *testing.T) {
	for year, want := range map[int]string{
		1961: "04-02", 1981: "04-19", 2000: "04-23", 2008: "03-23", 2011: "04-24", 2019: "04-21", 2024: "03-31", 2025: "04-20",
		2026: "04-05", 2027: "03-28", 2030: "04-21", 2038: "04-25", 2049: "04-18", 2076: "04-19", 2285: "03-22",
	} {
		if got := paschal(year).Format(time.DateOnly); got != fmt.Sprintf("%d-%s", year, want) {
			t.Errorf("Easter of %d is %s, want %s", year, got, want)
		}
	}
}
