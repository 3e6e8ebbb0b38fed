package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// maxRate bounds a key's rate, in checks a second.
const maxRate = 1_000_000

// rates keep each client to its own rate of checks, with a second's worth at once, so that one that runs wild does not take
// the room of the others. Objections and facts are never kept waiting by it.
type rates struct {
	mu sync.Mutex
	// due is, by client, when its checks so far would have been through at its rate (the generic cell rate algorithm).
	due map[string]time.Duration
}

// admit counts a check of a client at an instant, unless it comes too soon.
func (r *rates) admit(client string, perSecond int, now time.Duration) bool {
	if perSecond == 0 || mutantAnyRate {
		return true
	}
	each := time.Second / time.Duration(perSecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	due := max(r.due[client], now)
	if due-now > time.Second-each {
		return false
	}
	r.due[client] = due + each
	return true
}

// withinRate refuses a check of a client that asks faster than its key may.
func (s *Server) withinRate(ctx context.Context, now time.Duration) error {
	c := clientOf(ctx)
	if s.rates.admit(c.id, c.rate, now) {
		return nil
	}
	s.metrics.RateLimited()
	askToWait(ctx)
	return fail(codes.ResourceExhausted, ReasonRateLimited, "this key asks more checks a second than it may")
}
