package cache

import (
	"sync"
	"time"

	"github.com/belpoort/belpoort/eligibility"
)

// Attempt is a call that was allowed, and counts until what became of it is among the facts.
//
// Attempts are as good as the store they are kept in: exact within one process while it runs, and between processes while
// they share a store that forgets nothing.
type Attempt struct {
	ID       [16]byte // never zero
	Campaign string   // at most MaxCampaign bytes
	At       time.Time
}

const (
	// MaxAttempts is how many attempts of a callee are counted at most; of more, the latest are.
	MaxAttempts = 32
	// AttemptAge is how long an attempt counts that nobody reports.
	AttemptAge = 24 * time.Hour
	// MaxCampaign bounds a campaign's name; attempts of longer ones are not counted.
	MaxCampaign = 255
)

func (a *Attempt) valid() bool { return a.ID != [16]byte{} && len(a.Campaign) <= MaxCampaign }

// answers tells whether a report is of this attempt: by its ID or, where that is zero, by its campaign.
func (a *Attempt) answers(id [16]byte, campaign string) bool {
	if id != [16]byte{} {
		return a.ID == id
	}
	return a.Campaign == campaign
}

// counts tells whether an attempt made then still counts.
func counts(at, now time.Time) bool { return now.Sub(at) < AttemptAge }

// maxAttempted bounds the callees with attempts that a process keeps, at about 120 bytes for one attempt. Beyond it
// attempts of further callees are not counted.
const maxAttempted = 1 << 20

// attempts are those of this process's callees, the oldest first.
type attempts struct {
	clock  func() time.Time
	shards [holdShards]attemptShard
}

type attemptShard struct {
	mu      sync.Mutex
	kept    map[eligibility.CalleeToken][]Attempt
	sweepAt int
}

func (t *attempts) init(clock func() time.Time) {
	t.clock = clock
	for i := range t.shards {
		t.shards[i].kept = map[eligibility.CalleeToken][]Attempt{}
		t.shards[i].sweepAt = leastSweep
	}
}

func (t *attempts) shard(callee eligibility.CalleeToken) *attemptShard {
	return &t.shards[callee[0]%holdShards]
}

// of gives the attempts that count now and are no older than age; the caller must not change them.
func (t *attempts) of(callee eligibility.CalleeToken, age time.Duration) []Attempt {
	s := t.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.kept[callee]
	if len(kept) == 0 {
		return nil
	}
	now := t.clock()
	for len(kept) > 0 && now.Sub(kept[0].At) >= age {
		kept = kept[1:]
	}
	return kept
}

// add counts an attempt. What was handed out is never written to.
func (t *attempts) add(callee eligibility.CalleeToken, a Attempt) {
	s := t.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, found := s.kept[callee]
	if callee.IsZero() || !a.valid() || !found && !s.room(t.clock()) {
		return
	}
	if len(old) >= MaxAttempts {
		old = old[len(old)-MaxAttempts+1:]
	}
	s.kept[callee] = append(append(make([]Attempt, 0, len(old)+1), old...), a)
}

// room forgets the callees none of whose attempts counts any more, now and then.
func (s *attemptShard) room(now time.Time) bool {
	if len(s.kept) >= s.sweepAt {
		for callee, kept := range s.kept {
			if !counts(kept[len(kept)-1].At, now) {
				delete(s.kept, callee)
			}
		}
		s.sweepAt = max(leastSweep, 2*len(s.kept))
	}
	return len(s.kept) < maxAttempted/holdShards
}

// end takes one attempt out, the oldest that the report can be of.
func (t *attempts) end(callee eligibility.CalleeToken, id [16]byte, campaign string) {
	s := t.shard(callee)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.kept[callee]
	for i := range old {
		if !old[i].answers(id, campaign) {
			continue
		}
		if len(old) == 1 {
			delete(s.kept, callee)
			return
		}
		s.kept[callee] = append(append(make([]Attempt, 0, len(old)-1), old[:i]...), old[i+1:]...)
		return
	}
}
