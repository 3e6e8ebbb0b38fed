package server

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// startAsking is a node that allows two calls a day to a callee, and the first question about it.
func startAsking(t *testing.T, change func(*Config)) (*node, *belpoortv1.CheckCallRequest) {
	t.Helper()
	n := startNode(t, func(c *Config) {
		c.Uptime = func() time.Duration { return 0 } // the machine may be slow
		if change != nil {
			change(c)
		}
	})
	n.apply(fewAttempts(2))
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	return n, asking("call-1")
}

func asking(requestID string) *belpoortv1.CheckCallRequest {
	req := checkOf(knownCallee)
	req.RequestId = requestID
	return req
}

func (n *node) asks(req *belpoortv1.CheckCallRequest, verdict eligibility.Verdict, reason eligibility.Reason) *belpoortv1.CheckCallResponse {
	n.t.Helper()
	answer, err := n.check("dialer-acme", req)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wants(answer, verdict, reason)
	return answer
}

// However often and however closely a question is repeated, it is one decision and one attempt.
// The mutant mutant_repeat_decided must fail here.
func TestARepeatedQuestionIsOneDecision(t *testing.T) {
	n, req := startAsking(t, nil)
	before := n.journal.Stats().Appended
	n.breakJournal(func(string) error { time.Sleep(20 * time.Millisecond); return nil }) // so that repeats come while it is decided
	answers, failed := make(chan *belpoortv1.CheckCallResponse, 8), make(chan error, 8)
	for range cap(answers) {
		go func() {
			answer, err := n.check("dialer-acme", req)
			answers <- answer
			failed <- err
		}()
	}
	first := <-answers
	for range cap(answers) - 1 {
		again := <-answers
		if again.String() != first.String() || again.GetPermit() == "" {
			t.Errorf("answered %v, then %v", first, again)
		}
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if written := n.journal.Stats().Appended - before; written != 1 {
		t.Errorf("%d decisions were journalled for one question", written)
	}
	n.asks(asking("call-2"), eligibility.Allow, eligibility.OKConsent) // the second of two attempts
	n.asks(asking("call-3"), eligibility.Deny, eligibility.Attempts)
	n.asks(req, eligibility.Allow, eligibility.OKConsent) // still the first
}

// A refusal that rests on the facts is answered again too; one that rests on attempts may be over a moment later.
func TestARepeatedRefusalIsOneDecision(t *testing.T) {
	n, _ := startAsking(t, nil)
	unknown := asking("call-1")
	unknown.Callee = "06-12345670"
	refused := n.asks(unknown, eligibility.Deny, eligibility.NoBasis)
	if again := n.asks(unknown, eligibility.Deny, eligibility.NoBasis); again.GetDecisionId() != refused.GetDecisionId() {
		t.Error("a refusal was decided twice")
	}
	first := n.asks(asking("call-2"), eligibility.Allow, eligibility.OKConsent)
	n.asks(asking("call-3"), eligibility.Allow, eligibility.OKConsent)
	n.asks(asking("call-4"), eligibility.Deny, eligibility.Attempts)
	failed := &belpoortv1.ReportCallRequest{Permit: first.GetPermit(), Outcome: belpoortv1.Outcome_OUTCOME_FAILED, DialTime: stampAt(wednesday)}
	if _, err := n.report("dialer-acme", failed); err != nil {
		t.Fatal(err)
	}
	n.asks(asking("call-4"), eligibility.Allow, eligibility.OKConsent)
}

// What has changed since the first answer is looked at before that is given again.
// The mutant mutant_repeat_unlooked must fail here.
func TestARepeatedQuestionIsDecidedAnewWhenSomethingChanged(t *testing.T) {
	var lease *switchedLease
	var late atomic.Int64 // nanoseconds
	changes := map[string]struct {
		change  func(n *node, first *belpoortv1.CheckCallResponse)
		verdict eligibility.Verdict
		reason  eligibility.Reason
	}{
		"an objection": {func(n *node, _ *belpoortv1.CheckCallResponse) {
			if _, err := n.object("ivr-acme", objectionOf(knownCallee, "o-1")); err != nil {
				n.t.Fatal(err)
			}
		}, eligibility.Deny, eligibility.Objected},
		"a report of the call": {func(n *node, first *belpoortv1.CheckCallResponse) {
			if _, err := n.report("dialer-acme", reportOf(first.GetPermit())); err != nil {
				n.t.Fatal(err)
			}
		}, eligibility.Allow, eligibility.OKConsent},
		"the catalogue": {func(n *node, _ *belpoortv1.CheckCallResponse) {
			stopped := testCatalogue()
			stopped.Campaigns[0].Suspended = true
			n.apply(stopped)
		}, eligibility.Deny, eligibility.CampaignSuspended},
		"the lease": {func(n *node, _ *belpoortv1.CheckCallResponse) {
			lease.lost.Store(true)
			n.elsewhere(knownCallee, knownObjectionOf("acme"), "objected elsewhere")
		}, eligibility.Deny, eligibility.Objected},
		"the permit's end":            {func(*node, *belpoortv1.CheckCallResponse) { late.Store(int64(validFor)) }, eligibility.Allow, eligibility.OKConsent},
		"the permit's end by a clock": {func(n *node, _ *belpoortv1.CheckCallResponse) { n.setClock(wednesday.Add(validFor)) }, eligibility.Allow, eligibility.OKConsent},
		"the hour":                    {func(n *node, _ *belpoortv1.CheckCallResponse) { n.setClock(wednesday.Add(12 * time.Hour)) }, eligibility.Defer, eligibility.Hours},
	}
	for what, c := range changes {
		t.Run(what, func(t *testing.T) {
			lease = &switchedLease{}
			late.Store(0)
			n, req := startAsking(t, func(c *Config) {
				c.Lease, c.Uptime = lease, func() time.Duration { return time.Duration(late.Load()) }
			})
			first := n.asks(req, eligibility.Allow, eligibility.OKConsent)
			c.change(n, first)
			if again := n.asks(req, c.verdict, c.reason); again.GetDecisionId() == first.GetDecisionId() || again.GetPermit() == first.GetPermit() {
				t.Error("the first answer was given again")
			}
		})
	}
}

// Another question, or another client's, is a call of its own whatever it is named.
func TestAnotherQuestionUnderTheSameIDIsAnotherCall(t *testing.T) {
	n, req := startAsking(t, nil)
	n.apply(testCatalogue())
	first := n.asks(req, eligibility.Allow, eligibility.OKConsent)
	other := asking(req.GetRequestId())
	other.Person = "Somebody Else"
	if n.asks(other, eligibility.Deny, eligibility.EvidenceMissing).GetDecisionId() == first.GetDecisionId() {
		t.Error("another question got the first one's answer")
	}
	foreign, err := n.check("dialer-all", req)
	if err != nil || foreign.GetDecisionId() == first.GetDecisionId() {
		t.Errorf("another client's question: %v, %v", foreign, err)
	}
	dry := asking(req.GetRequestId())
	dry.DryRun = true
	if n.asks(dry, eligibility.Allow, eligibility.OKConsent).GetPermit() != "" {
		t.Error("a dry run got a permit")
	}
}

// An ALLOW that is withheld is not given again, and a repeat of what failed is a first question.
func TestARepeatIsWithheldAndRetriedLikeAFirstQuestion(t *testing.T) {
	n, req := startAsking(t, nil)
	n.breakJournal(func(string) error { return errors.New("no room") })
	_, err := n.check("dialer-acme", req)
	wantError(t, "a journal that fails", err, codes.Unavailable, ReasonJournalUnavailable, "")
	n.breakJournal(func(string) error { return nil })
	n.asks(req, eligibility.Allow, eligibility.OKConsent)
	n.WithholdAllow(errors.New("the clock drifts"))
	_, err = n.check("dialer-acme", req)
	wantError(t, "a withheld ALLOW", err, codes.Unavailable, ReasonAllowWithheld, "")
}

// However many questions are asked, what is kept of them is bounded, and ends with their permits.
func TestRepeatsAreForgotten(t *testing.T) {
	r := newRepeats()
	ctx := context.WithValue(t.Context(), clientKey{}, &client{id: "d"})
	for i := range maxAsked + 10 {
		q, err := r.take(ctx, asking(fmt.Sprint(i)), 0, nil)
		if err != nil || (q == nil) != (i >= maxAsked) {
			t.Fatalf("question %d: %v, %v", i, q, err)
		}
	}
	for turn := time.Duration(1); turn <= 2; turn++ {
		q, err := r.take(ctx, asking("late"), turn*(validFor+1), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.end()
	}
	if kept := len(r.young) + len(r.old); kept > 2 {
		t.Errorf("%d questions are kept after their time", kept)
	}
}
