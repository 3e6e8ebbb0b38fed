package journal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// group is what one write and one fdatasync carry. Its fields belong to the journal's mutex until the writer takes it;
// err belongs to whoever saw done closed.
type group struct {
	buf      []byte
	first    uint64
	records  uint64
	time     int64     // Unix nanoseconds of the first record
	due      time.Time // when it is written though nobody waits for it
	wanted   bool      // somebody waits for it
	into     *spareSegment
	split    int    // where in buf the frames for into begin
	splitSeq uint64 // the record that begins there
	done     chan struct{}
	settled  bool
	err      error
}

func newGroup(buf []byte) *group { return &group{buf: buf[:0], done: make(chan struct{})} }

func (g *group) last() uint64 { return g.first + g.records - 1 }

func (g *group) settle(err error) {
	if !g.settled {
		g.settled, g.err = true, err
		close(g.done)
	}
}

func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fmt.Errorf("journal: not yet known to be on disk: %w", context.Cause(ctx))
	}
}

// Append returns once the record is synced; payload (1 byte to 64 KiB) is copied. Many callers share one fdatasync.
// While queue or disk space is being made ready it waits. An error means the record is not acknowledged; only when ctx
// ended while it was under way does a sequence number come with the error, and then it may still reach the disk.
// Without disk space the error is ErrDiskFull (and ENOSPC) and the journal stays usable.
func (j *Journal) Append(ctx context.Context, payload []byte) (seq uint64, err error) {
	g, seq, err := j.enter(ctx, payload)
	if err != nil {
		return 0, err
	}
	err = g.wait(ctx)
	if err != nil && ctx.Err() == nil {
		seq = 0
	}
	return seq, err
}

// AppendNoWait queues the record to be written with the next group, at most FlushInterval later; a crash before that
// loses it. It never blocks on the disk: ErrFull says that the queue has no room, or that the next segment is not
// ready yet; ErrDiskFull that the disk has no space for one.
func (j *Journal) AppendNoWait(payload []byte) (seq uint64, err error) {
	if err := checkPayload(payload); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.admit(len(payload)); err != nil {
		j.want(j.open)
		return 0, err
	}
	seq = j.put(payload)
	if j.open.records == 1 {
		j.wakeWriter() // to set its timer
	} else if len(j.open.buf) > j.opts.QueueBytes/2 {
		j.want(j.open)
	}
	return seq, nil
}

func checkPayload(payload []byte) error {
	if n := len(payload); n == 0 || n > MaxPayload {
		return fmt.Errorf("%w, not %d", ErrPayload, n)
	}
	return nil
}

func (j *Journal) enter(ctx context.Context, payload []byte) (*group, uint64, error) {
	if err := checkPayload(payload); err != nil {
		return nil, 0, err
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, fmt.Errorf("journal: append: %w", context.Cause(ctx))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		err := j.admit(len(payload))
		if err == nil {
			break
		}
		if !errors.Is(err, ErrFull) {
			return nil, 0, err
		}
		j.want(j.open)
		if err := j.awaitRoom(ctx); err != nil {
			return nil, 0, err
		}
	}
	seq := j.put(payload)
	g := j.open
	j.want(g)
	return g, seq, nil
}

// admit says whether a record may be numbered now. Only space that is already allocated and zeroed is given out, so a
// full disk refuses a record before it has a number and what was accepted never lacks a place.
func (j *Journal) admit(payload int) error {
	g, size := j.open, frameBytes+payload
	switch {
	case j.err != nil:
		return j.err
	case j.closing:
		return ErrClosed
	case size > j.segmentRoom():
		return fmt.Errorf("%w, and to fit a segment", ErrPayload)
	case g.records > 0 && len(g.buf)+size > j.opts.QueueBytes:
		return ErrFull
	case size <= j.room:
		return nil
	case j.spare != nil && g.into == nil:
		return nil
	}
	return j.askSpare()
}

// put numbers and queues an admitted record.
func (j *Journal) put(payload []byte) uint64 {
	g, size := j.open, frameBytes+len(payload)
	if size > j.room {
		g.into, g.split, g.splitSeq = j.spare, len(g.buf), j.next
		j.spare, j.room = nil, j.segmentRoom()
	}
	if g.records == 0 {
		now := time.Now()
		g.first, g.time, g.due = j.next, now.UnixNano(), now.Add(j.opts.FlushInterval)
	}
	seq := j.next
	g.buf = appendFrame(g.buf, j.seed, seq, g.first, g.time, payload)
	g.records++
	j.next++
	j.room -= size
	if j.spare == nil && j.room < j.segmentRoom()/2 {
		_ = j.askSpare() // early: records still have room
	}
	return seq
}

// want has the group written as soon as the writer is free. An empty group is not wanted yet, else nobody would wake
// the writer for its first record.
func (j *Journal) want(g *group) {
	if g.records > 0 && !g.wanted {
		g.wanted = true
		j.wakeWriter()
	}
}

func (j *Journal) wakeWriter() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// awaitRoom gives up the mutex until room may have changed.
func (j *Journal) awaitRoom(ctx context.Context) error {
	if j.roomWait == nil {
		j.roomWait = make(chan struct{})
	}
	changed := j.roomWait
	j.mu.Unlock()
	defer j.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("journal: no room yet: %w", context.Cause(ctx))
	}
}

func (j *Journal) broadcastRoom() {
	if j.roomWait != nil {
		close(j.roomWait)
		j.roomWait = nil
	}
}
