package journal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of Follow and Shipped.
var (
	// ErrFollowing: the journal is being followed already.
	ErrFollowing = errors.New("journal: is being followed already")
	// ErrPlace: the shipper's place does not fit the records here: it has records that this journal never had or no
	// longer has (the directory was put back from an older copy, or its last group is gone), or the journal lacks
	// records that were never shipped. Sequence numbers may have been given twice: stop, and move the directory away.
	ErrPlace = errors.New("journal: shipper's place does not fit the journal")
	// ErrUnknownSequence: no record has that number yet.
	ErrUnknownSequence = errors.New("journal: no record has that sequence number")
)

// Shipper takes records to where they stay.
type Shipper interface {
	// Place returns the last sequence number of the journal that was shipped, 0 when none was.
	Place(ctx context.Context, journal string) (uint64, error)
	// Ship stores payloads[i] as record from+i of the journal, and through as its place, in one transaction. It must
	// refuse, inside that transaction, when the place is not from-1: a Ship whose answer was lost may still commit
	// after it was given up. The payloads are valid until Ship returns.
	Ship(ctx context.Context, journal string, from, through uint64, payloads [][]byte) error
}

// FollowOptions shape the batches. A zero field means its default.
type FollowOptions struct {
	BatchRecords int           // most records in a batch; 1 to 65536, default 512
	BatchBytes   int           // most bytes in a batch, framed, but for one large record; 4 KiB to 16 MiB, default 1 MiB
	Delay        time.Duration // longest wait for a batch to fill; 1 ms to 1 min, default 50 ms
	Timeout      time.Duration // given to each call of the shipper; 10 ms to 10 min, default 10 s
	BackoffMin   time.Duration // wait after the first error in a row, doubled each time; from 1 ms, default 10 ms
	BackoffMax   time.Duration // longest wait between attempts; BackoffMin to 10 min, default 2 s
	OnError      func(error)   // told of every shipper error before the next attempt; may be nil
}

func (o FollowOptions) withDefaults() FollowOptions {
	setDefault(&o.BatchRecords, 512)
	setDefault(&o.BatchBytes, 1<<20)
	setDefault(&o.Delay, 50*time.Millisecond)
	setDefault(&o.Timeout, 10*time.Second)
	setDefault(&o.BackoffMin, 10*time.Millisecond)
	setDefault(&o.BackoffMax, max(2*time.Second, o.BackoffMin))
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o FollowOptions) check() error {
	refuse := func(field string, value any, want string) error {
		return fmt.Errorf("%w: %s is %v, want %s", ErrOptions, field, value, want)
	}
	switch {
	case o.BatchRecords < 1 || o.BatchRecords > 1<<16:
		return refuse("BatchRecords", o.BatchRecords, "1 to 65536")
	case o.BatchBytes < 4<<10 || o.BatchBytes > 16<<20:
		return refuse("BatchBytes", o.BatchBytes, "4 KiB to 16 MiB")
	case o.Delay < time.Millisecond || o.Delay > time.Minute:
		return refuse("Delay", o.Delay, "1ms to 1m")
	case o.Timeout < 10*time.Millisecond || o.Timeout > 10*time.Minute:
		return refuse("Timeout", o.Timeout, "10ms to 10m")
	case o.BackoffMin < time.Millisecond:
		return refuse("BackoffMin", o.BackoffMin, "at least 1ms")
	case o.BackoffMax < o.BackoffMin || o.BackoffMax > 10*time.Minute:
		return refuse("BackoffMax", o.BackoffMax, "BackoffMin to 10m")
	}
	return nil
}

// Follow ships synced records in order, in batches, until ctx ends or the journal is closed (ErrClosed). A shipper's
// error is retried for ever, with backoff, and after each the shipper is asked for its place again: so nothing is lost
// and nothing doubled. Segments that are wholly shipped are removed. It returns early only for ErrPlace, ErrCorrupt or
// a failing disk. One Follow runs at a time; Shipper must not call Close.
func (j *Journal) Follow(ctx context.Context, s Shipper, opts FollowOptions) error {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := j.beginFollow(cancel); err != nil {
		return err
	}
	defer j.endFollow()
	f := &follower{journal: j, shipper: s, opts: opts}
	defer f.reader.close()
	return f.run(ctx)
}

func (j *Journal) beginFollow(cancel context.CancelCauseFunc) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closing:
		return ErrClosed
	case j.ship.cancel != nil:
		return ErrFollowing
	}
	j.ship.cancel = cancel
	j.aux.Add(1)
	return nil
}

func (j *Journal) endFollow() {
	j.mu.Lock()
	j.ship.cancel = nil
	j.mu.Unlock()
	j.aux.Done()
}

// follower is one run of Follow.
type follower struct {
	journal *Journal
	shipper Shipper
	opts    FollowOptions
	reader  reader
	place   uint64 // last record known to be shipped
}

// errShipper marks errors worth another attempt.
var errShipper = errors.New("shipper")

func (f *follower) run(ctx context.Context) error {
	backoff := f.opts.BackoffMin
	for {
		moved, err := f.attempt(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, errShipper) {
			return err
		}
		if f.opts.OnError != nil {
			f.opts.OnError(err)
		}
		if moved {
			backoff = f.opts.BackoffMin
		}
		if !pause(ctx, backoff) {
			return context.Cause(ctx)
		}
		backoff = min(2*backoff, f.opts.BackoffMax)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt goes on from the shipper's own place until something fails. It tells whether any batch got through.
func (f *follower) attempt(ctx context.Context) (moved bool, err error) {
	if err := f.askPlace(ctx); err != nil {
		return false, err
	}
	for {
		target, err := f.gather(ctx)
		if err != nil {
			return moved, err
		}
		for f.place < target {
			if err := f.shipBatch(ctx, target); err != nil {
				return moved, err
			}
			moved = true
		}
	}
}

func (f *follower) askPlace(ctx context.Context) error {
	if mutantFollowPlaceAfter && f.place > 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	place, err := f.shipper.Place(limited, f.journal.ID())
	if err != nil {
		return fmt.Errorf("%w: place: %w", errShipper, err)
	}
	return f.moveTo(place, 0)
}

func (f *follower) shipBatch(ctx context.Context, target uint64) error {
	b, err := f.reader.batch(f.journal, f.place+1, target, f.opts)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, f.opts.Timeout)
	defer cancel()
	through := f.place + uint64(len(b.payloads))
	if mutantFollowPlaceAfter {
		f.place = through
	}
	err = f.shipper.Ship(limited, f.journal.ID(), through+1-uint64(len(b.payloads)), through, b.payloads)
	if err != nil {
		return fmt.Errorf("%w: ship records %d to %d: %w", errShipper, f.place+1, through, err)
	}
	return f.moveTo(through, b.lastTime)
}

// moveTo believes the shipper's place, tells the journal, and removes what is no longer needed.
func (f *follower) moveTo(place uint64, at int64) error {
	j := f.journal
	j.mu.Lock()
	first, synced := j.segments[0].first, j.synced
	if place > synced || place+1 < first {
		j.mu.Unlock()
		return fmt.Errorf("%w: shipped through %d, journal %s holds %d to %d", ErrPlace, place, j.ID(), first, synced)
	}
	f.place = place
	j.ship.advance(place, at, synced)
	n := 0
	for n+1 < len(j.segments) && j.segments[n+1].first <= place+1 && !mutantJournalSegmentsKept {
		n++
	}
	gone := j.segments[:n]
	j.mu.Unlock()
	return j.removeSegments(gone)
}

// removeSegments removes oldest first and one at a time, so that a crash never leaves a hole.
func (j *Journal) removeSegments(gone []segment) error {
	for _, seg := range gone {
		err := j.disk.remove(seg.name)
		if err == nil {
			err = j.syncDirectory()
		}
		if err != nil {
			j.fail(err)
			return j.Err()
		}
		j.mu.Lock()
		j.segments = j.segments[1:]
		j.mu.Unlock()
	}
	return nil
}

// gather waits until there is something to ship: a full batch, or less after Delay or when somebody is waiting.
func (f *follower) gather(ctx context.Context) (target uint64, err error) {
	ship := &f.journal.ship
	if err := f.await(ctx, f.place+1, nil); err != nil {
		return 0, err
	}
	late := time.NewTimer(f.opts.Delay)
	defer late.Stop()
	if err := f.await(ctx, f.place+uint64(f.opts.BatchRecords), late.C); err != nil {
		return 0, err
	}
	f.journal.mu.Lock()
	defer f.journal.mu.Unlock()
	ship.wakeAt = 0
	return f.journal.synced, nil
}

// await returns when record seq is synced, or the wait is over, or what somebody waits for can be shipped.
func (f *follower) await(ctx context.Context, seq uint64, over <-chan time.Time) error {
	j := f.journal
	for {
		j.mu.Lock()
		j.ship.wakeAt = seq
		ready := j.synced >= seq || j.synced > f.place && j.ship.asked > f.place
		j.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-j.ship.news:
		case <-over:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
