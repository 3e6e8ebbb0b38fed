package ledgertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/belpoort/belpoort/ledger"
)

const (
	appenders = 64
	followers = 2
)

// ExactlyOnce is T21 on an empty ledger: 64 appenders send each of so many requests one to five times, in random order
// and in calls of one to three, and give up on some calls before the reply; what they never heard they send again. Two
// followers read the tail meanwhile and now and then go back to an offset they had before. In the end every key stands
// for one fact, where everybody was told, and each follower has seen every position once and in order.
func ExactlyOnce(t *testing.T, l ledger.Ledger, keys int, chance *rand.Rand) {
	t.Helper()
	begin := time.Now()
	s := &senders{t: t, ledger: l, keys: make([]heard, keys)}
	var following sync.WaitGroup
	seen := make([]followed, followers)
	for f := range seen {
		own := rand.New(rand.NewPCG(chance.Uint64(), 1))
		following.Go(func() { seen[f].follow(t, l, keys, own) })
	}
	sent := s.sendAll(repeated(keys, chance), chance)
	following.Wait()
	if t.Failed() {
		t.FailNow()
	}
	wantHead(t, l, uint64(keys))
	for f := range seen {
		for i, key := range seen[f].keys {
			if k := &s.keys[key]; k.at != uint64(i+1) || k.fresh > 1 || k.fresh == 0 && !k.unheard {
				t.Fatalf("position %d holds key %d; its senders were told position %d, new %d times", i+1, key, k.at, k.fresh)
			}
			if seen[f].hashes[i] != seen[0].hashes[i] {
				t.Fatalf("the followers read different facts at position %d", i+1)
			}
		}
	}
	sending := time.Since(begin)
	soundLedgerVerifies(t, l)
	t.Logf("%d keys sent %d times, %d replies unheard, in %v; all in %v", keys, sent, s.unheard,
		sending.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
	if s.unheard == 0 {
		t.Error("every reply was heard")
	}
}

// repeated is every key one to five times, in random order.
func repeated(keys int, chance *rand.Rand) []int {
	requests := make([]int, 0, 3*keys)
	for k := range keys {
		for range 1 + chance.IntN(5) {
			requests = append(requests, k)
		}
	}
	chance.Shuffle(len(requests), func(i, j int) { requests[i], requests[j] = requests[j], requests[i] })
	return requests
}

// heard is what the senders of one key were told.
type heard struct {
	at      uint64
	fresh   int
	unheard bool // the reply of at least one call was not waited for
}

type senders struct {
	t      *testing.T
	ledger ledger.Ledger

	mu      sync.Mutex
	keys    []heard
	unheard int // calls
}

// sendAll sends requests, and again those whose reply was not heard; it gives the number sent.
func (s *senders) sendAll(requests []int, chance *rand.Rand) (sent int) {
	queue := make(chan []int, appenders)
	var work sync.WaitGroup
	for range appenders {
		own := rand.New(rand.NewPCG(chance.Uint64(), 2))
		work.Go(func() {
			for batch := range queue {
				s.send(batch, own.IntN(16) == 0, time.Duration(own.IntN(3000))*time.Microsecond)
			}
		})
	}
	for sent < len(requests) {
		n := min(1+sent%3, len(requests)-sent)
		queue <- requests[sent : sent+n]
		sent += n
	}
	close(queue)
	work.Wait()
	return sent
}

// send sends a call; an impatient one first waits for so long only.
func (s *senders) send(batch []int, impatient bool, patience time.Duration) {
	call := make([]ledger.Append, len(batch))
	for i, k := range batch {
		call[i] = Fact(k%97, fmt.Sprint("key ", k))
		call[i].Kind = int32(k)
	}
	if impatient {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		answers, err := s.ledger.Append(ctx, call)
		cancel()
		if err == nil {
			s.told(batch, answers)
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			s.t.Errorf("appending %v impatiently: %v", batch, err)
		}
		s.lost(batch)
	}
	answers, err := s.ledger.Append(s.t.Context(), call)
	if err != nil {
		s.t.Errorf("appending %v: %v", batch, err)
		return
	}
	s.told(batch, answers)
}

func (s *senders) lost(batch []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unheard++
	for _, k := range batch {
		s.keys[k].unheard = true
	}
}

func (s *senders) told(batch []int, answers []ledger.Appended) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, k := range batch {
		key := &s.keys[k]
		if key.at != 0 && key.at != answers[i].Position {
			s.t.Errorf("key %d: positions %d and %d", k, key.at, answers[i].Position)
		}
		key.at = answers[i].Position
		if !answers[i].Repeated {
			key.fresh++
		}
	}
}

// followed is what one follower read, by position.
type followed struct {
	keys   []int32
	hashes [][32]byte
	time   time.Time
}

// follow reads until it has seen as many facts as there are keys, or nothing has come for a while.
func (f *followed) follow(t *testing.T, l ledger.Ledger, keys int, chance *rand.Rand) {
	for len(f.keys) < keys {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := l.Wait(ctx, uint64(len(f.keys)))
		cancel()
		if err != nil {
			t.Errorf("waiting after %d: %v", len(f.keys), err)
			return
		}
		from := len(f.keys)
		if chance.IntN(20) == 0 {
			from = max(0, from-chance.IntN(500))
		}
		tail, err := l.Tail(t.Context(), uint64(from), 1+chance.IntN(1000))
		if err != nil || len(tail) == 0 {
			t.Errorf("tail after %d: %d entries, %v", from, len(tail), err)
			return
		}
		for i := range tail {
			if err := f.see(&tail[i], from+i); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// see takes the entry that was read after so many others.
func (f *followed) see(e *ledger.Entry, after int) error {
	switch {
	case e.Position != uint64(after+1):
		return fmt.Errorf("after position %d the tail goes on at %d", after, e.Position)
	case e.RequestKey != fmt.Sprint("key ", e.Kind):
		return fmt.Errorf("position %d holds %q as kind %d", e.Position, e.RequestKey, e.Kind)
	case after < len(f.keys) && f.hashes[after] != e.Hash:
		return fmt.Errorf("position %d reads differently the second time", e.Position)
	case after < len(f.keys):
		return nil
	case e.RecordTime.Before(f.time):
		return fmt.Errorf("record time goes back at position %d", e.Position)
	}
	f.keys, f.hashes, f.time = append(f.keys, e.Kind), append(f.hashes, e.Hash), e.RecordTime
	return nil
}
