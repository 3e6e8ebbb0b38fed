package debt

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

var wednesday = time.Date(2026, 11, 18, 13, 0, 0, 0, time.UTC)

const deadline = 10 * time.Minute

func at(now time.Time) func(string) (time.Time, time.Duration) {
	return func(string) (time.Time, time.Duration) { return now, deadline }
}

// event is one entry of the ledger: exactly one of its kinds is set.
type event struct {
	recorded time.Time
	id       ID
	campaign string
	at       time.Time
	allowed  bool
	owes     bool
	report   *Report
	offer    bool
	objected bool
	resumed  bool
}

func (e *event) enter(b *Book) {
	if !e.allowed {
		b.Recorded(e.recorded)
	}
	switch {
	case e.allowed:
		b.Allowed(e.id, e.campaign, e.at, e.owes)
	case e.report != nil:
		b.Reported(e.id, *e.report)
	case e.offer:
		b.Offered(e.id, e.campaign, e.at)
	case e.objected:
		b.Objected(e.id, e.campaign, e.at)
	case e.resumed:
		b.Resumed(e.campaign, e.at, deadline)
	}
}

// fate is what the model says of one call.
type fate struct {
	event
	first *Report
	paid  time.Time
}

// fates goes through the facts for every call, one by one.
func fates(events []event) []fate {
	var all []fate
	for _, a := range events {
		if !a.allowed {
			continue
		}
		f := fate{event: a}
		for _, e := range events {
			if e.id == a.id && !e.allowed && (e.campaign == a.campaign) {
				f.hear(&e)
			}
		}
		all = append(all, f)
	}
	return all
}

func (f *fate) hear(e *event) {
	settled := f.first != nil && (f.first.Outcome != eligibility.Answered || !f.owes || !f.paid.IsZero())
	if settled {
		return
	}
	if f.owes && f.paid.IsZero() && (e.offer || e.objected || e.report != nil && e.report.Offered) {
		f.paid = e.at
	}
	if f.first == nil {
		f.first = e.report
	}
}

// base is from when the deadline of a debt runs; false where there is none.
func (f *fate) base() (time.Time, bool) {
	base := f.at
	if f.first != nil {
		for _, t := range []time.Time{f.first.At, f.first.End} {
			if t.After(base) {
				base = t
			}
		}
	}
	return base, f.owes && f.paid.IsZero() && (f.first == nil || f.first.Outcome == eligibility.Answered)
}

// modelled is the slow way to a campaign's figures.
func modelled(events []event, name string, now time.Time) Figures {
	var f Figures
	cut, resumed := time.Time{}, time.Time{}
	for _, e := range events {
		if e.resumed && e.campaign == name && e.at.After(resumed) {
			cut, resumed = e.at.Add(-deadline), e.at
		}
	}
	counts := func(at time.Time) bool { return stepOf(at) >= stepOf(now.Add(-Window)) }
	for _, e := range events {
		if e.objected && e.campaign == name && counts(e.at) {
			f.Objections++
		}
	}
	for _, c := range fates(events) {
		if c.campaign != name {
			continue
		}
		if counts(c.at) {
			f.Permits++
		}
		if !c.paid.IsZero() && counts(c.paid) {
			f.OffersPaid++
		}
		if r := c.first; r != nil && counts(r.At) {
			f.countReport(r, stepOf(r.At) > stepOf(resumed))
		}
		base, owes := c.base()
		switch due := base.Add(deadline); {
		case !owes || !base.After(cut):
		case due.After(now):
			f.Owed++
		default:
			f.Overdue++
			if f.Oldest.IsZero() || c.at.Before(f.Oldest) {
				f.Oldest = c.at
			}
		}
	}
	return f
}

func (f *Figures) countReport(r *Report, since bool) {
	if r.Outcome == eligibility.Answered {
		f.Answered++
	}
	if since && r.Outcome == eligibility.Abandoned {
		f.Abandoned++
	}
	if since && (r.Outcome == eligibility.Answered || r.Outcome == eligibility.Abandoned) {
		f.AnsweredOrAbandoned++
	}
}

func stepOf(t time.Time) int64 { return t.UnixNano() / int64(step) }

// history makes what a call centre's fortnight might leave in the ledger.
func history(rng *rand.Rand, length int) []event {
	var events, calls []event
	now := wednesday
	names := []string{"a", "b", "c"}
	for i := range length {
		now = now.Add(time.Duration(rng.Int64N(int64(20 * time.Minute))))
		e := event{recorded: now, campaign: names[rng.IntN(len(names))], at: now.Add(-time.Duration(rng.IntN(3)) * time.Second)}
		kind := rng.IntN(20)
		if kind < 8 || len(calls) == 0 {
			e.id, e.allowed, e.owes = idOf(i), true, rng.IntN(5) > 0
			calls = append(calls, e)
			events = append(events, e)
			continue
		}
		about := calls[len(calls)-1-rng.IntN(min(len(calls), 40))]
		if now.Sub(about.at) > 20*time.Hour {
			continue
		}
		e.id = about.id
		if rng.IntN(10) > 0 {
			e.campaign = about.campaign
		}
		switch {
		case kind < 17:
			r := Report{Campaign: e.campaign, At: e.at, Outcome: eligibility.Outcome(1 + rng.IntN(6)), Offered: rng.IntN(2) == 0}
			if rng.IntN(2) == 0 {
				r.Outcome = eligibility.Answered
			}
			if rng.IntN(3) == 0 {
				r.End = e.at.Add(time.Duration(rng.IntN(900)) * time.Second)
			}
			e.report = &r
		case kind == 17:
			e.offer = true
		case kind == 18:
			e.objected = true
		default:
			e.id, e.resumed = ID{}, rng.IntN(4) == 0
		}
		events = append(events, e)
	}
	return events
}

func idOf(i int) ID { return ID{byte(i >> 16), byte(i >> 8), byte(i), 1} }

// entered is a book of some events, whose two streams come through each other in any way.
func entered(rng *rand.Rand, events []event) *Book {
	b := NewBook()
	var streams [2][]event
	for _, e := range events {
		stream := 1
		if e.allowed {
			stream = 0
		}
		streams[stream] = append(streams[stream], e)
	}
	for len(streams[0])+len(streams[1]) > 0 {
		which := rng.IntN(2)
		for range 1 + rng.IntN(50) {
			if len(streams[which]) > 0 {
				streams[which][0].enter(b)
				streams[which] = streams[which][1:]
			}
		}
	}
	return b
}

func compare(t *testing.T, when string, b *Book, events []event, now time.Time) (overdue int) {
	t.Helper()
	all := b.Figures(at(now))
	for _, name := range []string{"a", "b", "c"} {
		want := modelled(events, name, now)
		got := all[name]
		if got == nil {
			got = &Figures{}
		}
		if *got != want {
			t.Fatalf("%s, campaign %s:\ngot  %+v\nwant %+v", when, name, *got, want)
		}
		overdue += want.Overdue
	}
	return overdue
}

// The book agrees with the slow model at every moment, however its two streams come through each other.
func TestTheBookAgreesWithTheModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	overdue := 0
	for range 40 {
		events := history(rng, 50+rng.IntN(400))
		upTo := 1 + rng.IntN(len(events))
		now := events[upTo-1].recorded.Add(time.Duration(rng.IntN(3600)) * time.Second)
		overdue += compare(t, "all at once", entered(rng, events[:upTo]), events[:upTo], now)
	}
	if overdue < 100 {
		t.Errorf("only %d debts were met", overdue)
	}
}

// What is forgotten on the way is no debt, and nothing that counts. The mutants that forgive by time, count a debt twice
// and let any offer pay for any call must fail here.
func TestForgettingForgivesNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 6 {
		events, b := history(rng, 1200), NewBook()
		for i := range events {
			events[i].enter(b)
			if rng.IntN(50) == 0 {
				b.Forget(events[i].recorded)
			}
			if rng.IntN(120) == 0 {
				compare(t, fmt.Sprint("after ", i), b, events[:i+1], events[i].recorded)
			}
		}
		last := events[len(events)-1].recorded
		compare(t, "at the end", b, events, last)
		b.Forget(last)
		compare(t, "afterwards", b, events, last)
	}
}
