package callerid

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

const (
	own     = "+31201234567"
	foreign = "+493012345678"
	premium = "+319001234"
)

var (
	noon   = time.Date(2026, 11, 18, 12, 0, 0, 0, time.UTC)
	tested = time.Date(2026, 8, 31, 10, 0, 0, 0, eligibility.Amsterdam)
	stale  = time.Date(2027, 2, 28, 10, 0, 0, 0, eligibility.Amsterdam) // six months on, clamped to the month's end
	plan   = &eligibility.Law{CallingCode: "+31", Plan: eligibility.NewPlan("+31", []eligibility.Range{
		{Prefix: "+312", Lengths: 1 << 9, CallerID: eligibility.RangeAllowed},
		{Prefix: "+319", Lengths: 1<<7 | 1<<9, CallerID: eligibility.RangeDenied},
	})}
)

func policy() *eligibility.Policy {
	return &eligibility.Policy{CallerIDTestMaxAge: eligibility.Duration{Months: 6}, CallerIDPublishedRequired: true}
}

func registration() Registration {
	return Registration{Number: own, Organisation: "acme", CallbackTestedAt: tested, PublishedURL: "https://acme.example/wie-belt-u"}
}

func register(t testing.TB, registrations ...Registration) *Register {
	t.Helper()
	r, err := NewRegister(registrations)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func instant(t time.Time) eligibility.Instant { return eligibility.InstantOf(t, eligibility.Never) }

func question(number string) eligibility.CallerIDQuestion {
	return eligibility.CallerIDQuestion{
		Number: number, Presentation: eligibility.PresentationAllowed, Organisation: "acme",
		Policy: policy(), Law: plan, At: instant(noon),
	}
}

func expect(t *testing.T, r *Register, q eligibility.CallerIDQuestion, reason eligibility.Reason, changes eligibility.Instant) {
	t.Helper()
	got := r.Check(q)
	if got.Reason != reason || got.Changes != changes {
		t.Errorf("at %v: got %v changing at %v, want %v changing at %v",
			q.At.Time(), got.Reason, got.Changes.Time(), reason, changes.Time())
	}
}

func TestWithheld(t *testing.T) {
	r := register(t, registration())
	for presentation, want := range map[eligibility.Presentation]eligibility.Reason{
		0:                                   0,
		eligibility.PresentationAllowed:     0,
		eligibility.PresentationRestricted:  eligibility.CallerIDWithheld,
		eligibility.PresentationUnavailable: eligibility.CallerIDWithheld,
		99:                                  eligibility.CallerIDWithheld,
	} {
		q := question(own)
		q.Presentation = presentation
		if got := r.Check(q); got.Reason != want || !got.Registered {
			t.Errorf("presentation %v: got %+v, want %v", presentation, got, want)
		}
	}
	q := question("")
	q.Presentation = eligibility.PresentationRestricted
	expect(t, r, q, eligibility.CallerIDWithheld, eligibility.Never)
}

func TestRange(t *testing.T) {
	allow := func(prefix string) eligibility.RangeOverride {
		return eligibility.RangeOverride{Prefix: prefix, Allowed: true}
	}
	deny := func(prefix string) eligibility.RangeOverride { return eligibility.RangeOverride{Prefix: prefix} }
	for name, c := range map[string]struct {
		number    string
		foreign   bool
		overrides []eligibility.RangeOverride
		refused   bool
	}{
		"missing":                           {number: "", refused: true},
		"geographic":                        {number: own},
		"premium":                           {number: premium, refused: true},
		"wrong length":                      {number: "+3120123456", refused: true},
		"wrong length, overridden":          {number: "+3120123456", overrides: []eligibility.RangeOverride{allow("+312")}, refused: true},
		"no such range":                     {number: "+31391234567", refused: true},
		"foreign":                           {number: foreign, refused: true},
		"foreign allowed":                   {number: foreign, foreign: true},
		"foreign allowed but for a range":   {number: foreign, foreign: true, overrides: []eligibility.RangeOverride{deny("+49")}, refused: true},
		"foreign range, foreign refused":    {number: foreign, overrides: []eligibility.RangeOverride{allow("+49")}, refused: true},
		"premium overridden":                {number: premium, overrides: []eligibility.RangeOverride{allow("+31900")}},
		"geographic overridden":             {number: own, overrides: []eligibility.RangeOverride{deny("+3120")}, refused: true},
		"the longest override wins, first":  {number: own, overrides: []eligibility.RangeOverride{allow("+3120"), deny("+312")}},
		"the longest override wins, second": {number: own, overrides: []eligibility.RangeOverride{deny("+31"), allow("+3120")}},
		"another range's override":          {number: premium, overrides: []eligibility.RangeOverride{allow("+31909")}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := registration()
			g.Number = c.number
			r := &Register{}
			if canonical(c.number) {
				r = register(t, g)
			}
			q := question(c.number)
			q.Policy.CallerIDForeignAllowed, q.Policy.CallerIDRanges = c.foreign, c.overrides
			if c.refused {
				expect(t, r, q, eligibility.CallerIDRange, eligibility.Never)
			} else {
				expect(t, r, q, 0, instant(stale))
			}
		})
	}
}

func TestOtherOrganisation(t *testing.T) {
	r := register(t, registration())
	q := question(own)
	q.Organisation = "bank"
	expect(t, r, q, eligibility.CallerIDNotRegistered, eligibility.Never)
	if !r.Check(q).Registered {
		t.Error("a number registered for another organisation is not known")
	}
	q = question("+31201234568")
	if r.Check(q).Registered {
		t.Error("a number registered for nobody is known")
	}
	expect(t, r, q, eligibility.CallerIDNotRegistered, eligibility.Never)
}

func TestPeriod(t *testing.T) {
	g := registration()
	g.ValidFrom, g.ValidUntil = noon, noon.Add(time.Hour)
	r := register(t, g)
	from, until := instant(g.ValidFrom), instant(g.ValidUntil)
	q := question(own)
	for _, c := range []struct {
		at      eligibility.Instant
		reason  eligibility.Reason
		changes eligibility.Instant
	}{
		{from - 1, eligibility.CallerIDNotRegistered, from},
		{from, 0, until},
		{until - 1, 0, until},
		{until, eligibility.CallerIDNotRegistered, eligibility.Never},
	} {
		q.At = c.at
		expect(t, r, q, c.reason, c.changes)
	}
}

func TestStaleTest(t *testing.T) {
	r := register(t, registration())
	begin, end := instant(tested), instant(stale)
	q := question(own)
	for _, c := range []struct {
		at      eligibility.Instant
		reason  eligibility.Reason
		changes eligibility.Instant
	}{
		{begin - 1, eligibility.CallerIDNotReachable, begin},
		{begin, 0, end},
		{end - 1, 0, end},
		{end, eligibility.CallerIDNotReachable, eligibility.Never},
	} {
		q.At = c.at
		expect(t, r, q, c.reason, c.changes)
	}
}

func TestTestAgeInHours(t *testing.T) {
	g := registration()
	g.CallbackTestedAt = time.Date(2026, 10, 25, 0, 30, 0, 0, eligibility.Amsterdam) // the night that is an hour longer
	r := register(t, g)
	q := question(own)
	q.At = instant(g.CallbackTestedAt)
	q.Policy.CallerIDTestMaxAge = eligibility.Duration{Hours: 24}
	expect(t, r, q, 0, instant(time.Date(2026, 10, 25, 23, 30, 0, 0, eligibility.Amsterdam)))
	q.Policy.CallerIDTestMaxAge = eligibility.Duration{Days: 1}
	expect(t, r, q, 0, instant(time.Date(2026, 10, 26, 0, 30, 0, 0, eligibility.Amsterdam)))
}

func TestNotReachable(t *testing.T) {
	never, unpublished := registration(), registration()
	never.CallbackTestedAt = time.Time{}
	unpublished.PublishedURL = ""
	q := question(own)
	expect(t, register(t, never), q, eligibility.CallerIDNotReachable, eligibility.Never)
	expect(t, register(t, unpublished), q, eligibility.CallerIDNotReachable, eligibility.Never)
	q.Policy.CallerIDPublishedRequired = false
	expect(t, register(t, unpublished), q, 0, instant(stale))
	expect(t, register(t, never), q, eligibility.CallerIDNotReachable, eligibility.Never)

	never.ValidUntil = noon.Add(time.Hour)
	expect(t, register(t, never), q, eligibility.CallerIDNotReachable, instant(never.ValidUntil))
}

func TestSeveralRegistrations(t *testing.T) {
	bad, good, next := registration(), registration(), registration()
	bad.PublishedURL = ""
	good.ValidUntil = noon.Add(time.Hour)
	next.ValidFrom, next.ValidUntil = good.ValidUntil, noon.Add(2*time.Hour)
	q := question(own)
	expect(t, register(t, bad, good), q, 0, instant(good.ValidUntil))
	expect(t, register(t, next, good, bad), q, 0, instant(next.ValidUntil))
	expect(t, register(t, bad, next), q, eligibility.CallerIDNotReachable, instant(next.ValidFrom))
	expect(t, register(t, next), q, eligibility.CallerIDNotRegistered, instant(next.ValidFrom))
}

func TestCheckAllocatesNothing(t *testing.T) {
	r := register(t, registration())
	q := question(own)
	q.Policy.CallerIDRanges = []eligibility.RangeOverride{{Prefix: "+3120", Allowed: true}}
	if n := testing.AllocsPerRun(100, func() { r.Check(q) }); n != 0 {
		t.Errorf("Check allocates %v times", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	r := register(b, registration())
	q := question(own)
	b.ReportAllocs()
	for b.Loop() {
		if r.Check(q).Reason != 0 {
			b.Fatal("refused")
		}
	}
}
