package server

import (
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// The limits that the comments of the API state, in bytes.
const (
	maxNumber    = telephony.MaxInput
	maxName      = 64
	maxPerson    = 128
	maxRequestID = 128
	maxCatalogue = 224 << 10
	maxFacts     = 500
)

// short refuses a text that is too long.
func short(field, s string, most int) error {
	if len(s) > most {
		return invalid(field, "is longer than %d bytes", most)
	}
	return nil
}

// needed refuses a text that is empty or too long.
func needed(field, s string, most int) error {
	if s == "" {
		return missing(field)
	}
	return short(field, s, most)
}

// printable refuses a text that is too long or holds a control character, which stores and logs would not all keep.
func printable(field, s string, most int) error {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(field, "holds a control character")
	}
	return short(field, s, most)
}

// withoutNumber refuses a reference that holds the callee's number, as dialers' names of recordings do: it would stand in
// the ledger for everybody to read.
func (s *Server) withoutNumber(field, text string, callee eligibility.CalleeToken) error {
	for start := range len(text) {
		for _, length := range [...]int{9, 10, 11, 12} {
			if start+length <= len(text) && s.isNumberOf(text[start:start+length], callee) {
				return invalid(field, "holds the callee's telephone number; refer to it by something else")
			}
		}
	}
	return nil
}

// isNumberOf reports whether digits are a callee's number, with its country code, its trunk zero, or neither.
func (s *Server) isNumberOf(digits string, callee eligibility.CalleeToken) bool {
	if strings.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return false
	}
	for _, before := range [...]string{"", "+", "0"} {
		if n, err := telephony.Canonical(before + digits); err == nil && s.ring.Token(n) == callee {
			return true
		}
	}
	return false
}

// requestID reads the client's id of a write.
func requestID(s string) error {
	if s == "" {
		return missing("request_id")
	}
	return printable("request_id", s, maxRequestID)
}

// number reads a telephone number that must be one.
func number(field, s string) (telephony.Number, error) {
	if err := needed(field, s, maxNumber); err != nil {
		return telephony.Number{}, err
	}
	n, err := telephony.Canonical(s)
	if err != nil && mutantNumberInError {
		return telephony.Number{}, invalid(field, "%q is no telephone number", s)
	}
	if err != nil {
		return telephony.Number{}, &failure{codes.InvalidArgument, ReasonCalleeInvalid, field, field + " is no telephone number: " + err.Error(), nil}
	}
	return n, nil
}

// subscriberNumber reads a number about which something is to be recorded: one that the numbering plan of the law's
// country knows, where it is of that country. Anything else is a typing error, and would be kept for nobody.
func subscriberNumber(field, s string, law *eligibility.Law) (telephony.Number, error) {
	n, err := number(field, s)
	if err != nil || !law.Governs(n.E164()) {
		return n, err
	}
	if r, ok := law.RangeOf(n.E164()); !ok || r.Callee == eligibility.RangeInvalid {
		return n, &failure{codes.InvalidArgument, ReasonCalleeInvalid, field, field + " is no number of the numbering plan: is a digit missing, or one too many?", nil}
	}
	return n, nil
}

// firstError is the first error there is.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// organisationsOf names the organisations in whose interest a fact is recorded, with the fields that name them.
func organisationsOf(f *eligibility.Fact, force *inForce) (fields, organisations []string) {
	switch {
	case f.Consent != nil:
		for i, id := range f.Consent.Organisations {
			fields = append(fields, indexed("fact.consent.organisations", i))
			organisations = append(organisations, id)
		}
	case f.Withdrawal != nil && f.Withdrawal.Organisation != "":
		return []string{"fact.withdrawal.organisation"}, []string{f.Withdrawal.Organisation}
	case f.Relationship != nil:
		return []string{"fact.relationship.organisation"}, []string{f.Relationship.Organisation}
	case f.CallRequest != nil:
		return []string{"fact.call_request.organisation"}, []string{f.CallRequest.Organisation}
	case f.Objection != nil:
		return []string{"fact.objection.organisation"}, []string{f.Objection.Organisation}
	case f.ObjectionOffer != nil:
		return []string{"fact.objection_offer.organisation"}, []string{f.ObjectionOffer.Organisation}
	case f.CallReport != nil:
		if campaign := force.catalogue.Campaigns[f.CallReport.Campaign]; campaign != nil {
			return []string{"fact.call_report.campaign"}, []string{campaign.Organisation.ID}
		}
	}
	return fields, organisations
}

// checkReferences refuses a fact that names what the catalogue does not have: it would never have an effect, and nobody
// would notice. A consent may name other recipients besides, for it says what the person was shown.
func checkReferences(f *eligibility.Fact, force *inForce) error {
	if f.CallReport != nil && force.catalogue.Campaigns[f.CallReport.Campaign] == nil {
		return unknownCampaign("fact.call_report.campaign")
	}
	fields, organisations := organisationsOf(f, force)
	known := 0
	for _, id := range organisations {
		if force.catalogue.Organisations[id] != nil {
			known++
		}
	}
	if len(organisations) > 0 && known == 0 {
		return unknownOrganisation(fields[0])
	}
	return nil
}

// checkClient refuses a fact that names an organisation for which the client may not act.
func checkClient(f *eligibility.Fact, force *inForce, c *client) error {
	fields, organisations := organisationsOf(f, force)
	for i, id := range organisations {
		if !c.mayActFor(id) {
			return forbiddenOrganisation(fields[i])
		}
	}
	return nil
}

// mayRead reports whether a client may read a fact: one that names organisations only if it may act for one of them.
func mayRead(f *eligibility.Fact, force *inForce, c *client) bool {
	if c.everybody {
		return true
	}
	_, organisations := organisationsOf(f, force)
	for _, id := range organisations {
		if c.mayActFor(id) {
			return true
		}
	}
	return len(organisations) == 0
}

// checkNotAhead refuses an objection or withdrawal of the future: until then it would have no effect.
func checkNotAhead(f *eligibility.Fact, s *Server) error {
	if !revokedAt(f).After(s.clock().Add(clockSkew)) {
		return nil
	}
	if f.Objection != nil {
		return invalid("fact.objection.object_time", "lies in the future")
	}
	return invalid("fact.withdrawal.withdraw_time", "lies in the future")
}

// checkNarrowing refuses an objection that reaches less than the organisation without the person's own words: nobody else may
// narrow it.
func checkNarrowing(f *eligibility.Fact) error {
	switch o := f.Objection; {
	case o == nil || mutantNarrowedWithoutWords:
		return nil
	case o.Scope == eligibility.ScopeProduct && o.OwnWords == "":
		return &failure{codes.InvalidArgument, ReasonFieldMissing, "fact.objection.own_words",
			"fact.objection.own_words is missing: only the person's own words narrow an objection to a product", nil}
	case o.Scope != eligibility.ScopeProduct && o.OwnWords != "":
		return invalid("fact.objection.own_words", "goes only with the scope PRODUCT")
	}
	return nil
}

// recordError turns an error of the room record about a part of a request into an answer.
func recordError(err error) error {
	if err == nil {
		return nil
	}
	return invalidRecord(err)
}

// checkFact checks what a well-formed fact says against the catalogue, the client and the clock.
func (s *Server) checkFact(f *eligibility.Fact, force *inForce, c *client) error {
	if !record.Recordable(f) {
		return invalid("fact", "is of a kind that the service records itself")
	}
	if f.Objection != nil && f.Objection.Receipt != "" {
		return invalid("fact.objection.receipt", "is given by the service")
	}
	if f.Objection != nil && f.Objection.DecisionID != "" {
		return invalid("fact.objection.decision_id", "is given by RegisterObjection, from the permit or the call's id")
	}
	if f.ObjectionOffer != nil {
		return invalid("fact.objection_offer", "is recorded by RecordObjectionOffer, which knows the call")
	}
	return firstError(checkReferences(f, force), checkClient(f, force, c), checkNotAhead(f, s), checkNarrowing(f))
}

// maxReceipt bounds a receipt as people spell it.
const maxReceipt = record.MaxID
