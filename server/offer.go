package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// heardOffer is an offer of the right of objection as a client tells of it.
type heardOffer struct {
	call    namedCall
	fact    eligibility.Fact
	digit   *belpoortv1.IvrDigit // nil: none was pressed
	objects eligibility.Objection
}

// RecordObjectionOffer records that the right of objection was offered in a call, and what came of it. Where the person
// objected, offer and objection are one write.
func (o *objections) RecordObjectionOffer(
	ctx context.Context, req *belpoortv1.RecordObjectionOfferRequest,
) (*belpoortv1.RecordObjectionOfferResponse, error) {
	s := o.s
	h, err := s.readOffer(ctx, req)
	if err != nil {
		return nil, err
	}
	if h.digit.GetMeaning() == belpoortv1.IvrDigit_MEANING_REPEAT {
		return &belpoortv1.RecordObjectionOfferResponse{Meaning: h.digit.GetMeaning()}, nil
	}
	if err := s.findOffered(ctx, h); err != nil {
		return nil, err
	}
	w, err := s.tokenWrite(h.call.callee, h.fact, offerKey(h, clientOf(ctx).id, req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	w.SealedNumber = h.call.sealed
	if h.fact.ObjectionOffer.Result == eligibility.OfferObjected {
		return s.offerObjected(ctx, h, w)
	}
	written, err := s.recordOnce(ctx, []Write{w})
	if err != nil {
		return nil, writeFailed(err)
	}
	return offerAnswer(h, written[0]), nil
}

// findOffered finds the call of an offer that is told by number, so that it pays for that call. Only the offer takes it over: an
// objection is kept as wide as it was made, whatever else is known of the call. An objection does not wait for a ledger that fails.
func (s *Server) findOffered(ctx context.Context, h *heardOffer) error {
	o := h.fact.ObjectionOffer
	if h.call.decision != "" {
		return nil
	}
	decision, err := s.lastCall(ctx, h.call, o.At)
	if err != nil && o.Result != eligibility.OfferObjected {
		return err
	}
	o.DecisionID = decision
	return nil
}

// offerObjected records an offer with the objection that was made. The objection is not lost with the offer: where the ledger
// is away it is kept by itself, and pays what the call owed when it gets there.
func (s *Server) offerObjected(ctx context.Context, h *heardOffer, offer Write) (*belpoortv1.RecordObjectionOfferResponse, error) {
	o, err := s.objectionInCall(ctx, h.call, h.objects, h.digit == nil)
	if err != nil {
		return nil, err
	}
	answer := &belpoortv1.RecordObjectionOfferResponse{Meaning: h.digit.GetMeaning()}
	var registered *belpoortv1.RegisterObjectionResponse
	written, err := s.recordWith(ctx, offer, o)
	if err == nil {
		answer, registered = offerAnswer(h, written[0]), s.settledObjection(ctx, o, written[1])
	} else if registered, err = s.rescued(ctx, o, err); err != nil {
		return nil, err
	}
	answer.Receipt, answer.ObjectionState, answer.ObjectionPosition = registered.GetReceipt(), registered.GetState(), registered.GetPosition()
	return answer, nil
}

// rescued is rescue for an offer: one that the ledger refused for a fault of its own stays refused.
func (s *Server) rescued(ctx context.Context, o saidObjection, because error) (*belpoortv1.RegisterObjectionResponse, error) {
	kept, lost := s.rescue(ctx, o, because)
	if lost != nil {
		return nil, writeFailed(because)
	}
	if _, refusal := refusedWrite(because); refusal != nil {
		refusal.sentence += "; the objection in it is registered all the same, under the receipt " + kept.GetReceipt()
		return nil, refusal
	}
	return kept, nil
}

func offerAnswer(h *heardOffer, w Written) *belpoortv1.RecordObjectionOfferResponse {
	return &belpoortv1.RecordObjectionOfferResponse{
		Position: w.Position, Result: belpoortv1.OfferResult(h.fact.ObjectionOffer.Result), Meaning: h.digit.GetMeaning(), Unchanged: w.Repeated,
	}
}

// offerKey makes an offer happen once: in a known call by what it says, else by the client's own id.
func offerKey(h *heardOffer, client, requestID string) string {
	if h.call.decision == "" {
		return offerKeys + "id/" + client + "/" + requestID
	}
	o := h.fact.ObjectionOffer
	said := sha256.Sum256([]byte(strings.Join([]string{
		strconv.Itoa(int(o.How)), strconv.Itoa(int(o.Result)), o.Menu, o.Digit, o.Recording,
	}, "\n")))
	return offerKeys + h.call.decision + "/" + hex.EncodeToString(said[:16])
}

// readOffer reads an offer, with what its digit means.
func (s *Server) readOffer(ctx context.Context, req *belpoortv1.RecordObjectionOfferRequest) (*heardOffer, error) {
	n := naming{req.GetPermit(), req.GetCallId(), req.GetCallee(), req.GetCampaign()}
	if err := firstError(printable("request_id", req.GetRequestId(), maxRequestID), printable("recording", req.GetRecording(), record.MaxText), n.one()); err != nil {
		return nil, err
	}
	h := &heardOffer{}
	var err error
	if n.callee == "" {
		h.call, err = s.callNamed(ctx, n)
	} else if err = requestID(req.GetRequestId()); err == nil {
		h.call, err = s.callOfNumber(ctx, n, req.GetRequestId())
	}
	if err != nil {
		return nil, err
	}
	m := &belpoortv1.ObjectionOffer{
		DecisionId: h.call.decision, Organisation: h.call.organisation, Campaign: h.call.campaign, OfferTime: req.GetOfferTime(),
		How: req.GetHow(), Recording: req.GetRecording(), Menu: req.GetMenu(), Digit: req.GetDigit(),
	}
	if m.Result, err = s.readResult(ctx, h, req); err != nil {
		return nil, err
	}
	if h.digit.GetMeaning() == belpoortv1.IvrDigit_MEANING_REPEAT {
		return h, nil
	}
	return h, s.completeOffer(h, m, req.GetVia())
}

// readResult reads what came of an offer: told, or as a digit.
func (s *Server) readResult(
	ctx context.Context, h *heardOffer, req *belpoortv1.RecordObjectionOfferRequest,
) (belpoortv1.OfferResult, error) {
	told, menu, digit := req.GetResult(), req.GetMenu(), req.GetDigit()
	switch {
	case told != 0 && digit != "":
		return 0, invalid("result", "stands beside digit; say what came of the offer in one way")
	case told != 0 && menu == "":
		return told, nil
	case told != 0:
		_, err := s.readMenu(menu, h.call.organisation)
		return told, err
	case menu == "" && digit == "":
		return 0, missing("result")
	case digit == "":
		s.unknownDigit(ctx, "", digit)
		return 0, missing("digit")
	}
	var err error
	if h.digit, err = s.readDigit(ctx, menu, digit, h.call.organisation); err != nil {
		return 0, err
	}
	return map[belpoortv1.IvrDigit_Meaning]belpoortv1.OfferResult{
		belpoortv1.IvrDigit_MEANING_OBJECT:       belpoortv1.OfferResult_OFFER_RESULT_OBJECTED,
		belpoortv1.IvrDigit_MEANING_NOT_OBJECTED: belpoortv1.OfferResult_OFFER_RESULT_NOT_OBJECTED,
	}[h.digit.GetMeaning()], nil
}

// completeOffer makes the fact, and the objection where there is one, and refuses what cannot be of this call.
func (s *Server) completeOffer(h *heardOffer, m *belpoortv1.ObjectionOffer, via belpoortv1.Via) error {
	if m.OfferTime == nil {
		m.OfferTime = timestamppb.New(s.clock())
	}
	fact, err := record.FactFromProto(&belpoortv1.Fact{Kind: &belpoortv1.Fact_ObjectionOffer{ObjectionOffer: m}})
	if err != nil {
		return renamed(err, "fact.objection_offer.")
	}
	h.fact = fact
	o := fact.ObjectionOffer
	h.objects = eligibility.Objection{At: o.At, Via: eligibility.Via(via), Product: h.digit.GetProduct()}
	if o.How == eligibility.ByIVR || h.digit != nil {
		h.objects.Via = max(h.objects.Via, eligibility.ViaIVR)
	}
	if h.objects.Via == 0 {
		h.objects.Via = eligibility.ViaAgent
	}
	if h.objects.Product != "" {
		h.objects.Scope, h.objects.OwnWords = eligibility.ScopeProduct, h.digit.GetSpoken()
	}
	return firstError(s.offerTime(h, o.At), heardBy(o, eligibility.Via(via)), s.withoutNumber("recording", o.Recording, h.call.callee))
}

func (s *Server) offerTime(h *heardOffer, at time.Time) error {
	switch {
	case at.After(s.clock().Add(clockSkew)):
		return invalid("offer_time", "lies in the future")
	case at.Before(h.call.allowed.Add(-clockSkew)):
		return invalid("offer_time", "lies before the call was allowed")
	}
	return nil
}

// heardBy refuses an offer whose words contradict each other.
func heardBy(o *eligibility.ObjectionOffer, via eligibility.Via) error {
	switch {
	case o.Menu != "" && o.How == eligibility.ByAgent:
		return invalid("how", "contradicts menu: an agent alone has none")
	case via != 0 && o.Result != eligibility.OfferObjected:
		return invalid("via", "goes only with an objection")
	case via > eligibility.ViaAgent || via == eligibility.ViaIVR && o.How == eligibility.ByAgent || via == eligibility.ViaAgent && o.How == eligibility.ByIVR:
		return invalid("via", "contradicts how: the person cannot have objected there")
	}
	return nil
}

// objectByCall registers an objection that names the call in which it was made.
func (s *Server) objectByCall(
	ctx context.Context, n naming, req *belpoortv1.RegisterObjectionRequest,
) (*belpoortv1.RegisterObjectionResponse, error) {
	if err := firstError(printable("request_id", req.GetRequestId(), maxRequestID), short("organisation", req.GetOrganisation(), maxName)); err != nil {
		return nil, err
	}
	call, err := s.callNamed(ctx, n)
	if err != nil {
		return nil, err
	}
	if req.GetOrganisation() != "" && req.GetOrganisation() != call.organisation {
		return nil, invalid("organisation", "is not the one in whose name the call was made")
	}
	fact, err := s.readObjectionWords(req, call.organisation, call.callee)
	if err != nil {
		return nil, err
	}
	o, err := s.objectionInCall(ctx, call, *fact.Objection, false)
	if err != nil {
		return nil, err
	}
	s.log.Debug("objection in a call", zap.String("decision_id", call.decision))
	return s.registerInCall(ctx, o)
}
