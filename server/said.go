package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// saidObjection is an objection that was made in a call, on its way to the ledger.
type saidObjection struct {
	write Write
	fact  eligibility.Fact
	came  time.Time // for how long it took to count everywhere
}

// objectionInCall makes the objection of a call. Its key holds what tells two objections of one call apart, so that a repeat
// is the same objection, whoever repeats it. A summary says no more than that the person objected: where an objection of
// the call is known already, perhaps one that the person narrowed, that one is meant.
func (s *Server) objectionInCall(ctx context.Context, c namedCall, o eligibility.Objection, summary bool) (saidObjection, error) {
	came := time.Now()
	if summary && c.decision != "" {
		if known, ok := s.objectionOfCall(ctx, c); ok {
			known.came = came
			return known, nil
		}
	}
	now := s.clock()
	if o.At.IsZero() || o.At.After(now) {
		o.At = now // one of the future would not count yet
	}
	o.Organisation, o.DecisionID = c.organisation, c.decision
	o.Scope, o.By = max(o.Scope, eligibility.ScopeProduct), max(o.By, eligibility.BySubscriber)
	if o.Product == "" {
		o.Scope = max(o.Scope, eligibility.ScopeOrganisation)
	}
	fact := eligibility.Fact{Objection: &o}
	w, err := s.tokenWrite(c.callee, fact, saidKey(c.key, &o))
	w.SealedNumber = c.sealed
	return saidObjection{w, fact, came}, err
}

func saidKey(call string, o *eligibility.Objection) string {
	product := sha256.Sum256([]byte(o.Product))
	return saidKeys + call + "/" + strconv.Itoa(int(o.Scope)) + "/" + hex.EncodeToString(product[:8])
}

// objectionOfCall finds an objection that names the call: here, or in the ledger where that answers in time.
func (s *Server) objectionOfCall(ctx context.Context, c namedCall) (saidObjection, bool) {
	if kept, ok := s.pending.ofDecision(c.callee, c.decision); ok {
		return kept, true
	}
	if s.facts.away() {
		return saidObjection{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, patienceOf(ctx))
	defer cancel()
	snapshot, err := s.facts.facts.Facts(ctx, c.callee, 0)
	if err != nil {
		return saidObjection{}, false
	}
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		if e.Kind != record.KindObjection || e.Erased {
			continue
		}
		if fact, err := record.Unmarshal(e.Position, e.Payload); err == nil && fact.Objection.DecisionID == c.decision {
			return saidObjection{
				write: Write{RequestKey: e.RequestKey, Callee: e.Callee, Kind: e.Kind, Reference: e.Reference, Payload: e.Payload}, fact: fact,
			}, true
		}
	}
	return saidObjection{}, false
}

// recordWith records what tells of a call, and an objection in it: both or none. Whether they count everywhere is not
// waited for.
func (s *Server) recordWith(ctx context.Context, told Write, o saidObjection) ([]Written, error) {
	return s.recordOnce(ctx, []Write{told, o.write})
}

// recordOnce records what is not in the ledger yet. Those whose keys hold all that matters of them are the same facts even
// where their times differ, and give the position of the first. Others are refused.
func (s *Server) recordOnce(ctx context.Context, writes []Write) ([]Written, error) {
	written, left := make([]Written, len(writes)), make([]int, len(writes))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		var now []Write
		for _, i := range left {
			now = append(now, writes[i])
		}
		done, err := s.recordObjection(ctx, now...)
		if err == nil {
			for n, i := range left {
				written[i] = done[n]
			}
			break
		}
		var refused *WriteError
		if !errors.As(err, &refused) || !errors.Is(err, ErrRequestReused) || refused.Index < 0 || refused.Index >= len(left) {
			return nil, err
		}
		i := left[refused.Index]
		first, lost := s.firstWritten(ctx, &writes[i])
		if lost != nil {
			return nil, lost
		}
		if first == nil {
			return nil, err
		}
		written[i] = *first
		left = slices.Delete(left, refused.Index, refused.Index+1)
	}
	return written, nil
}

// firstWritten finds the fact that a repeat repeats, and makes sure that it counts here: nobody may have been told of it. nil:
// the key stands for something else.
func (s *Server) firstWritten(ctx context.Context, w *Write) (*Written, error) {
	snapshot, err := s.facts.facts.Facts(ctx, w.Callee, 0)
	if err != nil {
		return nil, err
	}
	for i := range snapshot.Entries {
		e := &snapshot.Entries[i]
		if e.RequestKey != w.RequestKey || !keyIsContent(e.RequestKey) && !sameOffer(e.Payload, w.Payload) {
			continue
		}
		s.raise(w, e.Position)
		return &Written{e.Position, e.RecordTime, true}, nil
	}
	return nil, nil
}

// sameOffer reports whether two offers by number differ in nothing but their times, and in which call was the last one then.
func sameOffer(a, b []byte) bool {
	first, errA := record.Unmarshal(0, a)
	second, errB := record.Unmarshal(0, b)
	if errA != nil || errB != nil || first.ObjectionOffer == nil || second.ObjectionOffer == nil {
		return false
	}
	first.ObjectionOffer.At = second.ObjectionOffer.At
	if !mutantOfferRepeatMoves {
		first.ObjectionOffer.DecisionID = second.ObjectionOffer.DecisionID
	}
	return *first.ObjectionOffer == *second.ObjectionOffer
}

// registerInCall registers an objection of a call by itself, or keeps it here where the ledger cannot take it.
func (s *Server) registerInCall(ctx context.Context, o saidObjection) (*belpoortv1.RegisterObjectionResponse, error) {
	written, err := s.recordOnce(ctx, []Write{o.write})
	if err != nil {
		return s.orKeep(ctx, o.write, o.fact, err)
	}
	return s.settledObjection(ctx, o, written[0]), nil
}

// rescue saves the objection of a report or offer that was refused, or that the ledger did not take.
func (s *Server) rescue(ctx context.Context, o saidObjection, because error) (*belpoortv1.RegisterObjectionResponse, error) {
	if _, refusal := refusedWrite(because); refusal != nil {
		return s.registerInCall(ctx, o)
	}
	return s.keepObjection(ctx, o.write, o.fact, because)
}

// settledObjection is the answer for an objection that the ledger has: in force, unless the client's time ends before.
func (s *Server) settledObjection(ctx context.Context, o saidObjection, w Written) *belpoortv1.RegisterObjectionResponse {
	if err := s.awaitSettled(ctx, w.Position); err != nil {
		return notYetEverywhere(o.write.Reference, w)
	}
	if !w.Repeated {
		s.metrics.InEffect(time.Since(o.came))
	}
	s.log.Info("objection registered", zap.Stringer("callee_token", o.write.Callee),
		zap.String("organisation", o.fact.Objection.Organisation), zap.Uint64("position", w.Position))
	return inForceSince(o.write.Reference, w.Position, w.RecordTime)
}

// keyIsContent tells that a request key holds all that matters of its fact.
func keyIsContent(key string) bool {
	return strings.HasPrefix(key, saidKeys) || strings.HasPrefix(key, offerKeys) && !strings.HasPrefix(key, offerKeys+"id/")
}

// viaOf is the way by which an objection came that is told of in the words of an offer.
func viaOf(how eligibility.OfferHow) eligibility.Via {
	if how == eligibility.ByIVR {
		return eligibility.ViaIVR
	}
	return eligibility.ViaAgent
}
