package debt

import (
	"sort"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Figures are what is known of a campaign at an instant: counts over Window, and debts however old.
type Figures struct {
	Permits    int
	Answered   int
	OffersPaid int
	Objections int
	Owed       int       // offers that are not due yet
	Overdue    int       // offers that should have been made
	Oldest     time.Time // when the oldest call with an overdue offer was allowed; zero: none
	// The calls of the abandoned share, since the campaign was last resumed by an officer.
	Abandoned           int
	AnsweredOrAbandoned int
}

// Share is the part of calls answered or abandoned that was abandoned, 0 to 1.
func (f *Figures) Share() float64 {
	if f.AnsweredOrAbandoned == 0 {
		return 0
	}
	return float64(f.Abandoned) / float64(f.AnsweredOrAbandoned)
}

// Cause is why a campaign with these figures may not go on under a policy; 0: it may.
func (f *Figures) Cause(p *eligibility.Policy) eligibility.SuspensionCause {
	switch {
	case exceeds(f.Overdue, f.Answered, f.Overdue, p.OfferDebtLimit):
		return eligibility.OfferDebt
	case exceeds(f.Abandoned, f.AnsweredOrAbandoned, f.AnsweredOrAbandoned, p.AbandonedLimit):
		return eligibility.AbandonedShare
	default:
		return 0
	}
}

// exceeds reports whether a part of a whole is over a limit, which holds from a number on. The zero limit is none.
func exceeds(part, whole, number int, l eligibility.Limit) bool {
	return l.AtLeast > 0 && number >= l.AtLeast && 100*float64(part) > l.Percent*float64(whole)
}

// Figures gives the figures of every campaign that the book knows. at tells a campaign's instant, no earlier than Now, and
// its offers' deadline.
func (b *Book) Figures(at func(campaign string) (now time.Time, deadline time.Duration)) map[string]*Figures {
	all, of := make(map[string]*Figures, len(b.campaigns)), make(map[*campaign]*standing, len(b.campaigns))
	for name, c := range b.campaigns {
		now, deadline := at(name)
		f := c.over(now)
		all[name], of[c] = f, &standing{figures: f, due: now.Add(-deadline).UnixNano(), oldest: 1<<63 - 1}
	}
	for _, c := range b.open {
		if s := of[c.campaign]; c.owing() {
			s.add(&c)
		}
	}
	for _, s := range of {
		if s.figures.Overdue > 0 {
			s.figures.Oldest = time.Unix(0, s.oldest).UTC()
		}
	}
	return all
}

type standing struct {
	figures *Figures
	due     int64 // a deadline that ran from here or earlier has ended
	oldest  int64
}

func (s *standing) add(c *call) {
	if c.base > s.due {
		s.figures.Owed++
		return
	}
	s.figures.Overdue++
	if mutantCountedTwice && c.answered {
		s.figures.Overdue++ // the permit, and its report
	}
	s.oldest = min(s.oldest, c.issued)
}

// owing reports whether an offer must still be made.
func (c *call) owing() bool { return c.owes && !c.paid && c.base > c.campaign.cut }

// count adds one at an instant, which may be before others.
func (c *campaign) count(what counter, at time.Time) {
	s := at.UnixNano() / int64(step)
	i := len(c.steps)
	if i > 0 && c.steps[i-1].step >= s {
		i = sort.Search(len(c.steps), func(i int) bool { return c.steps[i].step >= s })
	}
	if i == len(c.steps) || c.steps[i].step != s {
		c.steps = append(c.steps, tally{})
		copy(c.steps[i+1:], c.steps[i:])
		c.steps[i] = tally{step: s}
	}
	c.steps[i].counts[what]++
}

// over sums up the window that ends now. The step in which it begins counts whole; what is of the future counts too, for
// clocks differ.
func (c *campaign) over(now time.Time) *Figures {
	f := &Figures{}
	begin, resumed := now.Add(-Window).UnixNano()/int64(step), c.resumed/int64(step)
	for i := range c.steps {
		t := &c.steps[i]
		if t.step < begin {
			continue
		}
		f.Permits += int(t.counts[permits])
		f.Answered += int(t.counts[answered])
		f.OffersPaid += int(t.counts[paid])
		f.Objections += int(t.counts[objections])
		if t.step > resumed {
			f.Abandoned += int(t.counts[abandoned])
			f.AnsweredOrAbandoned += int(t.counts[abandoned] + t.counts[answered])
		}
	}
	return f
}

// Forget lets go of what no figure needs any more. It keeps every debt.
func (b *Book) Forget(now time.Time) {
	begin, horizon := now.Add(-Window-step).UnixNano(), now.Add(-Horizon).UnixNano()
	for _, c := range b.campaigns {
		old := sort.Search(len(c.steps), func(i int) bool { return c.steps[i].step >= begin/int64(step) })
		c.steps = append(c.steps[:0], c.steps[old:]...)
	}
	b.idle = expire(b.idle, begin, len(b.idle), func(id ID) { delete(b.open, id) })
	b.arrived = expire(b.arrived, horizon, maxEarly, func(what about) { delete(b.early, what) })
	for id, c := range b.open {
		if c.owes && !c.paid && c.base <= c.campaign.cut && c.base < horizon || mutantForgivenByTime && c.base < begin {
			delete(b.open, id)
		}
	}
}

// expire drops those before an instant, and the oldest beyond a number.
func expire[T any](list []dated[T], before int64, most int, drop func(T)) []dated[T] {
	n := 0
	for n < len(list) && (list[n].at < before || len(list)-n > most) {
		drop(list[n].what)
		n++
	}
	if n == 0 {
		return list
	}
	return append(list[:0], list[n:]...)
}
