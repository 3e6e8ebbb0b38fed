package journal

import (
	"context"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// faultyDisk is a real directory whose files can be held up in sync or made to fail.
type faultyDisk struct {
	disk
	syncs  atomic.Int64        // begun
	synced atomic.Int64        // over, without an error
	onSync func(n int64) error // called before the nth sync of a file
	onData func(off int64, b []byte) error
	onRoom func() error // called before space is reserved
}

type faultyFile struct {
	file
	d *faultyDisk
}

func newFaultyDisk(t *testing.T, dir string) *faultyDisk {
	t.Helper()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &faultyDisk{disk: d}
}

func (d *faultyDisk) create(name string) (file, error) {
	f, err := d.disk.create(name)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, d}, nil
}

func (f faultyFile) sync() error {
	n := f.d.syncs.Add(1)
	if f.d.onSync != nil {
		if err := f.d.onSync(n); err != nil {
			return err
		}
	}
	err := f.file.sync()
	if err == nil {
		f.d.synced.Add(1)
	}
	return err
}

func (f faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.d.onData != nil {
		if err := f.d.onData(off, b); err != nil {
			return 0, err
		}
	}
	return f.file.WriteAt(b, off)
}

func (f faultyFile) reserve(size int64) error {
	if f.d.onRoom != nil {
		if err := f.d.onRoom(); err != nil {
			return err
		}
	}
	return f.file.reserve(size)
}

// TestGroupCommit holds one fdatasync up while 63 callers come: all of them share the next one.
func TestGroupCommit(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20})
	begun, gate := make(chan struct{}), make(chan struct{})
	before := d.syncs.Load()
	d.onSync = func(n int64) error {
		if n == before+1 {
			close(begun)
			<-gate
		}
		return nil
	}
	var wg sync.WaitGroup
	appendOne := func() {
		if _, err := j.Append(bounded(t), []byte("record")); err != nil {
			t.Error(err)
		}
	}
	wg.Go(appendOne)
	<-begun
	for range 63 {
		wg.Go(appendOne)
	}
	for j.Stats().Appended < 64 {
		time.Sleep(time.Millisecond)
	}
	if s := j.Stats(); s.Synced != 0 {
		t.Fatalf("%d synced while the fdatasync was held up", s.Synced)
	}
	close(gate)
	wg.Wait()
	if n := d.syncs.Load() - before; n != 2 {
		t.Fatalf("%d fdatasyncs for 64 records, want 2", n)
	}
	s := j.Stats()
	if s.Synced != 64 || s.Groups != 2 || s.GroupSizes[0] != 1 || s.GroupSizes[5] != 1 {
		t.Fatalf("stats: %+v", s)
	}
}

// TestAppendNeverBeforeSync: whoever appends hears nothing before the fdatasync that carries the record is over.
// Mutant: mutant_journal_ack_before_sync.
func TestAppendNeverBeforeSync(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20})
	before := d.synced.Load()
	d.onSync = func(int64) error { time.Sleep(time.Millisecond); return nil }
	for i := range int64(20) {
		mustAppend(t, j, []byte("record"))
		if n := d.synced.Load() - before; n <= i {
			t.Fatalf("record %d acknowledged after %d fdatasyncs", i+1, n)
		}
	}
}

// TestFsyncError: the kernel reports a lost write once. No append succeeds from then on, and no fsync is tried again.
// Mutant: mutant_journal_retry_fsync.
func TestFsyncError(t *testing.T) {
	dir := t.TempDir()
	d := newFaultyDisk(t, dir)
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20})
	acked := mustAppend(t, j, []byte("before"))
	failing := d.syncs.Load() + 1
	d.onSync = func(n int64) error {
		if n == failing {
			return syscall.EIO
		}
		return nil
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if seq, err := j.Append(bounded(t), []byte("lost")); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) || seq != 0 {
				t.Errorf("append with a failing fsync: %d, %v", seq, err)
			}
		})
	}
	wg.Wait()
	select {
	case <-j.Failed():
	default:
		t.Fatal("the journal has not failed")
	}
	if _, err := j.Append(bounded(t), []byte("after")); !errors.Is(err, ErrFailed) {
		t.Errorf("append after a failed fsync: %v", err)
	}
	if _, err := j.AppendNoWait([]byte("after")); !errors.Is(err, ErrFailed) {
		t.Errorf("append without waiting after a failed fsync: %v", err)
	}
	if err := j.Sync(bounded(t)); !errors.Is(err, ErrFailed) {
		t.Errorf("sync after a failed fsync: %v", err)
	}
	if err := j.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("close after a failed fsync: %v", err)
	}
	if n := d.syncs.Load(); n != failing {
		t.Errorf("%d fsyncs after the one that failed", n-failing)
	}
	if _, payloads := contentsOf(t, dir); uint64(len(payloads)) < acked || string(payloads[0]) != "before" {
		t.Errorf("recovered %q", payloads)
	}
}

func TestWriteError(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20})
	d.onData = func(int64, []byte) error { return syscall.EIO }
	if _, err := j.Append(bounded(t), []byte("lost")); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("append with a failing write: %v", err)
	}
	if !errors.Is(j.Err(), syscall.EIO) {
		t.Fatalf("Err is %v", j.Err())
	}
}

// TestDiskFull: without space for a next segment records are refused before they have a number, and taken again when
// there is space.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	d := newFaultyDisk(t, dir)
	j := mustOpen(t, d, Options{SegmentBytes: 192 << 10})
	var full atomic.Bool
	full.Store(true)
	d.onRoom = func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	payload := make([]byte, 10_000)
	last, refusal := uint64(0), error(nil)
	for refusal == nil {
		var seq uint64
		if seq, refusal = j.Append(bounded(t), payload); refusal == nil {
			last = seq
		}
	}
	if !errors.Is(refusal, ErrDiskFull) || !errors.Is(refusal, syscall.ENOSPC) || errors.Is(refusal, ErrFailed) {
		t.Fatalf("append on a full disk: %v", refusal)
	}
	if _, err := j.AppendNoWait(payload); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("append without waiting on a full disk: %v", err)
	}
	if seq := mustAppend(t, j, []byte("still fits")); seq != last+1 {
		t.Fatalf("record %d after %d", seq, last)
	}
	full.Store(false)
	j.mu.Lock()
	j.spareTry = time.Time{}
	j.mu.Unlock()
	if seq := mustAppend(t, j, payload); seq != last+2 {
		t.Fatalf("record %d after %d", seq, last+1)
	}
	mustClose(t, j)
	if _, payloads := contentsOf(t, dir); uint64(len(payloads)) != last+2 {
		t.Fatalf("%d records, want %d", len(payloads), last+2)
	}
}

// TestAppendWaitsForSpace: the next segment comes late, to callers who found nothing queued.
func TestAppendWaitsForSpace(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 192 << 10})
	gate := make(chan struct{})
	d.onRoom = func() error { <-gate; return nil }
	payload := make([]byte, 50_000)
	for range 3 {
		mustAppend(t, j, payload)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if seq, err := j.Append(ctx, payload); seq != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append without a next segment: %d, %v", seq, err)
	}
	if _, err := j.AppendNoWait(payload); !errors.Is(err, ErrFull) {
		t.Fatalf("append without waiting, without a next segment: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(gate) })
	if seq := mustAppend(t, j, payload); seq != 4 {
		t.Fatalf("record %d, want 4", seq)
	}
}

// TestSpareFails: a disk that fails while the next segment is made is a failing disk.
func TestSpareFails(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 192 << 10})
	d.onRoom = func() error { return syscall.EIO }
	for range 40 {
		if _, err := j.Append(bounded(t), make([]byte, 10_000)); err != nil {
			if !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("appends went on")
}

func TestAppendNoWait(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20, QueueBytes: 128 << 10})
	gate := make(chan struct{})
	d.onSync = func(int64) error { <-gate; return nil }
	accepted := uint64(0)
	for {
		seq, err := j.AppendNoWait(make([]byte, 1000))
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil || seq != accepted+1 {
			t.Fatalf("record %d after %d: %v", seq, accepted, err)
		}
		accepted = seq
	}
	close(gate)
	for j.Stats().Synced < accepted { // nobody asks for it: FlushInterval does
		if j.Err() != nil {
			t.Fatal(j.Err())
		}
		time.Sleep(time.Millisecond)
	}
	if seq := mustAppend(t, j, []byte("next")); seq != accepted+1 {
		t.Fatalf("record %d after %d", seq, accepted)
	}
}

func TestAppendContext(t *testing.T) {
	d := newFaultyDisk(t, t.TempDir())
	j := mustOpen(t, d, Options{SegmentBytes: 1 << 20})
	gate := make(chan struct{})
	d.onSync = func(int64) error { <-gate; return nil }
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	seq, err := j.Append(ctx, []byte("slow"))
	if seq != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append on a slow disk: %d, %v", seq, err)
	}
	if seq, err := j.Append(ctx, []byte("too late")); seq != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("append after the deadline: %d, %v", seq, err)
	}
	if err := j.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("sync on a slow disk: %v", err)
	}
	close(gate)
	if err := j.Sync(bounded(t)); err != nil || j.Stats().Synced != 1 {
		t.Fatalf("sync: %v, %d synced", err, j.Stats().Synced)
	}
}

func TestLimits(t *testing.T) {
	j := mustOpenDir(t, t.TempDir(), Options{SegmentBytes: 192 << 10})
	for _, size := range []int{0, MaxPayload + 1} {
		if _, err := j.Append(bounded(t), make([]byte, size)); !errors.Is(err, ErrPayload) {
			t.Errorf("payload of %d bytes: %v", size, err)
		}
		if _, err := j.AppendNoWait(make([]byte, size)); !errors.Is(err, ErrPayload) {
			t.Errorf("payload of %d bytes without waiting: %v", size, err)
		}
	}
	for i, size := range []int{1, MaxPayload, MaxPayload, MaxPayload, 1} {
		if seq := mustAppend(t, j, make([]byte, size)); seq != uint64(i)+1 {
			t.Errorf("record %d, want %d", seq, i+1)
		}
	}
	if s := j.Stats(); s.Segments < 2 || s.Bytes < 3*MaxPayload {
		t.Errorf("stats: %+v", s)
	}
}

func TestOptions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	for _, o := range []Options{
		{SegmentBytes: 1}, {SegmentBytes: 2 << 30}, {QueueBytes: -1}, {QueueBytes: 1 << 30},
		{FlushInterval: -1}, {FlushInterval: time.Hour},
	} {
		if _, err := Open(dir, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("refused options left a directory: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node", "journal")
	j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	id := j.ID()
	if len(id) != 32 {
		t.Errorf("ID is %q", id)
	}
	mustAppend(t, j, []byte("one"))
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, segmentName(1)): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	mustClose(t, j)
	if _, err := j.Append(bounded(t), []byte("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	mustClose(t, j)
	for want := uint64(2); want < 5; want++ {
		j = mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
		if j.ID() != id {
			t.Errorf("ID changed from %s to %s", id, j.ID())
		}
		if seq := mustAppend(t, j, []byte("more")); seq != want {
			t.Errorf("record %d, want %d", seq, want)
		}
		mustClose(t, j)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == segmentName(4) }) || len(entries) != 4 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestCorruption names the file and the offset, for damage a flipped bit does not do.
func TestCorruption(t *testing.T) {
	build := func() *memDisk {
		d := newMemDisk(nil)
		for range 3 {
			j := mustOpen(t, d, Options{SegmentBytes: 16 << 10})
			mustAppend(t, j, []byte("a"))
			mustAppend(t, j, []byte("b"))
			mustClose(t, j)
		}
		return d
	}
	other := build()
	frame := int64(frameBytes + 1)
	for name, c := range map[string]struct {
		damage func(*memDisk)
		file   string
		offset int64
	}{
		"middle segment gone":   {func(d *memDisk) { delete(d.files, segmentName(3)) }, segmentName(5), 0},
		"segment of another":    {func(d *memDisk) { d.files[segmentName(3)] = other.files[segmentName(3)] }, segmentName(3), 0},
		"segment renamed":       {func(d *memDisk) { d.files[segmentName(7)] = d.files[segmentName(5)] }, segmentName(7), 0},
		"header cut":            {func(d *memDisk) { d.files[segmentName(5)].data = make([]byte, 10) }, segmentName(5), 0},
		"earlier segment cut":   {func(d *memDisk) { f := d.files[segmentName(1)]; f.data = f.data[:headerBytes+frame] }, segmentName(3), 0},
		"record zeroed":         {func(d *memDisk) { clear(d.files[segmentName(5)].data[headerBytes : headerBytes+frame]) }, segmentName(5), headerBytes},
		"record left out":       {leaveOutRecord, segmentName(5), headerBytes},
		"earlier record zeroed": {func(d *memDisk) { clear(d.files[segmentName(3)].data[headerBytes+frame : headerBytes+2*frame]) }, segmentName(3), headerBytes + frame},
	} {
		t.Run(name, func(t *testing.T) {
			d := build()
			c.damage(d)
			_, err := survey(d)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.File != c.file || corrupt.Offset != c.offset {
				t.Fatalf("%v, want %s at %d", err, c.file, c.offset)
			}
		})
	}
}

func leaveOutRecord(d *memDisk) {
	f := d.files[segmentName(5)]
	f.data = slices.Delete(f.data, headerBytes, headerBytes+frameBytes+1)
}

func TestVersion(t *testing.T) {
	d := newMemDisk(nil)
	mustClose(t, mustOpen(t, d, Options{SegmentBytes: 16 << 10}))
	header := d.files[segmentName(1)].data[:headerBytes]
	le.PutUint32(header[8:], formatVersion+1)
	le.PutUint32(header[60:], crc32.Checksum(header[:60], castagnoli))
	if _, err := survey(d); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

// FuzzSurvey: whatever a segment holds, recovery answers, and what it accepts it accepts again after its own cut.
func FuzzSurvey(f *testing.F) {
	id := journalID{1}
	segment := encodeHeader(id, 1)
	segment = appendFrame(segment, id.seed(), 1, 1, 1, []byte("one"))
	f.Add(segment)
	f.Add(appendFrame(segment, id.seed(), 2, 2, 1, nil))
	f.Add(append(segment, "torn"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newMemDisk(nil)
		d.files[segmentName(1)] = &memFile{disk: d, data: b}
		v, err := survey(d)
		if err != nil {
			return
		}
		if err := v.cut(d); err != nil {
			t.Fatal(err)
		}
		again, err := survey(d)
		if err != nil || again.next != v.next || again.torn != 0 {
			t.Fatalf("%v: next %d, then %d with %d torn", err, v.next, again.next, again.torn)
		}
	})
}
