package fence

import (
	"context"
	"math"
	"time"
)

// sighting is since when a row has not been announced again.
type sighting struct {
	announced uint64
	since     time.Duration
}

// settling is a writer's wait.
type settling struct {
	position uint64
	begun    time.Duration
}

// patience doubles while this clock is not proved to keep the bound. So a clock up to twice too fast does no harm.
func (c *core) patience() time.Duration {
	if c.drift.proved || mutantImpatient {
		return c.rules.patience()
	}
	return 2 * c.rules.patience()
}

// settle begins a wait for a position that is committed.
func (c *core) settle(position uint64, now time.Duration) settling {
	c.asked = max(c.asked, position)
	return settling{position, now}
}

// left is how long to wait at most, 0 when it is over. When all leases from before the wait have run out, the position is
// settled for everybody.
func (c *core) left(s settling, now time.Duration) time.Duration {
	if s.position <= c.settled || mutantSettleAtOnce {
		return 0
	}
	if left := s.begun + c.patience() - now; left > 0 {
		return left
	}
	c.settled = s.position
	return 0
}

// survey takes in rows that were read when ceiling was the highest position asked for. What it settles stays settled: a node
// that is not there, or comes later, has no lease until it has read the changes after its next announce.
// It returns the rows that may be removed, as seen.
func (c *core) survey(nodes []Node, ceiling uint64, now time.Duration) (silent []Node) {
	seen := make(map[NodeID]sighting, len(nodes))
	lowest, others := uint64(math.MaxUint64), false
	for _, n := range nodes {
		if n.ID == c.id {
			continue
		}
		last, known := c.seen[n.ID]
		if !known || last.announced != n.Announced && !mutantLapseUnseen {
			last = sighting{n.Announced, now}
		}
		seen[n.ID] = last
		if now-last.since >= c.patience() { // its lease has run out, and the next will know
			silent = append(silent, n)
			continue
		}
		if mutantHeartbeat && now-last.since > c.rules.term/2 {
			continue
		}
		lowest, others = min(lowest, n.Applied), true
	}
	if !others {
		lowest = ceiling
	}
	c.settled = max(c.settled, lowest)
	c.seen, c.nodes = seen, nodes
	return silent
}

const (
	pollEvery = 2 * time.Millisecond  // between readings of the rows while somebody waits
	pollAgain = 20 * time.Millisecond // after an error
)

// Settle returns nil when no other node can answer ALLOW without heeding the change at position, which must be committed,
// and heeded by this node. It takes as long as the other nodes need to acknowledge, and a little over Term at most (twice
// that while this clock is not proved to be good), whatever the ledger does. Its only error is ctx's.
func (f *Fence) Settle(ctx context.Context, position uint64) error {
	f.mu.Lock()
	wait := f.core.settle(position, f.opts.Clock())
	if f.core.left(wait, wait.begun) == 0 {
		f.mu.Unlock()
		return nil
	}
	f.settlers++
	if !f.polling && !f.core.closed {
		f.polling = true
		f.spawn(f.pollNodes)
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.settlers--
		f.mu.Unlock()
	}()
	return f.await(ctx, wait)
}

func (f *Fence) await(ctx context.Context, wait settling) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		f.mu.Lock()
		left, settled := f.core.left(wait, f.opts.Clock()), f.settled
		f.mu.Unlock()
		if left == 0 {
			return nil
		}
		timer.Reset(left)
		select {
		case <-settled:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pollNodes reads the rows for all who wait in Settle, until nobody does.
func (f *Fence) pollNodes() {
	for f.wanted() {
		pause := pollEvery
		if _, err := f.readNodes(); err != nil {
			pause = pollAgain
		}
		f.pause(pause)
	}
}

func (f *Fence) wanted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polling = f.settlers > 0 && f.life.Err() == nil
	return f.polling
}

// readNodes reads the rows and tells those who wait.
func (f *Fence) readNodes() (silent []Node, err error) {
	f.mu.Lock()
	ceiling := f.core.asked
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.life, f.answerTime())
	defer cancel()
	nodes, err := f.opts.Ledger.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	now := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.core.settled
	silent = f.core.survey(nodes, ceiling, now)
	if f.core.settled > before {
		close(f.settled)
		f.settled = make(chan struct{})
	}
	return silent, nil
}
