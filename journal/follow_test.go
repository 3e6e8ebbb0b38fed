package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// keeper is a shipper as the contract wants it: records and place change together, or not at all.
type keeper struct {
	t       *testing.T
	mu      sync.Mutex
	place   uint64
	records [][]byte
	calls   int
	late    sync.WaitGroup
	mishap  func() mishap // nil for none
	broken  func()        // called when records were left out; none can be shipped any more
}

type mishap int

const (
	fine mishap = iota
	failBefore
	failAfter  // committed, but the answer is lost
	commitLate // answered with an error, committed some time later if its place still fits
	placeFails
)

var errMishap = errors.New("mishap")

func (k *keeper) next() mishap {
	if k.mishap == nil {
		return fine
	}
	return k.mishap()
}

func (k *keeper) Place(context.Context, string) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.next() == placeFails {
		return 0, errMishap
	}
	return k.place, nil
}

func (k *keeper) Ship(ctx context.Context, _ string, from, through uint64, payloads [][]byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if uint64(len(payloads)) != through-from+1 {
		k.t.Errorf("records %d to %d came as %d payloads", from, through, len(payloads))
	}
	switch k.next() {
	case failBefore:
		return errMishap
	case failAfter:
		return errors.Join(k.commit(from, through, payloads), errMishap)
	case commitLate:
		kept := copied(payloads)
		k.late.Go(func() {
			time.Sleep(time.Millisecond)
			k.mu.Lock()
			defer k.mu.Unlock()
			_ = k.commit(from, through, kept)
		})
		return errMishap
	}
	return k.commit(from, through, payloads)
}

func copied(payloads [][]byte) [][]byte {
	kept := make([][]byte, len(payloads))
	for i, p := range payloads {
		kept[i] = bytes.Clone(p)
	}
	return kept
}

func (k *keeper) commit(from, through uint64, payloads [][]byte) error {
	if from != k.place+1 {
		if from > k.place+1 {
			k.t.Errorf("records %d to %d were left out", k.place+1, from-1)
			k.broken()
		}
		return fmt.Errorf("records from %d do not go after %d", from, k.place)
	}
	k.records = append(k.records, copied(payloads)...)
	k.place = through
	return nil
}

func (k *keeper) have() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.records)
}

// TestFollowExactlyOnce ships through errors before and after the commit, late commits and restarts: the shipper ends up
// with every record once and in order, and the journal with nothing but its last segments. Mutant:
// mutant_follow_place_after.
func TestFollowExactlyOnce(t *testing.T) {
	r := seeded(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	k := &keeper{t: t, broken: cancel}
	k.mishap = func() mishap {
		return []mishap{fine, fine, fine, failBefore, failAfter, commitLate, placeFails}[r.IntN(7)]
	}
	opts := FollowOptions{BatchRecords: 17, BatchBytes: 8 << 10, Delay: time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: 4 * time.Millisecond}
	var sent [][]byte
	for range 4 {
		j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
		stopped := make(chan error, 1)
		go func() { stopped <- j.Follow(context.Background(), k, opts) }()
		own := rand.New(rand.NewPCG(uint64(len(sent)), 3))
		for range 400 {
			sent = append(sent, randomPayload(own, len(sent), 2000))
			if _, err := j.AppendNoWait(sent[len(sent)-1]); errors.Is(err, ErrFull) {
				mustAppend(t, j, sent[len(sent)-1])
			}
		}
		if err := j.Shipped(ctx, uint64(len(sent)-len(sent)%300)); err != nil {
			t.Fatal(err)
		}
		mustClose(t, j)
		if err := <-stopped; !errors.Is(err, ErrClosed) {
			t.Fatalf("follow ended with %v", err)
		}
	}
	j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	go func() {
		if err := j.Shipped(ctx, uint64(len(sent))); err != nil {
			t.Error(err)
		}
		cancel()
	}()
	if err := j.Follow(ctx, k, opts); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	k.late.Wait()
	if got := k.have(); !slices.EqualFunc(got, sent, bytes.Equal) {
		t.Fatalf("%d records shipped of %d, in %d calls, or not the same ones", len(got), len(sent), k.calls)
	}
	if records, oldest := j.Lag(); records != 0 || oldest != 0 {
		t.Errorf("lag is %d records and %v", records, oldest)
	}
	if s := j.Stats(); s.Segments != 1 || s.Shipped != uint64(len(sent)) {
		t.Errorf("stats: %+v", s)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

// follow runs the follower until the test ends.
func follow(t *testing.T, j *Journal, s Shipper, opts FollowOptions) {
	t.Helper()
	go func() {
		if err := j.Follow(context.Background(), s, opts); !errors.Is(err, ErrClosed) {
			t.Errorf("follow ended with %v", err)
		}
	}()
	t.Cleanup(func() { j.Close() })
}

// TestShipped: whoever reads back their own decision does not wait for a batch to fill, not even for a record nobody
// waited for.
func TestShipped(t *testing.T) {
	j := mustOpenDir(t, t.TempDir(), Options{SegmentBytes: 192 << 10, FlushInterval: time.Second})
	k := &keeper{t: t}
	follow(t, j, k, FollowOptions{Delay: time.Minute})
	for _, appendOne := range []func() (uint64, error){
		func() (uint64, error) { return j.Append(bounded(t), []byte("waited for")) },
		func() (uint64, error) { return j.AppendNoWait([]byte("not waited for")) },
	} {
		seq, err := appendOne()
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Shipped(bounded(t), seq); err != nil {
			t.Fatal(err)
		}
		if uint64(len(k.have())) != seq {
			t.Fatalf("record %d was not shipped", seq)
		}
	}
	for _, seq := range []uint64{0, 3} {
		if err := j.Shipped(bounded(t), seq); !errors.Is(err, ErrUnknownSequence) {
			t.Errorf("record %d: %v", seq, err)
		}
	}
}

func TestShippedEnds(t *testing.T) {
	j := mustOpenDir(t, t.TempDir(), Options{SegmentBytes: 192 << 10})
	seq := mustAppend(t, j, []byte("nobody follows"))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	defer cancel()
	if err := j.Shipped(ctx, seq); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the deadline: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- j.Shipped(bounded(t), seq) }()
	time.Sleep(5 * time.Millisecond)
	mustClose(t, j)
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("at close: %v", err)
	}
}

func TestFollowBatches(t *testing.T) {
	j := mustOpenDir(t, t.TempDir(), Options{SegmentBytes: 192 << 10})
	for range 100 {
		if _, err := j.AppendNoWait(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, j, make([]byte, MaxPayload))
	k := &keeper{t: t}
	follow(t, j, k, FollowOptions{BatchRecords: 30, BatchBytes: 10 * (500 + frameBytes)})
	if err := j.Shipped(bounded(t), 101); err != nil {
		t.Fatal(err)
	}
	if k.calls != 11 {
		t.Errorf("%d batches, want 10 by bytes and one large record", k.calls)
	}
}

func TestFollowOnce(t *testing.T) {
	j := mustOpenDir(t, t.TempDir(), Options{SegmentBytes: 192 << 10})
	k := &keeper{t: t}
	follow(t, j, k, FollowOptions{})
	if err := j.Shipped(bounded(t), mustAppend(t, j, []byte("one"))); err != nil {
		t.Fatal(err)
	}
	if err := j.Follow(bounded(t), k, FollowOptions{}); !errors.Is(err, ErrFollowing) {
		t.Errorf("a second follower: %v", err)
	}
	if err := j.Follow(bounded(t), k, FollowOptions{BatchRecords: -1}); !errors.Is(err, ErrOptions) {
		t.Errorf("a bad option: %v", err)
	}
	mustClose(t, j)
	if err := j.Follow(bounded(t), k, FollowOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// TestPlace: a shipper that has more than the journal, or lacks what the journal no longer has, is not silently obeyed.
func TestPlace(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	for range 3 {
		mustAppend(t, j, []byte("record"))
	}
	if err := j.Follow(bounded(t), &keeper{t: t, place: 4}, FollowOptions{}); !errors.Is(err, ErrPlace) {
		t.Errorf("shipper ahead: %v", err)
	}
	mustClose(t, j)
	j = mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	mustClose(t, j)
	if err := os.Remove(filepath.Join(dir, segmentName(1))); err != nil {
		t.Fatal(err)
	}
	j = mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	if err := j.Follow(bounded(t), &keeper{t: t, place: 1}, FollowOptions{}); !errors.Is(err, ErrPlace) {
		t.Errorf("records missing: %v", err)
	}
}

// TestFollowDamage: a record that went bad after Open is not shipped.
func TestFollowDamage(t *testing.T) {
	d := newMemDisk(nil)
	j := mustOpen(t, d, Options{SegmentBytes: 16 << 10})
	mustAppend(t, j, []byte("record"))
	d.mu.Lock()
	d.files[segmentName(1)].data[headerBytes+frameBytes] ^= 1
	d.mu.Unlock()
	k := &keeper{t: t}
	var corrupt *CorruptError
	if err := j.Follow(bounded(t), k, FollowOptions{}); !errors.As(err, &corrupt) || corrupt.Offset != headerBytes {
		t.Errorf("follow: %v", err)
	}
	if len(k.have()) != 0 {
		t.Errorf("shipped %q", k.have())
	}
}

// TestLag counts what was appended by an earlier run, with its age.
func TestLag(t *testing.T) {
	dir := t.TempDir()
	j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	if records, oldest := j.Lag(); records != 0 || oldest != 0 {
		t.Errorf("empty: %d, %v", records, oldest)
	}
	begin := time.Now()
	mustAppend(t, j, []byte("one"))
	mustAppend(t, j, []byte("two"))
	mustClose(t, j)
	j = mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	time.Sleep(5 * time.Millisecond)
	records, oldest := j.Lag()
	if took := time.Since(begin); records != 2 || oldest < 5*time.Millisecond || oldest > took+time.Millisecond {
		t.Errorf("two records of %v ago: %d, %v", took, records, oldest)
	}
	told := make(chan error, 1)
	k := &keeper{t: t, mishap: func() mishap { return failBefore }}
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	err := j.Follow(ctx, k, FollowOptions{OnError: func(err error) { told <- err; cancel() }})
	if err := <-told; !errors.Is(err, errMishap) || !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("told of %v", err)
	}
	if records, _ := j.Lag(); records != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("after a failure: %d, %v", records, err)
	}
}
