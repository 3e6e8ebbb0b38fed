package server

import (
	"context"
	"encoding/hex"
	"errors"
	"sync/atomic"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/record"
)

// ledgerDoor lets a real ledger through the server's interfaces. before, where set, may hold or break an operation.
type ledgerDoor struct {
	ledger *ledger.SQLite
	before atomic.Pointer[func(operation string) error]
}

func (d *ledgerDoor) ask(operation string) error {
	if before := d.before.Load(); before != nil {
		return (*before)(operation)
	}
	return nil
}

func (d *ledgerDoor) Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (Snapshot, error) {
	if err := d.ask("Facts"); err != nil {
		return Snapshot{}, err
	}
	got, err := d.ledger.Facts(ctx, callee, upTo)
	snapshot := Snapshot{Head: got.Head}
	for _, e := range got.Entries {
		snapshot.Entries = append(snapshot.Entries, Entry(e))
	}
	if err := d.ask("Facts answered"); err != nil {
		return Snapshot{}, err
	}
	return snapshot, err
}

func (d *ledgerDoor) FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (Snapshot, error) {
	if err := d.ask("FactsOfMany"); err != nil {
		return Snapshot{}, err
	}
	got, err := d.ledger.FactsOfMany(ctx, callees)
	snapshot := Snapshot{Head: got.Head}
	for _, e := range got.Entries {
		snapshot.Entries = append(snapshot.Entries, Entry(e))
	}
	return snapshot, err
}

func (d *ledgerDoor) LatestOfKind(ctx context.Context, kind int32, upTo uint64) (Entry, bool, error) {
	e, ok, err := d.ledger.LatestOfKind(ctx, kind, upTo)
	return Entry(e), ok, err
}

func (d *ledgerDoor) Entry(ctx context.Context, position uint64) (Entry, error) {
	e, err := d.ledger.Entry(ctx, position)
	return Entry(e), notFound(err)
}

func (d *ledgerDoor) ByReference(ctx context.Context, reference string) (Entry, error) {
	e, err := d.ledger.ByReference(ctx, reference)
	return Entry(e), notFound(err)
}

func (d *ledgerDoor) Append(ctx context.Context, writes []Write) ([]Written, error) {
	if err := d.ask("Append"); err != nil {
		return nil, err
	}
	facts := make([]ledger.Append, len(writes))
	for i := range writes {
		facts[i] = ledger.Append(writes[i])
	}
	appended, err := d.ledger.Append(ctx, facts)
	var refused *ledger.FactError
	if errors.As(err, &refused) && errors.Is(err, ledger.ErrRequestReused) {
		return nil, &WriteError{refused.Index, ErrRequestReused}
	}
	if errors.As(err, &refused) && errors.Is(err, ledger.ErrReferenceTaken) {
		return nil, &WriteError{refused.Index, ErrReferenceTaken}
	}
	if err == nil {
		err = d.ask("Append answered")
	}
	written := make([]Written, len(appended))
	for i := range appended {
		written[i] = Written(appended[i])
	}
	return written, err
}

func (d *ledgerDoor) Erase(ctx context.Context, w Write, kinds []int32, through uint64) (Written, error) {
	if err := d.ask("Erase"); err != nil {
		return Written{}, err
	}
	done, err := d.ledger.Erase(ctx, ledger.Erasure{Fact: ledger.Append(w), Kinds: kinds, Through: through})
	var refused *ledger.FactError
	switch {
	case errors.Is(err, ledger.ErrMoved):
		return Written{}, ErrMoved
	case errors.As(err, &refused) && errors.Is(err, ledger.ErrRequestReused):
		return Written{}, &WriteError{refused.Index, ErrRequestReused}
	}
	return Written(done), err
}

func (d *ledgerDoor) Decision(ctx context.Context, id [16]byte) ([]byte, error) {
	found, err := d.ledger.Decision(ctx, id)
	return found.Payload, notFound(err)
}

func (d *ledgerDoor) LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([][]byte, error) {
	found, err := d.ledger.LatestDecisions(ctx, callee, limit)
	return payloadsOf(found), err
}

func (d *ledgerDoor) DecisionsByCall(ctx context.Context, callID string, limit int) ([][]byte, error) {
	if err := d.ask("DecisionsByCall"); err != nil {
		return nil, err
	}
	found, err := d.ledger.DecisionsByCall(ctx, callID, limit)
	return payloadsOf(found), err
}

func payloadsOf(decisions []ledger.Decision) [][]byte {
	payloads := make([][]byte, len(decisions))
	for i := range decisions {
		payloads[i] = decisions[i].Payload
	}
	return payloads
}

func (d *ledgerDoor) ListDecisions(ctx context.Context, f DecisionFilter, limit int) ([][]byte, error) {
	found, err := d.ledger.ListDecisions(ctx, ledger.DecisionFilter(f), limit)
	payloads := make([][]byte, len(found))
	for i := range found {
		payloads[i] = found[i].Payload
	}
	return payloads, err
}

func (d *ledgerDoor) AllowedAfter(ctx context.Context, after uint64, limit int) ([]Allowed, error) {
	found, err := d.ledger.AllowedAfter(ctx, after, limit)
	allowed := make([]Allowed, len(found))
	for i, s := range found {
		allowed[i] = Allowed{s.Number, s.ID, s.Time, s.Campaign, s.Payload}
	}
	return allowed, err
}

func (d *ledgerDoor) AllowedFrom(ctx context.Context, t time.Time) (uint64, error) {
	return d.ledger.AllowedFrom(ctx, t)
}

func (d *ledgerDoor) OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) ([]Entry, error) {
	found, _, err := d.ledger.OfKinds(ctx, kinds, after, limit)
	entries := make([]Entry, len(found))
	for i := range found {
		entries[i] = Entry(found[i])
	}
	return entries, err
}

func (d *ledgerDoor) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	return ledger.PositionAt(ctx, d.ledger, t)
}

func notFound(err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return ErrNotFound
	}
	return err
}

// Place and Ship make the door the journal's shipper.
func (d *ledgerDoor) Place(ctx context.Context, source string) (uint64, error) {
	return d.ledger.Place(ctx, source)
}

func (d *ledgerDoor) Ship(ctx context.Context, source string, from, through uint64, payloads [][]byte) error {
	var decisions []ledger.Decision
	for _, payload := range payloads {
		m, err := record.UnmarshalDecision(payload)
		if err != nil {
			return err
		}
		decision := ledger.Decision{
			Time: m.GetDecideTime().AsTime(), Campaign: m.GetCampaign(), Verdict: int32(m.GetVerdict()), Reason: int32(m.GetReason()),
			CallID: m.GetCallId(), Payload: payload,
		}
		if _, err := hex.Decode(decision.ID[:], []byte(m.GetDecisionId())); err != nil {
			return err
		}
		if _, err := hex.Decode(decision.Callee[:], []byte(m.GetCalleeToken())); err != nil {
			return err
		}
		decisions = append(decisions, decision)
	}
	return d.ledger.ShipDecisions(ctx, source, from-1, through, decisions)
}
