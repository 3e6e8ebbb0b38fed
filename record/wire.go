package record

import (
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
)

// FactToProto writes a fact in the words of the wire. A fact that holds no kind gives a message that holds none.
func FactToProto(f eligibility.Fact) *belpoortv1.Fact {
	switch {
	case f.Subscriber != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Subscriber{Subscriber: subscriberToProto(f.Subscriber)}}
	case f.Consent != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Consent{Consent: consentToProto(f.Consent)}}
	case f.Withdrawal != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Withdrawal{Withdrawal: withdrawalToProto(f.Withdrawal)}}
	case f.Relationship != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Relationship{Relationship: relationshipToProto(f.Relationship)}}
	case f.CallRequest != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallRequest{CallRequest: callRequestToProto(f.CallRequest)}}
	case f.Objection != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Objection{Objection: objectionToProto(f.Objection)}}
	case f.CallReport != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CallReport{CallReport: callReportToProto(f.CallReport)}}
	case f.ListEntry != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_ListEntry{ListEntry: listEntryToProto(f.ListEntry)}}
	case f.ObjectionOffer != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_ObjectionOffer{ObjectionOffer: offerToProto(f.ObjectionOffer)}}
	case f.Correction != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Correction{Correction: correctionToProto(f.Correction)}}
	case f.Erasure != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Erasure{Erasure: erasureToProto(f.Erasure)}}
	case f.CorrectionProposed != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_CorrectionProposed{CorrectionProposed: correctionProposedToProto(f.CorrectionProposed)}}
	case f.Disposal != nil:
		return &belpoortv1.Fact{Kind: &belpoortv1.Fact_Disposal{Disposal: disposalToProto(f.Disposal)}}
	default:
		return &belpoortv1.Fact{}
	}
}

func subscriberToProto(s *eligibility.Subscriber) *belpoortv1.Subscriber {
	m := &belpoortv1.Subscriber{
		Kind: belpoortv1.SubscriberKind(s.Kind), PrivateLine: s.PrivateLine, EstablishedIn: s.EstablishedIn,
		PublishedForUnsolicited: s.PublishedForUnsolicited, SinceTime: Stamp(s.Since),
	}
	if !s.Born.IsZero() {
		m.Born = s.Born.String()
	}
	return m
}

func consentToProto(c *eligibility.Consent) *belpoortv1.Consent {
	m := &belpoortv1.Consent{
		ConsentId: c.ID, Organisations: c.Organisations, Products: c.Products, Person: c.Person,
		Channels: enums[belpoortv1.Channel](c.Channels), Purposes: enums[belpoortv1.Purpose](c.Purposes),
		GiveTime: Stamp(c.GivenAt), Method: belpoortv1.ConsentMethod(c.Method), Preticked: c.Preticked,
		Bundled: c.Bundled, OwnInitiative: c.OwnInitiative, Source: c.Source, Wording: c.Wording,
		Evidence: evidenceToProto(c.Evidence), ExpireTime: Stamp(c.ExpiresAt),
	}
	if v := c.Verified; v != nil {
		m.Verified = &belpoortv1.Verification{Method: belpoortv1.VerificationMethod(v.Method), VerifyTime: Stamp(v.At)}
	}
	if !c.FirstCallWithin.IsZero() {
		m.FirstCallWithin = c.FirstCallWithin.String()
	}
	return m
}

func withdrawalToProto(w *eligibility.Withdrawal) *belpoortv1.Withdrawal {
	return &belpoortv1.Withdrawal{
		ConsentId: w.ConsentID, Organisation: w.Organisation, WithdrawTime: Stamp(w.At), Via: belpoortv1.Via(w.Via),
	}
}

func relationshipToProto(r *eligibility.Relationship) *belpoortv1.Relationship {
	return &belpoortv1.Relationship{
		Kind: belpoortv1.RelationshipKind(r.Kind), Organisation: r.Organisation, Product: r.Product,
		StartTime: Stamp(r.StartedAt), EndTime: Stamp(r.EndedAt), NumberSource: belpoortv1.NumberSource(r.NumberSource),
		NoObjectionOfferAtCollection: r.NoObjectionOfferAtCollection,
	}
}

func callRequestToProto(r *eligibility.CallRequest) *belpoortv1.CallRequest {
	return &belpoortv1.CallRequest{
		Organisation: r.Organisation, Product: r.Product, RequestTime: Stamp(r.RequestedAt), CallTime: Stamp(r.CallAt),
		Source: r.Source, Evidence: evidenceToProto(r.Evidence),
	}
}

func objectionToProto(o *eligibility.Objection) *belpoortv1.Objection {
	return &belpoortv1.Objection{
		Organisation: o.Organisation, ObjectTime: Stamp(o.At), Via: belpoortv1.Via(o.Via), Product: o.Product,
		Scope: belpoortv1.ObjectionScope(o.Scope), By: belpoortv1.ObjectedBy(o.By), Receipt: o.Receipt,
		DecisionId: o.DecisionID, OwnWords: o.OwnWords,
	}
}

func callReportToProto(r *eligibility.CallReport) *belpoortv1.CallReport {
	return &belpoortv1.CallReport{
		Campaign: r.Campaign, DialTime: Stamp(r.At), Outcome: belpoortv1.Outcome(r.Outcome), ObjectionOffered: r.ObjectionOffered,
		DecisionId: r.DecisionID, EndTime: Stamp(r.EndedAt), Late: r.Late, Agent: r.Agent, Recording: r.Recording,
		OfferHow: belpoortv1.OfferHow(r.OfferHow), OfferResult: belpoortv1.OfferResult(r.OfferResult),
	}
}

func offerToProto(o *eligibility.ObjectionOffer) *belpoortv1.ObjectionOffer {
	return &belpoortv1.ObjectionOffer{
		DecisionId: o.DecisionID, Organisation: o.Organisation, Campaign: o.Campaign, OfferTime: Stamp(o.At), Recording: o.Recording,
		How: belpoortv1.OfferHow(o.How), Result: belpoortv1.OfferResult(o.Result), Menu: o.Menu, Digit: o.Digit,
	}
}

func listEntryToProto(l *eligibility.ListEntry) *belpoortv1.ListEntry {
	return &belpoortv1.ListEntry{List: l.List, SinceTime: Stamp(l.Since), LoadTime: Stamp(l.LoadedAt)}
}

func evidenceToProto(e *eligibility.Evidence) *belpoortv1.Evidence {
	if e == nil {
		return nil
	}
	return &belpoortv1.Evidence{Uri: e.URI, Sha256: e.SHA256}
}

// Stamp writes a time; the zero time, which means "absent", becomes absent.
func Stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func enums[E ~int32, W ~uint8](list []W) []E {
	var out []E
	for _, w := range list {
		out = append(out, E(w))
	}
	return out
}
