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
	w, err := s.tokenWrite(p.Callee, fact, reportKeys+hex.EncodeToString(p.DecisionID[:]))
	if err != nil {
		return nil, err
	}
	if fact.CallReport.OfferResult == eligibility.OfferObjected && !mutantReportForgetsObjection {
		return s.reportObjected(ctx, w, p, fact.CallReport)
	}
	if mutantReportUnwritten {
		return &belpoortv1.ReportCallResponse{}, nil
	}
	written, err := s.write(ctx, []Write{w})
	if err != nil {
		return nil, reportFailed(err)
	}
	return &belpoortv1.ReportCallResponse{
		Position: written[0].Position, Late: fact.CallReport.Late, Unchanged: written[0].Repeated,
	}, nil
}

// reportObjected records a report that tells of an objection, and the objection with it. An objection is never lost with
// its report: where that is refused, or the ledger is away, the objection is registered or kept all the same, and the error
// tells its receipt.
func (s *Server) reportObjected(
	ctx context.Context, report Write, p Permit, r *eligibility.CallReport,
) (*belpoortv1.ReportCallResponse, error) {
	o, err := s.objectionInCall(ctx, callOnPermit(p), eligibility.Objection{At: r.EndedAt, Via: viaOf(r.OfferHow)}, true)
	if err != nil {
		return nil, err
	}
	written, err := s.recordWith(ctx, report, o)
	if err != nil {
		kept, lost := s.rescue(ctx, o, err)
		if lost != nil {
			return nil, reportFailed(err)
		}
		f := reportFailed(err)
		f.sentence += "; the objection in it is registered all the same, under the receipt " + kept.GetReceipt()
		return nil, f
	}
	registered := s.settledObjection(ctx, o, written[1])
	return &belpoortv1.ReportCallResponse{
		Position: written[0].Position, Late: r.Late, Unchanged: written[0].Repeated,
		Receipt: registered.GetReceipt(), ObjectionState: registered.GetState(),
	}, nil
}

// reportFailed is the answer to a report that the ledger did not take.
func reportFailed(err error) *failure {
	if errors.Is(err, ErrRequestReused) {
		return &failure{codes.AlreadyExists, ReasonRequestReused, "permit", "permit belongs to a call that was reported otherwise; the report was not changed", nil}
	}
	if _, refusal := refusedWrite(err); refusal != nil {
		return refusal
	}
	return ledgerUnavailable(err)
}

// readReport reads a report against the permit that it refers to.
func (s *Server) readReport(ctx context.Context, req *belpoortv1.ReportCallRequest) (Permit, eligibility.Fact, error) {
	var none eligibility.Fact
	if err := firstError(printable("request_id", req.GetRequestId(), maxRequestID), printable("agent", req.GetAgent(), record.MaxAgent),
		printable("recording", req.GetRecording(), record.MaxText)); err != nil {
		return Permit{}, none, err
	}
	p, late, err := s.readPermit(ctx, req.GetPermit())
	if err != nil {
		return p, none, err
	}
	fact, err := record.FactFromProto(&belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: &belpoortv1.CallReport{
		Campaign: p.Campaign, DialTime: req.GetDialTime(), Outcome: req.GetOutcome(), ObjectionOffered: req.GetObjectionOffered(),
		DecisionId: hex.EncodeToString(p.DecisionID[:]), EndTime: req.GetEndTime(), Late: late, Agent: req.GetAgent(),
		Recording: req.GetRecording(), OfferHow: req.GetOfferHow(), OfferResult: req.GetOfferResult(),
	}}})
	if err != nil {
		return p, none, outsideReport(err)
	}
	return p, fact, firstError(s.plausible(fact.CallReport, p), consistent(fact.CallReport),
		s.withoutNumber("agent", req.GetAgent(), p.Callee), s.withoutNumber("recording", req.GetRecording(), p.Callee))
}

// readPermit reads a permit that a client refers to, and tells whether it does so late.
func (s *Server) readPermit(ctx context.Context, token string) (Permit, bool, error) {
	if err := needed("permit", token, maxPermit); err != nil {
		return Permit{}, false, err
	}
	p, late, err := s.permits.ForReport(token, s.clock())
	if err != nil {
		return p, false, &failure{codes.InvalidArgument, ReasonPermitInvalid, "permit", "permit is none that can be reported on: " + err.Error(), nil}
	}
	if !clientOf(ctx).mayActFor(p.Organisation) && !mutantForeignPermit {
		return p, false, forbiddenOrganisation("permit")
	}
	return p, late, nil
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

// consistent refuses a report whose words contradict each other.
func consistent(r *eligibility.CallReport) error {
	byAgent := r.OfferHow == eligibility.ByAgent || r.OfferHow == eligibility.ByAgentAndIVR
	spoke := r.OfferResult == eligibility.OfferObjected || r.OfferResult == eligibility.OfferNotObjected
	switch {
	case !r.ObjectionOffered && (r.OfferHow != 0 || r.OfferResult != 0):
		return invalid("objection_offered", "contradicts offer_how or offer_result, which tell of an offer")
	case r.OfferResult != 0 && r.OfferHow == 0:
		return &failure{codes.InvalidArgument, ReasonFieldMissing, "offer_how", "offer_how is missing beside offer_result", nil}
	case r.Outcome == eligibility.Abandoned && r.Agent != "":
		return invalid("agent", "contradicts the outcome %v: no agent was free", r.Outcome)
	case r.Outcome == eligibility.Abandoned && byAgent:
		return invalid("offer_how", "contradicts the outcome %v: no agent was free", r.Outcome)
	case r.Outcome == eligibility.Voicemail && spoke:
		return invalid("offer_result", "contradicts the outcome %v: a machine took the call", r.Outcome)
	}
	return nil
}

// speaks tells that somebody or something took the call.
func speaks(o eligibility.Outcome) bool {
	return o == eligibility.Answered || o == eligibility.Voicemail || o == eligibility.Abandoned
}

// outsideReport names a field as ReportCall's request knows it.
func outsideReport(err error) error { return renamed(err, "fact.call_report.") }
