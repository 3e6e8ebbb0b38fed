package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
)

// soak reports whether the long form of the tests was asked for: SOAK set to anything but "" and "0".
func soak() bool { return os.Getenv("SOAK") != "" && os.Getenv("SOAK") != "0" }

// seeded gives a source of chance whose seed is in the test's log.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// refusalSparesNeighbours sends good and bad appends at once, so that they share transactions.
func refusalSparesNeighbours(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "taken"))
	const n = 200
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			if i%2 == 0 {
				bad := Fact(2, "taken")
				_, err := l.Append(t.Context(), []ledger.Append{Fact(3, fmt.Sprint("lost", i)), bad})
				if !errors.Is(err, ledger.ErrRequestReused) {
					t.Errorf("bad append %d: %v", i, err)
				}
				return
			}
			if _, err := l.Append(t.Context(), []ledger.Append{Fact(4, fmt.Sprint("kept", i))}); err != nil {
				t.Errorf("good append %d: %v", i, err)
			}
		})
	}
	work.Wait()
	wantHead(t, l, 1+n/2)
	if got := len(facts(t, l, Callee(4), 0).Entries); got != n/2 {
		t.Fatalf("%d of %d good facts", got, n/2)
	}
	wantPositions(t, facts(t, l, Callee(3), 0).Entries)
	soundLedgerVerifies(t, l)
}

// sent is what the appenders of exactlyOnce were told about one key.
type sent struct {
	mu    sync.Mutex
	at    uint64
	fresh int
}

func (s *sent) told(a ledger.Appended) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != 0 && s.at != a.Position {
		return fmt.Errorf("positions %d and %d", s.at, a.Position)
	}
	s.at = a.Position
	if !a.Repeated {
		s.fresh++
	}
	return nil
}

// exactlyOnce is T21: 64 appenders send each request one to five times, in random order, in calls of one to three,
// while a follower reads the tail.
func exactlyOnce(t *testing.T, l ledger.Ledger) {
	keys := 800
	if soak() {
		keys = 100_000
	}
	chance := seeded(t)
	var requests []int
	for k := range keys {
		for range 1 + chance.IntN(5) {
			requests = append(requests, k)
		}
	}
	chance.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	following := follow(t, l, uint64(keys))
	told := sendAll(t, l, requests, keys)
	seen := <-following
	wantHead(t, l, uint64(keys))
	for i, e := range seen {
		if e.Position != uint64(i+1) {
			t.Fatalf("the tail's entry %d has position %d", i+1, e.Position)
		}
		if i > 0 && e.RecordTime.Before(seen[i-1].RecordTime) {
			t.Fatalf("record time goes back at position %d", e.Position)
		}
		k := &told[e.Kind]
		if k.at != e.Position || k.fresh != 1 || e.RequestKey != fmt.Sprint("key ", e.Kind) {
			t.Fatalf("position %d holds %q; its senders were told position %d, new %d times", e.Position, e.RequestKey, k.at, k.fresh)
		}
	}
	if len(seen) != keys {
		t.Fatalf("%d keys gave %d facts", keys, len(seen))
	}
	soundLedgerVerifies(t, l)
}

// sendAll has 64 appenders send the requests, and gives what they were told, by key.
func sendAll(t *testing.T, l ledger.Ledger, requests []int, keys int) []sent {
	told := make([]sent, keys)
	queue := make(chan []int)
	var appenders sync.WaitGroup
	for range 64 {
		appenders.Go(func() {
			for batch := range queue {
				call := make([]ledger.Append, len(batch))
				for i, k := range batch {
					call[i] = Fact(k%97, fmt.Sprint("key ", k))
					call[i].Kind = int32(k)
				}
				answers, err := l.Append(t.Context(), call)
				if err != nil {
					t.Errorf("appending %v: %v", batch, err)
					continue
				}
				for i, k := range batch {
					if err := told[k].told(answers[i]); err != nil {
						t.Errorf("key %d: %v", k, err)
					}
				}
			}
		})
	}
	for len(requests) > 0 {
		n := min(1+len(requests)%3, len(requests))
		queue <- requests[:n]
		requests = requests[n:]
	}
	close(queue)
	appenders.Wait()
	return told
}

// follow reads the tail until it has seen a number of facts, or nothing has come for a while.
func follow(t *testing.T, l ledger.Ledger, want uint64) <-chan []ledger.Entry {
	result := make(chan []ledger.Entry, 1)
	go func() {
		var seen []ledger.Entry
		defer func() { result <- seen }()
		for uint64(len(seen)) < want {
			after := uint64(0)
			if len(seen) > 0 {
				after = seen[len(seen)-1].Position
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := l.Wait(ctx, after)
			cancel()
			if err != nil {
				t.Errorf("waiting after %d: %v", after, err)
				return
			}
			next, err := l.Tail(t.Context(), after, 100)
			if err != nil || len(next) == 0 {
				t.Errorf("tail after %d: %d entries, %v", after, len(next), err)
				return
			}
			seen = append(seen, next...)
		}
	}()
	return result
}

// snapshotsAreConsistent reads while pairs of facts are appended: a pair is seen whole or not at all, heads never go
// back, and a snapshot holds all there ever was up to its head.
func snapshotsAreConsistent(t *testing.T, l ledger.Ledger) {
	const pairs = 60
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 2 {
		writers.Go(func() {
			for i := range pairs {
				key := fmt.Sprint(w, " ", i)
				if _, err := l.Append(t.Context(), []ledger.Append{Fact(1, key+"a"), Fact(1, key+"b")}); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for head, more := uint64(0), true; more; {
				select {
				case <-done:
					more = false
				default:
				}
				s, err := l.Facts(t.Context(), Callee(1), 0)
				if err != nil {
					t.Errorf("facts: %v", err)
					return
				}
				checkSnapshot(t, s, head)
				head = s.Head
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if s := facts(t, l, Callee(1), 0); len(s.Entries) != 4*pairs {
		t.Fatalf("%d facts in the end, want %d", len(s.Entries), 4*pairs)
	}
}

// checkSnapshot knows that the ledger holds facts of one callee only, appended in pairs.
func checkSnapshot(t *testing.T, s ledger.Snapshot, before uint64) {
	if s.Head < before {
		t.Errorf("head went back from %d to %d", before, s.Head)
	}
	if uint64(len(s.Entries)) != s.Head || len(s.Entries)%2 != 0 {
		t.Errorf("a snapshot at head %d holds %d facts", s.Head, len(s.Entries))
	}
	if n := len(s.Entries); n > 0 && s.Entries[n-1].Position != s.Head {
		t.Errorf("the last fact of a snapshot at head %d is %d", s.Head, s.Entries[n-1].Position)
	}
}

func waitEndsWhenTheHeadMoves(t *testing.T, l ledger.Ledger) {
	appendAll(t, l, Fact(1, "a"))
	if err := l.Wait(t.Context(), 0); err != nil {
		t.Fatalf("waiting for what is there: %v", err)
	}
	ended := make(chan error, 8)
	for range cap(ended) {
		go func() {
			err := l.Wait(t.Context(), 1)
			if head, _ := l.Head(t.Context()); err == nil && head < 2 {
				err = fmt.Errorf("head is %d after waiting for 2", head)
			}
			ended <- err
		}()
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantError(t, "waiting for nothing", l.Wait(short, 1), context.DeadlineExceeded)
	if len(ended) > 0 {
		t.Fatalf("a wait ended before anything was appended: %v", <-ended)
	}
	appendAll(t, l, Fact(1, "b"))
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Fatalf("wait: %v", err)
		}
	}
}

func tailIsInOrder(t *testing.T, l ledger.Ledger) {
	for i := range 9 {
		appendAll(t, l, Fact(i, fmt.Sprint(i)))
	}
	for _, c := range []struct {
		after uint64
		limit int
		want  []uint64
	}{{0, 3, []uint64{1, 2, 3}}, {3, 1, []uint64{4}}, {7, 9, []uint64{8, 9}}, {9, 9, nil}, {1 << 63, 1, nil}} {
		got, err := l.Tail(t.Context(), c.after, c.limit)
		if err != nil {
			t.Fatal(err)
		}
		wantPositions(t, got, c.want...)
	}
}

// tailIsBounded follows a tail that is too large for one answer.
func tailIsBounded(t *testing.T, l ledger.Ledger) {
	const n = 260 // times MaxPayload is 65 MiB
	payload := make([]byte, ledger.MaxPayload)
	for i := 0; i < n; i += 130 {
		call := make([]ledger.Append, 130)
		for j := range call {
			call[j] = ledger.Append{RequestKey: fmt.Sprint(i + j), Payload: payload}
		}
		appendAll(t, l, call...)
	}
	seen, answers := uint64(0), 0
	for seen < n {
		got, err := l.Tail(t.Context(), seen, ledger.MaxTail)
		if err != nil || len(got) == 0 {
			t.Fatalf("tail after %d: %d entries, %v", seen, len(got), err)
		}
		if got[0].Position != seen+1 {
			t.Fatalf("tail after %d starts at %d", seen, got[0].Position)
		}
		seen, answers = got[len(got)-1].Position, answers+1
	}
	if answers < 2 {
		t.Fatalf("65 MiB came in one answer")
	}
}
