package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// objectionPatience is how long an objection waits for the ledger before it is kept here. IVRs wait a few seconds.
const objectionPatience = 1500 * time.Millisecond

// pendingObjections are those that this node keeps on its own disk because the ledger could not take them. Each refuses
// calls here at once; elsewhere it is in force when Replay has brought it to the ledger.
type pendingObjections struct {
	journal PendingJournal // nil: none are kept

	mu       sync.RWMutex
	byKey    map[string]*pendingObjection
	byCallee map[eligibility.CalleeToken][]*pendingObjection
}

type pendingObjection struct {
	write Write
	fact  eligibility.Fact
	since time.Time
}

func newPendingObjections(journal PendingJournal) *pendingObjections {
	return &pendingObjections{
		journal: journal, byKey: map[string]*pendingObjection{}, byCallee: map[eligibility.CalleeToken][]*pendingObjection{},
	}
}

// keep returns when the objection is on disk. One that is kept already is not written twice.
func (p *pendingObjections) keep(ctx context.Context, w Write, fact eligibility.Fact, at time.Time) (*pendingObjection, error) {
	p.mu.RLock()
	kept := p.byKey[w.RequestKey]
	p.mu.RUnlock()
	if kept != nil {
		return kept, nil
	}
	w.SealedNumber = nil // the token is enough to refuse calls, and an erasure could not reach this disk
	payload, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	if _, err := p.journal.Append(ctx, payload); err != nil {
		return nil, err
	}
	return p.remember(w, fact, at), nil
}

func (p *pendingObjections) remember(w Write, fact eligibility.Fact, at time.Time) *pendingObjection {
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept := p.byKey[w.RequestKey]; kept != nil {
		return kept
	}
	o := &pendingObjection{w, fact, at}
	p.byKey[w.RequestKey] = o
	p.byCallee[w.Callee] = append(p.byCallee[w.Callee], o)
	return o
}

func (p *pendingObjections) byReceipt(receipt string) *pendingObjection {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, o := range p.byKey {
		if o.write.Reference == receipt {
			return o
		}
	}
	return nil
}

// about gives what is kept about a callee.
func (p *pendingObjections) about(callee eligibility.CalleeToken) (facts []eligibility.Fact) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, o := range p.byCallee[callee] {
		if !mutantPendingForgotten {
			facts = append(facts, o.fact)
		}
	}
	return facts
}

// ofDecision finds one that was made in a call.
func (p *pendingObjections) ofDecision(callee eligibility.CalleeToken, decision string) (saidObjection, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, o := range p.byCallee[callee] {
		if o.fact.Objection.DecisionID == decision {
			return saidObjection{write: o.write, fact: o.fact}, true
		}
	}
	return saidObjection{}, false
}

// forget gives the moments at which what it forgets was taken.
func (p *pendingObjections) forget(writes []Write) (since []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range writes {
		if o := p.byKey[writes[i].RequestKey]; o != nil {
			since = append(since, o.since)
		}
		delete(p.byKey, writes[i].RequestKey)
		left := slices.DeleteFunc(p.byCallee[writes[i].Callee], func(o *pendingObjection) bool {
			return o.write.RequestKey == writes[i].RequestKey
		})
		if len(left) == 0 {
			delete(p.byCallee, writes[i].Callee)
		} else {
			p.byCallee[writes[i].Callee] = left
		}
	}
	return since
}

// PendingObjections counts the objections that wait on this node for the ledger.
func (s *Server) PendingObjections() int {
	s.pending.mu.RLock()
	defer s.pending.mu.RUnlock()
	return len(s.pending.byKey)
}

// OldestPending is how long the first of them has waited, since this process took or found it; 0 for none.
func (s *Server) OldestPending() (waited time.Duration) {
	s.pending.mu.RLock()
	defer s.pending.mu.RUnlock()
	for _, o := range s.pending.byKey {
		waited = max(waited, s.clock().Sub(o.since))
	}
	return waited
}

// keepObjection keeps an objection that the ledger did not take, or perhaps did without saying so.
func (s *Server) keepObjection(ctx context.Context, w Write, fact eligibility.Fact, because error) (*belpoortv1.RegisterObjectionResponse, error) {
	if s.pending.journal == nil {
		return nil, writeFailed(because)
	}
	o, err := s.pending.keep(ctx, w, fact, s.clock())
	if err != nil {
		return nil, unavailable(ReasonJournalUnavailable, "neither the ledger nor the journal for pending objections", errors.Join(because, err))
	}
	s.log.Warn("objection kept here until the ledger takes it", zap.Stringer("callee_token", w.Callee),
		zap.String("organisation", fact.Objection.Organisation), zap.NamedError("because", because))
	return o.answer(), nil
}

func (o *pendingObjection) answer() *belpoortv1.RegisterObjectionResponse {
	return &belpoortv1.RegisterObjectionResponse{
		Receipt: o.write.Reference, State: belpoortv1.ObjectionState_OBJECTION_STATE_PENDING, RecordTime: timestamppb.New(o.since),
	}
}

func (o *pendingObjection) shown() *belpoortv1.GetObjectionResponse {
	return &belpoortv1.GetObjectionResponse{
		Objection: record.FactToProto(o.fact).GetObjection(), State: belpoortv1.ObjectionState_OBJECTION_STATE_PENDING,
		RecordTime: timestamppb.New(o.since), CalleeToken: o.write.Callee.String(),
	}
}

// Replay brings pending objections, as PendingJournal was given them, into the ledger and into force everywhere. Repeating
// it is safe. What was read from the disk after a start refuses calls from here on, though the ledger be away.
func (s *Server) Replay(ctx context.Context, payloads [][]byte) error {
	writes := make([]Write, len(payloads))
	for i, payload := range payloads {
		if err := json.Unmarshal(payload, &writes[i]); err != nil {
			return fmt.Errorf("pending objection %d: %w", i, err)
		}
		fact, err := record.Unmarshal(0, writes[i].Payload)
		if err != nil {
			return fmt.Errorf("pending objection %d: %w", i, err)
		}
		s.pending.remember(writes[i], fact, s.clock())
	}
	if err := s.appendPending(ctx, writes); err != nil {
		return err
	}
	for _, since := range s.pending.forget(writes) {
		s.metrics.InEffect(s.clock().Sub(since))
	}
	s.log.Info("pending objections are in force everywhere", zap.Int("objections", len(writes)))
	return nil
}

// appendPending appends all of them. One whose key meanwhile stands for something else goes in under a key of its own: an
// objection is never dropped.
func (s *Server) appendPending(ctx context.Context, writes []Write) error {
	tried := append([]Write(nil), writes...)
	for range len(tried) + 1 {
		_, err := s.append(ctx, tried)
		i, refusal := refusedWrite(err)
		if refusal == nil || i < 0 || i >= len(tried) {
			return err
		}
		sum := sha256.Sum256(tried[i].Payload)
		tried[i].RequestKey = pendingKeys + hex.EncodeToString(sum[:]) + "/" + writes[i].RequestKey
		tried[i].Reference = ""
		s.log.Error("a pending objection's request_id was used for something else; it is recorded without its receipt",
			zap.Stringer("callee_token", tried[i].Callee))
	}
	return errors.New("pending objections were refused again and again")
}
