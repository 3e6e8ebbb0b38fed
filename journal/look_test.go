package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// looked are the payloads that a directory holds.
func looked(t *testing.T, dir string) (payloads []string) {
	t.Helper()
	next := uint64(0)
	err := Look(dir, func(r Record) error {
		if next != 0 && r.Seq != next {
			t.Errorf("record %d after %d", r.Seq, next-1)
		}
		next = r.Seq + 1
		payloads = append(payloads, string(r.Payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return payloads
}

// TestALedgerThatIsAwayForLong: everything is kept meanwhile, in segments of a bounded size, and can be looked at by others; once
// the ledger is back, all of it is shipped, once, and all but the segment that is being written is removed. Mutant:
// mutant_journal_segments_kept.
func TestALedgerThatIsAwayForLong(t *testing.T) {
	dir := t.TempDir()
	const segmentBytes, records = 192 << 10, 1500
	j := mustOpenDir(t, dir, Options{SegmentBytes: segmentBytes})
	k := &keeper{t: t}
	away := true
	k.mishap = func() mishap {
		if away {
			return placeFails
		}
		return fine
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second/4)
	defer cancel()
	opts := FollowOptions{Delay: time.Millisecond, BackoffMin: time.Millisecond, BackoffMax: 5 * time.Millisecond}
	ended := make(chan error, 1)
	go func() { ended <- j.Follow(ctx, k, opts) }()
	var sent []string
	for i := range records {
		sent = append(sent, fmt.Sprintf("%d %s", i, strings.Repeat("x", i%1500)))
		mustAppend(t, j, []byte(sent[i]))
	}
	if err := <-ended; err == nil {
		t.Fatal("the follower ended without a reason")
	}
	if s := j.Stats(); s.Segments < 6 || s.Shipped != 0 || s.Bytes > int64(s.Segments)*segmentBytes {
		t.Errorf("while it is away: %+v", s)
	}
	if lag, oldest := j.Lag(); lag != records || oldest <= 0 {
		t.Errorf("lag is %d records, %v", lag, oldest)
	}
	if got := looked(t, dir); len(got) != records || got[0] != sent[0] || got[records-1] != sent[records-1] {
		t.Errorf("others see %d records", len(got))
	}
	away = false
	follow(t, j, k, opts)
	if err := j.Shipped(bounded(t), records); err != nil {
		t.Fatal(err)
	}
	if got := k.have(); len(got) != records || string(got[records-1]) != sent[records-1] {
		t.Errorf("%d records were shipped", len(got))
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
		if err == nil && len(files) == 1 && j.Stats().Segments == 1 && j.Stats().Bytes <= segmentBytes {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v, %v; %+v", files, err, j.Stats())
		}
	}
}

// TestLookFindsDamage, and is no hindrance to whoever holds the journal.
func TestLookFindsDamage(t *testing.T) {
	dir := t.TempDir()
	if err := Look(filepath.Join(dir, "none"), nil); err != nil {
		t.Errorf("no journal: %v", err)
	}
	j := mustOpenDir(t, dir, Options{SegmentBytes: 192 << 10})
	for i := range 400 {
		mustAppend(t, j, []byte(fmt.Sprintf("%d %s", i, strings.Repeat("y", 1000))))
	}
	if got := looked(t, dir); len(got) != 400 {
		t.Errorf("%d records while it is open", len(got))
	}
	mustClose(t, j)
	stop := errors.New("enough")
	if err := Look(dir, func(Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	b, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(files[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Look(dir, func(Record) error { return nil }); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
}
