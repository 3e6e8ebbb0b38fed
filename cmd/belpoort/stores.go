package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/permit"
	"github.com/belpoort/belpoort/record"
	"github.com/belpoort/belpoort/server"
)

// register is the ledger as the server wants it.
type register struct{ ledger.Ledger }

func (r register) Facts(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (server.Snapshot, error) {
	s, err := r.Ledger.Facts(ctx, callee, upTo)
	return snapshotOf(s, err)
}

func (r register) FactsOfMany(ctx context.Context, callees []eligibility.CalleeToken) (server.Snapshot, error) {
	s, err := r.Ledger.FactsOfMany(ctx, callees)
	return snapshotOf(s, err)
}

func snapshotOf(s ledger.Snapshot, err error) (server.Snapshot, error) {
	if err != nil {
		return server.Snapshot{}, translated(err)
	}
	entries := make([]server.Entry, len(s.Entries))
	for i := range s.Entries {
		entries[i] = server.Entry(s.Entries[i])
	}
	return server.Snapshot{Entries: entries, Head: s.Head}, nil
}

func (r register) LatestOfKind(ctx context.Context, kind int32, upTo uint64) (server.Entry, bool, error) {
	e, found, err := r.Ledger.LatestOfKind(ctx, kind, upTo)
	return server.Entry(e), found, translated(err)
}

func (r register) Entry(ctx context.Context, position uint64) (server.Entry, error) {
	e, err := r.Ledger.Entry(ctx, position)
	return server.Entry(e), translated(err)
}

func (r register) ByReference(ctx context.Context, reference string) (server.Entry, error) {
	e, err := r.Ledger.ByReference(ctx, reference)
	return server.Entry(e), translated(err)
}

func (r register) Append(ctx context.Context, writes []server.Write) ([]server.Written, error) {
	facts := make([]ledger.Append, len(writes))
	for i := range writes {
		facts[i] = ledger.Append(writes[i])
	}
	appended, err := r.Ledger.Append(ctx, facts)
	if err != nil {
		return nil, translated(err)
	}
	written := make([]server.Written, len(appended))
	for i := range appended {
		written[i] = server.Written(appended[i])
	}
	return written, nil
}

func (r register) Erase(ctx context.Context, w server.Write, kinds []int32, through uint64) (server.Written, error) {
	done, err := r.Ledger.Erase(ctx, ledger.Erasure{Fact: ledger.Append(w), Kinds: kinds, Through: through})
	if err != nil {
		return server.Written{}, translated(err)
	}
	return server.Written(done), nil
}

func (r register) Decision(ctx context.Context, id [16]byte) ([]byte, error) {
	d, err := r.Ledger.Decision(ctx, id)
	return d.Payload, translated(err)
}

func (r register) LatestDecisions(ctx context.Context, callee eligibility.CalleeToken, limit int) ([][]byte, error) {
	all, err := r.Ledger.LatestDecisions(ctx, callee, limit)
	return payloadsOf(all), translated(err)
}

func (r register) DecisionsByCall(ctx context.Context, callID string, limit int) ([][]byte, error) {
	all, err := r.Ledger.DecisionsByCall(ctx, callID, limit)
	return payloadsOf(all), translated(err)
}

func payloadsOf(decisions []ledger.Decision) [][]byte {
	payloads := make([][]byte, len(decisions))
	for i := range decisions {
		payloads[i] = decisions[i].Payload
	}
	return payloads
}

func (r register) ListDecisions(ctx context.Context, f server.DecisionFilter, limit int) ([][]byte, error) {
	all, err := r.Ledger.ListDecisions(ctx, ledger.DecisionFilter(f), limit)
	payloads := make([][]byte, len(all))
	for i := range all {
		payloads[i] = all[i].Payload
	}
	return payloads, translated(err)
}

func (r register) AllowedAfter(ctx context.Context, after uint64, limit int) ([]server.Allowed, error) {
	found, err := r.Ledger.AllowedAfter(ctx, after, limit)
	allowed := make([]server.Allowed, len(found))
	for i := range found {
		d := &found[i]
		allowed[i] = server.Allowed{Number: d.Number, ID: d.ID, Time: d.Time, Campaign: d.Campaign, Payload: d.Payload}
	}
	return allowed, translated(err)
}

func (r register) OfKinds(ctx context.Context, kinds []int32, after uint64, limit int) ([]server.Entry, error) {
	found, _, err := r.Ledger.OfKinds(ctx, kinds, after, limit)
	entries := make([]server.Entry, len(found))
	for i := range found {
		entries[i] = server.Entry(found[i])
	}
	return entries, translated(err)
}

func (r register) PositionAt(ctx context.Context, t time.Time) (uint64, error) {
	return ledger.PositionAt(ctx, r.Ledger, t)
}

// translated says in the server's words what the server tells apart.
func translated(err error) error {
	var refused *ledger.FactError
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return server.ErrNotFound
	case errors.Is(err, ledger.ErrMoved):
		return server.ErrMoved
	case errors.Is(err, ledger.ErrUnavailable):
		return fmt.Errorf("%w: %w", server.ErrLedgerAway, err)
	case errors.As(err, &refused) && errors.Is(err, ledger.ErrRequestReused):
		return &server.WriteError{Index: refused.Index, Err: server.ErrRequestReused}
	case errors.As(err, &refused) && errors.Is(err, ledger.ErrReferenceTaken):
		return &server.WriteError{Index: refused.Index, Err: server.ErrReferenceTaken}
	}
	return err
}

// shipping takes decisions from the journal to the ledger.
type shipping struct{ ledger.Ledger }

// yieldEvery is after how many decisions, each some microseconds, others get the processor.
const yieldEvery = 50

func (s shipping) Ship(ctx context.Context, journal string, from, through uint64, payloads [][]byte) error {
	decisions := make([]ledger.Decision, len(payloads))
	for i, p := range payloads {
		if i%yieldEvery == 0 {
			runtime.Gosched() // checks come first
		}
		d, err := decisionOf(p)
		if err != nil {
			return fmt.Errorf("journal record %d: %w", from+uint64(i), err)
		}
		decisions[i] = d
	}
	return s.ShipDecisions(ctx, journal, from-1, through, decisions)
}

func decisionOf(payload []byte) (ledger.Decision, error) {
	m, err := record.UnmarshalDecision(payload)
	if err != nil {
		return ledger.Decision{}, err
	}
	d := ledger.Decision{
		Time: m.GetDecideTime().AsTime(), Campaign: m.GetCampaign(), Verdict: int32(m.GetVerdict()),
		Reason: int32(m.GetReason()), CallID: m.GetCallId(), Payload: payload,
	}
	if err := readHex(d.ID[:], m.GetDecisionId()); err != nil {
		return ledger.Decision{}, fmt.Errorf("decision_id: %w", err)
	}
	return d, readHex(d.Callee[:], m.GetCalleeToken())
}

func readHex(to []byte, s string) error {
	if s == "" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != len(to) {
		err = fmt.Errorf("%d bytes, want %d", len(b), len(to))
	}
	copy(to, b)
	return err
}

// signing makes permits as the server wants them.
type signing struct{ keys *permit.Keys }

func (s signing) Sign(p server.Permit) (string, error) { return s.keys.Sign(permit.Permit(p)) }

func (s signing) ForReport(token string, now time.Time) (server.Permit, bool, error) {
	p, late, err := s.keys.ForReport(token, now)
	return server.Permit(p), late, err
}
