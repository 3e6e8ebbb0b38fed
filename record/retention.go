package record

import (
	"fmt"
	"slices"

	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
)

// MaxDisposed bounds how many facts one disposal destroys.
const MaxDisposed = 10_000

// Disposable are the kinds whose payloads may be destroyed once they decide nothing. Never what keeps a person from being
// called; nor who the subscriber is, because an older statement that is imported later would be believed without it.
func Disposable() []int32 {
	return []int32{KindConsent, KindRelationship, KindCallRequest, KindCallReport, KindObjectionOffer, KindListEntry}
}

func (c *check) disposal(at string, m *belpoortv1.Disposal) *eligibility.Disposal {
	c.known(at, m)
	positions := m.GetPositions()
	if len(positions) > MaxDisposed {
		c.fail(at+".positions", "holds more than %d entries", MaxDisposed)
		positions = nil
	}
	if !slices.IsSorted(positions) {
		c.fail(at+".positions", "is not in order")
	}
	return &eligibility.Disposal{
		At:        c.momentGiven(at+".dispose_time", m.GetDisposeTime()),
		Positions: slices.Clone(positions),
		Number:    m.GetNumber(),
		Run:       m.GetRunPosition(),
	}
}

func disposalToProto(d *eligibility.Disposal) *belpoortv1.Disposal {
	return &belpoortv1.Disposal{DisposeTime: Stamp(d.At), Positions: d.Positions, Number: d.Number, RunPosition: d.Run}
}

// MarshalRetention is a run of retention as the ledger's payload.
func MarshalRetention(m *belpoortv1.RetentionRun) ([]byte, error) { return deterministic.Marshal(m) }

// UnmarshalRetention reads a run of retention back from the entry at a position. Errors wrap ErrPayload.
func UnmarshalRetention(position uint64, payload []byte) (*belpoortv1.RetentionRun, error) {
	m := &belpoortv1.RetentionRun{}
	if err := proto.Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: position %d: %w", ErrPayload, position, err)
	}
	return m, nil
}
