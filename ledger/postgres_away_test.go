package ledger_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
	"github.com/belpoort/belpoort/ledger/ledgertest"
	"github.com/belpoort/belpoort/rig"
)

// cost is what a number of callers met who all read, with a deadline each.
type cost struct {
	took   []time.Duration
	errors []error // of those that failed
}

func (c *cost) quantile(q float64) time.Duration {
	slices.Sort(c.took)
	return c.took[int(q*float64(len(c.took)-1))]
}

// readFor has callers read a callee's facts again and again.
func readFor(t *testing.T, l ledger.Ledger, callers int, deadline, during time.Duration) *cost {
	t.Helper()
	var all cost
	var mu sync.Mutex
	var reading sync.WaitGroup
	end := time.Now().Add(during)
	for range callers {
		reading.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				start := time.Now()
				_, err := l.Facts(ctx, ledgertest.Callee(1), 0)
				took := time.Since(start)
				cancel()
				mu.Lock()
				all.took = append(all.took, took)
				if err != nil {
					all.errors = append(all.errors, err)
				}
				mu.Unlock()
				time.Sleep(time.Millisecond)
			}
		})
	}
	reading.Wait()
	return &all
}

// openFiles is how many files and sockets the process has.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

const patience = 20 * time.Millisecond // of a caller on the dial path

// wantAllFailed also sees to it that half of the reads took no longer than most, and that they left nothing behind.
func wantAllFailed(t *testing.T, when string, got *cost, most time.Duration, files, goroutines int) {
	t.Helper()
	if len(got.errors) != len(got.took) {
		t.Errorf("%s: %d of %d reads succeed", when, len(got.took)-len(got.errors), len(got.took))
	}
	t.Logf("%s: %d reads, p50 %v, p99 %v, max %v", when, len(got.took), got.quantile(.5), got.quantile(.99), got.quantile(1))
	for _, err := range got.errors {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ledger.ErrUnavailable) {
			t.Fatalf("%s: a read fails with %v", when, err)
		}
	}
	if late := got.quantile(.5); late > most {
		t.Errorf("%s: half of the reads take %v or more, want %v, with a deadline of %v", when, late, most, patience)
	}
	const few = 60 // connections being made or given up, each with its goroutines
	if now := openFiles(t); now > files+few {
		t.Errorf("%s: %d open files, before %d", when, now, files)
	}
	if now := runtime.NumGoroutine(); now > goroutines+4*few {
		t.Errorf("%s: %d goroutines, before %d", when, now, goroutines)
	}
}

// wantBack takes the first try of each, and that a wait from before ends.
func wantBack(t *testing.T, l *ledger.Postgres, waiting <-chan error, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	_, err := l.Facts(ctx, ledgertest.Callee(1), 0)
	read := time.Since(start)
	if err != nil {
		t.Errorf("the first read: %v", err)
	}
	if _, err := l.Append(ctx, []ledger.Append{ledgertest.Fact(1, key)}); err != nil {
		t.Errorf("the first append: %v", err)
	}
	t.Logf("the first read took %v, it and the first append %v", read, time.Since(start))
	if _, err := l.Announce(ctx, nodeID(1), "node", 1); err != nil {
		t.Errorf("the first announcement: %v", err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("a wait from before: %v", err)
	}
}

// waitsBeyond waits in the background, on a ledger of its own, which hears of an append only through its connection.
func waitsBeyond(t *testing.T, url string, after uint64) <-chan error {
	t.Helper()
	l := openPostgres(t, url, ledger.Options{})
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	t.Cleanup(cancel)
	go func() { ended <- l.Wait(ctx, after) }()
	return ended
}

// TestPostgresKilledAndHung: reads fail at once, or at their deadline; nothing piles up; and after the server's return the
// first call of each kind succeeds.
func TestPostgresKilledAndHung(t *testing.T) {
	s := rig.NewPostgres(t)
	url := s.Database(t)
	l := openPostgres(t, url, ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	waiting := waitsBeyond(t, url, 1)
	files, goroutines := openFiles(t), runtime.NumGoroutine()

	s.Stop()
	got := readFor(t, l, 16, patience, 500*time.Millisecond)
	wantAllFailed(t, "killed", got, patience, files, goroutines)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, l, waiting, "after the kill")

	waiting = waitsBeyond(t, url, 2)
	s.Pause()
	got = readFor(t, l, 16, patience, 1500*time.Millisecond)
	wantAllFailed(t, "hung", got, 2*patience, files, goroutines)
	s.Resume()
	wantBack(t, l, waiting, "after the hang")
}

// TestConnectionsThatNeverAnswerAgain: a firewall forgets the connections it knew, and lets new ones through.
func TestConnectionsThatNeverAnswerAgain(t *testing.T) {
	s := rig.SharedPostgres(t)
	proxy := rig.StartProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port())))
	var forgotten, made atomic.Int64
	proxy.Rewrite(func() rig.Wire {
		number := made.Add(1)
		pass := func(b []byte) []byte {
			if number <= forgotten.Load() {
				return nil
			}
			return b
		}
		return rig.Wire{ToServer: pass, ToClient: pass}
	})
	direct := s.Database(t)
	through, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	through.Host = proxy.Address()
	l, other := openPostgres(t, through.String(), ledger.Options{}), openPostgres(t, direct, ledger.Options{})
	mustAppend(t, l, ledgertest.Fact(1, "a"))
	mustAnnounce(t, l, nodeID(1), 0)

	forgotten.Store(made.Load())
	short, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	if _, err := l.Append(short, []ledger.Append{ledgertest.Fact(1, "b")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an append into the void: %v", err)
	}
	_, _ = l.Facts(short, ledgertest.Callee(1), 0)
	_, _ = l.Announce(short, nodeID(1), "node", 0)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second) // far below what a write may take
	defer cancel()
	if _, err := l.Append(ctx, []ledger.Append{ledgertest.Fact(1, "b")}); err != nil {
		t.Errorf("the next append: %v", err)
	}
	if _, err := l.Facts(ctx, ledgertest.Callee(1), 0); err != nil {
		t.Errorf("the next read: %v", err)
	}
	if _, err := l.Announce(ctx, nodeID(1), "node", 0); err != nil {
		t.Errorf("the next announcement: %v", err)
	}
	head, err := l.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, other, ledgertest.Fact(1, "c"))
	if err := l.Wait(ctx, head); err != nil {
		t.Errorf("the next wait: %v", err)
	}
}
