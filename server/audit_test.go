package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) explain(client string, change func(*belpoortv1.ExplainCallRequest)) (*belpoortv1.ExplainCallResponse, error) {
	req := &belpoortv1.ExplainCallRequest{Callee: callee, Campaign: "acme-x", CallerId: "020-1234567", Person: "P"}
	change(req)
	return belpoortv1.NewAuditServiceClient(n.conn).ExplainCall(n.as(client), req)
}

func (n *node) decisionAs(client, id string) (*belpoortv1.GetDecisionResponse, error) {
	return belpoortv1.NewAuditServiceClient(n.conn).GetDecision(n.as(client), &belpoortv1.GetDecisionRequest{DecisionId: id})
}

func TestACallIsExplainedAsTheLedgerStood(t *testing.T) {
	n := startNode(t, nil)
	consent := n.record(callee, consentOf("c-1", "acme"), "r-1")
	objection, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	if err != nil {
		t.Fatal(err)
	}
	stopped := testCatalogue()
	stopped.Campaigns[0].Suspended = true
	catalogue := n.apply(stopped)
	for _, c := range []struct {
		position  uint64
		verdict   belpoortv1.Verdict
		reason    belpoortv1.Reason
		catalogue uint64
	}{
		{1, belpoortv1.Verdict_VERDICT_DENY, belpoortv1.Reason_REASON_NO_BASIS, 1},
		{consent.GetPosition(), belpoortv1.Verdict_VERDICT_ALLOW, belpoortv1.Reason_REASON_OK_CONSENT, 1},
		{objection.GetPosition(), belpoortv1.Verdict_VERDICT_DENY, belpoortv1.Reason_REASON_OBJECTED, 1},
		{0, belpoortv1.Verdict_VERDICT_DENY, belpoortv1.Reason_REASON_OBJECTED, catalogue},
	} {
		got, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Position = c.position })
		if err != nil {
			t.Fatal(err)
		}
		if got.GetVerdict() != c.verdict || got.GetReason() != c.reason || got.GetCataloguePosition() != c.catalogue ||
			len(got.GetSteps()) < 5 || got.GetSentence() == "" || len(got.GetCalleeToken()) != 32 || got.GetRegime() != "NL-2026-07-01" {
			t.Errorf("at %d: %v", c.position, got)
		}
	}
	_, err = n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Position = 99 })
	wantError(t, "a position to come", err, codes.OutOfRange, ReasonPositionUnknown, "")
}

func TestACallIsExplainedAtAnyInstant(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	for at, want := range map[time.Time]belpoortv1.Reason{
		wednesday: belpoortv1.Reason_REASON_OK_CONSENT,
		wednesday.AddDate(2, 0, 0).Truncate(time.Second): belpoortv1.Reason_REASON_CONSENT_EXPIRED,
		wednesday.AddDate(-10, 0, 0):                     belpoortv1.Reason_REASON_JURISDICTION_UNSUPPORTED,
		time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC):   belpoortv1.Reason_REASON_HOLIDAY,
	} {
		got, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.DialTime = stampAt(at); r.CallerId = "020-1234567" })
		if err != nil || !contains(got.GetReasons(), want) || !got.GetDialTime().AsTime().Equal(at) {
			t.Errorf("at %v want %v, got %v, %v", at, want, got, err)
		}
	}
	before := n.journal.Stats().Appended
	dutch, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Language = "nl" })
	if err != nil || !strings.Contains(dutch.GetSentence(), "toestemming") {
		t.Errorf("in Dutch: %v, %v", dutch.GetSentence(), err)
	}
	if n.journal.Stats().Appended != before {
		t.Error("an explanation was journalled")
	}
	malformed, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Callee = "112" })
	if err != nil || malformed.GetReason() != belpoortv1.Reason_REASON_CALLEE_INVALID || malformed.GetCalleeToken() != "" {
		t.Errorf("a malformed callee: %v, %v", malformed, err)
	}
}

func contains(list []belpoortv1.Reason, reason belpoortv1.Reason) bool {
	for _, r := range list {
		if r == reason {
			return true
		}
	}
	return false
}

func TestBadQuestionsOfComplianceAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	type req = *belpoortv1.ExplainCallRequest
	for _, c := range []struct {
		change func(req)
		code   codes.Code
		reason string
		field  string
	}{
		{func(r req) { r.Callee = "" }, codes.InvalidArgument, ReasonFieldMissing, "callee"},
		{func(r req) { r.Campaign = "acme-y" }, codes.NotFound, ReasonCampaignUnknown, "campaign"},
		{func(r req) { r.CallerId = "" }, codes.InvalidArgument, ReasonFieldMissing, "caller_id"},
		{func(r req) { r.Language = "de" }, codes.InvalidArgument, ReasonFieldInvalid, "language"},
		{func(r req) { r.DialTime = stampAt(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)) }, codes.InvalidArgument, ReasonFieldInvalid, "dial_time"},
		{func(r req) { r.DialTime = stampAt(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)) }, codes.InvalidArgument, ReasonFieldInvalid, "dial_time"},
	} {
		_, err := n.explain("compliance-all", c.change)
		wantError(t, c.field, err, c.code, c.reason, c.field)
	}
	_, err := n.explain("compliance-glo", func(req) {})
	wantError(t, "another organisation's campaign", err, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign")
	_, err = n.decisionAs("compliance-all", "")
	wantError(t, "no id", err, codes.InvalidArgument, ReasonFieldMissing, "decision_id")
	_, err = n.decisionAs("compliance-all", "12")
	wantError(t, "a short id", err, codes.InvalidArgument, ReasonFieldInvalid, "decision_id")
	_, err = n.decisionAs("compliance-all", strings.Repeat("0", 32))
	wantError(t, "an unknown id", err, codes.NotFound, ReasonDecisionUnknown, "")
}

// G5: a decision is found at once after it was answered, and can be decided again from what it says.
func TestADecisionIsFoundAndReplayed(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	allowed := n.mustCheck(callee)
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	refused := n.mustCheck(callee)
	for _, answer := range []*belpoortv1.CheckCallResponse{allowed, refused} {
		got, err := n.decisionAs("compliance-all", answer.GetDecisionId())
		if err != nil {
			t.Fatal(err)
		}
		d := got.GetDecision()
		if d.GetVerdict() != answer.GetVerdict() || d.GetReason() != answer.GetReason() || d.GetClient() != "dialer-acme" ||
			d.GetCampaign() != "acme-x" || d.GetCallerId() != "+31201234567" || d.GetLawVersion() != answer.GetLawVersion() {
			t.Errorf("decision = %v", d)
		}
		again, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) {
			r.Position, r.DialTime = d.GetLedgerPosition(), d.GetDecideTime()
		})
		if err != nil || again.GetVerdict() != d.GetVerdict() || again.GetReason() != d.GetReason() ||
			again.GetBasis().String() != d.GetBasis().String() || again.GetCataloguePosition() != d.GetCataloguePosition() {
			t.Errorf("replayed: %v, %v\n as it was: %v", again, err, d)
		}
		_, err = n.decisionAs("compliance-glo", answer.GetDecisionId())
		wantError(t, "another organisation's", err, codes.NotFound, ReasonDecisionUnknown, "")
	}
}
