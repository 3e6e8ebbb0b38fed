package server

import (
	"context"
	"encoding/hex"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// maxPermit bounds a permit as it is sent, in bytes.
const maxPermit = 1024

// ReportCall records what became of a call that was allowed. Each permit is reported once: the same words again change
// nothing, others are refused. From then on the call counts by its report: one that was not placed is no attempt.
func (g *gatekeeper) ReportCall(
	ctx context.Context, req *belpoortv1.ReportCallRequest,
) (*belpoortv1.ReportCallResponse, error) {
	s := g.s
	p, fact, err := s.readReport(ctx, req)
	if err != nil {
		return nil, err
	}
	w := Write{RequestKey: reportKeys + hex.EncodeToString(p.DecisionID[:]), Callee: p.Callee, Kind: record.KindOf(fact)}
	if w.Payload, err = record.Marshal(fact); err != nil {
		return nil, internal(err)
	}
	written, err := s.write(ctx, []Write{w})
	if errors.Is(err, ErrRequestReused) {
		return nil, &failure{codes.AlreadyExists, ReasonRequestReused, "permit", "permit belongs to a call that was reported otherwise; nothing was changed", nil}
	}
	if err != nil {
		return nil, writeFailed(err)
	}
	return &belpoortv1.ReportCallResponse{
		Position: written[0].Position, Late: fact.CallReport.Late, Unchanged: written[0].Repeated,
	}, nil
}

// readReport reads a report against the permit that it refers to.
func (s *Server) readReport(ctx context.Context, req *belpoortv1.ReportCallRequest) (Permit, eligibility.Fact, error) {
	var none eligibility.Fact
	if err := firstError(needed("permit", req.GetPermit(), maxPermit), printable("request_id", req.GetRequestId(), maxRequestID)); err != nil {
		return Permit{}, none, err
	}
	p, late, err := s.permits.ForReport(req.GetPermit(), s.clock())
	if err != nil {
		return p, none, &failure{codes.InvalidArgument, ReasonPermitInvalid, "permit", "permit is none that can be reported on: " + err.Error(), nil}
	}
	if !clientOf(ctx).mayActFor(p.Organisation) {
		return p, none, forbiddenOrganisation("permit")
	}
	fact, err := record.FactFromProto(&belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: &belpoortv1.CallReport{
		Campaign: p.Campaign, DialTime: req.GetDialTime(), Outcome: req.GetOutcome(), ObjectionOffered: req.GetObjectionOffered(),
		DecisionId: hex.EncodeToString(p.DecisionID[:]), EndTime: req.GetEndTime(), Late: late,
	}}})
	if err != nil {
		return p, none, outsideReport(err)
	}
	return p, fact, s.plausible(fact.CallReport, p)
}

// plausible refuses times and words that cannot be of this call.
func (s *Server) plausible(r *eligibility.CallReport, p Permit) error {
	ahead := s.clock().Add(clockSkew)
	switch {
	case r.At.Before(p.Issued.Add(-clockSkew)):
		return invalid("dial_time", "lies before the permit was issued")
	case r.At.After(ahead):
		return invalid("dial_time", "lies in the future")
	case !r.EndedAt.IsZero() && r.EndedAt.Before(r.At):
		return invalid("end_time", "lies before dial_time")
	case r.EndedAt.After(ahead):
		return invalid("end_time", "lies in the future")
	case r.ObjectionOffered && !speaks(r.Outcome):
		return invalid("objection_offered", "contradicts the outcome %v: nobody heard it", r.Outcome)
	}
	return nil
}

// speaks tells that somebody or something took the call.
func speaks(o eligibility.Outcome) bool {
	return o == eligibility.Answered || o == eligibility.Voicemail || o == eligibility.Abandoned
}

// outsideReport names a field as ReportCall's request knows it.
func outsideReport(err error) error { return renamed(err, "fact.call_report.") }
