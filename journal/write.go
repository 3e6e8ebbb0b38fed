package journal

import (
	"runtime"
	"time"
)

// idleMark is how long the writer sits idle before it marks the end of what it wrote.
const idleMark = 20 * time.Millisecond

// write is the writer: the only one who writes records, one group at a time.
func (j *Journal) write() {
	defer close(j.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		g, wait := j.takeGroup()
		switch {
		case g != nil:
			if err := j.commit(g); err != nil {
				j.fail(err)
				return
			}
			j.acknowledge(g)
			if g.records > 1 {
				runtime.Gosched() // those just told often have a next record: let it into the next group
			}
		case wait < 0:
			return
		default:
			timer.Reset(wait)
			if err := j.rest(timer.C); err != nil {
				j.fail(err)
				return
			}
		}
	}
}

// takeGroup returns the group to write now, or how long to wait for one; a negative wait means there will be none.
func (j *Journal) takeGroup() (*group, time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := j.open
	switch {
	case j.err != nil || j.closing && g.records == 0:
		return nil, -1
	case g.records == 0 && j.marked:
		return nil, time.Hour
	case g.records == 0:
		return nil, idleMark
	}
	if left := time.Until(g.due); !g.wanted && !j.closing && left > 0 {
		return nil, left
	}
	j.writing, j.open = g, newGroup(j.idle)
	j.idle = nil
	return g, 0
}

// rest waits for work, and marks the end when none came for a while.
func (j *Journal) rest(timeout <-chan time.Time) error {
	select {
	case <-j.wake:
		return nil
	case <-timeout:
	}
	j.mu.Lock()
	idle := j.open.records == 0
	j.mu.Unlock()
	if !idle || j.marked {
		return nil
	}
	return j.writeMark()
}

// commit puts the group on disk. What goes into a next segment is written when all before it is synced.
func (j *Journal) commit(g *group) error {
	here := g.buf
	if g.into != nil {
		here = g.buf[:g.split]
	}
	if len(here) > 0 {
		if _, err := j.active.WriteAt(here, j.off); err != nil {
			return err
		}
	}
	j.off += int64(len(here))
	j.marked = false
	j.last = g.last()
	if mutantJournalAckBeforeSync {
		g.settle(nil)
	}
	// Synced even when nothing was added: an end mark may be under way, and a segment that has a next one must be whole.
	if err := j.sync(j.active); err != nil {
		return err
	}
	if g.into == nil {
		return nil
	}
	old := j.active
	if err := j.enterSegment(g.into, g.splitSeq, g.buf[g.split:]); err != nil {
		return err
	}
	return old.Close()
}

// enterSegment makes the spare the active segment, with these frames in it. It gets its name when its content is synced,
// so a segment never lacks a header.
func (j *Journal) enterSegment(spare *spareSegment, first uint64, frames []byte) error {
	if _, err := spare.file.WriteAt(encodeHeader(j.id, first), 0); err != nil {
		return err
	}
	if len(frames) > 0 {
		if _, err := spare.file.WriteAt(frames, headerBytes); err != nil {
			return err
		}
	}
	if err := j.sync(spare.file); err != nil {
		return err
	}
	name := segmentName(first)
	if err := j.disk.rename(spare.name, name); err != nil {
		return err
	}
	if err := j.syncDirectory(); err != nil {
		return err
	}
	j.active, j.off = spare.file, headerBytes+int64(len(frames))
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments, segment{name, first, j.opts.SegmentBytes})
	return nil
}

// acknowledge tells everybody who waits for the group, and the follower.
func (j *Journal) acknowledge(g *group) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.synced = g.last()
	j.writing = nil
	j.idle = g.buf
	j.stats.countGroup(g.records)
	j.ship.synced(j.synced, g)
	g.settle(nil)
	j.broadcastRoom()
}

// sync is the only way record data reaches the disk. A failed fsync is final: the kernel may have dropped the pages and
// report success the next time.
func (j *Journal) sync(f file) error {
	if mutantJournalNoFsync {
		return nil
	}
	begin := time.Now()
	err := f.sync()
	if mutantJournalRetryFsync && err != nil {
		err = f.sync()
	}
	took := time.Since(begin)
	j.mu.Lock()
	j.stats.Syncs++
	j.stats.SyncLast = took
	j.stats.SyncTotal += took
	j.mu.Unlock()
	if j.opts.OnSync != nil {
		j.opts.OnSync(took)
	}
	return err
}

func (j *Journal) syncDirectory() error {
	if mutantJournalNoDirsync {
		return nil
	}
	return j.disk.sync()
}

// writeMark puts an end mark behind the last record. Where it stands, all before it was synced; the next record is
// written over it. It needs no fsync: lost, it proves nothing.
func (j *Journal) writeMark() error {
	mark := appendFrame(nil, j.seed, j.last+1, j.last+1, time.Now().UnixNano(), nil)
	_, err := j.active.WriteAt(mark, j.off)
	j.marked = true
	return err
}
