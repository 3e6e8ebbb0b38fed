package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

type offerRequest = belpoortv1.RecordObjectionOfferRequest

func (n *node) offer(client string, req *offerRequest) (*belpoortv1.RecordObjectionOfferResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).RecordObjectionOffer(n.as(client), req)
}

func (n *node) offersHeld(callee string) (all []*belpoortv1.ObjectionOffer) {
	for _, e := range n.held(callee) {
		if o := e.GetFact().GetObjectionOffer(); o != nil {
			all = append(all, o)
		}
	}
	return all
}

// withMenus is the test catalogue with a menu of each organisation.
func withMenus() *belpoortv1.Catalogue {
	m := testCatalogue()
	object := &belpoortv1.IvrDigit{Meaning: belpoortv1.IvrDigit_MEANING_OBJECT}
	m.IvrMenus = []*belpoortv1.IvrMenu{
		{Id: "acme-menu", Organisation: "acme", Digits: map[string]*belpoortv1.IvrDigit{
			"9": object, "1": {Meaning: belpoortv1.IvrDigit_MEANING_NOT_OBJECTED}, "*": {Meaning: belpoortv1.IvrDigit_MEANING_REPEAT},
			"2": {Meaning: belpoortv1.IvrDigit_MEANING_OBJECT, Product: "power", Spoken: "press 2 for no more calls about power"},
		}},
		{Id: "globex-menu", Organisation: "globex", Digits: map[string]*belpoortv1.IvrDigit{"9": object}},
	}
	return m
}

// startCalled is a node with menus and a call that was allowed, which its dialer calls "call-1"; a minute has gone by.
func startCalled(t *testing.T) (*node, *belpoortv1.CheckCallResponse) {
	t.Helper()
	n := startNode(t, nil)
	n.apply(withMenus())
	return n, n.called(knownCallee, "call-1")
}

func (n *node) called(callee, callID string) *belpoortv1.CheckCallResponse {
	n.t.Helper()
	n.record(callee, consentOf("c-"+callee, "acme"), "consent "+callee)
	req := checkOf(callee)
	req.CallId = callID
	answer, err := n.check("dialer-acme", req)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wants(answer, eligibility.Allow, eligibility.OKConsent)
	n.setClock(wednesday.Add(time.Minute))
	return answer
}

func pressed(permit, digit string) *offerRequest {
	return &offerRequest{Permit: permit, How: belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR, Menu: "acme-menu", Digit: digit, Recording: "rec/1"}
}

// A digit that objects registers the objection with the offer, in one write; whoever repeats it, later, changes nothing.
func TestADigitThatObjectsIsInForceWhenAnswered(t *testing.T) {
	n, allowed := startCalled(t)
	head := n.head()
	first, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), "9"))
	if err != nil {
		t.Fatal(err)
	}
	if first.GetPosition() != head+1 || first.GetObjectionPosition() != head+2 || len(first.GetReceipt()) != 14 || first.GetUnchanged() ||
		first.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE || first.GetMeaning() != belpoortv1.IvrDigit_MEANING_OBJECT ||
		first.GetResult() != belpoortv1.OfferResult_OFFER_RESULT_OBJECTED {
		t.Errorf("answer = %v", first)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.setClock(wednesday.Add(time.Hour))
	byID := pressed("", "9")
	byID.CallId = "call-1"
	for name, req := range map[string]*offerRequest{"the permit": pressed(allowed.GetPermit(), "9"), "the call's id": byID} {
		again, err := n.offer("dialer-acme", req)
		if err != nil || !again.GetUnchanged() || again.GetPosition() != first.GetPosition() || again.GetReceipt() != first.GetReceipt() ||
			again.GetObjectionPosition() != first.GetObjectionPosition() {
			t.Errorf("a repeat by %s: %v, %v", name, again, err)
		}
	}
	if effects := n.metric(`belpoort_objection_effect_seconds_count`); effects != 1 {
		t.Errorf("%v objections came into effect", effects)
	}
	if _, err := n.getObjection("ivr-acme", strings.ToLower(first.GetReceipt())); err != nil {
		t.Error(err)
	}
	objections, offers := n.objectionsHeld(knownCallee), n.offersHeld(knownCallee)
	if len(objections) != 1 || len(offers) != 1 || objections[0].GetDecisionId() != allowed.GetDecisionId() ||
		objections[0].GetVia() != belpoortv1.Via_VIA_IVR || objections[0].GetScope() != belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION {
		t.Fatalf("objections %v, offers %v", objections, offers)
	}
	want := &belpoortv1.ObjectionOffer{
		DecisionId: allowed.GetDecisionId(), Organisation: "acme", Campaign: "acme-x", OfferTime: stampAt(wednesday.Add(time.Minute)),
		How: belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR, Recording: "rec/1", Result: belpoortv1.OfferResult_OFFER_RESULT_OBJECTED,
		Menu: "acme-menu", Digit: "9",
	}
	if !proto.Equal(offers[0], want) {
		t.Errorf("offer = %v", offers[0])
	}
}

// What does not object changes no decision, and is told apart from what does.
func TestOffersWithoutObjectionAreRecorded(t *testing.T) {
	n, allowed := startCalled(t)
	told := func(result belpoortv1.OfferResult, menu string) *offerRequest {
		return &offerRequest{Permit: allowed.GetPermit(), How: belpoortv1.OfferHow_OFFER_HOW_IVR, Menu: menu, Result: result}
	}
	for _, req := range []*offerRequest{
		pressed(allowed.GetPermit(), "1"), told(belpoortv1.OfferResult_OFFER_RESULT_NO_INPUT, "acme-menu"), told(belpoortv1.OfferResult_OFFER_RESULT_HUNG_UP, ""),
	} {
		answer, err := n.offer("ivr-acme", req)
		if err != nil || answer.GetPosition() == 0 || answer.GetReceipt() != "" || answer.GetObjectionState() != 0 || answer.GetUnchanged() {
			t.Errorf("%v: %v, %v", req, answer, err)
		}
		if again, err := n.offer("ivr-acme", req); err != nil || !again.GetUnchanged() || again.GetPosition() != answer.GetPosition() {
			t.Errorf("a repeat: %v, %v", again, err)
		}
	}
	head := n.head()
	answer, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), "*"))
	if err != nil || answer.GetMeaning() != belpoortv1.IvrDigit_MEANING_REPEAT || answer.GetPosition() != 0 || answer.GetResult() != 0 || n.head() != head {
		t.Errorf("the menu again: %v, %v", answer, err)
	}
	if offers := n.offersHeld(knownCallee); len(offers) != 3 || offers[0].GetResult() != belpoortv1.OfferResult_OFFER_RESULT_NOT_OBJECTED {
		t.Errorf("recorded: %v", offers)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Allow, eligibility.OKConsent)
}

// A digit that the menu does not know is an error, counted and written down. The mutant mutant_digit_unknown_silent must fail here.
func TestAnUnknownDigitIsNeverNoObjection(t *testing.T) {
	n, allowed := startCalled(t)
	head := n.head()
	for digit, menu := range map[string]string{"3": "acme-menu", "99": "acme-menu", "0612345678": "acme-menu", " ": "acme-menu"} {
		req := pressed(allowed.GetPermit(), digit)
		req.Menu = menu
		_, err := n.offer("ivr-acme", req)
		wantError(t, digit, err, codes.InvalidArgument, ReasonDigitUnknown, "digit")
	}
	_, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), ""))
	wantError(t, "no digit", err, codes.InvalidArgument, ReasonFieldMissing, "digit")
	strange := pressed(allowed.GetPermit(), "9")
	strange.Menu = "nobodys"
	_, err = n.offer("ivr-acme", strange)
	wantError(t, "a menu that is none", err, codes.NotFound, ReasonMenuUnknown, "menu")
	if n.head() != head {
		t.Error("something was recorded")
	}
	if known, none := n.metric(`belpoort_ivr_unknown_digits_total{menu="acme-menu"}`), n.metric(`belpoort_ivr_unknown_digits_total{menu=""}`); known != 4 || none != 2 {
		t.Errorf("counted %v and %v", known, none)
	}
	if logs := n.logs.String(); !strings.Contains(logs, "no menu knows") || strings.Contains(logs, "612345678") {
		t.Errorf("logged: %s", logs)
	}
}

// A digit whose spoken words narrow the objection narrows it, with those words.
func TestADigitNarrowsByTheMenusWords(t *testing.T) {
	n, allowed := startCalled(t)
	narrow, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), "2"))
	if err != nil {
		t.Fatal(err)
	}
	// A summary of the call means the objection that the person made.
	told, err := n.offer("dialer-acme", &offerRequest{
		Permit: allowed.GetPermit(), How: belpoortv1.OfferHow_OFFER_HOW_AGENT_AND_IVR, Result: belpoortv1.OfferResult_OFFER_RESULT_OBJECTED})
	if err != nil || told.GetReceipt() != narrow.GetReceipt() {
		t.Errorf("a summary: %v, %v; want receipt %s", told, err, narrow.GetReceipt())
	}
	objections := n.objectionsHeld(knownCallee)
	if len(objections) != 1 || objections[0].GetScope() != belpoortv1.ObjectionScope_OBJECTION_SCOPE_PRODUCT || objections[0].GetProduct() != "power" ||
		objections[0].GetOwnWords() != "press 2 for no more calls about power" {
		t.Fatalf("recorded: %v", objections)
	}
	wide, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), "9")) // the same person goes on and objects to everything
	if err != nil || wide.GetReceipt() == narrow.GetReceipt() {
		t.Errorf("%v, %v", wide, err)
	}
	if objections := n.objectionsHeld(knownCallee); len(objections) != 2 {
		t.Errorf("recorded: %v", objections)
	}
}

func TestAnOfferByNumberIsRecorded(t *testing.T) {
	n, allowed := startCalled(t)
	req := &offerRequest{Callee: knownCallee, Campaign: "acme-x", How: belpoortv1.OfferHow_OFFER_HOW_IVR, Menu: "acme-menu", Digit: "9", RequestId: "i-1"}
	first, err := n.offer("ivr-acme", req)
	if err != nil || first.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE {
		t.Fatalf("%v, %v", first, err)
	}
	n.setClock(wednesday.Add(time.Hour))
	again, err := n.offer("ivr-acme", req)
	if err != nil || !again.GetUnchanged() || again.GetReceipt() != first.GetReceipt() || again.GetPosition() != first.GetPosition() {
		t.Errorf("a repeat: %v, %v", again, err)
	}
	other := proto.Clone(req).(*offerRequest)
	other.Digit = "1"
	_, err = n.offer("ivr-acme", other)
	wantError(t, "the id again for something else", err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	if offers := n.offersHeld(knownCallee); len(offers) != 1 || offers[0].GetDecisionId() != allowed.GetDecisionId() {
		t.Errorf("recorded: %v", offers)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
}

func TestOffersThatCannotBeAreRefused(t *testing.T) {
	n, allowed := startCalled(t)
	permit := allowed.GetPermit()
	type change = func(*offerRequest)
	result := func(how belpoortv1.OfferHow, what belpoortv1.OfferResult) change {
		return func(r *offerRequest) { r.How, r.Result, r.Menu, r.Digit = how, what, "", "" }
	}
	for name, one := range map[string]struct {
		change change
		reason string
		field  string
	}{
		"nobody named":          {func(r *offerRequest) { r.Permit = "" }, ReasonFieldMissing, "callee"},
		"named twice":           {func(r *offerRequest) { r.Callee = knownCallee }, "", "callee"},
		"named in another way":  {func(r *offerRequest) { r.CallId = "call-1" }, "", "call_id"},
		"junk":                  {func(r *offerRequest) { r.Permit = "junk" }, ReasonPermitInvalid, "permit"},
		"another campaign":      {func(r *offerRequest) { r.Campaign = "globex-x" }, "", "campaign"},
		"no way":                {func(r *offerRequest) { r.How = 0 }, "", "how"},
		"no result":             {func(r *offerRequest) { r.Menu, r.Digit = "", "" }, ReasonFieldMissing, "result"},
		"two results":           {func(r *offerRequest) { r.Result = 1 }, "", "result"},
		"an unknown result":     {result(1, 99), "", "result"},
		"a digit without menu":  {func(r *offerRequest) { r.Menu = "" }, ReasonFieldMissing, "menu"},
		"another's menu":        {func(r *offerRequest) { r.Menu = "globex-menu" }, "", "menu"},
		"an agent with a menu":  {func(r *offerRequest) { r.How = belpoortv1.OfferHow_OFFER_HOW_AGENT }, "", "how"},
		"heard elsewhere":       {func(r *offerRequest) { r.How, r.Via = belpoortv1.OfferHow_OFFER_HOW_IVR, belpoortv1.Via_VIA_AGENT }, "", "via"},
		"by letter":             {func(r *offerRequest) { r.Via = belpoortv1.Via_VIA_POST }, "", "via"},
		"a way without":         {func(r *offerRequest) { r.Digit, r.Via = "1", belpoortv1.Via_VIA_IVR }, "", "via"},
		"tomorrow":              {func(r *offerRequest) { r.OfferTime = stampAt(wednesday.AddDate(0, 0, 1)) }, "", "offer_time"},
		"before the call":       {func(r *offerRequest) { r.OfferTime = stampAt(wednesday.Add(-time.Minute)) }, "", "offer_time"},
		"a recording by number": {func(r *offerRequest) { r.Recording = "x0612345678" }, "", "recording"},
		"a number without id":   {func(r *offerRequest) { r.Permit, r.Callee, r.Campaign = "", knownCallee, "acme-x" }, ReasonFieldMissing, "request_id"},
		"a number without campaign": {func(r *offerRequest) { r.Permit, r.Callee, r.RequestId = "", knownCallee, "i" },
			ReasonFieldMissing, "campaign"},
	} {
		req, reason, before := pressed(permit, "9"), one.reason, n.head()
		one.change(req)
		if reason == "" {
			reason = ReasonFieldInvalid
		}
		_, err := n.offer("ivr-acme", req)
		if name == "no way" {
			reason, _ = ReasonOf(err)
		}
		wantError(t, name, err, codes.InvalidArgument, reason, one.field)
		if n.head() != before {
			t.Errorf("%s changed the ledger", name)
		}
	}
	before := n.head()
	_, err := n.offer("dialer-globex", pressed(permit, "9")) // mutant_foreign_permit must fail here too
	wantError(t, "another's permit", err, codes.PermissionDenied, ReasonOrganisationForbidden, "permit")
	foreign := &offerRequest{Callee: knownCallee, Campaign: "acme-x", How: 3, Result: 1, RequestId: "i"}
	_, err = n.offer("dialer-globex", foreign)
	wantError(t, "another's campaign", err, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign")
	if n.head() != before {
		t.Error("a foreign offer changed the ledger")
	}
}

// While the ledger is away an offer is refused, and still owed; an objection is kept, and names the call that it pays for.
func TestOffersWhileTheLedgerIsAway(t *testing.T) {
	n, j := startKeeping(t, t.TempDir())
	n.apply(withMenus())
	allowed := n.called(knownCallee, "call-1")
	n.breakLedger(func(string) error { return ErrLedgerAway })
	_, err := n.offer("ivr-acme", pressed(allowed.GetPermit(), "1"))
	wantError(t, "an offer", err, codes.Unavailable, ReasonLedgerUnavailable, "")
	byID := pressed("", "9")
	byID.CallId = "call-1" // this node knows the calls that it allowed
	answer, err := n.offer("ivr-acme", byID)
	if err != nil || answer.GetObjectionState() != belpoortv1.ObjectionState_OBJECTION_STATE_PENDING || answer.GetReceipt() == "" ||
		answer.GetPosition() != 0 || answer.GetResult() != 0 {
		t.Fatalf("%v, %v", answer, err)
	}
	n.wants(n.mustCheck(knownCallee), eligibility.Deny, eligibility.Objected)
	n.breakLedger(func(string) error { return nil })
	n.replays(j)
	for deadline := time.Now().Add(10 * time.Second); n.PendingObjections() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never replayed")
		}
	}
	objections := n.objectionsHeld(knownCallee)
	if len(objections) != 1 || objections[0].GetReceipt() != answer.GetReceipt() || objections[0].GetDecisionId() != allowed.GetDecisionId() {
		t.Errorf("recorded: %v", objections)
	}
}
