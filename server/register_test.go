package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) recordAs(client string, req *belpoortv1.RecordFactRequest) (*belpoortv1.RecordFactResponse, error) {
	return belpoortv1.NewRegisterServiceClient(n.conn).RecordFact(n.as(client), req)
}

func (n *node) calleeAs(client, callee string) (*belpoortv1.GetCalleeResponse, error) {
	return belpoortv1.NewRegisterServiceClient(n.conn).GetCallee(n.as(client), &belpoortv1.GetCalleeRequest{Callee: callee})
}

func objectionFact(organisation string) *belpoortv1.Fact {
	fact := knownObjection()
	fact.GetObjection().Organisation = organisation
	return fact
}

func TestAFactIsInForceWhenAnswered(t *testing.T) {
	n := startNode(t, nil)
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.NoBasis)
	first := n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	again := n.record(callee, consentOf("c-1", "acme"), "r-1")
	if first.GetUnchanged() || !again.GetUnchanged() || again.GetPosition() != first.GetPosition() || first.GetReceipt() != "" {
		t.Errorf("first %v, again %v", first, again)
	}
	_, err := n.recordAs("register-all", &belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-2", "acme"), RequestId: "r-1"})
	wantError(t, "other content", err, codes.AlreadyExists, ReasonRequestReused, "request_id")

	withdrawal := knownWithdrawal()
	withdrawal.GetWithdrawal().ConsentId = "c-1"
	n.record(callee, withdrawal, "r-2")
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Withdrawn)
}

func TestAFactWithoutAnIdIsRecordedOnce(t *testing.T) {
	n := startNode(t, nil)
	first := n.record(callee, consentOf("c-1", "acme"), "")
	if again := n.record("+31612345678", consentOf("c-1", "acme"), ""); !again.GetUnchanged() || again.GetPosition() != first.GetPosition() {
		t.Errorf("first %v, again %v", first, again)
	}
	for name, other := range map[string]*belpoortv1.RecordFactResponse{
		"another fact":   n.record(callee, consentOf("c-2", "acme"), ""),
		"another callee": n.record("06-87654321", consentOf("c-1", "acme"), ""),
		"an id":          n.record(callee, consentOf("c-1", "acme"), "r-1"),
	} {
		if other.GetUnchanged() {
			t.Errorf("%s was taken for a repeat", name)
		}
	}
	one, two := n.record(callee, objectionFact("acme"), ""), n.record(callee, objectionFact("acme"), "")
	if one.GetReceipt() == "" || two.GetReceipt() != one.GetReceipt() || !two.GetUnchanged() {
		t.Errorf("an objection: %v, again %v", one, two)
	}
	held, err := n.calleeAs("compliance-all", callee)
	if err != nil || len(held.GetEntries()) != 4 || held.GetEntries()[0].GetRequestId() != "" {
		t.Errorf("held: %v, %v", held, err)
	}
}

func TestAnObjectionRecordedAsAFactHasAReceipt(t *testing.T) {
	n := startNode(t, nil)
	answer := n.record(callee, objectionFact("acme"), "r-1")
	got, err := n.getObjection("ivr-acme", answer.GetReceipt())
	if err != nil || got.GetPosition() != answer.GetPosition() || got.GetObjection().GetReceipt() != answer.GetReceipt() {
		t.Errorf("by its receipt %q: %v, %v", answer.GetReceipt(), got, err)
	}
}

func TestBadFactsAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	future := stampAt(wednesday.Add(time.Minute))
	type req = *belpoortv1.RecordFactRequest
	for _, c := range []struct {
		name   string
		change func(req)
		code   codes.Code
		reason string
		field  string
	}{
		{"no callee", func(r req) { r.Callee = "" }, codes.InvalidArgument, ReasonFieldMissing, "callee"},
		{"malformed callee", func(r req) { r.Callee = "6" }, codes.InvalidArgument, ReasonCalleeInvalid, "callee"},
		{"NUL in the id", func(r req) { r.RequestId = "a\x00b" }, codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
		{"long id", func(r req) { r.RequestId = strings.Repeat("x", 129) }, codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
		{"no fact", func(r req) { r.Fact = nil }, codes.InvalidArgument, ReasonFieldInvalid, "fact"},
		{"no consent id", func(r req) { r.Fact.GetConsent().ConsentId = "" }, codes.InvalidArgument, ReasonFieldInvalid, "fact.consent.consent_id"},
		{"unknown word", func(r req) { r.Fact.GetConsent().Method = 77 }, codes.InvalidArgument, ReasonFieldInvalid, "fact.consent.method"},
		{"unknown organisation", func(r req) { r.Fact = consentOf("c", "nobody") }, codes.NotFound, ReasonOrganisationUnknown, "fact.consent.organisations[0]"},
		{"other organisation", func(r req) { r.Fact = consentOf("c", "globex") }, codes.PermissionDenied, ReasonOrganisationForbidden, "fact.consent.organisations[0]"},
		{"one of two organisations", func(r req) { r.Fact.GetConsent().Organisations = []string{"acme", "globex"} }, codes.PermissionDenied,
			ReasonOrganisationForbidden, "fact.consent.organisations[1]"},
		{"other's objection", func(r req) { r.Fact = objectionFact("globex") }, codes.PermissionDenied, ReasonOrganisationForbidden, "fact.objection.organisation"},
		{"a receipt of its own", func(r req) { r.Fact = objectionFact("acme"); r.Fact.GetObjection().Receipt = "x" }, codes.InvalidArgument,
			ReasonFieldInvalid, "fact.objection.receipt"},
		{"a future objection", func(r req) { r.Fact = objectionFact("acme"); r.Fact.GetObjection().ObjectTime = future }, codes.InvalidArgument,
			ReasonFieldInvalid, "fact.objection.object_time"},
		{"a future withdrawal", func(r req) { r.Fact = knownWithdrawal(); r.Fact.GetWithdrawal().WithdrawTime = future }, codes.InvalidArgument,
			ReasonFieldInvalid, "fact.withdrawal.withdraw_time"},
		{"a call of no campaign", func(r req) { r.Fact = callFact("nothing") }, codes.NotFound, ReasonCampaignUnknown, "fact.call_report.campaign"},
		{"another's call", func(r req) { r.Fact = callFact("globex-x") }, codes.PermissionDenied, ReasonOrganisationForbidden, "fact.call_report.campaign"},
	} {
		r := &belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c", "acme"), RequestId: "r"}
		c.change(r)
		_, err := n.recordAs("register-acme", r)
		wantError(t, c.name, err, c.code, c.reason, c.field)
	}
	if head, err := n.door.ledger.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("the ledger's head is %d, %v: bad input changed something", head, err)
	}
}

func callFact(campaign string) *belpoortv1.Fact {
	return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: &belpoortv1.CallReport{
		Campaign: campaign, DialTime: stampAt(wednesday.Add(-time.Hour)), Outcome: belpoortv1.Outcome_OUTCOME_NO_ANSWER,
	}}}
}

func TestAConsentMayNameRecipientsBeyondTheCatalogue(t *testing.T) {
	n := startNode(t, nil)
	fact := consentOf("c-1", "acme")
	fact.GetConsent().Organisations = []string{"a-partner", "acme"}
	n.record(callee, fact, "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

func TestOfManyFactsTheFaultyOnesAreNamed(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("before", "acme"), "taken")
	stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as("register-acme"))
	if err != nil {
		t.Fatal(err)
	}
	send := func(facts ...*belpoortv1.RecordFactRequest) {
		t.Helper()
		if err := stream.Send(&belpoortv1.RecordFactsRequest{Facts: facts}); err != nil {
			t.Fatal(err)
		}
	}
	send(
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-0", "acme"), RequestId: "m-0"},
		&belpoortv1.RecordFactRequest{Callee: "06-12", Fact: consentOf("c-1", "acme"), RequestId: "m-1"},
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-2", "acme"), RequestId: "taken"},
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-3", "acme"), RequestId: "m-3"},
	)
	send(
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-0", "acme"), RequestId: "m-0"},
		&belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-5", "globex"), RequestId: "m-5"},
	)
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := n.door.ledger.Entry(t.Context(), 4); err != nil || answer.GetMark().GetPosition() != 4 || [32]byte(answer.GetMark().GetHash()) != e.Hash {
		t.Errorf("mark %v: %v", answer.GetMark(), err)
	}
	if answer.GetRecorded() != 2 || answer.GetUnchanged() != 1 || answer.GetRejected() != 3 || answer.GetPosition() != 4 {
		t.Errorf("answer = %v", answer)
	}
	want := []string{"1 callee", "2 request_id", "5 fact.consent.organisations[0]"}
	for i, r := range answer.GetRejections() {
		if got := fmt.Sprint(r.GetIndex(), " ", r.GetField()); got != want[i] || r.GetDescription() == "" {
			t.Errorf("rejection %d = %v, want %s", i, r, want[i])
		}
	}
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
}

// Who goes on after what was recorded says where that is, and is refused where it is not.
func TestFactsGoOnOnlyInTheLedgerThatIsMeant(t *testing.T) {
	n := startNode(t, nil)
	after := func(mark *belpoortv1.LedgerMark, facts ...*belpoortv1.RecordFactRequest) (*belpoortv1.LedgerMark, error) {
		t.Helper()
		stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as("register-acme"))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&belpoortv1.RecordFactsRequest{Facts: facts, After: mark}); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.CloseAndRecv()
		return answer.GetMark(), err
	}
	fact := &belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-0", "acme"), RequestId: "m-0"}
	first, err := after(nil, fact)
	if err != nil || first.GetPosition() == 0 {
		t.Fatalf("%v, %v", first, err)
	}
	if repeated, err := after(first, fact); err != nil || !proto.Equal(first, repeated) {
		t.Errorf("the mark of a fact that is there: %v, want %v: %v", repeated, first, err)
	}
	if none, err := after(first); err != nil || none != nil {
		t.Errorf("the mark of no facts: %v, %v", none, err)
	}
	elsewhere := &belpoortv1.LedgerMark{Position: first.GetPosition(), Hash: make([]byte, 32)}
	later := &belpoortv1.LedgerMark{Position: first.GetPosition() + 1, Hash: first.GetHash()}
	for _, mark := range []*belpoortv1.LedgerMark{elsewhere, later} {
		_, err := after(mark, &belpoortv1.RecordFactRequest{Callee: callee, Fact: consentOf("c-9", "acme"), RequestId: "m-9"})
		wantError(t, mark.String(), err, codes.FailedPrecondition, ReasonLedgerMoved, "")
	}
	for _, mark := range []*belpoortv1.LedgerMark{{}, {Position: 1}, {Hash: first.GetHash()}, {Position: 1, Hash: make([]byte, 33)}} {
		_, err := after(mark)
		wantError(t, mark.String(), err, codes.InvalidArgument, ReasonFieldInvalid, "after")
	}
	if head, err := n.door.ledger.Head(t.Context()); err != nil || head != first.GetPosition() {
		t.Errorf("head %d after %d: %v", head, first.GetPosition(), err)
	}
}

func TestTooManyFactsInOneMessageAreRefused(t *testing.T) {
	n := startNode(t, nil)
	stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as("register-acme"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&belpoortv1.RecordFactsRequest{Facts: make([]*belpoortv1.RecordFactRequest, maxFacts+1)}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wantError(t, "501 facts", err, codes.InvalidArgument, ReasonFieldInvalid, "facts")
}

func TestABrokenLedgerEndsTheStream(t *testing.T) {
	n := startNode(t, nil)
	n.breakLedger(func(string) error { return errBroken })
	stream, err := belpoortv1.NewRegisterServiceClient(n.conn).RecordFacts(n.as("register-acme"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&belpoortv1.RecordFactsRequest{Facts: []*belpoortv1.RecordFactRequest{
		{Callee: callee, Fact: consentOf("c-0", "acme"), RequestId: "m-0"}}}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.CloseAndRecv()
	wantError(t, "a broken ledger", err, codes.Unavailable, ReasonLedgerUnavailable, "")
}

func TestEverythingHeldOnANumberIsShown(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.record(callee, consentOf("c-2", "globex"), "r-2")
	n.record(callee, &belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: &belpoortv1.Subscriber{
		Kind: belpoortv1.SubscriberKind_SUBSCRIBER_KIND_NATURAL_PERSON}}}, "r-3")
	if _, err := n.object("ivr-all", objectionOf(callee, "o-1")); err != nil {
		t.Fatal(err)
	}
	n.record("06-87654321", consentOf("c-3", "acme"), "r-4")
	decided := n.mustCheck(callee)
	got, err := n.calleeAs("compliance-all", callee)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, entry := range got.GetEntries() {
		ids = append(ids, entry.GetRequestId())
		if len(entry.GetHash()) != 32 || entry.GetFact() == nil || !entry.GetRecordTime().AsTime().Equal(wednesday) {
			t.Errorf("entry = %v", entry)
		}
	}
	if strings.Join(ids, " ") != "r-1 r-2 r-3 o-1" || got.GetLedgerPosition() != 6 || len(got.GetCalleeToken()) != 32 {
		t.Errorf("entries %v at %d", ids, got.GetLedgerPosition())
	}
	if len(got.GetDecisions()) != 1 || got.GetDecisions()[0].GetDecisionId() != decided.GetDecisionId() {
		t.Errorf("decisions = %v", got.GetDecisions())
	}
	other, err := n.calleeAs("compliance-glo", callee)
	if err != nil {
		t.Fatal(err)
	}
	if len(other.GetEntries()) != 2 || other.GetEntries()[0].GetRequestId() != "r-2" || len(other.GetDecisions()) != 0 {
		t.Errorf("globex sees %v", other)
	}
	_, err = n.calleeAs("compliance-all", "06")
	wantError(t, "malformed", err, codes.InvalidArgument, ReasonCalleeInvalid, "callee")
}
