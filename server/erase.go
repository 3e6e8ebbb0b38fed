package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

const (
	// eraseTries bounds how often an erasure begins anew because facts about the callee keep coming.
	eraseTries = 20
)

// EraseCallee takes away the number and what is known of the person. What restrains from calling them stays, and what shows
// how they were treated.
func (r *register) EraseCallee(
	ctx context.Context, req *belpoortv1.EraseCalleeRequest,
) (*belpoortv1.EraseCalleeResponse, error) {
	s, c := r.s, clientOf(ctx)
	callee, err := number("callee", req.GetCallee())
	if err != nil {
		return nil, err
	}
	if err := firstError(requestID(req.GetRequestId()), printable("reason", req.GetReason(), record.MaxReason)); err != nil {
		return nil, err
	}
	if !c.everybody {
		return nil, fail(codes.PermissionDenied, ReasonOrganisationForbidden, "erasing takes a key that may act for every organisation")
	}
	e := erasure{
		callee: s.ring.Token(callee), key: erasureKeys + c.id + "/" + req.GetRequestId(), reason: req.GetReason(), client: c.id,
	}
	return carryOut(ctx, s, func(ctx context.Context) (*belpoortv1.EraseCalleeResponse, error) { return s.erase(ctx, e) })
}

// erasure is what was asked for.
type erasure struct {
	callee              eligibility.CalleeToken
	key, reason, client string
}

func (s *Server) erase(ctx context.Context, e erasure) (*belpoortv1.EraseCalleeResponse, error) {
	for range eraseTries {
		snapshot, err := s.facts.facts.Facts(ctx, e.callee, 0)
		if err != nil {
			return nil, ledgerUnavailable(err)
		}
		w, through, err := s.erasureWrite(e, snapshot.Entries)
		if err != nil {
			return nil, err
		}
		written, err := s.eraser.Erase(ctx, w, record.Erasable(), through)
		if errors.Is(err, ErrMoved) {
			continue
		}
		if err != nil {
			return nil, writeFailed(err)
		}
		return s.erased(ctx, &w, written, snapshot.Entries)
	}
	return nil, fail(codes.Aborted, ReasonLedgerBusy, "facts about the callee keep coming; repeat")
}

// erasureWrite is the fact of the erasure: the same bytes as the first time, where this is a repeat.
func (s *Server) erasureWrite(e erasure, entries []Entry) (w Write, through uint64, err error) {
	w = Write{RequestKey: e.key, Callee: e.callee, Kind: record.KindErasure}
	at := s.clock()
	var born eligibility.Date
	for i := range entries {
		entry := &entries[i]
		through, at = entry.Position, later(at, entry.RecordTime)
		if entry.Erased {
			continue
		}
		fact, err := record.Unmarshal(entry.Position, entry.Payload)
		if err != nil {
			return w, 0, internal(err)
		}
		if entry.RequestKey == e.key {
			if fact.Erasure == nil || fact.Erasure.Reason != e.reason {
				return w, 0, requestReused()
			}
			w.Payload = entry.Payload
		}
		if fact.Subscriber != nil {
			born = younger(born, fact.Subscriber.Born)
		}
	}
	if w.Payload != nil {
		return w, through, nil
	}
	fact := eligibility.Fact{Erasure: &eligibility.Erasure{At: at, Reason: e.reason, Client: e.client, Born: s.protected(born, at)}}
	w.Payload, err = record.Marshal(fact)
	return w, through, err
}

func younger(a, b eligibility.Date) eligibility.Date {
	if !b.IsZero() && (a.IsZero() || a.Midnight() < b.Midnight()) {
		return b
	}
	return a
}

// protected is the date of birth of somebody who is too young for what is, or may be, offered; zero for others.
func (s *Server) protected(born eligibility.Date, at time.Time) eligibility.Date {
	age := eligibility.Adult
	for _, c := range s.force.Load().catalogue.Campaigns {
		age = max(age, c.Policy.MinimumAge)
	}
	if born.IsZero() || !at.Before(born.AddMonths(12*age).Midnight().Time()) {
		return eligibility.Date{}
	}
	return born
}

// erased answers when no node relies on what was erased, and has the record that nodes share replaced.
func (s *Server) erased(ctx context.Context, w *Write, written Written, entries []Entry) (*belpoortv1.EraseCalleeResponse, error) {
	s.raise(w, written.Position)
	s.metrics.Appended("written", 1)
	if err := s.settle(ctx, written.Position); err != nil {
		return nil, ledgerUnavailable(err)
	}
	if e, err := s.facts.readNow(ctx, w.Callee); err == nil {
		s.cache.Put(ctx, e)
	}
	answer := &belpoortv1.EraseCalleeResponse{
		Position: written.Position, RecordTime: timestamppb.New(written.RecordTime), CalleeToken: w.Callee.String(),
	}
	for i := range entries {
		switch e := &entries[i]; {
		case e.Position >= written.Position || e.Kind == record.KindErasure:
		case slices.Contains(record.Erasable(), e.Kind):
			answer.Erased++
		default:
			answer.Kept++
		}
	}
	s.log.Info("callee erased", zap.Stringer("callee_token", w.Callee), zap.Uint64("position", written.Position),
		zap.Uint32("erased", answer.GetErased()), zap.Uint32("kept", answer.GetKept()))
	return answer, nil
}
