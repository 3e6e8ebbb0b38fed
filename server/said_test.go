package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// held is everything that the ledger holds about a callee, as compliance sees it.
func (n *node) held(callee string) []*belpoortv1.LedgerEntry {
	n.t.Helper()
	answer, err := belpoortv1.NewRegisterServiceClient(n.conn).GetCallee(n.as("compliance-all"), &belpoortv1.GetCalleeRequest{Callee: callee})
	if err != nil {
		n.t.Fatal(err)
	}
	return answer.GetEntries()
}

// objectionsHeld are the objections among them.
func (n *node) objectionsHeld(callee string) (all []*belpoortv1.Objection) {
	for _, e := range n.held(callee) {
		if o := e.GetFact().GetObjection(); o != nil {
			all = append(all, o)
		}
	}
	return all
}

func objectedReport(permit string) *belpoortv1.ReportCallRequest {
	r := reportOf(permit)
	r.Agent, r.Recording = "a7", "rec/2026/1"
	r.OfferHow, r.OfferResult = belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR, belpoortv1.OfferResult_OFFER_RESULT_OBJECTED
	return r
}

// A report that says that the person objected registers the objection, once, with the report: nobody loses it on the way
// from one system to the next. The mutant mutant_report_forgets_objection must fail here.
func TestAReportOfAnObjectionRegistersIt(t *testing.T) {
	n, allowed := startAllowed(t)
	n.setClock(wednesday.Add(time.Minute))
	first, err := n.report("dialer-acme", objectedReport(allowed.GetPermit()))
	if err != nil || first.GetReceipt() == "" || first.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Fatalf("%v, %v", first, err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.setClock(wednesday.Add(time.Hour))
	again, err := n.report("dialer-acme", objectedReport(allowed.GetPermit()))
	if err != nil || !again.GetUnchanged() || again.GetPosition() != first.GetPosition() || again.GetReceipt() != first.GetReceipt() {
		t.Errorf("a repeat: %v, %v; first %v", again, err, first)
	}
	objections := n.objectionsHeld(knownCallee)
	if len(objections) != 1 || objections[0].GetDecisionId() != allowed.GetDecisionId() || objections[0].GetOrganisation() != "acme" ||
		objections[0].GetScope() != belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION || objections[0].GetReceipt() != first.GetReceipt() ||
		objections[0].GetVia() != belpoortv1.Via_VIA_AGENT || !objections[0].GetObjectTime().AsTime().Equal(wednesday.Add(time.Second)) {
		t.Errorf("recorded: %v", objections)
	}
	for _, e := range n.held(knownCallee) {
		r := e.GetFact().GetCallReport()
		if r != nil && (r.GetAgent() != "a7" || r.GetRecording() != "rec/2026/1" || r.GetOfferHow() != belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR ||
			r.GetOfferResult() != belpoortv1.OfferResult_OFFER_RESULT_OBJECTED) {
			t.Errorf("reported: %v", r)
		}
	}
}

// A report that contradicts an earlier one is refused; the objection in it is registered all the same.
func TestAnObjectionInARefusedReportIsRegistered(t *testing.T) {
	n, allowed := startAllowed(t)
	n.setClock(wednesday.Add(time.Minute))
	calm := objectedReport(allowed.GetPermit())
	calm.OfferResult = belpoortv1.OfferResult_OFFER_RESULT_NOT_OBJECTED
	if _, err := n.report("dialer-acme", calm); err != nil {
		t.Fatal(err)
	}
	_, err := n.report("dialer-acme", objectedReport(allowed.GetPermit()))
	wantError(t, "another report", err, codes.AlreadyExists, ReasonRequestReused, "permit")
	objections := n.objectionsHeld(knownCallee)
	if len(objections) != 1 || !strings.Contains(err.Error(), objections[0].GetReceipt()) {
		t.Errorf("registered: %v; told: %v", objections, err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
}

// While the ledger is away a report is refused, and the objection in it kept: it refuses here at once.
func TestAnObjectionInAReportIsKeptWhileTheLedgerIsAway(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	allowed := n.mustCheck(knownCallee)
	n.wants(allowed, eligibility.Allow, eligibility.OKConsent)
	n.setClock(wednesday.Add(time.Minute))
	n.breakLedger(func(string) error { return ErrLedgerAway })
	_, err := n.report("dialer-acme", objectedReport(allowed.GetPermit()))
	wantError(t, "a report", err, codes.Unavailable, ReasonLedgerUnavailable, "")
	if n.PendingObjections() != 1 {
		t.Fatalf("%d objections are kept", n.PendingObjections())
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.breakLedger(func(string) error { return nil })
	answer, err := n.report("dialer-acme", objectedReport(allowed.GetPermit()))
	if err != nil || answer.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Errorf("repeated when the ledger is back: %v, %v", answer, err)
	}
	n.replays(j)
	for deadline := time.Now().Add(10 * time.Second); n.PendingObjections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never replayed")
		}
	}
	if objections := n.objectionsHeld(knownCallee); len(objections) != 1 || objections[0].GetReceipt() != answer.GetReceipt() {
		t.Errorf("recorded: %v", objections)
	}
}

// startRequested is a node with a call that the person asked for; what uses the request up is the policy's.
func startRequested(t *testing.T, usedBy ...any) (*node, *belpoortv1.CheckCallResponse) {
	t.Helper()
	n := startNode(t, nil)
	m := testCatalogue()
	m.Campaigns[0].Dialing = belpoortv1.Dialing_DIALING_PREVIEW
	list, err := structpb.NewList(usedBy)
	if err != nil {
		t.Fatal(err)
	}
	m.Campaigns[0].Policy.Fields["request_used_by"] = structpb.NewListValue(list)
	n.apply(m)
	n.record(knownCallee, &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallRequest{CallRequest: &belpoortv1.CallRequest{
		Organisation: "acme", Product: "power", RequestTime: stampAt(wednesday.Add(-time.Hour)), Source: "site",
		Evidence: &belpoortv1.Evidence{Uri: "https://acme.example/e", Sha256: strings.Repeat("ab", 32)},
	}}}, "request")
	answer := n.mustCheck(knownCallee)
	n.wants(answer, eligibility.Allow, eligibility.OKRequested)
	return n, answer
}

func TestAReportUsesUpACallRequest(t *testing.T) {
	voicemail := belpoortv1.Outcome_OUTCOME_VOICEMAIL
	for name, one := range map[string]struct {
		usedBy  []any
		outcome belpoortv1.Outcome
		verdict eligibility.Verdict
		reason  eligibility.Reason
	}{
		"answered":                        {[]any{"ANSWERED"}, belpoortv1.Outcome_OUTCOME_ANSWERED, eligibility.Deny, eligibility.RequestUsed},
		"a machine, which counts":         {[]any{"ANSWERED", "VOICEMAIL"}, voicemail, eligibility.Deny, eligibility.RequestUsed},
		"a machine, which does not count": {[]any{"ANSWERED"}, voicemail, eligibility.Allow, eligibility.OKRequested},
	} {
		t.Run(name, func(t *testing.T) {
			n, allowed := startRequested(t, one.usedBy...)
			n.setClock(wednesday.Add(time.Minute))
			report := reportOf(allowed.GetPermit())
			report.Outcome, report.ObjectionOffered = one.outcome, false
			if _, err := n.report("dialer-acme", report); err != nil {
				t.Fatal(err)
			}
			n.wants(n.mustCheck(knownCallee), one.verdict, one.reason)
		})
	}
}

func TestAnAbandonedCallCoolsDown(t *testing.T) {
	n, allowed := startAllowed(t)
	n.setClock(wednesday.Add(time.Minute))
	report := reportOf(allowed.GetPermit())
	report.Outcome, report.ObjectionOffered = belpoortv1.Outcome_OUTCOME_ABANDONED, false
	if _, err := n.report("dialer-acme", report); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.AbandonedCooldown)
}
