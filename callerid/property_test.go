package callerid

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"pgregory.net/rapid"
)

// steps is how many hours from noon the property looks at; every beginning and end that it draws falls on one of them.
const steps = 30

func hour(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }

func drawHour(t *rapid.T, from int, label string) time.Time {
	n := rapid.IntRange(from-1, steps).Draw(t, label)
	if n == from-1 {
		return time.Time{}
	}
	return hour(n)
}

func drawRegistration(t *rapid.T) Registration {
	g := Registration{
		Number: own, Organisation: rapid.SampledFrom([]string{"acme", "bank"}).Draw(t, "organisation"),
		ValidFrom: drawHour(t, 0, "valid_from"), CallbackTestedAt: drawHour(t, 0, "callback_tested_at"),
		PublishedURL: rapid.SampledFrom([]string{"", "https://acme.example"}).Draw(t, "published_url"),
	}
	if length := rapid.IntRange(0, steps).Draw(t, "length"); length > 0 {
		begin := g.ValidFrom
		if begin.IsZero() {
			begin = hour(0)
		}
		g.ValidUntil = begin.Add(time.Duration(length) * time.Hour)
	}
	return g
}

// verdict says the rule again, for one instant and in times instead of spans.
func verdict(all []Registration, maxAge time.Duration, published bool, at time.Time) eligibility.Reason {
	reason := eligibility.CallerIDNotRegistered
	for _, g := range all {
		inForce := !at.Before(g.ValidFrom) && (g.ValidUntil.IsZero() || at.Before(g.ValidUntil))
		if g.Organisation != "acme" || !inForce {
			continue
		}
		tested := !g.CallbackTestedAt.IsZero() && !g.CallbackTestedAt.After(at) && at.Sub(g.CallbackTestedAt) < maxAge
		if tested && (!published || g.PublishedURL != "") {
			return 0
		}
		reason = eligibility.CallerIDNotReachable
	}
	return reason
}

// TestChanges steps through time: the reason is what the rule says, holds until Changes and differs at Changes.
func TestChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Custom(drawRegistration), 0, 6).Draw(t, "registrations")
		r, err := NewRegister(all)
		if err != nil {
			t.Fatal(err)
		}
		age := rapid.IntRange(1, steps).Draw(t, "max_age")
		q := question(own)
		q.Policy.CallerIDTestMaxAge = eligibility.Duration{Hours: age}
		q.Policy.CallerIDPublishedRequired = rapid.Bool().Draw(t, "published_required")
		for n := 0; n < 3*steps; n++ {
			for _, nudge := range []time.Duration{0, -time.Nanosecond, time.Nanosecond} {
				at := hour(n).Add(nudge)
				q.At = instant(at)
				found := r.Check(q)
				if want := verdict(all, time.Duration(age)*time.Hour, q.Policy.CallerIDPublishedRequired, at); found.Reason != want {
					t.Fatalf("at %v: got %v, want %v", at, found.Reason, want)
				}
				checkChange(t, r, q, found)
			}
		}
	})
}

func checkChange(t *rapid.T, r *Register, q eligibility.CallerIDQuestion, found eligibility.CallerIDFinding) {
	start := q.At
	if found.Changes <= start {
		t.Fatalf("at %v: changes at %v, not later", start.Time(), found.Changes.Time())
	}
	end := min(found.Changes, instant(hour(4*steps)))
	for q.At = start; q.At < end; q.At += eligibility.Instant(time.Hour) {
		if got := r.Check(q); got.Reason != found.Reason {
			t.Fatalf("%v was to hold from %v until %v, but at %v it is %v",
				found.Reason, start.Time(), found.Changes.Time(), q.At.Time(), got.Reason)
		}
	}
	if found.Changes == eligibility.Never {
		return
	}
	q.At = found.Changes - 1
	if got := r.Check(q); got.Reason != found.Reason {
		t.Fatalf("%v was to hold until %v, but ended earlier", found.Reason, found.Changes.Time())
	}
	q.At = found.Changes
	if got := r.Check(q); got.Reason == found.Reason {
		t.Fatalf("%v was to end at %v but holds on", found.Reason, found.Changes.Time())
	}
}
