package journal

import (
	"errors"
	"fmt"
	"io"
)

// reader reads synced records in order. It opens segments for itself, and never looks at a frame beyond what it is told
// is synced, since the writer may be at it.
type reader struct {
	file          file
	seg           segment
	before, after position // around the batch read last
	buf           []byte
}

type position struct {
	seq uint64 // record that begins here
	off int64
}

// batch is a run of records; the payloads lie in the reader's buffer.
type batch struct {
	payloads [][]byte
	lastTime int64
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}

// batch reads records from the given one on, at most through target, within one segment. The same records can be asked
// for again, and any others.
func (r *reader) batch(j *Journal, from, target uint64, opts FollowOptions) (b batch, err error) {
	if need := max(opts.BatchBytes, frameBytes+MaxPayload); len(r.buf) < need {
		r.buf = make([]byte, need)
	}
	last, err := r.seek(j, from)
	if err != nil {
		return b, err
	}
	size := 0
	r.after, err = r.walk(j, r.before, min(target, last), func(f frame) bool {
		size += f.size()
		if n := len(b.payloads); n > 0 && (n == opts.BatchRecords || size > opts.BatchBytes) {
			return false
		}
		b.payloads = append(b.payloads, f.payload)
		b.lastTime = f.time
		return true
	})
	return b, err
}

// seek sets before to the record seq and returns the last record of its segment.
func (r *reader) seek(j *Journal, seq uint64) (last uint64, err error) {
	seg, last := j.segmentOf(seq)
	if r.file == nil || r.seg.first != seg.first {
		r.close()
		if r.file, err = j.disk.open(seg.name); err != nil {
			return 0, fmt.Errorf("journal: %w", err)
		}
		r.seg = seg
		r.before = position{seg.first, headerBytes}
		r.after = r.before
	}
	switch {
	case seq >= r.after.seq:
		r.before = r.after
	case seq < r.before.seq:
		r.before = position{seg.first, headerBytes}
	}
	for r.before.seq < seq {
		if r.before, err = r.walk(j, r.before, seq-1, func(frame) bool { return true }); err != nil {
			return 0, err
		}
	}
	return last, nil
}

// segmentOf returns the segment of a synced record, and the last synced record in it.
func (j *Journal) segmentOf(seq uint64) (seg segment, last uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last = j.synced
	for i := len(j.segments) - 1; i > 0 && seq < j.segments[i].first; i-- {
		last = j.segments[i].first - 1
		seg = j.segments[i-1]
	}
	if seg.name == "" {
		seg = j.segments[len(j.segments)-1]
	}
	return seg, last
}

// walk visits records from p through the given one, one bufferful, until visit is false. It returns where it stopped.
func (r *reader) walk(j *Journal, p position, through uint64, visit func(frame) bool) (position, error) {
	n, err := r.file.ReadAt(r.buf, p.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return p, fmt.Errorf("journal: read %s: %w", j.disk.path(r.seg.name), err)
	}
	start := p
	for p.seq <= through {
		f, ok := readFrame(r.buf[p.off-start.off:n], j.seed)
		if !ok && p.seq > start.seq {
			return p, nil // most likely goes on beyond the buffer; the next walk begins with it
		}
		if !ok || f.seq != p.seq || f.isMark() {
			return p, &CorruptError{j.disk.path(r.seg.name), p.off, fmt.Sprintf("record %d is damaged", p.seq)}
		}
		if !visit(f) {
			return p, nil
		}
		p = position{p.seq + 1, p.off + int64(f.size())}
	}
	return p, nil
}
