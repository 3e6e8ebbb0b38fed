package server

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/telephony"
)

// strictCatalogue lets a campaign owe less than three offers, and abandon less than half of four calls.
func strictCatalogue() *belpoortv1.Catalogue {
	m := testCatalogue()
	strict, err := structpb.NewStruct(map[string]any{
		"offer_debt_limit": map[string]any{"percent": 2, "at_least": 3}, "offer_deadline": "10 minutes",
		"abandoned_limit": map[string]any{"percent": 50, "at_least": 4}, "max_attempts": map[string]any{"per_day": 1000, "per_campaign": 1000},
		"abandoned_cooldown": "1 hour",
	})
	if err != nil {
		panic(err)
	}
	for _, c := range m.Campaigns {
		c.Policy = strict
	}
	return m
}

func calleeOf(i int) string { return fmt.Sprintf("+316%08d", 12_000_000+i) }

// judged brings the book up to the ledger and judges the campaigns, as happens twice a second.
func (n *node) judged() {
	n.t.Helper()
	if err := n.awaitShipped(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	for range 2 { // what is written in one round is read in the next
		if err := n.debts.step(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
	}
}

// allowedCalls gives the permits of calls to so many callees with a consent.
func (n *node) allowedCalls(count int) []string {
	n.t.Helper()
	permits := make([]string, count)
	for i := range permits {
		n.record(calleeOf(i), consentOf(fmt.Sprint("c", i), "acme"), "")
		answer := n.mustCheck(calleeOf(i))
		n.wants(answer, eligibility.Allow, eligibility.OKConsent)
		permits[i] = answer.GetPermit()
	}
	return permits
}

func (n *node) reports(permit string, outcome belpoortv1.Outcome, offered bool) {
	n.t.Helper()
	_, err := belpoortv1.NewGatekeeperServiceClient(n.conn).ReportCall(n.as("dialer-acme"), &belpoortv1.ReportCallRequest{
		Permit: permit, Outcome: outcome, DialTime: stampAt(*n.clock.Load()), ObjectionOffered: offered,
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) standing(campaign string) *belpoortv1.CampaignStanding {
	n.t.Helper()
	answer, err := belpoortv1.NewCatalogueServiceClient(n.conn).ListCampaigns(n.as("ops-all"), &belpoortv1.ListCampaignsRequest{Campaign: campaign})
	if err != nil || len(answer.GetCampaigns()) != 1 || answer.GetReading() {
		n.t.Fatalf("%v, %v", answer, err)
	}
	return answer.GetCampaigns()[0]
}

func (n *node) later(d time.Duration) { n.setClock(n.clock.Load().Add(d)) }

const anybody = "+31612345678"

// wantsCampaign wants calls of the campaign to be allowed, or refused because it is suspended.
func (n *node) wantsCampaign(when string, suspended bool) {
	n.t.Helper()
	n.judged()
	answer := n.mustCheck(anybody)
	refused := answer.GetReason() == belpoortv1.Reason_REASON_CAMPAIGN_SUSPENDED && answer.GetVerdict() == belpoortv1.Verdict_VERDICT_DENY
	if refused != suspended || !suspended && answer.GetVerdict() != belpoortv1.Verdict_VERDICT_ALLOW {
		n.t.Fatalf("%s: %v %v; the campaign stands %v", when, answer.GetVerdict(), answer.GetReason(), n.standing("acme-x"))
	}
	if !suspended {
		n.reports(answer.GetPermit(), belpoortv1.Outcome_OUTCOME_NO_ANSWER, false)
	}
}

func startStrict(t *testing.T, dir string) *node {
	t.Helper()
	n := newNode(t, dir, nil)
	n.start()
	n.apply(strictCatalogue())
	return n
}

// Three calls whose offer nobody reports stop their campaign; reports let it run again. Neither a restart nor a clock that
// is set back forgives them.
func TestUnpaidOffersStopTheirCampaign(t *testing.T) {
	dir := t.TempDir()
	var permits []string
	t.Run("before a restart", func(t *testing.T) {
		n := startStrict(t, dir)
		n.record(anybody, consentOf("c", "acme"), "")
		permits = n.allowedCalls(3)
		n.reports(permits[0], belpoortv1.Outcome_OUTCOME_ANSWERED, false)
		n.wantsCampaign("before the deadline", false)
		n.later(10 * time.Minute)
		n.wantsCampaign("at the deadline", true)
		n.setClock(wednesday)
		n.wantsCampaign("with the clock set back", true)
	})
	n := newNode(t, dir, nil)
	n.start()
	n.wantsCampaign("after a restart", true)
	n.apply(strictCatalogue())
	step := n.campaignStep(anybody, 0)
	if step.GetArticle() != "offer_debt_limit" || step.GetPosition() == 0 || step.GetPassed() {
		t.Errorf("the explanation says %v", step)
	}
	if s := n.standing("acme-x"); s.GetOffersOverdue() != 3 || s.GetAnswered() != 1 || s.GetPermits() != 4 ||
		s.GetSuspension().GetCause() != belpoortv1.SuspensionCause_SUSPENSION_CAUSE_OFFER_DEBT {
		t.Errorf("the campaign stands %v", s)
	}
	if got := n.metric(`belpoort_offer_debts{campaign="acme-x",state="overdue"}`); got != 3 {
		t.Errorf("%v debts among the metrics", got)
	}
	if got := n.metric(`belpoort_campaign_suspended{campaign="acme-x",cause="OFFER_DEBT"}`); got != 1 {
		t.Errorf("the metrics say suspended: %v", got)
	}
	n.reports(permits[1], belpoortv1.Outcome_OUTCOME_NO_ANSWER, false)
	n.wantsCampaign("with two debts", false)
}

// A node that was down while debts fell due, and reads the ledger anew, finds them: also those from before the horizon.
func TestARestartForgivesNothing(t *testing.T) {
	dir := t.TempDir()
	start := wednesday
	t.Run("before a restart", func(t *testing.T) {
		n := startStrict(t, dir)
		n.record(anybody, consentOf("c", "acme"), "")
		n.allowedCalls(2)
		n.later(7*24*time.Hour + time.Hour)
		n.wantsCampaign("below the limit", false)
		start = *n.clock.Load()
	})
	for _, after := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
		t.Run(after.String(), func(t *testing.T) {
			n := newNode(t, dir, nil)
			n.setClock(start.Add(after))
			n.start()
			n.judged()
			if s := n.standing("acme-x"); s.GetOffersOverdue() != 2 {
				t.Errorf("the campaign stands %v", s)
			}
		})
	}
}

// An officer who resumes a campaign writes off what was overdue, and only in that campaign.
func TestAResumedCampaignOwesWhatComesAfter(t *testing.T) {
	n := startStrict(t, t.TempDir())
	n.record(anybody, consentOf("c", "acme"), "")
	n.allowedCalls(3)
	n.later(10 * time.Minute)
	n.wantsCampaign("at the deadline", true)
	n.mustResume("acme-x", "the dialer's reports were lost in a fire")
	n.wantsCampaign("resumed", false)
	if s := n.standing("acme-x"); s.GetOffersOverdue() != 0 {
		t.Errorf("the campaign stands %v", s)
	}
	for i := range 3 {
		n.wants(n.mustCheck(calleeOf(i)), eligibility.Allow, eligibility.OKConsent)
	}
	n.later(10 * time.Minute)
	n.wantsCampaign("at the next deadline", true)
}

// What an officer stopped does not come back by itself. The mutant mutant_debt_officer_overruled must fail here.
func TestWhatAnOfficerStoppedStaysStopped(t *testing.T) {
	n := startStrict(t, t.TempDir())
	n.record(anybody, consentOf("c", "acme"), "")
	n.mustSuspend("acme-x", "complaints")
	n.wantsCampaign("without debts", true)
	n.mustResume("acme-x", "talked")
	permits := n.allowedCalls(3)
	n.later(10 * time.Minute)
	n.wantsCampaign("with debts", true)
	n.mustSuspend("acme-x", "complaints about that")
	for _, p := range permits {
		n.reports(p, belpoortv1.Outcome_OUTCOME_ANSWERED, true)
	}
	n.wantsCampaign("with debts paid", true)
}

func TestAbandonedCallsStopTheirCampaign(t *testing.T) {
	n := startStrict(t, t.TempDir())
	n.record(anybody, consentOf("c", "acme"), "")
	permits := n.allowedCalls(5)
	for i, p := range permits[:4] {
		outcome := belpoortv1.Outcome_OUTCOME_ABANDONED
		if i == 0 {
			outcome = belpoortv1.Outcome_OUTCOME_ANSWERED
		}
		n.reports(p, outcome, i == 0)
	}
	n.wantsCampaign("three of four", true)
	if step := n.campaignStep(anybody, 0); step.GetArticle() != "abandoned_limit" {
		t.Errorf("the explanation says %v", step)
	}
	if s := n.standing("acme-x"); s.GetAbandoned() != 3 || s.GetAnsweredOrAbandoned() != 4 || s.GetAbandonedShare() != 0.75 {
		t.Errorf("the campaign stands %v", s)
	}
	n.reports(permits[4], belpoortv1.Outcome_OUTCOME_NO_ANSWER, false)
	n.later(24*time.Hour + 10*time.Minute)
	n.wantsCampaign("a day later", false)
}

// Nobody sees campaigns of organisations for which they may not act, and a campaign that is not there is an error.
func TestCampaignsAreListedForTheirOwn(t *testing.T) {
	n := startNode(t, nil)
	list := func(client, campaign string) (*belpoortv1.ListCampaignsResponse, error) {
		return belpoortv1.NewCatalogueServiceClient(n.conn).ListCampaigns(n.as(client), &belpoortv1.ListCampaignsRequest{Campaign: campaign})
	}
	for client, want := range map[string]int{"ops-all": 2, "compliance-all": 2, "compliance-glo": 1, "ops-acme": 1} {
		if answer, err := list(client, ""); err != nil || len(answer.GetCampaigns()) != want {
			t.Errorf("%s: %v, %v", client, answer, err)
		}
	}
	if answer, err := list("compliance-glo", "acme-x"); err != nil || len(answer.GetCampaigns()) != 0 {
		t.Errorf("another's: %v, %v", answer, err)
	}
	if _, err := list("ops-all", "acme-y"); err == nil {
		t.Error("an unknown campaign was listed")
	}
}

// An offer by an IVR, and an objection in the call, pay for it as a report does, and for no other call.
func TestOffersAndObjectionsPay(t *testing.T) {
	n := startStrict(t, t.TempDir())
	n.record(anybody, consentOf("c", "acme"), "")
	permits := n.allowedCalls(5)
	n.later(10 * time.Minute)
	n.wantsCampaign("nothing paid", true)
	if _, err := belpoortv1.NewObjectionServiceClient(n.conn).RecordObjectionOffer(n.as("ivr-acme"), &belpoortv1.RecordObjectionOfferRequest{
		Permit: permits[0], How: belpoortv1.OfferHow_OFFER_HOW_IVR, Result: belpoortv1.OfferResult_OFFER_RESULT_NOT_OBJECTED,
	}); err != nil {
		t.Fatal(err)
	}
	n.wantsCampaign("one paid", true)
	if s := n.standing("acme-x"); s.GetOffersOverdue() != 4 || s.GetOffersPaid() != 1 {
		t.Errorf("the campaign stands %v", s)
	}
	for i, p := range permits[1:3] {
		if _, err := belpoortv1.NewObjectionServiceClient(n.conn).RegisterObjection(n.as("ivr-acme"), &belpoortv1.RegisterObjectionRequest{
			Permit: p, Via: belpoortv1.Via_VIA_IVR, RequestId: fmt.Sprint("o", i),
		}); err != nil {
			t.Fatal(err)
		}
	}
	n.wantsCampaign("three paid", false)
	if s := n.standing("acme-x"); s.GetOffersOverdue() != 2 || s.GetOffersPaid() != 3 || s.GetObjections() != 2 {
		t.Errorf("the campaign stands %v", s)
	}
}

func offerByNumber(callee, requestID string) *offerRequest {
	return &offerRequest{Callee: callee, Campaign: "acme-x", RequestId: requestID, How: belpoortv1.OfferHow_OFFER_HOW_IVR,
		Result: belpoortv1.OfferResult_OFFER_RESULT_NOT_OBJECTED}
}

// offersOn records an offer by number and wants it to be the last one on the callee, of a decision.
func (n *node) offersOn(callee, requestID, decision string) *belpoortv1.RecordObjectionOfferResponse {
	n.t.Helper()
	answer, err := n.offer("ivr-acme", offerByNumber(callee, requestID))
	held := n.offersHeld(callee)
	if err != nil || len(held) == 0 || held[len(held)-1].GetDecisionId() != decision {
		n.t.Fatalf("%v, %v; held %v, want one of decision %q", answer, err, held, decision)
	}
	return answer
}

// An offer by number and campaign pays for the callee's last call in it, here or in the ledger, of the last day. A repeat
// changes nothing, also when there was another call meanwhile. The mutant mutant_offer_repeat_moves must fail here.
func TestAnOfferByNumberPaysTheLastCall(t *testing.T) {
	n := startStrict(t, t.TempDir())
	n.record(anybody, consentOf("c", "acme"), "")
	n.allowedCalls(3)
	n.later(time.Minute)
	first, second := n.mustCheck(calleeOf(0)), n.mustCheck(calleeOf(1)) // the fourth and fifth call
	n.later(10 * time.Minute)
	n.wantsCampaign("nothing paid", true)
	paid := n.offersOn(calleeOf(0), "i-1", first.GetDecisionId())
	n.judged()
	if s := n.standing("acme-x"); paid.GetUnchanged() || s.GetOffersOverdue() != 4 || s.GetOffersPaid() != 1 {
		t.Errorf("%v; the campaign stands %v", paid, s)
	}
	n.mustResume("acme-x", "to go on") // writes off the four
	n.wantsCampaign("resumed", false)
	number, err := telephony.Canonical(calleeOf(1))
	if err != nil || n.recent.lastOf(calledIn{n.ring.Token(number).String(), "acme-x"}) != nil {
		t.Fatal("the call is still remembered here")
	}
	n.offersOn(calleeOf(1), "i-2", second.GetDecisionId())
	again := n.mustCheck(calleeOf(0))
	n.later(time.Minute)
	repeated := n.offersOn(calleeOf(0), "i-1", first.GetDecisionId())
	if !repeated.GetUnchanged() || repeated.GetPosition() != paid.GetPosition() || len(n.offersHeld(calleeOf(0))) != 1 {
		t.Errorf("a repeat: %v; first %v", repeated, paid)
	}
	n.offersOn(calleeOf(0), "i-3", again.GetDecisionId())
	if _, err := n.offer("ivr-acme", offerByNumber(calleeOf(0), "i-2")); err == nil {
		t.Error("a request_id was taken for another callee")
	}
	n.later(25 * time.Hour)
	n.offersOn(calleeOf(0), "i-4", "")
}
