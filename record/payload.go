package record

import (
	"errors"
	"fmt"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
)

// The kinds of entry in the ledger: for facts the field numbers of the wire's Fact.
const (
	KindSubscriber     int32 = 1
	KindConsent        int32 = 2
	KindWithdrawal     int32 = 3
	KindRelationship   int32 = 4
	KindCallRequest    int32 = 5
	KindObjection      int32 = 6
	KindCallReport     int32 = 7
	KindListEntry      int32 = 8
	KindObjectionOffer int32 = 20
	KindCorrection     int32 = 21
	KindErasure        int32 = 22
	KindCatalogue      int32 = 100
	// KindCampaignStates is that of the campaigns that are suspended, which like the catalogue concerns no callee.
	KindCampaignStates int32 = 101

	KindCorrectionProposed int32 = 23
	KindDisposal           int32 = 30
	// KindRetention is that of the runs that destroyed what was kept long enough; it concerns no callee.
	KindRetention int32 = 103
)

// ErrPayload says that a ledger payload does not hold what its kind promises: the ledger is damaged, or was written by a
// newer version.
var ErrPayload = errors.New("record: ledger payload cannot be read")

// KindOf is the kind under which the ledger holds a fact; 0 for a fact that holds none.
func KindOf(f eligibility.Fact) int32 {
	switch {
	case f.Subscriber != nil:
		return KindSubscriber
	case f.Consent != nil:
		return KindConsent
	case f.Withdrawal != nil:
		return KindWithdrawal
	case f.Relationship != nil:
		return KindRelationship
	case f.CallRequest != nil:
		return KindCallRequest
	case f.Objection != nil:
		return KindObjection
	case f.CallReport != nil:
		return KindCallReport
	case f.ListEntry != nil:
		return KindListEntry
	case f.ObjectionOffer != nil:
		return KindObjectionOffer
	case f.Correction != nil:
		return KindCorrection
	case f.Erasure != nil:
		return KindErasure
	case f.CorrectionProposed != nil:
		return KindCorrectionProposed
	case f.Disposal != nil:
		return KindDisposal
	default:
		return 0
	}
}

var deterministic = proto.MarshalOptions{Deterministic: true}

// Marshal is a fact as the ledger's payload: the same fact gives the same bytes.
func Marshal(f eligibility.Fact) ([]byte, error) {
	if KindOf(f) == 0 {
		return nil, &FieldError{"fact", "is missing"}
	}
	return deterministic.Marshal(FactToProto(f))
}

// Unmarshal reads a fact back from the payload of the ledger entry at a position. Errors wrap ErrPayload.
func Unmarshal(position uint64, payload []byte) (eligibility.Fact, error) {
	m := &belpoortv1.Fact{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return eligibility.Fact{}, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	f, err := FactFromProto(m)
	if err != nil {
		return eligibility.Fact{}, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	f.Position = position
	return f, nil
}

// MarshalCatalogue is a catalogue as the ledger's payload: the same catalogue gives the same bytes.
func MarshalCatalogue(m *belpoortv1.Catalogue) ([]byte, error) { return deterministic.Marshal(m) }

// UnmarshalCatalogue reads a catalogue back. Errors wrap ErrPayload.
func UnmarshalCatalogue(position uint64, payload []byte) (*belpoortv1.Catalogue, error) {
	m := &belpoortv1.Catalogue{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	return m, nil
}

// MarshalStates is the campaigns' states as the ledger's payload.
func MarshalStates(m *belpoortv1.CampaignStates) ([]byte, error) { return deterministic.Marshal(m) }

// UnmarshalStates reads the campaigns' states back from the entry at a position, which is that of the suspension that it
// began. Errors wrap ErrPayload.
func UnmarshalStates(position uint64, payload []byte) (*belpoortv1.CampaignStates, error) {
	m := &belpoortv1.CampaignStates{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	for _, s := range m.GetSuspended() {
		if s.GetPosition() == 0 {
			s.Position = position
		}
	}
	return m, nil
}

// MarshalDecision is a decision as the journal's and the ledger's payload.
func MarshalDecision(m *belpoortv1.Decision) ([]byte, error) { return deterministic.Marshal(m) }

// UnmarshalDecision reads a decision back. Errors wrap ErrPayload.
func UnmarshalDecision(payload []byte) (*belpoortv1.Decision, error) {
	m := &belpoortv1.Decision{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: decision: %w", ErrPayload, err)
	}
	return m, nil
}
