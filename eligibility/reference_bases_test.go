package eligibility_test

import (
	"slices"
	"time"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

var (
	lawOf2021 = time.Date(2021, 7, 1, 0, 0, 0, 0, dutchZone)
	lawOf2026 = time.Date(2026, 7, 1, 0, 0, 0, 0, dutchZone)
)

// eeaStates are the members of the European Economic Area.
const eeaStates = "AT BE BG HR CY CZ DK EE FI FR DE GR HU IS IE IT LV LI LT LU MT NL NO PL PT RO SK SI ES SE"

// basis looks for the basis of the call: the one that heads the answer, or why there is none.
func (q *question) basis() (ground, []string) {
	objected := q.objected() != nil
	if q.campaign.Purpose.String() == "SERVICE" {
		return ground{kind: "OK_SERVICE"}, nil
	}
	if q.campaign.Purpose.String() == "RESEARCH" {
		return q.researchBasis(objected)
	}
	held, faults := q.grounds()
	for _, kind := range grounds {
		for _, g := range held {
			if g.kind == kind && g.standsDespite {
				return g, nil
			}
		}
	}
	if len(held) > 0 {
		return ground{}, []string{"OBJECTED"}
	}
	if len(faults) == 0 && q.automated() {
		faults = []string{"AUTOMATED_WITHOUT_CONSENT"}
	}
	if len(faults) == 0 {
		faults = []string{"NO_BASIS"}
	}
	if objected {
		faults = append(faults, "OBJECTED")
	}
	return ground{}, faults
}

// researchBasis needs none, unless the person objected: then only what they asked for since.
func (q *question) researchBasis(objected bool) (ground, []string) {
	if !objected {
		return ground{kind: "OK_RESEARCH"}, nil
	}
	consents, _ := q.consentGrounds()
	requests, _ := q.requestGrounds()
	for _, g := range append(consents, requests...) {
		if g.standsDespite {
			return g, nil
		}
	}
	return ground{}, []string{"OBJECTED"}
}

// grounds are all bases that hold, and the faults of all that do not.
func (q *question) grounds() (held []ground, faults []string) {
	for _, search := range []func() ([]ground, []string){q.consentGrounds, q.requestGrounds, q.relationshipGrounds, q.subscriberGrounds} {
		h, f := search()
		held, faults = append(held, h...), append(faults, f...)
	}
	return held, faults
}

// objected is when the last objection that reaches this call was made; nil where there is none.
func (q *question) objected() *time.Time {
	if q.campaign.Purpose.String() == "SERVICE" || q.legalPerson() && !q.policy.LegalPersonObjection && !q.automated() {
		return nil
	}
	var last *time.Time
	for _, o := range q.objections {
		if q.reaches(o) && (last == nil || o.At.After(*last)) {
			last = &o.At
		}
	}
	return last
}

func (q *question) reaches(o *Objection) bool {
	if o.Scope.String() == "PRODUCT" && (q.campaign.Purpose.String() == "RESEARCH" || o.Product != q.campaign.Product) {
		return false
	}
	width := map[string]int{"PRODUCT": 1, "ORGANISATION": 1, "BRAND": 2, "GROUP": 3, "UNSPECIFIED": 1}
	reach := max(width[o.Scope.String()], width[q.policy.ObjectionScope.String()])
	if o.Organisation == q.organisation.ID {
		return true
	}
	other := q.cat.Organisations[o.Organisation]
	if other == nil {
		return false
	}
	brand := q.campaign.Brand
	if brand == "" {
		brand = q.organisation.Brand
	}
	sameBrand := brand != "" && brand == other.Brand
	sameGroup := q.organisation.Group != "" && q.organisation.Group == other.Group
	return reach >= 2 && sameBrand || reach >= 3 && sameGroup
}

// newer tells that something came after the last objection.
func (q *question) newer(t time.Time) bool {
	last := q.objected()
	return last == nil || t.After(*last)
}

func (q *question) consentGrounds() (held []ground, faults []string) {
	article := "NL-TW-11.7-2"
	if q.automated() {
		article = "NL-TW-11.7-1"
	}
	for _, c := range q.consents {
		wrong := q.consentFaults(c)
		faults = append(faults, wrong...)
		if len(wrong) == 0 {
			lifts := c.OwnInitiative && !q.policy.ReconsentNever && q.newer(c.GivenAt)
			held = append(held, ground{"OK_CONSENT", article, q.objected() == nil || lifts})
		}
	}
	return held, faults
}

func (q *question) consentFaults(c *Consent) []string {
	verified := c.Verified != nil && !c.Verified.At.After(q.at)
	named := q.campaign.Product != "" && slices.Contains(c.Products, q.campaign.Product)
	byPhone := len(c.Channels) == 0 || slices.Contains(c.Channels, Phone)
	faults := map[string]bool{
		"WITHDRAWN":            q.withdrawn(c),
		"CONSENT_EXPIRED":      q.consentEnded(c),
		"CONSENT_STALE":        q.consentStale(c),
		"CONSENT_UNVERIFIED":   q.policy.RequireVerifiedConsent && !verified,
		"EVIDENCE_MISSING":     !q.provable(c),
		"CONSENT_SCOPE":        !named || !slices.Contains(c.Purposes, q.campaign.Purpose),
		"CONSENT_ORGANISATION": !slices.Contains(c.Organisations, q.organisation.ID),
		"CONSENT_CHANNEL":      !byPhone || c.Bundled && !q.policy.AllowBundledChannels,
	}
	return whichHold(faults)
}

func whichHold(m map[string]bool) []string {
	var names []string
	for name, holds := range m {
		if holds {
			names = append(names, name)
		}
	}
	return names
}

func (q *question) provable(c *Consent) bool {
	complete := c.Source != "" && c.Wording != "" && c.Method != 0 && !c.GivenAt.IsZero() && c.Person != ""
	shown := c.Evidence != nil && c.Evidence.URI != "" && c.Evidence.SHA256 != ""
	samePerson := q.call.Person == "" || q.call.Person == c.Person
	return complete && shown && samePerson && !c.Preticked
}

func (q *question) withdrawn(c *Consent) bool {
	for _, w := range q.withdrawals {
		if w.ConsentID != "" && w.ConsentID == c.ID {
			return true
		}
		if w.Organisation == q.organisation.ID && slices.Contains(c.Organisations, w.Organisation) && !c.GivenAt.After(w.At) {
			return true
		}
	}
	return false
}

func (q *question) consentEnded(c *Consent) bool {
	if !c.ExpiresAt.IsZero() {
		return !q.at.Before(c.ExpiresAt)
	}
	return !c.GivenAt.IsZero() && !q.at.Before(after(c.GivenAt, q.policy.ConsentMaxAge))
}

func (q *question) consentStale(c *Consent) bool {
	for _, call := range q.calls {
		campaign := q.cat.Campaigns[call.Campaign]
		if campaign != nil && campaign.Organisation.ID == q.organisation.ID && call.Outcome.String() == "ANSWERED" && call.At.After(c.GivenAt) {
			return false
		}
	}
	term := q.policy.FirstCallWithin
	if c.FirstCallWithin != (Duration{}) {
		term = c.FirstCallWithin
	}
	return !c.GivenAt.IsZero() && !q.at.Before(after(c.GivenAt, term))
}

func (q *question) requestGrounds() (held []ground, faults []string) {
	for _, r := range q.requests {
		if r.Organisation != q.organisation.ID || r.Product != q.campaign.Product || r.Product == "" {
			continue
		}
		wrong := q.requestFaults(r)
		faults = append(faults, wrong...)
		if len(wrong) == 0 {
			held = append(held, ground{"OK_REQUESTED", "NL-TW-11.7-2", q.newer(r.RequestedAt)})
		}
	}
	return held, faults
}

func (q *question) requestFaults(r *CallRequest) []string {
	used := false
	for _, c := range q.calls {
		campaign := q.cat.Campaigns[c.Campaign]
		about := campaign == nil || campaign.Organisation.ID == r.Organisation && campaign.Product == r.Product
		if about && q.policy.RequestUsedBy.Has(c.Outcome) && !c.At.Before(r.RequestedAt) {
			used = true
		}
	}
	ends := after(r.RequestedAt, q.policy.RequestTTL)
	if !r.CallAt.IsZero() {
		ends = midnightAfter(r.CallAt)
	}
	return whichHold(map[string]bool{"REQUEST_USED": used, "REQUEST_EXPIRED": !q.at.Before(ends)})
}

// appointment tells that the person asked to be called about now.
func (q *question) appointment() bool {
	if !q.policy.AppointmentExempt {
		return false
	}
	for _, r := range q.requests {
		if r.CallAt.IsZero() || r.Organisation != q.organisation.ID || r.Product != q.campaign.Product || r.Product == "" {
			continue
		}
		near := !q.at.Before(r.CallAt.Add(-15*time.Minute)) && q.at.Before(r.CallAt.Add(15*time.Minute))
		if near && len(q.requestFaults(r)) == 0 && q.newer(r.RequestedAt) {
			return true
		}
	}
	return false
}
