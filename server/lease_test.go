package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// switchedLease is a lease that a test takes away.
type switchedLease struct {
	lost    atomic.Bool
	settled atomic.Uint64
	settle  atomic.Pointer[func(position uint64) error]
}

func (l *switchedLease) Held() bool { return !l.lost.Load() }

func (l *switchedLease) Settle(_ context.Context, position uint64) error {
	if settle := l.settle.Load(); settle != nil {
		if err := (*settle)(position); err != nil {
			return err
		}
	}
	l.settled.Store(max(position, l.settled.Load()))
	return nil
}

func startLeased(t *testing.T) (*node, *switchedLease) {
	t.Helper()
	lease := &switchedLease{}
	n := startNode(t, func(c *Config) { c.Lease = lease })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	return n, lease
}

// elsewhere records a fact as another node would: past this one's cache and floors.
func (n *node) elsewhere(callee string, fact *belpoortv1.Fact, key string) {
	n.t.Helper()
	number, err := subscriberNumber("callee", callee, dutchLaw())
	if err != nil {
		n.t.Fatal(err)
	}
	f, err := record.FactFromProto(fact)
	if err != nil {
		n.t.Fatal(err)
	}
	w, err := n.factWrite(number, f, key)
	if err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.door.Append(n.t.Context(), []Write{w}); err != nil {
		n.t.Fatal(err)
	}
}

// Without the lease what this node holds may be out of date, so the ledger itself is asked: its facts and its catalogue.
// The mutant mutant_lease_unchecked must fail here.
func TestWithoutTheLeaseTheLedgerIsAsked(t *testing.T) {
	n, lease := startLeased(t)
	lease.lost.Store(true)
	n.elsewhere(knownCallee, knownObjectionOf("acme"), "objected elsewhere")
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)

	other := "06-12345670"
	n.record(other, consentOf("c2", "acme"), "consent 2")
	n.wants(n.mustCheck(other), eligibility.Allow, eligibility.OKConsent)
	stopped := testCatalogue()
	stopped.Campaigns[0].Suspended = true
	payload, err := record.MarshalCatalogue(stopped)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.door.Append(t.Context(), []Write{{RequestKey: "applied elsewhere", Kind: record.KindCatalogue, Payload: payload}}); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(other), eligibility.Deny, eligibility.CampaignSuspended)
	if n.metric("belpoort_checks_without_lease_total") == 0 {
		t.Error("no check without the lease was counted")
	}
}

// With neither lease nor ledger a record from the cache may refuse a call, and never allow one. The mutant
// mutant_lease_unchecked must fail here.
func TestWithNeitherLeaseNorLedgerARecordOnlyRefuses(t *testing.T) {
	n, lease := startLeased(t)
	refused := "06-12345670"
	n.record(refused, consentOf("c2", "acme"), "consent 2")
	if _, err := n.object("ivr-acme", objectionOf(refused, "o")); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(refused), eligibility.Deny, eligibility.Objected)
	lease.lost.Store(true)
	n.breakLedger(func(string) error { return ErrLedgerAway })
	for range 20 { // the first of them find the ledger away, the others know it
		_, err := n.check("dialer-acme", checkOf(knownCallee))
		wantError(t, "an allowed callee", err, codes.Unavailable, ReasonLedgerUnavailable, "")
		n.wants(n.mustCheck(refused), eligibility.Deny, eligibility.Objected)
	}
	n.breakLedger(func(string) error { return nil })
	time.Sleep(2 * leaveAlone)
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
}

// The lease may end while the ALLOW goes to disk. The mutant mutant_no_second_look must fail here.
func TestALeaseThatEndsDuringTheJournalWriteIsSeen(t *testing.T) {
	n, lease := startLeased(t)
	var writes atomic.Int64
	n.breakJournal(func(operation string) error {
		if operation == "Append" && writes.Add(1) == 1 {
			lease.lost.Store(true)
			n.elsewhere(knownCallee, knownObjectionOf("acme"), "objected elsewhere")
		}
		return nil
	})
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
}

// What is acknowledged is in force on every node: the answer waits until it is. The mutant mutant_answer_before_settled
// must fail here.
func TestEveryWriteIsSettledBeforeItIsAnswered(t *testing.T) {
	n, lease := startLeased(t)
	writes := map[string]func() uint64{
		"objection": func() uint64 {
			answer, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
			if err != nil {
				t.Fatal(err)
			}
			return answer.GetPosition()
		},
		"fact": func() uint64 {
			return n.record(knownCallee, knownWithdrawalOf("c"), "w").GetPosition()
		},
		"catalogue": func() uint64 {
			changed := testCatalogue()
			changed.CallerIds = changed.CallerIds[1:]
			return n.apply(changed)
		},
	}
	for name, write := range writes {
		if position := write(); position == 0 || lease.settled.Load() < position {
			t.Errorf("%s: answered at position %d, settled only up to %d", name, position, lease.settled.Load())
		}
	}
	lease.settled.Store(0)
	n.setClock(wednesday.Add(time.Second)) // so that the repeat differs in its time
	answer, err := n.object("ivr-acme", objectionOf(knownCallee, "o"))
	if err != nil || lease.settled.Load() < answer.GetPosition() {
		t.Errorf("a repeat was answered %v, %v, settled only up to %d", answer, err, lease.settled.Load())
	}
	failing := func(uint64) error { return errors.New("interrupted") }
	lease.settle.Store(&failing)
	for _, id := range []string{"o", "o2"} { // a repeat, and a new one
		if answer, err := n.object("ivr-acme", objectionOf(knownCallee, id)); err != nil || answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING {
			t.Errorf("an objection that is not in force everywhere was answered %v, %v", answer, err)
		}
	}
	n.wantState(answer.GetReceipt(), belpoortv1.ObjectionState_OBJECTION_STATE_PENDING)
}

// An ALLOW that is answered long after it was asked for is none. The mutant mutant_no_age_limit must fail here.
func TestAnAllowThatComesTooLateIsNotAnswered(t *testing.T) {
	var asleep atomic.Int64
	started := time.Now()
	n := startNode(t, func(c *Config) {
		c.Uptime = func() time.Duration { return time.Since(started) + time.Duration(asleep.Load()) }
	})
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	n.breakJournal(func(operation string) error {
		if operation == "Append" {
			asleep.Add(int64(maxAllowAge) + int64(time.Millisecond))
		}
		return nil
	})
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantError(t, "a late ALLOW", err, codes.Unavailable, ReasonTooLate, "")
}

// Two dialers that ask for the same callee at the same moment get one ALLOW; a repeat of the same question gets its answer
// again, a dry run holds nobody, and a refusal gives the callee back. The mutant mutant_hold_ignored must fail here.
func TestOneCallAtATime(t *testing.T) {
	n := startNode(t, func(c *Config) { c.AllowWindow = time.Minute })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	dry := checkOf(knownCallee)
	dry.DryRun = true
	for range 2 {
		answer, err := n.check("dialer-acme", dry)
		if err != nil {
			t.Fatal(err)
		}
		n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	}
	refused := checkOf(knownCallee)
	refused.CallerIdPresentation = belpoortv1.CallerIdPresentation_CALLER_ID_PRESENTATION_RESTRICTED
	answer, err := n.check("dialer-acme", refused)
	if err != nil {
		t.Fatal(err)
	}
	n.wants(answer, eligibility.Deny, eligibility.CallerIDWithheld)

	var allowed atomic.Int64
	done := make(chan error)
	const dialers = 16
	for range dialers {
		go func() {
			answer, err := n.check("dialer-acme", checkOf(knownCallee))
			if answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
				allowed.Add(1)
			}
			done <- err
		}()
	}
	for range dialers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if allowed.Load() != 1 {
		t.Errorf("%d dialers were allowed to call at the same moment", allowed.Load())
	}
	answer = n.mustCheck(knownCallee)
	n.wants(answer, eligibility.Defer, eligibility.Attempts)
	if retry := answer.GetRetryTime().AsTime().Sub(wednesday); retry <= 0 || retry > time.Minute {
		t.Errorf("to be tried again after %v", retry)
	}
}

// The same question asked twice is the same call.
func TestARepeatedQuestionKeepsItsAllow(t *testing.T) {
	n := startNode(t, func(c *Config) { c.AllowWindow = time.Minute })
	n.record(knownCallee, consentOf("c", "acme"), "consent")
	asked := checkOf(knownCallee)
	asked.RequestId = "call-1"
	for range 2 {
		answer, err := n.check("dialer-acme", asked)
		if err != nil {
			t.Fatal(err)
		}
		n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	}
	answer, err := n.check("dialer-all", asked)
	if err != nil {
		t.Fatal(err)
	}
	n.wants(answer, eligibility.Defer, eligibility.Attempts)
}

// A clock that drifts cannot be seen from inside a request: nothing is allowed, refusals go on.
func TestHealthIsRedWhileAllowIsWithheld(t *testing.T) {
	n, _ := startLeased(t)
	because := errors.New("the clock drifts")
	n.WithholdAllow(because)
	if err := n.Ready(); !errors.Is(err, because) {
		t.Errorf("ready: %v", err)
	}
	_, err := n.check("dialer-acme", checkOf(knownCallee))
	wantError(t, "an ALLOW that is withheld", err, codes.Unavailable, ReasonAllowWithheld, "")
	n.wants(n.mustCheck("06-12345670"), eligibility.Deny, eligibility.NoBasis)
	n.WithholdAllow(nil)
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	if err := n.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
}

// An ALLOW counts as an attempt until the call is reported, and then by its report. Without a decision's id a report is of
// the oldest attempt of its campaign.
func TestAnAllowCountsAsAnAttempt(t *testing.T) {
	n, first := startAllowed(t)
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Attempts)

	report := func(outcome belpoortv1.Outcome, decisionID string) *belpoortv1.Fact {
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: &belpoortv1.CallReport{
			Campaign: "acme-x", DialTime: stampAt(wednesday), Outcome: outcome, DecisionId: decisionID,
		}}}
	}
	n.record(knownCallee, report(belpoortv1.Outcome_OUTCOME_FAILED, first.GetDecisionId()), "r1")
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent) // a call that was not placed is given back
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Attempts)
	n.record(knownCallee, report(belpoortv1.Outcome_OUTCOME_BUSY, ""), "r2")
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Attempts) // reported once, counted once
	n.record(knownCallee, report(belpoortv1.Outcome_OUTCOME_FAILED, ""), "r3")
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
}
