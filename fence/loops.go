package fence

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// pageSize is how many changes are read at once.
	pageSize = 8192
	// keepFor is how long a record may be used at most, with a margin; floors from before are of no use to anybody.
	keepFor   = 24*time.Hour + 10*time.Minute
	trimEvery = time.Hour

	firstRetry = 10 * time.Millisecond
	lastRetry  = 100 * time.Millisecond
)

// answerTime is how long the ledger may take over one answer. A later one is asked for again, so that a ledger that returns
// gives the lease back soon, whatever became of the old connection.
func (f *Fence) answerTime() time.Duration { return f.opts.Term / 4 }

// longAnswerTime is for what may have much to read, and is seldom asked for.
func (f *Fence) longAnswerTime() time.Duration { return 5 * f.opts.Term }

// pause waits, and reports whether the fence still lives.
func (f *Fence) pause(d time.Duration) bool { return sleep(f.life, d) == nil }

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join is Open's part that calls the ledger.
func (f *Fence) join(ctx context.Context) error {
	if err := f.insist(ctx, f.enter); err != nil {
		return err
	}
	return f.insist(ctx, func(ctx context.Context) error {
		err := f.renew(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.core.drift.exceeded {
			f.lastErr = err
			return nil
		}
		return err
	})
}

// insist tries until it succeeds or ctx ends; then it tells the last failure.
func (f *Fence) insist(ctx context.Context, try func(context.Context) error) error {
	retry := firstRetry
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		f.report(err)
		if gone := sleep(ctx, retry); gone != nil {
			return fmt.Errorf("%w (%w)", err, gone)
		}
		retry = min(2*retry, lastRetry)
	}
}

// enter finds where to start, and puts the catalogue in force that stands there.
func (f *Fence) enter(ctx context.Context) error {
	position, err := f.startingPosition(ctx)
	if err != nil {
		return err
	}
	if err := f.loadCatalogue(ctx, position); err != nil {
		return fmt.Errorf("fence: the catalogue at position %d: %w", position, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.core.start(position)
	return nil
}

// startingPosition is the head, or for a snapshot the last position before the records that may still be used. The ledger's
// clock is asked for in the name of nobody, so that no writer waits for this node while it loads.
func (f *Fence) startingPosition(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, f.longAnswerTime())
	defer cancel()
	if !f.opts.Snapshot {
		return f.opts.Ledger.Head(ctx)
	}
	nobody := newID()
	ledgerTime, err := f.opts.Ledger.Announce(ctx, nobody, f.opts.Name, 0)
	if err != nil {
		return 0, err
	}
	if err := f.opts.Ledger.Leave(ctx, nobody); err != nil {
		return 0, err
	}
	return f.opts.Ledger.PositionAt(ctx, ledgerTime.Add(-keepFor))
}

// keepLease renews the lease at a quarter of its term.
func (f *Fence) keepLease() {
	retry := firstRetry
	for {
		began := f.opts.Clock()
		err := f.renew(f.life)
		f.note(err)
		f.report(err)
		pause := max(f.opts.Term/4-(f.opts.Clock()-began), firstRetry)
		if err == nil || errors.Is(err, errDrift) {
			retry = firstRetry
		} else {
			pause, retry = retry, min(2*retry, lastRetry)
		}
		if !f.pause(pause) {
			return
		}
	}
}

// renew does what the core's renewal asks for.
func (f *Fence) renew(ctx context.Context) error {
	var r renewal
	for {
		f.mu.Lock()
		step, applied := f.core.next(&r), f.core.applied
		f.mu.Unlock()
		switch step {
		case stepRead:
			head, err := f.follow(ctx)
			if err != nil {
				return err
			}
			r.reads(head)
		case stepAnnounce:
			if err := f.announce(ctx, &r, applied); err != nil {
				return err
			}
		case stepDone:
			now := f.opts.Clock()
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.core.finish(&r, now)
		}
	}
}

func (f *Fence) announce(ctx context.Context, r *renewal, applied uint64) error {
	ctx, cancel := context.WithTimeout(ctx, f.answerTime())
	defer cancel()
	sent := f.opts.Clock()
	ledgerTime, err := f.opts.Ledger.Announce(ctx, f.core.id, f.opts.Name, applied)
	if err != nil {
		return err
	}
	answered := f.opts.Clock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.core.announced(r, sent, answered, ledgerTime)
	f.core.acknowledged(applied)
	return nil
}

// follow reads one page of changes and applies it.
func (f *Fence) follow(ctx context.Context) (head uint64, err error) {
	f.mu.Lock()
	after := f.core.applied
	f.mu.Unlock()
	reading, cancel := context.WithTimeout(ctx, f.answerTime())
	defer cancel()
	changes, head, err := f.opts.Ledger.Changes(reading, after, pageSize)
	if err != nil {
		return 0, err
	}
	b, err := f.core.receive(after, changes, head)
	if err == nil {
		err = f.apply(ctx, b)
	}
	if err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.core.stumble()
		return 0, err
	}
	select {
	case f.progress <- struct{}{}:
	default:
	}
	return head, nil
}

// loadCatalogue does it for one at a time, so that an older catalogue never replaces a newer one.
func (f *Fence) loadCatalogue(ctx context.Context, position uint64) error {
	ctx, cancel := context.WithTimeout(ctx, f.longAnswerTime())
	defer cancel()
	select {
	case f.catalogue <- struct{}{}:
		defer func() { <-f.catalogue }()
		return f.opts.Catalogue(ctx, position)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// apply puts the catalogue in force first.
func (f *Fence) apply(ctx context.Context, b batch) error {
	if b.catalogue != 0 {
		if err := f.loadCatalogue(ctx, b.catalogue); err != nil {
			return fmt.Errorf("fence: the catalogue at position %d: %w", b.catalogue, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.core.apply(b)
}

// followTail applies changes as they come.
func (f *Fence) followTail() {
	retry := firstRetry
	for f.life.Err() == nil {
		if err := f.tail(); err != nil {
			f.report(err)
			f.pause(retry)
			retry = min(2*retry, lastRetry)
			continue
		}
		retry = firstRetry
	}
}

// tail waits for a change and applies it. A wait is begun anew now and then, since its connection may be dead.
func (f *Fence) tail() error {
	f.mu.Lock()
	applied := f.core.applied
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.life, f.opts.Term)
	defer cancel()
	err := f.opts.Ledger.Wait(ctx, applied)
	switch {
	case err == nil:
		_, err = f.follow(f.life)
		return err
	case ctx.Err() != nil:
		return nil
	default:
		return err
	}
}

// acknowledge tells the ledger how far this node is.
func (f *Fence) acknowledge() {
	for {
		select {
		case <-f.life.Done():
			return
		case <-f.progress:
		}
		f.mu.Lock()
		applied, due := f.core.acknowledgement()
		f.mu.Unlock()
		if !due {
			continue
		}
		ctx, cancel := context.WithTimeout(f.life, f.answerTime())
		err := f.opts.Ledger.Acknowledge(ctx, f.core.id, applied)
		cancel()
		if err != nil {
			f.report(err) // the next renewal says it too
			continue
		}
		f.mu.Lock()
		f.core.acknowledged(applied)
		f.mu.Unlock()
	}
}

// keepHouse removes the rows of nodes that are silent for so long that their leases have run out, and floors that are old.
func (f *Fence) keepHouse() {
	every := f.opts.Term / 4
	trim := f.opts.Clock() + trimEvery
	for f.pause(every + rand.N(every/4)) { // so that nodes do not do it in step
		silent, err := f.readNodes()
		f.report(err)
		for _, n := range silent {
			ctx, cancel := context.WithTimeout(f.life, f.answerTime())
			f.report(f.opts.Ledger.Lapse(ctx, n.ID, n.Announced))
			cancel()
		}
		if now := f.opts.Clock(); now >= trim {
			trim = now + trimEvery
			f.report(f.trim())
		}
	}
}

// trim gives up the floors that are older than any record that may still be used.
func (f *Fence) trim() error {
	f.mu.Lock()
	ledgerTime := f.core.drift.newest
	f.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.life, f.longAnswerTime())
	defer cancel()
	position, err := f.opts.Ledger.PositionAt(ctx, ledgerTime.Add(-keepFor))
	if err == nil {
		f.opts.Floors.DropBefore(position)
	}
	return err
}

// report tells of a failure, unless it is that the fence was closed or has only begun.
func (f *Fence) report(err error) {
	if err != nil && !errors.Is(err, errUnmeasured) && f.opts.OnError != nil && f.life.Err() == nil {
		f.opts.OnError(err)
	}
}

// note keeps the outcome of a renewal for State.
func (f *Fence) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastErr = err
}
