package server

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// An ALLOW carries a permit for this call and no other, good for two seconds from the question; nothing else carries one.
func TestAnAllowCarriesItsPermit(t *testing.T) {
	n := startNode(t, nil)
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	answer := n.mustCheck(knownCallee)
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	keys := n.permits.keys
	p, err := keys.ForDialing(answer.GetPermit(), wednesday)
	if err != nil {
		t.Fatal(err)
	}
	callee, err := subscriberNumber("callee", knownCallee, dutchLaw())
	if err != nil {
		t.Fatal(err)
	}
	if p.DecisionID != decisionIDOf(answer.GetDecisionId()) || p.Campaign != "acme-x" || p.Organisation != "acme" {
		t.Errorf("the permit is of %+v", p)
	}
	if err := p.Covers(n.ring.Token(callee), "+31201234567"); err != nil {
		t.Errorf("the permit does not cover its call: %v", err)
	}
	if end := answer.GetPermitExpireTime().AsTime(); !end.Equal(wednesday.Add(validFor)) || !p.DialUntil.Equal(end) {
		t.Errorf("the permit ends at %v, and says %v", end, p.DialUntil)
	}
	if _, err := keys.ForDialing(answer.GetPermit(), wednesday.Add(validFor)); err == nil {
		t.Error("the permit is good for dialing after its end")
	}
	if _, late, err := keys.ForReport(answer.GetPermit(), wednesday.Add(time.Hour)); err != nil || late {
		t.Errorf("a report an hour later: late %v, %v", late, err)
	}

	dry := checkOf(knownCallee)
	dry.DryRun = true
	refused := checkOf(knownCallee)
	refused.CallerIdPresentation = belpoortv1.CallerIdPresentation_CALLER_ID_PRESENTATION_RESTRICTED
	for _, without := range []*belpoortv1.CheckCallRequest{dry, refused} {
		answer, err := n.check("dialer-acme", without)
		if err != nil || answer.GetPermit() != "" || answer.GetPermitExpireTime() != nil {
			t.Errorf("%v, %v", answer, err)
		}
	}
}

// What cannot be signed is not allowed, and was never decided.
func TestWithoutAPermitNothingIsAllowed(t *testing.T) {
	n := startNode(t, func(c *Config) { c.Permits = noPermits{} })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	before := n.journal.Stats().Appended
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantError(t, "an ALLOW that cannot be signed", err, codes.Unavailable, ReasonPermitsUnavailable, "")
	if after := n.journal.Stats().Appended; after != before {
		t.Errorf("%d decisions were journalled", after-before)
	}
	n.wants(n.mustCheck("06-12345670"), eligibility.Deny, eligibility.NoBasis)
}

type noPermits struct{}

func (noPermits) Sign(Permit) (string, error) { return "", errors.New("no key signs at this moment") }

func (noPermits) ForReport(string, time.Time) (Permit, bool, error) {
	return Permit{}, false, errors.New("no key")
}
