package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/debt"
	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// Allowed is a decision to allow a call, in the order in which such decisions reached the ledger.
type Allowed struct {
	Number   uint64
	ID       [16]byte
	Time     time.Time
	Campaign string
	Payload  []byte // as the journal has it; empty where it was erased
}

// AllowedCalls reads the ledger's decisions to allow calls.
type AllowedCalls interface {
	// AllowedAfter gives those numbered above after, in order, at most limit.
	AllowedAfter(ctx context.Context, after uint64, limit int) ([]Allowed, error)
	// AllowedFrom gives a number above which every call is numbered that was allowed at or after t.
	AllowedFrom(ctx context.Context, t time.Time) (after uint64, err error)
}

// Happenings reads the ledger's facts by kind.
type Happenings interface {
	// OfKinds gives facts of some kinds after a position, in order, at most limit; fewer are all there are.
	OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) ([]Entry, error)
	// PositionAt gives a position behind which every fact stands that was recorded at or after t.
	PositionAt(ctx context.Context, t time.Time) (uint64, error)
}

// bookKinds are the facts from which campaigns' figures are counted.
var bookKinds = []int32{record.KindCallReport, record.KindObjection, record.KindObjectionOffer, record.KindCampaignStates}

const (
	// readBatch is how much of the ledger is read at once.
	readBatch = 2000
	// readPatience bounds one reading, so that a ledger that hangs is asked again.
	readPatience = 10 * time.Second
	// unlikeClocks is how far the clocks of nodes and ledger may differ where the book begins.
	unlikeClocks = time.Hour
)

// debts are the book of what campaigns owe, as far as this node has read the ledger.
type debts struct {
	s       *Server
	allowed AllowedCalls
	facts   Happenings

	reading  chan struct{} // holds a token while the ledger is read
	begun    bool
	number   uint64 // of the last allowed call read
	position uint64 // of the last fact read
	// objectedIn are the campaigns of the calls in which people objected, of the facts read last: an objection names its call only.
	objectedIn map[[16]byte]string

	mu       sync.Mutex // of what follows
	book     *debt.Book
	caughtUp bool
	states   uint64 // position of the last states of campaigns that are in the book
}

func newDebts(s *Server, allowed AllowedCalls, facts Happenings) *debts {
	return &debts{s: s, allowed: allowed, facts: facts, reading: make(chan struct{}, 1), book: debt.NewBook()}
}

// read brings the book up to the ledger.
func (d *debts) read(ctx context.Context) error {
	select {
	case d.reading <- struct{}{}:
		defer func() { <-d.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !d.begun {
		if err := d.begin(ctx); err != nil {
			return err
		}
		d.begun = true
	}
	if err := d.readOn(ctx); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.caughtUp = true
	d.book.Forget(d.book.Now(d.s.clock()))
	return nil
}

// begin finds from where the ledger must be read: as far back as calls can be reported on, from the machine's clock or the
// last report, whichever is earlier, and further where an older debt is on record.
func (d *debts) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	from := d.s.clock()
	last, found, err := d.s.facts.facts.LatestOfKind(ctx, record.KindCallReport, 0)
	if err != nil {
		return err
	}
	if found && last.RecordTime.Before(from) {
		from = last.RecordTime
	}
	if !mutantForgivenAtRestart {
		from = from.Add(-debt.Horizon)
	}
	stood, err := d.s.statesAt(ctx, 0)
	if err != nil {
		return err
	}
	for _, o := range stood.message.GetOwing() {
		if oldest := o.GetOldestTime().AsTime(); oldest.Before(from) && !mutantForgivenAtRestart {
			from = oldest
		}
	}
	if d.number, err = d.allowed.AllowedFrom(ctx, from); err != nil {
		return err
	}
	if d.position, err = d.facts.PositionAt(ctx, from.Add(-unlikeClocks)); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if stood.position <= d.position {
		d.states = stood.position
	}
	return nil
}

// readOn reads both streams to their ends, the older entry first, so that few facts wait for their calls.
func (d *debts) readOn(ctx context.Context) error {
	var calls []Allowed
	var facts []Entry
	moreCalls, moreFacts := true, true
	for {
		if len(calls) == 0 && moreCalls {
			var err error
			if calls, err = d.moreCalls(ctx); err != nil {
				return err
			}
			moreCalls = len(calls) == readBatch
		}
		if len(facts) == 0 && moreFacts {
			var err error
			if facts, err = d.moreFacts(ctx); err != nil {
				return err
			}
			moreFacts = len(facts) == readBatch
		}
		if len(calls)+len(facts) == 0 {
			return nil
		}
		var err error
		if calls, facts, err = d.enter(calls, facts); err != nil {
			return err
		}
	}
}

func (d *debts) moreCalls(ctx context.Context) ([]Allowed, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	return d.allowed.AllowedAfter(ctx, d.number, readBatch)
}

func (d *debts) moreFacts(ctx context.Context) ([]Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	facts, err := d.facts.OfKinds(ctx, bookKinds, d.position, readBatch)
	if err != nil {
		return nil, err
	}
	d.objectedIn = map[[16]byte]string{}
	for i := range facts {
		if err := d.findCall(ctx, &facts[i]); err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// findCall finds the campaign of the call in which somebody objected, if the call has reached the ledger.
func (d *debts) findCall(ctx context.Context, e *Entry) error {
	if e.Kind != record.KindObjection || e.Erased {
		return nil
	}
	fact, err := record.Unmarshal(e.Position, e.Payload)
	if err != nil || fact.Objection.DecisionID == "" {
		return err
	}
	id := decisionIDOf(fact.Objection.DecisionID)
	payload, err := d.s.decisions.Decision(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := record.UnmarshalDecision(payload)
	d.objectedIn[id] = m.GetCampaign()
	return err
}

// enter puts entries in the book until one of the two has to be read on.
func (d *debts) enter(calls []Allowed, facts []Entry) ([]Allowed, []Entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	both := len(calls) > 0 && len(facts) > 0
	for {
		switch {
		case len(calls) > 0 && (len(facts) == 0 || !facts[0].RecordTime.Before(calls[0].Time)):
			if err := d.enterCall(&calls[0]); err != nil {
				return nil, nil, err
			}
			d.number, calls = calls[0].Number, calls[1:]
		case len(facts) > 0:
			if err := d.enterFact(&facts[0]); err != nil {
				return nil, nil, err
			}
			d.position, facts = facts[0].Position, facts[1:]
		}
		if len(calls)+len(facts) == 0 || both && (len(calls) == 0 || len(facts) == 0) {
			return calls, facts, nil
		}
	}
}

func (d *debts) enterCall(c *Allowed) error {
	m, err := record.UnmarshalDecision(c.Payload)
	if err != nil {
		return err
	}
	owes := slices.Contains(m.GetObligations(), belpoortv1.Obligation_OBLIGATION_OFFER_OBJECTION)
	d.book.Allowed(c.ID, c.Campaign, c.Time, owes)
	return nil
}

func (d *debts) enterFact(e *Entry) error {
	d.book.Recorded(e.RecordTime)
	switch {
	case e.Kind == record.KindCampaignStates:
		return d.enterStates(e)
	case e.Erased:
		if id, is := strings.CutPrefix(e.RequestKey, reportKeys); is {
			d.book.Erased(decisionIDOf(id))
		}
		return nil
	}
	fact, err := record.Unmarshal(e.Position, e.Payload)
	if err != nil {
		return err
	}
	d.enterHeard(&fact)
	return nil
}

// enterHeard enters what became of a call. What names no call pays for none.
func (d *debts) enterHeard(fact *eligibility.Fact) {
	switch r, offer, objection := fact.CallReport, fact.ObjectionOffer, fact.Objection; {
	case r != nil && r.DecisionID != "":
		d.book.Reported(decisionIDOf(r.DecisionID), debt.Report{
			Campaign: r.Campaign, At: r.At, End: r.EndedAt, Outcome: r.Outcome, Offered: r.ObjectionOffered,
		})
	case offer != nil && offer.DecisionID != "":
		d.book.Offered(decisionIDOf(offer.DecisionID), offer.Campaign, offer.At)
	case objection != nil && objection.DecisionID != "":
		id := decisionIDOf(objection.DecisionID)
		d.book.Objected(id, d.objectedIn[id], objection.At)
	}
}

func (d *debts) enterStates(e *Entry) error {
	st, err := readStates(*e)
	if err != nil {
		return err
	}
	d.states = max(d.states, e.Position)
	if c := st.message.GetChange(); c.GetWrittenOff() {
		d.book.Resumed(c.GetCampaign(), e.RecordTime, c.GetOfferDeadline().AsDuration())
	}
	return nil
}

// figures are those of every campaign, under a catalogue's policies and states; false while the ledger is still being read
// for the first time. The instant for a campaign that was suspended is never before that: another node's clock may be ahead.
func (d *debts) figures(force *inForce) (all map[string]*debt.Figures, now time.Time, caughtUp bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now = d.book.Now(d.s.clock())
	all = d.book.Figures(func(campaign string) (time.Time, time.Duration) {
		deadline := force.law.Defaults.OfferDeadline
		if c := force.catalogue.Campaigns[campaign]; c != nil {
			deadline = c.Policy.OfferDeadline
		}
		if s := force.states.of(campaign); s != nil {
			return later(now, s.GetSinceTime().AsTime()), deadline
		}
		return now, deadline
	})
	return all, now, d.caughtUp
}

// watchEvery is how often the ledger is read on and campaigns are judged.
const watchEvery = 500 * time.Millisecond

// follow keeps the book up to the ledger, and campaigns to what it says, until ctx ends. While the ledger is away nothing
// changes.
func (d *debts) follow(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	failing := false
	for {
		err := d.step(ctx)
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			failing = failed
			d.s.log.Warn("watching campaigns", zap.Bool("failing", failing), zap.Error(err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *debts) step(ctx context.Context) error {
	_, err := guarded(d.s, ctx, func(ctx context.Context) (struct{}, error) {
		if err := d.read(ctx); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, d.judge(ctx)
	})
	return err
}
