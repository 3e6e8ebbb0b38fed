package server

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

func (n *node) eraseAs(client string, req *belpoortv1.EraseCalleeRequest) (*belpoortv1.EraseCalleeResponse, error) {
	return belpoortv1.NewRegisterServiceClient(n.conn).EraseCallee(n.as(client), req)
}

func (n *node) erase(id string) *belpoortv1.EraseCalleeResponse {
	n.t.Helper()
	answer, err := n.eraseAs("compliance-all", &belpoortv1.EraseCalleeRequest{Callee: callee, RequestId: id, Reason: "asked by letter"})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer
}

func consentAt(id string, at time.Time, ownInitiative bool) *belpoortv1.Fact {
	fact := consentOf(id, "acme")
	c := fact.GetConsent()
	c.GiveTime, c.OwnInitiative, c.Verified.VerifyTime = record.Stamp(at), ownInitiative, record.Stamp(at)
	return fact
}

// TestAnErasedCalleeHasNoBasisLeft: not on what was held, not on the same consent sent again under any name, but on a later
// one. The mutant mutant_erased_comes_back in eligibility must fail here.
func TestAnErasedCalleeHasNoBasisLeft(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	answer := n.erase("e-1")
	if answer.GetPosition() != 3 || answer.GetErased() != 1 || answer.GetKept() != 0 || answer.GetRecordTime() == nil {
		t.Errorf("answer = %v", answer)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.NoBasis)
	if again := n.erase("e-1"); again.GetPosition() != answer.GetPosition() || again.GetErased() != 1 {
		t.Errorf("again = %v", again)
	}
	if got := n.record(callee, consentOf("c-1", "acme"), "r-1"); !got.GetUnchanged() {
		t.Errorf("the same fact again: %v", got)
	}
	n.record(callee, consentOf("c-1", "acme"), "r-2")
	n.record(callee, consentOf("c-2", "acme"), "")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.NoBasis)

	n.setClock(wednesday.Add(time.Hour))
	n.record(callee, consentAt("c-3", wednesday.Add(time.Minute), false), "r-3")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	if again := n.erase("e-1"); again.GetPosition() != answer.GetPosition() {
		t.Errorf("again, later = %v", again)
	}
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

// TestSuppressionOutlivesErasure: an objection still refuses, against a later consent too that is not the person's own
// initiative; it is found by its receipt; and so does a withdrawal. The mutant mutant_suppression_erased in record must fail
// here.
func TestSuppressionOutlivesErasure(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	objection, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	if err != nil {
		t.Fatal(err)
	}
	if answer := n.erase("e-1"); answer.GetErased() != 1 || answer.GetKept() != 1 {
		t.Errorf("answer = %v", answer)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
	n.setClock(wednesday.Add(time.Hour))
	n.record(callee, consentAt("c-2", wednesday.Add(time.Minute), false), "r-2")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
	got, err := n.getObjection("ivr-acme", objection.GetReceipt())
	if err != nil || got.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE || got.GetPosition() != objection.GetPosition() {
		t.Errorf("by its receipt: %v, %v", got, err)
	}
	why, err := n.explain("compliance-all", func(*belpoortv1.ExplainCallRequest) {})
	if err != nil || why.GetReason() != belpoortv1.Reason_REASON_OBJECTED || !hasStep(why, "erased", 4) || !hasStep(why, "objection", objection.GetPosition()) {
		t.Errorf("explained: %v, %v", why, err)
	}
	_, err = n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Position = 3 })
	wantError(t, "as the ledger stood before", err, codes.FailedPrecondition, ReasonCalleeErased, "")
	n.record(callee, consentAt("c-3", wednesday.Add(2*time.Minute), true), "r-3")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

func hasStep(m *belpoortv1.ExplainCallResponse, rule string, position uint64) bool {
	for _, s := range m.GetSteps() {
		if s.GetRule() == rule && s.GetPosition() == position {
			return true
		}
	}
	return false
}

// TestWhatIsHeldAfterAnErasure: the access request shows that something was there, and no word of it; the number is gone.
func TestWhatIsHeldAfterAnErasure(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	minor := &belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: &belpoortv1.Subscriber{
		Kind: belpoortv1.SubscriberKind_SUBSCRIBER_KIND_NATURAL_PERSON, Born: "2012-03-04",
	}}}
	n.record(callee, minor, "r-2")
	decided := n.mustCheck(callee)
	number, err := n.calleeAs("compliance-all", callee)
	if err != nil {
		t.Fatal(err)
	}
	n.erase("e-1")
	got, err := n.calleeAs("compliance-all", callee)
	if err != nil || len(got.GetEntries()) != 3 || len(got.GetDecisions()) != len(number.GetDecisions()) {
		t.Fatalf("held: %v, %v", got, err)
	}
	for i, e := range got.GetEntries() {
		if gone := i < 2; e.GetErased() != gone || (e.GetFact() == nil) != gone || len(e.GetHash()) != 32 {
			t.Errorf("entry %d: %v", i, e)
		}
	}
	if e := got.GetEntries()[2].GetFact().GetErasure(); e.GetClient() != "compliance-all" || e.GetReason() != "asked by letter" || e.GetBorn() != "2012-03-04" {
		t.Errorf("the erasure: %v", e)
	}
	canonical, err := telephony.Canonical(callee)
	if err != nil {
		t.Fatal(err)
	}
	token := n.ring.Token(canonical)
	if sealed, err := n.door.ledger.SealedNumber(t.Context(), token); err == nil {
		t.Errorf("the number is still there: %x", sealed)
	}
	if r, err := n.door.ledger.Verify(t.Context()); err != nil || !r.OK() || r.Erased != 2 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	shown, err := n.decisionAs("compliance-all", decided.GetDecisionId())
	if person := shown.GetDecision().GetPerson(); err != nil || len(person) != 32 {
		t.Errorf("the decision holds the person %q, %v", person, err)
	}
	n.setClock(wednesday.Add(time.Hour))
	n.record(callee, consentAt("c-3", wednesday.Add(time.Minute), false), "r-3")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Minor)
}

func TestErasureRefusals(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	with := func(change func(*belpoortv1.EraseCalleeRequest)) error {
		req := &belpoortv1.EraseCalleeRequest{Callee: callee, RequestId: "e-1"}
		change(req)
		_, err := n.eraseAs("compliance-all", req)
		return err
	}
	wantError(t, "no number", with(func(r *belpoortv1.EraseCalleeRequest) { r.Callee = "" }), codes.InvalidArgument, ReasonFieldMissing, "callee")
	wantError(t, "no request id", with(func(r *belpoortv1.EraseCalleeRequest) { r.RequestId = "" }), codes.InvalidArgument, ReasonFieldMissing, "request_id")
	wantError(t, "long reason", with(func(r *belpoortv1.EraseCalleeRequest) { r.Reason = string(make([]byte, 501)) }), codes.InvalidArgument, ReasonFieldInvalid, "reason")
	_, err := n.eraseAs("compliance-glo", &belpoortv1.EraseCalleeRequest{Callee: callee, RequestId: "e-1"})
	wantError(t, "one organisation's key", err, codes.PermissionDenied, ReasonOrganisationForbidden, "")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	n.erase("e-2")
	_, err = n.eraseAs("compliance-all", &belpoortv1.EraseCalleeRequest{Callee: callee, RequestId: "e-2", Reason: "other"})
	wantError(t, "another reason", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	_, err = n.eraseAs("compliance-all", &belpoortv1.EraseCalleeRequest{Callee: "06-87654321", RequestId: "e-2", Reason: "asked by letter"})
	wantError(t, "another callee", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	for what, fact := range map[string]*belpoortv1.Fact{
		"an erasure":   {Kind: &belpoortv1.Fact_Erasure{Erasure: &belpoortv1.Erasure{EraseTime: record.Stamp(wednesday)}}},
		"a correction": {Kind: &belpoortv1.Fact_Correction{Correction: &belpoortv1.Correction{ObjectionPosition: 1, ApproveTime: record.Stamp(wednesday)}}},
		"a proposal":   {Kind: &belpoortv1.Fact_CorrectionProposed{CorrectionProposed: &belpoortv1.CorrectionProposed{ObjectionPosition: 1, ProposeTime: record.Stamp(wednesday)}}},
	} {
		_, err := n.recordAs("register-all", &belpoortv1.RecordFactRequest{Callee: callee, Fact: fact})
		wantError(t, what+" as a fact", err, codes.InvalidArgument, ReasonFieldInvalid, "fact")
	}
}

// TestAnErasureSeesFactsThatComeMeanwhile begins anew.
func TestAnErasureSeesFactsThatComeMeanwhile(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	came := 0
	n.breakLedger(func(operation string) error {
		if operation == "Erase" && came < 3 {
			came++
			n.record(callee, consentOf("c-1", "acme"), string(rune('a'+came)))
		}
		return nil
	})
	if answer := n.erase("e-1"); answer.GetErased() != 4 || came != 3 {
		t.Errorf("answer = %v after %d facts", answer, came)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.NoBasis)
}
