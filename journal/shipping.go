package journal

import (
	"context"
	"fmt"
	"time"
)

// shipping is what the journal, its follower and those who wait for the follower share, under the journal's mutex.
type shipping struct {
	cancel  context.CancelCauseFunc // of the follower that runs, or nil
	news    chan struct{}           // wakes the follower
	wakeAt  uint64                  // wake it when this record is synced; 0 for not
	asked   uint64                  // somebody waits for this record to be shipped
	through uint64                  // shipped as far as known
	oldest  int64                   // about when the first unshipped record was appended, Unix nanoseconds; 0 when none
	moved   chan struct{}           // closed when through moves; nil when nobody waits
}

// recovered takes everything found for unshipped until the shipper says otherwise.
func (s *shipping) recovered(segments []segment, oldest int64, next uint64) {
	s.through, s.oldest = next-1, oldest
	if len(segments) > 0 {
		s.through = segments[0].first - 1
	}
}

func (s *shipping) synced(seq uint64, g *group) {
	if s.oldest == 0 {
		s.oldest = g.time
	}
	if s.wakeAt != 0 && (seq >= s.wakeAt || s.asked > s.through) {
		s.wakeAt = 0
		s.wake()
	}
}

func (s *shipping) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *shipping) advance(place uint64, at int64, synced uint64) {
	s.through = place
	switch {
	case place == synced:
		s.oldest = 0
	case at != 0:
		s.oldest = at
	}
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

func (s *shipping) stop() {
	if s.cancel != nil {
		s.cancel(ErrClosed)
	}
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// Shipped waits until record seq has been shipped, and has the follower ship it without delay. It is how one reads back
// one's own decision. ErrUnknownSequence when no such record was appended.
func (j *Journal) Shipped(ctx context.Context, seq uint64) error {
	for {
		moved, g, err := j.askShipped(seq)
		if err != nil || moved == nil {
			return err
		}
		if g != nil {
			if err := g.wait(ctx); err != nil {
				return err
			}
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("journal: record %d not yet shipped: %w", seq, context.Cause(ctx))
		}
	}
}

// askShipped returns nil for a record that is shipped; else what to wait for, first the group that still holds it.
func (j *Journal) askShipped(seq uint64) (moved <-chan struct{}, g *group, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := &j.ship
	switch {
	case seq == 0 || seq >= j.next:
		return nil, nil, fmt.Errorf("%w: %d", ErrUnknownSequence, seq)
	case seq <= s.through:
		return nil, nil, nil
	case j.closing:
		return nil, nil, ErrClosed
	case seq > j.synced && j.err != nil:
		return nil, nil, j.err
	case j.open.records > 0 && seq >= j.open.first:
		g = j.open
		j.want(g)
	}
	s.asked = max(s.asked, seq)
	s.wake()
	if s.moved == nil {
		s.moved = make(chan struct{})
	}
	return s.moved, g, nil
}

// Lag tells how many appended records are not known to be shipped, and about how long ago the first of them was
// appended, by the wall clock and never below 0. Before Follow has asked the shipper, all that is kept counts.
func (j *Journal) Lag() (records uint64, oldest time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ship.oldest != 0 {
		oldest = max(0, time.Since(time.Unix(0, j.ship.oldest)))
	}
	return j.next - 1 - j.ship.through, oldest
}
