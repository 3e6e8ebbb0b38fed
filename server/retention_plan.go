package server

import (
	"context"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// Why something stays.
const (
	staysNoTerm    = "NO_TERM"
	staysInForce   = "IN_FORCE"
	staysTermRuns  = "TERM_RUNS"
	staysCallKept  = "CALL_KEPT"
	staysOwed      = "OFFER_OWED"
	staysFactsLeft = "FACTS_LEFT"
	staysMoved     = "MOVED"
)

// sortNames are the kinds of fact that may go, in words.
var sortNames = map[int32]string{
	record.KindConsent: "consents", record.KindRelationship: "relationships", record.KindCallRequest: "requests",
	record.KindCallReport: "call_reports", record.KindObjectionOffer: "offers", record.KindListEntry: "list_entries",
}

// sortCount counts what was found of one sort.
type sortCount struct {
	held, destroyed uint64
	oldest          time.Time // of those that stay
	stays           map[string]uint64
}

func (r *retentionRun) sort(name string) *sortCount {
	c := r.counts[name]
	if c == nil {
		c = &sortCount{stays: map[string]uint64{}}
		r.counts[name] = c
	}
	return c
}

func (c *sortCount) stay(why string, n uint64, oldest time.Time) {
	c.stays[why] += n
	if c.oldest.IsZero() || !oldest.IsZero() && oldest.Before(c.oldest) {
		c.oldest = oldest
	}
}

// decided counts decisions.
func (c *sortCount) decided(d DisposedCount, back time.Time) {
	c.held += d.Looked
	c.destroyed += d.Gone
	if d.Kept > 0 {
		c.stay(staysOwed, d.Kept, d.Oldest)
	}
	if rest := d.Looked - d.Gone - d.Kept; rest > 0 {
		why := staysTermRuns
		if back.IsZero() {
			why = staysNoTerm
		}
		c.stay(why, rest, d.Oldest)
	}
}

// sorts are the counts as the API has them, in order of their names.
func (r *retentionRun) sorts() (all []*belpoortv1.RetentionCount) {
	for _, name := range slices.Sorted(maps.Keys(r.counts)) {
		c := r.counts[name]
		m := &belpoortv1.RetentionCount{Kind: name, Held: c.held, Destroyed: c.destroyed}
		if !c.oldest.IsZero() {
			m.OldestTime = timestamppb.New(c.oldest)
		}
		for _, why := range slices.Sorted(maps.Keys(c.stays)) {
			m.Stays = append(m.Stays, &belpoortv1.RetentionReason{Reason: why, Count: c.stays[why]})
		}
		all = append(all, m)
	}
	return all
}

// verdictOn is what becomes of one thing: why it stays, "" where it goes.
type verdictOn struct {
	sort  string
	stays string
	since time.Time
}

// disposalPlan is what becomes of a callee's facts.
type disposalPlan struct {
	callee    eligibility.CalleeToken
	through   uint64
	last      time.Time // recorded
	positions []uint64
	number    bool
	verdicts  []verdictOn
}

func (p *disposalPlan) empty() bool { return len(p.positions) == 0 && !p.number }

// found counts what became of a plan.
func (r *retentionRun) found(p *disposalPlan, moved bool) {
	for _, v := range p.verdicts {
		c := r.sort(v.sort)
		c.held++
		switch {
		case v.stays != "":
			c.stay(v.stays, 1, v.since)
		case moved:
			c.stay(staysMoved, 1, v.since)
		default:
			c.destroyed++
		}
	}
}

// knownFacts are a callee's facts that are still there, and from when each is needed no more.
type knownFacts struct {
	entries []Entry
	facts   []eligibility.Fact
	ends    []eligibility.Instant
}

func (r *retentionRun) known(entries []Entry) (k knownFacts, err error) {
	for i := range entries {
		if entries[i].Erased {
			continue
		}
		fact, err := record.Unmarshal(entries[i].Position, entries[i].Payload)
		if err != nil {
			return k, internal(err)
		}
		k.entries, k.facts = append(k.entries, entries[i]), append(k.facts, fact)
	}
	force := r.s.force.Load()
	k.ends = eligibility.Ends(k.facts, force.catalogue, force.law)
	return k, nil
}

// plan decides what becomes of one callee's facts and number.
func (r *retentionRun) plan(ctx context.Context, entries []Entry, numbered bool) (*disposalPlan, error) {
	newest := &entries[len(entries)-1]
	p := &disposalPlan{callee: newest.Callee, through: newest.Position, last: newest.RecordTime}
	k, err := r.known(entries)
	if err != nil {
		return nil, err
	}
	allowed, err := r.allowed(ctx, p.callee)
	if err != nil {
		return nil, err
	}
	left := 0
	for i := range k.facts {
		name := sortNames[k.entries[i].Kind]
		if name == "" {
			continue
		}
		v := verdictOn{name, r.why(&k, i, allowed), k.entries[i].RecordTime}
		if v.stays == "" && len(p.positions) == record.MaxDisposed {
			v.stays = staysMoved // the next run looks again
		}
		p.verdicts = append(p.verdicts, v)
		if v.stays == "" {
			p.positions = append(p.positions, k.entries[i].Position)
		} else if k.facts[i].ListEntry == nil {
			left++
		}
	}
	if numbered {
		v := verdictOn{"numbers", r.whyNumber(&k, left, allowed), newest.RecordTime}
		p.verdicts, p.number = append(p.verdicts, v), v.stays == ""
	}
	return p, nil
}

// allowed reports whether a decision to allow a call to somebody is kept: then so is what it rests on.
func (r *retentionRun) allowed(ctx context.Context, callee eligibility.CalleeToken) (bool, error) {
	if r.back.bases.IsZero() {
		return true, nil
	}
	found, err := r.s.decisions.ListDecisions(ctx, DecisionFilter{Callee: callee, Verdict: int32(eligibility.Allow)}, 1)
	return len(found) > 0 && !mutantEvidenceDestroyed, err
}

// why tells why a fact stays; "" where it goes.
func (r *retentionRun) why(k *knownFacts, i int, allowed bool) string {
	recorded, fact, end := k.entries[i].RecordTime, &k.facts[i], k.ends[i]
	if mutantRetentionInForce {
		end = 0
	}
	var back time.Time
	switch {
	case fact.ListEntry != nil:
		back = r.back.lists
	case fact.CallReport != nil || fact.ObjectionOffer != nil:
		if r.owed[decisionIDOf(callOf(fact))] {
			return staysOwed
		}
		if back = r.back.calls; !back.IsZero() {
			back = back.Add(-unlikeClocks) // so that the decision, which is older, is gone
		}
	default:
		back = r.back.bases
	}
	switch {
	case back.IsZero():
		return staysNoTerm
	case end > eligibility.InstantOf(r.message.GetBeginTime().AsTime(), eligibility.Never):
		return staysInForce
	case recorded.After(back) || end > eligibility.InstantOf(back, eligibility.Never):
		return staysTermRuns
	case allowed && fact.ListEntry == nil && fact.CallReport == nil && fact.ObjectionOffer == nil:
		return staysCallKept
	}
	return ""
}

// callOf is the decision of the call that a report or offer is of; "" where it is not known.
func callOf(f *eligibility.Fact) string {
	if f.CallReport != nil {
		return f.CallReport.DecisionID
	}
	return f.ObjectionOffer.DecisionID
}

// whyNumber tells why the number stays; "" where it goes.
func (r *retentionRun) whyNumber(k *knownFacts, left int, allowed bool) string {
	back := eligibility.InstantOf(r.back.bases, eligibility.Never)
	switch {
	case r.back.bases.IsZero():
		return staysNoTerm
	case left > 0:
		return staysFactsLeft
	case allowed:
		return staysCallKept
	}
	for i := range k.facts {
		switch {
		case k.facts[i].Subscriber != nil && k.ends[i] > back:
			return staysInForce
		case k.facts[i].Disposal == nil && k.entries[i].RecordTime.After(r.back.bases):
			return staysTermRuns
		}
	}
	return ""
}
