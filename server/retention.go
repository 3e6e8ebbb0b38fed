package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/belpoort/belpoort/eligibility"
	belpoortv1 "github.com/belpoort/belpoort/proto/belpoort/v1"
	"github.com/belpoort/belpoort/record"
)

const (
	// leastTermDays is the shortest term, in days. Reports on a call are taken for eight days, and debts are counted from them.
	leastTermDays = 31

	// What one step takes: so little that nobody who waits for the ledger notices.
	decisionStep = 500
	calleeStep   = 200
	disposalStep = 50
	// restFactor is how much longer a run rests after a step than the step took.
	restFactor = 2
	restLeast  = time.Millisecond

	tellEvery = time.Second
)

// retention destroys what was kept long enough.
type retention struct {
	belpoortv1.UnimplementedRetentionServiceServer
	s *Server
}

// terms are from when back things go; zero: never.
type terms struct{ refusals, calls, bases, lists time.Time }

// RunRetention looks at everything, and destroys what is old enough and decides nothing.
func (r *retention) RunRetention(req *belpoortv1.RunRetentionRequest, stream grpc.ServerStreamingServer[belpoortv1.RunRetentionResponse]) error {
	s, c := r.s, clientOf(stream.Context())
	if !c.everybody {
		return fail(codes.PermissionDenied, ReasonOrganisationForbidden, "retention takes a key that may act for every organisation")
	}
	now := s.clock()
	back, err := readTerms(req.GetPolicy(), now)
	if err != nil {
		return err
	}
	run := &retentionRun{s: s, back: back, dry: req.GetDryRun(), counts: map[string]*sortCount{}, stream: stream, told: time.Now()}
	if err := run.resume(req.GetResumeToken()); err != nil {
		return err
	}
	if s.force.Load().position == 0 {
		return fail(codes.FailedPrecondition, ReasonNoCatalogue, "no catalogue is in force, so nobody knows what still counts")
	}
	if !s.retaining.TryLock() {
		return fail(codes.FailedPrecondition, ReasonRetentionRuns, "a run is under way on this node")
	}
	defer s.retaining.Unlock()
	run.message = &belpoortv1.RetentionRun{Policy: req.GetPolicy(), BeginTime: timestamppb.New(now), Client: c.id}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	return run.whole(ctx)
}

// readTerms reads the policy; errors name its fields.
func readTerms(p *belpoortv1.RetentionPolicy, now time.Time) (back terms, err error) {
	named := false
	for _, term := range []struct {
		field, text string
		back        *time.Time
	}{
		{"policy.refusals", p.GetRefusals(), &back.refusals}, {"policy.calls", p.GetCalls(), &back.calls},
		{"policy.bases", p.GetBases(), &back.bases}, {"policy.lists", p.GetLists(), &back.lists},
	} {
		if term.text == "" {
			continue
		}
		d, err := eligibility.ParseDuration(term.text)
		if err != nil {
			return back, invalid(term.field, "%v", err)
		}
		*term.back = before(now, d)
		if term.back.After(now.AddDate(0, 0, -leastTermDays)) {
			return back, invalid(term.field, "must be at least %d days", leastTermDays)
		}
		named = true
	}
	if !named {
		return back, missing("policy")
	}
	return back, nil
}

// before is an instant from which a duration has passed by now, and which is no more than a few days earlier than it must be.
func before(now time.Time, d eligibility.Duration) time.Time {
	back := now.In(eligibility.Amsterdam).Add(-time.Duration(d.Hours)*time.Hour).AddDate(0, -d.Months, -d.Days)
	for d.After(eligibility.InstantOf(back, eligibility.Never)) > eligibility.InstantOf(now, eligibility.Never) {
		back = back.AddDate(0, 0, -1)
	}
	return back
}

// retentionRun is one run.
type retentionRun struct {
	s       *Server
	back    terms
	dry     bool
	message *belpoortv1.RetentionRun
	counts  map[string]*sortCount
	callees uint64
	owed    map[[16]byte]bool

	decision      [16]byte // looked at last
	decisionsDone bool
	callee        eligibility.CalleeToken
	stream        grpc.ServerStreamingServer[belpoortv1.RunRetentionResponse]
	told          time.Time
}

// whole is the run from its beginning, or where it goes on, to its end. What began is recorded before anything is destroyed,
// and what came of it however it ends.
func (r *retentionRun) whole(ctx context.Context) error {
	if err := r.owing(ctx); err != nil {
		return err
	}
	if err := r.write(ctx, "begin"); err != nil {
		return err
	}
	err := r.decisions(ctx)
	if err == nil {
		err = r.facts(ctx)
	}
	r.message.Finished, r.message.Counts = err == nil, r.sorts()
	if err := errors.Join(err, r.write(context.WithoutCancel(ctx), "end")); err != nil {
		return r.stopped(ctx, err)
	}
	if !r.dry {
		r.s.log.Info("retention", zap.Uint64("position", r.message.GetPosition()), zap.Uint64("callees", r.callees), zap.String("client", r.message.GetClient()))
	}
	return r.tell(true)
}

// stopped is the answer to a run that did not come to its end.
func (r *retentionRun) stopped(ctx context.Context, err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f
	case ctx.Err() != nil && r.stream.Context().Err() == nil:
		return fail(codes.Unavailable, ReasonNotServing, "the service is stopping")
	}
	return ledgerUnavailable(err)
}

// owing finds the calls whose offer is owed, which must be kept.
func (r *retentionRun) owing(ctx context.Context) error {
	d := r.s.debts
	if err := d.read(ctx); err != nil {
		return ledgerUnavailable(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	r.owed = map[[16]byte]bool{}
	for _, id := range d.book.Owed(r.message.GetBeginTime().AsTime()) {
		r.owed[id] = !mutantDebtDestroyed
	}
	return nil
}

// write records that the run begins, or what came of it.
func (r *retentionRun) write(ctx context.Context, what string) error {
	if r.dry {
		return nil
	}
	payload, err := record.MarshalRetention(r.message)
	if err != nil {
		return internal(err)
	}
	written, err := r.s.write(ctx, []Write{{
		RequestKey: retentionKeys + r.message.GetClient() + "/" + rand.Text() + "/" + what, Kind: record.KindRetention, Payload: payload,
	}})
	if err != nil {
		return writeFailed(err)
	}
	if r.message.GetPosition() == 0 {
		r.message.Position = written[0].Position
	}
	return nil
}

// rest leaves the ledger to others, longer the longer a step took.
func rest(ctx context.Context, began time.Time) error {
	select {
	case <-time.After(max(restFactor*time.Since(began), restLeast)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// decisions goes through those that are older than the shorter of their terms.
func (r *retentionRun) decisions(ctx context.Context) error {
	d := DecisionDisposal{After: r.decision, Allows: r.back.calls, Others: r.back.refusals, Limit: decisionStep, DryRun: r.dry}
	for id, owed := range r.owed {
		if owed {
			d.Keep = append(d.Keep, id)
		}
	}
	for !r.decisionsDone {
		began := time.Now()
		done, err := r.s.disposer.DisposeDecisions(ctx, d)
		if err != nil {
			return err
		}
		r.sort("allows").decided(done.Allows, r.back.calls)
		r.sort("refusals").decided(done.Others, r.back.refusals)
		d.After, r.decision, r.decisionsDone = done.Last, done.Last, done.Done
		if err := errors.Join(r.tellNow(), rest(ctx, began)); err != nil {
			return err
		}
	}
	return nil
}

// facts goes through all callees.
func (r *retentionRun) facts(ctx context.Context) error {
	if r.back.calls.IsZero() && r.back.bases.IsZero() && r.back.lists.IsZero() {
		return nil
	}
	for {
		began := time.Now()
		callees, err := r.s.walk.Callees(ctx, r.callee, calleeStep)
		if err != nil || len(callees) == 0 {
			return err
		}
		if err := r.some(ctx, callees); err != nil {
			return err
		}
		r.callee, r.callees = callees[len(callees)-1], r.callees+uint64(len(callees))
		if err := errors.Join(r.tellNow(), rest(ctx, began)); err != nil {
			return err
		}
	}
}

// some looks at a few callees.
func (r *retentionRun) some(ctx context.Context, callees []eligibility.CalleeToken) error {
	if !r.s.lease.Held() {
		return fail(codes.Unavailable, ReasonLedgerUnavailable, "this node does not know whether its catalogue is the newest; run it again")
	}
	snapshot, err := r.s.facts.many.FactsOfMany(ctx, callees)
	if err != nil {
		return err
	}
	numbered, err := r.s.walk.Numbered(ctx, callees)
	if err != nil {
		return err
	}
	plans := make([]*disposalPlan, 0, len(callees))
	for entries := range byCallee(snapshot.Entries) {
		plan, err := r.plan(ctx, entries, slices.Contains(numbered, entries[0].Callee))
		if err != nil {
			return err
		}
		if plan.empty() || r.dry {
			r.found(plan, false)
			continue
		}
		plans = append(plans, plan)
	}
	for some := range slices.Chunk(plans, disposalStep) {
		if err := r.dispose(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// byCallee gives the entries of one callee after the other.
func byCallee(entries []Entry) func(yield func([]Entry) bool) {
	return func(yield func([]Entry) bool) {
		for len(entries) > 0 {
			n := 1
			for n < len(entries) && entries[n].Callee == entries[0].Callee {
				n++
			}
			if !yield(entries[:n]) {
				return
			}
			entries = entries[n:]
		}
	}
}

// dispose carries plans out.
func (r *retentionRun) dispose(ctx context.Context, plans []*disposalPlan) error {
	disposals := make([]FactDisposal, len(plans))
	for i, p := range plans {
		payload, err := record.Marshal(eligibility.Fact{Disposal: &eligibility.Disposal{
			At: later(r.s.clock(), p.last), Positions: p.positions, Number: p.number, Run: r.message.GetPosition(),
		}})
		if err != nil {
			return internal(err)
		}
		disposals[i] = FactDisposal{
			Write: Write{
				RequestKey: fmt.Sprintf("%s%d/%s", retentionKeys, r.message.GetPosition(), p.callee), Callee: p.callee, Kind: record.KindDisposal, Payload: payload,
			},
			Positions: p.positions, Number: p.number, Through: p.through,
		}
	}
	done, err := carryOut(ctx, r.s, func(ctx context.Context) ([]FactsDisposed, error) {
		ctx, cancel := context.WithTimeout(ctx, readPatience)
		defer cancel()
		done, err := r.s.disposer.DisposeFacts(ctx, disposals)
		if err != nil {
			return nil, err
		}
		last := uint64(0)
		for i := range done {
			if !done[i].Moved {
				r.s.raise(&disposals[i].Write, done[i].Position)
				last = max(last, done[i].Position)
			}
		}
		return done, r.s.settle(ctx, last)
	})
	if err != nil {
		return err
	}
	for i, p := range plans {
		r.found(p, done[i].Moved)
	}
	return nil
}

// resume reads where to go on.
func (r *retentionRun) resume(token string) error {
	if token == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 33 || raw[0] > 1 {
		return invalid("resume_token", "is none that this service gave")
	}
	r.decisionsDone = raw[0] == 1
	copy(r.decision[:], raw[1:])
	copy(r.callee[:], raw[17:])
	return nil
}

func (r *retentionRun) resumeToken() string {
	raw := []byte{0}
	if r.decisionsDone {
		raw[0] = 1
	}
	return base64.RawURLEncoding.EncodeToString(slices.Concat(raw, r.decision[:], r.callee[:]))
}

// tellNow says how far the run is, if it is time to.
func (r *retentionRun) tellNow() error {
	if time.Since(r.told) < tellEvery {
		return nil
	}
	return r.tell(false)
}

func (r *retentionRun) tell(finished bool) error {
	r.told = time.Now()
	return r.stream.Send(&belpoortv1.RunRetentionResponse{
		Finished: finished, Callees: r.callees, Counts: r.sorts(), Position: r.message.GetPosition(), ResumeToken: r.resumeToken(),
	})
}
