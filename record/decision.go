package record

import (
	"time"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
)

// Circumstances are what surrounded a decision: enough to find it and to decide again.
type Circumstances struct {
	DecisionID        string
	At                time.Time
	Callee            eligibility.CalleeToken // zero where the callee is no number
	LawVersion        string
	LedgerPosition    uint64
	CataloguePosition uint64
	StatesPosition    uint64 // of the campaigns' states
	Client            string // the credential that asked
	RequestID         string // the client's own
	CallID            string // the dialer's own
	Person            string // a mark of the expected person, never the name; "" for none
}

// DecisionToProto writes a decision as the journal holds it. The caller ID is written only where the register knows it.
func DecisionToProto(d *eligibility.Decision, call *eligibility.Call, c Circumstances) *belpoortv1.Decision {
	m := &belpoortv1.Decision{
		DecisionId: c.DecisionID, DecideTime: timestamppb.New(c.At), Campaign: call.Campaign.ID,
		Organisation:         call.Campaign.Organisation.ID,
		CallerIdPresentation: belpoortv1.CallerIdPresentation(max(call.Presentation, eligibility.PresentationAllowed)),
		Mode:                 belpoortv1.Mode(call.Mode), Dialing: belpoortv1.Dialing(call.Dialing), Person: c.Person,
		Verdict: belpoortv1.Verdict(d.Verdict), Reason: belpoortv1.Reason(d.Reason), Reasons: ReasonsToProto(d.Reasons),
		Basis: BasisToProto(d), Obligations: ObligationsToProto(d.Obligations), ValidUntil: Stamp(d.ValidUntil),
		LawVersion: c.LawVersion, LedgerPosition: c.LedgerPosition, CataloguePosition: c.CataloguePosition, StatesPosition: c.StatesPosition,
		Client: c.Client, RequestId: c.RequestID, CallId: c.CallID, Regime: d.Regime, UnreportedAttempts: uint32(len(call.Unreported)),
	}
	if !c.Callee.IsZero() {
		m.CalleeToken = c.Callee.String()
	}
	if call.Mode == 0 {
		m.Mode = belpoortv1.Mode(call.Campaign.Mode)
	}
	if call.Dialing == 0 {
		m.Dialing = belpoortv1.Dialing(call.Campaign.Dialing)
	}
	if d.CallerIDKnown {
		m.CallerId = call.CallerID
	}
	return m
}

// BasisToProto is the basis of an allowed call; nil for any other.
func BasisToProto(d *eligibility.Decision) *belpoortv1.Basis {
	if d.Verdict != eligibility.Allow {
		return nil
	}
	return &belpoortv1.Basis{
		Kind: belpoortv1.Reason(d.Basis.Kind), Article: d.Basis.Article, EvidencePosition: d.Basis.Position,
		SinceTime: Stamp(d.Basis.SinceTime()), UntilTime: Stamp(d.Basis.UntilTime()),
	}
}

// ReasonsToProto lists reasons, the headline first.
func ReasonsToProto(s eligibility.ReasonSet) []belpoortv1.Reason {
	return enums[belpoortv1.Reason](s.List())
}

// ObligationsToProto lists obligations.
func ObligationsToProto(s eligibility.ObligationSet) []belpoortv1.Obligation {
	return enums[belpoortv1.Obligation](s.List())
}

// StepsToProto lists the rules that were tried.
func StepsToProto(steps []eligibility.Step) []*belpoortv1.RuleStep {
	var out []*belpoortv1.RuleStep
	for _, s := range steps {
		out = append(out, &belpoortv1.RuleStep{
			Rule: s.Rule, Reason: belpoortv1.Reason(s.Reason), Passed: s.Passed, Inputs: s.Inputs, Article: s.Article, Position: s.Position,
			Source: s.Source,
		})
	}
	return out
}

// PresentationFromProto reads how a caller ID is presented; unspecified is 0. Errors are a *FieldError.
func PresentationFromProto(field string, p belpoortv1.CallerIdPresentation) (eligibility.Presentation, error) {
	c := &check{}
	w := word[eligibility.Presentation](c, field, p)
	return w, c.result()
}

// ModeFromProto reads who speaks; unspecified is 0.
func ModeFromProto(field string, m belpoortv1.Mode) (eligibility.Mode, error) {
	c := &check{}
	w := word[eligibility.Mode](c, field, m)
	return w, c.result()
}

// DialingFromProto reads how calls are placed; unspecified is 0.
func DialingFromProto(field string, d belpoortv1.Dialing) (eligibility.Dialing, error) {
	c := &check{}
	w := word[eligibility.Dialing](c, field, d)
	return w, c.result()
}
