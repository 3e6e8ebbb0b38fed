// Package record translates between the words on the wire and in the ledger (proto) and the law's facts (eligibility),
// both ways and without loss, and checks on the way in that every word exists and every limit holds. It must not know
// where facts are kept, who sent them, or what follows from them: an imperfect fact, such as a consent without evidence,
// is a fact all the same, and the law says what it is worth.
package record

import (
	"encoding/hex"
	"strings"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"

	"github.com/belpoort/belpoort/eligibility"
)

// FactFromProto reads a fact. What is wrong with it is a *FieldError whose path begins with "fact".
func FactFromProto(m *belpoortv1.Fact) (eligibility.Fact, error) {
	c := &check{}
	var f eligibility.Fact
	c.known("fact", m)
	switch kind := m.GetKind().(type) {
	case *belpoortv1.Fact_Subscriber:
		f.Subscriber = c.subscriber("fact.subscriber", kind.Subscriber)
	case *belpoortv1.Fact_Consent:
		f.Consent = c.consent(kind.Consent)
	case *belpoortv1.Fact_Withdrawal:
		f.Withdrawal = c.withdrawal("fact.withdrawal", kind.Withdrawal)
	case *belpoortv1.Fact_Relationship:
		f.Relationship = c.relationship("fact.relationship", kind.Relationship)
	case *belpoortv1.Fact_CallRequest:
		f.CallRequest = c.callRequest("fact.call_request", kind.CallRequest)
	case *belpoortv1.Fact_Objection:
		f.Objection = c.objection("fact.objection", kind.Objection)
	case *belpoortv1.Fact_CallReport:
		f.CallReport = c.callReport("fact.call_report", kind.CallReport)
	case *belpoortv1.Fact_ListEntry:
		f.ListEntry = c.listEntry("fact.list_entry", kind.ListEntry)
	case *belpoortv1.Fact_ObjectionOffer:
		f.ObjectionOffer = c.offer("fact.objection_offer", kind.ObjectionOffer)
	case *belpoortv1.Fact_Correction:
		f.Correction = c.correction("fact.correction", kind.Correction)
	case *belpoortv1.Fact_Erasure:
		f.Erasure = c.erasure("fact.erasure", kind.Erasure)
	case *belpoortv1.Fact_CorrectionProposed:
		f.CorrectionProposed = c.correctionProposed("fact.correction_proposed", kind.CorrectionProposed)
	case *belpoortv1.Fact_Disposal:
		f.Disposal = c.disposal("fact.disposal", kind.Disposal)
	default:
		c.fail("fact", "is missing")
	}
	if err := c.result(); err != nil {
		return eligibility.Fact{}, err
	}
	return f, nil
}

func (c *check) subscriber(at string, m *belpoortv1.Subscriber) *eligibility.Subscriber {
	c.known(at, m)
	return &eligibility.Subscriber{
		Kind:                    word[eligibility.SubscriberKind](c, at+".kind", m.GetKind()),
		PrivateLine:             m.GetPrivateLine(),
		PublishedForUnsolicited: m.GetPublishedForUnsolicited(),
		EstablishedIn:           c.country(at+".established_in", m.GetEstablishedIn()),
		Born:                    c.date(at+".born", m.GetBorn()),
		Since:                   c.moment(at+".since_time", m.GetSinceTime()),
	}
}

// consent's path is a constant, so that no path is made for a field that is right: consents come by the million.
func (c *check) consent(m *belpoortv1.Consent) *eligibility.Consent {
	const at = "fact.consent"
	c.known(at, m)
	return &eligibility.Consent{
		ID:              c.id(at+".consent_id", m.GetConsentId()),
		Organisations:   c.names(at+".organisations", m.GetOrganisations(), MaxID),
		Channels:        words[eligibility.Channel](c, at+".channels", m.GetChannels()),
		Products:        c.names(at+".products", m.GetProducts(), MaxText),
		Purposes:        words[eligibility.Purpose](c, at+".purposes", m.GetPurposes()),
		Person:          c.text(at+".person", m.GetPerson(), MaxText),
		GivenAt:         c.moment(at+".give_time", m.GetGiveTime()),
		Method:          word[eligibility.ConsentMethod](c, at+".method", m.GetMethod()),
		Preticked:       m.GetPreticked(),
		Bundled:         m.GetBundled(),
		OwnInitiative:   m.GetOwnInitiative(),
		Source:          c.text(at+".source", m.GetSource(), MaxURI),
		Wording:         c.text(at+".wording", m.GetWording(), MaxText),
		Evidence:        c.evidence(at+".evidence", m.GetEvidence()),
		Verified:        c.verification(at+".verified", m.GetVerified()),
		ExpiresAt:       c.moment(at+".expire_time", m.GetExpireTime()),
		FirstCallWithin: c.duration(at+".first_call_within", m.GetFirstCallWithin()),
	}
}

func (c *check) withdrawal(at string, m *belpoortv1.Withdrawal) *eligibility.Withdrawal {
	c.known(at, m)
	if (m.GetConsentId() == "") == (m.GetOrganisation() == "") {
		c.fail(at, "must name exactly one of consent_id and organisation")
	}
	return &eligibility.Withdrawal{
		ConsentID:    c.text(at+".consent_id", m.GetConsentId(), MaxID),
		Organisation: c.text(at+".organisation", m.GetOrganisation(), MaxID),
		At:           c.momentGiven(at+".withdraw_time", m.GetWithdrawTime()),
		Via:          wordGiven[eligibility.Via](c, at+".via", m.GetVia()),
	}
}

func (c *check) relationship(at string, m *belpoortv1.Relationship) *eligibility.Relationship {
	c.known(at, m)
	return &eligibility.Relationship{
		Kind:                         wordGiven[eligibility.RelationshipKind](c, at+".kind", m.GetKind()),
		Organisation:                 c.id(at+".organisation", m.GetOrganisation()),
		Product:                      c.text(at+".product", m.GetProduct(), MaxText),
		StartedAt:                    c.momentGiven(at+".start_time", m.GetStartTime()),
		EndedAt:                      c.moment(at+".end_time", m.GetEndTime()),
		NumberSource:                 word[eligibility.NumberSource](c, at+".number_source", m.GetNumberSource()),
		NoObjectionOfferAtCollection: m.GetNoObjectionOfferAtCollection(),
	}
}

func (c *check) callRequest(at string, m *belpoortv1.CallRequest) *eligibility.CallRequest {
	c.known(at, m)
	return &eligibility.CallRequest{
		Organisation: c.id(at+".organisation", m.GetOrganisation()),
		Product:      c.text(at+".product", m.GetProduct(), MaxText),
		RequestedAt:  c.momentGiven(at+".request_time", m.GetRequestTime()),
		CallAt:       c.moment(at+".call_time", m.GetCallTime()),
		Source:       c.text(at+".source", m.GetSource(), MaxURI),
		Evidence:     c.evidence(at+".evidence", m.GetEvidence()),
	}
}

func (c *check) objection(at string, m *belpoortv1.Objection) *eligibility.Objection {
	c.known(at, m)
	o := &eligibility.Objection{
		Organisation: c.id(at+".organisation", m.GetOrganisation()),
		At:           c.momentGiven(at+".object_time", m.GetObjectTime()),
		Via:          wordGiven[eligibility.Via](c, at+".via", m.GetVia()),
		Scope:        word[eligibility.ObjectionScope](c, at+".scope", m.GetScope()),
		Product:      c.text(at+".product", m.GetProduct(), MaxText),
		By:           word[eligibility.ObjectedBy](c, at+".by", m.GetBy()),
		Receipt:      c.text(at+".receipt", m.GetReceipt(), MaxID),
		DecisionID:   c.decisionID(at+".decision_id", m.GetDecisionId()),
		OwnWords:     c.text(at+".own_words", m.GetOwnWords(), MaxWords),
	}
	switch {
	case o.Scope == eligibility.ScopeProduct && o.Product == "":
		c.fail(at+".product", "is missing: the scope is one product")
	case o.Scope != eligibility.ScopeProduct && o.Product != "":
		c.fail(at+".product", "goes only with the scope PRODUCT")
	}
	return o
}

func (c *check) callReport(at string, m *belpoortv1.CallReport) *eligibility.CallReport {
	c.known(at, m)
	return &eligibility.CallReport{
		Campaign:         c.id(at+".campaign", m.GetCampaign()),
		At:               c.momentGiven(at+".dial_time", m.GetDialTime()),
		Outcome:          wordGiven[eligibility.Outcome](c, at+".outcome", m.GetOutcome()),
		ObjectionOffered: m.GetObjectionOffered(),
		DecisionID:       c.decisionID(at+".decision_id", m.GetDecisionId()),
		EndedAt:          c.moment(at+".end_time", m.GetEndTime()),
		Late:             m.GetLate(),
		Agent:            c.text(at+".agent", m.GetAgent(), MaxAgent),
		Recording:        c.text(at+".recording", m.GetRecording(), MaxText),
		OfferHow:         word[eligibility.OfferHow](c, at+".offer_how", m.GetOfferHow()),
		OfferResult:      word[eligibility.OfferResult](c, at+".offer_result", m.GetOfferResult()),
	}
}

func (c *check) offer(at string, m *belpoortv1.ObjectionOffer) *eligibility.ObjectionOffer {
	c.known(at, m)
	return &eligibility.ObjectionOffer{
		DecisionID:   c.decisionID(at+".decision_id", m.GetDecisionId()),
		Organisation: c.id(at+".organisation", m.GetOrganisation()),
		Campaign:     c.id(at+".campaign", m.GetCampaign()),
		At:           c.momentGiven(at+".offer_time", m.GetOfferTime()),
		How:          wordGiven[eligibility.OfferHow](c, at+".how", m.GetHow()),
		Recording:    c.text(at+".recording", m.GetRecording(), MaxText),
		Result:       wordGiven[eligibility.OfferResult](c, at+".result", m.GetResult()),
		Menu:         c.text(at+".menu", m.GetMenu(), maxNameID),
		Digit:        c.text(at+".digit", m.GetDigit(), 1),
	}
}

func (c *check) decisionID(at, s string) string {
	if raw, err := hex.DecodeString(s); s != "" && (err != nil || len(raw) != 16 || strings.ToLower(s) != s) {
		c.fail(at, "must be 32 hexadecimal characters, in lower case")
	}
	return s
}

func (c *check) listEntry(at string, m *belpoortv1.ListEntry) *eligibility.ListEntry {
	c.known(at, m)
	return &eligibility.ListEntry{
		List:     c.id(at+".list", m.GetList()),
		Since:    c.moment(at+".since_time", m.GetSinceTime()),
		LoadedAt: c.moment(at+".load_time", m.GetLoadTime()),
	}
}

func (c *check) evidence(at string, m *belpoortv1.Evidence) *eligibility.Evidence {
	if m == nil {
		return nil
	}
	c.known(at, m)
	if sum := m.GetSha256(); sum != "" {
		if _, err := hex.DecodeString(sum); err != nil || len(sum) != 64 {
			c.fail(at+".sha256", "must be 64 hexadecimal characters")
		}
	}
	return &eligibility.Evidence{URI: c.text(at+".uri", m.GetUri(), MaxURI), SHA256: m.GetSha256()}
}

func (c *check) verification(at string, m *belpoortv1.Verification) *eligibility.Verification {
	if m == nil {
		return nil
	}
	c.known(at, m)
	return &eligibility.Verification{
		Method: wordGiven[eligibility.VerificationMethod](c, at+".method", m.GetMethod()),
		At:     c.momentGiven(at+".verify_time", m.GetVerifyTime()),
	}
}

func (c *check) country(at, s string) string {
	if s != "" && (len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z') {
		c.fail(at, "must be a country's two capital letters (ISO 3166 alpha-2)")
	}
	return s
}

func (c *check) date(at, s string) eligibility.Date {
	if s == "" {
		return eligibility.Date{}
	}
	d, err := eligibility.ParseDate(s)
	if err != nil || d.Year < 1900 || d.Year >= 2200 {
		c.fail(at, "must be a date like 1990-12-31, between %s and %s", earliestDay, latestDay)
		return eligibility.Date{}
	}
	return d
}

func (c *check) duration(at, s string) eligibility.Duration {
	if s == "" {
		return eligibility.Duration{}
	}
	d, err := eligibility.ParseDuration(s)
	if err != nil {
		c.fail(at, `must be a duration like "9 months", "30 days" or "72h"`)
	}
	return d
}
