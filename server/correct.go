package server

import (
	"context"
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/keyring"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// proposalLife is how long a proposed correction may be approved.
const proposalLife = 30 * 24 * time.Hour

// held is an entry of the ledger with its fact.
type held struct {
	Entry
	fact eligibility.Fact
}

// byReceipt finds an entry of a kind by its receipt. A client that may not act for the organisation learns nothing of it.
func (s *Server) byReceipt(ctx context.Context, field, text string, kind int32, unknown error) (held, error) {
	if err := needed(field, text, maxReceipt); err != nil {
		return held{}, err
	}
	receipt, err := keyring.ParseReceipt(text)
	if err != nil {
		return held{}, invalid(field, "is no receipt: a character was heard or typed wrong")
	}
	entry, err := s.facts.facts.ByReference(ctx, receipt)
	if errors.Is(err, ErrNotFound) || err == nil && (entry.Kind != kind || entry.Erased) {
		return held{}, unknown
	}
	if err != nil {
		return held{}, ledgerUnavailable(err)
	}
	fact, err := record.Unmarshal(entry.Position, entry.Payload)
	if err != nil {
		return held{}, internal(err)
	}
	return held{entry, fact}, nil
}

func unknownObjection() error {
	return fail(codes.NotFound, ReasonObjectionUnknown, "no objection has this receipt")
}

func unknownCorrection() error {
	return fail(codes.NotFound, ReasonCorrectionUnknown, "no proposed correction has this id")
}

// correctionRefused names the field that leads to what cannot be corrected.
func correctionRefused(field, sentence string) error {
	return &failure{codes.FailedPrecondition, ReasonCorrectionRefused, field, sentence, nil}
}

// ProposeCorrection says that an objection is a mistake, and changes nothing.
func (o *objections) ProposeCorrection(
	ctx context.Context, req *belpoortv1.ProposeCorrectionRequest,
) (*belpoortv1.ProposeCorrectionResponse, error) {
	s, c := o.s, clientOf(ctx)
	if err := firstError(requestID(req.GetRequestId()), needed("reason", req.GetReason(), record.MaxReason),
		printable("reason", req.GetReason(), record.MaxReason)); err != nil {
		return nil, err
	}
	objection, err := s.byReceipt(ctx, "receipt", req.GetReceipt(), record.KindObjection, unknownObjection())
	if err != nil {
		return nil, err
	}
	if !c.mayActFor(objection.fact.Objection.Organisation) {
		return nil, unknownObjection()
	}
	key := proposalKeys + c.id + "/" + req.GetRequestId()
	proposed := eligibility.CorrectionProposed{Objection: objection.Position, At: s.clock(), Reason: req.GetReason(), Client: c.id}
	if first, err := s.facts.facts.ByReference(ctx, s.ring.Receipt(key)); err == nil {
		return s.proposedBefore(&first, &proposed)
	}
	if _, corrected, err := s.correctionOf(ctx, &objection.Entry); err != nil || corrected {
		return nil, errors.Join(err, correctionRefusedIf(corrected, "receipt"))
	}
	w := Write{RequestKey: key, Callee: objection.Callee, Kind: record.KindCorrectionProposed, Reference: s.ring.Receipt(key)}
	if w.Payload, err = record.Marshal(eligibility.Fact{CorrectionProposed: &proposed}); err != nil {
		return nil, internal(err)
	}
	written, err := s.write(ctx, []Write{w})
	if err != nil {
		return nil, writeFailed(err)
	}
	return proposalAnswer(w.Reference, written[0].Position, written[0].RecordTime), nil
}

func correctionRefusedIf(corrected bool, field string) error {
	if !corrected {
		return nil
	}
	return correctionRefused(field, "the objection has been corrected already")
}

func proposalAnswer(id string, position uint64, at time.Time) *belpoortv1.ProposeCorrectionResponse {
	return &belpoortv1.ProposeCorrectionResponse{CorrectionId: id, Position: position, ExpireTime: timestamppb.New(at.Add(proposalLife))}
}

// proposedBefore answers a repeat, which differs from the first in its time alone.
func (s *Server) proposedBefore(first *Entry, again *eligibility.CorrectionProposed) (*belpoortv1.ProposeCorrectionResponse, error) {
	was, err := record.Unmarshal(first.Position, first.Payload)
	if err != nil {
		return nil, internal(err)
	}
	if was.CorrectionProposed == nil {
		return nil, receiptTaken()
	}
	again.At = was.CorrectionProposed.At
	if *again != *was.CorrectionProposed {
		return nil, requestReused()
	}
	return proposalAnswer(first.Reference, first.Position, first.RecordTime), nil
}

// correctionOf finds what corrects an objection.
func (s *Server) correctionOf(ctx context.Context, objection *Entry) (correction held, corrected bool, err error) {
	snapshot, err := s.facts.facts.Facts(ctx, objection.Callee, 0)
	if err != nil {
		return held{}, false, ledgerUnavailable(err)
	}
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		if e.Kind != record.KindCorrection || e.Erased {
			continue
		}
		fact, err := record.Unmarshal(e.Position, e.Payload)
		if err != nil {
			return held{}, false, internal(err)
		}
		if fact.Correction.Objection == objection.Position {
			return held{*e, fact}, true, nil
		}
	}
	return held{}, false, nil
}

// ApproveCorrection takes an objection out of force, on the word of two people.
func (o *objections) ApproveCorrection(
	ctx context.Context, req *belpoortv1.ApproveCorrectionRequest,
) (*belpoortv1.ApproveCorrectionResponse, error) {
	s, c := o.s, clientOf(ctx)
	if err := requestID(req.GetRequestId()); err != nil {
		return nil, err
	}
	proposal, err := s.byReceipt(ctx, "correction_id", req.GetCorrectionId(), record.KindCorrectionProposed, unknownCorrection())
	if err != nil {
		return nil, err
	}
	objection, err := s.objectionOf(ctx, &proposal)
	if err != nil {
		return nil, err
	}
	if !c.mayActFor(objection.fact.Objection.Organisation) {
		return nil, unknownCorrection()
	}
	proposed := proposal.fact.CorrectionProposed
	if proposed.Client == c.id && !mutantApprovesOwn {
		return nil, correctionRefused("correction_id", "was proposed with the same credential: another person has to approve it")
	}
	approval := eligibility.Correction{
		Objection: objection.Position, Proposal: proposal.Position, At: later(s.clock(), proposal.RecordTime), Reason: proposed.Reason,
		ProposedBy: proposed.Client, ApprovedBy: c.id,
	}
	return carryOut(ctx, s, func(ctx context.Context) (*belpoortv1.ApproveCorrectionResponse, error) {
		return s.approve(ctx, &proposal, &objection, approval, c.id+"/"+req.GetRequestId())
	})
}

// objectionOf is the objection that a proposal names.
func (s *Server) objectionOf(ctx context.Context, proposal *held) (held, error) {
	snapshot, err := s.facts.facts.Facts(ctx, proposal.Callee, 0)
	if err != nil {
		return held{}, ledgerUnavailable(err)
	}
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		if e.Position != proposal.fact.CorrectionProposed.Objection || e.Kind != record.KindObjection || e.Erased {
			continue
		}
		fact, err := record.Unmarshal(e.Position, e.Payload)
		if err != nil {
			return held{}, internal(err)
		}
		return held{*e, fact}, nil
	}
	return held{}, unknownCorrection()
}

// approve records the one correction that an objection can have: its request key is made from the objection.
func (s *Server) approve(
	ctx context.Context, proposal, objection *held, approval eligibility.Correction, request string,
) (*belpoortv1.ApproveCorrectionResponse, error) {
	reference := approvalKeys + request
	first, corrected, err := s.correctionOf(ctx, &objection.Entry)
	switch {
	case err != nil:
		return nil, err
	case corrected && first.Reference == reference && first.fact.Correction.Proposal == proposal.Position:
		return approvalAnswer(objection, Written{Position: first.Position, RecordTime: first.RecordTime}), s.settle(ctx, first.Position)
	case corrected:
		return nil, correctionRefusedIf(true, "correction_id")
	case !approval.At.Before(proposal.RecordTime.Add(proposalLife)):
		return nil, correctionRefused("correction_id", "was proposed more than 30 days ago: propose it anew")
	}
	w := Write{
		RequestKey: approvalKeys + strconv.FormatUint(objection.Position, 10), Callee: objection.Callee,
		Kind: record.KindCorrection, Reference: reference,
	}
	if w.Payload, err = record.Marshal(eligibility.Fact{Correction: &approval}); err != nil {
		return nil, internal(err)
	}
	written, err := s.append(ctx, []Write{w})
	if errors.Is(err, ErrRequestReused) {
		return nil, correctionRefusedIf(true, "correction_id")
	}
	if err != nil {
		return nil, writeFailed(err)
	}
	s.log.Info("objection corrected", zap.Stringer("callee_token", w.Callee), zap.Uint64("objection", objection.Position),
		zap.Uint64("position", written[0].Position), zap.String("proposed_by", approval.ProposedBy), zap.String("approved_by", approval.ApprovedBy))
	return approvalAnswer(objection, written[0]), nil
}

func approvalAnswer(objection *held, w Written) *belpoortv1.ApproveCorrectionResponse {
	return &belpoortv1.ApproveCorrectionResponse{
		Position: w.Position, ObjectionPosition: objection.Position, RecordTime: timestamppb.New(w.RecordTime),
	}
}
