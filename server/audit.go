package server

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// The instants for which a call may be explained.
var (
	firstInstant = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	lastInstant  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// languages are those in which steps are told.
var languages = map[string]eligibility.Language{"en": eligibility.English, "nl": eligibility.Dutch}

// audit answers compliance.
type audit struct {
	belpoortv1.UnimplementedAuditServiceServer
	s *Server
}

// ExplainCall decides a call at any instant, as the ledger stands or stood, and shows every rule tried.
func (a *audit) ExplainCall(
	ctx context.Context, req *belpoortv1.ExplainCallRequest,
) (*belpoortv1.ExplainCallResponse, error) {
	s, language := a.s, req.GetLanguage()
	if language == "" {
		language = "en"
	}
	if _, ok := record.Sentence(eligibility.Unavailable, language); !ok {
		return nil, invalid("language", `must be "en" or "nl"`)
	}
	force, err := s.forceAt(ctx, req.GetPosition())
	if err != nil {
		return nil, err
	}
	var call eligibility.Call
	callee, err := s.readCall(&call, force, callWords{
		callee: req.GetCallee(), campaign: req.GetCampaign(), callerID: req.GetCallerId(), person: req.GetPerson(),
		presentation: req.GetCallerIdPresentation(), mode: req.GetMode(), dialing: req.GetDialing(),
	})
	if err != nil {
		return nil, err
	}
	if !clientOf(ctx).mayActFor(call.Campaign.Organisation.ID) {
		return nil, forbiddenOrganisation("campaign")
	}
	token := s.ring.Token(callee)
	e, err := s.eligibilityAt(ctx, token, req.GetPosition())
	if err != nil {
		return nil, err
	}
	at, err := s.instantOf(req.GetDialTime(), e)
	if err != nil {
		return nil, err
	}
	d, steps := eligibility.Explain(e, &call, force.catalogue, force.law, at, languages[language])
	return explanation(&d, steps, force, e, at, language), nil
}

// eligibilityAt reads the ledger itself: an explanation rests on nothing that was kept elsewhere.
func (s *Server) eligibilityAt(ctx context.Context, token eligibility.CalleeToken, position uint64) (*eligibility.Eligibility, error) {
	if token.IsZero() {
		return nobody, nil
	}
	e, err := s.facts.readUpTo(ctx, token, position)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	return e, nil
}

// instantOf is the instant asked for, or the one at which a check would be decided now.
func (s *Server) instantOf(asked *timestamppb.Timestamp, e *eligibility.Eligibility) (time.Time, error) {
	if asked == nil {
		return later(s.clock(), e.ReadTime()), nil
	}
	at := asked.AsTime()
	if asked.CheckValid() != nil || at.Before(firstInstant) || !at.Before(lastInstant) {
		return at, invalid("dial_time", "must lie between 1970 and 2200")
	}
	return at, nil
}

func explanation(
	d *eligibility.Decision, steps []eligibility.Step, force *inForce, e *eligibility.Eligibility, at time.Time, language string,
) *belpoortv1.ExplainCallResponse {
	m := &belpoortv1.ExplainCallResponse{
		Verdict: belpoortv1.Verdict(d.Verdict), Reason: belpoortv1.Reason(d.Reason), Reasons: record.ReasonsToProto(d.Reasons),
		Basis: record.BasisToProto(d), Obligations: record.ObligationsToProto(d.Obligations),
		ValidUntil: record.Stamp(d.ValidUntil), RetryTime: record.Stamp(d.RetryTime), Steps: record.StepsToProto(steps),
		Regime: d.Regime, LawVersion: force.law.Version, LedgerPosition: e.LedgerPosition(), CataloguePosition: force.position,
		StatesPosition: force.states.position,
		DialTime:       timestamppb.New(at),
	}
	m.Sentence, _ = record.Sentence(d.Reason, language)
	if token := e.CalleeToken(); !token.IsZero() {
		m.CalleeToken = token.String()
	}
	return m
}

// GetDecision finds a decision by its id. One that was answered a moment ago may still be on its way to the ledger, so a
// decision that is not there is looked for again once everything journalled has arrived.
func (a *audit) GetDecision(
	ctx context.Context, req *belpoortv1.GetDecisionRequest,
) (*belpoortv1.GetDecisionResponse, error) {
	if req.GetDecisionId() == "" {
		return nil, missing("decision_id")
	}
	raw, err := hex.DecodeString(req.GetDecisionId())
	if err != nil || len(raw) != 16 {
		return nil, invalid("decision_id", "must be 32 hexadecimal characters")
	}
	m, err := a.s.decision(ctx, [16]byte(raw))
	if err != nil {
		return nil, err
	}
	if !clientOf(ctx).mayActFor(m.GetOrganisation()) {
		return nil, unknownDecision()
	}
	return &belpoortv1.GetDecisionResponse{Decision: m}, nil
}

func unknownDecision() error {
	return fail(codes.NotFound, ReasonDecisionUnknown, "no decision has this id")
}

func (s *Server) decision(ctx context.Context, id [16]byte) (*belpoortv1.Decision, error) {
	payload, err := s.decisions.Decision(ctx, id)
	if errors.Is(err, ErrNotFound) {
		if err := s.awaitShipped(ctx); err != nil {
			return nil, err
		}
		payload, err = s.decisions.Decision(ctx, id)
	}
	if errors.Is(err, ErrNotFound) {
		return nil, unknownDecision()
	}
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	m, err := record.UnmarshalDecision(payload)
	if err != nil {
		return nil, internal(err)
	}
	return m, nil
}

// awaitShipped waits until everything journalled so far is in the ledger.
func (s *Server) awaitShipped(ctx context.Context) error {
	seq := s.journalled.Load()
	if seq == 0 {
		return nil
	}
	if err := s.journal.Shipped(ctx, seq); err != nil {
		return unavailable(ReasonJournalUnavailable, "the journal", err)
	}
	return nil
}
