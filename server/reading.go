package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
	"google.golang.org/grpc/codes"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/record"
)

// ledgerPatience bounds a read that outlives the request that began it, because others wait for it too.
const ledgerPatience = 2 * time.Second

// clockSkew is how far a client's clock may run ahead of ours.
const clockSkew = 2 * time.Second

// errErased says that a fact was erased: what it said cannot be taken into account, so nothing may be allowed.
var errErased = errors.New("a fact about the callee was erased")

// A ledger that has failed so often in a row is not asked for a while, then by one read at a time: so nobody waits for a
// ledger that is known to be away.
const (
	failuresInARow = 5
	leaveAlone     = 100 * time.Millisecond
)

// factReader reads callees' facts from the ledger and folds them: one read per callee at a time, and a bounded number of
// reads altogether.
type factReader struct {
	facts    Facts
	many     ManyFacts
	breaker  *gobreaker.CircuitBreaker[any]
	clock    func() time.Time
	slots    chan struct{}
	flights  singleflight.Group
	reading  sync.WaitGroup
	panicked func(where string, cause any)
}

func newFactReader(facts Facts, many ManyFacts, slots int, clock func() time.Time) *factReader {
	return &factReader{facts: facts, many: many, clock: clock, slots: make(chan struct{}, slots), breaker: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Name: "ledger", MaxRequests: 1, Timeout: leaveAlone,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresInARow },
		IsSuccessful: func(err error) bool { return !isAway(err) },
	})}
}

// isAway reports an error that says something about the ledger as a whole, rather than about what was asked.
func isAway(err error) bool {
	return errors.Is(err, ErrLedgerAway) || errors.Is(err, context.DeadlineExceeded)
}

// away reports whether the ledger is known not to answer.
func (r *factReader) away() bool { return r.breaker.State() == gobreaker.StateOpen }

// ask puts a question to the ledger, unless it is known to be away.
func ask[T any](r *factReader, question func() (T, error)) (T, error) {
	answer, err := r.breaker.Execute(func() (any, error) { return question() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = ErrLedgerAway
	}
	if err != nil {
		var none T
		return none, err
	}
	return answer.(T), nil
}

func (r *factReader) latestOfKind(ctx context.Context, kind int32) (entry Entry, found bool, err error) {
	entry, err = ask(r, func() (e Entry, err error) {
		e, found, err = r.facts.LatestOfKind(ctx, kind, 0)
		return e, err
	})
	return entry, found, err
}

// wait returns when no read is under way.
func (r *factReader) wait() { r.reading.Wait() }

// read gives a callee's eligibility. It may have been read for somebody else who asked a little earlier: the caller must
// look at the floor afterwards.
func (r *factReader) read(ctx context.Context, callee eligibility.CalleeToken) (*eligibility.Eligibility, error) {
	r.reading.Add(1)
	flight := r.flights.DoChan(string(callee[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerPatience)
		defer cancel()
		return r.readOnce(ctx, callee)
	})
	select {
	case result := <-flight:
		r.reading.Done()
		if result.Err != nil {
			return nil, ledgerUnavailable(result.Err)
		}
		return result.Val.(*eligibility.Eligibility), nil
	case <-ctx.Done():
		go func() { <-flight; r.reading.Done() }()
		return nil, ledgerUnavailable(ctx.Err())
	}
}

// readOnce runs on a goroutine of its own, so that it must not panic.
func (r *factReader) readOnce(ctx context.Context, callee eligibility.CalleeToken) (e *eligibility.Eligibility, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			r.panicked("reading facts", cause)
			e, err = nil, internal(errPanic)
		}
	}()
	return r.readUpTo(ctx, callee, 0)
}

// readNow gives a callee's eligibility from a reading of its own, begun after the call.
func (r *factReader) readNow(ctx context.Context, callee eligibility.CalleeToken) (*eligibility.Eligibility, error) {
	e, err := r.readUpTo(ctx, callee, 0)
	if err != nil {
		return nil, ledgerUnavailable(err)
	}
	return e, nil
}

// readUpTo gives a callee's eligibility as the ledger stood at a position; 0: as it stands.
func (r *factReader) readUpTo(ctx context.Context, callee eligibility.CalleeToken, upTo uint64) (*eligibility.Eligibility, error) {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return nil, fail(codes.ResourceExhausted, ReasonLedgerBusy, "too many callees are being read from the ledger")
	}
	read := r.clock()
	snapshot, err := ask(r, func() (Snapshot, error) { return r.facts.Facts(ctx, callee, upTo) })
	if err != nil {
		return nil, err
	}
	if upTo > snapshot.Head {
		return nil, fail(codes.OutOfRange, ReasonPositionUnknown, "the ledger ends before this position")
	}
	if upTo == 0 {
		upTo = snapshot.Head
	}
	facts, latest, err := factsOf(snapshot.Entries)
	if errors.Is(err, errErased) && upTo < snapshot.Head {
		return nil, fail(codes.FailedPrecondition, ReasonCalleeErased, "what was known at this position has been erased since")
	}
	if err != nil {
		return nil, err
	}
	if latest.After(read) {
		read = latest
	}
	return eligibility.Fold(callee, upTo, read, facts), nil
}

// lastErasure is the position of a callee's last erasure, 0 for none: what is missing before it is missing by right.
func lastErasure(entries []Entry) (position uint64) {
	for i := range entries {
		if e := &entries[i]; e.Kind == record.KindErasure && !e.Erased {
			position = max(position, e.Position)
		}
	}
	return position
}

// disposedOf are the positions of what was kept long enough and is missing by right; nil for none.
func disposedOf(entries []Entry) (disposed map[uint64]bool, err error) {
	for i := range entries {
		e := &entries[i]
		if e.Kind != record.KindDisposal || e.Erased {
			continue
		}
		fact, err := record.Unmarshal(e.Position, e.Payload)
		if err != nil {
			return nil, err
		}
		if disposed == nil {
			disposed = map[uint64]bool{}
		}
		for _, position := range fact.Disposal.Positions {
			disposed[position] = position < e.Position
		}
	}
	return disposed, nil
}

// factsOf reads the facts out of ledger entries, and the latest moment that they prove to have passed: that at which the
// ledger took them or, where somebody's clock ran a little ahead, that of the objection or withdrawal itself. A check is
// never decided for an earlier instant, or a clock set back would make an objection a thing of the future.
func factsOf(entries []Entry) (facts []eligibility.Fact, latest time.Time, err error) {
	erasure := lastErasure(entries)
	disposed, err := disposedOf(entries)
	if err != nil {
		return nil, time.Time{}, err
	}
	for i := range entries {
		entry := &entries[i]
		if entry.Erased && entry.Position < erasure && slices.Contains(record.Erasable(), entry.Kind) {
			continue
		}
		if entry.Erased && disposed[entry.Position] {
			continue
		}
		if entry.Erased {
			return nil, time.Time{}, errErased
		}
		fact, err := record.Unmarshal(entry.Position, entry.Payload)
		if err != nil {
			return nil, time.Time{}, err
		}
		facts = append(facts, fact)
		latest = later(latest, entry.RecordTime)
		if at := revokedAt(&fact); at.Before(entry.RecordTime.Add(2 * clockSkew)) {
			latest = later(latest, at)
		}
	}
	return facts, latest, nil
}

// revokedAt is when a fact takes leave to call away; the zero time for a fact that does not.
func revokedAt(f *eligibility.Fact) time.Time {
	switch {
	case f.Objection != nil:
		return f.Objection.At
	case f.Withdrawal != nil:
		return f.Withdrawal.At
	default:
		return time.Time{}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
