package server

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// knownCase is a call whose verdict is known.
type knownCase struct {
	name         string
	callee       string
	callerID     string
	presentation eligibility.Presentation
	at           string // RFC 3339
	facts        []*belpoortv1.Fact
	verdict      eligibility.Verdict
	reason       eligibility.Reason
}

// The moments and numbers of the known cases: a Wednesday, with a caller ID that was tested a little before it.
const (
	knownMoment  = "2026-11-18T14:00:00+01:00"
	knownCallee  = "06-12345678"
	knownShown   = "020-1234567"
	knownName    = "self-test"
	knownProduct = "product"
)

func knownCases() []knownCase {
	consent, sale := knownConsent(), knownSale()
	unproven := knownConsent()
	unproven.GetConsent().Evidence = nil
	cases := []knownCase{
		{name: "consent", facts: facts(consent), verdict: eligibility.Allow, reason: eligibility.OKConsent},
		{name: "nothing known", verdict: eligibility.Deny, reason: eligibility.NoBasis},
		{name: "objection", facts: facts(consent, knownObjection()), verdict: eligibility.Deny, reason: eligibility.Objected},
		{name: "withdrawal", facts: facts(consent, knownWithdrawal()), verdict: eligibility.Deny, reason: eligibility.Withdrawn},
		{name: "consent without evidence", facts: facts(unproven), verdict: eligibility.Deny, reason: eligibility.EvidenceMissing},
		{name: "customer under the new law", facts: facts(sale), verdict: eligibility.Deny, reason: eligibility.NoBasis},
		{name: "customer under the old law", at: "2026-06-16T14:00:00+02:00", callerID: "020-7654321", facts: facts(sale),
			verdict: eligibility.Allow, reason: eligibility.OKCustomer},
		{name: "late evening", at: "2026-11-18T22:30:00+01:00", facts: facts(consent), verdict: eligibility.Defer, reason: eligibility.Hours},
		{name: "Sunday", at: "2026-11-22T14:00:00+01:00", facts: facts(consent), verdict: eligibility.Defer, reason: eligibility.Holiday},
		{name: "withheld caller ID", presentation: eligibility.PresentationRestricted, facts: facts(consent),
			verdict: eligibility.Deny, reason: eligibility.CallerIDWithheld},
		{name: "somebody else's caller ID", callerID: "020-7000000", facts: facts(consent),
			verdict: eligibility.Deny, reason: eligibility.CallerIDNotRegistered},
		{name: "no telephone number", callee: "06-123", facts: facts(consent), verdict: eligibility.Deny, reason: eligibility.CalleeInvalid},
		{name: "before any law", at: "2020-11-18T14:00:00+01:00", facts: facts(consent),
			verdict: eligibility.Deny, reason: eligibility.JurisdictionUnsupported},
	}
	return cases
}

func facts(list ...*belpoortv1.Fact) []*belpoortv1.Fact { return list }

func knownConsent() *belpoortv1.Fact {
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: &belpoortv1.Consent{
		ConsentId: knownName, Organisations: []string{knownName}, Products: []string{knownProduct}, Person: "P",
		Purposes: []belpoortv1.Purpose{belpoortv1.Purpose_PURPOSE_COMMERCIAL}, GiveTime: moment("2026-09-19T12:00:00+02:00"),
		Method: belpoortv1.ConsentMethod_CONSENT_METHOD_WEB_FORM, Source: "https://self-test.example/", Wording: "1",
		Evidence: &belpoortv1.Evidence{
			Uri: "https://self-test.example/1", Sha256: "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069",
		},
		Verified: &belpoortv1.Verification{
			Method: belpoortv1.VerificationMethod_VERIFICATION_METHOD_SMS, VerifyTime: moment("2026-09-19T12:02:00+02:00"),
		},
	}}}
}

func knownSale() *belpoortv1.Fact {
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Relationship{Relationship: &belpoortv1.Relationship{
		Kind: belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE, Organisation: knownName, Product: knownProduct,
		StartTime: moment("2024-03-01T00:00:00+01:00"),
	}}}
}

func knownObjection() *belpoortv1.Fact {
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: &belpoortv1.Objection{
		Organisation: knownName, ObjectTime: moment("2026-11-18T10:05:00+01:00"), Via: belpoortv1.Via_VIA_IVR,
	}}}
}

func knownWithdrawal() *belpoortv1.Fact {
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Withdrawal{Withdrawal: &belpoortv1.Withdrawal{
		ConsentId: knownName, WithdrawTime: moment("2026-11-17T16:00:00+01:00"), Via: belpoortv1.Via_VIA_WEB,
	}}}
}

// knownCatalogue pins the settings on which the known cases rest, so that other defaults do not change them.
func knownCatalogue() (*belpoortv1.Catalogue, error) {
	policy, err := structpb.NewStruct(map[string]any{
		"hours": "Mon-Fri 09:00-21:00, Sat 10:00-16:00", "require_verified_consent": true, "consent_max_age": "12 months",
		"first_call_within": "6 months", "caller_id_test_max_age": "6 months",
	})
	return &belpoortv1.Catalogue{
		Organisations: []*belpoortv1.Organisation{{
			Id: knownName, LegalName: "Self-test", Class: belpoortv1.OrganisationClass_ORGANISATION_CLASS_COMMERCIAL,
		}},
		CallerIds: []*belpoortv1.CallerId{
			{Number: knownShown, Organisation: knownName, CallbackTestTime: moment("2026-11-01T10:00:00+01:00"),
				PublishedUrl: "https://self-test.example/"},
			{Number: "020-7654321", Organisation: knownName, CallbackTestTime: moment("2026-06-01T10:00:00+02:00"),
				PublishedUrl: "https://self-test.example/"},
		},
		Campaigns: []*belpoortv1.Campaign{{
			Id: knownName, Organisation: knownName, Purpose: belpoortv1.Purpose_PURPOSE_COMMERCIAL, Product: knownProduct,
			Mode: belpoortv1.Mode_MODE_HUMAN, Dialing: belpoortv1.Dialing_DIALING_PREDICTIVE, Policy: policy,
		}},
	}, err
}

func moment(s string) *timestamppb.Timestamp {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic("server: a known case has the bad time " + s)
	}
	return timestamppb.New(t)
}

// SelfTest decides calls whose verdicts are known, through the same translation, catalogue, register and law as a check;
// it touches no store. The error names every case that came out differently.
func (s *Server) SelfTest() error { return selfTest(s.force.Load().law) }

func selfTest(law *eligibility.Law) error {
	m, err := knownCatalogue()
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	force, err := readForce(m, law, 0)
	if err != nil {
		return fmt.Errorf("self-test: %w", err)
	}
	var wrong []error
	for _, known := range knownCases() {
		if err := known.try(force); err != nil {
			wrong = append(wrong, fmt.Errorf("self-test: %s: %w", known.name, err))
		}
	}
	return errors.Join(wrong...)
}

func (known knownCase) try(force *inForce) error {
	var held []eligibility.Fact
	for i, m := range known.facts {
		f, err := record.FactFromProto(m)
		if err != nil {
			return err
		}
		payload, err := record.Marshal(f)
		if err != nil {
			return err
		}
		if f, err = record.Unmarshal(uint64(i+1), payload); err != nil {
			return err
		}
		held = append(held, f)
	}
	call := &eligibility.Call{Campaign: force.catalogue.Campaigns[knownName], Presentation: known.presentation}
	call.CallerID = canonicalOr(known.callerID, knownShown)
	call.Callee = canonicalOr(known.callee, knownCallee)
	at := moment(knownMoment)
	if known.at != "" {
		at = moment(known.at)
	}
	e := eligibility.Fold(eligibility.CalleeToken{1}, uint64(len(held)), at.AsTime(), held)
	d := eligibility.Decide(e, call, force.catalogue, force.law, at.AsTime())
	if d.Verdict != known.verdict || d.Reason != known.reason {
		return fmt.Errorf("want %v %v, got %v %v", known.verdict, known.reason, d.Verdict, d.Reason)
	}
	return nil
}

// canonicalOr is a number's canonical form, "" when it has none.
func canonicalOr(written, otherwise string) string {
	if written == "" {
		written = otherwise
	}
	n, err := telephony.Canonical(written)
	if err != nil {
		return ""
	}
	return n.E164()
}
