package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/keyring"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/telephony"
)

// objections takes objections [recht van verzet] from IVRs and agents' screens.
type objections struct {
	belpoortv1.UnimplementedObjectionServiceServer
	s *Server
}

// RegisterObjection records an objection. When it answers "in force", no check asked after that, of whatever node, is
// allowed against it. Where the ledger cannot take it, it is kept here and answered "pending".
func (o *objections) RegisterObjection(
	ctx context.Context, req *belpoortv1.RegisterObjectionRequest,
) (*belpoortv1.RegisterObjectionResponse, error) {
	arrived := time.Now()
	n := naming{req.GetPermit(), req.GetCallId(), req.GetCallee(), req.GetCampaign()}
	if err := n.one(); err != nil {
		return nil, err
	}
	if n.callee == "" {
		return o.s.objectByCall(ctx, n, req)
	}
	callee, fact, err := o.s.readObjection(ctx, req)
	if err != nil {
		return nil, err
	}
	key := objectionKey(clientOf(ctx).id, req.GetRequestId())
	w, err := o.s.factWrite(callee, fact, key)
	if err != nil {
		return nil, err
	}
	written, err := o.s.recordObjection(ctx, w)
	if errors.Is(err, ErrRequestReused) {
		return o.s.repeatedObjection(ctx, w, req.GetObjectTime() == nil)
	}
	if err != nil {
		return o.s.orKeep(ctx, w, fact, err)
	}
	if err := o.s.awaitSettled(ctx, written[0].Position); err != nil {
		return notYetEverywhere(w.Reference, written[0]), nil
	}
	o.s.metrics.InEffect(time.Since(arrived))
	if written[0].Repeated {
		return o.s.unlessCorrected(ctx, w, inForceSince(w.Reference, written[0].Position, written[0].RecordTime))
	}
	o.s.log.Info("objection registered", zap.Stringer("callee_token", w.Callee),
		zap.String("organisation", fact.Objection.Organisation), zap.Uint64("position", written[0].Position))
	return inForceSince(w.Reference, written[0].Position, written[0].RecordTime), nil
}

// notYetEverywhere is the answer when the ledger has the objection, and the client's time ended while a silent node's lease
// had still to run out. It will be in force everywhere a moment later.
func notYetEverywhere(receipt string, w Written) *belpoortv1.RegisterObjectionResponse {
	answer := inForceSince(receipt, w.Position, w.RecordTime)
	answer.State = belpoortv1.ObjectionState_OBJECTION_STATE_PENDING
	return answer
}

// awaitSettled is settle within the client's time; what is begun goes on without it.
func (s *Server) awaitSettled(ctx context.Context, position uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := carryOut(ctx, s, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.settle(ctx, position) })
	return err
}

// recordObjection is record with a patience that leaves time to keep the objection here. An append that is given up may
// still succeed; the replay then finds it done.
func (s *Server) recordObjection(ctx context.Context, writes ...Write) ([]Written, error) {
	record := func(ctx context.Context) ([]Written, error) { return s.record(ctx, writes) }
	if s.pending.journal == nil {
		return carryOut(ctx, s, record)
	}
	if s.facts.away() {
		return nil, ErrLedgerAway
	}
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	return carryOut(ctx, s, record)
}

// patienceOf is how long an objection may wait for the ledger.
func patienceOf(ctx context.Context) time.Duration {
	if limit, ok := ctx.Deadline(); ok {
		return min(objectionPatience, time.Until(limit)/2)
	}
	return objectionPatience
}

// orKeep keeps an objection that the ledger did not take, unless the ledger refused it for a fault of its own.
func (s *Server) orKeep(ctx context.Context, w Write, fact eligibility.Fact, err error) (*belpoortv1.RegisterObjectionResponse, error) {
	if _, refusal := refusedWrite(err); refusal != nil {
		return nil, refusal
	}
	return s.keepObjection(ctx, w, fact, err)
}

func inForceSince(receipt string, position uint64, at time.Time) *belpoortv1.RegisterObjectionResponse {
	return &belpoortv1.RegisterObjectionResponse{
		Receipt: receipt, State: belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE, Position: position, RecordTime: timestamppb.New(at),
	}
}

// Request keys are made here and nowhere else. A client's id holds no slash, so no two of them can be the same.
const (
	objectionKeys = "objection/"
	factKeys      = "fact/"
	pendingKeys   = "pending/"
	reportKeys    = "report/"
	saidKeys      = "said/" // objections in a call, by its decision
	offerKeys     = "offer/"
	contentKeys   = "content/"
	catalogueKeys = "catalogue/"
	erasureKeys   = "erasure/"
	importKeys    = "import/" // and the client's id, a slash, and its request id
	proposalKeys  = "proposal/"
	approvalKeys  = "approval/"
	statesKeys    = "campaigns/"
	retentionKeys = "retention/"
)

func objectionKey(client, requestID string) string { return objectionKeys + client + "/" + requestID }

// requestIDOf is the client's own id in a request key; "" where it gave none.
func requestIDOf(key string) string {
	if strings.HasPrefix(key, contentKeys) || strings.HasPrefix(key, reportKeys) || strings.HasPrefix(key, approvalKeys) || keyIsContent(key) {
		return ""
	}
	for _, prefix := range [...]string{objectionKeys, offerKeys + "id/", erasureKeys, proposalKeys} {
		if rest, ok := strings.CutPrefix(key, prefix); ok {
			_, id, _ := strings.Cut(rest, "/")
			return id
		}
	}
	if id, ok := strings.CutPrefix(key, factKeys); ok {
		return id
	}
	return key
}

func (s *Server) readObjection(
	ctx context.Context, req *belpoortv1.RegisterObjectionRequest,
) (telephony.Number, eligibility.Fact, error) {
	var none eligibility.Fact
	force := s.force.Load()
	callee, err := subscriberNumber("callee", req.GetCallee(), force.law)
	if err != nil {
		return callee, none, err
	}
	if err := firstError(requestID(req.GetRequestId()), short("organisation", req.GetOrganisation(), maxName),
		short("campaign", req.GetCampaign(), maxName)); err != nil {
		return callee, none, err
	}
	organisation, field, err := objectedTo(req, force)
	if err != nil {
		return callee, none, err
	}
	if !clientOf(ctx).mayActFor(organisation) {
		return callee, none, forbiddenOrganisation(field)
	}
	fact, err := s.readObjectionWords(req, organisation, s.ring.Token(callee))
	return callee, fact, err
}

// readObjectionWords reads what a person said, apart from who said it.
func (s *Server) readObjectionWords(
	req *belpoortv1.RegisterObjectionRequest, organisation string, callee eligibility.CalleeToken,
) (eligibility.Fact, error) {
	m := objectionMessage(req, organisation)
	if m.ObjectTime == nil {
		m.ObjectTime = timestamppb.New(s.clock())
	}
	fact, err := record.FactFromProto(&belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: m}})
	if err == nil {
		err = firstError(checkNotAhead(&fact, s), checkNarrowing(&fact), s.withoutNumber("own_words", m.GetOwnWords(), callee))
	}
	return fact, outsideFact(err)
}

// objectedTo finds the organisation to which a person objected, and the field that names it.
func objectedTo(req *belpoortv1.RegisterObjectionRequest, force *inForce) (organisation, field string, err error) {
	organisation, field = req.GetOrganisation(), "organisation"
	if organisation == "" && req.GetCampaign() == "" {
		return "", "", missing(field)
	}
	if organisation != "" && force.catalogue.Organisations[organisation] == nil {
		return "", "", unknownOrganisation(field)
	}
	if req.GetCampaign() == "" {
		return organisation, field, nil
	}
	campaign := force.catalogue.Campaigns[req.GetCampaign()]
	switch {
	case campaign == nil:
		return "", "", unknownCampaign("campaign")
	case organisation != "" && organisation != campaign.Organisation.ID:
		return "", "", invalid("campaign", "is not one of the organisation named beside it")
	}
	return campaign.Organisation.ID, "campaign", nil
}

func objectionMessage(req *belpoortv1.RegisterObjectionRequest, organisation string) *belpoortv1.Objection {
	m := &belpoortv1.Objection{
		Organisation: organisation, ObjectTime: req.GetObjectTime(), Via: req.GetVia(), Scope: req.GetScope(),
		Product: req.GetProduct(), By: req.GetBy(), OwnWords: strings.Join(strings.Fields(req.GetOwnWords()), " "),
	}
	if m.Scope == belpoortv1.ObjectionScope_OBJECTION_SCOPE_UNSPECIFIED {
		m.Scope = belpoortv1.ObjectionScope_OBJECTION_SCOPE_ORGANISATION
	}
	if m.By == belpoortv1.ObjectedBy_OBJECTED_BY_UNSPECIFIED {
		m.By = belpoortv1.ObjectedBy_OBJECTED_BY_SUBSCRIBER
	}
	return m
}

// outsideFact names a field as RegisterObjection's request knows it.
func outsideFact(err error) error { return renamed(err, "fact.objection.") }

// renamed takes away the part of a field's path that the client did not send.
func renamed(err error, inside string) error {
	if err == nil {
		return nil
	}
	var f *failure
	if !errors.As(err, &f) {
		f = invalidRecord(err)
	}
	f.sentence = strings.TrimPrefix(f.sentence, inside)
	f.field = strings.TrimPrefix(f.field, inside)
	return f
}

// factWrite is a fact on its way to the ledger. An objection gets its receipt, which is also how it is found again.
func (s *Server) factWrite(callee telephony.Number, fact eligibility.Fact, key string) (Write, error) {
	w, err := s.tokenWrite(s.ring.Token(callee), fact, key)
	if err != nil {
		return Write{}, err
	}
	w.SealedNumber = s.ring.Seal(callee, w.Callee)
	return w, nil
}

// tokenWrite is factWrite where the callee's number is not known, as with a permit.
func (s *Server) tokenWrite(callee eligibility.CalleeToken, fact eligibility.Fact, key string) (Write, error) {
	w := Write{RequestKey: key, Callee: callee, Kind: record.KindOf(fact)}
	if fact.Objection != nil {
		w.Reference = s.ring.Receipt(key)
		fact.Objection.Receipt = w.Reference
	}
	var err error
	if w.Payload, err = record.Marshal(fact); err != nil {
		return Write{}, internal(err)
	}
	return w, nil
}

// repeatedObjection answers a repeat that differs from the first in the time alone, because the request names none and
// the clock went on; any other difference is refused.
func (s *Server) repeatedObjection(ctx context.Context, w Write, timeOpen bool) (*belpoortv1.RegisterObjectionResponse, error) {
	first, err := s.facts.facts.ByReference(ctx, w.Reference)
	if errors.Is(err, ErrNotFound) {
		return nil, requestReused()
	}
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	was, err := record.Unmarshal(first.Position, first.Payload)
	if err != nil {
		return nil, internal(err)
	}
	is, err := record.Unmarshal(first.Position, w.Payload)
	if err != nil {
		return nil, internal(err)
	}
	if !timeOpen || first.Callee != w.Callee || was.Objection == nil {
		return nil, requestReused()
	}
	is.Objection.At = was.Objection.At
	if *is.Objection != *was.Objection {
		return nil, requestReused()
	}
	s.raise(&w, first.Position) // nobody may have been told of the first: this answer must be as true
	answer := inForceSince(first.Reference, first.Position, first.RecordTime)
	if err := s.awaitSettled(ctx, first.Position); err != nil {
		answer.State = belpoortv1.ObjectionState_OBJECTION_STATE_PENDING
		return answer, nil
	}
	return s.unlessCorrected(ctx, w, answer)
}

// unlessCorrected keeps a repeat from calling an objection in force that has been corrected since.
func (s *Server) unlessCorrected(
	ctx context.Context, w Write, answer *belpoortv1.RegisterObjectionResponse,
) (*belpoortv1.RegisterObjectionResponse, error) {
	_, corrected, err := s.correctionOf(ctx, &Entry{Position: answer.GetPosition(), Callee: w.Callee})
	if err != nil {
		return nil, err
	}
	if corrected {
		answer.State = belpoortv1.ObjectionState_OBJECTION_STATE_CORRECTED
	}
	return answer, nil
}

// GetObjection finds an objection by its receipt.
func (o *objections) GetObjection(
	ctx context.Context, req *belpoortv1.GetObjectionRequest,
) (*belpoortv1.GetObjectionResponse, error) {
	if err := needed("receipt", req.GetReceipt(), maxReceipt); err != nil {
		return nil, err
	}
	receipt, err := keyring.ParseReceipt(req.GetReceipt())
	if err != nil {
		return nil, invalid("receipt", "is no receipt: a character was heard or typed wrong")
	}
	unknown := fail(codes.NotFound, ReasonObjectionUnknown, "no objection has this receipt")
	if kept := o.s.pending.byReceipt(receipt); kept != nil {
		if !clientOf(ctx).mayActFor(kept.fact.Objection.Organisation) {
			return nil, unknown
		}
		return kept.shown(), nil
	}
	entry, err := o.s.facts.facts.ByReference(ctx, receipt)
	if errors.Is(err, ErrNotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	if entry.Kind != record.KindObjection || entry.Erased {
		return nil, unknown
	}
	fact, err := record.Unmarshal(entry.Position, entry.Payload)
	if err != nil {
		return nil, internal(err)
	}
	if !clientOf(ctx).mayActFor(fact.Objection.Organisation) {
		return nil, unknown
	}
	state := belpoortv1.ObjectionState_OBJECTION_STATE_IN_FORCE
	if err := o.s.awaitSettled(ctx, entry.Position); err != nil {
		state = belpoortv1.ObjectionState_OBJECTION_STATE_PENDING
	}
	correction, corrected, err := o.s.correctionOf(ctx, &entry)
	if err != nil {
		return nil, err
	}
	if corrected {
		state = belpoortv1.ObjectionState_OBJECTION_STATE_CORRECTED
	}
	return &belpoortv1.GetObjectionResponse{
		Objection: record.FactToProto(fact).GetObjection(), State: state, CorrectionPosition: correction.Position,
		Position: entry.Position, RecordTime: timestamppb.New(entry.RecordTime), CalleeToken: entry.Callee.String(),
	}, nil
}
