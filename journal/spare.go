package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// spareSegment is a file of zeros, allocated and synced, that becomes the next segment. Writing over it changes neither
// size nor block map, so an fdatasync has only the records to carry.
type spareSegment struct {
	file file
	name string
}

const (
	zeroChunk  = 256 << 10   // zeros written and synced at a time; more at a time holds up the records' syncs
	spareRetry = time.Second // time between attempts while the disk is full
)

var zeros [zeroChunk]byte

// segmentRoom is what an empty segment has for frames; the end mark always has a place.
func (j *Journal) segmentRoom() int { return int(j.opts.SegmentBytes) - headerBytes - frameBytes }

// askSpare has a spare made in the background. It returns why no record can go there yet.
func (j *Journal) askSpare() error {
	switch {
	case j.spare != nil || j.preparing:
		return ErrFull
	case j.spareErr != nil && time.Now().Before(j.spareTry):
		return j.spareErr
	}
	j.preparing = true
	j.aux.Add(1)
	go j.prepareSpare()
	return ErrFull
}

func (j *Journal) prepareSpare() {
	defer j.aux.Done()
	spare, err := j.makeSpare()
	if err != nil && !errors.Is(err, ErrDiskFull) {
		j.fail(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.preparing = false
	j.spare, j.spareErr = spare, err
	if err != nil {
		j.spareTry = time.Now().Add(spareRetry)
	}
	j.broadcastRoom()
}

// makeSpare makes the next spare, or leaves nothing behind.
func (j *Journal) makeSpare() (*spareSegment, error) {
	j.spareNo++
	name := fmt.Sprintf("%s%d", sparePrefix, j.spareNo)
	f, err := j.disk.create(name)
	if err == nil {
		if err = fillZeros(f, j.opts.SegmentBytes); err == nil {
			return &spareSegment{f, name}, nil
		}
		f.Close()
	}
	if isDiskFull(err) {
		err = fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	if gone := j.disk.remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(gone, err)
	}
	return nil, fmt.Errorf("journal: next segment: %w", err)
}

func fillZeros(f file, size int64) error {
	if err := f.reserve(size); err != nil {
		return err
	}
	for at := int64(0); at < size; at += zeroChunk {
		if _, err := f.WriteAt(zeros[:min(zeroChunk, size-at)], at); err != nil {
			return err
		}
		if err := f.sync(); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) dropSpare() error {
	if j.spare == nil {
		return nil
	}
	return errors.Join(j.spare.file.Close(), j.disk.remove(j.spare.name))
}
