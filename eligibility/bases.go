package eligibility

import (
	"slices"
	"time"
)

// appointmentWindow is how far from the appointed time a requested call still keeps the appointment.
const appointmentWindow = Instant(15 * time.Minute)

// bases tries every basis on which the call could rest. Without a trace it stops where a later one could change nothing.
func (q *question) bases(a *answer, who *subscriber, natural bool, p *past) {
	c := q.call.Campaign
	a.traceErased(q)
	switch c.Purpose {
	case PurposeService:
		a.hold(Basis{Kind: OKService, Since: always, Until: Never}, true)
		q.requests(a, p) // an appointment lifts the hours of a service call too
		return
	case PurposeResearch:
		a.hold(Basis{Kind: OKResearch, Since: always, Until: Never}, a.objected == always)
	}
	q.consents(a, p)
	q.requests(a, p)
	if c.telemarketing() && (a.basis.Kind == 0 || a.trace != nil) {
		q.business(a, who)
		q.relationships(a)
		q.legalPerson(a, natural)
	}
	if a.basis.Kind == 0 && !a.held && a.faults == 0 {
		q.withoutBasis(a)
	}
}

// withoutBasis names what is missing where nothing was tried: consent for an automated call (Tw 11.7(1)), else any basis.
func (q *question) withoutBasis(a *answer) {
	if q.call.mode() == Automated {
		a.faults = a.faults.With(AutomatedWithoutConsent)
		return
	}
	a.faults = a.faults.With(NoBasis)
}

// hold notes a basis that holds. Of the bases free of objection the first in the order of headlines counts, of equal ones
// the one that lasts longest.
func (a *answer) hold(b Basis, free bool) {
	a.held = true
	if !free {
		return
	}
	best := &a.basis
	if best.Kind == 0 || b.Kind < best.Kind || b.Kind == best.Kind && b.Until > best.Until {
		*best = b
	}
}

// consents tries every consent, the newest first (Tw 11.7(2); automated calls Tw 11.7(1)).
func (q *question) consents(a *answer, p *past) {
	article := a.regime.Consent
	if q.call.mode() == Automated {
		article = a.regime.ConsentAutomated
	}
	expired, stale := Never, Never // the first ends of consents that do not hold anyway
	for i := range q.e.consents {
		c := &q.e.consents[i]
		if c.given > a.at {
			continue
		}
		faults, ends := q.consentFaults(a, c, p)
		until := min(ends.expired, ends.stale)
		if a.trace != nil {
			a.traceConsent(c, article, faults, until)
		}
		a.faults |= faults
		if faults != 0 {
			expired, stale = min(expired, ends.expired), min(stale, ends.stale)
			continue
		}
		a.until(until)
		// an objection is lifted by a later consent at the person's own provable initiative only
		free := a.objected == always || c.ownInitiative && (c.given > a.objected || mutantImportOrder && c.position > a.objectionPosition) && !q.call.Campaign.Policy.ReconsentNever
		a.hold(Basis{Kind: OKConsent, Article: article, Position: c.position, Since: c.given, Until: until}, free)
		if free && a.trace == nil {
			return
		}
	}
	// a further fault matters only where it would head the answer; then it surely changes one that a basis's fault heads
	if first := a.faults.First(); first != ConsentExpired && !a.faults.Has(Withdrawn) {
		a.surely = expired
		if first != ConsentStale {
			a.surely = min(expired, stale)
		}
		a.until(a.surely)
	}
}

// consentEnds is when a consent's period is over, and when the term for its first call is; Never: not by time alone.
type consentEnds struct{ expired, stale Instant }

// consentFaults is everything that is wrong with a consent for this call, and when it ends by time alone.
func (q *question) consentFaults(a *answer, c *consent, p *past) (ReasonSet, consentEnds) {
	campaign, policy := q.call.Campaign, q.call.Campaign.Policy
	var faults ReasonSet
	if c.withdrawn <= a.at || len(q.e.withdrawals) > 0 && q.e.withdrawnFor(c, campaign.Organisation.ID, a.at) {
		faults = faults.With(Withdrawn)
	}
	ends := c.ends(policy, p.answered > c.given && p.answered != always)
	if a.at >= ends.expired {
		faults = faults.With(ConsentExpired)
	}
	if a.at >= ends.stale {
		faults = faults.With(ConsentStale)
	}
	if policy.RequireVerifiedConsent && c.verified > a.at {
		faults = faults.With(ConsentUnverified)
	}
	if !c.shown || q.call.Person != "" && q.call.Person != c.person {
		faults = faults.With(EvidenceMissing)
	}
	if !slices.Contains(c.products, campaign.Product) || campaign.Product == "" || c.purposes&(1<<campaign.Purpose) == 0 {
		faults = faults.With(ConsentScope)
	}
	if !slices.Contains(c.organisations, campaign.Organisation.ID) {
		faults = faults.With(ConsentOrganisation)
	}
	if !c.phone || c.bundled && !policy.AllowBundledChannels {
		faults = faults.With(ConsentChannel)
	}
	return faults, ends
}

// ends is when the consent's period is over (the one it names, else consent_max_age) and, unless a first call came, when
// the term for the first call is (CTM 2024: the one its wording names, else first_call_within).
func (c *consent) ends(policy *Policy, called bool) consentEnds {
	ends := consentEnds{c.expires, Never}
	if c.given == always {
		return ends
	}
	if ends.expired == Never {
		ends.expired = c.after(&policy.ConsentMaxAge)
	}
	switch {
	case called:
	case !c.firstCall.IsZero():
		ends.stale = c.after(&c.firstCall)
	default:
		ends.stale = c.after(&policy.FirstCallWithin)
	}
	return ends
}

// after is the instant a duration after the consent was given.
func (c *consent) after(d *Duration) Instant {
	switch {
	case d.Months == 12:
		return c.year
	case d.Months == 6:
		return c.halfYear
	case d.Hours > 0:
		return d.After(c.given)
	}
	return d.afterLocal(c.givenLocal)
}

// withdrawnFor reports whether the consent was withdrawn for an organisation, with all others given to it (AVG 7(3)).
func (e *Eligibility) withdrawnFor(c *consent, organisation string, at Instant) bool {
	for i := range e.withdrawals {
		w := &e.withdrawals[i]
		if w.at <= at && w.organisation == organisation && (c.given < w.at || c.given == w.at && !mutantWithdrawalTie) && slices.Contains(c.organisations, organisation) {
			return true
		}
	}
	return false
}

// requests tries the person's own requests to be called [gevraagde communicatie]: one call each, no right of objection.
func (q *question) requests(a *answer, p *past) {
	campaign, policy := q.call.Campaign, q.call.Campaign.Policy
	for i := range q.e.requests {
		r := &q.e.requests[i]
		if r.requested > a.at || r.organisation != campaign.Organisation.ID || r.product != campaign.Product || r.product == "" {
			continue
		}
		until := r.until(policy)
		a.until(until)
		var faults ReasonSet
		if a.at >= until {
			faults = faults.With(RequestExpired)
		}
		if p.used != always && p.used >= r.requested && !(mutantRequestTwice && p.used == r.requested) {
			faults = faults.With(RequestUsed)
		}
		a.traceRequest(r, faults, until)
		a.faults |= faults
		if mutantAppointmentUsed {
			q.keepsAppointment(a, r)
		}
		if faults != 0 {
			continue
		}
		free := r.requested > a.objected
		a.hold(Basis{Kind: OKRequested, Article: a.regime.Requested, Position: r.position, Since: r.requested, Until: until}, free)
		if free && policy.AppointmentExempt {
			q.keepsAppointment(a, r)
		}
	}
}

// until is when a request lapses: a dated one at the end of its day, another after request_ttl.
func (r *request) until(policy *Policy) Instant {
	if r.callAt != Never {
		return localOf(r.callAt).date.AddDays(1).Midnight()
	}
	if r.requested == always {
		return Never
	}
	return policy.RequestTTL.After(r.requested)
}

// keepsAppointment lifts the hours around the appointed time.
func (q *question) keepsAppointment(a *answer, r *request) {
	if r.callAt == Never {
		return
	}
	from, until := r.callAt-appointmentWindow, r.callAt+appointmentWindow
	if !mutantUntilNoWindow {
		a.until(from)
	}
	a.until(until)
	if a.at >= from && a.at < until {
		a.appointed = true
	}
}

// business tries the bases of Tw 11.7(3): a legal person, or a natural person in profession or business, who (a) designated
// and published the number for unsolicited communication or (b) is established outside the EEA.
func (q *question) business(a *answer, s *subscriber) {
	if s == nil || s.kind == 0 || s.kind == NaturalPerson || s.kind == UnknownKind {
		return
	}
	free := a.objected == always
	if s.published && a.regime.Published != "" {
		a.hold(Basis{Kind: OKPublished, Article: a.regime.Published, Position: s.position, Since: s.since, Until: Never}, free)
	}
	outside := s.establishedIn != "" && !q.law.EEA[s.establishedIn]
	if outside && a.regime.OutsideEEA != "" {
		a.hold(Basis{Kind: OKOutsideEEA, Article: a.regime.OutsideEEA, Position: s.position, Since: s.since, Until: Never}, free)
	}
	a.traceBusiness(s, outside)
}

// legalPerson tries the call by a human to a legal person, whom Tw 11.7(2) does not protect; a machine needs consent (1).
func (q *question) legalPerson(a *answer, natural bool) {
	if natural {
		return
	}
	automated := q.call.mode() == Automated
	if automated {
		a.faults = a.faults.With(AutomatedWithoutConsent)
	} else {
		a.hold(Basis{Kind: OKLegalPerson, Article: a.regime.LegalPerson, Since: always, Until: Never}, a.objected == always)
	}
	a.traceLegalPerson(automated)
}

// relationships tries every relationship against the bases of the regime (Tw 11.7(4), (5), (6)).
func (q *question) relationships(a *answer) {
	if len(q.e.relationships) == 0 {
		return
	}
	kinds, all := a.regime.kindsFor(q.call.Campaign)
	if all == 0 && a.trace == nil {
		return
	}
	for i := range q.e.relationships {
		r := &q.e.relationships[i]
		if r.started > a.at {
			continue
		}
		counted := false
		for j := range a.regime.Relationships {
			if kinds[j].Has(r.kind) {
				counted = true
				q.relationship(a, r, &a.regime.Relationships[j])
			}
		}
		if !counted {
			a.traceNoRelationship(r)
		}
	}
}

// MaxRelationships is how many bases on relationships a regime may have.
const MaxRelationships = 16

// kindsFor gives, for each basis of the regime, the kinds of relationship that the calling organisation may use under it,
// and all of them together; what it may not use counts as absent.
func (g *Regime) kindsFor(c *Campaign) (kinds [MaxRelationships]RelationshipSet, all RelationshipSet) {
	for i := range g.Relationships {
		kinds[i] = g.Relationships[i].kindsFor(c)
		all |= kinds[i]
	}
	return kinds, all
}

func (rule *RelationshipBasis) kindsFor(c *Campaign) RelationshipSet {
	org := c.Organisation
	usable := (len(rule.Classes) == 0 || slices.Contains(rule.Classes, org.Class)) &&
		(len(rule.Licences) == 0 || slices.Contains(rule.Licences, org.Licence)) &&
		(rule.IssuesPerYear == 0 || org.IssuesPerYear >= rule.IssuesPerYear && (!org.DigitalOnly || c.Policy.DigitalOnlyPublisher))
	switch {
	case !usable:
		return 0
	case rule.ByPolicy:
		return c.Policy.DemonstrationCounts
	default:
		return rule.Kinds
	}
}

// relationship tries one relationship under one rule.
func (q *question) relationship(a *answer, r *relationship, rule *RelationshipBasis) {
	faults, until := q.relationshipFaults(a, r, rule)
	a.until(until)
	if r.organisation != q.call.Campaign.Organisation.ID {
		// another organisation's: a fault only where it would have been a basis as one's own
		if faults == 0 {
			faults = faults.With(EntityMismatch)
		} else {
			faults = 0
		}
		a.faults |= faults
		a.traceRelationship(r, rule, faults, until)
		return
	}
	a.faults |= faults
	a.traceRelationship(r, rule, faults, until)
	if faults == 0 {
		b := Basis{Kind: rule.Reason, Article: rule.Article, Position: r.position, Since: r.started, Until: until}
		a.hold(b, a.objected == always)
	}
}

// relationshipFaults is everything that is wrong with a relationship for this call, and when its term ends.
func (q *question) relationshipFaults(a *answer, r *relationship, rule *RelationshipBasis) (ReasonSet, Instant) {
	c, policy := q.call.Campaign, q.call.Campaign.Policy
	var faults ReasonSet
	until := r.until(policy)
	if a.at >= until {
		faults = faults.With(TermExpired)
	}
	if !r.fromSubject {
		faults = faults.With(NumberEnriched)
	}
	// Tw 20.7: the offer at collection is not asked of numbers collected before 2021-07-01
	waived := r.started != always && r.started < rule.WaivedBefore && (!rule.WaiverByPolicy || policy.Pre2021CollectionWaiver)
	if r.noOffer && !waived {
		faults = faults.With(NoObjectionOfferAtCollection)
	}
	if rule.Similar && !q.cat.Similar(r.product, c.Product) || rule.OwnPurpose && c.Purpose != PurposeIdealistic {
		faults = faults.With(Dissimilar)
	}
	if q.call.mode() == Automated && !(rule.AutomatedByPolicy && policy.AllowDonorAutomated) {
		faults = faults.With(AutomatedWithoutConsent)
	}
	return faults, until
}

// until is when the term after the relationship's end is over: Amsterdam dates, the anniversary itself is too late (CTM).
func (r *relationship) until(policy *Policy) Instant {
	if r.ended == Never {
		return Never
	}
	ended := localOf(r.ended).date
	if mutantAnniversary {
		ended = ended.AddDays(1)
	}
	if t := policy.RelationshipTerm; t.Months > 0 {
		return ended.AddMonths(t.Months).Midnight()
	}
	if t := policy.RelationshipTerm; t.Days > 0 {
		return ended.AddDays(t.Days).Midnight()
	}
	return policy.RelationshipTerm.After(r.ended)
}
