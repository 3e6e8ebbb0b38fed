package eligibility_test

import (
	"slices"
	"strings"

	. "github.com/belpoort/belpoort/eligibility" //nolint:revive // the tests speak the room's words
)

// business tells that the subscriber is a legal person, or a natural person who acts in a profession or business.
func (q *question) business() bool {
	switch q.subscriber.Kind.String() {
	case "SOLE_TRADER", "PARTNERSHIP", "LEGAL_PERSON", "IN_FORMATION":
		return true
	}
	return false
}

// legalPerson tells that the subscriber is no natural person to the Act.
func (q *question) legalPerson() bool {
	kind := q.subscriber.Kind.String()
	if q.subscriber.PrivateLine && q.policy.PrivateLineIsNatural {
		return false
	}
	return kind == "LEGAL_PERSON" || kind == "IN_FORMATION" && !q.policy.InFormationIsNatural
}

// subscriberGrounds are the bases that rest on who is called.
func (q *question) subscriberGrounds() (held []ground, faults []string) {
	free := q.objected() == nil
	if q.business() && q.subscriber.PublishedForUnsolicited {
		held = append(held, ground{"OK_PUBLISHED", "NL-TW-11.7-3", free})
	}
	country := q.subscriber.EstablishedIn
	if q.business() && country != "" && !slices.Contains(strings.Fields(eeaStates), country) {
		held = append(held, ground{"OK_OUTSIDE_EEA", "NL-TW-11.7-3", free})
	}
	if q.legalPerson() && q.automated() {
		faults = append(faults, "AUTOMATED_WITHOUT_CONSENT")
	}
	if q.legalPerson() && !q.automated() {
		held = append(held, ground{"OK_LEGAL_PERSON", "NL-TW-11.7-2", free})
	}
	return held, faults
}

// relationKind is the basis that a relationship of this kind would be for the calling organisation; none: no basis at all.
func (q *question) relationKind(kind string) (reason, article string) {
	class, licence := q.organisation.Class.String(), q.organisation.Licence.String()
	idealistic := class == "IDEALISTIC"
	attended, _ := ParseWord[RelationshipKind](kind)
	prints := !q.organisation.DigitalOnly || q.policy.DigitalOnlyPublisher
	switch {
	case kind == "SALE" && q.at.Before(lawOf2026):
		return "OK_CUSTOMER", "NL-TW-11.7-4"
	case kind == "SALE" && class == "PUBLISHER" && q.organisation.IssuesPerYear >= 3 && prints:
		return "OK_PUBLISHER", "NL-TW-11.7-6"
	case kind == "SALE" && class == "GAMBLING_LICENSEE" && slices.Contains([]string{"WOK_3", "WOK_9", "WOK_27B"}, licence):
		return "OK_LOTTERY", "NL-TW-11.7-6"
	case kind == "DONATION" && idealistic:
		return "OK_DONATION", "NL-TW-11.7-5"
	case kind == "VOLUNTEERING" && idealistic:
		return "OK_VOLUNTEER", "NL-TW-11.7-5"
	case idealistic && q.policy.DemonstrationCounts.Has(attended):
		return "OK_DEMONSTRATION", "NL-TW-11.7-5"
	}
	return "", ""
}

func (q *question) relationshipGrounds() (held []ground, faults []string) {
	for _, r := range q.relationships {
		kind, article := q.relationKind(r.Kind.String())
		if kind == "" {
			continue
		}
		wrong := q.relationFaults(r)
		robot := q.automated() && !(kind == "OK_DONATION" && q.policy.AllowDonorAutomated)
		if robot {
			wrong = append(wrong, "AUTOMATED_WITHOUT_CONSENT")
		}
		switch {
		case r.Organisation != q.organisation.ID && len(wrong) == 0:
			faults = append(faults, "ENTITY_MISMATCH")
		case r.Organisation == q.organisation.ID && len(wrong) > 0:
			faults = append(faults, wrong...)
		case r.Organisation == q.organisation.ID:
			held = append(held, ground{kind, article, q.objected() == nil})
		}
	}
	return held, faults
}

func (q *question) relationFaults(r *Relationship) []string {
	sale := r.Kind.String() == "SALE"
	source := r.NumberSource.String()
	waived := r.StartedAt.Before(lawOf2021) && (sale || q.policy.Pre2021CollectionWaiver)
	fitting := q.campaign.Purpose.String() == "IDEALISTIC"
	if sale {
		fitting = q.similar(r.Product)
	}
	return whichHold(map[string]bool{
		"TERM_EXPIRED":                     q.termOver(r),
		"NUMBER_ENRICHED":                  source == "ENRICHED" || source == "PURCHASED",
		"NO_OBJECTION_OFFER_AT_COLLECTION": r.NoObjectionOfferAtCollection && !waived,
		"DISSIMILAR":                       !fitting,
	})
}

// termOver counts in dates: the anniversary of the end is too late.
func (q *question) termOver(r *Relationship) bool {
	return !r.EndedAt.IsZero() && dateOf(q.at) >= dateOf(after(noonOf(r.EndedAt), q.policy.RelationshipTerm))
}

// similar tells that a product is the campaign's or of one family with it.
func (q *question) similar(product string) bool {
	if product == "" || q.campaign.Product == "" {
		return false
	}
	for _, family := range q.cat.Families[product] {
		if slices.Contains(q.cat.Families[q.campaign.Product], family) {
			return true
		}
	}
	return product == q.campaign.Product
}
