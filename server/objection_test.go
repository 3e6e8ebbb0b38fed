package server

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

func (n *node) getObjection(client, receipt string) (*belpoortv1.GetObjectionResponse, error) {
	return belpoortv1.NewObjectionServiceClient(n.conn).GetObjection(n.as(client), &belpoortv1.GetObjectionRequest{Receipt: receipt})
}

func TestAnObjectionIsInForceWhenAnswered(t *testing.T) {
	n := startNode(t, nil)
	n.record(callee, consentOf("c-1", "acme"), "r-1")
	n.wants(n.mustCheck(callee), eligibility.Allow, eligibility.OKConsent)
	answer, err := n.object("ivr-acme", objectionOf("0031 6 12345678", "o-1"))
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetState() != belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE || answer.GetPosition() == 0 ||
		!answer.GetRecordTime().AsTime().Equal(wednesday) || len(answer.GetReceipt()) != 14 {
		t.Errorf("answer = %v", answer)
	}
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)

	spoken := strings.ToLower(strings.ReplaceAll(answer.GetReceipt(), "-", " "))
	got, err := n.getObjection("ivr-acme", spoken)
	if err != nil {
		t.Fatal(err)
	}
	o := got.GetObjection()
	if o.GetReceipt() != answer.GetReceipt() || o.GetOrganisation() != "acme" || o.GetVia() != belpoortv1.Via_VIA_IVR ||
		o.GetScope() != belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION || o.GetBy() != belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER ||
		!o.GetObjectTime().AsTime().Equal(wednesday) || got.GetPosition() != answer.GetPosition() || len(got.GetCalleeToken()) != 32 {
		t.Errorf("objection = %v", got)
	}
}

func TestAnObjectionOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	var receipt string
	t.Run("before", func(t *testing.T) {
		n := newNode(t, dir, nil)
		n.start()
		n.apply(testCatalogue())
		n.record(callee, consentOf("c-1", "acme"), "r-1")
		answer, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
		if err != nil {
			t.Fatal(err)
		}
		receipt = answer.GetReceipt()
	})
	n := newNode(t, dir, nil)
	n.start()
	n.wants(n.mustCheck(callee), eligibility.Deny, eligibility.Objected)
	if _, err := n.getObjection("ivr-acme", receipt); err != nil {
		t.Error(err)
	}
}

func TestARepeatGetsTheFirstReceipt(t *testing.T) {
	n := startNode(t, nil)
	first, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	if err != nil {
		t.Fatal(err)
	}
	n.setClock(wednesday.Add(time.Minute)) // the repeat's own time would be another
	for _, change := range []func(*belpoortv1.RegisterObjectionRequest){
		func(*belpoortv1.RegisterObjectionRequest) {},
		func(r *belpoortv1.RegisterObjectionRequest) { r.Callee = "+31 (0)6 12345678" },
		func(r *belpoortv1.RegisterObjectionRequest) { r.Organisation, r.Campaign = "acme", "" },
		func(r *belpoortv1.RegisterObjectionRequest) { r.Scope = 2 },
	} {
		req := objectionOf(callee, "o-1")
		change(req)
		if again, err := n.object("ivr-acme", req); err != nil || !proto.Equal(again, first) {
			t.Errorf("repeat: %v, %v; first: %v", again, err, first)
		}
	}
	for name, change := range map[string]func(*belpoortv1.RegisterObjectionRequest){
		"another callee": func(r *belpoortv1.RegisterObjectionRequest) { r.Callee = "06-87654321" },
		"another way":    func(r *belpoortv1.RegisterObjectionRequest) { r.Via = belpoortv1.Via_VIA_WEB },
		"another reach":  func(r *belpoortv1.RegisterObjectionRequest) { r.Scope = 4 },
		"another time":   func(r *belpoortv1.RegisterObjectionRequest) { r.ObjectTime = stampAt(wednesday.Add(-time.Hour)) },
	} {
		req := objectionOf(callee, "o-1")
		change(req)
		_, err := n.object("ivr-acme", req)
		wantError(t, name, err, codes.AlreadyExists, ReasonRequestReused, "request_id")
	}
	other, err := n.object("ivr-all", objectionOf(callee, "o-1"))
	if err != nil || other.GetReceipt() == first.GetReceipt() || other.GetPosition() == first.GetPosition() {
		t.Errorf("the same id of another client: %v, %v", other, err)
	}
}

func TestBadObjectionsAreRefusedByField(t *testing.T) {
	n := startNode(t, nil)
	type req = *belpoortv1.RegisterObjectionRequest
	for _, c := range []struct {
		name   string
		change func(req)
		code   codes.Code
		reason string
		field  string
	}{
		{"no callee", func(r req) { r.Callee = "" }, codes.InvalidArgument, ReasonFieldMissing, "callee"},
		{"malformed callee", func(r req) { r.Callee = "06-1234" }, codes.InvalidArgument, ReasonCalleeInvalid, "callee"},
		{"long callee", func(r req) { r.Callee = strings.Repeat("6", 41) }, codes.InvalidArgument, ReasonFieldInvalid, "callee"},
		{"no organisation", func(r req) { r.Campaign = "" }, codes.InvalidArgument, ReasonFieldMissing, "organisation"},
		{"unknown organisation", func(r req) { r.Organisation = "nobody" }, codes.NotFound, ReasonOrganisationUnknown, "organisation"},
		{"unknown campaign", func(r req) { r.Campaign = "acme-y" }, codes.NotFound, ReasonCampaignUnknown, "campaign"},
		{"contradiction", func(r req) { r.Organisation = "globex" }, codes.InvalidArgument, ReasonFieldInvalid, "campaign"},
		{"other organisation", func(r req) { r.Campaign = "globex-x" }, codes.PermissionDenied, ReasonOrganisationForbidden, "campaign"},
		{"no way", func(r req) { r.Via = 0 }, codes.InvalidArgument, ReasonFieldInvalid, "via"},
		{"unknown way", func(r req) { r.Via = 99 }, codes.InvalidArgument, ReasonFieldInvalid, "via"},
		{"unknown scope", func(r req) { r.Scope = 9 }, codes.InvalidArgument, ReasonFieldInvalid, "scope"},
		{"product without its scope", func(r req) { r.Product = "power" }, codes.InvalidArgument, ReasonFieldInvalid, "product"},
		{"scope without its product", func(r req) { r.Scope = 1 }, codes.InvalidArgument, ReasonFieldInvalid, "product"},
		{"unknown person", func(r req) { r.By = 3 }, codes.InvalidArgument, ReasonFieldInvalid, "by"},
		{"future", func(r req) { r.ObjectTime = stampAt(wednesday.Add(clockSkew + 1)) }, codes.InvalidArgument, ReasonFieldInvalid, "object_time"},
		{"no id", func(r req) { r.RequestId = "" }, codes.InvalidArgument, ReasonFieldMissing, "request_id"},
		{"NUL in the id", func(r req) { r.RequestId = "a\x00b" }, codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
		{"long id", func(r req) { r.RequestId = strings.Repeat("x", 129) }, codes.InvalidArgument, ReasonFieldInvalid, "request_id"},
	} {
		r := objectionOf(callee, "o-1")
		c.change(r)
		_, err := n.object("ivr-acme", r)
		wantError(t, c.name, err, c.code, c.reason, c.field)
	}
	if head, err := n.door.ledger.Head(t.Context()); err != nil || head != 1 {
		t.Errorf("the ledger's head is %d, %v: bad input changed something", head, err)
	}
	n.breakLedger(func(string) error { return errBroken })
	_, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	wantError(t, "a broken ledger", err, codes.Unavailable, ReasonLedgerUnavailable, "")
	n.breakLedger(func(string) error { panic("ledger") })
	_, err = n.object("ivr-acme", objectionOf(callee, "o-1"))
	wantError(t, "a panic", err, codes.Internal, ReasonInternal, "")
}

func TestReceiptsOfOthersAreUnknown(t *testing.T) {
	n := startNode(t, nil)
	req := objectionOf(callee, "o-1")
	req.Campaign = "globex-x"
	answer, err := n.object("ivr-all", req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.getObjection("ivr-acme", answer.GetReceipt())
	wantError(t, "another organisation's", err, codes.NotFound, ReasonObjectionUnknown, "")
	_, err = n.getObjection("ivr-acme", n.ring.Receipt("never given"))
	wantError(t, "never given", err, codes.NotFound, ReasonObjectionUnknown, "")
	_, err = n.getObjection("ivr-acme", "")
	wantError(t, "none", err, codes.InvalidArgument, ReasonFieldMissing, "receipt")
	last := answer.GetReceipt()[13]
	wrong := answer.GetReceipt()[:13] + string(rune('2'+(last-'2'+1)%8))
	if wrong == answer.GetReceipt() {
		t.Fatal("not changed")
	}
	_, err = n.getObjection("ivr-all", wrong)
	wantError(t, "misread", err, codes.InvalidArgument, ReasonFieldInvalid, "receipt")
}

func TestAReceiptIsGivenOnce(t *testing.T) {
	n := startNode(t, nil)
	taken := ledger.Append{RequestKey: "another", Kind: 1, Reference: n.ring.Receipt(objectionKey("ivr-acme", "o-1")), Payload: []byte{1}}
	if _, err := n.door.ledger.Append(t.Context(), []ledger.Append{taken}); err != nil {
		t.Fatal(err)
	}
	_, err := n.object("ivr-acme", objectionOf(callee, "o-1"))
	wantError(t, "a receipt that was given before", err, codes.Aborted, ReasonReceiptTaken, "request_id")
	if _, err := n.object("ivr-acme", objectionOf(callee, "o-2")); err != nil {
		t.Error(err)
	}
}
