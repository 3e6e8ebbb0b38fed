package cache

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/belpoort/belpoort/eligibility"
)

// underWay is how long an attempt of this process counts although Redis does not list it: it may not be written yet.
const underWay = 10 * time.Second

// Allowed implements Store.
func (s *Redis[R]) Allowed(callee eligibility.CalleeToken, a Attempt) {
	s.attempts.add(callee, a)
	if !callee.IsZero() && a.valid() && !mutantCacheRedisAttemptsUnshared {
		s.writes.offer(write[R]{callee: callee, attempt: encodeAttempt(a)})
	}
}

// Reported implements Store.
func (s *Redis[R]) Reported(callee eligibility.CalleeToken, id [16]byte, campaign string) {
	s.attempts.end(callee, id, campaign)
	s.writes.offer(write[R]{callee: callee, report: &report{id, campaign}})
}

// report ends one attempt.
type report struct {
	id       [16]byte
	campaign string
}

// sharedAttempts are those that Redis lists, and this process's own that it may not list yet.
func (s *Redis[R]) sharedAttempts(callee eligibility.CalleeToken, listed []string) []Attempt {
	now := s.opts.Clock()
	var all []Attempt
	for _, text := range listed {
		if a, ok := decodeAttempt(text); ok && counts(a.At, now) {
			all = append(all, a)
		}
	}
	for _, own := range s.attempts.of(callee, underWay) {
		if !slices.ContainsFunc(all, func(a Attempt) bool { return a.ID == own.ID }) {
			all = append(all, own)
		}
	}
	return all
}

func encodeAttempt(a Attempt) string {
	b := append(make([]byte, 0, len(a.ID)+8+len(a.Campaign)), a.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(a.At.UnixNano()))
	return string(append(b, a.Campaign...))
}

func decodeAttempt(text string) (a Attempt, ok bool) {
	if len(text) < len(a.ID)+8 || len(text) > len(a.ID)+8+MaxCampaign {
		return a, false
	}
	copy(a.ID[:], text)
	a.At = time.Unix(0, int64(binary.BigEndian.Uint64([]byte(text[len(a.ID):len(a.ID)+8]))))
	a.Campaign = text[len(a.ID)+8:]
	return a, a.valid()
}

// addAttempt writes one attempt; the list keeps the latest.
func addAttempt(ctx context.Context, pipe redis.Pipeliner, callee eligibility.CalleeToken, attempt string) {
	key := calleeKey(callee, attemptsAfter)
	pipe.LPush(ctx, key, attempt)
	pipe.LTrim(ctx, key, 0, MaxAttempts-1)
	pipe.PExpire(ctx, key, AttemptAge)
}

// endAttempt takes the oldest attempt from the list that a report can be of. Two reports at once may take the same one:
// then one attempt too many counts, for a day at most.
func endAttempt(ctx context.Context, client redis.UniversalClient, callee eligibility.CalleeToken, r *report) error {
	key := calleeKey(callee, attemptsAfter)
	listed, err := client.LRange(ctx, key, 0, MaxAttempts-1).Result()
	if err != nil {
		return err
	}
	oldest, at := "", time.Time{}
	for _, text := range listed {
		if a, ok := decodeAttempt(text); ok && a.answers(r.id, r.campaign) && (oldest == "" || a.At.Before(at)) {
			oldest, at = text, a.At
		}
	}
	if oldest == "" {
		return nil
	}
	return client.LRem(ctx, key, -1, oldest).Err()
}
