package server

import (
	"context"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
)

// screenReads is how many lists read the ledger at the same time: fewer than it has readers.
const screenReads = 2

// screenings bounds what lists may take: of processors, of the ledger, and of numbers by one credential, since a screening
// tells about people.
type screenings struct {
	turns   chan struct{} // a place for each message being decided
	reads   chan struct{}
	perHour int           // numbers of one credential; 0: no bound
	each    time.Duration // between two callees that are read for the cache

	mu      sync.Mutex
	clients map[string]*screenUse
	next    time.Time // when the next callee may be read for the cache
}

// screenUse is what one credential has taken.
type screenUse struct {
	streams int
	since   time.Time
	numbers int // since then
}

func newScreenings(perHour, warmedPerSecond int) *screenings {
	return &screenings{
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)), reads: make(chan struct{}, screenReads), perHour: perHour,
		each: time.Second / time.Duration(warmedPerSecond), clients: map[string]*screenUse{},
	}
}

func (b *screenings) of(client string) *screenUse {
	use := b.clients[client]
	if use == nil {
		use = &screenUse{}
		b.clients[client] = use
	}
	return use
}

func (b *screenings) begin(client string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	use := b.of(client)
	if use.streams >= maxScreenStreams {
		return fail(codes.ResourceExhausted, ReasonScreeningLimit, "this key screens %d lists already", maxScreenStreams)
	}
	use.streams++
	return nil
}

func (b *screenings) end(client string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of(client).streams--
}

// count takes numbers off what a credential may still screen in this hour. A message that does not fit takes nothing.
func (b *screenings) count(client string, numbers int, now time.Time) error {
	if b.perHour == 0 || mutantScreenUnlimited {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	use := b.of(client)
	if age := now.Sub(use.since); age >= time.Hour || age < 0 {
		use.since, use.numbers = now, 0
	}
	if use.numbers+numbers > b.perHour {
		return fail(codes.ResourceExhausted, ReasonScreeningLimit, "this key may screen %d numbers an hour; try again at %s",
			b.perHour, use.since.Add(time.Hour).UTC().Format(time.RFC3339))
	}
	use.numbers += numbers
	return nil
}

// pace waits until so many callees may be read for the cache.
func (b *screenings) pace(ctx context.Context, callees int) error {
	b.mu.Lock()
	now := time.Now()
	b.next = later(b.next, now)
	wait := b.next.Sub(now)
	b.next = b.next.Add(time.Duration(callees) * b.each)
	b.mu.Unlock()
	if wait > 0 {
		pause(ctx, wait)
	}
	return ctx.Err()
}
