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

func (n *node) report(client string, req *belpoortv1.ReportCallRequest) (*belpoortv1.ReportCallResponse, error) {
	return belpoortv1.NewGatekeeperServiceClient(n.conn).ReportCall(n.as(client), req)
}

func reportOf(permit string) *belpoortv1.ReportCallRequest {
	return &belpoortv1.ReportCallRequest{
		Permit: permit, Outcome: belpoortv1.Outcome_OUTCOME_ANSWERED, DialTime: stampAt(wednesday), EndTime: stampAt(wednesday.Add(time.Second)),
		ObjectionOffered: true,
	}
}

// fewAttempts is the tests' catalogue with so many attempts a day for the first campaign.
func fewAttempts(perDay float64) *belpoortv1.Catalogue {
	few := testCatalogue()
	few.Campaigns[0].Policy.Fields["max_attempts"] = structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{
		"per_day": structpb.NewNumberValue(perDay), "per_campaign": structpb.NewNumberValue(8),
	}})
	return few
}

// startAllowed is a node with a call that was allowed, of two a day.
func startAllowed(t *testing.T) (*node, *belpoortv1.CheckCallResponse) {
	t.Helper()
	n := startNode(t, nil)
	n.apply(fewAttempts(2))
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	answer := n.mustCheck(knownCallee)
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	return n, answer
}

// A report becomes a fact about the callee, once; then the call counts by it.
func TestACallIsReportedOnItsPermit(t *testing.T) {
	n, allowed := startAllowed(t)
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Attempts)
	failed := &belpoortv1.ReportCallRequest{
		Permit: allowed.GetPermit(), Outcome: belpoortv1.Outcome_OUTCOME_FAILED, DialTime: stampAt(wednesday),
	}
	first, err := n.report("dialer-acme", failed)
	if err != nil || first.GetPosition() == 0 || first.GetLate() || first.GetUnchanged() {
		t.Fatalf("%v, %v", first, err)
	}
	again, err := n.report("dialer-acme", failed)
	if err != nil || again.GetPosition() != first.GetPosition() || !again.GetUnchanged() {
		t.Errorf("a repeat: %v, %v", again, err)
	}
	_, err = n.report("dialer-acme", reportOf(allowed.GetPermit()))
	wantError(t, "another report of the same call", err, codes.AlreadyExists, ReasonRequestReused, "permit")

	second := n.mustCheck(knownCallee) // the call that was not placed is given back
	n.wants(second, eligibility.Allow, eligibility.OKConsent)
	n.setClock(wednesday.Add(time.Minute))
	if _, err := n.report("dialer-acme", reportOf(second.GetPermit())); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Attempts) // an answered one counts, once
	held, err := belpoortv1.NewRegisterServiceClient(n.conn).GetCallee(n.as("compliance-all"), &belpoortv1.GetCalleeRequest{Callee: knownCallee})
	if err != nil {
		t.Fatal(err)
	}
	last := held.GetEntries()[len(held.GetEntries())-1]
	r := last.GetFact().GetCallReport()
	if r.GetCampaign() != "acme-x" || r.GetDecisionId() != second.GetDecisionId() || !r.GetObjectionOffered() ||
		!r.GetEndTime().AsTime().Equal(wednesday.Add(time.Second)) || r.GetLate() || last.GetRequestId() != "" {
		t.Errorf("recorded: %v", last)
	}
}

// A late report is accepted and marked; one that is far too late is refused.
func TestALateReportIsMarked(t *testing.T) {
	n, allowed := startAllowed(t)
	n.setClock(wednesday.Add(reportFor))
	answer, err := n.report("dialer-acme", reportOf(allowed.GetPermit()))
	if err != nil || !answer.GetLate() {
		t.Errorf("%v, %v", answer, err)
	}
	n.setClock(wednesday.AddDate(0, 1, 0))
	_, err = n.report("dialer-acme", reportOf(allowed.GetPermit()))
	wantError(t, "after a month", err, codes.InvalidArgument, ReasonPermitInvalid, "permit")
}

func TestReportsThatCannotBeOfTheCallAreRefused(t *testing.T) {
	n, allowed := startAllowed(t)
	token := allowed.GetPermit()
	for name, one := range map[string]struct {
		change func(*belpoortv1.ReportCallRequest)
		client string
		code   codes.Code
		reason string
		field  string
	}{
		"no permit":          {change: func(r *belpoortv1.ReportCallRequest) { r.Permit = "" }, reason: ReasonFieldMissing, field: "permit"},
		"a long permit":      {change: func(r *belpoortv1.ReportCallRequest) { r.Permit = strings.Repeat("x", 2000) }, field: "permit"},
		"junk":               {change: func(r *belpoortv1.ReportCallRequest) { r.Permit = "junk" }, reason: ReasonPermitInvalid, field: "permit"},
		"a changed permit":   {change: func(r *belpoortv1.ReportCallRequest) { r.Permit = token[:len(token)-4] + "AAAA" }, reason: ReasonPermitInvalid, field: "permit"},
		"no outcome":         {change: func(r *belpoortv1.ReportCallRequest) { r.Outcome = 0 }, field: "outcome"},
		"an unknown outcome": {change: func(r *belpoortv1.ReportCallRequest) { r.Outcome = 99 }, field: "outcome"},
		"no dial time":       {change: func(r *belpoortv1.ReportCallRequest) { r.DialTime = nil }, field: "dial_time"},
		"dialed before":      {change: func(r *belpoortv1.ReportCallRequest) { r.DialTime = stampAt(wednesday.Add(-time.Minute)) }, field: "dial_time"},
		"dialed tomorrow":    {change: func(r *belpoortv1.ReportCallRequest) { r.DialTime = stampAt(wednesday.Add(time.Hour)) }, field: "dial_time"},
		"ended before":       {change: func(r *belpoortv1.ReportCallRequest) { r.EndTime = stampAt(wednesday.Add(-time.Second)) }, field: "end_time"},
		"ends tomorrow":      {change: func(r *belpoortv1.ReportCallRequest) { r.EndTime = stampAt(wednesday.Add(time.Hour)) }, field: "end_time"},
		"offered to nobody":  {change: func(r *belpoortv1.ReportCallRequest) { r.Outcome = belpoortv1.Outcome_OUTCOME_BUSY }, field: "objection_offered"},
		"a long agent":       {change: func(r *belpoortv1.ReportCallRequest) { r.Agent = strings.Repeat("a", 65) }, field: "agent"},
		"an agent in two":    {change: func(r *belpoortv1.ReportCallRequest) { r.Agent = "a\nb" }, field: "agent"},
		"a long recording":   {change: func(r *belpoortv1.ReportCallRequest) { r.Recording = strings.Repeat("a", 257) }, field: "recording"},
		"a recording that is named by the number": {change: func(r *belpoortv1.ReportCallRequest) { r.Recording = "20261118-140000_0612345678-all.wav" }, field: "recording"},
		"an agent that is the number":             {change: func(r *belpoortv1.ReportCallRequest) { r.Agent = "a31612345678" }, field: "agent"},
		"a way of offering nothing": {change: func(r *belpoortv1.ReportCallRequest) {
			r.ObjectionOffered, r.OfferHow = false, belpoortv1.OfferHow_OFFER_HOW_IVR
		}, field: "objection_offered"},
		"a result of offering nothing": {change: func(r *belpoortv1.ReportCallRequest) {
			r.ObjectionOffered, r.OfferResult = false, belpoortv1.OfferResult_OFFER_RESULT_HUNG_UP
		}, field: "objection_offered"},
		"a result without a way": {change: func(r *belpoortv1.ReportCallRequest) {
			r.OfferResult = belpoortv1.OfferResult_OFFER_RESULT_HUNG_UP
		}, reason: ReasonFieldMissing, field: "offer_how"},
		"an unknown way": {change: func(r *belpoortv1.ReportCallRequest) { r.OfferHow = 99 }, field: "offer_how"},
		"a machine that objects": {change: func(r *belpoortv1.ReportCallRequest) {
			r.Outcome, r.OfferHow = belpoortv1.Outcome_OUTCOME_VOICEMAIL, belpoortv1.OfferHow_OFFER_HOW_IVR
			r.OfferResult = belpoortv1.OfferResult_OFFER_RESULT_OBJECTED
		}, field: "offer_result"},
		"an agent in an abandoned call": {change: func(r *belpoortv1.ReportCallRequest) {
			r.Outcome, r.Agent = belpoortv1.Outcome_OUTCOME_ABANDONED, "a7"
		}, field: "agent"},
		"an agent's offer in an abandoned call": {change: func(r *belpoortv1.ReportCallRequest) {
			r.Outcome, r.OfferHow = belpoortv1.Outcome_OUTCOME_ABANDONED, belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR
		}, field: "offer_how"},
		"another's call": {change: func(*belpoortv1.ReportCallRequest) {}, client: "dialer-globex", code: codes.PermissionDenied,
			reason: ReasonOrganisationForbidden, field: "permit"},
	} {
		req, client, code, reason := reportOf(token), one.client, one.code, one.reason
		one.change(req)
		if client == "" {
			client, code = "dialer-acme", codes.InvalidArgument
		}
		if reason == "" {
			reason = ReasonFieldInvalid
		}
		before := n.head()
		_, err := n.report(client, req)
		if one.field == "outcome" || name == "no dial time" {
			if got, field := ReasonOf(err); field != one.field || (got != ReasonFieldInvalid && got != ReasonFieldMissing) {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			wantError(t, name, err, code, reason, one.field)
		}
		if n.head() != before {
			t.Errorf("%s changed the ledger", name)
		}
	}
}
