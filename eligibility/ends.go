package eligibility

import "time"

// Adult is the highest age, in years, that Dutch law asks of whom something is offered to (games of chance).
const Adult = 24

// Ends tells, for each of a callee's facts, from which instant on no decision under a catalogue and a law needs it: without
// it verdict, basis, duties and times are the same, and of the reasons of a refusal only those differ that say why a basis
// does not hold. Never: it may be needed for ever, as is all that keeps the callee from being called. Of statements about the
// subscriber it tells from when the last of them lets nobody call who could not without it. facts are all that are known.
func Ends(facts []Fact, cat *Catalogue, law *Law) []Instant {
	f := fading{e: Fold(CalleeToken{}, 0, time.Time{}, facts), cat: cat, policies: policiesOf(cat, law)}
	ends := make([]Instant, len(facts))
	for i := range facts {
		ends[i] = f.end(&facts[i])
	}
	return ends
}

// policiesOf are all under which somebody may be called.
func policiesOf(cat *Catalogue, law *Law) []*Policy {
	policies := []*Policy{&law.Defaults}
	for _, c := range cat.Campaigns {
		policies = append(policies, c.Policy)
	}
	return policies
}

// fading is what the ends of facts depend on.
type fading struct {
	e        *Eligibility
	cat      *Catalogue
	policies []*Policy
}

func (f *fading) end(fact *Fact) Instant {
	switch {
	case fact.Subscriber != nil:
		return f.subscribers()
	case fact.Consent != nil:
		return f.consent(fact)
	case fact.Relationship != nil:
		return f.last(relationshipOf(fact).until)
	case fact.CallRequest != nil:
		return f.last(requestOf(fact).until)
	case fact.CallReport != nil:
		return f.report(fact.CallReport)
	case fact.ObjectionOffer != nil:
		return InstantOf(fact.ObjectionOffer.At, always)
	case fact.ListEntry != nil:
		return f.replaced(fact.ListEntry)
	}
	return Never
}

// last is when something ends under the policy under which it lasts longest.
func (f *fading) last(until func(*Policy) Instant) Instant {
	last := until(f.policies[0])
	for _, p := range f.policies {
		if mutantEndsByStrictest {
			last = min(last, until(p))
			continue
		}
		last = max(last, until(p))
	}
	return last
}

// relationshipOf, requestOf and consentOf are single facts, folded.
func relationshipOf(fact *Fact) *relationship {
	return &Fold(CalleeToken{}, 0, time.Time{}, []Fact{{Relationship: fact.Relationship}}).relationships[0]
}

func requestOf(fact *Fact) *request {
	return &Fold(CalleeToken{}, 0, time.Time{}, []Fact{{CallRequest: fact.CallRequest}}).requests[0]
}

func consentOf(fact *Fact) *consent {
	return &Fold(CalleeToken{}, 0, time.Time{}, []Fact{{Consent: fact.Consent}}).consents[0]
}

// consent ends when its period does, or earlier, when it was withdrawn: by its id or for every organisation that it names.
func (f *fading) consent(fact *Fact) Instant {
	c := consentOf(fact)
	ends := f.last(func(p *Policy) Instant { return c.ends(p, true).expired })
	for i := range f.e.consents {
		if f.e.consents[i].id == c.id {
			ends = min(ends, f.e.consents[i].withdrawn)
		}
	}
	everywhere := always
	for _, organisation := range c.organisations {
		everywhere = max(everywhere, f.withdrawnFor(c, organisation))
	}
	if len(c.organisations) > 0 {
		ends = min(ends, everywhere)
	}
	return ends
}

// withdrawnFor is when a consent was first withdrawn for an organisation, with all others given to it.
func (f *fading) withdrawnFor(c *consent, organisation string) Instant {
	first := Never
	for _, w := range f.e.withdrawals {
		if w.organisation == organisation && c.given <= w.at {
			first = min(first, w.at)
		}
	}
	return first
}

// subscribers tells when the last statement says no more than is taken for granted of somebody of whom nothing is known: a
// natural person, and old enough for everything.
func (f *fading) subscribers() Instant {
	last := &f.e.subscribers[len(f.e.subscribers)-1]
	plain := last.kind == 0 || last.kind == NaturalPerson || last.kind == UnknownKind
	if !plain || f.e.erased.at != Never { // an erasure keeps the date of birth of somebody too young
		return Never
	}
	end := last.since
	if !last.born.IsZero() {
		age := Adult
		for _, p := range f.policies {
			age = max(age, p.MinimumAge)
		}
		end = max(end, last.born.AddMonths(12*age).Midnight())
	}
	return end
}

// report counts as an attempt as long as its campaign exists; one of another campaign may have been anybody's: it uses up
// requests that were made before it, and keeps predictive dialers off for a while.
func (f *fading) report(r *CallReport) Instant {
	if f.cat.Campaigns[r.Campaign] != nil {
		return Never
	}
	at := InstantOf(r.At, always)
	if at == always {
		return always
	}
	end := localOf(at).date.AddDays(1).Midnight()
	for _, p := range f.policies {
		end = max(end, p.AbandonedCooldown.After(at))
	}
	for _, p := range f.policies {
		end = max(end, p.RequestTTL.After(at)) // of a request that is imported later
	}
	for i := range f.e.requests {
		if asked := &f.e.requests[i]; asked.requested <= at {
			end = max(end, f.last(asked.until))
		}
	}
	return end
}

// replaced is when a newer copy of the list was loaded; only the newest counts, and entries that name no copy.
func (f *fading) replaced(entry *ListEntry) Instant {
	first, loaded := Never, InstantOf(entry.LoadedAt, always)
	if loaded == always {
		return Never
	}
	for i := range f.e.lists {
		if other := &f.e.lists[i]; other.list == entry.List && other.loaded > loaded {
			first = min(first, other.loaded)
		}
	}
	return first
}
