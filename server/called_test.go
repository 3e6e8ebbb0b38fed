package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func objectionInCallOf(permit, callID string) *belpoortv1.RegisterObjectionRequest {
	return &belpoortv1.RegisterObjectionRequest{Permit: permit, CallId: callID, Via: belpoortv1.Via_VIA_AGENT}
}

// An objection names the call by permit or by the dialer's id; the same objection of the same call gets the first receipt,
// whoever repeats it and under whatever request_id.
func TestAnObjectionNamesItsCall(t *testing.T) {
	n, allowed := startCalled(t)
	first, err := n.object("dialer-acme", objectionInCallOf(allowed.GetPermit(), ""))
	if err != nil || first.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Fatalf("%v, %v", first, err)
	}
	n.setClock(wednesday.Add(time.Hour))
	for name, req := range map[string]*belpoortv1.RegisterObjectionRequest{
		"under an id":   {Permit: allowed.GetPermit(), Via: belpoortv1.Via_VIA_AGENT, RequestId: "x"},
		"by the IVR":    {Permit: allowed.GetPermit(), Via: belpoortv1.Via_VIA_IVR},
		"by call_id":    objectionInCallOf("", "call-1"),
		"with campaign": {CallId: "call-1", Campaign: "acme-x", Organisation: "acme", Via: belpoortv1.Via_VIA_AGENT},
	} {
		if again, err := n.object("ivr-acme", req); err != nil || again.GetReceipt() != first.GetReceipt() || again.GetPosition() != first.GetPosition() {
			t.Errorf("repeated %s: %v, %v; first %v", name, again, err, first)
		}
	}
	if objections := n.objectionsHeld(knownCallee); len(objections) != 1 || objections[0].GetDecisionId() != allowed.GetDecisionId() {
		t.Errorf("recorded: %v", objections)
	}
}

func TestObjectionsThatNameTheirCallWrongAreRefused(t *testing.T) {
	n, allowed := startCalled(t)
	permit := allowed.GetPermit()
	type req = belpoortv1.RegisterObjectionRequest
	for name, one := range map[string]struct {
		req    *req
		client string
		code   codes.Code
		reason string
		field  string
	}{
		"two names":            {&req{Permit: permit, Callee: knownCallee}, "", codes.InvalidArgument, ReasonFieldInvalid, "callee"},
		"two calls":            {&req{Permit: permit, CallId: "call-1"}, "", codes.InvalidArgument, ReasonFieldInvalid, "call_id"},
		"another organisation": {&req{Permit: permit, Organisation: "globex"}, "", codes.InvalidArgument, ReasonFieldInvalid, "organisation"},
		"a foreign permit":     {&req{Permit: permit}, "dialer-globex", codes.PermissionDenied, ReasonOrganisationForbidden, "permit"},
		"a foreign call":       {&req{CallId: "call-1"}, "dialer-globex", codes.NotFound, ReasonCallUnknown, "call_id"},
		"an unknown call":      {&req{CallId: "call-2"}, "", codes.NotFound, ReasonCallUnknown, "call_id"},
		"another campaign":     {&req{CallId: "call-1", Campaign: "globex-x"}, "", codes.NotFound, ReasonCallUnknown, "call_id"},
		"a long id":            {&req{CallId: strings.Repeat("c", 129)}, "", codes.InvalidArgument, ReasonFieldInvalid, "call_id"},
		"an id in two lines":   {&req{CallId: "a\nb"}, "", codes.InvalidArgument, ReasonFieldInvalid, "call_id"},
		"narrowed by nobody":   {&req{Permit: permit, Scope: 1, Product: "power"}, "", codes.InvalidArgument, ReasonFieldMissing, "own_words"},
		"wide with words":      {&req{Permit: permit, OwnWords: "no more"}, "", codes.InvalidArgument, ReasonFieldInvalid, "own_words"},
		"long words": {&req{Permit: permit, Scope: 1, Product: "power", OwnWords: strings.Repeat("w", 501)}, "", codes.InvalidArgument,
			ReasonFieldInvalid, "own_words"},
	} {
		one.req.Via = belpoortv1.Via_VIA_AGENT
		if one.client == "" {
			one.client = "dialer-acme"
		}
		_, err := n.object(one.client, one.req)
		wantError(t, name, err, one.code, one.reason, one.field)
	}
	if objections := n.objectionsHeld(knownCallee); len(objections) > 0 {
		t.Errorf("recorded: %v", objections)
	}
}

// Only the person's own words narrow an objection. The mutant mutant_narrowed_without_words must fail here.
func TestOnlyOwnWordsNarrowAnObjection(t *testing.T) {
	n := startNode(t, nil)
	req := objectionOf(knownCallee, "o-1")
	req.Scope, req.Product = belpoortv1.ObjectionScope_OBJECTION_SCOPE_PRODUCT, "power"
	for _, words := range []string{"", "  \t"} {
		req.OwnWords = words
		_, err := n.object("ivr-acme", req)
		wantError(t, "without words", err, codes.InvalidArgument, ReasonFieldMissing, "own_words")
	}
	req.OwnWords = "only not\nabout power"
	if _, err := n.object("ivr-acme", req); err != nil {
		t.Fatal(err)
	}
	if objections := n.objectionsHeld(knownCallee); len(objections) != 1 || objections[0].GetOwnWords() != "only not about power" {
		t.Errorf("recorded: %v", objections)
	}
}

// Dialers use their ids again, and several may use the same: the newest call counts, unless it could be another campaign's.
func TestCallsThatShareAnID(t *testing.T) {
	n, first := startCalled(t)
	second := n.called("06-87654321", "call-1")
	if _, err := n.object("dialer-acme", objectionInCallOf("", "call-1")); err != nil {
		t.Fatal(err)
	}
	if objections := n.objectionsHeld("06-87654321"); len(objections) != 1 || objections[0].GetDecisionId() != second.GetDecisionId() {
		t.Errorf("recorded: %v; the older call was %v", objections, first.GetDecisionId())
	}
	n.record("06-11111111", consentOf("c-g", "globex"), "globex")
	other, err := n.check("dialer-globex", &belpoortv1.CheckCallRequest{
		Callee: "06-11111111", Campaign: "globex-x", CallerId: "020-1234568", Person: "P", CallId: "call-1"})
	if err != nil || other.GetPermit() == "" {
		t.Fatalf("%v, %v", other, err)
	}
	if _, err := n.object("dialer-acme", objectionInCallOf("", "call-1")); err != nil {
		t.Errorf("another organisation's call is in the way: %v", err)
	}
	_, err = n.object("ivr-all", objectionInCallOf("", "call-1"))
	wantError(t, "two campaigns", err, codes.InvalidArgument, ReasonCallAmbiguous, "call_id")
	named := objectionInCallOf("", "call-1")
	named.Campaign = "globex-x"
	if _, err := n.object("ivr-all", named); err != nil {
		t.Error(err)
	}
	if objections := n.objectionsHeld("06-11111111"); len(objections) != 1 {
		t.Errorf("recorded: %v", objections)
	}
	n.setClock(wednesday.Add(25 * time.Hour))
	_, err = n.object("dialer-acme", objectionInCallOf("", "call-1"))
	wantError(t, "a day later", err, codes.NotFound, ReasonCallUnknown, "call_id")
}

// A node that did not allow the call finds it in the ledger; one that did knows it by itself.
func TestACallIsFoundAfterARestart(t *testing.T) {
	dir := t.TempDir()
	t.Run("before", func(t *testing.T) {
		n := newNode(t, dir, nil)
		n.start()
		n.apply(withMenus())
		n.called(knownCallee, "call-1")
		n.held(knownCallee) // waits until the decision has reached the ledger
	})
	n := newNode(t, dir, nil)
	n.start()
	n.setClock(wednesday.Add(time.Minute))
	if _, err := n.object("dialer-acme", objectionInCallOf("", "call-1")); err != nil {
		t.Error(err)
	}
	n.breakLedger(func(string) error { return ErrLedgerAway })
	_, err := n.object("dialer-acme", objectionInCallOf("", "call-1"))
	wantError(t, "a ledger that is away", err, codes.Unavailable, ReasonLedgerUnavailable, "")
}

func TestACallIDThatHoldsTheNumberIsRefused(t *testing.T) {
	n := startNode(t, nil)
	for _, id := range []string{"M0612345678", "31612345678-1"} {
		req := checkOf("06-12345678")
		req.CallId = id
		_, err := n.check("dialer-acme", req)
		wantError(t, id, err, codes.InvalidArgument, ReasonFieldInvalid, "call_id")
	}
}

// What is remembered is bounded in time and number.
func TestRecentCallsAreForgotten(t *testing.T) {
	var r recentCalls
	note := func(id, decision string, at time.Time) {
		r.note(&belpoortv1.Decision{CallId: id, DecisionId: decision, Verdict: belpoortv1.Verdict_VERDICT_ALLOW, DecideTime: stampAt(at)})
	}
	note("a", "1", wednesday)
	note("a", "2", wednesday.Add(time.Second))
	note("b", "3", wednesday.Add(recentFor))
	if last := r.lastOf(calledIn{}); last.GetDecisionId() != "3" || r.lastOf(calledIn{campaign: "acme-x"}) != nil {
		t.Errorf("the last call is %v", last)
	}
	note("", "unnamed", wednesday.Add(recentFor))
	if len(r.of("a")) != 2 || len(r.of("b")) != 1 || len(r.of("c")) != 0 {
		t.Errorf("%v %v", r.of("a"), r.of("b"))
	}
	note("b", "4", wednesday.Add(recentFor+time.Second))
	if a := r.of("a"); len(a) != 1 || a[0].GetDecisionId() != "2" {
		t.Errorf("%v", a)
	}
	for range maxRecent {
		note("c", "5", wednesday.Add(recentFor+time.Second))
	}
	if len(r.of("a"))+len(r.of("b"))+len(r.of("")) != 0 || len(r.last) != 1 || len(r.of("c")) != maxRecent || len(r.order) != maxRecent || len(r.byID) != 1 {
		t.Errorf("%d remembered", len(r.order))
	}
}
