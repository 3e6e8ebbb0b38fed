package debt

import (
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

func figuresOf(t *testing.T, b *Book, name string, now time.Time) Figures {
	t.Helper()
	f := b.Figures(at(b.Now(now)))[name]
	if f == nil {
		t.Fatalf("nothing is known of %s", name)
	}
	return *f
}

func minutes(n int) time.Time { return wednesday.Add(time.Duration(n) * time.Minute) }

func TestWhenAnOfferIsDue(t *testing.T) {
	ended := func(outcome eligibility.Outcome, offered bool) *Report {
		return &Report{Campaign: "a", At: minutes(1), End: minutes(6), Outcome: outcome, Offered: offered}
	}
	for what, c := range map[string]struct {
		report *Report
		due    int // minutes; 0: never
	}{
		"never reported":        {nil, 10},
		"answered, not offered": {ended(eligibility.Answered, false), 16},
		"answered and offered":  {ended(eligibility.Answered, true), 0},
		"nobody answered":       {ended(eligibility.NoAnswer, false), 0},
		"abandoned":             {ended(eligibility.Abandoned, false), 0},
		"an answering machine":  {ended(eligibility.Voicemail, false), 0},
		"not placed":            {ended(eligibility.Failed, false), 0},
		"no end told":           {&Report{Campaign: "a", At: minutes(1), Outcome: eligibility.Answered}, 11},
		"ended before it began": {&Report{Campaign: "a", At: minutes(-60), Outcome: eligibility.Answered}, 10},
		"of another campaign":   {&Report{Campaign: "b", At: minutes(1), Outcome: eligibility.Answered, Offered: true}, 10},
	} {
		b := NewBook()
		b.Allowed(ID{1}, "a", wednesday, true)
		b.campaign("b")
		if c.report != nil {
			b.Reported(ID{1}, *c.report)
		}
		before, after := figuresOf(t, b, "a", minutes(c.due).Add(-1)), figuresOf(t, b, "a", minutes(c.due))
		if c.due == 0 && after.Owed+after.Overdue > 0 || c.due > 0 && (before.Overdue != 0 || before.Owed != 1 || after.Overdue != 1 || after.Owed != 0) {
			t.Errorf("%s: before %+v, after %+v", what, before, after)
		}
	}
}

func TestACallThatOwesNothingIsNoDebt(t *testing.T) {
	b := NewBook()
	b.Allowed(ID{1}, "a", wednesday, false)
	if f := figuresOf(t, b, "a", minutes(600)); f.Permits != 1 || f.Owed+f.Overdue != 0 {
		t.Errorf("%+v", f)
	}
}

// An officer writes off what is overdue at that moment: neither what comes due later, nor another campaign's.
func TestOnlyWhatIsOverdueIsWrittenOff(t *testing.T) {
	b := NewBook()
	b.Allowed(ID{1}, "a", minutes(0), true)
	b.Allowed(ID{2}, "a", minutes(5), true)
	b.Allowed(ID{3}, "b", minutes(0), true)
	b.Resumed("a", minutes(10), deadline)
	if f := figuresOf(t, b, "a", minutes(60)); f.Overdue != 1 || !f.Oldest.Equal(minutes(5)) {
		t.Errorf("a: %+v", f)
	}
	if f := figuresOf(t, b, "b", minutes(60)); f.Overdue != 1 {
		t.Errorf("b: %+v", f)
	}
	b.Allowed(ID{4}, "a", minutes(-5), true) // comes to the ledger late
	if f := figuresOf(t, b, "a", minutes(60)); f.Overdue != 1 {
		t.Errorf("with a call of before: %+v", f)
	}
}

// An objection that names only its call is counted for the call's campaign, and pays, whichever of the two comes first.
func TestAnObjectionFindsItsCall(t *testing.T) {
	for _, first := range []bool{true, false} {
		b := NewBook()
		if first {
			b.Objected(ID{1}, "", minutes(1))
		}
		b.Allowed(ID{1}, "a", wednesday, true)
		if !first {
			b.Objected(ID{1}, "", minutes(1))
		}
		if f := figuresOf(t, b, "a", minutes(60)); f.Objections != 1 || f.OffersPaid != 1 || f.Overdue != 0 {
			t.Errorf("%v: %+v", first, f)
		}
	}
}

// A clock that is set back makes nothing undue, and one that is set ahead counts nothing twice.
func TestClocksForgiveAndDoubleNothing(t *testing.T) {
	b := NewBook()
	b.Allowed(ID{1}, "a", wednesday, true)
	b.Allowed(ID{1}, "a", wednesday.AddDate(1, 0, 0), true)
	b.Recorded(minutes(11))
	for _, clock := range []time.Time{wednesday.AddDate(-1, 0, 0), minutes(11), minutes(12), wednesday.AddDate(2, 0, 0), minutes(11)} {
		if f := figuresOf(t, b, "a", clock); f.Overdue != 1 {
			t.Errorf("at %v: %+v", clock, f)
		}
		b.Forget(b.Now(clock))
	}
}

func TestAnUnpaidDebtIsKeptForYears(t *testing.T) {
	b := NewBook()
	b.Allowed(ID{1}, "a", wednesday, true)
	for day := range 1000 {
		b.Forget(wednesday.AddDate(0, 0, day))
	}
	if f := figuresOf(t, b, "a", wednesday.AddDate(0, 0, 1000)); f.Overdue != 1 {
		t.Errorf("%+v", f)
	}
	b.Offered(ID{1}, "a", wednesday.AddDate(0, 0, 1000))
	if f := figuresOf(t, b, "a", wednesday.AddDate(0, 0, 1000)); f.Overdue != 0 || f.OffersPaid != 1 {
		t.Errorf("paid: %+v", f)
	}
}

func TestTheLimits(t *testing.T) {
	p := &eligibility.Policy{OfferDebtLimit: eligibility.Limit{Percent: 2, AtLeast: 5}}
	limited := &eligibility.Policy{OfferDebtLimit: p.OfferDebtLimit, AbandonedLimit: eligibility.Limit{Percent: 3, AtLeast: 100}}
	for what, c := range map[string]struct {
		f    Figures
		p    *eligibility.Policy
		want eligibility.SuspensionCause
	}{
		"too few":                     {Figures{Overdue: 4}, p, 0},
		"enough, and nobody answered": {Figures{Overdue: 5}, p, eligibility.OfferDebt},
		"exactly two percent":         {Figures{Overdue: 20, Answered: 1000}, p, 0},
		"over two percent":            {Figures{Overdue: 21, Answered: 1000}, p, eligibility.OfferDebt},
		"abandoned, no limit":         {Figures{Abandoned: 100, AnsweredOrAbandoned: 100}, p, 0},
		"abandoned, too few calls":    {Figures{Abandoned: 99, AnsweredOrAbandoned: 99}, limited, 0},
		"abandoned, three percent":    {Figures{Abandoned: 3, AnsweredOrAbandoned: 100}, limited, 0},
		"abandoned, over it":          {Figures{Abandoned: 4, AnsweredOrAbandoned: 100}, limited, eligibility.AbandonedShare},
		"both":                        {Figures{Overdue: 9, Abandoned: 4, AnsweredOrAbandoned: 100}, limited, eligibility.OfferDebt},
	} {
		if got := c.f.Cause(c.p); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}

// A day of a million calls, most of them reported within minutes, is held in little.
func TestTheBookStaysSmall(t *testing.T) {
	b := NewBook()
	const calls, lag = 100_000, 700
	id := func(i int) ID { return ID{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)} }
	for i := range calls {
		at := wednesday.Add(time.Duration(i) * 864 * time.Millisecond)
		b.Allowed(id(i), "a", at, i%3 > 0)
		if i >= lag {
			b.Recorded(at)
			b.Reported(id(i-lag), Report{Campaign: "a", At: at, Outcome: eligibility.Answered, Offered: true})
		}
	}
	b.Forget(wednesday.Add(24 * time.Hour))
	if len(b.open) > lag || len(b.early) > 0 || len(b.idle) > calls/2 || len(b.campaigns["a"].steps) > 300 {
		t.Errorf("%d open, %d early, %d idle, %d steps", len(b.open), len(b.early), len(b.idle), len(b.campaigns["a"].steps))
	}
}
