// Package debt keeps the book of what campaigns owe: an offer of the right of objection [recht van verzet] for every call
// that may have been answered. It is told what the ledger holds, in the ledger's order, and counts; the same entries give
// the same figures, however the two streams (allowed calls, and facts) came through each other, so that nodes agree and a
// restart neither forgives nor doubles.
//
// It knows decisions by their ids and campaigns by their names. It must not know callees, clocks, the ledger, or what
// becomes of a campaign that owes too much.
package debt

import (
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// ID is that of a decision.
type ID [16]byte

// Horizon is how long a call can still be reported on: for as long, what is known of a call that is not in the book yet is
// kept, and at a start the ledger is read from so far back, or from further where an older debt is known.
const Horizon = 8 * 24 * time.Hour

// Window is the time over which calls are counted, to a step.
const (
	Window = 24 * time.Hour
	step   = 5 * time.Minute
)

// maxEarly bounds how many facts are kept whose calls are not in the book; the oldest go first, which forgives nothing.
const maxEarly = 1 << 20

// Report is what became of a call.
type Report struct {
	Campaign string
	At       time.Time // of the call
	End      time.Time // zero: not told
	Outcome  eligibility.Outcome
	Offered  bool
}

// call is one that was allowed and is not settled.
type call struct {
	campaign *campaign
	issued   int64 // nanoseconds
	base     int64 // from when the deadline runs
	owes     bool  // an offer
	paid     bool
	answered bool // reported so, without an offer
}

// early is what is known of a decision that is not in the book (yet).
type early struct {
	reported bool
	report   Report
	paid     time.Time // zero: not
}

// about is the call of which something is known: a fact that names another campaign than the decision is about none.
type about struct {
	id       ID
	campaign string
}

// pay notes an offer, unless the call was settled before.
func (e *early) pay(at time.Time) {
	settled := e.reported && (e.report.Outcome != eligibility.Answered || e.report.Offered)
	if e.paid.IsZero() && !settled {
		e.paid = at
	}
}

// campaign is what is counted of one.
type campaign struct {
	steps []tally // in order of time
	// cut: calls whose deadline ran from here or earlier are written off. Zero time: none.
	cut int64
	// resumed is when an officer last let the campaign run again.
	resumed int64
}

// counter is a figure that is counted over the window.
type counter int

const (
	permits counter = iota
	answered
	abandoned
	paid
	objections
	counters
)

type tally struct {
	step   int64
	counts [counters]uint32
}

// Book is what all campaigns owe. It is not safe for concurrent use.
type Book struct {
	open      map[ID]call
	idle      []dated[ID] // calls that are open but owe nothing (any more), in the order in which they came to that
	early     map[about]early
	arrived   []dated[about]
	campaigns map[string]*campaign
	newest    int64 // record time seen
}

type dated[T any] struct {
	what T
	at   int64 // nanoseconds
}

// NewBook is an empty book.
func NewBook() *Book {
	return &Book{open: map[ID]call{}, early: map[about]early{}, campaigns: map[string]*campaign{}}
}

func (b *Book) campaign(name string) *campaign {
	c := b.campaigns[name]
	if c == nil {
		c = &campaign{cut: nothing}
		b.campaigns[name] = c
	}
	return c
}

// nothing is before every instant.
const nothing = -1 << 63

// Now is an instant that a clock shows, but never before the newest that the ledger has recorded: a clock set back makes
// nothing undue.
func (b *Book) Now(clock time.Time) time.Time {
	if clock.UnixNano() < b.newest {
		return time.Unix(0, b.newest).UTC()
	}
	return clock
}

// Recorded notes when the ledger recorded a fact.
func (b *Book) Recorded(at time.Time) { b.newest = max(b.newest, at.UnixNano()) }

// Allowed enters an allowed call, once for each decision; owes tells that it must offer the right of objection.
func (b *Book) Allowed(id ID, name string, at time.Time, owes bool) {
	if _, again := b.open[id]; again {
		return
	}
	c := b.campaign(name)
	c.count(permits, at)
	now := at.UnixNano()
	b.open[id] = call{campaign: c, issued: now, base: now, owes: owes}
	if !owes {
		b.idle = append(b.idle, dated[ID]{id, now})
	}
	if known, is := b.early[about{id, ""}]; is {
		delete(b.early, about{id, ""})
		b.Objected(id, name, known.paid)
	}
	known, is := b.early[about{id, name}]
	if !is {
		return
	}
	delete(b.early, about{id, name})
	if !known.paid.IsZero() {
		b.Offered(id, name, known.paid)
	}
	if known.reported {
		b.Reported(id, known.report)
	}
}

// of finds an open call of a campaign.
func (b *Book) of(id ID, name string) (call, bool) {
	c, is := b.open[id]
	return c, is && b.campaigns[name] == c.campaign
}

// Reported enters what became of a call. The first report says whether it was answered; a later one can only pay.
func (b *Book) Reported(id ID, r Report) {
	c, is := b.of(id, r.Campaign)
	if !is {
		b.keep(about{id, r.Campaign}, func(e *early) {
			if !e.reported {
				e.reported, e.report = true, r
			} else if r.Offered {
				e.pay(r.At)
			}
		})
		return
	}
	first := !c.answered
	if r.Offered {
		b.pay(&c, r.At)
	}
	switch {
	case first && r.Outcome == eligibility.Answered:
		c.campaign.count(answered, r.At)
		c.answered = true
		c.base = max(c.base, r.At.UnixNano(), nanoseconds(r.End))
	case first && r.Outcome == eligibility.Abandoned:
		c.campaign.count(abandoned, r.At)
	}
	if !c.answered || !c.owes || c.paid {
		delete(b.open, id)
		return
	}
	b.open[id] = c
}

func nanoseconds(t time.Time) int64 {
	if t.IsZero() {
		return nothing
	}
	return t.UnixNano()
}

// pay settles the offer of a call.
func (b *Book) pay(c *call, at time.Time) {
	if c.owes && !c.paid {
		c.paid = true
		c.campaign.count(paid, at)
	}
}

// Offered enters an offer in a call of a campaign.
func (b *Book) Offered(id ID, name string, at time.Time) {
	if mutantOfferOfAnother {
		id = b.anyOwing(id)
	}
	if id == (ID{}) {
		return
	}
	c, is := b.of(id, name)
	if !is {
		b.keep(about{id, name}, func(e *early) { e.pay(at) })
		return
	}
	b.pay(&c, at)
	b.settle(id, c)
}

// anyOwing is some call that owes an offer.
func (b *Book) anyOwing(id ID) ID {
	for other, c := range b.open {
		if c.owes && !c.paid {
			return other
		}
	}
	return id
}

// settle puts a call back whose offer may have been made. It stays until its report comes, so that it is counted.
func (b *Book) settle(id ID, c call) {
	if c.paid && c.answered {
		delete(b.open, id)
		return
	}
	if c.paid && !b.open[id].paid {
		b.idle = append(b.idle, dated[ID]{id, c.issued})
	}
	b.open[id] = c
}

// Objected enters an objection in a call of a campaign ("": the call's own, whatever it is): whoever objects was offered to.
func (b *Book) Objected(id ID, name string, at time.Time) {
	if c, is := b.open[id]; name == "" && is {
		c.campaign.count(objections, at)
		b.pay(&c, at)
		b.settle(id, c)
		return
	}
	if name != "" {
		b.campaign(name).count(objections, at)
	}
	b.Offered(id, name, at)
}

// Erased enters that the report of a call was erased with all that was held on its callee: nobody could pay any more.
func (b *Book) Erased(id ID) { delete(b.open, id) }

// keep notes what is known of a call that is not in the book.
func (b *Book) keep(what about, note func(*early)) {
	e, is := b.early[what]
	if !is {
		b.arrived = append(b.arrived, dated[about]{what, b.newest})
	}
	note(&e)
	b.early[what] = e
}

// Resumed enters that an officer let a campaign run again at an instant: calls whose deadline had ended by then are written
// off, and abandoned calls are counted anew.
func (b *Book) Resumed(name string, at time.Time, deadline time.Duration) {
	c := b.campaign(name)
	c.resumed = max(c.resumed, at.UnixNano())
	c.cut = max(c.cut, at.Add(-deadline).UnixNano())
}
