package journal

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// segment is a file of the journal: the records from first up to the next segment's first.
type segment struct {
	name  string
	first uint64
	bytes int64 // size of the file
}

// surveyed is what a directory holds, looked at without changing anything.
type surveyed struct {
	id       journalID
	segments []segment
	next     uint64 // sequence number of the next record
	end      int64  // what is kept of the last segment: its records and the end mark, if it has one
	torn     int64  // bytes after it that are neither zeros nor an end mark
	oldest   int64  // time of the first record, or 0
	spares   []string
}

// survey reads every record of the journal. It fails with a CorruptError unless all that was ever synced is there, as
// far as what is there can tell.
func survey(d disk) (*surveyed, error) {
	names, err := d.names()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	slices.Sort(names)
	v := &surveyed{next: 1}
	var files []string
	for _, name := range names {
		switch {
		case isSegmentName(name):
			files = append(files, name)
		case strings.HasPrefix(name, sparePrefix):
			v.spares = append(v.spares, name)
		}
	}
	var buf []byte
	for i, name := range files {
		if buf, err = readSegment(d, name, buf); err != nil {
			return nil, err
		}
		if err := v.take(d, name, buf, i == len(files)-1); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func readSegment(d disk, name string, buf []byte) ([]byte, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if size > maxSegmentBytes {
		return nil, &CorruptError{d.path(name), maxSegmentBytes, "file is longer than any segment"}
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	if n, err := f.ReadAt(buf, 0); n < len(buf) {
		return nil, fmt.Errorf("journal: read %s: %w", d.path(name), err)
	}
	return buf, nil
}

// take adds the next segment, with content b, to what was found so far.
func (v *surveyed) take(d disk, name string, b []byte, isLast bool) error {
	corrupt := func(offset int, reason string, args ...any) error {
		return &CorruptError{d.path(name), int64(offset), fmt.Sprintf(reason, args...)}
	}
	id, first, reason := decodeHeader(b)
	if reason != "" {
		return corrupt(0, "%s", reason)
	}
	if version := headerVersion(b); version != formatVersion {
		return fmt.Errorf("%w: %s has version %d, want %d", ErrVersion, d.path(name), version, formatVersion)
	}
	switch {
	case name != segmentName(first):
		return corrupt(0, "header says the first sequence number is %d", first)
	case len(v.segments) > 0 && id != v.id:
		return corrupt(0, "segment belongs to another journal")
	case len(v.segments) > 0 && first != v.next:
		return corrupt(0, "sequence gap: starts at %d, want %d", first, v.next)
	}
	v.id, v.next = id, first
	v.segments = append(v.segments, segment{name, first, int64(len(b))})
	good, reason := v.walk(b)
	if reason != "" {
		return corrupt(good, "%s", reason)
	}
	end := good
	if f, ok := readFrame(b[good:], id.seed()); ok && f.isMark() {
		end += f.size()
	}
	v.end = int64(end)
	v.torn = int64(len(bytes.TrimRight(b[end:], "\x00")))
	switch {
	case v.torn == 0:
		return nil
	case !isLast:
		return corrupt(end, "record %d is damaged", v.next)
	case proofBeyond(b[end:], id.seed(), v.next):
		return corrupt(end, "record %d is damaged and was synced", v.next)
	}
	return nil
}

// walk counts the records of one segment, up to an end mark or a frame that was not written whole.
func (v *surveyed) walk(b []byte) (good int, reason string) {
	good = headerBytes
	for {
		f, ok := readFrame(b[good:], v.id.seed())
		switch {
		case !ok:
			return good, ""
		case f.seq != v.next:
			return good, fmt.Sprintf("sequence gap: record %d, want %d", f.seq, v.next)
		case f.base > f.seq:
			return good, fmt.Sprintf("record %d says that %d came before it", f.seq, f.base-1)
		case f.isMark():
			return good, ""
		}
		if v.oldest == 0 {
			v.oldest = f.time
		}
		good += f.size()
		v.next++
	}
}

// cut shortens the last segment to what is whole, and removes what was being prepared. It syncs what it keeps: a process
// that was killed may have left records that are read back but not on disk, and there will be a segment after this one.
func (v *surveyed) cut(d disk) error {
	for _, name := range v.spares {
		if err := d.remove(name); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	if len(v.segments) == 0 {
		return nil
	}
	last := &v.segments[len(v.segments)-1]
	f, err := d.open(last.name)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	defer f.Close()
	if last.bytes != v.end {
		if err := f.Truncate(v.end); err != nil {
			return fmt.Errorf("journal: cut %s: %w", d.path(last.name), err)
		}
		last.bytes = v.end
	}
	if mutantJournalNoRecoverySync {
		return nil
	}
	if err := f.sync(); err != nil {
		return fmt.Errorf("journal: cut %s: %w", d.path(last.name), err)
	}
	return nil
}

// kept leaves out a last segment without records: the fresh one takes its name.
func (v *surveyed) kept() []segment {
	n := len(v.segments)
	if n > 0 && v.segments[n-1].first == v.next {
		n--
	}
	return v.segments[:n]
}
