package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
)

// maxAsked bounds the questions known for twice validFor, at about a kilobyte each; a repeat of one beyond it is decided anew.
const maxAsked = 1 << 17

// repeats knows the questions asked under a request_id, for as long as a permit may be dialed on: one that a client asks
// again is the same call, and gets the answer that it got.
type repeats struct {
	secret [32]byte // of this process: what a question is known by must not tell its number

	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*asked
	turned     time.Duration // when the young were made, by uptime
}

// asked is one question of one client. Whoever has its turn decides it; a repeat waits for that.
type asked struct {
	turn  chan struct{}
	given *given // the latest answer; nil: none yet
}

// given is an answer, with all that it rests on.
type given struct {
	arrival
	callee eligibility.CalleeToken
	force  *inForce
	e      *eligibility.Eligibility
	d      eligibility.Decision
	answer *belpoortv1.CheckCallResponse
}

func newRepeats() *repeats {
	r := &repeats{young: map[[sha256.Size]byte]*asked{}}
	rand.Read(r.secret[:])
	return r
}

// take returns when it is the caller's turn to decide a question; the caller ends it. It gives nil for a question that is
// not told apart from others.
func (r *repeats) take(ctx context.Context, req *belpoortv1.CheckCallRequest, now time.Duration, seat *admitted) (*asked, error) {
	if req.GetRequestId() == "" || req.GetDryRun() || mutantRepeatDecided {
		return nil, nil
	}
	words, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return nil, internal(err)
	}
	h := sha256.New()
	h.Write(r.secret[:])
	h.Write([]byte(clientOf(ctx).id + "\n")) // an id holds no line end
	h.Write(words)
	q := r.find([sha256.Size]byte(h.Sum(nil)), now)
	if q == nil {
		return nil, nil
	}
	select {
	case q.turn <- struct{}{}:
		return q, nil
	default:
		seat.pause()
		defer seat.compute()
	}
	select {
	case q.turn <- struct{}{}:
		return q, nil
	case <-ctx.Done():
		return nil, unavailable(ReasonTooLate, "the answer to the same question, asked before,", ctx.Err())
	}
}

func (r *repeats) find(id [sha256.Size]byte, now time.Duration) *asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now-r.turned > validFor {
		r.young, r.old, r.turned = map[[sha256.Size]byte]*asked{}, r.young, now
	}
	q := r.young[id]
	if q == nil {
		q = r.old[id]
	}
	if q == nil && len(r.young)+len(r.old) < maxAsked {
		q = &asked{turn: make(chan struct{}, 1)}
	}
	if q != nil {
		r.young[id] = q
	}
	return q
}

func (q *asked) end() {
	if q != nil {
		<-q.turn
	}
}

// keep remembers an answer, unless it says less than the facts, the catalogue and the time: attempts and the calls under way
// change by themselves, and what refuses for want of the ledger is soon out of date.
func (q *asked) keep(g *given, k known) {
	if q == nil {
		return
	}
	q.given = nil
	if k.refusalOnly == nil && (g.d.Verdict == eligibility.Allow || !g.d.Reasons.Has(eligibility.Attempts)) {
		q.given = g
	}
}

// answerAgain gives the answer that a question got, if it would get the same now: its permit lives, and lease, floor,
// catalogue, objections that wait here and time are as they were. nil: it must be decided.
func (s *Server) answerAgain(q *asked) *belpoortv1.CheckCallResponse {
	if q == nil || q.given == nil {
		return nil
	}
	g, now := q.given, s.clock()
	alive := s.uptime()-g.uptime < validFor && now.Before(g.issued.Add(validFor)) && !now.Before(g.issued) &&
		(g.d.ValidUntil.IsZero() || now.Before(g.d.ValidUntil))
	if !alive || s.force.Load() != g.force || len(s.pending.about(g.callee)) > 0 || s.mayAnswer(known{}, &g.d) != nil {
		return nil
	}
	if !g.callee.IsZero() && !s.trusted(g.callee, known{e: g.e}) && !mutantRepeatUnlooked {
		return nil
	}
	return g.answer
}
