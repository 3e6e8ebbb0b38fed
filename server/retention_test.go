package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

func (d *ledgerDoor) DisposeDecisions(ctx context.Context, disposal DecisionDisposal) (DecisionsDisposed, error) {
	if err := d.ask("DisposeDecisions"); err != nil {
		return DecisionsDisposed{}, err
	}
	done, err := d.ledger.DisposeDecisions(ctx, ledger.DecisionDisposal(disposal))
	return DecisionsDisposed{
		Allows: DisposedCount(done.Allows), Others: DisposedCount(done.Others), Last: done.Last, Done: done.Done,
	}, err
}

func (d *ledgerDoor) DisposeFacts(ctx context.Context, disposals []FactDisposal) ([]FactsDisposed, error) {
	if err := d.ask("DisposeFacts"); err != nil {
		return nil, err
	}
	wanted := make([]ledger.FactDisposal, len(disposals))
	for i, f := range disposals {
		wanted[i] = ledger.FactDisposal{Fact: ledger.Append(f.Write), Positions: f.Positions, Number: f.Number, Through: f.Through}
	}
	done, err := d.ledger.DisposeFacts(ctx, wanted)
	disposed := make([]FactsDisposed, len(done))
	for i := range done {
		disposed[i] = FactsDisposed{Written: Written(done[i].Appended), Moved: done[i].Moved}
	}
	return disposed, err
}

func (d *ledgerDoor) Callees(ctx context.Context, after eligibility.CalleeToken, limit int) ([]eligibility.CalleeToken, error) {
	return d.ledger.Callees(ctx, after, limit)
}

func (d *ledgerDoor) Numbered(ctx context.Context, callees []eligibility.CalleeToken) ([]eligibility.CalleeToken, error) {
	return d.ledger.Numbered(ctx, callees)
}

// longAgo is a Wednesday on which consents were given that have ended since.
var longAgo = time.Date(2022, 1, 12, 14, 0, 0, 0, eligibility.Amsterdam)

// reachable is the test's catalogue, with caller IDs that were rung back a month before an instant.
func reachable(m *belpoortv1.Catalogue, at time.Time) *belpoortv1.Catalogue {
	for _, id := range m.GetCallerIds() {
		id.CallbackTestTime = record.Stamp(at.AddDate(0, -1, 0))
	}
	return m
}

// startLongAgo starts a node long ago.
func startLongAgo(t *testing.T, dir string) *node {
	t.Helper()
	n := newNode(t, dir, nil)
	n.setClock(longAgo)
	n.start()
	n.apply(reachable(strictCatalogue(), longAgo))
	return n
}

// goTo lets time pass.
func (n *node) goTo(at time.Time) {
	n.t.Helper()
	n.setClock(at)
	n.apply(reachable(strictCatalogue(), at))
}

func (n *node) retainAs(client string, policy *belpoortv1.RetentionPolicy, dry bool) (last *belpoortv1.RunRetentionResponse, err error) {
	n.t.Helper()
	if err := n.awaitShipped(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
	stream, err := belpoortv1.NewRetentionServiceClient(n.conn).RunRetention(n.as(client), &belpoortv1.RunRetentionRequest{Policy: policy, DryRun: dry})
	for err == nil {
		var next *belpoortv1.RunRetentionResponse
		if next, err = stream.Recv(); err == nil {
			last = next
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return last, err
}

func (n *node) retain(policy *belpoortv1.RetentionPolicy, dry bool) map[string]string {
	n.t.Helper()
	last, err := n.retainAs("compliance-all", policy, dry)
	if err != nil || !last.GetFinished() {
		n.t.Fatalf("%v, %v", last, err)
	}
	told := map[string]string{}
	for _, c := range last.GetCounts() {
		told[c.GetKind()] = fmt.Sprintf("%d of %d", c.GetDestroyed(), c.GetHeld())
		for _, s := range c.GetStays() {
			told[c.GetKind()] += fmt.Sprintf(" %s:%d", s.GetReason(), s.GetCount())
		}
	}
	return told
}

// dryCheck asks without leaving a trace.
func (n *node) dryCheck(callee, campaign, callerID string) string {
	n.t.Helper()
	answer, err := n.check("dialer-all", &belpoortv1.CheckCallRequest{Callee: callee, Campaign: campaign, CallerId: callerID, DryRun: true})
	if err != nil {
		n.t.Fatal(err)
	}
	if answer.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW {
		return fmt.Sprint(answer.GetVerdict(), answer.GetReason(), answer.GetBasis(), answer.GetObligations(), answer.GetValidUntil())
	}
	return answer.GetVerdict().String()
}

// verdicts are those of every callee in every campaign.
func (n *node) verdicts(callees []string) (all []string) {
	n.t.Helper()
	for _, callee := range callees {
		all = append(all, n.dryCheck(callee, "acme-x", "020-1234567"), n.dryCheck(callee, "globex-x", "020-1234568"))
	}
	return all
}

func (n *node) number(callee string) bool {
	n.t.Helper()
	canonical, err := telephony.Canonical(callee)
	if err != nil {
		n.t.Fatal(err)
	}
	_, err = n.door.ledger.SealedNumber(n.t.Context(), n.ring.Token(canonical))
	return err == nil
}

// lived are eight callees of whom something was recorded long ago: what became of each is in the comments.
func (n *node) lived() (callees []string) {
	n.t.Helper()
	for i := range 8 {
		callees = append(callees, calleeOf(i))
	}
	n.record(callees[0], consentAt("c-0", longAgo, false), "r-0") // expired
	lasting := consentAt("c-1", longAgo, false)
	lasting.GetConsent().ExpireTime = stampAt(longAgo.AddDate(10, 0, 0)) // in force
	n.record(callees[1], lasting, "r-1")
	n.record(callees[2], consentAt("c-2", longAgo, false), "r-2") // expired, and objected
	if _, err := n.object("ivr-all", objectionOf(callees[2], "o-2")); err != nil {
		n.t.Fatal(err)
	}
	n.record(callees[3], &belpoortv1.Fact{Kind: &belpoortv1.Fact_Relationship{Relationship: &belpoortv1.Relationship{
		Kind: belpoortv1.RelationshipKind_RELATIONSHIP_KIND_SALE, Organisation: "acme", Product: "power", StartTime: stampAt(longAgo.AddDate(-1, 0, 0)),
	}}}, "r-3") // still running
	lasting = consentAt("c-4", longAgo, false)
	lasting.GetConsent().ExpireTime = stampAt(longAgo.AddDate(10, 0, 0))
	n.record(callees[4], lasting, "r-4") // withdrawn
	n.record(callees[4], &belpoortv1.Fact{Kind: &belpoortv1.Fact_Withdrawal{Withdrawal: &belpoortv1.Withdrawal{
		ConsentId: "c-4", WithdrawTime: stampAt(longAgo), Via: belpoortv1.Via_VIA_WEB,
	}}}, "w-4")
	n.record(callees[5], consentAt("c-5", longAgo, false), "r-5") // expired, and a legal person
	n.record(callees[5], &belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: &belpoortv1.Subscriber{
		Kind: belpoortv1.SubscriberKind_SUBSCRIBER_KIND_LEGAL_PERSON,
	}}}, "s-5")
	for i, loaded := range []time.Time{longAgo.AddDate(0, -1, 0), longAgo} { // two copies of a list
		n.record(callees[6], &belpoortv1.Fact{Kind: &belpoortv1.Fact_ListEntry{ListEntry: &belpoortv1.ListEntry{
			List: "TPS", SinceTime: stampAt(longAgo.AddDate(-1, 0, 0)), LoadTime: stampAt(loaded),
		}}}, fmt.Sprint("l-", i))
	}
	n.record(callees[7], consentAt("c-7", longAgo, false), "r-7") // expired, but something new comes
	return callees
}

// TestRetentionChangesNoVerdict: what ended goes, with the number where nothing else needs it, and every question is answered as
// before, from the cache and from the ledger; a dry run says the same and does nothing, a second run finds nothing. The mutant
// mutant_retention_in_force must fail here.
func TestRetentionChangesNoVerdict(t *testing.T) {
	n := startLongAgo(t, t.TempDir())
	callees := n.lived()
	n.goTo(wednesday)
	n.record(callees[7], consentAt("c-8", wednesday.AddDate(0, 0, -1), false), "r-8")
	policy := &belpoortv1.RetentionPolicy{Refusals: "2 years", Calls: "2 years", Bases: "2 years", Lists: "31 days"}
	before := n.verdicts(callees)
	want := map[string]string{
		"allows": "0 of 0", "refusals": "0 of 0", "consents": "5 of 7 IN_FORCE:2", "relationships": "0 of 1 IN_FORCE:1", "list_entries": "1 of 2 IN_FORCE:1",
		"numbers": "4 of 8 FACTS_LEFT:3 IN_FORCE:1",
	}
	head, _ := n.door.ledger.Head(t.Context())
	if told := n.retain(policy, true); !maps.Equal(told, want) {
		t.Errorf("a dry run tells\n%v\nwant\n%v", told, want)
	}
	if after, _ := n.door.ledger.Head(t.Context()); after != head {
		t.Errorf("a dry run wrote %d facts", after-head)
	}
	if told := n.retain(policy, false); !maps.Equal(told, want) {
		t.Errorf("the run tells\n%v\nwant\n%v", told, want)
	}
	if after := n.verdicts(callees); !slices.Equal(after, before) {
		t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	for i, kept := range []bool{false, true, false, true, false, true, false, true} {
		if n.number(callees[i]) != kept {
			t.Errorf("callee %d: the number is kept: %v", i, !kept)
		}
	}
	if r, err := n.door.ledger.Verify(t.Context()); err != nil || !r.OK() || r.Erased != 6 {
		t.Errorf("Verify: %+v, %v", r, err)
	}
	if told := n.retain(policy, false); told["consents"] != "0 of 2 IN_FORCE:2" || told["numbers"] != "0 of 4 FACTS_LEFT:3 IN_FORCE:1" {
		t.Errorf("again: %v", told)
	}
	held, err := n.calleeAs("compliance-all", callees[2])
	if err != nil || len(held.GetEntries()) != 3 || !held.GetEntries()[0].GetErased() || held.GetEntries()[2].GetFact().GetDisposal() == nil {
		t.Errorf("held: %v, %v", held, err)
	}
	run, found, err := n.door.LatestOfKind(t.Context(), record.KindRetention, 0)
	if m, bad := record.UnmarshalRetention(run.Position, run.Payload); err != nil || !found || bad != nil || m.GetClient() != "compliance-all" ||
		!m.GetFinished() || m.GetPolicy().GetBases() != "2 years" || len(m.GetCounts()) == 0 || !m.GetBeginTime().AsTime().Equal(wednesday) {
		t.Errorf("on record: %v, %v", m, err)
	}
	_, err = n.explain("compliance-all", func(r *belpoortv1.ExplainCallRequest) { r.Callee, r.Position = callees[0], 2 })
	wantError(t, "as the ledger stood before", err, codes.FailedPrecondition, ReasonCalleeErased, "")
	n.record(callees[0], consentAt("c-new", wednesday.Add(-time.Hour), false), "r-new")
	if said := n.dryCheck(callees[0], "acme-x", "020-1234567"); !strings.Contains(said, "OK_CONSENT") {
		t.Errorf("a consent of later: %s", said)
	}
}

// TestACallWhoseOfferIsOwedIsKept, with its report, and owes it after a restart too; the others go with their reports, and the
// numbers of later ALLOWs go on. The mutant mutant_debt_destroyed must fail here.
func TestACallWhoseOfferIsOwedIsKept(t *testing.T) {
	dir := t.TempDir()
	policy := &belpoortv1.RetentionPolicy{Refusals: "1 year", Calls: "1 year"}
	t.Run("before a restart", func(t *testing.T) {
		n := startLongAgo(t, dir)
		var permits []string
		for i := range 3 {
			n.record(calleeOf(i), consentAt(fmt.Sprint("c", i), longAgo, false), "")
			permits = append(permits, n.mustCheck(calleeOf(i)).GetPermit())
		}
		n.wants(n.mustCheck(calleeOf(7)), eligibility.Deny, eligibility.NoBasis)
		n.reports(permits[0], belpoortv1.Outcome_OUTCOME_ANSWERED, false)
		n.reports(permits[1], belpoortv1.Outcome_OUTCOME_ANSWERED, true)
		n.reports(permits[2], belpoortv1.Outcome_OUTCOME_NO_ANSWER, false)
		n.goTo(wednesday)
		n.judged()
		if s := n.standing("acme-x"); s.GetOffersOverdue() != 1 {
			t.Fatalf("before: %v", s)
		}
		// the campaign still counts attempts: its reports stay
		if told := n.retain(policy, false); told["allows"] != "2 of 3 OFFER_OWED:1" || told["refusals"] != "1 of 1" || told["call_reports"] != "0 of 3 IN_FORCE:2 OFFER_OWED:1" {
			t.Errorf("with the campaign: %v", told)
		}
		over := reachable(strictCatalogue(), wednesday)
		over.Campaigns[0].Id = "acme-z"
		n.apply(over)
		if told := n.retain(policy, false); told["call_reports"] != "2 of 3 OFFER_OWED:1" || told["allows"] != "0 of 1 OFFER_OWED:1" {
			t.Errorf("without: %v", told)
		}
		n.goTo(wednesday)
		n.judged()
		if s := n.standing("acme-x"); s.GetOffersOverdue() != 1 {
			t.Errorf("after: %v", s)
		}
	})
	t.Run("after a restart", func(t *testing.T) {
		n := newNode(t, dir, nil)
		n.setClock(longAgo.AddDate(0, 0, 1)) // from where the book is read
		n.start()
		n.judged()
		n.setClock(wednesday)
		n.judged()
		if s := n.standing("acme-x"); s.GetOffersOverdue() != 1 {
			t.Errorf("it stands %v", s)
		}
	})
}

// TestTheEvidenceOfACallIsKeptWithIt: a consent on which an allowed call rests goes no sooner than the call. The mutant
// mutant_evidence_destroyed must fail here.
func TestTheEvidenceOfACallIsKeptWithIt(t *testing.T) {
	n := startLongAgo(t, t.TempDir())
	n.record(calleeOf(1), consentAt("c-1", longAgo, false), "r-1")
	decided := n.mustCheck(calleeOf(1))
	n.reports(decided.GetPermit(), belpoortv1.Outcome_OUTCOME_ANSWERED, true)
	over := reachable(strictCatalogue(), wednesday)
	over.Campaigns[0].Id = "acme-z"
	n.setClock(wednesday)
	n.apply(over)
	policy := &belpoortv1.RetentionPolicy{Calls: "6 years", Bases: "2 years"}
	if told := n.retain(policy, false); told["consents"] != "0 of 1 CALL_KEPT:1" || told["call_reports"] != "0 of 1 TERM_RUNS:1" || told["numbers"] != "0 of 1 FACTS_LEFT:1" {
		t.Errorf("while the call is kept: %v", told)
	}
	if _, err := n.decisionAs("compliance-all", decided.GetDecisionId()); err != nil {
		t.Error(err)
	}
	policy.Calls = "2 years"
	if told := n.retain(policy, false); told["consents"] != "1 of 1" || told["call_reports"] != "1 of 1" || told["allows"] != "1 of 1" || told["numbers"] != "1 of 1" {
		t.Errorf("then: %v", told)
	}
	_, err := n.decisionAs("compliance-all", decided.GetDecisionId())
	wantError(t, "the decision", err, codes.NotFound, ReasonDecisionUnknown, "")
}

func TestRetentionRefusals(t *testing.T) {
	n := newNode(t, t.TempDir(), nil)
	n.start()
	good := &belpoortv1.RetentionPolicy{Bases: "2 years"}
	_, err := n.retainAs("compliance-all", good, false)
	wantError(t, "no catalogue", err, codes.FailedPrecondition, ReasonNoCatalogue, "")
	n.apply(testCatalogue())
	for field, p := range map[string]*belpoortv1.RetentionPolicy{
		"policy": {}, "policy.refusals": {Refusals: "soon"}, "policy.calls": {Calls: "30 days"}, "policy.bases": {Bases: "700 hours"}, "policy.lists": {Lists: "-1 years"},
	} {
		reason := ReasonFieldInvalid
		if field == "policy" {
			reason = ReasonFieldMissing
		}
		_, err := n.retainAs("compliance-all", p, true)
		wantError(t, field, err, codes.InvalidArgument, reason, field)
	}
	_, err = n.retainAs("compliance-glo", good, true)
	wantError(t, "one organisation's key", err, codes.PermissionDenied, ReasonOrganisationForbidden, "")
	n.retaining.Lock()
	_, err = n.retainAs("compliance-all", good, true)
	wantError(t, "two at once", err, codes.FailedPrecondition, ReasonRetentionRuns, "")
	n.retaining.Unlock()
	stream, err := belpoortv1.NewRetentionServiceClient(n.conn).RunRetention(n.as("compliance-all"), &belpoortv1.RunRetentionRequest{Policy: good, ResumeToken: "x"})
	if err == nil {
		_, err = stream.Recv()
	}
	wantError(t, "a token", err, codes.InvalidArgument, ReasonFieldInvalid, "resume_token")
	if _, found, err := n.door.LatestOfKind(t.Context(), record.KindRetention, 0); err != nil || found {
		t.Errorf("a refused run is on record: %v, %v", found, err)
	}
}

// TestARunThatIsCutOffGoesOn: what comes meanwhile is not destroyed unseen; a ledger that fails ends the run, which is on record,
// and the next one does the rest.
func TestARunThatIsCutOffGoesOn(t *testing.T) {
	n := startLongAgo(t, t.TempDir())
	callees := n.lived()
	n.goTo(wednesday)
	policy := &belpoortv1.RetentionPolicy{Bases: "2 years"}
	n.breakLedger(func(operation string) error {
		if operation == "DisposeFacts" {
			return errors.New("the disk is gone")
		}
		return nil
	})
	_, err := n.retainAs("compliance-all", policy, false)
	wantError(t, "a ledger that fails", err, codes.Unavailable, ReasonLedgerUnavailable, "")
	run, _, err := n.door.LatestOfKind(t.Context(), record.KindRetention, 0)
	if m, bad := record.UnmarshalRetention(run.Position, run.Payload); err != nil || bad != nil || m.GetFinished() || m.GetPosition() == 0 {
		t.Errorf("on record: %v, %v", m, err)
	}
	came := false
	n.breakLedger(func(operation string) error {
		if operation == "DisposeFacts" && !came {
			came = true
			n.record(callees[0], consentAt("c-meanwhile", wednesday.Add(-time.Hour), false), "r-meanwhile")
		}
		return nil
	})
	if told := n.retain(policy, false); told["consents"] != "4 of 6 IN_FORCE:1 MOVED:1" {
		t.Errorf("with a fact that comes meanwhile: %v", told)
	}
	if said := n.dryCheck(callees[0], "acme-x", "020-1234567"); !strings.Contains(said, "OK_CONSENT") || !n.number(callees[0]) {
		t.Errorf("it says %s", said)
	}
}
