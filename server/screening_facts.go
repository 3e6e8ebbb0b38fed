package server

import (
	"context"
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// learn finds out what is known of every number: from the cache where the lease vouches for it, else from the ledger.
func (sc *screening) learn(ctx context.Context) error {
	held := sc.s.lease.Held() // before the look-ups: they compare with the floors that the lease vouches for
	if !held {
		if err := sc.s.RefreshCatalogue(ctx); err != nil {
			return ledgerUnavailable(err)
		}
	}
	sc.look(ctx, held || mutantScreenWithoutLease)
	return sc.readLedger(ctx)
}

// look asks the cache, part by part and side by side: a cache outside this process answers many at the price of one.
func (sc *screening) look(ctx context.Context, believe bool) {
	var parts sync.WaitGroup
	for from := 0; from < len(sc.callees); from += screenPart {
		part := sc.callees[from:min(from+screenPart, len(sc.callees))]
		parts.Go(func() {
			_, err := guarded(sc.s, ctx, func(ctx context.Context) (struct{}, error) {
				sc.lookAt(ctx, part, believe)
				return struct{}{}, nil
			})
			if err != nil {
				part[0].err = err
			}
		})
	}
	parts.Wait()
}

func (sc *screening) lookAt(ctx context.Context, part []screened, believe bool) {
	for i := range part {
		c := &part[i]
		if c.token.IsZero() {
			c.known = known{e: nobody, direct: true, free: true}
			continue
		}
		looked := sc.s.cache.Look(ctx, c.token, Hold{})
		c.known = known{free: true, unreported: looked.Unreported}
		if believe && looked.Record != nil && looked.Record.CalleeToken() == c.token {
			c.known.e = looked.Record
		}
	}
}

// readLedger reads what the cache did not have, in one go.
func (sc *screening) readLedger(ctx context.Context) error {
	unknown := map[eligibility.CalleeToken]bool{}
	var callees []eligibility.CalleeToken
	for i := range sc.callees {
		c := &sc.callees[i]
		if c.known.e == nil && c.err == nil && !unknown[c.token] {
			unknown[c.token] = true
			callees = append(callees, c.token)
		}
	}
	if len(callees) == 0 {
		return nil
	}
	if sc.warm {
		if err := sc.s.screenings.pace(ctx, len(callees)); err != nil {
			return ledgerUnavailable(err)
		}
	}
	found, err := sc.s.readMany(ctx, callees)
	if err != nil {
		return ledgerUnavailable(err)
	}
	for i := range sc.callees {
		if c := &sc.callees[i]; c.known.e == nil && c.err == nil {
			read := found[c.token]
			c.known.e, c.known.direct, c.err = read.e, true, read.err
		}
	}
	if sc.warm {
		sc.keep(ctx, found)
	}
	return nil
}

func (sc *screening) keep(ctx context.Context, found map[eligibility.CalleeToken]readFacts) {
	for _, read := range found {
		if read.err == nil {
			sc.s.cache.Put(ctx, read.e)
		}
	}
}

// readFacts is what the ledger has on a callee, or why it cannot be read.
type readFacts struct {
	e   *eligibility.Eligibility
	err error
}

// readMany reads callees for lists, a bounded number of times at once so that checks find the ledger free.
func (s *Server) readMany(ctx context.Context, callees []eligibility.CalleeToken) (map[eligibility.CalleeToken]readFacts, error) {
	select {
	case s.screenings.reads <- struct{}{}:
		defer func() { <-s.screenings.reads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.facts.readMany(ctx, callees)
}

// readMany gives the eligibility of callees from a reading of its own, begun after the call.
func (r *factReader) readMany(ctx context.Context, callees []eligibility.CalleeToken) (map[eligibility.CalleeToken]readFacts, error) {
	r.reading.Add(1)
	defer r.reading.Done()
	read := r.clock()
	snapshot, err := ask(r, func() (Snapshot, error) { return r.many.FactsOfMany(ctx, callees) })
	if err != nil {
		return nil, err
	}
	found := make(map[eligibility.CalleeToken]readFacts, len(callees))
	for rest := snapshot.Entries; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Callee == rest[0].Callee {
			n++
		}
		found[rest[0].Callee] = foldRead(rest[:n], snapshot.Head, read)
		rest = rest[n:]
	}
	for _, callee := range callees {
		if _, has := found[callee]; !has {
			found[callee] = readFacts{e: eligibility.Fold(callee, snapshot.Head, read, nil)}
		}
	}
	return found, nil
}

func foldRead(entries []Entry, head uint64, read time.Time) readFacts {
	facts, latest, err := factsOf(entries)
	if err != nil {
		return readFacts{err: err}
	}
	return readFacts{e: eligibility.Fold(entries[0].Callee, head, later(read, latest), facts)}
}
