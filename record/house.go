package record

import (
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"

	"github.com/belpoort/belpoort/eligibility"
)

// MaxReason bounds why something was erased or corrected, in bytes.
const MaxReason = 500

// Recordable reports whether a fact may come from outside as it is. The others are made by the service, which sees to what
// must go with them.
func Recordable(f *eligibility.Fact) bool {
	return f.Correction == nil && f.CorrectionProposed == nil && f.Erasure == nil && f.Disposal == nil
}

// Erasable are the kinds whose payloads an erasure takes away: what the person agreed to, was and asked. The others keep
// the person from being called, or show how they were treated (AVG 17(3)(b) and (e)).
func Erasable() []int32 {
	if mutantSuppressionErased {
		return []int32{KindSubscriber, KindConsent, KindRelationship, KindCallRequest, KindObjection, KindWithdrawal}
	}
	return []int32{KindSubscriber, KindConsent, KindRelationship, KindCallRequest}
}

func (c *check) erasure(at string, m *belpoortv1.Erasure) *eligibility.Erasure {
	c.known(at, m)
	return &eligibility.Erasure{
		At:     c.momentGiven(at+".erase_time", m.GetEraseTime()),
		Reason: c.text(at+".reason", m.GetReason(), MaxReason),
		Client: c.text(at+".client", m.GetClient(), MaxID),
		Born:   c.date(at+".born", m.GetBorn()),
	}
}

func (c *check) correctionProposed(at string, m *belpoortv1.CorrectionProposed) *eligibility.CorrectionProposed {
	c.known(at, m)
	return &eligibility.CorrectionProposed{
		Objection: m.GetObjectionPosition(),
		At:        c.momentGiven(at+".propose_time", m.GetProposeTime()),
		Reason:    c.text(at+".reason", m.GetReason(), MaxReason),
		Client:    c.text(at+".client", m.GetClient(), MaxID),
	}
}

func (c *check) correction(at string, m *belpoortv1.Correction) *eligibility.Correction {
	c.known(at, m)
	return &eligibility.Correction{
		Objection:  m.GetObjectionPosition(),
		Proposal:   m.GetProposalPosition(),
		At:         c.momentGiven(at+".approve_time", m.GetApproveTime()),
		Reason:     c.text(at+".reason", m.GetReason(), MaxReason),
		ProposedBy: c.text(at+".proposed_by", m.GetProposedBy(), MaxID),
		ApprovedBy: c.text(at+".approved_by", m.GetApprovedBy(), MaxID),
	}
}

func erasureToProto(e *eligibility.Erasure) *belpoortv1.Erasure {
	m := &belpoortv1.Erasure{EraseTime: Stamp(e.At), Reason: e.Reason, Client: e.Client}
	if !e.Born.IsZero() {
		m.Born = e.Born.String()
	}
	return m
}

func correctionProposedToProto(p *eligibility.CorrectionProposed) *belpoortv1.CorrectionProposed {
	return &belpoortv1.CorrectionProposed{ObjectionPosition: p.Objection, ProposeTime: Stamp(p.At), Reason: p.Reason, Client: p.Client}
}

func correctionToProto(x *eligibility.Correction) *belpoortv1.Correction {
	return &belpoortv1.Correction{
		ObjectionPosition: x.Objection, ProposalPosition: x.Proposal, ApproveTime: Stamp(x.At), Reason: x.Reason,
		ProposedBy: x.ProposedBy, ApprovedBy: x.ApprovedBy,
	}
}
