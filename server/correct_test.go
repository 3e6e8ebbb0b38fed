package server

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) propose(client, receipt, id string) (*belpoortv1.ProposeCorrectionResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).ProposeCorrection(n.as(client),
		&belpoortv1.ProposeCorrectionRequest{Receipt: receipt, Reason: "wrong number typed", RequestId: id})
}

func (n *node) approve(client, correction, id string) (*belpoortv1.ApproveCorrectionResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).ApproveCorrection(n.as(client),
		&belpoortv1.ApproveCorrectionRequest{CorrectionId: correction, RequestId: id})
}

// objected is a node with a consent, an objection and its receipt.
func objected(t *testing.T) (*node, *belpoortv1.RegisterObjectionResponse) {
	t.Helper()
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	objection, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	if err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
	return n, objection
}

// TestTwoPeopleCorrectAnObjection, and the history shows all of it.
func TestTwoPeopleCorrectAnObjection(t *testing.T) {
	n, objection := objected(t)
	proposed, err := n.propose("compliance-all", objection.GetReceipt(), "p-1")
	if err != nil || proposed.GetCorrectionId() == "" || !proposed.GetExpireTime().AsTime().Equal(wednesday.AddDate(0, 0, 30)) {
		t.Fatalf("proposed: %v, %v", proposed, err)
	}
	if again, err := n.propose("compliance-all", objection.GetReceipt(), "p-1"); err != nil || again.GetCorrectionId() != proposed.GetCorrectionId() || again.GetPosition() != proposed.GetPosition() {
		t.Errorf("proposed again: %v, %v", again, err)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
	approved, err := n.approve("compliance-two", proposed.GetCorrectionId(), "a-1")
	if err != nil || approved.GetObjectionPosition() != objection.GetPosition() {
		t.Fatalf("approved: %v, %v", approved, err)
	}
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	if again, err := n.approve("compliance-two", proposed.GetCorrectionId(), "a-1"); err != nil || again.GetPosition() != approved.GetPosition() {
		t.Errorf("approved again: %v, %v", again, err)
	}
	got, err := n.getObjection("ivr-acme", objection.GetReceipt())
	if err != nil || got.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_CORRECTED || got.GetCorrectionPosition() != approved.GetPosition() {
		t.Errorf("by its receipt: %v, %v", got, err)
	}
	if again, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil || again.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_CORRECTED {
		t.Errorf("the objection sent again: %v, %v", again, err)
	}
	now, err := n.explain("compliance-all", func(*belpoortv1.ExplainCallRequest) {})
	if err != nil || now.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW || !hasStep(now, "objection.corrected", objection.GetPosition()) {
		t.Errorf("explained: %v, %v", now, err)
	}
	before, err := n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Position = proposed.GetPosition() })
	if err != nil || before.GetReason() != belpoortv1.Reason_REASON_OBJECTED {
		t.Errorf("as the ledger stood before: %v, %v", before, err)
	}
	if held, err := n.calleeAs("compliance-all", callee); err != nil || len(held.GetEntries()) != 4 {
		t.Errorf("held: %v, %v", held, err)
	}
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-2")); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
}

// TestNobodyCorrectsAlone: the mutant mutant_approves_own must fail here.
func TestNobodyCorrectsAlone(t *testing.T) {
	n, objection := objected(t)
	proposed, err := n.propose("compliance-all", objection.GetReceipt(), "p-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.approve("compliance-all", proposed.GetCorrectionId(), "a-1")
	wantError(t, "the same credential", err, codes.FailedPrecondition, ReasonCorrectionRefused, "correction_id")
	_, err = n.approve("compliance-glo", proposed.GetCorrectionId(), "a-1")
	wantError(t, "another organisation's", err, codes.NotFound, ReasonCorrectionUnknown, "")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
}

func TestCorrectionRefusals(t *testing.T) {
	n, objection := objected(t)
	_, err := n.propose("compliance-glo", objection.GetReceipt(), "p-1")
	wantError(t, "another organisation's", err, codes.NotFound, ReasonObjectionUnknown, "")
	_, err = n.propose("compliance-all", n.ring.Receipt("nothing"), "p-1")
	wantError(t, "an unknown objection", err, codes.NotFound, ReasonObjectionUnknown, "")
	_, err = n.propose("compliance-all", "nonsense", "p-1")
	wantError(t, "no receipt", err, codes.InvalidArgument, ReasonFieldInvalid, "receipt")
	_, err = belpoortv1.NewObjectionServiceClient(n.conn).ProposeCorrection(n.as("compliance-all"),
		&belpoortv1.ProposeCorrectionRequest{Receipt: objection.GetReceipt(), RequestId: "p-1"})
	wantError(t, "no reason", err, codes.InvalidArgument, ReasonFieldMissing, "reason")
	_, err = n.approve("compliance-two", objection.GetReceipt(), "a-1")
	wantError(t, "an objection instead of a proposal", err, codes.NotFound, ReasonCorrectionUnknown, "")

	first, err := n.propose("compliance-all", objection.GetReceipt(), "p-1")
	if err != nil {
		t.Fatal(err)
	}
	second, err := n.propose("compliance-all", objection.GetReceipt(), "p-2")
	if err != nil || second.GetCorrectionId() == first.GetCorrectionId() {
		t.Fatalf("a second proposal: %v, %v", second, err)
	}
	n.setClock(wednesday.AddDate(0, 0, 30))
	_, err = n.approve("compliance-two", first.GetCorrectionId(), "a-1")
	wantError(t, "after 30 days", err, codes.FailedPrecondition, ReasonCorrectionRefused, "correction_id")
	n.setClock(wednesday.AddDate(0, 0, 30).Add(-time.Second))
	if _, err := n.approve("compliance-two", first.GetCorrectionId(), "a-1"); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string][2]string{
		"twice": {first.GetCorrectionId(), "a-2"}, "through another proposal": {second.GetCorrectionId(), "a-1"}, "both": {second.GetCorrectionId(), "a-3"},
	} {
		_, err = n.approve("compliance-two", c[0], c[1])
		wantError(t, what, err, codes.FailedPrecondition, ReasonCorrectionRefused, "correction_id")
	}
	_, err = n.propose("compliance-all", objection.GetReceipt(), "p-3")
	wantError(t, "proposed after the correction", err, codes.FailedPrecondition, ReasonCorrectionRefused, "receipt")
}
