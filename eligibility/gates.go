package eligibility

// jurisdiction asks whether the number can be called at all, and whether a law is loaded for it at this instant.
func (q *question) jurisdiction(a *answer) bool {
	number := q.call.Callee
	if number != "" && !q.law.Governs(number) {
		a.refuse(JurisdictionUnsupported)
		a.traceCallee(q, JurisdictionUnsupported)
		return false
	}
	// numbering plan for telephone and ISDN services (BWBR0010198): which numbers are destinations
	found := Reason(0)
	if r, ok := q.law.RangeOf(number); !ok || r.Callee == RangeInvalid {
		found = CalleeInvalid
	} else if r.Callee == RangeDenied {
		found = CalleeRange
	}
	a.refuse(found)
	a.traceCallee(q, found)
	regime, next := q.law.regimeAt(a.at)
	a.regime, a.next = regime, min(a.next, next)
	if regime == nil {
		a.refuse(JurisdictionUnsupported)
	}
	a.traceRegime()
	return regime != nil
}

// refuse notes a gate that failed; 0 is one that did not.
func (a *answer) refuse(r Reason) {
	if r != 0 {
		a.refused = a.refused.With(r)
	}
}

// callerID asks whether the number may be shown: not withheld (Tw 11.7(8), until 2026-06-30 (7)), recognisable, the
// organisation's own, reachable and published (CTM 2024).
func (q *question) callerID(a *answer, before *answer) {
	if before != nil && a.at < before.callerID.Changes {
		a.callerID = before.callerID
	} else {
		a.callerID = q.showable(a.at)
	}
	a.refuse(a.callerID.Reason)
	a.traceCallerID(q)
}

func (q *question) showable(at Instant) CallerIDFinding {
	c := q.call.Campaign
	return q.cat.CallerIDs.Check(CallerIDQuestion{
		Number: q.call.CallerID, Presentation: q.call.Presentation, Organisation: c.Organisation.ID, Policy: c.Policy,
		Law: q.law, At: at,
	})
}

// callerIDAgain asks at a later instant at which nothing else can have changed.
func (q *question) callerIDAgain(a *answer, at Instant) {
	a.at = at
	if old := a.callerID.Reason; old != 0 {
		a.refused &^= 1 << old
	}
	a.callerID = q.showable(at)
	a.refuse(a.callerID.Reason)
}

// subscriberAt is the statement about the subscriber that counts at an instant; nil where there is none.
func (e *Eligibility) subscriberAt(at Instant) *subscriber {
	for i := len(e.subscribers) - 1; i >= 0; i-- {
		if e.subscribers[i].since <= at {
			return &e.subscribers[i]
		}
	}
	return nil
}

// natural reports whether the callee is protected as a natural person (Tw 11.7(2)); nobody known is.
func (q *question) natural(s *subscriber) bool {
	if s == nil {
		return true
	}
	p := q.call.Campaign.Policy
	switch s.kind {
	case LegalPerson:
		return s.privateLine && p.PrivateLineIsNatural
	case InFormation:
		return p.InFormationIsNatural || s.privateLine && p.PrivateLineIsNatural
	default:
		return true
	}
}

// objection finds the last objection [recht van verzet] that reaches the call (Tw 11.7(2)). Service calls promote
// nothing and are not blocked.
func (q *question) objection(a *answer, natural bool) {
	c := q.call.Campaign
	// a legal person's objection is respected by policy for live calls; for automated ones always (Tw 11.7(1))
	ignored := c.Purpose == PurposeService || !natural && !c.Policy.LegalPersonObjection && q.call.mode() == Human
	if !ignored {
		for i := range q.e.objections {
			o := &q.e.objections[i]
			if o.at <= a.at && a.at >= o.corrected && q.reaches(o) {
				a.traceCorrected(o)
			}
			if o.at <= a.at && a.at < o.corrected && q.reaches(o) && (o.at > a.objected || o.at == a.objected && o.position > a.objectionPosition) {
				a.objected, a.objectionPosition = o.at, o.position
			}
		}
	}
	a.traceObjection(q, ignored)
}

// reaches reports whether an objection reaches the call: the wider of its own scope and the policy's, in the
// organisation, its brand or its group; one narrowed to a product only that product.
func (q *question) reaches(o *objection) bool {
	c := q.call.Campaign
	if o.scope == ScopeProduct && (c.Purpose == PurposeResearch || o.product != c.Product) {
		return false
	}
	if o.organisation == c.Organisation.ID {
		return true
	}
	scope := max(o.scope, c.Policy.ObjectionScope)
	other := q.cat.Organisations[o.organisation]
	if other == nil || scope < ScopeBrand {
		return false
	}
	return other.Brand != "" && other.Brand == c.brand() ||
		scope == ScopeGroup && other.Group != "" && other.Group == c.Organisation.Group
}

// telemarketing reports whether Tw 11.7 governs the call: service and research promote nothing.
func (c *Campaign) telemarketing() bool {
	return c.Purpose != PurposeService && c.Purpose != PurposeResearch
}

// age asks whether the person is old enough to be offered something (CTM).
func (q *question) age(a *answer, s *subscriber) {
	p := q.call.Campaign.Policy
	if s == nil || s.born.IsZero() || !q.call.Campaign.telemarketing() {
		return
	}
	birthday := s.born.AddMonths(12 * p.MinimumAge).Midnight()
	found := Reason(0)
	if a.at < birthday {
		found = Minor
		a.next = min(a.next, birthday)
	}
	a.refuse(found)
	a.traceAge(q, found)
}

// lists asks whether the callee stands on a list that must be respected, and how old our copy of it is.
func (q *question) lists(a *answer) {
	for i := range q.call.Campaign.Policy.RequiredLists {
		required := &q.call.Campaign.Policy.RequiredLists[i]
		hit, loaded := q.e.listed(required.Name, a.at)
		if hit {
			a.refuse(ListHit)
		}
		stale := false
		if !required.MaxAge.IsZero() {
			stale = true
			if loaded != always {
				end := required.MaxAge.After(loaded)
				stale = a.at >= end
				a.until(end)
			}
		}
		if stale {
			a.refuse(ListStale)
		}
		a.traceList(q, required, hit, stale)
	}
}

// until lowers next to an end that still lies ahead.
func (a *answer) until(end Instant) {
	if end > a.at && end < a.next {
		a.next = end
	}
}

// listed tells whether the latest copy of a list holds the callee, and when it was loaded; always: no copy is known.
func (e *Eligibility) listed(name string, at Instant) (hit bool, loaded Instant) {
	loaded = always
	for i := range e.lists {
		if l := &e.lists[i]; l.list == name && l.loaded <= at {
			loaded = max(loaded, l.loaded)
		}
	}
	for i := range e.lists {
		l := &e.lists[i]
		if l.list == name && l.since <= at && (l.loaded == always || l.loaded == loaded) {
			hit = true
		}
	}
	return hit, loaded
}

// past is what earlier calls mean for this one.
type past struct {
	answered   Instant // the organisation's last answered call; always: none
	used       Instant // the last call about this product that used up a request; always: none
	abandoned  Instant // the organisation's last abandoned call; always: none
	today      int     // the organisation's attempts on this Amsterdam day
	inCampaign int     // attempts in this campaign
}

// history reads the earlier calls. A call of a campaign that the catalogue no longer has may have been anybody's: it
// counts against this call, never for it.
func (q *question) history(a *answer) past {
	p := past{answered: always, used: always, abandoned: always}
	if len(q.e.histories) == 0 && len(q.call.Unreported) == 0 {
		return p
	}
	midnight := a.today.date.Midnight()
	for i := range q.call.Unreported {
		q.attempt(&p, &q.call.Unreported[i], midnight)
	}
	for i := range q.e.histories {
		h := &q.e.histories[i]
		other := q.cat.Campaigns[h.campaign]
		if other != nil && other.Organisation.ID != q.call.Campaign.Organisation.ID {
			continue
		}
		q.add(a, &p, h, other, midnight)
	}
	return p
}

// attempt counts a call that was allowed and not yet reported.
func (q *question) attempt(p *past, allowed *Attempt, midnight Instant) {
	other := q.cat.Campaigns[allowed.Campaign]
	if mutantAttemptsForgotten || other != nil && other.Organisation.ID != q.call.Campaign.Organisation.ID {
		return
	}
	if InstantOf(allowed.At, Never) >= midnight {
		p.today++
	}
	if allowed.Campaign == q.call.Campaign.ID {
		p.inCampaign++
	}
}

func (q *question) add(a *answer, p *past, h *history, other *Campaign, midnight Instant) {
	c := q.call.Campaign
	sameProduct := other == nil || other.Product == c.Product
	for _, call := range h.calls {
		if call.at > a.at {
			return
		}
		if call.outcome == Answered && (other != nil || mutantUnknownCampaign) {
			p.answered = max(p.answered, call.at)
		}
		if sameProduct && c.Policy.RequestUsedBy.Has(call.outcome) {
			p.used = max(p.used, call.at)
		}
		if call.outcome == Abandoned {
			p.abandoned = max(p.abandoned, call.at)
		}
		if call.outcome == Failed {
			continue
		}
		if call.at >= midnight {
			p.today++
		}
		if h.campaign == c.ID {
			p.inCampaign++
		}
	}
}

// limits asks for the number of attempts, the pause after an abandoned call and the campaign's own state.
func (q *question) limits(a *answer, p *past) {
	c := q.call.Campaign
	if p.today > 0 {
		a.until(a.today.date.AddDays(1).Midnight())
	}
	tooMany := p.today >= c.Policy.MaxAttemptsPerDay || p.inCampaign >= c.Policy.MaxAttemptsPerCampaign
	if tooMany {
		a.refuse(Attempts)
	}
	cooling := false
	if p.abandoned != always && q.call.dialing() == Predictive && c.telemarketing() {
		end := c.Policy.AbandonedCooldown.After(p.abandoned)
		cooling = a.at < end
		a.until(end)
	}
	if cooling {
		a.refuse(AbandonedCooldown)
	}
	if c.stopped() {
		a.refuse(CampaignSuspended)
	}
	a.traceLimits(q, p, tooMany, cooling)
}

// openingHours asks for the day and the hour in Amsterdam (CTM; Winkeltijdenwet 2).
func (q *question) openingHours(a *answer) {
	a.hours, a.hoursNext = q.call.Campaign.Policy.hours(a.at)
	a.traceHours(q)
}
