// Package journal is this node's fsynced log of decisions on their way to the ledger, and of objections the ledger could
// not take. It knows bytes, sequence numbers and one directory; it must not know what a record means, what a callee is,
// or what the ledger is: a Shipper carries records there.
//
// A record goes through three states, named by what a crash loses: queued (lost), synced (kept here), shipped (kept by the
// ledger, and its segment may be removed). Append answers when the record is synced.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"
)

// MaxPayload is the largest payload of one record, in bytes; the smallest is 1.
const MaxPayload = 64 << 10

// Errors an operation may wrap. After ErrFailed the process must stop: what the disk holds is no longer known.
var (
	ErrInUse    = errors.New("journal: directory is in use by another process")
	ErrCorrupt  = errors.New("journal: corrupt")
	ErrVersion  = errors.New("journal: format version not known to this program")
	ErrPayload  = errors.New("journal: payload must be 1 to 65536 bytes")
	ErrOptions  = errors.New("journal: bad option")
	ErrFull     = errors.New("journal: queue is full")
	ErrDiskFull = errors.New("journal: disk is full")
	ErrFailed   = errors.New("journal: failed, nothing more is written")
	ErrClosed   = errors.New("journal: closed")
)

// CorruptError says where the journal is damaged; it is an ErrCorrupt.
type CorruptError struct {
	File   string // path of the segment
	Offset int64  // first byte that cannot be what was written
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: corrupt: %s at offset %d: %s", e.File, e.Offset, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Options bound a journal. A zero field means its default.
type Options struct {
	SegmentBytes  int64                    // size of a segment file, allocated in advance; 192 KiB to 1 GiB, default 64 MiB
	QueueBytes    int                      // records queued but not yet being written, framed; 128 KiB to 64 MiB, default 4 MiB
	FlushInterval time.Duration            // longest time a record of AppendNoWait stays queued; 100 us to 1 s, default 5 ms
	OnSync        func(took time.Duration) // told of every fdatasync of records; must be quick; may be nil
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 4 << 20
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = 5 * time.Millisecond
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.SegmentBytes < 192<<10 || o.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("%w: SegmentBytes is %d, want 192 KiB to 1 GiB", ErrOptions, o.SegmentBytes)
	case o.QueueBytes < 128<<10 || o.QueueBytes > 64<<20:
		return fmt.Errorf("%w: QueueBytes is %d, want 128 KiB to 64 MiB", ErrOptions, o.QueueBytes)
	case o.FlushInterval < 100*time.Microsecond || o.FlushInterval > time.Second:
		return fmt.Errorf("%w: FlushInterval is %v, want 100us to 1s", ErrOptions, o.FlushInterval)
	}
	return nil
}

// Journal is an open journal. Its methods may be called from many goroutines.
type Journal struct {
	disk disk
	opts Options
	id   journalID
	seed uint32 // of every CRC, so that a record of another journal never passes for one of this

	mu        sync.Mutex
	open      *group // being filled
	writing   *group // being written, or nil
	idle      []byte // buffer of the group written last, for the next one
	next      uint64 // sequence number of the next record
	synced    uint64
	room      int           // bytes left for frames in the segment that the open group ends in
	spare     *spareSegment // what the next segment is made of, or nil
	preparing bool
	spareErr  error     // why the last spare could not be made
	spareTry  time.Time // when to try again
	spareNo   int
	roomWait  chan struct{} // closed when room or queue may have changed; nil when nobody waits
	segments  []segment
	closing   bool
	err       error
	stats     Stats
	ship      shipping

	active file   // owned by the writer, as are the three below
	off    int64  // end of the last record in active
	last   uint64 // last record written
	marked bool   // an end mark stands at off

	wake   chan struct{}
	failed chan struct{}
	done   chan struct{} // the writer has returned
	aux    sync.WaitGroup
	close  sync.Once
	result error
}

// Open opens the journal in dir, making the directory (0700) and a new journal when there is none, and recovers what a
// crash left. A torn tail of the last segment was never acknowledged and is cut. Anything else that is not as written is
// a CorruptError, and then nothing has been changed.
func Open(dir string, opts Options) (*Journal, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	d, err := openDirectory(dir)
	if err != nil {
		return nil, err
	}
	return openOn(d, opts)
}

func openOn(d disk, opts Options) (*Journal, error) {
	j := &Journal{
		disk: d, opts: opts, open: newGroup(nil),
		wake: make(chan struct{}, 1), failed: make(chan struct{}), done: make(chan struct{}),
	}
	j.ship.news = make(chan struct{}, 1)
	if err := j.start(); err != nil {
		d.close()
		return nil, err
	}
	go j.write()
	return j, nil
}

// start recovers and goes on in a fresh segment: bytes a crash may have left behind are never written over.
func (j *Journal) start() error {
	found, err := survey(j.disk)
	if err != nil {
		return err
	}
	if err := found.cut(j.disk); err != nil {
		return err
	}
	j.id, j.next = found.id, found.next
	if len(found.segments) == 0 {
		rand.Read(j.id[:])
	}
	j.seed = j.id.seed()
	j.synced, j.last = j.next-1, j.next-1
	j.stats.CutBytes = found.torn
	j.segments = found.kept()
	j.ship.recovered(j.segments, found.oldest, j.next)
	spare, err := j.makeSpare()
	if err != nil {
		return err
	}
	j.room = j.segmentRoom()
	return j.enterSegment(spare, j.next, nil)
}

// ID names this journal for ever: 32 hexadecimal digits, made at random with the first segment.
func (j *Journal) ID() string { return hex.EncodeToString(j.id[:]) }

// Stats is what the journal has done. Counts are of this run.
type Stats struct {
	Appended   uint64        // last sequence number given
	Synced     uint64        // last sequence number known to be on disk
	Shipped    uint64        // last sequence number known to be shipped
	Groups     uint64        // groups written
	GroupSizes [24]uint64    // groups by size: element i counts 2^i to 2^(i+1)-1 records
	Syncs      uint64        // fdatasyncs of records
	SyncLast   time.Duration // the last of them
	SyncTotal  time.Duration
	Segments   int   // files held
	Bytes      int64 // their size on disk
	CutBytes   int64 // torn tail cut by Open
}

// Stats returns the present figures.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Appended, s.Synced, s.Shipped = j.next-1, j.synced, j.ship.through
	s.Segments = len(j.segments)
	for _, seg := range j.segments {
		s.Bytes += seg.bytes
	}
	return s
}

func (s *Stats) countGroup(records uint64) {
	s.Groups++
	s.GroupSizes[min(bits.Len64(records)-1, len(s.GroupSizes)-1)]++
}

// Err returns why the journal failed, or nil. Once it is not nil no record is acknowledged any more.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Failed is closed when the journal fails; the process should then stop.
func (j *Journal) Failed() <-chan struct{} { return j.failed }

// Close writes what is queued, ends Follow, and lets go of the directory. Appends that come later get ErrClosed.
// It returns the reason when the journal had failed; called again it returns the same.
func (j *Journal) Close() error {
	j.close.Do(func() { j.result = j.shut() })
	return j.result
}

func (j *Journal) shut() error {
	j.mu.Lock()
	j.closing = true
	j.ship.stop()
	j.broadcastRoom()
	j.mu.Unlock()
	j.wakeWriter()
	<-j.done
	j.aux.Wait()
	err := j.Err()
	if err == nil {
		err = j.seal()
	} else if j.spare != nil {
		j.spare.file.Close()
	}
	return errors.Join(err, j.active.Close(), j.disk.close())
}

// seal leaves the last segment as short as its records, under an end mark that proves every one of them was synced.
func (j *Journal) seal() error {
	if err := j.dropSpare(); err != nil {
		return err
	}
	if err := j.writeMark(); err != nil {
		return err
	}
	if err := j.active.Truncate(j.off + frameBytes); err != nil {
		return err
	}
	return j.sync(j.active)
}

// fail makes the journal refuse everything from now on. The first reason stays.
func (j *Journal) fail(reason error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	j.err = fmt.Errorf("%w: %w", ErrFailed, reason)
	close(j.failed)
	for _, g := range []*group{j.writing, j.open} {
		if g != nil {
			g.settle(j.err)
		}
	}
	j.writing = nil
	j.broadcastRoom()
	j.wakeWriter()
}

// Sync waits until everything appended before the call is on disk.
func (j *Journal) Sync(ctx context.Context) error {
	j.mu.Lock()
	if j.err != nil {
		defer j.mu.Unlock()
		return j.err
	}
	g := j.writing
	if j.open.records > 0 {
		g = j.open
		j.want(g)
	}
	j.mu.Unlock()
	if g == nil {
		return nil
	}
	return g.wait(ctx)
}
