package cache

import (
	"fmt"
	"testing"
	"time"

	"github.com/belpoort/belpoort/eligibility"
	"github.com/belpoort/belpoort/rig"
)

func attempt(n byte, campaign string, at time.Time) Attempt {
	return Attempt{ID: [16]byte{n}, Campaign: campaign, At: at}
}

func wantAttempts(t *testing.T, s Store[*note], callee eligibility.CalleeToken, want ...byte) {
	t.Helper()
	got := map[byte]bool{}
	for _, a := range s.Look(ctx, callee, Hold{}).Attempts {
		got[a.ID[0]] = true
	}
	if len(got) != len(want) {
		t.Fatalf("attempts %v, want %v", got, want)
	}
	for _, n := range want {
		if !got[n] {
			t.Fatalf("attempts %v, want %v", got, want)
		}
	}
}

// holdsAttempts: an attempt counts until it is reported, by its ID or else as the oldest of its campaign, or is a day old.
func holdsAttempts(t *testing.T, s Store[*note], now func() time.Time) {
	wantAttempts(t, s, anna)
	for n := byte(1); n <= 4; n++ {
		s.Allowed(anna, attempt(n, fmt.Sprint("campaign-", n%2), now().Add(time.Duration(n)*time.Millisecond)))
	}
	s.Allowed(eligibility.CalleeToken{}, attempt(9, "x", now()))
	s.Allowed(bram, Attempt{Campaign: "x", At: now()})
	wantAttempts(t, s, anna, 1, 2, 3, 4)
	wantAttempts(t, s, bram)
	written(t, s)
	s.Reported(anna, [16]byte{2}, "")
	written(t, s)
	wantAttempts(t, s, anna, 1, 3, 4)
	s.Reported(anna, [16]byte{}, "campaign-1")
	written(t, s)
	wantAttempts(t, s, anna, 3, 4)
	s.Reported(anna, [16]byte{77}, "campaign-1")
	s.Reported(bram, [16]byte{}, "campaign-1")
	written(t, s)
	wantAttempts(t, s, anna, 3, 4)
	for n := range byte(MaxAttempts) {
		s.Allowed(anna, attempt(100+n, "many", now().Add(time.Second)))
	}
	written(t, s)
	if got := len(s.Look(ctx, anna, Hold{}).Attempts); got != MaxAttempts {
		t.Errorf("%d attempts are counted, want %d", got, MaxAttempts)
	}
	s.Allowed(bram, attempt(50, "old", now().Add(-AttemptAge)))
	written(t, s)
	wantAttempts(t, s, bram)
}

// written waits for what a store writes later.
func written(t *testing.T, s Store[*note]) {
	t.Helper()
	if r, is := s.(*Redis[*note]); is {
		settle(t, r)
	}
}

func TestAttemptsInThisProcess(t *testing.T) {
	c := newClock()
	holdsAttempts(t, NewMemory[*note](Options{Clock: c.now}), c.now)
}

func TestAttemptsAreGivenUpAfterADay(t *testing.T) {
	c := newClock()
	s := NewMemory[*note](Options{Clock: c.now})
	s.Allowed(anna, attempt(1, "a", c.now()))
	c.advance(AttemptAge - 1)
	wantAttempts(t, s, anna, 1)
	c.advance(1)
	wantAttempts(t, s, anna)
}

func TestAttemptsAreBounded(t *testing.T) {
	c := newClock()
	var table attempts
	table.init(c.now)
	for n := range uint64(maxAttempted / 4) {
		table.add(token(n), attempt(1, "a", c.now()))
		if n%4096 == 0 {
			c.advance(AttemptAge / 2)
		}
	}
	kept := 0
	for i := range table.shards {
		kept += len(table.shards[i].kept)
	}
	if kept > 4*holdShards*leastSweep+3*4096 {
		t.Errorf("%d callees are kept, most of whose attempts count no more", kept)
	}
}

func TestAttemptsInRedis(t *testing.T) {
	t.Parallel()
	holdsAttempts(t, openRedis(t, redisOptions(singleURL(rig.StartRedis(t, rig.RedisOptions{})))), time.Now)
}

// Attempts are counted on every node, and a report at one of them ends the counting on all. The mutant
// mutant_cache_redis_attempts_unshared must fail here.
func TestAttemptsOfAnotherNode(t *testing.T) {
	t.Parallel()
	r := rig.StartRedis(t, rig.RedisOptions{})
	one, two := openRedis(t, redisOptions(singleURL(r))), openRedis(t, redisOptions(singleURL(r)))
	one.Allowed(anna, attempt(1, "a", time.Now().Add(-2*underWay)))
	settle(t, one)
	wantAttempts(t, two, anna, 1)
	two.Reported(anna, [16]byte{1}, "a")
	settle(t, two)
	wantAttempts(t, one, anna)
	r.Kill()
	one.Allowed(bram, attempt(2, "a", time.Now()))
	wantAttempts(t, one, bram, 2) // alone, by what this process knows
}

func TestAttemptEncoding(t *testing.T) {
	a := attempt(7, "voltwerk", time.Now().Round(0))
	got, ok := decodeAttempt(encodeAttempt(a))
	if !ok || got.ID != a.ID || got.Campaign != a.Campaign || !got.At.Equal(a.At) {
		t.Errorf("%+v, want %+v", got, a)
	}
	for _, bad := range []string{"", "short", string(make([]byte, 24)), string(make([]byte, 25+MaxCampaign))} {
		if _, ok := decodeAttempt(bad); ok {
			t.Errorf("%q was taken for an attempt", bad)
		}
	}
}
