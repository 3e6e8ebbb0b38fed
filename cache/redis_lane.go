package cache

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/belpoort/belpoort/eligibility"
)

var (
	errAway = errors.New("cache: Redis is away")
	errSlow = errors.New("cache: no answer in time")
)

// ask is one Look on its way through a lane. It belongs to the asker, then to a reader, then to the asker again; an asker
// that stops waiting leaves it to the reader for good.
type ask struct {
	callee eligibility.CalleeToken
	hold   Hold
	sent   time.Duration // by the clock of the process's holds

	done    chan struct{} // one signal: what follows is filled in
	value   []byte        // nil: there is none
	err     error
	holder  string // whose hold was there; "": it is ours since now
	holdErr error
	listed  []string // attempts
	listErr error

	timer *time.Timer
}

var asks = sync.Pool{New: func() any {
	a := &ask{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	a.timer.Stop()
	return a
}}

func takeAsk(callee eligibility.CalleeToken, hold Hold) *ask {
	a := asks.Get().(*ask)
	a.callee, a.hold = callee, hold
	a.value, a.err, a.holder, a.holdErr, a.listed, a.listErr = nil, nil, "", nil, nil, nil
	return a
}

func (a *ask) giveBack() {
	a.value, a.listed = nil, nil
	asks.Put(a)
}

func (a *ask) tag() string { return hex.EncodeToString(a.callee[:]) }

// fail ends an ask without an answer.
func (a *ask) fail(err error) {
	a.err, a.holdErr, a.listErr = err, err, err
	a.done <- struct{}{}
}

// lane is where Looks wait for a reader. Those that find every reader busy share the next reader's round trip; one that
// comes alone makes it itself. A single Redis is one lane. In a Cluster each sixteenth of the slots is one, so that a
// server that hangs holds up few others.
type lane struct {
	client  redis.UniversalClient
	timeout time.Duration
	probe   string // a key in these slots
	asks    chan *ask
	ready   atomic.Int32 // readers that get answers; none: nobody need ask
	busy    atomic.Int32 // readers, and one that came alone, that wait for an answer
	alone   atomic.Bool  // somebody makes a round trip himself
}

const (
	clusterLanes = 16
	laneQueue    = 4096
	maxBatch     = 128
)

func newLanes(kind redisKind, client redis.UniversalClient, timeout time.Duration) []*lane {
	count := 1
	if kind == redisCluster {
		count = clusterLanes
	}
	lanes := make([]*lane, count)
	for n, missing := 0, count; missing > 0; n++ {
		tag := strconv.Itoa(n)
		if at := slotOf(tag) * count / slotCount; lanes[at] == nil {
			lanes[at] = &lane{
				client: client, timeout: timeout, probe: keyBefore + tag + probeAfter, asks: make(chan *ask, laneQueue),
			}
			missing--
		}
	}
	return lanes
}

// ask waits for the answer, but not longer than timeout and ctx. On an error the ask belongs to nobody.
func (l *lane) ask(ctx context.Context, a *ask) error {
	if l.goAlone(ctx, a) {
		return nil
	}
	a.timer.Reset(l.timeout)
	select {
	case l.asks <- a:
	default:
		return errSlow
	}
	select {
	case <-a.done:
		a.timer.Stop()
		return nil
	case <-a.timer.C:
	case <-ctx.Done():
		a.timer.Stop()
	}
	return errSlow
}

// goAlone makes the round trip in the asker's own goroutine, which is faster than waking a reader, if nobody else is on
// the way and ctx leaves the time. What fails is left to the readers to find out too.
func (l *lane) goAlone(ctx context.Context, a *ask) bool {
	if deadline, limited := ctx.Deadline(); limited && time.Until(deadline) < l.timeout {
		return false
	}
	if l.busy.Load() > 0 || !l.alone.CompareAndSwap(false, true) {
		return false
	}
	failed := l.serve([]*ask{a})
	l.alone.Store(false)
	<-a.done
	for n := l.ready.Load(); n > 0 && failed != ""; n-- {
		select {
		case l.asks <- takeAsk(a.callee, Hold{}):
		default:
		}
	}
	return true
}

// giveUp answers everything that waits.
func (l *lane) giveUp() {
	for {
		select {
		case a := <-l.asks:
			a.fail(errAway)
		default:
			return
		}
	}
}

// next waits for an ask, and takes along what waits behind it.
func (l *lane) next(alive context.Context, batch []*ask) []*ask {
	select {
	case a := <-l.asks:
		batch = append(batch, a)
	case <-alive.Done():
		return nil
	}
	for len(batch) < maxBatch {
		select {
		case a := <-l.asks:
			batch = append(batch, a)
		default:
			return batch
		}
	}
	return batch
}

// reader asks Redis for a lane, one round trip at a time. It is a circuit breaker too: after a round trip that failed it
// serves nobody until Redis has answered a probe as fast as a Look needs.
type reader struct {
	lane  *lane
	watch *watch
}

func (r *reader) run(alive context.Context) {
	batch, probe := make([]*ask, 0, maxBatch), r.lane.probe
	for r.mend(alive, probe) {
		r.lane.ready.Add(1)
		r.watch.poke()
		for failed := ""; failed == "" && alive.Err() == nil; {
			batch = r.lane.next(alive, batch[:0])
			if failed = r.lane.serve(batch); failed != "" {
				probe = failed
			}
		}
		if r.lane.ready.Add(-1) == 0 && !mutantCacheRedisPatient {
			r.lane.giveUp()
			r.watch.poke()
		}
	}
}

const probePause = 50 * time.Millisecond

// mend tries until Redis answers; false if the store is closed.
func (r *reader) mend(alive context.Context, probe string) bool {
	for pause := probePause / 2; ; pause = min(2*pause, 4*probePause) {
		for n := 0; n < 2 && r.watch.admitted.Load(); n++ { // the first may have had to connect
			began := time.Now()
			err := r.knock(alive, probe)
			if mutantCacheRedisPatient || answered(err) && time.Since(began) <= r.lane.timeout {
				return alive.Err() == nil
			}
			if !answered(err) {
				break
			}
		}
		select {
		case <-alive.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// knock writes, since a replica that is taken for a master still reads.
func (r *reader) knock(alive context.Context, probe string) error {
	ctx, cancel := context.WithTimeout(alive, patience)
	defer cancel()
	return r.lane.client.Set(ctx, probe, "", patience).Err()
}

// serve asks for the batch in one round trip. If Redis is not fit for another it returns a key to probe, in the slot of one
// that failed: in a Cluster others may do well.
func (l *lane) serve(batch []*ask) (failed string) {
	if len(batch) == 0 {
		return ""
	}
	l.busy.Add(1)
	defer l.busy.Add(-1)
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	replies := l.send(ctx, batch)
	for _, a := range batch {
		n := a.fill(replies)
		replies = replies[n:]
		if !answered(a.err) || !answered(a.holdErr) || !answered(a.listErr) {
			failed = calleeKey(a.callee, probeAfter)
		}
		a.done <- struct{}{}
	}
	return failed
}

// send gives a reply with each one's error.
func (l *lane) send(ctx context.Context, batch []*ask) []redis.Cmder {
	pipe := l.client.Pipeline()
	for _, a := range batch {
		pipe.Get(ctx, calleeKey(a.callee, recordAfter))
		pipe.LRange(ctx, calleeKey(a.callee, attemptsAfter), 0, MaxAttempts-1)
		if a.shares() {
			pipe.SetArgs(ctx, calleeKey(a.callee, holdAfter), a.hold.ID[:], redis.SetArgs{
				Mode: "NX", Get: true, TTL: min(a.hold.For, MaxHold),
			})
		}
	}
	replies, _ := pipe.Exec(ctx)
	if mutantCacheRedisTwoTrips {
		l.client.Exists(ctx, calleeKey(batch[0].callee, holdAfter))
	}
	return replies
}

// shares tells whether the hold is to be asked for.
func (a *ask) shares() bool { return a.hold.asks() && !mutantCacheRedisHoldUnshared }

// fill reads the ask's replies, and tells how many they were.
func (a *ask) fill(replies []redis.Cmder) (read int) {
	if value, err := replies[0].(*redis.StringCmd).Bytes(); err == nil {
		a.value = value
	} else if !errors.Is(err, redis.Nil) {
		a.err = err
	}
	a.listed, a.listErr = replies[1].(*redis.StringSliceCmd).Result()
	if !a.shares() {
		return 2
	}
	holder, err := replies[2].(*redis.StatusCmd).Result()
	switch {
	case err == nil:
		a.holder = holder
	case !errors.Is(err, redis.Nil):
		a.holdErr = err
	}
	return 3
}

// answered tells an answer from silence. Being out of memory is an answer: what is there can still be read.
func answered(err error) bool {
	return err == nil || errors.Is(err, redis.Nil) || strings.HasPrefix(err.Error(), "OOM ")
}
