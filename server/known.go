package server

import (
	"context"
	"encoding/hex"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/ops"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

// known is what a check knows about its callee, and how far that may be trusted.
type known struct {
	e *eligibility.Eligibility
	// direct: read from the ledger itself after the check had arrived. Otherwise the lease and the floor vouch for it.
	direct bool
	// free: no other call to this callee is under way, as far as anybody knows.
	free bool
	// unreported are the calls that were allowed, and of which e need not know yet.
	unreported []Attempt
	// refusalOnly, where set, is why the record may be out of date: it can refuse a call and never allow one.
	refusalOnly error
	// blind: e is empty because nothing could be read, so that only an objection that waits on this node can refuse.
	blind bool
}

// nobody is the eligibility of a callee that is no telephone number: nothing can be known about it.
var nobody = eligibility.Fold(eligibility.CalleeToken{}, 0, time.Time{}, nil)

// known gives what is known about a callee. With the lease: from the cache, else from the ledger. Without it: from the
// ledger alone, and where that does not answer, whatever the cache has, to refuse.
func (s *Server) known(ctx context.Context, q *question) (known, error) {
	if q.token.IsZero() {
		return known{e: nobody, direct: true, free: true}, nil
	}
	looked := s.look(ctx, q)
	k := known{e: looked.Record, free: looked.Free, unreported: looked.Unreported}
	switch {
	case !s.lease.Held() && !mutantLeaseUnchecked:
		return s.withoutLease(ctx, q, k)
	case k.e != nil:
		s.metrics.CacheHit()
		return k, nil
	}
	s.metrics.CacheMiss()
	q.seat.pause()
	defer q.seat.compute()
	var err error
	if k.e, err = s.readLedger(ctx, q.token, s.facts.read); err != nil {
		return known{}, err
	}
	s.cache.Put(ctx, k.e)
	return k, nil
}

// knownHere is what is left when neither cache nor ledger tells anything: the objections that wait on this node.
func (s *Server) knownHere(q *question, because error) known {
	return known{e: eligibility.Fold(q.token, 0, time.Time{}, nil), free: true, refusalOnly: because, blind: true}
}

func (s *Server) look(ctx context.Context, q *question) Looked {
	if s.remoteCache {
		q.seat.pause()
		defer q.seat.compute()
	}
	began := time.Now()
	looked := s.cache.Look(ctx, q.token, q.hold)
	s.took(q.span, ops.StageCache, began)
	if looked.Record != nil && looked.Record.CalleeToken() != q.token {
		looked.Record = nil
	}
	return looked
}

func (s *Server) readLedger(
	ctx context.Context, callee eligibility.CalleeToken, read func(context.Context, eligibility.CalleeToken) (*eligibility.Eligibility, error),
) (*eligibility.Eligibility, error) {
	began := time.Now()
	defer func() { s.took(s.traces.Of(ctx), ops.StageLedger, began) }()
	return read(ctx, callee)
}

// withoutLease reads the ledger itself, catalogue first: whatever was acknowledged anywhere before this check arrived is
// in what it finds. An old record from the cache may still refuse.
func (s *Server) withoutLease(ctx context.Context, q *question, k known) (known, error) {
	s.metrics.WithoutLease()
	q.seat.pause()
	defer q.seat.compute()
	e, err := s.readDirectly(ctx, q.token)
	switch {
	case err == nil:
		s.cache.Put(ctx, e)
		k.e, k.direct = e, true
		return k, nil
	case k.e != nil:
		k.refusalOnly = err
		return k, nil
	default:
		return known{}, err
	}
}

func (s *Server) readDirectly(ctx context.Context, callee eligibility.CalleeToken) (*eligibility.Eligibility, error) {
	if err := s.RefreshCatalogue(ctx); err != nil {
		return nil, ledgerUnavailable(err)
	}
	return s.readLedger(ctx, callee, s.facts.readNow)
}

// RefreshCatalogue puts the ledger's newest catalogue in force, and its newest states of campaigns, if they are not yet.
func (s *Server) RefreshCatalogue(ctx context.Context) error {
	entry, found, err := s.facts.latestOfKind(ctx, record.KindCatalogue)
	if err == nil && found && entry.Position > s.force.Load().position {
		err = s.UseCatalogue(entry.Position, entry.Payload)
	}
	if err != nil {
		return err
	}
	return s.refreshStates(ctx)
}

// mayAnswer says why a decision cannot be answered on what is known, whatever the law says; nil where it can.
func (s *Server) mayAnswer(k known, d *eligibility.Decision) error {
	switch because := s.withheld.Load(); {
	case k.blind && !d.Reasons.Has(eligibility.Objected):
		return k.refusalOnly
	case d.Verdict != eligibility.Allow:
		return nil
	case because != nil:
		return fail(codes.Unavailable, ReasonAllowWithheld, "this node allows nothing at the moment").because(*because)
	default:
		return k.refusalOnly
	}
}

// mayStand reports whether a decision rests on everything that was acknowledged, on whatever node, before this moment, or
// at least before its check arrived. What only refuses need not.
func (s *Server) mayStand(q *question, k known) bool {
	if mutantNoSecondLook || q.token.IsZero() || k.refusalOnly != nil {
		return true
	}
	began := time.Now()
	defer func() { s.took(q.span, ops.StageFence, began) }()
	stands := s.trusted(q.token, k) && s.force.Load() == q.force
	if !stands {
		s.metrics.Repeated()
	}
	return stands
}

// trusted asks for the lease first: with a renewal between the two, floors that were looked at before would not be its.
func (s *Server) trusted(callee eligibility.CalleeToken, k known) bool {
	return k.direct || (s.lease.Held() || mutantLeaseUnchecked) && s.floors.Current(callee, k.e.LedgerPosition())
}

// refusedByPending decides on the objections that this node keeps for a ledger that could not take them.
func (s *Server) refusedByPending(q *question, at time.Time) (eligibility.Decision, bool) {
	facts := s.pending.about(q.token)
	if len(facts) == 0 {
		return eligibility.Decision{}, false
	}
	e := eligibility.Fold(q.token, 0, at, facts)
	d := eligibility.Decide(e, &q.call, q.force.catalogue, q.force.law, later(at, latestRevocation(facts)))
	return d, d.Reasons.Has(eligibility.Objected)
}

func latestRevocation(facts []eligibility.Fact) (latest time.Time) {
	for i := range facts {
		latest = later(latest, revokedAt(&facts[i]))
	}
	return latest
}

// underWay puts a call off because another one to the same callee may be under way.
func underWay(at time.Time, window time.Duration, d *eligibility.Decision) eligibility.Decision {
	end := at.Add(window)
	return eligibility.Decision{
		Verdict: eligibility.Defer, Reason: eligibility.Attempts, Reasons: eligibility.ReasonSet(0).With(eligibility.Attempts),
		ValidUntil: end, RetryTime: end, Regime: d.Regime, CallerIDKnown: d.CallerIDKnown,
	}
}

// settleHold counts an attempt that is allowed, and lets others have the callee when it is not.
func (s *Server) settleHold(q *question, m *belpoortv1.Decision) {
	switch {
	case q.dryRun || q.token.IsZero():
	case m.GetVerdict() == belpoortv1.Verdict_VERDICT_ALLOW:
		s.attempts.Allowed(q.token, Attempt{ID: decisionIDOf(m.GetDecisionId()), Campaign: m.GetCampaign(), At: m.GetDecideTime().AsTime()})
	case q.hold.For > 0:
		s.cache.Release(q.token, q.hold.ID)
	}
}

// decisionIDOf is the id in bytes; zero for none.
func decisionIDOf(text string) (id [16]byte) {
	raw, err := hex.DecodeString(text)
	if err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}

// reported ends the counting of attempts that are among the facts from now on.
func (s *Server) reported(writes []Write) {
	for i := range writes {
		if w := &writes[i]; w.Kind == record.KindCallReport {
			if fact, err := record.Unmarshal(0, w.Payload); err == nil {
				s.attempts.Reported(w.Callee, decisionIDOf(fact.CallReport.DecisionID), fact.CallReport.Campaign)
			}
		}
	}
}

// asLawSees are attempts in the law's words.
func asLawSees(attempts []Attempt) []eligibility.Attempt {
	if len(attempts) == 0 {
		return nil
	}
	seen := make([]eligibility.Attempt, len(attempts))
	for i, a := range attempts {
		seen[i] = eligibility.Attempt{Campaign: a.Campaign, At: a.At}
	}
	return seen
}

// WithholdAllow turns health red and allows nothing, for a reason outside the server such as a clock that drifts, until it
// is told nil.
func (s *Server) WithholdAllow(because error) {
	var was *error
	if because != nil {
		was = s.withheld.Swap(&because)
	} else {
		was = s.withheld.Swap(nil)
	}
	if (was == nil) == (because == nil) {
		return
	}
	s.log.Warn("health changed", zap.NamedError("because", because))
	s.showHealth()
}
