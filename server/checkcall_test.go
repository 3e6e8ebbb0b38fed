package server

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

const callee = "06-12345678"

func TestACallIsAllowedOnItsBasis(t *testing.T) {
	n := startNode(t, nil)
	consent := n.record(callee, consentOf("c-1", "acme"), "r-1")
	answer := n.mustCheck(callee)
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	basis := answer.GetBasis()
	if basis.GetKind() != belpoortv1.Reason_REASON_OK_CONSENT || basis.GetArticle() != "NL-TW-11.7-2" ||
		basis.GetEvidencePosition() != consent.GetPosition() || basis.GetSinceTime() == nil || basis.GetUntilTime() == nil {
		t.Errorf("basis = %v", basis)
	}
	if answer.GetCallerId() != "+31201234567" || len(answer.GetDecisionId()) != 32 || len(answer.GetObligations()) == 0 ||
		answer.GetLawVersion() != dutchLaw().Version || answer.GetLedgerPosition() < consent.GetPosition() || answer.GetValidUntil() == nil {
		t.Errorf("answer = %v", answer)
	}
	again := n.mustCheck("+31 6 1234 5678")
	again.DecisionId = answer.GetDecisionId()
	again.Permit = answer.GetPermit()
	if !proto.Equal(answer, again) {
		t.Errorf("from the cache:  %v\nfrom the ledger: %v", again, answer)
	}
}

func TestACallIsRefusedWithItsReason(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	for _, c := range []struct {
		name   string
		change func(*belpoortv1.CheckCallRequest)
		want   eligibility.Reason
	}{
		{"nothing known", func(r *belpoortv1.CheckCallRequest) { r.Callee = "06-87654321" }, eligibility.NoBasis},
		{"another person", func(r *belpoortv1.CheckCallRequest) { r.Person = "Q" }, eligibility.EvidenceMissing},
		{"malformed callee", func(r *belpoortv1.CheckCallRequest) { r.Callee = "06-1234567x" }, eligibility.CalleeInvalid},
		{"short code", func(r *belpoortv1.CheckCallRequest) { r.Callee = "112" }, eligibility.CalleeInvalid},
		{"Unicode digits", func(r *belpoortv1.CheckCallRequest) { r.Callee = "06-１２３４５６７８" }, eligibility.CalleeInvalid},
		{"another country", func(r *belpoortv1.CheckCallRequest) { r.Callee = "+3225551234" }, eligibility.JurisdictionUnsupported},
		{"malformed caller ID", func(r *belpoortv1.CheckCallRequest) { r.CallerId = "020-12" }, eligibility.CallerIDRange},
		{"other organisation's caller ID", func(r *belpoortv1.CheckCallRequest) { r.CallerId = "020-1234568" }, eligibility.CallerIDNotRegistered},
		{"withheld caller ID", func(r *belpoortv1.CheckCallRequest) { r.CallerId, r.CallerIdPresentation = "", 2 }, eligibility.CallerIDWithheld},
	} {
		req := checkOf(callee)
		c.change(req)
		answer, err := n.check("dialer-acme", req)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if answer.GetVerdict() != belpoortv1.Verdict_VERDICT_DENY || answer.GetReason() != belpoortv1.Reason(c.want) ||
			answer.GetBasis() != nil || answer.GetCallerId() != "" || len(answer.GetDecisionId()) != 32 {
			t.Errorf("%s: want DENY %v, got %v", c.name, c.want, answer)
		}
	}
}

func TestAConsentWithoutEvidenceIsKeptAndDoesNotCount(t *testing.T) {
	n := startNode(t, nil)
	fact := consentOf("c-1", "acme")
	fact.GetConsent().Evidence = nil
	n.record(callee, fact, "r-1")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.EvidenceMissing)
	n.record(callee, consentOf("c-2", "acme"), "r-2")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

func TestADeferredCallNamesItsTime(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.setClock(time.Date(2026, 11, 18, 22, 0, 0, 0, eligibility.Amsterdam))
	answer := n.mustCheck(callee)
	n.wants(answer, eligibility.Defer, eligibility.Hours)
	if want := time.Date(2026, 11, 19, 9, 0, 0, 0, eligibility.Amsterdam); !answer.GetRetryTime().AsTime().Equal(want) {
		t.Errorf("retry at %v, want %v", answer.GetRetryTime().AsTime(), want)
	}
}

func TestBadChecksAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	type req = *belpoortv1.CheckCallRequest
	for _, c := range []struct {
		name   string
		change func(req)
		code   codes.Code
		reason string
		field  string
	}{
		{"no callee", func(r req) { r.Callee = "" }, codes.InvalidArgument, ReasonFieldMissing, "callee"},
		{"long callee", func(r req) { r.Callee = strings.Repeat("0", 41) }, codes.InvalidArgument, ReasonFieldInvalid, "callee"},
		{"no campaign", func(r req) { r.Campaign = "" }, codes.InvalidArgument, ReasonFieldMissing, "campaign"},
		{"long campaign", func(r req) { r.Campaign = strings.Repeat("x", 65) }, codes.InvalidArgument, ReasonFieldInvalid, "campaign"},
		{"unknown campaign", func(r req) { r.Campaign = "acme-y" }, codes.NotFound, ReasonCampaignUnknown, "campaign"},
		{"no caller ID", func(r req) { r.CallerId = "" }, codes.InvalidArgument, ReasonFieldMissing, "caller_id"},
		{"long caller ID", func(r req) { r.CallerId = strings.Repeat("0", 41) }, codes.InvalidArgument, ReasonFieldInvalid, "caller_id"},
		{"long person", func(r req) { r.Person = strings.Repeat("x", 129) }, codes.InvalidArgument, ReasonFieldInvalid, "person"},
		{"long id", func(r req) { r.RequestId = strings.Repeat("x", 129) }, codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
		{"unknown presentation", func(r req) { r.CallerIdPresentation = 4 }, codes.InvalidArgument, ReasonFieldInvalid, "caller_id_presentation"},
		{"unknown mode", func(r req) { r.Mode = 3 }, codes.InvalidArgument, ReasonFieldInvalid, "mode"},
		{"unknown dialing", func(r req) { r.Dialing = -1 }, codes.InvalidArgument, ReasonFieldInvalid, "dialing"},
		{"other organisation's campaign", func(r req) { r.Campaign = "globex-x" }, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign"},
	} {
		r := checkOf(callee)
		c.change(r)
		_, err := n.check("dialer-acme", r)
		wantError(t, c.name, err, c.code, c.reason, c.field)
	}
	r := checkOf(callee)
	r.Person = strings.Repeat("x", 1<<20)
	if _, err := n.check("dialer-acme", r); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a request of 1 MiB: %v", err)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.NoBasis)
}

func TestADryRunLeavesNoTrace(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	before := n.journal.Stats().Appended
	req := checkOf(callee)
	req.DryRun = true
	answer, err := n.check("dialer-acme", req)
	if err != nil {
		t.Fatal(err)
	}
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	if answer.GetDecisionId() != "" || n.journal.Stats().Appended != before {
		t.Errorf("a dry run has the id %q and %d records", answer.GetDecisionId(), n.journal.Stats().Appended-before)
	}
}

var errBroken = errors.New("broken for the test")

// G4: no ALLOW without its place in the journal; refusals go on.
func TestWithoutAJournalNothingIsAllowed(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	n.breakJournal(func(string) error { return errBroken })
	_, err := n.check("dialer-acme", checkOf(callee))
	wantError(t, "a broken journal", err, codes.Unavailable, ReasonJournalUnavailable, "")
	n.wants(n.mustCheck("06-87654321"), eligibility.Deny, eligibility.NoBasis)
}

func TestAnAllowIsOnDiskBeforeItIsAnswered(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	for range 20 {
		n.mustCheck(callee)
		if stats := n.journal.Stats(); stats.Synced != stats.Appended {
			t.Fatalf("%d records given, %d on disk", stats.Appended, stats.Synced)
		}
	}
}

// G4: a ledger that is broken, slow or panics never leads to an ALLOW.
func TestWithoutALedgerNothingIsAllowed(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.breakLedger(func(string) error { return errBroken })
	_, err := n.check("dialer-acme", checkOf(callee))
	wantError(t, "a broken ledger", err, codes.Unavailable, ReasonLedgerUnavailable, "")

	n.breakLedger(func(string) error { panic("with 0612345678 inside") })
	_, err = n.check("dialer-acme", checkOf(callee))
	wantError(t, "a panic", err, codes.Internal, ReasonInternal, "")

	release := make(chan struct{})
	n.breakLedger(func(string) error { <-release; return nil })
	ctx, cancel := context.WithTimeout(n.as("dialer-acme"), 50*time.Millisecond)
	defer cancel()
	_, err = belpoortv1.NewGatekeeperServiceClient(n.conn).CheckCall(ctx, checkOf(callee))
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a slow ledger: %v", err)
	}
	close(release)
	n.breakLedger(func(string) error { return nil })
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	if !strings.Contains(n.logs.String(), `"msg":"panic"`) || strings.Contains(n.logs.String(), "612345678") {
		t.Errorf("the log of a panic: %s", n.logs)
	}
}

func TestAPanicInAHandlerIsInternal(t *testing.T) {
	var broken atomic.Bool
	n := startNode(t, func(c *Config) {
		clock := c.Clock
		c.Clock = func() time.Time {
			if broken.Load() {
				panic("clock")
			}
			return clock()
		}
	})
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.mustCheck(callee)
	broken.Store(true)
	answer, err := n.check("dialer-acme", checkOf(callee))
	wantError(t, "a panic", err, codes.Internal, ReasonInternal, "")
	if answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
		t.Error("a panic allowed a call")
	}
}

func TestReadsOfTheLedgerAreBounded(t *testing.T) {
	n := startNode(t, func(c *Config) { c.LedgerReads = 1 })
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	reading, release := make(chan struct{}), make(chan struct{})
	n.breakLedger(func(operation string) error {
		if operation == "Facts" {
			reading <- struct{}{}
			<-release
		}
		return nil
	})
	answers := make(chan error, 2)
	ask := func(number string) {
		_, err := n.check("dialer-acme", checkOf(number))
		answers <- err
	}
	go ask(callee)
	<-reading
	_, err := n.check("dialer-acme", checkOf("06-87654321"))
	wantError(t, "a second callee", err, codes.ResourceExhausted, ReasonLedgerBusy, "")
	go ask(callee) // the same callee shares the read that is under way
	time.Sleep(20 * time.Millisecond)
	close(release)
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

func TestADeadlineThatCannotBeMetIsRefusedEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), leastBudget/2)
	defer cancel()
	if _, _, err := withBudget(ctx, belpoortv1.GatekeeperService_CheckCall_FullMethodName, false); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("no time left: %v", err)
	}
	limit := time.Now().Add(time.Minute)
	ctx, cancel = context.WithDeadline(t.Context(), limit)
	defer cancel()
	ctx, stop, err := withBudget(ctx, belpoortv1.GatekeeperService_CheckCall_FullMethodName, false)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if got, _ := ctx.Deadline(); !got.Before(limit) || got.Before(limit.Add(-time.Second)) {
		t.Errorf("of the deadline %v the work gets %v", limit, got)
	}
	ctx, stop, _ = withBudget(t.Context(), belpoortv1.GatekeeperService_CheckCall_FullMethodName, false)
	defer stop()
	if got, ok := ctx.Deadline(); !ok || time.Until(got) > checkDeadline {
		t.Errorf("without a deadline the work gets %v, %v", got, ok)
	}
}

// A clock that was set back must not turn an objection into one of the future.
func TestAClockSetBackAllowsNothing(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.mustCheck(callee)
	n.setClock(wednesday.Add(time.Hour))
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	n.setClock(wednesday.Add(time.Minute))
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
}

// An objection that a client's clock dates a little ahead counts from the moment it is answered.
func TestAnObjectionDatedALittleAheadCountsAtOnce(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.mustCheck(callee)
	req := objectionOf(callee, "o-1")
	req.ObjectTime = stampAt(wednesday.Add(1500 * time.Millisecond))
	if _, err := n.object("ivr-acme", req); err != nil {
		t.Fatal(err)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
}
