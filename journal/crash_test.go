package journal

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// recorded is a run of a journal with everything it did to its disk.
type recorded struct {
	trace    trace
	mu       sync.Mutex
	payloads map[uint64][]byte // of records whose append succeeded
	tried    map[string]bool   // all payloads; false once it has succeeded
	t        *testing.T
}

// tracingShipper keeps only its place, and notes it in the trace when it commits.
type tracingShipper struct {
	trace *trace
	mu    sync.Mutex
	place uint64
}

func (s *tracingShipper) Place(context.Context, string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.place, nil
}

func (s *tracingShipper) Ship(_ context.Context, _ string, _, through uint64, _ [][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.place = through
	s.trace.add(op{kind: opShipped, off: int64(through)})
	return nil
}

// record runs sessions with rotation, groups, records nobody waits for, and a follower that removes segments. Every other
// session is killed, so that the next one finds what was written but not synced.
func record(t *testing.T, r *rand.Rand) *recorded {
	run := &recorded{payloads: map[uint64][]byte{}, tried: map[string]bool{}, t: t}
	d := newMemDisk(&run.trace)
	shipper := &tracingShipper{trace: &run.trace}
	for session := range 6 {
		run.session(d, shipper, r, session)
	}
	return run
}

func (run *recorded) session(d *memDisk, shipper Shipper, r *rand.Rand, session int) {
	killed, follows := session%2 == 0, session > 1
	j := mustOpen(run.t, d.process(), Options{SegmentBytes: 16 << 10, QueueBytes: 64 << 10})
	if follows {
		go func() {
			_ = j.Follow(bounded(run.t), shipper, FollowOptions{BatchRecords: 20, Delay: 2 * time.Millisecond})
		}()
	}
	var wg sync.WaitGroup
	for appender := range 4 {
		own := rand.New(rand.NewPCG(r.Uint64(), 2))
		wg.Go(func() { run.appendSome(j, own, session*10+appender) })
	}
	if killed {
		time.Sleep(time.Duration(r.IntN(5_000)) * time.Microsecond)
		d.kill()
	}
	wg.Wait()
	if follows && !killed {
		if err := j.Shipped(bounded(run.t), j.Stats().Synced); err != nil {
			run.t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil && !killed {
		run.t.Fatal(err)
	}
}

func (run *recorded) appendSome(j *Journal, r *rand.Rand, number int) {
	for i := range 40 {
		payload := randomPayload(r, number*1000+i, 1500)
		run.note(0, payload)
		if r.IntN(5) == 0 {
			if seq, err := j.AppendNoWait(payload); err == nil {
				run.note(seq, payload)
			}
			continue
		}
		seq, err := j.Append(bounded(run.t), payload)
		if errors.Is(err, errKilled) {
			return
		}
		if err != nil {
			run.t.Error(err)
			return
		}
		run.trace.add(op{kind: opAck, off: int64(seq)})
		run.note(seq, payload)
	}
}

// note remembers a payload that is about to be appended (seq 0) or has been.
func (run *recorded) note(seq uint64, payload []byte) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.tried[string(payload)] = seq == 0
	if seq != 0 {
		run.payloads[seq] = payload
	}
}

// TestT18CrashStates is T18: after a power cut at any point, with any of the unsynced sectors and names lost, recovery
// keeps everything acknowledged and not yet shipped, and invents nothing. Mutants: mutant_journal_no_crc,
// mutant_journal_ack_before_sync, mutant_journal_no_dirsync, mutant_journal_no_recovery_sync.
func TestT18CrashStates(t *testing.T) {
	r := seeded(t)
	states := sized(t, 20_000, 1_000_000)
	run := record(t, r)
	each := states/len(run.trace.ops) + 1
	p, built := newPlatter(), 0
	for at, o := range run.trace.ops {
		p.apply(o)
		for range each {
			built++
			d := p.crash(r)
			if !run.check(d, p) {
				t.Fatalf("after operation %d of %d (state %d)", at, len(run.trace.ops), built)
			}
			if built%10 == 0 {
				run.goOn(d, p)
			}
		}
	}
	t.Logf("%d states from %d operations, %d records", built, len(run.trace.ops), len(run.payloads))
}

func (run *recorded) check(d *memDisk, p *platter) bool {
	run.t.Helper()
	first, payloads, err := readAll(d)
	if err != nil {
		run.t.Errorf("recovery refused a power cut: %v", err)
		return false
	}
	last := first + uint64(len(payloads)) - 1
	if len(payloads) == 0 {
		last = max(first, 1) - 1
	}
	if last < p.acked || first > p.shipped+1 {
		run.t.Errorf("holds %d to %d; acknowledged through %d, shipped through %d", first, last, p.acked, p.shipped)
		return false
	}
	for i, payload := range payloads {
		if !bytes.Equal(payload, run.payloads[first+uint64(i)]) && !run.tried[string(payload)] {
			run.t.Errorf("record %d is not what was appended", first+uint64(i))
			return false
		}
	}
	return true
}

// goOn recovers, appends and closes; nothing that was there may change.
func (run *recorded) goOn(d *memDisk, p *platter) {
	run.t.Helper()
	first, before := contents(run.t, d)
	j, err := openOn(d, Options{SegmentBytes: 16 << 10, QueueBytes: 64 << 10}.withDefaults())
	if err != nil {
		run.t.Fatalf("acknowledged through %d: %v", p.acked, err)
	}
	fresh := []byte("after the crash")
	seq := mustAppend(run.t, j, fresh)
	mustClose(run.t, j)
	begin, after := contents(run.t, d)
	if len(before) == 0 {
		first = begin
	}
	if begin != first || len(after) != len(before)+1 || seq != first+uint64(len(before)) {
		run.t.Fatalf("held %d from %d, then %d from %d after record %d", len(before), first, len(after), begin, seq)
	}
	for i, payload := range append(before, fresh) {
		if !bytes.Equal(payload, after[i]) {
			run.t.Fatalf("record %d changed in recovery", first+uint64(i))
		}
	}
}
