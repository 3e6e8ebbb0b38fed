package journal

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// logOf is a journal of several segments as it is on disk after finish, and the payloads in it.
func logOf(t *testing.T, r *rand.Rand, finish func(*Journal, *memDisk)) (*memDisk, [][]byte) {
	d := newMemDisk(nil)
	j := mustOpen(t, d, Options{SegmentBytes: 16 << 10, QueueBytes: 64 << 10})
	var payloads [][]byte
	for i := range 60 {
		payloads = append(payloads, randomPayload(r, i, 1000))
		if _, err := j.AppendNoWait(payloads[i]); errors.Is(err, ErrFull) {
			mustAppend(t, j, payloads[i])
		} else if err != nil {
			t.Fatal(err)
		}
		if i%7 == 3 {
			if err := j.Sync(bounded(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Sync(bounded(t)); err != nil {
		t.Fatal(err)
	}
	finish(j, d)
	snapshot := d.locked()
	for name := range snapshot.files {
		if !isSegmentName(name) {
			delete(snapshot.files, name)
		}
	}
	return snapshot, payloads
}

func (d *memDisk) locked() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clone()
}

// waitForMark returns when the writer has been idle long enough to mark the end.
func waitForMark(t *testing.T, d *memDisk) {
	for {
		now := d.locked()
		name, _, end, _ := lastGroup(t, now)
		if _, marked := readFrame(now.files[name].data[end:], idOf(now, name).seed()); marked {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func idOf(d *memDisk, name string) journalID {
	id, _, _ := decodeHeader(d.files[name].data)
	return id
}

// flip changes one bit of the files, each byte being as likely as any other.
func (d *memDisk) flip(r *rand.Rand) (name string, offset int64) {
	names := slices.Sorted(maps.Keys(d.files))
	total := 0
	for _, name := range names {
		total += len(d.files[name].data)
	}
	at := r.IntN(total)
	for _, name := range names {
		data := d.files[name].data
		if at < len(data) {
			data[at] ^= 1 << r.IntN(8)
			return name, int64(at)
		}
		at -= len(data)
	}
	panic("no files")
}

// lastGroup finds the last segment, and in it where the last group begins and where the records end.
func lastGroup(t *testing.T, d *memDisk) (name string, begin, end int64, firstSeq uint64) {
	v, err := survey(d)
	if err != nil {
		t.Fatal(err)
	}
	name = v.segments[len(v.segments)-1].name
	at := int64(headerBytes)
	for {
		f, ok := readFrame(d.files[name].data[at:], v.id.seed())
		if !ok || f.isMark() {
			return name, begin, at, firstSeq
		}
		if f.base != firstSeq {
			begin, firstSeq = at, max(f.base, v.segments[len(v.segments)-1].first)
			if f.base < firstSeq {
				begin = headerBytes
			}
		}
		at += int64(f.size())
	}
}

// TestT20BitRotClosed is T20: in a journal that was closed, or had been idle, every flipped bit either is found, with file
// and place, or lies in the end mark or the zeros behind it, and then no record is touched. Mutants:
// mutant_journal_no_crc, mutant_journal_cut_anything.
func TestT20BitRotClosed(t *testing.T) {
	r := seeded(t)
	for name, finish := range map[string]func(*Journal, *memDisk){
		"closed": func(j *Journal, _ *memDisk) { mustClose(t, j) },
		"idle":   func(_ *Journal, d *memDisk) { waitForMark(t, d) },
	} {
		t.Run(name, func(t *testing.T) {
			d, payloads := logOf(t, r, finish)
			last, _, end, _ := lastGroup(t, d)
			detected := 0
			for range rounds(t, 5_000, 500_000) {
				rotten := d.clone()
				file, offset := rotten.flip(r)
				if file == last && offset >= end {
					checkKept(t, rotten, payloads)
					continue
				}
				checkFound(t, rotten, file, offset)
				detected++
			}
			if detected == 0 {
				t.Fatal("no bit of a record was flipped")
			}
		})
	}
}

// TestT20BitRotLastGroup says what is promised when the process was killed before it marked the end: the last group cannot
// be told from one that was being written, so it is cut at the first damaged record. All before it is still held to.
func TestT20BitRotLastGroup(t *testing.T) {
	r := seeded(t)
	d, payloads := logOf(t, r, func(*Journal, *memDisk) {})
	last, begin, end, firstSeq := lastGroup(t, d)
	clear(d.files[last].data[end:]) // should the mark have come already
	cuts := 0
	for range rounds(t, 5_000, 500_000) {
		rotten := d.clone()
		file, offset := rotten.flip(r)
		switch {
		case file != last || offset < begin:
			checkFound(t, rotten, file, offset)
		case offset >= end:
			checkKept(t, rotten, payloads)
		default:
			_, kept := contents(t, rotten)
			if n := uint64(len(kept)); n+1 < firstSeq || n >= uint64(len(payloads)) {
				t.Fatalf("%d records kept, the last group began at %d", n, firstSeq)
			}
			checkKept(t, rotten, payloads[:len(kept)])
			cuts++
		}
	}
	if cuts == 0 {
		t.Fatal("no bit of the last group was flipped")
	}
}

func checkKept(t *testing.T, d *memDisk, payloads [][]byte) {
	t.Helper()
	if _, kept := contents(t, d); !slices.EqualFunc(kept, payloads, bytes.Equal) {
		t.Fatalf("%d records, want %d, each as appended", len(kept), len(payloads))
	}
}

func checkFound(t *testing.T, d *memDisk, file string, offset int64) {
	t.Helper()
	before := d.clone()
	_, err := openOn(d, Options{SegmentBytes: 16 << 10}.withDefaults())
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || !errors.Is(err, ErrCorrupt) {
		t.Fatalf("flipped bit at %d of %s: %v", offset, file, err)
	}
	if corrupt.File != file || corrupt.Offset > offset || offset-corrupt.Offset > 1200 {
		t.Fatalf("flipped bit at %d of %s was reported as %v", offset, file, err)
	}
	for name, f := range before.files {
		if !bytes.Equal(f.data, d.files[name].data) {
			t.Fatalf("%s was changed though corrupt", name)
		}
	}
}
